import { Config, ConfigProvider } from "effect"

/** Takes the place of the embedded database in a production build, which has none. */
export const embeddedDatabase = Config.fail(
  new ConfigProvider.SourceError({
    message:
      "set DATABASE_URL to postgres://user:password@host:port/database; this build has no embedded database to fall back on",
  }),
)

export const runningDatabase = embeddedDatabase
