/** What is not accepted: the exact answer to each, and that nothing was written. */
import { Api, bodyBytesMax } from "@banquo/api/Api"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { HttpApi } from "effect/http-api"
import * as TestServer from "./TestServer.ts"
import { assertProblem, change, get, hold, open, post, request, rowCounts, setStatus, streamOf } from "./TestServer.ts"

const accounts = "/v1/accounts"
const transactions = "/v1/transactions"
const holds = "/v1/holds"

/**
 * Accounts that all cases share, an open hold of 10 on `held`, one on `frozen` that was released, and a transaction of 5 on
 * `moved`. None of the cases may change them.
 */
class Accounts extends Context.Service<
  Accounts,
  {
    readonly [
      name in "euro" | "other" | "yen" | "full" | "held" | "hold" | "frozen" | "ended" | "moved" | "posted"
    ]: string
  }
>()("@banquo/server/test/Accounts") {
  static readonly layer = Layer.effect(
    Accounts,
    Effect.gen(function* () {
      const [euro, other, yen, full] = [
        yield* open({ initial_balance: "100" }),
        yield* open({ initial_balance: "100" }),
        yield* open({ currency: "JPY", initial_balance: "100" }),
        yield* open({ currency: "CLF", initial_balance: "99999999999999999999.9999" }),
      ]
      const [held, frozen] = [yield* open({ initial_balance: "100" }), yield* open({ initial_balance: "100" })]
      const { hold_id } = yield* hold(held.account_id, "10")
      const ended = yield* hold(frozen.account_id, "10")
      assert.strictEqual((yield* post(`${holds}/${ended.hold_id}/release`, {})).status, 201)
      yield* setStatus(frozen.account_id, "frozen")
      const moved = yield* open()
      const { transaction_id } = yield* change(moved.account_id, "5")
      return {
        euro: euro.account_id,
        other: other.account_id,
        yen: yen.account_id,
        full: full.account_id,
        held: held.account_id,
        hold: hold_id,
        frozen: frozen.account_id,
        ended: ended.hold_id,
        moved: moved.account_id,
        posted: transaction_id,
      }
    }),
  )
}

const noOne = "00000000-0000-4000-8000-00000000dead"

interface Refused {
  readonly name: string
  /** Default: POST. */
  readonly method?: string
  /** `{name}` stands for one of the {@link Accounts}. */
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: (ids: Accounts["Service"]) => unknown
  /** Default: 400. */
  readonly status?: number
  /** Default: invalid_request. */
  readonly code?: string
  /** Where a fault is said to be, as in `body/changes/0/amount`. */
  readonly at?: string
}

// ---- texts: NUL and lone surrogates, as JSON writes them

const unstorable = [
  ["NUL", "a\\u0000b"],
  ["a lone high surrogate", "a\\ud800b"],
  ["a lone low surrogate", "\\udc00"],
  ["surrogates in the wrong order", "\\udc00\\ud800"],
] as const

const account = (members: string) => `{"customer_name":"Ann","currency":"EUR"${members === "" ? "" : `,${members}`}}`
const leg = (id: string, members = '"amount":"1"') => `{"account_id":"${id}"${members === "" ? "" : `,${members}`}}`
const transaction = (id: string, members: string) => `{"changes":[${leg(id)}],${members}}`

const unstorableTexts: ReadonlyArray<Refused> = unstorable.flatMap(([what, text]) => [
  { name: `${what} in customer_name`, path: accounts, body: () => `{"customer_name":"${text}","currency":"EUR"}` },
  { name: `${what} in customer_address`, path: accounts, body: () => account(`"customer_address":"${text}"`) },
  { name: `${what} in the metadata of an account`, path: accounts, body: () => account(`"metadata":{"k":"${text}"}`) },
  { name: `${what} in a metadata key of an account`, path: accounts, body: () => account(`"metadata":{"${text}":""}`) },
  { name: `${what} in currency`, path: accounts, body: () => `{"customer_name":"Ann","currency":"${text}"}` },
  { name: `${what} in account_id`, path: accounts, body: () => account(`"account_id":"${text}"`) },
  {
    name: `${what} in description`,
    path: transactions,
    body: ({ euro }) => transaction(euro, `"description":"${text}"`),
  },
  {
    name: `${what} in metadata`,
    path: transactions,
    body: ({ euro }) => transaction(euro, `"metadata":{"k":"${text}"}`),
  },
  {
    name: `${what} in a metadata key`,
    path: transactions,
    body: ({ euro }) => transaction(euro, `"metadata":{"${text}":""}`),
  },
  {
    name: `${what} in amount`,
    path: transactions,
    body: ({ euro }) => `{"changes":[${leg(euro, `"amount":"${text}"`)}]}`,
  },
])

// ---- amounts

const notAmounts = [
  "1e3",
  "1E3",
  "+5",
  ".5",
  "5.",
  "-",
  "",
  " 1",
  "1 ",
  "1\n",
  "-0",
  "-0.00",
  "00",
  "01",
  "-01",
  "1,5",
  "1_000",
  "1.2.3",
  "--1",
  "NaN",
  "Infinity",
  "-Infinity",
  "0x10",
  "١",
  "100000000000000000000",
  "123456789012345678901",
  "-100000000000000000000",
  "0.000000001",
  "1.234567891",
  "null",
]

const amounts: ReadonlyArray<Refused> = [
  ...notAmounts.flatMap((amount): ReadonlyArray<Refused> => [
    {
      name: `amount ${JSON.stringify(amount)}`,
      path: transactions,
      body: ({ euro }) => ({ changes: [{ account_id: euro, amount }] }),
      at: "body/changes/0/amount",
    },
    {
      name: `initial_balance ${JSON.stringify(amount)}`,
      path: accounts,
      body: () => ({ customer_name: "Ann", currency: "EUR", initial_balance: amount }),
      at: "body/initial_balance",
    },
    {
      name: `overdraft_limit ${JSON.stringify(amount)}`,
      path: accounts,
      body: () => ({ customer_name: "Ann", currency: "EUR", overdraft_limit: amount }),
      at: "body/overdraft_limit",
    },
  ]),
  ...["0", "0.00"].map((amount): Refused => ({
    name: `amount ${amount}`,
    path: transactions,
    body: ({ euro }) => ({ changes: [{ account_id: euro, amount }] }),
    at: "body/changes/0/amount",
  })),
  ...["12", "-12.50", "1e3", "0", "true", "null", '["1"]', '{"value":"1"}'].flatMap(
    (amount): ReadonlyArray<Refused> => [
      {
        name: `amount ${amount}, which is no string`,
        path: transactions,
        body: ({ euro }) => `{"changes":[${leg(euro, `"amount":${amount}`)}]}`,
        at: "body/changes/0/amount",
      },
      {
        name: `initial_balance ${amount}, which is no string`,
        path: accounts,
        body: () => account(`"initial_balance":${amount}`),
        at: "body/initial_balance",
      },
    ],
  ),
  { name: "an overdraft limit below zero", path: accounts, body: () => account('"overdraft_limit":"-1"') },
  { name: "an overdraft limit that is a number", path: accounts, body: () => account('"overdraft_limit":0') },
]

// ---- the form of the body, the same for every route that writes

interface Write {
  readonly path: string
  readonly method?: "PATCH"
  /** As small as it can be. */
  readonly body: (ids: Accounts["Service"]) => Record<string, unknown>
}

const onHolds: ReadonlyArray<Write> = [
  { path: holds, body: ({ held }) => ({ account_id: held, amount: "1" }) },
  { path: `${holds}/{hold}/increase`, body: () => ({ amount: "1" }) },
  { path: `${holds}/{hold}/capture`, body: () => ({}) },
  { path: `${holds}/{hold}/release`, body: () => ({}) },
]
const onTerms: Write = { path: `${accounts}/{held}`, method: "PATCH", body: () => ({ status: "frozen" }) }
const onReversals: Write = { path: `${transactions}/{posted}/reverse`, body: () => ({}) }
const writes: ReadonlyArray<Write> = [
  { path: accounts, body: () => ({ customer_name: "Ann", currency: "EUR" }) },
  { path: transactions, body: ({ euro }) => ({ changes: [{ account_id: euro, amount: "1" }] }) },
  ...onHolds,
  onTerms,
  onReversals,
]

/** A write with more in its body, refused. */
const withMore = ({ body, ...write }: Write, more: Record<string, unknown>, name: string, at: string): Refused => ({
  ...write,
  name: `${write.path}: ${name}`,
  body: (ids) => ({ ...body(ids), ...more }),
  at,
})

const malformed = [
  "{",
  "}",
  "{]",
  "nul",
  '{"a":}',
  '{"a":1,}',
  "'{}'",
  "\ufeff{}x",
  '{"a":"\n"}',
  "\0",
  "[".repeat(100_000),
]
const otherTypes = ["null", "true", "1", '"text"', "[]", "[{}]"]

const forms: ReadonlyArray<Refused> = writes.flatMap(({ body: whole, ...write }): ReadonlyArray<Refused> => [
  ...malformed.map((body) => ({
    ...write,
    name: `${write.path}: malformed JSON ${JSON.stringify(body.slice(0, 12))}`,
    body: () => body,
  })),
  ...otherTypes.map((body) => ({ ...write, name: `${write.path}: a body of ${body}`, body: () => body, at: "body" })),
  { ...write, name: `${write.path}: an empty body`, body: () => "", at: "body" },
  { ...write, name: `${write.path}: no body`, at: "body" },
  ...["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data", "x"].map((type) => ({
    ...write,
    name: `${write.path}: content-type ${type}`,
    headers: { "content-type": type },
    body: whole,
    status: 415,
    code: "unsupported_media_type",
  })),
  {
    ...write,
    name: `${write.path}: a query parameter, which it does not take`,
    path: `${write.path}?dry_run=true`,
    body: whole,
    at: "query/dry_run",
  },
  {
    ...write,
    name: `${write.path}: bytes that are no UTF-8`,
    body: (ids: Accounts["Service"]) =>
      Buffer.from(JSON.stringify({ ...whole(ids), metadata: { k: "\xff" } }), "latin1"),
  },
  ...["", "two words", "k".repeat(256), "é", "tab\there"].map((key) => ({
    ...write,
    name: `${write.path}: idempotency-key ${JSON.stringify(key.slice(0, 12))}`,
    headers: { "idempotency-key": key },
    body: whole,
    at: "header/idempotency-key",
  })),
  {
    ...write,
    name: `${write.path}: 2 MiB`,
    body: () => " ".repeat(2 * 1024 * 1024),
    status: 413,
    code: "body_too_large",
  },
  {
    ...write,
    name: `${write.path}: 2 MiB in pieces, of an unknown length`,
    body: () => streamOf(" ".repeat(2 * 1024 * 1024)),
    status: 413,
    code: "body_too_large",
  },
  ...[
    ['"nope":1', "nope"],
    ['"Dry_run":true', "Dry_run"],
    ['"__proto__":{"a":1}', "__proto__"],
    ['"dry_run":"true"', "dry_run"],
    ['"dry_run":1', "dry_run"],
    ['"dry_run":null', "dry_run"],
  ].map(([member, key]) => ({
    ...write,
    name: `${write.path}: ${member}`,
    body: (ids: Accounts["Service"]) => {
      const text = JSON.stringify(whole(ids))
      return `${text.slice(0, -1)}${text === "{}" ? "" : ","}${member}}`
    },
    at: `body/${key}`,
  })),
])

// ---- properties that are unknown, missing, of other types, too long

const long = (length: number) => "x".repeat(length)
const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, ""]))

const properties: ReadonlyArray<Refused> = [
  ...[
    ['"balance":"1"', "balance"],
    ['"accountId":"1"', "accountId"],
    ['"__proto__":{"a":1}', "__proto__"],
    ['"constructor":1', "constructor"],
    ['"":1', ""],
  ].map(([member, key]) => ({
    name: `an unknown property of an account: ${member}`,
    path: accounts,
    body: () => account(member!),
    at: `body/${key}`,
  })),
  ...['"expected_seq":1', '"__proto__":{"a":1}', '"effective_time":"2026-01-01T00:00:00Z"'].map((member) => ({
    name: `an unknown property of a transaction: ${member}`,
    path: transactions,
    body: ({ euro }: Accounts["Service"]) => transaction(euro, member),
  })),
  ...['"expectedSeq":0', '"__proto__":{"a":1}', '"description":"x"'].map((member) => ({
    name: `an unknown property of a change: ${member}`,
    path: transactions,
    body: ({ euro }: Accounts["Service"]) => `{"changes":[${leg(euro, `"amount":"1",${member}`)}]}`,
  })),

  { name: "no customer_name", path: accounts, body: () => ({ currency: "EUR" }), at: "body/customer_name" },
  { name: "no currency", path: accounts, body: () => ({ customer_name: "Ann" }), at: "body/currency" },
  ...["customer_name", "currency", "customer_address", "account_id", "initial_balance", "metadata"].flatMap((key) =>
    ["null", "1", "[]", "true", ...(key === "metadata" ? ['"x"', '{"k":1}', '{"k":null}', '{"k":{}}'] : ["{}"])].map(
      (value) => ({
        name: `${key} of ${value}`,
        path: accounts,
        // The later of two equal names counts.
        body: () => account(`"${key}":${value}`),
      }),
    ),
  ),
  ...["XQ", "eur", "EUROPEANUNION", "", "€", "978"].map((currency) => ({
    name: `currency ${JSON.stringify(currency)}`,
    path: accounts,
    body: () => ({ customer_name: "Ann", currency }),
    at: "body/currency",
  })),
  ...[
    "nope",
    "",
    "018f4e5a7c1b7d3e9f2a4b5c6d7e8f90",
    "{018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f90}",
    "018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f9g",
    "018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f90 ",
  ].flatMap((id): ReadonlyArray<Refused> => [
    {
      name: `account_id ${JSON.stringify(id)} to open`,
      path: accounts,
      body: () => ({ customer_name: "Ann", currency: "EUR", account_id: id }),
      at: "body/account_id",
    },
    {
      name: `account_id ${JSON.stringify(id)} to change`,
      path: transactions,
      body: () => ({ changes: [{ account_id: id, amount: "1" }] }),
      at: "body/changes/0/account_id",
    },
  ]),
  { name: "an empty customer_name", path: accounts, body: () => ({ customer_name: "", currency: "EUR" }) },
  {
    name: "a customer_name of 201",
    path: accounts,
    body: () => ({ customer_name: long(201), currency: "EUR" }),
    at: "body/customer_name",
  },
  {
    name: "a customer_address of 501",
    path: accounts,
    body: () => ({ customer_name: "Ann", currency: "EUR", customer_address: long(501) }),
    at: "body/customer_address",
  },
  {
    name: "a description of 1001",
    path: transactions,
    body: ({ euro }) => ({ changes: [{ account_id: euro, amount: "1" }], description: long(1001) }),
    at: "body/description",
  },
  ...[
    ["51 keys", keys(51)],
    ["a key of 101", { [long(101)]: "" }],
    ["an empty key", { "": "" }],
    ["16 KiB and one byte", { k: long(16 * 1024) }],
    ["16 KiB and one byte in UTF-8", { k: "ä".repeat(8192) }],
  ].flatMap(([what, metadata]): ReadonlyArray<Refused> => [
    {
      name: `metadata of ${what} for an account`,
      path: accounts,
      body: () => ({ customer_name: "Ann", currency: "EUR", metadata }),
    },
    {
      name: `metadata of ${what} for a transaction`,
      path: transactions,
      body: ({ euro }) => ({ changes: [{ account_id: euro, amount: "1" }], metadata }),
    },
  ]),

  { name: "no changes", path: transactions, body: () => ({ changes: [] }), at: "body/changes" },
  ...["null", "{}", '"x"', "[null]", "[1]", "[[]]", "[{}]"].map((changes) => ({
    name: `changes of ${changes}`,
    path: transactions,
    body: () => `{"changes":${changes}}`,
  })),
  {
    name: "101 changes",
    path: transactions,
    body: () => ({ changes: Array.from({ length: 101 }, () => ({ account_id: crypto.randomUUID(), amount: "1" })) }),
    at: "body/changes",
  },
  {
    name: "no amount",
    path: transactions,
    body: ({ euro }) => `{"changes":[${leg(euro, "")}]}`,
    at: "body/changes/0/amount",
  },
  ...["-1", "1.5", "1e400", "9007199254740992", '"0"', "null", "true"].map((seq) => ({
    name: `expected_seq of ${seq}`,
    path: transactions,
    body: ({ euro }: Accounts["Service"]) => `{"changes":[${leg(euro, `"amount":"1","expected_seq":${seq}`)}]}`,
    at: "body/changes/0/expected_seq",
  })),
  ...["null", "1", "{}", '["a"]'].map((description) => ({
    name: `description of ${description}`,
    path: transactions,
    body: ({ euro }: Accounts["Service"]) => transaction(euro, `"description":${description}`),
    at: "body/description",
  })),
  {
    name: "a currency of a change that is none",
    path: transactions,
    body: ({ euro }) => ({ changes: [{ account_id: euro, amount: "1", currency: "xxq" }] }),
    at: "body/changes/0/currency",
  },
]

// ---- paths and queries

const reads: ReadonlyArray<Refused> = [
  ...["nope", "018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f9", "%00", "1%27%20OR%20%271%27=%271"].flatMap((id) => [
    { name: `account ${id}`, method: "GET", path: `${accounts}/${id}`, at: "path/account_id" },
    { name: `changes of account ${id}`, method: "GET", path: `${accounts}/${id}/changes`, at: "path/account_id" },
    { name: `balance of account ${id}`, method: "GET", path: `${accounts}/${id}/balance`, at: "path/account_id" },
    {
      name: `statement of account ${id}`,
      method: "GET",
      path: `${accounts}/${id}/statement?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z`,
      at: "path/account_id",
    },
  ]),
  ...["0", "-1", "01", "1.0", "abc", "9223372036854775808", "99999999999999999999", "%00"].flatMap((id) => [
    { name: `transaction ${id}`, method: "GET", path: `${transactions}/${id}`, at: "path/transaction_id" },
    {
      name: `transaction ${id} to reverse`,
      path: `${transactions}/${id}/reverse`,
      body: () => ({}),
      at: "path/transaction_id",
    },
    { name: `hold ${id}`, method: "GET", path: `${holds}/${id}`, at: "path/hold_id" },
    ...["increase", "capture", "release"].map((action) => ({
      name: `hold ${id} to ${action}`,
      path: `${holds}/${id}/${action}`,
      body: () => (action === "increase" ? { amount: "1" } : {}),
      at: "path/hold_id",
    })),
  ]),
  ...["nope", "018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f9", "%00"].map((id) => ({
    name: `account ${id} to change`,
    method: "PATCH",
    path: `${accounts}/${id}`,
    body: () => ({ status: "open" }),
    at: "path/account_id",
  })),
  ...[
    ["", "account_id"],
    ["state=open", "account_id"],
    ["account_id=", "account_id"],
    ["account_id=nope", "account_id"],
    [`account_id=${noOne}&account_id=${noOne}`, "account_id"],
    [`account_id=${noOne}&state=closed`, "state"],
    [`account_id=${noOne}&state=`, "state"],
    [`account_id=${noOne}&state=open&state=expired`, "state"],
    [`account_id=${noOne}&limit=0`, "limit"],
    [`account_id=${noOne}&limit=201`, "limit"],
    [`account_id=${noOne}&cursor=after-1`, "cursor"],
    [`account_id=${noOne}&cursor=before-01`, "cursor"],
    [`account_id=${noOne}&cursor=1`, "cursor"],
    [`account_id=${noOne}&State=open`, "State"],
    [`account_id=${noOne}&__proto__=1`, "__proto__"],
  ].map(([query, key]) => ({
    name: `holds?${query}`,
    method: "GET",
    path: `${holds}?${query}`,
    at: `query/${key}`,
  })),
  ...[
    ["limit=0", "limit"],
    ["limit=-1", "limit"],
    ["limit=1.5", "limit"],
    ["limit=ten", "limit"],
    ["limit=", "limit"],
    ["limit=201", "limit"],
    ["limit=NaN", "limit"],
    ["limit=1&limit=2", "limit"],
    ["cursor=nope", "cursor"],
    ["cursor=", "cursor"],
    ["cursor=%00", "cursor"],
    ["offset=1", "offset"],
    ["Limit=1", "Limit"],
    ["__proto__=1", "__proto__"],
    ["limit[]=1", "limit[]"],
  ].map(([query, key]) => ({
    name: `accounts?${query}`,
    method: "GET",
    path: `${accounts}?${query}`,
    at: `query/${key}`,
  })),
  ...[
    ["limit=1001", "limit"],
    ["order=up", "order"],
    ["order=asc&order=desc", "order"],
    ["cursor=5", "cursor"],
    ["cursor=after-", "cursor"],
    ["cursor=after--1", "cursor"],
    ["cursor=after-01", "cursor"],
    ["cursor=before-1234567890123456", "cursor"],
    ["cursor=after-1;drop", "cursor"],
    ["after=1", "after"],
  ].map(([query, key]) => ({
    name: `changes?${query}`,
    method: "GET",
    path: `${accounts}/${noOne}/changes?${query}`,
    at: `query/${key}`,
  })),
]

// ---- well-formed, but against the rules; where several are broken, the first of the order of design §5

const legs = (...changes: ReadonlyArray<readonly [id: string, amount: string, more?: object]>) => ({
  changes: changes.map(([account_id, amount, more]) => ({ account_id, amount, ...more })),
})

// ---- instants, periods and sequences of the past

const notInstants = [
  "",
  "now",
  "1795426200",
  "2026-11-23",
  "2026-11-23T09:30Z",
  "2026-11-23T09:30:00",
  "2026-11-23 09:30:00Z",
  "2026-11-23T09:30:00+01:00",
  "2026-11-23T09:30:00%2B0100",
  "2026-11-23T09:30:00.0000001Z",
  "2026-02-30T00:00:00Z",
  "2026-11-23T24:00:00Z",
  "2026-11-23T23:59:60Z",
  "10000-01-01T00:00:00Z",
  "-0001-01-01T00:00:00Z",
  "0000-01-01T00:00:00%2B00:01",
  "0000-12-31T23:59:59Z",
  "0001-01-01T00:00:00%2B01:00",
  "9999-12-31T23:59:59-00:01",
  "%00",
]
const notSequences = ["", "-1", "01", "1.0", "1e3", "x", "null", "%00", "1234567890123456", "%2B1"]
const instant = "2026-01-01T00:00:00Z"
const period = `from=${instant}&to=2026-02-01T00:00:00Z`

/** What is not a `require`, and where the fault is. */
const requirements = [
  [{}, ""],
  [[], ""],
  [null, ""],
  ["posted >= 0", ""],
  [{ posted: {} }, "/posted"],
  [{ posted: "0" }, "/posted"],
  [{ held: { gte: "0" } }, "/held"],
  [{ posted: { gte: "0" }, available: {} }, "/available"],
  [{ posted: { ne: "0" } }, "/posted/ne"],
  [{ available: { gte: 0 } }, "/available/gte"],
  [{ available: { gte: "0", lt: "1e3" } }, "/available/lt"],
  [{ available: { eq: null } }, "/available/eq"],
] as const

const past: ReadonlyArray<Refused> = [
  ...[
    ...notInstants.map((at) => [`at=${at}`, "at"]),
    ...notSequences.map((seq) => [`seq=${seq}`, "seq"]),
    [`at=${instant}&at=${instant}`, "at"],
    ["seq=1&seq=2", "seq"],
    [`at=${instant}&seq=1`, "seq"],
    ["axis=effective&seq=1", "seq"],
    ["axis=created&seq=1", "seq"],
    ["axis=both", "axis"],
    ["axis=", "axis"],
    ["axis=created&axis=effective", "axis"],
    ["format=json", "format"],
    ["AT=x", "AT"],
    ["when=now", "when"],
    ["__proto__=1", "__proto__"],
  ].map(([query, key]) => ({
    name: `balance?${query}`,
    method: "GET",
    path: `${accounts}/${noOne}/balance?${query}`,
    at: `query/${key}`,
  })),
  ...[
    ["", "from"],
    [`from=${instant}`, "to"],
    [`to=${instant}`, "from"],
    ...notInstants.flatMap((time) => [
      [`from=${time}&to=${instant}`, "from"],
      [`from=${instant}&to=${time}`, "to"],
    ]),
    [`from=${instant}&to=${instant}`, "to"],
    [`from=${instant}&to=2025-12-31T23:59:59.999999Z`, "to"],
    [`from=${instant}&to=2026-01-01T01:00:00%2B01:00`, "to"],
    ...notSequences.map((seq) => [`${period}&seq=${seq}`, "seq"]),
    [`${period}&axis=booked`, "axis"],
    [`${period}&format=pdf`, "format"],
    [`${period}&format=ndjson`, "format"],
    [`${period}&format=`, "format"],
    [`${period}&format=csv&format=html`, "format"],
    [`${period}&limit=5`, "limit"],
    [`${period}&From=x`, "From"],
    [`${period}&__proto__=1`, "__proto__"],
  ].map(([query, key]) => ({
    name: `statement?${query}`,
    method: "GET",
    path: `${accounts}/${noOne}/statement?${query}`,
    at: `query/${key}`,
  })),
  ...["html", "", "NDJSON", "csv&format=json"].map((format) => ({
    name: `changes?format=${format}`,
    method: "GET",
    path: `${accounts}/${noOne}/changes?format=${format}`,
    at: "query/format",
  })),
  ...["ndjson", "csv"].map((format) => ({
    name: `changes?format=${format}&limit=5`,
    method: "GET",
    path: `${accounts}/${noOne}/changes?format=${format}&limit=5`,
    at: "query/limit",
  })),
  ...[
    `balance`,
    `balance?seq=0`,
    `balance?at=${instant}&axis=effective`,
    `statement?${period}`,
    "changes?format=csv",
  ].map((route) => ({
    name: `${route} of an account that is not there`,
    method: "GET",
    path: `${accounts}/${noOne}/${route}`,
    status: 404,
    code: "account_not_found",
  })),
  ...[`statement?${period}`, "changes"].flatMap((route) =>
    ["application/xml", "image/*", "text/plain, application/pdf;q=0.9", "application/json;q=0", "nonsense"].map(
      (accept) => ({
        name: `${route} as ${accept}`,
        method: "GET",
        path: `${accounts}/${noOne}/${route}`,
        headers: { accept },
        status: 406,
        code: "not_acceptable",
      }),
    ),
  ),
]

// ---- holds, terms, reversals, conditions

const life: ReadonlyArray<Refused> = [
  ...onHolds
    .slice(0, 3)
    .flatMap((write) =>
      [...notAmounts, "0", "0.00", "-1", "-0.01"].map((amount) =>
        withMore(write, { amount }, `amount ${JSON.stringify(amount)}`, "body/amount"),
      ),
    ),
  ...onHolds
    .slice(0, 3)
    .flatMap((write) =>
      [1, null, true, ["1"]].map((amount) =>
        withMore(write, { amount }, `amount ${JSON.stringify(amount)}, which is no string`, "body/amount"),
      ),
    ),
  ...[...notAmounts, "-1", "-0.01"].map((overdraft_limit) =>
    withMore(
      onTerms,
      { overdraft_limit },
      `overdraft_limit ${JSON.stringify(overdraft_limit)}`,
      "body/overdraft_limit",
    ),
  ),
  ...onHolds
    .slice(0, 2)
    .flatMap((write) => [
      ...[0, -1, 1.5, 31_622_401, "60", null, true].map((ttl) =>
        withMore(write, { ttl }, `ttl ${JSON.stringify(ttl)}`, "body/ttl"),
      ),
      ...notInstants
        .filter((text) => !text.includes("+"))
        .map((text) => withMore(write, { expires_at: text }, `expires_at ${text}`, "body/expires_at")),
      withMore(write, { expires_at: 1_795_426_200 }, "expires_at as a number", "body/expires_at"),
      withMore(write, { expires_at: "2026-12-01T00:00:00Z", ttl: 60 }, "two expiries", "body/ttl"),
    ]),
  ...[writes[1]!, onHolds[2]!, onReversals].flatMap((write) =>
    notInstants
      .filter((text) => !text.includes("+"))
      .map((text) => withMore(write, { effective_at: text }, `effective_at ${text}`, "body/effective_at")),
  ),
  ...[onHolds[0]!, onHolds[1]!, onHolds[3]!, onTerms, writes[0]!].map((write) =>
    withMore(write, { effective_at: instant }, "effective_at, which it does not take", "body/effective_at"),
  ),
  ...onHolds.flatMap((write) => [
    ...requirements.map(([require, at]) =>
      withMore(write, { require }, `require ${JSON.stringify(require)}`, `body/require${at}`),
    ),
    ...[-1, 1.5, "0", null].map((expected_seq) =>
      withMore(write, { expected_seq }, `expected_seq ${JSON.stringify(expected_seq)}`, "body/expected_seq"),
    ),
    withMore(write, { description: "a\0b" }, "NUL in description", "body/description"),
    withMore(write, { metadata: { k: "\udc00" } }, "a lone surrogate in metadata", "body/metadata/k"),
    withMore(write, { description: "x".repeat(1001) }, "a description of 1001", "body/description"),
  ]),
  ...requirements.map(([require, at]): Refused => ({
    name: `a change with require ${JSON.stringify(require)}`,
    path: transactions,
    body: ({ euro }) => legs([euro, "1", { require }]),
    at: `body/changes/0/require${at}`,
  })),
  ...[1, "true", null].map((final) =>
    withMore(onHolds[2]!, { final }, `final of ${JSON.stringify(final)}`, "body/final"),
  ),
  withMore(onHolds[2]!, { to: "nope" }, "to an id that is none", "body/to"),
  withMore(onHolds[3]!, { amount: "1" }, "an amount, which it does not take", "body/amount"),
  withMore(onHolds[2]!, { ttl: 60 }, "ttl, which it does not take", "body/ttl"),
  ...[{}, { reason: "why" }, { metadata: {} }, { expected_seq: 0 }, { reason: "why", dry_run: true }].map(
    (body): Refused => ({
      ...onTerms,
      name: `an account changed in nothing: ${JSON.stringify(body)}`,
      body: () => body,
      at: "body",
    }),
  ),
  ...["Open", "", "deleted", null, 1].map((status) =>
    withMore(onTerms, { status }, `status ${JSON.stringify(status)}`, "body/status"),
  ),
  withMore(onTerms, { customer_name: "" }, "an empty name", "body/customer_name"),
  withMore(onTerms, { customer_name: "x".repeat(201) }, "a name of 201", "body/customer_name"),
  withMore(onTerms, { customer_name: "\ud800" }, "a lone surrogate in the name", "body/customer_name"),
  withMore(onTerms, { customer_address: "x".repeat(501) }, "an address of 501", "body/customer_address"),
  withMore(onTerms, { customer_address: null }, "an address of null", "body/customer_address"),
  withMore(onTerms, { reason: "x".repeat(1001) }, "a reason of 1001", "body/reason"),
  withMore(onTerms, { reason: "a\0b" }, "NUL in the reason", "body/reason"),
  withMore(onTerms, { currency: "USD" }, "another currency", "body/currency"),
  ...["17", 'W/"17"', "*", '"01"', '""', '"1", "2"', '"-1"', '"x"', '"1.0"'].map((etag): Refused => ({
    ...onTerms,
    name: `if-match ${etag}`,
    headers: { "if-match": etag },
    at: "header/if-match",
  })),
  {
    ...onTerms,
    name: "if-match and expected_seq",
    headers: { "if-match": '"1"' },
    body: () => ({ status: "frozen", expected_seq: 1 }),
    at: "header/if-match",
  },
  withMore(onReversals, { changes: [] }, "no changes", "body/changes"),
  withMore(onReversals, { changes: null }, "changes of null", "body/changes"),
  withMore(
    onReversals,
    { changes: Array.from({ length: 101 }, () => ({ account_id: noOne, amount: "1" })) },
    "101 changes",
    "body/changes",
  ),
  withMore(onReversals, { changes: [{ account_id: noOne, amount: "0" }] }, "of nothing", "body/changes/0/amount"),
  withMore(onReversals, { force: "true" }, "force as a string", "body/force"),
  {
    name: "holds of an account that is not there",
    method: "GET",
    path: `${holds}?account_id=${noOne}`,
    status: 404,
    code: "account_not_found",
  },
]

/** The first of two rules that are both broken, in the order of the README. */
const order: ReadonlyArray<Refused> = [
  {
    name: "the body before the hold",
    path: `${holds}/999999999/capture`,
    body: () => ({ amount: "0" }),
  },
  {
    name: "the hold before the account that it goes to",
    path: `${holds}/999999999/capture`,
    body: () => ({ to: noOne }),
    status: 404,
    code: "hold_not_found",
  },
  {
    name: "the same account before what has ended",
    path: `${holds}/{ended}/capture`,
    body: ({ frozen }) => ({ to: frozen }),
    status: 422,
    code: "same_account",
  },
  {
    name: "existence before what has ended",
    path: `${holds}/{ended}/capture`,
    body: () => ({ to: noOne }),
    status: 404,
    code: "account_not_found",
  },
  ...["increase", "capture", "release"].map((action) => ({
    name: `what has ended before status, ${action}`,
    path: `${holds}/{ended}/${action}`,
    body: () => (action === "increase" ? { amount: "1" } : {}),
    status: 409,
    code: "hold_already_released",
  })),
  {
    name: "status before currency and scale, of a hold",
    path: holds,
    body: ({ frozen }) => ({ account_id: frozen, amount: "1.001", currency: "USD" }),
    status: 422,
    code: "account_frozen",
  },
  {
    name: "currency before scale, of a hold",
    path: holds,
    body: ({ held }) => ({ account_id: held, amount: "1.001", currency: "USD" }),
    status: 422,
    code: "currency_mismatch",
  },
  {
    name: "scale before version, of a hold",
    path: holds,
    body: ({ held }) => ({ account_id: held, amount: "1.001", expected_seq: 9 }),
    status: 422,
    code: "scale_exceeded",
  },
  {
    name: "too many decimals of a condition",
    path: holds,
    body: ({ held }) => ({ account_id: held, amount: "1", require: { posted: { gte: "0.001" } } }),
    status: 422,
    code: "scale_exceeded",
  },
  {
    name: "too many decimals of an overdraft limit",
    method: "PATCH",
    path: `${accounts}/{held}`,
    body: () => ({ overdraft_limit: "0.001", expected_seq: 9 }),
    status: 422,
    code: "scale_exceeded",
  },
  {
    name: "two currencies, by a capture",
    path: `${holds}/{hold}/capture`,
    body: ({ yen }) => ({ to: yen, amount: "5", expected_seq: 9 }),
    status: 422,
    code: "currency_mismatch",
  },
  {
    name: "version before range",
    path: transactions,
    body: ({ full }) => legs([full, "0.0001", { expected_seq: 9 }]),
    status: 409,
    code: "version_conflict",
  },
  {
    name: "version before expiry",
    path: holds,
    body: ({ held }) => ({ account_id: held, amount: "1", expected_seq: 9, expires_at: "2020-01-01T00:00:00Z" }),
    status: 409,
    code: "version_conflict",
  },
  {
    name: "version before what a hold has left",
    path: `${holds}/{hold}/capture`,
    body: () => ({ amount: "11", expected_seq: 9 }),
    status: 409,
    code: "version_conflict",
  },
  {
    name: "version before what a transaction has left",
    path: `${transactions}/{posted}/reverse`,
    body: ({ moved }) => legs([moved, "-6", { expected_seq: 9 }]),
    status: 409,
    code: "version_conflict",
  },
  {
    name: "version before what closing needs",
    method: "PATCH",
    path: `${accounts}/{held}`,
    body: () => ({ status: "closed", expected_seq: 9 }),
    status: 409,
    code: "version_conflict",
  },
  ...["2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z"].map((expires_at) => ({
    name: `expiry before funds: ${expires_at}`,
    path: holds,
    body: ({ held }: Accounts["Service"]) => ({ account_id: held, amount: "1000", expires_at }),
    status: 422,
    code: "expiry_out_of_range",
  })),
  {
    name: "what a hold has left before conditions",
    path: `${holds}/{hold}/capture`,
    body: () => ({ amount: "11", require: { posted: { gte: "1000" } } }),
    status: 422,
    code: "capture_exceeds_hold",
  },
  {
    name: "funds before conditions, of a hold",
    path: holds,
    body: ({ held }) => ({ account_id: held, amount: "90.01", require: { posted: { gte: "1000" } } }),
    status: 422,
    code: "insufficient_funds",
  },
  {
    name: "funds before conditions, of a change",
    path: transactions,
    body: ({ held }) => legs([held, "-90.01", { require: { posted: { gte: "1000" } } }]),
    status: 422,
    code: "insufficient_funds",
  },
  {
    name: "existence before the same account twice, of a reversal's transaction",
    path: `${transactions}/999999999/reverse`,
    body: ({ moved }) => legs([moved, "-1"], [moved, "-1"]),
    status: 404,
    code: "transaction_not_found",
  },
  {
    name: "a reversal of the wrong sign",
    path: `${transactions}/{posted}/reverse`,
    body: ({ moved }) => legs([moved, "5"]),
    status: 422,
    code: "reversal_exceeds_transaction",
  },
  {
    name: "a reversal on another account",
    path: `${transactions}/{posted}/reverse`,
    body: ({ euro }) => legs([euro, "-5"]),
    status: 422,
    code: "reversal_exceeds_transaction",
  },
]

const rules: ReadonlyArray<Refused> = [
  {
    name: "too many decimals for the currency",
    path: transactions,
    body: ({ euro }) => legs([euro, "1.005"]),
    status: 422,
    code: "scale_exceeded",
  },
  {
    name: "decimals that are zero are too many, too",
    path: transactions,
    body: ({ yen }) => legs([yen, "1.0"]),
    status: 422,
    code: "scale_exceeded",
  },
  {
    name: "an overdraft limit of too many decimals",
    path: accounts,
    body: () => ({ customer_name: "Ann", currency: "JPY", overdraft_limit: "0.5" }),
    status: 422,
    code: "scale_exceeded",
  },
  {
    name: "an account that is not there",
    path: transactions,
    body: ({ euro }) => legs([euro, "-1"], [noOne, "1"]),
    status: 404,
    code: "account_not_found",
  },
  {
    name: "changes that do not sum to zero",
    path: transactions,
    body: ({ euro, other }) => legs([euro, "-1"], [other, "1.01"]),
    status: 422,
    code: "unbalanced",
  },
  {
    name: "an account twice",
    path: transactions,
    body: ({ euro }) => legs([euro, "-1"], [euro.toUpperCase(), "1"]),
    status: 422,
    code: "same_account",
  },
  {
    name: "two currencies",
    path: transactions,
    body: ({ euro, yen }) => legs([euro, "-1"], [yen, "1"]),
    status: 422,
    code: "currency_mismatch",
  },
  {
    name: "another currency than the account's",
    path: transactions,
    body: ({ euro }) => legs([euro, "1", { currency: "USD" }]),
    status: 422,
    code: "currency_mismatch",
  },
  {
    name: "more than the account has",
    path: transactions,
    body: ({ euro }) => legs([euro, "-100.01"]),
    status: 422,
    code: "insufficient_funds",
  },
  {
    name: "more than an account can hold",
    path: transactions,
    body: ({ full }) => legs([full, "0.0001"]),
    status: 422,
    code: "amount_out_of_range",
  },
  {
    name: "a sequence that the account is not at",
    path: transactions,
    body: ({ euro }) => legs([euro, "1", { expected_seq: 1 }]),
    status: 409,
    code: "version_conflict",
  },
  {
    name: "the body before the account",
    path: transactions,
    body: () => legs([noOne, "x"]),
  },
  {
    name: "the same account before existence",
    path: transactions,
    body: () => legs([noOne, "1"], [noOne, "1.00001".slice(0, 5)]),
    status: 422,
    code: "same_account",
  },
  {
    name: "existence before scale",
    path: transactions,
    body: ({ yen }) => legs([yen, "0.5"], [noOne, "1"]),
    status: 404,
    code: "account_not_found",
  },
  {
    name: "scale before balance",
    path: transactions,
    body: ({ euro, other }) => legs([euro, "-1.001"], [other, "2"]),
    status: 422,
    code: "scale_exceeded",
  },
  {
    name: "balance before version",
    path: transactions,
    body: ({ euro, other }) => legs([euro, "-1", { expected_seq: 9 }], [other, "2"]),
    status: 422,
    code: "unbalanced",
  },
  {
    name: "version before funds",
    path: transactions,
    body: ({ euro }) => legs([euro, "-1000", { expected_seq: 9 }]),
    status: 409,
    code: "version_conflict",
  },
]

const refused: ReadonlyArray<Refused> = [
  ...unstorableTexts,
  ...amounts,
  ...forms,
  ...properties,
  ...reads,
  ...past,
  ...life,
  ...order,
  ...rules,
]

const withAccounts = Accounts.layer.pipe(Layer.provideMerge(TestServer.layer))

layer(withAccounts, { excludeTestServices: true })("refused", (it) => {
  for (const { at, body, code = "invalid_request", headers, method = "POST", name, path, status = 400 } of refused) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const ids = yield* Accounts
        const before = yield* rowCounts
        const address = path.replaceAll(/\{(\w+)\}/g, (_, name: keyof typeof ids) => ids[name])
        const answer = yield* request(method, address, { headers, body: body?.(ids) })
        const { detail, errors } = assertProblem(answer, status, code)
        if (code === "invalid_request") {
          assert.isAtLeast(errors!.length, 1)
          const places = errors!.map((error) => `${error.in}${error.pointer}`)
          if (at !== undefined) assert.include(places, at)
          assert.isTrue(detail!.startsWith(`${places[0]}: `), detail)
        }
        assert.deepStrictEqual(yield* rowCounts, before)
      }),
    )
  }

  it.effect("a status is told before the currency", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      yield* setStatus(account_id, "frozen")
      const answer = yield* post(transactions, legs([account_id, "1.001", { currency: "USD" }]))
      assertProblem(answer, 422, "account_frozen")
    }),
  )

  it.effect("of many faults, each is told, up to a limit", () =>
    Effect.gen(function* () {
      const changes = Array.from({ length: 100 }, () => ({ account_id: "x", amount: 1, nope: true }))
      const { errors } = assertProblem(yield* post(transactions, { changes }), 400, "invalid_request")
      assert.lengthOf(errors!, 20)
      assert.deepStrictEqual(
        errors!
          .slice(0, 3)
          .map(({ pointer }) => pointer)
          .sort(),
        ["/changes/0/account_id", "/changes/0/amount", "/changes/0/nope"],
      )
    }),
  )
})

layer(TestServer.layer, { excludeTestServices: true })("accepted, at the limit", (it) => {
  const accepted: ReadonlyArray<{ readonly name: string; readonly body: object; readonly key?: string }> = [
    { name: "a customer_name of 200", body: { customer_name: long(200) } },
    { name: "a customer_address of 500", body: { customer_address: long(500) } },
    { name: "50 keys of metadata", body: { metadata: keys(50) } },
    { name: "a key of 100", body: { metadata: { [long(100)]: "" } } },
    { name: "16 KiB of metadata", body: { metadata: { k: long(16 * 1024 - 1) } } },
    { name: "a key of 255", body: {}, key: long(255) },
    {
      name: "characters beyond the basic plane",
      body: { customer_name: "𝒵👩‍🚀", metadata: { "🔑": "\u{10ffff}\u0001" } },
    },
  ]
  for (const { body, key, name } of accepted) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const said = { customer_name: "Ann", currency: "EUR", ...body }
        const answer = yield* post(accounts, said, key === undefined ? {} : { "idempotency-key": key })
        assert.strictEqual(answer.status, 201, answer.text)
        assert.deepInclude(answer.json, said)
      }),
    )
  }

  it.effect("the largest amounts: what is available has a digit more", () =>
    Effect.gen(function* () {
      const largest = "99999999999999999999.99"
      const { account_id, balance } = yield* open({ initial_balance: largest, overdraft_limit: largest })
      assert.strictEqual(balance.available, "199999999999999999999.98")
      const { changes } = yield* change(account_id, `-${largest}`)
      assert.strictEqual(changes[0]!.balance.available, largest)
      yield* change(account_id, largest)
      for (const path of [accounts, `${accounts}/${account_id}`, `${accounts}/${account_id}/changes`]) {
        const answer = yield* get(path)
        assert.strictEqual(answer.status, 200)
        assert.include(answer.text, '"199999999999999999999.98"')
      }
    }),
  )

  it.effect("a description of 1000, and a limit of a page", () =>
    Effect.gen(function* () {
      const { account_id } = yield* open()
      const answer = yield* post(transactions, { changes: [{ account_id, amount: "1" }], description: long(1000) })
      assert.strictEqual(answer.status, 201)
      assert.strictEqual((yield* get(`${accounts}/${account_id}/changes?limit=1000`)).status, 200)
      assert.strictEqual((yield* get(`${accounts}?limit=200`)).status, 200)
    }),
  )

  it.effect("a body of exactly the limit, and one byte more", () =>
    Effect.gen(function* () {
      const body = account("").padEnd(bodyBytesMax)
      assert.strictEqual((yield* post(accounts, body)).status, 201)
      assert.strictEqual((yield* post(accounts, streamOf(body))).status, 201)
      const before = yield* rowCounts
      assertProblem(yield* post(accounts, `${body} `), 413, "body_too_large")
      assertProblem(yield* post(accounts, streamOf(`${body} `)), 413, "body_too_large")
      assert.deepStrictEqual(yield* rowCounts, before)
    }),
  )

  it.effect("a content type with parameters, in any case", () =>
    Effect.gen(function* () {
      for (const type of ["application/json; charset=utf-8", "Application/JSON"]) {
        assert.strictEqual((yield* post(accounts, account(""), { "content-type": type })).status, 201)
      }
    }),
  )
})

// ---- routes and methods

/** A path of each route, by its template; where none was chosen, the template has no parameters. */
const pathOf = (template: string) => template.replace(/:(transaction|hold)_id/, "1").replace(/:(account_)?id/, noOne)

const routes = new Map<string, Set<string>>()
const addRoute = (method: string, path: string) => routes.set(path, (routes.get(path) ?? new Set()).add(method))
HttpApi.reflect(Api, {
  onGroup: () => undefined,
  onEndpoint: ({ endpoint }) => addRoute(endpoint.method, endpoint.path),
})
for (const path of ["/", "/docs", "/openapi.json", "/account/:id", "/transaction/history/:id"]) addRoute("GET", path)
for (const path of ["/transaction", "/make-dummy-account"]) addRoute("POST", path)

const isLegacy = (path: string) =>
  ["/account/:id", "/transaction/history/:id", "/transaction", "/make-dummy-account"].includes(path)

layer(TestServer.layer, { excludeTestServices: true })("routes", (it) => {
  it("are all here", () => {
    assert.sameMembers(
      [...routes].flatMap(([path, methods]) => [...methods].map((method) => `${method} ${path}`)),
      [
        "GET /",
        "GET /account/:id",
        "GET /docs",
        "GET /livez",
        "GET /openapi.json",
        "GET /readyz",
        "GET /transaction/history/:id",
        "GET /v1/accounts",
        "GET /v1/accounts/:account_id",
        "GET /v1/accounts/:account_id/balance",
        "GET /v1/accounts/:account_id/changes",
        "GET /v1/accounts/:account_id/statement",
        "GET /v1/holds",
        "GET /v1/holds/:hold_id",
        "GET /v1/transactions/:transaction_id",
        "PATCH /v1/accounts/:account_id",
        "POST /make-dummy-account",
        "POST /transaction",
        "POST /v1/accounts",
        "POST /v1/holds",
        "POST /v1/holds/:hold_id/capture",
        "POST /v1/holds/:hold_id/increase",
        "POST /v1/holds/:hold_id/release",
        "POST /v1/transactions",
        "POST /v1/transactions/:transaction_id/reverse",
        "POST /v1/transactions/batch",
      ],
    )
  })

  for (const [template, known] of routes) {
    const path = pathOf(template)
    const allowed = known.has("GET") ? [...known, "HEAD"] : [...known]

    it.effect(`${template}: other methods than ${allowed.join(", ")} are refused`, () =>
      Effect.gen(function* () {
        const before = yield* rowCounts
        for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"]) {
          if (allowed.includes(method)) continue
          const answer = yield* request(method, path, method === "PUT" ? { body: {} } : {})
          assert.strictEqual(answer.status, 405, method)
          assert.sameMembers(answer.headers.get("allow")!.split(", "), allowed)
          if (method === "HEAD") assert.strictEqual(answer.text, "")
          else if (isLegacy(template)) assert.strictEqual(answer.headers.get("content-type"), "text/plain")
          else assertProblem(answer, 405, "method_not_allowed")
        }
        assert.deepStrictEqual(yield* rowCounts, before)
      }),
    )

    if (!known.has("GET")) continue
    it.effect(`${template}: HEAD is GET without the body`, () =>
      Effect.gen(function* () {
        const [whole, head] = [yield* get(path), yield* request("HEAD", path)]
        assert.strictEqual(head.status, whole.status)
        assert.strictEqual(head.text, "")
        for (const name of ["content-type", "etag"]) {
          assert.strictEqual(head.headers.get(name), whole.headers.get(name))
        }
      }),
    )
  }

  it.effect("what is not a route is not found, whatever the method", () =>
    Effect.gen(function* () {
      for (const path of [
        "/nope",
        "/v1",
        "/v2/accounts",
        `${accounts}/${noOne}/nope`,
        "/docs/x",
        "/.env",
        "/v1/accounts/%ZZ",
        "/v1/accounts/%F0%9F",
        "/%",
      ]) {
        for (const method of ["GET", "POST", "DELETE", "OPTIONS", "PROPFIND"]) {
          assertProblem(yield* request(method, path), 404, "not_found")
        }
        const head = yield* request("HEAD", path)
        assert.deepStrictEqual([head.status, head.text], [404, ""])
      }
    }),
  )
})
