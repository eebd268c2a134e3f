/** What a server says of itself, and which of several servers the ledger is to be kept on. */
import { Data } from "effect"
import type { Host } from "./DatabaseUrl.ts"
import { type Database, databaseOfVersion, type Dialect } from "./Dialect.ts"

/** Furthest that the clock of this process may be from the database's, in milliseconds: rows carry its time. */
export const clockSkewMaxMillis = 1_000

/** What one server says of itself. */
export interface Server {
  readonly host: Host
  readonly dialect: Dialect
  /** As the server says it. */
  readonly version: string
  readonly isInRecovery: boolean
  /** In recovery, or told to take no writes. */
  readonly isReadOnly: boolean
  /** Of the cluster that it is a copy of; empty on CockroachDB. */
  readonly systemIdentifier: string
  /** Counted up by each promotion; 0 in recovery and on CockroachDB. */
  readonly timeline: number
  /** When it was started; one server under two names says the same. */
  readonly startTime: string
  /** Changes when the database, or its ledger, was made anew there. */
  readonly ledgerObject: string
  /** Settings without which it loses what it has acknowledged, and which are off. */
  readonly lossySettings: ReadonlyArray<string>
  /** Whether its own `synchronous_commit` is below `on`. */
  readonly isCommitLowered: boolean
  /** By how much the clock of this process is ahead, in milliseconds, and how far off that may be. */
  readonly clockAhead: number
  readonly clockError: number
  /** When it said so, on the two clocks of this process: the one that can be set, and the steady one, in milliseconds. */
  readonly saidAt: { readonly wall: number; readonly steady: number }
}

/**
 * By how much the clock of this process is ahead of the server's now, beyond what the look could not tell: it may have been set
 * since. In milliseconds.
 */
export const aheadNow = ({ clockAhead, clockError, saidAt }: Server): number => {
  const ahead = clockAhead + (Date.now() - saidAt.wall) - (performance.now() - saidAt.steady)
  return Math.sign(ahead) * Math.max(0, Math.abs(ahead) - clockError)
}

/** Why there is no database to work on. */
export const unfitKinds = [
  "unknown",
  "unreachable",
  "silent",
  "tls",
  "not_postgresql",
  "password",
  "role",
  "name",
  "privilege",
  "schema",
  "connections",
  "starting",
  "read_only",
  "standby",
  "two_primaries",
  "old_primary",
  "not_durable",
  "clock",
  "waits_for_standby",
  "licence",
  "other",
] as const
export type UnfitKind = (typeof unfitKinds)[number]

/** In words for an operator: no address of a database with its password, no SQL. */
export class Unfit extends Data.TaggedError("Unfit")<{ readonly kind: UnfitKind; readonly message: string }> {}

/** What is known of one host. */
export type Report =
  | { readonly _tag: "Answered"; readonly server: Server }
  | { readonly _tag: "Failed"; readonly unfit: Unfit }

/** The newest timeline that was ever seen, and of which cluster. */
export interface Newest {
  readonly systemIdentifier: string
  readonly timeline: number
}

export type Verdict =
  | { readonly _tag: "Fit"; readonly server: Server; readonly hosts: ReadonlyArray<Host> }
  | { readonly _tag: "Unfit"; readonly unfit: Unfit }

/**
 * On PostgreSQL the one server that can write, which must not be older than one that was seen before. Two that can write are
 * two ledgers: which of them is right nobody here can know. On CockroachDB every node writes.
 */
export const judge = (reports: ReadonlyArray<Report>, newest: Newest | undefined): Verdict => {
  const servers = reports.flatMap((report) => (report._tag === "Answered" ? report.server : []))
  const node = servers.find(({ dialect }) => dialect === "cockroachdb")
  if (node !== undefined) return judgeAlone(node, []) // all hosts
  const writable = servers.filter(({ isReadOnly }) => !isReadOnly)
  const [primary, ...others] = writable
  if (primary === undefined) return { _tag: "Unfit", unfit: noneWrites(reports) }
  const other = others.find((one) => !isSame(one, primary))
  if (other !== undefined) {
    const said = [primary, other].map(({ host, timeline }) => `${nameOf(host)} (timeline ${timeline})`).join(" and ")
    return unfit("two_primaries", `${said} both take writes: fence the old one`)
  }
  if (newest?.systemIdentifier === primary.systemIdentifier && primary.timeline < newest.timeline) {
    return unfit(
      "old_primary",
      `${nameOf(primary.host)} takes writes on timeline ${primary.timeline}, after timeline ${newest.timeline} was seen: an old primary`,
    )
  }
  return judgeAlone(primary, [primary.host])
}

const judgeAlone = (server: Server, hosts: ReadonlyArray<Host>): Verdict => {
  const { host, lossySettings } = server
  if (lossySettings.length > 0) {
    return unfit(
      "not_durable",
      `${nameOf(host)} loses what it acknowledged when it crashes: ${lossySettings.join(", ")} off`,
    )
  }
  const ahead = aheadNow(server)
  if (Math.abs(ahead) > clockSkewMaxMillis) return { _tag: "Unfit", unfit: clockOff(ahead) }
  return { _tag: "Fit", server, hosts }
}

/** `ahead`: of the clock of this process, in milliseconds. */
export const clockOff = (ahead: number): Unfit =>
  new Unfit({
    kind: "clock",
    // To the second, or each look would be another message.
    message: `the clock of this process is ${Math.abs(Math.round(ahead / 1000))} s ${ahead > 0 ? "ahead of" : "behind"} the database's`,
  })

const isSame = (a: Server, b: Server): boolean =>
  a.systemIdentifier === b.systemIdentifier && a.timeline === b.timeline && a.startTime === b.startTime

const unfit = (kind: UnfitKind, message: string): Verdict => ({ _tag: "Unfit", unfit: new Unfit({ kind, message }) })

const noneWrites = (reports: ReadonlyArray<Report>): Unfit => {
  const all = reports.map((report) => (report._tag === "Failed" ? report.unfit : readOnly(report.server)))
  const [first] = all
  if (first === undefined) return new Unfit({ kind: "unknown", message: "nothing is known of the database yet" })
  // What can be mended comes before what waits for it.
  const { kind } = all.find((one) => one.kind !== "standby") ?? first
  return new Unfit({ kind, message: [...new Set(all.map(({ message }) => message))].join("; ") })
}

const readOnly = ({ host, isInRecovery }: Server): Unfit =>
  isInRecovery
    ? new Unfit({ kind: "standby", message: `${nameOf(host)} is a standby` })
    : new Unfit({ kind: "read_only", message: `${nameOf(host)} takes no writes (default_transaction_read_only)` })

export const nameOf = ({ host, port }: Host): string =>
  host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/** Which history of writes a server goes on with: of which cluster, and after which promotion. */
export const historyOf = ({ dialect, systemIdentifier, timeline }: Server): string =>
  `${dialect} ${systemIdentifier} ${timeline}`

export const databaseOf = ({ version }: Server): Database => databaseOfVersion(version)
