/**
 * What money is counted in, and with how many decimals. An account keeps both from its first row on, so what its amounts mean
 * never depends on a list: ISO 4217 is only asked when an account is opened without a scale.
 */
import { Schema } from "effect"
import * as Codes from "currency-codes"

/** A code: of ISO 4217, or of an asset of the bank's own. Three to twelve capital letters and digits, a letter first. */
export const Currency = Schema.String.check(
  Schema.isPattern(/^[A-Z][A-Z0-9]{2,11}$/u, {
    message: "Expected a currency code like USD: 3 to 12 capital letters and digits, a letter first",
  }),
).pipe(Schema.brand("Currency"))
export type Currency = typeof Currency.Type

/** Most decimals that an asset may have: those that the ledger stores. */
export const scaleMax = 8

/** How many decimals amounts of an account may have: 0 to {@link scaleMax}. */
export const Scale = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: scaleMax }))

/** What an account is in. */
export interface Asset {
  readonly currency: Currency
  readonly scale: number
}

/** Codes of ISO 4217 that stand for no currency: none at all, and tests. */
const meaningless: ReadonlySet<string> = new Set(["XXX", "XTS"])

/** Codes that the package `currency-codes` still lists, but that ISO 4217 has withdrawn. */
const withdrawn: ReadonlySet<string> = new Set(["ANG", "BGN", "CUC"])

/** Codes of ISO 4217 without a minor unit: metals, and units of account. Their holders say how finely they are counted. */
const unscaled: ReadonlySet<string> = new Set("XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XUA".split(" "))

/** Minor units of ISO 4217, with what was added after the package was published. */
const scales: ReadonlyMap<string, number> = new Map([
  ...Codes.data.map(({ code, digits }) => [code, digits] as const),
  ["XCG", 2],
])

/** Whether accounts may be opened in a currency, whatever scale is said. */
export const isOpenable = (currency: Currency): boolean => !meaningless.has(currency) && !withdrawn.has(currency)

/** The decimals of a currency by ISO 4217: USD 2, JPY 0, BHD 3, CLF 4. `undefined`: they have to be said. */
export const isoScaleOf = (currency: Currency): number | undefined =>
  unscaled.has(currency) ? undefined : scales.get(currency)
