import type { AccountId } from "@banquo/domain/AccountId"
import type { Pending } from "./Pending.ts"

/** Most rows of a batch. */
export const batchRowsMax = 500

/** Largest batch, in bytes by the estimate of `Pending.pendingOf`. */
export const batchBytesMax = 1024 * 1024

/**
 * Requests that wait to be written. What is under way keeps its accounts and keys to itself: a later request for one of them
 * waits, and holds back the requests after it for the same accounts, so that each account sees its requests in order.
 */
export class Queue {
  readonly #accountsUnderWay = new Set<AccountId>()
  readonly #keysUnderWay = new Set<string>()
  #waiting: Array<Pending> = []

  get length(): number {
    return this.#waiting.length
  }

  push(pending: Pending): void {
    this.#waiting.push(pending)
  }

  /** All that may be written now, up to the size of a batch, in the order it came. */
  take(): ReadonlyArray<Pending> {
    const batch: Array<Pending> = []
    const rest: Array<Pending> = []
    const barred = new Set<AccountId>()
    let rows = 0
    let bytes = 0
    let next = 0
    for (; next < this.#waiting.length; next++) {
      const pending = this.#waiting[next]!
      if (rows > 0 && (rows + pending.rows > batchRowsMax || bytes + pending.bytes > batchBytesMax)) break
      if (this.#mustWait(pending, barred)) {
        for (const account of pending.accounts) barred.add(account)
        rest.push(pending)
      } else {
        for (const key of pending.keys) this.#keysUnderWay.add(key)
        batch.push(pending)
        rows += pending.rows
        bytes += pending.bytes
      }
    }
    for (const { accounts } of batch) for (const account of accounts) this.#accountsUnderWay.add(account)
    this.#waiting = rest.concat(this.#waiting.slice(next))
    return batch
  }

  /** The accounts and keys of `released` may be written to again, but for the accounts of `kept`. */
  release(released: ReadonlyArray<Pending>, kept: ReadonlyArray<Pending>): void {
    const accountsKept = new Set(kept.flatMap(({ accounts }) => accounts))
    for (const { accounts, keys } of released) {
      for (const account of accounts) if (!accountsKept.has(account)) this.#accountsUnderWay.delete(account)
      for (const key of keys) this.#keysUnderWay.delete(key)
    }
  }

  #mustWait({ accounts, keys }: Pending, barred: ReadonlySet<AccountId>): boolean {
    return (
      keys.some((key) => this.#keysUnderWay.has(key)) ||
      accounts.some((account) => this.#accountsUnderWay.has(account) || barred.has(account))
    )
  }
}
