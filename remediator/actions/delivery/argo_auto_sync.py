"""`argocd_suspend` and `argocd_resume`: whether Argo CD deploys by itself."""

from __future__ import annotations

from typing import Any

from remediator.actions.base import Params
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.argo import (
    APPLICATION,
    AUTOMATED_PATH,
    RECORD_PATH,
    auto_sync_off,
    auto_syncs,
    recorded,
    refuse_owned_spec,
    spec_owner,
)
from remediator.actions.delivery.standing import refuse_wrong
from remediator.actions.view import View
from remediator.objects import dig, uid_of

_DEPLOYS = "what is new in Git since then is deployed at once"


class ArgoSuspendParams(Params):
    """None."""


class ArgoSuspend:
    """Undo puts the recorded setting back."""

    name = "argocd_suspend"
    kinds: tuple[str, ...] = (APPLICATION,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = ArgoSuspendParams

    def resolve(self, params: ArgoSuspendParams, view: View) -> ArgoSuspendParams:
        return params

    def plan(self, params: ArgoSuspendParams, view: View) -> Change:
        """Raises: NotPossible when it is off, or somebody else writes the spec."""
        refuse_wrong(view, self.kinds)
        if not auto_syncs(view.target):
            raise NotPossible(f"auto-sync of {view.ref} is off already")
        refuse_owned_spec(view)
        return Change(
            effects=(auto_sync_off(view),),
            summary="auto-sync on -> off",
            notes=("nothing that it manages is healed or deployed until argocd_resume",),
        )


class ArgoResumeParams(Params):
    """What auto-sync may do, where no earlier setting of ours is on record."""

    prune: bool = False
    self_heal: bool = False


class ArgoResume:
    """Undo switches it off again; what was deployed meanwhile stays."""

    name = "argocd_resume"
    kinds: tuple[str, ...] = (APPLICATION,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    params = ArgoResumeParams

    def resolve(self, params: ArgoResumeParams, view: View) -> ArgoResumeParams:
        return params

    def plan(self, params: ArgoResumeParams, view: View) -> Change:
        """Raises: NotPossible when it is on, or our record cannot be read."""
        refuse_wrong(view, self.kinds)
        if auto_syncs(view.target):
            raise NotPossible(f"auto-sync of {view.ref} is on already")
        before = dig(view.target, *AUTOMATED_PATH)
        record = _record(view)
        if before is not None:
            after: dict[str, Any] = {**before, "enabled": True}
        elif record is not None:
            after = dict(record)
        else:
            after = {"prune": params.prune, "selfHeal": params.self_heal}
        changes = [FieldChange(path=AUTOMATED_PATH, before=before, after=after)]
        if record is not None:
            changes.append(FieldChange(path=RECORD_PATH, before=dig(view.target, *RECORD_PATH), after=None))
        return Change(
            effects=(Patch(ref=view.ref, uid=uid_of(view.target), changes=tuple(changes), replace=True),),
            summary=f"auto-sync off -> on ({_called(after)})",
            needs_approval="" if record is not None and before is None else "somebody else has switched it off",
            notes=tuple(_notes(view)),
        )


def _record(view: View) -> dict[str, bool] | None:
    try:
        found = recorded(view.target)
    except ValueError as exc:
        raise NotPossible(
            f"annotation {RECORD_PATH[-1]} of {view.ref} cannot be used: {exc}. Remove it and set auto-sync by hand"
        ) from exc
    return None if found is None else dict(found)


def _called(automated: dict[str, Any]) -> str:
    on = [key for key in ("prune", "selfHeal", "allowEmpty") if automated.get(key)]
    return ", ".join(on) or "no prune, no self-heal"


def _notes(view: View) -> list[str]:
    owner = spec_owner(view.target)
    return [_DEPLOYS, *([f"{owner} writes the spec of {view.ref} and may change it again"] if owner else [])]
