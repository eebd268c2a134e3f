import { AccountId } from "@banquo/domain/AccountId"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { Currency } from "@banquo/domain/Currency"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import * as Money from "@banquo/domain/Money"
import { assert, layer } from "@effect/vitest"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Effect, Exit, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import * as TestServer from "./TestServer.ts"
import { setStatus } from "./TestServer.ts"
import * as Client from "@banquo/api/Client"
import { made } from "@banquo/api/DryRun"
import * as Problem from "@banquo/api/Problem"

const EUR = Currency.make("EUR")
const amount = (text: string): Money.PositiveAmount => Money.Amount.make(text) as Money.PositiveAmount
const newYear = Timestamp.parse("2020-01-01T00:00:00Z")!
const key = (text: string) => ({ "idempotency-key": IdempotencyKey.make(text) })
const newId = () => AccountId.make(crypto.randomUUID())

const client = Effect.flatMap(TestServer.TestServer, ({ url }) => Client.make({ baseUrl: url }))

/** The route answers in other formats too, where they are asked for. */
const pageOf = <A extends object, E>(answer: A | string | Stream.Stream<unknown, E>): A => {
  if (typeof answer === "string" || Stream.isStream(answer)) throw new TypeError("not a page")
  return answer
}

const withHttp = FetchHttpClient.layer.pipe(Layer.provideMerge(TestServer.layer))

layer(withHttp, { excludeTestServices: true })("the typed client", (it) => {
  it.effect("opens, posts, reads and pages", () =>
    Effect.gen(function* () {
      const api = yield* client
      const { body: ann, headers: opened } = yield* made(
        api.accounts.open({
          headers: { "idempotency-key": IdempotencyKey.make("client-1") },
          payload: {
            customer_name: "Ann",
            currency: EUR,
            initial_balance: amount("100"),
            overdraft_limit: null,
            metadata: JSON.parse('{"__proto__":"kept","b":"2"}'),
          },
        }),
      )
      assert.deepStrictEqual(opened, {})
      assert.deepStrictEqual([ann.balance.posted, ann.balance.available], ["100.00", null])
      assert.deepStrictEqual(Object.entries(ann.metadata), [
        ["__proto__", "kept"],
        ["b", "2"],
      ])
      const { body: bob } = yield* made(
        api.accounts.open({ headers: {}, payload: { customer_name: "Bob", currency: EUR } }),
      )

      const transfer = {
        headers: { "idempotency-key": IdempotencyKey.make("client-2") },
        payload: {
          changes: [
            { account_id: ann.account_id, amount: amount("-12.50"), currency: EUR, expected_seq: 0 },
            { account_id: bob.account_id, amount: amount("12.50") },
          ],
          description: "rent",
        },
      }
      const first = yield* made(api.transactions.post(transfer))
      assert.strictEqual(typeof first.body.transaction_id, "bigint")
      assert.deepStrictEqual(first.headers, {})
      const again = yield* made(api.transactions.post(transfer))
      assert.deepStrictEqual(again.body, first.body)
      assert.deepStrictEqual(again.headers, { "idempotency-replayed": "true" })
      const read = yield* api.transactions.read({ params: { transaction_id: first.body.transaction_id } })
      assert.deepStrictEqual(read, first.body)

      const { body, headers } = yield* api.accounts.read({ params: { account_id: bob.account_id } })
      assert.deepStrictEqual([body.balance.posted, body.seq, headers.etag], ["12.50", 1, '"1"'])
      const changesOf = (query: { readonly cursor?: string; readonly format?: "ndjson" | "csv" }) =>
        api.accounts.changes({
          params: { account_id: bob.account_id },
          query: { order: "asc", ...(query.format === undefined && { limit: 1 }), ...query },
        })
      const page = pageOf(yield* changesOf({}))
      assert.deepStrictEqual([page.changes.length, page.previous_cursor], [1, null])
      const next = pageOf(yield* changesOf({ cursor: page.next_cursor! }))
      assert.deepStrictEqual(next.changes, [first.body.changes[1]!])

      const stream = yield* changesOf({ format: "ndjson" })
      if (!Stream.isStream(stream)) return assert.fail("not a stream")
      assert.deepStrictEqual(yield* Stream.runCollect(stream), [...page.changes, ...next.changes])
      const csv = yield* changesOf({ format: "csv" })
      assert.strictEqual(typeof csv === "string" && csv.split("\r\n").length, 4)

      const params = { account_id: bob.account_id }
      const [opened0, moved] = [page.changes[0]!, first.body.changes[1]!].map(({ created_at }) =>
        Timestamp.parse(created_at)!,
      )
      const before = yield* api.accounts.balance({ params, query: { at: opened0! } })
      assert.deepStrictEqual([before.posted, before.seq, before.available], ["0.00", 0, "0.00"])
      const effective = yield* api.accounts.balance({ params, query: { axis: "effective", at: moved! } })
      assert.deepStrictEqual([effective.posted, "held" in effective], ["12.50", false])
      const atRow = yield* api.accounts.balance({ params, query: { seq: 1 } })
      assert.deepStrictEqual([atRow.posted, atRow.hash], ["12.50", first.body.changes[1]!.hash])

      const period = { from: opened0!, to: Timestamp.make(moved! + 1n) }
      const statement = yield* api.accounts.statement({ params, query: period })
      if (typeof statement === "string") return assert.fail("not JSON")
      assert.deepStrictEqual(
        [statement.opening, statement.credits, statement.closing, statement.rows.map(({ change_id }) => change_id)],
        ["0.00", { count: 1, sum: "12.50" }, "12.50", [first.body.changes[1]!.change_id]],
      )
      const html = yield* api.accounts.statement({ params, query: { ...period, format: "html" } })
      assert.isTrue(typeof html === "string" && html.startsWith("<!doctype html>"))

      const list = yield* api.accounts.list({ query: { limit: 1 } })
      const rest = yield* api.accounts.list({ query: { cursor: AccountId.make(list.next_cursor!) } })
      assert.sameMembers(
        [...list.accounts, ...rest.accounts].map(({ account_id }) => account_id),
        [ann.account_id, bob.account_id],
      )
      assert.deepStrictEqual(yield* api.livez(), { status: "live" })
      assert.strictEqual((yield* api.readyz()).status, "ready")
    }),
  )

  it.effect("fails with the classes of Problem.ts, caught by their tags", () =>
    Effect.gen(function* () {
      const api = yield* client
      const { body: ann } = yield* made(
        api.accounts.open({ headers: {}, payload: { customer_name: "Ann", currency: EUR } }),
      )
      const { account_id } = ann
      const post = (...changes: ReadonlyArray<object>) =>
        api.transactions.post({
          headers: {},
          payload: { changes: changes.map((change) => ({ account_id, amount: amount("1"), ...change })) },
        })

      const funds = yield* post({ amount: amount("-5") }).pipe(
        Effect.as(undefined),
        Effect.catchTag("InsufficientFunds", (problem) => Effect.succeed(problem)),
      )
      assert.instanceOf(funds, Problem.InsufficientFunds)
      assert.deepStrictEqual(
        [funds.status, funds.code, funds.available, funds.currency, funds.account_id, funds.retryable],
        [422, "insufficient_funds", "0.00", "EUR", account_id, false],
      )
      assert.isNotEmpty(funds.request_id)

      const conflict = yield* Effect.flip(post({ expected_seq: 3 }))
      assert.instanceOf(conflict, Problem.VersionConflict)
      assert.deepStrictEqual([conflict.expected_seq, conflict.current_seq], [3, 0])

      const unknown = newId()
      const missing = yield* Effect.flip(api.accounts.read({ params: { account_id: unknown } }))
      assert.instanceOf(missing, Problem.AccountNotFound)
      assert.strictEqual(missing.account_id, unknown)
      const transaction_id = BalanceChangeId.make(2n ** 63n - 1n)
      const none = yield* Effect.flip(api.transactions.read({ params: { transaction_id } }))
      assert.instanceOf(none, Problem.TransactionNotFound)
      assert.strictEqual(none.transaction_id, transaction_id)

      assert.instanceOf(yield* Effect.flip(post({ currency: Currency.make("USD") })), Problem.CurrencyMismatch)
      assert.instanceOf(yield* Effect.flip(post({ amount: amount("0.001") })), Problem.ScaleExceeded)
      assert.instanceOf(yield* Effect.flip(post({}, {})), Problem.SameAccount)
      const { body: bob } = yield* made(
        api.accounts.open({ headers: {}, payload: { customer_name: "Bob", currency: EUR } }),
      )
      const unbalanced = yield* Effect.flip(post({}, { account_id: bob.account_id }))
      assert.instanceOf(unbalanced, Problem.Unbalanced)
      assert.deepStrictEqual([unbalanced.sum, unbalanced.currency], ["2.00", "EUR"])

      const opening = { customer_name: "Cid", currency: EUR, account_id: newId() }
      yield* api.accounts.open({ headers: {}, payload: opening })
      const reused = yield* Effect.flip(
        api.accounts.open({ headers: {}, payload: { ...opening, customer_name: "Dan" } }),
      )
      assert.instanceOf(reused, Problem.IdempotencyKeyReused)

      yield* setStatus(account_id, "frozen")
      const frozen = yield* Effect.flip(post({}))
      assert.instanceOf(frozen, Problem.AccountFrozen)
      assert.strictEqual(frozen.account_status, "frozen")
    }),
  )

  it.effect("holds, captures, reverses, freezes, and runs dry", () =>
    Effect.gen(function* () {
      const api = yield* client
      const open = (balance: string) =>
        Effect.map(
          made(
            api.accounts.open({
              headers: {},
              payload: { customer_name: "Ann", currency: EUR, initial_balance: amount(balance) },
            }),
          ),
          ({ body }) => body.account_id,
        )
      const [ann, shop] = [yield* open("100"), yield* open("0")]

      const { body: placed } = yield* made(
        api.holds.place({ headers: key("hold"), payload: { account_id: ann, amount: amount("30"), ttl: 3600 } }),
      )
      const { hold_id } = placed.hold
      assert.strictEqual(typeof hold_id, "bigint")
      assert.deepStrictEqual([placed.hold.state, placed.hold.remaining], ["open", "30.00"])
      const params = { hold_id }
      assert.deepStrictEqual(yield* api.holds.read({ params }), placed.hold)
      const expires_at = Timestamp.make(Timestamp.parse(placed.hold.expires_at)! + 1n)
      const { body: increased } = yield* made(
        api.holds.increase({ params, headers: {}, payload: { amount: amount("10"), expires_at } }),
      )
      assert.deepStrictEqual([increased.hold.amount, Timestamp.parse(increased.hold.expires_at)], ["40.00", expires_at])
      const capture = { params, headers: key("capture"), payload: { amount: amount("15"), final: false, to: shop } }
      const { body: captured } = yield* made(api.holds.capture(capture))
      assert.deepStrictEqual(
        captured.transaction.changes.map(({ account_id, flavor }) => [account_id, flavor]),
        [
          [ann, "CAPTURE"],
          [shop, "FLOW"],
        ],
      )
      const { body: released } = yield* made(api.holds.release({ params, headers: {}, payload: {} }))
      assert.deepStrictEqual([released.hold.state, released.hold.released], ["released", "25.00"])
      const again = yield* made(api.holds.capture(capture))
      assert.deepStrictEqual([again.body, again.headers], [captured, { "idempotency-replayed": "true" }])
      const page = yield* api.holds.list({ query: { account_id: ann, state: "released", limit: 1 } })
      assert.deepStrictEqual(page, { holds: [released.hold], next_cursor: null })
      const ended = yield* Effect.flip(api.holds.capture({ params, headers: {}, payload: {} }))
      assert.instanceOf(ended, Problem.HoldAlreadyReleased)
      assert.strictEqual(ended.hold_id, hold_id)

      const reversal = { params: { transaction_id: captured.transaction.transaction_id }, headers: {}, payload: {} }
      const { body: reversed } = yield* made(api.transactions.reverse(reversal))
      assert.strictEqual(reversed.reverses_transaction_id, captured.transaction.transaction_id)
      assert.instanceOf(yield* Effect.flip(api.transactions.reverse(reversal)), Problem.AlreadyReversed)

      const terms = { params: { account_id: ann }, payload: { status: "debits_frozen", reason: "lost card" } } as const
      const { body: frozen, headers } = yield* made(api.accounts.change({ ...terms, headers: key("freeze") }))
      assert.deepStrictEqual([frozen.status, headers.etag], ["debits_frozen", `"${frozen.seq}"`])
      const stale = yield* Effect.flip(api.accounts.change({ ...terms, headers: { "if-match": '"0"' } }))
      assert.instanceOf(stale, Problem.PreconditionFailed)
      const later = { ...terms, headers: { "if-match": headers.etag! } }
      const renamed = yield* made(
        api.accounts.change({ ...later, payload: { status: "open", customer_name: "Ann B.", overdraft_limit: null } }),
      )
      assert.deepStrictEqual([renamed.body.customer_name, renamed.body.balance.available], ["Ann B.", null])

      const required = yield* Effect.flip(
        api.transactions.post({
          headers: {},
          payload: {
            changes: [{ account_id: shop, amount: amount("1"), require: { posted: { gt: amount("1") } } }],
            effective_at: newYear,
          },
        }),
      )
      assert.instanceOf(required, Problem.ConditionNotMet)
      assert.deepStrictEqual(
        [required.subject, required.comparison, required.amount, required.actual],
        ["posted", "gt", "1", "1.00"],
      )

      const change = { account_id: shop, amount: amount("1") }
      const dry = yield* api.transactions.post({ headers: {}, payload: { changes: [change], dry_run: true } })
      if (!("dry_run" in dry)) return assert.fail("it was made")
      assert.deepStrictEqual([dry.replayed, dry.changes[0]!.balance.posted], [false, "1.00"])
      const { body } = yield* api.accounts.change({
        ...terms,
        headers: {},
        payload: { status: "frozen", dry_run: true },
      })
      assert.isTrue("dry_run" in body)
      // Who says that nothing is asked dry, and asks so, has a bug.
      for (const answer of [
        made(api.transactions.post({ headers: {}, payload: { changes: [change], dry_run: true } })),
        made(api.accounts.change({ ...terms, headers: {}, payload: { status: "frozen", dry_run: true } })),
      ]) {
        assert.isTrue(Exit.hasDies(yield* Effect.exit<unknown, unknown, never>(answer)))
      }
      assert.strictEqual((yield* api.accounts.read({ params: { account_id: ann } })).body.status, "open")
    }),
  )

  it.effect("a request that does not fit the contract is not sent", () =>
    Effect.gen(function* () {
      const api = yield* client
      const account_id = newId()
      const error = yield* Effect.flip(
        api.transactions.post({
          headers: {},
          payload: { changes: [{ account_id, amount: "1e3" as Money.NonZeroAmount }] },
        }),
      )
      assert.strictEqual(error._tag, "SchemaError")
    }),
  )
})
