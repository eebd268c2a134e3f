/** How a database plans the statements that a ledger lives on: their texts are those that the ledger sends, not copies. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { BalanceChangeId, TransactionId } from "@banquo/domain/BalanceChangeId"
import { NonZeroAmount } from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import * as BalanceChangeTable from "@banquo/ledger/BalanceChangeTable"
import { DbConn, read } from "@banquo/ledger/DbConn"
import type { Dialect } from "@banquo/ledger/Dialect"
import { fetchChangesPage } from "@banquo/ledger/History"
import { sweep } from "@banquo/ledger/HoldSweeper"
import { storeBalanceChange } from "@banquo/ledger/Transactions"
import { PgTypes } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"

/** What there is to ask about. */
export interface Sample {
  readonly accounts: ReadonlyArray<AccountId>
  readonly transactionId: TransactionId
  readonly holdId: BalanceChangeId
}

interface Probe {
  readonly name: string
  readonly program: Effect.Effect<unknown, unknown, DbConn>
  /** Which of the statements of the program, by a part of its text. */
  readonly text: string
  /** Each scan has an end of its own. */
  readonly isLimited?: true
  /** It is a transaction by itself. */
  readonly isCommitted?: true
}

const keys = Array.from({ length: 8 }, (_, index) => new Uint8Array(32).fill(index))
const page = { after: 5, limit: 50 }

const probesOf = ({ accounts, holdId, transactionId }: Sample): ReadonlyArray<Probe> => {
  const account = accounts[0]!
  const now = Timestamp.fromMillis(Date.now())
  return [
    {
      name: "heads of many accounts",
      program: read((sql, database) => BalanceChangeTable.selectHeads(sql, accounts.slice(0, 40), database)),
      text: ".acct_seq DESC LIMIT 1",
      isLimited: true,
    },
    {
      name: "a page of changes, forward",
      program: fetchChangesPage(account, { ...page, order: "asc" }),
      text: "tail_seq",
      isLimited: true,
    },
    {
      name: "a page of changes, backward",
      program: fetchChangesPage(account, { limit: 50, order: "desc" }),
      text: "tail_seq",
      isLimited: true,
    },
    {
      name: "an append",
      program: storeBalanceChange(account, NonZeroAmount.make("1")),
      text: "INSERT INTO balance_change",
      isCommitted: true,
    },
    {
      name: "what a key was used for",
      program: read((sql) => BalanceChangeTable.selectByIdemKey(sql, keys[0]!)),
      text: "idem_key",
    },
    {
      name: "which of many keys were used",
      program: read((sql) => BalanceChangeTable.selectUsedKeys(sql, keys)),
      text: "idem_key",
    },
    {
      name: "a transaction",
      program: read((sql) => BalanceChangeTable.selectTransaction(sql, transactionId)),
      text: "xact_id",
    },
    { name: "a hold", program: read((sql) => BalanceChangeTable.selectHold(sql, holdId)), text: "hold_id" },
    {
      name: "holds that have expired",
      program: sweep(Timestamp.make(now - 3_600_000_000n)),
      text: "is_open",
      isLimited: true,
    },
    {
      name: "what was reversed of transactions",
      program: read((sql) => BalanceChangeTable.selectReversed(sql, [transactionId])),
      text: "reverses_xact_id",
    },
    {
      name: "the balance at a time: its probes",
      program: read((sql) => BalanceChangeTable.selectCreateTimes(sql, account, [1, 5, 9, 13])),
      text: "acct_seq = ANY",
    },
  ]
}

export interface Plan {
  readonly name: string
  readonly lines: ReadonlyArray<string>
  /** What is not as it should be. */
  readonly faults: ReadonlyArray<string>
}

/** Runs each program once, has the database explain its statement with the same values, and judges the plan. */
export const explainAll = (sample: Sample): Effect.Effect<ReadonlyArray<Plan>, never, DbConn> =>
  Effect.gen(function* () {
    const { database, sql } = yield* DbConn
    const { dialect } = yield* database
    return yield* Effect.forEach(probesOf(sample), (probe) =>
      Effect.gen(function* () {
        const sent: Array<string> = []
        yield* Effect.provide(
          probe.program,
          DbConn.layer.pipe(
            Layer.provide(
              Layer.succeed(
                SqlClient.SqlClient,
                recorded(sql, (text) => sent.push(text)),
              ),
            ),
          ),
          { local: true },
        )
        const text = sent.find((one) => one.includes(probe.text))
        if (text === undefined) return { name: probe.name, lines: [], faults: ["its statement was not sent"] }
        const rows = yield* sql.unsafe<Record<string, string>>(`EXPLAIN ${text}`).unprepared
        const lines = rows.map((row) => Object.values(row)[0]!)
        return { name: probe.name, lines, faults: faultsOf(lines, probe, dialect) }
      }),
    )
  }).pipe(Effect.orDie)

/** A client that tells the text of each statement, with its values in it. */
const recorded = (sql: SqlClient.SqlClient, tell: (text: string) => void): SqlClient.SqlClient => {
  const told = <A>(made: A): A => {
    const statement = made as { readonly compile?: () => readonly [string, ReadonlyArray<unknown>] }
    if (typeof statement.compile === "function") {
      const [text, values] = statement.compile()
      tell(text.replaceAll(/\$(\d+)/g, (_, number: string) => literalOf(values[Number(number) - 1])))
    }
    return made
  }
  return new Proxy(sql, {
    apply: (target, self, values) => told(Reflect.apply(target as never, self, values)),
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      return name === "unsafe"
        ? (...values: Array<unknown>) => told(Reflect.apply(value as never, target, values))
        : value
    },
  })
}

/** The texts cast their arrays themselves. */
const literalOf = (value: unknown): string => {
  if (value === null || value === undefined) return "NULL"
  if (PgTypes.isParameter(value)) return literalOf(value.value)
  if (Array.isArray(value)) return `ARRAY[${value.map(literalOf).join(", ")}]`
  if (value instanceof Uint8Array) return `'\\x${value.toHex()}'::BYTEA`
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value)
}

/** What is wrong with the text of a plan. */
export const faultsOf = (
  lines: ReadonlyArray<string>,
  { isCommitted, isLimited }: Pick<Probe, "isCommitted" | "isLimited">,
  dialect: Dialect,
): ReadonlyArray<string> => {
  const text = lines.join("\n")
  if (dialect === "postgresql") {
    return [
      ...(/Seq Scan on (?:balance_change|account)\b/.test(text) ? ["it reads a whole table"] : []),
      ...(/Index (?:Only )?Scan/.test(text) ? [] : ["it uses no index"]),
    ]
  }
  const scans = text.split("•").filter((node) => /^ (?:rev)?scan\b/.test(node))
  return [
    ...(/\bFULL SCAN\b/.test(text) ? ["it reads a whole index"] : []),
    ...(isLimited && (scans.length === 0 || !scans.every((scan) => /\blimit: \d/.test(scan)))
      ? ["a scan has no limit of its own"]
      : []),
    ...(isCommitted && !/\bauto commit\b/.test(text) ? ["it does not commit by itself"] : []),
  ]
}
