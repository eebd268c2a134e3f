import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { chownSync, mkdirSync, readdirSync, readlinkSync, renameSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Binaries from "../src/Binaries.ts"
import { homePathBytesMax, locate, SystemFolder } from "../src/Home.ts"
import { run } from "../src/UnprivilegedUser.ts"
import { isRoot, modeOf, ownerOf, query, serve, serveAs, serverUser, start } from "./Harness.ts"
import { temporaryFolder } from "@banquo/testing/TemporaryFolder"

const timeout = 30_000

const nameBytesMax = 255

/** A path below `parent` of so many bytes. */
const lengthened = (parent: string, bytes: number): string => {
  const left = bytes - Buffer.byteLength(parent) - 1
  return left <= nameBytesMax ? join(parent, "l".repeat(left)) : lengthened(join(parent, "l".repeat(200)), bytes)
}

/** Starts on `directory`, with root's system folder inside `folder`, and leaves a table; gives the data's place. */
const leaveTable = (folder: string, directory: string, table: string) =>
  Effect.gen(function* () {
    const postgres = yield* start({ directory })
    yield* query(postgres.ownerUrl, (sql) => sql.unsafe(`create table ${table} as select 1 as one`))
    return postgres.dataDirectory
  }).pipe(Effect.scoped, Effect.provideService(SystemFolder, join(folder, "system")))

const systemFolderOf = (folder: string) => {
  const path = join(folder, "system")
  mkdirSync(path, { recursive: true, mode: 0o755 })
  return path
}

describe.concurrent("the directory", () => {
  it.live(
    "may have any characters and nearly any length; missing parents are made private",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const parent = join(folder, "a space", "Überweisung 日本", `quote's "$HOME" \\`)
        const directory = lengthened(parent, homePathBytesMax)
        const data = yield* leaveTable(folder, directory, "t")
        assert.strictEqual(data, join(directory, "data"))
        assert.strictEqual(yield* modeOf(parent), isRoot ? 0o711 : 0o700)
        assert.strictEqual(yield* modeOf(data), 0o700)
        assert.strictEqual(yield* ownerOf(data), serverUser.uid)

        const longer = yield* Effect.result(
          Effect.provideService(locate(`${directory}l`), SystemFolder, systemFolderOf(folder)),
        )
        assert.strictEqual(Result.isSuccess(longer), isRoot)
      }),
    timeout,
  )

  it.live(
    "that only its owner may enter keeps a link to the data when root starts",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const system = systemFolderOf(folder)
        const directory = join(folder, "secluded", "checkout", ".banquo")
        mkdirSync(join(folder, "secluded"), { mode: 0o700 })
        const data = yield* leaveTable(folder, directory, "first")
        assert.strictEqual(dirname(dirname(data)), isRoot ? system : dirname(directory))
        if (isRoot) assert.strictEqual(readlinkSync(join(directory, "data")), data)

        renameSync(join(folder, "secluded", "checkout"), join(folder, "secluded", "moved"))
        const moved = join(folder, "secluded", "moved", ".banquo")
        const found = yield* leaveTable(folder, moved, "second")
        assert.strictEqual(found, isRoot ? data : join(moved, "data"))
        const again = yield* Effect.flip(leaveTable(folder, moved, "second"))
        assert.include(String(again), "SqlError") // the table is there
      }),
    timeout,
  )

  it.live(
    "serves an ordinary user, and root after them without taking anything over",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const user = isRoot ? { uid: 65_534, gid: 65_534 } : serverUser
        const directory = join(folder, "theirs", ".banquo")
        mkdirSync(dirname(directory))
        if (isRoot) chownSync(dirname(directory), user.uid, user.gid)
        const service = yield* isRoot ? serveAs(user, directory, join(folder, "program")) : serve(directory)
        const line = yield* service.line
        assert.strictEqual(line.dataDirectory, join(directory, "data"))
        service.signal("SIGTERM")
        assert.strictEqual(yield* service.exited, 0)

        yield* leaveTable(folder, directory, "t")
        for (const name of readdirSync(directory)) {
          assert.strictEqual(yield* ownerOf(join(directory, name)), user.uid, name)
        }
      }),
    timeout,
  )

  it.live(
    "gets copies of the programs from root, who trusts only what nobody else could have changed",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const system = systemFolderOf(folder)
        const binaries = yield* Binaries.installed
        const outcome = yield* Effect.result(
          Effect.gen(function* () {
            const copied = yield* Binaries.copy(binaries)
            const again = yield* Binaries.copy(binaries)
            assert.deepStrictEqual(again, copied)
            assert.strictEqual(yield* modeOf(copied.postgres), 0o755)
            const version = yield* run(serverUser, copied.postgres, ["--version"])
            assert.include(version, { exitCode: 0 })
            chownSync(copied.folder, serverUser.uid, serverUser.gid)
            const error = yield* Effect.flip(Binaries.copy(binaries))
            assert.strictEqual(error._tag, "DirectoryUnusable")
          }).pipe(Effect.provideService(SystemFolder, system)),
        )
        assert.strictEqual(Result.isSuccess(outcome), isRoot)
      }),
    timeout,
  )
})
