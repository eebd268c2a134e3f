import { PgClient, type PgConnection, type PgPool } from "@effect/sql-pg"
import {
  Cause,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Layer,
  Option,
  Random,
  type Redacted,
  Schedule,
} from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, SqlError } from "effect/sql"
import * as DatabaseClient from "./DatabaseClient.ts"
import { Contention, DatabaseUnavailable, defectOf, faultOf, OutcomeUnknown, sqlState } from "./DatabaseError.ts"
import { DatabaseSocket } from "./DatabaseSocket.ts"
import * as DatabaseUrl from "./DatabaseUrl.ts"
import { type Database, detect, detectVersion, releaseToGoTo } from "./Dialect.ts"
import type { Writer } from "../write/Writer.ts"
import * as LedgerMetrics from "../metrics/LedgerMetrics.ts"

/**
 * Most connections of one process, unless said otherwise. CockroachDB bears about four per vCPU over all processes: so many
 * for each are 4 × nodes × vCPUs of a node ÷ processes, and at least four.
 */
export const connectionsMaxDefault = 10

/** Most connections that reads share; more of them would not read faster. */
export const readConnectionsMax = 4

/** Longest that a connection may take to open. */
export const connectTimeout = Duration.seconds(3)

/** Longest that one statement may run; the server ends it then. */
export const statementTimeout = Duration.seconds(5)

/** Longest that a statement may wait for a connection and its answer, before this process gives up on it. */
export const answerTimeout = Duration.seconds(8)

/** Longest that a caller's transaction may stand still with the accounts that it holds. */
export const idleInTransactionTimeout = Duration.seconds(10)

/** Longest that a write, or a transaction as a whole, is tried anew against others who write to the same accounts. */
export const contentionTimeout = Duration.seconds(5)

/** Waits between tries: exponential up to 100 ms, with full jitter, so that those who collided do not collide again. */
export const contentionBackoff = Schedule.min([Schedule.exponential("4 millis"), Schedule.spaced("100 millis")]).pipe(
  Schedule.modifyDelay(({ duration }) => Effect.map(Random.next, (random) => Duration.times(duration, random))),
  Schedule.upTo({ duration: contentionTimeout }),
)

/** Ways to a database: {@link DbConn.layerUrl} takes them. */
export interface DbConnOptions {
  /** `postgres://user:password@host:port/database`, as `DatabaseUrl` reads it; PostgreSQL or CockroachDB. */
  readonly url: Redacted.Redacted<string>
  /** Default: {@link connectionsMaxDefault}. */
  readonly connectionsMax?: number | undefined
  readonly applicationName?: string | undefined
  /** Default: {@link statementTimeout}. Zero: none, for migrations. */
  readonly statementTimeout?: Duration.Duration | undefined
  /** Default: {@link DatabaseClient.connectionLifetime}. */
  readonly connectionLifetime?: Duration.Duration | undefined
}

/**
 * The connection that every ledger program works on: one for each statement, or the one of the transaction that the
 * program runs in.
 */
export class DbConn extends Context.Service<
  DbConn,
  {
    /** For statements of one's own. Inside {@link transaction} they run on its connection. */
    readonly sql: SqlClient.SqlClient

    /** For reads outside of a transaction: may share connections between statements that are under way. */
    readonly reads: SqlClient.SqlClient

    /**
     * Runs a program in one transaction: ledger programs and the caller's own SQL commit or roll back together. A program
     * that fails or is interrupted rolls back.
     *
     * If the database undoes the transaction in favour of another, the program is run again as a whole, for at most
     * {@link contentionTimeout}: keep it free of effects outside of the database, and let `Contention` and
     * `DatabaseUnavailable` pass, because the transaction that they come from is over. Inside another transaction it is a
     * savepoint, and is not run again by itself.
     *
     * Beyond the program's own errors, fails with `Contention` or `DatabaseUnavailable` (nothing was applied), or with
     * `OutcomeUnknown` when the connection was lost during COMMIT. Costs two round trips more than its statements.
     */
    readonly transaction: <A, E, R>(
      program: Effect.Effect<A, E, R>,
    ) => Effect.Effect<A, E | Contention | DatabaseUnavailable | OutcomeUnknown, R>

    /**
     * Runs a program of reads on one state of the whole ledger that may be some seconds old: on CockroachDB about five, which
     * any replica can answer, without waiting for writes that are under way or making them wait. On PostgreSQL it is the
     * state of now, for each statement its own. For reports and audits; never decide on it. Not inside a transaction.
     */
    readonly readStale: <A, E, R>(program: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DatabaseUnavailable, R>

    /** Whether the program is inside a transaction, {@link transaction} or `sql.withTransaction`. */
    readonly isInTransaction: Effect.Effect<boolean>

    /** Which database it is. Asked for once. */
    readonly database: Effect.Effect<Database, DatabaseUnavailable>

    /**
     * Carries out the writes of programs that are not in a transaction; `undefined`: each is one of its own, by a read and an
     * INSERT. Set by `GroupCommit.layer`.
     */
    readonly writer: Writer | undefined

    /** The UUID that this ledger was given when its database was made. Asked for once. */
    readonly ledgerId: Effect.Effect<string, DatabaseUnavailable>
  }
>()("@banquo/ledger/DbConn") {
  /**
   * From a `SqlClient` of `@effect/sql-pg` that the program has already, with its pool and its settings: on CockroachDB, set
   * `default_transaction_isolation` to `serializable` there. Fresh each time: a shared one would go on working on the client
   * that it was first made of.
   */
  static readonly layer: Layer.Layer<DbConn, never, SqlClient.SqlClient> = Layer.fresh(
    Layer.effect(
      DbConn,
      Effect.map(SqlClient.SqlClient, (sql) =>
        // On the caller's own connection, because there may be no other.
        fromSqlClients({ sql, reads: sql, database: remembered(detectVersion(sql)) }),
      ),
    ),
  )

  /** With two pools of its own. Succeeds with the database away: it is connected to when it is needed. */
  static readonly layerUrl = (options: DbConnOptions): Layer.Layer<DbConn, DatabaseUrl.BadDatabaseUrl> =>
    Layer.effect(
      DbConn,
      Effect.gen(function* () {
        const problem = DatabaseUrl.problemOf(options.url)
        if (problem !== undefined) return yield* new DatabaseUrl.BadDatabaseUrl({ message: problem })
        const connectionsMax = options.connectionsMax ?? connectionsMaxDefault
        const readersMax = Math.min(readConnectionsMax, Math.max(1, Math.floor(connectionsMax / 4)))
        const config = configOf(options)
        const database = yield* shared(
          Effect.flatMap(PgClient.makeClient(config), detect).pipe(
            Effect.scoped,
            Effect.provide(Reactivity.layer),
            Effect.mapError(({ reason }) => unusable(reason.cause)),
            Effect.tap(warn),
          ),
        )
        // So that a warning comes at the start; if it fails, whoever needs it asks again.
        yield* Effect.forkScoped(Effect.ignore(database))
        const make = (pool: Omit<PgPool.Config, keyof PgConnection.Config> & { readonly multiplex?: true }) =>
          DatabaseClient.make({
            pool: Effect.map(database, ({ dialect }) => ({
              ...config,
              ...pool,
              startupParameters: {
                ...config.startupParameters,
                ...(dialect === "cockroachdb" ? { default_transaction_isolation: "serializable" } : {}),
              },
            })),
            inspect: (connection) => Effect.flatMap(database, requireIsolation(connection)),
            connectionLifetime: options.connectionLifetime ?? DatabaseClient.connectionLifetime,
          })
        // Statements that share a connection also share its flush: right for reads, and four times slower for writes.
        const reads = yield* make({ multiplex: true, maxConnections: readersMax })
        const sql = yield* make({ maxConnections: Math.max(1, connectionsMax - readersMax) })
        return fromSqlClients({ sql, reads, database })
      }),
    ).pipe(Layer.provide(Reactivity.layer))
}

/** Throws a `BadDatabaseUrl`. */
const configOf = (options: DbConnOptions): PgConnection.Config => {
  const {
    applicationName,
    connectTimeout: timeout,
    hosts,
    isBalanced,
    tls,
    tlsOptions,
    ...url
  } = DatabaseUrl.parse(options.url)
  const [first] = hosts
  // The driver knows one host, and whether it has TLS.
  const isPlain = hosts.length === 1 && tls !== "optional"
  return {
    host: first!.host,
    port: first!.port,
    ...(isPlain
      ? { ssl: tls === "off" ? false : tlsOptions }
      : { ssl: false, stream: () => new DatabaseSocket({ hosts, isBalanced, tls, tlsOptions }) }),
    database: url.database,
    username: url.username,
    password: url.password,
    startupOptions: url.options,
    applicationName: options.applicationName ?? applicationName ?? "banquo",
    connectTimeout: timeout ?? connectTimeout,
    startupParameters: {
      timezone: "UTC",
      statement_timeout: `${Duration.toMillis(options.statementTimeout ?? statementTimeout)}`,
      idle_in_transaction_session_timeout: `${Duration.toMillis(idleInTransactionTimeout)}`,
    },
  }
}

/** One run for all who ask meanwhile, whoever of them is interrupted; a success is kept. */
const shared = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    let known: Effect.Effect<A> | undefined
    let running: Deferred.Deferred<A, E> | undefined
    const start = Effect.suspend(() => {
      const deferred = (running = Deferred.makeUnsafe<A, E>())
      const run = Effect.onExit(effect, (exit) => {
        running = undefined
        if (Exit.isSuccess(exit)) known = Effect.succeed(exit.value)
        return Deferred.done(deferred, exit)
      })
      return Effect.andThen(Effect.forkIn(run, scope), Deferred.await(deferred))
    })
    return Effect.suspend((): Effect.Effect<A, E> => known ?? (running === undefined ? start : Deferred.await(running)))
  })

/** As {@link shared}, but each runs it by itself until one has succeeded. */
const remembered = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  let known: Effect.Effect<A> | undefined
  return Effect.suspend(
    (): Effect.Effect<A, E> =>
      known ?? Effect.tap(effect, (value) => Effect.sync(() => (known = Effect.succeed(value)))),
  )
}

/** A connection that cannot be used: what was to be sent on it was not. */
const unusable = (cause?: unknown) =>
  new SqlError.SqlError({
    reason: new SqlError.ConnectionError({ cause, message: "the connection cannot be used", operation: "connect" }),
  })

const warn = (database: Database) => {
  const release = releaseToGoTo(database)
  return release === undefined
    ? Effect.void
    : Effect.logWarning(
        `this CockroachDB has known faults that lose data or protection: upgrade it to ${release} or later`,
        {
          version: database.version,
        },
      )
}

// Why: A connection that is not SERIALIZABLE is not used.
// Plan: No data. Once for each connection.
// Only: cockroachdb
const selectIsolation = "SELECT current_setting('default_transaction_isolation') AS isolation"

/** CockroachDB can be told otherwise by its settings or by a pooler in between; PostgreSQL needs no more than its default. */
const requireIsolation =
  (connection: PgConnection.PgConnection) =>
  ({ dialect }: Database): Effect.Effect<void, SqlError.SqlError> =>
    dialect === "postgresql"
      ? Effect.void
      : connection.query(selectIsolation).pipe(
          Effect.mapError(({ reason }) => unusable(reason.cause)),
          Effect.flatMap(({ rows: [row] }) =>
            row?.["isolation"] === "serializable"
              ? Effect.void
              : Effect.andThen(
                  Effect.logError("a connection to CockroachDB is not SERIALIZABLE and is not used", row),
                  unusable(),
                ),
          ),
        )

const selectLedgerId = (sql: SqlClient.SqlClient) =>
  // Why: Never changes. Once in a process.
  // Plan: A table of one row.
  sql<{ ledger_id: string }>`SELECT ledger_id FROM ledger`

type Clients = Pick<DbConn["Service"], "reads" | "sql"> & {
  readonly database: Effect.Effect<Database, SqlError.SqlError>
}

const fromSqlClients = ({ reads, sql, ...clients }: Clients): DbConn["Service"] => {
  const isInTransaction = Effect.map(Effect.serviceOption(sql.transactionService), Option.isSome)
  const database = remembered(asked(clients.database))

  const once = <A, E, R>(program: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      let stage: Stage = "begin"
      return Effect.suspend(() => {
        stage = "program"
        return program
      }).pipe(
        Effect.tap(() => Effect.sync(() => (stage = "commit"))),
        (staged) => atomically(sql, staged),
        // A pooled connection that turns out to be dead; nothing was run on it.
        Effect.retry({ while: () => stage === "begin", times: 1 }),
        Effect.catchIf(SqlError.isSqlError, (error) => failureOf<E>(error, stage)),
      )
    })

  let ledgerId: string | undefined

  return DbConn.of({
    sql,
    reads,
    isInTransaction,
    database,
    writer: undefined,
    readStale: (program) =>
      Effect.flatMap(database, ({ dialect }) =>
        dialect === "postgresql"
          ? program
          : once(program).pipe(
              Effect.provideService(
                SqlClient.BeginTransaction,
                // Why: Reads only, of a state about five seconds old, where the caller asked for that.
                // Plan: No data. What follows is answered by the nearest replica, and neither waits nor is waited for.
                // Only: cockroachdb
                "BEGIN TRANSACTION AS OF SYSTEM TIME follower_read_timestamp()",
              ),
              Effect.catchTag(["Contention", "OutcomeUnknown"], () => Effect.fail(new DatabaseUnavailable())),
            ),
      ),
    transaction: (program) =>
      Effect.flatMap(isInTransaction, (isNested) =>
        isNested
          ? once(program)
          : once(program).pipe(
              Effect.retry({ while: wasUndone, schedule: contentionBackoff }),
              // The caller's own statement may be what was undone: its SqlError says no more than that.
              Effect.catchIf(
                (error): error is Extract<typeof error, SqlError.SqlError> =>
                  SqlError.isSqlError(error) && wasUndone(error),
                () => Effect.fail(new Contention()),
              ),
            ),
      ),
    ledgerId: Effect.suspend(() =>
      ledgerId !== undefined
        ? Effect.succeed(ledgerId)
        : asked(selectLedgerId(reads)).pipe(
            Effect.map(([row]) => {
              if (row === undefined) throw new Error("the table ledger is empty")
              return (ledgerId = row.ledger_id)
            }),
          ),
    ),
  })
}

type Stage = "begin" | "program" | "commit"

/** The database has undone the transaction, so that running it again is safe. */
const wasUndone = (error: unknown): boolean =>
  error instanceof Contention ||
  (error instanceof DatabaseUnavailable && error.isUndone === true) ||
  (SqlError.isSqlError(error) && faultOf(error) === "retry")

/** What the failure of a transaction means, by how far it had come. The program's own failures stay as they are. */
const failureOf = <E>(
  error: SqlError.SqlError,
  stage: Stage,
): Effect.Effect<never, E | Contention | DatabaseUnavailable | OutcomeUnknown> => {
  if (stage === "program") return Effect.fail(error as E)
  const fault = faultOf(error)
  if (fault === "retry") return Effect.fail(new Contention())
  if (fault === "unsent" || (fault === "unknown" && stage === "begin")) return Effect.fail(new DatabaseUnavailable())
  return fault === "unknown" ? Effect.fail(new OutcomeUnknown()) : Effect.die(defectOf(error))
}

/**
 * `sql.withTransaction`, but a ROLLBACK that finds its connection gone does not take the place of the program's failure, nor
 * make a defect of it: the database rolls back by itself then.
 */
export const atomically = <A, E, R>(
  sql: SqlClient.SqlClient,
  program: Effect.Effect<A, E, R>,
): Effect.Effect<A, E | SqlError.SqlError, R> =>
  Effect.suspend(() => {
    let failed: Cause.Cause<E> | undefined
    const noted = Effect.onError(program, (cause) => Effect.sync(() => (failed = cause)))
    return Effect.catchCause(sql.withTransaction(noted), (cause) => {
      if (failed !== undefined) return Effect.failCause(failed)
      const failure = cause.reasons.find(Cause.isFailReason)
      if (failure !== undefined) return Effect.fail(failure.error)
      const defect = cause.reasons.find(Cause.isDieReason)?.defect
      return SqlError.isSqlError(defect) ? Effect.fail(defect) : Effect.failCause(cause)
    })
  })

/**
 * Runs a read, in the transaction if there is one. Outside of one, asking again is harmless, so it is asked once more when
 * a connection turns out to be dead, as pooled connections do after the database was restarted. A database may undo a read in
 * favour of others too, which says nothing about its health.
 */
export const read = <A>(
  query: (sql: SqlClient.SqlClient, database: Database) => Effect.Effect<A, SqlError.SqlError>,
): Effect.Effect<A, DatabaseUnavailable, DbConn> =>
  Effect.flatMap(DbConn, ({ database, isInTransaction, reads, sql }) =>
    Effect.flatMap(Effect.zip(database, isInTransaction), ([known, isInside]) =>
      isInside ? answered(within(query(sql, known))) : asked(query(reads, known)),
    ),
  )

/** Outside of a transaction. What the database undid in favour of others is asked for as often as a write is tried. */
const asked = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, DatabaseUnavailable> =>
  within(statement).pipe(
    Effect.retry({ while: wasUndone, schedule: contentionBackoff }),
    Effect.retry({ while: (error) => isUnanswered(error) && !wasUndone(error), times: 1 }),
    answered,
  )

const answered = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, DatabaseUnavailable> =>
  Effect.catch(statement, (error) =>
    isUnanswered(error)
      ? Effect.fail(new DatabaseUnavailable(faultOf(error) === "retry" ? { isUndone: true } : {}))
      : Effect.die(defectOf(error)),
  )

const isUnanswered = (error: SqlError.SqlError): boolean => {
  const fault = faultOf(error)
  return fault === "unknown" || fault === "unsent" || fault === "retry"
}

/** The pool has no time-out of its own: bounds the wait for a connection together with that for the answer. */
export const within = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
  LedgerMetrics.whileInFlight(
    Effect.tapError(bounded(statement), (error) => Effect.sync(() => LedgerMetrics.recordFailure(sqlState(error)))),
  )

const bounded = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
  Effect.timeoutOrElse(statement, {
    duration: answerTimeout,
    orElse: () =>
      Effect.fail(
        new SqlError.SqlError({
          reason: new SqlError.ConnectionError({
            cause: undefined,
            message: `no answer within ${Duration.format(answerTimeout)}`,
            operation: "query",
          }),
        }),
      ),
  })
