"""`rollout_history` and `config_refs`: what changed, by names and times. Never a value of a variable or a key.

A Secret is only named: reading one to learn its age would mean to hold what is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.revisions import PastRevision, past_revisions
from remediator.actions.view import View
from remediator.actions.workload import images_of
from remediator.errors import Forbidden, NotFound, ReadError
from remediator.objects import WORKLOADS, Object, ObjectRef, dig, ref_of
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence, target_objects
from remediator.remediation.collectors.reading import Part, age, count, hand_over, read, time_of

HISTORY, REFS = "rollout_history", "config_refs"
MOST_REFS = 30


class HistoryArgs(CollectArgs):
    """`limit`: how many revisions of each target, the newest."""

    limit: Annotated[int, Field(ge=1, le=20)] = 5


class RefsArgs(CollectArgs):
    """No arguments."""


async def history(args: HistoryArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown (no workload), ReadError."""
    targets = _workloads(await target_objects(context))
    found = await asyncio.gather(*(_revisions(context, obj) for obj in targets))
    lines: list[str] = []
    rows: list[dict[str, Any]] = []
    for obj, (part, revisions, born) in zip(targets, found, strict=True):
        lines.append(f"{ref_of(obj)}: {count(len(revisions), 'revision')}" if not part.problem else str(ref_of(obj)))
        told = [_revision(one, revisions[at + 1 :], born, context) for at, one in enumerate(revisions)]
        rows += [{"workload": str(ref_of(obj)), **row} for row in told[: args.limit]]
        lines += [_line(row) for row in told[: args.limit]]
    newest = [f"revision {row['revision']} {row['age']} old" for row in rows if row["newest"]]
    return hand_over(
        HISTORY,
        context,
        title=f"rollout history of {', '.join(str(ref_of(o)) for o in targets)}",
        lines=lines,
        summary=", ".join(newest[:3]) or "no revisions",
        parts=[part for part, _, _ in found],
        rows=rows,
        private=True,
    )


def _workloads(objects: Sequence[Object]) -> list[Object]:
    """Raises: Unknown where nothing has a pod template."""
    found = [obj for obj in objects if obj.get("kind") in WORKLOADS]
    if not found:
        raise Unknown(f"the target is no {', '.join(WORKLOADS[:-1])} or {WORKLOADS[-1]}")
    return found


async def _revisions(context: CheckContext, obj: Object) -> tuple[Part, tuple[PastRevision, ...], dict[int, str]]:
    """Its revisions, newest first, and when each was made."""
    ref = ref_of(obj)
    part = await read(context, "ReplicaSet" if ref.kind == "Deployment" else "ControllerRevision", (ref.namespace,))
    born: dict[int, str] = {}
    found: list[PastRevision] = []
    for one in part.items:
        view = View(target=obj, ref=ref, root=ref, read_at=context.now, revisions=(one,))
        for revision in past_revisions(view):
            born[revision.number] = str(dig(one, "metadata", "creationTimestamp", default=""))
            found.append(revision)
    return part, tuple(sorted(found, key=lambda r: r.number, reverse=True)), born


def _revision(
    one: PastRevision, older: Sequence[PastRevision], born: Mapping[int, str], context: CheckContext
) -> dict[str, Any]:
    return {
        "revision": one.number,
        "age": age(context.now, born.get(one.number)),
        "images": {name: one_line(image, 200) for name, image in images_of(one.template).items()},
        "changed": changes(older[0].template, one.template) if older else [],
        "newest": one.number == max(born),
    }


def _line(row: Mapping[str, Any]) -> str:
    images = ", ".join(row["images"].values()) or "no image"
    changed = f"; changed: {', '.join(row['changed'])}" if row["changed"] else ""
    return f"  revision {row['revision']}, {row['age']} ago: {images}{changed}"


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two pod templates, by name: images, variables, references, resources, probes."""
    old, new = dict(_named(before)), dict(_named(after))
    found = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return found[:20]


def _named(template: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parts of a template that people ask about, each under a name without its value."""
    spec = dig(template, "spec") or {}
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        at = one_line(str(container.get("name", "")), 63)
        yield f"image of {at}", container.get("image")
        for key in ("command", "args", "resources", "livenessProbe", "readinessProbe", "startupProbe"):
            yield f"{key} of {at}", container.get(key)
        for variable in container.get("env") or ():
            yield f"env {one_line(str(variable.get('name', '')), 100)} of {at}", variable
    for ref in refs_of(template):
        yield str(ref), True
    yield "serviceAccountName", spec.get("serviceAccountName")


# --- references


@dataclass(frozen=True, slots=True, order=True)
class ConfigRef:
    """A ConfigMap or Secret that a template names."""

    kind: str
    name: str
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {one_line(self.name, 253)}"


def refs_of(template: Mapping[str, Any]) -> list[ConfigRef]:
    """Every ConfigMap and Secret in a pod template: env, envFrom, volumes, pull secrets."""
    spec, found = dig(template, "spec") or {}, set[ConfigRef]()
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            _add(found, "ConfigMap", source.get("configMapKeyRef"))
            _add(found, "Secret", source.get("secretKeyRef"))
        for source in container.get("envFrom") or ():
            _add(found, "ConfigMap", source.get("configMapRef"))
            _add(found, "Secret", source.get("secretRef"))
    for volume in spec.get("volumes") or ():
        sources = [volume, *(dig(volume, "projected", "sources") or ())]
        for source in sources:
            _add(found, "ConfigMap", source.get("configMap"))
            _add(found, "Secret", source.get("secret"), key="secretName" if source is volume else "name")
    for secret in spec.get("imagePullSecrets") or ():
        _add(found, "Secret", secret)
    return sorted(found)


def _add(found: set[ConfigRef], kind: str, source: Any, *, key: str = "name") -> None:
    if isinstance(source, Mapping) and source.get(key):
        found.add(ConfigRef(kind, str(source[key]), bool(source.get("optional"))))


async def config_refs(args: RefsArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown (no workload), ReadError."""
    targets = _workloads(await target_objects(context))
    wanted = [(ref_of(obj).namespace, ref) for obj in targets for ref in refs_of(dig(obj, "spec", "template") or {})]
    asked = await asyncio.gather(*(_look(context, space, ref) for space, ref in wanted[:MOST_REFS]))
    rows = [row for row, _ in asked]
    problems = sorted({problem for _, problem in asked if problem})
    missing = sum(1 for row in rows if row["state"] == "missing")
    lines = [f"{row['ref']}: {row['told']}" for row in rows]
    if len(wanted) > MOST_REFS:
        lines.append(f"and {len(wanted) - MOST_REFS} more")
    secrets = sum(1 for row in rows if row["state"] == "not read")
    return hand_over(
        REFS,
        context,
        title=f"configuration of {', '.join(str(ref_of(o)) for o in targets)}",
        lines=lines,
        summary=f"{count(len(rows), 'reference')}, {missing} missing, {count(secrets, 'Secret')} not read",
        problems=problems,
        rows=rows,
    )


async def _look(context: CheckContext, namespace: str, ref: ConfigRef) -> tuple[dict[str, Any], str]:
    """One reference, and why it could not be read."""
    row: dict[str, Any] = {"ref": str(ref), "state": "there", "told": ""}
    if ref.kind == "Secret":
        return row | {"state": "not read", "told": "named only, Secrets are never read"}, ""
    try:
        obj = await context.cluster.get(ObjectRef("ConfigMap", namespace, ref.name))
    except NotFound:
        needed = "missing, and optional" if ref.optional else "missing: its pods cannot start"
        return row | {"state": "optional" if ref.optional else "missing", "told": needed}, ""
    except Forbidden:
        return row | {
            "state": "unknown",
            "told": "not known",
        }, "ConfigMap: could not be read, we may not get configmaps"
    except ReadError as exc:
        return row | {
            "state": "unknown",
            "told": "not known",
        }, f"ConfigMap: could not be read, {one_line(str(exc), 150)}"
    changed, by = last_change(obj)
    keys = len(dig(obj, "data") or {}) + len(dig(obj, "binaryData") or {})
    told = f"{count(keys, 'key')}, last changed {age(context.now, changed)} ago" + (f" by {by}" if by else "")
    return row | {"told": told, "changed_at": changed}, ""


def last_change(obj: Object) -> tuple[str, str]:
    """When it was last written, and by which program, from its managedFields; else its creation."""
    entries = [e for e in dig(obj, "metadata", "managedFields") or () if time_of(e.get("time")) is not None]
    if not entries:
        return str(dig(obj, "metadata", "creationTimestamp", default="")), ""
    newest = max(entries, key=lambda entry: str(entry["time"]))
    return str(newest["time"]), one_line(str(newest.get("manager") or ""), 60)


KINDS_OF_EVIDENCE = (
    CollectorKind(HISTORY, HistoryArgs, history),
    CollectorKind(REFS, RefsArgs, config_refs),
)
