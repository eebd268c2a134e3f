import { Api } from "@banquo/api/Api"
import { expiryOf, holdOf, type HoldRelease } from "@banquo/api/Hold"
import { conditionsOf } from "@banquo/api/Require"
import { transactionOf } from "@banquo/api/Transaction"
import type { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import { pageDefault } from "@banquo/domain/Page"
import {
  captureHold,
  fetchHold,
  fetchHolds,
  increaseHold,
  placeHold,
  type PostedHold,
  releaseHold,
} from "@banquo/ledger/Holds"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { ledgerRun } from "./LedgerContext.ts"
import { orProblem } from "./Problems.ts"
import { written } from "./Written.ts"

/** What every request about a hold may say. */
const saidOf = (
  { description, expected_seq, metadata, require }: typeof HoldRelease.Type,
  headers: { readonly "idempotency-key"?: IdempotencyKey },
) => ({
  description,
  metadata,
  expectedSeq: expected_seq,
  require: conditionsOf(require),
  idempotencyKey: headers["idempotency-key"],
})

const bodyOf = ({ hold, posted }: PostedHold) =>
  Effect.succeed({ hold: holdOf(hold), transaction: transactionOf(posted.changes) })

export const layer = HttpApiBuilder.group(
  Api,
  "holds",
  Effect.fnUntraced(function* (handlers) {
    const run = yield* ledgerRun
    // A client that hangs up does not stop a write: its key will find the work done.
    const write = { uninterruptible: true }
    return handlers
      .handle(
        "place",
        ({ headers, payload }) =>
          written(
            payload,
            placeHold({
              ...saidOf(payload, headers),
              acctId: payload.account_id,
              amount: payload.amount,
              currency: payload.currency,
              expiry: expiryOf(payload),
            }),
            bodyOf,
          ).pipe(run, orProblem),
        write,
      )
      .handle("list", ({ query }) =>
        fetchHolds({
          acctId: query.account_id,
          state: query.state,
          before: query.cursor === undefined ? undefined : Number(query.cursor.slice("before-".length)),
          limit: query.limit ?? pageDefault,
        }).pipe(
          Effect.map(({ holds, nextBefore }) => ({
            holds: holds.map(holdOf),
            next_cursor: nextBefore === null ? null : `before-${nextBefore}`,
          })),
          run,
          orProblem,
        ),
      )
      .handle("read", ({ params }) => fetchHold(params.hold_id).pipe(Effect.map(holdOf), run, orProblem))
      .handle(
        "increase",
        ({ headers, params, payload }) =>
          written(
            payload,
            increaseHold(params.hold_id, {
              ...saidOf(payload, headers),
              amount: payload.amount,
              expiry: expiryOf(payload),
            }),
            bodyOf,
          ).pipe(run, orProblem),
        write,
      )
      .handle(
        "capture",
        ({ headers, params, payload }) =>
          written(
            payload,
            captureHold(params.hold_id, {
              ...saidOf(payload, headers),
              amount: payload.amount,
              isFinal: payload.final,
              to: payload.to,
              effectiveTime: payload.effective_at,
            }),
            bodyOf,
          ).pipe(run, orProblem),
        write,
      )
      .handle(
        "release",
        ({ headers, params, payload }) =>
          written(payload, releaseHold(params.hold_id, saidOf(payload, headers)), bodyOf).pipe(run, orProblem),
        write,
      )
  }),
)
