"""replace_node: only where somebody makes a new machine, and nothing on the old one is needed."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import Remove
from remediator.actions.diff import diff_lines
from remediator.actions.nodes.replace_node import ReplaceNode, ReplaceNodeParams
from remediator.actions.view import Get, ListOf
from remediator.objects import ObjectRef
from tests.actions.make import NS
from tests.actions.nodes.things import OTHERS, SERVER, node, on_node, plan, refusal, seen

MACHINE = ObjectRef("Machine.cluster.x-k8s.io", "fleet", "pool-a-x7")
NODE = ObjectRef("Node", "", "worker-1")


def of_machine(**more: Any) -> dict[str, Any]:
    said = {"cluster.x-k8s.io/machine": "pool-a-x7", "cluster.x-k8s.io/cluster-namespace": "fleet"}
    return node(annotations=said, **more)


def of_karpenter(**more: Any) -> dict[str, Any]:
    return node(labels={"karpenter.sh/nodepool": "default"}, **more)


def machine(*, owner: str = "MachineSet", on: str = "worker-1", leaving: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {
        "apiVersion": "cluster.x-k8s.io/v1beta1",
        "kind": "Machine",
        "metadata": {"name": "pool-a-x7", "namespace": "fleet", "uid": "uid-machine"},
        "status": {"nodeRef": {"kind": "Node", "name": on}, "phase": "Running"},
    }
    if owner:
        made["metadata"]["ownerReferences"] = [{"kind": owner, "name": "pool-a", "uid": "u", "controller": True}]
    if leaving:
        made["metadata"]["deletionTimestamp"] = "2025-06-01T11:00:00Z"
    return made


def claim(on: str = "worker-1") -> dict[str, Any]:
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": "default-abc", "uid": "uid-claim"},
        "status": {"nodeName": on},
    }


def local_volume(host: str = "worker-1", source: str = "local") -> dict[str, Any]:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "pvc-1"},
        "spec": {
            source: {"path": "/data"},
            "claimRef": {"namespace": "shop", "name": "data-db-0"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        },
    }


def around(target: Any, *pods: Any, **more: Any) -> dict[str, Any]:
    return {"nodes": (target, *OTHERS), "pods": pods, "volumes": (), **more}


def test_a_machine_of_cluster_api():
    target = of_machine()
    pods = (on_node("api-5d9-a"), on_node("api-5d9-b"), on_node("db-0", of="StatefulSet", owner="db"))
    change = plan(ReplaceNode(), {}, target, **around(target, *pods, machine=machine()))
    assert change.effects == (
        Remove(ref=MACHINE, uid="uid-machine", holds=((("status", "nodeRef", "name"), "worker-1"),)),
    )
    assert change.takes == 2
    assert change.needs_approval
    assert change.touches == (MACHINE, ObjectRef("Deployment", NS, "api"), ObjectRef("StatefulSet", NS, "db"))
    assert change.notes[0].startswith("cannot be undone")
    assert diff_lines(change, NODE) == ("delete Machine fleet/pool-a-x7",)
    assert ReplaceNode.changes_data


def test_a_claim_of_karpenter():
    target = of_karpenter()
    change = plan(ReplaceNode(), {}, target, **around(target, claims=(claim("other"), claim())))
    assert change.effects == (
        Remove(
            ref=ObjectRef("NodeClaim.karpenter.sh", "", "default-abc"),
            uid="uid-claim",
            holds=((("status", "nodeName"), "worker-1"),),
        ),
    )


def test_only_what_the_node_names_is_read():
    wants = ReplaceNode().wants
    params = ReplaceNodeParams()
    assert wants(params, seen(of_machine()))["machine"] == Get(MACHINE)
    assert wants(params, seen(of_karpenter()))["claims"] == ListOf(kind="NodeClaim.karpenter.sh")
    assert set(wants(params, seen(node()))) == {"nodes", "pods", "volumes"}


@pytest.mark.parametrize(
    ("target", "more", "reason"),
    [
        pytest.param(node(), {}, "whoever made it has to replace it", id="neither"),
        pytest.param(of_machine(), {"machine": None}, "does not exist here", id="in another cluster"),
        pytest.param(of_machine(), {"machine": machine(owner="")}, "belongs to nobody", id="nobody makes it again"),
        pytest.param(
            of_machine(), {"machine": machine(owner="KubeadmControlPlane")}, "makes no new one", id="control plane"
        ),
        pytest.param(of_machine(), {"machine": machine(on="worker-9")}, "of another node", id="another node's"),
        pytest.param(of_machine(), {"machine": machine(leaving=True)}, "being deleted already", id="going"),
        pytest.param(of_karpenter(), {"claims": (claim("b"),)}, "no NodeClaim", id="no claim"),
        pytest.param(of_machine(labels=SERVER), {"machine": machine()}, "people replace it", id="server"),
        pytest.param(
            of_machine(),
            {"machine": machine(), "volumes": (local_volume(),)},
            "volumes shop/data-db-0 lie on worker-1 itself",
            id="local volume",
        ),
        pytest.param(
            of_machine(),
            {"machine": machine(), "volumes": (local_volume(source="hostPath"),)},
            "`lose_local_volumes: true`",
            id="a path of the host",
        ),
        pytest.param(
            of_machine(), {"machine": machine(), "nodes": (node("b", cordoned=True), node("c"))}, "b is", id="second"
        ),
    ],
)
def test_no_replacement(target, more, reason):
    assert reason in refusal(ReplaceNode(), {}, target, **around(target, **more)).reason


def test_volumes_elsewhere_do_not_matter():
    target = of_machine()
    volumes = (local_volume("worker-2"), local_volume(source="csi"))
    assert plan(ReplaceNode(), {}, target, **around(target, machine=machine(), volumes=volumes)).effects


def test_losses_are_told():
    target = of_machine()
    pods = (
        on_node("a", empty_dir=True),
        on_node("b", of=""),
        on_node("db-1", of="Widget", owner="db", labels={"role": "primary"}),
    )
    found = around(target, *pods, machine=machine(), volumes=(local_volume(),))
    notes = plan(ReplaceNode(), {"lose_local_volumes": True}, target, **found).notes
    assert "volumes shop/data-db-0 are lost" in notes
    assert "the emptyDir data of shop/a is lost" in notes
    assert "nobody makes shop/b again" in notes
    assert "shop/db-1 takes writes and is switched over" in notes
