"""Every guardrail and their order, written once. All are evaluated, for the explanation; the gravest answer counts.

A new guardrail is one file with NAME, READS and `check`, and one line in ORDER.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from remediator.guardrails import (
    blockers,
    change_gate,
    circuit_breaker,
    cooldown,
    disruption_budget,
    failover_fence,
    failure_domain,
    in_flight,
    last_good_revision,
    max_alert_age,
    max_attempts,
    max_targets,
    min_available,
    min_healthy,
    mode,
    notify_first,
    overload,
    ownership,
    pause,
    plan_age,
    project,
    protect,
    rate_limit,
    rollout_in_progress,
    silenced,
    store_history,
    storm,
    windows,
)
from remediator.guardrails.answers import cannot_see, not_applicable
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Answer, Verdict


class GuardModule(Protocol):
    """What a guardrail's file offers. READS are the names of the Facts it needs to have been readable."""

    NAME: str
    READS: frozenset[str]

    def check(self, facts: Facts) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Guard:
    """One guardrail as a value, so that a test can replace it."""

    name: str
    reads: frozenset[str]
    check: Callable[[Facts], Verdict]


def _guards(*modules: GuardModule) -> tuple[Guard, ...]:
    return tuple(Guard(module.NAME, module.READS, module.check) for module in modules)


ORDER: tuple[Guard, ...] = _guards(
    # what people have said
    pause,
    silenced,
    # the episode and its alerts
    store_history,
    max_alert_age,
    plan_age,
    # what would be touched
    max_targets,
    project,
    protect,
    # what the playbook may do at all
    mode,
    change_gate,
    # when it may
    windows,
    # one cause or many
    storm,
    # whether now is the moment
    blockers,
    overload,
    notify_first,
    failover_fence,
    # health and budgets
    rollout_in_progress,
    min_available,
    min_healthy,
    disruption_budget,
    failure_domain,
    last_good_revision,
    # whose it is
    ownership,
    # what has been done already
    cooldown,
    circuit_breaker,
    max_attempts,
    # how much at once
    rate_limit,
    in_flight,
)

OF_CHANGES = frozenset(
    module.NAME
    for module in (
        max_targets,
        protect,
        overload,
        notify_first,
        failover_fence,
        rollout_in_progress,
        min_available,
        min_healthy,
        disruption_budget,
        failure_domain,
        last_good_revision,
        ownership,
    )
)
"""They look at what would be changed, so a playbook that only asks people is none of their business. Any other one
without a target is: there they deny."""

OF_RELEASES = frozenset(
    module.NAME for module in (pause, store_history, plan_age, max_targets, project, protect, in_flight)
)
"""What may keep a hold of drift correction from being released. A hold ends on its day, whatever else goes on: that was
agreed to, and what Git says is not ours to keep away. People can pause it."""

FACTS = "facts"
"""Stands for a fact that could not be read and that no guardrail claims: it holds all the same."""

NAMES: tuple[str, ...] = (*(guard.name for guard in ORDER), FACTS)
"""The closed set of guardrail names of this module, in order."""


def evaluate(facts: Facts, order: tuple[Guard, ...] = ORDER) -> tuple[Verdict, ...]:
    """Every guardrail's verdict, in order; none keeps the others from being asked."""
    verdicts = [_dated(guard, facts, _ask(guard, facts)) for guard in order]
    claimed = {name for guard in order for name in guard.reads}
    verdicts += [cannot_see(FACTS, name, why) for name, why in sorted(facts.unknown.items()) if name not in claimed]
    return tuple(verdicts)


def _dated(guard: Guard, facts: Facts, verdict: Verdict) -> Verdict:
    """With where and when the facts that it looked at were read."""
    names = sorted((guard.reads & facts.seen.keys()) - facts.unknown.keys())
    seen = {name: f"{facts.seen[name].source} at {facts.seen[name].at:%Y-%m-%dT%H:%M:%SZ}" for name in names}
    return replace(verdict, seen=seen)


def _ask(guard: Guard, facts: Facts) -> Verdict:
    if facts.releases and guard.name not in OF_RELEASES:
        return not_applicable(guard.name, "it only gives back to Git what was held")
    if guard.name in OF_CHANGES and facts.playbook.is_checklist and not facts.targets:
        return not_applicable(guard.name, "nothing is changed: every step is a question to people")
    for name in sorted(guard.reads & facts.unknown.keys()):
        return cannot_see(guard.name, name, facts.unknown[name])
    try:
        return guard.check(facts)
    except Exception as exc:  # total: a guardrail that cannot answer must not read as one that has no objection
        return Verdict(
            guardrail=guard.name,
            answer=Answer.DENY,
            reason=f"the guardrail itself failed ({type(exc).__name__}: {exc})",
            changes="this is a defect, please report it",
        )
