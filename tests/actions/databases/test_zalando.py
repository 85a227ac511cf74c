"""zalando_scale: in the operator's own object, and who leads."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.databases.cnpg_scale import InstancesParams
from remediator.actions.databases.zalando import ZalandoScale
from remediator.actions.diff import diff_lines
from remediator.actions.view import ListOf
from remediator.objects import ref_of
from tests.actions.databases.make import LONG_AGO, planned
from tests.actions.make import NS, statefulset, view


def postgresql(instances: Any = 3, status: str = "Running", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": "acid-db", "namespace": NS, "uid": "uid-acid", **metadata},
        "spec": {"teamId": "acid", "numberOfInstances": instances, "volume": {"size": "10Gi"}},
        "status": {"PostgresClusterStatus": status} if status else {},
    }


def pod(number: int, role: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"acid-db-{number}", "namespace": NS, "labels": {"spilo-role": role}},
    }


PODS = (pod(0, "master"), pod(1, "replica"), pod(2, "replica"))


def scale(obj: Any = None, pods: Any = PODS, **params: Any) -> Any:
    return planned(ZalandoScale(), {"min": 1, "max": 9, **params}, obj or postgresql(), pods=pods)


@pytest.mark.parametrize(
    ("params", "after", "direction", "takes"),
    [
        pytest.param({"instances": 5}, 5, "up", 0, id="to"),
        pytest.param({"by": 1}, 4, "up", 0, id="by"),
        pytest.param({"by": 9, "max": 4}, 4, "up", 0, id="stops at max"),
        pytest.param({"instances": 2}, 2, "down", 1, id="down"),
    ],
)
def test_one_merge_patch(params, after, direction, takes):
    change = scale(**params)
    (effect,) = change.effects
    assert effect.ref.kind == "postgresql.acid.zalan.do"
    assert effect.changes == (FieldChange(("spec", "numberOfInstances"), 3, after),)
    assert effect.undoable
    assert (change.direction, change.takes, change.reduces_capacity) == (direction, takes, takes > 0)
    assert diff_lines(change, ref_of(postgresql())) == (f"numberOfInstances 3 -> {after}",)


@pytest.mark.parametrize(
    ("pods", "instances", "why"),
    [
        pytest.param(PODS, 2, "", id="the leader stays"),
        pytest.param((pod(0, "replica"), pod(2, "master")), 2, "acid-db-2 leads and would go", id="it goes"),
        pytest.param((pod(2, "primary"),), 2, "acid-db-2 leads", id="as Patroni 4 says it"),
        pytest.param((pod(0, "replica"),), 2, "which pod of postgresql shop/acid-db leads is not known", id="nobody"),
        pytest.param((pod(0, "master"), pod(1, "master")), 2, "leads is not known", id="two say so"),
        pytest.param((), 2, "leads is not known", id="no pods with these labels"),
        pytest.param(PODS, 1, "would have no standby left", id="the last standby"),
        pytest.param((), 5, "", id="growing harms nobody"),
    ],
)
def test_when_a_person_must_agree(pods, instances, why):
    needs_approval = scale(pods=pods, instances=instances).needs_approval
    assert why in needs_approval
    assert bool(needs_approval) is bool(why)


def test_volumes_are_noted():
    assert "retention policy" in scale(instances=2).notes[0]
    assert scale(instances=4).notes[0] == "each new instance takes a volume of 10Gi"


@pytest.mark.parametrize(
    ("obj", "params", "reason", "hold"),
    [
        pytest.param(postgresql(), {"instances": 3}, "has 3 instances already", False, id="no change"),
        pytest.param(postgresql(status="Updating"), {"by": 1}, "is Updating: wait", True, id="at work"),
        pytest.param(postgresql(status="Creating"), {"by": 1}, "is Creating: wait", True, id="being made"),
        pytest.param(postgresql(status="SyncFailed"), {"by": 1}, "is SyncFailed: see what", False, id="failed"),
        pytest.param(postgresql(status=""), {"by": 1}, "is without a status", False, id="no operator"),
        pytest.param(postgresql(0), {"by": 1}, "has no instances", False, id="switched off"),
        pytest.param(postgresql(-1), {"by": 1}, "has no instances", False, id="left to the operator"),
        pytest.param(postgresql(None), {"by": 1}, "has no instances", False, id="no number"),
        pytest.param(postgresql(deletionTimestamp=LONG_AGO), {"by": 1}, "is being deleted", False, id="leaves"),
        pytest.param(statefulset(), {"by": 1}, "is no postgresql.acid.zalan.do", False, id="its StatefulSet"),
    ],
)
def test_refused(obj, params, reason, hold):
    with pytest.raises(NotPossible) as refused:
        scale(obj, **params)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_what_it_wants_to_know():
    params = InstancesParams(instances=2, min=1, max=3)
    assert ZalandoScale().wants(params, view(postgresql())) == {
        "pods": ListOf(kind="Pod", namespace=NS, labels="cluster-name=acid-db")
    }


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"min": 1, "max": 3}, id="neither"),
        pytest.param({"instances": 2, "by": 1, "min": 1, "max": 3}, id="both"),
        pytest.param({"by": 0, "min": 1, "max": 3}, id="by 0"),
        pytest.param({"instances": 0, "min": 1, "max": 3}, id="none at all"),
        pytest.param({"instances": 2, "min": 3, "max": 2}, id="min above max"),
        pytest.param({"instances": 2, "min": 1}, id="no max"),
    ],
)
def test_bad_params(params):
    with pytest.raises(ValidationError):
        InstancesParams(**params)
