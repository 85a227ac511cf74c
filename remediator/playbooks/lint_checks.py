"""Lint: the CEL of checks that look at an object. Such an expression is evaluated as it stands: it knows `params`,
`alert`, `labels` and `target` by name, and nothing is filled into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediator.playbooks.expressions import ExpressionError, check_params, compile_expression
from remediator.playbooks.lint_findings import Review, Severity
from remediator.playbooks.model import Playbook
from remediator.playbooks.problems import FieldPath

CEL_OF: Mapping[str, tuple[str, ...]] = {"condition": ("is", "failed"), "created": ("is", "failed")}
"""Kind of check to the arguments that are CEL."""


def conditions(review: Review, playbook: Playbook) -> None:
    for path, kind, args in checks_of(playbook):
        for key in CEL_OF.get(kind, ()):
            text = args.get(key)
            if isinstance(text, str):
                _expression(review, playbook, (*path, key), text)


def _expression(review: Review, playbook: Playbook, at: FieldPath, text: str) -> None:
    if "${" in text:
        what = "nothing is filled into an expression, so this check never gives an answer"
        hint = "Write the name itself, without ${ }: params.name, labels.name, target.name."
        review.say(Severity.ERROR, "template-in-cel", at, what, hint)
        return
    try:
        check_params(compile_expression(text), playbook.params)
    except ExpressionError as exc:
        review.say(Severity.ERROR, "unknown-parameter", at, exc.what, exc.hint)


def checks_of(playbook: Playbook) -> Iterator[tuple[FieldPath, str, Mapping[str, Any]]]:
    """Every check with the path of its arguments: of the verification, of gates, of single steps."""
    for index, check in enumerate(playbook.verify.checks):
        yield ("verify", "checks", index, check.kind), check.kind, check.args
    for index, step in enumerate(playbook.steps):
        if step.check:
            yield ("steps", index, "check", step.check.kind), step.check.kind, step.check.args
    for index, step in enumerate(playbook.steps):
        for kind, args in (step.verify or {}).items():
            yield ("steps", index, "verify", kind), kind, args or {}
