/** The audit finds nothing where nothing is wrong, and names each kind of fault that is planted in a copy of it. */
import { AccountId } from "@banquo/domain/AccountId"
import type { AccountState } from "@banquo/domain/AccountState"
import { Actor } from "@banquo/domain/Actor"
import type { BalanceChange } from "@banquo/domain/BalanceChange"
import { BalanceChangeId } from "@banquo/domain/BalanceChangeId"
import { genesisHash, seal } from "@banquo/domain/ChangeHash"
import { Currency } from "@banquo/domain/Currency"
import { decide } from "@banquo/domain/Decide"
import { idemKey } from "@banquo/domain/Idempotency"
import { IdempotencyKey } from "@banquo/domain/IdempotencyKey"
import type { Heads } from "@banquo/domain/Decision"
import type { Intent } from "@banquo/domain/Intent"
import * as Money from "@banquo/domain/Money"
import * as Timestamp from "@banquo/domain/Timestamp"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { Acknowledged, Attempt, Look } from "../src/Attempt.ts"
import { audit, type Evidence, type Fault, type FaultKind, faultKinds } from "../src/Audit.ts"

const ledgerId = "0192f0c1-7a5e-7c4b-9d21-3f6a8b0c1d2e"
const actor = Actor.make("anonymous")
const nothingSaid = { reference: null, description: null, metadata: null }
const accountId = (index: number) => AccountId.make(`00000000-0000-4000-8000-${String(index).padStart(12, "0")}`)

/** Accounts 0 to 3 from before the run, one hundred rows of it, and an account 4 that was opened in it. */
const good = (): Evidence => {
  const heads = new Map<AccountId, AccountState>()
  const tails = new Map<AccountId, BalanceChange>()
  const rows: Array<BalanceChange> = []
  const attempts: Array<Attempt> = []
  const looks: Array<Look> = []
  let id = 0n
  let time = 0

  const states: Heads = {
    get: (acctId) => heads.get(acctId),
    has: (acctId) => heads.has(acctId),
    reversed: (xactId, acctId) =>
      rows
        .filter((row) => row.reversesXactId === xactId && row.acctId === acctId)
        .reduce((sum, { chgAmt }) => Money.sum(sum, chgAmt), Money.zero),
  }
  const apply = (intent: Intent, key: string | null) => {
    const ids = Array.from({ length: 8 }, () => BalanceChangeId.make((id += 1n)))
    const decision = Result.getOrThrow(
      decide({ intent, actor, idempotencyKey: key === null ? null : IdempotencyKey.make(key) }, states, {
        now: Timestamp.fromMillis(1_795_426_200_000 + time),
        ids,
        ledgerId,
        saltSeed: new Uint8Array(16),
      }),
    )
    for (const [acctId, head] of decision.heads) heads.set(acctId, head)
    return decision
  }
  const open = (index: number, key: string | null) =>
    apply(
      {
        _tag: "OpenAccount",
        acctId: accountId(index),
        acctIdIsChosen: true,
        custName: `Customer ${index}`,
        custAddress: "",
        owner: null,
        currency: Currency.make("USD"),
        scale: null,
        initialBalance: Money.Amount.make(key === null ? "1000.00" : "0"),
        overdraftLimit: Money.NonNegativeAmount.make("0"),
        reference: null,
        metadata: null,
      },
      key,
    )
  const post = (key: string, legs: ReadonlyArray<readonly [number, string]>) => {
    const asked = legs.map(([index, amount]) => ({ acctId: accountId(index), amount }))
    return write(
      key,
      {
        _tag: "PostTransaction",
        changes: asked.map(({ acctId, amount }) => ({ acctId, amount: Money.NonZeroAmount.make(amount) })),
        ...nothingSaid,
      },
      asked,
    )
  }
  const write = (key: string, intent: Intent, asked: Attempt["asked"]) => {
    const { asides, changes } = apply(intent, key)
    rows.push(...asides, ...changes)
    time += 2
    attempts.push({
      key,
      sent: time - 1.5,
      received: time - 0.5,
      outcome: "acknowledged",
      asked,
      changes: changes.map(acknowledged),
    })
    return changes[0]!.bchgId
  }

  /** Holds that are captured in parts, into another account, released and expired; reversals in parts and by force. */
  const lives = () => {
    const hold = (key: string, index: number, amount: string) => {
      const acctId = accountId(index)
      const held = Money.PositiveAmount.make(amount)
      return write(key, { _tag: "PlaceHold", acctId, amount: held, expiry: { ttl: 1 }, ...nothingSaid }, [])
    }
    const capture = (key: string, holdId: BalanceChangeId, amount: string, isFinal: boolean) =>
      write(
        key,
        {
          _tag: "CaptureHold",
          acctId: accountId(0),
          holdId,
          amount: Money.PositiveAmount.make(amount),
          isFinal,
          to: isFinal ? accountId(1) : null,
          ...nothingSaid,
        },
        [{ acctId: accountId(0), amount: `-${amount}` }, ...(isFinal ? [{ acctId: accountId(1), amount }] : [])],
      )
    const reverse = (
      key: string,
      xactId: BalanceChangeId,
      legs: ReadonlyArray<readonly [number, string]>,
      isForced = false,
    ) => {
      const moved = rows.filter((row) => row.xactId === xactId && row.chgAmt !== 0n)
      const asked = legs.map(([index, amount]) => ({
        acctId: accountId(index),
        amount: Money.NonZeroAmount.make(amount),
      }))
      const original = moved.map(({ acctId, chgAmt, currency, effectiveTime }) => ({
        acctId,
        chgAmt,
        currency,
        effectiveTime,
      }))
      write(
        key,
        {
          _tag: "ReverseTransaction",
          xactId,
          original,
          changes: legs.length === 0 ? null : asked,
          isForced,
          ...nothingSaid,
        },
        legs.length === 0 ? null : asked,
      )
    }
    const taken = hold("taken", 0, "50.00")
    capture("part", taken, "20.00", false)
    const last = capture("last", taken, "10.00", true)
    reverse("reversal", last, [
      [0, "4.00"],
      [1, "-4.00"],
    ])
    reverse("rest", last, [])
    const released = hold("released", 0, "5.00")
    write("release", { _tag: "ReleaseHold", acctId: accountId(0), holdId: released, ...nothingSaid }, [])
    hold("expired", 3, "900.00")
    hold("swept", 2, "1.00")
    time += 2_000
    const needing = post("needing", [
      [3, "-800.00"],
      [2, "800.00"],
    ])
    const { changes } = apply({ _tag: "ExpireHolds", acctId: accountId(2) }, null)
    rows.push(...changes)
    const empty = heads.get(accountId(2))!.balance
    post("spent", [[2, `-${Money.format(empty, 2)}`]])
    reverse("forced", needing, [], true)
    const terms = {
      _tag: "ChangeTerms",
      acctId: accountId(1),
      acctStatus: "frozen",
      reason: null,
      metadata: null,
    } as const
    write("frozen", terms, [])
    const frozen = attempts.pop()!
    attempts.push({ ...frozen, changes: frozen.changes.map((change) => ({ ...change, changeId: null })) })
  }

  for (const index of [0, 1, 2, 3]) tails.set(accountId(index), open(index, null).changes[0]!)
  const opened = open(4, "opening")
  rows.push(...opened.changes)
  attempts.push({
    key: "opening",
    sent: 0,
    received: 0.5,
    outcome: "acknowledged",
    asked: [{ acctId: accountId(4), amount: "0" }],
    changes: opened.changes.map(acknowledged),
  })
  for (let n = 0; n < 33; n++) {
    post(`change-${n}`, [[n % 4, n % 3 === 0 ? "-1.25" : "2.5"]])
    post(`transfer-${n}`, [
      [n % 4, "-3.00"],
      [n % 2 === 0 ? 4 : (n + 1) % 4, "3.00"],
    ])
    looks.push({
      acctId: accountId(n % 4),
      sent: time,
      received: time + 0.2,
      newestSeq: heads.get(accountId(n % 4))!.acctSeq,
      isDense: true,
    })
  }
  lives()
  // A key that came again, one that was refused and once unanswered, and two unanswered ones, one of them carried out.
  attempts.push({ ...attempts[1]!, sent: time, received: time + 1, outcome: "replayed" })
  const refused = { key: "refused", asked: [{ acctId: accountId(0), amount: "-9000000.00" }], changes: [] }
  attempts.push({ ...refused, sent: time, received: time + 1, outcome: "refused" })
  attempts.push({ ...refused, key: "unanswered", sent: time, received: time + 1, outcome: "unknown" })
  post("done-but-unanswered", [[2, "7.00"]])
  const last = attempts.pop()!
  attempts.push({ ...last, outcome: "unknown", changes: [] })
  return { ledgerId, tails, rows, oldRows: { before: 4, after: 4 }, log: { attempts, looks } }
}

const acknowledged = (row: BalanceChange): Acknowledged => ({
  changeId: String(row.bchgId),
  acctId: row.acctId,
  seq: row.acctSeq,
  amount: Money.format(row.chgAmt, 2),
  held: Money.format(row.heldAmt, 2),
  balance: Money.format(row.balance, 2),
  hash: Buffer.from(row.chgHash).toString("hex"),
})

interface Plant {
  readonly kind: FaultKind
  readonly how: string
  readonly plant: (evidence: Evidence) => Evidence
}

const withRows = (evidence: Evidence, change: (rows: Array<BalanceChange>) => void): Evidence => {
  const rows = [...evidence.rows]
  change(rows)
  return { ...evidence, rows }
}

const withAttempts = (evidence: Evidence, change: (attempts: Array<Attempt>) => void): Evidence => {
  const attempts = [...evidence.log!.attempts]
  change(attempts)
  return { ...evidence, log: { ...evidence.log!, attempts } }
}

/** Of a change of account 0 in the middle of its chain. */
const middle = (rows: ReadonlyArray<BalanceChange>) =>
  rows.findIndex(({ acctId, acctSeq }) => acctId === accountId(0) && acctSeq === 5)

const edit = (evidence: Evidence, to: (row: BalanceChange) => Partial<BalanceChange>) =>
  withRows(evidence, (rows) => {
    const at = middle(rows)
    rows[at] = { ...rows[at]!, ...to(rows[at]!) }
  })

/** One row of an account changed, and all that follow made to fit. */
const refitted = (evidence: Evidence, key: string, to: (row: BalanceChange) => Partial<BalanceChange>): Evidence => {
  const { acctId, bchgId } = evidence.rows[single(evidence.rows, key)]!
  return resealed(
    evidence,
    acctId,
    chainOf(evidence, acctId).map((row) => (row.bchgId === bchgId ? { ...row, ...to(row) } : row)),
  )
}

/** All of an account's rows again from one that has been changed, with links, sums and hashes that fit. */
const resealed = (evidence: Evidence, acctId: AccountId, rows: ReadonlyArray<BalanceChange>): Evidence => {
  let prev = evidence.tails.get(acctId)!
  const chain = rows.map((row) => {
    prev = seal(
      {
        ...row,
        acctSeq: prev.acctSeq + 1,
        prevBchgId: prev.bchgId,
        balance: Money.sum(prev.balance, row.chgAmt),
        held: Money.sum(prev.held, row.heldAmt),
      },
      prev.chgHash,
    )
    return prev
  })
  return { ...evidence, rows: [...evidence.rows.filter((row) => row.acctId !== acctId), ...chain] }
}

const chainOf = ({ rows }: Evidence, acctId: AccountId) => rows.filter((row) => row.acctId === acctId)

const hasKey = ({ idemKey: stored }: BalanceChange, key: string): boolean =>
  stored?.toHex() === idemKey(actor, IdempotencyKey.make(key)).toHex()

const single = (rows: ReadonlyArray<BalanceChange>, key: string) => rows.findIndex((row) => hasKey(row, key))

const plants: ReadonlyArray<Plant> = [
  {
    kind: "lost",
    how: "an acknowledged row removed, and the chain closed over it as if it had never been",
    plant: (evidence) =>
      resealed(
        evidence,
        accountId(0),
        chainOf(evidence, accountId(0)).filter((row) => !hasKey(row, "change-4")),
      ),
  },
  {
    kind: "gap",
    how: "a row removed",
    plant: (evidence) => withRows(evidence, (rows) => rows.splice(middle(rows), 1)),
  },
  {
    kind: "doubled",
    how: "a row that is there twice",
    plant: (evidence) => withRows(evidence, (rows) => rows.push(rows[middle(rows)]!)),
  },
  {
    kind: "held without a hold",
    how: "a change of what is held that belongs to no hold, all sums and hashes made to fit",
    plant: (evidence) => {
      const acctId = accountId(4)
      let prev: BalanceChange | undefined
      const chain = chainOf(evidence, acctId).map((row, at) => {
        const held = Money.make(at < 2 ? 0n : 1_000_000n)
        const heldAmt = Money.make(at === 2 ? 1_000_000n : 0n)
        prev = seal({ ...row, held, heldAmt }, prev?.chgHash ?? genesisHash(ledgerId, acctId))
        return prev
      })
      return { ...evidence, rows: [...evidence.rows.filter((row) => row.acctId !== acctId), ...chain] }
    },
  },
  {
    kind: "fork",
    how: "another row after the same one, with a place of its own",
    plant: (evidence) =>
      withRows(evidence, (rows) => {
        const row = rows[middle(rows)]!
        rows.push({ ...row, bchgId: BalanceChangeId.make(9999n), acctSeq: 1000 })
      }),
  },
  {
    kind: "fork",
    how: "another row in the same place",
    plant: (evidence) =>
      withRows(evidence, (rows) => rows.push({ ...rows[middle(rows)]!, bchgId: BalanceChangeId.make(9999n) })),
  },
  {
    kind: "fork",
    how: "a row that follows what the tail of before the run follows",
    plant: (evidence) => {
      const [acctId, tail] = [...evidence.tails][0]!
      const tails = new Map(evidence.tails).set(acctId, { ...tail, prevBchgId: BalanceChangeId.make(77n) })
      return withRows({ ...evidence, tails }, (rows) => {
        const first = rows.findIndex((row) => row.acctId === acctId)
        rows[first] = { ...rows[first]!, prevBchgId: BalanceChangeId.make(77n) }
      })
    },
  },
  {
    kind: "broken link",
    how: "a row that names another account's",
    plant: (evidence) => edit(evidence, () => ({ prevBchgId: BalanceChangeId.make(3n) })),
  },
  {
    kind: "wrong balance",
    how: "a cent too much",
    plant: (evidence) => edit(evidence, ({ balance }) => ({ balance: Money.make(balance + 1_000_000n) })),
  },
  {
    kind: "wrong balance",
    how: "a held amount out of nothing",
    plant: (evidence) => edit(evidence, () => ({ held: Money.make(1_000_000n) })),
  },
  {
    kind: "wrong hash",
    how: "another actor",
    plant: (evidence) => edit(evidence, () => ({ actor: Actor.make("eve") })),
  },
  {
    kind: "not yet",
    how: "a row that happened in the world later than it was made",
    plant: (evidence) => edit(evidence, ({ chgCreateTime }) => ({ effectiveTime: Timestamp.make(chgCreateTime + 1n) })),
  },
  {
    kind: "another asset",
    how: "a row in another currency",
    plant: (evidence) => edit(evidence, () => ({ currency: Currency.make("EUR") })),
  },
  {
    kind: "other terms",
    how: "a limit that was raised with no change of terms",
    plant: (evidence) => edit(evidence, () => ({ overdraftLimit: Money.make(100_000_000n) })),
  },
  {
    kind: "too many decimals",
    how: "a tenth of a cent",
    plant: (evidence) => edit(evidence, ({ balance }) => ({ balance: Money.make(balance + 100_000n) })),
  },
  {
    kind: "wrong texts",
    how: "a description that was written later",
    plant: (evidence) => edit(evidence, () => ({ description: "never said" })),
  },
  {
    kind: "time runs back",
    how: "a row from before the one before it",
    plant: (evidence) => edit(evidence, () => ({ chgCreateTime: Timestamp.make(1n) })),
  },
  {
    kind: "key applied twice",
    how: "a transaction again under the same key",
    plant: (evidence) =>
      resealed(evidence, accountId(1), [
        ...chainOf(evidence, accountId(1)),
        ...chainOf(evidence, accountId(1))
          .filter((row) => hasKey(row, "change-1"))
          .map((row) => ({
            ...row,
            bchgId: BalanceChangeId.make(9999n),
            xactId: BalanceChangeId.make(9999n),
            chgCreateTime: Timestamp.make(row.chgCreateTime + 1_000_000_000n),
          })),
      ]),
  },
  {
    kind: "key applied twice",
    how: "an answer to a key that came again, as if it were new",
    plant: (evidence) =>
      withAttempts(evidence, (attempts) => {
        const at = attempts.findIndex(({ outcome }) => outcome === "replayed")
        attempts[at] = { ...attempts[at]!, outcome: "acknowledged" }
      }),
  },
  {
    kind: "refused but stored",
    how: "a row for a key that was refused",
    plant: (evidence) =>
      withAttempts(evidence, (attempts) => {
        const at = attempts.findIndex(({ key }) => key === "change-8")
        attempts[at] = { ...attempts[at]!, outcome: "refused", changes: [] }
      }),
  },
  {
    kind: "never asked for",
    how: "a row that no client knows of",
    plant: (evidence) =>
      withAttempts(evidence, (attempts) =>
        attempts.splice(
          attempts.findIndex(({ key }) => key === "change-9"),
          1,
        ),
      ),
  },
  {
    kind: "never asked for",
    how: "a row without a key",
    plant: (evidence) =>
      withRows(evidence, (rows) => {
        const at = single(rows, "change-9")
        rows[at] = { ...rows[at]!, idemKey: null }
      }),
  },
  {
    kind: "unbalanced",
    how: "a transfer of which one leg is a cent less",
    plant: (evidence) =>
      withRows(evidence, (rows) => {
        const at = rows.findIndex(({ bchgId, xactId }) => bchgId !== xactId)
        rows[at] = { ...rows[at]!, chgAmt: Money.make(rows[at]!.chgAmt - 1_000_000n) }
      }),
  },
  {
    kind: "unbalanced",
    how: "a transfer without its first leg",
    plant: (evidence) => withRows(evidence, (rows) => rows.splice(single(rows, "transfer-3"), 1)),
  },
  {
    kind: "money made or lost",
    how: "a change of another amount, all sums and hashes made to fit",
    plant: (evidence) =>
      resealed(
        evidence,
        accountId(0),
        chainOf(evidence, accountId(0)).map((row) =>
          hasKey(row, "change-4") ? { ...row, chgAmt: Money.make(10_000_000_000n) } : row,
        ),
      ),
  },
  {
    kind: "beyond the hold",
    how: "a hold that is let go of by a row of another",
    plant: (evidence) => refitted(evidence, "swept", () => ({ holdId: BalanceChangeId.make(1n) })),
  },
  {
    kind: "held without a hold",
    how: "money that is held still, or no more",
    plant: (evidence) =>
      withRows(evidence, (rows) => {
        const at = single(rows, "part")
        rows[at] = { ...rows[at]!, held: Money.make(rows[at]!.held + 1_000_000n) }
      }),
  },
  {
    kind: "beyond the hold",
    how: "a capture of more than is left",
    plant: (evidence) =>
      refitted(evidence, "part", () => ({ chgAmt: Money.make(-6_000_000_000n), heldAmt: Money.make(-6_000_000_000n) })),
  },
  {
    kind: "beyond the hold",
    how: "a capture that takes more than it holds less",
    plant: (evidence) => refitted(evidence, "part", () => ({ chgAmt: Money.make(-2_100_000_000n) })),
  },
  {
    kind: "beyond the hold",
    how: "a hold that ends twice",
    plant: (evidence) => {
      const release = evidence.rows[single(evidence.rows, "release")]!
      const again = {
        ...release,
        bchgId: BalanceChangeId.make(9999n),
        xactId: BalanceChangeId.make(9999n),
        idemKey: null,
      }
      const chain = chainOf(evidence, release.acctId)
      return resealed(
        evidence,
        release.acctId,
        chain.flatMap((row) => (row === release ? [row, again] : [row])),
      )
    },
  },
  {
    kind: "captured too late",
    how: "a capture after the hold had expired",
    plant: (evidence) =>
      refitted(evidence, "taken", ({ chgCreateTime }) => ({ holdExpiresAt: Timestamp.make(chgCreateTime + 1n) })),
  },
  {
    kind: "reversed too far",
    how: "a cent more than there was",
    plant: (evidence) => refitted(evidence, "reversal", ({ chgAmt }) => ({ chgAmt: Money.make(chgAmt + 1_000_000n) })),
  },
  {
    kind: "reversed too far",
    how: "a reversal of a reversal",
    plant: (evidence) => {
      const xactId = evidence.rows[single(evidence.rows, "reversal")]!.xactId
      return refitted(evidence, "rest", () => ({ reversesXactId: xactId }))
    },
  },
  {
    kind: "never asked for",
    how: "a release that nobody asked for of a hold that had not expired",
    plant: (evidence) => refitted(evidence, "release", () => ({ idemKey: null })),
  },
  {
    kind: "never asked for",
    how: "terms that nobody asked for",
    plant: (evidence) => refitted(evidence, "frozen", () => ({ idemKey: null })),
  },
  {
    kind: "other than acknowledged",
    how: "an acknowledged hold of a cent more",
    plant: (evidence) =>
      withAttempts(evidence, (attempts) => {
        const at = attempts.findIndex(({ key }) => key === "taken")
        attempts[at] = { ...attempts[at]!, changes: [{ ...attempts[at]!.changes[0]!, held: "50.01" }] }
      }),
  },
  {
    kind: "other than acknowledged",
    how: "an acknowledged balance of a cent more",
    plant: (evidence) =>
      withAttempts(evidence, (attempts) => {
        const at = attempts.findIndex(({ key }) => key === "change-2")
        const [change] = attempts[at]!.changes
        attempts[at] = { ...attempts[at]!, changes: [{ ...change!, balance: "1.00" }] }
      }),
  },
  {
    kind: "other than acknowledged",
    how: "an acknowledged sequence of one more",
    plant: (evidence) =>
      withAttempts(evidence, (attempts) => {
        const at = attempts.findIndex(({ key }) => key === "change-2")
        const [change] = attempts[at]!.changes
        attempts[at] = { ...attempts[at]!, changes: [{ ...change!, seq: change!.seq + 1 }] }
      }),
  },
  {
    kind: "other than asked",
    how: "a change of another amount than was asked for",
    plant: (evidence) =>
      withAttempts(evidence, (attempts) => {
        const at = attempts.findIndex(({ key }) => key === "change-2")
        attempts[at] = { ...attempts[at]!, asked: [{ ...attempts[at]!.asked![0]!, amount: "2.51" }] }
      }),
  },
  {
    kind: "reordered",
    how: "a change that was acknowledged before an earlier one was sent",
    plant: (evidence) =>
      withAttempts(evidence, (attempts) => {
        const at = attempts.findIndex(({ key }) => key === "change-8")
        attempts[at] = { ...attempts[at]!, sent: 0, received: 0.1 }
      }),
  },
  {
    kind: "stale read",
    how: "a read without the newest change",
    plant: (evidence) => {
      const { attempts, looks } = evidence.log!
      const last = looks.at(-1)!
      return { ...evidence, log: { attempts, looks: [...looks, { ...last, newestSeq: last.newestSeq - 1 }] } }
    },
  },
  {
    kind: "gap",
    how: "a read with a gap",
    plant: (evidence) => {
      const { attempts, looks } = evidence.log!
      return { ...evidence, log: { attempts, looks: [...looks, { ...looks.at(-1)!, isDense: false }] } }
    },
  },
  {
    kind: "old rows changed",
    how: "a row of before the run removed",
    plant: (evidence) => ({ ...evidence, oldRows: { before: 4, after: 3 } }),
  },
]

const kindsOf = (faults: ReadonlyArray<Fault>): ReadonlySet<FaultKind> => new Set(faults.map(({ kind }) => kind))

describe("audit", () => {
  it("finds nothing where nothing is wrong", () => {
    const evidence = good()
    assert.isAbove(evidence.rows.length, 100)
    assert.deepStrictEqual(audit(evidence), [])
  })

  it("finds nothing in chains alone, when nobody kept a log", () => {
    assert.deepStrictEqual(audit({ ...good(), log: null }), [])
  })

  for (const { how, kind, plant } of plants) {
    it(`names ${kind}: ${how}`, () => {
      const kinds = kindsOf(audit(plant(good())))
      assert.isTrue(kinds.has(kind), [...kinds].join(", "))
    })
  }

  it("has a planted fault for each kind", () => {
    assert.deepStrictEqual([...new Set(plants.map(({ kind }) => kind))].sort(), Object.keys(faultKinds).sort())
  })
})
