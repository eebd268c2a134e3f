/** Accounts and their past: real chains with real hashes, made by the rules of the ledger and stored as they would be. */
import type { SealedChange } from "@banquo/domain/ChangeHash"
import { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import { Actor } from "@banquo/domain/Actor"
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { Currency } from "@banquo/domain/Currency"
import { decide } from "@banquo/domain/Decide"
import type { Decision } from "@banquo/domain/Decision"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import type { Intent } from "@banquo/domain/Intent"
import { Amount, NonNegativeAmount, NonZeroAmount } from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import * as AccountTable from "@banquo/ledger/AccountTable"
import * as BalanceChangeTable from "@banquo/ledger/BalanceChangeTable"
import { Array as Arr, Effect, Result } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import * as Database from "./Database.ts"
import * as Random from "./Random.ts"

/** Tables of more rows than this have longer chains, not more accounts. */
export const accountsMax = 100_000

/** Rows of one statement, and statements under way at a time. */
const chunkSize = 1_000
const concurrency = 4

/** What every account begins with; larger than what any workload takes from it. */
const initialBalance = Amount.make("1000000.00")

const actor = Actor.make("bench")
const currency = Currency.make("USD")

/** A database that runs are made on copies of. */
export interface Filled {
  readonly name: string
  readonly rows: number
  readonly accounts: ReadonlyArray<AccountId>
  readonly ledgerId: string
  /** The largest there is: rows of a run have larger ones. */
  readonly lastId: BalanceChangeId
}

/**
 * Makes a database of so many rows: one for each account up to {@link accountsMax}, then in turn one more for each, so that
 * the newest rows of all accounts lie together, as they do where accounts are used alike.
 */
export const fill = (database: Database.Database, rows: number): Effect.Effect<Filled> =>
  Effect.scoped(
    Effect.gen(function* () {
      const name = `filled_${rows}`
      yield* database.copy(Database.emptyDatabase, name)
      // Only here: nobody is told that these rows are safe before the copy, which begins with a checkpoint.
      const sql = yield* Database.connect(database.ownerUrl(name), concurrency, { synchronous_commit: "off" })
      const [ledger] = yield* sql<{ readonly ledger_id: string }>`SELECT ledger_id FROM ledger`
      const ledgerId = ledger!.ledger_id
      const heads = new Map<AccountId, AccountState>()
      yield* Effect.forEach(
        Arr.chunksOf(accountIds(Math.min(rows, accountsMax)), chunkSize),
        (accounts) => openAccounts(sql, { accounts, ledgerId, heads }),
        { concurrency, discard: true },
      )
      const accounts = [...heads.keys()]
      const random = Random.make(rows)
      for (let left = rows - accounts.length; left > 0; left -= accounts.length) {
        yield* Effect.forEach(
          Arr.chunksOf(accounts.slice(0, left), chunkSize),
          (chunk) => appendChanges(sql, { accounts: chunk, ledgerId, heads, random }),
          { concurrency, discard: true },
        )
      }
      yield* sql`VACUUM (ANALYZE)`.unprepared
      const [last] = yield* sql<{ readonly id: BalanceChangeId }>`SELECT max(bchg_id) AS id FROM balance_change`
      return { name, rows, accounts, ledgerId, lastId: last!.id }
    }),
  ).pipe(Effect.orDie)

/** The same in each run. As scattered as random UUIDs. */
const accountIds = (count: number): ReadonlyArray<AccountId> => {
  const random = Random.make(1)
  const word = () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0")
  return Array.from({ length: count }, () => {
    const hex = word() + word() + word() + word()
    return AccountId.make(
      `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`,
    )
  })
}

interface Chunk {
  readonly accounts: ReadonlyArray<AccountId>
  readonly ledgerId: string
  readonly heads: Map<AccountId, AccountState>
}

const openAccounts = (sql: SqlClient.SqlClient, { accounts, heads, ledgerId }: Chunk) =>
  Effect.gen(function* () {
    const ids = yield* newIds(sql, accounts.length)
    const decisions = accounts.map((acctId, index) =>
      decided(
        {
          _tag: "OpenAccount",
          acctId,
          acctIdIsChosen: true,
          custName: `Customer ${acctId.slice(0, 8)}`,
          custAddress: "1 Main Street",
          owner: null,
          currency,
          scale: null,
          initialBalance,
          overdraftLimit: NonNegativeAmount.make("0"),
          reference: null,
          metadata: null,
        },
        { heads, ledgerId, id: ids[index]!, key: null },
      ),
    )
    yield* AccountTable.insert(
      sql,
      decisions.map(({ account }) => account!),
    )
    yield* BalanceChangeTable.insert(
      sql,
      decisions.flatMap(({ changes }) => changes),
    )
    for (const decision of decisions) remember(heads, decision)
  })

const appendChanges = (
  sql: SqlClient.SqlClient,
  { accounts, heads, ledgerId, random }: Chunk & { readonly random: Random.Random },
) =>
  Effect.gen(function* () {
    const ids = yield* newIds(sql, accounts.length)
    const decisions = accounts.map((acctId, index) => {
      const amount = NonZeroAmount.make(`${random() < 0.5 ? "-" : ""}${1 + Random.index(random, 9)}.50`)
      const id = ids[index]!
      return decided(
        { _tag: "PostTransaction", changes: [{ acctId, amount }], reference: null, description: null, metadata: null },
        { heads, ledgerId, id, key: IdempotencyKey.make(`fill-${id}`) },
      )
    })
    yield* BalanceChangeTable.insert(
      sql,
      decisions.flatMap(({ changes }) => changes),
    )
    for (const decision of decisions) remember(heads, decision)
  })

const remember = (heads: Map<AccountId, AccountState>, decision: Decision) => {
  for (const [acctId, head] of decision.heads) heads.set(acctId, head)
}

interface Given {
  readonly heads: ReadonlyMap<AccountId, AccountState>
  readonly ledgerId: string
  readonly id: BalanceChangeId
  readonly key: IdempotencyKey | null
}

const decided = (intent: Intent, { heads, id, key, ledgerId }: Given): Decision =>
  Result.getOrThrow(
    decide({ intent, actor, idempotencyKey: key }, heads, {
      now: Timestamp.fromMillis(Date.now()),
      ids: [id],
      ledgerId,
      saltSeed,
    }),
  )

export const newIds = (
  sql: SqlClient.SqlClient,
  count: number,
): Effect.Effect<ReadonlyArray<BalanceChangeId>, SqlError.SqlError> =>
  Effect.map(
    sql<{ readonly id: BalanceChangeId }>`
      SELECT unique_rowid() AS id FROM generate_series(1, ${BigInt(count)}::INT8)`,
    (rows) => rows.map(({ id }) => id),
  )

/** For the salts of accounts that nobody needs to keep secret. */
const saltSeed = new Uint8Array(16)

/** The next row of each account, sealed and ready to be stored; `heads` move on. */
export const nextChanges = (
  heads: Map<AccountId, AccountState>,
  options: {
    readonly accounts: ReadonlyArray<AccountId>
    readonly ids: ReadonlyArray<BalanceChangeId>
    readonly ledgerId: string
  },
): ReadonlyArray<SealedChange> =>
  options.accounts.flatMap((acctId, index) => {
    const id = options.ids[index]!
    const decision = decided(
      {
        _tag: "PostTransaction",
        changes: [{ acctId, amount: NonZeroAmount.make("1.50") }],
        reference: null,
        description: null,
        metadata: null,
      },
      { heads, ledgerId: options.ledgerId, id, key: IdempotencyKey.make(`bare-${id}`) },
    )
    remember(heads, decision)
    return decision.changes
  })
