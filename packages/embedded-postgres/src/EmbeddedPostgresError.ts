import { Schema } from "effect"

/** No PostgreSQL for this machine: another platform, a missing package, or nobody to run it as. */
export class UnsupportedPlatform extends Schema.TaggedError<UnsupportedPlatform>()("UnsupportedPlatform", {
  platform: Schema.String,
  reason: Schema.String,
}) {
  override get message() {
    return `PostgreSQL from npm does not run on ${this.platform}: ${this.reason}`
  }
}

/** The directory, or the data in it, cannot be created, read or reached. */
export class DirectoryUnusable extends Schema.TaggedError<DirectoryUnusable>()("DirectoryUnusable", {
  directory: Schema.String,
  reason: Schema.String,
}) {
  override get message() {
    return `the database directory ${this.directory} is unusable: ${this.reason}`
  }
}

/** Another service owns the directory. `pid` is absent only while that service is still writing it down. */
export class AlreadyRunning extends Schema.TaggedError<AlreadyRunning>()("AlreadyRunning", {
  directory: Schema.String,
  pid: Schema.optionalKey(Schema.Int),
}) {
  override get message() {
    return `the database in ${this.directory} is already in use by the running process ${this.pid ?? "(unknown)"}`
  }
}

/** The port asked for belongs to another program. */
export class PortTaken extends Schema.TaggedError<PortTaken>()("PortTaken", { port: Schema.Int }) {
  override get message() {
    return `port ${this.port} of 127.0.0.1 is taken by another program`
  }
}

/** PostgreSQL could not be created, started, stopped or provisioned; `log` holds its last lines. */
export class StartFailed extends Schema.TaggedError<StartFailed>()("StartFailed", {
  reason: Schema.String,
  log: Schema.String,
}) {
  override get message() {
    return this.log === "" ? this.reason : `${this.reason}; its last lines:\n${this.log}`
  }
}

/** A commit would not survive a power failure: a setting of the cluster, database or role weakens it. */
export class NotDurable extends Schema.TaggedError<NotDurable>()("NotDurable", {
  role: Schema.String,
  setting: Schema.String,
  value: Schema.String,
}) {
  override get message() {
    return `the database is not durable: ${this.setting} is ${this.value} for ${this.role}, and must be on`
  }
}

export type EmbeddedPostgresError =
  | UnsupportedPlatform
  | DirectoryUnusable
  | AlreadyRunning
  | PortTaken
  | StartFailed
  | NotDurable
