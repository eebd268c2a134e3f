/**
 * All that can be asked of accounts, of a few of them by many clients at once: about the newest holds and transactions, so
 * that requests are about what others are changing, with keys that come again, at once and later, and for something else.
 */
import type { Asked } from "./Attempt.ts"
import * as Random from "./Random.ts"
import type { Ask, Workload } from "./Ask.ts"

/** How far back the clients remember, each kind of thing. */
const rememberedMax = 60

/** Accounts begin with a million: of what is asked for, some is more than there is. */
const centsMax = 20_000_000

type Post = Extract<Ask, { readonly _tag: "Post" }>

export interface LifeOptions {
  readonly accounts: ReadonlyArray<string>
  readonly random: Random.Random
  readonly key: () => string
}

interface Hold {
  readonly holdId: string
  readonly acctId: string
}

interface Moved {
  readonly transactionId: string
  readonly legs: ReadonlyArray<Asked>
}

export const make = ({ accounts, key, random }: LifeOptions): Workload => {
  const asks: Array<Post> = []
  const holds: Array<Hold> = []
  const moved: Array<Moved> = []
  const oneOf = <A>(all: ReadonlyArray<A>): A => all[Random.index(random, all.length)]!
  const account = () => oneOf(accounts)
  const cents = () => 1 + Random.index(random, centsMax)

  /** A request, with a key of its own unless one is given. `asked`: as the audit is to be told. */
  const request = (path: string, body: object, asked: ReadonlyArray<Asked> | null, given = key()): Post => ({
    _tag: "Post",
    path,
    body: JSON.stringify(body),
    writes: [{ key: given, asked }],
  })
  const post = (legs: ReadonlyArray<Asked>, given?: string): Post =>
    request("/v1/transactions", { changes: legs.map(changeOf) }, legs, given)
  const single = (): ReadonlyArray<Asked> => [
    { acctId: account(), amount: random() < 0.6 ? text(cents()) : text(-cents()) },
  ]
  const transfer = (): ReadonlyArray<Asked> => {
    const [from, amount] = [account(), cents()]
    return pairOf(from, account(), amount)
  }

  const capture = ({ acctId, holdId }: Hold): Post => {
    const [amount, to] = [cents() / 4, random() < 0.6 ? account() : undefined]
    const part = Math.ceil(amount)
    const isWhole = random() < 0.3
    const legs = to === undefined ? [{ acctId, amount: text(-part) }] : pairOf(acctId, to, part)
    return request(
      `/v1/holds/${holdId}/capture`,
      { ...(isWhole ? {} : { amount: text(part) }), final: random() < 0.5, ...(to === undefined ? {} : { to }) },
      isWhole ? null : legs,
    )
  }

  const reverse = ({ legs, transactionId }: Moved): Post => {
    const path = `/v1/transactions/${transactionId}/reverse`
    if (random() < 0.5) return request(path, { force: random() < 0.3 }, null)
    const part = Math.ceil(cents() / 4)
    const back = legs.map(({ acctId, amount }) => ({ acctId, amount: text(amount.startsWith("-") ? part : -part) }))
    return request(path, { changes: back.map(changeOf) }, back)
  }

  const terms = (): Post => {
    const kind = random()
    const body =
      kind < 0.5
        ? { status: oneOf(["open", "open", "open", "debits_frozen", "credits_frozen", "frozen", "closed"]) }
        : kind < 0.7
          ? { overdraft_limit: text(random() < 0.5 ? 0 : cents()) }
          : { customer_name: `Customer ${Random.index(random, 1000)}`, status: "open" }
    return { ...request(`/v1/accounts/${account()}`, body, []), method: "PATCH" }
  }

  const fresh = (): Post => {
    const kind = random()
    if (kind < 0.15) return post(single())
    if (kind < 0.35) return post(transfer())
    if (kind < 0.55 || holds.length === 0) {
      // Some expire while the others are still about them.
      const ttl = random() < 0.3 ? { ttl: 1 + Random.index(random, 3) } : {}
      return request("/v1/holds", { account_id: account(), amount: text(cents()), ...ttl }, [])
    }
    const { holdId } = oneOf(holds)
    if (kind < 0.6) return request(`/v1/holds/${holdId}/increase`, { amount: text(cents()) }, [])
    if (kind < 0.75) return capture(oneOf(holds))
    if (kind < 0.8) return request(`/v1/holds/${holdId}/release`, {}, [])
    if (kind < 0.9 && moved.length > 0) return reverse(oneOf(moved))
    return terms()
  }

  const next = (): Post => {
    const kind = random()
    if (asks.length > 0 && kind < 0.15) return oneOf(asks)
    if (asks.length > 0 && kind < 0.17) return post(single(), oneOf(asks).writes[0].key)
    const ask = fresh()
    if (kind < 0.2) return { ...ask, body: JSON.stringify({ ...JSON.parse(ask.body), dry_run: true }) }
    remember(asks, ask)
    return ask
  }

  return {
    next,
    ended: (ask, outcome, { holdId, transactionId }) => {
      if (ask._tag !== "Post" || outcome !== "acknowledged" || transactionId === undefined) return
      const [{ asked }] = ask.writes
      if (holdId === transactionId) {
        remember(holds, { holdId, acctId: (JSON.parse(ask.body) as { readonly account_id: string }).account_id })
      }
      // Also of reversals, which cannot be reversed.
      if (asked !== null && asked.length > 0) remember(moved, { transactionId, legs: asked })
    },
  }
}

const remember = <A>(all: Array<A>, one: A) => {
  all.push(one)
  if (all.length > rememberedMax) all.shift()
}

const text = (cents: number): string => (cents / 100).toFixed(2)

const pairOf = (from: string, to: string, cents: number): ReadonlyArray<Asked> => [
  { acctId: from, amount: text(-cents) },
  { acctId: to, amount: text(cents) },
]

const changeOf = ({ acctId, amount }: Asked) => ({ account_id: acctId, amount })
