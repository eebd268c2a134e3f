import { Context, Deferred, Duration, Effect, Function, Layer } from "effect"

/** A signal so soon after the first is the same one: a terminal and a package manager may both pass Ctrl-C on. */
const sameSignalWithin = Duration.millis(500)

/**
 * How the server stops: it says that it is not ready and goes on serving, until balancers have seen it; then it closes, and
 * answers what is under way. A connection that is kept alive lives on until a response says that it ends, so from the first
 * moment on every response does.
 */
export class Draining extends Context.Service<
  Draining,
  {
    /** Whether the server was told to stop. */
    readonly hasBegun: () => boolean
    /** Whether whatever ends now was the last of its connection. */
    readonly isClosing: () => boolean
    /** Waits until streams that would go on for as long as their client likes are to end. */
    readonly closing: Effect.Effect<void>
    /** To be run before the listener closes: says not ready, waits, and ends streams. */
    readonly drain: Effect.Effect<void>
  }
>()("@banquo/server/Draining") {
  /**
   * `delay`: how long requests are still taken after `/readyz` has said no. `hurry`: called when the process is told to stop
   * once more, which also cuts the delay short.
   */
  static readonly layer = (options: { readonly delay: Duration.Duration; readonly hurry: () => void }) =>
    Layer.effect(
      Draining,
      Effect.gen(function* () {
        const closing = yield* Deferred.make<void>()
        let hasBegun = false
        let isClosing = false
        let cutShort: () => void = Function.constVoid
        let first = 0
        const onSignal = () => {
          if (performance.now() - first < Duration.toMillis(sameSignalWithin)) return
          cutShort()
          options.hurry()
        }
        yield* Effect.addFinalizer(() => Effect.sync(() => process.off("SIGTERM", onSignal).off("SIGINT", onSignal)))
        const wait = Effect.callback<void>((resume) => {
          // Also without a delay, connections that wait to be taken are: closing the listener would reset them.
          const done = () => setImmediate(() => setImmediate(() => resume(Effect.void)))
          const timer = setTimeout(done, Duration.toMillis(options.delay))
          cutShort = () => {
            clearTimeout(timer)
            done()
          }
        })
        const begin = Effect.sync(() => {
          hasBegun = true
          first = performance.now()
          process.on("SIGTERM", onSignal).on("SIGINT", onSignal)
        })
        return Draining.of({
          hasBegun: () => hasBegun,
          isClosing: () => isClosing,
          closing: Deferred.await(closing),
          drain: Effect.gen(function* () {
            yield* begin
            yield* Effect.logInfo("the server is not ready any more: it stops", {
              delay: Duration.format(options.delay),
            })
            yield* wait
            isClosing = true
            yield* Deferred.succeed(closing, undefined)
            yield* Effect.logInfo("the server takes no more connections")
          }),
        })
      }),
    )
}
