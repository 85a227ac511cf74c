"""In which failure domain (zone, rack) a target stands: the label of the nodes that its pods run on."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.actions.view import View
from remediator.errors import Forbidden
from remediator.objects import dig, labels_of, ref_of
from remediator.ports import Cluster

FORGET_AFTER = 5_000
"""Nodes that are remembered per cluster and label; a cluster that replaces its nodes all the time starts over."""


class DomainReader:
    """Remembers the labels of nodes: a node of that name does not move to another zone."""

    def __init__(self, clusters: Mapping[str, Cluster]) -> None:
        self._clusters = clusters
        self._known: dict[tuple[str, str], dict[str, str]] = {}

    async def domains(self, cluster: str, label: str, view: View) -> frozenset[str] | None:
        """Its only domain; empty for what is spread over several, or runs nowhere. None = its nodes have no such
        label, or we may not read nodes. Raises: CannotSee."""
        nodes = _nodes(view)
        if not nodes:
            return frozenset()
        known = self._known.setdefault((cluster, label), {})
        if not nodes <= known.keys():
            try:
                listed = (await self._clusters[cluster].list("Node")).items
            except Forbidden:
                return None
            if len(known) > FORGET_AFTER:
                known.clear()
            known |= {ref_of(node).name: labels_of(node).get(label, "") for node in listed}
        found = {known[name] for name in nodes if known.get(name)}
        if not found:
            return None
        return frozenset(found) if len(found) == 1 else frozenset()


def _nodes(view: View) -> frozenset[str]:
    if view.ref.kind == "Node":
        return frozenset({view.ref.name})
    pods = (view.target,) if view.ref.kind == "Pod" else view.pods
    return frozenset(str(name) for pod in pods if (name := dig(pod, "spec", "nodeName")))
