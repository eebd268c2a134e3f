import { DbConn } from "@banquo/ledger/DbConn"
import { CurrentWriter } from "@banquo/ledger/WritePath"
import { Context, Effect } from "effect"

/** What ledger programs need of the server, and no more: a request that is given little context costs less. */
export const ledgerContext = Effect.map(Effect.all([DbConn, CurrentWriter]), ([db, writer]) =>
  Context.make(DbConn, db).pipe(Context.add(CurrentWriter, writer)),
)
