import { AccountId } from "@banquo/domain/AccountId"
import * as AccountState from "@banquo/domain/AccountState"
import { axes, type Axis } from "@banquo/domain/Axis"
import { type Asset, Currency } from "@banquo/domain/Currency"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Schema, SchemaTransformation } from "effect"
import { amountOf, Sum } from "./Balance.ts"
import { Hash, Time } from "./Change.ts"

export const AxisParameter = Schema.optionalKey(Schema.Literals(axes)).annotateKey({
  description:
    "which time of a change counts: when the ledger took it (created, the default), or when it happened (effective)",
})

/** A sequence as a parameter. */
export const SeqParameter = Schema.String.check(
  Schema.isPattern(/^(?:0|[1-9]\d{0,14})$/u, { message: "Expected the sequence of a change: 0, 1, 2, …" }),
).pipe(Schema.decodeTo(Schema.Int, SchemaTransformation.transform({ decode: Number, encode: String })))

export const BalanceAt = Schema.Struct({
  account_id: AccountId,
  currency: Currency,
  axis: Schema.Literals(axes),
  at: Time.annotateKey({
    description: "the instant that was asked for; with seq that of the change; else now",
  }),
  posted: Sum.annotateKey({ description: "what the account held, changes at the very instant included" }),
  held: Schema.optionalKey(Money.Amount).annotateKey({
    description: "how much of it was reserved; only on axis created: money is reserved in the ledger's own time",
  }),
  available: Schema.optionalKey(Schema.NullOr(Schema.String)).annotateKey({
    description: "what could be spent; null: without limit; only on axis created",
  }),
  seq: Schema.NullOr(Schema.Int).annotateKey({
    description:
      "the change that the balance was after; null: the account was not open yet. On axis effective the newest change: a later one may be dated before",
  }),
  hash: Schema.NullOr(Hash).annotateKey({ description: "of that change" }),
}).annotate({ identifier: "BalanceAt" })

export interface BalanceThen extends Asset {
  readonly acctId: AccountId
  readonly axis: Axis
  readonly at: Timestamp.Timestamp
  readonly posted: Money.Money
  readonly state: AccountState.AccountState | null
}

export const balanceAtOf = (balance: BalanceThen): typeof BalanceAt.Type => {
  const { axis, currency, state } = balance
  const available = state === null ? Money.zero : AccountState.available(state)
  return {
    account_id: balance.acctId,
    currency,
    axis,
    at: Timestamp.format(balance.at),
    posted: amountOf(balance.posted, balance),
    ...(axis === "created" && {
      held: amountOf(state?.held ?? Money.zero, balance),
      available: available === null ? null : amountOf(available, balance),
    }),
    seq: state?.acctSeq ?? null,
    hash: state?.chgHash.toHex() ?? null,
  }
}
