import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, Schedule, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql"
import { inject } from "vitest"
import { DbConn } from "@banquo/ledger/DbConn"
import type { Dialect } from "@banquo/ledger/Dialect"
import { createEmpty, createMigrated, drop, onDatabase, type ServerOfTests } from "./DatabaseServer.ts"
import { fixtureName } from "./StatementRecorder.ts"

/** Where a test's own database is, for each of its roles. */
export class TestDatabase extends Context.Service<
  TestDatabase,
  {
    readonly name: string
    readonly dialect: Dialect
    readonly appUrl: Redacted.Redacted<string>
    readonly auditorUrl: Redacted.Redacted<string>
    readonly ownerUrl: Redacted.Redacted<string>
    readonly superuserUrl: Redacted.Redacted<string>
  }
>()("@banquo/ledger/test/TestDatabase") {}

/** Which database this run of the tests is on: for what can only be said of one of them. */
export const dialect: Dialect = inject("databaseServer").dialect

/** What that database really is, which a stand-in may hide: for SQL of a test's own. */
export const engine: Dialect = inject("databaseServer").engine

/** Longest that a test may take which changes the schema: CockroachDB needs a second or more for an index. */
export const schemaTimeout = 1_800_000

const make = (create: (server: ServerOfTests, name: string) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const server = inject("databaseServer")
    const name = `test_${crypto.randomUUID().replaceAll("-", "")}`
    yield* Effect.acquireRelease(create(server, name), () => drop(server, name))
    const on = (url: string) => Redacted.make(onDatabase(url, name))
    return TestDatabase.of({
      name,
      dialect: server.dialect,
      appUrl: on(server.appUrl),
      auditorUrl: on(server.auditorUrl),
      ownerUrl: on(server.ownerUrl),
      superuserUrl: on(server.superuserUrl),
    })
  })

/** A database of the test's own with the schema and no accounts; dropped afterwards. */
export const layerMigrated = Layer.effect(TestDatabase, make(createMigrated))

/** A database of the test's own with nothing in it. */
export const layerEmpty = Layer.effect(TestDatabase, make(createEmpty))

/** {@link layerMigrated}, and a `DbConn` on it as the role of the service. */
export const layer = Layer.unwrap(
  Effect.map(TestDatabase, ({ appUrl }) => DbConn.layerUrl({ url: appUrl, connectionsMax: 10 })),
).pipe(Layer.provideMerge(layerMigrated))

/** {@link layer}, for tests that send SQL of their own by it. */
export const layerOfFixtures = Layer.unwrap(
  Effect.map(TestDatabase, ({ appUrl }) => DbConn.layerUrl({ url: appUrl, applicationName: fixtureName })),
).pipe(Layer.provideMerge(layerMigrated))

/** A client of the test's own, for statements beside the ledger's; its connections are opened when they are needed. */
export const connect = (
  url: Redacted.Redacted<string>,
  connectionsMax = 1,
): Effect.Effect<PgClient.PgClient, never, Scope.Scope> =>
  PgClient.make({ url, maxConnections: connectionsMax, applicationName: fixtureName }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.orDie,
  )

/** Waits for something that only a query can tell. */
export const until = <E, R>(isSo: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.asVoid(Effect.repeat(isSo, { until: (is) => is, schedule: Schedule.spaced("5 millis") }))

/** How many statements in the database of `sql`, a PostgreSQL, wait for a lock. */
export const waitingCount = (sql: SqlClient.SqlClient): Effect.Effect<number> =>
  Effect.gen(function* () {
    // Inside a transaction the list of sessions is that of the first look.
    yield* sql`SELECT pg_stat_clear_snapshot()`
    const [row] = yield* sql<{ waiting: bigint }>`SELECT count(DISTINCT l.pid) AS waiting
      FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE NOT l.granted AND a.datname = current_database()`
    return Number(row!.waiting)
  }).pipe(Effect.orDie)

/**
 * Waits until `count` statements in the database of `sql` wait for a lock. CockroachDB does not tell who waits, so there it
 * waits for nothing: a test asserts what is so whether they have come to wait or not.
 */
export const untilWaiting = (sql: SqlClient.SqlClient, count: number): Effect.Effect<void> =>
  engine === "postgresql" ? until(Effect.map(waitingCount(sql), (waiting) => waiting === count)) : Effect.void
