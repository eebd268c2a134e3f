/** All that the server answers: /v1, the prototype's routes, documentation, and a clear no to everything else. */
import { Api } from "@banquo/api/Api"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiScalar } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { METHODS } from "node:http"
import * as AccountsHandlers from "./AccountsHandlers.ts"
import * as HealthHandlers from "./HealthHandlers.ts"
import * as HoldsHandlers from "./HoldsHandlers.ts"
import * as Home from "./Home.ts"
import * as Legacy from "./Legacy.ts"
import { RequestId } from "./RequestId.ts"
import * as RequestSchema from "./RequestSchema.ts"
import * as Responses from "./Responses.ts"
import * as TransactionsHandlers from "./TransactionsHandlers.ts"

/** Methods that can reach the router. HEAD is answered as GET without a body. */
const methods = METHODS as ReadonlyArray<Parameters<HttpRouter.HttpRouter["add"]>[0]>

const homePath = "/"
const openapiPath = "/openapi.json"
const docsPath = "/docs"
const metricsPath = "/metrics"

/** By path, the methods that it takes. */
const methodsOfPaths = (options: Legacy.LegacyOptions): ReadonlyMap<string, ReadonlySet<string>> => {
  const methods = new Map<string, Set<string>>()
  const add = (method: string, path: string) => {
    const known = methods.get(path) ?? new Set()
    methods.set(path, known.add(method))
  }
  HttpApi.reflect(Api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint }) => add(endpoint.method, endpoint.path),
  })
  for (const { method, path } of Legacy.routesOf(options)) add(method, path)
  for (const path of [homePath, openapiPath, docsPath, metricsPath]) add("GET", path)
  return methods
}

/** The paths that there are. */
export const pathsOf = (options: Legacy.LegacyOptions): ReadonlyArray<string> => [...methodsOfPaths(options).keys()]

const refuse = (allow: string) =>
  Effect.gen(function* () {
    const { url } = yield* HttpServerRequest.HttpServerRequest
    const response = Responses.errorResponse(405, url.split("?", 1)[0]!, yield* RequestId)
    return HttpServerResponse.setHeaders(response, { allow })
  })

/** The router knows only what it was given, and 404 for all else: 405 with `Allow` for other methods of a path. */
const layerOthers = (options: Legacy.LegacyOptions) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      for (const [path, known] of methodsOfPaths(options)) {
        const allowed = known.has("GET") ? [...known, "HEAD"] : [...known]
        for (const method of methods.filter((method) => !allowed.includes(method))) {
          yield* router.add(method, path as HttpRouter.PathInput, refuse(allowed.join(", ")))
        }
      }
    }),
  )

export const layer = (options: Legacy.LegacyOptions) =>
  Layer.mergeAll(
    HttpApiBuilder.layer(Api, { openapiPath }).pipe(
      Layer.provide([AccountsHandlers.layer, TransactionsHandlers.layer, HoldsHandlers.layer, HealthHandlers.layer]),
      Layer.provide(RequestSchema.layer),
    ),
    HttpApiScalar.layer(Api, { path: docsPath }),
    HttpRouter.add("GET", homePath, Home.page),
    PrometheusMetrics.layerHttp({ path: metricsPath }),
    Legacy.layer(options),
    layerOthers(options),
    Responses.layer,
  )
