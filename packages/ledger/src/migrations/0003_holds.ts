import type { Migration, Step } from "./Migrator.ts"

/** Built while others write; PostgreSQL leaves a broken index behind when that is ended midway, and then calls it there. */
const indexSteps = (name: string, on: string): ReadonlyArray<Step> => [
  {
    dialect: "postgresql",
    unless: `SELECT 1 AS one WHERE NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_index WHERE indexrelid = to_regclass('${name}') AND NOT indisvalid)`,
    ddl: `DROP INDEX CONCURRENTLY IF EXISTS ${name}`,
  },
  { ddl: `CREATE INDEX CONCURRENTLY IF NOT EXISTS ${name} ON balance_change ${on}` },
]

/**
 * What the life of an account looks for beyond the chain itself: the open holds of an account, holds by expiry, and
 * corrections of what was said of a customer.
 */
export const holds: Migration = {
  version: 3,
  steps: [
    // The open holds of an account are found from its newest hold row backwards, until they add up to what is held.
    ...indexSteps("balance_change_acct_holds_idx", "(acct_id, acct_seq) WHERE hold_id IS NOT NULL"),
    // For the sweeper, which asks for those that expired since it asked last, a page at a time.
    ...indexSteps("balance_change_hold_expires_at_idx", "(hold_expires_at, bchg_id) WHERE hold_expires_at IS NOT NULL"),
    // In two steps: the look at all rows does not keep others from writing.
    {
      ddl: `ALTER TABLE balance_change ADD CONSTRAINT balance_change_hold_check CHECK (
        (hold_expires_at IS NULL OR chg_flavor = 'HOLD')
        AND (hold_id IS NULL OR hold_id <> bchg_id OR hold_expires_at IS NOT NULL)) NOT VALID`,
    },
    { ddl: `ALTER TABLE balance_change VALIDATE CONSTRAINT balance_change_hold_check` },
    // Each belongs to the TERMS row of its sequence, in one transaction with it; NULL: as before.
    {
      ddl: `CREATE TABLE IF NOT EXISTS account_correction (
        acct_id UUID NOT NULL,
        acct_seq INT8 NOT NULL,
        cust_name TEXT,
        cust_address TEXT,
        CONSTRAINT account_correction_pkey PRIMARY KEY (acct_id, acct_seq),
        CONSTRAINT account_correction_not_empty_check CHECK (cust_name IS NOT NULL OR cust_address IS NOT NULL))`,
    },
    { ddl: `GRANT SELECT, INSERT ON TABLE account_correction TO banquo_app` },
    { ddl: `GRANT SELECT ON TABLE account_correction TO banquo_auditor` },
  ],
}
