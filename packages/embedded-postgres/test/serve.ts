// A service around the database, to be signalled and killed: prints one line of JSON when it runs, another with what it
// could still read after the signal to stop, or the error it failed with.
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Exit, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { EmbeddedPostgres } from "../src/EmbeddedPostgres.ts"

const directory = process.argv[2] ?? ""
const print = (line: unknown) => Effect.sync(() => process.stdout.write(`${JSON.stringify(line)}\n`))

const signalled = Deferred.makeUnsafe<string>() // heard from the start, before anybody knows that we run
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => Deferred.doneUnsafe(signalled, Effect.succeed(name)))
}

const program = Effect.gen(function* () {
  const postgres = yield* EmbeddedPostgres
  const { dataDirectory, port, version } = postgres
  yield* print({
    pid: yield* postgres.pid,
    port,
    version,
    dataDirectory,
    superuserUrl: Redacted.value(postgres.superuserUrl),
    ownerUrl: Redacted.value(postgres.ownerUrl),
    startMillis: Math.round(performance.now()),
  })
  const signal = yield* Deferred.await(signalled)
  const [row] = yield* SqlClient.SqlClient.use((sql) => sql`select 1 as drained`).pipe(
    Effect.provide(PgClient.layer({ url: postgres.appUrl })),
  )
  yield* print({ signal, ...row })
}).pipe(Effect.provide(EmbeddedPostgres.layer({ directory })))

const exit = await Effect.runPromiseExit(
  program.pipe(Effect.tapError((error) => print({ ...error, error: error._tag, message: error.message }))),
)
process.exitCode = Exit.isSuccess(exit) ? 0 : 1
