/**
 * An amount of money: a whole number of ten-thousandths of the currency's main unit, so `12.50` is `125_000n`.
 *
 * One scale for every currency keeps sums exact and matches the column type `DECIMAL(19,4)`. How many of those
 * decimals a currency may use is {@link Currency}'s business, checked once, where an {@link Amount} becomes `Money`.
 */
import { Schema } from "effect"
import type { Brand } from "effect"

/** Scaled by 10 000. Add and subtract with {@link sum} and {@link difference}, which keep the brand. */
export type Money = bigint & Brand.Brand<"Money">

/** Decimals that the ledger stores: the scale of `DECIMAL(19,4)`. No ISO 4217 currency has more than 4. */
export const decimals = 4

const unit = 10n ** BigInt(decimals)

export const make = (scaled: bigint): Money => scaled as Money

export const zero = make(0n)

/** The largest amount and balance, in both directions: ±99 999 999 999 999.9999, which a CHECK of the table repeats. */
export const max = make(10n ** 14n * unit - 1n)

export const sum = (a: Money, b: Money): Money => make(a + b)

export const difference = (a: Money, b: Money): Money => make(a - b)

export const isInRange = (money: Money): boolean => money >= -max && money <= max

/**
 * The one spelling of an amount: an optional minus, no leading zeros, at most 14 digits and 4 decimals. No exponent,
 * plus sign or bare point. A zero carries no sign, so that every amount has one meaning. (This pattern, as those of ids,
 * has the flag u: only then does `Schema.isPattern` show it in the OpenAPI document.)
 */
export const amountPattern = /^(?!-0(?:\.0+)?$)-?(?:0|[1-9]\d{0,13})(?:\.\d{1,4})?$/u

/** A decimal string as a caller writes it, like `"-12.50"`. Which currency it is in, and so its scale, is not known yet. */
export const Amount = Schema.String.check(
  Schema.isPattern(amountPattern, {
    message: 'Expected a decimal string like "-12.50": at most 14 digits and 4 decimals, no exponent, no plus sign',
  }),
).pipe(Schema.brand("Amount"))
export type Amount = typeof Amount.Type

/** An amount that moves something: any {@link Amount} but zero. */
export const NonZeroAmount = Amount.check(
  Schema.makeFilter((amount: Amount) => !/^[0.]+$/.test(amount) || "Expected an amount other than zero"),
)

/** An amount that is zero or more, for limits. */
export const NonNegativeAmount = Amount.check(
  Schema.makeFilter((amount: Amount) => !amount.startsWith("-") || "Expected an amount of zero or more"),
)

/** An amount above zero, where the direction is said otherwise. */
export const PositiveAmount = Amount.check(
  Schema.makeFilter((amount: Amount) => !/^(?:-|[0.]+$)/.test(amount) || "Expected an amount above zero"),
)

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
  const cut = 10n ** BigInt(decimals - scale)
  // Without the amount: what a defect says is logged.
  if (money % cut !== 0n) throw new RangeError(`an amount does not fit ${scale} decimals`)
  const scaled = money / cut
  const digits = (scaled < 0n ? -scaled : scaled).toString().padStart(scale + 1, "0")
  const whole = digits.slice(0, digits.length - scale)
  return `${scaled < 0n ? "-" : ""}${whole}${scale === 0 ? "" : `.${digits.slice(-scale)}`}` as Amount
}

/** As PostgreSQL and CockroachDB print and take a `DECIMAL(19,4)`. */
export const toDecimal = (money: Money): string => format(money, decimals)

/** Reads what {@link toDecimal} wrote. Fails as a defect on anything else: the column cannot hold it. */
export const fromDecimal = (text: string): Money => {
  if (!/^-?\d{1,15}(?:\.\d{1,4})?$/.test(text)) throw new RangeError("not a DECIMAL(19,4)")
  return fromAmount(text as Amount)
}

/** Reads a sum of `DECIMAL(19,4)` as a database prints it: it may have more digits than any one of them. */
export const fromSum = (text: string): Money => {
  const match = /^(-?)(\d+)(?:\.(\d{1,4}))?$/.exec(text)
  if (match === null) throw new RangeError("not a sum of DECIMAL(19,4)")
  return make(BigInt(`${match[1]}${match[2]}${(match[3] ?? "").padEnd(decimals, "0")}`))
}
