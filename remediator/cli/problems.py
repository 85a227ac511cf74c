"""How a command ends when it cannot do what it was told."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

FINE, NO, WRONG_USE = 0, 1, 2


class Problem(Exception):
    """Said on stderr in one or two lines. `advice` is what to do about it."""

    def __init__(self, message: str, *, advice: str = "", code: int = WRONG_USE) -> None:
        super().__init__(message)
        self.advice = advice
        self.code = code


class Commands(TyperGroup):
    """The one place where problems of all commands become words and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            print(f"remediator: {problem}", file=sys.stderr)
            if problem.advice:
                print(f"  {problem.advice}", file=sys.stderr)
            raise typer.Exit(problem.code) from problem
