"""What new requests and limits mean for a container: the fields that change, and what must not. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from remediator.actions.change import Change, Direction, FieldChange, NotPossible, Patch
from remediator.actions.pods import name_of, pod_has_finished, pod_is_leaving
from remediator.actions.view import View
from remediator.actions.workloads.looking import count, refuse_leaving
from remediator.actions.workloads.new_template import find_container
from remediator.actions.workloads.quantities import RESOURCES, exact, qos_of
from remediator.objects import Object, ObjectRef, annotations_of, dig, ref_of, uid_of

Wish = Mapping[str, Mapping[str, str]]
"""`{"limits": {"memory": "2Gi"}}`."""

PARTS = ("requests", "limits")
VPA_ANNOTATIONS = ("vpaUpdates", "vpaObservedContainers")
"""What a VerticalPodAutoscaler leaves on the pods that it sizes."""


def changes_for(container: Mapping[str, Any], path: tuple[str, ...], wish: Wish) -> tuple[FieldChange, ...]:
    """One change per amount that differs; `1` and `1000m` do not. Raises: NotPossible for what cannot be read."""
    found = []
    for part in PARTS:
        for resource, after in wish.get(part, {}).items():
            before = dig(container, "resources", part, resource)
            if before is None or _read(before) != exact(after):
                found.append(FieldChange(path=(*path, "resources", part, resource), before=before, after=after))
    return tuple(found)


def refuse_unsound(ref: ObjectRef, pod_spec: Mapping[str, Any], name: str, wish: Wish) -> None:
    """Raises: NotPossible when a limit would be below its request, or the pod would get another QoS class."""
    if pod_spec.get("resources"):
        raise NotPossible(f"{ref} sets resources for the whole pod (spec.resources): those decide, not the container's")
    after = with_wish(pod_spec, name, wish)
    _, container = find_container(after, name, ref)
    for resource in RESOURCES:
        request, limit = (dig(container, "resources", part, resource) for part in PARTS)
        if request is not None and limit is not None and _read(limit) < _read(request):
            raise NotPossible(f"container {name} of {ref}: limit {resource} {limit} would be below request {request}")
    try:
        before_class, after_class = qos_of(pod_spec), qos_of(after)
    except ValueError as exc:
        raise NotPossible(f"the resources of {ref} cannot be read: {exc}") from None
    if before_class != after_class:
        raise NotPossible(
            f"{ref} would go from QoS class {before_class} to {after_class}, which changes who is killed first: "
            "change requests and limits together"
        )


def with_wish(pod_spec: Mapping[str, Any], name: str, wish: Wish) -> dict[str, Any]:
    """The pod spec as it would be."""
    after: dict[str, Any] = copy.deepcopy(dict(pod_spec))
    for group in ("containers", "initContainers"):
        for container in after.get(group) or ():
            if container.get("name") == name:
                resources = container["resources"] = dict(container.get("resources") or {})
                for part, amounts in wish.items():
                    resources[part] = {**(resources.get(part) or {}), **amounts}
    return after


def direction_of(changes: Sequence[FieldChange]) -> Direction:
    """`up` or `down` when all amounts go the same way."""
    ways = {c.before is None or _read(c.before) < exact(c.after) for c in changes}
    return "" if len(ways) != 1 else "up" if ways.pop() else "down"


def summary_of(changes: Sequence[FieldChange]) -> str:
    """`requests cpu 500m -> 1, limits cpu 1 -> 2`."""
    return ", ".join(f"{c.path[-2]} {c.path[-1]} {c.before or 'absent'} -> {c.after}" for c in changes)


def refuse_autoscaled_vertically(view: View) -> None:
    for pod in view.pods:
        if any(key in annotations_of(pod) for key in VPA_ANNOTATIONS):
            raise NotPossible(
                f"a VerticalPodAutoscaler decides about the resources of {view.ref}: change its bounds",
                guardrail="ownership",
            )


def pods_to_resize(view: View, most: int) -> tuple[Object, ...]:
    """The running pods, by name. Raises: NotPossible when there are none, or more than `most`."""
    refuse_leaving(view)
    pods = [pod for pod in view.pods if not pod_is_leaving(pod) and not pod_has_finished(pod)]
    if not pods:
        raise NotPossible(f"{view.ref} has no running pod to resize")
    if len(pods) > most:
        raise NotPossible(f"{view.ref} has {len(pods)} pods, max_pods is {most}: use `where: template`")
    return tuple(sorted(pods, key=name_of))


def resize(view: View, pods: Sequence[Object], name: str, wish: Wish) -> Change:
    """One patch of the `resize` subresource for each pod that differs. Raises: NotPossible."""
    patches = [patch for pod in pods if (patch := _resize_one(pod, name, wish)) is not None]
    if not patches:
        raise NotPossible(f"container {name} of all pods of {view.ref} has these resources already")
    first = patches[0].changes
    return Change(
        effects=tuple(patches),
        summary=f"resize {count(len(patches), 'pod')} in place, {name}: {summary_of(first)}",
        direction=direction_of(first),
        notes=(
            "lasts as long as these pods: the template keeps its own amounts",
            "a node without room defers a resize, or refuses it",
        ),
    )


def _resize_one(pod: Object, name: str, wish: Wish) -> Patch | None:
    ref, spec = ref_of(pod), pod["spec"]
    group, container = find_container(spec, name, ref)
    if group == "initContainers":
        raise NotPossible(f"container {name} of {ref} is an init container, which is not resized in place")
    changes = changes_for(container, ("spec", group, f"[name={name}]"), wish)
    if not changes:
        return None
    refuse_unsound(ref, spec, name, wish)
    if not _node_resizes(pod):
        raise NotPossible(f"the node of {ref} cannot resize pods in place: use `where: template`")
    restarting = {
        policy.get("resourceName")
        for policy in container.get("resizePolicy") or ()
        if policy.get("restartPolicy") == "RestartContainer"
    }
    for change in changes:
        if change.path[-1] in restarting:
            raise NotPossible(
                f"container {name} of {ref} restarts when its {change.path[-1]} is resized: "
                "use `where: template`, which keeps enough copies"
            )
        if change.path[-2:] == ("limits", "memory") and change.before and _read(change.before) > exact(change.after):
            raise NotPossible(f"the memory limit of {ref} cannot be lowered while it runs: use `where: template`")
    grown = any(change.path[-2:] == ("limits", "memory") for change in changes)
    return Patch(ref=ref, uid=uid_of(pod), changes=changes, subresource="resize", undoable=not grown)


def _node_resizes(pod: Object) -> bool:
    """As the API server sees it: a kubelet that can resize reports what each running container has got."""
    running = [c for c in dig(pod, "status", "containerStatuses") or () if dig(c, "state", "running") is not None]
    return not running or running[0].get("resources") is not None


def _read(value: object) -> Any:
    try:
        return exact(value)
    except ValueError as exc:
        raise NotPossible(f"the present resources cannot be read: {exc}") from None
