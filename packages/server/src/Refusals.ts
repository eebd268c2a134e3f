import { record } from "@banquo/ledger/LedgerMetrics"
import { Metric } from "effect"

const counters = new Map<string, Metric.Counter<number>>()

/** Counts that somebody was told no. `code`: that of the problem; of these there are few. */
export const countRefusal = (code: string): void => {
  let counter = counters.get(code)
  if (counter === undefined) {
    counter = Metric.counter("banquo_refusals_total", {
      description: "Requests, and transactions of batches, that were not carried out, by the code of the problem",
      attributes: { code },
      incremental: true,
    })
    counters.set(code, counter)
  }
  record(counter, 1)
}

/** The code of an error by its tag: `insufficient_funds` of `InsufficientFunds`. */
export const codeOf = (tag: string): string => tag.replaceAll(/(?<=.)[A-Z]/g, "_$&").toLowerCase()
