/** Chains with a past: rows of every flavor, some of them dated otherwise than they were made, stored past the programs. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import { afterChange } from "@banquo/domain/AccountState"
import type { UnsealedChange } from "@banquo/domain/BalanceChange"
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { seal, type SealedChange } from "@banquo/domain/ChangeHash"
import * as Money from "@banquo/domain/Money"
import { saltBytes, textsHash } from "@banquo/domain/Texts"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Effect } from "effect"
import { fetchAccountInfo } from "@banquo/ledger/Accounts"
import * as BalanceChangeTable from "@banquo/ledger/BalanceChangeTable"
import { DbConn } from "@banquo/ledger/DbConn"
import { anonymous } from "./Ledger.ts"

/** What is said of a row; the rest follows from the row before it. */
export interface Said extends Partial<
  Pick<UnsealedChange, "chgFlavor" | "heldAmt" | "holdId" | "overdraftLimit" | "acctStatus" | "description">
> {
  readonly chgAmt?: bigint | undefined
  /** Default: a microsecond after the row before. */
  readonly created?: Timestamp.Timestamp | undefined
  /** Default: `created`. */
  readonly effective?: Timestamp.Timestamp | undefined
}

/** When the hold expires: the last instant that there is. */
export const never = Timestamp.parse("9999-12-31T23:59:59.999999Z")!

const salt = new Uint8Array(saltBytes)

/** Stands for the one hold of an account, whose id is that of its first row. */
const theHold = 1n as BalanceChangeId

const next = (
  state: AccountState,
  bchgId: BalanceChangeId,
  holdId: BalanceChangeId | null,
  said: Said,
): SealedChange => {
  const chgAmt = Money.make(said.chgAmt ?? 0n)
  const heldAmt = said.heldAmt ?? Money.zero
  const description = said.description ?? null
  const texts = { reference: null, description, metadata: null }
  const chgCreateTime = said.created ?? Timestamp.make(state.chgCreateTime + 1n)
  return seal(
    {
      bchgId,
      acctId: state.acctId,
      acctSeq: state.acctSeq + 1,
      chgFlavor: said.chgFlavor ?? "FLOW",
      prevBchgId: state.bchgId,
      owner: state.owner,
      currency: state.currency,
      scale: state.scale,
      chgAmt,
      balance: Money.sum(state.balance, chgAmt),
      heldAmt,
      held: Money.sum(state.held, heldAmt),
      overdraftLimit: said.overdraftLimit === undefined ? state.overdraftLimit : said.overdraftLimit,
      acctStatus: said.acctStatus ?? state.acctStatus,
      isForced: false,
      xactId: bchgId,
      xactRows: 1,
      holdId,
      holdExpiresAt: said.chgFlavor === "HOLD" ? never : null,
      reversesXactId: null,
      ...texts,
      textsSalt: description === null ? null : salt,
      textsHash: description === null ? null : textsHash(texts, salt),
      idemKey: null,
      requestHash: null,
      detailsHash: null,
      actor: anonymous,
      effectiveTime: said.effective ?? chgCreateTime,
      valueDate: null,
      chgCreateTime,
    },
    state.chgHash,
  )
}

/** Appends rows to an account; answers with them. */
export const append = (acctId: AccountId, rows: ReadonlyArray<Said>) =>
  Effect.gen(function* () {
    const { database, sql } = yield* DbConn
    const info = yield* fetchAccountInfo(acctId)
    let { state } = info
    const ids = yield* BalanceChangeTable.selectNewIds(sql, rows.length, yield* database)
    let hold: BalanceChangeId | undefined
    const changes = rows.map((said, index) => {
      const id = ids[index]!
      if (said.holdId === theHold) hold ??= id
      const change = next(state, id, said.holdId === theHold ? hold! : null, said)
      state = afterChange(change, state.openHolds)
      return change
    })
    for (let at = 0; at < changes.length; at += 500) {
      yield* BalanceChangeTable.insert(sql, changes.slice(at, at + 500))
    }
    return changes
  }).pipe(Effect.orDie)

/** Numbers from 0 to 1 that look random and are the same in each run (mulberry32). */
export const randomOf = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Rows of every flavor, to be appended to an account without a limit. One of `datedOneIn` is dated up to six days earlier
 * than it was made, many of those at the same midnight.
 */
export const randomRows = (
  count: number,
  {
    datedOneIn,
    seed,
    start,
  }: { readonly seed: number; readonly start: Timestamp.Timestamp; readonly datedOneIn: number },
): ReadonlyArray<Said> => {
  const random = randomOf(seed)
  const upTo = (limit: number) => BigInt(Math.floor(random() * limit))
  const day = 86_400_000_000n
  let created: bigint = start
  let held = 0n
  return Array.from({ length: count }, (): Said => {
    created += 1n + (random() < 0.3 ? 0n : upTo(60_000_000))
    const isDated = random() * datedOneIn < 1
    const shifted = created - 1n - upTo(Number(6n * day))
    const effective = !isDated ? created : random() < 0.5 ? shifted : shifted - (shifted % day)
    const times = { created: Timestamp.make(created), effective: Timestamp.make(effective) }
    const kind = random()
    const amount = 1_000_000n * (1n + upTo(1_000_000))
    const holdId = theHold
    if (kind < 0.15) {
      held += amount
      return { ...times, chgFlavor: "HOLD", heldAmt: Money.make(amount), holdId }
    }
    // Something is always left of it: a hold that has ended stays ended.
    if (kind < 0.25 && held > amount) {
      held -= amount
      return kind < 0.2
        ? { ...times, chgFlavor: "RELEASE", heldAmt: Money.make(-amount), holdId }
        : { ...times, chgFlavor: "CAPTURE", chgAmt: -amount, heldAmt: Money.make(-amount), holdId }
    }
    if (kind < 0.3) return { ...times, chgFlavor: "TERMS" }
    return { ...times, chgAmt: random() < 0.5 ? amount : -amount, description: `row ${created}` }
  })
}
