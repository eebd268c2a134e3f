import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Currency, scaleOf } from "../src/money/Currency.ts"
import { decimals } from "../src/money/Money.ts"

const isCurrency = Schema.is(Currency)

describe("Currency", () => {
  it.each([
    ["USD", 2],
    ["EUR", 2],
    ["JPY", 0],
    ["KRW", 0],
    ["BHD", 3],
    ["KWD", 3],
    ["CLF", 4],
    ["UYW", 4],
  ] as const)("%s has %i decimals", (code, scale) => {
    assert.isTrue(isCurrency(code))
    assert.strictEqual(scaleOf(Currency.make(code)), scale)
  })

  it.each(["usd", "Usd", "US", "USDD", "ZZZ", "840", "", " USD", "USD ", "USD\n", "\uff35\uff33\uff24", "constructor"])(
    "refuses %j",
    (code) => {
      assert.isFalse(isCurrency(code))
      assert.throws(() => scaleOf(code as Currency), RangeError)
    },
  )

  it.each([840, null, undefined, ["USD"]])("refuses what is no text: %s", (value) => assert.isFalse(isCurrency(value)))

  it("no currency has more decimals than the ledger stores", () => {
    const codes = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    const known = codes.flatMap((a) => codes.flatMap((b) => codes.map((c) => a + b + c))).filter(isCurrency)
    assert.isAbove(known.length, 150)
    for (const code of known) assert.isTrue(scaleOf(code) >= 0 && scaleOf(code) <= decimals, code)
  })
})
