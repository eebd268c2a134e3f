/**
 * A `SqlClient` on a pool of `@effect/sql-pg`, for what its own client leaves open: nothing is sent where no server is fit, each
 * connection is looked at before its first use and lives for a time of its own, and the pool is made when it is known which
 * database it is for.
 */
import { PgClient, type PgConnection, PgPool } from "@effect/sql-pg"
import { Clock, Duration, Effect, Random, Scope, Semaphore } from "effect"
import type { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError } from "effect/sql"
import { sqlState } from "./DatabaseError.ts"
import type { Dialect } from "./Dialect.ts"
import type { ServerWatch } from "./ServerWatch.ts"

/**
 * How long a connection is used, give or take a third: long enough to cost nothing, and after that time a node or an instance
 * that was added has its share of the connections.
 */
export const connectionLifetime = Duration.minutes(15)

export interface DatabaseClientOptions {
  readonly watch: ServerWatch
  readonly pool: (dialect: Dialect) => PgPool.Config
  /** Run once on each connection; one that it fails on is not used. */
  readonly inspect: (connection: PgConnection.PgConnection) => Effect.Effect<void, SqlError.SqlError>
  readonly connectionLifetime: Duration.Duration
}

export const make = (
  options: DatabaseClientOptions,
): Effect.Effect<SqlClient.SqlClient, never, Scope.Scope | Reactivity.Reactivity> =>
  Effect.gen(function* () {
    const sessions = yield* makeSessions(options)
    return yield* SqlClient.make({
      driver: "pg",
      acquirer: sessions.get,
      borrower: sessions.borrow,
      transactionAcquirer: sessions.reserve,
      compiler: PgClient.makeCompiler(),
      prepareTransactionControls: true,
      commit,
      releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      spanAttributes: [["db.system.name", "postgresql"]],
    })
  })

const makeSessions = Effect.fnUntraced(function* (options: DatabaseClientOptions) {
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const lock = yield* Semaphore.make(1)
  const sessions = new WeakMap<PgConnection.PgConnection, Session>()
  let made: PgPool.PgPool | undefined

  const { watch } = options
  const pool: Effect.Effect<PgPool.PgPool, SqlError.SqlError> = Effect.suspend(() => {
    if (made === undefined) return make
    return watch.isFit() ? Effect.succeed(made) : Effect.as(watch.fit, made)
  })

  const make: Effect.Effect<PgPool.PgPool, SqlError.SqlError> = Effect.suspend(() =>
    made !== undefined
      ? Effect.succeed(made)
      : lock.withPermit(
          Effect.suspend(() =>
            made !== undefined
              ? Effect.succeed(made)
              : watch.fit.pipe(
                  Effect.flatMap(({ dialect }) => PgPool.make(options.pool(dialect))),
                  Scope.provide(scope),
                  Effect.tap((pool) => Effect.sync(() => (made = pool))),
                ),
          ),
        ),
  )

  const begin = (pool: PgPool.PgPool, connection: PgConnection.PgConnection) =>
    Effect.gen(function* () {
      const lifetime = Duration.toMillis(options.connectionLifetime) * (2 / 3 + (yield* Random.next) * (2 / 3))
      const session = new Session(connection, clock.currentTimeMillisUnsafe() + lifetime)
      yield* Effect.tapError(options.inspect(connection), () => pool.invalidate(connection))
      sessions.set(connection, session)
      return session
    })

  /** The server that it leads to takes no writes any more. */
  const leave = (pool: PgPool.PgPool, connection: PgConnection.PgConnection) =>
    Effect.andThen(Effect.sync(watch.suspect), pool.invalidate(connection))

  const isOver = ({ usableUntil }: Session) => clock.currentTimeMillisUnsafe() > usableUntil

  const borrow: SqlConnection.Borrower = (f) =>
    Effect.flatMap(pool, (pool) =>
      pool.use((connection) => {
        const session = sessions.get(connection)
        if (session === undefined) return Effect.flatMap(begin(pool, connection), f)
        // Used once more: whoever comes next has another.
        if (isOver(session)) return Effect.ensuring(f(session), pool.invalidate(connection))
        return Effect.tapError(f(session), (error) => (isReadOnly(error) ? leave(pool, connection) : Effect.void))
      }),
    )

  const get: Effect.Effect<Session, SqlError.SqlError, Scope.Scope> = Effect.gen(function* () {
    const open = yield* pool
    const connection = yield* open.get
    const session = sessions.get(connection) ?? (yield* begin(open, connection))
    if (isOver(session)) yield* Effect.addFinalizer(() => open.invalidate(connection))
    return session
  })

  const reserve = Effect.flatMap(get, ({ connection, usableUntil }) =>
    Effect.map(connection.pin, (pinned) => new Session(pinned, usableUntil)),
  )

  return { borrow, get, reserve }
})

/** A connection as the rest of Effect's SQL modules see one. */
class Session implements SqlConnection.Connection {
  readonly connection: PgConnection.PgConnection
  /** On the clock of the process, in milliseconds. */
  readonly usableUntil: number

  constructor(connection: PgConnection.PgConnection, usableUntil: number) {
    this.connection = connection
    this.usableUntil = usableUntil
  }

  execute(...[sql, parameters, transform]: Parameters<SqlConnection.Connection["execute"]>) {
    return rowsOf(this.connection.query(sql, parameters), transform)
  }

  executeUnprepared(...[sql, parameters, transform]: Parameters<SqlConnection.Connection["execute"]>) {
    return rowsOf(this.connection.query(sql, parameters, false), transform)
  }

  executeRaw(sql: string, parameters: ReadonlyArray<unknown>) {
    return this.connection.query(sql, parameters)
  }

  executeStream(...[sql, parameters]: Parameters<SqlConnection.Connection["executeStream"]>) {
    return this.connection.stream(sql, parameters)
  }

  executeValues(sql: string, parameters: ReadonlyArray<unknown>) {
    return this.connection.queryValues(sql, parameters)
  }

  executeValuesUnprepared(sql: string, parameters: ReadonlyArray<unknown>) {
    return this.connection.queryValues(sql, parameters, false)
  }
}

const isReadOnly = (error: unknown): boolean => SqlError.isSqlError(error) && sqlState(error) === "25006"

const rowsOf = (
  query: Effect.Effect<PgConnection.Result, SqlError.SqlError>,
  transform: Parameters<SqlConnection.Connection["execute"]>[2],
) => Effect.map(query, ({ rows }) => (transform === undefined ? rows : transform(rows)))

/** A transaction that has failed answers COMMIT with ROLLBACK, and no error. */
const commit = (session: SqlConnection.Connection): Effect.Effect<void, SqlError.SqlError> =>
  Effect.flatMap((session as Session).executeRaw("COMMIT", []), ({ command }) => {
    if (command !== "ROLLBACK") return Effect.void
    const message = "COMMIT rolled back a transaction that had failed"
    return Effect.fail(
      new SqlError.SqlError({
        reason: new SqlError.UnknownError({ cause: new Error(message), message, operation: "commit" }),
      }),
    )
  })
