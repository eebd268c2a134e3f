import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import { BalanceChangeId, BalanceChangeIdFromString } from "../src/chain/BalanceChangeId.ts"

const isId = Schema.is(BalanceChangeId)
const decode = Schema.decodeUnknownExit(BalanceChangeIdFromString)
const encode = Schema.encodeSync(BalanceChangeIdFromString)

const max = 9_223_372_036_854_775_807n

describe("BalanceChangeId", () => {
  it("is a positive 64-bit integer", () => {
    for (const id of [1n, 2n, 9_007_199_254_740_993n, max]) assert.isTrue(isId(id), String(id))
    for (const id of [0n, -1n, -max, max + 1n, 2n ** 64n]) assert.isFalse(isId(id), String(id))
    for (const id of [1, "1", null, undefined]) assert.isFalse(isId(id), String(id))
  })

  it.prop("callers read it as text, without loss", [BalanceChangeId], ([id]) => {
    assert.match(encode(id), /^[1-9]\d*$/)
    assert.deepStrictEqual(decode(encode(id)), Exit.succeed(id))
  })

  it("keeps the digits that a JSON number would lose", () => {
    assert.strictEqual(encode(BalanceChangeId.make(max)), "9223372036854775807")
    assert.deepStrictEqual(decode("9223372036854775807"), Exit.succeed(BalanceChangeId.make(max)))
  })

  it.each([
    "",
    "0",
    "-1",
    "+1",
    "01",
    "1.0",
    "1e3",
    "0x10",
    " 1",
    "1 ",
    "1\n",
    "1_000",
    "\uff11",
    "9223372036854775808",
    "9999999999999999999",
    "10000000000000000000",
    42,
    42n,
    null,
  ])("callers cannot name one by %s", (value) => assert.isTrue(Exit.isFailure(decode(value))))
})
