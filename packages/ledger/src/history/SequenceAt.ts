/** Where in its chain an account was at an instant of the ledger's own time. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import type { Timestamp } from "@banquo/domain/Timestamp"
import { Effect } from "effect"
import { selectCreateTimes } from "../tables/BalanceChangeTable.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"

/** Rows that one statement looks at: three statements find an instant among two million rows. */
export const probesMax = 128

/**
 * The sequence of the last row that was made at `at` or before, up to that of `end`; -1: the account was not open yet. Create
 * times ascend along a chain, so they are searched as they stand, without an index on them: a statement for each factor
 * of {@link probesMax} in the length of the chain.
 */
export const sequenceAt = (
  acctId: AccountId,
  at: Timestamp,
  end: Pick<AccountState, "acctSeq" | "chgCreateTime">,
): Effect.Effect<number, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    if (end.chgCreateTime <= at) return end.acctSeq
    // The row at `low`, if there is one, was made by then, and that at `high` later.
    let low = -1
    let high = end.acctSeq
    while (high - low > 1) {
      const seqs = probesBetween(low, high)
      const times = yield* read((sql) => selectCreateTimes(sql, acctId, seqs))
      for (const seq of seqs) {
        const time = times.get(seq)
        if (time === undefined) return yield* Effect.die(new Error(`account ${acctId} has a gap at ${seq}`))
        if (time <= at) low = Math.max(low, seq)
        else high = Math.min(high, seq)
      }
    }
    return low
  })

/** Sequences between two others, evenly spread; all of them where there are no more than {@link probesMax}. */
export const probesBetween = (low: number, high: number): ReadonlyArray<number> => {
  const count = Math.min(probesMax, high - low - 1)
  return Array.from({ length: count }, (_, index) => low + Math.floor(((index + 1) * (high - low)) / (count + 1)))
}
