/** The server in this process, on a port of its own; plain requests to it, and what the tests ask of its answers. */
import type { Account } from "@banquo/api/Account"
import type { DryRun } from "@banquo/api/DryRun"
import type { Hold, HoldWritten } from "@banquo/api/Hold"
import type { Transaction } from "@banquo/api/Transaction"
import { DbConn } from "@banquo/ledger/DbConn"
import { assert } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Layer, Schedule } from "effect"
import { HttpServer } from "effect/http"
import { FaultyProxy } from "@banquo/testing/FaultyProxy"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import * as Server from "../src/Server.ts"

/** Where the server of a test listens. */
export class TestServer extends Context.Service<TestServer, { readonly url: string }>()(
  "@banquo/server/test/TestServer",
) {}

/** Needs the `DbConn` that the server is to work on. */
export const layerWithoutDatabase = (options?: { readonly hasDummyAccounts: boolean }) =>
  Layer.effect(
    TestServer,
    HttpServer.addressFormattedWith((url) => Effect.succeed({ url })),
  ).pipe(Layer.provide(Server.layer({ host: "127.0.0.1", port: 0, hasDummyAccounts: true, ...options })))

/** On a database of its own, with a `DbConn` as the role of the service. */
export const layer = layerWithoutDatabase().pipe(Layer.provideMerge(TestDatabase.layer))

/** The time as the server has it: real, and on request so much later. */
export class LaterClock extends Context.Service<LaterClock, { readonly goOn: (time: Duration.Input) => void }>()(
  "@banquo/server/test/LaterClock",
) {}

/** Puts a server on a clock that can be put forward. The test's own programs keep the time of the machine. */
const withClock = <A, E, R>(server: Layer.Layer<A, E, R>) =>
  Layer.unwrap(
    Effect.map(Clock.Clock, (real) => {
      let later = 0
      const millis = () => real.currentTimeMillisUnsafe() + later
      const nanos = () => real.currentTimeNanosUnsafe() + BigInt(later) * 1_000_000n
      const clock: Clock.Clock = {
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis),
        currentTimeNanosUnsafe: nanos,
        currentTimeNanos: Effect.sync(nanos),
        monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: real.monotonicTimeNanos,
        sleep: (duration) => real.sleep(duration),
      }
      const goOn = (time: Duration.Input) => void (later += Duration.toMillis(time))
      return Layer.merge(
        server.pipe(Layer.provide(Layer.succeed(Clock.Clock, clock))),
        Layer.succeed(LaterClock, { goOn }),
      )
    }),
  )

/** With a clock that can be put forward. */
export const layerWithClock = withClock(layerWithoutDatabase()).pipe(Layer.provideMerge(TestDatabase.layer))

const behindProxy = <A, E, R>(server: Layer.Layer<A, E, R>) =>
  server.pipe(
    Layer.provide(Layer.unwrap(FaultyProxy.use(({ url }) => Effect.succeed(DbConn.layerUrl({ url }))))),
    Layer.provideMerge(
      Layer.unwrap(TestDatabase.TestDatabase.use(({ appUrl }) => Effect.succeed(FaultyProxy.layer(appUrl)))),
    ),
    Layer.provideMerge(TestDatabase.layer),
  )

/** With a `FaultyProxy` between it and the database; the test's own `DbConn` goes past it. */
export const layerBehindProxy = behindProxy(layerWithoutDatabase())

/** The same with a clock that can be put forward. */
export const layerBehindProxyWithClock = behindProxy(withClock(layerWithoutDatabase()))

/** As in production. */
export const layerWithoutDummyAccounts = layerWithoutDatabase({ hasDummyAccounts: false }).pipe(
  Layer.provideMerge(TestDatabase.layer),
)

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The body as it came. */
  readonly text: string
  /** The body as JSON; `undefined` if it is something else. */
  readonly json: unknown
}

export interface RequestOptions {
  readonly headers?: Record<string, string> | undefined
  /** Text, bytes and streams are sent as they are, anything else as JSON. */
  readonly body?: unknown
}

const isRaw = (body: unknown): body is string | Uint8Array<ArrayBuffer> | ReadableStream =>
  typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** One request; its body is called `application/json`, unless the headers say otherwise. Interrupted, it hangs up. */
export const request = (method: string, path: string, { body, headers }: RequestOptions = {}) =>
  Effect.flatMap(TestServer, ({ url }) =>
    Effect.promise(async (signal): Promise<Answer> => {
      const payload =
        body === undefined ? {} : { body: isRaw(body) ? body : JSON.stringify(body), duplex: "half" as const }
      const response = await fetch(`${url}${path}`, {
        method,
        signal,
        redirect: "manual",
        headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
        ...payload,
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, text, json: jsonOf(text) }
    }),
  )

export const get = (path: string, headers?: Record<string, string>) => request("GET", path, { headers })

export const post = (path: string, body: unknown, headers?: Record<string, string>) =>
  request("POST", path, { body, headers })

export const patch = (path: string, body: unknown, headers?: Record<string, string>) =>
  request("PATCH", path, { body, headers })

/** Sent in pieces, without a `content-length`. */
export const streamOf = (text: string): ReadableStream => ReadableStream.from(piecesOf(new TextEncoder().encode(text)))

function* piecesOf(bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

export type AccountJson = typeof Account.Encoded
export type DryRunJson = typeof DryRun.Encoded
export type HoldJson = typeof Hold.Encoded
export type HoldWrittenJson = typeof HoldWritten.Encoded
export type TransactionJson = typeof Transaction.Encoded

/** Opens an account and answers with it. */
export const open = (body: Record<string, unknown> = {}) =>
  Effect.map(post("/v1/accounts", { customer_name: "Ann", currency: "EUR", ...body }), (answer) => {
    assert.strictEqual(answer.status, 201, answer.text)
    return answer.json as AccountJson
  })

/** Makes one change and answers with the transaction. */
export const change = (account_id: string, amount: string) =>
  Effect.map(post("/v1/transactions", { changes: [{ account_id, amount }] }), (answer) => {
    assert.strictEqual(answer.status, 201, answer.text)
    return answer.json as TransactionJson
  })

/** How many rows there are. */
export const rowCounts = DbConn.use(({ sql }) =>
  Effect.map(
    sql<{ changes: bigint; accounts: bigint }>`SELECT (SELECT count(*) FROM balance_change) AS changes,
      (SELECT count(*) FROM account) AS accounts`,
    ([row]) => ({ changes: Number(row!.changes), accounts: Number(row!.accounts) }),
  ),
).pipe(Effect.orDie)

/** Changes the terms of an account, or corrects its customer, and answers with it. */
export const amend = (account_id: string, body: Record<string, unknown>) =>
  Effect.map(patch(`/v1/accounts/${account_id}`, body), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return answer.json as AccountJson
  })

export const setStatus = (account_id: string, status: AccountJson["status"]) => amend(account_id, { status })

/** Places a hold and answers with it. */
export const hold = (account_id: string, amount: string, more: Record<string, unknown> = {}) =>
  Effect.map(post("/v1/holds", { account_id, amount, ...more }), (answer) => {
    assert.strictEqual(answer.status, 201, answer.text)
    return (answer.json as HoldWrittenJson).hold
  })

/** The account as it is now. */
export const account = (account_id: string) =>
  Effect.map(get(`/v1/accounts/${account_id}`), ({ json }) => json as AccountJson)

/** What must never reach a caller: SQL, rows of the database, stacks, paths of the program. */
const inside =
  /\b(?:select|insert|update|detail:|constraint|sqlstate|pkey|_key\b|_check\b)|node_modules|\.ts\b|\n\s+at /i

/** That an answer is a problem in the form that all problems have. */
export const assertProblem = (answer: Answer, status: number, code: string) => {
  assert.strictEqual(
    `${answer.status} ${(answer.json as ProblemJson | undefined)?.code}`,
    `${status} ${code}`,
    answer.text,
  )
  assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
  const problem = answer.json as ProblemJson
  assert.strictEqual(problem.type, `urn:banquo:problem:${code}`)
  assert.isString(problem.title)
  assert.isNotEmpty(problem.title)
  assert.strictEqual(problem.status, status)
  assert.strictEqual(problem.retryable, status === 503)
  assert.strictEqual(problem.request_id, answer.headers.get("x-request-id"))
  assert.isNotEmpty(problem.request_id)
  assert.notMatch(answer.text, inside)
  assert.strictEqual(answer.headers.get("retry-after"), status === 503 ? "1" : null)
  return problem
}

export interface ProblemJson {
  readonly [member: string]: unknown
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly retryable: boolean
  readonly request_id: string
  readonly detail?: string
  readonly errors?: ReadonlyArray<{ readonly in: string; readonly pointer: string; readonly detail: string }>
}

/** Asks again until the answer is the one that is waited for: for what comes by itself and tells nobody. At most 10 s. */
export const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, is: (a: A) => boolean) =>
  Effect.repeat(self, {
    until: is,
    schedule: Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "10 seconds" })),
  })
