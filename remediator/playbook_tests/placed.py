"""Objects of the cluster as they are written: named, in a short form, or as a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from remediator.objects import KINDS, ObjectRef
from remediator.playbook_tests.written import Written, exactly_one
from remediator.playbooks.fields import complaint

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Copies = Annotated[int, Field(strict=True, ge=0, le=200)]


def _object(value: Any) -> ObjectRef:
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
Ref = Annotated[ObjectRef, BeforeValidator(_object), WithJsonSchema({**_TEXT, "description": "Deployment shop/api"})]
Place = Annotated[str, BeforeValidator(_place), WithJsonSchema({**_TEXT, "description": "NAMESPACE/NAME"})]
Manifest = Mapping[str, Any]


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


class Placed(Written):
    """One object, in short or as a manifest. `of` is the workload of an autoscaler or budget, its namesake if not
    given; `replicas` 3 if not given."""

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
        if self.manifest and (self.manifest.get("kind") not in KINDS or not self.manifest.get("metadata")):
            raise complaint("a manifest needs kind and metadata of a known kind", f"Known: {', '.join(KINDS)}.")
        return self

    @property
    def kind(self) -> str:
        return exactly_one(self, PLACED)
