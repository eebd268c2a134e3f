/** What two instances that remember the same accounts do to each other: processes of their own, over HTTP. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { verifyLedger } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { type Answer, post, send, serve, type ServeProcess } from "./ServeProcess.ts"

class Instances extends Context.Service<Instances, readonly [ServeProcess, ServeProcess]>()(
  "@banquo/cli/test/TwoInstances",
) {
  static readonly layer = Layer.effect(
    Instances,
    Effect.flatMap(TestDatabase.TestDatabase, ({ appUrl }) => {
      const instance = serve({ DATABASE_URL: Redacted.value(appUrl) })
      return Effect.all([instance, instance], { concurrency: "unbounded" })
    }),
  )
}

const together = { concurrency: "unbounded" } as const

const times = <A>(count: number, make: (index: number) => A) => Array.from({ length: count }, (_, index) => make(index))

const jsonOf = ({ text }: Answer) => JSON.parse(text)

/** What an answer came to: its status, or the code of its problem. */
const outcomeOf = (answer: Answer): number | string => jsonOf(answer).code ?? answer.status

const countOf = (outcomes: ReadonlyArray<number | string>) =>
  Object.fromEntries([...Map.groupBy(outcomes, String)].map(([outcome, same]) => [outcome, same.length]))

const openAccount = ({ url }: ServeProcess, initial_balance: string) =>
  Effect.map(post(`${url}/v1/accounts`, { customer_name: "Ann", currency: "EUR", initial_balance }), (answer) => {
    assert.strictEqual(answer.status, 201, answer.text)
    return jsonOf(answer).account_id as string
  })

const changeOne = ({ url }: ServeProcess, account_id: string, amount: string) =>
  post(`${url}/v1/transactions`, { changes: [{ account_id, amount }] })

const transfer = (from: string, to: string, amount: string) => ({
  changes: [
    { account_id: from, amount: `-${amount}` },
    { account_id: to, amount },
  ],
})

const setStatus = ({ url }: ServeProcess, accountId: string, status: string) =>
  Effect.map(send("PATCH", `${url}/v1/accounts/${accountId}`, { status, reason: "test" }), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return jsonOf(answer) as { readonly seq: number }
  })

layer(Instances.layer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(
  "two processes",
  (it) => {
    it.effect("one that remembers an account as it was cannot post on it once the other has frozen it", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Instances
        for (let round = 0; round < 5; round++) {
          const [ann, shop] = [yield* openAccount(one, "100"), yield* openAccount(one, "0")]
          // From here on it has the newest row in memory.
          assert.strictEqual(outcomeOf(yield* changeOne(one, ann, "-1")), 201)
          const placed = yield* post(`${one.url}/v1/holds`, { account_id: ann, amount: "5" })
          const { hold_id } = jsonOf(placed).hold
          yield* setStatus(other, ann, "frozen")
          const answers = [
            yield* changeOne(one, ann, "-1"),
            yield* changeOne(one, ann, "1"),
            yield* post(`${one.url}/v1/transactions`, transfer(ann, shop, "1")),
            yield* post(`${one.url}/v1/holds`, { account_id: ann, amount: "1" }),
            yield* post(`${one.url}/v1/holds/${hold_id}/capture`, { to: shop }),
          ]
          assert.deepStrictEqual(
            answers.map(outcomeOf),
            times(5, () => "account_frozen"),
          )
          yield* setStatus(other, ann, "open")
          assert.strictEqual(outcomeOf(yield* post(`${one.url}/v1/holds/${hold_id}/capture`, { to: shop })), 201)
        }
        yield* verifyLedger
      }),
    )

    it.effect("while one freezes, what the other posts comes before it or is refused", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Instances
        const ann = yield* openAccount(one, "1000")
        const [answers, { seq }] = yield* Effect.all(
          [
            Effect.all(
              times(48, (i) => changeOne(i % 4 === 0 ? other : one, ann, "-1")),
              together,
            ),
            setStatus(other, ann, "debits_frozen"),
          ] as const,
          together,
        )
        for (const answer of answers) {
          if (outcomeOf(answer) === "account_frozen") continue
          assert.strictEqual(answer.status, 201, answer.text)
          assert.isBelow(jsonOf(answer).changes[0].seq, seq)
        }
        assert.strictEqual(outcomeOf(yield* changeOne(one, ann, "-1")), "account_frozen")
        yield* verifyLedger
      }),
    )

    it.effect("of 32 reversals asked at once of both, with keys of their own, one wins", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Instances
        const [ann, shop] = [yield* openAccount(one, "100"), yield* openAccount(other, "0")]
        const { transaction_id } = jsonOf(yield* post(`${one.url}/v1/transactions`, transfer(ann, shop, "30")))
        const answers = yield* Effect.all(
          times(32, (i) =>
            post(
              `${(i % 2 === 0 ? one : other).url}/v1/transactions/${transaction_id}/reverse`,
              {},
              {
                "idempotency-key": `reverse-${i}`,
              },
            ),
          ),
          together,
        )
        assert.deepStrictEqual(countOf(answers.map(outcomeOf)), { "201": 1, already_reversed: 31 })
        yield* verifyLedger
      }),
    )

    it.effect("of 24 captures asked at once of both, the hold is enough for eight", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Instances
        const [ann, shop] = [yield* openAccount(one, "100"), yield* openAccount(other, "0")]
        const { hold } = jsonOf(yield* post(`${one.url}/v1/holds`, { account_id: ann, amount: "40" }))
        const capture = { amount: "5", final: false, to: shop }
        const answers = yield* Effect.all(
          times(24, (i) =>
            post(`${(i % 2 === 0 ? one : other).url}/v1/holds/${hold.hold_id}/capture`, capture, {
              "idempotency-key": `capture-${i}`,
            }),
          ),
          together,
        )
        assert.deepStrictEqual(countOf(answers.map(outcomeOf)), { "201": 8, hold_already_captured: 16 })
        yield* verifyLedger
      }),
    )

    it.effect("the same capture at once of both is one, with the same bytes", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Instances
        const ann = yield* openAccount(one, "100")
        const { hold } = jsonOf(yield* post(`${one.url}/v1/holds`, { account_id: ann, amount: "40" }))
        const answers = yield* Effect.all(
          times(16, (i) =>
            post(
              `${(i % 2 === 0 ? one : other).url}/v1/holds/${hold.hold_id}/capture`,
              { amount: "15" },
              { "idempotency-key": "capture-together" },
            ),
          ),
          together,
        )
        for (const { status, text } of answers) assert.deepStrictEqual([status, text], [201, answers[0]!.text])
        assert.lengthOf(
          answers.filter(({ headers }) => !headers.has("idempotency-replayed")),
          1,
        )
        yield* verifyLedger
      }),
    )
  },
)
