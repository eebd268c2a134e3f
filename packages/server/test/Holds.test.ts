/** Money set aside: what becomes of a hold, and of the account's balance meanwhile. */
import { openHoldsMax, ttlDefault } from "@banquo/domain/Hold"
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
  type HoldJson,
  type HoldWrittenJson,
  open,
  post,
  rowCounts,
  type TransactionJson,
} from "./TestServer.ts"

const holds = "/v1/holds"

type Action = "capture" | "increase" | "release"

const act = (id: string, action: Action, body: object = {}, headers?: Record<string, string>) =>
  post(`${holds}/${id}/${action}`, body, headers)

/** Acts and answers with what came of it. */
const done = (id: string, action: Action, body: object = {}) =>
  Effect.map(act(id, action, body), (answer) => {
    assert.strictEqual(answer.status, 201, answer.text)
    return answer.json as HoldWrittenJson
  })

const read = (id: string) =>
  Effect.map(get(`${holds}/${id}`), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return answer.json as HoldJson
  })

const list = (query: string) =>
  Effect.map(get(`${holds}?${query}`), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return answer.json as { readonly holds: ReadonlyArray<HoldJson>; readonly next_cursor: string | null }
  })

const moneyOf = ({ amount, captured, released, remaining, state }: HoldJson) => [
  state,
  amount,
  captured,
  released,
  remaining,
]

const balanceOf = (account_id: string) =>
  Effect.map(account(account_id), ({ balance: { available, held, posted } }) => [posted, held, available])

const later = (time: "1 minute" | "1 hour") => TestServer.LaterClock.useSync(({ goOn }) => goOn(time))

layer(TestServer.layerWithClock, { excludeTestServices: true })("a hold", (it) => {
  it.effect("is placed: the money stays, and cannot be spent", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const answer = yield* post(holds, {
        account_id: account_id.toUpperCase(),
        amount: "80.5",
        currency: "EUR",
        ttl: 600,
        description: "hotel ☕",
        metadata: { room: "12", floor: "1" },
        expected_seq: 0,
      })
      assert.strictEqual(answer.status, 201, answer.text)
      const { hold, transaction } = answer.json as HoldWrittenJson
      const [row] = transaction.changes
      assert.deepStrictEqual(hold, {
        hold_id: row!.change_id,
        account_id,
        state: "open",
        currency: "EUR",
        amount: "80.50",
        captured: "0.00",
        released: "0.00",
        remaining: "80.50",
        expires_at: new Date(Date.parse(row!.created_at) + 600_000).toISOString().replace("Z", "000Z"),
        description: "hotel ☕",
        metadata: { floor: "1", room: "12" },
        actor: "anonymous",
        created_at: row!.created_at,
        updated_at: row!.created_at,
      })
      assert.lengthOf(transaction.changes, 1)
      assert.deepInclude(row, {
        account_id,
        seq: 1,
        flavor: "HOLD",
        amount: "0.00",
        held_amount: "80.50",
        balance: { posted: "100.00", held: "80.50", available: "19.50" },
        hold_id: hold.hold_id,
      })
      assert.deepStrictEqual(yield* read(hold.hold_id), hold)
      assert.deepStrictEqual((yield* get(`/v1/transactions/${transaction.transaction_id}`)).json, transaction)
      assert.deepStrictEqual(yield* balanceOf(account_id), ["100.00", "80.50", "19.50"])

      const spend = yield* post("/v1/transactions", { changes: [{ account_id, amount: "-19.51" }] })
      assert.deepInclude(assertProblem(spend, 422, "insufficient_funds"), { available: "19.50" })
      const more = yield* post(holds, { account_id, amount: "19.51" })
      assert.deepInclude(assertProblem(more, 422, "insufficient_funds"), { available: "19.50" })
      yield* change(account_id, "-19.50")
      assert.deepStrictEqual(yield* balanceOf(account_id), ["80.50", "80.50", "0.00"])
    }),
  )

  it.effect("without a word on it, lasts a week; else until an instant, to the microsecond", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { created_at, expires_at } = yield* hold(account_id, "1")
      assert.strictEqual(Date.parse(expires_at) - Date.parse(created_at), ttlDefault * 1000)
      const year = new Date(Date.parse(created_at)).getUTCFullYear()
      // Within the longest that a hold may last, wherever in the year the test runs.
      const instant = `${year + 1}-01-01T00:00:00.000001`
      const until = yield* hold(account_id, "1", { expires_at: `${instant}+00:00` })
      assert.strictEqual(until.expires_at, `${instant}Z`)
    }),
  )

  it.effect("is increased, and lasts as long as before, or longer", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "30" })
      const placed = yield* hold(account_id, "10", { description: "hotel" })
      const more = yield* done(placed.hold_id, "increase", { amount: "5.5", description: "minibar" })
      assert.deepStrictEqual(moneyOf(more.hold), ["open", "15.50", "0.00", "0.00", "15.50"])
      assert.deepInclude(more.hold, { expires_at: placed.expires_at, description: "hotel" })
      assert.deepInclude(more.transaction, { description: "minibar" })
      const funds = yield* act(placed.hold_id, "increase", { amount: "14.51" })
      assert.deepInclude(assertProblem(funds, 422, "insufficient_funds"), { available: "14.50" })
      const longer = yield* done(placed.hold_id, "increase", { amount: "14.50", ttl: 30 * 24 * 3600 })
      assert.isAbove(Date.parse(longer.hold.expires_at), Date.parse(placed.expires_at))
      assert.deepStrictEqual(yield* balanceOf(account_id), ["30.00", "30.00", "0.00"])
      const late = yield* act(placed.hold_id, "increase", { amount: "1", expires_at: "2020-01-01T00:00:00Z" })
      assertProblem(late, 422, "expiry_out_of_range")
    }),
  )

  it.effect("is captured: all of it, unless said otherwise", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { hold_id } = yield* hold(account_id, "30")
      const { hold: captured, transaction } = yield* done(hold_id, "capture")
      assert.deepStrictEqual(moneyOf(captured), ["captured", "30.00", "30.00", "0.00", "0.00"])
      assert.deepStrictEqual(
        transaction.changes.map(({ amount, flavor, held_amount }) => [flavor, amount, held_amount]),
        [["CAPTURE", "-30.00", "-30.00"]],
      )
      assert.deepStrictEqual(yield* balanceOf(account_id), ["70.00", "0.00", "70.00"])
      assert.deepStrictEqual(yield* read(hold_id), captured)
    }),
  )

  it.effect("is captured in part, and the rest is released", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { hold_id } = yield* hold(account_id, "30")
      const { hold: captured, transaction } = yield* done(hold_id, "capture", { amount: "12.34" })
      assert.deepStrictEqual(moneyOf(captured), ["captured", "30.00", "12.34", "17.66", "0.00"])
      assert.deepStrictEqual(
        transaction.changes.map(({ amount, flavor, held_amount, hold_id }) => [flavor, amount, held_amount, hold_id]),
        [
          ["CAPTURE", "-12.34", "-12.34", hold_id],
          ["RELEASE", "0.00", "-17.66", hold_id],
        ],
      )
      assert.deepStrictEqual(yield* balanceOf(account_id), ["87.66", "0.00", "87.66"])
    }),
  )

  it.effect("is captured again and again with final: false, never more than is left", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { hold_id } = yield* hold(account_id, "30")
      const one = yield* done(hold_id, "capture", { amount: "10", final: false })
      assert.deepStrictEqual(moneyOf(one.hold), ["open", "30.00", "10.00", "0.00", "20.00"])
      assert.deepStrictEqual(yield* balanceOf(account_id), ["90.00", "20.00", "70.00"])
      const over = yield* act(hold_id, "capture", { amount: "20.01", final: false })
      assert.deepInclude(assertProblem(over, 422, "capture_exceeds_hold"), {
        hold_id,
        remaining: "20.00",
        currency: "EUR",
      })
      const two = yield* done(hold_id, "capture", { amount: "5", final: false })
      assert.deepStrictEqual(moneyOf(two.hold), ["open", "30.00", "15.00", "0.00", "15.00"])
      // Nothing is left: it has ended, final or not.
      const three = yield* done(hold_id, "capture", { final: false })
      assert.deepStrictEqual(moneyOf(three.hold), ["captured", "30.00", "30.00", "0.00", "0.00"])
      assert.deepStrictEqual(yield* balanceOf(account_id), ["70.00", "0.00", "70.00"])
    }),
  )

  it.effect("is captured into another account: a transfer from held money, in one transaction", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { account_id: shop } = yield* open()
      const { hold_id } = yield* hold(account_id, "100")
      const { hold: captured, transaction } = yield* done(hold_id, "capture", { amount: "60", to: shop.toUpperCase() })
      assert.deepStrictEqual(moneyOf(captured), ["captured", "100.00", "60.00", "40.00", "0.00"])
      assert.deepStrictEqual(
        transaction.changes.map(({ account_id, amount, balance, flavor, transaction_id }) => [
          account_id,
          flavor,
          amount,
          balance.posted,
          transaction_id,
        ]),
        [
          [account_id, "CAPTURE", "-60.00", "40.00", transaction.transaction_id],
          [account_id, "RELEASE", "0.00", "40.00", transaction.transaction_id],
          [shop, "FLOW", "60.00", "60.00", transaction.transaction_id],
        ],
      )
      assert.deepStrictEqual(yield* balanceOf(account_id), ["40.00", "0.00", "40.00"])
      assert.deepStrictEqual(yield* balanceOf(shop), ["60.00", "0.00", "60.00"])
      assert.deepStrictEqual((yield* get(`/v1/transactions/${transaction.transaction_id}`)).json, transaction)

      const yen = yield* open({ currency: "JPY" })
      const other = yield* hold(account_id, "10")
      assertProblem(yield* act(other.hold_id, "capture", { to: yen.account_id }), 422, "currency_mismatch")
      assertProblem(yield* act(other.hold_id, "capture", { to: account_id }), 422, "same_account")
      yield* amend(shop, { status: "credits_frozen" })
      const frozen = yield* act(other.hold_id, "capture", { to: shop })
      assert.deepInclude(assertProblem(frozen, 422, "account_frozen"), { account_id: shop })
      assert.deepStrictEqual(moneyOf(yield* read(other.hold_id)), ["open", "10.00", "0.00", "0.00", "10.00"])
    }),
  )

  it.effect("is released", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { hold_id } = yield* hold(account_id, "30")
      yield* done(hold_id, "capture", { amount: "10", final: false })
      const { hold: released, transaction } = yield* done(hold_id, "release", { description: "left early" })
      assert.deepStrictEqual(moneyOf(released), ["released", "30.00", "10.00", "20.00", "0.00"])
      assert.deepInclude(transaction, { description: "left early" })
      assert.deepStrictEqual(yield* balanceOf(account_id), ["90.00", "0.00", "90.00"])
      assert.deepStrictEqual(yield* read(hold_id), released)
    }),
  )

  it.effect("ends once: whatever comes after is told how", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      type End = (id: string) => Effect.Effect<unknown, never, TestServer.TestServer | TestServer.LaterClock>
      const endings: ReadonlyArray<readonly [code: string, end: End]> = [
        ["hold_already_captured", (id) => done(id, "capture")],
        ["hold_already_captured", (id) => done(id, "capture", { amount: "1" })],
        ["hold_already_released", (id) => done(id, "release")],
        [
          "hold_already_released",
          (id) => Effect.andThen(done(id, "capture", { amount: "1", final: false }), done(id, "release")),
        ],
        ["hold_expired", () => later("1 minute")],
        ["hold_expired", (id) => Effect.andThen(done(id, "capture", { amount: "1", final: false }), later("1 minute"))],
      ]
      for (const [code, end] of endings) {
        const { hold_id } = yield* hold(account_id, "10", { ttl: 60 })
        yield* end(hold_id)
        const before = [moneyOf(yield* read(hold_id)), yield* balanceOf(account_id)]
        for (const [action, body] of [
          ["increase", { amount: "1" }],
          ["capture", {}],
          ["capture", { amount: "1000" }],
          ["release", {}],
        ] as const) {
          assert.deepInclude(assertProblem(yield* act(hold_id, action, body), 409, code), { hold_id })
        }
        assert.deepStrictEqual([moneyOf(yield* read(hold_id)), yield* balanceOf(account_id)], before)
      }
    }),
  )

  it.effect("resolved by many at once ends once", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { hold_id } = yield* hold(account_id, "10")
      const answers = yield* Effect.all(
        Array.from({ length: 12 }, (_, i) => act(hold_id, i % 2 === 0 ? "capture" : "release")),
        { concurrency: "unbounded" },
      )
      assert.lengthOf(
        answers.filter(({ status }) => status === 201),
        1,
      )
      const { state } = yield* read(hold_id)
      for (const answer of answers) if (answer.status !== 201) assertProblem(answer, 409, `hold_already_${state}`)
      const rest = state === "captured" ? "90.00" : "100.00"
      assert.deepStrictEqual(yield* balanceOf(account_id), [rest, "0.00", rest])
    }),
  )

  it.effect("has its state, its account's and its balance's rules: frozen and closed accounts", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const [a, b, c] = [yield* hold(account_id, "10"), yield* hold(account_id, "10"), yield* hold(account_id, "10")]
      yield* amend(account_id, { status: "credits_frozen" })
      yield* done(a.hold_id, "capture", { amount: "1" })
      yield* amend(account_id, { status: "debits_frozen" })
      assertProblem(yield* post(holds, { account_id, amount: "1" }), 422, "account_frozen")
      assertProblem(yield* act(b.hold_id, "increase", { amount: "1" }), 422, "account_frozen")
      assertProblem(yield* act(b.hold_id, "capture"), 422, "account_frozen")
      yield* done(b.hold_id, "release")
      yield* amend(account_id, { status: "frozen" })
      yield* done(c.hold_id, "release")
      yield* amend(account_id, { status: "open" })
      yield* change(account_id, "-99")
      yield* amend(account_id, { status: "closed" })
      assertProblem(yield* post(holds, { account_id, amount: "1" }), 422, "account_closed")
    }),
  )

  it.effect("there are so many of an account, and then no more, until one ends", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ overdraft_limit: null })
      const [first] = yield* Effect.all(
        Array.from({ length: openHoldsMax }, () => hold(account_id, "1")),
        { concurrency: 20 },
      )
      const before = yield* rowCounts
      const one = yield* post(holds, { account_id, amount: "1" })
      assert.deepInclude(assertProblem(one, 422, "too_many_holds"), { account_id })
      assert.deepStrictEqual(yield* rowCounts, before)
      assert.deepStrictEqual((yield* account(account_id)).balance, { posted: "0.00", held: "200.00", available: null })
      yield* done(first!.hold_id, "release")
      yield* hold(account_id, "1")
      assert.lengthOf((yield* list(`account_id=${account_id}&limit=200&state=open`)).holds, openHoldsMax)
    }),
  )
})

layer(TestServer.layerWithClock, { excludeTestServices: true })("an expired hold", (it) => {
  it.effect("holds nothing from its instant on, wherever one looks, whether its row is written or not", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const lasting = yield* hold(account_id, "5", { ttl: 7200 })
      const { expires_at, hold_id } = yield* hold(account_id, "80", { ttl: 3600 })
      yield* done(hold_id, "capture", { amount: "10", final: false })
      assert.deepStrictEqual(yield* balanceOf(account_id), ["90.00", "75.00", "15.00"])
      yield* later("1 hour")

      const free = { posted: "90.00", held: "5.00", available: "85.00" }
      assert.deepStrictEqual((yield* account(account_id)).balance, free)
      const { json } = yield* get("/v1/accounts?limit=200")
      const { accounts } = json as { readonly accounts: ReadonlyArray<TestServer.AccountJson> }
      assert.deepStrictEqual(accounts.find((one) => one.account_id === account_id)?.balance, free)
      const { json: now } = yield* get(`/v1/accounts/${account_id}/balance`)
      const { available, held, posted } = now as typeof free
      assert.deepStrictEqual({ posted, held, available }, free)

      assert.deepStrictEqual(moneyOf(yield* read(hold_id)), ["expired", "80.00", "10.00", "70.00", "0.00"])
      assert.strictEqual((yield* read(hold_id)).expires_at, expires_at)
      assert.strictEqual((yield* read(lasting.hold_id)).state, "open")
      const idsIn = (state: string) =>
        Effect.map(list(`account_id=${account_id}&state=${state}`), ({ holds }) => holds.map(({ hold_id }) => hold_id))
      assert.deepStrictEqual(yield* idsIn("expired"), [hold_id])
      assert.deepStrictEqual(yield* idsIn("open"), [lasting.hold_id])
    }),
  )

  it.effect("gives its money to whoever needs it: the rows that release it come in the same statement", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { hold_id } = yield* hold(account_id, "100", { ttl: 3600 })
      const spend = post("/v1/transactions", { changes: [{ account_id, amount: "-60" }] })
      assertProblem(yield* spend, 422, "insufficient_funds")
      yield* later("1 hour")
      const answer = yield* spend
      assert.strictEqual(answer.status, 201, answer.text)
      const { changes } = answer.json as TransactionJson
      assert.deepStrictEqual(
        changes.map(({ balance, flavor }) => [flavor, balance]),
        [["FLOW", { posted: "40.00", held: "0.00", available: "40.00" }]],
      )
      const history = (yield* get(`/v1/accounts/${account_id}/changes`)).json as {
        readonly changes: ReadonlyArray<TransactionJson["changes"][number]>
      }
      assert.deepStrictEqual(
        history.changes.map(({ flavor, hold_id, seq }) => [seq, flavor, hold_id]),
        [
          [3, "FLOW", null],
          [2, "RELEASE", hold_id],
          [1, "HOLD", hold_id],
          [0, "INITIAL", null],
        ],
      )
      yield* hold(account_id, "40")
    }),
  )

  it.effect("neither keeps an account from being closed, nor its limit from being lowered", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ overdraft_limit: "50" })
      yield* hold(account_id, "50", { ttl: 3600 })
      assertProblem(
        yield* TestServer.patch(`/v1/accounts/${account_id}`, { overdraft_limit: "0" }),
        422,
        "overdraft_in_use",
      )
      assertProblem(
        yield* TestServer.patch(`/v1/accounts/${account_id}`, { status: "closed" }),
        409,
        "account_not_empty",
      )
      yield* later("1 hour")
      assert.deepInclude(yield* amend(account_id, { overdraft_limit: "0" }), { overdraft_limit: "0.00" })
      assert.deepInclude(yield* amend(account_id, { status: "closed" }), {
        status: "closed",
        balance: { posted: "0.00", held: "0.00", available: "0.00" },
      })
    }),
  )
})

layer(TestServer.layerWithClock, { excludeTestServices: true })("the holds of an account", (it) => {
  it.effect("are listed, the newest first, by the page and by state", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const other = yield* open({ initial_balance: "100" })
      yield* hold(other.account_id, "1")
      const placed: Array<string> = []
      for (let i = 0; i < 7; i++) placed.push((yield* hold(account_id, "1", { ttl: i === 6 ? 60 : 3600 })).hold_id)
      yield* later("1 minute")
      yield* done(placed[1]!, "capture")
      yield* done(placed[2]!, "release")
      yield* done(placed[3]!, "capture")
      const newestFirst = placed.toReversed()

      /** All pages, one after the other. */
      const all = Effect.fnUntraced(function* (query: string) {
        const ids: Array<string> = []
        let pages = 0
        for (let cursor: string | null = ""; cursor !== null; pages++) {
          const page: { readonly holds: ReadonlyArray<HoldJson>; readonly next_cursor: string | null } = yield* list(
            `account_id=${account_id}${query}${cursor === "" ? "" : `&cursor=${cursor}`}`,
          )
          ids.push(...page.holds.map(({ hold_id }) => hold_id))
          cursor = page.next_cursor
        }
        return { ids, pages }
      })
      assert.deepStrictEqual(yield* all(""), { ids: newestFirst, pages: 1 })
      assert.deepStrictEqual(yield* all("&limit=7"), { ids: newestFirst, pages: 1 })
      assert.deepStrictEqual(yield* all("&limit=3"), { ids: newestFirst, pages: 3 })
      const inState = (state: string, limit: number) =>
        Effect.map(all(`&state=${state}&limit=${limit}`), ({ ids }) => ids.map((id) => placed.indexOf(id)))
      for (const limit of [1, 2, 200]) {
        assert.deepStrictEqual(yield* inState("open", limit), [5, 4, 0])
        assert.deepStrictEqual(yield* inState("captured", limit), [3, 1])
        assert.deepStrictEqual(yield* inState("released", limit), [2])
        assert.deepStrictEqual(yield* inState("expired", limit), [6])
      }
      const { holds } = yield* list(`account_id=${account_id}&limit=1`)
      assert.deepStrictEqual(holds[0], yield* read(placed[6]!))
    }),
  )

  it.effect("of an account that has none are an empty page", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      assert.deepStrictEqual(yield* list(`account_id=${account_id}&state=open`), { holds: [], next_cursor: null })
    }),
  )
})
