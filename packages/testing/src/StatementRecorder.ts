/**
 * The way of all tests to their database server: hands everything through, and notes the SQL of every connection but those
 * that call themselves {@link fixtureName}. Towards the tests it speaks without TLS, whatever the server wants.
 */
import { Redacted } from "effect"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { dial } from "@banquo/ledger/DatabaseSocket"
import * as DatabaseUrl from "@banquo/ledger/DatabaseUrl"

/** The application name of connections whose SQL is a test's own. */
export const fixtureName = "tests"

export interface StatementRecorder {
  /** The address of the server by way of here. */
  readonly url: string
  /** The SQL that was sent, each text once. */
  readonly statements: ReadonlySet<string>
  readonly stop: () => Promise<void>
}

export const start = async (serverUrl: string): Promise<StatementRecorder> => {
  const route = DatabaseUrl.parse(Redacted.make(serverUrl))
  // A certificate names the superuser; the other roles have passwords.
  const { cert: _, key: __, ...tlsOfOthers } = route.tlsOptions
  const statements = new Set<string>()
  const sockets = new Set<Socket>()
  const follow = (socket: Socket) => {
    sockets.add(socket)
    socket.on("error", () => socket.destroy())
    socket.once("close", () => sockets.delete(socket))
  }

  const listener = createServer({ noDelay: true }, (client) => {
    follow(client)
    const messages = new Messages()
    let isStarted = false
    let isNoted = false
    let server: Socket | undefined
    client.on("data", (chunk: Buffer) => {
      if (isStarted && server !== undefined) {
        if (isNoted) for (const message of messages.push(chunk)) note(message, statements)
        if (!server.write(chunk)) client.pause()
        return
      }
      for (const message of messages.push(chunk)) {
        if (message.readInt32BE(4) === tlsRequestCode) {
          client.write("N")
          continue
        }
        isStarted = true
        messages.isTyped = true
        const parameters = parametersOf(message)
        isNoted = parameters.get("application_name") !== fixtureName
        client.pause()
        const isSuperuser = parameters.get("user") === route.username
        dial({ ...route, tlsOptions: isSuperuser ? route.tlsOptions : tlsOfOthers }, undefined, dialMillisMax).then(
          ({ socket }) => {
            server = socket
            follow(socket)
            socket.on("data", (data: Buffer) => {
              if (!client.write(data)) socket.pause()
            })
            client.on("drain", () => socket.resume())
            socket.on("drain", () => client.resume())
            client.once("close", () => socket.destroySoon())
            socket.once("close", () => client.destroySoon())
            socket.write(message)
            socket.resume()
            client.resume()
          },
          () => client.destroy(),
        )
      }
    })
  })
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject)
    listener.listen(0, "127.0.0.1", resolve)
  })

  const url = new URL(serverUrl)
  url.host = `127.0.0.1:${(listener.address() as AddressInfo).port}`
  for (const parameter of ["sslmode", "sslrootcert", "sslcert", "sslkey"]) url.searchParams.delete(parameter)
  return {
    url: url.href,
    statements,
    stop: () =>
      new Promise((resolve) => {
        listener.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

const dialMillisMax = 10_000
const tlsRequestCode = 80_877_103

/** Cuts a stream of the protocol into its messages. Those before the start of a session have no type. */
class Messages {
  isTyped = false
  #rest: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): ReadonlyArray<Buffer> {
    const messages: Array<Buffer> = []
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (;;) {
      const at = this.isTyped ? 1 : 0
      if (this.#rest.length < at + 4) return messages
      const size = at + this.#rest.readInt32BE(at)
      if (this.#rest.length < size) return messages
      messages.push(this.#rest.subarray(0, size))
      this.#rest = this.#rest.subarray(size)
    }
  }
}

const note = (message: Buffer, statements: Set<string>) => {
  const textAt = (start: number) => message.toString("utf8", start, message.indexOf(0, start))
  // Parse carries the name of the statement before its text; Query only the text.
  if (message[0] === 0x50) statements.add(textAt(message.indexOf(0, 5) + 1))
  if (message[0] === 0x51) statements.add(textAt(5))
}

/** Names and values of the message that starts a session. */
const parametersOf = (message: Buffer): ReadonlyMap<string, string> => {
  const parts = message.toString("utf8", 8).split("\0")
  const parameters = new Map<string, string>()
  for (let i = 0; i + 1 < parts.length; i += 2) if (parts[i] !== "") parameters.set(parts[i]!, parts[i + 1]!)
  return parameters
}
