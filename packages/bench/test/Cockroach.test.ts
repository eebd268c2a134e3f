/** What an operator runs on a CockroachDB, on the PostgreSQL that is here: it asserts nothing about speed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { isProven, prove } from "../src/Cockroach.ts"
import * as Database from "../src/Database.ts"
import { faultsOf } from "../src/Plans.ts"

it.live(
  "proves a database, and says what it found",
  () =>
    Effect.gen(function* () {
      const { superuserUrl } = yield* Database.make
      const printed: Array<string> = []
      const proof = yield* prove({
        url: superuserUrl,
        transfers: 1_000,
        clients: 8,
        seconds: 2,
        print: (line) => Effect.sync(() => void printed.push(line)),
      })
      assert.strictEqual(proof.dialect, "postgresql")
      assert.match(printed[0]!, /^found: postgresql, PostgreSQL 18/)
      assert.deepStrictEqual(
        proof.plans.filter(({ faults }) => faults.length > 0),
        [],
      )
      assert.strictEqual(proof.plans.length, 11)
      assert.deepStrictEqual(proof.faults, [])
      assert.isAbove(proof.audited, 0)
      assert.isAbove(proof.verified.changes, 2_000)
      assert.isTrue(isProven(proof))
      assert.isFalse(isProven({ ...proof, counts: { ...proof.counts, unknown: 1 } }))
    }).pipe(Effect.scoped),
  300_000,
)

/** As CockroachDB 25.2 prints them. */
const scan = (...more: ReadonlyArray<string>) => [
  "distribution: local",
  "vectorized: true",
  "",
  "• index join",
  "│ table: balance_change@balance_change_pkey",
  "│",
  "└── • revscan",
  "      table: balance_change@balance_change_acct_holds_idx (partial index)",
  ...more.map((line) => `      ${line}`),
]

describe("a plan of CockroachDB", () => {
  it("has a limit at each scan", () => {
    const limited = { isLimited: true } as const
    const spans = "spans: [/1 - /2]"
    assert.deepStrictEqual(faultsOf(scan(spans, "limit: 64"), limited, "cockroachdb"), [])
    assert.deepStrictEqual(faultsOf(["• limit", "│ count: 64", ...scan(spans)], limited, "cockroachdb"), [
      "a scan has no limit of its own",
    ])
    const both = [...scan(spans, "limit: 64"), ...scan(spans)]
    assert.deepStrictEqual(faultsOf(both, limited, "cockroachdb"), ["a scan has no limit of its own"])
    assert.deepStrictEqual(faultsOf(scan(spans), {}, "cockroachdb"), [])
  })

  it("reads no whole index, soft limit or not", () => {
    for (const spans of ["spans: FULL SCAN", "spans: FULL SCAN (SOFT LIMIT)"]) {
      assert.deepStrictEqual(faultsOf(scan(spans), {}, "cockroachdb"), ["it reads a whole index"])
    }
  })

  it("of an append commits by itself", () => {
    const insert = ["• insert", "│ into: balance_change(bchg_id)", "│"]
    assert.deepStrictEqual(faultsOf([...insert, "│ auto commit", ...scan()], { isCommitted: true }, "cockroachdb"), [])
    assert.deepStrictEqual(faultsOf([...insert, ...scan()], { isCommitted: true }, "cockroachdb"), [
      "it does not commit by itself",
    ])
  })
})

describe("a plan of PostgreSQL", () => {
  it("uses an index and reads no whole table", () => {
    assert.deepStrictEqual(faultsOf(["Index Scan using balance_change_pkey on balance_change b"], {}, "postgresql"), [])
    assert.deepStrictEqual(faultsOf(["Seq Scan on balance_change b"], {}, "postgresql"), [
      "it reads a whole table",
      "it uses no index",
    ])
  })
})
