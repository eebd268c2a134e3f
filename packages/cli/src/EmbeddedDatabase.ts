import { EmbeddedPostgres, findRunning } from "@banquo/embedded-postgres/EmbeddedPostgres"
import { Context, Effect, Layer } from "effect"
import { EmbeddedConfig } from "./ServeConfig.ts"

/** Starts the embedded database, which runs while the scope is open. */
export const embeddedDatabase = Effect.gen(function* () {
  const directory = yield* EmbeddedConfig
  return Context.get(yield* Layer.build(EmbeddedPostgres.layer({ directory })), EmbeddedPostgres)
})

/** The embedded database that another process serves. */
export const runningDatabase = Effect.flatMap(EmbeddedConfig, (directory) => findRunning({ directory }))
