/** The table `account`: what is said of accounts. Its rows and the statements on it. */
import type { AccountRecord } from "@banquo/domain/Account"
import type { AccountId } from "@banquo/domain/AccountId"
import type { Metadata } from "@banquo/domain/Metadata"
import { PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { array } from "../database/ArrayParameter.ts"

export interface AccountRow {
  readonly acct_id: AccountId
  readonly cust_name: string
  readonly cust_address: string
  readonly account_reference: string | null
  readonly account_metadata: Metadata | null
}

/** Of a row of `account` called `k`. Reference and metadata by names of their own: a change has such columns too. */
export const accountColumns = `k.acct_id, k.cust_name, k.cust_address, k.reference AS account_reference,
  k.metadata AS account_metadata`

export const detailsOfRow = (row: AccountRow) => ({
  custName: row.cust_name,
  custAddress: row.cust_address,
  reference: row.account_reference,
  metadata: row.account_metadata,
})

/** With what it is hashed with, and since when it is said. */
export interface AccountRecordRow extends AccountRow {
  readonly account_seq: bigint
  readonly salt: Uint8Array | null
}

export const recordColumns = `${accountColumns}, k.acct_seq AS account_seq, k.salt`

export const recordOfRow = (row: AccountRecordRow): AccountRecord => ({
  ...detailsOfRow(row),
  acctId: row.acct_id,
  acctSeq: Number(row.account_seq),
  salt: row.salt,
})

/** What is said of an account as of a sequence of its chain. */
export const selectRecord = (
  sql: SqlClient.SqlClient,
  acctId: AccountId,
  acctSeq: number,
): Effect.Effect<AccountRecord | undefined, SqlError.SqlError> =>
  Effect.map(
    // Why: Rows up to a fixed sequence never change, but for what is erased.
    // Plan: A reverse scan of the primary key of one row.
    sql<AccountRecordRow>`
      SELECT ${sql.literal(recordColumns)} FROM account k
      WHERE k.acct_id = ${acctId}::UUID AND k.acct_seq <= ${BigInt(acctSeq)} ORDER BY k.acct_seq DESC LIMIT 1`,
    ([row]) => (row === undefined ? undefined : recordOfRow(row)),
  )

/**
 * Adds rows by one statement; the changes that they belong to go into the same transaction. Sorted as those are, so that two
 * batches do not wait for one another.
 */
export const insert = (
  sql: SqlClient.SqlClient,
  records: ReadonlyArray<AccountRecord>,
): Effect.Effect<unknown, SqlError.SqlError> => {
  const rows = records.toSorted((a, b) =>
    a.acctId === b.acctId ? a.acctSeq - b.acctSeq : a.acctId < b.acctId ? -1 : 1,
  )
  const column = (oid: number, value: (record: AccountRecord) => unknown) => array(oid, rows.map(value))
  const { bytea, int8, text, uuid } = PgTypes.OID
  // Why: In one transaction with the changes of the same sequences, after them, and sorted as they are, so that
  // batches do not deadlock. A change whose sequence was taken is undone with them.
  // Plan: Looks up the primary key of what it writes. That transaction does not commit by itself: corrections are
  // rare.
  return sql`
    INSERT INTO account (acct_id, acct_seq, cust_name, cust_address, reference, metadata, salt)
    SELECT r.acct_id, r.acct_seq, r.cust_name, r.cust_address, r.reference, r.metadata::JSONB, r.salt
    FROM unnest(
      ${column(uuid, (a) => a.acctId)}::UUID[],
      ${column(int8, (a) => BigInt(a.acctSeq))}::INT8[],
      ${column(text, (a) => a.custName)}::TEXT[],
      ${column(text, (a) => a.custAddress)}::TEXT[],
      ${column(text, (a) => a.reference)}::TEXT[],
      ${column(text, (a) => (a.metadata === null ? null : JSON.stringify(a.metadata)))}::TEXT[],
      ${column(bytea, (a) => a.salt)}::BYTEA[]
    ) AS r(acct_id, acct_seq, cust_name, cust_address, reference, metadata, salt)`
}
