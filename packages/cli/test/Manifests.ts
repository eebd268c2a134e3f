/** What would be applied to a cluster: k8s/rendered, which k8s/render makes of the overlays and the CI keeps fresh. */
import type { ICertificate } from "@kubernetes-models/cert-manager/cert-manager.io/v1/Certificate"
import type { IIssuer } from "@kubernetes-models/cert-manager/cert-manager.io/v1/Issuer"
import type { IBarmanObjectStoreConfiguration } from "@kubernetes-models/cloudnative-pg/github.com/cloudnative-pg/barman-cloud/pkg/api/BarmanObjectStoreConfiguration"
import type { ICluster } from "@kubernetes-models/cloudnative-pg/postgresql.cnpg.io/v1/Cluster"
import type { IScheduledBackup } from "@kubernetes-models/cloudnative-pg/postgresql.cnpg.io/v1/ScheduledBackup"
import type { IHTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute"
import type { IPrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule"
import type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor"
import type { IDeployment } from "kubernetes-models/apps/v1/Deployment"
import type { IStatefulSet } from "kubernetes-models/apps/v1/StatefulSet"
import type { IHorizontalPodAutoscaler } from "kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler"
import type { IJob } from "kubernetes-models/batch/v1/Job"
import type { INetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy"
import type { IPodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget"
import type { IConfigMap } from "kubernetes-models/v1/ConfigMap"
import type { INamespace } from "kubernetes-models/v1/Namespace"
import type { IPodTemplateSpec } from "kubernetes-models/v1/PodTemplateSpec"
import type { ISecret } from "kubernetes-models/v1/Secret"
import type { IService } from "kubernetes-models/v1/Service"
import type { IServiceAccount } from "kubernetes-models/v1/ServiceAccount"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseAllDocuments } from "yaml"

/** No package has types for it, but for its configuration. */
export interface IObjectStore {
  readonly apiVersion: "barmancloud.cnpg.io/v1"
  readonly kind: "ObjectStore"
  readonly metadata: ICluster["metadata"]
  readonly spec: {
    readonly configuration: IBarmanObjectStoreConfiguration
    readonly retentionPolicy?: string
    readonly instanceSidecarConfiguration?: Pick<ICluster["spec"], "resources">
  }
}

export type Manifest =
  | ICertificate
  | ICluster
  | IConfigMap
  | IDeployment
  | IHTTPRoute
  | IHorizontalPodAutoscaler
  | IIssuer
  | IJob
  | INamespace
  | INetworkPolicy
  | IObjectStore
  | IPodDisruptionBudget
  | IPrometheusRule
  | IScheduledBackup
  | ISecret
  | IService
  | IServiceAccount
  | IServiceMonitor
  | IStatefulSet

export type Manifests = ReadonlyArray<Manifest>
export type Workload = Extract<Manifest, { kind: "Deployment" | "Job" | "StatefulSet" }>
export type OfKind<Kind extends Manifest["kind"]> = Extract<Manifest, { kind: Kind }>

export const root = join(import.meta.dirname, "../../..")

const rendered = (name: string): Manifests =>
  parseAllDocuments(readFileSync(join(root, `k8s/rendered/${name}.yaml`), "utf8")).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]!
    return document.toJS() as Manifest
  })

const production = (database: string): Manifests =>
  ["database", "migrate", "service"].flatMap((step) => rendered(`production-${database}-${step}`))

export const overlays = {
  cockroachdb: production("cockroachdb"),
  postgresql: production("postgresql"),
  local: rendered("local"),
}
export type Overlay = keyof typeof overlays

export const of = <Kind extends Manifest["kind"]>(manifests: Manifests, kind: Kind): ReadonlyArray<OfKind<Kind>> =>
  manifests.filter((manifest): manifest is OfKind<Kind> => manifest.kind === kind)

export const nameOf = (manifest: Manifest) => `${manifest.kind}/${manifest.metadata?.name}`

export const workloads = (manifests: Manifests): ReadonlyArray<Workload> =>
  manifests.filter(
    (manifest): manifest is Workload =>
      manifest.kind === "Deployment" || manifest.kind === "StatefulSet" || manifest.kind === "Job",
  )

export const podOf = (workload: Workload): IPodTemplateSpec => workload.spec!.template!

export const containersOf = (workload: Workload) => [
  ...podOf(workload).spec!.containers,
  ...(podOf(workload).spec!.initContainers ?? []),
]

/** The service itself. */
export const api = (manifests: Manifests) =>
  of(manifests, "Deployment").find(({ metadata }) => metadata?.name === "banquo")!

/** What a container finds in its environment. */
export const environmentOf = (manifests: Manifests, workload: Workload): Record<string, string> => {
  const environment: Record<string, string> = {}
  for (const container of containersOf(workload)) {
    for (const { configMapRef } of container.envFrom ?? []) {
      const map = of(manifests, "ConfigMap").find(({ metadata }) => metadata?.name === configMapRef?.name)
      Object.assign(environment, map?.data)
    }
    for (const { name, value } of container.env ?? []) environment[name] = value ?? ""
  }
  return environment
}

type Labels = Readonly<Record<string, string>>

/** Whether a selector by labels takes them; one without labels takes all. */
export const selects = (selector: { matchLabels?: Labels } | undefined, labels: Labels | undefined) =>
  Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels?.[key] === value)
