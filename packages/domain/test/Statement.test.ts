import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import * as Axis from "../src/time/Axis.ts"
import * as Money from "../src/money/Money.ts"
import * as Statement from "../src/report/Statement.ts"
import * as Generated from "./Generated.ts"

const runs = { arbitrary: { runs: 200 } }

const movements = Arbitrary.array(Generated.unsealedChange, { maxLength: 12 })
const sumOf = (amounts: ReadonlyArray<bigint>) => amounts.reduce((sum, amount) => sum + amount, 0n)

describe("Statement", () => {
  it.prop(
    "opening + credits - debits = closing, which is the balance after the last line",
    [Generated.money, movements],
    ([opening, movements]) => {
      const lines = Statement.linesFrom(opening, movements)
      const closing = lines.at(-1)?.balance ?? opening
      const summary = Statement.summaryOf(opening, closing, Statement.turnoversOf(movements))
      assert.strictEqual(summary.opening + summary.credits.sum - summary.debits.sum, summary.closing)
      assert.strictEqual(closing, opening + sumOf(movements.map(({ chgAmt }) => chgAmt)))
      lines.forEach((line, index) => {
        assert.strictEqual(line.balance, (lines[index - 1]?.balance ?? opening) + line.chgAmt)
        assert.strictEqual(line.acctSeq, movements[index]!.acctSeq)
      })
    },
    runs,
  )

  it.prop(
    "debits and credits are counted and summed apart, and what moves nothing not at all",
    [movements],
    ([movements]) => {
      const amounts = movements.map(({ chgAmt }) => chgAmt as bigint)
      const [out, into] = [amounts.filter((amount) => amount < 0n), amounts.filter((amount) => amount > 0n)]
      assert.deepStrictEqual(Statement.turnoversOf([...movements, { chgAmt: Money.zero }]), {
        debits: { count: out.length, sum: Money.make(-sumOf(out)) },
        credits: { count: into.length, sum: Money.make(sumOf(into)) },
      })
    },
    runs,
  )

  it.prop(
    "turnovers of parts add up to those of the whole, however large",
    [movements, movements],
    ([a, b]) => {
      const parts = Statement.addTurnovers(Statement.turnoversOf(a), Statement.turnoversOf(b))
      assert.deepStrictEqual(parts, Statement.turnoversOf([...a, ...b]))
    },
    runs,
  )

  it("that does not add up is a defect", () => {
    const [one, two] = [Money.make(10_000n), Money.make(20_000n)]
    assert.throws(() => Statement.summaryOf(one, two, Statement.noTurnovers), RangeError)
    assert.doesNotThrow(() => Statement.summaryOf(one, two, Statement.turnoversOf([{ chgAmt: one }])))
  })
})

describe("Axis", () => {
  it.prop("each axis has its time", [Generated.unsealedChange], ([change]) => {
    assert.strictEqual(Axis.timeOn("created", change), change.chgCreateTime)
    assert.strictEqual(Axis.timeOn("effective", change), change.effectiveTime)
  })
})
