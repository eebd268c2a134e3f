import { Api } from "@banquo/api/Api"
import { ShuttingDown } from "@banquo/api/Problem"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Draining } from "./Draining.ts"
import { orProblem } from "./Problems.ts"
import { Readiness } from "./Readiness.ts"
import { RequestId } from "./RequestId.ts"

const shuttingDown = Effect.flatMap(RequestId, (request_id) =>
  Effect.fail(new ShuttingDown({ retryable: true, request_id })),
)

export const layer = HttpApiBuilder.group(
  Api,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const draining = yield* Draining
    const readiness = yield* Readiness
    return handlers
      .handle("livez", () => Effect.succeed({ status: "live" as const }))
      .handle("readyz", () =>
        draining.hasBegun()
          ? shuttingDown
          : readiness.pipe(
              Effect.map((schema_version) => ({ status: "ready" as const, schema_version })),
              orProblem,
            ),
      )
  }),
)
