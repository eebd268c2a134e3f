import { assert, describe, it } from "@effect/vitest"
import {
  answersAwaited,
  backendKeyData,
  type BackendMessage,
  BackendMessages,
  fieldOf,
  noticeResponse,
  readyForQuery,
} from "../src/database/BackendMessages.ts"

const message = (type: string, body: Buffer | string): Buffer => {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(5)
  head.write(type, 0, "latin1")
  head.writeInt32BE(4 + bytes.length, 1)
  return Buffer.concat([head, bytes])
}

const notice = message("N", "SWARNING\0C01000\0Mcanceling wait\0RSyncRepWaitForLSN\0\0")

/** As a server sends it: rows are skipped, also those that look like a message. */
const stream = Buffer.concat([
  message("R", Buffer.alloc(4)),
  message("K", Buffer.from([0, 0, 4, 210, 1, 2, 3, 4])),
  message("Z", "I"),
  message("D", "Z\0\0\0\u0005IN"),
  message("D", Buffer.alloc(200_000, "Z")),
  message("1", ""),
  notice,
  message("C", "INSERT 0 1\0"),
  message("Z", "I"),
])

const heard = (chunks: ReadonlyArray<Buffer>): ReadonlyArray<BackendMessage> => {
  const messages: Array<BackendMessage> = []
  const follower = new BackendMessages()
  for (const chunk of chunks) follower.push(chunk, (one) => messages.push(one))
  return messages
}

const cut = (bytes: Buffer, size: number): ReadonlyArray<Buffer> =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size))

describe("messages of a server", () => {
  for (const size of [1, 2, 3, 5, 7, 64, 1000, 65_536, stream.length]) {
    it(`are told apart, however the stream is cut: ${size} bytes at a time`, () => {
      const messages = heard(cut(stream, size))
      assert.deepStrictEqual(
        messages.map(({ type }) => type),
        [backendKeyData, readyForQuery, noticeResponse, readyForQuery],
      )
      assert.strictEqual(messages[0]!.body.readInt32BE(0), 1234)
      assert.strictEqual(fieldOf(messages[2]!, "R"), "SyncRepWaitForLSN")
      assert.strictEqual(fieldOf(messages[2]!, "C"), "01000")
      assert.isUndefined(fieldOf(messages[2]!, "Q"))
    })
  }

  it("that are too large are not looked into", () => {
    const [only] = heard([message("N", Buffer.alloc(100_000, "x"))])
    assert.strictEqual(only!.body.length, 0)
  })
})

it("each Sync and each simple query is answered once", () => {
  const frames = Buffer.concat([message("P", "a\0SELECT 'S\0\0\0\u0004'\0"), message("B", "\0"), message("S", "")])
  assert.strictEqual(answersAwaited(frames), 1)
  assert.strictEqual(answersAwaited(Buffer.concat([frames, frames, message("Q", "BEGIN\0"), message("X", "")])), 3)
  assert.strictEqual(answersAwaited(message("p", "secret\0")), 0)
})
