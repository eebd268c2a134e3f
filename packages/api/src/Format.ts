import { Schema } from "effect"

/** The media type of each format of a document. */
export const mediaTypes = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  csv: "text/csv",
  html: "text/html",
} as const

export type Format = keyof typeof mediaTypes

/** The parameter `format` of a route that offers several. */
export const formatOf = <const Formats extends readonly [Format, ...Array<Format>]>(formats: Formats) =>
  Schema.optionalKey(Schema.Literals(formats)).annotateKey({
    description: `goes before the header Accept; ${formats[0]}, where neither says anything`,
  })
