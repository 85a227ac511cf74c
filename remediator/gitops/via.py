"""From the change of an action to the same change through Git: a pull request, with the live change or without. Pure.

What is read for it is asked for in rounds, as `wants` of an action is: the owner of what would be changed, for Flux the
repository that it follows, then the files. Whatever cannot be said in those files is refused, with the next step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from remediator.actions.change import GENERATED_ID, Call, Change, NotPossible, Patch
from remediator.actions.owners import git_sets
from remediator.actions.render import brief
from remediator.actions.view import Ask, Get, View, Wanted
from remediator.gitops import edits, images
from remediator.gitops.drift import hold, taken, taken_from
from remediator.gitops.leaves import Leaf, leaves
from remediator.gitops.owner import (
    ARGOCD_NAMESPACE,
    NEXT_STEP,
    Owner,
    Source,
    claim,
    git_repository,
    owner_name,
    owner_of,
    source_name,
    source_of,
)
from remediator.gitops.wording import Evidence, body, summary_of, title, way_of
from remediator.gitops.yaml_text import Scalar
from remediator.objects import JSON, Object, ObjectRef, ref_of, uid_of

VIA = "forge"
Way = Literal["live", "pr", "hold_and_pr"]


@dataclass(frozen=True, slots=True)
class Said:
    """One value of an object that Git says, or leaves open."""

    obj: Object
    leaf: Leaf
    in_git: bool


def wants(change: Change, view: View, way: Way, argocd_namespace: str = ARGOCD_NAMESPACE) -> Mapping[str, Wanted]:
    """What has to be known besides, as far as what was found so far tells. For `live` it may as well stay unknown."""
    asked = (said for said in _values(change, view) if said.in_git or taken(said.obj, said.leaf.path))
    touched = {ref_of(said.obj): said.obj for said in asked}
    wanted: dict[str, Wanted] = {}
    for obj in touched.values():
        claimed = claim(obj, argocd_namespace)
        if claimed is not None:
            wanted[owner_name(obj)] = Get(claimed.ref)
    if way == "live":
        return wanted
    owners = {owner.ref: owner for obj in touched.values() if (owner := owner_of(obj, view)) is not None}
    for owner in owners.values():
        if way == "hold_and_pr":
            space = ObjectRef("Namespace", "", owner.ref.namespace)  # which may be protected
            wanted[f"namespace of {owner.ref.key}"] = Get(space)
        where = git_repository(owner)
        if where is not None:
            wanted[source_name(owner.ref)] = Get(where)
        if where is None or source_name(owner.ref) in view.found:
            wanted |= _files(owner, view)
    return wanted


def through_git(
    change: Change,
    view: View,
    way: Way,
    evidence: Evidence,
    *,
    begun: bool = False,
    argocd_namespace: str = ARGOCD_NAMESPACE,
) -> Change:
    """The same change as `way` says. `begun` = an effect of this step is done already.

    Raises: NotPossible, with the next step.
    """
    if way == "live":
        return change
    owner = _only_owner(change, view, argocd_namespace)
    told = [said for said in _values(change, view) if said.in_git and owner_of(said.obj, view) is not None]
    if way == "pr":
        _refuse_beyond_git(change, view, owner)
    call, places, notes = _proposal(told, owner, view, way, change, evidence)
    summary, says = summary_of(way, change), way_of(way, owner, call.place, places)
    if way == "pr":
        return replace(
            change,
            effects=(call,),
            takes=0,
            reduces_capacity=False,
            summary=summary,
            notes=(says, *change.notes, *notes),
        )
    first = hold(owner, view, begun=begun)
    if first is None and not begun:
        notes = (*notes, f"{owner} does not correct drift by itself, so nothing is held, and nothing is released")
    return replace(
        change,
        effects=(*((first,) if first else ()), *change.effects, call),
        summary=summary,
        notes=(says, *change.notes, *notes),
    )


# --- what Git says ----------------------------------------------------------------------------------------------------


def _values(change: Change, view: View) -> Iterator[Said]:
    """Every single value that the change's patches would alter, and whether Git may say it."""
    for effect in change.effects:
        if not isinstance(effect, Patch) or effect.subresource or effect.made_here:
            continue
        obj = next((o for o in view.objects() if ref_of(o) == effect.ref), None)
        if obj is None:
            continue
        for field in effect.changes:
            for leaf in leaves(field):
                in_git = git_sets(obj, leaf.path) or taken_from(owner_of(obj, view), obj, leaf.path)
                yield Said(obj, leaf, in_git)


def _only_owner(change: Change, view: View, argocd_namespace: str) -> Owner:
    """Raises: NotPossible unless exactly one owner says everything that Git says of it."""
    owners: dict[Any, Owner] = {}
    for said in _values(change, view):
        if not said.in_git:
            continue
        owner, claimed = owner_of(said.obj, view), claim(said.obj, argocd_namespace)
        if owner is not None:
            owners[owner.ref] = owner
        elif claimed is not None and claimed.proven:
            raise NotPossible(
                f"{claimed}, which {ref_of(said.obj)} names as its owner, does not exist: correct "
                "gitops.argocd_namespace, or the label"
            )
    if not owners:
        raise NotPossible(f"Git owns nothing of what would be changed of {view.ref}: write via: live, or leave it out")
    if len(owners) > 1:
        raise NotPossible(f"{' and '.join(sorted(map(str, owners.values())))} own parts of it: use a step for each")
    return next(iter(owners.values()))


def _refuse_beyond_git(change: Change, view: View, owner: Owner) -> None:
    """Raises: NotPossible for what a pull request alone would leave out."""
    for effect in change.effects:
        if not isinstance(effect, Patch) or effect.subresource or effect.made_here:
            raise NotPossible(
                f"a part of it ({effect.kind}) is nothing that Git says: write via: hold_and_pr, which does it live"
            )
    for said in _values(change, view):
        if not said.in_git or owner_of(said.obj, view) is None:
            raise NotPossible(
                f"{owner} leaves {said.leaf} of {ref_of(said.obj)} open, so there is nothing to propose: write via: "
                "hold_and_pr, or add it to Git by hand"
            )


# --- the pull request -------------------------------------------------------------------------------------------------


def _files(owner: Owner, view: View) -> Mapping[str, Wanted]:
    try:
        source = source_of(owner, view)
    except NotPossible:
        return {}  # `through_git` says why
    request = {"about": "files", "path": source.path, "branch": source.branch}
    return {_files_name(source): Ask(VIA, source.repository, request)}


def _files_name(source: Source) -> str:
    return f"files of {source.repository} {source.branch} {source.path}"


def _proposal(
    told: list[Said], owner: Owner, view: View, way: Way, change: Change, evidence: Evidence
) -> tuple[Call, tuple[str, ...], tuple[str, ...]]:
    """The request, what it changes file by file, and what people must know of it. Raises: NotPossible."""
    source = source_of(owner, view)
    answer: Mapping[str, Any] = view.found[_files_name(source)]
    texts = _that_count(source, answer["files"], owner)
    try:
        wanted = [_edit(said, texts) for said in told]
        new = edits.apply(texts, wanted)
    except edits.CannotEdit as exc:
        raise NotPossible(f"{answer['repository']}: {exc}") from exc
    if not new:
        raise NotPossible(f"{answer['repository']} says it already: let {owner} sync, nothing is to be proposed")
    places = tuple(dict.fromkeys(_place_text(edit) for edit in wanted))
    notes = tuple(dict.fromkeys(edit.place.note for edit in wanted if edit.place.note))
    branch = f"remediator/{GENERATED_ID}"
    request: dict[str, JSON] = {
        "do": "propose",
        "branch": branch,
        "base": answer["branch"],
        "head": answer["head"],
        "files": {file: {"before_sha": _sha(texts[file]), "text": text} for file, text in sorted(new.items())},
        "title": title(change, view),
        "body": body(way, owner, change, view, places, notes, evidence),
    }
    call = Call(
        ref=view.ref,
        uid=uid_of(view.target),
        via=VIA,
        place=str(answer["repository"]),
        request=request,
        says=f"open a pull request in {answer['repository']} ({', '.join(places)})",
        inverse={"do": "close", "branch": branch},
    )
    return call, places, notes


def _that_count(source: Source, files: Mapping[str, str], owner: Owner) -> Mapping[str, str]:
    """The files that the owner takes: without a kustomization.yaml those of the folder itself, unless told otherwise.

    Raises: NotPossible for a chart.
    """
    folder = f"{source.path}/" if source.path else ""
    if f"{folder}Chart.yaml" in files:
        raise NotPossible(f"{owner} installs a Helm chart, whose values say it: {NEXT_STEP}")
    built = any(f"{folder}{name}" in files for name in edits.KUSTOMIZATIONS)
    if built or source.recurse:
        return files
    return {file: text for file, text in files.items() if "/" not in file.removeprefix(folder)}


def _edit(said: Said, files: Mapping[str, str]) -> edits.Edit:
    """Raises: edits.CannotEdit, NotPossible for what is no single value."""
    leaf, ref = said.leaf, ref_of(said.obj)
    for value in (leaf.before, leaf.after):
        if value is not None and not isinstance(value, str | int | float | bool):
            raise NotPossible(f"{leaf} of {ref} is no single value, and lists are not edited: {NEXT_STEP}")
    if leaf.after is None:
        raise NotPossible(f"{leaf} of {ref} would have to be taken out of Git: do that by hand")
    if leaf.before is None:
        raise NotPossible(f"{leaf} of {ref} is not in Git yet: add it there by hand")
    place = edits.only_place(files, ref.kind, ref.name, ref.namespace, leaf.path, _scalar(leaf.before))
    return edits.Edit(place, _scalar(leaf.after))


def _scalar(value: JSON) -> Scalar:
    assert value is None or isinstance(value, str | int | float | bool)
    return value


def _place_text(edit: edits.Edit) -> str:
    """`apps/shop/prod/kustomization.yaml: newTag 2 -> 1`."""
    place = edit.place
    if place.form == "leaf":
        return f"{place.file}: {place.path[-1]} {brief(place.before)} -> {brief(edit.after)}"
    found = images.leaves(str(place), place.path, str(place.before), edit.after)
    return f"{place.file}: " + ", ".join(f"{p[-1]} {brief(a)} -> {brief(b)}" for p, (a, b) in found.items())


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
