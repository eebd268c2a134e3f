import { Deadline, deadlineDefault, deadlineIn } from "@banquo/ledger/Deadline"
import { DbConn } from "@banquo/ledger/DbConn"
import { Context, Effect } from "effect"

/** What ledger programs need of the server, and no more: a request that is given little context costs less. */
export const ledgerContext = Effect.map(DbConn, (db) => Context.make(DbConn, db))

/** Runs a request's programs, which all of them together have to be answered within {@link deadlineDefault}. */
export const ledgerRun = Effect.map(
  DbConn,
  (db) =>
    <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, DbConn>> =>
      Effect.suspend(() =>
        Effect.provideContext(program, Context.add(Context.make(DbConn, db), Deadline, deadlineIn(deadlineDefault))),
      ),
)
