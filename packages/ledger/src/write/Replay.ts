/** What requests have brought about before: the same request is carried out once, however often it is sent. */
import { idemKeyOf, requestHash } from "@banquo/domain/Idempotency"
import type { Request } from "@banquo/domain/Intent"
import { IdempotencyKeyReused } from "@banquo/domain/Refusal"
import { Effect } from "effect"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
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
  const byKey = key === null ? [] : yield* read((sql) => BalanceChangeTable.selectByIdemKey(sql, key))
  const isById = byKey.length === 0 && intent._tag === "OpenAccount" && intent.acctIdIsChosen
  const [found] = isById ? yield* read((sql) => BalanceChangeTable.selectInitial(sql, intent.acctId)) : byKey
  if (found === undefined) return undefined
  if (found.request_hash === null || !isEqual(found.request_hash, requestHash(intent))) return "reused"
  return postedOfRows(
    yield* read((sql) => BalanceChangeTable.selectTransaction(sql, found.xact_id as Posted["transactionId"])),
  )
})

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

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
      read((sql) => BalanceChangeTable.selectUsedKeys(sql, [key])),
      (used): Effect.Effect<never, E | IdempotencyKeyReused> =>
        Effect.fail(used.length > 0 ? new IdempotencyKeyReused() : error),
    )
  }
