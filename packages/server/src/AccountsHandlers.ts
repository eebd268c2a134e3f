import { accountOf } from "@banquo/api/Account"
import { Api } from "@banquo/api/Api"
import { changeOf } from "@banquo/api/Change"
import * as Problem from "@banquo/api/Problem"
import { stateAt } from "@banquo/domain/AccountState"
import { pageDefault } from "@banquo/domain/Page"
import { balanceAtOf } from "@banquo/api/PastBalance"
import { fetchBalanceAt } from "@banquo/ledger/BalanceAt"
import { fetchChanges, fetchChangesPage } from "@banquo/ledger/History"
import { fetchStatement } from "@banquo/ledger/Statement"
import * as Timestamp from "@banquo/domain/Timestamp"
import { fetchAccountInfo, fetchAccountInfoAt, fetchAccounts, makeAccount } from "@banquo/ledger/Accounts"
import { type PostedChange, tailAfter } from "@banquo/ledger/Posted"
import { changeTerms } from "@banquo/ledger/Terms"
import { Clock, Effect, Stream } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import * as ChangesDocument from "./ChangesDocument.ts"
import { attachment, cutOff, negotiate, streamed } from "./Documents.ts"
import { ledgerContext, ledgerRun } from "./LedgerContext.ts"
import { orProblem } from "./Problems.ts"
import { refused } from "./RequestSchema.ts"
import * as StatementDocument from "./StatementDocument.ts"
import * as StatementPage from "./StatementPage.ts"
import { changed, written } from "./Written.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "accounts",
  Effect.fnUntraced(function* (handlers) {
    const context = yield* ledgerContext
    const run = yield* ledgerRun
    return (
      handlers
        // A client that hangs up does not stop a write: its key will find the work done.
        .handle(
          "open",
          ({ headers, payload }) =>
            written(
              payload,
              makeAccount({
                acctId: payload.account_id,
                customerName: payload.customer_name,
                customerAddress: payload.customer_address,
                owner: payload.owner,
                currency: payload.currency,
                scale: payload.scale,
                initialBalance: payload.initial_balance,
                overdraftLimit: payload.overdraft_limit,
                metadata: payload.metadata,
                idempotencyKey: headers["idempotency-key"],
              }),
              ({ account, posted }) => Effect.succeed(accountOf(account, tailAfter(posted.changes[0]!))),
            ).pipe(run, orProblem),
          { uninterruptible: true },
        )
        .handle(
          "change",
          ({ headers, params, payload }) => {
            const etag = headers["if-match"]
            if (etag !== undefined && payload.expected_seq !== undefined) return twoVersions
            return changed(
              payload,
              changeTerms(params.account_id, {
                status: payload.status,
                overdraftLimit: payload.overdraft_limit,
                customerName: payload.customer_name,
                customerAddress: payload.customer_address,
                reason: payload.reason,
                metadata: payload.metadata,
                expectedSeq: etag === undefined ? payload.expected_seq : Number(etag.slice(1, -1)),
                idempotencyKey: headers["idempotency-key"],
              }).pipe(Effect.map((posted) => ({ posted }))),
              ({ posted }) => accountAfter(posted.changes[0]!),
              ({ seq }) => ({ etag: etagOf(seq) }),
            ).pipe(
              run,
              orProblem,
              Effect.catchTag("VersionConflict", (problem) =>
                Effect.fail(etag === undefined ? problem : preconditionFailed(problem)),
              ),
            )
          },
          { uninterruptible: true },
        )
        .handle("list", ({ query }) =>
          Effect.all([fetchAccounts({ after: query.cursor, limit: query.limit ?? pageDefault }), currentTime]).pipe(
            Effect.map(([{ accounts, hasMore }, now]) => ({
              accounts: accounts.map(({ account, state }) => accountOf(account, stateAt(state, now))),
              next_cursor: hasMore ? accounts.at(-1)!.account.acctId : null,
            })),
            run,
            orProblem,
          ),
        )
        .handle("read", ({ params }) =>
          Effect.all([fetchAccountInfo(params.account_id), currentTime]).pipe(
            Effect.map(([{ account, state }, now]) =>
              HttpApiSchema.withHeaders({
                body: accountOf(account, stateAt(state, now)),
                headers: { etag: etagOf(state.acctSeq) },
              }),
            ),
            run,
            orProblem,
          ),
        )
        .handle("changes", ({ params, query }) =>
          Effect.gen(function* () {
            const { cursor, limit, order = "desc" } = query
            const format = yield* negotiate(["json", "ndjson", "csv"], query.format)
            if (format !== "json") {
              if (limit !== undefined) return yield* withoutLimit
              const changes = yield* run(orProblem(fetchChanges(params.account_id, { order, ...boundOf(cursor) })))
              const stream = Stream.provideContext(changes, context)
              return format === "ndjson"
                ? yield* cutOff(Stream.map(stream, changeOf))
                : yield* streamed(format, ChangesDocument.csv(stream), attachment(`changes-${params.account_id}.csv`))
            }
            return yield* fetchChangesPage(params.account_id, {
              order,
              limit: limit ?? pageDefault,
              ...boundOf(cursor),
            }).pipe(
              Effect.map(({ changes, hasEarlier, hasLater }) => ({
                changes: changes.map(changeOf),
                ...cursorsOf(changes, order, { hasEarlier, hasLater }),
              })),
              run,
              orProblem,
            )
          }),
        )
        .handle("balance", ({ params, query }) =>
          fetchBalanceAt(
            params.account_id,
            query.seq === undefined ? { axis: query.axis ?? "created", at: query.at } : { seq: query.seq },
          ).pipe(Effect.map(balanceAtOf), run, orProblem),
        )
        .handle("statement", ({ params, query }) =>
          Effect.gen(function* () {
            const { axis = "created", from, seq, to } = query
            const format = yield* negotiate(["json", "csv", "html"], query.format)
            const { lines, ...head } = yield* run(orProblem(fetchStatement(params.account_id, { axis, from, seq, to })))
            const stream = Stream.provideContext(lines, context)
            switch (format) {
              case "json":
                return yield* streamed(format, StatementDocument.json(head, stream))
              case "csv":
                return yield* streamed(
                  format,
                  StatementDocument.csv(head, stream),
                  attachment(`statement-${params.account_id}-${head.end.acctSeq}.csv`),
                )
              case "html":
                return yield* streamed(format, StatementPage.html(head, stream), StatementPage.headers)
            }
          }),
        )
    )
  }),
)

/** All of a history is sent, or that of one side of a cursor: a limit would be dropped in silence. */
const withoutLimit = Effect.flatMap(
  refused("query", "limit", "Expected no limit where all changes are sent"),
  Effect.fail,
)

/** One of them would be dropped in silence. */
const twoVersions = Effect.flatMap(
  refused("header", "if-match", "Expected either If-Match or expected_seq"),
  Effect.fail,
)

const etagOf = (seq: number) => `"${seq}"`

const currentTime = Effect.map(Clock.currentTimeMillis, Timestamp.fromMillis)

/** The account as a change of its terms left it, whatever came after: a replay is answered alike. */
const accountAfter = (change: PostedChange) =>
  Effect.map(fetchAccountInfoAt(change.acctId, change.acctSeq), ({ account }) => accountOf(account, tailAfter(change)))

const preconditionFailed = ({ account_id, current_seq, detail, expected_seq, request_id }: Problem.VersionConflict) =>
  new Problem.PreconditionFailed({
    account_id,
    current_seq,
    expected_seq,
    request_id,
    retryable: false,
    ...(detail === undefined ? {} : { detail }),
  })

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
