/**
 * Texts that CockroachDB plans badly where PostgreSQL does not: it puts a limit below a join or pushes a parameter of it
 * nowhere, and takes a partial index only where its condition follows from the text.
 */
import { migrations } from "@banquo/ledger/Migrator"

/** What is to be said against a text, whose white space is single spaces; `undefined` if nothing. */
export const planObjectionTo = (text: string): string | undefined => {
  if (/\bLIMIT (?!\d)/i.test(text)) return "a limit that is no number in the text does not get down to the scan"
  const queries = queriesOf(text)
  if (queries.some((query) => /\bLIMIT\b/i.test(query) && joins.test(query))) {
    return "a limit beside a join is applied after it: limit a derived table, and join that"
  }
  for (const part of queries.flatMap((query) => query.split(/ UNION (?:ALL )?/i))) {
    const said = part.replaceAll(/\b[a-z]\w*\.(?=\w)/gi, "")
    for (const [, column] of said.matchAll(/\b(\w+) = ANY ?⟨⟩/gi)) {
      const conditions = conditionsOf.get(column!) ?? []
      if (conditions.length > 0 && !conditions.some((condition) => said.includes(condition))) {
        return `the partial index on ${column} is not used unless its condition is said: ${conditions.join(", or ")}`
      }
    }
  }
  return undefined
}

const joins = /\bJOIN\b|\bFROM (?:(?!\b(?:WHERE|GROUP|ORDER|LIMIT)\b)[^,])*,/i

/** The text, and what stands in each of its parentheses; of what is nested in those, only `⟨⟩`. */
const queriesOf = (text: string): ReadonlyArray<string> => {
  const queries: Array<string> = []
  let rest = text.replaceAll(/'[^']*'/g, "''")
  for (;;) {
    const shorter = rest.replaceAll(/\(([^()]*)\)/g, (_, inner: string) => {
      queries.push(inner)
      return "⟨⟩"
    })
    if (shorter === rest) return [...queries, rest]
    rest = shorter
  }
}

const definitions = migrations
  .flatMap(({ steps }) => steps)
  .map(({ ddl }) => ddl.replaceAll(/\s+/g, " "))
  .filter((ddl) => ddl.startsWith("CREATE"))

/** Columns that every row is found by. */
const ofAll = new Set(
  definitions.flatMap((ddl) => [...ddl.matchAll(/\b(?:PRIMARY KEY|UNIQUE) \((\w+)/g)].map(([, column]) => column!)),
)

/** By the first columns of partial indexes, where no other key begins with them: the conditions of those. */
const conditionsOf: ReadonlyMap<string, ReadonlyArray<string>> = new Map(
  [
    ...Map.groupBy(
      definitions.flatMap((ddl) => {
        const match = /^CREATE (?:UNIQUE )?INDEX .* ON \w+ \((\w+).* WHERE (.+)$/.exec(ddl)
        return match === null ? [] : [{ column: match[1]!, condition: match[2]! }]
      }),
      ({ column }) => column,
    ),
  ].flatMap(([column, indexes]) =>
    ofAll.has(column) ? [] : [[column, [...new Set(indexes.map(({ condition }) => condition))]] as const],
  ),
)
