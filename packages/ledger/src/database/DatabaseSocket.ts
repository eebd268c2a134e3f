/**
 * A connection to the first of several hosts that takes it. The nodes of a CockroachDB are equal, and one that is restarted
 * refuses.
 */
import { connect, isIP, type Socket } from "node:net"
import { Duplex } from "node:stream"
import { connect as connectTls } from "node:tls"
import type { DatabaseUrl, Host } from "./DatabaseUrl.ts"

export type Route = Pick<DatabaseUrl, "hosts" | "isBalanced" | "tls" | "tlsOptions">

/** Longest wait for one host before the next is tried, in milliseconds. A driver's own time-out bounds all of them. */
export const hostTimeoutMillis = 1_000

/**
 * Answers with the socket when the host is ready to be spoken to, and with what it said to `greeting`. A host that closes the
 * connection or says that it takes none now is as good as one that refuses.
 */
export const dial = async (
  { hosts, isBalanced, ...security }: Route,
  greeting?: Buffer,
  timeoutMillis = hostTimeoutMillis,
): Promise<{ readonly socket: Socket; readonly answer: Buffer }> => {
  let failure: unknown
  const first = isBalanced ? Math.floor(Math.random() * hosts.length) : 0
  for (const host of [...hosts.slice(first), ...hosts.slice(0, first)]) {
    try {
      const socket = await dialOne(host, security, timeoutMillis)
      return { socket, answer: greeting === undefined ? Buffer.alloc(0) : await greet(socket, greeting, timeoutMillis) }
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/** The first part of what the host says to the message that starts a session. */
const greet = (socket: Socket, greeting: Buffer, timeoutMillis: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    // A host says nothing to the request to cancel a statement.
    if (greeting.length === cancelRequestSize) {
      socket.end(greeting)
      return resolve(Buffer.alloc(0))
    }
    const fail = (error: Error) => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => fail(new Error("the host did not answer in time")), timeoutMillis)
    const onClose = () => fail(new Error("the host closed the connection"))
    socket.on("close", onClose)
    socket.once("data", (answer: Buffer) => {
      if (notNow.test(answer.toString("latin1"))) return fail(new Error("the host takes no connections now"))
      clearTimeout(timer)
      socket.off("close", onClose)
      socket.pause()
      resolve(answer)
    })
    socket.write(greeting)
    socket.resume()
  })

const cancelRequestSize = 16

/** An error with one of these codes: shutting down, starting up, too many connections. */
const notNow = /^E[^]{4,}?\0C(?:57P0[123]|53300)\0/

const dialOne = (
  { host, port }: Host,
  { tls, tlsOptions }: Pick<Route, "tls" | "tlsOptions">,
  timeoutMillis: number,
): Promise<Socket> =>
  new Promise((resolve, reject) => {
    let socket = connect(host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port, noDelay: true })
    const fail = (error: Error) => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => fail(new Error("the host did not answer in time")), timeoutMillis)
    const onClose = () => fail(new Error("the host closed the connection"))
    const watch = () => {
      // Stays for good: whoever has the socket later sees its end by `close`.
      socket.on("error", fail)
      socket.on("close", onClose)
    }
    const done = () => {
      clearTimeout(timer)
      socket.off("close", onClose)
      socket.pause()
      resolve(socket)
    }
    watch()
    socket.once("connect", () => {
      if (tls === "off") return done()
      socket.once("data", (answer: Buffer) => {
        if (answer.length === 1 && answer[0] === tlsRefused && tls === "optional") return done()
        if (answer.length !== 1 || answer[0] !== tlsAccepted) return fail(new Error("the host does not offer TLS"))
        socket.off("close", onClose)
        socket = connectTls({ host, ...(isIP(host) === 0 ? { servername: host } : {}), ...tlsOptions, socket })
        watch()
        socket.once("secureConnect", done)
      })
      socket.write(tlsRequest)
    })
  })

/** The message with which TLS is asked for, and its two answers. */
const tlsRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const tlsAccepted = 0x53 // "S"
const tlsRefused = 0x4e // "N"

/** What the driver speaks through: its first message, which starts the session, finds the host. */
export class DatabaseSocket extends Duplex {
  readonly #route: Route
  #socket: Socket | undefined

  constructor(route: Route) {
    super({ allowHalfOpen: false })
    this.#route = route
  }

  override _read(): void {
    this.#socket?.resume()
  }

  override _write(chunk: Buffer, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (this.#socket !== undefined) this.#socket.write(chunk, callback)
    else this.#start(chunk).then(() => callback(), callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#socket === undefined) callback()
    else this.#socket.end(callback)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket?.destroy()
    callback(error)
  }

  async #start(message: Buffer): Promise<void> {
    const { answer, socket } = await dial(this.#route, message)
    // Given up meanwhile.
    if (this.destroyed) return void socket.destroy()
    this.#socket = socket
    socket.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) socket.pause()
    })
    socket.on("end", () => this.push(null))
    socket.on("error", (error) => this.destroy(error))
    socket.on("close", () => this.destroy())
    if (answer.length > 0) this.push(answer)
    socket.resume()
  }
}
