"""`min_available`: ready copies that must remain after the change has taken what it takes.

Broken copies use up the budget, but a change that takes no healthy copy passes, however few are left: a Deployment
below its floor loses nothing by a rolling restart (measured). The only copy is taken with a person's yes alone. What
goes back to fewer copies because its alert is over is measured by those: before the alert they were all there were.
"""

from __future__ import annotations

from typing import Any

from remediator.actions.change import Change, Evict
from remediator.actions.pods import pod_is_ready
from remediator.actions.view import View
from remediator.actions.workload import Workload, percent_of, read_workload, takes_by_rollout
from remediator.guardrails.answers import asks, cannot_see, gravest_of, holds, passes
from remediator.guardrails.facts import EffectiveLimits, Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import many
from remediator.objects import WORKLOADS, dig, generation_of

NAME = "min_available"
READS = frozenset({"targets", "limits", "reverts"})


def check(facts: Facts) -> Verdict:
    return gravest_of([(target, _one(facts, target)) for target in facts.targets])


def copies_to_keep(limits: EffectiveLimits, desired: int) -> int:
    """The playbook's number, never below the operator's, never below one copy. Percentages round up."""
    wanted = (limits.min_available, limits.min_available_floor, 1)
    return max(percent_of(value, desired, round_up=True) for value in wanted)


def _one(facts: Facts, target: TargetFacts) -> Verdict:
    change = target.change
    if unseen := _unseen(target):
        return cannot_see(NAME, f"how many copies of {target.view.ref} are available", unseen)
    if change.takes <= 0:
        return passes(NAME, "takes no healthy copy", takes=0)
    if target.view.ref.kind not in WORKLOADS:
        # Something is taken from we do not know how many.
        return asks(NAME, facts, f"{target.view.ref} is no workload whose copies can be counted", takes=change.takes)
    workload = read_workload(target.view.target)
    available = _available(target.view, workload, change)
    goes_back = facts.reverts and change.direction == "down"
    keep = copies_to_keep(facts.limits, available - change.takes if goes_back else workload.desired)
    numbers: dict[str, Any] = {"available": available, "desired": workload.desired, "takes": change.takes, "keep": keep}
    reason = (
        f"{available} of {workload.desired} ready, this takes {many(change.takes, 'ready copy', 'ready copies')}, "
        f"{keep} must remain"
    )
    if available - change.takes >= keep:
        return passes(NAME, reason, **numbers)
    if workload.desired == 1 and change.takes == 1:
        return asks(NAME, facts, f"{reason}; the only copy", **numbers)
    return holds(NAME, reason, _changes(workload, change, available, keep), **numbers)


def _unseen(target: TargetFacts) -> str:
    """Why the workload's numbers prove nothing; empty = they do.

    A status that is behind its spec is an older one's. A change that takes nothing by it may go on, the rollback of
    what was just applied for one; but a status that was never written says 0 of everything, and so that 0 are taken.
    """
    view = target.view
    if view.ref.kind not in WORKLOADS or read_workload(view.target).observed:
        return ""
    seen = dig(view.target, "status", "observedGeneration")
    if seen is None:
        return "it has no status yet"
    behind = f"its status is of generation {seen}, its spec of generation {generation_of(view.target)}"
    return behind if target.change.takes > 0 else ""


def _available(view: View, workload: Workload, change: Change) -> int:
    """Healthy copies now. Between evictions the status lags behind: a pod that is going is no copy any more."""
    if any(isinstance(effect, Evict) for effect in change.effects):
        return min(workload.available, sum(1 for pod in view.pods if pod_is_ready(pod)))
    return workload.available


def _changes(workload: Workload, change: Change, available: int, keep: int) -> str:
    """When it would pass, and what is possible already."""
    if change.direction == "down":
        return f"passes when it keeps at least {many(keep, 'copy', 'copies')}"
    by_rollout = not any(isinstance(effect, Evict) for effect in change.effects)
    if by_rollout and workload.ref.kind == "Deployment":
        if workload.strategy == "Recreate":
            return "Recreate takes all copies at once; RollingUpdate would not"
        return f"passes when maxUnavailable is at most {max(0, workload.desired - keep)}"
    needed = keep + change.takes
    when = f"passes when ready >= {needed}" if needed <= workload.desired else "it never passes with these limits"
    if not by_rollout and takes_by_rollout(workload) == 0 and workload.strategy == "RollingUpdate":
        return f"{when}. Rollback takes none and is still possible"
    return when
