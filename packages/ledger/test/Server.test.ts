/** Which of several servers the ledger is kept on, by what they say of themselves. */
import { assert, describe, it } from "@effect/vitest"
import { judge, type Report, type Server, Unfit, type UnfitKind } from "../src/database/Server.ts"

const primary: Server = {
  host: { host: "pg1", port: 5432 },
  dialect: "postgresql",
  version: "PostgreSQL 18.4",
  isInRecovery: false,
  isReadOnly: false,
  systemIdentifier: "7",
  timeline: 2,
  startTime: "monday",
  ledgerObject: "1:2",
  lossySettings: [],
  isCommitLowered: false,
  clockAhead: 3,
  clockError: 1,
  saidAt: { wall: Date.now(), steady: performance.now() },
}

const answered = (more: Partial<Server> = {}): Report => ({ _tag: "Answered", server: { ...primary, ...more } })
const standby = answered({ host: { host: "pg2", port: 5432 }, isInRecovery: true, isReadOnly: true, timeline: 0 })
const failed = (kind: UnfitKind): Report => ({
  _tag: "Failed",
  unfit: new Unfit({ kind, message: `pg3:5432: ${kind}` }),
})
const other = { host: { host: "pg2", port: 5432 }, startTime: "tuesday" }
const seen = { systemIdentifier: "7", timeline: 3 }

interface Case {
  readonly name: string
  readonly reports: ReadonlyArray<Report>
  readonly newest?: typeof seen
  /** The host that is worked on, or why none is. */
  readonly is: string
}

const cases: ReadonlyArray<Case> = [
  { name: "the one that takes writes", reports: [standby, answered(), failed("unreachable")], is: "pg1" },
  { name: "none, where all are standbys", reports: [standby], is: "standby" },
  { name: "none, for what can be mended before what waits for it", reports: [standby, failed("tls")], is: "tls" },
  { name: "none, where nothing has answered", reports: [], is: "unknown" },
  { name: "none, where it is told to take no writes", reports: [answered({ isReadOnly: true })], is: "read_only" },
  { name: "neither of two", reports: [answered(), answered({ ...other, timeline: 3 })], is: "two_primaries" },
  { name: "neither of two on one timeline", reports: [answered(), answered(other)], is: "two_primaries" },
  { name: "one under two names", reports: [answered(), answered({ host: other.host })], is: "pg1" },
  { name: "none that is older than one that was seen", reports: [answered()], newest: seen, is: "old_primary" },
  {
    name: "one of another cluster, whatever its timeline",
    reports: [answered({ systemIdentifier: "8" })],
    newest: seen,
    is: "pg1",
  },
  { name: "the same timeline", reports: [answered({ timeline: 3 })], newest: seen, is: "pg1" },
  {
    name: "none that loses what it acknowledged",
    reports: [answered({ lossySettings: ["fsync"] })],
    is: "not_durable",
  },
  { name: "none whose time is another", reports: [answered({ clockAhead: 1_500, clockError: 100 })], is: "clock" },
  { name: "none whose time is another, behind", reports: [answered({ clockAhead: -1_500 })], is: "clock" },
  { name: "one whose time may be the same", reports: [answered({ clockAhead: 1_500, clockError: 600 })], is: "pg1" },
  {
    name: "any node of a CockroachDB",
    reports: [failed("unreachable"), answered({ dialect: "cockroachdb", version: "CockroachDB CCL v25.4.7" })],
    is: "any",
  },
]

describe("of several servers is worked on", () => {
  for (const { is, name, newest, reports } of cases) {
    it(`${name}: ${is}`, () => {
      const verdict = judge(reports, newest)
      const hosts = verdict._tag === "Fit" ? verdict.hosts.map(({ host }) => host) : []
      assert.strictEqual(verdict._tag === "Unfit" ? verdict.unfit.kind : (hosts[0] ?? "any"), is)
    })
  }

  it("two that take writes are named with their timelines", () => {
    const verdict = judge([answered(), answered({ ...other, timeline: 3 })], undefined)
    assert.include(
      verdict._tag === "Unfit" ? verdict.unfit.message : "",
      "pg1:5432 (timeline 2) and pg2:5432 (timeline 3)",
    )
  })
})
