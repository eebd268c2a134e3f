/**
 * How a request becomes rows: read the heads, decide, append by one statement, and know how it ended.
 *
 * Every program that writes goes this way. It neither locks nor holds a connection between statements: the unique
 * constraints of the chain tell it when another was first, and then it decides again on the new heads.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { decideTogether, idsMax, type RefusalOf } from "@banquo/domain/Decide"
import type { Decision, Heads } from "@banquo/domain/Decision"
import { idemKeyOf, requestHash } from "@banquo/domain/Idempotency"
import { accountIds, type Intent, type Request, rowCount } from "@banquo/domain/Intent"
import * as Money from "@banquo/domain/Money"
import { IdempotencyKeyReused } from "@banquo/domain/Refusal"
import { assertWellFormed } from "@banquo/domain/WellFormed"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Clock, Context, Data, Effect, type Exit, Result } from "effect"
import type { SqlError } from "effect/sql"
import * as AccountTable from "../tables/AccountTable.ts"
import * as BalanceChangeTable from "../tables/BalanceChangeTable.ts"
import {
  Contention,
  DatabaseUnavailable,
  defectOf,
  faultOf,
  OutcomeUnknown,
  type Overloaded,
} from "../database/DatabaseError.ts"
import { atomically, contentionBackoff, DbConn, read, within } from "../database/DbConn.ts"
import { type Posted, postedOfDecision, postedOfRows } from "./Posted.ts"

/** What any write may fail with beside its refusals. Each may be tried again; with an idempotency key, without risk. */
export type WriteError = Contention | DatabaseUnavailable | OutcomeUnknown | Overloaded

/** One of the requests was not carried out, by its place among them, and so none was. */
export class RequestRefused<I extends Intent = Intent> extends Data.TaggedError("RequestRefused")<{
  readonly index: number
  readonly refusal: RefusalOf<I> | IdempotencyKeyReused
}> {}

/** What became of requests that stand or fall together. */
export type Verdict<I extends Intent = Intent> = Exit.Exit<ReadonlyArray<Posted>, RequestRefused<I> | WriteError>

/** Carries out groups of requests, once. Of each group all are made in one transaction, or none; a verdict for each, in order. */
export type Writer = (
  groups: ReadonlyArray<ReadonlyArray<Request>>,
) => Effect.Effect<ReadonlyArray<Verdict>, never, DbConn>

/**
 * Carries out a request, once: a request whose key, or chosen account id, was used for the same before is answered with
 * what was written then. In a transaction of the caller's it becomes part of it; else it is one of its own, by way of the
 * {@link CurrentWriter}.
 */
export const write = <I extends Intent>(
  request: Request<I>,
): Effect.Effect<Posted, RefusalOf<I> | IdempotencyKeyReused | WriteError, DbConn> =>
  writeTogether([request]).pipe(
    Effect.map(([posted]) => posted!),
    Effect.catchTag("RequestRefused", ({ refusal }) => Effect.fail(refusal)),
  ) as Effect.Effect<Posted, RefusalOf<I> | IdempotencyKeyReused | WriteError, DbConn>

/** As {@link write}, several requests in order: all of them or none. A key may occur once. */
export const writeTogether = <I extends Intent>(
  requests: ReadonlyArray<Request<I>>,
): Effect.Effect<ReadonlyArray<Posted>, RequestRefused<I> | WriteError, DbConn> =>
  Effect.flatMap(writeGroups([requests]), ([verdict]) => verdict!)

/** As {@link write}, several requests, each by itself: a refusal of one says nothing about the others. */
export const writeEach = <I extends Intent>(
  requests: ReadonlyArray<Request<I>>,
): Effect.Effect<ReadonlyArray<Verdict<I>>, never, DbConn> => writeGroups(requests.map((request) => [request]))

/** Every request comes this way: plain combinators cost half of what a generator does. */
const writeGroups = <I extends Intent>(
  groups: ReadonlyArray<ReadonlyArray<Request<I>>>,
): Effect.Effect<ReadonlyArray<Verdict<I>>, never, DbConn> =>
  Effect.suspend(() => {
    for (const requests of groups) for (const { intent } of requests) assertWellFormed(intent)
    return writerOf
  }).pipe(Effect.flatMap((writer) => writer(groups))) as Effect.Effect<ReadonlyArray<Verdict<I>>, never, DbConn>

const eachGroup =
  (
    write: (
      requests: ReadonlyArray<Request>,
    ) => Effect.Effect<ReadonlyArray<Posted>, RequestRefused | WriteError, DbConn>,
  ): Writer =>
  (groups) =>
    Effect.forEach(groups, (requests) => Effect.exit(write(requests)), { concurrency: "unbounded" })

/** By themselves: a read and an INSERT. */
const writeAlone = (requests: ReadonlyArray<Request>) =>
  attempt(requests).pipe(
    Effect.retry({ while: isHeadMoved, schedule: contentionBackoff }),
    Effect.catchIf(isHeadMoved, () => Effect.fail(new Contention())),
  )

/** A savepoint of its own keeps writes that the caller forks in one transaction from one another's statements. */
const writeInTransaction = eachGroup((requests) =>
  Effect.flatMap(DbConn, ({ transaction }) => transaction(writeAlone(requests))),
)

const writeEachAlone = eachGroup(writeAlone)

/** How this process writes: each request alone, unless a layer such as `GroupCommit.layer` says otherwise. */
export const CurrentWriter = Context.Reference<Writer>("@banquo/ledger/CurrentWriter", {
  defaultValue: () => writeEachAlone,
})

/** Who carries out what is asked for here and now. */
const writerOf: Effect.Effect<Writer, never, DbConn> = DbConn.pipe(
  Effect.flatMap(({ isInTransaction }) => isInTransaction),
  Effect.flatMap((isInside) =>
    Effect.flatMap(IsDryRun, (isDryRun) =>
      isDryRun ? Effect.succeed(writeEachAlone) : isInside ? Effect.succeed(writeInTransaction) : CurrentWriter,
    ),
  ),
)

/** Whether requests are judged only. */
const IsDryRun = Context.Reference<boolean>("@banquo/ledger/IsDryRun", { defaultValue: () => false })

/**
 * The same program, but what it would write is not written: it succeeds or is refused as it would be now, on heads that are
 * read for it. Ids, times and hashes of what it answers with name nothing that is stored. Inside {@link writeTogether} each
 * request sees those before it; several programs do not see one another.
 */
export const dryRun = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(program, IsDryRun, true)

/** Another appended to one of the accounts since its head was read. Nothing was written. */
class HeadMoved extends Data.TaggedError("HeadMoved") {}

const isHeadMoved = (error: unknown): error is HeadMoved => error instanceof HeadMoved

const attempt = Effect.fnUntraced(function* (requests: ReadonlyArray<Request>) {
  const { ledgerId } = yield* DbConn
  const isDryRun = yield* IsDryRun
  if (isDryRun) {
    const posted = yield* selectPosted(requests)
    if (posted !== undefined) return posted
  }
  const [states, someIds] = yield* Effect.all(
    [
      read((sql, database) => BalanceChangeTable.selectHeads(sql, accountsOf(requests), database)),
      selectIds(requests.reduce((total, { intent }) => total + rowCount(intent), 0)),
    ],
    { concurrency: 2 },
  )
  const reversed = yield* selectReversed(requests)
  const heads: Heads = { get: (acctId) => states.get(acctId), has: (acctId) => states.has(acctId), reversed }
  const now = Timestamp.fromMillis(yield* Clock.currentTimeMillis)
  const idsNeeded = idsMax(requests, heads, now)
  const ids = idsNeeded > someIds.length ? yield* selectIds(idsNeeded) : someIds
  const decided = decideTogether(requests, heads, { now, ids, ledgerId: yield* ledgerId })
  if (Result.isFailure(decided)) {
    // They may have been carried out before: that comes before any refusal.
    return (yield* selectPosted(requests)) ?? (yield* new RequestRefused(decided.failure))
  }
  const isAppended = isDryRun || (yield* append(decided.success))
  if (isAppended) return decided.success.map(postedOfDecision)
  return (yield* selectPosted(requests)) ?? (yield* new HeadMoved())
})

const selectIds = (count: number) => read((sql, database) => BalanceChangeTable.selectNewIds(sql, count, database))

/** The accounts whose states decide, each once. */
export const accountsOf = (requests: ReadonlyArray<Request>): ReadonlyArray<AccountId> =>
  requests.length === 1 && requests[0] !== undefined
    ? accountIds(requests[0].intent)
    : [...new Set(requests.flatMap(({ intent }) => accountIds(intent)))]

/**
 * What reversals have done to each balance, of the transactions that are to be reversed. To be read when the heads are known:
 * a reversal that comes after this then appends to one of them, which finds it out.
 */
export const selectReversed = Effect.fnUntraced(function* (requests: ReadonlyArray<Request>) {
  const xactIds = requests.flatMap(({ intent }) => (intent._tag === "ReverseTransaction" ? intent.xactId : []))
  const rows = xactIds.length === 0 ? [] : yield* read((sql) => BalanceChangeTable.selectReversed(sql, xactIds))
  const amounts = new Map(rows.map(({ acct_id, amt, xact_id }) => [`${xact_id} ${acct_id}`, Money.fromDecimal(amt)]))
  const reversed: Heads["reversed"] = (xactId, acctId) => amounts.get(`${xactId} ${acctId}`) ?? Money.zero
  return reversed
})

/**
 * What the requests have brought about already, going by their keys and the account ids that they chose; `undefined` if
 * nothing. They stand or fall together: if only some of them have been carried out, it was as part of something else.
 */
export const selectPosted = Effect.fnUntraced(function* (requests: ReadonlyArray<Request>) {
  const found = yield* Effect.forEach(requests, selectPostedOf, { concurrency: "unbounded" })
  const isDone = found.map((posted) => posted !== undefined && posted !== "reused")
  if (isDone.every(Boolean)) return found as ReadonlyArray<Posted>
  const index = found.findIndex((posted) => posted !== undefined)
  return index < 0 ? undefined : yield* new RequestRefused({ index, refusal: new IdempotencyKeyReused() })
})

/**
 * Fails with `error`, that what the request names is not there or not fit for it; but idempotency comes first: with
 * `IdempotencyKeyReused` where its key is used, which must have been for another.
 */
export const failUnlessUsed =
  (request: Pick<Request, "actor" | "idempotencyKey">) =>
  <E>(error: E): Effect.Effect<never, E | IdempotencyKeyReused | DatabaseUnavailable, DbConn> => {
    const key = idemKeyOf(request)
    if (key === null) return Effect.fail(error)
    return Effect.flatMap(
      read((sql) => BalanceChangeTable.selectUsedKeys(sql, [key])),
      (used): Effect.Effect<never, E | IdempotencyKeyReused> =>
        Effect.fail(used.length > 0 ? new IdempotencyKeyReused() : error),
    )
  }

/** What one request has brought about; `"reused"` if its key or chosen account id was used for a different one. */
const selectPostedOf = Effect.fnUntraced(function* (request: Request) {
  const { intent } = request
  const key = idemKeyOf(request)
  const byKey = key === null ? [] : yield* read((sql) => BalanceChangeTable.selectByIdemKey(sql, key))
  const isById = byKey.length === 0 && intent._tag === "OpenAccount" && intent.acctIdIsChosen
  const [found] = isById ? yield* read((sql) => BalanceChangeTable.selectInitial(sql, intent.acctId)) : byKey
  if (found === undefined) return undefined
  if (found.request_hash === null || !isEqual(found.request_hash, requestHash(intent))) return "reused"
  return postedOfRows(
    yield* read((sql) => BalanceChangeTable.selectTransaction(sql, found.xact_id as Posted["transactionId"])),
  )
})

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

/**
 * Appends the rows of decisions by one statement: `true` when they are stored, `false` when another row took the place of
 * one and they can never be.
 *
 * What the database undid is sent again as it is. When the connection is lost while the statement is under way, the
 * database is first asked for one of the rows, since all of them are there or none. Their ids were chosen before, so the
 * first statement, should it still be running somewhere, and the second exclude each other.
 */
export const append = Effect.fnUntraced(function* (decisions: ReadonlyArray<Decision>) {
  const db = yield* DbConn
  const send = insertDecisions(db, decisions)
  if (yield* db.isInTransaction) return yield* appendToTransaction(send)
  const isStored = read((sql) => BalanceChangeTable.exists(sql, firstOf(decisions).bchgId))

  let isDoubtful = false
  /** A conflict of a statement that was sent before may be with itself: early CockroachDB calls some commits undone. */
  let isResent = false
  const once: Effect.Effect<boolean, Undone | DatabaseUnavailable, DbConn> = Effect.gen(function* () {
    if (isDoubtful && (yield* isStored)) return true
    const wasSent = isResent
    isResent = true
    return yield* within(send).pipe(
      Effect.as(true),
      Effect.catch((error): Effect.Effect<boolean, Undone | DatabaseUnavailable, DbConn> => {
        const fault = faultOf(error)
        if (fault === "conflict") return wasSent ? isStored : Effect.succeed(false)
        if (fault === "defect") return Effect.die(defectOf(error))
        if (fault === "unknown") isDoubtful = true
        return Effect.fail(fault === "retry" ? new Undone() : new DatabaseUnavailable())
      }),
    )
  })
  return yield* once.pipe(
    Effect.retry({ while: (error) => isDoubtful || error._tag === "Undone", schedule: contentionBackoff }),
    Effect.catch((error): Effect.Effect<never, WriteError> => {
      if (isDoubtful) return Effect.fail(new OutcomeUnknown())
      return Effect.fail(error._tag === "Undone" ? new Contention() : error)
    }),
  )
})

/** The database undid the statement in favour of another. */
class Undone extends Data.TaggedError("Undone") {}

/** Inside a transaction of the caller's, a conflict must not spoil what the caller did before: a savepoint keeps it. */
const appendToTransaction = (
  send: Effect.Effect<unknown, SqlError.SqlError>,
): Effect.Effect<boolean, Contention | DatabaseUnavailable, DbConn> =>
  Effect.flatMap(DbConn, ({ sql }) =>
    atomically(sql, send).pipe(
      Effect.as(true),
      Effect.catch((error): Effect.Effect<boolean, Contention | DatabaseUnavailable> => {
        const fault = faultOf(error)
        if (fault === "conflict") return Effect.succeed(false)
        if (fault === "defect") return Effect.die(defectOf(error))
        return Effect.fail(fault === "retry" ? new Contention() : new DatabaseUnavailable())
      }),
    ),
  )

/** One statement; with new accounts or corrections, several in one transaction. */
const insertDecisions = (
  { sql }: DbConn["Service"],
  decisions: ReadonlyArray<Decision>,
): Effect.Effect<unknown, SqlError.SqlError> => {
  const accounts = decisions.flatMap(({ account }) => account ?? [])
  const corrections = decisions.flatMap(({ correction }) => correction ?? [])
  const insertChanges = BalanceChangeTable.insert(
    sql,
    decisions.flatMap(({ asides, changes }) => (asides.length === 0 ? changes : [...asides, ...changes])),
  )
  if (accounts.length === 0 && corrections.length === 0) return insertChanges
  return atomically(
    sql,
    Effect.gen(function* () {
      if (accounts.length > 0) yield* AccountTable.insert(sql, accounts)
      if (corrections.length > 0) yield* AccountTable.insertCorrections(sql, corrections)
      yield* insertChanges
    }),
  )
}

const firstOf = (decisions: ReadonlyArray<Decision>): BalanceChange => {
  const first = decisions[0]?.changes[0]
  if (first === undefined) throw new RangeError("no rows to append")
  return first
}
