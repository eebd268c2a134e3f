/** What is taken back: never more than there was, and once. */
import type { AccountId } from "@banquo/domain/AccountId"
import { type BalanceChangeId, type TransactionId } from "@banquo/domain/BalanceChangeId"
import type { Change } from "@banquo/domain/Intent"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { fetchAccountInfo, makeAccount } from "../src/programs/Accounts.ts"
import { CurrentActor } from "../src/write/CurrentActor.ts"
import { DbConn } from "../src/database/DbConn.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import { captureHold, placeHold, releaseHold } from "../src/programs/Holds.ts"
import { reverseTransaction } from "../src/programs/Reversals.ts"
import { changeTerms } from "../src/programs/Terms.ts"
import { fetchTransaction, postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import { dryRun } from "../src/write/DryRun.ts"
import { writeTogether } from "../src/write/WritePath.ts"
import {
  amount,
  assertRefused,
  EUR,
  key,
  money,
  open,
  selectAllChanges,
  USD,
  verifyLedger,
} from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { asAnotherProcess, times, together, writers } from "./Writers.ts"
import * as Wristwatch from "./Wristwatch.ts"

type Leg = readonly [AccountId, string]

const changesOf = (legs: ReadonlyArray<Leg>): ReadonlyArray<Change> =>
  legs.map(([acctId, text]) => ({ acctId, amount: amount(text) }))

const post = (...legs: ReadonlyArray<Leg>) =>
  Effect.map(postTransaction({ changes: changesOf(legs) }), ({ transactionId }) => transactionId)

const reverse = (id: TransactionId, ...legs: ReadonlyArray<Leg>) => reverseTransaction(id, { changes: changesOf(legs) })

const requiring = (acctId: AccountId, text: string, ...require: NonNullable<Change["require"]>) =>
  postTransaction({ changes: [{ acctId, amount: amount(text), require }] })

const balanceOf = (acctId: AccountId) => Effect.map(fetchAccountInfo(acctId), ({ state }) => state.balance)

const three = Effect.all([open("100"), open("0"), open("0")])

for (const { how, writer } of writers) {
  const Written = writer.pipe(Layer.provideMerge(TestDatabase.layer), Layer.provideMerge(Wristwatch.layer))
  layer(Written, { excludeTestServices: true })(`reversals, written ${how}`, (it) => {
    it.effect("take a transaction back as a whole, and leave it as it is", () =>
      Effect.gen(function* () {
        const [a, b, c] = yield* three
        const id = yield* post([a, "-30"], [b, "10"], [c, "20"])
        const original = yield* fetchTransaction(id)
        const posted = yield* reverseTransaction(id, { description: "a mistake" })
        assert.deepStrictEqual(
          posted.changes.map((change) => [
            change.acctId,
            change.chgFlavor,
            change.chgAmt,
            change.reversesXactId,
            change.description,
          ]),
          [
            [a, "FLOW", money("30"), id, "a mistake"],
            [b, "FLOW", money("-10"), id, "a mistake"],
            [c, "FLOW", money("-20"), id, "a mistake"],
          ],
        )
        assert.deepStrictEqual(yield* fetchTransaction(id), original)
        assert.deepStrictEqual([yield* balanceOf(a), yield* balanceOf(b)], [money("100"), money("0")])
        yield* assertRefused(reverseTransaction(id), "AlreadyReversed", { transactionId: id })
        yield* assertRefused(reverse(id, [a, "1"], [b, "-1"]), "AlreadyReversed")
      }),
    )

    it.effect("take a part of it back, and another, never more in sum than there was", () =>
      Effect.gen(function* () {
        const [a, b, c] = yield* three
        const id = yield* post([a, "-30"], [b, "10"], [c, "20"])
        yield* reverse(id, [a, "4"], [b, "-4"])
        yield* assertRefused(reverse(id, [a, "7"], [b, "-7"]), "ReversalExceedsTransaction", {
          accountId: b,
          remaining: "-6.00",
        })
        yield* assertRefused(reverse(id, [a, "-1"], [b, "1"]), "ReversalExceedsTransaction", {
          accountId: a,
          remaining: "26.00",
        })
        yield* assertRefused(reverse(id, [a, "1"], [b, "-2"]), "Unbalanced")
        yield* assertRefused(reverse(id, [a, "1"]), "Unbalanced")
        yield* assertRefused(reverse(id, [a, "1"], [a, "-1"]), "SameAccount")
        const stranger = yield* open("50")
        yield* assertRefused(reverse(id, [a, "1"], [stranger, "-1"]), "ReversalExceedsTransaction", {
          accountId: stranger,
          remaining: "0.00",
        })
        yield* reverse(id, [a, "6"], [b, "-6"])
        yield* assertRefused(reverse(id, [a, "1"], [b, "-1"]), "ReversalExceedsTransaction", { remaining: "0.00" })
        // The rest leaves out whoever has given back all.
        const { changes } = yield* reverseTransaction(id)
        assert.deepStrictEqual(
          changes.map(({ acctId, chgAmt }) => [acctId, chgAmt]),
          [
            [a, money("20")],
            [c, money("-20")],
          ],
        )
        yield* assertRefused(reverseTransaction(id), "AlreadyReversed")
        assert.deepStrictEqual([yield* balanceOf(a), yield* balanceOf(b)], [money("100"), money("0")])
      }),
    )

    it.effect("of a single change give back alone", () =>
      Effect.gen(function* () {
        const [a] = yield* three
        const id = yield* post([a, "-30"])
        yield* reverse(id, [a, "10.5"])
        yield* assertRefused(reverse(id, [a, "19.51"]), "ReversalExceedsTransaction", { remaining: "19.50" })
        assert.strictEqual((yield* reverseTransaction(id)).changes[0]!.chgAmt, money("19.5"))
        assert.strictEqual(yield* balanceOf(a), money("100"))
      }),
    )

    it.effect("are judged in each currency", () =>
      Effect.gen(function* () {
        const accounts = yield* Effect.all([
          open("100"),
          open("0"),
          open("100", { currency: EUR }),
          open("0", { currency: EUR }),
        ])
        const [a, b, c, d] = accounts
        const id = yield* post([a, "-30"], [b, "30"], [c, "-20"], [d, "20"])
        // Half of an exchange is money at a rate that nobody agreed to.
        for (const part of [
          [[c, "5"] as const],
          [[a, "30"] as const, [b, "-30"] as const],
          [[a, "15"] as const, [b, "-15"] as const, [c, "10"] as const, [d, "-10"] as const],
        ]) {
          yield* assertRefused(reverse(id, ...part), "ExchangeReversedInPart", { transactionId: id })
        }
        const { changes } = yield* reverse(id, [a, "30"], [b, "-30"], [c, "20"], [d, "-20"])
        assert.deepStrictEqual(
          changes.map(({ acctId }) => acctId),
          accounts,
        )
        assert.deepStrictEqual(yield* Effect.forEach(accounts, balanceOf), ["100", "0", "100", "0"].map(money))
      }),
    )

    it.effect("of a capture bring the money back, not the hold", () =>
      Effect.gen(function* () {
        const [a, shop] = yield* three
        const { hold } = yield* placeHold({ acctId: a, amount: amount("50") })
        const { posted } = yield* captureHold(hold.holdId, { amount: amount("30"), to: shop })
        yield* reverse(posted.transactionId, [a, "10"], [shop, "-10"])
        yield* assertRefused(captureHold(hold.holdId), "HoldAlreadyCaptured")
        const { changes } = yield* reverseTransaction(posted.transactionId)
        assert.deepStrictEqual(
          changes.map(({ chgAmt, chgFlavor, holdId }) => [chgFlavor, chgAmt, holdId]),
          [
            ["FLOW", money("20"), null],
            ["FLOW", money("-20"), null],
          ],
        )
        const alone = yield* placeHold({ acctId: a, amount: amount("5") })
        const out = yield* captureHold(alone.hold.holdId)
        yield* reverseTransaction(out.posted.transactionId)
        assert.strictEqual(yield* balanceOf(a), money("100"))
      }),
    )

    it.effect("are refused for what moved no money, opened an account, or is a reversal", () =>
      Effect.gen(function* () {
        const { account, posted } = yield* makeAccount({
          customerName: "Ann",
          currency: USD,
          initialBalance: amount("100"),
        })
        const { acctId } = account
        const { hold } = yield* placeHold({ acctId, amount: amount("5") })
        const released = (yield* releaseHold(hold.holdId)).posted.transactionId
        const terms = (yield* changeTerms(acctId, { status: "credits_frozen" })).transactionId
        yield* changeTerms(acctId, { status: "open" })
        const id = yield* post([acctId, "-1"])
        const back = (yield* reverseTransaction(id)).transactionId
        for (const none of [posted.transactionId, hold.holdId, released, terms, back]) {
          yield* assertRefused(reverseTransaction(none), "NotReversible", { transactionId: none })
        }
        yield* assertRefused(reverseTransaction(1_000_000_000n as BalanceChangeId), "TransactionNotFound")
        // Only a transaction has an id, not each of its legs.
        const other = yield* open("0")
        const { changes } = yield* postTransaction({
          changes: changesOf([
            [acctId, "-1"],
            [other, "1"],
          ]),
        })
        yield* assertRefused(reverseTransaction(changes[1]!.bchgId), "TransactionNotFound")
      }),
    )

    it.effect("respect what the accounts may do", () =>
      Effect.gen(function* () {
        const [a, shop] = yield* three
        const id = yield* post([a, "-30"], [shop, "30"])
        yield* storeBalanceChange(shop, amount("-20"))
        yield* assertRefused(reverseTransaction(id), "InsufficientFunds", { accountId: shop, available: "10.00" })
        yield* reverse(id, [a, "10"], [shop, "-10"])
        yield* storeBalanceChange(shop, amount("20"))
        yield* changeTerms(a, { status: "credits_frozen" })
        yield* assertRefused(reverseTransaction(id), "AccountFrozen", { accountId: a })
        yield* assertRefused(reverseTransaction(id, { isForced: true }), "AccountFrozen", { accountId: a })
        yield* changeTerms(a, { status: "open" })
        yield* reverseTransaction(id)
      }),
    )

    it.effect("that are forced raise the limit as far as it takes, in the open", () =>
      Effect.gen(function* () {
        const [a, shop] = yield* three
        const id = yield* post([a, "-30"], [shop, "30"])
        yield* placeHold({ acctId: shop, amount: amount("8"), expiry: { ttl: 60 } })
        yield* storeBalanceChange(shop, amount("-20"))
        yield* Wristwatch.forward(61)
        const posted = yield* reverseTransaction(id, { isForced: true, description: "fraud" })
        assert.deepStrictEqual(
          posted.changes.map(({ acctId, chgAmt }) => [acctId, chgAmt]),
          [
            [a, money("30")],
            [shop, money("-30")],
          ],
        )
        const { state } = yield* fetchAccountInfo(shop)
        assert.deepInclude(state, { balance: money("-20"), held: money("0"), overdraftLimit: money("20") })
        const rows = (yield* selectAllChanges).filter(({ acctId }) => acctId === shop)
        assert.deepStrictEqual(
          rows.slice(-3).map(({ chgFlavor, description }) => [chgFlavor, description]),
          [
            ["TERMS", "fraud"],
            ["RELEASE", null],
            ["FLOW", "fraud"],
          ],
        )
        // The rows beside it are transactions of their own.
        assert.strictEqual((yield* fetchTransaction(posted.transactionId)).changes.length, 2)
        yield* assertRefused(reverseTransaction(id, { isForced: true }), "AlreadyReversed")
        // With money enough, nothing is raised.
        const again = yield* post([a, "-5"], [shop, "5"])
        const seq = (yield* fetchAccountInfo(shop)).state.acctSeq
        yield* reverseTransaction(again, { isForced: true })
        assert.deepInclude((yield* fetchAccountInfo(shop)).state, { acctSeq: seq + 1, overdraftLimit: money("20") })
      }),
    )

    it.effect("of 32 asked at once by several processes, one wins", () =>
      Effect.gen(function* () {
        const [a, b, c] = yield* three
        const id = yield* post([a, "-30"], [b, "10"], [c, "20"])
        const tags = yield* Effect.all(
          times(32, (i) => {
            const back = reverseTransaction(id, { idempotencyKey: key() }).pipe(
              Effect.as("won"),
              Effect.catch(({ _tag }) => Effect.succeed(_tag)),
            )
            return i % 4 === 0 ? back : asAnotherProcess(back)
          }),
          together,
        )
        assert.strictEqual(tags.filter((tag) => tag === "won").length, 1)
        assert.strictEqual(tags.filter((tag) => tag === "AlreadyReversed").length, 31)
        assert.deepStrictEqual([yield* balanceOf(a), yield* balanceOf(b)], [money("100"), money("0")])
      }),
    )

    it.effect("of parts asked for at once, as many win as the whole is enough for", () =>
      Effect.gen(function* () {
        const [a, b] = yield* three
        const id = yield* post([a, "-30"], [b, "30"])
        const tags = yield* Effect.all(
          times(24, (i) => {
            const back = reverse(id, [a, "4"], [b, "-4"]).pipe(
              Effect.as("won"),
              Effect.catch(({ _tag }) => Effect.succeed(_tag)),
            )
            return i % 3 === 0 ? asAnotherProcess(back) : back
          }),
          together,
        )
        assert.strictEqual(tags.filter((tag) => tag === "won").length, 7)
        assert.strictEqual(tags.filter((tag) => tag === "ReversalExceedsTransaction").length, 17)
        assert.strictEqual((yield* reverseTransaction(id)).changes[0]!.chgAmt, money("2"))
      }),
    )

    it.effect("in one request see one another", () =>
      Effect.gen(function* () {
        const [a, b] = yield* three
        const id = yield* post([a, "-30"], [b, "30"])
        const actor = yield* CurrentActor
        const asked = (text: string) => ({
          intent: {
            _tag: "ReverseTransaction" as const,
            xactId: id,
            original: [
              { acctId: a, chgAmt: money("-30"), currency: USD, effectiveTime: Timestamp.make(0n) },
              { acctId: b, chgAmt: money("30"), currency: USD, effectiveTime: Timestamp.make(0n) },
            ],
            changes: changesOf([
              [a, text],
              [b, `-${text}`],
            ]),
            isForced: false,
            reference: null,
            description: null,
            metadata: null,
          },
          actor,
          idempotencyKey: null,
        })
        yield* assertRefused(writeTogether([asked("20"), asked("10.01")]), "RequestRefused", { index: 1 })
        yield* assertRefused(dryRun(writeTogether([asked("20"), asked("10.01")])), "RequestRefused", { index: 1 })
        yield* writeTogether([asked("20"), asked("10")])
        yield* assertRefused(reverseTransaction(id), "AlreadyReversed")
      }),
    )

    it.effect("with a key are answered alike when they come again", () =>
      Effect.gen(function* () {
        const [a, b] = yield* three
        const id = yield* post([a, "-30"], [b, "30"])
        const idempotencyKey = key()
        const part = reverseTransaction(id, {
          changes: changesOf([
            [a, "10"],
            [b, "-10"],
          ]),
          idempotencyKey,
        })
        const first = yield* part
        yield* reverseTransaction(id)
        for (const again of [yield* part, yield* asAnotherProcess(part), yield* dryRun(part)]) {
          assert.isTrue(again.isReplayed)
          assert.deepStrictEqual(again.changes, first.changes)
        }
        yield* assertRefused(reverseTransaction(id, { idempotencyKey }), "IdempotencyKeyReused")
        yield* assertRefused(
          reverseTransaction(id, {
            changes: changesOf([
              [a, "10"],
              [b, "-10"],
            ]),
            isForced: true,
            idempotencyKey,
          }),
          "IdempotencyKeyReused",
        )
      }),
    )

    it.effect("run dry write nothing", () =>
      Effect.gen(function* () {
        const [a, b] = yield* three
        const id = yield* post([a, "-30"], [b, "30"])
        yield* storeBalanceChange(b, amount("-25"))
        const before = yield* selectAllChanges
        yield* assertRefused(dryRun(reverseTransaction(id)), "InsufficientFunds")
        const { changes } = yield* dryRun(reverseTransaction(id, { isForced: true }))
        assert.deepInclude(changes[1], { acctId: b, balance: money("-25"), overdraftLimit: money("25") })
        assert.deepStrictEqual(yield* selectAllChanges, before)
      }),
    )

    it.effect("in a transaction of the caller's they roll back with it", () =>
      Effect.gen(function* () {
        const { transaction } = yield* DbConn
        const [a, b] = yield* three
        const id = yield* post([a, "-30"], [b, "30"])
        const before = yield* selectAllChanges
        yield* Effect.flip(
          transaction(
            Effect.gen(function* () {
              yield* reverseTransaction(id)
              yield* assertRefused(reverseTransaction(id), "AlreadyReversed")
              return yield* Effect.fail("back" as const)
            }),
          ),
        )
        assert.deepStrictEqual(yield* selectAllChanges, before)
        yield* reverseTransaction(id)
      }),
    )

    it.effect("leave a ledger behind that holds together", () => Effect.asVoid(verifyLedger))
  })

  layer(Written, { excludeTestServices: true })(`conditions, judged ${how}`, (it) => {
    it.effect("hold for the account as it is after the change, or nothing is written", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100", { overdraftLimit: amount("50") })
        yield* placeHold({ acctId, amount: amount("30"), expiry: { ttl: 60 } })
        // After -10: posted 90.00, available 110.00.
        const cases = [
          ["posted", "gte", "90", "90.01"],
          ["posted", "lte", "90", "89.99"],
          ["posted", "gt", "89.99", "90"],
          ["posted", "lt", "90.01", "90"],
          ["posted", "eq", "90", "100"],
          ["available", "gte", "110", "110.01"],
          ["available", "lte", "110", "109.99"],
          ["available", "gt", "109.99", "110"],
          ["available", "lt", "110.01", "110"],
          ["available", "eq", "110", "140"],
        ] as const
        for (const [subject, comparison, met, broken] of cases) {
          yield* dryRun(requiring(acctId, "-10", { subject, comparison, amount: amount(met) }))
          yield* assertRefused(
            requiring(acctId, "-10", { subject, comparison, amount: amount(broken) }),
            "ConditionNotMet",
            { subject, comparison, actual: subject === "posted" ? "90.00" : "110.00" },
          )
        }
        // A hold that has expired holds nothing.
        yield* Wristwatch.forward(61)
        yield* requiring(acctId, "-10", { subject: "available", comparison: "eq", amount: amount("140") })
      }),
    )

    it.effect("are all of them to be met, on every leg; without a limit more is available than any amount", () =>
      Effect.gen(function* () {
        const [bank, acctId] = [yield* open("0", { overdraftLimit: null }), yield* open("5")]
        const transfer = (bound: string) =>
          postTransaction({
            changes: [
              {
                acctId: bank,
                amount: amount("-1"),
                require: [{ subject: "available", comparison: "gt", amount: amount("99999999999999.99") }],
              },
              {
                acctId,
                amount: amount("1"),
                require: [
                  { subject: "posted", comparison: "gte", amount: amount("0") },
                  { subject: "posted", comparison: "lte", amount: amount(bound) },
                ],
              },
            ],
          })
        yield* assertRefused(transfer("5.99"), "ConditionNotMet", { accountId: acctId, actual: "6.00" })
        yield* transfer("6")
        yield* assertRefused(
          requiring(bank, "-1", { subject: "available", comparison: "lt", amount: amount("1") }),
          "ConditionNotMet",
          { actual: null },
        )
        yield* assertRefused(
          requiring(acctId, "1", { subject: "posted", comparison: "gt", amount: amount("0.001") }),
          "ScaleExceeded",
        )
      }),
    )

    it.effect("keep many at once from passing a bound together", () =>
      Effect.gen(function* () {
        const acctId = yield* open("0")
        const bound = { subject: "posted", comparison: "lte", amount: amount("10") } as const
        const tags = yield* Effect.all(
          times(24, (i) => {
            const put = requiring(acctId, "3", bound).pipe(
              Effect.as("done"),
              Effect.catch(({ _tag }) => Effect.succeed(_tag)),
            )
            return i % 2 === 0 ? put : asAnotherProcess(put)
          }),
          together,
        )
        assert.strictEqual(tags.filter((tag) => tag === "done").length, 3)
        assert.strictEqual(yield* balanceOf(acctId), money("9"))
      }),
    )
  })
}

layer(TestDatabase.layer, { excludeTestServices: true })("a reversal in a batch", (it) => {
  it.effect("is decided on what the one before it in the same batch took back", () =>
    Effect.gen(function* () {
      // One writer: what comes while it writes is one batch.
      const Single = Layer.fresh(GroupCommit.layer({ writersMax: 1 }))
      yield* Effect.gen(function* () {
        const [a, b] = yield* three
        const id = yield* post([a, "-30"], [b, "30"])
        const tags = yield* Effect.all(
          times(6, () =>
            reverse(id, [a, "9"], [b, "-9"]).pipe(
              Effect.as("won"),
              Effect.catch(({ _tag }) => Effect.succeed(_tag)),
            ),
          ),
          together,
        )
        assert.deepStrictEqual(tags.toSorted(), [
          ...times(3, () => "ReversalExceedsTransaction"),
          ...times(3, () => "won"),
        ])
        assert.strictEqual(yield* balanceOf(a), money("97"))
      }).pipe(Effect.provide(Single, { local: true }))
      yield* verifyLedger
    }),
  )
})
