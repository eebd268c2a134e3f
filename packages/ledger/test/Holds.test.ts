/** What becomes of money that is set aside. */
import type { AccountId } from "@banquo/domain/AccountId"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { type HoldState, openHoldsMax, ttlDefault, ttlMax } from "@banquo/domain/Hold"
import { holdsPageMax } from "@banquo/domain/Page"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { fetchAccountInfo } from "../src/programs/Accounts.ts"
import { DbConn } from "../src/database/DbConn.ts"
import { fetchAccountHistory } from "../src/history/History.ts"
import {
  captureHold,
  fetchHold,
  fetchHolds,
  type HoldsQuery,
  increaseHold,
  placeHold,
  type PostedHold,
  releaseHold,
} from "../src/programs/Holds.ts"
import * as HoldSweeper from "../src/programs/HoldSweeper.ts"
import { fetchTransaction, postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import { dryRun } from "../src/write/DryRun.ts"
import { make as makeProxy } from "@banquo/testing/FaultyProxy"
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

/** Sets an amount of an account aside, for a week unless said otherwise. */
const place = (acctId: AccountId, text: string, ttl = ttlDefault) =>
  Effect.map(placeHold({ acctId, amount: amount(text), expiry: { ttl } }), ({ hold }) => hold.holdId)

const keyed = () => ({ idempotencyKey: key() })

/** What an account has and holds, by its newest row. */
const stored = (acctId: AccountId) =>
  Effect.map(fetchAccountInfo(acctId), ({ state: { balance, held } }) => ({ balance, held }))

const has = (balance: string, held: string) => ({ balance: money(balance), held: money(held) })

/** What the rows of an account after the first did, oldest first. */
const rowsOf = (acctId: AccountId) =>
  Effect.map(fetchAccountHistory(acctId), (changes) =>
    changes
      .toReversed()
      .slice(1)
      .map(({ chgAmt, chgFlavor, heldAmt }) => `${chgFlavor} ${chgAmt / 100_000_000n} ${heldAmt / 100_000_000n}`),
  )

const holdsOf = (acctId: AccountId, more: Partial<HoldsQuery> = {}) => fetchHolds({ acctId, limit: 50, ...more })

type Id = BalanceChangeId
type Eight = readonly [Id, Id, Id, Id, Id, Id, Id, Id]

const past = Timestamp.make(0n)

const isSwept = (holdId: BalanceChangeId) =>
  Effect.map(fetchHold(holdId), ({ remaining, state }) => state === "expired" && remaining === 0n)

for (const { how, writer } of writers) {
  const Written = writer.pipe(Layer.provideMerge(TestDatabase.layer), Layer.provideMerge(Wristwatch.layer))
  layer(Written, { excludeTestServices: true })(`holds, written ${how}`, (it) => {
    it.effect("set money aside that stays on the account and cannot be spent", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const { hold, posted } = yield* placeHold({
          acctId,
          amount: amount("30.50"),
          description: "hotel",
          metadata: { room: "7" },
        })
        const [change] = posted.changes
        assert.deepInclude(change, { chgFlavor: "HOLD", holdId: hold.holdId, bchgId: hold.holdId })
        assert.deepStrictEqual(hold, {
          holdId: hold.holdId,
          acctId,
          state: "open",
          amount: money("30.50"),
          captured: money("0"),
          released: money("0"),
          remaining: money("30.50"),
          expiresAt: Timestamp.make(change!.chgCreateTime + BigInt(ttlDefault) * 1_000_000n),
          description: "hotel",
          metadata: { room: "7" },
          actor: change!.actor,
          placedAt: change!.chgCreateTime,
          updatedAt: change!.chgCreateTime,
          currency: USD,
          scale: 2,
        })
        assert.deepStrictEqual(yield* fetchHold(hold.holdId), hold)
        assert.deepStrictEqual(yield* stored(acctId), has("100", "30.50"))
        yield* assertRefused(storeBalanceChange(acctId, amount("-69.51")), "InsufficientFunds", { available: "69.50" })
        yield* storeBalanceChange(acctId, amount("-69.50"))
        yield* assertRefused(placeHold({ acctId, amount: amount("0.01") }), "InsufficientFunds", { available: "0.00" })
      }),
    )

    it.effect("are refused what the account or the limits do not allow", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const ask = { acctId, amount: amount("1") }
        yield* assertRefused(placeHold({ ...ask, amount: amount("0.001") }), "ScaleExceeded")
        yield* assertRefused(placeHold({ ...ask, currency: EUR }), "CurrencyMismatch")
        yield* assertRefused(placeHold({ ...ask, expectedSeq: 1 }), "VersionConflict", { currentSeq: 0 })
        yield* assertRefused(placeHold({ ...ask, amount: amount("100.01") }), "InsufficientFunds")
        const at = Timestamp.make((yield* Wristwatch.now) - 1n)
        yield* assertRefused(placeHold({ ...ask, expiry: { at } }), "ExpiryOutOfRange")
        yield* assertRefused(placeHold({ ...ask, expiry: { ttl: ttlMax + 1 } }), "ExpiryOutOfRange")
        yield* assertRefused(
          placeHold({
            ...ask,
            require: [{ subject: "available", comparison: "gte", amount: amount("99.01") }],
          }),
          "ConditionNotMet",
          { actual: "99.00", subject: "available" },
        )
        const nobody = crypto.randomUUID() as AccountId
        yield* assertRefused(placeHold({ ...ask, acctId: nobody }), "AccountNotFound")
        yield* assertRefused(holdsOf(nobody), "AccountNotFound")
        const none = BalanceChangeId.make(1_000_000_000n)
        yield* assertRefused(captureHold(none), "HoldNotFound")
        yield* assertRefused(increaseHold(none, { amount: amount("1") }), "HoldNotFound")
        yield* assertRefused(releaseHold(none), "HoldNotFound")
        yield* assertRefused(fetchHold(none), "HoldNotFound")
        const change = yield* storeBalanceChange(acctId, amount("1"))
        yield* assertRefused(captureHold(change.bchgId), "HoldNotFound")
      }),
    )

    it.effect("grow, if there is money for it, and may last longer then", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const holdId = yield* place(acctId, "60", 60)
        yield* assertRefused(increaseHold(holdId, { amount: amount("40.01") }), "InsufficientFunds", {
          available: "40.00",
        })
        const before = yield* fetchHold(holdId)
        const { hold, posted } = yield* increaseHold(holdId, { amount: amount("15") })
        assert.deepInclude(hold, { amount: money("75"), remaining: money("75"), expiresAt: before.expiresAt })
        assert.deepInclude(posted.changes[0], { chgFlavor: "HOLD", holdId, heldAmt: money("15"), holdExpiresAt: null })
        const longer = yield* increaseHold(holdId, { amount: amount("25"), expiry: { ttl: 3600 } })
        assert.isTrue(longer.hold.expiresAt > before.expiresAt)
        yield* Wristwatch.forward(61)
        assert.strictEqual((yield* captureHold(holdId)).hold.captured, money("100"))
        assert.deepStrictEqual(yield* stored(acctId), has("0", "0"))
      }),
    )

    it.effect("are captured in full", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const holdId = yield* place(acctId, "30")
        const { hold, posted } = yield* captureHold(holdId, { description: "paid" })
        assert.deepInclude(hold, { state: "captured", captured: money("30"), remaining: money("0") })
        assert.deepStrictEqual(
          posted.changes.map(({ chgAmt, chgFlavor, description, heldAmt }) => [
            chgFlavor,
            chgAmt,
            heldAmt,
            description,
          ]),
          [["CAPTURE", money("-30"), money("-30"), "paid"]],
        )
        assert.deepStrictEqual(yield* stored(acctId), has("70", "0"))
      }),
    )

    it.effect("are captured in part, and what is left is released in the same transaction", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const holdId = yield* place(acctId, "30")
        const { hold, posted } = yield* captureHold(holdId, { amount: amount("12.25") })
        assert.deepInclude(hold, {
          state: "captured",
          captured: money("12.25"),
          released: money("17.75"),
          remaining: money("0"),
        })
        assert.deepStrictEqual(
          posted.changes.map(({ chgFlavor, xactId }) => [chgFlavor, xactId]),
          [
            ["CAPTURE", posted.transactionId],
            ["RELEASE", posted.transactionId],
          ],
        )
        assert.deepStrictEqual(yield* stored(acctId), has("87.75", "0"))
      }),
    )

    it.effect("are captured again and again, never beyond what is left", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const holdId = yield* place(acctId, "30")
        const take = (text: string, isFinal = false) => captureHold(holdId, { amount: amount(text), isFinal })
        assert.deepInclude((yield* take("10")).hold, { state: "open", captured: money("10"), remaining: money("20") })
        yield* assertRefused(take("20.01"), "CaptureExceedsHold", { holdId, remaining: "20.00", currency: USD })
        assert.deepInclude((yield* take("15")).hold, { state: "open", captured: money("25"), remaining: money("5") })
        yield* assertRefused(take("5.01", true), "CaptureExceedsHold", { remaining: "5.00" })
        // The last of it ends it, whatever was said.
        assert.deepInclude((yield* take("5")).hold, { state: "captured", captured: money("30") })
        yield* assertRefused(take("1"), "HoldAlreadyCaptured", { holdId })
        assert.deepStrictEqual(yield* stored(acctId), has("70", "0"))
      }),
    )

    it.effect("are captured into another account, in one transaction", () =>
      Effect.gen(function* () {
        const [buyer, shop, inEuro] = [yield* open("100"), yield* open("0"), yield* open("0", { currency: EUR })]
        const holdId = yield* place(buyer, "30")
        yield* assertRefused(captureHold(holdId, { to: buyer }), "SameAccount")
        yield* assertRefused(captureHold(holdId, { to: inEuro }), "CurrencyMismatch")
        yield* assertRefused(captureHold(holdId, { to: crypto.randomUUID() as AccountId }), "AccountNotFound")
        const { posted } = yield* captureHold(holdId, { to: shop, amount: amount("20") })
        assert.deepStrictEqual(
          posted.changes.map(({ acctId, chgAmt, chgFlavor, heldAmt }) => [acctId, chgFlavor, chgAmt, heldAmt]),
          [
            [buyer, "CAPTURE", money("-20"), money("-20")],
            [buyer, "RELEASE", money("0"), money("-10")],
            [shop, "FLOW", money("20"), money("0")],
          ],
        )
        assert.deepStrictEqual(
          (yield* fetchTransaction(posted.transactionId)).changes.map(({ chgHash }) => chgHash.toHex()),
          posted.changes.map(({ chgHash }) => chgHash.toHex()),
        )
        assert.deepStrictEqual(yield* stored(buyer), has("80", "0"))
        assert.deepStrictEqual(yield* stored(shop), has("20", "0"))
      }),
    )

    it.effect("are released", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const holdId = yield* place(acctId, "30")
        yield* captureHold(holdId, { amount: amount("10"), isFinal: false })
        assert.deepInclude((yield* releaseHold(holdId)).hold, {
          state: "released",
          captured: money("10"),
          released: money("20"),
          remaining: money("0"),
        })
        assert.deepStrictEqual(yield* stored(acctId), has("90", "0"))
      }),
    )

    const ends = {
      HoldAlreadyCaptured: (holdId: BalanceChangeId) => captureHold(holdId, { amount: amount("1") }),
      HoldAlreadyReleased: (holdId: BalanceChangeId) => releaseHold(holdId),
      HoldExpired: () => Wristwatch.forward(61),
    }
    for (const [tag, end] of Object.entries(ends)) {
      it.effect(`end once: ${tag} is what whoever comes later is told`, () =>
        Effect.gen(function* () {
          const acctId = yield* open("100")
          const holdId = yield* place(acctId, "30", 60)
          yield* end(holdId)
          const expected = tag as "HoldExpired"
          const assertGone = Effect.gen(function* () {
            yield* assertRefused(captureHold(holdId), expected, { holdId })
            yield* assertRefused(captureHold(holdId, { amount: amount("99") }), expected, { holdId })
            yield* assertRefused(releaseHold(holdId), expected, { holdId })
            yield* assertRefused(increaseHold(holdId, { amount: amount("1") }), expected, { holdId })
            yield* assertRefused(dryRun(captureHold(holdId)), expected, { holdId })
          })
          yield* assertGone
          // Also when it has been tidied up.
          yield* HoldSweeper.sweep(past)
          yield* assertGone
        }),
      )
    }

    it.effect("expire: their money can be spent at once, and what needs it releases them in the same statement", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const first = yield* place(acctId, "50", 60)
        const second = yield* place(acctId, "20", 61)
        const third = yield* place(acctId, "30", 120)
        yield* assertRefused(storeBalanceChange(acctId, amount("-1")), "InsufficientFunds", { available: "0.00" })
        yield* Wristwatch.forward(62)
        yield* assertRefused(storeBalanceChange(acctId, amount("-70.01")), "InsufficientFunds", { available: "70.00" })
        const posted = yield* postTransaction({ changes: [{ acctId, amount: amount("-40") }] })
        // What it did not need is left as it was; what was released is not of its transaction.
        assert.deepStrictEqual(yield* rowsOf(acctId), [
          "HOLD 0 50",
          "HOLD 0 20",
          "HOLD 0 30",
          "RELEASE 0 -50",
          "FLOW -40 0",
        ])
        assert.strictEqual(posted.changes.length, 1)
        assert.strictEqual((yield* fetchTransaction(posted.transactionId)).changes.length, 1)
        const { sql } = yield* DbConn
        // One statement is one transaction of the database's, which gives its rows one id, or one time.
        const mark = TestDatabase.engine === "postgresql" ? "xmin" : "crdb_internal_mvcc_timestamp"
        const transactions = yield* sql`SELECT DISTINCT ${sql.literal(mark)}::TEXT FROM balance_change
          WHERE acct_id = ${acctId}::UUID AND acct_seq >= 4`
        assert.strictEqual(transactions.length, 1)
        const [, release] = yield* fetchAccountHistory(acctId)
        assert.strictEqual(release!.xactId, release!.bchgId)
        assert.deepInclude(yield* fetchHold(first), { state: "expired", remaining: money("0"), released: money("50") })
        assert.deepInclude(yield* fetchHold(second), { state: "expired", remaining: money("20") })
        assert.deepInclude(yield* fetchHold(third), { state: "open" })
        yield* placeHold({ acctId, amount: amount("30") })
        assert.deepStrictEqual(yield* stored(acctId), has("60", "60"))
        yield* verifyLedger
      }),
    )

    it.effect("expire at their instant, not before", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const { hold } = yield* placeHold({ acctId, amount: amount("10"), expiry: { ttl: 3600 } })
        const at = (micros: bigint) => Wristwatch.at(hold.expiresAt + micros)
        assert.strictEqual((yield* fetchHold(hold.holdId).pipe(at(-1_000n))).state, "open")
        assert.strictEqual((yield* fetchHold(hold.holdId).pipe(at(1_000n))).state, "expired")
        // Judged alone in each case, by the clock of the one who asks.
        yield* dryRun(captureHold(hold.holdId)).pipe(at(-1_000n))
        yield* assertRefused(dryRun(captureHold(hold.holdId)).pipe(at(1_000n)), "HoldExpired")
        yield* dryRun(storeBalanceChange(acctId, amount("-10"))).pipe(at(1_000n))
        yield* assertRefused(dryRun(storeBalanceChange(acctId, amount("-10"))).pipe(at(-1_000n)), "InsufficientFunds")
      }),
    )

    it.effect("are tidied up by a sweep, however many sweep at once and write meanwhile", () =>
      Effect.gen(function* () {
        const accounts = yield* Effect.all(
          times(6, () => open("100")),
          together,
        )
        yield* Effect.all(
          accounts.flatMap((acctId) => [place(acctId, "10", 60), place(acctId, "20", 60), place(acctId, "30", 7200)]),
          together,
        )
        yield* Wristwatch.forward(61)
        const since = Timestamp.make((yield* Wristwatch.now) - 3600_000_000n)
        const sweeps = times(4, (i) =>
          i % 2 === 0 ? HoldSweeper.sweep(since) : asAnotherProcess(HoldSweeper.sweep(since)),
        )
        const spend = accounts.map((acctId) => Effect.asVoid(storeBalanceChange(acctId, amount("-65"))))
        const [swept] = yield* Effect.all(
          [Effect.all(sweeps, together), Effect.all(spend, together)] as const,
          together,
        )
        for (const acctId of accounts) assert.deepStrictEqual(yield* stored(acctId), has("35", "30"))
        assert.isAtMost(
          swept.reduce((sum, { accounts }) => sum + accounts, 0),
          2 * accounts.length,
        )
        const chains = yield* verifyLedger
        for (const acctId of accounts) {
          assert.strictEqual(chains.get(acctId)!.filter(({ chgFlavor }) => chgFlavor === "RELEASE").length, 2)
        }
        const again = yield* HoldSweeper.sweep(since)
        assert.strictEqual(again.accounts, 0)
      }),
    )

    it.effect("a sweep goes on from where the last ended, a minute before its time", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const holdId = yield* place(acctId, "10", 60)
        const before = yield* Wristwatch.now
        const early = yield* HoldSweeper.sweep(past)
        assert.isAtLeast(Number(early.until - before), -60_000_000)
        assert.isTrue(early.until < before)
        assert.deepStrictEqual(yield* stored(acctId), has("100", "10"))
        yield* Wristwatch.forward(61)
        // From the future on there is nothing to look at, and it does not go back.
        const ahead = Timestamp.make((yield* Wristwatch.now) + 1_000_000_000n)
        assert.deepStrictEqual(yield* HoldSweeper.sweep(ahead), { accounts: 0, until: ahead })
        assert.strictEqual((yield* fetchHold(holdId)).remaining, money("10"))
        const swept = yield* HoldSweeper.sweep(early.until)
        assert.strictEqual(swept.accounts, 1)
        assert.isTrue(swept.until > early.until)
        assert.deepInclude(yield* fetchHold(holdId), { state: "expired", remaining: money("0") })
        const [release] = yield* fetchAccountHistory(acctId)
        assert.strictEqual(release!.actor, HoldSweeper.sweeper)
      }),
    )

    it.effect("a sweep leaves a hold alone that was made to last longer", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const holdId = yield* place(acctId, "10", 60)
        yield* increaseHold(holdId, { amount: amount("1"), expiry: { ttl: 3600 } })
        yield* Wristwatch.forward(61)
        const since = Timestamp.make((yield* Wristwatch.now) - 120_000_000n)
        assert.strictEqual((yield* HoldSweeper.sweep(since)).accounts, 0)
        assert.strictEqual((yield* captureHold(holdId)).hold.captured, money("11"))
      }),
    )

    it.effect("are found behind hundreds of newer rows of others", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const old = yield* place(acctId, "10")
        const middle = yield* Effect.gen(function* () {
          let holdId: BalanceChangeId | undefined
          for (let i = 0; i < 230; i++) {
            if (i === 115) holdId = yield* place(acctId, "7")
            yield* releaseHold(yield* place(acctId, "1"))
          }
          return holdId!
        })
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.openHolds.length, 2)
        assert.deepStrictEqual(
          (yield* fetchAccountInfo(acctId)).state.openHolds
            .map(({ holdId, held }) => [holdId, held] as const)
            // Newer ids need not be greater on CockroachDB.
            .toSorted(([, a], [, b]) => Number(b - a)),
          [
            [old, money("10")],
            [middle, money("7")],
          ],
        )
        // By one that has to read them, too.
        yield* asAnotherProcess(captureHold(old, { amount: amount("4"), isFinal: false }))
        yield* captureHold(old)
        yield* captureHold(middle)
        assert.deepStrictEqual(yield* stored(acctId), has("83", "0"))
      }),
    )

    it.effect(`are ${openHoldsMax} at most; one more is there when one has expired`, () =>
      Effect.gen(function* () {
        const acctId = yield* open("1000")
        const first = yield* place(acctId, "1", 60)
        yield* Effect.gen(function* () {
          for (let i = 1; i < openHoldsMax; i++) yield* place(acctId, "1")
        })
        yield* assertRefused(placeHold({ acctId, amount: amount("1") }), "TooManyHolds")
        yield* Wristwatch.forward(61)
        yield* place(acctId, "1")
        assert.deepInclude(yield* fetchHold(first), { state: "expired", remaining: money("0") })
        yield* assertRefused(placeHold({ acctId, amount: amount("1") }), "TooManyHolds")
        assert.deepStrictEqual(yield* stored(acctId), has("1000", "200"))
        // All of them expire at once, and one change needs them all.
        yield* Wristwatch.forward(ttlDefault)
        yield* storeBalanceChange(acctId, amount("-1000"))
        assert.deepStrictEqual(yield* stored(acctId), has("0", "0"))
      }),
    )

    it.effect("are listed from the newest on, by state and page", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const ids = yield* Effect.gen(function* () {
          const made: Array<BalanceChangeId> = []
          for (let i = 0; i < 8; i++) made.push(yield* place(acctId, `${i + 1}`, i === 3 ? 60 : 7200))
          return made.toReversed()
        })
        const [h8, h7, h6, h5, h4, h3, h2, h1] = ids as unknown as Eight
        yield* captureHold(h8)
        yield* releaseHold(h6)
        yield* captureHold(h2, { amount: amount("1"), isFinal: false })
        yield* releaseHold(h2)
        yield* captureHold(h1, { isFinal: false })
        yield* Wristwatch.forward(61)
        const idsOf = (more: Partial<HoldsQuery>) =>
          Effect.map(holdsOf(acctId, more), ({ holds }) => holds.map(({ holdId }) => holdId))
        assert.deepStrictEqual(yield* idsOf({}), ids)
        const byState: Record<HoldState, ReadonlyArray<BalanceChangeId>> = {
          open: [h7, h5, h3],
          captured: [h8, h1],
          released: [h6, h2],
          expired: [h4],
        }
        for (const [state, expected] of Object.entries(byState)) {
          assert.deepStrictEqual(yield* idsOf({ state: state as HoldState }), expected)
        }
        for (const limit of [1, 2, 3, 8]) {
          for (const state of [undefined, "open", "released"] as const) {
            const found: Array<BalanceChangeId> = []
            let before: number | undefined
            for (;;) {
              const page = yield* holdsOf(acctId, { limit, state, before })
              assert.isAtMost(page.holds.length, limit)
              found.push(...page.holds.map(({ holdId }) => holdId))
              if (page.nextBefore === null) break
              before = page.nextBefore
            }
            assert.deepStrictEqual(found, state === undefined ? ids : byState[state])
          }
        }
        assert.strictEqual((yield* holdsOf(acctId, { limit: 8 })).nextBefore, null)
        assert.deepStrictEqual(yield* holdsOf(yield* open("1")), { holds: [], nextBefore: null })
        yield* HoldSweeper.sweep(past)
        assert.deepStrictEqual(yield* idsOf({ state: "expired" }), [h4])
      }),
    )

    it.effect("a page may hold less than its limit and have a next", () =>
      Effect.gen(function* () {
        const acctId = yield* open("1000")
        const old = yield* place(acctId, "1")
        for (let i = 0; i < holdsPageMax; i++) yield* releaseHold(yield* place(acctId, "1"))
        const first = yield* holdsOf(acctId, { state: "open", limit: 5 })
        assert.deepStrictEqual(first.holds, [])
        const second = yield* holdsOf(acctId, { state: "open", limit: 5, before: first.nextBefore! })
        assert.deepStrictEqual(
          second.holds.map(({ holdId }) => holdId),
          [old],
        )
        assert.isNull(second.nextBefore)
      }),
    )

    it.effect("a write that comes again is answered alike, whatever came after", () =>
      Effect.gen(function* () {
        const [acctId, shop] = [yield* open("100"), yield* open("0")]
        const [placing, growing, taking, ending, giving] = [keyed(), keyed(), keyed(), keyed(), keyed()]
        const placeAgain = placeHold({ acctId, amount: amount("30"), description: "hotel", ...placing })
        const { hold } = yield* placeAgain
        const { holdId } = hold
        const grow = increaseHold(holdId, { amount: amount("5"), ...growing })
        const take = captureHold(holdId, { amount: amount("7"), isFinal: false, to: shop, ...taking })
        const end = captureHold(holdId, { amount: amount("8.00"), to: shop, ...ending })
        const other = yield* place(acctId, "1")
        const give = releaseHold(other, giving)
        const answers = [{ hold, posted: (yield* placeAgain).posted }]
        const programs: ReadonlyArray<Effect.Effect<PostedHold, { readonly _tag: string }, DbConn>> = [
          grow,
          take,
          end,
          give,
        ]
        for (const program of programs) answers.push(yield* program)
        yield* Wristwatch.forward(ttlDefault + 1)
        const all = [placeAgain as (typeof programs)[number], ...programs]
        for (const [index, program] of all.entries()) {
          for (const again of [yield* program, yield* asAnotherProcess(program), yield* dryRun(program)]) {
            assert.isTrue(again.posted.isReplayed)
            assert.deepStrictEqual(again.hold, answers[index]!.hold)
            assert.deepStrictEqual(
              { ...again.posted, isReplayed: false },
              { ...answers[index]!.posted, isReplayed: false },
            )
          }
        }
        assert.deepStrictEqual(
          answers.map(({ hold }) => hold.state),
          ["open", "open", "open", "captured", "released"],
        )
        assert.deepStrictEqual(yield* stored(acctId), has("85", "0"))
        const reused: typeof programs = [
          placeHold({ acctId, amount: amount("31"), description: "hotel", ...placing }),
          placeHold({ acctId, amount: amount("30"), description: "hotel", expiry: { ttl: 60 }, ...placing }),
          increaseHold(holdId, { amount: amount("5"), expiry: { ttl: 60 }, ...growing }),
          captureHold(holdId, { amount: amount("7"), to: shop, ...taking }),
          captureHold(holdId, { amount: amount("7"), isFinal: false, ...taking }),
          captureHold(holdId, { to: shop, ...ending }),
          releaseHold(holdId, giving),
          captureHold(other, giving),
          releaseHold(other, placing),
        ]
        for (const program of reused) yield* assertRefused(program, "IdempotencyKeyReused")
      }),
    )

    it.effect("a dry run says what would be, and writes nothing", () =>
      Effect.gen(function* () {
        const [acctId, shop] = [yield* open("100"), yield* open("0")]
        const holdId = yield* place(acctId, "30")
        const before = yield* selectAllChanges
        const placed = yield* dryRun(placeHold({ acctId, amount: amount("70"), idempotencyKey: key() }))
        assert.deepInclude(placed.hold, { state: "open", remaining: money("70") })
        assert.deepInclude(placed.posted.changes[0], { acctSeq: 2, held: money("100") })
        yield* assertRefused(dryRun(placeHold({ acctId, amount: amount("70.01") })), "InsufficientFunds")
        const taken = yield* dryRun(captureHold(holdId, { amount: amount("10"), to: shop }))
        assert.deepInclude(taken.hold, { state: "captured", captured: money("10"), released: money("20") })
        assert.strictEqual(taken.posted.changes.length, 3)
        yield* assertRefused(dryRun(captureHold(holdId, { amount: amount("31") })), "CaptureExceedsHold")
        assert.strictEqual((yield* dryRun(releaseHold(holdId))).hold.state, "released")
        assert.strictEqual((yield* dryRun(increaseHold(holdId, { amount: amount("70") }))).hold.amount, money("100"))
        assert.deepStrictEqual(yield* selectAllChanges, before)
        assert.strictEqual((yield* fetchHold(holdId)).state, "open")
      }),
    )

    it.effect("of 32 captures at once the hold is enough for ten", () =>
      Effect.gen(function* () {
        const [acctId, shop] = [yield* open("100"), yield* open("0")]
        const holdId = yield* place(acctId, "50")
        const tags = yield* Effect.all(
          times(32, (i) => {
            const take = captureHold(holdId, {
              amount: amount("5"),
              isFinal: false,
              to: shop,
              idempotencyKey: key(),
            }).pipe(
              Effect.map(({ hold }) => `captured ${hold.captured / 100_000_000n}`),
              Effect.catch(({ _tag }) => Effect.succeed(_tag)),
            )
            return i % 2 === 0 ? take : asAnotherProcess(take)
          }),
          together,
        )
        // Each is told of the hold as it left it.
        assert.deepStrictEqual(
          tags.toSorted(),
          [...times(10, (i) => `captured ${5 * (i + 1)}`), ...times(22, () => "HoldAlreadyCaptured")].toSorted(),
        )
        assert.deepStrictEqual(yield* stored(acctId), has("50", "0"))
        assert.deepStrictEqual(yield* stored(shop), has("50", "0"))
      }),
    )

    it.effect("a write is told of its hold as it left it, whatever else the account did in between", () =>
      Effect.gen(function* () {
        const acctId = yield* open("100")
        const holdId = yield* place(acctId, "50")
        yield* storeBalanceChange(acctId, amount("1"))
        const { hold } = yield* captureHold(holdId, { amount: amount("10"), isFinal: false })
        assert.deepStrictEqual(yield* fetchHold(holdId), hold)
        yield* storeBalanceChange(acctId, amount("1"))
        const grown = yield* increaseHold(holdId, { amount: amount("5") })
        assert.deepInclude(grown.hold, { amount: money("55"), captured: money("10"), remaining: money("45") })
        assert.deepStrictEqual(yield* fetchHold(holdId), grown.hold)
      }),
    )

    it.effect("in a transaction of the caller's they roll back with it", () =>
      Effect.gen(function* () {
        const { transaction } = yield* DbConn
        const [acctId, shop] = [yield* open("100"), yield* open("0")]
        const kept = yield* place(acctId, "10", 60)
        const gone = yield* place(acctId, "5")
        const before = yield* selectAllChanges
        const error = yield* Effect.flip(
          transaction(
            Effect.gen(function* () {
              const { hold } = yield* placeHold({ acctId, amount: amount("20") })
              yield* increaseHold(hold.holdId, { amount: amount("5") })
              yield* captureHold(hold.holdId, { amount: amount("7"), isFinal: false, to: shop })
              yield* releaseHold(gone)
              assert.deepStrictEqual(yield* stored(acctId), has("93", "28"))
              // A refusal leaves the transaction as it was.
              yield* assertRefused(captureHold(gone), "HoldAlreadyReleased")
              yield* Wristwatch.forward(61)
              yield* storeBalanceChange(acctId, amount("-75"))
              assert.deepInclude(yield* fetchHold(kept), { state: "expired", remaining: money("0") })
              return yield* Effect.fail("back" as const)
            }),
          ),
        )
        assert.strictEqual(error, "back")
        assert.deepStrictEqual(yield* selectAllChanges, before)
        const { hold } = yield* transaction(
          Effect.gen(function* () {
            const { hold } = yield* placeHold({ acctId, amount: amount("20") })
            return yield* captureHold(hold.holdId, { amount: amount("7"), isFinal: false })
          }),
        )
        assert.deepStrictEqual(yield* fetchHold(hold.holdId), hold)
      }),
    )

    it.effect("leave a ledger behind that holds together", () => Effect.asVoid(verifyLedger))
  })
}

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("the sweeper", (it) => {
  it.effect("sweeps again and again as long as its layer lives, also when the database was away", () =>
    Effect.gen(function* () {
      const { appUrl } = yield* TestDatabase.TestDatabase
      const proxy = yield* makeProxy(appUrl)
      const beside = Effect.provide(DbConn.layerUrl({ url: appUrl, connectionsMax: 2 }))
      yield* Layer.build(
        HoldSweeper.layer.pipe(
          Layer.provide(DbConn.layerUrl({ url: proxy.url, connectionsMax: 2 })),
          Layer.provide(Wristwatch.layerFast),
        ),
      )
      /** Money that was set aside for a second just before, on an account that was opened then. */
      const expired = Effect.flatMap(Wristwatch.now, (now) =>
        Effect.gen(function* () {
          const acctId = yield* open("100")
          return (yield* placeHold({ acctId, amount: amount("10"), expiry: { ttl: 1 } })).hold
        }).pipe(Wristwatch.at(now - 2_000_000n), beside),
      )
      const first = yield* expired
      yield* TestDatabase.until(isSwept(first.holdId)).pipe(beside)
      yield* proxy.goAway
      const second = yield* expired
      yield* proxy.comeBack
      yield* TestDatabase.until(isSwept(second.holdId)).pipe(beside)
      for (const { acctId } of [first, second]) {
        const [newest] = yield* fetchAccountHistory(acctId).pipe(beside)
        assert.deepInclude(newest, { chgFlavor: "RELEASE", actor: HoldSweeper.sweeper, held: money("0"), acctSeq: 2 })
      }
    }).pipe(Effect.scoped),
  )
})
