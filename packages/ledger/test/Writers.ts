/** The ways in which a program's writes go, which every rule must hold for. */
import { Effect, Layer } from "effect"
import type { DbConn } from "../src/database/DbConn.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"

export const writers: ReadonlyArray<{ readonly how: string; readonly writer: Layer.Layer<never, never, DbConn> }> = [
  { how: "each alone", writer: Layer.empty },
  { how: "by group commit", writer: GroupCommit.layer() },
]

/** Runs a program as another process would: by a group commit that has heads of its own. */
export const asAnotherProcess = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.provide(program, Layer.fresh(GroupCommit.layer()), { local: true })

export const times = <A>(count: number, make: (index: number) => A): ReadonlyArray<A> =>
  Array.from({ length: count }, (_, index) => make(index))

export const together = { concurrency: "unbounded" } as const
