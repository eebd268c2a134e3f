import { AccountId } from "@banquo/domain/AccountId"
import { axes } from "@banquo/domain/Axis"
import { chgFlavors } from "@banquo/domain/BalanceChange"
import { BalanceChangeIdFromString } from "@banquo/domain/BalanceChangeId"
import { Currency } from "@banquo/domain/Currency"
import { NonZeroAmount } from "@banquo/domain/Money"
import { Schema } from "effect"
import { Sum } from "./Balance.ts"
import { Hash, Time } from "./Change.ts"

export const StatementRow = Schema.Struct({
  seq: Schema.Int,
  change_id: BalanceChangeIdFromString,
  transaction_id: BalanceChangeIdFromString,
  flavor: Schema.Literals(chgFlavors),
  effective_at: Time,
  created_at: Time,
  description: Schema.NullOr(Schema.String),
  amount: NonZeroAmount,
  balance: Sum.annotateKey({ description: "opening and all rows up to this one" }),
}).annotate({ identifier: "StatementRow" })

const Turnover = Schema.Struct({
  count: Schema.Int,
  sum: Sum.annotateKey({ description: "never negative" }),
}).annotate({ identifier: "Turnover" })

/** `rows` comes last, so that a statement can be written while it is read from the database. */
export const Statement = Schema.Struct({
  account_id: AccountId,
  customer_name: Schema.String,
  customer_address: Schema.String,
  currency: Currency,
  axis: Schema.Literals(axes),
  from: Time,
  to: Time.annotateKey({ description: "not part of the period" }),
  seq: Schema.Int.annotateKey({
    description: "the last change that the statement knows of: asked for with it again, the statement is the same",
  }),
  hash: Hash.annotateKey({ description: "of that change" }),
  as_of: Time.annotateKey({ description: "when that change was made" }),
  opening: Sum,
  debits: Turnover,
  credits: Turnover,
  closing: Sum.annotateKey({ description: "opening + credits - debits" }),
  rows: Schema.Array(StatementRow).annotateKey({
    description: "what changed the balance in the period, by time on the axis; holds, releases and terms do not",
  }),
}).annotate({ identifier: "Statement" })
