import * as AccountState from "@banquo/domain/AccountState"
import type { Asset } from "@banquo/domain/Currency"
import * as Money from "@banquo/domain/Money"
import { Schema } from "effect"

/** Of amounts: a decimal string that may have more digits than any one of them. */
export const Sum = Schema.String.check(Schema.isPattern(/^-?(?:0|[1-9]\d*)(?:\.\d{1,8})?$/u))

/** The money of an account. Decimal strings with as many decimals as the account has. */
export const Balance = Schema.Struct({
  posted: Money.Amount.annotateKey({ description: "what the account holds" }),
  held: Money.Amount.annotateKey({ description: "how much of it is reserved by open holds" }),
  // A sum of two amounts can have a digit more than an amount.
  available: Schema.NullOr(Schema.String).annotateKey({
    description: "what can be spent, a decimal string: posted - held + overdraft_limit; null: without limit",
  }),
}).annotate({ identifier: "Balance" })

export const amountOf = (money: Money.Money, { scale }: Pick<Asset, "scale">): Money.Amount =>
  Money.format(money, scale)

export const balanceOf = (
  state: Pick<AccountState.AccountState, "balance" | "held" | "overdraftLimit" | "scale">,
): typeof Balance.Type => {
  const available = AccountState.available(state)
  return {
    posted: amountOf(state.balance, state),
    held: amountOf(state.held, state),
    available: available === null ? null : amountOf(available, state),
  }
}
