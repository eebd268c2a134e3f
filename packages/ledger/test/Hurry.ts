import { Clock, Duration, Effect } from "effect"

/** Time-outs of the ledger stay far above what a statement takes. */
const speed = 5

const real = Effect.runSync(Clock.Clock)
const startMillis = real.currentTimeMillisUnsafe()
const startNanos = real.currentTimeNanosUnsafe()
const startMonotonic = real.monotonicTimeNanosUnsafe()

const clock: Clock.Clock = {
  currentTimeMillisUnsafe: () => startMillis + speed * (real.currentTimeMillisUnsafe() - startMillis),
  currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe()),
  currentTimeNanosUnsafe: () => startNanos + BigInt(speed) * (real.currentTimeNanosUnsafe() - startNanos),
  currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe()),
  monotonicTimeNanosUnsafe: () => startMonotonic + BigInt(speed) * (real.monotonicTimeNanosUnsafe() - startMonotonic),
  monotonicTimeNanos: Effect.sync(() => clock.monotonicTimeNanosUnsafe()),
  sleep: (duration) => real.sleep(Duration.divideUnsafe(duration, speed)),
}

/** Runs a program that waits for its time to be over by a clock that goes faster. */
export const hurried = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(program, Clock.Clock, clock)
