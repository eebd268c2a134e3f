import { batchItemsMax, streamItemBytesMax } from "@banquo/api/Batch"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { open, post, request, layer as testServer } from "./TestServer.ts"

const path = "/v1/transactions/batch"

interface Verdicts {
  readonly made: number
  readonly verdicts: ReadonlyArray<{
    readonly status: number
    readonly replayed?: boolean
    readonly transaction?: {
      readonly transaction_id: string
      readonly changes: ReadonlyArray<{ readonly seq: number }>
    }
    readonly problem?: { readonly code: string; readonly detail: string }
  }>
}

const pay = (account_id: string, amount: string, idempotency_key?: string) => ({
  changes: [{ account_id, amount }],
  ...(idempotency_key === undefined ? {} : { idempotency_key }),
})

const send = (mode: string, transactions: ReadonlyArray<unknown>) =>
  Effect.map(post(path, { mode, transactions }), ({ json, status }) => {
    assert.strictEqual(status, 200, JSON.stringify(json))
    return json as Verdicts
  })

const outcomesOf = ({ verdicts }: Verdicts) =>
  verdicts.map(({ problem, replayed, status }) => [status, problem?.code ?? (replayed === true ? "replayed" : "made")])

const balanceOf = (id: string) =>
  Effect.map(
    request("GET", `/v1/accounts/${id}`),
    ({ json }) => (json as { balance: { posted: string } }).balance.posted,
  )

const sendLines = (lines: string) =>
  Effect.map(
    request("POST", path, { headers: { "content-type": "application/x-ndjson" }, body: lines }),
    ({ headers, status, text }) => {
      assert.strictEqual(status, 200, text)
      assert.strictEqual(headers.get("content-type"), "application/x-ndjson")
      const verdicts = text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Verdicts["verdicts"][number])
      return { made: verdicts.filter(({ status }) => status === 201).length, verdicts }
    },
  )

layer(testServer, { excludeTestServices: true })("a batch", (it) => {
  it.effect("that is independent makes what can be made, in order", () =>
    Effect.gen(function* () {
      const { account_id: ann } = yield* open({ initial_balance: "10.00" })
      const answer = yield* send("independent", [pay(ann, "-6.00"), pay(ann, "-6.00"), pay(ann, "-4.00")])
      assert.strictEqual(answer.made, 2)
      assert.deepStrictEqual(outcomesOf(answer), [
        [201, "made"],
        [422, "insufficient_funds"],
        [201, "made"],
      ])
      assert.strictEqual(yield* balanceOf(ann), "0.00")
    }),
  )

  it.effect("that is atomic makes all or none, and says which one is to blame", () =>
    Effect.gen(function* () {
      const { account_id: ann } = yield* open({ initial_balance: "10.00" })
      const refused = yield* send("atomic", [pay(ann, "-6.00"), pay(ann, "-6.00"), pay(ann, "1.00")])
      assert.strictEqual(refused.made, 0)
      assert.deepStrictEqual(outcomesOf(refused), [
        [409, "batch_aborted"],
        [422, "insufficient_funds"],
        [409, "batch_aborted"],
      ])
      assert.strictEqual(yield* balanceOf(ann), "10.00")
      const made = yield* send("atomic", [pay(ann, "-6.00"), pay(ann, "2.00"), pay(ann, "-6.00")])
      assert.strictEqual(made.made, 3)
      assert.deepStrictEqual(
        made.verdicts.map(({ transaction }) => transaction?.changes[0]?.seq),
        [1, 2, 3],
      )
      assert.strictEqual(yield* balanceOf(ann), "0.00")
    }),
  )

  it.effect("has a key for each transaction, in either mode", () =>
    Effect.gen(function* () {
      const { account_id: ann } = yield* open({})
      for (const mode of ["atomic", "independent"]) {
        const items = [pay(ann, "1.00", `${mode}-1`), pay(ann, "2.00", `${mode}-2`)]
        const first = yield* send(mode, items)
        const second = yield* send(mode, items)
        assert.deepStrictEqual(outcomesOf(second), [
          [201, "replayed"],
          [201, "replayed"],
        ])
        assert.deepStrictEqual(
          second.verdicts.map(({ transaction }) => transaction),
          first.verdicts.map(({ transaction }) => transaction),
        )
      }
      assert.strictEqual(yield* balanceOf(ann), "6.00")
      const mixed = yield* send("atomic", [pay(ann, "1.00"), pay(ann, "1.00", "atomic-1")])
      assert.deepStrictEqual(outcomesOf(mixed), [
        [409, "batch_aborted"],
        [422, "idempotency_key_reused"],
      ])
      assert.strictEqual(yield* balanceOf(ann), "6.00")
    }),
  )

  it.effect("takes as many as its limit says, and no more", () =>
    Effect.gen(function* () {
      const { account_id: ann } = yield* open({})
      const items = Array.from({ length: batchItemsMax }, () => pay(ann, "0.01"))
      for (const mode of ["atomic", "independent"]) {
        assert.strictEqual((yield* send(mode, items)).made, batchItemsMax)
        assert.strictEqual((yield* post(path, { mode, transactions: [...items, pay(ann, "0.01")] })).status, 400)
      }
      assert.strictEqual(yield* balanceOf(ann), "20.00")
    }),
  )

  it.effect("is refused as a whole when it does not fit its schema", () =>
    Effect.gen(function* () {
      const { account_id: ann } = yield* open({})
      for (const body of [
        { mode: "atomic", transactions: [] },
        { mode: "both", transactions: [pay(ann, "1")] },
        { transactions: [pay(ann, "1")] },
        { mode: "atomic", transactions: [pay(ann, "1"), pay(ann, "1e3")] },
        { mode: "independent", transactions: [pay(ann, "1"), { ...pay(ann, "1"), note: "x" }] },
        { mode: "atomic", transactions: [pay(ann, "1", "twice"), pay(ann, "2", "twice")] },
      ]) {
        const { json, status } = yield* post(path, body)
        assert.strictEqual(status, 400)
        assert.strictEqual((json as { code: string }).code, "invalid_request")
      }
      assert.strictEqual(yield* balanceOf(ann), "0.00")
    }),
  )
})

layer(testServer, { excludeTestServices: true })("a stream of transactions", (it) => {
  it.effect("has a verdict for each line, in order, though some are refused", () =>
    Effect.gen(function* () {
      const { account_id: ann } = yield* open({ initial_balance: "1.00" })
      const lines = [
        pay(ann, "5.00", "s1"),
        { changes: 1 },
        pay(ann, "-50.00"),
        pay(ann, "5.00", "s1"),
        pay(ann, "-6.00"),
      ]
      const answer = yield* sendLines(lines.map((line) => JSON.stringify(line)).join("\n"))
      assert.deepStrictEqual(outcomesOf(answer), [
        [201, "made"],
        [400, "invalid_request"],
        [422, "insufficient_funds"],
        [201, "replayed"],
        [201, "made"],
      ])
      assert.strictEqual(yield* balanceOf(ann), "0.00")
    }),
  )

  it.effect("may be longer than any batch and any body", () =>
    Effect.gen(function* () {
      const { account_id: ann } = yield* open({})
      const line = `${JSON.stringify({ ...pay(ann, "0.01"), description: "x".repeat(500) })}\n`
      const answer = yield* sendLines(line.repeat(3000))
      assert.strictEqual(answer.made, 3000)
      assert.strictEqual(yield* balanceOf(ann), "30.00")
    }),
  )

  it.effect("ends at a line that is no JSON or too long; what came before has its verdict", () =>
    Effect.gen(function* () {
      const { account_id: ann } = yield* open({})
      const good = JSON.stringify(pay(ann, "1.00"))
      const broken = yield* sendLines(`${good}\n{"changes":\n${good}\n`)
      assert.deepStrictEqual(outcomesOf(broken), [
        [201, "made"],
        [400, "invalid_request"],
      ])
      const long = JSON.stringify({ ...pay(ann, "1.00"), description: "x".repeat(streamItemBytesMax) })
      const tooLong = yield* sendLines(`${good}\n${long}\n${good}\n`)
      assert.deepStrictEqual(outcomesOf(tooLong), [
        [201, "made"],
        [413, "body_too_large"],
      ])
      assert.strictEqual(yield* balanceOf(ann), "2.00")
    }),
  )
})
