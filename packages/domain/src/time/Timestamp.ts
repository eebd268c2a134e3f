/** An instant in microseconds since 1970-01-01T00:00:00Z: the resolution of `TIMESTAMPTZ`, which a JS `Date` lacks. */
import { type Brand, Schema, SchemaTransformation } from "effect"

export type Timestamp = bigint & Brand.Brand<"Timestamp">

export const make = (micros: bigint): Timestamp => micros as Timestamp

export const plusSeconds = (timestamp: Timestamp, seconds: number): Timestamp =>
  make(timestamp + BigInt(seconds) * 1_000_000n)

export const fromMillis = (millis: number): Timestamp => make(BigInt(Math.trunc(millis)) * 1000n)

// PostgreSQL has no year 0: it would refuse the statement, and with it what others write by the same one.
const secondsMin = Date.parse("0001-01-01T00:00:00Z") / 1000
const secondsMax = Date.parse("9999-12-31T23:59:59Z") / 1000

/** Whether an instant is in the years 0001 to 9999. */
export const isInRange = (timestamp: Timestamp): boolean =>
  timestamp >= BigInt(secondsMin) * 1_000_000n && timestamp < BigInt(secondsMax + 1) * 1_000_000n

/** The last second that was formatted: times come in runs, and a `Date` costs more than the rest. */
let last = { seconds: 0, text: "1970-01-01T00:00:00" }

/** RFC 3339 in UTC with six decimals, like `2026-11-23T09:30:00.000001Z`. Both databases take it as a `TIMESTAMPTZ`. */
export const format = (timestamp: Timestamp): string => {
  const micros = ((timestamp % 1_000_000n) + 1_000_000n) % 1_000_000n
  const seconds = Number((timestamp - micros) / 1_000_000n)
  if (seconds !== last.seconds) {
    if (seconds < secondsMin || seconds > secondsMax) throw new RangeError("an instant is in the years 0001 to 9999")
    last = { seconds, text: new Date(seconds * 1000).toISOString().slice(0, 19) }
  }
  return `${last.text}.${String(micros).padStart(6, "0")}Z`
}

/** Reads what a database prints for a `TIMESTAMPTZ` in UTC: `2026-11-23 09:30:00.5`, an offset of zero after it or not. */
export const fromDatabase = (text: string): Timestamp => {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:Z|\+00(?::?00)?)?$/.exec(text)
  if (match === null) throw new RangeError("not a TIMESTAMPTZ in UTC")
  const millis = Date.parse(`${match[1]}T${match[2]}Z`)
  return make(BigInt(millis) * 1000n + BigInt((match[3] ?? "").padEnd(6, "0")))
}

/**
 * Reads RFC 3339 to the microsecond, whatever the offset. Nothing is rounded: `undefined` for more than six decimals, for
 * a leap second, which this scale of time does not have, and for what is outside of the years 0001 to 9999 in UTC.
 */
export const parse = (text: string): Timestamp | undefined => {
  const match = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$/.exec(
    text,
  )
  if (match === null) return undefined
  const [, date, clock, fraction = "", sign, hours = "0", minutes = "0"] = match
  const local = Date.parse(`${date}T${clock}Z`)
  // `Date` takes 24:00:00 and, for some months, days that they do not have.
  if (Number.isNaN(local) || !new Date(local).toISOString().startsWith(`${date}T${clock}`)) return undefined
  const offset = (sign === "-" ? -60 : 60) * (60 * Number(hours) + Number(minutes))
  const seconds = local / 1000 - offset
  if (seconds < secondsMin || seconds > secondsMax) return undefined
  return make(BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(6, "0")))
}

/** An instant as callers write it: RFC 3339 with an offset. */
export const TimestampFromString = Schema.String.annotate({
  format: "date-time",
  examples: ["2026-11-23T09:30:00.000001Z"],
})
  .check(
    Schema.makeFilter(
      (text: string) =>
        parse(text) !== undefined ||
        'Expected an instant like "2026-11-23T09:30:00.000001Z": RFC 3339 with "Z" or an offset ("+" is "%2B" in an address) and at most six decimals',
      // Without it, what is said of an instant would not be shown in the OpenAPI document.
      { toJsonSchema: () => ({}) },
    ),
  )
  .pipe(
    Schema.decodeTo(
      Schema.BigInt.pipe(Schema.brand("Timestamp")),
      SchemaTransformation.transform({
        decode: (text: string): bigint => parse(text)!,
        encode: (timestamp: bigint) => format(make(timestamp)),
      }),
    ),
  )
