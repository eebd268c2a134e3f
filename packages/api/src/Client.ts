import { HttpApiClient } from "effect/http-api"
import { Api } from "./Api.ts"

/** A typed client of /v1. Needs an `HttpClient`; errors are the classes of `Problem.ts`. */
export const make = (options: { readonly baseUrl: string }) => HttpApiClient.make(Api, options)
