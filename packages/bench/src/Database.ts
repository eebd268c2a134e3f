/** A PostgreSQL of the benchmark's own, durable as in service, in a folder that is removed at the end. */
import { EmbeddedPostgres } from "@banquo/embedded-postgres/EmbeddedPostgres"
import { ownerRole } from "@banquo/embedded-postgres/Provision"
import { DbConn } from "@banquo/ledger/DbConn"
import { migrate } from "@banquo/ledger/Migrator"
import { PgClient } from "@effect/sql-pg"
import { Context, Duration, Effect, Layer, Redacted, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Database {
  readonly version: string
  /** Of the postmaster. */
  readonly pid: number
  readonly directory: string
  readonly superuserUrl: Redacted.Redacted<string>
  readonly ownerUrl: (name: string) => Redacted.Redacted<string>
  readonly appUrl: (name: string) => Redacted.Redacted<string>
  /** Copies a database, as files after a checkpoint, so that a run begins with nothing left to be written. */
  readonly copy: (from: string, to: string) => Effect.Effect<void>
  readonly drop: (name: string) => Effect.Effect<void>
}

/** The migrated database without accounts. */
export const emptyDatabase = "banquo"

export const make: Effect.Effect<Database, never, Scope.Scope> = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "banquo-bench-"))
      // Reachable for the user that the server runs as when this is root.
      chmodSync(path, 0o755)
      return path
    }),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 })),
  )
  const context = yield* Effect.scope.pipe(
    Effect.flatMap((scope) =>
      Layer.buildWithScope(EmbeddedPostgres.layer({ directory: join(directory, ".banquo") }), scope),
    ),
    Effect.orDie,
  )
  const { appUrl, ownerUrl, pid, superuserUrl, version } = Context.get(context, EmbeddedPostgres)
  const asOwner = DbConn.layerUrl({ url: ownerUrl, connectionsMax: 2, statementTimeout: Duration.zero })
  yield* migrate("bench").pipe(Effect.provide(asOwner), Effect.orDie)
  // The owner may not end an autovacuum worker, which a DROP would have to.
  const administer = (statement: string) =>
    Effect.scoped(
      Effect.flatMap(connect(urlOf(superuserUrl, "postgres"), 1), (sql) => sql.unsafe(statement).unprepared),
    ).pipe(Effect.orDie, Effect.asVoid)
  return {
    version,
    pid: yield* pid,
    directory,
    superuserUrl,
    ownerUrl: (name) => urlOf(ownerUrl, name),
    appUrl: (name) => urlOf(appUrl, name),
    copy: (from, to) => administer(`CREATE DATABASE ${to} OWNER ${ownerRole} TEMPLATE ${from} STRATEGY FILE_COPY`),
    drop: (name) => administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
})

/** The address of another database of the same server. */
export const urlOf = (url: Redacted.Redacted<string>, name: string) => {
  const target = new URL(Redacted.value(url))
  target.pathname = `/${name}`
  return Redacted.make(target.href)
}

/** A client without a limit on the time of a statement, for filling and for the audit. */
export const connect = (
  url: Redacted.Redacted<string>,
  connectionsMax: number,
  parameters: Record<string, string> = {},
): Effect.Effect<PgClient.PgClient, never, Scope.Scope> =>
  PgClient.make({
    url,
    maxConnections: connectionsMax,
    startupParameters: { timezone: "UTC", ...parameters },
  }).pipe(Effect.provide(Reactivity.layer), Effect.orDie)
