import { Result } from "effect"
import type { Account } from "../account/Account.ts"
import { afterChange, available } from "../account/AccountState.ts"
import { genesisHash, seal } from "../chain/ChangeHash.ts"
import type { Decision, Heads, Stamp } from "./Decision.ts"
import { idemKeyOf, requestHash } from "../request/Idempotency.ts"
import type { OpenAccount, Request } from "../request/Intent.ts"
import * as Money from "../money/Money.ts"
import { AccountAlreadyExists, type InsufficientFunds, ScaleExceeded } from "./Refusal.ts"
import { exceedsScale, insufficientFunds } from "./Leg.ts"

export type OpenAccountRefusal = AccountAlreadyExists | ScaleExceeded | InsufficientFunds

export const decideOpenAccount = (
  request: Request<OpenAccount>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<Decision, OpenAccountRefusal> => {
  const { intent } = request
  const { acctId, currency, initialBalance } = intent
  if (heads.has(acctId)) return Result.fail(new AccountAlreadyExists({ accountId: acctId }))
  for (const amount of [initialBalance, intent.overdraftLimit]) {
    if (amount !== null && exceedsScale(amount, currency)) return Result.fail(new ScaleExceeded({ amount, currency }))
  }
  const balance = Money.fromAmount(initialBalance)
  const overdraftLimit = intent.overdraftLimit === null ? null : Money.fromAmount(intent.overdraftLimit)
  const rest = available({ balance, held: Money.zero, overdraftLimit })
  if (rest !== null && rest < 0n) return Result.fail(insufficientFunds(acctId, currency, overdraftLimit))
  const account: Account = {
    acctId,
    custName: intent.custName,
    custAddress: intent.custAddress,
    currency,
    acctCreateTime: stamp.now,
    metadata: intent.metadata,
  }
  const id = stamp.ids[stamp.idsFrom ?? 0]
  if (id === undefined) throw new RangeError("the stamp holds no id")
  const change = seal(
    {
      bchgId: id,
      acctId,
      acctSeq: 0,
      chgFlavor: "INITIAL",
      prevBchgId: null,
      chgAmt: balance,
      balance,
      heldAmt: Money.zero,
      held: Money.zero,
      overdraftLimit,
      acctStatus: "open",
      xactId: id,
      holdId: null,
      holdExpiresAt: null,
      reversesXactId: null,
      description: null,
      metadata: null,
      idemKey: idemKeyOf(request),
      requestHash: requestHash(intent),
      actor: request.actor,
      effectiveTime: stamp.now,
      chgCreateTime: stamp.now,
    },
    genesisHash(stamp.ledgerId, account),
  )
  return Result.succeed({
    changes: [change],
    asides: [],
    heads: new Map([[acctId, afterChange(change, currency)]]),
    account,
    correction: null,
  })
}
