import * as GroupCommit from "@banquo/ledger/GroupCommit"
import * as HoldSweeper from "@banquo/ledger/HoldSweeper"
import { selectChangeable } from "@banquo/ledger/Privileges"
import { NodeHttpServer } from "@effect/platform-node"
import { Duration, Effect, Layer, References, Schedule } from "effect"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { Draining } from "./Draining.ts"
import * as HttpMetrics from "./HttpMetrics.ts"
import type { LegacyOptions } from "./Legacy.ts"
import * as ProcessMetrics from "./ProcessMetrics.ts"
import { Readiness } from "./Readiness.ts"
import * as Refusals from "./Refusals.ts"
import * as Routes from "./Routes.ts"

export interface ServerOptions extends LegacyOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /**
   * How long requests are still taken after `/readyz` has said that the server stops: longer than balancers take to see it,
   * where nothing else makes them turn away first. Default: not at all.
   */
  readonly drainDelay?: Duration.Duration
  /** A span for each request and each of its statements costs more than the ledger's own work. Default: false. */
  readonly isTraced?: boolean
}

/** Longest that the headers of a request may take to arrive. */
export const headersTimeout = Duration.seconds(30)

/** Longest that a request may take to arrive as a whole; a stream of transactions that lasts longer goes on in another. */
export const requestTimeout = Duration.minutes(15)

/** Longest that a connection stays open without a request; above what balancers keep theirs for. */
export const keepAliveTimeout = Duration.seconds(65)

/** Longest that requests in flight may take to end when the server stops. */
export const shutdownTimeout = Duration.seconds(20)

/** Most connections at a time; more are refused. */
export const connectionsMax = 10_000

/** Time between two tries to learn what the role of the service may do. */
const privilegesInterval = Duration.seconds(5)

/** Asked again as long as the database is away. */
const warnOfPrivileges = Effect.flatMap(Effect.retry(selectChangeable, Schedule.spaced(privilegesInterval)), (tables) =>
  tables.length === 0
    ? Effect.void
    : Effect.logWarning(
        `the database role of this service may change and delete rows of ${tables.join(" and ")}: grant it banquo_app, and nothing else`,
      ),
)

/**
 * Listens while it is in scope; its writes are committed in groups. Needs a `DbConn`; answers 503 as long as the database is
 * away.
 *
 * It stops in this order: not ready, {@link ServerOptions.drainDelay} later no more connections and streams, then the
 * requests in flight, for at most {@link shutdownTimeout}, then the queue of writes.
 */
export const layer = (options: ServerOptions) =>
  Layer.unwrap(
    Effect.sync(() => {
      const server = createServer({
        requestTimeout: Duration.toMillis(requestTimeout),
        headersTimeout: Duration.toMillis(headersTimeout),
        keepAliveTimeout: Duration.toMillis(keepAliveTimeout),
      })
      server.maxConnections = connectionsMax
      const routes = Layer.merge(Routes.layer(options), HoldSweeper.layer).pipe(Layer.provide(GroupCommit.layer()))
      const serve = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provide(Layer.succeed(References.TracerEnabled, options.isTraced ?? false)),
      )
      // A connection whose answer had begun before, or whose request never ends, is told nothing: it is ended after it.
      const requests = Draining.use(({ isClosing }) =>
        HttpMetrics.count(server, Routes.pathsOf(options), ({ socket }) => {
          if (isClosing()) socket.end()
        }),
      )
      // Added last, so it is what stopping begins with.
      return Layer.effectDiscard(Draining.use(({ drain }) => Effect.addFinalizer(() => drain))).pipe(
        Layer.provideMerge(serve),
        Layer.provide([ProcessMetrics.layer, Refusals.layer, Readiness.layer]),
        Layer.provide(Layer.effectDiscard(requests)),
        Layer.provide(Layer.effectDiscard(Effect.forkScoped(warnOfPrivileges))),
        Layer.provide(
          Draining.layer({
            delay: options.drainDelay ?? Duration.zero,
            hurry: () => server.closeAllConnections(),
          }),
        ),
        Layer.provideMerge(
          NodeHttpServer.layer(() => server, {
            host: options.host,
            port: options.port,
            gracefulShutdownTimeout: shutdownTimeout,
          }),
        ),
      )
    }),
  )
