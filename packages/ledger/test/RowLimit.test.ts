import { assert, it } from "@effect/vitest"
import { rowLimit } from "../src/tables/RowLimit.ts"

it("limits are few, never below what is asked for, and never above the most", () => {
  const asked = Array.from({ length: 1_000 }, (_, index) => index + 1)
  const limits = asked.map((count) => rowLimit(1_000, count))
  assert.isTrue(limits.every((limit, index) => limit >= asked[index]! && limit < 2 * asked[index]!))
  assert.deepStrictEqual([...new Set(limits)], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000])
  assert.strictEqual(rowLimit(201, 201), 201)
})
