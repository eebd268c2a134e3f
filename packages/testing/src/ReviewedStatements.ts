/**
 * Every SQL text of the application, reviewed for both databases: why it is safe there, and how each plans it. A run of the
 * tests fails when it sends another; read it by the rules of CockroachDB (`restrictions` below), say so here, and it passes.
 *
 * White space, the numbers of savepoints, and how often a part of a UNION is repeated make no difference.
 */
import { accountColumns, recordColumns as record } from "@banquo/ledger/AccountTable"
import { changeColumns as change, stateColumns as state } from "@banquo/ledger/BalanceChangeTable"
import type { Dialect } from "@banquo/ledger/Dialect"
import { foundation, migrations } from "@banquo/ledger/Migrator"

export interface Statement {
  readonly sql: string
  readonly why: string
  readonly plan: string
  /** On this database alone. */
  readonly only?: Dialect
}

const movement = `b.acct_seq, b.bchg_id, b.xact_id, b.chg_flavor::TEXT AS chg_flavor, b.chg_amt::TEXT AS chg_amt,
  b.description, (b.effective_time AT TIME ZONE 'UTC')::TEXT AS effective_time,
  (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time`

const turnovers = `count(*) FILTER (WHERE b.chg_amt < 0) AS debit_count,
  COALESCE(-sum(b.chg_amt) FILTER (WHERE b.chg_amt < 0), 0)::TEXT AS debits,
  count(*) FILTER (WHERE b.chg_amt > 0) AS credit_count,
  COALESCE(sum(b.chg_amt) FILTER (WHERE b.chg_amt > 0), 0)::TEXT AS credits`

/** On the axis of the ledger's own time all rows count, on that of the world those whose two times agree. */
const axes = ["true", "b.effective_time = b.chg_create_time"] as const

/** The columns of `balance_change` as they are inserted: what each is sent as, and cast to. */
const columns = [
  ["bchg_id", "INT8", ""],
  ["acct_id", "UUID", ""],
  ["acct_seq", "INT8", ""],
  ["chg_flavor", "TEXT", "bal_chg_flavor"],
  ["prev_bchg_id", "INT8", ""],
  ["owner", "TEXT", ""],
  ["currency", "TEXT", ""],
  ["scale", "INT8", "INT2"],
  ["chg_amt", "TEXT", "DECIMAL"],
  ["balance", "TEXT", "DECIMAL"],
  ["held_amt", "TEXT", "DECIMAL"],
  ["held", "TEXT", "DECIMAL"],
  ["overdraft_limit", "TEXT", "DECIMAL"],
  ["acct_status", "TEXT", "acct_status"],
  ["is_forced", "BOOL", ""],
  ["xact_id", "INT8", ""],
  ["xact_rows", "INT8", "INT2"],
  ["hold_id", "INT8", ""],
  ["hold_expires_at", "TEXT", "TIMESTAMPTZ"],
  ["reverses_xact_id", "INT8", ""],
  ["reference", "TEXT", ""],
  ["description", "TEXT", ""],
  ["metadata", "TEXT", "JSONB"],
  ["texts_salt", "BYTEA", ""],
  ["texts_hash", "BYTEA", ""],
  ["idem_key", "BYTEA", ""],
  ["request_hash", "BYTEA", ""],
  ["details_hash", "BYTEA", ""],
  ["actor", "TEXT", ""],
  ["effective_time", "TEXT", "TIMESTAMPTZ"],
  ["value_date", "TEXT", "DATE"],
  ["chg_create_time", "TEXT", "TIMESTAMPTZ"],
  ["chg_hash", "BYTEA", ""],
] as const

const names = columns.map(([name]) => name).join(", ")

/** What both databases do with DDL: once per database, each statement by itself and harmless when it comes again. */
const ddl = { plan: "A change of the schema, in a transaction of its own." } as const

const page = (order: "ASC" | "DESC"): Statement => ({
  sql: `SELECT ${change},
      (SELECT max(x.acct_seq) FROM balance_change x WHERE x.acct_id = $1::UUID) AS tail_seq
    FROM balance_change b
    WHERE b.acct_id = $2::UUID AND b.acct_seq > $3 AND b.acct_seq < $4 ORDER BY b.acct_seq ${order} LIMIT $5`,
  why: "A read of rows that never change, and of the tail's sequence in the same state.",
  plan: "A range of (acct_id, acct_seq) from its bound on, as many rows as the limit; one look at account; one end of the range.",
})

const only = (dialect: Dialect | undefined) => (dialect === undefined ? {} : { only: dialect })

export const reviewed: ReadonlyArray<Statement> = [
  // Transactions
  {
    sql: "BEGIN",
    why: "READ COMMITTED on PostgreSQL, where the unique constraints guard; SERIALIZABLE on CockroachDB, by the connection.",
    plan: "No data.",
  },
  {
    sql: "BEGIN TRANSACTION AS OF SYSTEM TIME follower_read_timestamp()",
    only: "cockroachdb",
    why: "Reads only, of a state about five seconds old, where the caller asked for that.",
    plan: "No data. What follows is answered by the nearest replica, and neither waits nor is waited for.",
  },
  {
    sql: "COMMIT",
    why: "Its lost answer is an unknown outcome; ROLLBACK as its answer is an error.",
    plan: "No data; one consensus round on CockroachDB.",
  },
  { sql: "ROLLBACK", why: "Also where there is nothing to roll back any more.", plan: "No data." },
  {
    sql: "SAVEPOINT effect_sql_n",
    why: "Keeps the caller's transaction usable after a conflict.",
    plan: "No data.",
  },
  { sql: "RELEASE SAVEPOINT effect_sql_n", why: "Both can nest them.", plan: "No data." },
  {
    sql: "ROLLBACK TO SAVEPOINT effect_sql_n",
    why: "After 23505. After 40001 CockroachDB refuses it, and the whole transaction is run again.",
    plan: "No data.",
  },

  // What database it is
  { sql: "SELECT version() AS version", why: "Tells the dialect. Once in a process.", plan: "No data." },
  {
    sql: "SELECT count(*) AS nodes FROM crdb_internal.gossip_nodes",
    only: "cockroachdb",
    why: "Tells how many nodes there are. Refused to most roles, and then taken to be several.",
    plan: "In the memory of one node. Once in a process.",
  },
  {
    sql: "SELECT current_setting('default_transaction_isolation') AS isolation",
    only: "cockroachdb",
    why: "A connection that is not SERIALIZABLE is not used.",
    plan: "No data. Once for each connection.",
  },

  // Ids
  {
    sql: "SELECT unique_rowid() AS id FROM generate_series(1, $1::INT8)",
    why: "A function of ours on PostgreSQL; CockroachDB's own on one node. Volatile, so each row has its own.",
    plan: "No table; the sequence of PostgreSQL is not part of any transaction. 2 000 at a time.",
  },
  {
    sql: "SELECT unordered_unique_rowid() AS id FROM generate_series(1, $1::INT8)",
    only: "cockroachdb",
    why: "Ids that are spread over the ranges, or one node would take all inserts.",
    plan: "No table. 2 000 at a time.",
  },

  // Writing
  {
    sql: `INSERT INTO balance_change (${names})
      SELECT ${columns.map(([name, , cast]) => (cast === "" ? `r.${name}` : `r.${name}::${cast}`)).join(", ")}
      FROM unnest( ${columns.map(([, type], at) => `$${at + 1}::${type}[]`).join(", ")} ) AS r(${names})
      WHERE NOT EXISTS (SELECT 1 FROM unnest( $34::UUID[], $35::INT8[], $36::BYTEA[] ) AS h(acct_id, acct_seq, chg_hash)
        WHERE (SELECT q.chg_hash FROM balance_change q WHERE q.acct_id = h.acct_id AND q.acct_seq = h.acct_seq)
          IS DISTINCT FROM h.chg_hash)`,
    why: `All rows or none; every column is said, ids among them, so that it may be sent again. Sorted by account and sequence,
      or batches deadlock. All rows that the new ones follow are stored with the hash that was decided on, or nothing is
      stored: the guard says so once, before the first row. No RETURNING: the answer stays under 16 KiB, and CockroachDB may try again by itself.`,
    plan: "The root of an implicit transaction, so it commits by itself; looks up unique keys of what it writes, and by (acct_id, acct_seq) the row before the first new one of each account.",
  },
  {
    sql: `INSERT INTO account (acct_id, acct_seq, cust_name, cust_address, reference, metadata, salt)
      SELECT r.acct_id, r.acct_seq, r.cust_name, r.cust_address, r.reference, r.metadata::JSONB, r.salt
      FROM unnest( $1::UUID[], $2::INT8[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::BYTEA[] )
        AS r(acct_id, acct_seq, cust_name, cust_address, reference, metadata, salt)`,
    why: `In one transaction with the changes of the same sequences, after them, and sorted as they are, so that batches do not
      deadlock. A change whose sequence was taken is undone with them.`,
    plan: "Looks up the primary key of what it writes. That transaction does not commit by itself: corrections are rare.",
  },

  // Reading
  {
    sql: `SELECT a.acct_id, ${state} FROM unnest($1::UUID[]) AS a(acct_id)
      JOIN LATERAL ( SELECT * FROM balance_change x WHERE x.acct_id = a.acct_id ORDER BY x.acct_seq DESC LIMIT 1 ) b ON true`,
    only: "postgresql",
    why: "The tail is the row of the highest sequence. CockroachDB would read the whole past of each account.",
    plan: "For each account one look at account and one end of the range of (acct_id, acct_seq).",
  },
  {
    sql: `(SELECT b.acct_id, ${state} FROM balance_change b
      WHERE b.acct_id = $1::UUID ORDER BY b.acct_seq DESC LIMIT 1) UNION ALL (SELECT b.acct_id, ${state}
      FROM balance_change b
      WHERE b.acct_id = $2::UUID ORDER BY b.acct_seq DESC LIMIT 1)`,
    only: "cockroachdb",
    why: "As the one before. 1, 2, 4, … 64 parts, so that seven texts are prepared.",
    plan: "For each part a reverse scan of (acct_id, acct_seq) of one row, and one look at account.",
  },
  page("ASC"),
  page("DESC"),
  {
    sql: `SELECT ${accountColumns}, ${state}, (i.chg_create_time AT TIME ZONE 'UTC')::TEXT AS acct_create_time
      FROM ( SELECT * FROM balance_change WHERE acct_id = $1::UUID AND acct_seq <= $2 ORDER BY acct_seq DESC LIMIT 1 ) b
      CROSS JOIN ( SELECT * FROM account WHERE acct_id = $3::UUID AND acct_seq <= $4 ORDER BY acct_seq DESC LIMIT 1 ) k
      JOIN balance_change i ON i.acct_id = $5::UUID AND i.acct_seq = 0`,
    why: "A read of one state: what is said of an account is stored together with its change. Each LIMIT is at its own scan.",
    plan: "Two reverse scans of one row, by (acct_id, acct_seq) of each table, and one look at the first change.",
  },
  {
    sql: `SELECT ${record} FROM account k WHERE k.acct_id = $1::UUID AND k.acct_seq <= $2 ORDER BY k.acct_seq DESC LIMIT 1`,
    why: "Rows up to a fixed sequence never change, but for what is erased.",
    plan: "A reverse scan of the primary key of one row.",
  },
  {
    sql: `SELECT ${accountColumns}, (f.chg_create_time AT TIME ZONE 'UTC')::TEXT AS acct_create_time
      FROM ( SELECT a.acct_id, i.chg_create_time FROM account a
          JOIN balance_change i ON i.acct_id = a.acct_id AND i.acct_seq = 0
        WHERE a.acct_id > $1::UUID AND a.acct_seq = 0 ORDER BY a.acct_id LIMIT $2 ) f
      JOIN account k ON k.acct_id = f.acct_id AND k.acct_seq = (SELECT max(x.acct_seq) FROM account x WHERE x.acct_id = f.acct_id)
      ORDER BY k.acct_id`,
    why: "What is said of accounts now; the states come by a statement of their own. The page is cut before what is newest is looked for.",
    plan: "A range of the primary key of account, for each row one look at the first change; then for each row of the page the end of its few rows.",
  },
  {
    sql: "SELECT 1 AS one FROM account WHERE acct_id = $1::UUID AND acct_seq = 0",
    why: "A read of a row that is never gone.",
    plan: "By primary key.",
  },
  {
    sql: `SELECT ${state} FROM balance_change b
      WHERE b.bchg_id = $1 AND b.acct_id = $2::UUID`,
    why: "A read of rows that never change.",
    plan: "By the primary keys of both tables.",
  },
  {
    sql: "SELECT chg_hash FROM balance_change WHERE acct_id = $1::UUID AND acct_seq = $2",
    why: "Tells how a write ended whose answer was lost: its rows are there together or not at all.",
    plan: "By the unique key.",
  },
  {
    sql: "SELECT pg_logical_emit_message(true, 'banquo', '')::TEXT AS lsn",
    only: "postgresql",
    why: "A commit of one's own, which waits for the standbys: what was visible before it is as durable as what was acknowledged.",
    plan: "No table. Some 50 bytes of WAL.",
  },
  {
    sql: "SELECT current_setting('transaction_isolation') AS isolation",
    why: "Whether a caller's transaction can see what others have written since it began.",
    plan: "No data. Only after a conflict inside a caller's transaction.",
  },
  {
    sql: `SELECT ${change} FROM balance_change b
      WHERE b.bchg_id = $1 AND b.xact_id = b.bchg_id
      UNION ALL SELECT ${change} FROM balance_change b
      WHERE b.xact_id BETWEEN $2 AND $3 AND b.xact_rows > 1 AND b.xact_id <> b.bchg_id ORDER BY bchg_id`,
    why: "A read of rows that never change. Ids are an order within a transaction: they were given in that order.",
    plan: `By primary key, and by the partial index on xact_id, whose condition is said as it stands there: after an equality
      CockroachDB would have put the constant in the place of xact_id.`,
  },
  {
    sql: "SELECT xact_id, request_hash, texts_salt, texts_hash, details_hash FROM balance_change WHERE idem_key = $1",
    why: "Tells what a key has been used for.",
    plan: "By the partial unique index on idem_key: what equals a value is not NULL.",
  },
  {
    sql: "SELECT idem_key FROM balance_change WHERE idem_key = ANY($1::BYTEA[]) AND idem_key IS NOT NULL",
    why: "Tells which keys of a batch have been used.",
    plan: "By the partial unique index on idem_key, a look for each.",
  },
  {
    sql: `SELECT xact_id, request_hash, texts_salt, texts_hash, details_hash FROM balance_change
      WHERE acct_id = $1::UUID AND acct_seq = 0`,
    why: "Tells what an account was opened by.",
    plan: "By (acct_id, acct_seq).",
  },

  // Holds
  {
    sql: `SELECT b.acct_seq, b.bchg_id, b.hold_id, b.held_amt::TEXT AS held_amt,
        (b.hold_expires_at AT TIME ZONE 'UTC')::TEXT AS hold_expires_at FROM balance_change b
      WHERE b.acct_id = $1::UUID AND b.hold_id IS NOT NULL AND b.acct_seq < $2 ORDER BY b.acct_seq DESC LIMIT $3`,
    why: "Rows up to a fixed sequence never change. Only for accounts that hold something.",
    plan: "A reverse scan of the partial index on holds of an account, whose condition is said; as many rows as the limit are read.",
  },
  {
    sql: `SELECT ${change}
      FROM balance_change b WHERE b.hold_id = $1 ORDER BY b.acct_seq`,
    why: "A read of rows that never change. By sequence: on CockroachDB the ids of different transactions are no order.",
    plan: "A few entries of the partial index on hold_id, and their rows; account by its primary key, whatever the statistics say: a join was planned as a scan of all accounts while they were young.",
  },
  {
    sql: `SELECT ${change} FROM ( SELECT bchg_id, acct_seq FROM balance_change
        WHERE acct_id = $1::UUID AND hold_id IS NOT NULL AND hold_id = bchg_id AND acct_seq < $2
        ORDER BY acct_seq DESC LIMIT $3 ) h JOIN balance_change b ON b.hold_id = h.bchg_id AND b.hold_id IS NOT NULL ORDER BY h.acct_seq DESC, b.acct_seq`,
    why: "A read of rows that never change. A hold is its first row, and a page is cut by those before it is joined.",
    plan: `A reverse scan of the partial index on holds of an account until so many have begun, each row looked at; for each hold
      the partial index on hold_id, whose condition is said, because the join alone might not imply it to CockroachDB.`,
  },
  {
    sql: `SELECT h.acct_id, h.bchg_id, (h.hold_expires_at AT TIME ZONE 'UTC')::TEXT AS hold_expires_at,
        (SELECT sum(b.held_amt) FROM balance_change b WHERE b.hold_id = h.hold_id AND b.hold_id IS NOT NULL) > 0 AS is_open
      FROM ( SELECT acct_id, bchg_id, hold_id, hold_expires_at FROM balance_change
        WHERE hold_expires_at IS NOT NULL AND hold_expires_at <= $1::TIMESTAMPTZ
          AND (hold_expires_at, bchg_id) > ($2::TIMESTAMPTZ, $3)
        ORDER BY hold_expires_at, bchg_id LIMIT $4 ) h ORDER BY h.hold_expires_at, h.bchg_id`,
    why: `Tells whose holds to look at; what is released is decided by the chain of each account. Ids only tell rows of one
      instant apart, in any order. The page is cut before the sums, of which CockroachDB makes a join.`,
    plan: `The partial index on expiry in its order, whose condition is said, from a place on, as many rows as the limit; for each
      the partial index on hold_id, whose condition is said.`,
  },

  // Reversals
  {
    sql: `SELECT reverses_xact_id AS xact_id, acct_id, sum(chg_amt)::TEXT AS amt FROM balance_change
      WHERE reverses_xact_id = ANY($1::INT8[]) GROUP BY reverses_xact_id, acct_id`,
    why: `What was taken back so far. Of two reversals at once one meets the tail that the other has written, and reads this
      again: a reversal writes to the accounts of what it reverses.`,
    plan: "By the partial index on reverses_xact_id, a range for each: what equals a value is not NULL.",
  },

  // The past
  ...(["ASC", "DESC"] as const).map((order): Statement => ({
    sql: `SELECT ${change} FROM balance_change b
      WHERE b.acct_id = $1::UUID AND b.acct_seq >= $2 AND b.acct_seq <= $3 ORDER BY b.acct_seq ${order}`,
    why: "A window of rows that never change; a stream is many of them.",
    plan: "A range of (acct_id, acct_seq) of at most a page; one look at account.",
  })),
  {
    sql: `SELECT ${state} FROM balance_change b
      WHERE b.acct_id = $1::UUID AND b.acct_seq = ANY($2::INT8[])`,
    why: "A read of rows that never change.",
    plan: "By (acct_id, acct_seq), a look for each; one look at account.",
  },
  {
    sql: `SELECT b.acct_seq, (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time FROM balance_change b
      WHERE b.acct_id = $1::UUID AND b.acct_seq = ANY($2::INT8[])`,
    why: "A read of rows that never change.",
    plan: "By (acct_id, acct_seq), a look for each.",
  },
  {
    sql: `SELECT ((SELECT COALESCE(sum(b.chg_amt), 0) FROM balance_change b WHERE b.acct_id = $1::UUID
        AND b.effective_time <> b.chg_create_time AND b.effective_time <= $2::TIMESTAMPTZ
        AND b.acct_seq > $3 AND b.acct_seq <= $4)
      - (SELECT COALESCE(sum(b.chg_amt), 0) FROM balance_change b WHERE b.acct_id = $5::UUID
        AND b.effective_time <> b.chg_create_time AND b.effective_time > $6::TIMESTAMPTZ
        AND b.acct_seq <= $7))::TEXT AS correction`,
    why: "Rows up to a fixed sequence never change. Both take -infinity for what lies before the year 1.",
    plan: "Two ranges of the partial index on effective_time, whose condition is said, and which holds the amount.",
  },
  ...axes.flatMap((agreeing): ReadonlyArray<Statement> => [
    {
      sql: `SELECT ${turnovers} FROM balance_change b
        WHERE b.acct_id = $1::UUID AND b.acct_seq > $2 AND b.acct_seq <= $3 AND ${agreeing}`,
      why: "Rows up to a fixed sequence never change.",
      plan: "A range of (acct_id, acct_seq) of at most 100 000 rows, each read.",
    },
    {
      sql: `SELECT ${movement} FROM balance_change b WHERE b.acct_id = $1::UUID AND b.acct_seq > $2 AND b.acct_seq <= $3
        AND b.chg_amt <> 0 AND ${agreeing} ORDER BY b.acct_seq`,
      why: "Rows up to a fixed sequence never change.",
      plan: "A range of (acct_id, acct_seq) of at most a page, each row read.",
    },
  ]),
  {
    sql: `SELECT ${turnovers} FROM balance_change b WHERE b.acct_id = $1::UUID AND b.effective_time <> b.chg_create_time
      AND b.effective_time >= $2::TIMESTAMPTZ AND b.effective_time < $3::TIMESTAMPTZ AND b.acct_seq <= $4`,
    why: "Rows up to a fixed sequence never change.",
    plan: "A range of the partial index on effective_time, whose condition is said, and which holds the amount.",
  },
  {
    sql: `SELECT ${movement} FROM balance_change b WHERE b.acct_id = $1::UUID AND b.effective_time <> b.chg_create_time
      AND (b.effective_time, b.acct_seq) > ($2::TIMESTAMPTZ, $3) AND b.effective_time < $4::TIMESTAMPTZ
      AND b.acct_seq <= $5 AND b.chg_amt <> 0 ORDER BY b.effective_time, b.acct_seq LIMIT $6`,
    why: "Rows up to a fixed sequence never change.",
    plan: "The partial index on effective_time in its order, from a place on; as many rows as the limit are read.",
  },
  { sql: "SELECT ledger_id FROM ledger", why: "Never changes. Once in a process.", plan: "A table of one row." },

  {
    sql: `SELECT c.relname::TEXT AS relname FROM pg_catalog.pg_class c
      WHERE c.relname IN ('account', 'balance_change') AND c.relkind = 'r'
        AND (has_table_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE')) ORDER BY c.relname`,
    why: "The catalog of both; asked by oid, so that a table that is not there is no error.",
    plan: "Two entries of the catalog, once in a process.",
  },

  // The verifier: reads everything, a page at a time, each in its own transaction
  {
    sql: `SELECT ${change} FROM balance_change b
      WHERE (b.acct_id, b.acct_seq) > ($1::UUID, $2::INT8) AND b.acct_id <= $3::UUID
      ORDER BY b.acct_id, b.acct_seq LIMIT $4`,
    why: "Rows never change, so pages that are read one after the other fit together, whatever is appended between them.",
    plan: "The unique index on (acct_id, acct_seq) in its order, from a place on; as many rows as the limit are read.",
  },
  {
    sql: `SELECT ${record} FROM account k WHERE (k.acct_id, k.acct_seq) > ($1::UUID, $2::INT8)
      AND (k.acct_id, k.acct_seq) <= ($3::UUID, $4::INT8) ORDER BY k.acct_id, k.acct_seq`,
    why: "What is said of the accounts of a page of changes that was read before: it is stored together with them.",
    plan: "A range of the primary key, of no more rows than the page has changes.",
  },
  {
    sql: `SELECT b.bchg_id, b.xact_id, b.xact_rows, b.currency, b.chg_amt::TEXT AS chg_amt FROM balance_change b
      WHERE b.xact_rows > 1 AND (b.xact_id, b.bchg_id) > ($1::INT8, $2::INT8) ORDER BY b.xact_id, b.bchg_id LIMIT $3`,
    why: "Rows of a transaction come by one INSERT, and never change: a page that has one of them could have all.",
    plan: "The partial index on xact_id, whose condition is said, in its order, from a place on.",
  },
  {
    sql: `SELECT DISTINCT b.reverses_xact_id AS xact_id FROM balance_change b
      WHERE b.reverses_xact_id IS NOT NULL AND b.reverses_xact_id > $1 ORDER BY b.reverses_xact_id LIMIT $2`,
    why: "As for transactions.",
    plan: "The partial index on reverses_xact_id, whose condition is said, in its order, from a place on.",
  },
  {
    sql: `SELECT b.xact_id, b.acct_id, b.chg_amt::TEXT AS chg_amt FROM balance_change b
      WHERE b.bchg_id = ANY($1::INT8[]) AND b.xact_id = b.bchg_id AND b.chg_amt <> 0
      UNION ALL
      SELECT b.xact_id, b.acct_id, b.chg_amt::TEXT AS chg_amt FROM balance_change b
      WHERE b.xact_id = ANY($2::INT8[]) AND b.xact_rows > 1 AND b.xact_id <> b.bchg_id AND b.chg_amt <> 0`,
    why: "Rows of a transaction come by one INSERT, and never change.",
    plan: "One look at the primary key for each, and at the partial index on xact_id.",
  },
  {
    sql: `SELECT b.reverses_xact_id AS xact_id, b.acct_id, sum(b.chg_amt)::TEXT AS taken FROM balance_change b
      WHERE b.reverses_xact_id = ANY($1::INT8[]) GROUP BY b.reverses_xact_id, b.acct_id`,
    why: "Sums of decimals are exact. One state of all rows.",
    plan: "One look at the partial index on reverses_xact_id for each; equality excludes NULL, so it may be used.",
  },

  // The migrator
  {
    sql: "SELECT version, checksum FROM schema_version",
    why: "Tells what is to be done, and whether this build can serve. 42P01 where nothing was migrated, on both.",
    plan: "A table of a few rows.",
  },
  {
    sql: "INSERT INTO schema_version (version, checksum) VALUES ($1, $2) ON CONFLICT (version) DO NOTHING",
    why: "After the last step of a version; again is the same.",
    plan: "By primary key.",
  },
  {
    sql: `UPDATE schema_lease SET owner = $1, expires_at = now() + INTERVAL '15 seconds'
      WHERE id = 1 AND (owner IS NULL OR owner = $2 OR expires_at < now()) RETURNING id`,
    why: "Whoever gets the row back has the lease: there are no advisory locks.",
    plan: "By primary key.",
  },
  {
    sql: "SELECT owner FROM schema_lease WHERE id = 1",
    why: "For the message of who waits.",
    plan: "By primary key.",
  },
  {
    sql: `UPDATE schema_lease SET expires_at = now() + INTERVAL '15 seconds' WHERE id = 1 AND owner = $1 RETURNING id`,
    why: "No row: the lease was lost.",
    plan: "By primary key.",
  },
  {
    sql: "UPDATE schema_lease SET owner = NULL WHERE id = 1 AND owner = $1",
    why: "Only one's own lease is given back.",
    plan: "By primary key.",
  },
  // The schema: each statement stands in its migration, with its reason. Every constraint has a name, or the two databases
  // would give it different ones; types and roles that are there already are 42710.
  ...[foundation, ...migrations.map(({ steps }) => steps)]
    .flat()
    .flatMap(({ ddl: sql, dialect, unless }): ReadonlyArray<Statement> => [
      { sql, why: "A step of a migration, without effect when it comes again.", ...ddl, ...only(dialect) },
      ...(unless === undefined
        ? []
        : [{ sql: unless, why: "Both have the catalog.", plan: "The catalog.", ...only(dialect) }]),
    ]),
]

/** What tests send themselves by a connection of the application: not reviewed. */
export const fixtures: ReadonlyArray<RegExp> = [
  // A shop with a table of its own, and a proxy that has the server refuse something.
  /\borders\b/,
  /^SELECT '(?:mine|undone)' AS \w+$/,
  /^refused by the proxy$/,
  // Who is connected, and who waits.
  /\bpg_(?:stat_activity|locks|stat_clear_snapshot)\b|\bSHOW CLUSTER SESSIONS\b/,
  /^SELECT current_setting\('application_name'\) AS name$/,
  /^SET LOCAL timezone = /,
  /^BEGIN ISOLATION LEVEL /,
  // Rows that the ledger itself would not write, or not yet.
  /^INSERT INTO account .*'Eve'/,
  /^INSERT INTO balance_change .*'(?:eve|other|operator)'/,
  // A server that has lost rows, and one that refuses some.
  /^DELETE FROM balance_change WHERE acct_id = \$1::UUID AND acct_seq >= \$2$/,
  /^ALTER TABLE balance_change ADD CONSTRAINT poison /,
  /^SELECT unique_rowid\(\) AS id$/,
  // Proofs about all that is stored.
  /^SELECT \(SELECT count\(\*\) FROM /,
  /^SELECT count\(\*\) AS n FROM balance_change WHERE idem_key = \$1$/,
  /^SELECT count\(\*\) AS count FROM account WHERE acct_seq > 0$/,
  /^SELECT acct_seq FROM account WHERE acct_id = \$1::UUID(?: AND acct_seq > 0)?$/,
  /^SELECT DISTINCT (?:xmin|crdb_internal_mvcc_timestamp)::TEXT FROM balance_change WHERE /,
  /^SELECT \(chg_create_time AT TIME ZONE 'UTC'\)::TEXT AS text /,
  /^SELECT .* AS is_linked FROM balance_change b LEFT JOIN /,
  /^SELECT .* FROM balance_change b ORDER BY b\.acct_id, b\.acct_seq$/,
]

/** What CockroachDB cannot parse or do, or does otherwise than it seems. */
export const restrictions: ReadonlyArray<readonly [RegExp, string]> = [
  [/;\s*\S/, "one statement at a time: several are one transaction"],
  [/\bLOCK TABLE\b/i, "cannot be parsed"],
  [/^(?:UN)?LISTEN\b|^NOTIFY\b|\bpg_notify\b/i, "cannot be parsed"],
  [/^MERGE\b/i, "cannot be parsed"],
  [/^DO\b/i, "cannot be parsed before 24.1"],
  [/^COPY\b/i, "needs a protocol of its own"],
  [/\bCREATE TYPE IF NOT EXISTS\b/i, "PostgreSQL cannot parse it"],
  [/\bpg_(?:try_)?advisory/i, "answers without locking, or is not defined"],
  [/\bFOR (?:NO KEY )?(?:UPDATE|SHARE)\b/i, "is no guard under SERIALIZABLE, and needs the right to UPDATE"],
  [/^INSERT INTO balance_change\b.*\bON CONFLICT\b/i, "stores the rest of a chain as orphans"],
  [/\bAS (?:NOT )?(?:MATERIALIZED )?\(\s*(?:INSERT|UPDATE|DELETE|UPSERT)\b/i, "takes away the auto-commit"],
  [/\bREFERENCES balance_change\b/i, "a table that refers to itself loses the auto-commit of its inserts"],
  [/\b(?:sha224|sha256|sha384|sha512|digest)\s*\(/i, "has another type"],
  [/\bTRIGGER\b/i, "is not there before 24.3"],
  [/\bDEFERRABLE\b|\bNULLS NOT DISTINCT\b|\bttl_expir/i, "is absent or different"],
  [/^GRANT [A-Z]+ ?\(/i, "has no grants on columns"],
  [/^CREATE DATABASE\b.*\bTEMPLATE\b/i, "cannot copy a database"],
  [/\bLATERAL \(.*\bLIMIT\b/i, "becomes a join that reads everything, and then limits"],
  [/\(SELECT [^()]* LIMIT 1\).* LIMIT \S+$/i, "becomes a join of all rows, and then limits"],
  [/\bEXISTS \([^()]*\) AS \w+\b/i, "becomes a join that reads everything there is"],
  [/\bORDER BY (?:\w+\.)?(?:bchg_id|chg_create_time) DESC\b/i, "neither ids nor times are an order"],
  [/\bAS OF SYSTEM TIME \$/i, "takes no parameter there"],
]

/** White space, numbers of savepoints and repeated parts of a UNION do not make another statement. */
export const normalise = (sql: string): string => {
  const text = sql
    .trim()
    .replaceAll(/\s+/g, " ")
    .replaceAll("( ", "(")
    .replaceAll(" )", ")")
    .replaceAll(/effect_sql_\d+/g, "effect_sql_n")
  if (!/^\(SELECT .*\)$/.test(text)) return text
  const [first, ...others] = text
    .slice(1, -1)
    .split(") UNION ALL (")
    .map((part) => part.replaceAll(/\$\d+/g, "$n"))
  return others.every((part) => part === first) ? `(${first}) UNION ALL …` : text
}

const statementOf = new Map(reviewed.map((statement) => [normalise(statement.sql), statement]))

/** What is to be said against a statement on a database; `undefined` if nothing. */
export const objectionTo = (sql: string, dialect: Dialect): string | undefined => {
  const text = normalise(sql)
  if (fixtures.some((fixture) => fixture.test(text))) return undefined
  const statement = statementOf.get(text)
  if (statement?.only !== undefined && statement.only !== dialect) return `is for ${statement.only} only`
  const restriction = restrictions.find(([pattern]) => pattern.test(text))
  if (restriction !== undefined && statement?.only !== "postgresql") return `on CockroachDB: ${restriction[1]}`
  return statement === undefined ? "has not been reviewed" : undefined
}

/** DDL together with anything else in one transaction. */
export const mixed = "a change of the schema needs a transaction of its own"

export const isSchemaChange = (sql: string): boolean => /^\s*(?:CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE)\b/i.test(sql)

/** A text for whoever runs the tests; `undefined` if all that was sent has been reviewed. */
export const complaintAbout = (sent: Iterable<string>, dialect: Dialect): string | undefined => {
  const lines = [...new Set(Array.from(sent, normalise))].flatMap((text) => {
    const objection = objectionTo(text, dialect)
    return objection === undefined ? [] : [`- ${objection}:\n  ${text}`]
  })
  return lines.length === 0
    ? undefined
    : `SQL that is not among the reviewed statements. Look at it with both databases in mind and add it to
packages/testing/src/ReviewedStatements.ts (to \`fixtures\`, if only a test sends it):
${lines.sort().join("\n")}`
}
