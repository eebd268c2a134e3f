/**
 * A statement as a page for the customer: to read on a screen, light or dark, and to print. It has no script and loads
 * nothing, its answer allows neither, and all text in it is escaped.
 */
import { amountOf } from "@banquo/api/Balance"
import { timeOn } from "@banquo/domain/Axis"
import type { ChgFlavor } from "@banquo/domain/BalanceChange"
import * as Money from "@banquo/domain/Money"
import type { Line, Turnover } from "@banquo/domain/Statement"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Stream } from "effect"
import { createHash } from "node:crypto"
import type { Head } from "./StatementDocument.ts"

const style = `
:root {
  color-scheme: light dark;
  --paper: #fff; --ground: #eef0ee; --ink: #17211d; --soft: #5d6b65; --rule: #d9dfdb; --tint: #f4f7f5;
  --accent: #0c5a45; --warn: #8a3b00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161c19; --ground: #0d110f; --ink: #e8eeea; --soft: #9daca4; --rule: #2d3732; --tint: #1c2420;
    --accent: #6fd0ae; --warn: #ffb27a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 2.5rem 1rem; background: var(--ground); color: var(--ink);
  font: 0.9375rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main {
  max-width: 54rem; margin: 0 auto; padding: 3rem 3.25rem; background: var(--paper);
  border-top: 4px solid var(--accent); border-radius: 2px; box-shadow: 0 1px 3px rgb(0 0 0 / 0.12);
}
h1 { margin: 0; font-size: 1.75rem; font-weight: 650; letter-spacing: -0.015em; line-height: 1.2; }
.period { margin: 0.25rem 0 0; color: var(--soft); font-size: 1.0625rem; }
.parties { display: flex; flex-wrap: wrap; gap: 1.5rem 3rem; justify-content: space-between; margin: 2.25rem 0; }
address { font-style: normal; min-width: 12rem; max-width: 22rem; overflow-wrap: anywhere; white-space: pre-line; unicode-bidi: plaintext; }
address strong { font-weight: 600; unicode-bidi: isolate; }
dl { margin: 0; }
.facts { display: grid; grid-template-columns: auto auto; gap: 0.15rem 1.25rem; align-content: start; }
dt { color: var(--soft); }
dd { margin: 0; }
.number { font-variant-numeric: tabular-nums; }
.sums { display: flex; flex-wrap: wrap; gap: 1px; margin: 0 0 2.25rem; background: var(--rule); border: 1px solid var(--rule); border-radius: 6px; overflow: hidden; }
.sums div { flex: 1 1 9.5rem; padding: 0.85rem 1.1rem; background: var(--paper); }
.sums .closing { background: var(--tint); }
.sums dt { font-size: 0.8125rem; }
.sums dd { font-size: 1.1875rem; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
.sums small { display: block; color: var(--soft); font-size: 0.75rem; font-weight: 400; }
.sums .closing dd { color: var(--accent); }
table { width: 100%; border-collapse: collapse; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th { padding: 0 0.6rem 0.5rem; color: var(--soft); font-size: 0.8125rem; font-weight: 500; text-align: left; vertical-align: bottom; }
.titles { border-bottom: 1.5px solid var(--ink); }
.running { display: none; }
td { padding: 0.55rem 0.6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
.date { white-space: nowrap; }
.text { width: 100%; overflow-wrap: anywhere; unicode-bidi: plaintext; }
.text span { unicode-bidi: isolate; white-space: pre-wrap; }
.note { display: block; color: var(--soft); font-size: 0.8125rem; }
.money { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.edge td { background: var(--tint); font-weight: 600; }
footer { margin-top: 2rem; color: var(--soft); font-size: 0.8125rem; }
footer p { margin: 0.35rem 0; }
footer code { font: 0.75rem ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.incomplete { display: none; margin: 0 0 1.5rem; padding: 0.6rem 1rem; border: 1px solid; border-radius: 6px; color: var(--warn); }
main:not(:has(footer)) .incomplete { display: block; }
@media screen and (max-width: 44rem) {
  body { padding: 0; background: var(--paper); }
  main { padding: 1.75rem 1rem; box-shadow: none; }
  .facts { grid-template-columns: 1fr; }
  .facts dd + dt { margin-top: 0.4rem; }
  .number { overflow-wrap: anywhere; }
  table, tbody { display: block; }
  thead { display: none; }
  tr { display: grid; grid-template-columns: 1fr auto; gap: 0.1rem 1rem; padding: 0.7rem 0.25rem; border-bottom: 1px solid var(--rule); }
  tr:first-child { border-top: 1.5px solid var(--ink); }
  td, .edge td { padding: 0; border: 0; background: none; }
  td:empty { display: none; }
  .text { grid-area: 1 / 1; width: auto; }
  .out, .in { grid-area: 1 / 2; }
  .out::before { content: "\\2212"; }
  .in::before { content: "+"; }
  .date, .balance { grid-row: 2; color: var(--soft); font-size: 0.8125rem; }
  .edge { grid-template-columns: 1fr auto; padding-inline: 0.25rem; background: var(--tint); }
  .edge .balance { grid-area: 1 / 2; color: inherit; font-size: inherit; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --ground: #fff; --ink: #000; --soft: #4a544f; --rule: #cfd6d2; --tint: #f2f5f3; --accent: #0c5a45; --warn: #8a3b00;
  }
  @page {
    size: A4; margin: 18mm 16mm 20mm;
    @bottom-left { content: "Statement of account"; color: #4a544f; font: 8pt system-ui, sans-serif; }
    @bottom-right { content: "Page " counter(page) " of " counter(pages); color: #4a544f; font: 8pt system-ui, sans-serif; }
  }
  body { padding: 0; font-size: 9.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; border: 0; box-shadow: none; }
  thead { display: table-header-group; }
  .running { display: table-row; }
  .running th { padding-bottom: 0.75rem; }
  tr, .sums, footer { break-inside: avoid; }
  td { padding-block: 0.4rem; }
}
`

/** No script, nothing from elsewhere, in no frame; the one style is known by its hash. */
export const headers = {
  "content-security-policy": `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "referrer-policy": "no-referrer",
}

const entities: { readonly [sign: string]: string } = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
}

/** Control characters that HTML does not have are shown as what Unicode has for that. */
const escape = (text: string): string =>
  text
    .replaceAll(/[&<>"']/g, (sign) => entities[sign]!)
    // oxlint-disable-next-line no-control-regex
    .replaceAll(/[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, "\uFFFD")

const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
]

/** The parts of an instant in UTC. */
const partsOf = (time: Timestamp.Timestamp) => {
  const [date, clock] = Timestamp.format(time).slice(0, -1).split("T") as [string, string]
  const [year, month, day] = date.split("-") as [string, string, string]
  return { date, clock, year, month: months[Number(month) - 1]!, day: `${Number(day)}` }
}

const longDate = (time: Timestamp.Timestamp): string => {
  const { day, month, year } = partsOf(time)
  return `${day} ${month} ${year}`
}

const shortDate = (time: Timestamp.Timestamp): string => {
  const { day, month, year } = partsOf(time)
  return `${day} ${month.slice(0, 3)} ${year}`
}

const isMidnight = (time: Timestamp.Timestamp): boolean => partsOf(time).clock === "00:00:00.000000"

const withClock = (time: Timestamp.Timestamp): string =>
  `${longDate(time)}, ${partsOf(time)
    .clock.replace(/\.?0+$/, "")
    .replace(/^(\d\d:\d\d)$/, "$1:00")
    .replace(/^(\d\d)$/, "$1:00:00")} UTC`

/** Whole days are named with their last one, as people do; other periods by both instants. */
export const periodOf = ({ from, to }: Pick<Head, "from" | "to">): string => {
  if (!isMidnight(from) || !isMidnight(to)) return `From ${withClock(from)} until before ${withClock(to)}`
  const [first, last] = [longDate(from), longDate(Timestamp.make(to - 1n))]
  return first === last ? first : `${first} to ${last}`
}

/** With a comma between thousands and a real minus sign. */
export const figure = (money: Money.Money, { end }: Head): string =>
  amountOf(money, end)
    .replace("-", "\u2212")
    .replaceAll(/\B(?<!\.\d*)(?=(?:\d{3})+(?!\d))/g, ",")

/** For changes that nobody described. */
const labels: { readonly [F in ChgFlavor]: string } = {
  INITIAL: "Opening of the account",
  FLOW: "Payment",
  CAPTURE: "Card payment",
  HOLD: "Reservation",
  RELEASE: "Reservation released",
  TERMS: "Change of terms",
}

const sum = (label: string, value: string, note = "", name = ""): string =>
  `<div${name === "" ? "" : ` class="${name}"`}><dt>${label}</dt><dd>${value}${note === "" ? "" : `<small>${note}</small>`}</dd></div>`

const times = ({ count }: Turnover): string => (count === 1 ? "1 movement" : `${count} movements`)

const edge = (label: string, time: string, balance: string): string =>
  `<tr class="edge"><td class="date">${time}</td><td class="text">${label}</td><td></td><td></td><td class="money balance">${balance}</td></tr>\n`

const start = (head: Head): string => {
  const { account, end, from, summary } = head
  const { closing, credits, debits, opening } = summary
  const title = `Statement of account, ${periodOf(head)}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<p class="incomplete" role="alert">This statement is not complete. If the page has stopped loading, please load it again.</p>
<header>
<h1>Statement of account</h1>
<p class="period">${escape(periodOf(head))}</p>
</header>
<div class="parties">
<address><strong>${escape(account.custName)}</strong>
${escape(account.custAddress)}</address>
<dl class="facts">
<dt>Account</dt><dd class="number">${escape(account.acctId)}</dd>
<dt>Currency</dt><dd>${escape(end.currency)}</dd>
</dl>
</div>
<dl class="sums">
${sum("Opening balance", figure(opening, head))}
${sum("Money in", figure(credits.sum, head), times(credits))}
${sum("Money out", figure(debits.sum, head), times(debits))}
${sum("Closing balance", figure(closing, head), "", "closing")}
</dl>
<table>
<caption>Movements</caption>
<thead>
<tr class="running"><th colspan="5">Account ${escape(account.acctId)}, ${escape(periodOf(head))}</th></tr>
<tr class="titles"><th scope="col">Date</th><th scope="col">Description</th><th scope="col" class="money">Money out</th><th scope="col" class="money">Money in</th><th scope="col" class="money">Balance, ${escape(end.currency)}</th></tr>
</thead>
<tbody>
${edge("Opening balance", shortDate(from), figure(opening, head))}`
}

/** A change that was dated otherwise than it was taken names the other day too. */
const noteOf = (line: Line, { axis }: Head): string => {
  const [shown, other] =
    axis === "created" ? [line.chgCreateTime, line.effectiveTime] : [line.effectiveTime, line.chgCreateTime]
  if (partsOf(shown).date === partsOf(other).date) return ""
  return `<span class="note">${axis === "created" ? "effective" : "booked"} ${shortDate(other)}</span>`
}

const row = (line: Line, head: Head): string => {
  const text = line.description === null || line.description.trim() === "" ? labels[line.chgFlavor] : line.description
  const isOut = line.chgAmt < 0n
  const amount = figure(isOut ? Money.difference(Money.zero, line.chgAmt) : line.chgAmt, head)
  return `<tr><td class="date">${shortDate(timeOn(head.axis, line))}</td><td class="text"><span>${escape(text)}</span>${noteOf(line, head)}</td><td class="money out">${isOut ? amount : ""}</td><td class="money in">${isOut ? "" : amount}</td><td class="money balance">${figure(line.balance, head)}</td></tr>\n`
}

const end = (head: Head): string => {
  const last = Timestamp.make(head.to - 1n)
  const { acctSeq, chgCreateTime, chgHash } = head.end
  return `${edge("Closing balance", shortDate(last), figure(head.summary.closing, head))}</tbody>
</table>
<footer>
<p>Days are those of UTC. ${
    head.axis === "created"
      ? "Movements are listed by the day that they were booked."
      : "Movements are listed by the day that they took effect."
  } Money that is only reserved is not listed until it is paid.</p>
<p>Made from the changes of the account up to no. ${acctSeq}, of ${withClock(chgCreateTime)}. Seal of that change: <code>${chgHash.toHex()}</code></p>
</footer>
</main>
</body>
</html>
`
}

/** Until its end has come, the page says that it is not complete. */
export const html = <E, R>(head: Head, lines: Stream.Stream<Line, E, R>): Stream.Stream<string, E, R> =>
  Stream.suspend(() => Stream.make(start(head))).pipe(
    Stream.concat(Stream.mapArray(lines, (page) => [page.map((line) => row(line, head)).join("")])),
    Stream.concat(Stream.suspend(() => Stream.make(end(head)))),
  )
