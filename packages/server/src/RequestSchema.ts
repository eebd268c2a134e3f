// Schemas are compiled to code when they are first used: encoding an answer costs half of what the interpreter takes.
// oxlint-disable-next-line import/no-unassigned-import -- it acts by being imported
import "effect/schema/SchemaJITCompiler/enable"
import { RequestSchema } from "@banquo/api/Api"
import { InternalError, InvalidRequest, type InvalidValue } from "@banquo/api/Problem"
import * as Metadata from "@banquo/domain/Metadata"
import { Effect, Layer, type SchemaAST, SchemaIssue } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiError, type HttpApiEndpoint } from "effect/http-api"
import * as BodyFaults from "./BodyFaults.ts"
import { faultsMax } from "./BodyFaults.ts"
import { countRefusal } from "./Refusals.ts"
import { RequestId } from "./RequestId.ts"

const formatter = SchemaIssue.makeFormatterStandardSchemaV1()

const places = { Params: "path", Query: "query", Headers: "header", Payload: "body" } as const

type Fault = typeof InvalidValue.Type

const problemOf = (errors: ReadonlyArray<Fault>): Effect.Effect<InvalidRequest> =>
  Effect.map(RequestId, (request_id) => {
    countRefusal("invalid_request")
    return new InvalidRequest({ detail: summaryOf(errors), retryable: false, request_id, errors })
  })

/** The problem that says what is wrong with a part of a request, fault by fault. */
export const invalidRequest = (place: Fault["in"], issue: SchemaIssue.Issue): Effect.Effect<InvalidRequest> =>
  problemOf(
    formatter(issue)
      .issues.slice(0, faultsMax)
      .map(({ message, path }) => ({ in: place, pointer: pointerOf(path ?? []), detail: message })),
  )

/** The problem of one value that its schema could not refuse. */
export const refused = (place: Fault["in"], name: string, detail: string): Effect.Effect<InvalidRequest> =>
  problemOf([{ in: place, pointer: pointerOf([name]), detail }])

/** The problem of a JSON value that has more in it than its schema allows; `undefined` if it has not. */
export const tooLong = (ast: SchemaAST.AST, value: unknown): Effect.Effect<InvalidRequest> | undefined => {
  const fault = BodyFaults.findTooLong(ast, value)
  return fault === undefined ? undefined : problemOf([bodyFault(fault)])
}

/** The problem of a JSON value that its schema refused: its first {@link faultsMax} faults. */
export const invalidJson = (
  ast: SchemaAST.AST,
  value: unknown,
  issue: SchemaIssue.Issue,
): Effect.Effect<InvalidRequest> => {
  const faults = BodyFaults.findFaults(ast, value)
  return faults.length === 0 ? invalidRequest("body", issue) : problemOf(faults.map(bodyFault))
}

const bodyFault = ({ message, path }: BodyFaults.Fault): Fault => ({
  in: "body",
  pointer: pointerOf(path),
  detail: message,
})

/** Answers what does not fit its schema, a query where none is taken included, by an `invalid_request` problem. */
export const layer = Layer.succeed(RequestSchema, (httpEffect, { endpoint }) => {
  const body = jsonSchemaOf(endpoint)
  return Effect.flatMap(HttpServerRequest.ParsedSearchParams, (query) => {
    const unknown = endpoint.query === undefined ? Object.keys(query) : []
    if (unknown.length > 0) return refuseFor(unknown.slice(0, faultsMax).map(unknownParameter))
    if (body === undefined) return Effect.catch(httpEffect, orRefuse)
    return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      if (!isLarge(request)) return Effect.catch(httpEffect, orRefuseBody(body, parsedBody(request)))
      return Effect.flatMap(parsedBody(request), (value) => {
        const problem = tooLong(body, value)
        return problem === undefined
          ? Effect.catch(httpEffect, orRefuseBody(body, Effect.succeed(value)))
          : Effect.flatMap(problem, Effect.fail)
      })
    })
  })
})

const refuseFor = (faults: ReadonlyArray<Fault>) => Effect.flatMap(problemOf(faults), Effect.fail)

/** What an endpoint takes as `application/json`. */
const jsonSchemaOf = (endpoint: HttpApiEndpoint.Top): SchemaAST.AST | undefined => {
  const payload = endpoint.payload.get("application/json")
  const [schema] = payload === undefined || payload.encoding._tag === "Stream" ? [] : payload.schemas
  return schema?.ast
}

/** Without a length it may be. A stream of lines is no JSON value, and each of its lines is bounded. */
const isLarge = ({ headers }: HttpServerRequest.HttpServerRequest): boolean =>
  !(Number(headers["content-length"]) <= BodyFaults.uncheckedBytesMax) &&
  (headers["content-type"] ?? "application/json").startsWith("application/json")

/** The text of a body is kept: to read it twice costs its parsing only. `undefined`: it is not JSON. */
const parsedBody = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<unknown> =>
  Effect.map(Effect.orDie(request.text), (text): unknown => {
    try {
      return JSON.parse(text)
    } catch {
      return undefined
    }
  })

const orRefuse = <E>(error: E): Effect.Effect<never, E | InvalidRequest | InternalError> =>
  HttpApiError.HttpApiSchemaError.is(error) ? refuse(error) : Effect.fail(error)

const orRefuseBody =
  (body: SchemaAST.AST, parsed: Effect.Effect<unknown>) =>
  <E>(error: E): Effect.Effect<never, E | InvalidRequest | InternalError> =>
    HttpApiError.HttpApiSchemaError.is(error) && error.kind === "Payload"
      ? Effect.flatMap(parsed, (value) =>
          value === undefined
            ? refuse(error)
            : Effect.flatMap(invalidJson(body, value, error.cause.issue), Effect.fail),
        )
      : orRefuse(error)

const unknownParameter = (name: string): Fault => ({
  in: "query",
  pointer: pointerOf([name]),
  detail: "Expected no query parameter",
})

const refuse = (error: HttpApiError.HttpApiSchemaError): Effect.Effect<never, InvalidRequest | InternalError> =>
  isRequestPart(error.kind)
    ? Effect.flatMap(invalidRequest(places[error.kind], error.cause.issue), Effect.fail)
    : Effect.flatMap(RequestId, (request_id) =>
        Effect.andThen(
          Effect.logError("a response does not fit its schema", { request_id, part: error.kind }),
          Effect.fail(new InternalError({ retryable: false, request_id })),
        ),
      )

const isRequestPart = (kind: string): kind is keyof typeof places => kind in places

/** Longest key that is told as it was sent, in UTF-16 code units: longer ones are cut, or they would be most of an answer. */
const keyLengthMax = Metadata.keyLengthMax

const shortened = (key: string): string =>
  key.length <= keyLengthMax ? key : `${key.slice(0, keyLengthMax).toWellFormed()}…`

/** RFC 6901: `/changes/0/amount`. */
const pointerOf = (path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }>): string =>
  path
    .map((segment) => shortened(String(typeof segment === "object" ? segment.key : segment)))
    .map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("")

const summaryOf = (errors: ReadonlyArray<Fault>): string =>
  errors
    .slice(0, 3)
    .map((error) => `${error.in}${error.pointer}: ${error.detail}`)
    .join("; ")
