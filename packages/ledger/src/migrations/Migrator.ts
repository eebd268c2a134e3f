/**
 * Brings a database to the schema that this build needs. Safe when several processes start it at once and when it is
 * killed midway: one of them at a time holds a lease, each step is one DDL statement in a transaction of its own (they
 * cannot be mixed on CockroachDB) that may be run again, and a version is noted after its last step.
 *
 * Effect's own migrator sends `LOCK TABLE`, which CockroachDB cannot parse.
 */
import { createHash } from "node:crypto"
import { Duration, Effect, Schedule, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { type DatabaseUnavailable, defectOf, faultOf, sqlState } from "../database/DatabaseError.ts"
import { DbConn, read } from "../database/DbConn.ts"
import { unavailable } from "../database/FailureCause.ts"
import type { Dialect } from "../database/Dialect.ts"
import { ledger } from "./0001_ledger.ts"
import type { Migration, Step } from "./Migration.ts"

/** All migrations, oldest first. */
export const migrations: ReadonlyArray<Migration> = [ledger]

/** The schema version that this build needs. Later ones serve it too: schemas are expanded before they are contracted. */
export const schemaVersion = migrations.length

/** What a database keeps of a migration that was applied to it: SHA-256 of all its steps, in hexadecimal. */
export const checksumOf = ({ steps, version }: Migration): string =>
  createHash("sha256")
    .update(JSON.stringify([version, steps.map(({ ddl, dialect, unless }) => [dialect ?? null, unless ?? null, ddl])]))
    .digest("hex")

/** How long a process that was killed keeps the others from migrating. It is renewed three times in this time. */
export const leaseDuration = Duration.seconds(15)

/** Longest wait for another process that migrates. */
export const leaseTimeout = Duration.minutes(10)

/** Another process held the lease all the time, or took it over because this one stood still. */
export class MigrationLeaseUnavailable extends Schema.TaggedError<MigrationLeaseUnavailable>()(
  "MigrationLeaseUnavailable",
  { owner: Schema.NullOr(Schema.String) },
) {
  override get message() {
    return `another process migrates this database: ${this.owner ?? "unknown"}`
  }
}

/** The schema of the database is older than this build, or there is none. */
export class SchemaOutdated extends Schema.TaggedError<SchemaOutdated>()("SchemaOutdated", {
  version: Schema.Int,
  needed: Schema.Int,
}) {
  override get message() {
    return `the database has schema version ${this.version}, this build needs ${this.needed}: run \`banquo migrate\``
  }
}

/** A migration that was applied to the database is not the one of this build: nobody knows what schema there is. */
export class MigrationChanged extends Schema.TaggedError<MigrationChanged>()("MigrationChanged", {
  version: Schema.Int,
}) {
  override get message() {
    return `migration ${this.version} was applied to the database with other steps than this build has for it`
  }
}

/** The version of the newest migration that was completed; 0: none. */
export const selectSchemaVersion: Effect.Effect<number, DatabaseUnavailable, DbConn> = Effect.map(
  Effect.suspend(() => selectApplied),
  (applied) => applied.reduce((newest, { version }) => Math.max(newest, version), 0),
)

interface Applied {
  readonly version: number
  readonly checksum: string
}

const appliedOf = (rows: ReadonlyArray<{ readonly version: bigint; readonly checksum: string }>) =>
  rows.map(({ checksum, version }): Applied => ({ checksum, version: Number(version) }))

const selectApplied: Effect.Effect<ReadonlyArray<Applied>, DatabaseUnavailable, DbConn> = Effect.map(
  read((sql) =>
    // Why: Tells what is to be done, and whether this build can serve. 42P01 where nothing was migrated, on both.
    // Plan: A table of a few rows.
    sql<{ version: bigint; checksum: string }>`SELECT version, checksum FROM schema_version`.pipe(
      Effect.catchIf(
        // No table, or one of a build before there were checksums.
        (error) => sqlState(error) === "42P01" || sqlState(error) === "42703",
        () => Effect.succeed([]),
      ),
    ),
  ),
  appliedOf,
)

/** Later versions than this build knows are left to the builds that do. */
const requireUnchanged = (applied: ReadonlyArray<Applied>): Effect.Effect<void, MigrationChanged> => {
  const changed = applied.find(({ checksum, version }) => {
    const known = migrations.find((migration) => migration.version === version)
    return known !== undefined && checksumOf(known) !== checksum
  })
  return changed === undefined ? Effect.void : Effect.fail(new MigrationChanged({ version: changed.version }))
}

/** The version of the schema, if it is at least the one that this build needs, and was made by the same migrations. */
export const requireSchema: Effect.Effect<number, DatabaseUnavailable | SchemaOutdated | MigrationChanged, DbConn> =
  Effect.gen(function* () {
    const applied = yield* selectApplied
    const version = applied.reduce((newest, one) => Math.max(newest, one.version), 0)
    if (version < schemaVersion) return yield* new SchemaOutdated({ version, needed: schemaVersion })
    yield* requireUnchanged(applied)
    return version
  })

/**
 * Applies what is missing; answers with the versions that it applied. Needs a role that may create tables, types and
 * roles (or the roles made beforehand), and at least two connections. `owner` names this process to the others.
 */
export const migrate = (
  owner: string,
): Effect.Effect<ReadonlyArray<number>, DatabaseUnavailable | MigrationLeaseUnavailable | MigrationChanged, DbConn> =>
  Effect.gen(function* () {
    const { database, sql } = yield* DbConn
    const { dialect } = yield* database
    yield* Effect.forEach(foundation, (step) => apply(sql, step), { discard: true })
    return yield* Effect.acquireUseRelease(
      acquireLease(sql, owner),
      () => Effect.raceFirst(applyMissing(sql, dialect), keepLease(sql, owner)),
      // Why: Only one's own lease is given back.
      // Plan: By primary key.
      () => Effect.ignore(sql`UPDATE schema_lease SET owner = NULL WHERE id = 1 AND owner = ${owner}`),
    )
  }).pipe(
    Effect.catchIf(
      (error): error is SqlError.SqlError => error._tag === "SqlError",
      (error) => (faultOf(error) === "defect" ? Effect.die(defectOf(error)) : Effect.fail(unavailable(error))),
    ),
  )

/** What the migrator itself needs, before the first migration. */
export const foundation: ReadonlyArray<Step> = [
  {
    ddl: `CREATE TABLE IF NOT EXISTS schema_version (
      version INT8 NOT NULL,
      checksum TEXT NOT NULL,
      applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
      CONSTRAINT schema_version_pkey PRIMARY KEY (version))`,
  },
  {
    ddl: `CREATE TABLE IF NOT EXISTS schema_lease (
      id INT8 NOT NULL,
      owner TEXT,
      expires_at TIMESTAMPTZ NOT NULL DEFAULT now(),
      CONSTRAINT schema_lease_pkey PRIMARY KEY (id))`,
  },
  { ddl: `INSERT INTO schema_lease (id) VALUES (1) ON CONFLICT (id) DO NOTHING` },
]

const applyMissing = (sql: SqlClient.SqlClient, dialect: Dialect) =>
  Effect.gen(function* () {
    const applied = appliedOf(
      // Why: Tells what is to be done, and whether this build can serve. 42P01 where nothing was migrated, on both.
      // Plan: A table of a few rows.
      yield* sql<{ version: bigint; checksum: string }>`SELECT version, checksum FROM schema_version`,
    )
    yield* requireUnchanged(applied)
    const done = new Set(applied.map(({ version }) => version))
    const missing = migrations.filter(({ version }) => !done.has(version))
    for (const migration of missing) {
      const { steps, version } = migration
      const wanted = steps.filter((step) => step.dialect === undefined || step.dialect === dialect)
      yield* Effect.forEach(wanted, (step) => apply(sql, step), { discard: true })
      // Why: After the last step of a version; again is the same.
      // Plan: By primary key.
      yield* sql`INSERT INTO schema_version (version, checksum) VALUES (${BigInt(version)}, ${checksumOf(migration)})
        ON CONFLICT (version) DO NOTHING`
    }
    return missing.map(({ version }) => version)
  })

const apply = (sql: SqlClient.SqlClient, step: Step): Effect.Effect<void, SqlError.SqlError> =>
  Effect.gen(function* () {
    if (step.unless !== undefined && (yield* sql.unsafe(step.unless).unprepared).length > 0) return
    yield* sql.unsafe(step.ddl).unprepared.pipe(Effect.catchIf(isThereAlready, () => Effect.void))
  }).pipe(
    Effect.retry({
      while: (error) => faultOf(error) === "retry" || sqlState(error) === "55000",
      schedule: undoneSchedule,
    }),
  )

/** CockroachDB undoes a schema change that meets another, or refuses it until that has ended (55000). */
const undoneSchedule = Schedule.spaced("100 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 50 }))

/** The object exists: made by an earlier run, or by another process between the look and the CREATE (23505, a catalog). */
const isThereAlready = (error: SqlError.SqlError): boolean =>
  ["42P07", "42701", "42710", "42723", "23505"].includes(sqlState(error) ?? "")

const acquireLease = (sql: SqlClient.SqlClient, owner: string) =>
  Effect.gen(function* () {
    // Why: Whoever gets the row back has the lease: there are no advisory locks.
    // Plan: By primary key.
    const taken = yield* sql`UPDATE schema_lease SET owner = ${owner}, expires_at = ${expiry(sql)}
      WHERE id = 1 AND (owner IS NULL OR owner = ${owner} OR expires_at < now()) RETURNING id`
    if (taken.length === 0) {
      // Why: For the message of who waits.
      // Plan: By primary key.
      const [row] = yield* sql<{ owner: string | null }>`SELECT owner FROM schema_lease WHERE id = 1`
      return yield* new MigrationLeaseUnavailable({ owner: row?.owner ?? null })
    }
  }).pipe(
    Effect.retry({
      while: (error) => error._tag === "MigrationLeaseUnavailable" || faultOf(error) === "retry",
      schedule: Schedule.spaced("200 millis").pipe(Schedule.jittered, Schedule.upTo({ duration: leaseTimeout })),
    }),
  )

/** Fails when the lease is lost; never succeeds. */
const keepLease = (sql: SqlClient.SqlClient, owner: string) =>
  Effect.gen(function* () {
    yield* Effect.sleep(Duration.divideUnsafe(leaseDuration, 3))
    const kept = yield* Effect.retry(
      // Why: No row: the lease was lost.
      // Plan: By primary key.
      sql`UPDATE schema_lease SET expires_at = ${expiry(sql)} WHERE id = 1 AND owner = ${owner} RETURNING id`,
      { while: (error) => faultOf(error) === "retry", schedule: undoneSchedule },
    )
    if (kept.length === 0) return yield* new MigrationLeaseUnavailable({ owner: null })
  }).pipe(Effect.forever)

const expiry = (sql: SqlClient.SqlClient) =>
  sql.literal(`now() + INTERVAL '${Duration.toSeconds(leaseDuration)} seconds'`)
