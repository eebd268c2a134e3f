import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import { AccountId } from "../src/account/AccountId.ts"
import { Actor } from "../src/request/Actor.ts"
import { Currency } from "../src/money/Currency.ts"
import { idemKey, idemKeyOf, isWordy, requestHash } from "../src/request/Idempotency.ts"
import { IdempotencyKey } from "../src/request/IdempotencyKey.ts"
import type { Change, ChangeTerms, Intent, OpenAccount, PostTransaction } from "../src/request/Intent.ts"
import * as Money from "../src/money/Money.ts"
import * as Generated from "./Generated.ts"

const salt = new Uint8Array(16)
const hashOf = (intent: Intent) => requestHash(intent, isWordy(intent) ? salt : null).toHex()
const amount = (text: string) => Money.Amount.make(text) as Money.PositiveAmount
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
  owner: null,
  currency: Currency.make("USD"),
  scale: null,
  initialBalance: amount("10"),
  overdraftLimit: amount("0"),
  reference: null,
  metadata: { a: "1", b: "2" },
}

const transaction: PostTransaction = {
  _tag: "PostTransaction",
  changes: [
    { acctId: ids[0], amount: amount("-1.5") },
    { acctId: ids[1], amount: amount("1.5") },
  ],
  reference: null,
  description: "rent",
  metadata: { a: "1", b: "2" },
}

const hashOfChange = (text: string) => hashOf({ ...transaction, changes: [{ acctId: ids[0], amount: amount(text) }] })
const hashOfBalance = (text: string) =>
  hashOf({ ...opening, initialBalance: amount(text), overdraftLimit: amount(text) })
const hashOfId = (acctIdIsChosen: boolean, acctId: AccountId) => hashOf({ ...opening, acctIdIsChosen, acctId })

const stored = (actor: string, key: string) => idemKey(Actor.make(actor), IdempotencyKey.make(key)).toHex()

/** `amount` in another spelling of the same value. */
const respelled = (text: Money.Amount): Money.Amount => {
  const decimals = Money.decimalsOf(text)
  if (decimals === Money.decimals) return text
  return amount(decimals === 0 ? `${text}.0` : `${text}0`)
}

const amountNames = new Set(["amount", "initialBalance", "overdraftLimit"])

/** The same in every part; `isOtherwise`: in other words. */
const written = <A>(value: A, { isOtherwise }: { readonly isOtherwise: boolean }, name = ""): A => {
  const inner = (part: unknown, key: string) => written(part, { isOtherwise }, key)
  if (typeof value === "string") return (isOtherwise && amountNames.has(name) ? respelled(value as never) : value) as A
  if (Array.isArray(value)) return value.map((part) => inner(part, "")) as A
  if (typeof value !== "object" || value === null) return value
  // Whatever stands for itself in a map is no name of ours.
  if (name === "metadata") return (isOtherwise ? shuffled(value as never) : value) as A
  const entries = Object.entries(value).flatMap(([key, part]) => (part === undefined ? [] : [[key, inner(part, key)]]))
  return Object.fromEntries(isOtherwise ? entries.toReversed() : entries) as A
}

/** All that a request asks for, in one way of writing it. What a hold or a transaction says by itself is not asked for. */
const wordsOf = (intent: Intent): string => {
  const isIdGiven = "holdId" in intent || (intent._tag === "OpenAccount" && !intent.acctIdIsChosen)
  const asked = Object.entries(intent).filter(([name]) => name !== "original" && !(name === "acctId" && isIdGiven))
  return JSON.stringify(plain(Object.fromEntries(asked), "", intent._tag === "OpenAccount"))
}

/** To say an account's currency asks for nothing, but where it is opened; nor does an empty map. */
const plain = (value: unknown, name = "", hasCurrency = false): unknown => {
  if (typeof value === "bigint") return String(value)
  if (typeof value === "string") return amountNames.has(name) ? String(Money.fromAmount(amount(value))) : value
  if (Array.isArray(value)) return value.map((part) => plain(part))
  if (typeof value !== "object" || value === null) return value
  if (name === "metadata" && Object.keys(value).length === 0) return null
  const entries = Object.entries(value).filter(
    ([key, part]) => part !== undefined && (key !== "currency" || hasCurrency),
  )
  const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return sorted.map(([key, part]) => [key, name === "metadata" ? part : plain(part, key)])
}

/** As it is but for one field, which is left out, `null`, or something else of its kind. */
const withOneChanged = (intent: Intent): ReadonlyArray<Intent> =>
  Object.entries(intent).flatMap(([name, value]: [string, unknown]) => {
    const others: Record<string, ReadonlyArray<unknown>> = {
      acctId: [ids[0]],
      amount: [amount("12.3456")],
      holdId: [12n],
      xactId: [12n],
      expiry: [{ ttl: 12 }, { at: 12n }],
      effectiveTime: [undefined, 0n, 12n],
      currency: [...(intent._tag === "OpenAccount" ? [] : [undefined]), "CHF"],
      expectedSeq: [undefined, 0, 12],
      require: [undefined, [], [{ subject: "posted", comparison: "eq", amount: amount("12.3456") }]],
      description: [null, "", "another"],
      reason: [null, "", "another"],
      metadata: [null, {}, { another: "" }],
      isFinal: [!(value as boolean)],
      isForced: [!(value as boolean)],
      to: [null, ids[0], ids[1]],
      acctStatus: [undefined, "closed", "open"],
      overdraftLimit: [...(intent._tag === "OpenAccount" ? [] : [undefined]), null, amount("0"), amount("12.3456")],
      initialBalance: [amount("0"), amount("12.3456")],
      reference: [null, "", "another"],
      owner: [null, "", "another"],
      scale: [null, 0, 8],
      valueDate: [undefined, "2026-11-23"],
      custName: [...(intent._tag === "OpenAccount" ? [] : [undefined]), "", "another"],
      custAddress: [...(intent._tag === "OpenAccount" ? [] : [undefined]), "", "another"],
      changes: [...(intent._tag === "ReverseTransaction" ? [null] : []), []],
      original: [[]],
      acctIdIsChosen: [!(value as boolean)],
      _tag: [],
    }
    return others[name]!.map((other) => ({ ...intent, [name]: other }) as Intent)
  })

const shuffled = (map: Readonly<Record<string, string>> | null) =>
  map === null ? null : Object.fromEntries(Object.entries(map).toReversed())

interface Vectors {
  readonly requests: ReadonlyArray<{
    readonly name: string
    readonly intent: unknown
    readonly salt: string | null
    readonly requestHash: string
  }>
  readonly idemKeys: ReadonlyArray<{ readonly actor: string; readonly key: string; readonly hash: string }>
}

const vectors = JSON.parse(readFileSync(`${import.meta.dirname}/vectors.json`, "utf8"), (name, value: unknown) =>
  ["holdId", "xactId", "at", "effectiveTime", "chgAmt"].includes(name) && typeof value === "string"
    ? BigInt(value)
    : value,
) as Vectors

describe("requestHash", () => {
  // Stored hashes have to be found again: these were made by another program.
  it.each(vectors.requests)("is as published: $name", ({ intent, requestHash: published, salt }) => {
    assert.strictEqual(isWordy(intent as Intent), salt !== null)
    const bytes = salt === null ? null : Uint8Array.fromHex(salt)
    assert.strictEqual(requestHash(intent as Intent, bytes).toHex(), published)
  })

  it("is another with another salt", () => {
    assert.notStrictEqual(hashOf(transaction), requestHash(transaction, new Uint8Array(16).fill(1)).toHex())
  })

  it("a limit that is left out, no limit and a limit are three things to ask for", () => {
    const terms: ChangeTerms = { _tag: "ChangeTerms", acctId: ids[0], reason: null, metadata: null }
    const hashes = [
      terms,
      ...[null, amount("0"), amount("1")].map((limit) => ({ ...terms, overdraftLimit: limit })),
    ].map(hashOf)
    assert.strictEqual(new Set(hashes).size, 4)
    assert.strictEqual(hashOf({ ...terms, overdraftLimit: undefined }), hashes[0])
    assert.strictEqual(hashOf({ ...terms, overdraftLimit: amount("1.0") }), hashes[3])
  })

  it("is a SHA-256, and the same for the same request", () => {
    assert.match(hashOf(opening), /^[0-9a-f]{64}$/)
    assert.match(hashOf(transaction), /^[0-9a-f]{64}$/)
    assert.strictEqual(hashOf(opening), hashOf(structuredClone(opening)))
    assert.strictEqual(hashOf(transaction), hashOf(structuredClone(transaction)))
  })

  it.each([
    ["1.5", "1.50"],
    ["1", "1.00000000"],
    ["-0.1", "-0.100"],
    ["0", "0.00"],
  ])("%s asks for the same as %s", (a, b) => {
    assert.strictEqual(hashOfChange(a), hashOfChange(b))
    assert.strictEqual(hashOfBalance(a), hashOfBalance(b))
  })

  it.prop(
    "knows amounts by value, maps without their order, and what is left out as undefined",
    [Generated.intent],
    ([intent]) => {
      assert.strictEqual(hashOf(intent), hashOf(written(intent, { isOtherwise: true })))
    },
    runs,
  )

  it.prop(
    "differs for whatever else differs",
    [Generated.intent, Generated.intent],
    ([a, b]) => {
      assert.strictEqual(hashOf(a) === hashOf(b), wordsOf(a) === wordsOf(b))
      // Two that differ in one thing only, wherever it is.
      for (const other of withOneChanged(a))
        assert.strictEqual(hashOf(a) === hashOf(other), wordsOf(a) === wordsOf(other))
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

  it("a currency that is said, and a sequence left out, ask for nothing", () => {
    const [first, second] = transaction.changes as [Change, Change]
    const changes = [{ ...first, currency: Currency.make("USD"), expectedSeq: undefined }, second]
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
    ["no map", { metadata: null }],
    ["an owner", { owner: "owner-7" }],
    ["a scale", { scale: 2 }],
    ["a reference", { reference: "DE02" }],
  ]

  const [debit, credit] = transaction.changes as [Change, Change]
  const otherTransactions: ReadonlyArray<readonly [string, Partial<PostTransaction>]> = [
    ["acctId", { changes: [{ ...debit, acctId: AccountId.make(ids[0].replace("0", "1")) }, credit] }],
    ["amount", { changes: [{ ...debit, amount: amount("-1.51") }, credit] }],
    ["the sign of amount", { changes: [{ ...debit, amount: amount("1.5") }, credit] }],
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
    ["no map", { metadata: null }],
    ["a reference", { reference: "order 7" }],
    ["a value date", { valueDate: "2026-11-23" }],
  ]

  it("an empty map asks for the same as none", () => {
    assert.strictEqual(hashOf({ ...opening, metadata: {} }), hashOf({ ...opening, metadata: null }))
    assert.strictEqual(hashOf({ ...transaction, metadata: {} }), hashOf({ ...transaction, metadata: null }))
  })

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
  it.each(vectors.idemKeys)("is as published: $actor $key", ({ actor, hash, key }) =>
    assert.strictEqual(stored(actor, key), hash),
  )

  it.prop(
    "names one principal and one key",
    [Generated.actor, Generated.idempotencyKey, Generated.actor, Generated.idempotencyKey],
    ([actor, key, otherActor, otherKey]) => {
      const isSame = actor === otherActor && key === otherKey
      assert.strictEqual(idemKey(actor, key).toHex() === idemKey(otherActor, otherKey).toHex(), isSame)
      assert.lengthOf(idemKey(actor, key), 32)
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
    assert.deepStrictEqual(idemKeyOf(request), idemKey(actor, request.idempotencyKey))
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
