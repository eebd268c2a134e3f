/** Processes of the server, and of the stand-ins that it is compared with: each is a Node of its own. */
import { Effect, Redacted, Schema, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { RivalName } from "./Rival.ts"

/** What answers HTTP. */
export type ServerName = "banquo" | "no-op" | RivalName

export interface Server {
  readonly url: string
  readonly pid: number
  readonly signal: (name: NodeJS.Signals) => void
  /** Waits for the end: the exit code, or the signal that killed it. */
  readonly exited: Effect.Effect<number | NodeJS.Signals | null>
}

export class ServerFailed extends Schema.TaggedError<ServerFailed>()("ServerFailed", { reason: Schema.String }) {
  override get message() {
    return `a server did not start: ${this.reason}`
  }
}

/** Includes loading the sources, which takes seconds where several start on few cores. */
const startTimeout = "60 seconds"

/** Then it is killed. */
const stopMillisMax = 10_000

const banquo = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url))
const standIn = fileURLToPath(new URL("StandIn.ts", import.meta.url))

/** Listens when this has succeeded; stops with the scope, and is waited for. */
export const start = (
  name: ServerName,
  databaseUrl: Redacted.Redacted<string>,
  env: Record<string, string> = {},
): Effect.Effect<Server, ServerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, name === "banquo" ? [banquo, "serve"] : [standIn, name], {
          env: {
            ...process.env,
            HOST: "127.0.0.1",
            PORT: "0",
            DATABASE_URL: Redacted.value(databaseUrl),
            NODE_ENV: "production",
            ...env,
          },
          stdio: ["ignore", "pipe", "pipe"],
        }),
      ),
      stop,
    )
    const url = yield* listening(child).pipe(
      Effect.timeoutOrElse({
        duration: startTimeout,
        orElse: () => new ServerFailed({ reason: `${name} did not listen within ${startTimeout}` }),
      }),
    )
    const exited = Effect.callback<number | NodeJS.Signals | null>((resume) => {
      const done = () => resume(Effect.succeed(child.exitCode ?? child.signalCode))
      if (child.exitCode !== null || child.signalCode !== null) done()
      else child.once("exit", done)
    })
    return { url, pid: child.pid!, signal: (name) => child.kill(name), exited }
  })

/** The address that the process prints once it listens. What it prints later is read and dropped, or it would block. */
const listening = (child: ChildProcess): Effect.Effect<string, ServerFailed> =>
  Effect.callback((resume) => {
    let output = ""
    const onData = (chunk: Buffer) => {
      if (output.length > 65_536) return
      output += chunk.toString()
      const match = /listens on (http:[^\s"]+)/.exec(output)
      if (match !== null) resume(Effect.succeed(match[1]!))
    }
    child.stdout!.on("data", onData)
    child.stderr!.on("data", onData)
    child.once("error", (error) => resume(Effect.fail(new ServerFailed({ reason: error.message }))))
    child.once("exit", () => resume(Effect.fail(new ServerFailed({ reason: output.slice(-2000) }))))
  })

const stop = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const timer = setTimeout(() => child.kill("SIGKILL"), stopMillisMax)
    child.once("exit", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    child.kill("SIGTERM")
  })
