"""The kinds of object we can read and write, by name.

A built-in kind has its plain name (`Deployment`). A kind that an operator brings is named with its API group
(`Certificate.cert-manager.io`), as kubectl does: `Backup` and `Cluster` each belong to three operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a kind lives: `apps/v1`, `deployments`, namespaced or not.

    `status`: whether its status is a subresource of its own, which a write to the object itself leaves alone.
    """

    kind: str
    api_version: str
    plural: str
    namespaced: bool = True
    status: bool = True

    @property
    def group(self) -> str:
        """Empty for the core group."""
        return self.api_version.rpartition("/")[0]


_BUILT_IN = (
    Kind("Deployment", "apps/v1", "deployments"),
    Kind("StatefulSet", "apps/v1", "statefulsets"),
    Kind("DaemonSet", "apps/v1", "daemonsets"),
    Kind("ReplicaSet", "apps/v1", "replicasets"),
    Kind("ControllerRevision", "apps/v1", "controllerrevisions", status=False),
    Kind("Pod", "v1", "pods"),
    Kind("Service", "v1", "services"),
    Kind("Event", "v1", "events", status=False),
    Kind("ConfigMap", "v1", "configmaps", status=False),
    Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Kind("PersistentVolume", "v1", "persistentvolumes", namespaced=False),
    Kind("Node", "v1", "nodes", namespaced=False),
    Kind("Namespace", "v1", "namespaces", namespaced=False),
    Kind("Job", "batch/v1", "jobs"),
    Kind("CronJob", "batch/v1", "cronjobs"),
    Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
    Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices", status=False),
    Kind("Ingress", "networking.k8s.io/v1", "ingresses"),
    Kind("StorageClass", "storage.k8s.io/v1", "storageclasses", namespaced=False, status=False),
    Kind("VolumeAttachment", "storage.k8s.io/v1", "volumeattachments", namespaced=False),
    Kind("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "clusterrolebindings", namespaced=False, status=False),
    Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings", status=False),
    Kind("ServiceAccount", "v1", "serviceaccounts", status=False),
    Kind("ResourceQuota", "v1", "resourcequotas"),
    Kind("Lease", "coordination.k8s.io/v1", "leases", status=False),
)

_OF_OPERATORS = (
    Kind("Certificate", "cert-manager.io/v1", "certificates"),
    Kind("CertificateRequest", "cert-manager.io/v1", "certificaterequests"),
    Kind("Issuer", "cert-manager.io/v1", "issuers"),
    Kind("ClusterIssuer", "cert-manager.io/v1", "clusterissuers", namespaced=False),
    Kind("Order", "acme.cert-manager.io/v1", "orders"),
    Kind("Challenge", "acme.cert-manager.io/v1", "challenges"),
    Kind("Cluster", "postgresql.cnpg.io/v1", "clusters"),
    Kind("Backup", "postgresql.cnpg.io/v1", "backups"),
    Kind("ScheduledBackup", "postgresql.cnpg.io/v1", "scheduledbackups"),
    Kind("Pooler", "postgresql.cnpg.io/v1", "poolers"),
    Kind("ObjectStore", "barmancloud.cnpg.io/v1", "objectstores"),
    Kind("postgresql", "acid.zalan.do/v1", "postgresqls"),
    Kind("Backup", "velero.io/v1", "backups", status=False),
    Kind("Restore", "velero.io/v1", "restores", status=False),
    Kind("Schedule", "velero.io/v1", "schedules", status=False),
    Kind("DeleteBackupRequest", "velero.io/v1", "deletebackuprequests", status=False),
    Kind("BackupStorageLocation", "velero.io/v1", "backupstoragelocations", status=False),
    Kind("Volume", "longhorn.io/v1beta2", "volumes"),
    Kind("Snapshot", "longhorn.io/v1beta2", "snapshots"),
    Kind("Backup", "longhorn.io/v1beta2", "backups"),
    Kind("BackupTarget", "longhorn.io/v1beta2", "backuptargets"),
    Kind("Application", "argoproj.io/v1alpha1", "applications", status=False),
    Kind("Rollout", "argoproj.io/v1alpha1", "rollouts"),
    Kind("Kustomization", "kustomize.toolkit.fluxcd.io/v1", "kustomizations"),
    Kind("HelmRelease", "helm.toolkit.fluxcd.io/v2", "helmreleases"),
    Kind("GitRepository", "source.toolkit.fluxcd.io/v1", "gitrepositories"),
    Kind("ExternalSecret", "external-secrets.io/v1", "externalsecrets"),
    Kind("ScaledObject", "keda.sh/v1alpha1", "scaledobjects"),
    Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes"),
    Kind("Gateway", "gateway.networking.k8s.io/v1", "gateways"),
    Kind("VirtualService", "networking.istio.io/v1", "virtualservices"),
    Kind("Kafka", "kafka.strimzi.io/v1beta2", "kafkas"),
    Kind("KafkaConnector", "kafka.strimzi.io/v1beta2", "kafkaconnectors"),
    Kind("KafkaRebalance", "kafka.strimzi.io/v1beta2", "kafkarebalances"),
    Kind("StrimziPodSet", "core.strimzi.io/v1beta2", "strimzipodsets"),
    Kind("Machine", "cluster.x-k8s.io/v1beta1", "machines"),
    Kind("NodeClaim", "karpenter.sh/v1", "nodeclaims", namespaced=False),
    Kind("VolumeSnapshot", "snapshot.storage.k8s.io/v1", "volumesnapshots"),
)

KINDS: Mapping[str, Kind] = {k.kind: k for k in _BUILT_IN} | {f"{k.kind}.{k.group}": k for k in _OF_OPERATORS}

_NAMES = {(k.group, k.kind): name for name, k in KINDS.items()}


def kind_name(api_version: str, kind: str) -> str:
    """The name we know a kind by, from what an object says of itself. An unknown kind has its group in the name."""
    group = api_version.rpartition("/")[0]
    known = _NAMES.get((group, kind))
    return known if known is not None else f"{kind}.{group}" if group else kind
