import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { sqlState } from "../src/database/DatabaseError.ts"
import * as FaultyProxy from "@banquo/testing/FaultyProxy"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** A proxy, a client through it with one connection, and one beside it. */
const start = Effect.gen(function* () {
  const { ownerUrl } = yield* TestDatabase.TestDatabase
  const proxy = yield* FaultyProxy.make(ownerUrl)
  const through = yield* TestDatabase.connect(proxy.url)
  const beside = yield* TestDatabase.connect(ownerUrl, 2)
  yield* beside`DROP TABLE IF EXISTS note`
  yield* beside`CREATE TABLE note (text TEXT PRIMARY KEY)`
  const note = (text: string) => through`INSERT INTO note (text) VALUES (${text})`
  const notes = Effect.map(beside<{ text: string }>`SELECT text FROM note ORDER BY text`, (rows) =>
    rows.map(({ text }) => text),
  )
  return { proxy, through, beside, note, notes }
})

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("a faulty proxy", (it) => {
  it.effect("hands everything through as long as nothing is to fail", () =>
    Effect.gen(function* () {
      const { note, notes, proxy, through } = yield* start
      yield* note("one")
      yield* note("two")
      const long = "x".repeat(300_000)
      assert.deepStrictEqual(yield* through`SELECT ${long}::TEXT AS long`, [{ long }])
      assert.deepStrictEqual(yield* notes, ["one", "two"])
      assert.strictEqual(yield* proxy.connectionCount, 1)
    }),
  )

  it.effect("loses replies of statements that were carried out, also of those that are prepared already", () =>
    Effect.gen(function* () {
      const { note, notes, proxy } = yield* start
      yield* note("one")
      const fault = yield* proxy.loseReply("INSERT INTO note", 2)
      const exits = [yield* Effect.exit(note("two")), yield* Effect.exit(note("three"))]
      yield* fault.happened
      assert.deepStrictEqual(exits.map(Exit.isFailure), [true, true])
      yield* note("four")
      assert.deepStrictEqual(yield* notes, ["four", "one", "three", "two"])
      assert.strictEqual(yield* fault.count, 2)
    }),
  )

  it.effect("loses a statement, chosen by one of its parameters", () =>
    Effect.gen(function* () {
      const { note, notes, proxy } = yield* start
      const fault = yield* proxy.loseStatement("two")
      yield* note("one")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(note("two"))))
      yield* fault.happened
      yield* note("three")
      assert.deepStrictEqual(yield* notes, ["one", "three"])
    }),
  )

  it.effect("leaves the server alone with a statement", () =>
    Effect.gen(function* () {
      const { beside, note, notes, proxy } = yield* start
      const fault = yield* proxy.abandon("INSERT INTO note")
      const undone = yield* Effect.flip(
        beside.withTransaction(
          Effect.gen(function* () {
            yield* beside`INSERT INTO note (text) VALUES ('one')`
            assert.isTrue(Exit.isFailure(yield* Effect.exit(note("one"))))
            yield* fault.happened
            yield* TestDatabase.untilWaiting(beside, 1)
            return yield* Effect.fail("undone" as const)
          }),
        ),
      )
      assert.strictEqual(undone, "undone")
      yield* TestDatabase.until(Effect.map(notes, (found) => found.length > 0))
      assert.deepStrictEqual(yield* notes, ["one"])
    }),
  )

  it.effect("has a statement carried out and reports an error", () =>
    Effect.gen(function* () {
      const { note, notes, proxy } = yield* start
      yield* note("one")
      yield* proxy.misreport("INSERT INTO note", "40003")
      const error = yield* Effect.flip(note("two"))
      assert.strictEqual(sqlState(error), "40003")
      yield* note("three")
      assert.deepStrictEqual(yield* notes, ["one", "three", "two"])
    }),
  )

  it.effect("drains: neither the statement nor the connection is served any more", () =>
    Effect.gen(function* () {
      const { note, notes, proxy } = yield* start
      yield* note("one")
      const fault = yield* proxy.drain("two")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(note("two"))))
      yield* fault.happened
      yield* note("three")
      assert.deepStrictEqual(yield* notes, ["one", "three"])
      assert.strictEqual(yield* proxy.connectionCount, 2)
    }),
  )

  it.effect("has a statement refused, and with it the transaction that it is in", () =>
    Effect.gen(function* () {
      const { note, notes, proxy, through } = yield* start
      yield* proxy.refuse("two", "40001")
      const error = yield* Effect.flip(through.withTransaction(Effect.andThen(note("one"), note("two"))))
      assert.strictEqual(error.reason._tag, "SerializationError")
      yield* note("three")
      assert.deepStrictEqual(yield* notes, ["three"])
    }),
  )

  it.effect("holds a statement until it is let go", () =>
    Effect.gen(function* () {
      const { note, notes, proxy } = yield* start
      const hold = yield* proxy.hold("INSERT INTO note")
      const fiber = yield* Effect.forkChild(note("one"))
      yield* hold.arrived
      assert.deepStrictEqual(yield* notes, [])
      const sent = yield* proxy.watch("INSERT INTO note")
      yield* hold.release
      yield* sent.happened
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* notes, ["one"])
    }),
  )

  it.effect("goes away and comes back", () =>
    Effect.gen(function* () {
      const { note, notes, proxy } = yield* start
      yield* note("one")
      yield* proxy.goAway
      const errors = [yield* Effect.flip(note("two")), yield* Effect.flip(note("three"))]
      assert.deepStrictEqual(
        errors.map((error) => error.reason._tag),
        ["ConnectionError", "ConnectionError"],
      )
      assert.strictEqual(errors[1]?.reason.operation, "connect")
      yield* proxy.comeBack
      yield* note("four")
      assert.deepStrictEqual(yield* notes, ["four", "one"])
      yield* proxy.dropConnections
      yield* Effect.retry(note("five"), { times: 1 })
      assert.deepStrictEqual(yield* notes, ["five", "four", "one"])
    }),
  )
})
