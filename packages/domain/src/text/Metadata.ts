import { Schema } from "effect"
import { text } from "./Text.ts"

/** Most keys of a map. */
export const keysMax = 50
/** Longest key, in UTF-16 code units. */
export const keyLengthMax = 100
/** Largest map: the UTF-8 bytes of all its keys and values together. */
export const bytesMax = 16 * 1024

const utf8 = new TextEncoder()

/** The caller's own flat map of strings: kept and given back, never interpreted. */
export const Metadata = Schema.Record(Schema.String, text(0, bytesMax)).check(
  Schema.isMaxProperties(keysMax),
  // A check of its own: a record drops the keys that its key schema refuses, and says nothing.
  Schema.isPropertyNames(text(1, keyLengthMax)),
  Schema.makeFilter((map: { readonly [key: string]: string }) => {
    const entries = Object.entries(map)
    const bytes = entries.reduce((total, [key, value]) => total + utf8.encode(key + value).length, 0)
    return bytes <= bytesMax || `Expected at most ${bytesMax} bytes of keys and values`
  }),
)
export type Metadata = typeof Metadata.Type

/** The same map with its keys in ascending order: storage keeps none, and the same request is to be answered alike. */
export const sorted = (map: Metadata): Metadata =>
  Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)))
