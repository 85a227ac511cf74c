"""`last_good_revision`: a restart must not push the last healthy revision out of history.

Each restart by rollout is one more revision, and Kubernetes keeps ten: after ten restarts there is nothing left to roll
back to.
"""

from __future__ import annotations

from remediator.actions.change import Patch
from remediator.actions.revisions import last_healthy, pushes_out
from remediator.actions.workload import read_workload
from remediator.actions.workloads.rollback import TEMPLATE_PATH
from remediator.guardrails.answers import cannot_see, denies, gravest_of, not_applicable, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.objects import WORKLOADS

NAME = "last_good_revision"
READS = frozenset({"targets"})


def check(facts: Facts) -> Verdict:
    return gravest_of([(target, _one(target)) for target in facts.targets])


def _one(target: TargetFacts) -> Verdict:
    view = target.view
    if view.ref.kind not in WORKLOADS or not makes_a_revision(target):
        return not_applicable(NAME, "makes no new revision")
    for part in ("revisions", "observed"):
        if part in view.unreadable:
            return cannot_see(NAME, f"which revisions {view.ref} has", view.unreadable[part])
    workload = read_workload(view.target)
    if lost := pushes_out(workload, view):
        return denies(NAME, lost, "raise revisionHistoryLimit, or restart by eviction, which makes no revision")
    good = last_healthy(workload, view)
    if good is None:
        return passes(NAME, "no revision is on record as healthy", kept=workload.history_limit)
    return passes(NAME, f"revision {good.number}, the last healthy one, stays in history", revision=good.number)


def makes_a_revision(target: TargetFacts) -> bool:
    """Whether it changes something inside the pod template. Putting a whole template back reuses its revision."""
    return any(
        isinstance(effect, Patch)
        and effect.ref == target.view.ref
        and any(change.path[:2] == TEMPLATE_PATH and change.path != TEMPLATE_PATH for change in effect.changes)
        for effect in target.change.effects
    )
