"""`check` and `schema`: is a playbook right before it is put in force. Needs no server and no cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remediator.cli.options import Output, OutputOption
from remediator.cli.problems import NO, Problem

if TYPE_CHECKING:  # what these import takes longer than `version` may
    from remediator.config import Config
    from remediator.guardrails.policy import Policy
    from remediator.playbooks.folder import FileResult
    from remediator.playbooks.projects import Project

OPERATORS = ("mode", ".zone")
"""Fields whose limit only the operator's config says."""
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
PathsArgument = Annotated[list[Path], typer.Argument(metavar="PATHS...", help="Playbook files, or folders of them.")]


@dataclass(frozen=True, slots=True)
class Line:
    """One finding as it is printed. `line` 0 = the file as a whole; `code` is stable, for filters."""

    file: str
    line: int
    severity: str
    code: str
    message: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def check(
    paths: PathsArgument,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Check against the ceilings and projects of this config."),
    ] = None,
    project: Annotated[
        str, typer.Option(metavar="NAME", help="The project of these playbooks; without it, that of their folder.")
    ] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Find mistakes in playbooks: what does not load, and what loads but is likely wrong. Exit code 1 on errors."""
    from rich.text import Text

    from remediator.cli.screen import count, plain, print_json, screen

    results = results_of(paths)
    operators = _config(config)
    found = {
        *_findings(results, _policy(operators)),
        *_refused(results, operators),
        *_outside(results, operators, project),
    }
    lines = sorted(found, key=lambda line: (line.file, line.line, line.message))
    errors = sum(line.severity == "error" for line in lines)
    warnings = sum(line.severity == "warning" for line in lines)
    if output is Output.JSON:
        print_json({"playbooks": len(results), "errors": errors, "findings": [asdict(line) for line in lines]})
    else:
        console = screen()
        for line in lines:
            severity = Text(line.severity, style=STYLES[line.severity])
            said = Text(": ").join((plain(line.place), severity, plain(line.message)))
            console.print(said, soft_wrap=True)  # a finding is one line, for editors and grep
        console.print(f"{count(len(results), 'playbook')}: {count(errors, 'error')}, {count(warnings, 'warning')}")
    if errors:
        raise typer.Exit(NO)


def schema(
    tests: Annotated[bool, typer.Option("--test", help="Of playbook tests, see `remediator test`.")] = False,
) -> None:
    """Print the JSON Schema of playbooks, for completion in editors."""
    from remediator.actions.registry import load_actions
    from remediator.cli.screen import print_json
    from remediator.playbook_tests.schema import schema_of_tests
    from remediator.playbooks.schema import playbook_schema

    if tests:
        print_json(schema_of_tests())
        return
    checks, collectors = _kinds()
    print_json(playbook_schema(load_actions(), checks, collectors))


def results_of(paths: Sequence[Path]) -> tuple[FileResult, ...]:
    """Every file, loaded. Raises: Problem for a path that is not there."""
    from remediator.actions.registry import load_actions
    from remediator.playbooks.folder import load_file, loader_for, read_files, refuse_twins

    load = loader_for(load_actions(), *_kinds())
    found: dict[str, FileResult] = {}
    for path in paths:
        folder = path if path.is_dir() else path.parent
        try:
            files = read_files(folder, known={})
        except OSError as exc:
            raise Problem(f"{path}: {exc.strerror}") from exc
        wanted = files if path.is_dir() else {name: read for name, read in files.items() if name == path.name}
        if not wanted:
            why = "no playbook in it" if path.is_dir() else "no such file" if not path.exists() else "no playbook file"
            raise Problem(f"{path}: {why}", advice="Playbooks are files that end in .yaml or .yml.")
        for name, read in wanted.items():
            found[str(folder / name)] = load_file(read, str(folder / name), load)
    return refuse_twins(found.values())


def _kinds() -> tuple[dict[str, Any], dict[str, Any]]:
    """The argument models of checks and of kinds of evidence."""
    from remediator.remediation.checks.registry import CHECKS
    from remediator.remediation.evidence import COLLECTORS

    return {n: kind.args for n, kind in CHECKS.items()}, {n: kind.args for n, kind in COLLECTORS.items()}


def _config(path: Path | None) -> Config | None:
    from remediator.actions.registry import load_actions
    from remediator.config import load_config
    from remediator.errors import InvalidConfig
    from remediator.guardrails.ceilings import policy_problems, unknown_words

    try:
        config = load_config(path) if path else None
    except InvalidConfig as exc:
        raise Problem(str(exc)) from exc
    if config and (problems := policy_problems(config.policy)):
        raise Problem("\n  ".join((f"{path}: policy:", *problems)))
    if config and (unknown := unknown_words(config.policy, load_actions())):
        raise Problem("\n  ".join((f"{path}:", *unknown)))
    return config


def _policy(config: Config | None) -> Policy:
    from remediator.guardrails.policy import Policy

    return config.policy if config else Policy()


def _outside(results: Sequence[FileResult], config: Config | None, name: str) -> Iterator[Line]:
    """What the projects have against the playbooks. Raises: Problem for a project that is not there."""
    from remediator.actions.registry import load_actions
    from remediator.playbooks.projects import objections, unknown_actions

    projects = {project.name: project for project in config.projects} if config else {}
    if name and name not in projects:
        advice = f"Known: {', '.join(projects)}." if projects else "Give --config with a file that has projects."
        raise Problem(f"no project is called {name!r}", advice=advice)
    if unknown := unknown_actions(tuple(projects.values()), load_actions()):
        raise Problem("\n".join(unknown))
    owners = {one.name: _owner(one, projects, name) for one in results if one.loaded} if projects else {}
    for result in results:
        if result.loaded is None or result.name not in owners:
            continue
        project = owners[result.name]
        if project is None:
            said = "its folder is none of a project's, so it would not be loaded; say which project with --project"
            yield Line(result.source, 0, "error", "no-project", said)
            continue
        found = list(objections(result.loaded.playbook, project))
        for index, rung in enumerate(result.loaded.playbook.escalate):
            other = owners.get(rung.playbook)
            if other is not None and other is not project:
                found.append(f"escalate[{index}].playbook: {rung.playbook} belongs to project {other.name}")
        for problem in found:
            yield Line(result.source, _line(result, problem), "error", "outside-project", _sentences(problem))


def _owner(result: FileResult, projects: Mapping[str, Project], name: str) -> Project | None:
    if name:
        return projects[name]
    folder = Path(result.source).resolve().parent
    return next((p for p in projects.values() if folder in [f.resolve() for f in p.playbooks.folders]), None)


def _refused(results: Sequence[FileResult], config: Config | None) -> Iterator[Line]:
    """What the service would not load. Without a config only what no operator could allow is an error."""
    from remediator.guardrails.ceilings import over_ceiling
    from remediator.not_here import not_here
    from remediator.playbooks.unsupported import unsupported

    policy = _policy(config)
    for result in results:
        if result.loaded is None:
            continue
        playbook = result.loaded.playbook
        for problem in over_ceiling(playbook, policy):
            up_to_them = config is None and problem.partition(":")[0].endswith(OPERATORS)
            severity = "warning" if up_to_them else "error"
            yield Line(result.source, _line(result, problem), severity, "over-ceiling", _sentences(problem))
        for problem in unsupported(playbook):
            yield Line(result.source, _line(result, problem), "error", "unsupported", _sentences(problem))
        for problem in not_here(playbook, config) if config else ():
            yield Line(result.source, _line(result, problem), "error", "not-here", _sentences(problem))


def _line(result: FileResult, problem: str) -> int:
    """Where the field stands that a problem begins with: `steps[0].action: ...`."""
    name = problem.partition(":")[0]
    path = tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", name))
    return result.document.place(path).line if result.document else result.name_line


def _findings(results: Sequence[FileResult], policy: Policy) -> Iterator[Line]:
    from remediator.actions.registry import load_actions
    from remediator.guardrails.policy import limits_in_force
    from remediator.guardrails.words import many
    from remediator.playbooks.lint import lines_of, lint

    for result in results:
        for p in result.problems:
            said = f"{p.field}: {p.what}" if p.field else p.what
            yield Line(result.source, p.line, "error", "invalid", _sentences(said, p.hint))
        if result.loaded is None:
            continue
        targets, most = result.loaded.playbook.targets, limits_in_force(result.loaded.playbook, policy).max_targets
        if targets is not None and targets.max > most:
            said = f"targets.max: {targets.max}, but max_targets is {most}: more than {many(most, 'target')} is denied"
            hint = f"Write guardrails: {{max_targets: {targets.max}}}, or targets.max: {most}"
            yield Line(result.source, _line(result, said), "warning", "max-targets", _sentences(said, hint))
    loaded = [result.loaded for result in results if result.loaded]
    for found in lint(loaded, actions=load_actions(), lines=lines_of(results)):
        said = f"{found.field}: {found.what}" if found.field else found.what
        yield Line(found.source, found.line, found.severity.value, found.code, _sentences(said, found.hint))


def _sentences(*texts: str) -> str:
    return " ".join(text if text.endswith((".", "?", "!")) else f"{text}." for text in texts if text)
