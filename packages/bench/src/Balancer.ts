/**
 * What stands between clients and instances: HAProxy where it is installed, else a small one of our own, which takes turns.
 * Both ask `/readyz`, and neither sends a request twice: that is left to the client, who has the key.
 */
import { Effect, Schema, type Scope } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { Agent, createServer, get, request, type Server } from "node:http"
import { connect, createServer as createListener } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Balancer {
  readonly url: string
  /** Whether an instance is sent requests, or still has some of those that it was sent. By its place. */
  readonly isInUse: (index: number) => Effect.Effect<boolean>
}

export class BalancerFailed extends Schema.TaggedError<BalancerFailed>()("BalancerFailed", { reason: Schema.String }) {
  override get message() {
    return `the balancer did not start: ${this.reason}`
  }
}

export const balancers = ["haproxy", "own"] as const
export type BalancerName = (typeof balancers)[number]

/** Time between two looks at an instance, in milliseconds. One no is enough. */
export const checkMillis = 100

/** Longest wait for an answer to such a look. */
const checkMillisMax = 2_000

/** Longest that HAProxy may take to listen. */
const startMillisMax = 20_000

export const hasHaproxy = (): boolean => {
  try {
    execFileSync("haproxy", ["-v"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** A port that nobody listens on by now. */
export const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const listener = createListener()
  listener.listen(0, "127.0.0.1", () => {
    const { port } = listener.address() as { readonly port: number }
    listener.close(() => resume(Effect.succeed(port)))
  })
})

export const start = (
  name: BalancerName,
  ports: ReadonlyArray<number>,
): Effect.Effect<Balancer, BalancerFailed, Scope.Scope> => (name === "own" ? startOwn(ports) : startHaproxy(ports))

const startOwn = (ports: ReadonlyArray<number>): Effect.Effect<Balancer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const agent = new Agent({ keepAlive: true })
    const instances = ports.map((port) => ({ port, isReady: false, inFlight: 0 }))
    let turn = 0

    const check = () => {
      for (const instance of instances) {
        const look = get({ host: "127.0.0.1", port: instance.port, path: "/readyz", agent: false }, (response) => {
          response.resume()
          instance.isReady = response.statusCode === 200
        })
        look.setTimeout(checkMillisMax, () => look.destroy(new Error("no answer")))
        look.on("error", () => (instance.isReady = false))
      }
    }

    const server = createServer((incoming, outgoing) => {
      const ready = instances.filter(({ isReady }) => isReady)
      const instance = ready[turn++ % ready.length]
      if (instance === undefined) return void outgoing.writeHead(503).end()
      instance.inFlight += 1
      outgoing.once("close", () => (instance.inFlight -= 1))
      const { headers, method, url } = incoming
      const passed = request({ host: "127.0.0.1", port: instance.port, agent, method, path: url, headers })
      passed.on("response", (response) => {
        // Its connection is its own business, and not the client's.
        const { connection: _, "keep-alive": __, ...rest } = response.headers
        outgoing.writeHead(response.statusCode!, rest)
        response.pipe(outgoing)
        response.on("error", () => outgoing.destroy())
      })
      passed.on("error", () => outgoing.destroy())
      incoming.pipe(passed)
    })

    yield* Effect.acquireRelease(
      Effect.sync(() => setInterval(check, checkMillis)),
      (timer) => Effect.sync(() => clearInterval(timer)),
    )
    const port = yield* listen(server)
    yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
    return {
      url: `http://127.0.0.1:${port}`,
      isInUse: (index) => Effect.sync(() => instances[index]!.isReady || instances[index]!.inFlight > 0),
    }
  })

const listen = (server: Server) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as { readonly port: number }).port)))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      }),
  )

const configOf = (port: number, statistics: number, ports: ReadonlyArray<number>) => `
defaults
  mode http
  timeout connect 2s
  timeout check ${checkMillisMax}ms
  timeout client 60s
  timeout server 60s
  retries 0
  default-server check inter ${checkMillis}ms fall 1 rise 1 init-addr none

frontend in
  bind 127.0.0.1:${port}
  default_backend banquo

backend banquo
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
${ports.map((instance, index) => `  server banquo${index} 127.0.0.1:${instance}`).join("\n")}

frontend statistics
  bind 127.0.0.1:${statistics}
  stats enable
  stats uri /
`

const startHaproxy = (ports: ReadonlyArray<number>): Effect.Effect<Balancer, BalancerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const [port, statistics] = yield* Effect.all([freePort, freePort])
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "banquo-haproxy-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true })),
    )
    const file = join(directory, "haproxy.cfg")
    writeFileSync(file, configOf(port, statistics, ports))
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn("haproxy", ["-f", file, "-db"], { stdio: ["ignore", "ignore", "pipe"] })),
      (child) =>
        Effect.callback<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGKILL")
        }),
    )
    yield* Effect.callback<void, BalancerFailed>((resume) => {
      let output = ""
      child.stderr.on("data", (chunk: Buffer) => (output = `${output}${chunk.toString()}`.slice(-2000)))
      child.once("error", (error) => resume(new BalancerFailed({ reason: error.message })))
      child.once("exit", () => resume(new BalancerFailed({ reason: output })))
      const knock = () => {
        const socket = connect({ host: "127.0.0.1", port })
        socket.once("connect", () => {
          socket.destroy()
          resume(Effect.void)
        })
        socket.once("error", () => setTimeout(knock, 20))
      }
      knock()
    }).pipe(
      Effect.timeoutOrElse({
        duration: startMillisMax,
        orElse: () => new BalancerFailed({ reason: `it does not listen after ${startMillisMax} ms` }),
      }),
    )
    return { url: `http://127.0.0.1:${port}`, isInUse: (index) => isInUseOf(statistics, `banquo${index}`) }
  })

/** As its page of statistics says: `scur` is how many requests a server has, `status` begins with UP where it is sent more. */
const isInUseOf = (port: number, server: string): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    const table = await (await fetch(`http://127.0.0.1:${port}/;csv`)).text()
    const [names, ...lines] = table.replace(/^# /, "").trimEnd().split("\n")
    const columns = names!.split(",")
    const cells = lines.map((line) => line.split(",")).find((line) => line[0] === "banquo" && line[1] === server)!
    const cell = (name: string) => cells[columns.indexOf(name)]!
    return cell("status").startsWith("UP") || Number(cell("scur")) > 0
  })
