"""`longhorn_backup` and `longhorn_restore`: a copy of a volume outside the cluster, and a NEW volume from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_ID, Change, Create, NotPossible
from remediator.actions.storage.sizes import Size, size_of, size_text
from remediator.actions.times import parse_time
from remediator.actions.view import Get, ListOf, View, Wanted
from remediator.objects import Object, ObjectRef, dig, labels_of, ref_of
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import PositiveDuration

VOLUME, SNAPSHOT, BACKUP = "Volume.longhorn.io", "Snapshot.longhorn.io", "Backup.longhorn.io"
BACKUP_TARGET = "BackupTarget.longhorn.io"

BACKUP_VOLUME = "backup-volume"
"""Label of a Backup with the volume that it is of."""

_RUNNING = ("", "New", "Pending", "InProgress")
"""States of a Backup that is not over yet."""

VolumeName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")]
"""At most 40 characters: Longhorn shortens longer names, and the volume would then have another one."""

BackupName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]


class LonghornBackupParams(Params):
    """How much is copied."""

    mode: Literal["incremental", "full"] = "incremental"


class LonghornBackup:
    """Undo deletes both copies again."""

    name = "longhorn_backup"
    kinds: tuple[str, ...] = (VOLUME,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = (
        Right("create", SNAPSHOT),
        Right("delete", SNAPSHOT),
        Right("create", BACKUP),
        Right("delete", BACKUP),
        Right("list", BACKUP),
        Right("get", BACKUP_TARGET),
    )
    params = LonghornBackupParams

    def resolve(self, params: LonghornBackupParams, view: View) -> LonghornBackupParams:
        return params

    def wants(self, params: LonghornBackupParams, view: View) -> Mapping[str, Wanted]:
        namespace = view.ref.namespace
        return {
            "target": Get(ObjectRef(BACKUP_TARGET, namespace, _target_name(view.target))),
            "backups": ListOf(kind=BACKUP, namespace=namespace),
        }

    def plan(self, params: LonghornBackupParams, view: View) -> Change:
        """Raises: NotPossible for a volume that is faulted or detached, and where nothing takes the backup."""
        state, robustness = (str(dig(view.target, "status", key, default="")) for key in ("state", "robustness"))
        if robustness == "faulted":
            raise NotPossible(f"{view.ref} is faulted: a copy of it would be worth nothing")
        if state != "attached":
            raise NotPossible(f"{view.ref} is {state or 'without a state'}: a snapshot needs it attached", hold=True)
        _refuse_target(view)
        if running := [b for b in view.found["backups"] if _of_volume(b, view.ref.name) and _is_running(b)]:
            raise NotPossible(f"{ref_of(running[0])} of {view.ref} is still running", hold=True)
        degraded = ("the volume is degraded: it is copied from the replicas that are left",)
        return Change(
            effects=_copies(params, view),
            summary=f"back up ({params.mode})",
            notes=(
                "only the state Completed is a success",
                "crash-consistent: what an application keeps in memory is not in it",
                *(degraded if robustness == "degraded" else ()),
            ),
        )


def _copies(params: LonghornBackupParams, view: View) -> tuple[Create, Create]:
    name, namespace, volume = f"remediator-{GENERATED_ID}", view.ref.namespace, view.ref.name
    snapshot = Create(
        ref=ObjectRef(SNAPSHOT, namespace, name),
        body={"spec": {"volume": volume, "createSnapshot": True}},
        undoable=True,
    )
    backup = Create(
        ref=ObjectRef(BACKUP, namespace, name),
        body={
            "metadata": {"labels": {BACKUP_VOLUME: volume}},
            "spec": {"snapshotName": name, "backupMode": params.mode},
        },
        undoable=True,
    )
    return snapshot, backup


def _target_name(volume: Object) -> str:
    return str(dig(volume, "spec", "backupTargetName") or "default")


def _refuse_target(view: View) -> None:
    name, target = _target_name(view.target), view.found["target"]
    if target is None or not dig(target, "spec", "backupTargetURL"):
        raise NotPossible(f"Longhorn has no backup target {name}: set its URL")
    if dig(target, "status", "available") is not True:
        raise NotPossible(f"Longhorn's backup target {name} is not available", hold=True)


def _of_volume(backup: Object, volume: str) -> bool:
    return volume in (labels_of(backup).get(BACKUP_VOLUME), dig(backup, "status", "volumeName"))


def _is_running(backup: Object) -> bool:
    return str(dig(backup, "status", "state", default="")) in _RUNNING


class LonghornRestoreParams(Params):
    """What is restored, and where to."""

    backup: BackupName
    """Name of the Backup, which must be one of the target's."""
    new_volume: VolumeName
    """A name that no volume has: nothing is ever restored over data."""
    max_size: Size
    """Nothing larger than this is made."""
    max_age: PositiveDuration = Field(timedelta(days=7), le=timedelta(days=366))
    """A backup that is older is refused."""
    replicas: int = Field(3, ge=1, le=5)


class LonghornRestore:
    """Undo deletes the copy. Whatever used the old volume goes on using it: to swap them is people's work."""

    name = "longhorn_restore"
    kinds: tuple[str, ...] = (VOLUME,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = (Right("create", VOLUME), Right("delete", VOLUME), Right("get", VOLUME), Right("get", BACKUP))
    params = LonghornRestoreParams

    def resolve(self, params: LonghornRestoreParams, view: View) -> LonghornRestoreParams:
        return params

    def wants(self, params: LonghornRestoreParams, view: View) -> Mapping[str, Wanted]:
        namespace = view.ref.namespace
        return {
            "backup": Get(ObjectRef(BACKUP, namespace, params.backup)),
            "new_volume": Get(ObjectRef(VOLUME, namespace, params.new_volume)),
        }

    def plan(self, params: LonghornRestoreParams, view: View) -> Change:
        """Raises: NotPossible for a name that is taken, and a backup that is not this volume's, whole and recent."""
        ref = ObjectRef(VOLUME, view.ref.namespace, params.new_volume)
        if ref == view.ref or view.found["new_volume"] is not None:
            raise NotPossible(f"{ref} exists already: a restore only ever makes a new volume")
        backup = view.found["backup"]
        if backup is None:
            raise NotPossible(f"there is no Backup {params.backup} in {view.ref.namespace}")
        if not _of_volume(backup, view.ref.name):
            raise NotPossible(f"{ref_of(backup)} is not one of {view.ref}")
        size, taken = _whole(backup, params, view)
        age = format_duration(view.read_at - taken)
        return Change(
            effects=(Create(ref=ref, body={"spec": _new_spec(params, view, backup, size)}, undoable=True),),
            summary=f"restore {params.backup} ({age} old) into new {params.new_volume}",
            notes=(
                f"takes {size_text(size)} on each of {params.replicas} nodes",
                f"{view.ref.name} stays as it is: people swap the volumes, after they looked at the new one",
            ),
        )


def _whole(backup: Object, params: LonghornRestoreParams, view: View) -> tuple[int, Any]:
    """Size and time of a backup that can be used. Raises: NotPossible."""
    state = dig(backup, "status", "state")
    if state != "Completed":
        raise NotPossible(f"{ref_of(backup)} is {state or 'without a state'}, not Completed", hold=state in _RUNNING)
    if not dig(backup, "status", "url"):
        raise NotPossible(f"{ref_of(backup)} does not say where it lies (status.url)")
    try:
        size = size_of(dig(backup, "status", "volumeSize"))
        taken = parse_time(str(dig(backup, "status", "snapshotCreatedAt") or dig(backup, "status", "backupCreatedAt")))
    except ValueError as exc:
        raise NotPossible(f"{ref_of(backup)} does not say how large or how old it is: {exc}") from None
    if size > size_of(params.max_size):
        raise NotPossible(f"{ref_of(backup)} is of {size_text(size)}, max_size is {params.max_size}")
    age = view.read_at - taken
    if age > params.max_age:
        raise NotPossible(
            f"{ref_of(backup)} is {format_duration(age)} old, max_age is {format_duration(params.max_age)}"
        )
    return size, min(taken, view.read_at)


def _new_spec(params: LonghornRestoreParams, view: View, backup: Object, size: int) -> dict[str, Any]:
    """As the old volume is attached and reached. Its recurring jobs are left out: the copy needs none."""
    kept = {
        key: value
        for key in ("frontend", "accessMode", "dataEngine", "encrypted", "backupTargetName")
        if (value := dig(view.target, "spec", key)) not in (None, "", False)
    }
    return {
        "frontend": "blockdev",
        **kept,
        "fromBackup": str(dig(backup, "status", "url")),
        "size": str(size),
        "numberOfReplicas": params.replicas,
    }
