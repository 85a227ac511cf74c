"""Keeps the catalog up to date with the files: all that can fail first, then one swap.

A broken file keeps the last good version of its playbook in force, across restarts as well, because a typo must not
switch off what protects production, nor may a restart during the typo. Removing a file removes its playbook.

What is in force for one file: its playbook if it loads, else the playbook this file had when it last loaded, else
(after a restart) the saved version of the name that can still be read in it, or of the file's own name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from remediator.actions.base import Action
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.folder import (
    FileResult,
    Folder,
    Load,
    Objections,
    Place,
    ReadFile,
    Signature,
    Unlisted,
    load_file,
    loader_for,
    no_objections,
    refuse_twins,
)
from remediator.playbooks.meaning import ArgsModels
from remediator.playbooks.model import LoadedPlaybook
from remediator.playbooks.problems import BadPlaybook, Problem


class LastGood(Protocol):
    """Where the last good text of each playbook survives a restart. May fail: then the scan says so and goes on."""

    def load(self) -> Mapping[str, str]:
        """Name to text. An empty text is a playbook that was removed on purpose."""
        ...

    def save(self, name: str, text: str, content_hash: str) -> None:
        """Called for each new version in force, and with two empty texts when a playbook was removed."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A playbook that stays on its last good version although its file is broken."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """One scan, for logs, metrics and `check`.

    `loaded`: names that came or have another content. `kept`: on their last good version. `removed`: out of force.
    `errors`: every problem of every file. `news`: whether anything of this differs from the scan before.
    """

    catalog: Catalog
    loaded: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()
    removed: tuple[str, ...] = ()
    errors: tuple[Problem, ...] = ()
    news: bool = True

    @property
    def ok(self) -> bool:
        return not self.errors


@dataclass(slots=True)
class _File:
    """What is remembered about one file. `place` is the number of its place, `good` the playbook it last had in force.

    `settled`: whether two scans in a row saw this signature. Only then is reading skipped, because a file that is
    written twice within one tick of the file system's clock, with the same length, keeps its signature.
    """

    signature: Signature | None
    settled: bool
    digest: bytes
    result: FileResult
    place: int
    good: LoadedPlaybook | None = None


_Key = tuple[int, str]
"""Number of the place, and the file's name there."""


class PlaybookFolder:
    """The playbooks of some folders, and of other places. `scan` reads files and blocks: call it in a thread, one call
    at a time.

    `catalog` may be read at any time; it is replaced as a whole.
    """

    def __init__(
        self,
        places: Sequence[Path | Place],
        *,
        actions: Mapping[str, Action[Any]],
        checks: ArgsModels,
        collectors: ArgsModels | None = None,
        last_good: LastGood | None = None,
        objections: Objections = no_objections,
        read: Callable[[Path], bytes] = Path.read_bytes,
    ) -> None:
        alone = len(places) == 1
        self._places: tuple[Place, ...] = tuple(
            Folder(place, alone=alone, read_bytes=read) if isinstance(place, Path) else place for place in places
        )
        self._loads: tuple[Load, ...] = tuple(
            loader_for(actions, checks, collectors, objections, place.project) for place in self._places
        )
        self._last_good = last_good
        self._saved: dict[str, str] | None = None
        """What `last_good` holds; None = not read yet."""
        self._files: dict[_Key, _File] = {}
        self._told: tuple[object, ...] = ()
        self.catalog = Catalog()

    def scan(self) -> ScanResult:
        """Look at the files and put in force what is good. Never raises: what went wrong is in `errors`."""
        try:
            result = self._scan()
        except Exception as exc:  # the loop that calls us must survive, with the catalog it has
            problem = Problem("playbooks", 0, 0, "", f"reloading failed: {type(exc).__name__}: {exc}", "Report this.")
            result = ScanResult(self.catalog, errors=(problem,))
        before, self._told = self._told, (result.kept, result.errors)
        return replace(result, news=bool(result.loaded or result.removed) or before != self._told)

    def _scan(self) -> ScanResult:
        errors: list[Problem] = []
        files = self._look(errors)
        self._recall(errors)
        results = dict(zip(files, refuse_twins(file.result for file in files.values()), strict=True))
        good = {result.name: result for result in results.values() if result.loaded}
        kept: dict[str, Kept] = {}
        in_force = {name: result.loaded for name, result in good.items() if result.loaded}
        for key, result in results.items():
            errors += result.problems
            old = None if result.loaded else self._last_version(files[key], result, errors)
            if old and old.playbook.name not in in_force:
                in_force[old.playbook.name] = old
                kept[old.playbook.name] = Kept(old.playbook.name, result.source)
        catalog = self._catalog_of(in_force)  # the last thing that can fail
        for key, result in results.items():
            files[key].good = result.loaded or files[key].good
        before, after = self.catalog.hashes, catalog.hashes
        self._files, self.catalog = files, catalog
        self._save(good, errors)
        return ScanResult(
            catalog=catalog,
            loaded=tuple(sorted(name for name in after if name not in kept and before.get(name) != after[name])),
            kept=tuple(kept.values()),
            removed=tuple(sorted(set(before) - set(after))),
            errors=tuple(errors),
        )

    def _catalog_of(self, playbooks: Mapping[str, LoadedPlaybook]) -> Catalog:
        """The present catalog where it holds these very playbooks already: most scans find nothing new."""
        same = all(self.catalog.get(name) is loaded for name, loaded in playbooks.items())
        return self.catalog if same and len(playbooks) == len(self.catalog) else Catalog(playbooks.values())

    def _look(self, errors: list[Problem]) -> dict[_Key, _File]:
        """The files as they are now; those of a place that cannot be listed as they were."""
        found: dict[_Key, _File] = {}
        for number, place in enumerate(self._places):
            mine = {name: file for (where, name), file in self._files.items() if where == number}
            known = {name: file.signature for name, file in mine.items() if file.settled and file.signature}
            try:
                read = place.read(known)
            except Unlisted as exc:
                errors.append(Problem(exc.where, 0, 0, "", exc.what, exc.hint))
                found |= {(number, name): file for name, file in mine.items()}
                continue
            for name in sorted(read):
                found[number, name] = self._examine(number, name, read[name], mine.get(name))
        return found

    def _examine(self, place: int, name: str, read: ReadFile, old: _File | None) -> _File:
        if old and read.data is None and not read.error:
            return old
        digest = hashlib.sha256(read.data or b"").digest()
        settled = old is not None and read.signature == old.signature
        good = old.good if old else None
        if old and not read.error and digest == old.digest and old.signature:
            return _File(read.signature, settled, digest, old.result, place, good)
        source = self._places[place].source(name)
        result = replace(load_file(read, source, self._loads[place]), document=None)  # lines are for lint, and large
        return _File(read.signature, settled, digest, result, place, good)

    def _last_version(self, file: _File, result: FileResult, errors: list[Problem]) -> LoadedPlaybook | None:
        """What stays in force for a file that is broken: by file, then by name, then from before the restart.

        Never what another project has under that name.
        """
        place = self._places[file.place].project
        project = place.name if place else ""
        in_memory = (self.catalog.get(name) for name in result.names)
        if found := file.good or next((one for one in in_memory if one and one.project == project), None):
            return found
        saved = self._saved or {}
        name = next((name for name in result.names if saved.get(_saved_as(project, name))), "")
        if not name:
            return None
        text = saved[_saved_as(project, name)]
        try:
            loaded, _ = self._loads[file.place](text, f"{result.source} (last good version)")
        except BadPlaybook as exc:
            errors += exc.problems
            return None
        return loaded if loaded.playbook.name == name else None

    def _recall(self, errors: list[Problem]) -> None:
        """Read what is saved, once. While that fails it is tried at every scan."""
        if self._saved is not None or self._last_good is None:
            return
        try:
            self._saved = dict(self._last_good.load())
        except Exception as exc:  # the store's errors are the caller's own; none of them may stop a reload
            hint = "Broken files have no last good version until it is."
            errors.append(Problem("last good versions", 0, 0, "", f"not readable: {_text(exc)}", hint))

    def _save(self, good: Mapping[str, FileResult], errors: list[Problem]) -> None:
        """Save what is new, forget what was removed; while anything is broken nothing counts as removed."""
        if self._saved is None or self._last_good is None:
            return
        wanted = {
            _saved_as(result.loaded.project, name): (result.text, result.loaded.hash)
            for name, result in good.items()
            if result.loaded
        }
        if not errors:
            in_force = {_saved_as(loaded.project, loaded.playbook.name) for loaded in self.catalog}
            wanted |= {name: ("", "") for name in self._saved if name not in in_force}
        for name, (text, content_hash) in wanted.items():
            if self._saved.get(name, "") == text:
                continue
            try:
                self._last_good.save(name, text, content_hash)
            except Exception as exc:  # as above
                hint = "It is tried again at the next scan."
                errors.append(Problem("last good versions", 0, 0, "", f"{name} not saved: {_text(exc)}", hint))
            else:
                self._saved[name] = text


def _saved_as(project: str, name: str) -> str:
    """What a last good version is called where it is kept: no project gets another one's."""
    return f"{project}/{name}" if project else name


def _text(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
