/**
 * A TCP proxy in front of a database that fails on purpose, at moments that a test chooses: the database goes away, an
 * answer is lost, a statement never arrives or waits on its way.
 *
 * It reads the PostgreSQL protocol as far as it needs to: statements are told apart by their `Sync`, their ends by the
 * server's `ReadyForQuery`. A prepared statement sends its text only once in each connection, so texts are remembered by
 * the name of the statement.
 */
import { Context, Deferred, Effect, Layer, Redacted, type Scope } from "effect"
import { CockroachStandIn, type CockroachOptions } from "./CockroachStandIn.ts"
import { fixtureName } from "./StatementRecorder.ts"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"

/** A fault that waits for its statements. */
export interface Fault {
  /** Done when it has happened as often as it was asked for. */
  readonly happened: Effect.Effect<void>
  /** How often it has happened. */
  readonly count: Effect.Effect<number>
}

/** Statements that are kept from the server until they are let go. */
export interface Hold {
  /** Done when the first of them is here. */
  readonly arrived: Effect.Effect<void>
  /** Lets them go, and those that follow pass. */
  readonly release: Effect.Effect<void>
}

/**
 * Faults apply to the statements that contain `text`, in their SQL or in a text parameter, on any connection: the next
 * one, or the next `times`. With several faults for one statement, the one that was asked for first applies.
 */
export class FaultyProxy extends Context.Service<
  FaultyProxy,
  {
    /** The way to the database through the proxy. */
    readonly url: Redacted.Redacted<string>
    /** The database is away: open connections end, new ones end before they are answered. */
    readonly goAway: Effect.Effect<void>
    /** New connections are served again. */
    readonly comeBack: Effect.Effect<void>
    /** Ends all open connections; new ones are served. */
    readonly dropConnections: Effect.Effect<void>
    /** The server has carried out the statement, but its answer is lost with the connection. */
    readonly loseReply: (text: string, times?: number) => Effect.Effect<Fault>
    /** The server has carried out the statement, and the database is away before it can answer. */
    readonly goAwayAfter: (text: string) => Effect.Effect<Fault>
    /** The connection ends before the statement is sent. */
    readonly loseStatement: (text: string, times?: number) => Effect.Effect<Fault>
    /** The connection to the client ends as soon as the statement is sent; the server goes on with it, alone. */
    readonly abandon: (text: string, times?: number) => Effect.Effect<Fault>
    /** The server has carried out the statement, but answers with a SQLSTATE. */
    readonly misreport: (text: string, sqlState: string, times?: number) => Effect.Effect<Fault>
    /** The server is being shut down: it refuses the statement with 57P01, and ends the connection. */
    readonly drain: (text: string, times?: number) => Effect.Effect<Fault>
    /** The server refuses the statement with a SQLSTATE, as it would by itself; a transaction that it is in has failed. */
    readonly refuse: (text: string, sqlState: string, times?: number) => Effect.Effect<Fault>
    /** The statements wait, each on its connection. */
    readonly hold: (text: string) => Effect.Effect<Hold>
    /** Nothing fails: tells when the statement has been sent to the server `times` times. */
    readonly watch: (text: string, times?: number) => Effect.Effect<Fault>
    /** Nothing fails: tells when the client has been sent the answer to the statement. */
    readonly answered: (text: string) => Effect.Effect<Fault>
    /** Connections that were accepted and served since the proxy was made. */
    readonly connectionCount: Effect.Effect<number>
  }
>()("@banquo/ledger/test/FaultyProxy") {
  static readonly layer = (url: Redacted.Redacted<string>, cockroach?: CockroachOptions): Layer.Layer<FaultyProxy> =>
    Layer.effect(FaultyProxy, make(url, cockroach))
}

/** A proxy for as long as the scope is open; with options for it, one that stands in for CockroachDB. */
export const make = (
  url: Redacted.Redacted<string>,
  cockroach?: CockroachOptions,
): Effect.Effect<FaultyProxy["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const target = new URL(Redacted.value(url))
    const links = new Set<Link>()
    let isAway = false
    let accepted = 0
    const cutAll = () => {
      for (const link of links) link.cut()
    }
    const leave = () => {
      isAway = true
      cutAll()
    }
    const rules = new Rules(leave, cockroach === undefined ? undefined : new CockroachStandIn(cockroach))

    const server = yield* Effect.acquireRelease(
      listen((client) => {
        if (isAway) {
          client.destroy()
          return
        }
        accepted += 1
        const link = new Link(client, { host: target.hostname, port: Number(target.port) }, rules)
        links.add(link)
        link.closed(() => links.delete(link))
      }),
      (listening) =>
        Effect.callback<void>((resume) => {
          listening.close(() => resume(Effect.void))
          cutAll()
        }),
    )

    const through = new URL(target)
    through.hostname = "127.0.0.1"
    through.port = String((server.address() as AddressInfo).port)

    return FaultyProxy.of({
      url: Redacted.make(through.href),
      goAway: Effect.sync(leave),
      comeBack: Effect.sync(() => void (isAway = false)),
      dropConnections: Effect.sync(cutAll),
      loseReply: (text, times = 1) => rules.add("loseReply", text, times),
      goAwayAfter: (text) => rules.add("goAwayAfter", text, 1),
      loseStatement: (text, times = 1) => rules.add("loseStatement", text, times),
      abandon: (text, times = 1) => rules.add("abandon", text, times),
      misreport: (text, sqlState, times = 1) => rules.add("misreport", text, times, sqlState),
      drain: (text, times = 1) => rules.add("drain", text, times),
      refuse: (text, sqlState, times = 1) => rules.add("refuse", text, times, sqlState),
      watch: (text, times = 1) => rules.add("watch", text, times),
      answered: (text) => rules.add("answered", text, 1),
      hold: (text) => rules.hold(text),
      connectionCount: Effect.sync(() => accepted),
    })
  })

const listen = (accept: (client: Socket) => void): Effect.Effect<Server> =>
  Effect.callback((resume) => {
    const server = createServer({ noDelay: true }, accept)
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  })

type Kind =
  | "loseReply"
  | "goAwayAfter"
  | "loseStatement"
  | "abandon"
  | "misreport"
  | "drain"
  | "refuse"
  | "watch"
  | "answered"

/** What becomes of an answer that is still to come. */
interface Answer {
  /** Nothing of it arrives, and then that happens. */
  readonly lost?: () => void
  /** An error in its place. */
  readonly error?: Buffer
  /** It is not the client's. */
  readonly isDropped?: true
  /** It has been passed on. */
  readonly passed?: () => void
}

/** One statement on its way: the messages up to a `Sync`, and the SQL that they run. */
interface Unit {
  readonly bytes: Buffer
  readonly sql: string
}

class Rule {
  readonly done = Deferred.makeUnsafe<void>()
  readonly kind: Kind
  readonly text: string
  readonly times: number
  readonly sqlState: string
  /** Statements that it was chosen for; how many of them it has been carried out on. */
  taken = 0
  count = 0

  constructor(kind: Kind, text: string, times: number, sqlState: string) {
    this.kind = kind
    this.text = text
    this.times = times
    this.sqlState = sqlState
  }

  happened() {
    this.count += 1
    if (this.count === this.times) Deferred.doneUnsafe(this.done, Effect.void)
  }
}

interface Held {
  readonly text: string
  readonly arrived: Deferred.Deferred<void>
  readonly waiting: Array<() => void>
}

const concerns = (text: string, { bytes, sql }: Unit): boolean => sql.includes(text) || bytes.includes(text)

class Rules {
  readonly #rules = new Set<Rule>()
  readonly #holds = new Set<Held>()
  /** Makes the database go away. */
  readonly leave: () => void
  readonly standIn: CockroachStandIn | undefined

  constructor(leave: () => void, standIn: CockroachStandIn | undefined) {
    this.leave = leave
    this.standIn = standIn
  }

  add(kind: Kind, text: string, times: number, sqlState = ""): Effect.Effect<Fault> {
    return Effect.sync(() => {
      const rule = new Rule(kind, text, times, sqlState)
      this.#rules.add(rule)
      return { happened: Deferred.await(rule.done), count: Effect.sync(() => rule.count) }
    })
  }

  hold(text: string): Effect.Effect<Hold> {
    return Effect.sync(() => {
      const held: Held = { text, arrived: Deferred.makeUnsafe<void>(), waiting: [] }
      this.#holds.add(held)
      const release = Effect.sync(() => {
        this.#holds.delete(held)
        for (const go of held.waiting.splice(0)) go()
      })
      return { arrived: Deferred.await(held.arrived), release }
    })
  }

  /** The rule that applies to a statement, used up by one. */
  take(unit: Unit): Rule | undefined {
    for (const rule of this.#rules) {
      if (!concerns(rule.text, unit)) continue
      rule.taken += 1
      if (rule.taken === rule.times) this.#rules.delete(rule)
      return rule
    }
    return undefined
  }

  /** Calls `go` when no hold keeps the statement any longer: at once, if none does. */
  pass(unit: Unit, go: () => void) {
    const held = [...this.#holds].find(({ text }) => concerns(text, unit))
    if (held === undefined) return go()
    held.waiting.push(() => this.pass(unit, go))
    Deferred.doneUnsafe(held.arrived, Effect.void)
  }
}

const cancelRequestCode = 80877102
const sslRequestCode = 80877103

/** A client's connection and its own connection to the server. */
class Link {
  readonly #client: Socket
  readonly #server: Socket
  readonly #rules: Rules
  readonly #sqlByName = new Map<string, string>()
  /** What becomes of each answer that is still to come, oldest first; the first is that to the start of the session. */
  readonly #answers: Array<Answer> = [{}]
  /** The server has been left alone with a statement; its connection ends when it has answered. */
  #isAbandoned = false
  #fromClient = Buffer.alloc(0)
  #fromServer = Buffer.alloc(0)
  #unit: Array<Buffer> = []
  #unitSql = ""
  #isStarted = false
  /** What a test sends for itself is not judged. */
  #isFixture = false
  #isInTransaction = false
  #isHeld = false
  /** Behind a stand-in: what has come and waits for the end of what came before. */
  readonly #waiting: Array<{ readonly unit: Unit; readonly since: number }> = []
  #isServing = false
  /** In milliseconds; 0: none. */
  #statementTimeout = 0

  constructor(client: Socket, target: { readonly host: string; readonly port: number }, rules: Rules) {
    this.#client = client
    this.#rules = rules
    this.#server = connect({ ...target, noDelay: true })
    for (const socket of [client, this.#server]) socket.on("error", () => socket.destroy())
    // What one side has said before it left still reaches the other.
    client.on("close", () => {
      if (!this.#isAbandoned) this.#server.destroySoon()
    })
    this.#server.on("close", () => client.destroySoon())
    client.on("data", (chunk: Buffer) => {
      this.#fromClient = Buffer.concat([this.#fromClient, chunk])
      this.#readClient()
    })
    this.#server.on("data", (chunk: Buffer) => {
      this.#fromServer = Buffer.concat([this.#fromServer, chunk])
      this.#readServer()
    })
  }

  /** Calls back when both connections have ended. */
  closed(callback: () => void) {
    const check = () => {
      if (this.#client.closed && this.#server.closed) callback()
    }
    this.#client.once("close", check)
    this.#server.once("close", check)
  }

  cut() {
    this.#client.destroy()
    this.#server.destroy()
  }

  #readClient() {
    while (!this.#isHeld) {
      const at = this.#isStarted ? 1 : 0
      if (this.#fromClient.length < at + 4) return
      const size = at + this.#fromClient.readInt32BE(at)
      if (this.#fromClient.length < size) return
      const message = this.#fromClient.subarray(0, size)
      this.#fromClient = this.#fromClient.subarray(size)
      if (this.#isStarted) this.#onMessage(message)
      else this.#onStart(message)
    }
  }

  #onStart(message: Buffer) {
    const code = message.readInt32BE(4)
    if (code === sslRequestCode) this.#client.write("N")
    else {
      this.#isStarted = code !== cancelRequestCode
      this.#isFixture = message.includes(`application_name\0${fixtureName}\0`)
      this.#statementTimeout = Number(/\0statement_timeout\0(\d+)\0/.exec(message.toString())?.[1] ?? 0)
      this.#server.write(this.#isStarted ? (this.#rules.standIn?.startup(message) ?? message) : message)
    }
  }

  #onMessage(message: Buffer) {
    const type = String.fromCharCode(message[0]!)
    // Answers to the server's request for a password, and the goodbye, are no statements.
    if (type === "p" || type === "X") {
      this.#server.write(message)
      return
    }
    this.#unit.push(type === "P" ? this.#onParse(message) : message)
    if (type === "B") {
      const portalEnd = message.indexOf(0, 5)
      this.#unitSql += this.#sqlByName.get(textAt(message, portalEnd + 1)) ?? ""
    }
    if (type === "Q") this.#unitSql += textAt(message, 5)
    if (type !== "S" && type !== "Q") return
    const unit: Unit = { bytes: Buffer.concat(this.#unit), sql: this.#unitSql }
    this.#unit = []
    this.#unitSql = ""
    if (this.#rules.standIn !== undefined) {
      this.#waiting.push({ unit, since: performance.now() })
      this.#serveNext()
      return
    }
    this.#isHeld = true
    this.#rules.pass(unit, () => {
      this.#isHeld = false
      this.#onUnit(unit)
      this.#readClient()
    })
  }

  /** What the server gets in its place. */
  #onParse(message: Buffer): Buffer {
    const name = textAt(message, 5)
    const at = message.indexOf(0, 5) + 1
    const sql = textAt(message, at)
    this.#sqlByName.set(name, sql)
    const text = this.#rules.standIn?.rewrite(sql) ?? sql
    if (text === sql) return message
    const rewritten = Buffer.concat([
      message.subarray(0, at),
      Buffer.from(text),
      message.subarray(message.indexOf(0, at)),
    ])
    rewritten.writeInt32BE(rewritten.length - 1, 1)
    return rewritten
  }

  /** One at a time, so that what is held keeps those behind it waiting. */
  #serveNext() {
    if (this.#isServing || this.#answers.length > 0) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    const waitedMillis = performance.now() - next.since
    this.#isServing = true
    this.#rules.pass(next.unit, () => {
      this.#isServing = false
      this.#onUnit(next.unit, waitedMillis)
    })
  }

  #onUnit(unit: Unit, waitedMillis = 0) {
    if (this.#client.destroyed) return
    const { standIn } = this.#rules
    const objection =
      this.#isFixture || unit.sql === ""
        ? undefined
        : (standIn?.objectionTo(unit.sql, this.#isInTransaction) ??
          standIn?.objectionToWait(waitedMillis, this.#statementTimeout))
    if (objection !== undefined) return this.#refuse(errorResponse(objection.sqlState, "ERROR", objection.text))
    const rule = this.#rules.take(unit)
    const send = (answer: Answer) => {
      this.#answers.push(answer)
      this.#server.write(unit.bytes)
    }
    switch (rule?.kind) {
      case undefined:
        return send({})
      case "loseReply":
        return send({ lost: () => (this.cut(), rule.happened()) })
      case "goAwayAfter":
        return send({ lost: () => (this.#rules.leave(), rule.happened()) })
      case "misreport":
        send({ error: errorResponse(rule.sqlState) })
        return rule.happened()
      case "loseStatement":
        this.cut()
        return rule.happened()
      case "drain":
        this.#client.end(errorResponse("57P01", "FATAL"))
        this.#server.destroy()
        return rule.happened()
      case "abandon":
        // The connection stays, as when the network is cut: a server that sees it end may end the statement.
        this.#isAbandoned = true
        this.#server.write(unit.bytes, () => {
          this.#client.destroy()
          rule.happened()
        })
        return
      case "refuse":
        if (unit.sql === "COMMIT") {
          // Refused, it ends its transaction nevertheless.
          this.#answers.push({ isDropped: true })
          this.#server.write(query("ROLLBACK"))
        }
        this.#refuse(errorResponse(rule.sqlState))
        return rule.happened()
      case "watch":
        send({})
        return rule.happened()
      case "answered":
        return send({ passed: () => rule.happened() })
    }
  }

  /** The server gets something else to refuse, so that a transaction has failed for it too. */
  #refuse(error: Buffer) {
    this.#answers.push({ error })
    this.#server.write(query(refusedText))
  }

  #readServer() {
    while (this.#fromServer.length >= 5) {
      const size = 1 + this.#fromServer.readInt32BE(1)
      if (this.#fromServer.length < size) return
      const message = this.#fromServer.subarray(0, size)
      this.#fromServer = this.#fromServer.subarray(size)
      const answer = this.#answers[0]
      const isReady = message[0] === 0x5a // "Z"
      if (isReady) {
        this.#answers.shift()
        this.#isInTransaction = message[5] !== 0x49 // "I"
      }
      if (this.#isAbandoned) {
        if (isReady && this.#answers.length === 0) this.#server.destroySoon()
      } else if (answer?.lost !== undefined) {
        if (isReady) return answer.lost()
      } else if (answer?.error !== undefined) {
        if (isReady) this.#client.write(Buffer.concat([answer.error, message]))
      } else if (answer?.isDropped !== true) {
        this.#client.write(message)
        if (isReady) answer?.passed?.()
      }
      if (isReady) this.#serveNext()
    }
  }
}

/** No database can parse it. */
export const refusedText = "refused by the proxy"

/** As PostgreSQL's, as far as a client reads it. */
const errorResponse = (sqlState: string, severity = "ERROR", text = "refused by the proxy"): Buffer => {
  const fields = Buffer.from(`S${severity}\0V${severity}\0C${sqlState}\0M${text}\0\0`)
  const head = Buffer.from("E\0\0\0\0")
  head.writeInt32BE(4 + fields.length, 1)
  return Buffer.concat([head, fields])
}

/** A message that runs SQL text. */
const query = (sql: string): Buffer => {
  const text = Buffer.from(`${sql}\0`)
  const head = Buffer.from("Q\0\0\0\0")
  head.writeInt32BE(4 + text.length, 1)
  return Buffer.concat([head, text])
}

/** Text up to a NUL. */
const textAt = (message: Buffer, start: number): string => message.toString("utf8", start, message.indexOf(0, start))
