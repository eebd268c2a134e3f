/** Transactions taken back: never more than there was, and the transaction itself stays. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as TestServer from "./TestServer.ts"
import {
  account,
  amend,
  assertProblem,
  change,
  get,
  hold,
  open,
  post,
  rowCounts,
  type TransactionJson,
} from "./TestServer.ts"

const path = "/v1/transactions"

const reverse = (id: string, body: object = {}, headers?: Record<string, string>) =>
  post(`${path}/${id}/reverse`, body, headers)

const reversed = (id: string, body: object = {}) =>
  Effect.map(reverse(id, body), (answer) => {
    assert.strictEqual(answer.status, 201, answer.text)
    return answer.json as TransactionJson
  })

const postedOf = (account_id: string) => Effect.map(account(account_id), ({ balance }) => balance.posted)

const legsOf = ({ changes }: TransactionJson) =>
  changes.map(({ account_id, amount, flavor }) => [account_id, flavor, amount])

/** 30.00 from one account to another, which have 100.00 and nothing. */
const transfer = Effect.gen(function* () {
  const { account_id: from } = yield* open({ initial_balance: "100" })
  const { account_id: to } = yield* open()
  const answer = yield* post(path, {
    changes: [
      { account_id: from, amount: "-30" },
      { account_id: to, amount: "30" },
    ],
    description: "rent",
  })
  assert.strictEqual(answer.status, 201, answer.text)
  const { transaction_id: id } = answer.json as TransactionJson
  return {
    from,
    id,
    text: answer.text,
    to,
    part: (amount: string) => ({
      changes: [
        { account_id: from, amount },
        { account_id: to, amount: `-${amount}` },
      ],
    }),
  }
})

layer(TestServer.layer, { excludeTestServices: true })("a reversal", (it) => {
  it.effect("of the whole restores every balance, and leaves the transaction as it was", () =>
    Effect.gen(function* () {
      const { from, id, text, to } = yield* transfer
      const reversal = yield* reversed(id, { description: "wrong month", metadata: { by: "Ann" } })
      assert.deepInclude(reversal, {
        reverses_transaction_id: id,
        description: "wrong month",
        metadata: { by: "Ann" },
      })
      assert.deepStrictEqual(legsOf(reversal), [
        [from, "FLOW", "30.00"],
        [to, "FLOW", "-30.00"],
      ])
      for (const { reverses_transaction_id } of reversal.changes) assert.strictEqual(reverses_transaction_id, id)
      assert.deepStrictEqual([yield* postedOf(from), yield* postedOf(to)], ["100.00", "0.00"])
      assert.strictEqual((yield* get(`${path}/${id}`)).text, text)
      assert.deepStrictEqual((yield* get(`${path}/${reversal.transaction_id}`)).json, reversal)

      const before = yield* rowCounts
      assert.deepInclude(assertProblem(yield* reverse(id), 409, "already_reversed"), { transaction_id: id })
      const again = assertProblem(yield* reverse(reversal.transaction_id), 422, "not_reversible")
      assert.deepInclude(again, { transaction_id: reversal.transaction_id })
      assert.deepStrictEqual(yield* rowCounts, before)
    }),
  )

  it.effect("of parts, never more than is left in sum", () =>
    Effect.gen(function* () {
      const { from, id, part, to } = yield* transfer
      yield* reversed(id, part("10.5"))
      const over = assertProblem(yield* reverse(id, part("19.51")), 422, "reversal_exceeds_transaction")
      assert.deepInclude(over, { transaction_id: id, account_id: from, remaining: "19.50" })
      yield* reversed(id, part("9.5"))
      assert.deepStrictEqual(legsOf(yield* reversed(id)), [
        [from, "FLOW", "10.00"],
        [to, "FLOW", "-10.00"],
      ])
      assert.deepStrictEqual([yield* postedOf(from), yield* postedOf(to)], ["100.00", "0.00"])
      assertProblem(yield* reverse(id, part("0.01")), 409, "already_reversed")
    }),
  )

  it.effect("of one leg is not balanced, of another account's is too much", () =>
    Effect.gen(function* () {
      const { from, id } = yield* transfer
      const alone = yield* reverse(id, { changes: [{ account_id: from, amount: "1" }] })
      assert.deepInclude(assertProblem(alone, 422, "unbalanced"), { sum: "1.00", currency: "EUR" })
      const { account_id } = yield* open({ initial_balance: "10" })
      const other = yield* reverse(id, {
        changes: [
          { account_id: from, amount: "1" },
          { account_id, amount: "-1" },
        ],
      })
      assert.deepInclude(assertProblem(other, 422, "reversal_exceeds_transaction"), { account_id, remaining: "0.00" })
      const twice = yield* reverse(id, {
        changes: [
          { account_id: from, amount: "1" },
          { account_id: from, amount: "-1" },
        ],
      })
      assertProblem(twice, 422, "same_account")
    }),
  )

  it.effect("asked for at once by many happens once", () =>
    Effect.gen(function* () {
      const { from, id, to } = yield* transfer
      const answers = yield* Effect.all(
        Array.from({ length: 12 }, () => reverse(id)),
        { concurrency: "unbounded" },
      )
      assert.lengthOf(
        answers.filter(({ status }) => status === 201),
        1,
      )
      for (const answer of answers) if (answer.status !== 201) assertProblem(answer, 409, "already_reversed")
      assert.deepStrictEqual([yield* postedOf(from), yield* postedOf(to)], ["100.00", "0.00"])
    }),
  )

  it.effect("in parts, asked for at once by many, stops at the whole", () =>
    Effect.gen(function* () {
      const { from, id, part } = yield* transfer
      const answers = yield* Effect.all(
        Array.from({ length: 12 }, () => reverse(id, part("7"))),
        { concurrency: "unbounded" },
      )
      assert.lengthOf(
        answers.filter(({ status }) => status === 201),
        4,
      )
      for (const answer of answers) {
        if (answer.status !== 201) assertProblem(answer, 422, "reversal_exceeds_transaction")
      }
      assert.strictEqual(yield* postedOf(from), "98.00")
    }),
  )

  it.effect("respects limits, unless it is forced: then it raises them, for all to see", () =>
    Effect.gen(function* () {
      const { from, id, to } = yield* transfer
      yield* change(to, "-25")
      const refused = yield* reverse(id)
      assert.deepInclude(assertProblem(refused, 422, "insufficient_funds"), { account_id: to, available: "5.00" })
      const reversal = yield* reversed(id, { force: true, description: "fraud" })
      assert.deepStrictEqual(legsOf(reversal), [
        [from, "FLOW", "30.00"],
        [to, "FLOW", "-30.00"],
      ])
      assert.deepInclude(yield* account(to), {
        overdraft_limit: "25.00",
        balance: { posted: "-25.00", held: "0.00", available: "0.00" },
      })
      const { json } = yield* get(`/v1/accounts/${to}/changes?limit=2`)
      assert.deepStrictEqual(
        (json as { readonly changes: TransactionJson["changes"] }).changes.map((row) => [
          row.flavor,
          row.overdraft_limit,
          row.description,
          row.reverses_transaction_id,
        ]),
        [
          ["FLOW", "25.00", "fraud", id],
          ["TERMS", "25.00", "fraud", null],
        ],
      )
      // Where nothing lacks, force changes no limit.
      const other = yield* transfer
      yield* reversed(other.id, { force: true })
      assert.deepInclude(yield* account(other.to), { overdraft_limit: "0.00", seq: 2 })
    }),
  )

  it.effect("is not forced past a frozen account", () =>
    Effect.gen(function* () {
      const { id, to } = yield* transfer
      yield* amend(to, { status: "debits_frozen" })
      const answer = yield* reverse(id, { force: true })
      assert.deepInclude(assertProblem(answer, 422, "account_frozen"), { account_id: to })
    }),
  )

  it.effect("takes back what was captured; what moved no money it cannot take back", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { account_id: shop } = yield* open()
      const { hold_id } = yield* hold(account_id, "50")
      const captured = (yield* post(`/v1/holds/${hold_id}/capture`, { amount: "20", to: shop })).json as {
        readonly transaction: TransactionJson
      }
      const refund = yield* reversed(captured.transaction.transaction_id)
      assert.deepStrictEqual(legsOf(refund), [
        [account_id, "FLOW", "20.00"],
        [shop, "FLOW", "-20.00"],
      ])
      assert.deepInclude(yield* account(account_id), {
        balance: { posted: "100.00", held: "0.00", available: "100.00" },
      })
      assertProblem(yield* reverse(hold_id), 422, "not_reversible")
      const { changes } = (yield* get(`/v1/accounts/${shop}/changes?order=asc`)).json as {
        readonly changes: TransactionJson["changes"]
      }
      assertProblem(yield* reverse(changes[0]!.transaction_id), 422, "not_reversible")
      assertProblem(yield* reverse("999999999"), 404, "transaction_not_found")
    }),
  )
})
