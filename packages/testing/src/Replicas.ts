/**
 * PostgreSQL servers that replicate, of the embedded binaries: real processes that are killed, frozen, promoted and brought back
 * as those of a bank may be. Each cluster begins as a copy of one that was made and migrated once.
 */
import * as Binaries from "@banquo/embedded-postgres/Binaries"
import * as ServerProcesses from "@banquo/embedded-postgres/ServerProcesses"
import { run, type UnprivilegedUser } from "@banquo/embedded-postgres/UnprivilegedUser"
import { DbConn } from "@banquo/ledger/DbConn"
import { migrate } from "@banquo/ledger/Migrator"
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Redacted, Schedule, type Scope } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { spawn } from "node:child_process"
import { appendFile, chown, mkdir, open, readFile, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { homeOf, temporaryFolder } from "./TemporaryFolder.ts"

/** One server of a cluster. */
export interface Replica {
  /** As standbys are called in `synchronous_standby_names`. */
  readonly name: string
  readonly port: number
  /** Also a server that was killed: it comes back as what it was. */
  readonly start: Effect.Effect<void>
  /** Every process at once, as a machine that loses its power. */
  readonly kill: Effect.Effect<void>
  /** Every process stands still, and its connections stay open. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** Answers when it takes writes. */
  readonly promote: Effect.Effect<void>
  /** Has it replicate from another, or, if it is running, replicate from there from now on. */
  readonly follow: (primary: Pick<Replica, "port">) => Effect.Effect<void>
  /** Throws its data away, copies those of a running primary, and replicates from it. It must not run. */
  readonly clone: (primary: Replica) => Effect.Effect<void>
  /** Where its data are. */
  readonly data: string
  /** Makes a setting and has a running server read it. */
  readonly set: (name: string, value: string) => Effect.Effect<void>
  /** Runs a statement as its superuser. */
  readonly query: <Row extends object>(statement: string) => Effect.Effect<ReadonlyArray<Row>, SqlError.SqlError>
  /** As {@link query}, from outside of the ledger's database. */
  readonly administer: (statement: string) => Effect.Effect<void>
}

/** A cluster that is stopped, to make copies of. */
export interface Pristine {
  readonly data: string
  readonly user: UnprivilegedUser | undefined
  readonly postgres: string
}

const superuser = "postgres"
const database = "banquo"

/** The way to some servers, in this order, as a role of the ledger. */
export const urlOf = (
  servers: ReadonlyArray<Pick<Replica, "port">>,
  { role = "banquo_app", search = "" } = {},
): Redacted.Redacted<string> =>
  Redacted.make(`postgres://${role}@${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${database}${search}`)

/** Migrated, with the roles of the ledger, who need no password. Costs some three seconds. */
export const makePristine: Effect.Effect<Pristine, never, Scope.Scope> = Effect.gen(function* () {
  const folder = yield* temporaryFolder
  const home = yield* homeOf(folder)
  const binaries = yield* Binaries.locate(home)
  yield* Effect.promise(() => own(folder, home.user))
  const { exitCode, output } = yield* run(home.user, binaries.initdb, [
    `--pgdata=${home.data}`,
    `--username=${superuser}`,
    "--auth=trust",
    "--encoding=UTF8",
    "--no-locale",
    "--no-instructions",
    "--no-sync",
    "--wal-segsize=1",
  ])
  if (exitCode !== 0) return yield* Effect.die(new Error(`initdb: ${output}`))
  const pristine: Pristine = { data: home.data, user: home.user, postgres: binaries.postgres }
  const server = yield* makeReplica(pristine, "pristine", folder)
  yield* server.start
  for (const statement of [
    "CREATE ROLE banquo_owner LOGIN CREATEDB CREATEROLE",
    "CREATE ROLE banquo_app LOGIN",
    "CREATE ROLE banquo_auditor LOGIN",
    `CREATE DATABASE ${database} OWNER banquo_owner`,
  ]) {
    yield* statementOn(server.port, "postgres", statement)
  }
  const url = urlOf([server], { role: "banquo_owner" })
  yield* migrate("replicas").pipe(
    Effect.provide(DbConn.layerUrl({ url, connectionsMax: 2, statementTimeout: Duration.zero }), { local: true }),
  )
  yield* statementOn(server.port, "postgres", "CHECKPOINT")
  yield* stop(pristine.data, pristine.user)
  return pristine
}).pipe(Effect.orDie)

/** So many servers, started: the first is the primary, and the others replicate from it. */
export const makeCluster = (
  pristine: Pristine,
  count: number,
): Effect.Effect<ReadonlyArray<Replica>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    yield* Effect.promise(() => own(folder, pristine.user))
    const servers = yield* Effect.forEach(Array.from({ length: count }), (_, at) =>
      Effect.gen(function* () {
        const home = join(folder, `pg${at + 1}`)
        yield* Effect.promise(async () => {
          await mkdir(home)
          await own(home, pristine.user)
        })
        const { exitCode, output } = yield* run(undefined, "/bin/cp", ["-a", pristine.data, join(home, "data")])
        if (exitCode !== 0) return yield* Effect.die(new Error(`cp: ${output}`))
        return yield* makeReplica({ ...pristine, data: join(home, "data") }, `pg${at + 1}`, home)
      }),
    )
    const [primary, ...standbys] = servers
    for (const standby of standbys) yield* standby.follow(primary!)
    yield* Effect.forEach(servers, ({ start }) => start, { concurrency: "unbounded" })
    yield* waitUntil(
      Effect.map(
        primary!.query<{ count: bigint }>("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"),
        ([row]) => Number(row!.count) === standbys.length,
      ).pipe(Effect.orDie),
    )
    return servers
  })

const settings = (port: number, name: string) => `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = ${port}
cluster_name = '${name}'
max_connections = 60
shared_buffers = '16MB'
wal_level = replica
max_wal_senders = 8
wal_keep_size = '256MB'
max_wal_size = '256MB'
wal_retrieve_retry_interval = '100ms'
wal_receiver_timeout = '2s'
wal_sender_timeout = '2s'
log_min_error_statement = panic
`

const makeReplica = (pristine: Pristine, name: string, folder: string): Effect.Effect<Replica> =>
  Effect.gen(function* () {
    const { data, postgres, user } = pristine
    const home = { path: folder, data, user }
    const port = yield* freePort
    const configure = (line: string) => Effect.promise(() => appendFile(join(data, "postgresql.conf"), `${line}\n`))
    yield* configure(settings(port, name))
    const signalAll = (signal: NodeJS.Signals) =>
      Effect.map(Effect.orDie(ServerProcesses.find(home)), (pids) => {
        for (const pid of pids) signalTo(pid, signal)
        return pids.length
      })
    const reload = Effect.flatMap(postmasterOf(data), (pid) =>
      Effect.sync(() => pid !== undefined && signalTo(pid, "SIGHUP")),
    )
    const set = (setting: string, value: string) => Effect.andThen(configure(`${setting} = '${value}'`), reload)
    const query = <Row extends object>(statement: string) => statementOn<Row>(port, database, statement)
    const follow = (primary: Pick<Replica, "port">) =>
      Effect.gen(function* () {
        yield* Effect.promise(() => writeFile(join(data, "standby.signal"), "", { flag: "a" }))
        yield* Effect.promise(() => own(join(data, "standby.signal"), user))
        yield* set("primary_conninfo", `host=127.0.0.1 port=${primary.port} user=${superuser} application_name=${name}`)
      })
    return {
      name,
      port,
      data,
      follow,
      clone: (primary) =>
        Effect.gen(function* () {
          yield* copyRunning(primary, data, user)
          yield* configure(settings(port, name))
          yield* configure("synchronous_standby_names = ''")
          yield* follow(primary)
          yield* start(data, postgres, user)
        }),
      start: start(data, postgres, user),
      kill: Effect.gen(function* () {
        yield* signalAll("SIGKILL")
        yield* waitUntil(Effect.map(signalAll("SIGKILL"), (count) => count === 0))
      }),
      freeze: Effect.asVoid(signalAll("SIGSTOP")),
      thaw: Effect.asVoid(signalAll("SIGCONT")),
      promote: Effect.asVoid(Effect.orDie(query("SELECT pg_promote(true, 30)"))),
      set,
      query,
      administer: (statement) => Effect.asVoid(Effect.orDie(statementOn(port, "postgres", statement))),
    }
  })

/** What `pg_basebackup` does, which the embedded binaries lack: files that change while they are copied are mended by the WAL. */
const copyRunning = (primary: Replica, data: string, user: UnprivilegedUser | undefined) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`SELECT pg_backup_start('clone', true)::TEXT`.unprepared
    yield* Effect.promise(() => rm(data, { recursive: true, force: true }))
    // A file that is gone by the time it is copied is no fault.
    yield* run(undefined, "/bin/cp", ["-a", primary.data, data])
    const [stopped] = yield* sql<{ labelfile: string }>`SELECT labelfile FROM pg_backup_stop(false)`.unprepared
    yield* Effect.promise(async () => {
      await rm(join(data, "postmaster.pid"), { force: true })
      await writeFile(join(data, "backup_label"), stopped!.labelfile)
      await own(join(data, "backup_label"), user)
    })
  }).pipe(
    Effect.provide(
      PgClient.layer({
        url: Redacted.make(`postgres://${superuser}@127.0.0.1:${primary.port}/postgres`),
        maxConnections: 1,
      }),
      { local: true },
    ),
    Effect.orDie,
  )

const start = (data: string, postgres: string, user: UnprivilegedUser | undefined) =>
  Effect.gen(function* () {
    yield* Effect.promise(() => rm(join(data, "postmaster.pid"), { force: true }))
    const child = yield* Effect.promise(async () => {
      const log = await open(join(data, "..", "postgres.log"), "a")
      const started = spawn(postgres, ["-D", data], {
        cwd: data,
        env: { LC_ALL: "C" },
        detached: true,
        stdio: ["ignore", log.fd, log.fd],
        ...user,
      })
      await log.close()
      return started
    })
    yield* waitUntil(
      Effect.promise(async () => {
        if (child.exitCode !== null) {
          throw new Error(await readFile(join(data, "..", "postgres.log"), "utf8"))
        }
        const lines = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n")
        return lines[0] === String(child.pid) && lines[7]?.trim() === "ready"
      }),
    )
  })

const stop = (data: string, user: UnprivilegedUser | undefined) =>
  ServerProcesses.stopAll({ path: data, data, user }).pipe(Effect.orDie)

const postmasterOf = (data: string) =>
  Effect.promise(async () => {
    const [pid] = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n")
    return pid === undefined || pid === "" ? undefined : Number(pid)
  })

const statementOn = <Row extends object>(port: number, name: string, statement: string) =>
  SqlClient.SqlClient.use((sql) => sql.unsafe<Row>(statement).unprepared).pipe(
    Effect.provide(
      PgClient.layer({ url: Redacted.make(`postgres://${superuser}@127.0.0.1:${port}/${name}`), maxConnections: 1 }),
      { local: true },
    ),
  )

/** Has commits of the first server wait for one of the others. */
export const waitForOne = ([primary, ...standbys]: ReadonlyArray<Replica>) =>
  Effect.gen(function* () {
    yield* primary!.set("synchronous_standby_names", `ANY 1 (${standbys.map(({ name }) => name).join(", ")})`)
    yield* waitUntil(
      Effect.map(
        primary!.query<{ count: bigint }>("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'"),
        ([row]) => Number(row!.count) === standbys.length,
      ),
    )
  }).pipe(Effect.orDie)

/** The standby that has received most: what commits waited for is there. */
export const newest = (standbys: ReadonlyArray<Replica>) =>
  Effect.gen(function* () {
    const received = yield* Effect.forEach(standbys, (standby) =>
      Effect.map(
        standby.query<{ lsn: string }>("SELECT (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::TEXT AS lsn"),
        ([row]) => ({ standby, lsn: BigInt(row!.lsn) }),
      ),
    )
    return received.reduce((a, b) => (b.lsn > a.lsn ? b : a)).standby
  }).pipe(Effect.orDie)

/** Waits until a standby has all that is stored by now. */
export const caughtUp = (primary: Replica, standby: Replica) =>
  Effect.gen(function* () {
    const [row] = yield* primary.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn()::TEXT AS lsn")
    yield* waitUntil(
      Effect.map(
        standby.query<{ is: boolean }>(`SELECT pg_last_wal_replay_lsn() >= '${row!.lsn}'::pg_lsn AS is`),
        ([reached]) => reached!.is,
      ),
    )
  }).pipe(Effect.orDie)

/** Waits for what no event tells. */
export const waitUntil = <E, R>(isSo: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.asVoid(Effect.repeat(isSo, { until: (is) => is, schedule: Schedule.spaced("10 millis") }))

/** Gone already is as good. */
const signalTo = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}

const own = async (path: string, user: UnprivilegedUser | undefined) => {
  if (user !== undefined) await chown(path, user.uid, user.gid)
}

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as { readonly port: number }
    server.close(() => resume(Effect.succeed(port)))
  })
})
