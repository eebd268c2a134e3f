/**
 * One database server for a run of the tests: the one that `BANQUO_TEST_DATABASE_URL` names, PostgreSQL or CockroachDB, as
 * a superuser; else an embedded PostgreSQL. Each test has a database of its own there, made and dropped by itself.
 *
 * The three roles of the ledger belong to the whole server. On a server that was named they get passwords of the tests'
 * own and are left behind: do not name one that serves anything else.
 */
import { EmbeddedPostgres } from "@banquo/embedded-postgres/EmbeddedPostgres"
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, ManagedRuntime, Redacted } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { createHmac } from "node:crypto"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { sqlState } from "@banquo/ledger/DatabaseError"
import { DbConn } from "@banquo/ledger/DbConn"
import type { Dialect } from "@banquo/ledger/Dialect"
import { migrate } from "@banquo/ledger/Migrator"
import { FaultyProxy } from "./FaultyProxy.ts"
import { complaintAbout } from "./ReviewedStatements.ts"
import * as StatementRecorder from "./StatementRecorder.ts"
import { fixtureName } from "./StatementRecorder.ts"

/** How to reach a database of the server as each role. Every address has a password, whether it is asked for or not. */
export interface Roles {
  readonly superuserUrl: string
  readonly ownerUrl: string
  readonly appUrl: string
  readonly auditorUrl: string
}

export interface ServerOfTests extends Roles {
  readonly dialect: Dialect
  /** What it really is, where a stand-in is in front of it: for SQL of the tests' own. */
  readonly engine: Dialect
  /** A migrated database to make copies of; CockroachDB cannot copy, so there each database is migrated. */
  readonly template: string | null
}

declare module "vitest" {
  interface ProvidedContext {
    readonly databaseServer: ServerOfTests
  }
}

interface Started {
  readonly superuserUrl: string
  readonly stop: () => Promise<void>
}

export default async function ({ provide }: TestProject) {
  const named = process.env["BANQUO_TEST_DATABASE_URL"]
  const server = await behindStandIn(named === undefined ? await startEmbedded() : namedServer(named))
  const recorder = await StatementRecorder.start(server.superuserUrl)
  const stop = async () => {
    await recorder.stop()
    await server.stop()
  }
  try {
    const superuserUrl = recorder.url
    const dialect = await Effect.runPromise(selectDialect(superuserUrl))
    const roles = rolesOf(superuserUrl, server.superuserUrl)
    await Effect.runPromise(createRoles(roles, dialect))
    const name = `banquo_template_${crypto.randomUUID().replaceAll("-", "")}`
    const engine = isBehindStandIn ? "postgresql" : dialect
    const template = dialect === "postgresql" ? name : null
    if (template !== null)
      await Effect.runPromise(createMigrated({ ...roles, dialect, engine, template: null }, template))
    provide("databaseServer", { ...roles, dialect, engine, template })
    return async () => {
      try {
        if (template !== null) await Effect.runPromise(drop({ superuserUrl, engine }, template))
      } finally {
        await stop()
      }
      const complaint = complaintAbout(recorder.statements, dialect)
      if (complaint !== undefined) throw new Error(complaint)
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** With `BANQUO_TEST_STAND_IN` the whole run is by way of a stand-in for CockroachDB, with a PostgreSQL behind it. */
const isBehindStandIn = process.env["BANQUO_TEST_STAND_IN"] !== undefined

const behindStandIn = async (server: Started): Promise<Started> => {
  if (!isBehindStandIn) return server
  const runtime = ManagedRuntime.make(
    FaultyProxy.layer(Redacted.make(server.superuserUrl), { dialect: "postgresql", isBehindRecorder: true }),
  )
  const { url } = await runtime.runPromise(FaultyProxy)
  return {
    superuserUrl: Redacted.value(url),
    stop: async () => {
      await runtime.dispose()
      await server.stop()
    },
  }
}

const namedServer = (superuserUrl: string): Started => ({ superuserUrl, stop: () => Promise.resolve() })

const startEmbedded = async (): Promise<Started> => {
  const directory = mkdtempSync(join(tmpdir(), "banquo-test-"))
  // Reachable for the user that the server runs as when the tests run as root.
  chmodSync(directory, 0o755)
  const runtime = ManagedRuntime.make(EmbeddedPostgres.layer({ directory: join(directory, ".banquo") }))
  const { superuserUrl } = await runtime.runPromise(EmbeddedPostgres)
  return {
    superuserUrl: Redacted.value(superuserUrl),
    stop: async () => {
      await runtime.dispose()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** What each role may do beyond its grants. */
const attributes = {
  banquo_owner: "CREATEDB CREATEROLE",
  banquo_app: "NOCREATEDB NOCREATEROLE",
  banquo_auditor: "NOCREATEDB NOCREATEROLE",
} as const

type Role = keyof typeof attributes

const rolesOf = (superuserUrl: string, secret: string): Roles => {
  const urlOf = (role: Role) => {
    const url = new URL(superuserUrl)
    url.username = role
    // The same for all runs on one server, so that they do not lock one another out.
    url.password = createHmac("sha256", secret).update(role).digest("hex")
    return url.href
  }
  return {
    superuserUrl,
    ownerUrl: urlOf("banquo_owner"),
    appUrl: urlOf("banquo_app"),
    auditorUrl: urlOf("banquo_auditor"),
  }
}

/** The address of another database of the same server. */
export const onDatabase = (url: string, name: string): string => {
  const target = new URL(url)
  target.pathname = `/${name}`
  return target.href
}

/** Runs statements one after the other, as they are, on a connection of their own. */
const runAll = (url: string, ...statements: ReadonlyArray<string>) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared, { discard: true }),
  ).pipe(
    Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 1, applicationName: fixtureName }), {
      local: true,
    }),
  )

const selectDialect = (url: string) =>
  SqlClient.SqlClient.use((sql) => sql<{ version: string }>`SELECT version() AS version`).pipe(
    Effect.map(([row]): Dialect => (row!.version.startsWith("CockroachDB") ? "cockroachdb" : "postgresql")),
    Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 1, applicationName: fixtureName }), {
      local: true,
    }),
  )

const createRoles = ({ appUrl, auditorUrl, ownerUrl, superuserUrl }: Roles, dialect: Dialect) =>
  Effect.forEach(
    [ownerUrl, appUrl, auditorUrl].map((url) => new URL(url)),
    ({ password, username }) => {
      const define = (verb: string, more: string) =>
        runAll(superuserUrl, `${verb} ROLE ${username} WITH LOGIN ${attributes[username as Role]}${more}`)
      const create = (more: string) =>
        define("CREATE", more).pipe(Effect.catchIf(isDuplicate, () => define("ALTER", more)))
      return create(` PASSWORD '${password}'`).pipe(
        // An insecure CockroachDB keeps no passwords, and asks for none.
        Effect.catchIf(
          (error) => dialect === "cockroachdb" && sqlState(error) === "28P01",
          () => create(""),
        ),
      )
    },
    { discard: true },
  )

const isDuplicate = (error: SqlError.SqlError) => sqlState(error) === "42710"

/** A database that belongs to the owner and in which nobody else may create anything: what an operator prepares. */
export const createEmpty = (server: ServerOfTests, name: string) =>
  Effect.gen(function* () {
    const { dialect, superuserUrl } = server
    if (dialect === "postgresql") {
      return yield* runAll(superuserUrl, `CREATE DATABASE ${name} OWNER banquo_owner`)
    }
    yield* runAll(superuserUrl, `CREATE DATABASE ${name}`, `ALTER DATABASE ${name} OWNER TO banquo_owner`)
    yield* runAll(
      onDatabase(superuserUrl, name),
      `REVOKE CREATE ON SCHEMA public FROM public`,
      `GRANT CREATE, USAGE ON SCHEMA public TO banquo_owner`,
    )
  }).pipe(Effect.orDie)

/** With the schema and no accounts. */
export const createMigrated = (server: ServerOfTests, name: string) =>
  Effect.gen(function* () {
    const { ownerUrl, superuserUrl, template } = server
    if (template !== null) {
      return yield* runAll(superuserUrl, `CREATE DATABASE ${name} TEMPLATE ${template} OWNER banquo_owner`)
    }
    yield* createEmpty(server, name)
    const url = Redacted.make(onDatabase(ownerUrl, name))
    const asOwner = DbConn.layerUrl({ url, connectionsMax: 2, statementTimeout: Duration.zero })
    yield* migrate("tests").pipe(Effect.provide(asOwner, { local: true }))
  }).pipe(Effect.orDie)

/** Also with sessions in it. */
export const drop = ({ engine, superuserUrl }: Pick<ServerOfTests, "engine" | "superuserUrl">, name: string) =>
  runAll(superuserUrl, `DROP DATABASE ${name} ${engine === "postgresql" ? "WITH (FORCE)" : "CASCADE"}`).pipe(
    Effect.orDie,
  )
