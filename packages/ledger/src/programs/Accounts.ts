/** Programs that open accounts and read them. */
import type { Account } from "@banquo/domain/Account"
import { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import type { Currency } from "@banquo/domain/Currency"
import type { OpenAccountRefusal } from "@banquo/domain/OpenAccount"
import type { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import type { OpenAccount } from "@banquo/domain/Intent"
import type { Metadata } from "@banquo/domain/Metadata"
import { type Amount, NonNegativeAmount } from "@banquo/domain/Money"
import { accountsPageMax } from "@banquo/domain/Page"
import { AccountNotFound, type IdempotencyKeyReused } from "@banquo/domain/Refusal"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { accountColumns, type AccountRow, detailsOfRow } from "../tables/AccountTable.ts"
import { selectHeads, stateColumns, type StateRow, tailOfRow } from "../tables/BalanceChangeTable.ts"
import { CurrentActor } from "../write/CurrentActor.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { limitTo } from "../tables/RowLimit.ts"
import { withOpenHolds } from "../tables/OpenHolds.ts"
import type { Posted } from "../write/Posted.ts"
import { write } from "../write/WritePath.ts"
import type { WriteError } from "../write/Writer.ts"

/** An account: what is said of it, and the state of its newest row. */
export interface AccountInfo {
  readonly account: Account
  readonly state: AccountState
}

export interface MakeAccount {
  /** Chosen by the caller, it makes the request idempotent; else a random one is taken. */
  readonly acctId?: AccountId | undefined
  readonly customerName: string
  readonly customerAddress?: string | undefined
  /** Whose account it is, by the bank's own id; fixed for good. */
  readonly owner?: string | undefined
  /** The bank's own name of the account, such as an IBAN. */
  readonly reference?: string | undefined
  /** Of ISO 4217, or an asset of the bank's own; fixed for good. */
  readonly currency: Currency
  /** How many decimals its amounts may have, 0 to 8. Default: as ISO 4217 has it. */
  readonly scale?: number | undefined
  /** A decimal string in the currency. Default: `"0"`. */
  readonly initialBalance?: Amount | undefined
  /** A decimal string; `null`: without limit. Default: `"0"`. */
  readonly overdraftLimit?: NonNegativeAmount | null | undefined
  readonly metadata?: Metadata | undefined
  readonly idempotencyKey?: IdempotencyKey | undefined
}

/** An account that was opened, now or by the same request before. */
export interface OpenedAccount {
  readonly account: Account
  readonly posted: Posted
}

/** Opens an account with its first row, in one transaction. */
export const makeAccount = (
  options: MakeAccount,
): Effect.Effect<
  OpenedAccount,
  Exclude<OpenAccountRefusal, { _tag: "AccountAlreadyExists" }> | IdempotencyKeyReused | WriteError,
  DbConn
> =>
  Effect.gen(function* () {
    const intent: OpenAccount = {
      _tag: "OpenAccount",
      acctId: options.acctId ?? AccountId.make(crypto.randomUUID()),
      acctIdIsChosen: options.acctId !== undefined,
      custName: options.customerName,
      custAddress: options.customerAddress ?? "",
      owner: options.owner ?? null,
      currency: options.currency,
      scale: options.scale ?? null,
      initialBalance: options.initialBalance ?? zero,
      overdraftLimit: options.overdraftLimit === undefined ? zero : options.overdraftLimit,
      reference: options.reference ?? null,
      metadata: options.metadata ?? null,
    }
    const actor = yield* CurrentActor
    const posted = yield* write({ intent, actor, idempotencyKey: options.idempotencyKey ?? null })
    const { acctId, chgCreateTime } = posted.changes[0]!
    // Also of a replay, which is only answered if it asks for the same.
    const { custAddress, custName, metadata, reference } = intent
    const account: Account = { acctId, custName, custAddress, reference, metadata, acctCreateTime: chgCreateTime }
    return { account, posted }
  }).pipe(
    // A taken id is answered by what the account was opened with; a random UUID is not met twice.
    Effect.catchTag("AccountAlreadyExists", Effect.die),
  )

const zero = NonNegativeAmount.make("0")

type InfoRow = AccountRow & StateRow & { readonly acct_create_time: string }

/** An account as of now, and its state. One statement; one more if it holds something. */
export const fetchAccountInfo = (
  acctId: AccountId,
): Effect.Effect<AccountInfo, AccountNotFound | DatabaseUnavailable, DbConn> =>
  fetchNewestInfo(acctId, Number.MAX_SAFE_INTEGER)

/** As {@link fetchAccountInfo}, as it was after the change of a sequence. */
export const fetchAccountInfoAt = (
  acctId: AccountId,
  seq: number,
): Effect.Effect<AccountInfo, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.filterOrFail(
    fetchNewestInfo(acctId, seq),
    ({ state }) => state.acctSeq === seq,
    () => new AccountNotFound({ accountId: acctId }),
  )

/** After the newest change that is not later than `seq`. */
const fetchNewestInfo = (
  acctId: AccountId,
  seq: number,
): Effect.Effect<AccountInfo, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const [info] = yield* read((sql) =>
      // Why: A read of one state: what is said of an account is stored together with its change. Each LIMIT is at its
      // own scan.
      // Plan: Two reverse scans of one row, by (acct_id, acct_seq) of each table, and one look at the first change.
      sql<InfoRow>`
      SELECT ${sql.literal(accountColumns)}, ${sql.literal(stateColumns)},
        (i.chg_create_time AT TIME ZONE 'UTC')::TEXT AS acct_create_time
      FROM (
        SELECT * FROM balance_change WHERE acct_id = ${acctId}::UUID AND acct_seq <= ${BigInt(seq)}
        ORDER BY acct_seq DESC LIMIT 1
      ) b
      CROSS JOIN (
        SELECT * FROM account WHERE acct_id = ${acctId}::UUID AND acct_seq <= ${BigInt(seq)}
        ORDER BY acct_seq DESC LIMIT 1
      ) k
      JOIN balance_change i ON i.acct_id = ${acctId}::UUID AND i.acct_seq = 0`.pipe(
        Effect.flatMap((rows) => infosOfRows(sql, rows)),
      ),
    )
    return info ?? (yield* new AccountNotFound({ accountId: acctId }))
  })

type OpenedRow = AccountRow & { readonly acct_create_time: string }

const accountOfRow = (row: OpenedRow): Account => ({
  ...detailsOfRow(row),
  acctId: row.acct_id,
  acctCreateTime: Timestamp.fromDatabase(row.acct_create_time),
})

const infosOfRows = (sql: SqlClient.SqlClient, rows: ReadonlyArray<InfoRow>) =>
  Effect.map(
    withOpenHolds(
      sql,
      rows.map((row) => tailOfRow(row, row.acct_id)),
    ),
    (states): ReadonlyArray<AccountInfo> =>
      states.map((state, index) => ({ account: accountOfRow(rows[index]!), state })),
  )

export interface AccountsPage {
  readonly accounts: ReadonlyArray<AccountInfo>
  readonly hasMore: boolean
}

/** Accounts in the order of their ids, from the one after `after` on; at most {@link accountsPageMax}. As {@link fetchAccountInfo}, and one more. */
export const fetchAccounts = (page: {
  readonly after?: AccountId | undefined
  readonly limit: number
}): Effect.Effect<AccountsPage, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const size = Math.min(page.limit, accountsPageMax)
    const rows = yield* selectAccounts(page.after ?? beforeAll, size + 1)
    const accounts = rows.slice(0, size).map(accountOfRow)
    const states = yield* read((sql, database) =>
      accounts.length === 0
        ? Effect.succeed(new Map<AccountId, AccountState>())
        : selectHeads(
            sql,
            accounts.map(({ acctId }) => acctId),
            database,
          ),
    )
    return {
      accounts: accounts.map((account) => ({ account, state: states.get(account.acctId)! })),
      hasMore: rows.length > size,
    }
  })

/** So many accounts after one, or a few more. One statement, and another where accounts are there without their first change. */
const selectAccounts = (
  after: AccountId | typeof beforeAll,
  count: number,
): Effect.Effect<ReadonlyArray<OpenedRow>, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const rows = yield* read(
      // Why: What is said of accounts now; the states come by a statement of their own. The page is cut before it is
      // joined.
      // Plan: A range of the primary key of account; for each row of the page one look at the first change, and the end
      // of its few rows.
      (sql) => sql<AccountRow & { readonly acct_create_time: string | null }>`
      SELECT ${sql.literal(accountColumns)}, (i.chg_create_time AT TIME ZONE 'UTC')::TEXT AS acct_create_time
      FROM (
        SELECT acct_id FROM account WHERE acct_id > ${after}::UUID AND acct_seq = 0
        ORDER BY acct_id LIMIT ${limitTo(sql, accountsPageMax + 1, count)}
      ) f
      JOIN account k ON k.acct_id = f.acct_id AND k.acct_seq = (
        SELECT max(x.acct_seq) FROM account x WHERE x.acct_id = f.acct_id)
      LEFT JOIN balance_change i ON i.acct_id = f.acct_id AND i.acct_seq = 0
      ORDER BY k.acct_id`,
    )
    const opened = rows.filter((row): row is OpenedRow => row.acct_create_time !== null)
    return rows.length < count || opened.length >= count
      ? opened
      : [...opened, ...(yield* selectAccounts(rows.at(-1)!.acct_id, count - opened.length))]
  })

/** The nil UUID of RFC 9562, which no account has. */
const beforeAll = "00000000-0000-0000-0000-000000000000"
