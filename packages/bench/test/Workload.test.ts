import { assert, describe, it } from "@effect/vitest"
import * as Random from "../src/Random.ts"
import { casesOf, isTopFor, scenarios } from "../src/Scenario.ts"
import { make, type WorkloadName, workloads } from "../src/Workload.ts"
import type { Ask } from "../src/Ask.ts"

const accounts = Array.from({ length: 1_000 }, (_, index) => `account-${index}`)
const names = Object.keys(workloads) as ReadonlyArray<WorkloadName>

const asks = (name: WorkloadName, count: number): ReadonlyArray<Ask> => {
  const workload = make({ name, accounts, random: Random.make(1), run: "test" })
  return Array.from({ length: count }, (_, index) => {
    const ask = workload.next()
    // As if each had been carried out, and those that place a hold had placed one.
    const transactionId = `${index}`
    const isHold = ask._tag === "Post" && ask.path === "/v1/holds"
    workload.ended(ask, "acknowledged", isHold ? { transactionId, holdId: transactionId } : { transactionId })
    return ask
  })
}

/** A batch is as much as many others. */
const countOf = (name: WorkloadName) => (name === "batches" ? 4 : 400)

const writesOf = (ask: Ask) => (ask._tag === "Read" ? [] : ask.writes)

describe("workloads", () => {
  for (const name of names) {
    it(`${name}: the same in each run, with legs that sum to zero and a body that says what is asked`, () => {
      const count = countOf(name)
      const one = asks(name, count)
      assert.deepStrictEqual(one, asks(name, count))
      for (const ask of one) {
        for (const { asked } of writesOf(ask)) {
          if (asked === null) continue
          if (name !== "life") assert.strictEqual(new Set(asked.map(({ acctId }) => acctId)).size, asked.length)
          if (asked.length > 1)
            assert.strictEqual(
              asked.reduce((sum, { amount }) => sum + Number(amount), 0),
              0,
            )
          if (!ask.path.startsWith("/v1/transactions")) continue
          for (const { acctId, amount } of asked) {
            assert.include((ask as Exclude<Ask, { _tag: "Read" }>).body, JSON.stringify({ account_id: acctId, amount }))
          }
        }
      }
    })
  }

  it("use each key once, but for replays, which repeat half of them with the same body", () => {
    for (const name of names.filter((one) => one !== "life")) {
      const bodies = new Map<string, string>()
      let repeated = 0
      for (const ask of asks(name, countOf(name))) {
        for (const { key } of writesOf(ask)) {
          const { body } = ask as Exclude<Ask, { _tag: "Read" }>
          if (bodies.has(key)) repeated += 1
          assert.strictEqual(bodies.get(key) ?? body, body)
          bodies.set(key, body)
        }
      }
      if (name === "replays") assert.approximately(repeated, 200, 50)
      else assert.strictEqual(repeated, 0, name)
    }
  })

  it("life asks for everything, often about the same, and uses keys again for the same and for something else", () => {
    const all = asks("life", 4_000).filter((ask) => ask._tag === "Post")
    const kinds = Map.groupBy(
      all,
      ({ method, path }) => `${method ?? "POST"} ${path.replaceAll(/\/(?!v1\/)[-\w]*\d[-\w]*/g, "/:id")}`,
    )
    assert.deepStrictEqual([...kinds.keys()].toSorted(), [
      "PATCH /v1/accounts/:id",
      "POST /v1/holds",
      "POST /v1/holds/:id/capture",
      "POST /v1/holds/:id/increase",
      "POST /v1/holds/:id/release",
      "POST /v1/transactions",
      "POST /v1/transactions/:id/reverse",
    ])
    for (const [kind, same] of kinds) assert.isAbove(same.length, 40, kind)
    const byKey = [...Map.groupBy(all, ({ writes: [{ key }] }) => key).values()]
    const bodies = byKey.map((same) => new Set(same.map(({ body }) => body)).size)
    assert.isAbove(byKey.filter((same) => same.length > 1).length, 200)
    assert.isAbove(bodies.filter((count) => count > 1).length, 20)
    assert.isAbove(all.filter(({ body }) => body.includes('"dry_run":true')).length, 20)
  })

  it("holds: each is placed once and captured once", () => {
    const all = asks("holds", 400).filter((ask) => ask._tag === "Post")
    const captures = all.filter(({ path }) => path !== "/v1/holds").map(({ path }) => path)
    assert.strictEqual(captures.length, 200)
    assert.strictEqual(new Set(captures).size, 200)
  })

  it("follow Zipf's law where they say so", () => {
    const next = Random.zipf(Random.make(1), 1_000, 1)
    const counts = Array.from({ length: 1_000 }, () => 0)
    for (let n = 0; n < 100_000; n++) counts[next()]! += 1
    // The sum of 1 / rank up to 1 000 is 7.485.
    assert.approximately(counts[0]! / 100_000, 1 / 7.485, 0.01)
    assert.approximately(counts[9]! / 100_000, 0.1 / 7.485, 0.003)
  })
})

describe("scenarios", () => {
  const none = { clients: [], instances: [], rows: [] }

  it("all have runs, the large table only when it is asked for", () => {
    const whole = casesOf({ isQuick: false, isLarge: false, scenarios: [], axes: none })
    const covered = new Set([
      ...whole.map(({ scenario }) => scenario),
      ...casesOf({ isQuick: true, isLarge: false, scenarios: [], axes: none }).map(({ scenario }) => scenario),
    ])
    assert.deepStrictEqual(covered, new Set(scenarios.map(({ name }) => name)))
    assert.isFalse(whole.some(({ rows }) => rows > 1_000_000))
    const large = casesOf({ isQuick: false, isLarge: true, scenarios: ["rows"], axes: none })
    assert.deepStrictEqual(
      large.map(({ rows }) => rows),
      [100_000, 1_000_000, 10_000_000],
    )
  })

  it("have a closed loop before an open one, whatever is chosen", () => {
    for (const isQuick of [true, false]) {
      for (const chosen of [[], ["rate"]]) {
        const cases = casesOf({ isQuick, isLarge: false, scenarios: chosen, axes: none })
        const open = cases.findIndex(({ rate }) => rate !== null)
        assert.isTrue(cases.slice(0, open).some((one) => isTopFor(one, cases[open]!)))
      }
    }
  })
})
