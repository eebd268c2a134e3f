/**
 * One spelling in bytes for what is hashed.
 *
 * Integers are big-endian. Text, byte strings and maps carry their length before them, optional values a byte 0 or 1,
 * so no two different records have the same bytes.
 */
import { sha256 } from "#sha256"

const utf8 = new TextEncoder()

/** Every change is hashed: one buffer for all records costs a third of one for each. It grows with the largest. */
let bytes = new Uint8Array(4096)
let view = new DataView(bytes.buffer)

const tags = new Map<string, Uint8Array>()

const bytesOfTag = (tag: string): Uint8Array => {
  const known = tags.get(tag) ?? utf8.encode(`${tag}\0`)
  tags.set(tag, known)
  return known
}

/** Writes one record. They share a buffer: finish one with {@link toBytes} or {@link sha256} before the next is begun. */
export class CanonicalBytes {
  #length = 0

  /** Starts a record of one kind: the tag, ended by a NUL, keeps records of different kinds apart. */
  constructor(tag: string) {
    this.raw(bytesOfTag(tag))
  }

  u8(value: number): this {
    this.#reserve(1)
    bytes[this.#length] = value
    this.#length += 1
    return this
  }

  u32(value: number): this {
    this.#reserve(4)
    view.setUint32(this.#length, value)
    this.#length += 4
    return this
  }

  /** A signed 64-bit integer: ids, sequences, money in ten-thousandths, microseconds. */
  i64(value: bigint): this {
    this.#reserve(8)
    view.setBigInt64(this.#length, value)
    this.#length += 8
    return this
  }

  /** The 16 bytes of a UUID, which must be in lower case. */
  uuid(value: string): this {
    this.#reserve(16)
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
    this.#reserve(4 + 3 * value.length)
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
    this.#reserve(value.length)
    bytes.set(value, this.#length)
    this.#length += value.length
    return this
  }

  /** A copy of the record. */
  toBytes(): Uint8Array {
    return bytes.slice(0, this.#length)
  }

  sha256(): Uint8Array {
    return sha256(bytes.subarray(0, this.#length))
  }

  #reserve(size: number) {
    if (this.#length + size <= bytes.length) return
    const larger = new Uint8Array(2 * (this.#length + size))
    larger.set(bytes)
    bytes = larger
    view = new DataView(larger.buffer)
  }
}

/** Of a hexadecimal digit, by its code: `0` is 48, `a` is 97. */
const nibbleOf = (code: number): number => (code < 58 ? code - 48 : code - 87)

const compareBytes = (a: Uint8Array, b: Uint8Array): number => {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}
