/**
 * Reads the whole ledger and holds each row against the one before it: what `ChainCheck.ts` of the domain says must be true.
 * The past cannot be changed by this service; a restored backup, or whoever has the owner's password, is another matter.
 *
 * What only somebody who keeps an older hash can find: a chain that was cut at its end where no other account has legs of the
 * same transactions, an account that was deleted as a whole, and a chain whose hashes were all computed anew.
 */
import { Effect, Schema } from "effect"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { DbConn } from "../database/DbConn.ts"
import { rangesOf, verifyRange } from "./Chains.ts"
import { type Fault, lineOf, type Report } from "./Fault.ts"
import { verifyReversals, verifyTransactions } from "./TransactionSums.ts"

/** Most faults that are kept; the others are counted. */
export const verifyFaultsMax = 100

/** How many parts of the ledger are read at the same time. */
export const verifyRangesDefault = 2

export interface Verified {
  readonly accounts: number
  readonly changes: number
  /** Those of more than one change. */
  readonly transactions: number
  /** {@link verifyFaultsMax} of them at most, in the order of accounts. */
  readonly faults: ReadonlyArray<Fault>
  readonly faultsFound: number
}

export interface Progress {
  /** From 0 to 1. Ids of accounts are spread evenly, so how far it has come in them says how much there is to come. */
  readonly done: number
  readonly changes: number
}

/** The ledger is not what its chains say. */
export class LedgerUnsound extends Schema.TaggedError<LedgerUnsound>()("LedgerUnsound", {
  found: Schema.Int,
  first: Schema.String,
}) {
  override get message() {
    return `the ledger is not sound: ${this.found} faults, the first: ${this.first}`
  }
}

/**
 * Verifies all that is stored by now: links, sequences, sums, hashes, texts, times and holds of each chain; what is said of
 * accounts; that transactions are whole and sum to zero, and that reversals take back no more than there was. Reads every row
 * once, by pages, in the order of accounts, several parts at a time. Others may go on writing.
 */
export const verify = (
  onProgress: (progress: Progress) => Effect.Effect<void> = () => Effect.void,
): Effect.Effect<Verified, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const { ledgerId } = yield* DbConn
    const id = yield* ledgerId
    const faults: Array<Fault> = []
    let faultsFound = 0
    const report: Report = (kind, place) => {
      faultsFound += 1
      if (faults.length < verifyFaultsMax) faults.push({ kind, place })
    }
    const ranges = rangesOf(verifyRangesDefault)
    const seen = ranges.map(() => ({ accounts: 0, changes: 0, done: 0 }))
    const total = () => seen.reduce((sum, { changes }) => sum + changes, 0)
    /** Of chains; what is left to do then is little. */
    const done = () => (0.99 * seen.reduce((sum, range) => sum + range.done, 0)) / ranges.length
    const chains = Effect.forEach(
      ranges,
      (range, at) =>
        verifyRange(id, range, report, (progress) => {
          seen[at] = progress
          return onProgress({ done: done(), changes: total() })
        }),
      { concurrency: "unbounded", discard: true },
    )
    const [transactions] = yield* Effect.all([verifyTransactions(report), chains, verifyReversals(report)], {
      concurrency: "unbounded",
    })
    yield* onProgress({ done: 1, changes: total() })
    return {
      accounts: seen.reduce((sum, { accounts }) => sum + accounts, 0),
      changes: total(),
      transactions,
      faults: faults.sort((a, b) => (a.place < b.place ? -1 : a.place > b.place ? 1 : 0)),
      faultsFound,
    }
  })

/** As {@link verify}, and fails with what is wrong. */
export const requireSound = (verified: Verified): Effect.Effect<Verified, LedgerUnsound> => {
  const [first] = verified.faults
  return first === undefined
    ? Effect.succeed(verified)
    : Effect.fail(new LedgerUnsound({ found: verified.faultsFound, first: lineOf(first) }))
}
