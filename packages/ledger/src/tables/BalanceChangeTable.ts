/** The table `balance_change`: its rows and the statements on it. One SQL text for PostgreSQL and CockroachDB. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState, AccountStatus, Tail } from "@banquo/domain/AccountState"
import type { Actor } from "@banquo/domain/Actor"
import type { BalanceChange, ChgFlavor } from "@banquo/domain/BalanceChange"
import type { SealedChange } from "@banquo/domain/ChangeHash"
import type { BalanceChangeId, TransactionId } from "@banquo/domain/BalanceChangeId"
import type { Currency } from "@banquo/domain/Currency"
import type { Metadata } from "@banquo/domain/Metadata"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { PgTypes } from "@effect/sql-pg"
import { Array as Arr, Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { array } from "../database/ArrayParameter.ts"
import type { Database } from "../database/Dialect.ts"
import { withOpenHolds } from "../history/OpenHolds.ts"

/** A row as both databases send it: `INT8` as bigint, `DECIMAL` and `TIMESTAMPTZ` as text, which keeps every digit. */
export interface BalanceChangeRow {
  readonly bchg_id: bigint
  readonly acct_id: AccountId
  readonly acct_seq: bigint
  readonly chg_flavor: ChgFlavor
  readonly prev_bchg_id: bigint | null
  readonly chg_amt: string
  readonly balance: string
  readonly held_amt: string
  readonly held: string
  readonly overdraft_limit: string | null
  readonly acct_status: AccountStatus
  readonly xact_id: bigint
  readonly hold_id: bigint | null
  readonly hold_expires_at: string | null
  readonly reverses_xact_id: bigint | null
  readonly description: string | null
  readonly metadata: Metadata | null
  readonly idem_key: string | null
  readonly request_hash: Uint8Array | null
  readonly actor: Actor
  readonly effective_time: string
  readonly chg_create_time: string
  readonly chg_hash: Uint8Array
}

/** A change with the currency of its account, without which its amounts cannot be written. */
export interface CurrencyRow {
  readonly currency: Currency
}

export const changeColumns = `b.bchg_id, b.acct_id, b.acct_seq, b.chg_flavor::TEXT AS chg_flavor, b.prev_bchg_id,
  b.chg_amt::TEXT AS chg_amt, b.balance::TEXT AS balance, b.held_amt::TEXT AS held_amt, b.held::TEXT AS held,
  b.overdraft_limit::TEXT AS overdraft_limit, b.acct_status::TEXT AS acct_status, b.xact_id, b.hold_id,
  (b.hold_expires_at AT TIME ZONE 'UTC')::TEXT AS hold_expires_at, b.reverses_xact_id, b.description, b.metadata,
  b.idem_key, b.request_hash, b.actor, (b.effective_time AT TIME ZONE 'UTC')::TEXT AS effective_time,
  (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time, b.chg_hash`

export const changeOfRow = (row: BalanceChangeRow): BalanceChange => ({
  bchgId: row.bchg_id as BalanceChangeId,
  acctId: row.acct_id,
  acctSeq: Number(row.acct_seq),
  chgFlavor: row.chg_flavor,
  prevBchgId: row.prev_bchg_id as BalanceChangeId | null,
  chgAmt: Money.fromDecimal(row.chg_amt),
  balance: Money.fromDecimal(row.balance),
  heldAmt: Money.fromDecimal(row.held_amt),
  held: Money.fromDecimal(row.held),
  overdraftLimit: row.overdraft_limit === null ? null : Money.fromDecimal(row.overdraft_limit),
  acctStatus: row.acct_status,
  xactId: row.xact_id as TransactionId,
  holdId: row.hold_id as BalanceChangeId | null,
  holdExpiresAt: row.hold_expires_at === null ? null : Timestamp.fromDatabase(row.hold_expires_at),
  reversesXactId: row.reverses_xact_id as TransactionId | null,
  description: row.description,
  metadata: row.metadata,
  idemKey: row.idem_key,
  requestHash: row.request_hash,
  actor: row.actor,
  effectiveTime: Timestamp.fromDatabase(row.effective_time),
  chgCreateTime: Timestamp.fromDatabase(row.chg_create_time),
  chgHash: row.chg_hash,
})

/** The part of a row that says the state of the account after it. */
export const stateColumns = `b.bchg_id, b.acct_seq, b.balance::TEXT AS balance, b.held::TEXT AS held,
  b.overdraft_limit::TEXT AS overdraft_limit, b.acct_status::TEXT AS acct_status,
  (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time, b.chg_hash`

export type StateRow = Pick<
  BalanceChangeRow,
  "bchg_id" | "acct_seq" | "balance" | "held" | "overdraft_limit" | "acct_status" | "chg_create_time" | "chg_hash"
>

export const tailOfRow = (row: StateRow & CurrencyRow, acctId: AccountId): Tail => ({
  acctId,
  currency: row.currency,
  bchgId: row.bchg_id as BalanceChangeId,
  acctSeq: Number(row.acct_seq),
  balance: Money.fromDecimal(row.balance),
  held: Money.fromDecimal(row.held),
  overdraftLimit: row.overdraft_limit === null ? null : Money.fromDecimal(row.overdraft_limit),
  acctStatus: row.acct_status,
  chgCreateTime: Timestamp.fromDatabase(row.chg_create_time),
  chgHash: row.chg_hash,
})

/**
 * The states of many accounts; those that do not exist are left out. The tail is the row of the highest sequence: never that
 * of the newest id or time, which a fast clock elsewhere can put in the wrong order.
 *
 * One statement on PostgreSQL, and one more for each account that holds something. CockroachDB turns a LATERAL with a LIMIT into a join that reads the whole past of each account,
 * so there each account has a SELECT of its own, up to {@link tailsMax} of them in a statement.
 */
export const selectHeads = (
  sql: SqlClient.SqlClient,
  acctIds: ReadonlyArray<AccountId>,
  { dialect }: Pick<Database, "dialect">,
): Effect.Effect<ReadonlyMap<AccountId, AccountState>, SqlError.SqlError> =>
  (dialect === "postgresql" ? selectTailsByJoin(sql, acctIds) : selectTailsEach(sql, acctIds)).pipe(
    Effect.flatMap((rows) =>
      withOpenHolds(
        sql,
        rows.map((row) => tailOfRow(row, row.acct_id)),
      ),
    ),
    Effect.map((states) => new Map(states.map((state) => [state.acctId, state]))),
  )

type TailRow = { readonly acct_id: AccountId } & StateRow & CurrencyRow

type Tails = Effect.Effect<ReadonlyArray<TailRow>, SqlError.SqlError>

const selectTailsByJoin = (sql: SqlClient.SqlClient, acctIds: ReadonlyArray<AccountId>): Tails => sql<TailRow>`
  SELECT a.acct_id, c.currency, ${sql.literal(stateColumns)}
  FROM unnest(${array(PgTypes.OID.uuid, acctIds)}::UUID[]) AS a(acct_id)
  JOIN account c ON c.acct_id = a.acct_id
  JOIN LATERAL (
    SELECT * FROM balance_change x WHERE x.acct_id = a.acct_id ORDER BY x.acct_seq DESC LIMIT 1
  ) b ON true`

/** Most accounts of one statement by {@link selectTailsEach}. */
export const tailsMax = 64

/** Statements for 1, 2, 4, … accounts, so that they are few to prepare; the last account fills the rest. */
const selectTailsEach = (sql: SqlClient.SqlClient, acctIds: ReadonlyArray<AccountId>): Tails =>
  Effect.map(
    Effect.forEach(
      Arr.chunksOf(acctIds, tailsMax),
      (chunk) => {
        const size = 2 ** Math.ceil(Math.log2(chunk.length))
        const parameters = Arr.makeBy(size, (index) => chunk[Math.min(index, chunk.length - 1)]!)
        return sql.unsafe<TailRow>(tailsText(size), parameters)
      },
      { concurrency: "unbounded" },
    ),
    (results) => results.flat(),
  )

const tailsText = (size: number): string =>
  Arr.makeBy(
    size,
    (index) => `(SELECT b.acct_id, c.currency, ${stateColumns}
    FROM balance_change b JOIN account c ON c.acct_id = b.acct_id
    WHERE b.acct_id = $${index + 1}::UUID ORDER BY b.acct_seq DESC LIMIT 1)`,
  ).join(" UNION ALL ")

/** An account as rows of its chain left it, by their sequences; those that do not exist are left out. */
export const selectStates = (
  sql: SqlClient.SqlClient,
  acctId: AccountId,
  seqs: ReadonlyArray<number>,
): Effect.Effect<ReadonlyMap<number, AccountState>, SqlError.SqlError> =>
  sql<StateRow & CurrencyRow>`
    SELECT c.currency, ${sql.literal(stateColumns)} FROM balance_change b JOIN account c ON c.acct_id = b.acct_id
    WHERE b.acct_id = ${acctId}::UUID AND b.acct_seq = ANY(${int8s(seqs)}::INT8[])`.pipe(
    Effect.flatMap((rows) =>
      withOpenHolds(
        sql,
        rows.map((row) => tailOfRow(row, acctId)),
      ),
    ),
    Effect.map((states) => new Map(states.map((state) => [state.acctSeq, state]))),
  )

/** When rows of an account were made, by their sequences. */
export const selectCreateTimes = (
  sql: SqlClient.SqlClient,
  acctId: AccountId,
  seqs: ReadonlyArray<number>,
): Effect.Effect<ReadonlyMap<number, Timestamp.Timestamp>, SqlError.SqlError> =>
  sql<Pick<BalanceChangeRow, "acct_seq" | "chg_create_time">>`
    SELECT b.acct_seq, (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time FROM balance_change b
    WHERE b.acct_id = ${acctId}::UUID AND b.acct_seq = ANY(${int8s(seqs)}::INT8[])`.pipe(
    Effect.map(
      (rows) => new Map(rows.map((row) => [Number(row.acct_seq), Timestamp.fromDatabase(row.chg_create_time)])),
    ),
  )

const int8s = (values: ReadonlyArray<number>) => array(PgTypes.OID.int8, values.map(BigInt))

/** So many unused ids, ascending: rows of a transaction are put in order by them again. */
export const selectNewIds = (
  sql: SqlClient.SqlClient,
  count: number,
  { idSource }: Pick<Database, "idSource">,
): Effect.Effect<ReadonlyArray<BalanceChangeId>, SqlError.SqlError> =>
  sql<{ readonly id: bigint }>`
    SELECT ${sql.literal(idSource)} AS id FROM generate_series(1, ${BigInt(count)}::INT8)`.pipe(
    Effect.map((rows) => rows.map(({ id }) => id as BalanceChangeId).sort((a, b) => (a < b ? -1 : 1))),
  )

const money = (value: Money.Money | null) => (value === null ? null : Money.toDecimal(value))
const time = (value: Timestamp.Timestamp | null) => (value === null ? null : Timestamp.format(value))

/**
 * The stored rows that sorted rows stand on: for each account, the row that its first new one follows. Dies where the rows of
 * an account do not follow one another.
 */
const baseOf = (rows: ReadonlyArray<SealedChange>): ReadonlyArray<SealedChange> =>
  rows.filter((row, at) => {
    const before = rows[at - 1]
    if (before?.acctId !== row.acctId) return row.acctSeq > 0
    if (row.acctSeq !== before.acctSeq + 1 || row.prevHash !== before.chgHash) {
      throw new RangeError("rows of one account that do not follow one another")
    }
    return false
  })

/**
 * Appends rows by one statement: all of them, or none where one of the rows that they follow is not stored with the very hash
 * that they were sealed with. So nothing is built upon a row that a server has lost. Answers how many rows were stored.
 *
 * The rows are sorted by account and sequence, because unsorted batches deadlock one another on the unique indexes.
 */
export const insert = (
  sql: SqlClient.SqlClient,
  changes: ReadonlyArray<SealedChange>,
): Effect.Effect<number, SqlError.SqlError> => {
  const rows = changes.toSorted((a, b) =>
    a.acctId === b.acctId ? a.acctSeq - b.acctSeq : a.acctId < b.acctId ? -1 : 1,
  )
  const base = baseOf(rows)
  const baseColumn = (oid: number, value: (change: SealedChange) => unknown) => array(oid, base.map(value))
  const column = (oid: number, value: (change: SealedChange) => unknown) => array(oid, rows.map(value))
  const { bytea, int8, text, uuid } = PgTypes.OID
  const statement = sql`
    INSERT INTO balance_change (bchg_id, acct_id, acct_seq, chg_flavor, prev_bchg_id, chg_amt, balance, held_amt, held,
      overdraft_limit, acct_status, xact_id, hold_id, hold_expires_at, reverses_xact_id, description, metadata, idem_key,
      request_hash, actor, effective_time, chg_create_time, chg_hash)
    SELECT r.bchg_id, r.acct_id, r.acct_seq, r.chg_flavor::bal_chg_flavor, r.prev_bchg_id, r.chg_amt::DECIMAL,
      r.balance::DECIMAL, r.held_amt::DECIMAL, r.held::DECIMAL, r.overdraft_limit::DECIMAL, r.acct_status::acct_status,
      r.xact_id, r.hold_id, r.hold_expires_at::TIMESTAMPTZ, r.reverses_xact_id, r.description, r.metadata::JSONB,
      r.idem_key, r.request_hash, r.actor, r.effective_time::TIMESTAMPTZ, r.chg_create_time::TIMESTAMPTZ, r.chg_hash
    FROM unnest(
      ${column(int8, (c) => c.bchgId)}::INT8[],
      ${column(uuid, (c) => c.acctId)}::UUID[],
      ${column(int8, (c) => BigInt(c.acctSeq))}::INT8[],
      ${column(text, (c) => c.chgFlavor)}::TEXT[],
      ${column(int8, (c) => c.prevBchgId)}::INT8[],
      ${column(text, (c) => money(c.chgAmt))}::TEXT[],
      ${column(text, (c) => money(c.balance))}::TEXT[],
      ${column(text, (c) => money(c.heldAmt))}::TEXT[],
      ${column(text, (c) => money(c.held))}::TEXT[],
      ${column(text, (c) => money(c.overdraftLimit))}::TEXT[],
      ${column(text, (c) => c.acctStatus)}::TEXT[],
      ${column(int8, (c) => c.xactId)}::INT8[],
      ${column(int8, (c) => c.holdId)}::INT8[],
      ${column(text, (c) => time(c.holdExpiresAt))}::TEXT[],
      ${column(int8, (c) => c.reversesXactId)}::INT8[],
      ${column(text, (c) => c.description)}::TEXT[],
      ${column(text, (c) => (c.metadata === null ? null : JSON.stringify(c.metadata)))}::TEXT[],
      ${column(text, (c) => c.idemKey)}::TEXT[],
      ${column(bytea, (c) => c.requestHash)}::BYTEA[],
      ${column(text, (c) => c.actor)}::TEXT[],
      ${column(text, (c) => time(c.effectiveTime))}::TEXT[],
      ${column(text, (c) => time(c.chgCreateTime))}::TEXT[],
      ${column(bytea, (c) => c.chgHash)}::BYTEA[]
    ) AS r(bchg_id, acct_id, acct_seq, chg_flavor, prev_bchg_id, chg_amt, balance, held_amt, held, overdraft_limit,
      acct_status, xact_id, hold_id, hold_expires_at, reverses_xact_id, description, metadata, idem_key, request_hash,
      actor, effective_time, chg_create_time, chg_hash)
    WHERE NOT EXISTS (
      SELECT 1 FROM unnest(
        ${baseColumn(uuid, (c) => c.acctId)}::UUID[],
        ${baseColumn(int8, (c) => BigInt(c.acctSeq - 1))}::INT8[],
        ${baseColumn(bytea, (c) => c.prevHash)}::BYTEA[]
      ) AS h(acct_id, acct_seq, chg_hash)
      WHERE (SELECT q.chg_hash FROM balance_change q WHERE q.acct_id = h.acct_id AND q.acct_seq = h.acct_seq)
        IS DISTINCT FROM h.chg_hash)`
  return Effect.map(statement.raw, (result) => (result as { readonly rowCount: number }).rowCount)
}

/** The hash of the row at a sequence of an account. */
export const selectHash = (
  sql: SqlClient.SqlClient,
  acctId: AccountId,
  acctSeq: number,
): Effect.Effect<Uint8Array | undefined, SqlError.SqlError> =>
  Effect.map(
    sql<Pick<BalanceChangeRow, "chg_hash">>`
      SELECT chg_hash FROM balance_change WHERE acct_id = ${acctId}::UUID AND acct_seq = ${BigInt(acctSeq)}`,
    ([row]) => row?.chg_hash,
  )

/**
 * The rows of a transaction in the order of its changes. Two index look-ups: only legs after the first are indexed. A range of
 * one value, because CockroachDB puts a constant in the place of a column that equals it, and `xact_id <> bchg_id`, which the
 * index is for, would not be found again.
 */
export const selectTransaction = (
  sql: SqlClient.SqlClient,
  id: TransactionId,
): Effect.Effect<ReadonlyArray<BalanceChangeRow & CurrencyRow>, SqlError.SqlError> =>
  sql<BalanceChangeRow & CurrencyRow>`
    SELECT c.currency, ${sql.literal(changeColumns)} FROM balance_change b JOIN account c ON c.acct_id = b.acct_id
    WHERE b.bchg_id = ${id} AND b.xact_id = b.bchg_id
    UNION ALL
    SELECT c.currency, ${sql.literal(changeColumns)} FROM balance_change b JOIN account c ON c.acct_id = b.acct_id
    WHERE b.xact_id BETWEEN ${id} AND ${id} AND b.xact_id <> b.bchg_id
    ORDER BY bchg_id`

/** The first row of the transaction that a key named. */
export const selectByIdemKey = (
  sql: SqlClient.SqlClient,
  idemKey: string,
): Effect.Effect<ReadonlyArray<Pick<BalanceChangeRow, "xact_id" | "request_hash">>, SqlError.SqlError> =>
  sql`SELECT xact_id, request_hash FROM balance_change WHERE idem_key = ${idemKey}`

/** Which of the keys have been used. */
export const selectUsedKeys = (
  sql: SqlClient.SqlClient,
  idemKeys: ReadonlyArray<string>,
): Effect.Effect<ReadonlyArray<string>, SqlError.SqlError> =>
  sql<{ readonly idem_key: string }>`
    SELECT idem_key FROM balance_change WHERE idem_key = ANY(${array(PgTypes.OID.text, idemKeys)}::TEXT[])`.pipe(
    Effect.map((rows) => rows.map(({ idem_key }) => idem_key)),
  )

/** The first row of an account. */
export const selectInitial = (
  sql: SqlClient.SqlClient,
  acctId: AccountId,
): Effect.Effect<ReadonlyArray<Pick<BalanceChangeRow, "xact_id" | "request_hash">>, SqlError.SqlError> =>
  sql`SELECT xact_id, request_hash FROM balance_change WHERE acct_id = ${acctId}::UUID AND acct_seq = 0`

/** What reversals of transactions have done to each balance already. */
export const selectReversed = (
  sql: SqlClient.SqlClient,
  xactIds: ReadonlyArray<TransactionId>,
): Effect.Effect<
  ReadonlyArray<{ readonly xact_id: bigint; readonly acct_id: AccountId; readonly amt: string }>,
  SqlError.SqlError
> =>
  sql`SELECT reverses_xact_id AS xact_id, acct_id, sum(chg_amt)::DECIMAL(19,4)::TEXT AS amt FROM balance_change
    WHERE reverses_xact_id = ANY(${array(PgTypes.OID.int8, xactIds)}::INT8[])
    GROUP BY reverses_xact_id, acct_id`

/** All rows of a hold, by ascending sequence. Not a join, which PostgreSQL makes a scan of all accounts while its statistics are young. */
export const selectHold = (
  sql: SqlClient.SqlClient,
  holdId: BalanceChangeId,
): Effect.Effect<ReadonlyArray<BalanceChangeRow & CurrencyRow>, SqlError.SqlError> =>
  sql<BalanceChangeRow & CurrencyRow>`
    SELECT (SELECT c.currency FROM account c WHERE c.acct_id = b.acct_id) AS currency, ${sql.literal(changeColumns)}
    FROM balance_change b WHERE b.hold_id = ${holdId} ORDER BY b.acct_seq`
