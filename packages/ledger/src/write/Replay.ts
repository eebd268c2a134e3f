/** What requests have brought about before: the same request is carried out once, however often it is sent. */
import { areEqualBytes } from "@banquo/domain/Bytes"
import { idemKeyOf, isWordy, requestHash } from "@banquo/domain/Idempotency"
import type { Intent, Request } from "@banquo/domain/Intent"
import { IdempotencyKeyReused } from "@banquo/domain/Refusal"
import { Effect } from "effect"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, readToWrite } from "../database/DbConn.ts"
import * as BalanceChangeTable from "../tables/BalanceChangeTable.ts"
import { awaitDurability } from "./Durability.ts"
import { type Posted, postedOfRows } from "./Posted.ts"
import { type Group, RequestRefused } from "./Writer.ts"

/**
 * What the requests have brought about already, by their keys and the account ids that they chose; `undefined` if nothing.
 * They stand or fall together: if only some of them have been carried out, it was as part of something else.
 */
export const selectPosted = Effect.fnUntraced(function* (requests: Group) {
  const found = yield* Effect.forEach(requests, selectPostedOf, { concurrency: "unbounded" })
  const index = found.findIndex((posted) => posted !== undefined)
  if (index < 0) return undefined
  const posted = found.filter((one) => one !== undefined && one !== "reused")
  if (posted.length < found.length) return yield* new RequestRefused({ index, refusal: new IdempotencyKeyReused() })
  yield* awaitDurability
  return posted as ReadonlyArray<Posted>
})

/** What one request has brought about; `"reused"` if its key or chosen account id was used for a different one. */
const selectPostedOf = Effect.fnUntraced(function* (request: Request) {
  const { intent } = request
  const key = idemKeyOf(request)
  const byKey = key === null ? [] : yield* readToWrite((sql) => BalanceChangeTable.selectByIdemKey(sql, key))
  const isById = byKey.length === 0 && intent._tag === "OpenAccount" && intent.acctIdIsChosen
  const [found] = isById ? yield* readToWrite((sql) => BalanceChangeTable.selectInitial(sql, intent.acctId)) : byKey
  if (found === undefined) return undefined
  if (!isSameRequest(intent, found)) return "reused"
  const posted = postedOfRows(
    yield* readToWrite((sql) => BalanceChangeTable.selectTransaction(sql, found.xact_id as Posted["transactionId"])),
  )
  return isInSaidCurrency(intent, posted) ? posted : "reused"
})

/** The hash of a request leaves currencies out: to say the account's own asks for nothing, to say another for something else. */
const isInSaidCurrency = (intent: Intent, { changes }: Posted): boolean => {
  if ("changes" in intent && intent.changes !== null) {
    return intent.changes.every(
      ({ acctId, currency }) =>
        currency === undefined || changes.every((change) => change.acctId !== acctId || change.currency === currency),
    )
  }
  return !("currency" in intent) || intent.currency === undefined || changes[0]?.currency === intent.currency
}

/** Where the words that a request was made with are erased, other words cannot be told from them. */
const isSameRequest = (intent: Intent, row: BalanceChangeTable.UseRow): boolean => {
  if (row.request_hash === null) return false
  const isErased = row.texts_salt === null && (row.texts_hash !== null || row.details_hash !== null)
  if (isErased) return isWordy(intent)
  return areEqualBytes(row.request_hash, requestHash(intent, isWordy(intent) ? row.texts_salt : null))
}

/**
 * Fails with `error`, that what the request names is not there or not fit for it; but idempotency comes first: with
 * `IdempotencyKeyReused` where its key is used, which must have been for another.
 */
export const failUnlessUsed =
  (request: Pick<Request, "actor" | "idempotencyKey">) =>
  <E>(error: E): Effect.Effect<never, E | IdempotencyKeyReused | DatabaseUnavailable, DbConn> => {
    const key = idemKeyOf(request)
    if (key === null) return Effect.fail(error)
    return Effect.flatMap(
      readToWrite((sql) => BalanceChangeTable.selectUsedKeys(sql, [key])),
      (used): Effect.Effect<never, E | IdempotencyKeyReused> =>
        Effect.fail(used.length > 0 ? new IdempotencyKeyReused() : error),
    )
  }
