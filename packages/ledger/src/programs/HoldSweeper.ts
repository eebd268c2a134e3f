/**
 * Tidies up: writes the RELEASE rows of holds that have expired. Nothing waits for it, because expired holds hold nothing
 * back; it keeps what is stored as held near to what is held.
 *
 * Any number of instances may sweep at once: what one has released, the chain of the account shows to the others.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import { Actor } from "@banquo/domain/Actor"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Clock, Duration, Effect, Layer, Random } from "effect"
import type { SqlClient } from "effect/sql"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { limitTo } from "../tables/RowLimit.ts"
import { write } from "../write/WritePath.ts"

/** Time between two sweeps of one instance, on average. */
export const sweepInterval = Duration.seconds(10)

/**
 * How far back the first sweep of a process looks. What expired before and was not tidied up then is released when its
 * account next needs the money.
 */
export const sweepLookback = Duration.days(35)

/** How much of the time before it a sweep looks at again: the clocks of instances differ. */
export const sweepOverlap = Duration.minutes(1)

/** Most holds that one statement looks at. */
export const sweepPageMax = 500

/** Who releases what nobody asked to be released. */
export const sweeper = Actor.make("banquo:sweeper")

export interface Swept {
  /** Accounts that had expired holds released. */
  readonly accounts: number
  /** What the next sweep looks from: all that expired before has been seen to. */
  readonly until: Timestamp.Timestamp
}

/** Releases what expired from `since` until now. Fails with what keeps it from the database; a later sweep goes on from there. */
export const sweep = (since: Timestamp.Timestamp): Effect.Effect<Swept, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const now = Timestamp.fromMillis(yield* Clock.currentTimeMillis)
    const accounts = new Set<AccountId>()
    let from = { time: since, id: 0n }
    for (;;) {
      const page = yield* read((sql) => selectExpired(sql, from, now))
      for (const { acct_id, is_open } of page) if (is_open) accounts.add(acct_id)
      const last = page.at(-1)
      if (last === undefined || page.length < sweepPageMax) break
      from = { time: Timestamp.fromDatabase(last.hold_expires_at), id: last.bchg_id }
    }
    let released = 0
    let isComplete = true
    for (const acctId of accounts) {
      yield* write({ intent: { _tag: "ExpireHolds", acctId }, actor: sweeper, idempotencyKey: null }).pipe(
        Effect.map(() => (released += 1)),
        // Another has released them, or the account is busy: then the next sweep comes back to it.
        Effect.catch((error) =>
          Effect.sync(() => {
            if (error._tag !== "NothingExpired") isComplete = false
          }),
        ),
      )
    }
    const until = Timestamp.make(now - BigInt(Duration.toMillis(sweepOverlap)) * 1000n)
    return { accounts: released, until: isComplete && until > since ? until : since }
  })

/**
 * Holds by expiry, from a place on, and whether anything is left of them. The page is cut before the sums: CockroachDB makes a
 * join of them, which it would otherwise make for all that has ever expired.
 */
const selectExpired = (
  sql: SqlClient.SqlClient,
  from: { readonly time: Timestamp.Timestamp; readonly id: bigint },
  until: Timestamp.Timestamp,
) =>
  // Why: Tells whose holds to look at; what is released is decided by the chain of each account. Ids only tell rows
  // of one instant apart, in any order. The page is cut before the sums, of which CockroachDB makes a join.
  // Plan: The partial index on expiry in its order, whose condition is said, from a place on, as many rows as the
  // limit; for each the partial index on hold_id, whose condition is said.
  sql<{
    readonly acct_id: AccountId
    readonly bchg_id: bigint
    readonly hold_expires_at: string
    readonly is_open: boolean
  }>`
    SELECT h.acct_id, h.bchg_id, (h.hold_expires_at AT TIME ZONE 'UTC')::TEXT AS hold_expires_at,
      (SELECT sum(b.held_amt) FROM balance_change b WHERE b.hold_id = h.hold_id AND b.hold_id IS NOT NULL) > 0 AS is_open
    FROM (
      SELECT acct_id, bchg_id, hold_id, hold_expires_at FROM balance_change
      WHERE hold_expires_at IS NOT NULL AND hold_expires_at <= ${Timestamp.format(until)}::TIMESTAMPTZ
        AND (hold_expires_at, bchg_id) > (${Timestamp.format(from.time)}::TIMESTAMPTZ, ${from.id})
      ORDER BY hold_expires_at, bchg_id LIMIT ${limitTo(sql, sweepPageMax)}
    ) h
    ORDER BY h.hold_expires_at, h.bchg_id`

/** Sweeps from time to time as long as the layer lives. */
export const layer: Layer.Layer<never, never, DbConn> = Layer.effectDiscard(
  Effect.gen(function* () {
    let since = Timestamp.fromMillis((yield* Clock.currentTimeMillis) - Duration.toMillis(sweepLookback))
    const once = Effect.suspend(() => sweep(since)).pipe(
      Effect.map(({ until }) => {
        since = until
      }),
      // The database is away, or not migrated yet: the next sweep goes on from there.
      Effect.catch(() => Effect.void),
      Effect.catchDefect((defect) =>
        Effect.logError("a sweep of expired holds failed", {
          error: defect instanceof Error ? `${defect.name}: ${defect.message}` : "not an error",
        }),
      ),
    )
    // Instances that were started together do not sweep together.
    const pause = Effect.flatMap(Random.next, (random) => Effect.sleep(Duration.times(sweepInterval, 0.5 + random)))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(pause, once)))
  }),
)
