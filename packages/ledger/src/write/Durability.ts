/** When a row that is found may be acknowledged. */
import { Effect } from "effect"
import { type DatabaseUnavailable, defectOf, faultOf } from "../database/DatabaseError.ts"
import { unavailable } from "../database/FailureCause.ts"
import { DbConn, within } from "../database/DbConn.ts"

/**
 * Waits until all that is visible now has reached the standbys that commits wait for. A row is visible before that where its
 * own commit was cut off while it waited, so a row that was read back is acknowledged only after this.
 *
 * One commit of its own on PostgreSQL: a message to the WAL, which nobody reads. (`pg_current_xact_id()` would not wait.)
 * Nothing on CockroachDB, where only what is replicated is visible, nor inside a transaction, whose own COMMIT waits.
 */
export const awaitDurability: Effect.Effect<void, DatabaseUnavailable, DbConn> = Effect.gen(function* () {
  const { database, isInTransaction, sql } = yield* DbConn
  const { dialect } = yield* database
  if (dialect === "cockroachdb" || (yield* isInTransaction)) return
  // Why: A commit of one's own, which waits for the standbys: what was visible before it is as durable as what was
  // acknowledged.
  // Plan: No table. Some 50 bytes of WAL.
  // Only: postgresql
  yield* within(sql`SELECT pg_logical_emit_message(true, 'banquo', '')::TEXT AS lsn`).pipe(
    Effect.catch((error) =>
      faultOf(error) === "defect" ? Effect.die(defectOf(error)) : Effect.fail(unavailable(error)),
    ),
  )
})
