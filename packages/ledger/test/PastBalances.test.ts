/** Balances and statements of the past, against the plain sums of all rows in memory. */
import { type Axis, axes, timeOn } from "@banquo/domain/Axis"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { AccountId } from "@banquo/domain/AccountId"
import type { Line } from "@banquo/domain/Statement"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { fetchBalanceAt } from "../src/history/BalanceAt.ts"
import { DbConn } from "../src/database/DbConn.ts"
import { fetchChanges } from "../src/history/History.ts"
import { movementsPageMax } from "../src/history/Movements.ts"
import { probesBetween, probesMax } from "../src/history/SequenceAt.ts"
import { fetchStatement, type StatementQuery } from "../src/history/Statement.ts"
import { storeBalanceChange } from "../src/programs/Transactions.ts"
import { amount, money, open, USD, selectAllChanges, verifyLedger } from "@banquo/testing/Ledger"
import { append, never, randomOf, randomRows } from "@banquo/testing/Past"
import * as TestDatabase from "@banquo/testing/TestDatabase"

const noOne = AccountId.make("00000000-0000-4000-8000-00000000dead")

const sumOf = (changes: ReadonlyArray<BalanceChange>) => changes.reduce((sum, { chgAmt }) => sum + chgAmt, 0n)

/** The balance at an instant, as it is known at row `end`. */
const balanceOf = (chain: ReadonlyArray<BalanceChange>, axis: Axis, at: bigint, end = chain.length - 1) =>
  sumOf(chain.slice(0, end + 1).filter((change) => timeOn(axis, change) <= at))

const failureOf = <E extends object>(program: Effect.Effect<unknown, E, DbConn>) =>
  Effect.map(Effect.flip(program), (error): object => error)

/** What a statement shows, in its order. */
const movementsOf = (chain: ReadonlyArray<BalanceChange>, { axis, from, seq, to }: StatementQuery) =>
  chain
    .slice(0, (seq ?? chain.length - 1) + 1)
    .filter((change) => change.chgAmt !== 0n && timeOn(axis, change) >= from && timeOn(axis, change) < to)
    .toSorted((a, b) =>
      timeOn(axis, a) === timeOn(axis, b) ? a.acctSeq - b.acctSeq : timeOn(axis, a) < timeOn(axis, b) ? -1 : 1,
    )

/** What a line and its row have in common. */
const lineOf = ({
  bchgId,
  chgAmt,
  chgCreateTime,
  chgFlavor,
  description,
  effectiveTime,
  xactId,
}: Line | BalanceChange) => [bchgId, xactId, chgAmt, chgFlavor, description, effectiveTime, chgCreateTime].join(" ")

/** Two accounts with a past that is longer than what one statement reads: rarely, and mostly, dated otherwise. */
class Chains extends Context.Service<Chains, ReadonlyArray<ReadonlyArray<BalanceChange>>>()(
  "@banquo/ledger/test/Chains",
) {
  static readonly layer = Layer.effect(
    Chains,
    Effect.gen(function* () {
      for (const [seed, datedOneIn] of [
        [1, 20],
        [2, 1.3],
      ] as const) {
        const acctId = yield* open("1000", { overdraftLimit: null })
        const start = Timestamp.make(
          Timestamp.fromMillis(Date.parse("2100-01-01T00:00:00Z")) + BigInt(seed) * 1_000_000n,
        )
        yield* append(acctId, randomRows(2 * movementsPageMax + 300, { seed, start, datedOneIn }))
      }
      return [...(yield* verifyLedger).values()]
    }),
  )
}

/** Times of rows, the microsecond before and after them, and times beyond the chain. */
const instantsOf = (chain: ReadonlyArray<BalanceChange>, count: number) => {
  const random = randomOf(7)
  const some = Array.from({ length: count }, () => chain[Math.floor(random() * chain.length)]!)
  const times = [chain[0]!, chain[1]!, chain.at(-1)!, ...some].flatMap(({ chgCreateTime, effectiveTime }) => [
    chgCreateTime,
    effectiveTime,
  ])
  return [
    ...times.flatMap((time) => [time - 1n, time, time + 1n]),
    Timestamp.parse("0001-01-01T00:00:00Z")!,
    Timestamp.make(never - 1n),
  ].map(Timestamp.make)
}

layer(Chains.layer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })("the past", (it) => {
  for (const axis of axes) {
    it.effect(`the balance at an instant, ${axis}, is the sum of the rows up to it`, () =>
      Effect.gen(function* () {
        for (const chain of yield* Chains) {
          const { acctId } = chain[0]!
          const tail = chain.at(-1)!
          for (const at of instantsOf(chain, 10)) {
            const balance = yield* fetchBalanceAt(acctId, { axis, at })
            assert.deepInclude(balance, { acctId, axis, at, currency: USD })
            assert.strictEqual(balance.posted, balanceOf(chain, axis, at), Timestamp.format(at))
            const row = axis === "effective" ? tail : chain.findLast(({ chgCreateTime }) => chgCreateTime <= at)
            assert.strictEqual(balance.state?.acctSeq, row?.acctSeq)
            assert.strictEqual(balance.state?.held, row?.held)
            assert.deepStrictEqual(balance.state?.chgHash, row?.chgHash)
          }
        }
      }),
    )
  }

  it.effect("the balance at a sequence is that of its row", () =>
    Effect.gen(function* () {
      for (const chain of yield* Chains) {
        for (const row of [chain[0]!, chain[1]!, chain[777]!, chain.at(-2)!, chain.at(-1)!]) {
          const { at, axis, posted, state } = yield* fetchBalanceAt(row.acctId, { seq: row.acctSeq })
          assert.deepStrictEqual(
            [at, axis, posted, state?.acctSeq, state?.held],
            [row.chgCreateTime, "created", row.balance, row.acctSeq, row.held],
          )
        }
      }
    }),
  )

  it.effect("without an instant it is that of now, which is never before the newest row", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      // Made by another instance, whose clock was ahead of this one's.
      const [newest] = yield* append(acctId, [
        { chgAmt: money("2"), created: Timestamp.parse("2500-01-01T00:00:00Z")! },
      ])
      for (const axis of axes) {
        const balance = yield* fetchBalanceAt(acctId, { axis })
        assert.deepInclude(balance, { posted: money("12"), at: newest!.chgCreateTime })
      }
    }),
  )

  it.effect("an account was nothing before it was opened, unless something is dated before", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      const [, early] = [
        yield* fetchBalanceAt(acctId, { seq: 0 }),
        (yield* append(acctId, [{ chgAmt: money("3"), effective: Timestamp.parse("2001-01-01T00:00:00Z")! }]))[0]!,
      ]
      const before = Timestamp.make(early.effectiveTime - 1n)
      for (const axis of axes) {
        const { posted } = yield* fetchBalanceAt(acctId, { axis, at: before })
        assert.strictEqual(posted, 0n)
      }
      const at = early.effectiveTime
      const { posted, state } = yield* fetchBalanceAt(acctId, { axis: "created", at })
      assert.deepStrictEqual([posted, state], [money("0"), null])
      const effective = yield* fetchBalanceAt(acctId, { axis: "effective", at })
      assert.deepStrictEqual([effective.posted, effective.state?.acctSeq], [money("3"), 1])
    }),
  )

  it.effect("what is not there", () =>
    Effect.gen(function* () {
      const acctId = yield* open("10")
      const from = Timestamp.make(0n)
      const to = Timestamp.make(1n)
      for (const program of [
        fetchBalanceAt(noOne, { seq: 0 }),
        fetchBalanceAt(noOne, { axis: "effective", at: from }),
        fetchStatement(noOne, { axis: "created", from, to }),
        fetchChanges(noOne, { order: "asc" }),
      ]) {
        assert.deepInclude(yield* failureOf(program), {
          _tag: "AccountNotFound",
          accountId: noOne,
        })
      }
      for (const program of [
        fetchBalanceAt(acctId, { seq: 1 }),
        fetchStatement(acctId, { axis: "effective", from, to, seq: 1 }),
      ]) {
        assert.deepInclude(yield* failureOf(program), {
          _tag: "ChangeNotFound",
          accountId: acctId,
          seq: 1,
          currentSeq: 0,
        })
      }
    }),
  )

  for (const axis of axes) {
    it.effect(`a statement, ${axis}, has what the period has, and adds up`, () =>
      Effect.gen(function* () {
        for (const chain of yield* Chains) {
          const instants = instantsOf(chain, 2).toSorted((a, b) => (a < b ? -1 : 1))
          const periods = [
            [instants[0]!, instants.at(-1)!],
            ...instants.flatMap((from, index) => {
              const to = instants[index + 1 + ((index * 7) % 11)]
              return to === undefined || to === from ? [] : [[from, to] as const]
            }),
          ] as const
          for (const [from, to] of periods) {
            for (const seq of [undefined, 0, 1_500]) {
              const query: StatementQuery = { axis, from, to, seq }
              const { account, end, lines, summary } = yield* fetchStatement(chain[0]!.acctId, query)
              const expected = movementsOf(chain, query)
              const shown = yield* Stream.runCollect(lines)
              assert.strictEqual(account.acctId, chain[0]!.acctId)
              assert.strictEqual(end.acctSeq, seq ?? chain.length - 1)
              assert.deepStrictEqual(
                shown.map(({ acctSeq }) => acctSeq),
                expected.map(({ acctSeq }) => acctSeq),
              )
              let balance = Money.make(balanceOf(chain, axis, from - 1n, end.acctSeq))
              assert.strictEqual(summary.opening, balance)
              assert.deepStrictEqual(shown.map(lineOf), expected.map(lineOf))
              for (const line of shown) {
                balance = Money.sum(balance, line.chgAmt)
                assert.strictEqual(line.balance, balance)
              }
              assert.strictEqual(summary.closing, balance)
              assert.strictEqual(summary.closing, balanceOf(chain, axis, to - 1n, end.acctSeq))
              const [debits, credits] = [
                expected.filter(({ chgAmt }) => chgAmt < 0n),
                expected.filter(({ chgAmt }) => chgAmt > 0n),
              ]
              assert.deepStrictEqual(
                [summary.debits.count, summary.debits.sum, summary.credits.count, summary.credits.sum] as ReadonlyArray<
                  bigint | number
                >,
                [debits.length, -sumOf(debits), credits.length, sumOf(credits)],
              )
            }
          }
        }
      }),
    )
  }

  it.effect("a statement is the same when it is made again with its sequence, whatever was appended meanwhile", () =>
    Effect.gen(function* () {
      const acctId = yield* open("100")
      const [first] = yield* append(acctId, [{ chgAmt: money("-30"), description: "rent" }])
      const period = {
        from: Timestamp.make(first!.chgCreateTime - 1_000_000n),
        to: Timestamp.make(first!.chgCreateTime + 60_000_000n),
      }
      for (const axis of axes) {
        const query = { axis, ...period }
        const before = yield* fetchStatement(acctId, query)
        const lines = yield* Stream.runCollect(before.lines)
        // Into the period on both axes.
        yield* append(acctId, [{ chgAmt: money("7") }, { chgAmt: money("-1"), effective: first!.effectiveTime }])
        const again = yield* fetchStatement(acctId, { ...query, seq: before.end.acctSeq })
        assert.deepStrictEqual({ ...again, lines: yield* Stream.runCollect(again.lines) }, { ...before, lines })
        const now = yield* fetchStatement(acctId, query)
        assert.strictEqual(now.summary.closing, before.summary.closing + money("6"))
        assert.lengthOf(yield* Stream.runCollect(now.lines), lines.length + 2)
      }
    }),
  )

  it.effect("it holds together while others write", () =>
    Effect.gen(function* () {
      const acctId = yield* open("1000")
      const writes = Effect.forEach(
        Array.from({ length: 60 }, (_, index) => amount(index % 3 === 0 ? "-2" : "1")),
        (each) => storeBalanceChange(acctId, each),
      )
      const looks = Effect.forEach(
        Array.from({ length: 30 }, (_, index) => axes[index % 2]!),
        (axis) =>
          Effect.gen(function* () {
            const { end, lines, summary } = yield* fetchStatement(acctId, {
              axis,
              from: Timestamp.make(0n),
              to: Timestamp.parse("2500-01-01T00:00:00Z")!,
            })
            const shown = yield* Stream.runCollect(lines)
            assert.strictEqual(shown.length, end.acctSeq + 1)
            assert.strictEqual(summary.closing, end.balance)
            assert.strictEqual(shown.at(-1)!.balance, end.balance)
            return end.acctSeq
          }),
      )
      const [, ends] = yield* Effect.all([writes, looks], { concurrency: "unbounded" })
      assert.deepStrictEqual(
        ends,
        ends.toSorted((a, b) => a - b),
      )
    }),
  )

  it.effect("its lines can be read at leisure, and more than once: what is appended meanwhile is not among them", () =>
    Effect.gen(function* () {
      const acctId = yield* open("5")
      const { end, lines } = yield* fetchStatement(acctId, {
        axis: "effective",
        from: Timestamp.make(0n),
        to: Timestamp.parse("2500-01-01T00:00:00Z")!,
      })
      yield* storeBalanceChange(acctId, amount("1"))
      for (let times = 0; times < 2; times++) {
        const [line, ...others] = yield* Stream.runCollect(lines)
        assert.deepStrictEqual([line!.acctSeq, line!.balance, others.length], [0, money("5"), 0])
      }
      assert.strictEqual(end.acctSeq, 0)
    }),
  )

  it.effect("sums may be larger than any balance", () =>
    Effect.gen(function* () {
      const largest = money("99999999999999.99")
      const acctId = yield* open("0", { overdraftLimit: null })
      const { chgCreateTime } = (yield* append(acctId, [
        { chgAmt: largest },
        { chgAmt: -largest },
        { chgAmt: largest },
        // Known later: it was there before the first, so that the balance was twice as large.
        { chgAmt: -largest },
        { chgAmt: largest, effective: Timestamp.make(0n) },
      ]))[0]!
      const { summary } = yield* fetchStatement(acctId, {
        axis: "effective",
        from: Timestamp.make(-1n),
        to: Timestamp.make(chgCreateTime + 1n),
      })
      assert.strictEqual(summary.closing, 2n * largest)
      assert.strictEqual(summary.credits.sum, 2n * largest)
    }),
  )

  it.effect("programs work inside of a transaction, on what it has written", () =>
    Effect.gen(function* () {
      const { transaction } = yield* DbConn
      const acctId = yield* open("5")
      const inside = yield* transaction(
        Effect.gen(function* () {
          yield* storeBalanceChange(acctId, amount("1"))
          const { posted } = yield* fetchBalanceAt(acctId, { axis: "effective" })
          const { lines, summary } = yield* fetchStatement(acctId, {
            axis: "effective",
            from: Timestamp.make(0n),
            to: Timestamp.parse("2500-01-01T00:00:00Z")!,
          })
          const changes = yield* fetchChanges(acctId, { order: "desc" })
          return {
            posted,
            closing: summary.closing,
            lines: (yield* Stream.runCollect(lines)).length,
            changes: (yield* Stream.runCollect(changes)).map(({ acctSeq }) => acctSeq),
          }
        }),
      )
      assert.deepStrictEqual(inside, { posted: money("6"), closing: money("6"), lines: 2, changes: [1, 0] })
    }),
  )

  it.effect("all changes are streamed, both ways and from either side of a bound", () =>
    Effect.gen(function* () {
      const [chain] = yield* Chains
      const { acctId } = chain!.at(0)!
      const size = chain!.length
      for (const [bound, first, last] of [
        [{}, 0, size - 1],
        [{ after: 5 }, 6, size - 1],
        [{ before: 1_500 }, 0, 1_499],
        [{ after: size - 2 }, size - 1, size - 1],
        [{ after: size - 1 }, 0, -1],
        [{ before: 0 }, 0, -1],
        [{ before: 10 * size }, 0, size - 1],
        [{ after: 999 }, 1_000, size - 1],
      ] as const) {
        const seqs = chain!.slice(first, last + 1).map(({ acctSeq }) => acctSeq)
        for (const order of ["asc", "desc"] as const) {
          const changes = yield* Stream.runCollect(yield* fetchChanges(acctId, { order, ...bound }))
          assert.deepStrictEqual(
            changes.map(({ acctSeq }) => acctSeq),
            order === "asc" ? seqs : seqs.toReversed(),
          )
        }
      }
      const all = yield* Stream.runCollect(yield* fetchChanges(acctId, { order: "asc" }))
      assert.deepStrictEqual(all, [...chain!])
    }),
  )

  it.effect("the stored rows have both kinds", () =>
    Effect.gen(function* () {
      const changes = yield* selectAllChanges
      for (const is of [
        (c: BalanceChange) => c.effectiveTime < c.chgCreateTime,
        (c: BalanceChange) => c.effectiveTime === c.chgCreateTime,
      ]) {
        assert.isAbove(changes.filter(is).length, 50)
      }
    }),
  )
})

describe("the search", () => {
  it("looks at rows between two others, at most so many", () => {
    for (const [low, high] of [
      [-1, 0],
      [-1, 1],
      [-1, probesMax],
      [-1, probesMax + 1],
      [5, 1_000_000],
      [-1, Number.MAX_SAFE_INTEGER],
    ] as const) {
      const probes = probesBetween(low, high)
      assert.strictEqual(probes.length, Math.min(probesMax, high - low - 1))
      assert.isTrue(probes.every((seq, index) => Number.isSafeInteger(seq) && seq > (probes[index - 1] ?? low)))
      assert.isTrue(probes.every((seq) => seq < high))
      // What is left after a round is smaller by the number of probes.
      const edges = [low, ...probes, high]
      for (let i = 1; i < edges.length; i++) {
        assert.isAtMost(edges[i]! - edges[i - 1]!, Math.ceil((high - low) / (probes.length + 1)) + 1)
      }
    }
  })
})
