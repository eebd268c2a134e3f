import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import type { SqlClient } from "effect/sql"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { EmbeddedPostgres } from "../src/EmbeddedPostgres.ts"
import { eventually, isAlive, modeOf, query, serve, start } from "./Harness.ts"
import { temporaryDirectory } from "@banquo/testing/TemporaryFolder"

const Postgres = Layer.unwrap(Effect.map(temporaryDirectory, (directory) => EmbeddedPostgres.layer({ directory })))

const ps = (field: string, pid: number) =>
  execFileSync("ps", ["-ww", "-o", `${field}=`, "-p", String(pid)], { encoding: "utf8" }).trim()

const attributes = (sql: SqlClient.SqlClient) =>
  sql`select rolname, rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user`

const working = (sql: SqlClient.SqlClient) =>
  sql<{ pid: number }>`select pid from pg_stat_activity where state = 'active' and usename = 'banquo_app'`

layer(Postgres, { timeout: "30 seconds", excludeTestServices: true })("a running database", (it) => {
  it.effect("is a durable PostgreSQL 18 on the loopback interface", () =>
    Effect.gen(function* () {
      const postgres = yield* EmbeddedPostgres
      assert.match(postgres.version, /^18\.\d+$/)
      const names = [
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "listen_addresses",
        "unix_socket_directories",
        "password_encryption",
        "max_connections",
        "TimeZone",
        "server_encoding",
        "data_checksums",
      ]
      const rows = yield* query(
        postgres.superuserUrl,
        (sql) =>
          sql<{ name: string; setting: string }>`select name, setting from pg_settings where name = any(${names})`,
      )
      assert.deepStrictEqual(Object.fromEntries(rows.map((row) => [row.name, row.setting])), {
        fsync: "on",
        synchronous_commit: "on",
        full_page_writes: "on",
        listen_addresses: "127.0.0.1",
        unix_socket_directories: "",
        password_encryption: "scram-sha-256",
        max_connections: "200",
        TimeZone: "UTC",
        server_encoding: "UTF8",
        data_checksums: "on",
      })
      const [locale] = yield* query(
        postgres.ownerUrl,
        (sql) => sql`select datcollate, datctype from pg_database where datname = 'banquo'`,
      )
      assert.deepStrictEqual(locale, { datcollate: "C", datctype: "C" })
    }),
  )

  it.effect("gives each role its privileges and no more", () =>
    Effect.gen(function* () {
      const { appUrl, ownerUrl } = yield* EmbeddedPostgres
      assert.deepStrictEqual(yield* query(ownerUrl, attributes), [
        { rolname: "banquo_owner", rolsuper: false, rolcreatedb: true, rolcreaterole: true },
      ])
      assert.deepStrictEqual(yield* query(appUrl, attributes), [
        { rolname: "banquo_app", rolsuper: false, rolcreatedb: false, rolcreaterole: false },
      ])
      for (const refused of ["create table t ()", "create temporary table t ()", "create database d"]) {
        yield* Effect.flip(query(appUrl, (sql) => sql.unsafe(refused)))
      }
      yield* query(ownerUrl, (sql) => sql`create database other`)
      yield* query(ownerUrl, (sql) => sql`drop database other`)
      yield* query(ownerUrl, (sql) => sql`create role guest login password 'guest'`)
      const guest = new URL(Redacted.value(ownerUrl))
      guest.username = guest.password = "guest"
      yield* Effect.flip(query(Redacted.make(guest.href), (sql) => sql`select 1`))
    }),
  )

  it.effect("accepts nobody without the password", () =>
    Effect.gen(function* () {
      const { superuserUrl } = yield* EmbeddedPostgres
      const wrong = new URL(Redacted.value(superuserUrl))
      wrong.password = "wrong"
      const error = yield* Effect.flip(query(Redacted.make(wrong.href), (sql) => sql`select 1`))
      assert.strictEqual(error.reason._tag, "AuthenticationError")
    }),
  )

  it.effect("keeps the passwords in one private file", () =>
    Effect.gen(function* () {
      const postgres = yield* EmbeddedPostgres
      const file = join(postgres.dataDirectory, "banquo-passwords.json")
      assert.strictEqual(yield* modeOf(file), 0o600)
      assert.strictEqual(yield* modeOf(postgres.dataDirectory), 0o700)
      const pid = yield* postgres.pid
      const environment = process.platform === "linux" ? readFileSync(`/proc/${pid}/environ`, "utf8") : ""
      const elsewhere = `${ps("args", pid)} ${environment} ${readFileSync(postgres.logFile, "utf8")}`
      for (const url of [postgres.superuserUrl, postgres.ownerUrl, postgres.appUrl]) {
        const { password } = new URL(Redacted.value(url))
        assert.include(readFileSync(file, "utf8"), password)
        assert.notInclude(elsewhere, password)
      }
    }),
  )

  it.effect("belongs to one service at a time", () =>
    Effect.gen(function* () {
      const postgres = yield* EmbeddedPostgres
      const directory = dirname(postgres.dataDirectory)
      const pid = yield* postgres.pid
      const [service, here] = yield* Effect.all(
        [Effect.flatMap(serve(directory), (other) => other.line), Effect.flip(Effect.scoped(start({ directory })))],
        { concurrency: 2 },
      )
      assert.include(service, { error: "AlreadyRunning", pid: process.pid })
      assert.include(service.message, String(process.pid))
      assert.include(here, { _tag: "AlreadyRunning", pid: process.pid })
      assert.strictEqual(yield* postgres.pid, pid)
      yield* query(postgres.appUrl, (sql) => sql`select 1`)
    }),
  )

  it.effect("is out of reach of the terminal's Ctrl-C", () =>
    Effect.gen(function* () {
      const pid = yield* Effect.flatMap(EmbeddedPostgres, (postgres) => postgres.pid)
      assert.strictEqual(ps("pgid", pid), String(pid))
    }),
  )

  it.effect("comes back by itself when a session is killed", () =>
    Effect.gen(function* () {
      const { logFile, ownerUrl, pid } = yield* EmbeddedPostgres
      const before = yield* pid
      const timesReady = Effect.sync(() => readFileSync(logFile, "utf8").split("ready to accept connections").length)
      const readyBefore = yield* timesReady
      yield* query(ownerUrl, (sql) => sql`create table kept as select 1 as id`)
      yield* query(ownerUrl, (sql) =>
        Effect.flatMap(sql<{ pid: number }>`select pg_backend_pid() as pid`, ([row]) =>
          Effect.andThen(
            Effect.sync(() => process.kill(row?.pid ?? 0, "SIGKILL")),
            Effect.flip(sql`select pg_sleep(10)`),
          ),
        ),
      )
      // A server that has not seen yet that its session is gone still answers.
      yield* eventually(Effect.filterOrFail(timesReady, (times) => times > readyBefore))
      const rows = yield* query(ownerUrl, (sql) => sql`select id from kept`)
      assert.deepStrictEqual(rows, [{ id: 1 }])
      assert.strictEqual(yield* pid, before)
    }),
  )

  it.effect("is started again on its port when the server is killed, whatever its sessions still do", () =>
    Effect.gen(function* () {
      const { appUrl, ownerUrl, pid, superuserUrl } = yield* EmbeddedPostgres
      const before = yield* pid
      yield* query(ownerUrl, (sql) => sql`create table committed as select 2 as id`)
      // This session is busy: it does not look whether its postmaster still lives.
      const busy = yield* Effect.forkChild(query(appUrl, (sql) => sql`do $$ begin loop end loop; end $$`))
      const [session] = yield* eventually(
        Effect.filterOrFail(query(superuserUrl, working), (rows) => rows.length === 1),
      )
      process.kill(before, "SIGKILL")
      yield* Fiber.await(busy)
      const rows = yield* eventually(query(ownerUrl, (sql) => sql`select id from committed`))
      assert.deepStrictEqual(rows, [{ id: 2 }])
      assert.notStrictEqual(yield* pid, before)
      assert.isFalse(isAlive(session?.pid ?? 0))
    }),
  )
})
