"""Environments: the same playbook may do less in production than in development. Part of the operator's policy.

Pure. Which environment a target is in is decided once, when the playbook is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, model_validator

from remediator.alerts.matchers import InvalidMatcher, matches_all, parse_matchers
from remediator.playbooks.fields import Mode, PlaybookName, Strict, complaint, from_yaml
from remediator.playbooks.globs import matches_any
from remediator.playbooks.limits import Blocker, Numbers, limited
from remediator.playbooks.limits_table import refused, shown
from remediator.playbooks.promql_text import syntax_problem
from remediator.playbooks.windows_model import Windows

ANY, REVERSIBLE = WORDS = ("any", "reversible")
"""Words of `auto` beside the names of actions: everything, and what can be taken back."""
MOST_APPROVERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and about what: all that the policy looks at.

    `namespace` is the target's, empty for objects outside any. `labels` are those of the primary alert, `severity` its
    severity as it came. `environment` was decided before (empty = none matched); None = to be decided by the rest.
    `highest` is the highest mode of the playbook's project.
    """

    cluster: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    severity: str = ""
    environment: str | None = None
    highest: Mode | None = None


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _auto(value: Any, info: ValidationInfo) -> Any:
    """One word, or a list of words."""
    if value is None and not from_yaml(info):
        return None
    if refused(value) and value != ANY:
        raise complaint(
            f"auto cannot be {shown(value)}", "Where nothing may run by itself, write mode_ceiling: approve."
        )
    listed = tuple(_listed(value))
    for word in listed:
        if not isinstance(word, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", word):
            raise complaint(f"{word!r:.60} is no action", "Write any, reversible, or names of actions.")
    if not listed:
        raise complaint("an empty list", "Where nothing may run by itself, write mode_ceiling: approve.")
    if ANY in listed and len(listed) > 1:
        raise complaint("any together with others", "Write auto: any, or leave it out of the list.")
    return listed


def _quorum(value: Any, info: ValidationInfo) -> Any:
    if value is None and not from_yaml(info):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_APPROVERS:
        raise complaint(
            f"{shown(value)} is no number of approvers",
            f"The nearest allowed value is 1; the ceiling is at most {MOST_APPROVERS}.",
        )
    return value


def _query(value: Any) -> Any:
    if isinstance(value, str) and "${" in value:
        raise complaint("it is asked as it stands", "Write the value of ${...} out.")
    if isinstance(value, str) and value and (problem := syntax_problem(value)):
        raise complaint(f"{value!r:.80} is no PromQL: {problem}", "Try it in Prometheus first.")
    return value


Quorum = Annotated[int | None, BeforeValidator(_quorum)]


class Rules(Strict):
    """What an operator can say for everything, and again for one environment. None = not said here."""

    mode_ceiling: Mode | None = None
    """The highest mode of any playbook here."""
    auto: Annotated[tuple[str, ...] | None, BeforeValidator(_auto)] = None
    """What may run by itself where playbook and ceiling say auto: `any`, or `reversible` (every effect has an inverse)
    and names of actions. Everything else asks."""
    quorum: Quorum = None
    """The smallest number of approvers."""
    quorum_data: Quorum = None
    """The same for actions that change data or cannot be taken back; two where nobody says so."""
    overload: Annotated[str, BeforeValidator(_query)] = ""
    """PromQL that returns something while there is no capacity to spare."""
    blockers: Annotated[tuple[Blocker, ...], limited("blockers")] = ()
    windows: Annotated[Windows | None, limited("windows")] = None
    defaults: Annotated[Numbers, limited("numbers")] = Numbers()
    ceilings: Annotated[Numbers, limited("numbers")] = Numbers()


class Where(Strict):
    """Which places. All that is given must hold; of `clusters` and `namespaces` (with `*`) one, of `labels` all."""

    clusters: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    namespaces: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    labels: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Of the alert: matchers in Alertmanager syntax."""

    @model_validator(mode="after")
    def _somewhere(self) -> Where:
        if not (self.clusters or self.namespaces or self.labels):
            raise complaint(
                "matches every place", "Write clusters, namespaces or labels; the rest has the policy itself."
            )
        for text in self.labels:
            try:
                found = parse_matchers(text)
            except InvalidMatcher as exc:
                raise complaint(str(exc), 'Write it like environment="staging".') from None
            if not found:
                raise complaint(f"labels: {text!r:.60} matches every alert", 'Write it like environment="staging".')
        return self

    def holds(self, place: Place) -> bool:
        return (
            (not self.clusters or matches_any(self.clusters, place.cluster))
            and (not self.namespaces or (place.namespace != "" and matches_any(self.namespaces, place.namespace)))
            and all(matches_all(parse_matchers(text), place.labels) for text in self.labels)
        )

    def may_hold(self, cluster: str, namespace: str) -> bool:
        """Whether it could, for some alert; empty = not known yet."""
        return (not cluster or not self.clusters or matches_any(self.clusters, cluster)) and (
            not namespace or not self.namespaces or matches_any(self.namespaces, namespace)
        )

    def certain(self, cluster: str, namespace: str) -> bool:
        """Whether it must, whatever the alert."""
        return (
            not self.labels
            and (not self.clusters or (cluster != "" and matches_any(self.clusters, cluster)))
            and (not self.namespaces or (namespace != "" and matches_any(self.namespaces, namespace)))
        )

    def covers(self, other: Where) -> bool:
        """Whether it surely holds wherever the other one does. No means perhaps."""
        return (
            (not self.clusters or _all_in(other.clusters, self.clusters))
            and (not self.namespaces or _all_in(other.namespaces, self.namespaces))
            and self._matchers() <= other._matchers()
        )

    def _matchers(self) -> frozenset[str]:
        return frozenset(str(matcher) for text in self.labels for matcher in parse_matchers(text))


def _all_in(patterns: tuple[str, ...], wider: tuple[str, ...]) -> bool:
    """A star is like any other character here: only a star takes it."""
    return bool(patterns) and all(matches_any(wider, pattern) for pattern in patterns)


class Environment(Rules):
    """A list, because the order counts: the first one that matches."""

    name: PlaybookName
    match: Where


class Severity(Strict):
    """What holds for alerts of one severity."""

    defaults: Annotated[Numbers, limited("numbers")] = Numbers()


SEVERITIES: Mapping[str, str] = {
    **dict.fromkeys(("critical", "page", "emergency", "fatal", "sev1", "sev2", "p0", "p1", "p2"), "critical"),
    **dict.fromkeys(("error", "high", "major"), "error"),
    **dict.fromkeys(("warning", "warn", "minor", "sev3", "p3"), "warning"),
    **dict.fromkeys(("info", "informational", "notice", "none", "low", "sev4", "p4"), "info"),
}
"""What alerts say to what the policy says. Who counts from P0 has to move P1 and below one down."""
