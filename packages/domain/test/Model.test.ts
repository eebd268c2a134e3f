/**
 * The ledger in memory, held against a model that knows nothing of rows, hashes or `Money`: a few maps, and the rules
 * written down once more in the plainest way. What both say of thousands of random requests has to agree.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { AccountId } from "../src/account/AccountId.ts"
import type { AccountRecord } from "../src/account/Account.ts"
import type { AccountState } from "../src/account/AccountState.ts"
import { type AccountStatus, accountStatuses } from "../src/account/AccountStatus.ts"
import { Actor } from "../src/request/Actor.ts"
import type { BalanceChange } from "../src/chain/BalanceChange.ts"
import { BalanceChangeId } from "../src/chain/BalanceChangeId.ts"
import { genesisHash, seal } from "../src/chain/ChangeHash.ts"
import { type Comparison, comparisons, conditionSubjects } from "../src/request/Condition.ts"
import { Currency } from "../src/money/Currency.ts"
import { decide, idsMax } from "../src/decide/Decide.ts"
import type { Heads } from "../src/decide/Decision.ts"
import { holdsAfter, noHolds, type OpenHold } from "../src/account/Hold.ts"
import { idemKeyOf, isWordy, requestHash } from "../src/request/Idempotency.ts"
import { IdempotencyKey } from "../src/request/IdempotencyKey.ts"
import type {
  CaptureHold,
  Change,
  ChangeTerms,
  Expectation,
  Expiry,
  HoldIntent,
  Intent,
  OpenAccount,
  PostTransaction,
  Request,
  ReverseTransaction,
} from "../src/request/Intent.ts"
import * as Money from "../src/money/Money.ts"
import * as Timestamp from "../src/time/Timestamp.ts"
import { assertStorable } from "./Storable.ts"

/** In units of 10^-8, digit by digit. */
const unitsOf = (text: string): bigint => {
  const [whole, fraction = ""] = text.replace("-", "").split(".")
  let value = 0n
  for (const digit of whole + `${fraction}00000000`.slice(0, 8))
    value = value * 10n + BigInt("0123456789".indexOf(digit))
  return text.startsWith("-") ? -value : value
}

const most = 10n ** 28n - 1n
const scales: Record<string, number> = { USD: 2, EUR: 2, JPY: 0, BHD: 3, CLF: 4 }
const codes = Object.keys(scales)
const manyHolds = 200
const second = 1_000_000n

interface Held {
  readonly id: bigint
  left: bigint
  expires: bigint
}

/** An account as the model has it. */
interface Book {
  readonly currency: string
  balance: bigint
  /** `undefined`: without limit. */
  limit: bigint | undefined
  status: AccountStatus
  rows: number
  /** Those that have expired stay until somebody needs their money. */
  holds: Array<Held>
}

/** What a request does to one account, and what it says of it. */
interface Effect extends Expectation {
  readonly acctId: string
  readonly text: string | null
  readonly moves: bigint
  readonly reserves: bigint
}

/** What the model cannot know by itself: the clock, the time of each account's last row, the first id of what comes of it. */
interface Around {
  readonly now: bigint
  readonly timeOf: (acctId: string) => bigint
  readonly id: bigint
}

const heldIn = (holds: ReadonlyArray<Held>): bigint => holds.reduce((sum, { left }) => sum + left, 0n)

const compare: Record<Comparison, (a: bigint, b: bigint) => boolean> = {
  gte: (a, b) => a >= b,
  lte: (a, b) => a <= b,
  gt: (a, b) => a > b,
  lt: (a, b) => a < b,
  eq: (a, b) => a === b,
}

class Model {
  readonly books = new Map<string, Book>()
  readonly keys = new Map<string, string>()
  /** By transaction and account, what it did, and what of it was taken back. */
  readonly done = new Map<string, bigint>()
  readonly back = new Map<string, bigint>()
  /** What came into the ledger from outside, by currency: openings, and what changed one balance alone. */
  readonly inflow = new Map<string, bigint>()

  submit(request: Request, around: Around): string {
    const key = request.idempotencyKey === null ? null : JSON.stringify([request.actor, request.idempotencyKey])
    const asked = Model.#said(request.intent)
    if (key !== null && this.keys.has(key)) return this.keys.get(key) === asked ? "Replayed" : "IdempotencyKeyReused"
    const verdict = this.#judge(request.intent, around)
    if (verdict === "Done" && key !== null) this.keys.set(key, asked)
    return verdict
  }

  /** The request in words, amounts by value. */
  static #said(intent: Intent): string {
    return JSON.stringify(intent, (name, value: unknown) =>
      name === "currency" && intent._tag !== "OpenAccount"
        ? undefined
        : typeof value === "bigint"
          ? String(value)
          : /amount|balance|limit/i.test(name) && typeof value === "string"
            ? String(unitsOf(value))
            : value,
    )
  }

  #judge(intent: Intent, around: Around): string {
    switch (intent._tag) {
      case "OpenAccount":
        return this.#open(intent)
      case "PostTransaction":
        return this.#post(intent, around)
      case "PlaceHold":
      case "IncreaseHold":
      case "CaptureHold":
      case "ReleaseHold":
      case "ExpireHolds":
        return this.#hold(intent, around)
      case "ChangeTerms":
        return this.#terms(intent, around)
      case "ReverseTransaction":
        return this.#reverse(intent, around)
    }
  }

  #open({ acctId, currency, initialBalance, overdraftLimit }: OpenAccount): string {
    if (this.books.has(acctId)) return "AccountAlreadyExists"
    for (const text of [initialBalance, overdraftLimit ?? "0"])
      if (Model.#isTooFine(text, currency)) return "ScaleExceeded"
    const limit = overdraftLimit === null ? undefined : unitsOf(overdraftLimit)
    const balance = unitsOf(initialBalance)
    if (limit !== undefined && balance + limit < 0n) return "InsufficientFunds"
    this.books.set(acctId, { currency, balance, limit, status: "open", rows: 1, holds: [] })
    this.#flow(currency, balance)
    return "Done"
  }

  #post({ changes, effectiveTime }: PostTransaction, around: Around): string {
    const acctIds = changes.map(({ acctId }) => acctId)
    const bad = this.#missing(acctIds)
    if (bad !== undefined) return bad
    const effects = changes.map((change) => {
      return { ...change, text: change.amount, moves: unitsOf(change.amount), reserves: 0n }
    })
    const at = this.#instant(acctIds, around)
    const refusal = this.#refusal(effects, at, {
      isTransfer: changes.length > 1,
      limits: () => Model.#dated(effectiveTime, at),
    })
    if (refusal !== undefined) return refusal
    for (const effect of effects) this.#makeRoom(effect, at)
    for (const effect of effects) this.#move(effect, around)
    if (changes.length === 1) this.#flow(this.#book(acctIds[0]!).currency, effects[0]!.moves)
    return "Done"
  }

  #hold(intent: HoldIntent, around: Around): string {
    const { acctId } = intent
    const to = intent._tag === "CaptureHold" ? intent.to : null
    const acctIds = to === null ? [acctId] : [acctId, to]
    const bad = this.#missing(acctIds)
    if (bad !== undefined) return bad
    const book = this.#book(acctId)
    const at = this.#instant(acctIds, around)
    const hasExpired = ({ expires }: Held) => expires <= at
    if (intent._tag === "ExpireHolds") {
      const count = book.holds.filter(hasExpired).length
      if (count === 0) return "NothingExpired"
      book.holds = book.holds.filter((hold) => !hasExpired(hold))
      book.rows += count
      return "Done"
    }
    const hold = intent._tag === "PlaceHold" ? undefined : book.holds.find(({ id }) => id === intent.holdId)
    if (intent._tag !== "PlaceHold") {
      if (hold === undefined) return "HoldEnded"
      if (hasExpired(hold)) return "HoldExpired"
    }
    if (intent._tag === "ReleaseHold") {
      const refusal = this.#refusal([{ ...intent, text: null, moves: 0n, reserves: -hold!.left }], at)
      if (refusal !== undefined) return refusal
      book.holds = book.holds.filter((other) => other !== hold)
      book.rows += 1
      return "Done"
    }
    if (intent._tag === "CaptureHold") return this.#capture(intent, hold!, at, around)
    const reserves = unitsOf(intent.amount)
    const expires =
      intent.expiry === null
        ? undefined
        : "at" in intent.expiry
          ? intent.expiry.at
          : at + BigInt(intent.expiry.ttl) * second
    const effect = { ...intent, text: intent.amount, moves: 0n, reserves }
    const refusal = this.#refusal([effect], at, {
      limits: () => {
        if (expires !== undefined && (expires < at + second || expires > at + 366n * 86_400n * second)) {
          return "ExpiryOutOfRange"
        }
        const isFull = hold === undefined && book.holds.filter((other) => !hasExpired(other)).length >= manyHolds
        return isFull ? "TooManyHolds" : undefined
      },
    })
    if (refusal !== undefined) return refusal
    this.#makeRoom(effect, at)
    if (hold === undefined) {
      if (book.holds.length >= manyHolds) this.#letGo(book, at)
      // The HOLD row comes after those that let go.
      book.holds.push({ id: around.id, left: reserves, expires: expires! })
    } else {
      hold.left += reserves
      hold.expires = expires ?? hold.expires
    }
    book.rows += 1
    return "Done"
  }

  #capture(intent: CaptureHold, hold: Held, at: bigint, around: Around): string {
    const { acctId, isFinal, to } = intent
    const book = this.#book(acctId)
    const captured = intent.amount === null ? hold.left : unitsOf(intent.amount)
    const isRestReleased = isFinal && captured < hold.left
    const text = intent.amount
    const from = { ...intent, text, moves: -captured, reserves: isRestReleased ? -hold.left : -captured }
    const into = to === null ? [] : [{ acctId: to, text: null, moves: captured, reserves: 0n }]
    const refusal = this.#refusal([from, ...into], at, {
      isTransfer: to !== null,
      limits: () => Model.#dated(intent.effectiveTime, at) ?? (captured > hold.left ? "CaptureExceedsHold" : undefined),
    })
    if (refusal !== undefined) return refusal
    hold.left = isFinal ? 0n : hold.left - captured
    book.holds = book.holds.filter(({ left }) => left > 0n)
    for (const effect of [from, ...into]) this.#move(effect, around)
    if (isRestReleased) book.rows += 1
    if (to === null) this.#flow(book.currency, -captured)
    return "Done"
  }

  #terms(intent: ChangeTerms, around: Around): string {
    const { acctId, acctStatus, overdraftLimit } = intent
    const bad = this.#missing([acctId])
    if (bad !== undefined) return bad
    const book = this.#book(acctId)
    const at = this.#instant([acctId], around)
    const limit =
      overdraftLimit === undefined ? book.limit : overdraftLimit === null ? undefined : unitsOf(overdraftLimit)
    const live = () => heldIn(book.holds.filter(({ expires }) => expires > at))
    const refusal = this.#refusal([{ ...intent, text: overdraftLimit ?? null, moves: 0n, reserves: 0n }], at, {
      limits: () => {
        if (acctStatus === "closed" && (book.balance !== 0n || live() !== 0n)) return "AccountNotEmpty"
        return limit !== undefined && book.balance - live() + limit < 0n ? "OverdraftInUse" : undefined
      },
    })
    if (refusal !== undefined) return refusal
    const isInTheWay = () =>
      acctStatus === "closed"
        ? book.holds.length > 0
        : limit !== undefined && book.balance - heldIn(book.holds) + limit < 0n
    while (isInTheWay()) this.#letGo(book, at)
    book.limit = limit
    book.status = acctStatus ?? book.status
    book.rows += 1
    return "Done"
  }

  #reverse({ changes, effectiveTime, isForced, original, xactId }: ReverseTransaction, around: Around): string {
    const acctIds = (changes ?? original).map(({ acctId }) => acctId)
    const bad = this.#missing(acctIds)
    if (bad !== undefined) return bad
    const left = (acctId: string) =>
      -((this.done.get(`${xactId} ${acctId}`) ?? 0n) + (this.back.get(`${xactId} ${acctId}`) ?? 0n))
    if (original.every(({ acctId }) => left(acctId) === 0n)) return "AlreadyReversed"
    const at = this.#instant(acctIds, around)
    const effects =
      changes === null
        ? original.flatMap(({ acctId }) =>
            left(acctId) === 0n ? [] : [{ acctId, text: null, moves: left(acctId), reserves: 0n }],
          )
        : changes.map((change) => ({
            ...change,
            text: change.amount,
            moves: unitsOf(change.amount),
            reserves: 0n,
          }))
    // Limits as they would have to be.
    const raised = new Map<string, bigint>()
    for (const { acctId, moves } of isForced ? effects : []) {
      const { balance, holds, limit } = this.#book(acctId)
      const rest = balance + moves - heldIn(holds.filter(({ expires }) => expires > at)) + (limit ?? 0n)
      if (limit !== undefined && rest < 0n) raised.set(acctId, limit - rest)
    }
    const refusal = this.#refusal(effects, at, {
      isBalanced: original.length > 1,
      isHalfExchange:
        new Set(original.map(({ currency }) => currency)).size > 1 &&
        original.some(
          ({ acctId }) => (effects.find((effect) => effect.acctId === acctId)?.moves ?? 0n) !== left(acctId),
        ),
      limits: () => {
        const dated = Model.#dated(effectiveTime, at)
        if (dated !== undefined) return dated
        for (const of of original) {
          if (effectiveTime !== undefined && effectiveTime < of.effectiveTime) return "EffectiveTimeOutOfRange"
        }
        for (const { acctId, moves } of effects) {
          const rest = left(acctId)
          if (rest >= 0n ? moves > rest || moves < 0n : moves < rest || moves > 0n) return "ReversalExceedsTransaction"
        }
        for (const limit of raised.values()) if (limit > most) return "AmountOutOfRange"
        return undefined
      },
      raised,
    })
    if (refusal !== undefined) return refusal
    for (const [acctId, limit] of raised) {
      this.#book(acctId).limit = limit
      this.#book(acctId).rows += 1
    }
    for (const effect of effects) this.#makeRoom(effect, at)
    for (const { acctId, moves } of effects) {
      const book = this.#book(acctId)
      book.balance += moves
      book.rows += 1
      const key = `${xactId} ${acctId}`
      this.back.set(key, (this.back.get(key) ?? 0n) + moves)
    }
    if (effects.length === 1) this.#flow(this.#book(effects[0]!.acctId).currency, effects[0]!.moves)
    return "Done"
  }

  #book(acctId: string): Book {
    return this.books.get(acctId)!
  }

  #missing(acctIds: ReadonlyArray<string>): string | undefined {
    for (let i = 0; i < acctIds.length; i++)
      for (let j = 0; j < i; j++) if (acctIds[i] === acctIds[j]) return "SameAccount"
    for (const acctId of acctIds) if (!this.books.has(acctId)) return "AccountNotFound"
    return undefined
  }

  /** Later than the last row of each account, whatever the clock says. */
  #instant(acctIds: ReadonlyArray<string>, { now, timeOf }: Around): bigint {
    let at = now
    for (const acctId of acctIds) if (timeOf(acctId) >= at) at = timeOf(acctId) + 1n
    return at
  }

  /** Five seconds of a clock that is ahead are forgiven. */
  static #dated(effectiveTime: bigint | undefined, at: bigint): string | undefined {
    return effectiveTime !== undefined && effectiveTime > at + 5n * second ? "EffectiveTimeOutOfRange" : undefined
  }

  static #isTooFine(text: string, currency: string): boolean {
    return (text.split(".")[1] ?? "").length > scales[currency]!
  }

  #refusal(
    effects: ReadonlyArray<Effect>,
    at: bigint,
    own: {
      readonly isTransfer?: boolean
      readonly isBalanced?: boolean
      readonly isHalfExchange?: boolean
      readonly limits?: () => string | undefined
      readonly raised?: ReadonlyMap<string, bigint>
    } = {},
  ): string | undefined {
    const currencyOf = ({ acctId }: Effect) => this.#book(acctId).currency
    for (const { acctId, moves, reserves } of effects) {
      const { status } = this.#book(acctId)
      if (status === "closed") return "AccountClosed"
      if ((status === "frozen" || status === "debits_frozen") && (moves < 0n || reserves > 0n)) return "AccountFrozen"
      if ((status === "frozen" || status === "credits_frozen") && moves > 0n) return "AccountFrozen"
    }
    for (const effect of effects) {
      const code = currencyOf(effect)
      if (effect.currency !== undefined && effect.currency !== code) return "CurrencyMismatch"
      for (const text of [effect.text ?? "0", ...(effect.require ?? []).map(({ amount }) => amount)]) {
        if (Model.#isTooFine(text, code)) return "ScaleExceeded"
      }
    }
    for (const code of own.isTransfer === true ? codes : []) {
      if (effects.filter((effect) => currencyOf(effect) === code).length === 1) return "CurrencyMismatch"
    }
    if (own.isHalfExchange === true) return "ExchangeReversedInPart"
    for (const code of own.isTransfer === true || own.isBalanced === true ? codes : []) {
      let sum = 0n
      for (const effect of effects) if (currencyOf(effect) === code) sum += effect.moves
      if (sum !== 0n) return "Unbalanced"
    }
    for (const { acctId, expectedSeq } of effects) {
      if (expectedSeq !== undefined && expectedSeq !== this.#book(acctId).rows - 1) return "VersionConflict"
    }
    const after = ({ acctId, moves, reserves }: Effect) => {
      const { balance, holds, limit } = this.#book(acctId)
      const held = heldIn(holds.filter(({ expires }) => expires > at)) + reserves
      const allowed = own.raised?.get(acctId) ?? limit
      const posted = balance + moves
      return { posted, held, available: allowed === undefined ? undefined : posted - held + allowed }
    }
    for (const effect of effects) {
      const { held, posted } = after(effect)
      if (posted > most || posted < -most || held > most || held < -most) return "AmountOutOfRange"
    }
    const limited = own.limits?.()
    if (limited !== undefined) return limited
    for (const effect of effects) {
      const { available } = after(effect)
      if (available !== undefined && available < 0n) return "InsufficientFunds"
    }
    for (const effect of effects) {
      const values = after(effect)
      for (const { amount, comparison, subject } of effect.require ?? []) {
        const value = values[subject]
        const isMet = value === undefined ? comparison.startsWith("g") : compare[comparison](value, unitsOf(amount))
        if (!isMet) return "ConditionNotMet"
      }
    }
    return undefined
  }

  /** Lets go of what has expired, one by one, until what comes can be stored. */
  #makeRoom({ acctId, moves, reserves }: Effect, at: bigint) {
    const book = this.#book(acctId)
    const lacks = () => {
      const held = heldIn(book.holds) + reserves
      return held > most || (book.limit !== undefined && book.balance + moves - held + book.limit < 0n)
    }
    while (lacks()) this.#letGo(book, at)
  }

  /** Of the one that expired first. */
  #letGo(book: Book, at: bigint) {
    const expired = book.holds.filter(({ expires }) => expires <= at)
    const first = expired.reduce((a, b) => (b.expires < a.expires || (b.expires === a.expires && b.id < a.id) ? b : a))
    book.holds = book.holds.filter((hold) => hold !== first)
    book.rows += 1
  }

  #move({ acctId, moves }: Effect, { id }: Around) {
    const book = this.#book(acctId)
    book.balance += moves
    book.rows += 1
    this.done.set(`${id} ${acctId}`, moves)
  }

  #flow(currency: string, amount: bigint) {
    this.inflow.set(currency, (this.inflow.get(currency) ?? 0n) + amount)
  }
}

const ledgerId = "0192f0c1-7a5e-7c4b-9d21-3f6a8b0c1d2e"

interface Answer {
  readonly verdict: string
  /** Of the first row of the transaction. */
  readonly id: bigint
}

/** What surrounds `decide` in a ledger: it looks up keys and heads, and appends. */
class Ledger {
  readonly heads = new Map<AccountId, AccountState>()
  readonly records = new Map<AccountId, AccountRecord>()
  readonly rows: Array<BalanceChange> = []
  readonly #keys = new Map<string, BalanceChange>()
  readonly #reversed = new Map<string, Money.Money>()
  #idNext = 1n

  submit(request: Request, now: Timestamp.Timestamp): Answer {
    const key = idemKeyOf(request)?.toHex() ?? null
    const row = key === null ? undefined : this.#keys.get(key)
    if (row !== undefined) {
      const salt = isWordy(request.intent) ? row.textsSalt : null
      const isSame = row.requestHash?.toHex() === requestHash(request.intent, salt).toHex()
      return { verdict: isSame ? "Replayed" : "IdempotencyKeyReused", id: 0n }
    }
    const heads: Heads = {
      get: (acctId) => this.heads.get(acctId),
      has: (acctId) => this.heads.has(acctId),
      reversed: (xactId, acctId) => this.#reversed.get(`${xactId} ${acctId}`) ?? Money.zero,
      details: (acctId) => this.records.get(acctId),
    }
    const ids = Array.from({ length: idsMax([request], heads, now) }, () => BalanceChangeId.make(this.#idNext++))
    const verdict = decide(request, heads, { now, ids, ledgerId, saltSeed: new Uint8Array(16) })
    if (Result.isFailure(verdict)) return { verdict: verdict.failure._tag, id: 0n }
    const { account, asides, changes } = verdict.success
    if (account !== null) this.records.set(account.acctId, account)
    for (const [acctId, head] of verdict.success.heads) this.heads.set(acctId, head)
    for (const change of [...asides, ...changes]) this.#append(change)
    return { verdict: "Done", id: changes[0]!.xactId }
  }

  #append(row: BalanceChange) {
    this.rows.push(row)
    if (row.reversesXactId !== null) {
      const name = `${row.reversesXactId} ${row.acctId}`
      this.#reversed.set(name, Money.sum(this.#reversed.get(name) ?? Money.zero, row.chgAmt))
    }
    const key = row.idemKey?.toHex()
    if (key === undefined) return
    assert.isFalse(this.#keys.has(key), `${key} was used twice`)
    this.#keys.set(key, row)
  }
}

/** Chance that a seed fixes (mulberry32). */
class Dice {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  /** From 0 to `sides - 1`. */
  roll(sides: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * sides)
  }
  oneIn(sides: number): boolean {
    return this.roll(sides) === 0
  }
  of<A>(values: ReadonlyArray<A>): A {
    return values[this.roll(values.length)]!
  }
}

const actors = ["teller-7", "teller-8"].map((name) => Actor.make(name))
const idOf = (index: number) => AccountId.make(`00000000-0000-4000-8000-${String(index).padStart(12, "0")}`)

/** Random requests about the accounts of a ledger. */
class Callers {
  readonly #dice: Dice
  readonly #ledger: Ledger
  readonly #asked: Array<Request> = []
  #accounts = 0
  #keys = 0

  constructor(dice: Dice, ledger: Ledger) {
    this.#dice = dice
    this.#ledger = ledger
  }

  next(now: bigint): Request {
    const dice = this.#dice
    if (this.#asked.length > 0 && dice.oneIn(12)) return this.#again(dice.of(this.#asked))
    const request: Request = {
      intent: this.#intent(now),
      actor: dice.of(actors),
      idempotencyKey: dice.oneIn(2) ? IdempotencyKey.make(`key-${this.#keys++}`) : null,
    }
    if (request.idempotencyKey !== null) this.#asked.push(request)
    return request
  }

  #intent(now: bigint): Intent {
    const dice = this.#dice
    if (this.#accounts < 10 || dice.oneIn(30)) return this.#opening()
    switch (dice.roll(12)) {
      case 0:
      case 1:
      case 2:
        return this.#placing(now)
      case 3:
      case 4:
      case 5:
        return this.#resolving(now)
      case 6:
        return this.#terms()
      case 7:
      case 8:
        return this.#reversing(now)
      default:
        return this.#transaction(now)
    }
  }

  /** The same request once more, perhaps with its amounts spelled otherwise; or its key for something else. */
  #again(request: Request): Request {
    const dice = this.#dice
    const { intent } = request
    if (dice.oneIn(5)) return { ...request, actor: dice.of(actors) }
    const isOther = dice.oneIn(3)
    switch (intent._tag) {
      case "OpenAccount":
        return isOther ? { ...request, intent: { ...intent, initialBalance: Money.Amount.make("77") } } : request
      case "ChangeTerms":
        return isOther ? { ...request, intent: { ...intent, reason: "another" } } : request
      case "ExpireHolds":
        return isOther ? { ...request, intent: { ...intent, acctId: idOf(999_999) } } : request
      case "PostTransaction": {
        const changes = intent.changes.map((change) => ({ ...change, amount: respelled(change.amount) }))
        return { ...request, intent: { ...intent, changes, ...(isOther ? { description: "another" } : {}) } }
      }
      default:
        return isOther ? { ...request, intent: { ...intent, description: "another" } } : request
    }
  }

  #opening(): OpenAccount {
    const dice = this.#dice
    const code = dice.of(["USD", "USD", "USD", "EUR", "JPY", "BHD", "CLF"])
    const isKnown = this.#accounts > 0 && dice.oneIn(10)
    const limit = dice.oneIn(4) ? null : dice.oneIn(2) ? "0" : this.#positive(code, 500)
    return {
      _tag: "OpenAccount",
      acctId: idOf(isKnown ? dice.roll(this.#accounts) : this.#accounts++),
      acctIdIsChosen: true,
      custName: "Ada Lovelace",
      custAddress: "London",
      owner: null,
      currency: Currency.make(code),
      scale: null,
      initialBalance: Money.Amount.make(
        dice.oneIn(8) ? this.#positive(code, enormous) : `${dice.oneIn(8) ? "-" : ""}${this.#positive(code, 2000)}`,
      ),
      overdraftLimit: limit === null ? null : fit(limit),
      reference: null,
      metadata: null,
    }
  }

  #transaction(now: bigint): PostTransaction {
    const dice = this.#dice
    const legs = dice.oneIn(3) ? 1 : 2 + dice.roll(4)
    const states = this.#accountsFor(legs)
    const amounts = states.map((head) => this.#signed(head?.currency ?? "USD"))
    // Mostly balanced in each currency: the last leg of a currency makes up for the others.
    if (legs > 1 && !dice.oneIn(12)) {
      for (const code of codes) {
        const places = states.flatMap((head, index) => (head?.currency === code ? [index] : []))
        if (places.length < 2) continue
        const sum = places.slice(0, -1).reduce((total, index) => total + unitsOf(amounts[index]!), 0n)
        const text = decimalOf(-sum, scales[code]!)
        if (sum !== 0n && sum <= most && sum >= -most) amounts[places.at(-1)!] = text
      }
    }
    return {
      _tag: "PostTransaction",
      changes: states.map((head, index) => this.#change(head, amounts[index]!)),
      ...this.#remarks(),
      effectiveTime: this.#effectiveTime(now),
    }
  }

  #placing(now: bigint): HoldIntent {
    const dice = this.#dice
    const head = this.#account()
    const text = this.#positive(head?.currency ?? "USD", dice.oneIn(12) ? enormous : 300)
    return {
      _tag: "PlaceHold",
      acctId: head?.acctId ?? idOf(999_999),
      amount: fit(text),
      expiry: this.#expiry(now),
      ...this.#expectation(head),
      ...this.#remarks(),
    }
  }

  #expiry(now: bigint): Expiry {
    const dice = this.#dice
    return dice.oneIn(4)
      ? { at: Timestamp.make(now + BigInt(dice.of([-1, 1, 90, 4000, 400 * 86_400])) * second) }
      : { ttl: dice.of([1, 5, 60, 60, 3600, 3600, 366 * 86_400]) }
  }

  /** Of the accounts that hold something, most often; of any hold, even one that has ended, now and then. */
  #resolving(now: bigint): HoldIntent {
    const dice = this.#dice
    const isMeetingExpired = dice.oneIn(10)
    const holders = [...this.#ledger.heads.values()].filter(({ openHolds }) =>
      openHolds.some(({ expiresAt }) => isMeetingExpired || expiresAt > now),
    )
    if (holders.length === 0) return this.#placing(now)
    if (dice.oneIn(12)) {
      return { _tag: "ExpireHolds", acctId: dice.oneIn(10) ? idOf(999_999) : dice.of(holders).acctId }
    }
    const old = this.#ledger.rows.filter(({ bchgId, holdId }) => holdId === bchgId)
    const past = dice.oneIn(15) ? dice.of(old) : undefined
    const head = past === undefined ? dice.of(holders) : this.#ledger.heads.get(past.acctId)!
    const live = head.openHolds.filter(({ expiresAt }) => expiresAt > now)
    const open = past === undefined ? dice.of(live.length > 0 && !dice.oneIn(8) ? live : head.openHolds) : undefined
    const code = head.currency
    const common = {
      acctId: head.acctId,
      holdId: past?.bchgId ?? open!.holdId,
      ...this.#expectation(head),
      ...this.#remarks(),
    }
    switch (dice.roll(5)) {
      case 0:
        return { _tag: "ReleaseHold", ...common }
      case 1:
        return {
          _tag: "IncreaseHold",
          amount: fit(this.#positive(code, 100)),
          expiry: dice.oneIn(2) ? this.#expiry(now) : null,
          ...common,
        }
      default: {
        const share = open === undefined || dice.oneIn(8) ? undefined : this.#share(open.held, code)
        const amount = dice.oneIn(3) ? null : fit(share ?? this.#positive(code, 300))
        const others = [...this.#ledger.heads.values()].filter(({ currency }) => currency === code || dice.oneIn(10))
        const to = dice.oneIn(2) ? (dice.oneIn(25) ? idOf(999_999) : (dice.of(others)?.acctId ?? null)) : null
        return {
          _tag: "CaptureHold",
          amount,
          isFinal: dice.oneIn(2),
          to,
          effectiveTime: this.#effectiveTime(now),
          ...common,
        }
      }
    }
  }

  /** Some of an amount, at least the smallest there is. */
  #share(of: bigint, code: string): string {
    const unit = 10n ** BigInt(8 - scales[code]!)
    const units = (of < 0n ? -of : of) / unit
    const share = (units * BigInt(1 + this.#dice.roll(4))) / 4n
    return decimalOf((share === 0n ? 1n : share) * unit, scales[code]!)
  }

  #terms(): ChangeTerms {
    const dice = this.#dice
    const isClosing = dice.oneIn(3)
    const empty = [...this.#ledger.heads.values()].filter(
      ({ acctStatus, balance }) => balance === 0n && acctStatus !== "closed",
    )
    const frozen = [...this.#ledger.heads.values()].filter(({ acctStatus }) => /frozen/.test(acctStatus))
    const wanted = isClosing ? empty : frozen
    const head = wanted.length > 0 && !dice.oneIn(4) ? dice.of(wanted) : this.#account()
    const code = head?.currency ?? "USD"
    // Frozen accounts are mostly thawed again, so that there are some to work with.
    const status = head !== undefined && head.acctStatus !== "open" ? "open" : dice.of(accountStatuses)
    return {
      _tag: "ChangeTerms",
      acctId: head?.acctId ?? idOf(999_999),
      acctStatus: isClosing ? "closed" : status === "closed" || dice.oneIn(3) ? undefined : status,
      overdraftLimit: dice.oneIn(2)
        ? undefined
        : dice.oneIn(6)
          ? null
          : fit(dice.oneIn(3) ? "0" : this.#positive(code, 500)),
      custName: dice.oneIn(4) ? "Augusta Ada King" : undefined,
      reason: dice.oneIn(2) ? "a court" : null,
      metadata: null,
      ...this.#expectation(head, false),
    }
  }

  #reversing(now: bigint): Intent {
    const dice = this.#dice
    const { heads, rows } = this.#ledger
    const candidates = rows.filter(({ chgAmt, chgFlavor, reversesXactId }) => {
      return chgAmt !== 0n && chgFlavor !== "INITIAL" && reversesXactId === null
    })
    if (candidates.length === 0) return this.#transaction(now)
    // Mostly something recent, so that it is taken back more than once.
    const recent = candidates.slice(dice.oneIn(4) ? 0 : -24)
    const isForced = dice.oneIn(2)
    // Credits that are spent: only force takes them back.
    const spent = candidates.filter(({ acctId, chgAmt }) => {
      const { balance, overdraftLimit } = heads.get(acctId)!
      return overdraftLimit !== null && chgAmt > balance + overdraftLimit
    })
    const { xactId } = dice.of(isForced && spent.length > 0 ? spent : recent)
    const original = candidates
      .filter((row) => row.xactId === xactId)
      .map(({ acctId, chgAmt, currency, effectiveTime }) => ({ acctId, chgAmt, currency, effectiveTime }))
    return {
      _tag: "ReverseTransaction",
      xactId,
      original,
      changes: dice.oneIn(2) ? null : this.#partly(original.map((leg) => ({ ...leg, head: heads.get(leg.acctId)! }))),
      isForced,
      effectiveTime: this.#effectiveTime(now),
      ...this.#remarks(),
    }
  }

  /** Of the only leg, or of two that go different ways in one currency, the same amount; or whatever. */
  #partly(
    legs: ReadonlyArray<{ readonly head: AccountState; readonly chgAmt: Money.Money }>,
  ): NonNullable<ReverseTransaction["changes"]> {
    const dice = this.#dice
    const one = dice.of(legs)
    const others = legs.filter(
      ({ chgAmt, head }) => head.currency === one.head.currency && chgAmt < 0n !== one.chgAmt < 0n,
    )
    const share = dice.oneIn(10) ? this.#positive(one.head.currency, 300) : this.#share(one.chgAmt, one.head.currency)
    const against = (amt: bigint) => (dice.oneIn(20) ? share : `${amt < 0n ? "" : "-"}${share}`)
    const chosen = others.length === 0 || dice.oneIn(15) ? [one] : [one, dice.of(others)]
    return chosen.map(({ chgAmt, head }) => this.#change(dice.oneIn(30) ? this.#account() : head, against(chgAmt)))
  }

  #account(): AccountState | undefined {
    return this.#dice.oneIn(30) ? undefined : this.#dice.of([...this.#ledger.heads.values()])
  }

  /** For a transfer, mostly different accounts of one currency. */
  #accountsFor(legs: number): Array<AccountState | undefined> {
    const dice = this.#dice
    const all = [...this.#ledger.heads.values()]
    if (legs === 1 || dice.oneIn(6)) {
      return Array.from({ length: legs }, () => (dice.oneIn(25) ? undefined : dice.of(all)))
    }
    const code = dice.of(all).currency
    const other = dice.oneIn(5) ? dice.of(all).currency : code
    const pool = all.filter(({ currency }) => currency === code || currency === other)
    const chosen: Array<AccountState> = []
    while (chosen.length < legs && pool.length > 0) chosen.push(...pool.splice(dice.roll(pool.length), 1))
    return chosen
  }

  #change(head: AccountState | undefined, amount: string): Change {
    // Now and then all there is, so that accounts become empty.
    const isAll = head !== undefined && head.balance !== 0n && this.#dice.oneIn(10)
    const text = isAll ? decimalOf(-head.balance, scales[head.currency]!) : amount
    return { acctId: head?.acctId ?? idOf(999_999), amount: fit(text), ...this.#expectation(head) }
  }

  #expectation(head: AccountState | undefined, mayRequire = true): Expectation {
    const dice = this.#dice
    const currency = dice.oneIn(60) ? Currency.make("EUR") : dice.oneIn(3) ? head?.currency : undefined
    const expectedSeq = dice.oneIn(60) ? (head?.acctSeq ?? 0) + 1 : dice.oneIn(3) ? head?.acctSeq : undefined
    if (!mayRequire || !dice.oneIn(8)) return { currency, expectedSeq }
    const bound = dice.oneIn(2) ? "0" : decimalOf(head?.balance ?? 0n, scales[head?.currency ?? "USD"]!)
    const condition = {
      subject: dice.of(conditionSubjects),
      comparison: dice.of(comparisons),
      amount: Money.Amount.make(bound),
    }
    return { currency, expectedSeq, require: [condition] }
  }

  #remarks() {
    return { reference: null, description: this.#dice.oneIn(2) ? "rent" : null, metadata: null }
  }

  #effectiveTime(now: bigint): Timestamp.Timestamp | undefined {
    if (this.#dice.oneIn(60)) return Timestamp.make(now + 3600n * second)
    return this.#dice.oneIn(4) ? Timestamp.make(now - BigInt(this.#dice.roll(1_000_000)) * second) : undefined
  }

  #positive(code: string, below: number): string {
    const scale = scales[code]! + (this.#dice.oneIn(80) && scales[code]! < 4 ? 1 : 0)
    const fraction = String(1 + this.#dice.roll(10 ** scale - 1)).padStart(scale, "0")
    const whole = below === enormous ? `${1 + this.#dice.roll(999_999)}99999999999999` : 1 + this.#dice.roll(below)
    return `${whole}${scale === 0 ? "" : `.${fraction}`}`
  }

  #signed(code: string): string {
    const dice = this.#dice
    return `${dice.oneIn(2) ? "-" : ""}${this.#positive(code, dice.oneIn(12) ? enormous : 300)}`
  }
}

/** Stands for amounts of up to 20 digits, near the end of the range. */
const enormous = Number.POSITIVE_INFINITY

const fit = (text: string) => Money.Amount.make(text) as Money.PositiveAmount

const respelled = (amount: Money.Amount): Money.PositiveAmount => fit(/\.\d{1,3}$/.test(amount) ? `${amount}0` : amount)

/** A decimal string, by inserting the point. */
const decimalOf = (value: bigint, scale: number): string => {
  const digits = String(value < 0n ? -value : value).padStart(9, "0")
  // More decimals than the currency has are kept where they say something: then the request is a bad one.
  const fraction = digits.slice(-8).replace(new RegExp(`0{0,${8 - scale}}$`), "")
  return `${value < 0n ? "-" : ""}${digits.slice(0, -8)}${fraction === "" ? "" : `.${fraction}`}`
}

const steps = 2200

/** Every chain from its first row: storable, dense, linked, in time, summed and sealed; and its holds. */
const assertChains = (ledger: Ledger, model: Model, seed: string) => {
  const ids = new Set(ledger.rows.map(({ bchgId }) => bchgId))
  assert.strictEqual(ids.size, ledger.rows.length, seed)
  const chains = Map.groupBy(ledger.rows, ({ acctId }) => acctId)
  assert.deepStrictEqual([...chains.keys()].toSorted(), [...model.books.keys()].toSorted(), seed)
  for (const [acctId, chain] of chains) {
    const where = `${seed}, account ${acctId}`
    let balance = 0n
    let held = 0n
    let hash = genesisHash(ledgerId, AccountId.make(acctId))
    let holds: ReadonlyArray<OpenHold> = noHolds
    chain.forEach((row, index) => {
      const before = index === 0 ? undefined : chain[index - 1]
      const { chgHash, ...unsealed } = row
      assertStorable(row, where)
      balance += row.chgAmt
      held += row.heldAmt
      assert.strictEqual(row.acctSeq, index, where)
      assert.strictEqual(row.prevBchgId, before?.bchgId ?? null, where)
      assert.strictEqual(row.balance, balance, where)
      assert.strictEqual(row.held, held, where)
      assert.strictEqual(seal(unsealed, hash).chgHash.toHex(), chgHash.toHex(), where)
      if (before !== undefined) {
        assert.isTrue(row.chgCreateTime > before.chgCreateTime, where)
        assert.notStrictEqual(before.acctStatus, "closed", where)
      }
      if (row.chgFlavor === "CAPTURE") {
        const { expiresAt } = holds.find(({ holdId }) => holdId === row.holdId)!
        assert.isTrue(row.chgCreateTime < expiresAt, where)
      }
      holds = holdsAfter(holds, row)
      hash = chgHash
    })
    assert.strictEqual(chain.length, model.books.get(acctId)!.rows, where)
    assert.deepStrictEqual(byId(ledger.heads.get(acctId)!.openHolds), byId(holds), where)
  }
}

const byId = (holds: ReadonlyArray<OpenHold>) => new Map(holds.map((hold) => [hold.holdId, hold]))

/** No transaction of several changes makes or loses money, so what is there is what came in from outside. */
const assertConserved = (ledger: Ledger, model: Model, seed: string) => {
  const currencyOf = (acctId: AccountId) => ledger.heads.get(acctId)!.currency
  const moving = ledger.rows.filter(({ chgAmt }) => chgAmt !== 0n)
  for (const legs of Map.groupBy(moving, ({ xactId }) => xactId).values()) {
    if (legs.length === 1) continue
    for (const [currency, group] of Map.groupBy(legs, ({ acctId }) => currencyOf(acctId))) {
      assert.strictEqual(
        group.reduce((sum, { chgAmt }) => sum + chgAmt, 0n),
        0n,
        `${seed}, ${currency}`,
      )
    }
  }
  for (const code of codes) {
    const states = [...ledger.heads.values()].filter(({ currency }) => currency === code)
    const total = states.reduce((sum, { balance }) => sum + balance, 0n)
    assert.strictEqual(total, model.inflow.get(code) ?? 0n, `${seed}, ${code}`)
  }
}

/** All that was taken back of a transaction is on no account more than it did there. */
const assertNeverMoreTakenBack = (ledger: Ledger, seed: string) => {
  const taken = ledger.rows.filter(({ reversesXactId }) => reversesXactId !== null)
  const groups = Map.groupBy(taken, ({ acctId, reversesXactId }) => `${reversesXactId} ${acctId}`)
  for (const [name, rows] of groups) {
    const [{ acctId, reversesXactId }] = rows as [BalanceChange]
    const original = ledger.rows.find(
      (row) => row.xactId === reversesXactId && row.acctId === acctId && row.chgAmt !== 0n,
    )!
    const back = rows.reduce((sum, { chgAmt }) => sum + chgAmt, 0n)
    assert.isTrue(original.chgAmt < 0n ? back <= -original.chgAmt : back >= -original.chgAmt, `${seed}, ${name}`)
    for (const { chgAmt } of rows) assert.notStrictEqual(chgAmt < 0n, original.chgAmt < 0n, `${seed}, ${name}`)
  }
}

const verdicts = [
  "Done",
  "Replayed",
  "IdempotencyKeyReused",
  "AccountAlreadyExists",
  "SameAccount",
  "AccountNotFound",
  "AccountClosed",
  "AccountFrozen",
  "CurrencyMismatch",
  "ScaleExceeded",
  "Unbalanced",
  "VersionConflict",
  "AmountOutOfRange",
  "InsufficientFunds",
  "ConditionNotMet",
  "HoldEnded",
  "HoldExpired",
  "NothingExpired",
  "CaptureExceedsHold",
  "ExpiryOutOfRange",
  "AccountNotEmpty",
  "OverdraftInUse",
  "AlreadyReversed",
  "ReversalExceedsTransaction",
  "ExchangeReversedInPart",
  "EffectiveTimeOutOfRange",
]

const done = [
  "OpenAccount",
  "PostTransaction",
  "PlaceHold",
  "IncreaseHold",
  "CaptureHold",
  "ReleaseHold",
  "ExpireHolds",
  "ChangeTerms",
  "ReverseTransaction",
  "closed",
  "aside RELEASE",
  "aside TERMS",
].map((name) => `Done: ${name}`)

/** It stands still, goes on, is set back, and now and then so much time goes by that holds expire. */
const passTime = (dice: Dice, clock: bigint): bigint => {
  if (dice.oneIn(20)) return clock - BigInt(dice.roll(1_000_000))
  if (dice.oneIn(80)) return clock + BigInt(dice.roll(4000)) * second
  return clock + BigInt(dice.oneIn(10) ? dice.roll(5_000_000) : dice.roll(3))
}

const textOf = (request: Request) =>
  JSON.stringify(request, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))

/** What both say, by how often; fails where they differ. */
const compareOn = (number: number): ReadonlyMap<string, number> => {
  const seed = `seed ${number}`
  const dice = new Dice(number)
  const ledger = new Ledger()
  const model = new Model()
  const callers = new Callers(dice, ledger)
  const seen = new Map<string, number>()
  const count = (name: string) => seen.set(name, (seen.get(name) ?? 0) + 1)
  let clock = 1_795_426_200_000_000n
  for (let step = 0; step < steps; step++) {
    clock = passTime(dice, clock)
    const request = callers.next(clock)
    const rowsBefore = ledger.rows.length
    const times = new Map<string, bigint>([...ledger.heads].map(([acctId, head]) => [acctId, head.chgCreateTime]))
    const { id, verdict } = ledger.submit(request, Timestamp.make(clock))
    const expected = model.submit(request, { now: clock, timeOf: (acctId) => times.get(acctId)!, id })
    const where = `${seed}, step ${step}: ${textOf(request)}`
    if (verdict !== expected) assert.fail(`the ledger says ${verdict}, the model ${expected}, at ${where}`)
    const written = ledger.rows.slice(rowsBefore)
    assert.strictEqual(written.length > 0, verdict === "Done", where)
    assert.strictEqual(ledger.heads.size, model.books.size, where)
    // The others, in which nothing can have changed, are looked at now and then.
    for (const acctId of step % 50 === 0 ? ledger.heads.keys() : written.map((row) => row.acctId)) {
      assert.deepStrictEqual(inTheBooks(ledger.heads.get(acctId)!), bookOf(model.books.get(acctId)!), where)
    }
    count(verdict)
    if (verdict !== "Done") continue
    count(`Done: ${request.intent._tag}`)
    for (const { chgFlavor, xactId } of written) if (xactId !== id) count(`Done: aside ${chgFlavor}`)
    if (written.at(-1)!.acctStatus === "closed") count("Done: closed")
  }
  assertChains(ledger, model, seed)
  assertConserved(ledger, model, seed)
  assertNeverMoreTakenBack(ledger, seed)
  return seen
}

describe("the ledger and the model", () => {
  const seeds = [1, 2, 20_261_123, 0xffff_ffff]
  const seen = new Map<number, ReadonlyMap<string, number>>()
  const seenOf = (seed: number) => {
    const known = seen.get(seed) ?? compareOn(seed)
    seen.set(seed, known)
    return known
  }

  it.each(seeds)("agree on what seed %i asks for", (seed) =>
    assert.isAtLeast(seenOf(seed).get("Done")!, steps / 3, JSON.stringify(Object.fromEntries(seenOf(seed)))),
  )

  it.each([...verdicts, ...done])("have met %s", (name) =>
    assert.isAtLeast(
      seeds.reduce((sum, seed) => sum + (seenOf(seed).get(name) ?? 0), 0),
      4,
    ),
  )
})

const inTheBooks = ({ acctSeq, acctStatus, balance, currency, held, openHolds, overdraftLimit }: AccountState) => ({
  currency: currency as string,
  balance: balance as bigint,
  held: held as bigint,
  limit: overdraftLimit ?? undefined,
  status: acctStatus,
  rows: acctSeq + 1,
  holds: new Map(openHolds.map(({ expiresAt, held, holdId }) => [holdId as bigint, [held, expiresAt]])),
})

const bookOf = ({ holds, ...book }: Book) => ({
  ...book,
  held: heldIn(holds),
  holds: new Map(holds.map(({ expires, id, left }) => [id, [left, expires]])),
})
