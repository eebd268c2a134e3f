import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import { HttpApi } from "effect/http-api"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Api } from "@banquo/api/Api"
import { deadlineDefault } from "@banquo/ledger/Deadline"
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
  /** Where it holds; everywhere, if it does not say. */
  readonly on?: ReadonlyArray<Manifests.Overlay>
}

const production = ["cockroachdb", "postgresql"] as const
const everywhere = [...production, "local"] as const

/** Sets what stands at a path of the production manifests; undefined: takes it away. */
type Change = readonly [manifest: string, path: string, value: unknown]

const podPath = "spec.template.spec."
const firstContainer = `${podPath}containers.0.`

/** Some names end in a version or a hash. */
const found = (manifests: Manifests.Manifests, name: string) => {
  const named = manifests.filter((manifest) => nameOf(manifest) === name)
  return named.length > 0 ? named : manifests.filter((manifest) => nameOf(manifest).startsWith(`${name}-`))
}

/** A change in each of the overlays that have its manifest. */
const inOverlays = (changes: ReadonlyArray<Change>, on: ReadonlyArray<Manifests.Overlay> = production) =>
  changes.flatMap((change) => {
    const overlays = production.filter(
      (overlay) => on.includes(overlay) && found(Manifests.overlays[overlay], change[0]).length > 0,
    )
    if (overlays.length === 0) throw new Error(`${change[0]} is in no overlay`)
    return overlays.map((overlay) => [overlay, ...change] as const)
  })

const changed = (overlay: Manifests.Overlay, [name, path, value]: Change): Manifests.Manifests => {
  const manifests = structuredClone(Manifests.overlays[overlay])
  const [manifest, ...others] = found(manifests, name)
  assert.isEmpty(others, name)
  if (path === "") return manifests.filter((other) => other !== manifest)
  const keys = path.split(/(?<!\\)\./).map((key) => key.replaceAll("\\.", "."))
  let parent = manifest as unknown as Record<string, unknown>
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

/** Of those that a PostgreSQL takes, some are for its operator, its replicas and people. */
const connectionsReserved = 20

interface Database {
  readonly instances: number
  readonly podLabels: Readonly<Record<string, string>> | undefined
  readonly hasPort: (port: string | number | undefined) => boolean
  readonly port: number
  /** `host:port` of what leads to an instance that takes writes. */
  readonly addresses: ReadonlyArray<string>
  /** Holds the certificate of its instances. */
  readonly secret: string | undefined
  /** Connections that it bears. */
  readonly connections: number
}

/** CockroachDB is a StatefulSet; of PostgreSQL there is what its operator reads. */
const databaseOf = (manifests: Manifests.Manifests): Database => {
  const [cluster] = of(manifests, "Cluster")
  if (cluster !== undefined) {
    const { certificates, instances, postgresql } = cluster.spec
    return {
      instances,
      podLabels: { "cnpg.io/cluster": cluster.metadata.name! },
      hasPort: (port) => port === 5432 || port === 8000,
      port: 5432,
      addresses: [`${cluster.metadata.name}-rw:5432`],
      secret: certificates?.serverTLSSecret,
      connections: Number(postgresql?.parameters?.["max_connections"]) - connectionsReserved,
    }
  }
  const [database] = of(manifests, "StatefulSet")
  const instances = database!.spec!.replicas!
  return {
    instances,
    podLabels: podOf(database!).metadata?.labels,
    hasPort: (port) => hasPort(database!, port),
    port: 26_257,
    addresses: of(manifests, "Service")
      .filter(({ spec }) => selects({ matchLabels: spec?.selector ?? {} }, podOf(database!).metadata?.labels))
      .flatMap(({ metadata, spec }) => (spec?.ports ?? []).map(({ port }) => `${metadata?.name}:${port}`)),
    secret: "cockroachdb-node",
    connections: instances * cpusOf(containersOf(database!)[0]!.resources?.requests?.["cpu"]) * connectionsPerCpu,
  }
}

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

const hasTag = (image: string | undefined) => /:(?!latest$)[\w.-]+$/.test(image ?? "")

const isReserved = (resources: ReturnType<typeof containersOf>[number]["resources"]) =>
  resources?.requests?.["cpu"] !== undefined &&
  resources.limits?.["cpu"] === undefined &&
  resources.requests["memory"] !== undefined &&
  resources.requests["memory"] === resources.limits?.["memory"]

/** Of a volume, or of what PostgreSQL calls GB. */
const gibibytesOf = (quantity: string | undefined) => Number(/^(\d+)(?:Gi|GB)$/.exec(quantity ?? "")?.[1])

const isOperator = ({ namespaceSelector }: { readonly namespaceSelector?: Parameters<typeof selects>[0] }) =>
  namespaceSelector !== undefined && selects(namespaceSelector, { "kubernetes.io/metadata.name": "cnpg-system" })

const havePort = (ports: ReadonlyArray<{ readonly port?: string | number }> | undefined, port: number) =>
  ports?.some((own) => own.port === port) === true

/** What these parameters of PostgreSQL may say, if anything: otherwise it loses what it acknowledged, or serves what is damaged. */
const lossless: Readonly<Record<string, ReadonlyArray<string>>> = {
  fsync: ["on"],
  full_page_writes: ["on"],
  synchronous_commit: ["on", "remote_apply"],
  ignore_checksum_failure: ["off"],
  zero_damaged_pages: ["off"],
}

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
    problems: (manifests) => [
      ...everyContainer(({ image }) => hasTag(image))(manifests),
      ...of(manifests, "Cluster")
        .filter(({ spec }) => !hasTag(spec.imageName))
        .map(nameOf),
    ],
    breaks: [
      ["Deployment/banquo", `${firstContainer}image`, "registry.example/banquo"],
      ["Deployment/banquo", `${firstContainer}image`, "banquo:latest"],
      ["Cluster/postgresql", "spec.imageName", "postgresql"],
    ],
  },
  {
    name: "memory is reserved as far as it may be used; CPU is reserved and not limited",
    problems: (manifests) => [
      ...everyContainer(({ resources }) => isReserved(resources))(manifests),
      ...of(manifests, "Cluster")
        .filter(({ spec }) => !isReserved(spec.resources))
        .map(nameOf),
      ...of(manifests, "ObjectStore")
        .filter(({ spec }) => !isReserved(spec.instanceSidecarConfiguration?.resources))
        .map(nameOf),
    ],
    breaks: [
      ["Deployment/banquo", `${firstContainer}resources.limits.memory`, "1Gi"],
      ["Deployment/banquo", `${firstContainer}resources.limits.cpu`, "1"],
      ["Job/banquo-migrate", `${firstContainer}resources.requests.cpu`, undefined],
      ["Cluster/postgresql", "spec.resources.limits.memory", "32Gi"],
      ["ObjectStore/postgresql", "spec.instanceSidecarConfiguration", undefined],
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
      const needed = sleep + Duration.toSeconds(shutdownTimeout) + Duration.toSeconds(deadlineDefault)
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
    problems: (manifests) => [
      ...of(manifests, "Cluster")
        .filter(({ spec: { affinity, enablePDB, topologySpreadConstraints } }) => {
          const { podLabels } = databaseOf(manifests)
          return !(
            enablePDB === true &&
            affinity?.enablePodAntiAffinity === true &&
            affinity.podAntiAffinityType === "required" &&
            affinity.topologyKey === "kubernetes.io/hostname" &&
            topologySpreadConstraints?.some(
              ({ labelSelector, topologyKey, whenUnsatisfiable }) =>
                topologyKey === "topology.kubernetes.io/zone" &&
                whenUnsatisfiable === "DoNotSchedule" &&
                selects(labelSelector, podLabels),
            )
          )
        })
        .map(nameOf),
      ...unless(manifests, (workload) => {
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
    ],
    breaks: [
      ["Deployment/banquo", `${podPath}topologySpreadConstraints`, []],
      ["StatefulSet/cockroachdb", `${podPath}affinity`, undefined],
      ["PodDisruptionBudget/banquo", "", undefined],
      ["PodDisruptionBudget/cockroachdb", "spec.maxUnavailable", 2],
      ["Cluster/postgresql", "spec.enablePDB", false],
      ["Cluster/postgresql", "spec.affinity.podAntiAffinityType", "preferred"],
      ["Cluster/postgresql", "spec.affinity.topologyKey", "topology.kubernetes.io/zone"],
      ["Cluster/postgresql", "spec.topologySpreadConstraints.0.whenUnsatisfiable", "ScheduleAnyway"],
      [
        "Cluster/postgresql",
        "spec.topologySpreadConstraints.0.labelSelector.matchLabels",
        { "cnpg.io/cluster": "postgres" },
      ],
    ],
    on: production,
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
      const { hasPort, podLabels, port: databasePort } = databaseOf(manifests)
      const clients = workloads(manifests).map((workload) => ({
        name: nameOf(workload),
        labels: podOf(workload).metadata?.labels,
      }))
      return [...clients, { name: "the database", labels: podLabels }]
        .filter(({ labels }) => {
          const mayLeave = policies.some(
            ({ spec }) =>
              selects(spec?.podSelector, labels) &&
              (spec?.egress ?? []).some(
                ({ ports, to }) =>
                  (to ?? []).some(({ podSelector }) => podSelector !== undefined && selects(podSelector, podLabels)) &&
                  (ports ?? []).some(({ port }) => port === databasePort),
              ),
          )
          const mayEnter = policies.some(
            ({ spec }) =>
              Object.keys(spec?.podSelector ?? {}).length > 0 &&
              selects(spec?.podSelector, podLabels) &&
              (spec?.ingress ?? []).some(
                ({ from, ports }) =>
                  (from ?? []).some(({ podSelector }) => podSelector !== undefined && selects(podSelector, labels)) &&
                  (ports ?? []).every(({ port }) => hasPort(port)),
              ),
          )
          return !mayLeave || !mayEnter
        })
        .map(({ name }) => name)
    },
    breaks: [
      ["NetworkPolicy/banquo-to-database", "", undefined],
      ["NetworkPolicy/cockroachdb-setup", "", undefined],
      ["NetworkPolicy/cockroachdb", "spec.ingress.0.ports.0.port", "postgres"],
      ["NetworkPolicy/postgresql", "spec.ingress.0.ports.0.port", 26_257],
      ["NetworkPolicy/postgresql", "spec.ingress.1.from", []],
      ["NetworkPolicy/postgresql", "spec.egress.0.ports.0.port", 26_257],
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
    problems: (manifests) => {
      const isThere = (kind: string, name: string | undefined) =>
        manifests.some(({ kind: own, metadata }) => kind === own && metadata?.name === name)
      const secrets = new Set(of(manifests, "Certificate").map(({ spec }) => spec?.secretName))
      return [
        ...of(manifests, "Cluster")
          .filter(({ spec: { certificates, managed } }) => {
            const roles = new Set((managed?.roles ?? []).map(({ name }) => name))
            return !(
              [
                certificates?.serverCASecret,
                certificates?.serverTLSSecret,
                certificates?.clientCASecret,
                certificates?.replicationTLSSecret,
              ].every((secret) => secrets.has(secret)) &&
              (managed?.roles ?? []).every(({ inRoles }) => (inRoles ?? []).every((role) => roles.has(role)))
            )
          })
          .map(nameOf),
        ...unless(manifests, (workload) => {
          const pod = podOf(workload).spec!
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
      ]
    },
    breaks: [
      ["Deployment/banquo", "spec.selector.matchLabels.app\\.kubernetes\\.io/name", "banq"],
      ["Deployment/banquo", `${podPath}serviceAccountName`, "banq"],
      ["Deployment/banquo", `${firstContainer}envFrom.0.configMapRef.name`, "banquo"],
      ["Deployment/banquo", `${firstContainer}volumeMounts.0.name`, "certs"],
      ["Certificate/banquo-migrate-client", "spec.secretName", "migrate"],
      ["Certificate/cockroachdb-node", "", undefined],
      ["Certificate/postgresql-server", "", undefined],
      ["Certificate/postgresql-replication", "spec.secretName", "replication"],
      ["Cluster/postgresql", "spec.managed.roles.0.name", "banquo_application"],
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
        .filter(({ url }) => !databaseOf(manifests).addresses.includes(url.host))
        .map(({ url }) => url.host),
    breaks: [
      ["Service/cockroachdb-public", "metadata.name", "cockroachdb-client"],
      ["Cluster/postgresql", "metadata.name", "postgres"],
    ],
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
              ({ spec }) => spec?.secretName === databaseOf(manifests).secret && spec?.dnsNames?.includes(url.hostname),
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
      ["Certificate/postgresql-server", "spec.dnsNames", ["postgresql-ro"]],
      ["Certificate/banquo-client", "spec.commonName", "root"],
      ["Deployment/banquo", `${podPath}volumes`, []],
      [
        "Deployment/banquo",
        `${firstContainer}env`,
        [{ name: "DATABASE_URL", value: "postgres://banquo@cockroachdb-public:26257/banquo?sslmode=require" }],
      ],
    ],
    on: production,
  },
  {
    name: "the database bears the connections of as many instances as there can be",
    problems: (manifests) => {
      const { connectionsMax } = Effect.runSync(configOfApi(manifests)).database
      const surge = Number(Manifests.api(manifests).spec!.strategy!.rollingUpdate!.maxSurge)
      const opened = (replicasMax(manifests) + surge) * connectionsMax
      const borne = databaseOf(manifests).connections
      return opened <= borne ? [] : [`${opened} connections, ${borne} borne`]
    },
    breaks: [
      ["HorizontalPodAutoscaler/banquo", "spec.maxReplicas", 11],
      ["StatefulSet/cockroachdb", `${firstContainer}resources.requests.cpu`, "2"],
      ["Cluster/postgresql", "spec.postgresql.parameters.max_connections", "60"],
      ["Deployment/banquo", `${firstContainer}env`, [{ name: "DATABASE_CONNECTIONS_MAX", value: "14" }]],
    ],
    on: production,
  },
  {
    name: "at least three instances and three nodes of the database",
    problems: (manifests) => [
      ...((of(manifests, "HorizontalPodAutoscaler")[0]?.spec?.minReplicas ?? 0) >= 3 ? [] : ["instances"]),
      ...(databaseOf(manifests).instances >= 3 ? [] : ["nodes"]),
      // Whatever is there would fight with the autoscaler.
      ...(Manifests.api(manifests).spec?.replicas === undefined ? [] : ["replicas beside the autoscaler"]),
    ],
    breaks: [
      ["HorizontalPodAutoscaler/banquo", "spec.minReplicas", 2],
      ["StatefulSet/cockroachdb", "spec.replicas", 1],
      ["Cluster/postgresql", "spec.instances", 2],
      ["Deployment/banquo", "spec.replicas", 3],
    ],
    on: production,
  },
  {
    name: "PostgreSQL answers a commit once two of three instances have it, for good, and goes on without one",
    problems: (manifests) =>
      of(manifests, "Cluster").flatMap(({ spec }) => {
        const { parameters = {}, synchronous } = spec.postgresql ?? {}
        return [
          ...(synchronous?.method === "any" && synchronous.dataDurability === "required" ? [] : ["not required"]),
          // Only names of its own instances; and one may be away.
          ...(synchronous?.number === 1 && spec.instances >= 3 ? [] : ["number"]),
          ...(synchronous?.standbyNamesPre === undefined && synchronous?.standbyNamesPost === undefined
            ? []
            : ["others"]),
          ...(spec.minSyncReplicas === undefined && spec.maxSyncReplicas === undefined ? [] : ["deprecated"]),
          // Nobody becomes the primary who may lack what was acknowledged, nor while another still takes writes.
          ...(synchronous?.failoverQuorum === true ? [] : ["no quorum"]),
          ...(spec.smartShutdownTimeout === 0 && (spec.failoverDelay ?? 0) >= 30 ? [] : ["two primaries"]),
          ...Object.entries(parameters)
            .filter(([name, value]) => lossless[name]?.includes(value) === false)
            .map(([name]) => name),
          ...(spec.bootstrap?.initdb?.dataChecksums === true ? [] : ["no checksums"]),
        ]
      }),
    breaks: [
      ["Cluster/postgresql", "spec.postgresql.synchronous", undefined],
      ["Cluster/postgresql", "spec.postgresql.synchronous.method", "first"],
      ["Cluster/postgresql", "spec.postgresql.synchronous.number", 0],
      ["Cluster/postgresql", "spec.postgresql.synchronous.number", 2],
      ["Cluster/postgresql", "spec.postgresql.synchronous.dataDurability", "preferred"],
      ["Cluster/postgresql", "spec.postgresql.synchronous.dataDurability", undefined],
      ["Cluster/postgresql", "spec.postgresql.synchronous.failoverQuorum", undefined],
      ["Cluster/postgresql", "spec.postgresql.synchronous.standbyNamesPre", ["elsewhere"]],
      ["Cluster/postgresql", "spec.minSyncReplicas", 0],
      ["Cluster/postgresql", "spec.instances", 2],
      ["Cluster/postgresql", "spec.smartShutdownTimeout", undefined],
      ["Cluster/postgresql", "spec.failoverDelay", 0],
      ["Cluster/postgresql", "spec.postgresql.parameters.fsync", "off"],
      ["Cluster/postgresql", "spec.postgresql.parameters.full_page_writes", "off"],
      ["Cluster/postgresql", "spec.postgresql.parameters.synchronous_commit", "off"],
      ["Cluster/postgresql", "spec.postgresql.parameters.synchronous_commit", "local"],
      ["Cluster/postgresql", "spec.postgresql.parameters.synchronous_commit", "remote_write"],
      ["Cluster/postgresql", "spec.postgresql.parameters.ignore_checksum_failure", "on"],
      ["Cluster/postgresql", "spec.bootstrap.initdb.dataChecksums", undefined],
    ],
    on: ["postgresql"],
  },
  {
    name: "PostgreSQL archives its log and is copied each day, with credentials that are not here",
    problems: (manifests) =>
      of(manifests, "Cluster").flatMap(({ metadata, spec }) => {
        const archivers = (spec.plugins ?? []).filter(
          ({ enabled, isWALArchiver }) => isWALArchiver === true && enabled !== false,
        )
        const stores = of(manifests, "ObjectStore").filter(({ metadata: { name } }) =>
          archivers.some(({ parameters }) => parameters?.["barmanObjectName"] === name),
        )
        const backups = of(manifests, "ScheduledBackup").filter(
          ({ spec: backup }) =>
            backup.cluster.name === metadata.name &&
            backup.method === "plugin" &&
            backup.suspend !== true &&
            archivers.some(({ name }) => name === backup.pluginConfiguration?.name) &&
            // A second, a minute and an hour; any day.
            /^\d+ \d+ \d+ \* \* \*$/.test(backup.schedule),
        )
        return [
          ...(archivers.length === 1 ? [] : ["no archiver"]),
          ...(backups.length > 0 ? [] : ["no daily backup"]),
          ...(stores.length > 0 ? [] : ["no store"]),
          ...stores
            .filter(
              ({ spec: { configuration, retentionPolicy } }) =>
                retentionPolicy === undefined ||
                configuration.s3Credentials?.accessKeyId === undefined ||
                configuration.s3Credentials.secretAccessKey === undefined ||
                configuration.endpointURL?.startsWith("https://") !== true,
            )
            .map(nameOf),
        ]
      }),
    breaks: [
      ["Cluster/postgresql", "spec.plugins", []],
      ["Cluster/postgresql", "spec.plugins.0.isWALArchiver", undefined],
      ["Cluster/postgresql", "spec.plugins.0.enabled", false],
      ["Cluster/postgresql", "spec.plugins.0.parameters.barmanObjectName", "postgres"],
      ["ObjectStore/postgresql", "", undefined],
      ["ObjectStore/postgresql", "spec.retentionPolicy", undefined],
      ["ObjectStore/postgresql", "spec.configuration.s3Credentials", undefined],
      ["ObjectStore/postgresql", "spec.configuration.endpointURL", "http://s3.example"],
      ["ScheduledBackup/postgresql", "", undefined],
      ["ScheduledBackup/postgresql", "spec.cluster.name", "postgres"],
      ["ScheduledBackup/postgresql", "spec.method", undefined],
      ["ScheduledBackup/postgresql", "spec.suspend", true],
      ["ScheduledBackup/postgresql", "spec.schedule", "0 2 * * *"],
      ["ScheduledBackup/postgresql", "spec.pluginConfiguration.name", "barman"],
    ],
    on: ["postgresql"],
  },
  {
    name: "PostgreSQL lets in who shows a certificate: the migration as the owner, the service as one who reads and appends",
    problems: (manifests) =>
      of(manifests, "Cluster").flatMap(({ spec }) => {
        const { pg_hba = [] } = spec.postgresql ?? {}
        const lines = pg_hba.map((line) => line.split(/\s+/))
        const [{ username: owner }, { username: user }] = ["Job", "Deployment"].map(
          (kind) => databaseUrls(manifests).find(({ workload }) => workload.kind === kind)!.url,
        ) as [URL, URL]
        const { initdb } = spec.bootstrap ?? {}
        const role = spec.managed?.roles?.find(({ name }) => name === user)
        return [
          ...(lines.slice(0, -1).every(([type, , , , method]) => type === "hostssl" && method === "cert")
            ? []
            : ["without a certificate"]),
          ...(lines.at(-1)?.join(" ") === "host all all all reject" ? [] : ["anybody else"]),
          ...[owner, user].filter(
            (name) =>
              !lines.some(([, database, users]) => database === initdb?.database && users?.split(",").includes(name)),
          ),
          ...databaseUrls(manifests)
            .filter(
              ({ url }) =>
                url.pathname !== `/${initdb?.database}` ||
                url.searchParams.get("target_session_attrs") !== "read-write",
            )
            .map(({ workload }) => nameOf(workload)),
          ...(initdb?.owner === owner && owner !== user ? [] : ["owner"]),
          ...(role?.login === true && role.disablePassword === true && role.inRoles?.join() === "banquo_app"
            ? []
            : ["user"]),
          ...(spec.managed?.roles ?? [])
            .filter(
              ({ bypassrls, createdb, createrole, replication, superuser }) =>
                bypassrls === true ||
                createdb === true ||
                createrole === true ||
                replication === true ||
                superuser === true,
            )
            .map(({ name }) => name),
          ...(spec.enableSuperuserAccess === false ? [] : ["superuser"]),
          ...of(manifests, "Certificate")
            .filter(
              ({ spec: certificate }) =>
                certificate?.secretName === spec.certificates?.replicationTLSSecret &&
                certificate?.commonName !== "streaming_replica",
            )
            .map(nameOf),
        ]
      }),
    breaks: [
      ["Cluster/postgresql", "spec.postgresql.pg_hba.0", "hostssl banquo banquo,banquo_migrate all scram-sha-256"],
      ["Cluster/postgresql", "spec.postgresql.pg_hba.0", "host banquo banquo,banquo_migrate all cert"],
      ["Cluster/postgresql", "spec.postgresql.pg_hba.0", "hostssl banquo banquo all cert"],
      ["Cluster/postgresql", "spec.postgresql.pg_hba.1", "hostssl all all all cert"],
      ["Cluster/postgresql", "spec.postgresql.pg_hba", []],
      ["Cluster/postgresql", "spec.bootstrap.initdb.owner", "banquo"],
      ["Cluster/postgresql", "spec.bootstrap.initdb.database", "app"],
      ["Cluster/postgresql", "spec.managed.roles.2.inRoles", ["banquo_app", "pg_write_all_data"]],
      ["Cluster/postgresql", "spec.managed.roles.2.login", undefined],
      ["Cluster/postgresql", "spec.managed.roles.2.disablePassword", undefined],
      ["Cluster/postgresql", "spec.managed.roles.2.createrole", true],
      ["Cluster/postgresql", "spec.managed.roles.0.superuser", true],
      ["Cluster/postgresql", "spec.enableSuperuserAccess", true],
      ["Certificate/postgresql-replication", "spec.commonName", "postgres"],
      [
        "Deployment/banquo",
        `${firstContainer}env`,
        [{ name: "DATABASE_URL", value: "postgres://banquo@postgresql-rw:5432/banquo?sslmode=verify-full" }],
      ],
    ],
    on: ["postgresql"],
  },
  {
    name: "PostgreSQL is reached by its operator, and reaches Kubernetes and the object storage",
    problems: (manifests) => {
      const { podLabels } = databaseOf(manifests)
      const policies = of(manifests, "NetworkPolicy").filter(
        ({ spec }) => Object.keys(spec?.podSelector ?? {}).length > 0 && selects(spec?.podSelector, podLabels),
      )
      const ingress = policies.flatMap(({ spec }) => spec?.ingress ?? [])
      const egress = policies.flatMap(({ spec }) => spec?.egress ?? [])
      const isOwn = ({ podSelector }: { readonly podSelector?: Parameters<typeof selects>[0] }) =>
        podSelector !== undefined && selects(podSelector, podLabels)
      const entered = (port: number) =>
        ingress.some(({ from, ports }) => havePort(ports, port) && from?.some(isOperator))
      const left = (port: number) => egress.some(({ ports, to }) => havePort(ports, port) && to === undefined)
      return [
        ...(entered(5432) && entered(8000) ? [] : ["operator"]),
        ...(left(443) && left(6443) ? [] : ["Kubernetes and object storage"]),
        // A primary asks the others whether it is cut off.
        ...(ingress.some(({ from, ports }) => havePort(ports, 8000) && from?.some(isOwn)) &&
        egress.some(({ ports, to }) => havePort(ports, 8000) && to?.some(isOwn))
          ? []
          : ["each other"]),
      ]
    },
    breaks: [
      ["NetworkPolicy/postgresql", "spec.ingress.1.ports.1.port", 9187],
      ["NetworkPolicy/postgresql", "spec.ingress.1.from.1.namespaceSelector.matchLabels", { a: "b" }],
      ["NetworkPolicy/postgresql", "spec.ingress.1.from.0", { podSelector: { matchLabels: { a: "b" } } }],
      ["NetworkPolicy/postgresql", "spec.egress.0.ports.1.port", 9187],
      ["NetworkPolicy/postgresql", "spec.egress.1.ports.0.port", 80],
      ["NetworkPolicy/postgresql", "spec.egress.1.ports.1.port", 80],
    ],
    on: ["postgresql"],
  },
  {
    name: "PostgreSQL keeps its log on a volume of its own, which takes what it is kept for",
    problems: (manifests) =>
      of(manifests, "Cluster").flatMap(({ spec }) => {
        const { max_slot_wal_keep_size, max_wal_size } = spec.postgresql?.parameters ?? {}
        const kept = gibibytesOf(max_slot_wal_keep_size) + gibibytesOf(max_wal_size)
        return kept < gibibytesOf(spec.walStorage?.size) && gibibytesOf(spec.storage?.size) > 0 ? [] : [`${kept} GB`]
      }),
    breaks: [
      ["Cluster/postgresql", "spec.walStorage", undefined],
      ["Cluster/postgresql", "spec.walStorage.size", "16Gi"],
      ["Cluster/postgresql", "spec.postgresql.parameters.max_slot_wal_keep_size", undefined],
      ["Cluster/postgresql", "spec.postgresql.parameters.max_wal_size", "8GB"],
    ],
    on: ["postgresql"],
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
    on: ["cockroachdb"],
  },
]

describe.each(rules)("$name", ({ breaks, on = everywhere, problems }) => {
  it.each(on)("%s", (overlay) => {
    assert.deepStrictEqual(problems(Manifests.overlays[overlay]), [])
  })
  it.each(inOverlays(breaks, on))("%s is broken by %s %s = %j", (overlay, ...change) => {
    assert.isNotEmpty(problems(changed(overlay, change)))
  })
})

/** Where the types of an API group come from. */
const typesOf = (apiVersion: string) => {
  const packages: Record<string, string> = {
    "cert-manager.io/v1": "@kubernetes-models/cert-manager/",
    "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api/",
    "postgresql.cnpg.io/v1": "@kubernetes-models/cloudnative-pg/",
    "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/",
  }
  return `${packages[apiVersion] ?? "kubernetes-models/"}${apiVersion}`
}

const literalOf = (manifest: Manifests.Manifest) => {
  if (manifest.kind !== "ObjectStore") {
    return [`import("${typesOf(manifest.apiVersion)}/${manifest.kind}").I${manifest.kind}`, manifest] as const
  }
  const folder = "@kubernetes-models/cloudnative-pg/github.com/cloudnative-pg/barman-cloud/pkg/api"
  const type = "BarmanObjectStoreConfiguration"
  return [`import("${folder}/${type}").I${type}`, manifest.spec.configuration] as const
}

/** What the type checker says about manifests written as literals of the types of Kubernetes' own OpenAPI document. */
const typeErrors = (manifests: Manifests.Manifests): ReadonlyArray<string> => {
  // Beside the packages, so that they are found.
  const folder = mkdtempSync(join(import.meta.dirname, "../node_modules/.manifests-"))
  try {
    const lines = manifests.map((manifest, i) => {
      const [type, value] = literalOf(manifest)
      return `export const _${i}: ${type} = ${JSON.stringify(value)}`
    })
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
  it.each(everywhere)("%s", (overlay) => {
    assert.deepStrictEqual(typeErrors(Manifests.overlays[overlay]), [])
  })
  const breaks: ReadonlyArray<Change> = [
    ["Deployment/banquo", `${firstContainer}livenessProbe.httpGet.pathh`, "/livez"],
    ["Deployment/banquo", `${firstContainer}ports.0.containerPort`, "8484"],
    ["Deployment/banquo", "spec.template", undefined],
    ["NetworkPolicy/banquo-to-database", "spec.egres", []],
    ["ServiceMonitor/banquo", "spec.endpoints.0.intervall", "15s"],
    ["HTTPRoute/banquo", "spec.rules.0.backendrefs", []],
    ["Certificate/banquo-client", "spec.issuerRef", undefined],
    ["Cluster/postgresql", "spec.postgresql.synchronous.datadurability", "required"],
    ["Cluster/postgresql", "spec.instances", "3"],
    ["ScheduledBackup/postgresql", "spec.schedule", undefined],
    ["ObjectStore/postgresql", "spec.configuration.destination", "s3://banquo"],
    ["ObjectStore/postgresql", "spec.configuration.s3Credentials.secretAccessKey", "hunter2"],
  ]
  it.each(inOverlays(breaks))("%s is broken by %s %s = %j", (overlay, ...change) => {
    assert.isNotEmpty(typeErrors(changed(overlay, change)))
  })
})
