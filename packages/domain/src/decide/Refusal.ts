/**
 * Why a well-formed request is not carried out. A refusal is a fact about the accounts and the request, holds what a
 * caller needs to mend it, and means that nothing was written. Which of several comes first is fixed by `Decide.ts`.
 */
import { Schema } from "effect"
import { AccountId } from "../account/AccountId.ts"
import { accountStatuses } from "../account/AccountStatus.ts"
import { BalanceChangeId } from "../chain/BalanceChangeId.ts"
import { comparisons, conditionSubjects } from "../request/Condition.ts"
import { Currency, scaleMax } from "../money/Currency.ts"
import { ttlMax, ttlMin, openHoldsMax } from "../account/Hold.ts"
import { Amount } from "../money/Money.ts"

export class IdempotencyKeyReused extends Schema.TaggedError<IdempotencyKeyReused>()("IdempotencyKeyReused", {}) {
  override get message() {
    return "the idempotency key, or the id of the account to open, was used for a different request"
  }
}

export class SameAccount extends Schema.TaggedError<SameAccount>()("SameAccount", { accountId: AccountId }) {
  override get message() {
    return `account ${this.accountId} occurs more than once in the transaction`
  }
}

export class AccountNotFound extends Schema.TaggedError<AccountNotFound>()("AccountNotFound", {
  accountId: AccountId,
}) {
  override get message() {
    return `there is no account ${this.accountId}`
  }
}

export class AccountAlreadyExists extends Schema.TaggedError<AccountAlreadyExists>()("AccountAlreadyExists", {
  accountId: AccountId,
}) {
  override get message() {
    return `account ${this.accountId} is already open`
  }
}

export class TransactionNotFound extends Schema.TaggedError<TransactionNotFound>()("TransactionNotFound", {
  transactionId: BalanceChangeId,
}) {
  override get message() {
    return `there is no transaction ${this.transactionId}`
  }
}

export class AccountFrozen extends Schema.TaggedError<AccountFrozen>()("AccountFrozen", {
  accountId: AccountId,
  status: Schema.Literals(accountStatuses),
}) {
  override get message() {
    return `account ${this.accountId} is ${this.status}`
  }
}

export class AccountClosed extends Schema.TaggedError<AccountClosed>()("AccountClosed", { accountId: AccountId }) {
  override get message() {
    return `account ${this.accountId} is closed`
  }
}

export class CurrencyMismatch extends Schema.TaggedError<CurrencyMismatch>()("CurrencyMismatch", {
  accountId: AccountId,
  currency: Currency,
}) {
  override get message() {
    return `account ${this.accountId} is in ${this.currency}, and no other change can balance it or the change says otherwise`
  }
}

export class ScaleExceeded extends Schema.TaggedError<ScaleExceeded>()("ScaleExceeded", {
  amount: Amount,
  currency: Currency,
  /** How many decimals amounts of the account may have. */
  scale: Schema.Int,
}) {
  override get message() {
    return `${this.amount} has more decimals than amounts in ${this.currency} may have here, which is ${this.scale}`
  }
}

/** The code stands for no currency, or for one that is withdrawn. */
export class CurrencyNotOpenable extends Schema.TaggedError<CurrencyNotOpenable>()("CurrencyNotOpenable", {
  currency: Currency,
}) {
  override get message() {
    return `no account is opened in ${this.currency}, which is withdrawn or stands for no currency`
  }
}

/** ISO 4217 has no minor unit for the code: the caller has to say how many decimals its amounts have. */
export class ScaleRequired extends Schema.TaggedError<ScaleRequired>()("ScaleRequired", { currency: Currency }) {
  override get message() {
    return `ISO 4217 says no number of decimals for ${this.currency}: say one, from 0 to ${scaleMax}`
  }
}

export class EffectiveTimeOutOfRange extends Schema.TaggedError<EffectiveTimeOutOfRange>()(
  "EffectiveTimeOutOfRange",
  {},
) {
  override get message() {
    return "nothing happened later than now, and nothing was taken back before it happened"
  }
}

export class Unbalanced extends Schema.TaggedError<Unbalanced>()("Unbalanced", {
  currency: Currency,
  /** A decimal string; not an {@link Amount}, since many legs can sum to more than any one amount. */
  sum: Schema.String,
}) {
  override get message() {
    return `the changes in ${this.currency} sum to ${this.sum}, not to zero`
  }
}

export class VersionConflict extends Schema.TaggedError<VersionConflict>()("VersionConflict", {
  accountId: AccountId,
  expectedSeq: Schema.Int,
  currentSeq: Schema.Int,
}) {
  override get message() {
    return `account ${this.accountId} is at sequence ${this.currentSeq}, not ${this.expectedSeq}`
  }
}

export class AmountOutOfRange extends Schema.TaggedError<AmountOutOfRange>()("AmountOutOfRange", {
  accountId: AccountId,
}) {
  override get message() {
    return `the balance of account ${this.accountId} would reach 100 000 000 000 000 000 000`
  }
}

export class InsufficientFunds extends Schema.TaggedError<InsufficientFunds>()("InsufficientFunds", {
  accountId: AccountId,
  /** What the account can spend now: balance - held + overdraft limit. */
  available: Amount,
  currency: Currency,
}) {
  override get message() {
    return `account ${this.accountId} has ${this.available} ${this.currency} available`
  }
}

export class ChangeNotFound extends Schema.TaggedError<ChangeNotFound>()("ChangeNotFound", {
  accountId: AccountId,
  seq: Schema.Int,
  /** The sequence of the newest change. */
  currentSeq: Schema.Int,
}) {
  override get message() {
    return `account ${this.accountId} has no change ${this.seq}: it is at sequence ${this.currentSeq}`
  }
}

export class HoldNotFound extends Schema.TaggedError<HoldNotFound>()("HoldNotFound", { holdId: BalanceChangeId }) {
  override get message() {
    return `there is no hold ${this.holdId}`
  }
}

/** The hold has ended, in a way that only its rows tell. */
export class HoldEnded extends Schema.TaggedError<HoldEnded>()("HoldEnded", { holdId: BalanceChangeId }) {
  override get message() {
    return `hold ${this.holdId} has ended`
  }
}

export class HoldAlreadyCaptured extends Schema.TaggedError<HoldAlreadyCaptured>()("HoldAlreadyCaptured", {
  holdId: BalanceChangeId,
}) {
  override get message() {
    return `hold ${this.holdId} was captured`
  }
}

export class HoldAlreadyReleased extends Schema.TaggedError<HoldAlreadyReleased>()("HoldAlreadyReleased", {
  holdId: BalanceChangeId,
}) {
  override get message() {
    return `hold ${this.holdId} was released`
  }
}

export class HoldExpired extends Schema.TaggedError<HoldExpired>()("HoldExpired", { holdId: BalanceChangeId }) {
  override get message() {
    return `hold ${this.holdId} has expired`
  }
}

/** There is no hold to tidy up. */
export class NothingExpired extends Schema.TaggedError<NothingExpired>()("NothingExpired", { accountId: AccountId }) {
  override get message() {
    return `no open hold of account ${this.accountId} has expired`
  }
}

export class CaptureExceedsHold extends Schema.TaggedError<CaptureExceedsHold>()("CaptureExceedsHold", {
  holdId: BalanceChangeId,
  /** What is left of the hold. */
  remaining: Amount,
  currency: Currency,
}) {
  override get message() {
    return `hold ${this.holdId} has ${this.remaining} ${this.currency} left`
  }
}

export class ExpiryOutOfRange extends Schema.TaggedError<ExpiryOutOfRange>()("ExpiryOutOfRange", {}) {
  override get message() {
    return `a hold expires ${ttlMin} to ${ttlMax} seconds from now`
  }
}

export class TooManyHolds extends Schema.TaggedError<TooManyHolds>()("TooManyHolds", { accountId: AccountId }) {
  override get message() {
    return `account ${this.accountId} has ${openHoldsMax} open holds already`
  }
}

export class AccountNotEmpty extends Schema.TaggedError<AccountNotEmpty>()("AccountNotEmpty", {
  accountId: AccountId,
  balance: Amount,
  held: Amount,
  currency: Currency,
}) {
  override get message() {
    return `account ${this.accountId} has a balance of ${this.balance} ${this.currency}, and ${this.held} ${this.currency} held`
  }
}

export class OverdraftInUse extends Schema.TaggedError<OverdraftInUse>()("OverdraftInUse", {
  accountId: AccountId,
  /** How much of the overdraft is used now: held - balance. A decimal string, perhaps of a digit more than an {@link Amount}. */
  used: Schema.String,
  currency: Currency,
}) {
  override get message() {
    return `account ${this.accountId} uses ${this.used} ${this.currency} of its overdraft`
  }
}

export class AlreadyReversed extends Schema.TaggedError<AlreadyReversed>()("AlreadyReversed", {
  transactionId: BalanceChangeId,
}) {
  override get message() {
    return `transaction ${this.transactionId} was reversed`
  }
}

export class NotReversible extends Schema.TaggedError<NotReversible>()("NotReversible", {
  transactionId: BalanceChangeId,
}) {
  override get message() {
    return `transaction ${this.transactionId} moved no money that could be taken back, or is a reversal itself`
  }
}

export class ReversalExceedsTransaction extends Schema.TaggedError<ReversalExceedsTransaction>()(
  "ReversalExceedsTransaction",
  {
    transactionId: BalanceChangeId,
    accountId: AccountId,
    /** The change of the account that would take back all that has not been taken back yet; zero, if it has none. */
    remaining: Amount,
  },
) {
  override get message() {
    return `of transaction ${this.transactionId}, ${this.remaining} is left to be reversed on account ${this.accountId}`
  }
}

/** Of an exchange, only both sides can be taken back. */
export class ExchangeReversedInPart extends Schema.TaggedError<ExchangeReversedInPart>()("ExchangeReversedInPart", {
  transactionId: BalanceChangeId,
}) {
  override get message() {
    return `transaction ${this.transactionId} exchanged currencies, and is reversed as a whole or not at all`
  }
}

const comparisonWords = { gte: "at least", lte: "at most", gt: "more than", lt: "less than", eq: "exactly" } as const

export class ConditionNotMet extends Schema.TaggedError<ConditionNotMet>()("ConditionNotMet", {
  accountId: AccountId,
  subject: Schema.Literals(conditionSubjects),
  comparison: Schema.Literals(comparisons),
  amount: Amount,
  /** What it would have come to, a decimal string; `null`: without limit. */
  actual: Schema.NullOr(Schema.String),
}) {
  override get message() {
    return `${this.subject} of account ${this.accountId} would be ${this.actual ?? "without limit"}, and must be ${comparisonWords[this.comparison]} ${this.amount}`
  }
}
