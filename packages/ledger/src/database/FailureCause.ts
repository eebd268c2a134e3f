/** Which failure of the database an error is, in words for an operator: never the text of the server, which may hold a row. */
import { Duration, Effect, Predicate } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { DatabaseUnavailable, faultOf, sqlState } from "./DatabaseError.ts"
import { HostFailed } from "./DatabaseSocket.ts"
import type { DatabaseUrl, Host } from "./DatabaseUrl.ts"
import { nameOf, Unfit, type UnfitKind } from "./Server.ts"

/** By SQLSTATE, which both databases share. */
const bySqlState: Readonly<Record<string, readonly [UnfitKind, string]>> = {
  "25006": ["read_only", "it takes no writes"],
  "28000": ["role", "it does not let this role in"],
  "28P01": ["password", "it does not take the password of this role"],
  "3D000": ["name", "it has no database of this name"],
  "42501": [
    "privilege",
    "the role lacks a privilege: a service needs banquo_app, `banquo migrate` the owner of the database",
  ],
  "42P01": ["schema", "it lacks tables of the ledger: run `banquo migrate`"],
  "53300": ["connections", "it takes no more connections"],
  "57P01": ["starting", "it is being stopped"],
  "57P02": ["starting", "it has crashed and is being started"],
  "57P03": ["starting", "it is being started or stopped"],
  XXC02: ["licence", "this CockroachDB has no valid licence and holds transactions back"],
}

/** By the code of the operating system or of TLS. */
const byCode: Readonly<Record<string, readonly [UnfitKind, string]>> = {
  EACCES: ["unreachable", "this process may not connect to it"],
  EAI_AGAIN: ["unreachable", "its name cannot be looked up"],
  ECONNREFUSED: ["unreachable", "nothing listens there"],
  ECONNRESET: ["unreachable", "it closed the connection"],
  EHOSTUNREACH: ["unreachable", "it cannot be reached"],
  ENETUNREACH: ["unreachable", "it cannot be reached"],
  ENOENT: ["unreachable", "there is no such socket"],
  ENOTFOUND: ["unreachable", "there is no host of this name"],
  EPIPE: ["unreachable", "it closed the connection"],
  ETIMEDOUT: ["silent", "it does not answer"],
  CERT_HAS_EXPIRED: ["tls", "its certificate has expired"],
  CERT_NOT_YET_VALID: ["tls", "its certificate is not valid yet"],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["tls", "its certificate is not signed by one that is trusted"],
  ERR_TLS_CERT_ALTNAME_INVALID: ["tls", "its certificate is for another name"],
  SELF_SIGNED_CERT_IN_CHAIN: ["tls", "its certificate is not signed by one that is trusted"],
  UNABLE_TO_GET_ISSUER_CERT: ["tls", "its certificate is not signed by one that is trusted"],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["tls", "its certificate is not signed by one that is trusted"],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["tls", "its certificate is not signed by one that is trusted"],
}

/** By what is said by the socket and the driver themselves. */
const byMessage: ReadonlyArray<readonly [RegExp, UnfitKind, string]> = [
  [/does not offer TLS|Server refused TLS/, "tls", "it does not offer TLS"],
  [/did not answer in time|timed out|does not answer|no answer within/i, "silent", "it does not answer"],
  [/No password configured/, "password", "it asks for a password, and none is given"],
  [/SCRAM|SASL|MD5|authentication/i, "password", "it asks for a proof of the password that cannot be given"],
  [
    /Protocol desync|Failed to parse|Invalid SSLRequest/,
    "not_postgresql",
    "what listens there does not speak PostgreSQL",
  ],
  [/closed|takes no connections/i, "unreachable", "it closed the connection"],
]

/** What the role and the database are called is said where that is what is wrong. */
export type Told = Pick<DatabaseUrl, "database" | "username">

/** `host`: the one that was asked, where that is known. */
export const unfitOf = (error: SqlError, { database, username }: Told = namesUnknown, host?: Host): Unfit => {
  const cause = error.reason.cause
  if (cause instanceof Unfit) return cause
  const at = host ?? (cause instanceof HostFailed ? cause.host : undefined)
  const { code, kind, words } = found(error)
  const name =
    kind === "name" && database !== undefined
      ? `: ${database}`
      : (kind === "role" || kind === "password") && username !== undefined
        ? `: ${username}`
        : ""
  return new Unfit({
    kind,
    message: `${at === undefined ? "" : `${nameOf(at)}: `}${words}${name}${code === undefined ? "" : ` (${code})`}`,
  })
}

const namesUnknown: Told = { database: undefined, username: undefined }

const found = (error: SqlError): { readonly code?: string; readonly kind: UnfitKind; readonly words: string } => {
  const state = sqlState(error)
  if (state !== undefined) {
    const [kind, words] = bySqlState[state] ?? ["other", "it refuses with a SQLSTATE"]
    return { code: state, kind, words }
  }
  const causes = causesOf(error.reason.cause)
  for (const cause of causes) {
    const code = Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : undefined
    if (code === undefined) continue
    const known = byCode[code]
    if (known !== undefined) return { code, kind: known[0], words: known[1] }
    if (/^ERR_(?:SSL|TLS)/.test(code)) return { code, kind: "tls", words: "TLS cannot be agreed upon" }
  }
  const said = [error.reason.message, ...causes.map((cause) => (cause instanceof Error ? cause.message : ""))].join(" ")
  const [, kind = "other", words = "it cannot be used"] = byMessage.find(([pattern]) => pattern.test(said)) ?? []
  return { kind, words }
}

/** An error, what it came from, and of several attempts each. */
const causesOf = (error: unknown): ReadonlyArray<unknown> => {
  if (!(error instanceof Error)) return []
  const parts = error instanceof AggregateError ? error.errors : []
  return [error, ...parts.flatMap(causesOf), ...causesOf(error.cause)]
}

/** Nothing was applied, and why. */
export const unavailable = (error: SqlError): DatabaseUnavailable =>
  new DatabaseUnavailable({
    failure: unfitOf(error).message,
    ...(faultOf(error) === "retry" ? { isUndone: true } : {}),
  })

/** How often the same refusal is told at most. */
const tellInterval = Duration.minutes(1)

/** When each kind of refusal was last told, by `performance.now`. */
const toldAt = new Map<string, number>()

/**
 * Tells the operator why a database that can be connected to refuses statements: a grant, the schema, its licence. Each kind
 * once a minute at most; what the caller of a program may mend, or the ledger itself, is not told.
 */
export const tellRefusal = (error: SqlError): Effect.Effect<void> => {
  const state = sqlState(error)
  if (state === undefined || bySqlState[state] === undefined || faultOf(error) !== "unsent") return Effect.void
  const { kind, message } = unfitOf(error)
  const last = toldAt.get(message)
  if (last !== undefined && performance.now() - last < Duration.toMillis(tellInterval)) return Effect.void
  toldAt.set(message, performance.now())
  return Effect.logWarning(`the database refuses statements: ${message}`, { reason: kind })
}
