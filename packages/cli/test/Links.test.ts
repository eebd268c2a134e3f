/** Links to the database that fail without a word, under a service that is a process of its own. */
import * as BadLink from "@banquo/testing/BadLink"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { type Answer, eventually, get, post, serve, type ServeProcess } from "./ServeProcess.ts"

/** A request's deadline of 8 s, and a second. */
const answerMillisMax = 9_000

/** By when a connection that is silent is given up where others are answered: before it is by itself. */
const silenceMillis = 6_000

/** From when a link fails until `/readyz` says so. */
const noticeMillisMax = 5_000

/** The bound of the process, and its look at the server. */
const connectionsMax = 11

const timed = (request: Effect.Effect<Answer>) =>
  Effect.suspend(() => {
    const begun = performance.now()
    return Effect.map(request, (answer) => ({ ...answer, millis: performance.now() - begun }))
  })

const openAccount = ({ url }: ServeProcess) =>
  Effect.map(post(`${url}/v1/accounts`, { customer_name: "Ann", currency: "EUR" }), ({ status, text }) => {
    assert.strictEqual(status, 201, text)
    return (JSON.parse(text) as { readonly account_id: string }).account_id
  })

const payTo = ({ url }: ServeProcess, account_id: string, key: string) =>
  post(`${url}/v1/transactions`, { changes: [{ account_id, amount: "1" }] }, { "idempotency-key": key })

/** What is open in the database by the name of one instance. */
const backendsOf = (name: string) =>
  Effect.gen(function* () {
    const { superuserUrl } = yield* TestDatabase.TestDatabase
    const sql = yield* TestDatabase.connect(superuserUrl)
    const [row] = yield* sql<{ count: bigint }>`SELECT count(*) FROM pg_stat_activity WHERE application_name = ${name}`
    return Number(row!.count)
  }).pipe(Effect.orDie)

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("a link to the database", (it) => {
  for (const weather of BadLink.weathers) {
    it.effect.skipIf(TestDatabase.dialect !== "postgresql")(
      `that becomes ${weather}: each request is answered in time, and all is well soon after`,
      () =>
        Effect.gen(function* () {
          const { appUrl } = yield* TestDatabase.TestDatabase
          const url = new URL(Redacted.value(appUrl))
          const link = yield* BadLink.make({ host: url.hostname, port: Number(url.port) })
          const name = `link-${weather}`
          url.port = String(link.port)
          url.searchParams.set("application_name", name)
          const instance = yield* serve({ DATABASE_URL: url.href, LOG_FORMAT: "json" })
          const accounts = yield* Effect.all(Array.from({ length: 3 }, () => openAccount(instance)))
          yield* link.set(weather)
          const asked = Effect.all(
            accounts.flatMap((accountId, at) => [
              timed(payTo(instance, accountId, `${name}-${at}`)),
              timed(get(`${instance.url}/v1/accounts/${accountId}`)),
              timed(get(`${instance.url}/v1/accounts/${accountId}/changes`)),
            ]),
            { concurrency: "unbounded" },
          )
          const notice =
            weather === "stalled" || weather === "black_hole" || weather === "trickle" || weather === "reset"
              ? timed(eventually(get(`${instance.url}/readyz`), ({ status }) => status === 503))
              : Effect.undefined
          const [answers, noticed] = yield* Effect.all([asked, notice], { concurrency: "unbounded" })
          for (const { millis, status, text } of answers) {
            assert.isBelow(millis, weather === "half_open" ? silenceMillis : answerMillisMax)
            assert.include([200, 201, 503], status, text)
          }
          if (noticed !== undefined) assert.isBelow(noticed.millis, noticeMillisMax)
          yield* link.set("clear")
          yield* eventually(get(`${instance.url}/readyz`), ({ status }) => status === 200)
          for (const [at, accountId] of accounts.entries()) {
            const { status, text } = yield* payTo(instance, accountId, `${name}-${at}`)
            assert.strictEqual(status, 201, text)
            const read = yield* get(`${instance.url}/v1/accounts/${accountId}`)
            assert.strictEqual((JSON.parse(read.text) as { readonly seq: number }).seq, 1)
          }
          yield* eventually(link.open, (count) => count <= connectionsMax)
          yield* eventually(Effect.scoped(backendsOf(name)), (count) => count <= connectionsMax)
          assert.notInclude(instance.stdout(), '"level":"error"')
        }),
    )
  }
})
