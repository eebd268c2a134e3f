/** What came out of the runs, and how a table shows it. */
import { type Fault, faultKinds } from "./Audit.ts"
import type { Counts, Latency } from "./Load.ts"
import type { Case } from "./Scenario.ts"
import { type Column, cores, integer, megabytes, millis, render } from "./Table.ts"
import type { Usage } from "./Usage.ts"

export interface Measurement {
  readonly case: Case
  /** Requests per second that were offered; `null`: as many as the clients could. */
  readonly rate: number | null
  readonly requestsPerSecond: number
  /** Acknowledged, and not replayed. */
  readonly changesPerSecond: number
  readonly readsPerSecond: number
  /** Of writes. */
  readonly latency: Latency | null
  readonly readLatency: Latency | null
  readonly usage: Usage
  /** Of the load generator; `null`: it is the subject itself. */
  readonly loadCores: number | null
  readonly counts: Counts
  /** `null`: nothing to audit. */
  readonly audit: { readonly rows: number; readonly faults: ReadonlyArray<Fault> } | null
}

export type Entry =
  | { readonly _tag: "Measured"; readonly measurement: Measurement }
  | { readonly _tag: "Skipped"; readonly case: Case; readonly reason: string }
  | { readonly _tag: "Failed"; readonly case: Case; readonly reason: string }

/** A row of a table: a run has two when it reads as well as writes. */
interface Row {
  readonly measurement: Measurement
  readonly isReads: boolean
}

const verdict = ({ audit }: Measurement): string =>
  audit === null ? "–" : audit.faults.length === 0 ? "passed" : `${audit.faults.length} FAULTS`

const times = ({ isReads, measurement }: Row): Latency | null =>
  isReads ? measurement.readLatency : measurement.latency

const onWrites =
  (cell: (measurement: Measurement) => string) =>
  ({ isReads, measurement }: Row): string =>
    isReads ? "" : cell(measurement)

const columns: ReadonlyArray<Column<Row>> = [
  {
    name: "what",
    isText: true,
    cell: ({ isReads, measurement }) =>
      `${measurement.case.subject === "banquo" ? "Banquo" : measurement.case.subject}${isReads ? ", reads" : ""}`,
  },
  { name: "clients", cell: ({ measurement }) => integer(measurement.case.clients) },
  { name: "instances", cell: ({ measurement }) => integer(measurement.case.instances) },
  { name: "rows", cell: ({ measurement }) => integer(measurement.case.rows) },
  { name: "rate", cell: ({ measurement }) => (measurement.rate === null ? "" : integer(measurement.rate)) },
  {
    name: "requests/s",
    cell: ({ isReads, measurement }) =>
      integer(isReads ? measurement.readsPerSecond : measurement.requestsPerSecond - measurement.readsPerSecond),
  },
  { name: "changes/s", cell: onWrites(({ changesPerSecond }) => integer(changesPerSecond)) },
  { name: "p50 ms", cell: (row) => millis(times(row)?.p50) },
  { name: "p95", cell: (row) => millis(times(row)?.p95) },
  { name: "p99", cell: (row) => millis(times(row)?.p99) },
  { name: "p99.9", cell: (row) => millis(times(row)?.p999) },
  { name: "CPU server", cell: onWrites(({ usage }) => cores(usage.serverCores)) },
  { name: "database", cell: onWrites(({ usage }) => cores(usage.databaseCores)) },
  { name: "load", cell: onWrites(({ loadCores }) => cores(loadCores)) },
  { name: "memory server", cell: onWrites(({ usage }) => megabytes(usage.serverMemory)) },
  { name: "database", cell: onWrites(({ usage }) => megabytes(usage.databaseMemory)) },
  { name: "replayed", cell: onWrites(({ counts }) => integer(counts.replayed)) },
  { name: "refused", cell: onWrites(({ counts }) => integer(counts.refused)) },
  { name: "failed", cell: onWrites(({ counts }) => integer(counts.unknown)) },
  { name: "audit", isText: true, cell: onWrites(verdict) },
]

/** Without the columns that say nothing here. */
export const table = (measurements: ReadonlyArray<Measurement>): string => {
  const rows = measurements.flatMap((measurement): ReadonlyArray<Row> => {
    const row = { measurement, isReads: false }
    return measurement.readLatency === null ? [row] : [row, { measurement, isReads: true }]
  })
  const isNeeded = ({ cell, name }: Column<Row>) =>
    !["rate", "replayed", "refused", "failed"].includes(name) || rows.some((row) => !["", "0"].includes(cell(row)))
  return render(columns.filter(isNeeded), rows)
}

/** In one line, as it is printed while the benchmark goes on. */
export const line = (entry: Entry): string => {
  if (entry._tag !== "Measured") return `${nameOf(entry.case)}: ${entry._tag.toLowerCase()}: ${entry.reason}`
  const { measurement } = entry
  const amount = `${integer(measurement.changesPerSecond || measurement.requestsPerSecond)} changes/s`
  return `${nameOf(measurement.case)}: ${amount}, p99 ${millis(measurement.latency?.p99)} ms, audit ${verdict(measurement)}`
}

/** A few words for a run. */
export const nameOf = ({ clients, instances, rate, rows, subject, workload }: Case): string =>
  [
    `${subject} ${workload}`,
    `${clients} clients`,
    ...(instances === 1 ? [] : [`${instances} instances`]),
    `${integer(rows)} rows`,
    ...(rate === null ? [] : [`${Math.round(rate * 100)} % of the top rate`]),
  ].join(", ")

/** What an audit found, at most so many of each kind. */
export const faultLines = (faults: ReadonlyArray<Fault>, each = 3): ReadonlyArray<string> =>
  [...Map.groupBy(faults, ({ kind }) => kind)].flatMap(([kind, same]) => [
    `${same.length} × ${kind}: ${faultKinds[kind]}`,
    ...same.slice(0, each).map(({ detail }) => `  ${detail}`),
  ])
