/**
 * How other ledgers append, on the same table with the same client, rules and hashes: what differs is the algorithm alone.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { decide } from "@banquo/domain/Decide"
import type { PostTransactionRefusal } from "@banquo/domain/PostTransaction"
import { noHolds } from "@banquo/domain/Hold"
import { accountIds, type PostTransaction, type Request } from "@banquo/domain/Intent"
import * as Timestamp from "@banquo/domain/Timestamp"
import * as BalanceChangeTable from "@banquo/ledger/BalanceChangeTable"
import { Contention, defectOf, faultOf } from "@banquo/ledger/DatabaseError"
import { atomically, contentionBackoff, DbConn } from "@banquo/ledger/DbConn"
import { Clock, Effect } from "effect"
import { type SqlClient, SqlError } from "effect/sql"

/** The algorithms, and what each is in a report. */
export const rivals = {
  "read-then-insert": "the prototype's: read the tail, insert after it, and begin again when another was first",
  "lock-row": "a transaction that locks the account's row, reads the tail, inserts, commits",
} as const
export type RivalName = keyof typeof rivals

export interface Appended {
  readonly changes: ReadonlyArray<BalanceChange>
}

type Rival = (request: Request<PostTransaction>) => Effect.Effect<Appended, PostTransactionRefusal | Contention, DbConn>

type Step = (
  clients: Pick<DbConn["Service"], "sql" | "reads">,
  request: Request<PostTransaction>,
  ledgerId: string,
) => Effect.Effect<Appended, PostTransactionRefusal | SqlError.SqlError>

const saltSeed = new Uint8Array(16)

const readThenInsert: Step = Effect.fnUntraced(function* ({ reads, sql }, request, ledgerId) {
  const { heads, ids } = yield* selectTails(reads, accountIds(request.intent))
  const now = Timestamp.fromMillis(yield* Clock.currentTimeMillis)
  const { changes } = yield* Effect.fromResult(decide(request, heads, { now, ids, ledgerId, saltSeed }))
  yield* BalanceChangeTable.insert(sql, changes)
  return { changes }
})

const lockRow: Step = ({ sql }, request, ledgerId) =>
  atomically(
    sql,
    Effect.andThen(
      // In one order, or two transfers between the same accounts deadlock.
      sql`SELECT acct_id FROM account WHERE acct_id IN ${sql.in(accountIds(request.intent))} AND acct_seq = 0 ORDER BY acct_id FOR UPDATE`,
      readThenInsert({ reads: sql, sql }, request, ledgerId),
    ),
  )

/** Tries again as the server does: with jitter, for as long as the server would. */
const trying =
  (step: Step): Rival =>
  (request) =>
    Effect.gen(function* () {
      const { ledgerId, reads, sql } = yield* DbConn
      const id = yield* Effect.orDie(ledgerId)
      return yield* step({ reads, sql }, request, id).pipe(
        Effect.retry({ while: wasBeaten, schedule: contentionBackoff }),
        Effect.catchIf(SqlError.isSqlError, (error) =>
          wasBeaten(error) ? Effect.fail(new Contention()) : Effect.die(defectOf(error)),
        ),
      )
    })

const wasBeaten = (error: PostTransactionRefusal | SqlError.SqlError): boolean => {
  if (!SqlError.isSqlError(error)) return false
  const fault = faultOf(error)
  return fault === "conflict" || fault === "retry"
}

export const append: { readonly [Name in RivalName]: Rival } = {
  "read-then-insert": trying(readThenInsert),
  "lock-row": trying(lockRow),
}

/** The tails, and an unused id for each, by one statement. */
const selectTails = (sql: SqlClient.SqlClient, acctIds: ReadonlyArray<AccountId>) =>
  sql<
    BalanceChangeTable.StateRow & { readonly new_id: BalanceChangeId; readonly acct_id: AccountId }
  >`SELECT unique_rowid() AS new_id, c.acct_id, ${sql.literal(BalanceChangeTable.stateColumns)}
    FROM account c JOIN LATERAL (
      SELECT * FROM balance_change x WHERE x.acct_id = c.acct_id ORDER BY x.acct_seq DESC LIMIT 1
    ) b ON true
    WHERE c.acct_id IN ${sql.in(acctIds)} AND c.acct_seq = 0`.pipe(
    Effect.map((rows) => ({
      heads: new Map(
        rows.map((row): [AccountId, AccountState] => [
          row.acct_id,
          { ...BalanceChangeTable.tailOfRow(row, row.acct_id), openHolds: noHolds },
        ]),
      ),
      ids: rows.map(({ new_id }) => new_id).sort((a, b) => (a < b ? -1 : 1)),
    })),
  )
