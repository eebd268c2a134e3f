/** What a caller wants done, well-formed but not yet judged: `Decide.ts` turns it into rows or a refusal. */
import type { AccountId } from "./AccountId.ts"
import type { Actor } from "./Actor.ts"
import type { Currency } from "./Currency.ts"
import type { IdempotencyKey } from "./Idempotency.ts"
import type { Metadata } from "./Metadata.ts"
import type { Amount } from "./Money.ts"

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
  readonly currency: Currency
  readonly initialBalance: Amount
  /** How far below zero the balance may go; `null`: without limit, for the bank's own accounts. */
  readonly overdraftLimit: Amount | null
  readonly metadata: Metadata | null
}

/** One leg of a transaction: a FLOW row. */
export interface Change {
  readonly acctId: AccountId
  /** Positive credits the account, negative debits it; never zero. */
  readonly amount: Amount
  /** What the caller takes the account's currency to be, if said. */
  readonly currency?: Currency | undefined
  /** The sequence that the account must be at, if said: optimistic concurrency for callers. */
  readonly expectedSeq?: number | undefined
}

/** Moves money: all changes or none. Two or more must sum to zero in each currency. */
export interface PostTransaction {
  readonly _tag: "PostTransaction"
  /** 1 to {@link changesMax}. */
  readonly changes: ReadonlyArray<Change>
  readonly description: string | null
  readonly metadata: Metadata | null
}

export type Intent = OpenAccount | PostTransaction

/** An intent, who asks, and the name by which asking again is recognised. */
export interface Request<I extends Intent = Intent> {
  readonly intent: I
  readonly actor: Actor
  readonly idempotencyKey: IdempotencyKey | null
}

/** How many rows the intent becomes, if it is carried out. */
export const rowCount = (intent: Intent): number => (intent._tag === "OpenAccount" ? 1 : intent.changes.length)

/** The accounts whose state decides. */
export const accountIds = (intent: Intent): ReadonlyArray<AccountId> =>
  intent._tag === "OpenAccount" ? [intent.acctId] : intent.changes.map((change) => change.acctId)
