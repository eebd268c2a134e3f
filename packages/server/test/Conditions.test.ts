/** Writes with a condition, writes that are only judged, and writes of another time. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as TestServer from "./TestServer.ts"
import {
  account,
  type Answer,
  assertProblem,
  change,
  type DryRunJson,
  get,
  hold,
  type HoldWrittenJson,
  open,
  patch,
  post,
  request,
  rowCounts,
  type TransactionJson,
} from "./TestServer.ts"

const transactions = "/v1/transactions"
const holds = "/v1/holds"

const comparisons = ["gte", "lte", "gt", "lt", "eq"] as const

/** Whether 70 compares so with 69, 70 and 71. */
const expected = {
  gte: [true, true, false],
  lte: [false, true, true],
  gt: [true, false, false],
  lt: [false, false, true],
  eq: [false, true, false],
} as const

layer(TestServer.layer, { excludeTestServices: true })("a condition", (it) => {
  for (const subject of ["posted", "available"] as const) {
    it.effect(`on ${subject} is judged after the change; the problem says what it would have come to`, () =>
      Effect.gen(function* () {
        const bounds = ["69", "70.00", "71"]
        for (const comparison of comparisons) {
          for (const [index, amount] of bounds.entries()) {
            // After the change, 70 of either: posted of the first, available of the second, which holds 20 and may owe 5.
            const { account_id } = yield* subject === "posted"
              ? open({ initial_balance: "100" })
              : open({ initial_balance: "115", overdraft_limit: "5" })
            if (subject === "available") yield* hold(account_id, "20")
            const { seq } = yield* account(account_id)
            const require = { [subject]: { [comparison]: amount } }
            const answer = yield* post(transactions, { changes: [{ account_id, amount: "-30", require }] })
            if (expected[comparison][index]!) {
              assert.strictEqual(answer.status, 201, answer.text)
            } else {
              assert.deepInclude(assertProblem(answer, 422, "condition_not_met"), {
                account_id,
                subject,
                comparison,
                amount,
                actual: "70.00",
              })
              assert.strictEqual((yield* account(account_id)).seq, seq)
            }
          }
        }
      }),
    )
  }

  it.effect("of several, all must hold, on each leg by itself", () =>
    Effect.gen(function* () {
      const { account_id: a } = yield* open({ initial_balance: "100" })
      const { account_id: b } = yield* open()
      const send = (first: object, second: object) =>
        post(transactions, {
          changes: [
            { account_id: a, amount: "-30", require: first },
            { account_id: b, amount: "30", require: second },
          ],
        })
      const inside = { posted: { gte: "70", lte: "70" }, available: { gt: "0", lt: "71", eq: "70" } }
      const broken = yield* send(inside, { posted: { gte: "0", lt: "30" } })
      assert.deepInclude(assertProblem(broken, 422, "condition_not_met"), {
        account_id: b,
        comparison: "lt",
        amount: "30",
        actual: "30.00",
      })
      assert.strictEqual((yield* send(inside, { posted: { eq: "30.0" } })).status, 201)
    }),
  )

  it.effect("without limit is more than any amount", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ overdraft_limit: null })
      const send = (require: object) => post(transactions, { changes: [{ account_id, amount: "-1", require }] })
      const answer = yield* send({ available: { lte: "99999999999999999999.99" } })
      assert.deepInclude(assertProblem(answer, 422, "condition_not_met"), { actual: null })
      assert.strictEqual((yield* send({ available: { gt: "99999999999999999999.99" } })).status, 201)
    }),
  )

  it.effect("may be said of a hold, its increase, its capture, its release, and of a reversal", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { hold_id } = yield* hold(account_id, "10")
      for (const [path, body, available, other] of [
        [holds, { account_id, amount: "20" }, "70", "69.99"],
        [`${holds}/${hold_id}/increase`, { amount: "5" }, "65", "90"],
        [`${holds}/${hold_id}/capture`, { amount: "5", final: false }, "65", "70"],
        [`${holds}/${hold_id}/release`, {}, "75", "65"],
      ] as const) {
        const wrong = yield* post(path, { ...body, require: { available: { eq: other } } })
        assert.deepInclude(assertProblem(wrong, 422, "condition_not_met"), { actual: `${available}.00` })
        const right = yield* post(path, { ...body, require: { available: { eq: available } } })
        assert.strictEqual(right.status, 201, right.text)
      }
      const { transaction_id } = yield* change(account_id, "5")
      const reverse = (amount: string) =>
        post(`${transactions}/${transaction_id}/reverse`, {
          changes: [{ account_id, amount: "-5", require: { posted: { eq: amount } } }],
        })
      assert.deepInclude(assertProblem(yield* reverse("100"), 422, "condition_not_met"), { actual: "95.00" })
      assert.strictEqual((yield* reverse("95")).status, 201)
    }),
  )
})

/** A write that would be carried out, one that would be refused, and what is left to compare. */
interface Write {
  readonly name: string
  readonly method?: "POST" | "PATCH"
  readonly path: string
  readonly body: object
  readonly refused: object
  readonly code: string
}

/** Writes of every kind on accounts of their own. */
const writes = Effect.gen(function* () {
  const { account_id } = yield* open({ initial_balance: "100" })
  const { transaction_id } = yield* change(account_id, "5")
  const ids = [yield* hold(account_id, "10"), yield* hold(account_id, "10"), yield* hold(account_id, "10")].map(
    ({ hold_id }) => hold_id,
  )
  const all: ReadonlyArray<Write> = [
    {
      name: "open",
      path: "/v1/accounts",
      body: { customer_name: "Ann", currency: "EUR", initial_balance: "7" },
      refused: { customer_name: "Ann", currency: "EUR", initial_balance: "-7" },
      code: "insufficient_funds",
    },
    {
      name: "post",
      path: transactions,
      body: { changes: [{ account_id, amount: "-1" }] },
      refused: { changes: [{ account_id, amount: "-1000" }] },
      code: "insufficient_funds",
    },
    {
      name: "reverse",
      path: `${transactions}/${transaction_id}/reverse`,
      body: { changes: [{ account_id, amount: "-1" }] },
      refused: { changes: [{ account_id, amount: "-6" }] },
      code: "reversal_exceeds_transaction",
    },
    {
      name: "place",
      path: holds,
      body: { account_id, amount: "1" },
      refused: { account_id, amount: "1000" },
      code: "insufficient_funds",
    },
    {
      name: "increase",
      path: `${holds}/${ids[0]}/increase`,
      body: { amount: "1" },
      refused: { amount: "1000" },
      code: "insufficient_funds",
    },
    {
      name: "capture",
      path: `${holds}/${ids[1]}/capture`,
      body: { amount: "4" },
      refused: { amount: "11" },
      code: "capture_exceeds_hold",
    },
    {
      name: "release",
      path: `${holds}/${ids[2]}/release`,
      body: {},
      refused: { expected_seq: 0 },
      code: "version_conflict",
    },
    {
      name: "change",
      method: "PATCH",
      path: `/v1/accounts/${account_id}`,
      body: { overdraft_limit: "9", customer_name: "Bob" },
      refused: { status: "closed" },
      code: "account_not_empty",
    },
  ]
  return all
})

const send = (
  { method = "POST", path }: Write,
  body: object,
  key?: string,
): Effect.Effect<Answer, never, TestServer.TestServer> =>
  request(method, path, { body, headers: key === undefined ? {} : { "idempotency-key": key } })

/** The rows that an answer to a write tells of, without what only a stored row has; an account tells of its newest. */
const forecastOf = (json: unknown): ReadonlyArray<object> => {
  const { account_id, balance, changes, overdraft_limit, seq, status, transaction } = json as Partial<
    TransactionJson & HoldWrittenJson & TestServer.AccountJson
  >
  const rows = changes ?? transaction?.changes
  if (rows === undefined) return [{ account_id, balance, overdraft_limit, seq, status }]
  return rows.map((row) => ({
    account_id: row.account_id,
    seq: row.seq,
    flavor: row.flavor,
    amount: row.amount,
    held_amount: row.held_amount,
    currency: row.currency,
    balance: row.balance,
    status: row.status,
    overdraft_limit: row.overdraft_limit,
  }))
}

layer(TestServer.layer, { excludeTestServices: true })("a dry run", (it) => {
  it.effect("of any write says what would come of it, is refused as it would be, and writes nothing", () =>
    Effect.gen(function* () {
      for (const write of yield* writes) {
        const key = `dry-${write.name}`
        const before = yield* rowCounts
        const judged = yield* send(write, { ...write.body, dry_run: true }, key)
        assert.strictEqual(judged.status, 200, judged.text)
        assert.isNull(judged.headers.get("idempotency-replayed"))
        const { changes, dry_run, replayed } = judged.json as DryRunJson
        assert.deepStrictEqual([dry_run, replayed], [true, false])
        assert.doesNotHaveAnyKeys(changes[0], ["change_id", "transaction_id", "hash", "created_at"])
        const refused = yield* send(write, { ...write.refused, dry_run: true }, key)
        const real = yield* send(write, write.refused)
        const problem = assertProblem(refused, real.status, write.code)
        assert.deepStrictEqual(
          { ...problem, request_id: "", detail: write.name === "open" ? "" : problem.detail },
          {
            ...assertProblem(real, real.status, write.code),
            request_id: "",
            // An account that is opened gets another id each time.
            ...(write.name === "open" ? { detail: "", account_id: problem["account_id"] } : {}),
          },
        )
        assert.deepStrictEqual(yield* rowCounts, before)

        // The key is still free, and what was foretold comes.
        const made = yield* send(write, { ...write.body, dry_run: false }, key)
        assert.strictEqual(made.status, write.method === "PATCH" ? 200 : 201, made.text)
        assert.isNull(made.headers.get("idempotency-replayed"))
        const [told, came] = [changes, forecastOf(made.json)]
        if (write.name === "open")
          assert.deepInclude(told[0], { seq: 0, balance: (made.json as TestServer.AccountJson).balance })
        else if (write.method === "PATCH") {
          const { account_id, balance, overdraft_limit, seq, status } = told[0]!
          assert.deepStrictEqual([{ account_id, balance, overdraft_limit, seq, status }], came)
        } else assert.deepStrictEqual(told, came as typeof told)

        // Asked after the fact, it says so.
        const again = yield* send(write, { ...write.body, dry_run: true }, key)
        assert.deepStrictEqual(
          [again.status, again.json],
          [200, { dry_run: true, replayed: true, changes: (again.json as DryRunJson).changes }],
        )
        assert.deepStrictEqual(
          (again.json as DryRunJson).changes.map(({ seq }) => seq),
          told.map(({ seq }) => seq),
        )
        assertProblem(yield* send(write, { ...write.refused, dry_run: true }, key), 422, "idempotency_key_reused")
      }
    }),
  )

  it.effect("of a batch judges each: if atomic after those before it, if independent on what is there", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "10" })
      const pay = (amount: string) => ({ changes: [{ account_id, amount }] })
      const batch = (mode: string, amounts: ReadonlyArray<string>) =>
        Effect.map(post(`${transactions}/batch`, { mode, transactions: amounts.map(pay), dry_run: true }), (answer) => {
          assert.strictEqual(answer.status, 200, answer.text)
          const { made, verdicts } = answer.json as {
            readonly made: number
            readonly verdicts: ReadonlyArray<Partial<DryRunJson> & { status: number; problem?: { code: string } }>
          }
          const outcomes = verdicts.map(({ changes, dry_run, problem, status }) =>
            problem === undefined ? [status, dry_run, changes![0]!.balance.posted] : [status, problem.code],
          )
          return [made, ...outcomes]
        })
      const before = yield* rowCounts
      assert.deepStrictEqual(yield* batch("atomic", ["-6", "2", "-6"]), [
        3,
        [200, true, "4.00"],
        [200, true, "6.00"],
        [200, true, "0.00"],
      ])
      assert.deepStrictEqual(yield* batch("atomic", ["-6", "-6"]), [
        0,
        [409, "batch_aborted"],
        [422, "insufficient_funds"],
      ])
      assert.deepStrictEqual(yield* batch("independent", ["-6", "-6", "-11"]), [
        2,
        [200, true, "4.00"],
        [200, true, "4.00"],
        [422, "insufficient_funds"],
      ])
      assert.deepStrictEqual(yield* rowCounts, before)
    }),
  )

  it.effect("of some lines of a stream writes the others", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "10" })
      const { account_id: judged } = yield* open({ initial_balance: "10" })
      const before = yield* account(judged)
      // Which of the lines before it are written when a line is judged is left open, so these look at another account.
      const lines = [
        { changes: [{ account_id: judged, amount: "-6" }], idempotency_key: "judged", dry_run: true },
        { changes: [{ account_id: judged, amount: "-11" }], dry_run: true },
        { changes: [{ account_id, amount: "-5" }], idempotency_key: "line", dry_run: false },
      ]
      const { status, text } = yield* request("POST", `${transactions}/batch`, {
        headers: { "content-type": "application/x-ndjson" },
        body: lines.map((line) => JSON.stringify(line)).join("\n"),
      })
      assert.strictEqual(status, 200, text)
      assert.deepStrictEqual(
        text
          .trimEnd()
          .split("\n")
          .map((line) => (JSON.parse(line) as { readonly status: number }).status),
        [200, 422, 201],
      )
      assert.deepInclude(yield* account(account_id), { seq: 1 })
      assert.deepStrictEqual(yield* account(judged), before)
    }),
  )
})

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString()

layer(TestServer.layer, { excludeTestServices: true })("the time when it happened", (it) => {
  const past = "2020-02-29T23:59:59.999999+01:00"
  const pastUtc = "2020-02-29T22:59:59.999999Z"
  const later = "2021-01-01T00:00:00.000000Z"

  it.effect("is said of a transaction, and shown; the ledger's own time is beside it", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      for (const [effective_at, shown] of [
        [past, pastUtc],
        [later, later],
      ]) {
        const answer = yield* post(transactions, { changes: [{ account_id, amount: "1" }], effective_at })
        assert.strictEqual(answer.status, 201, answer.text)
        const { changes, created_at, effective_at: told, transaction_id } = answer.json as TransactionJson
        assert.deepStrictEqual([told, changes[0]!.effective_at], [shown, shown])
        assert.strictEqual(changes[0]!.created_at, created_at)
        assert.isBelow(Math.abs(Date.parse(created_at) - Date.now()), 3_600_000)
        assert.deepStrictEqual((yield* get(`${transactions}/${transaction_id}`)).json, answer.json)
      }
      const { json } = yield* get(`/v1/accounts/${account_id}/changes`)
      const { changes } = json as { readonly changes: TransactionJson["changes"] }
      assert.deepStrictEqual(
        changes.slice(0, 2).map(({ effective_at }) => effective_at),
        [later, pastUtc],
      )
      const balanceAt = (at: string) =>
        Effect.map(
          get(`/v1/accounts/${account_id}/balance?axis=effective&at=${at}`),
          ({ json }) => (json as { readonly posted: string }).posted,
        )
      assert.deepStrictEqual(
        [yield* balanceAt(pastUtc), yield* balanceAt("2020-12-31T23:59:59Z"), yield* balanceAt(later)],
        ["1.00", "1.00", "2.00"],
      )
    }),
  )

  it.effect("is never after the ledger's own time: a clock that is some seconds ahead means now", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const changes = [{ account_id, amount: "1" }]
      const now = (yield* post(transactions, { changes, effective_at: inSeconds(4) })).json as TransactionJson
      assert.strictEqual(now.effective_at, now.created_at)
      for (const effective_at of [inSeconds(60), "2999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]) {
        const answer = yield* post(transactions, { changes, effective_at })
        assertProblem(answer, 422, "effective_time_out_of_range")
      }
      const before = yield* post(`${transactions}/${now.transaction_id}/reverse`, { effective_at: past })
      assertProblem(before, 422, "effective_time_out_of_range")
      assert.strictEqual((yield* account(account_id)).seq, 1)
    }),
  )

  it.effect("is said of a capture, a reversal, and in a batch", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "100" })
      const { hold_id } = yield* hold(account_id, "10")
      const capture = yield* post(`${holds}/${hold_id}/capture`, { amount: "4", effective_at: past })
      const { transaction } = capture.json as HoldWrittenJson
      assert.deepStrictEqual(
        [transaction.effective_at, ...transaction.changes.map(({ effective_at }) => effective_at)],
        [pastUtc, pastUtc, pastUtc],
      )
      const reversal = yield* post(`${transactions}/${transaction.transaction_id}/reverse`, { effective_at: later })
      assert.strictEqual((reversal.json as TransactionJson).effective_at, later)
      const item = { changes: [{ account_id, amount: "1" }], effective_at: past }
      const batch = yield* post(`${transactions}/batch`, { mode: "atomic", transactions: [item] })
      const [verdict] = (batch.json as { readonly verdicts: ReadonlyArray<{ readonly transaction: TransactionJson }> })
        .verdicts
      assert.strictEqual(verdict!.transaction.effective_at, pastUtc)
    }),
  )
})

layer(TestServer.layer, { excludeTestServices: true })("a key", (it) => {
  it.effect(
    "of any write gets the first answer again, byte for byte, whatever came after; another body is refused",
    () =>
      Effect.gen(function* () {
        const all = yield* writes
        const first: Array<Answer> = []
        for (const write of all) first.push(yield* send(write, write.body, `key-${write.name}`))
        // All goes on: the holds end, the account is frozen and renamed.
        const [{ account_id }] = [(first[1]!.json as TransactionJson).changes[0]!]
        const { holds: open } = (yield* get(`${holds}?account_id=${account_id}&state=open`)).json as {
          readonly holds: ReadonlyArray<TestServer.HoldJson>
        }
        for (const { hold_id } of open) assert.strictEqual((yield* post(`${holds}/${hold_id}/release`, {})).status, 201)
        yield* change(account_id, "-3")
        assert.strictEqual(
          (yield* patch(`/v1/accounts/${account_id}`, { status: "frozen", customer_name: "Cid" })).status,
          200,
        )

        const before = yield* rowCounts
        for (const [index, write] of all.entries()) {
          const { headers, status, text } = yield* send(write, write.body, `key-${write.name}`)
          assert.deepStrictEqual([status, text], [first[index]!.status, first[index]!.text], write.name)
          assert.strictEqual(headers.get("idempotency-replayed"), "true", write.name)
          assert.isNull(first[index]!.headers.get("idempotency-replayed"))
          assert.strictEqual(headers.get("etag"), first[index]!.headers.get("etag"))
          const other = yield* send(write, { ...write.body, metadata: { other: "1" } }, `key-${write.name}`)
          assertProblem(other, 422, "idempotency_key_reused")
          // The key of one kind of write serves no other.
          const kind = all[(index + 1) % all.length]!
          assertProblem(yield* send(kind, kind.body, `key-${write.name}`), 422, "idempotency_key_reused")
        }
        assert.deepStrictEqual(yield* rowCounts, before)
      }),
  )

  it.effect("of a refusal is free: the same request may succeed later", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const place = post(holds, { account_id, amount: "5" }, { "idempotency-key": "later" })
      assertProblem(yield* place, 422, "insufficient_funds")
      yield* change(account_id, "5")
      const answer = yield* place
      assert.deepStrictEqual([answer.status, answer.headers.get("idempotency-replayed")], [201, null])
    }),
  )

  it.effect("comes before existence: used for something else, it is refused whatever the path names", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "10" })
      const key = { "idempotency-key": "named" }
      assert.strictEqual((yield* post(transactions, { changes: [{ account_id, amount: "1" }] }, key)).status, 201)
      const { hold_id } = yield* hold(account_id, "1")
      const [none, noOne] = ["999999999", crypto.randomUUID()]
      for (const [path, body, status, code] of [
        [`${holds}/${none}/increase`, { amount: "1" }, 404, "hold_not_found"],
        [`${holds}/${none}/capture`, {}, 404, "hold_not_found"],
        [`${holds}/${none}/release`, {}, 404, "hold_not_found"],
        [`${transactions}/${none}/reverse`, {}, 404, "transaction_not_found"],
        [`${transactions}/${hold_id}/reverse`, {}, 422, "not_reversible"],
        [holds, { account_id: noOne, amount: "1" }, 404, "account_not_found"],
        [transactions, { changes: [{ account_id: noOne, amount: "1" }] }, 404, "account_not_found"],
      ] as const) {
        assertProblem(yield* post(path, body, key), 422, "idempotency_key_reused")
        assertProblem(yield* post(path, body, { "idempotency-key": `unused-${crypto.randomUUID()}` }), status, code)
      }
      const amended = yield* patch(`/v1/accounts/${noOne}`, { status: "open" }, key)
      assertProblem(amended, 422, "idempotency_key_reused")
    }),
  )

  it.effect("sent by many at once captures once", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open({ initial_balance: "10" })
      const { hold_id } = yield* hold(account_id, "10")
      const capture = post(
        `${holds}/${hold_id}/capture`,
        { amount: "1", final: false },
        { "idempotency-key": "capture-once" },
      )
      const answers = yield* Effect.all(
        Array.from({ length: 10 }, () => capture),
        { concurrency: "unbounded" },
      )
      for (const { status, text } of answers) assert.deepStrictEqual([status, text], [201, answers[0]!.text])
      assert.lengthOf(
        answers.filter(({ headers }) => headers.get("idempotency-replayed") === null),
        1,
      )
      assert.deepInclude(yield* account(account_id), { balance: { posted: "9.00", held: "9.00", available: "0.00" } })
    }),
  )
})
