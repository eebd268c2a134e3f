import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Actor } from "../src/request/Actor.ts"
import { addressLengthMax, CustomerAddress, CustomerName, nameLengthMax } from "../src/account/Customer.ts"
import { Description, descriptionLengthMax, text } from "../src/text/Text.ts"

const isShort = Schema.is(text(1, 4))

describe("text", () => {
  it.each([
    "a",
    "abcd",
    "\u00e9",
    "e\u0301",
    "\u65e5\u672c",
    "\u{1f600}",
    "\u{1f600}\u{1f600}",
    "\n",
    "\u0001",
    "\uffff",
  ])("takes %j", (value) => assert.isTrue(isShort(value)))

  it.each([
    ["NUL", "\0"],
    ["NUL inside", "a\0b"],
    ["NUL at the end", "a\0"],
    ["a high surrogate alone", "\ud83d"],
    ["a low surrogate alone", "\ude00"],
    ["what bytes that are no UTF-8 become", "\ufffd"],
    ["surrogates the wrong way round", "\ude00\ud83d"],
    ["a high surrogate before a letter", "\ud83da"],
    ["too short a text", ""],
    ["too long a text", "abcde"],
    ["too many UTF-16 code units", "\u{1f600}\u{1f600}\u{1f600}"],
  ])("refuses %s", (_, value) => assert.isFalse(isShort(value)))

  it.each([1, null, undefined, ["a"]])("refuses what is no text: %s", (value) => assert.isFalse(isShort(value)))

  it.prop("what it takes, UTF-8 gives back", [text(0, 100)], ([value]) => {
    assert.strictEqual(
      new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new TextEncoder().encode(value)),
      value,
    )
    assert.isFalse(value.includes("\0"))
  })

  it.each([
    ["a description", Description, 0, descriptionLengthMax, 1000],
    ["a customer's name", CustomerName, 1, nameLengthMax, 200],
    ["a customer's address", CustomerAddress, 0, addressLengthMax, 500],
  ] as const)("%s has its limits", (_, schema, lengthMin, lengthMax, expected) => {
    const is = Schema.is(schema)
    assert.strictEqual(lengthMax, expected)
    assert.strictEqual(is(""), lengthMin === 0)
    assert.isTrue(is("x".repeat(lengthMin)))
    assert.isTrue(is("x".repeat(lengthMax)))
    assert.isFalse(is("x".repeat(lengthMax + 1)))
    assert.isFalse(is("x\0"))
    assert.isFalse(is("x\ud83d"))
  })
})

describe("Actor", () => {
  const isActor = Schema.is(Actor)

  it.each(["a", "teller-7", "https://issuer.example/users/1", "!~", "a".repeat(128)])("takes %s", (value) =>
    assert.isTrue(isActor(value)),
  )

  it.each(["", " ", "a b", "a\n", "\u007f", "\u00e9", "a".repeat(129)])("refuses %j", (value) =>
    assert.isFalse(isActor(value)),
  )
})
