/**
 * Life goes on: three instances on three servers, commits that wait for one of the standbys, load at a part of the top rate, and a
 * fault each minute, at random. At the end the audit, and whether memory, descriptors and connections have stayed what they were.
 */
import * as BadLink from "@banquo/testing/BadLink"
import * as Replicas from "@banquo/testing/Replicas"
import { Duration, Effect, Scope } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { audit, type Fault } from "./Audit.ts"
import * as Evidence from "./Evidence.ts"
import { instanceCount, openAccounts } from "./Failover.ts"
import * as KeyedLoad from "./KeyedLoad.ts"
import * as Random from "./Random.ts"
import * as Server from "./Server.ts"

const serverCount = 3
const accountCount = 2_000
const clientCount = 48

/** How long a fault that has to be ended goes on. */
const faultDuration = Duration.seconds(5)

export interface SoakOptions {
  readonly seconds: number
  /** For which the top rate is measured. */
  readonly topSeconds: number
  /** Between two faults. */
  readonly faultSeconds: number
  /** Of the top rate. */
  readonly part: number
  readonly seed: number
  readonly onFault: (line: string) => Effect.Effect<void>
}

export interface Soak {
  readonly topRate: number
  readonly rate: number
  readonly answered: number
  readonly failures: ReadonlyMap<string, number>
  readonly givenUp: number
  readonly audited: number
  readonly faults: ReadonlyArray<Fault>
  readonly first: Size
  readonly last: Size
}

/** Of all instances together; connections to all servers. */
interface Size {
  readonly megabytes: number
  readonly descriptors: number
  readonly connections: number
}

export const isSound = ({ answered, faults, givenUp }: Soak): boolean =>
  answered > 0 && faults.length === 0 && givenUp === 0

interface World {
  /** The first takes the writes. */
  servers: ReadonlyArray<Replicas.Replica>
  readonly links: ReadonlyArray<BadLink.BadLink>
  readonly instances: Array<Server.Server>
  readonly startInstance: (at: number) => Effect.Effect<Server.Server, Server.ServerFailed>
}

type Strike = (world: World, random: Random.Random) => Effect.Effect<void, Server.ServerFailed>

const meanwhile = Effect.sleep(faultDuration)

const standbyFails =
  (fail: (it: Replicas.Replica) => Effect.Effect<void>, heal: (it: Replicas.Replica) => Effect.Effect<void>): Strike =>
  ({ servers }, random) => {
    const standby = servers[1 + Random.index(random, servers.length - 1)]!
    return fail(standby).pipe(Effect.andThen(meanwhile), Effect.andThen(heal(standby)))
  }

const linksFail =
  (weather: BadLink.Weather): Strike =>
  ({ links }) =>
    Effect.forEach(links, (link) => link.set(weather)).pipe(
      Effect.andThen(meanwhile),
      Effect.andThen(Effect.forEach(links, (link) => link.set("clear"), { discard: true })),
    )

/** The old primary comes back as a standby, from a copy of the new one. */
const failover: Strike = (world) =>
  Effect.gen(function* () {
    const [old, ...standbys] = world.servers
    yield* old!.kill
    const next = yield* Replicas.newest(standbys)
    yield* next.promote
    const others = standbys.filter((standby) => standby !== next)
    for (const other of others) yield* other.follow(next)
    yield* old!.clone(next)
    world.servers = [next, ...others, old!]
    yield* Replicas.waitForOne(world.servers)
  })

const restart =
  (signal: NodeJS.Signals): Strike =>
  (world, random) =>
    Effect.gen(function* () {
      const at = Random.index(random, world.instances.length)
      world.instances[at]!.signal(signal)
      yield* world.instances[at]!.exited
      world.instances[at] = yield* world.startInstance(at)
    })

const strikes: Readonly<Record<string, Strike>> = {
  "primary killed, standby promoted": failover,
  "primary killed and started": ({ servers: [primary] }) => Effect.andThen(primary!.kill, primary!.start),
  "standby frozen": standbyFails(
    (it) => it.freeze,
    (it) => it.thaw,
  ),
  "standby killed and started": standbyFails(
    (it) => it.kill,
    (it) => it.start,
  ),
  "instance killed": restart("SIGKILL"),
  "instance stopped": restart("SIGTERM"),
  "backends terminated": ({ servers: [primary] }) =>
    primary!.administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'banquo_app'"),
  ...Object.fromEntries(BadLink.weathers.map((weather) => [`links ${weather}`, linksFail(weather)])),
}

export const run = (options: SoakOptions): Effect.Effect<Soak, Server.ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const pristine = yield* Replicas.makePristine
    const servers = yield* Replicas.makeCluster(pristine, serverCount)
    const filled = yield* openAccounts(servers, accountCount)
    yield* Replicas.waitForOne(servers)
    const world = yield* start(servers)
    const urls = world.instances.map(({ url }) => url)
    const loadOf = (more: { readonly rate?: number; readonly name: string }) =>
      KeyedLoad.start({ urls, accounts: filled.accounts, clients: clientCount, ...more })
    const top = loadOf({ name: "top" })
    yield* Effect.sleep(Duration.seconds(options.topSeconds))
    const topRate = top.answered() / options.topSeconds
    const before = yield* Effect.promise(top.stop)
    const first = yield* sizeOf(world)
    const rate = options.part * topRate
    const load = loadOf({ rate, name: "soak" })
    yield* strikeOften(world, load, options)
    const loaded = yield* Effect.promise(load.stop)
    const last = yield* sizeOf(world)
    const evidence = yield* Evidence.load(Replicas.urlOf(world.servers.slice(0, 1), { role: "banquo_owner" }), filled, {
      attempts: before.attempts.concat(loaded.attempts),
      looks: [],
    })
    return {
      topRate,
      rate,
      answered: load.answered(),
      failures: loaded.failures,
      givenUp: loaded.lost,
      audited: evidence.rows.length,
      faults: audit(evidence),
      first,
      last,
    }
  })

/** Each instance on a port of its own, which it has again when it is started anew; a way that fails to each server. */
const start = (servers: ReadonlyArray<Replicas.Replica>): Effect.Effect<World, Server.ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const links = yield* Effect.forEach(servers, ({ port }) => BadLink.make({ host: "127.0.0.1", port }))
    const url = Replicas.urlOf(links)
    const ports: Array<string> = []
    const startInstance = (at: number) =>
      Server.start("banquo", url, { PORT: ports[at] ?? "0", DRAIN_DELAY: "0 seconds" }).pipe(Scope.provide(scope))
    const instances: Array<Server.Server> = []
    for (let at = 0; at < instanceCount; at++) {
      const instance = yield* startInstance(at)
      instances.push(instance)
      ports.push(new URL(instance.url).port)
    }
    return { servers, links, instances, startInstance }
  })

const strikeOften = (world: World, load: KeyedLoad.KeyedLoad, { faultSeconds, onFault, seconds, seed }: SoakOptions) =>
  Effect.gen(function* () {
    const random = Random.make(seed)
    const names = Object.keys(strikes)
    const end = performance.now() + seconds * 1000
    while (performance.now() < end) {
      const begun = performance.now()
      const answered = load.answered()
      const name = names[Random.index(random, names.length)]!
      yield* strikes[name]!(world, random)
      const struck = performance.now() - begun
      yield* Effect.sleep(Math.max(0, Math.min(faultSeconds * 1000, end - begun) - struck))
      const took = (performance.now() - begun) / 1000
      const size = yield* sizeOf(world)
      yield* onFault(`${name}: ${Math.round((load.answered() - answered) / took)} answers/s, ${lineOfSize(size)}`)
    }
  })

const sizeOf = ({ instances, links }: World): Effect.Effect<Size> =>
  Effect.gen(function* () {
    const open = yield* Effect.forEach(links, (link) => link.open)
    const pids = instances.map(({ pid }) => pid)
    return {
      megabytes: Math.round(sumOf(pids.map(residentMegabytes))),
      descriptors: sumOf(pids.map((pid) => readdirSync(`/proc/${pid}/fd`).length)),
      connections: sumOf(open),
    }
  })

const sumOf = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, number) => sum + number, 0)

const residentMegabytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024

export const lineOfSize = ({ connections, descriptors, megabytes }: Size): string =>
  `${megabytes} MB, ${descriptors} descriptors, ${connections} connections`
