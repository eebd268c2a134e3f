import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import { bytesMax, keyLengthMax, keysMax, Metadata } from "../src/text/Metadata.ts"

const decode = Schema.decodeUnknownExit(Metadata)
const takes = (value: unknown) => Exit.isSuccess(decode(value))

const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${index}`, ""]))

describe("Metadata", () => {
  it("has these limits", () => assert.deepStrictEqual([keysMax, keyLengthMax, bytesMax], [50, 100, 16_384]))

  it("takes as many keys as the limit says", () => {
    assert.isTrue(takes({}))
    assert.isTrue(takes(keys(50)))
    assert.isFalse(takes(keys(51)))
  })

  it("takes keys of 1 to 100 UTF-16 code units", () => {
    assert.isFalse(takes({ "": "value" }))
    assert.isTrue(takes({ k: "value" }))
    assert.isTrue(takes({ ["k".repeat(100)]: "value" }))
    assert.isFalse(takes({ ["k".repeat(101)]: "value" }))
    assert.isTrue(takes({ ["\u{1f511}".repeat(50)]: "value" }))
    assert.isFalse(takes({ ["\u{1f511}".repeat(51)]: "value" }))
  })

  it("takes 16 KiB of keys and values together, in UTF-8", () => {
    assert.isTrue(takes({ k: "v".repeat(16_383) }))
    assert.isFalse(takes({ k: "v".repeat(16_384) }))
    assert.isTrue(takes({ a: "v".repeat(8_191), b: "v".repeat(8_191) }))
    assert.isFalse(takes({ a: "v".repeat(8_191), b: "v".repeat(8_192) }))
    // 3 bytes each in UTF-8, 1 code unit in UTF-16.
    assert.isTrue(takes({ k: "\u65e5".repeat(5_461) }))
    assert.isFalse(takes({ k: "\u65e5".repeat(5_462) }))
  })

  // A record schema drops the keys that it refuses and takes the rest: then half of what a caller said would be lost.
  it.each(["", "k".repeat(101), "a\0", "\ud800", "\udc00k"])("refuses the whole map for the key %j", (key) =>
    assert.isFalse(takes({ good: "value", [key]: "value" })),
  )

  it.each(["\0", "a\0b", "\ud83d", "\ude00", 1, true, null, undefined, {}, []])("refuses the value %j", (value) =>
    assert.isFalse(takes({ good: "value", key: value })),
  )

  it.each([null, undefined, "text", 1, true, [], ["text"]])("refuses %j for a map", (value) =>
    assert.isFalse(takes(value)),
  )

  it("keeps every key, also those that objects have by nature", () => {
    const map: unknown = JSON.parse('{"__proto__":"a","constructor":"b","toString":"c","10":"d","9":"e"}')
    const decoded = decode(map)
    assert.isTrue(Exit.isSuccess(decoded))
    if (Exit.isSuccess(decoded)) {
      assert.deepStrictEqual(Object.entries(decoded.value).toSorted(), Object.entries(map as object).toSorted())
      assert.isTrue(Object.hasOwn(decoded.value, "__proto__"))
    }
  })

  it.prop("gives back what it takes", [Metadata], ([map]) => {
    const decoded = decode(map)
    assert.isTrue(Exit.isSuccess(decoded))
    if (Exit.isSuccess(decoded)) assert.deepStrictEqual(Object.entries(decoded.value), Object.entries(map))
  })
})
