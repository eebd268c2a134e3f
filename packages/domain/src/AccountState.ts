/** The state of an account: what its newest row, the tail of its chain, says. */
import type { AccountId } from "./AccountId.ts"
import type { BalanceChange } from "./BalanceChange.ts"
import type { BalanceChangeId } from "./BalanceChangeId.ts"
import type { Currency } from "./Currency.ts"
import * as Money from "./Money.ts"
import type { Timestamp } from "./Timestamp.ts"

export const accountStatuses = ["open", "debits_frozen", "credits_frozen", "frozen", "closed"] as const
export type AccountStatus = (typeof accountStatuses)[number]

export interface AccountState {
  readonly acctId: AccountId
  /** Fixed when the account is opened. */
  readonly currency: Currency
  readonly bchgId: BalanceChangeId
  readonly acctSeq: number
  readonly balance: Money.Money
  readonly held: Money.Money
  readonly overdraftLimit: Money.Money | null
  readonly acctStatus: AccountStatus
  readonly chgCreateTime: Timestamp
  readonly chgHash: Uint8Array
}

/** The state after `change`: nothing of the state before it is needed, which is what makes the tail row sufficient. */
export const afterChange = (change: BalanceChange, currency: Currency): AccountState => ({
  acctId: change.acctId,
  currency,
  bchgId: change.bchgId,
  acctSeq: change.acctSeq,
  balance: change.balance,
  held: change.held,
  overdraftLimit: change.overdraftLimit,
  acctStatus: change.acctStatus,
  chgCreateTime: change.chgCreateTime,
  chgHash: change.chgHash,
})

/** What can be spent: balance - held + overdraft limit; `null`: without limit. A CHECK keeps it from going below zero. */
export const available = (state: Pick<AccountState, "balance" | "held" | "overdraftLimit">): Money.Money | null =>
  state.overdraftLimit === null ? null : Money.sum(Money.difference(state.balance, state.held), state.overdraftLimit)

export const allowsDebits = (status: AccountStatus): boolean => status === "open" || status === "credits_frozen"

export const allowsCredits = (status: AccountStatus): boolean => status === "open" || status === "debits_frozen"
