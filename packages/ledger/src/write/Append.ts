/**
 * How decided rows are stored: by one statement, all of them or none, and only upon the very rows that they were decided on.
 */
import { areEqualBytes } from "@banquo/domain/Bytes"
import type { SealedChange } from "@banquo/domain/ChangeHash"
import type { Decision } from "@banquo/domain/Decision"
import { Data, Effect } from "effect"
import type { SqlError } from "effect/sql"
import { Contention, DatabaseUnavailable, defectOf, faultOf, OutcomeUnknown } from "../database/DatabaseError.ts"
import { atomically, contentionBackoff, DbConn, readToWrite, within } from "../database/DbConn.ts"
import { unavailable } from "../database/FailureCause.ts"
import * as AccountTable from "../tables/AccountTable.ts"
import * as BalanceChangeTable from "../tables/BalanceChangeTable.ts"
import { awaitDurability } from "./Durability.ts"
import type { WriteError } from "./Writer.ts"

/**
 * - `stored`: all of the rows.
 * - `moved`: none, and they can never be, because an account has moved on or the row that they follow is not the stored one.
 * - `id_taken`: as `moved`, because others have been given the ids of the rows too. A server that was promoted, or restored, may
 *   count on from before the ids that the last one gave.
 */
export type Appended = "stored" | "moved" | "id_taken"

/**
 * Appends the rows of decisions, all or none.
 *
 * A statement that the database undid is sent again as it is. After an unknown outcome the row is read back at its account
 * and sequence: our hash means stored, and is acknowledged after a commit of one's own; another hash means never stored; no
 * row means undecided, so the same rows are sent again, which the unique keys keep from being stored twice.
 */
export const append = Effect.fnUntraced(function* (decisions: ReadonlyArray<Decision>) {
  const db = yield* DbConn
  // Decided by a clock that may have been set since the transaction of the caller's began.
  const unfit = db.unfit()
  if (unfit !== undefined) return yield* new DatabaseUnavailable({ failure: unfit.message })
  const send = insertDecisions(db, decisions)
  if (yield* db.isInTransaction) return yield* appendToTransaction(send)
  const first = firstOf(decisions)

  let isDoubtful = false
  /** A conflict of a statement that was sent before may be with itself: early CockroachDB calls some commits undone. */
  let isResent = false
  const once: Effect.Effect<Appended, Undone | DatabaseUnavailable, DbConn> = Effect.gen(function* () {
    if (isDoubtful) {
      const found = yield* readBack(first)
      if (found !== "nothing") return appended(found === "ours")
    }
    const wasSent = isResent
    isResent = true
    return yield* within(send).pipe(
      Effect.map(appended),
      Effect.catch((error): Effect.Effect<Appended, Undone | DatabaseUnavailable, DbConn> => {
        const fault = faultOf(error)
        if (fault === "conflict") return wasSent ? isOurs(first) : conflictOf(error)
        if (fault === "defect") return Effect.die(defectOf(error))
        if (fault === "unknown") isDoubtful = true
        return Effect.fail(fault === "retry" ? new Undone() : unavailable(error))
      }),
    )
  })
  return yield* once.pipe(
    Effect.retry({ while: (error) => isDoubtful || error._tag === "Undone", schedule: contentionBackoff }),
    Effect.catch((error): Effect.Effect<never, WriteError> => {
      if (isDoubtful) return Effect.fail(new OutcomeUnknown())
      return Effect.fail(error._tag === "Undone" ? new Contention() : error)
    }),
  )
})

/** The database undid the statement in favour of another. */
class Undone extends Data.TaggedError("Undone") {}

/** What is stored in the place of a row. Rows of one statement are stored together, so one of them tells of all. */
const readBack = Effect.fnUntraced(function* ({ acctId, acctSeq, chgHash }: SealedChange) {
  const hash = yield* readToWrite((sql) => BalanceChangeTable.selectHash(sql, acctId, acctSeq))
  if (hash === undefined) return "nothing"
  if (!areEqualBytes(hash, chgHash)) return "another"
  yield* awaitDurability
  return "ours"
})

const isOurs = (row: SealedChange) => Effect.map(readBack(row), (found) => appended(found === "ours"))

const appended = (isStored: boolean): Appended => (isStored ? "stored" : "moved")

/** What keeps ids unique. */
const idKeys = { postgresql: "balance_change_pkey", cockroachdb: "balance_change_bchg_id_key" } as const

const conflictOf = ({ reason }: SqlError.SqlError): Effect.Effect<Appended, DatabaseUnavailable, DbConn> =>
  Effect.flatMap(DbConn, ({ database }) =>
    Effect.map(database, ({ dialect }) =>
      reason._tag === "UniqueViolation" && reason.constraint === idKeys[dialect] ? "id_taken" : "moved",
    ),
  )

/** Inside a transaction of the caller's, a savepoint keeps a conflict from spoiling what the caller did before. */
const appendToTransaction = (
  send: Effect.Effect<boolean, SqlError.SqlError>,
): Effect.Effect<Appended, Contention | DatabaseUnavailable, DbConn> =>
  Effect.flatMap(DbConn, ({ sql }) =>
    atomically(sql, send).pipe(
      Effect.map(appended),
      Effect.catch((error): Effect.Effect<Appended, Contention | DatabaseUnavailable, DbConn> => {
        const fault = faultOf(error)
        if (fault === "conflict") return conflictOf(error)
        if (fault === "defect") return Effect.die(defectOf(error))
        return Effect.fail(fault === "retry" ? new Contention() : unavailable(error))
      }),
    ),
  )

/** One statement; where something is said of accounts, two in one transaction. `false`: the guard kept all of it out. */
const insertDecisions = (
  { sql }: DbConn["Service"],
  decisions: ReadonlyArray<Decision>,
): Effect.Effect<boolean, SqlError.SqlError> => {
  const accounts = decisions.flatMap(({ account }) => account ?? [])
  const insertChanges = Effect.map(
    BalanceChangeTable.insert(
      sql,
      decisions.flatMap(({ asides, changes }) => (asides.length === 0 ? changes : [...asides, ...changes])),
    ),
    (count) => count > 0,
  )
  if (accounts.length === 0) return insertChanges
  return atomically(
    sql,
    Effect.gen(function* () {
      if (!(yield* insertChanges)) return false
      yield* AccountTable.insert(sql, accounts)
      return true
    }),
  )
}

const firstOf = (decisions: ReadonlyArray<Decision>): SealedChange => {
  const first = decisions[0]?.changes[0]
  if (first === undefined) throw new RangeError("no rows to append")
  return first
}
