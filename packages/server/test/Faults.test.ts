import { assert, layer } from "@effect/vitest"
import { DbConn } from "@banquo/ledger/DbConn"
import { Effect, Fiber } from "effect"
import { connect } from "node:net"
import { FaultyProxy } from "@banquo/testing/FaultyProxy"
import * as TestServer from "./TestServer.ts"
import {
  type AccountJson,
  assertProblem,
  change,
  eventually,
  get,
  open,
  post,
  request,
  rowCounts,
  type TransactionJson,
} from "./TestServer.ts"

const transactions = "/v1/transactions"
const insertChange = "INSERT INTO balance_change"
const one = (account_id: string, amount = "1") => ({ changes: [{ account_id, amount }] })

const readAccount = (account_id: string) =>
  Effect.map(get(`/v1/accounts/${account_id}`), ({ json }) => json as AccountJson)

/** Appends to the account past the server. */
const appendElsewhere = (account_id: string) =>
  DbConn.use(
    ({ sql }) => sql`
      INSERT INTO balance_change (bchg_id, acct_id, acct_seq, chg_flavor, prev_bchg_id, currency, scale, chg_amt, balance, held_amt, held,
        overdraft_limit, acct_status, is_forced, xact_id, xact_rows, actor, effective_time, chg_create_time, chg_hash)
      SELECT i.id, t.acct_id, t.acct_seq + 1, 'FLOW'::bal_chg_flavor, t.bchg_id, t.currency, t.scale, 1, t.balance + 1, 0, t.held,
        t.overdraft_limit, t.acct_status, false, i.id, 1, 'other', now(), now(), t.chg_hash
      FROM (SELECT unique_rowid() AS id) i,
        (SELECT * FROM balance_change WHERE acct_id = ${account_id}::UUID ORDER BY acct_seq DESC LIMIT 1) t`,
  )

/** Undone at the end, whatever happens, so that the tests after it have a database. */
const goAway = Effect.acquireRelease(
  FaultyProxy.use(({ goAway }) => goAway),
  () => FaultyProxy.use(({ comeBack }) => comeBack),
)

layer(TestServer.layerBehindProxy, { excludeTestServices: true })("faults", (it) => {
  it.effect("the database away from the middle of a write on: nothing is guessed, and all is well afterwards", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      const [a, b, c] = yield* Effect.all([open(), open(), open()])
      const key = { "idempotency-key": "in-the-middle" }
      const before = yield* rowCounts
      const held = yield* proxy.hold(insertChange)
      const sent = yield* Effect.forkChild(post(transactions, one(a.account_id), key))
      yield* held.arrived
      yield* goAway
      yield* held.release
      const meanwhile = [
        post(transactions, one(b.account_id)),
        post(transactions, one(c.account_id), { "idempotency-key": "away" }),
        post("/v1/accounts", { customer_name: "Ann", currency: "EUR" }),
        get("/v1/accounts"),
        get(`/v1/accounts/${a.account_id}`),
        get(`/v1/accounts/${a.account_id}/changes`),
        get(`${transactions}/1`),
      ]
      for (const answer of yield* Effect.all(meanwhile, { concurrency: "unbounded" })) {
        assertProblem(answer, 503, "database_unavailable")
      }
      const { detail } = assertProblem(yield* Fiber.join(sent), 503, "database_unavailable")
      assert.include(detail, "Idempotency-Key")

      for (const legacy of [
        get(`/account/${a.account_id}`),
        get(`/transaction/history/${a.account_id}`),
        post("/transaction", { account_id: b.account_id, amount: 1 }),
        request("POST", "/make-dummy-account"),
      ]) {
        const { headers, status, text } = yield* legacy
        assert.deepStrictEqual(
          [status, headers.get("content-type"), headers.get("retry-after"), text],
          [503, "text/plain", "1", "the database is not available; nothing was applied"],
        )
      }
      // What is wrong with a request is told with the database away, too.
      assertProblem(yield* post(transactions, one(a.account_id, "1e3")), 400, "invalid_request")
      assert.deepStrictEqual(yield* rowCounts, before)

      yield* proxy.comeBack
      const answer = yield* eventually(post(transactions, one(a.account_id), key), ({ status }) => status !== 503)
      assert.strictEqual(answer.status, 201)
      const retried = yield* post(transactions, one(c.account_id), { "idempotency-key": "away" })
      assert.strictEqual(retried.status, 201)
      assert.deepStrictEqual(yield* rowCounts, { ...before, changes: before.changes + 2 })
      assert.strictEqual((yield* readAccount(a.account_id)).balance.posted, "1.00")
    }),
  )

  for (const fault of ["loseReply", "loseStatement", "abandon"] as const) {
    it.effect(`${fault}: a change is made once, and its answer is what is stored`, () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { account_id } = yield* open()
        const before = yield* rowCounts
        const { happened } = yield* proxy[fault](insertChange)
        const answer = yield* post(transactions, one(account_id))
        yield* happened
        assert.strictEqual(answer.status, 201, answer.text)
        assert.isNull(answer.headers.get("idempotency-replayed"))
        assert.deepStrictEqual(yield* rowCounts, { ...before, changes: before.changes + 1 })
        const { transaction_id } = answer.json as TransactionJson
        assert.strictEqual((yield* get(`${transactions}/${transaction_id}`)).text, answer.text)
        assert.strictEqual((yield* readAccount(account_id)).balance.posted, "1.00")
      }),
    )

    it.effect(`${fault}: so is a change with a key`, () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { account_id } = yield* open()
        const key = { "idempotency-key": `fault-${fault}` }
        yield* proxy[fault](insertChange)
        const answer = yield* post(transactions, one(account_id), key)
        assert.strictEqual(answer.status, 201, answer.text)
        const again = yield* post(transactions, one(account_id), key)
        assert.deepStrictEqual([again.status, again.text], [201, answer.text])
        assert.strictEqual(again.headers.get("idempotency-replayed"), "true")
        assert.strictEqual((yield* readAccount(account_id)).seq, 1)
      }),
    )

    for (const statement of [insertChange, "COMMIT"]) {
      it.effect(`${fault} of ${statement}: an account is opened once`, () =>
        Effect.gen(function* () {
          const proxy = yield* FaultyProxy
          const before = yield* rowCounts
          const { happened } = yield* proxy[fault](statement)
          const answer = yield* post("/v1/accounts", { customer_name: "Ann", currency: "EUR", initial_balance: "5" })
          yield* happened
          assert.strictEqual(answer.status, 201, answer.text)
          assert.deepStrictEqual(yield* rowCounts, { accounts: before.accounts + 1, changes: before.changes + 1 })
          const { account_id } = answer.json as AccountJson
          assert.strictEqual((yield* get(`/v1/accounts/${account_id}`)).text, answer.text)
        }),
      )
    }
  }

  it.effect("replies lost again and again", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      const { account_id } = yield* open()
      const { happened } = yield* proxy.loseReply("balance_change", 3)
      const answer = yield* eventually(
        post(transactions, one(account_id), { "idempotency-key": "again-and-again" }),
        ({ status }) => status !== 503,
      )
      yield* happened
      assert.strictEqual(answer.status, 201)
      assert.strictEqual((yield* readAccount(account_id)).balance.posted, "1.00")
    }),
  )

  it.effect("a read whose connection dies is answered all the same", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      const { account_id } = yield* open()
      for (const fault of ["loseReply", "loseStatement"] as const) {
        const { happened } = yield* proxy[fault]("CROSS JOIN")
        assert.strictEqual((yield* get(`/v1/accounts/${account_id}`)).status, 200)
        yield* happened
      }
    }),
  )

  it.effect("an account that others never stop writing to: 503 contention, and nothing is written", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      const { account_id } = yield* open()
      const sent = yield* Effect.forkChild(post(transactions, one(account_id), { "idempotency-key": "contended" }))
      const outrun = Effect.gen(function* () {
        const held = yield* proxy.hold(insertChange)
        yield* Effect.ensuring(Effect.andThen(held.arrived, appendElsewhere(account_id)), held.release)
      })
      const answer = yield* Effect.raceFirst(Fiber.join(sent), Effect.forever(outrun))
      assertProblem(answer, 503, "contention")
      const { balance, seq } = yield* readAccount(account_id)
      assert.strictEqual(balance.posted, `${seq}.00`)
      const again = yield* post(transactions, one(account_id), { "idempotency-key": "contended" })
      assert.strictEqual(again.status, 201)
      assert.isNull(again.headers.get("idempotency-replayed"))
      assert.strictEqual((again.json as TransactionJson).changes[0]!.seq, seq + 1)
    }),
  )

  it.effect("others that write to the account now and then are no hindrance", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      const { account_id } = yield* open()
      const held = yield* proxy.hold(insertChange)
      const sent = yield* Effect.forkChild(post(transactions, one(account_id)))
      yield* held.arrived
      yield* appendElsewhere(account_id)
      yield* held.release
      const answer = yield* Fiber.join(sent)
      assert.strictEqual(answer.status, 201)
      assert.deepInclude((answer.json as TransactionJson).changes[0], { seq: 2, amount: "1.00" })
    }),
  )

  it.effect("a client that hangs up during a write does not stop it", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      const { url } = yield* TestServer.TestServer
      const { account_id } = yield* open()
      const before = yield* rowCounts
      const held = yield* proxy.hold(insertChange)
      const body = JSON.stringify(one(account_id))
      const client = connect({ host: "127.0.0.1", port: Number(new URL(url).port) })
      client.write(
        `POST ${transactions} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nidempotency-key: hangs-up\r\n` +
          `content-length: ${body.length}\r\n\r\n${body}`,
      )
      yield* held.arrived
      yield* Effect.callback<void>((resume) => {
        client.once("close", () => resume(Effect.void))
        client.resetAndDestroy()
      })
      // A request that came after is answered: by then the server knows that the client has left.
      yield* get("/livez")
      assert.deepStrictEqual(yield* rowCounts, before)
      yield* held.release
      const after = yield* eventually(rowCounts, ({ changes }) => changes > before.changes)
      const again = yield* post(transactions, one(account_id), { "idempotency-key": "hangs-up" })
      assert.strictEqual(again.status, 201)
      assert.strictEqual(again.headers.get("idempotency-replayed"), "true")
      assert.deepStrictEqual(yield* rowCounts, after)
      assert.strictEqual(after.changes, before.changes + 1)
    }),
  )

  it.effect("clients that hang up at any moment leave no more than what they asked for", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i),
        (i) =>
          Effect.raceFirst(
            post(transactions, one(account_id), { "idempotency-key": `leaver-${i}` }),
            Effect.forEach(Array.from({ length: i }), () => Effect.promise(() => Promise.resolve())),
          ),
        { concurrency: 4 },
      )
      for (let i = 0; i < 20; i++) {
        const answer = yield* post(transactions, one(account_id), { "idempotency-key": `leaver-${i}` })
        assert.strictEqual(answer.status, 201)
      }
      const { balance, seq } = yield* readAccount(account_id)
      assert.deepStrictEqual([balance.posted, seq], ["20.00", 20])
      yield* change(account_id, "1")
    }),
  )
})
