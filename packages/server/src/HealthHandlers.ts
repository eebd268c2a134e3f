import { Api } from "@banquo/api/Api"
import { DbConn } from "@banquo/ledger/DbConn"
import { requireSchema } from "@banquo/ledger/Migrator"
import { ShuttingDown } from "@banquo/api/Problem"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Draining } from "./Draining.ts"
import { orProblem } from "./Problems.ts"
import { RequestId } from "./RequestId.ts"

/** How long an answer about the database is given again, so that probes cost it nothing. */
const readinessTtl = "1 second"

const shuttingDown = Effect.flatMap(RequestId, (request_id) =>
  Effect.fail(new ShuttingDown({ retryable: true, request_id })),
)

export const layer = HttpApiBuilder.group(
  Api,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const db = yield* DbConn
    const draining = yield* Draining
    const version = yield* Effect.cachedWithTTL(Effect.provideService(requireSchema, DbConn, db), readinessTtl)
    return handlers
      .handle("livez", () => Effect.succeed({ status: "live" as const }))
      .handle("readyz", () =>
        draining.hasBegun()
          ? shuttingDown
          : version.pipe(
              Effect.map((schema_version) => ({ status: "ready" as const, schema_version })),
              orProblem,
            ),
      )
  }),
)
