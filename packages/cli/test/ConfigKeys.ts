/** What the command reads from its environment, found by letting it read. */
import { Config, ConfigProvider, Effect } from "effect"
import { DatabaseConfig, EmbeddedConfig, ServeConfig } from "../src/ServeConfig.ts"
import { TelemetryConfig } from "../src/Telemetry.ts"

const keysOf = <A>(config: Config.Config<A>): ReadonlySet<string> => {
  const keys = new Set<string>()
  const provider = ConfigProvider.make((path) =>
    Effect.sync(() => {
      if (path.length === 1) keys.add(String(path[0]))
      return undefined
    }),
  )
  Effect.runSync(Effect.ignore(config.parse(provider)))
  return keys
}

export const keysOfMigrate = keysOf(Config.all([DatabaseConfig, EmbeddedConfig, TelemetryConfig]))
export const keysOfServe = keysOf(Config.all([DatabaseConfig, EmbeddedConfig, ServeConfig, TelemetryConfig]))

/** What the command makes of an environment; fails where it would refuse to start. */
export const configOf = (environment: Record<string, string>) =>
  Config.all({ database: DatabaseConfig, serve: ServeConfig }).parse(ConfigProvider.fromEnv({ env: environment }))
