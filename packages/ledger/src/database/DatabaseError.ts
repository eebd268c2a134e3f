/**
 * What a database failure means for the caller. The SQLSTATE decides, by the table that the two databases share; the text
 * of the failure never leaves this module, because its DETAIL prints the row.
 */
import { Cause, Predicate, Schema } from "effect"
import type { SqlError } from "effect/sql/SqlError"

/** Others wrote to the same accounts, or held them, until the time for this request was over. Nothing was applied. */
export class Contention extends Schema.TaggedError<Contention>()("Contention", {}) {
  override get message() {
    return "the accounts are too busy; nothing was applied"
  }
}

/** More requests wait than this process takes on, or this one waited too long for its turn. Nothing was applied. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {}) {
  override get message() {
    return "the service is too busy; nothing was applied"
  }
}

/** The database cannot be reached or does not answer in time. Nothing was applied. */
export class DatabaseUnavailable extends Schema.TaggedError<DatabaseUnavailable>()("DatabaseUnavailable", {
  /** The database has undone the transaction that this was part of; the transaction may be run again. */
  isUndone: Schema.optionalKey(Schema.Literal(true)),
  /** Which failure it was, for the operator: hosts and ports, which callers are not told. */
  failure: Schema.optionalKey(Schema.String),
}) {
  override get message() {
    return "the database is not available; nothing was applied"
  }
}

/** The connection was lost while a write was under way, and the database could not be asked in time how it ended. */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {}) {
  override get message() {
    return "the database went away during the write; whether it was applied is not known"
  }
}

/**
 * - `conflict`: a unique constraint, or a row that does not follow the stored one; this statement wrote nothing, an earlier
 *   attempt of the same rows may have.
 * - `retry`: the database undid the statement (serialization, deadlock, lock time-out).
 * - `unsent`: no connection was made; nothing was applied.
 * - `unknown`: the statement may or may not have been applied.
 * - `defect`: a bug or a broken invariant. Never retried.
 */
export type Fault = "conflict" | "retry" | "unsent" | "unknown" | "defect"

/**
 * Five characters of the SQL standard, if the server sent them. All of its codes have a digit, unlike `EPIPE` and others
 * of the operating system, but for one of CockroachDB's.
 */
export const sqlState = (error: SqlError): string | undefined => {
  const cause = error.reason.cause
  return Predicate.hasProperty(cause, "code") &&
    typeof cause.code === "string" &&
    /^(?:(?=.*\d)[0-9A-Z]{5}|XXUUU)$/.test(cause.code)
    ? cause.code
    : undefined
}

/**
 * A server that has become read-only, a transaction that stood still too long, too many connections, a database that has not
 * been migrated yet or whose role has not been granted what it needs, and a CockroachDB that holds transactions back for want
 * of a licence.
 */
const notNow: ReadonlySet<string> = new Set(["25006", "25P03", "53300", "42501", "42P01", "XXC02"])

/** The database undid the statement in favour of another, found a deadlock, or waited too long for a lock. */
const undone: ReadonlySet<string> = new Set(["40001", "40P01", "55P03"])

/**
 * How far the statement had come is not known: CockroachDB cannot tell (40003; 58C00, a range is away; 58C01, a node is;
 * XXA00, committed without a part of its schema change; XXUUU, an error without a code), or the server ran out of
 * something, ended the statement (57014), the session (57P01), or itself (57P02, 57P03).
 */
const isUnknown = (state: string): boolean =>
  ["40003", "57014", "XXA00", "XXUUU"].includes(state) || /^(?:08|53|57P|58)/.test(state)

/** What cannot be put into a message, and a COMMIT that has rolled back. */
const neverSent = /Failed to encode query|COMMIT rolled back/

export const faultOf = (error: SqlError): Fault => {
  const state = sqlState(error)
  if (state === undefined) {
    if (error.reason.operation === "connect") return "unsent"
    // What the driver could not read was sent all the same: the stream is broken, and no bug of ours.
    return neverSent.test(error.reason.message) ? "defect" : "unknown"
  }
  if (state === "23505" || state === "23503") return "conflict"
  if (undone.has(state)) return "retry"
  if (error.reason.operation === "connect" || notNow.has(state)) return "unsent"
  return isUnknown(state) ? "unknown" : "defect"
}

/** The database refused a statement, for what it is or for its data. Nothing of it is stored. */
class StatementRefused extends Error {
  override readonly name = "StatementRefused"
}

/** Whether a program died of a statement that the database refused. */
export const isStatementRefused = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => Cause.isDieReason(reason) && reason.defect instanceof StatementRefused)

/** A failure that no caller can mend: dies with the SQLSTATE and the constraint, and nothing of the statement or the row. */
export const defectOf = (error: SqlError): Error => {
  const cause = error.reason.cause
  const constraint =
    Predicate.hasProperty(cause, "constraint") && typeof cause.constraint === "string" ? ` (${cause.constraint})` : ""
  // The caller's own statement had failed before, and its program went on all the same.
  if (sqlState(error) === "25P02") {
    return new StatementRefused("the transaction had failed before: after an error of your own SQL, roll it back")
  }
  return new StatementRefused(`the database refused a statement: ${sqlState(error) ?? error.reason._tag}${constraint}`)
}
