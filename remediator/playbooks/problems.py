"""What is wrong with a playbook, said so that its author can repair it: where, what, and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from remediator.errors import InvalidPlaybook

FieldPath = tuple[str | int, ...]
"""Where in the content: `("steps", 0, "with", "to")`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` and `column` count from 1; 0 = the file as a whole. `field` is empty for the same."""

    source: str
    line: int
    column: int
    field: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        field = f" {self.field}:" if self.field else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{where}:{field} {_sentence(self.what)}{hint}"


class BadPlaybook(InvalidPlaybook):
    """A playbook file with everything that is wrong in it. `name` is the playbook's name, where it could be read."""

    def __init__(self, problems: Iterable[Problem], *, name: str = "") -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column, problem.field)))
        self.name = name
        super().__init__("\n".join(str(problem) for problem in self.problems))


def path_text(path: FieldPath) -> str:
    """`steps[0].with.to`"""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: the nearest known one, else all of them."""
    options = sorted(known)
    near = difflib.get_close_matches(word.lower(), options, n=1, cutoff=0.6)
    near = near or [option for option in options if option.lower() == word.lower()]
    if near:
        return f'Did you mean "{near[0]}"?'
    if not options:
        return "Remove it."
    return f"Known here: {', '.join(options)}."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
