import type { AccountId } from "./AccountId.ts"
import type { Currency } from "./Currency.ts"
import type { Metadata } from "./Metadata.ts"
import type { Timestamp } from "./Timestamp.ts"

/** A row of `account`: what is said of an account when it is opened. What happens to it later is its chain. */
export interface Account {
  readonly acctId: AccountId
  readonly custName: string
  readonly custAddress: string
  readonly currency: Currency
  readonly acctCreateTime: Timestamp
  readonly metadata: Metadata | null
}
