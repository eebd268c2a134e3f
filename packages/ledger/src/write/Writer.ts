/** What carries out requests, and what it answers with. */
import type { RefusalOf } from "@banquo/domain/Decide"
import type { Intent, Request } from "@banquo/domain/Intent"
import type { IdempotencyKeyReused } from "@banquo/domain/Refusal"
import { Data, type Effect, type Exit } from "effect"
import type { Contention, DatabaseUnavailable, OutcomeUnknown, Overloaded } from "../database/DatabaseError.ts"
import type { Posted } from "./Posted.ts"

/** What any write may fail with beside its refusals. Each may be tried again; with an idempotency key, without risk. */
export type WriteError = Contention | DatabaseUnavailable | OutcomeUnknown | Overloaded

/** One of the requests was refused, by its place among them, and so none was carried out. */
export class RequestRefused<I extends Intent = Intent> extends Data.TaggedError("RequestRefused")<{
  readonly index: number
  readonly refusal: RefusalOf<I> | IdempotencyKeyReused
}> {}

/** What became of requests that stand or fall together. */
export type Verdict<I extends Intent = Intent> = Exit.Exit<ReadonlyArray<Posted>, RequestRefused<I> | WriteError>

/** Requests that stand or fall together. */
export type Group<I extends Intent = Intent> = ReadonlyArray<Request<I>>

/** Carries out groups of requests, once. All requests of a group are made in one transaction, or none; a verdict for each group, in order. */
export type Writer = (groups: ReadonlyArray<Group>) => Effect.Effect<ReadonlyArray<Verdict>>
