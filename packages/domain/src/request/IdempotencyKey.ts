import { Schema } from "effect"

/** A caller's name for one write: 1 to 255 visible ASCII characters, so that it travels in a header unchanged. */
export const IdempotencyKey = Schema.String.check(
  Schema.isPattern(/^[\x21-\x7e]{1,255}$/u, {
    message: "Expected an idempotency key: 1 to 255 visible ASCII characters",
  }),
).pipe(Schema.brand("IdempotencyKey"))
export type IdempotencyKey = typeof IdempotencyKey.Type
