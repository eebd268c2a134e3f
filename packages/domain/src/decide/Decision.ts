/** What a decision is made of, and what comes of it. */
import type { AccountDetails, AccountRecord } from "../account/Account.ts"
import type { AccountId } from "../account/AccountId.ts"
import type { AccountState } from "../account/AccountState.ts"
import type { SealedChange } from "../chain/ChangeHash.ts"
import type { BalanceChangeId, TransactionId } from "../chain/BalanceChangeId.ts"
import type { Money } from "../money/Money.ts"
import type { Timestamp } from "../time/Timestamp.ts"

/** The states that a decision needs, such as a `Map`; an account that it does not have does not exist. */
export interface Heads extends Pick<ReadonlyMap<AccountId, AccountState>, "get" | "has"> {
  /**
   * What reversals of a transaction have done to the balance of an account already. Must be no older than the heads are:
   * whoever reverses appends to the account, so what came later is found out by the chain. Only reversals need it.
   */
  readonly reversed?: (xactId: TransactionId, acctId: AccountId) => Money
  /** What is said of an account as of its head. Only corrections of it need it. */
  readonly details?: (acctId: AccountId) => AccountDetails | undefined
}

/** {@link Heads.reversed}, which must be known. */
export const reversedBefore = (heads: Heads, xactId: TransactionId, acctId: AccountId): Money => {
  if (heads.reversed === undefined) throw new TypeError("a reversal is decided on what was reversed before")
  return heads.reversed(xactId, acctId)
}

/** What the pure core cannot know by itself. */
export interface Stamp {
  readonly now: Timestamp
  /** Unused ids, ascending, one for each row: as many as `idsMax` says are enough. */
  readonly ids: ReadonlyArray<BalanceChangeId>
  /** Where the unused ids begin; default: at the first. */
  readonly idsFrom?: number
  /** At least 16 random bytes, which the salts of texts are made from. */
  readonly saltSeed: Uint8Array
  /** The UUID of this ledger, which each chain begins with. */
  readonly ledgerId: string
}

/** A request that can be carried out: rows to append, all of them or none. */
export interface Decision {
  /** The rows of the transaction, in the order of the request. */
  readonly changes: ReadonlyArray<SealedChange>
  /**
   * Rows to go before them that were not asked for, each a transaction of its own: a forced reversal raises limits, and holds
   * that have expired give back the money that the request needs.
   */
  readonly asides: ReadonlyArray<SealedChange>
  /** The states after all rows, by account. */
  readonly heads: ReadonlyMap<AccountId, AccountState>
  /** The row of `account` to go with them, where they say or correct what is said of an account. */
  readonly account: AccountRecord | null
}
