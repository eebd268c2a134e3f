/** Generators of the values that the laws are held against. */
import { Arbitrary, Schema } from "effect"
import { AccountId } from "../src/account/AccountId.ts"
import { accountStatuses } from "../src/account/AccountStatus.ts"
import { Actor } from "../src/request/Actor.ts"
import { chgFlavors, type UnsealedChange } from "../src/chain/BalanceChange.ts"
import { BalanceChangeId } from "../src/chain/BalanceChangeId.ts"
import { Currency } from "../src/money/Currency.ts"
import { IdempotencyKey } from "../src/request/IdempotencyKey.ts"
import { comparisons, type Condition, conditionSubjects } from "../src/request/Condition.ts"
import type {
  CaptureHold,
  Change,
  ChangeTerms,
  Expiry,
  ExpireHolds,
  IncreaseHold,
  Intent,
  OpenAccount,
  PlaceHold,
  PostTransaction,
  ReleaseHold,
  ReverseTransaction,
} from "../src/request/Intent.ts"
import type { Metadata } from "../src/text/Metadata.ts"
import * as Money from "../src/money/Money.ts"
import * as Timestamp from "../src/time/Timestamp.ts"

type Gen<A> = Arbitrary.Arbitrary<A>

export const int = (minimum: number, maximum: number): Gen<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

export const bigint = (minimum: bigint, maximum: bigint): Gen<bigint> =>
  Arbitrary.schema(Schema.BigInt.check(Schema.isBetweenBigInt({ minimum, maximum })))

/** One of the values, each as likely; a value given twice is twice as likely. Shrinks towards the first. */
export const pick = <const A>(values: ReadonlyArray<A>): Gen<A> =>
  int(0, values.length - 1).pipe(Arbitrary.map((index) => values[index]!))

/** Any of the generators, each as likely. */
export const anyOf = <A>(...generators: ReadonlyArray<Gen<A>>): Gen<A> =>
  pick(generators).pipe(Arbitrary.flatMap((generator) => generator))

export const nullOr = <A>(generator: Gen<A>): Gen<A | null> => anyOf<A | null>(Arbitrary.Constant(null), generator)

/** The schema of amounts is a pattern with a lookahead, from which no values can be derived: they are put together. */
export const amount: Gen<Money.Amount> = Arbitrary.all({
  isNegative: pick([false, true]),
  whole: int(1, 14).pipe(Arbitrary.flatMap((digits) => bigint(0n, 10n ** BigInt(digits) - 1n))),
  fraction: Arbitrary.array(int(0, 9), { maxLength: 4 }),
}).pipe(
  Arbitrary.map(({ fraction, isNegative, whole }) => {
    const isZero = whole === 0n && fraction.every((digit) => digit === 0)
    const point = fraction.length === 0 ? "" : "."
    return Money.Amount.make(`${isNegative && !isZero ? "-" : ""}${whole}${point}${fraction.join("")}`)
  }),
)

const edges = [
  0n,
  1n,
  -1n,
  99_999_999n,
  100_000_000n,
  -100_000_000n,
  2n ** 64n,
  -(2n ** 64n),
  Money.max - 1n,
  Money.max,
  1n - Money.max,
  -Money.max,
]

/** Any storable money, the ends of the range among it. */
export const money: Gen<Money.Money> = anyOf(
  bigint(-Money.max, Money.max),
  bigint(-999_999_999n, 999_999_999n),
  pick(edges),
).pipe(Arbitrary.map(Money.make))

const timestampMin = -62_135_596_800_000_000n
const timestampMax = 253_402_300_799_999_999n

/** From the year 1 to the year 9999: what RFC 3339 can write, without the year 0 that databases lack. */
export const timestamp: Gen<Timestamp.Timestamp> = anyOf(
  bigint(timestampMin, timestampMax),
  bigint(-3_000_000n, 3_000_000n),
  pick([timestampMin, timestampMax, 0n, -1n, -1_000_000n, -1_000_001n, -999_999n]),
).pipe(Arbitrary.map(Timestamp.make))

export const accountId = Arbitrary.schema(AccountId)
export const currency: Gen<Currency> = pick(["USD", "EUR", "JPY", "BHD", "CLF"].map((code) => Currency.make(code)))
export const actor = Arbitrary.schema(Actor)
export const idempotencyKey = Arbitrary.schema(IdempotencyKey)

const codePoint = anyOf(
  int(0x61, 0x63),
  int(0x01, 0x7f),
  int(0x80, 0xd7ff),
  int(0xe000, 0xffff),
  int(0x10000, 0x10ffff),
)

const textOf = (minLength: number, maxLength: number): Gen<string> =>
  Arbitrary.array(codePoint, { minLength, maxLength }).pipe(Arbitrary.map((points) => String.fromCodePoint(...points)))

/** Storable text from all of Unicode, made without the filter of the schema, which discards much. */
export const words = textOf(0, 30)

export const metadata: Gen<Metadata> = Arbitrary.array(
  Arbitrary.all([anyOf(textOf(1, 3), pick(["__proto__", "1", "10"])), words]),
  {
    maxLength: 12,
  },
).pipe(Arbitrary.map((entries) => Object.fromEntries(entries)))

export const bytes = Arbitrary.schema(Schema.Uint8Array)

/** Bytes of any length up to a few thousand. */
export const blocks: Gen<Uint8Array> = Arbitrary.all({ length: int(0, 3000), first: int(0, 255) }).pipe(
  Arbitrary.map(({ first, length }) => Uint8Array.from({ length }, (_, index) => (first + index * 7) & 255)),
)

const id = bigint(1n, 2n ** 63n - 1n).pipe(Arbitrary.map((value) => BalanceChangeId.make(value)))
const hash = Arbitrary.array(int(0, 255), { minLength: 32, maxLength: 32 }).pipe(
  Arbitrary.map((octets) => Uint8Array.from(octets)),
)

const salt = hash.pipe(Arbitrary.map((bytes) => bytes.subarray(0, 16)))
const date = timestamp.pipe(Arbitrary.map((time) => Timestamp.format(time).slice(0, 10)))

/** A row of any content, whether an account could come to it or not. */
export const unsealedChange: Gen<UnsealedChange> = Arbitrary.all({
  bchgId: id,
  acctId: accountId,
  acctSeq: int(0, Number.MAX_SAFE_INTEGER),
  chgFlavor: pick(chgFlavors),
  prevBchgId: nullOr(id),
  owner: nullOr(words),
  currency,
  scale: int(0, 8),
  chgAmt: money,
  balance: money,
  heldAmt: money,
  held: money,
  overdraftLimit: nullOr(money),
  acctStatus: pick(accountStatuses),
  isForced: pick([false, true]),
  xactId: id,
  xactRows: int(1, 200),
  holdId: nullOr(id),
  holdExpiresAt: nullOr(timestamp),
  reversesXactId: nullOr(id),
  reference: nullOr(words),
  description: nullOr(words),
  metadata: nullOr(metadata),
  textsSalt: nullOr(salt),
  textsHash: nullOr(hash),
  idemKey: nullOr(hash),
  requestHash: nullOr(hash),
  detailsHash: nullOr(hash),
  actor,
  effectiveTime: timestamp,
  valueDate: nullOr(date),
  chgCreateTime: timestamp,
})

/** Of any sign and zero too: a hash is made of any. */
const wellFormed = amount as Gen<Money.PositiveAmount>

export const openAccount: Gen<OpenAccount> = Arbitrary.all({
  _tag: Arbitrary.Constant("OpenAccount"),
  acctId: accountId,
  acctIdIsChosen: pick([false, true]),
  custName: words,
  custAddress: words,
  owner: nullOr(words),
  currency,
  scale: nullOr(int(0, 8)),
  initialBalance: amount,
  overdraftLimit: nullOr(wellFormed),
  reference: nullOr(words),
  metadata: nullOr(metadata),
})

const undefinedOr = <A>(generator: Gen<A>): Gen<A | undefined> =>
  anyOf<A | undefined>(Arbitrary.Constant(undefined), generator)

const condition: Gen<Condition> = Arbitrary.all({
  subject: pick(conditionSubjects),
  comparison: pick(comparisons),
  amount,
})

const expectation = {
  currency: undefinedOr(currency),
  expectedSeq: undefinedOr(int(0, Number.MAX_SAFE_INTEGER)),
  require: undefinedOr(Arbitrary.array(condition, { maxLength: 3 })),
}

const remarks = { reference: nullOr(words), description: nullOr(words), metadata: nullOr(metadata) }

const expiry: Gen<Expiry> = anyOf<Expiry>(
  timestamp.pipe(Arbitrary.map((at) => ({ at }))),
  int(0, 2 ** 31).pipe(Arbitrary.map((ttl) => ({ ttl }))),
)

const effectiveTime = undefinedOr(timestamp)

export const change: Gen<Change> = Arbitrary.all({ acctId: accountId, amount: wellFormed, ...expectation })

export const postTransaction: Gen<PostTransaction> = Arbitrary.all({
  _tag: Arbitrary.Constant("PostTransaction"),
  changes: Arbitrary.array(change, { minLength: 1, maxLength: 4 }),
  ...remarks,
  effectiveTime,
  valueDate: undefinedOr(date),
})

const placeHold: Gen<PlaceHold> = Arbitrary.all({
  _tag: Arbitrary.Constant("PlaceHold"),
  acctId: accountId,
  amount: wellFormed,
  expiry,
  ...expectation,
  ...remarks,
})

const increaseHold: Gen<IncreaseHold> = Arbitrary.all({
  _tag: Arbitrary.Constant("IncreaseHold"),
  acctId: accountId,
  holdId: id,
  amount: wellFormed,
  expiry: nullOr(expiry),
  ...expectation,
  ...remarks,
})

const captureHold: Gen<CaptureHold> = Arbitrary.all({
  _tag: Arbitrary.Constant("CaptureHold"),
  acctId: accountId,
  holdId: id,
  amount: nullOr(wellFormed),
  isFinal: pick([false, true]),
  to: nullOr(accountId),
  effectiveTime,
  ...expectation,
  ...remarks,
})

const releaseHold: Gen<ReleaseHold> = Arbitrary.all({
  _tag: Arbitrary.Constant("ReleaseHold"),
  acctId: accountId,
  holdId: id,
  ...expectation,
  ...remarks,
})

const expireHolds: Gen<ExpireHolds> = Arbitrary.all({ _tag: Arbitrary.Constant("ExpireHolds"), acctId: accountId })

const changeTerms: Gen<ChangeTerms> = Arbitrary.all({
  _tag: Arbitrary.Constant("ChangeTerms"),
  acctId: accountId,
  acctStatus: undefinedOr(pick(accountStatuses)),
  overdraftLimit: undefinedOr(nullOr(wellFormed)),
  custName: undefinedOr(words),
  custAddress: undefinedOr(words),
  reason: nullOr(words),
  metadata: nullOr(metadata),
  currency: expectation.currency,
  expectedSeq: expectation.expectedSeq,
})

const reverseTransaction: Gen<ReverseTransaction> = Arbitrary.all({
  _tag: Arbitrary.Constant("ReverseTransaction"),
  xactId: id,
  original: Arbitrary.array(Arbitrary.all({ acctId: accountId, chgAmt: money, currency, effectiveTime: timestamp }), {
    minLength: 1,
    maxLength: 3,
  }),
  changes: nullOr(Arbitrary.array(change, { minLength: 1, maxLength: 3 })),
  isForced: pick([false, true]),
  effectiveTime,
  ...remarks,
})

/** Of every kind, well-formed or not: a hash is made of any. */
export const intent: Gen<Intent> = anyOf<Intent>(
  openAccount,
  postTransaction,
  placeHold,
  increaseHold,
  captureHold,
  releaseHold,
  expireHolds,
  changeTerms,
  reverseTransaction,
)
