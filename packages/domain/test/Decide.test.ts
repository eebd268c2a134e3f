import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result } from "effect"
import type { AccountId } from "../src/AccountId.ts"
import { type AccountState, type AccountStatus, afterChange } from "../src/AccountState.ts"
import { Actor } from "../src/Actor.ts"
import type { BalanceChange } from "../src/BalanceChange.ts"
import { BalanceChangeId } from "../src/BalanceChangeId.ts"
import { genesisHash, seal } from "../src/ChangeHash.ts"
import { Currency } from "../src/Currency.ts"
import { decide } from "../src/Decide.ts"
import type { Decision } from "../src/Decision.ts"
import { noHolds } from "../src/Hold.ts"
import { IdempotencyKey, idemKeyOf, requestHash } from "../src/Idempotency.ts"
import {
  accountIds,
  type Change,
  type OpenAccount,
  type PostTransaction,
  type Request,
  rowCount,
} from "../src/Intent.ts"
import * as Money from "../src/Money.ts"
import * as Timestamp from "../src/Timestamp.ts"
import { accountId, frozen, ledgerId, now, stamp, world, type World, worldOfTwo } from "./World.ts"

const runs = { arbitrary: { runs: 150 } }
const idFirst = 5000

const verdictOf = ({ heads, request }: World) => decide(request, heads, stamp(idFirst, rowCount(request.intent)))

const tagOf = (verdict: Result.Result<Decision, { readonly _tag: string }>) =>
  Result.isSuccess(verdict) ? "Decision" : verdict.failure._tag

/** What a law says of the rows of a world, where there are any. */
const whenAccepted = (check: (decision: Decision, world: World) => void) => (worlds: readonly [World]) => {
  const verdict = verdictOf(worlds[0])
  if (Result.isSuccess(verdict)) check(verdict.success, worlds[0])
}

describe("the generated worlds", () => {
  it.effect("reach every verdict, so that no law holds for want of cases", () =>
    Effect.gen(function* () {
      const worlds = yield* Arbitrary.sampleEffect(world, { count: 1500, size: 20, seed: "worlds" })
      const count = new Map<string, number>()
      const add = (name: string) => count.set(name, (count.get(name) ?? 0) + 1)
      for (const sample of worlds) {
        const verdict = verdictOf(sample)
        add(tagOf(verdict))
        if (Result.isSuccess(verdict)) {
          const { account, changes, heads } = verdict.success
          add(account === null ? `${changes.length} changes` : "account")
          if (new Set([...heads.values()].map(({ currency }) => currency)).size > 1) add("two currencies")
          if (changes.some(({ chgCreateTime }) => chgCreateTime > now)) add("ahead of the clock")
        }
      }
      for (const name of [
        "Decision",
        "AccountAlreadyExists",
        "SameAccount",
        "AccountNotFound",
        "AccountClosed",
        "AccountFrozen",
        "CurrencyMismatch",
        "ScaleExceeded",
        "Unbalanced",
        "VersionConflict",
        "AmountOutOfRange",
        "InsufficientFunds",
        "account",
        "1 changes",
        "2 changes",
        "3 changes",
        "4 changes",
        "two currencies",
        "ahead of the clock",
      ]) {
        assert.isAtLeast(count.get(name) ?? 0, 3, `${name} in ${JSON.stringify([...count])}`)
      }
      assert.isAtLeast(count.get("Decision") ?? 0, 300)
    }),
  )
})

describe("decide", () => {
  it.prop(
    "is deterministic, and leaves what it was given as it was",
    [world],
    ([{ heads, request }]) => {
      const before = structuredClone([...heads])
      const given = stamp(idFirst, rowCount(request.intent))
      const first = decide(request, heads, given)
      const second = decide(request, heads, given)
      assert.deepStrictEqual(first, second)
      assert.deepStrictEqual([...heads], before)
    },
    runs,
  )

  it.prop(
    "a refusal has a reason and nothing else",
    [world],
    ([{ heads, request }]) => {
      const verdict = decide(request, heads, stamp(idFirst, rowCount(request.intent)))
      if (Result.isSuccess(verdict)) return
      assert.instanceOf(verdict.failure, Error)
      assert.isNotEmpty(verdict.failure.message)
      for (const part of ["changes", "heads", "account"]) assert.notProperty(verdict.failure, part)
      // Ids that a refused request was given are as unused as before: none needs to be there.
      assert.deepStrictEqual(decide(request, heads, stamp(idFirst, 0)), verdict)
    },
    runs,
  )

  it.prop(
    "each row follows the row before: dense, linked, later, sealed",
    [world],
    whenAccepted(({ account, changes }, { heads }) => {
      for (const row of changes) {
        const head = heads.get(row.acctId)
        assert.strictEqual(row.acctSeq, head === undefined ? 0 : head.acctSeq + 1)
        assert.strictEqual(row.prevBchgId, head === undefined ? null : head.bchgId)
        assert.isTrue(row.chgCreateTime >= now)
        if (head !== undefined) assert.isTrue(row.chgCreateTime > head.chgCreateTime)
        const before = head === undefined ? genesisHash(ledgerId, account!) : head.chgHash
        assert.strictEqual(seal(row, before).chgHash.toHex(), row.chgHash.toHex())
      }
      assert.strictEqual(new Set(changes.map(({ chgCreateTime }) => chgCreateTime)).size, 1)
    }),
    runs,
  )

  it.prop(
    "the time is no later than the clock and the accounts make it",
    [world],
    whenAccepted(({ changes }, { heads }) => {
      const times = changes.map(({ acctId }) => heads.get(acctId)?.chgCreateTime ?? now - 1n)
      const latest = times.reduce((a, b) => (a > b ? a : b))
      assert.strictEqual(changes[0]!.chgCreateTime, latest < now ? now : latest + 1n)
      for (const row of changes) assert.strictEqual(row.effectiveTime, row.chgCreateTime)
    }),
    runs,
  )

  it.prop(
    "the balance after is the balance before and the amount, in range and within the limit",
    [world],
    whenAccepted(({ changes }, { heads, request: { intent } }) => {
      const asked = intent._tag === "OpenAccount" ? [intent.initialBalance] : intent.changes.map(({ amount }) => amount)
      changes.forEach((row, index) => {
        const before = heads.get(row.acctId)
        assert.strictEqual(row.chgAmt, Money.fromAmount(asked[index]!))
        assert.strictEqual(row.balance, (before?.balance ?? 0n) + row.chgAmt)
        assert.isTrue(row.balance <= Money.max && row.balance >= -Money.max)
        assert.strictEqual(row.heldAmt, 0n)
        assert.strictEqual(row.held, before?.held ?? 0n)
        if (row.overdraftLimit !== null) assert.isTrue(row.balance - row.held + row.overdraftLimit >= 0n)
        if (before === undefined) return
        assert.strictEqual(row.overdraftLimit, before.overdraftLimit)
        assert.strictEqual(row.acctStatus, before.acctStatus)
        assert.notStrictEqual(row.acctStatus, "closed")
        assert.notStrictEqual(row.acctStatus, "frozen")
        assert.notStrictEqual(row.acctStatus, row.chgAmt < 0n ? "debits_frozen" : "credits_frozen")
      })
    }),
    runs,
  )

  it.prop(
    "the rows are what was asked for, in its order, by the ids of the stamp, of which the first names the transaction",
    [world],
    whenAccepted(({ account, changes }, { request }) => {
      const { actor, intent } = request
      assert.deepStrictEqual(
        changes.map(({ acctId }) => acctId),
        accountIds(intent),
      )
      assert.strictEqual(changes.length, rowCount(intent))
      changes.forEach((row, index) => {
        assert.strictEqual(row.bchgId, BigInt(idFirst + index))
        assert.strictEqual(row.xactId, BigInt(idFirst))
        assert.strictEqual(row.chgFlavor, intent._tag === "OpenAccount" ? "INITIAL" : "FLOW")
        assert.strictEqual(row.description, intent._tag === "OpenAccount" ? null : intent.description)
        assert.deepStrictEqual(row.metadata, intent._tag === "OpenAccount" ? null : intent.metadata)
        assert.strictEqual(row.actor, actor)
        assert.deepStrictEqual([row.holdId, row.holdExpiresAt, row.reversesXactId], [null, null, null])
      })
      if (intent._tag === "PostTransaction") return assert.isNull(account)
      const { acctId, currency, custAddress, custName, metadata } = intent
      assert.deepStrictEqual(account, { acctId, currency, custAddress, custName, metadata, acctCreateTime: now })
    }),
    runs,
  )

  it.prop(
    "the key and what it stands for are on the first row only",
    [world],
    whenAccepted(({ changes }, { request }) => {
      const [first, ...others] = changes
      assert.strictEqual(first!.idemKey, idemKeyOf(request))
      // The id of an account that its caller chose is a key too, so an opening always has its hash.
      const hasHash = request.idempotencyKey !== null || request.intent._tag === "OpenAccount"
      assert.deepStrictEqual(first!.requestHash, hasHash ? requestHash(request.intent) : null)
      for (const row of others) assert.deepStrictEqual([row.idemKey, row.requestHash], [null, null])
    }),
    runs,
  )

  it.prop(
    "two or more changes sum to zero in each currency, and are of different accounts",
    [world],
    whenAccepted(({ changes, heads }) => {
      assert.strictEqual(new Set(changes.map(({ acctId }) => acctId)).size, changes.length)
      if (changes.length === 1) return
      const sums = new Map<string, bigint>()
      for (const { acctId, chgAmt } of changes) {
        const { currency } = heads.get(acctId)!
        sums.set(currency, (sums.get(currency) ?? 0n) + chgAmt)
      }
      for (const [currency, sum] of sums) assert.strictEqual(sum, 0n, currency)
    }),
    runs,
  )

  it.prop(
    "the new heads are the states after the rows, and of no other account",
    [world],
    whenAccepted(({ changes, heads: after }, { heads, request: { intent } }) => {
      assert.deepStrictEqual(
        [...after.keys()],
        changes.map(({ acctId }) => acctId),
      )
      for (const row of changes) {
        const currency = intent._tag === "OpenAccount" ? intent.currency : heads.get(row.acctId)!.currency
        assert.deepStrictEqual(after.get(row.acctId), afterChange(row, currency))
      }
    }),
    runs,
  )

  it.prop(
    "transactions on different accounts are independent: either order gives the same",
    [worldOfTwo],
    ([
      {
        heads,
        requests: [a, b],
      },
    ]) => {
      const run = (first: Request<PostTransaction>, second: Request<PostTransaction>) => {
        let states: ReadonlyMap<AccountId, AccountState> = heads
        const verdicts = new Map<unknown, unknown>()
        for (const request of [first, second]) {
          const verdict = decide(request, states, stamp(request === a ? 5000 : 6000, rowCount(request.intent)))
          verdicts.set(request, verdict)
          if (Result.isSuccess(verdict)) states = new Map([...states, ...verdict.success.heads])
        }
        return { states, a: verdicts.get(a), b: verdicts.get(b) }
      }
      const one = run(a, b)
      const other = run(b, a)
      assert.deepStrictEqual(one, other)
      assert.strictEqual(one.states.size, heads.size)
    },
    runs,
  )
})

const usd = Currency.make("USD")
const amount = (text: string) => Money.Amount.make(text)
const money = (text: string) => Money.fromAmount(amount(text))
const actor = Actor.make("teller-7")

const state = (index: number, other: Partial<AccountState> = {}): AccountState => ({
  acctId: accountId(index),
  currency: usd,
  bchgId: BalanceChangeId.make(BigInt(100 + index)),
  acctSeq: 3,
  balance: money("100"),
  held: Money.zero,
  overdraftLimit: Money.zero,
  acctStatus: "open",
  chgCreateTime: Timestamp.make(now - 1_000_000n),
  chgHash: new Uint8Array(32).fill(index),
  openHolds: noHolds,
  ...other,
})

const headsOf = (states: ReadonlyArray<AccountState>): ReadonlyMap<AccountId, AccountState> =>
  new Map(states.map((head) => [head.acctId, frozen(head)]))

const leg = (index: number, text: string, other: Partial<Change> = {}): Change => ({
  acctId: accountId(index),
  amount: amount(text),
  ...other,
})

const post = (states: ReadonlyArray<AccountState>, changes: ReadonlyArray<Change>) => {
  const intent: PostTransaction = { _tag: "PostTransaction", changes, description: null, metadata: null }
  const request: Request<PostTransaction> = { intent, actor, idempotencyKey: IdempotencyKey.make("key") }
  return decide(request, headsOf(states), stamp(idFirst, changes.length))
}

const refusalOf = (verdict: Result.Result<Decision, { readonly _tag: string }>): Record<string, unknown> => {
  assert.isTrue(Result.isFailure(verdict), "accepted")
  return Result.isFailure(verdict) ? { ...verdict.failure } : {}
}

const exceeded = (text: string) => ({ _tag: "ScaleExceeded", amount: text, currency: "USD" })
const unbalanced = (sum: string) => ({ _tag: "Unbalanced", currency: "USD", sum })

const rowsOf = (verdict: Result.Result<Decision, { readonly _tag: string }>): ReadonlyArray<BalanceChange> =>
  Result.getOrThrow(verdict).changes

describe("opening an account", () => {
  const opening: OpenAccount = {
    _tag: "OpenAccount",
    acctId: accountId(1),
    acctIdIsChosen: true,
    custName: "Ada Lovelace",
    custAddress: "London",
    currency: usd,
    initialBalance: amount("10.50"),
    overdraftLimit: amount("0"),
    metadata: { branch: "7" },
  }
  const open = (other: Partial<OpenAccount>, states: ReadonlyArray<AccountState> = []) =>
    decide({ intent: { ...opening, ...other }, actor, idempotencyKey: null }, headsOf(states), stamp(idFirst, 1))

  it("writes an INITIAL row", () => {
    const [row] = rowsOf(open({}))
    assert.deepInclude(row, { acctSeq: 0, prevBchgId: null, balance: money("10.50"), chgAmt: money("10.50") })
  })

  it("may begin below zero as far as the limit says, and anywhere without one", () => {
    assert.strictEqual(
      rowsOf(open({ initialBalance: amount("-5"), overdraftLimit: amount("5") }))[0]?.balance,
      money("-5"),
    )
    const bank = rowsOf(open({ initialBalance: amount("-99999999999999.99"), overdraftLimit: null }))
    assert.isNull(bank[0]?.overdraftLimit)
  })

  it("AccountAlreadyExists, before all else", () =>
    assert.deepStrictEqual(refusalOf(open({ initialBalance: amount("-1.001") }, [state(1)])), {
      _tag: "AccountAlreadyExists",
      accountId: accountId(1),
    }))

  it("ScaleExceeded by the balance, then by the limit, before the funds", () => {
    assert.deepStrictEqual(refusalOf(open({ initialBalance: amount("-1.001") })), exceeded("-1.001"))
    const both = { initialBalance: amount("-1"), overdraftLimit: amount("0.005") }
    assert.deepStrictEqual(refusalOf(open(both)), exceeded("0.005"))
    const zeros = open({ currency: Currency.make("JPY"), initialBalance: amount("1.0") })
    assert.strictEqual(tagOf(zeros), "ScaleExceeded")
  })

  it("InsufficientFunds says what the limit would have allowed", () =>
    assert.deepStrictEqual(refusalOf(open({ initialBalance: amount("-5.01"), overdraftLimit: amount("5") })), {
      _tag: "InsufficientFunds",
      accountId: accountId(1),
      available: "5.00",
      currency: "USD",
    }))
})

describe("posting a transaction", () => {
  it("one change may bring money in or take it out", () => {
    assert.strictEqual(rowsOf(post([state(1)], [leg(1, "7.25")]))[0]?.balance, money("107.25"))
    assert.strictEqual(rowsOf(post([state(1)], [leg(1, "-100")]))[0]?.balance, Money.zero)
  })

  it("balances in each of several currencies", () => {
    const eur = { currency: Currency.make("EUR") }
    const states = [state(1), state(2), state(3, eur), state(4, eur)]
    assert.lengthOf(rowsOf(post(states, [leg(1, "-1"), leg(3, "2"), leg(2, "1"), leg(4, "-2")])), 4)
  })

  it("SameAccount names the account that comes again", () =>
    assert.deepStrictEqual(refusalOf(post([state(1), state(2)], [leg(1, "1"), leg(2, "-2"), leg(1, "1")])), {
      _tag: "SameAccount",
      accountId: accountId(1),
    }))

  it("AccountNotFound names the first account that is missing", () =>
    assert.deepStrictEqual(refusalOf(post([state(1)], [leg(1, "1"), leg(8, "1"), leg(9, "-2")])), {
      _tag: "AccountNotFound",
      accountId: accountId(8),
    }))

  it.each([
    ["open", "1", "Decision"],
    ["open", "-1", "Decision"],
    ["debits_frozen", "1", "Decision"],
    ["debits_frozen", "-1", "AccountFrozen"],
    ["credits_frozen", "1", "AccountFrozen"],
    ["credits_frozen", "-1", "Decision"],
    ["frozen", "1", "AccountFrozen"],
    ["frozen", "-1", "AccountFrozen"],
    ["closed", "1", "AccountClosed"],
    ["closed", "-1", "AccountClosed"],
  ] as ReadonlyArray<readonly [AccountStatus, string, string]>)("%s, %s: %s", (acctStatus, text, tag) => {
    const verdict = post([state(1, { acctStatus })], [leg(1, text)])
    assert.strictEqual(tagOf(verdict), tag)
    if (tag === "AccountFrozen") {
      assert.deepStrictEqual(refusalOf(verdict), { _tag: tag, accountId: accountId(1), status: acctStatus })
    }
    if (tag === "AccountClosed") assert.deepStrictEqual(refusalOf(verdict), { _tag: tag, accountId: accountId(1) })
  })

  it("CurrencyMismatch where the caller takes the account to be in another currency", () =>
    assert.deepStrictEqual(refusalOf(post([state(1)], [leg(1, "1", { currency: Currency.make("EUR") })])), {
      _tag: "CurrencyMismatch",
      accountId: accountId(1),
      currency: "USD",
    }))

  it("CurrencyMismatch where nothing can balance the only change in a currency", () => {
    const states = [state(1), state(2), state(3, { currency: Currency.make("JPY") })]
    assert.deepStrictEqual(refusalOf(post(states, [leg(1, "1"), leg(2, "-1"), leg(3, "1")])), {
      _tag: "CurrencyMismatch",
      accountId: accountId(3),
      currency: "JPY",
    })
  })

  it("ScaleExceeded counts the decimals as written: nothing is rounded, not even zeros", () => {
    for (const [code, fits, exceeds] of [
      ["USD", "1.50", "1.500"],
      ["JPY", "1", "1.0"],
      ["BHD", "1.005", "1.0050"],
    ] as const) {
      const states = [state(1, { currency: Currency.make(code) })]
      assert.strictEqual(tagOf(post(states, [leg(1, fits)])), "Decision")
      assert.deepStrictEqual(refusalOf(post(states, [leg(1, exceeds)])), {
        _tag: "ScaleExceeded",
        amount: exceeds,
        currency: code,
      })
    }
    assert.strictEqual(tagOf(post([state(1, { currency: Currency.make("CLF") })], [leg(1, "1.0005")])), "Decision")
  })

  it("Unbalanced says the sum, which may be more than any one amount", () => {
    assert.deepStrictEqual(refusalOf(post([state(1), state(2)], [leg(1, "1.5"), leg(2, "-1")])), unbalanced("0.50"))
    const most = "99999999999999.99"
    assert.deepStrictEqual(
      refusalOf(post([state(1), state(2)], [leg(1, most), leg(2, most)])),
      unbalanced("199999999999999.98"),
    )
    const many = Array.from({ length: 100 }, (_, index) => index)
    assert.deepStrictEqual(
      refusalOf(
        post(
          many.map((index) => state(index)),
          many.map((index) => leg(index, `-${most}`)),
        ),
      ),
      unbalanced("-9999999999999999.00"),
    )
  })

  it("VersionConflict says both sequences", () => {
    assert.strictEqual(tagOf(post([state(1)], [leg(1, "1", { expectedSeq: 3 })])), "Decision")
    for (const expectedSeq of [0, 2, 4]) {
      assert.deepStrictEqual(refusalOf(post([state(1)], [leg(1, "1", { expectedSeq })])), {
        _tag: "VersionConflict",
        accountId: accountId(1),
        expectedSeq,
        currentSeq: 3,
      })
    }
  })

  it("AmountOutOfRange at both ends, and not one unit before", () => {
    const clf = { currency: Currency.make("CLF"), overdraftLimit: null }
    for (const sign of ["", "-"]) {
      const near = money(`${sign}99999999999999.9998`)
      assert.strictEqual(tagOf(post([state(1, { ...clf, balance: near })], [leg(1, `${sign}0.0001`)])), "Decision")
      assert.deepStrictEqual(refusalOf(post([state(1, { ...clf, balance: near })], [leg(1, `${sign}0.0002`)])), {
        _tag: "AmountOutOfRange",
        accountId: accountId(1),
      })
    }
  })

  it("InsufficientFunds says what is there: balance less held, and the limit", () => {
    const states = [state(1, { held: money("30"), overdraftLimit: money("5") })]
    assert.strictEqual(tagOf(post(states, [leg(1, "-75")])), "Decision")
    assert.deepStrictEqual(refusalOf(post(states, [leg(1, "-75.01")])), {
      _tag: "InsufficientFunds",
      accountId: accountId(1),
      available: "75.00",
      currency: "USD",
    })
    const empty = [state(1, { balance: Money.zero, currency: Currency.make("JPY") })]
    assert.strictEqual(refusalOf(post(empty, [leg(1, "-1")]))["available"], "0")
    assert.strictEqual(tagOf(post([state(1, { overdraftLimit: null })], [leg(1, "-99999999999999")])), "Decision")
  })

  it("a stamp with too few ids is a defect", () => {
    const changes = [leg(1, "1"), leg(2, "-1")]
    const intent: PostTransaction = { _tag: "PostTransaction", changes, description: null, metadata: null }
    const request: Request<PostTransaction> = { intent, actor, idempotencyKey: null }
    assert.throws(() => decide(request, headsOf([state(1), state(2)]), stamp(idFirst, 1)), RangeError)
  })
})

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

describe("precedence", () => {
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
      states: one({ balance: money("99999999999999.99") }),
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
  ]

  const innocent = { changes: pair("1")(90), states: rich(90) }

  it("holds without a fault", () => assert.lengthOf(rowsOf(post(innocent.states, innocent.changes)), 2))

  it.each(faults)("$name by itself", (fault) => {
    const states = [...fault.states(10), ...innocent.states]
    assert.deepInclude(refusalOf(post(states, [...fault.changes(10), ...innocent.changes])), refusalBy(fault, 10))
    assert.deepInclude(refusalOf(post(states, [...innocent.changes, ...fault.changes(10)])), refusalBy(fault, 10))
  })

  // On different accounts any two faults can apply at once, so no pair is left out: 11 × 10 / 2. The one limit is that
  // of two faults of one account only one status, and one answer about existence, can be true: see the next table.
  const pairs = faults.flatMap((earlier, index) => faults.slice(index + 1).map((later) => ({ earlier, later })))

  it("covers every pair", () => assert.lengthOf(pairs, 55))

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
      state: (head) => ({ ...head, balance: money("-99999999999999.99"), overdraftLimit: null }),
    },
    {
      name: "funds",
      tag: "InsufficientFunds",
      change: (change) => change,
      state: (head) =>
        head.overdraftLimit === null
          ? { ...head, overdraftLimit: money("99999999999999.99") }
          : { ...head, balance: Money.zero },
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
