/**
 * The ledger in memory, held against a model that knows nothing of rows, hashes or `Money`: a few maps, and the rules
 * written down once more in the plainest way. What both say of thousands of random requests has to agree.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { AccountId } from "../src/AccountId.ts"
import type { Account } from "../src/Account.ts"
import { type AccountState, type AccountStatus, accountStatuses, afterChange } from "../src/AccountState.ts"
import { Actor } from "../src/Actor.ts"
import type { BalanceChange } from "../src/BalanceChange.ts"
import { BalanceChangeId } from "../src/BalanceChangeId.ts"
import { genesisHash, seal } from "../src/ChangeHash.ts"
import { Currency } from "../src/Currency.ts"
import { decide } from "../src/Decide.ts"
import { IdempotencyKey, idemKeyOf, requestHash } from "../src/Idempotency.ts"
import { type Change, type OpenAccount, type PostTransaction, type Request, rowCount } from "../src/Intent.ts"
import * as Money from "../src/Money.ts"
import * as Timestamp from "../src/Timestamp.ts"

/** Ten-thousandths, digit by digit. */
const tenThousandths = (text: string): bigint => {
  const [whole, fraction = ""] = text.replace("-", "").split(".")
  let value = 0n
  for (const digit of whole + `${fraction}0000`.slice(0, 4)) value = value * 10n + BigInt("0123456789".indexOf(digit))
  return text.startsWith("-") ? -value : value
}

const most = 999_999_999_999_999_999n
const scales: Record<string, number> = { USD: 2, EUR: 2, JPY: 0, BHD: 3, CLF: 4 }
const codes = Object.keys(scales)

type Asked = Request<OpenAccount | PostTransaction>

class Model {
  readonly balance = new Map<string, bigint>()
  readonly held = new Map<string, bigint>()
  /** `undefined`: without limit. */
  readonly limit = new Map<string, bigint | undefined>()
  readonly currency = new Map<string, string>()
  readonly status = new Map<string, AccountStatus>()
  readonly rows = new Map<string, number>()
  readonly keys = new Map<string, string>()
  /** What came into the ledger from outside, by currency: openings and single changes. */
  readonly inflow = new Map<string, bigint>()

  submit(request: Asked): string {
    const key = request.idempotencyKey === null ? null : JSON.stringify([request.actor, request.idempotencyKey])
    const asked = Model.#said(request)
    if (key !== null && this.keys.has(key)) return this.keys.get(key) === asked ? "Replayed" : "IdempotencyKeyReused"
    const verdict = this.#judge(request)
    if (verdict === "Done" && key !== null) this.keys.set(key, asked)
    return verdict
  }

  /** The request in words, amounts by value. */
  static #said({ intent }: Asked): string {
    if (intent._tag === "OpenAccount") {
      const { acctId, currency, initialBalance, overdraftLimit } = intent
      const limit = overdraftLimit === null ? "none" : String(tenThousandths(overdraftLimit))
      return JSON.stringify(["open", acctId, currency, String(tenThousandths(initialBalance)), limit])
    }
    const changes = intent.changes.map((change) => ({ ...change, amount: String(tenThousandths(change.amount)) }))
    return JSON.stringify(["post", changes, intent.description])
  }

  #judge({ intent }: Asked): string {
    if (intent._tag === "OpenAccount") {
      const { acctId, currency, initialBalance, overdraftLimit } = intent
      if (this.balance.has(acctId)) return "AccountAlreadyExists"
      for (const text of [initialBalance, overdraftLimit ?? "0"]) {
        if ((text.split(".")[1] ?? "").length > scales[currency]!) return "ScaleExceeded"
      }
      const limit = overdraftLimit === null ? undefined : tenThousandths(overdraftLimit)
      const balance = tenThousandths(initialBalance)
      if (limit !== undefined && balance + limit < 0n) return "InsufficientFunds"
      this.balance.set(acctId, balance)
      this.held.set(acctId, 0n)
      this.limit.set(acctId, limit)
      this.currency.set(acctId, currency)
      this.status.set(acctId, "open")
      this.rows.set(acctId, 1)
      this.#flow(currency, balance)
      return "Done"
    }
    const { changes } = intent
    for (let i = 0; i < changes.length; i++) {
      for (let j = 0; j < i; j++) if (changes[i]!.acctId === changes[j]!.acctId) return "SameAccount"
    }
    for (const { acctId } of changes) if (!this.balance.has(acctId)) return "AccountNotFound"
    for (const { acctId, amount } of changes) {
      const status = this.status.get(acctId)
      if (status === "closed") return "AccountClosed"
      if (status === "frozen") return "AccountFrozen"
      if (status === "debits_frozen" && tenThousandths(amount) < 0n) return "AccountFrozen"
      if (status === "credits_frozen" && tenThousandths(amount) > 0n) return "AccountFrozen"
    }
    for (const { acctId, amount, currency } of changes) {
      if (currency !== undefined && currency !== this.currency.get(acctId)) return "CurrencyMismatch"
      if ((amount.split(".")[1] ?? "").length > scales[this.currency.get(acctId)!]!) return "ScaleExceeded"
    }
    if (changes.length > 1) {
      for (const code of codes) {
        if (changes.filter(({ acctId }) => this.currency.get(acctId) === code).length === 1) return "CurrencyMismatch"
      }
      for (const code of codes) {
        let sum = 0n
        for (const { acctId, amount } of changes) {
          if (this.currency.get(acctId) === code) sum += tenThousandths(amount)
        }
        if (sum !== 0n) return "Unbalanced"
      }
    }
    for (const { acctId, expectedSeq } of changes) {
      if (expectedSeq !== undefined && expectedSeq !== this.rows.get(acctId)! - 1) return "VersionConflict"
    }
    for (const { acctId, amount } of changes) {
      const after = this.balance.get(acctId)! + tenThousandths(amount)
      if (after > most || after < -most) return "AmountOutOfRange"
    }
    for (const { acctId, amount } of changes) {
      const limit = this.limit.get(acctId)
      const after = this.balance.get(acctId)! + tenThousandths(amount) - this.held.get(acctId)!
      if (limit !== undefined && after < -limit) return "InsufficientFunds"
    }
    for (const { acctId, amount } of changes) {
      this.balance.set(acctId, this.balance.get(acctId)! + tenThousandths(amount))
      this.rows.set(acctId, this.rows.get(acctId)! + 1)
      if (changes.length === 1) this.#flow(this.currency.get(acctId)!, tenThousandths(amount))
    }
    return "Done"
  }

  #flow(currency: string, amount: bigint) {
    this.inflow.set(currency, (this.inflow.get(currency) ?? 0n) + amount)
  }
}

const ledgerId = "0192f0c1-7a5e-7c4b-9d21-3f6a8b0c1d2e"

/** What surrounds `decide` in a ledger: it looks up keys and heads, and appends. */
class Ledger {
  readonly heads = new Map<AccountId, AccountState>()
  readonly accounts = new Map<AccountId, Account>()
  readonly rows: Array<BalanceChange> = []
  readonly #keys = new Map<string, BalanceChange>()
  #idNext = 1n

  submit(request: Request, now: Timestamp.Timestamp): string {
    const key = idemKeyOf(request)
    const row = key === null ? undefined : this.#keys.get(key)
    if (row !== undefined) {
      return row.requestHash?.toHex() === requestHash(request.intent).toHex() ? "Replayed" : "IdempotencyKeyReused"
    }
    const ids = Array.from({ length: rowCount(request.intent) }, () => BalanceChangeId.make(this.#idNext++))
    const verdict = decide(request, this.heads, { now, ids, ledgerId })
    if (Result.isFailure(verdict)) return verdict.failure._tag
    const { account, changes, heads } = verdict.success
    if (account !== null) this.accounts.set(account.acctId, account)
    for (const [acctId, head] of heads) this.heads.set(acctId, head)
    for (const change of changes) this.#append(change)
    return "Done"
  }

  /** A row that no intent makes yet: other terms, or money held. */
  write(
    chgFlavor: "TERMS" | "HOLD",
    head: AccountState,
    other: Partial<Pick<BalanceChange, "acctStatus" | "heldAmt" | "held">>,
  ) {
    const id = BalanceChangeId.make(this.#idNext++)
    const time = Timestamp.make(head.chgCreateTime + 1n)
    const row = seal(
      {
        bchgId: id,
        acctId: head.acctId,
        acctSeq: head.acctSeq + 1,
        chgFlavor,
        prevBchgId: head.bchgId,
        chgAmt: Money.zero,
        balance: head.balance,
        heldAmt: Money.zero,
        held: head.held,
        overdraftLimit: head.overdraftLimit,
        acctStatus: head.acctStatus,
        xactId: id,
        holdId: chgFlavor === "HOLD" ? id : null,
        holdExpiresAt: chgFlavor === "HOLD" ? Timestamp.make(time + 1_000_000_000_000n) : null,
        reversesXactId: null,
        description: null,
        metadata: null,
        idemKey: null,
        requestHash: null,
        actor: Actor.make("bank"),
        effectiveTime: time,
        chgCreateTime: time,
        ...other,
      },
      head.chgHash,
    )
    this.heads.set(head.acctId, afterChange(row, head.currency))
    this.#append(row)
  }

  #append(row: BalanceChange) {
    this.rows.push(row)
    if (row.idemKey === null) return
    assert.isFalse(this.#keys.has(row.idemKey), `${row.idemKey} was used twice`)
    this.#keys.set(row.idemKey, row)
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
  readonly #asked: Array<Asked> = []
  #accounts = 0
  #keys = 0

  constructor(dice: Dice, ledger: Ledger) {
    this.#dice = dice
    this.#ledger = ledger
  }

  next(): Asked {
    const dice = this.#dice
    if (this.#asked.length > 0 && dice.oneIn(12)) return this.#again(dice.of(this.#asked))
    const request: Asked = {
      intent: this.#accounts < 10 || dice.oneIn(25) ? this.#opening() : this.#transaction(),
      actor: dice.of(actors),
      idempotencyKey: dice.oneIn(2) ? IdempotencyKey.make(`key-${this.#keys++}`) : null,
    }
    if (request.idempotencyKey !== null) this.#asked.push(request)
    return request
  }

  /** The same request once more, perhaps with its amounts spelled otherwise; or its key for something else. */
  #again(request: Asked): Asked {
    const dice = this.#dice
    const { intent } = request
    if (dice.oneIn(5)) return { ...request, actor: dice.of(actors) }
    if (intent._tag === "OpenAccount") {
      return dice.oneIn(3) ? { ...request, intent: { ...intent, initialBalance: Money.Amount.make("77") } } : request
    }
    if (dice.oneIn(3)) return { ...request, intent: { ...intent, description: "another" } }
    const changes = intent.changes.map((change) => {
      const spelling = /\.\d{1,3}$/.test(change.amount) ? `${change.amount}0` : change.amount
      return { ...change, amount: Money.Amount.make(spelling) }
    })
    return { ...request, intent: { ...intent, changes } }
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
      currency: Currency.make(code),
      initialBalance: Money.Amount.make(
        dice.oneIn(8)
          ? this.#positive(code, 99_999_999_999_999)
          : `${dice.oneIn(8) ? "-" : ""}${this.#positive(code, 2000)}`,
      ),
      overdraftLimit: limit === null ? null : Money.Amount.make(limit),
      metadata: null,
    }
  }

  #transaction(): PostTransaction {
    const dice = this.#dice
    const legs = dice.oneIn(3) ? 1 : 2 + dice.roll(4)
    const states = this.#accountsFor(legs)
    const amounts = states.map((head) => this.#signed(head?.currency ?? "USD"))
    // Mostly balanced in each currency: the last leg of a currency makes up for the others.
    if (legs > 1 && !dice.oneIn(12)) {
      for (const code of codes) {
        const places = states.flatMap((head, index) => (head?.currency === code ? [index] : []))
        if (places.length < 2) continue
        const sum = places.slice(0, -1).reduce((total, index) => total + tenThousandths(amounts[index]!), 0n)
        const text = decimalOf(-sum, scales[code]!)
        if (sum !== 0n && sum <= most && sum >= -most) amounts[places.at(-1)!] = text
      }
    }
    return {
      _tag: "PostTransaction",
      changes: states.map((head, index) => this.#change(head, amounts[index]!)),
      description: dice.oneIn(2) ? "rent" : null,
      metadata: null,
    }
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
    const dice = this.#dice
    const currency = dice.oneIn(60) ? Currency.make("EUR") : dice.oneIn(3) ? head?.currency : undefined
    const expectedSeq = dice.oneIn(60) ? (head?.acctSeq ?? 0) + 1 : dice.oneIn(3) ? head?.acctSeq : undefined
    return { acctId: head?.acctId ?? idOf(999_999), amount: Money.Amount.make(amount), currency, expectedSeq }
  }

  #positive(code: string, below: number): string {
    const scale = scales[code]! + (this.#dice.oneIn(80) && scales[code]! < 4 ? 1 : 0)
    const fraction = String(1 + this.#dice.roll(10 ** scale - 1)).padStart(scale, "0")
    return `${1 + this.#dice.roll(below)}${scale === 0 ? "" : `.${fraction}`}`
  }

  #signed(code: string): string {
    const dice = this.#dice
    return `${dice.oneIn(2) ? "-" : ""}${this.#positive(code, dice.oneIn(20) ? 99_999_999_999_999 : 300)}`
  }
}

/** A decimal string, by inserting the point. */
const decimalOf = (value: bigint, scale: number): string => {
  const digits = String(value < 0n ? -value : value).padStart(5, "0")
  // More decimals than the currency has are kept where they say something: then the request is a bad one.
  const fraction = digits.slice(-4).replace(new RegExp(`0{0,${4 - scale}}$`), "")
  return `${value < 0n ? "-" : ""}${digits.slice(0, -4)}${fraction === "" ? "" : `.${fraction}`}`
}

/** Other terms and holds, which come from elsewhere, to both at once. */
const intervene = (dice: Dice, ledger: Ledger, model: Model) => {
  const head = dice.of([...ledger.heads.values()])
  const { acctId } = head
  if (dice.oneIn(2)) {
    const acctStatus = dice.of<AccountStatus>([...accountStatuses, "open", "open", "open", "open"])
    ledger.write("TERMS", head, { acctStatus })
    model.status.set(acctId, acctStatus)
  } else {
    const spendable = model.balance.get(acctId)! - model.held.get(acctId)! + (model.limit.get(acctId) ?? 0n)
    // Whole units, which every currency has; nothing where nothing can be held.
    const units =
      spendable >= 10_000n ? BigInt(dice.roll(Number(spendable / 10_000n > 50n ? 50n : spendable / 10_000n))) : 0n
    const held = model.held.get(acctId)! + units * 10_000n
    ledger.write("HOLD", head, { heldAmt: Money.make(units * 10_000n), held: Money.make(held) })
    model.held.set(acctId, held)
  }
  model.rows.set(acctId, model.rows.get(acctId)! + 1)
}

const steps = 1200

/** Every chain from its first row: dense, linked, in time, summed and sealed. */
const assertChains = (ledger: Ledger, model: Model, seed: string) => {
  const ids = new Set(ledger.rows.map(({ bchgId }) => bchgId))
  assert.strictEqual(ids.size, ledger.rows.length, seed)
  const chains = Map.groupBy(ledger.rows, ({ acctId }) => acctId)
  assert.deepStrictEqual([...chains.keys()].toSorted(), [...model.balance.keys()].toSorted(), seed)
  for (const [acctId, chain] of chains) {
    const where = `${seed}, account ${acctId}`
    let balance = 0n
    let held = 0n
    let hash = genesisHash(ledgerId, ledger.accounts.get(acctId)!)
    chain.forEach((row, index) => {
      const before = index === 0 ? undefined : chain[index - 1]
      const { chgHash, ...unsealed } = row
      balance += row.chgAmt
      held += row.heldAmt
      assert.strictEqual(row.acctSeq, index, where)
      assert.strictEqual(row.prevBchgId, before?.bchgId ?? null, where)
      assert.strictEqual(row.balance, balance, where)
      assert.strictEqual(row.held, held, where)
      assert.strictEqual(seal(unsealed, hash).chgHash.toHex(), chgHash.toHex(), where)
      if (before !== undefined) assert.isTrue(row.chgCreateTime > before.chgCreateTime, where)
      if (row.overdraftLimit !== null) assert.isTrue(row.balance - row.held + row.overdraftLimit >= 0n, where)
      hash = chgHash
    })
    assert.strictEqual(chain.length, model.rows.get(acctId), where)
  }
}

/** No transaction of several changes makes or loses money, so what is there is what came in from outside. */
const assertConserved = (ledger: Ledger, model: Model, seed: string) => {
  const currencyOf = (acctId: AccountId) => ledger.accounts.get(acctId)!.currency
  for (const legs of Map.groupBy(ledger.rows, ({ xactId }) => xactId).values()) {
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
]

describe("the ledger and the model", () => {
  it.each([1, 2, 20_261_123, 0xffff_ffff])("agree on what seed %i asks for", (number) => {
    const seed = `seed ${number}`
    const dice = new Dice(number)
    const ledger = new Ledger()
    const model = new Model()
    const callers = new Callers(dice, ledger)
    const seen = new Map<string, number>()
    let clock = 1_795_426_200_000_000n
    for (let step = 0; step < steps; step++) {
      if (ledger.heads.size > 0 && dice.oneIn(15)) intervene(dice, ledger, model)
      // The clock is set back now and then, and sometimes it stands still.
      clock += BigInt(dice.oneIn(20) ? -dice.roll(1_000_000) : dice.roll(3))
      const request = callers.next()
      const rowsBefore = ledger.rows.length
      const expected = model.submit(request)
      const verdict = ledger.submit(request, Timestamp.make(clock))
      const where = `${seed}, step ${step}`
      if (verdict !== expected) {
        const words = JSON.stringify(request, (_, value: unknown) =>
          typeof value === "bigint" ? String(value) : value,
        )
        assert.fail(`${where}: the ledger says ${verdict}, the model ${expected}, of ${words}`)
      }
      assert.strictEqual(ledger.rows.length - rowsBefore, verdict === "Done" ? rowCount(request.intent) : 0, where)
      assert.strictEqual(ledger.heads.size, model.balance.size, where)
      for (const [acctId, { acctSeq, balance }] of ledger.heads) {
        if (balance !== model.balance.get(acctId) || acctSeq !== model.rows.get(acctId)! - 1) {
          assert.fail(`${where}: account ${acctId} has ${balance}, in the model ${model.balance.get(acctId)}`)
        }
      }
      seen.set(verdict, (seen.get(verdict) ?? 0) + 1)
    }
    const counts = JSON.stringify([...seen])
    for (const verdict of verdicts)
      assert.isAtLeast(seen.get(verdict) ?? 0, 1, `${seed} meets no ${verdict}: ${counts}`)
    assert.isAtLeast(seen.get("Done")!, steps / 4, `${seed}: ${counts}`)
    assert.strictEqual(
      [...seen.values()].reduce((a, b) => a + b),
      steps,
    )
    assertChains(ledger, model, seed)
    assertConserved(ledger, model, seed)
  })
})
