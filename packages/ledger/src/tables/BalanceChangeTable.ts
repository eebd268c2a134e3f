/** The table `balance_change`: its rows and the statements on it. One SQL text for PostgreSQL and CockroachDB. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountState, Tail } from "@banquo/domain/AccountState"
import type { AccountStatus } from "@banquo/domain/AccountStatus"
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
import { withOpenHolds } from "./OpenHolds.ts"

/** A row as both databases send it: `INT8` as bigint, `DECIMAL` and `TIMESTAMPTZ` as text, which keeps every digit. */
export interface BalanceChangeRow {
  readonly bchg_id: bigint
  readonly acct_id: AccountId
  readonly acct_seq: bigint
  readonly chg_flavor: ChgFlavor
  readonly prev_bchg_id: bigint | null
  readonly owner: string | null
  readonly currency: Currency
  readonly scale: number
  readonly chg_amt: string
  readonly balance: string
  readonly held_amt: string
  readonly held: string
  readonly overdraft_limit: string | null
  readonly acct_status: AccountStatus
  readonly is_forced: boolean
  readonly xact_id: bigint
  readonly xact_rows: number
  readonly hold_id: bigint | null
  readonly hold_expires_at: string | null
  readonly reverses_xact_id: bigint | null
  readonly reference: string | null
  readonly description: string | null
  readonly metadata: Metadata | null
  readonly texts_salt: Uint8Array | null
  readonly texts_hash: Uint8Array | null
  readonly idem_key: Uint8Array | null
  readonly request_hash: Uint8Array | null
  readonly details_hash: Uint8Array | null
  readonly actor: Actor
  readonly effective_time: string
  readonly value_date: string | null
  readonly chg_create_time: string
  readonly chg_hash: Uint8Array
}

export const changeColumns = `b.bchg_id, b.acct_id, b.acct_seq, b.chg_flavor::TEXT AS chg_flavor, b.prev_bchg_id,
  b.owner, b.currency, b.scale, b.chg_amt::TEXT AS chg_amt, b.balance::TEXT AS balance, b.held_amt::TEXT AS held_amt,
  b.held::TEXT AS held, b.overdraft_limit::TEXT AS overdraft_limit, b.acct_status::TEXT AS acct_status, b.is_forced,
  b.xact_id, b.xact_rows, b.hold_id, (b.hold_expires_at AT TIME ZONE 'UTC')::TEXT AS hold_expires_at, b.reverses_xact_id,
  b.reference, b.description, b.metadata, b.texts_salt, b.texts_hash, b.idem_key, b.request_hash, b.details_hash, b.actor,
  (b.effective_time AT TIME ZONE 'UTC')::TEXT AS effective_time, b.value_date::TEXT AS value_date,
  (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time, b.chg_hash`

export const changeOfRow = (row: BalanceChangeRow): BalanceChange => ({
  bchgId: row.bchg_id as BalanceChangeId,
  acctId: row.acct_id,
  acctSeq: Number(row.acct_seq),
  chgFlavor: row.chg_flavor,
  prevBchgId: row.prev_bchg_id as BalanceChangeId | null,
  owner: row.owner,
  currency: row.currency,
  scale: Number(row.scale),
  chgAmt: Money.fromDecimal(row.chg_amt),
  balance: Money.fromDecimal(row.balance),
  heldAmt: Money.fromDecimal(row.held_amt),
  held: Money.fromDecimal(row.held),
  overdraftLimit: row.overdraft_limit === null ? null : Money.fromDecimal(row.overdraft_limit),
  acctStatus: row.acct_status,
  isForced: row.is_forced,
  xactId: row.xact_id as TransactionId,
  xactRows: Number(row.xact_rows),
  holdId: row.hold_id as BalanceChangeId | null,
  holdExpiresAt: row.hold_expires_at === null ? null : Timestamp.fromDatabase(row.hold_expires_at),
  reversesXactId: row.reverses_xact_id as TransactionId | null,
  reference: row.reference,
  description: row.description,
  metadata: row.metadata,
  textsSalt: row.texts_salt,
  textsHash: row.texts_hash,
  idemKey: row.idem_key,
  requestHash: row.request_hash,
  detailsHash: row.details_hash,
  actor: row.actor,
  effectiveTime: Timestamp.fromDatabase(row.effective_time),
  valueDate: row.value_date,
  chgCreateTime: Timestamp.fromDatabase(row.chg_create_time),
  chgHash: row.chg_hash,
})

/** The part of a row that says the state of the account after it. */
export const stateColumns = `b.bchg_id, b.acct_seq, b.owner, b.currency, b.scale, b.balance::TEXT AS balance, b.held::TEXT AS held,
  b.overdraft_limit::TEXT AS overdraft_limit, b.acct_status::TEXT AS acct_status,
  (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time, b.chg_hash`

export type StateRow = Pick<
  BalanceChangeRow,
  | "bchg_id"
  | "acct_seq"
  | "owner"
  | "currency"
  | "scale"
  | "balance"
  | "held"
  | "overdraft_limit"
  | "acct_status"
  | "chg_create_time"
  | "chg_hash"
>

export const tailOfRow = (row: StateRow, acctId: AccountId): Tail => ({
  acctId,
  owner: row.owner,
  currency: row.currency,
  scale: Number(row.scale),
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

type TailRow = { readonly acct_id: AccountId } & StateRow

type Tails = Effect.Effect<ReadonlyArray<TailRow>, SqlError.SqlError>

// Why: The tail is the row of the highest sequence. CockroachDB would read the whole past of each account.
// Plan: For each account one end of the range of (acct_id, acct_seq).
// Only: postgresql
const selectTailsByJoin = (sql: SqlClient.SqlClient, acctIds: ReadonlyArray<AccountId>): Tails => sql<TailRow>`
  SELECT a.acct_id, ${sql.literal(stateColumns)}
  FROM unnest(${array(PgTypes.OID.uuid, acctIds)}::UUID[]) AS a(acct_id)
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
    // Why: The tail is the row of the highest sequence. 1, 2, 4, … 64 parts, so that seven texts are prepared.
    // Plan: For each part a reverse scan of (acct_id, acct_seq) of one row.
    // Only: cockroachdb
    (index) => `(SELECT b.acct_id, ${stateColumns}
    FROM balance_change b
    WHERE b.acct_id = $${index + 1}::UUID ORDER BY b.acct_seq DESC LIMIT 1)`,
  ).join(" UNION ALL ")

/** An account as rows of its chain left it, by their sequences; those that do not exist are left out. */
export const selectStates = (
  sql: SqlClient.SqlClient,
  acctId: AccountId,
  seqs: ReadonlyArray<number>,
): Effect.Effect<ReadonlyMap<number, AccountState>, SqlError.SqlError> =>
  // Why: A read of rows that never change.
  // Plan: By (acct_id, acct_seq), a look for each.
  sql<StateRow>`
    SELECT ${sql.literal(stateColumns)} FROM balance_change b
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
  // Why: A read of rows that never change.
  // Plan: By (acct_id, acct_seq), a look for each.
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
  // Why: A function of ours on PostgreSQL; CockroachDB's own, which spreads them where there are several nodes. Volatile, so each row has its own.
  // Plan: No table; the sequence of PostgreSQL is not part of any transaction. 2 000 at a time.
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

/** A column as it is written: the type that its values are sent as, and the one that they are cast to where that is another. */
interface Written {
  readonly name: string
  readonly sentAs: "INT8" | "UUID" | "TEXT" | "BOOL" | "BYTEA"
  readonly castTo?: string
  readonly valueOf: (change: SealedChange) => unknown
}

const oids = {
  INT8: PgTypes.OID.int8,
  UUID: PgTypes.OID.uuid,
  TEXT: PgTypes.OID.text,
  BOOL: PgTypes.OID.bool,
  BYTEA: PgTypes.OID.bytea,
} as const

const amountColumn = (name: string, amountOf: (change: SealedChange) => Money.Money | null): Written => ({
  name,
  sentAs: "TEXT",
  castTo: "DECIMAL",
  valueOf: (change) => money(amountOf(change)),
})

const timeColumn = (name: string, timeOf: (change: SealedChange) => Timestamp.Timestamp | null): Written => ({
  name,
  sentAs: "TEXT",
  castTo: "TIMESTAMPTZ",
  valueOf: (change) => time(timeOf(change)),
})

/** Every column, in the order of the table. */
const written: ReadonlyArray<Written> = [
  { name: "bchg_id", sentAs: "INT8", valueOf: (c) => c.bchgId },
  { name: "acct_id", sentAs: "UUID", valueOf: (c) => c.acctId },
  { name: "acct_seq", sentAs: "INT8", valueOf: (c) => BigInt(c.acctSeq) },
  { name: "chg_flavor", sentAs: "TEXT", castTo: "bal_chg_flavor", valueOf: (c) => c.chgFlavor },
  { name: "prev_bchg_id", sentAs: "INT8", valueOf: (c) => c.prevBchgId },
  { name: "owner", sentAs: "TEXT", valueOf: (c) => c.owner },
  { name: "currency", sentAs: "TEXT", valueOf: (c) => c.currency },
  { name: "scale", sentAs: "INT8", castTo: "INT2", valueOf: (c) => BigInt(c.scale) },
  amountColumn("chg_amt", (c) => c.chgAmt),
  amountColumn("balance", (c) => c.balance),
  amountColumn("held_amt", (c) => c.heldAmt),
  amountColumn("held", (c) => c.held),
  amountColumn("overdraft_limit", (c) => c.overdraftLimit),
  { name: "acct_status", sentAs: "TEXT", castTo: "acct_status", valueOf: (c) => c.acctStatus },
  { name: "is_forced", sentAs: "BOOL", valueOf: (c) => c.isForced },
  { name: "xact_id", sentAs: "INT8", valueOf: (c) => c.xactId },
  { name: "xact_rows", sentAs: "INT8", castTo: "INT2", valueOf: (c) => BigInt(c.xactRows) },
  { name: "hold_id", sentAs: "INT8", valueOf: (c) => c.holdId },
  timeColumn("hold_expires_at", (c) => c.holdExpiresAt),
  { name: "reverses_xact_id", sentAs: "INT8", valueOf: (c) => c.reversesXactId },
  { name: "reference", sentAs: "TEXT", valueOf: (c) => c.reference },
  { name: "description", sentAs: "TEXT", valueOf: (c) => c.description },
  { name: "metadata", sentAs: "TEXT", castTo: "JSONB", valueOf: (c) => c.metadata && JSON.stringify(c.metadata) },
  { name: "texts_salt", sentAs: "BYTEA", valueOf: (c) => c.textsSalt },
  { name: "texts_hash", sentAs: "BYTEA", valueOf: (c) => c.textsHash },
  { name: "idem_key", sentAs: "BYTEA", valueOf: (c) => c.idemKey },
  { name: "request_hash", sentAs: "BYTEA", valueOf: (c) => c.requestHash },
  { name: "details_hash", sentAs: "BYTEA", valueOf: (c) => c.detailsHash },
  { name: "actor", sentAs: "TEXT", valueOf: (c) => c.actor },
  timeColumn("effective_time", (c) => c.effectiveTime),
  { name: "value_date", sentAs: "TEXT", castTo: "DATE", valueOf: (c) => c.valueDate },
  timeColumn("chg_create_time", (c) => c.chgCreateTime),
  { name: "chg_hash", sentAs: "BYTEA", valueOf: (c) => c.chgHash },
]

const writtenNames = written.map(({ name }) => name).join(", ")

// Why: All rows or none; every column is said, ids among them, so that it may be sent again. Sorted by account and
// sequence, or batches deadlock. All rows that the new ones follow are stored with the hash that was decided on, or
// nothing is stored: the guard says so once, before the first row. No RETURNING: the answer stays under 16 KiB, and
// CockroachDB may try again by itself.
// Plan: The root of an implicit transaction, so it commits by itself; looks up unique keys of what it writes, and
// by (acct_id, acct_seq) the row before the first new one of each account.
const insertText = `
  INSERT INTO balance_change (${writtenNames})
  SELECT ${written.map(({ castTo, name }) => (castTo === undefined ? `r.${name}` : `r.${name}::${castTo}`)).join(", ")}
  FROM unnest(${written.map(({ sentAs }, at) => `$${at + 1}::${sentAs}[]`).join(", ")}) AS r(${writtenNames})
  WHERE NOT EXISTS (
    SELECT 1 FROM unnest($${written.length + 1}::UUID[], $${written.length + 2}::INT8[], $${written.length + 3}::BYTEA[])
      AS h(acct_id, acct_seq, chg_hash)
    WHERE (SELECT q.chg_hash FROM balance_change q WHERE q.acct_id = h.acct_id AND q.acct_seq = h.acct_seq)
      IS DISTINCT FROM h.chg_hash)`

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
  const statement = sql.unsafe(insertText, [
    ...written.map(({ sentAs, valueOf }) => array(oids[sentAs], rows.map(valueOf))),
    array(
      oids.UUID,
      base.map(({ acctId }) => acctId),
    ),
    array(
      oids.INT8,
      base.map(({ acctSeq }) => BigInt(acctSeq - 1)),
    ),
    array(
      oids.BYTEA,
      base.map(({ prevHash }) => prevHash),
    ),
  ])
  return Effect.map(statement.raw, (result) => (result as { readonly rowCount: number }).rowCount)
}

/** The hash of the row at a sequence of an account. */
export const selectHash = (
  sql: SqlClient.SqlClient,
  acctId: AccountId,
  acctSeq: number,
): Effect.Effect<Uint8Array | undefined, SqlError.SqlError> =>
  Effect.map(
    // Why: Tells how a write ended whose answer was lost: its rows are there together or not at all.
    // Plan: By the unique key.
    sql<Pick<BalanceChangeRow, "chg_hash">>`
      SELECT chg_hash FROM balance_change WHERE acct_id = ${acctId}::UUID AND acct_seq = ${BigInt(acctSeq)}`,
    ([row]) => row?.chg_hash,
  )

/** The rows of a transaction in the order of its changes. Two index look-ups: only transactions of several rows are indexed. */
export const selectTransaction = (
  sql: SqlClient.SqlClient,
  id: TransactionId,
): Effect.Effect<ReadonlyArray<BalanceChangeRow>, SqlError.SqlError> =>
  // Why: A read of rows that never change. Ids are an order within a transaction: they were given in that order.
  // Plan: By the unique key on bchg_id, and by the partial index on xact_id, whose condition is said.
  sql<BalanceChangeRow>`
    SELECT ${sql.literal(changeColumns)} FROM balance_change b
    WHERE b.bchg_id = ${id} AND b.xact_id = b.bchg_id
    UNION ALL
    SELECT ${sql.literal(changeColumns)} FROM balance_change b
    WHERE b.xact_id = ${id} AND b.xact_rows > 1 AND b.xact_id <> b.bchg_id
    ORDER BY bchg_id`

/** What a transaction was asked for by. */
export type UseRow = Pick<BalanceChangeRow, "xact_id" | "request_hash" | "texts_salt" | "texts_hash" | "details_hash">

/** The first row of the transaction that a key named. */
export const selectByIdemKey = (
  sql: SqlClient.SqlClient,
  idemKey: Uint8Array,
): Effect.Effect<ReadonlyArray<UseRow>, SqlError.SqlError> =>
  // Why: Tells what a key has been used for.
  // Plan: By the partial unique index on idem_key: what equals a value is not NULL.
  sql`SELECT xact_id, request_hash, texts_salt, texts_hash, details_hash FROM balance_change
    WHERE idem_key = ${idemKey}`

/** Which of the keys have been used, in hexadecimal. */
export const selectUsedKeys = (
  sql: SqlClient.SqlClient,
  idemKeys: ReadonlyArray<Uint8Array>,
): Effect.Effect<ReadonlyArray<string>, SqlError.SqlError> =>
  // Why: Tells which keys of a batch have been used.
  // Plan: By the partial unique index on idem_key, a look for each.
  sql<{ readonly idem_key: Uint8Array }>`
    SELECT idem_key FROM balance_change
    WHERE idem_key = ANY(${array(PgTypes.OID.bytea, idemKeys)}::BYTEA[]) AND idem_key IS NOT NULL`.pipe(
    Effect.map((rows) => rows.map(({ idem_key }) => idem_key.toHex())),
  )

/** The first row of an account. */
export const selectInitial = (
  sql: SqlClient.SqlClient,
  acctId: AccountId,
): Effect.Effect<ReadonlyArray<UseRow>, SqlError.SqlError> =>
  // Why: Tells what an account was opened by.
  // Plan: By (acct_id, acct_seq).
  sql`SELECT xact_id, request_hash, texts_salt, texts_hash, details_hash FROM balance_change
    WHERE acct_id = ${acctId}::UUID AND acct_seq = 0`

/** What reversals of transactions have done to each balance already. */
export const selectReversed = (
  sql: SqlClient.SqlClient,
  xactIds: ReadonlyArray<TransactionId>,
): Effect.Effect<
  ReadonlyArray<{ readonly xact_id: bigint; readonly acct_id: AccountId; readonly amt: string }>,
  SqlError.SqlError
> =>
  // Why: What was taken back so far. Of two reversals at once one meets the tail that the other has written, and
  // reads this again: a reversal writes to the accounts of what it reverses.
  // Plan: By the partial index on reverses_xact_id, whose condition is said, a range for each.
  sql`SELECT reverses_xact_id AS xact_id, acct_id, sum(chg_amt)::TEXT AS amt FROM balance_change
    WHERE reverses_xact_id = ANY(${array(PgTypes.OID.int8, xactIds)}::INT8[]) AND reverses_xact_id IS NOT NULL
    GROUP BY reverses_xact_id, acct_id`

/** All rows of a hold, by ascending sequence. Not a join, which PostgreSQL makes a scan of all accounts while its statistics are young. */
export const selectHold = (
  sql: SqlClient.SqlClient,
  holdId: BalanceChangeId,
): Effect.Effect<ReadonlyArray<BalanceChangeRow>, SqlError.SqlError> =>
  // Why: A read of rows that never change. By sequence: on CockroachDB the ids of different transactions are no
  // order.
  // Plan: A few entries of the partial index on hold_id, and their rows.
  sql<BalanceChangeRow>`
    SELECT ${sql.literal(changeColumns)}
    FROM balance_change b WHERE b.hold_id = ${holdId} ORDER BY b.acct_seq`
