/**
 * What moved the balance of an account in a period, on either axis. Rows whose two times agree are a range of sequences;
 * the others have an index of their own and are merged in. Rows are immutable, so that everything up to a fixed sequence
 * reads alike at any time, by any number of statements.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import type { Axis } from "@banquo/domain/Axis"
import * as Money from "@banquo/domain/Money"
import { addTurnovers, type Movement, noTurnovers, type Turnovers } from "@banquo/domain/Statement"
import * as Timestamp from "@banquo/domain/Timestamp"
import type { BalanceChangeId, TransactionId } from "@banquo/domain/BalanceChangeId"
import { Effect, Option, Stream } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import type { BalanceChangeRow } from "../tables/BalanceChangeTable.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { limitTo } from "../tables/RowLimit.ts"

/** Rows that one statement gives. */
export const movementsPageMax = 1_000

/** Rows that one statement sums up: some milliseconds, because other reads wait behind it on a connection that they share. */
export const turnoverRowsMax = 10_000

/** A part of an account's chain and the period that it is looked at for. */
export interface Scope {
  readonly acctId: AccountId
  readonly axis: Axis
  readonly from: Timestamp.Timestamp
  /** Not part of it. */
  readonly to: Timestamp.Timestamp
  /** Rows that were made in the period: after this sequence, up to that one. */
  readonly after: number
  readonly upTo: number
  /** Rows of a higher sequence are not known yet. */
  readonly end: number
}

/** The databases have no year 0, so nothing is stored before the year 1. */
const yearOne = Timestamp.parse("0001-01-01T00:00:00Z")!

const parameterOf = (time: Timestamp.Timestamp): string => (time < yearOne ? "-infinity" : Timestamp.format(time))

/**
 * What to add to the balance after row `seq`, the last that was made at `at` or before, for the balance at `at` on the
 * effective axis, as it is known at row `end`: rows made later and dated earlier are added, rows made earlier and dated
 * later taken away. One index scan over the rows of the account whose two times differ.
 */
export const correctionAt = (
  acctId: AccountId,
  { at, end, seq }: { readonly at: Timestamp.Timestamp; readonly seq: number; readonly end: number },
): Effect.Effect<Money.Money, DatabaseUnavailable, DbConn> =>
  read(
    // Why: Rows up to a fixed sequence never change. Both take -infinity for what lies before the year 1.
    // Plan: Two ranges of the partial index on effective_time, whose condition is said, and which holds the amount.
    (sql) => sql<{ readonly correction: string }>`
    SELECT (
      (SELECT COALESCE(sum(b.chg_amt), 0) FROM balance_change b
        WHERE b.acct_id = ${acctId}::UUID AND b.effective_time <> b.chg_create_time
          AND b.effective_time <= ${parameterOf(at)}::TIMESTAMPTZ
          AND b.acct_seq > ${BigInt(seq)} AND b.acct_seq <= ${BigInt(end)})
      - (SELECT COALESCE(sum(b.chg_amt), 0) FROM balance_change b
        WHERE b.acct_id = ${acctId}::UUID AND b.effective_time <> b.chg_create_time
          AND b.effective_time > ${parameterOf(at)}::TIMESTAMPTZ
          AND b.acct_seq <= ${BigInt(seq)})
    )::TEXT AS correction`,
  ).pipe(Effect.map(([row]) => Money.fromDecimal(row!.correction)))

interface TurnoversRow {
  readonly debit_count: bigint
  readonly debits: string
  readonly credit_count: bigint
  readonly credits: string
}

const turnoverColumns = `count(*) FILTER (WHERE b.chg_amt < 0) AS debit_count,
  COALESCE(-sum(b.chg_amt) FILTER (WHERE b.chg_amt < 0), 0)::TEXT AS debits,
  count(*) FILTER (WHERE b.chg_amt > 0) AS credit_count,
  COALESCE(sum(b.chg_amt) FILTER (WHERE b.chg_amt > 0), 0)::TEXT AS credits`

const turnoversOfRow = (row: TurnoversRow): Turnovers => ({
  debits: { count: Number(row.debit_count), sum: Money.fromDecimal(row.debits) },
  credits: { count: Number(row.credit_count), sum: Money.fromDecimal(row.credits) },
})

/** On the effective axis, rows that are dated otherwise come from their index instead. */
const agreeing = (axis: Axis): string => (axis === "created" ? "true" : "b.effective_time = b.chg_create_time")

/** How many movements there are each way, and their sums. One statement for each {@link turnoverRowsMax} rows of the period. */
export const turnovers = (scope: Scope): Effect.Effect<Turnovers, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    let sums = noTurnovers
    for (let after = scope.after; after < scope.upTo; after += turnoverRowsMax) {
      const upTo = Math.min(after + turnoverRowsMax, scope.upTo)
      const [row] = yield* read(
        // Why: Rows up to a fixed sequence never change.
        // Plan: A range of (acct_id, acct_seq) of at most 100 000 rows, each read.
        (sql) => sql<TurnoversRow>`
        SELECT ${sql.literal(turnoverColumns)} FROM balance_change b
        WHERE b.acct_id = ${scope.acctId}::UUID AND b.acct_seq > ${BigInt(after)} AND b.acct_seq <= ${BigInt(upTo)}
          AND ${sql.literal(agreeing(scope.axis))}`,
      )
      sums = addTurnovers(sums, turnoversOfRow(row!))
    }
    if (scope.axis === "created") return sums
    const [row] = yield* read(
      // Why: Rows up to a fixed sequence never change.
      // Plan: A range of the partial index on effective_time, whose condition is said, and which holds the amount.
      (sql) => sql<TurnoversRow>`
      SELECT ${sql.literal(turnoverColumns)} FROM balance_change b
      WHERE b.acct_id = ${scope.acctId}::UUID AND b.effective_time <> b.chg_create_time
        AND b.effective_time >= ${parameterOf(scope.from)}::TIMESTAMPTZ
        AND b.effective_time < ${parameterOf(scope.to)}::TIMESTAMPTZ
        AND b.acct_seq <= ${BigInt(scope.end)}`,
    )
    return addTurnovers(sums, turnoversOfRow(row!))
  })

type MovementRow = Pick<
  BalanceChangeRow,
  "acct_seq" | "bchg_id" | "xact_id" | "chg_flavor" | "chg_amt" | "description" | "effective_time" | "chg_create_time"
>

const movementColumns = `b.acct_seq, b.bchg_id, b.xact_id, b.chg_flavor::TEXT AS chg_flavor, b.chg_amt::TEXT AS chg_amt,
  b.description, (b.effective_time AT TIME ZONE 'UTC')::TEXT AS effective_time,
  (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time`

const movementOfRow = (row: MovementRow): Movement => ({
  acctSeq: Number(row.acct_seq),
  bchgId: row.bchg_id as BalanceChangeId,
  xactId: row.xact_id as TransactionId,
  chgFlavor: row.chg_flavor,
  chgAmt: Money.fromDecimal(row.chg_amt),
  description: row.description,
  effectiveTime: Timestamp.fromDatabase(row.effective_time),
  chgCreateTime: Timestamp.fromDatabase(row.chg_create_time),
})

/** By sequence. A window of sequences, not of rows: a scan ends after it, however few of its rows are movements. */
const selectAgreeing = (sql: SqlClient.SqlClient, scope: Scope, { after, upTo }: Pick<Scope, "after" | "upTo">) =>
  // Why: Rows up to a fixed sequence never change.
  // Plan: A range of (acct_id, acct_seq) of at most a page, each row read.
  sql<MovementRow>`
    SELECT ${sql.literal(movementColumns)} FROM balance_change b
    WHERE b.acct_id = ${scope.acctId}::UUID AND b.acct_seq > ${BigInt(after)} AND b.acct_seq <= ${BigInt(upTo)}
      AND b.chg_amt <> 0 AND ${sql.literal(agreeing(scope.axis))}
    ORDER BY b.acct_seq`.pipe(movementsOf)

/** By effective time and sequence. */
const selectOtherwiseDated = (sql: SqlClient.SqlClient, scope: Scope, { seq, time }: Place) =>
  // Why: Rows up to a fixed sequence never change.
  // Plan: The partial index on effective_time in its order, from a place on; as many rows as the limit are read.
  sql<MovementRow>`
    SELECT ${sql.literal(movementColumns)} FROM balance_change b
    WHERE b.acct_id = ${scope.acctId}::UUID AND b.effective_time <> b.chg_create_time
      AND (b.effective_time, b.acct_seq) > (${parameterOf(time)}::TIMESTAMPTZ, ${BigInt(seq)})
      AND b.effective_time < ${parameterOf(scope.to)}::TIMESTAMPTZ
      AND b.acct_seq <= ${BigInt(scope.end)} AND b.chg_amt <> 0
    ORDER BY b.effective_time, b.acct_seq LIMIT ${limitTo(sql, movementsPageMax)}`.pipe(movementsOf)

const movementsOf = (
  rows: Effect.Effect<ReadonlyArray<MovementRow>, SqlError.SqlError>,
): Effect.Effect<ReadonlyArray<Movement>, SqlError.SqlError> => Effect.map(rows, (rows) => rows.map(movementOfRow))

/** A place in the order of the effective axis. */
interface Place {
  readonly time: Timestamp.Timestamp
  readonly seq: number
}

/** What was read of one kind of rows and not given yet, and where to read on; `undefined`: there is nothing further. */
interface Source<Next> {
  readonly rows: ReadonlyArray<Movement>
  readonly next: Next | undefined
}

/**
 * The movements, in the order of the axis and of the sequence. Read a page at a time, as they are taken: two pages are in
 * memory, and one statement is under way.
 */
export const movements = (scope: Scope): Stream.Stream<Movement, DatabaseUnavailable, DbConn> =>
  Stream.paginate(
    {
      agreeing: { rows: [], next: scope.after < scope.upTo ? scope.after : undefined } as Source<number>,
      dated: {
        rows: [],
        next: scope.axis === "created" ? undefined : { time: scope.from, seq: -1 },
      } as Source<Place>,
    },
    (state) =>
      Effect.gen(function* () {
        const agreeing = yield* refill(state.agreeing, (after) => agreeingPage(scope, after))
        const dated = yield* refill(state.dated, (place) => datedPage(scope, place))
        const merged = merge(agreeing, dated)
        const left = { agreeing: { ...agreeing, rows: merged.left[0] }, dated: { ...dated, rows: merged.left[1] } }
        return [merged.rows, isSpent(left.agreeing) && isSpent(left.dated) ? Option.none() : Option.some(left)] as const
      }),
  )

const isSpent = <Next>({ next, rows }: Source<Next>): boolean => rows.length === 0 && next === undefined

const refill = <Next, E, R>(
  source: Source<Next>,
  page: (next: Next) => Effect.Effect<Source<Next>, E, R>,
): Effect.Effect<Source<Next>, E, R> =>
  source.rows.length === 0 && source.next !== undefined ? page(source.next) : Effect.succeed(source)

const agreeingPage = (scope: Scope, after: number) => {
  const upTo = Math.min(after + movementsPageMax, scope.upTo)
  return Effect.map(
    read((sql) => selectAgreeing(sql, scope, { after, upTo })),
    (rows): Source<number> => ({ rows, next: upTo < scope.upTo ? upTo : undefined }),
  )
}

const datedPage = (scope: Scope, place: Place) =>
  Effect.map(
    read((sql) => selectOtherwiseDated(sql, scope, place)),
    (rows): Source<Place> => {
      const last = rows.length < movementsPageMax ? undefined : rows.at(-1)
      return { rows, next: last === undefined ? undefined : { time: last.effectiveTime, seq: last.acctSeq } }
    },
  )

const isBefore = (a: Movement, b: Movement): boolean =>
  a.effectiveTime === b.effectiveTime ? a.acctSeq < b.acctSeq : a.effectiveTime < b.effectiveTime

/** As much of two ordered pages as their order is known of: until one of them ends that has another page after it. */
const merge = (a: Source<unknown>, b: Source<unknown>) => {
  const rows: Array<Movement> = []
  let i = 0
  let j = 0
  while ((i < a.rows.length || a.next === undefined) && (j < b.rows.length || b.next === undefined)) {
    const [left, right] = [a.rows[i], b.rows[j]]
    if (left === undefined && right === undefined) break
    if (right === undefined || (left !== undefined && isBefore(left, right))) {
      rows.push(left!)
      i += 1
    } else {
      rows.push(right)
      j += 1
    }
  }
  return { rows, left: [a.rows.slice(i), b.rows.slice(j)] as const }
}
