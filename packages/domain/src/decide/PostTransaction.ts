import { Result } from "effect"
import {
  AccountNotFound,
  type CurrencyMismatch,
  type EffectiveTimeOutOfRange,
  type SameAccount,
  type Unbalanced,
} from "./Refusal.ts"
import type { Decision, Heads, Stamp } from "./Decision.ts"
import type { PostTransaction, Request } from "../request/Intent.ts"
import { Draft, instantOf } from "./Draft.ts"
import {
  flow,
  headsOf,
  type LegRefusal,
  refuse,
  refuseEffectiveTime,
  refuseSameAccount,
  refuseUnbalanced,
  write,
} from "./Leg.ts"

export type PostTransactionRefusal =
  | SameAccount
  | AccountNotFound
  | CurrencyMismatch
  | Unbalanced
  | EffectiveTimeOutOfRange
  | LegRefusal

export const decidePostTransaction = (
  request: Request<PostTransaction>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<Decision, PostTransactionRefusal> => {
  const { intent } = request
  const acctIds = intent.changes.map(({ acctId }) => acctId)
  const same = refuseSameAccount(acctIds)
  if (same !== undefined) return Result.fail(same)
  const states = headsOf(acctIds, heads)
  if (states instanceof AccountNotFound) return Result.fail(states)
  const instant = instantOf(states, stamp.now)
  const legs = intent.changes.map((change, index) => flow(states[index]!, change, change.amount))
  const refusal = refuse(legs, instant, {
    balance: refuseUnbalanced,
    limits: () => refuseEffectiveTime(intent.effectiveTime, instant),
  })
  if (refusal !== undefined) return Result.fail(refusal)
  const draft = new Draft(request, stamp, instant)
  write(draft, legs, instant, intent)
  return Result.succeed(draft.decision())
}
