"""`rate_limit`: remediations per true sliding window, per target, (playbook, namespace), namespace and cluster.

Every window of that length counts, not one from full hour to full hour: fixed buckets let twice the limit through
around their edge. What was refunded after a definite no-effect does not count; what lies in the future (a clock jumped)
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    found = [
        (scope, limit, sorted(r.reserved_at for r in runs if counts(r))) for scope, limit, counts in _scopes(facts)
    ]
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
    """The latest reservation of every other remediation that still lies in the window."""
    latest: dict[str, Run] = {}
    for run in facts.runs:
        if run.tokens_back or run.remediation_id == facts.remediation_id:
            continue
        if facts.now - run.reserved_at >= facts.limits.rate_window:
            continue
        known = latest.get(run.remediation_id)
        if known is None or known.reserved_at < run.reserved_at:
            latest[run.remediation_id] = run
    return list(latest.values())


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
