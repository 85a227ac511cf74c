"""`argocd_rollback`: deploy once more what Argo CD has deployed before.

While auto-sync is on, Argo CD would go forward again at once. It is switched off first where the playbook says so, and
stays off afterwards, until somebody says that Git is good again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from pydantic import Field

from remediator.actions.base import Params
from remediator.actions.change import Change, Effect, NotPossible
from remediator.actions.delivery.argo import (
    APPLICATION,
    auto_sync_off,
    auto_syncs,
    operation,
    refuse_busy,
    refuse_owned_spec,
    sync_options,
)
from remediator.actions.delivery.standing import is_time, said
from remediator.actions.times import parse_time
from remediator.actions.view import View
from remediator.objects import dig

Entry = Mapping[str, Any]
"""One item of `status.history`: id, deployedAt, and revision with source, or revisions with sources."""

_WHAT = ("revision", "revisions", "source", "sources")


class ArgoRollbackParams(Params):
    """`id` in the Application's history; without one, the newest other deployment that lasted for `lasted_s`.

    Argo CD records what it deployed, not whether that was healthy: having lasted is the nearest thing to it.
    `disable_auto_sync` switches auto-sync off first.
    """

    id: int | None = Field(None, ge=0)
    lasted_s: int = Field(3600, ge=0, le=2_592_000)
    disable_auto_sync: bool = False


class ArgoRollback:
    """Undo switches auto-sync on again, which goes forward to what Git says; the sync itself has no inverse."""

    name = "argocd_rollback"
    kinds: tuple[str, ...] = (APPLICATION,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    params = ArgoRollbackParams

    def resolve(self, params: ArgoRollbackParams, view: View) -> ArgoRollbackParams:
        """The id that is meant, because our own rollback becomes the newest entry. Raises: NotPossible."""
        if params.id is not None:
            return params
        return params.model_copy(update={"id": int(_lasting(view, params.lasted_s)["id"])})

    def plan(self, params: ArgoRollbackParams, view: View) -> Change:
        """Raises: NotPossible; a hold while Argo CD is busy."""
        refuse_busy(view)
        entry = _entry(view, params)
        effects: list[Effect] = []
        notes = ["Git still says something else: revert it there, or the next sync goes forward again"]
        if auto_syncs(view.target):
            if not params.disable_auto_sync:
                raise NotPossible(
                    f"auto-sync of {view.ref} is on and would go forward again: say disable_auto_sync: true",
                    guardrail="ownership",
                )
            refuse_owned_spec(view)
            effects.append(auto_sync_off(view))
            notes.append("auto-sync stays off until argocd_resume")
        effects.append(operation(view, _sync(entry, view)))
        off = "auto-sync off, then " if len(effects) > 1 else ""
        return Change(
            effects=tuple(effects),
            summary=f"{off}back to {_called(entry)} (history id {entry['id']}, of {said(entry.get('deployedAt'))})",
            needs_approval="Argo CD records what it deployed, not whether that was healthy; schemas do not go back",
            notes=tuple(notes),
        )


def _history(view: View) -> Sequence[Entry]:
    """Newest first."""
    found = [e for e in dig(view.target, "status", "history") or () if isinstance(e, Mapping) and "id" in e]
    return tuple(sorted(found, key=lambda e: int(e["id"]), reverse=True))


def _entry(view: View, params: ArgoRollbackParams) -> Entry:
    history = _history(view)
    chosen = next((e for e in history if e["id"] == params.id), None)
    if chosen is None:
        known = ", ".join(str(e["id"]) for e in history) or "none"
        raise NotPossible(f"{view.ref} has no history id {params.id} (there are: {known})")
    if not (chosen.get("source") or chosen.get("sources")) or not _called(chosen):
        raise NotPossible(f"history id {params.id} of {view.ref} does not say what was deployed: take another one")
    if _same(chosen, history[0]) and dig(view.target, "status", "sync", "status") == "Synced":
        raise NotPossible(f"history id {params.id} of {view.ref} is what is deployed now")
    return chosen


def _lasting(view: View, lasted_s: int) -> Entry:
    """The newest deployment that differs from the present one and stood for long enough."""
    history = _history(view)
    for newer, entry in pairwise(history):
        if not _same(entry, history[0]) and _stood_s(entry, newer) >= lasted_s:
            return entry
    raise NotPossible(
        f"{view.ref} has no earlier deployment of something else that lasted {lasted_s} s: name an id or less time"
    )


def _stood_s(entry: Entry, newer: Entry) -> float:
    begun, ended = _deployed(entry), _deployed(newer)
    return (ended - begun).total_seconds() if begun and ended else -1.0


def _deployed(entry: Entry) -> datetime | None:
    text = entry.get("deployedAt")
    return parse_time(str(text)) if is_time(text) else None


def _same(one: Entry, other: Entry) -> bool:
    return all(one.get(key) == other.get(key) for key in _WHAT)


def _called(entry: Entry) -> str:
    revisions = entry.get("revisions") or (entry.get("revision"),)
    return ", ".join(said(revision)[:40] for revision in revisions if revision)


def _sync(entry: Entry, view: View) -> dict[str, Any]:
    """As Argo CD's own rollback does: what stands in history, applied without hooks, never pruned."""
    sync: dict[str, Any] = {key: entry[key] for key in _WHAT if entry.get(key)}
    sync |= {"prune": False, "syncStrategy": {"apply": {}}}
    if options := sync_options(view.target):
        sync["syncOptions"] = list(options)
    return sync
