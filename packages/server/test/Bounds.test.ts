/** Bodies that cost their sender little: what they are answered with, and that others are answered meanwhile. */
import { bodyBytesMax } from "@banquo/api/Api"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as TestServer from "./TestServer.ts"
import { assertProblem, change, get, open, post, request, rowCounts, streamOf } from "./TestServer.ts"

const transactions = "/v1/transactions"
const noOne = "00000000-0000-4000-8000-00000000dead"

const many = (count: number, text: string) => Array.from({ length: count }, () => text).join(",")
const whole = `{"account_id":"${noOne}","amount":"1"}`
const keys = (count: number) => Array.from({ length: count }, (_, at) => `"k${at}":""`).join(",")
const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`

/** The body, the path, and where the first fault is. */
const bodies: ReadonlyArray<readonly [name: string, path: string, body: string, pointer: string]> = [
  ["200 000 empty changes", transactions, `{"changes":[${many(200_000, "{}")}]}`, "/changes"],
  ["14 000 whole changes", transactions, `{"changes":[${many(14_000, whole)}]}`, "/changes"],
  ["101 changes", transactions, `{"changes":[${many(101, whole)}]}`, "/changes"],
  [
    "200 000 empty changes to take back",
    `${transactions}/1/reverse`,
    `{"changes":[${many(200_000, "{}")}]}`,
    "/changes",
  ],
  [
    "200 000 empty transactions",
    `${transactions}/batch`,
    `{"mode":"independent","transactions":[${many(200_000, "{}")}]}`,
    "/transactions",
  ],
  [
    "200 000 empty changes in a batch",
    `${transactions}/batch`,
    `{"mode":"atomic","transactions":[{"changes":[${many(200_000, "{}")}]}]}`,
    "/transactions/0/changes",
  ],
  [
    "1 000 transactions of 100 empty changes",
    `${transactions}/batch`,
    `{"mode":"independent","transactions":[${many(1_000, `{"changes":[${many(100, "{}")}]}`)}]}`,
    "/transactions/0/changes/0/account_id",
  ],
  ["80 000 keys of metadata", transactions, `{"changes":[${whole}],"metadata":{${keys(80_000)}}}`, "/metadata"],
  ["51 keys of metadata", transactions, `{"changes":[${whole}],"metadata":{${keys(51)}}}`, "/metadata"],
  ["80 000 unknown members", transactions, `{"changes":[${whole}],${keys(80_000)}}`, "/k0"],
  [
    "80 000 conditions",
    transactions,
    `{"changes":[{"account_id":"${noOne}","amount":"1","require":{${keys(80_000)}}}]}`,
    "/changes/0/require/k0",
  ],
  ["80 000 unknown members of an account", "/v1/accounts", `{${keys(80_000)}}`, "/k0"],
  [
    "80 000 unknown members of a change in a batch",
    `${transactions}/batch`,
    `{"mode":"atomic","transactions":[{"changes":[{${keys(80_000)}}]}]}`,
    "/transactions/0/changes/0/k0",
  ],
  [
    "100 changes of 60 unknown members in a batch",
    `${transactions}/batch`,
    `{"mode":"atomic","transactions":[{"changes":[${many(100, `{${keys(60)}}`)}]}]}`,
    "/transactions/0/changes/0/k0",
  ],
  ["an unknown member 150 000 deep", transactions, `{"changes":[${whole}],"x":${nested(150_000)}}`, "/x"],
  [
    "an amount 2 500 deep",
    transactions,
    `{"changes":[{"account_id":"${noOne}","amount":${nested(2_500)}}]}`,
    "/changes/0/amount",
  ],
  [
    "a value of metadata 150 000 deep",
    transactions,
    `{"changes":[${whole}],"metadata":{"k":${nested(150_000)}}}`,
    "/metadata/k",
  ],
  ["a body 150 000 deep", transactions, nested(150_000), "/a"],
]

/** Where the faults of one more member of a transaction are told to be, in an answer that stays small. */
const pointersFor = (member: string) =>
  Effect.map(post(transactions, `{"changes":[${whole}],${member}}`), (answer) => {
    assert.isBelow(answer.text.length, 2_000)
    return assertProblem(answer, 400, "invalid_request").errors!.map(({ pointer }) => pointer)
  })

layer(TestServer.layer, { excludeTestServices: true })("a body that is too much", (it) => {
  for (const [name, path, body, pointer] of bodies) {
    it.effect(`${name}: at most 20 faults are told, nothing is written, and others are answered`, () =>
      Effect.gen(function* () {
        assert.isAtMost(body.length, bodyBytesMax)
        const { account_id } = yield* open()
        const before = yield* rowCounts
        const [refused, health] = yield* Effect.all([post(path, body), get("/livez")], { concurrency: 2 })
        const { errors } = assertProblem(refused, 400, "invalid_request")
        assert.isAtMost(errors!.length, 20)
        assert.include(
          errors!.map((error) => error.pointer),
          pointer,
        )
        assert.strictEqual(health.status, 200)
        assert.deepStrictEqual(yield* rowCounts, before)
        yield* change(account_id, "1")
      }),
    )
  }

  it.effect("a line of a stream is refused by itself, with at most 20 faults", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const lines = [
        `{"changes":[${many(20_000, "{}")}]}`,
        `{"changes":[${many(100, "{}")}]}`,
        `{"changes":[${whole}],"x":${nested(10_000)}}`,
        `{"changes":[${whole}],"metadata":{${keys(5_000)}}}`,
        `{"changes":[{"account_id":"${account_id}","amount":"1"}]}`,
      ]
      const answer = yield* request("POST", `${transactions}/batch`, {
        body: streamOf(`${lines.join("\n")}\n`),
        headers: { "content-type": "application/x-ndjson" },
      })
      const verdicts = answer.text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { status: number; problem?: { errors: ReadonlyArray<{ pointer: string }> } })
      assert.deepStrictEqual(
        verdicts.map(({ status }) => status),
        [400, 400, 400, 400, 201],
      )
      assert.deepStrictEqual(
        verdicts[0]!.problem!.errors.map(({ pointer }) => pointer),
        ["/changes"],
      )
      assert.lengthOf(verdicts[1]!.problem!.errors, 20)
    }),
  )

  it.effect("keys are told as they were sent up to the longest that a map may have; longer ones are cut", () =>
    Effect.gen(function* () {
      const [longest, tooLong] = ["k".repeat(100), "k".repeat(1_000_000)]
      assert.deepStrictEqual(yield* pointersFor(`"${longest}":1`), [`/${longest}`])
      assert.deepStrictEqual(yield* pointersFor(`"${tooLong}":1`), [`/${longest}…`])
      assert.include(yield* pointersFor(`"metadata":{"${tooLong}":1}`), `/metadata/${longest}…`)
    }),
  )

  it.effect("the prototype's route takes no large body", () =>
    Effect.gen(function* () {
      const answer = yield* post("/transaction", `{"account_id":"${noOne}","amount":1,${keys(80_000)}}`)
      assert.strictEqual(answer.status, 400)
      assert.strictEqual(answer.headers.get("content-type"), "text/plain")
    }),
  )

  it.effect("a date that databases lack is refused by itself: what is sent together with it is made", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const dated = (effective_at: string) =>
        post(transactions, { changes: [{ account_id, amount: "1" }], effective_at })
      const dates = [
        "0001-01-01T00:00:00+01:00",
        "0000-06-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
      ]
      const answers = yield* Effect.forEach(dates, dated, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        answers.map(({ status }) => status),
        [400, 400, 201, 201],
      )
    }),
  )
})
