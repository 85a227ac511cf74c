"""drain: which pods it takes, in which order, and that one refused pod stops all of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Evict, Patch, PodRule
from remediator.actions.diff import diff_lines
from remediator.actions.nodes.drain import Drain, DrainParams
from remediator.objects import ObjectRef
from tests.actions.make import NS, pdb
from tests.actions.nodes.things import (
    OTHERS,
    SERVER,
    THEIRS,
    daemonset_named,
    namespace,
    node,
    on_node,
    plan,
    refusal,
)

AGENT: Any = {"of": "DaemonSet", "owner": "agent"}


def found(*pods: Any, target: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "nodes": (target or node(), *OTHERS),
        "pods": pods,
        "daemonsets": (daemonset_named("agent"),),
        "pdbs": (),
        "namespaces": (namespace(),),
        **more,
    }


def taken(change: Any) -> list[str]:
    return [effect.pod.name for effect in change.effects if isinstance(effect, Evict)]


def test_a_cordon_then_one_eviction_for_each_pod():
    change = plan(Drain(), {}, node(), **found(on_node("api-5d9-b"), on_node("api-5d9-a"), on_node("agent-x", **AGENT)))
    cordon, *evictions = change.effects
    assert isinstance(cordon, Patch)
    assert cordon.undoable
    assert evictions == [
        Evict(pod=PodRule(namespace=NS, select="named", name=name, uid=f"uid-shop-{name}"))
        for name in ("api-5d9-a", "api-5d9-b")
    ]
    assert change.summary == "cordon and drain: evict 2 pods, 1 stay"
    assert (change.takes, change.reduces_capacity, change.needs_approval) == (2, True, "")
    assert change.touches == (ObjectRef("Deployment", NS, "api"),)
    assert diff_lines(change, ObjectRef("Node", "", "worker-1"))[2] == "evict pod shop/api-5d9-a"


ALLOW_ALL = {"ignore_daemonsets": True, "delete_emptydir": True, "force": True}


@pytest.mark.parametrize(
    ("pod", "given", "goes"),
    [
        pytest.param(on_node("p"), {}, True, id="a ReplicaSet's"),
        pytest.param(on_node("p", of="StatefulSet", owner="db"), {}, True, id="a StatefulSet's"),
        pytest.param(on_node("p", of="Widget", owner="w"), {}, True, id="of a kind we do not know"),
        pytest.param(on_node("p", ready=False), {}, True, id="unready"),
        pytest.param(on_node("p", **AGENT), {}, False, id="a DaemonSet's stays"),
        pytest.param(on_node("p", **AGENT, phase="Succeeded"), {}, True, id="a DaemonSet's, finished"),
        pytest.param(
            on_node("p", **AGENT, phase="Failed"), {"ignore_daemonsets": False}, True, id="finished, not ignored"
        ),
        pytest.param(
            on_node("p", of="DaemonSet", owner="gone"), {"force": True}, True, id="an orphan of a DaemonSet, forced"
        ),
        pytest.param(
            on_node("p", of="Node", annotations={"kubernetes.io/config.mirror": "h"}), {}, False, id="mirror pod"
        ),
        pytest.param(
            on_node("p", of="", annotations={"kubernetes.io/config.mirror": "h"}), {}, False, id="mirror, no owner"
        ),
        pytest.param(on_node("p", of="Node"), {}, False, id="a node's own"),
        pytest.param(on_node("p", empty_dir=True), {"delete_emptydir": True}, True, id="emptyDir, accepted"),
        pytest.param(on_node("p", empty_dir=True, phase="Succeeded"), {}, True, id="emptyDir, finished"),
        pytest.param(on_node("p", of=""), {"force": True}, True, id="bare, forced"),
        pytest.param(on_node("p", of="", phase="Failed"), {}, True, id="bare, finished"),
        pytest.param(on_node("p", leaving=True), ALLOW_ALL, False, id="terminating"),
        pytest.param(on_node("p", of="", empty_dir=True, leaving=True), {}, False, id="terminating, asked first"),
    ],
)
def test_what_goes(pod, given, goes):
    change = plan(Drain(), given, node(), **found(pod, on_node("sure")))
    assert taken(change) == (["p", "sure"] if goes else ["sure"])


@pytest.mark.parametrize(
    ("pod", "given", "reason"),
    [
        pytest.param(on_node("p", **AGENT), {"ignore_daemonsets": False}, "`ignore_daemonsets: true`", id="DaemonSet"),
        pytest.param(on_node("p", of="DaemonSet", owner="gone"), {}, "its DaemonSet is gone", id="orphan"),
        pytest.param(on_node("p", empty_dir=True), {}, "`delete_emptydir: true` loses it", id="emptyDir"),
        pytest.param(on_node("p", empty_dir=True), {"force": True}, "`delete_emptydir: true`", id="emptyDir, forced"),
        pytest.param(on_node("p", of=""), {}, "has no controller", id="bare"),
        pytest.param(on_node("p", of=""), {"delete_emptydir": True}, "`force: true` loses it", id="bare, emptyDir"),
        pytest.param(
            on_node("p", annotations={"remediator.dev/protect": ""}),
            ALLOW_ALL,
            "remediator.dev/protect",
            id="protected",
        ),
        pytest.param(on_node("p", annotations={"remediator.dev/pause": "x"}), ALLOW_ALL, "/pause", id="paused"),
        pytest.param(
            on_node("p", annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}),
            ALLOW_ALL,
            "safe-to-evict",
            id="not safe to evict",
        ),
        pytest.param(
            on_node("p", annotations={"karpenter.sh/do-not-disrupt": "true"}),
            ALLOW_ALL,
            "do-not-disrupt",
            id="Karpenter",
        ),
    ],
)
def test_one_refused_pod_stops_all(pod, given, reason):
    refused = refusal(Drain(), given, node(), **found(on_node("a"), pod, on_node("z")))
    assert refused.reason.startswith("1 pod of Node worker-1 cannot be moved: shop/p ")
    assert reason in refused.reason
    assert not refused.hold


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({"remediator.dev/protect": "false"}, id="not protected"),
        pytest.param({"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}, id="safe"),
        pytest.param({"karpenter.sh/do-not-disrupt": "false"}, id="may be disrupted"),
    ],
)
def test_owners_who_do_not_mind(annotations):
    assert taken(plan(Drain(), {}, node(), **found(on_node("p", annotations=annotations)))) == ["p"]


def test_a_paused_namespace_stops_it_before_the_first_eviction():
    paused = namespace(annotations={"remediator.dev/pause": "audit"})
    reason = refusal(Drain(), {}, node(), **found(on_node("p"), namespaces=(paused,))).reason
    assert "Namespace shop carries the annotation remediator.dev/pause" in reason


def test_every_reason_is_told():
    reason = refusal(Drain(), {}, node(), **found(on_node("a", of=""), on_node("b", empty_dir=True))).reason
    assert reason.startswith("2 pods of Node worker-1 cannot be moved: shop/a has no controller")
    assert "shop/b keeps data in an emptyDir" in reason


def budget(name: str, allowed: int | None, selector: Any = None) -> Any:
    return pdb(allowed, name=name, selector={"matchLabels": {"app": "api"}} if selector is None else selector)


API: Any = {"labels": {"app": "api"}}


@pytest.mark.parametrize(
    ("pods", "pdbs", "blocked"),
    [
        pytest.param((on_node("p", **API),), (budget("b", 0),), True, id="allows none"),
        pytest.param((on_node("p", **API),), (budget("b", None),), True, id="has not said yet"),
        pytest.param((on_node("p", **API),), (budget("b", 1),), False, id="allows one"),
        pytest.param((on_node("p"),), (budget("b", 0),), False, id="another app"),
        pytest.param((on_node("p"),), (budget("b", 0, {}),), True, id="empty selector: all"),
        pytest.param((on_node("p", **API, phase="Pending"),), (budget("b", 0),), False, id="pending: nobody is asked"),
        pytest.param(
            (on_node("p", **API),),
            (budget("b", 0, {"matchExpressions": [{"key": "app", "operator": "In", "values": ["api"]}]}),),
            True,
            id="by expression",
        ),
        pytest.param(
            (on_node("p", **API),),
            (budget("b", 0, {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),),
            False,
            id="by absence",
        ),
        pytest.param(
            (on_node("p", **API),), (pdb(0, name="b", namespace="other", selector={}),), False, id="another namespace"
        ),
    ],
)
def test_budgets_are_named_not_refused(pods, pdbs, blocked):
    change = plan(Drain(), {}, node(), **found(*pods, pdbs=pdbs))
    note = "disruption budgets allow no disruption of shop/p now: waited for, never bypassed"
    assert (note in change.notes) is blocked
    assert taken(change) == ["p"]


def test_two_budgets_over_one_pod_never_let_it_go():
    reason = refusal(Drain(), {}, node(), **found(on_node("p", **API), pdbs=(budget("a", 5), budget("b", 5)))).reason
    assert "disruption budgets a and b both cover it" in reason


def test_what_it_takes_is_the_workload_that_loses_most():
    pods = (
        on_node("api-5d9-a"),
        on_node("api-5d9-b"),
        on_node("api-5d9-c", ready=False),
        on_node("db-0", of="StatefulSet", owner="db"),
        on_node("w-0", of="Widget", owner="w"),
        on_node("w-1", of="Widget", owner="w"),
    )
    change = plan(Drain(), {}, node(), **found(*pods))
    assert change.takes == 2
    assert change.touches == (ObjectRef("Deployment", NS, "api"), ObjectRef("StatefulSet", NS, "db"))


def test_a_primary_goes_last_and_asks():
    primary = on_node("a-db-1", of="Widget", owner="db", labels={"cnpg.io/instanceRole": "primary"})
    change = plan(Drain(), {}, node(), **found(primary, on_node("z")))
    assert taken(change) == ["z", "a-db-1"]
    assert "switchover of shop/a-db-1" in change.needs_approval


def test_a_server_asks():
    change = plan(Drain(), {}, node(labels=SERVER), **found(on_node("p")))
    assert change.needs_approval == "Node worker-1 runs the control plane"


@pytest.mark.parametrize(
    ("target", "note"),
    [
        pytest.param(node(ours=True), "", id="ours"),
        pytest.param(node(cordoned=True, managers=THEIRS), "kubectl-cordon has cordoned it", id="somebody else's"),
    ],
)
def test_what_is_cordoned_already_is_not_cordoned_again(target, note):
    change = plan(Drain(), {}, target, **found(on_node("p"), target=target))
    assert [effect.kind for effect in change.effects] == ["evict"]
    assert change.summary == "drain: evict 1 pod"
    assert note in " ".join(change.notes)


@pytest.mark.parametrize(
    ("given", "target", "pods", "reason", "hold"),
    [
        pytest.param({"cordon": False}, node(), (on_node("p"),), "`cordon: false`", True, id="in its turn"),
        pytest.param(
            {"max_pods": 1},
            node(),
            (on_node("a"), on_node("b")),
            "has 2 pods to evict, max_pods is 1",
            False,
            id="many",
        ),
    ],
)
def test_no_drain(given, target, pods, reason, hold):
    refused = refusal(Drain(), given, target, **found(*pods, target=target))
    assert reason in refused.reason
    assert refused.hold is hold


@pytest.mark.parametrize("given", [{}, {"cordon": False}])
def test_a_cordoned_node_without_pods_to_evict_is_drained_already(given):
    """`kubectl drain` succeeds there as well; the steps after it go on."""
    target = node(ours=True)
    stay = (on_node("agent-x", **AGENT), on_node("old", leaving=True))
    change = plan(Drain(), given, target, **found(*stay, target=target))
    assert change.effects == ()
    assert change.summary == "drain: no pod to evict, 2 stay"
    assert change.notes == ("shop/old is going away already",)
    assert (change.takes, change.reduces_capacity, change.needs_approval) == (0, False, "")
    assert diff_lines(change, ObjectRef("Node", "", "worker-1")) == ()


def test_an_empty_node_is_still_asked_what_forbids_a_drain():
    nodes = (node(ours=True), node("b", cordoned=True), node("c"))
    assert "max_unavailable is 1" in refusal(Drain(), {}, nodes[0], **found(nodes=nodes)).reason


def test_one_node_at_a_time():
    nodes = (node(), node("b", cordoned=True), node("c"))
    assert "max_unavailable is 1" in refusal(Drain(), {}, node(), **found(on_node("p"), nodes=nodes)).reason


def test_losses_are_told():
    pods = (on_node("a", empty_dir=True), on_node("b", of=""), on_node("c", leaving=True))
    target = node(ready="Unknown")
    notes = plan(Drain(), ALLOW_ALL, target, **found(*pods, target=target)).notes
    assert "the emptyDir data of shop/a is lost" in notes
    assert "nobody makes shop/b again" in notes
    assert "shop/c is going away already" in notes
    assert any("stays Terminating" in note for note in notes)


@pytest.mark.parametrize("given", [{"max_pods": 251}, {"max_pods": 0}, {"force": "yes"}, {"timeout": 5}])
def test_bad_params(given):
    with pytest.raises(ValidationError):
        DrainParams(**given)
