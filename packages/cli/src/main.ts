import { DatabaseUnavailable } from "@banquo/ledger/DatabaseError"
import * as Heap from "@banquo/server/Heap"
import * as Server from "@banquo/server/Server"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Config, Console, Effect, Exit, Function, Layer, Option } from "effect"
import { CliError, Command } from "effect/cli"
import { HttpServer } from "effect/http"
import manifest from "../package.json" with { type: "json" }
import { DatabaseName, layerOfOwner, layerOfService, layerOfVerifier, migrateAndLog } from "./Database.ts"
import { greeting } from "./Greeting.ts"
import { ServeConfig } from "./ServeConfig.ts"
import * as Telemetry from "./Telemetry.ts"
import { verifyAndLog } from "./Verify.ts"

type ServeConfig = Config.Success<typeof ServeConfig>

const listen = Effect.fnUntraced(function* ({ drainDelay, hasDummyAccounts, host, isExposed, port }: ServeConfig) {
  if (isExposed) {
    yield* Effect.logWarning(`UNAUTHENTICATED_ACCESS is allowed: whoever reaches ${host} port ${port} can move money`)
  }
  const { isEmbedded, text } = yield* DatabaseName
  const isJson = yield* Telemetry.isJson
  const server = Server.layer({
    host,
    port,
    hasDummyAccounts: Option.getOrElse(hasDummyAccounts, () => isEmbedded),
    drainDelay,
    isTraced: yield* Telemetry.isTraced,
  })
  const greet = HttpServer.addressFormattedWith((url) =>
    isJson
      ? Effect.logInfo(`Banquo listens on ${url}`, { url, database: text, version: manifest.version })
      : Console.log(greeting({ url, database: text, accountId: crypto.randomUUID() })),
  )
  return yield* Layer.launch(Layer.effectDiscard(greet).pipe(Layer.provide(server)))
})

const serve = Command.make("serve", {}, () =>
  // What is said of the command itself is judged before the database that it is to work on.
  Effect.flatMap(ServeConfig, (config) =>
    listen(config).pipe(Effect.provide(layerOfService.pipe(Layer.provideMerge(Telemetry.layer)))),
  ),
).pipe(Command.withDescription("Serve the HTTP API; without DATABASE_URL, on the embedded database"))

const migrate = Command.make("migrate", {}, () =>
  migrateAndLog.pipe(Effect.provide(layerOfOwner.pipe(Layer.provideMerge(Telemetry.layer)))),
).pipe(Command.withDescription("Bring the database to the schema of this build; as its owner"))

const verify = Command.make("verify", {}, () =>
  verifyAndLog.pipe(Effect.provide(layerOfVerifier.pipe(Layer.provideMerge(Telemetry.layer)))),
).pipe(
  Command.withDescription(
    "Read the whole ledger and prove that it is whole; exits with 1 and names the first bad row if not",
  ),
)

const banquo = Command.make("banquo").pipe(
  Command.withDescription("A bank-account ledger service"),
  Command.withSubcommands([serve, migrate, verify]),
)

/** One line for the operator; stacks stay inside. */
const lineOf = (error: unknown): string => {
  if (error instanceof Config.ConfigError) return `bad configuration: ${lineOf(error.cause)}`
  if (!(error instanceof Error)) return String(error)
  // Which failure it was is for whoever runs the command.
  if (error instanceof DatabaseUnavailable && error.failure !== undefined) {
    return `the database cannot be used: ${error.failure}`
  }
  // An address that cannot be listened on says so in its cause only.
  return error.message === "" && error.cause !== undefined ? lineOf(error.cause) : error.message.replaceAll(/\s+/g, " ")
}

const report = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  // The command line reports its own errors beside the usage.
  return CliError.isCliError(error) || Cause.hasInterrupts(cause)
    ? Effect.void
    : Console.error(`banquo: ${lineOf(error)}`)
}

Heap.keepSmall()

// `runMain` lets go of signals before the process exits: one that came then would kill it, and its exit code with it.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, Function.constVoid)

Command.run(banquo, { version: manifest.version }).pipe(
  Effect.tapCause(report),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    // A stop that was asked for is a success.
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Exit.hasInterrupts(exit) ? 0 : 1),
  }),
)
