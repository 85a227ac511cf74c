"""Argo Rollouts: each order only in the state in which it means what its name says."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import GENERATED_TIME, FieldChange, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.view import ListOf
from remediator.actions.workloads.rollout_undo import RolloutUndo, RolloutUndoParams
from remediator.actions.workloads.rollouts import (
    NoParams,
    RolloutAbort,
    RolloutPromote,
    RolloutPromoteParams,
    RolloutRetry,
    RolloutsRestart,
)
from tests.actions.make import NS, owner, template, view
from tests.actions.workloads.things import rollout

PAUSE = [{"reason": "CanaryPauseStep", "startTime": "2025-06-01T11:00:00Z"}]
WAITING = rollout(status={"pauseConditions": PAUSE, "phase": "Paused"})
ABORTED = rollout(status={"abort": True, "phase": "Degraded", "message": "RolloutAborted: analysis failed"})
SETTLED = rollout(current="old")


def plan(action: Any, obj: Any, params: Any = None, **parts: Any) -> Any:
    return action.plan(params or NoParams(), view(obj, **parts))


@pytest.mark.parametrize(
    ("action", "obj", "params", "change", "summary"),
    [
        pytest.param(
            RolloutAbort(),
            rollout(),
            None,
            FieldChange(("status", "abort"), None, True),
            "abort the update at step 2 of 3, all traffic to the stable version",
            id="abort",
        ),
        pytest.param(
            RolloutRetry(),
            ABORTED,
            None,
            FieldChange(("status", "abort"), True, False),
            "retry the aborted update from its first step",
            id="retry",
        ),
        pytest.param(
            RolloutPromote(),
            WAITING,
            RolloutPromoteParams(),
            FieldChange(("status", "pauseConditions"), PAUSE, None),
            "go on from the pause at step 2 of 3",
            id="promote",
        ),
        pytest.param(
            RolloutPromote(),
            rollout(),
            RolloutPromoteParams(full=True),
            FieldChange(("status", "promoteFull"), None, True),
            "promote the update in full from step 2 of 3",
            id="promote in full",
        ),
    ],
)
def test_orders_are_given_in_the_status(action, obj, params, change, summary):
    found = plan(action, obj, params)
    (effect,) = found.effects
    assert effect.subresource == "status"
    assert effect.changes == (change,)
    assert not effect.undoable
    assert effect.ref.kind == "Rollout.argoproj.io"
    assert found.summary == summary
    assert diff_lines(found, view(obj).ref)


def test_what_needs_a_person():
    assert plan(RolloutPromote(), WAITING, RolloutPromoteParams()).needs_approval == ""
    assert "analyses" in plan(RolloutPromote(), rollout(), RolloutPromoteParams(full=True)).needs_approval
    trouble = rollout(status={"pauseConditions": [{"reason": "InconclusiveAnalysisRun"}]})
    assert "Inconclusive" in plan(RolloutPromote(), trouble, RolloutPromoteParams()).needs_approval


@pytest.mark.parametrize(
    ("action", "obj", "params", "reason"),
    [
        pytest.param(RolloutAbort(), SETTLED, None, "nothing to abort", id="nothing to abort"),
        pytest.param(RolloutAbort(), ABORTED, None, "is aborted already", id="aborted"),
        pytest.param(RolloutRetry(), rollout(), None, "is not aborted", id="not aborted"),
        pytest.param(RolloutPromote(), SETTLED, RolloutPromoteParams(), "nothing to promote", id="nothing to promote"),
        pytest.param(RolloutPromote(), rollout(), RolloutPromoteParams(), "does not wait", id="goes on by itself"),
        pytest.param(
            RolloutPromote(), ABORTED, RolloutPromoteParams(full=True), "use rollout_retry", id="aborted, full"
        ),
        pytest.param(
            RolloutPromote(), rollout(spec={"paused": True}), RolloutPromoteParams(), "is paused", id="by a person"
        ),
        pytest.param(
            RolloutPromote(),
            rollout(status={"promoteFull": True}),
            RolloutPromoteParams(full=True),
            "in full already",
            id="twice",
        ),
        pytest.param(RolloutsRestart(), rollout(), None, "is under way", id="restart in an update"),
        pytest.param(RolloutsRestart(), rollout(current="old", spec={"replicas": 0}), None, "0 copies", id="empty"),
        pytest.param(RolloutsRestart(), rollout(current="old", spec={"paused": True}), None, "is paused", id="paused"),
        pytest.param(
            RolloutsRestart(),
            rollout(current="old", spec={"restartAt": "2025-06-01T11:59:00Z"}),
            None,
            "a restart of Rollout shop/api is under way",
            id="two restarts",
        ),
    ],
)
def test_it_refuses(action, obj, params, reason):
    with pytest.raises(NotPossible) as refused:
        plan(action, obj, params)
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    "action", [RolloutAbort(), RolloutRetry(), RolloutPromote(), RolloutsRestart()], ids=lambda a: a.name
)
def test_without_a_controller_nothing_is_ordered(action):
    params = RolloutPromoteParams() if action.name == "rollout_promote" else NoParams()
    for obj in (rollout(generation=5), {**rollout(), "status": {}}):
        with pytest.raises(NotPossible, match="has not looked at") as refused:
            plan(action, obj, params)
        assert refused.value.hold


@pytest.mark.parametrize(
    ("strategy", "available", "takes"),
    [
        pytest.param({"canary": {}}, 5, 1, id="25% of 5, rounded down"),
        pytest.param({"canary": {"maxUnavailable": 3}}, 5, 3, id="a number"),
        pytest.param({"canary": {"maxUnavailable": "0%"}}, 5, 1, id="at least one"),
        pytest.param({"canary": {"maxUnavailable": "all"}}, 5, 5, id="unreadable: the worst"),
        pytest.param({"blueGreen": {}}, 5, 1, id="blue-green"),
        pytest.param({"canary": {}}, 0, 0, id="none available"),
    ],
)
def test_a_restart_takes(strategy, available, takes):
    obj = rollout(current="old", spec={"strategy": strategy}, status={"availableReplicas": available})
    change = plan(RolloutsRestart(), obj)
    assert change.effects[0].changes == (FieldChange(("spec", "restartAt"), None, GENERATED_TIME),)
    assert change.effects[0].subresource == ""
    assert (change.takes, change.reduces_capacity) == (takes, takes > 0)


# --- undo -------------------------------------------------------------------------------------------------------------


def replicaset(of: Any, number: int, hashed: str, image: str) -> dict[str, Any]:
    made = template(image)
    made["metadata"]["labels"] = {**made["metadata"]["labels"], "rollouts-pod-template-hash": hashed}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"api-{hashed}",
            "namespace": NS,
            "uid": f"uid-{hashed}",
            "labels": {"rollouts-pod-template-hash": hashed},
            "annotations": {"rollout.argoproj.io/revision": str(number)},
            "ownerReferences": owner(of),
        },
        "spec": {"template": made},
    }


SETS = (
    replicaset(rollout(), 1, "older", "shop/api:0"),
    replicaset(rollout(), 2, "old", "shop/api:1"),
    replicaset(rollout(), 3, "new", "shop/api:2"),
    replicaset({**rollout(), "metadata": {**rollout()["metadata"], "uid": "another"}}, 9, "old", "evil:1"),
)


def undo(obj: Any, to: Any = "stable", found: Any = SETS) -> Any:
    return plan(RolloutUndo(), obj, RolloutUndoParams(to=to), found={"replicasets": found})


def test_it_asks_for_the_replicasets():
    wanted = RolloutUndo().wants(RolloutUndoParams(), view(rollout()))
    assert wanted == {"replicasets": ListOf(kind="ReplicaSet", namespace=NS, labels="app=api")}


def test_back_to_the_stable_template():
    change = undo(ABORTED)
    (effect,) = change.effects
    assert effect.replace
    assert effect.undoable
    assert effect.changes == (FieldChange(("spec", "template"), template("shop/api:2"), template("shop/api:1")),)
    assert change.summary == "api: image shop/api:2 -> shop/api:1 (revision 2, stable)"
    assert change.needs_approval == ""


def test_another_revision_needs_a_person():
    assert undo(rollout(), 1).needs_approval == "revision 1 is not the stable one: it is rolled out anew"


@pytest.mark.parametrize(
    ("obj", "to", "found", "reason"),
    [
        pytest.param(SETTLED, "stable", SETS, "has the template of ReplicaSet shop/api-old already", id="it is there"),
        pytest.param(rollout(), 7, SETS, "has no revision 7 (revisions: 1, 2, 3)", id="unknown"),
        pytest.param(rollout(), 9, SETS, "has no revision 9", id="of another Rollout"),
        pytest.param(rollout(), "stable", (), "(revisions: none)", id="no history"),
        pytest.param(rollout(stable=""), "stable", SETS, "has no ReplicaSet of its stable", id="never stable"),
        pytest.param(rollout(spec={"workloadRef": {"name": "api"}}), "stable", SETS, "workloadRef", id="workloadRef"),
        pytest.param(rollout(spec={"paused": True}), "stable", SETS, "is paused", id="paused"),
    ],
)
def test_no_undo(obj, to, found, reason):
    with pytest.raises(NotPossible) as refused:
        undo(obj, to, found)
    assert reason in refused.value.reason
