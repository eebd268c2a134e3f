/** Load on servers: runs the generator in its thread and hands back what it saw. */
import { Effect, Schema } from "effect"
import { Worker } from "node:worker_threads"
import type { ClientLog } from "./Attempt.ts"
import type { WorkloadName } from "./Workload.ts"

export interface LoadOptions {
  /** Clients are spread over these. */
  readonly urls: ReadonlyArray<string>
  readonly workload: WorkloadName
  readonly accounts: ReadonlyArray<string>
  readonly clients: number
  /** Requests per second of an open loop; `null`: a closed loop, each client waits for its answer. */
  readonly rate: number | null
  /** Before the window that is measured. */
  readonly warmMillis: number
  readonly measureMillis: number
  readonly seed: number
  /** Begins each key. */
  readonly run: string
  /** Whether the log of requests is wanted. */
  readonly isLogged: boolean
}

/** In milliseconds, to a thousandth. From when a request should have left until its answer was there. */
export interface Latency {
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** What came back within the window. */
export interface Counts {
  readonly requests: number
  /** Changes that were acknowledged and not replayed. */
  readonly changes: number
  readonly reads: number
  readonly acknowledged: number
  readonly replayed: number
  readonly refused: number
  readonly unknown: number
}

export interface LoadResult {
  readonly counts: Counts
  readonly seconds: number
  /** Of writes; `null` if there were none. */
  readonly latency: Latency | null
  readonly readLatency: Latency | null
  /** Of the generator's thread, within the window. */
  readonly cpuSeconds: number
  /** Of all requests, those before the window too. */
  readonly log: ClientLog | null
}

export type Message =
  | { readonly _tag: "Started" }
  | { readonly _tag: "Ended" }
  | { readonly _tag: "Done"; readonly result: LoadResult }

export class LoadFailed extends Schema.TaggedError<LoadFailed>()("LoadFailed", { reason: Schema.String }) {
  override get message() {
    return `the load generator failed: ${this.reason}`
  }
}

/** Told when the measured window begins and ends. */
export interface Window {
  readonly started: () => void
  readonly ended: () => void
}

/** Takes the warm-up, the window, and the answers to what is on its way then. */
export const run = (options: LoadOptions, window: Window): Effect.Effect<LoadResult, LoadFailed> =>
  Effect.callback((resume) => {
    const worker = new Worker(new URL("LoadWorker.ts", import.meta.url), { workerData: options })
    worker.on("message", (message: Message) => {
      if (message._tag === "Started") window.started()
      else if (message._tag === "Ended") window.ended()
      else resume(Effect.succeed(message.result))
    })
    worker.on("error", (error) => resume(Effect.fail(new LoadFailed({ reason: String(error) }))))
    worker.on("exit", (code) => resume(Effect.fail(new LoadFailed({ reason: `it ended with code ${code}` }))))
    return Effect.promise(() => worker.terminate())
  })
