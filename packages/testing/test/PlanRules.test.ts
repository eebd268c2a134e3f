import { assert, describe, it } from "@effect/vitest"
import { planObjectionTo } from "../src/PlanRules.ts"
import { readSources } from "../src/ReviewedSources.ts"
import { normalise, objectionTo } from "../src/ReviewedStatements.ts"

const bad: ReadonlyArray<readonly [sql: string, why: RegExp]> = [
  ["SELECT a FROM t ORDER BY a LIMIT $1", /no number/],
  ["SELECT a FROM t ORDER BY a LIMIT ($1 + 1)", /no number/],
  ["(SELECT a FROM t LIMIT $n) UNION ALL …", /no number/],
  ["SELECT t.a FROM t JOIN u ON u.a = t.a ORDER BY t.a LIMIT 10", /beside a join/],
  ["SELECT t.a FROM t, u WHERE u.a = t.a LIMIT 10", /beside a join/],
  ["SELECT t.a FROM f(1, 2) t, u LIMIT 10", /beside a join/],
  ["SELECT p.a FROM (SELECT t.a FROM t LEFT JOIN u ON u.a = t.a LIMIT 10) p", /beside a join/],
  ["SELECT p.a FROM (SELECT a FROM t LIMIT 10) p JOIN u ON u.a = p.a LIMIT 10", /beside a join/],
  ["SELECT max(f(p.a)) FROM (SELECT g(t.a) AS a FROM t JOIN u ON (u.a = h(t.a)) LIMIT 10) p", /beside a join/],
  ["SELECT bchg_id FROM balance_change WHERE reverses_xact_id = ANY($1::INT8[])", /reverses_xact_id IS NOT NULL/],
  ["SELECT b.bchg_id FROM balance_change b WHERE b.idem_key = ANY($1::BYTEA[])", /idem_key IS NOT NULL/],
  ["SELECT bchg_id FROM balance_change WHERE hold_id = ANY($1) AND idem_key IS NOT NULL", /hold_id IS NOT NULL/],
  ["SELECT bchg_id FROM balance_change WHERE xact_id = ANY($1::INT8[])", /xact_rows > 1/],
  // Said in another query than where it is needed.
  [
    "SELECT 1 FROM b WHERE xact_rows > 1 UNION ALL SELECT 1 FROM b WHERE xact_id = ANY($1) AND a NOT IN (SELECT 1 WHERE xact_rows > 1)",
    /xact_rows > 1/,
  ],
]

const good: ReadonlyArray<string> = [
  "SELECT a, b FROM t ORDER BY a, b LIMIT 10",
  "SELECT a, 'JOIN (LIMIT' AS b FROM t WHERE c = f(1, 2) ORDER BY a, b LIMIT 10",
  "SELECT p.a FROM (SELECT a FROM t ORDER BY a LIMIT 10) p JOIN u ON u.a = p.a ORDER BY p.a",
  "SELECT p.a FROM (SELECT a, b FROM t WHERE (a, b) > ($1, $2) ORDER BY a, b LIMIT 10) p ORDER BY p.a, p.b",
  "SELECT a, (SELECT max(x.a) FROM u x) AS newest FROM t LIMIT 10",
  "SELECT bchg_id FROM balance_change WHERE reverses_xact_id = ANY($1::INT8[]) AND reverses_xact_id IS NOT NULL",
  "SELECT 1 FROM balance_change b WHERE b.xact_id = ANY($1::INT8[]) AND b.xact_rows > 1",
  // Found by keys of all rows, or by what equals one value, which is not NULL.
  "SELECT 1 FROM balance_change WHERE bchg_id = ANY($1::INT8[]) UNION ALL SELECT 1 FROM balance_change WHERE acct_id = ANY($1)",
  "SELECT xact_id FROM balance_change WHERE idem_key = $1",
]

describe("plans of CockroachDB", () => {
  for (const [sql, why] of bad) {
    it(`are bad: ${sql}`, () => {
      assert.match(planObjectionTo(sql) ?? "", why)
      assert.match(objectionTo(sql, "postgresql") ?? "", why)
      assert.match(objectionTo(sql, "cockroachdb") ?? "", why)
    })
  }

  for (const sql of good) {
    it(`are good: ${sql}`, () => assert.isUndefined(planObjectionTo(sql)))
  }

  it("are good for every text of the sources", () => {
    const objections = readSources().flatMap(({ parts, place, review }) => {
      const text = parts.map((part) =>
        part._tag === "Text"
          ? part.text
          : part._tag === "Parameter"
            ? "$1"
            : part._tag === "Piece"
              ? part.texts[0]
              : "",
      )
      // What an unknown text stands for is not known; behind a limit it is a number, which a run sees.
      const objection = planObjectionTo(normalise(text.map((piece) => piece ?? "1").join("")))
      return objection === undefined || review?.only === "postgresql" ? [] : [`${place}: ${objection}`]
    })
    assert.deepStrictEqual(objections, [])
  })
})
