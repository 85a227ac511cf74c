"""`node_status` and `cluster_health`: what the nodes say, what is on them, and whether the system's pods run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.pods import pod_has_finished, pod_is_ready
from remediator.errors import ReadError
from remediator.objects import Object, dig
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    age,
    condition,
    count,
    hand_over,
    one_word,
    read,
    said,
    time_of,
    where,
    word,
)
from remediator.remediation.collectors.troubled import state_of

STATUS, HEALTH = "node_status", "cluster_health"
LEASES = "kube-node-lease"
SILENT_S = 60
"""A kubelet renews its lease every 10 s and counts as lost after 40 s."""


class NodeStatusArgs(CollectArgs):
    """`node`: by default the target where it is one, else all, those that are not well first. `limit`: how many."""

    node: Annotated[str, Field(max_length=253)] = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class HealthArgs(CollectArgs):
    """`namespaces`: where the system's pods are."""

    namespaces: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=10)] = (
        "kube-system",
    )


async def node_status(args: NodeStatusArgs, context: CheckContext) -> Evidence:
    """Conditions, pods, taints, and when the kubelet last said something."""
    nodes, pods, leases = await asyncio.gather(
        read(context, "Node"), read(context, "Pod"), read(context, "Lease", (LEASES,))
    )
    wanted = {args.node} if args.node else {t.ref.name for t in context.targets if t.ref.kind == "Node"}
    chosen = [n for n in nodes.items if not wanted or where(n) in wanted]
    on_node: dict[str, list[Object]] = {}
    for pod in pods.items:
        on_node.setdefault(str(dig(pod, "spec", "nodeName", default="")), []).append(pod)
    heard = {where(lease).partition("/")[2]: time_of(dig(lease, "spec", "renewTime")) for lease in leases.items}
    chosen.sort(key=lambda n: (not node_problems(n), where(n)))
    rows = [_row(n, on_node.get(where(n), []) if not pods.problem else None, heard, context.now) for n in chosen]
    ill = [row for row in rows if row["problems"]]
    lines = [line for row in rows[: args.limit] for line in _lines(row)]
    if wanted and not chosen and not nodes.problem:
        lines.append(f"there is no node {', '.join(sorted(wanted))}")
    return hand_over(
        STATUS,
        context,
        title=f"status of {count(len(rows), 'node')}",
        lines=lines,
        summary=f"{len(ill)} of {count(len(rows), 'node')} not well" + _reasons(ill),
        parts=(nodes, pods, leases),
        rows=rows,
        private=True,
    )


def _reasons(ill: Sequence[Mapping[str, Any]]) -> str:
    counted = Counter(problem for row in ill for problem in row["problems"])
    told = ", ".join(f"{n} {what}" for what, n in counted.most_common(5))
    return f": {told}" if told else ""


def node_problems(node: Object) -> list[str]:
    """What is wrong with a node, in words of Kubernetes: `NotReady`, `DiskPressure`, `Cordoned`."""
    found = []
    ready = condition(node, "Ready").get("status")
    if ready != "True":
        found.append("NotReady" if ready == "False" else "Silent")
    for one in dig(node, "status", "conditions") or ():
        if one.get("type") != "Ready" and one.get("status") == "True":
            found.append(one_word(one.get("type")))
    if dig(node, "spec", "unschedulable"):
        found.append("Cordoned")
    return found


def _row(
    node: Object, pods: Sequence[Object] | None, heard: Mapping[str, datetime | None], now: datetime
) -> dict[str, Any]:
    name = where(node)
    renewed = heard.get(name)
    live = [p for p in pods or () if not pod_has_finished(p)]
    return {
        "node": name,
        "problems": node_problems(node),
        "conditions": [
            f"{word(c.get('type'), 40)}={word(c.get('status'), 10)} {word(c.get('reason'))}"
            f" for {age(now, c.get('lastTransitionTime'))}{said(c.get('message'))}"
            for c in dig(node, "status", "conditions") or ()
            if (c.get("type") == "Ready") or c.get("status") != "False"
        ],
        "taints": [_taint(t) for t in dig(node, "spec", "taints") or ()],
        "pods": None if pods is None else len(live),
        "unready": None if pods is None else sum(1 for p in live if not pod_is_ready(p)),
        "room": word(dig(node, "status", "allocatable", "pods")),
        "version": word(dig(node, "status", "nodeInfo", "kubeletVersion")),
        "age": age(now, dig(node, "metadata", "creationTimestamp")),
        "heard": age(now, renewed) if renewed else "",
        "silent": renewed is not None and (now - renewed).total_seconds() > SILENT_S,
    }


def _taint(taint: Mapping[str, Any]) -> str:
    value = f"={one_line(str(taint['value']), 60)}" if taint.get("value") else ""
    return f"{word(taint.get('key'), 120)}{value}:{word(taint.get('effect'), 20)}"


def _lines(row: Mapping[str, Any]) -> list[str]:
    state = ", ".join(row["problems"]) or "Ready"
    pods = (
        "pods not known" if row["pods"] is None else f"{row['pods']} of {row['room']} pods, {row['unready']} not ready"
    )
    lines = [f"{row['node']}: {state}, {pods}, kubelet {row['version']}, {row['age']} old"]
    if row["heard"]:
        lines.append(f"  lease renewed {row['heard']} ago{', which is too long' if row['silent'] else ''}")
    lines += [f"  {one}" for one in row["conditions"]]
    if row["taints"]:
        lines.append(f"  taints: {', '.join(row['taints'])}")
    return lines


async def cluster_health(args: HealthArgs, context: CheckContext) -> Evidence:
    """Nodes, the system's pods, and whether the API server answers."""
    nodes, pods, clock = await asyncio.gather(
        read(context, "Node"), read(context, "Pod", args.namespaces), _server_clock(context)
    )
    ill = [n for n in nodes.items if node_problems(n)]
    troubled = [p for p in pods.items if not pod_is_ready(p) and dig(p, "status", "phase") != "Succeeded"]
    states = Counter(state_of(p) for p in troubled)
    versions = Counter(word(dig(n, "status", "nodeInfo", "kubeletVersion")) for n in nodes.items)
    lines = [clock]
    if not nodes.problem:
        lines.append(f"{len(nodes.items) - len(ill)} of {count(len(nodes.items), 'node')} well")
        lines += [f"  {where(n)}: {', '.join(node_problems(n))}" for n in ill[:30]]
        lines.append("kubelets: " + ", ".join(f"{n} x {v}" for v, n in sorted(versions.items())))
    if not pods.problem:
        spaces = ", ".join(args.namespaces)
        lines.append(f"{len(pods.items) - len(troubled)} of {count(len(pods.items), 'pod')} well in {spaces}")
        lines += [
            f"  {where(p)}: {state_of(p)} on {dig(p, 'spec', 'nodeName', default='no node')}" for p in troubled[:30]
        ]
    return hand_over(
        HEALTH,
        context,
        title="health of the cluster",
        lines=lines,
        summary=f"{len(ill)} of {count(len(nodes.items), 'node')} not well, "
        f"{len(troubled)} of {count(len(pods.items), 'system pod')} not running",
        parts=(nodes, pods),
        data={
            "nodes": len(nodes.items),
            "nodes_ill": [where(n) for n in ill[:50]],
            "system_pods": len(pods.items),
            "system_pods_ill": [where(p) for p in troubled[:50]],
            "states": dict(states),
        },
    )


async def _server_clock(context: CheckContext) -> str:
    try:
        at = await context.cluster.server_time()
    except ReadError as exc:
        return f"API server: no answer, {one_line(str(exc) or type(exc).__name__, 150)}"
    return f"API server: answers, its clock differs from ours by {abs((at - context.now).total_seconds()):.0f} s"


KINDS_OF_EVIDENCE = (
    CollectorKind(STATUS, NodeStatusArgs, node_status),
    CollectorKind(HEALTH, HealthArgs, cluster_health),
)
