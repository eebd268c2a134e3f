import { Context, Duration, Effect, Schedule } from "effect"
import { readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { StartFailed } from "./EmbeddedPostgresError.ts"
import { attempt, type Home } from "./Home.ts"
import { run } from "./UnprivilegedUser.ts"

/** How long a fast shutdown (end the sessions, write a checkpoint) may take before the server is killed. */
export const StopTimeout = Context.Reference<Duration.Duration>("@banquo/embedded-postgres/StopTimeout", {
  defaultValue: () => Duration.seconds(20),
})

/** How long processes may take to die of SIGQUIT, then of SIGKILL. */
export const killTimeout = Duration.seconds(1)

// Every process of a server is called `postgres` and works in its data directory: exact, even when the pid file is gone
// or its pid belongs to somebody else by now. Asked as the server's user, because a root without CAP_SYS_PTRACE (any
// container) may not look at another user's working directory. One process, whatever the number of processes.
const scan = `for p in /proc/[0-9]*; do
  [ "$p/cwd" -ef "$1" ] && read -r name < "$p/comm" && [ "$name" = postgres ] && echo "\${p#/proc/}"
done; true`

/** The pids of all server processes working on the home's data, by anybody's start. Costs about 10 ms. */
export const find = Effect.fnUntraced(function* ({ data, user }: Home) {
  const { exitCode, output } = yield* process.platform === "linux"
    ? run(user, "/bin/sh", ["-c", scan, "sh", data])
    : run(user, "/usr/sbin/lsof", ["-t", "-a", "-c", "postgres", "-d", "cwd", data]) // 1 = none
  if (exitCode === undefined) {
    return yield* new StartFailed({ reason: "the running processes cannot be listed", log: output })
  }
  return output
    .split("\n")
    .filter((line) => /^\d+$/.test(line))
    .map(Number)
})

/**
 * Stops what a dead service or a dead postmaster left running on the data: fast, then immediate, then by force.
 * The caller holds the home's lock.
 */
export const stopAll = Effect.fnUntraced(function* (home: Home) {
  const postmaster = yield* pidInFile(home)
  const running = yield* find(home)
  if (postmaster !== undefined && running.includes(postmaster)) {
    signal(postmaster, "SIGINT")
    if (!(yield* gone(home, yield* StopTimeout))) yield* kill(home)
  } else if (running.length > 0) {
    yield* kill(home)
  }
  if (postmaster !== undefined && exists(postmaster)) yield* removePidFile(home)
})

/** Ends all server processes without a checkpoint; the next start recovers from the write-ahead log. */
export const kill = Effect.fnUntraced(function* (home: Home) {
  for (const force of ["SIGQUIT", "SIGKILL"] as const) {
    for (const pid of yield* find(home)) signal(pid, force)
    if (yield* gone(home, killTimeout)) return
  }
  const pids = (yield* find(home)).join(", ")
  return yield* new StartFailed({ reason: `PostgreSQL processes ${pids} cannot be stopped`, log: "" })
})

// Not our children: there is no exit to wait for.
const gone = (home: Home, within: Duration.Duration) =>
  find(home).pipe(
    Effect.repeat({ until: (pids) => pids.length === 0, schedule: Schedule.spaced("30 millis") }),
    Effect.as(true),
    Effect.interruptible,
    Effect.timeoutOrElse({ duration: within, orElse: () => Effect.succeed(false) }),
  )

const pidInFile = (home: Home) =>
  Effect.promise(async () => {
    const text = await readFile(join(home.data, "postmaster.pid"), "utf8").catch(() => "")
    const pid = Number.parseInt(text, 10)
    return pid > 0 ? pid : undefined
  })

// No server works on the data any more, yet its pid may be taken: by another program, or by its own remains where init
// does not collect zombies, as in many containers. PostgreSQL ignores the file of a free pid, but refuses to start then.
const removePidFile = (home: Home) => attempt(home.data)(() => rm(join(home.data, "postmaster.pid"), { force: true }))

const exists = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
}

const signal = (pid: number, name: NodeJS.Signals) => {
  try {
    process.kill(pid, name)
  } catch {
    // it ended in the meantime
  }
}
