"""cnpg_scale: how many instances, within which bounds, and what a removed one takes with it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.databases.cnpg_scale import CnpgScale, InstancesParams
from remediator.actions.diff import diff_lines
from tests.actions.databases.make import cluster, planned
from tests.actions.make import hpa, view


def scale(obj: Any = None, hpas: Any = (), **params: Any) -> Any:
    return planned(CnpgScale(), {"min": 1, "max": 9, **params}, obj or cluster(), hpas=hpas)


@pytest.mark.parametrize(
    ("params", "after", "direction", "takes"),
    [
        pytest.param({"instances": 5}, 5, "up", 0, id="to"),
        pytest.param({"by": 2}, 5, "up", 0, id="by"),
        pytest.param({"by": 9, "max": 4}, 4, "up", 0, id="stops at max"),
        pytest.param({"instances": 2}, 2, "down", 1, id="down"),
        pytest.param({"by": -9, "min": 2}, 2, "down", 1, id="stops at min"),
    ],
)
def test_one_merge_patch(params, after, direction, takes):
    change = scale(**params)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(("spec", "instances"), 3, after),)
    assert effect.undoable
    assert (change.direction, change.takes, change.reduces_capacity) == (direction, takes, takes > 0)
    assert diff_lines(change, effect.ref) == (f"instances 3 -> {after}",)


def test_hazards_are_said():
    assert scale(instances=5).notes == (
        "each new instance takes a volume of 20Gi and is cloned from the primary",
        "standbys serve reads only: the primary takes no more connections than before",
    )
    assert scale(instances=5).needs_approval == ""
    down = scale(instances=2)
    assert down.needs_approval == "the operator deletes the volumes of 1 of 3 instances"
    assert "deletes the volumes of removed instances" in down.notes[0]
    assert scale(instances=1).needs_approval == "Cluster shop/db would have no standby left"


def test_resolving_makes_it_absolute():
    """So that an effect which has happened already is not counted a second time."""
    action = CnpgScale()
    resolved = action.resolve(InstancesParams(by=2, min=1, max=9), view(cluster()))
    assert resolved == InstancesParams(instances=5, min=1, max=9)
    with pytest.raises(NotPossible, match="has 5 instances already"):
        action.plan(resolved, view(cluster(instances=5), found={"hpas": ()}))


@pytest.mark.parametrize(
    ("obj", "params", "reason", "hold"),
    [
        pytest.param(cluster(), {"instances": 3}, "has 3 instances already", False, id="no change"),
        pytest.param(cluster(), {"by": 2, "max": 3}, "has 3 instances already", False, id="at max"),
        pytest.param(
            cluster(instances=5),
            {"by": 1, "max": 3},
            "6 wanted, max is 3: that would go",
            False,
            id="turned round",
        ),
        pytest.param(cluster(ready=2), {"by": 1}, "2 of 3 ready", True, id="one is missing"),
        pytest.param(cluster(phase="Failing over"), {"by": 1}, "in phase Failing over", True, id="busy"),
        pytest.param(cluster(fenced='["db-3"]'), {"by": -1}, "fenced instances", False, id="one is fenced"),
        pytest.param(
            cluster(spec={"postgresql": {"synchronous": {"number": 2}}}),
            {"instances": 2},
            "wait for 2 synchronous standbys: with 2 instances there would be 1, so at least 3",
            False,
            id="synchronous",
        ),
        pytest.param(
            cluster(spec={"minSyncReplicas": 1, "maxSyncReplicas": 2}),
            {"instances": 2},
            "wait for 2 synchronous",
            False,
            id="the older way",
        ),
    ],
)
def test_refused(obj, params, reason, hold):
    with pytest.raises(NotPossible) as refused:
        scale(obj, **params)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_just_enough_standbys_stay():
    obj = cluster(spec={"postgresql": {"synchronous": {"number": 1}}})
    assert scale(obj, instances=2).effects[0].changes[0].after == 2


def scaler(kind: str, api_version: str, name: str) -> dict[str, Any]:
    made = hpa()
    made["spec"]["scaleTargetRef"] = {"apiVersion": api_version, "kind": kind, "name": name}
    return made


def test_an_autoscaler_decides():
    with pytest.raises(NotPossible, match="HorizontalPodAutoscaler shop/api decides") as refused:
        scale(hpas=(scaler("Cluster", "postgresql.cnpg.io/v1", "db"),), by=1)
    assert refused.value.guardrail == "ownership"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(scaler("Cluster", "cluster.x-k8s.io/v1beta1", "db"), id="another group"),
        pytest.param(scaler("Cluster", "postgresql.cnpg.io/v1", "dc"), id="another name"),
        pytest.param(scaler("Pooler", "postgresql.cnpg.io/v1", "db"), id="another kind"),
    ],
)
def test_an_autoscaler_of_something_else_does_not_matter(other):
    assert scale(hpas=(other,), by=1).direction == "up"


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"min": 1, "max": 3}, id="neither"),
        pytest.param({"instances": 2, "by": 1, "min": 1, "max": 3}, id="both"),
        pytest.param({"by": 0, "min": 1, "max": 3}, id="by 0"),
        pytest.param({"instances": 0, "min": 0, "max": 3}, id="none at all"),
        pytest.param({"instances": 2, "min": 3, "max": 2}, id="min above max"),
        pytest.param({"instances": 2, "min": 1}, id="no max"),
        pytest.param({"instances": 2, "max": 3}, id="no min"),
    ],
)
def test_bad_params(params):
    with pytest.raises(ValidationError):
        InstancesParams(**params)
