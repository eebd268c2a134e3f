/** The history of an account as CSV. */
import { changeOf } from "@banquo/api/Change"
import * as Csv from "@banquo/domain/Csv"
import type { PostedChange } from "@banquo/ledger/Posted"
import { Stream } from "effect"

const columns = [
  "seq",
  "change_id",
  "transaction_id",
  "account_id",
  "flavor",
  "amount",
  "held_amount",
  "currency",
  "posted",
  "held",
  "available",
  "status",
  "overdraft_limit",
  "hold_id",
  "reverses_transaction_id",
  "description",
  "metadata",
  "actor",
  "effective_at",
  "created_at",
  "hash",
]

/** An unlimited account has nothing in `available` and `overdraft_limit`. Metadata is JSON. */
const csvRecord = (row: PostedChange): string => {
  const change = changeOf(row)
  return Csv.record([
    `${change.seq}`,
    `${change.change_id}`,
    `${change.transaction_id}`,
    change.account_id,
    change.flavor,
    change.amount,
    change.held_amount,
    change.currency,
    change.balance.posted,
    change.balance.held,
    change.balance.available,
    change.status,
    change.overdraft_limit,
    change.hold_id === null ? null : `${change.hold_id}`,
    change.reverses_transaction_id === null ? null : `${change.reverses_transaction_id}`,
    change.description === null ? null : Csv.text(change.description),
    JSON.stringify(change.metadata),
    Csv.text(change.actor),
    change.effective_at,
    change.created_at,
    change.hash,
  ])
}

export const csv = <E, R>(changes: Stream.Stream<PostedChange, E, R>): Stream.Stream<string, E, R> =>
  Stream.concat(
    Stream.make(Csv.record(columns)),
    Stream.mapArray(changes, (page) => [page.map(csvRecord).join("")]),
  )
