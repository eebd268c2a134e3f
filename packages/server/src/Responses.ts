/**
 * What every response has in common, whoever made it: a request id, and for an error that the framework answers by itself
 * a body in the form of its part of the API: a problem, or for the prototype's routes a line of text.
 */
import { bodyBytesMax } from "@banquo/api/Api"
import { typeOf } from "@banquo/api/Problem"
import { ByteSize, Cause, Effect } from "effect"
import {
  HttpEffect,
  HttpIncomingMessage,
  HttpRouter,
  HttpServerRequest,
  HttpServerRespondable,
  HttpServerResponse,
  ProblemDetails,
} from "effect/http"
import { isLegacyPath } from "./Legacy.ts"
import { Draining } from "./Draining.ts"
import { countRefusal } from "./Refusals.ts"
import { fromRequest, header, RequestId } from "./RequestId.ts"

/** When to come back after a 503, in seconds. */
export const retryAfter = 1

const byStatus: { readonly [status: number]: { readonly code: string; readonly title: string } } = {
  400: { code: "invalid_request", title: "The request cannot be understood" },
  404: { code: "not_found", title: "There is nothing at this address" },
  405: { code: "method_not_allowed", title: "The address does not take this method" },
  413: { code: "body_too_large", title: `The body is larger than ${bodyBytesMax} bytes` },
  415: { code: "unsupported_media_type", title: "The body must be application/json" },
  500: { code: "internal_error", title: "The service has failed" },
  503: { code: "overloaded", title: "The service is too busy" },
}

/** An error without a body of its own, in the form of the part of the API that `path` belongs to. */
export const errorResponse = (
  status: number,
  path: string,
  requestId: string,
): HttpServerResponse.HttpServerResponse => {
  const { code, title } = byStatus[status] ?? {
    code: status < 500 ? "invalid_request" : "internal_error",
    title: "Error",
  }
  countRefusal(code)
  return isLegacyPath(path)
    ? HttpServerResponse.text(title, { status })
    : ProblemDetails.toResponse({
        type: typeOf(code),
        title,
        status,
        code,
        retryable: status === 503,
        request_id: requestId,
      })
}

/** The framework's own errors have no body, or one of plain text. */
const isBare = ({ body, status }: HttpServerResponse.HttpServerResponse): boolean =>
  status >= 400 && (body._tag === "Empty" || status === 415)

/** What the framework said beside the body, such as that the connection ends; not what described the old body. */
const withHeadersOf = (
  { headers }: HttpServerResponse.HttpServerResponse,
  response: HttpServerResponse.HttpServerResponse,
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.setHeaders(
    response,
    Object.entries(headers).filter(([name]) => !name.startsWith("content-")),
  )

const finish = (
  request: HttpServerRequest.HttpServerRequest,
  response: HttpServerResponse.HttpServerResponse,
  requestId: string,
  isDraining: boolean,
): HttpServerResponse.HttpServerResponse => {
  const path = request.url.split("?", 1)[0]!
  const complete = isBare(response)
    ? withHeadersOf(response, errorResponse(response.status, path, requestId))
    : response
  return HttpServerResponse.setHeaders(complete, {
    [header]: requestId,
    ...(response.status === 503 ? { "retry-after": `${retryAfter}` } : {}),
    // A body that was refused unread ends its connection, as the end of the process does.
    ...(isDraining || response.status === 413 || response.status === 415 ? { connection: "close" } : {}),
  })
}

/** Nothing but the name and the message of what went wrong: a stack or a cause may hold more than a log should. */
const describe = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? `${error.name}: ${error.message}` : "a failure that is not an error"
}

export const logFailure = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.flatMap(RequestId, (request_id) => Effect.logError("request failed", { request_id, error: describe(cause) }))

/** Errors that know their own response, such as a body that is too large. */
const isRespondable = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) =>
    Cause.isFailReason(reason)
      ? HttpServerRespondable.isRespondable(reason.error)
      : Cause.isDieReason(reason) && HttpServerRespondable.isRespondable(reason.defect),
  )

export const layer = HttpRouter.middleware(
  Effect.map(
    Draining,
    (draining) => (httpEffect) =>
      Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const requestId = yield* fromRequest
        yield* HttpEffect.appendPreResponseHandler((_, response) =>
          Effect.succeed(finish(request, response, requestId, draining.hasBegun())),
        )
        return yield* httpEffect.pipe(
          Effect.catchCause((cause) =>
            isRespondable(cause) || Cause.hasInterrupts(cause)
              ? Effect.failCause(cause)
              : Effect.as(logFailure(cause), HttpServerResponse.empty({ status: 500 })),
          ),
          Effect.provideService(RequestId, requestId),
          Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(bodyBytesMax)),
        )
      }),
  ),
  { global: true },
)
