/**
 * The rules of the ledger: account states and a request go in; new rows or a refusal come out. Pure, so every write path
 * runs the same rules, and a test can hold them against a model.
 *
 * Where several refusals apply, the first of this order is given: same account, existence, what has ended (a hold, what a
 * reversal could take back), status, currency and scale, balance of the legs, version, range, limits of the kind of request,
 * funds, conditions. Within one of these, the first change that is concerned. (Parsing and idempotency come before: they are
 * judged where requests and rows are read.)
 */
import { Result } from "effect"
import type { AccountId } from "../account/AccountId.ts"
import type { AccountState } from "../account/AccountState.ts"
import type { TransactionId } from "../chain/BalanceChangeId.ts"
import { type Decision, type Heads, reversedBefore, type Stamp } from "./Decision.ts"
import type { AccountDetails } from "../account/Account.ts"
import { isExpired, ttlMin } from "../account/Hold.ts"
import { accountIds, type Intent, type Request, rowCount } from "../request/Intent.ts"
import * as Money from "../money/Money.ts"
import { decideChangeTerms } from "./ChangeTerms.ts"
import { instantOf } from "./Draft.ts"
import {
  decideCaptureHold,
  decideExpireHolds,
  decideIncreaseHold,
  decidePlaceHold,
  decideReleaseHold,
} from "./Holds.ts"
import { decideOpenAccount } from "./OpenAccount.ts"
import { decidePostTransaction } from "./PostTransaction.ts"
import { decideReverseTransaction } from "./ReverseTransaction.ts"
import * as Timestamp from "../time/Timestamp.ts"

type Rule<I extends Intent, R> = (request: Request<I>, heads: Heads, stamp: Stamp) => Result.Result<Decision, R>

/** What decides each kind of intent. */
const rules = {
  OpenAccount: decideOpenAccount,
  PostTransaction: decidePostTransaction,
  PlaceHold: decidePlaceHold,
  IncreaseHold: decideIncreaseHold,
  CaptureHold: decideCaptureHold,
  ReleaseHold: decideReleaseHold,
  ExpireHolds: decideExpireHolds,
  ChangeTerms: decideChangeTerms,
  ReverseTransaction: decideReverseTransaction,
} satisfies { readonly [Tag in Intent["_tag"]]: Rule<Extract<Intent, { readonly _tag: Tag }>, unknown> }

/** Why an intent may be refused. */
export type RefusalOf<I extends Intent> = Result.Result.Failure<ReturnType<(typeof rules)[I["_tag"]]>>

export const decide = <I extends Intent>(
  request: Request<I>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<Decision, RefusalOf<I>> => {
  // TypeScript does not see that the rule of a tag takes the intent of that tag.
  const rule = rules[request.intent._tag] as unknown as Rule<I, RefusalOf<I>>
  return rule(request, heads, stamp)
}

/** The first of several requests that was refused, by its place among them. */
export interface Refused {
  readonly index: number
  readonly refusal: RefusalOf<Intent>
}

/** States, and what was reversed, with changes on top of them that are not stored yet. */
export class HeadsAfter implements Heads {
  readonly #below: Heads
  readonly #changed = new Map<AccountId, AccountState>()
  readonly #reversed = new Map<string, Money.Money>()
  readonly #details = new Map<AccountId, AccountDetails>()

  constructor(below: Heads) {
    this.#below = below
  }

  get(account: AccountId): AccountState | undefined {
    return this.#changed.get(account) ?? this.#below.get(account)
  }

  has(account: AccountId): boolean {
    return this.#changed.has(account) || this.#below.has(account)
  }

  reversed(xactId: TransactionId, acctId: AccountId): Money.Money {
    return Money.sum(
      reversedBefore(this.#below, xactId, acctId),
      this.#reversed.get(`${xactId} ${acctId}`) ?? Money.zero,
    )
  }

  details(acctId: AccountId): AccountDetails | undefined {
    return this.#details.get(acctId) ?? this.#below.details?.(acctId)
  }

  advance(decision: Decision): void {
    if (decision.account !== null) this.#details.set(decision.account.acctId, decision.account)
    for (const [account, head] of decision.heads) this.#changed.set(account, head)
    for (const { acctId, chgAmt, reversesXactId } of decision.changes) {
      if (reversesXactId === null) return
      const key = `${reversesXactId} ${acctId}`
      this.#reversed.set(key, Money.sum(this.#reversed.get(key) ?? Money.zero, chgAmt))
    }
  }
}

/** Decides requests in order, each on what those before it leave behind: all of them or none. */
export const decideTogether = (
  requests: ReadonlyArray<Request>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<ReadonlyArray<Decision>, Refused> => {
  const after = new HeadsAfter(heads)
  const decisions: Array<Decision> = []
  let used = stamp.idsFrom ?? 0
  for (const [index, request] of requests.entries()) {
    const decided = decide(request, after, { ...stamp, idsFrom: used })
    if (Result.isFailure(decided)) return Result.fail({ index, refusal: decided.failure })
    used += idsUsed(decided.success)
    after.advance(decided.success)
    decisions.push(decided.success)
  }
  return Result.succeed(decisions)
}

export const idsUsed = ({ asides, changes }: Decision): number => asides.length + changes.length

/** Each row may move the time on by a microsecond: half a second is more rows than any batch has. */
const margin = 500_000n

/**
 * How many ids are enough for requests that are decided together: one for each row, and for each hold that expires before
 * the last of them is judged. That is when the newest of all their rows says, which may be well ahead of the clock.
 */
export const idsMax = (requests: ReadonlyArray<Request>, heads: Heads, now: Timestamp.Timestamp): number => {
  const states = new Map<AccountId, AccountState>()
  let count = 0
  let expiriesSaid = 0
  for (const { intent } of requests) {
    count += rowCount(intent)
    if ("expiry" in intent) expiriesSaid += 1
    for (const acctId of accountIds(intent)) {
      const head = heads.get(acctId)
      if (head !== undefined) states.set(acctId, head)
    }
  }
  const latest = Timestamp.make(instantOf(states.values(), now) + margin)
  for (const { openHolds } of states.values()) for (const hold of openHolds) if (isExpired(hold, latest)) count += 1
  // So far ahead of the clock, even what one of them places, or shortens, may be expired for a later one.
  return isExpired({ expiresAt: Timestamp.plusSeconds(now, ttlMin) }, latest) ? count + expiriesSaid : count
}
