/** The command with nothing set up: on the embedded database, in a folder of the test's own. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { temporaryDirectory } from "@banquo/testing/TemporaryFolder"
import { get, post, run, serve } from "./ServeProcess.ts"

/** What a shell prints for a line, as JSON. */
const sh = <A>(line: string) =>
  Effect.callback<A>((resume) => {
    execFile("sh", ["-c", line], (error, stdout, stderr) => {
      resume(
        error === null
          ? Effect.sync(() => JSON.parse(stdout) as A)
          : Effect.die(new Error(`${error.message}${stderr}`)),
      )
    })
  })

interface Account {
  readonly account_id: string
  readonly customer_name: string
  readonly balance: { readonly posted: string }
}

interface Transaction {
  readonly description: string
  readonly changes: ReadonlyArray<{ readonly balance: { readonly posted: string }; readonly seq: number }>
}

it.live(
  "from nothing: the greeting's lines work, and what they wrote outlives SIGINT and SIGKILL",
  () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const env = { BANQUO_DIRECTORY: directory }

      const first = yield* serve(env)
      const greeting = first.stdout()
      assert.include(greeting, `Banquo listens on ${first.url}`)
      assert.include(greeting, `${first.url}/docs`)
      assert.include(greeting, directory)
      assert.match(greeting, /embedded PostgreSQL 18\./)
      assert.notMatch(greeting, /postgres(?:ql)?:\/\//)
      assert.strictEqual((yield* get(`${first.url}/docs`)).status, 200)
      assert.strictEqual((yield* get(`${first.url}/readyz`)).status, 200)

      const lines = greeting.match(/^curl .+$/gm)!
      assert.lengthOf(lines, 3)
      const opened = yield* sh<Account>(lines[0]!)
      assert.deepStrictEqual([opened.customer_name, opened.balance.posted], ["Ann", "100.00"])
      const posted = yield* sh<Transaction>(lines[1]!)
      assert.strictEqual(posted.description, "tea")
      assert.strictEqual(posted.changes[0]!.balance.posted, "112.50")
      const { changes } = yield* sh<Transaction>(lines[2]!)
      assert.deepStrictEqual(
        changes.map(({ balance, seq }) => [seq, balance.posted]),
        [
          [1, "112.50"],
          [0, "100.00"],
        ],
      )
      assert.strictEqual((yield* post(`${first.url}/make-dummy-account`, {})).status, 200)

      // One service for one folder.
      const intruder = yield* run(["serve"], { ...env, PORT: "0" })
      assert.strictEqual(yield* intruder.exited, 1)
      assert.match(intruder.stderr(), new RegExp(`^banquo: .*in use by the running process ${first.pid}\\n$`))

      // Its ledger can be verified while it serves.
      const verifier = yield* run(["verify"], env)
      assert.strictEqual(yield* verifier.exited, 0, verifier.stderr())
      assert.include(verifier.stdout(), "the ledger is sound: 2 accounts, 3 changes")
      assert.strictEqual((yield* get(`${first.url}/readyz`)).status, 200)

      first.signal("SIGINT")
      assert.strictEqual(yield* first.exited, 0)
      assert.strictEqual(first.stderr(), "")

      const migrate = yield* run(["migrate"], env)
      assert.strictEqual(yield* migrate.exited, 0)
      assert.include(migrate.stdout(), "the schema is up to date")

      const path = `/v1/accounts/${opened.account_id}`
      const second = yield* serve(env)
      assert.include((yield* get(`${second.url}${path}`)).text, '"posted":"112.50"')
      const more = yield* post(`${second.url}/v1/transactions`, {
        changes: [{ account_id: opened.account_id, amount: "1" }],
      })
      assert.strictEqual(more.status, 201)
      second.signal("SIGKILL")
      assert.strictEqual(yield* second.exited, "SIGKILL")

      const third = yield* serve(env)
      assert.include((yield* get(`${third.url}${path}`)).text, '"posted":"113.50"')
      third.signal("SIGTERM")
      assert.strictEqual(yield* third.exited, 0)
    }),
  60_000,
)
