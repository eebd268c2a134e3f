/** Ids for rows to come, fetched ahead by the block, so that a write need not ask for its own. */
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { Effect, Semaphore } from "effect"
import * as BalanceChangeTable from "../tables/BalanceChangeTable.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { DbConn, readToWrite } from "../database/DbConn.ts"

/** Ids of one block. Those that are left when the process ends are lost: ids are unique, not dense. */
export const blockSize = 2_000

/** When so many are left, the next block is fetched while these are used. */
export const refillBelow = 1_000

export interface IdBlock {
  /** So many unused ids, ascending. */
  readonly take: (count: number) => Effect.Effect<ReadonlyArray<BalanceChangeId>, DatabaseUnavailable>
  /** Uses none of the ids that are left: others may have been given them too. */
  readonly drop: () => void
}

export const make: Effect.Effect<IdBlock, never, DbConn> = Effect.gen(function* () {
  const db = yield* DbConn
  const context = yield* Effect.context<never>()
  const lock = yield* Semaphore.make(1)
  let ids: Array<BalanceChangeId> = []

  /** One fetch at a time; whoever waited for another's looks first whether that was enough. */
  const refill = (atLeast: number) =>
    lock.withPermit(
      Effect.suspend(() =>
        ids.length >= atLeast
          ? Effect.void
          : readToWrite((sql, database) =>
              BalanceChangeTable.selectNewIds(sql, Math.max(blockSize, atLeast), database),
            ).pipe(
              Effect.map((block) => {
                ids = ids.concat(block)
              }),
              Effect.provideService(DbConn, db),
            ),
      ),
    )

  const take = (count: number): Effect.Effect<ReadonlyArray<BalanceChangeId>, DatabaseUnavailable> =>
    Effect.suspend(() => {
      if (ids.length < count) return Effect.andThen(refill(count), take(count))
      const taken = ids.slice(0, count).sort((a, b) => (a < b ? -1 : 1))
      ids = ids.slice(count)
      // If this fails, the next take that needs ids says so.
      if (ids.length < refillBelow) Effect.runForkWith(context)(Effect.ignore(refill(refillBelow)))
      return Effect.succeed(taken)
    })

  return {
    take,
    drop: () => {
      ids = []
    },
  }
})
