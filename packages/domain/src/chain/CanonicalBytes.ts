/**
 * One spelling in bytes for what is hashed.
 *
 * Integers are big-endian. Text, byte strings and maps carry their length before them, optional values a byte 0 or 1,
 * so no two different records have the same bytes.
 */
import { sha256 } from "#sha256"
import { compareBytes } from "./Bytes.ts"

const utf8 = new TextEncoder()

interface Buffer {
  bytes: Uint8Array
  view: DataView
}

const bufferOf = (size: number): Buffer => {
  const bytes = new Uint8Array(size)
  return { bytes, view: new DataView(bytes.buffer) }
}

/** Buffers of finished records. Every change is hashed: to use them again costs a third of one for each record. */
const free: Array<Buffer> = []

const tags = new Map<string, Uint8Array>()

const bytesOfTag = (tag: string): Uint8Array => {
  const known = tags.get(tag) ?? utf8.encode(`${tag}\0`)
  tags.set(tag, known)
  return known
}

/**
 * Writes one record, in a buffer of its own until {@link toBytes} or {@link sha256} finishes it; then it cannot be used any
 * more. Several records may be written at the same time.
 */
export class CanonicalBytes {
  #length = 0
  #buffer: Buffer | undefined = free.pop() ?? bufferOf(1024)

  /** Starts a record of one kind: the tag, ended by a NUL, keeps records of different kinds apart. */
  constructor(tag: string) {
    this.raw(bytesOfTag(tag))
  }

  u8(value: number): this {
    this.#reserve(1).bytes[this.#length] = value
    this.#length += 1
    return this
  }

  u32(value: number): this {
    this.#reserve(4).view.setUint32(this.#length, value)
    this.#length += 4
    return this
  }

  /** A signed 64-bit integer: ids, sequences, microseconds. */
  i64(value: bigint): this {
    this.#reserve(8).view.setBigInt64(this.#length, value)
    this.#length += 8
    return this
  }

  /** A signed 128-bit integer: money in units of 10^-8. */
  i128(value: bigint): this {
    const { view } = this.#reserve(16)
    view.setBigInt64(this.#length, value >> 64n)
    view.setBigUint64(this.#length + 8, value & 0xffff_ffff_ffff_ffffn)
    this.#length += 16
    return this
  }

  /** The 16 bytes of a UUID, which must be in lower case. */
  uuid(value: string): this {
    const { bytes } = this.#reserve(16)
    for (let i = 0; i < 36; i += 2) {
      if (i === 8 || i === 13 || i === 18 || i === 23) i += 1
      bytes[this.#length++] = (nibbleOf(value.charCodeAt(i)) << 4) | nibbleOf(value.charCodeAt(i + 1))
    }
    return this
  }

  bytes(value: Uint8Array): this {
    return this.u32(value.length).raw(value)
  }

  /** UTF-8, with the length in bytes. */
  text(value: string): this {
    // No UTF-16 code unit becomes more than three bytes.
    const { bytes, view } = this.#reserve(4 + 3 * value.length)
    const { written } = utf8.encodeInto(value, bytes.subarray(this.#length + 4))
    view.setUint32(this.#length, written)
    this.#length += 4 + written
    return this
  }

  /** The number of entries, then each key and value, sorted by the UTF-8 bytes of the key: storage may reorder a map. */
  map(value: { readonly [key: string]: string }): this {
    const entries = Object.entries(value).map(([key, text]) => [utf8.encode(key), text] as const)
    entries.sort(([a], [b]) => compareBytes(a, b))
    this.u32(entries.length)
    for (const [key, text] of entries) this.bytes(key).text(text)
    return this
  }

  /** A byte 0 for `null` and `undefined`, else a byte 1 and what `write` adds. */
  optional<A>(value: A | null | undefined, write: (value: A) => unknown): this {
    if (value === null || value === undefined) return this.u8(0)
    this.u8(1)
    write(value)
    return this
  }

  /** Bytes as they are, without a length: only for a last part of fixed size, like a hash. */
  raw(value: Uint8Array): this {
    this.#reserve(value.length).bytes.set(value, this.#length)
    this.#length += value.length
    return this
  }

  /** A copy of the record. */
  toBytes(): Uint8Array {
    return this.#finish((bytes) => bytes.slice())
  }

  sha256(): Uint8Array {
    return this.#finish(sha256)
  }

  #finish(read: (bytes: Uint8Array) => Uint8Array): Uint8Array {
    const buffer = this.#reserve(0)
    const result = read(buffer.bytes.subarray(0, this.#length))
    this.#buffer = undefined
    if (buffer.bytes.length <= bufferBytesMax) free.push(buffer)
    return result
  }

  /** The buffer, with room for so many more bytes. */
  #reserve(size: number): Buffer {
    const buffer = this.#buffer
    if (buffer === undefined) throw new TypeError("the record is finished")
    if (this.#length + size <= buffer.bytes.length) return buffer
    const larger = bufferOf(2 * (this.#length + size))
    larger.bytes.set(buffer.bytes)
    this.#buffer = larger
    return larger
  }
}

/** Larger buffers are not kept: one record of much text does not cost the process its memory for good. */
const bufferBytesMax = 64 * 1024

/** Of a hexadecimal digit, by its code: `0` is 48, `a` is 97. */
const nibbleOf = (code: number): number => (code < 58 ? code - 48 : code - 87)
