import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import * as Csv from "../src/report/Csv.ts"
import * as Generated from "./Generated.ts"

const runs = { arbitrary: { runs: 300 } }

/** Another implementation: RFC 4180, read as its grammar says. */
const parse = (text: string): ReadonlyArray<ReadonlyArray<string>> => {
  const records: Array<Array<string>> = []
  let rest = text
  while (rest !== "") {
    const cells: Array<string> = []
    for (;;) {
      const [whole, quoted, plain] = /^(?:"((?:[^"]|"")*)"|([^",\r\n]*))/.exec(rest)!
      cells.push(quoted?.replaceAll('""', '"') ?? plain!)
      rest = rest.slice(whole.length)
      if (rest.startsWith("\r\n")) break
      assert.isTrue(rest.startsWith(","), rest)
      rest = rest.slice(1)
    }
    records.push(cells)
    rest = rest.slice(2)
  }
  return records
}

/** Text with many of the signs that CSV and spreadsheets are touchy about. */
const touchy = Arbitrary.array(
  Generated.pick([..."=+-@'\",;\r\n\t a0é＝＋－＠", "\u{1f511}", "\u0001", "\u202e"] as const),
  { maxLength: 8 },
).pipe(Arbitrary.map((signs) => signs.join("")))

describe("Csv", () => {
  it.prop(
    "cells are read as they were",
    [Arbitrary.array(Generated.anyOf(touchy, Generated.words), { minLength: 1, maxLength: 5 })],
    ([cells]) => {
      const other = ["x", ...cells]
      assert.deepStrictEqual(parse(Csv.record(cells) + Csv.record(other)), [cells, other])
    },
    runs,
  )

  it("an empty cell is nothing between commas", () => assert.strictEqual(Csv.record(["a", null, ""]), "a,,\r\n"))

  it.each([
    ["plain", "plain\r\n"],
    ["a,b", '"a,b"\r\n'],
    ['say "hi"', '"say ""hi"""\r\n'],
    ["two\nlines", '"two\nlines"\r\n'],
    ["\r", '"\r"\r\n'],
    [" kept ", '" kept "\r\n'],
    ["-4.50", "-4.50\r\n"],
  ])("%j", (cell, record) => assert.strictEqual(Csv.record([cell]), record))

  it.each(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠A", "'quoted"])(
    "%j is kept from being a formula",
    (value) => assert.strictEqual(Csv.text(value), `'${value}`),
  )

  it.each(["", "tea", "1-1", "a=b", "it's", " =1"])("%j is left as it is", (value) =>
    assert.strictEqual(Csv.text(value), value),
  )

  it.prop(
    "text is never a formula, and all of it is there without the first apostrophe",
    [touchy],
    ([value]) => {
      const cell = Csv.text(value)
      assert.notMatch(cell, /^[=+\-@\t\r\n＝＋－＠]/)
      assert.strictEqual(cell.startsWith("'") ? cell.slice(1) : cell, value)
    },
    runs,
  )
})
