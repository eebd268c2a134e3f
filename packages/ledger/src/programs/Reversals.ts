/** The program that takes a transaction back. */
import type { TransactionId } from "@banquo/domain/BalanceChangeId"
import type { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import type { Change } from "@banquo/domain/Intent"
import type { Metadata } from "@banquo/domain/Metadata"
import { type IdempotencyKeyReused, NotReversible, type TransactionNotFound } from "@banquo/domain/Refusal"
import type { ReverseTransactionRefusal } from "@banquo/domain/ReverseTransaction"
import type { Timestamp } from "@banquo/domain/Timestamp"
import { Effect } from "effect"
import { CurrentActor } from "../write/CurrentActor.ts"
import type { DbConn } from "../database/DbConn.ts"
import type { Posted, PostedChange } from "../write/Posted.ts"
import { fetchTransaction } from "./Transactions.ts"
import { failUnlessUsed } from "../write/Replay.ts"
import { write } from "../write/WritePath.ts"
import type { WriteError } from "../write/Writer.ts"

export interface ReverseTransactionOptions {
  /** Of the opposite sign to the transaction's, on accounts of it; default: all that was not taken back before. */
  readonly changes?: ReadonlyArray<Change> | undefined
  /**
   * Whether the overdraft limit of an account is raised as far as the reversal needs, by a TERMS row in the same statement.
   * It stays raised until it is lowered again.
   */
  readonly isForced?: boolean | undefined
  /** The caller's own name of it. */
  readonly reference?: string | undefined
  readonly description?: string | undefined
  readonly metadata?: Metadata | undefined
  readonly effectiveTime?: Timestamp | undefined
  readonly idempotencyKey?: IdempotencyKey | undefined
}

/**
 * Takes a transaction back, or a part of it: never more of it than there was, however many ask at once. The transaction
 * itself stays as it is. What moved no money, what opened an account and a reversal cannot be reversed. Costs three reads
 * and one INSERT.
 */
export const reverseTransaction = (
  transactionId: TransactionId,
  options: ReverseTransactionOptions = {},
): Effect.Effect<
  Posted,
  TransactionNotFound | NotReversible | ReverseTransactionRefusal | IdempotencyKeyReused | WriteError,
  DbConn
> =>
  Effect.gen(function* () {
    const asked = { actor: yield* CurrentActor, idempotencyKey: options.idempotencyKey ?? null }
    const original = yield* reversibleOf(transactionId).pipe(
      Effect.catchTag(["TransactionNotFound", "NotReversible"], failUnlessUsed(asked)),
    )
    return yield* write({
      intent: {
        _tag: "ReverseTransaction",
        xactId: transactionId,
        original,
        changes: options.changes ?? null,
        isForced: options.isForced ?? false,
        reference: options.reference ?? null,
        description: options.description ?? null,
        metadata: options.metadata ?? null,
        effectiveTime: options.effectiveTime,
      },
      ...asked,
    })
  })

const reversibleOf = Effect.fnUntraced(function* (transactionId: TransactionId) {
  const { changes } = yield* fetchTransaction(transactionId)
  const original = changes.filter(isReversible)
  return original.length === 0 ? yield* new NotReversible({ transactionId }) : original
})

const isReversible = ({ chgAmt, chgFlavor, reversesXactId }: PostedChange): boolean =>
  chgAmt !== 0n && chgFlavor !== "INITIAL" && reversesXactId === null
