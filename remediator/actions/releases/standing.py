"""What helm says of a release, and what forbids touching it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.actions.change import NotPossible
from remediator.actions.owners import git_owner, helm_release
from remediator.actions.view import View
from remediator.objects import WORKLOADS, ObjectRef

KINDS = (*WORKLOADS, "Namespace")
"""What an alert about a release is about: one of its workloads, or where it lives."""

LIVE = ("deployed", "failed")
MOST_NOTES = 25


@dataclass(frozen=True, slots=True)
class Release:
    """`found` is the caller's answer."""

    name: str
    namespace: str
    revision: int
    status: str
    deployed: str
    """Chart and version, `airflow-1.15.0`."""
    found: Mapping[str, Any]

    @property
    def diff(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.found["diff"]
        return found

    @property
    def differs(self) -> int:
        return int(self.diff["added"]) + int(self.diff["changed"]) + int(self.diff["removed"])

    @property
    def title(self) -> str:
        return f"release {self.name} in {self.namespace}"


def read_release(view: View) -> Release:
    """The release, when it may be touched for this target. Raises: NotPossible."""
    found = view.found["release"]
    release = Release(
        name=str(found["release"]),
        namespace=str(found["namespace"]),
        revision=int(found["revision"]),
        status=str(found["status"]),
        deployed=str(found["deployed"]),
        found=found,
    )
    _refuse_elsewhere(view, release)
    if release.status.startswith("pending-") or release.status == "uninstalling":
        raise NotPossible(
            f"{release.title} is {release.status}: another helm is at work. When none is, it was killed at it: "
            "a person has to look",
            hold=True,
            guardrail="rollout_in_progress",
        )
    if release.status not in LIVE:
        raise NotPossible(f"{release.title} is {release.status}: install it first")
    if not found.get("allowed", True):
        raise NotPossible(str(found["why"]))
    return release


def _refuse_elsewhere(view: View, release: Release) -> None:
    """Raises: NotPossible. The target is what locks, pauses and protection are asked of, so it has to belong to it."""
    if view.ref.kind == "Namespace":
        if view.ref.name != release.namespace:
            raise NotPossible(f"{release.title} is not in {view.ref}: name its own namespace as the target")
    elif view.ref.namespace != release.namespace or helm_release(view.target) != release.name:
        raise NotPossible(f"{view.ref} is no part of {release.title} (meta.helm.sh/release-name)")
    if (owner := git_owner(view.target)) is not None:
        raise NotPossible(f"{owner} owns {view.ref} and would take it back: change it there", guardrail="ownership")


def refuse_large(release: Release, most: int) -> None:
    """Raises: NotPossible."""
    if release.differs > most:
        raise NotPossible(f"{release.differs} objects of {release.title} would change, max_objects is {most}")


def touched(release: Release) -> tuple[ObjectRef, ...]:
    """The namespace, and every workload that changes: nobody else acts on them meanwhile."""
    workloads = [ObjectRef(*str(one).split("/", 2)) for one in release.diff["workloads"]]
    return (ObjectRef("Namespace", "", release.namespace), *workloads)


def costs_data(release: Release) -> str:
    """Why a person has to agree, whatever the mode; empty when nothing that holds data goes."""
    gone: Sequence[str] = release.diff["data"]
    return f"it removes {', '.join(gone[:5])}" if gone else ""


def notes_on(release: Release) -> tuple[str, ...]:
    """The difference and the hooks, line by line."""
    lines = [str(line) for line in release.diff["lines"]]
    told = lines[:MOST_NOTES] + [f"and {release.differs - MOST_NOTES} more"] * (release.differs > MOST_NOTES)
    hooks = [str(hook) for hook in release.found["hooks"]]
    return (*told, *([f"hooks run: {', '.join(hooks)}"] if hooks else []))
