/**
 * Reads the whole ledger and holds each row against the one before it: what `ChainCheck.ts` of the domain says must be true.
 * The past cannot be changed by this service; a restored backup, or whoever has the owner's password, is another matter.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import type { BalanceChangeId, TransactionId } from "@banquo/domain/BalanceChangeId"
import {
  ChainCheck,
  isReversedTooFar,
  linkFaults,
  transactionFaults,
  transactionFaultsOf,
} from "@banquo/domain/ChainCheck"
import * as Money from "@banquo/domain/Money"
import { PgTypes } from "@effect/sql-pg"
import { Effect, Schema } from "effect"
import { accountColumns, accountOfRow, type AccountRow } from "../tables/AccountTable.ts"
import { array } from "../database/ArrayParameter.ts"
import { type BalanceChangeRow, changeColumns, changeOfRow, type CurrencyRow } from "../tables/BalanceChangeTable.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { DbConn, read } from "../database/DbConn.ts"

/** Rows, accounts or transactions that are read at a time: all that is in memory. */
export const verifyPageMax = 500

/** Most faults that are kept; the others are counted. */
export const verifyFaultsMax = 100

/** What can be wrong, and what each means. */
export const faultKinds = {
  ...linkFaults,
  ...transactionFaults,
  "no account": "there are changes of an account that there is not",
  "no changes": "there is an account without a first change",
} as const
export type FaultKind = keyof typeof faultKinds

export interface Fault {
  readonly kind: FaultKind
  /** Where, in words; without amounts. */
  readonly place: string
}

export interface Verified {
  readonly accounts: number
  readonly changes: number
  /** Those of more than one change. */
  readonly transactions: number
  /** The first {@link verifyFaultsMax} of them, in the order of accounts. */
  readonly faults: ReadonlyArray<Fault>
  readonly faultsFound: number
}

export interface Progress {
  /** From 0 to 1. Ids of accounts are spread evenly, so how far it has come in them says how much there is to come. */
  readonly done: number
  readonly changes: number
}

/** The ledger is not what its chains say. */
export class LedgerUnsound extends Schema.TaggedError<LedgerUnsound>()("LedgerUnsound", {
  found: Schema.Int,
  first: Schema.String,
}) {
  override get message() {
    return `the ledger is not sound: ${this.found} faults, the first: ${this.first}`
  }
}

/**
 * Verifies all that is stored by now: links, sequences, sums, hashes, times and holds of each chain; that transactions sum to
 * zero and reversals take back no more than there was; that accounts and chains belong together. Reads every row once, by
 * pages, in the order of accounts: hours for a table of billions. Others may go on writing.
 */
export const verify = (
  onProgress: (progress: Progress) => Effect.Effect<void> = () => Effect.void,
): Effect.Effect<Verified, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const { ledgerId } = yield* DbConn
    const faults: Array<Fault> = []
    let faultsFound = 0
    const report: Report = (kind, place) => {
      faultsFound += 1
      if (faults.length < verifyFaultsMax) faults.push({ kind, place })
    }
    const changes = yield* verifyChains(yield* ledgerId, report, onProgress)
    const accounts = yield* verifyAccounts(report)
    const transactions = yield* verifyTransactions(report)
    yield* verifyReversals(report)
    yield* onProgress({ done: 1, changes })
    return { accounts, changes, transactions, faults, faultsFound }
  })

/** As {@link verify}, and fails with what is wrong. */
export const requireSound = (verified: Verified): Effect.Effect<Verified, LedgerUnsound> => {
  const [first] = verified.faults
  return first === undefined
    ? Effect.succeed(verified)
    : Effect.fail(new LedgerUnsound({ found: verified.faultsFound, first: lineOf(first) }))
}

/** A fault for a person. */
export const lineOf = ({ kind, place }: Fault): string => `${place}: ${faultKinds[kind]} (${kind})`

type Report = (kind: FaultKind, place: string) => void

const lowest = "00000000-0000-0000-0000-000000000000" as AccountId

const verifyChains = (ledgerId: string, report: Report, onProgress: (progress: Progress) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    let changes = 0
    let at = { acctId: lowest, acctSeq: -1n }
    let chain: { readonly acctId: AccountId; readonly check: ChainCheck } | undefined
    for (;;) {
      const { acctId, acctSeq } = at
      const rows = yield* read(
        (sql) => sql<BalanceChangeRow>`
          SELECT ${sql.literal(changeColumns)} FROM balance_change b
          WHERE (b.acct_id, b.acct_seq) > (${acctId}::UUID, ${acctSeq}::INT8)
          ORDER BY b.acct_id, b.acct_seq LIMIT ${BigInt(verifyPageMax)}`,
      )
      const last = rows.at(-1)
      if (last === undefined) return changes
      const begun = [...new Set(rows.map(({ acct_id }) => acct_id))].filter((id) => id !== chain?.acctId)
      const accounts = yield* selectAccounts(begun)
      for (const row of rows) {
        const change = changeOfRow(row)
        if (chain?.acctId !== change.acctId) {
          const account = accounts.get(change.acctId)
          if (account === undefined) report("no account", `account ${change.acctId}`)
          chain = {
            acctId: change.acctId,
            check: account === undefined ? ChainCheck.after(undefined) : ChainCheck.ofAccount(ledgerId, account),
          }
        }
        for (const kind of chain.check.next(change)) {
          report(kind, `account ${change.acctId}, sequence ${change.acctSeq}, change ${change.bchgId}`)
        }
      }
      changes += rows.length
      at = { acctId: last.acct_id, acctSeq: last.acct_seq }
      yield* onProgress({ done: Number.parseInt(last.acct_id.slice(0, 8), 16) / 2 ** 32, changes })
      if (rows.length < verifyPageMax) return changes
    }
  })

const selectAccounts = (acctIds: ReadonlyArray<AccountId>) =>
  Effect.map(
    acctIds.length === 0
      ? Effect.succeed([])
      : read(
          (sql) => sql<AccountRow>`
            SELECT ${sql.literal(accountColumns)} FROM account c
            WHERE c.acct_id = ANY(${array(PgTypes.OID.uuid, acctIds)}::UUID[])`,
        ),
    (rows) => new Map(rows.map((row) => [row.acct_id, accountOfRow(row)])),
  )

/**
 * Each has a first change. Those that are opened meanwhile have theirs in the same transaction. A join with that one row:
 * for an EXISTS among the columns CockroachDB would read all rows of each.
 */
const verifyAccounts = (report: Report) =>
  Effect.gen(function* () {
    let accounts = 0
    let last = lowest
    for (;;) {
      const after = last
      const rows = yield* read(
        (sql) => sql<{ readonly acct_id: AccountId; readonly is_begun: boolean }>`
          SELECT c.acct_id, b.acct_seq IS NOT NULL AS is_begun
          FROM account c LEFT JOIN balance_change b ON b.acct_id = c.acct_id AND b.acct_seq = 0
          WHERE c.acct_id > ${after}::UUID ORDER BY c.acct_id LIMIT ${BigInt(verifyPageMax)}`,
      )
      for (const { acct_id, is_begun } of rows) if (!is_begun) report("no changes", `account ${acct_id}`)
      accounts += rows.length
      if (rows.length < verifyPageMax) return accounts
      last = rows.at(-1)!.acct_id
    }
  })

interface LegRow extends CurrencyRow {
  readonly bchg_id: bigint
  readonly xact_id: bigint
  readonly acct_id: AccountId
  readonly chg_amt: string
}

const int8s = (ids: ReadonlyArray<bigint>) => array(PgTypes.OID.int8, ids)

/** All changes of transactions. An account that is not there is a fault of its own: its changes are of no currency. */
const selectLegs = (xactIds: ReadonlyArray<bigint>) =>
  read(
    (sql) => sql<LegRow>`
      SELECT b.bchg_id, b.xact_id, b.acct_id, b.chg_amt::TEXT AS chg_amt, COALESCE(c.currency, '') AS currency
      FROM balance_change b LEFT JOIN account c ON c.acct_id = b.acct_id
      WHERE b.bchg_id = ANY(${int8s(xactIds)}::INT8[]) AND b.xact_id = b.bchg_id
      UNION ALL
      SELECT b.bchg_id, b.xact_id, b.acct_id, b.chg_amt::TEXT AS chg_amt, COALESCE(c.currency, '') AS currency
      FROM balance_change b LEFT JOIN account c ON c.acct_id = b.acct_id
      WHERE b.xact_id = ANY(${int8s(xactIds)}::INT8[]) AND b.xact_id <> b.bchg_id`,
  )

const verifyTransactions = (report: Report) =>
  Effect.gen(function* () {
    let transactions = 0
    let last = 0n
    for (;;) {
      const after = last
      const ids = yield* read(
        (sql) => sql<{ readonly xact_id: bigint }>`
          SELECT DISTINCT b.xact_id FROM balance_change b
          WHERE b.xact_id <> b.bchg_id AND b.xact_id > ${after} ORDER BY b.xact_id LIMIT ${BigInt(verifyPageMax)}`,
      )
      if (ids.length === 0) return transactions
      const legs = Map.groupBy(yield* selectLegs(ids.map(({ xact_id }) => xact_id)), ({ xact_id }) => xact_id)
      for (const [xactId, rows] of legs) {
        const faults = transactionFaultsOf(
          rows.map((row) => ({
            bchgId: row.bchg_id as BalanceChangeId,
            xactId: row.xact_id as TransactionId,
            chgAmt: Money.fromDecimal(row.chg_amt),
            currency: row.currency,
          })),
        )
        for (const kind of faults) report(kind, `transaction ${xactId}`)
      }
      transactions += ids.length
      last = ids.at(-1)!.xact_id
      if (ids.length < verifyPageMax) return transactions
    }
  })

const verifyReversals = (report: Report) =>
  Effect.gen(function* () {
    let last = 0n
    for (;;) {
      const after = last
      const ids = yield* read(
        (sql) => sql<{ readonly xact_id: bigint }>`
          SELECT DISTINCT b.reverses_xact_id AS xact_id FROM balance_change b
          WHERE b.reverses_xact_id IS NOT NULL AND b.reverses_xact_id > ${after}
          ORDER BY b.reverses_xact_id LIMIT ${BigInt(verifyPageMax)}`,
      )
      if (ids.length === 0) return
      const reversed = ids.map(({ xact_id }) => xact_id)
      const moved = new Map(
        (yield* selectLegs(reversed))
          .filter(({ chg_amt }) => Money.fromDecimal(chg_amt) !== 0n)
          .map((leg) => [`${leg.xact_id} ${leg.acct_id}`, Money.fromDecimal(leg.chg_amt)]),
      )
      const taken = yield* read(
        (sql) => sql<{ readonly xact_id: bigint; readonly acct_id: AccountId; readonly taken: string }>`
          SELECT b.reverses_xact_id AS xact_id, b.acct_id, sum(b.chg_amt)::TEXT AS taken FROM balance_change b
          WHERE b.reverses_xact_id = ANY(${int8s(reversed)}::INT8[]) GROUP BY b.reverses_xact_id, b.acct_id`,
      )
      for (const row of taken) {
        if (isReversedTooFar(moved.get(`${row.xact_id} ${row.acct_id}`), Money.fromSum(row.taken))) {
          report("reversed too far", `transaction ${row.xact_id}, account ${row.acct_id}`)
        }
      }
      last = reversed.at(-1)!
      if (ids.length < verifyPageMax) return
    }
  })
