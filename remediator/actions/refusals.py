"""Reasons for which more than one action will not touch a workload. Each raises NotPossible with the reason."""

from __future__ import annotations

from remediator.actions.change import NotPossible
from remediator.actions.view import View
from remediator.actions.workload import Workload


def refuse_unreadable(view: View, *parts: str) -> None:
    """Never plan on what could not be read. A hold: it may be readable in a moment."""
    for part in parts:
        if part in view.unreadable:
            raise NotPossible(f"CANNOT SEE: {part} of {view.ref}: {view.unreadable[part]}", hold=True)


def refuse_paused(workload: Workload) -> None:
    """The API accepts a new template for a paused Deployment, but nothing rolls; and a person has paused it."""
    if workload.paused:
        raise NotPossible(f"{workload.ref} is paused (spec.paused)", guardrail="rollout_in_progress")


def refuse_on_delete(workload: Workload) -> None:
    if workload.strategy == "OnDelete":
        raise NotPossible(
            f"{workload.ref} has the update strategy OnDelete: a new template changes no pod until somebody deletes it"
        )


def refuse_empty(workload: Workload) -> None:
    if workload.desired == 0:
        raise NotPossible(f"{workload.ref} wants 0 copies: there is nothing to restart or replace")
