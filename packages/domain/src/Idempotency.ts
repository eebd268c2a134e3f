/**
 * Asking twice, done once. The record of a key is the first row of the transaction that it named, so it is written with
 * the money or not at all, and never expires. A refusal writes nothing, so the same key may succeed later.
 */
import { Schema } from "effect"
import type { Actor } from "./Actor.ts"
import { CanonicalBytes } from "./CanonicalBytes.ts"
import type { Intent, OpenAccount, PostTransaction, Request } from "./Intent.ts"
import { fromAmount } from "./Money.ts"

/** A caller's name for one write: 1 to 255 visible ASCII characters, so that it travels in a header unchanged. */
export const IdempotencyKey = Schema.String.check(
  Schema.isPattern(/^[\x21-\x7e]{1,255}$/, {
    message: "Expected an idempotency key: 1 to 255 visible ASCII characters",
  }),
).pipe(Schema.brand("IdempotencyKey"))
export type IdempotencyKey = typeof IdempotencyKey.Type

/** The column `idem_key`: a key belongs to its principal. Neither part holds a space, so the two cannot be confused. */
export const idemKey = (actor: Actor, key: IdempotencyKey): string => `${actor} ${key}`

/** What {@link Request.idempotencyKey} is stored as, if it is there. */
export const idemKeyOf = ({ actor, idempotencyKey }: Request): string | null =>
  idempotencyKey === null ? null : idemKey(actor, idempotencyKey)

/**
 * The column `request_hash`: equal for requests that ask for the same, so that a key used for something else is found
 * out. Amounts count by value: `"1.5"` asks for the same as `"1.50"`.
 */
export const requestHash = (intent: Intent): Uint8Array => {
  const bytes = new CanonicalBytes(`banquo:request:${intent._tag}:v1`)
  if (intent._tag === "OpenAccount") writeOpenAccount(bytes, intent)
  else writePostTransaction(bytes, intent)
  return bytes.sha256()
}

const writeOpenAccount = (bytes: CanonicalBytes, intent: OpenAccount) =>
  bytes
    .optional(intent.acctIdIsChosen ? intent.acctId : null, (id) => bytes.uuid(id))
    .text(intent.custName)
    .text(intent.custAddress)
    .text(intent.currency)
    .i64(fromAmount(intent.initialBalance))
    .optional(intent.overdraftLimit, (limit) => bytes.i64(fromAmount(limit)))
    .optional(intent.metadata, (map) => bytes.map(map))

const writePostTransaction = (bytes: CanonicalBytes, intent: PostTransaction) => {
  bytes.u32(intent.changes.length)
  for (const change of intent.changes) {
    bytes
      .uuid(change.acctId)
      .i64(fromAmount(change.amount))
      .optional(change.currency, (currency) => bytes.text(currency))
      .optional(change.expectedSeq, (seq) => bytes.i64(BigInt(seq)))
  }
  bytes.optional(intent.description, (text) => bytes.text(text)).optional(intent.metadata, (map) => bytes.map(map))
}
