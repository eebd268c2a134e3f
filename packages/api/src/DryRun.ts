/** Writes that are judged and not made. */
import { AccountId } from "@banquo/domain/AccountId"
import { accountStatuses } from "@banquo/domain/AccountStatus"
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
  overdraft_limit: Schema.NullOr(Amount).annotateKey({ description: "after the change; null: without limit" }),
}).annotate({ identifier: "Forecast" })

/** What a write would do; it is refused as it would be. Nothing was written, so there are no ids, times and hashes. */
export const DryRun = Schema.Struct({
  dry_run: Schema.Literal(true),
  replayed: Schema.Boolean.annotateKey({
    description:
      "whether it was made before, by the same key: then these are the changes of then, and there would be none",
  }),
  changes: Schema.Array(Forecast),
}).annotate({ identifier: "DryRun" })

export const dryRunOf = ({
  changes,
  isReplayed,
}: {
  readonly changes: ReadonlyArray<BalanceChange>
  readonly isReplayed: boolean
}): typeof DryRun.Type => ({
  dry_run: true,
  replayed: isReplayed,
  changes: changes.map((change) => {
    const { account_id, amount, balance, currency, flavor, held_amount, overdraft_limit, seq, status } =
      changeOf(change)
    return { account_id, seq, flavor, amount, held_amount, currency, balance, status, overdraft_limit }
  }),
})

type Judged = typeof DryRun.Type

/** An answer, or its body, without what would be said of a dry run. */
type Made<A> = A extends Judged
  ? never
  : A extends { readonly body: infer B }
    ? Omit<A, "body"> & { readonly body: Exclude<B, Judged> }
    : A

/** For callers of the typed client that did not ask for a dry run: the answer to a write that was made. */
export const made = <A extends object, E, R>(answer: Effect.Effect<A, E, R>): Effect.Effect<Made<A>, E, R> =>
  Effect.flatMap(answer, (value) => {
    const body: unknown = "body" in value ? value.body : value
    return typeof body === "object" && body !== null && "dry_run" in body
      ? Effect.die(new Error("the write was only judged"))
      : Effect.succeed(value as Made<A>)
  })
