/** What an account may do, and whose it is; and that nobody posts on an account as it was before. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountStatus } from "@banquo/domain/AccountStatus"
import { Actor } from "@banquo/domain/Actor"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { fetchAccountInfo, fetchAccountInfoAt, fetchAccounts } from "../src/programs/Accounts.ts"
import { CurrentActor } from "../src/write/CurrentActor.ts"
import { DbConn } from "../src/database/DbConn.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import { captureHold, increaseHold, placeHold, releaseHold } from "../src/programs/Holds.ts"
import { reverseTransaction } from "../src/programs/Reversals.ts"
import { changeTerms } from "../src/programs/Terms.ts"
import { postTransaction, storeBalanceChange } from "../src/programs/Transactions.ts"
import { dryRun } from "../src/write/DryRun.ts"
import { amount, assertRefused, key, money, open, selectAllChanges, verifyLedger } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { asAnotherProcess, times, together, writers } from "./Writers.ts"
import * as Wristwatch from "./Wristwatch.ts"

const stateOf = (acctId: AccountId) => Effect.map(fetchAccountInfo(acctId), ({ state }) => state)

const customerOf = ({ account }: Effect.Success<ReturnType<typeof fetchAccountInfo>>) => [
  account.custName,
  account.custAddress,
]

const countCorrections = Effect.gen(function* () {
  const { sql } = yield* DbConn
  const [row] = yield* sql<{ count: bigint }>`SELECT count(*) AS count FROM account WHERE acct_seq > 0`
  return row!.count
}).pipe(Effect.orDie)

for (const { how, writer } of writers) {
  const Written = writer.pipe(Layer.provideMerge(TestDatabase.layer), Layer.provideMerge(Wristwatch.layer))
  layer(Written, { excludeTestServices: true })(`terms, changed ${how}`, (it) => {
    const frozen: ReadonlyArray<readonly [AccountStatus, { readonly debits: boolean; readonly credits: boolean }]> = [
      ["open", { debits: true, credits: true }],
      ["debits_frozen", { debits: false, credits: true }],
      ["credits_frozen", { debits: true, credits: false }],
      ["frozen", { debits: false, credits: false }],
    ]
    for (const [status, may] of frozen) {
      it.effect(`an account that is ${status} may do what that means, until it is open again`, () =>
        Effect.gen(function* () {
          const [acctId, shop] = [yield* open("100"), yield* open("0")]
          const holdIds = yield* Effect.all(
            times(4, () => Effect.map(placeHold({ acctId, amount: amount("10") }), ({ hold }) => hold.holdId)),
          )
          const inHold = (yield* placeHold({ acctId: shop, amount: amount("1"), require: [] }).pipe(Effect.flip))._tag
          assert.strictEqual(inHold, "InsufficientFunds")
          const posted = yield* changeTerms(acctId, { status, reason: "a court order" })
          assert.deepInclude(posted.changes[0], {
            chgFlavor: "TERMS",
            acctStatus: status,
            description: "a court order",
          })
          const isAllowed = (is: boolean, program: Effect.Effect<unknown, { readonly _tag: string }, DbConn>) =>
            is ? Effect.asVoid(program) : assertRefused(program, "AccountFrozen", { accountId: acctId, status })
          yield* isAllowed(may.debits, storeBalanceChange(acctId, amount("-1")))
          yield* isAllowed(may.credits, storeBalanceChange(acctId, amount("1")))
          yield* isAllowed(may.debits, placeHold({ acctId, amount: amount("1") }))
          yield* isAllowed(may.debits, increaseHold(holdIds[0]!, { amount: amount("1") }))
          yield* isAllowed(may.debits, captureHold(holdIds[0]!))
          // Giving back what is held needs nobody's leave.
          yield* releaseHold(holdIds[1]!)
          yield* changeTerms(acctId, { status: "open" })
          yield* storeBalanceChange(acctId, amount("-1"))
          yield* captureHold(holdIds[2]!)
        }),
      )
    }

    it.effect("keeps who changed them, why, and with what", () =>
      Effect.gen(function* () {
        const acctId = yield* open("1")
        const { changes, transactionId } = yield* changeTerms(acctId, {
          status: "frozen",
          reason: "fraud?",
          metadata: { case: "17" },
        }).pipe(Effect.provideService(CurrentActor, Actor.make("eve")))
        assert.deepInclude(changes[0], {
          bchgId: transactionId,
          acctSeq: 1,
          actor: Actor.make("eve"),
          description: "fraud?",
          metadata: { case: "17" },
          requestHash: null,
          chgAmt: money("0"),
          balance: money("1"),
        })
      }),
    )

    it.effect("closes an account that is empty, for good", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const { hold } = yield* placeHold({ acctId, amount: amount("4"), expiry: { ttl: 60 } })
        const close = changeTerms(acctId, { status: "closed" })
        yield* assertRefused(close, "AccountNotEmpty", { balance: "10.00", held: "4.00" })
        yield* Wristwatch.forward(61)
        yield* assertRefused(close, "AccountNotEmpty", { balance: "10.00", held: "0.00" })
        yield* storeBalanceChange(acctId, amount("-6"))
        const last = yield* storeBalanceChange(acctId, amount("-4"))
        yield* close
        const state = yield* stateOf(acctId)
        assert.deepInclude(state, { acctStatus: "closed", balance: money("0"), held: money("0"), openHolds: [] })
        const refused = [
          storeBalanceChange(acctId, amount("1")),
          placeHold({ acctId, amount: amount("1") }),
          changeTerms(acctId, { status: "open" }),
          changeTerms(acctId, { customerName: "Eve" }),
          changeTerms(acctId, { overdraftLimit: null }),
          reverseTransaction(last.xactId),
          reverseTransaction(last.xactId, { isForced: true }),
        ]
        for (const program of refused) {
          yield* assertRefused(program as Effect.Effect<unknown, { readonly _tag: string }, DbConn>, "AccountClosed")
        }
        yield* assertRefused(captureHold(hold.holdId), "HoldExpired")
      }),
    )

    it.effect("closes an account that only expired holds are left of, whose rows go before", () =>
      Effect.gen(function* () {
        const acctId = yield* open("0", { overdraftLimit: amount("50") })
        yield* placeHold({ acctId, amount: amount("4"), expiry: { ttl: 60 } })
        yield* placeHold({ acctId, amount: amount("5"), expiry: { ttl: 60 } })
        yield* assertRefused(changeTerms(acctId, { status: "closed" }), "AccountNotEmpty", { held: "9.00" })
        yield* Wristwatch.forward(61)
        const { changes } = yield* changeTerms(acctId, { status: "closed" })
        assert.deepInclude(changes[0], { acctSeq: 5, acctStatus: "closed" })
      }),
    )

    it.effect("changes the overdraft limit, never below what is used of it", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        yield* assertRefused(storeBalanceChange(acctId, amount("-30")), "InsufficientFunds")
        yield* changeTerms(acctId, { overdraftLimit: amount("25.5") })
        yield* storeBalanceChange(acctId, amount("-30"))
        yield* placeHold({ acctId, amount: amount("5"), expiry: { ttl: 60 } })
        yield* assertRefused(changeTerms(acctId, { overdraftLimit: amount("24.99") }), "OverdraftInUse", {
          used: "25.00",
        })
        yield* assertRefused(changeTerms(acctId, { overdraftLimit: amount("25.001") }), "ScaleExceeded")
        yield* changeTerms(acctId, { overdraftLimit: amount("25") })
        yield* Wristwatch.forward(61)
        yield* assertRefused(changeTerms(acctId, { overdraftLimit: amount("19.99") }), "OverdraftInUse", {
          used: "20.00",
        })
        yield* changeTerms(acctId, { overdraftLimit: amount("20") })
        assert.deepInclude(yield* stateOf(acctId), { overdraftLimit: money("20"), held: money("0") })
        yield* changeTerms(acctId, { overdraftLimit: null })
        yield* storeBalanceChange(acctId, amount("-1000000"))
        yield* assertRefused(changeTerms(acctId, { overdraftLimit: amount("1000000") }), "OverdraftInUse")
      }),
    )

    it.effect("corrects whose the account is, and keeps what was said before", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10", { customerName: "Ann", customerAddress: "1 High Street" })
        yield* changeTerms(acctId, { customerName: "Anna", reason: "misspelt" })
        yield* storeBalanceChange(acctId, amount("1"))
        yield* changeTerms(acctId, { customerAddress: "2 High Street", status: "debits_frozen" })
        yield* changeTerms(acctId, { customerName: "Anne", customerAddress: "" })
        assert.deepStrictEqual(customerOf(yield* fetchAccountInfo(acctId)), ["Anne", ""])
        const expected = [
          ["Ann", "1 High Street"],
          ["Anna", "1 High Street"],
          ["Anna", "1 High Street"],
          ["Anna", "2 High Street"],
          ["Anne", ""],
        ]
        for (const [seq, customer] of expected.entries()) {
          const info = yield* fetchAccountInfoAt(acctId, seq)
          assert.deepStrictEqual(customerOf(info), customer)
          assert.strictEqual(info.state.acctSeq, seq)
        }
        assert.strictEqual((yield* Effect.flip(fetchAccountInfoAt(acctId, 5)))._tag, "AccountNotFound")
        const { accounts } = yield* fetchAccounts({ limit: 200 })
        const listed = accounts.find(({ account }) => account.acctId === acctId)!
        assert.deepStrictEqual(listed, yield* fetchAccountInfo(acctId))
        // Where the customer was named, the row is held to what was said.
        const changes = (yield* selectAllChanges).filter((change) => change.acctId === acctId)
        assert.deepStrictEqual(
          changes.map(({ detailsHash }) => detailsHash !== null),
          [true, true, false, true, true],
        )
      }),
    )

    it.effect("refused or run dry, corrects nothing", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const before = [yield* selectAllChanges, yield* countCorrections]
        yield* assertRefused(changeTerms(acctId, { customerName: "Eve", expectedSeq: 3 }), "VersionConflict")
        yield* assertRefused(changeTerms(acctId, { customerName: "Eve", status: "closed" }), "AccountNotEmpty")
        const { changes } = yield* dryRun(changeTerms(acctId, { customerName: "Eve", status: "frozen" }))
        assert.deepInclude(changes[0], { acctSeq: 1, acctStatus: "frozen" })
        yield* assertRefused(dryRun(changeTerms(acctId, { status: "closed" })), "AccountNotEmpty")
        assert.deepStrictEqual([yield* selectAllChanges, yield* countCorrections], before)
      }),
    )

    it.effect("with a key are changed once, however often they are asked for", () =>
      Effect.gen(function* () {
        const acctId = yield* open("10")
        const options = { customerName: "Anna", status: "frozen", idempotencyKey: key() } as const
        const answers = yield* Effect.all(
          times(12, (i) => {
            const change = changeTerms(acctId, options)
            return i % 2 === 0 ? change : asAnotherProcess(change)
          }),
          together,
        )
        assert.strictEqual(answers.filter(({ isReplayed }) => !isReplayed).length, 1)
        for (const { changes } of answers) assert.deepStrictEqual(changes, answers[0]!.changes)
        yield* changeTerms(acctId, { status: "open" })
        assert.isTrue((yield* changeTerms(acctId, options)).isReplayed)
        assert.strictEqual((yield* stateOf(acctId)).acctStatus, "open")
        for (const other of [{ status: "open" }, { customerName: "Eve" }, { overdraftLimit: null }] as const) {
          yield* assertRefused(changeTerms(acctId, { ...options, ...other }), "IdempotencyKeyReused")
        }
      }),
    )

    it.effect("of many corrections at once by several processes, each is kept with its row", () =>
      Effect.gen(function* () {
        const accounts = yield* Effect.all(times(4, () => open("10")))
        const before = yield* countCorrections
        yield* Effect.all(
          times(32, (i) => {
            const change = changeTerms(accounts[i % 4]!, { customerName: `Ann ${i}` })
            return i % 3 === 0 ? change : asAnotherProcess(change)
          }),
          together,
        )
        assert.strictEqual((yield* countCorrections) - before, 32n)
        for (const acctId of accounts) assert.strictEqual((yield* stateOf(acctId)).acctSeq, 8)
        const names = yield* Effect.all(times(8, (seq) => fetchAccountInfoAt(accounts[0]!, seq + 1)))
        assert.strictEqual(new Set(names.map(({ account }) => account.custName)).size, 8)
      }),
    )

    it.effect("in a transaction of the caller's they roll back with it", () =>
      Effect.gen(function* () {
        const { transaction } = yield* DbConn
        const acctId = yield* open("10")
        const before = [yield* selectAllChanges, yield* countCorrections]
        yield* Effect.flip(
          transaction(
            Effect.gen(function* () {
              yield* changeTerms(acctId, { status: "frozen", customerName: "Eve" })
              assert.deepStrictEqual(customerOf(yield* fetchAccountInfo(acctId)), ["Eve", ""])
              yield* assertRefused(storeBalanceChange(acctId, amount("1")), "AccountFrozen")
              return yield* Effect.fail("back" as const)
            }),
          ),
        )
        assert.deepStrictEqual([yield* selectAllChanges, yield* countCorrections], before)
        yield* storeBalanceChange(acctId, amount("1"))
      }),
    )

    it.effect("leave a ledger behind that holds together", () => Effect.asVoid(verifyLedger))
  })
}

/** A group commit on a `DbConn` of its own: what another instance is made of. */
const instance = Effect.gen(function* () {
  const { appUrl } = yield* TestDatabase.TestDatabase
  const Instance = GroupCommit.layer().pipe(Layer.provideMerge(DbConn.layerUrl({ url: appUrl, connectionsMax: 4 })))
  return yield* Layer.build(Layer.fresh(Instance))
})

layer(TestDatabase.layer, { excludeTestServices: true })("two instances", (it) => {
  it.effect("one that remembers an account as it was cannot post on it once the other has frozen it", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* instance, yield* instance]
      for (let round = 0; round < 10; round++) {
        const [acctId, shop] = [yield* open("100"), yield* open("0")]
        // From here on it has the head in its cache.
        yield* storeBalanceChange(acctId, amount("-1")).pipe(Effect.provide(one))
        const { hold } = yield* placeHold({ acctId, amount: amount("5") }).pipe(Effect.provide(one))
        yield* changeTerms(acctId, { status: "frozen" }).pipe(Effect.provide(other))
        const programs = [
          storeBalanceChange(acctId, amount("-1")),
          captureHold(hold.holdId, { to: shop }),
          placeHold({ acctId, amount: amount("1") }),
          postTransaction({
            changes: [
              { acctId, amount: amount("-1") },
              { acctId: shop, amount: amount("1") },
            ],
          }),
        ]
        for (const program of programs) {
          const asked = program as Effect.Effect<unknown, { readonly _tag: string }, DbConn>
          yield* assertRefused(asked.pipe(Effect.provide(one)), "AccountFrozen")
        }
        yield* changeTerms(acctId, { status: "open" }).pipe(Effect.provide(other))
        yield* captureHold(hold.holdId, { to: shop }).pipe(Effect.provide(one))
      }
      yield* verifyLedger
    }).pipe(Effect.scoped),
  )

  it.effect("while one freezes, what the other posts comes before it or is refused", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* instance, yield* instance]
      const acctId = yield* open("1000")
      const posts = Effect.all(
        times(40, (i) =>
          storeBalanceChange(acctId, amount("-1")).pipe(
            Effect.map(({ acctSeq }) => acctSeq),
            Effect.catchTag("AccountFrozen", () => Effect.succeed(Number.POSITIVE_INFINITY)),
            Effect.provide(i % 4 === 0 ? other : one),
          ),
        ),
        together,
      )
      const [seqs, frozen] = yield* Effect.all(
        [posts, changeTerms(acctId, { status: "debits_frozen" }).pipe(Effect.provide(other))] as const,
        together,
      )
      const at = frozen.changes[0]!.acctSeq
      for (const seq of seqs) assert.isTrue(seq < at || seq === Number.POSITIVE_INFINITY)
      const { state } = yield* fetchAccountInfo(acctId)
      assert.strictEqual(state.acctSeq, at)
      yield* verifyLedger
    }).pipe(Effect.scoped),
  )
})
