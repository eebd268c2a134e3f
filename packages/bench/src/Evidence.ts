/** Loads what the audit looks at from the database. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { type BalanceChangeRow, changeColumns, changeOfRow } from "@banquo/ledger/BalanceChangeTable"
import { PgTypes } from "@effect/sql-pg"
import { Array as Arr, Effect, type Redacted, Result } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import type { ClientLog } from "./Attempt.ts"
import type { Evidence } from "./Audit.ts"
import * as Database from "./Database.ts"
import type { Filled } from "./Fill.ts"

/** All rows there are, account by account. */
export const selectAll = (sql: SqlClient.SqlClient): Effect.Effect<ReadonlyArray<BalanceChange>, SqlError.SqlError> =>
  Effect.gen(function* () {
    const rows: Array<BalanceChange> = []
    for (;;) {
      const last = rows.at(-1)
      const chunk = yield* sql<BalanceChangeRow>`
        SELECT ${sql.literal(changeColumns)} FROM balance_change b
        WHERE (b.acct_id, b.acct_seq) > (${last?.acctId ?? beforeAll}::UUID, ${BigInt(last?.acctSeq ?? -1)}::INT8)
        ORDER BY b.acct_id, b.acct_seq LIMIT ${sql.literal(`${chunkSize}`)}`
      for (const row of chunk) rows.push(changeOfRow(row))
      if (chunk.length < chunkSize) return rows
    }
  })

/** The nil UUID, which no account has. */
const beforeAll = "00000000-0000-0000-0000-000000000000"

/** As {@link load}, where ids are no order: from all rows before the run and all rows after it. */
export const between = (
  [before, after]: readonly [ReadonlyArray<BalanceChange>, ReadonlyArray<BalanceChange>],
  ledgerId: string,
  log: ClientLog | null,
): Evidence => {
  const known = new Set(before.map(({ bchgId }) => bchgId))
  const rows = after.filter(({ bchgId }) => !known.has(bchgId))
  return {
    ledgerId,
    // By ascending sequence, so the newest stays.
    tails: new Map(before.map((row) => [row.acctId, row])),
    rows,
    oldRows: { before: before.length, after: after.length - rows.length },
    log,
  }
}

/** Accounts, or ids, of one statement. */
const chunkSize = 20_000

/**
 * All that was stored since the fill, and the row that each chain went on from. Costs by the size of the run, not of the
 * table: rows of the fill were made by the same rules, and are only counted.
 */
export const load = (
  url: Redacted.Redacted<string>,
  filled: Pick<Filled, "rows" | "lastId" | "ledgerId">,
  log: ClientLog | null,
): Effect.Effect<Evidence> =>
  Effect.scoped(
    Effect.gen(function* () {
      const sql = yield* Database.connect(url, 2)
      const rows = yield* selectSince(sql, filled.lastId)
      const touched = [...new Set(rows.map(({ acctId }) => acctId))]
      const tails = yield* selectTails(sql, touched, filled.lastId)
      const [old] = yield* sql<{ readonly count: bigint }>`
        SELECT count(*) AS count FROM balance_change WHERE bchg_id <= ${filled.lastId}`
      return {
        ledgerId: filled.ledgerId,
        tails,
        rows,
        oldRows: { before: filled.rows, after: Number(old!.count) },
        log,
      }
    }),
  ).pipe(Effect.orDie)

const uuids = (values: ReadonlyArray<string>) => Result.getOrThrow(PgTypes.array(values, PgTypes.OID.uuid))

const selectSince = (sql: SqlClient.SqlClient, lastId: bigint) =>
  Effect.gen(function* () {
    const rows: Array<BalanceChange> = []
    let last = lastId
    for (;;) {
      const chunk = yield* sql<BalanceChangeRow>`
        SELECT ${sql.literal(changeColumns)} FROM balance_change b
        WHERE b.bchg_id > ${last} ORDER BY b.bchg_id LIMIT ${chunkSize}`
      for (const row of chunk) rows.push(changeOfRow(row))
      if (chunk.length < chunkSize) return rows
      last = rows.at(-1)!.bchgId
    }
  })

/** By the highest sequence of the fill, not by what the new rows name: that is what is to be checked. */
const selectTails = (sql: SqlClient.SqlClient, acctIds: ReadonlyArray<AccountId>, lastId: bigint) =>
  Effect.gen(function* () {
    const tails = new Map<AccountId, BalanceChange>()
    for (const chunk of Arr.chunksOf(acctIds, chunkSize)) {
      const rows = yield* sql<BalanceChangeRow>`
        SELECT ${sql.literal(changeColumns)} FROM unnest(${uuids(chunk)}::UUID[]) AS a(acct_id)
        JOIN LATERAL (
          SELECT * FROM balance_change x WHERE x.acct_id = a.acct_id AND x.bchg_id <= ${lastId}
          ORDER BY x.acct_seq DESC LIMIT 1
        ) b ON true`
      for (const row of rows) tails.set(row.acct_id, changeOfRow(row))
    }
    return tails
  })
