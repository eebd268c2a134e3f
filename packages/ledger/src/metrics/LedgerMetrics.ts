/**
 * What an operator watches of the write path. Numbers that are there anyway are read when somebody asks for them; the others
 * cost a look-up and an addition for each batch, not for each request.
 */
import { Context, Effect, Function, Metric, type Scope } from "effect"

/** Metrics belong to the process, not to a fiber: no context is looked through for them. */
const ofProcess = Context.empty()

/** Adds to a counter or a histogram. */
export const record = <Input>(metric: Metric.Metric<Input, unknown>, value: Input): void =>
  metric.updateUnsafe(value, ofProcess)

/** A number that is read whenever the metrics are, for as long as the scope is open. */
export const observe = (
  name: string,
  options: {
    readonly description: string
    readonly isCounter?: boolean
    readonly attributes?: Record<string, string>
    readonly read: () => number
  },
): Effect.Effect<void, never, Scope.Scope> => {
  const { attributes, description, isCounter, read } = options
  const described = { description, ...(attributes === undefined ? {} : { attributes }) }
  const nothing = Function.constVoid
  return Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() =>
        isCounter === true
          ? Metric.registerUnsafe(Metric.counter(name, described), ofProcess, {
              get: () => ({ count: read(), incremental: true }),
              update: nothing,
              modify: nothing,
            })
          : Metric.registerUnsafe(Metric.gauge(name, described), ofProcess, {
              get: () => ({ value: read() }),
              update: nothing,
              modify: nothing,
            }),
      ),
      ({ remove }) => Effect.sync(remove),
    ),
  )
}

/** Bounds in seconds, from the round trip to a database next door up to the time that a write may take. */
export const secondsBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Both up to the limits of `GroupCommit.ts`. */
export const batchRows = Metric.histogram("banquo_batch_rows", {
  description: "Rows of a batch that was sent to the database by one INSERT",
  boundaries: [1, 2, 5, 10, 25, 50, 100, 250, 500],
})

export const commitSeconds = Metric.histogram("banquo_commit_seconds", {
  description: "Time that appending a batch took, with its repetitions",
  boundaries: secondsBounds,
})

export const conflicts = Metric.counter("banquo_conflicts_total", {
  description: "Batches that met rows which another instance had appended, and were decided again",
  incremental: true,
})

const headLookups = (result: "hit" | "miss") =>
  Metric.counter("banquo_head_lookups_total", {
    description: "Accounts whose newest row was remembered (hit) or had to be read (miss) when a batch was decided",
    attributes: { result },
    incremental: true,
  })
export const headHits = headLookups("hit")
export const headMisses = headLookups("miss")

const failures = new Map<string, Metric.Counter<number>>()

/** A statement that failed. `sqlstate`: five characters, or `none` where the connection was lost without one. */
export const recordFailure = (sqlstate: string | undefined, times = 1): void => {
  const state = sqlstate ?? "none"
  const counter =
    failures.get(state) ??
    Metric.counter("banquo_statement_failures_total", {
      description: "Statements that failed, by SQLSTATE; those that can be are tried again",
      attributes: { sqlstate: state },
      incremental: true,
    })
  failures.set(state, counter)
  record(counter, times)
}

const statements = { inFlight: 0 }

/** Counts a statement as long as it waits for a connection or its answer. */
export const whileInFlight = <A, E, R>(statement: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    statements.inFlight += 1
    return Effect.ensuring(
      statement,
      Effect.sync(() => (statements.inFlight -= 1)),
    )
  })

/** How many there are. The pool does not tell how many of its connections are in use. */
export const statementsInFlight = (): number => statements.inFlight

/** Those that are there from the start, so that the first failure shows as one more, and not as a new series. */
const statesAwaited = ["23505", "40001", "40P01", "40003", "57014", "57P01", "XXC02", undefined]

/** Makes all series of the write path that can be told beforehand. */
export const prepare: Effect.Effect<void> = Effect.sync(() => {
  for (const counter of [conflicts, headHits, headMisses]) record(counter, 0)
  for (const histogram of [batchRows, commitSeconds]) histogram.valueUnsafe(ofProcess)
  for (const state of statesAwaited) recordFailure(state, 0)
})

/** Seconds since `start`, which is one of `performance.now`. */
export const secondsSince = (start: number): number => (performance.now() - start) / 1000
