import type { Change, Expectation, Expiry, Intent } from "../request/Intent.ts"
import * as Money from "../money/Money.ts"
import * as Timestamp from "../time/Timestamp.ts"

/**
 * Dies of what the types cannot say and no caller over HTTP can ask for. The table would not take it either, but then all
 * that is written by the same statement would fail with it.
 */
export const assertWellFormed = (intent: Intent): void => {
  const isWellFormed = (() => {
    switch (intent._tag) {
      case "PostTransaction":
        return intent.changes.every(isWellFormedChange)
      case "ReverseTransaction":
        return intent.changes?.every(isWellFormedChange) !== false
      case "PlaceHold":
      case "IncreaseHold":
        return isExpectable(intent) && isPositive(intent.amount) && (intent.expiry === null || isWhole(intent.expiry))
      case "CaptureHold":
        return isExpectable(intent) && (intent.amount === null || isPositive(intent.amount))
      case "OpenAccount":
      case "ChangeTerms":
        return (intent.overdraftLimit ?? null) === null || Money.fromAmount(intent.overdraftLimit!) >= 0n
      default:
        return true
    }
  })()
  const time = "effectiveTime" in intent ? intent.effectiveTime : undefined
  if (!isWellFormed || (time !== undefined && !Timestamp.isInRange(time)))
    throw new RangeError(`not a well-formed ${intent._tag}: an amount, limit, time or sequence`)
}

const isPositive = (amount: Money.Amount) => Money.fromAmount(amount) > 0n

const isExpectable = ({ expectedSeq }: Expectation) => expectedSeq === undefined || Number.isSafeInteger(expectedSeq)

const isWellFormedChange = (change: Change) => isExpectable(change) && Money.fromAmount(change.amount) !== 0n

const isWhole = (expiry: Expiry) => ("at" in expiry ? Timestamp.isInRange(expiry.at) : Number.isSafeInteger(expiry.ttl))
