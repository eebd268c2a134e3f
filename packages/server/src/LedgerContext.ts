import { DbConn } from "@banquo/ledger/DbConn"
import { Context, Effect } from "effect"

/** What ledger programs need of the server, and no more: a request that is given little context costs less. */
export const ledgerContext = Effect.map(DbConn, (db) => Context.make(DbConn, db))
