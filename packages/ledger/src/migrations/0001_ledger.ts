import * as Money from "@banquo/domain/Money"
import type { Migration } from "./Migrator.ts"

const max = Money.toDecimal(Money.max)

/** Bounded from both sides: on PostgreSQL NaN is greater than every number and passes a one-sided check. */
const inRange = (column: string) => `${column} BETWEEN -${max} AND ${max}`
const notNegative = (column: string) => `${column} BETWEEN 0 AND ${max}`

/**
 * The ledger. Every column that the life of an account needs is here from the start, and every rule that a row can be
 * held to by itself or by uniqueness is a named constraint: what breaks one cannot be stored, whoever writes it.
 */
export const ledger: Migration = {
  version: 1,
  steps: [
    // CockroachDB brings unique_rowid(); this makes the one SQL text run on PostgreSQL too.
    { dialect: "postgresql", ddl: `CREATE SEQUENCE IF NOT EXISTS bchg_id_seq AS INT8` },
    {
      dialect: "postgresql",
      ddl: `CREATE OR REPLACE FUNCTION unique_rowid() RETURNS INT8 LANGUAGE SQL VOLATILE
        RETURN nextval('bchg_id_seq'::REGCLASS)`,
    },

    { ddl: `CREATE TYPE bal_chg_flavor AS ENUM ('INITIAL', 'FLOW', 'HOLD', 'CAPTURE', 'RELEASE', 'TERMS')` },
    { ddl: `CREATE TYPE acct_status AS ENUM ('open', 'debits_frozen', 'credits_frozen', 'frozen', 'closed')` },

    // Names the ledger in the hash of each account's first row.
    {
      ddl: `CREATE TABLE IF NOT EXISTS ledger (
        id INT8 NOT NULL DEFAULT 1,
        ledger_id UUID NOT NULL DEFAULT gen_random_uuid(),
        CONSTRAINT ledger_pkey PRIMARY KEY (id),
        CONSTRAINT ledger_single_check CHECK (id = 1))`,
    },
    { ddl: `INSERT INTO ledger (id) VALUES (1) ON CONFLICT (id) DO NOTHING` },

    {
      ddl: `CREATE TABLE IF NOT EXISTS account (
        acct_id UUID NOT NULL,
        cust_name TEXT NOT NULL,
        cust_address TEXT NOT NULL,
        currency TEXT NOT NULL,
        acct_create_time TIMESTAMPTZ NOT NULL,
        metadata JSONB,
        CONSTRAINT account_pkey PRIMARY KEY (acct_id),
        CONSTRAINT account_currency_check CHECK (length(currency) = 3))`,
    },

    // No foreign key to account: it would lock a row of that table for each change, and on CockroachDB read it from
    // another node. The INITIAL row is written in one transaction with the account, and nothing is ever deleted.
    {
      ddl: `CREATE TABLE IF NOT EXISTS balance_change (
        bchg_id INT8 NOT NULL DEFAULT unique_rowid(),
        acct_id UUID NOT NULL,
        acct_seq INT8 NOT NULL,
        chg_flavor bal_chg_flavor NOT NULL,
        prev_bchg_id INT8,
        chg_amt DECIMAL(19,4) NOT NULL,
        balance DECIMAL(19,4) NOT NULL,
        held_amt DECIMAL(19,4) NOT NULL,
        held DECIMAL(19,4) NOT NULL,
        overdraft_limit DECIMAL(19,4),
        acct_status acct_status NOT NULL,
        xact_id INT8 NOT NULL,
        hold_id INT8,
        hold_expires_at TIMESTAMPTZ,
        reverses_xact_id INT8,
        description TEXT,
        metadata JSONB,
        idem_key TEXT,
        request_hash BYTEA,
        actor TEXT NOT NULL,
        effective_time TIMESTAMPTZ NOT NULL,
        chg_create_time TIMESTAMPTZ NOT NULL,
        chg_hash BYTEA NOT NULL,
        CONSTRAINT balance_change_pkey PRIMARY KEY (bchg_id),
        CONSTRAINT balance_change_acct_seq_key UNIQUE (acct_id, acct_seq),
        CONSTRAINT balance_change_prev_key UNIQUE (prev_bchg_id),
        CONSTRAINT balance_change_link_check CHECK (
          acct_seq >= 0
          AND (acct_seq = 0) = (prev_bchg_id IS NULL)
          AND (acct_seq = 0) = (chg_flavor = 'INITIAL')
          AND (prev_bchg_id IS NULL OR prev_bchg_id <> bchg_id)),
        CONSTRAINT balance_change_flavor_check CHECK (CASE chg_flavor
          WHEN 'INITIAL' THEN held_amt = 0 AND held = 0 AND balance = chg_amt AND hold_id IS NULL
          WHEN 'FLOW' THEN chg_amt <> 0 AND held_amt = 0 AND hold_id IS NULL
          WHEN 'HOLD' THEN chg_amt = 0 AND held_amt > 0 AND hold_id IS NOT NULL
          WHEN 'CAPTURE' THEN chg_amt < 0 AND held_amt < 0 AND hold_id IS NOT NULL
          WHEN 'RELEASE' THEN chg_amt = 0 AND held_amt < 0 AND hold_id IS NOT NULL
          ELSE chg_amt = 0 AND held_amt = 0 AND hold_id IS NULL END),
        CONSTRAINT balance_change_chg_amt_check CHECK (${inRange("chg_amt")}),
        CONSTRAINT balance_change_balance_check CHECK (${inRange("balance")}),
        CONSTRAINT balance_change_held_amt_check CHECK (${inRange("held_amt")}),
        CONSTRAINT balance_change_held_check CHECK (${notNegative("held")}),
        CONSTRAINT balance_change_overdraft_limit_check CHECK (overdraft_limit IS NULL OR ${notNegative("overdraft_limit")}),
        CONSTRAINT balance_change_funds_check CHECK (
          overdraft_limit IS NULL OR balance - held + overdraft_limit >= 0),
        CONSTRAINT balance_change_closed_check CHECK (
          acct_status <> 'closed' OR (chg_flavor = 'TERMS' AND balance = 0 AND held = 0)),
        CONSTRAINT balance_change_idem_key_check CHECK (
          idem_key IS NULL OR (xact_id = bchg_id AND request_hash IS NOT NULL)),
        CONSTRAINT balance_change_hash_check CHECK (
          length(chg_hash) = 32 AND (request_hash IS NULL OR length(request_hash) = 32)))`,
    },

    // Partial, because most rows have none of these: a plain change then costs three index entries, not seven.
    {
      ddl: `CREATE UNIQUE INDEX IF NOT EXISTS balance_change_idem_key_key ON balance_change (idem_key)
        WHERE idem_key IS NOT NULL`,
    },
    {
      ddl: `CREATE INDEX IF NOT EXISTS balance_change_xact_id_idx ON balance_change (xact_id)
        WHERE xact_id <> bchg_id`,
    },
    {
      ddl: `CREATE INDEX IF NOT EXISTS balance_change_hold_id_idx ON balance_change (hold_id, acct_seq)
        WHERE hold_id IS NOT NULL`,
    },
    {
      ddl: `CREATE INDEX IF NOT EXISTS balance_change_reverses_xact_id_idx ON balance_change (reverses_xact_id)
        WHERE reverses_xact_id IS NOT NULL`,
    },

    // Uniqueness refuses a fork; only a reference can refuse a gap. On CockroachDB a table that refers to itself loses
    // the auto-commit of its inserts, so there a gap is left to the verifier.
    {
      dialect: "postgresql",
      ddl: `ALTER TABLE balance_change ADD COLUMN IF NOT EXISTS prev_acct_seq INT8
        GENERATED ALWAYS AS (CASE WHEN acct_seq > 0 THEN acct_seq - 1 END) STORED`,
    },
    {
      dialect: "postgresql",
      ddl: `ALTER TABLE balance_change ADD CONSTRAINT balance_change_no_gap_fkey
        FOREIGN KEY (acct_id, prev_acct_seq) REFERENCES balance_change (acct_id, acct_seq)`,
    },

    // Roles belong to the whole server: where they exist, with or without a login of their own, they are taken as they are.
    { unless: `SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'banquo_app'`, ddl: `CREATE ROLE banquo_app` },
    { unless: `SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'banquo_auditor'`, ddl: `CREATE ROLE banquo_auditor` },
    { ddl: `GRANT SELECT, INSERT ON TABLE account, balance_change TO banquo_app` },
    { ddl: `GRANT SELECT ON TABLE ledger, schema_version TO banquo_app` },
    { dialect: "postgresql", ddl: `GRANT USAGE ON SEQUENCE bchg_id_seq TO banquo_app` },
    { ddl: `GRANT SELECT ON TABLE account, balance_change, ledger, schema_version TO banquo_auditor` },
  ],
}
