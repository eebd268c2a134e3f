/** What the role of a service may do beyond what it needs. */
import { Effect } from "effect"
import type { DatabaseUnavailable } from "./DatabaseError.ts"
import { type DbConn, read } from "./DbConn.ts"

/** The tables of the ledger whose rows the role of the connection may change or delete: none, where it is as it should be. */
export const selectChangeable: Effect.Effect<ReadonlyArray<string>, DatabaseUnavailable, DbConn> = Effect.map(
  read(
    (sql) =>
      // Why: The catalog of both; asked by oid, so that a table that is not there is no error.
      // Plan: Two entries of the catalog, once in a process.
      sql<{ readonly relname: string }>`
      SELECT c.relname::TEXT AS relname FROM pg_catalog.pg_class c
      WHERE c.relname IN ('account', 'balance_change') AND c.relkind = 'r'
        AND (has_table_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE'))
      ORDER BY c.relname`,
  ),
  (rows) => rows.map(({ relname }) => relname),
)
