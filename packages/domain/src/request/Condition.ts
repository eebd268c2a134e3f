/** What a caller requires of an account after a change, so that its own rule is judged with the change or not at all. */
import type { Amount } from "../money/Money.ts"
import * as Money from "../money/Money.ts"

/** `posted`: the balance; `available`: what can be spent then. */
export const conditionSubjects = ["posted", "available"] as const
export type ConditionSubject = (typeof conditionSubjects)[number]

export const comparisons = ["gte", "lte", "gt", "lt", "eq"] as const
export type Comparison = (typeof comparisons)[number]

export interface Condition {
  readonly subject: ConditionSubject
  readonly comparison: Comparison
  readonly amount: Amount
}

/** `value` is what the subject comes to; `null`: without limit, which is more than any amount. */
export const isMet = ({ amount, comparison }: Condition, value: Money.Money | null): boolean => {
  if (value === null) return comparison === "gte" || comparison === "gt"
  const bound = Money.fromAmount(amount)
  switch (comparison) {
    case "gte":
      return value >= bound
    case "lte":
      return value <= bound
    case "gt":
      return value > bound
    case "lt":
      return value < bound
    case "eq":
      return value === bound
  }
}
