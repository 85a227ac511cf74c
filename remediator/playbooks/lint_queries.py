"""Lint: PromQL of checks and blockers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.playbooks.lint_checks import checks_of
from remediator.playbooks.lint_findings import Review, Severity
from remediator.playbooks.model import Playbook
from remediator.playbooks.problems import FieldPath
from remediator.playbooks.promql_text import has_division, syntax_problem, unscoped
from remediator.playbooks.templates import has_template

QUERIES_OF: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "promql": (("query",), ("on_empty", "while")),
    "replication_healthy": (("query",),),
}
"""Kind of check to the arguments that are PromQL."""


def queries(review: Review, playbook: Playbook) -> None:
    for path, kind, args in checks_of(playbook):
        for keys in QUERIES_OF.get(kind, ()):
            query = _dig(args, keys)
            if isinstance(query, str) and query:
                bare = kind == "promql" and keys == ("query",) and "on_empty" not in args
                _query(review, playbook, (*path, *keys), query, bare=bare, proof=keys[-1] == "while")
    for index, blocker in enumerate(playbook.guardrails.blockers):
        if blocker.promql and _has_namespace(playbook) and (metrics := unscoped(blocker.promql)):
            what = f"{', '.join(metrics)} is taken from all namespaces, so trouble anywhere blocks this playbook"
            hint = "Say so in the blocker's name if you mean it, or add namespace to the selector."
            at = ("guardrails", "blockers", index, "promql")
            if not blocker.name:
                review.say(Severity.NOTE, "blocker-everywhere", at, what, hint)


def _query(review: Review, playbook: Playbook, at: FieldPath, query: str, *, bare: bool, proof: bool) -> None:
    """`bare`: nothing says what an empty result means. `proof`: it shows that somebody scrapes, which may be said of
    everything."""
    if problem := syntax_problem(query):
        review.say(Severity.ERROR, "promql-syntax", at, f"not PromQL: {problem}", "Try it in Prometheus first.")
        return
    if bare and has_division(query):
        what = "a bare ratio: without traffic it is empty or NaN, which proves nothing"
        hint = "Add on_empty: {value: 0, while: '<query that proves scraping>'}, or use error_ratio."
        review.say(Severity.WARNING, "bare-ratio", at, what, hint)
    if not proof and _has_namespace(playbook) and (metrics := unscoped(query)):
        what = f"{', '.join(metrics)} is taken from all namespaces"
        review.say(Severity.WARNING, "no-namespace", at, what, 'Add namespace="${target.namespace}".')


def _dig(args: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        args = args.get(key) if isinstance(args, Mapping) else None
    return args


def _has_namespace(playbook: Playbook) -> bool:
    """Nodes have none; what an alert is about usually has one."""
    target = playbook.target
    if target is None or isinstance(target, str):
        return True
    return has_template(target.namespace) or bool(target.namespace)
