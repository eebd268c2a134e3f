import { DbConn } from "@banquo/ledger/DbConn"
import { migrate, schemaVersion } from "@banquo/ledger/Migrator"
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { FaultyProxy } from "@banquo/testing/FaultyProxy"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import * as TestServer from "./TestServer.ts"
import { assertProblem, eventually, get, request } from "./TestServer.ts"

const isReady = ({ status }: TestServer.Answer) => status === 200
const isAway = ({ status }: TestServer.Answer) => status === 503

const assertLive = Effect.map(get("/livez"), ({ status, text }) =>
  assert.deepStrictEqual([status, text], [200, '{"status":"live"}']),
)

const assertReady = Effect.map(eventually(get("/readyz"), isReady), ({ headers, status, text }) => {
  assert.deepStrictEqual([status, text], [200, `{"status":"ready","schema_version":${schemaVersion}}`])
  assert.isNull(headers.get("retry-after"))
})

layer(TestServer.layerBehindProxy, { excludeTestServices: true })("health", (it) => {
  it.effect("ready, away, and ready again by itself", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      yield* assertReady
      yield* proxy.goAway
      const answer = yield* eventually(get("/readyz"), isAway)
      assertProblem(answer, 503, "database_unavailable")
      yield* assertLive
      assert.strictEqual((yield* request("HEAD", "/readyz")).status, 503)
      yield* proxy.comeBack
      yield* assertReady
    }),
  )

  it.effect("connections that died meanwhile are no reason not to be ready", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      yield* assertReady
      yield* proxy.dropConnections
      yield* assertReady
    }),
  )

  it.effect("probes cost the database nothing", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      const asked = yield* proxy.watch("FROM schema_version", 1_000)
      const answers = yield* Effect.all(
        Array.from({ length: 50 }, () => get("/readyz")),
        { concurrency: "unbounded" },
      )
      for (const { status } of answers) assert.strictEqual(status, 200)
      assert.isAtMost(yield* asked.count, 2)
    }),
  )
})

const withoutSchema = TestServer.layerWithoutDatabase().pipe(
  Layer.provide(Layer.unwrap(Effect.map(TestDatabase.TestDatabase, ({ appUrl }) => DbConn.layerUrl({ url: appUrl })))),
  Layer.provideMerge(TestDatabase.layerEmpty),
)

layer(withoutSchema, { excludeTestServices: true })("a database without the schema", (it) => {
  it.effect("is not ready until it is migrated", () =>
    Effect.gen(function* () {
      const { detail } = assertProblem(yield* get("/readyz"), 503, "database_unavailable")
      assert.include(detail, "banquo migrate")
      yield* assertLive
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const asOwner = DbConn.layerUrl({ url: ownerUrl, connectionsMax: 2, statementTimeout: Duration.zero })
      yield* migrate("test").pipe(Effect.provide(asOwner))
      yield* assertReady
    }),
  )
})
