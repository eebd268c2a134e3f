import { Schema } from "effect"

/**
 * PostgreSQL stores no NUL, and UTF-8 has no lone surrogates: both would be changed or refused further down. U+FFFD is what
 * bytes that are no UTF-8 were turned into on the way: what the caller wrote is lost already.
 */
const isStorable = Schema.makeFilter(
  (text: string) =>
    (!/[\0\uFFFD]/.test(text) && text.isWellFormed()) ||
    "Expected text without NUL, lone surrogates and replacement characters",
)

/** Text that callers send and the ledger keeps as it is; its length is counted in UTF-16 code units. */
export const text = (lengthMin: number, lengthMax: number) =>
  Schema.String.check(Schema.isMinLength(lengthMin), Schema.isMaxLength(lengthMax), isStorable)

/** Longest description of a transaction, in UTF-16 code units. */
export const descriptionLengthMax = 1000
export const Description = text(0, descriptionLengthMax)
