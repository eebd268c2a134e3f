/** The answer to a write. */
import { type DryRun, dryRunOf } from "@banquo/api/DryRun"
import type { Posted } from "@banquo/ledger/Posted"
import { dryRun } from "@banquo/ledger/DryRun"
import { Effect } from "effect"
import { HttpApiSchema } from "effect/http-api"

/** A body, marked if the write was carried out before. */
const replayed = <A>({ isReplayed }: Posted, body: A) =>
  HttpApiSchema.withHeaders({
    body,
    headers: isReplayed ? { "idempotency-replayed": "true" as const } : {},
  })

/** Writes and says what was written, or with `dry_run` judges only and says what would be. */
export const written = <A extends { readonly posted: Posted }, B, E, R, E2 = never, R2 = never>(
  { dry_run }: { readonly dry_run?: boolean },
  program: Effect.Effect<A, E, R>,
  bodyOf: (written: A) => Effect.Effect<B, E2, R2>,
): Effect.Effect<typeof DryRun.Type | ReturnType<typeof replayed<B>>, E | E2, R | R2> =>
  dry_run === true
    ? Effect.map(dryRun(program), ({ posted }) => dryRunOf(posted))
    : Effect.flatMap(program, (result) => Effect.map(bodyOf(result), (body) => replayed(result.posted, body)))

/** As {@link written}, for a change of what was there before: both answers have one status, and what is there a version. */
export const changed = <A extends { readonly posted: Posted }, B, H, E, R, E2 = never, R2 = never>(
  payload: { readonly dry_run?: boolean },
  program: Effect.Effect<A, E, R>,
  bodyOf: (written: A) => Effect.Effect<B, E2, R2>,
  versionOf: (body: B) => H,
) =>
  Effect.map(written(payload, program, bodyOf), (answer) =>
    "dry_run" in answer
      ? HttpApiSchema.withHeaders({ body: answer, headers: {} })
      : HttpApiSchema.withHeaders({
          body: answer.body,
          headers: { ...answer.headers, ...versionOf(answer.body) },
        }),
  )
