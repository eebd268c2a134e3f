/** Programs that set money of an account aside, take it or give it back, and read what became of it. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { Actor } from "@banquo/domain/Actor"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import type { Asset } from "@banquo/domain/Currency"
import type { RefusalOf } from "@banquo/domain/Decide"
import { type Hold, holdOf, type HoldState, ttlDefault } from "@banquo/domain/Hold"
import type { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import type {
  CaptureHold,
  Expectation,
  Expiry,
  HoldIntent,
  IncreaseHold,
  PlaceHold,
  ReleaseHold,
} from "@banquo/domain/Intent"
import type { Metadata } from "@banquo/domain/Metadata"
import type { PositiveAmount } from "@banquo/domain/Money"
import { holdsPageMax } from "@banquo/domain/Page"
import {
  AccountNotFound,
  HoldAlreadyCaptured,
  HoldAlreadyReleased,
  HoldEnded,
  HoldExpired,
  HoldNotFound,
  type IdempotencyKeyReused,
} from "@banquo/domain/Refusal"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Clock, Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { type BalanceChangeRow, changeColumns, changeOfRow, selectHold } from "../tables/BalanceChangeTable.ts"
import { CurrentActor } from "../write/CurrentActor.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { limitTo } from "../tables/RowLimit.ts"
import type { Posted } from "../write/Posted.ts"
import { failUnlessUsed } from "../write/Replay.ts"
import { write } from "../write/WritePath.ts"
import type { WriteError } from "../write/Writer.ts"

/** A hold and what its account is in. */
export interface HoldInfo extends Hold, Asset {}

/** What a write has done to a hold: the hold as the write left it, and its rows. */
export interface PostedHold {
  readonly hold: HoldInfo
  readonly posted: Posted
}

interface HoldRemarks {
  /** The caller's own name of it. */
  readonly reference?: string | undefined
  readonly description?: string | undefined
  readonly metadata?: Metadata | undefined
  readonly idempotencyKey?: IdempotencyKey | undefined
}

export interface PlaceHoldOptions extends HoldRemarks, Expectation {
  readonly acctId: AccountId
  /** A decimal string, more than zero. */
  readonly amount: PositiveAmount
  /** Default: {@link ttlDefault} seconds from now. */
  readonly expiry?: Expiry | undefined
}

/** Sets money aside: it stays on the account and cannot be spent. Costs one read and one INSERT. */
export const placeHold = (
  options: PlaceHoldOptions,
): Effect.Effect<PostedHold, RefusalOf<PlaceHold> | IdempotencyKeyReused | WriteError, DbConn> =>
  Effect.gen(function* () {
    const actor = yield* CurrentActor
    const { acctId, amount, currency, expectedSeq, expiry, require } = options
    const intent: PlaceHold = {
      _tag: "PlaceHold",
      acctId,
      amount,
      currency,
      expectedSeq,
      require,
      expiry: expiry ?? { ttl: ttlDefault },
      ...remarksOf(options),
    }
    const posted = yield* write({ intent, ...askedBy(actor, options) })
    return { hold: infoAfter([], posted), posted }
  })

const remarksOf = ({ description, metadata, reference }: HoldRemarks) => ({
  reference: reference ?? null,
  description: description ?? null,
  metadata: metadata ?? null,
})

const askedBy = (actor: Actor, { idempotencyKey }: HoldRemarks) => ({ actor, idempotencyKey: idempotencyKey ?? null })

/** Why a hold cannot be changed any more; each says how it ended. */
export type HoldGone = HoldNotFound | HoldAlreadyCaptured | HoldAlreadyReleased | HoldExpired

type HoldChangeError<I extends HoldIntent> =
  | Exclude<RefusalOf<I>, HoldEnded>
  | HoldGone
  | IdempotencyKeyReused
  | WriteError

export interface IncreaseHoldOptions extends HoldRemarks, Expectation {
  /** How much more; a decimal string, more than zero. */
  readonly amount: PositiveAmount
  /** Default: as before. */
  readonly expiry?: Expiry | undefined
}

/** Sets more money aside for an open hold. Costs two or three reads and one INSERT. */
export const increaseHold = (
  holdId: BalanceChangeId,
  options: IncreaseHoldOptions,
): Effect.Effect<PostedHold, HoldChangeError<IncreaseHold>, DbConn> =>
  change(holdId, options, (acctId): IncreaseHold => {
    const { amount, currency, expectedSeq, expiry, require } = options
    return {
      _tag: "IncreaseHold",
      acctId,
      holdId,
      amount,
      currency,
      expectedSeq,
      require,
      expiry: expiry ?? null,
      ...remarksOf(options),
    }
  })

export interface CaptureHoldOptions extends HoldRemarks, Expectation {
  /** A decimal string, more than zero. Default: all that is left. */
  readonly amount?: PositiveAmount | undefined
  /** Whether what is left is released. Default: true. */
  readonly isFinal?: boolean | undefined
  /** The account that the money goes to. Default: it leaves the ledger. */
  readonly to?: AccountId | undefined
  readonly effectiveTime?: Timestamp.Timestamp | undefined
}

/** Takes held money, all of it or a part; out of the ledger or to another account. Costs two or three reads and one INSERT. */
export const captureHold = (
  holdId: BalanceChangeId,
  options: CaptureHoldOptions = {},
): Effect.Effect<PostedHold, HoldChangeError<CaptureHold>, DbConn> =>
  change(holdId, options, (acctId): CaptureHold => {
    const { amount, currency, effectiveTime, expectedSeq, isFinal, require, to } = options
    return {
      _tag: "CaptureHold",
      acctId,
      holdId,
      amount: amount ?? null,
      isFinal: isFinal ?? true,
      to: to ?? null,
      currency,
      effectiveTime,
      expectedSeq,
      require,
      ...remarksOf(options),
    }
  })

/** Gives back all that is left of an open hold. Costs two or three reads and one INSERT. */
export const releaseHold = (
  holdId: BalanceChangeId,
  options: HoldRemarks & Expectation = {},
): Effect.Effect<PostedHold, HoldChangeError<ReleaseHold>, DbConn> =>
  change(holdId, options, (acctId): ReleaseHold => {
    const { currency, expectedSeq, require } = options
    return { _tag: "ReleaseHold", acctId, holdId, currency, expectedSeq, require, ...remarksOf(options) }
  })

/** Finds the account of a hold, writes, and says what became of the hold. */
const change = <I extends IncreaseHold | CaptureHold | ReleaseHold>(
  holdId: BalanceChangeId,
  options: HoldRemarks,
  intentOf: (acctId: AccountId) => I,
): Effect.Effect<PostedHold, HoldChangeError<I>, DbConn> =>
  Effect.gen(function* () {
    const asked = askedBy(yield* CurrentActor, options)
    const known = yield* readHold(holdId).pipe(Effect.catchTag("HoldNotFound", failUnlessUsed(asked)))
    const posted = yield* write({ intent: intentOf(known[0].acctId), ...asked })
    const rows = isUpTo(known, posted) ? known : yield* readHold(holdId)
    return { hold: infoAfter(rows, posted), posted }
  }).pipe(
    Effect.catchIf(
      (error): error is Extract<typeof error, HoldEnded> => error instanceof HoldEnded,
      () => Effect.flatMap(fetchHold(holdId), ({ state }) => Effect.fail(goneOf(holdId, state))),
    ),
  ) as Effect.Effect<PostedHold, HoldChangeError<I>, DbConn>

const goneOf = (holdId: BalanceChangeId, state: HoldState): HoldGone => {
  switch (state) {
    case "captured":
      return new HoldAlreadyCaptured({ holdId })
    case "released":
      return new HoldAlreadyReleased({ holdId })
    case "expired":
      return new HoldExpired({ holdId })
    case "open":
      throw new Error("a hold that is open has not ended")
  }
}

/** All rows of a hold so far. */
const readHold = (
  holdId: BalanceChangeId,
): Effect.Effect<readonly [BalanceChange, ...Array<BalanceChange>], HoldNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const rows = yield* read((sql) => selectHold(sql, holdId))
    const [first, ...others] = rows.map(changeOfRow)
    return first === undefined ? yield* new HoldNotFound({ holdId }) : [first, ...others]
  })

const infoOf = (rows: ReadonlyArray<BalanceChange>, at: Timestamp.Timestamp): HoldInfo => ({
  ...holdOf(rows, at),
  currency: rows[0]!.currency,
  scale: rows[0]!.scale,
})

/** As a write has left it, whatever came after: the same however often it is asked. `rows`: those that are stored by now. */
const infoAfter = (rows: ReadonlyArray<BalanceChange>, { changes }: Posted): HoldInfo => {
  const own = changes.filter(({ holdId }) => holdId !== null)
  const before = rows.filter(({ acctSeq }) => acctSeq < own[0]!.acctSeq)
  return infoOf([...before, ...own], own[0]!.chgCreateTime)
}

/** Whether no row of the hold can be missing before those of a write: they are among `rows`, or come next on the account. */
const isUpTo = (rows: ReadonlyArray<BalanceChange>, { changes }: Posted): boolean =>
  changes.find(({ holdId }) => holdId !== null)!.acctSeq <= rows.at(-1)!.acctSeq + 1

/** A hold as it is now. One statement. */
export const fetchHold = (
  holdId: BalanceChangeId,
): Effect.Effect<HoldInfo, HoldNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const rows = yield* readHold(holdId)
    return infoOf(rows, Timestamp.fromMillis(yield* Clock.currentTimeMillis))
  })

export interface HoldsQuery {
  readonly acctId: AccountId
  /** Only holds in this state now. */
  readonly state?: HoldState | undefined
  /** Only holds that were placed before this change of the account. */
  readonly before?: number | undefined
  /** At most {@link holdsPageMax}. */
  readonly limit: number
}

export interface HoldsPage {
  readonly holds: ReadonlyArray<HoldInfo>
  /** The sequence to go on before; `null`: there are no more. A page may hold fewer than its limit and still have a next. */
  readonly nextBefore: number | null
}

/** Holds of an account, the newest first. One statement, of which each page reads at most {@link holdsPageMax} holds. */
export const fetchHolds = (
  query: HoldsQuery,
): Effect.Effect<HoldsPage, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const limit = Math.min(query.limit, holdsPageMax)
    // With a filter, a page looks through as many as it may.
    const size = query.state === undefined ? limit : holdsPageMax
    const rows = yield* read((sql) => selectHolds(sql, query.acctId, query.before, size + 1))
    if (rows.length === 0) {
      const found = yield* read(
        // Why: A read of a row that is never gone.
        // Plan: By primary key.
        (sql) => sql`SELECT 1 AS one FROM account WHERE acct_id = ${query.acctId}::UUID AND acct_seq = 0`,
      )
      if (found.length === 0) return yield* new AccountNotFound({ accountId: query.acctId })
    }
    const now = Timestamp.fromMillis(yield* Clock.currentTimeMillis)
    const byHold = [...Map.groupBy(rows.map(changeOfRow), ({ holdId }) => holdId).values()]
    const seen = byHold.slice(0, size).map((ofHold) => ({ hold: infoOf(ofHold, now), seq: ofHold[0]!.acctSeq }))
    const wanted = seen.filter(({ hold }) => query.state === undefined || hold.state === query.state)
    const page = wanted.slice(0, limit)
    const isMore = wanted.length > limit || byHold.length > size
    const last = wanted.length > limit ? page.at(-1) : seen.at(-1)
    return { holds: page.map(({ hold }) => hold), nextBefore: isMore ? last!.seq : null }
  })

/**
 * Rows of the newest holds, hold by hold from the newest on, each hold's by ascending sequence. What is true of a join anyway
 * is said, so that CockroachDB finds the index that is for it.
 */
const selectHolds = (sql: SqlClient.SqlClient, acctId: AccountId, before: number | undefined, count: number) =>
  // Why: A read of rows that never change. A hold is its first row, and a page is cut by those before it is joined.
  // Plan: A reverse scan of the partial index on holds of an account until so many have begun, each row looked at;
  // for each hold the partial index on hold_id, whose condition is said, because the join alone might not imply it to
  // CockroachDB.
  sql<BalanceChangeRow>`
    SELECT ${sql.literal(changeColumns)}
    FROM (
      SELECT bchg_id, acct_seq FROM balance_change
      WHERE acct_id = ${acctId}::UUID AND hold_id IS NOT NULL AND hold_id = bchg_id
        AND acct_seq < ${BigInt(before ?? Number.MAX_SAFE_INTEGER)}
      ORDER BY acct_seq DESC LIMIT ${limitTo(sql, holdsPageMax + 1, count)}
    ) h
    JOIN balance_change b ON b.hold_id = h.bchg_id AND b.hold_id IS NOT NULL
    ORDER BY h.acct_seq DESC, b.acct_seq`
