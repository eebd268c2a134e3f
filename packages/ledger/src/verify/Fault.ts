import { linkFaults, transactionFaults } from "@banquo/domain/ChainCheck"

/** What can be wrong, and what each means. */
export const faultKinds = {
  ...linkFaults,
  ...transactionFaults,
  "wrong details": "what is said of an account is not what its change was made with",
  "no details": "what a change says of its account is not there",
  "details of no change": "something is said of an account that no change of it says",
  "no changes": "there is an account without a first change",
} as const
export type FaultKind = keyof typeof faultKinds

export interface Fault {
  readonly kind: FaultKind
  /** Where, in words; without amounts. */
  readonly place: string
}

export type Report = (kind: FaultKind, place: string) => void

/** A fault for a person. */
export const lineOf = ({ kind, place }: Fault): string => `${place}: ${faultKinds[kind]} (${kind})`
