import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import { AccountId, AccountIdFromString } from "../src/account/AccountId.ts"
import * as Generated from "./Generated.ts"

const isAccountId = Schema.is(AccountId)
const decode = Schema.decodeUnknownExit(AccountIdFromString)
const encode = Schema.encodeSync(AccountIdFromString)

const id = "018f4e5a-7c1b-7d3e-9f2a-4b5c6d7e8f90"

const malformed = [
  "",
  "018f4e5a7c1b7d3e9f2a4b5c6d7e8f90",
  `{${id}}`,
  `urn:uuid:${id}`,
  ` ${id}`,
  `${id} `,
  `${id}\n`,
  id.slice(1),
  `${id}0`,
  id.replace("a", "g"),
  id.replaceAll("-", "_"),
  "018f4e5-a7c1b-7d3e-9f2a-4b5c6d7e8f90",
  id.replace("0", "\uff10"),
]

describe("AccountId", () => {
  it.each([id, "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"])("takes %s", (text) => {
    assert.isTrue(isAccountId(text))
    assert.deepStrictEqual(decode(text), Exit.succeed(AccountId.make(text)))
  })

  it.each(malformed)("refuses %j, from callers too", (text) => {
    assert.isFalse(isAccountId(text))
    assert.isTrue(Exit.isFailure(decode(text)))
  })

  it("has one spelling: upper case is refused inside and read from callers", () => {
    assert.isFalse(isAccountId(id.toUpperCase()))
    assert.deepStrictEqual(decode(id.toUpperCase()), Exit.succeed(AccountId.make(id)))
  })

  it.prop("is read from either case, and written in lower case", [Generated.accountId], ([accountId]) => {
    assert.deepStrictEqual(decode(accountId.toUpperCase()), Exit.succeed(accountId))
    assert.strictEqual(encode(accountId), accountId)
    assert.strictEqual(accountId, accountId.toLowerCase())
  })
})
