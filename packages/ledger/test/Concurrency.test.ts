import type { AccountId } from "@banquo/domain/AccountId"
import * as Money from "@banquo/domain/Money"
import { assert, layer } from "@effect/vitest"
import { Effect, type Exit, Layer } from "effect"
import { fetchAccountInfo } from "../src/programs/Accounts.ts"
import { DbConn } from "../src/database/DbConn.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import type { PostedChange } from "../src/write/Posted.ts"
import { postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import { amount, countRows, key, money, open, verifyLedger } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** As many as each database gets done within the time that a request has. */
const concurrency = TestDatabase.dialect === "postgresql" ? "unbounded" : 16

const atOnce = <A, E, R>(count: number, program: (i: number) => Effect.Effect<A, E, R>) =>
  Effect.all(
    Array.from({ length: count }, (_, i) => program(i)),
    { concurrency },
  )

const transfer = (from: AccountId, to: AccountId) =>
  postTransaction({
    changes: [
      { acctId: from, amount: amount("-1") },
      { acctId: to, amount: amount("1") },
    ],
  })

/** Numbers below `max` that look random, the same in each run. */
const numbers = (seed: number) => {
  let state = seed
  return (max: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (state >>> 8) % max
  }
}

const balanceOf = (acctId: AccountId) => Effect.map(fetchAccountInfo(acctId), ({ state }) => state.balance)

const tagsOf = (exits: ReadonlyArray<Exit.Exit<unknown, { readonly _tag: string }>>) =>
  exits.map((exit) =>
    exit._tag === "Success"
      ? "Success"
      : exit.cause.reasons.map((r) => (r._tag === "Fail" ? r.error._tag : r._tag)).join(),
  )

/** Asserts that the answers are the rows of the account after the first, each once, as they are stored. */
const assertAcknowledged = (answers: ReadonlyArray<PostedChange>, acctId: AccountId) =>
  Effect.gen(function* () {
    const chains = yield* verifyLedger
    const [, ...stored] = chains.get(acctId)!
    const acknowledged = answers.toSorted((a, b) => a.acctSeq - b.acctSeq)
    assert.deepStrictEqual(
      acknowledged.map(({ bchgId, acctSeq, balance }) => [bchgId, acctSeq, balance]),
      stored.map(({ bchgId, acctSeq, balance }) => [bchgId, acctSeq, balance]),
    )
  })

/** How requests are written, and how many of them for one account at once. */
const writers = [
  { how: "each alone", writer: Layer.empty, count: 24 },
  { how: "by group commit", writer: GroupCommit.layer(), count: 64 },
] as const

for (const { count, how, writer } of writers) {
  layer(writer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(`written ${how}`, (it) => {
    it.effect(`${count} changes of one account at once are each stored once`, () =>
      Effect.gen(function* () {
        const acctId = yield* open("0")
        const answers = yield* atOnce(count, (i) => storeBalanceChange(acctId, amount(`${i + 1}`), `change ${i}`))
        assert.deepStrictEqual(
          answers.map(({ description }) => description),
          Array.from({ length: count }, (_, i) => `change ${i}`),
        )
        assert.strictEqual(yield* balanceOf(acctId), money(`${(count * (count + 1)) / 2}`))
        yield* assertAcknowledged(answers, acctId)
      }),
    )

    it.effect("changes of one account by several processes are each stored once", () =>
      Effect.gen(function* () {
        const { appUrl } = yield* TestDatabase.TestDatabase
        const acctId = yield* open("0")
        const answers = yield* atOnce(3, () =>
          Effect.gen(function* () {
            const mine: Array<PostedChange> = []
            for (let i = 0; i < 10; i++) mine.push(yield* storeBalanceChange(acctId, amount("1")))
            return mine
          }).pipe(Effect.provide(DbConn.layerUrl({ url: appUrl, connectionsMax: 2 }))),
        )
        yield* assertAcknowledged(answers.flat(), acctId)
      }),
    )

    it.effect("64 transfers between 8 accounts neither make nor lose money", () =>
      Effect.gen(function* () {
        const accounts = yield* atOnce(8, () => open("100"))
        const random = numbers(1)
        const exits = yield* atOnce(64, () => {
          const from = random(8)
          const to = (from + 1 + random(7)) % 8
          const text = `${1 + random(60)}`
          return Effect.exit(
            postTransaction({
              changes: [
                { acctId: accounts[from]!, amount: amount(`-${text}`) },
                { acctId: accounts[to]!, amount: amount(text) },
              ],
            }),
          )
        })
        const tags = new Set(tagsOf(exits))
        assert.isTrue(tags.has("Success"))
        tags.delete("Success")
        tags.delete("InsufficientFunds")
        assert.deepStrictEqual([...tags], [])
        const chains = yield* verifyLedger
        const tails = accounts.map((acctId) => chains.get(acctId)!.at(-1)!)
        assert.strictEqual(
          tails.reduce((total, { balance }) => Money.sum(total, balance), Money.zero),
          money("800"),
        )
        const written = accounts.reduce((total, acctId) => total + chains.get(acctId)!.length - 1, 0)
        assert.strictEqual(written, 2 * exits.filter(({ _tag }) => _tag === "Success").length)
      }),
    )

    it.effect("transfers between two accounts in both directions do not deadlock", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* open("100"), yield* open("100")]
        yield* atOnce(32, (i) => (i % 2 === 0 ? transfer(a, b) : transfer(b, a)))
        assert.strictEqual(yield* balanceOf(a), money("100"))
        assert.strictEqual((yield* fetchAccountInfo(b)).state.acctSeq, 32)
      }),
    )

    it.effect("the same key 16 times is one transaction, with one answer", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* open("10"), yield* open("0")]
        const idempotencyKey = key()
        const before = yield* countRows
        const answers = yield* atOnce(16, () =>
          postTransaction({
            changes: [
              { acctId: a, amount: amount("-7") },
              { acctId: b, amount: amount("7") },
            ],
            idempotencyKey,
          }),
        )
        assert.strictEqual((yield* countRows).changes, before.changes + 2n)
        assert.strictEqual(answers.filter(({ isReplayed }) => !isReplayed).length, 1)
        for (const { changes } of answers) assert.deepStrictEqual(changes, answers[0]!.changes)
      }),
    )

    it.effect("a key for two requests names one of them", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const idempotencyKey = key()
        const exits = yield* atOnce(16, (i) =>
          Effect.exit(
            postTransaction({ changes: [{ acctId, amount: amount(i % 2 === 0 ? "-1" : "-2") }], idempotencyKey }),
          ),
        )
        const tags = tagsOf(exits)
        assert.strictEqual(tags.filter((tag) => tag === "Success").length, 8)
        assert.strictEqual(tags.filter((tag) => tag === "IdempotencyKeyReused").length, 8)
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.acctSeq, 1)
      }),
    )

    it.effect("the same new account 16 times is opened once", () =>
      Effect.gen(function* () {
        const acctId = (yield* Effect.sync(() => crypto.randomUUID())) as AccountId
        const before = yield* countRows
        const ids = yield* atOnce(16, () => open("5", { acctId }))
        assert.deepStrictEqual(new Set(ids), new Set([acctId]))
        const after = yield* countRows
        assert.deepStrictEqual(after, { accounts: before.accounts + 1n, changes: before.changes + 1n })
      }),
    )

    it.effect("of 24 that draw on money for 9, nine get it", () =>
      Effect.gen(function* () {
        const acctId = yield* open("95")
        const exits = yield* atOnce(24, () => Effect.exit(storeBalanceChange(acctId, amount("-10"))))
        const tags = tagsOf(exits)
        assert.strictEqual(tags.filter((tag) => tag === "Success").length, 9)
        assert.strictEqual(tags.filter((tag) => tag === "InsufficientFunds").length, 15)
        assert.strictEqual(yield* balanceOf(acctId), money("5"))
        yield* assertAcknowledged(
          exits.flatMap((exit) => (exit._tag === "Success" ? [exit.value] : [])),
          acctId,
        )
      }),
    )
  })
}
