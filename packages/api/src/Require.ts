import { comparisons, type Condition, conditionSubjects } from "@banquo/domain/Condition"
import { Amount } from "@banquo/domain/Money"
import { Schema } from "effect"

const isNotEmpty = Schema.makeFilter(
  (value: object) => Object.keys(value).length > 0 || "Expected at least one condition",
)

const Bounds = Schema.Struct({
  gte: Schema.optionalKey(Amount),
  lte: Schema.optionalKey(Amount),
  gt: Schema.optionalKey(Amount),
  lt: Schema.optionalKey(Amount),
  eq: Schema.optionalKey(Amount),
})
  .check(isNotEmpty)
  .annotate({ identifier: "Bounds" })

/** Conditions on the account after the change: if one of them does not hold, nothing is done. */
export const Require = Schema.Struct({
  posted: Schema.optionalKey(Bounds),
  available: Schema.optionalKey(Bounds),
})
  .check(isNotEmpty)
  .annotate({ identifier: "Require" })

export const conditionsOf = (require: typeof Require.Type | undefined): ReadonlyArray<Condition> | undefined =>
  require === undefined
    ? undefined
    : conditionSubjects.flatMap((subject) =>
        comparisons.flatMap((comparison): ReadonlyArray<Condition> => {
          const amount = require[subject]?.[comparison]
          return amount === undefined ? [] : [{ subject, comparison, amount }]
        }),
      )
