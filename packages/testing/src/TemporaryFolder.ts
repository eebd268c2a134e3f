// Temporary folders in which tests keep embedded databases.
import * as ServerProcesses from "@banquo/embedded-postgres/ServerProcesses"
import * as UnprivilegedUser from "@banquo/embedded-postgres/UnprivilegedUser"
import { Effect } from "effect"
import { chmod, mkdtemp, readdir, realpath, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

/** What the embedded database knows of a directory of its own. */
export const homeOf = Effect.fnUntraced(function* (directory: string) {
  const data = join(directory, "data")
  return { path: directory, data, user: UnprivilegedUser.isRoot() ? yield* UnprivilegedUser.choose(data) : undefined }
})

/** A folder that everybody may enter. At the end the servers on data anywhere in it are killed, and it is removed. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.promise(async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), "banquo-test-")))
    await chmod(folder, 0o755)
    return folder
  }),
  (folder) =>
    Effect.gen(function* () {
      const entries = yield* Effect.promise(() => readdir(folder, { recursive: true, withFileTypes: true }))
      for (const { name, parentPath } of entries) {
        if (name === "postmaster.pid") yield* Effect.flatMap(homeOf(dirname(parentPath)), ServerProcesses.kill)
      }
      yield* Effect.promise(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
    }).pipe(Effect.orDie),
)

export const temporaryDirectory = Effect.map(temporaryFolder, (folder) => join(folder, ".banquo"))
