/** Generated accounts in any state that the table can hold, and requests about them, good and bad. */
import { Arbitrary } from "effect"
import { AccountId } from "../src/AccountId.ts"
import type { AccountState } from "../src/AccountState.ts"
import { Actor } from "../src/Actor.ts"
import { BalanceChangeId } from "../src/BalanceChangeId.ts"
import { Currency, scaleOf } from "../src/Currency.ts"
import type { Stamp } from "../src/Decision.ts"
import { noHolds } from "../src/Hold.ts"
import { IdempotencyKey } from "../src/Idempotency.ts"
import type { Change, OpenAccount, PostTransaction, Request } from "../src/Intent.ts"
import * as Money from "../src/Money.ts"
import * as Timestamp from "../src/Timestamp.ts"
import { int, nullOr, pick } from "./Generated.ts"

export const ledgerId = "0192f0c1-7a5e-7c4b-9d21-3f6a8b0c1d2e"
export const now = Timestamp.make(1_795_426_200_000_000n)

export const accountId = (index: number): AccountId =>
  AccountId.make(`00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`)

export const stamp = (idFirst: number, count: number): Stamp => ({
  now,
  ids: Array.from({ length: count }, (_, index) => BalanceChangeId.make(BigInt(idFirst + index))),
  ledgerId,
})

/** The smallest amount of a currency. */
const unitOf = (currency: Currency): bigint => 10n ** BigInt(Money.decimals - scaleOf(currency))

/** `often`, but `seldom` once in `sides`. */
const mostly = <A>(often: A, seldom: A, sides: number) =>
  pick([...Array.from({ length: sides - 1 }, () => often), seldom])

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
  place: pick([...Array.from({ length: 10 }, () => "middle" as const), "top", "bottom"]),
  limit: pick(["zero", "some", "some", "none"]),
  availableUnits: int(0, 3000),
  limitUnits: int(0, 2000),
  heldUnits: pick([0, 0, 1, 250]),
  acctSeq: int(0, 4),
  /** Microseconds of the account's last row after the present: clocks differ. */
  ahead: pick([-1_000_000, -1, 0, 1, 5_000_000]),
})

type AccountSpec = ValueOf<typeof accountSpec>

const account = (spec: AccountSpec, index: number, currency: Currency): AccountState => {
  const unit = unitOf(currency)
  const of = (units: number | bigint) => Money.make(BigInt(units) * unit)
  const most = Money.max / unit
  const held = of(spec.heldUnits)
  const limit =
    spec.place === "bottom" || spec.limit === "none" ? null : of(spec.limit === "zero" ? 0 : spec.limitUnits)
  const balance = {
    top: of(most - BigInt(spec.availableUnits)),
    bottom: of(BigInt(spec.availableUnits) - most),
    middle: limit === null ? of(spec.availableUnits - 1500) : Money.make(of(spec.availableUnits) + held - limit),
  }[spec.place]
  return {
    acctId: accountId(index),
    currency,
    bchgId: BalanceChangeId.make(BigInt(1000 + index)),
    acctSeq: spec.acctSeq,
    balance,
    held,
    overdraftLimit: limit,
    acctStatus: spec.acctStatus,
    chgCreateTime: Timestamp.make(now + BigInt(spec.ahead)),
    chgHash: Uint8Array.from({ length: 32 }, (_, octet) => (octet * 17 + index) & 255),
    openHolds: noHolds,
  }
}

const legSpec = Arbitrary.all({
  /** Which of the accounts; the last of them is none. */
  account: int(0, 60),
  units: int(1, 600),
  isHuge: mostly(false, true, 30),
  isDebit: pick([false, true]),
  isStated: pick([false, true]),
  isMisstated: mostly(false, true, 30),
  hasVersion: pick([false, true]),
  isOutdated: mostly(false, true, 30),
  hasExcessDecimal: mostly(false, true, 40),
})

const postSpec = Arbitrary.all({
  kind: pick(["single", "transfer", "transfer", "transfer", "wild"]),
  legs: Arbitrary.array(legSpec, { minLength: 2, maxLength: 5 }),
  description: pick([null, "", "rent"]),
  metadata: pick([null, {}, { invoice: "7" }]),
  key: pick([null, "key-1"]),
})

const openSpec = Arbitrary.all({
  account: int(0, 14),
  currency: pick(["USD", "JPY", "BHD", "CLF"]),
  units: int(-1500, 1500),
  limitUnits: nullOr(int(0, 1500)),
  hasExcessDecimal: pick([false, false, false, false, true]),
  acctIdIsChosen: pick([false, true]),
  metadata: pick([null, {}, { branch: "7" }]),
  key: pick([null, "key-1"]),
})

type ValueOf<G> = G extends Arbitrary.Arbitrary<infer A> ? A : never
type LegSpec = ValueOf<typeof legSpec>
type PostSpec = ValueOf<typeof postSpec>
type OpenSpec = ValueOf<typeof openSpec>

const actor = Actor.make("teller-7")
const keyOf = (key: string | null) => (key === null ? null : IdempotencyKey.make(key))

const unknownId = accountId(999)

interface Leg {
  readonly spec: LegSpec
  readonly head: AccountState | undefined
  units: bigint
}

const post = (spec: PostSpec, heads: ReadonlyArray<AccountState>): Request<PostTransaction> => {
  const [{ account: first }] = spec.legs as [LegSpec]
  const all: Array<Leg> = spec.legs.map((leg, index) => {
    // The legs of a transfer are neighbours, so that they are of different accounts.
    const place = spec.kind === "transfer" ? first + index : leg.account
    const head = leg.account === 60 ? undefined : heads[place % heads.length]
    const units = leg.isHuge ? Money.max / unitOf(head?.currency ?? Currency.make("USD")) : BigInt(leg.units)
    return { spec: leg, head, units: leg.isDebit ? -units : units }
  })
  const legs = { single: all.slice(0, 1), wild: all, transfer: balanced(all) }[spec.kind]
  return {
    intent: {
      _tag: "PostTransaction",
      changes: legs.map(change),
      description: spec.description,
      metadata: spec.metadata,
    },
    actor,
    idempotencyKey: keyOf(spec.key),
  }
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

const change = ({ head, spec, units }: Leg): Change => {
  const currency = head?.currency ?? Currency.make("USD")
  const scale = scaleOf(currency)
  const exact = Money.format(Money.make(units * unitOf(currency)), scale)
  const amount = spec.hasExcessDecimal && scale < Money.decimals ? `${exact}${scale === 0 ? "." : ""}0` : exact
  const acctSeq = head?.acctSeq ?? 0
  return {
    acctId: head?.acctId ?? unknownId,
    amount: Money.Amount.make(amount),
    currency: spec.isMisstated ? Currency.make("EUR") : spec.isStated ? currency : undefined,
    expectedSeq: spec.isOutdated ? acctSeq + 1 : spec.hasVersion ? acctSeq : undefined,
  }
}

const open = (spec: OpenSpec): Request<OpenAccount> => {
  const currency = Currency.make(spec.currency)
  const scale = scaleOf(currency)
  const amount = (units: number) => Money.format(Money.make(BigInt(units) * unitOf(currency)), scale)
  return {
    intent: {
      _tag: "OpenAccount",
      acctId: accountId(spec.account),
      acctIdIsChosen: spec.acctIdIsChosen,
      custName: "Ada Lovelace",
      custAddress: "London",
      currency,
      initialBalance: spec.hasExcessDecimal && scale < 4 ? Money.Amount.make("0.0001") : amount(spec.units),
      overdraftLimit: spec.limitUnits === null ? null : amount(spec.limitUnits),
      metadata: spec.metadata,
    },
    actor,
    idempotencyKey: keyOf(spec.key),
  }
}

export interface World {
  readonly heads: ReadonlyMap<AccountId, AccountState>
  readonly request: Request<OpenAccount | PostTransaction>
}

export interface WorldOfTwo {
  readonly heads: ReadonlyMap<AccountId, AccountState>
  readonly requests: readonly [Request<PostTransaction>, Request<PostTransaction>]
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

const headsOf = (states: ReadonlyArray<AccountState>) => new Map(states.map((state) => [state.acctId, frozen(state)]))

/** Whoever writes to it finds out at once. The octets of a hash cannot be frozen. */
export const frozen = <A>(value: A): A => {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    for (const part of Object.values(value)) frozen(part)
    Object.freeze(value)
  }
  return value
}

export const world: Arbitrary.Arbitrary<World> = Arbitrary.all({
  states: accounts(3),
  kind: pick(["post", "post", "post", "post", "open"]),
  post: postSpec,
  open: openSpec,
}).pipe(
  Arbitrary.map((spec) => ({
    heads: headsOf(spec.states),
    request: frozen<World["request"]>(spec.kind === "open" ? open(spec.open) : post(spec.post, spec.states)),
  })),
)

/** Two transactions, one on the first half of the accounts, one on the second. */
export const worldOfTwo: Arbitrary.Arbitrary<WorldOfTwo> = Arbitrary.all({
  states: accounts(4),
  first: postSpec,
  second: postSpec,
}).pipe(
  Arbitrary.map(({ first, second, states }) => {
    const middle = Math.ceil(states.length / 2)
    return {
      heads: headsOf(states),
      requests: [frozen(post(first, states.slice(0, middle))), frozen(post(second, states.slice(middle)))] as const,
    }
  }),
)
