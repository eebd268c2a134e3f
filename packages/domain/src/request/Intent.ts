/** What a caller wants done, well-formed but not yet judged: `Decide.ts` turns it into rows or a refusal. */
import type { AccountId } from "../account/AccountId.ts"
import type { AccountStatus } from "../account/AccountStatus.ts"
import type { Actor } from "./Actor.ts"
import type { BalanceChangeId, TransactionId } from "../chain/BalanceChangeId.ts"
import type { Condition } from "./Condition.ts"
import type { Currency } from "../money/Currency.ts"
import type { IdempotencyKey } from "./IdempotencyKey.ts"
import type { Metadata } from "../text/Metadata.ts"
import type { Amount, Money, NonNegativeAmount, NonZeroAmount, PositiveAmount } from "../money/Money.ts"
import type { Texts } from "../text/Texts.ts"
import type { Timestamp } from "../time/Timestamp.ts"

/** Most changes in one transaction. */
export const changesMax = 100

/** Opens an account: its INITIAL row. */
export interface OpenAccount {
  readonly _tag: "OpenAccount"
  readonly acctId: AccountId
  /** Whether the caller chose `acctId`; then the id makes the request idempotent, as an idempotency key does. */
  readonly acctIdIsChosen: boolean
  readonly custName: string
  readonly custAddress: string
  /** Whose account it is, by the bank's own id; `null`: nobody's. */
  readonly owner: string | null
  readonly currency: Currency
  /** How many decimals its amounts may have, 0 to 8; `null`: as ISO 4217 has it. */
  readonly scale: number | null
  readonly initialBalance: Amount
  /** How far below zero the balance may go; `null`: without limit, for the bank's own accounts. */
  readonly overdraftLimit: NonNegativeAmount | null
  readonly reference: string | null
  readonly metadata: Metadata | null
  /** Of the account's row, where that is stored already. */
  readonly salt?: Uint8Array | undefined
}

/** What the caller takes the account to be like; a request that is mistaken in it is refused. */
export interface Expectation {
  /** The account's currency, if said. */
  readonly currency?: Currency | undefined
  /** The sequence that the account must be at, if said: optimistic concurrency for callers. */
  readonly expectedSeq?: number | undefined
  /** What must be true of the account after the change, all of them. */
  readonly require?: ReadonlyArray<Condition> | undefined
}

/** One leg of a transaction: a FLOW row. */
export interface Change extends Expectation {
  readonly acctId: AccountId
  /** Positive credits the account, negative debits it; never zero. */
  readonly amount: NonZeroAmount
}

/** What a caller may say of a transaction. */
export type Remarks = Texts

/** Moves money: all changes or none. Two or more must sum to zero in each currency. */
export interface PostTransaction extends Remarks {
  readonly _tag: "PostTransaction"
  /** 1 to {@link changesMax}. */
  readonly changes: ReadonlyArray<Change>
  /** When it happened in the world, if said; else when the ledger took it. */
  readonly effectiveTime?: Timestamp | undefined
  /** The bank's value date, like `2026-11-23`. */
  readonly valueDate?: string | undefined
}

/** When a hold expires: at an instant, or so many seconds after it is decided. */
export type Expiry = { readonly at: Timestamp } | { readonly ttl: number }

/** Sets money aside: a HOLD row. */
export interface PlaceHold extends Remarks, Expectation {
  readonly _tag: "PlaceHold"
  readonly acctId: AccountId
  readonly amount: PositiveAmount
  readonly expiry: Expiry
}

/** Sets more money aside for an open hold: one more HOLD row. */
export interface IncreaseHold extends Remarks, Expectation {
  readonly _tag: "IncreaseHold"
  readonly acctId: AccountId
  readonly holdId: BalanceChangeId
  /** How much more. */
  readonly amount: PositiveAmount
  /** `null`: as before. */
  readonly expiry: Expiry | null
}

/** Takes money that was held: a CAPTURE row, and a RELEASE row for what is left if this is the last capture. */
export interface CaptureHold extends Remarks, Expectation {
  readonly _tag: "CaptureHold"
  readonly acctId: AccountId
  readonly holdId: BalanceChangeId
  /** `null`: all that is left. */
  readonly amount: PositiveAmount | null
  /** Whether what is left is released; else it stays held for further captures. */
  readonly isFinal: boolean
  /** The account that the money goes to; `null`: it leaves the ledger. */
  readonly to: AccountId | null
  readonly effectiveTime?: Timestamp | undefined
}

/** Gives back all that is left of an open hold: a RELEASE row. */
export interface ReleaseHold extends Remarks, Expectation {
  readonly _tag: "ReleaseHold"
  readonly acctId: AccountId
  readonly holdId: BalanceChangeId
}

/** Writes the RELEASE rows of the holds of an account that have expired: tidies up, and changes nothing that can be spent. */
export interface ExpireHolds {
  readonly _tag: "ExpireHolds"
  readonly acctId: AccountId
}

/** Changes what an account may do: a TERMS row. What is `undefined` stays as it is. */
export interface ChangeTerms extends Pick<Expectation, "currency" | "expectedSeq"> {
  readonly _tag: "ChangeTerms"
  readonly acctId: AccountId
  readonly acctStatus?: AccountStatus | undefined
  /** `null`: without limit. */
  readonly overdraftLimit?: NonNegativeAmount | null | undefined
  /** Corrections; what was said before is kept. */
  readonly custName?: string | undefined
  readonly custAddress?: string | undefined
  /** Why; kept as the description of the row. */
  readonly reason: string | null
  readonly metadata: Metadata | null
}

/** What a transaction that is to be taken back did to one account. */
export interface OriginalChange {
  readonly acctId: AccountId
  readonly chgAmt: Money
  readonly currency: Currency
  readonly effectiveTime: Timestamp
}

/** Takes a transaction back, or part of it, by FLOW rows of the opposite sign; its own rows stay as they are. */
export interface ReverseTransaction extends Remarks {
  readonly _tag: "ReverseTransaction"
  readonly xactId: TransactionId
  /** What the transaction did to each balance, in its order. */
  readonly original: ReadonlyArray<OriginalChange>
  /** Of the opposite sign to the original; `null`: all that has not been taken back yet. */
  readonly changes: ReadonlyArray<Change> | null
  /** Whether overdraft limits are raised as far as it takes. */
  readonly isForced: boolean
  readonly effectiveTime?: Timestamp | undefined
}

export type HoldIntent = PlaceHold | IncreaseHold | CaptureHold | ReleaseHold | ExpireHolds

export type Intent = OpenAccount | PostTransaction | HoldIntent | ChangeTerms | ReverseTransaction

/** An intent, who asks, and the name by which asking again is recognised. */
export interface Request<I extends Intent = Intent> {
  readonly intent: I
  readonly actor: Actor
  readonly idempotencyKey: IdempotencyKey | null
}

/** How many rows the intent becomes at most, without those of holds that have expired. */
export const rowCount = (intent: Intent): number => {
  switch (intent._tag) {
    case "PostTransaction":
      return intent.changes.length
    case "ReverseTransaction":
      // A forced one may raise the limit of each account first.
      return (intent.changes ?? intent.original).length * (intent.isForced ? 2 : 1)
    case "CaptureHold":
      return 3
    case "ExpireHolds":
      return 0
    default:
      return 1
  }
}

/** The accounts whose state decides. */
export const accountIds = (intent: Intent): ReadonlyArray<AccountId> => {
  switch (intent._tag) {
    case "PostTransaction":
      return intent.changes.map((change) => change.acctId)
    case "ReverseTransaction":
      return (intent.changes ?? intent.original).map(({ acctId }) => acctId)
    case "CaptureHold":
      return intent.to === null ? [intent.acctId] : [intent.acctId, intent.to]
    default:
      return [intent.acctId]
  }
}
