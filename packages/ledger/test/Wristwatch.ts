/** A clock that goes as the real one does and can be set, so that what expires need not be waited for. */
import * as Timestamp from "@banquo/domain/Timestamp"
import { Clock, Effect, Layer } from "effect"

const real = Effect.runSync(Clock.Clock)

const clockOf = (millis: () => number): Clock.Clock => ({
  currentTimeMillisUnsafe: millis,
  currentTimeMillis: Effect.sync(millis),
  currentTimeNanosUnsafe: () => BigInt(millis()) * 1_000_000n,
  currentTimeNanos: Effect.sync(() => BigInt(millis()) * 1_000_000n),
  monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: Effect.sync(() => real.monotonicTimeNanosUnsafe()),
  sleep: (duration) => real.sleep(duration),
})

let ahead = 0

/** For all that a test file runs. */
export const layer: Layer.Layer<never> = Layer.succeed(
  Clock.Clock,
  clockOf(() => real.currentTimeMillisUnsafe() + ahead),
)

/** Sets it forward, in seconds. */
export const forward = (seconds: number): Effect.Effect<void> => Effect.sync(() => void (ahead += seconds * 1000))

/** By a watch of its own, on which it always is `instant`, to the millisecond. */
export const at = (instant: bigint) =>
  Effect.provideService(
    Clock.Clock,
    clockOf(() => Number(instant / 1000n)),
  )

export const now = Effect.map(Clock.currentTimeMillis, Timestamp.fromMillis)
