import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Redacted } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto"
import { type Cluster, superuserRole } from "./Cluster.ts"
import { NotDurable, StartFailed } from "./EmbeddedPostgresError.ts"

export const database = "banquo"
export const ownerRole = "banquo_owner"
export const appRole = "banquo_app"
export const provisionTimeout = Duration.seconds(30)

const scramIterations = 4096
const durableSettings = ["fsync", "synchronous_commit", "full_page_writes"] as const

export interface Urls {
  readonly superuser: Redacted.Redacted<string>
  readonly owner: Redacted.Redacted<string>
  readonly app: Redacted.Redacted<string>
}

const url = (role: string, password: string, port: number, name = database) =>
  Redacted.make(`postgres://${role}:${password}@127.0.0.1:${port}/${name}`, { label: `${role} url` })

export const urls = ({ passwords }: Pick<Cluster, "passwords">, port: number): Urls => ({
  superuser: url(superuserRole, passwords.superuser, port),
  owner: url(ownerRole, passwords.owner, port),
  app: url(appRole, passwords.app, port),
})

/**
 * Creates or restores roles, database and privileges, then proves by connecting as each role that it gets in and that
 * its commits are durable. Idempotent. Returns the server's version. Costs about 50 ms.
 */
export const provision = (cluster: Cluster, port: number) =>
  Effect.gen(function* () {
    const { app, owner } = urls(cluster, port)
    const maintenance = url(superuserRole, cluster.passwords.superuser, port, "postgres")
    const version = yield* connected(maintenance, createAll(cluster))
    yield* connected(owner, assertDurable(ownerRole))
    yield* connected(app, assertDurable(appRole))
    return version
  }).pipe(
    Effect.catchTag(
      "SqlError",
      (error) => new StartFailed({ reason: `provisioning failed: ${reasonOf(error)}`, log: "" }),
    ),
    Effect.timeoutOrElse({
      duration: provisionTimeout,
      orElse: () =>
        new StartFailed({ reason: `provisioning took more than ${Duration.format(provisionTimeout)}`, log: "" }),
    }),
  )

const connected = <A, E>(to: Redacted.Redacted<string>, program: Effect.Effect<A, E, SqlClient.SqlClient>) =>
  // Fresh, or layers would be shared between the calls and with the program's own clients.
  Effect.provide(program, PgClient.layer({ url: to, maxConnections: 1 }), { local: true })

// Utility statements take no parameters and the driver sends one statement per query. All spliced text is ours.
const createAll = Effect.fnUntraced(function* ({ passwords }: Cluster) {
  const sql = yield* SqlClient.SqlClient
  const roles = yield* sql<{ name: string }>`select rolname as name from pg_roles`
  for (const [role, attributes, password] of [
    [ownerRole, "createdb createrole", passwords.owner],
    [appRole, "nocreatedb nocreaterole", passwords.app],
  ] as const) {
    const verb = roles.some(({ name }) => name === role) ? "alter" : "create"
    yield* sql.unsafe(`${verb} role ${role} login nosuperuser ${attributes} password '${scramVerifier(password)}'`)
  }
  const found = yield* sql`select from pg_database where datname = ${database}`
  if (found.length === 0) yield* sql.unsafe(`create database ${database} owner ${ownerRole}`)
  yield* sql.unsafe(`revoke connect, temporary on database ${database} from public`)
  yield* sql.unsafe(`grant connect on database ${database} to ${appRole}`)
  const [row] = yield* sql<{ version: string }>`select current_setting('server_version') as version`
  return row?.version.split(" ")[0] ?? "unknown"
})

/** What RFC 5803 stores instead of a password: the server never sees the plain text, so no log can hold it. */
const scramVerifier = (password: string) => {
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password, salt, scramIterations, 32, "sha256")
  const key = (name: string) => createHmac("sha256", salted).update(name).digest()
  const stored = createHash("sha256").update(key("Client Key")).digest("base64")
  return `SCRAM-SHA-256$${scramIterations}:${salt.toString("base64")}$${stored}:${key("Server Key").toString("base64")}`
}

// Asked in the role's own session: ALTER ROLE and ALTER DATABASE … SET would override the server's arguments.
const assertDurable = Effect.fnUntraced(function* (role: string) {
  const sql = yield* SqlClient.SqlClient
  for (const setting of durableSettings) {
    const [row] = yield* sql<{ value: string }>`select current_setting(${setting}) as value`
    if (row?.value !== "on") return yield* new NotDurable({ role, setting, value: String(row?.value) })
  }
})

const reasonOf = ({ reason }: SqlError.SqlError) =>
  reason.cause instanceof Error ? reason.cause.message : reason.message
