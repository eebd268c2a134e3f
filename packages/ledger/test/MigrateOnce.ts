/** A process that migrates the database of `DATABASE_URL`, for tests that kill it meanwhile. */
import { Duration, Effect, Redacted } from "effect"
import { DbConn } from "../src/database/DbConn.ts"
import { migrate } from "../src/migrations/Migrator.ts"

const url = Redacted.make(process.env["DATABASE_URL"] ?? "")

await Effect.runPromise(
  migrate("the process that is killed").pipe(
    Effect.provide(DbConn.layerUrl({ url, connectionsMax: 2, statementTimeout: Duration.zero })),
  ),
)
