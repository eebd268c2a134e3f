/** What an operator is told of a database that cannot be used, by each of the commands. */
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted, type Scope } from "effect"
import { createServer, type Server } from "node:net"
import { eventually, get, post, run, serve } from "./ServeProcess.ts"

const listener = (onConnection: Parameters<typeof createServer>[1]) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Server>((resume) => {
        const server = createServer(onConnection).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void))),
    ),
    (server) => (server.address() as { readonly port: number }).port,
  )

const closedPort = Effect.scoped(listener(() => {}))

interface Case {
  readonly name: string
  /** What is wrong with an address that is right. */
  readonly spoil: (url: URL) => Effect.Effect<void, never, Scope.Scope>
  readonly says: (url: URL) => string
}

const set = (change: (url: URL) => void) => (url: URL) => Effect.sync(() => change(url))

const cases: ReadonlyArray<Case> = [
  {
    name: "the port",
    spoil: (url) => Effect.map(closedPort, (port) => void (url.port = String(port))),
    says: (url) => `${url.host}: nothing listens there (ECONNREFUSED)`,
  },
  {
    name: "the host",
    spoil: set((url) => (url.hostname = "nobody.invalid")),
    says: (url) => `${url.host}: there is no host of this name (ENOTFOUND)`,
  },
  {
    name: "the password",
    spoil: set((url) => (url.password = "hunter2")),
    says: (url) => `${url.host}: it does not take the password of this role: ${url.username} (28P01)`,
  },
  {
    name: "the role",
    spoil: set((url) => (url.username = "nobody")),
    says: (url) => `${url.host}: it does not take the password of this role: nobody (28P01)`,
  },
  {
    name: "the name of the database",
    spoil: set((url) => (url.pathname = "/nowhere")),
    says: (url) => `${url.host}: it has no database of this name: nowhere (3D000)`,
  },
  {
    name: "TLS",
    spoil: set((url) => url.searchParams.set("sslmode", "verify-full")),
    says: (url) => `${url.host}: it does not offer TLS`,
  },
  {
    name: "what listens there",
    spoil: (url) =>
      Effect.map(
        listener(
          (socket) =>
            void socket
              .on("error", () => {})
              .resume()
              .end("HTTP/1.1 400 Bad Request\r\n\r\n"),
        ),
        (port) => void (url.port = String(port)),
      ),
    says: (url) => `${url.host}: what listens there does not speak PostgreSQL`,
  },
]

const spoiled = ({ spoil }: Case) =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* TestDatabase.TestDatabase
    const url = new URL(Redacted.value(ownerUrl))
    yield* spoil(url)
    return url
  })

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("a database that cannot be used", (it) => {
  for (const one of cases) {
    it.effect.skipIf(TestDatabase.dialect !== "postgresql")(`by ${one.name}: each command says so, once`, () =>
      Effect.gen(function* () {
        const url = yield* spoiled(one)
        const env = { DATABASE_URL: url.href, LOG_FORMAT: "json" }
        const says = one.says(url)
        const commands = yield* Effect.forEach(["migrate", "verify"], (command) => run([command], env))
        const instance = yield* serve(env)
        for (const command of commands) {
          assert.strictEqual(yield* command.exited, 1)
          assert.include(command.stderr(), `banquo: the database cannot be used: ${says}\n`)
        }
        yield* instance.output(/the database cannot be used/)
        for (let times = 0; times < 3; times++) {
          const { status, text } = yield* get(`${instance.url}/readyz`)
          assert.strictEqual(status, 503)
          assert.notInclude(text, url.host)
        }
        const lines = instance
          .stdout()
          .split("\n")
          .filter((line) => line.includes("cannot be used"))
        assert.lengthOf(lines, 1)
        assert.include((JSON.parse(lines[0]!) as { readonly message: string }).message, says)
        if (url.password !== "") assert.notInclude(instance.stdout(), url.password)
      }),
    )
  }

  it.effect("by a role without banquo_app: 503 and a word to the operator, not a bug", () =>
    Effect.gen(function* () {
      const { name, superuserUrl } = yield* TestDatabase.TestDatabase
      const sql = yield* TestDatabase.connect(superuserUrl)
      const role = `stranger_${name.slice(-12)}`
      yield* sql.unsafe(`CREATE ROLE ${role} LOGIN PASSWORD 'stranger'`).unprepared
      yield* Effect.addFinalizer(() => Effect.orDie(sql.unsafe(`DROP ROLE ${role}`).unprepared))
      const url = new URL(Redacted.value(superuserUrl))
      url.username = role
      url.password = "stranger"
      const instance = yield* serve({ DATABASE_URL: url.href, LOG_FORMAT: "json" })
      const opened = yield* post(`${instance.url}/v1/accounts`, { customer_name: "Ann", currency: "EUR" })
      assert.strictEqual(opened.status, 503, opened.text)
      assert.strictEqual((yield* get(`${instance.url}/readyz`)).status, 503)
      assert.match(instance.stdout(), /the role lacks a privilege: a service needs banquo_app.*42501/)
      assert.notInclude(instance.stdout(), '"level":"error"')
    }).pipe(Effect.scoped),
  )
})

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("a database without a schema", (it) => {
  it.effect("is told to be so, once, and that it fits when it does", () =>
    Effect.gen(function* () {
      const { appUrl, ownerUrl } = yield* TestDatabase.TestDatabase
      const instance = yield* serve({ DATABASE_URL: Redacted.value(appUrl), LOG_FORMAT: "json" })
      assert.strictEqual((yield* get(`${instance.url}/readyz`)).status, 503)
      yield* instance.output(/has schema version 0, this build needs \d+: run `banquo migrate`/)
      const migrated = yield* run(["migrate"], { DATABASE_URL: Redacted.value(ownerUrl) })
      assert.strictEqual(yield* migrated.exited, 0)
      yield* eventually(get(`${instance.url}/readyz`), ({ status }) => status === 200)
      yield* instance.output(/the schema fits now/)
      assert.lengthOf(instance.stdout().match(/has schema version 0/g)!, 1)
    }),
  )
})
