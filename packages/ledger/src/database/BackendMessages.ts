/** The messages of a PostgreSQL server, told apart by their headers: a type and a length, and what follows is skipped. */

/** Largest message that is looked into, in bytes. */
const bodyMax = 64 * 1024

const headerSize = 5

/** A message of a type that is looked into; its body is empty where it is too large. */
export interface BackendMessage {
  readonly type: number
  readonly body: Buffer
}

export const backendKeyData = 0x4b // "K"
export const noticeResponse = 0x4e // "N"
export const readyForQuery = 0x5a // "Z"

const isLookedInto = (type: number): boolean =>
  type === readyForQuery || type === noticeResponse || type === backendKeyData

/** Follows a stream, however it is cut. Costs some nanoseconds for each message. */
export class BackendMessages {
  readonly #header = Buffer.alloc(headerSize)
  #headerBytes = 0
  #bodyLeft = 0
  #parts: Array<Buffer> | undefined
  #isKept = false

  /** Calls `on` with each message that ends in this chunk and is looked into. */
  push(chunk: Buffer, on: (message: BackendMessage) => void): void {
    for (let at = 0; at < chunk.length || this.#isComplete();) {
      if (this.#isComplete()) {
        const parts = this.#parts
        const type = this.#header[0]!
        this.#headerBytes = 0
        this.#parts = undefined
        if (parts !== undefined) on({ type, body: parts.length === 1 ? parts[0]! : Buffer.concat(parts) })
      } else if (this.#headerBytes < headerSize) {
        const size = chunk.copy(this.#header, this.#headerBytes, at, at + headerSize - this.#headerBytes)
        this.#headerBytes += size
        at += size
        if (this.#headerBytes === headerSize) this.#begin()
      } else {
        const size = Math.min(this.#bodyLeft, chunk.length - at)
        if (this.#isKept) this.#parts?.push(chunk.subarray(at, at + size))
        this.#bodyLeft -= size
        at += size
      }
    }
  }

  #isComplete(): boolean {
    return this.#headerBytes === headerSize && this.#bodyLeft === 0
  }

  #begin(): void {
    this.#bodyLeft = Math.max(0, this.#header.readInt32BE(1) - 4)
    if (isLookedInto(this.#header[0]!)) this.#parts = []
    this.#isKept = this.#bodyLeft <= bodyMax
  }
}

/** A field of a notice: `R` is the function of the server that said it. */
export const fieldOf = ({ body }: BackendMessage, field: string): string | undefined => {
  for (let at = 0; at < body.length && body[at] !== 0;) {
    const end = body.indexOf(0, at)
    if (end < 0) return undefined
    if (body[at] === field.charCodeAt(0)) return body.toString("utf8", at + 1, end)
    at = end + 1
  }
  return undefined
}

/** How many answers a client waits for by what it sends: each `Sync` and each simple query ends with one. */
export const answersAwaited = (frames: Buffer): number => {
  let count = 0
  for (let at = 0; at + headerSize <= frames.length; at += 1 + frames.readInt32BE(at + 1)) {
    if (frames[at] === sync || frames[at] === query) count += 1
  }
  return count
}

const sync = 0x53 // "S"
const query = 0x51 // "Q"
