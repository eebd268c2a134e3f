/** Programs that move money, and read the transactions that did. */
import type { Actor } from "@banquo/domain/Actor"
import type { AccountId } from "@banquo/domain/AccountId"
import type { TransactionId } from "@banquo/domain/BalanceChangeId"
import type { PostTransactionRefusal } from "@banquo/domain/PostTransaction"
import type { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import { type Change, changesMax, type PostTransaction, type Request } from "@banquo/domain/Intent"
import type { Metadata } from "@banquo/domain/Metadata"
import type { NonZeroAmount } from "@banquo/domain/Money"
import { type IdempotencyKeyReused, TransactionNotFound } from "@banquo/domain/Refusal"
import type { Timestamp } from "@banquo/domain/Timestamp"
import { Effect } from "effect"
import { selectTransaction } from "../tables/BalanceChangeTable.ts"
import { CurrentActor } from "../write/CurrentActor.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { type Posted, type PostedChange, postedOfRows } from "../write/Posted.ts"
import { write, writeEach, writeTogether } from "../write/WritePath.ts"
import type { RequestRefused, Verdict, WriteError } from "../write/Writer.ts"

export interface PostTransactionOptions {
  /** 1 to {@link changesMax}; two or more must sum to zero in each currency. */
  readonly changes: ReadonlyArray<Change>
  /** The caller's own name of the transaction; not unique. */
  readonly reference?: string | undefined
  readonly description?: string | undefined
  readonly metadata?: Metadata | undefined
  /** When it happened in the world, not later than now; default: when the ledger takes it. */
  readonly effectiveTime?: Timestamp | undefined
  /** The bank's value date, like `2026-11-23`; changes nothing that can be spent. */
  readonly valueDate?: string | undefined
  readonly idempotencyKey?: IdempotencyKey | undefined
}

/** Makes all changes or none. Costs one read and one INSERT, whatever their number. */
export const postTransaction = (
  options: PostTransactionOptions,
): Effect.Effect<Posted, PostTransactionRefusal | IdempotencyKeyReused | WriteError, DbConn> =>
  Effect.flatMap(CurrentActor, (actor) => write(requestOf(options, actor)))

const requestOf = (options: PostTransactionOptions, actor: Actor): Request<PostTransaction> => {
  const { changes } = options
  if (changes.length < 1 || changes.length > changesMax) {
    throw new RangeError(`a transaction has 1 to ${changesMax} changes`)
  }
  return {
    intent: {
      _tag: "PostTransaction",
      changes,
      reference: options.reference ?? null,
      description: options.description ?? null,
      metadata: options.metadata ?? null,
      effectiveTime: options.effectiveTime,
      valueDate: options.valueDate,
    },
    actor,
    idempotencyKey: options.idempotencyKey ?? null,
  }
}

/** Makes several transactions in order, all of them or none. The {@link RequestRefused} names the first that is refused. */
export const postTransactionsTogether = (
  transactions: ReadonlyArray<PostTransactionOptions>,
): Effect.Effect<ReadonlyArray<Posted>, RequestRefused<PostTransaction> | WriteError, DbConn> =>
  Effect.flatMap(CurrentActor, (actor) => writeTogether(transactions.map((options) => requestOf(options, actor))))

/** Makes several transactions, each by itself, in order where they touch the same accounts. A verdict for each, in order. */
export const postTransactionsEach = (
  transactions: ReadonlyArray<PostTransactionOptions>,
): Effect.Effect<ReadonlyArray<Verdict<PostTransaction>>, never, DbConn> =>
  Effect.flatMap(CurrentActor, (actor) => writeEach(transactions.map((options) => requestOf(options, actor))))

/** One change of one account: money in (`"12.50"`) or out (`"-12.50"`). */
export const storeBalanceChange = (
  acctId: AccountId,
  amount: NonZeroAmount,
  description?: string,
): Effect.Effect<PostedChange, PostTransactionRefusal | IdempotencyKeyReused | WriteError, DbConn> =>
  Effect.map(postTransaction({ changes: [{ acctId, amount }], description }), ({ changes }) => changes[0]!)

/** The changes of a transaction, in the order of its request. One statement. */
export const fetchTransaction = (
  transactionId: TransactionId,
): Effect.Effect<Posted, TransactionNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const rows = yield* read((sql) => selectTransaction(sql, transactionId))
    return rows.length === 0 ? yield* new TransactionNotFound({ transactionId }) : postedOfRows(rows)
  })
