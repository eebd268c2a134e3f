/** One row of `balance_change`: a link of an account's chain, and with it the whole state of the account after it. */
import type { AccountId } from "../account/AccountId.ts"
import type { AccountStatus } from "../account/AccountStatus.ts"
import type { Actor } from "../request/Actor.ts"
import type { BalanceChangeId, TransactionId } from "./BalanceChangeId.ts"
import type { Metadata } from "../text/Metadata.ts"
import type { Asset } from "../money/Currency.ts"
import type { Money } from "../money/Money.ts"
import type { Timestamp } from "../time/Timestamp.ts"

/**
 * What a row does. INITIAL opens the account, FLOW moves money, HOLD, CAPTURE and RELEASE reserve it, take it and give
 * it back, TERMS changes the status or the overdraft limit.
 */
export const chgFlavors = ["INITIAL", "FLOW", "HOLD", "CAPTURE", "RELEASE", "TERMS"] as const
export type ChgFlavor = (typeof chgFlavors)[number]

/** A row before it is sealed with its hash; the names are those of the columns. */
export interface UnsealedChange extends Asset {
  readonly bchgId: BalanceChangeId
  readonly acctId: AccountId
  /** 0 for the first row of an account, then dense: the order of the account. */
  readonly acctSeq: number
  readonly chgFlavor: ChgFlavor
  /** The account's row before this one; `null` exactly where `acctSeq` is 0. */
  readonly prevBchgId: BalanceChangeId | null
  /** Whose account it is, by the bank's own id; with currency and scale the same on every row of an account. */
  readonly owner: string | null
  /** Change to the balance, and the balance after it. */
  readonly chgAmt: Money
  readonly balance: Money
  /** Change to the sum of open holds, and that sum after it. */
  readonly heldAmt: Money
  readonly held: Money
  /** After the change; `null`: unlimited. */
  readonly overdraftLimit: Money | null
  readonly acctStatus: AccountStatus
  /** Written although funds, status or the end of a hold were against it. */
  readonly isForced: boolean
  /** `bchgId` of the transaction's first row. */
  readonly xactId: TransactionId
  /** How many rows the transaction has: a leg that was cut away is missed. */
  readonly xactRows: number
  /** `bchgId` of the hold's first row, on every row of that hold. */
  readonly holdId: BalanceChangeId | null
  readonly holdExpiresAt: Timestamp | null
  /** The transaction that this one undoes. */
  readonly reversesXactId: TransactionId | null
  readonly reference: string | null
  readonly description: string | null
  readonly metadata: Metadata | null
  /** Where there are texts, or details of the account: 16 random bytes; see `Texts.ts`. `null` once they are erased. */
  readonly textsSalt: Uint8Array | null
  readonly textsHash: Uint8Array | null
  /** Both on the first row of a transaction only, 32 bytes. */
  readonly idemKey: Uint8Array | null
  readonly requestHash: Uint8Array | null
  /** On rows that say or correct what is said of the account. */
  readonly detailsHash: Uint8Array | null
  readonly actor: Actor
  /** When it happened in the world; never later than the row itself. */
  readonly effectiveTime: Timestamp
  /** The bank's value date, like `2026-11-23`; changes nothing that can be spent. */
  readonly valueDate: string | null
  /** When the ledger took it: later than the account's row before, whatever the clock says. */
  readonly chgCreateTime: Timestamp
}

export interface BalanceChange extends UnsealedChange {
  /** SHA-256 over this row and the hash of the row before; see `ChangeHash.ts`. */
  readonly chgHash: Uint8Array
}
