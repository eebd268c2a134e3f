/** Every route by way of a CockroachDB, or of a stand-in that takes no more SQL than it would. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as CockroachDatabase from "@banquo/testing/CockroachDatabase"
import { FaultyProxy } from "@banquo/testing/FaultyProxy"
import { schemaTimeout } from "@banquo/testing/TestDatabase"
import * as TestServer from "./TestServer.ts"
import {
  type AccountJson,
  amend,
  assertProblem,
  change,
  get,
  hold,
  open,
  post,
  type TransactionJson,
} from "./TestServer.ts"

const transactions = "/v1/transactions"
const OnCockroach = TestServer.layerWithoutDatabase().pipe(Layer.provideMerge(CockroachDatabase.layer))

const status = (answer: TestServer.Answer, expected: number) => {
  assert.strictEqual(answer.status, expected, answer.text)
  return answer
}

layer(OnCockroach, { excludeTestServices: true, timeout: schemaTimeout })("over HTTP, on CockroachDB", (it) => {
  it.effect("all that is read and written is taken", () =>
    Effect.gen(function* () {
      status(yield* get("/readyz"), 200)
      const [ann, bob] = [yield* open({ initial_balance: "100" }), yield* open()]
      const transfer = {
        changes: [
          { account_id: ann.account_id, amount: "-2.50" },
          { account_id: bob.account_id, amount: "2.50" },
        ],
      }
      const key = { "idempotency-key": "over-http" }
      const paid = status(yield* post(transactions, transfer, key), 201)
      assert.strictEqual(status(yield* post(transactions, transfer, key), 201).text, paid.text)
      const { transaction_id } = paid.json as TransactionJson
      assert.strictEqual(status(yield* get(`${transactions}/${transaction_id}`), 200).text, paid.text)
      assertProblem(
        yield* post(transactions, { changes: [{ account_id: bob.account_id, amount: "-3" }] }),
        422,
        "insufficient_funds",
      )
      const batch = yield* post(`${transactions}/batch`, { mode: "independent", transactions: [transfer, transfer] })
      assert.strictEqual((status(batch, 200).json as { readonly made: number }).made, 2)
      yield* change(bob.account_id, "1")

      const path = `/v1/accounts/${bob.account_id}`
      const { balance, seq } = status(yield* get(path), 200).json as AccountJson
      assert.deepStrictEqual([balance.posted, seq], ["8.50", 4])
      assert.include(status(yield* get("/v1/accounts?limit=1"), 200).text, "next_cursor")
      for (const query of ["?order=asc&limit=2", "?order=desc"]) status(yield* get(`${path}/changes${query}`), 200)
      const lines = yield* get(`${path}/changes`, { accept: "application/x-ndjson" })
      assert.strictEqual(status(lines, 200).text.trim().split("\n").length, 5)
      for (const axis of ["created", "effective"]) {
        status(yield* get(`${path}/balance?at=2100-01-01T00:00:00Z&axis=${axis}`), 200)
        status(yield* get(`${path}/statement?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&axis=${axis}`), 200)
      }
      status(yield* get(`${path}/balance?seq=1`), 200)

      const legacy = { account_id: bob.account_id, amount: 1, description: "tea" }
      status(yield* post("/transaction", legacy), 201)
      status(yield* get(`/account/${bob.account_id}`), 200)
      status(yield* get(`/transaction/history/${bob.account_id}`), 200)
      status(yield* post("/make-dummy-account", {}), 200)
    }),
  )

  it.effect("the whole life of an account is taken", () =>
    Effect.gen(function* () {
      const [ann, shop] = [yield* open({ initial_balance: "100" }), yield* open()]
      const [path, shops] = [`/v1/accounts/${ann.account_id}`, `/v1/accounts/${shop.account_id}`]
      const { hold_id } = yield* hold(ann.account_id, "20")
      const holds = "/v1/holds"
      status(yield* post(`${holds}/${hold_id}/increase`, { amount: "5" }), 201)
      const capture = { amount: "10", to: shop.account_id, final: false }
      const captured = status(yield* post(`${holds}/${hold_id}/capture`, capture), 201)
      const { transaction_id } = (captured.json as { readonly transaction: TransactionJson }).transaction
      status(yield* post(`${holds}/${hold_id}/release`, {}), 201)
      assert.deepInclude(status(yield* get(`${holds}/${hold_id}`), 200).json, { state: "released", captured: "10.00" })
      for (const query of ["", "&state=open"]) {
        status(yield* get(`${holds}?account_id=${ann.account_id}${query}`), 200)
      }

      const back = {
        changes: [
          { account_id: ann.account_id, amount: "4" },
          { account_id: shop.account_id, amount: "-4" },
        ],
      }
      status(yield* post(`${transactions}/${transaction_id}/reverse`, back), 201)
      status(yield* post(`${transactions}/${transaction_id}/reverse`, {}), 201)
      assertProblem(yield* post(`${transactions}/${transaction_id}/reverse`, {}), 409, "already_reversed")

      yield* amend(ann.account_id, { status: "frozen", customer_name: "Anna", reason: "married" })
      const { balance, customer_name } = status(yield* get(path), 200).json as AccountJson
      assert.deepStrictEqual([customer_name, balance.posted, balance.held], ["Anna", "100.00", "0.00"])
      assert.include(status(yield* get("/v1/accounts?limit=200"), 200).text, '"Anna"')
      yield* amend(shop.account_id, { status: "closed" })
      assertProblem(yield* post(holds, { account_id: shop.account_id, amount: "1" }), 422, "account_closed")
      const period = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
      for (const axis of ["created", "effective"]) {
        status(yield* get(`${path}/statement?${period}&axis=${axis}`), 200)
        status(yield* get(`${path}/statement?${period}&axis=${axis}&seq=2`), 200)
      }
      status(yield* get(`${shops}/changes`), 200)
    }),
  )

  for (const [fault, sqlState] of [
    ["refuse", "40001"],
    ["misreport", "40001"],
    ["refuse", "40003"],
    ["misreport", "40003"],
    ["drain", "57P01"],
  ] as const) {
    it.effect(`a write that meets ${sqlState} (${fault}) is made once`, () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { account_id } = yield* open()
        const text = "INSERT INTO balance_change"
        const { happened } = yield* fault === "drain" ? proxy.drain(text) : proxy[fault](text, sqlState)
        const answer = status(yield* post(transactions, { changes: [{ account_id, amount: "1" }] }), 201)
        yield* happened
        const { transaction_id } = answer.json as TransactionJson
        assert.strictEqual((yield* get(`${transactions}/${transaction_id}`)).text, answer.text)
        const { seq } = (yield* get(`/v1/accounts/${account_id}`)).json as AccountJson
        assert.strictEqual(seq, 1)
      }),
    )
  }
})
