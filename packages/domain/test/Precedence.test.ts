/**
 * Where several refusals apply to one request, the first of a fixed order is given (`Decide.ts`): same account, existence, what
 * has ended, status, currency and scale, balance of the legs, version, range, limits of the kind of request, funds, conditions.
 */
import { assert, describe, it } from "@effect/vitest"
import type { AccountId } from "../src/account/AccountId.ts"
import type { AccountState } from "../src/account/AccountState.ts"
import type { AccountStatus } from "../src/account/AccountStatus.ts"
import type { Condition } from "../src/request/Condition.ts"
import { Currency } from "../src/money/Currency.ts"
import { openHoldsMax } from "../src/account/Hold.ts"
import type { Change, Expectation, Expiry } from "../src/request/Intent.ts"
import * as Money from "../src/money/Money.ts"
import {
  amount,
  hold,
  holdId,
  holding,
  judge,
  leg,
  money,
  post,
  refusalOf,
  rowsOf,
  silent,
  state,
  tagOf,
  type Verdict,
  usd,
} from "./Sample.ts"
import { accountId, now } from "./World.ts"

const unmet: Condition = { subject: "posted", comparison: "gt", amount: amount("99999999999999999999") }

/** A fault that lies in changes of accounts of its own, so that any two can be put into one transaction. */
interface Fault {
  readonly name: string
  readonly stage: number
  readonly tag: string
  /** Balanced by themselves, unless that is the fault. The accounts are `first`, `first + 1` … */
  readonly changes: (first: number) => ReadonlyArray<Change>
  readonly states: (first: number) => ReadonlyArray<AccountState>
  /** Which of the accounts the refusal names, where it names one. */
  readonly names?: (first: number) => AccountId
}

const rich = (first: number) => [state(first), state(first + 1)]
const pair =
  (text: string, other: Partial<Change> = {}) =>
  (first: number) => [leg(first, text, other), leg(first + 1, text.startsWith("-") ? text.slice(1) : `-${text}`)]
const one = (other: Partial<AccountState>) => (first: number) => [state(first, other), state(first + 1)]
const named = (first: number) => accountId(first)

const refusalBy = (fault: Fault, first: number) =>
  fault.names === undefined ? { _tag: fault.tag } : { _tag: fault.tag, accountId: fault.names(first) }

describe("of the changes of a transaction", () => {
  const faults: ReadonlyArray<Fault> = [
    {
      name: "same account",
      stage: 1,
      tag: "SameAccount",
      changes: (first) => [leg(first, "1"), leg(first, "1"), leg(first + 1, "-2")],
      states: rich,
      names: named,
    },
    {
      name: "account not found",
      stage: 2,
      tag: "AccountNotFound",
      changes: pair("1"),
      states: (first) => [state(first + 1)],
      names: named,
    },
    {
      name: "closed",
      stage: 3,
      tag: "AccountClosed",
      changes: pair("1"),
      states: one({ acctStatus: "closed" }),
      names: named,
    },
    {
      name: "frozen",
      stage: 3,
      tag: "AccountFrozen",
      changes: pair("-1"),
      states: one({ acctStatus: "debits_frozen" }),
      names: named,
    },
    {
      name: "another currency said",
      stage: 4,
      tag: "CurrencyMismatch",
      changes: pair("1", { currency: Currency.make("EUR") }),
      states: rich,
      names: named,
    },
    { name: "scale", stage: 4, tag: "ScaleExceeded", changes: pair("0.001"), states: rich },
    // That a change is alone in its currency is seen where the changes are summed: after what each says by itself.
    {
      name: "alone in a currency",
      stage: 5,
      tag: "CurrencyMismatch",
      changes: (first) => [leg(first, "1")],
      states: (first) => [state(first, { currency: Currency.make(first < 50 ? "JPY" : "KRW") })],
      names: named,
    },
    {
      name: "unbalanced",
      stage: 6,
      tag: "Unbalanced",
      changes: (first) => [leg(first, "1"), leg(first + 1, "1")],
      states: rich,
    },
    {
      name: "version",
      stage: 7,
      tag: "VersionConflict",
      changes: pair("1", { expectedSeq: 9 }),
      states: rich,
      names: named,
    },
    {
      name: "range",
      stage: 8,
      tag: "AmountOutOfRange",
      changes: pair("1"),
      states: one({ balance: money("99999999999999999999.99") }),
      names: named,
    },
    {
      name: "funds",
      stage: 9,
      tag: "InsufficientFunds",
      changes: pair("-1"),
      states: one({ balance: Money.zero }),
      names: named,
    },
    {
      name: "condition",
      stage: 10,
      tag: "ConditionNotMet",
      changes: pair("-1", { require: [unmet] }),
      states: rich,
      names: named,
    },
  ]

  const innocent = { changes: pair("1")(90), states: rich(90) }

  it("holds without a fault", () => assert.lengthOf(rowsOf(post(innocent.states, innocent.changes)), 2))

  it.each(faults)("$name by itself", (fault) => {
    const states = [...fault.states(10), ...innocent.states]
    assert.deepInclude(refusalOf(post(states, [...fault.changes(10), ...innocent.changes])), refusalBy(fault, 10))
    assert.deepInclude(refusalOf(post(states, [...innocent.changes, ...fault.changes(10)])), refusalBy(fault, 10))
  })

  // On different accounts any two faults can apply at once, so no pair is left out: 12 × 11 / 2. The one limit is that
  // of two faults of one account only one status, and one answer about existence, can be true: see the next table.
  const pairs = faults.flatMap((earlier, index) => faults.slice(index + 1).map((later) => ({ earlier, later })))

  it("covers every pair", () => assert.lengthOf(pairs, 66))

  it.each(pairs)("$earlier.name and $later.name", ({ earlier, later }) => {
    const states = [...earlier.states(10), ...later.states(60), ...innocent.states]
    const [a, b] = [earlier.changes(10), later.changes(60)]
    assert.deepInclude(refusalOf(post(states, [...innocent.changes, ...a, ...b])), refusalBy(earlier, 10))
    // The other way round, the stage decides; within a stage the first change that is concerned.
    const isSameStage = earlier.stage === later.stage
    assert.deepInclude(
      refusalOf(post(states, [...b, ...a, ...innocent.changes])),
      refusalBy(isSameStage ? later : earlier, isSameStage ? 60 : 10),
    )
  })

  it.each(faults)("$name twice: the first that is concerned", (fault) => {
    const states = [...fault.states(10), ...fault.states(60)]
    const verdict = post(states, [...fault.changes(60), ...fault.changes(10)])
    assert.deepInclude(refusalOf(verdict), refusalBy(fault, 60))
  })

  /**
   * Faults of one and the same change, alone in its transaction. Not among them: the same account twice, a change alone
   * in its currency and an unbalanced sum, which need two changes; an account that does not exist, since it has no
   * status, currency, version or balance to offend; and the pair of closed and frozen, since an account has one status.
   */
  const debit: Change = leg(1, "-1")
  const single: ReadonlyArray<{
    readonly name: string
    readonly tag: string
    readonly change: (change: Change) => Change
    readonly state: (head: AccountState) => AccountState
  }> = [
    {
      name: "closed",
      tag: "AccountClosed",
      change: (change) => change,
      state: (head) => ({ ...head, acctStatus: "closed" }),
    },
    {
      name: "frozen",
      tag: "AccountFrozen",
      change: (change) => change,
      state: (head) => ({ ...head, acctStatus: "frozen" }),
    },
    {
      name: "another currency said",
      tag: "CurrencyMismatch",
      change: (change) => ({ ...change, currency: Currency.make("EUR") }),
      state: (head) => head,
    },
    {
      name: "scale",
      tag: "ScaleExceeded",
      change: (change) => ({ ...change, amount: amount("-1.000") }),
      state: (head) => head,
    },
    {
      name: "version",
      tag: "VersionConflict",
      change: (change) => ({ ...change, expectedSeq: 9 }),
      state: (head) => head,
    },
    {
      // Downward, the only way in which an amount can pass the range and the funds at once.
      name: "range",
      tag: "AmountOutOfRange",
      change: (change) => change,
      state: (head) => ({ ...head, balance: money("-99999999999999999999.99"), overdraftLimit: null }),
    },
    {
      name: "funds",
      tag: "InsufficientFunds",
      change: (change) => change,
      state: (head) =>
        head.overdraftLimit === null
          ? { ...head, overdraftLimit: money("99999999999999999999.99") }
          : { ...head, balance: Money.zero },
    },
    {
      name: "condition",
      tag: "ConditionNotMet",
      change: (change) => ({ ...change, require: [unmet] }),
      state: (head) => head,
    },
  ]

  const singlePairs = single
    .flatMap((earlier, index) => single.slice(index + 1).map((later) => ({ earlier, later })))
    .filter(({ earlier, later }) => !(earlier.name === "closed" && later.name === "frozen"))

  it.each(single)("one change: $name by itself", ({ change, state: stateOf, tag }) =>
    assert.strictEqual(tagOf(post([stateOf(state(1))], [change(debit)])), tag),
  )

  it.each(singlePairs)("one change: $earlier.name before $later.name", ({ earlier, later }) => {
    const head = later.state(earlier.state(state(1)))
    const verdict = post([head], [later.change(earlier.change(debit))])
    assert.strictEqual(tagOf(verdict), earlier.tag)
  })
})

/** What is the matter with a request: settings that make it so, by name. Two that set the same thing exclude each other. */
interface Flaw<D> {
  readonly name: string
  readonly tag: string
  readonly set: Partial<D>
}

/** A kind of request with all that can be the matter with it, in the order of precedence. */
interface Kind<D> {
  readonly name: string
  /** Nothing is the matter. */
  readonly sound: D
  readonly flaws: ReadonlyArray<Flaw<D>>
  readonly judge: (settings: D) => Verdict
  /** Pairs that cannot apply to one request at once, though nothing is set twice. */
  readonly exclusive?: ReadonlyArray<readonly [string, string]>
  /** How many pairs there are. */
  readonly pairs: number
}

const isExclusive = <D extends object>(a: Flaw<D>, b: Flaw<D>, { exclusive = [] }: Kind<D>) =>
  exclusive.some(([one, other]) => one === a.name && other === b.name) ||
  Object.keys(a.set).some((key) => key in b.set && a.set[key as keyof D] !== b.set[key as keyof D])

const precedes = <D extends object>(kind: Kind<D>) =>
  describe(`of ${kind.name}`, () => {
    const { flaws, judge, pairs, sound } = kind
    const both = flaws.flatMap((earlier, index) =>
      flaws.slice(index + 1).flatMap((later) => (isExclusive(earlier, later, kind) ? [] : [{ earlier, later }])),
    )

    it("nothing is the matter", () => assert.strictEqual(tagOf(judge(sound)), "Decision"))

    it.each(flaws)("$name by itself: $tag", ({ set, tag }) =>
      assert.strictEqual(tagOf(judge({ ...sound, ...set })), tag),
    )

    it.each(both)("$earlier.name before $later.name", ({ earlier, later }) =>
      assert.strictEqual(tagOf(judge({ ...sound, ...earlier.set, ...later.set })), earlier.tag),
    )

    it("every pair is there that can be", () => assert.lengthOf(both, pairs))
  })

/** Settings that every kind of request about one account has. */
interface Common {
  readonly exists: boolean
  readonly acctStatus: AccountStatus
  readonly currency: "USD" | "EUR"
  readonly expectedSeq: number
  readonly bound: Condition | null
}

const common: Common = { exists: true, acctStatus: "open", currency: "USD", expectedSeq: 3, bound: null }

const expectation = ({ bound, currency, expectedSeq }: Common): Expectation => ({
  currency: Currency.make(currency),
  expectedSeq,
  require: bound === null ? undefined : [bound],
})

const missing = { name: "no account", tag: "AccountNotFound", set: { exists: false } }
const closed = { name: "closed", tag: "AccountClosed", set: { acctStatus: "closed" } } as const
const frozen = { name: "frozen", tag: "AccountFrozen", set: { acctStatus: "frozen" } } as const
const foreign = { name: "another currency said", tag: "CurrencyMismatch", set: { currency: "EUR" } } as const
const fineBound = {
  name: "scale of a condition",
  tag: "ScaleExceeded",
  set: { bound: { ...unmet, amount: amount("0.001") } },
}
const outdated = { name: "version", tag: "VersionConflict", set: { expectedSeq: 9 } }
const unsatisfied = { name: "condition", tag: "ConditionNotMet", set: { bound: unmet } }

/** What does not exist has no state that could be the matter. */
const without = (...names: ReadonlyArray<string>) => names.map((name) => [missing.name, name] as const)

precedes({
  name: "opening an account",
  sound: { isKnown: false, limit: "0", balance: "5" },
  flaws: [
    { name: "known", tag: "AccountAlreadyExists", set: { isKnown: true } },
    { name: "scale", tag: "ScaleExceeded", set: { limit: "0.000" } },
    { name: "funds", tag: "InsufficientFunds", set: { balance: "-1" } },
  ],
  judge: ({ balance, isKnown, limit }) =>
    judge(
      {
        _tag: "OpenAccount",
        acctId: accountId(1),
        acctIdIsChosen: true,
        custName: "Ada",
        custAddress: "",
        owner: null,
        currency: Currency.make("USD"),
        scale: null,
        initialBalance: amount(balance),
        overdraftLimit: amount(limit),
        reference: null,
        metadata: null,
      },
      isKnown ? [state(1)] : [],
    ),
  pairs: 3,
})

interface Holding extends Common {
  readonly text: string
  readonly expiry: Expiry
  readonly hold: "open" | "expired" | "ended"
  readonly isFull: boolean
  readonly isHeldMost: boolean
  readonly isPoor: boolean
}

const asking: Holding = {
  ...common,
  text: "2",
  expiry: { ttl: 60 },
  hold: "open",
  isFull: false,
  isHeldMost: false,
  isPoor: false,
}

const fine = { name: "scale", tag: "ScaleExceeded", set: { text: "2.000" } }
const ended = { name: "hold ended", tag: "HoldEnded", set: { hold: "ended" } } as const
const expired = { name: "hold expired", tag: "HoldExpired", set: { hold: "expired" } } as const
const tooMuchHeld = { name: "range", tag: "AmountOutOfRange", set: { isHeldMost: true } }
const unlasting = { name: "expiry", tag: "ExpiryOutOfRange", set: { expiry: { ttl: 0 } } }
const full = { name: "too many holds", tag: "TooManyHolds", set: { isFull: true } }
const poor = { name: "funds", tag: "InsufficientFunds", set: { isPoor: true } }

/** With a hold of 1, perhaps ended or expired, and one that takes almost all that can be held, or as many as there may be. */
const headOf = ({
  acctStatus,
  exists,
  hold: state,
  isFull,
  isHeldMost,
  isPoor,
}: Holding): ReadonlyArray<AccountState> => {
  if (!exists) return []
  const holds = [
    ...(state === "ended" ? [] : [hold(0, "1", state === "open" ? 60 : -1)]),
    ...Array.from({ length: isFull ? openHoldsMax - 1 : 1 }, (_, index) => hold(index + 1, "0.01", 60)),
    ...(isHeldMost
      ? [{ ...hold(999, "1", 60), held: Money.difference(money("99999999999999999999.99"), money("3")) }]
      : []),
  ]
  const head = holding(1, holds, { acctStatus, balance: money(isPoor ? "0" : "1000") })
  return [{ ...head, overdraftLimit: isPoor ? head.held : isHeldMost ? null : Money.zero }]
}

precedes<Holding>({
  name: "placing a hold",
  sound: asking,
  flaws: [missing, closed, frozen, foreign, fine, fineBound, outdated, tooMuchHeld, unlasting, full, poor, unsatisfied],
  judge: (settings) =>
    judge(
      {
        _tag: "PlaceHold",
        acctId: accountId(1),
        amount: amount(settings.text),
        expiry: settings.expiry,
        ...expectation(settings),
        ...silent,
      },
      headOf(settings),
    ),
  exclusive: without("closed", "frozen", "range", "too many holds", "funds", "condition"),
  pairs: 58,
})

precedes<Holding>({
  name: "increasing a hold",
  sound: asking,
  flaws: [
    missing,
    ended,
    expired,
    closed,
    frozen,
    foreign,
    fine,
    fineBound,
    outdated,
    tooMuchHeld,
    unlasting,
    poor,
    unsatisfied,
  ],
  judge: (settings) =>
    judge(
      {
        _tag: "IncreaseHold",
        acctId: accountId(1),
        holdId: holdId(0),
        amount: amount(settings.text),
        expiry: settings.expiry,
        ...expectation(settings),
        ...silent,
      },
      headOf(settings),
    ),
  exclusive: without("hold ended", "hold expired", "closed", "frozen", "range", "funds", "condition"),
  pairs: 68,
})

precedes<Holding>({
  name: "releasing a hold",
  sound: asking,
  flaws: [missing, ended, expired, closed, foreign, fineBound, outdated, unsatisfied],
  judge: (settings) =>
    judge(
      { _tag: "ReleaseHold", acctId: accountId(1), holdId: holdId(0), ...expectation(settings), ...silent },
      headOf(settings),
    ),
  exclusive: without("hold ended", "hold expired", "closed", "condition"),
  pairs: 22,
})

precedes<Pick<Holding, "exists" | "hold">>({
  name: "letting go of what has expired",
  sound: { exists: true, hold: "expired" },
  flaws: [missing, { name: "nothing expired", tag: "NothingExpired", set: { hold: "open" } }],
  judge: (settings) => judge({ _tag: "ExpireHolds", acctId: accountId(1) }, headOf({ ...asking, ...settings })),
  exclusive: without("nothing expired"),
  pairs: 0,
})

interface Capturing extends Common {
  readonly text: string
  readonly hold: "open" | "expired" | "ended"
  readonly left: string
  readonly to: number
  readonly receiver: Partial<AccountState>["currency"]
  readonly isReceiverAtTop: boolean
}

precedes<Capturing>({
  name: "capturing a hold into another account",
  sound: {
    ...common,
    text: "2",
    hold: "open",
    left: "5",
    to: 2,
    receiver: Currency.make("USD"),
    isReceiverAtTop: false,
  },
  flaws: [
    { name: "same account", tag: "SameAccount", set: { to: 1 } },
    missing,
    ended,
    expired,
    closed,
    frozen,
    foreign,
    fine,
    fineBound,
    { name: "into another currency", tag: "CurrencyMismatch", set: { receiver: Currency.make("EUR") } },
    outdated,
    { name: "range", tag: "AmountOutOfRange", set: { isReceiverAtTop: true } },
    { name: "more than the hold", tag: "CaptureExceedsHold", set: { left: "1" } },
    unsatisfied,
  ],
  judge: (settings) => {
    const { acctStatus, exists, hold: state_, isReceiverAtTop, left, receiver, text, to } = settings
    const holds = state_ === "ended" ? [] : [hold(0, left, state_ === "open" ? 60 : -1)]
    return judge(
      {
        _tag: "CaptureHold",
        acctId: accountId(1),
        holdId: holdId(0),
        amount: amount(text),
        isFinal: true,
        to: accountId(to),
        ...expectation(settings),
        ...silent,
      },
      [
        ...(exists ? [holding(1, holds, { acctStatus })] : []),
        state(2, { currency: receiver!, balance: money(isReceiverAtTop ? "99999999999999999999" : "0") }),
      ],
    )
  },
  exclusive: [
    ...without("hold ended", "hold expired", "closed", "frozen", "more than the hold", "condition"),
    // What has ended has nothing left; the same account once more is no other.
    ["hold ended", "more than the hold"],
    ["same account", "into another currency"],
    ["same account", "range"],
  ],
  pairs: 79,
})

interface Terms extends Common {
  readonly asked: AccountStatus
  readonly limit: string
  readonly zeros: string
  readonly balance: string
}

precedes<Terms>({
  name: "changing terms",
  sound: { ...common, asked: "frozen", limit: "5", zeros: "", balance: "0" },
  flaws: [
    missing,
    closed,
    foreign,
    { name: "scale", tag: "ScaleExceeded", set: { zeros: ".000" } },
    outdated,
    { name: "not empty", tag: "AccountNotEmpty", set: { asked: "closed", balance: "-5" } },
    { name: "overdraft in use", tag: "OverdraftInUse", set: { limit: "1", balance: "-5" } },
  ],
  judge: (settings) => {
    const { acctStatus, asked, balance, exists, limit, zeros } = settings
    const { currency, expectedSeq } = expectation(settings)
    return judge(
      {
        _tag: "ChangeTerms",
        acctId: accountId(1),
        acctStatus: asked,
        overdraftLimit: amount(`${limit}${zeros}`),
        currency,
        expectedSeq,
        reason: null,
        metadata: null,
      },
      exists ? [state(1, { acctStatus, balance: money(balance), overdraftLimit: money("10") })] : [],
    )
  },
  // What is closed is empty.
  exclusive: [
    ...without("closed", "not empty", "overdraft in use"),
    ["closed", "not empty"],
    ["closed", "overdraft in use"],
  ],
  pairs: 16,
})

interface Reversing extends Common {
  readonly isTwice: boolean
  readonly isReversed: boolean
  readonly credit: string
  readonly zeros: string
  readonly original: string
  readonly isAtTop: boolean
  readonly funds: "enough" | "none" | "none, and no limit to raise"
  readonly isForced: boolean
}

precedes<Reversing>({
  name: "taking a transaction back",
  sound: {
    ...common,
    isTwice: false,
    isReversed: false,
    credit: "2",
    zeros: "",
    original: "5",
    isAtTop: false,
    funds: "enough",
    isForced: false,
  },
  flaws: [
    { name: "same account", tag: "SameAccount", set: { isTwice: true } },
    missing,
    { name: "reversed before", tag: "AlreadyReversed", set: { isReversed: true } },
    closed,
    frozen,
    foreign,
    { name: "scale", tag: "ScaleExceeded", set: { zeros: ".000" } },
    fineBound,
    { name: "unbalanced", tag: "Unbalanced", set: { credit: "1" } },
    outdated,
    { name: "range", tag: "AmountOutOfRange", set: { isAtTop: true } },
    { name: "more than is left", tag: "ReversalExceedsTransaction", set: { original: "0.5" } },
    {
      name: "range of the raised limit",
      tag: "AmountOutOfRange",
      set: { funds: "none, and no limit to raise", isForced: true },
    },
    { name: "funds", tag: "InsufficientFunds", set: { funds: "none" } },
    unsatisfied,
  ],
  judge: (settings) => {
    const { acctStatus, credit, exists, funds, isAtTop, isForced, isReversed, isTwice, original, zeros } = settings
    const debit = leg(2, `-2${zeros}`, expectation(settings))
    const most = "99999999999999999999.99"
    const from = {
      enough: state(2, { acctStatus }),
      none: state(2, { acctStatus, balance: Money.zero }),
      "none, and no limit to raise": holding(2, [hold(0, most, 60)], {
        acctStatus,
        balance: Money.zero,
        overdraftLimit: money(most),
      }),
    }[funds]
    return judge(
      {
        _tag: "ReverseTransaction",
        xactId: holdId(9),
        original: [
          { acctId: accountId(1), chgAmt: money(`-${original}`), currency: usd, effectiveTime: now },
          { acctId: accountId(2), chgAmt: money(original), currency: usd, effectiveTime: now },
        ],
        changes: [leg(1, credit), debit, ...(isTwice ? [debit] : [])],
        isForced,
        ...silent,
      },
      [state(1, { balance: money(isAtTop ? most : "0") }), ...(exists ? [from] : [])],
      isReversed
        ? new Map([
            [accountId(1), money(original)],
            [accountId(2), money(`-${original}`)],
          ])
        : undefined,
    )
  },
  exclusive: without("closed", "frozen", "range of the raised limit", "funds", "condition"),
  pairs: 97,
})
