import { record } from "@banquo/ledger/LedgerMetrics"
import { Effect, Layer, Metric } from "effect"

const counters = new Map<string, Metric.Counter<number>>()

/** Counts that somebody was told no. `code`: that of the problem; of these there are few. */
export const countRefusal = (code: string, times = 1): void => {
  let counter = counters.get(code)
  if (counter === undefined) {
    counter = Metric.counter("banquo_refusals_total", {
      description: "Requests, and transactions of batches, that were not carried out, by the code of the problem",
      attributes: { code },
      incremental: true,
    })
    counters.set(code, counter)
  }
  record(counter, times)
}

/** The code of an error by its tag: `insufficient_funds` of `InsufficientFunds`. */
export const codeOf = (tag: string): string => tag.replaceAll(/(?<=.)[A-Z]/g, "_$&").toLowerCase()

/** Codes that alerts wait for: there from the start, so that the first one shows as one more, and not as a new series. */
const codesAwaited = ["contention", "database_unavailable", "internal_error", "outcome_unknown", "overloaded"]

/** Makes the series of refusals that alerts wait for. */
export const layer = Layer.effectDiscard(
  Effect.sync(() => {
    for (const code of codesAwaited) countRefusal(code, 0)
  }),
)
