/** What the service tells its operator while everything goes wrong: log lines that hide what must not be seen, and OTLP. */
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { createServer } from "node:http"
import { make as makeProxy } from "@banquo/testing/FaultyProxy"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { eventually, get, post, run, serve } from "./ServeProcess.ts"

interface Line {
  readonly time: string
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

const linesOf = (output: string) =>
  output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line)

const open = (url: string) =>
  Effect.map(
    post(`${url}/v1/accounts`, { customer_name: "Ann Secret", currency: "EUR", initial_balance: "7301.17" }),
    ({ text }) => (JSON.parse(text) as { readonly account_id: string }).account_id,
  )

layer(TestDatabase.layer, { excludeTestServices: true })("telemetry", (it) => {
  it.effect("a run of faults: every line is JSON, and has no amount, no SQL, no password, no name", () =>
    Effect.gen(function* () {
      const { appUrl, ownerUrl } = yield* TestDatabase.TestDatabase
      const proxy = yield* makeProxy(appUrl)
      const instance = yield* serve({ DATABASE_URL: Redacted.value(proxy.url), LOG_FORMAT: "json" })
      const accountId = yield* open(instance.url)
      const pay = (sum: string, headers?: Record<string, string>) =>
        post(
          `${instance.url}/v1/transactions`,
          { changes: [{ account_id: accountId, amount: sum }], description: "rent" },
          headers,
        )
      assert.strictEqual((yield* pay("-9999.99")).status, 422)
      assert.strictEqual((yield* pay("1.5e3")).status, 400)
      yield* proxy.goAway
      yield* eventually(get(`${instance.url}/readyz`), ({ status }) => status === 503)
      assert.strictEqual((yield* pay("-8888.88")).status, 503)
      yield* proxy.comeBack
      yield* eventually(pay("1.25"), ({ status }) => status === 201)
      // A row that breaks what the code takes for granted: an amount of more decimals than its currency has.
      const owner = yield* TestDatabase.connect(ownerUrl)
      yield* owner`ALTER TABLE balance_change DROP CONSTRAINT balance_change_scale_check`
      yield* owner`UPDATE balance_change SET chg_amt = 7301.1701, balance = 7301.1701 WHERE acct_id = ${accountId}::UUID AND acct_seq = 0`
      const broken = yield* get(`${instance.url}/v1/accounts/${accountId}/changes`)
      assert.strictEqual(broken.status, 500, broken.text)
      instance.signal("SIGTERM")
      assert.strictEqual(yield* instance.exited, 0)

      const lines = linesOf(instance.stdout())
      for (const { level, message, time } of lines) {
        assert.include(["info", "warn", "error"], level)
        assert.isNotEmpty(message)
        assert.isFalse(Number.isNaN(Date.parse(time)))
      }
      const failed = lines.find(({ message }) => message === "request failed")
      assert.strictEqual(failed?.["request_id"], broken.headers.get("x-request-id"))
      assert.isTrue(lines.some(({ message }) => message.startsWith("Banquo listens on")))

      const all = `${instance.stdout()}${instance.stderr()}`
      for (const sum of ["7301.17", "73011701", "9999.99", "8888.88", "1.25", "1.5e3"]) assert.notInclude(all, sum)
      assert.notMatch(all, /\b(?:select|insert|update|from balance_change|where|values)\b/i)
      assert.notMatch(all, /Secret|rent\b|\n\s+at /)
      for (const url of [appUrl, ownerUrl, proxy.url]) {
        const { password } = new URL(Redacted.value(url))
        assert.notInclude(all, decodeURIComponent(password))
      }
    }),
  )

  it.effect("an unknown format of log lines: 1, and one clear line", () =>
    Effect.gen(function* () {
      const command = yield* run(["serve"], { LOG_FORMAT: "xml" })
      assert.strictEqual(yield* command.exited, 1)
      assert.match(command.stderr(), /^banquo: bad configuration: .*LOG_FORMAT.*\n$/)
    }),
  )

  it.effect("by OTLP, where it is configured: spans of requests, log lines, metrics; and nothing where it is not", () =>
    Effect.gen(function* () {
      const { appUrl } = yield* TestDatabase.TestDatabase
      const received = new Map<string, string>()
      const collector = yield* Effect.acquireRelease(
        Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
          const server = createServer((incoming, outgoing) => {
            let body = ""
            incoming.setEncoding("utf8").on("data", (text: string) => (body += text))
            incoming.on("end", () => {
              received.set(incoming.url!, `${received.get(incoming.url!) ?? ""}${body}`)
              outgoing.setHeader("content-type", "application/json").end("{}")
            })
          })
          server.listen(0, "127.0.0.1", () => {
            const { port } = server.address() as { readonly port: number }
            resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, close: () => server.close() }))
          })
        }),
        ({ close }) => Effect.sync(close),
      )
      const env = {
        DATABASE_URL: Redacted.value(appUrl),
        LOG_FORMAT: "json",
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      }
      const use = (more: Record<string, string>) =>
        Effect.gen(function* () {
          const instance = yield* serve({ ...env, ...more })
          yield* open(instance.url)
          instance.signal("SIGTERM")
          assert.strictEqual(yield* instance.exited, 0)
        })
      yield* use({})
      assert.deepStrictEqual([...received.keys()], [])
      const otlp = "otlp"
      yield* use({
        OTEL_TRACES_EXPORTER: otlp,
        OTEL_LOGS_EXPORTER: otlp,
        OTEL_METRICS_EXPORTER: otlp,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      })
      assert.sameMembers([...received.keys()], ["/v1/logs", "/v1/metrics", "/v1/traces"])
      assert.include(received.get("/v1/logs"), "Banquo listens on")
      assert.include(received.get("/v1/metrics"), "banquo_batch_rows")
      assert.include(received.get("/v1/traces"), "/v1/accounts")
      for (const body of received.values()) {
        assert.include(body, '"banquo"')
        for (const word of ["7301.17", "73011700", "Secret"]) assert.notInclude(body, word)
      }
    }),
  )
})
