/** What an account may do, and whose it is: each change of it is a row that says why and by whom. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as TestServer from "./TestServer.ts"
import {
  account,
  type AccountJson,
  amend,
  assertProblem,
  change,
  get,
  hold,
  open,
  patch,
  post,
  rowCounts,
  type TransactionJson,
} from "./TestServer.ts"

const pathOf = (account_id: string) => `/v1/accounts/${account_id}`
const send = (account_id: string, amount: string) => post("/v1/transactions", { changes: [{ account_id, amount }] })

const history = (account_id: string) =>
  Effect.map(
    get(`${pathOf(account_id)}/changes?order=asc`),
    ({ json }) => (json as { readonly changes: TransactionJson["changes"] }).changes,
  )

layer(TestServer.layer, { excludeTestServices: true })("the terms of an account", (it) => {
  it.effect("are answered with the account as it is then, and its ETag", () =>
    Effect.gen(function* () {
      const opened = yield* open({ initial_balance: "10", customer_address: "1 Test Street", metadata: { a: "1" } })
      const { account_id } = opened
      const answer = yield* patch(pathOf(account_id), { status: "frozen" })
      assert.deepStrictEqual([answer.status, answer.headers.get("etag")], [200, '"1"'])
      const changed = answer.json as AccountJson
      assert.deepStrictEqual(changed, {
        ...opened,
        status: "frozen",
        seq: 1,
        hash: changed.hash,
        updated_at: changed.updated_at,
      })
      assert.notStrictEqual(changed.hash, opened.hash)
      const read = yield* get(pathOf(account_id))
      assert.deepStrictEqual([read.text, read.headers.get("etag")], [answer.text, '"1"'])
    }),
  )

  it.effect("freeze debits, credits or both, and unfreeze", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "10" })
      for (const [status, debit, credit] of [
        ["debits_frozen", false, true],
        ["credits_frozen", true, false],
        ["frozen", false, false],
        ["open", true, true],
      ] as const) {
        assert.strictEqual((yield* amend(account_id, { status })).status, status)
        for (const [amount, isAllowed] of [
          ["-1", debit],
          ["1", credit],
        ] as const) {
          const answer = yield* send(account_id, amount)
          if (isAllowed) assert.strictEqual(answer.status, 201, answer.text)
          else {
            const problem = assertProblem(answer, 422, "account_frozen")
            assert.deepInclude(problem, { account_id, account_status: status })
          }
        }
      }
    }),
  )

  it.effect("are rows of the history, with the reason, the actor and what the caller noted", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      yield* amend(account_id, { status: "frozen", reason: "court order 7", metadata: { case: "7" } })
      yield* amend(account_id, { overdraft_limit: "5" })
      const rows = yield* history(account_id)
      assert.deepStrictEqual(
        rows.map(({ actor, amount, description, flavor, held_amount, metadata, overdraft_limit, status }) => ({
          actor,
          amount,
          description,
          flavor,
          held_amount,
          metadata,
          overdraft_limit,
          status,
        })),
        [
          ["INITIAL", null, {}, "0.00", "open"] as const,
          ["TERMS", "court order 7", { case: "7" }, "0.00", "frozen"] as const,
          ["TERMS", null, {}, "5.00", "frozen"] as const,
        ].map(([flavor, description, metadata, overdraft_limit, status]) => ({
          actor: "anonymous",
          amount: "0.00",
          description,
          flavor,
          held_amount: "0.00",
          metadata,
          overdraft_limit,
          status,
        })),
      )
      // Each is a transaction of its own.
      const { json } = yield* get(`/v1/transactions/${rows[1]!.transaction_id}`)
      assert.deepInclude(json, { description: "court order 7", changes: [rows[1]] })
    }),
  )

  it.effect("close an account that has neither money nor open holds, for good", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "10" })
      const { hold_id } = yield* hold(account_id, "4")
      const close = patch(pathOf(account_id), { status: "closed" })
      assert.deepInclude(assertProblem(yield* close, 409, "account_not_empty"), {
        account_id,
        posted: "10.00",
        held: "4.00",
        currency: "EUR",
      })
      yield* change(account_id, "-6")
      assertProblem(yield* close, 409, "account_not_empty")
      assert.strictEqual((yield* post(`/v1/holds/${hold_id}/capture`, {})).status, 201)
      assert.strictEqual((yield* amend(account_id, { status: "closed" })).status, "closed")
      for (const body of [
        { status: "open" },
        { status: "closed" },
        { overdraft_limit: "1" },
        { customer_name: "Bob" },
      ]) {
        assertProblem(yield* patch(pathOf(account_id), body), 422, "account_closed")
      }
      for (const amount of ["1", "-1"]) assertProblem(yield* send(account_id, amount), 422, "account_closed")
      assert.deepInclude(yield* account(account_id), { status: "closed" })
    }),
  )

  it.effect("do not close an account that is overdrawn; a frozen one that is empty they do", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "-1", overdraft_limit: "1" })
      assertProblem(yield* patch(pathOf(account_id), { status: "closed" }), 409, "account_not_empty")
      yield* change(account_id, "1")
      yield* amend(account_id, { status: "frozen" })
      yield* amend(account_id, { status: "closed" })
    }),
  )

  it.effect("raise the overdraft limit, lower it as far as it is not used, and lift it", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      assertProblem(yield* send(account_id, "-1"), 422, "insufficient_funds")
      const raised = yield* amend(account_id, { overdraft_limit: "100" })
      assert.deepStrictEqual([raised.overdraft_limit, raised.balance.available], ["100.00", "100.00"])
      yield* change(account_id, "-30")
      yield* hold(account_id, "20")
      const low = yield* patch(pathOf(account_id), { overdraft_limit: "49.99" })
      assert.deepInclude(assertProblem(low, 422, "overdraft_in_use"), { account_id, used: "50.00", currency: "EUR" })
      const lowered = yield* amend(account_id, { overdraft_limit: "50" })
      assert.deepStrictEqual(
        [lowered.overdraft_limit, lowered.balance],
        ["50.00", { posted: "-30.00", held: "20.00", available: "0.00" }],
      )
      const lifted = yield* amend(account_id, { overdraft_limit: null })
      assert.deepStrictEqual([lifted.overdraft_limit, lifted.balance.available], [null, null])
      yield* change(account_id, "-99999999999969")
      assertProblem(yield* patch(pathOf(account_id), { overdraft_limit: "50" }), 422, "overdraft_in_use")
    }),
  )

  it.effect("correct the name and the address; what is not said stays, whatever else is changed with it", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ customer_name: "An", customer_address: "1 Tset Street" })
      const [named, moved] = [
        yield* amend(account_id, { customer_name: "Ann 🙂", reason: "misspelt" }),
        yield* amend(account_id, { customer_address: "1 Test Street", status: "debits_frozen" }),
      ]
      assert.deepInclude(named, { customer_name: "Ann 🙂", customer_address: "1 Tset Street", seq: 1, status: "open" })
      assert.deepInclude(moved, { customer_name: "Ann 🙂", customer_address: "1 Test Street", seq: 2 })
      assert.deepStrictEqual(yield* account(account_id), moved)
      yield* amend(account_id, { customer_address: "" })
      const { json } = yield* get("/v1/accounts?limit=200")
      const listed = (json as { readonly accounts: ReadonlyArray<AccountJson> }).accounts
      assert.deepInclude(
        listed.find((one) => one.account_id === account_id),
        { customer_name: "Ann 🙂", customer_address: "", status: "debits_frozen" },
      )
      assert.deepInclude((yield* get(`/account/${account_id}`)).json, { customerName: "Ann 🙂", customerAddress: "" })
    }),
  )

  it.effect("are changed only if the account is at the version that is said", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const before = yield* rowCounts
      const stale = yield* patch(pathOf(account_id), { status: "frozen" }, { "if-match": '"1"' })
      assert.deepInclude(assertProblem(stale, 412, "precondition_failed"), {
        account_id,
        expected_seq: 1,
        current_seq: 0,
      })
      const conflict = yield* patch(pathOf(account_id), { status: "frozen", expected_seq: 1 })
      assert.deepInclude(assertProblem(conflict, 409, "version_conflict"), {
        account_id,
        expected_seq: 1,
        current_seq: 0,
      })
      assert.deepStrictEqual(yield* rowCounts, before)
      // An ETag serves for the next change.
      let { headers } = yield* get(pathOf(account_id))
      for (const status of ["frozen", "open", "credits_frozen"]) {
        const answer = yield* patch(pathOf(account_id), { status }, { "if-match": headers.get("etag")! })
        assert.strictEqual(answer.status, 200, answer.text)
        headers = answer.headers
      }
      assert.strictEqual((yield* amend(account_id, { status: "open", expected_seq: 3 })).seq, 4)
    }),
  )

  it.effect("of an account that is not there", () =>
    Effect.gen(function* () {
      const account_id = crypto.randomUUID()
      const answer = yield* patch(pathOf(account_id), { status: "open" })
      assert.deepInclude(assertProblem(answer, 404, "account_not_found"), { account_id })
    }),
  )
})
