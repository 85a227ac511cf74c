"""`rollback`: put an older pod template back, and nothing else.

`kubectl rollout undo` also replaces annotations, which drops what was added since (GitOps tracking, markers).
ConfigMaps, replicas and database schemas do not go back: the notes say so.
"""

from __future__ import annotations

from typing import Literal

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.diff import field_lines
from remediator.actions.eviction import and_delete, blocking_pods, delete_broken
from remediator.actions.refusals import refuse_empty, refuse_on_delete, refuse_paused, refuse_unreadable
from remediator.actions.revisions import PastRevision, past_revisions
from remediator.actions.view import View
from remediator.actions.workload import (
    Workload,
    images_of,
    plain_template,
    read_workload,
    takes_by_rollout,
)
from remediator.objects import WORKLOADS, dig

TEMPLATE_PATH = ("spec", "template")


class RollbackParams(Params):
    """`last_healthy` (on record), `previous` (the newest other template), or the number of a revision."""

    to: Literal["last_healthy", "previous"] | int = "last_healthy"


class Rollback:
    """Undo puts the template of before back, compare-and-set."""

    name = "rollback"
    kinds: tuple[str, ...] = WORKLOADS
    needs = frozenset({"pods", "revisions", "pdbs"})
    disruptive = True
    through_git = True
    rights = (*(Right("patch", kind) for kind in WORKLOADS), Right("delete", "Pod"))
    params = RollbackParams

    def resolve(self, params: RollbackParams, view: View) -> RollbackParams:
        """A revision keeps its number only until the next rollout, so nothing is made absolute; the digest is."""
        return params

    def plan(self, params: RollbackParams, view: View) -> Change:
        """Allowed while a rollout is in progress: it may be the cure. Raises: NotPossible."""
        workload = read_workload(view.target)
        refuse_empty(workload)
        refuse_paused(workload)
        refuse_on_delete(workload)
        refuse_unreadable(view, "revisions", "observed")
        chosen = choose_revision(params.to, workload, view)
        stuck_on = blocking_pods(workload, view)
        patch = Patch(
            ref=view.ref,
            uid=workload.uid,
            changes=(FieldChange(path=TEMPLATE_PATH, before=dig(view.target, *TEMPLATE_PATH), after=chosen.template),),
            replace=True,
        )
        takes = takes_by_rollout(workload, view.pods)
        return Change(
            effects=(patch, *(delete_broken(view, pod) for pod in stuck_on)),
            takes=takes,
            summary=f"{_difference(workload, chosen)} (revision {chosen.number}){and_delete(stuck_on)}",
            reduces_capacity=takes > 0,
            needs_approval=_doubt(chosen),
            notes=("only the pod template goes back: ConfigMaps, replicas and schemas stay",),
        )


def choose_revision(to: str | int, workload: Workload, view: View) -> PastRevision:
    """The revision to go back to; its template always differs by more than a restart.

    `last_healthy` falls back to the newest different template that we have not rolled back from, when none is on record
    as healthy. Raises: NotPossible.
    """
    everything = past_revisions(view)
    others = [revision for revision in everything if revision.template_hash != workload.template_hash]
    if isinstance(to, int):
        return _numbered(to, everything, others, view)
    if not others:
        raise NotPossible(f"{view.ref} has no revision whose template differs by more than a restart")
    if to == "previous":
        return others[0]
    healthy = next((revision for revision in others if revision.healthy), None)
    fallback = next((revision for revision in others if not revision.known_bad), None)
    if chosen := healthy or fallback:
        return chosen
    raise NotPossible(f"every other revision of {view.ref} was rolled back from before")


def _numbered(
    number: int, everything: tuple[PastRevision, ...], others: list[PastRevision], view: View
) -> PastRevision:
    for revision in others:
        if revision.number == number:
            return revision
    if any(revision.number == number for revision in everything):
        raise NotPossible(f"revision {number} of {view.ref} has the present template, but for restarts")
    known = ", ".join(str(revision.number) for revision in everything) or "none"
    raise NotPossible(f"{view.ref} has no revision {number} (there are: {known})")


def _doubt(chosen: PastRevision) -> str:
    """Why a person must agree, whatever the mode; empty when the revision is on record as healthy."""
    if chosen.known_bad:
        return f"revision {chosen.number} was rolled back from before"
    if not chosen.healthy:
        return f"revision {chosen.number} was never seen healthy for 30 minutes"
    return ""


def _difference(workload: Workload, chosen: PastRevision) -> str:
    """`image shop/api:2 -> shop/api:1`, or what else differs when the images are the same."""
    before, after = images_of(workload.template), images_of(chosen.template)
    several = len(before) > 1
    images = [
        f"{name + ' ' if several else ''}image {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]
    if images:
        return ", ".join(images)
    plain = FieldChange(
        path=TEMPLATE_PATH, before=plain_template(workload.template), after=plain_template(chosen.template)
    )
    lines = field_lines(plain)
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    return f"same image, {', '.join(lines[:3])}{more}"
