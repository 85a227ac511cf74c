"""Exporters: programs whose series are about something other than themselves.

A series carries the labels of its scrape target beside those of the metric. For an ordinary program that is welcome:
the pod that was scraped is the pod that is sick. For an exporter it is a trap: KubeDeploymentReplicasMismatch for
shop/api says `pod="kube-state-metrics-7d9..."`, and that pod is fine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Exporter:
    """One kind of exporter, recognised by what its scrape job, service or container is called.

    A name holds for itself and with a prefix (`kps-kube-state-metrics`, `monitoring/kube-state-metrics`), as Helm
    releases and the Prometheus operator make them. `instance` says whose address the label of that name is: the
    exporter's `own`, that of the `node` it runs on, or that of the `subject` it reports on. One that is not `in_pod`
    has no pod of its own, so a `pod` beside its series is always the metric's.
    """

    names: tuple[str, ...]
    instance: Literal["own", "node", "subject"] = "own"
    in_pod: bool = True

    def is_called(self, value: str) -> bool:
        """Whether a job, service or container of this name is this exporter."""
        value = value.replace("_", "-")
        return any(value == name or value.endswith((f"-{name}", f"/{name}")) for name in self.names)

    def has_pod(self, pod: str) -> bool:
        """Whether a pod of this name runs this exporter: perhaps a release before it, generated parts after it."""
        return any(f"-{name}-" in f"-{pod}-" for name in self.names)


DEFAULT_EXPORTERS: tuple[Exporter, ...] = (
    Exporter(("kube-state-metrics",)),
    # `kubernetes-nodes...` are the kubelet's jobs in the chart prometheus-community/prometheus.
    Exporter(("kubelet", "cadvisor", "kubernetes-nodes", "kubernetes-nodes-cadvisor"), instance="node", in_pod=False),
    Exporter(("node-exporter", "windows-exporter"), instance="node"),
    Exporter(("blackbox-exporter", "blackbox"), instance="subject"),
    # Controllers that report on certificates, applications and backups, and are fine themselves.
    Exporter(("cert-manager", "cert-manager-controller")),
    Exporter(("argocd-application-controller", "argocd-application-controller-metrics", "argocd-metrics")),
    Exporter(("velero",)),
    Exporter(("pushgateway",)),
    # Every other one that calls itself so. Last: the names above say more about `instance`.
    Exporter(("exporter",)),
)


# Prometheus renames a metric's own label to exported_X only where the scrape target has an X too. `exported_job`
# alone is not here: many programs have a `job` label of their own (queues, schedulers) and are still the sick one.
_EXPORTED = tuple(f"exported_{name}" for name in ("namespace", "pod", "container", "service", "node", "instance"))
_OF_THE_TARGET = ("pod", "service", "node", "instance")


@dataclass(frozen=True, slots=True)
class Scrape:
    """What the labels tell about how their series was scraped.

    `name` is what the exporter is called there, `exported` one label that Prometheus had to rename (or empty),
    `release` the service of an exporter that was installed under a name of its own (or empty).
    """

    exporter: Exporter | None = None
    name: str = ""
    exported: str = ""
    release: str = ""

    def reason_to_drop(self, meaning: str, value: str) -> str:
        """Why a pod, service, node or instance describes what was scraped, not what is wrong; empty if it does not."""
        if self.exported and meaning in _OF_THE_TARGET and not (meaning == "pod" and self._has_no_pod):
            return f"{self.exported} is there, so this one is the scrape target's"
        if self.exporter is not None and self._is_own(self.exporter, meaning, value):
            return f"it is {self.name}'s own"
        return ""

    @property
    def _has_no_pod(self) -> bool:
        return self.exporter is not None and not self.exporter.in_pod

    def _is_own(self, exporter: Exporter, meaning: str, value: str) -> bool:
        match meaning:
            case "pod":
                return exporter.has_pod(value) or bool(self.release and value.startswith(f"{self.release}-"))
            case "service":
                return exporter.is_called(value) or value == self.release != ""
            case "instance":
                return exporter.instance == "own"
            case _:
                return False


def scrape_of(labels: Mapping[str, str], exporters: tuple[Exporter, ...]) -> Scrape:
    """Recognise the exporter behind an alert.

    `job` speaks first: kube-state-metrics reports on services and containers that may themselves be exporters.
    """
    exported = next((name for name in _EXPORTED if labels.get(name)), "")
    for label in ("job", "service", "container"):
        value = labels.get(label, "")
        for exporter in exporters if value else ():
            if exporter.is_called(value):
                return Scrape(exporter, value, exported, _release(labels) if label == "job" else "")
    return Scrape(exported=exported)


def _release(labels: Mapping[str, str]) -> str:
    """The service of an exporter whose pods are named after it: job="kube-state-metrics", service="ksm",
    pod="ksm-7d9-x".

    Only asked where the job gave the exporter away. A container that did is a sidecar, and the pod around it is the
    program it reports on.
    """
    service = labels.get("service", "")
    return service if service and labels.get("pod", "").startswith(f"{service}-") else ""
