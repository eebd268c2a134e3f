/** What clients ask for: an endless series of requests for each kind of work. */
import type { Ask, Workload, Write } from "./Ask.ts"
import type { Asked } from "./Attempt.ts"
import * as Life from "./Life.ts"
import * as Random from "./Random.ts"

/** The kinds of work, and what each is in a report. */
export const workloads = {
  uniform: "one change of an account, any of them as likely as the others",
  zipf: "one change of an account, by Zipf's law with exponent 1.0",
  hot: "one change, always of the same account",
  fifty: "a transfer between two of 50 accounts",
  transfers: "a transfer between two of all accounts; one in fifty asks for more than there is, and is refused",
  replays: "one change; half of the requests repeat an earlier one with its key",
  batches: "500 changes in one request, each with its own verdict",
  history: "one change, or as often the newest 50 changes of an account",
  holds: "a hold is placed, or one that was placed before is captured",
  life: "anything that can be asked of 60 accounts: changes, holds, terms, reversals, again, at once and of one another",
} as const
export type WorkloadName = keyof typeof workloads

/** Items of one batch. */
export const batchItems = 500

/** Of the requests that `replays` may repeat, the newest so many. */
export const replayedMax = 1_000

/** One in so many transfers asks for more than there is. */
const refusedOneIn = 50

export interface WorkloadOptions {
  readonly name: WorkloadName
  readonly accounts: ReadonlyArray<string>
  readonly random: Random.Random
  /** Begins each key, so that keys of two runs differ. */
  readonly run: string
}

const ignore = () => undefined

export const make = ({ accounts, name, random, run }: WorkloadOptions): Workload => {
  let count = 0
  const key = () => `${run}-${count++}`
  const account = () => accounts[Random.index(random, accounts.length)]!
  const post = (asked: ReadonlyArray<Asked>): Ask => ({
    _tag: "Post",
    path: "/v1/transactions",
    body: JSON.stringify({ changes: asked.map(changeOf) }),
    writes: [{ key: key(), asked }],
  })
  const change = (acctId: string) => post([{ acctId, amount: amountOf(random) }])

  switch (name) {
    case "uniform":
      return { next: () => change(account()), ended: ignore }
    case "zipf": {
      const rank = Random.zipf(random, accounts.length, 1)
      return { next: () => change(accounts[rank()]!), ended: ignore }
    }
    case "hot":
      return { next: () => change(accounts[0]!), ended: ignore }
    case "fifty":
      return { next: () => post(transfer(random, accounts.slice(0, 50))), ended: ignore }
    case "transfers":
      return { next: () => post(transfer(random, accounts, refusedOneIn)), ended: ignore }
    case "history":
      return { next: () => (random() < 0.5 ? change(account()) : read(account())), ended: ignore }
    case "batches":
      return {
        next: () => {
          const writes = Array.from({ length: batchItems }, () => ({
            key: key(),
            asked: [{ acctId: account(), amount: amountOf(random) }],
          }))
          return { _tag: "Batch", path: "/v1/transactions/batch", body: batchBody(writes), writes }
        },
        ended: ignore,
      }
    case "holds": {
      const placed: Array<{ readonly holdId: string; readonly acctId: string; readonly amount: string }> = []
      return {
        next: () => {
          const hold = placed.shift()
          if (hold === undefined) return placement(account(), centsText(1 + Random.index(random, 500)), key())
          const { acctId, amount, holdId } = hold
          const path = `/v1/holds/${holdId}/capture`
          return {
            _tag: "Post",
            path,
            body: JSON.stringify({ amount }),
            writes: [{ key: key(), asked: [{ acctId, amount: `-${amount}` }] }],
          }
        },
        ended: (ask, outcome, { holdId }) => {
          if (outcome !== "acknowledged" || holdId === undefined || ask._tag !== "Post" || ask.path !== "/v1/holds")
            return
          const { account_id, amount } = JSON.parse(ask.body) as {
            readonly account_id: string
            readonly amount: string
          }
          placed.push({ holdId, acctId: account_id, amount })
        },
      }
    }
    case "life":
      return Life.make({ accounts: accounts.slice(0, 60), random, key })
    case "replays": {
      const answered: Array<Ask> = []
      let oldest = 0
      return {
        next: () =>
          answered.length > 0 && random() < 0.5 ? answered[Random.index(random, answered.length)]! : change(account()),
        ended: (ask, outcome) => {
          if (outcome !== "acknowledged") return
          if (answered.length < replayedMax) answered.push(ask)
          else answered[oldest++ % replayedMax] = ask
        },
      }
    }
  }
}

const centsText = (cents: number): string => (cents / 100).toFixed(2)

const placement = (account_id: string, amount: string, key: string): Ask => ({
  _tag: "Post",
  path: "/v1/holds",
  body: JSON.stringify({ account_id, amount }),
  writes: [{ key, asked: [] }],
})

const changeOf = ({ acctId, amount }: Asked) => ({ account_id: acctId, amount })

const batchBody = (writes: ReadonlyArray<Write>): string =>
  JSON.stringify({
    mode: "independent",
    transactions: writes.map(({ asked, key }) => ({ changes: asked!.map(changeOf), idempotency_key: key })),
  })

const read = (acctId: string): Ask => ({ _tag: "Read", path: `/v1/accounts/${acctId}/changes?limit=50`, acctId })

/** In or out as often, up to 5.00: against the balances of the fill that is nothing, so none is refused. */
const amountOf = (random: Random.Random): string => {
  const cents = 1 + Random.index(random, 500)
  return `${random() < 0.5 ? "-" : ""}${(cents / 100).toFixed(2)}`
}

const transfer = (
  random: Random.Random,
  accounts: ReadonlyArray<string>,
  refusedOneIn?: number,
): ReadonlyArray<Asked> => {
  const from = Random.index(random, accounts.length)
  const to = (from + 1 + Random.index(random, accounts.length - 1)) % accounts.length
  const isTooMuch = refusedOneIn !== undefined && random() < 1 / refusedOneIn
  const amount = isTooMuch ? "9000000000.00" : ((1 + Random.index(random, 500)) / 100).toFixed(2)
  return [
    { acctId: accounts[from]!, amount: `-${amount}` },
    { acctId: accounts[to]!, amount },
  ]
}
