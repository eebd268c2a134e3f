/**
 * Every error of /v1, as an `application/problem+json` document (RFC 9457). `code` is what a program looks at, `retryable`
 * whether the same request may succeed later, `request_id` what to quote to the operator.
 */
import { AccountId } from "@banquo/domain/AccountId"
import { accountStatuses } from "@banquo/domain/AccountStatus"
import { BalanceChangeIdFromString } from "@banquo/domain/BalanceChangeId"
import { comparisons, conditionSubjects } from "@banquo/domain/Condition"
import { Currency, Scale } from "@banquo/domain/Currency"
import { Amount } from "@banquo/domain/Money"
import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"

/** The `type` of a problem: a name, not an address. */
export const typeOf = <const Code extends string>(code: Code) => `urn:banquo:problem:${code}` as const

const declare =
  <Self>() =>
  <
    const Tag extends string,
    const Code extends string,
    const Status extends number,
    const Fields extends Schema.Struct.Fields = {},
  >(
    tag: Tag,
    code: Code,
    status: Status,
    title: string,
    fields?: Fields,
  ) =>
    HttpApiError.Problem<Self>()(
      tag,
      { type: typeOf(code), status, title },
      {
        code: Schema.tag(code),
        retryable: Schema.Boolean,
        request_id: Schema.String,
        ...(fields as Fields),
      },
    )

export const InvalidValue = Schema.Struct({
  in: Schema.Literals(["body", "path", "query", "header"]),
  /** RFC 6901. */
  pointer: Schema.String,
  detail: Schema.String,
}).annotate({ identifier: "InvalidValue" })

export class InvalidRequest extends declare<InvalidRequest>()(
  "InvalidRequest",
  "invalid_request",
  400,
  "The request cannot be understood",
  { errors: Schema.Array(InvalidValue) },
) {}

export class AccountNotFound extends declare<AccountNotFound>()(
  "AccountNotFound",
  "account_not_found",
  404,
  "There is no such account",
  { account_id: AccountId },
) {}

export class TransactionNotFound extends declare<TransactionNotFound>()(
  "TransactionNotFound",
  "transaction_not_found",
  404,
  "There is no such transaction",
  { transaction_id: BalanceChangeIdFromString },
) {}

export class ChangeNotFound extends declare<ChangeNotFound>()(
  "ChangeNotFound",
  "change_not_found",
  404,
  "The account has no such change",
  { account_id: AccountId, seq: Schema.Int, current_seq: Schema.Int },
) {}

export class NotAcceptable extends declare<NotAcceptable>()(
  "NotAcceptable",
  "not_acceptable",
  406,
  "The answer has no format that the request accepts",
  { media_types: Schema.Array(Schema.String).annotateKey({ description: "what it has" }) },
) {}

export class VersionConflict extends declare<VersionConflict>()(
  "VersionConflict",
  "version_conflict",
  409,
  "The account has changed",
  { account_id: AccountId, expected_seq: Schema.Int, current_seq: Schema.Int },
) {}

export class PreconditionFailed extends declare<PreconditionFailed>()(
  "PreconditionFailed",
  "precondition_failed",
  412,
  "The account has changed",
  { account_id: AccountId, expected_seq: Schema.Int, current_seq: Schema.Int },
) {}

export class HoldNotFound extends declare<HoldNotFound>()(
  "HoldNotFound",
  "hold_not_found",
  404,
  "There is no such hold",
  {
    hold_id: BalanceChangeIdFromString,
  },
) {}

export class HoldAlreadyCaptured extends declare<HoldAlreadyCaptured>()(
  "HoldAlreadyCaptured",
  "hold_already_captured",
  409,
  "The hold was captured",
  { hold_id: BalanceChangeIdFromString },
) {}

export class HoldAlreadyReleased extends declare<HoldAlreadyReleased>()(
  "HoldAlreadyReleased",
  "hold_already_released",
  409,
  "The hold was released",
  { hold_id: BalanceChangeIdFromString },
) {}

export class HoldExpired extends declare<HoldExpired>()("HoldExpired", "hold_expired", 409, "The hold has expired", {
  hold_id: BalanceChangeIdFromString,
}) {}

export class AlreadyReversed extends declare<AlreadyReversed>()(
  "AlreadyReversed",
  "already_reversed",
  409,
  "The transaction was reversed",
  { transaction_id: BalanceChangeIdFromString },
) {}

export class AccountNotEmpty extends declare<AccountNotEmpty>()(
  "AccountNotEmpty",
  "account_not_empty",
  409,
  "The account has money or open holds",
  { account_id: AccountId, posted: Amount, held: Amount, currency: Currency },
) {}

export class BodyTooLarge extends declare<BodyTooLarge>()(
  "BodyTooLarge",
  "body_too_large",
  413,
  "The body is too large",
) {}

export class UnsupportedMediaType extends declare<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  "unsupported_media_type",
  415,
  "The body is not of a type that is understood",
) {}

export class InsufficientFunds extends declare<InsufficientFunds>()(
  "InsufficientFunds",
  "insufficient_funds",
  422,
  "The account has not enough money available",
  { account_id: AccountId, available: Amount, currency: Currency },
) {}

export class AccountFrozen extends declare<AccountFrozen>()(
  "AccountFrozen",
  "account_frozen",
  422,
  "The account is frozen",
  // Not `status`, which is the HTTP status of every problem.
  { account_id: AccountId, account_status: Schema.Literals(accountStatuses) },
) {}

export class AccountClosed extends declare<AccountClosed>()(
  "AccountClosed",
  "account_closed",
  422,
  "The account is closed",
  { account_id: AccountId },
) {}

export class Unbalanced extends declare<Unbalanced>()(
  "Unbalanced",
  "unbalanced",
  422,
  "The changes do not sum to zero",
  { currency: Currency, sum: Schema.String.annotateKey({ description: "a decimal string" }) },
) {}

export class SameAccount extends declare<SameAccount>()(
  "SameAccount",
  "same_account",
  422,
  "An account occurs twice in the transaction",
  { account_id: AccountId },
) {}

export class CurrencyMismatch extends declare<CurrencyMismatch>()(
  "CurrencyMismatch",
  "currency_mismatch",
  422,
  "An account is in another currency",
  { account_id: AccountId, currency: Currency },
) {}

export class ScaleExceeded extends declare<ScaleExceeded>()(
  "ScaleExceeded",
  "scale_exceeded",
  422,
  "The amount has more decimals than the account",
  { amount: Amount, currency: Currency, scale: Scale },
) {}

export class CurrencyNotOpenable extends declare<CurrencyNotOpenable>()(
  "CurrencyNotOpenable",
  "currency_not_openable",
  422,
  "No account is opened in the currency",
  { currency: Currency },
) {}

export class ScaleRequired extends declare<ScaleRequired>()(
  "ScaleRequired",
  "scale_required",
  422,
  "The number of decimals has to be said",
  { currency: Currency },
) {}

export class EffectiveTimeOutOfRange extends declare<EffectiveTimeOutOfRange>()(
  "EffectiveTimeOutOfRange",
  "effective_time_out_of_range",
  422,
  "The time is later than now, or before what is taken back",
) {}

export class ExchangeReversedInPart extends declare<ExchangeReversedInPart>()(
  "ExchangeReversedInPart",
  "exchange_reversed_in_part",
  422,
  "An exchange of currencies is reversed as a whole",
  { transaction_id: BalanceChangeIdFromString },
) {}

export class AmountOutOfRange extends declare<AmountOutOfRange>()(
  "AmountOutOfRange",
  "amount_out_of_range",
  422,
  "The balance would pass the largest amount",
  { account_id: AccountId },
) {}

export class ConditionNotMet extends declare<ConditionNotMet>()(
  "ConditionNotMet",
  "condition_not_met",
  422,
  "The account would not be as required",
  {
    account_id: AccountId,
    subject: Schema.Literals(conditionSubjects),
    comparison: Schema.Literals(comparisons),
    amount: Amount,
    actual: Schema.NullOr(Schema.String).annotateKey({ description: "a decimal string; null: without limit" }),
  },
) {}

export class CaptureExceedsHold extends declare<CaptureExceedsHold>()(
  "CaptureExceedsHold",
  "capture_exceeds_hold",
  422,
  "The hold has less left",
  { hold_id: BalanceChangeIdFromString, remaining: Amount, currency: Currency },
) {}

export class ExpiryOutOfRange extends declare<ExpiryOutOfRange>()(
  "ExpiryOutOfRange",
  "expiry_out_of_range",
  422,
  "The hold would expire too soon or too late",
) {}

export class TooManyHolds extends declare<TooManyHolds>()(
  "TooManyHolds",
  "too_many_holds",
  422,
  "The account has too many open holds",
  { account_id: AccountId },
) {}

export class OverdraftInUse extends declare<OverdraftInUse>()(
  "OverdraftInUse",
  "overdraft_in_use",
  422,
  "More of the overdraft is in use",
  {
    account_id: AccountId,
    used: Schema.String.annotateKey({ description: "held - posted, a decimal string" }),
    currency: Currency,
  },
) {}

export class NotReversible extends declare<NotReversible>()(
  "NotReversible",
  "not_reversible",
  422,
  "The transaction cannot be reversed",
  { transaction_id: BalanceChangeIdFromString },
) {}

export class ReversalExceedsTransaction extends declare<ReversalExceedsTransaction>()(
  "ReversalExceedsTransaction",
  "reversal_exceeds_transaction",
  422,
  "There is less left to reverse",
  {
    transaction_id: BalanceChangeIdFromString,
    account_id: AccountId,
    remaining: Amount.annotateKey({ description: "the change that would take back all that is left" }),
  },
) {}

export class IdempotencyKeyReused extends declare<IdempotencyKeyReused>()(
  "IdempotencyKeyReused",
  "idempotency_key_reused",
  422,
  "The idempotency key was used for another request",
) {}

export class InternalError extends declare<InternalError>()(
  "InternalError",
  "internal_error",
  500,
  "The service has failed",
) {}

export class Contention extends declare<Contention>()("Contention", "contention", 503, "The accounts are too busy") {}

export class DatabaseUnavailable extends declare<DatabaseUnavailable>()(
  "DatabaseUnavailable",
  "database_unavailable",
  503,
  "The database is not available",
) {}

export class Overloaded extends declare<Overloaded>()("Overloaded", "overloaded", 503, "The service is too busy") {}

export class ShuttingDown extends declare<ShuttingDown>()(
  "ShuttingDown",
  "shutting_down",
  503,
  "The service is being stopped; another instance takes its place",
) {}

export class BatchAborted extends declare<BatchAborted>()(
  "BatchAborted",
  "batch_aborted",
  409,
  "Another transaction of the batch was refused",
) {}

/** What any route may answer. */
export const common = [InvalidRequest, InternalError, DatabaseUnavailable] as const

/** What any route that writes may answer. */
export const commonOfWrites = [
  ...common,
  BodyTooLarge,
  UnsupportedMediaType,
  IdempotencyKeyReused,
  Contention,
  Overloaded,
] as const

/** Why a change of an account is not made. */
const ofChanges = [
  AccountNotFound,
  AccountClosed,
  AccountFrozen,
  CurrencyMismatch,
  ScaleExceeded,
  VersionConflict,
  AmountOutOfRange,
  InsufficientFunds,
  ConditionNotMet,
] as const

/** Why a transaction is not made. */
export const ofTransactions = [
  ...ofChanges,
  SameAccount,
  Unbalanced,
  EffectiveTimeOutOfRange,
  IdempotencyKeyReused,
] as const

/** Why a transaction is not taken back. */
export const ofReversals = [
  ...ofTransactions,
  TransactionNotFound,
  NotReversible,
  AlreadyReversed,
  ReversalExceedsTransaction,
  ExchangeReversedInPart,
] as const

/** Why the terms of an account are not changed. */
export const ofTerms = [...ofChanges, PreconditionFailed, AccountNotEmpty, OverdraftInUse] as const

/** Why a hold is not placed. */
export const ofNewHolds = [...ofChanges, ExpiryOutOfRange, TooManyHolds] as const

/** Why a hold is not released. */
export const ofReleases = [...ofChanges, HoldNotFound, HoldAlreadyCaptured, HoldAlreadyReleased, HoldExpired] as const

/** Why a hold is not increased. */
export const ofIncreases = [...ofReleases, ExpiryOutOfRange] as const

/** Why a hold is not captured. */
export const ofCaptures = [...ofReleases, SameAccount, Unbalanced, CaptureExceedsHold, EffectiveTimeOutOfRange] as const
