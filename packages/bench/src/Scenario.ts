/** What is measured, as data: scenarios, each a table of its own, and the runs that their rows come from. */
import type { LimitName } from "./Limit.ts"
import type { ServerName } from "./Server.ts"
import type { WorkloadName } from "./Workload.ts"

/** What does the work of a run: the ledger, or what it is compared with. */
export type Subject = ServerName | LimitName

/** The rows of the smallest table: one for each account. */
export const rowsDefault = 100_000

/** What a run can be varied by; one run for each combination. */
export interface Axes {
  readonly clients: ReadonlyArray<number>
  readonly instances: ReadonlyArray<number>
  readonly rows: ReadonlyArray<number>
}

export interface Series {
  readonly subject: Subject
  readonly workload: WorkloadName
  readonly axes: Axes
  /** The axes of a quick run; `null`: left out of it. */
  readonly quick: Axes | null
  /** Rows of tables that are made only when they are asked for: they take minutes and gigabytes. */
  readonly large?: ReadonlyArray<number>
  /** For open loops: the rates, as parts of the most that a closed loop of the first workload reached. */
  readonly rates?: ReadonlyArray<number>
}

export interface Scenario {
  readonly name: string
  readonly title: string
  readonly series: ReadonlyArray<Series>
}

/** One run. */
export interface Case {
  readonly scenario: string
  readonly subject: Subject
  readonly workload: WorkloadName
  readonly clients: number
  readonly instances: number
  readonly rows: number
  /** `null`: a closed loop. */
  readonly rate: number | null
}

const axes = (more: Partial<Axes> = {}): Axes => ({ clients: [64], instances: [1], rows: [rowsDefault], ...more })

const clients = [1, 8, 64, 256]

const series = (
  subject: Subject,
  workload: WorkloadName,
  full: Partial<Axes> = {},
  quick: Partial<Axes> | null = {},
): Series => ({ subject, workload, axes: axes(full), quick: quick === null ? null : axes(quick) })

/** In the order of a run. What the targets are made of comes first, so that a quick run that is short of time has it. */
export const scenarios: ReadonlyArray<Scenario> = [
  {
    name: "uniform",
    title: "100 000 accounts, one change each",
    series: [series("banquo", "uniform", { clients, instances: [1, 3] }, { clients: [1, 64] })],
  },
  {
    name: "limits",
    title: "The limits: HTTP without a ledger, the database without HTTP",
    series: [
      series("no-op", "uniform", { clients }),
      series("single-row inserts", "uniform"),
      series("multi-row inserts", "uniform"),
    ],
  },
  {
    name: "hot",
    title: "One hot account",
    series: [
      series("banquo", "hot", { clients, instances: [1, 3] }, {}),
      series("read-then-insert", "hot", { clients: [1, 8, 64] }, {}),
      series("lock-row", "hot", { clients: [1, 8, 64] }, {}),
    ],
  },
  {
    name: "fifty",
    title: "50 accounts transferring at random",
    series: [
      series("banquo", "fifty", { instances: [1, 3] }, {}),
      series("read-then-insert", "fifty", {}, null),
      series("lock-row", "fifty", {}, null),
    ],
  },
  {
    name: "batches",
    title: "Batches of 500 changes",
    series: [series("banquo", "batches", { clients: [1, 8], instances: [1] }, { clients: [8] })],
  },
  {
    name: "rate",
    title: "Open loop: latency at a given rate",
    series: [{ ...series("banquo", "uniform"), rates: [0.25, 0.5, 0.75, 0.9] }],
  },
  {
    name: "zipf",
    title: "Zipf 1.0 over 100 000 accounts",
    series: [series("banquo", "zipf", { instances: [1, 3] }, {})],
  },
  {
    name: "transfers",
    title: "Transfers between 100 000 accounts, some of them refused",
    series: [series("banquo", "transfers", { instances: [1, 3] }, {}), series("lock-row", "transfers", {}, null)],
  },
  {
    name: "kinds",
    title: "What a transfer and a hold cost beside a plain change",
    series: [
      series("banquo", "uniform", {}, null),
      series("banquo", "transfers", {}, null),
      series("banquo", "holds", {}, null),
    ],
  },
  {
    name: "life",
    title: "Whole lives of a few accounts, by three instances at once",
    series: [series("banquo", "life", { instances: [3] }, { instances: [3] })],
  },
  {
    name: "replays",
    title: "Replays of keys",
    series: [series("banquo", "replays", { instances: [1, 3] }, {})],
  },
  {
    name: "history",
    title: "History reads during writes",
    series: [series("banquo", "history", { instances: [1, 3], rows: [1_000_000] }, {})],
  },
  {
    name: "instances",
    title: "Three instances on one machine",
    series: [series("banquo", "uniform", {}, { instances: [3] })].map((one) => ({
      ...one,
      axes: axes({ clients: [] }),
    })),
  },
  {
    name: "rows",
    title: "Tables of 0.1, 1 and 10 million rows",
    series: [{ ...series("banquo", "uniform", { rows: [rowsDefault, 1_000_000] }, null), large: [10_000_000] }],
  },
]

/** Of the rates of an open loop, the one that a quick run has. */
const quickRate = 0.5

export interface Choice {
  readonly isQuick: boolean
  /** Whether the large tables are made, too. */
  readonly isLarge: boolean
  /** Names of scenarios; none: all. */
  readonly scenarios: ReadonlyArray<string>
  /** What replaces the axes of all that are chosen; an empty list replaces nothing. */
  readonly axes: Axes
}

/** The runs that are asked for, in order. An open loop comes after a closed one that says how fast it may be. */
export const casesOf = ({ axes, isLarge, isQuick, scenarios: names }: Choice): ReadonlyArray<Case> => {
  const cases = scenarios
    .filter(({ name }) => names.length === 0 || names.includes(name))
    .flatMap(({ name, series }) => series.flatMap((one) => casesOfSeries(name, one, { isQuick, isLarge, axes })))
  const open = cases.findIndex(({ rate }) => rate !== null)
  const isGiven = cases.slice(0, Math.max(open, 0)).some((one) => isTopFor(one, cases[open]!))
  return open < 0 || isGiven ? cases : cases.toSpliced(open, 0, { ...cases[open]!, rate: null })
}

/** Whether what a closed loop reached is the top rate of an open one. */
export const isTopFor = (closed: Case, open: Case): boolean =>
  closed.rate === null &&
  closed.subject === open.subject &&
  closed.workload === open.workload &&
  closed.instances === open.instances &&
  closed.rows === open.rows

const casesOfSeries = (
  scenario: string,
  { axes: full, large, quick, rates, subject, workload }: Series,
  { axes: asked, isLarge, isQuick }: Omit<Choice, "scenarios">,
): ReadonlyArray<Case> => {
  const axes = isQuick ? quick : full
  if (axes === null) return []
  const isBare = subject === "single-row inserts" || subject === "multi-row inserts"
  const axis = (name: keyof Axes) => (asked[name].length > 0 && axes[name].length > 0 ? asked[name] : axes[name])
  return [...axis("rows"), ...(isLarge ? (large ?? []) : [])].flatMap((rows) =>
    (isBare || subject !== "banquo" ? [1] : axis("instances")).flatMap((instances) =>
      (isBare ? axes.clients : axis("clients")).flatMap((clients) =>
        ratesOf(rates, isQuick).map((rate) => ({ scenario, subject, workload, clients, instances, rows, rate })),
      ),
    ),
  )
}

const ratesOf = (rates: Series["rates"], isQuick: boolean): ReadonlyArray<number | null> =>
  rates === undefined ? [null] : isQuick ? [quickRate] : rates
