import type { AccountId } from "./AccountId.ts"
import type { Currency } from "../money/Currency.ts"
import type { Metadata } from "../text/Metadata.ts"
import type { Timestamp } from "../time/Timestamp.ts"

/** A row of `account`: what is said of an account when it is opened. What happens to it later is its chain. */
export interface Account {
  readonly acctId: AccountId
  readonly custName: string
  readonly custAddress: string
  readonly currency: Currency
  readonly acctCreateTime: Timestamp
  readonly metadata: Metadata | null
}

/** A row of `account_correction`: what is said of the customer from a change of the account on. */
export interface AccountCorrection {
  readonly acctId: AccountId
  /** Of the TERMS row that it was made with, whose `request_hash` covers it. */
  readonly acctSeq: number
  /** `null`: as before. */
  readonly custName: string | null
  readonly custAddress: string | null
}
