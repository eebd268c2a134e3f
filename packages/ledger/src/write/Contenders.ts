import type { AccountId } from "@banquo/domain/AccountId"

/** How long after a conflict an account counts as contended, in milliseconds. */
export const contendedFor = 1_000

/** How long one process may go on writing to a contended account before it lets others have their turn, in milliseconds. */
export const turnLength = 100

/** How long it then leaves the account alone, in milliseconds: long enough for a read and an INSERT of somebody else. */
export const yieldLength = 30

/** Accounts that are kept in mind; when there are more, all are forgotten. */
const accountsMax = 10_000

/**
 * Accounts that other processes write to at the same time. Whoever has just written knows the newest row, and would win
 * every time; so it takes turns. Within a turn its batches meet no conflict, because the others wait longer than it.
 */
export class Contenders {
  readonly #accounts = new Map<AccountId, { conflictAt: number; turnSince: number | undefined }>()

  lost(acctIds: Iterable<AccountId>, now: number): void {
    if (this.#accounts.size > accountsMax) this.#accounts.clear()
    for (const acctId of acctIds) this.#accounts.set(acctId, { conflictAt: now, turnSince: undefined })
  }

  /** Of accounts that were written to, those whose turn is over. */
  won(acctIds: Iterable<AccountId>, now: number): ReadonlySet<AccountId> {
    const over = new Set<AccountId>()
    if (this.#accounts.size === 0) return over
    for (const acctId of acctIds) {
      const account = this.#accounts.get(acctId)
      if (account === undefined) continue
      if (now - account.conflictAt > contendedFor) this.#accounts.delete(acctId)
      else if (account.turnSince === undefined) account.turnSince = now
      else if (now - account.turnSince > turnLength) {
        account.turnSince = undefined
        over.add(acctId)
      }
    }
    return over
  }
}
