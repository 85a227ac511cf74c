"""`cnpg_pitr`: a NEW CloudNativePG Cluster with the data of an older moment, beside the one that is there.

The old Cluster is not touched and no application is moved: people look at the data first, and cut over themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, field_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, Create, NotPossible
from remediator.actions.databases.cnpg import CLUSTER
from remediator.actions.databases.parts import refuse_other_kind, time_at
from remediator.actions.times import format_time, parse_time
from remediator.actions.view import Get, View, Wanted
from remediator.objects import JSON, Object, ObjectRef, dig
from remediator.playbooks.quantity import parse_quantity

POOLER = "Pooler.postgresql.cnpg.io"
OBJECT_STORE = "ObjectStore.barmancloud.cnpg.io"
STORE_NAME = "barmanObjectName"

COPIED = (
    "imageName",
    "imageCatalogRef",
    "imagePullSecrets",
    "postgresUID",
    "postgresGID",
    "serviceAccountTemplate",
    "resources",
    "affinity",
    "walStorage",
    "tablespaces",
    "env",
    "envFrom",
)
"""What the new Cluster takes over, because the data needs it (version, tablespaces), or the access to its backup."""

CONNECTION = ("destinationPath", "endpointURL", "endpointCA", "s3Credentials", "azureCredentials", "googleCredentials")
"""How an object store is reached; credentials are references to Secrets here."""


class CnpgPitrParams(Params):
    """`new_name` of the Cluster that is made, `target_time` with its zone (RFC 3339), `size` of each of its volumes."""

    new_name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$")]
    target_time: Annotated[str, Field(max_length=40)]
    instances: int = Field(1, ge=1, le=5)
    size: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(Mi|Gi|Ti)$")]

    @field_validator("target_time")
    @classmethod
    def _a_moment(cls, text: str) -> str:
        try:
            return format_time(parse_time(text))
        except ValueError:
            raise ValueError("write target_time with its zone, such as 2024-12-04T10:00:00Z") from None


class CnpgPitr:
    """No undo: what was restored is looked at and deleted by people."""

    name = "cnpg_pitr"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    changes_data = True
    rights = (Right("create", CLUSTER), Right("get", CLUSTER), Right("get", POOLER), Right("get", OBJECT_STORE))
    params = CnpgPitrParams

    def wants(self, params: CnpgPitrParams, view: View) -> Mapping[str, Wanted]:
        wanted: dict[str, Wanted] = {
            "cluster": Get(ObjectRef(CLUSTER, view.ref.namespace, params.new_name)),
            "pooler": Get(ObjectRef(POOLER, view.ref.namespace, params.new_name)),
        }
        plugin = _archive_plugin(view.target)
        if plugin is not None:
            store = str(plugin["parameters"][STORE_NAME])
            wanted["store"] = Get(ObjectRef(OBJECT_STORE, view.ref.namespace, store))
        return wanted

    def resolve(self, params: CnpgPitrParams, view: View) -> CnpgPitrParams:
        return params

    def plan(self, params: CnpgPitrParams, view: View) -> Change:
        """Raises: NotPossible when the name is taken, or the backups do not reach back to that time."""
        refuse_other_kind(view, CLUSTER)
        _refuse_taken(params.new_name, view)
        moment = parse_time(params.target_time)
        if moment >= view.read_at:
            raise NotPossible(f"target_time {params.target_time} is not in the past: nothing can be restored to it")
        _refuse_too_small(params.size, view)
        origin = _origin(view)
        _refuse_before_backups(moment, view)
        body: dict[str, JSON] = {"spec": _spec(params, origin, view.target)}
        return Change(
            effects=(Create(ref=ObjectRef(CLUSTER, view.ref.namespace, params.new_name), body=body),),
            summary=(
                f"new Cluster {params.new_name} from the backups of {view.ref.name} as of {params.target_time}, "
                f"{params.instances} x {params.size}"
            ),
            needs_approval=f"it restores the data of {view.ref} beside it, and costs {params.instances} volumes",
            notes=(
                f"{view.ref} is left as it is; applications are moved by people, and lose what was written since",
                "recovery fails when nothing was committed after target_time, or its WAL was not archived",
                f"{params.new_name} has no backups of its own until somebody configures them",
                "no undo: delete it by hand when it is not wanted",
                *([] if _first_recoverable(view) else ["how far the backups reach back is not on record"]),
            ),
        )


def _refuse_taken(name: str, view: View) -> None:
    if name == view.ref.name:
        raise NotPossible(f"new_name {name} is the Cluster itself: a restore never goes over the old one")
    for found in ("cluster", "pooler"):
        if view.found[found] is not None:
            kind = "Cluster" if found == "cluster" else "Pooler"
            raise NotPossible(f"{kind} {view.ref.namespace}/{name} exists already: choose another new_name")


def _refuse_too_small(size: str, view: View) -> None:
    present = dig(view.target, "spec", "storage", "size")
    try:
        too_small = present is not None and parse_quantity(size) < parse_quantity(present)
    except ValueError:
        raise NotPossible(f"spec.storage.size of {view.ref} is no size: a person has to look") from None
    if too_small:
        raise NotPossible(f"size {size} is less than the {present} of {view.ref}: its data may not fit")


def _archive_plugin(obj: Object) -> Mapping[str, Any] | None:
    """The plugin that archives to an ObjectStore; None where there is none, or it names no store."""
    for plugin in dig(obj, "spec", "plugins") or ():
        store = dig(plugin, "parameters", STORE_NAME)
        if isinstance(store, str) and store and plugin.get("enabled", True):
            found: Mapping[str, Any] = plugin
            return found
    return None


def _origin(view: View) -> dict[str, JSON]:
    """The external cluster to recover from: the archive that the old Cluster writes to. Raises: NotPossible."""
    plugin = _archive_plugin(view.target)
    if plugin is not None:
        if view.found.get("store") is None:
            raise NotPossible(f"ObjectStore {plugin['parameters'][STORE_NAME]} of {view.ref} does not exist")
        parameters = {STORE_NAME: plugin["parameters"][STORE_NAME], "serverName": _server(plugin["parameters"], view)}
        return {"name": view.ref.name, "plugin": {"name": plugin["name"], "parameters": parameters}}
    store = dig(view.target, "spec", "backup", "barmanObjectStore")
    if not isinstance(store, Mapping):
        raise NotPossible(
            f"{view.ref} archives nowhere (no plugin with {STORE_NAME}, no spec.backup.barmanObjectStore)"
        )
    reached = {key: store[key] for key in CONNECTION if key in store}
    compression = dig(store, "wal", "compression")
    wal = {"wal": {"compression": compression}} if compression else {}
    return {"name": view.ref.name, "barmanObjectStore": {**reached, **wal, "serverName": _server(store, view)}}


def _server(parameters: Mapping[str, Any], view: View) -> str:
    return str(parameters.get("serverName") or view.ref.name)


def _refuse_before_backups(moment: datetime, view: View) -> None:
    first = _first_recoverable(view)
    if first is not None and moment < first:
        raise NotPossible(f"the backups of {view.ref} reach back to {format_time(first)} only")


def _first_recoverable(view: View) -> datetime | None:
    """Where somebody says since when there are backups; the operator does not, with some methods."""
    plugin = _archive_plugin(view.target)
    if plugin is None:
        return time_at(view.target, "status", "firstRecoverabilityPoint")
    windows = dig(view.found["store"], "status", "serverRecoveryWindow", _server(plugin["parameters"], view))
    return time_at(windows or {}, "firstRecoverabilityPoint")


def _spec(params: CnpgPitrParams, origin: Mapping[str, JSON], old: Object) -> dict[str, JSON]:
    """No `backup` and no archiving plugin: two Clusters that write to one archive spoil it."""
    spec = old.get("spec") or {}
    postgresql = {
        key: value
        for key, value in (spec.get("postgresql") or {}).items()
        # Fewer instances than the old one may not be able to confirm its commits.
        if key not in ("synchronous", "syncReplicaElectionConstraint")
    }
    storage_class = dig(spec, "storage", "storageClass")
    return {
        **{key: spec[key] for key in COPIED if key in spec},
        "instances": params.instances,
        "storage": {"size": params.size, **({"storageClass": storage_class} if storage_class else {})},
        **({"postgresql": postgresql} if postgresql else {}),
        "bootstrap": {
            "recovery": {
                "source": origin["name"],
                "recoveryTarget": {"targetTime": params.target_time},
                **_application(spec),
            }
        },
        "externalClusters": [dict(origin)],
    }


def _application(spec: Mapping[str, Any]) -> dict[str, JSON]:
    """Database and owner, as the old Cluster was made with: without them the operator takes `app` for both."""
    made = next((value for value in (spec.get("bootstrap") or {}).values() if isinstance(value, Mapping)), {})
    return {key: made[key] for key in ("database", "owner") if made.get(key)}
