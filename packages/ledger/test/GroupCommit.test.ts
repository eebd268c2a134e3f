import { AccountId } from "@banquo/domain/AccountId"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import { assert, layer } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Latch, Layer, Scope } from "effect"
import { fetchAccountInfo } from "../src/programs/Accounts.ts"
import { contentionTimeout, DbConn } from "../src/database/DbConn.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import { fetchAccountHistory } from "../src/history/History.ts"
import { captureHold, increaseHold, placeHold } from "../src/programs/Holds.ts"
import { reverseTransaction } from "../src/programs/Reversals.ts"
import { changeTerms } from "../src/programs/Terms.ts"
import {
  postTransaction,
  postTransactionsEach,
  postTransactionsTogether,
  storeBalanceChange,
} from "../src/programs/Transactions.ts"
import { amount, open, setStatus } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** `"stored"`, or what a write failed with. */
const outcomeOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>): string =>
  Exit.isSuccess(exit) ? "stored" : (Cause.squash(exit.cause) as { readonly _tag: string })._tag

const balanceOf = (acctId: AccountId) => Effect.map(fetchAccountInfo(acctId), ({ state }) => state.balance)

/** The sequences of an account, oldest first. */
const seqsOf = (acctId: AccountId) =>
  Effect.map(fetchAccountHistory(acctId), (changes) => changes.map(({ acctSeq }) => acctSeq).toReversed())

const pay = (acctId: AccountId, text = "1") => ({ changes: [{ acctId, amount: amount(text) }] })

const times = <A>(count: number, make: (index: number) => A) => Array.from({ length: count }, (_, index) => make(index))

const together = { concurrency: "unbounded" } as const

/** Writes as another process would, with heads of its own. */
const asAnotherProcess = <A, E, R>(program: Effect.Effect<A, E, R>) => Effect.provide(program, GroupCommit.layer())

/** Runs as far as it comes by itself. */
const begin = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.forkChild(Effect.exit(program), { startImmediately: true })

/** A clock that can be told to be so many milliseconds later; it does not wake sleepers earlier. */
class Later implements Clock.Clock {
  readonly #real = Effect.runSync(Clock.Clock)
  skipped = 0

  currentTimeMillisUnsafe = () => this.#real.currentTimeMillisUnsafe() + this.skipped
  currentTimeMillis = Effect.sync(this.currentTimeMillisUnsafe)
  currentTimeNanosUnsafe = () => BigInt(this.currentTimeMillisUnsafe()) * 1_000_000n
  currentTimeNanos = Effect.sync(this.currentTimeNanosUnsafe)
  monotonicTimeNanosUnsafe = () => this.#real.monotonicTimeNanosUnsafe()
  monotonicTimeNanos = this.#real.monotonicTimeNanos
  sleep = (duration: Duration.Duration) => this.#real.sleep(duration)
}

const Grouped = GroupCommit.layer().pipe(Layer.provideMerge(TestDatabase.layer))

layer(Grouped, { excludeTestServices: true })("group commit", (it) => {
  it.effect("acknowledges each of many changes to one account once, in a dense chain", () =>
    Effect.gen(function* () {
      const acctId = yield* open("0")
      const changes = yield* Effect.all(
        times(150, () => storeBalanceChange(acctId, amount("1"))),
        together,
      )
      assert.deepStrictEqual(
        changes.map(({ acctSeq }) => acctSeq).toSorted((a, b) => a - b),
        times(150, (index) => index + 1),
      )
      assert.deepStrictEqual(
        yield* seqsOf(acctId),
        times(151, (index) => index),
      )
      assert.strictEqual(yield* balanceOf(acctId), 15_000_000_000n)
    }),
  )

  it.effect("a request that is not well-formed dies alone, whatever is written with it", () =>
    Effect.gen(function* () {
      const acctId = yield* open("100")
      const { hold } = yield* placeHold({ acctId, amount: amount("1") })
      const { bchgId } = yield* storeBalanceChange(acctId, amount("1"))
      const bad: ReadonlyArray<Effect.Effect<unknown, unknown, DbConn>> = [
        storeBalanceChange(acctId, amount("0.00")),
        postTransaction({ changes: [{ acctId, amount: amount("1"), expectedSeq: 0.5 }] }),
        placeHold({ acctId, amount: amount("0") }),
        placeHold({ acctId, amount: amount("-1") }),
        placeHold({ acctId, amount: amount("1"), expiry: { ttl: 1.5 } }),
        increaseHold(hold.holdId, { amount: amount("-1") }),
        captureHold(hold.holdId, { amount: amount("-1") }),
        captureHold(hold.holdId, { amount: amount("0") }),
        reverseTransaction(bchgId, { changes: [{ acctId, amount: amount("0") }] }),
        changeTerms(acctId, { overdraftLimit: amount("-1") }),
        open("1", { overdraftLimit: amount("-1") }),
      ]
      const before = yield* seqsOf(acctId)
      const exits = yield* Effect.all(
        bad.flatMap((program) => [program, storeBalanceChange(acctId, amount("1"))]).map(Effect.exit),
        together,
      )
      for (const [index, exit] of exits.entries()) assert.strictEqual(Exit.isSuccess(exit), index % 2 === 1)
      assert.isTrue(exits.every((exit, index) => index % 2 === 1 || Exit.hasDies(exit)))
      assert.strictEqual((yield* seqsOf(acctId)).length, before.length + bad.length)
    }),
  )

  it.effect("keeps the order in which requests for an account came", () =>
    Effect.gen(function* () {
      const acctId = yield* open("0")
      const changes = yield* Effect.all(
        times(100, (index) => storeBalanceChange(acctId, amount(`${index + 1}`))),
        together,
      )
      assert.deepStrictEqual(
        changes.map(({ acctSeq }) => acctSeq),
        times(100, (index) => index + 1),
      )
    }),
  )

  it.effect("gives each request its own verdict", () =>
    Effect.gen(function* () {
      const [rich, poor] = yield* Effect.all([open("100"), open("1")])
      const nobody = AccountId.make("00000000-0000-4000-8000-000000000000")
      const exits = yield* Effect.all(
        [
          Effect.exit(storeBalanceChange(rich, amount("-10"))),
          Effect.exit(storeBalanceChange(poor, amount("-10"))),
          Effect.exit(storeBalanceChange(nobody, amount("-10"))),
          Effect.exit(storeBalanceChange(poor, amount("-1"))),
          Effect.exit(
            postTransaction({
              changes: [
                { acctId: rich, amount: amount("-10") },
                { acctId: poor, amount: amount("10") },
              ],
            }),
          ),
        ],
        together,
      )
      assert.deepStrictEqual(exits.map(outcomeOf), [
        "stored",
        "InsufficientFunds",
        "AccountNotFound",
        "stored",
        "stored",
      ])
      assert.strictEqual(yield* balanceOf(rich), 8_000_000_000n)
      assert.strictEqual(yield* balanceOf(poor), 1_000_000_000n)
    }),
  )

  it.effect("lets exactly as many debits through as there is money for", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      const exits = yield* Effect.all(
        times(30, () => Effect.exit(storeBalanceChange(acctId, amount("-1")))),
        together,
      )
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 10)
      assert.strictEqual(yield* balanceOf(acctId), 0n)
    }),
  )

  it.effect("stores a key once, though it comes many times at once", () =>
    Effect.gen(function* () {
      const acctId = yield* open("0")
      const idempotencyKey = IdempotencyKey.make("once")
      const posted = yield* Effect.all(
        times(20, () => postTransaction({ changes: [{ acctId, amount: amount("1") }], idempotencyKey })),
        together,
      )
      assert.strictEqual(new Set(posted.map(({ transactionId }) => transactionId)).size, 1)
      assert.strictEqual(posted.filter(({ isReplayed }) => !isReplayed).length, 1)
      assert.strictEqual(yield* balanceOf(acctId), 100_000_000n)
      const reused = yield* Effect.flip(postTransaction({ changes: [{ acctId, amount: amount("2") }], idempotencyKey }))
      assert.strictEqual(reused._tag, "IdempotencyKeyReused")
    }),
  )

  it.effect("answers a key that another process has used, and stores what came with it", () =>
    Effect.gen(function* () {
      const accounts = yield* Effect.all(times(5, () => open("0")))
      const idempotencyKey = IdempotencyKey.make("elsewhere")
      const keyed = { ...pay(accounts[0]!), idempotencyKey }
      const theirs = yield* asAnotherProcess(postTransaction(keyed))
      const beside = { ...pay(accounts[1]!), idempotencyKey: IdempotencyKey.make("beside") }
      const all = [pay(accounts[4]!), keyed, beside, pay(accounts[2]!), pay(accounts[3]!)]
      // Twice: such a key comes as a surprise first, and is looked for then.
      for (const round of [1, 2]) {
        const verdicts = yield* postTransactionsEach(all)
        const posted = verdicts.map((verdict) => (Exit.isSuccess(verdict) ? verdict.value[0]! : undefined))
        assert.deepStrictEqual(
          posted.map((one) => one?.isReplayed),
          [false, true, round === 2, false, false],
        )
        assert.strictEqual(posted[1]?.transactionId, theirs.transactionId)
      }
      const balances = yield* Effect.forEach(accounts, balanceOf)
      assert.deepStrictEqual(
        balances,
        [1, 1, 2, 2, 2].map((units) => BigInt(units) * 100_000_000n),
      )
    }),
  )

  it.effect("gives each of many transactions a verdict, in their order", () =>
    Effect.gen(function* () {
      const acctId = yield* open("2")
      const texts = ["-1", "-2", "-1", "-0.01", "3"]
      const verdicts = yield* postTransactionsEach(texts.map((text) => pay(acctId, text)))
      assert.deepStrictEqual(
        verdicts.map((verdict) =>
          Exit.isSuccess(verdict) ? verdict.value[0]!.changes[0]!.acctSeq : outcomeOf(verdict),
        ),
        [1, "RequestRefused", 2, "RequestRefused", 3],
      )
      assert.deepStrictEqual(yield* postTransactionsEach([]), [])
    }),
  )

  it.effect("opens accounts beside other writes", () =>
    Effect.gen(function* () {
      const acctId = yield* open("0")
      const [opened] = yield* Effect.all(
        [
          Effect.all(
            times(20, () => open("5")),
            together,
          ),
          storeBalanceChange(acctId, amount("1")),
        ],
        together,
      )
      assert.strictEqual(new Set(opened).size, 20)
      for (const id of opened) assert.strictEqual(yield* balanceOf(id), 500_000_000n)
    }),
  )

  it.effect("is not misled by a head that it remembers: others may write, and freeze", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      yield* storeBalanceChange(acctId, amount("1"))
      const theirs = yield* asAnotherProcess(storeBalanceChange(acctId, amount("-11")))
      // Remembered: 11.00 at sequence 1. True: 0.00 at sequence 2.
      const refused = yield* Effect.flip(storeBalanceChange(acctId, amount("-1")))
      assert.strictEqual(refused._tag, "InsufficientFunds")
      const ours = yield* storeBalanceChange(acctId, amount("3"))
      assert.strictEqual(ours.prevBchgId, theirs.bchgId)
      assert.strictEqual(ours.balance, 300_000_000n)
      yield* setStatus(acctId, "frozen")
      const frozen = yield* Effect.flip(storeBalanceChange(acctId, amount("1")))
      assert.strictEqual(frozen._tag, "AccountFrozen")
      assert.strictEqual(yield* balanceOf(acctId), 300_000_000n)
    }),
  )

  it.effect("shares accounts with other processes: every change once, and nobody starves", () =>
    Effect.gen(function* () {
      const accounts = yield* Effect.all(times(5, () => open("0")))
      const hot = accounts[0]!
      const writeMany = Effect.all(
        times(60, (index) => storeBalanceChange(index % 2 === 0 ? hot : accounts[index % 5]!, amount("1"))),
        together,
      )
      yield* Effect.all([writeMany, asAnotherProcess(writeMany), asAnotherProcess(writeMany)], together)
      const balances = yield* Effect.forEach(accounts, balanceOf)
      assert.strictEqual(
        balances.reduce((sum, balance) => sum + balance, 0n),
        18_000_000_000n,
      )
      for (const account of accounts) {
        const seqs = yield* seqsOf(account)
        assert.deepStrictEqual(
          seqs,
          times(seqs.length, (index) => index),
        )
      }
    }),
  )

  it.effect("makes transactions together, or none of them", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      const pay = (text: string, key: string) => ({
        changes: [{ acctId, amount: amount(text) }],
        idempotencyKey: IdempotencyKey.make(key),
      })
      const refused = yield* Effect.flip(postTransactionsTogether([pay("-6", "t1"), pay("-6", "t2"), pay("1", "t3")]))
      assert.strictEqual(refused._tag, "RequestRefused")
      assert.deepStrictEqual(refused._tag === "RequestRefused" ? [refused.index, refused.refusal._tag] : [], [
        1,
        "InsufficientFunds",
      ])
      assert.strictEqual(yield* balanceOf(acctId), 1_000_000_000n)
      const batch = [pay("-6", "t1"), pay("2", "t2"), pay("-6", "t3")]
      const posted = yield* postTransactionsTogether(batch)
      assert.deepStrictEqual(
        posted.map(({ changes }) => changes[0]!.acctSeq),
        [1, 2, 3],
      )
      const again = yield* postTransactionsTogether(batch)
      assert.isTrue(again.every(({ isReplayed }) => isReplayed))
      assert.deepStrictEqual(
        again.map(({ transactionId }) => transactionId),
        posted.map(({ transactionId }) => transactionId),
      )
      const mixed = yield* Effect.flip(postTransactionsTogether([pay("1", "t4"), pay("2", "t2")]))
      assert.deepStrictEqual(mixed._tag === "RequestRefused" ? [mixed.index, mixed.refusal._tag] : [], [
        1,
        "IdempotencyKeyReused",
      ])
      assert.strictEqual(yield* balanceOf(acctId), 0n)
    }),
  )
})

layer(TestDatabase.layer, { excludeTestServices: true })("the queue", (it) => {
  it.effect("refuses at once what it has no room for, and answers the rest", () =>
    Effect.gen(function* () {
      const acctId = yield* open("0")
      const exits = yield* Effect.all(
        times(50, () => Effect.exit(storeBalanceChange(acctId, amount("1")))),
        together,
      ).pipe(Effect.provide(GroupCommit.layer({ queueMax: 10, writersMax: 1 })))
      const overloaded = exits.filter((exit) => outcomeOf(exit) === "Overloaded")
      assert.isAbove(overloaded.length, 0)
      const stored = exits.filter(Exit.isSuccess).length
      assert.strictEqual(stored + overloaded.length, 50)
      assert.strictEqual(yield* balanceOf(acctId), BigInt(stored) * 100_000_000n)
    }),
  )

  it.effect("refuses of several only those that it has no room for", () =>
    Effect.gen(function* () {
      const acctId = yield* open("0")
      const verdicts = yield* postTransactionsEach(times(50, () => pay(acctId))).pipe(
        Effect.provide(GroupCommit.layer({ queueMax: 10 })),
      )
      assert.deepStrictEqual(
        verdicts.map(outcomeOf),
        times(50, (index) => (index < 10 ? "stored" : "Overloaded")),
      )
      assert.strictEqual(yield* balanceOf(acctId), 1_000_000_000n)
    }),
  )

  it.effect("drops what has waited too long before it is sent, and nothing that was sent", () => {
    const later = new Later()
    return Effect.gen(function* () {
      const { sql, transaction } = yield* DbConn
      const [held, free] = [yield* open("0"), yield* open("0")]
      const [isHeld, isOver] = [yield* Latch.make(), yield* Latch.make()]
      const blocker = yield* Effect.forkChild(
        transaction(
          Effect.gen(function* () {
            yield* storeBalanceChange(held, amount("1"))
            yield* isHeld.open
            yield* isOver.await
            return yield* Effect.fail("undone")
          }),
        ),
      )
      yield* isHeld.await
      yield* Effect.gen(function* () {
        const sent = yield* begin(storeBalanceChange(held, amount("2")))
        yield* TestDatabase.untilWaiting(sql, 1)
        const queued = yield* begin(storeBalanceChange(free, amount("2")))
        later.skipped = Duration.toMillis(contentionTimeout)
        yield* isOver.open
        assert.strictEqual(outcomeOf(yield* Fiber.join(sent)), "stored")
        assert.strictEqual(outcomeOf(yield* Fiber.join(queued)), "Overloaded")
      }).pipe(Effect.provide(GroupCommit.layer({ writersMax: 1 })))
      yield* Fiber.await(blocker)
      assert.strictEqual(yield* balanceOf(held), 200_000_000n)
      assert.strictEqual(yield* balanceOf(free), 0n)
    }).pipe(Effect.provideService(Clock.Clock, later))
  })

  it.effect("answers all that it accepted before it ends", () =>
    Effect.gen(function* () {
      const acctId = yield* open("0")
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(GroupCommit.layer({ writersMax: 1 }), scope)
      const writers = yield* Effect.forEach(times(100, String), () =>
        Effect.forkChild(Effect.provideContext(storeBalanceChange(acctId, amount("1")), context), {
          startImmediately: true,
        }),
      )
      yield* Scope.close(scope, Exit.void)
      const changes = yield* Effect.forEach(writers, Fiber.join)
      assert.strictEqual(changes.length, 100)
      assert.strictEqual(yield* balanceOf(acctId), 10_000_000_000n)
    }),
  )

  it.effect("is left out inside a transaction of the caller's", () =>
    Effect.gen(function* () {
      const { transaction } = yield* DbConn
      const acctId = yield* open("0")
      const undone = transaction(Effect.andThen(storeBalanceChange(acctId, amount("1")), Effect.fail("undone")))
      const error = yield* Effect.flip(Effect.provide(undone, GroupCommit.layer()))
      assert.strictEqual(error, "undone")
      assert.strictEqual(yield* balanceOf(acctId), 0n)
      assert.isUndefined((yield* DbConn).writer)
    }),
  )
})
