import { accountOf } from "@banquo/api/Account"
import { Api } from "@banquo/api/Api"
import { changeOf } from "@banquo/api/Change"
import { pageDefault } from "@banquo/domain/Page"
import { fetchAccountInfo, fetchAccounts, makeAccount } from "@banquo/ledger/Accounts"
import { fetchChangesPage } from "@banquo/ledger/History"
import { stateAfter } from "@banquo/ledger/Posted"
import { Effect } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { ledgerContext } from "./LedgerContext.ts"
import { orProblem } from "./Problems.ts"
import { replayed } from "./Replayed.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "accounts",
  Effect.fnUntraced(function* (handlers) {
    const context = yield* ledgerContext
    const run = Effect.provideContext(context)
    return (
      handlers
        // A client that hangs up does not stop a write: its key will find the work done.
        .handle(
          "open",
          ({ headers, payload }) =>
            makeAccount({
              acctId: payload.account_id,
              customerName: payload.customer_name,
              customerAddress: payload.customer_address,
              currency: payload.currency,
              initialBalance: payload.initial_balance,
              overdraftLimit: payload.overdraft_limit,
              metadata: payload.metadata,
              idempotencyKey: headers["idempotency-key"],
            }).pipe(
              Effect.map(({ account, posted }) => replayed(posted, accountOf(account, stateAfter(posted.changes[0]!)))),
              run,
              orProblem,
            ),
          { uninterruptible: true },
        )
        .handle("list", ({ query }) =>
          fetchAccounts({ after: query.cursor, limit: query.limit ?? pageDefault }).pipe(
            Effect.map(({ accounts, hasMore }) => ({
              accounts: accounts.map(({ account, state }) => accountOf(account, state)),
              next_cursor: hasMore ? accounts.at(-1)!.account.acctId : null,
            })),
            run,
            orProblem,
          ),
        )
        .handle("read", ({ params }) =>
          fetchAccountInfo(params.account_id).pipe(
            Effect.map(({ account, state }) =>
              HttpApiSchema.withHeaders({ body: accountOf(account, state), headers: { etag: `"${state.acctSeq}"` } }),
            ),
            run,
            orProblem,
          ),
        )
        .handle("changes", ({ params, query }) =>
          fetchChangesPage(params.account_id, {
            order: query.order ?? "desc",
            limit: query.limit ?? pageDefault,
            ...boundOf(query.cursor),
          }).pipe(
            Effect.map(({ changes, hasEarlier, hasLater }) => ({
              changes: changes.map(changeOf),
              ...cursorsOf(changes, query.order ?? "desc", { hasEarlier, hasLater }),
            })),
            run,
            orProblem,
          ),
        )
    )
  }),
)

/** A cursor is `after-<seq>` or `before-<seq>`: the page on that side of the change, nearest to it. */
const boundOf = (cursor: string | undefined) => {
  if (cursor === undefined) return {}
  const [side, seq] = cursor.split("-")
  return side === "after" ? { after: Number(seq) } : { before: Number(seq) }
}

const cursorsOf = (
  changes: ReadonlyArray<{ readonly acctSeq: number }>,
  order: "asc" | "desc",
  { hasEarlier, hasLater }: { readonly hasEarlier: boolean; readonly hasLater: boolean },
) => {
  const seqs = changes.map(({ acctSeq }) => acctSeq)
  const later = hasLater ? `after-${Math.max(...seqs)}` : null
  const earlier = hasEarlier ? `before-${Math.min(...seqs)}` : null
  return order === "asc"
    ? { next_cursor: later, previous_cursor: earlier }
    : { next_cursor: earlier, previous_cursor: later }
}
