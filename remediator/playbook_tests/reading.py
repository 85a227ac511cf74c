"""From the text of a test file to its tests and playbooks, or to everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from remediator.actions.base import Action
from remediator.freeze_calendars import unknown_calendars
from remediator.guardrails.ceilings import over_ceiling, policy_problems, unknown_words
from remediator.guardrails.policy import Policy
from remediator.playbook_tests.model import Scene, Story, TestFile, told
from remediator.playbook_tests.prometheus import series_labels
from remediator.playbooks.fields import FROM_YAML
from remediator.playbooks.folder import FileResult, load_file, loader_for, playbook_files, read_files, refuse_twins
from remediator.playbooks.model import LoadedPlaybook, Mode
from remediator.playbooks.problems import FieldPath, Problem, path_text
from remediator.playbooks.projects import Project, in_project
from remediator.playbooks.projects import objections as project_objections
from remediator.playbooks.shape import complaints
from remediator.playbooks.unsupported import unsupported
from remediator.playbooks.yaml_strict import MAX_TEXT, Document, YamlError, load_strict
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.evidence import COLLECTORS

HERE = "tests"
"""A folder of this name lies beside the playbooks that it is about."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test, ready to be run. `line` is where it stands, `lines` where its parts do."""

    source: str
    line: int
    story: Story
    playbooks: tuple[LoadedPlaybook, ...]
    project: Project | None
    document: Document
    index: int

    def line_of(self, part: str, number: int) -> int:
        """Of an item of `expect` or `happens`, also where it stands among the defaults."""
        written = ("tests", self.index, part, number)
        shared = ("defaults", part, number)
        return self.document.place(shared if part not in self.document.content["tests"][self.index] else written).line


class BadTestFile(Exception):
    """`problems` is everything that is wrong with a file, or with the playbooks that it names."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def files_at(path: Path) -> list[Path]:
    """The files behind a path. Raises: OSError."""
    return [path / name for name in playbook_files(path)] if path.is_dir() else [path]


def read_cases(path: Path, actions: Mapping[str, Action[Any]], text: str | None = None) -> list[Case]:
    """All tests of a file, `text` in place of what is in it. Raises: BadTestFile, with everything that is wrong."""
    source = str(path)
    document = _document(source, _text(path) if text is None else text)
    file = _file(source, document)
    playbooks = tuple(_playbooks(source, document, path, file, actions))
    cases, problems = [], []
    for index, story in enumerate(file.tests):
        full = told(story, file.defaults)
        line = document.place(("tests", index, "name")).line
        path_here: FieldPath = ("tests", index)

        def wrong(what: str, *parts: str | int, at: FieldPath = path_here) -> None:
            place = document.place((*at, *parts))
            problems.append(Problem(source, place.line, place.column, path_text((*at, *parts)), what))

        project = _project(full, wrong)
        loaded = [_as_tested(one, full, project) for one in playbooks]
        for what in _objections(full, loaded, project, actions):
            wrong(what, "config")
        for number, metric in enumerate(full.metrics):
            if metric.series and (what := selector_problem(metric.series)):
                wrong(what, "metrics", number)
        cases.append(Case(source, line, full, tuple(loaded), project, document, index))
    names = [story.name for story in file.tests]
    for index, name in enumerate(names):
        if name in names[:index]:
            place = document.place(("tests", index, "name"))
            problems.append(
                Problem(source, place.line, place.column, "name", f"{name!r} is there twice", "Rename one.")
            )
    if problems:
        raise BadTestFile(problems)
    return cases


def selector_problem(series: str) -> str:
    try:
        series_labels(series)
    except ValueError as exc:
        return f'{exc}; write it like queue_depth{{namespace="shop"}}'
    return ""


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > 4 * MAX_TEXT:
            raise BadTestFile([Problem(str(path), 0, 0, "", f"larger than {4 * MAX_TEXT // 1024} KiB")])
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        raise BadTestFile([Problem(str(path), 0, 0, "", f"cannot be read: {why}")]) from None


def _document(source: str, text: str) -> Document:
    try:
        document = load_strict(text)
    except YamlError as exc:
        raise BadTestFile(
            [Problem(source, p.place.line, p.place.column, p.field, p.what, p.hint) for p in exc.problems]
        ) from None
    if not isinstance(document.content, Mapping):
        raise BadTestFile([Problem(source, 1, 1, "", "a test file is a mapping (key: value)", "Begin with `tests:`.")])
    return document


def _file(source: str, document: Document) -> TestFile:
    try:
        return TestFile.model_validate(document.content, by_name=False, by_alias=True, context={FROM_YAML: True})
    except ValidationError as exc:
        found = []
        for path, what, hint in complaints(exc, document.content, TestFile):
            place = document.place(path)
            found.append(Problem(source, place.line, place.column, path_text(path), what, hint))
        raise BadTestFile(found) from None


# --- playbooks


def _playbooks(
    source: str, document: Document, path: Path, file: TestFile, actions: Mapping[str, Action[Any]]
) -> Iterator[LoadedPlaybook]:
    """Raises: BadTestFile."""
    named = [path.parent / name for name in file.playbooks]
    if not named and path.resolve().parent.name == HERE:
        named = [path.parent.parent]
    if not named:
        what = "which playbooks are tested is not said, and the file does not lie in a folder called tests"
        raise BadTestFile([Problem(source, 1, 1, "playbooks", what, "Add `playbooks: [FILE or FOLDER]`.")])
    checks = {name: kind.args for name, kind in CHECKS.items()}
    load = loader_for(actions, checks, {name: kind.args for name, kind in COLLECTORS.items()})
    found: dict[str, FileResult] = {}
    for number, where in enumerate(named):
        folder = where if where.is_dir() else where.parent
        try:
            files = read_files(folder, known={})
        except OSError as exc:
            raise BadTestFile([_missing(source, document, number, f"{where}: {exc.strerror}")]) from None
        wanted = files if where.is_dir() else {name: read for name, read in files.items() if name == where.name}
        if not wanted:
            raise BadTestFile([_missing(source, document, number, f"{where}: no playbook there")])
        for name, read in wanted.items():
            found[str(folder / name)] = load_file(read, str(folder / name), load)
    results = refuse_twins(found.values())
    if problems := [problem for result in results for problem in result.problems]:
        raise BadTestFile(problems)
    yield from (result.loaded for result in results if result.loaded)


def _missing(source: str, document: Document, number: int, what: str) -> Problem:
    place = document.place(("playbooks", number))
    return Problem(source, place.line, place.column, f"playbooks[{number}]", what, "Paths begin where this file is.")


def policy_of(scene: Scene) -> Policy:
    """The operator's. Where the config gives no ceiling, every mode counts as it is written."""
    policy = scene.config.policy
    return (
        policy if "mode_ceiling" in policy.model_fields_set else policy.model_copy(update={"mode_ceiling": Mode.AUTO})
    )


def _as_tested(loaded: LoadedPlaybook, scene: Scene, project: Project | None) -> LoadedPlaybook:
    if scene.mode is not None:
        playbook = loaded.playbook.model_copy(update={"mode": scene.mode})
        loaded = loaded.model_copy(update={"playbook": playbook})
    return in_project(loaded, project) if project else loaded


def _project(scene: Scene, wrong: Callable[..., None]) -> Project | None:
    raw = scene.config.project
    if raw is None:
        return None
    try:
        return Project.model_validate(
            {"playbooks": {"folders": ["."]}, "clusters": [scene.config.cluster], **raw}, context={FROM_YAML: True}
        )
    except ValidationError as exc:
        for path, what, hint in complaints(exc, dict(raw), Project):
            wrong(f"{what} {hint}".strip(), "config", "project", *path)
        return None


def _objections(
    scene: Scene, playbooks: Sequence[LoadedPlaybook], project: Project | None, actions: Mapping[str, Action[Any]]
) -> Iterator[str]:
    """What the service itself would refuse to start with."""
    policy = policy_of(scene)
    yield from policy_problems(policy)
    yield from unknown_words(policy, actions)
    for loaded in playbooks:
        one = loaded.playbook
        said = (
            *unsupported(one),
            *over_ceiling(one, policy),
            *unknown_calendars(one.guardrails.windows, (), "guardrails.windows"),
            *(project_objections(one, project) if project else ()),
        )
        yield from (f"playbook {one.name}: {what}" for what in said)
