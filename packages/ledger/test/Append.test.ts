/** Appends that name what they stand on: nothing is built upon a row that is not the stored one, and a bad row fails alone. */
import type { AccountId } from "@banquo/domain/AccountId"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { amount, countRows, money, open, USD, verifyLedger } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { DbConn } from "../src/database/DbConn.ts"
import { fetchAccountHistory } from "../src/history/History.ts"
import { fetchAccountInfo, makeAccount } from "../src/programs/Accounts.ts"
import {
  insertAccount,
  insertBalanceChange,
  insertInitialBalance,
  selectLastBalanceChange,
} from "../src/programs/Prototype.ts"
import { postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import { dryRun } from "../src/write/DryRun.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import type { PostedChange } from "../src/write/Posted.ts"
import { asAnotherProcess, times, together, writers } from "./Writers.ts"

/** As a server that was promoted without the newest rows of an account. */
const lose = (acctId: AccountId, from: number) =>
  Effect.gen(function* () {
    const { superuserUrl } = yield* TestDatabase.TestDatabase
    const sql = yield* TestDatabase.connect(superuserUrl)
    yield* sql`DELETE FROM balance_change WHERE acct_id = ${acctId}::UUID AND acct_seq >= ${BigInt(from)}`
  }).pipe(Effect.scoped, Effect.orDie)

const pay = (acctId: AccountId, description?: string) =>
  Effect.exit(postTransaction({ changes: [{ acctId, amount: amount("1") }], description }))

for (const { how, writer } of writers) {
  layer(writer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(
    `rows that the database has lost, written ${how}`,
    (it) => {
      it.effect("are not built upon, whether others took their place or none did", () =>
        Effect.gen(function* () {
          // With as many of them as were lost, no key stands in the way.
          for (const others of [2, 0, 1, 3]) {
            const acctId = yield* open("10")
            yield* storeBalanceChange(acctId, amount("1"))
            yield* storeBalanceChange(acctId, amount("2"))
            yield* lose(acctId, 1)
            yield* asAnotherProcess(
              Effect.forEach(times(others, String), () => storeBalanceChange(acctId, amount("5"))),
            )
            const change = yield* storeBalanceChange(acctId, amount("3"))
            assert.strictEqual(change.acctSeq, others + 1)
            assert.strictEqual(change.balance, money(`${10 + 5 * others + 3}`))
          }
          yield* verifyLedger
        }),
      )

      it.effect("leave a refusal to what is stored now", () =>
        Effect.gen(function* () {
          const acctId = yield* open("10")
          yield* storeBalanceChange(acctId, amount("90"))
          yield* lose(acctId, 1)
          const error = yield* Effect.flip(storeBalanceChange(acctId, amount("-50")))
          assert.strictEqual(error._tag, "InsufficientFunds")
          yield* verifyLedger
        }),
      )
    },
  )
}

/**
 * A transaction that has seen an account, to which another process appends before `write` does; once, so that a second try
 * succeeds.
 */
const stale = <E>(isolation: string, write: (head: PostedChange) => Effect.Effect<unknown, E, DbConn>) =>
  Effect.gen(function* () {
    const { transaction } = yield* DbConn
    const { appUrl } = yield* TestDatabase.TestDatabase
    const another = DbConn.layerUrl({ url: appUrl, connectionsMax: 2 })
    const acctId = yield* open("10")
    let tries = 0
    const exit = yield* transaction(
      Effect.gen(function* () {
        tries += 1
        const head = yield* selectLastBalanceChange(acctId)
        if (tries === 1) yield* Effect.provide(storeBalanceChange(acctId, amount("5")), another, { local: true })
        return yield* write(head)
      }),
    ).pipe(Effect.provideService(SqlClient.BeginTransaction, `BEGIN ISOLATION LEVEL ${isolation}`), Effect.exit)
    return { acctId, exit, tries }
  })

layer(TestDatabase.layer, { excludeTestServices: true })("a transaction of the caller's", (it) => {
  for (const [isolation, triesExpected] of [
    ["READ COMMITTED", 1],
    ["REPEATABLE READ", 2],
    ["SERIALIZABLE", 2],
  ] as const) {
    it.effect(
      `at ${isolation} is ${triesExpected === 1 ? "not run again" : "run again, because it cannot see them"}`,
      () =>
        Effect.gen(function* () {
          const { acctId, exit, tries } = yield* stale(isolation, ({ acctId }) =>
            storeBalanceChange(acctId, amount("1")),
          )
          assert.isTrue(Exit.isSuccess(exit), String(exit))
          assert.strictEqual(tries, triesExpected)
          assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("16"))
          yield* verifyLedger
        }),
    )
  }

  for (const isolation of ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]) {
    const begin = Effect.provideService(SqlClient.BeginTransaction, `BEGIN ISOLATION LEVEL ${isolation}`)

    it.effect(`at ${isolation} replays a key, also one of its own`, () =>
      Effect.gen(function* () {
        const { transaction } = yield* DbConn
        const acctId = yield* open("10")
        const payBy = (idempotencyKey: IdempotencyKey) =>
          postTransaction({ changes: [{ acctId, amount: amount("-1") }], idempotencyKey })
        const [used, fresh] = [IdempotencyKey.make(crypto.randomUUID()), IdempotencyKey.make(crypto.randomUUID())]
        const before = yield* payBy(used)
        const [replayed, first, second] = yield* begin(
          transaction(Effect.all([payBy(used), payBy(fresh), payBy(fresh)])),
        )
        assert.deepStrictEqual(replayed, { ...before, isReplayed: true })
        assert.deepStrictEqual(second, { ...first, isReplayed: true })
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("8"))
      }),
    )

    it.effect(`at ${isolation} is told that a change has a follower, where it can see it`, () =>
      Effect.gen(function* () {
        const { transaction } = yield* DbConn
        const acctId = yield* open("10")
        const { bchgId } = yield* selectLastBalanceChange(acctId)
        yield* storeBalanceChange(acctId, amount("1"))
        const error = yield* Effect.flip(
          begin(transaction(insertBalanceChange(acctId, bchgId, money("5"), money("15")))),
        )
        assert.strictEqual(error._tag, "PrevChangeTaken")
      }),
    )

    it.effect(`at ${isolation} is run again for a follower that it cannot see`, () =>
      Effect.gen(function* () {
        const { acctId, exit, tries } = yield* stale(isolation, ({ acctId, balance, bchgId }) =>
          insertBalanceChange(acctId, bchgId, money("1"), Money.sum(balance, money("1"))),
        )
        const { balance } = (yield* fetchAccountInfo(acctId)).state
        if (isolation === "READ COMMITTED") {
          assert.isTrue(Exit.isFailure(exit) && exit.cause.toString().includes("PrevChangeTaken"), String(exit))
          assert.strictEqual(balance, money("15"))
        } else {
          assert.isTrue(Exit.isSuccess(exit), String(exit))
          assert.strictEqual(tries, 2)
          assert.strictEqual(balance, money("16"))
        }
      }),
    )
  }
})

layer(TestDatabase.layer, { excludeTestServices: true })("two processes", (it) => {
  it.effect("race for the same accounts, and every change is there once", () =>
    Effect.gen(function* () {
      const { appUrl } = yield* TestDatabase.TestDatabase
      const accounts = yield* Effect.forEach(times(3, String), () => open("0"))
      const instance = GroupCommit.layer().pipe(Layer.provide(DbConn.layerUrl({ url: appUrl, connectionsMax: 4 })))
      const writes = Effect.all(
        times(60, (at) => storeBalanceChange(accounts[at % 3]!, amount("1"))),
        together,
      ).pipe(Effect.provide(Layer.fresh(instance), { local: true }))
      yield* Effect.all([writes, writes], together)
      for (const acctId of accounts) {
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("40"))
        assert.lengthOf(yield* fetchAccountHistory(acctId), 41)
      }
      yield* verifyLedger
    }),
  )
})

const Grouped = GroupCommit.layer().pipe(Layer.provideMerge(TestDatabase.layer))

const failed = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? "stored"
    : Cause.hasDies(exit.cause)
      ? String(exit.cause.reasons.find(Cause.isDieReason)!.defect)
      : "refused"

layer(Grouped, { excludeTestServices: true })("a batch with a row that the database refuses", (it) => {
  for (const [what, poison, complaint] of [
    ["a constraint", "poison", "StatementRefused: the database refused a statement: 23514 (poison)"],
    ["a text that it cannot store", "a\0b", "StatementRefused: the database refused a statement: 22021"],
  ] as const) {
    it.effect(`by ${what} fails for the culprit alone`, () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* TestDatabase.TestDatabase
        const owner = yield* TestDatabase.connect(ownerUrl)
        if (poison === "poison") {
          yield* owner`ALTER TABLE balance_change ADD CONSTRAINT poison CHECK (description <> 'poison')`
        }
        const accounts = yield* Effect.forEach(times(20, String), () => open("0"))
        const exits = yield* Effect.all(
          accounts.map((acctId, at) => pay(acctId, at === 7 || at === 13 ? poison : "fine")),
          together,
        )
        assert.deepStrictEqual(
          exits.map(failed),
          accounts.map((_, at) => (at === 7 || at === 13 ? complaint : "stored")),
        )
        for (const acctId of accounts) yield* storeBalanceChange(acctId, amount("1"))
        yield* verifyLedger
      }).pipe(Effect.scoped),
    )
  }

  it.effect("is not sent where a time is beyond all calendars", () =>
    Effect.gen(function* () {
      const [acctId, other] = [yield* open("0"), yield* open("0")]
      const dated = postTransaction({
        changes: [{ acctId, amount: amount("1") }],
        effectiveTime: Timestamp.make(-(10n ** 18n)),
      })
      const [bad, good] = yield* Effect.all([Effect.exit(dated), pay(other)], together)
      assert.include(failed(bad), "RangeError")
      assert.strictEqual(failed(good), "stored")
    }),
  )
})

layer(Grouped, { excludeTestServices: true })("programs write to the database that they are given", (it) => {
  it.effect("under the group commit of another", () =>
    Effect.gen(function* () {
      const before = yield* countRows
      const acctId = yield* Effect.gen(function* () {
        const { account } = yield* makeAccount({ customerName: "Ann", currency: USD, initialBalance: amount("10") })
        yield* storeBalanceChange(account.acctId, amount("1"))
        assert.strictEqual((yield* fetchAccountInfo(account.acctId)).state.balance, money("11"))
        return account.acctId
      }).pipe(Effect.provide(Layer.fresh(TestDatabase.layer), { local: true }))
      assert.deepStrictEqual(yield* countRows, before)
      assert.strictEqual((yield* Effect.flip(fetchAccountInfo(acctId)))._tag, "AccountNotFound")
    }),
  )
})

layer(TestDatabase.layer, { excludeTestServices: true })("a dry run", (it) => {
  it.effect("of the prototype's programs writes nothing, and is refused as they are", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      const { state } = yield* fetchAccountInfo(acctId)
      const empty = yield* insertAccount("Ann", "")
      const before = yield* countRows
      const add = (change: string, balance: string) =>
        insertBalanceChange(acctId, state.bchgId, money(change), money(balance))
      yield* dryRun(add("1", "11"))
      yield* dryRun(insertAccount("Ann", ""))
      yield* dryRun(insertInitialBalance(empty, money("5"), USD))
      assert.strictEqual((yield* Effect.flip(dryRun(add("-11", "-1"))))._tag, "InsufficientFunds")
      assert.strictEqual((yield* Effect.flip(dryRun(add("1", "12"))))._tag, "BalanceMismatch")
      assert.deepStrictEqual(yield* countRows, before)
      yield* add("1", "11")
    }),
  )
})
