/** A statement as JSON and as CSV. */
import { amountOf } from "@banquo/api/Balance"
import type * as Contract from "@banquo/api/Statement"
import * as Csv from "@banquo/domain/Csv"
import * as Money from "@banquo/domain/Money"
import type { Line } from "@banquo/domain/Statement"
import * as Timestamp from "@banquo/domain/Timestamp"
import type { Statement } from "@banquo/ledger/Statement"
import { Stream } from "effect"

/** All of a statement but its lines. */
export type Head = Omit<Statement, "lines">

type Json = typeof Contract.Statement.Encoded

const jsonHead = ({ account, axis, end, from, summary, to }: Head): Omit<Json, "rows"> => {
  const amount = (money: Money.Money) => amountOf(money, end)
  const { closing, credits, debits, opening } = summary
  return {
    account_id: account.acctId,
    customer_name: account.custName,
    customer_address: account.custAddress,
    currency: end.currency,
    axis,
    from: Timestamp.format(from),
    to: Timestamp.format(to),
    seq: end.acctSeq,
    hash: end.chgHash.toHex(),
    as_of: Timestamp.format(end.chgCreateTime),
    opening: amount(opening),
    debits: { count: debits.count, sum: amount(debits.sum) },
    credits: { count: credits.count, sum: amount(credits.sum) },
    closing: amount(closing),
  }
}

const jsonRow = (line: Line, { end }: Head): Json["rows"][number] => ({
  seq: line.acctSeq,
  change_id: `${line.bchgId}`,
  transaction_id: `${line.xactId}`,
  flavor: line.chgFlavor,
  effective_at: Timestamp.format(line.effectiveTime),
  created_at: Timestamp.format(line.chgCreateTime),
  description: line.description,
  amount: amountOf(line.chgAmt, end),
  balance: amountOf(line.balance, end),
})

/** One JSON object: its rows are the last member, and are written as they come. */
export const json = <E, R>(head: Head, lines: Stream.Stream<Line, E, R>): Stream.Stream<string, E, R> =>
  Stream.suspend(() => {
    let separator = ""
    const rows = Stream.mapArray(lines, (page) => {
      const text = separator + page.map((line) => JSON.stringify(jsonRow(line, head))).join(",")
      separator = ","
      return [text]
    })
    const opening = `${JSON.stringify(jsonHead(head)).slice(0, -1)},"rows":[`
    return Stream.make(opening).pipe(Stream.concat(rows), Stream.concat(Stream.make("]}")))
  })

const columns = [
  "kind",
  "seq",
  "change_id",
  "transaction_id",
  "flavor",
  "effective_at",
  "created_at",
  "description",
  "debit",
  "credit",
  "balance",
  "currency",
]

/** Neither record is a change: `opening` has the balance before the first row, `closing` the sums of all rows and the last balance. */
const csvEdge = (head: Head, kind: "opening" | "closing"): string => {
  const { end, from, summary, to } = head
  const amount = (money: Money.Money) => amountOf(money, end)
  const isOpening = kind === "opening"
  const time = Timestamp.format(isOpening ? from : to)
  return Csv.record([
    kind,
    isOpening ? null : `${end.acctSeq}`,
    null,
    null,
    null,
    head.axis === "effective" ? time : null,
    head.axis === "created" ? time : null,
    null,
    isOpening ? null : amount(summary.debits.sum),
    isOpening ? null : amount(summary.credits.sum),
    amount(summary[kind]),
    end.currency,
  ])
}

const csvRow = (line: Line, { end }: Head): string => {
  const isDebit = line.chgAmt < 0n
  const amount = amountOf(isDebit ? Money.difference(Money.zero, line.chgAmt) : line.chgAmt, end)
  return Csv.record([
    "row",
    `${line.acctSeq}`,
    `${line.bchgId}`,
    `${line.xactId}`,
    line.chgFlavor,
    Timestamp.format(line.effectiveTime),
    Timestamp.format(line.chgCreateTime),
    line.description === null ? null : Csv.text(line.description),
    isDebit ? amount : null,
    isDebit ? null : amount,
    amountOf(line.balance, end),
    end.currency,
  ])
}

/** A file whose last record is not `closing` is not complete. */
export const csv = <E, R>(head: Head, lines: Stream.Stream<Line, E, R>): Stream.Stream<string, E, R> =>
  Stream.make(Csv.record(columns) + csvEdge(head, "opening")).pipe(
    Stream.concat(Stream.mapArray(lines, (page) => [page.map((line) => csvRow(line, head)).join("")])),
    Stream.concat(Stream.make(csvEdge(head, "closing"))),
  )
