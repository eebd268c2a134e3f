import { Schema } from "effect"

/** Who asks for a change: the id of a principal. Visible ASCII without spaces, at most 128 characters. */
export const Actor = Schema.String.check(
  Schema.isPattern(/^[\x21-\x7e]{1,128}$/, { message: "Expected a principal id: 1 to 128 visible ASCII characters" }),
).pipe(Schema.brand("Actor"))
export type Actor = typeof Actor.Type
