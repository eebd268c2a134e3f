/** Rows in the making: each follows the account's row before it, is sealed, and becomes the account's new head. */
import type { AccountId } from "../account/AccountId.ts"
import { type AccountState, type AccountStatus, afterChange } from "../account/AccountState.ts"
import type { ChgFlavor } from "../chain/BalanceChange.ts"
import type { BalanceChangeId, TransactionId } from "../chain/BalanceChangeId.ts"
import { seal, type SealedChange } from "../chain/ChangeHash.ts"
import type { Decision, Stamp } from "./Decision.ts"
import { idemKeyOf, requestHash } from "../request/Idempotency.ts"
import type { Remarks, Request } from "../request/Intent.ts"
import * as Money from "../money/Money.ts"
import * as Timestamp from "../time/Timestamp.ts"

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
  readonly effectiveTime?: Timestamp.Timestamp | undefined
  readonly reversesXactId?: TransactionId
  /** Whether the first row has a request hash even without a key. */
  readonly isHashed?: boolean
}

export const nothingSaid: TransactionSaid = { description: null, metadata: null }

/**
 * The instant that a request about these accounts is judged at: now, but later than each account's newest row, whatever the
 * clock says.
 */
export const instantOf = (
  heads: Iterable<Pick<AccountState, "chgCreateTime">>,
  now: Timestamp.Timestamp,
): Timestamp.Timestamp => {
  let latest = now
  for (const { chgCreateTime } of heads) if (chgCreateTime >= latest) latest = Timestamp.make(chgCreateTime + 1n)
  return latest
}

export class Draft {
  readonly #request: Request
  readonly #stamp: Stamp
  readonly #heads = new Map<AccountId, AccountState>()
  readonly #asides: Array<SealedChange> = []
  readonly #changes: Array<SealedChange> = []
  #time: Timestamp.Timestamp
  #used: number

  /** `instant`: later than the newest row of each account that is to get rows. */
  constructor(request: Request, stamp: Stamp, instant: Timestamp.Timestamp) {
    this.#request = request
    this.#stamp = stamp
    this.#time = instant
    this.#used = stamp.idsFrom ?? 0
  }

  /** A row in a transaction of its own, before those of the request. */
  aside(head: AccountState, move: Move, said: Partial<TransactionSaid> = {}): void {
    const id = this.#nextId()
    this.#asides.push(this.#append(this.#headOf(head), move, id, id, { ...nothingSaid, ...said }, null))
    this.#tick()
  }

  /** The next row of the transaction. An account that has one already gets its second a microsecond later. */
  change(head: AccountState, move: Move, said: TransactionSaid): void {
    const id = this.#nextId()
    const before = this.#headOf(head)
    if (before.chgCreateTime >= this.#time) this.#tick()
    const first = this.#changes[0]
    this.#changes.push(
      this.#append(before, move, id, first?.xactId ?? id, said, first === undefined ? this.#request : null),
    )
  }

  decision(): Decision {
    return { changes: this.#changes, asides: this.#asides, heads: this.#heads, account: null, correction: null }
  }

  #tick() {
    this.#time = Timestamp.make(this.#time + 1n)
  }

  #headOf(head: AccountState): AccountState {
    return this.#heads.get(head.acctId) ?? head
  }

  /** `first`: the request whose key the row bears, if it is the first of its transaction. */
  #append(
    head: AccountState,
    move: Move,
    id: BalanceChangeId,
    xactId: TransactionId,
    said: TransactionSaid,
    first: Request | null,
  ): SealedChange {
    const idemKey = first === null ? null : idemKeyOf(first)
    const row = seal(
      {
        bchgId: id,
        acctId: head.acctId,
        acctSeq: head.acctSeq + 1,
        chgFlavor: move.chgFlavor,
        prevBchgId: head.bchgId,
        chgAmt: move.chgAmt,
        balance: Money.sum(head.balance, move.chgAmt),
        heldAmt: move.heldAmt,
        held: Money.sum(head.held, move.heldAmt),
        overdraftLimit: move.overdraftLimit === undefined ? head.overdraftLimit : move.overdraftLimit,
        acctStatus: move.acctStatus ?? head.acctStatus,
        xactId,
        holdId: move.holdId === "own" ? id : (move.holdId ?? null),
        holdExpiresAt: move.holdExpiresAt ?? null,
        reversesXactId: said.reversesXactId ?? null,
        description: said.description,
        metadata: said.metadata,
        idemKey,
        requestHash: first !== null && (idemKey !== null || said.isHashed === true) ? requestHash(first.intent) : null,
        actor: this.#request.actor,
        effectiveTime: said.effectiveTime ?? this.#time,
        chgCreateTime: this.#time,
      },
      head.chgHash,
    )
    this.#heads.set(head.acctId, afterChange(row, head.currency, head.openHolds))
    return row
  }

  #nextId(): BalanceChangeId {
    const id = this.#stamp.ids[this.#used]
    if (id === undefined) throw new RangeError("the stamp holds fewer ids than the request needs rows")
    this.#used += 1
    return id
  }
}
