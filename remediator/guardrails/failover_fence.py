"""`failover_fence`: no promotion unless the old primary is proven stopped. Two primaries are worse than none.

Forty-three seconds of a network partition have cost others a day of repair: the signal has to outlive its debounce, two
vantage points have to agree, and the candidate must have what the old primary had.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from remediator.actions.change import Failover
from remediator.guardrails.answers import cannot_see, denies, gravest_of, holds, not_applicable, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import about, clock, first_of, iso, many

NAME = "failover_fence"
READS = frozenset({"targets"})

VANTAGE_POINTS = 2
"""One that cannot reach the primary may be the one that is cut off."""


def check(facts: Facts) -> Verdict:
    promoting = [(target, target.change.failover) for target in facts.targets if target.change.failover]
    if not promoting:
        return not_applicable(NAME, "promotes no other primary")
    return gravest_of([(target, _one(facts, target, failover)) for target, failover in promoting])


def _one(facts: Facts, target: TargetFacts, failover: Failover) -> Verdict:
    """The gravest objection; among equals the first."""
    objections = [
        *_running(failover, target),
        *_lagging(failover),
        *_elsewhere(failover),
        *_operated(failover),
        *_too_early(facts, failover),
    ]
    if objections:
        return max(objections, key=lambda verdict: verdict.answer.rank)
    assert failover.failing_since is not None
    return passes(
        NAME,
        f"the old primary is {_said(failover)}, {failover.candidate} lags {failover.lag_s:g} s (at most "
        f"{failover.max_lag_s:g}), failing for {about(facts.now - failover.failing_since)} (at least "
        f"{about(failover.debounce)})",
        vantage_points=len(failover.old_primary),
        lag_s=failover.lag_s,
        failing_since=iso(failover.failing_since),
    )


def _running(failover: Failover, target: TargetFacts) -> Iterator[Verdict]:
    states = failover.old_primary
    running = sorted(name for name, state in states.items() if state == "running")
    unknown = sorted(name for name, state in states.items() if state not in ("running", "stopped", "unreachable"))
    if running:
        yield denies(
            NAME,
            f"the old primary is running, say {len(running)} of {many(len(states), 'vantage point')} "
            f"({first_of(running)}); two primaries would lose data",
            "stop the old primary first, or switch over through its operator",
            vantage_points=len(states),
            running=len(running),
        )
    elif len(states) < VANTAGE_POINTS:
        yield denies(
            NAME,
            f"only {many(len(states), 'vantage point')} of {VANTAGE_POINTS} say that the old primary is stopped",
            f"give the action at least {VANTAGE_POINTS} vantage points; one alone may be the one that is cut off",
            vantage_points=len(states),
        )
    elif unknown:
        why = f"{len(unknown)} of {len(states)} vantage points cannot tell ({first_of(unknown)})"
        yield cannot_see(NAME, f"whether the old primary of {target.ref} is stopped", why)


def _lagging(failover: Failover) -> Iterator[Verdict]:
    lag = failover.lag_s
    if lag is None or not math.isfinite(lag) or lag < 0:
        yield cannot_see(NAME, f"how far {failover.candidate} is behind", f"its lag was measured as {lag}")
    elif not lag <= failover.max_lag_s:  # so that a limit that is no number forbids
        yield denies(
            NAME,
            f"{failover.candidate} lags {lag:g} s, at most {failover.max_lag_s:g} s; the rest would be lost",
            "a person decides whether that loss is worth it",
            lag_s=lag,
        )


def _elsewhere(failover: Failover) -> Iterator[Verdict]:
    old, new = failover.regions
    if failover.cross_region or old == new:
        return
    if not old or not new:
        known = f"the region is known of 1 of 2 primaries ({old or new})"
        yield cannot_see(NAME, "whether it stays in the region", known)
    else:
        yield denies(
            NAME,
            f"from region {old} to {new}: 2 regions, and the playbook allows 1",
            "the playbook may allow cross_region",
            regions=[old, new],
        )


def _operated(failover: Failover) -> Iterator[Verdict]:
    if failover.operator_busy:
        yield holds(
            NAME,
            f"an operator is already failing over to 1 of its replicas: {failover.operator_busy}",
            "passes when it is done and the primary still fails",
        )


def _too_early(facts: Facts, failover: Failover) -> Iterator[Verdict]:
    if failover.failing_since is None:
        yield cannot_see(NAME, "since when the primary fails", "nothing says that it has failed without a break")
        return
    failing = facts.now - failover.failing_since
    if failing < failover.debounce:
        over = failover.failing_since + failover.debounce
        yield holds(
            NAME,
            f"the primary has failed for {about(failing)}, less than {about(failover.debounce)}",
            f"over at {clock(over, facts.now, facts.zone)} if it still fails then",
            until=iso(over),
        )


def _said(failover: Failover) -> str:
    """`stopped (a, b)`, `stopped (a), unreachable (b)`."""
    states = sorted(set(failover.old_primary.values()))
    return ", ".join(
        f"{state} ({first_of(sorted(name for name, s in failover.old_primary.items() if s == state))})"
        for state in states
    )
