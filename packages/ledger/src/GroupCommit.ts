/**
 * Many requests, one INSERT. Requests wait in memory and hold no connection; a writer takes all that are waiting whose
 * accounts are not under way already, and commits them as one batch. Meanwhile the next batch gathers, so batches grow with
 * the load, and an account that everybody writes to is no slower than the others.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import { Clock, Context, Duration, Effect, FiberSet, Latch, Layer } from "effect"
import * as Batch from "./Batch.ts"
import { Overloaded } from "./DatabaseError.ts"
import { contentionTimeout, type DbConn } from "./DbConn.ts"
import type { Posted } from "./Posted.ts"
import { CurrentWriter, type RequestRefused, type WriteError, type Writer } from "./WritePath.ts"

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
  let writers = 0
  let isScheduled = false

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
    for (const pending of waiting) {
      const isFull = rows > 0 && (rows + pending.rows > batchRowsMax || bytes + pending.bytes > batchBytesMax)
      if (isFull || mustWait(pending, barred)) {
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
    waiting = rest
    return batch
  }

  const pump = () => {
    isScheduled = false
    while (writers < writersMax && waiting.length > 0) {
      const batch = take()
      if (batch.length === 0) return
      writers += 1
      fork(Effect.ensuring(batches.commit(batch, release), Effect.sync(stop)))
    }
  }

  /** At the end of this turn of the event loop, so that requests that arrive together are written together. */
  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    setImmediate(pump)
  }

  const release: Batch.Release = (answered, left) => {
    const kept = new Set(left.flatMap(({ accounts }) => accounts))
    for (const { accounts, keys } of answered) {
      for (const account of accounts) if (!kept.has(account)) accountsUnderWay.delete(account)
      for (const key of keys) keysUnderWay.delete(key)
    }
    if (waiting.length > 0) schedule()
  }

  const stop = () => {
    writers -= 1
    if (waiting.length > 0) schedule()
    else if (writers === 0) isIdle.openUnsafe()
  }

  const writer: Writer = (requests) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.callback<ReadonlyArray<Posted>, RequestRefused | WriteError>((resume) => {
        if (waiting.length >= queueMax) {
          resume(Effect.fail(new Overloaded()))
          return
        }
        waiting.push(Batch.pendingOf(requests, now + Duration.toMillis(contentionTimeout), resume))
        isIdle.closeUnsafe()
        schedule()
      }),
    )
  return writer
})
