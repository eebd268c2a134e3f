/** One run after the other: a fresh copy of a filled database, fresh servers, load, measuring, audit. */
import { Cause, Effect, Exit, Schema, Scope } from "effect"
import { audit } from "./Audit.ts"
import type { Database } from "./Database.ts"
import * as Evidence from "./Evidence.ts"
import { fill, type Filled } from "./Fill.ts"
import * as Limit from "./Limit.ts"
import * as Load from "./Load.ts"
import type { Entry, Measurement } from "./Measurement.ts"
import { type Case, isTopFor } from "./Scenario.ts"
import * as Server from "./Server.ts"
import * as Usage from "./Usage.ts"

export interface RunOptions {
  readonly warmMillis: number
  readonly measureMillis: number
  /** No run begins later, in milliseconds since this process was started; those left are skipped. */
  readonly budgetMillis: number | null
  readonly onEntry: (entry: Entry) => Effect.Effect<void>
}

/** A run cannot be made, and why: not a failure. */
class Skipped extends Schema.TaggedError<Skipped>()("Skipped", { reason: Schema.String }) {
  override get message() {
    return this.reason
  }
}

/** What is ready before a run begins. */
interface Prepared {
  readonly filled: Filled
  readonly name: string
  readonly servers: ReadonlyArray<Server.Server>
  readonly close: Effect.Effect<void>
}

/** Runs them all. While one is audited, the next is prepared: neither is measured then. */
export const runAll = (
  database: Database,
  cases: ReadonlyArray<Case>,
  options: RunOptions,
): Effect.Effect<ReadonlyArray<Entry>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const fills = new Map<number, Filled>()
    const entries: Array<Entry> = []

    const prepare = (one: Case, index: number) =>
      Effect.gen(function* () {
        const filled = fills.get(one.rows) ?? (yield* fill(database, one.rows))
        fills.set(one.rows, filled)
        const child = yield* Scope.fork(scope)
        const close = Scope.close(child, Exit.void)
        return yield* prepareCase(database, filled, one, `run_${index}`).pipe(
          Scope.provide(child),
          Effect.map((prepared): Prepared => ({ ...prepared, close })),
          Effect.onError(() => close),
        )
      })

    const finish = (entry: Entry) => {
      entries.push(entry)
      return options.onEntry(entry)
    }

    let next: Exit.Exit<Prepared, Server.ServerFailed> | undefined
    for (const [index, one] of cases.entries()) {
      if (isLate(options)) {
        if (next !== undefined && Exit.isSuccess(next)) yield* next.value.close
        next = undefined
        yield* finish({ _tag: "Skipped", case: one, reason: "no time left" })
        continue
      }
      const prepared = next ?? (yield* Effect.exit(prepare(one, index)))
      next = undefined
      if (Exit.isFailure(prepared)) {
        yield* finish({ _tag: "Failed", case: one, reason: reasonOf(Cause.squash(prepared.cause)) })
        continue
      }
      const rate = one.rate === null ? null : topRate(entries, one) * one.rate
      const loaded = yield* Effect.exit(load(database, prepared.value, { one, rate, run: `r${index}`, options }))
      const following = cases[index + 1]
      const [entry, ready] = yield* Effect.all(
        [
          Effect.ensuring(judge(database, prepared.value, one, loaded), prepared.value.close),
          following === undefined || isLate(options)
            ? Effect.succeed(undefined)
            : Effect.exit(prepare(following, index + 1)),
        ],
        { concurrency: 2 },
      )
      next = ready
      yield* finish(entry)
    }
    return entries
  })

const isLate = ({ budgetMillis }: RunOptions) => budgetMillis !== null && performance.now() > budgetMillis

const prepareCase = (database: Database, filled: Filled, one: Case, name: string) =>
  Effect.gen(function* () {
    yield* Effect.acquireRelease(database.copy(filled.name, name), () => database.drop(name))
    const { subject } = one
    if (isBare(subject)) return { filled, name, servers: [] }
    // Rivals lock rows, which the role of the service may not.
    const url = subject === "banquo" ? database.appUrl(name) : database.ownerUrl(name)
    const servers = yield* Effect.forEach(Array.from({ length: one.instances }), () => Server.start(subject, url), {
      concurrency: "unbounded",
    })
    return { filled, name, servers }
  })

const isBare = (subject: Case["subject"]): subject is Limit.LimitName => subject in Limit.limits

interface Loading {
  readonly one: Case
  readonly rate: number | null
  readonly run: string
  readonly options: RunOptions
}

type Loaded = Omit<Measurement, "audit"> & { readonly log: Load.LoadResult["log"] }

const load = (
  database: Database,
  { filled, name, servers }: Prepared,
  { one, options, rate, run }: Loading,
): Effect.Effect<Loaded, Load.LoadFailed | Skipped> =>
  Effect.scoped(
    Effect.gen(function* () {
      const pids = servers.map(({ pid }) => pid)
      const meter = yield* Usage.meter({ servers: pids, database: database.pid })
      if (isBare(one.subject)) {
        const { rows, seconds, statements, latency } = yield* Limit.run(
          database.appUrl(name),
          Limit.optionsOf(one.subject, one.clients, options.measureMillis),
          {
            started: (pid) => {
              pids.push(pid)
              meter.started()
            },
            ended: meter.ended,
          },
        )
        return {
          case: one.subject === "multi-row inserts" ? { ...one, clients: Limit.multiRowClients } : one,
          rate,
          requestsPerSecond: statements / seconds,
          changesPerSecond: rows / seconds,
          readsPerSecond: 0,
          latency,
          readLatency: null,
          usage: meter.usage(),
          loadCores: null,
          counts: { ...noCounts, requests: statements, changes: rows, acknowledged: statements },
          log: null,
        }
      }
      const urls = servers.map(({ url }) => url)
      if (one.workload === "batches") yield* requireBatchRoute(urls[0]!)
      const result = yield* Load.run(
        {
          urls,
          workload: one.workload,
          accounts: filled.accounts,
          // An open loop is not held back by how many wait.
          clients: rate === null ? one.clients : openConnections,
          rate,
          // What piles up while the code is still being compiled is gone when the window begins.
          warmMillis: rate === null ? options.warmMillis : 3 * options.warmMillis,
          measureMillis: options.measureMillis,
          seed: 1,
          run,
          isLogged: one.subject !== "no-op",
        },
        meter,
      )
      const { counts, log, seconds } = result
      return {
        case: rate === null ? one : { ...one, clients: openConnections },
        rate,
        requestsPerSecond: counts.requests / seconds,
        changesPerSecond: counts.changes / seconds,
        readsPerSecond: counts.reads / seconds,
        latency: result.latency,
        readLatency: result.readLatency,
        usage: meter.usage(),
        loadCores: result.cpuSeconds / seconds,
        counts,
        log,
      }
    }),
  )

const noCounts: Load.Counts = {
  requests: 0,
  changes: 0,
  reads: 0,
  acknowledged: 0,
  replayed: 0,
  refused: 0,
  unknown: 0,
}

/** Connections of an open loop; a request beyond them waits, and its latency runs. */
export const openConnections = 256

/** Requests per second of an open loop whose closed one has failed. */
const rateMin = 100

/** The most that a closed loop of the same work reached in this run; `casesOf` sees to it that there is one. */
const topRate = (entries: ReadonlyArray<Entry>, open: Case): number =>
  Math.max(
    ...entries.flatMap((entry) =>
      entry._tag === "Measured" && isTopFor(entry.measurement.case, open) ? [entry.measurement.requestsPerSecond] : [],
    ),
    rateMin,
  )

/** Older servers have no batches. */
const requireBatchRoute = (url: string): Effect.Effect<void, Skipped> =>
  Effect.promise(() =>
    fetch(`${url}/v1/transactions/batch`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ mode: "independent", transactions: [] }),
    }),
  ).pipe(
    Effect.flatMap(({ status }) =>
      status === 404 || status === 405
        ? Effect.fail(new Skipped({ reason: `POST /v1/transactions/batch answers ${status}` }))
        : Effect.void,
    ),
  )

/** What came of a run, and what the audit says of it. */
const judge = (
  database: Database,
  { filled, name }: Prepared,
  one: Case,
  loaded: Exit.Exit<Loaded, Load.LoadFailed | Skipped>,
): Effect.Effect<Entry> =>
  Effect.gen(function* () {
    if (Exit.isFailure(loaded)) {
      const error = Cause.squash(loaded.cause)
      return { _tag: error instanceof Skipped ? "Skipped" : "Failed", case: one, reason: reasonOf(error) }
    }
    const { log, ...measurement } = loaded.value
    if (one.subject === "no-op") return { _tag: "Measured", measurement: { ...measurement, audit: null } }
    const evidence = yield* Evidence.load(database.ownerUrl(name), filled, log)
    return {
      _tag: "Measured",
      measurement: { ...measurement, audit: { rows: evidence.rows.length, faults: audit(evidence) } },
    }
  })

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
