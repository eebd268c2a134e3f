/** Clients whose requests have keys, and who send again what failed until it is answered: as a bank's own services do. */
import { Client } from "undici"
import { changesOf } from "./Answer.ts"
import type { Asked, Attempt } from "./Attempt.ts"
import * as Random from "./Random.ts"

/** Between two tries of a request, in milliseconds, on average. */
const pauseMillis = 20

/** Longest that a request is tried, in milliseconds. What takes longer is lost. */
const tryMillisMax = 60_000

export interface KeyedLoadOptions {
  /** Clients are spread over these; one that fails sends to the next one. */
  readonly urls: ReadonlyArray<string>
  readonly accounts: ReadonlyArray<string>
  readonly clients: number
  /** Begins each key. Default: none. */
  readonly name?: string
  /** Requests a second of all clients together; none: each asks as soon as it is answered. */
  readonly rate?: number
}

export interface Loaded {
  readonly attempts: ReadonlyArray<Attempt>
  /** What tries that failed were told, with the code of a problem, and how often. */
  readonly failures: ReadonlyMap<string, number>
  /** Requests that were given up. */
  readonly lost: number
}

export interface KeyedLoad {
  /** Requests that were answered as they should be, so far. */
  readonly answered: () => number
  readonly stop: () => Promise<Loaded>
}

/** Clients that wait for their answer and then ask for the next, and send again what failed, with its key. */
export const start = ({ accounts, clients, name = "", rate, urls }: KeyedLoadOptions): KeyedLoad => {
  const attempts: Array<Attempt> = []
  const failures = new Map<string, number>()
  const state = { answered: 0, isOver: false, lost: 0 }
  const interval = rate === undefined ? 0 : (1000 * clients) / rate

  const failed = (what: string) => {
    failures.set(what, (failures.get(what) ?? 0) + 1)
    return false
  }

  const work = async (number: number) => {
    const random = Random.make(number + 1)
    const pool = urls.map((url) => new Client(url, { pipelining: 1 }))
    let at = number
    let due = performance.now() + interval * random()
    for (let count = 0; !state.isOver; count++) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
      // Who could not keep up begins anew, and does not catch up.
      due = Math.max(due + interval, performance.now() - interval)
      const key = `${name}c${number}-${count}`
      const asked = [{ acctId: accounts[Random.index(random, accounts.length)]!, amount: "1.25" }]
      const begun = performance.now()
      while (!(await send(pool[at % pool.length]!, key, asked))) {
        at += 1
        if (performance.now() - begun > tryMillisMax) {
          state.lost += 1
          break
        }
        await new Promise((resolve) => setTimeout(resolve, 2 * pauseMillis * random()))
      }
    }
    await Promise.all(pool.map((client) => client.destroy()))
  }

  /** One try; `false`: it failed in a way that says to try again. */
  const send = async (client: Client, key: string, asked: ReadonlyArray<Asked>): Promise<boolean> => {
    const sent = performance.now()
    const settle = (outcome: Attempt["outcome"], changes: Attempt["changes"] = []) =>
      attempts.push({ key, sent, received: performance.now(), outcome, asked, changes })
    try {
      const { body, headers, statusCode } = await client.request({
        method: "POST",
        path: "/v1/transactions",
        headers: { "content-type": "application/json", "idempotency-key": key },
        body: JSON.stringify({ changes: asked.map(({ acctId, amount }) => ({ account_id: acctId, amount })) }),
      })
      const text = await body.text()
      if (statusCode === 201) {
        const isReplayed = headers["idempotency-replayed"] === "true"
        settle(isReplayed ? "replayed" : "acknowledged", changesOf(JSON.parse(text)))
        state.answered += 1
        return true
      }
      settle("unknown")
      failed(`${statusCode} ${codeOf(text)}`)
      // A balancer says 502 or 504 where its own connection was reset.
      if ([502, 503, 504].includes(statusCode)) return false
      state.lost += 1
      return true
    } catch (error) {
      settle("unknown")
      return failed(error instanceof Error && "code" in error ? String(error.code) : String(error))
    }
  }

  const all = Array.from({ length: clients }, (_, number) => work(number))
  return {
    answered: () => state.answered,
    stop: async () => {
      state.isOver = true
      await Promise.all(all)
      return { attempts, failures, lost: state.lost }
    },
  }
}

/** What a problem says, and whether it leaves the outcome open. */
const codeOf = (text: string): string => {
  try {
    const { code, detail } = JSON.parse(text) as { readonly code: string; readonly detail: string }
    return detail.includes("is not known") ? `${code}, outcome unknown` : code
  } catch {
    return text.slice(0, 200)
  }
}

/** Like `503 database_unavailable × 12`. */
export const failureLines = (failures: ReadonlyMap<string, number>): ReadonlyArray<string> =>
  [...failures].map(([what, count]) => `${what} × ${count}`)
