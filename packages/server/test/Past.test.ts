/** Balances, statements and whole histories over HTTP: what each format says, to the byte. */
import type { BalanceAt } from "@banquo/api/PastBalance"
import type { Statement } from "@banquo/api/Statement"
import { AccountId } from "@banquo/domain/AccountId"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { append } from "@banquo/testing/Past"
import * as TestServer from "./TestServer.ts"
import { type AccountJson, assertProblem, change, get, open, request } from "./TestServer.ts"

type BalanceJson = typeof BalanceAt.Encoded
type StatementJson = typeof Statement.Encoded

const time = (text: string) => Timestamp.parse(text)!
const at = time("2100-01-02T10:00:00.000001Z")
const dated = time("2100-01-01T00:00:00Z")

/**
 * Opened now with 100.00. In 2100: 40.00 out on the 2nd; 10.00 reserved; 5.00 in on the 3rd, dated the 1st; 10.00 of the
 * reserved money paid on the 3rd.
 */
const past = Effect.gen(function* () {
  const account = yield* open({
    initial_balance: "100",
    customer_name: 'Zoë <b>"O\'Neil"</b>',
    customer_address: "1 Test Street\n5000 Odense & Co",
  })
  const changes = yield* append(AccountId.make(account.account_id), [
    { created: at, chgAmt: -4_000_000_000n, description: 'rent, "January"' },
    { created: Timestamp.make(at + 1n), chgFlavor: "HOLD", heldAmt: 1_000_000_000n as never, holdId: 1n as never },
    { created: time("2100-01-03T00:00:00Z"), effective: dated, chgAmt: 500_000_000n, description: "=HYPERLINK(x)" },
    {
      created: time("2100-01-03T00:00:01Z"),
      chgFlavor: "CAPTURE",
      chgAmt: -1_000_000_000n,
      heldAmt: -1_000_000_000n as never,
      holdId: 1n as never,
    },
  ])
  return { account, changes, path: `/v1/accounts/${account.account_id}` }
})

const january = "from=2100-01-01T00:00:00Z&to=2100-02-01T00:00:00Z"

const json = <A>(path: string, headers?: Record<string, string>) =>
  Effect.map(get(path, headers), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    assert.strictEqual(answer.headers.get("content-type"), "application/json")
    return answer.json as A
  })

/** All but those that name the request and the time. */
const headersOf = ({ headers }: TestServer.Answer) =>
  [...headers].filter(([name]) => name !== "x-request-id" && name !== "date")

const typeOf = (answer: TestServer.Answer) => answer.headers.get("content-type")

layer(TestServer.layer, { excludeTestServices: true })("the past", (it) => {
  it.effect("a balance at an instant, that instant included, to the microsecond", () =>
    Effect.gen(function* () {
      const { account, changes, path } = yield* past
      const balance = yield* json<BalanceJson>(`${path}/balance?at=2100-01-02T10:00:00.000001Z`)
      assert.deepStrictEqual(balance, {
        account_id: account.account_id,
        currency: "EUR",
        axis: "created",
        at: "2100-01-02T10:00:00.000001Z",
        posted: "60.00",
        held: "0.00",
        available: "60.00",
        seq: 1,
        hash: changes[0]!.chgHash.toHex(),
      })
      for (const [instant, posted, held, seq] of [
        ["2100-01-02T10:00:00Z", "100.00", "0.00", 0],
        ["2100-01-02T10:00:00.000002Z", "60.00", "10.00", 2],
        ["2100-01-02T09:30:00.000002-00:30", "60.00", "10.00", 2],
        ["2100-01-02t11:00:00.000001%2B01:00", "60.00", "0.00", 1],
        ["2100-01-02T23:59:59.999999Z", "60.00", "10.00", 2],
        ["2100-01-03T00:00:00Z", "65.00", "10.00", 3],
        ["9999-12-31T23:59:59.999999Z", "55.00", "0.00", 4],
      ] as const) {
        const one = yield* json<BalanceJson>(`${path}/balance?axis=created&at=${instant}`)
        assert.deepStrictEqual([one.posted, one.held, one.seq], [posted, held, seq], instant)
      }
    }),
  )

  it.effect("and on the axis of the world: what is known now of then", () =>
    Effect.gen(function* () {
      const { changes, path } = yield* past
      const tail = changes.at(-1)!
      for (const [instant, posted] of [
        ["2099-12-31T23:59:59.999999Z", "100.00"],
        ["2100-01-01T00:00:00Z", "105.00"],
        ["2100-01-02T12:00:00Z", "65.00"],
        ["2100-01-03T00:00:00Z", "65.00"],
        ["2100-01-04T00:00:00Z", "55.00"],
        ["0001-01-01T00:00:00Z", "0.00"],
      ] as const) {
        const balance = yield* json<BalanceJson>(`${path}/balance?axis=effective&at=${instant}`)
        assert.deepInclude(balance, { axis: "effective", posted, seq: 4, hash: tail.chgHash.toHex() }, instant)
        // Money is reserved in the ledger's own time.
        assert.doesNotHaveAnyKeys(balance, ["held", "available"])
      }
    }),
  )

  it.effect("a balance after a change is what the change says", () =>
    Effect.gen(function* () {
      const { path } = yield* past
      const { changes } = yield* json<{ changes: ReadonlyArray<Record<string, unknown>> }>(`${path}/changes?order=asc`)
      for (const { balance, created_at, hash, seq } of changes) {
        const { account_id, ...answer } = yield* json<BalanceJson>(`${path}/balance?seq=${seq as number}`)
        assert.include(path, account_id)
        assert.deepStrictEqual(answer, {
          currency: "EUR",
          axis: "created",
          at: created_at,
          ...(balance as object),
          seq,
          hash,
        } as never)
      }
      assert.deepInclude(assertProblem(yield* get(`${path}/balance?seq=5`), 404, "change_not_found"), {
        seq: 5,
        current_seq: 4,
      })
    }),
  )

  it.effect("without an instant it is that of now, which is never before the newest row", () =>
    Effect.gen(function* () {
      const { changes, path } = yield* past
      const now = yield* json<BalanceJson>(`${path}/balance`)
      assert.deepInclude(now, { axis: "created", posted: "55.00", held: "0.00", available: "55.00", seq: 4 })
      assert.strictEqual(now.at, Timestamp.format(changes.at(-1)!.chgCreateTime))
      const effective = yield* json<BalanceJson>(`${path}/balance?axis=effective`)
      assert.deepInclude(effective, { axis: "effective", posted: "55.00", seq: 4, at: now.at })
    }),
  )

  it.effect("before the account was opened it was nothing, also without a limit", () =>
    Effect.gen(function* () {
      for (const overdraft_limit of ["50", null]) {
        const { account_id, created_at } = yield* open({ initial_balance: "1", overdraft_limit })
        const path = `/v1/accounts/${account_id}/balance?at=`
        assert.deepStrictEqual(yield* json<BalanceJson>(`${path}1999-12-31T23:59:59Z`), {
          account_id,
          currency: "EUR",
          axis: "created",
          at: "1999-12-31T23:59:59.000000Z",
          posted: "0.00",
          held: "0.00",
          available: "0.00",
          seq: null,
          hash: null,
        })
        const opened = yield* json<BalanceJson>(`${path}${created_at}`)
        assert.deepInclude(opened, { posted: "1.00", seq: 0, available: overdraft_limit === null ? null : "51.00" })
      }
    }),
  )

  it.effect("a statement as JSON, by the day that changes were booked", () =>
    Effect.gen(function* () {
      const { account, changes, path } = yield* past
      const [rent, , refund, card] = changes
      const statement = yield* json<StatementJson>(`${path}/statement?${january}`)
      assert.deepStrictEqual(statement, {
        account_id: account.account_id,
        customer_name: account.customer_name,
        customer_address: account.customer_address,
        currency: "EUR",
        axis: "created",
        from: "2100-01-01T00:00:00.000000Z",
        to: "2100-02-01T00:00:00.000000Z",
        seq: 4,
        hash: card!.chgHash.toHex(),
        as_of: "2100-01-03T00:00:01.000000Z",
        opening: "100.00",
        debits: { count: 2, sum: "50.00" },
        credits: { count: 1, sum: "5.00" },
        closing: "55.00",
        rows: [
          {
            seq: 1,
            change_id: `${rent!.bchgId}`,
            transaction_id: `${rent!.xactId}`,
            flavor: "FLOW",
            effective_at: "2100-01-02T10:00:00.000001Z",
            created_at: "2100-01-02T10:00:00.000001Z",
            description: 'rent, "January"',
            amount: "-40.00",
            balance: "60.00",
          },
          {
            seq: 3,
            change_id: `${refund!.bchgId}`,
            transaction_id: `${refund!.xactId}`,
            flavor: "FLOW",
            effective_at: "2100-01-01T00:00:00.000000Z",
            created_at: "2100-01-03T00:00:00.000000Z",
            description: "=HYPERLINK(x)",
            amount: "5.00",
            balance: "65.00",
          },
          {
            seq: 4,
            change_id: `${card!.bchgId}`,
            transaction_id: `${card!.xactId}`,
            flavor: "CAPTURE",
            effective_at: "2100-01-03T00:00:01.000000Z",
            created_at: "2100-01-03T00:00:01.000000Z",
            description: null,
            amount: "-10.00",
            balance: "55.00",
          },
        ],
      })
    }),
  )

  it.effect("and by the day that they took effect", () =>
    Effect.gen(function* () {
      const { path } = yield* past
      const { axis, closing, opening, rows } = yield* json<StatementJson>(`${path}/statement?axis=effective&${january}`)
      assert.deepStrictEqual([axis, opening, closing], ["effective", "100.00", "55.00"])
      assert.deepStrictEqual(
        rows.map(({ amount, balance, seq }) => [seq, amount, balance]),
        [
          [3, "5.00", "105.00"],
          [1, "-40.00", "65.00"],
          [4, "-10.00", "55.00"],
        ],
      )
      const before = yield* json<StatementJson>(`${path}/statement?axis=effective&seq=2&${january}`)
      assert.deepStrictEqual([before.seq, before.rows.map(({ seq }) => seq), before.closing], [2, [1], "60.00"])
    }),
  )

  it.effect("the period ends before its end, and begins at its beginning", () =>
    Effect.gen(function* () {
      const { path } = yield* past
      for (const [period, seqs, opening, closing] of [
        ["from=2100-01-02T10:00:00.000001Z&to=2100-01-03T00:00:00Z", [1], "100.00", "60.00"],
        ["from=2100-01-02T10:00:00.000002Z&to=2100-01-03T00:00:00.000001Z", [3], "60.00", "65.00"],
        ["from=2000-01-01T00:00:00Z&to=2000-02-01T00:00:00Z", [], "0.00", "0.00"],
        ["from=2000-01-01T00:00:00Z&to=2099-01-01T00:00:00Z", [0], "0.00", "100.00"],
        ["from=2100-01-02T10:00:00.000002Z&to=2100-01-02T10:00:00.000003Z", [], "60.00", "60.00"],
        ["from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59.999999Z", [0, 1, 3, 4], "0.00", "55.00"],
      ] as const) {
        const statement = yield* json<StatementJson>(`${path}/statement?${period}`)
        assert.deepStrictEqual(
          [statement.rows.map(({ seq }) => seq), statement.opening, statement.closing],
          [seqs as unknown, opening, closing],
          period,
        )
      }
    }),
  )

  it.effect("made again with its sequence it is the same, byte for byte, in each format and on each axis", () =>
    Effect.gen(function* () {
      const { account, path } = yield* past
      const first = new Map<string, TestServer.Answer>()
      const queries = ["created", "effective"].flatMap((axis) =>
        ["json", "csv", "html"].map((format) => `${path}/statement?${january}&axis=${axis}&format=${format}`),
      )
      for (const query of queries) first.set(query, yield* get(query))
      yield* change(account.account_id, "7")
      yield* append(AccountId.make(account.account_id), [
        { created: time("2100-01-04T00:00:00Z"), chgAmt: 100_000_000n },
        { created: time("2100-01-05T00:00:00Z"), effective: dated, chgAmt: 100_000_000n },
      ])
      for (const query of queries) {
        const [before, again, now] = [first.get(query)!, yield* get(`${query}&seq=4`), yield* get(query)]
        assert.strictEqual(again.status, 200)
        assert.strictEqual(again.text, before.text)
        assert.notStrictEqual(now.text, before.text)
        assert.deepStrictEqual(headersOf(again), headersOf(before))
      }
      assertProblem(yield* get(`${path}/statement?${january}&seq=8`), 404, "change_not_found")
    }),
  )

  it.effect("a statement as CSV: opening, rows, closing, and no formulas", () =>
    Effect.gen(function* () {
      const { account, changes, path } = yield* past
      const answer = yield* get(`${path}/statement?${january}`, { accept: "text/csv" })
      assert.strictEqual(typeOf(answer), "text/csv; charset=utf-8")
      assert.strictEqual(
        answer.headers.get("content-disposition"),
        `attachment; filename="statement-${account.account_id}-4.csv"`,
      )
      const [rent, , refund, card] = changes.map(({ bchgId }) => bchgId)
      assert.strictEqual(
        answer.text,
        [
          "kind,seq,change_id,transaction_id,flavor,effective_at,created_at,description,debit,credit,balance,currency",
          "opening,,,,,,2100-01-01T00:00:00.000000Z,,,,100.00,EUR",
          `row,1,${rent},${rent},FLOW,2100-01-02T10:00:00.000001Z,2100-01-02T10:00:00.000001Z,"rent, ""January""",40.00,,60.00,EUR`,
          `row,3,${refund},${refund},FLOW,2100-01-01T00:00:00.000000Z,2100-01-03T00:00:00.000000Z,'=HYPERLINK(x),,5.00,65.00,EUR`,
          `row,4,${card},${card},CAPTURE,2100-01-03T00:00:01.000000Z,2100-01-03T00:00:01.000000Z,,10.00,,55.00,EUR`,
          "closing,4,,,,,2100-02-01T00:00:00.000000Z,,50.00,5.00,55.00,EUR",
          "",
        ].join("\r\n"),
      )
    }),
  )

  it.effect("a statement as a page, with nothing in it that could run or load", () =>
    Effect.gen(function* () {
      const { path } = yield* past
      const { headers, status, text } = yield* get(`${path}/statement?${january}&format=html`)
      assert.strictEqual(status, 200)
      assert.strictEqual(headers.get("content-type"), "text/html; charset=utf-8")
      assert.match(headers.get("content-security-policy")!, /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; /)
      assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
      assert.include(text, "Zoë &lt;b&gt;&quot;O&#39;Neil&quot;&lt;/b&gt;")
      assert.include(text, "5000 Odense &amp; Co")
      assert.include(text, "1 January 2100 to 31 January 2100")
    }),
  )

  const formats = {
    json: "application/json",
    ndjson: "application/x-ndjson",
    csv: "text/csv; charset=utf-8",
    html: "text/html; charset=utf-8",
  }
  const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

  for (const [route, accept, format] of [
    ["statement", undefined, "json"],
    ["statement", "*/*", "json"],
    ["statement", browser, "html"],
    ["statement", "TEXT/CSV", "csv"],
    ["statement", "application/json;q=0.5, text/*;q=0.7", "csv"],
    ["statement", "text/html;q=0.1, text/csv;q=0.2, application/pdf", "csv"],
    ["statement", "text/html;level=1, application/json;q=0.9", "json"],
    ["statement", "application/*", "json"],
    ["changes", undefined, "json"],
    ["changes", browser, "json"],
    ["changes", "application/x-ndjson", "ndjson"],
    ["changes", "text/csv, application/x-ndjson;q=0.9", "csv"],
  ] as const) {
    it.effect(`${route} as ${accept} is ${format}`, () =>
      Effect.gen(function* () {
        const { account_id } = yield* open()
        const path = `/v1/accounts/${account_id}/${route}${route === "statement" ? `?${january}` : ""}`
        const headers = accept === undefined ? {} : { accept }
        const answer = yield* get(path, headers)
        assert.deepStrictEqual(
          [answer.status, typeOf(answer), answer.headers.get("vary")],
          [200, formats[format], "accept"],
        )
        const head = yield* request("HEAD", path, { headers })
        assert.deepStrictEqual([head.status, typeOf(head), head.text], [200, formats[format], ""])
      }),
    )
  }

  it.effect("the parameter goes before the header; what is refused says what there is", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const path = `/v1/accounts/${account_id}/statement?${january}`
      const answer = yield* get(`${path}&format=csv`, { accept: "text/html" })
      assert.strictEqual(typeOf(answer), formats.csv)
      const refused = yield* get(path, { accept: "application/pdf" })
      const { media_types } = assertProblem(refused, 406, "not_acceptable")
      assert.deepStrictEqual(media_types, ["application/json", "text/csv", "text/html"])
      assert.strictEqual(refused.headers.get("vary"), "accept")
    }),
  )

  it.effect("a whole history as lines of JSON is what its pages are", () =>
    Effect.gen(function* () {
      const { path } = yield* past
      for (const query of [
        "?order=asc",
        "?order=desc",
        "",
        "?order=asc&cursor=after-1",
        "?cursor=before-3",
        "?cursor=after-4",
      ]) {
        const answer = yield* get(`${path}/changes${query}`, { accept: "application/x-ndjson" })
        assert.deepStrictEqual([answer.status, typeOf(answer)], [200, "application/x-ndjson"])
        const lines = answer.text.split("\n")
        assert.strictEqual(lines.pop(), "")
        const page = yield* json<{ changes: ReadonlyArray<unknown> }>(`${path}/changes${query}`)
        assert.deepStrictEqual(
          lines.map((line) => JSON.parse(line) as unknown),
          page.changes,
          query,
        )
      }
    }),
  )

  it.effect("and as CSV", () =>
    Effect.gen(function* () {
      const { account, changes, path } = yield* past
      const answer = yield* get(`${path}/changes?format=csv&order=asc&cursor=after-1`)
      assert.strictEqual(
        answer.headers.get("content-disposition"),
        `attachment; filename="changes-${account.account_id}.csv"`,
      )
      const [, hold, refund, card] = changes
      const id = account.account_id
      assert.strictEqual(
        answer.text,
        [
          "seq,change_id,transaction_id,account_id,flavor,amount,held_amount,currency,posted,held,available,status,overdraft_limit,hold_id,reverses_transaction_id,description,metadata,actor,effective_at,created_at,hash",
          `2,${hold!.bchgId},${hold!.bchgId},${id},HOLD,0.00,10.00,EUR,60.00,10.00,50.00,open,0.00,${hold!.bchgId},,,{},anonymous,2100-01-02T10:00:00.000002Z,2100-01-02T10:00:00.000002Z,${hold!.chgHash.toHex()}`,
          `3,${refund!.bchgId},${refund!.bchgId},${id},FLOW,5.00,0.00,EUR,65.00,10.00,55.00,open,0.00,,,'=HYPERLINK(x),{},anonymous,2100-01-01T00:00:00.000000Z,2100-01-03T00:00:00.000000Z,${refund!.chgHash.toHex()}`,
          `4,${card!.bchgId},${card!.bchgId},${id},CAPTURE,-10.00,-10.00,EUR,55.00,0.00,55.00,open,0.00,${hold!.bchgId},,,{},anonymous,2100-01-03T00:00:01.000000Z,2100-01-03T00:00:01.000000Z,${card!.chgHash.toHex()}`,
          "",
        ].join("\r\n"),
      )
    }),
  )

  it.effect("amounts have the decimals of the currency, in each format", () =>
    Effect.gen(function* () {
      for (const [currency, initial_balance, shown] of [
        ["JPY", "1234567", "1,234,567"],
        ["BHD", "1234.5", "1,234.500"],
        ["CLF", "-0.0001", "\u22120.0001"],
      ] as const) {
        const account: AccountJson = yield* open({ currency, initial_balance, overdraft_limit: null })
        const path = `/v1/accounts/${account.account_id}/statement?from=2000-01-01T00:00:00Z&to=2500-01-01T00:00:00Z`
        const { closing, rows } = yield* json<StatementJson>(path)
        assert.deepStrictEqual([closing, rows[0]!.amount], [account.balance.posted, account.balance.posted])
        assert.include((yield* get(`${path}&format=csv`)).text, `,${account.balance.posted},${currency}\r\n`)
        assert.include((yield* get(`${path}&format=html`)).text, `<td class="money balance">${shown}</td>`)
      }
    }),
  )
})
