/** The chains of a part of all accounts, each held against itself and against what is said of its account. */
import type { AccountRecord } from "@banquo/domain/Account"
import type { AccountId } from "@banquo/domain/AccountId"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { areDetailsIntact, ChainCheck } from "@banquo/domain/ChainCheck"
import { Effect } from "effect"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { limitTo } from "../tables/RowLimit.ts"
import { type AccountRecordRow, recordColumns, recordOfRow } from "../tables/AccountTable.ts"
import { type BalanceChangeRow, changeColumns, changeOfRow } from "../tables/BalanceChangeTable.ts"
import type { Report } from "./Fault.ts"

/** Rows that are read at a time: all of a part that is in memory, twice. */
export const verifyPageMax = 250

/** Accounts whose ids are above `after`, up to and including `upTo`. */
export interface Range {
  readonly after: string
  readonly upTo: string
}

const lowest = "00000000-0000-0000-0000-000000000000"
const highest = "ffffffff-ffff-ffff-ffff-ffffffffffff"

/** So many parts that hold all accounts; the nil UUID belongs to none. */
export const rangesOf = (count: number): ReadonlyArray<Range> => {
  const bounds = Array.from({ length: count + 1 }, (_, at) =>
    at === 0
      ? lowest
      : at === count
        ? highest
        : `${Math.floor((at * 2 ** 32) / count)
            .toString(16)
            .padStart(8, "0")}-0000-0000-0000-000000000000`,
  )
  return Array.from({ length: count }, (_, at) => ({ after: bounds[at]!, upTo: bounds[at + 1]! }))
}

/** How far a range has come. */
export interface RangeProgress {
  readonly accounts: number
  readonly changes: number
  /** From 0 to 1. */
  readonly done: number
}

interface Place {
  readonly acctId: string
  readonly acctSeq: number
}

/** `acct_seq` of no row: after all rows of an account. */
const afterAll = Number.MAX_SAFE_INTEGER

/** Verifies the accounts of a range; a page is checked while the next one is read. */
export const verifyRange = (
  ledgerId: string,
  range: Range,
  report: Report,
  onProgress: (progress: RangeProgress) => Effect.Effect<void>,
): Effect.Effect<void, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const checker = new RangeChecker(ledgerId, report)
    const [start, end] = [fractionOf(range.after), fractionOf(range.upTo)]
    let page = yield* readPage({ acctId: range.after, acctSeq: afterAll }, range)
    for (;;) {
      const isLast = page.changes.length < verifyPageMax
      const [next] = yield* Effect.all(
        [isLast ? Effect.succeed(page) : readPage(page.end, range), Effect.sync(() => checker.check(page))],
        { concurrency: 2 },
      )
      const done = isLast ? 1 : (fractionOf(page.end.acctId) - start) / (end - start)
      yield* onProgress({ accounts: checker.accounts, changes: checker.changes, done })
      if (isLast) return
      page = next
    }
  })

const fractionOf = (id: string): number => Number.parseInt(id.slice(0, 8), 16) / 2 ** 32

interface Page {
  readonly changes: ReadonlyArray<BalanceChange>
  /** What is said of accounts between the end of the page before and the end of this one. */
  readonly records: ReadonlyArray<AccountRecord>
  readonly end: Place
}

const readPage = Effect.fnUntraced(function* (after: Place, { upTo }: Range) {
  const rows = yield* read(
    // Why: Rows never change, so pages that are read one after the other fit together, whatever is appended between
    // them.
    // Plan: The unique index on (acct_id, acct_seq) in its order, from a place on; as many rows as the limit are
    // read.
    (sql) => sql<BalanceChangeRow>`
      SELECT ${sql.literal(changeColumns)} FROM balance_change b
      WHERE (b.acct_id, b.acct_seq) > (${after.acctId}::UUID, ${BigInt(after.acctSeq)}::INT8) AND b.acct_id <= ${upTo}::UUID
      ORDER BY b.acct_id, b.acct_seq LIMIT ${limitTo(sql, verifyPageMax)}`,
  )
  const last = rows.length < verifyPageMax ? undefined : rows.at(-1)
  const end: Place =
    last === undefined ? { acctId: upTo, acctSeq: afterAll } : { acctId: last.acct_id, acctSeq: Number(last.acct_seq) }
  const records = yield* read(
    // Why: What is said of the accounts of a page of changes that was read before: it is stored together with them.
    // Plan: A range of the primary key, of no more rows than the page has changes.
    (sql) => sql<AccountRecordRow>`
      SELECT ${sql.literal(recordColumns)} FROM account k
      WHERE (k.acct_id, k.acct_seq) > (${after.acctId}::UUID, ${BigInt(after.acctSeq)}::INT8)
        AND (k.acct_id, k.acct_seq) <= (${end.acctId}::UUID, ${BigInt(end.acctSeq)}::INT8)
      ORDER BY k.acct_id, k.acct_seq`,
  )
  const page: Page = { changes: rows.map(changeOfRow), records: records.map(recordOfRow), end }
  return page
})

/** Follows the chains of a range, page by page. */
class RangeChecker {
  accounts = 0
  changes = 0
  readonly #ledgerId: string
  readonly #report: Report
  #chain: { readonly acctId: AccountId; readonly check: ChainCheck } | undefined

  constructor(ledgerId: string, report: Report) {
    this.#ledgerId = ledgerId
    this.#report = report
  }

  check({ changes, records }: Page): void {
    let next = 0
    for (const change of changes) {
      const chain = this.#chainOf(change.acctId)
      for (const kind of chain.next(change)) this.#report(kind, placeOf(change))
      for (; next < records.length && isBefore(records[next]!, change); next++) this.#reportStray(records[next]!)
      const record = records[next]
      if (record !== undefined && record.acctId === change.acctId && record.acctSeq === change.acctSeq) next += 1
      this.#checkDetails(
        change,
        record?.acctId === change.acctId && record.acctSeq === change.acctSeq ? record : undefined,
      )
    }
    for (; next < records.length; next++) this.#reportStray(records[next]!)
    this.changes += changes.length
  }

  #chainOf(acctId: AccountId): ChainCheck {
    if (this.#chain?.acctId !== acctId) {
      this.#chain = { acctId, check: ChainCheck.ofAccount(this.#ledgerId, acctId) }
      this.accounts += 1
    }
    return this.#chain.check
  }

  #checkDetails(change: BalanceChange, record: AccountRecord | undefined) {
    if (change.detailsHash === null) {
      if (record !== undefined) this.#report("details of no change", placeOf(change))
    } else if (record === undefined) this.#report("no details", placeOf(change))
    else if (!areDetailsIntact(record, record.salt, change.detailsHash)) this.#report("wrong details", placeOf(change))
  }

  /** Something is said of an account where it has no change. */
  #reportStray({ acctId, acctSeq }: AccountRecord) {
    const place = `account ${acctId}, sequence ${acctSeq}`
    this.#report(acctSeq === 0 && this.#chain?.acctId !== acctId ? "no changes" : "details of no change", place)
  }
}

const placeOf = ({ acctId, acctSeq, bchgId }: BalanceChange) =>
  `account ${acctId}, sequence ${acctSeq}, change ${bchgId}`

const isBefore = (a: AccountRecord, b: BalanceChange): boolean =>
  a.acctId === b.acctId ? a.acctSeq < b.acctSeq : a.acctId < b.acctId
