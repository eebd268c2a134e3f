/** The command as a process of its own, and plain requests to where it listens. */
import { Effect, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { connect } from "node:net"
import { join } from "node:path"

const sources = join(import.meta.dirname, "../src/main.ts")

/** Everything that any command of this test file has printed. */
export const printed: Array<string> = []

export interface Command {
  readonly pid: number
  /** Both outputs so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  /** What the process ended with: its code, or the signal that killed it. */
  readonly exited: Effect.Effect<number | NodeJS.Signals | null>
  readonly signal: (name: NodeJS.Signals) => void
  /** Waits until the output has a match; dies if the process ends before. */
  readonly output: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
}

export interface RunOptions {
  readonly cwd?: string
  /** What Node runs; the sources, if not said. */
  readonly file?: string
}

/** `banquo <args>` with exactly this environment; killed when the scope closes, if it still runs. */
export const run = (args: ReadonlyArray<string>, env: Record<string, string>, options: RunOptions = {}) =>
  Effect.gen(function* () {
    const { file = sources, ...spawnOptions } = options
    let stdout = ""
    let stderr = ""
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [file, ...args], {
          env: { PATH: process.env["PATH"]!, NO_COLOR: "1", LOG_FORMAT: "pretty", ...env },
          stdio: ["ignore", "pipe", "pipe"],
          ...spawnOptions,
        }),
      ),
      (child) =>
        Effect.andThen(
          Effect.sync(() => child.kill("SIGKILL")),
          endOf(child),
        ),
    )
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
      printed.push(text)
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
      printed.push(text)
    })
    const command: Command = {
      pid: child.pid!,
      stdout: () => stdout,
      stderr: () => stderr,
      exited: endOf(child),
      signal: (name) => child.kill(name),
      output: (pattern) =>
        Effect.callback((resume) => {
          const look = () => {
            const match = pattern.exec(stdout)
            if (match !== null) resume(Effect.succeed(match))
            return match !== null
          }
          if (look()) return
          child.stdout.on("data", look)
          child.once("close", () => {
            if (!look())
              resume(Effect.die(new Error(`the process ended before it printed ${pattern}: ${stdout}${stderr}`)))
          })
        }),
    }
    return command
  })

/** With all that it printed read. */
const endOf = (child: ChildProcess) =>
  Effect.callback<number | NodeJS.Signals | null>((resume) => {
    const done = () => resume(Effect.succeed(child.exitCode ?? child.signalCode))
    const isOver = child.exitCode !== null || child.signalCode !== null
    if (isOver && child.stdout?.readableEnded === true && child.stderr?.readableEnded === true) return done()
    child.once("close", done)
  })

export interface ServeProcess extends Command {
  readonly url: string
}

/** `banquo serve` on a free port, when it listens. */
export const serve = (env: Record<string, string>, options?: RunOptions) =>
  Effect.gen(function* () {
    const command = yield* run(["serve"], { PORT: "0", ...env }, options)
    const [, url] = yield* command.output(/Banquo listens on ([^\s"]+)["\n]/)
    const served: ServeProcess = { ...command, url: url! }
    return served
  })

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

const request = (url: string, init: RequestInit) =>
  Effect.promise(async (): Promise<Answer> => {
    const response = await fetch(url, init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  })

export const get = (url: string) => request(url, {})

export const send = (
  method: "POST" | "PATCH",
  url: string,
  body: object,
  headers: Record<string, string> = {},
): Effect.Effect<Answer> =>
  request(url, { method, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) })

export const post = (url: string, body: object, headers: Record<string, string> = {}) =>
  send("POST", url, body, headers)

/** Asks again until it is so: for what comes by itself and tells nobody. At most 10 s. */
export const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, is: (a: A) => boolean) =>
  Effect.repeat(self, {
    until: is,
    schedule: Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "10 seconds" })),
  })

/** Whether somebody listens on a port. */
export const isListening = (url: string) =>
  Effect.callback<boolean>((resume) => {
    const socket = connect({ host: "127.0.0.1", port: Number(new URL(url).port) })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.once("error", () => resume(Effect.succeed(false)))
  })
