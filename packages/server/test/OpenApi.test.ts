import { Api } from "@banquo/api/Api"
import * as Problem from "@banquo/api/Problem"
import { DbConn } from "@banquo/ledger/DbConn"
import { assert, expect, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { OpenApi } from "effect/http-api"
import { randomBytes, randomInt } from "node:crypto"
import { FaultyProxy } from "@banquo/testing/FaultyProxy"
import * as TestServer from "./TestServer.ts"
import {
  assertProblem,
  change,
  get,
  hold,
  open,
  patch,
  post,
  request,
  setStatus,
  type TransactionJson,
} from "./TestServer.ts"

interface Operation {
  readonly operationId: string
  readonly summary?: string
  readonly tags: ReadonlyArray<string>
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: string; readonly required: boolean }>
  readonly requestBody?: { readonly required?: boolean; readonly content: Content }
  readonly responses: Record<string, { readonly description?: string; readonly content?: Content }>
}

type Content = Record<string, { readonly schema: { readonly $ref?: string; readonly anyOf?: ReadonlyArray<object> } }>

interface Document {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly schemas: Record<string, object> }
}

/** Every object in a JSON value. */
function* objectsIn(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return
  if (!Array.isArray(value)) yield value as Record<string, unknown>
  for (const part of Object.values(value)) yield* objectsIn(part)
}

const isHealth = (path: string) => path === "/livez" || path === "/readyz"

/** What a code is reached by, over HTTP. */
type Program = Effect.Effect<
  TestServer.Answer,
  unknown,
  TestServer.TestServer | TestServer.LaterClock | DbConn | FaultyProxy
>

const transactions = "/v1/transactions"
const noOne = "00000000-0000-4000-8000-00000000dead"
const leg = (account_id: string, amount: string, more: object = {}) => ({ account_id, amount, ...more })
const send = (...changes: ReadonlyArray<object>) => post(transactions, { changes })

/** A hold of 10.00 on an account that has 50.00. */
const aHold = Effect.flatMap(open({ initial_balance: "50" }), (a) => hold(a.account_id, "10", { ttl: 60 }))
const onHold = (id: string, action: "capture" | "increase" | "release", body: object = {}) =>
  post(`/v1/holds/${id}/${action}`, body)
const amend = (id: string, body: object, headers?: Record<string, string>) => patch(`/v1/accounts/${id}`, body, headers)
const reverse = (id: string, body: object = {}) => post(`${transactions}/${id}/reverse`, body)
const aChange = Effect.flatMap(open(), (a) => change(a.account_id, "5"))

const anAccountIn = (currency: string) => post("/v1/accounts", { customer_name: "Ann", currency })

/** Two legs in euro and two in dollars: the first account, and the transaction. */
const anExchange = Effect.gen(function* () {
  const [a, b, c, d] = yield* Effect.forEach(["EUR", "EUR", "USD", "USD"], (currency) =>
    open({ currency, initial_balance: "9" }),
  )
  const amounts = ["-1", "1", "-2", "2"]
  const { json } = yield* send(...[a, b, c, d].map((account, i) => leg(account!.account_id, amounts[i]!)))
  return [a!.account_id, b!.account_id, (json as TransactionJson).transaction_id] as const
})

const withStatus = (status: "frozen" | "closed") =>
  Effect.gen(function* () {
    const { account_id } = yield* open()
    yield* setStatus(account_id, status)
    return yield* send(leg(account_id, "1"))
  })

/** An account that this ledger would never have written: it holds something of a hold that there is not. */
const broken = Effect.gen(function* () {
  const { sql } = yield* DbConn
  const id = crypto.randomUUID()
  const [first, second] = [randomInt(1e14), randomInt(1e14)].map((n) => BigInt(n) + 10n ** 18n)
  yield* sql`INSERT INTO account (acct_id, acct_seq, cust_name, cust_address) VALUES (${id}::UUID, 0, 'Eve', '')`
  yield* sql`INSERT INTO balance_change (bchg_id, acct_id, acct_seq, chg_flavor, prev_bchg_id, currency, scale, chg_amt,
      balance, held_amt, held, acct_status, is_forced, xact_id, xact_rows, hold_id, actor, effective_time,
      chg_create_time, chg_hash)
    VALUES (${first!}, ${id}::UUID, 0, 'INITIAL', NULL, 'EUR', 2, 9, 9, 0, 0, 'open', false, ${first!}, 1, NULL, 'eve',
      now(), now(), ${randomBytes(32)}),
      (${second!}, ${id}::UUID, 1, 'HOLD', ${first!}, 'EUR', 2, 0, 9, 1, 1, 'open', false, ${second!}, 1, 1, 'eve',
      now(), now() + INTERVAL '1 second', ${randomBytes(32)})`
  return yield* get(`/v1/accounts/${id}`)
})

const reached: { readonly [code: string]: readonly [status: number, program: Program] } = {
  invalid_request: [400, send()],
  account_not_found: [404, send(leg(noOne, "1"))],
  transaction_not_found: [404, get(`${transactions}/999999999`)],
  change_not_found: [404, Effect.flatMap(open(), (a) => get(`/v1/accounts/${a.account_id}/balance?seq=1`))],
  not_acceptable: [
    406,
    Effect.flatMap(open(), (a) => get(`/v1/accounts/${a.account_id}/changes`, { accept: "application/pdf" })),
  ],
  version_conflict: [409, Effect.flatMap(open(), (a) => send(leg(a.account_id, "1", { expected_seq: 5 })))],
  precondition_failed: [
    412,
    Effect.flatMap(open(), (a) => amend(a.account_id, { status: "frozen" }, { "if-match": '"5"' })),
  ],
  hold_not_found: [404, onHold("999999999", "capture")],
  hold_already_captured: [
    409,
    Effect.flatMap(aHold, ({ hold_id }) =>
      Effect.andThen(onHold(hold_id, "capture", { amount: "1" }), onHold(hold_id, "capture")),
    ),
  ],
  hold_already_released: [
    409,
    Effect.flatMap(aHold, ({ hold_id }) => Effect.andThen(onHold(hold_id, "release"), onHold(hold_id, "capture"))),
  ],
  hold_expired: [
    409,
    Effect.flatMap(aHold, ({ hold_id }) =>
      Effect.andThen(
        TestServer.LaterClock.useSync(({ goOn }) => goOn("1 minute")),
        onHold(hold_id, "capture"),
      ),
    ),
  ],
  already_reversed: [
    409,
    Effect.flatMap(aChange, ({ transaction_id: id }) => Effect.andThen(reverse(id), reverse(id))),
  ],
  not_reversible: [422, Effect.flatMap(aHold, ({ hold_id }) => reverse(hold_id))],
  reversal_exceeds_transaction: [
    422,
    Effect.flatMap(aChange, ({ changes: [first], transaction_id }) =>
      reverse(transaction_id, { changes: [leg(first!.account_id, "-5.01")] }),
    ),
  ],
  account_not_empty: [
    409,
    Effect.flatMap(open({ initial_balance: "1" }), (a) => amend(a.account_id, { status: "closed" })),
  ],
  overdraft_in_use: [
    422,
    Effect.flatMap(open({ initial_balance: "-5", overdraft_limit: "5" }), (a) =>
      amend(a.account_id, { overdraft_limit: "4" }),
    ),
  ],
  capture_exceeds_hold: [422, Effect.flatMap(aHold, ({ hold_id }) => onHold(hold_id, "capture", { amount: "10.01" }))],
  expiry_out_of_range: [
    422,
    Effect.flatMap(open({ initial_balance: "5" }), ({ account_id }) =>
      post("/v1/holds", { account_id, amount: "1", expires_at: "2020-01-01T00:00:00Z" }),
    ),
  ],
  condition_not_met: [
    422,
    Effect.flatMap(open(), (a) => send(leg(a.account_id, "1", { require: { posted: { gt: "1" } } }))),
  ],
  body_too_large: [413, post(transactions, " ".repeat(2 * 1024 * 1024))],
  unsupported_media_type: [415, post(transactions, "{}", { "content-type": "text/plain" })],
  insufficient_funds: [422, Effect.flatMap(open(), (a) => send(leg(a.account_id, "-1")))],
  account_frozen: [422, withStatus("frozen")],
  account_closed: [422, withStatus("closed")],
  unbalanced: [
    422,
    Effect.flatMap(Effect.all([open(), open()]), ([a, b]) => send(leg(a.account_id, "1"), leg(b.account_id, "1"))),
  ],
  same_account: [422, send(leg(noOne, "1"), leg(noOne, "-1"))],
  currency_mismatch: [422, Effect.flatMap(open(), (a) => send(leg(a.account_id, "1", { currency: "USD" })))],
  currency_not_openable: [422, anAccountIn("XXX")],
  scale_required: [422, anAccountIn("ZZZ")],
  effective_time_out_of_range: [
    422,
    Effect.flatMap(open(), (a) =>
      post(transactions, { changes: [leg(a.account_id, "1")], effective_at: "2999-01-01T00:00:00Z" }),
    ),
  ],
  exchange_reversed_in_part: [
    422,
    Effect.flatMap(anExchange, ([from, to, id]) => reverse(id, { changes: [leg(from, "1"), leg(to, "-1")] })),
  ],
  scale_exceeded: [422, Effect.flatMap(open(), (a) => send(leg(a.account_id, "1.001")))],
  amount_out_of_range: [
    422,
    Effect.flatMap(open({ initial_balance: "99999999999999999999.99" }), (a) => send(leg(a.account_id, "0.01"))),
  ],
  idempotency_key_reused: [
    422,
    Effect.flatMap(open({ account_id: noOne.replace("dead", "0422") }), (a) =>
      post("/v1/accounts", { account_id: a.account_id, customer_name: "Bob", currency: "EUR" }),
    ),
  ],
  internal_error: [500, broken],
  database_unavailable: [
    503,
    Effect.acquireUseRelease(
      FaultyProxy.use(({ goAway }) => goAway),
      () => get(`/v1/accounts/${noOne}`),
      () => FaultyProxy.use(({ comeBack }) => comeBack),
    ),
  ],
  // The server's own, for what is not part of the contract.
  not_found: [404, get("/nope")],
  method_not_allowed: [405, request("DELETE", transactions)],
}

/** Codes that are not reached here, each with a word why. */
const notReached: { readonly [code: string]: string } = {
  batch_aborted: "is told inside of the verdicts of a batch, whose own status is 200: see the test below",
  overloaded: "takes ten thousand requests that wait: ledger/test/GroupCommit.test.ts has a shorter queue",
  shutting_down: "is told by a process that stops: cli/test/Drain.test.ts",
  too_many_holds: "takes two hundred holds: Holds.test.ts places them",
  contention: "takes the five seconds that a write is tried anew for: Faults.test.ts reaches it",
}

/** The classes of `Problem.ts`. */
const declaredCodes = Object.values(Problem).flatMap((exported): ReadonlyArray<string> => {
  const { fields } = exported as {
    readonly fields?: { readonly code?: { readonly schema: { readonly literal: string } } }
  }
  return fields?.code === undefined ? [] : [fields.code.schema.literal]
})

const contract = JSON.stringify(OpenApi.fromApi(Api), null, 2)

it("the contract is the one that is committed: a change of it is seen in review", async () => {
  await expect(`${contract}\n`).toMatchFileSnapshot("openapi.snap")
})

layer(TestServer.layerBehindProxyWithClock, { excludeTestServices: true })("the contract", (it) => {
  const document = Effect.map(get("/openapi.json"), ({ json }) => json as Document)

  it.effect("is served as an OpenAPI document", () =>
    Effect.gen(function* () {
      const answer = yield* get("/openapi.json")
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers.get("content-type"), "application/json")
      assert.deepStrictEqual(answer.json, JSON.parse(contract))
    }),
  )

  it.effect("it is OpenAPI 3.1", () =>
    Effect.gen(function* () {
      const { components, info, openapi, paths } = yield* document
      assert.match(openapi, /^3\.1\.\d$/)
      assert.isNotEmpty(info.title)
      assert.isNotEmpty(info.version)
      const known = new Set(Object.keys(components.schemas).map((name) => `#/components/schemas/${name}`))
      const used = new Set<string>()
      for (const object of objectsIn({ paths, components })) {
        if (typeof object["$ref"] === "string") {
          assert.isTrue(known.has(object["$ref"]), object["$ref"])
          used.add(object["$ref"])
        }
        if (Array.isArray(object["required"]) && typeof object["properties"] === "object") {
          assert.includeMembers(Object.keys(object["properties"]!), object["required"] as Array<string>)
        }
      }
      assert.sameMembers([...used], [...known])
    }),
  )

  it.effect("every operation is described, and says how it may fail", () =>
    Effect.gen(function* () {
      const { components, paths } = yield* document
      const ids: Array<string> = []
      for (const [path, operations] of Object.entries(paths)) {
        assert.match(path, /^\/[^?#]*$/)
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!)
        for (const [method, operation] of Object.entries(operations)) {
          const name = `${method} ${path}`
          assert.include(["get", "post", "put", "patch", "delete"], method)
          assert.isNotEmpty(operation.summary ?? "", name)
          assert.isNotEmpty(operation.tags, name)
          ids.push(operation.operationId)
          const parameters = operation.parameters.filter((parameter) => parameter.in === "path")
          assert.sameMembers(
            parameters.map((parameter) => parameter.name),
            inPath,
            name,
          )
          for (const parameter of parameters) assert.isTrue(parameter.required, name)
          const isWrite = method === "post" || method === "patch"
          if (isWrite) assert.isDefined(operation.requestBody, name)
          for (const [status, { content, description }] of Object.entries(operation.responses)) {
            assert.match(status, /^[2-5]\d\d$/, name)
            assert.isNotEmpty(description ?? "", name)
            if (status.startsWith("2")) continue
            assert.deepStrictEqual(Object.keys(content ?? {}), ["application/problem+json"], `${name} ${status}`)
            const { schema } = content!["application/problem+json"]!
            for (const { $ref } of objectsIn(schema)) {
              if ($ref === undefined) continue
              const problem = JSON.stringify(components.schemas[`${$ref as string}`.split("/").at(-1)!])
              for (const member of ["code", "retryable", "request_id", "type", "title", "status"]) {
                assert.include(problem, `"${member}"`, `${name} ${status}`)
              }
            }
          }
          const statuses = Object.keys(operation.responses)
          // What is made is answered with 201, what is only judged with 200; a change of what is there with 200 in both cases.
          const isMade = method === "post" && path !== `${transactions}/batch`
          assert.deepStrictEqual(
            statuses.filter((status) => status.startsWith("2")),
            isMade ? ["200", "201"] : ["200"],
            name,
          )
          if (!isHealth(path)) assert.includeMembers(statuses, ["400", "500", "503"], name)
          if (isWrite) assert.includeMembers(statuses, ["413", "415"], name)
          if (inPath.length > 0) assert.include(statuses, "404", name)
        }
      }
      assert.lengthOf(new Set(ids), ids.length)
    }),
  )

  it.effect("a person is met by a page, and the documentation", () =>
    Effect.gen(function* () {
      for (const path of ["/", "/docs"]) {
        const { headers, status, text } = yield* get(path)
        assert.strictEqual(status, 200)
        assert.match(headers.get("content-type")!, /^text\/html/)
        assert.include(text, "<title>Banquo</title>")
      }
      const home = (yield* get("/")).text
      const links = [...home.matchAll(/href="([^"]+)"/g)].map(([, href]) => href!)
      assert.includeMembers(links, ["/docs", "/openapi.json"])
      for (const link of links) assert.strictEqual((yield* get(link)).status, 200, link)
    }),
  )

  for (const [code, [status, program]] of Object.entries(reached)) {
    it.effect(`${code} is reached, as documented`, () =>
      Effect.gen(function* () {
        const problem = assertProblem(yield* program, status, code)
        const declared = (yield* document).components.schemas
        const [name] =
          Object.entries(declared).find(([, schema]) => JSON.stringify(schema).includes(`["${code}"]`)) ?? []
        if (!declaredCodes.includes(code)) return assert.isUndefined(name)
        const schema = declared[name!] as { readonly properties: object; readonly required: ReadonlyArray<string> }
        // The framework's own refusals have no more than all problems have.
        assert.includeMembers(Object.keys(problem), [...schema.required])
        assert.includeMembers(Object.keys(schema.properties), Object.keys(problem))
      }),
    )
  }

  it.effect("batch_aborted is reached, in the verdicts of a batch", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const [good, bad] = ["1", "-5"].map((amount) => ({ changes: [leg(account_id, amount)] }))
      const answer = yield* post(`${transactions}/batch`, { mode: "atomic", transactions: [good, bad] })
      assert.strictEqual(answer.status, 200, answer.text)
      const { made, verdicts } = answer.json as {
        readonly made: number
        readonly verdicts: ReadonlyArray<{ readonly status: number; readonly problem: TestServer.ProblemJson }>
      }
      assert.strictEqual(made, 0)
      assert.deepStrictEqual(
        verdicts.map(({ problem, status }) => [status, problem.code]),
        [
          [409, "batch_aborted"],
          [422, "insufficient_funds"],
        ],
      )
      assert.deepInclude((yield* get(`/v1/accounts/${account_id}`)).json, { seq: 0 })
    }),
  )

  it("every declared code is reached by a test", () => {
    const here = Object.keys(reached).filter((code) => declaredCodes.includes(code))
    assert.sameMembers([...here, ...Object.keys(notReached)], declaredCodes)
  })
})
