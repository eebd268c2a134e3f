/** The page of a statement, without a server, a database or a browser. */
import type { Account } from "@banquo/domain/Account"
import { AccountId } from "@banquo/domain/AccountId"
import type { Axis } from "@banquo/domain/Axis"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { type Asset, Currency, isoScaleOf } from "@banquo/domain/Currency"
import * as Money from "@banquo/domain/Money"
import { linesFrom, type Movement, summaryOf, turnoversOf } from "@banquo/domain/Statement"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { createHash } from "node:crypto"
import type { Head } from "../src/StatementDocument.ts"
import * as StatementPage from "../src/StatementPage.ts"

const time = (text: string) => Timestamp.parse(text)!
const id = BalanceChangeId.make(1n)

const account: Account = {
  acctId: AccountId.make("018f4e5a-7c1b-7d3e-9f2a-000000000001"),
  custName: "Ann",
  custAddress: "1 Test Street\nÅrhus",
  reference: null,
  acctCreateTime: time("2026-01-01T00:00:00Z"),
  metadata: null,
}

const eur = { currency: Currency.make("EUR"), scale: 2 }

const movement = (chgAmt: bigint, more: Partial<Movement> = {}): Movement => ({
  acctSeq: 1,
  bchgId: id,
  xactId: id,
  chgFlavor: "FLOW",
  chgAmt: Money.make(chgAmt),
  description: "tea",
  effectiveTime: time("2026-11-05T09:30:00Z"),
  chgCreateTime: time("2026-11-05T09:30:00Z"),
  ...more,
})

const statement = (
  movements: ReadonlyArray<Movement>,
  {
    of = account,
    asset = eur,
    axis = "created",
    opening = 0n,
  }: { of?: Account; asset?: Asset; axis?: Axis; opening?: bigint } = {},
) => {
  const lines = linesFrom(Money.make(opening), movements)
  const closing = lines.at(-1)?.balance ?? Money.make(opening)
  const head: Head = {
    account: of,
    axis,
    from: time("2026-11-01T00:00:00Z"),
    to: time("2026-12-01T00:00:00Z"),
    end: {
      acctId: of.acctId,
      ...asset,
      owner: null,
      bchgId: id,
      acctSeq: 17,
      balance: closing,
      held: Money.zero,
      overdraftLimit: Money.zero,
      acctStatus: "open",
      chgCreateTime: time("2026-12-24T18:00:00.5Z"),
      chgHash: new Uint8Array(32),
      openHolds: [],
    },
    summary: summaryOf(Money.make(opening), closing, turnoversOf(movements)),
  }
  return { head, lines }
}

const pageOf = (...args: Parameters<typeof statement>) => {
  const { head, lines } = statement(...args)
  return Effect.runSync(Stream.mkString(StatementPage.html(head, Stream.fromIterable(lines))))
}

const rowsOf = (page: string) => [...page.matchAll(/<tr>(.*)<\/tr>/g)].map(([, row]) => row!)

/** As a reader sees them. */
const cellsOf = (row: string) =>
  [...row.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map(([, cell]) => cell!.replaceAll(/<[^>]*>/g, " ").trim())

describe("the page of a statement", () => {
  it("has a row for each movement, with what went out and in and was left", () => {
    const page = pageOf([movement(-1_250_000_000n), movement(123_456_789_000_000n, { description: "salary" })], {
      opening: 10_000_000_000n,
    })
    assert.deepStrictEqual(rowsOf(page).map(cellsOf), [
      ["5 Nov 2026", "tea", "12.50", "", "87.50"],
      ["5 Nov 2026", "salary", "", "1,234,567.89", "1,234,655.39"],
    ])
    const edges = [...page.matchAll(/<tr class="edge">(.*)<\/tr>/g)].map(([, row]) => cellsOf(row!))
    assert.deepStrictEqual(edges, [
      ["1 Nov 2026", "Opening balance", "", "", "100.00"],
      ["30 Nov 2026", "Closing balance", "", "", "1,234,655.39"],
    ])
    const sums = [...page.matchAll(/<dt>([^<]*)<\/dt><dd>([\d,.]*)(?:<small>([^<]*)<\/small>)?<\/dd>/g)]
    assert.deepStrictEqual(
      sums.map(([, label, value, note]) => [label, value, note ?? ""]),
      [
        ["Opening balance", "100.00", ""],
        ["Money in", "1,234,567.89", "1 movement"],
        ["Money out", "12.50", "1 movement"],
        ["Closing balance", "1,234,655.39", ""],
      ],
    )
  })

  it("names the customer, the account, the currency, the period and what it was made of", () => {
    const page = pageOf([])
    for (const text of [
      "<strong>Ann</strong>\n1 Test Street\nÅrhus</address>",
      account.acctId,
      "<dd>EUR</dd>",
      "1 November 2026 to 30 November 2026",
      "up to no. 17, of 24 December 2026, 18:00:00.5 UTC",
      "0".repeat(64),
    ]) {
      assert.include(page, text)
    }
  })

  it("a debt has a minus sign", () => {
    assert.include(pageOf([movement(-50_000_000n)]), `<td class="money balance">\u22120.50</td>`)
  })

  it("a change of another day names that too, on either axis", () => {
    const late = movement(-10_000_000_000n, { effectiveTime: time("2026-11-02T23:59:59Z") })
    assert.deepStrictEqual(cellsOf(rowsOf(pageOf([late]))[0]!).slice(0, 2), ["5 Nov 2026", "tea  effective 2 Nov 2026"])
    const page = pageOf([late], { axis: "effective" })
    assert.deepStrictEqual(cellsOf(rowsOf(page)[0]!).slice(0, 2), ["2 Nov 2026", "tea  booked 5 Nov 2026"])
    assert.include(page, "by the day that they took effect")
    const sameDay = movement(-10_000_000_000n, { effectiveTime: time("2026-11-05T00:00:00Z") })
    assert.deepStrictEqual(cellsOf(rowsOf(pageOf([sameDay]))[0]!)[1], "tea")
  })

  it("a change that nobody described is called by what it is", () => {
    const page = pageOf([
      movement(10_000_000_000n, { chgFlavor: "INITIAL", description: null }),
      movement(-10_000_000_000n, { chgFlavor: "CAPTURE", description: null }),
      movement(10_000_000_000n, { description: " \n" }),
    ])
    assert.deepStrictEqual(
      rowsOf(page).map((row) => cellsOf(row)[1]),
      ["Opening of the account", "Card payment", "Payment"],
    )
  })

  it("text stays text, wherever it comes from", () => {
    const evil = `</span><script>alert(1)</script>"'&amp;<img src=x onerror=alert(2)>\u202e\u0001\u0085`
    const page = pageOf([movement(10_000_000_000n, { description: evil })], {
      of: { ...account, custName: evil, custAddress: evil },
    })
    const escaped = `&lt;/span&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;amp;&lt;img src=x onerror=alert(2)&gt;\u202e\uFFFD\uFFFD`
    assert.strictEqual(page.split(escaped).length, 4)
    const tags = new Set([...page.matchAll(/<([a-z0-9]+)/g)].map(([, tag]) => tag!))
    for (const tag of ["script", "img", "link", "iframe", "a", "form", "object", "svg"])
      assert.notInclude([...tags], tag)
    assert.notMatch(page, /\s(?:on\w+|style|src|href)=(?![^<]*&gt;)/)
    assert.notMatch(page, /url\(|@import|https?:/)
  })

  it("its answer allows its own style by its hash, and nothing else", () => {
    const style = /<style>([^]*?)<\/style>/.exec(pageOf([]))![1]!
    const hash = createHash("sha256").update(style).digest("base64")
    assert.strictEqual(
      StatementPage.headers["content-security-policy"],
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
  })

  it("is well formed: what is opened is closed, in order", () => {
    const open: Array<string> = []
    const page = pageOf([movement(1n * 10_000_000_000n), movement(-100_000_000n)])
    for (const [, slash, tag] of page.replace(/<style>[^]*<\/style>/, "").matchAll(/<(\/?)([a-z0-9]+)[^>]*>/g)) {
      if (tag === "meta") continue
      if (slash === "") open.push(tag!)
      else assert.strictEqual(open.pop(), tag)
    }
    assert.deepStrictEqual(open, [])
  })

  it("says that it is not complete, until its end has come", () => {
    const page = pageOf([movement(100_000_000n)])
    assert.include(page, `<p class="incomplete" role="alert">`)
    assert.include(page, "main:not(:has(footer)) .incomplete { display: block; }")
    assert.strictEqual(page.split("<footer>").length, 2)
    assert.isAbove(page.indexOf("<footer>"), page.indexOf("Closing balance</td>"))
  })

  it.each([
    ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "1 November 2026 to 30 November 2026"],
    ["2026-11-05T00:00:00Z", "2026-11-06T00:00:00Z", "5 November 2026"],
    ["2024-02-28T00:00:00Z", "2024-03-01T00:00:00Z", "28 February 2024 to 29 February 2024"],
    [
      "2026-11-05T09:00:00Z",
      "2026-11-05T17:30:00Z",
      "From 5 November 2026, 09:00:00 UTC until before 5 November 2026, 17:30:00 UTC",
    ],
    [
      "2026-11-05T00:00:00Z",
      "2026-11-05T10:20:30.5Z",
      "From 5 November 2026, 00:00:00 UTC until before 5 November 2026, 10:20:30.5 UTC",
    ],
  ])("the period from %s to %s is called %s", (from, to, text) =>
    assert.strictEqual(StatementPage.periodOf({ from: time(from), to: time(to) }), text),
  )

  it.each([
    ["EUR", 0n, "0.00"],
    ["EUR", 99_900_000_000n, "999.00"],
    ["EUR", -100_000_000_000n, "\u22121,000.00"],
    ["EUR", 2n * Money.max - 1_999_998n, "199,999,999,999,999,999,999.98"],
    ["JPY", 123_456_700_000_000n, "1,234,567"],
    ["CLF", 123_456_780_000n, "1,234.5678"],
  ])("%s %d is %s", (currency, money, text) => {
    const { head } = statement([], {
      asset: { currency: Currency.make(currency), scale: isoScaleOf(Currency.make(currency))! },
    })
    assert.strictEqual(StatementPage.figure(Money.make(money), head), text)
  })
})
