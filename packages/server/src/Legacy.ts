/**
 * The prototype's four routes, as they were: camelCase bodies, amounts as JSON numbers that keep their digits, errors as a
 * short line of text. New callers use /v1.
 */
import { amountOf } from "@banquo/api/Balance"
import type { Account } from "@banquo/domain/Account"
import { type AccountId, AccountIdFromString } from "@banquo/domain/AccountId"
import type { Tail } from "@banquo/domain/AccountState"
import { Currency } from "@banquo/domain/Currency"
import { Amount, NonZeroAmount } from "@banquo/domain/Money"
import { Description } from "@banquo/domain/Text"
import * as Timestamp from "@banquo/domain/Timestamp"
import { fetchAccountInfo, makeAccount } from "@banquo/ledger/Accounts"
import type { DbConn } from "@banquo/ledger/DbConn"
import { fetchAccountHistory } from "@banquo/ledger/History"
import { type PostedChange, tailAfter } from "@banquo/ledger/Posted"
import { storeBalanceChange } from "@banquo/ledger/Transactions"
import { Effect, Option, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { ledgerRun } from "./LedgerContext.ts"
import { codeOf, countRefusal } from "./Refusals.ts"

export const isLegacyPath = (path: string): boolean =>
  /^\/(?:account|transaction|make-dummy-account)(?:\/|$)/.test(path)

export interface LegacyOptions {
  /** Whether `POST /make-dummy-account` is offered: for development only. */
  readonly hasDummyAccounts: boolean
}

/** Largest body of `POST /transaction`, in UTF-16 code units: a description of 1000 characters has 6 KB, each escaped. */
export const bodyLengthMax = 16 * 1024

/** What the prototype's accounts were in. */
const currency = Currency.make("USD")

const dummy = {
  customerName: "Dummy Customer",
  customerAddress: "1 Test Street",
  initialBalance: Amount.make("1000.00"),
}

/** Most digits of an amount that is a JSON number: all that a double keeps, ECMA-262's `Number`. */
const numberDigitsMax = 15

declare global {
  // ECMA-262's JSON.parse source text access, which the type library does not have yet.
  interface JSON {
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
    ): unknown
    rawJSON(text: string): unknown
  }
}

/** Stands for a JSON number by its source text, which `JSON.parse` alone would round. */
class NumberText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const parseJson = Option.liftThrowable((text: string): unknown =>
  JSON.parse(text, (_key, value, { source }) =>
    typeof value === "number" && source !== undefined ? new NumberText(source) : value,
  ),
)

const AmountOrNumber = Schema.Unknown.check(
  Schema.makeFilter((value: unknown) => {
    const isNumber = value instanceof NumberText
    const text = isNumber ? value.text : value
    if (!isAmount(text)) return "an amount, like 12.50"
    return (
      !isNumber ||
      text.replaceAll(/^-?0*\.?|\D/g, "").length <= numberDigitsMax ||
      "an amount of that many digits as a string"
    )
  }),
)
const isAmount = Schema.is(NonZeroAmount)

const TransactionBody = Schema.Struct({
  account_id: AccountIdFromString,
  amount: AmountOrNumber,
  description: Schema.optionalKey(Schema.NullOr(Description)),
})
const decodeBody = Schema.decodeUnknownOption(TransactionBody, { onExcessProperty: "error" })
const decodeId = Schema.decodeUnknownOption(AccountIdFromString)

const accountBody = ({ account, state }: { readonly account: Account; readonly state: Tail }) => ({
  accountID: account.acctId,
  customerName: account.custName,
  customerAddress: account.custAddress,
  balanceAmt: JSON.rawJSON(amountOf(state.balance, state)),
})

const changeBody = (change: PostedChange) => ({
  acctID: change.acctId,
  changeAmt: JSON.rawJSON(amountOf(change.chgAmt, change)),
  balanceAmt: JSON.rawJSON(amountOf(change.balance, change)),
  createTimestampTxt: Timestamp.format(change.chgCreateTime),
  xactDescription_opt: change.description,
})

const text = (status: number, message: string) => HttpServerResponse.text(message, { status })

const accountIdOfPath: Effect.Effect<AccountId, Missing, HttpRouter.RouteContext> = Effect.flatMap(
  HttpRouter.params,
  ({ id }) => Option.match(decodeId(id), { onNone: () => Effect.fail(new Missing()), onSome: Effect.succeed }),
)

/** An id that is not a UUID names no account either. */
class Missing extends Schema.TaggedError<Missing>()("AccountNotFound", {}) {}

const statuses: { readonly [tag: string]: number } = {
  AccountNotFound: 404,
  Contention: 503,
  DatabaseUnavailable: 503,
  OutcomeUnknown: 503,
  Overloaded: 503,
}

/** Refusals are 422. */
const orText = <E extends { readonly _tag: string; readonly message: string }, R>(
  program: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
) =>
  Effect.catch(program, (error) => {
    const status = statuses[error._tag] ?? 422
    countRefusal(codeOf(error._tag))
    return Effect.succeed(
      text(
        status,
        status === 404 ? "no such account" : error._tag === "InsufficientFunds" ? "insufficient funds" : error.message,
      ),
    )
  })

const readAccount = accountIdOfPath.pipe(
  Effect.flatMap(fetchAccountInfo),
  Effect.map((info) => HttpServerResponse.jsonUnsafe(accountBody(info))),
  orText,
)

const readHistory = accountIdOfPath.pipe(
  Effect.flatMap(fetchAccountHistory),
  Effect.map((changes) => HttpServerResponse.jsonUnsafe(changes.map(changeBody))),
  orText,
)

const postTransaction = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const sent = yield* Effect.orDie(request.text)
  if (sent.length > bodyLengthMax) return text(400, `the body must have at most ${bodyLengthMax} characters`)
  const body = Option.flatMap(parseJson(sent), decodeBody)
  if (Option.isNone(body)) return text(400, "the body must be {account_id, amount, description}")
  const { account_id, amount, description } = body.value
  const value = (amount instanceof NumberText ? amount.text : amount) as NonZeroAmount
  const change = yield* storeBalanceChange(account_id, value, description ?? undefined)
  return HttpServerResponse.jsonUnsafe(changeBody(change), { status: 201 })
}).pipe(orText)

const makeDummyAccount = Effect.gen(function* () {
  const { account, posted } = yield* makeAccount({ ...dummy, currency })
  return HttpServerResponse.jsonUnsafe(accountBody({ account, state: tailAfter(posted.changes[0]!) }))
}).pipe(orText)

interface LegacyRoute {
  readonly method: "GET" | "POST"
  readonly path: HttpRouter.PathInput
  readonly handler: Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    never,
    DbConn | HttpRouter.RouteContext | HttpServerRequest.HttpServerRequest
  >
}

/** The routes that are offered. */
export const routesOf = ({ hasDummyAccounts }: LegacyOptions): ReadonlyArray<LegacyRoute> => [
  { method: "GET", path: "/account/:id", handler: readAccount },
  { method: "GET", path: "/transaction/history/:id", handler: readHistory },
  { method: "POST", path: "/transaction", handler: postTransaction },
  ...(hasDummyAccounts ? ([{ method: "POST", path: "/make-dummy-account", handler: makeDummyAccount }] as const) : []),
]

export const layer = (options: LegacyOptions) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const run = yield* ledgerRun
      for (const { handler, method, path } of routesOf(options)) {
        // A client that hangs up does not stop a write.
        yield* router.add(method, path, run(handler), {
          uninterruptible: method === "POST",
        })
      }
    }),
  )
