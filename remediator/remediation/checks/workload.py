"""The target as the cluster and as its metrics know it: reading it, its pods, and the labels that select it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from remediator.actions.eviction import selector_text
from remediator.objects import WORKLOADS, Object, ObjectRef, controller_of, dig, kind_of, ref_of, uid_of
from remediator.ports import Cluster
from remediator.remediation.checks.base import CheckContext, CheckTarget, MetricLabels, Unknown
from remediator.remediation.promql import equals, matches, one_of, regex_quote

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""The characters of generated names and template hashes (k8s.io/apimachinery/pkg/util/rand): no vowels, no 0, 1, 3."""

CNPG = "Cluster.postgresql.cnpg.io"
OF_CLUSTER = "cnpg.io/cluster"
"""Label of the pods of a CloudNativePG cluster: it controls them itself, and has no selector."""

HAVE_PODS = (*WORKLOADS, "ReplicaSet", "Pod", CNPG)
"""Kinds whose pods can be told."""

_LONGEST_BASE = 58
"""Longer bases of generated pod names are cut off there (k8s.io/apiserver/pkg/storage/names)."""


async def read_target(context: CheckContext, target: CheckTarget) -> Object:
    """The target, by a consistent read. Raises: Unknown for another object under its name, ReadError."""
    found = context.objects.get(target.ref)
    if found is None:
        found = await context.cluster.get(target.ref)
    if target.uid and uid_of(found) != target.uid:
        raise Unknown(f"{target.ref} is another object than at planning (uid {uid_of(found)}, was {target.uid})")
    return found


async def pods_of(cluster: Cluster, workload: Object) -> tuple[Object, ...]:
    """The pods a workload controls: its selector narrows, the controller's uid decides. Raises: Unknown, ReadError."""
    kind, namespace = kind_of(workload), str(dig(workload, "metadata", "namespace", default=""))
    if kind == "Pod":
        return (workload,)
    if kind not in HAVE_PODS:
        raise Unknown(f"a {kind.partition('.')[0]} has no pods of its own")
    labels = f"{OF_CLUSTER}={ref_of(workload).name}" if kind == CNPG else selector_text(workload)
    if not labels:
        raise Unknown("the workload has an empty selector, which would select every pod")
    owners = {uid_of(workload)}
    if kind == "Deployment":
        pods, sets = await asyncio.gather(
            cluster.list("Pod", namespace, labels=labels), cluster.list("ReplicaSet", namespace, labels=labels)
        )
        owners = {uid_of(rs) for rs in sets.items if _controller_uid(rs) in owners}
    else:
        pods = await cluster.list("Pod", namespace, labels=labels)
    return tuple(p for p in pods.items if _controller_uid(p) in owners)


def _controller_uid(obj: Object) -> str:
    return str((controller_of(obj) or {}).get("uid", ""))


def pod_names(ref: ObjectRef) -> str | None:
    """An expression (RE2 and Python) for the names of a workload's pods, past ones included; None = not known.

    Exact enough to leave `api-db-0` out of Deployment `api`. Names that Kubernetes cuts off match by their beginning.
    """
    name = regex_quote(ref.name)
    match ref.kind:
        case "Deployment":
            if len(ref.name) + 12 > _LONGEST_BASE:  # "-", a hash of up to 10 characters, "-"
                return regex_quote(ref.name[: _LONGEST_BASE - 12]) + ".*"
            return f"{name}-{_SAFE}{{1,10}}-{_SAFE}{{5}}"
        case "DaemonSet" | "ReplicaSet":
            if len(ref.name) + 1 > _LONGEST_BASE:
                return regex_quote(ref.name[:_LONGEST_BASE]) + ".*"
            return f"{name}-{_SAFE}{{5}}"
        case "StatefulSet":
            return f"{name}-[0-9]+"
        case "Pod":
            return name
        case _:
            return None


def owns_pod_name(ref: ObjectRef, pod: str) -> bool:
    """Whether a pod of this name can belong to the workload."""
    names = pod_names(ref)
    return names is not None and re.fullmatch(names, pod) is not None


def metric_matchers(context: CheckContext, labels: MetricLabels, *, narrowed: bool = False) -> tuple[str, ...]:
    """The matchers that keep a query to this cluster, namespace and workload.

    `narrowed`: the author gave matchers of their own, so a missing workload selector is no accident.
    Raises: Unknown when nothing would select the workload.
    """
    refs = [t.ref for t in context.targets]
    parts: list[str] = []
    if labels.cluster:
        parts.append(equals(labels.cluster, labels.cluster_value or context.cluster.name))
    namespaces = [r.namespace for r in refs if r.namespace]
    if labels.namespace and namespaces:
        parts.append(one_of(labels.namespace, namespaces))
    if chosen := _workload_matcher(refs, labels):
        parts.append(chosen)
    elif not narrowed:
        whom = ", ".join(map(str, refs)) or "the target"
        raise Unknown(f"no metric label selects {whom}: set labels.workload, or where")
    return tuple(parts)


def _workload_matcher(refs: Sequence[ObjectRef], labels: MetricLabels) -> str:
    if not refs:
        return ""
    if labels.workload:
        return one_of(labels.workload, [r.name for r in refs])
    names = [pod_names(r) for r in refs] if labels.pod else []
    if not names or None in names:
        return ""
    return matches(labels.pod, "|".join(sorted({n for n in names if n is not None})))


def restarts_of(pod: Object) -> int:
    return sum(int(s.get("restartCount") or 0) for s in dig(pod, "status", "containerStatuses") or ())


def default_container(pod: Object) -> str:
    """The container that people mean: annotated, else the first."""
    annotated = dig(pod, "metadata", "annotations", "kubectl.kubernetes.io/default-container")
    containers = [str(c.get("name", "")) for c in dig(pod, "spec", "containers") or ()]
    return str(annotated) if annotated in containers else (containers[0] if containers else "")
