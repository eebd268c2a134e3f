/** That transactions are whole and make no money, and that reversals take back no more than there was. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { BalanceChangeId, TransactionId } from "@banquo/domain/BalanceChangeId"
import { isReversedTooFar, transactionFaultsOf } from "@banquo/domain/ChainCheck"
import type { Currency } from "@banquo/domain/Currency"
import * as Money from "@banquo/domain/Money"
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import { array } from "../database/ArrayParameter.ts"
import { read } from "../database/DbConn.ts"
import { limitTo } from "../tables/RowLimit.ts"
import type { Report } from "./Fault.ts"

/** Changes that are read at a time, and transactions that were reversed. */
const pageMax = 500

interface LegRow {
  readonly bchg_id: bigint
  readonly xact_id: bigint
  readonly xact_rows: number
  readonly currency: Currency
  readonly chg_amt: string
}

/** Transactions of several changes, in the order of their ids. One of a single change cannot be wrong by itself. */
export const verifyTransactions = (report: Report) =>
  Effect.gen(function* () {
    let transactions = 0
    /** The last transaction of a page may go on in the next one. */
    let open: ReadonlyArray<LegRow> = []
    for (;;) {
      const last = open.at(-1)
      const page = yield* read(
        // Why: Rows of a transaction come by one INSERT, and never change: a page that has one of them could have
        // all.
        // Plan: The partial index on xact_id, whose condition is said, in its order, from a place on.
        (sql) => sql<LegRow>`
          SELECT b.bchg_id, b.xact_id, b.xact_rows, b.currency, b.chg_amt::TEXT AS chg_amt FROM balance_change b
          WHERE b.xact_rows > 1 AND (b.xact_id, b.bchg_id) > (${last?.xact_id ?? 0n}::INT8, ${last?.bchg_id ?? 0n}::INT8)
          ORDER BY b.xact_id, b.bchg_id LIMIT ${limitTo(sql, pageMax)}`,
      )
      const isLast = page.length < pageMax
      const groups = [...Map.groupBy([...open, ...page], ({ xact_id }) => xact_id)]
      for (const [xactId, legs] of isLast ? groups : groups.slice(0, -1)) {
        for (const kind of transactionFaultsOf(legs.map(legOfRow))) report(kind, `transaction ${xactId}`)
        transactions += 1
      }
      if (isLast) return transactions
      open = groups.at(-1)![1]
    }
  })

const legOfRow = (row: LegRow) => ({
  bchgId: row.bchg_id as BalanceChangeId,
  xactId: row.xact_id as TransactionId,
  xactRows: Number(row.xact_rows),
  chgAmt: Money.fromDecimal(row.chg_amt),
  currency: row.currency,
})

const int8s = (ids: ReadonlyArray<bigint>) => array(PgTypes.OID.int8, ids)

export const verifyReversals = (report: Report) =>
  Effect.gen(function* () {
    let last = 0n
    for (;;) {
      const after = last
      const ids = yield* read(
        // Why: Rows of a reversal come by one INSERT, and never change.
        // Plan: The partial index on reverses_xact_id, whose condition is said, in its order, from a place on.
        (sql) => sql<{ readonly xact_id: bigint }>`
          SELECT DISTINCT b.reverses_xact_id AS xact_id FROM balance_change b
          WHERE b.reverses_xact_id IS NOT NULL AND b.reverses_xact_id > ${after}
          ORDER BY b.reverses_xact_id LIMIT ${limitTo(sql, pageMax)}`,
      )
      if (ids.length === 0) return
      const reversed = ids.map(({ xact_id }) => xact_id)
      const originals = yield* read(
        // Why: Rows of a transaction come by one INSERT, and never change.
        // Plan: One look for each at the unique key on bchg_id, and at the partial index on xact_id, whose condition is
        // said.
        (sql) => sql<Pick<LegRow, "xact_id" | "chg_amt"> & { readonly acct_id: AccountId }>`
          SELECT b.xact_id, b.acct_id, b.chg_amt::TEXT AS chg_amt FROM balance_change b
          WHERE b.bchg_id = ANY(${int8s(reversed)}::INT8[]) AND b.xact_id = b.bchg_id AND b.chg_amt <> 0
          UNION ALL
          SELECT b.xact_id, b.acct_id, b.chg_amt::TEXT AS chg_amt FROM balance_change b
          WHERE b.xact_id = ANY(${int8s(reversed)}::INT8[]) AND b.xact_rows > 1 AND b.xact_id <> b.bchg_id AND b.chg_amt <> 0`,
      )
      const moved = new Map(originals.map((leg) => [`${leg.xact_id} ${leg.acct_id}`, Money.fromDecimal(leg.chg_amt)]))
      const taken = yield* read(
        // Why: Sums of decimals are exact. One state of all rows.
        // Plan: One look for each at the partial index on reverses_xact_id, whose condition is said.
        (sql) => sql<{ readonly xact_id: bigint; readonly acct_id: AccountId; readonly taken: string }>`
          SELECT b.reverses_xact_id AS xact_id, b.acct_id, sum(b.chg_amt)::TEXT AS taken FROM balance_change b
          WHERE b.reverses_xact_id = ANY(${int8s(reversed)}::INT8[]) AND b.reverses_xact_id IS NOT NULL
          GROUP BY b.reverses_xact_id, b.acct_id`,
      )
      for (const row of taken) {
        if (isReversedTooFar(moved.get(`${row.xact_id} ${row.acct_id}`), Money.fromDecimal(row.taken))) {
          report("reversed too far", `transaction ${row.xact_id}, account ${row.acct_id}`)
        }
      }
      last = reversed.at(-1)!
      if (ids.length < pageMax) return
    }
  })
