/**
 * How a batch of requests becomes one INSERT, and every request gets its own verdict.
 *
 * Remembered heads may be stale: another process may have appended since. Then nothing is written, and the batch is decided
 * again on heads that are read anew. A refusal writes nothing that could meet a constraint, so it is only ever given from
 * heads that were read for it.
 */
import { Clock, Effect, Exit, Random, Result } from "effect"
import { Contention, isStatementRefused, Overloaded } from "../database/DatabaseError.ts"
import { DbConn, readToWrite } from "../database/DbConn.ts"
import * as LedgerMetrics from "../metrics/LedgerMetrics.ts"
import * as BalanceChangeTable from "../tables/BalanceChangeTable.ts"
import { Contenders, yieldLength } from "./Contenders.ts"
import { HeadCache } from "./HeadCache.ts"
import * as IdBlock from "./IdBlock.ts"
import { halve, type Pending } from "./Pending.ts"
import { postedOfDecision } from "./Posted.ts"
import { selectPosted } from "./Replay.ts"
import { round, type Ruling } from "./Round.ts"
import { RequestRefused, type Verdict, type WriteError } from "./Writer.ts"

/** After so many conflicts in a row a batch is halved, so that one contended account does not hold up the others. */
export const conflictsBeforeSplit = 2

/** Longest waits after a first conflict and after many, in milliseconds; with full jitter. */
export const conflictBackoffMin = 30
export const conflictBackoffMax = 120

/** How long after a replay another is expected, in milliseconds. */
export const replaysExpectedFor = 10_000

/** What the batches of one `DbConn` remember of the ones before. */
export interface Memory {
  readonly cache: HeadCache
  readonly contenders: Contenders
  readonly ids: IdBlock.IdBlock
  /** Of the `DbConn`, when this was begun to be remembered. */
  epoch: number
  /** When a key was last found to have been used, on the clock of the process, in milliseconds. */
  replayMetAt: number
}

export const makeMemory: Effect.Effect<Memory, never, DbConn> = Effect.map(
  Effect.zip(DbConn, IdBlock.make),
  ([db, ids]) => ({
    cache: new HeadCache(),
    contenders: new Contenders(),
    ids,
    epoch: db.epoch(),
    replayMetAt: Number.NEGATIVE_INFINITY,
  }),
)

/** Another server, or another database, may have lost rows that this remembers, and give ids that this has. */
const forgetOtherServers = (memory: Memory): Effect.Effect<void, never, DbConn> =>
  Effect.map(DbConn, ({ epoch }) => {
    if (memory.epoch === epoch()) return
    memory.epoch = epoch()
    memory.cache.clear()
    memory.ids.drop()
  })

export interface Progress {
  /** A part of the batch is being written; between tries it is not. */
  readonly begin: () => void
  readonly end: () => void
  /** The accounts of `released` may be written to again, but for those of `kept`: their verdict is known. */
  readonly release: (released: ReadonlyArray<Pending>, kept: ReadonlyArray<Pending>) => void
}

type Batch = ReadonlyArray<Pending>

/** What came of one try: pendings that met a conflict, and the answers that are ready to be given. */
interface Outcome {
  readonly left: Batch
  readonly answers: ReadonlyArray<readonly [Pending, Verdict]>
}

const nothing: Batch = []

/** Gives each of the batch its verdict, and tells of its progress. Never fails. */
export const commit = (
  memory: Memory,
  batch: Batch,
  progress: Progress,
  conflicts = 0,
): Effect.Effect<void, never, DbConn> =>
  Effect.suspend(() => {
    progress.begin()
    return attempt(memory, batch, conflicts)
  }).pipe(
    Effect.exit,
    Effect.flatMap((exit) => {
      progress.end()
      // The database refused the statement, so nothing is stored: the culprit is looked for among fewer.
      if (Exit.isFailure(exit) && batch.length > 1 && isStatementRefused(exit.cause)) {
        return commitParts(memory, inHalves(batch), progress, conflicts)
      }
      const outcome: Outcome = Exit.isSuccess(exit)
        ? exit.value
        : { left: nothing, answers: batch.map((pending) => [pending, Exit.failCause(exit.cause)]) }
      if (outcome.left.length > 0) return retry(memory, batch, outcome.left, progress, conflicts + 1)
      return finish(memory, batch, outcome, progress)
    }),
  )

/** One after the other: a later part may touch the accounts of an earlier one. */
const commitParts = (memory: Memory, parts: ReadonlyArray<Batch>, progress: Progress, conflicts: number) =>
  Effect.forEach(parts, (part) => commit(memory, part, progress, conflicts), { discard: true })

const inHalves = (batch: Batch): ReadonlyArray<Batch> => {
  const middle = Math.ceil(batch.length / 2)
  return [batch.slice(0, middle), batch.slice(middle)]
}

const retry = (memory: Memory, batch: Batch, left: Batch, progress: Progress, conflicts: number) =>
  Effect.gen(function* () {
    progress.release(without(batch, left), left)
    yield* Effect.sleep((yield* Random.next) * Math.min(conflictBackoffMax, conflictBackoffMin * 2 ** conflicts))
    const parts = conflicts < conflictsBeforeSplit ? [left] : halve(left)
    const tries = parts.map((part) => commit(memory, part, progress, conflicts))
    yield* Effect.all(tries, { concurrency: "unbounded", discard: true })
  })

const finish = (memory: Memory, batch: Batch, { answers }: Outcome, progress: Progress) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const kept = contended(memory, batch, now)
    progress.release(without(batch, kept), kept)
    for (const [{ answer }, verdict] of answers) answer(verdict)
    return kept.length === 0 ? Effect.void : yieldTurn(kept, progress)
  })

/** Pendings on accounts whose turn ended: kept locked for {@link yieldLength}, so that another process can write. */
const contended = ({ contenders }: Memory, batch: Batch, now: number): Batch => {
  const over = contenders.won(new Set(batch.flatMap(({ accounts }) => accounts)), now)
  return over.size === 0 ? nothing : batch.filter(({ accounts }) => accounts.some((account) => over.has(account)))
}

const yieldTurn = (kept: Batch, progress: Progress) =>
  Effect.andThen(
    Effect.sleep(yieldLength),
    Effect.sync(() => progress.release(kept, nothing)),
  )

const without = (batch: Batch, part: Batch): Batch =>
  part.length === 0 ? batch : batch.filter((pending) => !part.includes(pending))

/** One try, without the pendings whose time is over. */
const attempt = Effect.fnUntraced(function* (memory: Memory, batch: Batch, conflicts: number) {
  const now = yield* Clock.currentTimeMillis
  const alive = batch.filter((pending) => pending.deadline > now)
  if (alive.length < batch.length) expire(batch, now, conflicts)
  yield* forgetOtherServers(memory)
  return yield* write(memory, alive, now, conflicts > 0 || now - memory.replayMetAt < replaysExpectedFor)
})

/** Too late: never sent, or undone each time. In either case nothing of it was written. */
const expire = (batch: Batch, now: number, conflicts: number) => {
  for (const { answer, deadline } of batch) {
    if (deadline <= now) answer(Exit.fail(conflicts > 0 ? new Contention() : new Overloaded()))
  }
}

/**
 * `asksForReplays`: whether requests are likely to have been carried out before. The unique index of keys finds a replay out
 * in any case, at the price of an INSERT in vain; to ask before each INSERT would cost a statement where nobody replays.
 */
const write = (
  memory: Memory,
  batch: Batch,
  now: number,
  asksForReplays: boolean,
): Effect.Effect<Outcome, WriteError, DbConn> =>
  Effect.gen(function* () {
    const open = asksForReplays ? yield* answerReplays(memory, batch, now) : batch
    if (open.length === 0) return { left: nothing, answers: [] }
    const { cache, contenders, ids } = memory
    const accounts = open.flatMap((pending) => pending.accounts)
    const { isStored, rulings } = yield* round(
      open.map(({ requests }) => requests),
      {
        remembered: (account) => cache.get(account, now),
        isGiven: false,
        takeIds: ids.take,
        willAppend: () => begin(open),
        dropIds: ids.drop,
      },
      now,
    ).pipe(Effect.onError(() => Effect.sync(() => cache.forget(accounts))))
    const end = yield* Clock.currentTimeMillis
    if (!isStored) {
      const rest = asksForReplays ? open : yield* answerReplays(memory, open, end)
      if (rest.length < open.length) return yield* write(memory, rest, end, true)
      LedgerMetrics.record(LedgerMetrics.conflicts, 1)
      cache.distrust(accounts, end)
      contenders.lost(accounts, end)
      return { left: open, answers: [] }
    }
    cache.remember(rulings.flatMap(headsAfter), end)
    // From here on nothing may fail: the rows are stored. Another process may have carried out what is refused just now,
    // and that comes before any refusal.
    const answers = yield* Effect.forEach(open, (pending, at) => answerOf(pending, rulings[at]!), {
      concurrency: "unbounded",
    })
    return { left: nothing, answers }
  })

const begin = (batch: Batch) => {
  for (const pending of batch) pending.isBegun = true
}

const headsAfter = (ruling: Ruling) =>
  Result.isSuccess(ruling) ? ruling.success.flatMap(({ heads }) => [...heads]) : []

const answerOf = (pending: Pending, ruling: Ruling): Effect.Effect<readonly [Pending, Verdict], never, DbConn> =>
  Result.isSuccess(ruling)
    ? Effect.succeed([pending, Exit.succeed(ruling.success.map(postedOfDecision))])
    : Effect.map(postedOr(pending, Exit.fail(new RequestRefused(ruling.failure))), (verdict) => [pending, verdict])

/** What the requests have already brought about, if they have; else `verdict`. */
const postedOr = ({ requests }: Pending, verdict: Verdict): Effect.Effect<Verdict, never, DbConn> =>
  Effect.map(Effect.exit(selectPosted(requests)), (exit) => {
    if (Exit.isFailure(exit)) return Exit.failCause(exit.cause)
    return exit.value === undefined ? verdict : Exit.succeed(exit.value)
  })

/** Answers requests that were carried out before, as their keys show, and returns the others. */
const answerReplays = Effect.fnUntraced(function* (memory: Memory, batch: Batch, now: number) {
  const keys = batch.flatMap((pending) => pending.keys)
  if (keys.length === 0) return batch
  const used = new Set(
    yield* readToWrite((sql) => BalanceChangeTable.selectUsedKeys(sql, keys.map(Uint8Array.fromHex))),
  )
  if (used.size === 0) return batch
  memory.replayMetAt = now
  const isReplay = (pending: Pending) => pending.keys.some((key) => used.has(key))
  const unknown = Exit.die(new Error("a key is used but names no transaction"))
  yield* Effect.forEach(batch.filter(isReplay), (pending) => Effect.map(postedOr(pending, unknown), pending.answer), {
    concurrency: "unbounded",
    discard: true,
  })
  return batch.filter((pending) => !isReplay(pending))
})
