/** Generated accounts in any state that the table can hold, and requests about them, good and bad. */
import { Arbitrary } from "effect"
import { AccountId } from "../src/account/AccountId.ts"
import { type AccountState, heldAt } from "../src/account/AccountState.ts"
import { Actor } from "../src/request/Actor.ts"
import { BalanceChangeId, type TransactionId } from "../src/chain/BalanceChangeId.ts"
import { comparisons, conditionSubjects } from "../src/request/Condition.ts"
import { Currency, isoScaleOf } from "../src/money/Currency.ts"
import type { Heads, Stamp } from "../src/decide/Decision.ts"
import { isExpired, type OpenHold, openHoldsMax, ttlMax } from "../src/account/Hold.ts"
import { IdempotencyKey } from "../src/request/IdempotencyKey.ts"
import type {
  Change,
  ChangeTerms,
  Expectation,
  Expiry,
  HoldIntent,
  Intent,
  OpenAccount,
  PostTransaction,
  Request,
  ReverseTransaction,
} from "../src/request/Intent.ts"
import * as Money from "../src/money/Money.ts"
import * as Timestamp from "../src/time/Timestamp.ts"
import { anyOf, int, nullOr, pick } from "./Generated.ts"

export const ledgerId = "0192f0c1-7a5e-7c4b-9d21-3f6a8b0c1d2e"
export const now = Timestamp.make(1_795_426_200_000_000n)

export const accountId = (index: number): AccountId =>
  AccountId.make(`00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`)

export const stamp = (idFirst: number, count: number): Stamp => ({
  now,
  ids: Array.from({ length: count }, (_, index) => BalanceChangeId.make(BigInt(idFirst + index))),
  ledgerId,
  saltSeed: new Uint8Array(16),
})

/** As accounts of these tests are opened. */
const scaleOf = (currency: Currency): number => isoScaleOf(currency)!

/** The smallest amount of a currency. */
const unitOf = (currency: Currency): bigint => 10n ** BigInt(Money.decimals - scaleOf(currency))

/** `often`, but `seldom` once in `sides`. */
const mostly = <A, B>(often: A, seldom: B, sides: number) =>
  pick<A | B>([...Array.from({ length: sides - 1 }, () => often), seldom])

const holdSpec = Arbitrary.all({
  units: pick([1, 3, 40, 250]),
  /** Microseconds from the present to its expiry: also such that only an account that is ahead of the clock lets it expire. */
  expiresIn: pick([-5_000_000, -1, 0, 1, 2, 3_000_000, 3_000_000, 86_400_000_000, 86_400_000_000]),
})

const accountSpec = Arbitrary.all({
  isForeign: mostly(false, true, 3),
  acctStatus: pick([
    ...Array.from({ length: 36 }, () => "open" as const),
    "debits_frozen",
    "credits_frozen",
    "frozen",
    "closed",
  ]),
  // Most are ordinary; some can take hardly any more, and some, without a limit, can give hardly any more.
  place: pick([
    ...Array.from({ length: 9 }, () => "middle" as const),
    "empty",
    "top",
    "bottom",
    "reserved",
    "reserved",
  ]),
  limit: pick(["zero", "some", "some", "none"]),
  availableUnits: anyOf(int(0, 3000), int(0, 3)),
  limitUnits: int(0, 2000),
  hasHolds: pick([false, true]),
  holds: Arbitrary.array(holdSpec, { minLength: 1, maxLength: 4 }),
  isFull: mostly(false, true, 25),
  acctSeq: int(0, 4),
  /** Microseconds of the account's last row after the present: clocks differ. */
  ahead: pick([-1_000_000, -1, 0, 1, 5_000_000]),
})

type AccountSpec = ValueOf<typeof accountSpec>

const account = (spec: AccountSpec, index: number, currency: Currency): AccountState => {
  const unit = unitOf(currency)
  const of = (units: number | bigint) => Money.make(BigInt(units) * unit)
  const most = Money.max / unit
  const isClosed = spec.acctStatus === "closed"
  const openHolds = isClosed || !spec.hasHolds ? [] : holdsOf(spec, index, of)
  const held = openHolds.reduce((sum, hold) => Money.sum(sum, hold.held), Money.zero)
  const isUnlimited = spec.place === "bottom" || spec.place === "reserved" || spec.limit === "none"
  const limit = of(spec.limit === "zero" ? 0 : spec.limitUnits)
  const balance = {
    top: of(most - BigInt(spec.availableUnits)),
    bottom: of(BigInt(spec.availableUnits) - most),
    reserved: Money.zero,
    empty: Money.zero,
    middle: isUnlimited ? of(spec.availableUnits - 1500) : Money.make(of(spec.availableUnits) + held - limit),
  }[isClosed ? "empty" : spec.place]
  return {
    acctId: accountId(index),
    owner: null,
    currency,
    scale: scaleOf(currency),
    bchgId: BalanceChangeId.make(BigInt(1000 + index)),
    acctSeq: spec.acctSeq + openHolds.length,
    balance,
    held,
    overdraftLimit: isUnlimited ? null : spec.place === "empty" ? Money.sum(limit, held) : limit,
    acctStatus: spec.acctStatus,
    chgCreateTime: Timestamp.make(now + BigInt(spec.ahead)),
    chgHash: Uint8Array.from({ length: 32 }, (_, octet) => (octet * 17 + index) & 255),
    openHolds,
  }
}

/** `reserved`: with a hold that has expired, almost all is held that can be. */
const holdsOf = (
  { holds, isFull, place }: AccountSpec,
  account: number,
  of: (units: number | bigint) => Money.Money,
): ReadonlyArray<OpenHold> => {
  const specs = isFull ? Array.from({ length: openHoldsMax }, (_, index) => holds[index % holds.length]!) : holds
  const units = specs.map((spec) => BigInt(isFull ? 1 : spec.units))
  if (place === "reserved") units[0] = Money.max / of(1) - 100n - units.slice(1).reduce((a, b) => a + b, 0n)
  return specs.map(({ expiresIn }, index) => ({
    holdId: BalanceChangeId.make(BigInt(100_000 + account * 1000 + index)),
    held: of(units[index]!),
    expiresAt: Timestamp.make(now + BigInt(place === "reserved" && index === 0 ? -1 : expiresIn)),
  }))
}

const conditionSpec = Arbitrary.all({
  subject: pick(conditionSubjects),
  comparison: pick(comparisons),
  units: pick([-99_999, 0, 0, 500, 99_999]),
  hasExcessDecimal: mostly(false, true, 20),
})

const legSpec = Arbitrary.all({
  /** Which of the accounts; the last of them is none. */
  account: int(0, 60),
  units: int(1, 600),
  isHuge: mostly(false, true, 30),
  isDebit: pick([false, true]),
  hasConditions: mostly(false, true, 4),
  conditions: Arbitrary.array(conditionSpec, { minLength: 1, maxLength: 2 }),
  isStated: pick([false, true]),
  isMisstated: mostly(false, true, 30),
  hasVersion: pick([false, true]),
  isOutdated: mostly(false, true, 30),
  hasExcessDecimal: mostly(false, true, 40),
})

const remarksSpec = Arbitrary.all({
  reference: pick([null, "order 7"]),
  description: pick([null, "", "rent"]),
  metadata: pick([null, {}, { invoice: "7" }]),
})

const effectiveTime = pick([
  undefined,
  undefined,
  undefined,
  undefined,
  ...[-3_600_000_000n, -3_600_000_000n, 4_000_000n].map((micros) => Timestamp.make(now + micros)),
  ...[-86_400_000_000n, 60_000_000n].map((micros) => Timestamp.make(now + micros)),
])

const postSpec = Arbitrary.all({
  kind: pick(["single", "transfer", "transfer", "transfer", "wild"]),
  legs: Arbitrary.array(legSpec, { minLength: 2, maxLength: 5 }),
  remarks: remarksSpec,
  effectiveTime,
})

const openSpec = Arbitrary.all({
  /** A currency that no account is opened in, or only with a scale that is said. */
  isUnfit: pick([...Array.from({ length: 12 }, () => null), "XTS", "XAU"]),
  account: int(0, 14),
  currency: pick(["USD", "JPY", "BHD", "CLF"]),
  units: int(-1500, 1500),
  limitUnits: nullOr(int(0, 1500)),
  hasExcessDecimal: pick([false, false, false, false, true]),
  acctIdIsChosen: pick([false, true]),
  metadata: pick([null, {}, { branch: "7" }]),
})

const expiry: Arbitrary.Arbitrary<Expiry> = pick<Expiry>([
  ...[1, 60, 3600, ttlMax, ttlMax].map((ttl) => ({ ttl })),
  { ttl: ttlMax + 1 },
  ...[7_000_000n, 86_400_000_000n, 900_000n, -1n, 400n * 86_400_000_000n].map((micros) => ({
    at: Timestamp.make(now + micros),
  })),
])

const holdIntentSpec = Arbitrary.all({
  kind: pick([
    "PlaceHold",
    "PlaceHold",
    "IncreaseHold",
    "CaptureHold",
    "CaptureHold",
    "CaptureHold",
    "ReleaseHold",
    "ExpireHolds",
  ]),
  leg: legSpec,
  /** Which of the open holds; the last is none. */
  hold: int(0, 30),
  isAll: pick([false, true]),
  exceeds: mostly(false, true, 4),
  isFinal: pick([false, true]),
  to: nullOr(int(0, 60)),
  expiry,
  hasExpiry: pick([false, true]),
  remarks: remarksSpec,
  effectiveTime,
})

const termsSpec = Arbitrary.all({
  leg: legSpec,
  wantsEmpty: pick([false, true]),
  acctStatus: pick([undefined, "open", "frozen", "debits_frozen", "credits_frozen", "closed", "closed"]),
  limit: pick(["same", "same", "none", "zero", "some", "used", "too low"]),
  custName: pick([undefined, undefined, "Augusta Ada King"]),
  custAddress: pick([undefined, "Ockham"]),
  remarks: remarksSpec,
})

const reverseSpec = Arbitrary.all({
  legs: Arbitrary.array(legSpec, { minLength: 1, maxLength: 4 }),
  isSingle: mostly(false, true, 4),
  before: pick(["nothing", "nothing", "nothing", "some", "some", "some", "all"]),
  asked: pick(["all", "all", "all", "part", "part", "too much", "wild"]),
  share: int(1, 9),
  isForced: pick([false, true]),
  remarks: remarksSpec,
  effectiveTime,
})

type ValueOf<G> = G extends Arbitrary.Arbitrary<infer A> ? A : never
type LegSpec = ValueOf<typeof legSpec>

const actor = Actor.make("teller-7")

const unknownId = accountId(999)

interface Leg {
  readonly spec: LegSpec
  readonly head: AccountState | undefined
  units: bigint
}

const unitsOf = (spec: LegSpec, head: AccountState | undefined): bigint => {
  const units = spec.isHuge ? Money.max / unitOf(head?.currency ?? Currency.make("USD")) : BigInt(spec.units)
  return spec.isDebit ? -units : units
}

const legsOf = (
  kind: "single" | "transfer" | "wild",
  specs: ReadonlyArray<LegSpec>,
  heads: ReadonlyArray<AccountState>,
): ReadonlyArray<Leg> => {
  const [{ account: first }] = specs as [LegSpec]
  const all: Array<Leg> = specs.map((spec, index) => {
    // The legs of a transfer are neighbours, so that they are of different accounts.
    const place = kind === "transfer" ? first + index : spec.account
    const head = spec.account === 60 ? undefined : heads[place % heads.length]
    return { spec, head, units: unitsOf(spec, head) }
  })
  return { single: all.slice(0, 1), wild: all, transfer: balanced(all) }[kind]
}

/** Of each account the first leg, of each currency two or more, the last of which makes up for the others. */
const balanced = (all: ReadonlyArray<Leg>): ReadonlyArray<Leg> => {
  const distinct = [...new Map(all.map((leg) => [leg.head?.acctId, leg] as const)).values()]
  const groups = [...Map.groupBy(distinct, (leg) => leg.head?.currency).values()].filter((group) => group.length > 1)
  for (const group of groups) {
    const others = group.slice(0, -1)
    const total = () => others.reduce((sum, leg) => sum + leg.units, 0n)
    const [first] = others as [Leg]
    if (total() === 0n) first.units += first.units > 1n ? -1n : first.units < -1n ? 1n : first.units
    const last = group.at(-1)!
    // A sum that no one amount can say stays unbalanced, which is a refusal to meet as well.
    const most = Money.max / unitOf(last.head?.currency ?? Currency.make("USD"))
    if (total() <= most && total() >= -most) last.units = -total()
  }
  return groups.length === 0 ? all.slice(0, 1) : groups.flat()
}

const amountOf = (units: bigint, currency: Currency, hasExcessDecimal: boolean): Money.PositiveAmount => {
  const scale = scaleOf(currency)
  const exact = Money.format(Money.make(units * unitOf(currency)), scale)
  const text = hasExcessDecimal && scale < Money.decimals ? `${exact}${scale === 0 ? "." : ""}0` : exact
  return Money.Amount.make(text) as Money.PositiveAmount
}

const expectationOf = (spec: LegSpec, head: AccountState | undefined): Expectation => {
  const currency = head?.currency ?? Currency.make("USD")
  const acctSeq = head?.acctSeq ?? 0
  return {
    currency: spec.isMisstated ? Currency.make("EUR") : spec.isStated ? currency : undefined,
    expectedSeq: spec.isOutdated ? acctSeq + 1 : spec.hasVersion ? acctSeq : undefined,
    require: spec.hasConditions
      ? spec.conditions.map(({ comparison, hasExcessDecimal, subject, units }) => ({
          subject,
          comparison,
          amount: amountOf(BigInt(units), currency, hasExcessDecimal),
        }))
      : undefined,
  }
}

const change = ({ head, spec, units }: Leg): Change => ({
  acctId: head?.acctId ?? unknownId,
  amount: amountOf(units, head?.currency ?? Currency.make("USD"), spec.hasExcessDecimal),
  ...expectationOf(spec, head),
})

/** An intent about accounts that are there, and what was reversed before of the transaction that it takes back. */
interface Asked {
  readonly intent: Intent
  readonly reversed?: ReadonlyMap<AccountId, Money.Money>
}

type Asking = (heads: ReadonlyArray<AccountState>, xactId: TransactionId) => Asked

const posting = postSpec.pipe(
  Arbitrary.map(({ effectiveTime, kind, legs, remarks }): Asking => (heads) => {
    const changes = legsOf(kind, legs, heads).map(change)
    const intent: PostTransaction = { _tag: "PostTransaction", changes, effectiveTime, ...remarks }
    return { intent }
  }),
)

const opening = openSpec.pipe(
  Arbitrary.map((spec): Asking => () => {
    const currency = Currency.make(spec.currency)
    const amount = (units: number) => amountOf(BigInt(units), currency, false)
    const intent: OpenAccount = {
      _tag: "OpenAccount",
      acctId: accountId(spec.account),
      acctIdIsChosen: spec.acctIdIsChosen,
      custName: "Ada Lovelace",
      custAddress: "London",
      owner: null,
      currency: spec.isUnfit === null ? currency : Currency.make(spec.isUnfit),
      scale: null,
      initialBalance: spec.hasExcessDecimal ? Money.Amount.make("0.00000001") : amount(spec.units),
      overdraftLimit: spec.limitUnits === null ? null : amount(spec.limitUnits),
      reference: null,
      metadata: spec.metadata,
    }
    return { intent }
  }),
)

/** About a hold of an account that has some, if there is one; never more of it than there is, unless that is the fault. */
const holding = holdIntentSpec.pipe(
  Arbitrary.map((spec): Asking => (heads) => {
    const { expiry, isFinal, kind, leg, remarks } = spec
    const holders =
      kind === "PlaceHold"
        ? heads.filter(({ openHolds }) => spec.isAll && openHolds.length === openHoldsMax)
        : heads.filter(({ openHolds }) => openHolds.length > 0)
    const candidates = holders.length === 0 ? heads : holders
    const head = leg.account === 60 ? undefined : candidates[leg.account % candidates.length]
    const acctId = head?.acctId ?? unknownId
    const open = head?.openHolds ?? []
    const live = open.filter((hold) => !isExpired(hold, now))
    const holds = spec.hold % 4 > 0 && live.length > 0 ? live : open
    const hold = spec.hold === 30 ? undefined : holds[spec.hold % Math.max(1, holds.length)]
    const others = spec.to === 59 ? heads : heads.filter((other) => other !== head)
    const currency = head?.currency ?? Currency.make("USD")
    const units = unitsOf({ ...leg, isDebit: false }, head)
    const left = (hold?.held ?? 0n) / unitOf(currency)
    const captured = spec.exceeds || units <= left || left === 0n ? units : 1n + (units % left)
    const amount = (units: bigint) => amountOf(units, currency, leg.hasExcessDecimal)
    const common = { acctId, ...expectationOf(leg, head), ...remarks }
    const holdId = hold?.holdId ?? BalanceChangeId.make(999_999n)
    const intents: Record<typeof kind, HoldIntent> = {
      PlaceHold: { _tag: "PlaceHold", amount: amount(units), expiry, ...common },
      IncreaseHold: {
        _tag: "IncreaseHold",
        holdId,
        amount: amount(units),
        expiry: spec.hasExpiry ? expiry : null,
        ...common,
      },
      CaptureHold: {
        _tag: "CaptureHold",
        holdId,
        amount: spec.isAll ? null : amount(captured),
        isFinal,
        to: spec.to === null ? null : spec.to === 60 ? unknownId : others[spec.to % others.length]!.acctId,
        effectiveTime: spec.effectiveTime,
        ...common,
      },
      ReleaseHold: { _tag: "ReleaseHold", holdId, ...common },
      ExpireHolds: { _tag: "ExpireHolds", acctId },
    }
    return { intent: intents[kind] }
  }),
)

const changingTerms = termsSpec.pipe(
  Arbitrary.map((spec): Asking => (heads) => {
    const { acctStatus, custAddress, custName, leg, remarks } = spec
    const empty = spec.wantsEmpty ? heads.filter(({ balance }) => balance === 0n) : []
    const candidates = empty.length === 0 ? heads : empty
    const head = leg.account === 60 ? undefined : candidates[leg.account % candidates.length]
    const currency = head?.currency ?? Currency.make("USD")
    const used = head === undefined ? 0n : (heldAt(head, now) - head.balance) / unitOf(currency)
    const most = Money.max / unitOf(currency)
    const units = {
      zero: 0n,
      some: BigInt(leg.units),
      used: used < 0n ? 0n : used > most ? most : used,
      "too low": used < 1n ? 0n : used > most ? most : used - 1n,
    }
    const { currency: said, expectedSeq } = expectationOf(leg, head)
    const intent: ChangeTerms = {
      _tag: "ChangeTerms",
      acctId: head?.acctId ?? unknownId,
      acctStatus,
      overdraftLimit:
        spec.limit === "same"
          ? undefined
          : spec.limit === "none"
            ? null
            : amountOf(units[spec.limit], currency, leg.hasExcessDecimal),
      custName,
      custAddress,
      currency: said,
      expectedSeq,
      reason: remarks.description,
      metadata: remarks.metadata,
    }
    return { intent }
  }),
)

interface Amt {
  readonly head: AccountState
  readonly amt: Money.Money
}

/** A part of amounts that sum to zero which does so too: of two of one currency, or of the only one. */
const partOf = (amts: ReadonlyArray<Amt>, share: (least: bigint, unit: bigint) => bigint): ReadonlyArray<Amt> => {
  const pairs = amts.flatMap((a, index) =>
    amts.slice(index + 1).flatMap((b) => {
      return a.head.currency === b.head.currency && a.amt < 0n !== b.amt < 0n && a.amt !== 0n && b.amt !== 0n
        ? [[a, b] as const]
        : []
    }),
  )
  const chosen = pairs[0] ?? (amts.length === 1 ? amts : [])
  if (chosen.length === 0) return []
  const sizes = chosen.map(({ amt }) => (amt < 0n ? -amt : amt))
  const least = sizes.reduce((a, b) => (a < b ? a : b))
  const part = share(least, unitOf(chosen[0]!.head.currency))
  return chosen.map(({ amt, head }) => ({ head, amt: Money.make(amt < 0n ? -part : part) }))
}

const reversing = reverseSpec.pipe(
  Arbitrary.map((spec): Asking => (heads, xactId) => {
    const { effectiveTime, isForced, remarks } = spec
    const legs = legsOf(spec.isSingle || spec.legs.length === 1 ? "single" : "transfer", spec.legs, heads)
    const original = legs.flatMap(({ head, units }): ReadonlyArray<Amt> => {
      return head === undefined ? [] : [{ head, amt: Money.make(units * unitOf(head.currency)) }]
    })
    if (original.length === 0) original.push({ head: heads[0]!, amt: Money.make(unitOf(heads[0]!.currency)) })
    const all = original.map(({ amt, head }) => ({ head, amt: Money.make(-amt) }))
    const before = {
      nothing: [],
      some: partOf(all, (least, unit) => (least / unit / 2n) * unit),
      all,
    }[spec.before]
    const reversed = new Map(before.map(({ amt, head }) => [head.acctId, amt]))
    const rest = all.map(({ amt, head }) => ({ head, amt: Money.make(amt - (reversed.get(head.acctId) ?? 0n)) }))
    const part = partOf(rest, (least, unit) => {
      const share = ((least / unit) * BigInt(spec.share)) / 9n
      return (spec.asked === "too much" ? least / unit + 1n : share === 0n ? 1n : share) * unit
    })
    const changes: ReadonlyArray<Change> =
      spec.asked === "wild" || part.some(({ amt }) => !Money.isInRange(amt))
        ? legsOf("wild", spec.legs, heads).map(change)
        : part.map(({ amt, head }, index) =>
            change({ head, units: amt / unitOf(head.currency), spec: spec.legs[index % spec.legs.length]! }),
          )
    const intent: ReverseTransaction = {
      _tag: "ReverseTransaction",
      xactId,
      original: original.map(({ amt, head }) => ({
        acctId: head.acctId,
        chgAmt: amt,
        currency: head.currency,
        effectiveTime: Timestamp.make(now - 7_200_000_000n),
      })),
      changes: spec.asked === "all" || changes.length === 0 ? null : changes,
      isForced,
      effectiveTime,
      ...remarks,
    }
    return { intent, reversed }
  }),
)

/** Accounts, and what was reversed of the transactions that a request may take back. */
export interface WorldHeads
  extends ReadonlyMap<AccountId, AccountState>, Required<Pick<Heads, "reversed" | "details">> {}

/** What is said of every account. */
export const details = { custName: "Ada Lovelace", custAddress: "London", reference: null, metadata: null }

export const headsWith = (
  states: ReadonlyArray<AccountState>,
  reversed: (xactId: TransactionId, acctId: AccountId) => Money.Money = () => Money.zero,
): WorldHeads =>
  Object.assign(new Map(states.map((state) => [state.acctId, frozen(state)])), { reversed, details: () => details })

/** Several requests about the same accounts, each on its own. */
export interface Worlds {
  readonly heads: WorldHeads
  readonly requests: ReadonlyArray<Request>
}

export interface World {
  readonly heads: WorldHeads
  readonly request: Request
}

export interface WorldOfTwo {
  readonly heads: WorldHeads
  readonly requests: readonly [Request, Request]
}

/** Accounts in two currencies, or in one. */
const accounts = (minLength: number) =>
  Arbitrary.all({
    home: pick(["USD", "JPY", "BHD", "CLF"]),
    foreign: pick(["USD", "JPY", "BHD", "CLF"]),
    specs: Arbitrary.array(accountSpec, { minLength, maxLength: 8 }),
  }).pipe(
    Arbitrary.map(({ foreign, home, specs }) =>
      specs.map((spec, index) => account(spec, index, Currency.make(spec.isForeign ? foreign : home))),
    ),
  )

/** Whoever writes to it finds out at once. The octets of a hash cannot be frozen. */
export const frozen = <A>(value: A): A => {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    for (const part of Object.values(value)) frozen(part)
    Object.freeze(value)
  }
  return value
}

const askingOf = (...generators: ReadonlyArray<Arbitrary.Arbitrary<Asking>>) =>
  Arbitrary.all({ asking: anyOf(...generators), key: pick([null, "key"]) })

/** Of the transaction that the request at a place takes back, should it take one back. */
const xactIdOf = (place: number) => BalanceChangeId.make(BigInt(700 + place))

const worldsOf = <A extends ReadonlyArray<{ readonly asking: Asking; readonly key: string | null }>>(
  states: ReadonlyArray<AccountState>,
  askings: A,
  accountsOf: (place: number) => ReadonlyArray<AccountState>,
): Worlds => {
  const asked = askings.map(({ asking }, place) => asking(accountsOf(place), xactIdOf(place)))
  return {
    heads: headsWith(states, (xactId, acctId) => asked[Number(xactId) - 700]?.reversed?.get(acctId) ?? Money.zero),
    requests: asked.map(({ intent }, place) => {
      const { key } = askings[place]!
      return frozen({ intent, actor, idempotencyKey: key === null ? null : IdempotencyKey.make(`${key}-${place}`) })
    }),
  }
}

const aboutAccounts = [posting, posting, holding, holding, changingTerms, reversing, reversing]

const worldAsking = (...generators: ReadonlyArray<Arbitrary.Arbitrary<Asking>>): Arbitrary.Arbitrary<World> =>
  Arbitrary.all({ states: accounts(3), asking: askingOf(...generators) }).pipe(
    Arbitrary.map(({ asking, states }) => {
      const { heads, requests } = worldsOf(states, [asking], () => states)
      return { heads, request: requests[0]! }
    }),
  )

export const world = worldAsking(...aboutAccounts, opening)
export const worldOfHold = worldAsking(holding)
export const worldOfPosting = worldAsking(posting)
export const worldOfReversal = worldAsking(reversing)

/** Two requests, one about the first half of the accounts, one about the second. */
export const worldOfTwo: Arbitrary.Arbitrary<WorldOfTwo> = Arbitrary.all({
  states: accounts(4),
  askings: Arbitrary.all([askingOf(...aboutAccounts), askingOf(...aboutAccounts)]),
}).pipe(
  Arbitrary.map(({ askings, states }) => {
    const middle = Math.ceil(states.length / 2)
    const halves = [states.slice(0, middle), states.slice(middle)]
    const { heads, requests } = worldsOf(states, askings, (place) => halves[place]!)
    return { heads, requests: requests as WorldOfTwo["requests"] }
  }),
)

/** Requests that meet on the same few accounts; the first, perhaps, once more at the end. */
export const worldOfMany: Arbitrary.Arbitrary<Worlds> = Arbitrary.all({
  states: accounts(3),
  askings: Arbitrary.array(askingOf(...aboutAccounts, opening), { minLength: 2, maxLength: 5 }),
  isRepeated: pick([false, true]),
}).pipe(
  Arbitrary.map(({ askings, isRepeated, states }) => {
    const worlds = worldsOf(states, askings, () => states)
    return isRepeated ? { ...worlds, requests: [...worlds.requests, worlds.requests[0]!] } : worlds
  }),
)
