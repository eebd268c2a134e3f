import { assert, it } from "@effect/vitest"
import * as Chart from "../src/Chart.ts"
import * as Table from "../src/Table.ts"

it("draws each line with its points, and escapes what it is given", () => {
  const svg = Chart.lines({
    title: `a < b & "c"`,
    x: "clients",
    y: "changes/s",
    lines: [
      { name: "one", points: [1, 8, 64].map((x) => ({ x, y: x * 10 })) },
      { name: "two", points: [1, 8].map((x) => ({ x, y: x })) },
    ],
  })
  assert.include(svg, "a &lt; b &amp; &quot;c&quot;")
  assert.strictEqual(svg.match(/<polyline/g)?.length, 2)
  // A circle for each point, and one beside each name.
  assert.strictEqual(svg.match(/<circle/g)?.length, 7)
  assert.notInclude(svg, "NaN")
})

it("draws bars as long as their values", () => {
  const svg = Chart.bars({
    title: "bars",
    unit: "changes/s",
    bars: [
      { name: "one", value: 1000, isOwn: true },
      { name: "two", value: 500, isOwn: false },
    ],
  })
  const [first, second] = [...svg.matchAll(/<rect x="190"[^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width))
  assert.approximately(first! / second!, 2, 0.01)
  assert.include(svg, "1 000 changes/s")
})

it("writes tables that are Markdown as they are", () => {
  const table = Table.render(
    [
      { name: "what", isText: true, cell: ({ what }: { what: string; count: number }) => what },
      { name: "count", cell: ({ count }) => Table.integer(count) },
    ],
    [
      { what: "one", count: 1 },
      { what: "a million", count: 1_000_000 },
    ],
  )
  assert.deepStrictEqual(table.split("\n"), [
    "| what      |     count |",
    "| --------- | --------: |",
    "| one       |         1 |",
    "| a million | 1 000 000 |",
  ])
})
