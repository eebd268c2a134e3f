import { Context, Effect } from "effect"
import { createHash } from "node:crypto"
import { chmod, chown, lstat, mkdir, open, realpath, rm, stat, symlink } from "node:fs/promises"
import { dirname, join } from "node:path"
import { DirectoryUnusable } from "./EmbeddedPostgresError.ts"
import * as UnprivilegedUser from "./UnprivilegedUser.ts"

/** Where root keeps what the unprivileged user cannot reach in the checkout: binaries and data. */
export const SystemFolder = Context.Reference<string>("@banquo/embedded-postgres/SystemFolder", {
  defaultValue: () => "/var/lib/banquo",
})

/** SQLite, which locks, ends at 512 bytes, PostgreSQL at 1,024: file names included. initdb would overrun its stack. */
export const homePathBytesMax = 480

/** The folder of one cluster: `data`, `postgres.log`, `service.lock`, `service.pid`. */
export interface Home {
  readonly path: string
  readonly data: string
  readonly user: UnprivilegedUser.UnprivilegedUser | undefined
}

/** Runs file operations; whatever they throw makes `directory` unusable. */
export const attempt =
  (directory: string) =>
  <A>(operation: () => Promise<A>) =>
    Effect.tryPromise({
      try: operation,
      catch: (cause) =>
        new DirectoryUnusable({ directory, reason: cause instanceof Error ? cause.message : `${cause}` }),
    })

/** Hands a file made by root to the server's user, so that the same person can later run without root. */
export const own = async (home: Home, path: string) => {
  if (home.user !== undefined) await chown(path, home.user.uid, home.user.gid)
}

/** Makes a rename or a new file inside `directory` survive a power failure. */
export const syncDirectory = async (directory: string) => {
  const handle = await open(directory, "r")
  await handle.sync().finally(() => handle.close())
}

/** A folder under `/var/lib` that only root can change; `Error` if somebody else could, since root runs what is in it. */
export const rootFolder = async (path: string) => {
  await mkdir(path, { recursive: true })
  const found = await lstat(path)
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0) {
    throw new Error(`${path} must be a folder that only root can write`)
  }
  await chmod(path, 0o755) // whatever the umask was
}

const resolvedLink = async (path: string) => {
  const found = await lstat(path).catch(() => undefined)
  return found?.isSymbolicLink() ? await realpath(path).catch(() => undefined) : undefined
}

/**
 * Creates `directory` and finds the folder for its cluster: where its `data` link leads, else `directory` itself, else,
 * for a root whose server could not get there, `<SystemFolder>/<hash of the path>` with a `data` link pointing to it.
 */
export const locate = Effect.fnUntraced(function* (directory: string) {
  const io = attempt(directory)
  // Root's folder lets the server's user pass through, but not look around.
  yield* io(() => mkdir(directory, { recursive: true, mode: UnprivilegedUser.isRoot() ? 0o711 : 0o700 }))
  const real = yield* io(() => realpath(directory))
  const linked = yield* io(() => resolvedLink(join(real, "data")))
  const path = linked === undefined ? real : dirname(linked)
  const data = linked ?? join(real, "data")

  const user = UnprivilegedUser.isRoot() ? yield* UnprivilegedUser.choose(data) : undefined
  const short = Buffer.byteLength(path) <= homePathBytesMax
  if (short && (user === undefined || (yield* UnprivilegedUser.canReach(user, [path])))) return { path, data, user }
  if (user === undefined) {
    return yield* new DirectoryUnusable({ directory, reason: `its path is longer than ${homePathBytesMax} bytes` })
  }
  if (
    yield* io(() =>
      stat(data).then(
        () => true,
        () => false,
      ),
    )
  ) {
    const reason = `its data belong to user ${user.uid}, who can no longer reach them`
    return yield* new DirectoryUnusable({ directory, reason })
  }
  return yield* locateInSystemFolder(directory, real, user)
})

const locateInSystemFolder = Effect.fnUntraced(function* (
  directory: string,
  real: string,
  user: UnprivilegedUser.UnprivilegedUser,
) {
  const system = yield* SystemFolder
  const path = join(system, createHash("sha256").update(real).digest("hex").slice(0, 16))
  const data = join(path, "data")
  yield* attempt(directory)(async () => {
    await rootFolder(system)
    await rootFolder(path)
    await rm(join(real, "data"), { force: true }) // a link that leads nowhere
    await symlink(data, join(real, "data"))
  })
  return { path, data, user }
})
