/** What the design promises, as ratios of runs on one machine: see what is kept. Nothing fails by it. */
import type { Measurement } from "./Measurement.ts"
import { type Case, rowsDefault, type Subject } from "./Scenario.ts"
import type { WorkloadName } from "./Workload.ts"
import { millis } from "./Table.ts"

export interface Target {
  readonly work: string
  readonly wanted: string
  /** `null`: one of the runs that it is made of is missing. */
  readonly measured: string | null
  readonly isMet: boolean | null
}

const clients = 64

/** The first run that is meant. */
const find = (measurements: ReadonlyArray<Measurement>, wanted: Partial<Case>): Measurement | undefined =>
  measurements.find((measurement) =>
    Object.entries(wanted).every(([name, value]) => measurement.case[name as keyof Case] === value),
  )

const closed = (subject: Subject, workload: WorkloadName): Partial<Case> => ({
  subject,
  workload,
  clients,
  instances: 1,
  rows: rowsDefault,
  rate: null,
})

const missing = { measured: null, isMet: null }

const ratio = (work: string, least: number, of: Measurement | undefined, to: Measurement | undefined): Target => {
  const wanted = `≥ ${least < 10 ? least.toFixed(1) : least}`
  if (of === undefined || to === undefined || to.changesPerSecond === 0) return { work, wanted, ...missing }
  const value = of.changesPerSecond / to.changesPerSecond
  return { work, wanted, measured: value.toFixed(2), isMet: value >= least }
}

export const targets = (measurements: ReadonlyArray<Measurement>): ReadonlyArray<Target> => {
  const uniform = find(measurements, closed("banquo", "uniform"))
  const hot = find(measurements, closed("banquo", "hot"))
  const best = (workload: WorkloadName) =>
    measurements
      .filter((one) => one.case.subject === "banquo" && one.case.workload === workload && one.case.instances === 1)
      .toSorted((a, b) => b.changesPerSecond - a.changesPerSecond)[0]
  const large = measurements
    .filter((one) => one.case.scenario === "rows" && one.case.rows > rowsDefault)
    .toSorted((a, b) => b.case.rows - a.case.rows)[0]
  const small = find(measurements, { ...closed("banquo", "uniform"), scenario: "rows" })
  const half = find(measurements, { subject: "banquo", workload: "uniform", rate: 0.5 })?.latency
  const memory = best("uniform")?.usage.serverMemory
  return [
    ratio(
      "one change, 64 clients, 100 000 accounts ÷ no-op POST of the same schemas",
      0.6,
      uniform,
      find(measurements, closed("no-op", "uniform")),
    ),
    ratio(
      "the same ÷ single-row inserts by a bare SQL client, no HTTP",
      1,
      uniform,
      find(measurements, { subject: "single-row inserts" }),
    ),
    ratio("one hot account ÷ 100 000 accounts", 0.9, hot, uniform),
    ratio(
      "one hot account ÷ the prototype's read-then-insert",
      20,
      hot,
      find(measurements, closed("read-then-insert", "hot")),
    ),
    ratio(
      "batch route, changes/s ÷ multi-row inserts by a bare SQL client",
      0.5,
      best("batches"),
      find(measurements, { subject: "multi-row inserts" }),
    ),
    {
      work: "p99 at half of the top rate",
      wanted: "≤ 20 ms",
      ...(half === undefined || half === null
        ? missing
        : { measured: `${millis(half.p99)} ms`, isMet: half.p99 <= 20 }),
    },
    ratio(`table of ${large === undefined ? 10 : large.case.rows / 1e6} million rows ÷ 0.1 million`, 0.8, large, small),
    {
      work: "resident memory at top rate",
      wanted: "≤ 300 MB",
      ...(memory === undefined || memory === null
        ? missing
        : { measured: `${Math.round(memory / 1e6)} MB`, isMet: memory <= 300e6 }),
    },
  ]
}
