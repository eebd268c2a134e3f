/** What the socket does with a server that is silent, leaves, or says that a commit did not wait. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { DatabaseSocket, leftMax, OpenSockets } from "../src/database/DatabaseSocket.ts"

const message = (type: string, body: Buffer | string = ""): Buffer => {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(5)
  head.write(type, 0, "latin1")
  head.writeInt32BE(4 + bytes.length, 1)
  return Buffer.concat([head, bytes])
}

const pidOf = (pid: number) => {
  const body = Buffer.alloc(8)
  body.writeInt32BE(pid, 0)
  return body
}

const started = (pid: number) =>
  Buffer.concat([message("R", Buffer.alloc(4)), message("K", pidOf(pid)), message("Z", "I")])
const sync = message("S")
const startup = Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0])

const cancel = (pid: number) => {
  const frame = Buffer.alloc(16)
  frame.writeInt32BE(16, 0)
  frame.writeInt32BE(80_877_102, 4)
  frame.writeInt32BE(pid, 8)
  return frame
}

/** Starts sessions, the first of them as backend 1, and says nothing more by itself. */
const silentServer: Effect.Effect<
  { readonly port: number; readonly sessions: ReadonlyArray<Socket> },
  never,
  Scope.Scope
> = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ readonly listener: ReturnType<typeof createServer>; readonly sessions: Array<Socket> }>(
      (resume) => {
        const sessions: Array<Socket> = []
        const listener = createServer((socket) => {
          sessions.push(socket.on("error", () => {}))
          const pid = sessions.length
          socket.once("data", () => socket.write(started(pid)))
          socket.resume()
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed({ listener, sessions })))
      },
    ),
    ({ listener, sessions }) =>
      Effect.callback<void>((resume) => {
        listener.close(() => resume(Effect.void))
        for (const socket of sessions) socket.destroy()
      }),
  ),
  ({ listener, sessions }) => ({ port: (listener.address() as AddressInfo).port, sessions }),
)

const socketTo = (port: number, sockets: OpenSockets) =>
  new DatabaseSocket({
    sockets,
    route: () => ({ hosts: [{ host: "127.0.0.1", port }], isBalanced: false, tls: "off", tlsOptions: {} }),
  })

const events = (socket: DatabaseSocket, name: "close" | "data") =>
  Effect.callback<Buffer | undefined>((resume) => {
    socket.once(name, (chunk?: Buffer) => resume(Effect.succeed(chunk)))
  })

/** What was written before has been sent. */
const soon = Effect.promise(() => new Promise((resolve) => void setImmediate(resolve)))

/** A session that has begun, whose errors are known by its end. */
const begin = (port: number, sockets: OpenSockets) =>
  Effect.gen(function* () {
    const socket = socketTo(port, sockets)
    socket.on("error", () => {})
    socket.write(startup)
    yield* events(socket, "data")
    return socket
  })

it.live(
  "a socket that waits for an answer too long is ended, and its backend counted as left behind: at most two",
  () =>
    Effect.gen(function* () {
      const { port } = yield* silentServer
      const sockets = new OpenSockets()
      const [idle, ...waiting] = yield* Effect.all(Array.from({ length: leftMax + 2 }, () => begin(port, sockets)))
      const closed = yield* Effect.all(
        waiting.slice(0, leftMax).map((socket) => Effect.forkChild(events(socket, "close"))),
      )
      yield* soon
      for (const socket of waiting) socket.write(sync)
      sockets.endSilent(60_000, -1)
      assert.deepStrictEqual([...sockets.left], [])
      sockets.suspectAll()
      sockets.endSilent(60_000, -1)
      yield* Effect.forEach(closed, Fiber.await)
      assert.deepStrictEqual(
        waiting.map(({ destroyed }) => destroyed),
        [true, true, false],
      )
      assert.isFalse(idle!.destroyed)
      assert.deepStrictEqual([...sockets.left], [2, 3])
      sockets.endAll("the end of the test")
    }).pipe(Effect.scoped),
)

it.live("a request to cancel ends the socket of that backend, and is sent nowhere", () =>
  Effect.gen(function* () {
    const { port, sessions } = yield* silentServer
    const sockets = new OpenSockets()
    const [one, other] = [yield* begin(port, sockets), yield* begin(port, sockets)]
    one.write(sync)
    const closed = yield* Effect.forkChild(events(one, "close"))
    yield* soon
    const canceller = socketTo(port, sockets)
    const done = yield* Effect.forkChild(events(canceller, "close"))
    yield* soon
    canceller.write(cancel(1))
    yield* Fiber.await(closed)
    yield* Fiber.await(done)
    assert.isFalse(other.destroyed)
    assert.lengthOf(sessions, 2)
    assert.deepStrictEqual([...sockets.left], [1])
    sockets.endAll("the end of the test")
  }).pipe(Effect.scoped),
)

it.live("a commit that did not wait for the standbys is no answer: the connection breaks in its place", () =>
  Effect.gen(function* () {
    const { port, sessions } = yield* silentServer
    const socket = yield* begin(port, new OpenSockets())
    const heard: Array<Buffer> = []
    socket.on("data", (chunk: Buffer) => heard.push(chunk))
    socket.write(sync)
    const closed = yield* Effect.forkChild(events(socket, "close"))
    yield* soon
    sessions[0]!.write(
      Buffer.concat([
        message("N", "SWARNING\0C01000\0Mit did not wait\0RSyncRepWaitForLSN\0\0"),
        message("C", "INSERT 0 1\0"),
        message("Z", "I"),
      ]),
    )
    yield* Fiber.await(closed)
    assert.deepStrictEqual(heard, [])
  }).pipe(Effect.scoped),
)

it.live("a server that leaves has nothing left to do", () =>
  Effect.gen(function* () {
    const { port, sessions } = yield* silentServer
    const sockets = new OpenSockets()
    const socket = yield* begin(port, sockets)
    socket.write(sync)
    const closed = yield* Effect.forkChild(events(socket, "close"))
    yield* soon
    sessions[0]!.end()
    yield* Fiber.await(closed)
    assert.deepStrictEqual([...sockets.left], [])
  }).pipe(Effect.scoped),
)
