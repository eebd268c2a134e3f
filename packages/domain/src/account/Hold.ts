/**
 * Money of an account that is set aside for a while: a hold is placed, perhaps increased, then captured or released, or it
 * expires. Its rows in the chain of the account are all there is of it.
 */
import type { AccountId } from "./AccountId.ts"
import type { Actor } from "../request/Actor.ts"
import type { BalanceChange } from "../chain/BalanceChange.ts"
import type { BalanceChangeId } from "../chain/BalanceChangeId.ts"
import type { Metadata } from "../text/Metadata.ts"
import * as Money from "../money/Money.ts"
import type { Timestamp } from "../time/Timestamp.ts"

/** How long a hold lasts unless its caller says, in seconds: what card schemes give most merchants. */
export const ttlDefault = 7 * 24 * 3600

/** Shortest and longest that a hold may last, in seconds. */
export const ttlMin = 1
export const ttlMax = 366 * 24 * 3600

/** Most open holds of one account: a decision about it knows them all. */
export const openHoldsMax = 200

/** What the state of an account says of a hold that is neither captured nor released in full. */
export interface OpenHold {
  /** `bchgId` of its first row. */
  readonly holdId: BalanceChangeId
  /** What is left of it; more than zero. */
  readonly held: Money.Money
  /** From this instant on it holds nothing back any more, whether its RELEASE row is written yet or not. */
  readonly expiresAt: Timestamp
}

export const noHolds: ReadonlyArray<OpenHold> = []

export const isExpired = (hold: Pick<OpenHold, "expiresAt">, at: Timestamp): boolean => hold.expiresAt <= at

/** The open holds of an account after one more of its rows. */
export const holdsAfter = (holds: ReadonlyArray<OpenHold>, change: BalanceChange): ReadonlyArray<OpenHold> => {
  const { holdId } = change
  if (holdId === null) return holds
  const before = holds.find((hold) => hold.holdId === holdId)
  const others = holds.filter((hold) => hold !== before)
  const held = Money.sum(before?.held ?? Money.zero, change.heldAmt)
  if (held === 0n) return others
  const expiresAt = change.holdExpiresAt ?? before?.expiresAt
  if (expiresAt === undefined) throw new RangeError("the first row of a hold says when it expires")
  return [...others, { holdId, held, expiresAt }]
}

export const holdStates = ["open", "captured", "released", "expired"] as const
export type HoldState = (typeof holdStates)[number]

/** A hold as a whole, with what became of it. */
export interface Hold {
  readonly holdId: BalanceChangeId
  readonly acctId: AccountId
  /**
   * How it ended, or `open`. `captured` by a final capture, or once nothing was left; a capture before it was released or
   * expired shows in {@link captured} only.
   */
  readonly state: HoldState
  /** What was placed and added to it; what was captured; what was given back; what is left. */
  readonly amount: Money.Money
  readonly captured: Money.Money
  readonly released: Money.Money
  readonly remaining: Money.Money
  readonly expiresAt: Timestamp
  /** Said when it was placed. */
  readonly description: string | null
  readonly metadata: Metadata | null
  readonly actor: Actor
  readonly placedAt: Timestamp
  readonly updatedAt: Timestamp
}

/** From all rows of a hold so far, by ascending sequence, as it is at an instant. */
export const holdOf = (rows: ReadonlyArray<BalanceChange>, at: Timestamp): Hold => {
  const first = rows[0]
  const last = rows.at(-1)
  if (first?.holdId !== first?.bchgId || first === undefined || last === undefined) {
    throw new RangeError("a hold begins with its first row")
  }
  const sumOf = (flavor: BalanceChange["chgFlavor"]) =>
    rows.reduce((sum, { chgFlavor, heldAmt }) => (chgFlavor === flavor ? Money.sum(sum, heldAmt) : sum), Money.zero)
  const amount = sumOf("HOLD")
  const captured = Money.difference(Money.zero, sumOf("CAPTURE"))
  const released = Money.difference(Money.zero, sumOf("RELEASE"))
  const remaining = Money.difference(amount, Money.sum(captured, released))
  const expiresAt = rows.findLast(({ holdExpiresAt }) => holdExpiresAt !== null)!.holdExpiresAt!
  // What a final capture leaves is released in its transaction.
  const isCaptured = rows.some(({ chgFlavor, xactId }) => chgFlavor === "CAPTURE" && xactId === last.xactId)
  const state =
    remaining > 0n
      ? isExpired({ expiresAt }, at)
        ? "expired"
        : "open"
      : isCaptured
        ? "captured"
        : isExpired({ expiresAt }, last.chgCreateTime)
          ? "expired"
          : "released"
  return {
    holdId: first.bchgId,
    acctId: first.acctId,
    state,
    amount,
    captured,
    released,
    remaining,
    expiresAt,
    description: first.description,
    metadata: first.metadata,
    actor: first.actor,
    placedAt: first.chgCreateTime,
    updatedAt: last.chgCreateTime,
  }
}
