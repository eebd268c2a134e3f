/** Currencies and their number of decimals, by ISO 4217 list one as the package `currency-codes` publishes it. */
import { Schema } from "effect"
import * as Codes from "currency-codes"

const scales: ReadonlyMap<string, number> = new Map(Codes.data.map(({ code, digits }) => [code, digits]))

/** An ISO 4217 alphabetic code, like `"USD"`. */
export const Currency = Schema.String.check(
  Schema.makeFilter((code: string) => scales.has(code) || "Expected an ISO 4217 currency code, like USD"),
).pipe(Schema.brand("Currency"))
export type Currency = typeof Currency.Type

/** Decimals of the currency (its ISO 4217 minor unit exponent): USD 2, JPY 0, BHD 3, CLF 4. */
export const scaleOf = (currency: Currency): number => {
  const scale = scales.get(currency)
  if (scale === undefined) throw new RangeError(`${currency} is not an ISO 4217 currency`)
  return scale
}
