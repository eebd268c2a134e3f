/** The report: a page of Markdown with its charts, and everything that was measured as JSON. */
import { Effect } from "effect"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Chart from "./Chart.ts"
import { limits } from "./Limit.ts"
import type { Machine } from "./Machine.ts"
import { type Entry, faultLines, type Measurement, nameOf, table } from "./Measurement.ts"
import { rivals } from "./Rival.ts"
import { type Case, type Scenario, scenarios } from "./Scenario.ts"
import * as Table from "./Table.ts"
import { type Target, targets } from "./Target.ts"
import { workloads } from "./Workload.ts"

export interface Outcome {
  readonly date: string
  readonly isQuick: boolean
  readonly seconds: number
  readonly machine: Machine
  readonly entries: ReadonlyArray<Entry>
}

export const measurementsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<Measurement> =>
  entries.flatMap((entry) => (entry._tag === "Measured" ? [entry.measurement] : []))

/** Whether nothing failed and each audit passed. */
export const isSound = (entries: ReadonlyArray<Entry>): boolean =>
  entries.every(
    (entry) =>
      entry._tag === "Skipped" || (entry._tag === "Measured" && (entry.measurement.audit?.faults.length ?? 0) === 0),
  )

export const targetTable = (measurements: ReadonlyArray<Measurement>): string =>
  Table.render<Target>(
    [
      { name: "work", isText: true, cell: ({ work }) => work },
      { name: "target", isText: true, cell: ({ wanted }) => wanted },
      { name: "measured", cell: ({ measured }) => measured ?? "–" },
      { name: "", isText: true, cell: ({ isMet }) => (isMet === null ? "not measured" : isMet ? "met" : "missed") },
    ],
    targets(measurements),
  )

/** The title, the table, and what was left out. `undefined`: nothing of it was run. */
export const section = ({ name, title }: Scenario, entries: ReadonlyArray<Entry>): string | undefined => {
  const own = entries.filter((entry) => caseOf(entry).scenario === name)
  if (own.length === 0) return undefined
  const measured = measurementsOf(own)
  return [
    `## ${title}`,
    ...kindsOf(own.map(caseOf)),
    ...(measured.length === 0 ? [] : [table(measured)]),
    ...own.flatMap((entry) =>
      entry._tag === "Measured"
        ? faultsOf(entry.measurement)
        : [`${entry._tag}: ${nameOf(entry.case)}: ${entry.reason}`],
    ),
  ].join("\n\n")
}

const caseOf = (entry: Entry): Case => (entry._tag === "Measured" ? entry.measurement.case : entry.case)

const kindsOf = (cases: ReadonlyArray<Case>): ReadonlyArray<string> => {
  const words: { readonly [name: string]: string } = {
    ...rivals,
    ...limits,
    "no-op": "the same routes and schemas, answered from memory",
  }
  const kinds = new Set(cases.map(({ workload }) => workload))
  const subjects = new Set(cases.map(({ subject }) => subject).filter((subject) => subject !== "banquo"))
  return [
    ...[...kinds].map((kind) => `Each request: ${workloads[kind]}.`),
    [...subjects].map((subject) => `- ${subject}: ${words[subject]}`).join("\n"),
  ].filter((text) => text !== "")
}

const faultsOf = ({ audit, case: one }: Measurement): ReadonlyArray<string> =>
  audit === null || audit.faults.length === 0
    ? []
    : [`The audit of ${nameOf(one)} found:\n\n\`\`\`\n${faultLines(audit.faults).join("\n")}\n\`\`\``]

const over =
  (scenario: string, subject: Case["subject"], instances = 1) =>
  (one: Measurement) =>
    one.case.scenario === scenario && one.case.subject === subject && one.case.instances === instances

/** Charts that the runs suffice for, by the names of their files. */
const chartsOf = (measurements: ReadonlyArray<Measurement>): ReadonlyMap<string, string> => {
  const charts = new Map<string, string>()
  const closed = measurements.filter(({ rate }) => rate === null)
  const line = (name: string, x: "clients" | "rows", isMeant: (one: Measurement) => boolean): Chart.Line => ({
    name,
    points: closed
      .filter(isMeant)
      .map((one) => ({ x: one.case[x], y: one.changesPerSecond }))
      .toSorted((a, b) => a.x - b.x),
  })
  const clients = [
    line("100 000 accounts", "clients", over("uniform", "banquo")),
    line("… three instances", "clients", over("uniform", "banquo", 3)),
    line("one hot account", "clients", over("hot", "banquo")),
    line("no-op POST", "clients", over("limits", "no-op")),
    line("hot, read-then-insert", "clients", over("hot", "read-then-insert")),
    line("hot, lock-row", "clients", over("hot", "lock-row")),
  ].filter(({ points }) => points.length > 1)
  if (clients.length > 0) {
    charts.set(
      "throughput-over-clients.svg",
      Chart.lines({ title: "Changes per second over clients", x: "clients", y: "changes/s", lines: clients }),
    )
  }

  const hot = closed.filter((one) => one.case.scenario === "hot" && one.case.instances === 1 && one.case.clients === 64)
  if (hot.length > 1) {
    const bars = hot.map(({ case: { subject }, changesPerSecond }) => ({
      name: subject === "banquo" ? "Banquo" : subject,
      value: changesPerSecond,
      isOwn: subject === "banquo",
    }))
    charts.set(
      "hot-account.svg",
      Chart.bars({
        title: "One hot account, 64 clients: the algorithms on the same database",
        unit: "changes/s",
        bars,
      }),
    )
  }

  const rows = line("Banquo, 64 clients", "rows", over("rows", "banquo"))
  if (rows.points.length > 1) {
    charts.set(
      "rate-over-rows.svg",
      Chart.lines({ title: "Changes per second over rows in the table", x: "rows", y: "changes/s", lines: [rows] }),
    )
  }

  const rates = measurements.filter((one) => one.rate !== null && one.latency !== null)
  if (rates.length > 1) {
    const at = (name: string, percentile: "p50" | "p99" | "p999"): Chart.Line => ({
      name,
      points: rates
        .map((one) => ({ x: Math.round(one.rate!), y: one.latency![percentile] }))
        .toSorted((a, b) => a.x - b.x),
    })
    charts.set(
      "latency-over-rate.svg",
      Chart.lines({
        title: "Latency over rate, open loop",
        x: "requests/s",
        y: "ms",
        lines: [at("p99.9", "p999"), at("p99", "p99"), at("p50", "p50")],
      }),
    )
  }
  return charts
}

const captions: { readonly [file: string]: string } = {
  "throughput-over-clients.svg": "Changes per second over clients",
  "hot-account.svg": "One hot account over algorithms",
  "rate-over-rows.svg": "Changes per second over rows in the table",
  "latency-over-rate.svg": "Latency over rate",
}

const page = (outcome: Outcome, charts: ReadonlyMap<string, string>): string => {
  const { date, entries, isQuick, machine, seconds } = outcome
  const measurements = measurementsOf(entries)
  const audited = measurements.flatMap(({ audit }) => (audit === null ? [] : [audit]))
  const faults = audited.reduce((sum, { faults }) => sum + faults.length, 0)
  const rows = audited.reduce((sum, { rows }) => sum + rows, 0)
  return [
    "# Benchmark",
    `Written by \`pnpm bench${isQuick ? " --quick" : ""}\` on ${date}; it took ${Math.round(seconds)} s. Load generator, servers and database share the machine, so ratios within the run say more than its absolute numbers.`,
    `- processors: ${machine.processors}\n- memory: ${Table.megabytes(machine.memoryBytes)}\n- system: ${machine.system}\n- Node ${machine.node.slice(1)}, PostgreSQL ${machine.postgres} with fsync, synchronous_commit and full_page_writes on\n- writing 8 KiB durably takes ${Table.millis(machine.syncMillis)} ms${machine.isInMemory ? " **(the folder is in memory: nothing is durable)**" : ""}`,
    `Audits: ${audited.length} runs, ${Table.integer(rows)} stored changes held against what the clients were told, ${faults === 0 ? "no fault" : `**${faults} faults**`}.`,
    "## Targets",
    targetTable(measurements),
    ...[...charts.keys()].map((file) => `![${captions[file]}](${file})`),
    ...scenarios.flatMap((scenario) => section(scenario, entries) ?? []),
    "## How to read it",
    notes,
  ].join("\n\n")
}

const notes = `- Each run has a fresh copy of a filled database, fresh processes, a warm-up, and a window that is measured.
- Latency is from when a request should have left to when its answer was there. In a closed loop a client sends when it has its last answer; in an open loop (column "rate") requests leave at random times at a mean rate, whether earlier ones were answered or not, so a stall is seen by all that fall into it.
- CPU is in cores: 1.00 is one core kept busy. "Load" is the generator. Memory of a server is the most that the largest one had in the window; that of the database counts what its processes share once.
- Rivals are behind the same HTTP, schemas, rules, hashes, table and SQL client; only the algorithm differs.
- "Failed" are requests without an answer that says whether they were done. The audit holds them to have been done once or not at all.`

/** To a thousandth: more digits say nothing. */
const rounded = (_: string, value: unknown) => (typeof value === "number" ? Number(value.toFixed(3)) : value)

/** Writes the page, the charts and the numbers; charts of an earlier run that this one has no runs for are removed. */
export const write = (directory: string, outcome: Outcome): Effect.Effect<void> =>
  Effect.sync(() => {
    const charts = chartsOf(measurementsOf(outcome.entries))
    mkdirSync(directory, { recursive: true })
    for (const file of Object.keys(captions)) rmSync(join(directory, file), { force: true })
    for (const [file, svg] of charts) writeFileSync(join(directory, file), svg)
    writeFileSync(join(directory, "README.md"), `${page(outcome, charts)}\n`)
    writeFileSync(join(directory, "measurements.json"), `${JSON.stringify(outcome, rounded, 2)}\n`)
  })
