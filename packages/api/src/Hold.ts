import { AccountId, AccountIdFromString } from "@banquo/domain/AccountId"
import { BalanceChangeIdFromString } from "@banquo/domain/BalanceChangeId"
import { type Asset, Currency } from "@banquo/domain/Currency"
import * as Domain from "@banquo/domain/Hold"
import type { Expiry } from "@banquo/domain/Intent"
import { Metadata, sorted } from "@banquo/domain/Metadata"
import * as Money from "@banquo/domain/Money"
import { Description } from "@banquo/domain/Text"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Schema } from "effect"
import { amountOf } from "./Balance.ts"
import { Time } from "./Change.ts"
import { described } from "./Described.ts"
import { DryRunFlag } from "./DryRun.ts"
import { Require } from "./Require.ts"
import { bodyMessage, EffectiveAt, ExpectedSeq, Transaction } from "./Transaction.ts"

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
  remaining: Money.Amount.annotateKey({ description: "what is left of it, and held; zero once it has ended" }),
  expires_at: Time,
  description: Schema.NullOr(Schema.String),
  metadata: Metadata,
  actor: Schema.String,
  created_at: Time,
  updated_at: Time,
}).annotate({ identifier: "Hold" })

export const holdOf = (hold: Domain.Hold & Asset): typeof Hold.Type => {
  // What an expired hold had left is free at once: whether its row is written yet is the ledger's business.
  const freed = hold.state === "expired" ? hold.remaining : Money.zero
  return {
    hold_id: hold.holdId,
    account_id: hold.acctId,
    state: hold.state,
    currency: hold.currency,
    amount: amountOf(hold.amount, hold),
    captured: amountOf(hold.captured, hold),
    released: amountOf(Money.sum(hold.released, freed), hold),
    remaining: amountOf(Money.difference(hold.remaining, freed), hold),
    expires_at: Timestamp.format(hold.expiresAt),
    description: hold.description,
    metadata: sorted(hold.metadata ?? {}),
    actor: hold.actor,
    created_at: Timestamp.format(hold.placedAt),
    updated_at: Timestamp.format(hold.updatedAt),
  }
}

/** A hold as a write left it, and the transaction that did so. */
export const HoldWritten = Schema.Struct({ hold: Hold, transaction: Transaction }).annotate({
  identifier: "HoldWritten",
})

/** `otherwise`: what is so if neither is said. */
const expiryOr = (otherwise: string) => ({
  expires_at: Schema.optionalKey(
    Timestamp.TimestampFromString.pipe(described(`when it expires, in place of ttl; ${otherwise}`)),
  ),
  ttl: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: Domain.ttlMin, maximum: Domain.ttlMax })),
  ).annotateKey({ description: `how long it lasts from now on, in seconds, in place of expires_at; ${otherwise}` }),
})

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
  amount: Money.PositiveAmount,
  currency: Schema.optionalKey(Currency).annotateKey({ description: "what the account is taken to be in" }),
  ...expiryOr(`default: ttl ${Domain.ttlDefault}`),
  ...remarks,
  ...ifSo,
})
  .check(saysOneExpiry)
  .annotate({ identifier: "NewHold" })

export const HoldIncrease = Schema.Struct({
  amount: Money.PositiveAmount.annotateKey({ description: "how much more" }),
  ...expiryOr("default: as before"),
  ...remarks,
  ...ifSo,
})
  .check(saysOneExpiry)
  .annotate({ identifier: "HoldIncrease" })

export const HoldCapture = Schema.Struct({
  amount: Schema.optionalKey(Money.PositiveAmount).annotateKey({ description: "default: all that is left" }),
  final: Schema.optionalKey(Schema.Boolean).annotateKey({
    description: "default true: what is left is released; false: it stays held, for further captures",
  }),
  to: Schema.optionalKey(
    AccountIdFromString.pipe(described("the account that the money goes to; default: it leaves the ledger")),
  ),
  ...remarks,
  effective_at: EffectiveAt,
  ...ifSo,
}).annotate({ identifier: "HoldCapture", message: bodyMessage })

export const HoldRelease = Schema.Struct({ ...remarks, ...ifSo }).annotate({
  identifier: "HoldRelease",
  message: bodyMessage,
})

export const HoldsPage = Schema.Struct({
  holds: Schema.Array(Hold),
  next_cursor: Schema.NullOr(Schema.String).annotateKey({
    description: "null: there are no more; with a state, a page may hold fewer than its limit and still have a next",
  }),
}).annotate({ identifier: "HoldsPage" })
