/** How the command tells its operator what happens: log lines, and traces, logs and metrics by OTLP where that is configured. */
import { Config, Context, Effect, Formatter, Layer, Logger, Option, References, Tracer } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, OtlpSerialization } from "effect/observability"
import manifest from "../package.json" with { type: "json" }

/** For people on a terminal, and whoever tries it on the embedded database; for programs where it is in service. */
const LogFormat = Config.all({
  said: Config.option(Config.Literals(["json", "pretty"], "LOG_FORMAT")),
  url: Config.option(Config.String("DATABASE_URL")),
  roachHost: Config.option(Config.String("ROACH_HOST")),
}).pipe(
  Config.map(({ roachHost, said, url }) => {
    const isEmbedded = Option.isNone(url) && Option.isNone(roachHost)
    return Option.getOrElse(said, () => (process.stdout.isTTY || isEmbedded ? "pretty" : "json"))
  }),
)

/** Whether log lines are for programs. */
export const isJson = Effect.map(LogFormat, (format) => format === "json")

/** One line of JSON. What a message has beside its text, such as the id of a request, stands by its side. */
export const jsonLogger = Logger.make(({ date, fiber, logLevel, message }) => {
  const parts = Array.isArray(message) ? (message as ReadonlyArray<unknown>) : [message]
  const span = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
  return Formatter.formatJson({
    time: date.toISOString(),
    level: logLevel.toLowerCase(),
    message: parts.filter((part) => typeof part === "string").join(" "),
    ...fiber.getRef(References.CurrentLogAnnotations),
    ...Object.assign({}, ...parts.filter((part) => typeof part === "object")),
    ...(span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }),
  })
})

const layerLogger = Layer.unwrap(
  Effect.map(isJson, (isJson) => Logger.layer([isJson ? Logger.withConsoleLog(jsonLogger) : Logger.consolePretty()])),
)

/** What OpenTelemetry calls them. Spans are only made where somebody receives them. */
const OtlpConfig = Config.all({
  isDisabled: Config.Boolean("OTEL_SDK_DISABLED").pipe(Config.withDefault(false)),
  protocol: Config.Literals(["http/protobuf", "http/json"], "OTEL_EXPORTER_OTLP_PROTOCOL").pipe(
    Config.withDefault("http/protobuf"),
  ),
  tracesExporter: Config.String("OTEL_TRACES_EXPORTER").pipe(Config.withDefault("none")),
})

/** What the command reads from its environment for it, beside the other variables of OpenTelemetry. */
export const TelemetryConfig = Config.all({ format: LogFormat, otlp: OtlpConfig })

export const isTraced = Effect.map(
  OtlpConfig,
  ({ isDisabled, tracesExporter }) => !isDisabled && tracesExporter.split(",").includes("otlp"),
)

const layerOtlp = Layer.unwrap(
  Effect.map(OtlpConfig, ({ protocol }) =>
    Otlp.layerFromConfig({
      resource: { serviceName: "banquo", serviceVersion: manifest.version },
      loggerMergeWithExisting: true,
    }).pipe(
      Layer.provide([
        protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf,
        FetchHttpClient.layer,
      ]),
    ),
  ),
)

/** Stacked: of two sets of loggers side by side only one would be used. */
export const layer = layerOtlp.pipe(Layer.provideMerge(layerLogger))
