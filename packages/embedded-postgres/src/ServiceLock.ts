import { Duration, Effect, Schedule } from "effect"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { AlreadyRunning, DirectoryUnusable } from "./EmbeddedPostgresError.ts"
import { attempt, type Home, own } from "./Home.ts"

/** How long a predecessor that is just exiting may keep the lock. */
export const lockTimeout = Duration.seconds(1)

const sqliteBusy = 5

/**
 * One service per home: a lock that the kernel drops when its holder dies, however it dies. Node has no flock, but
 * SQLite takes an equivalent one. While we hold it, any server found running on the data is an orphan.
 * Fails with `AlreadyRunning` after {@link lockTimeout}.
 */
export const acquire = (home: Home) => {
  const pidFile = join(home.path, "service.pid")
  const lockFile = join(home.path, "service.lock")
  const take = Effect.try({
    try: () => {
      const database = new DatabaseSync(lockFile, { timeout: 0 })
      try {
        database.exec("PRAGMA journal_mode = OFF")
        database.exec("BEGIN EXCLUSIVE")
        writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 })
        return database
      } catch (cause) {
        database.close()
        throw cause
      }
    },
    catch: (cause) => {
      const { errcode, message } = cause as Error & { readonly errcode?: number }
      if (errcode === sqliteBusy) return new AlreadyRunning({ directory: home.path, ...holder(pidFile) })
      return new DirectoryUnusable({ directory: home.path, reason: message })
    },
  })
  const patiently = take.pipe(
    Effect.retry({
      while: (error) => error._tag === "AlreadyRunning",
      schedule: Schedule.spaced("50 millis").pipe(Schedule.upTo({ duration: lockTimeout })),
    }),
  )
  return Effect.acquireRelease(patiently, (database) =>
    Effect.sync(() => {
      rmSync(pidFile, { force: true })
      database.close()
    }),
  ).pipe(
    Effect.andThen(
      attempt(home.path)(async () => {
        await own(home, lockFile)
        await own(home, pidFile)
      }),
    ),
  )
}

const holder = (pidFile: string) => {
  try {
    const pid = Number.parseInt(readFileSync(pidFile, "utf8"), 10)
    return Number.isNaN(pid) ? {} : { pid }
  } catch {
    return {}
  }
}
