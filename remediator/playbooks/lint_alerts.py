"""Lint: which alerts a playbook gets, and whether it ever gets any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from remediator.alerts.matchers import Matcher, parse_matchers
from remediator.playbooks.expressions import Environment, ExpressionError, compile_expression
from remediator.playbooks.lint_findings import Review, Severity
from remediator.playbooks.model import Playbook


def matchers_of(playbook: Playbook) -> tuple[Matcher, ...]:
    """Empty for one that no alert starts."""
    if playbook.match is None:
        return ()
    return tuple(matcher for text in playbook.match.alerts for matcher in parse_matchers(text))


def _values(matchers: Sequence[Matcher]) -> dict[str, frozenset[str]]:
    """Per label the finite set of values that all matchers on it allow."""
    found: dict[str, frozenset[str]] = {}
    for matcher in matchers:
        if matcher.alternatives is not None:
            found[matcher.name] = found.get(matcher.name, matcher.alternatives) & matcher.alternatives
    return found


def names_no_alert(review: Review, playbook: Playbook) -> None:
    if playbook.match is None:
        return
    matchers = review.matchers[playbook.name]
    if not any(matcher.name == "alertname" and matcher.op in ("=", "=~") for matcher in matchers):
        what = "matches alerts of any name, also of rules written later"
        review.say(Severity.WARNING, "any-alertname", ("match", "alerts"), what, 'Add alertname="...".')


def matches_nothing(review: Review, playbook: Playbook) -> None:
    if playbook.match is None:
        return
    matchers = review.matchers[playbook.name]
    for label in _values(matchers):
        if not _possible(matchers, label):
            what = f"no value of {label} fits all matchers, so no alert ever matches"
            review.say(Severity.ERROR, "matches-nothing", ("match", "alerts"), what, "Remove one of them.")
    if always_false := _constant_false(playbook.match.when):
        hint = "Ask about alert, target or params."
        review.say(Severity.ERROR, "never-runs", ("match", "when"), always_false, hint)


def _constant_false(text: str) -> str:
    """Why a condition without any variable can never hold; empty for all others."""
    if not text.strip():
        return ""
    when = compile_expression(text)
    if when.roots:
        return ""
    try:
        holds = Environment(None, datetime.fromtimestamp(0, UTC)).scope(params={}).holds(when)
    except ExpressionError as exc:
        return f"this condition can never be evaluated: {exc.what}"
    return "" if holds else "this condition is always false, so the playbook never runs"


def overlaps(review: Review, playbook: Playbook) -> None:
    """Equal priority denies at run time, so it is worth finding; each pair is told once, at the later name."""
    if playbook.match is None:
        return
    mine = review.matchers[playbook.name]
    for other in review.playbooks.values():
        one = other.playbook
        if one.match is None or one.name >= playbook.name or one.match.status != playbook.match.status:
            continue
        if one.priority != playbook.priority or not _may_share(review.matchers[one.name], mine):
            continue
        same = set(review.matchers[one.name]) == set(mine)
        certain = same and not (one.match.when or playbook.match.when)
        severity, code = (Severity.ERROR, "overlap") if certain else (Severity.WARNING, "possible-overlap")
        doing = "matches the same alerts as" if same else "may match an alert together with"
        what = f"{doing} {one.name}, with the same priority {playbook.priority}"
        hint = "With equal priority neither runs; give one of them a higher priority."
        review.say(severity, code, ("priority",) if playbook.priority else ("match", "alerts"), what, hint)


def _may_share(one: Sequence[Matcher], other: Sequence[Matcher]) -> bool:
    """Whether one alert could match both: certain no only by a label whose finite values do not meet.

    Two playbooks without a common alertname are not reported: nearly every pair of them could meet in some alert.
    """
    both = (*one, *other)
    if not all("alertname" in _values(side) for side in (one, other)):
        return set(one) == set(other)
    return all(_possible(both, label) for label in _values(both))


def _possible(matchers: Sequence[Matcher], label: str) -> set[str]:
    """The values of a label (one with a finite set of them) that fit all matchers."""
    on_label = [matcher for matcher in matchers if matcher.name == label]
    return {value for value in _values(on_label)[label] if all(one.matches({label: value}) for one in on_label)}


def shadowed(review: Review, playbook: Playbook) -> None:
    if playbook.match is None:
        return
    mine = set(review.matchers[playbook.name])
    for other in review.playbooks.values():
        one = other.playbook
        if one.match is None or one.match.when or one.match.status != playbook.match.status:
            continue
        if one.priority <= playbook.priority:
            continue
        if set(review.matchers[one.name]) <= mine and one.name != playbook.name:
            what = f"never chosen: {one.name} matches all of its alerts with priority {one.priority}"
            hint = f"Raise this one's priority above it, or give {one.name} a `when`."
            review.say(Severity.WARNING, "shadowed", ("match", "alerts"), what, hint)
