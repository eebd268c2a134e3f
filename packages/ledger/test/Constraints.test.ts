/** What cannot be stored, whoever writes it: each rule of the schema against SQL of its own, as the role of the service. */
import { assert, layer } from "@effect/vitest"
import { Effect, Predicate } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { sqlState } from "../src/database/DatabaseError.ts"
import { DbConn } from "../src/database/DbConn.ts"
import { schemaVersion } from "../src/migrations/Migrator.ts"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** Columns of a row as SQL expressions. */
type Row = Readonly<Record<string, string>>

const hash = "decode(repeat('ab', 32), 'hex')"
const otherKey = "decode(repeat('cd', 32), 'hex')"

const insertRows = (sql: SqlClient.SqlClient, ...rows: ReadonlyArray<Row>) => {
  const columns = Object.keys(rows[0]!)
  const values = rows.map((row) => `(${columns.map((column) => row[column] ?? "NULL").join(", ")})`)
  return sql.unsafe(`INSERT INTO balance_change (${columns.join(", ")}) VALUES ${values.join(", ")}`).unprepared
}

/** An account of 100.00 with its first row and one change after it, and the row that would come next. */
const openAccount = Effect.gen(function* () {
  const { sql } = yield* DbConn
  const acctId = crypto.randomUUID()
  const ids = (yield* sql<{ id: bigint }>`SELECT unique_rowid() AS id FROM generate_series(1, 4)`).map(
    ({ id }) => `${id}`,
  )
  const [first = "", second = "", third = "", fourth = ""] = ids
  const row = (id: string, seq: number, more: Row): Row => ({
    bchg_id: id,
    acct_id: `'${acctId}'`,
    acct_seq: `${seq}`,
    chg_flavor: "'FLOW'",
    prev_bchg_id: "NULL",
    owner: "NULL",
    currency: "'USD'",
    scale: "2",
    chg_amt: "10",
    balance: "110",
    held_amt: "0",
    held: "0",
    overdraft_limit: "0",
    acct_status: "'open'",
    is_forced: "false",
    xact_id: id,
    xact_rows: "1",
    hold_id: "NULL",
    hold_expires_at: "NULL",
    description: "NULL",
    texts_salt: "NULL",
    texts_hash: "NULL",
    idem_key: "NULL",
    request_hash: "NULL",
    details_hash: "NULL",
    actor: "'tests'",
    effective_time: "now()",
    // In one statement all have the same now().
    chg_create_time: `now() + INTERVAL '${Math.max(seq, 0)} seconds'`,
    chg_hash: hash,
    ...more,
  })
  yield* sql`INSERT INTO account (acct_id, acct_seq, cust_name, cust_address) VALUES (${acctId}::UUID, 0, 'Ann', '')`
  const key = `decode(repeat('${acctId.replaceAll("-", "")}', 2), 'hex')`
  const initial = row(first, 0, { chg_flavor: "'INITIAL'", chg_amt: "100", balance: "100" })
  yield* insertRows(sql, initial)
  yield* insertRows(sql, row(second, 1, { prev_bchg_id: first, idem_key: key, request_hash: hash }))
  const next = (more: Row): Row => row(third, 2, { prev_bchg_id: second, balance: "120", ...more })
  return { sql, acctId, key, first, second, third, fourth, initial, next, row }
})

type Account = Effect.Success<typeof openAccount>

/** All that is stored: equal as long as nothing is written. */
const contents = (sql: SqlClient.SqlClient) =>
  Effect.all([
    sql`SELECT * FROM account ORDER BY acct_id, acct_seq`,
    sql`SELECT b::TEXT AS row FROM balance_change b ORDER BY bchg_id`,
    sql`SELECT * FROM ledger`,
    sql`SELECT * FROM schema_version ORDER BY version`,
  ])

const constraintOf = ({ reason: { cause } }: SqlError.SqlError) =>
  Predicate.hasProperty(cause, "constraint") ? cause.constraint : undefined

/**
 * Asserts how a statement is refused, and that it changed nothing. Where a row breaks several rules CockroachDB may name
 * another of them, and no constraint for what a type does not hold.
 */
const assertRefused = <R>(
  sql: SqlClient.SqlClient,
  statement: Effect.Effect<unknown, SqlError.SqlError, R>,
  state: string | RegExp,
  constraint?: string,
) =>
  Effect.gen(function* () {
    const before = yield* contents(sql)
    const error = yield* Effect.flip(statement)
    if (state instanceof RegExp) assert.match(sqlState(error) ?? "", state)
    else assert.strictEqual(sqlState(error), state)
    if (TestDatabase.dialect === "postgresql") assert.strictEqual(constraintOf(error), constraint)
    assert.deepStrictEqual(yield* contents(sql), before)
  })

interface Refused {
  readonly name: string
  readonly rows: (account: Account) => ReadonlyArray<Row>
  readonly state: string | RegExp
  readonly constraint?: string
}

const unique = (constraint: string) => ({ state: "23505", constraint })
const check = (constraint: string) => ({ state: "23514", constraint })

/** One row, the account's next, with something wrong. */
const next =
  (more: Row): Refused["rows"] =>
  (account) => [account.next(more)]

const link = check("balance_change_link_check")
const flavor = check("balance_change_flavor_check")
const funds = check("balance_change_funds_check")
const hold = check("balance_change_hold_check")
const closed = check("balance_change_closed_check")
const idemKey = check("balance_change_idem_key_check")
const hashes = check("balance_change_hash_check")
const texts = check("balance_change_texts_check")
const scale = check("balance_change_scale_check")

/** The type of the column refuses it on PostgreSQL, before any constraint looks at it; on CockroachDB either does. */
const beyondType = TestDatabase.dialect === "postgresql" ? "22003" : /^(?:22003|23514)$/

/**
 * What the row before is needed to see: refused on PostgreSQL by a trigger. CockroachDB has none: there our own writers are held
 * to it, and the verifier finds the rest.
 */
const discontinuities: ReadonlyArray<Pick<Refused, "name" | "rows"> & { readonly what: string }> = [
  { name: "a gap in the sequence", rows: next({ acct_seq: "3" }), what: "follows" },
  {
    name: "a chain that does not begin at its first row",
    rows: next({ acct_id: `'${crypto.randomUUID()}'` }),
    what: "follows",
  },
  { name: "a row after one that is not there", rows: next({ prev_bchg_id: "987654321" }), what: "follows" },
  {
    name: "a row after the row before the newest",
    rows: ({ next: row, third }) => [row({ prev_bchg_id: third, bchg_id: "987654322", xact_id: "987654322" })],
    what: "follows",
  },
  { name: "another currency", rows: next({ currency: "'EUR'" }), what: "asset" },
  { name: "another scale", rows: next({ scale: "3" }), what: "asset" },
  { name: "another owner", rows: next({ owner: "'eve'" }), what: "asset" },
  { name: "a credit that jumps", rows: next({ balance: "1020" }), what: "sums" },
  { name: "a debit that is not taken", rows: next({ chg_amt: "-10", balance: "110" }), what: "sums" },
  { name: "a sum of holds out of nothing", rows: next({ held: "5" }), what: "sums" },
  {
    name: "a hold that holds more than it says",
    rows: ({ next: row, third }) => [row({ ...placed, hold_id: third, held_amt: "1", held: "2" })],
    what: "sums",
  },
  {
    name: "a capture that takes more from what is held than it says",
    rows: (account) => [
      ...holding(account),
      following(account, { chg_flavor: "'CAPTURE'", chg_amt: "-5", balance: "105", held_amt: "-5", held: "0" }),
    ],
    what: "sums",
  },
  {
    name: "a release that lets go of less than it says",
    rows: (account) => [
      ...holding(account),
      following(account, { chg_flavor: "'RELEASE'", chg_amt: "0", balance: "110", held_amt: "-20", held: "10" }),
    ],
    what: "sums",
  },
  {
    name: "a row of the same time",
    rows: ({ next: row, second }) => [
      row({
        chg_create_time: `(SELECT chg_create_time FROM balance_change WHERE bchg_id = ${second})`,
        effective_time: "'2020-01-01T00:00:00Z'",
      }),
    ],
    what: "time",
  },
  {
    name: "a row of an earlier time",
    rows: next({ chg_create_time: "'2020-01-01T00:00:00Z'", effective_time: "'2020-01-01T00:00:00Z'" }),
    what: "time",
  },
  { name: "a FLOW that raises the limit", rows: next({ overdraft_limit: "1000" }), what: "terms" },
  { name: "a FLOW that takes the limit away", rows: next({ overdraft_limit: "NULL" }), what: "terms" },
  { name: "a FLOW that freezes the account", rows: next({ acct_status: "'frozen'" }), what: "terms" },
]

const placed = { chg_flavor: "'HOLD'", chg_amt: "0", balance: "110", hold_expires_at: "now()" }

/** A hold of 10, which comes next. */
const holding = ({ next: row, third }: Account): ReadonlyArray<Row> => [
  row({ ...placed, hold_id: third, held_amt: "10", held: "10" }),
]

/** A row after it, in the same statement. */
const following = ({ fourth, next: row, third }: Account, more: Row): Row =>
  row({
    bchg_id: fourth,
    xact_id: fourth,
    acct_seq: "3",
    prev_bchg_id: third,
    hold_id: third,
    chg_create_time: "now() + INTERVAL '3 seconds'",
    ...more,
  })

/** For each money column, a row in which any number there would be right. */
const moneyColumns: ReadonlyArray<readonly [column: string, row: Row]> = [
  ["chg_amt", {}],
  ["balance", {}],
  ["held_amt", { chg_flavor: "'HOLD'", chg_amt: "0", hold_id: "1" }],
  ["held", {}],
  ["overdraft_limit", {}],
]

const refused: ReadonlyArray<Refused> = [
  {
    name: "a second first row",
    rows: ({ initial, third }) => [{ ...initial, bchg_id: third, xact_id: third }],
    ...unique("balance_change_acct_seq_key"),
  },
  {
    name: "a second row of the same sequence",
    rows: next({ acct_seq: "1" }),
    ...unique("balance_change_acct_seq_key"),
  },
  {
    name: "a second row after the same row",
    rows: ({ first, next: row }) => [row({ prev_bchg_id: first })],
    ...unique("balance_change_prev_key"),
  },
  {
    name: "two rows after the same row in one statement",
    rows: ({ fourth, next: row }) => [row({}), row({ bchg_id: fourth, xact_id: fourth, acct_seq: "3" })],
    ...unique("balance_change_prev_key"),
  },
  {
    name: "an id that is taken",
    rows: ({ first, next: row }) => [row({ bchg_id: first, xact_id: first })],
    ...unique("balance_change_pkey"),
  },
  { name: "a change that follows none", rows: next({ prev_bchg_id: "NULL" }), ...link },
  { name: "a change that follows itself", rows: ({ next: row, third }) => [row({ prev_bchg_id: third })], ...link },
  { name: "a first row that follows another", rows: next({ acct_seq: "0" }), ...link },
  { name: "a sequence below zero", rows: next({ acct_seq: "-1" }), ...link },
  {
    name: "an INITIAL row later on",
    rows: next({ chg_flavor: "'INITIAL'", chg_amt: "120" }),
    ...link,
  },
  {
    name: "a first row that is not INITIAL",
    rows: next({ acct_id: `'${crypto.randomUUID()}'`, acct_seq: "0", prev_bchg_id: "NULL" }),
    ...link,
  },

  ...moneyColumns.flatMap(([column, row]): ReadonlyArray<Refused> => [
    { name: `NaN as ${column}`, rows: next({ ...row, [column]: "'NaN'" }), ...check(`balance_change_${column}_check`) },
    { name: `Infinity as ${column}`, rows: next({ ...row, [column]: "'Infinity'" }), state: beyondType },
    { name: `-Infinity as ${column}`, rows: next({ ...row, [column]: "'-Infinity'" }), state: beyondType },
    { name: `23 digits as ${column}`, rows: next({ ...row, [column]: "10000000000000000000000" }), state: "22003" },
  ]),
  {
    name: "a balance above the range",
    rows: next({ balance: "100000000000000000000" }),
    ...check("balance_change_balance_check"),
  },
  {
    name: "a balance below the range",
    rows: next({ balance: "-100000000000000000000", overdraft_limit: "NULL" }),
    ...check("balance_change_balance_check"),
  },
  {
    name: "a change above the range",
    rows: next({ chg_amt: "100000000000000000000" }),
    ...check("balance_change_chg_amt_check"),
  },
  {
    name: "a change below the range",
    rows: next({ chg_amt: "-100000000000000000000" }),
    ...check("balance_change_chg_amt_check"),
  },
  { name: "a negative sum of holds", rows: next({ held: "-0.0001" }), ...check("balance_change_held_check") },
  {
    name: "a negative overdraft limit",
    rows: next({ overdraft_limit: "-0.0001" }),
    ...check("balance_change_overdraft_limit_check"),
  },
  { name: "an overdraft without a limit for it", rows: next({ chg_amt: "-110.01", balance: "-0.01" }), ...funds },
  {
    name: "an overdraft beyond its limit",
    rows: next({ chg_amt: "-115.01", balance: "-5.01", overdraft_limit: "5" }),
    ...funds,
  },
  {
    name: "holds beyond what there is",
    rows: next({ ...placed, hold_id: "1", held_amt: "110.01", held: "110.01" }),
    ...funds,
  },
  {
    name: "holds beyond what there is with the overdraft",
    rows: next({ ...placed, hold_id: "1", held_amt: "115.01", held: "115.01", overdraft_limit: "5" }),
    ...funds,
  },

  {
    name: "a closed account with money",
    rows: next({ chg_flavor: "'TERMS'", chg_amt: "0", balance: "120", acct_status: "'closed'" }),
    ...closed,
  },
  {
    name: "a closed account with debt",
    rows: next({
      chg_flavor: "'TERMS'",
      chg_amt: "0",
      balance: "-1",
      overdraft_limit: "NULL",
      acct_status: "'closed'",
    }),
    ...closed,
  },
  {
    name: "a closed account with holds",
    rows: next({
      chg_flavor: "'TERMS'",
      chg_amt: "0",
      balance: "0",
      held: "1",
      overdraft_limit: "1",
      acct_status: "'closed'",
    }),
    ...closed,
  },
  {
    name: "a flow that closes the account",
    rows: next({ chg_amt: "-110", balance: "0", acct_status: "'closed'" }),
    ...closed,
  },
  { name: "an account status that there is not", rows: next({ acct_status: "'lost'" }), state: "22P02" },

  {
    name: "an INITIAL row whose balance is not its change",
    rows: ({ initial, third }) => [{ ...initial, bchg_id: third, acct_id: `'${crypto.randomUUID()}'`, balance: "101" }],
    ...flavor,
  },
  {
    name: "an INITIAL row with holds",
    rows: ({ initial, third }) => [{ ...initial, bchg_id: third, acct_id: `'${crypto.randomUUID()}'`, held: "1" }],
    ...flavor,
  },
  { name: "a FLOW of nothing", rows: next({ chg_amt: "0" }), ...flavor },
  { name: "a FLOW that holds", rows: next({ held_amt: "1", held: "1" }), ...flavor },
  { name: "a FLOW of a hold", rows: next({ hold_id: "1" }), ...hold },
  {
    name: "a HOLD without a hold",
    rows: next({ chg_flavor: "'HOLD'", chg_amt: "0", held_amt: "1", held: "1" }),
    ...hold,
  },
  {
    name: "a HOLD that moves money",
    rows: next({ chg_flavor: "'HOLD'", held_amt: "1", held: "1", hold_id: "1" }),
    ...flavor,
  },
  {
    name: "a HOLD of less than nothing",
    rows: next({ chg_flavor: "'HOLD'", chg_amt: "0", held_amt: "-1", hold_id: "1" }),
    ...flavor,
  },
  {
    name: "a CAPTURE that brings money in",
    rows: next({ chg_flavor: "'CAPTURE'", held_amt: "-1", hold_id: "1" }),
    ...flavor,
  },
  {
    name: "a CAPTURE that holds more",
    rows: next({ chg_flavor: "'CAPTURE'", chg_amt: "-1", held_amt: "1", held: "1", hold_id: "1" }),
    ...flavor,
  },
  {
    name: "a CAPTURE without a hold",
    rows: next({ chg_flavor: "'CAPTURE'", chg_amt: "-1", held_amt: "-1" }),
    ...hold,
  },
  {
    name: "a RELEASE that moves money",
    rows: next({ chg_flavor: "'RELEASE'", chg_amt: "-1", held_amt: "-1", hold_id: "1" }),
    ...flavor,
  },
  {
    name: "a RELEASE that holds more",
    rows: next({ chg_flavor: "'RELEASE'", chg_amt: "0", held_amt: "1", held: "1", hold_id: "1" }),
    ...flavor,
  },
  {
    name: "a RELEASE without a hold",
    rows: next({ chg_flavor: "'RELEASE'", chg_amt: "0", held_amt: "-1" }),
    ...hold,
  },
  {
    name: "the first HOLD of a hold without an expiry",
    rows: ({ next: row, third }) => [
      row({ chg_flavor: "'HOLD'", chg_amt: "0", held_amt: "1", held: "1", hold_id: third }),
    ],
    ...hold,
  },
  { name: "a FLOW that expires", rows: next({ hold_expires_at: "now()" }), ...hold },
  {
    name: "a CAPTURE that expires",
    rows: next({ chg_flavor: "'CAPTURE'", chg_amt: "-1", held_amt: "-1", hold_id: "1", hold_expires_at: "now()" }),
    ...hold,
  },
  {
    name: "a RELEASE that expires",
    rows: next({ chg_flavor: "'RELEASE'", chg_amt: "0", held_amt: "-1", hold_id: "1", hold_expires_at: "now()" }),
    ...hold,
  },
  {
    name: "TERMS that expire",
    rows: next({ chg_flavor: "'TERMS'", chg_amt: "0", hold_expires_at: "now()" }),
    ...hold,
  },
  { name: "TERMS that move money", rows: next({ chg_flavor: "'TERMS'" }), ...flavor },
  { name: "TERMS that hold", rows: next({ chg_flavor: "'TERMS'", chg_amt: "0", held_amt: "1", held: "1" }), ...flavor },
  { name: "TERMS of a hold", rows: next({ chg_flavor: "'TERMS'", chg_amt: "0", hold_id: "1" }), ...hold },
  { name: "a flavor that there is not", rows: next({ chg_flavor: "'GIFT'" }), state: "22P02" },

  {
    name: "a key without the hash of its request",
    rows: ({ next: row }) => [row({ idem_key: otherKey })],
    ...check("balance_change_request_check"),
  },
  {
    name: "a key on a leg that is not the first",
    rows: ({ next: row, second }) => [row({ xact_id: second, xact_rows: "2", idem_key: otherKey, request_hash: hash })],
    ...idemKey,
  },
  {
    name: "a key that is taken",
    rows: ({ key, next: row }) => [row({ idem_key: key, request_hash: hash })],
    ...unique("balance_change_idem_key_key"),
  },
  { name: "a hash that is too short", rows: next({ chg_hash: "decode(repeat('ab', 31), 'hex')" }), ...hashes },
  { name: "a hash that is too long", rows: next({ chg_hash: "decode(repeat('ab', 33), 'hex')" }), ...hashes },
  { name: "an empty hash", rows: next({ chg_hash: "''" }), ...hashes },
  {
    name: "a hash of a request that is too short",
    rows: next({ idem_key: otherKey, request_hash: "decode(repeat('ab', 31), 'hex')" }),
    ...hashes,
  },
  ...["acct_id", "acct_seq", "chg_flavor", "chg_amt", "balance", "held_amt", "held", "acct_status"].map(
    (column): Refused => ({ name: `no ${column}`, rows: next({ [column]: "NULL" }), state: "23502" }),
  ),
  { name: "a key that is too short", rows: next({ idem_key: "'key'", request_hash: hash }), ...hashes },
  { name: "texts without their hash", rows: next({ description: "'rent'" }), ...texts },
  { name: "a salt of nothing", rows: next({ texts_salt: "decode(repeat('ab', 16), 'hex')" }), ...texts },
  { name: "a salt that is too short", rows: next({ texts_salt: "'salt'", texts_hash: hash }), ...hashes },
  { name: "a hash of texts that is too short", rows: next({ texts_hash: "'hash'" }), ...hashes },
  { name: "details on a FLOW", rows: next({ details_hash: hash }), ...check("balance_change_details_check") },
  { name: "a transaction of no rows", rows: next({ xact_rows: "0" }), ...check("balance_change_xact_check") },
  {
    name: "a transaction of one row that is another's",
    rows: ({ next: row, second }) => [row({ xact_id: second })],
    ...check("balance_change_xact_check"),
  },
  {
    name: "a row that happens later than it is made",
    rows: next({ effective_time: "now() + INTERVAL '1 hour'" }),
    ...check("balance_change_time_check"),
  },
  { name: "more decimals than the scale", rows: next({ chg_amt: "10.001", balance: "120.001" }), ...scale },
  { name: "a limit of more decimals than the scale", rows: next({ overdraft_limit: "0.001" }), ...scale },
  { name: "a scale below zero", rows: next({ scale: "-1" }), ...scale },
  { name: "a scale above eight", rows: next({ scale: "9" }), ...scale },
  ...["currency", "scale", "is_forced", "xact_rows"].map((column): Refused => ({
    name: `no ${column}`,
    rows: next({ [column]: "NULL" }),
    state: "23502",
  })),
  ...["xact_id", "actor", "effective_time", "chg_create_time", "chg_hash"].map((column): Refused => ({
    name: `no ${column}`,
    rows: next({ [column]: "NULL" }),
    state: "23502",
  })),
]

layer(TestDatabase.layerOfFixtures, { excludeTestServices: true })("constraints", (it) => {
  it.effect("every flavor can be stored, up to the closing of the account", () =>
    Effect.gen(function* () {
      const { acctId, row, second, sql, third, fourth } = yield* openAccount
      const hold = { hold_id: third }
      yield* insertRows(
        sql,
        row(third, 2, {
          ...hold,
          prev_bchg_id: second,
          chg_flavor: "'HOLD'",
          chg_amt: "0",
          held_amt: "80",
          held: "80",
          hold_expires_at: "now()",
        }),
      )
      const ids = [third, fourth]
      let seq = 2
      const follow = (more: Row) =>
        Effect.gen(function* () {
          seq += 1
          const [created] = yield* sql<{ id: bigint }>`SELECT unique_rowid() AS id`
          yield* insertRows(sql, row(`${created!.id}`, seq, { prev_bchg_id: ids[0]!, ...more }))
          ids[0] = `${created!.id}`
        })
      yield* follow({
        ...hold,
        chg_flavor: "'CAPTURE'",
        chg_amt: "-30",
        balance: "80",
        held_amt: "-30",
        held: "50",
      })
      yield* follow({ ...hold, chg_flavor: "'RELEASE'", chg_amt: "0", balance: "80", held_amt: "-50", held: "0" })
      yield* follow({ chg_amt: "-80", balance: "0" })
      yield* follow({ chg_flavor: "'TERMS'", chg_amt: "0", balance: "0", acct_status: "'closed'" })
      const rows = yield* sql`SELECT chg_flavor::TEXT AS flavor, balance FROM balance_change
        WHERE acct_id = ${acctId}::UUID ORDER BY acct_seq`
      assert.deepStrictEqual(
        rows.map(({ flavor: name, balance }) => `${name} ${balance}`),
        [
          "INITIAL 100.00000000",
          "FLOW 110.00000000",
          "HOLD 110.00000000",
          "CAPTURE 80.00000000",
          "RELEASE 80.00000000",
          "FLOW 0.00000000",
          "TERMS 0.00000000",
        ],
      )
    }),
  )

  it.effect("the largest amounts can be stored in both directions", () =>
    Effect.gen(function* () {
      const { sql } = yield* openAccount
      const max = "99999999999999999999.99999999"
      const whole = { scale: "8", overdraft_limit: "NULL", chg_flavor: "'INITIAL'" }
      for (const amount of [max, `-${max}`]) {
        const { initial, third } = yield* openAccount
        const id = `'${crypto.randomUUID()}'`
        const ids = { bchg_id: third, xact_id: third, acct_id: id }
        yield* insertRows(sql, { ...initial, ...ids, ...whole, chg_amt: amount, balance: amount })
      }
    }),
  )

  it.effect("a transaction of the account that follows itself is stored by one statement", () =>
    Effect.gen(function* () {
      const account = yield* openAccount
      const { acctId, next: row, sql, third } = account
      yield* insertRows(
        sql,
        row({ xact_rows: "2" }),
        following(account, { xact_id: third, xact_rows: "2", balance: "130", hold_id: "NULL" }),
      )
      const rows = yield* sql`SELECT 1 FROM balance_change WHERE acct_id = ${acctId}::UUID`
      assert.strictEqual(rows.length, 4)
    }),
  )

  for (const { constraint, name, rows, state } of refused) {
    it.effect(`refuses ${name}`, () =>
      Effect.gen(function* () {
        const account = yield* openAccount
        yield* assertRefused(account.sql, insertRows(account.sql, ...rows(account)), state, constraint)
      }),
    )
  }

  for (const { name, rows, what } of discontinuities) {
    it.effect(`${TestDatabase.dialect === "postgresql" ? "refuses" : "does not see"} ${name}`, () =>
      Effect.gen(function* () {
        const account = yield* openAccount
        const insert = insertRows(account.sql, ...rows(account))
        if (TestDatabase.dialect === "postgresql") {
          const state = what === "follows" ? "23503" : "23514"
          yield* assertRefused(account.sql, insert, state, `balance_change_${what}`)
        } else yield* insert
      }),
    )
  }

  it.effect("refuses a row after another account's newest, which would block that account for good", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* openAccount, yield* openAccount]
      const insert = insertRows(one.sql, one.next({ prev_bchg_id: other.second }))
      if (TestDatabase.dialect === "postgresql") {
        yield* assertRefused(one.sql, insert, "23503", "balance_change_follows")
      }
      yield* insertRows(other.sql, other.next({}))
    }),
  )

  it.effect("what gives back, a change of terms, and what is forced may leave an account below its limit", () =>
    Effect.gen(function* () {
      const { next: row, sql } = yield* openAccount
      const below = { chg_amt: "-120", balance: "-10", is_forced: "true" }
      yield* insertRows(sql, row(below))
      const other = yield* openAccount
      const terms = { chg_flavor: "'TERMS'", chg_amt: "0", balance: "110" }
      yield* insertRows(
        other.sql,
        other.next({ ...terms, overdraft_limit: "500" }),
        following(other, { chg_amt: "-600", balance: "-490", hold_id: "NULL", overdraft_limit: "500" }),
      )
      const [id] = yield* other.sql<{ id: bigint }>`SELECT unique_rowid() AS id`
      const last = { bchg_id: `${id!.id}`, xact_id: `${id!.id}`, acct_seq: "4", prev_bchg_id: other.fourth }
      const later = { ...last, chg_create_time: "now() + INTERVAL '4 seconds'" }
      yield* insertRows(other.sql, other.next({ ...later, ...terms, balance: "-490", overdraft_limit: "100" }))
    }),
  )

  it.effect("one bad row keeps the others of its statement out", () =>
    Effect.gen(function* () {
      const { fourth, next: row, sql, third } = yield* openAccount
      const bad = row({
        bchg_id: fourth,
        xact_id: fourth,
        acct_seq: "3",
        prev_bchg_id: third,
        chg_amt: "-121",
        balance: "-1",
      })
      yield* assertRefused(sql, insertRows(sql, row({}), bad), "23514", "balance_change_funds_check")
    }),
  )

  it.effect("a later HOLD of a hold may leave its expiry as it was", () =>
    Effect.gen(function* () {
      const account = yield* openAccount
      const { next: row, sql, third } = account
      const held = { chg_flavor: "'HOLD'", chg_amt: "0", balance: "110", held_amt: "1", hold_id: third }
      yield* insertRows(
        sql,
        row({ ...held, held: "1", hold_expires_at: "now()" }),
        following(account, { ...held, held: "2" }),
      )
    }),
  )

  it.effect("refuses to say two things of an account at once, and a salt that is none", () =>
    Effect.gen(function* () {
      const { acctId, sql } = yield* openAccount
      const say = (seq: bigint, salt: Uint8Array | null) =>
        sql`INSERT INTO account (acct_id, acct_seq, cust_name, cust_address, salt)
          VALUES (${acctId}::UUID, ${seq}, 'Eve', '', ${salt})`
      yield* say(1n, new Uint8Array(16))
      yield* assertRefused(sql, say(0n, null), "23505", "account_pkey")
      yield* assertRefused(sql, say(1n, null), "23505", "account_pkey")
      yield* assertRefused(sql, say(2n, new Uint8Array(15)), "23514", "account_salt_check")
      yield* assertRefused(sql, say(-1n, null), "23514", "account_seq_check")
    }),
  )
})

const changing = [
  "UPDATE balance_change SET balance = balance + 1",
  "UPDATE balance_change SET description = 'x' WHERE acct_seq = 0",
  "DELETE FROM balance_change",
  "TRUNCATE balance_change",
  "UPDATE account SET cust_name = 'Eve'",
  "DELETE FROM account",
  "TRUNCATE account",
  "UPDATE ledger SET ledger_id = gen_random_uuid()",
  "DELETE FROM ledger",
  "INSERT INTO ledger (id) VALUES (1)",
  "INSERT INTO schema_version (version, checksum) VALUES (99, '')",
  "DELETE FROM schema_version",
  "UPDATE schema_lease SET owner = 'eve'",
  "SELECT * FROM balance_change FOR UPDATE",
  "DROP TABLE balance_change",
  "DROP TABLE account",
  "DROP TABLE ledger",
  "ALTER TABLE account ADD COLUMN note TEXT",
  "CREATE INDEX ON balance_change (actor)",
  "CREATE TABLE mine (id INT8)",
  "CREATE SCHEMA mine",
  "CREATE ROLE mine",
  "CREATE DATABASE mine",
]

/** What one of the databases alone has; CockroachDB refuses some for other reasons than a missing privilege. */
const changingOf = {
  postgresql: [
    "SELECT setval('bchg_id_seq', 1)",
    "DROP SEQUENCE bchg_id_seq",
    "DROP FUNCTION unique_rowid()",
    "DROP TYPE acct_status CASCADE",
    "ALTER TABLE balance_change DROP CONSTRAINT balance_change_funds_check",
    "ALTER TABLE balance_change DISABLE TRIGGER ALL",
    "DROP TRIGGER balance_change_continuity ON balance_change",
    "DROP FUNCTION balance_change_continuity() CASCADE",
    "ALTER TYPE acct_status ADD VALUE 'lost'",
    "CREATE FUNCTION mine() RETURNS INT8 LANGUAGE SQL RETURN 1",
    "CREATE TRIGGER mine BEFORE INSERT ON balance_change EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "SET ROLE banquo_owner",
    "SET session_replication_role = replica",
  ],
  cockroachdb: [
    "UPSERT INTO account SELECT * FROM account",
    "UPSERT INTO balance_change SELECT * FROM balance_change",
    "DROP TYPE acct_status",
    "ALTER TABLE balance_change DROP CONSTRAINT balance_change_funds_check",
    "ALTER TYPE acct_status ADD VALUE 'lost'",
    "ALTER TABLE balance_change CONFIGURE ZONE USING gc.ttlseconds = 600",
    "SET ROLE banquo_owner",
  ],
}[TestDatabase.dialect]

const notAllowed = TestDatabase.dialect === "postgresql" ? "42501" : /^(?:42|0A|2B)/

layer(TestDatabase.layerOfFixtures, { excludeTestServices: true })("the role of the service", (it) => {
  for (const [statements, state] of [
    [changing, "42501"],
    [changingOf, notAllowed],
  ] as const) {
    for (const statement of statements) {
      it.effect(`may not ${statement}`, () =>
        Effect.gen(function* () {
          const { sql } = yield* openAccount
          yield* assertRefused(sql, sql.unsafe(statement).unprepared, state)
        }),
      )
    }
  }

  it.effect("the role of the service cannot give itself more", () =>
    Effect.gen(function* () {
      const { sql } = yield* openAccount
      // PostgreSQL answers with a warning and does nothing; CockroachDB refuses.
      yield* Effect.exit(sql`GRANT ALL ON balance_change, account TO banquo_app`)
      yield* assertRefused(sql, sql`UPDATE balance_change SET balance = 0`, "42501")
    }),
  )
})

const asAuditor = <A>(use: (sql: SqlClient.SqlClient) => Effect.Effect<A, SqlError.SqlError>) =>
  Effect.gen(function* () {
    const { auditorUrl } = yield* TestDatabase.TestDatabase
    return yield* use(yield* TestDatabase.connect(auditorUrl))
  })

layer(TestDatabase.layerOfFixtures, { excludeTestServices: true })("the role of the auditor", (it) => {
  it.effect("may read the ledger", () =>
    Effect.gen(function* () {
      const { acctId } = yield* openAccount
      const [accounts, changes, ledger, versions] = yield* asAuditor((sql) =>
        Effect.all([
          sql`SELECT * FROM account WHERE acct_id = ${acctId}::UUID`,
          sql`SELECT b::TEXT AS row FROM balance_change b WHERE acct_id = ${acctId}::UUID`,
          sql`SELECT * FROM ledger`,
          sql`SELECT * FROM schema_version`,
        ]),
      )
      assert.deepStrictEqual(
        [accounts.length, changes.length, ledger.length, versions.length],
        [1, 2, 1, schemaVersion],
      )
    }),
  )

  const more = [
    "INSERT INTO account (acct_id, acct_seq, cust_name, cust_address) SELECT gen_random_uuid(), 0, 'Eve', ''",
    "SELECT * FROM schema_lease",
  ]
  // On CockroachDB an id is nobody's: it comes from no sequence.
  const moreOf = TestDatabase.dialect === "postgresql" ? ["SELECT unique_rowid()"] : []
  for (const [statements, state] of [
    [[...changing, ...more], "42501"],
    [[...changingOf, ...moreOf, "INSERT INTO balance_change DEFAULT VALUES"], notAllowed],
  ] as const) {
    for (const statement of statements) {
      it.effect(`may not ${statement}`, () =>
        Effect.gen(function* () {
          const { sql } = yield* openAccount
          yield* assertRefused(
            sql,
            asAuditor((auditor) => auditor.unsafe(statement).unprepared),
            state,
          )
        }),
      )
    }
  }
})
