/** The arithmetic of a statement: opening + credits - debits = closing, and the balance after each line. */
import type { BalanceChange } from "../chain/BalanceChange.ts"
import * as Money from "../money/Money.ts"

/** What a statement shows of a change. Only changes of the balance are shown: reserving money and giving it back are none. */
export type Movement = Pick<
  BalanceChange,
  "acctSeq" | "bchgId" | "xactId" | "chgFlavor" | "chgAmt" | "description" | "effectiveTime" | "chgCreateTime"
>

export interface Line extends Movement {
  /** The opening balance and all movements of the statement up to this one, in its order. */
  readonly balance: Money.Money
}

/** The movements of one direction; `sum` is never negative. */
export interface Turnover {
  readonly count: number
  readonly sum: Money.Money
}

export interface Turnovers {
  readonly debits: Turnover
  readonly credits: Turnover
}

export interface Summary extends Turnovers {
  readonly opening: Money.Money
  readonly closing: Money.Money
}

const none: Turnover = { count: 0, sum: Money.zero }

export const noTurnovers: Turnovers = { debits: none, credits: none }

const add = (a: Turnover, b: Turnover): Turnover => ({ count: a.count + b.count, sum: Money.sum(a.sum, b.sum) })

export const addTurnovers = (a: Turnovers, b: Turnovers): Turnovers => ({
  debits: add(a.debits, b.debits),
  credits: add(a.credits, b.credits),
})

export const turnoversOf = (movements: ReadonlyArray<Pick<Movement, "chgAmt">>): Turnovers =>
  movements.reduce<Turnovers>(
    (sums, { chgAmt }) =>
      chgAmt === 0n
        ? sums
        : addTurnovers(
            sums,
            chgAmt < 0n
              ? { debits: { count: 1, sum: Money.difference(Money.zero, chgAmt) }, credits: none }
              : { debits: none, credits: { count: 1, sum: chgAmt } },
          ),
    noTurnovers,
  )

/** Two ways lead to the closing balance; a statement whose ways part is a defect, and must not be given out. */
export const summaryOf = (opening: Money.Money, closing: Money.Money, turnovers: Turnovers): Summary => {
  const { credits, debits } = turnovers
  if (opening + credits.sum - debits.sum !== closing) throw new RangeError("the statement does not add up")
  return { opening, debits, credits, closing }
}

/** Lines from movements in order, each with the balance after it. */
export const linesFrom = (opening: Money.Money, movements: ReadonlyArray<Movement>): ReadonlyArray<Line> => {
  let balance = opening
  return movements.map((movement) => ({ ...movement, balance: (balance = Money.sum(balance, movement.chgAmt)) }))
}
