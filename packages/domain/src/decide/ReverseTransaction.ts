/**
 * Taking back what a transaction did. On no account more than it did there: what earlier reversals took back counts, and
 * since each appends to the account, two that are asked for at once cannot both be decided on the same remainder.
 */
import { Result } from "effect"
import type { AccountId } from "../account/AccountId.ts"
import { type AccountState, heldAt } from "../account/AccountState.ts"
import { type Decision, type Heads, reversedBefore, type Stamp } from "./Decision.ts"
import type { Remarks, Request, ReverseTransaction } from "../request/Intent.ts"
import * as Money from "../money/Money.ts"
import {
  AccountNotFound,
  AlreadyReversed,
  AmountOutOfRange,
  type EffectiveTimeOutOfRange,
  ExchangeReversedInPart,
  ReversalExceedsTransaction,
  type SameAccount,
  type Unbalanced,
} from "./Refusal.ts"
import type { Timestamp } from "../time/Timestamp.ts"
import { Draft, instantOf } from "./Draft.ts"
import {
  firstOf,
  flow,
  headsOf,
  type Leg,
  type LegRefusal,
  refuse,
  refuseEffectiveTime,
  refuseSameAccount,
  refuseSums,
  shortageOf,
  write,
} from "./Leg.ts"

export type ReverseTransactionRefusal =
  | SameAccount
  | AccountNotFound
  | AlreadyReversed
  | ReversalExceedsTransaction
  | ExchangeReversedInPart
  | EffectiveTimeOutOfRange
  | Unbalanced
  | LegRefusal

export const decideReverseTransaction = (
  request: Request<ReverseTransaction>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<Decision, ReverseTransactionRefusal> => {
  const { intent } = request
  const { changes, isForced, original, xactId } = intent
  const acctIds = (changes ?? original).map(({ acctId }) => acctId)
  const same = refuseSameAccount(acctIds)
  if (same !== undefined) return Result.fail(same)
  const states = headsOf(acctIds, heads)
  if (states instanceof AccountNotFound) return Result.fail(states)

  const rest = restOf(intent, heads)
  if ([...rest.values()].every((left) => left === 0n))
    return Result.fail(new AlreadyReversed({ transactionId: xactId }))
  const asked = states.map((head, index) => legAsked(head, changes?.[index], rest.get(head.acctId) ?? Money.zero))
  // A reversal of the whole leaves out accounts that have nothing to give back any more.
  const wanted = asked.filter(({ chgAmt }) => chgAmt !== 0n)

  const instant = instantOf(states, stamp.now)
  const legs = isForced ? wanted.map((leg) => withRaisedLimit(leg, instant)) : wanted
  const refusal = refuse(legs, instant, {
    balance: (legs) => (original.length > 1 ? (refuseHalfExchange(intent, legs, rest) ?? refuseSums(legs)) : undefined),
    limits: () =>
      refuseEffectiveTime(intent.effectiveTime, instant, latestOf(original)) ??
      firstOf(legs, ({ chgAmt, head }) => refuseExceeding(xactId, head, chgAmt, rest.get(head.acctId) ?? Money.zero)) ??
      firstOf(legs, refuseRaisedLimit),
  })
  if (refusal !== undefined) return Result.fail(refusal)
  const draft = new Draft(request, stamp, instant)
  for (const [index, { head }] of legs.entries()) {
    if (head.overdraftLimit !== wanted[index]!.head.overdraftLimit) raiseLimit(draft, head, intent)
  }
  write(draft, legs, instant, { ...intent, reversesXactId: xactId })
  return Result.succeed(draft.decision())
}

/** By account, the change that would take back all that is left; of the opposite sign to the original. */
const restOf = ({ original, xactId }: ReverseTransaction, heads: Heads): ReadonlyMap<AccountId, Money.Money> =>
  new Map(
    original.map(({ acctId, chgAmt }) => [
      acctId,
      Money.difference(Money.difference(Money.zero, chgAmt), reversedBefore(heads, xactId, acctId)),
    ]),
  )

const legAsked = (
  head: AccountState,
  change: NonNullable<ReverseTransaction["changes"]>[number] | undefined,
  rest: Money.Money,
): Leg => flow(head, change ?? {}, change?.amount ?? Money.format(rest, head.scale))

/** When the last of it happened in the world. */
const latestOf = (original: ReverseTransaction["original"]): Timestamp =>
  original.reduce<Timestamp>(
    (latest, { effectiveTime }) => (effectiveTime > latest ? effectiveTime : latest),
    original[0]!.effectiveTime,
  )

/** A part of one side of an exchange has no counterpart on the other: no rate is known. */
const refuseHalfExchange = (
  { original, xactId }: ReverseTransaction,
  legs: ReadonlyArray<Leg>,
  rest: ReadonlyMap<AccountId, Money.Money>,
): ExchangeReversedInPart | undefined => {
  if (new Set(original.map(({ currency }) => currency)).size < 2) return undefined
  const asked = new Map(legs.map(({ chgAmt, head }) => [head.acctId, chgAmt]))
  const isWhole = [...rest].every(([acctId, left]) => (asked.get(acctId) ?? 0n) === left)
  return isWhole ? undefined : new ExchangeReversedInPart({ transactionId: xactId })
}

/** More than is left, or of the wrong sign. */
const refuseExceeding = (
  transactionId: ReverseTransaction["xactId"],
  head: AccountState,
  chgAmt: Money.Money,
  rest: Money.Money,
): ReversalExceedsTransaction | undefined => {
  const isWithin = rest < 0n ? chgAmt >= rest && chgAmt <= 0n : chgAmt <= rest && chgAmt >= 0n
  if (isWithin) return undefined
  const remaining = Money.format(rest, head.scale)
  return new ReversalExceedsTransaction({ transactionId, accountId: head.acctId, remaining })
}

/** The leg under a limit that lets it pass: what the account lacks, even with its expired holds, is added. */
const withRaisedLimit = (leg: Leg, instant: Timestamp): Leg => {
  const { head } = leg
  const expired = Money.difference(head.held, heldAt(head, instant))
  const lacking = Money.difference(shortageOf(leg), expired)
  return head.overdraftLimit === null || lacking <= 0n
    ? leg
    : { ...leg, head: { ...head, overdraftLimit: Money.sum(head.overdraftLimit, lacking) } }
}

const refuseRaisedLimit = ({ head: { acctId, overdraftLimit } }: Leg): AmountOutOfRange | undefined =>
  overdraftLimit === null || Money.isInRange(overdraftLimit) ? undefined : new AmountOutOfRange({ accountId: acctId })

/** In the open: whoever reads the account finds who raised its limit, when and why. */
const raiseLimit = (draft: Draft, head: AccountState, { description, metadata, reference }: Remarks) =>
  draft.aside(
    head,
    { chgFlavor: "TERMS", chgAmt: Money.zero, heldAmt: Money.zero, overdraftLimit: head.overdraftLimit },
    { description, metadata, reference },
  )
