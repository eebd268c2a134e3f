/**
 * The contract of /v1: the server, its OpenAPI document and the typed client all come from here.
 *
 * Names are snake_case, amounts decimal strings, ids strings, times RFC 3339. Errors are problems, see `Problem.ts`.
 */
import { AccountIdFromString } from "@banquo/domain/AccountId"
import { BalanceChangeIdFromString } from "@banquo/domain/BalanceChangeId"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import { TimestampFromString } from "@banquo/domain/Timestamp"
import { ByteSize, Schema, SchemaTransformation } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { Change, ChangesPage } from "./Change.ts"
import { formatOf, mediaTypes } from "./Format.ts"
import { batchItemsMax, BatchVerdicts, NewBatch, streamItemBytesMax, Verdict } from "./Batch.ts"
import { described } from "./Described.ts"
import { AxisParameter, BalanceAt, SeqParameter } from "./PastBalance.ts"
import * as Problem from "./Problem.ts"
import { Statement } from "./Statement.ts"
import { holdStates, openHoldsMax } from "@banquo/domain/Hold"
import { accountsPageMax, changesPageMax, holdsPageMax, pageDefault } from "@banquo/domain/Page"
import { Account, AccountChange, AccountsPage, NewAccount } from "./Account.ts"
import { DryRun } from "./DryRun.ts"
import { Hold, HoldCapture, HoldIncrease, HoldRelease, HoldsPage, HoldWritten, NewHold } from "./Hold.ts"
import { NewReversal, NewTransaction, Transaction } from "./Transaction.ts"

/** Largest body of a request, in bytes. */
export const bodyBytesMax = 1024 * 1024

const limit = (maximum: number) =>
  Schema.optionalKey(
    Schema.String.annotate({ description: `1 to ${maximum}; default ${pageDefault}` })
      .check(Schema.isPattern(/^[1-9]\d{0,3}$/u, { message: `Expected a number from 1 to ${maximum}` }))
      .pipe(
        Schema.decodeTo(
          Schema.Int.check(Schema.isBetween({ minimum: 1, maximum })),
          SchemaTransformation.transform({ decode: Number, encode: String }),
        ),
      ),
  )

/** Sent with a write, makes it happen once, however often it is sent. */
const idempotency = {
  "idempotency-key": Schema.optionalKey(IdempotencyKey).annotateKey({
    description: "a name for this write; sent again with the same body, the first answer is given again",
  }),
}

/** Says that a write was carried out when its key was first sent. */
const replayed = Schema.optionalKey(Schema.Literal("true"))

const written = <S extends Schema.Top>(schema: S) =>
  HttpApiSchema.WithHeaders(schema, { "idempotency-replayed": replayed }).pipe(HttpApiSchema.status("Created"))

const etag = Schema.String.annotateKey({ description: 'the sequence of the account, as in "17"' })

/** Turns a request that does not fit its schema into an `invalid_request` problem that says where. */
export class RequestSchema extends HttpApiMiddleware.Service<RequestSchema>()("@banquo/api/RequestSchema", {
  error: [Problem.InvalidRequest, Problem.InternalError],
}) {}

export class AccountsApi extends HttpApiGroup.make("accounts")
  .add(
    HttpApiEndpoint.post("open", "/", {
      headers: idempotency,
      payload: NewAccount,
      success: [written(Account), DryRun],
      error: [
        ...Problem.commonOfWrites,
        Problem.CurrencyNotOpenable,
        Problem.ScaleRequired,
        Problem.ScaleExceeded,
        Problem.InsufficientFunds,
      ],
    }).annotateMerge(OpenApi.annotations({ summary: "Open an account" })),
    HttpApiEndpoint.get("list", "/", {
      query: { limit: limit(accountsPageMax), cursor: Schema.optionalKey(AccountIdFromString) },
      success: AccountsPage,
      error: Problem.common,
    }).annotateMerge(OpenApi.annotations({ summary: "List accounts, in the order of their ids" })),
    HttpApiEndpoint.get("read", "/:account_id", {
      params: { account_id: AccountIdFromString },
      success: HttpApiSchema.WithHeaders(Account, { etag }),
      error: [...Problem.common, Problem.AccountNotFound],
    }).annotateMerge(OpenApi.annotations({ summary: "Read an account and its balance" })),
    HttpApiEndpoint.patch("change", "/:account_id", {
      params: { account_id: AccountIdFromString },
      headers: {
        ...idempotency,
        "if-match": Schema.optionalKey(
          Schema.String.check(
            Schema.isPattern(/^"(?:0|[1-9]\d{0,14})"$/u, {
              message: 'Expected an ETag that an account gave, like "17"',
            }),
          ),
        ).annotateKey({ description: "in place of expected_seq; answered with 412 if the account has changed" }),
      },
      payload: AccountChange,
      success: HttpApiSchema.WithHeaders(Schema.Union([Account, DryRun]), {
        etag: Schema.optionalKey(etag),
        "idempotency-replayed": replayed,
      }),
      error: [...Problem.commonOfWrites, ...Problem.ofTerms],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Freeze or close an account, change its overdraft limit, correct its customer",
        description: "What is left out stays as it is. Each change of terms is a row of the account's history.",
      }),
    ),
    HttpApiEndpoint.get("changes", "/:account_id/changes", {
      params: { account_id: AccountIdFromString },
      query: {
        order: Schema.optionalKey(Schema.Literals(["asc", "desc"])).annotateKey({
          description: "asc: oldest first; desc, the default: newest first",
        }),
        limit: limit(changesPageMax),
        cursor: Schema.optionalKey(
          Schema.String.check(
            Schema.isPattern(/^(?:after|before)-(?:0|[1-9]\d{0,14})$/u, {
              message: "Expected a cursor that a page gave",
            }),
          ),
        ),
        format: formatOf(["json", "ndjson", "csv"]),
      },
      success: [
        ChangesPage,
        HttpApiSchema.StreamNdjson({ schema: Change, contentType: mediaTypes.ndjson }),
        Schema.String.pipe(HttpApiSchema.asText({ contentType: mediaTypes.csv })),
      ],
      error: [...Problem.common, Problem.AccountNotFound, Problem.NotAcceptable],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Page through the changes of an account, both ways, or read all of them",
        description:
          "As JSON: a page. As NDJSON or CSV: all changes up to now on one side of the cursor, or all there are, without a limit.",
      }),
    ),
    HttpApiEndpoint.get("balance", "/:account_id/balance", {
      params: { account_id: AccountIdFromString },
      query: Schema.Struct({
        at: Schema.optionalKey(TimestampFromString),
        axis: AxisParameter,
        seq: Schema.optionalKey(SeqParameter),
      }).check(
        Schema.makeFilter(({ at, axis, seq }) =>
          seq === undefined || (at === undefined && axis === undefined)
            ? undefined
            : { path: ["seq"], issue: "Expected either an instant or a sequence" },
        ),
      ),
      success: BalanceAt,
      error: [...Problem.common, Problem.AccountNotFound, Problem.ChangeNotFound],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Read the balance at an instant or after a change",
        description: "Without parameters: now. Before the account was opened it is zero, and seq null.",
      }),
    ),
    HttpApiEndpoint.get("statement", "/:account_id/statement", {
      params: { account_id: AccountIdFromString },
      query: Schema.Struct({
        from: TimestampFromString,
        to: TimestampFromString.pipe(described("not part of the period")),
        axis: AxisParameter,
        seq: Schema.optionalKey(
          SeqParameter.pipe(described("the last change that the statement knows of; without it, the newest")),
        ),
        format: formatOf(["json", "csv", "html"]),
      }).check(
        Schema.makeFilter(({ from, to }) =>
          from < to ? undefined : { path: ["to"], issue: "Expected a period that ends after it begins" },
        ),
      ),
      success: [
        Statement,
        Schema.String.pipe(HttpApiSchema.asText({ contentType: mediaTypes.csv })),
        Schema.String.pipe(HttpApiSchema.asText({ contentType: mediaTypes.html })),
      ],
      error: [...Problem.common, Problem.AccountNotFound, Problem.ChangeNotFound, Problem.NotAcceptable],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Make a statement of account",
        description:
          "Asked for again with the seq that it carries, it is the same, byte for byte. As HTML: a page to read and to print.",
      }),
    ),
  )
  .prefix("/v1/accounts")
  .middleware(RequestSchema)
  .annotateMerge(OpenApi.annotations({ title: "Accounts" })) {}

export class TransactionsApi extends HttpApiGroup.make("transactions")
  .add(
    HttpApiEndpoint.post("post", "/", {
      headers: idempotency,
      payload: NewTransaction,
      success: [written(Transaction), DryRun],
      error: [...Problem.commonOfWrites, ...Problem.ofTransactions],
    }).annotateMerge(OpenApi.annotations({ summary: "Make one or more changes, all or none" })),
    HttpApiEndpoint.post("reverse", "/:transaction_id/reverse", {
      params: { transaction_id: BalanceChangeIdFromString },
      headers: idempotency,
      payload: NewReversal,
      success: [written(Transaction), DryRun],
      error: [...Problem.commonOfWrites, ...Problem.ofReversals],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Take a transaction back, or a part of it",
        description:
          "Never more than the transaction moved, however many reversals there are. The transaction itself stays as it is; the reversal is another. Without anything said, all that was not taken back before: the body is `{}`.",
      }),
    ),
    HttpApiEndpoint.post("batch", "/batch", {
      payload: [
        NewBatch,
        HttpApiSchema.StreamNdjson({ schema: Schema.Unknown, maxElementBytes: ByteSize.bytes(streamItemBytesMax) }),
      ],
      success: [BatchVerdicts, HttpApiSchema.StreamNdjson({ schema: Verdict })],
      error: [
        ...Problem.common,
        Problem.BodyTooLarge,
        Problem.UnsupportedMediaType,
        Problem.Contention,
        Problem.Overloaded,
      ],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Make many transactions",
        description: `As JSON: up to ${batchItemsMax} of them; \`atomic\`: all or none, \`independent\`: each by itself. As \`application/x-ndjson\`: any number, each by itself, one in a line. Answers with a verdict for each, in order.`,
      }),
    ),
    HttpApiEndpoint.get("read", "/:transaction_id", {
      params: { transaction_id: BalanceChangeIdFromString },
      success: Transaction,
      error: [...Problem.common, Problem.TransactionNotFound],
    }).annotateMerge(OpenApi.annotations({ summary: "Read a transaction" })),
  )
  .prefix("/v1/transactions")
  .middleware(RequestSchema)
  .annotateMerge(OpenApi.annotations({ title: "Transactions" })) {}

export class HoldsApi extends HttpApiGroup.make("holds")
  .add(
    HttpApiEndpoint.post("place", "/", {
      headers: idempotency,
      payload: NewHold,
      success: [written(HoldWritten), DryRun],
      error: [...Problem.commonOfWrites, ...Problem.ofNewHolds],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Set money of an account aside",
        description: `It stays on the account and cannot be spent, until it is captured or released, or the hold expires: from that instant on it is free. An account has at most ${openHoldsMax} open holds.`,
      }),
    ),
    HttpApiEndpoint.get("list", "/", {
      query: {
        account_id: AccountIdFromString,
        state: Schema.optionalKey(Schema.Literals(holdStates)).annotateKey({ description: "default: in any state" }),
        limit: limit(holdsPageMax),
        cursor: Schema.optionalKey(
          Schema.String.check(
            Schema.isPattern(/^before-(?:0|[1-9]\d{0,14})$/u, { message: "Expected a cursor that a page gave" }),
          ),
        ),
      },
      success: HoldsPage,
      error: [...Problem.common, Problem.AccountNotFound],
    }).annotateMerge(OpenApi.annotations({ summary: "List the holds of an account, the newest first" })),
    HttpApiEndpoint.get("read", "/:hold_id", {
      params: { hold_id: BalanceChangeIdFromString },
      success: Hold,
      error: [...Problem.common, Problem.HoldNotFound],
    }).annotateMerge(OpenApi.annotations({ summary: "Read a hold and what became of it" })),
    HttpApiEndpoint.post("increase", "/:hold_id/increase", {
      params: { hold_id: BalanceChangeIdFromString },
      headers: idempotency,
      payload: HoldIncrease,
      success: [written(HoldWritten), DryRun],
      error: [...Problem.commonOfWrites, ...Problem.ofIncreases],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Set more money aside for an open hold",
        description: "With expires_at or ttl it also lasts longer, or shorter; else it expires as before.",
      }),
    ),
    HttpApiEndpoint.post("capture", "/:hold_id/capture", {
      params: { hold_id: BalanceChangeIdFromString },
      headers: idempotency,
      payload: HoldCapture,
      success: [written(HoldWritten), DryRun],
      error: [...Problem.commonOfWrites, ...Problem.ofCaptures],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Take held money, all of it or a part",
        description:
          "Out of the ledger, or to another account in the same transaction. Without anything said, all that is left of the hold: the body is `{}`.",
      }),
    ),
    HttpApiEndpoint.post("release", "/:hold_id/release", {
      params: { hold_id: BalanceChangeIdFromString },
      headers: idempotency,
      payload: HoldRelease,
      success: [written(HoldWritten), DryRun],
      error: [...Problem.commonOfWrites, ...Problem.ofReleases],
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Give back all that is left of an open hold",
        description: "Where nothing is to be said, the body is `{}`.",
      }),
    ),
  )
  .prefix("/v1/holds")
  .middleware(RequestSchema)
  .annotateMerge(OpenApi.annotations({ title: "Holds" })) {}

export class HealthApi extends HttpApiGroup.make("health", { topLevel: true })
  .add(
    HttpApiEndpoint.get("livez", "/livez", {
      success: Schema.Struct({ status: Schema.Literal("live") }),
    }).annotateMerge(OpenApi.annotations({ summary: "The process answers; says nothing of the database" })),
    HttpApiEndpoint.get("readyz", "/readyz", {
      success: Schema.Struct({ status: Schema.Literal("ready"), schema_version: Schema.Int }),
      error: [Problem.DatabaseUnavailable, Problem.ShuttingDown],
    }).annotateMerge(
      OpenApi.annotations({
        summary:
          "The database can be reached, has the schema that this build needs, and the process is not being stopped",
      }),
    ),
  )
  .annotateMerge(OpenApi.annotations({ title: "Health" })) {}

/** Properties and parameters that are not known are refused: a misspelt one would be dropped in silence. */
const strict = { onExcessProperty: "error", errors: "all" } as const

/** The first fault ends the decoding; the server then looks for more of them, at a cost that it bounds. */
const strictAtFirst = { onExcessProperty: "error" } as const

export class Api extends HttpApi.make("banquo")
  .add(AccountsApi)
  .add(TransactionsApi)
  .add(HoldsApi)
  .add(HealthApi)
  .annotate(HttpApi.PayloadParseOptions, strictAtFirst)
  .annotate(HttpApi.QueryParseOptions, strict)
  .annotateMerge(
    OpenApi.annotations({
      title: "Banquo",
      version: "1.0.0",
      description: `A bank-account ledger. Amounts are decimal strings, ids are strings, times are RFC 3339. Errors are \`application/problem+json\` (RFC 9457) with a \`code\`. A body has at most ${bodyBytesMax} bytes. Send an \`Idempotency-Key\` with each write: then it is safe to send it again. With \`dry_run\`, a write is judged and not made.`,
    }),
  ) {}
