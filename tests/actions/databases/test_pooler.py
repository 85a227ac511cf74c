"""set_pooler, pooler_pause and pooler_resume."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.databases.pooler import PoolerPause, PoolerResume, SetPooler, SetPoolerParams
from remediator.actions.diff import diff_lines
from remediator.actions.view import Get
from remediator.objects import ObjectRef
from tests.actions.databases.make import LONG_AGO, cluster, planned
from tests.actions.make import NS, deployment, hpa, view

PARAMETERS = ("spec", "pgbouncer", "parameters")


def pooler(
    name: str = "db-rw",
    *,
    side: str = "rw",
    of: str = "db",
    instances: int = 2,
    mode: str = "session",
    paused: bool = False,
    managers: Any = (),
    **parameters: str,
) -> dict[str, Any]:
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Pooler",
        "metadata": {"name": name, "namespace": NS, "uid": f"uid-{name}", "managedFields": list(managers)},
        "spec": {
            "cluster": {"name": of},
            "type": side,
            "instances": instances,
            "pgbouncer": {"poolMode": mode, "paused": paused, "parameters": parameters},
        },
    }


def tune(obj: Any = None, poolers: Any = (), database: Any = None, hpas: Any = (), **params: Any) -> Any:
    obj = obj or pooler(default_pool_size="20", max_client_conn="100")
    found = {"cluster": database or cluster(), "poolers": (obj, *poolers), "hpas": hpas}
    return planned(SetPooler(), params, obj, **found)


@pytest.mark.parametrize(
    ("params", "changes", "summary", "direction"),
    [
        pytest.param(
            {"default_pool_size": 30},
            [((*PARAMETERS, "default_pool_size"), "20", "30")],
            "default_pool_size 20 -> 30",
            "up",
            id="pool size",
        ),
        pytest.param(
            {"max_client_conn": 500},
            [((*PARAMETERS, "max_client_conn"), "100", "500")],
            "max_client_conn 100 -> 500",
            "",
            id="clients",
        ),
        pytest.param({"instances": 3}, [(("spec", "instances"), 2, 3)], "instances 2 -> 3", "up", id="instances"),
        pytest.param(
            {"pool_mode": "transaction", "default_pool_size": 10},
            [
                (("spec", "pgbouncer", "poolMode"), "session", "transaction"),
                ((*PARAMETERS, "default_pool_size"), "20", "10"),
            ],
            "pool_mode session -> transaction, default_pool_size 20 -> 10",
            "down",
            id="mode and size",
        ),
        pytest.param(
            {"max_client_conn": 100, "instances": 3},
            [(("spec", "instances"), 2, 3)],
            "instances 2 -> 3",
            "up",
            id="what is so already is left out",
        ),
    ],
)
def test_one_merge_patch(params, changes, summary, direction):
    change = tune(**params)
    (effect,) = change.effects
    assert effect.changes == tuple(FieldChange(*change) for change in changes)
    assert effect.undoable
    assert (change.summary, change.direction) == (summary, direction)
    assert len(diff_lines(change, effect.ref)) == len(changes)


def test_parameters_that_nobody_has_set_are_pgbouncers_own():
    change = tune(pooler(), default_pool_size=25)
    assert change.effects[0].changes == (FieldChange((*PARAMETERS, "default_pool_size"), None, "25"),)
    assert change.summary == "default_pool_size 20 -> 25"
    assert tune(pooler(), max_client_conn=100).summary == "write the defaults down"


def test_hazards():
    assert tune(pool_mode="transaction").needs_approval.startswith("pool mode session -> transaction")
    assert "advisory locks" in tune(pool_mode="transaction").notes[0]
    assert tune(pooler(mode="transaction"), pool_mode="session").needs_approval
    assert tune(default_pool_size=30).needs_approval == ""
    assert tune(max_client_conn=50).notes == ("clients above 50 on each pooler are turned away",)
    fewer = tune(instances=1)
    assert (fewer.takes, fewer.reduces_capacity, fewer.direction) == (1, True, "down")
    assert fewer.notes == ("clients of 1 removed poolers are disconnected",)


@pytest.mark.parametrize(
    ("size", "others", "extra", "fits"),
    [
        pytest.param(95, (), {}, True, id="2 x 95 and 10 kept are 200"),
        pytest.param(96, (), {}, False, id="two more"),
        pytest.param(47, (), {"pools": 2}, True, id="two pools each"),
        pytest.param(48, (), {"pools": 2}, False, id="two pools each, too many"),
        pytest.param(92, (), {"keep": 17}, False, id="more are kept"),
        pytest.param(75, (pooler("b"),), {}, True, id="another pooler of two times 20"),
        pytest.param(76, (pooler("b"),), {}, False, id="another pooler, too many"),
        pytest.param(95, (pooler("b", side="ro"),), {}, True, id="another one asks standbys"),
        pytest.param(76, (pooler("b", side="r"),), {}, False, id="another one asks all"),
        pytest.param(95, (pooler("b", of="other"),), {}, True, id="another Cluster's"),
        pytest.param(71, (pooler("b", reserve_pool_size="5"),), {}, False, id="its reserve counts"),
    ],
)
def test_pools_times_size_stays_below_max_connections(size, others, extra, fits):
    """max_connections is 200, and there are two poolers."""
    if fits:
        assert tune(poolers=others, default_pool_size=size, **extra).effects
        return
    with pytest.raises(NotPossible, match="more than max_connections 200 of Cluster shop/db"):
        tune(poolers=others, default_pool_size=size, **extra)


def test_without_a_word_it_is_100():
    bare = cluster(spec={"postgresql": {}})
    assert tune(database=bare, default_pool_size=45).effects
    with pytest.raises(NotPossible, match="max_connections 100"):
        tune(database=bare, default_pool_size=46)


def test_less_is_always_possible():
    """Also while it is too much already, and when nobody knows for what."""
    crowded = pooler(default_pool_size="500")
    assert tune(crowded, default_pool_size=400).direction == "down"


def test_what_it_wants_to_know():
    params = SetPoolerParams(instances=1)
    assert SetPooler().wants(params, view(pooler()))["cluster"] == Get(
        ObjectRef("Cluster.postgresql.cnpg.io", NS, "db")
    )
    assert "cluster" not in SetPooler().wants(params, view(deployment()))


def autoscaler() -> dict[str, Any]:
    made = hpa()
    made["spec"]["scaleTargetRef"] = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Pooler", "name": "db-rw"}
    return made


def test_an_autoscaler_decides_about_instances_only():
    with pytest.raises(NotPossible, match="decides about the copies"):
        tune(hpas=(autoscaler(),), instances=3)
    assert tune(hpas=(autoscaler(),), default_pool_size=30).effects


@pytest.mark.parametrize(
    ("obj", "params", "reason"),
    [
        pytest.param(None, {"default_pool_size": 20, "max_client_conn": 100}, "is set so already", id="no change"),
        pytest.param(
            pooler(default_pool_size="many"),
            {"instances": 3},
            "of Pooler shop/db-rw is no number",
            id="x",
        ),
        pytest.param(deployment(), {"instances": 3}, "is no Pooler.postgresql.cnpg.io", id="another kind"),
    ],
)
def test_refused(obj, params, reason):
    with pytest.raises(NotPossible) as refused:
        tune(obj, **params)
    assert reason in refused.value.reason


def test_a_pooler_without_its_cluster():
    obj = pooler()
    with pytest.raises(NotPossible, match="Cluster shop/db of Pooler shop/db-rw does not exist"):
        planned(SetPooler(), {"instances": 3}, obj, cluster=None, poolers=(obj,), hpas=())


def test_max_connections_that_is_no_number():
    odd = cluster(spec={"postgresql": {"parameters": {"max_connections": "lots"}}})
    with pytest.raises(NotPossible, match="max_connections of Cluster shop/db is no number"):
        tune(database=odd, instances=3)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"pools": 3}, id="only what it is reckoned with"),
        pytest.param({"pool_mode": "statement"}, id="a mode that the operator does not know"),
        pytest.param({"default_pool_size": 0}, id="no pool"),
        pytest.param({"instances": 51}, id="too many"),
        pytest.param({"instances": 1, "keep": 0}, id="nothing kept"),
    ],
)
def test_bad_params(params):
    with pytest.raises(ValidationError):
        SetPoolerParams(**params)


# --- pause and resume -------------------------------------------------------------------------------------------------


def managed(by: str) -> tuple[dict[str, Any], ...]:
    fields: dict[str, Any] = {"f:spec": {"f:pgbouncer": {"f:paused": {}}}}
    return ({"manager": by, "operation": "Update", "time": LONG_AGO, "fieldsV1": fields},)


def test_a_pause_makes_everybody_wait():
    change = planned(PoolerPause(), {}, pooler())
    assert change.effects[0].changes == (FieldChange(("spec", "pgbouncer", "paused"), False, True),)
    assert change.effects[0].undoable
    assert (change.takes, change.reduces_capacity) == (2, True)
    assert change.needs_approval == "every client of Pooler shop/db-rw waits until pooler_resume"


@pytest.mark.parametrize(
    ("by", "why"),
    [
        pytest.param("remediator", "", id="ours"),
        pytest.param("kubectl-edit", "Pooler shop/db-rw was paused by kubectl-edit", id="a person's"),
        pytest.param("", "Pooler shop/db-rw was paused by somebody unknown", id="nobody knows whose"),
    ],
)
def test_resume(by, why):
    change = planned(PoolerResume(), {}, pooler(paused=True, managers=managed(by) if by else ()))
    assert change.effects[0].changes == (FieldChange(("spec", "pgbouncer", "paused"), True, False),)
    assert not change.effects[0].undoable
    assert change.needs_approval == why


@pytest.mark.parametrize(
    ("action", "obj", "reason"),
    [
        pytest.param(PoolerPause(), pooler(paused=True), "is paused already", id="paused"),
        pytest.param(PoolerResume(), pooler(), "is not paused", id="not paused"),
        pytest.param(PoolerPause(), deployment(), "is no Pooler", id="pause another kind"),
        pytest.param(PoolerResume(), deployment(), "is no Pooler", id="resume another kind"),
    ],
)
def test_not_paused_or_paused(action, obj, reason):
    with pytest.raises(NotPossible, match=reason):
        planned(action, {}, obj)
