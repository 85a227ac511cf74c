"""What is known of a Cluster's primary and of whoever shall follow it: vantage points, lag, who is fit. Pure.

A primary that runs is never called anything else, and what cannot be told is `unknown`: two primaries are worse than
none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from remediator.actions.change import NotPossible
from remediator.actions.databases.cnpg import PgCluster
from remediator.actions.databases.parts import condition_of, time_at
from remediator.actions.pods import name_of, ordinal_of, pod_has_finished, pod_is_ready
from remediator.objects import Object, dig, labels_of
from remediator.ports import Sample

State = Literal["running", "stopped", "unreachable", "unknown"]

POSTGRES = "postgres"
"""The container of an instance; everything else in its pod is a helper."""

REGION = "topology.kubernetes.io/region"


def state_by_kubernetes(pod: Object | None, nodes: Mapping[str, Object], *, fence_confirmed: bool) -> State:
    """What the pod and its node say of the old primary.

    A pod that is gone is `unknown`: one that was deleted by force may still run on its node. A container that runs is
    `running` even when it is not ready, because it may still write; only where the instance itself has confirmed its
    fence (`fence_confirmed`) and is not ready any more, its PostgreSQL is `stopped` within a running container.
    """
    if pod is None:
        return "unknown"
    if pod_has_finished(pod):
        return "stopped"
    node_name = str(dig(pod, "spec", "nodeName", default=""))
    if node_name:
        node = nodes.get(node_name)
        ready = None if node is None else condition_of(node, "Ready")
        if ready is None:
            return "unknown"
        if ready.get("status") == "Unknown":
            return "unreachable"  # what the pod says is what its node said last
    state = _container_state(pod)
    if state == "running" and fence_confirmed and not pod_is_ready(pod):
        return "stopped"
    return state


def _container_state(pod: Object) -> State:
    for status in dig(pod, "status", "containerStatuses") or ():
        if status.get("name") == POSTGRES:
            state = status.get("state") or {}
            if state.get("running") is not None:
                return "running"
            return "stopped" if state else "unknown"
    # Not scheduled, or not started yet.
    return "stopped" if dig(pod, "status", "phase") == "Pending" else "unknown"


def state_by_query(samples: Sequence[Sample], pod: str) -> State:
    """The second vantage point: all samples about that pod are 1 while it is bad, 0 while it is not.

    Without a `pod` label it must be the only sample.
    """
    values = {sample.value for sample in _about(samples, pod)}
    if 0.0 in values:
        return "running"
    return "unreachable" if values == {1.0} else "unknown"


def confirms_fence(samples: Sequence[Sample], pod: str) -> bool:
    """Whether the instance itself has reported that it is fenced: 1, with its own name in the label `pod`."""
    values = {sample.value for sample in samples if sample.labels.get("pod") == pod}
    return values == {1.0}


def failing_since(pod: Object | None) -> datetime | None:
    """Since when the pod has been unready without a break; None when it is ready, or nobody knows."""
    ready = None if pod is None else condition_of(pod, "Ready")
    if ready is None or ready.get("status") == "True":
        return None
    return time_at(ready, "lastTransitionTime")


def lag_of(samples: Sequence[Sample], pod: str) -> float | None:
    """How many seconds a standby is behind, the worst answer about it; None where there is none, or no number."""
    values = [sample.value for sample in samples if sample.labels.get("pod") == pod]
    return max(values) if values and all(math.isfinite(value) and value >= 0 for value in values) else None


def choose_candidate(
    cluster: PgCluster, pods: Mapping[str, Object], nodes: Mapping[str, Object], lags: Sequence[Sample]
) -> str:
    """The fit standby with the least lag, by number among equals. Raises: NotPossible, a hold, when there is none."""
    fit = [name for name in cluster.names if not unfit(name, cluster, pods, nodes)]
    measured = [(lag, ordinal_of(pods[name]), name) for name in fit if (lag := lag_of(lags, name)) is not None]
    if measured:
        return min(measured)[2]
    if fit:
        raise NotPossible(
            f"CANNOT SEE: the lag of {', '.join(fit)} is unknown: the query `lag` must give seconds by pod", hold=True
        )
    reasons = "; ".join(unfit(name, cluster, pods, nodes) for name in cluster.names if name != cluster.current)
    raise NotPossible(f"{cluster.ref} has no standby to promote: {reasons or 'it has only its primary'}", hold=True)


def unfit(name: str, cluster: PgCluster, pods: Mapping[str, Object], nodes: Mapping[str, Object]) -> str:
    """Why this instance must not become the primary; empty when it may."""
    if name not in cluster.names:
        return f"{name} is no instance of {cluster.ref}"
    if name == cluster.current:
        return f"{name} is the primary"
    if cluster.is_fenced(name):
        return f"{name} is fenced"
    pod = pods.get(name)
    if pod is None:
        return f"pod {name} does not exist"
    if not pod_is_ready(pod):
        return f"pod {name} is not ready"
    node = nodes.get(str(dig(pod, "spec", "nodeName", default="")))
    if node is None:
        return f"the node of {name} is unknown"
    # The operator moves a primary away from such a node at once, so it would be a second failover.
    return f"the node of {name} is cordoned" if dig(node, "spec", "unschedulable") else ""


def regions(old: Object | None, new: Object | None, nodes: Mapping[str, Object]) -> tuple[str, str]:
    """The regions of two pods by their nodes' labels, empty where unknown."""
    return _region(old, nodes), _region(new, nodes)


def nodes_by_name(nodes: Sequence[Object]) -> Mapping[str, Object]:
    return {name_of(node): node for node in nodes}


def _region(pod: Object | None, nodes: Mapping[str, Object]) -> str:
    node = nodes.get(str(dig(pod, "spec", "nodeName", default=""))) if pod is not None else None
    return "" if node is None else labels_of(node).get(REGION, "")


def _about(samples: Sequence[Sample], pod: str) -> list[Sample]:
    about = [sample for sample in samples if sample.labels.get("pod") == pod]
    if about:
        return about
    return list(samples) if len(samples) == 1 and "pod" not in samples[0].labels else []
