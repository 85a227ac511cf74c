"""`argocd_refresh` and `argocd_sync`: let Argo CD look again, or apply what Git says, without pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from remediator.actions.base import Params
from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.argo import (
    APPLICATION,
    auto_syncs,
    operation,
    refuse_busy,
    replacing_options,
    sync_options,
)
from remediator.actions.delivery.standing import condition_of, refuse_wrong, said
from remediator.actions.view import View
from remediator.objects import annotations_of, dig, uid_of

REFRESH = "argocd.argoproj.io/refresh"
REFRESH_PATH = ("metadata", "annotations", REFRESH)
REVISION = r"^([A-Za-z0-9][A-Za-z0-9._/+-]{0,199})?$"

_ERRORS = ("ComparisonError", "InvalidSpecError", "UnknownError")


class ArgoRefreshParams(Params):
    """`hard` also forgets the rendered manifests, which costs the repo server more."""

    hard: bool = False


class ArgoRefresh:
    """An annotation that Argo CD removes when it has looked. Nothing to take back."""

    name = "argocd_refresh"
    kinds: tuple[str, ...] = (APPLICATION,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = ArgoRefreshParams

    def resolve(self, params: ArgoRefreshParams, view: View) -> ArgoRefreshParams:
        return params

    def plan(self, params: ArgoRefreshParams, view: View) -> Change:
        """Raises: NotPossible; a hold while another refresh is asked for."""
        refuse_wrong(view, self.kinds)
        before = annotations_of(view.target).get(REFRESH)
        if before is not None:
            raise NotPossible(f"{view.ref} waits for a refresh already: see whether Argo CD runs", hold=True)
        how = "hard" if params.hard else "normal"
        change = FieldChange(path=REFRESH_PATH, before=None, after=how)
        notes: tuple[str, ...] = ()
        if auto_syncs(view.target):
            notes = ("auto-sync is on: what the refresh finds new in Git is deployed",)
        return Change(
            effects=(Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,), undoable=False),),
            summary=f"compare with Git again ({how} refresh)",
            notes=notes,
        )


class ArgoSyncParams(Params):
    """`revision` empty = what the Application follows. `prune` deletes what Git no longer has, with a person's yes."""

    revision: str = Field("", pattern=REVISION)
    prune: bool = False
    retries: int = Field(0, ge=0, le=5)


class ArgoSync:
    """One sync. What it changed is taken back by `argocd_rollback`, not by an undo."""

    name = "argocd_sync"
    kinds: tuple[str, ...] = (APPLICATION,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    params = ArgoSyncParams

    def resolve(self, params: ArgoSyncParams, view: View) -> ArgoSyncParams:
        return params

    def plan(self, params: ArgoSyncParams, view: View) -> Change:
        """Raises: NotPossible; a hold while Argo CD is busy or cannot compare."""
        refuse_busy(view)
        _refuse_broken(view)
        _refuse_revision(params, view)
        status = dig(view.target, "status", "sync", "status")
        if status == "Synced" and not params.revision:
            raise NotPossible(f"{view.ref} is in sync already; argocd_refresh looks whether that is still so")
        sync: dict[str, Any] = {"prune": params.prune, "syncStrategy": {"hook": {}}}
        if params.revision:
            sync["revision"] = params.revision
        if options := sync_options(view.target):
            sync["syncOptions"] = list(options)
        revision = params.revision or dig(view.target, "spec", "source", "targetRevision") or "what Git says"
        return Change(
            effects=(operation(view, sync, retries=params.retries),),
            summary=f"sync to {revision} {'and prune' if params.prune else 'without prune'}",
            needs_approval=_doubt(params, view),
            notes=tuple(_notes(params, view)),
        )


def _refuse_broken(view: View) -> None:
    for kind in _ERRORS:
        if found := condition_of(view.target, kind):
            raise NotPossible(f"Argo CD cannot compare {view.ref}: {kind}: {said(found.get('message'))}", hold=True)


def _refuse_revision(params: ArgoSyncParams, view: View) -> None:
    if not params.revision:
        return
    if dig(view.target, "spec", "sources"):
        raise NotPossible(f"{view.ref} has several sources, which one revision cannot name: leave out revision")
    if params.revision == dig(view.target, "spec", "source", "targetRevision"):
        return
    if auto_syncs(view.target):
        raise NotPossible(
            f"auto-sync of {view.ref} is on and would take {params.revision} back: "
            f"leave out revision, or use argocd_suspend first",
            guardrail="ownership",
        )


def _doubt(params: ArgoSyncParams, view: View) -> str:
    if params.prune:
        return f"prune deletes what Git no longer has: {_pruned(view) or 'nothing that Argo CD has named yet'}"
    if options := replacing_options(view.target):
        return f"its option {', '.join(options)} deletes objects and makes them again"
    return ""


def _pruned(view: View) -> str:
    """The first few objects that a prune would delete."""
    names = [_named(r) for r in _resources(view) if r.get("requiresPruning")]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _resources(view: View) -> Sequence[Mapping[str, Any]]:
    return tuple(r for r in dig(view.target, "status", "resources") or () if isinstance(r, Mapping))


def _named(resource: Mapping[str, Any]) -> str:
    return said(f"{resource.get('kind', '')} {resource.get('namespace', '')}/{resource.get('name', '')}")


def _notes(params: ArgoSyncParams, view: View) -> list[str]:
    project = dig(view.target, "spec", "project", default="default")
    notes = [
        f"a sync window of project {said(project)} can hold it in Running",
        "how many copies it restarts depends on what Git says: that is not counted here",
    ]
    if not params.prune and (left := _pruned(view)):
        notes.append(f"stays although Git no longer has it: {left}")
    if auto_syncs(view.target):
        notes.append("auto-sync is on: it tried by itself, or is about to")
    return notes
