/** The CHECKs of `balance_change`, by their names, as predicates of a row: what breaks one cannot be stored. */
import { assert } from "@effect/vitest"
import type { BalanceChange } from "../src/chain/BalanceChange.ts"

const most = 10n ** 28n - 1n
const isInRange = (value: bigint) => value >= -most && value <= most
const isNotNegative = (value: bigint) => value >= 0n && value <= most

export const checks: Readonly<Record<string, (row: BalanceChange) => boolean>> = {
  link: ({ acctSeq, bchgId, chgFlavor, prevBchgId }) =>
    acctSeq >= 0 &&
    (acctSeq === 0) === (prevBchgId === null) &&
    (acctSeq === 0) === (chgFlavor === "INITIAL") &&
    (prevBchgId === null || prevBchgId !== bchgId),
  flavor: ({ balance, bchgId, chgAmt, chgFlavor, held, heldAmt, holdExpiresAt, holdId, isForced }) => {
    switch (chgFlavor) {
      case "INITIAL":
        return heldAmt === 0n && held === 0n && balance === chgAmt && holdId === null
      case "FLOW":
        return chgAmt !== 0n && heldAmt === 0n && holdId === null
      case "HOLD":
        return (
          chgAmt === 0n &&
          holdId !== null &&
          (heldAmt > 0n || (heldAmt === 0n && holdId !== bchgId && holdExpiresAt !== null))
        )
      case "CAPTURE":
        return chgAmt < 0n && (heldAmt < 0n || (heldAmt === 0n && isForced)) && holdId !== null
      case "RELEASE":
        return chgAmt === 0n && heldAmt < 0n && holdId !== null
      case "TERMS":
        return chgAmt === 0n && heldAmt === 0n && holdId === null
    }
  },
  hold: ({ bchgId, chgFlavor, holdExpiresAt, holdId }) =>
    (holdExpiresAt === null || chgFlavor === "HOLD") &&
    (holdId === null || holdId !== bchgId || holdExpiresAt !== null),
  chg_amt: ({ chgAmt }) => isInRange(chgAmt),
  balance: ({ balance }) => isInRange(balance),
  held_amt: ({ heldAmt }) => isInRange(heldAmt),
  held: ({ held }) => isNotNegative(held),
  overdraft_limit: ({ overdraftLimit }) => overdraftLimit === null || isNotNegative(overdraftLimit),
  funds: ({ balance, chgAmt, held, heldAmt, isForced, overdraftLimit }) =>
    overdraftLimit === null || balance - held + overdraftLimit >= 0n || chgAmt - heldAmt >= 0n || isForced,
  closed: ({ acctStatus, balance, chgFlavor, held }) =>
    acctStatus !== "closed" || (chgFlavor === "TERMS" && balance === 0n && held === 0n),
  scale: ({ balance, chgAmt, held, heldAmt, overdraftLimit, scale }) =>
    scale >= 0 &&
    scale <= 8 &&
    [chgAmt, balance, heldAmt, held, overdraftLimit ?? 0n].every((value) => value % 10n ** BigInt(8 - scale) === 0n),
  xact: ({ bchgId, xactId, xactRows }) => xactRows > 0 && (xactRows > 1 || xactId === bchgId),
  time: ({ chgCreateTime, effectiveTime }) => effectiveTime <= chgCreateTime,
  texts: ({ description, detailsHash, metadata, reference, textsHash, textsSalt }) =>
    (textsHash !== null || (reference === null && description === null && metadata === null)) &&
    (textsSalt === null || textsHash !== null || detailsHash !== null),
  details: ({ chgFlavor, detailsHash }) => detailsHash === null || chgFlavor === "INITIAL" || chgFlavor === "TERMS",
  idem_key: ({ bchgId, idemKey, requestHash, xactId }) =>
    (idemKey === null && requestHash === null) || xactId === bchgId,
  request: ({ idemKey, requestHash }) => idemKey === null || requestHash !== null,
  hash: ({ chgHash, detailsHash, idemKey, requestHash, textsHash, textsSalt }) =>
    chgHash.length === 32 &&
    [requestHash, idemKey, textsHash, detailsHash].every((hash) => hash === null || hash.length === 32) &&
    (textsSalt === null || textsSalt.length === 16),
}

export const isStorable = (row: BalanceChange): boolean => Object.values(checks).every((check) => check(row))

export const assertStorable = (row: BalanceChange, where = ""): void => {
  for (const [name, check] of Object.entries(checks)) {
    if (!check(row)) assert.fail(`${where} a ${row.chgFlavor} row breaks balance_change_${name}_check`)
  }
}
