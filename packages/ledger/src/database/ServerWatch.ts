/**
 * Watches the servers of one address, so that a process knows at any time which of them it may work on, or why none: each host
 * is asked twice a second on a connection that stays open, and more often while there is none. Nothing is read or written on a
 * server that is not known to be the right one.
 */
import { PgConnection } from "@effect/sql-pg"
import { Deferred, Duration, Effect, Exit, Scope } from "effect"
import { SqlError } from "effect/sql"
import { DatabaseSocket, dialMillisOf, leftMax, OpenSockets, type Route } from "./DatabaseSocket.ts"
import type { DatabaseUrl, Host } from "./DatabaseUrl.ts"
import { unfitOf } from "./FailureCause.ts"
import {
  aheadNow,
  clockOff,
  clockSkewMaxMillis,
  historyOf,
  judge,
  nameOf,
  type Newest,
  type Report,
  type Server,
  Unfit,
  type Verdict,
} from "./Server.ts"
import { askServer } from "./ServerQuestion.ts"

/** Time between two looks at a host: of one that answers, and while there is none to work on. */
export const lookInterval = Duration.millis(500)
export const searchInterval = Duration.millis(200)

/** Shortest time between two looks at a host, however many ask for one. */
export const lookIntervalMin = Duration.millis(50)

/** Longest that a host may take to answer on an open connection, and to be connected to and answer. */
export const lookTimeout = Duration.millis(1_500)
export const connectLookTimeout = Duration.seconds(2)

/** However long the address lets a connection take. */
export const connectLookTimeoutMax = Duration.seconds(10)

/** Longest that what a server said of itself is relied on. */
export const ageMax = Duration.seconds(10)

/** Longest that whoever needs the database waits for the next look. */
const waitMax = Duration.seconds(2)

export interface ServerWatchOptions {
  /** Of a connection, but for its way to the host. */
  readonly connection: PgConnection.Config
  readonly url: DatabaseUrl
  readonly sockets: OpenSockets
  /** Longest silence of a connection; none for migrations, whose statements take their time. */
  readonly silenceMax: Duration.Duration
}

export interface ServerWatch {
  /** The server that is worked on, or why there is none. Waits for the first look, and looks anew where there was none. */
  readonly fit: Effect.Effect<Server, SqlError.SqlError>
  /** Whether there is one now, as far as is known. Costs nothing. */
  readonly isFit: () => boolean
  /** Where to connect to. Throws where nothing is fit. */
  readonly route: () => Route
  /** Counted up when what is remembered of the database may not be true any more. */
  readonly epoch: () => number
  /** Whether a server is still the one that is worked on. */
  readonly isCurrent: (server: Server) => boolean
  /** Why it is not fit; `undefined`: it is. */
  readonly unfit: () => Unfit | undefined
  /** Looks at once: a connection has failed. */
  readonly suspect: () => void
}

export const make = (options: ServerWatchOptions): Effect.Effect<ServerWatch, never, Scope.Scope> =>
  Effect.gen(function* () {
    const watched = new Watched(options)
    for (const host of watched.hosts) yield* Effect.forkScoped(watchHost(watched, host))
    return {
      fit: Effect.suspend(() => (watched.isFit() ? Effect.succeed(watched.serverNow()) : watched.awaitFit)),
      isFit: watched.isFit,
      route: watched.route,
      epoch: () => watched.epoch,
      isCurrent: (server) => watched.isFit() && historyOf(server) === historyOf(watched.serverNow()),
      unfit: () => watched.unfit(),
      suspect: () => watched.lookNow(),
    }
  })

/** One host, and what is known of it. */
class WatchedHost {
  readonly host: Host
  report: Report | undefined
  /** Looks that were begun. */
  begun = 0
  /** Somebody wants the next look at once. */
  isWanted = false
  onWanted: (() => void) | undefined

  constructor(host: Host) {
    this.host = host
  }

  want(): void {
    this.isWanted = true
    this.onWanted?.()
  }
}

/** Somebody who waits for looks that begin from now on. */
interface Waiter {
  readonly awaited: Map<WatchedHost, number>
  readonly done: Deferred.Deferred<void>
}

class Watched {
  readonly options: ServerWatchOptions
  readonly hosts: ReadonlyArray<WatchedHost>
  epoch = 0
  #verdict: Verdict = {
    _tag: "Unfit",
    unfit: new Unfit({ kind: "unknown", message: "the database has not answered yet" }),
  }
  #newest: Newest | undefined
  #last: Server | undefined
  #said: string | undefined
  readonly #waiters = new Set<Waiter>()
  /** Of the connections that are looked on. */
  readonly links = new OpenSockets()

  constructor(options: ServerWatchOptions) {
    this.options = options
    this.hosts = options.url.hosts.map((host) => new WatchedHost(host))
  }

  readonly isFit = (): boolean =>
    this.#verdict._tag === "Fit" &&
    this.options.sockets.left.size < leftMax &&
    Math.abs(aheadNow(this.#verdict.server)) <= clockSkewMaxMillis &&
    performance.now() - this.#verdict.server.saidAt.steady < Duration.toMillis(ageMax)

  serverNow(): Server {
    if (this.#verdict._tag === "Unfit") throw unusable(this.#verdict.unfit)
    return this.#verdict.server
  }

  readonly route = (): Route => {
    const { hosts, ...rest } = this.options.url
    if (this.#verdict._tag === "Unfit") throw this.#verdict.unfit
    return { ...rest, hosts: this.#verdict.hosts.length === 0 ? hosts : this.#verdict.hosts }
  }

  unfit(): Unfit | undefined {
    if (this.#verdict._tag === "Unfit") return this.#verdict.unfit
    if (this.isFit()) return undefined
    const { server } = this.#verdict
    const name = nameOf(server.host)
    if (this.options.sockets.left.size >= leftMax) {
      const message = `commits wait for a standby of ${name} that does not answer`
      return new Unfit({ kind: "waits_for_standby", message })
    }
    const ahead = aheadNow(server)
    if (Math.abs(ahead) > clockSkewMaxMillis) return clockOff(ahead)
    return new Unfit({
      kind: "silent",
      message: `${name}: nothing has been heard of it for ${Duration.format(ageMax)}`,
    })
  }

  /** Where the right server is known, and only this process holds back from it, that one tells when it may go on. */
  #hostsOfInterest(): ReadonlyArray<WatchedHost> {
    const verdict = this.#verdict
    return verdict._tag === "Unfit" ? this.hosts : this.hosts.filter(({ host }) => host === verdict.server.host)
  }

  lookNow(): void {
    for (const host of this.hosts) host.want()
  }

  readonly awaitFit: Effect.Effect<Server, SqlError.SqlError> = Effect.suspend(() => {
    const waiter: Waiter = {
      awaited: new Map(this.#hostsOfInterest().map((host) => [host, host.begun])),
      done: Deferred.makeUnsafe(),
    }
    this.#waiters.add(waiter)
    this.lookNow()
    return Deferred.await(waiter.done).pipe(
      Effect.timeoutOrElse({ duration: waitMax, orElse: () => Effect.void }),
      Effect.ensuring(Effect.sync(() => this.#waiters.delete(waiter))),
      Effect.andThen(
        Effect.suspend(() => {
          const unfit = this.unfit()
          if (unfit === undefined) return Effect.succeed(this.serverNow())
          return Effect.andThen(this.#tell, Effect.fail(unusable(unfit)))
        }),
      ),
    )
  })

  /** Takes in what the look number `look` at a host said. */
  take(host: WatchedHost, look: number, report: Report): Effect.Effect<void> {
    host.report = report
    const reports = this.hosts.flatMap((one) => one.report ?? [])
    const isFirst = reports.length < this.hosts.length
    const verdict = judge(reports, this.#newest)
    // Another host may be the newer one: the first verdict waits for all.
    const isDecided = !isFirst || (verdict._tag === "Fit" && verdict.server.dialect === "cockroachdb")
    if (isDecided) this.#decide(verdict)
    for (const { awaited, done } of this.#waiters) {
      const before = awaited.get(host)
      if (before !== undefined && look > before) awaited.delete(host)
      if (awaited.size === 0 || this.isFit()) Deferred.doneUnsafe(done, Effect.void)
    }
    return isDecided ? this.#tell : Effect.void
  }

  #decide(verdict: Verdict): void {
    this.#verdict = verdict
    const { sockets } = this.options
    if (verdict._tag === "Unfit") return sockets.endAll(verdict.unfit.message)
    const { server } = verdict
    const { systemIdentifier, timeline } = server
    this.#newest = { systemIdentifier, timeline }
    const last = this.#last
    this.#last = server
    if (last === undefined) return
    const isOther = historyOf(last) !== historyOf(server)
    if (isOther) sockets.endAll("another server takes the writes now")
    if (isOther || last.ledgerObject !== server.ledgerObject) this.epoch += 1
  }

  /** Each change once. */
  readonly #tell: Effect.Effect<void> = Effect.suspend(() => {
    const unfit = this.unfit()
    // How far a clock is off looks a little different each time.
    const said = unfit?.kind === "clock" ? unfit.kind : unfit?.message
    if (said === this.#said) return Effect.void
    const wasSaid = this.#said
    this.#said = said
    if (unfit !== undefined) {
      return Effect.logWarning(`the database cannot be used: ${unfit.message}`, { reason: unfit.kind })
    }
    return wasSaid === undefined
      ? Effect.void
      : Effect.logInfo("the database can be used again", { host: nameOf(this.serverNow().host) })
  })
}

const unusable = (unfit: Unfit) =>
  new SqlError.SqlError({
    reason: new SqlError.ConnectionError({ cause: unfit, message: unfit.message, operation: "connect" }),
  })

/** Looks at one host for as long as the scope is open. */
const watchHost = (watched: Watched, host: WatchedHost): Effect.Effect<void> =>
  Effect.gen(function* () {
    let link: Link | undefined
    return yield* Effect.gen(function* () {
      const look = (host.begun += 1)
      host.isWanted = false
      const begun = performance.now()
      const asked = yield* Effect.exit(lookOnce(watched, host.host, link))
      link = Exit.isSuccess(asked) ? asked.value.link : undefined
      const report: Report = Exit.isSuccess(asked)
        ? { _tag: "Answered", server: asked.value.server }
        : { _tag: "Failed", unfit: failureOf(asked, watched, host.host) }
      watched.options.sockets.endSilent(Duration.toMillis(watched.options.silenceMax), Duration.toMillis(lookTimeout))
      yield* watched.take(host, look, report)
      yield* pause(watched, host, begun)
    }).pipe(Effect.forever, Effect.ensuring(Effect.suspend(() => (link === undefined ? Effect.void : closeLink(link)))))
  })

/** An open connection to a host. */
interface Link {
  readonly connection: PgConnection.PgConnection
  readonly scope: Scope.Closeable
}

const closeLink = ({ scope }: Link) => Scope.close(scope, Exit.void)

const failureOf = (
  exit: Exit.Failure<unknown, SqlError.SqlError>,
  { options: { url } }: Watched,
  host: Host,
): Unfit => {
  const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  return failure === undefined
    ? new Unfit({ kind: "other", message: `${nameOf(host)}: it cannot be used` })
    : unfitOf(failure.error, url, host)
}

/** On the open connection, and if that fails on a new one: that a connection is lost does not yet say that the host is. */
const lookOnce = (watched: Watched, host: Host, link: Link | undefined) =>
  Effect.suspend(() => {
    const { sockets, url } = watched.options
    const anew = Effect.gen(function* () {
      const opened = yield* open(watched, host)
      return yield* asked(watched, opened, host).pipe(Effect.onError(() => closeLink(opened)))
    }).pipe(inTime(Duration.min(url.connectTimeout ?? connectLookTimeout, connectLookTimeoutMax)))
    if (link === undefined) return anew
    return asked(watched, link, host).pipe(
      inTime(lookTimeout),
      Effect.catch((error) =>
        Effect.andThen(closeLink(link), anew).pipe(
          // Where new connections are answered and this one was not, others may have lost their other end too.
          Effect.tap(() => Effect.sync(() => error === silent && sockets.suspectAll())),
        ),
      ),
    )
  })

/** Until the next look is due, or wanted. `begun`: when the last one was. */
const pause = (watched: Watched, host: WatchedHost, begun: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const done = () => {
      host.onWanted = undefined
      resume(Effect.void)
    }
    let timer = setTimeout(done, millisUntil(begun, watched.isFit() ? lookInterval : searchInterval))
    host.onWanted = () => {
      clearTimeout(timer)
      timer = setTimeout(done, millisUntil(begun, lookIntervalMin))
    }
    if (host.isWanted) host.onWanted()
    return Effect.sync(() => clearTimeout(timer))
  })

const millisUntil = (begun: number, interval: Duration.Duration): number =>
  Math.max(0, begun + Duration.toMillis(interval) - performance.now())

/** Bounds a look. A process that stood still itself learns nothing of the host: then it waits for as long again. */
const inTime =
  (duration: Duration.Duration) =>
  <A>(look: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
    Effect.raceFirst(look, Effect.andThen(slept(Duration.toMillis(duration)), Effect.fail(silent)))

/** Longest that a timer may be late, in milliseconds. */
const lateMax = 250

const slept = (millis: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    let timer: NodeJS.Timeout
    const start = () => {
      const begun = performance.now()
      timer = setTimeout(() => {
        if (performance.now() - begun - millis > lateMax) start()
        // What has arrived is read first.
        else setImmediate(() => resume(Effect.void))
      }, millis)
    }
    start()
    return Effect.sync(() => clearTimeout(timer))
  })

const silent = new SqlError.SqlError({
  reason: new SqlError.ConnectionError({
    cause: undefined,
    message: "the host did not answer in time",
    operation: "connect",
  }),
})

const asked = ({ options: { sockets } }: Watched, link: Link, host: Host) =>
  Effect.gen(function* () {
    const left = [...sockets.left]
    const { stillWaiting, ...server } = yield* askServer(link.connection, host, left)
    if (!server.isReadOnly) for (const pid of left) if (!stillWaiting.has(pid)) sockets.left.delete(pid)
    return { link, server }
  })

const open = ({ links, options: { connection, url } }: Watched, host: Host) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const route = { ...url, hosts: [host] }
    const opened = yield* PgConnection.make({
      ...connection,
      stream: () => new DatabaseSocket({ route: () => route, sockets: links, timeoutMillis: dialMillisOf(url) }),
    }).pipe(
      Scope.provide(scope),
      Effect.onError(() => Scope.close(scope, Exit.void)),
    )
    return { connection: opened, scope }
  })
