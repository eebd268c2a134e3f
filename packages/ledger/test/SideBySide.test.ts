/**
 * Two versions on one database while a rollout goes on. What this proves:
 *
 * - This build runs on a schema that a later version has expanded: it is ready there, reads and writes, and what it writes is
 *   sound. That is the version before, next to the one after it.
 * - What the oldest version sends, to the letter as it was released, still does what it did on the newest schema, and takes turns
 *   on one account with this build: neither forks the chain nor loses a change of the other.
 *
 * It does not prove that a version of the future expands only: whoever adds a migration keeps to that, and this test fails for
 * a migration that takes away, renames or tightens what the old statements need.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { decide } from "@banquo/domain/Decide"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { PgTypes } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Result } from "effect"
import { fetchAccountInfo } from "../src/programs/Accounts.ts"
import { array } from "../src/database/ArrayParameter.ts"
import { type CurrencyRow, type StateRow, tailOfRow } from "../src/tables/BalanceChangeTable.ts"
import { DbConn } from "../src/database/DbConn.ts"
import { sqlState } from "../src/database/DatabaseError.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import { requireSchema, schemaVersion } from "../src/migrations/Migrator.ts"
import { storeBalanceChange } from "../src/programs/Transactions.ts"
import { amount, anonymous, key, open, verifyLedger } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** What a later version may do to the schema: add what old rows and old statements need not know. */
const expansion = [
  "ALTER TABLE balance_change ADD COLUMN channel TEXT",
  "ALTER TABLE account ADD COLUMN segment TEXT NOT NULL DEFAULT 'retail'",
  "CREATE TABLE mandate (id INT8 NOT NULL PRIMARY KEY, acct_id UUID NOT NULL)",
  "CREATE INDEX balance_change_channel_idx ON balance_change (channel) WHERE channel IS NOT NULL",
]

/** Version 1, as released: its read of a head; on CockroachDB, which makes other plans of that, of one account. */
const selectHead = {
  postgresql: `
    SELECT a.acct_id, c.currency, b.bchg_id, b.acct_seq, b.balance::TEXT AS balance, b.held::TEXT AS held,
  b.overdraft_limit::TEXT AS overdraft_limit, b.acct_status::TEXT AS acct_status,
  (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time, b.chg_hash
    FROM unnest($1::UUID[]) AS a(acct_id)
    JOIN account c ON c.acct_id = a.acct_id
    JOIN LATERAL (
      SELECT * FROM balance_change x WHERE x.acct_id = a.acct_id ORDER BY x.acct_seq DESC LIMIT 1
    ) b ON true`,
  cockroachdb: `(SELECT b.acct_id, c.currency, b.bchg_id, b.acct_seq, b.balance::TEXT AS balance, b.held::TEXT AS held,
  b.overdraft_limit::TEXT AS overdraft_limit, b.acct_status::TEXT AS acct_status,
  (b.chg_create_time AT TIME ZONE 'UTC')::TEXT AS chg_create_time, b.chg_hash
    FROM balance_change b JOIN account c ON c.acct_id = b.acct_id
    WHERE b.acct_id = $1::UUID ORDER BY b.acct_seq DESC LIMIT 1)`,
}[TestDatabase.dialect]

/** Version 1, as released: its INSERT. */
const insert = `
    INSERT INTO balance_change (bchg_id, acct_id, acct_seq, chg_flavor, prev_bchg_id, chg_amt, balance, held_amt, held,
      overdraft_limit, acct_status, xact_id, hold_id, hold_expires_at, reverses_xact_id, description, metadata, idem_key,
      request_hash, actor, effective_time, chg_create_time, chg_hash)
    SELECT r.bchg_id, r.acct_id, r.acct_seq, r.chg_flavor::bal_chg_flavor, r.prev_bchg_id, r.chg_amt::DECIMAL,
      r.balance::DECIMAL, r.held_amt::DECIMAL, r.held::DECIMAL, r.overdraft_limit::DECIMAL, r.acct_status::acct_status,
      r.xact_id, r.hold_id, r.hold_expires_at::TIMESTAMPTZ, r.reverses_xact_id, r.description, r.metadata::JSONB,
      r.idem_key, r.request_hash, r.actor, r.effective_time::TIMESTAMPTZ, r.chg_create_time::TIMESTAMPTZ, r.chg_hash
    FROM unnest(
      $1::INT8[], $2::UUID[], $3::INT8[], $4::TEXT[], $5::INT8[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::TEXT[],
      $10::TEXT[], $11::TEXT[], $12::INT8[], $13::INT8[], $14::TEXT[], $15::INT8[], $16::TEXT[], $17::TEXT[], $18::TEXT[],
      $19::BYTEA[], $20::TEXT[], $21::TEXT[], $22::TEXT[], $23::BYTEA[]
    ) AS r(bchg_id, acct_id, acct_seq, chg_flavor, prev_bchg_id, chg_amt, balance, held_amt, held, overdraft_limit,
      acct_status, xact_id, hold_id, hold_expires_at, reverses_xact_id, description, metadata, idem_key, request_hash,
      actor, effective_time, chg_create_time, chg_hash)`

const money = (value: Money.Money | null) => (value === null ? null : Money.toDecimal(value))

const parametersOf = (row: BalanceChange): ReadonlyArray<unknown> => {
  const { bytea, int8, text, uuid } = PgTypes.OID
  return [
    array(int8, [row.bchgId]),
    array(uuid, [row.acctId]),
    array(int8, [BigInt(row.acctSeq)]),
    array(text, [row.chgFlavor]),
    array(int8, [row.prevBchgId]),
    array(text, [money(row.chgAmt)]),
    array(text, [money(row.balance)]),
    array(text, [money(row.heldAmt)]),
    array(text, [money(row.held)]),
    array(text, [money(row.overdraftLimit)]),
    array(text, [row.acctStatus]),
    array(int8, [row.xactId]),
    array(int8, [row.holdId]),
    array(text, [null]),
    array(int8, [row.reversesXactId]),
    array(text, [row.description]),
    array(text, [null]),
    array(text, [row.idemKey]),
    array(bytea, [row.requestHash]),
    array(text, [row.actor]),
    array(text, [Timestamp.format(row.effectiveTime)]),
    array(text, [Timestamp.format(row.chgCreateTime)]),
    array(bytea, [row.chgHash]),
  ]
}

/** One change by version 1, which reads the head again for as long as another is first. */
const postAsBefore = (acctId: AccountId, sum: string): Effect.Effect<void, never, DbConn> =>
  Effect.gen(function* () {
    const { ledgerId, sql } = yield* DbConn
    const rows = yield* sql.unsafe<StateRow & CurrencyRow>(selectHead, [
      TestDatabase.dialect === "postgresql" ? array(PgTypes.OID.uuid, [acctId]) : acctId,
    ])
    const tail = tailOfRow(rows[0]!, acctId)
    const [id] = yield* sql<{ id: BalanceChangeId }>`SELECT unique_rowid() AS id FROM generate_series(1, ${1n}::INT8)`
    const decision = Result.getOrThrow(
      decide(
        {
          intent: {
            _tag: "PostTransaction",
            changes: [{ acctId, amount: amount(sum) }],
            description: null,
            metadata: null,
          },
          actor: anonymous,
          idempotencyKey: key(),
        },
        new Map([[acctId, { ...tail, openHolds: [] }]]),
        { now: Timestamp.fromMillis(yield* Clock.currentTimeMillis), ids: [id!.id], ledgerId: yield* ledgerId },
      ),
    )
    yield* sql.unsafe(insert, parametersOf(decision.changes[0]!))
  }).pipe(Effect.retry({ while: (error) => error._tag === "SqlError" && sqlState(error) === "23505" }), Effect.orDie)

layer(TestDatabase.layer, { excludeTestServices: true })("two versions side by side", (it) => {
  it.effect("this build on a schema that a later version has expanded, next to what the oldest sends", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const owner = yield* TestDatabase.connect(ownerUrl)
      const acctId = yield* open("100")
      for (const statement of expansion) yield* owner.unsafe(statement).unprepared
      yield* owner`INSERT INTO schema_version (version) VALUES (${BigInt(schemaVersion + 1)})`
      assert.strictEqual(yield* requireSchema, schemaVersion + 1)

      const each = 25
      const times = Array.from({ length: each }, (_, index) => index)
      yield* Effect.all(
        [
          Effect.forEach(times, () => storeBalanceChange(acctId, amount("1"))),
          Effect.forEach(times, () => postAsBefore(acctId, "-2")),
          open("7"),
        ],
        { concurrency: "unbounded", discard: true },
      ).pipe(Effect.provide(GroupCommit.layer()))
      const { state } = yield* fetchAccountInfo(acctId)
      assert.deepStrictEqual([state.acctSeq, state.balance], [2 * each, Money.fromAmount(amount("75"))])
      const chain = (yield* verifyLedger).get(acctId)!
      assert.lengthOf(chain, 2 * each + 1)
    }),
  )
})
