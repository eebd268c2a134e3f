/**
 * What a request does to one account, and what can stand against it: the rules that every kind of request shares.
 *
 * `refuse` gives the first refusal of this order: status, currency and scale, balance of the legs, version, range, limits of
 * the kind of request, funds, conditions. Within one of these, the first leg that is concerned.
 */
import type { AccountId } from "../account/AccountId.ts"
import { type AccountState, available, heldAt, stateAt } from "../account/AccountState.ts"
import { allowsCredits, allowsDebits } from "../account/AccountStatus.ts"
import { isMet } from "../request/Condition.ts"
import type { Asset } from "../money/Currency.ts"
import { isExpired, type OpenHold } from "../account/Hold.ts"
import type { Expectation } from "../request/Intent.ts"
import * as Money from "../money/Money.ts"
import {
  AccountClosed,
  AccountFrozen,
  AccountNotFound,
  AmountOutOfRange,
  ConditionNotMet,
  CurrencyMismatch,
  EffectiveTimeOutOfRange,
  InsufficientFunds,
  SameAccount,
  ScaleExceeded,
  Unbalanced,
  VersionConflict,
} from "./Refusal.ts"
import type { Timestamp } from "../time/Timestamp.ts"
import type { Heads } from "./Decision.ts"
import type { Draft, Move, TransactionSaid } from "./Draft.ts"

export interface Leg {
  readonly head: AccountState
  /** What the caller takes the account to be like. */
  readonly expected: Expectation
  /** As the caller wrote it; `null`: the caller wrote none. */
  readonly amount: Money.Amount | null
  /** The changes to the balance and to what is held, of all rows together. */
  readonly chgAmt: Money.Money
  readonly heldAmt: Money.Money
  readonly moves: ReadonlyArray<Move>
}

export type LegRefusal =
  | AccountClosed
  | AccountFrozen
  | CurrencyMismatch
  | ScaleExceeded
  | VersionConflict
  | AmountOutOfRange
  | InsufficientFunds
  | ConditionNotMet

/** A leg of one row. */
export const legOf = (head: AccountState, expected: Expectation, amount: Money.Amount | null, move: Move): Leg => ({
  head,
  expected,
  amount,
  chgAmt: move.chgAmt,
  heldAmt: move.heldAmt,
  moves: [move],
})

/** Money in or out: a FLOW row. */
export const flow = (head: AccountState, expected: Expectation, amount: Money.Amount): Leg =>
  legOf(head, expected, amount, { chgFlavor: "FLOW", chgAmt: Money.fromAmount(amount), heldAmt: Money.zero })

export const firstOf = <A, R>(items: ReadonlyArray<A>, refuse: (item: A) => R | undefined): R | undefined => {
  for (const item of items) {
    const refusal = refuse(item)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

export const refuseSameAccount = (acctIds: ReadonlyArray<AccountId>): SameAccount | undefined => {
  if (acctIds.length === 1) return undefined
  const seen = new Set<AccountId>()
  for (const acctId of acctIds) {
    if (seen.has(acctId)) return new SameAccount({ accountId: acctId })
    seen.add(acctId)
  }
  return undefined
}

/** The states of accounts in order, or that of the first that does not exist. */
export const headsOf = (
  acctIds: ReadonlyArray<AccountId>,
  heads: Heads,
): ReadonlyArray<AccountState> | AccountNotFound => {
  const found: Array<AccountState> = []
  for (const acctId of acctIds) {
    const head = heads.get(acctId)
    if (head === undefined) return new AccountNotFound({ accountId: acctId })
    found.push(head)
  }
  return found
}

/** What a kind of request adds to the rules. */
export interface OwnRules<B, L> {
  /** What the legs must add up to. */
  readonly balance?: (legs: ReadonlyArray<Leg>) => B | undefined
  /** What else limits the request; judged between range and funds. */
  readonly limits?: () => L | undefined
}

/** `instant`: when the request is judged. */
export const refuse = <B = never, L = never>(
  legs: ReadonlyArray<Leg>,
  instant: Timestamp,
  own: OwnRules<B, L> = {},
): LegRefusal | B | L | undefined =>
  firstOf(legs, refuseStatus) ??
  firstOf(legs, refuseCurrencyAndScale) ??
  own.balance?.(legs) ??
  firstOf(legs, refuseTooFine) ??
  firstOf(legs, ({ expected, head }) => refuseVersion(head, expected)) ??
  firstOf(legs, (leg) => refuseRange(leg, instant)) ??
  own.limits?.() ??
  firstOf(legs, (leg) => refuseFunds(leg, instant)) ??
  firstOf(legs, (leg) => refuseConditions(leg, instant))

/** How far ahead of the ledger a time in the world may be and still count as now: clocks differ. */
export const effectiveAheadMax = 5_000_000n

/** What has not happened yet cannot be posted. `from`: what is taken back did not happen before it happened. */
export const refuseEffectiveTime = (
  effectiveTime: Timestamp | undefined,
  instant: Timestamp,
  from?: Timestamp,
): EffectiveTimeOutOfRange | undefined =>
  effectiveTime !== undefined &&
  (effectiveTime > instant + effectiveAheadMax || (from !== undefined && effectiveTime < from))
    ? new EffectiveTimeOutOfRange()
    : undefined

/** The rows of legs that nothing stands against, and before them those of the expired holds whose money they need. */
export const write = (draft: Draft, legs: ReadonlyArray<Leg>, instant: Timestamp, said: TransactionSaid) => {
  for (const leg of legs) release(draft, leg.head, expiredFor(leg, instant))
  for (const { head, moves } of legs) for (const move of moves) draft.change(head, move, said)
}

/** The rows that let go of holds, as asides. */
export const release = (draft: Draft, head: AccountState, holds: ReadonlyArray<OpenHold>) => {
  for (const hold of holds) draft.aside(head, releaseOf(hold))
}

export const releaseOf = ({ held, holdId }: OpenHold): Move => ({
  chgFlavor: "RELEASE",
  chgAmt: Money.zero,
  heldAmt: Money.difference(Money.zero, held),
  holdId,
})

/** A leg that takes money away or sets it aside needs debits to be allowed, one that brings some in needs credits. */
const refuseStatus = ({ chgAmt, head, heldAmt }: Leg): AccountClosed | AccountFrozen | undefined => {
  const { acctId, acctStatus } = head
  if (acctStatus === "open") return undefined
  if (acctStatus === "closed") return new AccountClosed({ accountId: acctId })
  const isAllowed = chgAmt < 0n || heldAmt > 0n ? allowsDebits(acctStatus) : chgAmt === 0n || allowsCredits(acctStatus)
  return isAllowed ? undefined : new AccountFrozen({ accountId: acctId, status: acctStatus })
}

export const exceedsScale = (amount: Money.Amount, { scale }: Asset): boolean => Money.decimalsOf(amount) > scale

const refuseCurrencyAndScale = ({ amount, expected, head }: Leg): CurrencyMismatch | ScaleExceeded | undefined => {
  const { acctId, currency, scale } = head
  if (expected.currency !== undefined && expected.currency !== currency) {
    return new CurrencyMismatch({ accountId: acctId, currency })
  }
  if (amount !== null && exceedsScale(amount, head)) return new ScaleExceeded({ amount, currency, scale })
  const bound = expected.require?.find((condition) => exceedsScale(condition.amount, head))
  return bound === undefined ? undefined : new ScaleExceeded({ amount: bound.amount, currency, scale })
}

/** An amount that was not written for this account, such as the receiver's of a capture, may be too fine for it. */
const refuseTooFine = ({ chgAmt, head: { currency, scale } }: Leg): ScaleExceeded | undefined =>
  Money.fits(chgAmt, scale)
    ? undefined
    : new ScaleExceeded({ amount: Money.format(chgAmt, Money.decimals), currency, scale })

/** A single change may bring money in or take it out; a transfer neither makes nor loses any. */
export const refuseUnbalanced = (legs: ReadonlyArray<Leg>): CurrencyMismatch | Unbalanced | undefined => {
  if (legs.length === 1) return undefined
  const byCurrency = Map.groupBy(legs, ({ head }) => head.currency)
  for (const [currency, [leg, ...others]] of byCurrency) {
    // No other leg can balance this one: the caller took the accounts to be in one currency.
    if (leg !== undefined && others.length === 0) return new CurrencyMismatch({ accountId: leg.head.acctId, currency })
  }
  return refuseSums(legs)
}

export const refuseSums = (legs: ReadonlyArray<Leg>): Unbalanced | undefined => {
  for (const [currency, group] of Map.groupBy(legs, ({ head }) => head.currency)) {
    const total = group.reduce((sum, { chgAmt }) => Money.sum(sum, chgAmt), Money.zero)
    const scale = Math.max(...group.map(({ head }) => head.scale))
    if (total !== 0n) return new Unbalanced({ currency, sum: Money.format(total, scale) })
  }
  return undefined
}

export const refuseVersion = (head: AccountState, { expectedSeq }: Expectation): VersionConflict | undefined =>
  expectedSeq === undefined || expectedSeq === head.acctSeq
    ? undefined
    : new VersionConflict({ accountId: head.acctId, expectedSeq, currentSeq: head.acctSeq })

const refuseRange = ({ chgAmt, head, heldAmt }: Leg, instant: Timestamp): AmountOutOfRange | undefined =>
  Money.isInRange(Money.sum(head.balance, chgAmt)) && Money.isInRange(Money.sum(heldAt(head, instant), heldAmt))
    ? undefined
    : new AmountOutOfRange({ accountId: head.acctId })

/** How much the leg lacks by the tail row, which counts expired holds as held; zero or less: nothing. */
export const shortageOf = ({ chgAmt, head, heldAmt }: Leg): Money.Money => {
  const rest = available(head)
  return rest === null ? Money.zero : Money.difference(heldAmt, Money.sum(rest, chgAmt))
}

/** The expired holds that must be let go of first: for their money, or for what is held to stay in range. */
export const expiredFor = (leg: Leg, instant: Timestamp): ReadonlyArray<OpenHold> => {
  const { head, heldAmt } = leg
  const shortage = shortageOf(leg)
  const excess = Money.difference(Money.sum(head.held, heldAmt), Money.max)
  return expiredToRelease(head, shortage > excess ? shortage : excess, instant)
}

/** Expired holds, the longest expired first, as far as they are needed to make up for what is lacking. */
export const expiredToRelease = (
  head: AccountState,
  lacking: Money.Money,
  instant: Timestamp,
): ReadonlyArray<OpenHold> => {
  if (lacking <= 0n || head.openHolds.length === 0) return []
  const expired = expiredOf(head, instant)
  let found = Money.zero
  const end = expired.findIndex(({ held }) => {
    found = Money.sum(found, held)
    return found >= lacking
  })
  return end < 0 ? expired : expired.slice(0, end + 1)
}

/** The longest expired first. */
export const expiredOf = ({ openHolds }: AccountState, instant: Timestamp): ReadonlyArray<OpenHold> =>
  openHolds
    .filter((hold) => isExpired(hold, instant))
    .sort((a, b) => (a.expiresAt === b.expiresAt ? (a.holdId < b.holdId ? -1 : 1) : a.expiresAt < b.expiresAt ? -1 : 1))

const refuseFunds = (leg: Leg, instant: Timestamp): InsufficientFunds | undefined => {
  const { head } = leg
  const lacking = shortageOf(leg)
  if (lacking <= 0n) return undefined
  const expired = Money.difference(head.held, heldAt(head, instant))
  return lacking <= expired ? undefined : insufficientFunds(head.acctId, head, available(stateAt(head, instant)))
}

/** `rest`: what can be spent. */
export const insufficientFunds = (
  accountId: AccountId,
  { currency, scale }: Asset,
  rest: Money.Money | null,
): InsufficientFunds =>
  new InsufficientFunds({ accountId, currency, available: Money.format(rest ?? Money.zero, scale) })

/** Judged on the account as it would be: its money after the change, without the holds that have expired. */
const refuseConditions = (
  { chgAmt, expected, head, heldAmt }: Leg,
  instant: Timestamp,
): ConditionNotMet | undefined => {
  if (expected.require === undefined) return undefined
  const posted = Money.sum(head.balance, chgAmt)
  const values = {
    posted,
    available: available({
      balance: posted,
      held: Money.sum(heldAt(head, instant), heldAmt),
      overdraftLimit: head.overdraftLimit,
    }),
  }
  const broken = expected.require.find((condition) => !isMet(condition, values[condition.subject]))
  if (broken === undefined) return undefined
  const { amount, comparison, subject } = broken
  const value = values[subject]
  return new ConditionNotMet({
    accountId: head.acctId,
    subject,
    comparison,
    amount,
    actual: value === null ? null : Money.format(value, head.scale),
  })
}
