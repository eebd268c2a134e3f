import { Effect } from "effect"
import { execFile } from "node:child_process"
import { readFile, stat } from "node:fs/promises"
import { UnsupportedPlatform } from "./EmbeddedPostgresError.ts"

/** Whom the server runs as when we are root: PostgreSQL refuses to be root. `undefined` elsewhere means ourselves. */
export interface UnprivilegedUser {
  readonly uid: number
  readonly gid: number
}

/** In order of preference; `_postgres` is macOS's. */
export const userNames = ["postgres", "_postgres", "nobody"]
export const commandOutputBytesMax = 1024 * 1024

export const isRoot = (): boolean => process.getuid?.() === 0

/**
 * The owner of existing data, so that `sudo` on somebody's checkout leaves it theirs, or else the first of
 * {@link userNames}. Read from /etc/passwd, because initdb insists that its user has a name.
 */
export const choose = Effect.fnUntraced(function* (data: string) {
  const owner = yield* Effect.promise(() => stat(data).catch(() => undefined))
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  const passwd = yield* Effect.promise(() => readFile("/etc/passwd", "utf8").catch(() => ""))
  const entries = passwd.split("\n").map((line) => line.split(":"))
  for (const name of userNames) {
    const [, , uid, gid] = entries.find((entry) => entry[0] === name) ?? []
    if (Number(uid) > 0 && Number(gid) > 0) return { uid: Number(uid), gid: Number(gid) }
  }
  return yield* new UnsupportedPlatform({
    platform: process.platform,
    reason: `PostgreSQL refuses to run as root, and /etc/passwd has none of ${userNames.join(", ")}`,
  })
})

/**
 * Runs a program to its end as `user`, from `/` and with an empty environment: the caller's working directory may be
 * out of the user's reach, and PG… variables must not leak in. Never fails; a program that cannot be run has no code.
 */
export const run = (user: UnprivilegedUser | undefined, file: string, args: ReadonlyArray<string>) =>
  Effect.callback<{ readonly exitCode: number | undefined; readonly output: string }>((resume) => {
    const options = { cwd: "/", env: { LC_ALL: "C" }, maxBuffer: commandOutputBytesMax, ...user }
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === "number" ? error.code : undefined
      const reason = error !== null && exitCode === undefined ? error.message : ""
      resume(Effect.succeed({ exitCode, output: `${stdout}${stderr}${reason}`.trim() }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Whether `user` may enter and execute all of `paths`, asked of the system itself: modes, ACLs and mounts all count. */
export const canReach = (user: UnprivilegedUser, paths: ReadonlyArray<string>) =>
  run(user, "/bin/sh", ["-c", 'for path; do [ -x "$path" ] || exit 1; done', "sh", ...paths]).pipe(
    Effect.map(({ exitCode }) => exitCode === 0),
  )
