import { Api } from "@banquo/api/Api"
import { NewBatchItem, type Verdict } from "@banquo/api/Batch"
import * as Problem from "@banquo/api/Problem"
import { type NewTransaction, transactionOf } from "@banquo/api/Transaction"
import type { IdempotencyKey } from "@banquo/domain/Idempotency"
import type { DbConn } from "@banquo/ledger/DbConn"
import type { Posted } from "@banquo/ledger/Posted"
import {
  fetchTransaction,
  postTransaction,
  type PostTransactionOptions,
  postTransactionsTogether,
} from "@banquo/ledger/Transactions"
import { Effect, Result, Schema, Stream } from "effect"
import { HttpApiBuilder, type HttpApiError } from "effect/http-api"
import { ledgerContext } from "./LedgerContext.ts"
import { orProblem } from "./Problems.ts"
import { replayed } from "./Replayed.ts"
import { RequestId } from "./RequestId.ts"
import { invalidRequest } from "./RequestSchema.ts"

/** Most lines of a stream that are under way at a time; reading stops until one of them is answered. */
export const streamItemsMax = 256

type Item = typeof NewBatchItem.Type

const optionsOf = (
  { changes, description, metadata }: typeof NewTransaction.Type,
  idempotencyKey: IdempotencyKey | undefined,
): PostTransactionOptions => ({
  changes: changes.map(({ account_id, amount, currency, expected_seq }) => ({
    acctId: account_id,
    amount,
    currency,
    expectedSeq: expected_seq,
  })),
  description,
  metadata,
  idempotencyKey,
})

const optionsOfItem = (item: Item) => optionsOf(item, item.idempotency_key)

const made = (posted: Posted): typeof Verdict.Type => ({
  status: 201,
  replayed: posted.isReplayed,
  transaction: transactionOf(posted.changes),
})

type NotMade = Extract<typeof Verdict.Type, { readonly problem: unknown }>["problem"]

/** What keeps a whole batch from being judged. */
type Unavailable = Problem.Contention | Problem.DatabaseUnavailable | Problem.Overloaded

const notMade = (problem: NotMade): typeof Verdict.Type => ({ status: problem.status, problem })

const decodeItem = Schema.decodeUnknownEffect(Schema.toCodecJson(NewBatchItem), {
  onExcessProperty: "error",
  errors: "all",
})

/** Each transaction by itself: a refusal of one says nothing about the others. */
const postEach = (item: Item) =>
  postTransaction(optionsOfItem(item)).pipe(orProblem, Effect.match({ onSuccess: made, onFailure: notMade }))

/** All or none: the first that is refused says why, the others that it was because of that. */
const postAll = (items: ReadonlyArray<Item>) =>
  postTransactionsTogether(items.map(optionsOfItem)).pipe(
    Effect.map((posted) => posted.map(made)),
    Effect.catchTag("RequestRefused", ({ index, refusal }) =>
      Effect.gen(function* () {
        const first = yield* Effect.flip(orProblem(Effect.fail(refusal)))
        const aborted = new Problem.BatchAborted({
          detail: `transaction ${index} was refused: ${first.code}`,
          retryable: false,
          request_id: yield* RequestId,
        })
        return items.map((_, at) => notMade(at === index ? first : aborted))
      }),
    ),
    orProblem,
  )

type PayloadError = HttpApiError.HttpApiPayloadTooLarge | HttpApiError.HttpApiSchemaError

/**
 * A verdict for each line, in order. A line that is not JSON, or that is too long, is the last one that is read: where the
 * next would begin is not known. What came before it has its verdict.
 */
const postLines = (lines: Stream.Stream<unknown, PayloadError>) =>
  lines.pipe(
    Stream.map(Result.succeed),
    Stream.catch((error) => Stream.make(Result.fail(error))),
    Stream.mapEffect((line) => (Result.isSuccess(line) ? postLine(line.success) : refuseRest(line.failure)), {
      concurrency: streamItemsMax,
    }),
  )

const refuseRest = (error: PayloadError) =>
  error._tag === "HttpApiSchemaError"
    ? Effect.map(invalidRequest("body", error.cause.issue), notMade)
    : Effect.map(RequestId, (request_id) => notMade(new Problem.BodyTooLarge({ retryable: false, request_id })))

/** A line that is not a transaction is refused by itself, as any other. */
const postLine = (line: unknown) =>
  decodeItem(line).pipe(
    Effect.matchEffect({
      onSuccess: postEach,
      onFailure: ({ issue }) => Effect.map(invalidRequest("body", issue), notMade),
    }),
  )

export const layer = HttpApiBuilder.group(
  Api,
  "transactions",
  Effect.fnUntraced(function* (handlers) {
    const context = yield* ledgerContext
    const run = Effect.provideContext(context)
    return (
      handlers
        // A client that hangs up does not stop a write: its key will find the work done.
        .handle(
          "post",
          ({ headers, payload }) =>
            postTransaction(optionsOf(payload, headers["idempotency-key"])).pipe(
              Effect.map((posted) => replayed(posted, transactionOf(posted.changes))),
              run,
              orProblem,
            ),
          { uninterruptible: true },
        )
        .handle(
          "batch",
          ({ payload }) => {
            if (Stream.isStream(payload)) {
              return Effect.succeed(Stream.provideContext(postLines(payload), context))
            }
            const { mode, transactions } = payload
            const verdicts: Effect.Effect<ReadonlyArray<typeof Verdict.Type>, Unavailable, DbConn> = mode === "atomic"
              ? postAll(transactions)
              : Effect.forEach(transactions, postEach, { concurrency: "unbounded" })
            return verdicts.pipe(
              Effect.map((verdicts) => ({ made: verdicts.filter(({ status }) => status === 201).length, verdicts })),
              run,
            )
          },
          { uninterruptible: true },
        )
        .handle("read", ({ params }) =>
          fetchTransaction(params.transaction_id).pipe(
            Effect.map(({ changes }) => transactionOf(changes)),
            run,
            orProblem,
          ),
        )
    )
  }),
)
