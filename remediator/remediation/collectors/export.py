"""`export_objects`: objects as they are now, as YAML, to compare with or to make again by hand. Never a Secret.

Values of variables and ConfigMaps may be secrets whatever they are called, so they stay away unless they are asked for,
and what is named like a secret stays away even then. An object is there whole or not at all: half of one restores
nothing. What the API server writes (status, uid, managers) is left out.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field

from remediator.objects import WORKLOADS, Object, annotations_of, dig, kind_of, labels_of, ref_of
from remediator.playbooks.fields import Flag, complaint
from remediator.playbooks.problems import did_you_mean
from remediator.redact import MARK, redact
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors.base import MAX_TEXT, CollectorKind, Evidence
from remediator.remediation.collectors.reading import ScopedArgs, count, namespaces_of, place_of, read, where

NAME = "export_objects"

EXPORTED = (
    *WORKLOADS,
    *("Service", "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget", "CronJob", "ConfigMap"),
    "PersistentVolumeClaim",
)
"""Kinds whose specs are known to hold no secrets but in the places that are cleared here."""

ROOM = MAX_TEXT - 1500
"""Characters of YAML; the rest of a piece names what is not there."""

NOT_EXPORTED = "(not exported)"

_NOISE = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"})
_NOISY_ANNOTATIONS = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"}
)
"""The first is a second copy of the object, values and all."""


def _known(kind: str) -> str:
    if kind == "Secret":
        raise complaint("Secrets are never exported", "They come back from a backup or from the vault.")
    if kind not in EXPORTED:
        raise complaint(f"{kind!r:.60} is not exported", did_you_mean(kind, EXPORTED))
    return kind


class ExportArgs(ScopedArgs):
    """`kinds` by default all that can be. `labels`: a selector. `values`: also the values of ConfigMaps and variables,
    without those that are named like secrets."""

    kinds: tuple[Annotated[str, AfterValidator(_known)], ...] = Field(EXPORTED, min_length=1)
    labels: Annotated[str, Field(max_length=500)] = ""
    values: Flag = False


async def collect(args: ExportArgs, context: CheckContext) -> Evidence:
    """In the order of kinds and names, as far as there is room; what is left out is named."""
    spaces, kinds = namespaces_of(args, context), tuple(dict.fromkeys(args.kinds))
    parts = await asyncio.gather(*(read(context, kind, spaces, labels=args.labels) for kind in kinds))
    found = [obj for part in parts for obj in sorted(part.items, key=where)]
    mine = [obj for obj in found if _is_ours_to_write(obj)]
    documents, left = _fitting(mine, values=args.values)
    problems = [part.problem for part in parts if part.problem]
    unread = [part.unread for part in parts if part.unread]
    names = f"\n# without room: {', '.join(left)}"[:1000] if left else ""
    said = "".join(f"# {one_line(problem, 150)}\n" for problem in problems)
    text = said + "---\n".join(documents) + names
    summary = f"{len(documents)} of {count(len(mine), 'object')} exported"
    return Evidence(
        kind=NAME,
        title=f"objects {place_of(spaces)}",
        text=text or "nothing found",
        data={"objects": [f"{kind_of(obj)}/{where(obj)}" for obj in mine[:100]], "left_out": len(left)},
        taken_at=context.now,
        truncated=bool(left),
        error=one_line("; ".join(unread)),
        summary="not available" if unread and len(unread) == len(parts) else summary,
        private=True,
    )


def _is_ours_to_write(obj: Object) -> bool:
    """Not what programs keep in ConfigMaps: the certificates of every namespace, and helm's releases with values."""
    written_by_programs = ref_of(obj).name == "kube-root-ca.crt" or labels_of(obj).get("owner") == "helm"
    return not (kind_of(obj) == "ConfigMap" and written_by_programs)


def _fitting(objects: Sequence[Object], *, values: bool) -> tuple[list[str], list[str]]:
    """The documents that there is room for, and the names of the others."""
    documents: list[str] = []
    left: list[str] = []
    room = ROOM
    for obj in objects:
        text = yaml.safe_dump(cleared(obj, values=values), sort_keys=False, allow_unicode=True, width=1000)
        if len(text) + 4 <= room:
            documents.append(text)
            room -= len(text) + 4
        else:
            left.append(f"{kind_of(obj)}/{where(obj)}")
    return documents, left


def cleared(obj: Object, *, values: bool) -> dict[str, Any]:
    """What a person would write to make it, in the usual order. Pure."""
    meta = {key: value for key, value in obj["metadata"].items() if key not in _NOISE and key != "annotations"}
    kept = {key: text for key, text in annotations_of(obj).items() if key not in _NOISY_ANNOTATIONS}
    if not labels_of(obj):
        meta.pop("labels", None)
    if kept:
        meta["annotations"] = _written(kept, values=values)
    made: dict[str, Any] = {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": meta}
    for key in ("data", "binaryData"):
        if key in obj:
            made[key] = {name: _value(str(name), text, values and key == "data") for name, text in obj[key].items()}
    if "spec" in obj:
        made["spec"] = _written(obj["spec"], values=values)
    return made


def _value(name: str, text: Any, shown: bool) -> str:
    """The value, or only enough to see whether it has changed."""
    value = str(text)
    if shown and not _hidden(name, value):
        return value
    return f"{NOT_EXPORTED[:-1]}, {len(value)} characters, {hashlib.sha256(value.encode()).hexdigest()[:8]})"


def _written(value: Any, *, values: bool, key: str = "", before: object = "") -> Any:
    """The same without what may be a secret, at any depth: pods have containers of three kinds, and CronJobs have pods
    further down. Leaf by leaf, so that it stays YAML. `before` is the item before it in a list: `--token`, `x`."""
    match value:
        case Mapping():
            return {
                name: _variables(item, values) if name == "env" else _written(item, values=values, key=str(name))
                for name, item in value.items()
            }
        case list() | tuple():
            return [_written(item, values=values, before=last) for last, item in zip(("", *value), value, strict=False)]
        case str() if _hidden(key, value) or _follows_flag(before, value):
            return MARK
        case str():
            return redact(value)
        case _:
            return value


def _hidden(name: str, value: str) -> bool:
    return redact(f"{name}={value}") != f"{name}={value}"


def _follows_flag(before: object, value: str) -> bool:
    text = f" {before} {value}"
    return isinstance(before, str) and before.startswith("-") and redact(text) != text


def _variables(env: Any, values: bool) -> Any:
    if not isinstance(env, list | tuple):
        return NOT_EXPORTED
    return [_variable(one, values) if isinstance(one, Mapping) else NOT_EXPORTED for one in env]


def _variable(one: Mapping[str, Any], values: bool) -> dict[str, Any]:
    if "value" not in one:
        return dict(one)  # a reference: names only
    shown = _value(str(dig(one, "name", default="")), one["value"], values)
    return {**one, "value": shown if shown == one["value"] else NOT_EXPORTED}


KIND = CollectorKind(NAME, ExportArgs, collect)
