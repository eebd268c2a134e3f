/** Another developer's program: a shop with a table of its own, whose orders are stored together with their payments. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { TransactionId } from "@banquo/domain/BalanceChangeId"
import type { PostTransactionRefusal } from "@banquo/domain/PostTransaction"
import type { IdempotencyKeyReused } from "@banquo/domain/Refusal"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Latch, Layer, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { fetchAccountInfo } from "../src/programs/Accounts.ts"
import { insertAccount, insertInitialBalance } from "../src/programs/Prototype.ts"
import { DbConn } from "../src/database/DbConn.ts"
import { fetchAccountHistory } from "../src/history/History.ts"
import { postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import type { WriteError } from "../src/write/Writer.ts"
import { make as makeProxy } from "@banquo/testing/FaultyProxy"
import { hurried } from "./Hurry.ts"
import { amount, headRead, key, money, open, USD, verifyLedger } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** The database with the shop's own table in it, which the role of the service may use. */
const Shop = Layer.effectDiscard(
  Effect.gen(function* () {
    const { ownerUrl } = yield* TestDatabase.TestDatabase
    const sql = yield* TestDatabase.connect(ownerUrl)
    yield* sql`CREATE TABLE orders (
      id INT8 PRIMARY KEY,
      what TEXT NOT NULL,
      times INT8 NOT NULL DEFAULT 0,
      payment_id INT8)`
    yield* sql`GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO banquo_app`
  }).pipe(Effect.orDie, Effect.scoped),
).pipe(Layer.provideMerge(TestDatabase.layer))

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { what: Schema.String }) {}

interface Order {
  readonly id: bigint
  readonly what: string
  readonly price: string
}

let lastOrder = 0n
const order = (what: string, price: string): Order => ({ id: ++lastOrder, what, price })

/** Saves an order and pays it: both or neither. */
const placeOrder = (
  buyer: AccountId,
  shop: AccountId,
  { id, price, what }: Order,
): Effect.Effect<
  TransactionId,
  OutOfStock | PostTransactionRefusal | IdempotencyKeyReused | SqlError.SqlError | WriteError,
  DbConn
> =>
  Effect.gen(function* () {
    const { sql, transaction } = yield* DbConn
    return yield* transaction(
      Effect.gen(function* () {
        yield* sql`INSERT INTO orders (id, what) VALUES (${id}, ${what})`
        const { transactionId } = yield* postTransaction({
          changes: [
            { acctId: buyer, amount: amount(`-${price}`) },
            { acctId: shop, amount: amount(price) },
          ],
          description: what,
        })
        yield* sql`UPDATE orders SET payment_id = ${transactionId} WHERE id = ${id}`
        if (what === "unicorn") return yield* new OutOfStock({ what })
        return transactionId
      }),
    )
  })

interface OrderRow {
  readonly id: bigint
  readonly what: string
  readonly times: bigint
  readonly payment_id: bigint | null
}

const selectOrder = (id: bigint) =>
  Effect.gen(function* () {
    const { sql } = yield* DbConn
    const [row] = yield* sql<OrderRow>`SELECT * FROM orders WHERE id = ${id}`
    return row
  })

const balanceOf = (acctId: AccountId) => Effect.map(fetchAccountInfo(acctId), ({ state }) => state.balance)

/** Opens two accounts, each in another way, and moves what the first has to the second. */
const openTwo = Effect.gen(function* () {
  const first = yield* open("5")
  const second = yield* insertAccount("Bob", "")
  yield* insertInitialBalance(second, money("0"), USD)
  yield* postTransaction({
    changes: [
      { acctId: first, amount: amount("-5") },
      { acctId: second, amount: amount("5") },
    ],
  })
  return second
})

/** Runs a program on a `DbConn` of its own, through a proxy. */
const throughProxy = <A, E, R>(
  use: (proxy: Effect.Success<ReturnType<typeof makeProxy>>) => Effect.Effect<A, E, R | DbConn>,
) =>
  Effect.gen(function* () {
    const { appUrl } = yield* TestDatabase.TestDatabase
    const proxy = yield* makeProxy(appUrl)
    return yield* Effect.provide(use(proxy), DbConn.layerUrl({ url: proxy.url, connectionsMax: 3 }))
  })

layer(Shop, { excludeTestServices: true })("a program of one's own", (it) => {
  it.effect("saves an order together with its payment", () =>
    Effect.gen(function* () {
      const [buyer, shop] = [yield* open("10"), yield* open("0")]
      const tea = order("tea", "2.50")
      const transactionId = yield* placeOrder(buyer, shop, tea)
      assert.deepInclude(yield* selectOrder(tea.id), { what: "tea", payment_id: transactionId })
      assert.strictEqual(yield* balanceOf(buyer), money("7.50"))
      assert.strictEqual(yield* balanceOf(shop), money("2.50"))
    }),
  )

  it.effect("shows others nothing before it is committed", () =>
    Effect.gen(function* () {
      const { sql, transaction } = yield* DbConn
      const { appUrl } = yield* TestDatabase.TestDatabase
      const beside = yield* TestDatabase.connect(appUrl)
      const buyer = yield* open("10")
      const { id } = order("tea", "1")
      const seen = beside`SELECT (SELECT count(*) FROM orders WHERE id = ${id}) AS orders,
        (SELECT count(*) FROM balance_change WHERE acct_id = ${buyer}::UUID) AS changes`
      const reading = yield* transaction(
        Effect.gen(function* () {
          yield* sql`INSERT INTO orders (id, what) VALUES (${id}, 'tea')`
          yield* storeBalanceChange(buyer, amount("-1"))
          assert.strictEqual(yield* balanceOf(buyer), money("9"))
          const fiber = yield* Effect.forkDetach(seen, { startImmediately: true })
          // On CockroachDB who reads waits for who writes.
          if (TestDatabase.dialect === "postgresql") yield* Fiber.await(fiber)
          return fiber
        }),
      )
      const [neither, both] = [[{ orders: 0n, changes: 1n }], [{ orders: 1n, changes: 2n }]]
      const answer = yield* Fiber.join(reading)
      if (TestDatabase.dialect === "postgresql") assert.deepStrictEqual(answer, neither)
      else assert.deepInclude([neither, both], answer)
      assert.deepStrictEqual(yield* seen, both)
    }),
  )

  it.effect("keeps neither when it fails after the payment", () =>
    Effect.gen(function* () {
      const [buyer, shop] = [yield* open("10"), yield* open("0")]
      const unicorn = order("unicorn", "5")
      const error = yield* Effect.flip(placeOrder(buyer, shop, unicorn))
      assert.deepInclude(error, { _tag: "OutOfStock", what: "unicorn" })
      assert.isUndefined(yield* selectOrder(unicorn.id))
      assert.strictEqual((yield* fetchAccountHistory(buyer)).length, 1)
      assert.strictEqual((yield* fetchAccountHistory(shop)).length, 1)
    }),
  )

  it.effect("keeps neither when its own SQL fails after the payment, and gets to see the error", () =>
    Effect.gen(function* () {
      const { sql, transaction } = yield* DbConn
      const buyer = yield* open("10")
      const tea = order("tea", "1")
      yield* sql`INSERT INTO orders (id, what) VALUES (${tea.id}, 'first')`
      const error = yield* Effect.flip(
        transaction(
          Effect.andThen(
            storeBalanceChange(buyer, amount("-1")),
            sql`INSERT INTO orders (id, what) VALUES (${tea.id}, 'second')`,
          ),
        ),
      )
      assert.strictEqual("reason" in error ? error.reason._tag : error._tag, "UniqueViolation")
      assert.strictEqual((yield* selectOrder(tea.id))?.what, "first")
      assert.strictEqual(yield* balanceOf(buyer), money("10"))
    }),
  )

  it.effect("keeps neither when it dies", () =>
    Effect.gen(function* () {
      const { sql, transaction } = yield* DbConn
      const buyer = yield* open("10")
      const { id } = order("tea", "1")
      const exit = yield* Effect.exit(
        transaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO orders (id, what) VALUES (${id}, 'tea')`
            yield* storeBalanceChange(buyer, amount("-1"))
            throw new Error("a bug")
          }),
        ),
      )
      assert.strictEqual(exit._tag, "Failure")
      assert.isUndefined(yield* selectOrder(id))
      assert.strictEqual(yield* balanceOf(buyer), money("10"))
    }),
  )

  it.effect("keeps no order whose payment is refused", () =>
    Effect.gen(function* () {
      const [buyer, shop] = [yield* open("1"), yield* open("0")]
      const tea = order("tea", "2.50")
      const error = yield* Effect.flip(placeOrder(buyer, shop, tea))
      assert.deepInclude(error, { _tag: "InsufficientFunds", accountId: buyer, available: amount("1.00") })
      assert.isUndefined(yield* selectOrder(tea.id))
    }),
  )

  it.effect("may keep the order without the payment: a refusal leaves the transaction usable", () =>
    Effect.gen(function* () {
      const { sql, transaction } = yield* DbConn
      const buyer = yield* open("1")
      const { id } = order("tea", "2.50")
      yield* transaction(
        Effect.gen(function* () {
          yield* sql`INSERT INTO orders (id, what) VALUES (${id}, 'tea')`
          yield* storeBalanceChange(buyer, amount("-2.50")).pipe(
            Effect.catchTag("InsufficientFunds", ({ available }) =>
              Effect.andThen(
                sql`UPDATE orders SET what = ${`tea on credit, ${available} paid`} WHERE id = ${id}`,
                storeBalanceChange(buyer, amount(`-${available}`)),
              ),
            ),
          )
        }),
      )
      assert.strictEqual((yield* selectOrder(id))?.what, "tea on credit, 1.00 paid")
      assert.strictEqual(yield* balanceOf(buyer), money("0"))
    }),
  )

  it.effect("opens accounts and pays into them in the same transaction", () =>
    Effect.gen(function* () {
      const { transaction } = yield* DbConn
      assert.strictEqual(yield* balanceOf(yield* transaction(openTwo)), money("5"))
      let opened: AccountId | undefined
      const failing = Effect.gen(function* () {
        opened = yield* openTwo
        return yield* new OutOfStock({ what: "accounts" })
      })
      assert.strictEqual((yield* Effect.flip(transaction(failing)))._tag, "OutOfStock")
      assert.strictEqual((yield* Effect.flip(fetchAccountInfo(opened!)))._tag, "AccountNotFound")
    }),
  )

  it.effect("replays a key inside a transaction, also one that this transaction has used", () =>
    Effect.gen(function* () {
      const { transaction } = yield* DbConn
      const acctId = yield* open("10")
      const pay = (idempotencyKey = key()) =>
        postTransaction({ changes: [{ acctId, amount: amount("-1") }], idempotencyKey })
      const [used, fresh] = [key(), key()]
      const before = yield* pay(used)
      const [replayed, first, second] = yield* transaction(Effect.all([pay(used), pay(fresh), pay(fresh)]))
      assert.deepStrictEqual(replayed, { ...before, isReplayed: true })
      assert.deepStrictEqual(second, { ...first, isReplayed: true })
      assert.strictEqual(yield* balanceOf(acctId), money("8"))
    }),
  )

  it.effect("pays five times at once in one transaction", () =>
    Effect.gen(function* () {
      const { transaction } = yield* DbConn
      const acctId = yield* open("10")
      yield* transaction(
        Effect.all(
          Array.from({ length: 5 }, () => storeBalanceChange(acctId, amount("-1"))),
          { concurrency: "unbounded" },
        ),
      )
      assert.strictEqual(yield* balanceOf(acctId), money("5"))
    }),
  )

  it.effect("a transaction inside a transaction is undone by itself, or with the outer one", () =>
    Effect.gen(function* () {
      const { isInTransaction, sql, transaction } = yield* DbConn
      const acctId = yield* open("10")
      const [outer, inner] = [order("outer", "1"), order("inner", "1")]
      const insert = ({ id, what }: Order) => sql`INSERT INTO orders (id, what) VALUES (${id}, ${what})`
      assert.isFalse(yield* isInTransaction)
      yield* transaction(
        Effect.gen(function* () {
          assert.isTrue(yield* isInTransaction)
          yield* insert(outer)
          yield* storeBalanceChange(acctId, amount("-1"))
          const undone = yield* Effect.flip(
            transaction(
              Effect.gen(function* () {
                yield* insert(inner)
                yield* storeBalanceChange(acctId, amount("-2"))
                return yield* new OutOfStock({ what: "inner" })
              }),
            ),
          )
          assert.strictEqual(undone._tag, "OutOfStock")
          yield* transaction(storeBalanceChange(acctId, amount("-4")))
        }),
      )
      assert.isFalse(yield* isInTransaction)
      assert.isDefined(yield* selectOrder(outer.id))
      assert.isUndefined(yield* selectOrder(inner.id))
      assert.strictEqual(yield* balanceOf(acctId), money("5"))

      yield* Effect.flip(
        transaction(
          Effect.andThen(
            transaction(Effect.andThen(insert(inner), storeBalanceChange(acctId, amount("-1")))),
            new OutOfStock({ what: "outer" }),
          ),
        ),
      )
      assert.isUndefined(yield* selectOrder(inner.id))
      assert.strictEqual(yield* balanceOf(acctId), money("5"))
    }),
  )

  it.effect("uses a SqlClient that it has already, and that client's own transactions", () =>
    Effect.gen(function* () {
      const { appUrl } = yield* TestDatabase.TestDatabase
      const applicationName = `shop-${crypto.randomUUID()}`
      const acctId = yield* open("10")
      const [kept, undone] = [order("kept", "1"), order("undone", "1")]
      const pay = ({ id, what }: Order) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`INSERT INTO orders (id, what) VALUES (${id}, ${what})`
          yield* storeBalanceChange(acctId, amount("-1"))
          assert.isTrue(yield* Effect.flatMap(DbConn, ({ isInTransaction }) => isInTransaction))
        })
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql.withTransaction(pay(kept))
        yield* Effect.flip(sql.withTransaction(Effect.andThen(pay(undone), new OutOfStock({ what: "undone" }))))
        assert.isFalse(yield* Effect.flatMap(DbConn, ({ isInTransaction }) => isInTransaction))
        // One connection is all that it has: nothing of the ledger went another way.
        const [row] = yield* TestDatabase.engine === "postgresql"
          ? sql<{ count: bigint }>`SELECT count(*) AS count FROM pg_stat_activity
              WHERE application_name = ${applicationName}`
          : sql<{ count: bigint }>`SELECT count(*) AS count FROM [SHOW CLUSTER SESSIONS]
              WHERE application_name = ${applicationName}`
        assert.strictEqual(row?.count, 1n)
      }).pipe(
        Effect.provide(
          DbConn.layer.pipe(Layer.provideMerge(PgClient.layer({ url: appUrl, maxConnections: 1, applicationName }))),
        ),
      )
      assert.isDefined(yield* selectOrder(kept.id))
      assert.isUndefined(yield* selectOrder(undone.id))
      assert.strictEqual(yield* balanceOf(acctId), money("9"))
    }),
  )

  it.effect("reaches each of two databases by its own client", () =>
    Effect.gen(function* () {
      const { appUrl } = yield* TestDatabase.TestDatabase
      const nameOf = Effect.flatMap(DbConn, ({ sql }) => sql`SELECT current_setting('application_name') AS name`)
      const on = (applicationName: string) =>
        DbConn.layer.pipe(Layer.provide(PgClient.layer({ url: appUrl, maxConnections: 1, applicationName })))
      const names = yield* Effect.gen(function* () {
        const first = yield* nameOf
        return [first, yield* Effect.provide(nameOf, on("second")), yield* nameOf]
      }).pipe(Effect.provide(on("first")))
      assert.deepStrictEqual(names, [[{ name: "first" }], [{ name: "second" }], [{ name: "first" }]])
      const byUrl = DbConn.layerUrl({ url: appUrl, connectionsMax: 1, applicationName: "third" })
      assert.deepStrictEqual(yield* Effect.provide(nameOf, byUrl), [{ name: "third" }])
    }),
  )
})

/** A statement of the shop's that the database undoes. */
const undoing = "SELECT 'undone' AS undone"

layer(Shop, { excludeTestServices: true })("a program of one's own, beside others", (it) => {
  it.effect("is decided again when another was first, and keeps what it did before", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      const { id } = order("tea", "1")
      let runs = 0
      yield* throughProxy((proxy) =>
        Effect.gen(function* () {
          const { sql, transaction } = yield* DbConn
          const hold = yield* proxy.hold("INSERT INTO balance_change")
          const fiber = yield* Effect.forkChild(
            transaction(
              Effect.gen(function* () {
                runs += 1
                yield* sql`INSERT INTO orders (id, what) VALUES (${id}, 'tea')`
                const change = yield* storeBalanceChange(acctId, amount("-1"))
                yield* sql`UPDATE orders SET payment_id = ${change.bchgId} WHERE id = ${id}`
                return change
              }),
            ),
          )
          yield* hold.arrived
          const { appUrl } = yield* TestDatabase.TestDatabase
          const other = yield* storeBalanceChange(acctId, amount("-5")).pipe(
            Effect.provide(DbConn.layerUrl({ url: appUrl, connectionsMax: 1 })),
          )
          yield* hold.release
          const change = yield* Fiber.join(fiber)
          assert.strictEqual(change.acctSeq, 2)
          assert.strictEqual(change.prevBchgId, other.bchgId)
          assert.strictEqual(change.balance, money("4"))
          assert.strictEqual((yield* selectOrder(id))?.payment_id, change.bchgId)
        }),
      )
      // The other wrote what this one has read: on CockroachDB that undoes it as a whole.
      if (TestDatabase.dialect === "postgresql") assert.strictEqual(runs, 1)
    }),
  )

  it.effect("is refused when the other left too little, and may go on with that", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      const { id } = order("tea", "1")
      yield* throughProxy((proxy) =>
        Effect.gen(function* () {
          const { sql, transaction } = yield* DbConn
          const hold = yield* proxy.hold("INSERT INTO balance_change")
          const fiber = yield* Effect.forkChild(
            transaction(
              Effect.gen(function* () {
                yield* sql`INSERT INTO orders (id, what) VALUES (${id}, 'tea')`
                return yield* storeBalanceChange(acctId, amount("-8")).pipe(
                  Effect.as(undefined),
                  Effect.catchTag("InsufficientFunds", (refusal) => Effect.succeed(refusal)),
                )
              }),
            ),
          )
          yield* hold.arrived
          const { appUrl } = yield* TestDatabase.TestDatabase
          yield* storeBalanceChange(acctId, amount("-5")).pipe(
            Effect.provide(DbConn.layerUrl({ url: appUrl, connectionsMax: 1 })),
          )
          yield* hold.release
          const refusal = yield* Fiber.join(fiber)
          assert.strictEqual(refusal?.available, amount("5.00"))
        }),
      )
      assert.isDefined(yield* selectOrder(id))
      assert.strictEqual(yield* balanceOf(acctId), money("5"))
    }),
  )

  for (const ending of ["commits", "rolls back"] as const) {
    it.effect(`waits for another transaction on the account, which ${ending}`, () =>
      Effect.gen(function* () {
        const { sql, transaction } = yield* DbConn
        const acctId = yield* open("10")
        const isFirst = yield* Latch.make(false)
        const mayEnd = yield* Latch.make(false)
        const first = yield* Effect.forkChild(
          Effect.exit(
            transaction(
              Effect.gen(function* () {
                yield* storeBalanceChange(acctId, amount("-5"))
                yield* isFirst.open
                yield* mayEnd.await
                if (ending === "rolls back") return yield* new OutOfStock({ what: "tea" })
                return undefined
              }),
            ),
          ),
        )
        yield* isFirst.await
        const second = yield* Effect.forkChild(transaction(storeBalanceChange(acctId, amount("-1"))))
        yield* TestDatabase.untilWaiting(sql, 1)
        yield* mayEnd.open
        const exit = yield* Fiber.join(first)
        assert.strictEqual(exit._tag, ending === "commits" ? "Success" : "Failure")
        const change = yield* Fiber.join(second)
        assert.strictEqual(change.acctSeq, ending === "commits" ? 2 : 1)
        assert.strictEqual(yield* balanceOf(acctId), money(ending === "commits" ? "4" : "9"))
      }),
    )
  }

  it.effect("is run again as a whole when it loses a deadlock", () =>
    Effect.gen(function* () {
      const { sql, transaction } = yield* DbConn
      const [a, b] = [order("a", "1"), order("b", "1")]
      for (const { id, what } of [a, b]) yield* sql`INSERT INTO orders (id, what) VALUES (${id}, ${what})`
      const [payer, other] = [yield* open("10"), yield* open("10")]
      let runs = 0
      let locked = 0
      const bothLocked = yield* Latch.make(false)
      const lockBoth = (acctId: AccountId, { id: first }: Order, { id: second }: Order) =>
        transaction(
          Effect.gen(function* () {
            runs += 1
            yield* storeBalanceChange(acctId, amount("-1"))
            yield* sql`UPDATE orders SET times = times + 1 WHERE id = ${first}`
            locked += 1
            if (locked === 2) yield* bothLocked.open
            yield* bothLocked.await
            yield* sql`UPDATE orders SET times = times + 1 WHERE id = ${second}`
          }),
        )
      yield* Effect.all([lockBoth(payer, a, b), lockBoth(other, b, a)], { concurrency: 2 })
      // The one that is run again may be quicker than the one that was waiting, and lose again.
      assert.isAtLeast(runs, 3)
      assert.strictEqual((yield* selectOrder(a.id))?.times, 2n)
      assert.strictEqual((yield* selectOrder(b.id))?.times, 2n)
      assert.strictEqual(yield* balanceOf(payer), money("9"))
      assert.strictEqual(yield* balanceOf(other), money("9"))
    }),
  )

  for (const state of ["40001", "40P01", "55P03"]) {
    it.effect(`is run again as a whole when its own SQL ends with ${state}`, () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const { id } = order("tea", "1")
        let runs = 0
        let nestedRuns = 0
        yield* throughProxy((proxy) =>
          Effect.gen(function* () {
            const { sql, transaction } = yield* DbConn
            yield* proxy.refuse(undoing, state, 2)
            yield* transaction(
              Effect.gen(function* () {
                runs += 1
                yield* sql`INSERT INTO orders (id, what, times) VALUES (${id}, 'tea', ${BigInt(runs)})`
                yield* storeBalanceChange(acctId, amount("-1"))
                yield* transaction(
                  Effect.suspend(() => {
                    nestedRuns += 1
                    return sql.unsafe(undoing)
                  }),
                )
              }),
            )
          }),
        )
        assert.strictEqual(runs, 3)
        // The nested one is not run again by itself.
        assert.strictEqual(nestedRuns, 3)
        assert.strictEqual((yield* selectOrder(id))?.times, 3n)
        assert.strictEqual(yield* balanceOf(acctId), money("9"))
      }),
    )
  }

  for (const [what, text] of [
    ["its payment", "INSERT INTO balance_change"],
    ["the look at the account before it", headRead],
    ["COMMIT", "COMMIT"],
  ] as const) {
    it.effect(`is run again as a whole when the database undoes it at ${what}`, () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const { id } = order("tea", "1")
        let runs = 0
        yield* throughProxy((proxy) =>
          Effect.gen(function* () {
            const { sql, transaction } = yield* DbConn
            // Known from here on, so that the transaction asks for nothing else.
            yield* storeBalanceChange(acctId, amount("1"))
            const fault = yield* proxy.refuse(text, "40001", 2)
            yield* transaction(
              Effect.gen(function* () {
                runs += 1
                yield* sql`INSERT INTO orders (id, what, times) VALUES (${id}, 'tea', ${BigInt(runs)})`
                yield* storeBalanceChange(acctId, amount("-1"))
              }),
            )
            yield* fault.happened
          }),
        )
        assert.strictEqual(runs, 3)
        assert.strictEqual((yield* selectOrder(id))?.times, 3n)
        assert.strictEqual(yield* balanceOf(acctId), money("10"))
      }),
    )
  }

  it.effect("gives up with Contention when it is undone again and again", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      let runs = 0
      const error = yield* throughProxy((proxy) =>
        Effect.gen(function* () {
          const { sql, transaction } = yield* DbConn
          yield* proxy.refuse(undoing, "40001", 1_000_000)
          return yield* Effect.flip(
            transaction(
              Effect.gen(function* () {
                runs += 1
                yield* storeBalanceChange(acctId, amount("-1"))
                yield* sql.unsafe(undoing)
              }),
            ),
          ).pipe(hurried)
        }),
      )
      assert.strictEqual(error._tag, "Contention")
      assert.isAbove(runs, 10)
      assert.strictEqual((yield* fetchAccountHistory(acctId)).length, 1)
    }),
  )

  it.effect("is rolled back when it is interrupted, and gives its connection back", () =>
    Effect.gen(function* () {
      const { appUrl } = yield* TestDatabase.TestDatabase
      const acctId = yield* open("10")
      const { id } = order("tea", "1")
      yield* Effect.gen(function* () {
        const { sql, transaction } = yield* DbConn
        for (const stage of ["between statements", "during a statement"] as const) {
          const isThere = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkChild(
            transaction(
              Effect.gen(function* () {
                yield* sql`INSERT INTO orders (id, what) VALUES (${id}, 'tea')`
                yield* storeBalanceChange(acctId, amount("-1"))
                yield* Deferred.succeed(isThere, undefined)
                yield* stage === "between statements" ? Effect.never : sql`SELECT pg_sleep(60)`
              }),
            ),
          )
          yield* Deferred.await(isThere)
          yield* Fiber.interrupt(fiber)
          assert.isUndefined(yield* selectOrder(id))
          assert.strictEqual((yield* fetchAccountHistory(acctId)).length, 1)
        }
        yield* transaction(storeBalanceChange(acctId, amount("-1")))
      }).pipe(Effect.provide(DbConn.layerUrl({ url: appUrl, connectionsMax: 1 })))
      assert.strictEqual(yield* balanceOf(acctId), money("9"))
    }),
  )

  it.effect("leaves whole chains behind", () => verifyLedger)
})
