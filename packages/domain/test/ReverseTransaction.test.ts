import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result } from "effect"
import type { AccountId } from "../src/account/AccountId.ts"
import { type AccountState, available } from "../src/account/AccountState.ts"
import { decide, HeadsAfter, idsMax } from "../src/decide/Decide.ts"
import type { Change, Intent, ReverseTransaction } from "../src/request/Intent.ts"
import { Currency } from "../src/money/Currency.ts"
import * as Money from "../src/money/Money.ts"
import * as Timestamp from "../src/time/Timestamp.ts"
import {
  decisionOf,
  hold,
  holdId,
  holding,
  judge,
  leg,
  money,
  refusalOf,
  rowsOf,
  silent,
  state,
  tagOf,
  usd,
} from "./Sample.ts"
import { anyOf, int, pick } from "./Generated.ts"
import { accountId, now, stamp, type World, worldOfHold, worldOfPosting } from "./World.ts"

/** A part of a transaction to take back: of which leg, how many ninths, and whether more than there is. */
const part = Arbitrary.all({
  leg: int(0, 9),
  other: int(0, 9),
  ninths: int(1, 12),
  isWrongWay: pick([false, false, false, false, true]),
  isForced: pick([false, true]),
})

type Part = typeof part extends Arbitrary.Arbitrary<infer A> ? A : never

const cases = Arbitrary.all({
  sample: anyOf<World>(worldOfPosting, worldOfHold),
  /** Whether what came in is spent at once. */
  isSpent: pick([false, true]),
  parts: Arbitrary.array(part, { maxLength: 6 }),
})

type Case = typeof cases extends Arbitrary.Arbitrary<infer A> ? A : never

interface Taken {
  readonly xactId: ReverseTransaction["xactId"]
  readonly before: ReadonlyMap<AccountId, AccountState>
  readonly after: HeadsAfter
  readonly original: ReverseTransaction["original"]
  readonly spent: ReadonlyMap<AccountId, Money.Money>
  readonly verdicts: ReadonlyArray<string>
}

const usdToday = { currency: usd, effectiveTime: now }

/** Carries a transaction out, and takes it back part by part, and then all the rest by force; `undefined`: it moved nothing. */
const takeBack = ({ isSpent, parts, sample: { heads, request } }: Case): Taken | undefined => {
  const first = decide(request, heads, stamp(5000, idsMax([request], heads, now)))
  if (Result.isFailure(first)) return undefined
  const original = first.success.changes
    .filter(({ chgAmt }) => chgAmt !== 0n)
    .map(({ acctId, chgAmt, currency, effectiveTime }) => ({ acctId, chgAmt, currency, effectiveTime }))
  if (original.length === 0) return undefined
  const after = new HeadsAfter(heads)
  after.advance(first.success)
  const xactId = first.success.changes[0]!.xactId
  const verdicts: Array<string> = []
  let idFirst = 10_000
  const carryOut = (intent: Intent): string => {
    const asked = { ...request, intent }
    const verdict = decide(asked, after, stamp(idFirst, idsMax([asked], after, now)))
    idFirst += 1000
    if (Result.isSuccess(verdict)) after.advance(verdict.success)
    return tagOf(verdict)
  }
  const attempt = (changes: ReadonlyArray<Change> | null, isForced: boolean) => {
    verdicts.push(carryOut({ _tag: "ReverseTransaction", xactId, original, changes, isForced, ...silent }))
  }
  const spent = new Map<AccountId, Money.Money>()
  for (const { acctId } of isSpent ? original : []) {
    const head = after.get(acctId)!
    const rest = available(head)
    if (rest === null || rest <= 0n || !Money.isInRange(rest)) continue
    const amount = Money.format(Money.difference(Money.zero, rest), head.scale) as Money.NonZeroAmount
    const verdict = carryOut({ _tag: "PostTransaction", changes: [{ acctId, amount }], ...silent })
    if (verdict === "Decision") spent.set(acctId, rest)
  }
  for (const each of parts) attempt(changesOf(each, original, heads), each.isForced)
  attempt(null, true)
  return { xactId, before: heads, after, original, spent, verdicts }
}

/** The same amount of two legs that went different ways, or of one; it may come to more than there is. */
const changesOf = (
  { isWrongWay, leg, ninths, other }: Part,
  original: ReverseTransaction["original"],
  heads: World["heads"],
): ReadonlyArray<Change> => {
  const one = original[leg % original.length]!
  const currencyOf = (acctId: AccountId) => heads.get(acctId)!.currency
  const scaleOf = (acctId: AccountId) => heads.get(acctId)!.scale
  const others = original.filter(
    ({ acctId, chgAmt }) => currencyOf(acctId) === currencyOf(one.acctId) && chgAmt < 0n !== one.chgAmt < 0n,
  )
  const chosen = others.length === 0 ? [one] : [one, others[other % others.length]!]
  const unit = 10n ** BigInt(Money.decimals - scaleOf(one.acctId))
  const size = (one.chgAmt < 0n ? -one.chgAmt : one.chgAmt) / unit
  const share = ((size * BigInt(ninths)) / 9n === 0n ? 1n : (size * BigInt(ninths)) / 9n) * unit
  const most = share > Money.max ? Money.max - (Money.max % unit) : share
  return chosen.map(({ acctId, chgAmt }) => ({
    acctId,
    amount: Money.format(Money.make(chgAmt < 0n !== isWrongWay ? most : -most), scaleOf(acctId)) as Money.NonZeroAmount,
  }))
}

describe("taking a transaction back", () => {
  it.prop(
    "in whatever parts, takes back no more of it than there was, on no account; all of it restores every balance",
    [cases],
    ([each]) => {
      const taken = takeBack(each)
      if (taken === undefined) return
      const { after, before, original, spent, verdicts, xactId } = taken
      for (const { acctId, chgAmt } of original) {
        const back = after.get(acctId)!.balance - (before.get(acctId)!.balance + chgAmt - (spent.get(acctId) ?? 0n))
        assert.isTrue(chgAmt < 0n ? back >= 0n && back <= -chgAmt : back <= 0n && back >= -chgAmt)
        assert.strictEqual(back, after.reversed(xactId, acctId))
        const last = verdicts.at(-1)
        if (last === "Decision" || last === "AlreadyReversed") assert.strictEqual(back, -chgAmt)
      }
    },
    { arbitrary: { runs: 400 } },
  )

  it.effect("is met often enough for that to say something", () =>
    Effect.gen(function* () {
      const samples = yield* Arbitrary.sampleEffect(cases, { count: 500, size: 20, seed: "back" })
      const verdicts = samples.flatMap((each) => {
        const taken = takeBack(each)
        return taken === undefined
          ? []
          : [...taken.verdicts, `last ${taken.verdicts.at(-1)}`, `${taken.original.length} legs`]
      })
      const count = Object.groupBy(verdicts, (name) => name)
      for (const name of [
        "Decision",
        "ReversalExceedsTransaction",
        "AlreadyReversed",
        "InsufficientFunds",
        "last Decision",
        "last AlreadyReversed",
        "1 legs",
        "2 legs",
        "3 legs",
      ]) {
        assert.isAtLeast(count[name]?.length ?? 0, 5, name)
      }
    }),
  )

  const transfer = [
    { acctId: accountId(1), chgAmt: money("-5"), ...usdToday },
    { acctId: accountId(2), chgAmt: money("5"), ...usdToday },
  ]
  const back = (
    states: ReadonlyArray<AccountState>,
    other: Partial<ReverseTransaction> = {},
    reversed: ReadonlyArray<readonly [AccountId, Money.Money]> = [],
  ) =>
    judge(
      {
        _tag: "ReverseTransaction",
        xactId: holdId(9),
        original: transfer,
        changes: null,
        isForced: false,
        reference: null,
        description: "twice",
        metadata: null,
        ...other,
      },
      states,
      new Map(reversed),
    )

  it("writes FLOW rows that name it, of the opposite sign", () =>
    assert.deepStrictEqual(
      rowsOf(back([state(1), state(2)])).map(({ acctId, chgAmt, chgFlavor, reversesXactId }) => {
        return [acctId, chgFlavor, chgAmt, reversesXactId]
      }),
      [
        [accountId(1), "FLOW", money("5"), holdId(9)],
        [accountId(2), "FLOW", money("-5"), holdId(9)],
      ],
    ))

  it("takes back what is left", () => {
    const before = [
      [accountId(1), money("2")],
      [accountId(2), money("-2")],
    ] as const
    const rest = rowsOf(back([state(1), state(2)], {}, before))
    assert.deepStrictEqual(
      rest.map(({ chgAmt }) => chgAmt),
      [money("3"), money("-3")],
    )
    const more = back(
      [state(1), state(2)],
      { changes: [leg(1, "3"), leg(2, "-3.01")], original: transfer.slice(1) },
      before,
    )
    assert.deepStrictEqual(refusalOf(more), {
      _tag: "ReversalExceedsTransaction",
      transactionId: holdId(9),
      accountId: accountId(1),
      remaining: "0.00",
    })
    assert.deepStrictEqual(
      refusalOf(back([state(1), state(2)], { changes: [leg(2, "-3.01"), leg(1, "3.01")] }, before)),
      {
        _tag: "ReversalExceedsTransaction",
        transactionId: holdId(9),
        accountId: accountId(2),
        remaining: "-3.00",
      },
    )
  })

  it("AlreadyReversed once nothing is left on any account", () => {
    const all = [
      [accountId(1), money("5")],
      [accountId(2), money("-5")],
    ] as const
    assert.deepStrictEqual(refusalOf(back([state(1), state(2)], {}, all)), {
      _tag: "AlreadyReversed",
      transactionId: holdId(9),
    })
  })

  it("leaves accounts alone that have nothing to give back any more, closed as they may be", () => {
    const original = [
      ...transfer,
      { acctId: accountId(3), chgAmt: money("7"), ...usdToday },
      { acctId: accountId(4), chgAmt: money("-7"), ...usdToday },
    ]
    const closed = state(1, { acctStatus: "closed", balance: Money.zero })
    const before = [
      [accountId(1), money("5")],
      [accountId(2), money("-5")],
    ] as const
    const rows = rowsOf(back([closed, state(2), state(3), state(4)], { original }, before))
    assert.deepStrictEqual(
      rows.map(({ acctId }) => acctId),
      [accountId(3), accountId(4)],
    )
  })

  it("a part has to balance, but for a transaction that did not", () => {
    assert.deepStrictEqual(refusalOf(back([state(1), state(2)], { changes: [leg(2, "-1")] })), {
      _tag: "Unbalanced",
      currency: "USD",
      sum: "-1.00",
    })
    const single = { original: transfer.slice(1), changes: [leg(2, "-1")] }
    assert.lengthOf(rowsOf(back([state(2)], single)), 1)
  })

  it("forced, raises the limit as far as it takes, in a row that says who and why; then lets go of what has expired", () => {
    const spent = holding(2, [hold(1, "2", -1), hold(2, "1", 60)], { balance: money("3"), overdraftLimit: Money.zero })
    assert.deepStrictEqual(refusalOf(back([state(1), spent])), {
      _tag: "InsufficientFunds",
      accountId: accountId(2),
      available: "2.00",
      currency: "USD",
    })
    const { asides, changes } = decisionOf(back([state(1), spent], { isForced: true }))
    assert.deepStrictEqual(
      [...asides, ...changes].map(({ chgFlavor, description, overdraftLimit }) => [
        chgFlavor,
        description,
        overdraftLimit,
      ]),
      [
        ["TERMS", "twice", money("3")],
        ["RELEASE", null, money("3")],
        ["FLOW", "twice", Money.zero],
        ["FLOW", "twice", money("3")],
      ],
    )
    assert.deepInclude(changes[1], { balance: money("-2"), held: money("1") })
  })

  it("forced, does not touch a limit that is enough, or none", () => {
    for (const overdraftLimit of [money("100"), null]) {
      const head = state(2, { balance: Money.zero, overdraftLimit })
      assert.isEmpty(decisionOf(back([state(1), head], { isForced: true })).asides)
    }
  })

  it("of an exchange, takes back both sides as a whole, or nothing", () => {
    const eur = { currency: Currency.make("EUR"), scale: 2 }
    const original = [
      { acctId: accountId(1), chgAmt: money("-5"), ...usdToday },
      { acctId: accountId(2), chgAmt: money("5"), ...usdToday },
      { acctId: accountId(3), chgAmt: money("4"), ...usdToday, currency: eur.currency },
      { acctId: accountId(4), chgAmt: money("-4"), ...usdToday, currency: eur.currency },
    ]
    const states = [state(1), state(2), state(3, eur), state(4, eur)]
    const halves = [
      [leg(1, "5"), leg(2, "-5")],
      [leg(3, "-4"), leg(4, "4")],
      [leg(1, "1"), leg(2, "-1"), leg(3, "-4"), leg(4, "4")],
    ]
    for (const changes of halves) {
      assert.deepStrictEqual(refusalOf(back(states, { original, changes })), {
        _tag: "ExchangeReversedInPart",
        transactionId: holdId(9),
      })
    }
    assert.lengthOf(rowsOf(back(states, { original })), 4)
    assert.lengthOf(rowsOf(back(states, { original, changes: halves.slice(0, 2).flat() })), 4)
  })

  it("does not happen before what it takes back, nor later than now", () => {
    const times = [-1n, 0n, 5_000_000n, 5_000_001n].map((micros) => Timestamp.make(now + micros))
    const tags = times.map((effectiveTime) => tagOf(back([state(1), state(2)], { effectiveTime })))
    assert.deepStrictEqual(tags, ["EffectiveTimeOutOfRange", "Decision", "Decision", "EffectiveTimeOutOfRange"])
  })

  it("without knowledge of what was reversed before, is a defect", () => {
    const intent = {
      _tag: "ReverseTransaction",
      xactId: holdId(9),
      original: transfer,
      changes: null,
      isForced: false,
    } as const
    const request = { intent: { ...intent, ...silent }, actor: "a" as never, idempotencyKey: null }
    const states = new Map([state(1), state(2)].map((head) => [head.acctId, head]))
    assert.throws(() => decide(request, states, stamp(5000, 2)), TypeError)
    assert.throws(() => decide(request, new HeadsAfter(states), stamp(5000, 2)), TypeError)
  })
})
