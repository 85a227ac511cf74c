"""`velero_restore`: namespaces of a backup into NEW namespaces, beside what runs.

Never over live data: every namespace is mapped to another one, which must not exist or be empty. What people do with
the copy is their decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_ID, Change, Create, NotPossible
from remediator.actions.storage.velero import BACKUP, LOCATION, NamespaceName, refuse_location
from remediator.actions.times import parse_time
from remediator.actions.view import Get, ListOf, View, Wanted
from remediator.objects import Object, ObjectRef, dig, ref_of
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Flag, PositiveDuration

RESTORE = "Restore.velero.io"

_CONTENT = (
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "PersistentVolumeClaim",
    "Service",
    "Ingress",
)
"""A namespace that has one of these is not empty. Every namespace has a ServiceAccount and a ConfigMap."""

_STILL_RUNNING = frozenset(
    {
        "New",
        "Queued",
        "ReadyToStart",
        "InProgress",
        "WaitingForPluginOperations",
        "Finalizing",
    }
)

ResourceName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]


class VeleroRestoreParams(Params):
    """What comes back, and where to."""

    backup: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
    """Name of a Backup in the target's storage location."""
    mapping: Mapping[NamespaceName, NamespaceName] = Field(min_length=1, max_length=5)
    """From a namespace of the backup to a new one. What is not named here is not restored."""
    namespaces: tuple[NamespaceName, ...] = Field((), max_length=5)
    """Names the namespaces once more, for the reader; must be those of `mapping`."""
    max_age: PositiveDuration = Field(timedelta(days=2), le=timedelta(days=366))
    """A backup that is older is refused."""
    restore_volumes: Flag = True
    exclude: tuple[ResourceName, ...] = Field(
        (
            "ingresses.networking.k8s.io",
            "httproutes.gateway.networking.k8s.io",
            "cronjobs.batch",
            "jobs.batch",
        ),
        max_length=30,
    )
    """Left out, because a copy would act at once: take a share of the traffic, run the night's jobs again."""

    @model_validator(mode="after")
    def _beside_not_over(self) -> VeleroRestoreParams:
        if self.namespaces and set(self.namespaces) != set(self.mapping):
            raise ValueError("namespaces must be those that mapping maps: each one goes into a new one")
        over = sorted(set(self.mapping) & set(self.mapping.values()))
        if over:
            raise ValueError(f"mapping restores over {over[0]}: map it to a namespace that is not there")
        if len(set(self.mapping.values())) != len(self.mapping):
            raise ValueError("mapping puts two namespaces into one")
        return self


class VeleroRestore:
    """Has no inverse: what was restored is not told apart from what came after it. Always a person's decision."""

    name = "velero_restore"
    kinds: tuple[str, ...] = (LOCATION,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    changes_data = True
    rights = (
        Right("create", RESTORE),
        Right("get", RESTORE),
        Right("get", BACKUP),
        Right("get", LOCATION),
        Right("get", "Namespace"),
        *(Right("list", kind) for kind in _CONTENT),
    )
    params = VeleroRestoreParams

    def resolve(self, params: VeleroRestoreParams, view: View) -> VeleroRestoreParams:
        return params

    def wants(self, params: VeleroRestoreParams, view: View) -> Mapping[str, Wanted]:
        wanted: dict[str, Wanted] = {"backup": Get(ObjectRef(BACKUP, view.ref.namespace, params.backup))}
        for name in params.mapping.values():
            wanted[f"namespace {name}"] = Get(ObjectRef("Namespace", "", name))
            wanted |= {f"{kind} in {name}": ListOf(kind=kind, namespace=name) for kind in _CONTENT}
        return wanted

    def plan(self, params: VeleroRestoreParams, view: View) -> Change:
        """Raises: NotPossible for a backup that is not whole, recent and here, and a namespace that is in use."""
        refuse_location(view, writes=False)
        taken = _whole(params, view)
        for name in params.mapping.values():
            _refuse_in_use(name, view)
        ref = ObjectRef(RESTORE, view.ref.namespace, f"remediator-{GENERATED_ID}")
        pairs = ", ".join(f"{old} as {new}" for old, new in sorted(params.mapping.items()))
        age = format_duration(max(view.read_at - taken, timedelta(0)))
        return Change(
            effects=(Create(ref=ref, body={"spec": _spec(params)}),),
            summary=f"restore {pairs} from {params.backup}, {age} old",
            needs_approval="a copy of data and Secrets as they were comes to life beside the original",
            notes=_notes(params, view.found["backup"]),
            touches=tuple(ObjectRef("Namespace", "", name) for name in sorted(params.mapping.values())),
        )


def _whole(params: VeleroRestoreParams, view: View) -> datetime:
    """When the backup was taken. Raises: NotPossible."""
    backup = view.found["backup"]
    if backup is None:
        raise NotPossible(f"there is no Backup {params.backup} in {view.ref.namespace}")
    if dig(backup, "spec", "storageLocation") != view.ref.name:
        raise NotPossible(f"{ref_of(backup)} lies in another storage location than {view.ref.name}")
    phase = dig(backup, "status", "phase")
    if phase != "Completed":
        running = phase in _STILL_RUNNING
        raise NotPossible(f"{ref_of(backup)} is {phase or 'not started'}, not Completed", hold=running)
    try:
        # When it began: what was written later is in no part of it for certain.
        taken = parse_time(str(dig(backup, "status", "startTimestamp")))
    except ValueError as exc:
        raise NotPossible(f"{ref_of(backup)} does not say when it was taken: {exc}") from None
    if view.read_at - taken > params.max_age:
        age = format_duration(view.read_at - taken)
        raise NotPossible(f"{ref_of(backup)} is {age} old, max_age is {format_duration(params.max_age)}")
    if missing := sorted(name for name in params.mapping if not _holds(backup, name)):
        raise NotPossible(f"{ref_of(backup)} does not hold namespace {missing[0]}")
    return taken


def _holds(backup: Object, namespace: str) -> bool:
    """Whether the backup was asked for this namespace; patterns and stars count as yes, Velero knows them."""
    included = dig(backup, "spec", "includedNamespaces") or ("*",)
    if namespace in (dig(backup, "spec", "excludedNamespaces") or ()):
        return False
    return namespace in included or any("*" in str(name) for name in included)


def _refuse_in_use(name: str, view: View) -> None:
    found = view.found[f"namespace {name}"]
    if found is not None and dig(found, "metadata", "deletionTimestamp"):
        raise NotPossible(f"namespace {name} is being deleted: choose a name that is free")
    for kind in _CONTENT:
        if objects := view.found[f"{kind} in {name}"]:
            raise NotPossible(
                f"namespace {name} is not empty ({ref_of(objects[0])}): map to a namespace that does not exist"
            )


def _spec(params: VeleroRestoreParams) -> dict[str, Any]:
    return {
        "backupName": params.backup,
        "includedNamespaces": sorted(params.mapping),
        "namespaceMapping": dict(params.mapping),
        "restorePVs": params.restore_volumes,
        "existingResourcePolicy": "none",
        **({"excludedResources": list(params.exclude)} if params.exclude else {}),
    }


def _notes(params: VeleroRestoreParams, backup: Object) -> tuple[str, ...]:
    notes = [
        "cannot be undone: delete the new namespaces by hand",
        "Secrets come back as they were then",
        "restored workloads start at once, and may read queues and mail that the original reads too",
    ]
    if count := int(dig(backup, "status", "warnings") or 0):
        notes.append(f"the backup was made with {count} warnings")
    if not params.exclude:
        notes.append("nothing is left out, Ingresses and CronJobs included")
    return tuple(notes)
