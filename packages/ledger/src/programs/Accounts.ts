/** Programs that open accounts and read them. */
import type { Account } from "@banquo/domain/Account"
import { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import type { Currency } from "@banquo/domain/Currency"
import type { OpenAccountRefusal } from "@banquo/domain/OpenAccount"
import type { IdempotencyKey } from "@banquo/domain/Idempotency"
import type { OpenAccount } from "@banquo/domain/Intent"
import type { Metadata } from "@banquo/domain/Metadata"
import { Amount } from "@banquo/domain/Money"
import { accountsPageMax } from "@banquo/domain/Page"
import { AccountNotFound, type IdempotencyKeyReused } from "@banquo/domain/Refusal"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { accountOfRow, type AccountRow, correctedAccountColumns } from "../tables/AccountTable.ts"
import { selectHeads, stateColumns, type StateRow, tailOfRow } from "../tables/BalanceChangeTable.ts"
import { CurrentActor } from "../write/CurrentActor.ts"
import type { DatabaseUnavailable } from "../database/DatabaseError.ts"
import { type DbConn, read } from "../database/DbConn.ts"
import { withOpenHolds } from "../history/OpenHolds.ts"
import type { Posted } from "../write/Posted.ts"
import { write } from "../write/WritePath.ts"
import type { WriteError } from "../write/Writer.ts"

/** An account: what was said when it was opened, and the state of its newest row. */
export interface AccountInfo {
  readonly account: Account
  readonly state: AccountState
}

export interface MakeAccount {
  /** Chosen by the caller, it makes the request idempotent; else a random one is taken. */
  readonly acctId?: AccountId | undefined
  readonly customerName: string
  readonly customerAddress?: string | undefined
  readonly currency: Currency
  /** A decimal string in the currency. Default: `"0"`. */
  readonly initialBalance?: Amount | undefined
  /** A decimal string; `null`: without limit. Default: `"0"`. */
  readonly overdraftLimit?: Amount | null | undefined
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
      currency: options.currency,
      initialBalance: options.initialBalance ?? Amount.make("0"),
      overdraftLimit: options.overdraftLimit === undefined ? Amount.make("0") : options.overdraftLimit,
      metadata: options.metadata ?? null,
    }
    const actor = yield* CurrentActor
    const posted = yield* write({ intent, actor, idempotencyKey: options.idempotencyKey ?? null })
    const { acctId, chgCreateTime } = posted.changes[0]!
    // Also of a replay, which is only answered if it asks for the same.
    const { currency, custAddress, custName, metadata } = intent
    const account: Account = { acctId, custName, custAddress, currency, acctCreateTime: chgCreateTime, metadata }
    return { account, posted }
  }).pipe(
    // A taken id is answered by what the account was opened with; a random UUID is not met twice.
    Effect.catchTag("AccountAlreadyExists", Effect.die),
  )

type InfoRow = AccountRow & StateRow

/** An account, with the customer as last corrected, and its state. One statement; one more if it holds something. */
export const fetchAccountInfo = (
  acctId: AccountId,
): Effect.Effect<AccountInfo, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const [info] = yield* read((sql) =>
      sql<InfoRow>`
      SELECT ${sql.literal(correctedAccountColumns("b.acct_seq"))}, ${sql.literal(stateColumns)}
      FROM (SELECT * FROM balance_change WHERE acct_id = ${acctId}::UUID ORDER BY acct_seq DESC LIMIT 1) b
      JOIN account c ON c.acct_id = b.acct_id`.pipe(Effect.flatMap((rows) => infosOfRows(sql, rows))),
    )
    return info ?? (yield* new AccountNotFound({ accountId: acctId }))
  })

/** As {@link fetchAccountInfo}, after the change of a sequence, which must be there. */
export const fetchAccountInfoAt = (
  acctId: AccountId,
  seq: number,
): Effect.Effect<AccountInfo, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const [info] = yield* read((sql) =>
      sql<InfoRow>`
      SELECT ${sql.literal(correctedAccountColumns("b.acct_seq"))}, ${sql.literal(stateColumns)}
      FROM account c JOIN balance_change b ON b.acct_id = c.acct_id
      WHERE c.acct_id = ${acctId}::UUID AND b.acct_seq = ${BigInt(seq)}`.pipe(
        Effect.flatMap((rows) => infosOfRows(sql, rows)),
      ),
    )
    return info ?? (yield* new AccountNotFound({ accountId: acctId }))
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
    const rows = yield* read(
      (sql) => sql<AccountRow>`
      SELECT ${sql.literal(correctedAccountColumns(newest))} FROM (
        SELECT * FROM account a WHERE a.acct_id > ${page.after ?? beforeAll}::UUID
          AND EXISTS (SELECT 1 FROM balance_change i WHERE i.acct_id = a.acct_id AND i.acct_seq = 0)
        ORDER BY a.acct_id LIMIT ${BigInt(size + 1)}
      ) c ORDER BY c.acct_id`,
    )
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

/** A sequence after all others: the largest `INT8`. */
const newest = "9223372036854775807"

/** The nil UUID of RFC 9562, which no account has. */
const beforeAll = "00000000-0000-0000-0000-000000000000"
