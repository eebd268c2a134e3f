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
import * as BalanceChangeTable from "./BalanceChangeTable.ts"
import { Contention, Overloaded } from "./DatabaseError.ts"
import { DbConn, read } from "./DbConn.ts"
import { Contenders, yieldLength } from "./Contenders.ts"
import { HeadCache } from "./HeadCache.ts"
import * as IdBlock from "./IdBlock.ts"
import { type Posted, postedOfDecision } from "./Posted.ts"
import { accountsOf, append, RequestRefused, selectPosted, selectReversed, type WriteError } from "./WritePath.ts"

/** After so many conflicts in a row a batch is halved, so that one contended account does not hold up the others. */
export const conflictsBeforeSplit = 2

/** Longest waits after a first conflict and after many, in milliseconds; with full jitter. */
export const conflictBackoffMin = 30
export const conflictBackoffMax = 120

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

export type Verdict = Exit.Exit<ReadonlyArray<Posted>, RequestRefused | WriteError>

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
  /** Answers each of the batch, and tells `release` of those that have been answered. */
  readonly commit: (batch: ReadonlyArray<Pending>, release: Release) => Effect.Effect<void, never, DbConn>
}

/** `answered` have their verdict; the accounts that they touch may be written to again, but for those of `left`. */
export type Release = (answered: ReadonlyArray<Pending>, left: ReadonlyArray<Pending>) => void

/** What the rules say of a pending, before it is known whether its rows can be stored. */
interface Ruling {
  readonly pending: Pending
  readonly decided: Result.Result<ReadonlyArray<Decision>, Refused>
}

export const make: Effect.Effect<Batches, never, DbConn> = Effect.gen(function* () {
  const cache = new HeadCache()
  const contenders = new Contenders()
  const ids = yield* IdBlock.make

  const commit: Batches["commit"] = (batch, release) => tryCommit(batch, release, 0)

  const tryCommit = (
    batch: ReadonlyArray<Pending>,
    release: Release,
    conflicts: number,
  ): Effect.Effect<void, never, DbConn> =>
    round(batch, conflicts).pipe(
      Effect.catchCause((cause) => {
        for (const { answer } of batch) answer(Exit.failCause(cause))
        return Effect.succeed(nothing)
      }),
      Effect.flatMap((left) => {
        if (left.length > 0) {
          release(
            batch.filter((pending) => !left.includes(pending)),
            left,
          )
          return tryAgain(left, release, conflicts + 1)
        }
        return Effect.flatMap(Clock.currentTimeMillis, (now) => yieldTurn(batch, release, now))
      }),
    )

  /** Leaves contended accounts alone for a while, if it is others' turn; lets go of the rest at once. */
  const yieldTurn = (batch: ReadonlyArray<Pending>, release: Release, now: number) => {
    const over = contenders.won(new Set(batch.flatMap(({ accounts }) => accounts)), now)
    if (over.size === 0) return Effect.sync(() => release(batch, nothing))
    const kept = batch.filter(({ accounts }) => accounts.some((account) => over.has(account)))
    release(
      batch.filter((pending) => !kept.includes(pending)),
      kept,
    )
    return Effect.andThen(
      Effect.sleep(yieldLength),
      Effect.sync(() => release(kept, nothing)),
    )
  }

  const tryAgain = (batch: ReadonlyArray<Pending>, release: Release, conflicts: number) =>
    Effect.gen(function* () {
      yield* Effect.sleep((yield* Random.next) * Math.min(conflictBackoffMax, conflictBackoffMin * 2 ** conflicts))
      const parts = conflicts < conflictsBeforeSplit ? [batch] : halve(batch)
      const tries = parts.map((part) => tryCommit(part, release, conflicts))
      yield* Effect.all(tries, { concurrency: "unbounded", discard: true })
    })

  /** One try. Answers with those that met a conflict: nothing of them was written. */
  const round = Effect.fnUntraced(function* (batch: ReadonlyArray<Pending>, conflicts: number) {
    const now = yield* Clock.currentTimeMillis
    const alive = batch.filter((pending) => pending.deadline > now)
    if (alive.length < batch.length) expire(batch, now, conflicts)
    const heads = headsAt(now)
    const [open] = yield* Effect.all([answerReplays(alive), heads.readUnknown(alive)], { concurrency: 2 })
    if (open.length === 0) return nothing
    const rulings = yield* rule(open, heads, Timestamp.fromMillis(now))
    const decisions = rulings.flatMap(({ decided }) => (Result.isSuccess(decided) ? decided.success : []))
    if (decisions.length > 0) {
      const accounts = open.flatMap((pending) => pending.accounts)
      const isAppended = yield* append(decisions).pipe(Effect.onError(() => Effect.sync(() => cache.forget(accounts))))
      const end = yield* Clock.currentTimeMillis
      if (!isAppended) {
        cache.distrust(accounts, end)
        contenders.lost(accounts, end)
        return open
      }
      cache.remember(
        decisions.flatMap(({ heads }) => [...heads]),
        end,
      )
    }
    for (const { decided, pending } of rulings) {
      if (Result.isSuccess(decided)) pending.answer(Exit.succeed(decided.success.map(postedOfDecision)))
      // Another process may have carried it out just now: that comes before any refusal.
      else yield* answerPosted(pending, Exit.fail(new RequestRefused(decided.failure)))
    }
    return nothing
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
      const found = yield* read((sql) => BalanceChangeTable.selectHeads(sql, accounts))
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
      readUnknown: (batch: ReadonlyArray<Pending>) => readHeads(distinct(batch, (account) => !known.has(account))),
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

const ruleOn = (open: ReadonlyArray<Pending>, known: Heads, stamp: Stamp): ReadonlyArray<Ruling> => {
  const heads = new HeadsAfter(known)
  let used = 0
  return open.map((pending) => {
    const decided = decideTogether(pending.requests, heads, { ...stamp, ids: stamp.ids.slice(used) })
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

/** Answers what was carried out before, as its keys show, and returns the others. */
const answerReplays = Effect.fnUntraced(function* (batch: ReadonlyArray<Pending>) {
  const keys = batch.flatMap((pending) => pending.keys)
  if (keys.length === 0) return batch
  const used = new Set(yield* read((sql) => BalanceChangeTable.selectUsedKeys(sql, keys)))
  if (used.size === 0) return batch
  const isReplay = (pending: Pending) => pending.keys.some((key) => used.has(key))
  yield* Effect.forEach(
    batch.filter(isReplay),
    (pending) => answerPosted(pending, Exit.die(new Error("a key is used but names no transaction"))),
    { concurrency: "unbounded", discard: true },
  )
  return batch.filter((pending) => !isReplay(pending))
})

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
