import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { AccountState } from "../src/account/AccountState.ts"
import { heldAt, stateAt } from "../src/account/AccountState.ts"
import type { BalanceChange } from "../src/chain/BalanceChange.ts"
import { BalanceChangeId } from "../src/chain/BalanceChangeId.ts"
import { decide, decideTogether, idsMax } from "../src/decide/Decide.ts"
import {
  type Hold,
  holdOf,
  holdsAfter,
  isExpired,
  noHolds,
  openHoldsMax,
  ttlDefault,
  ttlMax,
  ttlMin,
} from "../src/account/Hold.ts"
import type { Expiry, HoldIntent, IncreaseHold, PlaceHold, PostTransaction } from "../src/request/Intent.ts"
import * as Money from "../src/money/Money.ts"
import * as Timestamp from "../src/time/Timestamp.ts"
import { Currency } from "../src/money/Currency.ts"
import {
  actor,
  amount,
  decisionOf,
  hold,
  holdId,
  holding,
  idFirst,
  inSeconds,
  judge,
  leg,
  money,
  post,
  refusalOf,
  rowsOf,
  silent,
  state,
  tagOf,
} from "./Sample.ts"
import { accountId, headsWith, ledgerId, now, stamp } from "./World.ts"

/** A hold of 50 until a minute from now, and what happens to it, each thing at a second after the present. */
class Life {
  head: AccountState = state(1)
  rows: Array<BalanceChange> = []
  #idNext = 1n

  constructor(expiry: Expiry = { ttl: 60 }) {
    this.at(0, {
      _tag: "PlaceHold",
      acctId: accountId(1),
      amount: amount("50"),
      expiry,
      reference: null,
      description: "hotel",
      metadata: { room: "7" },
    })
  }

  get hold(): BalanceChangeId {
    return this.rows[0]!.bchgId
  }

  at(seconds: number, intent: HoldIntent | { readonly _tag: "Withdraw"; readonly text: string }): this {
    const asked =
      intent._tag === "Withdraw"
        ? { _tag: "PostTransaction" as const, changes: [leg(1, intent.text)], ...silent }
        : intent
    const request = { intent: asked, actor, idempotencyKey: null }
    const heads = headsWith([this.head])
    const at = inSeconds(seconds)
    const ids = Array.from({ length: idsMax([request], heads, at) }, () => BalanceChangeId.make(this.#idNext++))
    const verdict = decide(request, heads, { ...stamp(1, 0), now: at, ids, ledgerId })
    if (Result.isFailure(verdict)) assert.fail(verdict.failure.message)
    this.head = verdict.success.heads.get(accountId(1))!
    const rows = [...verdict.success.asides, ...verdict.success.changes]
    this.rows.push(...rows.filter((row) => row.holdId === (this.rows[0] ?? rows[0])!.bchgId))
    return this
  }

  increase(seconds: number, text: string, expiry: Expiry | null = null): this {
    return this.at(seconds, { _tag: "IncreaseHold", ...this.#named, amount: amount(text), expiry })
  }

  capture(seconds: number, text: string | null, isFinal = true): this {
    const of = text === null ? null : amount(text)
    return this.at(seconds, { _tag: "CaptureHold", ...this.#named, amount: of, isFinal, to: null })
  }

  release(seconds: number): this {
    return this.at(seconds, { _tag: "ReleaseHold", ...this.#named })
  }

  tidy(seconds: number): this {
    return this.at(seconds, { _tag: "ExpireHolds", acctId: accountId(1) })
  }

  get #named() {
    return { acctId: accountId(1), holdId: this.hold, reference: null, description: "later", metadata: null }
  }

  seenAt(seconds: number): Pick<Hold, "state" | "amount" | "captured" | "released" | "remaining"> {
    const { amount, captured, released, remaining, state } = holdOf(this.rows, inSeconds(seconds))
    return { state, amount, captured, released, remaining }
  }
}

const sums = (text: string, captured: string, released: string, remaining: string) => ({
  amount: money(text),
  captured: money(captured),
  released: money(released),
  remaining: money(remaining),
})

describe("holdOf", () => {
  it("a hold that was placed is open, with what was said then", () => {
    const life = new Life()
    assert.deepStrictEqual(holdOf(life.rows, now), {
      holdId: life.hold,
      acctId: accountId(1),
      state: "open",
      ...sums("50", "0", "0", "50"),
      expiresAt: inSeconds(60),
      description: "hotel",
      metadata: { room: "7" },
      actor,
      placedAt: now,
      updatedAt: now,
    })
  })

  it("is open until the very instant that it expires at, whether its row is written or not", () => {
    const { rows } = new Life()
    assert.strictEqual(holdOf(rows, Timestamp.make(inSeconds(60) - 1n)).state, "open")
    assert.strictEqual(holdOf(rows, inSeconds(60)).state, "expired")
    assert.deepInclude(holdOf(rows, inSeconds(99)), { state: "expired", ...sums("50", "0", "0", "50") })
    assert.deepInclude(new Life().tidy(60).seenAt(60), { state: "expired", ...sums("50", "0", "50", "0") })
  })

  it("released before it expired is released for good, and stays so", () => {
    const life = new Life().release(59)
    assert.deepStrictEqual(life.seenAt(59), { state: "released", ...sums("50", "0", "50", "0") })
    assert.strictEqual(life.seenAt(999).state, "released")
  })

  it("captured in full, or in part with the rest released", () => {
    assert.deepStrictEqual(new Life().capture(1, null).seenAt(1), { state: "captured", ...sums("50", "50", "0", "0") })
    const life = new Life().capture(1, "20")
    assert.deepStrictEqual(
      life.rows.map(({ chgFlavor, heldAmt }) => [chgFlavor, heldAmt]),
      [
        ["HOLD", money("50")],
        ["CAPTURE", money("-20")],
        ["RELEASE", money("-30")],
      ],
    )
    assert.strictEqual(life.rows[1]!.xactId, life.rows[2]!.xactId)
    assert.deepStrictEqual(life.seenAt(999), { state: "captured", ...sums("50", "20", "30", "0") })
    assert.deepInclude(life.head, { balance: money("80"), held: Money.zero })
  })

  it("captures that are not final leave the rest held; what uses it up captures it", () => {
    const life = new Life().capture(1, "20", false).capture(2, "10", false)
    assert.deepStrictEqual(life.seenAt(2), { state: "open", ...sums("50", "30", "0", "20") })
    assert.deepStrictEqual(life.seenAt(60), { state: "expired", ...sums("50", "30", "0", "20") })
    assert.deepStrictEqual(life.capture(3, "20", false).seenAt(999), {
      state: "captured",
      ...sums("50", "50", "0", "0"),
    })
  })

  it("a capture in part does not make captured what is released or expires later", () => {
    const released = new Life().capture(1, "20", false).release(2)
    assert.deepStrictEqual(released.seenAt(2), { state: "released", ...sums("50", "20", "30", "0") })
    const expired = new Life().capture(1, "20", false).tidy(60)
    assert.deepStrictEqual(expired.seenAt(60), { state: "expired", ...sums("50", "20", "30", "0") })
  })

  it("an increase counts, and moves the expiry only if it says so, either way", () => {
    const life = new Life().increase(10, "5")
    assert.deepStrictEqual(life.seenAt(59), { state: "open", ...sums("55", "0", "0", "55") })
    assert.strictEqual(holdOf(life.rows, now).expiresAt, inSeconds(60))
    assert.deepInclude(holdOf(life.rows, now), { updatedAt: inSeconds(10), placedAt: now, description: "hotel" })
    assert.strictEqual(holdOf(life.increase(20, "5", { ttl: 60 }).rows, now).expiresAt, inSeconds(80))
    const shorter = new Life().increase(1, "5", { at: inSeconds(2) })
    assert.strictEqual(shorter.seenAt(2).state, "expired")
    assert.deepStrictEqual(shorter.head.openHolds, [
      { holdId: shorter.hold, held: money("55"), expiresAt: inSeconds(2) },
    ])
  })

  it("is let go of by a change that needs its money, and is expired then too", () => {
    const life = new Life().at(61, { _tag: "Withdraw", text: "-100" })
    assert.deepStrictEqual(life.seenAt(61), { state: "expired", ...sums("50", "0", "50", "0") })
    assert.deepInclude(life.head, { balance: Money.zero, held: Money.zero, openHolds: [] })
  })

  it("rows that do not begin with the hold are a defect", () => {
    const { rows } = new Life().increase(1, "5")
    assert.throws(() => holdOf(rows.slice(1), now), RangeError)
    assert.throws(() => holdOf([], now), RangeError)
  })
})

describe("holdsAfter", () => {
  it("other rows leave the holds alone", () => {
    const holds = [hold(1, "5", 60)]
    const [flow] = rowsOf(post([state(1)], [leg(1, "1")]))
    assert.strictEqual(holdsAfter(holds, flow!), holds)
    assert.strictEqual(holdsAfter(noHolds, flow!), noHolds)
  })

  it("follows a hold from its first row to its last, beside others", () => {
    const other = hold(9, "1", 60)
    const life = new Life().increase(1, "5", { ttl: 100 }).capture(2, "20", false).release(3)
    const seen = life.rows.map((_, index) =>
      life.rows
        .slice(0, index + 1)
        .reduce<ReadonlyArray<typeof other>>(holdsAfter, [other])
        .map(({ expiresAt, held }) => [held, expiresAt]),
    )
    const first = [other.held, other.expiresAt]
    assert.deepStrictEqual(seen, [
      [first, [money("50"), inSeconds(60)]],
      [first, [money("55"), inSeconds(101)]],
      [first, [money("35"), inSeconds(101)]],
      [first],
    ])
  })

  it("a first row that does not say when it expires is a defect", () => {
    const [first] = new Life().rows
    assert.throws(() => holdsAfter(noHolds, { ...first!, holdExpiresAt: null }), RangeError)
  })
})

describe("the state at an instant", () => {
  const head = holding(1, [hold(1, "5", 10), hold(2, "7", 20), hold(3, "11", 20)])

  it.each([
    [0, "23", 3],
    [9, "23", 3],
    [10, "18", 2],
    [19, "18", 2],
    [20, "0", 0],
  ])("after %i seconds holds %s", (seconds, held, count) => {
    const at = inSeconds(seconds)
    assert.strictEqual(heldAt(head, at), money(held))
    const state = stateAt(head, at)
    assert.lengthOf(state.openHolds, count)
    assert.strictEqual(state.held, money(held))
    assert.deepStrictEqual(stateAt(state, at), state)
    for (const hold of state.openHolds) assert.isFalse(isExpired(hold, at))
  })
})

const placed = (expiry: Expiry, head = state(1)) =>
  judge({ _tag: "PlaceHold", acctId: accountId(1), amount: amount("1"), expiry, ...silent }, [head])

const increased = (expiry: Expiry) =>
  judge({ _tag: "IncreaseHold", acctId: accountId(1), holdId: holdId(1), amount: amount("1"), expiry, ...silent }, [
    holding(1, [hold(1, "5", 60)]),
  ])

const many = (count: number, expiresIn: number) =>
  Array.from({ length: count }, (_, index) => hold(index, "0.01", expiresIn))

const bank = (expiresIn: number) =>
  holding(1, [hold(1, "99999999999999999999.99", expiresIn)], { overdraftLimit: null })

describe("limits", () => {
  it("are what is written down", () =>
    assert.deepStrictEqual([ttlMin, ttlMax, ttlDefault, openHoldsMax], [1, 31_622_400, 604_800, 200]))

  it.each([
    ["the shortest", { ttl: ttlMin }, true],
    ["the longest", { ttl: ttlMax }, true],
    ["shorter", { ttl: ttlMin - 1 }, false],
    ["longer", { ttl: ttlMax + 1 }, false],
    ["the nearest instant", { at: inSeconds(ttlMin) }, true],
    ["the farthest instant", { at: inSeconds(ttlMax) }, true],
    ["a nearer instant", { at: Timestamp.make(inSeconds(ttlMin) - 1n) }, false],
    ["a farther instant", { at: Timestamp.make(inSeconds(ttlMax) + 1n) }, false],
    ["an instant that is past", { at: inSeconds(-1) }, false],
  ] as ReadonlyArray<readonly [string, Expiry, boolean]>)("%s: %o", (_, expiry, isAllowed) => {
    for (const verdict of [placed(expiry), increased(expiry)]) {
      assert.strictEqual(tagOf(verdict), isAllowed ? "Decision" : "ExpiryOutOfRange")
      if (isAllowed) {
        const expiresAt = "at" in expiry ? expiry.at : inSeconds(expiry.ttl)
        assert.strictEqual(rowsOf(verdict)[0]!.holdExpiresAt, expiresAt)
      }
    }
  })

  it("a time to live begins when the hold is decided, which the newest row may put later than the clock", () => {
    const ahead = state(1, { chgCreateTime: inSeconds(5) })
    assert.strictEqual(rowsOf(placed({ ttl: 60 }, ahead))[0]!.holdExpiresAt, inSeconds(65) + 1n)
  })

  it("one hold more than there may be, unless one has expired: then just that one is let go of", () => {
    assert.strictEqual(tagOf(placed({ ttl: 60 }, holding(1, many(openHoldsMax - 1, 60)))), "Decision")
    assert.deepStrictEqual(refusalOf(placed({ ttl: 60 }, holding(1, many(openHoldsMax, 60)))), {
      _tag: "TooManyHolds",
      accountId: accountId(1),
    })
    const [first, second, ...others] = many(openHoldsMax, 60)
    const expired = [
      { ...first!, expiresAt: inSeconds(-1) },
      { ...second!, expiresAt: inSeconds(-2) },
    ]
    const { asides, heads } = decisionOf(placed({ ttl: 60 }, holding(1, [...expired, ...others])))
    assert.deepStrictEqual(
      asides.map(({ holdId }) => holdId),
      [second!.holdId],
    )
    assert.lengthOf(heads.get(accountId(1))!.openHolds, openHoldsMax)
  })

  it.each([
    ["placed", [state(1)], { _tag: "PlaceHold", acctId: accountId(1), expiry: { ttl: 1 } }],
    [
      "shortened",
      [holding(1, [hold(1, "5", 60)])],
      { _tag: "IncreaseHold", acctId: accountId(1), holdId: holdId(1), expiry: { at: inSeconds(1) } },
    ],
  ] as const)(
    "there are ids for a hold that is %s and expires within one batch, by another account's clock",
    (_, states, intent) => {
      const ahead = state(2, { chgCreateTime: inSeconds(5) })
      const requests = [
        {
          intent: { ...intent, amount: amount("50"), ...silent } as PlaceHold | IncreaseHold,
          actor,
          idempotencyKey: null,
        },
        {
          intent: { _tag: "PostTransaction", changes: [leg(1, "-100"), leg(2, "100")], ...silent } as PostTransaction,
          actor,
          idempotencyKey: null,
        },
      ]
      const heads = headsWith([...states, ahead])
      const ids = idsMax(requests, heads, now)
      const [, transfer] = Result.getOrThrow(decideTogether(requests, heads, stamp(idFirst, ids)))!
      assert.lengthOf(transfer!.asides, 1)
      // One more than there are rows to come; where nobody is ahead of the clock, none.
      assert.strictEqual(ids, 1 + 1 + 2)
      assert.strictEqual(idsMax(requests.slice(0, 1), headsWith(states), now), 1)
    },
  )

  it("an increase needs no place", () => {
    const intent = {
      _tag: "IncreaseHold",
      acctId: accountId(1),
      holdId: holdId(1),
      amount: amount("1"),
      expiry: null,
    } as const
    assert.strictEqual(tagOf(judge({ ...intent, ...silent }, [holding(1, many(openHoldsMax, 60))])), "Decision")
  })

  it("what is held stays in range; what has expired is not held", () => {
    assert.strictEqual(tagOf(placed({ ttl: 60 }, bank(60))), "AmountOutOfRange")
    const { asides, changes } = decisionOf(placed({ ttl: 60 }, bank(-1)))
    assert.deepStrictEqual(
      [...asides, ...changes].map(({ chgFlavor, held }) => [chgFlavor, held]),
      [
        ["RELEASE", Money.zero],
        ["HOLD", money("1")],
      ],
    )
  })
})

const captured = (text: string | null, isFinal: boolean, to: number | null, other: Partial<AccountState> = {}) =>
  judge(
    {
      _tag: "CaptureHold",
      acctId: accountId(1),
      holdId: holdId(1),
      amount: text === null ? null : amount(text),
      isFinal,
      to: to === null ? null : accountId(to),
      ...silent,
    },
    [holding(1, [hold(1, "50", 60)]), state(2, other)],
  )

const change = (expiresIn: number, text: string) => post([holding(1, [hold(1, "50", expiresIn)])], [leg(1, text)])

const release = (id: number, expiresIn: number) =>
  judge({ _tag: "ReleaseHold", acctId: accountId(1), holdId: holdId(id), ...silent }, [
    holding(1, [hold(1, "50", expiresIn)]),
  ])

const tidied = (...holds: ReadonlyArray<ReturnType<typeof hold>>) =>
  judge({ _tag: "ExpireHolds", acctId: accountId(1) }, [holding(1, holds)])

describe("a hold", () => {
  it("captured into another account is one transaction, a transfer from held money", () => {
    const { asides, changes } = decisionOf(captured("20", true, 2))
    assert.isEmpty(asides)
    assert.deepStrictEqual(
      changes.map(({ acctId, balance, chgAmt, chgFlavor, held }) => [acctId, chgFlavor, chgAmt, balance, held]),
      [
        [accountId(1), "CAPTURE", money("-20"), money("80"), money("30")],
        [accountId(1), "RELEASE", Money.zero, money("80"), Money.zero],
        [accountId(2), "FLOW", money("20"), money("120"), Money.zero],
      ],
    )
    assert.strictEqual(new Set(changes.map(({ xactId }) => xactId)).size, 1)
    assert.strictEqual(changes[0]!.xactId, BigInt(idFirst))
  })

  it.each([null, "20.50"])("captured (%s) into another currency is CurrencyMismatch", (text) =>
    assert.deepStrictEqual(refusalOf(captured(text, true, 2, { currency: Currency.make("BHD") })), {
      _tag: "CurrencyMismatch",
      accountId: accountId(1),
      currency: "USD",
    }),
  )

  it("CaptureExceedsHold says what is left", () =>
    assert.deepStrictEqual(refusalOf(captured("50.01", false, null)), {
      _tag: "CaptureExceedsHold",
      holdId: holdId(1),
      remaining: "50.00",
      currency: "USD",
    }))

  it("InsufficientFunds counts it, and no longer once it has expired", () => {
    assert.deepStrictEqual(refusalOf(change(60, "-50.01")), {
      _tag: "InsufficientFunds",
      accountId: accountId(1),
      available: "50.00",
      currency: "USD",
    })
    assert.strictEqual(refusalOf(change(0, "-100.01"))["available"], "100.00")
    assert.lengthOf(decisionOf(change(0, "-50")).asides, 0)
    assert.lengthOf(decisionOf(change(0, "-50.01")).asides, 1)
  })

  it("that is none, or another account's, has ended; one that has expired has expired", () => {
    assert.deepStrictEqual(refusalOf(release(2, 60)), { _tag: "HoldEnded", holdId: holdId(2) })
    assert.deepStrictEqual(refusalOf(release(1, 0)), { _tag: "HoldExpired", holdId: holdId(1) })
    assert.strictEqual(tagOf(release(1, 1)), "Decision")
  })

  it("can be released from a frozen account, but neither captured nor increased", () => {
    const frozen = [holding(1, [hold(1, "50", 60)], { acctStatus: "frozen" })]
    const named = { acctId: accountId(1), holdId: holdId(1), ...silent }
    assert.strictEqual(tagOf(judge({ _tag: "ReleaseHold", ...named }, frozen)), "Decision")
    const capture = { _tag: "CaptureHold", amount: null, isFinal: true, to: null, ...named } as const
    assert.strictEqual(tagOf(judge(capture, frozen)), "AccountFrozen")
    const increase = { _tag: "IncreaseHold", amount: amount("1"), expiry: null, ...named } as const
    assert.strictEqual(tagOf(judge(increase, frozen)), "AccountFrozen")
  })

  it("NothingExpired where there is nothing to tidy up; else all that has expired goes in one transaction", () => {
    assert.deepStrictEqual(refusalOf(tidied(hold(1, "5", 1))), { _tag: "NothingExpired", accountId: accountId(1) })
    const changes = rowsOf(tidied(hold(1, "5", -1), hold(2, "6", 60), hold(3, "7", -2)))
    assert.deepStrictEqual(
      changes.map(({ chgFlavor, held, holdId }) => [chgFlavor, holdId, held]),
      [
        ["RELEASE", holdId(3), money("11")],
        ["RELEASE", holdId(1), money("6")],
      ],
    )
    assert.strictEqual(new Set(changes.map(({ xactId }) => xactId)).size, 1)
  })
})
