import { Api } from "@banquo/api/Api"
import { type NewBatchItem, NewStreamItem, type Verdict } from "@banquo/api/Batch"
import * as Problem from "@banquo/api/Problem"
import { conditionsOf } from "@banquo/api/Require"
import { dryRunOf } from "@banquo/api/DryRun"
import { type NewChange, transactionOf } from "@banquo/api/Transaction"
import type { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import type { Change } from "@banquo/domain/Intent"
import type { DbConn } from "@banquo/ledger/DbConn"
import type { Posted } from "@banquo/ledger/Posted"
import {
  fetchTransaction,
  postTransaction,
  type PostTransactionOptions,
  postTransactionsEach,
  postTransactionsTogether,
} from "@banquo/ledger/Transactions"
import { reverseTransaction } from "@banquo/ledger/Reversals"
import { dryRun } from "@banquo/ledger/DryRun"
import { Array as Arr, Cause, Data, Effect, Exit, identity, Option, Result, Schema, Stream } from "effect"
import { HttpApiBuilder, type HttpApiError } from "effect/http-api"
import { Draining } from "./Draining.ts"
import { ledgerContext, ledgerRun } from "./LedgerContext.ts"
import { orProblem, problemOf } from "./Problems.ts"
import { RequestId } from "./RequestId.ts"
import { invalidJson, invalidRequest, tooLong } from "./RequestSchema.ts"
import { logFailure } from "./Responses.ts"
import { written } from "./Written.ts"

/** Most lines of a stream that are written together, and most that wait meanwhile; then reading stops. */
export const streamItemsMax = 256

type Item = typeof NewBatchItem.Type

const changeOf = ({ account_id, amount, currency, expected_seq, require }: typeof NewChange.Type): Change => ({
  acctId: account_id,
  amount,
  currency,
  expectedSeq: expected_seq,
  require: conditionsOf(require),
})

const optionsOf = (
  { changes, description, effective_at, metadata }: Omit<Item, "idempotency_key">,
  idempotencyKey: IdempotencyKey | undefined,
): PostTransactionOptions => ({
  changes: changes.map(changeOf),
  description,
  metadata,
  effectiveTime: effective_at,
  idempotencyKey,
})

const asWritten = (posted: Posted) => ({ posted })

const transactionBody = ({ posted }: { readonly posted: Posted }) => Effect.succeed(transactionOf(posted.changes))

const optionsOfItem = (item: Item) => optionsOf(item, item.idempotency_key)

const made = (posted: Posted): typeof Verdict.Type => ({
  status: 201,
  replayed: posted.isReplayed,
  transaction: transactionOf(posted.changes),
})

const judged = (posted: Posted): typeof Verdict.Type => ({ status: 200, ...dryRunOf(posted) })

/** How a batch is carried out, and what is said of what succeeds. */
interface Mode {
  readonly run: <A, E, R>(program: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly done: (posted: Posted) => typeof Verdict.Type
}

const makes: Mode = { run: identity, done: made }
const judges: Mode = { run: dryRun, done: judged }

type NotMade = Extract<typeof Verdict.Type, { readonly problem: unknown }>["problem"]

/** What keeps a whole batch from being judged. */
type Unavailable = Problem.Contention | Problem.DatabaseUnavailable | Problem.Overloaded

const notMade = (problem: NotMade): typeof Verdict.Type => ({ status: problem.status, problem })

const decodeItem = Schema.decodeUnknownEffect(Schema.toCodecJson(NewStreamItem), { onExcessProperty: "error" })

/** Each transaction by itself: a refusal of one says nothing about the others, nor does a bug that it meets. */
const postEach = (items: ReadonlyArray<Item>, { done, run }: Mode) =>
  Effect.gen(function* () {
    const request_id = yield* RequestId
    const verdicts: Array<typeof Verdict.Type> = []
    for (const exit of yield* run(postTransactionsEach(items.map(optionsOfItem)))) {
      if (Exit.isSuccess(exit)) {
        verdicts.push(done(exit.value[0]!))
        continue
      }
      const error = Cause.findErrorOption(exit.cause)
      if (Option.isNone(error)) {
        yield* logFailure(exit.cause)
        verdicts.push(notMade(new Problem.InternalError({ retryable: false, request_id })))
      } else {
        const { value } = error
        verdicts.push(notMade(problemOf(value._tag === "RequestRefused" ? value.refusal : value, request_id)))
      }
    }
    return verdicts
  })

/** All or none: the first that is refused says why, the others that it was because of that. */
const postAll = (items: ReadonlyArray<Item>, { done, run }: Mode) =>
  run(postTransactionsTogether(items.map(optionsOfItem))).pipe(
    Effect.map((posted) => posted.map(done)),
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

type StreamItem = typeof NewStreamItem.Type

type Line = Result.Result<unknown, PayloadError | Closing>

/**
 * A verdict for each line, in order. A line that is not JSON, or that is too long, is the last one that is read: where the
 * next would begin is not known. What came before it has its verdict. Lines that come while others are written are
 * written together; one that comes alone does not wait. When the server stops, the last verdict says that no more lines
 * were read.
 */
const postLines = (lines: Stream.Stream<unknown, PayloadError>, closing: Effect.Effect<void>) =>
  lines.pipe(
    Stream.interruptWhen(Effect.andThen(closing, Effect.fail(new Closing()))),
    Stream.map((line): Line => Result.succeed(line)),
    Stream.catch((error) => Stream.make<[Line]>(Result.fail(error))),
    Stream.buffer({ capacity: streamItemsMax }),
    Stream.mapArrayEffect(postGathered),
  )

const postGathered = (lines: Arr.NonEmptyReadonlyArray<Line>) =>
  Effect.gen(function* () {
    const read = yield* Effect.forEach(lines, readLine)
    const items = read.flatMap((item) => (Result.isSuccess(item) ? item.success : []))
    const toMake = items.filter(({ dry_run }) => dry_run !== true)
    const toJudge = items.filter(({ dry_run }) => dry_run === true)
    const verdicts = new Map([
      ...Arr.zip(toMake, yield* postEach(toMake, makes)),
      ...Arr.zip(toJudge, yield* postEach(toJudge, judges)),
    ])
    return Arr.map(read, (item) => (Result.isSuccess(item) ? verdicts.get(item.success)! : item.failure))
  })

/** A line that is not a transaction is refused by itself, as any other. */
const readLine = (line: Line): Effect.Effect<Result.Result<StreamItem, typeof Verdict.Type>> => {
  if (Result.isFailure(line)) return Effect.map(refuseRest(line.failure), Result.fail)
  const { success: value } = line
  const problem = tooLong(NewStreamItem.ast, value)
  return problem !== undefined
    ? Effect.map(problem, refusedLine)
    : decodeItem(value).pipe(
        Effect.map((item) => Result.succeed(item)),
        Effect.catch(({ issue }) => Effect.map(invalidJson(NewStreamItem.ast, value, issue), refusedLine)),
      )
}

const refusedLine = (problem: Problem.InvalidRequest) => Result.fail(notMade(problem))

/** The server stops before the lines have come to their end. */
class Closing extends Data.TaggedError("Closing") {}

const refuseRest = (error: PayloadError | Closing) =>
  error._tag === "Closing"
    ? Effect.map(RequestId, (request_id) => notMade(new Problem.ShuttingDown({ retryable: true, request_id })))
    : error._tag === "HttpApiSchemaError"
      ? Effect.map(invalidRequest("body", error.cause.issue), notMade)
      : Effect.map(RequestId, (request_id) => notMade(new Problem.BodyTooLarge({ retryable: false, request_id })))

export const layer = HttpApiBuilder.group(
  Api,
  "transactions",
  Effect.fnUntraced(function* (handlers) {
    const context = yield* ledgerContext
    const { closing } = yield* Draining
    const run = yield* ledgerRun
    return (
      handlers
        // A client that hangs up does not stop a write: its key will find the work done.
        .handle(
          "post",
          ({ headers, payload }) =>
            written(
              payload,
              Effect.map(postTransaction(optionsOf(payload, headers["idempotency-key"])), asWritten),
              transactionBody,
            ).pipe(run, orProblem),
          { uninterruptible: true },
        )
        .handle(
          "reverse",
          ({ headers, params, payload }) =>
            written(
              payload,
              reverseTransaction(params.transaction_id, {
                changes: payload.changes?.map(changeOf),
                isForced: payload.force,
                description: payload.description,
                metadata: payload.metadata,
                effectiveTime: payload.effective_at,
                idempotencyKey: headers["idempotency-key"],
              }).pipe(Effect.map(asWritten)),
              transactionBody,
            ).pipe(run, orProblem),
          { uninterruptible: true },
        )
        .handle(
          "batch",
          ({ payload }) => {
            if (Stream.isStream(payload)) {
              return Effect.succeed(Stream.provideContext(postLines(payload, closing), context))
            }
            const { mode, transactions } = payload
            const how = payload.dry_run === true ? judges : makes
            const verdicts: Effect.Effect<ReadonlyArray<typeof Verdict.Type>, Unavailable, DbConn> = mode === "atomic"
              ? postAll(transactions, how)
              : postEach(transactions, how)
            return verdicts.pipe(
              Effect.map((verdicts) => ({
                made: verdicts.filter(({ status }) => status === 200 || status === 201).length,
                verdicts,
              })),
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
