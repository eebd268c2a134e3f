/** Programs that tell what an account had: at an instant, on either axis, or at a sequence. */
import type { AccountId } from "@banquo/domain/AccountId"
import { type AccountState, stateAt } from "@banquo/domain/AccountState"
import type { Axis } from "@banquo/domain/Axis"
import type { Asset } from "@banquo/domain/Currency"
import * as Money from "@banquo/domain/Money"
import { AccountNotFound, ChangeNotFound } from "@banquo/domain/Refusal"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Clock, Effect } from "effect"
import { selectHeads, selectStates } from "../tables/BalanceChangeTable.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { correctionAt } from "./Movements.ts"
import { sequenceAt } from "./SequenceAt.ts"

/** Which balance: after the change of a sequence, or at an instant, that instant included; without one, now. */
export type BalanceQuery =
  | { readonly seq: number }
  | { readonly axis: Axis; readonly at?: Timestamp.Timestamp | undefined }

export interface BalanceAt extends Asset {
  readonly acctId: AccountId
  readonly axis: Axis
  readonly at: Timestamp.Timestamp
  readonly posted: Money.Money
  /**
   * On the axis `created`, the account as it was, without holds that had expired; `null`: it was not open yet. On the axis `effective`, the account at its
   * newest row: the answer is what is known by then, and a later row may be dated before `at`.
   */
  readonly state: AccountState | null
}

/** The newest state of an account. One statement. */
export const fetchHead = (
  acctId: AccountId,
): Effect.Effect<AccountState, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const head = (yield* read((sql, database) => selectHeads(sql, [acctId], database))).get(acctId)
    return head ?? (yield* new AccountNotFound({ accountId: acctId }))
  })

/** The account as the row of a sequence left it, which must not be above that of `head`. One statement at most. */
export const fetchStateAt = (
  head: AccountState,
  seq: number,
): Effect.Effect<AccountState, ChangeNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const { acctId: accountId, acctSeq: currentSeq } = head
    if (seq === currentSeq) return head
    if (seq > currentSeq) return yield* new ChangeNotFound({ accountId, seq, currentSeq })
    const states = yield* read((sql) => selectStates(sql, accountId, [seq]))
    return states.get(seq) ?? (yield* Effect.die(new Error(`account ${accountId} has a gap at ${seq}`)))
  })

/**
 * A balance of the past, or of now. Milliseconds, however long the chain: a handful of statements that each look at a few
 * rows, and on the axis `effective` one more over the rows that are dated otherwise than they were made.
 */
export const fetchBalanceAt = (
  acctId: AccountId,
  query: BalanceQuery,
): Effect.Effect<BalanceAt, AccountNotFound | ChangeNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const head = yield* fetchHead(acctId)
    const { currency, scale } = head
    if ("seq" in query) {
      const state = yield* fetchStateAt(head, query.seq)
      const at = state.chgCreateTime
      return { acctId, currency, scale, axis: "created", at, posted: state.balance, state: stateAt(state, at) }
    }
    const { axis } = query
    const now = Timestamp.fromMillis(yield* Clock.currentTimeMillis)
    // Whatever the clock says, now is not before the newest row, and no row is effective later than it was made.
    const at = query.at ?? (now < head.chgCreateTime ? head.chgCreateTime : now)
    const seq = yield* sequenceAt(acctId, at, head)
    const state = seq < 0 ? null : yield* fetchStateAt(head, seq).pipe(Effect.catchTag("ChangeNotFound", Effect.die))
    const booked = state === null ? Money.zero : state.balance
    if (axis === "created") {
      return { acctId, currency, scale, axis, at, posted: booked, state: state === null ? null : stateAt(state, at) }
    }
    const correction = yield* correctionAt(acctId, { at, seq, end: head.acctSeq })
    return { acctId, currency, scale, axis, at, posted: Money.sum(booked, correction), state: head }
  })
