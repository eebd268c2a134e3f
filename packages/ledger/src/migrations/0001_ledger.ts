import * as Money from "@banquo/domain/Money"
import type { Migration, Step } from "./Migration.ts"

/** Amounts are smaller, by at least 10^-8. */
const bound = Money.toDecimal(Money.make(Money.max + 1n)).replace(/\.0+$/, ".0")

/** On PostgreSQL NaN is greater than every number. */
const inRange = (column: string) => `abs(${column}) < ${bound}`
const notNegative = (column: string) => `${column} >= 0.0 AND ${column} < ${bound}`
const inScale = (column: string) => `${column} = round(${column}, scale)`

/**
 * `own`: how the table finds its rows.
 *
 * A CHECK that is NULL is passed, so what may be NULL needs no word about it. PostgreSQL reads the text of each CHECK anew for
 * each statement: their length is a third of the work of an INSERT of one row, hence `0.0`, which needs no cast to a decimal.
 */
const balanceChange = (idSource: string, own: string) => `CREATE TABLE IF NOT EXISTS balance_change (
        bchg_id INT8 NOT NULL DEFAULT ${idSource},
        acct_id UUID NOT NULL,
        acct_seq INT8 NOT NULL,
        chg_flavor bal_chg_flavor NOT NULL,
        prev_bchg_id INT8,
        owner TEXT,
        currency TEXT NOT NULL,
        scale INT2 NOT NULL,
        chg_amt DECIMAL(30,8) NOT NULL,
        balance DECIMAL(30,8) NOT NULL,
        held_amt DECIMAL(30,8) NOT NULL,
        held DECIMAL(30,8) NOT NULL,
        overdraft_limit DECIMAL(30,8),
        acct_status acct_status NOT NULL,
        is_forced BOOL NOT NULL,
        xact_id INT8 NOT NULL,
        xact_rows INT2 NOT NULL,
        hold_id INT8,
        hold_expires_at TIMESTAMPTZ,
        reverses_xact_id INT8,
        reference TEXT,
        description TEXT,
        metadata JSONB,
        texts_salt BYTEA,
        texts_hash BYTEA,
        idem_key BYTEA,
        request_hash BYTEA,
        details_hash BYTEA,
        actor TEXT NOT NULL,
        effective_time TIMESTAMPTZ NOT NULL,
        value_date DATE,
        chg_create_time TIMESTAMPTZ NOT NULL,
        chg_hash BYTEA NOT NULL,
        ${own},
        CONSTRAINT balance_change_prev_key UNIQUE (prev_bchg_id),
        CONSTRAINT balance_change_link_check CHECK (
          acct_seq >= 0
          AND (acct_seq = 0) = (prev_bchg_id IS NULL)
          AND (acct_seq = 0) = (chg_flavor = 'INITIAL')
          AND prev_bchg_id <> bchg_id),
        CONSTRAINT balance_change_flavor_check CHECK (CASE chg_flavor
          WHEN 'FLOW' THEN chg_amt <> 0.0 AND held_amt = 0.0
          WHEN 'INITIAL' THEN held_amt = 0.0 AND held = 0.0 AND balance = chg_amt
          WHEN 'HOLD' THEN chg_amt = 0.0
            AND (held_amt > 0.0 OR (held_amt = 0.0 AND hold_id <> bchg_id AND hold_expires_at IS NOT NULL))
          WHEN 'CAPTURE' THEN chg_amt < 0.0 AND (held_amt < 0.0 OR (held_amt = 0.0 AND is_forced))
          WHEN 'RELEASE' THEN chg_amt = 0.0 AND held_amt < 0.0
          ELSE chg_amt = 0.0 AND held_amt = 0.0 END),
        CONSTRAINT balance_change_hold_check CHECK (
          (hold_id IS NOT NULL) = (chg_flavor BETWEEN 'HOLD' AND 'RELEASE')
          AND (hold_expires_at IS NULL OR chg_flavor = 'HOLD')
          AND (hold_id <> bchg_id OR hold_expires_at IS NOT NULL)),
        CONSTRAINT balance_change_scale_check CHECK (
          scale BETWEEN 0 AND ${Money.decimals} AND ${inScale("chg_amt")} AND ${inScale("balance")}
          AND ${inScale("held_amt")} AND ${inScale("held")}
          AND ${inScale("overdraft_limit")}),
        CONSTRAINT balance_change_chg_amt_check CHECK (${inRange("chg_amt")}),
        CONSTRAINT balance_change_balance_check CHECK (${inRange("balance")}),
        CONSTRAINT balance_change_held_amt_check CHECK (${inRange("held_amt")}),
        CONSTRAINT balance_change_held_check CHECK (${notNegative("held")}),
        CONSTRAINT balance_change_overdraft_limit_check CHECK (${notNegative("overdraft_limit")}),
        CONSTRAINT balance_change_funds_check CHECK (
          balance - held + overdraft_limit >= 0.0 OR chg_amt >= held_amt OR is_forced),
        CONSTRAINT balance_change_closed_check CHECK (
          acct_status <> 'closed' OR (chg_flavor = 'TERMS' AND balance = 0.0 AND held = 0.0)),
        CONSTRAINT balance_change_xact_check CHECK (xact_rows > 0 AND (xact_rows > 1 OR xact_id = bchg_id)),
        CONSTRAINT balance_change_time_check CHECK (effective_time <= chg_create_time),
        CONSTRAINT balance_change_texts_check CHECK (
          (texts_hash IS NOT NULL OR (reference IS NULL AND description IS NULL AND metadata IS NULL))
          AND (texts_salt IS NULL OR texts_hash IS NOT NULL OR details_hash IS NOT NULL)),
        CONSTRAINT balance_change_details_check CHECK (
          details_hash IS NULL OR chg_flavor IN ('INITIAL', 'TERMS')),
        CONSTRAINT balance_change_idem_key_check CHECK (
          (idem_key IS NULL AND request_hash IS NULL) OR xact_id = bchg_id),
        CONSTRAINT balance_change_request_check CHECK (idem_key IS NULL OR request_hash IS NOT NULL),
        CONSTRAINT balance_change_hash_check CHECK (
          length(chg_hash) = 32 AND length(request_hash) = 32 AND length(idem_key) = 32 AND length(texts_hash) = 32
          AND length(details_hash) = 32 AND length(texts_salt) = 16))`

/** What each row is held to by the row before it, in the order that faults are told. `p`: the row before; `f`: the new one. */
const continuity = [
  ["follows", "23503", "p.bchg_id IS DISTINCT FROM f.prev_bchg_id"],
  ["asset", "23514", "p.currency <> f.currency OR p.scale <> f.scale OR p.owner IS DISTINCT FROM f.owner"],
  ["sums", "23514", "p.balance + f.chg_amt <> f.balance OR p.held + f.held_amt <> f.held"],
  ["time", "23514", "p.chg_create_time >= f.chg_create_time"],
  [
    "terms",
    "23514",
    `f.chg_flavor <> 'TERMS'
      AND (p.overdraft_limit IS DISTINCT FROM f.overdraft_limit OR p.acct_status <> f.acct_status)`,
  ],
] as const

/**
 * One look at all rows of a statement, which locks none. LIMIT 1 keeps the look-up by key, whatever young statistics say. The
 * function belongs to the owner of the schema, so nobody who may only append can change it.
 */
const continuityFunction = `CREATE OR REPLACE FUNCTION balance_change_continuity() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE broken TEXT;
BEGIN
  SELECT CASE ${continuity.map(([name, , condition]) => `WHEN ${condition} THEN '${name}'`).join("\n      ")} END INTO broken
    FROM fresh f LEFT JOIN LATERAL (
      SELECT * FROM balance_change q WHERE q.acct_id = f.acct_id AND q.acct_seq = f.acct_seq - 1 LIMIT 1
    ) p ON true
    WHERE f.acct_seq > 0 AND (${continuity.map(([, , condition]) => `(${condition})`).join("\n      OR ")})
    LIMIT 1;
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION 'a row does not go on from the row before it' USING
      ERRCODE = CASE broken ${continuity.map(([name, state]) => `WHEN '${name}' THEN '${state}'`).join(" ")} END,
      CONSTRAINT = 'balance_change_' || broken;
  END IF;
  RETURN NULL;
END $$`

/** Partial, because most rows have none of these: a plain change then costs four index entries, not ten. */
const indexes = (isHashed: boolean): ReadonlyArray<string> => [
  `CREATE UNIQUE INDEX IF NOT EXISTS balance_change_idem_key_key ON balance_change (idem_key)
    WHERE idem_key IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS balance_change_xact_id_idx ON balance_change (xact_id, bchg_id) WHERE xact_rows > 1`,
  `CREATE INDEX IF NOT EXISTS balance_change_hold_id_idx ON balance_change (hold_id, acct_seq)
    WHERE hold_id IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS balance_change_reverses_xact_id_idx ON balance_change (reverses_xact_id)
    WHERE reverses_xact_id IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS balance_change_reference_idx ON balance_change (reference, bchg_id)
    WHERE reference IS NOT NULL`,
  // A balance at an instant of the world is that of the ledger's own time, corrected by the rows that are dated otherwise.
  // Those are few. With the amount in the index, correcting reads no row.
  `CREATE INDEX IF NOT EXISTS balance_change_effective_time_idx
    ON balance_change (acct_id, effective_time, acct_seq) INCLUDE (chg_amt) WHERE effective_time <> chg_create_time`,
  // The open holds of an account are found from its newest hold row backwards, until they add up to what is held.
  `CREATE INDEX IF NOT EXISTS balance_change_acct_holds_idx ON balance_change (acct_id, acct_seq)
    WHERE hold_id IS NOT NULL`,
  // For the sweeper, which asks for those that expired since it asked last. In the order of time, all writes of CockroachDB
  // would meet at one range.
  `CREATE INDEX IF NOT EXISTS balance_change_hold_expires_at_idx ON balance_change (hold_expires_at, bchg_id)${
    isHashed ? " USING HASH" : ""
  } WHERE hold_expires_at IS NOT NULL`,
]

const isExpiryIndex = (ddl: string) => ddl.includes("hold_expires_at_idx")

const tableSteps: ReadonlyArray<Step> = [
  {
    dialect: "postgresql",
    ddl: balanceChange(
      "unique_rowid()",
      `xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        CONSTRAINT balance_change_pkey PRIMARY KEY (bchg_id),
        CONSTRAINT balance_change_acct_seq_key UNIQUE (acct_id, acct_seq)`,
    ),
  },
  {
    dialect: "cockroachdb",
    ddl: balanceChange(
      "unordered_unique_rowid()",
      `CONSTRAINT balance_change_pkey PRIMARY KEY (acct_id, acct_seq),
        CONSTRAINT balance_change_bchg_id_key UNIQUE (bchg_id)`,
    ),
  },
  ...indexes(false)
    .filter((ddl) => !isExpiryIndex(ddl))
    .map((ddl) => ({ ddl })),
  { dialect: "postgresql", ddl: indexes(false).find(isExpiryIndex)! },
  { dialect: "cockroachdb", ddl: indexes(true).find(isExpiryIndex)! },
  // What is read in the order of commits is found by it.
  { dialect: "postgresql", ddl: `CREATE INDEX IF NOT EXISTS balance_change_xid_idx ON balance_change (xid)` },
  { dialect: "postgresql", ddl: continuityFunction },
  {
    dialect: "postgresql",
    ddl: `CREATE OR REPLACE TRIGGER balance_change_continuity AFTER INSERT ON balance_change
      REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION balance_change_continuity()`,
  },
]

/**
 * The ledger. Every column that the life of an account needs is here from the start, and every rule that a row can be held to
 * by itself, by uniqueness or, on PostgreSQL, by the row before it is a named constraint: a row that breaks one cannot be
 * stored, whoever writes it.
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

    // Each row belongs to the change of its sequence, in one transaction with it. The newest one counts.
    {
      ddl: `CREATE TABLE IF NOT EXISTS account (
        acct_id UUID NOT NULL,
        acct_seq INT8 NOT NULL,
        cust_name TEXT NOT NULL,
        cust_address TEXT NOT NULL,
        reference TEXT,
        metadata JSONB,
        salt BYTEA,
        CONSTRAINT account_pkey PRIMARY KEY (acct_id, acct_seq),
        CONSTRAINT account_seq_check CHECK (acct_seq >= 0),
        CONSTRAINT account_salt_check CHECK (length(salt) = 16))`,
    },
    {
      ddl: `CREATE INDEX IF NOT EXISTS account_reference_idx ON account (reference, acct_id) WHERE reference IS NOT NULL`,
    },

    // No foreign key to account: it would lock a row of that table for each change, and on CockroachDB read it from
    // another node. Nothing is ever deleted. None to the row before either: on PostgreSQL it would lock old random pages,
    // which was 40 % of its work, and a trigger is stricter; on CockroachDB it would lose the auto-commit of inserts.
    ...tableSteps,

    // Roles belong to the whole server: where they exist, with or without a login of their own, they are taken as they are.
    { unless: `SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'banquo_app'`, ddl: `CREATE ROLE banquo_app` },
    { unless: `SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'banquo_auditor'`, ddl: `CREATE ROLE banquo_auditor` },
    { ddl: `GRANT SELECT, INSERT ON TABLE account, balance_change TO banquo_app` },
    { ddl: `GRANT SELECT ON TABLE ledger, schema_version TO banquo_app` },
    { dialect: "postgresql", ddl: `GRANT USAGE ON SEQUENCE bchg_id_seq TO banquo_app` },
    { ddl: `GRANT SELECT ON TABLE account, balance_change, ledger, schema_version TO banquo_auditor` },
  ],
}
