/** What becomes of a write when the database, or the way to it, fails at a bad moment. */
import { AccountId } from "@banquo/domain/AccountId"
import { assert, describe, layer } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Latch, Layer, Redacted } from "effect"
import type { SqlClient } from "effect/sql"
import { type AddressInfo, createServer } from "node:net"
import { inspect } from "node:util"
import { fetchAccountInfo, makeAccount } from "../src/programs/Accounts.ts"
import { insertBalanceChange, selectLastBalanceChange } from "../src/programs/Prototype.ts"
import { DbConn, type DbConnOptions } from "../src/database/DbConn.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import { fetchAccountHistory } from "../src/history/History.ts"
import { captureHold, fetchHold, increaseHold, placeHold } from "../src/programs/Holds.ts"
import type { Posted } from "../src/write/Posted.ts"
import { reverseTransaction } from "../src/programs/Reversals.ts"
import { changeTerms } from "../src/programs/Terms.ts"
import { fetchTransaction, postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import { FaultyProxy } from "@banquo/testing/FaultyProxy"
import { hurried } from "./Hurry.ts"
import { amount, countRows, headRead, key, money, open, USD, verifyLedger } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** A database, a proxy in front of it, and a `DbConn` through the proxy. */
const layerThrough = (options: Partial<DbConnOptions> = {}) =>
  Layer.unwrap(Effect.map(FaultyProxy, ({ url }) => DbConn.layerUrl({ connectionsMax: 4, ...options, url }))).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.map(TestDatabase.TestDatabase, ({ appUrl }) => FaultyProxy.layer(appUrl)))),
    Layer.provideMerge(TestDatabase.layerMigrated),
  )

/** Runs a program past the proxy. */
const beside = <A, E, R>(program: Effect.Effect<A, E, R | DbConn>) =>
  Effect.flatMap(TestDatabase.TestDatabase, ({ appUrl }) =>
    Effect.provide(program, DbConn.layerUrl({ url: appUrl, connectionsMax: 2 })),
  )

const insertChange = "INSERT INTO balance_change"
const tagOf = (error: { readonly _tag: string }) => error._tag

/** Asserts that an answer is stored as it was given, and that nothing else was written after the account's first row. */
const assertStoredOnce = (acctId: AccountId, { changes, isReplayed, transactionId }: Posted) =>
  Effect.gen(function* () {
    assert.isFalse(isReplayed)
    assert.deepStrictEqual((yield* fetchTransaction(transactionId)).changes, changes)
    assert.strictEqual((yield* fetchAccountHistory(acctId)).length, 2)
    yield* beside(verifyLedger)
  })

const secret = "a secret of the customer's"

const pay = (acctId: AccountId, idempotencyKey = key()) =>
  postTransaction({ changes: [{ acctId, amount: amount("-1") }], description: secret, idempotencyKey })

/** The database undid it, or cannot say what became of it. */
const undoneOrUnknown = "40001 40P01 55P03 40003 08006 53200 57014 57P01 57P02 57P03 58C00 58C01 XXUUU".split(" ")

/** How requests are written: each alone, or many together. */
const writers = [
  ["", Layer.empty],
  [" by group commit", GroupCommit.layer()],
] as const

/** Ends the sessions of that name, and tells how many there were. */
const endSessions = (killer: SqlClient.SqlClient, applicationName: string) =>
  Effect.gen(function* () {
    if (TestDatabase.engine === "postgresql") {
      return (yield* killer`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = ${applicationName}`).length
    }
    const found = yield* killer`SELECT session_id FROM [SHOW CLUSTER SESSIONS]
      WHERE application_name = ${applicationName}`
    yield* killer.unsafe(`CANCEL SESSIONS IF EXISTS (SELECT session_id FROM [SHOW CLUSTER SESSIONS]
      WHERE application_name = '${applicationName}')`)
    return found.length
  })

for (const [how, writer] of writers) {
  const applicationName = `killed-${crypto.randomUUID()}`
  const Through = layerThrough({ applicationName })
  layer(writer.pipe(Layer.provideMerge(Through)), { excludeTestServices: true })(`a write${how}`, (it) => {
    for (const times of [1, 2]) {
      it.effect(`whose answer is lost ${times === 1 ? "once" : "and lost again"} is stored once, and succeeds`, () =>
        Effect.gen(function* () {
          const proxy = yield* FaultyProxy
          const acctId = yield* open("10")
          const fault = yield* proxy.loseReply(insertChange)
          // The answer to the question whether it is stored is lost too.
          if (times === 2) yield* proxy.loseReply("SELECT chg_hash FROM balance_change")
          const posted = yield* pay(acctId)
          yield* fault.happened
          yield* assertStoredOnce(acctId, posted)
        }),
      )

      it.effect(`that is lost on its way ${times === 1 ? "once" : "and lost again"} is stored once, and succeeds`, () =>
        Effect.gen(function* () {
          const proxy = yield* FaultyProxy
          const acctId = yield* open("10")
          const fault = yield* proxy.loseStatement(insertChange, times)
          const posted = yield* pay(acctId)
          yield* fault.happened
          yield* assertStoredOnce(acctId, posted)
        }),
      )
    }

    it.effect("is stored once when it is lost on its way, and then its answer is", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        yield* proxy.loseStatement(insertChange)
        const fault = yield* proxy.loseReply(insertChange)
        const posted = yield* pay(acctId)
        yield* fault.happened
        yield* assertStoredOnce(acctId, posted)
      }),
    )

    it.effect("without a key is stored once, too", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        yield* proxy.loseReply(insertChange)
        yield* proxy.loseReply("SELECT chg_hash FROM balance_change")
        const change = yield* storeBalanceChange(acctId, amount("-1"))
        assert.deepStrictEqual((yield* fetchAccountHistory(acctId))[0], change)
        assert.strictEqual(change.acctSeq, 1)
      }),
    )

    it.effect("of many legs is stored whole", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const accounts = yield* Effect.all(Array.from({ length: 5 }, () => open("10")))
        yield* proxy.loseReply(insertChange)
        const posted = yield* postTransaction({
          changes: accounts.map((acctId, i) => ({ acctId, amount: amount(i === 0 ? "-4" : "1") })),
        })
        assert.deepStrictEqual((yield* fetchTransaction(posted.transactionId)).changes, posted.changes)
        yield* verifyLedger
      }),
    )

    for (const ending of ["rolls back", "commits"] as const) {
      it.effect(`that the server goes on with alone is stored once, when what it waits for ${ending}`, () =>
        Effect.gen(function* () {
          const proxy = yield* FaultyProxy
          const { ownerUrl } = yield* TestDatabase.TestDatabase
          const watcher = yield* TestDatabase.connect(ownerUrl)
          const acctId = yield* open("10")
          // It has read the account, and is sent when another transaction has written to it.
          const hold = yield* proxy.hold(insertChange)
          const fault = yield* proxy.abandon(insertChange)
          const writer = yield* Effect.forkChild(pay(acctId))
          yield* hold.arrived
          const isFirst = yield* Latch.make(false)
          const mayEnd = yield* Latch.make(false)
          const first = yield* Effect.forkChild(
            beside(
              Effect.flatMap(DbConn, ({ transaction }) =>
                transaction(
                  Effect.gen(function* () {
                    yield* storeBalanceChange(acctId, amount("-2"))
                    yield* isFirst.open
                    yield* mayEnd.await
                    if (ending === "rolls back") return yield* Effect.fail("rolled back" as const)
                    return undefined
                  }),
                ),
              ),
            ).pipe(Effect.exit),
          )
          yield* isFirst.await
          yield* hold.release
          yield* fault.happened
          // The abandoned statement and the one that was sent after it.
          yield* TestDatabase.untilWaiting(watcher, 2)
          yield* mayEnd.open
          yield* Fiber.join(first)
          const posted = yield* Fiber.join(writer)
          assert.strictEqual(posted.changes[0]!.acctSeq, ending === "commits" ? 2 : 1)
          assert.strictEqual((yield* fetchAccountHistory(acctId)).length, ending === "commits" ? 3 : 2)
          yield* verifyLedger
        }),
      )
    }

    for (const state of undoneOrUnknown) {
      it.effect(`that ends with ${state} is tried again, and stored once`, () =>
        Effect.gen(function* () {
          const proxy = yield* FaultyProxy
          const acctId = yield* open("10")
          const fault = yield* proxy.refuse(insertChange, state, 2)
          const posted = yield* pay(acctId)
          yield* fault.happened
          yield* assertStoredOnce(acctId, posted)
        }),
      )
    }

    for (const [fault, what] of [
      ["misreport", "is carried out, but answered with 40003"],
      ["drain", "meets a server that is being shut down"],
      ["refuse", "is answered with 40003 before it is carried out"],
    ] as const) {
      it.effect(`that ${what} is stored once, and succeeds`, () =>
        Effect.gen(function* () {
          const proxy = yield* FaultyProxy
          const acctId = yield* open("10")
          const { happened } = yield* fault === "drain"
            ? proxy.drain(insertChange)
            : proxy[fault](insertChange, "40003")
          const posted = yield* pay(acctId)
          yield* happened
          yield* assertStoredOnce(acctId, posted)
        }),
      )
    }

    it.effect("that is carried out, but called undone, is stored once: with a key and without", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        yield* proxy.misreport(insertChange, "40001")
        yield* assertStoredOnce(acctId, yield* pay(acctId))
        yield* proxy.misreport(insertChange, "40001")
        assert.strictEqual((yield* storeBalanceChange(acctId, amount("-1"))).acctSeq, 2)
        assert.strictEqual((yield* fetchAccountHistory(acctId)).length, 3)
      }),
    )

    for (const state of ["53300", "25006"]) {
      it.effect(`that ends with ${state} is not applied, and says so`, () =>
        Effect.gen(function* () {
          const proxy = yield* FaultyProxy
          const acctId = yield* open("10")
          yield* proxy.refuse(insertChange, state)
          const before = yield* countRows
          assert.strictEqual(tagOf(yield* Effect.flip(pay(acctId))), "DatabaseUnavailable")
          assert.deepStrictEqual(yield* countRows, before)
          yield* pay(acctId)
        }),
      )
    }

    it.effect("that ends with a bug of the ledger's dies, once", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        const fault = yield* proxy.refuse(insertChange, "42703")
        const exit = yield* Effect.exit(pay(acctId))
        assert.isTrue(Exit.hasDies(exit))
        assert.strictEqual(yield* fault.count, 1)
      }),
    )

    /** Once for each way to lose a statement: on its way, its answer, with its session, undone by the server. */
    const losses = [
      (proxy: FaultyProxy["Service"], text: string) => proxy.loseReply(text),
      (proxy: FaultyProxy["Service"], text: string) => proxy.loseStatement(text),
      (proxy: FaultyProxy["Service"], text: string) => proxy.refuse(text, "57P01"),
      (proxy: FaultyProxy["Service"], text: string) => proxy.refuse(text, "40001"),
    ]

    it.effect("of a hold is done once, whatever is lost", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        for (const lose of losses) {
          const [acctId, shop] = [yield* open("10"), yield* open("0")]
          const during = <A, E, R>(program: Effect.Effect<A, E, R>) =>
            Effect.gen(function* () {
              const fault = yield* lose(proxy, insertChange)
              const done = yield* program
              yield* fault.happened
              return done
            })
          const { hold } = yield* during(placeHold({ acctId, amount: amount("5") }))
          yield* during(increaseHold(hold.holdId, { amount: amount("2") }))
          const part = yield* during(captureHold(hold.holdId, { amount: amount("3"), isFinal: false, to: shop }))
          const last = yield* during(captureHold(hold.holdId, { amount: amount("1") }))
          assert.deepInclude(last.hold, { captured: money("4"), released: money("3") })
          yield* during(reverseTransaction(part.posted.transactionId))
          const { state } = yield* fetchAccountInfo(acctId)
          assert.deepInclude(state, { acctSeq: 6, balance: money("9"), held: money("0") })
          assert.deepStrictEqual(yield* fetchHold(hold.holdId), last.hold)
        }
        yield* verifyLedger
      }),
    )

    it.effect("that corrects a customer does it once, whatever is lost of its two statements", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { sql } = yield* DbConn
        for (const text of [insertChange, "INSERT INTO account ", "COMMIT"]) {
          for (const lose of losses) {
            const acctId = yield* open("10")
            const fault = yield* lose(proxy, text)
            const { changes, isReplayed } = yield* changeTerms(acctId, { customerName: "Anna", status: "frozen" })
            yield* fault.happened
            assert.isFalse(isReplayed)
            assert.strictEqual(changes[0]!.acctSeq, 1)
            const { account, state } = yield* fetchAccountInfo(acctId)
            assert.deepStrictEqual([account.custName, state.acctSeq, state.acctStatus], ["Anna", 1, "frozen"])
            const corrections =
              yield* sql`SELECT acct_seq FROM account WHERE acct_id = ${acctId}::UUID AND acct_seq > 0`
            assert.deepStrictEqual(corrections, [{ acct_seq: 1n }])
          }
        }
        yield* verifyLedger
      }),
    )

    it.effect("whose session is killed during a capture or a correction is done once", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { superuserUrl } = yield* TestDatabase.TestDatabase
        const killer = yield* TestDatabase.connect(superuserUrl)
        const killed = <A, E, R>(text: string, program: Effect.Effect<A, E, R>) =>
          Effect.gen(function* () {
            const hold = yield* proxy.hold(text)
            const fiber = yield* Effect.forkChild(program)
            yield* hold.arrived
            assert.isAbove(yield* endSessions(killer, applicationName), 0)
            yield* hold.release
            return yield* Fiber.join(fiber)
          })
        const acctId = yield* open("10")
        const placed = yield* placeHold({ acctId, amount: amount("5") })
        const { hold } = yield* killed(insertChange, captureHold(placed.hold.holdId))
        assert.strictEqual(hold.captured, money("5"))
        const again = yield* fetchAccountInfo(acctId)
        assert.deepInclude(again.state, { acctSeq: 2, balance: money("5"), held: money("0") })
        for (const [index, text] of [insertChange, "COMMIT"].entries()) {
          yield* killed(text, changeTerms(acctId, { customerName: `Anna ${index}` }))
          const { account, state } = yield* fetchAccountInfo(acctId)
          assert.deepStrictEqual([account.custName, state.acctSeq], [`Anna ${index}`, 3 + index])
        }
        yield* verifyLedger
      }),
    )

    it.effect("that opens an account does it once, whatever answer is lost", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const texts = ["COMMIT", insertChange, "INSERT INTO account"]
        for (const lose of [proxy.loseReply, proxy.loseStatement]) {
          for (const text of texts) {
            for (const chosen of [undefined, AccountId.make(crypto.randomUUID())]) {
              const before = yield* countRows
              const fault = yield* lose(text)
              const { account, posted } = yield* makeAccount({
                customerName: "Ann",
                currency: USD,
                initialBalance: amount("10"),
                acctId: chosen,
              })
              yield* fault.happened
              assert.isFalse(posted.isReplayed)
              assert.deepStrictEqual(yield* countRows, {
                accounts: before.accounts + 1n,
                changes: before.changes + 1n,
              })
              assert.strictEqual((yield* fetchAccountInfo(account.acctId)).state.bchgId, posted.transactionId)
            }
          }
        }
        yield* verifyLedger
      }),
    )
  })
}

layer(layerThrough(), { excludeTestServices: true })("through a proxy", (it) => {
  it.effect("a read that the database undoes in favour of others is asked for again, as a write is", () =>
    Effect.gen(function* () {
      const proxy = yield* FaultyProxy
      const acctId = yield* open("10")
      const fault = yield* proxy.refuse(acctId, "40001", 5)
      assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("10"))
      yield* fault.happened
    }),
  )

  describe("a transaction of the caller's", () => {
    it.effect("whose COMMIT is lost, or its answer, has an unknown outcome", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { transaction } = yield* DbConn
        const acctId = yield* open("10")
        yield* proxy.loseReply("COMMIT")
        let runs = 0
        const program = Effect.suspend(() => {
          runs += 1
          return storeBalanceChange(acctId, amount("-1"))
        })
        assert.strictEqual(tagOf(yield* Effect.flip(transaction(program))), "OutcomeUnknown")
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("9"))
        yield* proxy.loseStatement("COMMIT")
        assert.strictEqual(tagOf(yield* Effect.flip(transaction(program))), "OutcomeUnknown")
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("9"))
        assert.strictEqual(runs, 2)
      }),
    )

    it.effect("that loses its connection before COMMIT is not applied", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { sql, transaction } = yield* DbConn
        const acctId = yield* open("10")
        const program = Effect.gen(function* () {
          yield* storeBalanceChange(acctId, amount("-1"))
          yield* sql`SELECT 'mine' AS mine`
        })
        for (const text of [insertChange, headRead, "RELEASE SAVEPOINT"]) {
          for (const lose of [proxy.loseReply, proxy.loseStatement]) {
            const fault = yield* lose(text)
            assert.strictEqual(tagOf(yield* Effect.flip(transaction(program))), "DatabaseUnavailable", text)
            yield* fault.happened
          }
        }
        yield* proxy.loseReply("'mine'")
        // A statement of the caller's own fails as it would anywhere.
        assert.strictEqual(tagOf(yield* Effect.flip(transaction(program))), "SqlError")
        yield* proxy.loseStatement("BEGIN", 2)
        assert.strictEqual(tagOf(yield* Effect.flip(transaction(program))), "DatabaseUnavailable")
        assert.strictEqual((yield* beside(fetchAccountInfo(acctId))).state.acctSeq, 0)
      }),
    )
  })

  describe("a transaction that fails", () => {
    it.effect("fails with its own error, also when its connection is gone by then", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { transaction } = yield* DbConn
        const acctId = yield* open("10")
        const failing = Effect.andThen(storeBalanceChange(acctId, amount("-1")), Effect.fail({ _tag: "Mine" } as const))
        for (const program of [failing, transaction(failing)]) {
          for (const lose of [proxy.loseReply, proxy.loseStatement]) {
            const fault = yield* lose("ROLLBACK")
            assert.strictEqual(tagOf(yield* Effect.flip(transaction(program))), "Mine")
            yield* fault.happened
          }
        }
        assert.strictEqual((yield* beside(fetchAccountInfo(acctId))).state.acctSeq, 0)
      }),
    )
  })

  describe("a database that goes away", () => {
    it.effect("is unavailable, and comes back by itself", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { transaction } = yield* DbConn
        const acctId = yield* open("10")
        // Several connections, each of which is dead afterwards.
        yield* Effect.all(
          Array.from({ length: 8 }, () => fetchAccountInfo(acctId)),
          { concurrency: "unbounded" },
        )
        for (let round = 0; round < 3; round++) {
          yield* proxy.goAway
          const errors = yield* Effect.all(
            [
              Effect.flip(fetchAccountInfo(acctId)),
              Effect.flip(storeBalanceChange(acctId, amount("-1"))),
              Effect.flip(transaction(storeBalanceChange(acctId, amount("-1")))),
              Effect.flip(makeAccount({ customerName: "Ann", currency: USD })),
            ],
            { concurrency: "unbounded" },
          )
          assert.deepStrictEqual(new Set(errors.map(tagOf)), new Set(["DatabaseUnavailable"]))
          yield* proxy.comeBack
          const change = yield* storeBalanceChange(acctId, amount("-1"))
          assert.strictEqual(change.acctSeq, 2 * round + 1)
          assert.strictEqual((yield* transaction(storeBalanceChange(acctId, amount("-1")))).acctSeq, 2 * round + 2)
        }
        yield* verifyLedger
      }),
    )

    it.effect("and comes back between two requests is not noticed", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        for (let i = 1; i <= 3; i++) {
          yield* proxy.dropConnections
          assert.strictEqual((yield* storeBalanceChange(acctId, amount("-1"))).acctSeq, i)
          yield* proxy.dropConnections
          assert.strictEqual((yield* fetchAccountInfo(acctId)).state.acctSeq, i)
        }
      }),
    )

    it.effect("right after a write leaves its outcome unknown, and a key tells it later", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        const pay = postTransaction({
          changes: [{ acctId, amount: amount("-1") }],
          description: secret,
          idempotencyKey: key(),
        })
        const fault = yield* proxy.goAwayAfter(insertChange)
        assert.strictEqual(tagOf(yield* Effect.flip(pay).pipe(hurried)), "OutcomeUnknown")
        yield* fault.happened
        yield* proxy.comeBack
        assert.isTrue((yield* pay).isReplayed)
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("9"))
      }),
    )
  })

  describe("errors", () => {
    it.effect("tell neither the statement nor the row", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const { transaction } = yield* DbConn
        const acctId = yield* open("10", { customerName: secret })
        const { bchgId } = yield* selectLastBalanceChange(acctId)
        const pay = postTransaction({ changes: [{ acctId, amount: amount("-1") }], description: secret })
        const store = storeBalanceChange(acctId, amount("-1"), secret)
        const exits: Array<Exit.Exit<unknown, unknown>> = []
        // A row that the schema refuses: its DETAIL prints it.
        exits.push(yield* Effect.exit(insertBalanceChange(acctId, bchgId, money("0"), money("10"), secret)))
        // Text that PostgreSQL cannot store; CockroachDB can.
        if (TestDatabase.dialect === "postgresql")
          exits.push(yield* Effect.exit(storeBalanceChange(acctId, amount("-1"), `${secret}\0`)))
        for (const state of ["42703", "XX000", "23514", "53300"]) {
          yield* proxy.refuse(insertChange, state)
          exits.push(yield* Effect.exit(pay))
          // A read is asked for twice, unless it is a bug.
          yield* proxy.refuse(headRead, state, state === "53300" ? 2 : 1)
          exits.push(yield* Effect.exit(pay))
          yield* proxy.refuse(insertChange, state)
          exits.push(yield* Effect.exit(transaction(store)))
        }
        yield* proxy.loseReply("COMMIT")
        exits.push(yield* Effect.exit(transaction(store)))
        yield* proxy.goAway
        exits.push(yield* Effect.exit(pay), yield* Effect.exit(transaction(store)))
        yield* proxy.comeBack
        for (const exit of exits) {
          assert.isTrue(Exit.isFailure(exit))
          if (!Exit.isFailure(exit)) continue
          const shown = inspect(exit.cause, { depth: null, showHidden: true }) + Cause.pretty(exit.cause)
          for (const text of [secret, "INSERT", "SELECT", "Failing row", "Key (", acctId])
            assert.notInclude(shown, text)
        }
      }),
    )
  })
})

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("a database that is not there", (it) => {
  it.effect("keeps no DbConn from being made, and may come later", () =>
    Effect.gen(function* () {
      const closedPort = yield* Effect.callback<number>((resume) => {
        const server = createServer().listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          server.close(() => resume(Effect.succeed(port)))
        })
      })
      const url = Redacted.make(`postgres://banquo_app:pass-word@127.0.0.1:${closedPort}/banquo`)
      const exit = yield* Effect.exit(
        Effect.provide(fetchAccountInfo(AccountId.make(crypto.randomUUID())), DbConn.layerUrl({ url })),
      )
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) {
        assert.strictEqual(tagOf(Cause.squash(exit.cause) as { _tag: string }), "DatabaseUnavailable")
        assert.notInclude(inspect(exit, { depth: null, showHidden: true }), "pass-word")
      }
    }),
  )
})

// CockroachDB takes longer for what nobody holds up.
const shortly = Duration.millis(TestDatabase.dialect === "postgresql" ? 300 : 1_000)

layer(layerThrough({ statementTimeout: shortly }), { excludeTestServices: true })(
  "a statement that takes too long",
  (it) => {
    it.effect("is ended by the server, sent again, and stored once", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        const hold = yield* proxy.hold(insertChange)
        const sent = yield* proxy.watch(insertChange, 3)
        const writer = yield* Effect.forkChild(
          postTransaction({ changes: [{ acctId, amount: amount("-1") }], idempotencyKey: key() }),
        )
        yield* hold.arrived
        const isFirst = yield* Latch.make(false)
        const mayEnd = yield* Latch.make(false)
        const first = yield* Effect.forkChild(
          beside(
            Effect.flatMap(DbConn, ({ transaction }) =>
              transaction(
                Effect.gen(function* () {
                  yield* storeBalanceChange(acctId, amount("-2"))
                  yield* isFirst.open
                  yield* mayEnd.await
                  return yield* Effect.fail("rolled back" as const)
                }),
              ),
            ),
          ).pipe(Effect.exit),
        )
        yield* isFirst.await
        yield* hold.release
        // The first two were ended by the server while they waited.
        yield* sent.happened
        yield* mayEnd.open
        yield* Fiber.join(first)
        yield* assertStoredOnce(acctId, yield* Fiber.join(writer))
      }),
    )

    it.effect("makes a read unavailable", () =>
      Effect.gen(function* () {
        const { superuserUrl } = yield* TestDatabase.TestDatabase
        const locker = yield* TestDatabase.connect(superuserUrl)
        const acctId = yield* open("10")
        // A read waits for a lock on the table, and on CockroachDB for whoever is writing to the row.
        const block =
          TestDatabase.engine === "postgresql"
            ? locker`LOCK TABLE balance_change`
            : locker`UPDATE balance_change SET description = 'x' WHERE acct_id = ${acctId}::UUID`
        const undone = yield* Effect.flip(
          locker.withTransaction(
            Effect.gen(function* () {
              yield* block
              return yield* Effect.fail({ error: yield* Effect.flip(fetchAccountInfo(acctId)) })
            }),
          ),
        )
        assert.strictEqual("error" in undone ? undone.error._tag : undefined, "DatabaseUnavailable")
        yield* fetchAccountInfo(acctId)
      }),
    )
  },
)

for (const [how, writer] of writers) {
  const applicationName = `ended-${crypto.randomUUID()}`
  const Ended = Layer.unwrap(
    Effect.map(TestDatabase.TestDatabase, ({ appUrl }) => DbConn.layerUrl({ url: appUrl, applicationName })),
  ).pipe(Layer.provideMerge(TestDatabase.layerMigrated))

  layer(writer.pipe(Layer.provideMerge(Ended)), { excludeTestServices: true })(
    `sessions that the server ends under load${how}`,
    (it) => {
      it.effect("lose no acknowledged change, and store none twice", () =>
        Effect.gen(function* () {
          const { superuserUrl } = yield* TestDatabase.TestDatabase
          const killer = yield* TestDatabase.connect(superuserUrl)
          const accounts = yield* Effect.all(Array.from({ length: 8 }, () => open("1000")))
          let ended = 0
          let answered = 0
          const exits = yield* Effect.forEach(
            Array.from({ length: 240 }, (_, i) => i),
            (i) =>
              Effect.gen(function* () {
                const exit = yield* Effect.exit(
                  postTransaction({
                    changes: [
                      { acctId: accounts[i % 8]!, amount: amount("-1") },
                      { acctId: accounts[(i + 3) % 8]!, amount: amount("1") },
                    ],
                    description: `transfer ${i}`,
                  }),
                )
                answered += 1
                if (answered % 30 === 0) {
                  // Not in one expression with the sum, which would be that of before the statement.
                  const found = yield* endSessions(killer, applicationName)
                  ended += found
                }
                return exit
              }),
            { concurrency: 12 },
          )
          assert.isAbove(ended, 0)
          const chains = yield* beside(verifyLedger)
          const stored = Map.groupBy([...chains.values()].flat(), ({ description }) => description)
          let acknowledged = 0
          for (const [i, exit] of exits.entries()) {
            const rows = stored.get(`transfer ${i}`) ?? []
            if (Exit.isSuccess(exit)) {
              acknowledged += 1
              assert.deepStrictEqual(
                rows.map(({ bchgId, acctSeq, balance }) => [bchgId, acctSeq, balance]).sort(),
                exit.value.changes.map(({ bchgId, acctSeq, balance }) => [bchgId, acctSeq, balance]).sort(),
              )
            } else {
              const error = Cause.squash(exit.cause) as { readonly _tag: string }
              assert.include(["DatabaseUnavailable", "OutcomeUnknown", "Contention"], error._tag)
              if (error._tag !== "OutcomeUnknown") assert.strictEqual(rows.length, 0)
            }
          }
          assert.isAbove(acknowledged, 120)
        }),
      )
    },
  )
}
