import { Actor } from "@banquo/domain/Actor"
import { idemKey } from "@banquo/domain/Idempotency"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import { DbConn } from "@banquo/ledger/DbConn"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Redacted } from "effect"
import { connect, createServer, type Socket } from "node:net"
import { make as makeProxy } from "@banquo/testing/FaultyProxy"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { eventually, get, isListening, post, printed, run, serve, type ServeProcess } from "./ServeProcess.ts"

const databaseUrl = Effect.map(TestDatabase.TestDatabase, ({ appUrl }) => Redacted.value(appUrl))

interface Row {
  readonly acct_seq: bigint
  readonly chg_amt: string
  readonly balance: string
  readonly is_linked: boolean
}

/** The chain of an account, and whether each row names the one before it. */
const selectChain = (accountId: string) =>
  DbConn.use(
    ({ sql }) => sql<Row>`
      SELECT b.acct_seq, b.chg_amt::TEXT AS chg_amt, b.balance::TEXT AS balance,
        b.prev_bchg_id IS NOT DISTINCT FROM p.bchg_id AS is_linked
      FROM balance_change b LEFT JOIN balance_change p ON p.acct_id = b.acct_id AND p.acct_seq = b.acct_seq - 1
      WHERE b.acct_id = ${accountId}::UUID ORDER BY b.acct_seq`,
  ).pipe(Effect.orDie)

const storedKeyOf = (key: string) => idemKey(Actor.make("anonymous"), IdempotencyKey.make(key))

const countOfKey = (key: string) =>
  DbConn.use(({ sql }) =>
    Effect.map(
      sql<{ n: bigint }>`SELECT count(*) AS n FROM balance_change WHERE idem_key = ${storedKeyOf(key)}`,
      ([row]) => Number(row!.n),
    ),
  ).pipe(Effect.orDie)

const openAccount = ({ url }: ServeProcess, initial_balance = "0") =>
  Effect.map(
    post(`${url}/v1/accounts`, { customer_name: "Ann", currency: "EUR", initial_balance }),
    ({ status, text }) => {
      assert.strictEqual(status, 201, text)
      return (JSON.parse(text) as { readonly account_id: string }).account_id
    },
  )

const one = (account_id: string) => ({ changes: [{ account_id, amount: "1" }] })

/** Three of them on one database, for all tests of this file. */
class Instances extends Context.Service<Instances, readonly [ServeProcess, ServeProcess, ServeProcess]>()(
  "@banquo/cli/test/Instances",
) {
  static readonly layer = Layer.effect(
    Instances,
    Effect.flatMap(databaseUrl, (url) => {
      const instance = serve({ DATABASE_URL: url })
      return Effect.all([instance, instance, serve({ DATABASE_URL: url, DUMMY_ACCOUNTS: "true" })], {
        concurrency: "unbounded",
      })
    }),
  )
}

const assertChain = (accountId: string, changes: number) =>
  Effect.map(selectChain(accountId), (rows) => {
    assert.deepStrictEqual(
      rows.map(({ acct_seq, balance, is_linked }) => [Number(acct_seq), balance, is_linked]),
      Array.from({ length: changes + 1 }, (_, seq) => [seq, `${seq}.00000000`, true]),
    )
  })

layer(Instances.layer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })("serve", (it) => {
  it.effect("three processes, 64 requests at once on one account: each is carried out exactly once", () =>
    Effect.gen(function* () {
      const instances = yield* Instances
      const accountId = yield* openAccount(instances[0])
      const answers = yield* Effect.all(
        Array.from({ length: 64 }, (_, i) =>
          post(`${instances[i % 3]!.url}/v1/transactions`, one(accountId), { "idempotency-key": `sixty-four-${i}` }),
        ),
        { concurrency: "unbounded" },
      )
      for (const { status, text } of answers) assert.strictEqual(status, 201, text)
      const seqs = answers.map(({ text }) => (JSON.parse(text) as PostedJson).changes[0].seq)
      assert.deepStrictEqual(
        seqs.toSorted((a, b) => a - b),
        Array.from({ length: 64 }, (_, i) => i + 1),
      )
      for (const { text } of answers) {
        const [{ balance, seq }] = (JSON.parse(text) as PostedJson).changes
        assert.strictEqual(balance.posted, `${seq}.00`)
      }
      yield* assertChain(accountId, 64)
    }),
  )

  it.effect("the same key at once in three processes: one row, the same bytes", () =>
    Effect.gen(function* () {
      const instances = yield* Instances
      const accountId = yield* openAccount(instances[0])
      for (let i = 0; i < 20; i++) {
        const key = `at-once-${i}`
        const answers = yield* Effect.all(
          instances.map(({ url }) => post(`${url}/v1/transactions`, one(accountId), { "idempotency-key": key })),
          { concurrency: "unbounded" },
        )
        for (const { status, text } of answers) assert.deepStrictEqual([status, text], [201, answers[0]!.text])
        assert.lengthOf(
          answers.filter(({ headers }) => !headers.has("idempotency-replayed")),
          1,
        )
        assert.strictEqual(yield* countOfKey(key), 1)
      }
      yield* assertChain(accountId, 20)
    }),
  )

  it.effect("the same account id at once in three processes: one account", () =>
    Effect.gen(function* () {
      const instances = yield* Instances
      for (let i = 0; i < 5; i++) {
        const body = { account_id: crypto.randomUUID(), customer_name: "Ann", currency: "EUR" }
        const answers = yield* Effect.all(
          instances.map(({ url }) => post(`${url}/v1/accounts`, body)),
          { concurrency: "unbounded" },
        )
        for (const { status, text } of answers) assert.deepStrictEqual([status, text], [201, answers[0]!.text])
        yield* assertChain(body.account_id, 0)
      }
    }),
  )

  it.effect("what one process wrote, all read at once", () =>
    Effect.gen(function* () {
      const instances = yield* Instances
      const accountId = yield* openAccount(instances[0])
      for (let i = 1; i <= 9; i++) {
        yield* post(`${instances[i % 3]!.url}/v1/transactions`, one(accountId))
        const { text } = yield* get(`${instances[(i + 1) % 3]!.url}/v1/accounts/${accountId}`)
        assert.include(text, `"seq":${i},`)
      }
    }),
  )

  it.effect("says where it listens, and keeps the way to the database to itself", () =>
    Effect.gen(function* () {
      const [{ stderr, stdout, url }] = yield* Instances
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
      assert.include(stdout(), `${url}/docs`)
      assert.lengthOf(stdout().match(/^curl .+$/gm) ?? [], 3)
      assert.strictEqual(stderr(), "")
    }),
  )

  it.effect("dummy accounts only where DUMMY_ACCOUNTS says so", () =>
    Effect.gen(function* () {
      const [first, , third] = yield* Instances
      assert.strictEqual((yield* post(`${first.url}/make-dummy-account`, {})).status, 404)
      assert.strictEqual((yield* post(`${third.url}/make-dummy-account`, {})).status, 200)
    }),
  )

  it.effect("starts with nothing on the port of the database, and serves when it listens", () =>
    Effect.gen(function* () {
      const target = new URL(yield* databaseUrl)
      const dead = yield* freePort
      const through = new URL(target)
      through.port = `${dead}`
      const { url } = yield* serve({ DATABASE_URL: through.href })
      yield* assertAway(url)
      yield* forward(dead, Number(target.port))
      yield* assertComesBack(url)
    }),
  )

  it.effect(
    "told to stop, by either signal: what is under way is answered, idle connections end, and so does it, with 0",
    () => Effect.forEach(["SIGTERM", "SIGINT"] as const, stopsInOrder, { concurrency: 2 }),
  )

  it.effect("a client that never stops asking does not keep it from stopping", () =>
    Effect.gen(function* () {
      const instance = yield* serve({ DATABASE_URL: yield* databaseUrl })
      const accountId = yield* openAccount(instance)
      let answered = 0
      const asking = yield* Effect.forkChild(
        Effect.exit(
          Effect.forever(
            Effect.map(post(`${instance.url}/v1/transactions`, one(accountId)), ({ status }) => {
              assert.strictEqual(status, 201)
              answered += 1
            }),
          ),
        ),
      )
      yield* eventually(
        Effect.sync(() => answered),
        (count) => count > 5,
      )
      instance.signal("SIGTERM")
      assert.strictEqual(yield* instance.exited, 0)
      yield* Fiber.join(asking)
      const rows = yield* selectChain(accountId)
      assert.strictEqual(rows.length - 1, answered)
    }),
  )

  it.effect("a port in use: 1, and one clear line", () =>
    Effect.gen(function* () {
      const [{ url }] = yield* Instances
      const { port } = new URL(url)
      const command = yield* run(["serve"], { DATABASE_URL: yield* databaseUrl, PORT: port })
      assert.strictEqual(yield* command.exited, 1)
      assert.match(command.stderr(), new RegExp(`^banquo: .*EADDRINUSE.*${port}\\n$`))
      assert.notInclude(command.stdout(), "listens")
    }),
  )

  it.effect("a bad configuration: 1, and one clear line that names it and tells no secret", () =>
    Effect.forEach(
      [
        { PORT: "abc" },
        { DATABASE_URL: "mysql://ann:hunter2secret@127.0.0.1/db" },
        { DATABASE_CONNECTIONS_MAX: "many" },
        { UNAUTHENTICATED_ACCESS: "perhaps" },
        { HOST: "0.0.0.0" },
        { HOST: "::" },
        { HOST: "127.example" },
      ],
      Effect.fnUntraced(function* (bad: Record<string, string>) {
        const command = yield* run(["serve"], { DATABASE_URL: yield* databaseUrl, ...bad })
        assert.strictEqual(yield* command.exited, 1)
        assert.match(command.stderr(), new RegExp(`^banquo: bad configuration: .*${Object.keys(bad)[0]}.*\\n$`))
        assert.notInclude(command.stdout(), "listens")
        assert.notInclude(command.stderr(), "hunter2secret")
      }),
      { concurrency: 2 },
    ),
  )

  it.effect("beyond loopback only where UNAUTHENTICATED_ACCESS says so, and with a warning", () =>
    Effect.gen(function* () {
      // An address of the documentation, which no machine has.
      const command = yield* run(["serve"], {
        DATABASE_URL: yield* databaseUrl,
        HOST: "192.0.2.1",
        UNAUTHENTICATED_ACCESS: "allowed",
      })
      assert.strictEqual(yield* command.exited, 1)
      assert.match(command.stdout(), /WARN.*UNAUTHENTICATED_ACCESS is allowed.*192\.0\.2\.1/)
      assert.match(command.stderr(), /^banquo: .*EADDRNOTAVAIL.*\n$/)
    }),
  )

  it.effect("on loopback no warning, whatever UNAUTHENTICATED_ACCESS says", () =>
    Effect.gen(function* () {
      for (const HOST of ["localhost", "127.0.0.2"]) {
        const { stdout } = yield* serve({ DATABASE_URL: yield* databaseUrl, HOST, UNAUTHENTICATED_ACCESS: "allowed" })
        assert.notInclude(stdout(), "WARN")
      }
    }),
  )

  it.effect("--help, and an unknown command", () =>
    Effect.gen(function* () {
      const [help, unknown] = yield* Effect.all([run(["--help"], {}), run(["sreve"], {})])
      assert.strictEqual(yield* help.exited, 0)
      for (const word of ["serve", "migrate"]) assert.include(help.stdout(), word)
      assert.strictEqual(yield* unknown.exited, 1)
      assert.include(`${unknown.stdout()}${unknown.stderr()}`, "sreve")
    }),
  )

  it.effect("warns of a role that may change what is written", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const warning = "may change and delete rows of account and balance_change"
      const owner = yield* serve({ DATABASE_URL: Redacted.value(ownerUrl) })
      yield* eventually(
        Effect.sync(() => owner.stdout()),
        (text) => text.includes(warning),
      )
      assert.include(owner.stdout(), warning)
      for (const instance of yield* Instances) assert.notInclude(instance.stdout(), warning)
      owner.signal("SIGTERM")
      assert.strictEqual(yield* owner.exited, 0)
    }),
  )

  it.effect("no password in anything that was printed", () =>
    Effect.gen(function* () {
      const { appUrl, ownerUrl } = yield* TestDatabase.TestDatabase
      const all = printed.join("")
      assert.include(all, "Banquo listens on")
      for (const url of [appUrl, ownerUrl]) {
        const { password } = new URL(Redacted.value(url))
        assert.isNotEmpty(password)
        assert.notInclude(all, password)
        assert.notInclude(all, decodeURIComponent(password))
      }
    }),
  )
})

const stopsInOrder = Effect.fnUntraced(function* (signal: "SIGTERM" | "SIGINT") {
  const proxy = yield* makeProxy((yield* TestDatabase.TestDatabase).appUrl)
  const instance = yield* serve({ DATABASE_URL: Redacted.value(proxy.url) })
  const accountId = yield* openAccount(instance)
  const idle = yield* idleConnection(instance.url)
  const held = yield* proxy.hold("INSERT INTO balance_change")
  const sent = yield* Effect.forkChild(
    Effect.all(
      Array.from({ length: 4 }, (_, i) =>
        post(`${instance.url}/v1/transactions`, one(accountId), { "idempotency-key": `${signal}-${i}` }),
      ),
      { concurrency: "unbounded" },
    ),
  )
  yield* held.arrived
  // The four, and this one.
  yield* eventually(get(`${instance.url}/metrics`), ({ text }) => text.includes("\nbanquo_http_requests_in_flight 5\n"))
  instance.signal(signal)
  // It takes no more connections: it has begun to stop.
  yield* eventually(isListening(instance.url), (is) => !is)
  yield* idle.closed
  yield* held.release
  for (const { headers, status, text } of yield* Fiber.join(sent)) {
    assert.strictEqual(status, 201, text)
    assert.strictEqual(headers.get("connection"), "close")
  }
  assert.strictEqual(yield* instance.exited, 0)
  assert.strictEqual(instance.stderr(), "")
  yield* assertChain(accountId, 4)
})

/** A connection that was answered and is kept alive. */
const idleConnection = (url: string) =>
  Effect.gen(function* () {
    const socket = connect({ host: "127.0.0.1", port: Number(new URL(url).port) })
    const isClosed = new Promise<void>((resolve) => socket.once("close", () => resolve()))
    socket.on("error", () => socket.destroy())
    yield* Effect.callback<void>((resume) => {
      socket.write("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
      socket.once("data", () => resume(Effect.void))
    })
    return { closed: Effect.promise(() => isClosed) }
  })

interface PostedJson {
  readonly changes: readonly [{ readonly seq: number; readonly balance: { readonly posted: string } }]
}

const opening = { customer_name: "Ann", currency: "EUR" }

const assertAway = (url: string) =>
  Effect.gen(function* () {
    for (const answer of [yield* get(`${url}/readyz`), yield* post(`${url}/v1/accounts`, opening)]) {
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.headers.get("retry-after"), "1")
      assert.include(answer.text, '"code":"database_unavailable"')
    }
    assert.strictEqual((yield* get(`${url}/livez`)).status, 200)
  })

const assertComesBack = (url: string) =>
  Effect.gen(function* () {
    yield* eventually(get(`${url}/readyz`), ({ status }) => status === 200)
    const { status, text } = yield* post(`${url}/v1/accounts`, opening)
    assert.strictEqual(status, 201, text)
  })

const listen = (port: number, accept: (client: Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer(accept)
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void))),
  )

/** A port that nobody listens on by now. */
const freePort = Effect.scoped(
  Effect.map(
    listen(0, (client) => client.destroy()),
    (server) => (server.address() as { readonly port: number }).port,
  ),
)

/** Listens on a port and passes on to another; ends its connections with the scope. */
const forward = (from: number, to: number) =>
  Effect.gen(function* () {
    const sockets = new Set<Socket>()
    yield* listen(from, (client) => {
      const server = connect({ host: "127.0.0.1", port: to })
      for (const socket of [client, server]) {
        sockets.add(socket)
        socket.on("error", () => socket.destroy())
      }
      client.pipe(server).pipe(client)
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
      }),
    )
  })
