import { AccountId } from "@banquo/domain/AccountId"
import type { Tail } from "@banquo/domain/AccountState"
import { accountStatuses } from "@banquo/domain/AccountStatus"
import type * as Domain from "@banquo/domain/Account"
import { AccountIdFromString } from "@banquo/domain/AccountId"
import { Currency, Scale } from "@banquo/domain/Currency"
import { CustomerAddress, CustomerName, Owner } from "@banquo/domain/Customer"
import { Metadata, sorted } from "@banquo/domain/Metadata"
import { Amount, NonNegativeAmount } from "@banquo/domain/Money"
import { Description } from "@banquo/domain/Text"
import * as Timestamp from "@banquo/domain/Timestamp"
import { Schema } from "effect"
import { amountOf, Balance, balanceOf } from "./Balance.ts"
import { Hash, Time } from "./Change.ts"
import { described } from "./Described.ts"
import { DryRunFlag } from "./DryRun.ts"
import { ExpectedSeq } from "./Transaction.ts"

export const Account = Schema.Struct({
  account_id: AccountId,
  customer_name: Schema.String,
  customer_address: Schema.String,
  owner: Schema.NullOr(Schema.String).annotateKey({ description: "whose account it is, by the bank's own id" }),
  currency: Currency,
  scale: Scale.annotateKey({ description: "how many decimals its amounts may have" }),
  status: Schema.Literals(accountStatuses),
  balance: Balance,
  overdraft_limit: Schema.NullOr(Amount).annotateKey({ description: "null: without limit" }),
  seq: Schema.Int.annotateKey({ description: "the sequence of the newest change; 0 for a new account" }),
  hash: Hash,
  metadata: Metadata,
  created_at: Time,
  updated_at: Time,
}).annotate({ identifier: "Account" })

export const accountOf = (account: Domain.Account, state: Tail): typeof Account.Type => ({
  account_id: account.acctId,
  customer_name: account.custName,
  customer_address: account.custAddress,
  owner: state.owner,
  currency: state.currency,
  scale: state.scale,
  status: state.acctStatus,
  balance: balanceOf(state),
  overdraft_limit: state.overdraftLimit === null ? null : amountOf(state.overdraftLimit, state),
  seq: state.acctSeq,
  hash: state.chgHash.toHex(),
  metadata: sorted(account.metadata ?? {}),
  created_at: Timestamp.format(account.acctCreateTime),
  updated_at: Timestamp.format(state.chgCreateTime),
})

export const NewAccount = Schema.Struct({
  account_id: Schema.optionalKey(
    AccountIdFromString.pipe(described("a UUID of the caller's: the same request with it opens the account once")),
  ),
  customer_name: CustomerName,
  customer_address: Schema.optionalKey(CustomerAddress),
  owner: Schema.optionalKey(Owner).annotateKey({
    description: "whose account it is, by the bank's own id; fixed for good",
  }),
  currency: Currency.annotateKey({
    description: "of ISO 4217, or an asset of the bank's own; fixed for good",
  }),
  scale: Schema.optionalKey(Scale).annotateKey({
    description: "how many decimals its amounts may have; default: as ISO 4217 has it; fixed for good",
  }),
  initial_balance: Schema.optionalKey(Amount),
  overdraft_limit: Schema.optionalKey(Schema.NullOr(NonNegativeAmount)).annotateKey({
    description: 'how far below zero the balance may go; null: without limit; default "0"',
  }),
  metadata: Schema.optionalKey(Metadata),
  dry_run: DryRunFlag,
}).annotate({ identifier: "NewAccount" })

const isNotEmpty = Schema.makeFilter(
  (change: object) =>
    ["status", "overdraft_limit", "customer_name", "customer_address"].some((key) => key in change) ||
    "Expected something to change",
)

export const AccountChange = Schema.Struct({
  status: Schema.optionalKey(Schema.Literals(accountStatuses)).annotateKey({
    description: "closed: only with a balance of zero and without open holds, and for good",
  }),
  overdraft_limit: Schema.optionalKey(Schema.NullOr(NonNegativeAmount)).annotateKey({
    description: "null: without limit; not below what is used of it",
  }),
  customer_name: Schema.optionalKey(CustomerName).annotateKey({ description: "corrected; the one before is kept" }),
  customer_address: Schema.optionalKey(CustomerAddress),
  reason: Schema.optionalKey(Description).annotateKey({ description: "kept with the change" }),
  metadata: Schema.optionalKey(Metadata).annotateKey({ description: "of the change, not of the account" }),
  expected_seq: ExpectedSeq,
  dry_run: DryRunFlag,
})
  .check(isNotEmpty)
  .annotate({ identifier: "AccountChange" })

export const AccountsPage = Schema.Struct({
  accounts: Schema.Array(Account),
  next_cursor: Schema.NullOr(Schema.String),
}).annotate({ identifier: "AccountsPage" })
