/** What TLS asks of the server and of the client, by the driver's own socket and by that for several hosts. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { join } from "node:path"
import { TLSSocket } from "node:tls"
import { DbConn } from "../src/database/DbConn.ts"
import { requireSchema, schemaVersion } from "../src/migrations/Migrator.ts"
import * as TestDatabase from "@banquo/testing/TestDatabase"

const certificates = join(import.meta.dirname, "../../testing/certificates")
const file = (name: string) => readFileSync(join(certificates, name))

/** The database behind TLS; who comes without a certificate is sent away, if it is wanted. */
const terminate = (url: Redacted.Redacted<string>, wantsCertificate: boolean) =>
  Effect.gen(function* () {
    const target = new URL(Redacted.value(url))
    const sockets = new Set<Socket>()
    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const listener = createServer((raw) => {
          sockets.add(raw.on("error", () => raw.destroy()))
          raw.once("data", () => {
            raw.write("S")
            const secure = new TLSSocket(raw, {
              isServer: true,
              cert: file("server.crt"),
              key: file("server.key"),
              ca: file("ca.crt"),
              requestCert: wantsCertificate,
              rejectUnauthorized: wantsCertificate,
            })
            const database = connect({ host: target.hostname, port: Number(target.port) })
            for (const socket of [secure, database]) sockets.add(socket.on("error", () => socket.destroy()))
            secure.on("close", () => database.destroy())
            secure.pipe(database).pipe(secure)
          })
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(listener)))
      }),
      (listener) =>
        Effect.callback<void>((resume) => {
          listener.close(() => resume(Effect.void))
          for (const socket of sockets) socket.destroy()
        }),
    )
    return (server.address() as AddressInfo).port
  })

const ca = `sslrootcert=${certificates}/ca.crt`
const certificate = `sslcert=${certificates}/client.crt&sslkey=${certificates}/client.key`

interface Case {
  readonly name: string
  readonly search: string
  readonly host?: string
  readonly wantsCertificate?: true
  readonly isPlain?: true
  readonly succeeds: boolean
}

const cases: ReadonlyArray<Case> = [
  { name: "verify-full, of an authority that is known", search: `sslmode=verify-full&${ca}`, succeeds: true },
  { name: "verify-full by another name", search: `sslmode=verify-full&${ca}`, host: "127.0.0.1", succeeds: false },
  { name: "verify-ca by another name", search: `sslmode=verify-ca&${ca}`, host: "127.0.0.1", succeeds: true },
  { name: "verify-full of an authority that is not known", search: "sslmode=verify-full", succeeds: false },
  { name: "require, which is as strict", search: "sslmode=require", succeeds: false },
  { name: "a certificate that is wanted", search: `${ca}&${certificate}`, wantsCertificate: true, succeeds: true },
  { name: "no certificate where one is wanted", search: ca, wantsCertificate: true, succeeds: false },
  { name: "prefer where there is no TLS", search: "sslmode=prefer", isPlain: true, succeeds: true },
  { name: "verify-full where there is no TLS", search: `sslmode=verify-full&${ca}`, isPlain: true, succeeds: false },
]

layer(TestDatabase.layerMigrated, { excludeTestServices: true })("TLS", (it) => {
  for (const { host = "localhost", isPlain, name, search, succeeds, wantsCertificate } of cases) {
    for (const others of ["", "127.0.0.1:9,"]) {
      it.effect(`${name}${others === "" ? "" : ", among several hosts"}: ${succeeds ? "connects" : "does not"}`, () =>
        Effect.gen(function* () {
          const { appUrl, name: database } = yield* TestDatabase.TestDatabase
          const target = new URL(Redacted.value(appUrl))
          const port = isPlain === true ? target.port : yield* terminate(appUrl, wantsCertificate === true)
          const to = isPlain === true ? target.hostname : host
          const url = Redacted.make(
            `postgres://${target.username}:${target.password}@${others}${to}:${port}/${database}?${search}`,
          )
          const exit = yield* Effect.exit(
            Effect.provide(requireSchema, DbConn.layerUrl({ url, connectionsMax: 2 }), { local: true }),
          )
          if (succeeds) assert.deepStrictEqual(exit, Exit.succeed(schemaVersion))
          else assert.isTrue(Exit.isFailure(exit))
        }),
      )
    }
  }
})
