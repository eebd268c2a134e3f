/**
 * Lives of accounts at random, written by several instances on one database: one request after the other, held against a
 * model that knows nothing of rows, and many at once, held against what was acknowledged.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountStatus } from "@banquo/domain/AccountStatus"
import type { BalanceChangeId, TransactionId } from "@banquo/domain/BalanceChangeId"
import { idemKey } from "@banquo/domain/Idempotency"
import type { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, layer } from "@effect/vitest"
import { type Context, Effect, Layer } from "effect"
import { fetchAccountInfo } from "../src/programs/Accounts.ts"
import { DbConn } from "../src/database/DbConn.ts"
import * as GroupCommit from "../src/write/GroupCommit.ts"
import { captureHold, increaseHold, placeHold, releaseHold } from "../src/programs/Holds.ts"
import * as HoldSweeper from "../src/programs/HoldSweeper.ts"
import type { Posted } from "../src/write/Posted.ts"
import { reverseTransaction } from "../src/programs/Reversals.ts"
import { changeTerms } from "../src/programs/Terms.ts"
import { postTransaction } from "../src/programs/Transactions.ts"
import { dryRun } from "../src/write/DryRun.ts"
import { amount, anonymous, key, money, open, verifyLedger } from "@banquo/testing/Ledger"
import { randomOf } from "@banquo/testing/Past"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { times } from "./Writers.ts"
import * as Wristwatch from "./Wristwatch.ts"

/** Seconds and cents are whole numbers here. */
interface Hold {
  readonly acct: Acct
  id: BalanceChangeId | undefined
  left: number
  /** Half a second after it. */
  readonly expires: number
  end: "HoldAlreadyCaptured" | "HoldAlreadyReleased" | undefined
}

interface Acct {
  readonly id: AccountId
  balance: number
  limit: number
  status: AccountStatus
  readonly holds: Array<Hold>
}

interface Moved {
  id: TransactionId | undefined
  readonly legs: ReadonlyArray<{ readonly acct: Acct; readonly cents: number; back: number }>
}

/** A request, what the model says of it, and what it does to the model once it was carried out. */
interface Ask {
  readonly program: (idempotencyKey: IdempotencyKey) => Effect.Effect<Posted, { readonly _tag: string }, DbConn>
  readonly judge: (now: number) => string
  readonly apply: (posted: Posted) => void
}

const text = (cents: number) => amount(`${cents < 0 ? "-" : ""}${(Math.abs(cents) / 100).toFixed(2)}`)

const heldBy = ({ holds }: Acct, now: number) =>
  holds.reduce((sum, { expires, left }) => (expires >= now ? sum + left : sum), 0)

/** What an account would say to a change of its balance and of what it holds. */
const status = ({ status }: Acct, cents: number, held = 0) => {
  if (status === "closed") return "AccountClosed"
  const isDebit = cents < 0 || held > 0
  if (isDebit && (status === "frozen" || status === "debits_frozen")) return "AccountFrozen"
  return cents > 0 && (status === "frozen" || status === "credits_frozen") ? "AccountFrozen" : undefined
}

const funds = (acct: Acct, cents: number, held: number, now: number) =>
  acct.balance + cents - heldBy(acct, now) - held + acct.limit < 0 ? "InsufficientFunds" : undefined

const goneOf = ({ end, expires }: Hold, now: number) => end ?? (expires < now ? "HoldExpired" : undefined)

const isZero = (cents: number) => cents === 0

class World {
  readonly accts: ReadonlyArray<Acct>
  readonly holds: Array<Hold> = []
  readonly moved: Array<Moved> = []
  readonly #random: () => number

  constructor(ids: ReadonlyArray<AccountId>, cents: number, random: () => number) {
    this.accts = ids.map((id) => ({ id, balance: cents, limit: 0, status: "open", holds: [] }))
    this.#random = random
  }

  upTo(count: number): number {
    return Math.floor(this.#random() * count)
  }

  /** One of the newest, so that holds and transactions are met that others are about to change. */
  #recent<A>(all: ReadonlyArray<A>): A | undefined {
    return all.at(-1 - this.upTo(Math.min(all.length, 25)))
  }

  next(now: number): Ask {
    const kind = this.#random()
    const acct = this.accts[this.upTo(this.accts.length)]!
    const other = this.accts[this.upTo(this.accts.length)]!
    const hold = this.#recent(this.holds.filter(({ id }) => id !== undefined))
    const moved = this.#recent(this.moved.filter(({ id }) => id !== undefined))
    const cents = 1 + this.upTo(4_000)
    if (kind < 0.1) return this.#post([{ acct, cents: this.#random() < 0.7 ? 2 * cents : -cents }])
    if (kind < 0.3) {
      return this.#post([
        { acct, cents: -cents },
        { acct: other, cents },
      ])
    }
    if (kind < 0.5 || hold === undefined) return this.#place(acct, cents, now + 1 + this.upTo(250))
    if (kind < 0.56) return this.#increase(hold, cents)
    if (kind < 0.72) return this.#capture(hold, this.#random() < 0.4 ? null : cents)
    if (kind < 0.78) return this.#release(hold)
    if (kind < 0.88 && moved !== undefined) return this.#reverse(moved)
    return this.#random() < 0.5 ? this.#status(acct) : this.#limit(acct, this.#random() < 0.5 ? 0 : cents)
  }

  #post(legs: ReadonlyArray<{ readonly acct: Acct; readonly cents: number }>): Ask {
    return {
      program: (idempotencyKey) =>
        postTransaction({
          changes: legs.map(({ acct, cents }) => ({ acctId: acct.id, amount: text(cents) })),
          idempotencyKey,
        }),
      judge: (now) =>
        (legs[0]!.acct === legs[1]?.acct ? "SameAccount" : undefined) ??
        legs.map(({ acct, cents }) => status(acct, cents)).find(Boolean) ??
        legs.map(({ acct, cents }) => funds(acct, cents, 0, now)).find(Boolean) ??
        "done",
      apply: ({ transactionId }) => {
        for (const { acct, cents } of legs) acct.balance += cents
        this.moved.push({ id: transactionId, legs: legs.map((leg) => ({ ...leg, back: 0 })) })
      },
    }
  }

  #place(acct: Acct, cents: number, expires: number): Ask {
    const expiry = { at: Timestamp.make(BigInt(expires) * 1_000_000n + 500_000n) }
    return {
      program: (idempotencyKey) =>
        placeHold({ acctId: acct.id, amount: text(cents), expiry, idempotencyKey }).pipe(
          Effect.map(({ posted }) => posted),
        ),
      judge: (now) => status(acct, 0, cents) ?? funds(acct, 0, cents, now) ?? "done",
      apply: ({ transactionId }) => {
        const hold = { acct, id: transactionId, left: cents, expires, end: undefined }
        acct.holds.push(hold)
        this.holds.push(hold)
      },
    }
  }

  #increase(hold: Hold, cents: number): Ask {
    const { acct } = hold
    return {
      program: (idempotencyKey) =>
        Effect.map(increaseHold(hold.id!, { amount: text(cents), idempotencyKey }), ({ posted }) => posted),
      judge: (now) => goneOf(hold, now) ?? status(acct, 0, cents) ?? funds(acct, 0, cents, now) ?? "done",
      apply: () => {
        hold.left += cents
      },
    }
  }

  #capture(hold: Hold, asked: number | null): Ask {
    const { acct } = hold
    const isFinal = this.#random() < 0.5
    const to = this.#random() < 0.6 ? this.accts[this.upTo(this.accts.length)]! : undefined
    const part = asked === null ? undefined : 1 + (asked % 2_500)
    return {
      program: (idempotencyKey) =>
        captureHold(hold.id!, {
          amount: part === undefined ? undefined : text(part),
          isFinal,
          to: to?.id,
          idempotencyKey,
        }).pipe(Effect.map(({ posted }) => posted)),
      judge: (now) => {
        const cents = part ?? hold.left
        return (
          (to === acct ? "SameAccount" : undefined) ??
          goneOf(hold, now) ??
          status(acct, -cents) ??
          (to === undefined ? undefined : status(to, cents)) ??
          (cents > hold.left ? "CaptureExceedsHold" : undefined) ??
          "done"
        )
      },
      apply: ({ transactionId }) => {
        const cents = part ?? hold.left
        acct.balance -= cents
        if (to !== undefined) to.balance += cents
        hold.left = isFinal ? 0 : hold.left - cents
        if (hold.left === 0) hold.end = "HoldAlreadyCaptured"
        const legs = [{ acct, cents: -cents, back: 0 }, ...(to === undefined ? [] : [{ acct: to, cents, back: 0 }])]
        this.moved.push({ id: transactionId, legs })
      },
    }
  }

  #release(hold: Hold): Ask {
    return {
      program: (idempotencyKey) => Effect.map(releaseHold(hold.id!, { idempotencyKey }), ({ posted }) => posted),
      judge: (now) => goneOf(hold, now) ?? "done",
      apply: () => {
        hold.left = 0
        hold.end = "HoldAlreadyReleased"
      },
    }
  }

  #reverse(moved: Moved): Ask {
    const { legs } = moved
    const part = this.#random() < 0.5 ? 1 + this.upTo(1_500) : undefined
    const wanted = () =>
      legs.flatMap((leg) => {
        const cents = part === undefined ? -leg.cents - leg.back : -Math.sign(leg.cents) * part
        return cents === 0 ? [] : [{ leg, cents }]
      })
    return {
      program: (idempotencyKey) =>
        reverseTransaction(moved.id!, {
          changes:
            part === undefined
              ? undefined
              : wanted().map(({ cents, leg }) => ({ acctId: leg.acct.id, amount: text(cents) })),
          idempotencyKey,
        }),
      judge: (now) =>
        (legs.map(({ back, cents }) => cents + back).every(isZero) ? "AlreadyReversed" : undefined) ??
        wanted()
          .map(({ cents, leg }) => status(leg.acct, cents))
          .find(Boolean) ??
        (wanted().some(({ cents, leg }) => Math.abs(leg.back + cents) > Math.abs(leg.cents))
          ? "ReversalExceedsTransaction"
          : undefined) ??
        wanted()
          .map(({ cents, leg }) => funds(leg.acct, cents, 0, now))
          .find(Boolean) ??
        "done",
      apply: () => {
        for (const { cents, leg } of wanted()) {
          leg.acct.balance += cents
          leg.back += cents
        }
      },
    }
  }

  #status(acct: Acct): Ask {
    const all = ["open", "open", "open", "open", "open", "debits_frozen", "credits_frozen", "frozen", "closed"] as const
    const wanted = all[this.upTo(all.length)]!
    const name = wanted === "open" ? { customerName: `Ann ${this.upTo(1_000)}` } : {}
    return {
      program: (idempotencyKey) => changeTerms(acct.id, { status: wanted, ...name, idempotencyKey }),
      judge: (now) =>
        (acct.status === "closed" ? "AccountClosed" : undefined) ??
        (wanted === "closed" && (acct.balance !== 0 || heldBy(acct, now) !== 0) ? "AccountNotEmpty" : "done"),
      apply: () => {
        acct.status = wanted
      },
    }
  }

  #limit(acct: Acct, cents: number): Ask {
    return {
      program: (idempotencyKey) => changeTerms(acct.id, { overdraftLimit: text(cents), idempotencyKey }),
      judge: (now) =>
        (acct.status === "closed" ? "AccountClosed" : undefined) ??
        (heldBy(acct, now) - acct.balance > cents ? "OverdraftInUse" : "done"),
      apply: () => {
        acct.limit = cents
      },
    }
  }
}

/** The present, in whole seconds. */
const seconds = Effect.map(Wristwatch.now, (now) => Math.floor(Number(now) / 1_000_000))

const outcomeOf = (posted: Effect.Effect<Posted, { readonly _tag: string }, DbConn>) =>
  posted.pipe(
    Effect.map((answer) => ({ tag: "done", answer }) as const),
    Effect.catch(({ _tag }) => Effect.succeed({ tag: _tag, answer: undefined })),
  )

/** Instances on one database: two that commit in groups, each with heads of its own, and one that writes alone. */
const instances = Effect.gen(function* () {
  const { appUrl } = yield* TestDatabase.TestDatabase
  const db = DbConn.layerUrl({ url: appUrl, connectionsMax: 6 })
  const grouped = GroupCommit.layer().pipe(Layer.provideMerge(db))
  const built = yield* Effect.all([grouped, grouped, db].map((one) => Layer.build(Layer.fresh(one))))
  return built as ReadonlyArray<Context.Context<DbConn>>
})

const Written = TestDatabase.layer.pipe(Layer.provideMerge(Wristwatch.layer))

layer(Written, { excludeTestServices: true })("lives of accounts", (it) => {
  it.effect("one request after the other, by any of three instances, are what a model says", () =>
    Effect.gen(function* () {
      const written = yield* instances
      const random = randomOf(4)
      const ids = yield* Effect.all(times(8, () => open("100")))
      const world = new World(ids, 10_000, random)
      const done = new Map<IdempotencyKey, { readonly ask: Ask; readonly answer: Posted }>()
      const tags = new Map<string, number>()
      for (let i = 0; i < 900; i++) {
        const instance = written[world.upTo(3)]!
        const keys = [...done.keys()]
        const again = random() < 0.1 ? done.get(keys[world.upTo(keys.length)]!) : undefined
        const idempotencyKey = again === undefined ? key() : keys.find((one) => done.get(one) === again)!
        const now = yield* seconds
        const ask = again?.ask ?? world.next(now)
        // A dry run of it says the same, and changes nothing.
        const isTried = random() < 0.1
        const program = ask.program(idempotencyKey)
        const expected = again === undefined ? ask.judge(now) : "done"
        if (isTried) {
          const tried = yield* outcomeOf(dryRun(program)).pipe(
            Wristwatch.at(BigInt(now) * 1_000_000n),
            Effect.provide(instance),
          )
          assert.strictEqual(tried.tag, expected, `dry run ${i}`)
        }
        const { answer, tag } = yield* outcomeOf(program).pipe(Effect.provide(instance))
        assert.strictEqual(tag, expected, `request ${i}`)
        tags.set(tag, (tags.get(tag) ?? 0) + 1)
        if (answer === undefined) continue
        assert.strictEqual(answer.isReplayed, again !== undefined)
        if (again !== undefined) {
          assert.deepStrictEqual(answer.changes, again.answer.changes)
          continue
        }
        ask.apply(answer)
        done.set(idempotencyKey, { ask, answer })
        yield* Wristwatch.forward(world.upTo(4))
        if (i % 50 === 0) yield* HoldSweeper.sweep(answer.changes[0]!.chgCreateTime)
      }
      for (const acct of world.accts) {
        const { state } = yield* fetchAccountInfo(acct.id)
        assert.deepInclude(state, {
          balance: money(text(acct.balance)),
          overdraftLimit: money(text(acct.limit)),
          acctStatus: acct.status,
        })
      }
      // Each kind of verdict was met, else this shows nothing.
      for (const tag of [
        "done",
        "SameAccount",
        "InsufficientFunds",
        "AccountFrozen",
        "HoldAlreadyCaptured",
        "HoldAlreadyReleased",
        "HoldExpired",
        "CaptureExceedsHold",
        "AlreadyReversed",
        "ReversalExceedsTransaction",
        "AccountNotEmpty",
        "OverdraftInUse",
      ]) {
        assert.isAbove(tags.get(tag) ?? 0, 0, tag)
      }
      yield* verifyLedger
    }).pipe(Effect.scoped, Wristwatch.stopped),
  )

  it.effect("thousands of requests at once, by three instances, are each carried out once or not at all", () =>
    Effect.gen(function* () {
      const written = yield* instances
      const random = randomOf(5)
      const ids = yield* Effect.all(times(12, () => open("100")))
      const world = new World(ids, 10_000, random)
      const asked: Array<{ readonly ask: Ask; readonly key: IdempotencyKey }> = []
      const answers = new Map<IdempotencyKey, Array<Posted>>()
      const tags = new Map<string, number>()
      const client = Effect.gen(function* () {
        for (let i = 0; i < 100; i++) {
          const old = random() < 0.15 ? asked.at(-1 - world.upTo(Math.min(asked.length, 60))) : undefined
          const one = old ?? { ask: world.next(yield* seconds), key: key() }
          if (old === undefined) asked.push(one)
          const { answer, tag } = yield* outcomeOf(one.ask.program(one.key)).pipe(
            Effect.provide(written[world.upTo(3)]!),
          )
          tags.set(tag, (tags.get(tag) ?? 0) + 1)
          if (answer === undefined) continue
          if (!answers.has(one.key)) {
            answers.set(one.key, [])
            // Only for what may be asked next: what it says of balances is not looked at here.
            one.ask.apply(answer)
          }
          answers.get(one.key)!.push(answer)
          if (i % 10 === 0) yield* Wristwatch.forward(1)
        }
      })
      const sweeper = Effect.forEach(
        times(10, (i) => i),
        (i) =>
          Effect.flatMap(Wristwatch.now, (now) =>
            HoldSweeper.sweep((now - 600_000_000n) as typeof now).pipe(Effect.provide(written[i % 3]!)),
          ),
      )
      yield* Effect.all([...times(30, () => client), sweeper], { concurrency: "unbounded", discard: true })

      const chains = yield* verifyLedger
      const rows = ids.flatMap((id) => chains.get(id)!)
      const stored = Map.groupBy(rows, ({ xactId }) => xactId)
      const byKey = Map.groupBy(
        rows.filter(({ idemKey }) => idemKey !== null),
        ({ idemKey }) => idemKey!.toHex(),
      )
      for (const [idempotencyKey, same] of answers) {
        assert.strictEqual(same.filter(({ isReplayed }) => !isReplayed).length, 1)
        for (const { changes, transactionId } of same) {
          assert.deepStrictEqual(
            changes.map(({ bchgId, acctSeq, balance, held }) => [bchgId, acctSeq, balance, held]),
            stored
              .get(transactionId)!
              .toSorted((a, b) => Number(a.bchgId - b.bchgId))
              .map(({ bchgId, acctSeq, balance, held }) => [bchgId, acctSeq, balance, held]),
          )
        }
        assert.strictEqual(byKey.get(idemKey(anonymous, idempotencyKey).toHex())!.length, 1)
      }
      // What was refused each time has no rows, and what has a key was acknowledged.
      assert.strictEqual(byKey.size, answers.size)
      // What has none let go of holds that had expired, or opened the accounts.
      for (const { bchgId, chgFlavor, idemKey: stored, xactId } of rows) {
        if (bchgId === xactId && stored === null) assert.include(["RELEASE", "INITIAL"], chgFlavor)
      }
      assert.isAbove(answers.size, 500)
      // (Contention: a clock that is set forward takes the time of those that wait.)
      const unwanted = ["DatabaseUnavailable", "OutcomeUnknown", "IdempotencyKeyReused"]
      for (const tag of unwanted) assert.isUndefined(tags.get(tag), tag)
    }).pipe(Effect.scoped),
  )
})
