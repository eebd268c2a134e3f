/**
 * Instances behind a balancer under load, restarted one by one, and the audit of what their clients were told. In one half the
 * balancer sees that an instance is not ready before it stops: then no request may fail. In the other an instance stops without
 * a word: then requests may fail, and none may be lost for a client that sends it again with its key.
 */
import { Effect, Exit, Redacted, Schedule, Scope } from "effect"
import { connect } from "node:net"
import { audit, type Fault } from "./Audit.ts"
import * as Balancer from "./Balancer.ts"
import type { Database } from "./Database.ts"
import * as Evidence from "./Evidence.ts"
import type { Filled } from "./Fill.ts"
import * as KeyedLoad from "./KeyedLoad.ts"
import * as Server from "./Server.ts"

export const instanceCount = 3

/** Rows of the filled table, and as many accounts. */
export const rowsDefault = 1_000

/** `seen`: the balancer turns away first. `unseen`: the listener closes at once. */
export const stops = ["seen", "unseen"] as const
export type Stop = (typeof stops)[number]

export interface RestartsOptions {
  /** How often each instance is restarted. */
  readonly rounds: number
  readonly clients: number
  readonly balancer: Balancer.BalancerName
  readonly stop: Stop
  readonly onRestart: (count: number) => Effect.Effect<void>
}

export interface Restarts {
  readonly restarts: number
  /** Requests that were answered as they should be, at the first try or a later one. */
  readonly requests: number
  /** Tries that were not: a reset, as such or by the word of the balancer, or a 503. */
  readonly failures: ReadonlyMap<string, number>
  /** Requests that were given up. */
  readonly lost: number
  /** Exit codes other than 0. */
  readonly exits: ReadonlyArray<number | NodeJS.Signals | null>
  readonly audited: number
  readonly faults: ReadonlyArray<Fault>
}

/** Whether the run kept what it was to keep. */
export const isKept = ({ exits, failures, faults, lost, requests }: Restarts, stop: Stop): boolean =>
  requests > 0 && lost === 0 && exits.length === 0 && faults.length === 0 && (stop === "unseen" || failures.size === 0)

export const run = (
  database: Database,
  filled: Filled,
  options: RestartsOptions,
): Effect.Effect<Restarts, Server.ServerFailed | Balancer.BalancerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const name = `restarts_${options.stop}`
    yield* Effect.acquireRelease(database.copy(filled.name, name), () => database.drop(name))
    const ports = yield* Effect.all(Array.from({ length: instanceCount }, () => Balancer.freePort))
    const balancer = yield* Balancer.start(options.balancer, ports)
    const exits: Array<number | NodeJS.Signals | null> = []

    const startInstance = (index: number) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const server = yield* Server.start("banquo", database.appUrl(name), {
          PORT: `${ports[index]}`,
          // Until it is told again: as soon as the balancer has seen it, however long that takes on a busy machine.
          DRAIN_DELAY: options.stop === "seen" ? "10 minutes" : "0 seconds",
        }).pipe(Scope.provide(scope))
        yield* until(balancer.isInUse(index))
        return { server, scope }
      })

    const stopInstance = (index: number, { scope, server }: Effect.Success<ReturnType<typeof startInstance>>) =>
      Effect.gen(function* () {
        server.signal("SIGTERM")
        if (options.stop === "seen") {
          yield* until(Effect.map(balancer.isInUse(index), (is) => !is))
          // Until its listener is closed: a signal so soon after the first counts as the same.
          yield* until(
            Effect.flatMap(isListening(ports[index]!), (is) => {
              if (is) server.signal("SIGTERM")
              return Effect.succeed(!is)
            }),
          )
        }
        const exit = yield* server.exited
        if (exit !== 0) exits.push(exit)
        yield* Scope.close(scope, Exit.void)
      })

    const instances = yield* Effect.forEach(ports, (_, index) => startInstance(index), { concurrency: "unbounded" })
    yield* Effect.addFinalizer(() =>
      Effect.forEach(instances, ({ scope }) => Scope.close(scope, Exit.void), { concurrency: "unbounded" }),
    )
    const load = KeyedLoad.start({ urls: [balancer.url], accounts: filled.accounts, clients: options.clients })
    let restarts = 0
    for (let round = 0; round < options.rounds; round++) {
      for (const index of ports.keys()) {
        yield* stopInstance(index, instances[index]!)
        instances[index] = yield* startInstance(index)
        yield* options.onRestart((restarts += 1))
      }
    }
    const { attempts, failures, lost } = yield* Effect.promise(load.stop)
    const evidence = yield* Evidence.load(Redacted.make(Redacted.value(database.ownerUrl(name))), filled, {
      attempts,
      looks: [],
    })
    return {
      restarts,
      requests: attempts.filter(({ outcome }) => outcome === "acknowledged" || outcome === "replayed").length,
      failures,
      lost,
      exits,
      audited: evidence.rows.length,
      faults: audit(evidence),
    }
  })

const isListening = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = connect({ host: "127.0.0.1", port })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.once("error", () => resume(Effect.succeed(false)))
  })

const until = <E>(isSo: Effect.Effect<boolean, E>) =>
  Effect.repeat(isSo, { until: (is) => is, schedule: Schedule.spaced("20 millis") })
