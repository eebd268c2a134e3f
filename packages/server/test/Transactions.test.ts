import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as TestServer from "./TestServer.ts"
import {
  type AccountJson,
  assertProblem,
  change,
  get,
  open,
  post,
  request,
  rowCounts,
  setStatus,
  type TransactionJson,
} from "./TestServer.ts"

const path = "/v1/transactions"

const transfer = (from: string, to: string) =>
  post(path, {
    changes: [
      { account_id: from, amount: "-1" },
      { account_id: to, amount: "1" },
    ],
  })

const idIn = ({ headers }: TestServer.Answer) => headers.get("x-request-id")!

const assertBalance = (account_id: string, posted: string) =>
  Effect.map(get(`/v1/accounts/${account_id}`), ({ json }) =>
    assert.strictEqual((json as AccountJson).balance.posted, posted),
  )

layer(TestServer.layer, { excludeTestServices: true })("transactions", (it) => {
  it.effect("one change: money in or out", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "10" })
      const answer = yield* post(path, {
        changes: [{ account_id: account_id.toUpperCase(), amount: "-2.5", currency: "EUR", expected_seq: 0 }],
        description: "tea ☕",
        metadata: { z: "1", a: "2" },
      })
      assert.strictEqual(answer.status, 201, answer.text)
      const transaction = answer.json as TransactionJson
      const [only] = transaction.changes
      assert.deepStrictEqual(transaction, {
        transaction_id: only!.change_id,
        description: "tea ☕",
        metadata: { a: "2", z: "1" },
        effective_at: only!.created_at,
        created_at: only!.created_at,
        reverses_transaction_id: null,
        changes: [
          {
            change_id: only!.change_id,
            transaction_id: only!.change_id,
            account_id,
            seq: 1,
            flavor: "FLOW",
            amount: "-2.50",
            held_amount: "0.00",
            currency: "EUR",
            balance: { posted: "7.50", held: "0.00", available: "7.50" },
            status: "open",
            overdraft_limit: "0.00",
            hold_id: null,
            reverses_transaction_id: null,
            description: "tea ☕",
            metadata: { a: "2", z: "1" },
            actor: "anonymous",
            effective_at: only!.created_at,
            created_at: only!.created_at,
            hash: only!.hash,
          },
        ],
      })
      const read = yield* get(`${path}/${transaction.transaction_id}`)
      assert.strictEqual(read.status, 200)
      assert.strictEqual(read.text, answer.text)
    }),
  )

  it.effect("many changes: all in the order of the request, of two currencies, summing to zero in each", () =>
    Effect.gen(function* () {
      const euros = [yield* open({ initial_balance: "100" }), yield* open(), yield* open()]
      const yens = [
        yield* open({ currency: "JPY", overdraft_limit: "1000" }),
        yield* open({ currency: "JPY", account_id: "00000000-0000-4000-8000-00000000000a" }),
      ]
      const changes = [
        { account_id: euros[2]!.account_id, amount: "60.01" },
        { account_id: yens[0]!.account_id, amount: "-700" },
        { account_id: euros[0]!.account_id, amount: "-100" },
        { account_id: yens[1]!.account_id, amount: "700" },
        { account_id: euros[1]!.account_id, amount: "39.99" },
      ]
      const key = { "idempotency-key": "many" }
      const answer = yield* post(path, { changes }, key)
      assert.strictEqual(answer.status, 201, answer.text)
      const transaction = answer.json as TransactionJson
      assert.deepStrictEqual(
        transaction.changes.map(({ account_id, balance, seq }) => [account_id, balance.posted, seq]),
        [
          [euros[2]!.account_id, "60.01", 1],
          [yens[0]!.account_id, "-700", 1],
          [euros[0]!.account_id, "0.00", 1],
          [yens[1]!.account_id, "700", 1],
          [euros[1]!.account_id, "39.99", 1],
        ],
      )
      assert.lengthOf(new Set(transaction.changes.map(({ created_at }) => created_at)), 1)
      assert.strictEqual((yield* get(`${path}/${transaction.transaction_id}`)).text, answer.text)
      const again = yield* post(path, { changes }, key)
      assert.strictEqual(again.text, answer.text)
      // The row of another leg does not name the transaction.
      const leg = yield* get(`${path}/${transaction.changes[1]!.change_id}`)
      assertProblem(leg, 404, "transaction_not_found")
    }),
  )

  it.effect("a hundred changes are one transaction", () =>
    Effect.gen(function* () {
      const accounts = yield* Effect.forEach(Array.from({ length: 100 }), () => open({ overdraft_limit: null }), {
        concurrency: 8,
      })
      const changes = accounts.map(({ account_id }, i) => ({ account_id, amount: i % 2 === 0 ? "1" : "-1" }))
      const answer = yield* post(path, { changes })
      assert.strictEqual(answer.status, 201, answer.text)
      assert.deepStrictEqual(
        (answer.json as TransactionJson).changes.map(({ account_id }) => account_id),
        changes.map(({ account_id }) => account_id),
      )
    }),
  )

  it.effect("one change that cannot be made keeps all from being made", () =>
    Effect.gen(function* () {
      const rich = yield* open({ initial_balance: "100" })
      const poor = yield* open({ initial_balance: "1" })
      const third = yield* open()
      const before = yield* rowCounts
      const answer = yield* post(path, {
        changes: [
          { account_id: rich.account_id, amount: "-10" },
          { account_id: poor.account_id, amount: "-1.01" },
          { account_id: third.account_id, amount: "11.01" },
        ],
      })
      assert.deepInclude(assertProblem(answer, 422, "insufficient_funds"), {
        account_id: poor.account_id,
        available: "1.00",
        currency: "EUR",
      })
      assert.deepStrictEqual(yield* rowCounts, before)
      yield* assertBalance(rich.account_id, "100.00")
    }),
  )

  it.effect("to the last cent, and no further", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "1", overdraft_limit: "0.50" })
      yield* change(account_id, "-1.50")
      const answer = yield* post(path, { changes: [{ account_id, amount: "-0.01" }] })
      assert.deepInclude(assertProblem(answer, 422, "insufficient_funds"), { available: "0.00" })
      yield* assertBalance(account_id, "-0.50")
    }),
  )

  it.effect("an expected sequence that the account has left is a conflict that names the current one", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "1" })
      const withSeq = (expected_seq: number) => post(path, { changes: [{ account_id, amount: "1", expected_seq }] })
      assert.strictEqual((yield* withSeq(0)).status, 201)
      for (const expected_seq of [0, 2, Number.MAX_SAFE_INTEGER]) {
        const problem = assertProblem(yield* withSeq(expected_seq), 409, "version_conflict")
        assert.deepInclude(problem, { account_id, expected_seq, current_seq: 1 })
      }
      assert.strictEqual((yield* withSeq(1)).status, 201)
    }),
  )

  it.effect("of many that expect the same sequence, one succeeds", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const answers = yield* Effect.all(
        Array.from({ length: 10 }, () => post(path, { changes: [{ account_id, amount: "1", expected_seq: 0 }] })),
        { concurrency: "unbounded" },
      )
      const refused = answers.filter(({ status }) => status !== 201)
      assert.lengthOf(refused, 9)
      for (const answer of refused) {
        assert.deepInclude(assertProblem(answer, 409, "version_conflict"), { current_seq: 1 })
      }
      yield* assertBalance(account_id, "1.00")
    }),
  )

  it.effect("a key is carried out once: the same status and bytes, and a header that says so", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const key = { "idempotency-key": `!~${"k".repeat(253)}` }
      const body = { changes: [{ account_id, amount: "1.5" }], description: "", metadata: { b: "", a: "ä" } }
      const first = yield* post(path, body, key)
      assert.strictEqual(first.status, 201)
      assert.isNull(first.headers.get("idempotency-replayed"))
      yield* change(account_id, "7")
      const before = yield* rowCounts
      // Another spelling of the same request.
      const same = { metadata: { a: "ä", b: "" }, description: "", changes: [{ amount: "1.50", account_id }] }
      for (const repeated of [body, same]) {
        const again = yield* post(path, repeated, { ...key, "x-request-id": "another" })
        assert.strictEqual(again.status, 201)
        assert.strictEqual(again.text, first.text)
        assert.strictEqual(again.headers.get("idempotency-replayed"), "true")
      }
      assert.deepStrictEqual(yield* rowCounts, before)
      yield* assertBalance(account_id, "8.50")
    }),
  )

  it.effect("a key is answered even when the same request would be refused by now", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "1" })
      const key = { "idempotency-key": "spent" }
      const body = { changes: [{ account_id, amount: "-1", expected_seq: 0 }] }
      const first = yield* post(path, body, key)
      yield* setStatus(account_id, "closed")
      const again = yield* post(path, body, key)
      assert.deepStrictEqual([again.status, again.text], [201, first.text])
    }),
  )

  it.effect("a key that is used for another request is refused", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const other = yield* open()
      const key = { "idempotency-key": "one" }
      const leg = { account_id, amount: "1" }
      assert.strictEqual((yield* post(path, { changes: [leg] }, key)).status, 201)
      const before = yield* rowCounts
      for (const body of [
        { changes: [{ ...leg, amount: "2" }] },
        { changes: [{ ...leg, amount: "-1" }] },
        { changes: [{ ...leg, account_id: other.account_id }] },
        { changes: [{ ...leg, currency: "USD" }] },
        { changes: [{ ...leg, expected_seq: 0 }] },
        { changes: [leg], description: "" },
        { changes: [leg], metadata: { a: "1" } },
        { changes: [leg, { account_id: other.account_id, amount: "-1" }] },
        // Precedence: the key is looked at before what the request asks for.
        { changes: [{ ...leg, amount: "-1000" }] },
        { changes: [{ ...leg, account_id: crypto.randomUUID() }] },
      ]) {
        assertProblem(yield* post(path, body, key), 422, "idempotency_key_reused")
      }
      // These ask for nothing that the account and no metadata are not already.
      for (const body of [{ changes: [{ ...leg, currency: "EUR" }] }, { changes: [leg], metadata: {} }]) {
        assert.strictEqual((yield* post(path, body, key)).headers.get("idempotency-replayed"), "true")
      }
      assert.deepStrictEqual(yield* rowCounts, before)
    }),
  )

  it.effect("a refusal is not kept: the same key may succeed later", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const key = { "idempotency-key": "patient" }
      const body = { changes: [{ account_id, amount: "-5" }] }
      assertProblem(yield* post(path, body, key), 422, "insufficient_funds")
      yield* change(account_id, "5")
      const answer = yield* post(path, body, key)
      assert.strictEqual(answer.status, 201)
      assert.isNull(answer.headers.get("idempotency-replayed"))
    }),
  )

  it.effect("a key sent many times at once is carried out once", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const answers = yield* Effect.all(
        Array.from({ length: 12 }, () =>
          post(path, { changes: [{ account_id, amount: "1" }] }, { "idempotency-key": "at-once" }),
        ),
        { concurrency: "unbounded" },
      )
      for (const { status, text } of answers) assert.deepStrictEqual([status, text], [201, answers[0]!.text])
      assert.lengthOf(
        answers.filter(({ headers }) => !headers.has("idempotency-replayed")),
        1,
      )
      yield* assertBalance(account_id, "1.00")
    }),
  )

  it.effect("transfers over the same accounts in both directions all come to an end", () =>
    Effect.gen(function* () {
      const a = yield* open({ initial_balance: "100" })
      const b = yield* open({ initial_balance: "100" })
      const answers = yield* Effect.all(
        Array.from({ length: 16 }, (_, i) =>
          i % 2 === 0 ? transfer(a.account_id, b.account_id) : transfer(b.account_id, a.account_id),
        ),
        { concurrency: "unbounded" },
      )
      for (const { status, text } of answers) assert.strictEqual(status, 201, text)
      for (const { account_id } of [a, b]) {
        const { json } = yield* get(`/v1/accounts/${account_id}`)
        assert.deepInclude(json, { seq: 16, balance: { posted: "100.00", held: "0.00", available: "100.00" } })
      }
    }),
  )

  it.effect("a transaction that is not there", () =>
    Effect.gen(function* () {
      for (const id of ["999999999", "9223372036854775807"]) {
        const problem = assertProblem(yield* get(`${path}/${id}`), 404, "transaction_not_found")
        assert.strictEqual(problem["transaction_id"], id)
      }
    }),
  )

  it.effect("a frozen account takes what its status allows", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "10" })
      const send = (amount: string) => post(path, { changes: [{ account_id, amount }] })
      yield* setStatus(account_id, "debits_frozen")
      assert.deepInclude(assertProblem(yield* send("-1"), 422, "account_frozen"), {
        account_id,
        account_status: "debits_frozen",
      })
      assert.strictEqual((yield* send("1")).status, 201)
      yield* setStatus(account_id, "credits_frozen")
      assertProblem(yield* send("1"), 422, "account_frozen")
      assert.strictEqual((yield* send("-1")).status, 201)
      yield* setStatus(account_id, "frozen")
      assertProblem(yield* send("1"), 422, "account_frozen")
      assertProblem(yield* send("-1"), 422, "account_frozen")
      const { json } = yield* get(`/v1/accounts/${account_id}`)
      assert.deepInclude(json, { status: "frozen", seq: 5 })
      yield* setStatus(account_id, "open")
      assert.strictEqual((yield* send("-10")).status, 201)
      yield* setStatus(account_id, "closed")
      assertProblem(yield* send("1"), 422, "account_closed")
    }),
  )

  it.effect("the request id is the caller's if it can be put into a header and a log", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const idOf = (id: string) => Effect.map(get(`/v1/accounts/${account_id}`, { "x-request-id": id }), idIn)
      for (const id of ["a", "5f0e-!~", "x".repeat(128)]) assert.strictEqual(yield* idOf(id), id)
      for (const id of ["", "with space", "x".repeat(129), "ä", "a\tb"])
        assert.match(yield* idOf(id), /^[0-9a-f-]{36}$/)
      const [one, two] = [yield* get("/livez"), yield* get("/livez")]
      assert.match(idIn(one), /^[0-9a-f-]{36}$/)
      assert.notStrictEqual(idIn(one), idIn(two))
      const refused = yield* request("DELETE", path, { headers: { "x-request-id": "mine" } })
      assert.strictEqual(assertProblem(refused, 405, "method_not_allowed").request_id, "mine")
    }),
  )
})
