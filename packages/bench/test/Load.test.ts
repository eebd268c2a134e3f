/** That the load generator does not look away when the server stalls, and logs what became of each request. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import * as Load from "../src/Load.ts"

const stallMillis = 500

const served = (listener: RequestListener) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Server>((resume) => {
        const server = createServer(listener).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        }),
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  )

/** Refuses everything at once, but for one request that it keeps. */
const stalling = (): RequestListener => {
  let count = 0
  return (request, response) => {
    request.resume()
    response.statusCode = request.method === "GET" ? 200 : 422
    if (++count === 20) setTimeout(() => response.end("{}"), stallMillis)
    else response.end("{}")
  }
}

const options = (url: string, rate: number | null): Load.LoadOptions => ({
  urls: [url],
  workload: "uniform",
  accounts: ["00000000-0000-4000-8000-000000000001"],
  clients: 1,
  rate,
  warmMillis: 0,
  measureMillis: 1_000,
  seed: 1,
  run: "test",
  isLogged: true,
})

const window: Load.Window = { started: () => undefined, ended: () => undefined }

describe("load", () => {
  it.live("counts a stall for each request that should have left during it", () =>
    Effect.gen(function* () {
      const { counts, latency, log } = yield* Load.run(options(yield* served(stalling()), 100), window)
      // Half of the second is the stall; on one connection, what should have left then waits for its end.
      assert.isAbove(latency!.p95, stallMillis / 2)
      assert.isAtLeast(latency!.max, stallMillis * 0.99)
      assert.isAbove(counts.refused, 0)
      assert.isAtLeast(log!.attempts.length, counts.refused)
    }),
  )

  it.live("in a closed loop, a stall is one slow answer", () =>
    Effect.gen(function* () {
      const { latency } = yield* Load.run(options(yield* served(stalling()), null), window)
      assert.isAtLeast(latency!.max, stallMillis * 0.99)
      assert.isBelow(latency!.p50, stallMillis / 2)
    }),
  )

  it.live("does not guess what became of a request whose connection broke", () =>
    Effect.gen(function* () {
      const url = yield* served((request, response) => {
        if (request.method === "GET") response.end()
        else request.socket.destroy()
      })
      const { counts, log } = yield* Load.run(options(url, null), window)
      assert.isAbove(counts.unknown, 0)
      assert.isTrue(log!.attempts.every(({ outcome }) => outcome === "unknown"))
    }),
  )
})
