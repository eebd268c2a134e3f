/**
 * How a request becomes rows. It neither locks nor holds a connection between statements: the guard of the append and the
 * unique constraints tell it when another was first, and then it decides again on the new heads.
 */
import type { RefusalOf } from "@banquo/domain/Decide"
import type { Intent, Request } from "@banquo/domain/Intent"
import type { IdempotencyKeyReused } from "@banquo/domain/Refusal"
import { assertWellFormed } from "@banquo/domain/WellFormed"
import { Clock, Data, Effect, Result } from "effect"
import { Contention, type DatabaseUnavailable } from "../database/DatabaseError.ts"
import { contentionBackoff, DbConn, read } from "../database/DbConn.ts"
import { IsDryRun } from "./DryRun.ts"
import { type Posted, postedOfDecision } from "./Posted.ts"
import { selectPosted } from "./Replay.ts"
import { readSource, round } from "./Round.ts"
import { type Group, RequestRefused, type Verdict, type WriteError } from "./Writer.ts"

/**
 * Carries out a request, once: a request whose key, or chosen account id, was used for the same before is answered with
 * what was written then. In a transaction of the caller's it becomes part of it; else it is one of its own, by the writer of
 * the `DbConn` if it has one.
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
  requests: Group<I>,
): Effect.Effect<ReadonlyArray<Posted>, RequestRefused<I> | WriteError, DbConn> =>
  Effect.flatMap(writeGroups([requests]), ([verdict]) => verdict!)

/** As {@link write}, several requests, each by itself: a refusal of one says nothing about the others. */
export const writeEach = <I extends Intent>(
  requests: Group<I>,
): Effect.Effect<ReadonlyArray<Verdict<I>>, never, DbConn> => writeGroups(requests.map((request) => [request]))

/** Every request comes this way: plain combinators cost half of what a generator does. */
const writeGroups = <I extends Intent>(
  groups: ReadonlyArray<Group<I>>,
): Effect.Effect<ReadonlyArray<Verdict<I>>, never, DbConn> =>
  Effect.flatMap(DbConn, (db) => {
    for (const requests of groups) for (const { intent } of requests) assertWellFormed(intent)
    return Effect.flatMap(Effect.zip(db.isInTransaction, IsDryRun), ([isInside, isDryRun]) => {
      if (isDryRun) return writeEachGroup(groups, writeAlone)
      if (isInside) return writeEachGroup(groups, (requests) => db.transaction(writeAlone(requests)))
      return db.writer === undefined ? writeEachGroup(groups, writeAlone) : db.writer(groups)
    })
  }) as Effect.Effect<ReadonlyArray<Verdict<I>>, never, DbConn>

const writeEachGroup = (
  groups: ReadonlyArray<Group>,
  write: (requests: Group) => Effect.Effect<ReadonlyArray<Posted>, RequestRefused | WriteError, DbConn>,
) => Effect.forEach(groups, (requests) => Effect.exit(write(requests)), { concurrency: "unbounded" })

/** By themselves: a read and an INSERT. (In a transaction, a savepoint keeps writes that the caller forks apart.) */
const writeAlone = (requests: Group) =>
  attempt(requests).pipe(
    Effect.retry({ while: isHeadMoved, schedule: contentionBackoff }),
    Effect.catchIf(isHeadMoved, () => Effect.fail(new Contention())),
  )

/** Another appended to one of the accounts since its head was read. Nothing was written. */
class HeadMoved extends Data.TaggedError("HeadMoved") {}

const isHeadMoved = (error: unknown): error is HeadMoved => error instanceof HeadMoved

const attempt = Effect.fnUntraced(function* (requests: Group) {
  if (yield* IsDryRun) {
    const posted = yield* selectPosted(requests)
    if (posted !== undefined) return posted
  }
  const { isStored, rulings } = yield* round([requests], readSource, yield* Clock.currentTimeMillis)
  const [ruling] = rulings
  // They may have been carried out before: that comes before any refusal.
  if (Result.isFailure(ruling!)) return (yield* selectPosted(requests)) ?? (yield* new RequestRefused(ruling.failure))
  if (isStored) return ruling!.success.map(postedOfDecision)
  const posted = yield* selectPosted(requests)
  if (posted !== undefined) return posted
  return yield* (yield* seesNewRows) ? new HeadMoved() : new Contention()
})

/**
 * Whether rows can be seen that others store from now on. A transaction of the caller's at REPEATABLE READ or SERIALIZABLE
 * sees one state for good: what it read is as new as it gets there, so only the whole transaction can be run again.
 */
const seesNewRows: Effect.Effect<boolean, DatabaseUnavailable, DbConn> = Effect.flatMap(DbConn, ({ isInTransaction }) =>
  Effect.flatMap(isInTransaction, (isInside) => (isInside ? isReadCommitted : Effect.succeed(true))),
)

const isReadCommitted = Effect.map(
  // Why: Whether a caller's transaction can see what others have written since it began.
  // Plan: No data. Only after a conflict inside a caller's transaction.
  read((sql) => sql<{ isolation: string }>`SELECT current_setting('transaction_isolation') AS isolation`),
  ([row]) => row?.isolation === "read committed",
)
