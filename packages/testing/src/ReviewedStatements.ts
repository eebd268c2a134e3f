/**
 * Every SQL text that may be sent, reviewed for both databases: why it is safe there, and how each plans it. Those of the
 * application stand in its sources, with their review; here is what others send for it. A run of the tests fails when another
 * text is sent; read it by the rules of CockroachDB (`restrictions` below, and `PlanRules.ts`), say so beside it, and it passes.
 *
 * White space, the numbers of savepoints, and how often a part of a UNION is repeated make no difference.
 */
import type { Dialect } from "@banquo/ledger/Dialect"
import { foundation, migrations } from "@banquo/ledger/Migrator"
import { planObjectionTo } from "./PlanRules.ts"
import { type Part, readSources, type Review } from "./ReviewedSources.ts"

interface Statement extends Review {
  readonly sql: string
}

/** What Effect sends around the statements of a transaction. */
const ofTransactions: ReadonlyArray<Statement> = [
  {
    sql: "BEGIN",
    why: "READ COMMITTED on PostgreSQL, where the unique constraints guard; SERIALIZABLE on CockroachDB, by the connection.",
    plan: "No data.",
  },
  {
    sql: "COMMIT",
    why: "Its lost answer is an unknown outcome; ROLLBACK as its answer is an error.",
    plan: "No data; one consensus round on CockroachDB.",
  },
  { sql: "ROLLBACK", why: "Also where there is nothing to roll back any more.", plan: "No data." },
  {
    sql: "SAVEPOINT effect_sql_n",
    why: "Keeps the caller's transaction usable after a conflict.",
    plan: "No data.",
  },
  { sql: "RELEASE SAVEPOINT effect_sql_n", why: "Both can nest them.", plan: "No data." },
  {
    sql: "ROLLBACK TO SAVEPOINT effect_sql_n",
    why: "After 23505. After 40001 CockroachDB refuses it, and the whole transaction is run again.",
    plan: "No data.",
  },
]

/**
 * The schema: each statement stands in its migration, with its reason. Every constraint has a name, or the two databases would
 * give it different ones; types and roles that are there already are 42710.
 */
const ofMigrations: ReadonlyArray<Statement> = [foundation, ...migrations.map(({ steps }) => steps)]
  .flat()
  .flatMap(({ ddl, dialect, unless }): ReadonlyArray<Statement> => {
    const only = dialect === undefined ? {} : { only: dialect }
    const step = { sql: ddl, why: "Without effect when it comes again.", plan: "A transaction of its own.", ...only }
    return unless === undefined
      ? [step]
      : [step, { sql: unless, why: "Both have the catalog.", plan: "The catalog.", ...only }]
  })

/** What tests send themselves by a connection of the application: not reviewed. */
export const fixtures: ReadonlyArray<RegExp> = [
  // A shop with a table of its own, and a proxy that has the server refuse something.
  /\borders\b/,
  /^SELECT '(?:mine|undone)' AS \w+$/,
  /^refused by the proxy$/,
  // Who is connected, and who waits.
  /\bpg_(?:stat_activity|locks|stat_clear_snapshot)\b|\bSHOW CLUSTER SESSIONS\b/,
  /^SELECT current_setting\('application_name'\) AS name$/,
  /^SET LOCAL timezone = /,
  /^BEGIN ISOLATION LEVEL /,
  // Rows that the ledger itself would not write, or not yet.
  /^INSERT INTO account .*'Eve'/,
  /^INSERT INTO balance_change .*'(?:eve|other|operator)'/,
  // A server that has lost rows, and one that refuses some.
  /^DELETE FROM balance_change WHERE acct_id = \$1::UUID AND acct_seq >= \$2$/,
  /^ALTER TABLE balance_change ADD CONSTRAINT poison /,
  /^SELECT unique_rowid\(\) AS id$/,
  // Proofs about all that is stored.
  /^SELECT \(SELECT count\(\*\) FROM /,
  /^SELECT count\(\*\) AS n FROM balance_change WHERE idem_key = \$1$/,
  /^SELECT count\(\*\) AS count FROM account WHERE acct_seq > 0$/,
  /^SELECT acct_seq FROM account WHERE acct_id = \$1::UUID(?: AND acct_seq > 0)?$/,
  /^SELECT DISTINCT (?:xmin|crdb_internal_mvcc_timestamp)::TEXT FROM balance_change WHERE /,
  /^SELECT \(chg_create_time AT TIME ZONE 'UTC'\)::TEXT AS text /,
  /^SELECT .* AS is_linked FROM balance_change b LEFT JOIN /,
  /^SELECT .* FROM balance_change b ORDER BY b\.acct_id, b\.acct_seq$/,
]

/** What CockroachDB cannot parse or do, or does otherwise than it seems. */
export const restrictions: ReadonlyArray<readonly [RegExp, string]> = [
  [/;\s*\S/, "one statement at a time: several are one transaction"],
  [/\bLOCK TABLE\b/i, "cannot be parsed"],
  [/^(?:UN)?LISTEN\b|^NOTIFY\b|\bpg_notify\b/i, "cannot be parsed"],
  [/^MERGE\b/i, "cannot be parsed"],
  [/^DO\b/i, "cannot be parsed before 24.1"],
  [/^COPY\b/i, "needs a protocol of its own"],
  [/\bCREATE TYPE IF NOT EXISTS\b/i, "PostgreSQL cannot parse it"],
  [/\bpg_(?:try_)?advisory/i, "answers without locking, or is not defined"],
  [/\bFOR (?:NO KEY )?(?:UPDATE|SHARE)\b/i, "is no guard under SERIALIZABLE, and needs the right to UPDATE"],
  [/^INSERT INTO balance_change\b.*\bON CONFLICT\b/i, "stores the rest of a chain as orphans"],
  [/\bAS (?:NOT )?(?:MATERIALIZED )?\(\s*(?:INSERT|UPDATE|DELETE|UPSERT)\b/i, "takes away the auto-commit"],
  [/\bREFERENCES balance_change\b/i, "a table that refers to itself loses the auto-commit of its inserts"],
  [/\b(?:sha224|sha256|sha384|sha512|digest)\s*\(/i, "has another type"],
  [/\bTRIGGER\b/i, "is not there before 24.3"],
  [/\bDEFERRABLE\b|\bNULLS NOT DISTINCT\b|\bttl_expir/i, "is absent or different"],
  [/^GRANT [A-Z]+ ?\(/i, "has no grants on columns"],
  [/^CREATE DATABASE\b.*\bTEMPLATE\b/i, "cannot copy a database"],
  [/\bLATERAL \(.*\bLIMIT\b/i, "becomes a join that reads everything, and then limits"],
  [/\(SELECT [^()]* LIMIT 1\).* LIMIT \S+$/i, "becomes a join of all rows, and then limits"],
  [/\bEXISTS \([^()]*\) AS \w+\b/i, "becomes a join that reads everything there is"],
  [/\bORDER BY (?:\w+\.)?(?:bchg_id|chg_create_time) DESC\b/i, "neither ids nor times are an order"],
  [/\bAS OF SYSTEM TIME \$/i, "takes no parameter there"],
]

/** White space, numbers of savepoints and repeated parts of a UNION do not make another statement. */
export const normalise = (sql: string): string => {
  const text = sql
    .trim()
    .replaceAll(/\s+/g, " ")
    .replaceAll("( ", "(")
    .replaceAll(" )", ")")
    .replaceAll(/effect_sql_\d+/g, "effect_sql_n")
  if (!/^\(SELECT .*\)$/.test(text)) return text
  const [first, ...others] = text
    .slice(1, -1)
    .split(") UNION ALL (")
    .map((part) => part.replaceAll(/\$\d+/g, "$n"))
  return others.every((part) => part === first) ? `(${first}) UNION ALL …` : text
}

/** What a statement of a source is sent as. */
export const patternOf = (parts: ReadonlyArray<Part>): RegExp => {
  const pieces: Array<string> = []
  const text = parts.map((part) => {
    if (part._tag === "Text") return part.text
    if (part._tag === "Parameter") return parameter
    pieces.push(pieceOf(part))
    return piece
  })
  const source = escaped(normalise(text.join("")))
    .replaceAll(parameter, String.raw`\$(?:\d+|n)`)
    .replaceAll(piece, () => pieces.shift()!)
  return new RegExp(`^${source}$`)
}

const pieceOf = (part: Exclude<Part, { readonly _tag: "Text" | "Parameter" }>): string => {
  if (part._tag === "Made") return "[^;]+?"
  return part.texts.length === 0 ? "[^$;]+?" : `(?:${part.texts.map(escaped).join("|")})`
}

/** Characters that are in no SQL. */
const [parameter, piece] = ["\uE000", "\uE001"] as const

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)

const ofOthers = new Map([...ofTransactions, ...ofMigrations].map((statement) => [normalise(statement.sql), statement]))

const ofSources = readSources().flatMap(({ parts, review }) =>
  review === undefined ? [] : [{ pattern: patternOf(parts), review }],
)

/** By the text that was sent. */
const known = new Map<string, Review | undefined>()

const reviewOf = (text: string): Review | undefined => {
  if (!known.has(text)) {
    known.set(text, ofOthers.get(text) ?? ofSources.find(({ pattern }) => pattern.test(text))?.review)
  }
  return known.get(text)
}

/** What is to be said against a statement on a database; `undefined` if nothing. */
export const objectionTo = (sql: string, dialect: Dialect): string | undefined => {
  const text = normalise(sql)
  if (fixtures.some((fixture) => fixture.test(text))) return undefined
  const review = reviewOf(text)
  if (review?.only !== undefined && review.only !== dialect) return `is for ${review.only} only`
  const restriction = restrictions.find(([pattern]) => pattern.test(text))?.[1] ?? planObjectionTo(text)
  if (restriction !== undefined && review?.only !== "postgresql") return `on CockroachDB: ${restriction}`
  return review === undefined ? "has not been reviewed" : undefined
}

/** DDL together with anything else in one transaction. */
export const mixed = "a change of the schema needs a transaction of its own"

export const isSchemaChange = (sql: string): boolean => /^\s*(?:CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE)\b/i.test(sql)

/** A text for whoever runs the tests; `undefined` if all that was sent has been reviewed. */
export const complaintAbout = (sent: Iterable<string>, dialect: Dialect): string | undefined => {
  const lines = [...new Set(Array.from(sent, normalise))].flatMap((text) => {
    const objection = objectionTo(text, dialect)
    return objection === undefined ? [] : [`- ${objection}:\n  ${text}`]
  })
  return lines.length === 0
    ? undefined
    : `SQL that is not among the reviewed statements. Look at it with both databases in mind and say so
above it, as ReviewedSources.ts shows (if only a test sends it, among the \`fixtures\` of ReviewedStatements.ts):
${lines.sort().join("\n")}`
}
