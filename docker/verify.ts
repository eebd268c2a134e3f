/** Brings docker/compose.yaml up with the image that was built, and looks at everything that its users rely on. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { request } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"

const image = "banquo:dev"
const url = "http://127.0.0.1:8499"

/** Node alone is 150 MB. */
const imageBytesMax = 170_000_000

const run = async (file: string, ...args: ReadonlyArray<string>) => {
  const { stderr, stdout } = await promisify(execFile)(file, args)
  return `${stdout}${stderr}`.trim()
}
const docker = (...args: ReadonlyArray<string>) => run("docker", ...args)
const compose = (...args: ReadonlyArray<string>) => run("docker-compose", "--file", "docker/compose.yaml", ...args)
const inspect = async <A>(name: string, format: string): Promise<A> =>
  JSON.parse(await docker("inspect", "--format", `{{json ${format}}}`, name)) as A

const say = (text: string) => process.stdout.write(`  ${text}\n`)

const eventually = async (what: string, isSo: () => Promise<boolean>) => {
  const end = Date.now() + 60_000
  while (!(await isSo().catch(() => false))) {
    assert(Date.now() < end, `not within a minute: ${what}`)
    await sleep(20)
  }
}

interface Account {
  readonly account_id: string
  readonly balance: { readonly posted: string }
}

const statusOf = async (path: string) => (await fetch(`${url}${path}`, { headers: { connection: "close" } })).status

const post = async <A>(path: string, body: object): Promise<A> => {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  assert.equal(response.status, 201, text)
  return JSON.parse(text) as A
}

const postedOf = async (id: string) =>
  ((await (await fetch(`${url}/v1/accounts/${id}`)).json()) as Account).balance.posted

/** A change whose second half is yet to be sent. */
const halfSent = (accountId: string) => {
  const body = JSON.stringify({ changes: [{ account_id: accountId, amount: "1" }] })
  const outgoing = request(`${url}/v1/transactions`, {
    method: "POST",
    headers: { "content-type": "application/json", "content-length": body.length },
  })
  const answer = new Promise<{ readonly status: number | undefined; readonly connection: string | undefined }>(
    (resolve, reject) => {
      outgoing.on("error", reject).on("response", (response) => {
        response.resume()
        resolve({ status: response.statusCode, connection: response.headers.connection })
      })
    },
  )
  const begun = new Promise((resolve) => outgoing.write(body.slice(0, 10), resolve))
  return { answer, begun, finish: () => outgoing.end(body.slice(10)) }
}

/** What the process itself sees of its confinement. */
const confinement = `
  const status = require("node:fs").readFileSync("/proc/1/status", "utf8")
  const of = (name) => status.match(new RegExp("^" + name + ":\\\\s+(\\\\S+)", "m"))[1]
  const written = (path) => { try { require("node:fs").writeFileSync(path, ""); return "written" } catch (error) { return error.code } }
  console.log(JSON.stringify({
    uid: of("Uid"), capabilities: [of("CapEff"), of("CapPrm"), of("CapBnd")].map(Number), noNewPrivileges: of("NoNewPrivs"),
    app: written("/app/x"), root: written("/x"), tmp: written("/tmp/x"),
    modules: require("node:fs").existsSync("/app/node_modules"), files: require("node:fs").readdirSync("/app").sort(),
  }))`

const size = await inspect<number>(image, ".Size")
say(`image of ${(size / 1e6).toFixed(0)} MB`)
assert(size <= imageBytesMax, `${size} bytes are more than ${imageBytesMax}`)
assert.equal(await inspect<string>(image, ".Config.User"), "65532:65532")
const labels = await inspect<Record<string, string>>(image, ".Config.Labels")
for (const name of ["title", "version", "revision", "licenses"])
  assert(labels[`org.opencontainers.image.${name}`], name)
await assert.rejects(docker("run", "--rm", "--network=none", "--entrypoint=sh", image), /executable file not found/)
await assert.rejects(docker("run", "--rm", "--network=none", image), /set UNAUTHENTICATED_ACCESS=allowed/)
await assert.rejects(docker("run", "--rm", "--network=none", "--env=HOST=127.0.0.1", image), /set DATABASE_URL/)
say("without a setting for open access, or without a database, it refuses to start in one line")

await compose("up", "--detach", "--no-build")
const container = await compose("ps", "--quiet", "banqsvc")
await eventually("serving", async () => (await statusOf("/readyz")) === 200)
const logs = await docker("logs", container)
assert.match(logs, /warn.*UNAUTHENTICATED_ACCESS is allowed/)
assert.match(await compose("logs", "--no-color", "migrate"), /the schema was brought to version/)
assert.deepEqual(JSON.parse(await docker("exec", container, "node", "--eval", confinement)), {
  uid: "65532",
  capabilities: [0, 0, 0],
  noNewPrivileges: "1",
  app: "EROFS",
  root: "EROFS",
  tmp: "written",
  modules: false,
  files: ["LICENSE", "banquo.mjs", "healthcheck.mjs"],
})
say("database, migration and service came up in order; nothing in the container can be written, no privilege is left")

const { account_id: id } = await post<Account>("/v1/accounts", { customer_name: "Ann", currency: "EUR" })
await post("/v1/transactions", { changes: [{ account_id: id, amount: "12.50" }] })
assert.equal(await postedOf(id), "12.50")
assert.equal((await fetch(`${url}/make-dummy-account`, { method: "POST" })).status, 200)
say("an account was opened and credited")

await eventually("healthy", async () => (await inspect<string>(container, ".State.Health.Status")) === "healthy")
await docker("stop", "roachcont")
await eventually("not ready", async () => (await statusOf("/readyz")) === 503)
assert.equal(await statusOf("/livez"), 200)
await docker("exec", container, "node", "/app/healthcheck.mjs")
await docker("start", "roachcont")
await eventually("ready again", async () => (await statusOf("/readyz")) === 200)
say("without its database it is alive and healthy, but not ready")

const change = halfSent(id)
await change.begun
const stopped = docker("stop", "--time=30", container)
await eventually("no new connections", async () =>
  statusOf("/livez").then(
    () => false,
    () => true,
  ),
)
change.finish()
assert.deepEqual(await change.answer, { status: 201, connection: "close" })
await stopped
assert.equal(await inspect<number>(container, ".State.ExitCode"), 0)
say("stopped with a change in flight: answered with 201, ended with 0")

const startedAt = Date.now()
await docker("start", container)
await eventually("serving again", async () => (await statusOf("/livez")) === 200)
say(`${Date.now() - startedAt} ms from \`docker start\` to the first answer`)
await eventually("ready again", async () => (await statusOf("/readyz")) === 200)
assert.equal(await postedOf(id), "13.50")
await compose("down", "--volumes")
