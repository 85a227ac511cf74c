"""`rate_limit`: remediations per true sliding window, per target, (playbook, namespace), namespace and cluster.

Every window of that length counts, not one from full hour to full hour: fixed buckets let twice the limit through
around their edge. What was refunded after a definite no-effect does not count; what lies in the future (a clock jumped)
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from remediator.guardrails.answers import holds, passes
from remediator.guardrails.facts import Facts, Run
from remediator.guardrails.scopes import namespaces, target_keys
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import about, clock, iso

NAME = "rate_limit"
READS = frozenset({"runs", "targets"})


def check(facts: Facts) -> Verdict:
    """Object when one more reservation now would be more than a window may hold. Between rungs too."""
    window, runs = facts.limits.rate_window, _counted(facts)
    found = [(scope, limit, _times([run for run in runs if counts(run)])) for scope, limit, counts in _scopes(facts)]
    numbers: dict[str, object] = {scope: f"{len(times)}/{limit}" for scope, limit, times in found}
    for scope, limit, times in found:
        if len(times) >= limit:
            free = times[len(times) - limit] + window
            spent = f"{scope} {len(times)}/{limit} in {about(window)}"
            return holds(
                NAME,
                spent,
                f"next token at {clock(free, facts.now, facts.zone)}",
                brief=f"{NAME} {spent} (next token {clock(free, facts.now, facts.zone, with_zone=False)})",
                until=iso(free),
                **numbers,
            )
    used = ", ".join(f"{scope} {count}" for scope, count in numbers.items())
    return passes(NAME, f"{used} in {about(window)}", **numbers)


def _counted(facts: Facts) -> list[Run]:
    """The reservations of every other remediation that still lie in the window."""
    return [
        run
        for run in facts.runs
        if not run.tokens_back
        and run.remediation_id != facts.remediation_id
        and facts.now - run.reserved_at < facts.limits.rate_window
    ]


def _times(runs: Sequence[Run]) -> list[datetime]:
    """One remediation is one, however often it had to begin and however many targets it has: its latest counts."""
    latest: dict[str, datetime] = {}
    for run in runs:
        latest[run.remediation_id] = max(run.reserved_at, latest.get(run.remediation_id, run.reserved_at))
    return sorted(latest.values())


def _scopes(facts: Facts) -> Iterator[tuple[str, int, Callable[[Run], bool]]]:
    limits, here, keys, spaces = facts.limits, facts.cluster, target_keys(facts), namespaces(facts)
    yield "target", limits.rate_target, lambda run: run.target_key in keys
    yield (
        "playbook",
        limits.rate_playbook,
        lambda run: run.playbook == facts.playbook.name and run.cluster == here and run.namespace in spaces,
    )
    yield "namespace", limits.rate_namespace, lambda run: run.cluster == here and run.namespace in spaces
    yield "cluster", limits.rate_cluster, lambda run: run.cluster == here
