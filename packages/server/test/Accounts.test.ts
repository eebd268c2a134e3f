import type { ChangesPage } from "@banquo/api/Change"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as TestServer from "./TestServer.ts"
import { type AccountJson, assertProblem, change, get, open, post, rowCounts } from "./TestServer.ts"

type ChangesPageJson = typeof ChangesPage.Encoded

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const hash = /^[0-9a-f]{64}$/

layer(TestServer.layer, { excludeTestServices: true })("accounts", (it) => {
  it.effect("an account is opened with defaults for all that was not said", () =>
    Effect.gen(function* () {
      const answer = yield* post("/v1/accounts", { customer_name: "Ann", currency: "EUR" })
      assert.strictEqual(answer.status, 201)
      assert.strictEqual(answer.headers.get("content-type"), "application/json")
      assert.isNull(answer.headers.get("idempotency-replayed"))
      const account = answer.json as AccountJson
      assert.match(account.account_id, uuid)
      assert.match(account.hash, hash)
      assert.match(account.created_at, instant)
      assert.deepStrictEqual(account, {
        account_id: account.account_id,
        customer_name: "Ann",
        customer_address: "",
        owner: null,
        currency: "EUR",
        scale: 2,
        status: "open",
        balance: { posted: "0.00", held: "0.00", available: "0.00" },
        overdraft_limit: "0.00",
        seq: 0,
        hash: account.hash,
        metadata: {},
        created_at: account.created_at,
        updated_at: account.created_at,
      })
    }),
  )

  it.effect("and with all that was", () =>
    Effect.gen(function* () {
      const said = {
        account_id: "018f4e5a-7c1b-7d3e-9f2a-000000000001",
        customer_name: "Zoë 𝒵",
        customer_address: "1 Test Street\nÅrhus",
        currency: "EUR",
        metadata: { b: "2", a: "" },
      }
      const account = yield* open({ ...said, initial_balance: "-5.5", overdraft_limit: "10" })
      assert.deepStrictEqual(
        { ...account, hash: "", created_at: "", updated_at: "" },
        {
          ...said,
          owner: null,
          scale: 2,
          status: "open",
          balance: { posted: "-5.50", held: "0.00", available: "4.50" },
          overdraft_limit: "10.00",
          seq: 0,
          hash: "",
          created_at: "",
          updated_at: "",
        },
      )
    }),
  )

  it.effect("amounts have the decimals of the currency", () =>
    Effect.gen(function* () {
      const yen = yield* open({ currency: "JPY", initial_balance: "500" })
      const dinar = yield* open({ currency: "BHD", initial_balance: "1.5" })
      const unit = yield* open({ currency: "CLF", initial_balance: "99999999999999999999.9999" })
      assert.deepStrictEqual(yen.balance, { posted: "500", held: "0", available: "500" })
      assert.deepStrictEqual(dinar.balance, { posted: "1.500", held: "0.000", available: "1.500" })
      assert.strictEqual(unit.balance.posted, "99999999999999999999.9999")
      const fraction = yield* post("/v1/accounts", { customer_name: "Ann", currency: "JPY", initial_balance: "0.0" })
      assert.deepInclude(assertProblem(fraction, 422, "scale_exceeded"), { amount: "0.0", currency: "JPY" })
    }),
  )

  it.effect("an overdraft limit of null is none", () =>
    Effect.gen(function* () {
      const { account_id, balance, overdraft_limit } = yield* open({ overdraft_limit: null })
      assert.isNull(overdraft_limit)
      assert.isNull(balance.available)
      const { changes } = yield* change(account_id, "-99999999999999999999.99")
      assert.strictEqual(changes[0]!.balance.posted, "-99999999999999999999.99")
      const beyond = yield* post("/v1/transactions", { changes: [{ account_id, amount: "-0.01" }] })
      assertProblem(beyond, 422, "amount_out_of_range")
    }),
  )

  it.effect("an initial balance below the overdraft limit is refused", () =>
    Effect.gen(function* () {
      const before = yield* rowCounts
      const answer = yield* post("/v1/accounts", { customer_name: "Ann", currency: "EUR", initial_balance: "-1" })
      assertProblem(answer, 422, "insufficient_funds")
      assert.deepStrictEqual(yield* rowCounts, before)
    }),
  )

  it.effect("an id is read in either case and given in lower case", () =>
    Effect.gen(function* () {
      const account_id = "ABCDEF5A-7C1B-7D3E-9F2A-000000000002"
      const account = yield* open({ account_id })
      assert.strictEqual(account.account_id, account_id.toLowerCase())
      const answer = yield* get(`/v1/accounts/${account_id}`)
      assert.deepStrictEqual(answer.json, account)
    }),
  )

  it.effect("metadata is kept whatever its keys are called", () =>
    Effect.gen(function* () {
      const text = `{"z":"","__proto__":"p","constructor":"c","toString":"t","a/b~c":"\\u2028","10":"x","9":"y"}`
      const answer = yield* post("/v1/accounts", `{"customer_name":"Ann","currency":"EUR","metadata":${text}}`)
      assert.strictEqual(answer.status, 201, answer.text)
      const { account_id, metadata } = answer.json as AccountJson
      assert.deepStrictEqual(Object.entries(metadata).sort(), Object.entries(JSON.parse(text) as object).sort())
      const read = yield* get(`/v1/accounts/${account_id}`)
      assert.strictEqual(read.text, answer.text)
    }),
  )

  it.effect("an id of the caller's opens the account once", () =>
    Effect.gen(function* () {
      const body = { account_id: crypto.randomUUID(), customer_name: "Ann", currency: "EUR", initial_balance: "1.5" }
      const first = yield* post("/v1/accounts", body)
      yield* change(body.account_id, "1")
      const again = yield* post("/v1/accounts", { ...body, initial_balance: "1.50" })
      assert.strictEqual(again.status, 201)
      assert.strictEqual(again.text, first.text)
      assert.strictEqual(again.headers.get("idempotency-replayed"), "true")
      const other = yield* post("/v1/accounts", { ...body, customer_name: "Bob" })
      assertProblem(other, 422, "idempotency_key_reused")
    }),
  )

  it.effect("so does an idempotency key", () =>
    Effect.gen(function* () {
      const key = { "idempotency-key": "open-1" }
      const body = { customer_name: "Ann", currency: "EUR", metadata: { b: "2", a: "1" } }
      const before = yield* rowCounts
      const answers = yield* Effect.all(
        Array.from({ length: 5 }, () => post("/v1/accounts", body, key)),
        { concurrency: "unbounded" },
      )
      const again = yield* post("/v1/accounts", { ...body, metadata: { a: "1", b: "2" } }, key)
      for (const { status, text } of [...answers, again]) {
        assert.strictEqual(status, 201)
        assert.strictEqual(text, again.text)
      }
      assert.strictEqual(again.headers.get("idempotency-replayed"), "true")
      assert.lengthOf(
        answers.filter(({ headers }) => !headers.has("idempotency-replayed")),
        1,
      )
      const { accounts, changes } = yield* rowCounts
      assert.deepStrictEqual({ accounts, changes }, { accounts: before.accounts + 1, changes: before.changes + 1 })
      assertProblem(yield* post("/v1/accounts", { ...body, currency: "USD" }, key), 422, "idempotency_key_reused")
      const { account_id } = again.json as AccountJson
      const elsewhere = yield* post("/v1/transactions", { changes: [{ account_id, amount: "1" }] }, key)
      assertProblem(elsewhere, 422, "idempotency_key_reused")
    }),
  )

  it.effect("an account is read with its sequence as ETag", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "1" })
      const before = yield* get(`/v1/accounts/${account_id}`)
      assert.strictEqual(before.status, 200)
      assert.strictEqual(before.headers.get("etag"), '"0"')
      const { changes } = yield* change(account_id, "0.5")
      const after = yield* get(`/v1/accounts/${account_id}`)
      assert.strictEqual(after.headers.get("etag"), '"1"')
      const account = after.json as AccountJson
      assert.strictEqual(account.seq, 1)
      assert.strictEqual(account.hash, changes[0]!.hash)
      assert.strictEqual(account.updated_at, changes[0]!.created_at)
      assert.isAbove(Date.parse(account.updated_at), 0)
      assert.isTrue(account.updated_at > account.created_at)
      assert.strictEqual(account.balance.posted, "1.50")
    }),
  )

  it.effect("an account that is not there", () =>
    Effect.gen(function* () {
      const account_id = "00000000-0000-4000-8000-000000000000"
      for (const path of [`/v1/accounts/${account_id}`, `/v1/accounts/${account_id}/changes`]) {
        assert.deepInclude(assertProblem(yield* get(path), 404, "account_not_found"), { account_id })
      }
    }),
  )

  it.effect("all accounts are listed page by page, in the order of their ids", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 5; i++) yield* open({ currency: "JPY" })
      const { accounts: total } = yield* rowCounts
      const whole = (yield* get("/v1/accounts?limit=200")).json as AccountsPageJson
      assert.lengthOf(whole.accounts, total)
      assert.isNull(whole.next_cursor)
      const ids = whole.accounts.map(({ account_id }) => account_id)
      assert.deepStrictEqual(ids, ids.toSorted())
      for (const limit of [1, 2, total - 1, total]) {
        const pages: Array<AccountJson> = []
        let cursor: string | null = ""
        while (cursor !== null) {
          const query: string = cursor === "" ? "" : `&cursor=${cursor}`
          const page = (yield* get(`/v1/accounts?limit=${limit}${query}`)).json as AccountsPageJson
          assert.isAtLeast(page.accounts.length, 1)
          assert.isAtMost(page.accounts.length, limit)
          pages.push(...page.accounts)
          cursor = page.next_cursor
        }
        assert.deepStrictEqual(pages, [...whole.accounts])
      }
      const one = yield* get(`/v1/accounts/${ids[0]}`)
      assert.deepStrictEqual(one.json, whole.accounts[0])
    }),
  )

  for (const order of ["asc", "desc"] as const) {
    it.effect(`the changes of an account are paged both ways, ${order}`, () =>
      Effect.gen(function* () {
        const { account_id } = yield* open({ initial_balance: "100" })
        for (let i = 1; i <= 22; i++) yield* change(account_id, `${i}`)
        const path = `/v1/accounts/${account_id}/changes`
        const page = (query: string) =>
          Effect.map(get(`${path}?order=${order}${query}`), (answer) => {
            assert.strictEqual(answer.status, 200, answer.text)
            return answer.json as ChangesPageJson
          })
        const whole = yield* page("&limit=1000")
        const seqs = Array.from({ length: 23 }, (_, seq) => seq)
        assert.deepStrictEqual(
          whole.changes.map(({ seq }) => seq),
          order === "asc" ? seqs : seqs.toReversed(),
        )
        assert.deepStrictEqual([whole.next_cursor, whole.previous_cursor], [null, null])
        if (order === "desc") assert.deepStrictEqual((yield* get(path)).json, whole)

        for (const limit of [1, 5, 22, 23]) {
          let current = yield* page(`&limit=${limit}`)
          assert.isNull(current.previous_cursor)
          const forward = [...current.changes]
          while (current.next_cursor !== null) {
            current = yield* page(`&limit=${limit}&cursor=${current.next_cursor}`)
            assert.isAtMost(current.changes.length, limit)
            forward.push(...current.changes)
          }
          assert.deepStrictEqual(forward, [...whole.changes])

          const backward = [current.changes]
          while (current.previous_cursor !== null) {
            current = yield* page(`&limit=${limit}&cursor=${current.previous_cursor}`)
            backward.unshift(current.changes)
          }
          assert.deepStrictEqual(backward.flat(), [...whole.changes])
        }
      }),
    )
  }

  it.effect("a page stays what it was while changes are added", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "1" })
      for (let i = 0; i < 4; i++) yield* change(account_id, "1")
      const path = `/v1/accounts/${account_id}/changes?limit=2`
      const first = (yield* get(path)).json as ChangesPageJson
      const second = yield* get(`${path}&cursor=${first.next_cursor}`)
      yield* change(account_id, "1")
      assert.strictEqual((yield* get(`${path}&cursor=${first.next_cursor}`)).text, second.text)
    }),
  )

  it.effect("each change says all of the account after it", () =>
    Effect.gen(function* () {
      const account = yield* open({ initial_balance: "10", overdraft_limit: "5" })
      const posted = yield* change(account.account_id, "-12.34")
      const { changes } = (yield* get(`/v1/accounts/${account.account_id}/changes?order=asc`)).json as ChangesPageJson
      assert.deepStrictEqual(changes[1], posted.changes[0])
      const [initial, flow] = changes
      assert.deepStrictEqual(initial, {
        change_id: initial!.change_id,
        transaction_id: initial!.change_id,
        account_id: account.account_id,
        seq: 0,
        flavor: "INITIAL",
        amount: "10.00",
        held_amount: "0.00",
        currency: "EUR",
        balance: account.balance,
        status: "open",
        overdraft_limit: "5.00",
        hold_id: null,
        reverses_transaction_id: null,
        description: null,
        metadata: {},
        actor: "anonymous",
        effective_at: account.created_at,
        created_at: account.created_at,
        hash: account.hash,
      })
      assert.deepStrictEqual(flow!.balance, { posted: "-2.34", held: "0.00", available: "2.66" })
      assert.notStrictEqual(flow!.hash, initial!.hash)
    }),
  )
})

interface AccountsPageJson {
  readonly accounts: ReadonlyArray<AccountJson>
  readonly next_cursor: string | null
}
