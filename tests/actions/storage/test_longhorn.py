"""longhorn_backup and longhorn_restore: a copy of a healthy volume, and a new volume from a whole backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, Change, Create, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.render import inverse, render
from remediator.actions.storage.longhorn import (
    LonghornBackup,
    LonghornBackupParams,
    LonghornRestore,
    LonghornRestoreParams,
)
from remediator.actions.view import Get
from remediator.objects import ObjectRef
from tests.actions.make import NOW, view

SYSTEM = "longhorn-system"
REF = ObjectRef("Volume.longhorn.io", SYSTEM, "pvc-1")


def thing(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": SYSTEM, "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"apiVersion": "longhorn.io/v1beta2", "kind": kind, "metadata": metadata, **parts}


def volume(name: str = "pvc-1", state: str = "attached", robustness: str = "healthy", **spec: Any) -> dict[str, Any]:
    status = {"state": state, "robustness": robustness}
    return thing(
        "Volume",
        name,
        spec={"size": "10737418240", "frontend": "blockdev", "accessMode": "rwo", "dataEngine": "v1", **spec},
        status=status,
    )


def target(available: bool = True, url: str = "s3://backups@eu/") -> dict[str, Any]:
    return thing("BackupTarget", "default", spec={"backupTargetURL": url}, status={"available": available})


def backup(name: str = "backup-1", state: str = "Completed", of: str = "pvc-1", **status: Any) -> dict[str, Any]:
    made = thing(
        "Backup",
        name,
        spec={"snapshotName": "s"},
        status={
            "state": state,
            "volumeName": of,
            "volumeSize": "10737418240",
            "url": f"s3://backups@eu/?backup={name}&volume={of}",
            "snapshotCreatedAt": "2025-05-31T12:00:00Z",
            **status,
        },
    )
    made["metadata"]["labels"] = {"backup-volume": of}
    return made


def back_up(obj: Any = None, given: Mapping[str, Any] | None = None, **found: Any) -> Change:
    seen = view(obj or volume(), found={"target": target(), "backups": (), **found})
    return LonghornBackup().plan(LonghornBackupParams(**(given or {})), seen)


def test_a_snapshot_then_its_backup():
    change = back_up()
    name = f"remediator-{GENERATED_ID}"
    assert change.effects == (
        Create(
            ref=ObjectRef("Snapshot.longhorn.io", SYSTEM, name),
            body={"spec": {"volume": "pvc-1", "createSnapshot": True}},
            undoable=True,
        ),
        Create(
            ref=ObjectRef("Backup.longhorn.io", SYSTEM, name),
            body={
                "metadata": {"labels": {"backup-volume": "pvc-1"}},
                "spec": {"snapshotName": name, "backupMode": "incremental"},
            },
            undoable=True,
        ),
    )
    assert change.summary == "back up (incremental)"
    assert diff_lines(change, REF)[0] == "create Snapshot longhorn-system/remediator-…"
    body = render(change.effects[1], None, effect_id="e", now=NOW, generated="k3j9", made_by="r").body
    assert b'"snapshotName":"remediator-k3j9"' in body
    assert inverse(change.effects[1], backup()).ref.kind == "Backup.longhorn.io"


def test_a_full_one_of_a_degraded_volume():
    change = back_up(volume(robustness="degraded"), {"mode": "full"})
    create = change.effects[1]
    assert isinstance(create, Create)
    assert create.body["spec"]["backupMode"] == "full"
    assert "degraded" in change.notes[-1]


@pytest.mark.parametrize(
    ("obj", "found", "reason", "hold"),
    [
        pytest.param(volume(robustness="faulted"), {}, "is faulted", False, id="faulted"),
        pytest.param(volume(state="detached", robustness="unknown"), {}, "is detached", True, id="detached"),
        pytest.param(volume(state=""), {}, "without a state", True, id="no state"),
        pytest.param(volume(), {"target": None}, "no backup target default", False, id="no target"),
        pytest.param(volume(), {"target": target(url="")}, "no backup target default", False, id="no URL"),
        pytest.param(volume(), {"target": {**target(), "status": {}}}, "is not available", True, id="never checked"),
        pytest.param(volume(), {"target": target(False)}, "is not available", True, id="target is down"),
        pytest.param(volume(), {"backups": (backup(state="InProgress"),)}, "still running", True, id="one is running"),
        pytest.param(volume(), {"backups": (backup(state=""),)}, "still running", True, id="one is new"),
    ],
)
def test_no_backup(obj, found, reason, hold):
    with pytest.raises(NotPossible) as refused:
        back_up(obj, **found)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_backups_of_others_and_old_ones_do_not_matter():
    assert back_up(backups=(backup(state="InProgress", of="pvc-2"), backup(), backup(state="Error"))).effects


def test_its_own_backup_target_is_asked():
    wanted = LonghornBackup().wants(LonghornBackupParams(), view(volume(backupTargetName="offsite")))
    assert wanted["target"] == Get(ObjectRef("BackupTarget.longhorn.io", SYSTEM, "offsite"))


GIVEN: dict[str, Any] = {"backup": "backup-1", "new_volume": "pvc-1-copy", "max_size": "20Gi"}


def restore(obj: Any = None, given: Mapping[str, Any] | None = None, **found: Any) -> Change:
    seen = view(obj or volume(), found={"backup": backup(), "new_volume": None, **found})
    return LonghornRestore().plan(LonghornRestoreParams(**{**GIVEN, **(given or {})}), seen)


def test_a_new_volume_like_the_old_one():
    change = restore(volume(robustness="faulted", state="detached", accessMode="rwx", encrypted=True))
    assert change.effects == (
        Create(
            ref=ObjectRef("Volume.longhorn.io", SYSTEM, "pvc-1-copy"),
            body={
                "spec": {
                    "frontend": "blockdev",
                    "accessMode": "rwx",
                    "dataEngine": "v1",
                    "encrypted": True,
                    "fromBackup": "s3://backups@eu/?backup=backup-1&volume=pvc-1",
                    "size": "10737418240",
                    "numberOfReplicas": 3,
                }
            },
            undoable=True,
        ),
    )
    assert change.summary == "restore backup-1 (1d old) into new pvc-1-copy"
    assert "takes 10Gi on each of 3 nodes" in change.notes


@pytest.mark.parametrize(
    ("given", "found", "reason", "hold"),
    [
        pytest.param({}, {"new_volume": volume("pvc-1-copy")}, "exists already", False, id="the name is taken"),
        pytest.param({"new_volume": "pvc-1"}, {}, "only ever makes a new volume", False, id="over itself"),
        pytest.param({}, {"backup": None}, "there is no Backup backup-1", False, id="no backup"),
        pytest.param({}, {"backup": backup(of="pvc-2")}, "is not one of Volume", False, id="another volume's"),
        pytest.param({}, {"backup": backup(state="InProgress")}, "is InProgress", True, id="still running"),
        pytest.param({}, {"backup": backup(state="Error")}, "is Error, not Completed", False, id="failed"),
        pytest.param({}, {"backup": backup(url="")}, "does not say where", False, id="no URL"),
        pytest.param({}, {"backup": backup(volumeSize="")}, "how large or how old", False, id="no size"),
        pytest.param(
            {},
            {"backup": backup(snapshotCreatedAt="", backupCreatedAt="")},
            "how large or how old",
            False,
            id="no time",
        ),
        pytest.param({"max_size": "9Gi"}, {}, "is of 10Gi, max_size is 9Gi", False, id="too large"),
        pytest.param({"max_age": "12h"}, {}, "is 1d old, max_age is 12h", False, id="too old"),
    ],
)
def test_no_restore(given, found, reason, hold):
    with pytest.raises(NotPossible) as refused:
        restore(None, given, **found)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


@pytest.mark.parametrize(
    "given",
    [
        {"new_volume": "UPPER"},
        {"new_volume": "a" * 41},
        {"new_volume": "a/b"},
        {"backup": "../x"},
        {"max_size": "much"},
        {"replicas": 0},
        {"max_age": "0s"},
    ],
)
def test_bad_params(given):
    with pytest.raises(ValidationError):
        LonghornRestoreParams(**{**GIVEN, **given})
