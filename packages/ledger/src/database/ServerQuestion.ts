/** How a server is asked what it is: one statement, on each new connection and on each look. */
import type { PgConnection } from "@effect/sql-pg"
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlError } from "effect/sql"
import { array } from "./ArrayParameter.ts"
import type { Host } from "./DatabaseUrl.ts"
import type { Server } from "./Server.ts"

/** Also which of some backends still wait for a standby. */
export interface Answer extends Server {
  readonly stillWaiting: ReadonlySet<number>
}

// Why: Tells the dialect. Once on each connection.
// Plan: No data.
const selectVersion = "SELECT version() AS version"

// Why: The current timeline is in the name of the WAL file that is written to; pg_control_checkpoint() lags behind by up to
// a checkpoint. The file of the table ledger is another one where the database was made anew or restored.
// Plan: Functions, three entries of catalogs, and the list of sessions.
// Only: postgresql
const selectServer = `SELECT pg_is_in_recovery() AS is_in_recovery,
    current_setting('transaction_read_only') = 'on' AS is_read_only,
    (SELECT c.system_identifier::TEXT FROM pg_control_system() c) AS system_identifier,
    CASE WHEN pg_is_in_recovery() THEN '0' ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline,
    pg_postmaster_start_time()::TEXT AS start_time,
    (SELECT d.oid::TEXT FROM pg_database d WHERE d.datname = current_database())
      || ':' || coalesce(pg_relation_filenode(to_regclass('ledger'))::TEXT, '') AS ledger_object,
    current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    (extract(epoch FROM clock_timestamp()) * 1000)::FLOAT8 AS millis,
    ARRAY(SELECT a.pid::INT8 FROM pg_stat_activity a WHERE a.pid = ANY($1::INT8[]) AND a.wait_event = 'SyncRep') AS waiting`

// Why: The clock; nodes are equal, and all of them write.
// Plan: No data.
// Only: cockroachdb
const selectClock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::FLOAT8 AS millis"

// Why: A commit that does not wait for its WAL to be on disk, or for the standbys, is not a commit here. Said for the
// session, so that no setting of the server, role or database lowers it later; never lowered itself.
// Plan: No data. Once for each connection.
// Only: postgresql
const raiseSynchronousCommit = `SELECT set_config('synchronous_commit',
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false) AS synchronous_commit`

/** Below `on`: acknowledged commits may be lost with the server, or with its standbys. */
const loweredCommits: ReadonlySet<string> = new Set(["off", "local", "remote_write"])

const versions = new WeakMap<PgConnection.PgConnection, string>()

const versionOf = (connection: PgConnection.PgConnection): Effect.Effect<string, SqlError.SqlError> => {
  const known = versions.get(connection)
  if (known !== undefined) return Effect.succeed(known)
  return Effect.map(connection.query(selectVersion), ({ rows: [row] }) => {
    const version = String(row?.["version"])
    versions.set(connection, version)
    return version
  })
}

/** `left`: backends of which it is asked whether they still wait for a standby. One round trip, two the first time. */
export const askServer = (
  connection: PgConnection.PgConnection,
  host: Host,
  left: ReadonlyArray<number> = [],
): Effect.Effect<Answer, SqlError.SqlError> =>
  Effect.flatMap(versionOf(connection), (version) =>
    version.startsWith("CockroachDB")
      ? askNode(connection, host, version)
      : askPostgres(connection, host, version, left),
  )

const askNode = (connection: PgConnection.PgConnection, host: Host, version: string) =>
  timed(connection.query(selectClock)).pipe(
    Effect.map(({ clock, row }): Answer => ({
      host,
      dialect: "cockroachdb",
      version,
      isInRecovery: false,
      isReadOnly: false,
      systemIdentifier: "",
      timeline: 0,
      startTime: "",
      ledgerObject: "",
      lossySettings: [],
      isCommitLowered: false,
      ...clock(row["millis"]),
      stillWaiting: new Set(),
    })),
  )

const askPostgres = (connection: PgConnection.PgConnection, host: Host, version: string, left: ReadonlyArray<number>) =>
  timed(connection.query(selectServer, [array(PgTypes.OID.int8, left.map(BigInt))])).pipe(
    Effect.map(({ clock, row }): Answer => ({
      host,
      dialect: "postgresql",
      version,
      isInRecovery: row["is_in_recovery"] === true,
      isReadOnly: row["is_read_only"] === true,
      systemIdentifier: String(row["system_identifier"]),
      timeline: Number.parseInt(String(row["timeline"]), 16),
      startTime: String(row["start_time"]),
      ledgerObject: String(row["ledger_object"]),
      lossySettings: ["fsync", "full_page_writes"].filter((name) => row[name] === "off"),
      isCommitLowered: loweredCommits.has(String(row["synchronous_commit"])),
      ...clock(row["millis"]),
      stillWaiting: new Set((row["waiting"] as ReadonlyArray<bigint>).map(Number)),
    })),
  )

/** Compares the clocks: the server looked at its own somewhere between our two looks at ours. */
const timed = (query: Effect.Effect<PgConnection.Result, SqlError.SqlError>) =>
  Effect.suspend(() => {
    const before = Date.now()
    return Effect.map(query, ({ rows: [row] }) => {
      const after = Date.now()
      const clock = (millis: unknown): Pick<Server, "clockAhead" | "clockError" | "saidAt"> => ({
        clockAhead: (before + after) / 2 - Number(millis),
        clockError: Math.abs(after - before) / 2,
        saidAt: { wall: after, steady: performance.now() },
      })
      return { clock, row: row! }
    })
  })

/** For a connection that writes. */
export const raiseCommits = (connection: PgConnection.PgConnection): Effect.Effect<void, SqlError.SqlError> =>
  Effect.asVoid(connection.query(raiseSynchronousCommit))
