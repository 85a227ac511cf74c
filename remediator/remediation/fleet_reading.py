"""The fleet that a target belongs to, for `min_healthy`: who of it has all its copies and no alert."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.actions.pods import pod_is_ready
from remediator.actions.workload import read_workload
from remediator.guardrails.facts import Fleet, Member
from remediator.objects import WORKLOADS, Object, generation_of, ref_of
from remediator.playbooks.binding import BoundSelector
from remediator.ports import Cluster


async def read_fleet(
    cluster: Cluster, asked: BoundSelector, firing: Mapping[str, frozenset[str]], total: int | None
) -> Fleet:
    """`firing`: root key -> names of matched alerts. `total`: as it was when the remediation began; None = it begins
    now. Raises: ReadError."""
    objects = (await cluster.list(asked.kind, asked.namespace, labels=asked.selector)).items
    members = tuple(_member(obj, firing) for obj in sorted(objects, key=ref_of))
    return Fleet(members=members, total=len(members) if total is None else max(total, len(members)))


def _member(obj: Object, firing: Mapping[str, frozenset[str]]) -> Member:
    key = ref_of(obj).key
    why = _lacks(obj) or ", ".join(sorted(firing.get(key, ())))
    return Member(key=key, healthy=not why, why=why)


def _lacks(obj: Object) -> str:
    """What it lacks, in words; empty = nothing. A kind whose health we cannot tell has none."""
    kind = ref_of(obj).kind
    if kind == "Pod":
        return "" if pod_is_ready(obj) else "not ready"
    if kind not in WORKLOADS:
        return f"the health of a {kind} is not known"
    workload = read_workload(obj)
    if int(obj.get("status", {}).get("observedGeneration") or 0) < (generation_of(obj) or 0):
        return "its status is behind its spec"
    return "" if workload.available >= workload.desired else f"{workload.available} of {workload.desired} available"
