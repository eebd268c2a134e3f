/**
 * A way to a database that fails as networks do, below the protocol: nothing arrives, or little, or late, or the other side is gone
 * and nobody says so.
 */
import { Effect, type Scope } from "effect"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/**
 * - `stalled`: nothing arrives, and all of it when that is over, as packets that were lost are sent again.
 * - `black_hole`: whatever is sent is lost for good, also the start of new connections, which are taken.
 * - `half_open`: the server's end of each connection is gone, and the client's stays open; new ones are served.
 * - `trickle`: a byte of each answer every 100 ms.
 * - `reset`: all connections, and new ones as soon as they are made.
 * - `slow`: each way takes 100 ms more.
 */
export const weathers = ["stalled", "black_hole", "half_open", "trickle", "reset", "slow"] as const
export type Weather = (typeof weathers)[number] | "clear"

export interface BadLink {
  readonly port: number
  readonly set: (weather: Weather) => Effect.Effect<void>
  /** New connections lead to another port, as those to one name of several servers may. */
  readonly lead: (port: number) => Effect.Effect<void>
  /** Connections that the client keeps open. */
  readonly open: Effect.Effect<number>
}

const trickleMillis = 100
const slowMillis = 100

export const make = (target: {
  readonly host: string
  readonly port: number
}): Effect.Effect<BadLink, never, Scope.Scope> =>
  Effect.gen(function* () {
    const pairs = new Set<Pair>()
    const state: { weather: Weather; port: number } = { weather: "clear", port: target.port }
    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const listener = createServer({ noDelay: true }, (client) => {
          if (state.weather === "reset") return void client.resetAndDestroy()
          const pair = new Pair(client, { host: target.host, port: state.port }, () => state.weather)
          pairs.add(pair)
          client.once("close", () => pairs.delete(pair))
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(listener)))
      }),
      (listener) =>
        Effect.callback<void>((resume) => {
          listener.close(() => resume(Effect.void))
          for (const pair of pairs) pair.cut()
        }),
    )
    return {
      port: (server.address() as AddressInfo).port,
      open: Effect.sync(() => pairs.size),
      lead: (port) => Effect.sync(() => void (state.port = port)),
      set: (weather) =>
        Effect.sync(() => {
          state.weather = weather
          for (const pair of pairs) pair.change(weather)
        }),
    }
  })

/** The two ends of one connection. */
class Pair {
  readonly #client: Socket
  readonly #server: Socket
  readonly #weather: () => Weather
  /** Bytes were lost, so it never works again; nobody says so. */
  #isLost = false
  readonly #held: Array<() => void> = []

  constructor(client: Socket, target: { readonly host: string; readonly port: number }, weather: () => Weather) {
    this.#client = client
    this.#weather = weather
    this.#server = connect({ ...target, noDelay: true })
    for (const socket of [client, this.#server]) socket.on("error", () => socket.destroy())
    this.#pass(client, this.#server, false)
    this.#pass(this.#server, client, true)
    client.on("close", () => this.#server.destroy())
    this.#server.on("close", () => {
      if (!this.#isLost) client.destroySoon()
    })
    if (weather() === "black_hole") this.#isLost = true
  }

  change(weather: Weather) {
    if (weather !== "stalled") for (const pass of this.#held.splice(0)) pass()
    if (weather === "reset") this.#client.resetAndDestroy()
    if (weather === "black_hole" || weather === "half_open") this.#isLost = true
    if (weather === "half_open") this.#server.destroy()
  }

  cut() {
    this.#client.destroy()
    this.#server.destroy()
  }

  #pass(from: Socket, to: Socket, isAnswer: boolean) {
    from.on("data", (chunk: Buffer) => {
      const weather = this.#weather()
      if (weather === "black_hole") this.#isLost = true
      if (this.#isLost) return
      if (weather === "stalled") this.#held.push(() => this.#write(to, chunk))
      else if (weather === "slow") setTimeout(() => this.#write(to, chunk), slowMillis)
      else if (weather === "trickle" && isAnswer) this.#trickle(from, to, chunk)
      else this.#write(to, chunk)
    })
  }

  #trickle(from: Socket, to: Socket, chunk: Buffer) {
    from.pause()
    if (chunk.length === 0 || to.destroyed) return void from.resume()
    const size = this.#weather() === "trickle" ? 1 : chunk.length
    this.#write(to, chunk.subarray(0, size))
    setTimeout(() => this.#trickle(from, to, chunk.subarray(size)), trickleMillis)
  }

  #write(to: Socket, chunk: Buffer) {
    if (to.writable) to.write(chunk)
  }
}
