/**
 * A database of real servers that fails under load from three instances, case by case: what is lost, for how long nothing is
 * answered, what the clients are told; and the audit of all that they were told.
 */
import { NonNegativeAmount } from "@banquo/domain/Money"
import { Currency } from "@banquo/domain/Currency"
import { makeAccount } from "@banquo/ledger/Accounts"
import { DbConn } from "@banquo/ledger/DbConn"
import * as BadLink from "@banquo/testing/BadLink"
import * as Replicas from "@banquo/testing/Replicas"
import { Duration, Effect, Option, type Scope } from "effect"
import type { Attempt } from "./Attempt.ts"
import { audit, type Fault } from "./Audit.ts"
import * as Evidence from "./Evidence.ts"
import type { Filled } from "./Fill.ts"
import * as KeyedLoad from "./KeyedLoad.ts"
import * as Server from "./Server.ts"

export const instanceCount = 3
const accountCount = 200
const clientCount = 24

/** What a case works on, while clients ask. */
export interface Scene {
  readonly servers: ReadonlyArray<Replicas.Replica>
  /** The way of the instances to the first server. */
  readonly link: BadLink.BadLink
  /** A way of its own to the first server, for a standby. */
  readonly standbyLink: BadLink.BadLink
  /** Lets so much time go by. */
  readonly wait: Effect.Effect<void>
  /** What is acknowledged after it must not be lost; what was before it may be, where commits do not wait. */
  readonly fault: Effect.Effect<void>
  /** A server takes writes, as far as the database is concerned. */
  readonly mended: Effect.Effect<void>
}

export interface Case {
  readonly name: string
  /** Whether the commits of the first wait for one of the others. */
  readonly isSynchronous: boolean
  readonly serverCount: number
  /** Whether the database itself may lose what was acknowledged before the fault. */
  readonly mayLose: boolean
  readonly act: (scene: Scene) => Effect.Effect<void>
}

const kill = ({ fault, mended, servers, wait }: Scene) =>
  Effect.gen(function* () {
    const [primary, ...standbys] = servers
    yield* wait
    yield* primary!.kill
    yield* fault
    const next = yield* Replicas.newest(standbys)
    yield* next.promote
    yield* mended
    for (const other of standbys) if (other !== next) yield* other.follow(next)
    yield* wait
    return next
  })

/** The standby lacks what was acknowledged since it was stopped. */
const killBehind = ({ fault, mended, servers, wait }: Scene) =>
  Effect.gen(function* () {
    const [primary, standby] = servers
    yield* wait
    yield* standby!.kill
    yield* wait
    yield* primary!.kill
    yield* fault
    yield* standby!.start
    yield* standby!.promote
    yield* mended
    yield* wait
  })

const comesBack = (scene: Scene) =>
  Effect.gen(function* () {
    const next = yield* kill(scene)
    const [old] = scene.servers
    yield* scene.fault
    yield* old!.start
    yield* scene.wait
    yield* old!.kill
    yield* scene.mended
    yield* scene.wait
    return next
  })

const standbyFails =
  (
    fail: (standby: Replicas.Replica) => Effect.Effect<void>,
    heal: (standby: Replicas.Replica) => Effect.Effect<void>,
  ) =>
  ({ fault, mended, servers, wait }: Scene) =>
    Effect.gen(function* () {
      const standby = servers.at(-1)!
      yield* wait
      yield* fault
      yield* fail(standby)
      yield* wait
      yield* heal(standby)
      yield* mended
      yield* wait
    })

/** What it and the primary send one another does not arrive. */
const standbyCutOff = ({ fault, mended, servers, standbyLink, wait }: Scene) =>
  Effect.gen(function* () {
    const standby = servers.at(-1)!
    yield* standby.follow(standbyLink)
    yield* wait
    yield* fault
    yield* standbyLink.set("stalled")
    yield* wait
    yield* standbyLink.set("clear")
    yield* mended
    yield* wait
  })

const primaryRestarts = ({ fault, mended, servers: [primary], wait }: Scene) =>
  Effect.gen(function* () {
    yield* wait
    yield* primary!.kill
    yield* fault
    yield* primary!.start
    yield* mended
    yield* wait
  })

/** Those that wait for a standby which stands still. */
const backendsEnd = ({ fault, mended, servers, wait }: Scene) =>
  Effect.gen(function* () {
    const [primary, standby] = servers
    yield* wait
    yield* fault
    for (const end of ["pg_cancel_backend", "pg_terminate_backend"]) {
      yield* standby!.freeze
      yield* Effect.sleep("500 millis")
      yield* Effect.orDie(primary!.query(`SELECT ${end}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`))
      yield* Effect.sleep("500 millis")
      yield* standby!.thaw
    }
    yield* mended
    yield* wait
  })

/** Nobody is connected any more, nor can be. */
const close = (server: Replicas.Replica) =>
  Effect.andThen(
    server.administer("ALTER DATABASE banquo ALLOW_CONNECTIONS false"),
    server.administer("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'banquo'"),
  )

const reopen = (server: Replicas.Replica) => server.administer("ALTER DATABASE banquo ALLOW_CONNECTIONS true")

/** The database is put back to what it was some time ago, and instances go on. */
const restored = ({ fault, mended, servers: [server], wait }: Scene) =>
  Effect.gen(function* () {
    yield* wait
    yield* close(server!)
    yield* server!.administer("CREATE DATABASE backup TEMPLATE banquo")
    yield* reopen(server!)
    yield* wait
    yield* close(server!)
    yield* fault
    yield* server!.administer("DROP DATABASE banquo WITH (FORCE)")
    yield* server!.administer("ALTER DATABASE backup RENAME TO banquo")
    yield* reopen(server!)
    yield* mended
    yield* wait
  })

const lowered = (scene: Scene) =>
  Effect.gen(function* () {
    for (const server of scene.servers) yield* server.set("synchronous_commit", "off")
    yield* primaryRestarts(scene)
  })

const linkFails =
  (weather: BadLink.Weather) =>
  ({ fault, link, mended, wait }: Scene) =>
    Effect.gen(function* () {
      yield* wait
      yield* fault
      yield* link.set(weather)
      yield* wait
      yield* link.set("clear")
      yield* mended
      yield* wait
    })

const one = { isSynchronous: false, serverCount: 1, mayLose: false }
const synchronous = { isSynchronous: true, serverCount: 2, mayLose: false }
const quorum = { ...synchronous, serverCount: 3 }
const asynchronous = { isSynchronous: false, serverCount: 2, mayLose: true }

export const cases: ReadonlyArray<Case> = [
  { ...one, name: "restart", act: primaryRestarts },
  { ...one, name: "lowered", act: lowered },
  { ...one, name: "restore", mayLose: true, act: restored },
  { ...synchronous, name: "failover", act: kill },
  { ...quorum, name: "failover-quorum", act: kill },
  { ...synchronous, name: "old-returns", act: comesBack },
  {
    ...synchronous,
    name: "standby-frozen",
    act: standbyFails(
      (it) => it.freeze,
      (it) => it.thaw,
    ),
  },
  {
    ...synchronous,
    name: "standby-gone",
    act: standbyFails(
      (it) => it.kill,
      (it) => it.start,
    ),
  },
  { ...synchronous, name: "standby-cut-off", act: standbyCutOff },
  {
    ...quorum,
    name: "one-standby-gone",
    act: standbyFails(
      (it) => it.kill,
      (it) => it.start,
    ),
  },
  { ...synchronous, name: "backends-ended", act: backendsEnd },
  { ...asynchronous, name: "failover-async", act: kill },
  { ...asynchronous, name: "failover-async-behind", act: killBehind },
  ...BadLink.weathers.map((weather): Case => ({ ...one, name: `link-${weather}`, act: linkFails(weather) })),
]

export interface Outcome {
  readonly name: string
  readonly configuration: string
  readonly answered: number
  /** Acknowledged before the fault, and not there any more. */
  readonly lost: number
  /** Longest time without an answer, in milliseconds. */
  readonly downMillis: number
  /** From when a server took writes, or the fault was over, until the next answer. */
  readonly foundMillis: number
  readonly failures: ReadonlyMap<string, number>
  readonly audited: number
  readonly faults: ReadonlyArray<Fault>
  /** Requests that were given up. */
  readonly givenUp: number
}

export const isKept = ({ answered, faults, givenUp, lost }: Outcome, { mayLose }: Case): boolean =>
  answered > 0 && faults.length === 0 && givenUp === 0 && (mayLose || lost === 0)

const configurationOf = ({ isSynchronous, serverCount }: Case): string =>
  serverCount === 1 ? "one server" : `${serverCount} servers, ${isSynchronous ? "synchronous" : "asynchronous"}`

/** `seconds`: of each part of the case. */
export const run = (
  pristine: Replicas.Pristine,
  one: Case,
  seconds: number,
): Effect.Effect<Outcome, Server.ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const servers = yield* Replicas.makeCluster(pristine, one.serverCount)
    const linkOf = BadLink.make({ host: "127.0.0.1", port: servers[0]!.port })
    const [link, standbyLink] = [yield* linkOf, yield* linkOf]
    const filled = yield* openAccounts(servers, accountCount)
    if (one.isSynchronous) yield* Replicas.waitForOne(servers)
    const url = Replicas.urlOf([link, ...servers.slice(1)])
    const instances = yield* Effect.all(
      Array.from({ length: instanceCount }, () => Server.start("banquo", url)),
      { concurrency: "unbounded" },
    )
    const load = KeyedLoad.start({
      urls: instances.map(({ url }) => url),
      accounts: filled.accounts,
      clients: clientCount,
    })
    const times = { faults: [] as Array<number>, mended: 0 }
    yield* one.act({
      servers,
      link,
      standbyLink,
      wait: Effect.sleep(Duration.seconds(seconds)),
      fault: Effect.sync(() => times.faults.push(performance.now())),
      mended: Effect.sync(() => (times.mended = performance.now())),
    })
    const loaded = yield* Effect.promise(load.stop)
    const primary = yield* primaryOf(servers)
    const evidence = yield* Evidence.load(Replicas.urlOf([primary], { role: "banquo_owner" }), filled, {
      attempts: loaded.attempts,
      looks: [],
    })
    const stored = new Set(evidence.rows.map(({ chgHash }) => Buffer.from(chgHash).toString("hex")))
    const isLost = ({ changes, sent }: Attempt) =>
      sent < times.faults[0]! && changes.some(({ hash }) => !stored.has(hash))
    const kept = one.mayLose ? loaded.attempts.filter((attempt) => !isLost(attempt)) : loaded.attempts
    return {
      name: one.name,
      configuration: configurationOf(one),
      answered: load.answered(),
      lost: loaded.attempts.filter(isLost).length,
      ...pausesOf(loaded.attempts, times.faults[0]!, times.mended),
      failures: loaded.failures,
      audited: evidence.rows.length,
      faults: audit({ ...evidence, log: { attempts: kept, looks: [] } }),
      givenUp: loaded.lost,
    }
  })

const pausesOf = (attempts: ReadonlyArray<Attempt>, fault: number, mended: number) => {
  const answers = attempts
    .filter(({ outcome }) => outcome === "acknowledged" || outcome === "replayed")
    .map(({ received }) => received)
    .toSorted((a, b) => a - b)
  let downMillis = 0
  for (let at = 1; at < answers.length; at++) {
    if (answers[at]! > fault) downMillis = Math.max(downMillis, answers[at]! - answers[at - 1]!)
  }
  const found = answers.find((received) => received > mended)
  return { downMillis, foundMillis: found === undefined ? Number.POSITIVE_INFINITY : found - mended }
}

/** On all servers before anything happens. */
export const openAccounts = (servers: ReadonlyArray<Replicas.Replica>, count: number): Effect.Effect<Filled> =>
  Effect.gen(function* () {
    const opened = yield* Effect.forEach(
      Array.from({ length: count }),
      () =>
        makeAccount({
          customerName: "Ann",
          currency: Currency.make("EUR"),
          overdraftLimit: NonNegativeAmount.make("0"),
        }),
      { concurrency: 4 },
    ).pipe(Effect.provide(DbConn.layerUrl({ url: Replicas.urlOf(servers) }), { local: true }))
    const [row] = yield* servers[0]!.query<{ id: bigint; ledger: string }>(
      "SELECT (SELECT max(bchg_id) FROM balance_change) AS id, (SELECT ledger_id::TEXT FROM ledger) AS ledger",
    )
    for (const standby of servers.slice(1)) yield* Replicas.caughtUp(servers[0]!, standby)
    return {
      name: "banquo",
      rows: count,
      accounts: opened.map(({ account }) => account.acctId),
      ledgerId: row!.ledger,
      lastId: row!.id as Filled["lastId"],
    }
  }).pipe(Effect.orDie)

/** Where the ledger is kept at the end. */
const primaryOf = (servers: ReadonlyArray<Replicas.Replica>): Effect.Effect<Replicas.Replica> =>
  Effect.gen(function* () {
    for (const server of servers) {
      const answer = yield* Effect.option(server.query<{ is: boolean }>("SELECT NOT pg_is_in_recovery() AS is"))
      if (Option.isSome(answer) && answer.value[0]?.is === true) return server
    }
    return yield* Effect.die(new Error("no server takes writes"))
  })

export const headings =
  "| case | configuration | lost | longest pause | found after | clients were told | audited | faults |"

const millis = (value: number) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`)

export const line = ({
  audited,
  configuration,
  downMillis,
  failures,
  faults,
  foundMillis,
  lost,
  name,
}: Outcome): string =>
  `| ${[
    name,
    configuration,
    lost,
    millis(downMillis),
    millis(foundMillis),
    KeyedLoad.failureLines(failures).join(", ") || "nothing",
    audited,
    faults.length,
  ].join(" | ")} |`
