import * as GroupCommit from "@banquo/ledger/GroupCommit"
import * as HoldSweeper from "@banquo/ledger/HoldSweeper"
import { NodeHttpServer } from "@effect/platform-node"
import { Duration, Layer, References } from "effect"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import type { LegacyOptions } from "./Legacy.ts"
import * as Routes from "./Routes.ts"

export interface ServerOptions extends LegacyOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
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

/** Listens while it is in scope; its writes are committed in groups. Needs a `DbConn`; answers 503 as long as the database is away. */
export const layer = (options: ServerOptions) =>
  HttpRouter.serve(Layer.merge(Routes.layer(options), HoldSweeper.layer).pipe(Layer.provide(GroupCommit.layer())), {
    disableLogger: true,
    disableListenLog: true,
  }).pipe(
    // A span for each request and statement would cost more than the ledger's own work.
    Layer.provide(Layer.succeed(References.TracerEnabled, false)),
    Layer.provideMerge(
      NodeHttpServer.layer(
        () => {
          const server = createServer({
            requestTimeout: Duration.toMillis(requestTimeout),
            headersTimeout: Duration.toMillis(headersTimeout),
            keepAliveTimeout: Duration.toMillis(keepAliveTimeout),
          })
          server.maxConnections = connectionsMax
          return server
        },
        { host: options.host, port: options.port, gracefulShutdownTimeout: shutdownTimeout },
      ),
    ),
  )
