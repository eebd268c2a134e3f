/** Which of the two databases it is, and what follows from that. Asked once, by {@link detect}. */
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"

export type Dialect = "postgresql" | "cockroachdb"

/** What a process knows of its database. */
export interface Database {
  readonly dialect: Dialect
  /** As the database says it, like `CockroachDB CCL v25.4.7 (x86_64-pc-linux-gnu, …)`. */
  readonly version: string
  /** The function that new ids come from. */
  readonly idSource: IdSource
}

/**
 * `unique_rowid()` is a sequence on PostgreSQL, and on CockroachDB the time and the node: rows of one time then lie side by
 * side, which makes one of several nodes do all the work. `unordered_unique_rowid()` spreads them.
 */
export type IdSource = "unique_rowid()" | "unordered_unique_rowid()"

/** One statement. */
export const detect = (sql: SqlClient.SqlClient): Effect.Effect<Database, SqlError.SqlError> =>
  // Why: Tells the dialect. Once in a process.
  // Plan: No data.
  Effect.map(sql<{ version: string }>`SELECT version() AS version`, ([row]) => databaseOfVersion(row!.version))

export const databaseOfVersion = (version: string): Database =>
  version.startsWith("CockroachDB")
    ? { dialect: "cockroachdb", version, idSource: "unordered_unique_rowid()" }
    : { dialect: "postgresql", version, idSource: "unique_rowid()" }

type Release = readonly [major: number, minor: number, patch: number]

/** The first releases of their lines without a fault that loses data or gives privileges away, by published advisories. */
const soundReleases: ReadonlyArray<Release> = [
  [23, 2, 30],
  [24, 1, 27],
  [24, 3, 30],
  [25, 2, 16],
  [25, 4, 7],
  [26, 1, 2],
]

/**
 * What an operator should know of a CockroachDB: the release to go to, if this one has known faults. Innovation releases
 * between two lines are as old as the line before them.
 */
export const releaseToGoTo = ({ dialect, version }: Pick<Database, "dialect" | "version">): string | undefined => {
  const match = dialect === "cockroachdb" ? /\bv(\d+)\.(\d+)\.(\d+)/.exec(version) : null
  if (match === null) return undefined
  const release: Release = [Number(match[1]), Number(match[2]), Number(match[3])]
  const line = soundReleases.find(([major, minor]) => compare([major, minor, 0], [release[0], release[1], 0]) >= 0)
  return line !== undefined && compare(release, line) < 0 ? `v${line.join(".")}` : undefined
}

const compare = (a: Release, b: Release): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
