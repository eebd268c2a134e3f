import { AccountIdFromString } from "@banquo/domain/AccountId"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { BalanceChangeIdFromString } from "@banquo/domain/BalanceChangeId"
import { Currency } from "@banquo/domain/Currency"
import { changesMax } from "@banquo/domain/Intent"
import { Metadata, sorted } from "@banquo/domain/Metadata"
import { NonZeroAmount } from "@banquo/domain/Money"
import { Description } from "@banquo/domain/Text"
import * as Timestamp from "@banquo/domain/Timestamp"
import { TimestampFromString } from "@banquo/domain/Timestamp"
import { Schema } from "effect"
import { Change, changeOf, Time } from "./Change.ts"
import { described } from "./Described.ts"
import { DryRunFlag } from "./DryRun.ts"
import { Require } from "./Require.ts"

export const Transaction = Schema.Struct({
  transaction_id: BalanceChangeIdFromString,
  description: Schema.NullOr(Schema.String),
  metadata: Metadata,
  effective_at: Time.annotateKey({ description: "when it happened in the world" }),
  created_at: Time,
  reverses_transaction_id: Schema.NullOr(BalanceChangeIdFromString).annotateKey({
    description: "the transaction that this one takes back, as a whole or in part",
  }),
  changes: Schema.Array(Change),
}).annotate({ identifier: "Transaction" })

/** From the rows of a transaction, in order; at least one. */
export const transactionOf = (changes: ReadonlyArray<BalanceChange>): typeof Transaction.Type => {
  const first = changes[0]
  if (first === undefined) throw new RangeError("a transaction without changes")
  return {
    transaction_id: first.xactId,
    description: first.description,
    metadata: sorted(first.metadata ?? {}),
    effective_at: Timestamp.format(first.effectiveTime),
    created_at: Timestamp.format(first.chgCreateTime),
    reverses_transaction_id: first.reversesXactId,
    changes: changes.map(changeOf),
  }
}

/** Optimistic concurrency: the sequence that the account must be at. */
export const ExpectedSeq = Schema.optionalKey(
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
).annotateKey({ description: "the sequence that the account must be at" })

/** When it happened in the world. */
export const EffectiveAt = Schema.optionalKey(
  TimestampFromString.pipe(
    described("when it happened in the world, not later than now; default: when the ledger takes it"),
  ),
)

export const NewChange = Schema.Struct({
  account_id: AccountIdFromString,
  amount: NonZeroAmount.annotateKey({ description: "positive: into the account; negative: out of it" }),
  currency: Schema.optionalKey(Currency).annotateKey({ description: "what the account is taken to be in" }),
  expected_seq: ExpectedSeq,
  require: Schema.optionalKey(Require).annotateKey({
    description: "what must be true of the account after the change",
  }),
}).annotate({ identifier: "NewChange" })

/** What a transaction says, wherever it is sent. */
export const transactionFields = {
  changes: Schema.Array(NewChange)
    .check(Schema.isMinLength(1), Schema.isMaxLength(changesMax))
    .annotateKey({ description: "two or more must sum to zero in each currency" }),
  description: Schema.optionalKey(Description),
  metadata: Schema.optionalKey(Metadata),
  effective_at: EffectiveAt,
}

export const NewTransaction = Schema.Struct({ ...transactionFields, dry_run: DryRunFlag }).annotate({
  identifier: "NewTransaction",
})

/** Of a body of which nothing is required, where something else is sent. */
export const bodyMessage = "Expected a JSON object: {} will do"

export const NewReversal = Schema.Struct({
  changes: Schema.optionalKey(
    Schema.Array(NewChange).check(Schema.isMinLength(1), Schema.isMaxLength(changesMax)),
  ).annotateKey({
    description:
      "how much to take back, of the opposite sign to the transaction's changes; default: all that was not taken back before",
  }),
  force: Schema.optionalKey(Schema.Boolean).annotateKey({
    description: "whether overdraft limits are raised as far as the reversal needs; they stay raised",
  }),
  description: Schema.optionalKey(Description),
  metadata: Schema.optionalKey(Metadata),
  effective_at: EffectiveAt,
  dry_run: DryRunFlag,
}).annotate({ identifier: "NewReversal", message: bodyMessage })
