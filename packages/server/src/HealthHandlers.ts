import { Api } from "@banquo/api/Api"
import { DbConn } from "@banquo/ledger/DbConn"
import { requireSchema } from "@banquo/ledger/Migrator"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { orProblem } from "./Problems.ts"

/** How long an answer about the database is given again, so that probes cost it nothing. */
const readinessTtl = "1 second"

export const layer = HttpApiBuilder.group(
  Api,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const db = yield* DbConn
    const version = yield* Effect.cachedWithTTL(Effect.provideService(requireSchema, DbConn, db), readinessTtl)
    return handlers
      .handle("livez", () => Effect.succeed({ status: "live" as const }))
      .handle("readyz", () =>
        version.pipe(
          Effect.map((schema_version) => ({ status: "ready" as const, schema_version })),
          orProblem,
        ),
      )
  }),
)
