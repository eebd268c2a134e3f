/** What the same database does for a bare SQL client: see `BareInserts.ts`. The other limit, HTTP, is in `StandIn.ts`. */
import { Effect, Redacted } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { type Latency, LoadFailed } from "./Load.ts"

/** The limits of the database, and what each is in a report. */
export const limits = {
  "single-row inserts": "one row for each INSERT, by a SQL client without HTTP",
  "multi-row inserts": "1000 rows for each INSERT, by a SQL client without HTTP",
} as const
export type LimitName = keyof typeof limits

export interface BareOptions {
  readonly clients: number
  readonly rowsPerStatement: number
  /** Prepared beforehand; it ends early when they are used up. */
  readonly rowsMax: number
  readonly measureMillis: number
}

export interface BareResult {
  readonly statements: number
  readonly rows: number
  readonly seconds: number
  readonly latency: Latency
}

export type BareMessage =
  | { readonly _tag: "Started" }
  | { readonly _tag: "Ended" }
  | { readonly _tag: "Done"; readonly result: BareResult }

/** Clients of multi-row inserts: as many batches as a server has under way, and one more. */
export const multiRowClients = 4

const program = fileURLToPath(new URL("BareInserts.ts", import.meta.url))

export const optionsOf = (name: LimitName, clients: number, measureMillis: number): BareOptions =>
  name === "single-row inserts"
    ? { clients, rowsPerStatement: 1, rowsMax: Math.ceil(measureMillis * 15), measureMillis }
    : {
        clients: multiRowClients,
        rowsPerStatement: 1000,
        rowsMax: Math.min(200_000, measureMillis * 40),
        measureMillis,
      }

/** `window` is told of the process before it begins, since its processor time is measured. */
export const run = (
  url: Redacted.Redacted<string>,
  options: BareOptions,
  window: { readonly started: (pid: number) => void; readonly ended: () => void },
): Effect.Effect<BareResult, LoadFailed> =>
  Effect.callback((resume) => {
    const child = fork(program, [JSON.stringify(options)], {
      execPath: process.execPath,
      execArgv: [],
      env: { ...process.env, DATABASE_URL: Redacted.value(url) },
    })
    child.on("message", (message: BareMessage) => {
      if (message._tag === "Started") window.started(child.pid!)
      else if (message._tag === "Ended") {
        window.ended()
        child.send("measured")
      } else resume(Effect.succeed(message.result))
    })
    child.once("error", (error) => resume(Effect.fail(new LoadFailed({ reason: error.message }))))
    child.once("exit", (code) => resume(Effect.fail(new LoadFailed({ reason: `it ended with code ${code}` }))))
    return Effect.sync(() => child.kill("SIGKILL"))
  })
