import { Result } from "effect"
import type { AccountRecord } from "../account/Account.ts"
import { afterChange, available } from "../account/AccountState.ts"
import { genesisHash, seal } from "../chain/ChangeHash.ts"
import { type Asset, isOpenable, isoScaleOf } from "../money/Currency.ts"
import * as Money from "../money/Money.ts"
import { idemKeyOf, requestHash } from "../request/Idempotency.ts"
import type { OpenAccount, Request } from "../request/Intent.ts"
import { detailsHash, metadataOrNull, saltOf } from "../text/Texts.ts"
import type { Decision, Heads, Stamp } from "./Decision.ts"
import { insufficientFunds } from "./Leg.ts"
import {
  AccountAlreadyExists,
  CurrencyNotOpenable,
  type InsufficientFunds,
  ScaleExceeded,
  ScaleRequired,
} from "./Refusal.ts"

export type OpenAccountRefusal =
  | AccountAlreadyExists
  | CurrencyNotOpenable
  | ScaleRequired
  | ScaleExceeded
  | InsufficientFunds

export const decideOpenAccount = (
  request: Request<OpenAccount>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<Decision, OpenAccountRefusal> => {
  const { intent } = request
  const { acctId, currency } = intent
  if (heads.has(acctId)) return Result.fail(new AccountAlreadyExists({ accountId: acctId }))
  if (!isOpenable(currency)) return Result.fail(new CurrencyNotOpenable({ currency }))
  const scale = intent.scale ?? isoScaleOf(currency)
  if (scale === undefined) return Result.fail(new ScaleRequired({ currency }))
  const asset = { currency, scale }
  const refusal = refuseAmounts(intent, asset)
  if (refusal !== undefined) return Result.fail(refusal)
  const id = stamp.ids[stamp.idsFrom ?? 0]
  if (id === undefined) throw new RangeError("the stamp holds no id")
  const salt = intent.salt ?? saltOf(stamp.saltSeed, id)
  const account = recordOf(intent, salt)
  const balance = Money.fromAmount(intent.initialBalance)
  const change = seal(
    {
      bchgId: id,
      acctId,
      acctSeq: 0,
      chgFlavor: "INITIAL",
      prevBchgId: null,
      owner: intent.owner,
      currency,
      scale,
      chgAmt: balance,
      balance,
      heldAmt: Money.zero,
      held: Money.zero,
      overdraftLimit: limitOf(intent),
      acctStatus: "open",
      isForced: false,
      xactId: id,
      xactRows: 1,
      holdId: null,
      holdExpiresAt: null,
      reversesXactId: null,
      reference: null,
      description: null,
      metadata: null,
      textsSalt: salt,
      textsHash: null,
      idemKey: idemKeyOf(request),
      requestHash: requestHash(intent, salt),
      detailsHash: detailsHash(account, salt),
      actor: request.actor,
      effectiveTime: stamp.now,
      valueDate: null,
      chgCreateTime: stamp.now,
    },
    genesisHash(stamp.ledgerId, acctId),
  )
  return Result.succeed({
    changes: [change],
    asides: [],
    heads: new Map([[acctId, afterChange(change)]]),
    account: intent.salt === undefined ? account : null,
  })
}

const recordOf = (
  { acctId, custAddress, custName, metadata, reference }: OpenAccount,
  salt: Uint8Array,
): AccountRecord => ({
  acctId,
  acctSeq: 0,
  custName,
  custAddress,
  reference,
  metadata: metadataOrNull(metadata),
  salt,
})

const limitOf = ({ overdraftLimit }: OpenAccount) => (overdraftLimit === null ? null : Money.fromAmount(overdraftLimit))

const refuseAmounts = (intent: OpenAccount, asset: Asset): ScaleExceeded | InsufficientFunds | undefined => {
  for (const amount of [intent.initialBalance, intent.overdraftLimit]) {
    if (amount !== null && Money.decimalsOf(amount) > asset.scale) return new ScaleExceeded({ amount, ...asset })
  }
  const overdraftLimit = limitOf(intent)
  const rest = available({ balance: Money.fromAmount(intent.initialBalance), held: Money.zero, overdraftLimit })
  return rest !== null && rest < 0n ? insufficientFunds(intent.acctId, asset, overdraftLimit) : undefined
}
