/**
 * The state of an account: what its newest row, the tail of its chain, says, and which holds make up what is held. The holds
 * follow from the rows up to the tail, so a tail that is proven proves them too.
 */
import type { AccountId } from "./AccountId.ts"
import type { AccountStatus } from "./AccountStatus.ts"
import type { BalanceChange } from "../chain/BalanceChange.ts"
import type { BalanceChangeId } from "../chain/BalanceChangeId.ts"
import type { Asset } from "../money/Currency.ts"
import { holdsAfter, isExpired, noHolds, type OpenHold } from "./Hold.ts"
import * as Money from "../money/Money.ts"
import type { Timestamp } from "../time/Timestamp.ts"

/** What a row says of its account. */
export interface Tail extends Asset {
  readonly acctId: AccountId
  /** Whose account it is, by the bank's own id. Fixed when the account is opened, as are currency and scale. */
  readonly owner: string | null
  readonly bchgId: BalanceChangeId
  readonly acctSeq: number
  readonly balance: Money.Money
  readonly held: Money.Money
  readonly overdraftLimit: Money.Money | null
  readonly acctStatus: AccountStatus
  readonly chgCreateTime: Timestamp
  readonly chgHash: Uint8Array
}

export interface AccountState extends Tail {
  /** Together they are `held`; those that have expired, too, until their RELEASE rows are written. */
  readonly openHolds: ReadonlyArray<OpenHold>
}

/** What a row says of its account. */
export const tailOf = (change: BalanceChange): Tail => ({
  acctId: change.acctId,
  owner: change.owner,
  currency: change.currency,
  scale: change.scale,
  bchgId: change.bchgId,
  acctSeq: change.acctSeq,
  balance: change.balance,
  held: change.held,
  overdraftLimit: change.overdraftLimit,
  acctStatus: change.acctStatus,
  chgCreateTime: change.chgCreateTime,
  chgHash: change.chgHash,
})

/** The state after `change`. Of the state before it only the open holds are needed: the tail row has all the rest. */
export const afterChange = (change: BalanceChange, openHolds: ReadonlyArray<OpenHold> = noHolds): AccountState => ({
  ...tailOf(change),
  openHolds: holdsAfter(openHolds, change),
})

/**
 * What the tail row lets be spent: balance - held + overdraft limit; `null`: without limit. Below zero where a limit was
 * lowered below what is used of it.
 */
export const available = (state: Pick<Tail, "balance" | "held" | "overdraftLimit">): Money.Money | null =>
  state.overdraftLimit === null ? null : Money.sum(Money.difference(state.balance, state.held), state.overdraftLimit)

/** What is held at an instant: a hold that has expired by then holds nothing. */
export const heldAt = ({ held, openHolds }: Pick<AccountState, "held" | "openHolds">, at: Timestamp): Money.Money =>
  openHolds.reduce((rest, hold) => (isExpired(hold, at) ? Money.difference(rest, hold.held) : rest), held)

/** The state as it is at an instant, with the holds that have expired by then gone. */
export const stateAt = <S extends Pick<AccountState, "held" | "openHolds">>(state: S, at: Timestamp): S =>
  state.openHolds.length === 0
    ? state
    : { ...state, held: heldAt(state, at), openHolds: state.openHolds.filter((hold) => !isExpired(hold, at)) }
