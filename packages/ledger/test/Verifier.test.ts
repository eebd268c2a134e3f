/** A ledger that was written by the service is sound; each kind of damage, done by its owner, is named with its place. */
import { Currency } from "@banquo/domain/Currency"
import { changesMax } from "@banquo/domain/Intent"
import * as Timestamp from "@banquo/domain/Timestamp"
import { amount, EUR, key, open, USD } from "@banquo/testing/Ledger"
import { hasPython } from "@banquo/testing/Python"
import { fixtureName } from "@banquo/testing/StatementRecorder"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { assert, layer } from "@effect/vitest"
import { Data, Effect, Layer } from "effect"
import { DbConn } from "../src/database/DbConn.ts"
import { makeAccount } from "../src/programs/Accounts.ts"
import { captureHold, increaseHold, placeHold, releaseHold } from "../src/programs/Holds.ts"
import { reverseTransaction } from "../src/programs/Reversals.ts"
import { changeTerms } from "../src/programs/Terms.ts"
import { postTransaction } from "../src/programs/Transactions.ts"
import { verifyPageMax } from "../src/verify/Chains.ts"
import { type FaultKind, faultKinds } from "../src/verify/Fault.ts"
import { verify } from "../src/verify/Verifier.ts"
import { verifyByPython } from "./PythonVerifier.ts"

const moreAccounts = verifyPageMax + 5

/** Transactions of the most changes there may be: one of them goes on from one page of transactions to the next. */
const payrolls = 5

/** What the damage is not done to: every other kind of row, and the largest and oddest of what a row may hold. */
const others = Effect.gen(function* () {
  const bank = yield* open("0", {
    overdraftLimit: null,
    metadata: { "\u{1F4B8}": "10", "\uFFFD": "", é: "e\u0301", a: "\n" },
  })
  const coin = yield* makeAccount({
    customerName: "Zoë",
    customerAddress: '"1"\\\u{10FFFF}',
    currency: Currency.make("SATS"),
    scale: 8,
    owner: "customer-9",
    reference: "DE02 1203",
    initialBalance: amount("99999999999999999999.99999999"),
    overdraftLimit: amount("0.00000001"),
  })
  const { acctId } = coin.account
  const negative = yield* open("-0.01", { overdraftLimit: amount("1") })
  yield* postTransaction({
    changes: [
      { acctId: bank, amount: amount("-1") },
      { acctId: negative, amount: amount("1") },
    ],
    effectiveTime: Timestamp.parse("0001-01-01T00:00:00.000001Z")!,
    valueDate: "2026-11-26",
    idempotencyKey: key(),
    reference: "e\u0301 \u{1F4B8}",
  })
  yield* postTransaction({ changes: [{ acctId, amount: amount("-0.00000001") }], idempotencyKey: key() })
  yield* changeTerms(negative, { overdraftLimit: null, reason: "the bank's own" })
  const { hold } = yield* placeHold({ acctId, amount: amount("5") })
  yield* increaseHold(hold.holdId, { amount: amount("1") })
  yield* captureHold(hold.holdId, { amount: amount("6") })
  yield* changeTerms(bank, { status: "frozen" })
})

/** The rows of {@link others}: openings and what follows them. */
const [otherAccounts, otherChanges] = [3, 3 + 2 + 1 + 1 + 3 + 1]

/** One of everything, and more than one page. */
const fill = Effect.gen(function* () {
  yield* others
  const a = yield* open("100", { owner: "customer-7" })
  const b = yield* open("100")
  const move = (sum: string) =>
    postTransaction({
      changes: [
        { acctId: a, amount: amount(`-${sum}`) },
        { acctId: b, amount: amount(sum) },
      ],
      reference: "order 7",
      description: "rent",
      metadata: { invoice: "7" },
    })
  const moved = yield* move("5")
  yield* reverseTransaction(moved.transactionId)
  const { hold } = yield* placeHold({ acctId: a, amount: amount("10") })
  yield* placeHold({ acctId: a, amount: amount("1") })
  yield* captureHold(hold.holdId, { amount: amount("4"), isFinal: false })
  yield* releaseHold(hold.holdId)
  const payees = yield* Effect.forEach(
    Array.from({ length: moreAccounts }, (_, index) => index),
    () => makeAccount({ customerName: "Ann", currency: EUR }),
    { concurrency: 8 },
  )
  const payer = yield* open("0", { currency: EUR, overdraftLimit: null })
  yield* Effect.forEach(
    Array.from({ length: payrolls }, (_, index) => index),
    () =>
      postTransaction({
        changes: [
          { acctId: payer, amount: amount(`-${changesMax - 1}`) },
          ...payees.slice(0, changesMax - 1).map(({ account }) => ({ acctId: account.acctId, amount: amount("1") })),
        ],
      }),
    { discard: true },
  )
  yield* move("7")
  yield* changeTerms(b, { customerName: "Bob", status: "credits_frozen" })
  const c = yield* open("1", { currency: USD })
  return { a, b, c, transactionId: moved.transactionId }
}).pipe(Effect.orDie)

/** As the owner of the tables, who alone can do damage. */
const asOwner = Layer.unwrap(
  Effect.map(TestDatabase.TestDatabase, ({ ownerUrl }) =>
    DbConn.layerUrl({ url: ownerUrl, connectionsMax: 4, applicationName: fixtureName }),
  ),
).pipe(Layer.provideMerge(TestDatabase.layerMigrated))

/** Without the constraints that would keep most of the damage out. */
const disarm = Effect.gen(function* () {
  const { sql } = yield* DbConn
  if (TestDatabase.dialect === "postgresql") {
    yield* sql`ALTER TABLE balance_change DISABLE TRIGGER balance_change_continuity`
  }
  const checks = yield* sql<{ conname: string }>`SELECT conname FROM pg_catalog.pg_constraint
    WHERE contype = 'c' AND conrelid = 'balance_change'::REGCLASS`
  for (const { conname } of checks)
    yield* sql.unsafe(`ALTER TABLE balance_change DROP CONSTRAINT ${conname}`).unprepared
})

interface Filled extends Effect.Success<typeof fill> {}
type Account = "a" | "b" | "c"

/** A statement, and what is to be found at which place. */
interface Plant {
  readonly kind: FaultKind
  readonly how: string
  readonly sql: (filled: Filled) => string
  readonly place: (filled: Filled) => string
}

const seq = (account: Account, at: number) => (filled: Filled) => `account ${filled[account]}, sequence ${at}`
const at = (account: Account, row: number) => (filled: Filled) => `acct_id = '${filled[account]}' AND acct_seq = ${row}`

const update =
  (set: string, where: (filled: Filled) => string): Plant["sql"] =>
  (filled) =>
    `UPDATE balance_change SET ${set} WHERE ${where(filled)}`

const hash = "decode(repeat('ab', 32), 'hex')"

/** Every column of a leg of a transfer, edited. */
const edits: ReadonlyArray<Plant> = (
  [
    ["bchg_id", "987654321", "wrong hash"],
    ["acct_seq", "77", "gap"],
    ["chg_flavor", "'TERMS'", "wrong hash"],
    ["prev_bchg_id", "987654321", "broken link"],
    ["prev_bchg_id", "NULL", "broken link"],
    ["owner", "'customer-8'", "another asset"],
    ["currency", "'EUR'", "another asset"],
    ["scale", "3", "another asset"],
    ["scale", "0", "wrong hash"],
    ["chg_amt", "chg_amt + 0.01", "wrong balance"],
    ["chg_amt", "chg_amt + 0.001", "too many decimals"],
    ["balance", "balance + 0.01", "wrong balance"],
    ["held_amt", "0.01", "wrong balance"],
    ["held", "0.01", "wrong balance"],
    ["overdraft_limit", "NULL", "other terms"],
    ["overdraft_limit", "1", "wrong hash"],
    ["acct_status", "'frozen'", "other terms"],
    ["is_forced", "true", "wrong hash"],
    ["xact_id", "987654321", "wrong hash"],
    ["xact_rows", "3", "wrong number of changes"],
    ["xact_rows", "1", "wrong hash"],
    ["hold_id", "987654321", "beyond the hold"],
    ["hold_expires_at", "'2030-01-01T00:00:00Z'", "wrong hash"],
    ["reverses_xact_id", "987654321", "wrong hash"],
    ["reference", "'order 8'", "wrong texts"],
    ["reference", "NULL", "wrong texts"],
    ["description", "'salary'", "wrong texts"],
    ["description", "NULL", "wrong texts"],
    ["metadata", `'{"invoice":"8"}'`, "wrong texts"],
    ["metadata", "NULL", "wrong texts"],
    ["texts_salt", "decode(repeat('00', 16), 'hex')", "wrong texts"],
    ["texts_salt", "NULL", "wrong texts"],
    ["texts_hash", hash, "wrong hash"],
    ["texts_hash", "NULL", "wrong texts"],
    ["idem_key", hash, "wrong hash"],
    ["request_hash", hash, "wrong hash"],
    ["details_hash", hash, "wrong hash"],
    ["details_hash", hash, "no details"],
    ["actor", "'eve'", "wrong hash"],
    ["effective_time", "effective_time - INTERVAL '1 day'", "wrong hash"],
    ["effective_time", "effective_time + INTERVAL '1 day'", "not yet"],
    ["value_date", "'2026-01-01'", "wrong hash"],
    ["chg_create_time", "'2001-01-01T00:00:00Z'", "time runs back"],
    ["chg_create_time", "chg_create_time + INTERVAL '1 microsecond'", "wrong hash"],
    ["chg_hash", hash, "wrong hash"],
  ] as const
).map(([column, value, kind]) => ({
  kind,
  how: `${column} = ${value}`,
  sql: update(`${column} = ${value}`, at("b", 1)),
  place:
    kind === "wrong number of changes"
      ? ({ transactionId }) => `transaction ${transactionId}`
      : column === "acct_seq"
        ? ({ b }) => `account ${b}`
        : seq("b", 1),
}))

const plants: ReadonlyArray<Plant> = [
  ...edits,
  {
    kind: "another asset",
    how: "another currency from the second row on",
    sql: update("currency = 'EUR'", ({ b }) => `acct_id = '${b}' AND acct_seq > 0`),
    place: seq("b", 1),
  },
  {
    kind: "wrong hash",
    how: "another currency on all rows of an account",
    sql: update("currency = 'EUR'", ({ b }) => `acct_id = '${b}'`),
    place: seq("b", 0),
  },
  {
    kind: "gap",
    how: "the first row deleted",
    sql: (f) => `DELETE FROM balance_change WHERE ${at("b", 0)(f)}`,
    place: seq("b", 1),
  },
  {
    kind: "details of no change",
    how: "the first row deleted, and what it says of its account left",
    sql: (f) => `DELETE FROM balance_change WHERE ${at("a", 0)(f)}`,
    place: seq("a", 0),
  },
  {
    kind: "gap",
    how: "a row in the middle deleted",
    sql: (f) => `DELETE FROM balance_change WHERE ${at("b", 1)(f)}`,
    place: seq("b", 2),
  },
  {
    kind: "wrong number of changes",
    how: "the last leg of a transfer cut away, at the tail of its account",
    sql: (f) => `DELETE FROM balance_change WHERE ${at("b", 3)(f)} OR ${at("b", 4)(f)}`,
    place: () => "transaction",
  },
  {
    kind: "details of no change",
    how: "the tail deleted, and what it says of its account left",
    sql: (f) => `DELETE FROM balance_change WHERE ${at("b", 4)(f)}`,
    place: seq("b", 4),
  },
  {
    kind: "wrong hash",
    how: "a row inserted: a copy of the newest, made to go on from it",
    sql: ({ c }) => `INSERT INTO balance_change (acct_id, acct_seq, chg_flavor, prev_bchg_id, owner, currency, scale,
        chg_amt, balance, held_amt, held, overdraft_limit, acct_status, is_forced, xact_id, xact_rows, actor,
        effective_time, chg_create_time, chg_hash)
      SELECT acct_id, 1, 'FLOW', bchg_id, owner, currency, scale, 5, balance + 5, 0, held, overdraft_limit, acct_status,
        false, 987654321, 1, 'eve', now(), now() + INTERVAL '1 second', ${hash} FROM balance_change WHERE acct_id = '${c}'`,
    place: seq("c", 1),
  },
  {
    kind: "wrong hash",
    how: "a row moved to the end of another account",
    sql: update(
      `acct_id = (SELECT x.acct_id FROM balance_change x WHERE x.acct_seq = 0 AND x.balance = 1), acct_seq = 1`,
      at("b", 4),
    ),
    place: seq("c", 1),
  },
  {
    kind: "broken link",
    how: "two rows swapped",
    sql: ({ b }) =>
      `UPDATE balance_change SET acct_seq = CASE acct_seq WHEN 1 THEN -2 ELSE -1 END WHERE acct_id = '${b}' AND acct_seq IN (1, 2)`,
    place: ({ b }) => `account ${b}`,
  },
  {
    kind: "time runs back",
    how: "an earlier time",
    sql: update("chg_create_time = '2001-01-01T00:00:00Z'", at("b", 1)),
    place: seq("b", 1),
  },
  {
    kind: "beyond the hold",
    how: "a capture of one hold said to be of another",
    sql: update(
      "hold_id = (SELECT x.hold_id FROM balance_change x WHERE x.acct_id = balance_change.acct_id AND x.acct_seq = 4)",
      at("a", 5),
    ),
    place: seq("a", 5),
  },
  {
    kind: "captured too late",
    how: "a hold that expired before",
    sql: update("hold_expires_at = '2001-01-01T00:00:00Z'", at("a", 3)),
    place: seq("a", 5),
  },
  {
    kind: "held without a hold",
    how: "a cent",
    sql: update("held = held + 0.01", at("b", 1)),
    place: seq("b", 1),
  },
  {
    kind: "unbalanced",
    how: "a leg of a cent more, with its balance",
    sql: update("chg_amt = chg_amt + 0.01, balance = balance + 0.01", at("b", 1)),
    place: ({ transactionId }) => `transaction ${transactionId}`,
  },
  {
    kind: "no first change",
    how: "a leg that names another transaction",
    sql: update("xact_id = 987654321", at("b", 1)),
    place: () => "transaction 987654321",
  },
  {
    kind: "reversed too far",
    how: "a reversal of a transaction that did not touch the account",
    sql: update("reverses_xact_id = 987654321", at("b", 2)),
    place: ({ b }) => `transaction 987654321, account ${b}`,
  },
  {
    kind: "reversed too far",
    how: "another reversal of the same",
    sql: ({ b, transactionId }) =>
      `UPDATE balance_change SET reverses_xact_id = ${transactionId}, chg_amt = -7 WHERE acct_id = '${b}' AND acct_seq = 3`,
    place: ({ b, transactionId }) => `transaction ${transactionId}, account ${b}`,
  },
  {
    kind: "wrong details",
    how: "another name of the customer",
    sql: ({ a }) => `UPDATE account SET cust_name = 'Eve' WHERE acct_id = '${a}'`,
    place: seq("a", 0),
  },
  {
    kind: "wrong details",
    how: "a correction edited",
    sql: ({ b }) => `UPDATE account SET cust_address = 'here' WHERE acct_id = '${b}' AND acct_seq > 0`,
    place: seq("b", 4),
  },
  {
    kind: "wrong details",
    how: "another salt",
    sql: ({ a }) => `UPDATE account SET salt = decode(repeat('00', 16), 'hex') WHERE acct_id = '${a}'`,
    place: seq("a", 0),
  },
  {
    kind: "no details",
    how: "what is said of an account deleted",
    sql: ({ a }) => `DELETE FROM account WHERE acct_id = '${a}'`,
    place: seq("a", 0),
  },
  {
    kind: "no details",
    how: "a correction deleted",
    sql: ({ b }) => `DELETE FROM account WHERE acct_id = '${b}' AND acct_seq > 0`,
    place: seq("b", 4),
  },
  {
    kind: "details of no change",
    how: "a correction inserted",
    sql: ({ a }) => `INSERT INTO account (acct_id, acct_seq, cust_name, cust_address) VALUES ('${a}', 2, 'Eve', '')`,
    place: seq("a", 2),
  },
  {
    kind: "no changes",
    how: "an account inserted",
    sql: () => `INSERT INTO account (acct_id, acct_seq, cust_name, cust_address)
      VALUES ('6f1c0d52-3a6e-4c8f-9d0b-2f4f5b7a9c11', 0, 'Eve', '')`,
    place: () => "account 6f1c0d52-3a6e-4c8f-9d0b-2f4f5b7a9c11",
  },
]

class RolledBack extends Data.TaggedError("RolledBack")<{
  readonly verified: Effect.Success<ReturnType<typeof verify>>
  readonly byPython: { readonly exitCode: number | null; readonly stderr: string } | undefined
}> {}

/** What both verifiers say of damage, which is taken back. */
const judge = <E, R>(damage: Effect.Effect<unknown, E, R>) =>
  DbConn.use(({ sql, transaction }) =>
    transaction(
      Effect.gen(function* () {
        yield* damage
        const byPython = hasPython ? yield* verifyByPython(sql) : undefined
        return yield* new RolledBack({ verified: yield* verify(), byPython })
      }),
    ).pipe(Effect.catchTag("RolledBack", Effect.succeed)),
  )

layer(asOwner, { excludeTestServices: true })("verify", (it) => {
  it.effect("a ledger of everything is sound, and each kind of damage is found where it was done", () =>
    Effect.gen(function* () {
      const { sql } = yield* DbConn
      yield* disarm
      const filled = yield* fill
      const done: Array<number> = []
      const sound = yield* verify((progress) => Effect.sync(() => void done.push(progress.done)))
      assert.deepStrictEqual(sound, {
        accounts: otherAccounts + moreAccounts + 4,
        // Each has a first one; a, b: two transfers and a reversal each; a: two holds, a capture and a release; b: terms.
        changes: otherChanges + moreAccounts + 4 + 6 + 4 + 1 + payrolls * changesMax,
        transactions: 4 + payrolls,
        faults: [],
        faultsFound: 0,
      })
      assert.isAtLeast(done.length, 3)
      assert.deepStrictEqual(
        done,
        done.toSorted((a, b) => a - b),
      )
      assert.strictEqual(done.at(-1), 1)

      for (const { how, kind, place, sql: statement } of plants) {
        const { byPython, verified } = yield* judge(sql.unsafe(statement(filled)).unprepared)
        const where = `${kind}: ${how}: ${JSON.stringify(verified.faults)}`
        const found = verified.faults.filter((fault) => fault.kind === kind)
        assert.isNotEmpty(found, where)
        assert.isTrue(
          found.some((fault) => fault.place.includes(place(filled))),
          where,
        )
        if (byPython !== undefined) assert.strictEqual(byPython.exitCode, 1, where)
        // One bad row is not one fault for each that comes after it.
        assert.isAtMost(verified.faultsFound, 12, where)
      }
      assert.deepStrictEqual((yield* verify()).faults, [])
    }),
  )

  it.effect.skipIf(!hasPython)("a verifier in Python, written by BYTES.md alone, sees the same ledger", () =>
    Effect.gen(function* () {
      const { accounts, changes, transactions } = yield* verify()
      const { exitCode, stderr, stdout } = yield* DbConn.use(({ sql }) => verifyByPython(sql))
      assert.strictEqual(exitCode, 0, stderr)
      const seen = `${accounts} accounts, ${changes} changes, ${transactions} transactions of several changes`
      assert.strictEqual(stdout, `the ledger is sound: ${seen}\n`)
    }),
  )

  it.effect("texts and details that were erased, with their salts, leave the ledger sound", () =>
    Effect.gen(function* () {
      const { sql } = yield* DbConn
      const { byPython, verified } = yield* judge(
        Effect.all([
          sql`UPDATE balance_change SET reference = NULL, description = NULL, metadata = NULL, texts_salt = NULL`,
          sql`UPDATE account SET cust_name = '', cust_address = '', reference = NULL, metadata = NULL, salt = NULL`,
        ]),
      )
      assert.deepStrictEqual(verified.faults, [])
      if (byPython !== undefined) assert.strictEqual(byPython.exitCode, 0, byPython.stderr)
    }),
  )

  it("has a planted fault for each kind", () => {
    assert.sameMembers([...new Set(plants.map(({ kind }) => kind))], Object.keys(faultKinds))
  })
})
