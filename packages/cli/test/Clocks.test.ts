/** Instances whose clocks are wrong, as processes of their own beside one whose clock is right. */
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { join } from "node:path"
import { eventually, get, post, serve, type ServeProcess } from "./ServeProcess.ts"

const shifted = `--import=${join(import.meta.dirname, "shiftedClock.mjs")}`

const serveAt = (seconds: number, more: Record<string, string> = {}) =>
  Effect.flatMap(TestDatabase.TestDatabase, ({ appUrl }) =>
    serve({
      DATABASE_URL: Redacted.value(appUrl),
      LOG_FORMAT: "json",
      NODE_OPTIONS: shifted,
      CLOCK_SHIFT: `${seconds}`,
      ...more,
    }),
  )

const statusOf = ({ url }: ServeProcess) => Effect.map(get(`${url}/readyz`), ({ status }) => status)

const pay = ({ url }: ServeProcess, account_id: string) =>
  post(`${url}/v1/transactions`, { changes: [{ account_id, amount: "1" }] })

const openAccount = ({ url }: ServeProcess) =>
  Effect.map(
    post(`${url}/v1/accounts`, { customer_name: "Ann", currency: "EUR", initial_balance: "100" }),
    ({ text }) => (JSON.parse(text) as { readonly account_id: string }).account_id,
  )

const seqOf = ({ url }: ServeProcess, account_id: string) =>
  Effect.map(get(`${url}/v1/accounts/${account_id}`), ({ text }) => (JSON.parse(text) as { readonly seq: number }).seq)

const hold = ({ url }: ServeProcess, account_id: string, ttl: number) =>
  Effect.map(
    post(`${url}/v1/holds`, { account_id, amount: "10", ttl }),
    ({ text }) => (JSON.parse(text) as { readonly hold: { readonly hold_id: string } }).hold.hold_id,
  )

const stateOf = ({ url }: ServeProcess, holdId: string) =>
  Effect.map(get(`${url}/v1/holds/${holdId}`), ({ text }) => (JSON.parse(text) as { readonly state: string }).state)

const linesWith = ({ stdout }: ServeProcess, text: string) =>
  stdout()
    .split("\n")
    .filter((line) => line.includes(text))

const year = 365.25 * 86_400

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("a clock", (it) => {
  it.effect("that is minutes or years off: not ready, nothing written, holds judged by the others, said once", () =>
    Effect.gen(function* () {
      const right = yield* serveAt(0)
      const wrong = yield* Effect.all([serveAt(300), serveAt(-300), serveAt(10 * year)], { concurrency: "unbounded" })
      const accountId = yield* openAccount(right)
      const [long, short] = [yield* hold(right, accountId, 200), yield* hold(right, accountId, 1)]
      for (const [at, instance] of wrong.entries()) {
        assert.strictEqual(yield* statusOf(instance), 503)
        assert.strictEqual((yield* pay(instance, accountId)).status, 503)
        const captured = yield* post(`${instance.url}/v1/holds/${short}/capture`, {})
        assert.strictEqual(captured.status, 503)
        const [line] = linesWith(instance, "the clock of this process")
        assert.match(line!, [/(?:299|300|301) s ahead of/, /(?:299|300|301) s behind/, /3155\d{5} s ahead of/][at]!)
      }
      assert.strictEqual(yield* statusOf(right), 200)
      yield* eventually(stateOf(right, short), (state) => state === "expired")
      assert.strictEqual(yield* stateOf(right, long), "open")
      const captured = yield* post(`${right.url}/v1/holds/${short}/capture`, {})
      assert.include(captured.text, "hold_expired")
      for (const instance of wrong) {
        assert.lengthOf(linesWith(instance, "the clock of this process"), 1)
        assert.lengthOf(linesWith(instance, '"level":"error"'), 0)
      }
    }),
  )

  it.effect("that is set while the process runs: nothing is written from then on, until it is right again", () =>
    Effect.gen(function* () {
      const instance = yield* serveAt(300, { CLOCK_STEPS: "true" })
      const accountId = yield* openAccount(instance)
      for (let seq = 1; seq <= 2; seq++) {
        assert.strictEqual((yield* pay(instance, accountId)).status, 201)
        instance.signal("SIGUSR2")
        // Until the signal has come; no payment that was made has the wrong time.
        yield* eventually(statusOf(instance), (status) => status === 503)
        assert.strictEqual((yield* pay(instance, accountId)).status, 503)
        instance.signal("SIGUSR2")
        yield* eventually(statusOf(instance), (status) => status === 200)
        assert.strictEqual(yield* seqOf(instance, accountId), seq)
      }
      assert.lengthOf(linesWith(instance, "the clock of this process"), 2, instance.stdout())
    }),
  )
})
