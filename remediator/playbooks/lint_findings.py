"""What lint says, and the sheet it is written on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from remediator.actions.base import Action
from remediator.alerts.matchers import Matcher
from remediator.playbooks.model import LoadedPlaybook
from remediator.playbooks.problems import FieldPath, path_text


class Severity(StrEnum):
    """`error`: it will not do what its author thinks. `warning`: it may do harm, or nothing. `note`: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark about one playbook. `code` is stable, for filters; `line` is 0 where the file is not at hand."""

    severity: Severity
    code: str
    playbook: str
    source: str
    line: int
    field: str
    what: str
    hint: str

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source or self.playbook
        at = f" {self.field}:" if self.field else ""
        return f"{where}:{at} {self.what}. {self.hint} [{self.severity} {self.code}]"


Lines = Callable[[str, FieldPath], int]
"""(playbook name, path) to the line in its file; 0 = not known."""


@dataclass(slots=True)
class Review:
    """One run of lint. `subject` is the playbook that the rule at work is looking at."""

    playbooks: Mapping[str, LoadedPlaybook]
    matchers: Mapping[str, tuple[Matcher, ...]]
    """By playbook name, parsed once: pairs of playbooks are compared."""
    actions: Mapping[str, Action[Any]]
    lines: Lines
    subject: LoadedPlaybook
    found: list[Finding] = field(default_factory=list)

    def say(self, severity: Severity, code: str, path: FieldPath, what: str, hint: str) -> None:
        name = self.subject.playbook.name
        line = self.lines(name, path)
        finding = Finding(severity, code, name, self.subject.source, line, path_text(path), what, hint)
        self.found.append(finding)
