/** How the service stops, as balancers, keep-alive clients and streams see it. */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { request as httpRequest } from "node:http"
import { createInterface } from "node:readline"
import { make as makeProxy } from "@banquo/testing/FaultyProxy"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { eventually, get, isListening, post, serve, type ServeProcess } from "./ServeProcess.ts"

const databaseUrl = Effect.map(TestDatabase.TestDatabase, ({ appUrl }) => Redacted.value(appUrl))

/** Longer than any test: what ends it is not the clock. */
const long = "10 minutes"

const open = ({ url }: ServeProcess) =>
  Effect.map(
    post(`${url}/v1/accounts`, { customer_name: "Ann", currency: "EUR" }),
    ({ text }) => (JSON.parse(text) as { readonly account_id: string }).account_id,
  )

const one = (account_id: string) => ({ changes: [{ account_id, amount: "1" }] })

/** A batch of lines that stays open for as long as the test likes. */
const lines = ({ url }: ServeProcess) =>
  Effect.gen(function* () {
    const sent = yield* Effect.acquireRelease(
      Effect.sync(() =>
        httpRequest(`${url}/v1/transactions/batch`, {
          method: "POST",
          headers: { "content-type": "application/x-ndjson" },
        }),
      ),
      (sent) => Effect.sync(() => sent.destroy()),
    )
    const verdicts: Array<{ readonly status: number; readonly problem?: { readonly code: string } }> = []
    let end: "whole" | "cut" | undefined
    sent.on("error", () => (end ??= "cut"))
    sent.on("response", (response) => {
      createInterface({ input: response }).on("line", (line) => verdicts.push(JSON.parse(line)))
      response.on("end", () => (end ??= "whole")).on("error", () => (end ??= "cut"))
    })
    return {
      verdicts,
      send: (value: object) => sent.write(`${JSON.stringify(value)}\n`),
      ended: eventually(
        Effect.sync(() => end),
        (end) => end !== undefined,
      ),
    }
  })

const begun = (instance: ServeProcess) => eventually(get(`${instance.url}/readyz`), ({ status }) => status === 503)

layer(TestDatabase.layer, { excludeTestServices: true })("told to stop", (it) => {
  it.effect(
    "not ready first, and everything else goes on, on connections that end; told again, it waits no longer",
    () =>
      Effect.gen(function* () {
        const instance = yield* serve({ DATABASE_URL: yield* databaseUrl, DRAIN_DELAY: long })
        const accountId = yield* open(instance)
        instance.signal("SIGTERM")
        const { text } = yield* begun(instance)
        const problem = JSON.parse(text) as Record<string, unknown>
        assert.deepInclude(problem, { code: "shutting_down", status: 503, retryable: true })
        assert.strictEqual((yield* get(`${instance.url}/livez`)).status, 200)
        const posted = yield* post(`${instance.url}/v1/transactions`, one(accountId))
        assert.strictEqual(posted.status, 201, posted.text)
        assert.strictEqual(posted.headers.get("connection"), "close")
        assert.isTrue(yield* isListening(instance.url))
        // What comes at once after the first counts as the same signal; what comes at the very end does not kill.
        yield* Effect.raceFirst(
          instance.exited,
          Effect.forever(
            Effect.andThen(
              Effect.sync(() => instance.signal("SIGTERM")),
              Effect.sleep("1 millis"),
            ),
          ),
        )
        assert.strictEqual(yield* instance.exited, 0)
        assert.strictEqual(instance.stderr(), "")
      }),
  )

  it.effect("lines that were taken have their verdicts, and the last verdict says that no more were read", () =>
    Effect.gen(function* () {
      const instance = yield* serve({ DATABASE_URL: yield* databaseUrl })
      const accountId = yield* open(instance)
      const stream = yield* lines(instance)
      for (let i = 0; i < 3; i++) stream.send(one(accountId))
      yield* eventually(
        Effect.sync(() => stream.verdicts.length),
        (count) => count === 3,
      )
      instance.signal("SIGTERM")
      assert.strictEqual(yield* stream.ended, "whole")
      assert.deepStrictEqual(
        stream.verdicts.map(({ problem, status }) => [status, problem?.code]),
        [
          [201, undefined],
          [201, undefined],
          [201, undefined],
          [503, "shutting_down"],
        ],
      )
      assert.strictEqual(yield* instance.exited, 0)
    }),
  )

  it.effect("told again while a request hangs: it cuts the connection, ends what it has begun, and stops with 0", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy((yield* TestDatabase.TestDatabase).appUrl)
      const instance = yield* serve({ DATABASE_URL: Redacted.value(proxy.url) })
      const accountId = yield* open(instance)
      const held = yield* proxy.hold("INSERT INTO balance_change")
      const asked = yield* Effect.forkChild(
        Effect.promise(() =>
          fetch(`${instance.url}/v1/transactions`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(one(accountId)),
          }).then(
            ({ status }) => status,
            () => "cut",
          ),
        ),
      )
      yield* held.arrived
      instance.signal("SIGINT")
      yield* eventually(isListening(instance.url), (is) => !is)
      yield* eventually(
        Effect.sync(() => {
          instance.signal("SIGINT")
          return asked.pollUnsafe()
        }),
        (exit) => exit !== undefined,
      )
      assert.strictEqual(yield* Fiber.join(asked), "cut")
      yield* held.release
      assert.strictEqual(yield* instance.exited, 0)
    }),
  )
})
