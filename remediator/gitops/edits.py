"""Where manifests say a value, and their text with another value in that place. Pure.

    place = only_place(files, "Deployment", "web", "shop", ("spec", "replicas"), 3)
    apply(files, [Edit(place, 5)])        # {"apps/shop/web.yaml": "...replicas: 5..."}

`files` are texts by their path in the repository. Understood are plain manifests (several documents, flow style), and
of a kustomization.yaml `images:` and `replicas:`. Whatever else could say the same value stops the search: then
nobody knows which one counts. Every other byte of a text stays, and the result is read again before it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import yaml

from remediator.actions.paths import Path
from remediator.actions.render import brief, dotted
from remediator.gitops.images import Image, entry_of, leaves
from remediator.gitops.places import Files, Place, looked, path_of, place_in, read, same, value_there
from remediator.gitops.yaml_text import (
    CannotEdit,
    Document,
    Scalar,
    Swap,
    documents,
    entries,
    node_at,
    scalars,
    swap_at,
    swapped,
    value_of,
)
from remediator.kinds import kind_name

__all__ = [
    "KUSTOMIZATIONS",
    "CannotEdit",
    "Edit",
    "Place",
    "Scalar",
    "apply",
    "find_places",
    "only_place",
    "path_of",
    "place_in",
]

_OPERATION = re.compile(r"""["']?\bop["']?\s*:""")
"""What every JSON patch has; other files that do not hold the object's name need not be read."""

KUSTOMIZATIONS = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
PATCHES = ("patches", "patchesStrategicMerge", "patchesJson6902", "replacements", "transformers")
SUFFIXES = (".yaml", ".yml", ".json")
REPLICAS: Path = ("spec", "replicas")
NEXT_STEP = "Name file and path with the action gitops_pr."
MOST_SAID = 3


@dataclass(frozen=True, slots=True)
class Edit:
    """What a place is to say: in the terms of `Place.before`."""

    place: Place
    after: Scalar


@dataclass(slots=True)
class _Look:
    """What is looked for, and what was found on the way. `stops`: why the places found cannot be trusted."""

    kind: str
    name: str
    namespace: str
    path: Path
    before: Scalar
    places: list[Place] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    overridden: set[str] = field(default_factory=set)
    """Repositories of images whose tag a kustomization says, whatever the manifest says."""
    replicas_elsewhere: bool = False

    @property
    def image(self) -> Image | None:
        is_image = self.path[-1:] == ("image",) and isinstance(self.before, str)
        return Image.of(str(self.before)) if is_image else None


def find_places(files: Files, kind: str, name: str, namespace: str, path: Path, before: Scalar) -> list[Place]:
    """Where `files` say `before` at `path` (as in `actions.paths`) of an object; empty when they do not mention it.

    `kind` is ours (`Deployment`, `Rollout.argoproj.io`). A manifest without a namespace may be in any.
    Raises: CannotEdit when something there is not understood, or says another value.
    """
    look = _Look(kind, name, namespace, path, before)
    kustomizations = {file: text for file, text in files.items() if _base(file) in KUSTOMIZATIONS}
    for file, text in sorted(kustomizations.items()):
        for document in _documents(look, file, text):
            _kustomization(look, file, document)
    for file, text in sorted(files.items()):
        if file not in kustomizations and file.endswith(SUFFIXES) and (name in text or _OPERATION.search(text)):
            for document in _documents(look, file, text):
                _manifest(look, file, document)
    if look.stops:
        more = len(look.stops) - MOST_SAID
        said = "; ".join(look.stops[:MOST_SAID]) + (f"; and {more} more" if more > 0 else "")
        raise CannotEdit(f"{said}. {NEXT_STEP}")
    return look.places


def only_place(files: Files, kind: str, name: str, namespace: str, path: Path, before: Scalar) -> Place:
    """The one place. Raises: CannotEdit with a sentence for people when there is none, or more than one."""
    found = find_places(files, kind, name, namespace, path, before)
    if len(found) == 1:
        return found[0]
    if found:
        raise CannotEdit(f"{', '.join(map(str, found[:MOST_SAID]))} say it as well as each other. {NEXT_STEP}")
    raise CannotEdit(
        f"none of {len(files)} files says {dotted(path)} {brief(before)} of {kind} {name} as a manifest or in a "
        f"kustomization.yaml (Helm charts are not looked into). {NEXT_STEP}"
    )


def apply(files: Files, edits: Iterable[Edit]) -> dict[str, str]:
    """The new texts of the files that change. Raises: CannotEdit, and then nothing is edited."""
    by_file: dict[str, list[Edit]] = {}
    for edit in edits:
        by_file.setdefault(edit.place.file, []).append(edit)
    new = {file: _edited(files, file, some) for file, some in by_file.items()}
    return {file: text for file, text in new.items() if text != files[file]}


def _edited(files: Files, file: str, edits: Sequence[Edit]) -> str:
    """Raises: CannotEdit."""
    if file not in files:
        raise CannotEdit(f"there is no file {file}")
    text = files[file]
    found = read(file, text)
    swaps: dict[int, Swap] = {}
    for edit in edits:
        for one in _swaps(text, found, edit):
            if swaps.setdefault(one.start, one) != one:
                raise CannotEdit(f"{edit.place} would have to say two things at once")
    try:
        return swapped(text, list(swaps.values()))
    except CannotEdit as exc:
        raise CannotEdit(f"{file}: {exc}") from exc


def _swaps(text: str, found: Sequence[Document], edit: Edit) -> list[Swap]:
    """Raises: CannotEdit."""
    place = edit.place
    if place.document >= len(found):
        raise CannotEdit(f"{place} is not there any more")
    document = found[place.document]
    if place.form == "leaf":
        wanted = {place.path: (place.before, edit.after)}
    else:
        wanted = leaves(str(place), place.path, str(place.before), edit.after)
    made = []
    for path, (before, after) in wanted.items():
        node = looked(place.file, document, path)
        if node is None:
            raise CannotEdit(f"{place.file} has no {dotted(path)} to change")
        now = value_there(place.file, path, node)
        if not same(path, now, before):
            raise CannotEdit(f"{place.file} says {dotted(path)} {brief(now)}, no more {brief(before)}")
        if type(now) is type(after) and now == after:
            continue
        try:
            made.append(swap_at(text, node, after))
        except CannotEdit as exc:
            raise CannotEdit(f"{place.file}: {dotted(path)}: {exc}") from exc
    return made


def _kustomization(look: _Look, file: str, document: Document) -> None:
    top = entries(document.root)
    for key in PATCHES:
        if key in top and any(look.path[-1] in text for text in scalars(top[key]) if not text.endswith(SUFFIXES)):
            look.stops.append(f"{key} of {file} may say {look.path[-1]} as well")
    if {"namePrefix", "nameSuffix"} & top.keys() and look.image is None:
        look.stops.append(f"{file} gives its objects other names")
    if look.path == REPLICAS:
        _replicas(look, file, document)
    if (image := look.image) is not None:
        _images(look, file, document, image)


def _replicas(look: _Look, file: str, document: Document) -> None:
    for number, item in enumerate(_items(document, "replicas")):
        if _word(entries(item).get("name")) == look.name:
            look.replicas_elsewhere = True
            _leaf(look, file, document, ("replicas", str(number), "count"))


def _images(look: _Look, file: str, document: Document, image: Image) -> None:
    names = [_word(entries(item).get("name")) for item in _items(document, "images")]
    for number, item in enumerate(_items(document, "images")):
        path = ("images", str(number))
        try:
            node_at(document, path)
            entry = entry_of({key: value_there(file, (*path, key), node) for key, node in entries(item).items()})
            if image.repository not in (entry.name, entry.renders):
                continue
            look.overridden.add(entry.name)
            if names.count(entry.name) > 1:
                look.stops.append(f"{file} names {entry.name:.100} twice")
            elif problem := entry.contradicts(image):
                look.stops.append(f"{file}: {dotted(path)} {problem}")
            else:
                look.places.append(Place(file, document.index, path, look.before, "image"))
        except CannotEdit as exc:
            look.stops.append(f"{file}: {dotted(path)}: {exc}")


def _manifest(look: _Look, file: str, document: Document) -> None:
    top = entries(document.root)
    if isinstance(document.root, yaml.SequenceNode):
        _json_patch(look, file, document)
        return
    meta = entries(top.get("metadata"))
    if _word(meta.get("name")) != look.name:
        return
    if kind_name(_word(top.get("apiVersion")), _word(top.get("kind"))) != look.kind:
        return
    if look.namespace and (where := _word(meta.get("namespace"))) and where != look.namespace:
        return
    if document.flaw:
        look.stops.append(f"{file} is not edited: {document.flaw}")
        return
    if look.path == REPLICAS and look.replicas_elsewhere:
        return
    _leaf(look, file, document, look.path)


def _json_patch(look: _Look, file: str, document: Document) -> None:
    """A list of operations names no object, so it may be about ours."""
    assert isinstance(document.root, yaml.SequenceNode)
    for item in document.root.value:
        operation = entries(item)
        if "op" in operation and look.path[-1] in _word(operation.get("path")):
            look.stops.append(f"{file} may patch {look.path[-1]} as well")
            return


def _leaf(look: _Look, file: str, document: Document, path: Path) -> None:
    """Take down what a document says there."""
    try:
        node = node_at(document, path)
        if node is None:
            return
        now = value_of(node)
    except CannotEdit as exc:
        look.stops.append(f"{file}: {dotted(path)} is not edited: {exc}")
        return
    if look.image is not None and isinstance(now, str) and Image.of(now).repository in look.overridden:
        return
    if same(path, now, look.before):
        look.places.append(Place(file, document.index, path, look.before))
    else:
        look.stops.append(f"{file} says {dotted(path)} {brief(now)}, not {brief(look.before)} as the cluster has it")


def _documents(look: _Look, file: str, text: str) -> tuple[Document, ...]:
    """Those of a file; one that cannot be read stops the search when it may be about the object."""
    try:
        return documents(text)
    except CannotEdit as exc:
        look.stops.append(f"{file} is not edited: {exc}")
        return ()


def _items(document: Document, key: str) -> list[yaml.Node]:
    node = entries(document.root).get(key)
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _word(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _base(file: str) -> str:
    return file.rpartition("/")[2]
