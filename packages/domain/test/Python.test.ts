import { hasPython, runPython } from "@banquo/testing/Python"
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"

it.skipIf(!hasPython)("a program in Python, written by BYTES.md alone, computes the same vectors", () => {
  const { exitCode, stderr, stdout } = runPython("vectors.py")
  assert.strictEqual(exitCode, 0, stderr)
  // An import of JSON would lose a key named __proto__.
  const vectors = readFileSync(join(import.meta.dirname, "vectors.json"), "utf8")
  assert.deepStrictEqual(JSON.parse(stdout), JSON.parse(vectors))
})
