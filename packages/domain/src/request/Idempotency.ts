/**
 * Asking twice, done once. The record of a key is the first row of the transaction that it named, so it is written with
 * the money or not at all, and never expires. A refusal writes nothing, so the same key may succeed later.
 */
import { accountStatuses } from "../account/AccountStatus.ts"
import type { Actor } from "./Actor.ts"
import { CanonicalBytes } from "../chain/CanonicalBytes.ts"
import { comparisons, type Condition, conditionSubjects } from "./Condition.ts"
import type {
  Change,
  ChangeTerms,
  Expectation,
  Expiry,
  Intent,
  OpenAccount,
  PostTransaction,
  Remarks,
  Request,
} from "./Intent.ts"
import type { IdempotencyKey } from "./IdempotencyKey.ts"
import { fromAmount } from "../money/Money.ts"
import { hasTexts, metadataOrNull } from "../text/Texts.ts"

/** The column `idem_key`: a key belongs to its principal, and what it says is not kept. */
export const idemKey = (actor: Actor, key: IdempotencyKey): Uint8Array =>
  new CanonicalBytes("banquo:idem_key:v2").text(actor).text(key).sha256()

/** What {@link Request.idempotencyKey} is stored as, if it is there. */
export const idemKeyOf = ({ actor, idempotencyKey }: Pick<Request, "actor" | "idempotencyKey">): Uint8Array | null =>
  idempotencyKey === null ? null : idemKey(actor, idempotencyKey)

/** Whether an intent says something in words, so that its {@link requestHash} is salted. */
export const isWordy = (intent: Intent): boolean =>
  intent._tag === "OpenAccount" ||
  (intent._tag === "ChangeTerms"
    ? intent.custName !== undefined ||
      intent.custAddress !== undefined ||
      hasTexts({ reference: null, description: intent.reason, metadata: intent.metadata })
    : "description" in intent && hasTexts(intent))

/**
 * The column `request_hash`: equal for requests that ask for the same, so that a key used for something else is found
 * out. Amounts count by value: `"1.5"` asks for the same as `"1.50"`; so do no metadata and empty metadata, and to say the
 * account's own currency asks for nothing. `salt`: of the row, where the intent {@link isWordy}; else `null`. Hashes are
 * stored for good, so what is asked for today is written down in the same bytes for ever. Test vectors: `test/vectors.json`.
 */
export const requestHash = (intent: Intent, salt: Uint8Array | null): Uint8Array => {
  const bytes = new CanonicalBytes(`banquo:request:${intent._tag}:v2`).optional(salt, (value) => value)
  if (salt !== null) bytes.raw(salt)
  writeIntent(bytes, intent)
  return bytes.sha256()
}

const writeIntent = (bytes: CanonicalBytes, intent: Intent): unknown => {
  switch (intent._tag) {
    case "OpenAccount":
      return writeOpenAccount(bytes, intent)
    case "PostTransaction":
      return writePostTransaction(bytes, intent)
    case "PlaceHold":
      bytes.uuid(intent.acctId).i128(fromAmount(intent.amount))
      writeExpiry(bytes, intent.expiry)
      writeExpectation(bytes, intent)
      return writeRemarks(bytes, intent)
    case "IncreaseHold":
      bytes.i64(intent.holdId).i128(fromAmount(intent.amount))
      bytes.optional(intent.expiry, (expiry) => writeExpiry(bytes, expiry))
      writeExpectation(bytes, intent)
      return writeRemarks(bytes, intent)
    case "CaptureHold":
      bytes
        .i64(intent.holdId)
        .optional(intent.amount, (amount) => bytes.i128(fromAmount(amount)))
        .u8(intent.isFinal ? 1 : 0)
        .optional(intent.to, (to) => bytes.uuid(to))
        .optional(intent.effectiveTime, (time) => bytes.i64(time))
      writeExpectation(bytes, intent)
      return writeRemarks(bytes, intent)
    case "ReleaseHold":
      bytes.i64(intent.holdId)
      writeExpectation(bytes, intent)
      return writeRemarks(bytes, intent)
    case "ExpireHolds":
      return bytes.uuid(intent.acctId)
    case "ChangeTerms":
      return writeChangeTerms(bytes, intent)
    case "ReverseTransaction":
      bytes
        .i64(intent.xactId)
        .optional(intent.changes, (changes) => writeChanges(bytes, changes))
        .u8(intent.isForced ? 1 : 0)
        .optional(intent.effectiveTime, (time) => bytes.i64(time))
      return writeRemarks(bytes, intent)
  }
}

const writeRemarks = (bytes: CanonicalBytes, { description, metadata, reference }: Remarks) =>
  bytes
    .optional(reference, (text) => bytes.text(text))
    .optional(description, (text) => bytes.text(text))
    .optional(metadataOrNull(metadata), (map) => bytes.map(map))

const writeExpiry = (bytes: CanonicalBytes, expiry: Expiry) =>
  "at" in expiry ? bytes.u8(0).i64(expiry.at) : bytes.u8(1).u32(expiry.ttl)

const writeExpectation = (bytes: CanonicalBytes, { expectedSeq, require }: Expectation) =>
  bytes
    .optional(expectedSeq, (seq) => bytes.i64(BigInt(seq)))
    .optional(require, (conditions) => writeConditions(bytes, conditions))

const writeConditions = (bytes: CanonicalBytes, conditions: ReadonlyArray<Condition>) => {
  bytes.u32(conditions.length)
  for (const { amount, comparison, subject } of conditions) {
    bytes.u8(conditionSubjects.indexOf(subject)).u8(comparisons.indexOf(comparison)).i128(fromAmount(amount))
  }
}

const writeChanges = (bytes: CanonicalBytes, changes: ReadonlyArray<Change>) => {
  bytes.u32(changes.length)
  for (const change of changes) {
    bytes.uuid(change.acctId).i128(fromAmount(change.amount))
    writeExpectation(bytes, change)
  }
}

const writeOpenAccount = (bytes: CanonicalBytes, intent: OpenAccount) =>
  bytes
    .optional(intent.acctIdIsChosen ? intent.acctId : null, (id) => bytes.uuid(id))
    .text(intent.custName)
    .text(intent.custAddress)
    .optional(intent.owner, (owner) => bytes.text(owner))
    .text(intent.currency)
    .optional(intent.scale, (scale) => bytes.u8(scale))
    .i128(fromAmount(intent.initialBalance))
    .optional(intent.overdraftLimit, (limit) => bytes.i128(fromAmount(limit)))
    .optional(intent.reference, (text) => bytes.text(text))
    .optional(metadataOrNull(intent.metadata), (map) => bytes.map(map))

const writePostTransaction = (bytes: CanonicalBytes, intent: PostTransaction) => {
  writeChanges(bytes, intent.changes)
  writeRemarks(bytes, intent)
  return bytes
    .optional(intent.effectiveTime, (time) => bytes.i64(time))
    .optional(intent.valueDate, (date) => bytes.text(date))
}

/** `undefined`, a limit and no limit are three things to ask for. */
const writeChangeTerms = (bytes: CanonicalBytes, intent: ChangeTerms) => {
  bytes
    .uuid(intent.acctId)
    .optional(intent.acctStatus, (status) => bytes.u8(accountStatuses.indexOf(status)))
    .u8(intent.overdraftLimit === undefined ? 0 : 1)
    .optional(intent.overdraftLimit, (limit) => bytes.i128(fromAmount(limit)))
    .optional(intent.custName, (name) => bytes.text(name))
    .optional(intent.custAddress, (address) => bytes.text(address))
  writeExpectation(bytes, intent)
  return writeRemarks(bytes, { reference: null, description: intent.reason, metadata: intent.metadata })
}
