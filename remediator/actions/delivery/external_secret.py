"""`force_sync_secret`: let External Secrets read the store now instead of at its next interval."""

from __future__ import annotations

import re

from remediator.actions.base import Params
from remediator.actions.change import GENERATED_TIME, Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.standing import condition_of, refuse_wrong, said
from remediator.actions.view import View
from remediator.objects import JSON, dig, uid_of

EXTERNAL_SECRET = "ExternalSecret.external-secrets.io"  # noqa: S105 - a kind
FORCE_SYNC_PATH = ("metadata", "annotations", "force-sync")

_ZERO = re.compile(r"0|([0.]+(ns|us|µs|ms|s|m|h))+")


class ForceSyncSecretParams(Params):
    """None."""


class ForceSyncSecret:
    """Any change of an annotation makes External Secrets look; nothing to take back."""

    name = "force_sync_secret"
    kinds: tuple[str, ...] = (EXTERNAL_SECRET,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = ForceSyncSecretParams

    def resolve(self, params: ForceSyncSecretParams, view: View) -> ForceSyncSecretParams:
        return params

    def plan(self, params: ForceSyncSecretParams, view: View) -> Change:
        """Raises: NotPossible where the operator would ignore the annotation."""
        refuse_wrong(view, self.kinds)
        refuse_ignored(view)
        change = FieldChange(path=FORCE_SYNC_PATH, before=dig(view.target, *FORCE_SYNC_PATH), after=GENERATED_TIME)
        return Change(
            effects=(Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,), undoable=False),),
            summary="read the secret store again",
            notes=tuple(_notes(view)),
        )


def refuse_ignored(view: View) -> None:
    """Raises: NotPossible where a forced sync would do nothing."""
    if dig(view.target, "spec", "refreshPolicy") == "CreatedOnce":
        raise NotPossible(
            f"{view.ref} has refreshPolicy CreatedOnce: it is read once, and a forced sync does nothing. "
            f"Change the policy where the object is defined"
        )
    if _is_zero(dig(view.target, "spec", "refreshInterval")) and dig(view.target, "status", "refreshTime"):
        raise NotPossible(
            f"{view.ref} has refreshInterval 0 and was synced once: a forced sync does nothing. "
            f"Change the interval where the object is defined"
        )


def _is_zero(interval: JSON) -> bool:
    """A Go duration of nothing: `0`, `0s`, `0h0m0s`. Absent is the operator's default of an hour."""
    return interval is not None and _ZERO.fullmatch(str(interval).strip()) is not None


def _notes(view: View) -> list[str]:
    notes = ["pods do not take up a new Secret by themselves: variables need a restart, volumes take a minute or two"]
    ready = condition_of(view.target, "Ready")
    if ready is not None and ready.get("status") == "False":
        # Not the message: stores put paths and now and then values into it.
        notes.append(f"it is not ready: {said(ready.get('reason'))}")
    return notes
