/**
 * How a batch of requests becomes one INSERT, and every request gets its own verdict.
 *
 * Remembered heads may be stale: another process may have appended since. Then the INSERT meets the unique constraint of
 * the chain, nothing is written, and the batch is decided again on heads that are read anew. A refusal writes nothing
 * that could meet a constraint, so it is only ever given from heads that were read for it.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import { decideTogether, HeadsAfter, idsMax, idsUsed, type Refused } from "@banquo/domain/Decide"
import type { Decision, Heads, Stamp } from "@banquo/domain/Decision"
import { idemKeyOf } from "@banquo/domain/Idempotency"
import { type Intent, type Request, rowCount } from "@banquo/domain/Intent"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Clock, Effect, Exit, Random, Result } from "effect"
import * as BalanceChangeTable from "../tables/BalanceChangeTable.ts"
import { Contention, Overloaded } from "../database/DatabaseError.ts"
import { DbConn, read } from "../database/DbConn.ts"
import { Contenders, yieldLength } from "./Contenders.ts"
import { HeadCache } from "./HeadCache.ts"
import * as IdBlock from "./IdBlock.ts"
import * as LedgerMetrics from "../metrics/LedgerMetrics.ts"
import { postedOfDecision } from "./Posted.ts"
import {
  accountsOf,
  append,
  RequestRefused,
  selectPosted,
  selectReversed,
  type Verdict,
  type WriteError,
} from "./WritePath.ts"

/** After so many conflicts in a row a batch is halved, so that one contended account does not hold up the others. */
export const conflictsBeforeSplit = 2

/** Longest waits after a first conflict and after many, in milliseconds; with full jitter. */
export const conflictBackoffMin = 30
export const conflictBackoffMax = 120

/** How long after a replay another is expected, in milliseconds. */
export const replaysExpectedFor = 10_000

/**
 * Whether requests are likely to have been carried out before. The unique index of keys finds a replay out in any case, at
 * the price of an INSERT in vain; to ask before each INSERT would cost a statement where nobody replays.
 */
class Replays {
  #metAt = Number.NEGATIVE_INFINITY

  met(now: number): void {
    this.#metAt = now
  }

  areExpected(now: number): boolean {
    return now - this.#metAt < replaysExpectedFor
  }
}

/** Requests that stand or fall together, most often one, and wait for their verdict. */
export interface Pending {
  readonly requests: ReadonlyArray<Request>
  readonly accounts: ReadonlyArray<AccountId>
  readonly keys: ReadonlyArray<string>
  readonly rows: number
  readonly bytes: number
  /** On the clock of the process, in milliseconds: after it, they are not sent any more. */
  readonly deadline: number
  /** To be called once; later calls are without effect. */
  readonly answer: (verdict: Verdict) => void
}

export const pendingOf = (requests: ReadonlyArray<Request>, deadline: number, answer: Pending["answer"]): Pending => ({
  requests,
  accounts: accountsOf(requests),
  keys: requests.flatMap((request) => idemKeyOf(request) ?? []),
  rows: requests.reduce((total, { intent }) => total + rowCount(intent), 0),
  bytes: requests.reduce((total, { intent }) => total + bytesOf(intent), 0),
  deadline,
  answer,
})

/** About what an intent adds to a statement: for each row some 300 bytes, and what the caller wrote. */
const bytesOf = (intent: Intent): number => {
  const described = "description" in intent ? (intent.description?.length ?? 0) : 0
  const noted = "metadata" in intent && intent.metadata !== null ? JSON.stringify(intent.metadata).length : 0
  return rowCount(intent) * (300 + described + noted)
}

export interface Batches {
  /** Gives each of the batch its verdict, and tells of its progress. */
  readonly commit: (batch: ReadonlyArray<Pending>, progress: Progress) => Effect.Effect<void, never, DbConn>
}

export interface Progress {
  /** A part of the batch is being written; between tries it is not. */
  readonly begin: () => void
  readonly end: () => void
  /** The accounts of `released` may be written to again, but for those of `kept`: their verdict is known. */
  readonly release: (released: ReadonlyArray<Pending>, kept: ReadonlyArray<Pending>) => void
}

/** What the rules say of a pending, before it is known whether its rows can be stored. */
interface Ruling {
  readonly pending: Pending
  readonly decided: Result.Result<ReadonlyArray<Decision>, Refused>
}

export const make: Effect.Effect<Batches, never, DbConn> = Effect.gen(function* () {
  const cache = new HeadCache()
  const contenders = new Contenders()
  const replays = new Replays()
  const ids = yield* IdBlock.make

  const commit: Batches["commit"] = (batch, progress) => tryCommit(batch, progress, 0)

  const tryCommit = (
    batch: ReadonlyArray<Pending>,
    progress: Progress,
    conflicts: number,
  ): Effect.Effect<void, never, DbConn> =>
    Effect.suspend(() => {
      progress.begin()
      return round(batch, conflicts)
    }).pipe(
      Effect.catchCause((cause) =>
        Effect.succeed<Round>({ left: nothing, answers: batch.map((pending) => [pending, Exit.failCause(cause)]) }),
      ),
      Effect.flatMap(({ answers, left }) => {
        progress.end()
        if (left.length > 0) {
          progress.release(without(batch, left), left)
          return tryAgain(left, progress, conflicts + 1)
        }
        return Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const kept = contended(batch, now)
          progress.release(without(batch, kept), kept)
          for (const [{ answer }, verdict] of answers) answer(verdict)
          return kept.length === 0 ? Effect.void : yieldTurn(kept, progress)
        })
      }),
    )

  /** Those whose accounts are to be left alone for a while, because it is others' turn. */
  const contended = (batch: ReadonlyArray<Pending>, now: number) => {
    const over = contenders.won(new Set(batch.flatMap(({ accounts }) => accounts)), now)
    return over.size === 0 ? nothing : batch.filter(({ accounts }) => accounts.some((account) => over.has(account)))
  }

  const tryAgain = (batch: ReadonlyArray<Pending>, progress: Progress, conflicts: number) =>
    Effect.gen(function* () {
      yield* Effect.sleep((yield* Random.next) * Math.min(conflictBackoffMax, conflictBackoffMin * 2 ** conflicts))
      const parts = conflicts < conflictsBeforeSplit ? [batch] : halve(batch)
      const tries = parts.map((part) => tryCommit(part, progress, conflicts))
      yield* Effect.all(tries, { concurrency: "unbounded", discard: true })
    })

  /** One try. What is left met a conflict: nothing of it was written. */
  const round = Effect.fnUntraced(function* (batch: ReadonlyArray<Pending>, conflicts: number) {
    const now = yield* Clock.currentTimeMillis
    const alive = batch.filter((pending) => pending.deadline > now)
    if (alive.length < batch.length) expire(batch, now, conflicts)
    return yield* write(alive, now, conflicts > 0 || replays.areExpected(now))
  })

  const write = (
    batch: ReadonlyArray<Pending>,
    now: number,
    asksForReplays: boolean,
  ): Effect.Effect<Round, WriteError, DbConn> =>
    Effect.gen(function* () {
      const heads = headsAt(now)
      const [open] = yield* Effect.all(
        [asksForReplays ? answerReplays(batch, now) : Effect.succeed(batch), heads.readUnknown(batch)],
        { concurrency: 2 },
      )
      if (open.length === 0) return written
      const rulings = yield* rule(open, heads, Timestamp.fromMillis(now))
      const decisions = rulings.flatMap(({ decided }) => (Result.isSuccess(decided) ? decided.success : []))
      if (decisions.length > 0) {
        const accounts = open.flatMap((pending) => pending.accounts)
        const start = performance.now()
        const isAppended = yield* append(decisions).pipe(
          Effect.onError(() => Effect.sync(() => cache.forget(accounts))),
        )
        LedgerMetrics.record(LedgerMetrics.commitSeconds, LedgerMetrics.secondsSince(start))
        LedgerMetrics.record(
          LedgerMetrics.batchRows,
          decisions.reduce((total, decision) => total + idsUsed(decision), 0),
        )
        const end = yield* Clock.currentTimeMillis
        if (!isAppended) {
          const rest = asksForReplays ? open : yield* answerReplays(open, end)
          if (rest.length < open.length) return yield* write(rest, end, true)
          LedgerMetrics.record(LedgerMetrics.conflicts, 1)
          cache.distrust(accounts, end)
          contenders.lost(accounts, end)
          return { left: open, answers: [] }
        }
        cache.remember(
          decisions.flatMap(({ heads }) => [...heads]),
          end,
        )
      }
      // From here on nothing may fail: the rows are stored. Another process may have carried out what is refused just now,
      // and that comes before any refusal.
      yield* Effect.forEach(rulings.flatMap(refusedOf), ([pending, verdict]) => answerPosted(pending, verdict), {
        concurrency: "unbounded",
        discard: true,
      })
      return { left: nothing, answers: rulings.flatMap(madeOf) }
    })

  /** Answers what was carried out before, as its keys show, and returns the others. */
  const answerReplays = Effect.fnUntraced(function* (batch: ReadonlyArray<Pending>, now: number) {
    const keys = batch.flatMap((pending) => pending.keys)
    if (keys.length === 0) return batch
    const used = new Set(yield* read((sql) => BalanceChangeTable.selectUsedKeys(sql, keys)))
    if (used.size === 0) return batch
    replays.met(now)
    const isReplay = (pending: Pending) => pending.keys.some((key) => used.has(key))
    yield* Effect.forEach(
      batch.filter(isReplay),
      (pending) => answerPosted(pending, Exit.die(new Error("a key is used but names no transaction"))),
      { concurrency: "unbounded", discard: true },
    )
    return batch.filter((pending) => !isReplay(pending))
  })

  /** Heads for one try: those that were read for it, and those that are remembered. */
  const headsAt = (now: number) => {
    const fresh = new Map<AccountId, AccountState | undefined>()
    let reversed: Heads["reversed"]
    const known: Heads = {
      get: (account) => (fresh.has(account) ? fresh.get(account) : cache.get(account, now)),
      has: (account) => known.get(account) !== undefined,
      reversed: (xactId, account) => reversed!(xactId, account),
    }
    const readHeads = Effect.fnUntraced(function* (accounts: ReadonlyArray<AccountId>) {
      if (accounts.length === 0) return false
      const found = yield* read((sql, database) => BalanceChangeTable.selectHeads(sql, accounts, database))
      for (const account of accounts) fresh.set(account, found.get(account))
      return true
    })
    return {
      known,
      /** What was reversed before; to be read again whenever heads were. */
      readReversed: (batch: ReadonlyArray<Pending>) =>
        Effect.map(selectReversed(batch.flatMap(({ requests }) => requests)), (amounts) => {
          reversed = amounts
        }),
      readUnknown: (batch: ReadonlyArray<Pending>) => {
        let hits = 0
        const unknown = distinct(batch, (account) => {
          if (!known.has(account)) return true
          hits += 1
          return false
        })
        LedgerMetrics.record(LedgerMetrics.headHits, hits)
        LedgerMetrics.record(LedgerMetrics.headMisses, unknown.length)
        return readHeads(unknown)
      },
      /** `false`: all of them had been read. */
      readRemembered: (batch: ReadonlyArray<Pending>) => readHeads(distinct(batch, (account) => !fresh.has(account))),
    }
  }

  /**
   * Decides in order, each on what those before it leave behind. Whatever is refused on a remembered head is decided
   * again, with all that follow, on one that was read.
   */
  const rule = Effect.fnUntraced(function* (
    open: ReadonlyArray<Pending>,
    heads: ReturnType<typeof headsAt>,
    now: Timestamp.Timestamp,
  ) {
    const { ledgerId } = yield* DbConn
    const id = yield* ledgerId
    let taken: Stamp["ids"] = []
    for (;;) {
      yield* heads.readReversed(open)
      const needed = idsMax(
        open.flatMap(({ requests }) => requests),
        heads.known,
        now,
      )
      if (needed > taken.length) taken = yield* ids.take(needed)
      const stamp = { now, ledgerId: id, ids: taken }
      const rulings = ruleOn(open, heads.known, stamp)
      const refused = rulings.filter(({ decided }) => Result.isFailure(decided)).map(({ pending }) => pending)
      if (!(yield* heads.readRemembered(refused))) return rulings
    }
  })

  return { commit }
})

const nothing: ReadonlyArray<Pending> = []

/** What came of one try: what met a conflict, and the answers that are ready to be given. */
interface Round {
  readonly left: ReadonlyArray<Pending>
  readonly answers: ReadonlyArray<readonly [Pending, Verdict]>
}

const written: Round = { left: nothing, answers: [] }

const madeOf = ({ decided, pending }: Ruling): ReadonlyArray<readonly [Pending, Verdict]> =>
  Result.isSuccess(decided) ? [[pending, Exit.succeed(decided.success.map(postedOfDecision))]] : []

const refusedOf = ({ decided, pending }: Ruling): ReadonlyArray<readonly [Pending, Verdict]> =>
  Result.isFailure(decided) ? [[pending, Exit.fail(new RequestRefused(decided.failure))]] : []

const without = (batch: ReadonlyArray<Pending>, part: ReadonlyArray<Pending>): ReadonlyArray<Pending> =>
  part.length === 0 ? batch : batch.filter((pending) => !part.includes(pending))

const yieldTurn = (kept: ReadonlyArray<Pending>, progress: Progress) =>
  Effect.andThen(
    Effect.sleep(yieldLength),
    Effect.sync(() => progress.release(kept, nothing)),
  )

const ruleOn = (open: ReadonlyArray<Pending>, known: Heads, stamp: Stamp): ReadonlyArray<Ruling> => {
  const heads = new HeadsAfter(known)
  let used = 0
  return open.map((pending) => {
    const decided = decideTogether(pending.requests, heads, { ...stamp, idsFrom: used })
    if (Result.isSuccess(decided)) {
      for (const decision of decided.success) {
        used += idsUsed(decision)
        heads.advance(decision)
      }
    }
    return { pending, decided }
  })
}

const distinct = (
  batch: ReadonlyArray<Pending>,
  isWanted: (account: AccountId) => boolean,
): ReadonlyArray<AccountId> => [...new Set(batch.flatMap(({ accounts }) => accounts.filter(isWanted)))]

/** Too late: never sent, or undone each time. In either case nothing of it was written. */
const expire = (batch: ReadonlyArray<Pending>, now: number, conflicts: number) => {
  for (const { answer, deadline } of batch) {
    if (deadline <= now) answer(Exit.fail(conflicts > 0 ? new Contention() : new Overloaded()))
  }
}

/** By what the requests have already brought about, if they have; else by `verdict`. */
const answerPosted = ({ answer, requests }: Pending, verdict: Verdict): Effect.Effect<void, never, DbConn> =>
  Effect.map(Effect.exit(selectPosted(requests)), (exit) => {
    if (Exit.isFailure(exit)) answer(Exit.failCause(exit.cause))
    else answer(exit.value === undefined ? verdict : Exit.succeed(exit.value))
  })

/** In two parts with no account in common, if there are such parts. */
const halve = (batch: ReadonlyArray<Pending>): ReadonlyArray<ReadonlyArray<Pending>> => {
  const parts: [Array<Pending>, Array<Pending>] = [[], []]
  for (const group of groupsOf(batch)) {
    const smaller = parts[0].length <= parts[1].length ? parts[0] : parts[1]
    smaller.push(...group)
  }
  return parts.filter((part) => part.length > 0)
}

/** Requests that touch the same accounts, directly or by way of others, in their order. */
const groupsOf = (batch: ReadonlyArray<Pending>): ReadonlyArray<ReadonlyArray<Pending>> => {
  const groupOf = new Map<AccountId, Array<Pending>>()
  for (const pending of batch) {
    const joined = new Set(pending.accounts.flatMap((account) => groupOf.get(account) ?? []))
    const group = batch.filter((other) => other === pending || joined.has(other))
    for (const { accounts } of group) for (const account of accounts) groupOf.set(account, group)
  }
  return [...new Set(groupOf.values())]
}
