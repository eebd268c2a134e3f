/** What an operator watches of the process itself. All of it is read when somebody asks for the metrics. */
import { observe } from "@banquo/ledger/LedgerMetrics"
import { Effect, Layer } from "effect"
import { monitorEventLoopDelay, performance } from "node:perf_hooks"
import manifest from "../package.json" with { type: "json" }

/** How often the delay of the event loop is measured, in milliseconds. It shows as this much when there is none. */
const delayResolution = 10

/** The delay is that since the metrics were read before: read by two, each sees a part. */
const delayQuantiles = [0.5, 0.99, 1]

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const delay = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const histogram = monitorEventLoopDelay({ resolution: delayResolution })
        histogram.enable()
        return histogram
      }),
      (histogram) => Effect.sync(() => histogram.disable()),
    )
    yield* observe("banquo_build_info", {
      description: "1; its labels tell which build this is",
      attributes: { version: manifest.version, node: process.version },
      read: () => 1,
    })
    for (const quantile of delayQuantiles) {
      yield* observe("banquo_event_loop_delay_seconds", {
        description: "How late timers fired since the metrics were read before",
        attributes: { quantile: `${quantile}` },
        read: () => {
          const nanoseconds = delay.count === 0 ? 0 : delay.percentile(100 * quantile)
          if (quantile === delayQuantiles.at(-1)) delay.reset()
          return nanoseconds / 1e9
        },
      })
    }
    yield* observe("banquo_event_loop_active_seconds_total", {
      description: "Time that the event loop was not idle; its rate is the utilisation",
      isCounter: true,
      read: () => performance.eventLoopUtilization().active / 1000,
    })
    yield* observe("process_cpu_seconds_total", {
      description: "User and system CPU time",
      isCounter: true,
      read: () => {
        const { system, user } = process.cpuUsage()
        return (system + user) / 1e6
      },
    })
    yield* observe("process_resident_memory_bytes", {
      description: "Resident memory",
      read: () => process.memoryUsage.rss(),
    })
    yield* observe("process_heap_used_bytes", {
      description: "Memory that JavaScript objects take",
      read: () => process.memoryUsage().heapUsed,
    })
    yield* observe("process_start_time_seconds", {
      description: "When the process was started, in seconds since 1970",
      read: () => performance.timeOrigin / 1000,
    })
  }),
)
