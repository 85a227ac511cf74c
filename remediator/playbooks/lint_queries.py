"""Lint: PromQL of checks and blockers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediator.playbooks.lint_findings import Review, Severity
from remediator.playbooks.model import Check, Playbook
from remediator.playbooks.problems import FieldPath
from remediator.playbooks.promql_text import has_division, syntax_problem, unscoped
from remediator.playbooks.templates import has_template


def queries(review: Review, playbook: Playbook) -> None:
    for path, args in _promql_checks(playbook):
        query = args.get("query")
        if not isinstance(query, str):
            continue
        at = (*path, "query")
        if problem := syntax_problem(query):
            review.say(Severity.ERROR, "promql-syntax", at, f"not PromQL: {problem}", "Try it in Prometheus first.")
            continue
        if has_division(query) and "on_empty" not in args:
            what = "a bare ratio: without traffic it is empty or NaN, which proves nothing"
            hint = "Add on_empty: {value: 0, while: '<query that proves scraping>'}, or use error_ratio."
            review.say(Severity.WARNING, "bare-ratio", at, what, hint)
        if _has_namespace(playbook) and (metrics := unscoped(query)):
            what = f"{', '.join(metrics)} is taken from all namespaces"
            hint = 'Add namespace="${target.namespace}".'
            review.say(Severity.WARNING, "no-namespace", at, what, hint)
    for index, blocker in enumerate(playbook.guardrails.blockers):
        if blocker.promql and _has_namespace(playbook) and (metrics := unscoped(blocker.promql)):
            what = f"{', '.join(metrics)} is taken from all namespaces, so trouble anywhere blocks this playbook"
            hint = "Say so in the blocker's name if you mean it, or add namespace to the selector."
            at = ("guardrails", "blockers", index, "promql")
            if not blocker.name:
                review.say(Severity.NOTE, "blocker-everywhere", at, what, hint)


def _promql_checks(playbook: Playbook) -> Iterator[tuple[FieldPath, Mapping[str, Any]]]:
    named: list[tuple[FieldPath, Check]] = [
        (("verify", "checks", index), check) for index, check in enumerate(playbook.verify.checks)
    ]
    named += [(("steps", index, "check"), step.check) for index, step in enumerate(playbook.steps) if step.check]
    for path, check in named:
        if check.kind == "promql":
            yield (*path, "promql"), check.args
    for index, step in enumerate(playbook.steps):
        for kind, args in (step.verify or {}).items():
            if kind == "promql":
                yield ("steps", index, "verify", "promql"), args


def _has_namespace(playbook: Playbook) -> bool:
    """Nodes have none; what an alert is about usually has one."""
    target = playbook.target
    if target is None or isinstance(target, str):
        return True
    return has_template(target.namespace) or bool(target.namespace)
