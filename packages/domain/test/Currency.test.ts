import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Currency, isOpenable, isoScaleOf, Scale, scaleMax } from "../src/money/Currency.ts"

const isCurrency = Schema.is(Currency)
const of = (code: string) => Currency.make(code)

describe("Currency", () => {
  it.each([
    ["USD", 2],
    ["EUR", 2],
    ["XCG", 2],
    ["JPY", 0],
    ["KRW", 0],
    ["BHD", 3],
    ["KWD", 3],
    ["CLF", 4],
    ["UYW", 4],
  ] as const)("%s has %i decimals", (code, scale) => {
    assert.isTrue(isOpenable(of(code)))
    assert.strictEqual(isoScaleOf(of(code)), scale)
  })

  it.each(["XAU", "XAG", "XDR", "XPT", "XUA", "ZZZ", "BTC", "GOLD", "POINTS2026"])(
    "%s needs a scale that is said",
    (code) => {
      assert.isTrue(isOpenable(of(code)))
      assert.isUndefined(isoScaleOf(of(code)))
    },
  )

  it.each(["XXX", "XTS", "ANG", "CUC", "BGN"])("no account is opened in %s", (code) =>
    assert.isFalse(isOpenable(of(code))),
  )

  it.each([
    "usd",
    "Usd",
    "US",
    "840",
    "1INCH",
    "",
    " USD",
    "USD ",
    "USD\n",
    "U-D",
    "ABCDEFGHIJKLM",
    "\uff35\uff33\uff24",
    "constructor",
  ])("refuses %j", (code) => assert.isFalse(isCurrency(code)))

  it.each([840, null, undefined, ["USD"]])("refuses what is no text: %s", (value) => assert.isFalse(isCurrency(value)))

  it("no currency of ISO 4217 has more decimals than the ledger stores", () => {
    const codes = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    const known = codes
      .flatMap((a) => codes.flatMap((b) => codes.map((c) => isoScaleOf(of(a + b + c)))))
      .filter((scale) => scale !== undefined)
    assert.isAbove(known.length, 150)
    for (const scale of known) assert.isTrue(scale >= 0 && scale <= scaleMax)
  })

  it("a scale is a whole number from 0 to 8", () => {
    const isScale = Schema.is(Scale)
    assert.deepStrictEqual([-1, 0, 8, 9, 1.5, "2", null].map(isScale), [false, true, true, false, false, false, false])
  })
})
