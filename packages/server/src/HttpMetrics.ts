/**
 * Requests by route, as Node sees them: also those that the framework answers by itself, and those whose client hung up.
 * Counted beside the handlers, so a request costs two timestamps and two look-ups.
 */
import { observe, record, secondsBounds, secondsSince } from "@banquo/ledger/LedgerMetrics"
import { Effect, Metric, type Scope } from "effect"
import type { IncomingMessage, Server, ServerResponse } from "node:http"

/** The label of paths that are no route's: one for all of them, because callers can make up any number. */
export const unknownRoute = "unknown"

/** What of a request is told apart: `2xx` and so on, or `aborted` where the client did not wait for the end. */
type Status = `${number}xx` | "aborted"

const requests = (method: string, route: string, status: Status) =>
  Metric.counter("banquo_http_requests_total", {
    description: "Requests that were answered, or whose client hung up before",
    attributes: { method, route, status },
    incremental: true,
  })

const seconds = (method: string, route: string) =>
  Metric.histogram("banquo_http_request_seconds", {
    description: "Time from the headers of a request to the last byte of its answer",
    attributes: { method, route },
    boundaries: secondsBounds,
  })

interface Series {
  readonly route: string
  readonly seconds: ReturnType<typeof seconds>
  readonly statuses: Map<Status, ReturnType<typeof requests>>
}

/** Finds the route of a path: `paths` are those of the router, with segments like `:account_id`. */
export const routeFinder = (paths: Iterable<string>): ((path: string) => string) => {
  const routes = new Map<string, string>()
  const words = new Set<string>()
  for (const path of paths) {
    const segments = path.split("/")
    for (const segment of segments) if (!segment.startsWith(":")) words.add(segment)
    routes.set(segments.map((segment) => (segment.startsWith(":") ? "*" : segment)).join("/"), path)
  }
  return (path) =>
    routes.get(path) ??
    routes.get(
      path
        .split("/")
        .map((segment) => (words.has(segment) ? segment : "*"))
        .join("/"),
    ) ??
    unknownRoute
}

/** Counts what a server answers, for as long as the scope is open. `onEnd`: called with each request after its answer. */
export const count = (
  server: Server,
  paths: Iterable<string>,
  onEnd: (request: IncomingMessage) => void,
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const routeOf = routeFinder(paths)
    const all = new Map<string, Map<string, Series>>()
    let inFlight = 0

    const seriesOf = (method: string, url: string): Series => {
      const end = url.indexOf("?")
      const route = routeOf(end < 0 ? url : url.slice(0, end))
      let ofMethod = all.get(method)
      if (ofMethod === undefined) all.set(method, (ofMethod = new Map()))
      let series = ofMethod.get(route)
      if (series === undefined) {
        series = { route, seconds: seconds(method, route), statuses: new Map() }
        ofMethod.set(route, series)
      }
      return series
    }

    const onRequest = (request: IncomingMessage, response: ServerResponse) => {
      const start = performance.now()
      inFlight += 1
      // Emitted once: `on` costs less.
      response.on("close", () => {
        inFlight -= 1
        onEnd(request)
        const { method, url } = request
        const { route, seconds, statuses } = seriesOf(method ?? "", url ?? "")
        const status: Status = response.writableFinished ? `${Math.trunc(response.statusCode / 100)}xx` : "aborted"
        let counter = statuses.get(status)
        if (counter === undefined) {
          counter = requests(method ?? "", route, status)
          statuses.set(status, counter)
        }
        record(counter, 1)
        record(seconds, secondsSince(start))
      })
    }
    yield* observe("banquo_http_requests_in_flight", {
      description: "Requests that are being answered",
      read: () => inFlight,
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => server.prependListener("request", onRequest)),
      () => Effect.sync(() => server.off("request", onRequest)),
    )
  })
