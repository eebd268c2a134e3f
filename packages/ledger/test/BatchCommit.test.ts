/** What a batch leaves behind in the memory of its process. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { Request } from "@banquo/domain/Intent"
import { amount, anonymous, open } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Exit } from "effect"
import { DbConn } from "../src/database/DbConn.ts"
import { storeBalanceChange } from "../src/programs/Transactions.ts"
import * as BatchCommit from "../src/write/BatchCommit.ts"
import { turnLength } from "../src/write/Contenders.ts"
import { pendingOf } from "../src/write/Pending.ts"
import type { Verdict } from "../src/write/Writer.ts"

const payment = (acctId: AccountId, description: string | null = null): Request => ({
  intent: {
    _tag: "PostTransaction",
    changes: [{ acctId, amount: amount("1") }],
    reference: null,
    description,
    metadata: null,
  },
  actor: anonymous,
  idempotencyKey: null,
})

const nothingToTell: BatchCommit.Progress = { begin: () => {}, end: () => {}, release: () => {} }

const commit = (memory: BatchCommit.Memory, ...requests: ReadonlyArray<Request>) =>
  Effect.gen(function* () {
    const verdicts: Array<Verdict> = []
    const deadline = (yield* Clock.currentTimeMillis) + 5_000
    const batch = requests.map((request) => pendingOf([request], deadline, (verdict) => verdicts.push(verdict)))
    yield* BatchCommit.commit(memory, batch, nothingToTell)
    return verdicts
  })

layer(TestDatabase.layer, { excludeTestServices: true })("the memory of a process", (it) => {
  it.effect("an account that another process wrote to is contended: after its turn it is left alone", () =>
    Effect.gen(function* () {
      const memory = yield* BatchCommit.makeMemory
      const acctId = yield* open("0")
      const now = yield* Clock.currentTimeMillis
      yield* commit(memory, payment(acctId))
      assert.deepStrictEqual([...memory.contenders.won([acctId], now)], [])
      yield* storeBalanceChange(acctId, amount("1"))
      const [verdict] = yield* commit(memory, payment(acctId))
      assert.isTrue(Exit.isSuccess(verdict!))
      const over = memory.contenders.won([acctId], (yield* Clock.currentTimeMillis) + turnLength + 1)
      assert.deepStrictEqual([...over], [acctId])
    }),
  )

  it.effect("heads are remembered after an append, and forgotten where it failed", () =>
    Effect.gen(function* () {
      const memory = yield* BatchCommit.makeMemory
      const acctId = yield* open("0")
      yield* commit(memory, payment(acctId))
      const now = yield* Clock.currentTimeMillis
      assert.strictEqual(memory.cache.get(acctId, now)?.acctSeq, 1)
      const [verdict] = yield* commit(memory, payment(acctId, "a\0b"))
      assert.isTrue(Exit.isFailure(verdict!))
      assert.isUndefined(memory.cache.get(acctId, now))
    }),
  )

  it.effect("nothing is remembered of another server", () =>
    Effect.gen(function* () {
      const memory = yield* BatchCommit.makeMemory
      const [acctId, other] = [yield* open("0"), yield* open("0")]
      yield* commit(memory, payment(acctId))
      const now = yield* Clock.currentTimeMillis
      assert.isDefined(memory.cache.get(acctId, now))
      const [before] = yield* memory.ids.take(1)
      const db = yield* DbConn
      const [verdict] = yield* commit(memory, payment(other)).pipe(
        Effect.provideService(DbConn, { ...db, epoch: () => 1 }),
      )
      assert.isTrue(Exit.isSuccess(verdict!))
      assert.isUndefined(memory.cache.get(acctId, now))
      const [after] = yield* memory.ids.take(1)
      if (TestDatabase.dialect === "postgresql") assert.isAbove(Number(after! - before!), 1_000)
    }),
  )

  // Ids of CockroachDB are the time and the node.
  it.effect.skipIf(TestDatabase.dialect !== "postgresql")(
    "ids that others were given too are dropped, all of them",
    () =>
      Effect.gen(function* () {
        const { superuserUrl } = yield* TestDatabase.TestDatabase
        const sql = yield* TestDatabase.connect(superuserUrl)
        const memory = yield* BatchCommit.makeMemory
        const [acctId, other] = [yield* open("0"), yield* open("0")]
        yield* commit(memory, payment(acctId))
        // As a server does that was promoted before it had heard of the ids that the last one gave.
        yield* sql`SELECT setval('bchg_id_seq', (SELECT max(bchg_id) FROM balance_change))`
        for (let count = 0; count < 100; count++) yield* storeBalanceChange(other, amount("1"))
        const [verdict] = yield* commit(memory, payment(acctId))
        assert.isTrue(Exit.isSuccess(verdict!))
        const [next] = yield* memory.ids.take(1)
        assert.isAbove(Number(next), 100)
      }),
  )
})
