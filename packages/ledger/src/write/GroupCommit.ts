/**
 * Many requests, one INSERT. Requests wait in memory and hold no connection; a writer takes all that are waiting whose
 * accounts are not under way already, and commits them as one batch. Meanwhile the next batch gathers, so batches grow with
 * the load, and an account that everybody writes to is no slower than the others.
 */
import { Clock, Duration, Effect, Exit, FiberSet, Latch, Layer, type Scope } from "effect"
import { OutcomeUnknown, Overloaded } from "../database/DatabaseError.ts"
import { deadlineDefault, timeLeft } from "../database/Deadline.ts"
import { contentionTimeout, DbConn } from "../database/DbConn.ts"
import * as LedgerMetrics from "../metrics/LedgerMetrics.ts"
import * as BatchCommit from "./BatchCommit.ts"
import { type Pending, pendingOf } from "./Pending.ts"
import { Queue } from "./Queue.ts"
import type { Group, Verdict, Writer } from "./Writer.ts"

/** Most requests that wait at a time; one more is `Overloaded`. */
export const queueMaxDefault = 10_000

/** Most batches under way at a time. Each has a connection to itself. */
export const writersMaxDefault = 2

export interface GroupCommitOptions {
  /** Default: {@link queueMaxDefault}. */
  readonly queueMax?: number
  /** Default: {@link writersMaxDefault}. */
  readonly writersMax?: number
}

/**
 * The same `DbConn`, with a queue of its own: all that programs write to it, outside of a transaction, goes through the queue
 * as long as the layer lives; then all that was accepted is answered.
 */
export const layer = (options: GroupCommitOptions = {}): Layer.Layer<DbConn, never, DbConn> =>
  Layer.effect(
    DbConn,
    Effect.gen(function* () {
      const db = yield* DbConn
      return DbConn.of({ ...db, writer: yield* makeWriter(options) })
    }),
  )

const makeWriter = (options: GroupCommitOptions): Effect.Effect<Writer, never, DbConn | Scope.Scope> =>
  Effect.gen(function* () {
    const queueMax = options.queueMax ?? queueMaxDefault
    const { accept, queue, writers } = yield* makePump(options.writersMax ?? writersMaxDefault)
    yield* LedgerMetrics.prepare
    yield* LedgerMetrics.observe("banquo_queue_depth", {
      description: `Requests that wait to be written; at most ${queueMax}, more are refused`,
      read: () => queue.length,
    })
    yield* LedgerMetrics.observe("banquo_statements_in_flight", {
      description: "Statements that wait for a connection, or on one for their answer",
      read: LedgerMetrics.statementsInFlight,
    })
    yield* LedgerMetrics.observe("banquo_batches_in_flight", {
      description: "Batches under way. Constantly at maximum: the database is the bottleneck",
      read: writers,
    })
    return (groups) =>
      Effect.flatMap(Effect.zip(Clock.currentTimeMillis, timeLeft(deadlineDefault)), ([now, millisLeft]) =>
        Effect.callback<ReadonlyArray<Verdict>>((resume) => {
          const verdicts: Array<Verdict> = []
          let left = groups.length
          if (left === 0) return resume(Effect.succeed(verdicts))
          const answer = (index: number, verdict: Verdict) => {
            if (verdicts[index] !== undefined) return
            verdicts[index] = verdict
            left -= 1
            if (left > 0) return
            clearTimeout(timer)
            resume(Effect.succeed(verdicts))
          }
          const timer = setTimeout(() => {
            for (const [index, pending] of pendings.entries())
              answer(index, pending?.isBegun === true ? unknown : overloaded)
          }, millisLeft)
          const pendings = accept(groups, now + Math.min(contentionMillis, millisLeft), queueMax, answer)
        }),
      )
  })

const contentionMillis = Duration.toMillis(contentionTimeout)
const overloaded: Verdict = Exit.fail(new Overloaded())
const unknown: Verdict = Exit.fail(new OutcomeUnknown())

/** Takes batches from a queue as long as there are some, so many at a time. */
const makePump = Effect.fnUntraced(function* (writersMax: number) {
  const memory = yield* BatchCommit.makeMemory
  const fork = yield* FiberSet.makeRuntime<DbConn>()
  const isIdle = yield* Latch.make(true)
  // Runs before the fibers are stopped, because it is added after them.
  yield* Effect.addFinalizer(() => isIdle.await)
  const queue = new Queue()
  /** Batches without a verdict, and those of them that are being written and do not rest. */
  let batchesUnderWay = 0
  let writers = 0
  let isScheduled = false

  const pump = () => {
    isScheduled = false
    for (let free = writersMax - writers; free > 0 && queue.length > 0; free--) {
      const batch = queue.take()
      if (batch.length === 0) return
      batchesUnderWay += 1
      fork(Effect.ensuring(BatchCommit.commit(memory, batch, progress), Effect.sync(stop)))
    }
  }

  /** At the end of this turn of the event loop, so that requests that arrive together are written together. */
  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    setImmediate(pump)
  }

  const progress: BatchCommit.Progress = {
    begin: () => {
      writers += 1
    },
    end: () => {
      writers -= 1
    },
    release: (released, kept) => {
      queue.release(released, kept)
      // At once: the next INSERT is under way before the answers to this one are.
      pump()
    },
  }

  const stop = () => {
    batchesUnderWay -= 1
    if (queue.length > 0) schedule()
    else if (batchesUnderWay === 0) isIdle.openUnsafe()
  }

  /** Takes groups in; `answer` is called for each, with its place among them. Those that are refused at once are undefined. */
  const accept = (
    groups: ReadonlyArray<Group>,
    deadline: number,
    queueMax: number,
    answer: (index: number, verdict: Verdict) => void,
  ): ReadonlyArray<Pending | undefined> => {
    const pendings = groups.map((requests, index) => {
      if (queue.length >= queueMax) return void answer(index, overloaded)
      const pending = pendingOf(requests, deadline, (verdict) => answer(index, verdict))
      queue.push(pending)
      return pending
    })
    if (queue.length > 0) {
      isIdle.closeUnsafe()
      schedule()
    }
    return pendings
  }

  return { accept, queue, writers: () => writers }
})
