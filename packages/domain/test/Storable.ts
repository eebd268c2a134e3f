/** The CHECKs of `balance_change`, by their names, as predicates of a row: what breaks one cannot be stored. */
import { assert } from "@effect/vitest"
import type { BalanceChange } from "../src/chain/BalanceChange.ts"

const most = 999_999_999_999_999_999n
const isInRange = (value: bigint) => value >= -most && value <= most
const isNotNegative = (value: bigint) => value >= 0n && value <= most

export const checks: Readonly<Record<string, (row: BalanceChange) => boolean>> = {
  link: ({ acctSeq, bchgId, chgFlavor, prevBchgId }) =>
    acctSeq >= 0 &&
    (acctSeq === 0) === (prevBchgId === null) &&
    (acctSeq === 0) === (chgFlavor === "INITIAL") &&
    (prevBchgId === null || prevBchgId !== bchgId),
  flavor: ({ balance, chgAmt, chgFlavor, held, heldAmt, holdId }) => {
    switch (chgFlavor) {
      case "INITIAL":
        return heldAmt === 0n && held === 0n && balance === chgAmt && holdId === null
      case "FLOW":
        return chgAmt !== 0n && heldAmt === 0n && holdId === null
      case "HOLD":
        return chgAmt === 0n && heldAmt > 0n && holdId !== null
      case "CAPTURE":
        return chgAmt < 0n && heldAmt < 0n && holdId !== null
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
  funds: ({ balance, held, overdraftLimit }) => overdraftLimit === null || balance - held + overdraftLimit >= 0n,
  closed: ({ acctStatus, balance, chgFlavor, held }) =>
    acctStatus !== "closed" || (chgFlavor === "TERMS" && balance === 0n && held === 0n),
  idem_key: ({ bchgId, idemKey, requestHash, xactId }) =>
    idemKey === null || (xactId === bchgId && requestHash !== null),
  hash: ({ chgHash, requestHash }) => chgHash.length === 32 && (requestHash === null || requestHash.length === 32),
}

export const isStorable = (row: BalanceChange): boolean => Object.values(checks).every((check) => check(row))

export const assertStorable = (row: BalanceChange, where = ""): void => {
  for (const [name, check] of Object.entries(checks)) {
    if (!check(row)) assert.fail(`${where} a ${row.chgFlavor} row breaks balance_change_${name}_check`)
  }
}
