"""`rollout_in_progress`: a rollout that we did not start is not disturbed; a rollback of it may be the cure.

A new template in the middle of a rollout kills the half-new pods at once, and scaling moves both sides of it.
"""

from __future__ import annotations

from remediator.actions.change import Patch
from remediator.actions.render import marker_of
from remediator.actions.view import View
from remediator.actions.workload import Workload, read_workload, rollout_state, rollout_unfinished
from remediator.actions.workloads.rollback import TEMPLATE_PATH
from remediator.guardrails.answers import denies, gravest_of, holds, not_applicable, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.objects import WORKLOADS

PAUSED_PATH = ("spec", "paused")
NAME = "rollout_in_progress"
READS = frozenset({"targets", "runs"})


def check(facts: Facts) -> Verdict:
    """Paused workloads are refused: a person has stopped them. Ours is a rollout whose marker is of this episode."""
    return gravest_of([(target, _one(facts, target)) for target in facts.targets])


def _one(facts: Facts, target: TargetFacts) -> Verdict:
    if target.view.ref.kind not in WORKLOADS:
        return not_applicable(NAME, f"{target.view.ref} has no rollout")
    workload = read_workload(target.view.target)
    if _only_pauses(target):
        return passes(NAME, "pauses or resumes the rollout itself")
    if workload.paused:
        return denies(NAME, f"{workload.ref} is paused (spec.paused)", "somebody has to resume it")
    if not rollout_unfinished(workload):
        return passes(NAME, "no rollout is in progress")
    progress = _progress(target.view, workload)
    if _rolls_back(target):
        return passes(NAME, f"{progress}; a rollback may stop it")
    if _is_ours(facts, target):
        return passes(NAME, f"{progress}; we have started it")
    return holds(
        NAME,
        f"{progress}, and it is not ours",
        "passes when it is over; rollback is still possible",
        updated=workload.updated,
        desired=workload.desired,
    )


def _progress(view: View, workload: Workload) -> str:
    if not workload.observed:
        return "a change of its spec has not been taken up yet"
    state = {"failed": "a rollout has failed", "stuck": "a rollout is stuck"}.get(
        rollout_state(view), "a rollout is in progress"
    )
    return f"{state} ({workload.updated} of {workload.desired} updated)"


def _only_pauses(target: TargetFacts) -> bool:
    effects = target.change.effects
    return bool(effects) and all(isinstance(e, Patch) and {c.path for c in e.changes} == {PAUSED_PATH} for e in effects)


def _rolls_back(target: TargetFacts) -> bool:
    """Only a whole template is a rollback; a restart date or an image is one more change on top."""
    return any(
        isinstance(effect, Patch) and any(change.path == TEMPLATE_PATH for change in effect.changes)
        for effect in target.change.effects
    )


def _is_ours(facts: Facts, target: TargetFacts) -> bool:
    """An effect's id begins with its remediation's: this one's, or an earlier rung's or run's of this episode."""
    maker = marker_of(target.view.target).partition("/")[0]
    ours = {facts.remediation_id} | {r.remediation_id for r in facts.runs if r.episode_id == facts.episode_id}
    return maker in ours
