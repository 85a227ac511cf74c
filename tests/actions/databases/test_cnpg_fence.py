"""cnpg_fence and cnpg_unfence: which instances, and who is left."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.databases.cnpg_fence import CnpgFence, CnpgFenceParams, CnpgUnfence
from remediator.actions.diff import diff_lines
from tests.actions.databases.make import LONG_AGO, cluster, instance, planned
from tests.actions.make import deployment, view

PATH = ("metadata", "annotations", "cnpg.io/fencedInstances")
PODS = tuple(instance(name) for name in ("db-1", "db-2", "db-3"))


def fence(obj: Any = None, pods: Any = PODS, **params: Any) -> Any:
    return planned(CnpgFence(), params, obj or cluster(), pods=pods)


def unfence(obj: Any, **params: Any) -> Any:
    return planned(CnpgUnfence(), params, obj)


@pytest.mark.parametrize(
    ("obj", "params", "before", "after", "takes"),
    [
        pytest.param(cluster(), {"instances": ["db-3"]}, None, '["db-3"]', 1, id="one"),
        pytest.param(cluster(), {"instances": ["primary"]}, None, '["db-1"]', 1, id="the primary"),
        pytest.param(cluster(), {"instances": ["primary", "db-1"]}, None, '["db-1"]', 1, id="the primary twice"),
        pytest.param(cluster(), {"instances": ["db-3", "db-1"]}, None, '["db-1", "db-3"]', 2, id="two, sorted"),
        pytest.param(
            cluster(fenced='["db-3"]'), {"instances": ["db-1"]}, '["db-3"]', None, 0, id="nobody would be left"
        ),
        pytest.param(
            cluster(fenced='["db-3"]'),
            {"instances": ["db-1", "db-3"], "all_standbys": True},
            '["db-3"]',
            '["db-1", "db-3"]',
            1,
            id="one more",
        ),
    ],
)
def test_the_annotation(obj, params, before, after, takes):
    if after is None:
        with pytest.raises(NotPossible, match="no ready standby"):
            fence(obj, pods=(instance("db-1"), instance("db-2", ready=False), instance("db-3")), **params)
        return
    change = fence(obj, **params)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(PATH, before, after),)
    assert effect.undoable
    assert (change.takes, change.reduces_capacity) == (takes, True)
    assert change.needs_approval


def test_the_primary_is_an_outage():
    change = fence(instances=["primary"])
    assert change.summary == "fence db-1"
    assert change.needs_approval == (
        "db-1 is the primary: Cluster shop/db takes no writes until it is unfenced or another promoted"
    )
    assert any("fencedInstances" in line for line in diff_lines(change, change.effects[0].ref))
    assert fence(instances=["db-2"]).needs_approval == "PostgreSQL of db-2 is shut down"


def test_an_unready_one_takes_nothing():
    pods = (instance("db-1"), instance("db-2"), instance("db-3", ready=False))
    assert fence(pods=pods, instances=["db-3"]).takes == 0


def test_the_primary_keeps_its_name():
    """After a failover `primary` would be another one."""
    asked = CnpgFenceParams(instances=("primary",))
    assert CnpgFence().resolve(asked, view(cluster(current="db-2"))).instances == ("db-2",)


@pytest.mark.parametrize(
    ("obj", "params", "reason", "hold"),
    [
        pytest.param(cluster(), {"instances": ["db-2", "db-3"]}, "no ready standby", False, id="all standbys"),
        pytest.param(
            cluster(), {"instances": ["db-9"]}, "db-9 is no instance of Cluster shop/db", False, id="stranger"
        ),
        pytest.param(cluster(fenced='["db-2"]'), {"instances": ["db-2"]}, "fenced already", False, id="already"),
        pytest.param(cluster(fenced='["*"]'), {"instances": ["db-2"]}, "fenced already", False, id="all are"),
        pytest.param(cluster(fenced="no"), {"instances": ["db-2"]}, "no JSON list", False, id="a broken annotation"),
        pytest.param(cluster(target="pending"), {"instances": ["db-2"]}, "half way", True, id="fails over"),
        pytest.param(cluster(target="db-2"), {"instances": ["db-1"]}, "half way", True, id="moves"),
        pytest.param(deployment(), {"instances": ["db-1"]}, "is no Cluster", False, id="another kind"),
    ],
)
def test_refused(obj, params, reason, hold):
    with pytest.raises(NotPossible) as refused:
        fence(obj, **params)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def managed(by: str) -> dict[str, Any]:
    entry = {
        "manager": by,
        "operation": "Update",
        "time": LONG_AGO,
        "fieldsV1": {"f:metadata": {"f:annotations": {"f:cnpg.io/fencedInstances": {}}}},
    }
    return {"managedFields": [entry]}


@pytest.mark.parametrize(
    ("fenced", "names", "after"),
    [
        pytest.param('["db-1", "db-3"]', ["db-3"], '["db-1"]', id="one of two"),
        pytest.param('["db-1"]', ["primary"], None, id="the last one"),
        pytest.param('["db-1"]', ["db-1", "db-2"], None, id="one of those named"),
    ],
)
def test_lifted(fenced, names, after):
    change = unfence(cluster(fenced=fenced, metadata=None), instances=names)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(PATH, fenced, after),)
    assert not effect.undoable
    assert change.takes == 0


def test_what_somebody_else_fenced_takes_a_person():
    obj = cluster(fenced='["db-1"]')
    assert unfence(obj, instances=["db-1"]).needs_approval == "db-1 was fenced by somebody unknown"
    obj["metadata"] |= managed("kubectl-cnpg")
    assert unfence(obj, instances=["db-1"]).needs_approval == "db-1 was fenced by kubectl-cnpg"
    obj["metadata"] |= managed("remediator")
    assert unfence(obj, instances=["db-1"]).needs_approval == ""
    assert "it starts as the primary again" in unfence(obj, instances=["db-1"]).notes


@pytest.mark.parametrize(
    ("obj", "names", "reason"),
    [
        pytest.param(cluster(), ["db-1"], "not fenced", id="nobody is"),
        pytest.param(cluster(fenced='["db-2"]'), ["db-1"], "db-1 of Cluster shop/db: not fenced", id="another one is"),
        pytest.param(cluster(fenced='["*"]'), ["db-1"], "a person removes the annotation", id="everybody is"),
        pytest.param(cluster(), ["db-9"], "no instance", id="stranger"),
    ],
)
def test_nothing_to_lift(obj, names, reason):
    with pytest.raises(NotPossible, match=reason.replace("(", r"\(")):
        unfence(obj, instances=names)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, id="nobody named"),
        pytest.param({"instances": []}, id="an empty list"),
        pytest.param({"instances": ["*"]}, id="a star"),
        pytest.param({"instances": ['db-1"]']}, id="hostile"),
        pytest.param({"instances": "db-1"}, id="no list"),
    ],
)
def test_bad_params(params):
    with pytest.raises(ValidationError):
        CnpgFenceParams(**params)
