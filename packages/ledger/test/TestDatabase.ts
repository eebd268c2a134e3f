import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, Schedule, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import { DbConn } from "../src/DbConn.ts"
import { template } from "./DatabaseServer.ts"

/** Where a test's own database is, for each of its roles. */
export class TestDatabase extends Context.Service<
  TestDatabase,
  {
    readonly name: string
    readonly appUrl: Redacted.Redacted<string>
    readonly ownerUrl: Redacted.Redacted<string>
    readonly superuserUrl: Redacted.Redacted<string>
  }
>()("@banquo/ledger/test/TestDatabase") {}

const urlOf = (url: string, database: string) => {
  const target = new URL(url)
  target.pathname = `/${database}`
  return Redacted.make(target.href)
}

/** Runs one statement on the server. */
const administer = (url: string, statement: string) =>
  SqlClient.SqlClient.use((sql) => sql.unsafe(statement).unprepared).pipe(
    Effect.provide(PgClient.layer({ url: urlOf(url, "postgres"), maxConnections: 1 }), { local: true }),
    Effect.orDie,
  )

const make = (source: string) =>
  Effect.gen(function* () {
    const { appUrl, ownerUrl, superuserUrl } = inject("databaseServer")
    const name = `test_${crypto.randomUUID().replaceAll("-", "")}`
    yield* Effect.acquireRelease(administer(ownerUrl, `CREATE DATABASE ${name} TEMPLATE ${source}`), () =>
      // Only a superuser can end the sessions of another.
      administer(superuserUrl, `DROP DATABASE ${name} WITH (FORCE)`),
    )
    // No test crashes the server, so none needs its commits on disk.
    yield* administer(superuserUrl, `ALTER DATABASE ${name} SET synchronous_commit = off`)
    return TestDatabase.of({
      name,
      appUrl: urlOf(appUrl, name),
      ownerUrl: urlOf(ownerUrl, name),
      superuserUrl: urlOf(superuserUrl, name),
    })
  })

/** A database of the test's own with the schema and no accounts; dropped afterwards. */
export const layerMigrated = Layer.effect(TestDatabase, make(template))

/** A database of the test's own with nothing in it. */
export const layerEmpty = Layer.effect(TestDatabase, make("template1"))

/** {@link layerMigrated}, and a `DbConn` on it as the role of the service. */
export const layer = Layer.unwrap(
  Effect.map(TestDatabase, ({ appUrl }) => DbConn.layerUrl({ url: appUrl, connectionsMax: 10 })),
).pipe(Layer.provideMerge(layerMigrated))

/** A client of the test's own, for statements beside the ledger's; its connections are opened when they are needed. */
export const connect = (
  url: Redacted.Redacted<string>,
  connectionsMax = 1,
): Effect.Effect<PgClient.PgClient, never, Scope.Scope> =>
  PgClient.make({ url, maxConnections: connectionsMax }).pipe(Effect.provide(Reactivity.layer), Effect.orDie)

/** Waits for something that only a query can tell. */
export const until = <E, R>(isSo: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.asVoid(Effect.repeat(isSo, { until: (is) => is, schedule: Schedule.spaced("5 millis") }))

/** How many statements in the database of `sql` wait for a lock. */
export const waitingCount = (sql: SqlClient.SqlClient): Effect.Effect<number> =>
  Effect.gen(function* () {
    // Inside a transaction the list of sessions is that of the first look.
    yield* sql`SELECT pg_stat_clear_snapshot()`
    const [row] = yield* sql<{ waiting: bigint }>`SELECT count(DISTINCT l.pid) AS waiting
      FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE NOT l.granted AND a.datname = current_database()`
    return Number(row!.waiting)
  }).pipe(Effect.orDie)

/** Waits until `count` statements in the database of `sql` wait for a lock. */
export const untilWaiting = (sql: SqlClient.SqlClient, count: number): Effect.Effect<void> =>
  until(Effect.map(waitingCount(sql), (waiting) => waiting === count))
