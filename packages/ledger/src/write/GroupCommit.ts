/**
 * Many requests, one INSERT. Requests wait in memory and hold no connection; a writer takes all that are waiting whose
 * accounts are not under way already, and commits them as one batch. Meanwhile the next batch gathers, so batches grow with
 * the load, and an account that everybody writes to is no slower than the others.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import type { Request } from "@banquo/domain/Intent"
import { Clock, Context, Duration, Effect, Exit, FiberSet, Latch, Layer } from "effect"
import * as Batch from "./Batch.ts"
import { Overloaded } from "../database/DatabaseError.ts"
import { contentionTimeout, type DbConn } from "../database/DbConn.ts"
import * as LedgerMetrics from "../metrics/LedgerMetrics.ts"
import { CurrentWriter, type Verdict, type Writer } from "./WritePath.ts"

/** Most requests that wait at a time; one more is `Overloaded`. */
export const queueMaxDefault = 10_000

/** Most batches under way at a time. Each has a connection to itself. */
export const writersMaxDefault = 2

/** Most rows of a batch. */
export const batchRowsMax = 500

/** Largest batch, in bytes by the estimate of `Batch.pendingOf`. */
export const batchBytesMax = 1024 * 1024

export interface GroupCommitOptions {
  /** Default: {@link queueMaxDefault}. */
  readonly queueMax?: number
  /** Default: {@link writersMaxDefault}. */
  readonly writersMax?: number
}

/** Writes of this process go through one queue as long as the layer lives; then all that was accepted is answered. */
export const layer = (options: GroupCommitOptions = {}): Layer.Layer<never, never, DbConn> =>
  Layer.effectContext(Effect.map(make(options), (writer) => Context.make(CurrentWriter, writer)))

const make = Effect.fnUntraced(function* (options: GroupCommitOptions) {
  const queueMax = options.queueMax ?? queueMaxDefault
  const writersMax = options.writersMax ?? writersMaxDefault
  const batches = yield* Batch.make
  const fork = yield* FiberSet.makeRuntime<DbConn>()
  const isIdle = yield* Latch.make(true)
  // Runs before the fibers are stopped, because it is added after them.
  yield* Effect.addFinalizer(() => isIdle.await)

  let waiting: Array<Batch.Pending> = []
  const accountsUnderWay = new Set<AccountId>()
  const keysUnderWay = new Set<string>()
  /** Batches that have no verdict yet, and those of them that are being written and do not rest. */
  let batchesUnderWay = 0
  let writers = 0
  let isScheduled = false

  yield* LedgerMetrics.prepare
  yield* LedgerMetrics.observe("banquo_queue_depth", {
    description: `Requests that wait to be written; at most ${queueMax}, more are refused`,
    read: () => waiting.length,
  })
  yield* LedgerMetrics.observe("banquo_statements_in_flight", {
    description: "Statements that wait for a connection, or on one for their answer",
    read: LedgerMetrics.statementsInFlight,
  })
  yield* LedgerMetrics.observe("banquo_batches_in_flight", {
    description: `Batches under way, at most ${writersMax}; all of them all the time: the database is what limits`,
    read: () => writers,
  })

  const mustWait = ({ accounts, keys }: Batch.Pending, barred: ReadonlySet<AccountId>): boolean =>
    keys.some((key) => keysUnderWay.has(key)) ||
    accounts.some((account) => accountsUnderWay.has(account) || barred.has(account))

  /** All that may be written now, in the order it came. What has to wait holds back what came later for its accounts. */
  const take = (): ReadonlyArray<Batch.Pending> => {
    const batch: Array<Batch.Pending> = []
    const rest: Array<Batch.Pending> = []
    const barred = new Set<AccountId>()
    let rows = 0
    let bytes = 0
    let next = 0
    for (; next < waiting.length; next++) {
      const pending = waiting[next]!
      if (rows > 0 && (rows + pending.rows > batchRowsMax || bytes + pending.bytes > batchBytesMax)) break
      if (mustWait(pending, barred)) {
        for (const account of pending.accounts) barred.add(account)
        rest.push(pending)
      } else {
        for (const key of pending.keys) keysUnderWay.add(key)
        batch.push(pending)
        rows += pending.rows
        bytes += pending.bytes
      }
    }
    for (const { accounts } of batch) for (const account of accounts) accountsUnderWay.add(account)
    waiting = rest.concat(waiting.slice(next))
    return batch
  }

  const pump = () => {
    isScheduled = false
    for (let free = writersMax - writers; free > 0 && waiting.length > 0; free--) {
      const batch = take()
      if (batch.length === 0) return
      batchesUnderWay += 1
      fork(Effect.ensuring(batches.commit(batch, progress), Effect.sync(stop)))
    }
  }

  /** At the end of this turn of the event loop, so that requests that arrive together are written together. */
  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    setImmediate(pump)
  }

  const progress: Batch.Progress = {
    begin: () => {
      writers += 1
    },
    end: () => {
      writers -= 1
    },
    release: (released, kept) => {
      const accountsKept = new Set(kept.flatMap(({ accounts }) => accounts))
      for (const { accounts, keys } of released) {
        for (const account of accounts) if (!accountsKept.has(account)) accountsUnderWay.delete(account)
        for (const key of keys) keysUnderWay.delete(key)
      }
      // At once: the next INSERT is under way before the answers to this one are.
      pump()
    },
  }

  const stop = () => {
    batchesUnderWay -= 1
    if (waiting.length > 0) schedule()
    else if (batchesUnderWay === 0) isIdle.openUnsafe()
  }

  /** Takes groups in; `answer` is called for each, with its place among them. */
  const accept = (
    groups: ReadonlyArray<ReadonlyArray<Request>>,
    now: number,
    answer: (index: number, verdict: Verdict) => void,
  ) => {
    const deadline = now + contentionMillis
    for (const [index, requests] of groups.entries()) {
      if (waiting.length >= queueMax) answer(index, overloaded)
      else waiting.push(Batch.pendingOf(requests, deadline, (verdict) => answer(index, verdict)))
    }
    if (waiting.length === 0) return
    isIdle.closeUnsafe()
    schedule()
  }

  const writer: Writer = (groups) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.callback<ReadonlyArray<Verdict>>((resume) => {
        const verdicts: Array<Verdict> = []
        let left = groups.length
        if (left === 0) resume(Effect.succeed(verdicts))
        accept(groups, now, (index, verdict) => {
          if (verdicts[index] !== undefined) return
          verdicts[index] = verdict
          left -= 1
          if (left === 0) resume(Effect.succeed(verdicts))
        })
      }),
    )
  return writer
})

const contentionMillis = Duration.toMillis(contentionTimeout)
const overloaded: Verdict = Exit.fail(new Overloaded())
