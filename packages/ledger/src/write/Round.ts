/**
 * One try to carry out groups of requests: heads → ids → decide → append. Every program that writes goes this way. Where the
 * heads come from, and what follows a conflict, is the caller's.
 */
import type { AccountDetails } from "@banquo/domain/Account"
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { decideTogether, HeadsAfter, idsMax, idsUsed, type Refused } from "@banquo/domain/Decide"
import type { Decision, Heads, Stamp } from "@banquo/domain/Decision"
import { accountIds, type ChangeTerms, type Intent, rowCount } from "@banquo/domain/Intent"
import * as Money from "@banquo/domain/Money"
import { saltBytes } from "@banquo/domain/Texts"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Effect, Function, Result } from "effect"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { DbConn, readToWrite } from "../database/DbConn.ts"
import * as LedgerMetrics from "../metrics/LedgerMetrics.ts"
import * as AccountTable from "../tables/AccountTable.ts"
import * as BalanceChangeTable from "../tables/BalanceChangeTable.ts"
import { append } from "./Append.ts"
import { IsDryRun } from "./DryRun.ts"
import type { Group } from "./Writer.ts"

/** Where a round takes heads and ids from. */
export interface RoundSource {
  /** A head that is known already. It may be stale: an append finds that out. */
  readonly remembered: (account: AccountId) => AccountState | undefined
  /** Whether a refusal may be given from remembered heads, because the caller named them; else they are read again first. */
  readonly isGiven: boolean
  /** At least so many unused ids, ascending. */
  readonly takeIds: (count: number) => Effect.Effect<ReadonlyArray<BalanceChangeId>, DatabaseUnavailable, DbConn>
  /** Told before rows are sent: from then on what becomes of them may not be known. */
  readonly willAppend: () => void
  /** Others have been given ids that were taken. */
  readonly dropIds: () => void
}

const nothingRemembered: RoundSource["remembered"] = () => undefined

const selectIds: RoundSource["takeIds"] = (count) =>
  readToWrite((sql, database) => BalanceChangeTable.selectNewIds(sql, count, database))

/** Heads that are read for the round. */
export const readSource: RoundSource = {
  remembered: nothingRemembered,
  isGiven: false,
  takeIds: selectIds,
  willAppend: Function.constVoid,
  dropIds: Function.constVoid,
}

/** Heads that the caller has named. */
export const givenSource = (heads: ReadonlyMap<AccountId, AccountState>): RoundSource => ({
  remembered: (account) => heads.get(account),
  isGiven: true,
  takeIds: selectIds,
  willAppend: Function.constVoid,
  dropIds: Function.constVoid,
})

/** What the rules say of a group, before it is known whether its rows can be stored. */
export type Ruling = Result.Result<ReadonlyArray<Decision>, Refused>

export interface RoundOutcome {
  /** By group, in order. */
  readonly rulings: ReadonlyArray<Ruling>
  /** `false`: an account has moved on. Nothing was written. */
  readonly isStored: boolean
}

/** `now`: on the clock of the process, in milliseconds. A round in which all is refused stores nothing and succeeds. */
export const round = (groups: ReadonlyArray<Group>, source: RoundSource, now: number) =>
  Effect.gen(function* () {
    const rulings = yield* rule(groups, source, Timestamp.fromMillis(now))
    const decisions = rulings.flatMap((ruling) => (Result.isSuccess(ruling) ? ruling.success : []))
    if (decisions.length === 0 || (yield* IsDryRun)) return { rulings, isStored: true }
    const start = performance.now()
    source.willAppend()
    const appended = yield* append(decisions)
    if (appended === "id_taken") source.dropIds()
    LedgerMetrics.record(LedgerMetrics.commitSeconds, LedgerMetrics.secondsSince(start))
    LedgerMetrics.record(
      LedgerMetrics.batchRows,
      decisions.reduce((total, decision) => total + idsUsed(decision), 0),
    )
    return { rulings, isStored: appended === "stored" }
  })

/**
 * Decides in order, each group on what those before it leave behind. A refusal that comes from a remembered head is decided
 * again, with all that follows, on one that was read.
 */
const rule = Effect.fnUntraced(function* (groups: ReadonlyArray<Group>, source: RoundSource, now: Timestamp.Timestamp) {
  const { ledgerId } = yield* DbConn
  const requests = groups.flat()
  const heads = new RoundHeads(source)
  const rows = requests.reduce((total, { intent }) => total + rowCount(intent), 0)
  const [id, firstIds] = yield* Effect.all(
    [ledgerId, rows === 0 ? Effect.succeed([]) : source.takeIds(rows), heads.readUnknown(groups)],
    { concurrency: "unbounded" },
  )
  const saltSeed = crypto.getRandomValues(new Uint8Array(saltBytes))
  let ids: ReadonlyArray<BalanceChangeId> = firstIds
  for (;;) {
    yield* heads.readReversed(groups)
    yield* heads.readDetails(groups)
    const needed = idsMax(requests, heads, now)
    if (needed > ids.length) ids = yield* source.takeIds(needed)
    const rulings = ruleOn(groups, heads, { now, ledgerId: id, ids, saltSeed })
    const refused = groups.filter((_, at) => Result.isFailure(rulings[at]!))
    if (source.isGiven || !(yield* heads.readRemembered(refused))) return rulings
  }
})

const ruleOn = (groups: ReadonlyArray<Group>, known: Heads, stamp: Stamp): ReadonlyArray<Ruling> => {
  const heads = new HeadsAfter(known)
  let used = 0
  return groups.map((requests) => {
    const decided = decideTogether(requests, heads, { ...stamp, idsFrom: used })
    if (Result.isSuccess(decided)) {
      for (const decision of decided.success) {
        used += idsUsed(decision)
        heads.advance(decision)
      }
    }
    return decided
  })
}

/** The heads of one round: those that were read for it come before those that are remembered. */
class RoundHeads implements Heads {
  readonly #source: RoundSource
  readonly #read = new Map<AccountId, AccountState | undefined>()
  readonly #details = new Map<AccountId, AccountDetails>()
  #reversed: ReadonlyMap<string, Money.Money> = new Map()

  constructor(source: RoundSource) {
    this.#source = source
  }

  get(account: AccountId): AccountState | undefined {
    return this.#read.has(account) ? this.#read.get(account) : this.#source.remembered(account)
  }

  has(account: AccountId): boolean {
    return this.get(account) !== undefined
  }

  reversed(xactId: BalanceChangeId, acctId: AccountId): Money.Money {
    return this.#reversed.get(`${xactId} ${acctId}`) ?? Money.zero
  }

  details(acctId: AccountId): AccountDetails | undefined {
    return this.#details.get(acctId)
  }

  readUnknown(groups: ReadonlyArray<Group>) {
    let hits = 0
    const unknown = accountsOf(groups, (account) => {
      if (!this.has(account)) return true
      hits += 1
      return false
    })
    LedgerMetrics.record(LedgerMetrics.headHits, hits)
    LedgerMetrics.record(LedgerMetrics.headMisses, unknown.length)
    return this.#readAll(unknown)
  }

  /** `false`: all of them had been read. */
  readRemembered(groups: ReadonlyArray<Group>) {
    return this.#readAll(accountsOf(groups, (account) => !this.#read.has(account)))
  }

  /**
   * What reversals have done to each balance before, of the transactions that are to be reversed. Read after the heads: a
   * reversal that comes later appends to one of them, which the append finds out.
   */
  readReversed(groups: ReadonlyArray<Group>): Effect.Effect<void, DatabaseUnavailable, DbConn> {
    const xactIds = groups.flatMap((requests) =>
      requests.flatMap(({ intent }) => (intent._tag === "ReverseTransaction" ? intent.xactId : [])),
    )
    if (xactIds.length === 0) return Effect.void
    return Effect.map(
      readToWrite((sql) => BalanceChangeTable.selectReversed(sql, xactIds)),
      (rows) => {
        this.#reversed = new Map(
          rows.map(({ acct_id, amt, xact_id }) => [`${xact_id} ${acct_id}`, Money.fromDecimal(amt)]),
        )
      },
    )
  }

  /** What is said of the accounts that are to be corrected, as of their heads. */
  readDetails(groups: ReadonlyArray<Group>): Effect.Effect<void, DatabaseUnavailable, DbConn> {
    const corrected = groups.flatMap((requests) =>
      requests.flatMap(({ intent }) => (isCorrection(intent) ? (this.get(intent.acctId) ?? []) : [])),
    )
    if (corrected.length === 0) return Effect.void
    return Effect.forEach(
      corrected,
      ({ acctId, acctSeq }) =>
        Effect.map(
          readToWrite((sql) => AccountTable.selectRecord(sql, acctId, acctSeq)),
          (record) => record !== undefined && this.#details.set(acctId, record),
        ),
      { concurrency: "unbounded", discard: true },
    )
  }

  #readAll(accounts: ReadonlyArray<AccountId>): Effect.Effect<boolean, DatabaseUnavailable, DbConn> {
    if (accounts.length === 0) return Effect.succeed(false)
    return Effect.map(
      readToWrite((sql, database) => BalanceChangeTable.selectHeads(sql, accounts, database)),
      (found) => {
        for (const account of accounts) this.#read.set(account, found.get(account))
        return true
      },
    )
  }
}

const isCorrection = (intent: Intent): intent is ChangeTerms =>
  intent._tag === "ChangeTerms" && (intent.custName !== undefined || intent.custAddress !== undefined)

/** The accounts whose states decide, each once. */
const accountsOf = (
  groups: ReadonlyArray<Group>,
  isWanted: (account: AccountId) => boolean,
): ReadonlyArray<AccountId> => {
  const accounts = new Set<AccountId>()
  for (const requests of groups) {
    for (const { intent } of requests) for (const account of accountIds(intent)) accounts.add(account)
  }
  return [...accounts].filter(isWanted)
}
