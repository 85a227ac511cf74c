"""velero_backup and velero_restore: into a location that is there, and back beside what runs, never over it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, Change, Create, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.storage.velero import VeleroBackup, VeleroBackupParams, go_duration
from remediator.actions.storage.velero_restore import VeleroRestore, VeleroRestoreParams
from remediator.objects import ObjectRef
from tests.actions.make import deployment, view
from tests.actions.nodes.things import namespace

REF = ObjectRef("BackupStorageLocation.velero.io", "velero", "default")


def location(phase: str = "Available", mode: str = "ReadWrite") -> dict[str, Any]:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": "default", "namespace": "velero", "uid": "uid-bsl"},
        "spec": {"provider": "aws", "accessMode": mode},
        "status": {"phase": phase} if phase else {},
    }


def back_up(given: Mapping[str, Any], obj: Any = None, **found: Any) -> Change:
    params = VeleroBackupParams(**given)
    seen = view(obj or location())
    wanted = VeleroBackup().wants(params, seen)
    there = {name: namespace(name.removeprefix("namespace ")) for name in wanted}
    return VeleroBackup().plan(params, view(obj or location(), found={**there, **found}))


def test_a_backup_of_namespaces():
    change = back_up({"namespaces": ["shop", "billing"], "selector": {"tier": "db"}, "ttl": "7d"})
    assert change.effects == (
        Create(
            ref=ObjectRef("Backup.velero.io", "velero", f"remediator-{GENERATED_ID}"),
            body={
                "spec": {
                    "storageLocation": "default",
                    "includedNamespaces": ["shop", "billing"],
                    "snapshotVolumes": True,
                    "ttl": "168h0m0s",
                    "labelSelector": {"matchLabels": {"tier": "db"}},
                }
            },
        ),
    )
    assert change.summary == "back up tier=db in shop, billing, kept for 7d"
    assert diff_lines(change, REF) == ("create Backup velero/remediator-…",)
    assert not change.effects[0].undoable


def test_a_backup_by_labels_alone():
    (create,) = back_up({"selector": {"app": "api"}}).effects
    assert isinstance(create, Create)
    assert create.body["spec"]["includedNamespaces"] == ["*"]


def test_a_backup_of_everything_has_to_be_said():
    change = back_up({"all_namespaces": True})
    (create,) = change.effects
    assert isinstance(create, Create)
    assert create.body["spec"]["includedNamespaces"] == ["*"]
    assert change.summary.startswith("back up all namespaces, kept for")
    wrong: tuple[dict[str, Any], ...] = (
        {},
        {"all_namespaces": True, "namespaces": ["shop"]},
        {"all_namespaces": True, "selector": {"app": "api"}},
    )
    for given in wrong:
        with pytest.raises(ValidationError, match="all_namespaces"):
            VeleroBackupParams(**given)


@pytest.mark.parametrize(
    ("obj", "found", "reason", "hold"),
    [
        pytest.param(location("Unavailable"), {}, "is Unavailable, not Available", True, id="down"),
        pytest.param(location(""), {}, "not checked yet", True, id="new"),
        pytest.param(location(mode="ReadOnly"), {}, "is read only", False, id="read only"),
        pytest.param(location(), {"namespace shop": None}, "namespace shop does not exist", False, id="no namespace"),
    ],
)
def test_no_backup(obj, found, reason, hold):
    with pytest.raises(NotPossible) as refused:
        back_up({"namespaces": ["shop"]}, obj, **found)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="everything"),
        pytest.param({"namespaces": ["*"]}, id="a star"),
        pytest.param({"namespaces": ["a", "a"]}, id="twice"),
        pytest.param({"selector": {"app": "a,b=c"}}, id="no label value"),
        pytest.param({"selector": {"app": ""}}, id="no value"),
        pytest.param({"namespaces": ["a"], "ttl": "367d"}, id="for ever"),
        pytest.param({"namespaces": ["a"], "ttl": "10m"}, id="gone at once"),
    ],
)
def test_bad_backup_params(given):
    with pytest.raises(ValidationError):
        VeleroBackupParams(**given)


def test_durations_as_velero_writes_them():
    assert go_duration(timedelta(days=30)) == "720h0m0s"
    assert go_duration(timedelta(hours=1, minutes=2, seconds=3)) == "1h2m3s"


GIVEN: dict[str, Any] = {"backup": "daily-1", "mapping": {"shop": "shop-restored"}}


def backup(phase: str = "Completed", **more: Any) -> dict[str, Any]:
    spec = {"storageLocation": "default", "includedNamespaces": ["shop", "billing"], **more.pop("spec", {})}
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {"name": "daily-1", "namespace": "velero"},
        "spec": spec,
        "status": {"phase": phase, "startTimestamp": "2025-06-01T00:00:00Z", **more},
    }


def restore(given: Mapping[str, Any] | None = None, obj: Any = None, **found: Any) -> Change:
    params = VeleroRestoreParams(**{**GIVEN, **(given or {})})
    wanted = VeleroRestore().wants(params, view(obj or location()))
    empty: dict[str, Any] = {name: None if name.startswith("namespace ") else () for name in wanted}
    assert set(found) <= set(wanted)
    return VeleroRestore().plan(params, view(obj or location(), found={**empty, "backup": backup(), **found}))


def test_a_restore_beside():
    change = restore({"exclude": ["ingresses.networking.k8s.io"]})
    assert change.effects == (
        Create(
            ref=ObjectRef("Restore.velero.io", "velero", f"remediator-{GENERATED_ID}"),
            body={
                "spec": {
                    "backupName": "daily-1",
                    "includedNamespaces": ["shop"],
                    "namespaceMapping": {"shop": "shop-restored"},
                    "restorePVs": True,
                    "existingResourcePolicy": "none",
                    "excludedResources": ["ingresses.networking.k8s.io"],
                }
            },
        ),
    )
    assert change.summary == "restore shop as shop-restored from daily-1, 12h old"
    assert change.needs_approval
    assert VeleroRestore.changes_data
    assert change.touches == (ObjectRef("Namespace", "", "shop-restored"),)


def test_what_would_act_at_once_stays_out_by_default():
    (create,) = restore().effects
    assert isinstance(create, Create)
    assert {"ingresses.networking.k8s.io", "cronjobs.batch"} <= set(create.body["spec"]["excludedResources"])


def test_an_empty_namespace_will_do():
    assert restore(None, None, **{"namespace shop-restored": namespace("shop-restored")}).effects


@pytest.mark.parametrize(
    ("given", "obj", "found", "reason", "hold"),
    [
        pytest.param({}, location("Unavailable"), {}, "not Available", True, id="location is down"),
        pytest.param({}, None, {"backup": None}, "there is no Backup daily-1", False, id="no backup"),
        pytest.param({}, None, {"backup": backup("PartiallyFailed")}, "is PartiallyFailed", False, id="half a backup"),
        pytest.param({}, None, {"backup": backup("InProgress")}, "is InProgress", True, id="still running"),
        pytest.param({}, None, {"backup": backup("")}, "not started", False, id="not started"),
        pytest.param(
            {},
            None,
            {"backup": backup(spec={"storageLocation": "b"})},
            "another storage location",
            False,
            id="elsewhere",
        ),
        pytest.param({"max_age": "6h"}, None, {}, "is 12h old, max_age is 6h", False, id="too old"),
        pytest.param({}, None, {"backup": backup(startTimestamp="")}, "does not say when", False, id="no time"),
        pytest.param({"mapping": {"hr": "hr-2"}}, None, {}, "does not hold namespace hr", False, id="not in it"),
        pytest.param(
            {},
            None,
            {"backup": backup(spec={"includedNamespaces": ["*"], "excludedNamespaces": ["shop"]})},
            "does not hold namespace shop",
            False,
            id="left out of it",
        ),
        pytest.param(
            {}, None, {"Deployment in shop-restored": (deployment(),)}, "is not empty (Deployment", False, id="in use"
        ),
        pytest.param(
            {},
            None,
            {"namespace shop-restored": namespace("shop-restored", deletionTimestamp="2025-06-01T11:00:00Z")},
            "is being deleted",
            False,
            id="going",
        ),
    ],
)
def test_no_restore(given, obj, found, reason, hold):
    with pytest.raises(NotPossible) as refused:
        restore(given, obj, **found)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


@pytest.mark.parametrize("included", [[], ["*"], ["sh*"]], ids=["all", "star", "pattern"])
def test_backups_of_everything_hold_it(included):
    assert restore(backup=backup(spec={"includedNamespaces": included})).effects


def test_warnings_and_an_empty_exclude_are_told():
    notes = restore({"exclude": []}, None, backup=backup(warnings=3)).notes
    assert "the backup was made with 3 warnings" in notes
    assert "nothing is left out, Ingresses and CronJobs included" in notes


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"mapping": {}}, id="nothing"),
        pytest.param({"mapping": {"shop": "shop"}}, id="over itself"),
        pytest.param({"mapping": {"a": "b", "b": "c"}}, id="over another one"),
        pytest.param({"mapping": {"a": "c", "b": "c"}}, id="two into one"),
        pytest.param({"mapping": {"shop": "Shop!"}}, id="no name"),
        pytest.param({"namespaces": ["billing"]}, id="namespaces that are not mapped"),
        pytest.param({"existing": "update"}, id="over what is there"),
        pytest.param({"backup": "a b"}, id="no backup name"),
    ],
)
def test_bad_restore_params(given):
    with pytest.raises(ValidationError):
        VeleroRestoreParams(**{**GIVEN, **given})
