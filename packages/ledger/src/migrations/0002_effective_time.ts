import type { Migration } from "./Migrator.ts"

const index = "balance_change_effective_time_idx"

/**
 * A balance at an instant of the world is that of the ledger's own time, corrected by the rows that are dated otherwise.
 * Those are few: an index of them alone costs all other rows nothing. With the amount in it, correcting reads no row.
 */
export const effectiveTime: Migration = {
  version: 2,
  steps: [
    // Built while others write; PostgreSQL leaves a broken index behind when that is ended midway, and then calls it there.
    {
      dialect: "postgresql",
      unless: `SELECT 1 AS one WHERE NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_index WHERE indexrelid = to_regclass('${index}') AND NOT indisvalid)`,
      ddl: `DROP INDEX CONCURRENTLY IF EXISTS ${index}`,
    },
    {
      ddl: `CREATE INDEX CONCURRENTLY IF NOT EXISTS ${index}
        ON balance_change (acct_id, effective_time, acct_seq) INCLUDE (chg_amt)
        WHERE effective_time <> chg_create_time`,
    },
  ],
}
