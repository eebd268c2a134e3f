import { Effect } from "effect"

/**
 * Whether the process was told to stop. The listener closes at once then, but a connection that is kept alive lives on
 * until a response says that it ends.
 */
export const make = Effect.acquireRelease(
  Effect.sync(() => {
    const state = { isDraining: false }
    const onSignal = () => {
      state.isDraining = true
    }
    process.on("SIGTERM", onSignal).on("SIGINT", onSignal)
    return { state, onSignal }
  }),
  ({ onSignal }) => Effect.sync(() => process.off("SIGTERM", onSignal).off("SIGINT", onSignal)),
).pipe(Effect.map(({ state }) => state as { readonly isDraining: boolean }))
