import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Schema } from "effect"
import * as Money from "../src/money/Money.ts"
import * as Generated from "./Generated.ts"

const isAmount = Schema.is(Money.Amount)
const isNonZeroAmount = Schema.is(Money.NonZeroAmount)
const isNonNegativeAmount = Schema.is(Money.NonNegativeAmount)
const amount = (text: string) => Money.Amount.make(text)

const largest = "99999999999999999999.99999999"
const runs = { arbitrary: { runs: 150 } }

/** The value of a decimal string by another implementation. */
const valueOf = (text: string) => BigDecimal.fromStringUnsafe(text)
const valueOfMoney = (money: bigint) => BigDecimal.make(money, Money.decimals)
const assertEqualValue = (a: BigDecimal.BigDecimal, b: BigDecimal.BigDecimal) =>
  assert.isTrue(BigDecimal.equals(a, b), `${BigDecimal.format(a)} and ${BigDecimal.format(b)} differ`)

/** Money that fits the decimals of a currency. */
const moneyOfScale = (scale: number) => {
  const cut = 10n ** BigInt(Money.decimals - scale)
  return (money: Money.Money) => Money.make((money / cut) * cut)
}

describe("Amount", () => {
  it.each([
    "0",
    "0.0",
    "0.00000000",
    "1",
    "-1",
    "10",
    "0.5",
    "-0.5",
    "-0.00000001",
    "12.50",
    "-12.5",
    largest,
    `-${largest}`,
  ])("takes %j", (text) => assert.isTrue(isAmount(text)))

  it.each([
    "1e3",
    "1E3",
    "+5",
    ".5",
    "-.5",
    "5.",
    "-",
    ".",
    "-0",
    "-0.0",
    "-0.00",
    "-0.00000000",
    "--1",
    "NaN",
    "Infinity",
    "-Infinity",
    "123456789012345678901",
    "100000000000000000000",
    "-100000000000000000000",
    "1.000000000",
    "0.123456789",
    "01",
    "-01",
    "00",
    "00.5",
    "",
    " ",
    " 1",
    "1 ",
    "1 000",
    "1\n",
    "\u00a01",
    "1\u200b",
    "\uff11\uff12",
    "\u0661",
    "\u22121",
    "1,5",
    "1,000.00",
    "1_000",
    "1.2.3",
    "0x10",
    "1n",
    "$1",
    "null",
  ])("refuses %j", (text) => assert.isFalse(isAmount(text)))

  it.each([5, 5n, null, undefined, true, ["5"], { amount: "5" }])("refuses what is no text: %s", (value) =>
    assert.isFalse(isAmount(value)),
  )

  it.prop("takes whatever is generated", [Generated.amount], ([text]) => assert.isTrue(isAmount(text)), runs)

  it.prop(
    "zero is refused where something has to move, a minus where a limit is meant",
    [Generated.amount],
    ([text]) => {
      const value = BigDecimal.sign(valueOf(text))
      assert.strictEqual(isNonZeroAmount(text), value !== 0)
      assert.strictEqual(isNonNegativeAmount(text), value >= 0)
    },
    runs,
  )

  it.each(["0", "0.0", "0.00", "0.0000"])("%j is no amount that moves something, but is a limit", (text) => {
    assert.isFalse(isNonZeroAmount(text))
    assert.isTrue(isNonNegativeAmount(text))
  })

  it.each(["0.0001", "-0.0001", "10", "100.00", largest])("%j moves something", (text) =>
    assert.isTrue(isNonZeroAmount(text)),
  )

  it("counts the decimals as they are written", () => {
    for (const [text, decimals] of [
      ["1", 0],
      ["-10", 0],
      ["1.0", 1],
      ["1.50", 2],
      ["-0.001", 3],
      ["0.0000", 4],
    ] as const) {
      assert.strictEqual(Money.decimalsOf(amount(text)), decimals, text)
    }
  })
})

describe("fromAmount and format", () => {
  it("are exact at both ends", () => {
    assert.strictEqual(Money.fromAmount(amount(largest)), 10n ** 28n - 1n)
    assert.strictEqual(Money.fromAmount(amount(largest)), Money.max)
    assert.strictEqual(Money.fromAmount(amount(`-${largest}`)), -Money.max)
    assert.strictEqual(Money.format(Money.max, 8), largest)
    assert.strictEqual(Money.format(Money.make(-Money.max), 8), `-${largest}`)
    assert.isTrue(Money.isInRange(Money.max))
    assert.isTrue(Money.isInRange(Money.make(-Money.max)))
    assert.isFalse(Money.isInRange(Money.make(Money.max + 1n)))
    assert.isFalse(Money.isInRange(Money.make(-Money.max - 1n)))
  })

  it("have these values", () => {
    for (const [text, scale, scaled] of [
      ["0", 0, 0n],
      ["0.00", 2, 0n],
      ["12.50", 2, 1_250_000_000n],
      ["-12.50", 2, -1_250_000_000n],
      ["-0.50", 2, -50_000_000n],
      ["0.0001", 4, 10_000n],
      ["0.00000001", 8, 1n],
      ["-0.00000001", 8, -1n],
      ["0.005", 3, 500_000n],
      ["7", 0, 700_000_000n],
    ] as const) {
      assert.strictEqual(Money.fromAmount(amount(text)), Money.make(scaled), text)
      assert.strictEqual(Money.format(Money.make(scaled), scale), amount(text))
    }
  })

  it.prop(
    "fromAmount has the value of the text",
    [Generated.amount],
    ([text]) => {
      assertEqualValue(valueOfMoney(Money.fromAmount(text)), valueOf(text))
      assert.isTrue(Money.isInRange(Money.fromAmount(text)))
    },
    runs,
  )

  it.prop(
    "format gives the value back, with as many decimals as asked for",
    [Generated.amount],
    ([text]) => {
      const formatted = Money.format(Money.fromAmount(text), Money.decimals)
      assertEqualValue(valueOf(formatted), valueOf(text))
      assert.strictEqual(Money.decimalsOf(formatted), Money.decimals)
      const decimals = Money.decimalsOf(text)
      assert.strictEqual(Money.format(Money.fromAmount(text), decimals), text)
    },
    runs,
  )

  it.prop(
    "fromAmount undoes format at every scale, and format writes amounts only",
    [Generated.money, Generated.int(0, 4)],
    ([any, scale]) => {
      const money = moneyOfScale(scale)(any)
      const text = Money.format(money, scale)
      assert.isTrue(isAmount(text), text)
      assert.strictEqual(Money.decimalsOf(text), scale)
      assert.strictEqual(Money.fromAmount(text), money)
    },
    runs,
  )

  it.prop(
    "format never rounds",
    [Generated.money, Generated.int(0, 3)],
    ([money, scale]) => {
      if (moneyOfScale(scale)(money) === money) assert.strictEqual(Money.fromAmount(Money.format(money, scale)), money)
      else assert.throws(() => Money.format(money, scale), RangeError)
    },
    runs,
  )
})

describe("sum and difference", () => {
  const three = [Generated.money, Generated.money, Generated.money] as const

  it.prop(
    "are those of a commutative group",
    [...three],
    ([a, b, c]) => {
      assert.strictEqual(Money.sum(a, b), Money.sum(b, a))
      assert.strictEqual(Money.sum(Money.sum(a, b), c), Money.sum(a, Money.sum(b, c)))
      assert.strictEqual(Money.sum(a, Money.zero), a)
      assert.strictEqual(Money.difference(a, a), Money.zero)
      assert.strictEqual(Money.difference(Money.sum(a, b), b), a)
      assert.strictEqual(Money.sum(a, Money.difference(Money.zero, b)), Money.difference(a, b))
    },
    runs,
  )

  it.prop(
    "agree with the sum and difference of the texts",
    [Generated.amount, Generated.amount],
    ([a, b]) => {
      const [x, y] = [Money.fromAmount(a), Money.fromAmount(b)]
      assertEqualValue(valueOfMoney(Money.sum(x, y)), BigDecimal.sum(valueOf(a), valueOf(b)))
      assertEqualValue(valueOfMoney(Money.difference(x, y)), BigDecimal.subtract(valueOf(a), valueOf(b)))
    },
    runs,
  )
})

describe("toDecimal and fromDecimal", () => {
  it.prop(
    "undo each other",
    [Generated.money],
    ([money]) => {
      const text = Money.toDecimal(money)
      assert.match(text, /^-?\d{1,20}\.\d{8}$/)
      assert.strictEqual(Money.fromDecimal(text), money)
    },
    runs,
  )

  it("read what the databases print, CockroachDB in E notation too", () => {
    for (const [text, scaled] of [
      ["0.00000000", 0n],
      ["0", 0n],
      ["0E-8", 0n],
      ["-0.00000000", 0n],
      ["12.50000000", 1_250_000_000n],
      ["12.5", 1_250_000_000n],
      ["-0.01000000", -1_000_000n],
      ["1E-8", 1n],
      ["-1.5E-7", -15n],
      ["1.50E-7", 15n],
      ["1E+3", 100_000_000_000n],
      ["99999999999999999999.99999999", Money.max],
      ["-99999999999999999999.99999999", -Money.max],
      ["199999999999999999999.99000000", 19_999_999_999_999_999_999_999_000_000n],
    ] as const) {
      assert.strictEqual(Money.fromDecimal(text), scaled, text)
    }
  })

  it.prop(
    "read sums of any size, exactly, with or without zeros at their end",
    [Generated.bigint(-(10n ** 40n), 10n ** 40n)],
    ([scaled]) => {
      const text = Money.toDecimal(Money.make(scaled))
      assert.strictEqual(Money.fromDecimal(text), scaled)
      assert.strictEqual(Money.fromDecimal(text.replace(/\.?0*$/, "")), scaled)
    },
    runs,
  )

  it.each([
    "NaN",
    "Infinity",
    "-Infinity",
    "",
    " 1",
    "1 ",
    "+1",
    "1e3",
    "1.",
    ".5",
    "1.000000001",
    "1E-9",
    "1,5",
    "\uff11",
  ])("%j is a defect", (text) => assert.throws(() => Money.fromDecimal(text), RangeError))
})

const moves = (amount: Money.NonZeroAmount) => amount.length > 0
const limits = (amount: Money.NonNegativeAmount) => amount.length > 0

it("types tell amounts apart: zero where it is not allowed does not compile", () => {
  // @ts-expect-error -- any amount may be zero
  assert.isTrue(moves(amount("1")))
  // @ts-expect-error -- zero moves nothing
  assert.isTrue(moves(Money.NonNegativeAmount.make("0")))
  // @ts-expect-error -- what moves something may go down
  assert.isTrue(limits(Money.NonZeroAmount.make("-1")))
  const positive = Money.PositiveAmount.make("1")
  assert.isTrue(moves(positive) && limits(positive))
})
