import { assert, describe, it } from "@effect/vitest"
import { readSources, statementsOf } from "../src/ReviewedSources.ts"
import { normalise, objectionTo, patternOf } from "../src/ReviewedStatements.ts"

const review = "// Why: It is safe.\n// Plan: One look.\n"

const matches = (source: string, sent: string): boolean => {
  const [statement] = statementsOf("file.ts", source)
  return patternOf(statement!.parts).test(normalise(sent))
}

describe("the sources", () => {
  it("have no SQL that nobody has reviewed", () => {
    const statements = readSources()
    assert.isAbove(statements.length, 40)
    assert.deepStrictEqual(
      statements.filter(({ review }) => review === undefined).map(({ place }) => place),
      [],
    )
  })

  it("are what is sent, and nothing else is", () => {
    const sent = "SELECT chg_hash FROM balance_change WHERE acct_id = $1::UUID AND acct_seq = $2"
    assert.isUndefined(objectionTo(sent, "postgresql"))
    assert.isUndefined(objectionTo(sent.replaceAll(" ", "\n  "), "cockroachdb"))
    for (const other of [
      `${sent} OR true`,
      sent.replace("acct_seq = $2", "acct_seq = 7"),
      sent.replace("chg_hash", "*"),
      "SELECT * FROM account",
    ]) {
      assert.strictEqual(objectionTo(other, "postgresql"), "has not been reviewed", other)
    }
    assert.strictEqual(
      objectionTo("SELECT pg_logical_emit_message(true, 'banquo', '')::TEXT AS lsn", "cockroachdb"),
      "is for postgresql only",
    )
  })
})

describe("a source", () => {
  it("says its SQL after its review, whatever literals come before", () => {
    const [statement, ...others] = statementsOf(
      "file.ts",
      `const a = "SELECT 0"\n// Why: It is\n// safe.\n// Plan: One look.\n// Only: cockroachdb\nuse<"x">(f("y"), "SELECT 1")`,
    )
    assert.deepStrictEqual(statement, {
      parts: [{ _tag: "Text", text: "SELECT 1" }],
      review: { why: "It is safe.", plan: "One look.", only: "cockroachdb" },
      place: "file.ts:6",
    })
    assert.isEmpty(others)
  })

  it("has values as parameters, and constants as their text", () => {
    const source = `const columns = \`a, b\`\n${review}sql<Row>\`SELECT \${sql.literal(columns)} FROM t WHERE a = \${f({ a: \`}\` })}\``
    assert.isTrue(matches(source, "SELECT a, b FROM t WHERE a = $12"))
    assert.isFalse(matches(source, "SELECT a, b FROM t WHERE a = 12"))
    assert.isFalse(matches(source, "SELECT c FROM t WHERE a = $12"))
  })

  it("has pieces of text that are one of those that it names, or any without a parameter", () => {
    const named = `${review}sql\`SELECT a FROM t ORDER BY a \${sql.literal(up ? "ASC" : "DESC")}\``
    assert.isTrue(matches(named, "SELECT a FROM t ORDER BY a DESC"))
    assert.isFalse(matches(named, "SELECT a FROM t ORDER BY a DESC LIMIT 1"))
    const any = `${review}sql\`SELECT a FROM t WHERE \${sql.literal(condition)} AND b = \${b}\``
    assert.isTrue(matches(any, "SELECT a FROM t WHERE a = b AND b = $1"))
    assert.isFalse(matches(any, "SELECT a FROM t WHERE a = $1 AND b = $2"))
  })

  it("without a review is found, and a review without a plan is refused", () => {
    const [statement] = statementsOf("file.ts", "\nreads<{ a: string }>`SELECT 1`")
    assert.deepInclude(statement, { review: undefined, place: "file.ts:2" })
    assert.throws(() => statementsOf("file.ts", "// Why: It is safe.\nsql`SELECT 1`"), /Why and Plan/)
  })
})
