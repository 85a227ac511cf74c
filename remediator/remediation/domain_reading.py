"""In which failure domain (zone, rack) a target stands: the label of the nodes that its pods run on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from remediator.actions.view import View
from remediator.errors import Forbidden
from remediator.objects import dig, labels_of, ref_of
from remediator.ports import Cluster

FORGET_AFTER = 5_000
"""Nodes that are remembered per cluster and label; a cluster that replaces its nodes all the time starts over."""

BARE_FOR = timedelta(seconds=30)
"""How long it is believed that a node has no such label."""


class DomainReader:
    """Remembers the labels of nodes: a node of that name does not move to another zone. That it has none is soon
    forgotten: a node is there before its labels are."""

    def __init__(self, clusters: Mapping[str, Cluster]) -> None:
        self._clusters = clusters
        self._known: dict[tuple[str, str], dict[str, tuple[str, datetime]]] = {}
        """By cluster and label: node -> its value (empty = none) and when that was read."""

    async def domains(self, cluster: str, label: str, view: View) -> frozenset[str] | None:
        """Its only domain; empty for what is spread over several, or runs nowhere. None = its nodes have no such
        label, or we may not read nodes. Raises: CannotSee."""
        nodes = _nodes(view)
        if not nodes:
            return frozenset()
        known = self._known.setdefault((cluster, label), {})
        if any(name not in known or _is_old(known[name], view.read_at) for name in nodes):
            try:
                listed = (await self._clusters[cluster].list("Node")).items
            except Forbidden:
                return None
            if len(known) > FORGET_AFTER:
                known.clear()
            known |= {ref_of(node).name: (labels_of(node).get(label, ""), view.read_at) for node in listed}
        found = {known[name][0] for name in nodes if name in known} - {""}
        if not found:
            return None
        return frozenset(found) if len(found) == 1 else frozenset()


def _is_old(read: tuple[str, datetime], now: datetime) -> bool:
    value, at = read
    return not value and abs(now - at) >= BARE_FOR


def _nodes(view: View) -> frozenset[str]:
    if view.ref.kind == "Node":
        return frozenset({view.ref.name})
    pods = (view.target,) if view.ref.kind == "Pod" else view.pods
    return frozenset(str(name) for pod in pods if (name := dig(pod, "spec", "nodeName")))
