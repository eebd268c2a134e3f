/**
 * The load generator: a thread of its own, so that neither the audit nor the measuring holds up its event loop.
 *
 * It is built on undici and the HdrHistogram of Node. autocannon 9 was tried for it and does not fit: with a rate it sends
 * the whole share of a second back to back at the second's start; it corrects for coordinated omission with an expected
 * interval of 1 / rate taken for milliseconds, so of 1 ms whatever the rate is; it drops the requests in flight at the
 * end, whose outcome the audit must know; and its latencies are whole milliseconds.
 */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks"
import { parentPort, workerData } from "node:worker_threads"
import { Client, type Dispatcher } from "undici"
import { changesOf, type TransactionJson } from "./Answer.ts"
import type { Acknowledged, Attempt, Look, Outcome } from "./Attempt.ts"
import type { Latency, LoadOptions, LoadResult, Message } from "./Load.ts"
import * as Random from "./Random.ts"
import { make as makeWorkload } from "./Workload.ts"
import type { Ask, Made } from "./Ask.ts"

const options = workerData as LoadOptions
const random = Random.make(options.seed)
const workload = makeWorkload({ name: options.workload, accounts: options.accounts, random, run: options.run })

/** Longest wait for requests that are on their way when the time is over; beyond it their outcome is unknown. */
const drainMillisMax = 15_000

/** After a failed connection: no answer must not look like a fast one. */
const pauseAfterFailure = 20

const attempts: Array<Attempt> = []
const looks: Array<Look> = []
const writeTimes = createHistogram()
const readTimes = createHistogram()
const counts = { requests: 0, changes: 0, reads: 0, acknowledged: 0, replayed: 0, refused: 0, unknown: 0 }

let windowStart = 0
let windowEnd = 0
let isOver = false
let inFlight = 0
let isDrained = () => {}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
const post = (message: Message) => parentPort!.postMessage(message)

interface Answer {
  /** 0: none. */
  readonly status: number
  readonly isReplayed: boolean
  readonly body: string
}

/** Records what came of a request. `intended`: when it should have been sent, which a slow answer must not postpone. */
const settle = (ask: Ask, intended: number, sent: number, answer: Answer): void => {
  const received = performance.now()
  const isCounted = received >= windowStart && received < windowEnd
  if (isCounted) counts.requests += 1
  // By the time of sending, so that what the system could not answer in time is in the picture.
  if (intended >= windowStart && intended < windowEnd) {
    const times = ask._tag === "Read" ? readTimes : writeTimes
    times.record(Math.max(1, Math.round((received - intended) * 1000)))
  }
  if (ask._tag === "Read") {
    if (answer.status !== 200) return
    looks.push(lookOf(ask.acctId, sent, received, answer.body))
    if (isCounted) counts.reads += 1
    return
  }
  const { made, verdicts } = verdictsOf(ask, answer)
  for (const [index, { asked, key }] of ask.writes.entries()) {
    const { changes, outcome } = verdicts[index] ?? unknown
    attempts.push({ key, sent, received, outcome, asked, changes })
    if (isCounted) {
      counts[outcome] += 1
      if (outcome === "acknowledged") counts.changes += changes.length
    }
  }
  workload.ended(ask, verdicts[0]?.outcome ?? "unknown", made)
}

interface Verdict {
  readonly outcome: Outcome
  readonly changes: ReadonlyArray<Acknowledged>
}

const refused: Verdict = { outcome: "refused", changes: [] }
const unknown: Verdict = { outcome: "unknown", changes: [] }

interface Verdicts {
  /** One for each write of the request. */
  readonly verdicts: ReadonlyArray<Verdict>
  readonly made: Made
}

const verdictsOf = (ask: Exclude<Ask, { readonly _tag: "Read" }>, { body, isReplayed, status }: Answer): Verdicts => {
  if (status >= 200 && status < 300) {
    if (ask._tag === "Batch") return { verdicts: batchOf(body), made: {} }
    return madeOf(JSON.parse(body), isReplayed ? "replayed" : "acknowledged")
  }
  // `database_unavailable` may mean that the answer got lost after the work was done.
  const isRefused = (status >= 400 && status < 500) || (status === 503 && !body.includes('"database_unavailable"'))
  return { verdicts: ask.writes.map(() => (isRefused ? refused : unknown)), made: {} }
}

/** Of an account the answer has no change, but all that is to be known of the newest one. */
interface AccountJson {
  readonly account_id: string
  readonly seq: number
  readonly balance: { readonly posted: string }
  readonly hash: string
}

type WrittenJson =
  | TransactionJson
  | { readonly hold: { readonly hold_id: string }; readonly transaction: TransactionJson }
  | { readonly dry_run: true }
  | AccountJson

const madeOf = (answer: WrittenJson, outcome: Outcome): Verdicts => {
  // Nothing was written.
  if ("dry_run" in answer) return { verdicts: [refused], made: {} }
  if ("account_id" in answer) {
    const { account_id: acctId, balance, hash, seq } = answer
    return {
      verdicts: [
        { outcome, changes: [{ changeId: null, acctId, seq, amount: "0", held: "0", balance: balance.posted, hash }] },
      ],
      made: {},
    }
  }
  const transaction = "hold" in answer ? answer.transaction : answer
  return {
    verdicts: [{ outcome, changes: changesOf(transaction) }],
    made: {
      transactionId: transaction.transaction_id,
      ...("hold" in answer ? { holdId: answer.hold.hold_id } : {}),
    },
  }
}

type ItemJson =
  | { readonly status: 201; readonly replayed: boolean; readonly transaction: TransactionJson }
  | { readonly status: number; readonly problem: { readonly code: string } }

const batchOf = (body: string): ReadonlyArray<Verdict> => {
  const { verdicts } = JSON.parse(body) as { readonly verdicts: ReadonlyArray<ItemJson> }
  return verdicts.map((item) => {
    if ("problem" in item) return item.problem.code === "database_unavailable" ? unknown : refused
    return { outcome: item.replayed ? "replayed" : "acknowledged", changes: changesOf(item.transaction) }
  })
}

const lookOf = (acctId: string, sent: number, received: number, body: string): Look => {
  const { changes } = JSON.parse(body) as Pick<TransactionJson, "changes">
  const isDense = changes.every(({ seq }, index) => index === 0 || seq === changes[index - 1]!.seq - 1)
  return { acctId, sent, received, newestSeq: changes[0]?.seq ?? -1, isDense }
}

/** One connection, and at most one request on it: a client that waits for its answer. */
class Connection implements Dispatcher.DispatchHandler {
  readonly #client: Client
  readonly #onFree: (connection: Connection) => void
  #ask: Ask | undefined
  #intended = 0
  #sent = 0
  #status = 0
  #isReplayed = false
  #chunks: Array<Buffer> = []

  constructor(url: string, onFree: (connection: Connection) => void) {
    this.#client = new Client(url, { pipelining: 1, headersTimeout: 30_000, bodyTimeout: 30_000 })
    this.#onFree = onFree
  }

  /** Opens the connection, which is not what is measured. */
  async open() {
    const { body } = await this.#client.request({ method: "GET", path: "/livez" })
    await body.dump()
  }

  async close() {
    await this.#client.destroy()
  }

  send(ask: Ask, intended: number) {
    inFlight += 1
    this.#ask = ask
    this.#intended = intended
    this.#chunks = []
    this.#sent = performance.now()
    this.#client.dispatch(
      ask._tag === "Read"
        ? { method: "GET", path: ask.path }
        : { method: methodOf(ask), path: ask.path, body: ask.body, headers: headersOf(ask) },
      this,
    )
  }

  onRequestStart() {}

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Record<string, unknown>) {
    this.#status = status
    this.#isReplayed = headers["idempotency-replayed"] === "true"
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer) {
    this.#chunks.push(chunk)
  }

  onResponseEnd() {
    const [first] = this.#chunks
    const bytes = this.#chunks.length === 1 ? first! : Buffer.concat(this.#chunks)
    this.#settle({ status: this.#status, isReplayed: this.#isReplayed, body: bytes.toString() })
    this.#free()
  }

  onResponseError() {
    this.#settle({ status: 0, isReplayed: false, body: "" })
    setTimeout(() => this.#free(), pauseAfterFailure)
  }

  #settle(answer: Answer) {
    settle(this.#ask!, this.#intended, this.#sent, answer)
  }

  #free() {
    inFlight -= 1
    this.#onFree(this)
    if (isOver && inFlight === 0) isDrained()
  }
}

const methodOf = (ask: Exclude<Ask, { readonly _tag: "Read" }>) => ("method" in ask ? (ask.method ?? "POST") : "POST")

const headersOf = (ask: Exclude<Ask, { readonly _tag: "Read" }>): Record<string, string> =>
  ask._tag === "Post"
    ? { "content-type": "application/json", "idempotency-key": ask.writes[0].key }
    : { "content-type": "application/json" }

/** Each client sends its next request when it has the answer to the last. */
const closedLoop = (clients: number) => {
  const connections = connectionsTo(clients, sendNext)
  return { connections, start: () => connections.forEach(sendNext), stop: () => undefined }
}

const sendNext = (connection: Connection) => {
  if (!isOver) connection.send(workload.next(), performance.now())
}

/**
 * Requests leave at random times (a Poisson process) at a mean rate, whether earlier ones were answered or not; while all
 * connections are busy they wait here, and their latency counts from when they should have left. The timer is late by up
 * to a millisecond, which counts as latency too.
 */
const openLoop = (clients: number, rate: number) => {
  const idle: Array<Connection> = []
  const queue: Array<{ readonly ask: Ask; readonly intended: number }> = []
  let head = 0
  let due = 0
  const free = (connection: Connection) => {
    const first = queue[head]
    if (first === undefined) return idle.push(connection)
    head += 1
    return connection.send(first.ask, first.intended)
  }
  const connections = connectionsTo(clients, free)
  idle.push(...connections)
  const tick = () => {
    const now = performance.now()
    while (due <= now) {
      const ask = workload.next()
      const connection = idle.pop()
      if (connection === undefined) queue.push({ ask, intended: due })
      else connection.send(ask, due)
      due += (-Math.log(1 - random()) * 1000) / rate
    }
    if (!isOver) setTimeout(tick, 1)
  }
  return {
    connections,
    start: () => {
      due = performance.now()
      tick()
    },
    /** What never left: its latency is at least the time that it waited. */
    stop: () => {
      const now = performance.now()
      for (const { intended } of queue.slice(head)) {
        if (intended >= windowStart && intended < windowEnd) writeTimes.record(Math.round((now - intended) * 1000))
      }
    },
  }
}

const connectionsTo = (clients: number, onFree: (connection: Connection) => void) =>
  Array.from({ length: clients }, (_, index) => new Connection(options.urls[index % options.urls.length]!, onFree))

const latencyOf = (times: RecordableHistogram): Latency | null => {
  if (times.count === 0) return null
  const at = (percentile: number) => times.percentile(percentile) / 1000
  return { p50: at(50), p95: at(95), p99: at(99), p999: at(99.9), max: times.max / 1000 }
}

const wait = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const loop = options.rate === null ? closedLoop(options.clients) : openLoop(options.clients, options.rate)
await Promise.all(loop.connections.map((connection) => connection.open()))
windowStart = performance.now() + options.warmMillis
windowEnd = windowStart + options.measureMillis
loop.start()
await wait(options.warmMillis)
const cpuBefore = process.threadCpuUsage()
post({ _tag: "Started" })
await wait(windowEnd - performance.now())
const cpu = process.threadCpuUsage(cpuBefore)
post({ _tag: "Ended" })
isOver = true
await Promise.race([
  new Promise<void>((resolve) => (inFlight === 0 ? resolve() : (isDrained = resolve))),
  // Unreferenced: else the thread would outlive its work by so long.
  new Promise<void>((resolve) => setTimeout(resolve, drainMillisMax).unref()),
])
loop.stop()
await Promise.all(loop.connections.map((connection) => connection.close()))

const result: LoadResult = {
  counts,
  seconds: options.measureMillis / 1000,
  latency: latencyOf(writeTimes),
  readLatency: latencyOf(readTimes),
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  log: options.isLogged ? { attempts, looks } : null,
}
post({ _tag: "Done", result })
