/** What an account may do, and whose it is. Closing is final: whatever is asked of a closed account is refused. */
import { Result } from "effect"
import type { AccountDetails } from "../account/Account.ts"
import { type AccountState, available, heldAt } from "../account/AccountState.ts"
import type { Decision, Heads, Stamp } from "./Decision.ts"
import type { ChangeTerms, Request } from "../request/Intent.ts"
import * as Money from "../money/Money.ts"
import { AccountNotEmpty, AccountNotFound, OverdraftInUse } from "./Refusal.ts"
import type { Timestamp } from "../time/Timestamp.ts"
import { Draft, instantOf } from "./Draft.ts"
import { expiredOf, expiredToRelease, type LegRefusal, legOf, refuse, release } from "./Leg.ts"

export type ChangeTermsRefusal = AccountNotFound | LegRefusal | AccountNotEmpty | OverdraftInUse

export const decideChangeTerms = (
  request: Request<ChangeTerms>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<Decision, ChangeTermsRefusal> => {
  const { intent } = request
  const { acctId, acctStatus, custAddress, custName } = intent
  const head = heads.get(acctId)
  if (head === undefined) return Result.fail(new AccountNotFound({ accountId: acctId }))
  const instant = instantOf([head], stamp.now)
  const overdraftLimit = limitOf(intent, head)
  const leg = legOf(head, intent, intent.overdraftLimit ?? null, {
    chgFlavor: "TERMS",
    chgAmt: Money.zero,
    heldAmt: Money.zero,
    overdraftLimit,
    ...(acctStatus === undefined ? {} : { acctStatus }),
  })
  const refusal = refuse([leg], instant, {
    limits: () =>
      (acctStatus === "closed" ? refuseNotEmpty(head, instant) : undefined) ??
      refuseInUse(head, overdraftLimit, instant),
  })
  if (refusal !== undefined) return Result.fail(refusal)
  const draft = new Draft(request, stamp, instant)
  const needed =
    acctStatus === "closed"
      ? expiredOf(head, instant)
      : expiredToRelease(head, lackingUnder(head, overdraftLimit), instant)
  release(draft, head, needed)
  draft.change(head, leg.moves[0]!, {
    reference: null,
    description: intent.reason,
    metadata: intent.metadata,
    details: custName === undefined && custAddress === undefined ? null : correctedDetails(intent, heads),
  })
  return Result.succeed(draft.decision())
}

/** What is said of the account, with what the intent says otherwise. */
const correctedDetails = ({ acctId, custAddress, custName }: ChangeTerms, heads: Heads): AccountDetails => {
  const details = heads.details?.(acctId)
  if (details === undefined) throw new TypeError("a correction is decided on what was said before")
  return {
    custName: custName ?? details.custName,
    custAddress: custAddress ?? details.custAddress,
    reference: details.reference,
    metadata: details.metadata,
  }
}

const limitOf = ({ overdraftLimit }: ChangeTerms, head: AccountState): Money.Money | null =>
  overdraftLimit === undefined ? head.overdraftLimit : overdraftLimit === null ? null : Money.fromAmount(overdraftLimit)

/** How much the account, as its tail row has it, would lack under a limit; zero or less: nothing. */
const lackingUnder = (head: AccountState, overdraftLimit: Money.Money | null): Money.Money =>
  Money.difference(Money.zero, available({ ...head, overdraftLimit }) ?? Money.zero)

const refuseInUse = (
  head: AccountState,
  overdraftLimit: Money.Money | null,
  instant: Timestamp,
): OverdraftInUse | undefined => {
  const held = heldAt(head, instant)
  if (lackingUnder({ ...head, held }, overdraftLimit) <= 0n) return undefined
  const used = Money.format(Money.difference(held, head.balance), head.scale)
  return new OverdraftInUse({ accountId: head.acctId, used, currency: head.currency })
}

const refuseNotEmpty = (head: AccountState, instant: Timestamp): AccountNotEmpty | undefined => {
  const { acctId, balance, currency, scale } = head
  const held = heldAt(head, instant)
  if (balance === 0n && held === 0n) return undefined
  const textOf = (money: Money.Money) => Money.format(money, scale)
  return new AccountNotEmpty({ accountId: acctId, balance: textOf(balance), held: textOf(held), currency })
}
