import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import type { AccountDetails } from "../src/account/Account.ts"
import type { AccountId } from "../src/account/AccountId.ts"
import { accountStatuses } from "../src/account/AccountStatus.ts"
import { chgFlavors, type UnsealedChange } from "../src/chain/BalanceChange.ts"
import { CanonicalBytes } from "../src/chain/CanonicalBytes.ts"
import { canonicalBytes, genesisHash, seal } from "../src/chain/ChangeHash.ts"
import { sha256 as nodeSha256 } from "../src/chain/sha256.node.ts"
import { sha256 as portableSha256 } from "../src/chain/sha256.ts"
import { detailsHash, type Texts, textsHash } from "../src/text/Texts.ts"
import { Currency } from "../src/money/Currency.ts"
import * as Generated from "./Generated.ts"

/** JSON with each 64-bit integer as a decimal string and each byte string in hex. */
type Json<A> = A extends bigint ? string : A extends Uint8Array ? string : A
type JsonOf<A> = { readonly [K in keyof A]: Json<A[K]> }

interface Vectors {
  readonly format: ReadonlyArray<string>
  readonly genesis: ReadonlyArray<{
    readonly name: string
    readonly ledgerId: string
    readonly acctId: AccountId
    readonly hash: string
  }>
  readonly changes: ReadonlyArray<{
    readonly name: string
    readonly after: string
    readonly row: JsonOf<HashedChange>
    readonly canonicalBytes: string
    readonly prevHash: string
    readonly chgHash: string
  }>
  readonly texts: ReadonlyArray<Texts & { readonly name: string; readonly salt: string; readonly hash: string }>
  readonly details: ReadonlyArray<
    AccountDetails & { readonly name: string; readonly salt: string; readonly hash: string }
  >
}

/** Texts and their salt are covered by their hash alone. */
type HashedChange = Omit<UnsealedChange, keyof typeof noTexts>

const noTexts = { reference: null, description: null, metadata: null, textsSalt: null }

// Read as JSON and not imported: in a module, a key `__proto__` would be the prototype.
const vectors = JSON.parse(readFileSync(`${import.meta.dirname}/vectors.json`, "utf8")) as Vectors

const integers = [
  "bchgId",
  "prevBchgId",
  "chgAmt",
  "balance",
  "heldAmt",
  "held",
  "overdraftLimit",
  "xactId",
  "holdId",
  "holdExpiresAt",
  "reversesXactId",
  "effectiveTime",
  "chgCreateTime",
] as const

const hashes = ["textsHash", "idemKey", "requestHash", "detailsHash"] as const

const rowOf = (json: JsonOf<HashedChange>): UnsealedChange => {
  const values = integers.map((name) => [name, json[name] === null ? null : BigInt(json[name])])
  const bytes = hashes.map((name) => [name, json[name] === null ? null : Uint8Array.fromHex(json[name])])
  return { ...noTexts, ...json, ...Object.fromEntries([...values, ...bytes]) }
}

const openssl = (...parts: ReadonlyArray<Uint8Array>) => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest("hex")
}

/** Byte strings that together are empty, shorter than a block of 64 bytes, or many blocks. */
const parts = Generated.anyOf(
  Arbitrary.Constant<Array<Uint8Array>>([]),
  Arbitrary.array(Generated.bytes, { maxLength: 20 }),
  Arbitrary.array(Generated.blocks, { maxLength: 4 }),
)

const next = <A extends string>(values: ReadonlyArray<A>, value: A) =>
  values[(values.indexOf(value) + 1) % values.length]
const other = (value: bigint | null) => (value === null ? 0n : value + 1n)
const otherText = (value: string | null) => (value === null ? "" : `${value}.`)

const otherHash = (hash: Uint8Array | null) =>
  hash === null
    ? [new Uint8Array(32), new Uint8Array(0)]
    : [null, hash.map((octet, index) => (index === 31 ? octet ^ 1 : octet))]

const record = (tag: string) => new CanonicalBytes(tag).u8(1).toBytes().toHex()

const runs = { arbitrary: { runs: 100 } }

describe("the published vectors", () => {
  it("are there", () => {
    assert.isAtLeast(vectors.genesis.length, 3)
    assert.isAtLeast(vectors.changes.length, 13)
    assert.deepStrictEqual(
      [...new Set(vectors.changes.map(({ row }) => row.chgFlavor))].toSorted(),
      chgFlavors.toSorted(),
    )
    assert.deepStrictEqual(
      [...new Set(vectors.changes.map(({ row }) => row.acctStatus))].toSorted(),
      accountStatuses.toSorted(),
    )
  })

  it.each(vectors.genesis)("genesis: $name", ({ acctId, hash, ledgerId }) =>
    assert.strictEqual(genesisHash(ledgerId, acctId).toHex(), hash),
  )

  it.each(vectors.texts)("texts: $name", (vector) =>
    assert.strictEqual(textsHash(vector, Uint8Array.fromHex(vector.salt)).toHex(), vector.hash),
  )

  it.each(vectors.details)("details: $name", (vector) =>
    assert.strictEqual(detailsHash(vector, Uint8Array.fromHex(vector.salt)).toHex(), vector.hash),
  )

  it.each(vectors.changes)("change: $name", (vector) => {
    const row = rowOf(vector.row)
    const sealed = seal(row, Uint8Array.fromHex(vector.prevHash))
    assert.strictEqual(canonicalBytes(row).toHex(), vector.canonicalBytes)
    assert.strictEqual(sealed.chgHash.toHex(), vector.chgHash)
    const { chgHash: _, prevHash: _prevHash, ...unsealed } = sealed
    assert.deepStrictEqual(unsealed, row)
  })

  it("begin with a chain: each hash is in the next", () => {
    const [account] = vectors.genesis
    const [first, second, third] = vectors.changes
    assert.strictEqual(first?.prevHash, account?.hash)
    assert.strictEqual(second?.prevHash, first?.chgHash)
    assert.strictEqual(third?.prevHash, second?.chgHash)
  })
})

describe("canonicalBytes", () => {
  /** For every column, what it could be instead; `null` becomes what is nearest to it. */
  const mutations: { readonly [K in keyof HashedChange]: (row: UnsealedChange) => ReadonlyArray<unknown> } = {
    bchgId: (row) => [other(row.bchgId)],
    acctId: (row) => [row.acctId.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))],
    acctSeq: (row) => [row.acctSeq === 0 ? 1 : row.acctSeq - 1],
    chgFlavor: (row) => [next(chgFlavors, row.chgFlavor)],
    prevBchgId: (row) => [other(row.prevBchgId), row.prevBchgId === null ? 1n : null],
    chgAmt: (row) => [other(row.chgAmt), row.chgAmt === 0n ? 2n : -row.chgAmt],
    balance: (row) => [other(row.balance)],
    heldAmt: (row) => [other(row.heldAmt)],
    held: (row) => [other(row.held)],
    overdraftLimit: (row) => [other(row.overdraftLimit), row.overdraftLimit === null ? 1n : null],
    acctStatus: (row) => [next(accountStatuses, row.acctStatus)],
    xactId: (row) => [other(row.xactId)],
    holdId: (row) => [other(row.holdId), row.holdId === null ? 1n : null],
    holdExpiresAt: (row) => [other(row.holdExpiresAt), row.holdExpiresAt === null ? 1n : null],
    reversesXactId: (row) => [other(row.reversesXactId), row.reversesXactId === null ? 1n : null],
    owner: (row) => [otherText(row.owner), row.owner === null ? "." : null],
    currency: (row) => [`${row.currency}X`],
    scale: (row) => [(row.scale + 1) % 9],
    isForced: (row) => [!row.isForced],
    xactRows: (row) => [row.xactRows + 1],
    valueDate: (row) => [row.valueDate === null ? "2026-11-23" : null],
    textsHash: (row) => otherHash(row.textsHash),
    idemKey: (row) => otherHash(row.idemKey),
    requestHash: (row) => otherHash(row.requestHash),
    detailsHash: (row) => otherHash(row.detailsHash),
    actor: (row) => [`${row.actor}.`],
    effectiveTime: (row) => [other(row.effectiveTime)],
    chgCreateTime: (row) => [other(row.chgCreateTime)],
  }

  it("every column of a row has a mutation", () => {
    const columns = Object.keys(vectors.changes[0]!.row)
    assert.deepStrictEqual(Object.keys(mutations).toSorted(), columns.toSorted())
    assert.strictEqual(columns.length, 28)
  })

  it.prop(
    "each column changes the bytes and the hash",
    [Generated.unsealedChange],
    ([row]) => {
      const prevHash = new Uint8Array(32)
      const seen = new Set([canonicalBytes(row).toHex()])
      const hashes = new Set([seal(row, prevHash).chgHash.toHex()])
      let count = 1
      for (const [column, mutate] of Object.entries(mutations)) {
        for (const value of mutate(row)) {
          const mutated = { ...row, [column]: value }
          const bytes = canonicalBytes(mutated).toHex()
          assert.isFalse(seen.has(bytes), `${column} as ${String(value)} is not told apart`)
          seen.add(bytes)
          hashes.add(seal(mutated, prevHash).chgHash.toHex())
          count += 1
        }
      }
      assert.strictEqual(hashes.size, count)
    },
    { arbitrary: { runs: 40 } },
  )

  it.prop(
    "each bit of the hash before changes the hash",
    [Generated.unsealedChange, Generated.int(0, 255)],
    ([row, bit]) => {
      const flipped = new Uint8Array(32)
      flipped[bit >> 3] = 1 << (bit & 7)
      assert.notStrictEqual(seal(row, flipped).chgHash.toHex(), seal(row, new Uint8Array(32)).chgHash.toHex())
    },
    runs,
  )

  it.prop(
    "the hash is that of the bytes and the hash before, one after the other",
    [Generated.unsealedChange],
    ([row]) => {
      const prevHash = Uint8Array.from({ length: 32 }, (_, index) => index)
      assert.strictEqual(seal(row, prevHash).chgHash.toHex(), openssl(canonicalBytes(row), prevHash))
      assert.strictEqual(seal(row, prevHash).chgHash.length, 32)
    },
    runs,
  )

  it.prop(
    "texts and their salt are not in the bytes of a row: they can be erased",
    [Generated.unsealedChange],
    ([row]) => assert.strictEqual(canonicalBytes({ ...row, ...noTexts }).toHex(), canonicalBytes(row).toHex()),
    runs,
  )

  it("text cannot move from one column to the next", () => {
    const row = rowOf(vectors.changes[0]!.row)
    const texts = [
      { owner: "ABC", currency: "DEF" },
      { owner: "AB", currency: "CDEF" },
      { owner: "ABCD", currency: "EFG" },
      { owner: null, currency: "ABCDEF" },
    ].map(({ currency, owner }) => ({ owner, currency: Currency.make(currency) }))
    const bytes = texts.map((columns) => canonicalBytes({ ...row, ...columns }).toHex())
    assert.strictEqual(new Set(bytes).size, texts.length)
  })

  it("an account's first hash names the ledger and the account", () => {
    const [one, , other] = vectors.genesis
    const ledgers = [one!.ledgerId, "00000000-0000-0000-0000-000000000001"]
    const hashes = ledgers.flatMap((id) => [one!, other!].map(({ acctId }) => genesisHash(id, acctId).toHex()))
    assert.strictEqual(new Set(hashes).size, 4)
  })
})

const said = ({ metadata, ...others }: Texts) =>
  JSON.stringify([others.reference, others.description, Object.entries(metadata ?? {}).toSorted()])

describe("the hash of texts", () => {
  const texts = Arbitrary.all({
    reference: Generated.nullOr(Generated.words),
    description: Generated.nullOr(Generated.words),
    metadata: Generated.nullOr(Generated.metadata),
  })
  const salt = new Uint8Array(16)

  it.prop(
    "tells different texts apart, and no order of keys",
    [texts, texts],
    ([a, b]) => {
      assert.strictEqual(textsHash(a, salt).toHex() === textsHash(b, salt).toHex(), said(a) === said(b))
      const metadata = a.metadata && Object.fromEntries(Object.entries(a.metadata).toReversed())
      assert.strictEqual(textsHash({ ...a, metadata }, salt).toHex(), textsHash(a, salt).toHex())
      assert.notStrictEqual(
        textsHash(
          a,
          salt.map(() => 1),
        ).toHex(),
        textsHash(a, salt).toHex(),
      )
    },
    runs,
  )

  it("text cannot move from a key to its value", () => {
    const maps = [{ ab: "c" }, { a: "bc" }, { a: "b", c: "" }, { a: "", b: "c" }, { abc: "" }]
    const hashes = maps.map((metadata) => textsHash({ reference: null, description: null, metadata }, salt).toHex())
    assert.strictEqual(new Set(hashes).size, maps.length)
  })

  it("each detail of an account is in theirs", () => {
    const details = { custName: "Ada", custAddress: "London", reference: null, metadata: null }
    const others: ReadonlyArray<Partial<AccountDetails>> = [
      {},
      { custName: "AdaL", custAddress: "ondon" },
      { custName: "" },
      { custAddress: "" },
      { reference: "" },
      { reference: "DE02" },
      { metadata: { a: "" } },
    ]
    const hashes = others.map((other) => detailsHash({ ...details, ...other }, salt).toHex())
    assert.strictEqual(new Set(hashes).size, others.length)
    assert.strictEqual(detailsHash({ ...details, metadata: {} }, salt).toHex(), hashes[0])
  })
})

describe("CanonicalBytes", () => {
  it("keeps records of different kinds apart", () => {
    assert.strictEqual(record("a"), "610001")
    assert.notStrictEqual(record("a"), record("ab"))
  })

  it("writes several records at the same time, and none twice", () => {
    const a = new CanonicalBytes("a").u8(1)
    const b = new CanonicalBytes("b").u8(2)
    a.u8(3)
    b.u8(4)
    assert.deepStrictEqual([a.toBytes().toHex(), b.toBytes().toHex()], ["61000103", "62000204"])
    assert.throws(() => a.u8(5), TypeError)
    assert.throws(() => b.toBytes(), TypeError)
  })

  it.each([0n, 1n, -1n, 10n ** 28n - 1n, 1n - 10n ** 28n, 2n ** 64n, -(2n ** 64n), 2n ** 127n - 1n, -(2n ** 127n)])(
    "%s is sixteen bytes in two's complement",
    (value) => {
      const hex = BigInt.asUintN(128, value).toString(16).padStart(32, "0")
      assert.strictEqual(new CanonicalBytes("").i128(value).toBytes().toHex(), `00${hex}`)
    },
  )

  it.prop(
    "grows without losing what was written",
    [parts],
    ([parts]) => {
      const written = new CanonicalBytes("t")
      const expected: Array<string> = ["7400"]
      for (const part of parts) {
        written.bytes(part).u8(7)
        expected.push(part.length.toString(16).padStart(8, "0"), part.toHex(), "07")
      }
      assert.strictEqual(written.toBytes().toHex(), expected.join(""))
    },
    { arbitrary: { runs: 50 } },
  )
})

describe("sha256", () => {
  it.each([
    ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    [
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ],
  ])("of %j is that of FIPS 180-4", (text, expected) => {
    const bytes = new TextEncoder().encode(text)
    assert.strictEqual(nodeSha256(bytes).toHex(), expected)
    assert.strictEqual(portableSha256(bytes).toHex(), expected)
  })

  it("both agree at every length around a block of 64 bytes", () => {
    for (let length = 0; length <= 200; length++) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index * 31 + length) & 255)
      assert.strictEqual(portableSha256(bytes).toHex(), nodeSha256(bytes).toHex(), `${length} bytes`)
    }
  })

  it.prop(
    "both agree on any bytes",
    [parts],
    ([parts]) => {
      const bytes = Uint8Array.from(parts.flatMap((part) => [...part]))
      const before = bytes.toHex()
      assert.strictEqual(portableSha256(bytes).toHex(), nodeSha256(bytes).toHex())
      assert.strictEqual(portableSha256(bytes).toHex(), openssl(...parts))
      assert.strictEqual(bytes.toHex(), before)
    },
    { arbitrary: { runs: 100 } },
  )
})
