/**
 * The hash chain of an account: `chg_hash = SHA-256(canonical bytes of the row ‖ hash of the row before)`. Whoever holds
 * the newest hash holds the whole history to its words. The layout for outsiders: `BYTES.md`; test vectors:
 * `test/vectors.json`.
 */
import type { AccountId } from "../account/AccountId.ts"
import { accountStatuses } from "../account/AccountStatus.ts"
import { type BalanceChange, chgFlavors, type UnsealedChange } from "./BalanceChange.ts"
import { CanonicalBytes } from "./CanonicalBytes.ts"

/** Every column but the texts, their salt and `chg_hash`, in the order of the table. */
export const canonicalBytes = (change: UnsealedChange): Uint8Array => write(change).toBytes()

const write = (change: UnsealedChange): CanonicalBytes => {
  const bytes = new CanonicalBytes("banquo:balance_change:v2")
  const i64 = (value: bigint) => bytes.i64(value)
  const text = (value: string) => bytes.text(value)
  const hash = (value: Uint8Array) => bytes.bytes(value)
  return bytes
    .i64(change.bchgId)
    .uuid(change.acctId)
    .i64(BigInt(change.acctSeq))
    .u8(chgFlavors.indexOf(change.chgFlavor))
    .optional(change.prevBchgId, i64)
    .optional(change.owner, text)
    .text(change.currency)
    .u8(change.scale)
    .i128(change.chgAmt)
    .i128(change.balance)
    .i128(change.heldAmt)
    .i128(change.held)
    .optional(change.overdraftLimit, (limit) => bytes.i128(limit))
    .u8(accountStatuses.indexOf(change.acctStatus))
    .u8(change.isForced ? 1 : 0)
    .i64(change.xactId)
    .u32(change.xactRows)
    .optional(change.holdId, i64)
    .optional(change.holdExpiresAt, i64)
    .optional(change.reversesXactId, i64)
    .optional(change.textsHash, hash)
    .optional(change.idemKey, hash)
    .optional(change.requestHash, hash)
    .optional(change.detailsHash, hash)
    .text(change.actor)
    .i64(change.effectiveTime)
    .optional(change.valueDate, text)
    .i64(change.chgCreateTime)
}

/** A row with its hash, and the hash of the row that it follows: what it may be stored upon. */
export interface SealedChange extends BalanceChange {
  readonly prevHash: Uint8Array
}

/** The hash of a row. `prevHash` is that of the row before, or {@link genesisHash} for the first row. */
export const changeHash = (change: UnsealedChange, prevHash: Uint8Array): Uint8Array =>
  write(change).raw(prevHash).sha256()

/** Gives a row its hash. */
export const seal = (change: UnsealedChange, prevHash: Uint8Array): SealedChange => ({
  ...change,
  prevHash,
  chgHash: changeHash(change, prevHash),
})

/** What an account's first row has for the hash before it: binds the chain to the account and to the ledger, a UUID made with the database. */
export const genesisHash = (ledgerId: string, acctId: AccountId): Uint8Array =>
  new CanonicalBytes("banquo:account:v2").uuid(ledgerId).uuid(acctId).sha256()
