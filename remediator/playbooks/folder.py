"""A folder of playbooks: which files count, reading them all at one moment, loading each by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from remediator.actions.base import Action
from remediator.playbooks.loader import guess_name, load_document
from remediator.playbooks.meaning import ArgsModels
from remediator.playbooks.model import LoadedPlaybook, Playbook
from remediator.playbooks.problems import BadPlaybook, Problem
from remediator.playbooks.projects import Project, in_project
from remediator.playbooks.projects import objections as objections_of
from remediator.playbooks.yaml_strict import MAX_TEXT, Document

SUFFIXES = (".yaml", ".yml")
CONFIGMAP_DATA = "..data"
"""The symlink that the kubelet swaps when a mounted ConfigMap changes; the files are links through it."""

_TRIES = 3

Signature = tuple[int | str, ...]
"""Device, inode, size and modification time (ns) of the file behind the links; of a ConfigMap its uid and version."""

Load = Callable[[str, str], tuple[LoadedPlaybook, Document]]
"""(text, source) to a playbook. Raises: BadPlaybook."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """One file as it was read. `data` None = not read, because the signature is a known one; `error` why it failed."""

    signature: Signature | None
    data: bytes | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file. `name` is the playbook's, as far as it could be read. `document` has all lines."""

    source: str
    name: str
    name_line: int = 0
    loaded: LoadedPlaybook | None = None
    text: str = ""
    problems: tuple[Problem, ...] = ()
    document: Document | None = field(default=None, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """What a broken file's playbook may be called, likeliest first: read, guessed from the text, the file's own."""
        return tuple(dict.fromkeys(name for name in (self.name, guess_name(self.text), _stem(self.source)) if name))


class Place(Protocol):
    """Where playbook files come from. `project` is whose they are; None where no projects are configured."""

    @property
    def project(self) -> Project | None: ...

    def source(self, name: str) -> str:
        """What people know the file by."""
        ...

    def read(self, known: Mapping[str, Signature]) -> Mapping[str, ReadFile]:
        """All files of one moment by name; those with a `known` signature need not be read. Raises: Unlisted."""
        ...


class Unlisted(Exception):
    """What is there cannot be listed; what was there stays in force. `where` is what people know the place by."""

    def __init__(self, where: str, what: str, hint: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where, self.what, self.hint = where, what, hint


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on disk. `alone`: no other place is read, so a file's own name says which one it is."""

    path: Path
    project: Project | None = None
    alone: bool = False
    read_bytes: Callable[[Path], bytes] = Path.read_bytes

    def source(self, name: str) -> str:
        return name if self.alone else str(self.path / name)

    def read(self, known: Mapping[str, Signature]) -> Mapping[str, ReadFile]:
        try:
            return read_files(self.path, known, self.read_bytes)
        except OSError as exc:
            what = f"the folder cannot be listed: {exc.strerror or type(exc).__name__}"
            hint = "Check that it exists and may be read; its playbooks stay as they are."
            raise Unlisted(str(self.path), what, hint) from exc


Objections = Callable[[Playbook], Sequence[str]]
"""What the operator's policy has against a playbook, a line each; empty = nothing."""


def no_objections(playbook: Playbook) -> Sequence[str]:
    return ()


def loader_for(
    actions: Mapping[str, Action[Any]],
    checks: ArgsModels,
    collectors: ArgsModels | None = None,
    objections: Objections = no_objections,
    project: Project | None = None,
) -> Load:
    """`load_document` with its registries filled in; what policy and project object to is an error like any other."""

    def load(text: str, source: str) -> tuple[LoadedPlaybook, Document]:
        loaded, document = load_document(text, source, actions=actions, checks=checks, collectors=collectors)
        found = (*objections(loaded.playbook), *(objections_of(loaded.playbook, project) if project else ()))
        if found:
            name = loaded.playbook.name
            raise BadPlaybook([Problem(source, 0, 0, "", what) for what in found], name=name)
        return in_project(loaded, project) if project else loaded, document

    return load


def load_folder(
    folder: Path,
    *,
    actions: Mapping[str, Action[Any]],
    checks: ArgsModels,
    collectors: ArgsModels | None = None,
) -> tuple[FileResult, ...]:
    """Every playbook of a folder, by file name; a bad file never hides the others. Subfolders are not looked at.

    Two playbooks of one name are an error in both files. Raises: OSError when the folder itself cannot be listed.
    """
    load = loader_for(actions, checks, collectors)
    files = read_files(folder, known={})
    return refuse_twins([load_file(read, name, load) for name, read in sorted(files.items())])


def read_files(
    folder: Path, known: Mapping[str, Signature], read: Callable[[Path], bytes] = Path.read_bytes
) -> dict[str, ReadFile]:
    """All playbook files of one moment, by file name. Files whose signature is `known` are not read again.

    In a mounted ConfigMap all files change together by one swap of a link. A reading that the swap overtook is made
    again, so that half of an update is never in force. Raises: OSError when the folder cannot be listed.
    """
    for _ in range(_TRIES):
        before = _data_link(folder)
        found = {name: _read_file(folder / name, known.get(name), read) for name in playbook_files(folder)}
        if _data_link(folder) == before:
            break
    return found


def playbook_files(folder: Path) -> list[str]:
    """Names ending in .yaml or .yml that do not begin with a dot (hidden, editor's, `..data`). Raises: OSError."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.endswith(SUFFIXES) and not entry.name.startswith(".") and not entry.is_dir()
        )


def load_file(read: ReadFile, source: str, load: Load) -> FileResult:
    """The playbook in what was read, or the problems."""
    stem = _stem(source)
    if read.error or read.data is None:
        problem = Problem(source, 0, 0, "", f"cannot be read: {read.error}", "Check the file and its permissions.")
        return FileResult(source, stem, problems=(problem,))
    try:
        text = read.data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = read.data.count(b"\n", 0, exc.start) + 1
        problem = Problem(source, line, 1, "", f"not UTF-8: {exc.reason}", "Save it as UTF-8.")
        return FileResult(source, stem, problems=(problem,))
    try:
        loaded, document = load(text, source)
    except BadPlaybook as exc:
        return FileResult(source, exc.name or stem, text=text, problems=exc.problems)
    line = document.place(("name",)).line
    return FileResult(source, loaded.playbook.name, line, loaded=loaded, text=text, document=document)


def refuse_twins(results: Iterable[FileResult]) -> tuple[FileResult, ...]:
    """The same results, but those that share a playbook name are errors: nobody can say which one is meant."""
    results = tuple(results)
    sources: dict[str, list[str]] = {}
    for result in results:
        if result.loaded:
            sources.setdefault(result.name, []).append(result.source)
    return tuple(_refused(result, sources[result.name]) if result.loaded else result for result in results)


def _refused(result: FileResult, sources: list[str]) -> FileResult:
    if len(sources) == 1:
        return result
    others = ", ".join(source for source in sources if source != result.source)
    what = f"the name {result.name} is also used by {others}"
    problem = Problem(result.source, result.name_line, 1, "name", what, "Rename one of them.")
    return FileResult(result.source, result.name, result.name_line, text=result.text, problems=(problem,))


def _stem(source: str) -> str:
    """Of `folder/NAME.yaml` and of `configmap NAMESPACE/MAP:NAME.yaml`."""
    return re.split("[/:]", source)[-1].rpartition(".")[0]


def _read_file(path: Path, known: Signature | None, read: Callable[[Path], bytes]) -> ReadFile:
    try:
        found = path.stat()
        signature = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if signature == known:
            return ReadFile(signature)
        if not path.is_file():  # a pipe would be waited for
            return ReadFile(None, error="not a regular file")
        if found.st_size > 4 * MAX_TEXT:
            return ReadFile(None, error=f"larger than {4 * MAX_TEXT // 1024} KiB")
        return ReadFile(signature, read(path))
    except OSError as exc:
        return ReadFile(None, error=exc.strerror or type(exc).__name__)


def _data_link(folder: Path) -> str:
    """Where the ConfigMap's link points; empty for ordinary folders."""
    try:
        return os.readlink(folder / CONFIGMAP_DATA)
    except OSError:
        return ""
