/**
 * The SQL of the application, as it stands in its sources, with the review that stands above it:
 *
 *     // Why: rows never change.
 *     // Plan: a range of (acct_id, acct_seq) from its bound on.
 *     // Only: postgresql
 *
 * `Why` it is safe on both databases, how both `Plan` it, and, where it is meant for one of them `Only`, which.
 */
import type { Dialect } from "@banquo/ledger/Dialect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

export interface Review {
  readonly why: string
  readonly plan: string
  /** On this database alone. */
  readonly only?: Dialect
}

/** SQL in a source: its text where it is known, and what is put into it where it is not. */
export interface SourceStatement {
  readonly parts: ReadonlyArray<Part>
  /** `undefined`: nobody has looked at it. */
  readonly review: Review | undefined
  /** File and line. */
  readonly place: string
}

export type Part =
  | { readonly _tag: "Text"; readonly text: string }
  /** A value, sent apart from the text. */
  | { readonly _tag: "Parameter" }
  /** One of these texts; none: any text without a value in it. */
  | { readonly _tag: "Piece"; readonly texts: ReadonlyArray<string> }
  /** Text that is made where the statement is. */
  | { readonly _tag: "Made" }

const packages = join(import.meta.dirname, "..", "..")

/** All statements of the packages that are the application. */
export const readSources = (): ReadonlyArray<SourceStatement> => {
  const files = ["ledger", "server", "cli"].flatMap((name) =>
    readdirSync(join(packages, name, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => ({ place: `${name}/src/${file}`, text: readFileSync(join(packages, name, "src", file), "utf8") })),
  )
  const constants = new Map(files.flatMap(({ text }) => [...constantsOf(text)]))
  return files.flatMap(({ place, text }) => statementsOf(place, text, constants))
}

/** What a source says in SQL: whatever follows a review, and each `` sql`…` ``, reviewed or not. */
export const statementsOf = (
  place: string,
  text: string,
  constants: ReadonlyMap<string, string> = constantsOf(text),
): ReadonlyArray<SourceStatement> => {
  const reviews = new Map<number, Review>()
  for (const { 0: comment, index } of text.matchAll(/^[ \t]*\/\/ Why: .*(?:\n[ \t]*\/\/ .*)*/gm)) {
    reviews.set(sqlAfter(text, index + comment.length), reviewOf(comment, place))
  }
  const tagged = [...text.matchAll(/\b(?:sql|reads)(?:<[^`]*?>)?`/g)].map(({ 0: tag, index }) => index + tag.length - 1)
  return [...new Set([...reviews.keys(), ...tagged])].map((start) => ({
    parts: literalAt(text, start).parts.map((part) => partOf(part, constants, tagged.includes(start))),
    review: reviews.get(start),
    place: `${place}:${text.slice(0, start).split("\n").length}`,
  }))
}

const reviewOf = (comment: string, place: string): Review => {
  const words = comment.replaceAll(/\s*\/\/ /g, " ")
  const [, why = "", plan = "", only] =
    /^ Why: (.+?) Plan: (.+?)(?: Only: (postgresql|cockroachdb))?$/.exec(words) ?? []
  if (why === "" || plan === "") throw new Error(`${place}: a review says Why and Plan:${words}`)
  return { why, plan, ...(only === undefined ? {} : { only: only as Dialect }) }
}

/** Where the next literal begins that is SQL. */
const sqlAfter = (text: string, from: number): number => {
  for (let at = from; at < text.length; at++) {
    if (text[at] !== '"' && text[at] !== "`") continue
    if (/^["`]\s*\(?(?:SELECT|INSERT|UPDATE|DELETE|BEGIN)\b/.test(text.slice(at, at + 80))) return at
    at = literalAt(text, at).end - 1
  }
  throw new Error(`a review without SQL after it: ${text.slice(from - 80, from)}`)
}

type Raw = string | { readonly expression: string }

/** A string or template that begins at a place; templates nest. `end`: the place after it. */
const literalAt = (text: string, start: number): { readonly parts: ReadonlyArray<Raw>; readonly end: number } => {
  const quote = text[start]!
  const parts: Array<Raw> = []
  let from = start + 1
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at += 1
    else if (text[at] === quote) return { parts: [...parts, text.slice(from, at)], end: at + 1 }
    else if (quote === "`" && text.startsWith("${", at)) {
      const end = expressionEnd(text, at + 2)
      parts.push(text.slice(from, at), { expression: text.slice(at + 2, end) })
      from = end + 1
      at = end
    }
  }
  throw new Error("a literal that does not end")
}

/** Where the brace stands that closes an expression. */
const expressionEnd = (text: string, start: number): number => {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    if (text[at] === '"' || text[at] === "`") at = literalAt(text, at).end - 1
    else if (text[at] === "{") depth += 1
    else if (text[at] === "}" && depth-- === 0) return at
  }
  throw new Error("an expression that does not end")
}

/** `const name = "…"`: what columns are called in many statements. */
const constantsOf = (text: string): ReadonlyMap<string, string> => {
  const constants = new Map<string, string>()
  for (const { 0: head, 1: name, index } of text.matchAll(/\bconst (\w+) = (?=[`"])/g)) {
    const { parts } = literalAt(text, index + head.length)
    constants.set(
      name!,
      parts.map((part) => (typeof part === "string" ? part : (constants.get(part.expression) ?? ""))).join(""),
    )
  }
  return constants
}

/** Into a tagged template text is put by `sql.literal`, or by what is given `sql` to do so. */
const partOf = (part: Raw, constants: ReadonlyMap<string, string>, isTagged: boolean): Part => {
  if (typeof part === "string") return { _tag: "Text", text: part }
  const { expression } = part
  const name = /^(?:sql\.literal\()?(\w+)\)?$/.exec(expression)?.[1] ?? ""
  const known = constants.get(name)
  if (known !== undefined) return { _tag: "Text", text: known }
  if (!isTagged) return { _tag: "Made" }
  if (!/\bsql\b/.test(expression)) return { _tag: "Parameter" }
  return { _tag: "Piece", texts: [...expression.matchAll(/"([^"]*)"/g)].map(([, text]) => text!) }
}
