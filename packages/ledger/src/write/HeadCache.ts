import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"

/** Most heads that a process remembers: about 60 MB of them, 600 bytes each. The longest unused one goes first. */
export const headsMax = 100_000

/** By how much the age at which a head is still trusted grows with each batch that met no conflict. */
export const trustGrowth = 1.02

/**
 * The newest rows that this process has seen, by account. A head may be stale, which the UNIQUE constraint of the chain
 * finds out when a row is appended to it; nothing but an append may rely on one.
 *
 * Being found out costs an INSERT. A process that has the database to itself is never found out and trusts every head;
 * where others write too, it learns how old a head may be before it is better read again.
 */
export class HeadCache {
  /** In the order of their last use: a `Map` keeps that of insertion. */
  readonly #heads = new Map<AccountId, { readonly head: AccountState; readonly since: number }>()
  /** Oldest age of a head that is trusted, in milliseconds. */
  #ageMax = Number.POSITIVE_INFINITY

  /** A head that is young enough to be trusted. `now` is in milliseconds. */
  get(acctId: AccountId, now: number): AccountState | undefined {
    const entry = this.#heads.get(acctId)
    if (entry === undefined || now - entry.since > this.#ageMax) return undefined
    this.#heads.delete(acctId)
    this.#heads.set(acctId, entry)
    return entry.head
  }

  /** Heads of rows that were stored just now: those that they were appended to had been true. */
  remember(heads: Iterable<readonly [AccountId, AccountState]>, now: number): void {
    for (const [acctId, head] of heads) {
      this.#heads.delete(acctId)
      this.#heads.set(acctId, { head, since: now })
    }
    for (const oldest of this.#heads.keys()) {
      if (this.#heads.size <= headsMax) break
      this.#heads.delete(oldest)
    }
    this.#ageMax *= trustGrowth
  }

  /** One of these heads was stale, most likely the oldest. */
  distrust(acctIds: Iterable<AccountId>, now: number): void {
    let oldest = 0
    for (const acctId of acctIds) {
      const entry = this.#heads.get(acctId)
      if (entry === undefined) continue
      oldest = Math.max(oldest, now - entry.since)
      this.#heads.delete(acctId)
    }
    if (oldest > 0) this.#ageMax = Math.min(this.#ageMax, oldest / 2)
  }

  clear(): void {
    this.#heads.clear()
  }

  /** Whether these are true is not known. */
  forget(acctIds: Iterable<AccountId>): void {
    for (const acctId of acctIds) this.#heads.delete(acctId)
  }
}
