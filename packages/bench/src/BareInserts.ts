/**
 * The limit of the database: rows that were decided and sealed beforehand, stored by one INSERT each or a thousand at a
 * time, by the same SQL client and with no HTTP. A process of its own, so that its processor time is its own.
 */
import type { SealedChange } from "@banquo/domain/ChangeHash"
import type { AccountId } from "@banquo/domain/AccountId"
import { noHolds } from "@banquo/domain/Hold"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import * as BalanceChangeTable from "@banquo/ledger/BalanceChangeTable"
import { NodeRuntime } from "@effect/platform-node"
import { Array as Arr, Config, Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { createHistogram } from "node:perf_hooks"
import * as Database from "./Database.ts"
import { newIds, nextChanges } from "./Fill.ts"
import type { BareMessage, BareOptions } from "./Limit.ts"

/** What a server has, too. */
const connectionsMax = 10

const post = (message: BareMessage) =>
  Effect.promise(() => new Promise<void>((done) => process.send!(message, () => done())))

/** Listens from the start. The processor time of the connections is looked at before they are closed. */
const told = new Promise<void>((done) => process.once("message", () => done()))
const exit = () => process.exit(1)
process.once("disconnect", exit)

const program = Effect.gen(function* () {
  const options = JSON.parse(process.argv[2]!) as BareOptions
  const sql = yield* Database.connect(yield* Config.Redacted("DATABASE_URL"), connectionsMax)
  const [ledger] = yield* sql<{ readonly ledger_id: string }>`SELECT ledger_id FROM ledger`
  const tails = yield* sql<
    BalanceChangeTable.StateRow & { readonly acct_id: AccountId }
  >`SELECT DISTINCT ON (b.acct_id) b.acct_id, ${sql.literal(BalanceChangeTable.stateColumns)}
    FROM balance_change b ORDER BY b.acct_id, b.acct_seq DESC
    LIMIT ${options.rowsMax}`
  const heads = new Map(
    tails.map((row) => [row.acct_id, { ...BalanceChangeTable.tailOfRow(row, row.acct_id), openHolds: noHolds }]),
  )
  const accounts = [...heads.keys()]

  const rows: Array<SealedChange> = []
  while (rows.length < options.rowsMax) {
    const chunk = accounts.slice(0, options.rowsMax - rows.length)
    rows.push(
      ...nextChanges(heads, { accounts: chunk, ids: yield* newIds(sql, chunk.length), ledgerId: ledger!.ledger_id }),
    )
  }
  // A row and the one before it never meet: the same account comes again only after all others.
  const statements = Arr.chunksOf(rows, options.rowsPerStatement)

  // The connections are opened before the time runs.
  yield* Effect.all(
    Array.from({ length: connectionsMax }, () => sql`SELECT pg_sleep(0.05)`),
    { concurrency: "unbounded" },
  )
  const times = createHistogram()
  let next = 0
  let stored = 0
  yield* post({ _tag: "Started" })
  const start = performance.now()
  const end = start + options.measureMillis
  const client: Effect.Effect<void, unknown> = Effect.gen(function* () {
    while (performance.now() < end) {
      const statement = statements[next++]
      if (statement === undefined) return
      const sent = performance.now()
      yield* statement.length === 1 ? insertOne(sql, statement[0]!) : BalanceChangeTable.insert(sql, statement)
      times.record(Math.max(1, Math.round((performance.now() - sent) * 1000)))
      stored += statement.length
    }
  })
  yield* Effect.all(
    Array.from({ length: options.clients }, () => client),
    { concurrency: "unbounded" },
  )
  const seconds = (performance.now() - start) / 1000
  yield* post({ _tag: "Ended" })
  yield* Effect.promise(() => told)
  const at = (percentile: number) => times.percentile(percentile) / 1000
  yield* post({
    _tag: "Done",
    result: {
      statements: times.count,
      rows: stored,
      seconds,
      latency: { p50: at(50), p95: at(95), p99: at(99), p999: at(99.9), max: times.max / 1000 },
    },
  })
  process.off("disconnect", exit)
  process.disconnect!()
})

/** One row by VALUES: for a single one that is faster than the arrays of {@link BalanceChangeTable.insert}. */
const insertOne = (sql: SqlClient.SqlClient, row: SealedChange) =>
  sql`INSERT INTO balance_change ${sql.insert({
    bchg_id: row.bchgId,
    acct_id: row.acctId,
    acct_seq: BigInt(row.acctSeq),
    chg_flavor: row.chgFlavor,
    prev_bchg_id: row.prevBchgId,
    owner: row.owner,
    currency: row.currency,
    scale: BigInt(row.scale),
    chg_amt: Money.toDecimal(row.chgAmt),
    balance: Money.toDecimal(row.balance),
    held_amt: Money.toDecimal(row.heldAmt),
    held: Money.toDecimal(row.held),
    overdraft_limit: row.overdraftLimit === null ? null : Money.toDecimal(row.overdraftLimit),
    acct_status: row.acctStatus,
    is_forced: row.isForced,
    xact_id: row.xactId,
    xact_rows: BigInt(row.xactRows),
    idem_key: row.idemKey,
    request_hash: row.requestHash,
    actor: row.actor,
    effective_time: Timestamp.format(row.effectiveTime),
    chg_create_time: Timestamp.format(row.chgCreateTime),
    chg_hash: row.chgHash,
  })}`

NodeRuntime.runMain(Effect.scoped(program))
