/** What the numbers were measured on: without it they say nothing. */
import { closeSync, fdatasyncSync, openSync, readFileSync, statfsSync, writeSync } from "node:fs"
import { cpus, release, totalmem, type as systemType } from "node:os"
import { join } from "node:path"
import type { Database } from "./Database.ts"

export interface Machine {
  readonly processors: string
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
  readonly postgres: string
  /** Median of writing 8 KiB durably to the disk of the database, in milliseconds: the floor of a commit. */
  readonly syncMillis: number
  /** Whether the folder is in memory, where a sync does nothing. */
  readonly isInMemory: boolean
}

const syncs = 100

/** The type that Linux gives a tmpfs. */
const tmpfs = 0x01021994

export const describe = (database: Database): Machine => {
  const processors = cpus()
  return {
    processors: `${processors.length} × ${processors[0]?.model.trim() ?? "unknown"}`,
    memoryBytes: totalmem(),
    system: `${systemType()} ${release()}${isVirtual() ? ", virtual" : ""}`,
    node: process.version,
    postgres: database.version,
    syncMillis: medianSync(database.directory),
    isInMemory: process.platform === "linux" && statfsSync(database.directory).type === tmpfs,
  }
}

const isVirtual = (): boolean => {
  try {
    return readFileSync("/proc/cpuinfo", "utf8").includes(" hypervisor")
  } catch {
    return false
  }
}

const medianSync = (directory: string): number => {
  const file = openSync(join(directory, "sync"), "w")
  const block = Buffer.alloc(8192, 1)
  const times = Array.from({ length: syncs }, (_, index) => {
    const start = performance.now()
    writeSync(file, block, 0, block.length, index * block.length)
    fdatasyncSync(file)
    return performance.now() - start
  })
  closeSync(file)
  return times.toSorted((a, b) => a - b)[syncs / 2]!
}
