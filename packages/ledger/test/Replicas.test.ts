/** A database that is several servers, which fail: real ones, that are killed, frozen, promoted, and come back. */
import type { AccountId } from "@banquo/domain/AccountId"
import * as BadLink from "@banquo/testing/BadLink"
import * as Replicas from "@banquo/testing/Replicas"
import { amount, key, money, open, verifyLedger } from "@banquo/testing/Ledger"
import { assert, layer } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, type Scope } from "effect"
import { Deadline, deadlineIn } from "../src/database/Deadline.ts"
import { DbConn } from "../src/database/DbConn.ts"
import type { UnfitKind } from "../src/database/Server.ts"
import { fetchAccountInfo } from "../src/programs/Accounts.ts"
import { postTransaction } from "../src/programs/Transactions.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import type { Posted } from "../src/write/Posted.ts"

class Pristine extends Context.Service<Pristine, Replicas.Pristine>()("@banquo/ledger/test/Pristine") {}

/** So that a silent server is given up after two seconds. */
const statementTimeout = Duration.seconds(1)

/** A process of its own, as far as the database can tell. */
interface Instance {
  readonly run: <A, E>(program: Effect.Effect<A, E, DbConn>) => Effect.Effect<A, E>
  readonly unfit: () => UnfitKind | undefined
}

const instance = (
  servers: ReadonlyArray<Pick<Replicas.Replica, "port">>,
  { writer = GroupCommit.layer() as Layer.Layer<DbConn, never, DbConn>, search = "" } = {},
): Effect.Effect<Instance, never, Scope.Scope> =>
  Effect.gen(function* () {
    const url = Replicas.urlOf(servers, { search })
    const made = writer.pipe(Layer.provide(DbConn.layerUrl({ url, statementTimeout })))
    const context = yield* Layer.build(Layer.fresh(made))
    return {
      run: Effect.provideContext(context),
      unfit: () => Context.get(context, DbConn).unfit()?.kind,
    }
  }).pipe(Effect.orDie)

/** Without a queue. */
const alone: Layer.Layer<DbConn, never, DbConn> = Layer.effect(DbConn, DbConn)

/** Statements that nobody may be connected to the ledger's database for. */
const unused = (server: Replicas.Replica, ...statements: ReadonlyArray<string>) =>
  Effect.forEach(
    [
      "ALTER DATABASE banquo ALLOW_CONNECTIONS false",
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'banquo'",
      ...statements,
      "ALTER DATABASE banquo ALLOW_CONNECTIONS true",
    ],
    server.administer,
  )

const untilFit = (one: Instance, kind?: UnfitKind) => Replicas.waitUntil(Effect.sync(() => one.unfit() === kind))

const pay = (acctId: AccountId, idempotencyKey = key()) =>
  postTransaction({ changes: [{ acctId, amount: amount("1") }], idempotencyKey })

const soon = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(program, Deadline, deadlineIn(Duration.seconds(3))))

const tagOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>): string => {
  if (Exit.isSuccess(exit)) return "Success"
  const failed = exit.cause.reasons.find(Cause.isFailReason)
  return failed === undefined ? Cause.pretty(exit.cause) : failed.error._tag
}

const waiting = (server: Replicas.Replica, query = "%") =>
  Effect.map(
    server.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '${query}'`,
    ),
    (rows) => rows.map(({ pid }) => pid),
  ).pipe(Effect.orDie)

const untilWaiting = (server: Replicas.Replica, query?: string) =>
  Replicas.waitUntil(Effect.map(waiting(server, query), (pids) => pids.length > 0))

type OnStandby = (standby: Replicas.Replica, link: BadLink.BadLink) => Effect.Effect<void>

const standbyFailures: ReadonlyArray<readonly [how: string, fail: OnStandby, heal: OnStandby]> = [
  ["stands still", ({ freeze }) => freeze, ({ thaw }) => thaw],
  ["is gone", ({ kill }) => kill, ({ start }) => start],
  ["is cut off", (_, link) => link.set("stalled"), (_, link) => link.set("clear")],
]

/** What the sessions of an instance wait for. */
const commits = (one: Instance) =>
  one.run(Effect.flatMap(DbConn, ({ sql }) => sql<{ it: string }>`SELECT current_setting('synchronous_commit') AS it`))

/** Clients that pay, each again with its key until it is answered, until they are told to stop. */
const load = (instances: ReadonlyArray<Instance>, accounts: ReadonlyArray<AccountId>) => {
  const acknowledged = new Map<string, Posted>()
  const state = { isOver: false }
  const client = (at: number): Effect.Effect<void> =>
    Effect.gen(function* () {
      for (let count = 0; !state.isOver; count++) {
        const text = `client-${at}-payment-${count}`
        const acctId = accounts[(at + count) % accounts.length]!
        for (;;) {
          const exit = yield* Effect.exit(instances[at % instances.length]!.run(soon(pay(acctId, key(text)))))
          if (Exit.isSuccess(exit)) {
            acknowledged.set(text, exit.value)
            break
          }
          assert.include(["DatabaseUnavailable", "OutcomeUnknown", "Contention", "Overloaded"], tagOf(exit))
          if (state.isOver) break
        }
      }
    })
  return {
    acknowledged,
    run: Effect.all(
      Array.from({ length: 6 }, (_, at) => client(at)),
      { concurrency: "unbounded", discard: true },
    ),
    stop: Effect.sync(() => (state.isOver = true)),
  }
}

/** Each acknowledged payment is there once, as it was acknowledged. */
const assertKept = (one: Instance, acknowledged: ReadonlyMap<string, Posted>) =>
  one.run(
    Effect.gen(function* () {
      const chains = yield* verifyLedger
      const rows = new Map([...chains.values()].flat().map((row) => [row.bchgId, row]))
      for (const posted of acknowledged.values()) {
        for (const { acctSeq, balance, bchgId } of posted.changes) {
          const row = rows.get(bchgId)
          assert.deepStrictEqual([row?.acctSeq, row?.balance], [acctSeq, balance])
        }
      }
    }),
  )

const cluster = (count: number) => Effect.flatMap(Pristine, (pristine) => Replicas.makeCluster(pristine, count))

layer(Layer.effect(Pristine, Replicas.makePristine), { excludeTestServices: true })("replicas", (it) => {
  for (const count of [2, 3]) {
    it.effect(`of ${count} servers, one of which commits wait for: nothing acknowledged is lost with the primary`, () =>
      Effect.gen(function* () {
        const servers = yield* cluster(count)
        const [primary, ...standbys] = servers
        yield* Replicas.waitForOne(servers)
        const instances = [yield* instance(servers), yield* instance(servers)]
        const accounts = yield* instances[0]!.run(Effect.all([open("10"), open("10"), open("10")]))
        const clients = load(instances, accounts)
        const running = yield* Effect.forkChild(clients.run)
        const untilMore = (count: number) =>
          Effect.raceFirst(
            Replicas.waitUntil(Effect.sync(() => clients.acknowledged.size > count)),
            Fiber.join(running),
          )
        yield* untilMore(50)
        yield* primary!.kill
        const before = clients.acknowledged.size
        const next = yield* Replicas.newest(standbys)
        yield* next.promote
        for (const other of standbys) if (other !== next) yield* other.follow(next)
        yield* untilMore(before + 50)
        yield* clients.stop
        yield* Fiber.join(running)
        yield* assertKept(instances[0]!, clients.acknowledged)
      }),
    )
  }

  it.effect("that commits do not wait for: only what the database lost is lost, and nothing is built upon it", () =>
    Effect.gen(function* () {
      const servers = yield* cluster(2)
      const [primary, standby] = servers
      const [one, other] = [yield* instance(servers), yield* instance(servers)]
      const acctId = yield* one.run(open("10"))
      yield* one.run(pay(acctId))
      yield* Replicas.caughtUp(primary!, standby!)
      yield* standby!.kill
      // The standby never has these, and both instances remember them.
      yield* one.run(pay(acctId))
      yield* other.run(pay(acctId))
      yield* primary!.kill
      yield* standby!.start
      yield* standby!.promote
      yield* untilFit(one)
      yield* untilFit(other)
      const { changes } = yield* one.run(pay(acctId))
      assert.deepStrictEqual([changes[0]!.acctSeq, changes[0]!.balance], [2, money("12")])
      assert.strictEqual((yield* other.run(pay(acctId))).changes[0]!.acctSeq, 3)
      yield* one.run(verifyLedger)
    }),
  )

  it.effect("that both take writes: neither is worked on; the old one never again", () =>
    Effect.gen(function* () {
      const servers = yield* cluster(2)
      const [old, next] = servers
      const one = yield* instance(servers)
      const acctId = yield* one.run(open("10"))
      yield* Replicas.caughtUp(old!, next!)
      yield* next!.promote
      yield* untilFit(one, "two_primaries")
      const refused = yield* Effect.exit(one.run(pay(acctId)))
      assert.strictEqual(tagOf(refused), "DatabaseUnavailable")
      assert.match(JSON.stringify(refused), /timeline 1.*timeline 2.*fence the old one/)
      assert.strictEqual(tagOf(yield* Effect.exit(one.run(fetchAccountInfo(acctId)))), "DatabaseUnavailable")
      // Fenced.
      yield* old!.kill
      yield* untilFit(one)
      assert.strictEqual((yield* one.run(pay(acctId))).changes[0]!.acctSeq, 1)
      // It comes back as if nothing had been, and then it is alone.
      yield* old!.start
      yield* untilFit(one, "two_primaries")
      yield* next!.kill
      yield* untilFit(one, "old_primary")
      assert.strictEqual(tagOf(yield* Effect.exit(one.run(pay(acctId)))), "DatabaseUnavailable")
      yield* next!.start
      yield* old!.kill
      yield* untilFit(one)
      assert.strictEqual((yield* one.run(pay(acctId))).changes[0]!.acctSeq, 2)
      const [row] = yield* next!.query<{ count: bigint }>("SELECT count(*) FROM balance_change")
      assert.strictEqual(Number(row!.count), 3)
    }),
  )

  for (const seconds of [0, 10]) {
    it.effect(`are found whatever time a connection may take: connect_timeout=${seconds}`, () =>
      Effect.gen(function* () {
        const servers = yield* cluster(1)
        const one = yield* instance(servers, { search: `?connect_timeout=${seconds}` })
        assert.strictEqual((yield* one.run(Effect.flatMap(open("10"), (acctId) => pay(acctId)))).changes[0]!.acctSeq, 1)
      }),
    )
  }

  it.effect("that both take writes: a transaction that is open by then is not committed", () =>
    Effect.gen(function* () {
      const servers = yield* cluster(2)
      const [old, next] = servers
      const one = yield* instance(servers)
      const acctId = yield* one.run(open("10"))
      const meanwhile = Effect.andThen(next!.promote, untilFit(one, "two_primaries"))
      const exit = yield* Effect.exit(
        one.run(DbConn.use(({ transaction }) => transaction(Effect.andThen(pay(acctId), meanwhile)))),
      )
      assert.include(["DatabaseUnavailable", "OutcomeUnknown"], tagOf(exit))
      const [row] = yield* old!.query<{ count: bigint }>("SELECT count(*) FROM balance_change")
      assert.strictEqual(Number(row!.count), 1)
    }),
  )

  it.effect("that both take writes when a process begins: it waits for what each of them says", () =>
    Effect.gen(function* () {
      const [old, next] = yield* cluster(2)
      yield* next!.promote
      const link = yield* BadLink.make({ host: "127.0.0.1", port: next!.port })
      yield* link.set("slow")
      const one = yield* instance([old!, link])
      assert.strictEqual(tagOf(yield* Effect.exit(one.run(open("10")))), "DatabaseUnavailable")
      assert.strictEqual(one.unfit(), "two_primaries")
      const [row] = yield* old!.query<{ count: bigint }>("SELECT count(*) FROM balance_change")
      assert.strictEqual(Number(row!.count), 0)
    }),
  )

  it.effect("that have one name: a connection that leads to another one than was looked at is not used", () =>
    Effect.gen(function* () {
      const [primary, standby] = yield* cluster(2)
      const link = yield* BadLink.make({ host: "127.0.0.1", port: primary!.port })
      const one = yield* instance([link])
      yield* untilFit(one)
      yield* link.lead(standby!.port)
      const read = one.run(
        Effect.flatMap(DbConn, ({ reads }) => reads<{ port: string }>`SELECT current_setting('port') AS port`),
      )
      assert.strictEqual(tagOf(yield* Effect.exit(read)), "SqlError")
      yield* link.lead(primary!.port)
      yield* untilFit(one)
      assert.deepStrictEqual(yield* read, [{ port: `${primary!.port}` }])
    }),
  )

  it.effect("of which a standby is named first: it is never worked on, not after a restart of the primary either", () =>
    Effect.gen(function* () {
      const [primary, standby] = yield* cluster(2)
      const one = yield* instance([standby!, primary!], { search: "?target_session_attrs=read-write" })
      const acctId = yield* one.run(open("10"))
      yield* primary!.kill
      yield* untilFit(one, "unreachable")
      assert.strictEqual(tagOf(yield* Effect.exit(one.run(fetchAccountInfo(acctId)))), "DatabaseUnavailable")
      yield* primary!.start
      yield* untilFit(one)
      const found = yield* one.run(
        Effect.flatMap(DbConn, ({ reads, sql }) =>
          Effect.all([reads, sql].map((client) => client<{ port: string }>`SELECT current_setting('port') AS port`)),
        ),
      )
      assert.deepStrictEqual(
        found.map(([row]) => row!.port),
        [`${primary!.port}`, `${primary!.port}`],
      )
      assert.strictEqual((yield* one.run(pay(acctId))).changes[0]!.acctSeq, 1)
    }),
  )

  for (const [how, fail, heal] of standbyFailures) {
    it.effect(`of which one that commits wait for ${how}: nothing is acknowledged, little is left behind`, () =>
      Effect.gen(function* () {
        const servers = yield* cluster(2)
        const [primary, standby] = servers
        const link = yield* BadLink.make({ host: "127.0.0.1", port: primary!.port })
        yield* standby!.follow(link)
        yield* Replicas.waitForOne(servers)
        const one = yield* instance(servers)
        const accounts = yield* one.run(Effect.all(Array.from({ length: 12 }, () => open("10"))))
        const keys = accounts.map(() => key())
        const payAt = (at: number) => Effect.exit(one.run(soon(pay(accounts[at]!, keys[at]))))
        yield* fail(standby!, link)
        // Ten in one INSERT, which is given up; then another one, and nothing more is sent.
        const exits = yield* Effect.forEach(Array.from({ length: 10 }).keys(), payAt, { concurrency: "unbounded" })
        exits.push(yield* payAt(10))
        yield* untilFit(one, "waits_for_standby")
        exits.push(yield* payAt(11))
        assert.deepStrictEqual(exits.map(tagOf), [
          ...Array.from({ length: 11 }, () => "OutcomeUnknown"),
          "DatabaseUnavailable",
        ])
        assert.lengthOf(yield* waiting(primary!), 2)
        yield* heal(standby!, link)
        yield* untilFit(one)
        yield* Effect.forEach(accounts, (acctId, at) => one.run(pay(acctId, keys[at])))
        const chains = yield* one.run(verifyLedger)
        const stored = [...chains.values()].flat().filter(({ idemKey }) => idemKey !== null)
        assert.lengthOf(stored, accounts.length)
      }),
    )
  }

  for (const [how, end] of [
    ["cancelled", "pg_cancel_backend"],
    ["terminated", "pg_terminate_backend"],
  ] as const) {
    it.effect(`whose backend is ${how} while it waits for a standby: acknowledged only when that has it`, () =>
      Effect.gen(function* () {
        const servers = yield* cluster(2)
        const [primary, standby] = servers
        yield* Replicas.waitForOne(servers)
        const one = yield* instance(servers)
        const acctId = yield* one.run(open("10"))
        yield* standby!.freeze
        const paying = yield* Effect.forkChild(one.run(pay(acctId)))
        yield* untilWaiting(primary!, "%INSERT INTO balance_change%")
        for (const pid of yield* waiting(primary!, "%INSERT INTO balance_change%")) {
          yield* primary!.query(`SELECT ${end}(${pid})`)
        }
        // Stored, as the primary shows it, and a commit of our own waits for the standby.
        yield* untilWaiting(primary!, "%pg_logical_emit_message%")
        assert.isUndefined(paying.pollUnsafe())
        yield* standby!.thaw
        assert.strictEqual((yield* Fiber.join(paying)).changes[0]!.acctSeq, 1)
        yield* one.run(verifyLedger)
      }),
    )
  }

  it.effect("that is put back to a backup under instances: they go on from there, with ids that nobody else has", () =>
    Effect.gen(function* () {
      const [server] = yield* cluster(1)
      const [one, other] = [yield* instance([server!]), yield* instance([server!], { writer: alone })]
      const acctId = yield* one.run(open("10"))
      yield* unused(server!, "CREATE DATABASE backup TEMPLATE banquo")
      yield* untilFit(one)
      for (let seq = 1; seq <= 3; seq++) yield* one.run(pay(acctId))
      yield* unused(server!, "DROP DATABASE banquo WITH (FORCE)", "ALTER DATABASE backup RENAME TO banquo")
      yield* untilFit(one)
      yield* untilFit(other)
      // One of them remembers sequence 3, and ids that the sequence of the backup gives once more.
      yield* other.run(pay(acctId))
      const { changes } = yield* one.run(pay(acctId))
      assert.deepStrictEqual([changes[0]!.acctSeq, changes[0]!.balance], [2, money("12")])
      yield* one.run(verifyLedger)
    }),
  )

  it.effect(
    "that would lose what they acknowledge: commits wait for the disk all the same, or nothing is written",
    () =>
      Effect.gen(function* () {
        const [server] = yield* cluster(1)
        for (const [said, is] of [
          ["off", "on"],
          ["local", "on"],
          ["remote_write", "on"],
          ["remote_apply", "remote_apply"],
        ] as const) {
          yield* server!.query(`ALTER ROLE banquo_app SET synchronous_commit = ${said}`)
          assert.deepStrictEqual(yield* commits(yield* instance([server!])), [{ it: is }])
        }
        yield* server!.query("ALTER ROLE banquo_app RESET synchronous_commit")
        const one = yield* instance([server!])
        yield* commits(one)
        yield* server!.set("synchronous_commit", "off")
        yield* Replicas.waitUntil(
          Effect.map(
            server!.query<{ it: string }>("SELECT current_setting('synchronous_commit') AS it"),
            ([row]) => row!.it === "off",
          ),
        )
        assert.deepStrictEqual(yield* commits(one), [{ it: "on" }])
        const acctId = yield* one.run(open("10"))
        for (const setting of ["fsync", "full_page_writes"]) {
          yield* server!.set(setting, "off")
          yield* untilFit(one, "not_durable")
          const refused = yield* Effect.exit(one.run(pay(acctId)))
          assert.include(JSON.stringify(refused), `${setting} off`)
          yield* server!.set(setting, "on")
          yield* untilFit(one)
        }
        assert.strictEqual((yield* one.run(pay(acctId))).changes[0]!.acctSeq, 1)
      }),
  )
})
