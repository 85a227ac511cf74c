"""Whether a GitOps controller has taken back what was changed. Pure.

That is no failure of the change: its owner has undone it, and nothing of it is left to be undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediator.actions.change import FieldChange, Patch
from remediator.actions.owners import GITOPS_MANAGERS, managers_of
from remediator.actions.paths import value_at
from remediator.actions.render import brief
from remediator.gitops.leaves import leaves
from remediator.objects import Object, ObjectRef, uid_of

TAKEN_BACK = "taken_back"
"""Among the facts of a sample."""
KEPT = "kept"
"""The check that says so in a verdict."""
CONTROLLERS = {"argocd": "Argo CD", "kustomize": "Flux", "helm": "Flux"}


def taken_back(inverses: Sequence[Patch], objects: Mapping[ObjectRef, Object]) -> str:
    """What was taken back and by whom, for people; empty = nothing, as far as the objects tell.

    `inverses` are the undos of what was done: `before` in them is what we left. A field counts when it holds something
    else now and the newest to have set it is a GitOps controller; a person's change is a person's.
    """
    for patch in inverses:
        obj = objects.get(patch.ref)
        if obj is None or uid_of(obj) != patch.uid:
            continue
        for change in patch.changes:
            if said := _field(patch, change, obj):
                return said
    return ""


def _field(patch: Patch, change: FieldChange, obj: Object) -> str:
    for leaf in leaves(change):
        now = value_at(obj, leaf.path)
        newest = next(iter(managers_of(obj, leaf.path)), None)
        if now == leaf.before or newest is None or newest.name not in GITOPS_MANAGERS:
            continue
        who = CONTROLLERS[newest.name.partition("-")[0]]
        return (
            f"{who} ({newest.name}) has set {leaf} of {patch.ref} to {brief(now)}, we left it at {brief(leaf.before)}"
        )
    return ""
