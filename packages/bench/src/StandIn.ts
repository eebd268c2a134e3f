/**
 * A server with the schemas and the layers of the real one around `POST /v1/transactions`, and another thing behind them:
 * nothing at all (`no-op`, what HTTP and schemas cost by themselves), or a rival's algorithm.
 */
import { Api, TransactionsApi } from "@banquo/api/Api"
import { transactionOf } from "@banquo/api/Transaction"
import { Actor } from "@banquo/domain/Actor"
import type { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { Currency } from "@banquo/domain/Currency"
import type { PostTransaction, Request } from "@banquo/domain/Intent"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { DbConn } from "@banquo/ledger/DbConn"
import * as Heap from "@banquo/server/Heap"
import { orProblem } from "@banquo/server/Problems"
import * as RequestSchema from "@banquo/server/RequestSchema"
import { Draining } from "@banquo/server/Draining"
import * as Responses from "@banquo/server/Responses"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Duration, Effect, Exit, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { createServer } from "node:http"
import { append, type Appended, type RivalName } from "./Rival.ts"

const StandInApi = HttpApi.make("banquo")
  .add(HttpApiGroup.make("transactions").add(TransactionsApi.endpoints.post))
  .annotateMerge(Api.annotations)

const actor = Actor.make("anonymous")
const hash = new Uint8Array(32)

let count = 0n

/** An answer from memory, as large as a real one. */
const fromMemory = ({ intent }: Request<PostTransaction>) =>
  Effect.sync((): Appended => {
    count += 1n
    const id = count as BalanceChangeId
    const now = Timestamp.fromMillis(Date.now())
    return {
      changes: intent.changes.map(({ acctId, amount }) => ({
        bchgId: id,
        acctId,
        acctSeq: Number(count),
        chgFlavor: "FLOW",
        prevBchgId: id,
        owner: null,
        currency: Currency.make("USD"),
        scale: 2,
        chgAmt: Money.fromAmount(amount),
        balance: Money.make(10_000_000_000n),
        heldAmt: Money.zero,
        held: Money.zero,
        overdraftLimit: Money.zero,
        acctStatus: "open",
        isForced: false,
        xactId: id,
        xactRows: intent.changes.length,
        holdId: null,
        holdExpiresAt: null,
        reversesXactId: null,
        reference: null,
        description: intent.description,
        metadata: intent.metadata,
        textsSalt: null,
        textsHash: null,
        idemKey: null,
        requestHash: null,
        detailsHash: null,
        actor,
        effectiveTime: now,
        valueDate: null,
        chgCreateTime: now,
        chgHash: hash,
      })),
    }
  })

const layerOf = (name: "no-op" | RivalName) => {
  const write = name === "no-op" ? fromMemory : append[name]
  const handlers = HttpApiBuilder.group(
    StandInApi,
    "transactions",
    Effect.fnUntraced(function* (handlers) {
      const db = yield* DbConn
      return handlers.handle(
        "post",
        ({ headers, payload }) =>
          write({
            intent: {
              _tag: "PostTransaction",
              changes: payload.changes.map(({ account_id, amount, currency, expected_seq }) => ({
                acctId: account_id,
                amount,
                currency,
                expectedSeq: expected_seq,
              })),
              reference: null,
              description: payload.description ?? null,
              metadata: payload.metadata ?? null,
            },
            actor,
            idempotencyKey: headers["idempotency-key"] ?? null,
          }).pipe(
            Effect.map(({ changes }) => HttpApiSchema.withHeaders({ body: transactionOf(changes), headers: {} })),
            Effect.provideService(DbConn, db),
            orProblem,
          ),
        { uninterruptible: true },
      )
    }),
  )
  return Layer.mergeAll(
    HttpApiBuilder.layer(StandInApi).pipe(Layer.provide(handlers), Layer.provide(RequestSchema.layer)),
    HttpRouter.add("GET", "/livez", Effect.succeed(HttpServerResponse.text("live"))),
    Responses.layer,
  ).pipe(Layer.provide(Draining.layer({ delay: Duration.zero, hurry: () => undefined })))
}

const program = Effect.gen(function* () {
  const name = process.argv[2] as "no-op" | RivalName
  const database = DbConn.layerUrl({ url: yield* Config.Redacted("DATABASE_URL") })
  const server = HttpRouter.serve(layerOf(name), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })),
    Layer.provide(database),
  )
  const greet = HttpServer.addressFormattedWith((url) => Console.log(`${name} listens on ${url}`))
  return yield* Layer.launch(Layer.effectDiscard(greet).pipe(Layer.provide(server)))
})

// As the real server does.
Heap.keepSmall()

NodeRuntime.runMain(program, {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Exit.hasInterrupts(exit) ? 0 : 1),
})
