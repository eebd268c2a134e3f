import { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, describe, it } from "@effect/vitest"
import { contendedFor, Contenders, turnLength } from "../src/write/Contenders.ts"
import { HeadCache, headsMax } from "../src/write/HeadCache.ts"
import { money, USD } from "@banquo/testing/Ledger"

const account = (index: number) => AccountId.make(`00000000-0000-4000-8000-${String(index).padStart(12, "0")}`)

const head = (acctId: AccountId): readonly [AccountId, AccountState] => [
  acctId,
  {
    acctId,
    owner: null,
    currency: USD,
    scale: 2,
    bchgId: BalanceChangeId.make(1n),
    acctSeq: 0,
    balance: money("0"),
    held: money("0"),
    overdraftLimit: null,
    acctStatus: "open",
    chgCreateTime: Timestamp.make(0n),
    chgHash: new Uint8Array(32),
    openHolds: [],
  },
]

const [a, b] = [account(1), account(2)]

describe("remembered heads", () => {
  it("are trusted at any age as long as none was stale", () => {
    const cache = new HeadCache()
    cache.remember([head(a)], 0)
    assert.strictEqual(cache.get(a, 1e12)?.acctId, a)
    assert.isUndefined(cache.get(b, 0))
  })

  it("are trusted at half the age of a stale one, and at more with each batch that met no conflict", () => {
    const cache = new HeadCache()
    cache.remember([head(a), head(b)], 0)
    cache.distrust([a], 1000)
    assert.isUndefined(cache.get(a, 1000))
    assert.isDefined(cache.get(b, 500))
    assert.isUndefined(cache.get(b, 501))
    for (let batch = 0; batch < 40; batch++) cache.remember([head(a)], 0)
    assert.isDefined(cache.get(b, 1000))
  })

  it("do not lose trust when another was faster than a head that was just read", () => {
    const cache = new HeadCache()
    cache.remember([head(b)], 0)
    cache.distrust([a], 1000)
    assert.isDefined(cache.get(b, 1e12))
  })

  it("are bounded: the longest unused goes first", () => {
    const cache = new HeadCache()
    cache.remember(
      Array.from({ length: headsMax }, (_, index) => head(account(index))),
      0,
    )
    assert.isDefined(cache.get(account(0), 0))
    cache.remember([head(account(headsMax))], 0)
    assert.isDefined(cache.get(account(0), 0))
    assert.isUndefined(cache.get(account(1), 0))
    assert.isDefined(cache.get(account(headsMax), 0))
  })
})

describe("turns on contended accounts", () => {
  it("are not taken where there was no conflict", () => {
    const contenders = new Contenders()
    contenders.lost([b], 0)
    assert.strictEqual(contenders.won([a], 1).size, 0)
    assert.strictEqual(contenders.won([a], 2 * turnLength).size, 0)
  })

  it("end after their length, and begin anew", () => {
    const contenders = new Contenders()
    contenders.lost([a], 0)
    assert.strictEqual(contenders.won([a], 1).size, 0)
    assert.strictEqual(contenders.won([a], 1 + turnLength).size, 0)
    assert.deepStrictEqual([...contenders.won([a, b], 2 + turnLength)], [a])
    assert.strictEqual(contenders.won([a], 3 + turnLength).size, 0)
  })

  it("are over with the contention", () => {
    const contenders = new Contenders()
    contenders.lost([a], 0)
    contenders.won([a], 1)
    assert.strictEqual(contenders.won([a], contendedFor + 1).size, 0)
    assert.strictEqual(contenders.won([a], 2 * contendedFor).size, 0)
  })
})
