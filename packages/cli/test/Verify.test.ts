import { open } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { run } from "./ServeProcess.ts"

layer(TestDatabase.layer, { excludeTestServices: true })("banquo verify", (it) => {
  it.effect("ends with 0 on a sound ledger; with 1 on another, and names the row and no amount", () =>
    Effect.gen(function* () {
      const { appUrl, ownerUrl } = yield* TestDatabase.TestDatabase
      const accountId = yield* open("123.45")
      const env = { DATABASE_URL: Redacted.value(appUrl) }
      const sound = yield* run(["verify"], env)
      assert.strictEqual(yield* sound.exited, 0, sound.stderr())
      assert.include(sound.stdout(), "the ledger is sound: 1 accounts, 1 changes")
      assert.strictEqual(sound.stderr(), "")

      const owner = yield* TestDatabase.connect(ownerUrl)
      yield* owner`UPDATE balance_change SET balance = balance + 1, chg_amt = chg_amt + 1`
      const other = yield* run(["verify"], env)
      assert.strictEqual(yield* other.exited, 1)
      assert.match(
        other.stderr(),
        new RegExp(`^banquo: the ledger is not sound: 1 faults, the first: account ${accountId}, sequence 0, .*\\n$`),
      )
      assert.notMatch(`${other.stdout()}${other.stderr()}`, /12[34]\.45/)
    }),
  )
})
