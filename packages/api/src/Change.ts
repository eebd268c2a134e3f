import { AccountId } from "@banquo/domain/AccountId"
import { accountStatuses } from "@banquo/domain/AccountStatus"
import { type BalanceChange, chgFlavors } from "@banquo/domain/BalanceChange"
import { BalanceChangeIdFromString } from "@banquo/domain/BalanceChangeId"
import { Currency } from "@banquo/domain/Currency"
import { Metadata, sorted } from "@banquo/domain/Metadata"
import { Amount } from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Schema } from "effect"
import { amountOf, Balance, balanceOf } from "./Balance.ts"

/** An instant as RFC 3339 writes it, in UTC, with microseconds. */
export const Time = Schema.String.annotate({ format: "date-time", examples: ["2026-11-23T09:30:00.000001Z"] })

/** SHA-256 of the change and of all changes of the account before it, in hexadecimal. */
export const Hash = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/u))

export const Change = Schema.Struct({
  change_id: BalanceChangeIdFromString,
  transaction_id: BalanceChangeIdFromString,
  account_id: AccountId,
  seq: Schema.Int.annotateKey({ description: "counts the changes of the account, from 0" }),
  flavor: Schema.Literals(chgFlavors),
  amount: Amount.annotateKey({ description: "how the balance changes" }),
  held_amount: Amount.annotateKey({ description: "how the sum of what is held changes" }),
  currency: Currency,
  balance: Balance.annotateKey({
    description: "after the change; a hold that has expired counts until the row that releases it, which soon follows",
  }),
  status: Schema.Literals(accountStatuses),
  overdraft_limit: Schema.NullOr(Amount).annotateKey({ description: "after the change; null: without limit" }),
  hold_id: Schema.NullOr(BalanceChangeIdFromString).annotateKey({ description: "the hold that the change belongs to" }),
  reverses_transaction_id: Schema.NullOr(BalanceChangeIdFromString),
  description: Schema.NullOr(Schema.String),
  metadata: Metadata,
  actor: Schema.String,
  effective_at: Time,
  created_at: Time,
  hash: Hash,
}).annotate({ identifier: "Change" })

export const changeOf = (change: BalanceChange): typeof Change.Type => ({
  change_id: change.bchgId,
  transaction_id: change.xactId,
  account_id: change.acctId,
  seq: change.acctSeq,
  flavor: change.chgFlavor,
  amount: amountOf(change.chgAmt, change),
  held_amount: amountOf(change.heldAmt, change),
  currency: change.currency,
  balance: balanceOf(change),
  status: change.acctStatus,
  overdraft_limit: change.overdraftLimit === null ? null : amountOf(change.overdraftLimit, change),
  hold_id: change.holdId,
  reverses_transaction_id: change.reversesXactId,
  description: change.description,
  metadata: sorted(change.metadata ?? {}),
  actor: change.actor,
  effective_at: Timestamp.format(change.effectiveTime),
  created_at: Timestamp.format(change.chgCreateTime),
  hash: change.chgHash.toHex(),
})

export const ChangesPage = Schema.Struct({
  changes: Schema.Array(Change),
  next_cursor: Schema.NullOr(Schema.String).annotateKey({ description: "null: there is nothing further now" }),
  previous_cursor: Schema.NullOr(Schema.String),
}).annotate({ identifier: "ChangesPage" })
