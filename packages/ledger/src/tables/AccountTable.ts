/** The table `account`: its rows and the statements on it. */
import type { Account, AccountCorrection } from "@banquo/domain/Account"
import type { AccountId } from "@banquo/domain/AccountId"
import type { Currency } from "@banquo/domain/Currency"
import type { Metadata } from "@banquo/domain/Metadata"
import * as Timestamp from "@banquo/domain/Timestamp"
import { PgTypes } from "@effect/sql-pg"
import type { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { array } from "../database/ArrayParameter.ts"

export interface AccountRow {
  readonly acct_id: AccountId
  readonly cust_name: string
  readonly cust_address: string
  readonly currency: Currency
  readonly acct_create_time: string
  readonly metadata: Metadata | null
}

/** Times as text in UTC, whatever the zone of the session: a JS `Date` would drop their microseconds. */
export const accountColumns = `c.acct_id, c.cust_name, c.cust_address, c.currency,
  (c.acct_create_time AT TIME ZONE 'UTC')::TEXT AS acct_create_time, c.metadata`

/**
 * As {@link accountColumns}, with the customer as corrected up to a sequence, which is SQL. CockroachDB makes joins of the two
 * subqueries, and a LIMIT beside them would only come after all rows were joined: limit the rows in a subquery of their own.
 */
export const correctedAccountColumns = (upTo: string): string => `c.acct_id,
  COALESCE((SELECT k.cust_name FROM account_correction k
    WHERE k.acct_id = c.acct_id AND k.acct_seq <= ${upTo} AND k.cust_name IS NOT NULL
    ORDER BY k.acct_seq DESC LIMIT 1), c.cust_name) AS cust_name,
  COALESCE((SELECT k.cust_address FROM account_correction k
    WHERE k.acct_id = c.acct_id AND k.acct_seq <= ${upTo} AND k.cust_address IS NOT NULL
    ORDER BY k.acct_seq DESC LIMIT 1), c.cust_address) AS cust_address,
  c.currency, (c.acct_create_time AT TIME ZONE 'UTC')::TEXT AS acct_create_time, c.metadata`

export const accountOfRow = (row: AccountRow): Account => ({
  acctId: row.acct_id,
  custName: row.cust_name,
  custAddress: row.cust_address,
  currency: row.currency,
  acctCreateTime: Timestamp.fromDatabase(row.acct_create_time),
  metadata: row.metadata,
})

/** Adds accounts by one statement; without their first rows, which belong into the same transaction. */
export const insert = (
  sql: SqlClient.SqlClient,
  accounts: ReadonlyArray<Account>,
): Effect.Effect<unknown, SqlError.SqlError> => {
  const column = (oid: number, value: (account: Account) => unknown) => array(oid, accounts.map(value))
  const { text, uuid } = PgTypes.OID
  return sql`
    INSERT INTO account (acct_id, cust_name, cust_address, currency, acct_create_time, metadata)
    SELECT r.acct_id, r.cust_name, r.cust_address, r.currency, r.acct_create_time::TIMESTAMPTZ, r.metadata::JSONB
    FROM unnest(
      ${column(uuid, (a) => a.acctId)}::UUID[],
      ${column(text, (a) => a.custName)}::TEXT[],
      ${column(text, (a) => a.custAddress)}::TEXT[],
      ${column(text, (a) => a.currency)}::TEXT[],
      ${column(text, (a) => Timestamp.format(a.acctCreateTime))}::TEXT[],
      ${column(text, (a) => (a.metadata === null ? null : JSON.stringify(a.metadata)))}::TEXT[]
    ) AS r(acct_id, cust_name, cust_address, currency, acct_create_time, metadata)`
}

/**
 * Adds corrections by one statement; the TERMS rows that they belong to go into the same transaction. Sorted as those are,
 * so that two batches do not wait for one another.
 */
export const insertCorrections = (
  sql: SqlClient.SqlClient,
  corrections: ReadonlyArray<AccountCorrection>,
): Effect.Effect<unknown, SqlError.SqlError> => {
  const rows = corrections.toSorted((a, b) =>
    a.acctId === b.acctId ? a.acctSeq - b.acctSeq : a.acctId < b.acctId ? -1 : 1,
  )
  const column = (oid: number, value: (correction: AccountCorrection) => unknown) => array(oid, rows.map(value))
  const { int8, text, uuid } = PgTypes.OID
  return sql`
    INSERT INTO account_correction (acct_id, acct_seq, cust_name, cust_address)
    SELECT r.acct_id, r.acct_seq, r.cust_name, r.cust_address
    FROM unnest(
      ${column(uuid, (c) => c.acctId)}::UUID[],
      ${column(int8, (c) => BigInt(c.acctSeq))}::INT8[],
      ${column(text, (c) => c.custName)}::TEXT[],
      ${column(text, (c) => c.custAddress)}::TEXT[]
    ) AS r(acct_id, acct_seq, cust_name, cust_address)`
}
