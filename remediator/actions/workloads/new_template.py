"""A change inside the pod template: what every action has to look at that starts a rollout. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from remediator.actions.change import Change, Direction, FieldChange, NotPossible, Patch
from remediator.actions.eviction import and_delete, blocking_pods, delete_broken
from remediator.actions.owners import operator_of
from remediator.actions.refusals import refuse_on_delete, refuse_paused, refuse_unreadable
from remediator.actions.revisions import pushes_out
from remediator.actions.view import View
from remediator.actions.workload import Workload, takes_by_rollout, template_hash
from remediator.actions.workloads.looking import one_of, refuse_leaving
from remediator.objects import ObjectRef, dig, uid_of

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""Names of containers, as the API server takes them."""

POD_SPEC = ("spec", "template", "spec")
GROUPS = ("containers", "initContainers")


def find_container(pod_spec: Mapping[str, Any], name: str, ref: ObjectRef) -> tuple[str, Mapping[str, Any]]:
    """The list that holds the container, and the container.

    A patch with a wrong name would ADD a container, so it has to be there. Raises: NotPossible.
    """
    for group in GROUPS:
        for container in pod_spec.get(group) or ():
            if container.get("name") == name:
                return group, container
    known = one_of(str(c.get("name", "")) for group in GROUPS for c in pod_spec.get(group) or ())
    raise NotPossible(f"{ref} has no container {name} (there are: {known}): correct `container`")


def refuse_no_rollout(view: View, workload: Workload) -> None:
    """Raises: NotPossible where a new template would not roll out, or would be taken back."""
    refuse_leaving(view)
    if owner := operator_of(view.target):
        raise NotPossible(f"{owner} makes the template of {view.ref}: change it there", guardrail="ownership")
    refuse_paused(workload)
    refuse_on_delete(workload)
    refuse_unreadable(view, "revisions", "observed")
    if lost := pushes_out(workload, view):
        raise NotPossible(f"{lost}; raise revisionHistoryLimit first", guardrail="last_good_revision")


def by_new_template(
    view: View,
    workload: Workload,
    changes: tuple[FieldChange, ...],
    *,
    summary: str,
    direction: Direction = "",
    notes: tuple[str, ...] = (),
    needs_approval: str = "",
) -> Change:
    """One patch of fields inside the template, and the broken pod that a StatefulSet would wait for.

    Raises: NotPossible, see `refuse_no_rollout`.
    """
    refuse_no_rollout(view, workload)
    stuck_on = blocking_pods(workload, view)
    patch = Patch(ref=view.ref, uid=uid_of(view.target), changes=changes)
    takes = takes_by_rollout(workload, view.pods)
    return Change(
        effects=(patch, *(delete_broken(view, pod) for pod in stuck_on)),
        takes=takes,
        summary=summary + and_delete(stuck_on),
        direction=direction,
        reduces_capacity=takes > 0,
        needs_approval=needs_approval or known_bad(view, changed_template(view, changes)),
        notes=notes,
    )


def changed_template(view: View, changes: tuple[FieldChange, ...]) -> dict[str, Any]:
    """The pod template as these changes would leave it."""
    target = {"spec": {"template": copy.deepcopy(dig(view.target, "spec", "template"))}}
    for change in changes:
        node: Any = target
        for part in change.path[:-1]:
            node = _step(node, part)
        node[change.path[-1]] = change.after
    template: dict[str, Any] = target["spec"]["template"]
    return template


def known_bad(view: View, template: Mapping[str, Any]) -> str:
    """Why a person must agree to this template; empty unless we have rolled back from just that one."""
    wanted = template_hash(template)
    if any(row.known_bad and row.template_hash == wanted for row in view.observed):
        return f"{view.ref} had just this template before, and it was rolled back"
    return ""


def _step(node: Any, part: str) -> Any:
    if part.startswith("[name="):
        return next(item for item in node if item.get("name") == part[len("[name=") : -1])
    return node.setdefault(part, {})
