/** Answers in several formats, and those that are written while they are read from the database. */
import { type Format, mediaTypes } from "@banquo/api/Format"
import { NotAcceptable } from "@banquo/api/Problem"
import { Cause, Effect, Stream } from "effect"
import { HttpEffect, HttpServerRequest, HttpServerResponse } from "effect/http"
import Negotiator from "negotiator"
import { RequestId } from "./RequestId.ts"

/** The format to answer in: what the parameter says, else the first of `offered` that `Accept` likes best. */
export const negotiate = <const F extends Format>(
  offered: readonly [F, ...ReadonlyArray<F>],
  parameter: F | undefined,
): Effect.Effect<F, NotAcceptable, HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function* () {
    // A cache must not give one format for another.
    yield* HttpEffect.appendPreResponseHandler((_, response) =>
      Effect.succeed(HttpServerResponse.setHeader(response, "vary", "accept")),
    )
    if (parameter !== undefined) return parameter
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const types = offered.map((format) => mediaTypes[format])
    const type = new Negotiator({ headers: { accept: headers["accept"] } }).mediaType(types)
    const format = offered.find((format) => mediaTypes[format] === type)
    return format ?? (yield* new NotAcceptable({ retryable: false, request_id: yield* RequestId, media_types: types }))
  })

/**
 * A document that is sent as its parts come. The client sets the pace; when it hangs up, reading ends. A failure cuts the
 * connection, since an answer that ended in good order would pass for the whole document.
 */
export const streamed = <E>(
  format: Exclude<Format, "ndjson">,
  parts: Stream.Stream<string, E>,
  headers: { readonly [name: string]: string } = {},
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.map(cutOff(Stream.encodeText(parts)), (body) =>
    HttpServerResponse.stream(body, {
      contentType: format === "json" ? mediaTypes.json : `${mediaTypes[format]}; charset=utf-8`,
      headers: { "x-content-type-options": "nosniff", ...headers },
    }),
  )

/** Tells the operator of a stream that fails. */
export const cutOff = <A, E, R>(stream: Stream.Stream<A, E, R>): Effect.Effect<Stream.Stream<A, E, R>> =>
  Effect.map(RequestId, (request_id) =>
    Stream.tapCause(stream, (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.logError("a document was cut off", { request_id, error: nameOf(Cause.squash(cause)) }),
    ),
  )

const nameOf = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : "not an error")

/** To be saved under a name of its own; `name` must be plain ASCII without quotes. */
export const attachment = (name: string) => ({ "content-disposition": `attachment; filename="${name}"` })
