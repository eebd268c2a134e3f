/** How fast a ledger is verified: chains of single changes, and transfers, which are read once more as transactions. */
import { NonZeroAmount } from "@banquo/domain/Money"
import { DbConn } from "@banquo/ledger/DbConn"
import * as GroupCommit from "@banquo/ledger/GroupCommit"
import { postTransaction } from "@banquo/ledger/Transactions"
import { type Verified, verify } from "@banquo/ledger/Verifier"
import { Effect, Layer } from "effect"
import type { Database } from "./Database.ts"
import type { Filled } from "./Fill.ts"
import { meter, type Usage } from "./Usage.ts"

/** Transfers that wait for their commit at the same time. */
const concurrency = 500

/** Moves 1.00 between accounts next to each other, so many times. */
export const transfer = (database: Database, { accounts, name }: Filled, count: number): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: count }, (_, at) => at),
    (at) =>
      postTransaction({
        changes: [
          { acctId: accounts[at % accounts.length]!, amount: NonZeroAmount.make("-1") },
          { acctId: accounts[(at + 1) % accounts.length]!, amount: NonZeroAmount.make("1") },
        ],
      }),
    { concurrency, discard: true },
  ).pipe(Effect.provide(Layer.provideMerge(GroupCommit.layer(), connect(database, name))), Effect.orDie)

const connect = (database: Database, name: string) => DbConn.layerUrl({ url: database.appUrl(name) })

export interface Measured {
  readonly verified: Verified
  readonly seconds: number
  readonly usage: Usage
}

/** Verifies once, by this process. */
export const measure = (database: Database, { name }: Filled): Effect.Effect<Measured> =>
  Effect.gen(function* () {
    const { ended, started, usage } = yield* meter({ servers: [process.pid], database: database.pid })
    started()
    const start = performance.now()
    const verified = yield* verify()
    const seconds = (performance.now() - start) / 1000
    ended()
    return { verified, seconds, usage: usage() }
  }).pipe(Effect.scoped, Effect.provide(connect(database, name)), Effect.orDie)

const coresOf = (cores: number | null) => (cores === null ? "?" : cores.toFixed(2))

export const lineOf = ({ seconds, usage, verified }: Measured): string =>
  `${verified.changes} changes, ${verified.transactions} transactions of several, ${verified.faultsFound} faults: ` +
  `${Math.round(verified.changes / seconds)} rows/s, ${coresOf(usage.serverCores)} cores of node, ` +
  `${coresOf(usage.databaseCores)} of the database`
