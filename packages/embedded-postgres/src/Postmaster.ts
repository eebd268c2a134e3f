import { Duration, Effect, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fstatSync, readSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Cluster } from "./Cluster.ts"
import { type DirectoryUnusable, PortTaken, StartFailed } from "./EmbeddedPostgresError.ts"
import * as ServerProcesses from "./ServerProcesses.ts"

/** Includes crash recovery, which replays at most `max_wal_size` (1 GB) or so. */
export const startTimeout = Duration.seconds(60)
export const connectionsMax = 200
export const logTailBytesMax = 4096
export const logTailLinesMax = 12

// Given as arguments, above all of postgresql.conf and ALTER SYSTEM. The log gets the server's own news only: neither
// statements, which hold the data of customers, nor their errors, which the client sees anyway and a file would gather.
const settings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  password_encryption: "scram-sha-256",
  max_connections: String(connectionsMax),
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  timezone: "UTC",
  log_timezone: "UTC",
  log_destination: "stderr",
  logging_collector: "off",
  log_statement: "none",
  log_min_duration_statement: "-1",
  log_min_messages: "log",
  log_min_error_statement: "panic",
  log_checkpoints: "off",
}

/** The server process of a cluster: none, or one at a time. */
export interface Postmaster {
  /** Stops leftovers of earlier servers, starts a new one and waits until it accepts connections. */
  readonly start: (port: number) => Effect.Effect<void, DirectoryUnusable | PortTaken | StartFailed>
  /** Waits for the end of the current server; says how it ended. */
  readonly exited: Effect.Effect<string>
  /** Of the current server, or of the last one while it is being replaced. */
  readonly pid: Effect.Effect<number>
}

/** Whatever server is running when the scope closes gets a fast shutdown, and is killed after `StopTimeout`. */
export const make = Effect.fnUntraced(function* (cluster: Cluster) {
  let server: ChildProcess | undefined
  yield* Effect.addFinalizer(() => Effect.suspend(() => (server === undefined ? Effect.void : stop(cluster, server))))

  const start = Effect.fnUntraced(function* (port: number) {
    yield* ServerProcesses.stopAll(cluster)
    const logStart = fstatSync(cluster.log.fd).size
    const started = spawnServer(cluster, port)
    server = started // at once, for the finalizer
    const fail = (reason: string) => Effect.suspend(() => Effect.fail(explain(cluster, logStart, reason, port)))
    yield* Effect.raceFirst(
      accepting(cluster, started),
      Effect.flatMap(exit(started), (how) => fail(`PostgreSQL did not start (${how})`)),
    ).pipe(
      Effect.timeoutOrElse({
        duration: startTimeout,
        orElse: () => fail(`PostgreSQL did not start within ${Duration.format(startTimeout)}`),
      }),
    )
  })

  const postmaster: Postmaster = {
    start,
    exited: Effect.suspend(() => (server === undefined ? Effect.never : exit(server))),
    pid: Effect.sync(() => server?.pid ?? 0),
  }
  return postmaster
})

const spawnServer = (cluster: Cluster, port: number) => {
  const options = Object.entries({ ...settings, port }).flatMap(([name, value]) => ["-c", `${name}=${value}`])
  const child = spawn(cluster.binaries.postgres, ["-D", cluster.data, ...options], {
    cwd: cluster.data,
    env: { LC_ALL: "C" },
    // Its own session: Ctrl-C reaches every process of the terminal's group, and the database must outlive the drain.
    detached: true,
    stdio: ["ignore", cluster.log.fd, cluster.log.fd],
    ...cluster.user,
  })
  child.on("error", () => {}) // seen by `exit`; unheard it would throw
  return child
}

/** The exit event; also when it was emitted before, or when there never was a process. */
const exit = (child: ChildProcess) =>
  Effect.callback<string>((resume) => {
    const describe = () => {
      const how = child.signalCode ?? (child.exitCode === null ? undefined : `exit code ${child.exitCode}`)
      return how ?? "it could not be executed"
    }
    const done = () => resume(Effect.sync(describe))
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return done()
    child.once("exit", done)
    return Effect.sync(() => child.off("exit", done))
  })

const accepting = (cluster: Cluster, child: ChildProcess) =>
  status(cluster).pipe(
    Effect.map(({ isReady, pid }) => isReady && pid === String(child.pid)),
    Effect.repeat({ until: (ready) => ready, schedule: Schedule.spaced("10 millis") }),
  )

/** What pg_ctl does: the server writes its state into postmaster.pid, and tells nobody. */
export const status = ({ data }: Pick<Cluster, "data">) =>
  Effect.promise(async () => {
    const text = await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")
    const lines = text.split("\n")
    return { pid: lines[0], port: Number(lines[3]), isReady: lines[7]?.trim() === "ready" }
  })

const stop = Effect.fnUntraced(function* (cluster: Cluster, child: ChildProcess) {
  child.kill("SIGINT")
  yield* exit(child).pipe(
    Effect.interruptible,
    Effect.timeoutOrElse({
      duration: yield* ServerProcesses.StopTimeout,
      orElse: () => ServerProcesses.kill(cluster).pipe(Effect.catch((error) => Effect.logError(error.message))),
    }),
  )
})

const explain = ({ log }: Cluster, logStart: number, reason: string, port: number) => {
  const start = Math.max(logStart, fstatSync(log.fd).size - logTailBytesMax)
  const buffer = Buffer.alloc(logTailBytesMax)
  const tail = buffer.toString("utf8", 0, readSync(log.fd, buffer, 0, logTailBytesMax, start)).trimEnd()
  return /could not bind .*: Address already in use/.test(tail)
    ? new PortTaken({ port })
    : new StartFailed({ reason, log: tail.split("\n").slice(-logTailLinesMax).join("\n") })
}
