/** Processor time and memory of the server's and the database's processes, from Linux's /proc; elsewhere not known. */
import { Effect, type Scope } from "effect"
import { readdirSync, readFileSync } from "node:fs"

/** Linux counts processor time for user space in hundredths of a second, on every machine that Node runs on. */
const ticksPerSecond = 100

export interface Processes {
  readonly servers: ReadonlyArray<number>
  /** The postmaster; its children are found. */
  readonly database: number
}

/** Within the measured window. `null`: not known on this system. */
export interface Usage {
  /** Processor seconds per second: 1 is a core kept busy. Of all servers together. */
  readonly serverCores: number | null
  readonly databaseCores: number | null
  /** Resident bytes of the largest server: the most, and the last less the first. */
  readonly serverMemory: number | null
  readonly serverGrowth: number | null
  /** Of all processes of the database, what they share counted once. */
  readonly databaseMemory: number | null
}

export interface Meter {
  readonly started: () => void
  readonly ended: () => void
  readonly usage: () => Usage
}

/** How often the servers' memory is looked at. */
const sampleMillis = 250

/** Looks at the memory for as long as the scope lives, and at the processor when the window begins and ends. */
export const meter = (processes: Processes): Effect.Effect<Meter, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Sampling(processes)),
      (sampling) => Effect.sync(() => sampling.stop()),
    ),
    (sampling) => sampling,
  )

class Sampling implements Meter {
  readonly #processes: Processes
  readonly #timer: NodeJS.Timeout
  #isOn = false
  #before: Snapshot | null = null
  #after: Snapshot | null = null
  #memory: Array<number> = []

  constructor(processes: Processes) {
    this.#processes = processes
    this.#timer = setInterval(() => this.#sample(), sampleMillis)
  }

  readonly started = () => {
    this.#before = snapshot(this.#processes)
    this.#isOn = true
    this.#sample()
  }

  readonly ended = () => {
    this.#after = snapshot(this.#processes)
    this.#sample()
    this.#isOn = false
  }

  readonly stop = () => clearInterval(this.#timer)

  readonly usage = (): Usage => {
    const before = this.#before
    const after = this.#after
    const memory = this.#memory
    const per = (of: "servers" | "database") =>
      before === null || after === null ? null : (after[of] - before[of]) / after.since(before)
    return {
      serverCores: per("servers"),
      databaseCores: per("database"),
      serverMemory: memory.length === 0 ? null : Math.max(...memory),
      serverGrowth: memory.length < 2 ? null : memory.at(-1)! - memory[0]!,
      databaseMemory: after?.databaseMemory ?? null,
    }
  }

  #sample() {
    if (!this.#isOn) return
    const sizes = this.#processes.servers.flatMap((pid) => residentBytes(pid) ?? [])
    if (sizes.length > 0) this.#memory.push(Math.max(...sizes))
  }
}

class Snapshot {
  readonly at = performance.now()
  /** Processor seconds since the processes were started. */
  readonly servers: number
  readonly database: number
  readonly databaseMemory: number | null

  constructor(servers: number, database: number, databaseMemory: number | null) {
    this.servers = servers
    this.database = database
    this.databaseMemory = databaseMemory
  }

  since(before: Snapshot): number {
    return (this.at - before.at) / 1000
  }
}

const seconds = (stats: ReadonlyArray<Stat | undefined>): number =>
  stats.reduce((sum, stat) => sum + (stat?.own ?? 0), 0)

/** Anew, if a process of the database ended meanwhile: its time would be missed, or counted twice. */
const snapshot = (processes: Processes, triesLeft = 5): Snapshot | null => {
  if (process.platform !== "linux") return null
  const { database, servers } = processes
  const before = statOf(database)
  const children = childrenOf(database)
  const live = seconds(children.map(statOf))
  const own = statOf(database)
  if (before === undefined || own === undefined) return null
  if (before.ofEndedChildren !== own.ofEndedChildren && triesLeft > 0) return snapshot(processes, triesLeft - 1)
  return new Snapshot(
    seconds(servers.map(statOf)),
    own.own + live + own.ofEndedChildren,
    shared([database, ...children]),
  )
}

interface Stat {
  readonly parent: number
  readonly own: number
  readonly ofEndedChildren: number
}

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    // The process has ended meanwhile, or belongs to somebody else.
    return undefined
  }
}

const statOf = (pid: number): Stat | undefined => {
  const text = read(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // After the name, which is in parentheses and may hold anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
  const seconds = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) / ticksPerSecond
  return { parent: Number(fields[1]), own: seconds(11), ofEndedChildren: seconds(13) }
}

const childrenOf = (parent: number): ReadonlyArray<number> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => statOf(pid)?.parent === parent)

const kilobytes = (text: string | undefined, name: string): number | undefined => {
  const match = text === undefined ? null : new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)
  return match === null ? undefined : Number(match[1]) * 1024
}

const residentBytes = (pid: number): number | undefined => kilobytes(read(`/proc/${pid}/status`), "VmRSS")

/** The proportional set sizes: every process of PostgreSQL has the same shared buffers in its resident set. */
const shared = (pids: ReadonlyArray<number>): number | null => {
  const sizes = pids.flatMap((pid) => kilobytes(read(`/proc/${pid}/smaps_rollup`), "Pss") ?? [])
  return sizes.length === 0 ? null : sizes.reduce((a, b) => a + b, 0)
}
