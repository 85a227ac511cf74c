"""Short ways to write a verdict, and how several of one guardrail become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Answer, Verdict


def passes(guardrail: str, reason: str, **facts: object) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.PASS, reason=reason, facts=facts)


def not_applicable(guardrail: str, reason: str) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.NOT_APPLICABLE, reason=reason)


def holds(guardrail: str, reason: str, changes: str = "", *, brief: str = "", **facts: object) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.HOLD, reason=reason, changes=changes, facts=facts, brief=brief)


def denies(guardrail: str, reason: str, changes: str = "", **facts: object) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.DENY, reason=reason, changes=changes, facts=facts)


def suggests(guardrail: str, reason: str, changes: str = "", **facts: object) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.SUGGEST, reason=reason, changes=changes, facts=facts)


def asks(
    guardrail: str, facts: Facts, reason: str, *, changes: str = "runs once it is approved", **numbers: object
) -> Verdict:
    """A person has to agree; once one has, it passes and says so."""
    if facts.approved:
        return passes(guardrail, f"{reason}; a person has approved it", **numbers)
    return Verdict(guardrail=guardrail, answer=Answer.ASK, reason=reason, changes=changes, facts=numbers)


def cannot_see(guardrail: str, what: str, why: str) -> Verdict:
    """A hold, because `what` could not be read (`why` says what failed): unknown is never a go-ahead."""
    return Verdict(
        guardrail=guardrail,
        answer=Answer.HOLD,
        reason=why,
        changes=f"nothing was done, because {what} is unknown",
        cannot_see=True,
    )


def gravest_of(verdicts: Sequence[tuple[TargetFacts, Verdict]]) -> Verdict:
    """The gravest answer of one guardrail about several targets, naming the target when there are several.

    Raises: ValueError without any target; `max_targets` denies that, the others must not pass it in silence.
    """
    if not verdicts:
        raise ValueError("no target")
    target, verdict = max(verdicts, key=lambda pair: pair[1].answer.rank)
    if len({t.ref for t, _ in verdicts}) == 1 or not verdict.reason:
        return verdict
    return replace(verdict, reason=f"{target.ref}: {verdict.reason}")
