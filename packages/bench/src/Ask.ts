/** What a client asks for, and where it has that from. */
import type { Attempt, Outcome } from "./Attempt.ts"

/** A transaction that a request asks for. */
export interface Write {
  readonly key: string
  readonly asked: Attempt["asked"]
}

export type Ask =
  | {
      readonly _tag: "Post"
      /** Default: POST. */
      readonly method?: "PATCH"
      readonly path: string
      readonly body: string
      readonly writes: readonly [Write]
    }
  | { readonly _tag: "Batch"; readonly path: string; readonly body: string; readonly writes: ReadonlyArray<Write> }
  | { readonly _tag: "Read"; readonly path: string; readonly acctId: string }

export interface Workload {
  readonly next: () => Ask
  /** To be told how each request ended, and what later ones may be about. */
  readonly ended: (ask: Ask, outcome: Outcome, made: Made) => void
}

/** What the answer to a write names. */
export interface Made {
  readonly transactionId?: string
  readonly holdId?: string
}
