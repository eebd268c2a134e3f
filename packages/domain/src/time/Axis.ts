/**
 * The two times of a change. `created`: when the ledger took it, which never changes what is past. `effective`: when it
 * happened in the world, which may be found out later.
 */
import type { BalanceChange } from "../chain/BalanceChange.ts"
import type { Timestamp } from "./Timestamp.ts"

export const axes = ["created", "effective"] as const
export type Axis = (typeof axes)[number]

export const timeOn = (axis: Axis, change: Pick<BalanceChange, "chgCreateTime" | "effectiveTime">): Timestamp =>
  axis === "created" ? change.chgCreateTime : change.effectiveTime
