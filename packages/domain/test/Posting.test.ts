import { assert, describe, it } from "@effect/vitest"
import type { AccountState } from "../src/account/AccountState.ts"
import type { AccountStatus } from "../src/account/AccountStatus.ts"
import { Currency, isoScaleOf } from "../src/money/Currency.ts"
import { decide } from "../src/decide/Decide.ts"
import type { OpenAccount, PostTransaction, Request } from "../src/request/Intent.ts"
import * as Money from "../src/money/Money.ts"
import { actor, amount, idFirst, judge, leg, money, post, refusalOf, rowsOf, state, tagOf, usd } from "./Sample.ts"
import { accountId, headsWith, stamp } from "./World.ts"

const exceeded = (text: string) => ({ _tag: "ScaleExceeded", amount: text, currency: "USD", scale: 2 })
const unbalanced = (sum: string) => ({ _tag: "Unbalanced", currency: "USD", sum })

describe("opening an account", () => {
  const opening: OpenAccount = {
    _tag: "OpenAccount",
    acctId: accountId(1),
    acctIdIsChosen: true,
    custName: "Ada Lovelace",
    custAddress: "London",
    owner: "customer-7",
    currency: usd,
    scale: null,
    initialBalance: amount("10.50"),
    overdraftLimit: amount("0"),
    reference: null,
    metadata: { branch: "7" },
  }
  const open = (other: Partial<OpenAccount>, states: ReadonlyArray<AccountState> = []) =>
    judge({ ...opening, ...other }, states)

  it("writes an INITIAL row", () => {
    const [row] = rowsOf(open({}))
    assert.deepInclude(row, { acctSeq: 0, prevBchgId: null, balance: money("10.50"), chgAmt: money("10.50") })
  })

  it("may begin below zero as far as the limit says, and anywhere without one", () => {
    assert.strictEqual(
      rowsOf(open({ initialBalance: amount("-5"), overdraftLimit: amount("5") }))[0]?.balance,
      money("-5"),
    )
    const bank = rowsOf(open({ initialBalance: amount("-99999999999999999999.99"), overdraftLimit: null }))
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
      const scale = isoScaleOf(Currency.make(code))!
      const states = [state(1, { currency: Currency.make(code), scale })]
      assert.strictEqual(tagOf(post(states, [leg(1, fits)])), "Decision")
      assert.deepStrictEqual(refusalOf(post(states, [leg(1, exceeds)])), {
        _tag: "ScaleExceeded",
        amount: exceeds,
        currency: code,
        scale,
      })
    }
    assert.strictEqual(tagOf(post([state(1, { scale: 4 })], [leg(1, "1.0005")])), "Decision")
  })

  it("Unbalanced says the sum, which may be more than any one amount", () => {
    assert.deepStrictEqual(refusalOf(post([state(1), state(2)], [leg(1, "1.5"), leg(2, "-1")])), unbalanced("0.50"))
    const most = "99999999999999999999.99"
    assert.deepStrictEqual(
      refusalOf(post([state(1), state(2)], [leg(1, most), leg(2, most)])),
      unbalanced("199999999999999999999.98"),
    )
    const many = Array.from({ length: 100 }, (_, index) => index)
    assert.deepStrictEqual(
      refusalOf(
        post(
          many.map((index) => state(index)),
          many.map((index) => leg(index, `-${most}`)),
        ),
      ),
      unbalanced("-9999999999999999999999.00"),
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
    const clf = { currency: Currency.make("XBT"), scale: 8, overdraftLimit: null }
    for (const sign of ["", "-"]) {
      const near = money(`${sign}99999999999999999999.99999998`)
      assert.strictEqual(tagOf(post([state(1, { ...clf, balance: near })], [leg(1, `${sign}0.00000001`)])), "Decision")
      assert.deepStrictEqual(refusalOf(post([state(1, { ...clf, balance: near })], [leg(1, `${sign}0.00000002`)])), {
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
    const empty = [state(1, { balance: Money.zero, currency: Currency.make("JPY"), scale: 0 })]
    assert.strictEqual(refusalOf(post(empty, [leg(1, "-1")]))["available"], "0")
    assert.strictEqual(tagOf(post([state(1, { overdraftLimit: null })], [leg(1, "-99999999999999999999")])), "Decision")
  })

  it("a stamp with too few ids is a defect", () => {
    const changes = [leg(1, "1"), leg(2, "-1")]
    const intent: PostTransaction = {
      _tag: "PostTransaction",
      changes,
      reference: null,
      description: null,
      metadata: null,
    }
    const request: Request<PostTransaction> = { intent, actor, idempotencyKey: null }
    assert.throws(() => decide(request, headsWith([state(1), state(2)]), stamp(idFirst, 1)), RangeError)
  })
})
