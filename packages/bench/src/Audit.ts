/**
 * Holds what the clients were told against what is stored. Not one acknowledged change may be missing, doubled or other
 * than it was said to be; nothing that was refused may be there; and the chains must be whole.
 */
import { Actor } from "@banquo/domain/Actor"
import { idemKey } from "@banquo/domain/Idempotency"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import type { AccountId } from "@banquo/domain/AccountId"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { ChainCheck, isReversedTooFar, linkFaults, transactionFaults } from "@banquo/domain/ChainCheck"
import { holdsAfter, isExpired, noHolds, type OpenHold } from "@banquo/domain/Hold"
import { type Amount, fromAmount } from "@banquo/domain/Money"
import type { Acknowledged, Asked, Attempt, ClientLog, Look } from "./Attempt.ts"

/** Kinds of faults, and what each means. */
export const faultKinds = {
  lost: "an acknowledged change is not stored",
  doubled: "a change is stored more than once",
  "other than acknowledged": "a stored change has another account, amount, sequence, balance or hash than was said",
  "other than asked": "what was acknowledged is not what was asked for",
  "key applied twice": "two transactions have the same idempotency key",
  "refused but stored": "a request that was refused has rows",
  "never asked for": "a stored transaction was not asked for by any client",
  ...linkFaults,
  fork: "two changes of an account follow the same one",
  unbalanced: "the legs of a transaction do not sum to zero",
  "reversed too far": transactionFaults["reversed too far"],
  "money made or lost": "the balances have changed by something else than what was acknowledged",
  reordered: "a change that was sent after another was acknowledged comes before it",
  "stale read": "a read misses a change that was acknowledged before it was sent",
  "old rows changed": "rows that were there before the run are missing",
} as const
export type FaultKind = keyof typeof faultKinds

export interface Fault {
  readonly kind: FaultKind
  readonly detail: string
}

/** Everything that the audit looks at. */
export interface Evidence {
  readonly ledgerId: string
  /** The newest row of each account before the run, for those that `rows` go on from. None of them has an open hold. */
  readonly tails: ReadonlyMap<AccountId, BalanceChange>
  /** What was stored in the run, in any order. */
  readonly rows: ReadonlyArray<BalanceChange>
  /** Rows from before the run: how many there were, and are. */
  readonly oldRows: { readonly before: number; readonly after: number }
  /** `null`: nobody kept one, and only the chains are looked at. */
  readonly log: ClientLog | null
}

/** What is wrong; nothing, if all is well. */
export const audit = (evidence: Evidence): ReadonlyArray<Fault> => {
  const faults: Array<Fault> = []
  const fault: Report = (kind, detail) => faults.push({ kind, detail })
  const { after, before } = evidence.oldRows
  if (after !== before) fault("old rows changed", `there were ${before}, now ${after}`)
  auditChains(evidence, fault)
  auditLegs(evidence.rows, fault)
  auditReversals(evidence.rows, fault)
  const chains = [...Map.groupBy(evidence.rows, ({ acctId }) => acctId).values()].map((chain) =>
    chain.toSorted((a, b) => a.acctSeq - b.acctSeq),
  )
  if (evidence.log !== null) {
    const { attempts, looks } = evidence.log
    auditAcknowledged(evidence.rows, attempts, fault)
    auditKeys(evidence.rows, attempts, asidesOf(chains), fault)
    auditMoney(evidence.rows, attempts, fault)
    auditOrder(attempts, fault)
    auditLooks(looks, attempts, fault)
  }
  return faults
}

type Report = (kind: FaultKind, detail: string) => unknown

const money = (text: string) => fromAmount(text as Amount)

const auditChains = ({ ledgerId, rows, tails }: Evidence, fault: Report) => {
  for (const [acctId, chain] of Map.groupBy(rows, (row) => row.acctId)) {
    const tail = tails.get(acctId)
    const check = tail === undefined ? ChainCheck.ofAccount(ledgerId, acctId) : ChainCheck.after(tail)
    const named = new Set(tail?.prevBchgId === null ? [] : [tail?.prevBchgId])
    for (const row of chain.toSorted((a, b) => a.acctSeq - b.acctSeq)) {
      const at = `account ${acctId}, sequence ${row.acctSeq}, change ${row.bchgId}`
      const isTwice = row.acctSeq === check.prev?.acctSeq
      if (isTwice || (row.prevBchgId !== null && named.has(row.prevBchgId))) fault("fork", at)
      named.add(row.prevBchgId ?? undefined)
      for (const kind of check.next(row)) if (!(isTwice && kind === "gap")) fault(kind, at)
    }
  }
}

/** In one currency, as all accounts of the benchmark are. */
const auditLegs = (rows: ReadonlyArray<BalanceChange>, fault: Report) => {
  for (const [xactId, legs] of Map.groupBy(rows, (row) => row.xactId)) {
    const moving = legs.filter(({ chgAmt }) => chgAmt !== 0n)
    const sum = moving.reduce((total, { chgAmt }) => total + chgAmt, 0n)
    if (moving.length > 1 && sum !== 0n) fault("unbalanced", `transaction ${xactId} sums to ${sum} units of 10^-8`)
    if (!legs.some(({ bchgId }) => bchgId === xactId)) fault("unbalanced", `transaction ${xactId} lacks its first leg`)
  }
}

/** The rows of one account in their order. */
type Chain = ReadonlyArray<BalanceChange>

/**
 * Rows that nobody needs to have asked for: those that let go of holds which had expired, and those by which a forced
 * reversal raises a limit.
 */
const asidesOf = (chains: ReadonlyArray<Chain>): ReadonlySet<BalanceChange> => {
  const asides = new Set<BalanceChange>()
  for (const chain of chains) {
    let holds: ReadonlyArray<OpenHold> = noHolds
    for (const [index, row] of chain.entries()) {
      const hold = holds.find(({ holdId }) => holdId === row.holdId)
      if (row.chgFlavor === "RELEASE" && hold !== undefined && isExpired(hold, row.chgCreateTime)) asides.add(row)
      if (row.chgFlavor === "TERMS") {
        const next = chain.slice(index + 1).find(({ chgFlavor }) => chgFlavor !== "RELEASE")
        if (next !== undefined && next.reversesXactId !== null) asides.add(row)
      }
      if (hold !== undefined || row.holdId === row.bchgId) holds = holdsAfter(holds, row)
    }
  }
  return asides
}

const legOf = (xactId: bigint | null, acctId: AccountId) => `transaction ${xactId}, account ${acctId}`

/** On no account more than the transaction did there, and of no reversal. */
const auditReversals = (rows: ReadonlyArray<BalanceChange>, fault: Report) => {
  const reversals = rows.filter(({ reversesXactId }) => reversesXactId !== null)
  if (reversals.length === 0) return
  const moved = new Map<string, bigint>()
  for (const { acctId, chgAmt, chgFlavor, reversesXactId, xactId } of rows) {
    if (chgAmt !== 0n && chgFlavor !== "INITIAL" && reversesXactId === null) moved.set(legOf(xactId, acctId), chgAmt)
  }
  for (const [leg, taken] of Map.groupBy(reversals, (row) => legOf(row.reversesXactId, row.acctId))) {
    const there = moved.get(leg)
    const back = taken.reduce((sum, { chgAmt }) => sum + chgAmt, 0n)
    if (isReversedTooFar(there, back)) fault("reversed too far", `${leg}: ${back} units of 10^-8 of ${there ?? 0n}`)
  }
}

const auditAcknowledged = (rows: ReadonlyArray<BalanceChange>, attempts: ReadonlyArray<Attempt>, fault: Report) => {
  const byId = Map.groupBy(rows, ({ bchgId }) => String(bchgId))
  const bySeq = new Map(rows.map((row) => [`${row.acctId} ${row.acctSeq}`, row]))
  for (const [id, same] of byId) if (same.length > 1) fault("doubled", `change ${id} is stored ${same.length} times`)
  for (const { asked, changes, key, outcome } of attempts) {
    if (outcome !== "acknowledged" && outcome !== "replayed") continue
    if (asked !== null && !isAsAsked(asked, changes)) fault("other than asked", `key ${key}`)
    for (const change of changes) {
      const row =
        change.changeId === null ? bySeq.get(`${change.acctId} ${change.seq}`) : byId.get(change.changeId)?.[0]
      const at = `key ${key}, account ${change.acctId}, sequence ${change.seq}, change ${change.changeId}`
      if (row === undefined) fault("lost", at)
      else if (
        !isAsAcknowledged(row, change) ||
        hexOf(row.idemKey) !== (row.bchgId === row.xactId ? storedKeyOf(key) : null)
      ) {
        fault("other than acknowledged", at)
      }
    }
  }
}

const isAsAsked = (asked: ReadonlyArray<Asked>, changes: ReadonlyArray<Acknowledged>): boolean => {
  const [wanted, moved] = [asked.filter(isMoving), changes.filter(isMoving)]
  return (
    wanted.length === moved.length &&
    wanted.every(({ acctId, amount }, index) => {
      const change = moved[index]!
      return change.acctId === acctId && money(change.amount) === money(amount)
    })
  )
}

const isMoving = ({ amount }: Asked): boolean => money(amount) !== 0n

const isAsAcknowledged = (row: BalanceChange, change: Acknowledged): boolean =>
  row.acctId === change.acctId &&
  row.acctSeq === change.seq &&
  row.chgAmt === money(change.amount) &&
  row.heldAmt === money(change.held) &&
  row.balance === money(change.balance) &&
  Buffer.from(row.chgHash).toString("hex") === change.hash

const hexOf = (idemKey: Uint8Array | null): string | null => idemKey?.toHex() ?? null

/** As it is stored of those who send without access control. */
const storedKeyOf = (key: string): string => idemKey(Actor.make("anonymous"), IdempotencyKey.make(key)).toHex()

const auditKeys = (
  rows: ReadonlyArray<BalanceChange>,
  attempts: ReadonlyArray<Attempt>,
  asides: ReadonlySet<BalanceChange>,
  fault: Report,
) => {
  const stored = new Map<string, BalanceChange>()
  for (const row of rows) {
    const key = hexOf(row.idemKey)
    if (key === null) continue
    const other = stored.get(key)
    if (other !== undefined && other.bchgId !== row.bchgId) {
      fault("key applied twice", `key ${key}: transactions ${other.xactId} and ${row.xactId}`)
    }
    stored.set(key, row)
  }
  const byKey = Map.groupBy(attempts, ({ key }) => storedKeyOf(key))
  for (const [key, same] of byKey) {
    const applied = same.filter(({ outcome }) => outcome === "acknowledged")
    if (applied.length > 1) fault("key applied twice", `key ${key} was acknowledged ${applied.length} times as new`)
    if (stored.has(key) && same.every(({ outcome }) => outcome === "refused")) fault("refused but stored", `key ${key}`)
  }
  // Each transaction of a run has a key, which its first row bears.
  for (const [xactId, legs] of Map.groupBy(rows, (row) => row.xactId)) {
    const first = legs.find(({ bchgId }) => bchgId === xactId)
    const key = hexOf(first?.idemKey ?? null)
    const isAsked = key === null ? legs.every((row) => asides.has(row)) : byKey.has(key)
    if (first !== undefined && !isAsked) fault("never asked for", `transaction ${xactId} of account ${first.acctId}`)
  }
}

/** Only what was acknowledged moves money, and what nobody knows the outcome of, if it was done. */
const auditMoney = (rows: ReadonlyArray<BalanceChange>, attempts: ReadonlyArray<Attempt>, fault: Report) => {
  const doubtful = new Set(attempts.filter(({ outcome }) => outcome === "unknown").map(({ key }) => storedKeyOf(key)))
  const doubtfulXacts = new Set(rows.filter((row) => doubtful.has(hexOf(row.idemKey) ?? "")).map((row) => row.xactId))
  let stored = 0n
  for (const row of rows) if (!doubtfulXacts.has(row.xactId)) stored += row.chgAmt
  let told = 0n
  for (const { changes, key, outcome } of attempts) {
    if (outcome !== "acknowledged" || doubtful.has(storedKeyOf(key))) continue
    for (const { amount } of changes) told += money(amount)
  }
  if (stored !== told) fault("money made or lost", `${stored - told} units of 10^-8 too many`)
}

/** If one was acknowledged before another was sent, it comes first. Both times err to the side of saying nothing. */
const auditOrder = (attempts: ReadonlyArray<Attempt>, fault: Report) => {
  const changes = attempts.flatMap(({ changes, outcome, received, sent }) =>
    outcome === "acknowledged" ? changes.map(({ acctId, seq }) => ({ acctId, seq, sent, received })) : [],
  )
  for (const [acctId, ofAccount] of Map.groupBy(changes, (change) => change.acctId)) {
    let earliestAfter = Infinity
    for (const { received, sent, seq } of ofAccount.toSorted((a, b) => b.seq - a.seq)) {
      if (earliestAfter < sent) fault("reordered", `account ${acctId}, sequence ${seq}`)
      earliestAfter = Math.min(earliestAfter, received)
    }
  }
}

const auditLooks = (looks: ReadonlyArray<Look>, attempts: ReadonlyArray<Attempt>, fault: Report) => {
  if (looks.length === 0) return
  const byAccount = Map.groupBy(
    attempts.flatMap(({ changes, received }) => changes.map(({ acctId, seq }) => ({ acctId, seq, received }))),
    ({ acctId }) => acctId,
  )
  for (const { acctId, isDense, newestSeq, sent } of looks) {
    if (!isDense) fault("gap", `account ${acctId}: a page of its history has gaps`)
    const missed = byAccount.get(acctId)?.find(({ received, seq }) => received < sent && seq > newestSeq)
    if (missed !== undefined) fault("stale read", `account ${acctId}: ended with ${newestSeq}, not ${missed.seq}`)
  }
}
