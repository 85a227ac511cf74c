"""Keys of annotations and labels that the generic actions leave alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.playbooks.names import is_label_key, is_label_value

MOST_KEYS = 20
LONGEST_ANNOTATION = 4096

_REFUSED: Mapping[str, str] = {
    "remediator.dev": "what people say to us by it, and our own records, stay theirs and ours",
    "kubectl.kubernetes.io": "kubectl keeps its records there",
    "meta.helm.sh": "Helm keeps its records there",
    "helm.sh": "Helm takes orders by it",
    "argocd.argoproj.io": "Argo CD takes orders by it: use argocd_refresh or argocd_sync",
    "reconcile.fluxcd.io": "Flux takes orders by it: use flux_reconcile",
    "toolkit.fluxcd.io": "Flux keeps its records there",
    "cnpg.io": "it can fence, stop or restart a database: use the cnpg actions",
    "zalando.org": "it can change a database",
    "acid.zalan.do": "it can change a database",
    "strimzi.io": "it can delete brokers with their data: use the Kafka actions",
    "longhorn.io": "it can change a volume",
    "velero.io": "it runs commands in pods before a backup",
    "cert-manager.io": "it makes certificates: use renew_certificate",
    "deployment.kubernetes.io": "its controller keeps its records there",
    "pv.kubernetes.io": "it ties volumes to claims",
    "volume.kubernetes.io": "it ties volumes to claims",
    "volume.beta.kubernetes.io": "it ties volumes to claims",
    "node.alpha.kubernetes.io": "the node controller keeps its records there",
    "pod-security.kubernetes.io": "it decides what pods may do",
    "node-restriction.kubernetes.io": "it decides where pods may run",
    "container.apparmor.security.beta.kubernetes.io": "it decides what pods may do",
}
"""Domain (with its subdomains) -> why."""


def annotation_problem(key: str, value: str | None) -> str:
    """Why this annotation is left alone; empty where it may be set (None = removed)."""
    if not _is_key(key):
        return f"{key!r:.80} is no annotation name"
    if value is not None and len(value) > LONGEST_ANNOTATION:
        return f"the value of {key} is longer than {LONGEST_ANNOTATION} characters"
    if key.endswith("-snippet"):
        return f"{key} puts text into the configuration of an ingress controller"
    return _refused(key)


def label_problem(key: str, value: str | None) -> str:
    """Why this label is left alone; empty where it may be set (None = removed)."""
    if not _is_key(key):
        return f"{key!r:.80} is no label name"
    if value is not None and not is_label_value(value):
        return f"{value!r:.80} is no value for the label {key}"
    domain = key.rpartition("/")[0]
    if _within(domain, "kubernetes.io") or _within(domain, "k8s.io"):
        return f"{key}: labels of {domain} place pods, select objects and decide what pods may do"
    return _refused(key)


def _is_key(key: str) -> bool:
    """Without names of digits alone, which a path would take for a place in a list."""
    return is_label_key(key) and not key.isdigit()


def _refused(key: str) -> str:
    domain = key.rpartition("/")[0]
    return next((f"{key}: {reason}" for known, reason in _REFUSED.items() if _within(domain, known)), "")


def _within(domain: str, known: str) -> bool:
    return domain == known or domain.endswith(f".{known}")
