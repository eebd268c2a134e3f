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

/** Most members of an object whose names its schema lists: more than any object of the API has. */
export const membersMax = 64

export interface Fault {
  readonly path: ReadonlyArray<PropertyKey>
  readonly message: string
}

/**
 * The first array, map or object in a body that has more in it than its schema allows. Goes where the schema goes and no
 * deeper, however deep the body is. Costs a step for each member that the schema knows.
 */
export const findTooLong = (ast: SchemaAST.AST, value: unknown): Fault | undefined => {
  if (SchemaAST.isArrays(ast) && Array.isArray(value)) return findTooLongInArray(ast, value)
  return SchemaAST.isObjects(ast) && isObject(value) ? findTooLongInObject(ast, value) : undefined
}

const findTooLongInArray = (ast: SchemaAST.Arrays, value: ReadonlyArray<unknown>): Fault | undefined => {
  const max = maxOf(ast, "effect/schema/isMaxLength", "maxLength")
  if (max !== undefined && value.length > max) return { path: [], message: `Expected at most ${max} elements` }
  const [element] = ast.rest
  if (element === undefined) return undefined
  for (let at = 0; at < value.length; at++) {
    const found = findTooLong(element, value[at])
    if (found !== undefined) return within(at, found)
  }
  return undefined
}

const findTooLongInObject = (ast: SchemaAST.Objects, value: { readonly [key: string]: unknown }): Fault | undefined => {
  const keys = Object.keys(value)
  const max = maxOf(ast, "effect/schema/isMaxProperties", "maxProperties")
  if (max !== undefined && keys.length > max) return { path: [], message: `Expected at most ${max} keys` }
  if (keys.length > membersMax && ast.indexSignatures.length === 0) {
    const names = new Set(ast.propertySignatures.map(({ name }) => name))
    const unknown = keys.find((key) => !names.has(key))
    if (unknown !== undefined) return { path: [unknown], message: "Expected no excess property" }
  }
  for (const { name, type } of ast.propertySignatures) {
    const found = findTooLong(type, value[name as string])
    if (found !== undefined) return within(name, found)
  }
  return undefined
}

const within = (key: PropertyKey, { message, path }: Fault): Fault => ({ path: [key, ...path], message })

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
      if (at > 0) faults.push(...faultsOf(element, elements[at], [name, at]))
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
        Object.entries(value).map(([key, member]) => [key, Array.isArray(member) ? member.slice(0, 1) : member]),
      )
    : value
