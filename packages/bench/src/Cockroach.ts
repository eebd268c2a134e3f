/**
 * What an operator can have proven on a CockroachDB of their own, and what no other place can: that it takes every statement,
 * plans them as they are meant, and that a server on it tells the truth under load. In a database that is made and dropped.
 */
import type { AccountId } from "@banquo/domain/AccountId"
import { Currency } from "@banquo/domain/Currency"
import { NonNegativeAmount, NonZeroAmount, PositiveAmount } from "@banquo/domain/Money"
import { makeAccount } from "@banquo/ledger/Accounts"
import { DbConn } from "@banquo/ledger/DbConn"
import { type Dialect, releaseToGoTo } from "@banquo/ledger/Dialect"
import * as GroupCommit from "@banquo/ledger/GroupCommit"
import { placeHold } from "@banquo/ledger/Holds"
import { migrate } from "@banquo/ledger/Migrator"
import { reverseTransaction } from "@banquo/ledger/Reversals"
import { postTransaction } from "@banquo/ledger/Transactions"
import { type Verified, verify } from "@banquo/ledger/Verifier"
import { Duration, Effect, type Redacted } from "effect"
import { audit, type Fault } from "./Audit.ts"
import { urlOf } from "./Database.ts"
import * as Evidence from "./Evidence.ts"
import * as Load from "./Load.ts"
import { explainAll, type Plan, type Sample } from "./Plans.ts"
import * as Server from "./Server.ts"

export interface CockroachOptions {
  /** As a superuser. */
  readonly url: Redacted.Redacted<string>
  /** Filled in before anything is asked. */
  readonly transfers: number
  readonly clients: number
  readonly seconds: number
  readonly print: (line: string) => Effect.Effect<void>
}

export interface Proof {
  readonly dialect: Dialect
  readonly plans: ReadonlyArray<Plan>
  readonly counts: Load.Counts
  readonly audited: number
  readonly faults: ReadonlyArray<Fault>
  readonly verified: Verified
}

/** Whether all was as it should be. */
export const isProven = ({ counts, faults, plans, verified }: Proof): boolean =>
  plans.every((plan) => plan.faults.length === 0) &&
  counts.acknowledged > 0 &&
  counts.unknown === 0 &&
  faults.length === 0 &&
  verified.faultsFound === 0

export const prove = (options: CockroachOptions): Effect.Effect<Proof, Load.LoadFailed | Server.ServerFailed> =>
  Effect.gen(function* () {
    const { print } = options
    const { dialect, version } = yield* onDatabase(
      options.url,
      Effect.flatMap(DbConn, ({ database }) => database),
    )
    yield* print(`found: ${dialect}, ${version}`)
    const better = releaseToGoTo({ dialect, version })
    if (better !== undefined) yield* print(`this release has known faults: go to ${better}`)
    const url = yield* makeDatabase(options.url, dialect)
    yield* print("the database is made and migrated; it is being filled")
    const sample = yield* onDatabase(url, fill(options.transfers))
    const plans = yield* onDatabase(url, explainAll(sample))
    for (const plan of plans) yield* print(textOf(plan))
    if (dialect === "cockroachdb") yield* print(furtherCommands)
    yield* print(`load for ${options.seconds} s`)
    const { counts, evidence } = yield* load(url, options)
    const faults = audit(evidence)
    const verified = yield* onDatabase(url, verify())
    return { dialect, plans, counts, audited: evidence.rows.length, faults, verified }
  }).pipe(Effect.scoped)

const onDatabase = <A, E>(url: Redacted.Redacted<string>, program: Effect.Effect<A, E, DbConn>): Effect.Effect<A> =>
  program.pipe(
    Effect.provide(DbConn.layerUrl({ url, statementTimeout: Duration.zero, connectionsMax: 8 }), { local: true }),
    Effect.orDie,
  )

/** The roles that the migrations make belong to the whole server and stay. */
const makeDatabase = (url: Redacted.Redacted<string>, dialect: Dialect) =>
  Effect.gen(function* () {
    const name = `banquo_proof_${crypto.randomUUID().replaceAll("-", "")}`
    const administer = (statement: string) =>
      onDatabase(
        url,
        Effect.flatMap(DbConn, ({ sql }) => sql.unsafe(statement).unprepared),
      )
    yield* Effect.acquireRelease(administer(`CREATE DATABASE ${name}`), () =>
      administer(`DROP DATABASE ${name} ${dialect === "postgresql" ? "WITH (FORCE)" : "CASCADE"}`),
    )
    const made = urlOf(url, name)
    yield* onDatabase(made, migrate("bench"))
    return made
  })

const currency = Currency.make("USD")
const fillConcurrency = 64
const accountsOfFill = 50
const holds = 40

const openAccounts = (count: number) =>
  Effect.forEach(
    Array.from({ length: count }),
    () =>
      Effect.map(
        makeAccount({ customerName: "Proof", currency, initialBalance: NonNegativeAmount.make("1000000.00") }),
        ({ account }) => account.acctId,
      ),
    { concurrency: fillConcurrency },
  )

/** Chains with something of each kind on them, by the ledger's own programs. */
const fill = (transfers: number): Effect.Effect<Sample, unknown, DbConn> =>
  Effect.gen(function* () {
    const accounts = yield* openAccounts(accountsOfFill)
    const account = (at: number): AccountId => accounts[at % accounts.length]!
    const posted = yield* Effect.forEach(
      Array.from({ length: transfers }, (_, at) => at),
      (at) =>
        postTransaction({
          changes: [
            { acctId: account(at), amount: NonZeroAmount.make("-1") },
            { acctId: account(at + 1), amount: NonZeroAmount.make("1") },
          ],
        }),
      { concurrency: fillConcurrency },
    )
    const held = yield* Effect.forEach(
      Array.from({ length: holds }, (_, at) => at),
      (at) => placeHold({ acctId: account(at), amount: PositiveAmount.make("1"), expiry: { ttl: 86_400 } }),
      { concurrency: fillConcurrency },
    )
    for (const { transactionId } of posted.slice(0, 10)) yield* reverseTransaction(transactionId)
    const { sql } = yield* DbConn
    for (const table of ["account", "balance_change"]) yield* sql.unsafe(`ANALYZE ${table}`).unprepared
    return { accounts, transactionId: posted[0]!.transactionId, holdId: held[0]!.hold.holdId }
  }).pipe(Effect.provide(GroupCommit.layer(), { local: true }))

/** A server on accounts of its own, which have no holds yet. */
const load = (url: Redacted.Redacted<string>, { clients, seconds }: CockroachOptions) =>
  Effect.gen(function* () {
    const accounts = yield* onDatabase(url, openAccounts(accountsOfFill))
    const selectAll = onDatabase(
      url,
      Effect.flatMap(DbConn, ({ sql }) => Evidence.selectAll(sql)),
    )
    const before = yield* selectAll
    const server = yield* Server.start("banquo", url)
    const options = { workload: "life", rate: null, warmMillis: 0, seed: 1, run: "proof", isLogged: true } as const
    const { counts, log } = yield* Load.run(
      { ...options, urls: [server.url], accounts, clients, measureMillis: seconds * 1000 },
      { started: () => {}, ended: () => {} },
    )
    const ledgerId = yield* onDatabase(
      url,
      Effect.flatMap(DbConn, (db) => db.ledgerId),
    )
    return { counts, evidence: Evidence.between([before, yield* selectAll], ledgerId, log) }
  }).pipe(Effect.scoped)

const textOf = ({ faults, lines, name }: Plan): string =>
  [
    `\n## ${name}: ${faults.length === 0 ? "as it should be" : "NOT as it should be"}`,
    ...faults.map((fault) => `- ${fault}`),
    ...lines.map((line) => `    ${line}`),
  ].join("\n")

/** What only a person can judge, and only of a cluster in service. */
const furtherCommands = `
For the database in service, after a day:
    -- Writes are spread: no range of the indexes does all the work.
    SHOW RANGES FROM TABLE balance_change WITH DETAILS, KEYS, INDEXES;
    -- From 26.1 on, before the next two: SET allow_unsafe_internals = true;
    -- Who waited for whom.
    SELECT * FROM crdb_internal.transaction_contention_events ORDER BY contention_duration DESC LIMIT 20;
    -- Statements by what they cost; fullScan must be false for each of Banquo's.
    SELECT metadata->>'query' AS query, metadata->>'fullScan' AS full_scan, statistics->'statistics'->'cnt' AS count,
      statistics->'statistics'->'rowsRead'->'mean' AS rows_read, statistics->'statistics'->'maxRetries' AS retries
      FROM crdb_internal.statement_statistics WHERE metadata->>'db' = 'banquo'
      ORDER BY (statistics->'statistics'->'svcLat'->>'mean')::FLOAT8 DESC LIMIT 40;`
