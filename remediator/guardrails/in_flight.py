"""`in_flight`: remediations at once, per target (any playbook), per (playbook, namespace), cluster, everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from remediator.guardrails.answers import holds, passes
from remediator.guardrails.facts import Facts, Run
from remediator.guardrails.scopes import namespaces, target_keys
from remediator.guardrails.verdict import Verdict

NAME = "in_flight"
READS = frozenset({"runs", "targets", "between_rungs"})


def check(facts: Facts) -> Verdict:
    """Between rungs the target's lock passes over, so that scope does not count; the others do."""
    running = [run for run in facts.runs if run.ended_at is None and run.remediation_id != facts.remediation_id]
    found = [
        (scope, limit, sorted({r.remediation_id for r in running if counts(r)}))
        for scope, limit, counts in _scopes(facts)
    ]
    numbers: dict[str, object] = {scope: f"{len(others)}/{limit}" for scope, limit, others in found}
    for scope, limit, others in found:
        if len(others) >= limit:
            waiting = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            return holds(
                NAME,
                f"{scope} {len(others)}/{limit} running ({waiting})",
                "passes when one of them ends",
                brief=f"{NAME} {scope} {len(others)}/{limit} ({waiting})",
                **numbers,
            )
    return passes(NAME, ", ".join(f"{scope} {count}" for scope, count in numbers.items()), **numbers)


def _scopes(facts: Facts) -> Iterator[tuple[str, int, Callable[[Run], bool]]]:
    limits, here, keys, spaces = facts.limits, facts.cluster, target_keys(facts), namespaces(facts)
    if not facts.between_rungs:
        yield "target", limits.in_flight_target, lambda run: run.target_key in keys
    yield (
        "playbook",
        limits.in_flight_playbook,
        lambda run: run.playbook == facts.playbook.name and run.cluster == here and run.namespace in spaces,
    )
    yield "cluster", limits.in_flight_cluster, lambda run: run.cluster == here
    yield "everywhere", limits.in_flight_everywhere, lambda run: True
