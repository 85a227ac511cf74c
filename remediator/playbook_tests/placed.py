"""Objects of the cluster as they are written: named, in a short form, or as a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from remediator.kinds import kind_name
from remediator.objects import KINDS, ObjectRef
from remediator.playbook_tests.written import Written, exactly_one
from remediator.playbooks.fields import complaint

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Copies = Annotated[int, Field(strict=True, ge=0, le=200)]


def parse_object(value: Any) -> ObjectRef:
    """`Deployment shop/api`, `Node node-1`, `Backup.velero.io velero/nightly`. Raises: a complaint."""
    if isinstance(value, ObjectRef):
        return value
    kind, _, name = value.partition(" ") if isinstance(value, str) else ("", "", "")
    namespace, slash, own = name.rpartition("/")
    if kind not in KINDS or not own or bool(slash) != KINDS[kind].namespaced:
        hint = 'Write kind, namespace and name: "Deployment shop/api", "Node node-1".'
        raise complaint(f"{value!r:.80} names no object", hint)
    return ObjectRef(kind, namespace, own)


def _place(value: Any) -> str:
    if not isinstance(value, str) or len(value.split("/")) != 2 or not all(value.split("/")):
        raise complaint(f"{value!r:.80} is no namespace and name", "Write it like shop/api.")
    return value


_TEXT = {"type": "string"}
Ref = Annotated[
    ObjectRef, BeforeValidator(parse_object), WithJsonSchema({**_TEXT, "description": "Deployment shop/api"})
]
Place = Annotated[str, BeforeValidator(_place), WithJsonSchema({**_TEXT, "description": "NAMESPACE/NAME"})]
Manifest = Mapping[str, Any]

OWN_STATUS = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "HorizontalPodAutoscaler"})
"""The simulation keeps it itself, so a status that somebody else writes is gone a moment later."""

_WORKLOAD = frozenset({"image", "replicas", "labels", "annotations"})
PLACED = {
    "deployment": _WORKLOAD,
    "statefulset": _WORKLOAD,
    "daemonset": _WORKLOAD - {"replicas"},
    "hpa": frozenset({"of", "min", "max", "wants"}),
    "pdb": frozenset({"of", "min_available", "max_unavailable"}),
    "namespace": frozenset({"labels", "annotations"}),
    "node": frozenset({"zone", "labels"}),
    "manifest": frozenset[str](),
}


def manifest_kind(manifest: Manifest) -> str:
    """The name that we know its kind by. The kind is written as in any manifest, or as that name alone."""
    kind = str(manifest.get("kind", ""))
    return kind if kind in KINDS and "." in kind else kind_name(str(manifest.get("apiVersion", "")), kind)


def _check_manifest(manifest: Manifest) -> None:
    """Raises: a complaint."""
    name = manifest_kind(manifest)
    meta = manifest.get("metadata")
    if name not in KINDS or not isinstance(meta, Mapping) or not meta.get("name"):
        hint = 'Write apiVersion and kind, or "kind: Backup.velero.io".'
        raise complaint(
            f"a manifest needs a kind that is known and a name, got {name!r:.60}", f"{hint} Known: {', '.join(KINDS)}."
        )
    known = KINDS[name].api_version
    if manifest.get("apiVersion", known) != known:
        raise complaint(f"apiVersion {manifest['apiVersion']!r:.60} is not that of {name}", f"Write {known}.")
    if "status" in manifest and name in OWN_STATUS:
        raise complaint(
            f"the status of a {name} is the simulation's own",
            "Leave it out, and say with `pods` how its pods behave.",
        )


class Placed(Written):
    """One object, in short or as a manifest, which may have a status and say when it was made. `of` is the workload of
    an autoscaler or budget, its namesake if not given; `replicas` 3 if not given."""

    deployment: Place = ""
    statefulset: Place = ""
    daemonset: Place = ""
    hpa: Place = ""
    pdb: Place = ""
    namespace: Name = ""
    node: Name = ""
    manifest: Manifest = Field(default_factory=dict)
    image: Name = "registry.example.com/app:1.0.0"
    replicas: Copies = 3
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    of: Ref | None = None
    min: Copies = 1
    max: Copies = 10
    wants: Copies | None = None
    """What the load asks for, whatever the bounds."""
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    zone: str = ""

    @model_validator(mode="after")
    def _one(self) -> Placed:
        exactly_one(self, PLACED)
        if self.manifest:
            _check_manifest(self.manifest)
        return self

    @property
    def kind(self) -> str:
        return exactly_one(self, PLACED)
