import { Schema } from "effect"

/** What the OpenAPI document says of a value that is decoded: it shows the value as it is sent. */
export const described =
  (description: string) =>
  <S extends Schema.Top>(schema: S): S["Rebuild"] =>
    Schema.annotateEncoded<S>({ description })(schema)
