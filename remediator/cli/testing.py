"""`test`: play the tests that lie beside playbooks, on the simulated cluster. Needs no server and no cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remediator.cli.options import Output, OutputOption
from remediator.cli.problems import NO, WRONG_USE, Problem

if TYPE_CHECKING:  # what these import takes longer than `version` may
    from rich.console import Console

    from remediator.playbook_tests.reading import Case
    from remediator.playbook_tests.record import Record
    from remediator.playbook_tests.running import Result

DEFAULT = Path("playbooks/tests")
TIMELINE = 60
WIDTH = 240
"""Lines shown of a test that failed, and characters of each; -v and the JSON have all."""
STYLES = {
    "alert": "yellow",
    "happens": "cyan",
    "effect": "bold magenta",
    "chat": "dim",
    "pager": "red",
    "prometheus": "bold yellow",
}


def run_tests(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATHS]...", help=f"Test files, or folders of them. [{DEFAULT}]")
    ] = None,
    only: Annotated[
        str, typer.Option("-k", metavar="TEXT", help="Only tests with this text in their name or file.")
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="The timeline of every test.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Play playbook tests in virtual time on a simulated cluster. Exit code 1 if one fails, 2 if a file is wrong."""
    from remediator.actions.registry import load_actions
    from remediator.cli.screen import count, plain, print_json, screen
    from remediator.playbook_tests.running import run_case

    actions = load_actions()
    cases = [case for case in _cases(paths or [DEFAULT], actions, output) if only.lower() in _text_of(case)]
    if not cases:
        raise Problem("there is no test to play", advice="Leave out -k, or give other paths." if only else "")
    console = screen()
    results = []
    began = time.perf_counter()
    for case in cases:
        result = run_case(case, actions)
        results.append(result)
        if output is Output.TEXT:
            mark = "passed" if result.passed else "FAILED"
            named = plain(f"{mark} {case.source}: {case.story.name}", "" if result.passed else "bold red")
            console.print(named, soft_wrap=True)
            _print_failures(console, result)
            if verbose or not result.passed:
                _print_timeline(console, result.record, whole=verbose)
    failed = sum(not result.passed for result in results)
    if output is Output.JSON:
        print_json({"tests": len(results), "failed": failed, "results": [_view(result) for result in results]})
    else:
        console.print(f"{count(len(results), 'test')}: {failed} failed, in {time.perf_counter() - began:.1f} s")
    if failed:
        raise typer.Exit(NO)


def _cases(paths: Sequence[Path], actions: Any, output: Output) -> list[Case]:
    """Every test of these files. Ends the command when one of the files is wrong; nothing is played then."""
    from remediator.cli.screen import plain, print_json, screen
    from remediator.playbook_tests.reading import BadTestFile, files_at, read_cases

    cases: list[Case] = []
    problems: list[Any] = []
    for path in paths:
        try:
            files = files_at(path)
        except OSError as exc:
            raise Problem(f"{path}: {exc.strerror}") from exc
        for file in files:
            try:
                cases += read_cases(file, actions)
            except BadTestFile as exc:
                problems += exc.problems
    if not problems:
        return cases
    if output is Output.JSON:
        fields = ("source", "line", "field", "what", "hint")
        print_json({"problems": [{name: getattr(p, name) for name in fields} for p in problems]})
    else:
        for problem in problems:
            screen().print(plain(str(problem)), soft_wrap=True)
    raise typer.Exit(WRONG_USE)


def _text_of(case: Case) -> str:
    return f"{case.source} {case.story.name}".lower()


def _print_failures(console: Console, result: Result) -> None:
    for failure in result.failures:
        _say(console, f"  {result.case.source}:{failure.line}: ", f"expected: {failure.expected}")
        for number, line in enumerate(failure.happened.splitlines() or [""]):
            _say(console, "    " if number else "    happened: ", line)


def _print_timeline(console: Console, record: Record, *, whole: bool) -> None:
    from remediator.people.markup import short
    from remediator.playbook_tests.times import clock_text

    lines = record.timeline if whole else record.timeline[:TIMELINE]
    for line in lines:
        text = line.text if whole else short(line.text, WIDTH)
        _say(console, f"    {clock_text(line.at):>8}  {line.source:<10} ", text, STYLES.get(line.source, ""))
    if len(lines) < len(record.timeline):
        _say(console, "    ", f"... and {len(record.timeline) - len(lines)} lines more; -v shows all")


def _say(console: Console, head: str, text: str, style: str = "") -> None:
    from rich.text import Text

    from remediator.cli.screen import plain

    console.print(Text(head, "dim") + plain(text, style), soft_wrap=True)


def _view(result: Result) -> dict[str, Any]:
    case = result.case
    return {
        "file": case.source,
        "line": case.line,
        "name": case.story.name,
        "passed": result.passed,
        "failures": [{"line": f.line, "expected": f.expected, "happened": f.happened} for f in result.failures],
        "timeline": [
            {"at_s": round(line.at, 3), "source": line.source, "text": line.text} for line in result.record.timeline
        ],
    }
