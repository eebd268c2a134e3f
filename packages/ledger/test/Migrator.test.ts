import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Fiber, Redacted, type Scope } from "effect"
import type { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { join } from "node:path"
import { fetchAccountInfo } from "../src/programs/Accounts.ts"
import { DbConn } from "../src/database/DbConn.ts"
import {
  checksumOf,
  leaseDuration,
  migrate,
  migrations,
  requireSchema,
  schemaVersion,
  selectSchemaVersion,
} from "../src/migrations/Migrator.ts"
import { make as makeProxy } from "@banquo/testing/FaultyProxy"
import { open } from "@banquo/testing/Ledger"
import * as TestDatabase from "@banquo/testing/TestDatabase"

/** All that a schema of PostgreSQL is made of, in an order of its own. */
const describePostgres = (sql: SqlClient.SqlClient) =>
  Effect.all({
    columns: sql`SELECT table_name, column_name, ordinal_position, data_type, udt_name, numeric_precision, numeric_scale,
        is_nullable, column_default, is_generated, generation_expression
      FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`,
    constraints: sql`SELECT conrelid::REGCLASS::TEXT AS relation, conname, pg_get_constraintdef(oid) AS definition, convalidated
      FROM pg_constraint WHERE connamespace = 'public'::REGNAMESPACE ORDER BY relation, conname`,
    indexes: sql`SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname`,
    types: sql`SELECT t.typname, string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder) AS labels
      FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY t.typname ORDER BY t.typname`,
    functions: sql`SELECT proname, pg_get_functiondef(oid) AS definition FROM pg_proc
      WHERE pronamespace = 'public'::REGNAMESPACE ORDER BY proname`,
    relations: sql`SELECT relname, relkind::TEXT AS kind, relowner::REGROLE::TEXT AS owner FROM pg_class
      WHERE relnamespace = 'public'::REGNAMESPACE ORDER BY relname`,
    grants: sql`SELECT relname, a.grantee::REGROLE::TEXT AS grantee, string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type) AS privileges
      FROM pg_class, aclexplode(relacl) a WHERE relnamespace = 'public'::REGNAMESPACE
      GROUP BY relname, a.grantee ORDER BY relname, grantee`,
  })

const tables = ["account", "balance_change", "ledger", "schema_lease", "schema_version"]

/** As CockroachDB itself would make it again; without the name of the database, which each test has its own of. */
const describeCockroach = (sql: SqlClient.SqlClient) =>
  Effect.gen(function* () {
    const [row] = yield* sql<{ name: string }>`SELECT current_database() AS name`
    const created = yield* sql<{ create_statement: string }>`SELECT create_statement FROM [SHOW CREATE ALL TABLES]`
    const types = yield* sql<{ create_statement: string }>`SELECT create_statement FROM [SHOW CREATE ALL TYPES]`
    const grants = yield* sql.unsafe(`SELECT table_name, grantee, privilege_type
      FROM [SHOW GRANTS ON TABLE ${tables.join(", ")}] ORDER BY table_name, grantee, privilege_type`)
    const texts = [...created, ...types].map((one) => one.create_statement.replaceAll(`${row!.name}.`, ""))
    return { texts: texts.sort(), grants }
  })

const describeSchema = (sql: SqlClient.SqlClient) =>
  Effect.all({
    objects: TestDatabase.engine === "postgresql" ? describePostgres(sql) : describeCockroach(sql),
    versions: sql`SELECT version, checksum FROM schema_version ORDER BY version`,
    ledgers: sql`SELECT id FROM ledger`,
    owners: sql`SELECT owner FROM schema_lease`,
  }).pipe(Effect.orDie)

/** As a database begins. Cheaper than a new one. */
const clear = (sql: SqlClient.SqlClient) =>
  Effect.forEach(
    TestDatabase.engine === "postgresql"
      ? [
          "DROP SCHEMA public CASCADE",
          "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
          "GRANT USAGE ON SCHEMA public TO PUBLIC",
        ]
      : [
          `DROP TABLE IF EXISTS ${tables.join(", ")}`,
          "DROP TYPE IF EXISTS bal_chg_flavor",
          "DROP TYPE IF EXISTS acct_status",
        ],
    (statement) => sql.unsafe(statement).unprepared,
    { discard: true },
  )

/** The schema that all the other tests run on. Looked at once. */
const templateSchema = Effect.runSync(
  Effect.gen(function* () {
    const { superuserUrl } = yield* TestDatabase.TestDatabase
    return yield* describeSchema(yield* TestDatabase.connect(superuserUrl))
  }).pipe(Effect.scoped, Effect.provide(TestDatabase.layerMigrated, { local: true }), Effect.cached),
)

/** Runs a program on a database of its own with nothing in it. */
const onEmpty = <A, E>(program: Effect.Effect<A, E, TestDatabase.TestDatabase | Scope.Scope>) =>
  Effect.scoped(program).pipe(Effect.provide(TestDatabase.layerEmpty, { local: true }))

const asOwner = Effect.map(TestDatabase.TestDatabase, ({ ownerUrl }) => connectTo(ownerUrl))
const connectTo = (url: Redacted.Redacted<string>) =>
  DbConn.layerUrl({ url, connectionsMax: 4, statementTimeout: Duration.zero })

/** Asserts that the database has the same schema as the others, and that accounts can be opened in it. */
const assertComplete = Effect.gen(function* () {
  const { appUrl, superuserUrl } = yield* TestDatabase.TestDatabase
  const sql = yield* TestDatabase.connect(superuserUrl)
  assert.deepStrictEqual(yield* describeSchema(sql), yield* templateSchema)
  const { state } = yield* Effect.flatMap(open("10"), fetchAccountInfo).pipe(Effect.provide(connectTo(appUrl)))
  assert.strictEqual(state.acctSeq, 0)
})

const applied = migrations.map(({ version }) => version)

/** The lease is renewed three times in its duration. */
const renewalInterval = Duration.divideUnsafe(leaseDuration, 3)

/** A database as far as the migrator itself is concerned, with nothing migrated: the lease can be set. */
const withoutVersion = Effect.gen(function* () {
  const { ownerUrl } = yield* TestDatabase.TestDatabase
  const sql = yield* TestDatabase.connect(ownerUrl)
  yield* sql`DELETE FROM schema_version`
  return sql
})

const setLease = (sql: SqlClient.SqlClient, owner: string, expiry: string) =>
  sql`UPDATE schema_lease SET owner = ${owner}, expires_at = now() + ${expiry}::INTERVAL`

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("an empty database", (it) => {
  it.effect("has no version, is refused, and is brought to the newest one", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* selectSchemaVersion, 0)
        const error = yield* Effect.flip(requireSchema)
        assert.deepInclude(error, { _tag: "SchemaOutdated", version: 0, needed: schemaVersion })
        assert.deepStrictEqual(yield* migrate("first"), applied)
        assert.strictEqual(yield* requireSchema, schemaVersion)
      }).pipe(Effect.provide(yield* asOwner))
      yield* assertComplete
    }),
  )

  it.effect("is left alone by a second migration, and by one of an older build", () =>
    Effect.gen(function* () {
      const { superuserUrl } = yield* TestDatabase.TestDatabase
      const sql = yield* TestDatabase.connect(superuserUrl)
      yield* Effect.gen(function* () {
        yield* migrate("first")
        const before = yield* describeSchema(sql)
        const ledger = yield* sql`SELECT ledger_id FROM ledger`
        assert.deepStrictEqual(yield* migrate("second"), [])
        assert.deepStrictEqual(yield* describeSchema(sql), before)
        assert.deepStrictEqual(yield* sql`SELECT ledger_id FROM ledger`, ledger)
        yield* sql`INSERT INTO schema_version (version, checksum) VALUES (99, 'of a later build')`
        assert.deepStrictEqual(yield* migrate("older"), [])
        assert.strictEqual(yield* requireSchema, 99)
        yield* sql`DELETE FROM schema_version WHERE version = 99`
      }).pipe(Effect.provide(yield* asOwner))
    }),
  )

  it.effect("is migrated in spite of other changes of the schema, which undo or refuse its own", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const proxy = yield* makeProxy(ownerUrl)
      const faults = yield* Effect.all([
        proxy.refuse("CREATE TABLE IF NOT EXISTS schema_lease", "55000", 2),
        proxy.refuse("CREATE TABLE IF NOT EXISTS balance_change", "40001", 2),
        proxy.refuse("GRANT SELECT, INSERT ON TABLE", "55000", 2),
      ])
      const sql = yield* TestDatabase.connect((yield* TestDatabase.TestDatabase).superuserUrl)
      yield* clear(sql)
      assert.deepStrictEqual(yield* migrate("met").pipe(Effect.provide(connectTo(proxy.url))), applied)
      for (const { happened } of faults) yield* happened
      yield* assertComplete
    }),
  )

  it.effect("shows its version to the role of the service, which may not migrate it", () =>
    Effect.gen(function* () {
      const { appUrl } = yield* TestDatabase.TestDatabase
      yield* migrate("owner").pipe(Effect.provide(yield* asOwner))
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* requireSchema, schemaVersion)
        const exit = yield* Effect.exit(migrate("service"))
        assert.include(JSON.stringify(exit), "42501")
      }).pipe(Effect.provide(connectTo(appUrl)))
    }),
  )
})

layer(TestDatabase.layerMigrated, { excludeTestServices: true })(
  "a migration that was edited after it was applied",
  (it) => {
    it.effect("is refused by who migrates and by who serves, and a later build's is left alone", () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* TestDatabase.TestDatabase
        const sql = yield* TestDatabase.connect(ownerUrl)
        const rows = yield* sql`SELECT version, checksum FROM schema_version`
        assert.deepStrictEqual(
          rows,
          migrations.map((migration) => ({ version: BigInt(migration.version), checksum: checksumOf(migration) })),
        )
        yield* sql`UPDATE schema_version SET checksum = 'of other steps' WHERE version = 1`
        const errors = yield* Effect.all([Effect.flip(migrate("next")), Effect.flip(requireSchema)]).pipe(
          Effect.provide(yield* asOwner),
        )
        for (const error of errors) assert.deepInclude(error, { _tag: "MigrationChanged", version: 1 })
        assert.deepStrictEqual(yield* sql`SELECT owner FROM schema_lease`, [{ owner: null }])
      }),
    )

    it("the checksums are those of the migrations as they landed: to change one is to break every database", () => {
      assert.deepStrictEqual(migrations.map(checksumOf), [
        "b6f4108010fdadd00d4cbc6ea21ee78d19c447f3704d989e6b37729eb3c668a9",
      ])
    })

    it("each step is in its checksum", () => {
      const [first] = migrations
      const [step, ...others] = first!.steps
      const edited = [
        { ...first!, version: 2 },
        { ...first!, steps: others },
        { ...first!, steps: [{ ...step!, ddl: `${step!.ddl} ` }, ...others] },
        { ...first!, steps: [{ ...step!, dialect: "cockroachdb" as const }, ...others] },
        { ...first!, steps: [{ ...step!, unless: "SELECT 1" }, ...others] },
      ]
      assert.strictEqual(new Set([first!, ...edited].map(checksumOf)).size, 6)
    })
  },
)

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("several migrators", (it) => {
  it.effect("at once apply each version once, and all succeed", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const results = yield* Effect.forEach(
        ["a", "b", "c", "d", "e"],
        (owner) => migrate(owner).pipe(Effect.provide(connectTo(ownerUrl))),
        { concurrency: "unbounded" },
      )
      assert.deepStrictEqual(results.flat(), applied)
      yield* assertComplete
    }),
  )
})

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("a migration that ended midway", (it) => {
  const sent = migrations.flatMap(({ steps, version }) =>
    steps
      // Roles belong to the server and are there already.
      .filter(({ dialect = TestDatabase.dialect, unless }) => unless === undefined && dialect === TestDatabase.dialect)
      .map(({ ddl }) => ({ ddl, version })),
  )

  const completed = () =>
    Effect.gen(function* () {
      assert.isAbove(sent.length, 12)
      const { ownerUrl, superuserUrl } = yield* TestDatabase.TestDatabase
      const sql = yield* TestDatabase.connect(superuserUrl)
      for (const { ddl, version } of sent) {
        const complete = applied.filter((other) => other < version)
        yield* clear(sql)
        yield* Effect.gen(function* () {
          const proxy = yield* makeProxy(ownerUrl)
          const fault = yield* proxy.loseReply(ddl)
          const error = yield* Effect.flip(migrate("ended").pipe(Effect.provide(connectTo(proxy.url))))
          yield* fault.happened
          assert.strictEqual(error._tag, "DatabaseUnavailable")
          assert.deepStrictEqual(
            yield* sql`SELECT version FROM schema_version ORDER BY version`,
            complete.map((other) => ({ version: BigInt(other) })),
          )
          assert.deepStrictEqual(
            yield* migrate("next").pipe(Effect.provide(yield* asOwner)),
            applied.filter((other) => other >= version),
          )
          assert.deepStrictEqual(yield* describeSchema(sql), yield* templateSchema)
        }).pipe(Effect.scoped)
      }
    })
  it.effect("is completed by the next one, whichever of its steps was the last", completed, TestDatabase.schemaTimeout)

  it.effect("before its first step is begun by the next one", () =>
    onEmpty(
      Effect.gen(function* () {
        const { ownerUrl } = yield* TestDatabase.TestDatabase
        const proxy = yield* makeProxy(ownerUrl)
        yield* proxy.loseStatement(sent[0]!.ddl)
        yield* Effect.flip(migrate("ended").pipe(Effect.provide(connectTo(proxy.url))))
        yield* migrate("next").pipe(Effect.provide(yield* asOwner))
        yield* assertComplete
      }),
    ),
  )

  it.effect("because its process was killed is completed when its lease has expired", () =>
    onEmpty(
      Effect.gen(function* () {
        const { ownerUrl } = yield* TestDatabase.TestDatabase
        const proxy = yield* makeProxy(ownerUrl)
        const hold = yield* proxy.hold("CREATE TABLE IF NOT EXISTS balance_change")
        const child = spawn(process.execPath, [join(import.meta.dirname, "MigrateOnce.ts")], {
          env: { ...process.env, DATABASE_URL: Redacted.value(proxy.url) },
          stdio: "ignore",
        })
        const ended = yield* Effect.forkChild(
          Effect.callback<string | null>((resume) => {
            child.once("exit", (_, signal) => resume(Effect.succeed(signal)))
          }),
        )
        yield* hold.arrived
        child.kill("SIGKILL")
        assert.strictEqual(yield* Fiber.join(ended), "SIGKILL")
        yield* proxy.goAway

        const sql = yield* TestDatabase.connect(ownerUrl)
        const owner = sql<{ owner: string | null }>`SELECT owner FROM schema_lease`
        assert.deepStrictEqual(yield* owner, [{ owner: "the process that is killed" }])
        assert.deepStrictEqual(yield* sql`SELECT to_regclass('balance_change')::TEXT AS name`, [{ name: null }])
        yield* sql`UPDATE schema_lease SET expires_at = now() - INTERVAL '1 second'`
        assert.deepStrictEqual(yield* migrate("next").pipe(Effect.provide(yield* asOwner)), applied)
        yield* assertComplete
      }),
    ),
  )
})

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("an index", (it) => {
  const ofEffectiveTimes = "balance_change_effective_time_idx"

  it.effect("on effective times is what rows that are dated otherwise are summed by", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const sql = yield* TestDatabase.connect(ownerUrl)
      const where = `acct_id = '00000000-0000-4000-8000-000000000001'
        AND effective_time <> chg_create_time AND effective_time > now() AND acct_seq <= 5`
      if (TestDatabase.engine === "cockroachdb") {
        // It would refuse an index that is told to be used and does not hold all the rows.
        const [row] = yield* sql.unsafe<{ sum: unknown }>(
          `SELECT sum(chg_amt) AS sum FROM balance_change@${ofEffectiveTimes} WHERE ${where}`,
        )
        assert.isNull(row!.sum)
        return
      }
      yield* sql`SET enable_seqscan = off`
      const plan = yield* sql.unsafe<{ "QUERY PLAN": string }>(
        `EXPLAIN (COSTS OFF) SELECT sum(chg_amt) FROM balance_change WHERE ${where}`,
      )
      assert.include(plan.map((line) => line["QUERY PLAN"]).join("\n"), ofEffectiveTimes)
    }),
  )
})

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("the lease", (it) => {
  it.effect("of a dead migrator is taken over", () =>
    Effect.gen(function* () {
      const sql = yield* withoutVersion
      yield* setLease(sql, "dead", "-1 second")
      assert.deepStrictEqual(yield* migrate("next").pipe(Effect.provide(yield* asOwner)), applied)
      assert.deepStrictEqual(yield* sql`SELECT owner FROM schema_lease`, [{ owner: null }])
      yield* assertComplete
    }),
  )

  it.effect("of this migrator, from before it was started anew, is its own", () =>
    Effect.gen(function* () {
      const sql = yield* withoutVersion
      yield* setLease(sql, "same", "1 hour")
      assert.deepStrictEqual(yield* migrate("same").pipe(Effect.provide(yield* asOwner)), applied)
    }),
  )

  it.effect("of another makes a migrator wait until it is released", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const proxy = yield* makeProxy(ownerUrl)
      const sql = yield* withoutVersion
      yield* setLease(sql, "other", "1 hour")
      const tried = yield* proxy.watch("UPDATE schema_lease SET owner", 3)
      const fiber = yield* Effect.forkChild(migrate("waiting").pipe(Effect.provide(connectTo(proxy.url))))
      yield* tried.happened
      assert.isUndefined(fiber.pollUnsafe())
      assert.deepStrictEqual(yield* sql`SELECT version FROM schema_version`, [])
      yield* sql`UPDATE schema_lease SET owner = NULL`
      assert.deepStrictEqual(yield* Fiber.join(fiber), applied)
    }),
  )

  it.effect("is renewed while a step takes long, and its loss ends the migration", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const proxy = yield* makeProxy(ownerUrl)
      const sql = yield* withoutVersion
      const hold = yield* proxy.hold("CREATE TABLE IF NOT EXISTS balance_change")
      const fiber = yield* Effect.forkChild(Effect.flip(migrate("slow").pipe(Effect.provide(connectTo(proxy.url)))))
      yield* hold.arrived
      yield* sql`UPDATE schema_lease SET expires_at = now()`
      const renewal = sql<{
        renewed: boolean
      }>`SELECT expires_at > now() + INTERVAL '1 second' AS renewed FROM schema_lease`
      const renewed = yield* proxy.answered("UPDATE schema_lease SET expires_at")
      yield* TestClock.adjust(renewalInterval)
      yield* renewed.happened
      yield* TestDatabase.until(Effect.map(renewal, ([row]) => row!.renewed)).pipe(TestClock.withLive)
      yield* setLease(sql, "other", "1 hour")
      const asked = yield* proxy.answered("UPDATE schema_lease SET expires_at")
      yield* TestClock.adjust(renewalInterval)
      yield* asked.happened
      yield* hold.release
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "MigrationLeaseUnavailable")
      assert.deepStrictEqual(yield* sql`SELECT version FROM schema_version`, [])
      assert.deepStrictEqual(yield* sql`SELECT owner FROM schema_lease`, [{ owner: "other" }])
    }).pipe(Effect.provide(TestClock.layer())),
  )
})

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("a database that is away", (it) => {
  it.effect("cannot be migrated, and says so", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* TestDatabase.TestDatabase
      const proxy = yield* makeProxy(ownerUrl)
      yield* proxy.goAway
      const errors = yield* Effect.all([
        Effect.flip(migrate("any")),
        Effect.flip(selectSchemaVersion),
        Effect.flip(requireSchema),
      ]).pipe(Effect.provide(connectTo(proxy.url)))
      assert.deepStrictEqual(
        errors.map(({ _tag }) => _tag),
        ["DatabaseUnavailable", "DatabaseUnavailable", "DatabaseUnavailable"],
      )
    }),
  )
})
