import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result } from "effect"
import type { AccountDetails } from "../src/account/Account.ts"
import type { AccountId } from "../src/account/AccountId.ts"
import { type AccountState, afterChange, available, heldAt, stateAt } from "../src/account/AccountState.ts"
import type { BalanceChange, ChgFlavor } from "../src/chain/BalanceChange.ts"
import { genesisHash, seal } from "../src/chain/ChangeHash.ts"
import { isMet } from "../src/request/Condition.ts"
import { decide, decideTogether, HeadsAfter, idsMax, idsUsed } from "../src/decide/Decide.ts"
import type { Decision, Heads } from "../src/decide/Decision.ts"
import { isExpired, openHoldsMax } from "../src/account/Hold.ts"
import { idemKeyOf, isWordy, requestHash } from "../src/request/Idempotency.ts"
import { accountIds, type Change, type Intent, type Request, rowCount } from "../src/request/Intent.ts"
import { isoScaleOf } from "../src/money/Currency.ts"
import * as Money from "../src/money/Money.ts"
import { detailsHash, hasTexts, metadataOrNull, textsHash } from "../src/text/Texts.ts"
import * as Refusal from "../src/decide/Refusal.ts"
import * as Timestamp from "../src/time/Timestamp.ts"
import { idFirst, tagOf, type Verdict } from "./Sample.ts"
import { assertStorable, isStorable } from "./Storable.ts"
import {
  details,
  headsWith,
  ledgerId,
  now,
  stamp,
  world,
  type World,
  worldOfHold,
  worldOfMany,
  worldOfReversal,
  worldOfTwo,
} from "./World.ts"

const runs = { arbitrary: { runs: 200 } }

const decideIn = (request: Request, heads: Heads, first = idFirst) =>
  decide(request, heads, stamp(first, idsMax([request], heads, now)))

const verdictOf = ({ heads, request }: World) => decideIn(request, heads)

/** What a law says of the rows of a world, where there are any. */
const whenAccepted = (check: (decision: Decision, world: World) => void) => (worlds: readonly [World]) => {
  const verdict = verdictOf(worlds[0])
  if (Result.isSuccess(verdict)) check(verdict.success, worlds[0])
}

const rowsOf = ({ asides, changes }: Decision): ReadonlyArray<BalanceChange> => [...asides, ...changes]

const sum = (amounts: ReadonlyArray<bigint>): Money.Money => Money.make(amounts.reduce((a, b) => a + b, 0n))

const minus = (money: Money.Money): Money.Money => Money.difference(Money.zero, money)

/** When a request is judged: now, but later than every account that it concerns. */
const instantOf = ({ heads, request: { intent } }: World): Timestamp.Timestamp => {
  if (intent._tag === "OpenAccount") return now
  const times = accountIds(intent).map((acctId) => heads.get(acctId)?.chgCreateTime ?? now - 1n)
  const latest = times.reduce((a, b) => (a > b ? a : b))
  return Timestamp.make(latest < now ? now : latest + 1n)
}

const featuresOf = (decision: Decision, sample: World): ReadonlyArray<string> => {
  const { account, asides, changes, heads } = decision
  const { intent } = sample.request
  const released = asides.filter(({ chgFlavor }) => chgFlavor === "RELEASE")
  const features: Record<string, boolean> = {
    account: account !== null && account.acctSeq === 0,
    correction: account !== null && account.acctSeq > 0,
    [`${changes.length} changes`]: true,
    "two currencies": new Set([...heads.values()].map(({ currency }) => currency)).size > 1,
    "ahead of the clock": changes.some(({ chgCreateTime }) => chgCreateTime > now + 1000n),
    "an expired hold let go": released.length === 1,
    "several expired holds let go": released.length > 1,
    "one place freed among many holds": changes.some(({ acctId, holdId, bchgId }) => {
      return holdId === bchgId && sample.heads.get(acctId)!.openHolds.length === openHoldsMax
    }),
    "expired only by another account's clock": released.some(({ acctId, holdId }) => {
      const head = sample.heads.get(acctId)!
      const hold = head.openHolds.find((open) => open.holdId === holdId)!
      return !isExpired(hold, now) && !isExpired(hold, Timestamp.make(head.chgCreateTime + 1n))
    }),
    "a limit raised": asides.some(({ chgFlavor }) => chgFlavor === "TERMS"),
    "a limit raised, and expired holds let go": released.length > 0 && asides[0]!.chgFlavor === "TERMS",
    "a capture with the rest released": changes[1]?.chgFlavor === "RELEASE" && changes[0]!.chgFlavor === "CAPTURE",
    "a capture into another account": changes[0]!.chgFlavor === "CAPTURE" && changes.at(-1)!.chgFlavor === "FLOW",
    "a capture that leaves the rest held":
      changes.length === 1 &&
      changes[0]!.chgFlavor === "CAPTURE" &&
      heads.get(changes[0]!.acctId)!.openHolds.some(({ holdId }) => holdId === changes[0]!.holdId),
    closed: changes[0]!.acctStatus === "closed",
    "a reversal of a part": intent._tag === "ReverseTransaction" && intent.changes !== null,
    "a reversal of what is left":
      intent._tag === "ReverseTransaction" &&
      intent.changes === null &&
      changes.some(({ chgAmt }, index) => chgAmt !== -(intent.original[index]?.chgAmt ?? 0n)),
    "what would be held goes beyond the range": asides.some(({ held, heldAmt }) => {
      return sum([held, minus(heldAmt), changes[0]!.heldAmt]) > Money.max
    }),
    dated: changes[0]!.effectiveTime !== changes[0]!.chgCreateTime,
    conditions: expectationsOf(intent).some(({ require }) => require !== undefined),
  }
  return [intent._tag, ...Object.keys(features).filter((name) => features[name])]
}

const expectationsOf = (intent: Intent) => {
  switch (intent._tag) {
    case "PostTransaction":
      return intent.changes
    case "ReverseTransaction":
      return intent.changes ?? []
    case "PlaceHold":
    case "IncreaseHold":
    case "CaptureHold":
    case "ReleaseHold":
      return [intent]
    default:
      return []
  }
}

const flow = ({ acctId, amount }: Pick<Change, "acctId" | "amount">): Done => {
  return ["FLOW", acctId, Money.fromAmount(amount), Money.zero]
}

/** What was asked for, which the hashes cover, is not the same where one is forced. */
const unhashed = (verdict: Verdict) =>
  Result.isFailure(verdict)
    ? verdict
    : rowsOf(verdict.success).map((row) => ({ ...row, chgHash: null, prevHash: null, requestHash: null }))

const amountsOf = ({ changes }: Decision) =>
  changes.map(({ acctId, balance, chgAmt, heldAmt }) => ({ acctId, balance, chgAmt, heldAmt }))

/** Those that are not given by `decide`. */
const givenElsewhere = new Set([
  "IdempotencyKeyReused",
  "TransactionNotFound",
  "ChangeNotFound",
  "HoldNotFound",
  "HoldAlreadyCaptured",
  "HoldAlreadyReleased",
  "NotReversible",
])

const refusals = Object.keys(Refusal).filter((name) => !givenElsewhere.has(name))

type Done = readonly [ChgFlavor, AccountId, chgAmt: Money.Money, heldAmt: Money.Money]

const sample = (worlds: Arbitrary.Arbitrary<World>, count: number) =>
  Arbitrary.sampleEffect(worlds, { count, size: 20, seed: "worlds" })

describe("the generated worlds", () => {
  it.effect("reach every verdict, so that no law holds for want of cases", () =>
    Effect.gen(function* () {
      const worlds = [
        ...(yield* sample(world, 2500)),
        ...(yield* sample(worldOfHold, 2000)),
        ...(yield* sample(worldOfReversal, 500)),
      ]
      const count = new Map<string, number>()
      const add = (name: string) => count.set(name, (count.get(name) ?? 0) + 1)
      for (const each of worlds) {
        const verdict = verdictOf(each)
        add(tagOf(verdict))
        if (Result.isSuccess(verdict)) for (const feature of featuresOf(verdict.success, each)) add(feature)
      }
      assert.lengthOf(refusals, 26)
      for (const name of [
        ...refusals,
        "OpenAccount",
        "PostTransaction",
        "PlaceHold",
        "IncreaseHold",
        "CaptureHold",
        "ReleaseHold",
        "ExpireHolds",
        "ChangeTerms",
        "ReverseTransaction",
        "1 changes",
        "2 changes",
        "3 changes",
        "4 changes",
        "account",
        "correction",
        "two currencies",
        "ahead of the clock",
        "an expired hold let go",
        "several expired holds let go",
        "expired only by another account's clock",
        "one place freed among many holds",
        "what would be held goes beyond the range",
        "a limit raised",
        "a limit raised, and expired holds let go",
        "a capture with the rest released",
        "a capture into another account",
        "a capture that leaves the rest held",
        "closed",
        "a reversal of a part",
        "a reversal of what is left",
        "dated",
        "conditions",
      ]) {
        assert.isAtLeast(count.get(name) ?? 0, 3, `${name} in ${JSON.stringify(Object.fromEntries(count))}`)
      }
      assert.isAtLeast(count.get("Decision") ?? 0, worlds.length / 4)
    }),
  )
})

describe("decide", () => {
  it.prop(
    "is deterministic, and leaves what it was given as it was",
    [world],
    ([sample]) => {
      const before = structuredClone([...sample.heads])
      assert.deepStrictEqual(verdictOf(sample), verdictOf(sample))
      assert.deepStrictEqual([...sample.heads], before)
    },
    runs,
  )

  it.prop(
    "a refusal has a reason and nothing else",
    [world],
    ([{ heads, request }]) => {
      const verdict = decideIn(request, heads)
      if (Result.isSuccess(verdict)) return
      assert.instanceOf(verdict.failure, Error)
      assert.isNotEmpty(verdict.failure.message)
      for (const part of ["changes", "asides", "heads", "account"]) {
        assert.notProperty(verdict.failure, part)
      }
      // Ids that a refused request was given are as unused as before: none needs to be there.
      assert.deepStrictEqual(decide(request, heads, stamp(idFirst, 0)), verdict)
    },
    runs,
  )

  it.prop(
    "every row can be stored, and follows the row before: dense, linked, later, sealed, added up",
    [world],
    whenAccepted((decision, { heads }) => {
      const states = new Map<AccountId, AccountState>(heads)
      for (const row of rowsOf(decision)) {
        const before = states.get(row.acctId)
        assertStorable(row)
        assert.strictEqual(row.acctSeq, before === undefined ? 0 : before.acctSeq + 1)
        assert.strictEqual(row.prevBchgId, before === undefined ? null : before.bchgId)
        assert.isTrue(before === undefined || row.chgCreateTime > before.chgCreateTime)
        assert.strictEqual(row.balance, (before?.balance ?? 0n) + row.chgAmt)
        assert.strictEqual(row.held, (before?.held ?? 0n) + row.heldAmt)
        const prevHash = before === undefined ? genesisHash(ledgerId, row.acctId) : before.chgHash
        assert.strictEqual(seal(row, prevHash).chgHash.toHex(), row.chgHash.toHex())
        states.set(row.acctId, afterChange(row, before?.openHolds))
      }
      const touched = new Set(rowsOf(decision).map(({ acctId }) => acctId))
      assert.deepStrictEqual(new Set(decision.heads.keys()), touched)
      for (const acctId of touched) assert.deepStrictEqual(decision.heads.get(acctId), states.get(acctId))
    }),
    runs,
  )

  it.prop(
    "held is the sum of the open holds",
    [world],
    whenAccepted(({ heads }) => {
      for (const { held, openHolds } of heads.values()) {
        assert.strictEqual(held, sum(openHolds.map((hold) => hold.held)))
        for (const hold of openHolds) assert.isTrue(hold.held > 0n)
        assert.isAtMost(openHolds.length, openHoldsMax)
        assert.strictEqual(new Set(openHolds.map(({ holdId }) => holdId)).size, openHolds.length)
      }
    }),
    runs,
  )

  it.prop(
    "ids are used in order: each aside names a transaction, the first of the other rows names theirs",
    [world],
    whenAccepted((decision, { heads, request }) => {
      const { asides, changes } = decision
      assert.deepStrictEqual(
        rowsOf(decision).map(({ bchgId }) => bchgId),
        Array.from({ length: idsUsed(decision) }, (_, index) => BigInt(idFirst + index)),
      )
      for (const { bchgId, xactId } of asides) assert.strictEqual(xactId, bchgId)
      for (const { xactId } of changes) assert.strictEqual(xactId, changes[0]!.bchgId)
      assert.isAtMost(idsUsed(decision), idsMax([request], heads, now))
      if (request.intent._tag !== "ExpireHolds") {
        assert.isAtMost(
          changes.length + asides.filter(({ chgFlavor }) => chgFlavor === "TERMS").length,
          rowCount(request.intent),
        )
      }
    }),
    runs,
  )

  it.prop(
    "the first row is at the instant that the request is judged at, and none is later than there are rows before it",
    [world],
    whenAccepted((decision, sample) => {
      const instant = instantOf(sample)
      for (const [index, row] of rowsOf(decision).entries()) {
        assert.isTrue(row.chgCreateTime >= instant && row.chgCreateTime <= instant + BigInt(index))
      }
      const { intent } = sample.request
      const said = "effectiveTime" in intent ? intent.effectiveTime : undefined
      for (const row of decision.changes) {
        assert.strictEqual(row.effectiveTime, said === undefined || said > row.chgCreateTime ? row.chgCreateTime : said)
      }
      for (const row of decision.asides) assert.strictEqual(row.effectiveTime, row.chgCreateTime)
    }),
    runs,
  )

  it.prop(
    "the rows say who asked and what was said; the key and what it stands for are on the first of the transaction only",
    [world],
    whenAccepted(({ account, asides, changes }, { request }) => {
      const { actor, intent } = request
      for (const row of [...asides, ...changes]) assert.strictEqual(row.actor, actor)
      const remarks =
        intent._tag === "ChangeTerms"
          ? { reference: null, description: intent.reason, metadata: intent.metadata }
          : "description" in intent
            ? intent
            : { reference: null, description: null, metadata: null }
      for (const row of changes) {
        assert.strictEqual(row.reference, remarks.reference)
        assert.strictEqual(row.description, remarks.description)
        assert.deepStrictEqual(row.metadata, metadataOrNull(remarks.metadata))
        assert.strictEqual(row.xactRows, changes.length)
        const isSaid = hasTexts(remarks)
        assert.deepStrictEqual(row.textsHash, isSaid ? textsHash(remarks, row.textsSalt!) : null)
        assert.strictEqual(row.textsSalt === null, !isSaid && account === null)
        assert.strictEqual(row.reversesXactId, intent._tag === "ReverseTransaction" ? intent.xactId : null)
      }
      const [first, ...others] = changes
      assert.deepStrictEqual(first!.idemKey, idemKeyOf(request))
      // The id of an account that its caller chose is a key too.
      const isHashed = request.idempotencyKey !== null || intent._tag === "OpenAccount"
      const hash = requestHash(intent, isWordy(intent) ? first!.textsSalt : null)
      assert.deepStrictEqual(first!.requestHash, isHashed ? hash : null)
      for (const row of [...others, ...asides]) assert.deepStrictEqual([row.idemKey, row.requestHash], [null, null])
      for (const row of asides) assert.isNull(row.reversesXactId)
    }),
    runs,
  )

  it.prop(
    "what is asked for is what is done, no more and no less",
    [world],
    whenAccepted(({ account, changes, heads: after }, { heads, request: { intent } }) => {
      const done: ReadonlyArray<Done> = changes.map((row) => [row.chgFlavor, row.acctId, row.chgAmt, row.heldAmt])
      switch (intent._tag) {
        case "OpenAccount": {
          const { acctId, currency, custAddress, custName, owner, reference } = intent
          const metadata = metadataOrNull(intent.metadata)
          const salt = changes[0]!.textsSalt
          assert.deepStrictEqual(account, { acctId, acctSeq: 0, custAddress, custName, reference, metadata, salt })
          assert.deepInclude(changes[0]!, { owner, currency, scale: isoScaleOf(currency)! })
          assert.deepStrictEqual(changes[0]!.detailsHash, detailsHash(account!, salt!))
          assert.deepStrictEqual(done, [["INITIAL", acctId, Money.fromAmount(intent.initialBalance), Money.zero]])
          return
        }
        case "PostTransaction":
          assert.deepStrictEqual(done, intent.changes.map(flow))
          return
        case "PlaceHold":
        case "IncreaseHold": {
          assert.deepStrictEqual(done, [["HOLD", intent.acctId, Money.zero, Money.fromAmount(intent.amount)]])
          const isPlaced = intent._tag === "PlaceHold"
          assert.strictEqual(changes[0]!.holdId, isPlaced ? changes[0]!.bchgId : intent.holdId)
          assert.strictEqual(changes[0]!.holdExpiresAt === null, !isPlaced && intent.expiry === null)
          return
        }
        case "CaptureHold": {
          const { acctId, amount, holdId, isFinal, to } = intent
          const { held } = heads.get(acctId)!.openHolds.find((hold) => hold.holdId === holdId)!
          const captured = amount === null ? held : Money.fromAmount(amount)
          const rest = Money.difference(held, captured)
          assert.deepStrictEqual(done, [
            ["CAPTURE", acctId, minus(captured), minus(captured)],
            ...(isFinal && rest > 0n ? [["RELEASE", acctId, Money.zero, minus(rest)] as const] : []),
            ...(to === null ? [] : [["FLOW", to, captured, Money.zero] as const]),
          ])
          for (const row of changes) assert.strictEqual(row.holdId, row.acctId === acctId ? holdId : null)
          const left = after.get(acctId)!.openHolds.find((hold) => hold.holdId === holdId)
          assert.strictEqual(left?.held ?? 0n, isFinal ? 0n : rest)
          return
        }
        case "ReleaseHold": {
          const { held } = heads.get(intent.acctId)!.openHolds.find(({ holdId }) => holdId === intent.holdId)!
          assert.deepStrictEqual(done, [["RELEASE", intent.acctId, Money.zero, minus(held)]])
          return
        }
        case "ExpireHolds": {
          const instant = instantOf({ heads, request: { intent } } as World)
          const expired = heads.get(intent.acctId)!.openHolds.filter((hold) => isExpired(hold, instant))
          assert.deepStrictEqual(
            new Set(changes.map(({ holdId }) => holdId)),
            new Set(expired.map(({ holdId }) => holdId)),
          )
          assert.strictEqual(sum(changes.map(({ heldAmt }) => heldAmt)), minus(sum(expired.map(({ held }) => held))))
          return
        }
        case "ChangeTerms": {
          const before = heads.get(intent.acctId)!
          const head = after.get(intent.acctId)!
          const { acctStatus, custAddress = null, custName = null, overdraftLimit } = intent
          assert.deepStrictEqual(done, [["TERMS", intent.acctId, Money.zero, Money.zero]])
          assert.strictEqual(head.acctStatus, acctStatus ?? before.acctStatus)
          const limit =
            overdraftLimit === undefined ? before.overdraftLimit : overdraftLimit && Money.fromAmount(overdraftLimit)
          assert.strictEqual(head.overdraftLimit, limit)
          const isCorrected = custName !== null || custAddress !== null
          const { acctId, acctSeq, textsSalt } = changes[0]!
          const corrected = { custName: custName ?? details.custName, custAddress: custAddress ?? details.custAddress }
          const record = { ...details, ...corrected, acctId, acctSeq, salt: textsSalt }
          assert.deepStrictEqual(account, isCorrected ? record : null)
          assert.deepStrictEqual(changes[0]!.detailsHash, isCorrected ? detailsHash(record, textsSalt!) : null)
          return
        }
        case "ReverseTransaction": {
          for (const [chgFlavor, acctId, chgAmt] of done) {
            const { chgAmt: original } = intent.original.find((leg) => leg.acctId === acctId)!
            assert.strictEqual(chgFlavor, "FLOW")
            assert.notStrictEqual(chgAmt < 0n, original < 0n)
          }
          if (intent.changes === null) return
          assert.deepStrictEqual(done, intent.changes.map(flow))
        }
      }
    }),
    { arbitrary: { runs: 500 } },
  )

  it.prop(
    "terms stay as they are unless they are what is changed",
    [world],
    whenAccepted((decision, { heads, request: { intent } }) => {
      if (intent._tag === "OpenAccount" || intent._tag === "ChangeTerms") return
      for (const row of rowsOf(decision)) {
        const before = heads.get(row.acctId)!
        assert.strictEqual(row.acctStatus, before.acctStatus)
        if (intent._tag !== "ReverseTransaction" || !intent.isForced) {
          assert.strictEqual(row.overdraftLimit, before.overdraftLimit)
        }
      }
    }),
    runs,
  )

  it.prop(
    "a frozen account has nothing taken away, set aside or brought in; a closed one takes no row at all",
    [world],
    whenAccepted((decision, { heads }) => {
      for (const { acctId, chgAmt, heldAmt } of rowsOf(decision)) {
        const status = heads.get(acctId)?.acctStatus ?? "open"
        assert.notStrictEqual(status, "closed")
        const isDebit = chgAmt < 0n || heldAmt > 0n
        const isCredit = chgAmt > 0n
        if (status === "frozen" || status === "debits_frozen") assert.isFalse(isDebit)
        if (status === "frozen" || status === "credits_frozen") assert.isFalse(isCredit)
      }
    }),
    { arbitrary: { runs: 500 } },
  )

  it.prop(
    "several changes of balances sum to zero in each currency, and are of different accounts",
    [world],
    whenAccepted(({ changes, heads }, { request: { intent } }) => {
      const moving = changes.filter(({ chgAmt }) => chgAmt !== 0n)
      assert.strictEqual(new Set(moving.map(({ acctId }) => acctId)).size, moving.length)
      if (moving.length < 2) return
      // What a bank wrote of several accounts at once was balanced, and so is what takes it back.
      assert.notStrictEqual(intent._tag, "OpenAccount")
      for (const legs of Map.groupBy(moving, ({ acctId }) => heads.get(acctId)!.currency).values()) {
        assert.strictEqual(sum(legs.map(({ chgAmt }) => chgAmt)), 0n)
      }
    }),
    runs,
  )

  it.prop(
    "no hold is captured once it has expired, by the time of the very row",
    [worldOfHold],
    whenAccepted(({ changes }, { heads }) => {
      for (const { acctId, chgCreateTime, chgFlavor, holdId } of changes) {
        if (chgFlavor !== "CAPTURE") continue
        const { expiresAt } = heads.get(acctId)!.openHolds.find((hold) => hold.holdId === holdId)!
        assert.isTrue(chgCreateTime < expiresAt)
      }
    }),
    { arbitrary: { runs: 500 } },
  )

  it.prop(
    "a capture leaves what is available as it was, but for what it releases",
    [worldOfHold],
    whenAccepted(({ changes, heads: after }, { heads, request: { intent } }) => {
      if (intent._tag !== "CaptureHold") return
      const before = available(heads.get(intent.acctId)!)
      if (before === null) return
      const released = -sum(changes.filter(({ chgFlavor }) => chgFlavor === "RELEASE").map(({ heldAmt }) => heldAmt))
      assert.strictEqual(available(after.get(intent.acctId)!), before + released)
    }),
    { arbitrary: { runs: 500 } },
  )

  it.prop(
    "asides let go of expired holds, as few as it takes, the longest expired first; or raise a limit",
    [world],
    whenAccepted(({ asides, changes }, sample) => {
      const instant = instantOf(sample)
      for (const [acctId, ofAccount] of Map.groupBy(asides, (row) => row.acctId)) {
        const head = sample.heads.get(acctId)!
        const releases = ofAccount.filter(({ chgFlavor }) => chgFlavor === "RELEASE")
        const others = ofAccount.filter(({ chgFlavor }) => chgFlavor !== "RELEASE")
        if (others.length > 0) {
          assert.lengthOf(others, 1)
          assert.strictEqual(others[0], ofAccount[0])
          assert.strictEqual(others[0]!.chgFlavor, "TERMS")
        }
        const expired = head.openHolds
          .filter((hold) => isExpired(hold, instant))
          .toSorted((a, b) => Number(a.expiresAt - b.expiresAt) || Number(a.holdId - b.holdId))
        assert.deepStrictEqual(
          releases.map(({ heldAmt, holdId }) => [holdId, -heldAmt]),
          expired.slice(0, releases.length).map(({ held, holdId }) => [holdId, held]),
        )
        const last = releases.at(-1)
        if (last === undefined) continue
        // Without the last of them, the account would lack money, or a row could not be stored, or there would be one hold too many.
        const next = changes.find((row) => row.acctId === acctId)!
        const isFull = next.bchgId === next.holdId && head.openHolds.length === openHoldsMax && releases.length === 1
        const without = { ...next, held: Money.difference(next.held, last.heldAmt) }
        assert.isTrue(isFull || !isStorable(without) || (available(without) ?? 0n) < 0n)
      }
    }),
    { arbitrary: { runs: 700 } },
  )

  it.prop(
    "an expired hold holds nothing back: the verdict is the same as if it had been let go of before",
    [world],
    ([{ heads, request }]) => {
      if (request.intent._tag === "ExpireHolds") return
      const instant = instantOf({ heads, request })
      const tidied = headsWith(
        [...heads.values()].map((head) => stateAt(head, instant)),
        heads.reversed,
      )
      const verdict = decideIn(request, heads)
      const other = decideIn(request, tidied)
      if (Result.isSuccess(verdict) && Result.isSuccess(other)) {
        assert.isEmpty(other.success.asides.filter(({ chgFlavor }) => chgFlavor === "RELEASE"))
        assert.deepStrictEqual(amountsOf(verdict.success), amountsOf(other.success))
        for (const [acctId, head] of other.success.heads) {
          const after = verdict.success.heads.get(acctId)!
          assert.strictEqual(heldAt(after, instant), head.held)
          assert.strictEqual(after.overdraftLimit, head.overdraftLimit)
        }
      } else if (tagOf(verdict) === "HoldExpired") assert.strictEqual(tagOf(other), "HoldEnded")
      else assert.deepStrictEqual(verdict, other)
    },
    { arbitrary: { runs: 700 } },
  )

  it.prop(
    "conditions are met by the account as it is after, without what has expired",
    [world],
    whenAccepted(({ heads: after }, sample) => {
      const instant = instantOf(sample)
      for (const expected of expectationsOf(sample.request.intent)) {
        const head = stateAt(after.get(expected.acctId)!, instant)
        const values = { posted: head.balance, available: available(head) }
        for (const condition of expected.require ?? []) assert.isTrue(isMet(condition, values[condition.subject]))
      }
    }),
    { arbitrary: { runs: 500 } },
  )

  it.prop(
    "a forced reversal does what an unforced one does, but where money lacks: there it raises the limit, exactly as far",
    [worldOfReversal],
    ([{ heads, request }]) => {
      const { intent } = request
      if (intent._tag !== "ReverseTransaction") return
      const { changes } = intent
      const forced = decideIn(
        { ...request, intent: { ...intent, isForced: true, changes: changes && bare(changes) } },
        heads,
      )
      const other = decideIn(
        { ...request, intent: { ...intent, isForced: false, changes: changes && bare(changes) } },
        heads,
      )
      const raised = Result.isFailure(forced)
        ? []
        : forced.success.asides.filter(({ chgFlavor }) => chgFlavor === "TERMS")
      if (tagOf(other) !== "InsufficientFunds") {
        assert.deepStrictEqual(unhashed(forced), unhashed(other))
        return
      }
      if (Result.isFailure(forced)) return assert.strictEqual(forced.failure._tag, "AmountOutOfRange")
      assert.isNotEmpty(raised)
      for (const { acctId, description, overdraftLimit } of raised) {
        assert.isTrue(overdraftLimit! > heads.get(acctId)!.overdraftLimit!)
        assert.strictEqual(available(forced.success.heads.get(acctId)!), 0n)
        assert.strictEqual(forced.success.heads.get(acctId)!.overdraftLimit, overdraftLimit)
        assert.strictEqual(description, intent.description)
      }
    },
    { arbitrary: { runs: 500 } },
  )

  it.prop(
    "requests about different accounts are independent: either order gives the same",
    [worldOfTwo],
    ([
      {
        heads,
        requests: [a, b],
      },
    ]) => {
      const run = (first: Request, second: Request) => {
        const states = new HeadsAfter(heads)
        const verdicts = new Map<unknown, unknown>()
        for (const request of [first, second]) {
          const verdict = decideIn(request, states, request === a ? 5000 : 6000)
          verdicts.set(request, verdict)
          if (Result.isSuccess(verdict)) states.advance(verdict.success)
        }
        return { states: [...heads.keys()].map((acctId) => states.get(acctId)), a: verdicts.get(a), b: verdicts.get(b) }
      }
      assert.deepStrictEqual(run(a, b), run(b, a))
    },
    runs,
  )
})

const bare = (changes: ReadonlyArray<{ readonly acctId: AccountId; readonly amount: Money.NonZeroAmount }>) =>
  changes.map(({ acctId, amount }) => ({ acctId, amount }))

describe("decideTogether", () => {
  it.prop(
    "equals deciding one after the other, up to the first refusal; and enough ids for all of them were asked for",
    [worldOfMany],
    ([{ heads, requests }]) => {
      const together = decideTogether(requests, heads, stamp(idFirst, idsMax(requests, heads, now)))
      const states = new Map<AccountId, AccountState>(heads)
      const reversed = new Map<string, Money.Money>()
      const said = new Map<AccountId, AccountDetails>()
      const after: Heads = {
        get: (acctId) => states.get(acctId),
        has: (acctId) => states.has(acctId),
        details: (acctId) => said.get(acctId) ?? heads.details?.(acctId),
        reversed: (xactId, acctId) =>
          Money.sum(heads.reversed(xactId, acctId), reversed.get(`${xactId}/${acctId}`) ?? Money.zero),
      }
      const decisions: Array<Decision> = []
      let refused: typeof together | undefined
      let used = 0
      for (const [index, request] of requests.entries()) {
        const verdict = decide(request, after, stamp(idFirst + used, 1000))
        if (Result.isFailure(verdict)) {
          refused = Result.fail({ index, refusal: verdict.failure })
          break
        }
        const { success } = verdict
        decisions.push(success)
        used += idsUsed(success)
        for (const [acctId, head] of success.heads) states.set(acctId, head)
        if (success.account !== null) said.set(success.account.acctId, success.account)
        for (const { acctId, chgAmt, reversesXactId } of success.changes) {
          const key = `${reversesXactId}/${acctId}`
          reversed.set(key, Money.sum(reversed.get(key) ?? Money.zero, chgAmt))
        }
      }
      assert.deepStrictEqual(together, refused ?? Result.succeed(decisions))
      // As a batch does: those that are refused are left out, and the others go on.
      const going = new HeadsAfter(heads)
      let ids = stamp(idFirst, idsMax(requests, heads, now)).ids
      for (const request of requests) {
        const verdict = decideTogether([request], going, { ...stamp(idFirst, 0), ledgerId, now, ids })
        if (Result.isFailure(verdict)) continue
        for (const decision of verdict.success) {
          ids = ids.slice(idsUsed(decision))
          going.advance(decision)
          for (const row of rowsOf(decision)) assertStorable(row)
        }
      }
    },
    { arbitrary: { runs: 600 } },
  )
})
