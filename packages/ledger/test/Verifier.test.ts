/** A ledger that was written by the service is sound; each kind of damage, done by its owner, is named with its place. */
import { assert, layer } from "@effect/vitest"
import { Data, Effect, Layer } from "effect"
import { makeAccount } from "../src/programs/Accounts.ts"
import { DbConn } from "../src/database/DbConn.ts"
import { captureHold, placeHold, releaseHold } from "../src/programs/Holds.ts"
import { reverseTransaction } from "../src/programs/Reversals.ts"
import { postTransaction } from "../src/programs/Transactions.ts"
import { type FaultKind, faultKinds, verify, verifyPageMax } from "../src/verify/Verifier.ts"
import { amount, open, USD } from "@banquo/testing/Ledger"
import { fixtureName } from "@banquo/testing/StatementRecorder"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** One of everything, and more than one page. */
const fill = Effect.gen(function* () {
  const a = yield* open("100")
  const b = yield* open("100")
  const move = (sum: string) =>
    postTransaction({
      changes: [
        { acctId: a, amount: amount(`-${sum}`) },
        { acctId: b, amount: amount(sum) },
      ],
    })
  const moved = yield* move("5")
  yield* reverseTransaction(moved.transactionId)
  const { hold } = yield* placeHold({ acctId: a, amount: amount("10") })
  yield* placeHold({ acctId: a, amount: amount("1") })
  yield* captureHold(hold.holdId, { amount: amount("4"), isFinal: false })
  yield* releaseHold(hold.holdId)
  yield* Effect.forEach(
    Array.from({ length: verifyPageMax + 5 }, (_, index) => index),
    () => makeAccount({ customerName: "Ann", currency: USD }),
    { concurrency: 8 },
  )
  yield* move("7")
  return { a, b, transactionId: moved.transactionId }
}).pipe(Effect.orDie)

/** As the owner of the tables, who alone can do damage; and without the one constraint that PostgreSQL has beyond CockroachDB. */
const asOwner = Layer.unwrap(
  Effect.map(TestDatabase.TestDatabase, ({ ownerUrl }) =>
    DbConn.layerUrl({ url: ownerUrl, connectionsMax: 4, applicationName: fixtureName }),
  ),
).pipe(Layer.provideMerge(TestDatabase.layerMigrated))

interface Filled extends Effect.Success<typeof fill> {}

/** Statements, and what is to be found at which place. */
interface Plant {
  readonly kind: FaultKind
  readonly how: string
  readonly sql: (filled: Filled) => string
  readonly place: (filled: Filled) => string
}

const seq = (account: "a" | "b", at: number) => (filled: Filled) => `account ${filled[account]}, sequence ${at},`
const at = (account: "a" | "b", row: number) => (filled: Filled) =>
  `acct_id = '${filled[account]}' AND acct_seq = ${row}`

const update =
  (set: string, where: (filled: Filled) => string): Plant["sql"] =>
  (filled) =>
    `UPDATE balance_change SET ${set} WHERE ${where(filled)}`

const plants: ReadonlyArray<Plant> = [
  {
    kind: "gap",
    how: "a row removed",
    sql: (f) => `DELETE FROM balance_change WHERE ${at("b", 1)(f)}`,
    place: seq("b", 2),
  },
  {
    kind: "broken link",
    how: "another row named",
    sql: update("prev_bchg_id = 987654321", at("b", 2)),
    place: seq("b", 2),
  },
  {
    kind: "wrong balance",
    how: "a cent more",
    sql: update("balance = balance + 0.01", at("b", 1)),
    place: seq("b", 1),
  },
  { kind: "wrong balance", how: "something held", sql: update("held = held + 0.01", at("b", 1)), place: seq("b", 1) },
  { kind: "wrong hash", how: "other words", sql: update("description = 'rent'", at("b", 1)), place: seq("b", 1) },
  {
    kind: "wrong hash",
    how: "another name of the customer",
    sql: (filled) => `UPDATE account SET cust_name = 'Bob' WHERE acct_id = '${filled.a}'`,
    place: seq("a", 0),
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
    kind: "no account",
    how: "an account removed",
    sql: (filled) => `DELETE FROM account WHERE acct_id = '${filled.b}'`,
    place: ({ b }) => `account ${b}`,
  },
  {
    kind: "no changes",
    how: "an account added",
    sql: () => `INSERT INTO account (acct_id, cust_name, cust_address, currency, acct_create_time)
      VALUES ('6f1c0d52-3a6e-4c8f-9d0b-2f4f5b7a9c11', 'Eve', '', 'USD', now())`,
    place: () => "account 6f1c0d52-3a6e-4c8f-9d0b-2f4f5b7a9c11",
  },
]

class RolledBack extends Data.TaggedError("RolledBack")<{
  readonly verified: Effect.Success<ReturnType<typeof verify>>
}> {}

layer(asOwner, { excludeTestServices: true })("verify", (it) => {
  it.effect("a ledger of everything is sound, and each kind of damage is found where it was done", () =>
    Effect.gen(function* () {
      const { sql, transaction } = yield* DbConn
      yield* sql`ALTER TABLE balance_change DROP CONSTRAINT IF EXISTS balance_change_no_gap_fkey`
      const filled = yield* fill
      const done: Array<number> = []
      const sound = yield* verify((progress) => Effect.sync(() => void done.push(progress.done)))
      assert.deepStrictEqual(sound, {
        accounts: verifyPageMax + 7,
        // Each has a first one; a, b: two transfers and a reversal each; a: two holds, a capture and a release.
        changes: verifyPageMax + 7 + 6 + 4,
        transactions: 3,
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
        const { verified } = yield* transaction(
          Effect.gen(function* () {
            yield* sql.unsafe(statement(filled)).unprepared
            return yield* new RolledBack({ verified: yield* verify() })
          }),
        ).pipe(Effect.catchTag("RolledBack", Effect.succeed))
        const found = verified.faults.filter((fault) => fault.kind === kind)
        assert.isNotEmpty(found, `${kind}: ${how}: ${JSON.stringify(verified.faults)}`)
        assert.include(found[0]!.place, place(filled), `${kind}: ${how}`)
        // One bad row is not one fault for each that comes after it.
        assert.isAtMost(verified.faultsFound, 8, `${kind}: ${how}`)
      }
      assert.deepStrictEqual((yield* verify()).faults, [])
    }),
  )

  it("has a planted fault for each kind", () => {
    assert.sameMembers([...new Set(plants.map(({ kind }) => kind))], Object.keys(faultKinds))
  })
})
