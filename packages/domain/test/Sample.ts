/** Accounts and requests to begin with, for examples to depart from. */
import { assert } from "@effect/vitest"
import { Result } from "effect"
import type { AccountId } from "../src/account/AccountId.ts"
import type { AccountState } from "../src/account/AccountState.ts"
import { Actor } from "../src/request/Actor.ts"
import type { BalanceChange } from "../src/chain/BalanceChange.ts"
import { BalanceChangeId } from "../src/chain/BalanceChangeId.ts"
import { Currency } from "../src/money/Currency.ts"
import { decide, idsMax } from "../src/decide/Decide.ts"
import type { Decision } from "../src/decide/Decision.ts"
import { noHolds, type OpenHold } from "../src/account/Hold.ts"
import { IdempotencyKey } from "../src/request/IdempotencyKey.ts"
import type { Change, Intent, Request } from "../src/request/Intent.ts"
import * as Money from "../src/money/Money.ts"
import * as Timestamp from "../src/time/Timestamp.ts"
import { accountId, headsWith, now, stamp } from "./World.ts"

export const idFirst = 5000

export const usd = Currency.make("USD")
/** Fit for wherever a test puts it: the rules are told to judge it, not the types. */
export const amount = (text: string) => Money.Amount.make(text) as Money.PositiveAmount
export const money = (text: string) => Money.fromAmount(amount(text))
export const actor = Actor.make("teller-7")
export const silent = { reference: null, description: null, metadata: null }

/** After the present. */
export const inSeconds = (seconds: number) => Timestamp.plusSeconds(now, seconds)

export const state = (index: number, other: Partial<AccountState> = {}): AccountState => ({
  acctId: accountId(index),
  owner: null,
  currency: usd,
  scale: 2,
  bchgId: BalanceChangeId.make(BigInt(100 + index)),
  acctSeq: 3,
  balance: money("100"),
  held: Money.zero,
  overdraftLimit: Money.zero,
  acctStatus: "open",
  chgCreateTime: inSeconds(-1),
  chgHash: new Uint8Array(32).fill(index),
  openHolds: noHolds,
  ...other,
})

export const holdId = (index: number) => BalanceChangeId.make(BigInt(40 + index))

export const hold = (index: number, text: string, expiresIn: number): OpenHold => ({
  holdId: holdId(index),
  held: money(text),
  expiresAt: inSeconds(expiresIn),
})

export const holding = (index: number, openHolds: ReadonlyArray<OpenHold>, other: Partial<AccountState> = {}) =>
  state(index, {
    openHolds,
    held: openHolds.reduce((sum, { held }) => Money.sum(sum, held), Money.zero),
    ...other,
  })

export const leg = (index: number, text: string, other: Partial<Change> = {}): Change => ({
  acctId: accountId(index),
  amount: amount(text),
  ...other,
})

export type Verdict = Result.Result<Decision, { readonly _tag: string }>

/** What was reversed before, by account. */
export type Reversed = ReadonlyMap<AccountId, Money.Money>

export const judge = (intent: Intent, states: ReadonlyArray<AccountState>, reversed: Reversed = new Map()): Verdict => {
  const request: Request = { intent, actor, idempotencyKey: IdempotencyKey.make("key") }
  const heads = headsWith(states, (_, acctId) => reversed.get(acctId) ?? Money.zero)
  return decide(request, heads, stamp(idFirst, idsMax([request], heads, now)))
}

export const post = (states: ReadonlyArray<AccountState>, changes: ReadonlyArray<Change>) =>
  judge({ _tag: "PostTransaction", changes, ...silent }, states)

export const tagOf = (verdict: Verdict) => (Result.isSuccess(verdict) ? "Decision" : verdict.failure._tag)

export const refusalOf = (verdict: Verdict): Record<string, unknown> => {
  assert.isTrue(Result.isFailure(verdict), "accepted")
  return Result.isFailure(verdict) ? { ...verdict.failure } : {}
}

export const decisionOf = (verdict: Verdict): Decision => {
  if (Result.isFailure(verdict)) assert.fail(`refused: ${JSON.stringify(verdict.failure)}`)
  return verdict.success
}

export const rowsOf = (verdict: Verdict): ReadonlyArray<BalanceChange> => decisionOf(verdict).changes
