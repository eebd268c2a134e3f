import type { Posted } from "@banquo/ledger/Posted"
import { HttpApiSchema } from "effect/http-api"

/** The answer to a write, marked if it was carried out before. */
export const replayed = <A>({ isReplayed }: Posted, body: A) =>
  HttpApiSchema.withHeaders({
    body,
    headers: isReplayed ? { "idempotency-replayed": "true" as const } : {},
  })
