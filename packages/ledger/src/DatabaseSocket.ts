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

/** Answers with the socket when the server is ready to be spoken to. */
export const dial = async (
  { hosts, isBalanced, ...security }: Route,
  timeoutMillis = hostTimeoutMillis,
): Promise<Socket> => {
  let failure: unknown
  const first = isBalanced ? Math.floor(Math.random() * hosts.length) : 0
  for (const host of [...hosts.slice(first), ...hosts.slice(0, first)]) {
    try {
      return await dialOne(host, security, timeoutMillis)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

const dialOne = (
  { host, port }: Host,
  { tls, tlsOptions }: Pick<Route, "tls" | "tlsOptions">,
  timeoutMillis: number,
): Promise<Socket> =>
  new Promise((resolve, reject) => {
    let socket = connect(host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port, noDelay: true })
    const timer = setTimeout(() => fail(new Error("the host did not answer in time")), timeoutMillis)
    const fail = (error: Error) => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const done = () => {
      clearTimeout(timer)
      for (const event of ["error", "close", "data"]) socket.removeAllListeners(event)
      socket.pause()
      resolve(socket)
    }
    const watch = () => {
      socket.once("error", fail)
      socket.once("close", () => fail(new Error("the host closed the connection")))
    }
    watch()
    socket.once("connect", () => {
      if (tls === "off") return done()
      socket.once("data", (answer: Buffer) => {
        if (answer.length === 1 && answer[0] === tlsRefused && tls === "optional") return done()
        if (answer.length !== 1 || answer[0] !== tlsAccepted) return fail(new Error("the host does not offer TLS"))
        for (const event of ["error", "close"]) socket.removeAllListeners(event)
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

/** What the driver speaks through: writes wait until a host has been found. */
export class DatabaseSocket extends Duplex {
  readonly #route: Route
  #socket: Socket | undefined

  constructor(route: Route) {
    super({ allowHalfOpen: false })
    this.#route = route
  }

  override _construct(callback: (error?: Error | null) => void): void {
    dial(this.#route).then(
      (socket) => {
        // Given up meanwhile.
        if (this.destroyed) {
          socket.destroy()
          return callback()
        }
        this.#socket = socket
        socket.on("data", (chunk: Buffer) => {
          if (!this.push(chunk)) socket.pause()
        })
        socket.on("end", () => this.push(null))
        socket.on("error", (error) => this.destroy(error))
        socket.on("close", () => this.destroy())
        callback()
      },
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
    )
  }

  override _read(): void {
    this.#socket?.resume()
  }

  override _write(chunk: Buffer, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#socket!.write(chunk, callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#socket === undefined) callback()
    else this.#socket.end(callback)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket?.destroy()
    callback(error)
  }
}
