import type { AccountId } from "@banquo/domain/AccountId"
import { idemKeyOf } from "@banquo/domain/Idempotency"
import { accountIds, type Intent, rowCount } from "@banquo/domain/Intent"
import type { Group, Verdict } from "./Writer.ts"

/** Requests that stand or fall together, most often one, and wait for their verdict. */
export interface Pending {
  readonly requests: Group
  readonly accounts: ReadonlyArray<AccountId>
  /** As they are stored, in hexadecimal. */
  readonly keys: ReadonlyArray<string>
  readonly rows: number
  readonly bytes: number
  /** On the clock of the process, in milliseconds: after it, they are not sent any more. */
  readonly deadline: number
  /** Its rows may have been sent. */
  isBegun: boolean
  /** To be called once; later calls are without effect. */
  readonly answer: (verdict: Verdict) => void
}

export const pendingOf = (requests: Group, deadline: number, answer: Pending["answer"]): Pending => ({
  requests,
  accounts:
    requests.length === 1
      ? accountIds(requests[0]!.intent)
      : [...new Set(requests.flatMap(({ intent }) => accountIds(intent)))],
  keys: requests.flatMap((request) => idemKeyOf(request)?.toHex() ?? []),
  rows: requests.reduce((total, { intent }) => total + rowCount(intent), 0),
  bytes: requests.reduce((total, { intent }) => total + bytesOf(intent), 0),
  deadline,
  isBegun: false,
  answer,
})

/** About what an intent adds to a statement: for each row some 300 bytes, and what the caller wrote. */
const bytesOf = (intent: Intent): number => {
  const described = "description" in intent ? (intent.description?.length ?? 0) : 0
  const noted = "metadata" in intent && intent.metadata !== null ? JSON.stringify(intent.metadata).length : 0
  return rowCount(intent) * (300 + described + noted)
}

/** In two parts with no account in common, if there are such parts. */
export const halve = (batch: ReadonlyArray<Pending>): ReadonlyArray<ReadonlyArray<Pending>> => {
  const parts: [Array<Pending>, Array<Pending>] = [[], []]
  for (const related of relatedOf(batch)) {
    const smaller = parts[0].length <= parts[1].length ? parts[0] : parts[1]
    smaller.push(...related)
  }
  return parts.filter((part) => part.length > 0)
}

/** Requests that touch the same accounts, directly or by way of others, in their order. */
const relatedOf = (batch: ReadonlyArray<Pending>): ReadonlyArray<ReadonlyArray<Pending>> => {
  const groupOf = new Map<AccountId, Array<Pending>>()
  for (const pending of batch) {
    const joined = new Set(pending.accounts.flatMap((account) => groupOf.get(account) ?? []))
    const group = batch.filter((other) => other === pending || joined.has(other))
    for (const { accounts } of group) for (const account of accounts) groupOf.set(account, group)
  }
  return [...new Set(groupOf.values())]
}
