import { lineOf } from "@banquo/ledger/Fault"
import { type Progress, requireSound, verify } from "@banquo/ledger/Verifier"
import { Clock, Duration, Effect } from "effect"

/** Width of the bar, in characters. */
const width = 40

/** Time between two lines about the progress where there is no terminal to draw a bar on. */
const lineInterval = Duration.seconds(10)

/** Most faults that are named one by one. */
const namedMax = 20

const percentOf = ({ done }: Progress) => `${Math.floor(100 * done)} %`

const barOf = (progress: Progress) => {
  const full = Math.round(width * progress.done)
  const bar = "█".repeat(full) + "░".repeat(width - full)
  return `\r${bar} ${percentOf(progress).padStart(5)}  ${progress.changes} changes${progress.done === 1 ? "\n" : ""}`
}

/** A bar on a terminal, a log line now and then elsewhere. */
const makeProgress = Effect.map(Clock.currentTimeMillis, (start) => {
  let logged = start
  return (progress: Progress) =>
    process.stderr.isTTY
      ? Effect.sync(() => void process.stderr.write(barOf(progress)))
      : Effect.flatMap(Clock.currentTimeMillis, (now) => {
          if (now - logged < Duration.toMillis(lineInterval)) return Effect.void
          logged = now
          return Effect.logInfo(`verified ${percentOf(progress)}`, { changes: progress.changes })
        })
})

/** Verifies the ledger and says what it found; fails if it is not sound. */
export const verifyAndLog = Effect.gen(function* () {
  const verified = yield* verify(yield* makeProgress)
  for (const fault of verified.faults.slice(0, namedMax)) yield* Effect.logError(lineOf(fault))
  yield* requireSound(verified)
  const { accounts, changes, transactions } = verified
  yield* Effect.logInfo(
    `the ledger is sound: ${accounts} accounts, ${changes} changes, ${transactions} transactions of several changes`,
  )
})
