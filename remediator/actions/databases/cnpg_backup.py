"""`cnpg_backup`: one base backup of a CloudNativePG Cluster, now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_ID, Change, Create, NotPossible
from remediator.actions.databases.cnpg import CLUSTER, PgCluster, read_cluster, refuse_moving
from remediator.actions.databases.parts import condition_of
from remediator.actions.view import ListOf, View, Wanted
from remediator.objects import JSON, Object, ObjectRef, dig, ref_of

BACKUP = "Backup.postgresql.cnpg.io"
BARMAN_PLUGIN = "barman-cloud.cloudnative-pg.io"

NAME_ROOM = 52
"""The operator puts the name of a backup into labels: 63 characters less a dash and the ten of the generated id."""

OVER = frozenset({"completed", "failed", "invalid backup definition"})
"""Phases in which a Backup does nothing any more. None yet counts as running."""

Method = Literal["plugin", "volumeSnapshot", "barmanObjectStore"]


class CnpgBackupParams(Params):
    """`plugin` is the plugin that takes it, for the method of that name. `target` is where it is taken from."""

    method: Method = "plugin"
    plugin: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")] = BARMAN_PLUGIN
    target: Literal["prefer-standby", "primary"] = "prefer-standby"


class CnpgBackup:
    """Never taken back by an undo: that is the moment in which it is needed. People or its retention delete it."""

    name = "cnpg_backup"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = (Right("create", BACKUP), Right("list", BACKUP))
    params = CnpgBackupParams

    def wants(self, params: CnpgBackupParams, view: View) -> Mapping[str, Wanted]:
        return {"backups": ListOf(kind=BACKUP, namespace=view.ref.namespace)}

    def resolve(self, params: CnpgBackupParams, view: View) -> CnpgBackupParams:
        return params

    def plan(self, params: CnpgBackupParams, view: View) -> Change:
        """Raises: NotPossible when the method is not set up, archiving fails, or another backup runs."""
        cluster = read_cluster(view)
        refuse_moving(cluster)
        _refuse_not_set_up(params, view)
        _refuse_no_archive(params.method, view)
        _refuse_running(view.found["backups"], view)
        stops = _takes_an_instance_down(params, cluster, view.target)
        spec: dict[str, JSON] = {
            "cluster": {"name": view.ref.name},
            "method": params.method,
            "target": params.target,
        }
        if params.method == "plugin":
            spec["pluginConfiguration"] = {"name": params.plugin}
        name = f"{view.ref.name[:NAME_ROOM].rstrip('-.')}-{GENERATED_ID}"
        return Change(
            effects=(Create(ref=ObjectRef(BACKUP, view.ref.namespace, name), body={"spec": spec}),),
            takes=1 if stops else 0,
            summary=f"backup by {_said(params)}, from {params.target}",
            reduces_capacity=bool(stops),
            needs_approval=stops,
            notes=_notes(params),
        )


def _refuse_not_set_up(params: CnpgBackupParams, view: View) -> None:
    if params.method == "plugin":
        plugins = dig(view.target, "spec", "plugins") or ()
        if not any(p.get("name") == params.plugin and p.get("enabled", True) for p in plugins):
            raise NotPossible(f"{view.ref} does not use the plugin {params.plugin} (spec.plugins): name another method")
    elif dig(view.target, "spec", "backup", params.method) is None:
        raise NotPossible(f"{view.ref} has no spec.backup.{params.method}: set it up, or name another method")


def _refuse_no_archive(method: Method, view: View) -> None:
    """Without its WAL a base backup cannot be restored, and the operator would wait for it for ever."""
    archiving = condition_of(view.target, "ContinuousArchiving")
    if archiving is not None and archiving.get("status") == "False":
        raise NotPossible(
            f"WAL archiving of {view.ref} fails, so no backup by {method} would be complete: mend the archive first"
        )


def _refuse_running(backups: tuple[Object, ...], view: View) -> None:
    for backup in backups:
        mine = dig(backup, "spec", "cluster", "name") == view.ref.name
        phase = str(dig(backup, "status", "phase", default="")) or "new"
        if mine and phase not in OVER:
            raise NotPossible(f"{ref_of(backup)} of the same Cluster is not over yet (phase {phase})", hold=True)


def _takes_an_instance_down(params: CnpgBackupParams, cluster: PgCluster, obj: Object) -> str:
    """Why a person must agree: a cold snapshot fences the instance that it is taken from."""
    cold = dig(obj, "spec", "backup", "volumeSnapshot", "online", default=True) is False
    if params.method != "volumeSnapshot" or not cold:
        return ""
    alone = params.target == "primary" or cluster.ready < 2
    return f"a cold snapshot stops {'the primary' if alone else 'a standby'} while it is taken (online: false)"


def _said(params: CnpgBackupParams) -> str:
    return f"plugin {params.plugin}" if params.method == "plugin" else params.method


def _notes(params: CnpgBackupParams) -> tuple[str, ...]:
    notes = ["only phase completed is success", "an undo leaves it: delete the Backup by hand when it is not wanted"]
    if params.method == "barmanObjectStore":
        notes.append("the object store inside the operator is deprecated: use the plugin")
    return tuple(notes)
