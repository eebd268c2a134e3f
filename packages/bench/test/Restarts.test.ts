/** One round of what `pnpm bench restarts` does ten of. It asserts nothing about speed. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Balancer from "../src/Balancer.ts"
import * as Database from "../src/Database.ts"
import { fill } from "../src/Fill.ts"
import { instanceCount, rowsDefault, run, type Stop } from "../src/Restarts.ts"

const restart = (stop: Stop, balancer: Balancer.BalancerName) =>
  Effect.gen(function* () {
    const database = yield* Database.make
    const filled = yield* fill(database, rowsDefault)
    const done = yield* run(database, filled, { rounds: 1, clients: 6, balancer, stop, onRestart: () => Effect.void })
    assert.strictEqual(done.restarts, instanceCount)
    assert.isAbove(done.requests, 0)
    assert.deepStrictEqual(done.faults, [])
    assert.deepStrictEqual(done.exits, [])
    assert.strictEqual(done.lost, 0)
    return done.failures
  }).pipe(Effect.scoped)

it.live(
  "where the balancer sees it first, no request fails while instances are restarted one by one",
  () => Effect.map(restart("seen", "own"), (failures) => assert.deepStrictEqual([...failures], [])),
  300_000,
)

it.live(
  "where nobody is told, no request is lost for a client that sends it again with its key",
  () => restart("unseen", Balancer.hasHaproxy() ? "haproxy" : "own"),
  300_000,
)
