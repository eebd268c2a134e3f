import { Context, Effect } from "effect"
import { HttpServerRequest } from "effect/http"

/** The header that carries the id of a request, both ways. */
export const header = "x-request-id"

/** Names one request to its caller and to the operator: the caller's own id, or a random UUID. */
export const RequestId = Context.Reference<string>("@banquo/server/RequestId", { defaultValue: () => "none" })

/** Only what can be put into a header and a log line unchanged. */
const isUsable = (id: string | undefined): id is string => id !== undefined && /^[\x21-\x7e]{1,128}$/.test(id)

export const fromRequest: Effect.Effect<string, never, HttpServerRequest.HttpServerRequest> = Effect.map(
  HttpServerRequest.HttpServerRequest,
  ({ headers }) => (isUsable(headers[header]) ? headers[header] : crypto.randomUUID()),
)
