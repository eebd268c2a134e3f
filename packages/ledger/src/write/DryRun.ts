import { Context, Effect } from "effect"

/** Whether requests are judged only. */
export const IsDryRun = Context.Reference<boolean>("@banquo/ledger/IsDryRun", { defaultValue: () => false })

/**
 * The same program, but what it would write is not written: it succeeds or is refused as it would be now, on heads that are
 * read for it. Ids, times and hashes of its answer name nothing that is stored. Requests that stand or fall together see
 * those before them; several programs do not see one another. Holds for every program that writes to the ledger, and for no
 * SQL of the caller's own.
 */
export const dryRun = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(program, IsDryRun, true)
