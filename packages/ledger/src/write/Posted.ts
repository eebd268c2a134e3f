/** What a write has brought about, alike whether it was just now or when the same request came before. */
import { type Tail, tailOf } from "@banquo/domain/AccountState"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import type { TransactionId } from "@banquo/domain/BalanceChangeId"
import type { Currency } from "@banquo/domain/Currency"
import type { Decision } from "@banquo/domain/Decision"
import { type BalanceChangeRow, changeOfRow, type CurrencyRow } from "../tables/BalanceChangeTable.ts"

/** A row and the currency of its account, which its amounts are in. */
export interface PostedChange extends BalanceChange {
  readonly currency: Currency
}

export interface Posted {
  readonly transactionId: TransactionId
  /** In the order of the request. */
  readonly changes: ReadonlyArray<PostedChange>
  /** Whether the same request had been carried out before, so that nothing was written now. */
  readonly isReplayed: boolean
}

/** The account as the change left it. */
export const tailAfter = (change: PostedChange): Tail => tailOf(change, change.currency)

export const postedChangeOfRow = (row: BalanceChangeRow & CurrencyRow): PostedChange => ({
  ...changeOfRow(row),
  currency: row.currency,
})

export const postedOfDecision = ({ changes, heads }: Decision): Posted =>
  posted(
    changes.map(({ prevHash: _prevHash, ...change }) => ({ ...change, currency: heads.get(change.acctId)!.currency })),
    false,
  )

/** From the rows of one transaction, of which there must be at least one. */
export const postedOfRows = (rows: ReadonlyArray<BalanceChangeRow & CurrencyRow>): Posted =>
  posted(rows.map(postedChangeOfRow), true)

const posted = (changes: ReadonlyArray<PostedChange>, isReplayed: boolean): Posted => {
  const first = changes[0]
  if (first === undefined) throw new RangeError("a transaction without rows")
  return { transactionId: first.xactId, changes, isReplayed }
}
