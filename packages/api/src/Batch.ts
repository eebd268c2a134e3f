import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import { Schema } from "effect"
import * as Problem from "./Problem.ts"
import { DryRun, DryRunFlag } from "./DryRun.ts"
import { Transaction, transactionFields } from "./Transaction.ts"

/** Most transactions of a batch. */
export const batchItemsMax = 1000

/** Largest line of a stream of transactions, in bytes. */
export const streamItemBytesMax = 64 * 1024

export const NewBatchItem = Schema.Struct({
  ...transactionFields,
  idempotency_key: Schema.optionalKey(IdempotencyKey),
}).annotate({ identifier: "NewBatchItem" })

/** A line of a stream. */
export const NewStreamItem = Schema.Struct({
  ...NewBatchItem.fields,
  dry_run: DryRunFlag.annotateKey({
    description:
      "true: the verdict says what would come of the line now, whichever of those before it are written by then; it is not written",
  }),
}).annotate({ identifier: "NewStreamItem" })

const hasDistinctKeys = Schema.makeFilter((items: ReadonlyArray<typeof NewBatchItem.Type>) => {
  const keys = items.flatMap(({ idempotency_key }) => idempotency_key ?? [])
  return new Set(keys).size === keys.length || "Expected each idempotency_key once"
})

export const NewBatch = Schema.Struct({
  mode: Schema.Literals(["atomic", "independent"]),
  transactions: Schema.Array(NewBatchItem).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(batchItemsMax),
    hasDistinctKeys,
  ),
  dry_run: DryRunFlag.annotateKey({
    description:
      "true: nothing is written, and each verdict says what would come of the transaction now; if atomic, after those before it",
  }),
}).annotate({ identifier: "NewBatch" })

const Made = Schema.Struct({
  status: Schema.Literal(201),
  replayed: Schema.Boolean.annotateKey({ description: "whether it was made before, by the same key" }),
  transaction: Transaction,
}).annotate({ identifier: "Made" })

const Judged = Schema.Struct({
  status: Schema.Literal(200),
  ...DryRun.fields,
}).annotate({ identifier: "Judged" })

const NotMade = Schema.Struct({
  status: Schema.Int.annotateKey({ description: "what the transaction alone would have been answered with" }),
  problem: Schema.Union([
    Problem.InvalidRequest,
    Problem.BodyTooLarge,
    Problem.InternalError,
    Problem.DatabaseUnavailable,
    Problem.Contention,
    Problem.Overloaded,
    Problem.ShuttingDown,
    Problem.BatchAborted,
    ...Problem.ofTransactions,
  ]),
}).annotate({ identifier: "NotMade" })

/** What became of one transaction. */
export const Verdict = Schema.Union([Made, NotMade, Judged])

export const BatchVerdicts = Schema.Struct({
  made: Schema.Int.annotateKey({ description: "how many of them were made, or with dry_run would be" }),
  verdicts: Schema.Array(Verdict).annotateKey({ description: "in the order of the request" }),
}).annotate({ identifier: "BatchVerdicts" })
