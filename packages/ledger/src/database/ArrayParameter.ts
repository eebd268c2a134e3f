import { PgTypes } from "@effect/sql-pg"
import { Result } from "effect"

/** A typed array parameter. Its elements may be null, which the driver cannot tell the type of by itself. */
export const array = (elementOid: number, values: ReadonlyArray<unknown>) =>
  Result.getOrThrow(PgTypes.array(values, elementOid))
