"""RDS: a snapshot under a name of its own, a reboot of the instance that was looked at."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, Call, NotPossible
from remediator.actions.cloud.rds import RdsReboot, RdsRebootParams, RdsSnapshot, RdsSnapshotParams
from remediator.actions.diff import diff_lines
from remediator.actions.view import Ask
from remediator.objects import ref_of
from tests.actions.make import deployment, view

APP = deployment()


def instance(**more: Any) -> dict[str, Any]:
    return {
        "instance": "prod-db",
        "resource": "db-ABC",
        "status": "available",
        "multi_az": True,
        "zone": "eu-west-1a",
        "standby_zone": "eu-west-1b",
        "cluster": "",
        "storage_gib": 100,
        "waiting": False,
        "snapshots": 3,
        "more_snapshots": False,
        "under_way": [],
        "allow": ["snapshot", "reboot"],
        "stands_for": [],
        **more,
    }


def snapshot(found: Any = None, **params: Any) -> Any:
    here = view(APP, found={"instance": found or instance()})
    action = RdsSnapshot()
    given = RdsSnapshotParams(**{"instance": "orders", **params})
    return action.plan(action.resolve(given, here), here)


def reboot(found: Any = None, **params: Any) -> Any:
    here = view(APP, found={"instance": found or instance()})
    action = RdsReboot()
    given = RdsRebootParams(**{"instance": "orders", "failover": True, **params})
    return action.plan(action.resolve(given, here), here)


def test_a_snapshot():
    change = snapshot()
    assert change.effects == (
        Call(
            ref=ref_of(APP),
            uid="uid-deployment-api",
            via="rds",
            place="orders",
            request={"do": "snapshot", "resource": "db-ABC", "snapshot": f"manual-snapshot-{GENERATED_ID}"},
            says="create snapshot manual-snapshot-... of RDS instance prod-db (100 GiB)",
            repeatable=True,
        ),
    )
    assert diff_lines(change) == (change.effects[0].says,)
    assert (change.needs_approval, change.effects[0].undoable) == ("", False)


def test_without_a_standby_somebody_is_asked():
    assert "I/O stops" in snapshot(instance(multi_az=False)).needs_approval
    assert snapshot(instance(multi_az=False), accept_io_pause=True).needs_approval == ""


def test_a_reboot_names_where_the_primary_was():
    change = reboot()
    (call,) = change.effects
    assert call.request == {"do": "reboot", "resource": "db-ABC", "zone": "eu-west-1a", "failover": True}
    assert call.says == "reboot RDS instance prod-db with failover, eu-west-1a -> eu-west-1b"
    assert (change.goes, change.reduces_capacity, call.repeatable) == ("failover", True, False)
    assert change.needs_approval
    assert reboot(instance(multi_az=False, waiting=True), failover=False).notes[-1].startswith("pending changes")


def test_what_they_ask_before():
    asked = {"instance": Ask("rds", "orders", {"about": "instance"})}
    assert RdsSnapshot().wants(RdsSnapshotParams(instance="orders"), view(APP)) == asked
    assert RdsReboot().wants(RdsRebootParams(instance="orders", failover=False), view(APP)) == asked


@pytest.mark.parametrize("plan", [snapshot, reboot])
@pytest.mark.parametrize(
    ("more", "reason", "hold"),
    [
        pytest.param({"status": "modifying"}, "is modifying, not available", True, id="busy"),
        pytest.param({"status": "storage-full"}, "is storage-full, not available", False, id="broken"),
        pytest.param({"cluster": "aurora-1"}, "belongs to Aurora cluster aurora-1", False, id="Aurora"),
        pytest.param({"allow": []}, "allow has no", False, id="not allowed"),
        pytest.param({"stands_for": ["Service/shop/db"]}, "not for Deployment", False, id="another target"),
    ],
)
def test_not_possible(plan, more, reason, hold):
    with pytest.raises(NotPossible, match=reason) as refused:
        plan(instance(**more))
    assert refused.value.hold == hold


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param({"snapshots": 20}, "20 manual snapshots, max_snapshots is 20", id="too many"),
        pytest.param({"more_snapshots": True}, "manual snapshots", id="more than a page"),
        pytest.param({"under_way": ["s-1"]}, "snapshot s-1 of orders is being made", id="one under way"),
    ],
)
def test_no_snapshot(more, reason):
    with pytest.raises(NotPossible, match=reason):
        snapshot(instance(**more))


def test_no_failover_without_a_standby():
    with pytest.raises(NotPossible, match="no standby in another zone"):
        reboot(instance(multi_az=False))


@pytest.mark.parametrize(
    "params",
    [{"prefix": "a--b"}, {"prefix": "-a"}, {"prefix": "A"}, {"max_snapshots": 100}, {"instance": "x y"}, {"key": "v"}],
)
def test_bad_parameters(params):
    with pytest.raises(ValidationError):
        RdsSnapshotParams(**{"instance": "orders", **params})
    with pytest.raises(ValidationError):
        RdsRebootParams.model_validate({"instance": "orders"})
