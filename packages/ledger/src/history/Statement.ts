/** The program that makes a statement of account. */
import type { Account } from "@banquo/domain/Account"
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import type { Axis } from "@banquo/domain/Axis"
import * as Money from "@banquo/domain/Money"
import { type AccountNotFound, ChangeNotFound } from "@banquo/domain/Refusal"
import { type Line, linesFrom, type Summary, summaryOf } from "@banquo/domain/Statement"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Effect, Stream } from "effect"
import { type AccountInfo, fetchAccountInfo, fetchAccountInfoAt } from "../programs/Accounts.ts"
import { fetchStateAt } from "./BalanceAt.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import type { DbConn } from "../database/DbConn.ts"
import { correctionAt, movements, type Scope, turnovers } from "./Movements.ts"
import { sequenceAt } from "./SequenceAt.ts"

export interface StatementQuery {
  readonly axis: Axis
  readonly from: Timestamp.Timestamp
  /** Not part of the period; later than `from`. */
  readonly to: Timestamp.Timestamp
  /** The last change that the statement knows of; without it, the newest. */
  readonly seq?: number | undefined
}

export interface Statement extends Required<Omit<StatementQuery, "seq">> {
  readonly account: Account
  /** The account at the last change that the statement knows of: all of the statement follows from it and the query. */
  readonly end: AccountState
  readonly summary: Summary
  /** Read as they are taken. Dies at the end if they do not lead to the closing balance. */
  readonly lines: Stream.Stream<Line, DatabaseUnavailable, DbConn>
}

/**
 * A statement of a period. With the sequence of its end given, it is the same at any time: rows are immutable, and all of
 * it is read from those up to that sequence. Costs a handful of statements and one pass over the period for the sums;
 * the lines are another pass, in bounded memory.
 */
export const fetchStatement = (
  acctId: AccountId,
  { axis, from, seq, to }: StatementQuery,
): Effect.Effect<Statement, AccountNotFound | ChangeNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    if (from >= to) throw new RangeError("the period of a statement ends after it begins")
    const { account, state: end } = yield* fetchEnd(acctId, seq)
    const [opening, closing] = yield* Effect.all(
      [balanceBefore(from, { axis, end }), balanceBefore(to, { axis, end })],
      { concurrency: "unbounded" },
    )
    const scope: Scope = { acctId, axis, from, to, after: opening.seq, upTo: closing.seq, end: end.acctSeq }
    const summary = summaryOf(opening.balance, closing.balance, yield* turnovers(scope))
    return { account, axis, from, to, end, summary, lines: linesOf(scope, summary) }
  })

/** The account as a change left it, or the newest; with the customer as said by then. */
const fetchEnd = (
  acctId: AccountId,
  seq: number | undefined,
): Effect.Effect<AccountInfo, AccountNotFound | ChangeNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const newest = yield* fetchAccountInfo(acctId)
    const currentSeq = newest.state.acctSeq
    if (seq === undefined || seq === currentSeq) return newest
    if (seq > currentSeq) return yield* new ChangeNotFound({ accountId: acctId, seq, currentSeq })
    return yield* fetchAccountInfoAt(acctId, seq)
  })

/** The balance right before an instant, and the sequence of the last row that was made before it. */
const balanceBefore = (instant: Timestamp.Timestamp, { axis, end }: Pick<Statement, "axis" | "end">) =>
  Effect.gen(function* () {
    const at = Timestamp.make(instant - 1n)
    const seq = yield* sequenceAt(end.acctId, at, end)
    const booked =
      seq < 0 ? Money.zero : (yield* fetchStateAt(end, seq).pipe(Effect.catchTag("ChangeNotFound", Effect.die))).balance
    const correction = axis === "created" ? Money.zero : yield* correctionAt(end.acctId, { at, seq, end: end.acctSeq })
    return { seq, balance: Money.sum(booked, correction) }
  })

const linesOf = (scope: Scope, { closing, opening }: Summary): Statement["lines"] =>
  Stream.suspend(() => {
    let balance = opening
    return movements(scope).pipe(
      Stream.mapArray((page) => {
        const lines = linesFrom(balance, page)
        balance = lines.at(-1)!.balance
        return lines as typeof lines & readonly [Line, ...Array<Line>]
      }),
      Stream.concat(
        Stream.suspend(() =>
          balance === closing ? Stream.empty : Stream.die(new Error("the lines do not add up to the closing balance")),
        ),
      ),
    )
  })
