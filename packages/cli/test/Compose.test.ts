/** The compose files, their balancer and the image, held against the code. docker/verify runs them. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, Redacted } from "effect"
import { HttpApi } from "effect/http-api"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import { Api } from "@banquo/api/Api"
import { deadlineDefault } from "@banquo/ledger/Deadline"
import * as DatabaseUrl from "@banquo/ledger/DatabaseUrl"
import { shutdownTimeout } from "@banquo/server/Server"
import { configOf, keysOfMigrate, keysOfServe } from "./ConfigKeys.ts"
import * as Manifests from "./Manifests.ts"

interface Service {
  readonly image: string
  readonly container_name?: string
  readonly command?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly networks: ReadonlyArray<string>
  readonly ports?: ReadonlyArray<string>
  readonly volumes?: ReadonlyArray<string>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly read_only?: boolean
  readonly cap_drop?: ReadonlyArray<string>
  readonly security_opt?: ReadonlyArray<string>
  readonly pids_limit?: number
  readonly mem_limit?: string
  readonly stop_grace_period?: string
}

const read = (path: string) => readFileSync(join(Manifests.root, path), "utf8")

const servicesOf = (path: string) =>
  (parse(read(path), { merge: true }) as { readonly services: Readonly<Record<string, Service>> }).services

const files = {
  "compose.yaml": servicesOf("docker/compose.yaml"),
  "compose.cluster.yaml": servicesOf("docker/compose.cluster.yaml"),
  "compose.postgresql.yaml": servicesOf("docker/compose.postgresql.yaml"),
}
const cluster = files["compose.cluster.yaml"]

const dockerfile = read("docker/Dockerfile")
const haproxy = read("docker/haproxy.cfg")

/** What the image itself sets. */
const imageEnvironment = Object.fromEntries(
  /^ENV PATH=\S+ (.+)$/m
    .exec(dockerfile)![1]!
    .split(" ")
    .map((pair) => pair.split("=") as [string, string]),
)

const banquos = (services: Readonly<Record<string, Service>>) =>
  Object.entries(services).filter(([, { image }]) => image.startsWith("banquo:"))

const instances = (services: Readonly<Record<string, Service>>) =>
  banquos(services).filter(([, { command }]) => command?.[0] === "serve")

/** The database in an image, and its version; whoever made the image. */
const databasesOf = (images: ReadonlyArray<string>) =>
  images.flatMap((image) => {
    const [, name, version] = /\b(cockroach|postgres)(?:ql)?:(?:\$\{\w+:-)?(v?\d[\d.]+)/.exec(image) ?? []
    return name === undefined ? [] : [{ name, version }]
  })

const databasesOnKubernetes = databasesOf(
  Object.values(Manifests.overlays).flatMap((manifests) => [
    ...Manifests.workloads(manifests)
      .flatMap(Manifests.containersOf)
      .map(({ image }) => image!),
    ...Manifests.of(manifests, "Cluster").map(({ spec }) => spec.imageName!),
  ]),
)

const hasRoute = (path: string) => {
  let has = false
  HttpApi.reflect(Api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint }) => {
      has ||= endpoint.method === "GET" && endpoint.path === path
    },
  })
  return has
}

describe.each(Object.entries(files))("%s", (_, services) => {
  it.each(banquos(services))(
    "%s: holds keys that the command reads, and starts with them",
    (_, { command, environment = {} }) => {
      const keys = command?.[0] === "migrate" ? keysOfMigrate : keysOfServe
      assert.deepStrictEqual(
        Object.keys(environment).filter((key) => !keys.has(key)),
        [],
      )
      assert.deepStrictEqual(command, command?.[0] === "migrate" ? ["migrate"] : ["serve"])
      if (command?.[0] === "migrate") return
      const { database, serve } = Effect.runSync(configOf({ ...imageEnvironment, ...environment }))
      assert.isTrue(serve.isExposed)
      assert.strictEqual(serve.port, 8484)
      assert.isTrue(Option.isSome(database.url))
    },
  )

  it.each(banquos(services))("%s: is locked down", (_, service) => {
    assert.deepInclude(service, {
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
      pids_limit: 128,
      mem_limit: "512m",
    })
  })

  it.each(instances(services))(
    "%s: requests in flight may end before it is killed",
    (_, { environment, stop_grace_period }) => {
      const drainDelay = Number.parseInt(environment?.["DRAIN_DELAY"] ?? "0", 10)
      const needed = drainDelay + Duration.toSeconds(shutdownTimeout) + Duration.toSeconds(deadlineDefault)
      assert.isAbove(Number.parseInt(stop_grace_period!, 10), needed)
    },
  )

  it("publishes on loopback only", () => {
    const published = Object.values(services).flatMap(({ ports }) => ports ?? [])
    assert.isNotEmpty(published)
    for (const port of published) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/)
  })

  it("serves only after the migration", () => {
    assert.isNotEmpty(instances(services))
    for (const [, { depends_on }] of instances(services)) {
      assert.deepStrictEqual(depends_on, { migrate: { condition: "service_completed_successfully" } })
    }
  })

  it("takes the same database as Kubernetes", () => {
    const [database, ...others] = databasesOf(Object.values(services).map(({ image }) => image))
    const same = [...others, ...databasesOnKubernetes.filter(({ name }) => name === database!.name)]
    assert.isNotEmpty(same)
    for (const other of same) assert.deepStrictEqual(other, database)
  })
})

it("compose.yaml has the prototype's face", () => {
  const { banqsvc, migrate, roachsvc, ...others } = files["compose.yaml"]
  assert.isEmpty(others)
  assert.deepInclude(roachsvc, {
    container_name: "roachcont",
    networks: ["banqnet"],
    ports: ["127.0.0.1:26299:26257", "127.0.0.1:8199:8080"],
  })
  assert.deepInclude(banqsvc, { networks: ["banqnet"], ports: ["127.0.0.1:8499:8484"] })
  assert.deepStrictEqual(migrate!.depends_on, { roachsvc: { condition: "service_healthy" } })
  assert.strictEqual(banqsvc!.environment!["ROACH_HOST"], "roachsvc")
})

describe("compose.postgresql.yaml", () => {
  const { migrate, pg1, pg2, ...others } = files["compose.postgresql.yaml"]
  const primary = read("docker/postgresql/primary.sh")
  const standby = read("docker/postgresql/standby.sh")

  it("has the primary answer once the standby has the commit, which goes by the name that it waits for", () => {
    const [, name] = /^echo "synchronous_standby_names = 'ANY 1 \((\w+)\)'"/m.exec(primary)!
    assert.include(pg2!.command!, `cluster_name=${name}`)
    assert.include(primary, `pg_create_physical_replication_slot('${name}')`)
    assert.include(standby, ` --slot=${name} `)
    assert.include(standby, " --host=pg1 --username=replicator ")
    assert.match(primary, /^CREATE ROLE replicator LOGIN REPLICATION;$/m)
    assert.include(primary, "host replication replicator all ")
    assert.include(standby, " --write-recovery-conf ")
    assert.deepStrictEqual(pg2!.depends_on, { pg1: { condition: "service_healthy" } })
    assert.notMatch(`${primary}${standby}${pg1!.command}${pg2!.command}`, /fsync|full_page_writes|synchronous_commit/)
  })

  it("mounts the scripts, and keeps each its own data", () => {
    assert.deepStrictEqual(pg1!.volumes, [
      "pg1:/var/lib/postgresql",
      "./postgresql/primary.sh:/docker-entrypoint-initdb.d/primary.sh:ro",
    ])
    assert.deepStrictEqual(pg2!.volumes, ["pg2:/var/lib/postgresql", "./postgresql/standby.sh:/standby.sh:ro"])
  })

  it("has one Banquo that looks for the primary on both, as one who reads and appends", () => {
    assert.deepStrictEqual(Object.keys(others), ["banquo"])
    assert.deepStrictEqual(migrate!.depends_on, {
      pg1: { condition: "service_healthy" },
      pg2: { condition: "service_healthy" },
    })
    const urls = [migrate, others["banquo"]].map((service) => service!.environment!["DATABASE_URL"]!)
    assert.deepStrictEqual(
      urls
        .map((url) => DatabaseUrl.parse(Redacted.make(url)))
        .map(({ database, hosts, username }) => ({
          database,
          hosts,
          username,
        })),
      ["banquo_migrate", "banquo"].map((username) => ({
        database: "banquo",
        hosts: ["pg1", "pg2"].map((host) => ({ host, port: 5432 })),
        username,
      })),
    )
    for (const url of urls) assert.match(url, /\?target_session_attrs=read-write$/)
    assert.match(primary, /^CREATE ROLE banquo LOGIN IN ROLE banquo_app;$/m)
    assert.match(primary, /^ALTER DATABASE "\$POSTGRES_DB" OWNER TO banquo_migrate;$/m)
  })
})

/** What a backend of the balancer says, and its servers. */
const backendOf = (backend: string) => {
  const [, section] = new RegExp(`^backend ${backend}\\n((?: .*\\n|\\n)+)`, "m").exec(haproxy)!
  return {
    section: section!,
    servers: [...section!.matchAll(/^ {2}server (\S+) (\S+):(\d+)$/gm)].map(([, name, host, port]) => [
      name,
      host,
      Number(port),
    ]),
  }
}

describe("haproxy.cfg", () => {
  it("leads to the instances, by a readiness that exists", () => {
    const { section, servers } = backendOf("banquo")
    assert.deepStrictEqual(
      servers,
      instances(cluster).map(([name]) => [name, name, 8484]),
    )
    const [, path] = /^ {2}option httpchk GET (\S+)$/m.exec(section)!
    assert.strictEqual(path, "/readyz")
    assert.isTrue(hasRoute(path!))
    // What was sent may have been carried out.
    assert.match(section, /^ {2}retry-on conn-failure$/m)
  })

  it("leads to the nodes of the database, and is where the instances look for it", () => {
    const nodes = Object.keys(cluster).filter((name) => /^roach\d$/.test(name))
    assert.deepStrictEqual(
      backendOf("roach").servers,
      nodes.map((name) => [name, name, 26_257]),
    )
    for (const [, { environment }] of banquos(cluster)) {
      const { hostname, port } = new URL(environment!["DATABASE_URL"]!)
      assert.deepStrictEqual([hostname, port], ["lb", "26257"])
      assert.match(haproxy, /^frontend sql\n(?: .*\n)* {2}bind :26257$/m)
    }
  })
})

describe("the image", () => {
  it("listens where it says, by keys that the command reads", () => {
    const { NODE_ENV, ...environment } = imageEnvironment
    assert.strictEqual(NODE_ENV, "production")
    assert.deepStrictEqual(environment, { HOST: "0.0.0.0", PORT: "8484" })
    for (const key of Object.keys(environment)) assert.isTrue(keysOfServe.has(key))
    assert.match(dockerfile, /^EXPOSE 8484$/m)
    assert.match(dockerfile, /^USER \d+:\d+$/m)
  })

  it("is asked about its health by a route that exists", () => {
    const [, path] = /path: "([^"]+)"/.exec(read("docker/healthcheck.mjs"))!
    assert.strictEqual(path, "/livez")
    assert.isTrue(hasRoute(path!))
  })

  it("has the Node of the tests", () => {
    const { catalog } = parse(read("pnpm-workspace.yaml")) as { readonly catalog: Readonly<Record<string, string>> }
    assert.strictEqual(/^ARG NODE_IMAGE=node:(\d+)-/m.exec(dockerfile)![1], catalog["node"]!.split(".")[0])
  })
})

it("the README has every key that the command reads", () => {
  const documented = new Set(
    [...read("README.md").matchAll(/^\| (`[A-Z_`, ]+`) +\|/gm)].flatMap(([, keys]) => keys!.match(/[A-Z_]+/g)!),
  )
  assert.deepStrictEqual(
    [...keysOfServe].filter((key) => !documented.has(key)),
    [],
  )
})
