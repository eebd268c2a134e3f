/** What tests of the ledger share: accounts to begin with, and the proof that what is stored holds together. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountStatus } from "@banquo/domain/AccountStatus"
import { Actor } from "@banquo/domain/Actor"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { seal } from "@banquo/domain/ChangeHash"
import { Currency } from "@banquo/domain/Currency"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { fetchAccountInfo, type MakeAccount, makeAccount } from "@banquo/ledger/Accounts"
import * as BalanceChangeTable from "@banquo/ledger/BalanceChangeTable"
import { DbConn } from "@banquo/ledger/DbConn"
import { verify } from "@banquo/ledger/Verifier"

export const USD = Currency.make("USD")
export const EUR = Currency.make("EUR")
export const JPY = Currency.make("JPY")

/** An amount that is fit for wherever a test puts it: the rules are told to judge it, not the types. */
export const amount = (text: string): Money.PositiveAmount => Money.Amount.make(text) as Money.PositiveAmount
export const money = (text: string): Money.Money => Money.fromAmount(amount(text))
export const key = (text: string = crypto.randomUUID()): IdempotencyKey => IdempotencyKey.make(text)
export const anonymous = Actor.make("anonymous")

/** Opens an account in USD. */
export const open = (balance: string, more: Partial<MakeAccount> = {}) =>
  Effect.map(
    makeAccount({ customerName: "Ann", currency: USD, initialBalance: amount(balance), ...more }),
    ({ account }) => account.acctId,
  )

/** A part of the statement that reads the newest row of accounts, on either database. */
export const headRead = ".acct_seq DESC LIMIT 1"

export const nextId = Effect.gen(function* () {
  const { sql } = yield* DbConn
  const [row] = yield* sql<{ id: bigint }>`SELECT unique_rowid() AS id`
  return BalanceChangeId.make(row!.id)
}).pipe(Effect.orDie)

/** Appends a TERMS row: another status of the account. */
export const setStatus = (acctId: AccountId, acctStatus: AccountStatus) =>
  Effect.gen(function* () {
    const { sql } = yield* DbConn
    const { state } = yield* fetchAccountInfo(acctId)
    const id = yield* nextId
    const time = Timestamp.make(state.chgCreateTime + 1n)
    const change = seal(
      {
        bchgId: id,
        acctId,
        acctSeq: state.acctSeq + 1,
        chgFlavor: "TERMS",
        prevBchgId: state.bchgId,
        owner: state.owner,
        currency: state.currency,
        scale: state.scale,
        chgAmt: Money.zero,
        balance: state.balance,
        heldAmt: Money.zero,
        held: state.held,
        overdraftLimit: state.overdraftLimit,
        acctStatus,
        isForced: false,
        xactId: id,
        xactRows: 1,
        holdId: null,
        holdExpiresAt: null,
        reversesXactId: null,
        reference: null,
        description: null,
        metadata: null,
        textsSalt: null,
        textsHash: null,
        idemKey: null,
        requestHash: null,
        detailsHash: null,
        actor: anonymous,
        effectiveTime: time,
        valueDate: null,
        chgCreateTime: time,
      },
      state.chgHash,
    )
    yield* BalanceChangeTable.insert(sql, [change])
  }).pipe(Effect.orDie)

/** All rows of `balance_change`, by account and sequence. */
export const selectAllChanges = Effect.gen(function* () {
  const { sql } = yield* DbConn
  const rows = yield* sql<BalanceChangeTable.BalanceChangeRow>`
    SELECT ${sql.literal(BalanceChangeTable.changeColumns)} FROM balance_change b ORDER BY b.acct_id, b.acct_seq`
  return rows.map(BalanceChangeTable.changeOfRow)
}).pipe(Effect.orDie)

/** How many accounts and changes are stored. */
export const countRows = Effect.gen(function* () {
  const { sql } = yield* DbConn
  const [row] = yield* sql<{ accounts: bigint; changes: bigint }>`
    SELECT (SELECT count(*) FROM account) AS accounts, (SELECT count(*) FROM balance_change) AS changes`
  return row!
}).pipe(Effect.orDie)

/** Asserts that a program is refused like that, and writes nothing. */
export const assertRefused = <E extends { readonly _tag: string }, R>(
  program: Effect.Effect<unknown, E, R>,
  tag: E["_tag"],
  facts: Record<string, unknown> = {},
) =>
  Effect.gen(function* () {
    const before = yield* countRows
    const error = yield* Effect.flip(program)
    assert.strictEqual(error._tag, tag)
    assert.deepStrictEqual(
      Object.fromEntries(Object.keys(facts).map((name) => [name, (error as Record<string, unknown>)[name]])),
      facts,
    )
    assert.deepStrictEqual(yield* countRows, before)
  })

/** Proves that all that is stored holds together; answers with the chains. */
export const verifyLedger = Effect.gen(function* () {
  const { faults } = yield* verify()
  assert.deepStrictEqual(faults, [])
  return Map.groupBy(yield* selectAllChanges, ({ acctId }) => acctId)
}).pipe(Effect.orDie)
