"""The conditions that the transition table names. Each is a pure question about a draft; its name is what the docs
show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from remediator.actions.change import Inverse
from remediator.gitops.taken_back import TAKEN_BACK
from remediator.guardrails import storm
from remediator.guardrails.verdict import Answer, gravest
from remediator.playbooks.model import Check, Playbook, Step, Verify
from remediator.remediation.draft import Draft, Notice
from remediator.remediation.events import Approved
from remediator.remediation.judge import Judgement, judge
from remediator.remediation.state import Consent, Remediation, State
from remediator.remediation.verify import DEFAULT_CHECKS

QUIET_BEFORE_SUPERSEDED = timedelta(minutes=5)
MAX_CONFLICTS = 5
CONFLICT_WINDOW = timedelta(seconds=10)


def _answer(d: Draft) -> Answer:
    return gravest(d.event.verdicts)


def observing(d: Draft) -> bool:
    return d.r.mode == "observe" and d.r.spec is not None


def denied(d: Draft) -> bool:
    return _answer(d) is Answer.DENY


def denied_as_rung(d: Draft) -> bool:
    return bool(d.r.parent) and denied(d)


def held(d: Draft) -> bool:
    return _answer(d) is Answer.HOLD or d.event.plan is None


def weak_rung(d: Draft) -> bool:
    """A rung that would only look or suggest: no help for what has just failed, so the next one is asked at once."""
    return bool(d.r.parent) and (observing(d) or only_suggested(d))


def starts_without_action(d: Draft) -> bool:
    """The first step is a wait, a gate or a question."""
    return d.r.spec is not None and bool(d.r.spec.steps) and not d.r.spec.steps[0].action


def approval_holds(d: Draft) -> bool:
    """People agreed to this digest, and their agreement has not expired."""
    r = d.r
    if r.spec is None or r.approval_expires is None or d.now >= r.approval_expires:
        return False
    return r.agreed


def only_suggested(d: Draft) -> bool:
    return d.r.mode == "suggest" or _answer(d) is Answer.SUGGEST


def alert_is_gone(d: Draft) -> bool:
    """Proven by a fresh sample of a live Prometheus; a resolved webhook alone proves nothing."""
    plan = d.event.plan
    return plan is not None and plan.alerts_quiet_since is not None


def needs_approval(d: Draft) -> bool:
    asks = d.r.mode == "approve" and not (d.r.spec and d.r.spec.is_checklist)  # each of its steps is a question anyway
    return asks or _answer(d) is Answer.ASK


def approved_plan_still_holds(d: Draft) -> bool:
    """What was approved is what would be sent, and nothing forbids it by now."""
    plan = d.event.plan
    return plan is not None and plan.digest == d.r.digest and not held(d) and not denied(d) and not only_suggested(d)


def approved_plan_is_off(d: Draft) -> bool:
    """Another digest, or a guard that denies for good."""
    plan = d.event.plan
    return denied(d) or only_suggested(d) or (plan is not None and plan.digest != d.r.digest)


def told_to_wait(d: Draft) -> bool:
    """By a pause or a storm: neither is the fault of who approved, so the approval is kept."""
    return any(v.guardrail in ("pause", storm.NAME) and v.answer is Answer.HOLD for v in d.event.verdicts)


def storm_over(d: Draft) -> datetime | None:
    """When the storm that holds it is over; None = none does. A rung is no part of a storm: something has been done
    already, and whoever waits for its outcome hears of it at once."""
    verdicts = getattr(d.event, "verdicts", ())
    return None if d.r.parent else storm.over_at(verdicts, d.now)


def told_by_its_storm(d: Draft) -> bool:
    """All that people have heard of it is that it is one of a storm."""
    held_by_storm = storm.over_at(d.r.verdicts, d.now) is not None and not d.r.parent
    return d.r.state is State.HELD and held_by_storm and Notice.HELD.value not in d.r.told


def for_this_digest(d: Draft) -> bool:
    if d.r.state is not State.SNOOZED and d.r.deadline is not None and d.now >= d.r.deadline:
        return False  # expired, though nobody has come to say so yet
    return bool(d.r.digest) and d.event.digest == d.r.digest and d.event.who != d.r.may_not_approve


def completes_quorum(d: Draft) -> bool:
    """With this yes, enough distinct people agreed to this digest. The requester does not count."""
    if not for_this_digest(d) or d.r.spec is None:
        return False
    if d.event.break_glass:
        return True
    people = {c.who for c in d.r.standing(d.now) if not said_by(c, d.event)} | {d.event.who}
    return len(people) >= d.r.spec.approval.quorum


def said_by(consent: Consent, event: Approved) -> bool:
    """Whether it is the same person's, or the same account's, for whomever that account was taken then."""
    return consent.who == event.who or bool(event.account and consent.account == event.account)


def taken(d: Draft) -> bool:
    """A person has the episode."""
    return bool(d.event.taken)


def quiet(d: Draft) -> bool:
    return d.event.quiet_since is not None


def quiet_for_5_minutes(d: Draft) -> bool:
    since = d.event.quiet_since
    return since is not None and d.now - min(since, d.r.quiet_since or since) >= QUIET_BEFORE_SUPERSEDED


def stale_answer(d: Draft) -> bool:
    """An answer about another effect than the one that is next: a late word, kept as evidence only."""
    return bool(d.event.effect_id != d.r.effect_id)


def nothing_done_yet(d: Draft) -> bool:
    return not d.r.done


def undoing(d: Draft) -> bool:
    return d.r.undoing


def step_of(d: Draft) -> Step:
    assert d.r.spec is not None
    return d.r.spec.steps[d.r.step]


def is_last_step(d: Draft) -> bool:
    return d.r.spec is None or d.r.step >= len(d.r.spec.steps) - 1


def more_effects(d: Draft) -> bool:
    return d.r.plan is not None and d.r.effect + 1 < len(d.r.plan.steps[d.r.step].effects)


def step_is_verified(d: Draft) -> bool:
    """A step in the middle with its own checks; those of the last step are part of the final verification."""
    return not is_last_step(d) and step_of(d).verify is not None


def more_undo(d: Draft) -> bool:
    return d.r.undo_sent + 1 < len(d.r.undo_left)


def can_be_undone(d: Draft) -> bool:
    """Something was done that has an inverse, it made things worse, and the playbook does not forbid it."""
    spec = d.r.spec
    if taken_back_by_owner(d):
        return False  # nothing of it is left, and the present is as Git says
    return spec is not None and spec.undo.after == "failed" and bool(undo_of(d.r)[0]) and _worse(d)


def taken_back_by_owner(d: Draft) -> str:
    """What a GitOps controller has undone of it, for people; empty = nothing that was seen."""
    sample = getattr(d.event, "sample", None)
    return str(sample.facts.get(TAKEN_BACK, "")) if sample is not None else ""


def undo_of(r: Remediation) -> tuple[tuple[Inverse, ...], str]:
    """What can be taken back, newest first, and the effect without inverse at which that ends ("" = none)."""
    done = r.done
    if r.spec is not None and r.spec.undo.steps == "failed_step":
        done = tuple(x for x in done if x.step == r.step)
    left: list[Inverse] = []
    for effect in reversed(done):
        if effect.inverse is None:
            return tuple(left), effect.summary
        left.append(effect.inverse)
    return tuple(left), ""


def _worse(d: Draft) -> bool:
    return bool(judged(d).worse) if hasattr(d.event, "sample") else bool(getattr(d.event, "worse", False))


def conflicts_are_few(d: Draft) -> bool:
    since = d.r.conflicts_since
    return since is None or d.now - since > CONFLICT_WINDOW or d.r.conflicts < MAX_CONFLICTS


def in_time(d: Draft) -> bool:
    """The effect may still be begun; after `act_by` a person takes over."""
    return d.r.act_by is None or d.now < d.r.act_by


def asking(d: Draft) -> bool:
    return d.r.waiting_for == "ask"


def asked_about_an_action(d: Draft) -> bool:
    """The question is whether a step that came out differently may be done all the same."""
    return asking(d) and bool(step_of(d).action)


def on_timer(d: Draft) -> bool:
    return d.r.waiting_for == "timer"


def differs_from_approved(d: Draft) -> bool:
    return bool(d.event.differs)


def gate_good(d: Draft) -> bool:
    return bool(d.event.answer == "good")


def gate_bad(d: Draft) -> bool:
    return bool(d.event.answer == "bad")


def verify_in_force(d: Draft) -> Verify:
    return verify_of(d.r)


CONFIRMED = Check(kind="confirmed")
BY_WORD = Verify.model_validate({"settle": 0, "interval": 1, "successes": 1, "failures": 1, "checks": (CONFIRMED,)})
"""Of a checklist that names no check, where no alert could resolve: that people have done it is their word."""


def verify_of(r: Remediation) -> Verify:
    """The playbook's verification, or the checks of a step in the middle."""
    assert r.spec is not None
    if r.spec.is_checklist and not r.spec.verify.checks and not r.alerts:
        return BY_WORD
    step = r.spec.steps[r.step]
    if r.step >= len(r.spec.steps) - 1:
        return final_verify(r.spec)
    return r.spec.verify if step.verify is None else step_verify(r.spec.verify, step)


def final_verify(spec: Playbook) -> Verify:
    """The playbook's verification, with the checks of its last step among it."""
    last = spec.steps[-1].verify if spec.steps else None
    if not last:
        return spec.verify
    checks = spec.verify.checks or DEFAULT_CHECKS
    return spec.verify.model_copy(update={"checks": (*checks, *(c for c in _checks_of(last) if c not in checks))})


def _checks_of(verify: Mapping[str, Any]) -> tuple[Check, ...]:
    return tuple(Check(kind=kind, args=args or {}) for kind, args in verify.items())


def step_verify(whole: Verify, step: Step) -> Verify:
    """The checks of one step, asked at once and twice: the next step waits for them."""
    checks = _checks_of(step.verify or {})
    return Verify.model_validate(
        {
            "settle": 0,
            "interval": min(whole.interval.total_seconds(), 5.0),
            "successes": min(whole.successes, 2),
            "failures": whole.failures,
            "timeout": whole.timeout,
            "checks": checks,
        }
    )


def judged(d: Draft) -> Judgement:
    """The verdict over all samples of this phase, the new one included."""
    before = d.r.plan.before if d.r.plan else None
    samples = (*d.r.samples, d.event.sample)
    began = d.r.acted_at or d.r.since
    if d.r.state is State.VERIFYING:
        began = max(began, d.r.since)  # a wait or a question may lie between the last effect and its verification
    return judge(before, samples, verify_in_force(d), began, d.now)


def verified(d: Draft) -> bool:
    return judged(d).verdict == "succeeded"


def verified_bad(d: Draft) -> bool:
    return judged(d).verdict == "failed"


def unclear_too_long(d: Draft) -> bool:
    return judged(d).verdict == "inconclusive"


def undo_verified(d: Draft) -> bool:
    """All copies of the target are back: the rollout check of the undone state is good."""
    return all(c.answer == "good" for c in d.event.sample.checks) and bool(d.event.sample.checks)


def answer_is(*answers: str) -> Callable[[Draft], bool]:
    """The outcome of one go at an effect, or of one probe."""

    def check(d: Draft) -> bool:
        return d.event.answer in answers and not stale_answer(d)

    check.__name__ = " or ".join(answers)
    return check


def both(*conditions: Callable[[Draft], bool]) -> Callable[[Draft], bool]:
    def check(d: Draft) -> bool:
        return all(c(d) for c in conditions)

    check.__name__ = ", ".join(c.__name__ for c in conditions)
    return check


def no(condition: Callable[[Draft], bool]) -> Callable[[Draft], bool]:
    def check(d: Draft) -> bool:
        return not condition(d)

    check.__name__ = f"not {condition.__name__}"
    return check
