/** A hold that has ended stays ended: which comes right after existence, before the state of its account is looked at. */
import { Result } from "effect"
import type { AccountId } from "../account/AccountId.ts"
import type { AccountState } from "../account/AccountState.ts"
import type { Decision, Heads, Stamp } from "./Decision.ts"
import { isExpired, type OpenHold, openHoldsMax, ttlMax, ttlMin } from "../account/Hold.ts"
import type {
  CaptureHold,
  Expiry,
  ExpireHolds,
  IncreaseHold,
  PlaceHold,
  ReleaseHold,
  Request,
} from "../request/Intent.ts"
import * as Money from "../money/Money.ts"
import {
  AccountNotFound,
  CaptureExceedsHold,
  type CurrencyMismatch,
  type EffectiveTimeOutOfRange,
  ExpiryOutOfRange,
  HoldEnded,
  HoldExpired,
  NothingExpired,
  type SameAccount,
  TooManyHolds,
  type Unbalanced,
} from "./Refusal.ts"
import * as Timestamp from "../time/Timestamp.ts"
import { Draft, instantOf, type Move, nothingSaid } from "./Draft.ts"
import {
  expiredFor,
  expiredOf,
  headsOf,
  type Leg,
  type LegRefusal,
  legOf,
  refuse,
  refuseEffectiveTime,
  refuseSameAccount,
  refuseUnbalanced,
  release,
  releaseOf,
  write,
} from "./Leg.ts"

export type PlaceHoldRefusal = AccountNotFound | LegRefusal | ExpiryOutOfRange | TooManyHolds
export type ReleaseHoldRefusal = AccountNotFound | LegRefusal | HoldEnded | HoldExpired
export type IncreaseHoldRefusal = ReleaseHoldRefusal | ExpiryOutOfRange
export type CaptureHoldRefusal =
  | ReleaseHoldRefusal
  | SameAccount
  | CurrencyMismatch
  | Unbalanced
  | CaptureExceedsHold
  | EffectiveTimeOutOfRange
export type ExpireHoldsRefusal = AccountNotFound | NothingExpired

type Ruling<R> = Result.Result<Decision, R>

export const decidePlaceHold = (request: Request<PlaceHold>, heads: Heads, stamp: Stamp): Ruling<PlaceHoldRefusal> => {
  const { intent } = request
  const head = heads.get(intent.acctId)
  if (head === undefined) return Result.fail(new AccountNotFound({ accountId: intent.acctId }))
  const instant = instantOf([head], stamp.now)
  const holdExpiresAt = expiryOf(intent.expiry, instant)
  // One more is there at once where another has expired.
  const isFull = head.openHolds.length >= openHoldsMax
  const expired = isFull ? expiredOf(head, instant).slice(0, 1) : []
  const leg = setAside(head, intent, "own", holdExpiresAt)
  const refusal = refuse([leg], instant, {
    limits: () =>
      refuseExpiry(holdExpiresAt, instant) ??
      (isFull && expired.length === 0 ? new TooManyHolds({ accountId: head.acctId }) : undefined),
  })
  if (refusal !== undefined) return Result.fail(refusal)
  const draft = new Draft(request, stamp, instant)
  const needed = expiredFor(leg, instant)
  release(draft, head, needed.length === 0 ? expired : needed)
  for (const move of leg.moves) draft.change(head, move, intent)
  return Result.succeed(draft.decision())
}

/** Money that becomes held: a HOLD row. */
const setAside = (
  head: AccountState,
  intent: PlaceHold | IncreaseHold,
  holdId: NonNullable<Move["holdId"]>,
  holdExpiresAt: Timestamp.Timestamp | undefined,
): Leg =>
  legOf(head, intent, intent.amount, {
    chgFlavor: "HOLD",
    chgAmt: Money.zero,
    heldAmt: Money.fromAmount(intent.amount),
    holdId,
    ...(holdExpiresAt === undefined ? {} : { holdExpiresAt }),
  })

export const decideIncreaseHold = (
  request: Request<IncreaseHold>,
  heads: Heads,
  stamp: Stamp,
): Ruling<IncreaseHoldRefusal> => {
  const { intent } = request
  const found = findHold(intent, heads, stamp)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const { head, hold, instant } = found.success
  const holdExpiresAt = intent.expiry === null ? undefined : expiryOf(intent.expiry, instant)
  const leg = setAside(head, intent, hold.holdId, holdExpiresAt)
  const refusal = refuse([leg], instant, {
    limits: () => (holdExpiresAt === undefined ? undefined : refuseExpiry(holdExpiresAt, instant)),
  })
  if (refusal !== undefined) return Result.fail(refusal)
  const draft = new Draft(request, stamp, instant)
  write(draft, [leg], instant, intent)
  return Result.succeed(draft.decision())
}

export const decideCaptureHold = (
  request: Request<CaptureHold>,
  heads: Heads,
  stamp: Stamp,
): Ruling<CaptureHoldRefusal> => {
  const { intent } = request
  const { to } = intent
  const same = refuseSameAccount(to === null ? [intent.acctId] : [intent.acctId, to])
  if (same !== undefined) return Result.fail(same)
  const found = findHold(intent, heads, stamp, to)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const { head, hold, instant, receiver } = found.success
  const { currency } = head
  const { amount } = intent
  const captured = amount === null ? hold.held : Money.fromAmount(amount)
  const rest = Money.difference(hold.held, captured)
  const taken = Money.difference(Money.zero, captured)
  const isRestReleased = intent.isFinal && rest > 0n
  const legs: Array<Leg> = [
    {
      head,
      expected: intent,
      amount,
      chgAmt: taken,
      heldAmt: Money.difference(Money.zero, isRestReleased ? hold.held : captured),
      moves: [
        { chgFlavor: "CAPTURE", chgAmt: taken, heldAmt: taken, holdId: hold.holdId },
        ...(isRestReleased ? [releaseOf({ ...hold, held: rest })] : []),
      ],
    },
  ]
  // Of the receiver no amount was written: it is judged by the scale of its own account.
  if (receiver !== undefined) {
    legs.push(legOf(receiver, {}, null, { chgFlavor: "FLOW", chgAmt: captured, heldAmt: Money.zero }))
  }
  const refusal = refuse(legs, instant, {
    balance: refuseUnbalanced,
    limits: () =>
      refuseEffectiveTime(intent.effectiveTime, instant) ??
      (rest < 0n
        ? new CaptureExceedsHold({ holdId: hold.holdId, remaining: Money.format(hold.held, head.scale), currency })
        : undefined),
  })
  if (refusal !== undefined) return Result.fail(refusal)
  const draft = new Draft(request, stamp, instant)
  write(draft, legs, instant, intent)
  return Result.succeed(draft.decision())
}

export const decideReleaseHold = (
  request: Request<ReleaseHold>,
  heads: Heads,
  stamp: Stamp,
): Ruling<ReleaseHoldRefusal> => {
  const { intent } = request
  const found = findHold(intent, heads, stamp)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const { head, hold, instant } = found.success
  const leg = legOf(head, intent, null, releaseOf(hold))
  const refusal = refuse([leg], instant)
  if (refusal !== undefined) return Result.fail(refusal)
  const draft = new Draft(request, stamp, instant)
  write(draft, [leg], instant, intent)
  return Result.succeed(draft.decision())
}

export const decideExpireHolds = (
  request: Request<ExpireHolds>,
  heads: Heads,
  stamp: Stamp,
): Ruling<ExpireHoldsRefusal> => {
  const { acctId } = request.intent
  const head = heads.get(acctId)
  if (head === undefined) return Result.fail(new AccountNotFound({ accountId: acctId }))
  const instant = instantOf([head], stamp.now)
  const expired = expiredOf(head, instant)
  if (expired.length === 0) return Result.fail(new NothingExpired({ accountId: acctId }))
  const draft = new Draft(request, stamp, instant)
  for (const hold of expired) draft.change(head, releaseOf(hold), nothingSaid)
  return Result.succeed(draft.decision())
}

interface Found {
  readonly head: AccountState
  readonly hold: OpenHold
  readonly instant: Timestamp.Timestamp
  /** The state of `to`. */
  readonly receiver: AccountState | undefined
}

/** An open hold that has not expired, and the accounts that it concerns. */
const findHold = (
  { acctId, holdId }: IncreaseHold | CaptureHold | ReleaseHold,
  heads: Heads,
  stamp: Stamp,
  to: AccountId | null = null,
): Result.Result<Found, AccountNotFound | HoldEnded | HoldExpired> => {
  const states = headsOf(to === null ? [acctId] : [acctId, to], heads)
  if (states instanceof AccountNotFound) return Result.fail(states)
  const [head, receiver] = states as [AccountState, AccountState | undefined]
  const instant = instantOf(states, stamp.now)
  const hold = head.openHolds.find((open) => open.holdId === holdId)
  if (hold === undefined) return Result.fail(new HoldEnded({ holdId }))
  if (isExpired(hold, instant)) return Result.fail(new HoldExpired({ holdId }))
  return Result.succeed({ head, hold, instant, receiver })
}

const expiryOf = (expiry: Expiry, instant: Timestamp.Timestamp): Timestamp.Timestamp =>
  "at" in expiry ? expiry.at : Timestamp.plusSeconds(instant, expiry.ttl)

const refuseExpiry = (expiresAt: Timestamp.Timestamp, instant: Timestamp.Timestamp): ExpiryOutOfRange | undefined =>
  expiresAt < Timestamp.plusSeconds(instant, ttlMin) || expiresAt > Timestamp.plusSeconds(instant, ttlMax)
    ? new ExpiryOutOfRange()
    : undefined
