import { embeddedDatabase, runningDatabase } from "#EmbeddedDatabase"
import { DbConn } from "@banquo/ledger/DbConn"
import { migrate } from "@banquo/ledger/Migrator"
import { Context, Duration, Effect, Layer, Option } from "effect"
import { hostname } from "node:os"
import { DatabaseConfig } from "./ServeConfig.ts"

/** Which database the command works on, in words for its operator. */
export class DatabaseName extends Context.Service<
  DatabaseName,
  { readonly text: string; readonly isEmbedded: boolean }
>()("@banquo/cli/DatabaseName") {}

/** This process, to others that want to migrate at the same time. */
const self = `${hostname()}:${process.pid}`

/** DDL on large tables takes its time. */
const withoutTimeout = Duration.zero

/** Migrates, and says what it did. */
export const migrateAndLog = Effect.flatMap(migrate(self), (versions) =>
  Effect.logInfo(
    versions.length === 0 ? "the schema is up to date" : `the schema was brought to version ${versions.at(-1)}`,
  ),
)

/** The database of the configuration, as the role that it names. */
const layerGiven = (options: { readonly isMigrating: boolean }) =>
  Layer.unwrap(
    Effect.map(DatabaseConfig, ({ connectionsMax, url }) =>
      Option.match(url, {
        onNone: () => layerEmbedded({ ...options, connectionsMax }),
        onSome: (url) =>
          Layer.merge(
            DbConn.layerUrl({
              url,
              connectionsMax,
              ...(options.isMigrating ? { statementTimeout: withoutTimeout } : {}),
            }),
            Layer.succeed(DatabaseName, { text: "as configured", isEmbedded: false }),
          ),
      }),
    ),
  )

/** The embedded database: migrated at each start by its owner, then used as the role of the service. */
const layerEmbedded = (options: { readonly isMigrating: boolean; readonly connectionsMax: number }) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const embedded = yield* embeddedDatabase
      const asOwner = DbConn.layerUrl({ url: embedded.ownerUrl, connectionsMax: 2, statementTimeout: withoutTimeout })
      const name = Layer.succeed(DatabaseName, {
        text: `embedded PostgreSQL ${embedded.version}, data in ${embedded.dataDirectory}`,
        isEmbedded: true,
      })
      if (options.isMigrating) return Layer.merge(asOwner, name)
      yield* migrateAndLog.pipe(Effect.provide(asOwner))
      return Layer.merge(DbConn.layerUrl({ url: embedded.appUrl, connectionsMax: options.connectionsMax }), name)
    }),
  )

/** For the service: may read and append, nothing more. */
export const layerOfService = layerGiven({ isMigrating: false })

/** For the verifier: beside a service, also on the embedded database. */
export const layerOfVerifier = Layer.catchTag(layerOfService, "AlreadyRunning", () =>
  Layer.unwrap(Effect.map(runningDatabase, ({ appUrl }) => DbConn.layerUrl({ url: appUrl }))),
)

/** For migrations: as the owner of the schema. */
export const layerOfOwner = layerGiven({ isMigrating: true })
