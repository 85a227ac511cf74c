"""set_strategy, set_history_limit, pause_rollout and resume_rollout: fields beside the pod template."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.view import Revision
from remediator.actions.workloads.pausing import NoParams, PauseRollout, ResumeRollout
from remediator.actions.workloads.strategy import (
    SetHistoryLimit,
    SetHistoryLimitParams,
    SetStrategy,
    SetStrategyParams,
)
from tests.actions.make import daemonset, deployment, hash_of, owner, replicaset, statefulset, view


def strategy(obj: Any, **given: Any) -> Any:
    return SetStrategy().plan(SetStrategyParams(**given), view(obj))


def test_the_two_numbers_of_a_deployment():
    obj = deployment()
    change = strategy(obj, max_surge=1, max_unavailable=0)
    assert change.effects[0].changes == (
        FieldChange(("spec", "strategy", "rollingUpdate", "maxSurge"), "25%", 1),
        FieldChange(("spec", "strategy", "rollingUpdate", "maxUnavailable"), "25%", 0),
    )
    assert change.summary == "strategy: maxSurge 25% -> 1, maxUnavailable 25% -> 0"
    assert "room for more pods" in change.notes[0]
    assert len(diff_lines(change, view(obj).ref)) == 2
    assert change.takes == 0


def test_a_daemonset_has_another_field_for_it():
    change = strategy(daemonset(), max_unavailable="10%")
    assert change.effects[0].changes == (
        FieldChange(("spec", "updateStrategy", "rollingUpdate", "maxUnavailable"), 1, "10%"),
    )


@pytest.mark.parametrize(
    ("obj", "given", "reason"),
    [
        pytest.param(deployment(strategy={"type": "Recreate"}), {"max_surge": 1}, "strategy Recreate", id="Recreate"),
        pytest.param(
            daemonset(strategy={"type": "OnDelete"}), {"max_surge": 1}, "updateStrategy OnDelete", id="OnDelete"
        ),
        pytest.param(deployment(), {"max_surge": "25%"}, "has this strategy already", id="the same"),
        pytest.param(deployment(4), {"max_unavailable": 4}, "take all 4 copies", id="all at once"),
        pytest.param(
            deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}),
            {"max_surge": 0},
            "no rollout could begin",
            id="0 and the present 0",
        ),
        pytest.param(daemonset(), {"max_surge": 1}, "either maxSurge or maxUnavailable", id="a DaemonSet takes one"),
        pytest.param(
            deployment(metadata={"ownerReferences": owner(deployment())}),
            {"max_surge": 1},
            "change it there",
            id="owned",
        ),
    ],
)
def test_a_strategy_that_is_refused(obj, given, reason):
    with pytest.raises(NotPossible) as refused:
        strategy(obj, **given)
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"max_surge": 0, "max_unavailable": "0%"},
        {"max_unavailable": "100%"},
        {"max_surge": "101%"},
        {"max_surge": -1},
        {"max_surge": "1"},
        {"max_surge": True},
        {"max_surge": 101},
    ],
    ids=str,
)
def test_bad_numbers(given):
    with pytest.raises(ValidationError):
        SetStrategyParams(**given)


# --- history ----------------------------------------------------------------------------------------------------------


def history(obj: Any, n: int, numbers: int = 6, **parts: Any) -> Any:
    revisions = tuple(replicaset(obj, i, f"shop/api:{i}") for i in range(1, numbers + 1))
    return SetHistoryLimit().plan(SetHistoryLimitParams(n=n), view(obj, revisions=revisions, **parts))


def test_a_higher_limit_can_be_taken_back():
    change = history(deployment(image="shop/api:6"), 20)
    assert change.effects[0].changes == (FieldChange(("spec", "revisionHistoryLimit"), None, 20),)
    assert change.effects[0].undoable
    assert (change.needs_approval, change.notes) == ("", ())


def test_a_lower_limit_deletes_and_says_so():
    """Six revisions, one of them the present one: three old ones stay, two go."""
    change = history(deployment(image="shop/api:6"), 3)
    assert not change.effects[0].undoable
    assert change.needs_approval == "it deletes 2 old revisions, which nothing brings back"
    assert history(deployment(image="shop/api:6"), 5).needs_approval == ""


def test_the_last_healthy_revision_is_never_deleted():
    obj = deployment(image="shop/api:6")
    good = Revision(workload_uid=obj["metadata"]["uid"], template_hash=hash_of("shop/api:2"), healthy=True)
    with pytest.raises(NotPossible, match="revision 2, the last healthy one") as refused:
        history(obj, 3, observed=(good,))
    assert refused.value.guardrail == "last_good_revision"
    assert history(obj, 4, observed=(good,)).effects


def test_history_that_is_refused():
    with pytest.raises(NotPossible, match="keeps 10 old revisions already"):
        history(deployment(), 10)
    with pytest.raises(NotPossible, match="CANNOT SEE: revisions"):
        history(deployment(), 3, unreadable={"revisions": "403"})
    with pytest.raises(ValidationError):
        SetHistoryLimitParams(n=2)


# --- pausing ----------------------------------------------------------------------------------------------------------

OURS = [{"manager": "remediator", "operation": "Update", "time": "x", "fieldsV1": {"f:spec": {"f:paused": {}}}}]
THEIRS = [{**OURS[0], "manager": "kubectl-rollout"}]


def pausing(action: Any, obj: Any) -> Any:
    return action.plan(NoParams(), view(obj))


def test_pausing_in_the_middle_of_a_rollout():
    obj = deployment(5, updated=2, total=6, reason="ReplicaSetUpdated")
    change = pausing(PauseRollout(), obj)
    assert change.effects[0].changes == (FieldChange(("spec", "paused"), None, True),)
    assert change.effects[0].undoable
    assert change.summary == "pause the rollout (2 of 5 updated)"
    with pytest.raises(NotPossible, match="is paused already"):
        PauseRollout().plan(NoParams(), view(deployment(spec={"paused": True})))


def test_resuming_lets_the_rollout_go_on():
    paused = deployment(5, updated=2, total=6, spec={"paused": True}, metadata={"managedFields": OURS})
    paused["spec"]["strategy"] = {"type": "Recreate"}
    change = pausing(ResumeRollout(), paused)
    assert change.effects[0].changes == (FieldChange(("spec", "paused"), True, False),)
    assert (change.takes, change.needs_approval) == (5, "")
    with pytest.raises(NotPossible, match="is not paused"):
        ResumeRollout().plan(NoParams(), view(deployment()))


@pytest.mark.parametrize(
    ("managed", "who"), [(THEIRS, "kubectl-rollout paused it"), ([], "somebody paused it")], ids=["kubectl", "unknown"]
)
def test_what_others_paused_needs_a_person(managed, who):
    paused = deployment(spec={"paused": True}, metadata={"managedFields": managed})
    assert who in pausing(ResumeRollout(), paused).needs_approval


def test_only_deployments_are_paused():
    assert PauseRollout.kinds == ResumeRollout.kinds == ("Deployment",)
    with pytest.raises(NotPossible, match="is not paused"):
        ResumeRollout().plan(NoParams(), view(statefulset()))
