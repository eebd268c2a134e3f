import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted } from "effect"
import { join } from "node:path"
import * as DatabaseUrl from "../src/database/DatabaseUrl.ts"
import { DbConn } from "../src/database/DbConn.ts"
import { releaseToGoTo } from "../src/database/Dialect.ts"

const parse = (text: string) => DatabaseUrl.parse(Redacted.make(text))
const problemOf = (text: string) => DatabaseUrl.problemOf(Redacted.make(text))
const certificates = join(import.meta.dirname, "../../testing/certificates")

describe("an address", () => {
  it("names host, port, user, password and database", () => {
    const { password, ...rest } = parse(
      "postgres://ann:p%40ss@db.example:26257/bank?application_name=x&connect_timeout=7",
    )
    assert.strictEqual(password === undefined ? undefined : Redacted.value(password), "p@ss")
    assert.deepInclude(rest, {
      hosts: [{ host: "db.example", port: 26257 }],
      username: "ann",
      database: "bank",
      tls: "off",
      applicationName: "x",
      connectTimeout: Duration.seconds(7),
    })
  })

  it("may leave out what has a default", () => {
    assert.deepInclude(parse("postgresql://"), {
      hosts: [{ host: "localhost", port: 5432 }],
      username: undefined,
      password: undefined,
      database: undefined,
      connectTimeout: undefined,
    })
    assert.deepStrictEqual(parse("postgres:///bank").database, "bank")
  })

  it("names several hosts, each with its port, in the order they are tried in", () => {
    assert.deepInclude(parse("postgres://ann@a:1,b,[::1]:3/bank?load_balance_hosts=random"), {
      hosts: [
        { host: "a", port: 1 },
        { host: "b", port: 5432 },
        { host: "::1", port: 3 },
      ],
      isBalanced: true,
    })
    assert.deepStrictEqual(parse("postgres:///bank?host=a,b&port=1,2").hosts, [
      { host: "a", port: 1 },
      { host: "b", port: 2 },
    ])
    assert.deepStrictEqual(parse("postgres://%2Frun%2Fpg/bank").hosts, [{ host: "/run/pg", port: 5432 }])
  })

  it("asks for what is done anyway: a server that can write", () => {
    for (const attributes of ["any", "primary", "read-write"]) {
      assert.isUndefined(problemOf(`postgres://a,b/c?target_session_attrs=${attributes}`))
    }
  })

  it("asks for TLS, and names certificates", () => {
    for (const [mode, tls] of [
      ["disable", "off"],
      ["prefer", "optional"],
      ["require", "required"],
      ["verify-full", "required"],
    ] as const) {
      assert.strictEqual(parse(`postgres://a/b?sslmode=${mode}`).tls, tls)
    }
    const files = `sslrootcert=${certificates}/ca.crt&sslcert=${certificates}/client.crt&sslkey=${certificates}/client.key`
    const { tls, tlsOptions } = parse(`postgres://a/b?${files}`)
    assert.strictEqual(tls, "required")
    for (const file of [tlsOptions.ca, tlsOptions.cert, tlsOptions.key]) assert.include(String(file), "-----BEGIN")
    assert.isUndefined(parse("postgres://a/b?sslmode=verify-full&sslrootcert=system").tlsOptions.ca)
  })

  for (const [text, problem] of [
    ["mysql://ann:hunter2@a/b", "postgres://user:password@host:port/database"],
    ["postgres://ann:hunter2@a:0/b", "port"],
    ["postgres://ann:hunter2@a:x/b", "host"],
    ["postgres://ann:hunter2@a:70000/b", "port"],
    ["postgres://ann:hunter2%@a/b", "password"],
    ["postgres://ann:hunter2@a/b?sslmode=maybe", "sslmode"],
    ["postgres://ann:hunter2@a/b?sslcert=/nowhere/x.crt", "sslcert"],
    ["postgres://ann:hunter2@a/b?sslrootcert=/nowhere/ca.crt", "ENOENT"],
    [`postgres://ann:hunter2@a/b?sslcert=${certificates}/client.crt`, "belong together"],
    ["postgres://ann:hunter2@a/b?connect_timeout=soon", "connect_timeout"],
    ["postgres://ann:hunter2@/b?host=/run/a,/run/b", "socket"],
    ["postgres://ann:hunter2@a/b?keepalives=1", "the parameter keepalives is not understood"],
    ["postgres://ann:hunter2@a/b?channel_binding=require", "the parameter channel_binding is not understood"],
    ["postgres://ann:hunter2@a/b?SSLMODE=verify-full", "the parameter SSLMODE is not understood"],
    ["postgres://ann:hunter2@a/b?sslmode=verify-full&sslmode=disable", "sslmode is said more than once"],
    ["postgres://ann:hunter2@a,c/b?target_session_attrs=standby", "target_session_attrs is not one of any, primary"],
    ["postgres://ann:hunter2@a,c/b?target_session_attrs=prefer-standby", "target_session_attrs is not one of"],
    ["postgres://ann:hunter2@a,c/b?target_session_attrs=read-only", "target_session_attrs is not one of"],
    ["postgres://ann:hunter2@a,c/b?load_balance_hosts=yes", "load_balance_hosts is not one of disable, random"],
  ] as const) {
    it(`is refused with a reason and without its password: ${text}`, () => {
      const reason = problemOf(text)
      assert.include(reason ?? "", problem)
      assert.notInclude(reason ?? "", "hunter2")
    })
  }
})

it.effect("an address that cannot be understood fails the layer with a typed error, which does not repeat it", () =>
  Effect.gen(function* () {
    for (const url of [
      "postgres://ann:s3cret@db:port/bank",
      "http://ann:s3cret@db/bank",
      "postgres://ann:s3cret%@db/bank",
    ]) {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(DbConn.layerUrl({ url: Redacted.make(url) }))))
      assert.strictEqual(error._tag, "BadDatabaseUrl")
      assert.notInclude(error.message, "s3cret")
    }
  }),
)

const of = (version: string) => releaseToGoTo({ dialect: "cockroachdb", version: `CockroachDB CCL ${version} (x86)` })

describe("the release to go to", () => {
  for (const [version, release] of [
    ["v22.2.19", "v23.2.30"],
    ["v23.2.29", "v23.2.30"],
    ["v23.2.30", undefined],
    ["v24.1.26", "v24.1.27"],
    ["v24.1.27", undefined],
    // Between two lines that are maintained.
    ["v24.2.9", "v24.3.30"],
    ["v24.3.30", undefined],
    ["v25.1.5", "v25.2.16"],
    ["v25.2.16", undefined],
    ["v25.4.6", "v25.4.7"],
    ["v26.1.1", "v26.1.2"],
    ["v26.1.2", undefined],
    ["v26.3.0", undefined],
  ] as const) {
    it(`from ${version} is ${release ?? "no other"}`, () => assert.strictEqual(of(version), release))
  }

  it("is none for PostgreSQL, and for a version that says nothing", () => {
    assert.isUndefined(releaseToGoTo({ dialect: "postgresql", version: "PostgreSQL 18.4" }))
    assert.isUndefined(of("custom build"))
  })
})
