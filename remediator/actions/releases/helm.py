"""`helm_upgrade` and `helm_rollback`: a release of the operator's list, to a pinned version or an explicit revision.

helm itself knows no precondition. The plan names the revision that it saw and the hashes of chart and values, and the
caller looks at all three again right before it starts helm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from remediator.actions.base import Params
from remediator.actions.change import Call, Change, NotPossible
from remediator.actions.outside.containers import Name
from remediator.actions.releases.standing import (
    KINDS,
    Release,
    costs_data,
    notes_on,
    read_release,
    refuse_large,
    touched,
)
from remediator.actions.view import Ask, View
from remediator.objects import uid_of

Version = Annotated[str, Field(pattern=r"^v?\d{1,6}\.\d{1,6}\.\d{1,6}(-[0-9A-Za-z.-]{1,60})?(\+[0-9A-Za-z.-]{1,60})?$")]
"""Exact, because `1.2` would be a range to helm."""

PREVIOUS = "previous"


class OfRelease(Params):
    """`release` is a name of `outside.helm`. `max_objects`: more objects than that are a person's."""

    release: Name
    max_objects: int = Field(100, ge=1, le=1000)


class HelmUpgradeParams(OfRelease):
    """`chart` and `values` are names that the operator gave there, values in the order in which later ones win. Without
    `values` those of the release stay; without `chart` it is the only one."""

    version: Version
    chart: Name | None = None
    values: tuple[Name, ...] = Field((), max_length=10)


class HelmUpgrade:
    """Undo is a rollback to the revision of before; what hooks did, CRDs and schemas stay."""

    name = "helm_upgrade"
    kinds: tuple[str, ...] = KINDS
    needs = frozenset({"pdbs"})
    disruptive = True
    changes_data = True
    rights = ()
    params = HelmUpgradeParams

    def wants(self, params: HelmUpgradeParams, view: View) -> Mapping[str, Ask]:
        request = {
            "about": "upgrade",
            "chart": params.chart or "",
            "version": params.version,
            "values": list(params.values),
        }
        return {"release": Ask("helm", params.release, request)}

    def resolve(self, params: HelmUpgradeParams, view: View) -> HelmUpgradeParams:
        return params

    def plan(self, params: HelmUpgradeParams, view: View) -> Change:
        """Raises: NotPossible."""
        release = read_release(view)
        chart = str(release.found["chart"])
        refuse_large(release, params.max_objects)
        version = params.version.removeprefix("v")
        if not release.differs and release.deployed.endswith((f"-{version}", f"-v{version}")):
            raise NotPossible(f"{release.title} is at {release.deployed} already, and nothing would change")
        request = {
            "do": "upgrade",
            "from": release.revision,
            "chart": chart,
            "version": params.version,
            "values": list(params.values),
            "chart_sha": str(release.found["chart_sha"]),
            "values_sha": str(release.found["values_sha"]),
        }
        values = f" with values {', '.join(params.values)}" if params.values else ""
        what = f"{release.deployed} -> {chart} {params.version}{values}"
        # Back to a revision that failed would be no way back.
        back = release.revision if release.status == "deployed" else None
        return Change(
            effects=(_call(params, release, view, request, f"helm upgrade of {release.title}: {what}", back),),
            summary=f"helm {release.name} {what}",
            needs_approval="; ".join(
                part for part in ("what its hooks do to data cannot be taken back", costs_data(release)) if part
            ),
            notes=(
                *notes_on(release),
                "new versions of CRDs in the chart are not installed: helm leaves those that exist alone",
                *(["no undo: the present revision has failed itself"] if back is None else []),
            ),
            touches=touched(release),
        )


class HelmRollbackParams(OfRelease):
    """`revision`: a number of the release's history, or the newest earlier one that was deployed."""

    revision: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["previous"]


class HelmRollback:
    """Undo is a rollback forward to the recorded revision."""

    name = "helm_rollback"
    kinds: tuple[str, ...] = KINDS
    needs = frozenset({"pdbs"})
    disruptive = True
    rights = ()
    params = HelmRollbackParams

    def wants(self, params: HelmRollbackParams, view: View) -> Mapping[str, Ask]:
        return {"release": Ask("helm", params.release, {"about": "rollback", "revision": params.revision})}

    def resolve(self, params: HelmRollbackParams, view: View) -> HelmRollbackParams:
        """`previous` as a number. Raises: NotPossible."""
        if params.revision != PREVIOUS:
            return params
        return params.model_copy(update={"revision": int(read_release(view).found["to"]["revision"])})

    def plan(self, params: HelmRollbackParams, view: View) -> Change:
        """Raises: NotPossible."""
        release = read_release(view)
        aim: Mapping[str, Any] = release.found["to"]
        refuse_large(release, params.max_objects)
        if aim["status"] not in ("superseded", "deployed"):
            raise NotPossible(f"revision {aim['revision']} of {release.title} is {aim['status']}: go to a good one")
        if aim["revision"] == release.revision:
            raise NotPossible(f"{release.title} is at revision {release.revision} already")
        if release.status == "deployed" and release.found["description"] == f"Rollback to {aim['revision']}":
            raise NotPossible(f"{release.title} was rolled back to revision {aim['revision']} already")
        request = {"do": "rollback", "from": release.revision, "revision": int(aim["revision"])}
        what = f"{release.deployed} -> {aim['chart']}, revision {aim['revision']}"
        back = release.revision if release.status == "deployed" else None
        return Change(
            effects=(_call(params, release, view, request, f"helm rollback of {release.title}: {what}", back),),
            summary=f"helm {release.name} {what}",
            needs_approval=costs_data(release),
            notes=(*notes_on(release), "CRDs, schemas and what hooks did stay as they are"),
            touches=touched(release),
        )


def _call(
    params: OfRelease, release: Release, view: View, request: Mapping[str, Any], says: str, back: int | None
) -> Call:
    """`back` is the revision that an undo goes to, from the one that this makes."""
    made = release.revision + 1
    return Call(
        ref=view.ref,
        uid=uid_of(view.target),
        via="helm",
        place=params.release,
        request=request,
        says=f"{says} (revision {release.revision} -> {made})",
        inverse=None if back is None else {"do": "rollback", "from": made, "revision": back},
    )
