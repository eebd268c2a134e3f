/** The prototype's four routes, byte for byte. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as TestServer from "./TestServer.ts"
import { type Answer, change, get, open, post, request, rowCounts, setStatus, streamOf } from "./TestServer.ts"

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
const instant = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z"

/** An error: a short line of text and nothing of what is inside. */
const assertText = (answer: Answer, status: number, text?: string) => {
  assert.strictEqual(answer.status, status, answer.text)
  assert.strictEqual(answer.headers.get("content-type"), "text/plain")
  assert.isAtMost(answer.text.length, 120)
  assert.notMatch(answer.text, /\n|select|insert |detail|constraint|\.ts/i)
  assert.isNotNull(answer.headers.get("x-request-id"))
  if (text !== undefined) assert.strictEqual(answer.text, text)
}

/** As JSON. */
const notAmounts = (
  "1e3 1E3 1e-1 -0 0 0.00 -0.0 1.234567891 100000000000000000000 1e400 true null [1] " +
  // More digits than a double keeps.
  "1234567890123.456 12345678901234.56 9007199254740993 0.1000000000000000055 " +
  '"" "1e3" "+5" ".5" "-0" "0" "NaN" "\u0031e3" "123456789012345678901" {"value":1}'
).split(" ")

const notMembers = [
  '"extra":1',
  '"__proto__":{}',
  '"Description":"x"',
  '"idempotency_key":"k"',
  '"description":1',
  '"description":[]',
  '"description":"a\\u0000b"',
  '"description":"\\ud800"',
  '"description":"\\udc00\\ud800"',
  `"description":"${"x".repeat(1001)}"`,
]

const notObjects = ["", "{", "null", "[]", "1", '"x"', "{}", "nul", "\0", "[".repeat(500_000)]

const openDollars = (initial_balance: string, more = {}) => open({ currency: "USD", initial_balance, ...more })

layer(TestServer.layer, { excludeTestServices: true })("the prototype's routes", (it) => {
  it.effect("POST /make-dummy-account", () =>
    Effect.gen(function* () {
      const answer = yield* request("POST", "/make-dummy-account")
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers.get("content-type"), "application/json")
      assert.match(
        answer.text,
        new RegExp(
          `^{"accountID":"${uuid}","customerName":"Dummy Customer","customerAddress":"1 Test Street","balanceAmt":1000.00}$`,
        ),
      )
      const { accountID } = answer.json as { readonly accountID: string }
      assert.strictEqual((yield* get(`/account/${accountID}`)).text, answer.text)
      // A body is of no interest.
      assert.strictEqual((yield* post("/make-dummy-account", "{")).status, 200)
    }),
  )

  it.effect("GET /account/{id}", () =>
    Effect.gen(function* () {
      const { account_id } = yield* openDollars("522.5", { customer_name: 'Zoë "Z"', customer_address: "Å\n1" })
      for (const id of [account_id, account_id.toUpperCase()]) {
        const answer = yield* get(`/account/${id}`)
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.headers.get("content-type"), "application/json")
        assert.strictEqual(
          answer.text,
          `{"accountID":"${account_id}","customerName":"Zoë \\"Z\\"","customerAddress":"Å\\n1","balanceAmt":522.50}`,
        )
      }
    }),
  )

  it.effect("POST /transaction, with a number and with a string", () =>
    Effect.gen(function* () {
      const { account_id } = yield* openDollars("0")
      const assertPosted = (answer: Answer, digits: string, balance: string, description: string) => {
        assert.strictEqual(answer.status, 201, answer.text)
        assert.strictEqual(answer.headers.get("content-type"), "application/json")
        assert.match(
          answer.text,
          new RegExp(
            `^{"acctID":"${account_id}","changeAmt":${digits},"balanceAmt":${balance},` +
              `"createTimestampTxt":"${instant}","xactDescription_opt":${description}}$`,
          ),
        )
      }
      const send = (members: string) => post("/transaction", `{"account_id":"${account_id}",${members}}`)
      assertPosted(yield* send('"amount":522.50,"description":"rent"'), "522.50", "522.50", '"rent"')
      assertPosted(yield* send('"amount":"-25.50","description":null'), "-25.50", "497.00", "null")
      assertPosted(yield* send('"amount":-25.5'), "-25.50", "471.50", "null")
      assertPosted(yield* send('"amount":1,"description":""'), "1.00", "472.50", '""')
      assertPosted(yield* send('"amount":0.1'), "0.10", "472.60", "null")
      assertPosted(yield* send('"amount":"0.20"'), "0.20", "472.80", "null")
      assertPosted(yield* send('"amount":-472.80'), "-472.80", "0.00", "null")
      // Fifteen digits of a number are kept; a string may have more.
      assertPosted(yield* send('"amount":9999999999999.99'), "9999999999999.99", "9999999999999.99", "null")
      assertPosted(yield* send('"amount":"89999999999999.99"'), "89999999999999.99", "99999999999999.98", "null")
      const account = yield* get(`/account/${account_id}`)
      assert.include(account.text, '"balanceAmt":99999999999999.98}')
    }),
  )

  it.effect("GET /transaction/history/{id}: newest first, 200 at most", () =>
    Effect.gen(function* () {
      const { account_id } = yield* openDollars("0")
      const path = `/transaction/history/${account_id}`
      const first = yield* get(path)
      assert.strictEqual(first.status, 200)
      assert.strictEqual(first.headers.get("content-type"), "application/json")
      assert.match(
        first.text,
        new RegExp(
          `^\\[{"acctID":"${account_id}","changeAmt":0.00,"balanceAmt":0.00,` +
            `"createTimestampTxt":"${instant}","xactDescription_opt":null}\\]$`,
        ),
      )
      const posted = yield* post("/transaction", { account_id, amount: 1, description: "one" })
      assert.strictEqual((yield* get(path)).text, `[${posted.text},${first.text.slice(1)}`)
      for (let i = 0; i < 200; i++) yield* change(account_id, "1")
      const history = (yield* get(path)).json as ReadonlyArray<Record<string, unknown>>
      assert.lengthOf(history, 200)
      assert.deepStrictEqual(
        history.map(({ balanceAmt }) => balanceAmt),
        Array.from({ length: 200 }, (_, i) => 201 - i),
      )
      const times = history.map(({ createTimestampTxt }) => createTimestampTxt as string)
      assert.deepStrictEqual(times, times.toSorted().toReversed())
    }),
  )

  it.effect("accounts in other currencies have their decimals", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ currency: "JPY", initial_balance: "500" })
      const answer = yield* post("/transaction", { account_id, amount: 1 })
      assert.include(answer.text, '"changeAmt":1,"balanceAmt":501,')
      assert.match((yield* get(`/account/${account_id}`)).text, /"balanceAmt":501}$/)
    }),
  )

  it.effect("no account, or an id that is none: 404", () =>
    Effect.gen(function* () {
      const unknown = "00000000-0000-4000-8000-000000000000"
      for (const id of [unknown, "nope", "1", "%00", `${unknown}x`, "' OR 1=1"]) {
        for (const path of ["/account", "/transaction/history"]) {
          assertText(yield* get(`${path}/${encodeURI(id)}`), 404, "no such account")
        }
      }
      assertText(yield* post("/transaction", { account_id: unknown, amount: 1 }), 404, "no such account")
    }),
  )

  it.effect("rules of the ledger: 422", () =>
    Effect.gen(function* () {
      const { account_id } = yield* openDollars("10")
      const before = yield* rowCounts
      assertText(yield* post("/transaction", { account_id, amount: -10.01 }), 422, "insufficient funds")
      assertText(yield* post("/transaction", { account_id, amount: 1.005 }), 422)
      assertText(yield* post("/transaction", { account_id, amount: "99999999999999999999" }), 422)
      assert.deepStrictEqual(yield* rowCounts, before)
      yield* setStatus(account_id, "frozen")
      assertText(yield* post("/transaction", { account_id, amount: 1 }), 422)
    }),
  )

  it.effect("a body that is not understood: 400, and nothing is written", () =>
    Effect.gen(function* () {
      const { account_id } = yield* openDollars("10")
      const before = yield* rowCounts
      const withAmount = (amount: string) => `{"account_id":"${account_id}","amount":${amount}}`
      const withMember = (member: string) => `{"account_id":"${account_id}","amount":1,${member}}`
      for (const body of notAmounts.map(withAmount)) {
        assertText(yield* post("/transaction", body), 400, "the body must be {account_id, amount, description}")
      }
      for (const body of notMembers.map(withMember)) {
        assertText(yield* post("/transaction", body), 400)
      }
      for (const body of [
        ...notObjects,
        `${withAmount("1")}x`,
        '{"amount":1}',
        `{"account_id":"${account_id}"}`,
        '{"account_id":"nope","amount":1}',
        '{"account_id":1,"amount":1}',
        '{"account_id":null,"amount":1}',
      ]) {
        assertText(yield* post("/transaction", body), 400)
      }
      assertText(yield* request("POST", "/transaction"), 400)
      assert.deepStrictEqual(yield* rowCounts, before)
    }),
  )

  it.effect("a body of 2 MiB: 413", () =>
    Effect.gen(function* () {
      const { account_id } = yield* openDollars("10")
      const before = yield* rowCounts
      const body = `{"account_id":"${account_id}","amount":1}`.padEnd(2 * 1024 * 1024)
      assertText(yield* post("/transaction", body), 413)
      assertText(yield* post("/transaction", streamOf(body)), 413)
      assert.deepStrictEqual(yield* rowCounts, before)
    }),
  )

  it.effect("other methods and paths", () =>
    Effect.gen(function* () {
      assertText(yield* request("DELETE", "/transaction"), 405)
      assertText(yield* get("/account"), 404)
      assertText(yield* get("/transaction/history"), 404)
      assertText(yield* get("/transaction/nope/x"), 404)
    }),
  )
})

layer(TestServer.layerWithoutDummyAccounts, { excludeTestServices: true })("without dummy accounts", (it) => {
  it.effect("POST /make-dummy-account is not there, for any method", () =>
    Effect.gen(function* () {
      const before = yield* rowCounts
      for (const method of ["POST", "GET", "DELETE"]) assertText(yield* request(method, "/make-dummy-account"), 404)
      assert.deepStrictEqual(yield* rowCounts, before)
      const { account_id } = yield* openDollars("1")
      assert.strictEqual((yield* get(`/account/${account_id}`)).status, 200)
    }),
  )
})
