/** The ledger on CockroachDB: the real one where the tests run on it, else a stand-in that takes no more than it would. */
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, layer } from "@effect/vitest"
import { Array as Arr, Cause, Duration, Effect, Exit, Fiber, Layer, Logger, Redacted, Schedule, Stream } from "effect"
import type { SqlError } from "effect/sql"
import { fetchAccountInfo, fetchAccountInfoAt, fetchAccounts } from "../src/programs/Accounts.ts"
import { tailsMax } from "../src/tables/BalanceChangeTable.ts"
import { DbConn, type DbConnOptions, read } from "../src/database/DbConn.ts"
import { sqlState } from "../src/database/DatabaseError.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import { fetchAccountHistory } from "../src/history/History.ts"
import { captureHold, fetchHold, fetchHolds, increaseHold, placeHold, releaseHold } from "../src/programs/Holds.ts"
import { sweep } from "../src/programs/HoldSweeper.ts"
import { requireSchema, schemaVersion } from "../src/migrations/Migrator.ts"
import { reverseTransaction } from "../src/programs/Reversals.ts"
import { fetchStatement } from "../src/history/Statement.ts"
import { changeTerms } from "../src/programs/Terms.ts"
import { fetchTransaction, postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import * as CockroachDatabase from "@banquo/testing/CockroachDatabase"
import { cockroach } from "@banquo/testing/CockroachDatabase"
import type { CockroachOptions } from "@banquo/testing/CockroachStandIn"
import { FaultyProxy, make as makeProxy } from "@banquo/testing/FaultyProxy"
import { amount, key, money, open, verifyLedger } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import * as Wristwatch from "./Wristwatch.ts"

for (const [how, writer] of [
  ["each alone", Layer.empty],
  ["by group commit", GroupCommit.layer()],
] as const) {
  layer(writer.pipe(Layer.provideMerge(CockroachDatabase.layer), Layer.provideMerge(Wristwatch.layer)), {
    excludeTestServices: true,
    timeout: TestDatabase.schemaTimeout,
  })(`a ledger on CockroachDB, written ${how}`, (it) => {
    it.effect("knows what it is on, and takes ids that are no order", () =>
      Effect.gen(function* () {
        const { dialect, idSource, version } = yield* Effect.flatMap(DbConn, ({ database }) => database)
        assert.strictEqual(dialect, "cockroachdb")
        assert.match(version, /^CockroachDB /)
        if (TestDatabase.dialect === "postgresql") assert.strictEqual(idSource, "unordered_unique_rowid()")
        assert.strictEqual(yield* requireSchema, schemaVersion)
      }),
    )

    it.effect("opens, pays, replays, refuses and reads", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* open("10"), yield* open("0")]
        const pay = {
          changes: [
            { acctId: a, amount: amount("-2.50") },
            { acctId: b, amount: amount("2.50") },
          ],
          idempotencyKey: key(),
          description: "tea",
          metadata: { b: "2", a: "1" },
        }
        const posted = yield* postTransaction(pay)
        const again = yield* postTransaction(pay)
        assert.deepStrictEqual(again, { ...posted, isReplayed: true })
        assert.deepStrictEqual((yield* fetchTransaction(posted.transactionId)).changes, posted.changes)
        const short = yield* Effect.flip(storeBalanceChange(a, amount("-8")))
        assert.strictEqual(short._tag, "InsufficientFunds")
        assert.deepStrictEqual((yield* fetchAccountHistory(a))[0], posted.changes[0])
        assert.strictEqual((yield* fetchAccountInfo(b)).state.balance, money("2.50"))
        yield* verifyLedger
      }),
    )

    it.effect("writes at once to the same accounts, each change once", () =>
      Effect.gen(function* () {
        const accounts = yield* Effect.all(Array.from({ length: 3 }, () => open("100")))
        yield* Effect.all(
          Array.from({ length: 24 }, (_, i) =>
            postTransaction({
              changes: [
                { acctId: accounts[i % 3]!, amount: amount("-1") },
                { acctId: accounts[(i + 1) % 3]!, amount: amount("1") },
              ],
            }),
          ),
          { concurrency: 8 },
        )
        for (const acctId of accounts) assert.strictEqual((yield* fetchAccountInfo(acctId)).state.acctSeq, 16)
        yield* verifyLedger
      }),
    )

    it.effect("holds, increases, captures, releases, lists, and sweeps what has expired", () =>
      Effect.gen(function* () {
        const [a, shop] = [yield* open("100"), yield* open("0")]
        const place = (sum: string, ttl: number) =>
          Effect.map(placeHold({ acctId: a, amount: amount(sum), expiry: { ttl } }), ({ hold }) => hold.holdId)
        const [first, second, third] = [yield* place("10", 60), yield* place("20", 600), yield* place("1", 600)]
        yield* increaseHold(second, { amount: amount("5") })
        yield* captureHold(second, { amount: amount("7"), to: shop, isFinal: false })
        yield* releaseHold(third)
        assert.deepInclude(yield* fetchHold(second), { captured: money("7"), remaining: money("18") })
        const { holds, nextBefore } = yield* fetchHolds({ acctId: a, limit: 2 })
        assert.deepStrictEqual(
          holds.map(({ holdId, state }) => [holdId, state]),
          [
            [third, "released"],
            [second, "open"],
          ],
        )
        assert.deepStrictEqual(
          (yield* fetchHolds({ acctId: a, limit: 2, before: nextBefore! })).holds.map(({ holdId }) => holdId),
          [first],
        )
        const began = yield* Wristwatch.now
        yield* Wristwatch.forward(300)
        assert.strictEqual((yield* sweep(began)).accounts, 1)
        assert.deepInclude(yield* fetchHold(first), { state: "expired", released: money("10") })
        const { state } = yield* fetchAccountInfo(a)
        assert.deepInclude(state, { balance: money("93"), held: money("18") })
        yield* verifyLedger
      }),
    )

    it.effect("freezes, corrects and closes, and knows whose an account was", () =>
      Effect.gen(function* () {
        const acctId = yield* open("0")
        yield* changeTerms(acctId, { status: "frozen", reason: "a court order" })
        yield* changeTerms(acctId, { status: "open", customerName: "Anna" })
        yield* changeTerms(acctId, { customerName: "Anne", customerAddress: "1 Test Street" })
        const closed = yield* changeTerms(acctId, { status: "closed" })
        assert.deepInclude(closed.changes[0], { acctSeq: 4, acctStatus: "closed" })
        const { account, state } = yield* fetchAccountInfo(acctId)
        assert.deepStrictEqual([account.custName, account.custAddress, state.acctSeq], ["Anne", "1 Test Street", 4])
        const names = yield* Effect.forEach([0, 1, 2, 3], (seq) =>
          Effect.map(fetchAccountInfoAt(acctId, seq), (then) => then.account.custName),
        )
        assert.deepStrictEqual(names, ["Ann", "Ann", "Anna", "Anne"])
        const { accounts } = yield* fetchAccounts({ limit: 1_000 })
        assert.deepStrictEqual(
          accounts.find((other) => other.account.acctId === acctId),
          { account, state },
        )
        yield* verifyLedger
      }),
    )

    it.effect("corrects once, whatever becomes of the commit", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("0")
        const faults = [
          proxy.refuse("COMMIT", "40001"),
          proxy.misreport("COMMIT", "40001"),
          proxy.misreport("COMMIT", "40003"),
          proxy.drain("INSERT INTO account "),
        ]
        for (const [index, fault] of faults.entries()) {
          const { happened } = yield* fault
          const { changes } = yield* changeTerms(acctId, { customerName: `Anna ${index}` })
          yield* happened
          assert.strictEqual(changes[0]!.acctSeq, index + 1)
          assert.strictEqual((yield* fetchAccountInfo(acctId)).account.custName, `Anna ${index}`)
        }
        yield* verifyLedger
      }),
    )

    it.effect("stores nothing of what a licence does not allow, and goes on", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        const { happened } = yield* proxy.refuse("INSERT INTO balance_change", "XXC02")
        assert.isTrue(Exit.isFailure(yield* Effect.exit(storeBalanceChange(acctId, amount("-1")))))
        yield* happened
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.acctSeq, 0)
        yield* storeBalanceChange(acctId, amount("-1"))
        yield* verifyLedger
      }),
    )

    it.effect("takes back what was paid, once, whoever asks", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* open("10"), yield* open("0")]
        const { transactionId } = yield* postTransaction({
          changes: [
            { acctId: a, amount: amount("-4") },
            { acctId: b, amount: amount("4") },
          ],
        })
        const asked = yield* Effect.all(
          Arr.makeBy(4, () => Effect.exit(reverseTransaction(transactionId))),
          { concurrency: "unbounded" },
        )
        assert.lengthOf(asked.filter(Exit.isSuccess), 1)
        const { state } = yield* fetchAccountInfo(a)
        assert.deepInclude(state, { acctSeq: 2, balance: money("10") })
        yield* verifyLedger
      }),
    )

    it.effect("states an account, on either axis", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const from = Timestamp.parse("2020-01-01T00:00:00Z")!
        const to = Timestamp.make((yield* Wristwatch.now) + 3_600_000_000n)
        yield* storeBalanceChange(acctId, amount("-1"))
        yield* postTransaction({
          changes: [{ acctId, amount: amount("3") }],
          effectiveTime: Timestamp.parse("2021-01-01T00:00:00Z")!,
        })
        for (const axis of ["created", "effective"] as const) {
          const { lines, summary } = yield* fetchStatement(acctId, { axis, from, to })
          assert.deepInclude(summary, { opening: money("0"), closing: money("12") })
          const balances = (yield* Stream.runCollect(lines)).map(({ balance }) => balance)
          assert.deepStrictEqual(balances, (axis === "created" ? ["10", "9", "12"] : ["3", "13", "12"]).map(money))
        }
      }),
    )

    it.effect("reads the states of more accounts than one statement takes", () =>
      Effect.gen(function* () {
        const count = tailsMax + 3
        const opened = yield* Effect.forEach(
          Arr.range(1, count),
          (i) => Effect.map(open(`${i}`), (acctId) => [acctId, money(`${i}`)] as const),
          { concurrency: 8 },
        )
        const balances = new Map<string, bigint>()
        for (const { account, state } of (yield* fetchAccounts({ limit: 1_000 })).accounts) {
          balances.set(account.acctId, state.balance)
        }
        for (const [acctId, balance] of opened) assert.strictEqual(balances.get(acctId), balance)
      }),
    )
  })
}

layer(CockroachDatabase.layer, { excludeTestServices: true, timeout: TestDatabase.schemaTimeout })(
  "transactions on CockroachDB",
  (it) => {
    it.effect("are undone and run again as a whole when another wrote what they had read", () =>
      Effect.gen(function* () {
        const { transaction } = yield* DbConn
        const proxy = yield* FaultyProxy
        const acctId = yield* open("10")
        let runs = 0
        const change = yield* transaction(
          Effect.gen(function* () {
            runs += 1
            yield* fetchAccountInfo(acctId)
            if (runs === 1) {
              yield* Effect.provide(
                storeBalanceChange(acctId, amount("-5")),
                DbConn.layerUrl({ url: proxy.url, connectionsMax: 2 }),
                { local: true },
              )
            }
            return yield* storeBalanceChange(acctId, amount("-1"))
          }),
        )
        assert.isAtLeast(runs, 2)
        assert.deepInclude(change, { acctSeq: 2, balance: money("4") })
        yield* verifyLedger
      }),
    )

    it.effect("are SERIALIZABLE", () =>
      Effect.gen(function* () {
        const { sql } = yield* DbConn
        const asked = sql<{ isolation: string }>`SELECT current_setting('default_transaction_isolation') AS isolation`
        assert.deepStrictEqual(yield* asked, [{ isolation: "serializable" }])
      }),
    )

    it.effect("that read what is some seconds old see one state, and cannot write", () =>
      Effect.gen(function* () {
        const { readStale, sql } = yield* DbConn
        const acctId = yield* open("10")
        const balances = readStale(Effect.all([fetchAccountInfo(acctId), fetchAccountInfo(acctId)]))
        // On CockroachDB the account is not there yet, nor the database.
        const [first, second] = yield* Effect.retry(
          Effect.catchDefect(balances, () => Effect.fail("not there yet")),
          Schedule.spaced("50 millis").pipe(Schedule.upTo({ duration: "60 seconds" })),
        )
        assert.strictEqual(first.state.balance, money("10"))
        assert.deepStrictEqual(second, first)
        const exit = yield* Effect.exit(readStale(storeBalanceChange(acctId, amount("1"))))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.acctSeq, 0)
        const now = yield* sql`SELECT acct_seq FROM account WHERE acct_id = ${acctId}::UUID`
        assert.strictEqual(now.length, 1)
      }),
    )
  },
)

const refusals: ReadonlyArray<readonly [sql: string, why: RegExp]> = [
  ["LOCK TABLE balance_change", /parsed/],
  ["LISTEN changes", /parsed/],
  ["NOTIFY changes", /parsed/],
  ["MERGE INTO account a USING ledger l ON false WHEN MATCHED THEN DO NOTHING", /parsed/],
  ["DO $$ BEGIN END $$", /parsed/],
  ["COPY account TO STDOUT", /protocol/],
  ["CREATE TYPE IF NOT EXISTS mood AS ENUM ('good')", /parse/],
  ["SELECT pg_try_advisory_lock(1)", /without locking/],
  ["SELECT * FROM balance_change WHERE acct_seq = 0 FOR UPDATE", /no guard/],
  ["INSERT INTO balance_change SELECT * FROM balance_change ON CONFLICT DO NOTHING", /orphans/],
  ["WITH written AS (INSERT INTO account SELECT * FROM account RETURNING 1) SELECT 1", /auto-commit/],
  ["SELECT sha256('x')", /another type/],
  ["CREATE TRIGGER t BEFORE INSERT ON account EXECUTE FUNCTION f()", /24\.3/],
  ["ALTER TABLE account ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (cust_name)", /different/],
  ["GRANT SELECT (cust_name) ON account TO banquo_app", /columns/],
  ["CREATE DATABASE copy TEMPLATE banquo", /copy/],
  ["SELECT * FROM balance_change ORDER BY bchg_id DESC LIMIT 1", /no order|are an order/],
  ["SELECT (SELECT k.acct_seq FROM balance_change k LIMIT 1) FROM account LIMIT 1", /join of all rows/],
  ["SELECT EXISTS (SELECT 1 FROM balance_change) AS is_corrected FROM account", /everything there is/],
  ["SELECT 1; SELECT 2", /one statement/],
  ["CREATE SEQUENCE IF NOT EXISTS bchg_id_seq AS INT8", /postgresql only/],
  ["SELECT cust_name FROM account", /not been reviewed/],
]

layer(CockroachDatabase.layer, { excludeTestServices: true, timeout: TestDatabase.schemaTimeout })(
  "what CockroachDB does not take",
  (it) => {
    for (const [statement, why] of refusals) {
      it.effect(`is refused: ${statement}`, () =>
        Effect.gen(function* () {
          const { sql } = yield* DbConn
          const error = yield* Effect.flip(sql.unsafe(statement).unprepared)
          assert.strictEqual(sqlState(error), "42601")
          assert.match(Cause.pretty(Cause.fail(error.reason.cause)), why)
        }),
      )
    }

    it.effect("is refused: a change of the schema in a transaction", () =>
      Effect.gen(function* () {
        const { sql } = yield* DbConn
        const grant = "GRANT SELECT ON TABLE ledger, schema_version TO banquo_app"
        const error = yield* Effect.flip(sql.withTransaction(sql.unsafe(grant).unprepared))
        assert.strictEqual(sqlState(error), "42601")
      }),
    )
  },
)

/** What the program logs, and how it ends. */
const logged = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${JSON.stringify(message)}`))
    const exit = yield* Effect.exit(Effect.provide(program, Logger.layer([logger]), { local: true }))
    return { exit, text: lines.join("\n") }
  })

const stateOf = (exit: Exit.Exit<unknown, SqlError.SqlError>): string | undefined =>
  Exit.isFailure(exit) ? sqlState(Cause.squash(exit.cause) as SqlError.SqlError) : undefined

/** Asks for the schema's version by way of a stand-in with options of its own. */
const askAs = (options: Partial<CockroachOptions>, connection: Partial<DbConnOptions> = {}) =>
  Effect.gen(function* () {
    const { appUrl } = yield* TestDatabase.TestDatabase
    const proxy = yield* makeProxy(appUrl, { ...cockroach, ...options })
    const program = Effect.gen(function* () {
      const { database } = yield* DbConn
      yield* requireSchema
      return yield* database
    })
    return yield* logged(Effect.provide(program, DbConn.layerUrl({ url: proxy.url, ...connection }), { local: true }))
  })

layer(CockroachDatabase.layerMigrated, { excludeTestServices: true, timeout: TestDatabase.schemaTimeout })(
  "a connection to CockroachDB",
  (it) => {
    it.effect("is not used when it is not SERIALIZABLE, and the log says so", () =>
      Effect.gen(function* () {
        const { exit, text } = yield* askAs({ isolation: "read committed" })
        assert.strictEqual(
          Exit.isFailure(exit) ? (Cause.squash(exit.cause) as { _tag: string })._tag : "",
          "DatabaseUnavailable",
        )
        assert.include(text, "not SERIALIZABLE")
      }),
    )

    it.effect("warns of a release with known faults, once, and works", () =>
      Effect.gen(function* () {
        const { exit, text } = yield* askAs({ version: "CockroachDB CCL v25.2.3 (x86_64-pc-linux-gnu)" })
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(text.match(/known faults/g)?.length, 1)
        assert.include(text, "v25.2.16")
        const sound = yield* askAs({ version: "CockroachDB CCL v25.4.7 (x86_64-pc-linux-gnu)" })
        assert.notInclude(sound.text, "known faults")
      }),
    )

    it.effect("refuses what waited too long behind other statements, without a look at it", () =>
      Effect.gen(function* () {
        const { appUrl } = yield* TestDatabase.TestDatabase
        const proxy = yield* makeProxy(appUrl, cockroach)
        const wait = Duration.millis(500)
        const { errors, ran } = yield* Effect.gen(function* () {
          const { reads } = yield* DbConn
          yield* requireSchema
          const slow = yield* proxy.hold("SELECT ledger_id")
          const watched = yield* proxy.watch("SELECT version, checksum")
          const asked = yield* Effect.forkChild(
            Effect.all(
              [
                Effect.exit(reads`SELECT ledger_id FROM ledger`),
                Effect.exit(reads`SELECT version, checksum FROM schema_version`),
              ],
              { concurrency: "unbounded" },
            ),
          )
          yield* slow.arrived
          yield* Effect.sleep(Duration.times(wait, 2))
          yield* slow.release
          return { errors: yield* Fiber.join(asked), ran: yield* watched.count }
        }).pipe(
          Effect.provide(DbConn.layerUrl({ url: proxy.url, connectionsMax: 1, statementTimeout: wait }), {
            local: true,
          }),
        )
        assert.deepStrictEqual(errors.map(stateOf), [undefined, "57014"])
        assert.strictEqual(ran, 0)
      }),
    )
  },
)

layer(CockroachDatabase.layerMigrated, { excludeTestServices: true, timeout: TestDatabase.schemaTimeout })(
  "connections",
  (it) => {
    const ask = read((sql) => sql`SELECT ledger_id FROM ledger`)

    it.effect("end when their time is over, and others take their place", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const before = yield* proxy.connectionCount
        yield* Effect.provide(
          Effect.gen(function* () {
            for (let i = 0; i < 6; i++) {
              yield* ask
              // Its lifetime is a millisecond or so.
              yield* TestDatabase.until(Effect.sync(() => performance.now() % 10 < 1))
            }
          }),
          DbConn.layerUrl({ url: proxy.url, connectionLifetime: Duration.millis(1) }),
        )
        assert.isAbove((yield* proxy.connectionCount) - before, 3)
      }),
    )

    it.effect("are kept as long as their time is not over", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const before = yield* proxy.connectionCount
        yield* Effect.provide(Effect.repeat(ask, { times: 20 }), DbConn.layerUrl({ url: proxy.url }))
        // One asked which database it is.
        assert.strictEqual((yield* proxy.connectionCount) - before, 2)
      }),
    )

    it.effect("go to the first of several hosts that takes them", () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy
        const url = new URL(Redacted.value(proxy.url))
        const { host } = url
        // Nobody listens on the discard port.
        const several = Redacted.make(Redacted.value(proxy.url).replace(`@${host}`, `@127.0.0.1:9,${host}`))
        const before = yield* proxy.connectionCount
        const acctId = yield* Effect.provide(open("10"), DbConn.layerUrl({ url: several }))
        assert.isAbove((yield* proxy.connectionCount) - before, 0)
        yield* Effect.gen(function* () {
          const { appUrl } = yield* TestDatabase.TestDatabase
          const first = yield* makeProxy(appUrl, cockroach)
          const both = Redacted.make(
            Redacted.value(first.url).replace(/@([^/]+)/, (_, one: string) => `@${one},${host}`),
          )
          yield* Effect.gen(function* () {
            yield* storeBalanceChange(acctId, amount("1"))
            // Drained in the middle of a write, and gone: the other node takes over.
            yield* first.drain("INSERT INTO balance_change")
            const gone = yield* first.goAwayAfter("SELECT chg_hash FROM balance_change")
            assert.strictEqual((yield* storeBalanceChange(acctId, amount("1"))).acctSeq, 2)
            yield* gone.happened
            assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("12"))
          }).pipe(Effect.provide(DbConn.layerUrl({ url: both, connectionsMax: 4 })))
        })
      }),
    )
  },
)
