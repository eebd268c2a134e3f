/** Rows in the making: each follows the account's row before it, is sealed, and becomes the account's new head. */
import type { AccountDetails, AccountRecord } from "../account/Account.ts"
import type { AccountId } from "../account/AccountId.ts"
import { type AccountState, afterChange } from "../account/AccountState.ts"
import type { AccountStatus } from "../account/AccountStatus.ts"
import type { ChgFlavor } from "../chain/BalanceChange.ts"
import type { BalanceChangeId, TransactionId } from "../chain/BalanceChangeId.ts"
import { seal, type SealedChange } from "../chain/ChangeHash.ts"
import * as Money from "../money/Money.ts"
import { idemKeyOf, isWordy, requestHash } from "../request/Idempotency.ts"
import type { Remarks, Request } from "../request/Intent.ts"
import { detailsHash, hasTexts, metadataOrNull, saltOf, textsHash } from "../text/Texts.ts"
import * as Timestamp from "../time/Timestamp.ts"
import type { Decision, Stamp } from "./Decision.ts"

/** What a row does to its account; what is not said stays as it is. */
export interface Move {
  readonly chgFlavor: ChgFlavor
  readonly chgAmt: Money.Money
  readonly heldAmt: Money.Money
  /** `"own"`: the row is the first of a hold. */
  readonly holdId?: BalanceChangeId | "own"
  readonly holdExpiresAt?: Timestamp.Timestamp
  /** `null`: without limit. */
  readonly overdraftLimit?: Money.Money | null
  readonly acctStatus?: AccountStatus
}

/** What all rows of a transaction have in common. */
export interface TransactionSaid extends Remarks {
  /** A time that is later than the row itself, as clocks differ, counts as its own. */
  readonly effectiveTime?: Timestamp.Timestamp | undefined
  readonly valueDate?: string | undefined
  readonly reversesXactId?: TransactionId
  /** What is said of the account from this row on. */
  readonly details?: AccountDetails | null
}

export const nothingSaid: TransactionSaid = { reference: null, description: null, metadata: null }

/**
 * The instant that a request about these accounts is judged at: now, but later than the newest row of each account, whatever
 * the clock says.
 */
export const instantOf = (
  heads: Iterable<Pick<AccountState, "chgCreateTime">>,
  now: Timestamp.Timestamp,
): Timestamp.Timestamp => {
  let latest = now
  for (const { chgCreateTime } of heads) if (chgCreateTime >= latest) latest = Timestamp.make(chgCreateTime + 1n)
  return latest
}

/** A row before its transaction is known as a whole. */
interface Planned {
  readonly head: AccountState
  readonly move: Move
  readonly said: TransactionSaid
}

/** What the rows of one transaction share. */
interface Transaction {
  readonly xactId: TransactionId
  readonly xactRows: number
  readonly textsSalt: Uint8Array | null
  readonly textsHash: Uint8Array | null
  readonly detailsHash: Uint8Array | null
}

export class Draft {
  readonly #request: Request
  readonly #stamp: Stamp
  readonly #asides: Array<Planned> = []
  readonly #changes: Array<Planned> = []
  readonly #heads = new Map<AccountId, AccountState>()
  #time: Timestamp.Timestamp
  #used: number
  #account: AccountRecord | null = null

  /** `instant`: later than the newest row of each account that is to get rows. */
  constructor(request: Request, stamp: Stamp, instant: Timestamp.Timestamp) {
    this.#request = request
    this.#stamp = stamp
    this.#time = instant
    this.#used = stamp.idsFrom ?? 0
  }

  /** A row in a transaction of its own, before those of the request. */
  aside(head: AccountState, move: Move, said: Partial<TransactionSaid> = {}): void {
    this.#asides.push({ head, move, said: { ...nothingSaid, ...said } })
  }

  /** The next row of the transaction. An account that has one already gets its second a microsecond later. */
  change(head: AccountState, move: Move, said: TransactionSaid): void {
    this.#changes.push({ head, move, said })
  }

  decision(): Decision {
    const asides = this.#asides.map((planned) => {
      const id = this.#nextId()
      const row = this.#seal(planned, id, this.#transactionOf(planned, id, 1), false)
      this.#tick()
      return row
    })
    let transaction: Transaction | undefined
    const changes = this.#changes.map((planned) => {
      const id = this.#nextId()
      const isFirst = transaction === undefined
      transaction ??= this.#transactionOf(planned, id, this.#changes.length)
      if (this.#headOf(planned.head).chgCreateTime >= this.#time) this.#tick()
      return this.#seal(planned, id, transaction, isFirst)
    })
    return { changes, asides, heads: this.#heads, account: this.#account }
  }

  #transactionOf({ head, said }: Planned, id: BalanceChangeId, xactRows: number): Transaction {
    const isSaid = hasTexts(said)
    const details = said.details ?? null
    const salt = isSaid || details !== null ? saltOf(this.#stamp.saltSeed, id) : null
    if (details !== null) {
      const { acctId, acctSeq } = this.#headOf(head)
      this.#account = { ...details, acctId, acctSeq: acctSeq + 1, salt: salt! }
    }
    return {
      xactId: id,
      xactRows,
      textsSalt: salt,
      textsHash: isSaid ? textsHash(said, salt!) : null,
      detailsHash: details === null ? null : detailsHash(details, salt!),
    }
  }

  #tick() {
    this.#time = Timestamp.make(this.#time + 1n)
  }

  #headOf(head: AccountState): AccountState {
    return this.#heads.get(head.acctId) ?? head
  }

  /** `isFirst`: the row bears the key of the request. */
  #seal({ head: before, move, said }: Planned, id: BalanceChangeId, transaction: Transaction, isFirst: boolean) {
    const head = this.#headOf(before)
    const { intent } = this.#request
    const idemKey = isFirst ? idemKeyOf(this.#request) : null
    const row: SealedChange = seal(
      {
        bchgId: id,
        acctId: head.acctId,
        acctSeq: head.acctSeq + 1,
        chgFlavor: move.chgFlavor,
        prevBchgId: head.bchgId,
        owner: head.owner,
        currency: head.currency,
        scale: head.scale,
        chgAmt: move.chgAmt,
        balance: Money.sum(head.balance, move.chgAmt),
        heldAmt: move.heldAmt,
        held: Money.sum(head.held, move.heldAmt),
        overdraftLimit: move.overdraftLimit === undefined ? head.overdraftLimit : move.overdraftLimit,
        acctStatus: move.acctStatus ?? head.acctStatus,
        isForced: false,
        holdId: move.holdId === "own" ? id : (move.holdId ?? null),
        holdExpiresAt: move.holdExpiresAt ?? null,
        reversesXactId: said.reversesXactId ?? null,
        reference: said.reference,
        description: said.description,
        metadata: metadataOrNull(said.metadata),
        idemKey,
        requestHash: idemKey === null ? null : requestHash(intent, isWordy(intent) ? transaction.textsSalt : null),
        actor: this.#request.actor,
        effectiveTime:
          said.effectiveTime === undefined || said.effectiveTime > this.#time ? this.#time : said.effectiveTime,
        valueDate: said.valueDate ?? null,
        chgCreateTime: this.#time,
        ...transaction,
      },
      head.chgHash,
    )
    this.#heads.set(head.acctId, afterChange(row, head.openHolds))
    return row
  }

  #nextId(): BalanceChangeId {
    const id = this.#stamp.ids[this.#used]
    if (id === undefined) throw new RangeError("the stamp holds fewer ids than the request needs rows")
    this.#used += 1
    return id
  }
}
