/** Until when a program has to be answered. */
import { Context, Duration, Effect } from "effect"

/** Longest that a program, or a request of the HTTP API, waits for the database in all. */
export const deadlineDefault = Duration.seconds(8)

/** By `performance.now`, in milliseconds. Whatever waits for the database gives up then; a write, with an unknown outcome. */
export const Deadline = Context.Reference<number>("@banquo/ledger/Deadline", {
  defaultValue: () => Number.POSITIVE_INFINITY,
})

export const deadlineIn = (duration: Duration.Duration): number => performance.now() + Duration.toMillis(duration)

/** Milliseconds that are left, at most `duration`. */
export const timeLeft = (duration: Duration.Duration): Effect.Effect<number> =>
  Effect.map(Deadline, (deadline) => Math.min(Duration.toMillis(duration), deadline - performance.now()))
