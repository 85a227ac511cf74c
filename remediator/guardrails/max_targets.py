"""`max_targets`: how many objects one remediation may touch. None at all is nothing to do, never everything."""

from __future__ import annotations

from remediator.guardrails.answers import denies, passes
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import many

NAME = "max_targets"
READS = frozenset({"targets"})


def check(facts: Facts) -> Verdict:
    count, most = len({target.ref for target in facts.targets}), facts.limits.max_targets
    if count == 0:
        return denies(
            NAME,
            "0 targets were found, and an empty selection is never everything",
            "see which label chose the target: remediator explain",
            targets=0,
            limit=most,
        )
    if count > most:
        return denies(
            NAME,
            f"{many(count, 'target')}, at most {most} in one remediation",
            f"guardrails.max_targets of the playbook may be raised to at least {count}",
            targets=count,
            limit=most,
        )
    return passes(NAME, f"{many(count, 'target')} of at most {most}", targets=count, limit=most)
