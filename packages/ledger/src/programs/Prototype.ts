/**
 * Programs that add single links, for those who compose their own: the names and arguments are the prototype's. They leave
 * reading the account first, choosing the link to follow and trying again to the caller; `Accounts.ts` and
 * `Transactions.ts` do all of that.
 */
import type { AccountRecord } from "@banquo/domain/Account"
import { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { type Currency, isoScaleOf } from "@banquo/domain/Currency"
import type { Decision } from "@banquo/domain/Decision"
import type { OpenAccountRefusal } from "@banquo/domain/OpenAccount"
import type { PostTransactionRefusal } from "@banquo/domain/PostTransaction"
import type { OpenAccount, PostTransaction, Request } from "@banquo/domain/Intent"
import * as Money from "@banquo/domain/Money"
import { AccountAlreadyExists, AccountNotFound, AmountOutOfRange } from "@banquo/domain/Refusal"
import { saltBytes } from "@banquo/domain/Texts"
import { Clock, Effect, Result, Schema } from "effect"
import * as AccountTable from "../tables/AccountTable.ts"
import * as BalanceChangeTable from "../tables/BalanceChangeTable.ts"
import { stateColumns, type StateRow, tailOfRow } from "../tables/BalanceChangeTable.ts"
import { CurrentActor } from "../write/CurrentActor.ts"
import { Contention, DatabaseUnavailable, defectOf, faultOf, OutcomeUnknown } from "../database/DatabaseError.ts"
import { DbConn, read, within } from "../database/DbConn.ts"
import { fetchAccountHistory, fetchChangesPage } from "../history/History.ts"
import { withOpenHolds } from "../tables/OpenHolds.ts"
import type { PostedChange } from "../write/Posted.ts"
import { dryRun, IsDryRun } from "../write/DryRun.ts"
import { givenSource, readSource, round } from "../write/Round.ts"
import type { WriteError } from "../write/Writer.ts"

/** The change to follow is not one of the account. */
export class PrevChangeNotFound extends Schema.TaggedError<PrevChangeNotFound>()("PrevChangeNotFound", {
  accountId: AccountId,
  prevChgId: BalanceChangeId,
}) {
  override get message() {
    return `account ${this.accountId} has no change ${this.prevChgId}`
  }
}

/** Another change follows that one already: the chain does not fork. Read the newest one and decide again. */
export class PrevChangeTaken extends Schema.TaggedError<PrevChangeTaken>()("PrevChangeTaken", {
  accountId: AccountId,
  prevChgId: BalanceChangeId,
}) {
  override get message() {
    return `change ${this.prevChgId} of account ${this.accountId} has been followed by another`
  }
}

/** The balance that was given is not the previous one plus the change. */
export class BalanceMismatch extends Schema.TaggedError<BalanceMismatch>()("BalanceMismatch", {
  accountId: AccountId,
  given: Money.Amount,
  computed: Money.Amount,
}) {
  override get message() {
    return `the balance of account ${this.accountId} becomes ${this.computed}, not ${this.given}`
  }
}

/**
 * Says who an account is to belong to; {@link insertInitialBalance} opens it, and belongs into the same transaction. One
 * INSERT. Names are limited by `@banquo/domain/Customer`.
 */
export const insertAccount = (
  custName: string,
  custAddress: string,
): Effect.Effect<AccountId, DatabaseUnavailable | OutcomeUnknown, DbConn> =>
  Effect.gen(function* () {
    const { sql } = yield* DbConn
    const acctId = AccountId.make(crypto.randomUUID())
    const salt = crypto.getRandomValues(new Uint8Array(saltBytes))
    const record: AccountRecord = { acctId, acctSeq: 0, custName, custAddress, reference: null, metadata: null, salt }
    if (yield* IsDryRun) return acctId
    return yield* within(AccountTable.insert(sql, [record])).pipe(
      Effect.as(acctId),
      Effect.catch((error): Effect.Effect<never, DatabaseUnavailable | OutcomeUnknown> => {
        const fault = faultOf(error)
        if (fault === "unknown") return Effect.fail(new OutcomeUnknown())
        return fault === "unsent" || fault === "retry"
          ? Effect.fail(new DatabaseUnavailable())
          : Effect.die(defectOf(error))
      }),
    )
  })

/**
 * Adds the first row of an account, with an overdraft limit of zero. `initialBalance` is in units of 10^-8; `scale` is the
 * number of decimals of the account, by default that of ISO 4217. Two SELECTs and one INSERT.
 */
export const insertInitialBalance = (
  acctId: AccountId,
  initialBalance: Money.Money,
  currency: Currency,
  scale?: number,
): Effect.Effect<BalanceChangeId, OpenAccountRefusal | AccountNotFound | AmountOutOfRange | WriteError, DbConn> =>
  Effect.gen(function* () {
    const record = yield* selectAccountDetails(acctId)
    if (!Money.isInRange(initialBalance)) return yield* new AmountOutOfRange({ accountId: acctId })
    const { salt, ...details } = record
    const intent: OpenAccount = {
      ...details,
      _tag: "OpenAccount",
      acctIdIsChosen: false,
      owner: null,
      currency,
      scale: scale ?? null,
      initialBalance: amountOf(initialBalance, scale ?? isoScaleOf(currency) ?? 0),
      overdraftLimit: Money.NonNegativeAmount.make("0"),
      salt: salt ?? undefined,
    }
    const request: Request<OpenAccount> = { intent, actor: yield* CurrentActor, idempotencyKey: null }
    const { isStored, rulings } = yield* round([[request]], readSource, yield* Clock.currentTimeMillis)
    const [ruling] = rulings
    if (Result.isFailure(ruling!)) return yield* Effect.fail(ruling.failure.refusal as OpenAccountRefusal)
    return isStored ? idOf(ruling!.success) : yield* new AccountAlreadyExists({ accountId: acctId })
  })

/**
 * Adds a change after `prevChgId`, the newest one that the caller knows of. Amounts are in units of 10^-8; `balAmt` is the
 * balance after it, as a check. One SELECT by primary key and one INSERT.
 */
export const insertBalanceChange = (
  acctId: AccountId,
  prevChgId: BalanceChangeId,
  chgAmt: Money.Money,
  balAmt: Money.Money,
  xactDesc?: string,
): Effect.Effect<
  BalanceChangeId,
  PrevChangeNotFound | PrevChangeTaken | BalanceMismatch | PostTransactionRefusal | WriteError,
  DbConn
> =>
  Effect.gen(function* () {
    const [head] = yield* read((sql) =>
      // Why: A read of rows that never change.
      // Plan: By the unique key on bchg_id.
      sql<StateRow>`
      SELECT ${sql.literal(stateColumns)} FROM balance_change b
      WHERE b.bchg_id = ${prevChgId} AND b.acct_id = ${acctId}::UUID`.pipe(
        Effect.flatMap((rows) =>
          withOpenHolds(
            sql,
            rows.map((row) => tailOfRow(row, acctId)),
          ),
        ),
      ),
    )
    if (head === undefined) return yield* new PrevChangeNotFound({ accountId: acctId, prevChgId })
    if (!Money.isInRange(chgAmt)) return yield* new AmountOutOfRange({ accountId: acctId })
    const request: Request<PostTransaction> = {
      intent: {
        _tag: "PostTransaction",
        changes: [{ acctId, amount: amountOf(chgAmt, head.scale) as Money.NonZeroAmount }],
        reference: null,
        description: xactDesc ?? null,
        metadata: null,
      },
      actor: yield* CurrentActor,
      idempotencyKey: null,
    }
    const computed = Money.sum(head.balance, chgAmt)
    const isMismatched = computed !== balAmt
    const source = givenSource(new Map([[acctId, head]]))
    const judge = round([[request]], source, yield* Clock.currentTimeMillis)
    // What the rules say comes before the balance that was given.
    const { isStored, rulings } = yield* isMismatched ? dryRun(judge) : judge
    const [ruling] = rulings
    if (Result.isFailure(ruling!)) return yield* Effect.fail(ruling.failure.refusal as PostTransactionRefusal)
    if (isMismatched) {
      return yield* new BalanceMismatch({
        accountId: acctId,
        given: Money.format(balAmt, Money.decimals),
        computed: Money.format(computed, Money.decimals),
      })
    }
    if (isStored) return idOf(ruling!.success)
    return yield* (yield* isSeenToHaveMoved(head))
      ? new PrevChangeTaken({ accountId: acctId, prevChgId })
      : new Contention()
  })

/** Not so where only a transaction that begins later sees what has been appended to the account. */
const isSeenToHaveMoved = ({ acctId, bchgId }: AccountState) =>
  Effect.map(
    read((sql, database) => BalanceChangeTable.selectHeads(sql, [acctId], database)),
    (heads) => heads.get(acctId)?.bchgId !== bchgId,
  )

/** With as many decimals as the account has, or with more where the amount needs them: `decide` refuses it then. */
const amountOf = (money: Money.Money, scale: number): Money.Amount =>
  Money.format(money, Money.fits(money, scale) ? scale : Money.decimals)

const idOf = ([decision]: ReadonlyArray<Decision>): BalanceChangeId => decision!.changes[0]!.bchgId

/** What is said of an account now. */
export const selectAccountDetails = (
  acctId: AccountId,
): Effect.Effect<AccountRecord, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.gen(function* () {
    const record = yield* read((sql) => AccountTable.selectRecord(sql, acctId, Number.MAX_SAFE_INTEGER))
    return record ?? (yield* new AccountNotFound({ accountId: acctId }))
  })

/** The newest change of an account, which holds its state. */
export const selectLastBalanceChange = (
  acctId: AccountId,
): Effect.Effect<PostedChange, AccountNotFound | DatabaseUnavailable, DbConn> =>
  Effect.flatMap(fetchChangesPage(acctId, { order: "desc", limit: 1 }), ({ changes: [change] }) =>
    change === undefined ? new AccountNotFound({ accountId: acctId }) : Effect.succeed(change),
  )

/** The newest 200 changes of an account, newest first. */
export const selectRecentBalanceChanges = fetchAccountHistory
