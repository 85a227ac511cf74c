"""What actions on nodes and claims propose is what a real API server takes, field by field, and gives back on undo."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.change import Create, Effect, Patch
from remediator.actions.nodes.cordon import Cordon, Uncordon
from remediator.actions.nodes.fence_node import FenceNode
from remediator.actions.nodes.node import cordoned_by_us
from remediator.actions.nodes.node_command import NodeCommand
from remediator.actions.render import inverse, render, resolved
from remediator.actions.storage.expand_pvc import ExpandPvc
from remediator.actions.times import format_time, parse_time
from remediator.actions.view import View
from remediator.objects import Object, ref_of
from remediator.ports import WriteRequest
from tests.actions.nodes.things import OTHERS
from tests.support.controlplane import ApiError, ControlPlane, wait_until

KINDS = {"Node": "nodes", "Job": "jobs", "PersistentVolumeClaim": "persistentvolumeclaims"}
NOW = parse_time("2025-06-01T12:00:00Z")
ID = "k3j9x8b7qd"
QUERY = {"fieldManager": "remediator", "fieldValidation": "Strict"}


class Server:
    """Sends effects as the adapter does: the rendered bytes, our field manager, unknown fields are errors."""

    def __init__(self, plane: ControlPlane) -> None:
        self.client = plane.client

    def send(self, effect: Effect) -> Object:
        """A conflict is a new attempt: the node controller taints what has no kubelet."""
        for _ in range(20):
            try:
                return self._attempt(resolved(effect, ID))
            except ApiError as exc:
                if exc.code != 409:
                    raise
        raise AssertionError(f"{effect} met a conflict 20 times")

    def _attempt(self, effect: Effect) -> Object:
        looked = None
        if isinstance(effect, Patch):
            looked = self.get(effect.ref.kind, effect.ref.name, effect.ref.namespace)
        request = render(effect, looked, effect_id="effect-1", now=NOW, generated=ID, made_by="run-1")
        answer: Object = self.client.request(
            "POST" if isinstance(effect, Create) else "PATCH",
            self._path(request),
            request.body,
            query=QUERY,
            content_type=request.content_type,
        )
        return answer

    def get(self, kind: str, name: str, namespace: str = "") -> Any:
        return self.client.get(KINDS[kind], name, namespace or None)

    def _path(self, request: WriteRequest) -> str:
        ref = request.ref
        name = "" if request.verb == "create" else ref.name
        return self.client.path(KINDS[ref.kind], ref.namespace or None, name)


@pytest.fixture
def server(control_plane: ControlPlane) -> Server:
    return Server(control_plane)


@pytest.fixture
def node(server: Server) -> Iterator[str]:
    """A node of nobody's: no kubelet, simulated or not, looks after it."""
    name = f"lonely-{secrets.token_hex(3)}"
    # With a label, as every node: an object that is made without any field is never tracked in managedFields.
    labels = {"kubernetes.io/os": "linux"}
    server.client.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    yield name
    server.client.delete("nodes", name)


def seen(target: Object, **found: Any) -> View:
    target = {"kind": "Node", "apiVersion": "v1", **target}
    ref = ref_of(target)
    return View(target=target, ref=ref, root=ref, read_at=NOW, found=found)


def test_a_cordon_and_back(server: Server, node: str) -> None:
    action = Cordon()
    found = server.get("Node", node)
    (effect,) = action.plan(action.params(), seen(found, nodes=(found, *OTHERS), pods=())).effects
    cordoned = server.send(effect)
    assert cordoned["spec"]["unschedulable"] is True
    assert cordoned["metadata"]["annotations"]["remediator.dev/cordoned"] == "2025-06-01T12:00:00Z"
    assert cordoned_by_us(cordoned)
    undone = server.send(inverse(effect, cordoned))
    assert "unschedulable" not in undone["spec"]
    assert "remediator.dev/cordoned" not in undone["metadata"].get("annotations", {})


def test_a_cordon_by_hand_after_ours_is_not_ours(server: Server, node: str) -> None:
    action = Cordon()
    found = server.get("Node", node)
    server.send(action.plan(action.params(), seen(found, nodes=(found, *OTHERS), pods=())).effects[0])
    for unschedulable in (None, True):
        server.client.patch("nodes", node, {"spec": {"unschedulable": unschedulable}}, fieldManager="kubectl")
    theirs = server.get("Node", node)
    assert "remediator.dev/cordoned" in theirs["metadata"]["annotations"]
    assert not cordoned_by_us(theirs)


def test_an_uncordon(server: Server, node: str) -> None:
    cordon, uncordon = Cordon(), Uncordon()
    found = server.get("Node", node)
    cordoned = server.send(cordon.plan(cordon.params(), seen(found, nodes=(found, *OTHERS), pods=())).effects[0])
    ready = {**cordoned, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    taints = [t for t in cordoned["spec"].get("taints", ()) if "out-of-service" in t["key"]]
    assert not taints
    answer = server.send(uncordon.plan(uncordon.params(), seen(ready)).effects[0])
    assert "unschedulable" not in answer["spec"]


def test_a_fence_and_back(server: Server, node: str) -> None:
    action = FenceNode()
    found = {**server.get("Node", node), "status": silent()}
    found["metadata"] = {**found["metadata"], "annotations": {"remediator.dev/powered-off": "2025-06-01T11:50:00Z"}}
    (effect,) = action.plan(action.params(), seen(found, nodes=(found, *OTHERS), pods=())).effects
    fenced = server.send(effect)
    assert [t["value"] for t in fenced["spec"]["taints"] if t["key"] == "node.kubernetes.io/out-of-service"] == [
        "nodeshutdown"
    ]
    undone = server.send(inverse(effect, fenced))
    assert not any("out-of-service" in t["key"] for t in undone["spec"].get("taints", ()))


def silent() -> dict[str, Any]:
    since = format_time(NOW - timedelta(minutes=30))
    return {"conditions": [{"type": "Ready", "status": "Unknown", "lastTransitionTime": since}]}


@pytest.mark.parametrize("recipe", ["vacuum_journal", "prune_images", "restart_agent"])
def test_a_host_job_starts_once_it_is_told(server: Server, node: str, namespace: str, recipe: Any) -> None:
    action = NodeCommand()
    image = "registry.example.com/tools@sha256:" + "a" * 64
    params = action.params(recipe=recipe, namespace=namespace, image=image)
    found = {**server.get("Node", node), "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    opened = {"metadata": {"name": namespace, "labels": {"remediator.dev/node-commands": "allowed"}}}
    create, start = action.plan(params, seen(found, namespace=opened, jobs=())).effects
    made = server.send(create)
    assert made["metadata"]["name"] == f"{recipe.replace('_', '-')}-{ID}"
    assert made["spec"]["suspend"] is True
    assert json.dumps(made["spec"]["template"]["spec"]["nodeName"]) == f'"{node}"'
    assert server.send(start)["spec"]["suspend"] is False


def test_a_claim_grows(server: Server, namespace: str) -> None:
    name = f"fast-{secrets.token_hex(3)}"
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "example.com/none",
        "allowVolumeExpansion": True,
    }
    size = {"storage": "10Gi"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": name,
            "capacity": size,
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "example.com", "volumeHandle": name},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-db-0"},
        "spec": {"storageClassName": name, "accessModes": ["ReadWriteOnce"], "resources": {"requests": size}},
    }
    client = server.client
    client.create(storage_class)
    client.create(volume)
    try:
        client.create(claim, namespace)
        wait_until(lambda: server.get("PersistentVolumeClaim", "data-db-0", namespace)["status"]["phase"] == "Bound")
        bound = server.get("PersistentVolumeClaim", "data-db-0", namespace)
        action = ExpandPvc()
        view = seen(bound, storage_class=storage_class, statefulsets=())
        params = action.resolve(action.params(percent=50, cap="50Gi"), view)
        grown = server.send(action.plan(params, view).effects[0])
        assert grown["spec"]["resources"]["requests"]["storage"] == "15Gi"
    finally:
        client.delete("storageclasses", name)
        client.delete("persistentvolumes", name)
