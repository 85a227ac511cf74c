"""`rollout_undo`: put the pod template of the stable version, or of a revision, back into an Argo Rollout.

After an abort the spec is still the new version; only this makes the Rollout healthy again without a new release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.eviction import selector_text
from remediator.actions.view import ListOf, View, Wanted
from remediator.actions.workload import images_of, plain_template
from remediator.actions.workloads.looking import listed, refuse_leaving
from remediator.actions.workloads.rollback import TEMPLATE_PATH
from remediator.actions.workloads.rollouts import ROLLOUT
from remediator.objects import Object, annotations_of, controller_of, dig, labels_of, ref_of, uid_of

HASH_LABEL = "rollouts-pod-template-hash"
REVISION = "rollout.argoproj.io/revision"


class RolloutUndoParams(Params):
    """`stable` (the version that the traffic is on, or goes back to), or the number of a revision."""

    to: Literal["stable"] | int = "stable"


class RolloutUndo:
    """Undo puts the template of before back, compare-and-set."""

    name = "rollout_undo"
    kinds: tuple[str, ...] = (ROLLOUT,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    through_git = True
    rights = (Right("patch", ROLLOUT), Right("list", "ReplicaSet"))
    params = RolloutUndoParams

    def wants(self, params: RolloutUndoParams, view: View) -> Mapping[str, Wanted]:
        labels = selector_text(view.target)
        return {"replicasets": ListOf(kind="ReplicaSet", namespace=view.ref.namespace, labels=labels)}

    def resolve(self, params: RolloutUndoParams, view: View) -> RolloutUndoParams:
        return params

    def plan(self, params: RolloutUndoParams, view: View) -> Change:
        """Raises: NotPossible when there is no such revision, or its template is the present one."""
        refuse_leaving(view)
        if dig(view.target, "spec", "workloadRef"):
            raise NotPossible(f"{view.ref} takes its template from another workload (workloadRef): roll that back")
        if dig(view.target, "spec", "paused"):
            raise NotPossible(f"{view.ref} is paused (spec.paused): somebody has to resume it")
        chosen = _chosen(params.to, view)
        before, after = dig(view.target, *TEMPLATE_PATH) or {}, _template(chosen)
        if plain_template(before) == plain_template(after):
            raise NotPossible(f"{view.ref} has the template of {ref_of(chosen)} already")
        patch = Patch(
            ref=view.ref,
            uid=uid_of(view.target),
            changes=(FieldChange(path=TEMPLATE_PATH, before=before, after=after),),
            replace=True,
        )
        stable = _is_stable(chosen, view)
        return Change(
            effects=(patch,),
            summary=f"{_difference(before, after)} (revision {_number(chosen)}{', stable' if stable else ''})",
            needs_approval="" if stable else f"revision {_number(chosen)} is not the stable one: it is rolled out anew",
            notes=("only the pod template goes back: ConfigMaps, replicas and schemas stay",),
        )


def _chosen(to: str | int, view: View) -> Object:
    own = uid_of(view.target)
    mine = [rs for rs in listed(view, "replicasets") if (controller_of(rs) or {}).get("uid") == own]
    found = [rs for rs in mine if (_is_stable(rs, view) if to == "stable" else _number(rs) == to)]
    if len(found) == 1 and _template(found[0]):
        return found[0]
    known = ", ".join(str(n) for n in sorted(_number(rs) for rs in mine)) or "none"
    what = "ReplicaSet of its stable version" if to == "stable" else f"revision {to}"
    raise NotPossible(f"{view.ref} has no {what} (revisions: {known})")


def _is_stable(replicaset: Object, view: View) -> bool:
    stable = dig(view.target, "status", "stableRS")
    return bool(stable) and labels_of(replicaset).get(HASH_LABEL) == stable


def _number(replicaset: Object) -> int:
    text = annotations_of(replicaset).get(REVISION, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _template(replicaset: Object) -> dict[str, Any]:
    template = dict(dig(replicaset, *TEMPLATE_PATH) or {})
    meta = dict(template.get("metadata") or {})
    if "labels" in meta:
        meta["labels"] = {k: v for k, v in meta["labels"].items() if k != HASH_LABEL}
    return {**template, "metadata": meta} if template else {}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    old, new = images_of(before), images_of(after)
    images = [
        f"{n}: image {old.get(n, 'absent')} -> {new.get(n, 'absent')}"
        for n in {**old, **new}
        if old.get(n) != new.get(n)
    ]
    return ", ".join(images) or "same images, another template"
