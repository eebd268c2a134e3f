/** The program that changes what an account may do, and whose it is. */
import type { AccountId } from "@banquo/domain/AccountId"
import type { AccountStatus } from "@banquo/domain/AccountStatus"
import type { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import type { Metadata } from "@banquo/domain/Metadata"
import type { NonNegativeAmount } from "@banquo/domain/Money"
import type { IdempotencyKeyReused } from "@banquo/domain/Refusal"
import type { ChangeTermsRefusal } from "@banquo/domain/ChangeTerms"
import { Effect } from "effect"
import { CurrentActor } from "../write/CurrentActor.ts"
import type { DbConn } from "../database/DbConn.ts"
import type { Posted } from "../write/Posted.ts"
import { write } from "../write/WritePath.ts"
import type { WriteError } from "../write/Writer.ts"

export interface ChangeTermsOptions {
  /** `closed` needs a balance of zero and no open hold, and is final. */
  readonly status?: AccountStatus | undefined
  /** A decimal string; `null`: without limit. May not be lowered below what is used of it. */
  readonly overdraftLimit?: NonNegativeAmount | null | undefined
  /** Corrections; what was said before is kept. Limited by `@banquo/domain/Customer`. */
  readonly customerName?: string | undefined
  readonly customerAddress?: string | undefined
  /** Why; kept with the change, as is the actor. */
  readonly reason?: string | undefined
  readonly metadata?: Metadata | undefined
  readonly expectedSeq?: number | undefined
  readonly idempotencyKey?: IdempotencyKey | undefined
}

/**
 * Freezes an account, unfreezes or closes it, changes its overdraft limit, corrects its customer. What is not said stays as
 * it is. It is a row of the chain: whoever would post on the account as it was before meets it.
 */
export const changeTerms = (
  acctId: AccountId,
  options: ChangeTermsOptions,
): Effect.Effect<Posted, ChangeTermsRefusal | IdempotencyKeyReused | WriteError, DbConn> =>
  Effect.gen(function* () {
    const actor = yield* CurrentActor
    return yield* write({
      intent: {
        _tag: "ChangeTerms",
        acctId,
        acctStatus: options.status,
        overdraftLimit: options.overdraftLimit,
        custName: options.customerName,
        custAddress: options.customerAddress,
        reason: options.reason ?? null,
        metadata: options.metadata ?? null,
        expectedSeq: options.expectedSeq,
      },
      actor,
      idempotencyKey: options.idempotencyKey ?? null,
    })
  })
