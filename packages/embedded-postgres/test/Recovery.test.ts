import { assert, describe, it, layer } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, watch, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import * as Cluster from "../src/Cluster.ts"
import { startOnPort } from "../src/EmbeddedPostgres.ts"
import * as Postmaster from "../src/Postmaster.ts"
import { StopTimeout } from "../src/ServerProcesses.ts"
import { eventually, isAlive, Directory, query, serve, serversOn, serverUser, start } from "./Harness.ts"
import { temporaryDirectory } from "@banquo/testing/TemporaryFolder"

const timeout = 30_000

const urlOf = (url: string | undefined) => Redacted.make(url ?? "")

/** Somebody who listens on a port of 127.0.0.1. */
const stranger = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      resume(Effect.succeed({ port, close: () => server.close() }))
    })
  }),
  (server) => Effect.sync(server.close),
)

layer(Directory.layer, { timeout: "30 seconds", excludeTestServices: true })("a database", (it) => {
  it.effect(
    "keeps its data between runs, and starts quickly the second time",
    () =>
      Effect.gen(function* () {
        const directory = yield* Directory
        yield* Effect.scoped(
          Effect.flatMap(start({ directory }), ({ ownerUrl }) =>
            query(ownerUrl, (sql) => sql`create table kept as select 1 as id`),
          ),
        )
        assert.deepStrictEqual(yield* serversOn(directory), [])
        const begin = performance.now()
        const { ownerUrl } = yield* start({ directory })
        assert.isBelow(performance.now() - begin, 3_000) // about 300 ms; the creation is several times that
        assert.deepStrictEqual(yield* query(ownerUrl, (sql) => sql`select id from kept`), [{ id: 1 }])
      }),
    timeout,
  )

  it.effect(
    "reports a taken port when asked for it, and avoids it otherwise",
    () =>
      Effect.gen(function* () {
        const directory = yield* Directory
        const taken = yield* stranger
        const free = yield* Effect.scoped(Effect.map(stranger, ({ port }) => port))
        const error = yield* Effect.flip(Effect.scoped(start({ directory, port: taken.port })))
        assert.include(error, { _tag: "PortTaken", port: taken.port })

        const picks = [taken.port, taken.port, free]
        const postmaster = yield* Postmaster.make(yield* Cluster.open(directory))
        assert.strictEqual(
          yield* startOnPort(
            postmaster,
            undefined,
            Effect.sync(() => picks.shift() ?? 0),
          ),
          free,
        )
      }),
    timeout,
  )

  it.effect(
    "is killed when it does not stop in time",
    () =>
      Effect.gen(function* () {
        const directory = yield* Directory
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { pid } = yield* start({ directory })
            process.kill(yield* pid, "SIGSTOP")
          }),
        ).pipe(Effect.provideService(StopTimeout, Duration.millis(100)))
        assert.deepStrictEqual(yield* serversOn(directory), [])
      }),
    timeout,
  )
  it.effect(
    "outlives the drain of a service whose whole process group gets Ctrl-C",
    () =>
      Effect.gen(function* () {
        const directory = yield* Directory
        const service = yield* serve(directory)
        const { pid } = yield* service.line
        service.signal("SIGINT")
        assert.deepStrictEqual(yield* service.line, { signal: "SIGINT", drained: 1 })
        assert.strictEqual(yield* service.exited, 0)
        assert.isFalse(isAlive(pid ?? 0))
      }),
    timeout,
  )

  it.effect(
    "has every commit after kill -9 of its service, its server, or both; leftovers are stopped",
    () =>
      Effect.gen(function* () {
        const directory = yield* Directory
        const first = yield* serve(directory)
        const before = yield* first.line
        yield* query(urlOf(before.ownerUrl), (sql) => sql`create table committed as select 1 as id`)
        first.signal("SIGKILL")
        assert.strictEqual(yield* first.exited, "SIGKILL")
        assert.isTrue(isAlive(before.pid ?? 0))

        const second = yield* serve(directory)
        const after = yield* second.line
        assert.isFalse(isAlive(before.pid ?? 0))
        assert.deepStrictEqual(yield* query(urlOf(after.ownerUrl), (sql) => sql`select id from committed`), [{ id: 1 }])

        // This time the server dies with its service, and leaves a session at work.
        yield* Effect.forkChild(query(urlOf(after.ownerUrl), (sql) => sql`do $$ begin loop end loop; end $$`))
        const working = query(
          urlOf(after.superuserUrl),
          (sql) =>
            sql<{ pid: number }>`select pid from pg_stat_activity where state = 'active' and usename = 'banquo_owner'`,
        )
        const [session] = yield* eventually(Effect.filterOrFail(working, (rows) => rows.length === 1))
        second.signal("SIGKILL")
        yield* second.exited
        process.kill(after.pid ?? 0, "SIGKILL")
        assert.isTrue(isAlive(session?.pid ?? 0))

        const { ownerUrl } = yield* start({ directory })
        assert.isFalse(isAlive(session?.pid ?? 0))
        assert.deepStrictEqual(yield* query(ownerUrl, (sql) => sql`select id from committed`), [{ id: 1 }])
      }),
    timeout,
  )

  it.effect(
    "starts in spite of a pid file whose pid is somebody else's, and leaves that process alone",
    () =>
      Effect.gen(function* () {
        const directory = yield* Directory
        const { dataDirectory } = yield* Effect.scoped(start({ directory }))
        const other = yield* Effect.acquireRelease(
          Effect.sync(() => spawn("/bin/sleep", ["60"], { cwd: "/", stdio: "ignore", ...serverUser })),
          (child) => Effect.sync(() => child.kill("SIGKILL")),
        )
        const file = join(dataDirectory, "postmaster.pid")
        writeFileSync(file, `${other.pid}\n${dataDirectory}\n1700000000\n5432\n\n127.0.0.1\n\nready   \n`)
        yield* Effect.scoped(start({ directory }))
        assert.isNull(other.signalCode)

        const gone = yield* Effect.scoped(Effect.map(serve(directory), ({ pid }) => pid)) // killed at once
        writeFileSync(file, `${gone}\n${dataDirectory}\n1700000000\n5432\n\n127.0.0.1\n\nready   \n`)
        yield* Effect.scoped(start({ directory }))
      }),
    timeout,
  )

  // The last on the shared directory: nothing starts on it again.
  it.effect(
    "does not start with a setting that weakens durability",
    () =>
      Effect.gen(function* () {
        const directory = yield* Directory
        yield* Effect.scoped(
          Effect.flatMap(start({ directory }), ({ superuserUrl }) =>
            query(superuserUrl, (sql) =>
              Effect.andThen(
                sql`alter system set fsync = off`, // the server's arguments win
                sql`alter role banquo_app set synchronous_commit = off`, // they do not
              ),
            ),
          ),
        )
        const error = yield* Effect.flip(Effect.scoped(start({ directory })))
        assert.include(error, { _tag: "NotDurable", role: "banquo_app", setting: "synchronous_commit", value: "off" })
        assert.deepStrictEqual(yield* serversOn(directory), [])
      }),
    timeout,
  )
})

describe.concurrent("a new database", () => {
  it.live(
    "is not half there when the service is killed in the middle of initdb",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        mkdirSync(directory, { mode: 0o755 })
        const initialising = Effect.callback<string>((resume) => {
          const watcher = watch(directory, (_, name) => {
            if (name?.startsWith(".initdb-")) resume(Effect.succeed(name))
          })
          return Effect.sync(() => watcher.close())
        })
        const service = yield* serve(directory)
        yield* initialising
        service.signal("SIGKILL")
        yield* service.exited
        assert.notInclude(readdirSync(directory), "data")

        const { ownerUrl } = yield* start({ directory })
        yield* query(ownerUrl, (sql) => sql`select 1`)
      }),
    timeout,
  )

  it.live(
    "goes to one of two services that start at once on a new directory",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const services = yield* Effect.all([serve(directory), serve(directory)])
        const lines = yield* Effect.all(
          services.map((service) => service.line),
          { concurrency: 2 },
        )
        const winner = lines.findIndex((line) => line.error === undefined)
        const loser = lines[1 - winner]
        assert.include(loser, { error: "AlreadyRunning", pid: services[winner]?.pid ?? 0 })
        assert.lengthOf(yield* query(urlOf(lines[winner]?.ownerUrl), (sql) => sql`select 1`), 1)
      }),
    timeout,
  )
})
