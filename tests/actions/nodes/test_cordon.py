"""cordon and uncordon: whose cordon it is, how many at once, and what a cordon starts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_TIME, FieldChange, Patch
from remediator.actions.diff import diff_lines
from remediator.actions.nodes.cordon import Cordon, CordonParams, Uncordon
from remediator.actions.render import inverse
from remediator.actions.view import ListOf
from remediator.objects import ObjectRef
from tests.actions.nodes.things import OTHERS, OURS, THEIRS, node, on_node, plan, refusal, seen

REF = ObjectRef("Node", "", "worker-1")
CORDONED = ("metadata", "annotations", "remediator.dev/cordoned")


def test_both_fields_in_one_patch():
    pods = (on_node("api-5d9-a"), on_node("api-5d9-b"))
    change = plan(Cordon(), {}, node(), nodes=(node(), *OTHERS), pods=pods)
    assert change.effects == (
        Patch(
            ref=REF,
            uid="uid-node-worker-1",
            changes=(
                FieldChange(("spec", "unschedulable"), None, True),
                FieldChange(CORDONED, None, GENERATED_TIME),
            ),
        ),
    )
    assert change.summary == "cordon (2 pods there, which stay)"
    assert change.reduces_capacity
    assert (change.takes, change.needs_approval) == (0, "")
    lines = diff_lines(change, REF)
    assert lines == ("unschedulable absent -> true", "remediator.dev/cordoned absent -> time of sending")


def test_its_undo_takes_both_back():
    change = plan(Cordon(), {}, node(), nodes=(node(), *OTHERS), pods=())
    undo = inverse(change.effects[0], node(ours=True))
    assert isinstance(undo, Patch)
    assert [(c.path, c.after) for c in undo.changes] == [(("spec", "unschedulable"), None), (CORDONED, None)]


def test_only_its_own_pods_are_read():
    wanted = Cordon().wants(CordonParams(), seen(node()))
    assert wanted["pods"] == ListOf(kind="Pod", fields="spec.nodeName=worker-1")


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"cnpg.io/instanceRole": "primary", "cnpg.io/cluster": "db"}, id="CloudNativePG"),
        pytest.param({"role": "primary"}, id="CloudNativePG, older label"),
        pytest.param({"spilo-role": "master"}, id="Patroni"),
    ],
)
def test_a_primary_asks_a_person(labels):
    pods = (on_node("db-1", of="Widget", owner="db", labels=labels), on_node("api-5d9-a"))
    change = plan(Cordon(), {}, node(), nodes=(node(), *OTHERS), pods=pods)
    assert change.needs_approval == "cordoning starts a switchover of shop/db-1, which takes writes"


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(on_node("db-2", labels={"cnpg.io/instanceRole": "replica"}), id="replica"),
        pytest.param(on_node("db-1", labels={"role": "primary"}, leaving=True), id="going already"),
        pytest.param(on_node("db-1", labels={"role": "primary"}, phase="Failed"), id="finished"),
        pytest.param(on_node("x", labels={"role": "frontend"}), id="another role"),
    ],
)
def test_no_primary(pod):
    assert plan(Cordon(), {}, node(), nodes=(node(), *OTHERS), pods=(pod,)).needs_approval == ""


REMOVED = {"key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("target", "others", "reason", "hold"),
    [
        pytest.param(node(ours=True), OTHERS, "by us since 2025-06-01T11:00:00Z", False, id="ours already"),
        pytest.param(node(cordoned=True), OTHERS, "by somebody else: it stays theirs", False, id="by others"),
        pytest.param(
            node(ours=True, managers=THEIRS), OTHERS, "by kubectl-cordon", False, id="our annotation, their cordon"
        ),
        pytest.param(node(taints=[REMOVED]), OTHERS, "the cluster autoscaler is removing", False, id="being removed"),
        pytest.param(node(), (node("b", cordoned=True), node("c")), "b is cordoned or not ready", True, id="second"),
        pytest.param(node(), (node("b", ready="Unknown"), node("c")), "b is cordoned or not", True, id="one is down"),
        pytest.param(node(), (node("b", ready="False"),), "no other node than worker-1", True, id="the last one"),
        pytest.param(node(), (), "no other node than worker-1", True, id="the only one"),
    ],
)
def test_no_cordon(target, others, reason, hold):
    refused = refusal(Cordon(), {}, target, nodes=(target, *others), pods=())
    assert reason in refused.reason
    assert refused.hold is hold


def test_more_than_one_where_the_playbook_says_so():
    nodes = (node(), node("b", cordoned=True), node("c"))
    assert plan(Cordon(), {"max_unavailable": 2}, node(), nodes=nodes, pods=()).effects


def test_many_names_are_counted():
    nodes = [node(f"n{i}", cordoned=True) for i in range(8)]
    reason = refusal(Cordon(), {}, node(), nodes=(*nodes, node("z")), pods=()).reason
    assert "n0, n1, n2, n3, n4 and 3 more are cordoned" in reason


@pytest.mark.parametrize("given", [{"max_unavailable": 0}, {"max_unavailable": 11}, {"most": 1}])
def test_bad_params(given):
    with pytest.raises(ValidationError):
        CordonParams(**given)


@pytest.mark.parametrize("managers", [pytest.param(OURS, id="ours"), pytest.param([], id="nobody says")])
def test_uncordon_takes_back_what_is_ours(managers):
    change = plan(Uncordon(), {}, node(ours=True, managers=managers))
    (patch,) = change.effects
    assert isinstance(patch, Patch)
    assert patch.changes == (
        FieldChange(("spec", "unschedulable"), True, None),
        FieldChange(CORDONED, "2025-06-01T11:00:00Z", None),
    )
    assert patch.undoable
    assert change.notes == ()


@pytest.mark.parametrize(
    ("target", "reason", "hold"),
    [
        pytest.param(node(), "is not cordoned", False, id="not cordoned"),
        pytest.param(node(cordoned=True), "not by us", False, id="somebody else's"),
        pytest.param(node(ours=True, managers=THEIRS), "cordoned by kubectl-cordon", False, id="theirs since"),
        pytest.param(node(ours=True, ready="Unknown"), "is not ready", True, id="not ready"),
        pytest.param(
            node(ours=True, taints=[{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]),
            "carries the taint",
            False,
            id="fenced",
        ),
        pytest.param(node(ours=True, taints=[REMOVED]), "is removing", False, id="being removed"),
    ],
)
def test_no_uncordon(target, reason, hold):
    refused = refusal(Uncordon(), {}, target)
    assert reason in refused.reason
    assert refused.hold is hold


def test_anybodys_cordon_where_the_playbook_says_so():
    change = plan(Uncordon(), {"force_owner": "any"}, node(cordoned=True, managers=THEIRS))
    (patch,) = change.effects
    assert isinstance(patch, Patch)
    assert patch.changes == (FieldChange(("spec", "unschedulable"), True, None),)
    assert change.notes == ("the cordon is not ours: kubectl-cordon set it",)


def test_a_step_before_may_cordon_it():
    refused = refusal(Uncordon(), {"await_cordon": True}, node())
    assert "leaves that to a step before" in refused.reason
    assert refused.hold
    assert plan(Uncordon(), {"await_cordon": True}, node(ours=True)).summary == "uncordon"
