import { problemOf } from "@banquo/ledger/DatabaseUrl"
import { Config, ConfigProvider, Duration, Option, Redacted, Schema } from "effect"
import { isIPv4 } from "node:net"

/** What `banquo serve` and `banquo migrate` read from the environment; the README has the table. */
export const DatabaseConfig = Config.all({
  url: Config.option(
    Config.schema(
      Schema.Redacted(Schema.String.check(Schema.makeFilter((url: string) => problemOf(Redacted.make(url)) ?? true))),
      "DATABASE_URL",
    ),
  ),
  /** The prototype's names for a CockroachDB without certificates. */
  roachHost: Config.option(Config.String("ROACH_HOST")),
  roachPort: Config.Port("ROACH_PORT").pipe(Config.withDefault(26257)),
  connectionsMax: Config.Int("DATABASE_CONNECTIONS_MAX").pipe(Config.withDefault(10)),
}).pipe(
  Config.map(({ connectionsMax, roachHost, roachPort, url }) => ({
    connectionsMax,
    /** None: the embedded database. */
    url: Option.orElse(url, () =>
      Option.map(roachHost, (host) => Redacted.make(`postgres://root@${host}:${roachPort}/defaultdb`)),
    ),
  })),
)

/** The folder of the embedded database, from the working directory. */
export const EmbeddedConfig = Config.String("BANQUO_DIRECTORY").pipe(Config.withDefault(".banquo"))

/** Whether only this machine reaches what listens there; a name other than localhost may lead anywhere. */
const isLoopback = (host: string) => host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."))

export const ServeConfig = Config.all({
  host: Config.String("HOST").pipe(Config.withDefault("127.0.0.1")),
  /** 0: any free port. */
  port: Config.schema(
    Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 65_535 })),
    "PORT",
  ).pipe(Config.withDefault(8484)),
  /** Unless said otherwise, where the database is the embedded one: in development. */
  hasDummyAccounts: Config.option(Config.Boolean("DUMMY_ACCOUNTS")),
  /** Where a balancer watches `/readyz` and nothing else turns requests away before the process is told to stop. */
  drainDelay: Config.Duration("DRAIN_DELAY").pipe(Config.withDefault(Duration.zero)),
  /** There is no access control: beyond this machine, only where the operator says so. */
  unauthenticatedAccess: Config.option(Config.Literal("allowed", "UNAUTHENTICATED_ACCESS")),
}).pipe(
  Config.flatMap(({ unauthenticatedAccess, ...config }) => {
    const isExposed = !isLoopback(config.host)
    return isExposed && Option.isNone(unauthenticatedAccess)
      ? Config.fail(
          new ConfigProvider.SourceError({
            message: `HOST ${config.host} is reached from other machines, and whoever reaches Banquo can move money: set UNAUTHENTICATED_ACCESS=allowed if something in front of it decides who may`,
          }),
        )
      : Config.succeed({ ...config, isExposed })
  }),
)
