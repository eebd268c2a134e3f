import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { AccountId } from "../src/AccountId.ts"
import { Actor } from "../src/Actor.ts"
import { Currency } from "../src/Currency.ts"
import { IdempotencyKey, idemKey, idemKeyOf, requestHash } from "../src/Idempotency.ts"
import type { Change, Intent, OpenAccount, PostTransaction } from "../src/Intent.ts"
import * as Money from "../src/Money.ts"
import * as Generated from "./Generated.ts"

const hashOf = (intent: Intent) => requestHash(intent).toHex()
const amount = (text: string) => Money.Amount.make(text)
const ids = [
  AccountId.make("018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f90"),
  AccountId.make("018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f91"),
] as const
const runs = { arbitrary: { runs: 100 } }

const opening: OpenAccount = {
  _tag: "OpenAccount",
  acctId: ids[0],
  acctIdIsChosen: true,
  custName: "Ada",
  custAddress: "London",
  currency: Currency.make("USD"),
  initialBalance: amount("10"),
  overdraftLimit: amount("0"),
  metadata: { a: "1", b: "2" },
}

const transaction: PostTransaction = {
  _tag: "PostTransaction",
  changes: [
    { acctId: ids[0], amount: amount("-1.5") },
    { acctId: ids[1], amount: amount("1.5") },
  ],
  description: "rent",
  metadata: { a: "1", b: "2" },
}

const hashOfChange = (text: string) => hashOf({ ...transaction, changes: [{ acctId: ids[0], amount: amount(text) }] })
const hashOfBalance = (text: string) =>
  hashOf({ ...opening, initialBalance: amount(text), overdraftLimit: amount(text) })
const hashOfId = (acctIdIsChosen: boolean, acctId: AccountId) => hashOf({ ...opening, acctIdIsChosen, acctId })

const stored = (actor: string, key: string) => idemKey(Actor.make(actor), IdempotencyKey.make(key))

/** `amount` in another spelling of the same value. */
const respelled = (text: Money.Amount): Money.Amount => {
  const decimals = Money.decimalsOf(text)
  if (decimals === Money.decimals) return text
  return amount(decimals === 0 ? `${text}.0` : `${text}0`)
}

const shuffled = (map: Readonly<Record<string, string>> | null) =>
  map === null ? null : Object.fromEntries(Object.entries(map).toReversed())

describe("requestHash", () => {
  it("is a SHA-256, and the same for the same request", () => {
    assert.match(hashOf(opening), /^[0-9a-f]{64}$/)
    assert.match(hashOf(transaction), /^[0-9a-f]{64}$/)
    assert.strictEqual(hashOf(opening), hashOf(structuredClone(opening)))
    assert.strictEqual(hashOf(transaction), hashOf(structuredClone(transaction)))
  })

  it.each([
    ["1.5", "1.50"],
    ["1", "1.0000"],
    ["-0.1", "-0.100"],
    ["0", "0.00"],
  ])("%s asks for the same as %s", (a, b) => {
    assert.strictEqual(hashOfChange(a), hashOfChange(b))
    assert.strictEqual(hashOfBalance(a), hashOfBalance(b))
  })

  it.prop(
    "of a transaction knows amounts by value, and maps without their order",
    [Generated.postTransaction],
    ([intent]) => {
      const changes = intent.changes.map((change) => ({ ...change, amount: respelled(change.amount) }))
      assert.strictEqual(hashOf(intent), hashOf({ ...intent, changes, metadata: shuffled(intent.metadata) }))
    },
    runs,
  )

  it.prop(
    "of an account knows amounts by value, and maps without their order",
    [Generated.openAccount],
    ([intent]) => {
      const { initialBalance, metadata, overdraftLimit } = intent
      const same: OpenAccount = {
        ...intent,
        initialBalance: respelled(initialBalance),
        overdraftLimit: overdraftLimit === null ? null : respelled(overdraftLimit),
        metadata: shuffled(metadata),
      }
      assert.strictEqual(hashOf(intent), hashOf(same))
    },
    runs,
  )

  it.prop(
    "differs for amounts of different value",
    [Generated.amount, Generated.amount],
    ([a, b]) => {
      assert.strictEqual(hashOfChange(a) === hashOfChange(b), Money.fromAmount(a) === Money.fromAmount(b))
    },
    runs,
  )

  it("an id that the ledger chose is not part of what was asked", () => {
    assert.strictEqual(hashOfId(false, ids[0]), hashOfId(false, ids[1]))
    assert.notStrictEqual(hashOfId(true, ids[0]), hashOfId(true, ids[1]))
    assert.notStrictEqual(hashOfId(true, ids[0]), hashOfId(false, ids[0]))
  })

  it("a currency and a sequence left out are the same as undefined ones", () => {
    const [first, second] = transaction.changes as [Change, Change]
    const changes = [{ ...first, currency: undefined, expectedSeq: undefined }, second]
    assert.strictEqual(hashOf(transaction), hashOf({ ...transaction, changes }))
  })

  const otherOpenings: ReadonlyArray<readonly [string, Partial<OpenAccount>]> = [
    ["acctId", { acctId: ids[1] }],
    ["acctIdIsChosen", { acctIdIsChosen: false }],
    ["custName", { custName: "Eve" }],
    ["custAddress", { custAddress: "Paris" }],
    ["where the name ends", { custName: "AdaL", custAddress: "ondon" }],
    ["currency", { currency: Currency.make("EUR") }],
    ["initialBalance", { initialBalance: amount("10.0001") }],
    ["the sign of initialBalance", { initialBalance: amount("-10") }],
    ["overdraftLimit", { overdraftLimit: amount("1") }],
    ["no overdraftLimit", { overdraftLimit: null }],
    ["the value of a key", { metadata: { a: "1", b: "3" } }],
    ["the name of a key", { metadata: { a: "1", c: "2" } }],
    ["a key more", { metadata: { a: "1", b: "2", c: "" } }],
    ["a key less", { metadata: { a: "1" } }],
    ["values exchanged", { metadata: { a: "2", b: "1" } }],
    ["an empty map", { metadata: {} }],
    ["no map", { metadata: null }],
  ]

  const [debit, credit] = transaction.changes as [Change, Change]
  const otherTransactions: ReadonlyArray<readonly [string, Partial<PostTransaction>]> = [
    ["acctId", { changes: [{ ...debit, acctId: AccountId.make(ids[0].replace("0", "1")) }, credit] }],
    ["amount", { changes: [{ ...debit, amount: amount("-1.51") }, credit] }],
    ["the sign of amount", { changes: [{ ...debit, amount: amount("1.5") }, credit] }],
    ["currency", { changes: [{ ...debit, currency: Currency.make("USD") }, credit] }],
    ["another currency", { changes: [{ ...debit, currency: Currency.make("EUR") }, credit] }],
    ["currency on the other change", { changes: [debit, { ...credit, currency: Currency.make("USD") }] }],
    ["expectedSeq", { changes: [{ ...debit, expectedSeq: 0 }, credit] }],
    ["another expectedSeq", { changes: [{ ...debit, expectedSeq: 1 }, credit] }],
    ["the largest expectedSeq", { changes: [{ ...debit, expectedSeq: Number.MAX_SAFE_INTEGER }, credit] }],
    ["expectedSeq on the other change", { changes: [debit, { ...credit, expectedSeq: 0 }] }],
    ["the order of the changes", { changes: [credit, debit] }],
    ["a change more", { changes: [debit, credit, credit] }],
    ["a change less", { changes: [debit] }],
    ["description", { description: "rents" }],
    ["an empty description", { description: "" }],
    ["no description", { description: null }],
    ["the value of a key", { metadata: { a: "1", b: "3" } }],
    ["the name of a key", { metadata: { a: "1", c: "2" } }],
    ["an empty map", { metadata: {} }],
    ["no map", { metadata: null }],
  ]

  it.each(otherOpenings)("of an account differs for %s", (_, other) =>
    assert.notStrictEqual(hashOf({ ...opening, ...other }), hashOf(opening)),
  )

  it.each(otherTransactions)("of a transaction differs for %s", (_, other) =>
    assert.notStrictEqual(hashOf({ ...transaction, ...other }), hashOf(transaction)),
  )

  it("all of these differ among themselves too", () => {
    const hashes = [
      hashOf(opening),
      hashOf(transaction),
      ...otherOpenings.map(([, other]) => hashOf({ ...opening, ...other })),
      ...otherTransactions.map(([, other]) => hashOf({ ...transaction, ...other })),
    ]
    assert.strictEqual(new Set(hashes).size, hashes.length)
  })
})

describe("idemKey", () => {
  it.prop(
    "names one principal and one key",
    [Generated.actor, Generated.idempotencyKey, Generated.actor, Generated.idempotencyKey],
    ([actor, key, otherActor, otherKey]) => {
      const isSame = actor === otherActor && key === otherKey
      assert.strictEqual(idemKey(actor, key) === idemKey(otherActor, otherKey), isSame)
      const name = idemKey(actor, key)
      const space = name.indexOf(" ")
      assert.deepStrictEqual([name.slice(0, space), name.slice(space + 1)], [actor, key])
    },
    runs,
  )

  it("is not confused by where the principal ends", () => {
    assert.notStrictEqual(stored("ab", "c"), stored("a", "bc"))
    assert.notStrictEqual(stored("a:b", "c"), stored("a", "b:c"))
    assert.notStrictEqual(stored("a/b", "c"), stored("a", "b/c"))
  })

  it("is there only with a key", () => {
    const actor = Actor.make("teller")
    const request = { intent: transaction, actor, idempotencyKey: IdempotencyKey.make("k") }
    assert.strictEqual(idemKeyOf(request), idemKey(actor, request.idempotencyKey))
    assert.isNull(idemKeyOf({ ...request, idempotencyKey: null }))
  })
})

describe("IdempotencyKey", () => {
  const isKey = Schema.is(IdempotencyKey)

  it.each(["a", "8e03978e-40d5-43e8-bc93-6894a57f9324", '"quoted"', "!~", "k".repeat(255)])("takes %s", (key) =>
    assert.isTrue(isKey(key)),
  )

  it.each(["", " ", "a b", "a\t", "a\n", "a\0", "\u007f", "\u00e9", "k".repeat(256)])("refuses %j", (key) =>
    assert.isFalse(isKey(key)),
  )
})
