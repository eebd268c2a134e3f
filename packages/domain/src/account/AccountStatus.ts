/** What may be done with an account. */

export const accountStatuses = ["open", "debits_frozen", "credits_frozen", "frozen", "closed"] as const
export type AccountStatus = (typeof accountStatuses)[number]

export const allowsDebits = (status: AccountStatus): boolean => status === "open" || status === "credits_frozen"

export const allowsCredits = (status: AccountStatus): boolean => status === "open" || status === "debits_frozen"
