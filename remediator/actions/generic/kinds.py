"""Which kinds the generic actions take, and which fields of them they leave alone, with the reason for people.

What has an action of its own is left to that: it knows bounds, health and the order of things, which a bare field does
not tell. What holds data, gives rights or speaks for people is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.actions.paths import Path
from remediator.objects import KINDS, WORKLOADS

_NEVER_GROUPS = frozenset(
    {
        "rbac.authorization.k8s.io",
        "authorization.k8s.io",
        "authentication.k8s.io",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "certificates.k8s.io",
    }
)
_NEVER = frozenset(
    {
        *("Secret", "ServiceAccount", "Event", "Lease"),
        *("ReplicaSet", "ControllerRevision", "Endpoints", "EndpointSlice", "VolumeAttachment"),
    }
)
"""Credentials and rights, records, and what only controllers write."""

GENERIC_KINDS = tuple(name for name, k in KINDS.items() if k.kind not in _NEVER and k.group not in _NEVER_GROUPS)

DATA_GROUPS: Mapping[str, str] = {
    "postgresql.cnpg.io": "it is a database",
    "acid.zalan.do": "it is a database",
    "kafka.strimzi.io": "it is a message broker",
    "core.strimzi.io": "it is a message broker",
    "velero.io": "it is a backup",
    "longhorn.io": "it is a volume",
    "snapshot.storage.k8s.io": "it is a snapshot",
    "storage.k8s.io": "volumes are made by it",
    "cluster.x-k8s.io": "it is a machine",
    "karpenter.sh": "it is a machine",
    "acme.cert-manager.io": "it is a step of an issuer",
}
"""API groups whose specs are changed by actions that know them, or by people."""

_SCALE = "scale changes that, within bounds"
_SUSPEND = "flux_suspend and flux_resume change that"
_RIGHTS = "it decides with whose rights, and where, it deploys"

_OF_KIND: tuple[tuple[frozenset[str], Path, str], ...] = (
    (frozenset(WORKLOADS), ("spec", "replicas"), _SCALE),
    (frozenset(WORKLOADS), ("spec", "selector"), "it cannot be changed"),
    (frozenset(WORKLOADS), ("spec", "revisionHistoryLimit"), "set_history_limit changes that"),
    (frozenset({"Rollout.argoproj.io"}), ("spec", "replicas"), _SCALE),
    (frozenset({"Service"}), ("spec", "selector"), "switch_service changes that, once the new pods are ready"),
    (frozenset({"Service"}), ("spec", "type"), "it would open the Service to the outside, or close it"),
    (frozenset({"Service"}), ("spec", "externalName"), "it would send traffic out of the cluster"),
    (frozenset({"HorizontalPodAutoscaler"}), ("spec", "minReplicas"), "set_hpa_bounds changes that"),
    (frozenset({"HorizontalPodAutoscaler"}), ("spec", "maxReplicas"), "set_hpa_bounds changes that"),
    (frozenset({"PersistentVolumeClaim"}), ("spec",), "it holds data; expand_pvc lets it grow"),
    (frozenset({"PersistentVolume"}), ("spec",), "it holds data"),
    (frozenset({"PodDisruptionBudget"}), ("spec",), "it is what people have said must stay"),
    (frozenset({"Pod"}), ("spec",), "its controller makes pods from a template: change that"),
    (frozenset({"Node"}), ("spec",), "cordon, uncordon and drain change that"),
    (frozenset({"Namespace"}), ("spec",), "it is the API server's own"),
    (frozenset({"CronJob", "Job"}), ("spec", "suspend"), "an action of its own starts and stops it"),
    (frozenset({"Application.argoproj.io"}), ("spec", "syncPolicy"), "argocd_suspend and argocd_resume change that"),
    (frozenset({"Application.argoproj.io"}), ("spec", "project"), _RIGHTS),
    (frozenset({"Application.argoproj.io"}), ("spec", "destination"), _RIGHTS),
    (frozenset({"Kustomization.kustomize.toolkit.fluxcd.io"}), ("spec", "suspend"), _SUSPEND),
    (frozenset({"HelmRelease.helm.toolkit.fluxcd.io"}), ("spec", "suspend"), _SUSPEND),
    (frozenset({"Kustomization.kustomize.toolkit.fluxcd.io"}), ("spec", "prune"), "it would delete what Git lacks"),
    (frozenset({"ExternalSecret.external-secrets.io"}), ("spec",), "it writes a Secret"),
    (frozenset({"Certificate.cert-manager.io"}), ("spec", "secretName"), "it writes a Secret"),
    (frozenset({"Certificate.cert-manager.io"}), ("spec", "issuerRef"), "it decides who vouches for it"),
)

WEIGHTED = frozenset({"HTTPRoute.gateway.networking.k8s.io", "VirtualService.networking.istio.io"})

CREATABLE = (
    *WORKLOADS,
    *("CronJob", "Service", "PersistentVolumeClaim", "PodDisruptionBudget", "Ingress", "ResourceQuota", "ConfigMap"),
    "Certificate.cert-manager.io",
    "HTTPRoute.gateway.networking.k8s.io",
    "VirtualService.networking.istio.io",
)
"""What may be made from a manifest. Not here: what has an action of its own (Jobs, autoscalers, backups, databases),
what deploys with other rights (Argo CD, Flux), what writes Secrets."""


def protected(kind: str, path: Path) -> str:
    """Why the generic actions leave this field alone; empty where they may change it."""
    if path[:1] != ("spec",) and not (kind == "ConfigMap" and path[:1] == ("data",)):
        return "only what is below spec (and data of a ConfigMap) can be changed so"
    if len(path) < 2:
        return "that would replace all of it: name a field"
    if reason := DATA_GROUPS.get(KINDS[kind].group, "") if kind in KINDS else "":
        return f"{reason}: there are actions for that"
    if kind in WEIGHTED and path[-1] in ("weight", "backendRefs", "route", "rules", "http"):
        return "set_route_weight changes weights, in steps"
    for kinds, at, reason in _OF_KIND:
        if kind in kinds and path[: len(at)] == at:
            return reason
    return ""
