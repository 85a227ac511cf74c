"""`max_alert_age`: an alert that was already old when we first saw it is suggested, never acted on.

The day the route to us is added, everything that ever fired arrives at once.
"""

from __future__ import annotations

from remediator.guardrails.answers import not_applicable, passes, suggests
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import about

NAME = "max_alert_age"
READS = frozenset({"alerts"})


def check(facts: Facts) -> Verdict:
    """Fresh enough if one of the joined alerts was: that one alone would have started this remediation."""
    if not facts.alerts:
        return not_applicable(NAME, "no alert: a person asked for it")
    age = min(alert.first_seen - alert.starts_at for alert in facts.alerts)
    most = facts.limits.max_alert_age
    if age > most:
        return suggests(
            NAME,
            f"it had been firing for {about(age)} when we first saw it, at most {about(most)}",
            "a person can do it by hand, or the alert fires anew",
            age_s=age.total_seconds(),
            limit_s=most.total_seconds(),
        )
    reason = f"first seen {about(age)} after it began to fire, at most {about(most)}"
    return passes(NAME, reason, age_s=age.total_seconds(), limit_s=most.total_seconds())
