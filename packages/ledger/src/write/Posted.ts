/** What a write has brought about, alike whether it was just now or when the same request came before. */
import { type Tail, tailOf } from "@banquo/domain/AccountState"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import type { TransactionId } from "@banquo/domain/BalanceChangeId"
import type { Decision } from "@banquo/domain/Decision"
import { type BalanceChangeRow, changeOfRow } from "../tables/BalanceChangeTable.ts"

export type PostedChange = BalanceChange

export interface Posted {
  readonly transactionId: TransactionId
  /** In the order of the request. */
  readonly changes: ReadonlyArray<PostedChange>
  /** Whether the same request had been carried out before, so that nothing was written now. */
  readonly isReplayed: boolean
}

/** The account as the change left it. */
export const tailAfter = (change: PostedChange): Tail => tailOf(change)

export const postedOfDecision = ({ changes }: Decision): Posted =>
  posted(
    changes.map(({ prevHash: _prevHash, ...change }) => change),
    false,
  )

/** From the rows of one transaction, of which there must be at least one. */
export const postedOfRows = (rows: ReadonlyArray<BalanceChangeRow>): Posted => posted(rows.map(changeOfRow), true)

const posted = (changes: ReadonlyArray<PostedChange>, isReplayed: boolean): Posted => {
  const first = changes[0]
  if (first === undefined) throw new RangeError("a transaction without rows")
  return { transactionId: first.xactId, changes, isReplayed }
}
