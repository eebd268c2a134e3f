import { text } from "../text/Text.ts"

/** Longest customer name, in UTF-16 code units. */
export const nameLengthMax = 200
export const CustomerName = text(1, nameLengthMax)

/** Longest customer address, in UTF-16 code units. */
export const addressLengthMax = 500
export const CustomerAddress = text(0, addressLengthMax)

/** Longest id of an owner, in UTF-16 code units. */
export const ownerLengthMax = 128
export const Owner = text(1, ownerLengthMax)
