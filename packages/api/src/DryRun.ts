/** Writes that are judged and not made. */
import { AccountId } from "@banquo/domain/AccountId"
import { accountStatuses } from "@banquo/domain/AccountState"
import { type BalanceChange, chgFlavors } from "@banquo/domain/BalanceChange"
import { Currency } from "@banquo/domain/Currency"
import { Amount } from "@banquo/domain/Money"
import { Effect, Schema } from "effect"
import { Balance } from "./Balance.ts"
import { changeOf } from "./Change.ts"

/** Of every write. */
export const DryRunFlag = Schema.optionalKey(Schema.Boolean).annotateKey({
  description: "true: the answer says what would come of the request now, and nothing is written",
})

/** One change that would be made. */
const Forecast = Schema.Struct({
  account_id: AccountId,
  seq: Schema.Int,
  flavor: Schema.Literals(chgFlavors),
  amount: Amount,
  held_amount: Amount,
  currency: Currency,
  balance: Balance.annotateKey({ description: "after the change" }),
  status: Schema.Literals(accountStatuses),
}).annotate({ identifier: "Forecast" })

/** What a write would do; it is refused as it would be. Nothing was written, so there are no ids, times and hashes. */
export const DryRun = Schema.Struct({
  dry_run: Schema.Literal(true),
  changes: Schema.Array(Forecast),
}).annotate({ identifier: "DryRun" })

export const dryRunOf = (
  changes: ReadonlyArray<BalanceChange & { readonly currency: Currency }>,
): typeof DryRun.Type => ({
  dry_run: true,
  changes: changes.map((change) => {
    const { account_id, amount, balance, currency, flavor, held_amount, seq, status } = changeOf(change)
    return { account_id, seq, flavor, amount, held_amount, currency, balance, status }
  }),
})

/** For callers of the typed client that did not ask for a dry run: the answer to a write that was made. */
export const made = <A extends object, E, R>(
  answer: Effect.Effect<A | typeof DryRun.Type, E, R>,
): Effect.Effect<A, E, R> =>
  Effect.flatMap(answer, (value) =>
    "dry_run" in value ? Effect.die(new Error("the write was only judged")) : Effect.succeed(value),
  )
