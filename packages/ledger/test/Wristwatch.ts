/** A clock that goes as the real one does and can be set, so that what expires need not be waited for. */
import * as Timestamp from "@banquo/domain/Timestamp"
import { Clock, Duration, Effect, Layer } from "effect"

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
let stoppedAt: number | undefined

/** For all that a test file runs. */
export const layer: Layer.Layer<never> = Layer.succeed(
  Clock.Clock,
  clockOf(() => (stoppedAt ?? real.currentTimeMillisUnsafe()) + ahead),
)

/** Stops it on a whole second while a program runs: then only {@link forward} moves it. */
export const stopped = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => void (stoppedAt = Math.ceil(real.currentTimeMillisUnsafe() / 1000) * 1000)),
    () => program,
    () => Effect.sync(() => void (stoppedAt = undefined)),
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

/** On which time goes as it does, but whoever waits for the next thing to do waits a twentieth. */
export const layerFast: Layer.Layer<never> = Layer.succeed(Clock.Clock, {
  ...clockOf(() => real.currentTimeMillisUnsafe()),
  sleep: (duration) => real.sleep(Duration.divideUnsafe(duration, 20)),
})
