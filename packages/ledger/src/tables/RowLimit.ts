/** How many rows a statement gives at most, as text of the statement. */
import type { SqlClient } from "effect/sql"

/**
 * The number that is written behind `LIMIT`. Not a parameter: CockroachDB plans a statement once for all values of those, and
 * then cuts off what it has read instead of reading less. Without `count`, all that `most` allows.
 */
export const limitTo = (sql: SqlClient.SqlClient, most: number, count = most) => sql.literal(`${rowLimit(most, count)}`)

/** Rounded up to a power of two, so that each connection has few texts to prepare; whoever asks cuts off the surplus. */
export const rowLimit = (most: number, count: number): number =>
  Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(count, 1))))
