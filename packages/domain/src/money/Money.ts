/**
 * An amount of money: a whole number of units of 10^-8 of the asset's main unit, so `12.50` is `1_250_000_000n`.
 *
 * One scale for all assets keeps sums exact and matches the column type `DECIMAL(30,8)`. How many of those decimals an account
 * may use is its own scale, which is judged once, where an {@link Amount} becomes `Money`.
 */
import { Schema } from "effect"
import type { Brand } from "effect"

/** Scaled by 10^8. Add and subtract with {@link sum} and {@link difference}, which keep the brand. */
export type Money = bigint & Brand.Brand<"Money">

/** Decimals that the ledger stores: the scale of `DECIMAL(30,8)`. */
export const decimals = 8

const unit = 10n ** BigInt(decimals)

export const make = (scaled: bigint): Money => scaled as Money

export const zero = make(0n)

/** The largest amount and balance, in both directions: below 10^20, which CHECKs of the table repeat. */
export const max = make(10n ** 20n * unit - 1n)

export const sum = (a: Money, b: Money): Money => make(a + b)

export const difference = (a: Money, b: Money): Money => make(a - b)

export const isInRange = (money: Money): boolean => money >= -max && money <= max

/**
 * The one spelling of an amount: an optional minus, no leading zeros, at most 20 digits and 8 decimals. No exponent,
 * plus sign or bare point. A zero carries no sign, so that every amount has one meaning. (This pattern, as those of ids,
 * has the flag u: only then does `Schema.isPattern` show it in the OpenAPI document.)
 */
export const amountPattern = /^(?!-0(?:\.0+)?$)-?(?:0|[1-9]\d{0,19})(?:\.\d{1,8})?$/u

/** A decimal string as a caller writes it, like `"-12.50"`. Which currency it is in, and so its scale, is not known yet. */
export const Amount = Schema.String.check(
  Schema.isPattern(amountPattern, {
    message: 'Expected a decimal string like "-12.50": at most 20 digits and 8 decimals, no exponent, no plus sign',
  }),
).pipe(Schema.brand("Amount"))
export type Amount = typeof Amount.Type

/** An amount that moves something: any {@link Amount} but zero. */
export const NonZeroAmount = Amount.check(
  Schema.makeFilter((amount: Amount) => !/^[0.]+$/.test(amount) || "Expected an amount other than zero"),
).pipe(Schema.brand("NonZeroAmount"))
export type NonZeroAmount = typeof NonZeroAmount.Type

/** An amount that is zero or more, for limits. */
export const NonNegativeAmount = Amount.check(
  Schema.makeFilter((amount: Amount) => !amount.startsWith("-") || "Expected an amount of zero or more"),
).pipe(Schema.brand("NonNegativeAmount"))
export type NonNegativeAmount = typeof NonNegativeAmount.Type

/** An amount above zero, where the direction is said otherwise. */
export const PositiveAmount = Amount.check(
  Schema.makeFilter((amount: Amount) => !/^(?:-|[0.]+$)/.test(amount) || "Expected an amount above zero"),
).pipe(Schema.brand("NonZeroAmount"), Schema.brand("NonNegativeAmount"), Schema.brand("PositiveAmount"))
export type PositiveAmount = typeof PositiveAmount.Type

/** By scale, how many units of Money its smallest amount is. */
const unitsOfScale = Array.from({ length: decimals + 1 }, (_, scale) => 10n ** BigInt(decimals - scale))

/** Whether an amount needs no more than so many decimals. */
export const fits = (money: Money, scale: number): boolean => money === 0n || 0n === money % unitsOfScale[scale]!

/** How many decimals the caller wrote: `"1.50"` has two. */
export const decimalsOf = (amount: Amount): number => {
  const point = amount.indexOf(".")
  return point < 0 ? 0 : amount.length - point - 1
}

/** The exact value of an amount. Total: whatever fits {@link Amount} fits {@link Money}. */
export const fromAmount = (amount: Amount): Money => {
  const point = amount.indexOf(".")
  return make(
    point < 0 ? BigInt(amount) * unit : BigInt(amount.slice(0, point) + amount.slice(point + 1).padEnd(decimals, "0")),
  )
}

/** A decimal string with exactly `scale` decimals. `money` must not need more; {@link format} asserts it. */
export const format = (money: Money, scale: number): Amount => {
  const cut = unitsOfScale[scale]!
  // Without the amount: what a defect says is logged.
  if (money % cut !== 0n) throw new RangeError(`an amount does not fit ${scale} decimals`)
  const scaled = money / cut
  const digits = (scaled < 0n ? -scaled : scaled).toString().padStart(scale + 1, "0")
  const whole = digits.slice(0, digits.length - scale)
  return `${scaled < 0n ? "-" : ""}${whole}${scale === 0 ? "" : `.${digits.slice(-scale)}`}` as Amount
}

/** As PostgreSQL and CockroachDB take a `DECIMAL(30,8)`. */
export const toDecimal = (money: Money): string => format(money, decimals)

/**
 * Reads a `DECIMAL(30,8)`, or a sum of some, as a database prints it. CockroachDB prints small ones in E notation: zero as
 * `0E-8`. Fails as a defect on anything else: the column cannot hold it.
 */
export const fromDecimal = (text: string): Money => {
  const point = text.length - decimals - 1
  // What PostgreSQL prints, which is nearly all there is: the digits without the point.
  if (text.charCodeAt(point) === 46 && !text.includes("E"))
    return make(BigInt(text.slice(0, point) + text.slice(point + 1)))
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:E([+-]?\d{1,3}))?$/.exec(text)
  if (match === null) throw new RangeError("not a DECIMAL(30,8)")
  const [, sign, whole, fraction = "", exponent = "0"] = match
  const shift = decimals - fraction.length + Number(exponent)
  const digits = BigInt(`${whole}${fraction}`)
  const cut = 10n ** BigInt(Math.abs(shift))
  if (shift < 0 && digits % cut !== 0n) throw new RangeError("more decimals than a DECIMAL(30,8) has")
  const scaled = shift < 0 ? digits / cut : digits * cut
  return make(sign === "-" ? -scaled : scaled)
}
