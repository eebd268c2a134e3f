import { Duration, Effect } from "effect"
import { randomBytes } from "node:crypto"
import { mkdtemp, open as openFile, readdir, readFile, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import * as Binaries from "./Binaries.ts"
import { DirectoryUnusable, StartFailed } from "./EmbeddedPostgresError.ts"
import { attempt, type Home, locate, own, syncDirectory } from "./Home.ts"
import * as ServerProcesses from "./ServerProcesses.ts"
import * as ServiceLock from "./ServiceLock.ts"
import { run } from "./UnprivilegedUser.ts"

export const superuserRole = "banquo_superuser"
export const passwordBytes = 24
export const initTimeout = Duration.minutes(2)

/** Random, in hexadecimal: safe inside SQL and URLs. Kept inside the data, so that cluster and passwords never part. */
export interface Passwords {
  readonly superuser: string
  readonly owner: string
  readonly app: string
}

/** A cluster on disk, locked for this service and ready to be started. */
export interface Cluster extends Home {
  readonly binaries: Binaries.Binaries
  readonly passwords: Passwords
  /** Truncated at each start. A file and no pipe: a server that outlives its service must not block or break on it. */
  readonly log: { readonly path: string; readonly fd: number }
}

/** Finds or creates the cluster of `directory` and locks it until the scope closes. Creating takes about a second. */
export const open = Effect.fnUntraced(function* (directory: string) {
  const home = yield* locate(directory)
  const binaries = yield* Binaries.locate(home)
  yield* ServiceLock.acquire(home)
  const passwords = (yield* readPasswords(home)) ?? (yield* initialise(home, binaries))
  const path = join(home.path, "postgres.log")
  const handle = yield* Effect.acquireRelease(
    attempt(path)(async () => {
      await rm(path, { force: true })
      return openFile(path, "ax+", 0o600)
    }),
    (file) => Effect.promise(() => file.close()),
  )
  yield* attempt(path)(() => own(home, path))
  return { ...home, binaries, passwords, log: { path, fd: handle.fd } } satisfies Cluster
})

/** What is needed to connect to the cluster of `directory`, which another service has locked. */
export const find = Effect.fnUntraced(function* (directory: string) {
  const home = yield* locate(directory)
  const passwords = yield* readPasswords(home)
  if (passwords === undefined) return yield* new DirectoryUnusable({ directory, reason: "there is no cluster in it" })
  return { ...home, passwords }
})

const passwordFile = "banquo-passwords.json"

const newPassword = () => randomBytes(passwordBytes).toString("hex")

const readPasswords = (home: Home) =>
  attempt(home.data)(async (): Promise<Passwords | undefined> => {
    try {
      return JSON.parse(await readFile(join(home.data, passwordFile), "utf8"))
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
      throw cause
    }
  })

/** Works in a sibling folder and renames at the end: `data` is a finished cluster or does not exist. */
const initialise = Effect.fnUntraced(function* (home: Home, binaries: Binaries.Binaries) {
  const io = attempt(home.path)
  yield* removeLeftovers(home)
  const passwords: Passwords = { superuser: newPassword(), owner: newPassword(), app: newPassword() }
  const work = yield* io(() => mkdtemp(join(home.path, workPrefix)))
  yield* Effect.gen(function* () {
    yield* io(() => own(home, work))
    yield* io(() => writePrivately(home, join(work, "password"), passwords.superuser))
    yield* initdb(home, binaries, work)
    yield* io(() => writePrivately(home, join(work, "data", passwordFile), JSON.stringify(passwords)))
    yield* io(() => syncDirectory(join(work, "data")))
    yield* io(() => rename(join(work, "data"), home.data)) // refused if something else is there
    yield* io(() => syncDirectory(home.path))
  }).pipe(Effect.ensuring(Effect.ignore(removeLeftovers(home))))
  return passwords
})

const initdb = Effect.fnUntraced(function* (home: Home, binaries: Binaries.Binaries, work: string) {
  const { exitCode, output } = yield* run(home.user, binaries.initdb, [
    `--pgdata=${join(work, "data")}`,
    `--username=${superuserRole}`,
    `--pwfile=${join(work, "password")}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--no-locale",
    "--no-instructions",
  ]).pipe(
    Effect.timeoutOrElse({
      duration: initTimeout,
      orElse: () => new StartFailed({ reason: `initdb took more than ${Duration.format(initTimeout)}`, log: "" }),
    }),
  )
  if (exitCode !== 0) return yield* new StartFailed({ reason: "initdb failed", log: output })
})

const workPrefix = ".initdb-"

// Of an earlier initdb whose service was killed; it may still be at work, and fails without its server process.
const removeLeftovers = Effect.fnUntraced(function* (home: Home) {
  const io = attempt(home.path)
  const names = (yield* io(() => readdir(home.path))).filter((name) => name.startsWith(workPrefix))
  for (const name of names) {
    const path = join(home.path, name)
    yield* ServerProcesses.kill({ ...home, data: join(path, "data") })
    yield* io(() => rm(path, { recursive: true, force: true, maxRetries: 5 }))
  }
})

const writePrivately = async (home: Home, path: string, text: string) => {
  const file = await openFile(path, "wx", 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await own(home, path)
}
