"""`silenced`: an alert that a person has silenced in Alertmanager cancels what has not yet acted."""

from __future__ import annotations

from remediator.alerts.matchers import InvalidMatcher, Matcher, matches_all, parse_matchers
from remediator.guardrails.answers import cannot_see, denies, not_applicable, passes
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import clock
from remediator.ports import FIELD_MANAGER, Silence

NAME = "silenced"
READS = frozenset({"silences", "alerts"})


def check(facts: Facts) -> Verdict:
    """Object when an active silence of somebody else matches any alert of this remediation.

    Our own silences (planned maintenance) are known by their creator. A silence that cannot be read may be one that
    matches, so it holds.
    """
    if facts.silences is None:
        return not_applicable(NAME, "no Alertmanager is configured to ask for silences")
    for silence in facts.silences:
        if silence.created_by == FIELD_MANAGER or silence.ends_at <= facts.now:
            continue
        try:
            matchers = _matchers(silence)
        except InvalidMatcher as exc:
            return cannot_see(NAME, "whether the alert is silenced", f"silence {silence.id} cannot be read: {exc}")
        for alert in facts.alerts:
            if matches_all(matchers, alert.labels):
                name = alert.labels.get("alertname", alert.fingerprint)
                reason = f"{name} is silenced by {silence.created_by}: {silence.comment}"
                changes = f"the silence ends at {clock(silence.ends_at, facts.now, facts.zone)}, or somebody expires it"
                return denies(NAME, reason, changes, silence=silence.id, created_by=silence.created_by)
    return passes(NAME, "no silence of a person matches", silences=len(facts.silences))


def _matchers(silence: Silence) -> list[Matcher]:
    """Raises: InvalidMatcher, also when there is none: Alertmanager has no silence that matches everything."""
    matchers = [matcher for text in silence.matchers for matcher in parse_matchers(text)]
    if not matchers:
        raise InvalidMatcher("it has no matchers")
    return matchers
