import { Context, Duration, Effect, Layer, type Redacted, Schedule } from "effect"
import { createServer } from "node:net"
import { resolve } from "node:path"
import * as Cluster from "./Cluster.ts"
import { type EmbeddedPostgresError, StartFailed } from "./EmbeddedPostgresError.ts"
import * as Postmaster from "./Postmaster.ts"
import * as Provision from "./Provision.ts"

/** How many free ports to try when other programs take them first. */
export const portAttemptsMax = 5
export const restartDelayMin = Duration.millis(100)
export const restartDelayMax = Duration.seconds(5)

/** Where the database lives and listens. */
export interface Options {
  /** The `.banquo` folder, made if missing. Absolute, or relative to the working directory. */
  readonly directory: string
  /** A free one by default. */
  readonly port?: number
}

/**
 * A PostgreSQL of our own for development and tests: installed by npm, kept in one folder, running as long as its layer.
 *
 * Use one layer per directory and process. The first start creates the cluster (about 2 s); later ones find it again
 * (about 0.3 s), stop a server that a killed service left behind, and recover what it had committed. A server that dies
 * while the layer lives is started again on the same port: clients see broken connections, and then a database.
 */
export class EmbeddedPostgres extends Context.Service<
  EmbeddedPostgres,
  {
    readonly host: "127.0.0.1"
    readonly port: number
    /** Of PostgreSQL, as in `18.4`. */
    readonly version: string
    /** Owns database `banquo`; may create databases and roles; no superuser. For migrations. */
    readonly ownerUrl: Redacted.Redacted<string>
    /** May connect to `banquo`, and nothing else until granted. For the service. */
    readonly appUrl: Redacted.Redacted<string>
    readonly superuserUrl: Redacted.Redacted<string>
    /** Of the server process; another one after a restart. */
    readonly pid: Effect.Effect<number>
    readonly dataDirectory: string
    readonly logFile: string
  }
>()("@banquo/embedded-postgres/EmbeddedPostgres") {
  /**
   * Starts the database and stops it (sessions ended, checkpoint written) when the layer's scope closes. Interrupt
   * whatever uses it first: that is the order of layers. Ctrl-C does not reach it otherwise.
   */
  static readonly layer = (options: Options): Layer.Layer<EmbeddedPostgres, EmbeddedPostgresError> =>
    Layer.effect(EmbeddedPostgres, make(options))
}

/**
 * The database of a directory that another process serves, and stops when it likes. Fails with `StartFailed` while that one is
 * not ready.
 */
export const findRunning = ({ directory }: Pick<Options, "directory">): Effect.Effect<Running, EmbeddedPostgresError> =>
  Effect.gen(function* () {
    const cluster = yield* Cluster.find(resolve(directory))
    const { isReady, port } = yield* Postmaster.status(cluster)
    if (!isReady) return yield* new StartFailed({ reason: "the server of another process is not ready", log: "" })
    const { app, owner } = Provision.urls(cluster, port)
    return { appUrl: app, ownerUrl: owner }
  })

export type Running = Pick<EmbeddedPostgres["Service"], "appUrl" | "ownerUrl">

const make = Effect.fnUntraced(function* (options: Options) {
  const cluster = yield* Cluster.open(resolve(options.directory))
  const postmaster = yield* Postmaster.make(cluster)
  const port = yield* startOnPort(postmaster, options.port)
  const version = yield* Provision.provision(cluster, port)
  yield* Effect.forkScoped(supervise(postmaster, port))
  const { app, owner, superuser } = Provision.urls(cluster, port)
  return EmbeddedPostgres.of({
    host: "127.0.0.1",
    port,
    version,
    ownerUrl: owner,
    appUrl: app,
    superuserUrl: superuser,
    pid: postmaster.pid,
    dataDirectory: cluster.data,
    logFile: cluster.log.path,
  })
})

/** Starts on the port asked for, or else on free ones until nobody takes it in between. Returns the port. */
export const startOnPort = (postmaster: Pick<Postmaster.Postmaster, "start">, asked?: number, pick = freePort) =>
  asked !== undefined
    ? Effect.as(postmaster.start(asked), asked)
    : pick.pipe(
        Effect.flatMap((port) => Effect.as(postmaster.start(port), port)),
        Effect.retry({ while: (error) => error._tag === "PortTaken", times: portAttemptsMax - 1 }),
      )

const freePort = Effect.callback<number, StartFailed>((resume) => {
  const server = createServer()
  server.once("error", (error) => resume(new StartFailed({ reason: `no free port: ${error.message}`, log: "" })))
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

// For ever: giving up would leave a service that can never heal. The delays are what is bounded.
const supervise = (postmaster: Postmaster.Postmaster, port: number) =>
  Effect.gen(function* () {
    const how = yield* postmaster.exited
    yield* Effect.logWarning(`PostgreSQL ended unexpectedly (${how}); starting it again`)
    yield* Effect.sleep(restartDelayMin) // also between two servers that start well and die at once
    yield* postmaster.start(port).pipe(
      Effect.tapError((error) => Effect.logWarning(error.message)),
      Effect.retry(Schedule.min([Schedule.exponential(restartDelayMin), Schedule.spaced(restartDelayMax)])),
    )
    yield* Effect.logInfo(`PostgreSQL accepts connections again on port ${port}`)
  }).pipe(Effect.forever)
