import { assert, describe, it } from "@effect/vitest"
import type { AccountState } from "../src/account/AccountState.ts"
import { type AccountStatus, accountStatuses } from "../src/account/AccountStatus.ts"
import type { ChangeTerms } from "../src/request/Intent.ts"
import * as Money from "../src/money/Money.ts"
import {
  amount,
  decisionOf,
  hold,
  holding,
  judge,
  leg,
  money,
  post,
  refusalOf,
  rowsOf,
  state,
  tagOf,
} from "./Sample.ts"
import { detailsHash } from "../src/text/Texts.ts"
import { accountId, details } from "./World.ts"

const intentOf = (other: Partial<ChangeTerms>): ChangeTerms => ({
  _tag: "ChangeTerms",
  acctId: accountId(1),
  reason: "a court",
  metadata: null,
  ...other,
})

const change = (other: Partial<ChangeTerms>, head: AccountState = state(1)) => judge(intentOf(other), [head])

describe("changing terms", () => {
  const pairs = accountStatuses.flatMap((from) => accountStatuses.map((to) => [from, to] as const))

  it.each(pairs)("from %s to %s", (from, to) => {
    const verdict = change({ acctStatus: to }, state(1, { acctStatus: from, balance: Money.zero }))
    assert.strictEqual(tagOf(verdict), from === "closed" ? "AccountClosed" : "Decision")
    if (from !== "closed") assert.deepInclude(rowsOf(verdict)[0], { acctStatus: to, overdraftLimit: Money.zero })
  })

  it("is a TERMS row that says why, moves nothing, and leaves what is not said as it was", () => {
    const before = state(1, { acctStatus: "frozen", overdraftLimit: money("7") })
    const { account, asides, changes, heads } = decisionOf(change({}, before))
    assert.isEmpty(asides)
    assert.isNull(account)
    assert.lengthOf(changes, 1)
    assert.deepInclude(changes[0], {
      chgFlavor: "TERMS",
      chgAmt: Money.zero,
      heldAmt: Money.zero,
      description: "a court",
    })
    assert.deepInclude(heads.get(accountId(1)), {
      acctStatus: "frozen",
      balance: money("100"),
      overdraftLimit: money("7"),
    })
  })

  it("counts at once: a closed account takes nothing, a frozen one keeps what it has", () => {
    const after = (acctStatus: AccountStatus) => {
      return decisionOf(change({ acctStatus }, state(1, { balance: Money.zero }))).heads.get(accountId(1))!
    }
    assert.strictEqual(tagOf(post([after("closed")], [leg(1, "1")])), "AccountClosed")
    assert.strictEqual(tagOf(post([after("frozen")], [leg(1, "1")])), "AccountFrozen")
    assert.strictEqual(tagOf(change({ custName: "Eve" }, after("closed"))), "AccountClosed")
    assert.strictEqual(tagOf(judge({ _tag: "ExpireHolds", acctId: accountId(1) }, [after("closed")])), "NothingExpired")
  })

  it("AccountNotEmpty says what is there; what has expired is not", () => {
    const holds = [hold(1, "4", 60), hold(2, "5", -1)]
    assert.deepStrictEqual(
      refusalOf(change({ acctStatus: "closed" }, holding(1, holds, { overdraftLimit: money("9") }))),
      {
        _tag: "AccountNotEmpty",
        accountId: accountId(1),
        balance: "100.00",
        held: "4.00",
        currency: "USD",
      },
    )
    const expired = holding(1, [hold(1, "4", 0), hold(2, "5", -1)], { balance: Money.zero, overdraftLimit: null })
    const { asides, changes } = decisionOf(change({ acctStatus: "closed" }, expired))
    assert.deepStrictEqual(
      [...asides, ...changes].map(({ chgFlavor, held }) => [chgFlavor, held]),
      [
        ["RELEASE", money("4")],
        ["RELEASE", Money.zero],
        ["TERMS", Money.zero],
      ],
    )
  })

  it("OverdraftInUse says how much; a limit may be lowered to just that", () => {
    const used = holding(1, [hold(1, "4", 60)], { balance: money("-3"), overdraftLimit: money("10") })
    assert.deepStrictEqual(refusalOf(change({ overdraftLimit: amount("6.99") }, used)), {
      _tag: "OverdraftInUse",
      accountId: accountId(1),
      used: "7.00",
      currency: "USD",
    })
    assert.strictEqual(rowsOf(change({ overdraftLimit: amount("7") }, used))[0]!.overdraftLimit, money("7"))
    assert.isNull(rowsOf(change({ overdraftLimit: null }, used))[0]!.overdraftLimit)
    const unlimited = { ...used, overdraftLimit: null }
    assert.strictEqual(tagOf(change({ overdraftLimit: amount("6.99") }, unlimited)), "OverdraftInUse")
    assert.isNull(rowsOf(change({}, unlimited))[0]!.overdraftLimit)
  })

  it("an overdraft of more digits than an amount has can be said too", () => {
    const most = "99999999999999.99"
    const bank = holding(1, [hold(1, most, 60)], { balance: money(`-${most}`), overdraftLimit: null })
    assert.strictEqual(refusalOf(change({ overdraftLimit: amount(most) }, bank))["used"], "199999999999999.98")
  })

  it("a lower limit lets go of expired holds as far as it needs", () => {
    const used = holding(1, [hold(1, "4", -1), hold(2, "5", -2)], { balance: Money.zero, overdraftLimit: money("9") })
    for (const [limit, count] of [
      ["9", 0],
      ["8.99", 1],
      ["4", 1],
      ["3.99", 2],
      ["0", 2],
    ] as const) {
      assert.lengthOf(decisionOf(change({ overdraftLimit: amount(limit) }, used)).asides, count, limit)
    }
  })

  it("a correction goes with its row, whose hash covers all that is said of the account then", () => {
    const { account, changes } = decisionOf(judge(intentOf({ custName: "Augusta Ada King" }), [state(1)]))
    const [row] = changes
    assert.deepStrictEqual(account, {
      acctId: accountId(1),
      acctSeq: row!.acctSeq,
      ...details,
      custName: "Augusta Ada King",
      salt: row!.textsSalt,
    })
    assert.deepStrictEqual(row!.detailsHash, detailsHash(account!, row!.textsSalt!))
    assert.strictEqual(decisionOf(change({ custAddress: "" })).account?.custAddress, "")
    assert.isNull(decisionOf(change({ acctStatus: "frozen" })).changes[0]!.detailsHash)
  })
})
