/** Programs that read what happened to an account: range scans of `(acct_id, acct_seq)`. */
import type { AccountId } from "@banquo/domain/AccountId"
import { changesPageMax } from "@banquo/domain/Page"
import { AccountNotFound } from "@banquo/domain/Refusal"
import { Effect, Option, Stream } from "effect"
import { fetchHead } from "./BalanceAt.ts"
import { type BalanceChangeRow, changeColumns, changeOfRow } from "../tables/BalanceChangeTable.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { limitTo } from "../tables/RowLimit.ts"
import type { PostedChange } from "../write/Posted.ts"

/** What {@link fetchAccountHistory} gives at most: the limit of the prototype. */
export const historyMax = 200

/** Which changes of an account: the nearest to a bound, on one side of it; without a bound, from the end that `order` begins at. */
export interface ChangesQuery {
  /** How the changes are given: by ascending or descending sequence. */
  readonly order: "asc" | "desc"
  /** Only changes of a higher sequence, those nearest to it. */
  readonly after?: number | undefined
  /** Only changes of a lower sequence, those nearest to it. */
  readonly before?: number | undefined
  /** At most {@link changesPageMax}. */
  readonly limit: number
}

export interface ChangesPage {
  readonly changes: ReadonlyArray<PostedChange>
  /** Whether the account has changes before and after those of the page. */
  readonly hasEarlier: boolean
  readonly hasLater: boolean
}

/** A page of an account's changes. One statement, and one more for an empty page. */
export const fetchChangesPage = (
  acctId: AccountId,
  { after, before, limit, order }: ChangesQuery,
): Effect.Effect<ChangesPage, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const size = Math.min(limit, changesPageMax)
    // The scan starts at the bound, which may be the opposite of the order that is asked for.
    const scan = after !== undefined ? "asc" : before !== undefined ? "desc" : order
    const rows = yield* read(
      // Why: A read of rows that never change, and of the tail's sequence in the same state.
      // Plan: A range of (acct_id, acct_seq) from its bound on, as many rows as the limit; one end of the range.
      (sql) => sql<BalanceChangeRow & { readonly tail_seq: bigint }>`
      SELECT ${sql.literal(changeColumns)},
        (SELECT max(x.acct_seq) FROM balance_change x WHERE x.acct_id = ${acctId}::UUID) AS tail_seq
      FROM balance_change b
      WHERE b.acct_id = ${acctId}::UUID
        AND b.acct_seq > ${BigInt(after ?? -1)} AND b.acct_seq < ${BigInt(before ?? Number.MAX_SAFE_INTEGER)}
      ORDER BY b.acct_seq ${sql.literal(scan === "asc" ? "ASC" : "DESC")}
      LIMIT ${limitTo(sql, changesPageMax, size)}`,
    ).pipe(Effect.map((rows) => rows.slice(0, size)))
    if (rows.length === 0 && !(yield* exists(acctId))) return yield* new AccountNotFound({ accountId: acctId })
    const changes = (scan === order ? rows : rows.toReversed()).map(changeOfRow)
    return {
      changes,
      // Sequences are dense from 0 to that of the tail.
      hasEarlier: rows.length > 0 && rows.every(({ acct_seq }) => acct_seq > 0n),
      hasLater: rows.length > 0 && rows.every(({ acct_seq, tail_seq }) => acct_seq < tail_seq),
    }
  })

const exists = (acctId: AccountId) =>
  Effect.map(
    // Why: A read of a row that is never gone.
    // Plan: By primary key.
    read((sql) => sql`SELECT 1 AS one FROM account WHERE acct_id = ${acctId}::UUID AND acct_seq = 0`),
    (rows) => rows.length > 0,
  )

/** Rows that one statement of {@link fetchChanges} gives: with the largest metadata, they are four megabytes. */
export const changesReadMax = 250

/** All changes of an account on one side of a bound, or all there are. */
export type ChangesStreamQuery = Omit<ChangesQuery, "limit">

/**
 * All that happened to an account up to now, read {@link changesReadMax} at a time, as they are taken. What is
 * appended meanwhile is left out.
 */
export const fetchChanges = (
  acctId: AccountId,
  { after, before, order }: ChangesStreamQuery,
): Effect.Effect<
  Stream.Stream<PostedChange, DatabaseUnavailable, DbConn>,
  AccountNotFound | DatabaseUnavailable,
  DbConn
> =>
  Effect.gen(function* () {
    const head = yield* fetchHead(acctId)
    const first = (after ?? -1) + 1
    const last = Math.min(before ?? Number.MAX_SAFE_INTEGER, head.acctSeq + 1) - 1
    const isAscending = order === "asc"
    // A window of sequences, which are dense.
    return Stream.paginate(isAscending ? first : last, (from) => {
      const [low, high] = isAscending
        ? [from, Math.min(from + changesReadMax - 1, last)]
        : [Math.max(from - changesReadMax + 1, first), from]
      const next = isAscending ? high + 1 : low - 1
      return Effect.map(
        read(
          // Why: A window of rows that never change; a stream is many of them.
          // Plan: A range of (acct_id, acct_seq) of at most a page.
          (sql) => sql<BalanceChangeRow>`
          SELECT ${sql.literal(changeColumns)} FROM balance_change b
          WHERE b.acct_id = ${acctId}::UUID AND b.acct_seq >= ${BigInt(low)} AND b.acct_seq <= ${BigInt(high)}
          ORDER BY b.acct_seq ${sql.literal(isAscending ? "ASC" : "DESC")}`,
        ),
        (rows) => [rows.map(changeOfRow), next < first || next > last ? Option.none() : Option.some(next)] as const,
      )
    })
  })

/** The newest changes of an account, newest first; at most {@link historyMax}. */
export const fetchAccountHistory = (
  acctId: AccountId,
): Effect.Effect<ReadonlyArray<PostedChange>, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.map(fetchChangesPage(acctId, { order: "desc", limit: historyMax }), ({ changes }) => changes)
