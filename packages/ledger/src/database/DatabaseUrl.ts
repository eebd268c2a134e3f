/**
 * The address of a database, as libpq reads it: `postgres://user:password@host:port,host:port/database?sslmode=…`. What the
 * driver cannot read by itself is read here: several hosts, certificates, and how far a server has to prove who it is.
 */
import { Data, Duration, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { checkServerIdentity, type ConnectionOptions } from "node:tls"

/** An address that cannot be understood. Does not repeat it, because it may hold a password. */
export class BadDatabaseUrl extends Data.TaggedError("BadDatabaseUrl")<{ readonly message: string }> {}

export interface Host {
  readonly host: string
  readonly port: number
}

export interface DatabaseUrl {
  /** At least one. Of a PostgreSQL all are asked, and the one that can write is used; of a CockroachDB the first that answers. */
  readonly hosts: ReadonlyArray<Host>
  /** Begin with a random one, so that the connections of many processes are spread. */
  readonly isBalanced: boolean
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
  readonly database: string | undefined
  /** `"off"`: in the clear. `"optional"`: in the clear where the server has no TLS. */
  readonly tls: "off" | "optional" | "required"
  readonly tlsOptions: ConnectionOptions
  readonly applicationName: string | undefined
  readonly options: string | undefined
  readonly connectTimeout: Duration.Duration | undefined
}

/** PostgreSQL's, as in libpq; CockroachDB listens on 26257, which its addresses say. */
const portDefault = 5432

const shape = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^@/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/

/** Reads the files that it names. Throws a {@link BadDatabaseUrl}. */
export const parse = (url: Redacted.Redacted<string>): DatabaseUrl => {
  const match = shape.exec(Redacted.value(url))
  if (match === null) {
    throw new BadDatabaseUrl({ message: "Expected an address like postgres://user:password@host:port/database" })
  }
  const [, userinfo = "", authority = "", path = "", search = ""] = match
  const parameters = parametersOf(search)
  const colon = userinfo.indexOf(":")
  const username = parameters.get("user") ?? decode(colon < 0 ? userinfo : userinfo.slice(0, colon), "user")
  const password = parameters.get("password") ?? decode(colon < 0 ? "" : userinfo.slice(colon + 1), "password")
  const database = parameters.get("dbname") ?? decode(path, "database")
  return {
    hosts: hostsOf(authority, parameters),
    isBalanced: parameters.get("load_balance_hosts") === "random",
    username: username === "" ? undefined : username,
    password: password === "" ? undefined : Redacted.make(password),
    database: database === "" ? undefined : database,
    ...tlsOf(parameters),
    applicationName: parameters.get("application_name") ?? undefined,
    options: parameters.get("options") ?? undefined,
    connectTimeout: connectTimeoutOf(parameters.get("connect_timeout")),
  }
}

/** What is understood of the parameters that libpq and CockroachDB know. */
const names: ReadonlySet<string> = new Set([
  "application_name",
  "connect_timeout",
  "dbname",
  "host",
  "load_balance_hosts",
  "options",
  "password",
  "port",
  "sslcert",
  "sslkey",
  "sslmode",
  "sslrootcert",
  "target_session_attrs",
  "user",
])

/** Those that one of a few words is said for. Only a server that can write is ever used, so none can ask for another. */
const words: Readonly<Record<string, ReadonlyArray<string>>> = {
  load_balance_hosts: ["disable", "random"],
  target_session_attrs: ["any", "primary", "read-write"],
}

/** One that is not understood is refused: it may be what the data hangs on. */
const parametersOf = (search: string): URLSearchParams => {
  const parameters = new URLSearchParams(search)
  for (const [name, value] of parameters) {
    if (!names.has(name)) throw new BadDatabaseUrl({ message: `the parameter ${name} is not understood` })
    if (parameters.getAll(name).length > 1) throw new BadDatabaseUrl({ message: `${name} is said more than once` })
    const known = words[name]
    if (known?.includes(value) === false) {
      throw new BadDatabaseUrl({ message: `${name} is not one of ${known.join(", ")}` })
    }
  }
  return parameters
}

/** What is wrong with an address; `undefined` if nothing. */
export const problemOf = (url: Redacted.Redacted<string>): string | undefined => {
  try {
    parse(url)
    return undefined
  } catch (error) {
    if (error instanceof BadDatabaseUrl) return error.message
    throw error
  }
}

const decode = (text: string, what: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new BadDatabaseUrl({ message: `the ${what} is not percent-encoded as it should be` })
  }
}

const hostsOf = (authority: string, parameters: URLSearchParams): ReadonlyArray<Host> => {
  const named = parameters.get("host")
  const ports = (parameters.get("port") ?? "").split(",")
  const hosts = (named ?? authority).split(",").map((text, index): Host => {
    const parts = named === null ? /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(text) : [text, text, ""]
    if (parts === null) throw new BadDatabaseUrl({ message: "a host is not like host:port" })
    const host = decode(parts[1] ?? "", "host").replace(/^\[(.*)\]$/, "$1")
    return {
      host: host === "" ? "localhost" : host,
      port: portOf(parts[2] || (ports.length === 1 ? ports[0] : ports[index]) || `${portDefault}`),
    }
  })
  if (hosts.length > 1 && hosts.some(({ host }) => host.startsWith("/"))) {
    throw new BadDatabaseUrl({ message: "one of several hosts cannot be a socket in the file system" })
  }
  return hosts
}

const portOf = (text: string): number => {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new BadDatabaseUrl({ message: "a port is not a number from 1 to 65535" })
  }
  return port
}

const connectTimeoutOf = (text: string | null): Duration.Duration | undefined => {
  if (text === null) return undefined
  const seconds = Number(text)
  if (!Number.isInteger(seconds) || seconds < 0) {
    throw new BadDatabaseUrl({ message: "connect_timeout is not a whole number of seconds" })
  }
  return seconds === 0 ? Duration.infinity : Duration.seconds(seconds)
}

/**
 * Stricter than libpq: wherever there is TLS the server has to prove who it is, also for `require`; only `verify-ca` leaves
 * its name open. A certificate that is named asks for `verify-full` by itself.
 */
const tlsOf = (parameters: URLSearchParams): Pick<DatabaseUrl, "tls" | "tlsOptions"> => {
  const [ca, cert, key] = ["sslrootcert", "sslcert", "sslkey"].map((name) => fileOf(parameters, name))
  const mode = parameters.get("sslmode") ?? (ca === undefined && cert === undefined ? "disable" : "verify-full")
  const tls = modes[mode]
  if (tls === undefined) {
    throw new BadDatabaseUrl({ message: `sslmode is not one of ${Object.keys(modes).join(", ")}` })
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new BadDatabaseUrl({ message: "sslcert and sslkey belong together" })
  }
  return {
    tls,
    tlsOptions: {
      minVersion: "TLSv1.2",
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      checkServerIdentity: mode === "verify-ca" ? () => undefined : checkServerIdentity,
    },
  }
}

const modes: Readonly<Record<string, DatabaseUrl["tls"]>> = {
  disable: "off",
  allow: "optional",
  prefer: "optional",
  require: "required",
  "verify-ca": "required",
  "verify-full": "required",
}

/** `system`: the certificates that this process trusts anyway. */
const fileOf = (parameters: URLSearchParams, name: string): Buffer | undefined => {
  const path = parameters.get(name)
  if (path === null || path === "" || (name === "sslrootcert" && path === "system")) return undefined
  try {
    return readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable"
    throw new BadDatabaseUrl({ message: `${name} cannot be read (${code}): ${path}` })
  }
}
