/**
 * What is wrong with a JSON body, found at a cost that its sender does not choose: lengths are judged before elements are
 * looked at, and looking stops at {@link faultsMax} faults.
 *
 * Schemas alone decode all elements of an array before they count them.
 */
import { Schema, SchemaAST, SchemaIssue } from "effect"

/** Most faults that one answer tells of: a body of a megabyte can have a hundred thousand. */
export const faultsMax = 20

/** Larger bodies have their lengths judged before they are decoded. Decoding a smaller one costs 3 ms at most. */
export const uncheckedBytesMax = 16 * 1024

/** Members of an object that are looked at when its faults are told: more than any object of the API has. */
const membersMax = 64

export interface Fault {
  readonly path: ReadonlyArray<PropertyKey>
  readonly message: string
}

/**
 * The first array or map in a body that is longer than its schema allows. Costs a step for each member that has a limit
 * inside, and no more.
 */
export const findTooLong = (ast: SchemaAST.AST, value: unknown): Fault | undefined => {
  if (!hasLimit(ast)) return undefined
  if (SchemaAST.isArrays(ast) && Array.isArray(value)) {
    const max = maxOf(ast, "effect/schema/isMaxLength", "maxLength")
    if (max !== undefined && value.length > max) return { path: [], message: `Expected at most ${max} elements` }
    const [element] = ast.rest
    if (element === undefined || !hasLimit(element)) return undefined
    for (let at = 0; at < value.length; at++) {
      const found = findTooLong(element, value[at])
      if (found !== undefined) return within(at, found)
    }
  }
  if (!SchemaAST.isObjects(ast) || !isObject(value)) return undefined
  const max = maxOf(ast, "effect/schema/isMaxProperties", "maxProperties")
  if (max !== undefined && Object.keys(value).length > max) return { path: [], message: `Expected at most ${max} keys` }
  for (const { name, type } of ast.propertySignatures) {
    const found = findTooLong(type, value[name as string])
    if (found !== undefined) return within(name, found)
  }
  return undefined
}

const within = (key: PropertyKey, { message, path }: Fault): Fault => ({ path: [key, ...path], message })

const limited = new WeakMap<SchemaAST.AST, boolean>()

/** Whether arrays or maps of a limited length are anywhere in a schema. */
const hasLimit = (ast: SchemaAST.AST): boolean => {
  const known =
    limited.get(ast) ??
    (SchemaAST.isArrays(ast)
      ? maxOf(ast, "effect/schema/isMaxLength", "maxLength") !== undefined || ast.rest.some(hasLimit)
      : SchemaAST.isObjects(ast) &&
        (maxOf(ast, "effect/schema/isMaxProperties", "maxProperties") !== undefined ||
          ast.propertySignatures.some(({ type }) => hasLimit(type))))
  limited.set(ast, known)
  return known
}

/** What a check of a node allows at most. */
const maxOf = (ast: SchemaAST.AST, id: string, key: string): number | undefined => {
  for (const check of ast.checks ?? []) {
    const { representation } = (check.annotations ?? {}) as {
      readonly representation?: { readonly id: string; readonly payload: { readonly [key: string]: number } }
    }
    if (representation?.id === id) return representation.payload[key]
  }
  return undefined
}

const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/**
 * The first {@link faultsMax} faults of a body that was refused. Elements of its arrays are decoded one after another, so
 * that a body of nothing but faults costs no more than the first few.
 */
export const findFaults = (ast: SchemaAST.AST, value: unknown): ReadonlyArray<Fault> => {
  const tooLong = findTooLong(ast, value)
  if (tooLong !== undefined) return [tooLong]
  const faults: Array<Fault> = [...faultsOf(ast, withoutElements(value), [])]
  if (!SchemaAST.isObjects(ast) || !isObject(value)) return faults.slice(0, faultsMax)
  for (const { name, type } of ast.propertySignatures) {
    const elements = value[name as string]
    const [element] = SchemaAST.isArrays(type) ? type.rest : []
    if (element === undefined || !Array.isArray(elements)) continue
    for (let at = 0; at < elements.length && faults.length < faultsMax; at++) {
      // The first is still there in what was decoded without the others.
      if (at > 0) faults.push(...faultsOf(element, trimmed(elements[at]), [name, at]))
    }
  }
  return faults.slice(0, faultsMax)
}

const faultsOf = (ast: SchemaAST.AST, value: unknown, at: ReadonlyArray<PropertyKey>): ReadonlyArray<Fault> => {
  const decoded = decoderOf(ast)(value)
  return decoded._tag === "Success"
    ? []
    : format(decoded.failure.issue).issues.map(({ message, path }) => ({
        path: [...at, ...(path ?? []).map((segment) => (typeof segment === "object" ? segment.key : segment))],
        message,
      }))
}

const decoders = new WeakMap<SchemaAST.AST, (value: unknown) => ReturnType<ReturnType<typeof makeDecoder>>>()

const makeDecoder = (ast: SchemaAST.AST) =>
  Schema.decodeUnknownResult(Schema.make<Schema.Codec<unknown, unknown>>(ast), {
    onExcessProperty: "error",
    errors: "all",
  })

const decoderOf = (ast: SchemaAST.AST) => {
  const known = decoders.get(ast) ?? makeDecoder(ast)
  decoders.set(ast, known)
  return known
}

/** A body with no more than one element in each of its arrays. */
const withoutElements = (value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(
        Object.entries(value)
          .slice(0, membersMax)
          .map(([key, member]) => [key, Array.isArray(member) ? member.slice(0, 1).map(trimmed) : trimmed(member)]),
      )
    : value

/** Objects with so many members that their schema refuses them for the first of these already. */
const trimmed = (value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(
        Object.entries(value)
          .slice(0, membersMax)
          .map(([key, member]) => [key, trimmed(member)]),
      )
    : value
