import type { Migration } from "../Migrator.ts"

/**
 * What the life of an account looks for beyond the chain itself: the open holds of an account, holds by expiry, and
 * corrections of what was said of a customer.
 */
export const holds: Migration = {
  version: 3,
  steps: [
    // The open holds of an account are found from its newest hold row backwards, until they add up to what is held.
    {
      ddl: `CREATE INDEX IF NOT EXISTS balance_change_acct_holds_idx ON balance_change (acct_id, acct_seq)
        WHERE hold_id IS NOT NULL`,
    },
    // For the sweeper, which asks for those that expired since it asked last.
    {
      ddl: `CREATE INDEX IF NOT EXISTS balance_change_hold_expires_at_idx ON balance_change (hold_expires_at)
        WHERE hold_expires_at IS NOT NULL`,
    },
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
