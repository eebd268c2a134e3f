/** The one place where what the ledger says becomes what a caller of /v1 is told. */
import * as Problem from "@banquo/api/Problem"
import type { RefusalOf } from "@banquo/domain/Decide"
import type { ExpireHolds, Intent } from "@banquo/domain/Intent"
import type {
  ChangeNotFound,
  HoldEnded,
  IdempotencyKeyReused,
  NotReversible,
  TransactionNotFound,
} from "@banquo/domain/Refusal"
import type { Contention, DatabaseUnavailable, OutcomeUnknown, Overloaded } from "@banquo/ledger/DatabaseError"
import type { HoldGone } from "@banquo/ledger/Holds"
import type { MigrationChanged, SchemaOutdated } from "@banquo/ledger/Migrator"
import { Effect } from "effect"
import { codeOf, countRefusal } from "./Refusals.ts"
import { RequestId } from "./RequestId.ts"

type LedgerError =
  | Exclude<RefusalOf<Exclude<Intent, ExpireHolds>>, HoldEnded>
  | HoldGone
  | NotReversible
  | IdempotencyKeyReused
  | TransactionNotFound
  | ChangeNotFound
  | Contention
  | DatabaseUnavailable
  | OutcomeUnknown
  | Overloaded
  | SchemaOutdated
  | MigrationChanged

/** The problem of each error, by its tag. */
const problems = {
  AccountNotFound: (error, base) => new Problem.AccountNotFound({ ...base, account_id: error.accountId }),
  TransactionNotFound: (error, base) =>
    new Problem.TransactionNotFound({ ...base, transaction_id: error.transactionId }),
  ChangeNotFound: (error, base) =>
    new Problem.ChangeNotFound({
      ...base,
      account_id: error.accountId,
      seq: error.seq,
      current_seq: error.currentSeq,
    }),
  VersionConflict: (error, base) =>
    new Problem.VersionConflict({
      ...base,
      account_id: error.accountId,
      expected_seq: error.expectedSeq,
      current_seq: error.currentSeq,
    }),
  InsufficientFunds: (error, base) =>
    new Problem.InsufficientFunds({
      ...base,
      account_id: error.accountId,
      available: error.available,
      currency: error.currency,
    }),
  AccountFrozen: (error, base) =>
    new Problem.AccountFrozen({ ...base, account_id: error.accountId, account_status: error.status }),
  AccountClosed: (error, base) => new Problem.AccountClosed({ ...base, account_id: error.accountId }),
  Unbalanced: (error, base) => new Problem.Unbalanced({ ...base, currency: error.currency, sum: error.sum }),
  SameAccount: (error, base) => new Problem.SameAccount({ ...base, account_id: error.accountId }),
  CurrencyMismatch: (error, base) =>
    new Problem.CurrencyMismatch({ ...base, account_id: error.accountId, currency: error.currency }),
  ScaleExceeded: (error, base) =>
    new Problem.ScaleExceeded({ ...base, amount: error.amount, currency: error.currency, scale: error.scale }),
  CurrencyNotOpenable: ({ currency }, base) => new Problem.CurrencyNotOpenable({ ...base, currency }),
  ScaleRequired: ({ currency }, base) => new Problem.ScaleRequired({ ...base, currency }),
  EffectiveTimeOutOfRange: (_, base) => new Problem.EffectiveTimeOutOfRange(base),
  ExchangeReversedInPart: ({ transactionId }, base) =>
    new Problem.ExchangeReversedInPart({ ...base, transaction_id: transactionId }),
  AmountOutOfRange: (error, base) => new Problem.AmountOutOfRange({ ...base, account_id: error.accountId }),
  ConditionNotMet: ({ accountId, actual, amount, comparison, subject }, base) =>
    new Problem.ConditionNotMet({ ...base, account_id: accountId, subject, comparison, amount, actual }),
  HoldNotFound: ({ holdId }, base) => new Problem.HoldNotFound({ ...base, hold_id: holdId }),
  HoldAlreadyCaptured: ({ holdId }, base) => new Problem.HoldAlreadyCaptured({ ...base, hold_id: holdId }),
  HoldAlreadyReleased: ({ holdId }, base) => new Problem.HoldAlreadyReleased({ ...base, hold_id: holdId }),
  HoldExpired: ({ holdId }, base) => new Problem.HoldExpired({ ...base, hold_id: holdId }),
  CaptureExceedsHold: ({ currency, holdId, remaining }, base) =>
    new Problem.CaptureExceedsHold({ ...base, hold_id: holdId, remaining, currency }),
  ExpiryOutOfRange: (_, base) => new Problem.ExpiryOutOfRange(base),
  TooManyHolds: ({ accountId }, base) => new Problem.TooManyHolds({ ...base, account_id: accountId }),
  AccountNotEmpty: ({ accountId, balance, currency, held }, base) =>
    new Problem.AccountNotEmpty({ ...base, account_id: accountId, posted: balance, held, currency }),
  OverdraftInUse: ({ accountId, currency, used }, base) =>
    new Problem.OverdraftInUse({ ...base, account_id: accountId, used, currency }),
  AlreadyReversed: ({ transactionId }, base) => new Problem.AlreadyReversed({ ...base, transaction_id: transactionId }),
  NotReversible: ({ transactionId }, base) => new Problem.NotReversible({ ...base, transaction_id: transactionId }),
  ReversalExceedsTransaction: ({ accountId, remaining, transactionId }, base) =>
    new Problem.ReversalExceedsTransaction({
      ...base,
      transaction_id: transactionId,
      account_id: accountId,
      remaining,
    }),
  AccountAlreadyExists: (_, base) => new Problem.IdempotencyKeyReused(base),
  IdempotencyKeyReused: (_, base) => new Problem.IdempotencyKeyReused(base),
  Contention: (_, base) => new Problem.Contention(retryable(base)),
  Overloaded: (_, base) => new Problem.Overloaded(retryable(base)),
  DatabaseUnavailable: (_, base) => new Problem.DatabaseUnavailable(retryable(base)),
  OutcomeUnknown: (_, base) =>
    new Problem.DatabaseUnavailable({
      ...retryable(base),
      detail: `${base.detail}; with an Idempotency-Key it is safe to send the request again`,
    }),
  SchemaOutdated: (_, base) => new Problem.DatabaseUnavailable(retryable(base)),
  MigrationChanged: (_, base) => new Problem.DatabaseUnavailable(retryable(base)),
} satisfies { [Tag in LedgerError["_tag"]]: (error: Extract<LedgerError, { _tag: Tag }>, base: Base) => unknown }

interface Base {
  readonly detail: string
  readonly retryable: boolean
  readonly request_id: string
}

const retryable = (base: Base): Base => ({ ...base, retryable: true })

type ProblemOf<E extends LedgerError> = ReturnType<(typeof problems)[E["_tag"]]>

/** The problem of an error, which is counted. */
export const problemOf = <E extends LedgerError>(error: E, request_id: string): ProblemOf<E> => {
  const toProblem = problems[error._tag] as unknown as (error: E, base: Base) => ProblemOf<E>
  const problem = toProblem(error, { detail: error.message, retryable: false, request_id })
  // The caller is told to send it again, as after any other; the operator is told that this one is different.
  countRefusal(error._tag === "OutcomeUnknown" ? codeOf(error._tag) : problem.code)
  return problem
}

/** Fails with the problem of each error that the ledger fails with. */
export const orProblem = <A, E extends LedgerError, R>(
  program: Effect.Effect<A, E, R>,
): Effect.Effect<A, ProblemOf<E>, R> =>
  Effect.catch(program, (error) => Effect.flatMap(RequestId, (request_id) => Effect.fail(problemOf(error, request_id))))
