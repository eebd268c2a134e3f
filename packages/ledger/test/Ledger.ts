/** What tests of the ledger share: accounts to begin with, and the proof that what is stored holds together. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountStatus } from "@banquo/domain/AccountState"
import { Actor } from "@banquo/domain/Actor"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { genesisHash, seal } from "@banquo/domain/ChangeHash"
import { Currency } from "@banquo/domain/Currency"
import { holdsAfter, isExpired, noHolds, type OpenHold } from "@banquo/domain/Hold"
import { IdempotencyKey } from "@banquo/domain/Idempotency"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { fetchAccountInfo, type MakeAccount, makeAccount } from "../src/Accounts.ts"
import { accountColumns, accountOfRow, type AccountRow } from "../src/AccountTable.ts"
import * as BalanceChangeTable from "../src/BalanceChangeTable.ts"
import { DbConn } from "../src/DbConn.ts"

export const USD = Currency.make("USD")
export const EUR = Currency.make("EUR")
export const JPY = Currency.make("JPY")

export const amount = (text: string): Money.Amount => Money.Amount.make(text)
export const money = (text: string): Money.Money => Money.fromAmount(amount(text))
export const key = (text: string = crypto.randomUUID()): IdempotencyKey => IdempotencyKey.make(text)
export const anonymous = Actor.make("anonymous")

/** Opens an account in USD. */
export const open = (balance: string, more: Partial<MakeAccount> = {}) =>
  Effect.map(
    makeAccount({ customerName: "Ann", currency: USD, initialBalance: amount(balance), ...more }),
    ({ account }) => account.acctId,
  )

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
        chgAmt: Money.zero,
        balance: state.balance,
        heldAmt: Money.zero,
        held: state.held,
        overdraftLimit: state.overdraftLimit,
        acctStatus,
        xactId: id,
        holdId: null,
        holdExpiresAt: null,
        reversesXactId: null,
        description: null,
        metadata: null,
        idemKey: null,
        requestHash: null,
        actor: anonymous,
        effectiveTime: time,
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

/**
 * Proves that each chain is whole: its rows are dense and linked, its amounts add up, its hashes follow from the account
 * and from one another, its times ascend, what is held is the sum of its open holds, none of which was captured after it
 * expired or beyond what it held, the legs of each transaction sum to zero, and no reversals sum to more than what they
 * take back.
 */
export const verifyLedger = Effect.gen(function* () {
  const { ledgerId, sql } = yield* DbConn
  const id = yield* ledgerId
  const accounts = (yield* Effect.orDie(sql<AccountRow>`SELECT ${sql.literal(accountColumns)} FROM account c`)).map(
    accountOfRow,
  )
  const changes = yield* selectAllChanges
  const chains = Map.groupBy(changes, ({ acctId }) => acctId)
  assert.deepStrictEqual([...chains.keys()].sort(), accounts.map(({ acctId }) => acctId).sort())

  for (const account of accounts) {
    let prev: BalanceChange | undefined
    let holds: ReadonlyArray<OpenHold> = noHolds
    for (const change of chains.get(account.acctId)!) {
      assert.strictEqual(change.acctSeq, prev === undefined ? 0 : prev.acctSeq + 1)
      assert.strictEqual(change.prevBchgId, prev?.bchgId ?? null)
      assert.strictEqual(change.balance, (prev?.balance ?? 0n) + change.chgAmt)
      assert.strictEqual(change.held, (prev?.held ?? 0n) + change.heldAmt)
      assert.deepStrictEqual(seal(change, prev?.chgHash ?? genesisHash(id, account)).chgHash, toBuffer(change.chgHash))
      if (prev !== undefined) assert.isTrue(change.chgCreateTime > prev.chgCreateTime)
      const hold = holds.find(({ holdId }) => holdId === change.holdId)
      assert.strictEqual(hold === undefined, change.holdId === null || change.holdId === change.bchgId)
      if (change.chgFlavor === "CAPTURE") {
        assert.strictEqual(change.chgAmt, change.heldAmt)
        assert.isFalse(isExpired(hold!, change.chgCreateTime))
      }
      assert.isTrue((hold?.held ?? 0n) + change.heldAmt >= 0n)
      holds = holdsAfter(holds, change)
      assert.strictEqual(
        holds.reduce((sum, { held }) => sum + held, 0n),
        change.held,
      )
      prev = change
    }
  }

  const currencyOf = new Map(accounts.map(({ acctId, currency }) => [acctId, currency]))
  for (const [xactId, legs] of Map.groupBy(changes, (change) => change.xactId)) {
    assert.isTrue(legs.some(({ bchgId }) => bchgId === xactId))
    const moving = legs.filter(({ chgAmt }) => chgAmt !== 0n)
    // A part of a single change, or of a capture out of the ledger, is a single change as well.
    if (moving.length === 1) continue
    for (const group of Map.groupBy(moving, ({ acctId }) => currencyOf.get(acctId)).values()) {
      assert.strictEqual(
        group.reduce((sum, { chgAmt }) => sum + chgAmt, 0n),
        0n,
      )
    }
  }
  const moved = new Map(changes.filter(({ chgAmt }) => chgAmt !== 0n).map((c) => [`${c.xactId} ${c.acctId}`, c.chgAmt]))
  const reversals = changes.filter(({ reversesXactId }) => reversesXactId !== null)
  for (const [leg, taken] of Map.groupBy(reversals, ({ acctId, reversesXactId }) => `${reversesXactId} ${acctId}`)) {
    const original = moved.get(leg)!
    const back = taken.reduce((sum, { chgAmt }) => sum - chgAmt, 0n)
    assert.isTrue(original > 0n ? back >= 0n && back <= original : back <= 0n && back >= original)
  }
  return chains
}).pipe(Effect.orDie)

const toBuffer = (bytes: Uint8Array) => Buffer.from(bytes)
