/** The real thing, small: database, server process, load generator, audit, report. It asserts nothing about speed. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Database from "../src/Database.ts"
import { fill } from "../src/Fill.ts"
import * as Machine from "../src/Machine.ts"
import * as Report from "../src/Report.ts"
import { runAll } from "../src/Run.ts"
import { casesOf, scenarios } from "../src/Scenario.ts"
import * as Verification from "../src/Verification.ts"

it.live("runs a scenario, audits it and writes the report", () =>
  Effect.gen(function* () {
    const database = yield* Database.make
    const cases = casesOf({
      isQuick: true,
      isLarge: false,
      scenarios: ["transfers"],
      axes: { clients: [4], instances: [], rows: [700] },
    })
    const entries = yield* runAll(database, cases, {
      warmMillis: 100,
      measureMillis: 500,
      budgetMillis: null,
      onEntry: () => Effect.void,
    })
    assert.strictEqual(entries.length, 1)
    const [entry] = entries
    if (entry?._tag !== "Measured") return assert.fail(JSON.stringify(entry))
    const { audit, counts } = entry.measurement
    assert.deepStrictEqual(audit?.faults, [])
    assert.isAbove(audit!.rows, 0)
    assert.isAbove(counts.acknowledged, 0)
    assert.strictEqual(counts.unknown, 0)
    assert.isTrue(Report.isSound(entries))

    const section = Report.section(
      scenarios.find(({ name }) => name === "transfers")!,
      entries,
    )!
    for (const column of [
      "requests/s",
      "changes/s",
      "p50 ms",
      "p95",
      "p99",
      "p99.9",
      "CPU server",
      "memory server",
      "audit",
    ]) {
      assert.include(section, ` ${column} `)
    }
    assert.include(section, "| passed |")

    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "banquo-report-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true })),
    )
    yield* Report.write(directory, {
      date: "2026-11-23",
      isQuick: true,
      seconds: 1,
      machine: Machine.describe(database),
      entries,
    })
    assert.include(readFileSync(join(directory, "README.md"), "utf8"), section)
    assert.isTrue(existsSync(join(directory, "measurements.json")))

    const filled = yield* fill(database, 300)
    yield* Verification.transfer(database, filled, 20)
    const measured = yield* Verification.measure(database, filled)
    assert.deepInclude(measured.verified, { accounts: 300, changes: 340, transactions: 20, faultsFound: 0 })
    assert.match(Verification.lineOf(measured), /^340 changes, 20 transactions of several, 0 faults: \d+ rows\/s, /)
  }),
)

it.live("lets several instances live through everything at once, and audits what is left", () =>
  Effect.gen(function* () {
    const database = yield* Database.make
    const cases = casesOf({
      isQuick: true,
      isLarge: false,
      scenarios: ["life"],
      axes: { clients: [24], instances: [2], rows: [300] },
    })
    const entries = yield* runAll(database, cases, {
      warmMillis: 500,
      measureMillis: 1_500,
      budgetMillis: null,
      onEntry: () => Effect.void,
    })
    const [entry] = entries
    if (entry?._tag !== "Measured") return assert.fail(JSON.stringify(entry))
    const { audit, counts } = entry.measurement
    assert.deepStrictEqual(audit?.faults, [])
    assert.isAbove(audit!.rows, 0)
    assert.isAbove(counts.acknowledged, 0)
    assert.isAbove(counts.refused, 0)
    assert.strictEqual(counts.unknown, 0)
    return undefined
  }),
)
