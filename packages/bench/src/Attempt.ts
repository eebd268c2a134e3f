/** What the load generator remembers of each request, for the audit. Plain data: it crosses from one thread to another. */

/** A change as it was asked for. */
export interface Asked {
  readonly acctId: string
  /** A decimal string. */
  readonly amount: string
}

/** A change as the server said that it was made. */
export interface Acknowledged extends Asked {
  /** The `bchg_id` in decimal; `null`: the answer does not say it. */
  readonly changeId: string | null
  readonly seq: number
  /** How what is held changed; a decimal string. */
  readonly held: string
  /** After the change; a decimal string. */
  readonly balance: string
  /** In hexadecimal. */
  readonly hash: string
}

/**
 * How a request to write ended for its caller. `replayed`: it had been carried out before. `refused`: nothing was written.
 * `unknown`: no answer, or one that leaves it open.
 */
export type Outcome = "acknowledged" | "replayed" | "refused" | "unknown"

/** One transaction that was asked for once. Several may share a key. */
export interface Attempt {
  readonly key: string
  /** Milliseconds on the clock of the load generator: not later than it left. */
  readonly sent: number
  /** Not earlier than the answer came. */
  readonly received: number
  readonly outcome: Outcome
  /** The changes that move money; `null`: how much, only the ledger can know. */
  readonly asked: ReadonlyArray<Asked> | null
  /** As acknowledged, in the order of the request; else empty. */
  readonly changes: ReadonlyArray<Acknowledged>
}

/** A page of an account's newest changes that was read. */
export interface Look {
  readonly acctId: string
  readonly sent: number
  readonly received: number
  /** Of the newest change; -1: none. */
  readonly newestSeq: number
  /** Whether the sequences on the page descend without gaps. */
  readonly isDense: boolean
}

export interface ClientLog {
  readonly attempts: ReadonlyArray<Attempt>
  readonly looks: ReadonlyArray<Look>
}
