/** `pnpm bench`: measures the ledger, its limits and its rivals, audits each run, prints tables and writes a report. */
import * as Replicas from "@banquo/testing/Replicas"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Exit, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { join, resolve } from "node:path"
import { setFlagsFromString } from "node:v8"
import { balancers, hasHaproxy } from "./Balancer.ts"
import * as Cockroach from "./Cockroach.ts"
import * as Database from "./Database.ts"
import * as Failover from "./Failover.ts"
import { fill } from "./Fill.ts"
import { failureLines } from "./KeyedLoad.ts"
import * as Machine from "./Machine.ts"
import { type Entry, faultLines, line } from "./Measurement.ts"
import * as Report from "./Report.ts"
import { lineOf } from "@banquo/ledger/Fault"
import * as Restarts from "./Restarts.ts"
import { runAll } from "./Run.ts"
import { casesOf, scenarios } from "./Scenario.ts"
import * as Soak from "./Soak.ts"
import * as Verification from "./Verification.ts"

/** Seconds of the measured window. */
const secondsDefault = { full: 10, quick: 2 }

/** A quick run begins nothing after this, so that it ends within two minutes. */
const quickBudgetMillis = 100_000

/** What the README of the project shows. */
const reportDirectory = join(import.meta.dirname, "..", "report")

const Numbers = Schema.String.check(Schema.isPattern(/^\d+(,\d+)*$/, { message: "Expected numbers like 1,8,64" }))

const numbers = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withDescription(description),
    Flag.withSchema(Numbers),
    Flag.map((text) => text.split(",").map(Number)),
    Flag.withDefault([]),
  )

const names = scenarios.map(({ name }) => name)

const bench = Command.make(
  "bench",
  {
    isQuick: Flag.Boolean("quick").pipe(
      Flag.withDescription("Fewer and shorter runs: two minutes"),
      Flag.withDefault(false),
    ),
    isLarge: Flag.Boolean("large").pipe(
      Flag.withDescription("Also the table of 10 million rows: minutes and gigabytes more"),
      Flag.withDefault(false),
    ),
    scenario: Flag.Literals("scenario", names).pipe(
      Flag.withDescription("Only this one; may be given more than once"),
      Flag.atLeast(0),
    ),
    clients: numbers("clients", "In place of the scenarios' own, like 1,64"),
    instances: numbers("instances", "In place of the scenarios' own, like 1,3"),
    rows: numbers("rows", "Of the filled table, in place of the scenarios' own, like 100000,10000000"),
    seconds: Flag.Finite("seconds").pipe(Flag.withDescription("Measured of each run"), Flag.optional),
    out: Flag.String("out").pipe(
      Flag.withDescription("Where the report is written; by default a whole run to its place, others to .cache/bench"),
      Flag.optional,
    ),
  },
  ({ clients, instances, isLarge, isQuick, out, rows, scenario, seconds }) =>
    Effect.gen(function* () {
      const cases = casesOf({ isQuick, isLarge, scenarios: scenario, axes: { clients, instances, rows } })
      const isWhole = !isQuick && [scenario, clients, instances, rows].every(({ length }) => length === 0)
      const directory = Option.match(out, {
        onNone: () => (isWhole ? reportDirectory : join(reportDirectory, "../../../.cache/bench")),
        onSome: (path) => resolve(path),
      })
      yield* Console.log(`${cases.length} runs; the database is being made and filled`)
      const database = yield* Database.make
      const machine = Machine.describe(database)
      const measured = Option.getOrElse(seconds, () => (isQuick ? secondsDefault.quick : secondsDefault.full))
      const entries = yield* runAll(database, cases, {
        warmMillis: isQuick ? 1_000 : 2_000,
        measureMillis: measured * 1000,
        budgetMillis: isQuick ? quickBudgetMillis : null,
        onEntry: (entry) => Console.log([line(entry), ...faultsOf(entry)].join("\n")),
      })
      for (const one of scenarios) {
        const section = Report.section(one, entries)
        if (section !== undefined) yield* Console.log(`\n${section}`)
      }
      yield* Console.log(`\n## Targets\n\n${Report.targetTable(Report.measurementsOf(entries))}`)
      const outcome = {
        date: new Date().toISOString().slice(0, 10),
        isQuick,
        seconds: performance.now() / 1000,
        machine,
        entries,
      }
      yield* Report.write(directory, outcome)
      yield* Console.log(`\nThe report is in ${directory}; it took ${Math.round(outcome.seconds)} s.`)
      if (!Report.isSound(entries)) yield* Effect.sync(() => (process.exitCode = 1))
    }).pipe(Effect.scoped),
).pipe(Command.withDescription("Measure Banquo beside its limits and its rivals, and audit each run"))

const logRestart = (count: number) => Console.log(`  restart ${count}`)

const restarts = Command.make(
  "restarts",
  {
    rounds: Flag.Int("rounds").pipe(
      Flag.withDescription("How often each of the three instances is restarted"),
      Flag.withDefault(10),
    ),
    clients: Flag.Int("clients").pipe(Flag.withDescription("At a time"), Flag.withDefault(16)),
    balancer: Flag.Literals("balancer", balancers).pipe(
      Flag.withDescription("Default: haproxy where it is installed"),
      Flag.optional,
    ),
    only: Flag.Literals("stop", Restarts.stops).pipe(
      Flag.withDescription("Whether the balancer sees it first; by default one after the other"),
      Flag.atLeast(0),
    ),
  },
  ({ balancer, clients, only, rounds }) =>
    Effect.gen(function* () {
      const name = Option.getOrElse(balancer, () => (hasHaproxy() ? "haproxy" : "own"))
      const database = yield* Database.make
      const filled = yield* fill(database, Restarts.rowsDefault)
      for (const stop of only.length === 0 ? Restarts.stops : only) {
        yield* Console.log(`stops that the balancer has ${stop} before, ${rounds} rounds, balancer: ${name}`)
        const done = yield* Restarts.run(database, filled, {
          rounds,
          clients,
          balancer: name,
          stop,
          onRestart: logRestart,
        })
        const { audited, exits, failures, faults, lost, requests } = done
        yield* Console.log(
          `  ${requests} requests, ${[...failures.values()].reduce((sum, count) => sum + count, 0)} failed tries, ${lost} lost; ${audited} rows audited, ${faults.length} faults`,
        )
        yield* Console.log(faultLines(faults).join("\n"))
        for (const exit of exits) yield* Console.log(`  an instance ended with ${exit}`)
        for (const failure of failureLines(failures)) yield* Console.log(`  ${failure}`)
        if (!Restarts.isKept(done, stop)) yield* Effect.sync(() => (process.exitCode = 1))
      }
    }).pipe(Effect.scoped),
).pipe(
  Command.withDescription("Restart instances behind a balancer under load, and audit what their clients were told"),
)

const failover = Command.make(
  "failover",
  {
    only: Flag.Literals(
      "case",
      Failover.cases.map(({ name }) => name),
    ).pipe(Flag.withDescription("Only this one; may be given more than once"), Flag.atLeast(0)),
    seconds: Flag.Finite("seconds").pipe(Flag.withDescription("Of each part of a case"), Flag.withDefault(4)),
  },
  ({ only, seconds }) =>
    Effect.gen(function* () {
      const pristine = yield* Replicas.makePristine
      yield* Console.log(`${Failover.headings}\n| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |`)
      for (const one of Failover.cases) {
        if (only.length > 0 && !only.includes(one.name)) continue
        const outcome = yield* Effect.scoped(Failover.run(pristine, one, seconds))
        yield* Console.log(Failover.line(outcome))
        for (const line of faultLines(outcome.faults)) yield* Console.log(line)
        if (!Failover.isKept(outcome, one)) yield* Effect.sync(() => (process.exitCode = 1))
      }
    }).pipe(Effect.scoped),
).pipe(
  Command.withDescription(
    "Fail the servers of the database under load, case by case, and audit what clients were told",
  ),
)

const soak = Command.make(
  "soak",
  {
    minutes: Flag.Finite("minutes").pipe(Flag.withDefault(30)),
    faultSeconds: Flag.Finite("fault-seconds").pipe(
      Flag.withDescription("From one fault to the next"),
      Flag.withDefault(60),
    ),
    part: Flag.Finite("part").pipe(Flag.withDescription("Of the top rate"), Flag.withDefault(0.7)),
    seed: Flag.Int("seed").pipe(Flag.withDescription("Of the faults"), Flag.withDefault(1)),
  },
  ({ minutes, ...options }) =>
    Effect.gen(function* () {
      // All that was asked and all that is stored is held against one another at once.
      setFlagsFromString("--max-old-space-size=12288")
      const soaked = yield* Soak.run({
        ...options,
        topSeconds: 10,
        seconds: minutes * 60,
        onFault: (line) => Console.log(`  ${line}`),
      })
      yield* Console.log(
        `${Math.round(soaked.rate)} requests/s of ${Math.round(soaked.topRate)}: ${soaked.answered} answered, ${soaked.givenUp} given up; ` +
          `${soaked.audited} rows audited, ${soaked.faults.length} faults\n` +
          `clients were told: ${failureLines(soaked.failures).join(", ")}\n` +
          `before: ${Soak.lineOfSize(soaked.first)}\nafter:  ${Soak.lineOfSize(soaked.last)}`,
      )
      for (const line of faultLines(soaked.faults)) yield* Console.log(line)
      if (!Soak.isSound(soaked)) yield* Effect.sync(() => (process.exitCode = 1))
    }).pipe(Effect.scoped),
).pipe(Command.withDescription("Load for a long time, with a fault at random each minute, and the audit"))

const verification = Command.make(
  "verify",
  {
    rows: Flag.Int("rows").pipe(Flag.withDescription("Single changes"), Flag.withDefault(300_000)),
    transfers: Flag.Int("transfers").pipe(Flag.withDescription("Of two changes each"), Flag.withDefault(100_000)),
    runs: Flag.Int("runs").pipe(Flag.withDescription("How often each is verified"), Flag.withDefault(3)),
  },
  ({ rows, runs, transfers }) =>
    Effect.gen(function* () {
      const database = yield* Database.make
      const filled = yield* fill(database, rows)
      for (const count of [0, transfers]) {
        yield* Verification.transfer(database, filled, count)
        for (let run = 0; run < runs; run++) {
          const measured = yield* Verification.measure(database, filled)
          yield* Console.log(Verification.lineOf(measured))
          if (measured.verified.faultsFound > 0) yield* Effect.sync(() => (process.exitCode = 1))
        }
      }
    }).pipe(Effect.scoped),
).pipe(Command.withDescription("Verify a ledger of single changes, then of transfers too, and print the rows a second"))

const cockroach = Command.make(
  "cockroach",
  {
    url: Flag.Redacted("url").pipe(Flag.withDescription("Of a database of the cluster, as a superuser")),
    transfers: Flag.Int("transfers").pipe(
      Flag.withDescription("Of two changes each, before anything is asked"),
      Flag.withDefault(2_000),
    ),
    clients: Flag.Int("clients").pipe(Flag.withDescription("Of the load"), Flag.withDefault(32)),
    seconds: Flag.Finite("seconds").pipe(Flag.withDescription("Of the load"), Flag.withDefault(20)),
  },
  (options) =>
    Effect.gen(function* () {
      const proof = yield* Cockroach.prove({ ...options, print: Console.log })
      const { audited, counts, faults, plans, verified } = proof
      const bad = plans.filter((plan) => plan.faults.length > 0)
      yield* Console.log(
        `\n${plans.length - bad.length} of ${plans.length} plans are as they should be\n` +
          `${counts.requests} requests: ${counts.acknowledged} writes acknowledged, ${counts.replayed} replayed, ${counts.refused} refused, ` +
          `${counts.unknown} without an answer; ${audited} rows audited, ${faults.length} faults\n` +
          `${verified.changes} rows verified, ${verified.faultsFound} faults`,
      )
      for (const { name, faults } of bad) yield* Console.log(`  ${name}: ${faults.join("; ")}`)
      for (const line of [...faultLines(faults), ...verified.faults.map(lineOf)]) yield* Console.log(line)
      if (!Cockroach.isProven(proof)) yield* Effect.sync(() => (process.exitCode = 1))
    }),
).pipe(
  Command.withDescription(
    "Prove a CockroachDB: plans of the hot statements, then a load and its audit; PostgreSQL too",
  ),
)

const faultsOf = (entry: Entry): ReadonlyArray<string> =>
  entry._tag === "Measured" && entry.measurement.audit !== null ? faultLines(entry.measurement.audit.faults) : []

Command.run(bench.pipe(Command.withSubcommands([restarts, failover, soak, verification, cockroach])), {
  version: "0.1.0",
}).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? Number(process.exitCode ?? 0) : 1),
  }),
)
