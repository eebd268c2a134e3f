import { AccountId, AccountIdFromString } from "@banquo/domain/AccountId"
import { BalanceChangeIdFromString } from "@banquo/domain/BalanceChangeId"
import { Currency } from "@banquo/domain/Currency"
import * as Domain from "@banquo/domain/Hold"
import type { Expiry } from "@banquo/domain/Intent"
import { Metadata, sorted } from "@banquo/domain/Metadata"
import { Amount, PositiveAmount } from "@banquo/domain/Money"
import { Description } from "@banquo/domain/Text"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Schema } from "effect"
import { amountOf } from "./Balance.ts"
import { Time } from "./Change.ts"
import { DryRunFlag } from "./DryRun.ts"
import { Require } from "./Require.ts"
import { EffectiveAt, ExpectedSeq, Transaction } from "./Transaction.ts"

export const Hold = Schema.Struct({
  hold_id: BalanceChangeIdFromString,
  account_id: AccountId,
  state: Schema.Literals(Domain.holdStates).annotateKey({
    description:
      "open, or how it ended: captured, by a final capture or to the last; released, by a caller; expired, whatever was left",
  }),
  currency: Currency,
  amount: Schema.String.annotateKey({ description: "what was placed and added to it since, a decimal string" }),
  captured: Schema.String,
  released: Schema.String.annotateKey({ description: "what was given back, by a caller or because the hold ended" }),
  remaining: Amount.annotateKey({
    description: "what is left of it; of a hold that expired just now, it holds nothing",
  }),
  expires_at: Time,
  description: Schema.NullOr(Schema.String),
  metadata: Metadata,
  actor: Schema.String,
  created_at: Time,
  updated_at: Time,
}).annotate({ identifier: "Hold" })

export const holdOf = (hold: Domain.Hold & { readonly currency: Currency }): typeof Hold.Type => ({
  hold_id: hold.holdId,
  account_id: hold.acctId,
  state: hold.state,
  currency: hold.currency,
  amount: amountOf(hold.amount, hold.currency),
  captured: amountOf(hold.captured, hold.currency),
  released: amountOf(hold.released, hold.currency),
  remaining: amountOf(hold.remaining, hold.currency),
  expires_at: Timestamp.format(hold.expiresAt),
  description: hold.description,
  metadata: sorted(hold.metadata ?? {}),
  actor: hold.actor,
  created_at: Timestamp.format(hold.placedAt),
  updated_at: Timestamp.format(hold.updatedAt),
})

/** A hold as a write left it, and the transaction that did so. */
export const HoldWritten = Schema.Struct({ hold: Hold, transaction: Transaction }).annotate({
  identifier: "HoldWritten",
})

const expiry = {
  expires_at: Schema.optionalKey(Timestamp.TimestampFromString),
  ttl: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: Domain.ttlMin, maximum: Domain.ttlMax })),
  ).annotateKey({ description: `how long it lasts from now on, in seconds; ${Domain.ttlMin} to ${Domain.ttlMax}` }),
}

interface ExpiryFields {
  readonly expires_at?: Timestamp.Timestamp
  readonly ttl?: number
}

const saysOneExpiry = Schema.makeFilter(({ expires_at, ttl }: ExpiryFields) =>
  expires_at === undefined || ttl === undefined
    ? undefined
    : { path: ["ttl"], issue: "Expected either expires_at or ttl" },
)

export const expiryOf = ({ expires_at, ttl }: ExpiryFields): Expiry | undefined =>
  expires_at !== undefined ? { at: expires_at } : ttl !== undefined ? { ttl } : undefined

const remarks = { description: Schema.optionalKey(Description), metadata: Schema.optionalKey(Metadata) }

const ifSo = {
  expected_seq: ExpectedSeq,
  require: Schema.optionalKey(Require).annotateKey({
    description: "what must be true of the account after the change",
  }),
  dry_run: DryRunFlag,
}

export const NewHold = Schema.Struct({
  account_id: AccountIdFromString,
  amount: PositiveAmount,
  currency: Schema.optionalKey(Currency).annotateKey({ description: "what the account is taken to be in" }),
  ...expiry,
  ...remarks,
  ...ifSo,
})
  .check(saysOneExpiry)
  .annotate({
    identifier: "NewHold",
    description: `without expires_at and ttl it lasts ${Domain.ttlDefault} seconds; an account has at most ${Domain.openHoldsMax} open holds`,
  })

export const HoldIncrease = Schema.Struct({
  amount: PositiveAmount.annotateKey({ description: "how much more" }),
  ...expiry,
  ...remarks,
  ...ifSo,
})
  .check(saysOneExpiry)
  .annotate({ identifier: "HoldIncrease", description: "without expires_at and ttl it lasts as long as before" })

export const HoldCapture = Schema.Struct({
  amount: Schema.optionalKey(PositiveAmount).annotateKey({ description: "default: all that is left" }),
  final: Schema.optionalKey(Schema.Boolean).annotateKey({
    description: "default true: what is left is released; false: it stays held, for further captures",
  }),
  to: Schema.optionalKey(AccountIdFromString).annotateKey({
    description: "the account that the money goes to; default: it leaves the ledger",
  }),
  ...remarks,
  effective_at: EffectiveAt,
  ...ifSo,
}).annotate({ identifier: "HoldCapture" })

export const HoldRelease = Schema.Struct({ ...remarks, ...ifSo }).annotate({ identifier: "HoldRelease" })

export const HoldsPage = Schema.Struct({
  holds: Schema.Array(Hold),
  next_cursor: Schema.NullOr(Schema.String).annotateKey({
    description: "null: there are no more; with a state, a page may hold fewer than its limit and still have a next",
  }),
}).annotate({ identifier: "HoldsPage" })
