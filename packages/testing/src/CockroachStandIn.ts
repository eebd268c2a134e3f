/**
 * What a proxy does so that a PostgreSQL passes for a CockroachDB: its functions are put in terms of PostgreSQL, and what
 * CockroachDB would not take is refused. SERIALIZABLE is PostgreSQL's own, which undoes transactions with 40001 as well.
 * In front of a real CockroachDB nothing needs to be put otherwise, and the same is refused.
 */
import type { Dialect } from "@banquo/ledger/Dialect"
import { isSchemaChange, mixed, objectionTo } from "./ReviewedStatements.ts"
import { fixtureName } from "./StatementRecorder.ts"

export interface CockroachOptions {
  /** The database behind the proxy. */
  readonly dialect: Dialect
  /** As an answer to `version()`. Default: a sound one, or that of the real one. */
  readonly version?: string
  /** What it says to be the isolation of connections. Default: what it is. */
  readonly isolation?: string
  /** The recorder of the run has judged what comes here; else it is told to let pass what it did not get as it was sent. */
  readonly isBehindRecorder?: boolean
}

export interface Objection {
  readonly sqlState: string
  readonly text: string
}

export class CockroachStandIn {
  readonly #substitutes: ReadonlyArray<readonly [string, string]>
  readonly #isBehindRecorder: boolean

  constructor({ dialect, isBehindRecorder, isolation, version }: CockroachOptions) {
    this.#isBehindRecorder = isBehindRecorder ?? false
    const isReal = dialect === "cockroachdb"
    const said = version ?? (isReal ? undefined : "CockroachDB CCL v25.4.7 (stand-in)")
    this.#substitutes = [
      ...(said === undefined ? [] : [["version()", `'${said}'`] as const]),
      ...(isolation === undefined
        ? []
        : [["current_setting('default_transaction_isolation')", `'${isolation}'`] as const]),
      ...(isReal ? [] : asPostgres),
    ]
  }

  /** What the server gets in the place of an SQL text. */
  rewrite(sql: string): string {
    return this.#substitutes.reduce((text, [from, to]) => text.replaceAll(from, to), sql)
  }

  /** Why CockroachDB would not take a statement; `undefined` if it would. */
  objectionTo(sql: string, isInTransaction: boolean): Objection | undefined {
    const text = objectionTo(sql, "cockroachdb") ?? (isInTransaction && isSchemaChange(sql) ? mixed : undefined)
    if (text !== undefined) return { sqlState: "42601", text }
    // From 26.1 on, and so nothing may stand on them.
    return sql.includes("crdb_internal.")
      ? { sqlState: "42501", text: "access to crdb_internal is restricted" }
      : undefined
  }

  /**
   * Why CockroachDB would not begin with a statement that waited so many milliseconds for those before it on its connection:
   * there the time of a statement is counted from when it has come.
   */
  objectionToWait(millis: number, statementTimeout: number): Objection | undefined {
    return statementTimeout > 0 && millis > statementTimeout
      ? { sqlState: "57014", text: "query execution canceled due to statement timeout" }
      : undefined
  }

  /** Has been looked at here; what arrives at the server is not what was sent. */
  startup(message: Buffer): Buffer {
    if (this.#isBehindRecorder) return message
    const parts = message.toString("utf8", 8).split("\0")
    const at = parts.indexOf("application_name")
    if (at >= 0) parts[at + 1] = fixtureName
    const text = Buffer.from(parts.join("\0"))
    const head = Buffer.from(message.subarray(0, 8))
    head.writeInt32BE(8 + text.length, 0)
    return Buffer.concat([head, text])
  }
}

const random = "(1 + floor(random() * 9000000000000000))::INT8"

/** Longer names before those that they contain. */
const asPostgres: ReadonlyArray<readonly [string, string]> = [
  ["unordered_unique_rowid()", random],
  ["unique_rowid()", random],
  [" USING HASH", ""],
  ["AS OF SYSTEM TIME follower_read_timestamp()", "READ ONLY"],
]
