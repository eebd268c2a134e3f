// Schemas are compiled to code when they are first used: encoding an answer costs half of what the interpreter takes.
// oxlint-disable-next-line import/no-unassigned-import -- it acts by being imported
import "effect/schema/SchemaJITCompiler/enable"
import { RequestSchema } from "@banquo/api/Api"
import { InternalError, InvalidRequest, type InvalidValue } from "@banquo/api/Problem"
import { Effect, Layer, SchemaIssue } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiError } from "effect/http-api"
import { countRefusal } from "./Refusals.ts"
import { RequestId } from "./RequestId.ts"

/** Most faults that one answer tells of: a body of a megabyte can have a hundred thousand. */
export const faultsMax = 20

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

/** Answers what does not fit its schema, a query where none is taken included, by an `invalid_request` problem. */
export const layer = Layer.succeed(RequestSchema, (httpEffect, { endpoint }) =>
  Effect.flatMap(HttpServerRequest.ParsedSearchParams, (query) => {
    const unknown = endpoint.query === undefined ? Object.keys(query) : []
    return unknown.length === 0
      ? Effect.catch(httpEffect, orRefuse)
      : Effect.flatMap(problemOf(unknown.slice(0, faultsMax).map(unknownParameter)), (problem) => Effect.fail(problem))
  }),
)

const orRefuse = <E>(error: E): Effect.Effect<never, E | InvalidRequest | InternalError> =>
  HttpApiError.HttpApiSchemaError.is(error) ? refuse(error) : Effect.fail(error)

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

/** RFC 6901: `/changes/0/amount`. */
const pointerOf = (path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }>): string =>
  path
    .map((segment) => String(typeof segment === "object" ? segment.key : segment))
    .map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("")

const summaryOf = (errors: ReadonlyArray<Fault>): string =>
  errors
    .slice(0, 3)
    .map((error) => `${error.in}${error.pointer}: ${error.detail}`)
    .join("; ")
