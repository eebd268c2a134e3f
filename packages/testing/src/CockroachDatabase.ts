/** A database of the test's own that is, or passes for, a CockroachDB, and the way to it. */
import { assert } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { DbConn } from "@banquo/ledger/DbConn"
import { migrate, migrations } from "@banquo/ledger/Migrator"
import type { CockroachOptions } from "./CockroachStandIn.ts"
import { FaultyProxy, make as makeProxy } from "./FaultyProxy.ts"
import * as TestDatabase from "./TestDatabase.ts"

export const cockroach = { dialect: TestDatabase.dialect } satisfies CockroachOptions

/** Migrated as CockroachDB by way of a stand-in, with the way of the service to it. */
export const layerMigrated = Layer.effect(
  FaultyProxy,
  Effect.gen(function* () {
    const { appUrl, ownerUrl } = yield* TestDatabase.TestDatabase
    yield* Effect.scoped(
      Effect.gen(function* () {
        const { url } = yield* makeProxy(ownerUrl, cockroach)
        const asOwner = DbConn.layerUrl({ url, connectionsMax: 2, statementTimeout: Duration.zero })
        assert.deepStrictEqual(
          yield* migrate("tests").pipe(Effect.provide(asOwner)),
          migrations.map(({ version }) => version),
        )
      }),
    ).pipe(Effect.orDie)
    return yield* makeProxy(appUrl, cockroach)
  }),
).pipe(Layer.provideMerge(TestDatabase.layerEmpty))

/** And a `DbConn` on it. */
export const layer = Layer.unwrap(FaultyProxy.use(({ url }) => Effect.succeed(DbConn.layerUrl({ url })))).pipe(
  Layer.provideMerge(layerMigrated),
)
