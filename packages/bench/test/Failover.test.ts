/** One case of what `pnpm bench failover` does, and a little of `pnpm bench soak`. They assert nothing about speed. */
import * as Replicas from "@banquo/testing/Replicas"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Failover from "../src/Failover.ts"
import * as Soak from "../src/Soak.ts"

it.live(
  "the primary is killed and its standby promoted under load from three instances: nothing is lost",
  () =>
    Effect.gen(function* () {
      const pristine = yield* Replicas.makePristine
      const one = Failover.cases.find(({ name }) => name === "failover")!
      const outcome = yield* Failover.run(pristine, one, 1)
      assert.deepStrictEqual(outcome.faults, [])
      assert.strictEqual(outcome.lost, 0)
      assert.isTrue(Failover.isKept(outcome, one))
      assert.isFinite(outcome.foundMillis)
      assert.isAbove(outcome.audited, 0)
    }).pipe(Effect.scoped),
  300_000,
)

it.live(
  "life goes on with one fault after the other",
  () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const onFault = (line: string) => Effect.sync(() => void lines.push(line))
      // Of this seed the first fault is a failover.
      const soaked = yield* Soak.run({ seconds: 8, topSeconds: 1, faultSeconds: 4, part: 0.5, seed: 19, onFault })
      assert.deepStrictEqual(soaked.faults, [])
      assert.isTrue(Soak.isSound(soaked))
      assert.isNotEmpty(lines)
      assert.match(lines[0]!, /^primary killed, standby promoted/)
    }).pipe(Effect.scoped),
  300_000,
)
