/**
 * The rules of the ledger: account states and a request go in; new rows or a refusal come out. Pure, so every write path
 * runs the same rules, and a test can hold them against a model.
 *
 * Where several refusals apply, the first of this order is given: same account, existence, status, currency and scale,
 * balance of the legs, version, range, funds. Within one of these, the first change that is concerned. (Parsing and
 * idempotency come before: they are judged where requests and rows are read.)
 */
import { Result } from "effect"
import type { Account } from "./Account.ts"
import type { AccountId } from "./AccountId.ts"
import { type AccountState, afterChange, allowsCredits, allowsDebits, available } from "./AccountState.ts"
import type { BalanceChange } from "./BalanceChange.ts"
import type { BalanceChangeId } from "./BalanceChangeId.ts"
import { genesisHash, seal } from "./ChangeHash.ts"
import { type Currency, scaleOf } from "./Currency.ts"
import { idemKeyOf, requestHash } from "./Idempotency.ts"
import type { Change, Intent, OpenAccount, PostTransaction, Request } from "./Intent.ts"
import * as Money from "./Money.ts"
import {
  AccountAlreadyExists,
  AccountClosed,
  AccountFrozen,
  AccountNotFound,
  AmountOutOfRange,
  CurrencyMismatch,
  InsufficientFunds,
  SameAccount,
  ScaleExceeded,
  Unbalanced,
  VersionConflict,
} from "./Refusal.ts"
import * as Timestamp from "./Timestamp.ts"

/** The states that a decision needs, such as a `Map`; an account that it does not have does not exist. */
export type Heads = Pick<ReadonlyMap<AccountId, AccountState>, "get" | "has">

/** What the pure core cannot know by itself. */
export interface Stamp {
  readonly now: Timestamp.Timestamp
  /** Unused ids, one for each row; the first names the transaction. */
  readonly ids: ReadonlyArray<BalanceChangeId>
  /** The UUID of this ledger, which each chain begins with. */
  readonly ledgerId: string
}

/** A request that can be carried out: rows to append, all of them or none. */
export interface Decision {
  readonly changes: ReadonlyArray<BalanceChange>
  /** The states after the changes, by account. */
  readonly heads: ReadonlyMap<AccountId, AccountState>
  /** The row of the account that an {@link OpenAccount} adds. */
  readonly account: Account | null
}

export type OpenAccountRefusal = AccountAlreadyExists | ScaleExceeded | InsufficientFunds

export type PostTransactionRefusal =
  | SameAccount
  | AccountNotFound
  | AccountClosed
  | AccountFrozen
  | CurrencyMismatch
  | ScaleExceeded
  | Unbalanced
  | VersionConflict
  | AmountOutOfRange
  | InsufficientFunds

export type RefusalOf<I extends Intent> = I extends OpenAccount ? OpenAccountRefusal : PostTransactionRefusal

export const decide = <I extends Intent>(
  request: Request<I>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<Decision, RefusalOf<I>> => {
  const { intent } = request as Request
  const decision: Result.Result<Decision, OpenAccountRefusal | PostTransactionRefusal> =
    intent._tag === "OpenAccount"
      ? decideOpenAccount(request as Request<OpenAccount>, heads, stamp)
      : decidePostTransaction(request as Request<PostTransaction>, heads, stamp)
  return decision as Result.Result<Decision, RefusalOf<I>>
}

/** The first of several requests that was refused, by its place among them. */
export interface Refused {
  readonly index: number
  readonly refusal: OpenAccountRefusal | PostTransactionRefusal
}

/** States with changes on top of them that are not stored yet. */
export class HeadsAfter implements Heads {
  readonly #below: Heads
  readonly #changed = new Map<AccountId, AccountState>()

  constructor(below: Heads) {
    this.#below = below
  }

  get(account: AccountId): AccountState | undefined {
    return this.#changed.get(account) ?? this.#below.get(account)
  }

  has(account: AccountId): boolean {
    return this.#changed.has(account) || this.#below.has(account)
  }

  advance(decision: Decision): void {
    for (const [account, head] of decision.heads) this.#changed.set(account, head)
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
  let used = 0
  for (const [index, request] of requests.entries()) {
    const decided = decide(request, after, { ...stamp, ids: stamp.ids.slice(used) })
    if (Result.isFailure(decided)) return Result.fail({ index, refusal: decided.failure })
    used += decided.success.changes.length
    after.advance(decided.success)
    decisions.push(decided.success)
  }
  return Result.succeed(decisions)
}

const decideOpenAccount = (
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
  if (isShort({ balance, held: Money.zero, overdraftLimit })) {
    return Result.fail(insufficientFunds(acctId, currency, overdraftLimit))
  }
  const account: Account = {
    acctId,
    custName: intent.custName,
    custAddress: intent.custAddress,
    currency,
    acctCreateTime: stamp.now,
    metadata: intent.metadata,
  }
  const id = idAt(stamp, 0)
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
  return Result.succeed({ changes: [change], heads: new Map([[acctId, afterChange(change, currency)]]), account })
}

/** A change beside the state of its account. */
interface Leg {
  readonly change: Change
  readonly head: AccountState
}

const decidePostTransaction = (
  request: Request<PostTransaction>,
  heads: Heads,
  stamp: Stamp,
): Result.Result<Decision, PostTransactionRefusal> => {
  const { changes } = request.intent
  const legs: Array<Leg> = []
  const refusal =
    refuseSameAccount(changes) ??
    joinHeads(changes, heads, legs) ??
    firstOf(legs, refuseStatus) ??
    firstOf(legs, refuseCurrencyAndScale) ??
    refuseUnbalanced(legs) ??
    firstOf(legs, refuseVersion) ??
    firstOf(legs, refuseRange) ??
    firstOf(legs, refuseFunds)
  return refusal === undefined ? Result.succeed(append(request, legs, stamp)) : Result.fail(refusal)
}

const firstOf = <R>(legs: ReadonlyArray<Leg>, refuse: (leg: Leg) => R | undefined): R | undefined => {
  for (const leg of legs) {
    const refusal = refuse(leg)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

const refuseSameAccount = (changes: ReadonlyArray<Change>): SameAccount | undefined => {
  if (changes.length === 1) return undefined
  const seen = new Set<AccountId>()
  for (const { acctId } of changes) {
    if (seen.has(acctId)) return new SameAccount({ accountId: acctId })
    seen.add(acctId)
  }
  return undefined
}

const joinHeads = (changes: ReadonlyArray<Change>, heads: Heads, legs: Array<Leg>): AccountNotFound | undefined => {
  for (const change of changes) {
    const head = heads.get(change.acctId)
    if (head === undefined) return new AccountNotFound({ accountId: change.acctId })
    legs.push({ change, head })
  }
  return undefined
}

const refuseStatus = ({ change, head: { acctId, acctStatus } }: Leg): AccountClosed | AccountFrozen | undefined => {
  if (acctStatus === "closed") return new AccountClosed({ accountId: acctId })
  const isAllowed = change.amount.startsWith("-") ? allowsDebits(acctStatus) : allowsCredits(acctStatus)
  return isAllowed ? undefined : new AccountFrozen({ accountId: acctId, status: acctStatus })
}

const exceedsScale = (amount: Money.Amount, currency: Currency): boolean => Money.decimalsOf(amount) > scaleOf(currency)

const refuseCurrencyAndScale = ({
  change: { amount, currency },
  head,
}: Leg): CurrencyMismatch | ScaleExceeded | undefined => {
  if (currency !== undefined && currency !== head.currency) {
    return new CurrencyMismatch({ accountId: head.acctId, currency: head.currency })
  }
  return exceedsScale(amount, head.currency) ? new ScaleExceeded({ amount, currency: head.currency }) : undefined
}

/** A single change may bring money in or take it out; a transfer neither makes nor loses any. */
const refuseUnbalanced = (legs: ReadonlyArray<Leg>): CurrencyMismatch | Unbalanced | undefined => {
  if (legs.length === 1) return undefined
  const byCurrency = Map.groupBy(legs, ({ head }) => head.currency)
  for (const [currency, [leg, ...others]] of byCurrency) {
    // No other leg can balance this one: the caller took the accounts to be in one currency.
    if (leg !== undefined && others.length === 0) return new CurrencyMismatch({ accountId: leg.head.acctId, currency })
  }
  for (const [currency, group] of byCurrency) {
    const total = group.reduce((sum, { change }) => Money.sum(sum, Money.fromAmount(change.amount)), Money.zero)
    if (total !== 0n) return new Unbalanced({ currency, sum: Money.format(total, scaleOf(currency)) })
  }
  return undefined
}

const refuseVersion = ({ change: { expectedSeq }, head }: Leg): VersionConflict | undefined =>
  expectedSeq === undefined || expectedSeq === head.acctSeq
    ? undefined
    : new VersionConflict({ accountId: head.acctId, expectedSeq, currentSeq: head.acctSeq })

const balanceAfter = ({ change, head }: Leg): Money.Money => Money.sum(head.balance, Money.fromAmount(change.amount))

const refuseRange = (leg: Leg): AmountOutOfRange | undefined =>
  Money.isInRange(balanceAfter(leg)) ? undefined : new AmountOutOfRange({ accountId: leg.head.acctId })

const refuseFunds = (leg: Leg): InsufficientFunds | undefined => {
  const { head } = leg
  return isShort({ ...head, balance: balanceAfter(leg) })
    ? insufficientFunds(head.acctId, head.currency, available(head))
    : undefined
}

const isShort = (state: Pick<AccountState, "balance" | "held" | "overdraftLimit">): boolean => {
  const rest = available(state)
  return rest !== null && rest < 0n
}

const insufficientFunds = (accountId: AccountId, currency: Currency, rest: Money.Money | null): InsufficientFunds =>
  new InsufficientFunds({ accountId, currency, available: Money.format(rest ?? Money.zero, scaleOf(currency)) })

/** The rows of a transaction that nothing stands against. All legs have one time, later than each account's last. */
const append = (request: Request<PostTransaction>, legs: ReadonlyArray<Leg>, stamp: Stamp): Decision => {
  const { actor, intent } = request
  const idemKey = idemKeyOf(request)
  const time = legs.reduce(
    (latest, { head }) => (head.chgCreateTime < latest ? latest : Timestamp.make(head.chgCreateTime + 1n)),
    stamp.now,
  )
  const heads = new Map<AccountId, AccountState>()
  const changes = legs.map((leg, index) => {
    const { change, head } = leg
    const isFirst = index === 0
    const row = seal(
      {
        bchgId: idAt(stamp, index),
        acctId: head.acctId,
        acctSeq: head.acctSeq + 1,
        chgFlavor: "FLOW",
        prevBchgId: head.bchgId,
        chgAmt: Money.fromAmount(change.amount),
        balance: balanceAfter(leg),
        heldAmt: Money.zero,
        held: head.held,
        overdraftLimit: head.overdraftLimit,
        acctStatus: head.acctStatus,
        xactId: idAt(stamp, 0),
        holdId: null,
        holdExpiresAt: null,
        reversesXactId: null,
        description: intent.description,
        metadata: intent.metadata,
        idemKey: isFirst ? idemKey : null,
        requestHash: isFirst && idemKey !== null ? requestHash(intent) : null,
        actor,
        effectiveTime: time,
        chgCreateTime: time,
      },
      head.chgHash,
    )
    heads.set(head.acctId, afterChange(row, head.currency))
    return row
  })
  return { changes, heads, account: null }
}

const idAt = (stamp: Stamp, index: number): BalanceChangeId => {
  const id = stamp.ids[index]
  if (id === undefined) throw new RangeError("the stamp holds fewer ids than the request needs rows")
  return id
}
