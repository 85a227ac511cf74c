"""What loads and is nevertheless likely to be a mistake, over all playbooks at once. Pure; for `remediator check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from remediator.actions.base import Action
from remediator.playbooks.folder import FileResult
from remediator.playbooks.lint_alerts import matchers_of, matches_nothing, names_no_alert, overlaps, shadowed
from remediator.playbooks.lint_checks import conditions
from remediator.playbooks.lint_findings import Finding, Lines, Review, Severity
from remediator.playbooks.lint_queries import queries
from remediator.playbooks.lint_steps import (
    auto_without_proof,
    ladder,
    no_undo,
    pointless_report,
    pointless_steps,
    unproven_start,
)
from remediator.playbooks.model import LoadedPlaybook, Playbook
from remediator.playbooks.problems import FieldPath

__all__ = ["Finding", "Severity", "lines_of", "lint"]

RULES: tuple[Callable[[Review, Playbook], None], ...] = (
    names_no_alert,
    matches_nothing,
    overlaps,
    shadowed,
    auto_without_proof,
    no_undo,
    pointless_steps,
    unproven_start,
    pointless_report,
    ladder,
    queries,
    conditions,
)


def lint(
    playbooks: Sequence[LoadedPlaybook],
    *,
    actions: Mapping[str, Action[Any]],
    lines: Lines = lambda name, path: 0,
) -> tuple[Finding, ...]:
    """All findings, by source and line. `lines` finds the line of a field, see `lines_of`."""
    by_name = {one.playbook.name: one for one in playbooks}
    matchers = {name: matchers_of(one.playbook) for name, one in by_name.items()}
    found: list[Finding] = []
    for loaded in playbooks:
        review = Review(by_name, matchers, actions, lines, loaded, found)
        for rule in RULES:
            rule(review, loaded.playbook)
    return tuple(sorted(found, key=lambda one: (one.source, one.line, one.field, one.code)))


def lines_of(results: Iterable[FileResult]) -> Lines:
    """Lines from the files that `load_folder` has read."""
    documents = {result.name: result.document for result in results if result.document}

    def line(name: str, path: FieldPath) -> int:
        document = documents.get(name)
        return document.place(path).line if document else 0

    return line
