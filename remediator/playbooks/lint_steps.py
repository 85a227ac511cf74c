"""Lint: what a playbook does, and who comes next."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.objects import WORKLOADS
from remediator.playbooks.gates import PULL_REQUEST
from remediator.playbooks.lint_findings import Review, Severity
from remediator.playbooks.meaning import WITHOUT_INVERSE
from remediator.playbooks.model import Mode, Playbook, TargetSpec
from remediator.playbooks.problems import did_you_mean

MAX_RUNGS = 3
"""Playbooks in one ladder, the first one included."""


def auto_without_proof(review: Review, playbook: Playbook) -> None:
    if playbook.is_report or playbook.is_checklist:
        return
    if playbook.mode is Mode.AUTO and not playbook.verify.checks and not any(step.verify for step in playbook.steps):
        what = "acts on its own and proves nothing"
        review.say(Severity.WARNING, "auto-unverified", ("mode",), what, "Add verify.checks, or use mode: approve.")


def no_undo(review: Review, playbook: Playbook) -> None:
    for index, step in enumerate(playbook.steps):
        if step.action in WITHOUT_INVERSE and playbook.undo.after != "never" and playbook.mode is not Mode.OBSERVE:
            what = f"{step.action} has no inverse: if it makes things worse, a person is told"
            review.say(Severity.NOTE, "no-undo", ("steps", index, "action"), what, "Write undo: {after: never}.")


def pointless_steps(review: Review, playbook: Playbook) -> None:
    """A wait or gate behind the last action changes nothing; a playbook without any action does nothing at all, unless
    it is gates alone, which is a test that people or an alert start."""
    if playbook.is_report or playbook.is_checklist or all(step.check for step in playbook.steps):
        return
    actions = [index for index, step in enumerate(playbook.steps) if step.action]
    if not actions:
        review.say(Severity.WARNING, "no-action", ("steps",), "no step acts", "Add a step with an action.")
        return
    for index, step in enumerate(playbook.steps):
        waits_for_people = step.check is not None and step.check.kind == PULL_REQUEST  # for longer than verify does
        if index > actions[-1] and not waits_for_people:
            kind = "wait" if step.wait is not None else "check" if step.check else "ask"
            hint = "Use verify.settle and verify.checks for what comes after." if kind != "ask" else "Move it up."
            review.say(Severity.WARNING, "unreachable", ("steps", index), f"this {kind} holds nothing back", hint)


def unproven_start(review: Review, playbook: Playbook) -> None:
    """Without an alert that could resolve, and without copies to count, nothing says whether it helped."""
    acts = any(step.action for step in playbook.steps)
    if playbook.match is not None or not acts or playbook.verify.checks or playbook.steps[-1].verify:
        return
    if not isinstance(playbook.target, TargetSpec) or playbook.target.kind in WORKLOADS:
        return
    what = "no alert starts it that could resolve, and nothing else proves that it helped: it will end as unclear"
    review.say(Severity.WARNING, "unproven-start", ("verify",), what, "Add verify.checks.")


def pointless_report(review: Review, playbook: Playbook) -> None:
    """What a report says about acting has no effect."""
    if not playbook.is_report:
        return
    for key in ("mode", "verify", "approval", "undo", "escalate"):
        if key in playbook.model_fields_set:
            what = f"a report changes nothing, so {key} has no effect"
            review.say(Severity.NOTE, "report-key", (key,), what, "Remove it.")


def ladder(review: Review, playbook: Playbook) -> None:
    rungs = [(index, rung.playbook) for index, rung in enumerate(playbook.escalate) if rung.playbook]
    seen: set[str] = set()
    for index, name in rungs:
        path = ("escalate", index, "playbook")
        if name not in review.playbooks:
            known = set(review.playbooks) - {playbook.name}
            review.say(Severity.ERROR, "unknown-rung", path, f"there is no playbook {name}", did_you_mean(name, known))
        elif review.playbooks[name].playbook.is_report:
            what, hint = f"{name} is a report, which helps nothing", "Use collect of this playbook, or notify."
            review.say(Severity.WARNING, "report-rung", path, what, hint)
        elif name in seen:
            hint = "A playbook appears once per chain."
            review.say(Severity.ERROR, "rung-twice", path, f"{name} is a rung already", hint)
        elif loop := _way(review, name, playbook.name):
            what = f"escalation goes in a circle: {' -> '.join((playbook.name, *loop))}"
            review.say(Severity.ERROR, "escalation-cycle", path, what, "End one of them with a page.")
        seen.add(name)
    for index, name in rungs[MAX_RUNGS - 1 :]:
        what = f"{name} is never reached: at most {MAX_RUNGS} playbooks are tried, this one included"
        hint = "End the ladder earlier with a page."
        review.say(Severity.ERROR, "too-deep", ("escalate", index, "playbook"), what, hint)


def _next(review: Review, name: str) -> Iterator[str]:
    loaded = review.playbooks.get(name)
    return (rung.playbook for rung in (loaded.playbook.escalate if loaded else ()) if rung.playbook)


def _way(review: Review, start: str, goal: str) -> tuple[str, ...]:
    """A shortest chain of rungs from one playbook to another, both included; empty when there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while ways:
        way = ways.pop(0)
        if way[-1] == goal:
            return way
        for name in _next(review, way[-1]):
            if name not in seen:
                seen.add(name)
                ways.append((*way, name))
    return ()
