import type { AccountId } from "./AccountId.ts"
import type { Metadata } from "../text/Metadata.ts"
import type { Timestamp } from "../time/Timestamp.ts"

/** What is said of an account: who it belongs to, for people. What happens to it is its chain. */
export interface AccountDetails {
  readonly custName: string
  readonly custAddress: string
  /** The bank's own name of the account, such as an IBAN. */
  readonly reference: string | null
  readonly metadata: Metadata | null
}

/** A row of `account`: what is said of an account from one of its changes on, whose hash covers it. */
export interface AccountRecord extends AccountDetails {
  readonly acctId: AccountId
  /** Of the change that it was said with. */
  readonly acctSeq: number
  /** 16 random bytes: without them, a guess at what was erased could be checked against the chain. `null` once erased. */
  readonly salt: Uint8Array | null
}

/** An account for people: what is said of it, and when it was opened. What it is in, and what it has, is in its newest row. */
export interface Account extends AccountDetails {
  readonly acctId: AccountId
  readonly acctCreateTime: Timestamp
}
