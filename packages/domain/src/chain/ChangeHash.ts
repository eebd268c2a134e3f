/**
 * The hash chain of an account: `chg_hash = SHA-256(canonical bytes of the row ‖ hash of the row before)`. Whoever holds
 * the newest hash holds the whole history to its words. Test vectors: `test/vectors.json`.
 */
import type { Account } from "../account/Account.ts"
import { accountStatuses } from "../account/AccountState.ts"
import { type BalanceChange, chgFlavors, type UnsealedChange } from "./BalanceChange.ts"
import { CanonicalBytes } from "./CanonicalBytes.ts"

/** Every column but `chg_hash`, in the order of the table. */
export const canonicalBytes = (change: UnsealedChange): Uint8Array => write(change).toBytes()

const write = (change: UnsealedChange): CanonicalBytes => {
  const bytes = new CanonicalBytes("banquo:balance_change:v1")
  const i64 = (value: bigint) => bytes.i64(value)
  const text = (value: string) => bytes.text(value)
  return bytes
    .i64(change.bchgId)
    .uuid(change.acctId)
    .i64(BigInt(change.acctSeq))
    .u8(chgFlavors.indexOf(change.chgFlavor))
    .optional(change.prevBchgId, i64)
    .i64(change.chgAmt)
    .i64(change.balance)
    .i64(change.heldAmt)
    .i64(change.held)
    .optional(change.overdraftLimit, i64)
    .u8(accountStatuses.indexOf(change.acctStatus))
    .i64(change.xactId)
    .optional(change.holdId, i64)
    .optional(change.holdExpiresAt, i64)
    .optional(change.reversesXactId, i64)
    .optional(change.description, text)
    .optional(change.metadata, (map) => bytes.map(map))
    .optional(change.idemKey, text)
    .optional(change.requestHash, (hash) => bytes.bytes(hash))
    .text(change.actor)
    .i64(change.effectiveTime)
    .i64(change.chgCreateTime)
}

/** A row with its hash, and the hash of the row that it follows: what it may be stored upon. */
export interface SealedChange extends BalanceChange {
  readonly prevHash: Uint8Array
}

/** Gives a row its hash. `prevHash` is that of the row before, or {@link genesisHash} for the first row. */
export const seal = (change: UnsealedChange, prevHash: Uint8Array): SealedChange => ({
  ...change,
  prevHash,
  chgHash: write(change).raw(prevHash).sha256(),
})

/**
 * What an account's first row has for the hash before it: binds the chain to the ledger (a UUID made with the database)
 * and to what was said of the account when it was opened.
 */
export const genesisHash = (ledgerId: string, account: Account): Uint8Array => {
  const bytes = new CanonicalBytes("banquo:account:v1")
  bytes
    .uuid(ledgerId)
    .uuid(account.acctId)
    .text(account.custName)
    .text(account.custAddress)
    .text(account.currency)
    .i64(account.acctCreateTime)
    .optional(account.metadata, (map) => bytes.map(map))
  return bytes.sha256()
}
