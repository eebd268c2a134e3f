/** Documents that are longer than what is read at a time: their pace, and what becomes of them when either side goes away. */
import { AccountId } from "@banquo/domain/AccountId"
import * as Timestamp from "@banquo/domain/Timestamp"
import { changesReadMax } from "@banquo/ledger/History"
import { movementsPageMax } from "@banquo/ledger/Movements"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { get as httpGet, type IncomingMessage } from "node:http"
import { FaultyProxy } from "@banquo/testing/FaultyProxy"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { append } from "@banquo/testing/Past"
import * as TestServer from "./TestServer.ts"
import { assertProblem, get, open } from "./TestServer.ts"

/** Rows of an account: four pages of a statement and a bit. */
const rows = 4 * movementsPageMax + 10

/** Accounts with long histories of long descriptions. */
class Accounts extends Context.Service<Accounts, { readonly long: string; readonly other: string }>()(
  "@banquo/server/test/LongAccounts",
) {
  static readonly layer = Layer.effect(
    Accounts,
    Effect.gen(function* () {
      const make = Effect.gen(function* () {
        const { account_id } = yield* open({ overdraft_limit: null })
        const start = Timestamp.parse("2100-01-01T00:00:00Z")!
        yield* append(
          AccountId.make(account_id),
          Array.from({ length: rows - 1 }, (_, index) => ({
            created: Timestamp.make(start + BigInt(index)),
            chgAmt: 1_000_000n * BigInt((index % 7) - 10),
            description: `${index} ${"é".repeat(900)}`,
          })),
        )
        return account_id
      })
      return { long: yield* make, other: yield* make }
    }),
  )
}

const pathsOf = (account_id: string) => {
  const period = "from=2000-01-01T00:00:00Z&to=2200-01-01T00:00:00Z"
  const path = `/v1/accounts/${account_id}`
  return {
    "history as NDJSON": `${path}/changes?format=ndjson&order=asc`,
    "history as CSV": `${path}/changes?format=csv`,
    "statement as JSON": `${path}/statement?${period}`,
    "statement as CSV": `${path}/statement?${period}&format=csv`,
    "statement as a page": `${path}/statement?${period}&axis=effective&format=html`,
  }
}

/** In the SQL of a page of a stream, on a line of its own: the read of a head on CockroachDB says it within one. */
const pageOfRows = "    ORDER BY b.acct_seq"

/** A request on a connection of its own; `response` is there when its first part is, and is not read until the test does. */
const connect = (path: string) =>
  Effect.flatMap(TestServer.TestServer, ({ url }) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const response = Promise.withResolvers<IncomingMessage>()
        // Asked for in some tests only.
        response.promise.catch(() => undefined)
        const sent = httpGet(`${url}${path}`, { agent: false }, response.resolve).on("error", response.reject)
        return { hangUp: Effect.sync(() => sent.destroy()), response: Effect.promise(() => response.promise) }
      }),
      ({ hangUp }) => hangUp,
    ),
  )

/** All that came, and whether it ended in good order. */
const readAll = (response: IncomingMessage) =>
  Effect.promise(async () => {
    const chunks: Array<Buffer> = []
    try {
      for await (const chunk of response) chunks.push(chunk as Buffer)
    } catch {
      return { text: Buffer.concat(chunks).toString(), isWhole: false }
    }
    return { text: Buffer.concat(chunks).toString(), isWhole: response.complete }
  })

/** What each format has at its end only. */
const isClosed: { readonly [name: string]: (text: string) => boolean } = {
  "history as NDJSON": (text) => text.split("\n").length === rows + 1,
  "history as CSV": (text) => text.split("\r\n").length === rows + 2,
  "statement as JSON": (text) => text.endsWith("]}"),
  "statement as CSV": (text) => /\r\nclosing,.*\r\n$/.test(text),
  "statement as a page": (text) => text.includes("<footer>"),
}

const withAccounts = Accounts.layer.pipe(Layer.provideMerge(TestServer.layerBehindProxy))

layer(withAccounts, { excludeTestServices: true })("a long document", (it) => {
  for (const name of Object.keys(isClosed) as ReadonlyArray<keyof ReturnType<typeof pathsOf>>) {
    it.effect(`${name}: is whole, and in order`, () =>
      Effect.gen(function* () {
        const { long } = yield* Accounts
        const { headers, status, text } = yield* get(pathsOf(long)[name])
        assert.strictEqual(status, 200)
        assert.isNull(headers.get("content-length"))
        assert.isTrue(isClosed[name]!(text))
        const shown = [...text.matchAll(/(?<![\d-])(\d+) é{900}/g)].map(([, index]) => Number(index))
        const expected = Array.from({ length: rows - 1 }, (_, index) => index)
        assert.deepStrictEqual(shown, name === "history as CSV" ? expected.toReversed() : expected)
        if (name !== "statement as JSON") return
        const {
          closing,
          debits,
          opening,
          rows: lines,
        } = JSON.parse(text) as {
          readonly opening: string
          readonly closing: string
          readonly debits: { readonly count: number; readonly sum: string }
          readonly rows: ReadonlyArray<{ readonly balance: string }>
        }
        assert.deepStrictEqual(
          [opening, closing, debits.count, lines.length],
          ["0.00", `-${debits.sum}`, rows - 1, rows - 1],
        )
        assert.strictEqual(lines.at(-1)!.balance, closing)
      }),
    )

    it.effect(`${name}: is cut off when the database goes away, and does not look whole`, () =>
      Effect.gen(function* () {
        const { long } = yield* Accounts
        const proxy = yield* FaultyProxy
        // The first page comes; the second is asked for until connections that were dead would be used up.
        yield* proxy.watch(pageOfRows)
        const lost = yield* proxy.loseReply(pageOfRows, 4)
        const response = yield* (yield* connect(pathsOf(long)[name])).response
        assert.strictEqual(response.statusCode, 200)
        const { isWhole, text } = yield* readAll(response)
        yield* lost.happened
        assert.isFalse(isWhole)
        assert.isFalse(isClosed[name]!(text))
        assert.notMatch(text, /error|sql|unavailable/i)
        // Nothing of it is left behind: the next one is whole.
        assert.isTrue(isClosed[name]!((yield* get(pathsOf(long)[name])).text))
      }).pipe(Effect.scoped),
    )

    it.effect(`${name}: without a database it is a problem, not a document`, () =>
      Effect.gen(function* () {
        const { long } = yield* Accounts
        yield* Effect.acquireRelease(
          FaultyProxy.use(({ goAway }) => goAway),
          () => FaultyProxy.use(({ comeBack }) => comeBack),
        )
        assertProblem(yield* get(pathsOf(long)[name]), 503, "database_unavailable")
      }).pipe(Effect.scoped),
    )
  }
})

/** On CockroachDB the account stands by itself in the read of its head too; on PostgreSQL it is in an array. */
const headReads = TestDatabase.dialect === "cockroachdb" ? 1 : 0

/** How many statements about the account `long` were sent: one rule for all tests, as it goes before those that come later. */
class Statements extends Context.Service<Statements, { readonly count: Effect.Effect<number> }>()(
  "@banquo/server/test/Statements",
) {
  static readonly layer = Layer.effect(
    Statements,
    Effect.gen(function* () {
      const { long } = yield* Accounts
      return yield* FaultyProxy.use(({ watch }) => watch(long, Number.MAX_SAFE_INTEGER))
    }),
  )
}

layer(Statements.layer.pipe(Layer.provideMerge(withAccounts)), { excludeTestServices: true })("a slow client", (it) => {
  for (const name of Object.keys(isClosed) as ReadonlyArray<keyof ReturnType<typeof pathsOf>>) {
    it.effect(`that hangs up is read for no further: ${name}`, () =>
      Effect.gen(function* () {
        const { long, other } = yield* Accounts
        const proxy = yield* FaultyProxy
        const statements = yield* Statements
        const held = yield* Effect.acquireRelease(proxy.hold(pageOfRows), ({ release }) => release)
        const { hangUp } = yield* connect(pathsOf(long)[name])
        yield* held.arrived
        const before = yield* statements.count
        yield* hangUp
        // Told before this is answered.
        yield* get("/livez")
        yield* held.release
        // Time enough for the rest: the same for another account, from its beginning to its end.
        yield* get(pathsOf(other)[name])
        assert.isAtMost((yield* statements.count) - before, 1)
      }).pipe(Effect.scoped),
    )
  }

  it.effect("is read for at its pace", () =>
    Effect.gen(function* () {
      const { long, other } = yield* Accounts
      const path = pathsOf(long)["history as NDJSON"]
      const statements = yield* Statements
      const before = yield* statements.count
      // Not one of these reads its answer.
      const sent = yield* Effect.all(Array.from({ length: 4 }, () => connect(path)))
      const responses = yield* Effect.all(sent.map(({ response }) => response))
      yield* get(pathsOf(other)["history as NDJSON"])
      const unread = (yield* statements.count) - before
      for (const response of responses) assert.isTrue((yield* readAll(response)).isWhole)
      // Some pages were not asked for until those before them were read.
      const all = 4 * (headReads + Math.ceil(rows / changesReadMax))
      assert.strictEqual((yield* statements.count) - before, all)
      assert.isBelow(unread, all)
    }).pipe(Effect.scoped),
  )
})
