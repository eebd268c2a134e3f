/**
 * What is said in words can be erased by law while the chain still verifies: a row is hashed over the salted hash of its
 * texts, not over the texts. Once texts and salt are gone, a guess at the texts cannot be checked either.
 */
import type { AccountDetails } from "../account/Account.ts"
import { CanonicalBytes } from "../chain/CanonicalBytes.ts"
import type { Metadata } from "./Metadata.ts"

/** Bytes of a salt. */
export const saltBytes = 16

/** What a caller says of a transaction. */
export interface Texts {
  /** The caller's own name of the transaction, which it is found by; not unique. */
  readonly reference: string | null
  /** For people. */
  readonly description: string | null
  /** `null` and an empty map say the same: nothing. */
  readonly metadata: Metadata | null
}

export const hasTexts = ({ description, metadata, reference }: Texts): boolean =>
  reference !== null || description !== null || (metadata !== null && Object.keys(metadata).length > 0)

/** An empty map says nothing, and is kept as nothing. */
export const metadataOrNull = (metadata: Metadata | null): Metadata | null =>
  metadata === null || Object.keys(metadata).length === 0 ? null : metadata

/** The column `texts_hash`. */
export const textsHash = ({ description, metadata, reference }: Texts, salt: Uint8Array): Uint8Array => {
  const bytes = new CanonicalBytes("banquo:texts:v2").raw(salt)
  return bytes
    .optional(reference, (text) => bytes.text(text))
    .optional(description, (text) => bytes.text(text))
    .optional(metadataOrNull(metadata), (map) => bytes.map(map))
    .sha256()
}

/** The column `details_hash`. */
export const detailsHash = (
  { custAddress, custName, metadata, reference }: AccountDetails,
  salt: Uint8Array,
): Uint8Array => {
  const bytes = new CanonicalBytes("banquo:details:v2").raw(salt)
  return bytes
    .text(custName)
    .text(custAddress)
    .optional(reference, (text) => bytes.text(text))
    .optional(metadataOrNull(metadata), (map) => bytes.map(map))
    .sha256()
}

/** A salt for one transaction, from random bytes that were drawn for many and the id of its first row. */
export const saltOf = (seed: Uint8Array, id: bigint): Uint8Array =>
  new CanonicalBytes("banquo:salt:v2").bytes(seed).i64(id).sha256().slice(0, saltBytes)
