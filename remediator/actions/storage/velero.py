"""`velero_backup`: namespaces into an object store, through a storage location that is there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_ID, Change, Create, NotPossible
from remediator.actions.view import Get, View, Wanted
from remediator.objects import ObjectRef, dig
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Flag, PositiveDuration
from remediator.playbooks.names import is_label_key, is_label_value

BACKUP, LOCATION = "Backup.velero.io", "BackupStorageLocation.velero.io"

NamespaceName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class VeleroBackupParams(Params):
    """What is copied and for how long it is kept. Namespaces, labels, or both: then both must fit."""

    namespaces: tuple[NamespaceName, ...] = Field((), max_length=20)
    selector: Mapping[str, str] = Field(default_factory=dict, max_length=10)
    """Labels that objects must carry. Without namespaces: in all of them."""
    all_namespaces: Flag = False
    """The whole cluster. It has to be said: nothing is no wish for everything."""
    ttl: PositiveDuration = Field(timedelta(days=30), ge=timedelta(hours=1), le=timedelta(days=366))
    """After this Velero deletes it, data included."""
    snapshot_volumes: Flag = True
    """Whether volumes are snapshotted, where their driver can."""

    @model_validator(mode="after")
    def _not_everything(self) -> VeleroBackupParams:
        if self.all_namespaces and (self.namespaces or self.selector):
            raise ValueError("all_namespaces is everything; remove namespaces and selector")
        if not (self.namespaces or self.selector or self.all_namespaces):
            raise ValueError("give namespaces, selector, or both: everything has to be said, all_namespaces: true")
        if len(set(self.namespaces)) != len(self.namespaces):
            raise ValueError("namespaces names one twice")
        for key, value in self.selector.items():
            if not is_label_key(key) or not value or not is_label_value(value):
                raise ValueError(f"selector: {key!r:.80}: {value!r:.80} is no label")
        return self


class VeleroBackup:
    """The target is the storage location, which says whether Velero reaches it.

    Deleting the Backup would not delete what it stored, and it would come back: so it has no inverse here. Its `ttl`
    ends it.
    """

    name = "velero_backup"
    kinds: tuple[str, ...] = (LOCATION,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = (Right("create", BACKUP), Right("get", BACKUP), Right("get", LOCATION), Right("get", "Namespace"))
    params = VeleroBackupParams

    def resolve(self, params: VeleroBackupParams, view: View) -> VeleroBackupParams:
        return params

    def wants(self, params: VeleroBackupParams, view: View) -> Mapping[str, Wanted]:
        return {f"namespace {name}": Get(ObjectRef("Namespace", "", name)) for name in params.namespaces}

    def plan(self, params: VeleroBackupParams, view: View) -> Change:
        """Raises: NotPossible for a location that takes nothing, and a namespace that does not exist."""
        refuse_location(view, writes=True)
        for name in params.namespaces:
            if view.found[f"namespace {name}"] is None:
                raise NotPossible(f"namespace {name} does not exist: its backup would be empty, and look complete")
        ref = ObjectRef(BACKUP, view.ref.namespace, f"remediator-{GENERATED_ID}")
        return Change(
            effects=(Create(ref=ref, body={"spec": _spec(params, view)}),),
            summary=f"back up {_what(params)}, kept for {format_duration(params.ttl)}",
            notes=(
                "only the phase Completed is a success",
                f"it cannot be taken back; Velero deletes it after {format_duration(params.ttl)}",
            ),
        )


def refuse_location(view: View, *, writes: bool) -> None:
    """Raises: NotPossible for a storage location that Velero does not reach, or may not write."""
    phase = dig(view.target, "status", "phase")
    if phase != "Available":
        raise NotPossible(f"{view.ref} is {phase or 'not checked yet'}, not Available", hold=True)
    if writes and dig(view.target, "spec", "accessMode") == "ReadOnly":
        raise NotPossible(f"{view.ref} is read only (spec.accessMode)")


def _what(params: VeleroBackupParams) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(params.selector.items()))
    where = ", ".join(params.namespaces) or "all namespaces"
    return f"{labels} in {where}" if labels else where


def _spec(params: VeleroBackupParams, view: View) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "storageLocation": view.ref.name,
        "includedNamespaces": list(params.namespaces) or ["*"],
        "snapshotVolumes": params.snapshot_volumes,
        "ttl": go_duration(params.ttl),
    }
    if params.selector:
        spec["labelSelector"] = {"matchLabels": dict(params.selector)}
    return spec


def go_duration(value: timedelta) -> str:
    """As Velero writes it: `720h0m0s`."""
    seconds = int(value.total_seconds())
    return f"{seconds // 3600}h{seconds // 60 % 60}m{seconds % 60}s"
