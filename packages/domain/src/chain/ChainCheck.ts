/**
 * What must be true of every row that is stored, beyond what the constraints of the table keep out: whoever changed the past
 * by hand is found out here. Nothing is looked up; rows are given in the order of their chain.
 */
import type { AccountDetails } from "../account/Account.ts"
import type { AccountId } from "../account/AccountId.ts"
import type { BalanceChange } from "./BalanceChange.ts"
import { areEqualBytes } from "./Bytes.ts"
import { changeHash, genesisHash } from "./ChangeHash.ts"
import { detailsHash, hasTexts, textsHash } from "../text/Texts.ts"
import * as Money from "../money/Money.ts"
import type { Currency } from "../money/Currency.ts"
import { holdsAfter, isExpired, noHolds, type OpenHold } from "../account/Hold.ts"

/** What a row can have wrong, and what each means. */
export const linkFaults = {
  gap: "the sequence of an account jumps",
  "broken link": "a change does not name the one before it",
  "wrong balance": "a balance, or what is held, is not the one before plus the change",
  "wrong hash": "a hash does not follow from its change and the hash before",
  "time runs back": "a change is not later than the one before it",
  "not yet": "a change happened in the world later than the ledger took it",
  "another asset": "the currency, the scale or the owner of an account is not that of its first change",
  "other terms": "the limit or the status of an account changes with a change that is not of its terms",
  "too many decimals": "an amount has more decimals than the account's scale",
  "wrong texts": "the texts or their salt are not those that the change was made with",
  "beyond the hold": "more was captured or released of a hold than was left of it, or of one that is not open",
  "captured too late": "a hold was captured when it had expired",
  "held without a hold": "what an account holds is not the sum of its open holds",
} as const
export type LinkFault = keyof typeof linkFaults

/** What the rows of a transaction can have wrong together. */
export const transactionFaults = {
  unbalanced: "the changes of a transaction do not sum to zero",
  "wrong number of changes": "a transaction has more or fewer changes than it was made with",
  "no first change": "a transaction lacks the change that it is named by",
  "reversed too far": "reversals take back more than there was, or from an account that the transaction did not touch",
} as const
export type TransactionFault = keyof typeof transactionFaults

/**
 * Follows the chain of one account. A row is held against the one that is stored before it, right or wrong, so one bad row
 * is one fault and not one for each row after it.
 */
export class ChainCheck {
  #prev: BalanceChange | undefined
  #prevHash: Uint8Array
  #holds: ReadonlyArray<OpenHold> | undefined

  /** From the first row of an account on. */
  static readonly ofAccount = (ledgerId: string, acctId: AccountId): ChainCheck =>
    new ChainCheck({ prev: undefined, prevHash: genesisHash(ledgerId, acctId), holds: noHolds })

  /** Starts mid-chain: earlier holds are unknown, so hold checks are skipped unless `prev.held` is 0. */
  static readonly after = (prev: BalanceChange): ChainCheck =>
    new ChainCheck({ prev, prevHash: prev.chgHash, holds: prev.held === 0n ? noHolds : undefined })

  private constructor(before: {
    readonly prev: BalanceChange | undefined
    readonly prevHash: Uint8Array
    readonly holds: ReadonlyArray<OpenHold> | undefined
  }) {
    this.#prev = before.prev
    this.#prevHash = before.prevHash
    this.#holds = before.holds
  }

  /** The row that the next one is to follow. */
  get prev(): BalanceChange | undefined {
    return this.#prev
  }

  /** What is wrong with the next row; most often nothing. */
  next(row: BalanceChange): ReadonlyArray<LinkFault> {
    const faults: Array<LinkFault> = []
    const prev = this.#prev
    if (row.acctSeq !== (prev === undefined ? 0 : prev.acctSeq + 1)) faults.push("gap")
    if (row.prevBchgId !== (prev?.bchgId ?? null)) faults.push("broken link")
    const isSum = row.balance === (prev?.balance ?? 0n) + row.chgAmt && row.held === (prev?.held ?? 0n) + row.heldAmt
    if (!isSum) faults.push("wrong balance")
    if (!areEqualBytes(changeHash(row, this.#prevHash), row.chgHash)) faults.push("wrong hash")
    if (prev !== undefined && row.chgCreateTime <= prev.chgCreateTime) faults.push("time runs back")
    if (row.effectiveTime > row.chgCreateTime) faults.push("not yet")
    if (prev !== undefined && !isSameAccount(prev, row)) faults.push("another asset")
    if (prev !== undefined && row.chgFlavor !== "TERMS" && !hasSameTerms(prev, row)) faults.push("other terms")
    if (!amountsFit(row)) faults.push("too many decimals")
    if (!areTextsIntact(row)) faults.push("wrong texts")
    if (this.#holds !== undefined) {
      const wrong = holdFaultOf(this.#holds, row)
      if (wrong !== undefined) faults.push(wrong)
      // Where they are not what is held any more, no row after it can be judged by them.
      this.#holds = wrong === undefined ? holdsAfter(this.#holds, row) : undefined
    }
    this.#prev = row
    this.#prevHash = row.chgHash
    return faults
  }
}

const isSameAccount = (a: BalanceChange, b: BalanceChange): boolean =>
  a.currency === b.currency && a.scale === b.scale && a.owner === b.owner

const hasSameTerms = (a: BalanceChange, b: BalanceChange): boolean =>
  a.overdraftLimit === b.overdraftLimit && a.acctStatus === b.acctStatus

const amountsFit = ({ balance, chgAmt, held, heldAmt, overdraftLimit, scale }: BalanceChange): boolean =>
  scale === Money.decimals ||
  [chgAmt, balance, heldAmt, held, overdraftLimit].every((amount) => amount === null || Money.fits(amount, scale))

/** Texts that were erased left their hash behind, and no salt. */
const areTextsIntact = (row: BalanceChange): boolean => {
  if (row.textsHash === null) return !hasTexts(row)
  return row.textsSalt === null ? !hasTexts(row) : areEqualBytes(textsHash(row, row.textsSalt), row.textsHash)
}

/** Whether what is said of an account is what its change was made with. `salt`: `null` once it is erased. */
export const areDetailsIntact = (details: AccountDetails, salt: Uint8Array | null, hash: Uint8Array): boolean =>
  salt === null || areEqualBytes(detailsHash(details, salt), hash)

/** What a row does to the open holds that it may not. */
const holdFaultOf = (
  holds: ReadonlyArray<OpenHold>,
  row: BalanceChange,
): "beyond the hold" | "captured too late" | "held without a hold" | undefined => {
  const hold = holds.find(({ holdId }) => holdId === row.holdId)
  const isNew = row.holdId === row.bchgId
  if ((hold === undefined) !== (row.holdId === null || isNew)) return "beyond the hold"
  if ((isNew && row.holdExpiresAt === null) || (hold?.held ?? 0n) + row.heldAmt < 0n) return "beyond the hold"
  if (row.chgFlavor === "CAPTURE") {
    if (row.chgAmt !== row.heldAmt) return "beyond the hold"
    if (hold !== undefined && isExpired(hold, row.chgCreateTime)) return "captured too late"
  }
  const sum = holdsAfter(holds, row).reduce((total, { held }) => total + held, 0n)
  return sum === row.held ? undefined : "held without a hold"
}

/** One change of a transaction. */
export type TransactionLeg = Pick<BalanceChange, "bchgId" | "xactId" | "xactRows" | "chgAmt" | "currency">

/** What is wrong with all the changes of one transaction together. */
export const transactionFaultsOf = (legs: ReadonlyArray<TransactionLeg>): ReadonlyArray<TransactionFault> => {
  const faults: Array<TransactionFault> = []
  if (legs.some(({ xactRows }) => xactRows !== legs.length)) faults.push("wrong number of changes")
  if (!legs.some(({ bchgId, xactId }) => bchgId === xactId)) faults.push("no first change")
  const moving = legs.filter(({ chgAmt }) => chgAmt !== 0n)
  // A single change brings money into the ledger or takes it out.
  if (moving.length > 1) {
    const sums = new Map<Currency, bigint>()
    for (const { chgAmt, currency } of moving) sums.set(currency, (sums.get(currency) ?? 0n) + chgAmt)
    if ([...sums.values()].some((sum) => sum !== 0n)) faults.push("unbalanced")
  }
  return faults
}

/** Whether reversals, by `taken` in all, took back no more than the transaction had done to an account. */
export const isReversedTooFar = (original: bigint | undefined, taken: bigint): boolean => {
  if (original === undefined) return true
  const left = original + taken
  return original > 0n ? left < 0n || taken > 0n : left > 0n || taken < 0n
}
