/** What an error of the database is to a program, and to an operator. */
import { assert, describe, it } from "@effect/vitest"
import { SqlError } from "effect/sql"
import { faultOf } from "../src/database/DatabaseError.ts"
import { HostFailed } from "../src/database/DatabaseSocket.ts"
import { unavailable, unfitOf } from "../src/database/FailureCause.ts"

const stated = (code: string, operation = "query") =>
  new SqlError.SqlError({
    reason: new SqlError.UnknownError({
      cause: Object.assign(new Error("Failing row contains (secret)."), { code }),
      message: "PgConnection: Query failed",
      operation,
    }),
  })

const broken = (message: string, cause: unknown = new Error(message), operation = "query") =>
  new SqlError.SqlError({ reason: new SqlError.ConnectionError({ cause, message, operation }) })

const driver = (message: string) =>
  new SqlError.SqlError({
    reason: new SqlError.UnknownError({ cause: new Error("secret"), message, operation: "query" }),
  })

describe("a statement", () => {
  for (const [name, error, fault] of [
    ["whose answer cannot be read may have been applied", driver("PgConnection: Failed to decode row"), "unknown"],
    ["that cannot be encoded was never sent", driver("PgConnection: Failed to encode query"), "defect"],
    [
      "whose stream is broken may have been applied",
      broken("PgConnection: Failed to parse server messages"),
      "unknown",
    ],
    ["of a role without the grant was not applied", stated("42501"), "unsent"],
    ["that a licence holds back was not applied", stated("XXC02"), "unsent"],
    ["on a standby was not applied", stated("25006"), "unsent"],
    ["that breaks a CHECK is a bug", stated("23514"), "defect"],
    ["without a connection was not sent", broken("PgConnection: Connection timed out", undefined, "connect"), "unsent"],
  ] as const) {
    it(`${name}: ${fault}`, () => assert.strictEqual(faultOf(error), fault))
  }
})

const told = { database: "bank", username: "ann" }
const at = { host: "db", port: 5432 }
const failedWith = (code: string) => new HostFailed(at, Object.assign(new Error("secret"), { code }))

describe("an operator is told", () => {
  for (const [error, kind, message] of [
    [stated("28P01", "connect"), "password", "db:5432: it does not take the password of this role: ann (28P01)"],
    [stated("28000", "connect"), "role", "db:5432: it does not let this role in: ann (28000)"],
    [stated("3D000", "connect"), "name", "db:5432: it has no database of this name: bank (3D000)"],
    [stated("53300", "connect"), "connections", "db:5432: it takes no more connections (53300)"],
    [stated("42P01"), "schema", "db:5432: it lacks tables of the ledger: run `banquo migrate` (42P01)"],
    [stated("XX000"), "other", "db:5432: it refuses with a SQLSTATE (XX000)"],
    [broken("x", failedWith("ECONNREFUSED")), "unreachable", "db:5432: nothing listens there (ECONNREFUSED)"],
    [broken("x", failedWith("ENOTFOUND")), "unreachable", "db:5432: there is no host of this name (ENOTFOUND)"],
    [broken("x", failedWith("CERT_HAS_EXPIRED")), "tls", "db:5432: its certificate has expired (CERT_HAS_EXPIRED)"],
    [
      broken("x", new AggregateError([failedWith("ECONNREFUSED")])),
      "unreachable",
      "db:5432: nothing listens there (ECONNREFUSED)",
    ],
    [broken("the host does not offer TLS"), "tls", "db:5432: it does not offer TLS"],
    [broken("PgConnection: Connection timed out"), "silent", "db:5432: it does not answer"],
    [
      broken("PgConnection: No password configured"),
      "password",
      "db:5432: it asks for a password, and none is given: ann",
    ],
    [
      broken("PgConnection: Protocol desync"),
      "not_postgresql",
      "db:5432: what listens there does not speak PostgreSQL",
    ],
  ] as const) {
    it(`${message}`, () => {
      const unfit = unfitOf(error, told, at)
      assert.deepStrictEqual([unfit.kind, unfit.message], [kind, message])
      assert.notInclude(JSON.stringify(unavailable(error)), "secret")
    })
  }
})
