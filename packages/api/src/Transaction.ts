import { AccountIdFromString } from "@banquo/domain/AccountId"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { BalanceChangeIdFromString } from "@banquo/domain/BalanceChangeId"
import { Currency } from "@banquo/domain/Currency"
import { changesMax } from "@banquo/domain/Intent"
import { Metadata, sorted } from "@banquo/domain/Metadata"
import { NonZeroAmount } from "@banquo/domain/Money"
import { Description } from "@banquo/domain/Text"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Schema } from "effect"
import { Change, changeOf, Time } from "./Change.ts"

export const Transaction = Schema.Struct({
  transaction_id: BalanceChangeIdFromString,
  description: Schema.NullOr(Schema.String),
  metadata: Metadata,
  created_at: Time,
  changes: Schema.Array(Change),
}).annotate({ identifier: "Transaction" })

/** From the rows of a transaction, in order; at least one. */
export const transactionOf = (
  changes: ReadonlyArray<BalanceChange & { readonly currency: Currency }>,
): typeof Transaction.Type => {
  const first = changes[0]
  if (first === undefined) throw new RangeError("a transaction without changes")
  return {
    transaction_id: first.xactId,
    description: first.description,
    metadata: sorted(first.metadata ?? {}),
    created_at: Timestamp.format(first.chgCreateTime),
    changes: changes.map(changeOf),
  }
}

export const NewChange = Schema.Struct({
  account_id: AccountIdFromString,
  amount: NonZeroAmount.annotateKey({ description: "positive: into the account; negative: out of it" }),
  currency: Schema.optionalKey(Currency).annotateKey({ description: "what the account is taken to be in" }),
  expected_seq: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  ).annotateKey({ description: "the sequence that the account must be at" }),
}).annotate({ identifier: "NewChange" })

export const NewTransaction = Schema.Struct({
  changes: Schema.Array(NewChange)
    .check(Schema.isMinLength(1), Schema.isMaxLength(changesMax))
    .annotateKey({ description: "two or more must sum to zero in each currency" }),
  description: Schema.optionalKey(Description),
  metadata: Schema.optionalKey(Metadata),
}).annotate({ identifier: "NewTransaction" })
