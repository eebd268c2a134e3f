import { assert, describe, it } from "@effect/vitest"
import * as Timestamp from "../src/time/Timestamp.ts"
import * as Generated from "./Generated.ts"

const two = (value: number) => String(value).padStart(2, "0")

const runs = { arbitrary: { runs: 150 } }

describe("Timestamp", () => {
  it.each([
    [0n, "1970-01-01T00:00:00.000000Z"],
    [1n, "1970-01-01T00:00:00.000001Z"],
    [-1n, "1969-12-31T23:59:59.999999Z"],
    [-1_000_000n, "1969-12-31T23:59:59.000000Z"],
    [-1_000_001n, "1969-12-31T23:59:58.999999Z"],
    [1_795_426_200_000_001n, "2026-11-23T09:30:00.000001Z"],
    [951_782_400_000_000n, "2000-02-29T00:00:00.000000Z"],
    [-62_135_596_800_000_000n, "0001-01-01T00:00:00.000000Z"],
    [253_402_300_799_999_999n, "9999-12-31T23:59:59.999999Z"],
  ])("%d is %s", (micros, text) => {
    assert.strictEqual(Timestamp.format(Timestamp.make(micros)), text)
    assert.strictEqual(Timestamp.fromDatabase(text), micros)
  })

  it.prop(
    "format keeps every microsecond, as another implementation reads it",
    [Generated.timestamp],
    ([timestamp]) => {
      const text = Timestamp.format(timestamp)
      assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
      assert.strictEqual(Temporal.Instant.from(text).epochNanoseconds, timestamp * 1000n)
      assert.strictEqual(Timestamp.fromDatabase(text), timestamp)
    },
    runs,
  )

  it.prop(
    "the order of the texts is that of the instants",
    [Generated.timestamp, Generated.timestamp],
    ([a, b]) => assert.strictEqual(Timestamp.format(a) < Timestamp.format(b), a < b),
    runs,
  )

  it.prop(
    "reads what the databases print: a space, no trailing zeros, any spelling of no offset",
    [Generated.timestamp, Generated.pick(["+00", "+00:00", "+0000", "Z", ""])],
    ([timestamp, offset]) => {
      const printed = Timestamp.format(timestamp)
        .replace("T", " ")
        .replace(/\.?0*Z$/, "")
      assert.strictEqual(Timestamp.fromDatabase(printed + offset), timestamp, printed)
    },
    runs,
  )

  it.each([
    ["2026-11-23 09:30:00+00", 1_795_426_200_000_000n],
    ["2026-11-23 09:30:00.5+00", 1_795_426_200_500_000n],
    ["2026-11-23 09:30:00.000001+00", 1_795_426_200_000_001n],
    ["2026-11-23 09:30:00.000001+00:00", 1_795_426_200_000_001n],
    ["2026-11-23T09:30:00.000001Z", 1_795_426_200_000_001n],
    ["1969-12-31 23:59:59.999999+00", -1n],
  ])("reads %s", (text, micros) => assert.strictEqual(Timestamp.fromDatabase(text), micros))

  it.each([
    "",
    "infinity",
    "-infinity",
    "2026-11-23",
    "2026-11-23 09:30+00",
    "2026-11-23 09:30:00+01",
    "2026-11-23 09:30:00-05",
    "2026-11-23 09:30:00+00:30",
    "2026-11-23 09:30:00.+00",
    "2026-11-23 09:30:00.0000001+00",
    "2026-13-23 09:30:00+00",
    "2026-11-23 25:30:00+00",
    "0044-03-15 12:00:00+00 BC",
    "12026-11-23 09:30:00+00",
    "1795426200",
    " 2026-11-23 09:30:00+00",
    "2026-11-23 09:30:00+00\n",
  ])("%j is a defect", (text) => assert.throws(() => Timestamp.fromDatabase(text), RangeError))

  it("is made from milliseconds, without their fractions", () => {
    assert.strictEqual(Timestamp.fromMillis(1_795_426_200_123), 1_795_426_200_123_000n)
    assert.strictEqual(Timestamp.fromMillis(1.9), 1000n)
    assert.strictEqual(Timestamp.fromMillis(-1), -1000n)
    assert.throws(() => Timestamp.fromMillis(Number.NaN), RangeError)
  })

  it.each([
    ["2026-11-23T09:30:00Z", 1_795_426_200_000_000n],
    ["2026-11-23t09:30:00z", 1_795_426_200_000_000n],
    ["2026-11-23T09:30:00.5Z", 1_795_426_200_500_000n],
    ["2026-11-23T09:30:00.000001Z", 1_795_426_200_000_001n],
    ["2026-11-23T10:30:00+01:00", 1_795_426_200_000_000n],
    ["2026-11-23T00:00:00-09:30", 1_795_426_200_000_000n],
    ["2026-11-23T09:30:00-00:00", 1_795_426_200_000_000n],
    ["2000-02-29T00:00:00Z", 951_782_400_000_000n],
    ["0001-01-01T00:00:00Z", -62_135_596_800_000_000n],
    ["9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999n],
  ])("callers may write %s", (text, micros) => assert.strictEqual(Timestamp.parse(text), micros))

  it.each([
    "",
    "now",
    "2026-11-23",
    "2026-11-23T09:30:00",
    "2026-11-23T09:30Z",
    "2026-11-23 09:30:00Z",
    "2026-11-23T09:30:00 01:00",
    "2026-11-23T09:30:00+01",
    "2026-11-23T09:30:00+0100",
    "2026-11-23T09:30:00+24:00",
    "2026-11-23T09:30:00+01:60",
    "2026-11-23T09:30:00.Z",
    "2026-11-23T09:30:00.0000000Z",
    "2026-11-23T09:30:00,5Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T09:60:00Z",
    "2016-12-31T23:59:60Z",
    "2026-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "+02026-11-23T09:30:00Z",
    "0000-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00+01:00",
    "0000-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "1795426200",
    " 2026-11-23T09:30:00Z",
    "2026-11-23T09:30:00Z\n",
    "٢٠٢٦-11-23T09:30:00Z",
  ])("callers may not write %j", (text) => assert.isUndefined(Timestamp.parse(text)))

  it.prop(
    "what a caller writes with any offset is what another implementation reads",
    [Generated.timestamp, Generated.int(-1439, 1439)],
    ([timestamp, minutes]) => {
      const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60]
      const local = Timestamp.format(timestamp).replace("Z", `${minutes < 0 ? "-" : "+"}${two(hours)}:${two(rest)}`)
      const known = Temporal.Instant.from(local).epochNanoseconds / 1000n
      const isInside = known >= -62_135_596_800_000_000n && known <= 253_402_300_799_999_999n
      assert.strictEqual(Timestamp.parse(local), isInside ? known : undefined)
    },
    runs,
  )
})
