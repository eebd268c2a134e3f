/** What the load generators read in an answer. */
import type { Acknowledged } from "./Attempt.ts"

interface ChangeJson {
  readonly change_id: string
  readonly account_id: string
  readonly seq: number
  readonly amount: string
  readonly held_amount: string
  readonly balance: { readonly posted: string }
  readonly hash: string
}

export interface TransactionJson {
  readonly transaction_id: string
  readonly changes: ReadonlyArray<ChangeJson>
}

export const changesOf = ({ changes }: TransactionJson): ReadonlyArray<Acknowledged> =>
  changes.map((change) => ({
    changeId: change.change_id,
    acctId: change.account_id,
    seq: change.seq,
    amount: change.amount,
    held: change.held_amount,
    balance: change.balance.posted,
    hash: change.hash,
  }))
