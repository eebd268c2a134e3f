/** Whether this instance can do its work: a database that is fit, with the schema that this build needs. */
import type { DatabaseUnavailable } from "@banquo/ledger/DatabaseError"
import { Deadline, deadlineIn } from "@banquo/ledger/Deadline"
import { DbConn } from "@banquo/ledger/DbConn"
import { observe } from "@banquo/ledger/LedgerMetrics"
import { type MigrationChanged, requireSchema, type SchemaOutdated } from "@banquo/ledger/Migrator"
import { type UnfitKind, unfitKinds } from "@banquo/ledger/Server"
import { Context, Duration, Effect, Exit, Layer, Schedule, Semaphore } from "effect"

/** How long an answer about the database is given again, so that probes cost it nothing. */
const ttl = Duration.seconds(1)

/** Longest that the database may take to answer; longer, and the instance is not ready. */
export const readinessTimeout = Duration.seconds(4)

/** The version of the schema, or why the instance is not ready. */
export class Readiness extends Context.Service<
  Readiness,
  Effect.Effect<number, DatabaseUnavailable | SchemaOutdated | MigrationChanged>
>()("@banquo/server/Readiness") {
  /** Looks whether anybody asks or not, and says what has changed. */
  static readonly layer = Layer.effect(
    Readiness,
    Effect.gen(function* () {
      const db = yield* DbConn
      const check = yield* remembered(
        requireSchema.pipe(Effect.provideService(DbConn, db), (schema) =>
          Effect.suspend(() => Effect.provideService(schema, Deadline, deadlineIn(readinessTimeout))),
        ),
      )
      const tell = makeTell()
      yield* Effect.forkScoped(Effect.repeat(Effect.flatMap(Effect.exit(check), tell), Schedule.spaced(ttl)))
      const isNow = (kind: UnfitKind) => db.unfit()?.kind === kind
      for (const kind of unfitKinds) {
        yield* observe("banquo_database_unfit", {
          description: "1: no server of the database can be worked on, for this reason",
          attributes: { reason: kind },
          read: () => (isNow(kind) ? 1 : 0),
        })
      }
      return check
    }),
  )
}

/** One look at a time, given again for {@link ttl} by a clock that nobody can set: on one that was set back it would be for long. */
const remembered = <A, E>(look: Effect.Effect<A, E>): Effect.Effect<Effect.Effect<A, E>> =>
  Effect.map(Semaphore.make(1), (lock) => {
    let last: { readonly exit: Exit.Exit<A, E>; readonly at: number } | undefined
    return lock.withPermit(
      Effect.suspend(() => {
        if (last !== undefined && performance.now() - last.at < Duration.toMillis(ttl)) return last.exit
        return Effect.flatMap(Effect.exit(look), (exit) => {
          last = { exit, at: performance.now() }
          return exit
        })
      }),
    )
  })

type Checked = Exit.Exit<number, DatabaseUnavailable | SchemaOutdated | MigrationChanged>

/** Each change of the schema's state once. Of the database itself its watch tells. */
const makeTell = () => {
  let said: string | undefined
  return (exit: Checked) => {
    const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
    if (error?._tag === "DatabaseUnavailable") return Effect.void
    const before = said
    said = error?.message
    if (said === before) return Effect.void
    return said === undefined ? Effect.logInfo("the schema fits now") : Effect.logWarning(`not ready: ${said}`)
  }
}
