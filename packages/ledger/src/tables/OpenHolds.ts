/** Which holds make up what an account holds. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState, Tail } from "@banquo/domain/AccountState"
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { noHolds, type OpenHold } from "@banquo/domain/Hold"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { limitTo } from "./RowLimit.ts"

/** Rows of an account that are read at a time. */
const pageRows = 200

interface HoldRow {
  readonly acct_seq: bigint
  readonly bchg_id: bigint
  readonly held_amt: string
  readonly hold_id: bigint
  readonly hold_expires_at: string | null
}

/**
 * The states of accounts, by their newest rows or any others. Accounts that hold nothing, which are most, cost nothing. For
 * the others it reads hold rows from there backwards until they add up to what is held; rows never change, so the answer fits
 * the row whatever has been appended since. One statement for each, unless an open hold has hundreds of newer rows on top of it.
 */
export const withOpenHolds = (
  sql: SqlClient.SqlClient,
  tails: ReadonlyArray<Tail>,
): Effect.Effect<ReadonlyArray<AccountState>, SqlError.SqlError> =>
  Effect.gen(function* () {
    const searches = tails.map((tail) => new Search(tail))
    for (;;) {
      const open = searches.filter(({ isDone }) => !isDone)
      if (open.length === 0) return tails.map((tail, index) => ({ ...tail, openHolds: searches[index]!.holds }))
      yield* Effect.forEach(
        open,
        (search) =>
          Effect.map(selectHoldRows(sql, search), (rows) => {
            if (rows.length === 0) throw new Error("the holds of an account do not add up to what it holds")
            search.add(rows)
          }),
        { concurrency: "unbounded", discard: true },
      )
    }
  })

/** What has been read of the holds of one account, from its newest row backwards. */
class Search {
  readonly acctId: AccountId
  /** The sequence that comes before what is known. */
  before: number
  readonly #held: Money.Money
  readonly #holds = new Map<bigint, { held: Money.Money; expiresAt: string | null; isWhole: boolean }>()

  constructor({ acctId, acctSeq, held }: Tail) {
    this.acctId = acctId
    this.before = acctSeq + 1
    this.#held = held
  }

  add(rows: ReadonlyArray<HoldRow>): void {
    for (const row of rows) {
      const hold = this.#holds.get(row.hold_id) ?? { held: Money.zero, expiresAt: null, isWhole: false }
      hold.held = Money.sum(hold.held, Money.fromDecimal(row.held_amt))
      hold.expiresAt ??= row.hold_expires_at
      hold.isWhole = row.bchg_id === row.hold_id
      this.#holds.set(row.hold_id, hold)
      this.before = Number(row.acct_seq)
    }
  }

  /** None of them is open in part, so when those that are known from their first row on add up, there are no others. */
  get isDone(): boolean {
    return this.holds.reduce((sum, { held }) => Money.sum(sum, held), Money.zero) === this.#held
  }

  get holds(): ReadonlyArray<OpenHold> {
    if (this.#holds.size === 0) return noHolds
    return [...this.#holds]
      .filter(([, { held, isWhole }]) => isWhole && held > 0n)
      .map(([holdId, { expiresAt, held }]) => ({
        holdId: holdId as BalanceChangeId,
        held,
        expiresAt: Timestamp.fromDatabase(expiresAt!),
      }))
  }
}

/** The next rows of a search. A statement for each account: CockroachDB would read the whole past of each in a join. */
const selectHoldRows = (
  sql: SqlClient.SqlClient,
  { acctId, before }: Search,
): Effect.Effect<ReadonlyArray<HoldRow>, SqlError.SqlError> =>
  // Why: Rows up to a fixed sequence never change. Only for accounts that hold something.
  // Plan: A reverse scan of the partial index on holds of an account, whose condition is said; as many rows as the
  // limit are read.
  sql<HoldRow>`
    SELECT b.acct_seq, b.bchg_id, b.hold_id, b.held_amt::TEXT AS held_amt,
      (b.hold_expires_at AT TIME ZONE 'UTC')::TEXT AS hold_expires_at
    FROM balance_change b
    WHERE b.acct_id = ${acctId}::UUID AND b.hold_id IS NOT NULL AND b.acct_seq < ${BigInt(before)}
    ORDER BY b.acct_seq DESC LIMIT ${limitTo(sql, pageRows)}`
