import { AccountId } from "@banquo/domain/AccountId"
import { Actor } from "@banquo/domain/Actor"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { genesisHash, seal, type SealedChange } from "@banquo/domain/ChangeHash"
import { Currency } from "@banquo/domain/Currency"
import * as Idempotency from "@banquo/domain/Idempotency"
import { type Change, changesMax } from "@banquo/domain/Intent"
import type { Metadata } from "@banquo/domain/Metadata"
import * as Money from "@banquo/domain/Money"
import { accountsPageMax, changesPageMax } from "@banquo/domain/Page"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, describe, layer } from "@effect/vitest"
import { Cause, Effect, type Exit } from "effect"
import { TestClock } from "effect/testing"
import { fetchAccountInfo, fetchAccounts, makeAccount, type MakeAccount } from "../src/programs/Accounts.ts"
import * as BalanceChangeTable from "../src/tables/BalanceChangeTable.ts"
import {
  insertAccount,
  insertBalanceChange,
  insertInitialBalance,
  selectAccountDetails,
  selectLastBalanceChange,
  selectRecentBalanceChanges,
} from "../src/programs/Prototype.ts"
import { CurrentActor } from "../src/write/CurrentActor.ts"
import { DbConn } from "../src/database/DbConn.ts"
import { type ChangesQuery, fetchAccountHistory, fetchChangesPage, historyMax } from "../src/history/History.ts"
import { tailAfter } from "../src/write/Posted.ts"
import { fetchTransaction, postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import {
  amount,
  anonymous,
  assertRefused,
  countRows,
  EUR,
  JPY,
  key,
  money,
  nextId,
  open,
  selectAllChanges,
  setStatus,
  USD,
  verifyLedger,
} from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"

const make = (more: Partial<MakeAccount>) => makeAccount({ customerName: "Ann", currency: USD, ...more })

const post = (...changes: ReadonlyArray<readonly [AccountId, string, Partial<Change>?]>) =>
  postTransaction({ changes: changes.map(([acctId, text, more]) => ({ acctId, amount: amount(text), ...more })) })

const statusOf = (acctId: AccountId) => Effect.map(fetchAccountInfo(acctId), ({ state }) => state.acctStatus)

const nobody = AccountId.make("ffffffff-ffff-4fff-bfff-ffffffffffff")
const as = (name: string) => Effect.provideService(CurrentActor, Actor.make(name))

const hashWith = (ledgerId: string, acctId: AccountId, change: BalanceChange) =>
  seal(change, genesisHash(ledgerId, acctId)).chgHash.toHex()

const defectOf = (exit: Exit.Exit<unknown, unknown>) =>
  exit._tag === "Failure" ? exit.cause.reasons.find(Cause.isDieReason)?.defect : undefined

/** Text of all kinds that storage, the driver or JSON might change. */
const unicode =
  'Zoë 💸 山田 \u202Eعربى\u202C e\u0301 "quoted" \'single\' back\\slash\n\ttab \u0001 {"a":[1]} $1 %s \u{10FFFF}'

/** Moves `each` from the first account to every other one. */
const spread = ([from, ...to]: ReadonlyArray<AccountId>, each: number): ReadonlyArray<Change> => [
  ...to.map((acctId) => ({ acctId, amount: amount(`${each}.00`) })),
  { acctId: from!, amount: amount(`-${each * to.length}.00`) },
]

layer(TestDatabase.layer, { excludeTestServices: true })("programs", (it) => {
  describe("makeAccount", () => {
    it.effect("opens an account with its first row", () =>
      Effect.gen(function* () {
        const metadata = { plan: "gold" }
        const { account, posted } = yield* makeAccount({
          customerName: "Ann",
          customerAddress: "1 High Street",
          currency: USD,
          initialBalance: amount("10.5"),
          overdraftLimit: amount("20"),
          metadata,
        })
        assert.deepInclude(account, { custName: "Ann", custAddress: "1 High Street", reference: null, metadata })
        assert.isFalse(posted.isReplayed)
        assert.strictEqual(posted.changes.length, 1)
        const change = posted.changes[0]!
        assert.deepInclude(change, {
          bchgId: posted.transactionId,
          acctId: account.acctId,
          acctSeq: 0,
          chgFlavor: "INITIAL",
          prevBchgId: null,
          chgAmt: money("10.5"),
          balance: money("10.5"),
          heldAmt: Money.zero,
          held: Money.zero,
          overdraftLimit: money("20"),
          acctStatus: "open",
          xactId: posted.transactionId,
          holdId: null,
          reversesXactId: null,
          reference: null,
          description: null,
          idemKey: null,
          actor: anonymous,
          owner: null,
          currency: USD,
          scale: 2,
          chgCreateTime: account.acctCreateTime,
          effectiveTime: account.acctCreateTime,
        })
        assert.deepStrictEqual(yield* fetchAccountInfo(account.acctId), {
          account,
          state: { ...tailAfter(change), openHolds: [] },
        })
        assert.deepStrictEqual((yield* fetchTransaction(posted.transactionId)).changes, posted.changes)
      }),
    )

    it.effect("opens one with nothing said but a name and a currency", () =>
      Effect.gen(function* () {
        const { account, posted } = yield* makeAccount({ customerName: "Bob", currency: JPY })
        assert.deepInclude(account, { custAddress: "", metadata: null })
        assert.deepInclude(posted.changes[0]!, {
          currency: JPY,
          scale: 0,
          balance: Money.zero,
          overdraftLimit: Money.zero,
        })
      }),
    )

    it.effect("opens one in debt, within its limit or without any", () =>
      Effect.gen(function* () {
        const limited = yield* open("-20", { overdraftLimit: amount("20") })
        assert.deepInclude((yield* fetchAccountInfo(limited)).state, {
          balance: money("-20"),
          overdraftLimit: money("20"),
        })
        const unlimited = yield* open("-99999999999999.99", { overdraftLimit: null })
        assert.deepInclude((yield* fetchAccountInfo(unlimited)).state, { overdraftLimit: null })
      }),
    )

    it.effect("refuses what its currency or its limit does not allow", () =>
      Effect.gen(function* () {
        yield* assertRefused(make({ initialBalance: amount("1.234") }), "ScaleExceeded", {
          amount: "1.234",
          currency: USD,
        })
        yield* assertRefused(make({ currency: JPY, initialBalance: amount("1.0") }), "ScaleExceeded")
        yield* assertRefused(make({ overdraftLimit: amount("0.001") }), "ScaleExceeded")
        yield* assertRefused(make({ initialBalance: amount("-0.01") }), "InsufficientFunds", { currency: USD })
        yield* assertRefused(
          make({ initialBalance: amount("-5.01"), overdraftLimit: amount("5") }),
          "InsufficientFunds",
          { available: "5.00" },
        )
      }),
    )

    it.effect("answers the same id again with what was opened then, and refuses it for anything else", () =>
      Effect.gen(function* () {
        const acctId = AccountId.make(crypto.randomUUID())
        const options: MakeAccount = {
          acctId,
          customerName: "Ann",
          currency: USD,
          initialBalance: amount("10"),
          metadata: { b: "2", a: "1" },
        }
        const first = yield* makeAccount(options)
        assert.strictEqual(first.account.acctId, acctId)
        yield* storeBalanceChange(acctId, amount("-3"))
        const before = yield* countRows
        const again = yield* makeAccount({ ...options, initialBalance: amount("10.00"), metadata: { a: "1", b: "2" } })
        assert.deepStrictEqual(yield* countRows, before)
        assert.isTrue(again.posted.isReplayed)
        assert.deepStrictEqual(again.posted.changes, first.posted.changes)
        assert.deepStrictEqual(again.account, first.account)
        const others: ReadonlyArray<Partial<MakeAccount>> = [
          { customerName: "Eve" },
          { customerAddress: "2 High Street" },
          { currency: EUR },
          { initialBalance: amount("11") },
          { overdraftLimit: amount("1") },
          { overdraftLimit: null },
          { metadata: { a: "1" } },
        ]
        for (const other of others) yield* assertRefused(makeAccount({ ...options, ...other }), "IdempotencyKeyReused")
        // An id is everyone's, unlike a key.
        assert.isTrue((yield* makeAccount(options).pipe(as("bob"))).posted.isReplayed)
      }),
    )

    it.effect("answers the same key again with the same account", () =>
      Effect.gen(function* () {
        const options: MakeAccount = { customerName: "Ann", currency: USD, idempotencyKey: key() }
        const first = yield* makeAccount(options)
        const again = yield* makeAccount(options)
        assert.isTrue(again.posted.isReplayed)
        assert.deepStrictEqual({ ...again.posted, isReplayed: false }, first.posted)
        yield* assertRefused(makeAccount({ ...options, customerName: "Eve" }), "IdempotencyKeyReused")
        yield* assertRefused(
          makeAccount({ ...options, acctId: AccountId.make(crypto.randomUUID()) }),
          "IdempotencyKeyReused",
        )
        yield* assertRefused(
          postTransaction({
            changes: [{ acctId: first.account.acctId, amount: amount("1") }],
            idempotencyKey: options.idempotencyKey,
          }),
          "IdempotencyKeyReused",
        )
        const others = yield* makeAccount(options).pipe(as("bob"))
        assert.isFalse(others.posted.isReplayed)
        assert.notStrictEqual(others.account.acctId, first.account.acctId)
      }),
    )
  })

  describe("fetchAccountInfo", () => {
    it.effect("refuses an account that is not there, or has no first row yet", () =>
      Effect.gen(function* () {
        yield* assertRefused(fetchAccountInfo(nobody), "AccountNotFound", { accountId: nobody })
        const empty = yield* insertAccount("Ann", "")
        yield* assertRefused(fetchAccountInfo(empty), "AccountNotFound")
        yield* insertInitialBalance(empty, Money.zero, USD)
        assert.strictEqual((yield* fetchAccountInfo(empty)).state.acctSeq, 0)
      }),
    )
  })

  describe("storeBalanceChange", () => {
    it.effect("takes money in and out and says what it left", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const { state } = yield* fetchAccountInfo(acctId)
        const tea = yield* storeBalanceChange(acctId, amount("-2.50"), "tea")
        assert.deepInclude(tea, {
          acctId,
          acctSeq: 1,
          chgFlavor: "FLOW",
          prevBchgId: state.bchgId,
          chgAmt: money("-2.5"),
          balance: money("7.5"),
          held: Money.zero,
          overdraftLimit: Money.zero,
          xactId: tea.bchgId,
          description: "tea",
          idemKey: null,
          requestHash: null,
          actor: anonymous,
          currency: USD,
        })
        const pay = yield* storeBalanceChange(acctId, amount("100")).pipe(as("employer"))
        assert.deepInclude(pay, {
          acctSeq: 2,
          prevBchgId: tea.bchgId,
          balance: money("107.5"),
          reference: null,
          description: null,
          actor: Actor.make("employer"),
        })
        assert.deepStrictEqual((yield* fetchAccountInfo(acctId)).state, { ...tailAfter(pay), openHolds: [] })
        assert.deepStrictEqual((yield* fetchAccountHistory(acctId)).slice(0, 2), [pay, tea])
      }),
    )

    it.effect("spends an account down to its limit, and no further", () =>
      Effect.gen(function* () {
        const acctId = yield* open("1", { overdraftLimit: amount("2") })
        yield* storeBalanceChange(acctId, amount("-3"))
        yield* assertRefused(storeBalanceChange(acctId, amount("-0.01")), "InsufficientFunds", {
          accountId: acctId,
          available: "0.00",
          currency: USD,
        })
      }),
    )
  })

  describe("postTransaction", () => {
    for (const legs of [2, 5, changesMax]) {
      it.effect(`moves money between ${legs} accounts by one transaction`, () =>
        Effect.gen(function* () {
          const accounts = yield* Effect.all(
            Array.from({ length: legs }, (_, i) => open(i === 0 ? "1000" : "0")),
            { concurrency: 4 },
          )
          const before = yield* countRows
          const changes = spread(accounts, 7)
          const posted = yield* postTransaction({
            changes,
            description: "wages",
            metadata: { run: "2026-11" },
            idempotencyKey: key(`wages-${legs}`),
          })
          assert.strictEqual((yield* countRows).changes, before.changes + BigInt(legs))
          assert.deepStrictEqual(
            posted.changes.map(({ acctId, chgAmt }) => [acctId, chgAmt]),
            changes.map((change) => [change.acctId, Money.fromAmount(change.amount)]),
          )
          assert.isTrue(
            posted.changes.every(
              (change) =>
                change.xactId === posted.transactionId &&
                change.description === "wages" &&
                change.metadata?.["run"] === "2026-11" &&
                change.chgCreateTime === posted.changes[0]!.chgCreateTime,
            ),
          )
          assert.strictEqual(posted.transactionId, posted.changes[0]!.bchgId)
          assert.deepStrictEqual(
            posted.changes.map(({ idemKey }) => idemKey),
            [
              Idempotency.idemKey(anonymous, key(`wages-${legs}`)),
              ...Array.from({ length: legs - 1 }, (): Uint8Array | null => null),
            ],
          )
          const fetched = yield* fetchTransaction(posted.transactionId)
          assert.deepStrictEqual(fetched, { ...posted, isReplayed: true })
          assert.strictEqual((yield* fetchAccountInfo(accounts[0]!)).state.balance, money(`${1000 - 7 * (legs - 1)}`))
        }),
      )
    }

    it.effect("moves money in two currencies, each of which sums to zero", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* open("10"), yield* open("0")]
        const [c, d] = [yield* open("10", { currency: EUR }), yield* open("0", { currency: EUR })]
        const { changes } = yield* postTransaction({
          changes: [
            { acctId: a, amount: amount("-1"), currency: USD, expectedSeq: 0 },
            { acctId: c, amount: amount("-2"), currency: EUR },
            { acctId: d, amount: amount("2") },
            { acctId: b, amount: amount("1") },
          ],
        })
        assert.deepStrictEqual(
          changes.map(({ currency }) => currency),
          [USD, EUR, EUR, USD],
        )
      }),
    )

    it.effect("keeps text and metadata to the letter", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10", { customerName: unicode.slice(0, 40), customerAddress: unicode })
        // As a parser makes it: a literal would set the prototype.
        const metadata: Metadata = JSON.parse(
          JSON.stringify({
            [unicode]: unicode,
            "": "empty",
            z: "",
            10: "ten",
            9: "nine",
            "\uFFFD": "x",
            "\u{1F4B8}": "y",
          })
            .slice(0, -1)
            .concat(`,"__proto__":"p"}`),
        )
        const posted = yield* postTransaction({
          changes: [{ acctId, amount: amount("1") }],
          description: unicode,
          metadata,
          idempotencyKey: key(),
        })
        const [stored] = (yield* fetchTransaction(posted.transactionId)).changes
        assert.strictEqual(stored?.description, unicode)
        assert.deepStrictEqual(Object.entries(stored?.metadata ?? {}).sort(), Object.entries(metadata).sort())
        assert.deepStrictEqual(stored?.chgHash, posted.changes[0]?.chgHash)
        const { account } = yield* fetchAccountInfo(acctId)
        assert.strictEqual(account.custAddress, unicode)
        const longest = yield* storeBalanceChange(acctId, amount("1"), "💸".repeat(500))
        assert.deepStrictEqual(yield* selectLastBalanceChange(acctId), longest)
      }),
    )

    it.effect("refuses what the accounts do not allow, and writes nothing then", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* open("10"), yield* open("0")]
        const euros = yield* open("10", { currency: EUR })
        const yen = yield* open("10", { currency: JPY })
        const rich = yield* open("99999999999999999999.99")

        yield* assertRefused(post([nobody, "1"]), "AccountNotFound", { accountId: nobody })
        yield* assertRefused(post([a, "-1"], [nobody, "1"]), "AccountNotFound", { accountId: nobody })
        yield* assertRefused(post([a, "-1"], [b, "0.5"], [a, "0.5"]), "SameAccount", { accountId: a })
        yield* assertRefused(post([a, "-1"], [b, "0.99"]), "Unbalanced", { currency: USD, sum: "-0.01" })
        yield* assertRefused(post([a, "-1"], [euros, "1"]), "CurrencyMismatch")
        yield* assertRefused(post([a, "1", { currency: EUR }]), "CurrencyMismatch", { accountId: a, currency: USD })
        yield* assertRefused(post([a, "0.001"]), "ScaleExceeded", { amount: "0.001", currency: USD })
        yield* assertRefused(post([yen, "1.5"]), "ScaleExceeded", { currency: JPY })
        yield* assertRefused(post([a, "1", { expectedSeq: 3 }]), "VersionConflict", {
          accountId: a,
          expectedSeq: 3,
          currentSeq: 0,
        })
        yield* assertRefused(post([rich, "0.01"]), "AmountOutOfRange", { accountId: rich })
        yield* assertRefused(post([a, "-10.01"]), "InsufficientFunds", { accountId: a, available: "10.00" })
        yield* assertRefused(post([a, "0.01"], [b, "-0.01"]), "InsufficientFunds", { accountId: b })
      }),
    )

    it.effect("refuses what the status of an account does not allow", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const [credit, debit] = [storeBalanceChange(acctId, amount("1")), storeBalanceChange(acctId, amount("-1"))]
        yield* setStatus(acctId, "debits_frozen")
        yield* credit
        yield* assertRefused(debit, "AccountFrozen", { accountId: acctId, status: "debits_frozen" })
        yield* setStatus(acctId, "credits_frozen")
        yield* debit
        yield* assertRefused(credit, "AccountFrozen", { status: "credits_frozen" })
        yield* setStatus(acctId, "frozen")
        yield* assertRefused(credit, "AccountFrozen", { status: "frozen" })
        yield* assertRefused(debit, "AccountFrozen", { status: "frozen" })
        yield* setStatus(acctId, "open")
        yield* storeBalanceChange(acctId, amount("-10"))
        assert.strictEqual(yield* statusOf(acctId), "open")
        yield* setStatus(acctId, "closed")
        yield* assertRefused(credit, "AccountClosed", { accountId: acctId })
        yield* assertRefused(debit, "AccountClosed")
        assert.strictEqual(yield* statusOf(acctId), "closed")
      }),
    )

    it.effect("takes no transaction without changes, nor one of too many, for a request", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        for (const length of [0, changesMax + 1]) {
          const changes = Array.from({ length }, () => ({ acctId, amount: amount("1") }))
          assert.instanceOf(defectOf(yield* Effect.exit(postTransaction({ changes }))), RangeError)
        }
      }),
    )
  })

  describe("idempotency", () => {
    it.effect("the same request again changes nothing and is answered alike, whatever became of the account", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* open("10"), yield* open("0")]
        const idempotencyKey = key()
        const request = (text: string, metadata: Metadata) =>
          postTransaction({
            changes: [
              { acctId: a, amount: amount(`-${text}`) },
              { acctId: b, amount: amount(text) },
            ],
            description: "rent",
            metadata,
            idempotencyKey,
          })
        const first = yield* request("10", { z: "1", a: "2" })
        const before = yield* countRows
        const again = yield* request("10.00", { a: "2", z: "1" })
        assert.deepStrictEqual({ ...again, isReplayed: false }, first)
        assert.isTrue(again.isReplayed)
        yield* setStatus(a, "closed")
        assert.deepStrictEqual(yield* request("10", { a: "2", z: "1" }), again)
        assert.strictEqual((yield* countRows).changes, before.changes + 1n)
      }),
    )

    it.effect("a key names one request of one principal", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* open("10"), yield* open("10")]
        const idempotencyKey = key()
        const changes = [{ acctId: a, amount: amount("-1") }]
        const post = (more: Partial<Parameters<typeof postTransaction>[0]>) =>
          postTransaction({ changes, idempotencyKey, ...more })
        const first = yield* post({})
        yield* assertRefused(post({ changes: [{ acctId: a, amount: amount("-2") }] }), "IdempotencyKeyReused")
        yield* assertRefused(post({ changes: [{ acctId: b, amount: amount("-1") }] }), "IdempotencyKeyReused")
        yield* assertRefused(post({ changes: [{ ...changes[0]!, expectedSeq: 1 }] }), "IdempotencyKeyReused")
        yield* assertRefused(post({ changes: [{ ...changes[0]!, currency: EUR }] }), "IdempotencyKeyReused")
        assert.isTrue((yield* post({ changes: [{ ...changes[0]!, currency: USD }] })).isReplayed)
        yield* assertRefused(post({ description: "" }), "IdempotencyKeyReused")
        yield* assertRefused(post({ description: "rent" }), "IdempotencyKeyReused")
        yield* assertRefused(post({ metadata: { invoice: "7" } }), "IdempotencyKeyReused")
        yield* assertRefused(post({ reference: "order 7" }), "IdempotencyKeyReused")
        assert.isTrue((yield* post({ metadata: {} })).isReplayed)
        // Also where the other request would be refused for itself: the key comes first.
        yield* assertRefused(post({ changes: [{ acctId: nobody, amount: amount("1") }] }), "IdempotencyKeyReused")
        yield* assertRefused(post({ changes: [{ acctId: a, amount: amount("-99") }] }), "IdempotencyKeyReused")

        const others = yield* post({}).pipe(as("bob"))
        assert.isFalse(others.isReplayed)
        assert.notStrictEqual(others.transactionId, first.transactionId)
        assert.strictEqual((yield* post({})).transactionId, first.transactionId)
        assert.strictEqual((yield* post({}).pipe(as("bob"))).transactionId, others.transactionId)
        assert.strictEqual((yield* fetchAccountInfo(a)).state.balance, money("8"))
      }),
    )

    it.effect("a key whose texts were erased still names its request", () =>
      Effect.gen(function* () {
        const [worded, wordless] = [key(), key()]
        const changes = [{ acctId: yield* open("10"), amount: amount("-1") }]
        const post = (idempotencyKey: typeof worded, description?: string) =>
          postTransaction({ changes, idempotencyKey, description })
        const { transactionId } = yield* post(worded, "rent")
        yield* post(wordless)
        yield* assertRefused(post(worded, "Rent"), "IdempotencyKeyReused")
        const { superuserUrl } = yield* TestDatabase.TestDatabase
        const sql = yield* TestDatabase.connect(superuserUrl)
        yield* sql`UPDATE balance_change SET description = NULL, texts_salt = NULL WHERE xact_id = ${transactionId}`
        // Which words there were, nobody can say any more.
        for (const words of ["rent", "Rent"]) {
          assert.deepInclude(yield* post(worded, words), { isReplayed: true, transactionId })
        }
        yield* assertRefused(post(worded), "IdempotencyKeyReused")
        yield* assertRefused(post(wordless, "rent"), "IdempotencyKeyReused")
      }),
    )

    it.effect("a refusal uses no key up", () =>
      Effect.gen(function* () {
        const acctId = yield* open("1")
        const post = postTransaction({ changes: [{ acctId, amount: amount("-5") }], idempotencyKey: key() })
        yield* assertRefused(post, "InsufficientFunds")
        yield* storeBalanceChange(acctId, amount("4"))
        assert.isFalse((yield* post).isReplayed)
        assert.isTrue((yield* post).isReplayed)
      }),
    )
  })

  describe("fetchTransaction", () => {
    it.effect("refuses an id that names none, such as that of a later leg", () =>
      Effect.gen(function* () {
        const posted = yield* postTransaction({ changes: spread([yield* open("10"), yield* open("0")], 1) })
        const leg = posted.changes[1]!.bchgId
        yield* assertRefused(fetchTransaction(leg), "TransactionNotFound", { transactionId: leg })
        yield* assertRefused(fetchTransaction(BalanceChangeId.make(2n ** 63n - 1n)), "TransactionNotFound")
      }),
    )
  })

  describe("time", () => {
    it.effect("ascends by a microsecond at least, also when the clock stands still or goes back", () =>
      Effect.gen(function* () {
        const start = Date.parse("2026-11-23T09:30:00.123Z")
        yield* TestClock.setTime(start)
        const acctId = yield* open("10")
        const other = yield* open("10")
        const times = [yield* storeBalanceChange(acctId, amount("1")), yield* storeBalanceChange(acctId, amount("1"))]
        yield* TestClock.setTime(start - 60_000)
        times.push(yield* storeBalanceChange(acctId, amount("1")))
        const { changes } = yield* postTransaction({ changes: spread([acctId, other], 1) })
        yield* TestClock.setTime(start + 1)
        times.push(yield* storeBalanceChange(acctId, amount("1")))
        const first = Timestamp.fromMillis(start)
        assert.deepStrictEqual(
          times.map(({ chgCreateTime }) => chgCreateTime - first),
          [1n, 2n, 3n, 1000n],
        )
        // All legs have one time, later than the last of each account.
        assert.deepStrictEqual(
          changes.map(({ chgCreateTime }) => chgCreateTime - first),
          [4n, 4n],
        )
        const { sql } = yield* DbConn
        const stored = yield* sql<{ text: string }>`SELECT (chg_create_time AT TIME ZONE 'UTC')::TEXT AS text
          FROM balance_change WHERE acct_id = ${acctId}::UUID ORDER BY acct_seq`
        assert.deepStrictEqual(
          stored.map(({ text }) => text.slice(11)),
          ["09:30:00.123", "09:30:00.123001", "09:30:00.123002", "09:30:00.123003", "09:30:00.123004", "09:30:00.124"],
        )
      }).pipe(Effect.provide(TestClock.layer())),
    )

    it.effect("is read alike in a session of another time zone", () =>
      Effect.gen(function* () {
        const { sql, transaction } = yield* DbConn
        const acctId = yield* open("10")
        const here = yield* fetchAccountInfo(acctId)
        const there = yield* transaction(
          Effect.andThen(sql`SET LOCAL timezone = 'Asia/Kathmandu'`, fetchAccountInfo(acctId)),
        )
        assert.deepStrictEqual(there, here)
      }),
    )
  })

  describe("single links", () => {
    it.effect("make an account, and what they write is a chain like any other", () =>
      Effect.gen(function* () {
        const { transaction } = yield* DbConn
        const { acctId, first } = yield* transaction(
          Effect.gen(function* () {
            const id = yield* insertAccount("Ann", "1 High Street")
            return { acctId: id, first: yield* insertInitialBalance(id, money("10"), USD) }
          }),
        )
        const second = yield* insertBalanceChange(acctId, first, money("-4.5"), money("5.5"), "lunch")
        const third = yield* insertBalanceChange(acctId, second, money("1"), money("6.5")).pipe(as("bob"))
        assert.deepInclude(yield* selectAccountDetails(acctId), {
          acctId,
          custName: "Ann",
          custAddress: "1 High Street",
          metadata: null,
        })
        const recent = yield* selectRecentBalanceChanges(acctId)
        assert.deepStrictEqual(
          recent.map(({ actor, bchgId, description }) => [bchgId, description, actor]),
          [
            [third, null, "bob"],
            [second, "lunch", "anonymous"],
            [first, null, "anonymous"],
          ],
        )
        assert.deepStrictEqual(yield* selectLastBalanceChange(acctId), recent[0])
        yield* storeBalanceChange(acctId, amount("1"))
      }),
    )

    it.effect("refuse a first row that cannot be", () =>
      Effect.gen(function* () {
        yield* assertRefused(insertInitialBalance(nobody, money("1"), USD), "AccountNotFound", { accountId: nobody })
        const acctId = yield* insertAccount("Ann", "")
        yield* assertRefused(insertInitialBalance(acctId, Money.make(Money.max + 1n), USD), "AmountOutOfRange")
        yield* assertRefused(insertInitialBalance(acctId, money("0.001"), USD), "ScaleExceeded")
        yield* assertRefused(insertInitialBalance(acctId, money("-1"), USD), "InsufficientFunds")
        yield* insertInitialBalance(acctId, money("1"), USD)
        yield* assertRefused(insertInitialBalance(acctId, money("1"), USD), "AccountAlreadyExists", {
          accountId: acctId,
        })
        yield* insertInitialBalance(yield* insertAccount("Ann", ""), money("0.001"), Currency.make("BHD"))
        yield* insertInitialBalance(yield* insertAccount("Ann", ""), money("7"), JPY)
      }),
    )

    it.effect("refuse a change that cannot follow", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const other = yield* open("10")
        const first = (yield* fetchAccountInfo(acctId)).state.bchgId
        const add = (prev: BalanceChangeId, change: string, balance: string) =>
          insertBalanceChange(acctId, prev, money(change), money(balance))
        yield* assertRefused(add(BalanceChangeId.make(2n ** 62n), "1", "11"), "PrevChangeNotFound")
        const others = (yield* fetchAccountInfo(other)).state.bchgId
        yield* assertRefused(add(others, "1", "11"), "PrevChangeNotFound", { accountId: acctId, prevChgId: others })
        yield* assertRefused(add(first, "1", "12"), "BalanceMismatch", {
          given: "12.00000000",
          computed: "11.00000000",
        })
        yield* assertRefused(add(first, "0.001", "10.001"), "ScaleExceeded")
        yield* assertRefused(add(first, "-11", "-1"), "InsufficientFunds", { available: "10.00" })
        yield* assertRefused(add(first, "99999999999999999999.9900", "0"), "AmountOutOfRange")
        yield* assertRefused(
          insertBalanceChange(acctId, first, Money.make(-Money.max - 1n), money("0")),
          "AmountOutOfRange",
        )
        yield* add(first, "1", "11")
        yield* assertRefused(add(first, "1", "11"), "PrevChangeTaken", { accountId: acctId, prevChgId: first })
        const last = (yield* fetchAccountInfo(acctId)).state.bchgId
        yield* add(last, "-11", "0")
        yield* setStatus(acctId, "closed")
        const closing = (yield* fetchAccountInfo(acctId)).state.bchgId
        yield* assertRefused(add(closing, "1", "1"), "AccountClosed")
      }),
    )

    it.effect("a change of nothing is a bug of the caller's, and dies without telling of the row", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const { bchgId } = yield* selectLastBalanceChange(acctId)
        const exit = yield* Effect.exit(insertBalanceChange(acctId, bchgId, Money.zero, money("10"), "secret"))
        assert.strictEqual(
          String(defectOf(exit)),
          "StatementRefused: the database refused a statement: 23514 (balance_change_flavor_check)",
        )
      }),
    )

    it.effect("a lost race inside a transaction leaves it usable", () =>
      Effect.gen(function* () {
        const { transaction } = yield* DbConn
        const acctId = yield* open("10")
        const { bchgId } = yield* selectLastBalanceChange(acctId)
        yield* storeBalanceChange(acctId, amount("1"))
        const stored = yield* transaction(
          insertBalanceChange(acctId, bchgId, money("5"), money("15")).pipe(
            Effect.catchTag("PrevChangeTaken", () =>
              Effect.flatMap(selectLastBalanceChange(acctId), (last) =>
                insertBalanceChange(acctId, last.bchgId, money("5"), Money.sum(last.balance, money("5"))),
              ),
            ),
          ),
        )
        assert.strictEqual((yield* selectLastBalanceChange(acctId)).bchgId, stored)
        assert.strictEqual((yield* fetchAccountInfo(acctId)).state.balance, money("16"))
      }),
    )

    it.effect("refuse to read an account that is not there", () =>
      Effect.gen(function* () {
        yield* assertRefused(selectAccountDetails(nobody), "AccountNotFound", { accountId: nobody })
        yield* assertRefused(selectLastBalanceChange(nobody), "AccountNotFound")
        yield* assertRefused(selectRecentBalanceChanges(nobody), "AccountNotFound")
        const empty = yield* insertAccount("Ann", "")
        yield* assertRefused(selectLastBalanceChange(empty), "AccountNotFound")
        assert.deepStrictEqual(yield* selectRecentBalanceChanges(empty), [])
        yield* assertRefused(storeBalanceChange(empty, amount("1")), "AccountNotFound")
        yield* insertInitialBalance(empty, Money.zero, USD)
      }),
    )
  })

  it.effect("all that was written holds together", () =>
    Effect.gen(function* () {
      const chains = yield* verifyLedger
      assert.isAbove(chains.size, 100)
      // The proof itself: another ledger, account or row does not have these hashes.
      const { ledgerId } = yield* DbConn
      const acctId = yield* open("10")
      const first: BalanceChange = (yield* selectLastBalanceChange(acctId))!
      const stored = first.chgHash.toHex()
      const id = yield* ledgerId
      assert.strictEqual(hashWith(id, acctId, first), stored)
      assert.notStrictEqual(hashWith(crypto.randomUUID(), acctId, first), stored)
      assert.notStrictEqual(hashWith(id, nobody, first), stored)
      assert.notStrictEqual(hashWith(id, acctId, { ...first, currency: EUR }), stored)
      assert.notStrictEqual(hashWith(id, acctId, { ...first, balance: Money.make(first.balance + 1n) }), stored)
      assert.notStrictEqual(hashWith(id, acctId, { ...first, actor: Actor.make("eve") }), stored)
    }),
  )
})

/** Appends many rows by one statement. */
const grow = (acctId: AccountId, count: number) =>
  Effect.gen(function* () {
    const { sql } = yield* DbConn
    const { state } = yield* fetchAccountInfo(acctId)
    const template = yield* selectLastBalanceChange(acctId)
    const rows: Array<SealedChange> = []
    let prev: Pick<BalanceChange, "bchgId" | "acctSeq" | "balance" | "chgHash" | "chgCreateTime"> = state
    for (let i = 0; i < count; i++) {
      const id = yield* nextId
      const row = seal(
        {
          ...template,
          bchgId: id,
          acctSeq: prev.acctSeq + 1,
          chgFlavor: "FLOW",
          prevBchgId: prev.bchgId,
          chgAmt: money("1"),
          balance: Money.sum(prev.balance, money("1")),
          xactId: id,
          requestHash: null,
          textsSalt: null,
          detailsHash: null,
          chgCreateTime: Timestamp.make(prev.chgCreateTime + 1n),
        },
        prev.chgHash,
      )
      rows.push(row)
      prev = row
    }
    yield* BalanceChangeTable.insert(sql, rows)
  })

layer(TestDatabase.layer, { excludeTestServices: true })("history", (it) => {
  it.effect("is given in pages, both ways and from both ends", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      yield* grow(acctId, 6)
      const page = (query: ChangesQuery) =>
        Effect.map(fetchChangesPage(acctId, query), ({ changes, hasEarlier, hasLater }) => [
          changes.map(({ acctSeq }) => acctSeq).join(" "),
          hasEarlier,
          hasLater,
        ])
      const cases: ReadonlyArray<readonly [ChangesQuery, readonly [string, boolean, boolean]]> = [
        [{ order: "asc", limit: 3 }, ["0 1 2", false, true]],
        [{ order: "asc", limit: 3, after: 2 }, ["3 4 5", true, true]],
        [{ order: "asc", limit: 3, after: 5 }, ["6", true, false]],
        [{ order: "asc", limit: 7 }, ["0 1 2 3 4 5 6", false, false]],
        [{ order: "asc", limit: 6 }, ["0 1 2 3 4 5", false, true]],
        [{ order: "asc", limit: 3, after: 3 }, ["4 5 6", true, false]],
        [{ order: "asc", limit: 3, before: 4 }, ["1 2 3", true, true]],
        [{ order: "asc", limit: 3, before: 3 }, ["0 1 2", false, true]],
        [{ order: "desc", limit: 3 }, ["6 5 4", true, false]],
        [{ order: "desc", limit: 3, before: 4 }, ["3 2 1", true, true]],
        [{ order: "desc", limit: 3, before: 1 }, ["0", false, true]],
        [{ order: "desc", limit: 7 }, ["6 5 4 3 2 1 0", false, false]],
        [{ order: "desc", limit: 3, after: 3 }, ["6 5 4", true, false]],
        [{ order: "desc", limit: 3, after: 0 }, ["3 2 1", true, true]],
        // Nothing there: neither before nor after it.
        [{ order: "asc", limit: 3, after: 6 }, ["", false, false]],
        [{ order: "desc", limit: 3, before: 0 }, ["", false, false]],
        [{ order: "asc", limit: 3, after: 999_999_999_999_999 }, ["", false, false]],
        // Bounds beyond the ends, and both at once.
        [{ order: "desc", limit: 3, before: 100 }, ["6 5 4", true, false]],
        [{ order: "asc", limit: 10, after: 1, before: 5 }, ["2 3 4", true, true]],
        [{ order: "desc", limit: 2, after: 1, before: 5 }, ["3 2", true, true]],
      ]
      for (const [query, expected] of cases) {
        assert.deepStrictEqual(yield* page(query), [...expected], JSON.stringify(query))
      }
    }),
  )

  it.effect("pages put together are the whole, either way", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      yield* grow(acctId, 11)
      for (const order of ["asc", "desc"] as const) {
        for (const limit of [1, 4, 5, 12]) {
          const seqs: Array<number> = []
          let bound: Pick<ChangesQuery, "after" | "before"> = {}
          for (;;) {
            const { changes, hasEarlier, hasLater } = yield* fetchChangesPage(acctId, { order, limit, ...bound })
            seqs.push(...changes.map(({ acctSeq }) => acctSeq))
            if (order === "asc" ? !hasLater : !hasEarlier) break
            const last = changes.at(-1)!.acctSeq
            bound = order === "asc" ? { after: last } : { before: last }
          }
          const whole = Array.from({ length: 12 }, (_, seq) => seq)
          assert.deepStrictEqual(seqs, order === "asc" ? whole : whole.toReversed())
        }
      }
    }),
  )

  it.effect("is limited", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      yield* grow(acctId, changesPageMax + 4)
      const { changes, hasEarlier } = yield* fetchChangesPage(acctId, { order: "desc", limit: 1_000_000 })
      assert.strictEqual(changes.length, changesPageMax)
      assert.isTrue(hasEarlier)
      const newest = yield* fetchAccountHistory(acctId)
      assert.deepStrictEqual(newest, changes.slice(0, historyMax))
      assert.strictEqual(newest[0]!.acctSeq, changesPageMax + 4)
      yield* verifyLedger
    }),
  )

  it.effect("refuses an account that is not there", () =>
    Effect.gen(function* () {
      yield* assertRefused(fetchChangesPage(nobody, { order: "asc", limit: 1 }), "AccountNotFound", {
        accountId: nobody,
      })
      yield* assertRefused(fetchAccountHistory(nobody), "AccountNotFound")
    }),
  )
})

const idsOf = (page: Effect.Success<ReturnType<typeof fetchAccounts>>) =>
  page.accounts.map(({ account }) => account.acctId)

const accountsPage = (limit: number, after?: AccountId) =>
  Effect.map(fetchAccounts({ limit, after }), (found) => [idsOf(found), found.hasMore])

layer(TestDatabase.layer, { excludeTestServices: true })("the list of accounts", (it) => {
  it.effect("is empty at first, and then given in pages in the order of the ids", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* fetchAccounts({ limit: 10 }), { accounts: [], hasMore: false })
      const ids: Array<AccountId> = []
      for (let i = 0; i < 6; i++) ids.push(yield* open(`${i}`))
      ids.sort()
      assert.deepStrictEqual(yield* accountsPage(4), [ids.slice(0, 4), true])
      assert.deepStrictEqual(yield* accountsPage(4, ids[3]), [ids.slice(4), false])
      assert.deepStrictEqual(yield* accountsPage(3, ids[2]), [ids.slice(3), false])
      assert.deepStrictEqual(yield* accountsPage(6), [ids, false])
      assert.deepStrictEqual(yield* accountsPage(5), [ids.slice(0, 5), true])
      assert.deepStrictEqual(yield* accountsPage(5, ids[5]), [[], false])
      assert.deepStrictEqual(yield* accountsPage(1, AccountId.make("00000000-0000-0000-0000-000000000001")), [
        [ids[0]],
        true,
      ])
      for (const info of (yield* fetchAccounts({ limit: 10 })).accounts) {
        assert.deepStrictEqual(info, yield* fetchAccountInfo(info.account.acctId))
      }
    }),
  )

  it.effect("leaves out an account without a first row, and does not end at it", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 6; i++) yield* insertAccount("Nobody", "")
      const seen: Array<AccountId> = []
      let after: AccountId | undefined
      for (;;) {
        const page = yield* fetchAccounts({ limit: 2, after })
        seen.push(...idsOf(page))
        if (!page.hasMore) break
        after = seen.at(-1)
      }
      const opened = new Set((yield* selectAllChanges).map(({ acctId }) => acctId))
      assert.deepStrictEqual(seen, [...opened].sort())
    }),
  )

  it.effect("is limited", () =>
    Effect.gen(function* () {
      yield* Effect.all(
        Array.from({ length: accountsPageMax }, () => open("0")),
        { concurrency: 10, discard: true },
      )
      const page = yield* fetchAccounts({ limit: 1_000_000 })
      assert.strictEqual(page.accounts.length, accountsPageMax)
      assert.isTrue(page.hasMore)
    }),
  )
})
