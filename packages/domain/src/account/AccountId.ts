import { Schema, SchemaTransformation } from "effect"

/** A UUID of any version, in lower case: the one spelling, so that equal accounts are equal strings. */
export const AccountId = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/u, {
    message: "Expected a UUID like 018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f90",
  }),
).pipe(Schema.brand("AccountId"))
export type AccountId = typeof AccountId.Type

/** What callers may send: RFC 9562 wants either case to be read. */
export const AccountIdFromString = Schema.String.annotate({ format: "uuid" }).pipe(
  Schema.decodeTo(
    AccountId,
    SchemaTransformation.transform({ decode: (text: string) => text.toLowerCase(), encode: (id: string) => id }),
  ),
)
