"""One place in one file: what it is called, how people name it, and what stands there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import yaml

from remediator.actions.paths import Path
from remediator.actions.render import dotted
from remediator.actions.workloads.quantities import exact
from remediator.gitops.yaml_text import CannotEdit, Document, Scalar, documents, node_at, value_of

Files = Mapping[str, str]
"""Texts by their path in the repository."""


@dataclass(frozen=True, slots=True)
class Place:
    """One value in one file: the leaf `path` of a document, or an entry of `images:` of a kustomization.

    `before` is the value that the object has: the whole reference for an image, also where the file has its tag only.
    """

    file: str
    document: int
    path: Path
    before: Scalar
    form: Literal["leaf", "image"] = "leaf"

    def __str__(self) -> str:
        return f"{self.file}: {dotted(self.path)}"

    @property
    def note(self) -> str:
        """What else a change here changes; empty = nothing."""
        if self.form == "leaf":
            return ""
        return f"{self} changes every container of this kustomization that runs this image"


def place_in(files: Files, file: str, path: Path) -> Place:
    """A single value that people name by file and path. Raises: CannotEdit unless it stands in exactly one document."""
    if file not in files:
        raise CannotEdit(f"there is no file {file}")
    found = []
    for document in read(file, files[file]):
        node = looked(file, document, path)
        if node is not None:
            found.append(Place(file, document.index, path, value_there(file, path, node)))
    if not found:
        raise CannotEdit(f"{file} has no {dotted(path)}: a value that is not there yet is not added")
    if len(found) > 1:
        raise CannotEdit(f"{dotted(path)} stands in {len(found)} documents of {file}: name a file with one of them")
    return found[0]


def path_of(text: str) -> Path:
    """A path as people write it, `images[0].newTag`, `containers[name=app].image`, `annotations[a.b/c]`.

    Raises: ValueError.
    """
    parts: list[str] = []
    rest = text
    while rest:
        if rest.startswith("["):
            inner, closed, rest = rest[1:].partition("]")
            if not closed or not inner or (rest and rest[0] not in ".["):
                raise ValueError(f"{text!r:.100} is no path: write it like image.tag or containers[name=app].image")
            parts.append(f"[{inner}]" if "=" in inner else inner)
        else:
            end = min((at for at in (rest.find("."), rest.find("[")) if at >= 0), default=len(rest))
            if end == 0:
                raise ValueError(f"{text!r:.100} is no path: a part of it is empty")
            parts.append(rest[:end])
            rest = rest[end:]
        if rest.startswith("."):
            rest = rest[1:]
            if not rest:
                raise ValueError(f"{text!r:.100} is no path: it ends in a dot")
    if not parts:
        raise ValueError("a path has at least one part")
    return tuple(parts)


def read(file: str, text: str) -> tuple[Document, ...]:
    """Raises: CannotEdit."""
    try:
        return documents(text)
    except CannotEdit as exc:
        raise CannotEdit(f"{file} is not edited: {exc}") from exc


def looked(file: str, document: Document, path: Path) -> yaml.Node | None:
    """Raises: CannotEdit."""
    try:
        node = node_at(document, path)
    except CannotEdit as exc:
        raise CannotEdit(f"{file} is not edited: {exc}") from exc
    if node is not None and document.flaw:
        raise CannotEdit(f"{file} is not edited: {document.flaw}")
    return node


def value_there(file: str, path: Path, node: yaml.Node) -> Scalar:
    """Raises: CannotEdit."""
    try:
        return value_of(node)
    except CannotEdit as exc:
        raise CannotEdit(f"{file}: {dotted(path)} is not edited: {exc}") from exc


def same(path: Path, there: Scalar, wanted: Scalar) -> bool:
    """Whether two values are one to the API server, which writes quantities its own way."""
    if type(there) is type(wanted) and there == wanted:
        return True
    if not {"resources", "requests", "limits", "storage"} & set(path) or there is None or wanted is None:
        return False
    try:
        return exact(there) == exact(wanted)
    except ValueError:
        return False
