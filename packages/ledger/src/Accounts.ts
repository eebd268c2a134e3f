/** Programs that open accounts and read them. */
import type { Account } from "@banquo/domain/Account"
import { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import type { Currency } from "@banquo/domain/Currency"
import type { OpenAccountRefusal } from "@banquo/domain/Decide"
import type { IdempotencyKey } from "@banquo/domain/Idempotency"
import type { Metadata } from "@banquo/domain/Metadata"
import { Amount } from "@banquo/domain/Money"
import { accountsPageMax } from "@banquo/domain/Page"
import { AccountNotFound, type IdempotencyKeyReused } from "@banquo/domain/Refusal"
import { Effect } from "effect"
import { accountColumns, accountOfRow, type AccountRow } from "./AccountTable.ts"
import { stateColumns, stateOfRow, type StateRow } from "./BalanceChangeTable.ts"
import { CurrentActor } from "./CurrentActor.ts"
import type { DatabaseUnavailable } from "./DatabaseError.ts"
import { type DbConn, read } from "./DbConn.ts"
import type { Posted } from "./Posted.ts"
import { write, type WriteError } from "./WritePath.ts"

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
    const posted = yield* write({
      intent: {
        _tag: "OpenAccount",
        acctId: options.acctId ?? AccountId.make(crypto.randomUUID()),
        acctIdIsChosen: options.acctId !== undefined,
        custName: options.customerName,
        custAddress: options.customerAddress ?? "",
        currency: options.currency,
        initialBalance: options.initialBalance ?? Amount.make("0"),
        overdraftLimit: options.overdraftLimit === undefined ? Amount.make("0") : options.overdraftLimit,
        metadata: options.metadata ?? null,
      },
      actor: yield* CurrentActor,
      idempotencyKey: options.idempotencyKey ?? null,
    })
    const { account } = yield* fetchAccountInfo(posted.changes[0]!.acctId)
    return { account, posted }
  }).pipe(
    // A taken id is answered by what the account was opened with; a random UUID is not met twice.
    Effect.catchTag(["AccountAlreadyExists", "AccountNotFound"], Effect.die),
  )

type InfoRow = AccountRow & StateRow

/** An account and its state now. One statement. */
export const fetchAccountInfo = (
  acctId: AccountId,
): Effect.Effect<AccountInfo, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const [row] = yield* read(
      (sql) => sql<InfoRow>`
      SELECT ${sql.literal(accountColumns)}, ${sql.literal(stateColumns)}
      FROM account c JOIN balance_change b ON b.acct_id = c.acct_id
      WHERE c.acct_id = ${acctId}::UUID
      ORDER BY b.acct_seq DESC LIMIT 1`,
    )
    return row === undefined ? yield* new AccountNotFound({ accountId: acctId }) : infoOfRow(row)
  })

const infoOfRow = (row: InfoRow): AccountInfo => ({ account: accountOfRow(row), state: stateOfRow(row, row.acct_id) })

export interface AccountsPage {
  readonly accounts: ReadonlyArray<AccountInfo>
  readonly hasMore: boolean
}

/** Accounts in the order of their ids, from the one after `after` on; at most {@link accountsPageMax}. One statement. */
export const fetchAccounts = (page: {
  readonly after?: AccountId | undefined
  readonly limit: number
}): Effect.Effect<AccountsPage, DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const size = Math.min(page.limit, accountsPageMax)
    const rows = yield* read(
      (sql) => sql<InfoRow>`
      SELECT ${sql.literal(accountColumns)}, ${sql.literal(stateColumns)}
      FROM (
        SELECT * FROM account a WHERE acct_id > ${page.after ?? beforeAll}::UUID
          AND EXISTS (SELECT 1 FROM balance_change i WHERE i.acct_id = a.acct_id AND i.acct_seq = 0)
        ORDER BY acct_id LIMIT ${BigInt(size + 1)}
      ) c
      JOIN LATERAL (
        SELECT * FROM balance_change x WHERE x.acct_id = c.acct_id ORDER BY x.acct_seq DESC LIMIT 1
      ) b ON true
      ORDER BY c.acct_id`,
    )
    return { accounts: rows.slice(0, size).map(infoOfRow), hasMore: rows.length > size }
  })

/** The nil UUID of RFC 9562, which no account has. */
const beforeAll = "00000000-0000-0000-0000-000000000000"
