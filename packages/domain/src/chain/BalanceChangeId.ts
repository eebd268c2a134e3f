import { Schema, SchemaTransformation } from "effect"

const max = 2n ** 63n - 1n

/** Identifies a row of `balance_change`; positive `INT8`. Unique, but never an order: that is the sequence of the account. */
export const BalanceChangeId = Schema.BigInt.check(
  Schema.makeFilter((id: bigint) => (id > 0n && id <= max) || "Expected a positive 64-bit integer"),
).pipe(Schema.brand("BalanceChangeId"))
export type BalanceChangeId = typeof BalanceChangeId.Type

/** The id as callers see it: a decimal string, since JSON numbers lose digits above 2^53. */
export const BalanceChangeIdFromString = Schema.String.check(
  Schema.isPattern(/^[1-9]\d{0,18}$/u, { message: 'Expected an id like "42": a decimal string' }),
).pipe(
  Schema.decodeTo(
    BalanceChangeId,
    SchemaTransformation.transform({ decode: (text: string) => BigInt(text), encode: (id: bigint) => String(id) }),
  ),
)

/** Names a transaction: the {@link BalanceChangeId} of its first row. */
export type TransactionId = BalanceChangeId
