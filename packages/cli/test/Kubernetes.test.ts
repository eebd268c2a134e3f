import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import { HttpApi } from "effect/http-api"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Api } from "@banquo/api/Api"
import { answerTimeout } from "@banquo/ledger/DbConn"
import { shutdownTimeout } from "@banquo/server/Server"
import { configOf, keysOfMigrate, keysOfServe } from "./ConfigKeys.ts"
import * as Manifests from "./Manifests.ts"
import { containersOf, nameOf, of, podOf, selects, workloads } from "./Manifests.ts"

/** The configuration that the service reads in its container; certificates, which are mounted there, are those of the tests. */
const configOfApi = (manifests: Manifests.Manifests) => {
  const environment = Manifests.environmentOf(manifests, Manifests.api(manifests))
  const certificates = `${import.meta.dirname}/../../testing/certificates`
  const DATABASE_URL = environment["DATABASE_URL"]
    ?.replace(/=[^=&]*\/ca\.crt/, `=${certificates}/ca.crt`)
    .replace(/=[^=&]*\/tls\.(crt|key)/g, `=${certificates}/client.$1`)
  return configOf({ ...environment, ...(DATABASE_URL === undefined ? {} : { DATABASE_URL }) })
}

/** A rule answers with what breaks it. Each is shown to find what it is there for: `breaks` makes manifests that break it. */
interface Rule {
  readonly name: string
  readonly problems: (manifests: Manifests.Manifests) => ReadonlyArray<string>
  readonly breaks: ReadonlyArray<Change>
  /** Only where it holds for a cluster that nobody depends on, too. */
  readonly isOnlyForProduction?: boolean
}

/** Sets what stands at a path of the production manifests; undefined: takes it away. Of a pod, the path starts there. */
type Change = readonly [manifest: string, path: string, value: unknown]

const podPath = "spec.template.spec."
const firstContainer = `${podPath}containers.0.`

const changed = ([name, path, value]: Change): Manifests.Manifests => {
  const manifests = structuredClone(Manifests.production)
  const named = manifests.filter((manifest) => nameOf(manifest) === name)
  // Some names end in a version or a hash.
  const found = named.length > 0 ? named : manifests.filter((manifest) => nameOf(manifest).startsWith(`${name}-`))
  assert.lengthOf(found, 1, name)
  if (path === "") return manifests.filter((manifest) => manifest !== found[0])
  const keys = path.split(/(?<!\\)\./).map((key) => key.replaceAll("\\.", "."))
  let parent = found[0] as unknown as Record<string, unknown>
  for (const key of keys.slice(0, -1)) parent = (parent[key] ??= {}) as Record<string, unknown>
  parent[keys.at(-1)!] = value
  return manifests
}

/** What does not hold, of the workloads. */
const unless = (
  manifests: Manifests.Manifests,
  holds: (workload: Manifests.Workload) => boolean | undefined,
): ReadonlyArray<string> =>
  workloads(manifests)
    .filter((workload) => holds(workload) !== true)
    .map(nameOf)

const everyContainer =
  (holds: (container: ReturnType<typeof containersOf>[number]) => boolean | undefined) =>
  (manifests: Manifests.Manifests) =>
    unless(manifests, (workload) => containersOf(workload).every((container) => holds(container) === true))

const isServing = (workload: Manifests.Workload) => workload.kind !== "Job"

/** Half a gigabyte is 512Mi; 4 CPUs are "4" or 4000m. */
const cpusOf = (quantity: string | number | undefined) =>
  String(quantity).endsWith("m") ? Number.parseInt(String(quantity), 10) / 1000 : Number(quantity)

/** CockroachDB bears about four active connections for each vCPU, over all its clients. */
const connectionsPerCpu = 4

const replicasMax = (manifests: Manifests.Manifests) =>
  of(manifests, "HorizontalPodAutoscaler")[0]?.spec?.maxReplicas ?? Manifests.api(manifests).spec!.replicas!

const routes: ReadonlySet<string> = (() => {
  const paths = new Set<string>()
  HttpApi.reflect(Api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint }) => {
      if (endpoint.method === "GET") paths.add(endpoint.path)
    },
  })
  return paths
})()

const probesOf = (workload: Manifests.Workload) => {
  const { livenessProbe, readinessProbe, startupProbe } = containersOf(workload)[0]!
  return { livenessProbe, readinessProbe, startupProbe }
}

const portsOf = (workload: Manifests.Workload) => containersOf(workload).flatMap(({ ports }) => ports ?? [])

const hasPort = (workload: Manifests.Workload, port: string | number | undefined) =>
  portsOf(workload).some(({ containerPort, name }) => port === name || port === containerPort)

/** Workloads whose pods a selector takes. */
const selected = (manifests: Manifests.Manifests, selector: Parameters<typeof selects>[0]) =>
  workloads(manifests).filter((workload) => selects(selector, podOf(workload).metadata?.labels))

const databaseUrls = (manifests: Manifests.Manifests) =>
  workloads(manifests).flatMap((workload) => {
    const { DATABASE_URL } = Manifests.environmentOf(manifests, workload)
    return DATABASE_URL === undefined ? [] : [{ workload, url: new URL(DATABASE_URL) }]
  })

const rules: ReadonlyArray<Rule> = [
  {
    name: "pods run as a numeric user that is not root, with the runtime's seccomp profile",
    problems: (manifests) =>
      unless(manifests, (workload) => {
        const context = podOf(workload).spec!.securityContext
        return (
          context?.runAsNonRoot === true &&
          (context.runAsUser ?? 0) > 0 &&
          (context.runAsGroup ?? 0) > 0 &&
          context.seccompProfile?.type === "RuntimeDefault"
        )
      }),
    breaks: [
      ["Deployment/banquo", `${podPath}securityContext.runAsUser`, 0],
      ["Job/banquo-migrate", `${podPath}securityContext.runAsNonRoot`, undefined],
      ["StatefulSet/cockroachdb", `${podPath}securityContext.seccompProfile`, undefined],
    ],
  },
  {
    name: "containers cannot gain privileges, have no capability and a root file system that is read-only",
    problems: everyContainer(
      ({ securityContext }) =>
        securityContext?.allowPrivilegeEscalation === false &&
        securityContext.privileged !== true &&
        securityContext.readOnlyRootFilesystem === true &&
        securityContext.capabilities?.drop?.includes("ALL") === true &&
        (securityContext.capabilities.add ?? []).length === 0,
    ),
    breaks: [
      ["Deployment/banquo", `${firstContainer}securityContext.readOnlyRootFilesystem`, false],
      ["Deployment/banquo", `${firstContainer}securityContext.capabilities.drop`, []],
      ["Job/cockroachdb-setup", `${firstContainer}securityContext.allowPrivilegeEscalation`, undefined],
      ["Job/banquo-migrate", `${firstContainer}securityContext.privileged`, true],
    ],
  },
  {
    name: "pods see nothing of the node and get no token",
    problems: (manifests) => [
      ...unless(manifests, (workload) => {
        const pod = podOf(workload).spec!
        return (
          pod.hostNetwork !== true &&
          pod.hostPID !== true &&
          pod.hostIPC !== true &&
          pod.automountServiceAccountToken === false &&
          pod.enableServiceLinks === false &&
          (pod.volumes ?? []).every((volume) => volume.hostPath === undefined)
        )
      }),
      ...of(manifests, "ServiceAccount")
        .filter((account) => account.automountServiceAccountToken !== false)
        .map(nameOf),
    ],
    breaks: [
      ["Deployment/banquo", `${podPath}automountServiceAccountToken`, undefined],
      ["Deployment/banquo", `${podPath}hostNetwork`, true],
      ["StatefulSet/cockroachdb", `${podPath}volumes.0`, { name: "tmp", hostPath: { path: "/tmp" } }],
      ["ServiceAccount/banquo", "automountServiceAccountToken", true],
    ],
  },
  {
    name: "images have a tag, and not the latest",
    problems: everyContainer(({ image }) => /:(?!latest$)[\w.-]+$/.test(image ?? "")),
    breaks: [
      ["Deployment/banquo", `${firstContainer}image`, "registry.example/banquo"],
      ["Deployment/banquo", `${firstContainer}image`, "banquo:latest"],
    ],
  },
  {
    name: "memory is reserved as far as it may be used; CPU is reserved and not limited",
    problems: everyContainer(
      ({ resources }) =>
        resources?.requests?.["cpu"] !== undefined &&
        resources.limits?.["cpu"] === undefined &&
        resources.requests["memory"] !== undefined &&
        resources.requests["memory"] === resources.limits?.["memory"],
    ),
    breaks: [
      ["Deployment/banquo", `${firstContainer}resources.limits.memory`, "1Gi"],
      ["Deployment/banquo", `${firstContainer}resources.limits.cpu`, "1"],
      ["Job/banquo-migrate", `${firstContainer}resources.requests.cpu`, undefined],
    ],
  },
  {
    name: "no secret is written down",
    problems: (manifests) => [
      ...of(manifests, "Secret").map(nameOf),
      ...of(manifests, "ConfigMap")
        .filter(({ data }) =>
          Object.values(data ?? {}).some((value) => /:\/\/[^/]*:[^/]*@|password|secret/i.test(value)),
        )
        .map(nameOf),
      ...unless(manifests, (workload) =>
        containersOf(workload).every(({ env }) =>
          (env ?? []).every(({ value }) => !/password|secret|:\/\//i.test(value ?? "")),
        ),
      ),
    ],
    breaks: [
      ["ConfigMap/banquo-migrate", "data.DATABASE_URL", "postgres://ann:hunter2@cockroachdb-public:26257/banquo"],
      ["Deployment/banquo", `${firstContainer}env`, [{ name: "DATABASE_URL", value: "postgres://ann:x@y/z" }]],
      ["ConfigMap/banquo-migrate", "kind", "Secret"],
    ],
  },
  {
    name: "what serves is probed three ways, and dies of the database's absence in none",
    problems: (manifests) =>
      unless(manifests, (workload) => {
        if (!isServing(workload)) return true
        const { livenessProbe, readinessProbe, startupProbe } = probesOf(workload)
        const alive = livenessProbe?.httpGet?.path
        return (
          startupProbe?.httpGet !== undefined &&
          alive !== undefined &&
          !alive.includes("ready") &&
          readinessProbe?.httpGet?.path?.includes("ready") === true &&
          [livenessProbe, readinessProbe, startupProbe].every((probe) => hasPort(workload, probe?.httpGet?.port))
        )
      }),
    breaks: [
      ["Deployment/banquo", `${firstContainer}startupProbe`, undefined],
      ["Deployment/banquo", `${firstContainer}livenessProbe.httpGet.path`, "/readyz"],
      ["Deployment/banquo", `${firstContainer}readinessProbe.httpGet.port`, "https"],
      ["StatefulSet/cockroachdb", `${firstContainer}readinessProbe.httpGet.path`, "/health"],
    ],
  },
  {
    name: "probes and the HTTPRoute ask for routes that exist",
    problems: (manifests) => {
      const known = [...routes]
      const probed = Object.values(probesOf(Manifests.api(manifests)))
        .map((probe) => probe?.httpGet?.path ?? "none")
        .filter((path) => !routes.has(path))
      const routed = of(manifests, "HTTPRoute")
        .flatMap(({ spec }) => spec?.rules ?? [])
        .flatMap(({ matches }) => matches ?? [])
        .map(({ path }) => path?.value ?? "/")
        .filter((prefix) => !known.some((path) => path.startsWith(prefix)))
      return [...probed, ...routed]
    },
    breaks: [
      ["Deployment/banquo", `${firstContainer}livenessProbe.httpGet.path`, "/healthz"],
      ["HTTPRoute/banquo", "spec.rules.0.matches.0.path.value", "/v2/"],
    ],
  },
  {
    name: "an instance is replaced before it is taken away, and one at a time is",
    problems: (manifests) =>
      of(manifests, "Deployment")
        .filter(
          ({ spec }) =>
            spec?.strategy?.rollingUpdate?.maxUnavailable !== 0 ||
            spec.strategy.rollingUpdate.maxSurge !== 1 ||
            (spec.minReadySeconds ?? 0) < 1,
        )
        .map(nameOf),
    breaks: [["Deployment/banquo", "spec.strategy.rollingUpdate.maxUnavailable", 1]],
  },
  {
    name: "balancers have time to see that an instance goes, and requests in flight to end, before it is killed",
    problems: (manifests) => {
      const { lifecycle } = containersOf(Manifests.api(manifests))[0]!
      const sleep = lifecycle?.preStop?.sleep?.seconds ?? 0
      const grace = podOf(Manifests.api(manifests)).spec!.terminationGracePeriodSeconds ?? 30
      const needed = sleep + Duration.toSeconds(shutdownTimeout) + Duration.toSeconds(answerTimeout)
      return sleep >= 5 && needed < grace ? [] : [`${sleep} s of sleep, ${needed} s needed, ${grace} s of grace`]
    },
    breaks: [
      ["Deployment/banquo", `${podPath}terminationGracePeriodSeconds`, 38],
      ["Deployment/banquo", `${podPath}terminationGracePeriodSeconds`, undefined],
      ["Deployment/banquo", `${firstContainer}lifecycle`, undefined],
    ],
  },
  {
    name: "what serves in more than one pod is spread over nodes, and loses one at a time to evictions",
    problems: (manifests) =>
      unless(manifests, (workload) => {
        if (!isServing(workload)) return true
        const { affinity, topologySpreadConstraints } = podOf(workload).spec!
        const labels = podOf(workload).metadata?.labels
        const spreads = [
          ...(topologySpreadConstraints ?? []),
          ...(affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
        ].filter(({ labelSelector }) => selects(labelSelector, labels))
        const keys = new Set(spreads.map(({ topologyKey }) => topologyKey))
        return (
          keys.has("kubernetes.io/hostname") &&
          keys.has("topology.kubernetes.io/zone") &&
          of(manifests, "PodDisruptionBudget").some(
            ({ spec }) => selects(spec?.selector, labels) && spec?.maxUnavailable === 1,
          )
        )
      }),
    breaks: [
      ["Deployment/banquo", `${podPath}topologySpreadConstraints`, []],
      ["StatefulSet/cockroachdb", `${podPath}affinity`, undefined],
      ["PodDisruptionBudget/banquo", "", undefined],
      ["PodDisruptionBudget/cockroachdb", "spec.maxUnavailable", 2],
    ],
    isOnlyForProduction: true,
  },
  {
    name: "jobs end, one way or the other",
    problems: (manifests) =>
      of(manifests, "Job")
        .filter(
          ({ spec }) =>
            spec?.backoffLimit === undefined ||
            spec.activeDeadlineSeconds === undefined ||
            spec.ttlSecondsAfterFinished === undefined,
        )
        .map(nameOf),
    breaks: [["Job/banquo-migrate", "spec.activeDeadlineSeconds", undefined]],
  },
  {
    name: "everything is in one namespace, which takes only restricted pods and denies what no policy allows",
    problems: (manifests) => {
      const [namespace] = of(manifests, "Namespace")
      const denial = of(manifests, "NetworkPolicy").find(({ spec }) =>
        spec === undefined || Object.keys(spec.podSelector ?? {}).length > 0
          ? false
          : spec.policyTypes?.length === 2 && spec.ingress === undefined && spec.egress === undefined,
      )
      return [
        ...manifests
          .filter(({ kind, metadata }) => kind !== "Namespace" && metadata?.namespace !== namespace?.metadata?.name)
          .map(nameOf),
        ...(namespace?.metadata?.labels?.["pod-security.kubernetes.io/enforce"] === "restricted" ? [] : ["namespace"]),
        ...(denial === undefined ? ["no denial"] : []),
      ]
    },
    breaks: [
      ["Namespace/banquo", "metadata.labels.pod-security\\.kubernetes\\.io/enforce", "baseline"],
      ["NetworkPolicy/default-deny", "", undefined],
      ["NetworkPolicy/default-deny", "spec.policyTypes", ["Ingress"]],
      ["Service/banquo", "metadata.namespace", "default"],
    ],
  },
  {
    name: "the network lets the service and the migration reach the database, and the database its nodes",
    problems: (manifests) => {
      const policies = of(manifests, "NetworkPolicy")
      const [database] = of(manifests, "StatefulSet")
      const labels = podOf(database!).metadata?.labels
      return workloads(manifests)
        .filter((workload) => {
          const own = podOf(workload).metadata?.labels
          const mayLeave = policies.some(
            ({ spec }) =>
              selects(spec?.podSelector, own) &&
              (spec?.egress ?? []).some(
                ({ ports, to }) =>
                  (to ?? []).some(({ podSelector }) => podSelector !== undefined && selects(podSelector, labels)) &&
                  (ports ?? []).some(({ port }) => port === 26_257),
              ),
          )
          const mayEnter = policies.some(
            ({ spec }) =>
              Object.keys(spec?.podSelector ?? {}).length > 0 &&
              selects(spec?.podSelector, labels) &&
              (spec?.ingress ?? []).some(
                ({ from, ports }) =>
                  (from ?? []).some(({ podSelector }) => podSelector !== undefined && selects(podSelector, own)) &&
                  (ports ?? []).every(({ port }) => hasPort(database!, port)),
              ),
          )
          return !mayLeave || !mayEnter
        })
        .map(nameOf)
    },
    breaks: [
      ["NetworkPolicy/banquo-to-database", "", undefined],
      ["NetworkPolicy/cockroachdb-setup", "", undefined],
      ["NetworkPolicy/cockroachdb", "spec.ingress.0.ports.0.port", "postgres"],
      ["Job/banquo-migrate", "spec.template.metadata.labels.app\\.kubernetes\\.io/name", "migrate"],
    ],
  },
  {
    name: "services, autoscaler, budget, monitor and route lead to what is there",
    problems: (manifests) => {
      const services = of(manifests, "Service")
      return [
        ...services
          .filter(({ spec }) => {
            const [workload] = selected(manifests, { matchLabels: spec?.selector ?? { none: "" } })
            return (
              workload === undefined || !(spec?.ports ?? []).every(({ targetPort }) => hasPort(workload, targetPort))
            )
          })
          .map(nameOf),
        ...of(manifests, "HorizontalPodAutoscaler")
          .filter(
            ({ spec }) =>
              !manifests.some((m) => nameOf(m) === `${spec?.scaleTargetRef.kind}/${spec?.scaleTargetRef.name}`),
          )
          .map(nameOf),
        ...of(manifests, "PodDisruptionBudget")
          .filter(({ spec }) => selected(manifests, spec?.selector).length !== 1)
          .map(nameOf),
        ...of(manifests, "ServiceMonitor")
          .filter(
            ({ spec }) =>
              !services.some(
                (service) =>
                  selects(spec?.selector, service.metadata?.labels) &&
                  (spec?.endpoints ?? []).every(({ port }) => service.spec?.ports?.some(({ name }) => name === port)),
              ),
          )
          .map(nameOf),
        ...of(manifests, "HTTPRoute")
          .filter(({ spec }) =>
            (spec?.rules ?? [])
              .flatMap(({ backendRefs }) => backendRefs ?? [])
              .some(
                ({ name, port }) =>
                  !services.some(
                    ({ metadata, spec }) => metadata?.name === name && spec?.ports?.some((own) => own.port === port),
                  ),
              ),
          )
          .map(nameOf),
        ...of(manifests, "NetworkPolicy")
          .filter(({ spec }) =>
            selected(manifests, spec?.podSelector).some((workload) =>
              (spec?.ingress ?? []).some(({ ports }) => (ports ?? []).some(({ port }) => !hasPort(workload, port))),
            ),
          )
          .map(nameOf),
      ]
    },
    breaks: [
      ["Service/banquo", "spec.ports.0.targetPort", "web"],
      ["Service/cockroachdb-public", "spec.selector", { "app.kubernetes.io/name": "cockroach" }],
      ["HorizontalPodAutoscaler/banquo", "spec.scaleTargetRef.name", "banq"],
      ["PodDisruptionBudget/banquo", "spec.selector.matchLabels", { "app.kubernetes.io/name": "banq" }],
      ["ServiceMonitor/banquo", "spec.endpoints.0.port", "metrics"],
      ["HTTPRoute/banquo", "spec.rules.0.backendRefs.0.port", 8484],
      ["NetworkPolicy/monitoring", "spec.ingress.0.ports.0.port", "metrics"],
    ],
  },
  {
    name: "what pods refer to is there: labels, accounts, maps, secrets, volumes",
    problems: (manifests) => [
      ...unless(manifests, (workload) => {
        const pod = podOf(workload).spec!
        const isThere = (kind: string, name: string | undefined) =>
          manifests.some(({ kind: own, metadata }) => kind === own && metadata?.name === name)
        const secrets = new Set(of(manifests, "Certificate").map(({ spec }) => spec?.secretName))
        const claims = workload.kind === "StatefulSet" ? (workload.spec?.volumeClaimTemplates ?? []) : []
        const volumes = new Set([
          ...(pod.volumes ?? []).map(({ name }) => name),
          ...claims.map(({ metadata }) => metadata?.name),
        ])
        return (
          (workload.kind === "Job" || selects(workload.spec?.selector, podOf(workload).metadata?.labels)) &&
          (pod.serviceAccountName === undefined || isThere("ServiceAccount", pod.serviceAccountName)) &&
          containersOf(workload).every(
            ({ envFrom, volumeMounts }) =>
              (envFrom ?? []).every(({ configMapRef }) => isThere("ConfigMap", configMapRef?.name)) &&
              (volumeMounts ?? []).every(({ name }) => volumes.has(name)),
          ) &&
          (pod.volumes ?? []).every(
            ({ projected, secret }) =>
              (secret === undefined || secrets.has(secret.secretName)) &&
              (projected?.sources ?? []).every((source) => secrets.has(source.secret?.name)),
          )
        )
      }),
    ],
    breaks: [
      ["Deployment/banquo", "spec.selector.matchLabels.app\\.kubernetes\\.io/name", "banq"],
      ["Deployment/banquo", `${podPath}serviceAccountName`, "banq"],
      ["Deployment/banquo", `${firstContainer}envFrom.0.configMapRef.name`, "banquo"],
      ["Deployment/banquo", `${firstContainer}volumeMounts.0.name`, "certs"],
      ["Certificate/banquo-migrate-client", "spec.secretName", "migrate"],
      ["Certificate/cockroachdb-node", "", undefined],
    ],
  },
  {
    name: "environments hold keys that the command reads, and no others",
    problems: (manifests) =>
      databaseUrls(manifests).flatMap(({ workload }) => {
        const keys = workload.kind === "Job" ? keysOfMigrate : keysOfServe
        return Object.keys(Manifests.environmentOf(manifests, workload)).filter((key) => !keys.has(key))
      }),
    breaks: [
      ["ConfigMap/banquo-migrate", "data.DATABASE_URI", "x"],
      ["Deployment/banquo", `${firstContainer}env`, [{ name: "DATABASE_CONNECTION_MAX", value: "8" }]],
    ],
  },
  {
    name: "the command starts with its environment, and listens where its port is",
    problems: (manifests) => {
      const workload = Manifests.api(manifests)
      const config = Effect.runSync(Effect.option(configOfApi(manifests)))
      return Option.match(config, {
        onNone: () => ["it does not start"],
        onSome: ({ database, serve }) => [
          ...(serve.isExposed ? [] : ["nobody reaches it"]),
          ...(Option.isSome(database.url) ? [] : ["it has no database"]),
          ...portsOf(workload).flatMap(({ containerPort }) =>
            containerPort === serve.port ? [] : [`port ${serve.port}`],
          ),
        ],
      })
    },
    breaks: [
      ["Deployment/banquo", `${firstContainer}env`, [{ name: "PORT", value: "8485" }]],
      ["Deployment/banquo", `${firstContainer}env`, [{ name: "UNAUTHENTICATED_ACCESS", value: "" }]],
      ["Deployment/banquo", `${firstContainer}env`, [{ name: "HOST", value: "127.0.0.1" }]],
      ["Deployment/banquo", `${firstContainer}ports.0.containerPort`, 8485],
    ],
  },
  {
    name: "the address of the database leads to its service",
    problems: (manifests) =>
      databaseUrls(manifests)
        .filter(
          ({ url }) =>
            !of(manifests, "Service").some(
              ({ metadata, spec }) =>
                metadata?.name === url.hostname && spec?.ports?.some(({ port }) => port === Number(url.port)),
            ),
        )
        .map(({ url }) => url.host),
    breaks: [["Service/cockroachdb-public", "metadata.name", "cockroachdb-client"]],
  },
  {
    name: "the database is known by its certificate, and its users by theirs, from files that are mounted",
    problems: (manifests) =>
      databaseUrls(manifests)
        .filter(({ url, workload }) => {
          const certificates = of(manifests, "Certificate")
          const { volumes } = podOf(workload).spec!
          const { volumeMounts } = containersOf(workload)[0]!
          const secretOf = (path: string | null) => {
            const at = path?.replace(/\/(?:ca\.crt|tls\.crt|tls\.key)$/, "")
            const mount = volumeMounts?.find(({ mountPath }) => mountPath === at)
            return volumes?.find(({ name }) => name === mount?.name)?.secret?.secretName
          }
          const secrets = ["sslrootcert", "sslcert", "sslkey"].map((name) => secretOf(url.searchParams.get(name)))
          return !(
            url.searchParams.get("sslmode") === "verify-full" &&
            certificates.some(
              ({ spec }) => spec?.secretName === "cockroachdb-node" && spec.dnsNames?.includes(url.hostname),
            ) &&
            certificates.some(
              ({ spec }) =>
                secrets.every((secret) => secret !== undefined && secret === spec?.secretName) &&
                spec?.commonName === url.username,
            )
          )
        })
        .map(({ workload }) => nameOf(workload)),
    breaks: [
      ["Certificate/cockroachdb-node", "spec.dnsNames", ["node"]],
      ["Certificate/banquo-client", "spec.commonName", "root"],
      ["Deployment/banquo", `${podPath}volumes`, []],
      [
        "Deployment/banquo",
        `${firstContainer}env`,
        [{ name: "DATABASE_URL", value: "postgres://banquo@cockroachdb-public:26257/banquo?sslmode=require" }],
      ],
    ],
    isOnlyForProduction: true,
  },
  {
    name: "the database bears the connections of as many instances as there can be",
    problems: (manifests) => {
      const [database] = of(manifests, "StatefulSet")
      const cpus = cpusOf(containersOf(database!)[0]!.resources?.requests?.["cpu"])
      const borne = database!.spec!.replicas! * cpus * connectionsPerCpu
      const { connectionsMax } = Effect.runSync(configOfApi(manifests)).database
      const surge = Number(Manifests.api(manifests).spec!.strategy!.rollingUpdate!.maxSurge)
      const opened = (replicasMax(manifests) + surge) * connectionsMax
      return opened <= borne ? [] : [`${opened} connections, ${borne} borne`]
    },
    breaks: [
      ["HorizontalPodAutoscaler/banquo", "spec.maxReplicas", 6],
      ["StatefulSet/cockroachdb", `${firstContainer}resources.requests.cpu`, "2"],
      ["Deployment/banquo", `${firstContainer}env`, [{ name: "DATABASE_CONNECTIONS_MAX", value: "10" }]],
    ],
    isOnlyForProduction: true,
  },
  {
    name: "at least three instances and three nodes of the database",
    problems: (manifests) => [
      ...((of(manifests, "HorizontalPodAutoscaler")[0]?.spec?.minReplicas ?? 0) >= 3 ? [] : ["instances"]),
      ...(of(manifests, "StatefulSet").every(({ spec }) => (spec?.replicas ?? 0) >= 3) ? [] : ["nodes"]),
      // Whatever is there would fight with the autoscaler.
      ...(Manifests.api(manifests).spec?.replicas === undefined ? [] : ["replicas beside the autoscaler"]),
    ],
    breaks: [
      ["HorizontalPodAutoscaler/banquo", "spec.minReplicas", 2],
      ["StatefulSet/cockroachdb", "spec.replicas", 1],
      ["Deployment/banquo", "spec.replicas", 3],
    ],
    isOnlyForProduction: true,
  },
  {
    // On CockroachDB everybody may make tables in a new database.
    name: "nobody but who migrates may make tables in the database",
    problems: (manifests) =>
      unless(
        workloads(manifests).filter((workload) => nameOf(workload) === "Job/cockroachdb-setup"),
        (workload) => {
          const commands = containersOf(workload).flatMap(({ args }) => args ?? [])
          return ["REVOKE CREATE ON SCHEMA banquo.public FROM public", "TO banquo_migrate"].every((text) =>
            commands.some((command) => command.includes(text)),
          )
        },
      ),
    breaks: [["Job/cockroachdb-setup", `${firstContainer}args.0`, "cockroach sql --execute='CREATE DATABASE banquo'"]],
    isOnlyForProduction: true,
  },
]

const both = { production: Manifests.production, local: Manifests.local }

describe.each(rules)("$name", ({ breaks, isOnlyForProduction, problems }) => {
  it.each(isOnlyForProduction === true ? ["production" as const] : ["production" as const, "local" as const])(
    "%s",
    (name) => {
      assert.deepStrictEqual(problems(both[name]), [])
    },
  )
  it.each(breaks)("is broken by %s %s = %j", (...change) => {
    assert.isNotEmpty(problems(changed(change)))
  })
})

/** Where the types of an API group come from. */
const typesOf = (apiVersion: string) => {
  const packages: Record<string, string> = {
    "cert-manager.io/v1": "@kubernetes-models/cert-manager/",
    "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api/",
    "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/",
  }
  return `${packages[apiVersion] ?? "kubernetes-models/"}${apiVersion}`
}

/** What the type checker says about manifests written as literals of the types of Kubernetes' own OpenAPI document. */
const typeErrors = (manifests: Manifests.Manifests): ReadonlyArray<string> => {
  // Beside the packages, so that they are found.
  const folder = mkdtempSync(join(import.meta.dirname, "../node_modules/.manifests-"))
  try {
    const lines = manifests.map(
      (manifest, i) =>
        `export const _${i}: import("${typesOf(manifest.apiVersion)}/${manifest.kind}").I${manifest.kind} = ${JSON.stringify(manifest)}`,
    )
    writeFileSync(join(folder, "manifests.ts"), lines.join("\n"))
    const compilerOptions = {
      strict: true,
      noEmit: true,
      module: "nodenext",
      target: "esnext",
      skipLibCheck: true,
      types: [],
    }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["manifests.ts"] }))
    execFileSync(join(Manifests.root, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" })
    return []
  } catch (error) {
    return (error as { readonly stdout: string }).stdout.trim().split("\n")
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("are what Kubernetes takes", () => {
  it.each(["production", "local"] as const)("%s", (name) => {
    assert.deepStrictEqual(typeErrors(both[name]), [])
  })
  it.each([
    ["Deployment/banquo", `${firstContainer}livenessProbe.httpGet.pathh`, "/livez"],
    ["Deployment/banquo", `${firstContainer}ports.0.containerPort`, "8484"],
    ["Deployment/banquo", "spec.template", undefined],
    ["NetworkPolicy/banquo-to-database", "spec.egres", []],
    ["ServiceMonitor/banquo", "spec.endpoints.0.intervall", "15s"],
    ["HTTPRoute/banquo", "spec.rules.0.backendrefs", []],
    ["Certificate/banquo-client", "spec.issuerRef", undefined],
  ] satisfies ReadonlyArray<Change>)("is broken by %s %s = %j", (...change) => {
    assert.isNotEmpty(typeErrors(changed(change)))
  })
})
