import type { PgConnection, PgPool } from "@effect/sql-pg"
import { Cause, Context, Duration, Effect, Layer, Option, Random, type Redacted, Schedule } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, SqlError } from "effect/sql"
import * as DatabaseClient from "./DatabaseClient.ts"
import { Contention, DatabaseUnavailable, defectOf, faultOf, OutcomeUnknown, sqlState } from "./DatabaseError.ts"
import { deadlineDefault, timeLeft } from "./Deadline.ts"
import { DatabaseSocket, dialMillisOf, OpenSockets } from "./DatabaseSocket.ts"
import * as DatabaseUrl from "./DatabaseUrl.ts"
import { type Database, detect, releaseToGoTo } from "./Dialect.ts"
import { tellRefusal, unavailable } from "./FailureCause.ts"
import { databaseOf, nameOf, type Server, Unfit } from "./Server.ts"
import { askServer, raiseCommits } from "./ServerQuestion.ts"
import * as ServerWatch from "./ServerWatch.ts"
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

    /** Counted up when what is remembered of rows may not be true any more: another server, or another database, is used now. */
    readonly epoch: () => number

    /** Why no server can be worked on at the moment; `undefined`: one can, as far as is known. Costs nothing. */
    readonly unfit: () => Unfit | undefined

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
        fromSqlClients({ sql, reads: sql, database: remembered(detect(sql)), epoch: () => 0, unfit: () => undefined }),
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
        const url = DatabaseUrl.parse(options.url)
        const sockets = new OpenSockets()
        const config = configOf(options, url)
        const watch = yield* ServerWatch.make({
          connection: config,
          url,
          sockets,
          silenceMax: silenceMaxOf(options.statementTimeout ?? statementTimeout),
        })
        sockets.onEnd = watch.suspect
        // So that a warning comes at the start.
        yield* Effect.forkScoped(Effect.ignore(Effect.flatMap(watch.fit, warn)))
        const make = (pool: Omit<PgPool.Config, keyof PgConnection.Config> & { readonly multiplex?: true }) =>
          DatabaseClient.make({
            watch,
            pool: (dialect) => ({
              ...config,
              ...pool,
              stream: () => new DatabaseSocket({ route: watch.route, sockets, timeoutMillis: dialMillisOf(url) }),
              startupParameters: {
                ...config.startupParameters,
                ...(dialect === "cockroachdb" ? { default_transaction_isolation: "serializable" } : {}),
              },
            }),
            inspect: (connection) => inspect(watch, connection),
            connectionLifetime: options.connectionLifetime ?? DatabaseClient.connectionLifetime,
          })
        const { readers, writers } = shareOf(options.connectionsMax ?? connectionsMaxDefault)
        // Statements that share a connection also share its flush: right for reads, and four times slower for writes.
        const reads = yield* make({ multiplex: true, maxConnections: readers })
        const sql = yield* make({ maxConnections: writers })
        return fromSqlClients({
          sql,
          reads,
          database: Effect.map(watch.fit, databaseOf),
          epoch: watch.epoch,
          unfit: watch.unfit,
        })
      }),
    ).pipe(Layer.provide(Reactivity.layer))
}

/** One connection looks after the server; of the others reads share a quarter, at most {@link readConnectionsMax}. */
const shareOf = (connectionsMax: number) => {
  const readers = Math.min(readConnectionsMax, Math.max(1, Math.floor(connectionsMax / 4)))
  return { readers, writers: Math.max(1, connectionsMax - readers - 1) }
}

/** Each by way of a `DatabaseSocket`. */
const configOf = (options: DbConnOptions, url: DatabaseUrl.DatabaseUrl): PgConnection.Config => ({
  ssl: false,
  database: url.database,
  username: url.username,
  password: url.password,
  startupOptions: url.options,
  applicationName: options.applicationName ?? url.applicationName ?? "banquo",
  connectTimeout: url.connectTimeout ?? connectTimeout,
  startupParameters: {
    timezone: "UTC",
    statement_timeout: `${Duration.toMillis(options.statementTimeout ?? statementTimeout)}`,
    idle_in_transaction_session_timeout: `${Duration.toMillis(idleInTransactionTimeout)}`,
  },
})

/** A server ends statements after a time; one that has said nothing by a second later does not answer at all. */
const silenceMaxOf = (timeout: Duration.Duration): Duration.Duration =>
  Duration.toMillis(timeout) === 0 ? Duration.infinity : Duration.sum(timeout, Duration.seconds(1))

/** A connection may lead elsewhere than the last look did: to a server that has been promoted or demoted since. */
const inspect = (
  watch: ServerWatch.ServerWatch,
  connection: PgConnection.PgConnection,
): Effect.Effect<void, SqlError.SqlError> =>
  Effect.gen(function* () {
    const { host } = yield* watch.fit
    const server = yield* askServer(connection, host)
    if (!watch.isCurrent(server)) {
      watch.suspect()
      return yield* unusable()
    }
    yield* server.dialect === "postgresql" ? raiseCommits(connection) : requireIsolation(connection)
  }).pipe(Effect.mapError(({ reason }) => unusable(reason.cause)))

/** A success is kept; until then each runs it by itself. */
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

const warn = (server: Server) =>
  Effect.gen(function* () {
    const { host, isCommitLowered, version } = server
    const release = releaseToGoTo(server)
    if (release !== undefined) {
      yield* Effect.logWarning(
        `this CockroachDB has known faults that lose data or protection: upgrade it to ${release} or later`,
        { version },
      )
    }
    if (isCommitLowered) {
      yield* Effect.logWarning(
        `synchronous_commit is below on at ${nameOf(host)}: this process raises it to on, others may lose what they commit`,
      )
    }
  })

// Why: A connection that is not SERIALIZABLE is not used.
// Plan: No data. Once for each connection.
// Only: cockroachdb
const selectIsolation = "SELECT current_setting('default_transaction_isolation') AS isolation"

/** CockroachDB can be told otherwise by its settings or by a pooler in between; PostgreSQL needs no more than its default. */
const requireIsolation = (connection: PgConnection.PgConnection): Effect.Effect<void, SqlError.SqlError> =>
  Effect.flatMap(connection.query(selectIsolation), ({ rows: [row] }) =>
    row?.["isolation"] === "serializable"
      ? Effect.void
      : Effect.andThen(
          Effect.logError("a connection to CockroachDB is not SERIALIZABLE and is not used", row),
          unusable(),
        ),
  )

const selectLedgerId = (sql: SqlClient.SqlClient) =>
  // Why: Never changes. Once in a process.
  // Plan: A table of one row.
  sql<{ ledger_id: string }>`SELECT ledger_id FROM ledger`

type Clients = Pick<DbConn["Service"], "epoch" | "reads" | "sql" | "unfit"> & {
  readonly database: Effect.Effect<Database, SqlError.SqlError>
}

const fromSqlClients = ({ epoch, reads, sql, unfit, ...clients }: Clients): DbConn["Service"] => {
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

  let ledger: { readonly id: string; readonly epoch: number } | undefined

  return DbConn.of({
    sql,
    reads,
    epoch,
    unfit,
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
    ledgerId: Effect.suspend(() => {
      const known = epoch()
      return ledger?.epoch === known
        ? Effect.succeed(ledger.id)
        : asked(selectLedgerId(reads)).pipe(
            Effect.map(([row]) => {
              if (row === undefined) throw new Error("the table ledger is empty")
              ledger = { id: row.ledger_id, epoch: known }
              return ledger.id
            }),
          )
    }),
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
  if (fault === "unsent" || (fault === "unknown" && stage === "begin")) return Effect.fail(unavailable(error))
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

const readBy =
  (clientOf: (db: DbConn["Service"]) => SqlClient.SqlClient) =>
  <A>(
    query: (sql: SqlClient.SqlClient, database: Database) => Effect.Effect<A, SqlError.SqlError>,
  ): Effect.Effect<A, DatabaseUnavailable, DbConn> =>
    Effect.flatMap(DbConn, (db) =>
      Effect.flatMap(Effect.zip(db.database, db.isInTransaction), ([known, isInside]) =>
        isInside ? answered(within(query(db.sql, known))) : asked(query(clientOf(db), known)),
      ),
    )

/**
 * Runs a read, in the transaction if there is one. Outside of one, asking again is harmless, so it is asked once more when
 * a connection turns out to be dead, as pooled connections do after the database was restarted. A database may undo a read in
 * favour of others too, which says nothing about its health.
 */
export const read = readBy(({ reads }) => reads)

/**
 * As {@link read}, what a write stands on: heads, ids, keys, and what became of a row. On the connections of writes, so that it
 * never waits behind a page of history; on CockroachDB its time runs while it does.
 */
export const readToWrite = readBy(({ sql }) => sql)

/** Outside of a transaction. What the database undid in favour of others is asked for as often as a write is tried. */
const asked = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, DatabaseUnavailable> =>
  counted(statement).pipe(
    Effect.retry({ while: wasUndone, schedule: contentionBackoff }),
    Effect.retry({ while: isConnectionLost, times: deadConnectionsMax }),
    Effect.retry({ while: isRefusedForNow, times: 1 }),
    bounded,
    answered,
  )

const answered = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, DatabaseUnavailable> =>
  Effect.catch(statement, (error) =>
    isUnanswered(error) ? Effect.fail(unavailable(error)) : Effect.die(defectOf(error)),
  )

/** After a restart of the database each connection of a pool may be dead, and is found out when it is used. */
const deadConnectionsMax = 3

const isConnectionLost = (error: SqlError.SqlError): boolean =>
  sqlState(error) === undefined && error.reason.operation !== "connect" && faultOf(error) === "unknown"

/** Where no server was fit, a look has been waited for already. */
const isRefusedForNow = (error: SqlError.SqlError): boolean =>
  isUnanswered(error) && !wasUndone(error) && !isConnectionLost(error) && !(error.reason.cause instanceof Unfit)

const isUnanswered = (error: SqlError.SqlError): boolean => {
  const fault = faultOf(error)
  return fault === "unknown" || fault === "unsent" || fault === "retry"
}

/** Bounds the wait for a connection together with that for the answer: the pool has no time-out of its own. */
export const within = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
  bounded(counted(statement))

const counted = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
  LedgerMetrics.whileInFlight(
    Effect.tapError(statement, (error) => {
      LedgerMetrics.recordFailure(sqlState(error))
      return tellRefusal(error)
    }),
  )

/**
 * The statement can be given up, whoever waits for it: a program that may not be interrupted, because its client may hang up,
 * has a deadline all the same.
 */
const bounded = <A>(statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
  Effect.flatMap(timeLeft(deadlineDefault), (millis) =>
    millis <= 0
      ? Effect.fail(unanswered("connect"))
      : Effect.raceFirst(
          Effect.interruptible(statement),
          Effect.andThen(Effect.interruptible(Effect.sleep(millis)), givenUp),
        ),
  )

const givenUp = Effect.suspend(() => {
  LedgerMetrics.recordFailure(undefined)
  return Effect.fail(unanswered("query"))
})

const unanswered = (operation: "connect" | "query") =>
  new SqlError.SqlError({
    reason: new SqlError.ConnectionError({ cause: undefined, message: "no answer within the deadline", operation }),
  })
