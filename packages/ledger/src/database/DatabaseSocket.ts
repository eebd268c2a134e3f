/**
 * What the driver speaks through: a connection to the first of several hosts that takes it (the nodes of a CockroachDB are
 * equal, and one that is restarted refuses), and what the driver does not look at in what the server says.
 */
import { Duration } from "effect"
import { connect, isIP, type Socket } from "node:net"
import { Duplex } from "node:stream"
import { connect as connectTls } from "node:tls"
import {
  answersAwaited,
  type BackendMessage,
  BackendMessages,
  backendKeyData,
  fieldOf,
  noticeResponse,
  readyForQuery,
} from "./BackendMessages.ts"
import type { DatabaseUrl, Host } from "./DatabaseUrl.ts"

export type Route = Pick<DatabaseUrl, "hosts" | "isBalanced" | "tls" | "tlsOptions">

/** Longest wait for one host before the next is tried, in milliseconds. A driver's own time-out bounds all of them. */
export const hostTimeoutMillis = 1_000

/** As {@link hostTimeoutMillis}, where the address says nothing else. */
export const dialMillisOf = ({ connectTimeout }: Pick<DatabaseUrl, "connectTimeout">): number =>
  connectTimeout === undefined ? hostTimeoutMillis : Math.min(Duration.toMillis(connectTimeout), timerMax)

/** Longest time of a timer of Node, in milliseconds; one of more fires at once. */
const timerMax = 2 ** 31 - 1

/** Why a host cannot be spoken to; `cause` has the code of the operating system or of TLS. */
export class HostFailed extends Error {
  override readonly name = "HostFailed"
  readonly host: Host

  constructor(host: Host, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.host = host
  }
}

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
  const order = [...hosts.slice(first), ...hosts.slice(0, first)]
  for (const host of order) {
    try {
      const socket = await dialOne(host, security, timeoutMillis)
      if (greeting === undefined) return { socket, answer: Buffer.alloc(0) }
      // What the last one says is for the driver to tell.
      return { socket, answer: await greet(socket, greeting, timeoutMillis, host !== order.at(-1)) }
    } catch (error) {
      failure = new HostFailed(host, error)
    }
  }
  throw failure
}

/** The first part of what the host says to the message that starts a session. */
const greet = (socket: Socket, greeting: Buffer, timeoutMillis: number, hasNext: boolean): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => fail(new Error("the host did not answer in time")), timeoutMillis)
    const onClose = () => fail(new Error("the host closed the connection"))
    socket.on("close", onClose)
    socket.once("data", (answer: Buffer) => {
      if (hasNext && notNow.test(answer.toString("latin1"))) return fail(new Error("the host takes no connections now"))
      clearTimeout(timer)
      socket.off("close", onClose)
      socket.pause()
      resolve(answer)
    })
    socket.write(greeting)
    socket.resume()
  })

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

/**
 * The sockets of a `DbConn`, to be ended together. A statement that has not been answered may go on in its backend when its
 * socket is ended, and one that waits for a standby does: no time-out ends that wait, and who cancels it makes a commit of it
 * that the standby does not have. So nothing is cancelled, and what is left behind is bounded.
 */
export class OpenSockets {
  /** Backends that may still be at work, by their process ids. */
  readonly left = new Set<number>()
  /** Told of each that ends. */
  onEnd: () => void = () => {}
  readonly #sockets = new Set<DatabaseSocket>()

  add(socket: DatabaseSocket): void {
    this.#sockets.add(socket)
  }

  /** Ended for whatever reason. */
  remove(socket: DatabaseSocket): void {
    this.#sockets.delete(socket)
    if (socket.isAwaited && socket.pid !== undefined) this.left.add(socket.pid)
    this.onEnd()
  }

  /** What is under way on them has an unknown outcome then. */
  endAll(reason: string): void {
    for (const socket of this.#sockets) socket.destroy(new Error(reason))
  }

  /** One that leads to the same host has lost its other end: the others have to show that they have theirs. */
  suspectAll(): void {
    for (const socket of this.#sockets) socket.isSuspect = true
  }

  /**
   * Ends those that have been silent for so long though an answer is awaited, as long as no more than `leftMax` are left behind.
   * Of those that are suspect less is borne.
   */
  endSilent(silenceMillis: number, suspectMillis: number): void {
    const now = performance.now()
    for (const socket of this.#sockets) {
      if (this.left.size >= leftMax) return
      const borne = socket.isSuspect ? Math.min(suspectMillis, silenceMillis) : silenceMillis
      if (now - socket.awaitedSince > borne) socket.destroy(new Error("the database does not answer"))
    }
  }

  end(pid: number): void {
    for (const socket of this.#sockets) if (socket.pid === pid) socket.destroy(new Error("the statement was given up"))
  }
}

/** Most backends that are left behind at work; then nothing is written until they are done. */
export const leftMax = 2

export interface DatabaseSocketOptions {
  /** Where to, when it is needed. May throw. */
  readonly route: () => Route
  readonly sockets: OpenSockets
  /** Longest wait for one host, in milliseconds. Default: {@link hostTimeoutMillis}. */
  readonly timeoutMillis?: number
}

/**
 * The first message, which starts the session, finds the host. In what the server says two things are heard that the driver
 * does not hear:
 *
 * - that a commit did not wait for the standbys, which comes as a mere warning (`SyncRepWaitForLSN`) before a success: the
 *   connection is broken in its place, so that the outcome is unknown;
 * - which backend it is, so that a request to cancel ends this socket, and never reaches the server.
 */
export class DatabaseSocket extends Duplex {
  readonly #options: DatabaseSocketOptions
  readonly #messages = new BackendMessages()
  #socket: Socket | undefined
  #awaited = 0
  #isLeftByServer = false
  /** Of the backend. */
  pid: number | undefined
  /** Since when nothing has been heard though an answer is awaited, by `performance.now`; infinity: none is. */
  awaitedSince = Number.POSITIVE_INFINITY
  /** Until it is heard of again. */
  isSuspect = false

  constructor(options: DatabaseSocketOptions) {
    super({ allowHalfOpen: false })
    this.#options = options
    options.sockets.add(this)
  }

  /** The server may still be at work on what was sent. */
  get isAwaited(): boolean {
    return this.#awaited > 0 && !this.#isLeftByServer
  }

  override _read(): void {
    this.#socket?.resume()
  }

  override _write(chunk: Buffer, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (this.#socket !== undefined) {
      this.#await(answersAwaited(chunk))
      this.#socket.write(chunk, callback)
    } else if (chunk.length === cancelRequestSize && chunk.readInt32BE(4) === cancelRequestCode) {
      this.#options.sockets.end(chunk.readInt32BE(8))
      callback()
      this.destroy()
    } else this.#start(chunk).then(() => callback(), callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    const socket = this.#socket
    if (socket === undefined) return callback()
    // A host that is silent never takes its leave.
    setTimeout(() => socket.destroy(), leaveMillis).unref()
    socket.end(callback)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket?.destroy()
    this.#options.sockets.remove(this)
    callback(error)
  }

  async #start(message: Buffer): Promise<void> {
    const { route, timeoutMillis } = this.#options
    const { answer, socket } = await dial(route(), message, timeoutMillis)
    // Given up meanwhile.
    if (this.destroyed) return void socket.destroy()
    this.#socket = socket
    socket.on("data", (chunk: Buffer) => this.#receive(socket, chunk))
    socket.on("end", () => {
      this.#isLeftByServer = true
      this.push(null)
    })
    socket.on("error", (error) => this.destroy(error))
    socket.on("close", () => this.destroy())
    if (answer.length > 0) this.#receive(socket, answer)
    socket.resume()
  }

  #await(answers: number): void {
    if (answers === 0) return
    if (this.#awaited === 0) this.awaitedSince = performance.now()
    this.#awaited += answers
  }

  #receive(socket: Socket, chunk: Buffer): void {
    this.#messages.push(chunk, this.#hear)
    if (this.destroyed) return
    this.isSuspect = false
    this.awaitedSince = this.#awaited > 0 ? performance.now() : Number.POSITIVE_INFINITY
    if (!this.push(chunk)) socket.pause()
  }

  readonly #hear = (message: BackendMessage): void => {
    switch (message.type) {
      case readyForQuery:
        this.#awaited = Math.max(0, this.#awaited - 1)
        return
      case noticeResponse:
        if (fieldOf(message, "R") === "SyncRepWaitForLSN") {
          this.destroy(new Error("a commit did not wait for the standbys"))
        }
        return
      case backendKeyData:
        this.pid = message.body.readInt32BE(0)
    }
  }
}

/** Longest that the end of a connection may take. */
const leaveMillis = 1_000

const cancelRequestSize = 16
const cancelRequestCode = 80_877_102
