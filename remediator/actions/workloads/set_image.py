"""`set_image`: another image for one container, out of repositories that the playbook allows.

The container has to exist already: a patch by name would otherwise add one.
"""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from remediator.actions.base import Params
from remediator.actions.change import Change, FieldChange, NotPossible
from remediator.actions.view import View
from remediator.actions.workload import read_workload
from remediator.actions.workloads.new_template import NAME_PATTERN, POD_SPEC, by_new_template, find_container
from remediator.objects import WORKLOADS, dig

_HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,253}[a-zA-Z0-9])?(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*"
_IMAGE = re.compile(
    rf"({_REPOSITORY})(?::([A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(sha256:[0-9a-f]{{64}}))?", re.ASCII
)
_PREFIX = re.compile(rf"{_HOST}/?|{_REPOSITORY}/?", re.ASCII)


class SetImageParams(Params):
    """`image` names a tag or, better, a digest; `repositories` are those that it may be from, or folders of them.

    `registry.example.com/shop` allows that repository and everything below it, not `registry.example.com/shop-two`.
    """

    container: str = Field(pattern=NAME_PATTERN)
    image: str = Field(min_length=1, max_length=500)
    repositories: tuple[str, ...] = Field(min_length=1, max_length=50)

    @field_validator("repositories")
    @classmethod
    def _no_wildcards(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if len(one) > 400 or not _PREFIX.fullmatch(one):
                raise ValueError(f"{one[:80]!r} is no repository: write it like registry.example.com/shop")
        return value

    @model_validator(mode="after")
    def _allowed(self) -> SetImageParams:
        found = _IMAGE.fullmatch(self.image)
        if found is None:
            raise ValueError(f"image {self.image[:80]!r} is no image: write it like registry.example.com/shop/api:1.2")
        repository, tag, digest = found.groups()
        if digest is None and tag in (None, "latest"):
            raise ValueError(f"image {self.image} is whatever was pushed last: name a release, or a digest")
        allowed = [prefix.rstrip("/") for prefix in self.repositories]
        if not any(repository == prefix or repository.startswith(f"{prefix}/") for prefix in allowed):
            raise ValueError(f"image {self.image} is from none of repositories: {', '.join(self.repositories)}")
        return self


class SetImage:
    """Undo puts the recorded image back, compare-and-set."""

    name = "set_image"
    kinds: tuple[str, ...] = WORKLOADS
    needs = frozenset({"pods", "revisions", "pdbs"})
    disruptive = True
    through_git = True
    params = SetImageParams

    def resolve(self, params: SetImageParams, view: View) -> SetImageParams:
        return params

    def plan(self, params: SetImageParams, view: View) -> Change:
        """Raises: NotPossible for an unknown container, the same image, or what does not roll out."""
        workload = read_workload(view.target)
        group, container = find_container(dig(view.target, *POD_SPEC) or {}, params.container, view.ref)
        before = str(container.get("image") or "")
        if before == params.image:
            raise NotPossible(f"container {params.container} of {view.ref} has image {before} already")
        change = FieldChange(
            path=(*POD_SPEC, group, f"[name={params.container}]", "image"),
            before=container.get("image"),
            after=params.image,
        )
        return by_new_template(
            view,
            workload,
            (change,),
            summary=f"{params.container}: image {before or 'absent'} -> {params.image}",
            notes=_notes(params.image),
        )


def _notes(image: str) -> tuple[str, ...]:
    notes = ["schemas and configuration stay as they are: the image must fit them"]
    if "@" not in image:
        notes.append("a tag can be moved: only a digest names the same image for ever")
    return tuple(notes)
