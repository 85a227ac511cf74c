"""What a transition writes down, named by the transition table. Each is a pure edit of a draft."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.severity import SHIPPED, Sev, gravest_of
from remediator.playbooks.gates import gate_lasts
from remediator.remediation.conditions import (
    CONFLICT_WINDOW,
    judged,
    said_by,
    step_of,
    storm_over,
    taken_back_by_owner,
    told_by_its_storm,
    told_to_wait,
    undo_of,
    verify_in_force,
)
from remediator.remediation.draft import LADDER_OUTCOMES, Draft, Notice
from remediator.remediation.state import Confirmed, Consent, Done, State, StepOutcome

RECHECK = 30.0
"""Seconds between looks at what is held or waits for people."""
TIME_IS_SHORT = (timedelta(minutes=5), timedelta(minutes=1))
"""Left to approve: the message says so, without a sound."""
HELD_FOR = timedelta(minutes=15)
STORM_HELD_FOR = timedelta(hours=4)
"""Since it began: a storm that lasts longer no longer keeps its members from a person."""
ACT_WITHIN = timedelta(minutes=2)
RETRY = 2.0
RESEND = 1.0
PROBE_EVERY = 2.0
INCONCLUSIVE_EVERY = 60.0
SAMPLING_BACKSTOP = timedelta(hours=2)
"""After the playbook's timeout, which the judge applies: an alert may still be clearing, or nobody could sample."""
LOCK_KEPT = timedelta(minutes=15)
SAMPLES_KEPT = 60


def take_choice(d: Draft) -> None:
    e = d.event
    others = tuple(a for a in d.r.alerts if a != e.alert_id)
    first = (e.alert_id,) if e.alert_id else ()  # none where a person or a schedule has started it
    d.set(
        spec=e.spec,
        playbook_hash=e.playbook_hash,
        project=e.project,
        mode=e.mode,
        environment=e.environment,
        alerts=(*first, *others),
        cluster=e.cluster or d.r.cluster,
        target=e.target,
        root=e.root,
        because=e.because,
        alert_pod=e.alert_pod,
        ladder=e.ladder,
        chain=(*d.r.chain, e.spec.name),
        reason="; ".join((f"chose {e.spec.name}", *e.not_chosen)),
    )


def take_plan(d: Draft) -> None:
    """Keep the plan, every verdict, and the one line that explains them."""
    e = d.event
    if e.plan is not None:
        d.set(plan=e.plan, target=e.plan.target, root=e.plan.root)
    d.set(verdicts=e.verdicts, reason=e.explanation, step=0, effect=0, collected=d.r.collected or e.collected)


def show_plan(d: Draft) -> None:
    """For people who are looking at a proposal: the guards as they are now; the proposal itself stays. Its message is
    brought up to date when another guard objects than before: a pause takes the button away. It is told as well when
    little time is left, because a message does not count down by itself."""
    if _objectors(d.r.verdicts) != _objectors(d.event.verdicts) or _time_gets_short(d):
        d.tell(Notice.PROGRESS)
    snoozed = d.r.state is State.SNOOZED  # by whom and until when goes on being its reason
    d.set(verdicts=d.event.verdicts, reason=d.r.reason if snoozed else d.event.explanation)


def _time_gets_short(d: Draft) -> bool:
    """Whether one of these marks was passed since the last look."""
    if d.r.state is not State.AWAITING_APPROVAL or d.r.approval_expires is None:
        return False
    left = d.r.approval_expires - d.now
    before = left + (d.now - (d.r.due or d.now)) + timedelta(seconds=RECHECK)
    return any(left <= mark < before for mark in TIME_IS_SHORT)


def _objectors(verdicts: tuple[Verdict, ...]) -> set[tuple[str, Answer]]:
    return {(v.guardrail, v.answer) for v in verdicts if v.answer.rank > Answer.PASS.rank}


def look_again_soon(d: Draft) -> None:
    d.due_in(RECHECK)


def retry_soon(d: Draft) -> None:
    after = getattr(d.event, "retry_after", None)
    d.set(reason=d.event.detail) if hasattr(d.event, "detail") else None
    d.due_in(after.total_seconds() if after else RETRY)


def hold(d: Draft) -> None:
    """The first hold sets the end; going round does not extend it. A storm does: it was told once for all its members,
    and after it each has its own time again."""
    until = d.r.hold_until or d.now + HELD_FOR
    over = storm_over(d)
    if over is not None:
        until = max(until, min(max(over, d.now) + HELD_FOR, d.r.created_at + STORM_HELD_FOR))
    d.set(hold_until=until, deadline=until)
    if hasattr(d.event, "explanation"):
        d.set(reason=d.event.explanation)
    if hasattr(d.event, "verdicts"):
        d.set(verdicts=d.event.verdicts)
    d.due_in(RECHECK)
    if over is None:
        d.tell(Notice.HELD)


def hold_after_look(d: Draft) -> None:
    """The last look said no before anything was done."""
    d.set(reason=d.event.detail)
    start_over(d)


def start_over(d: Draft) -> None:
    """Everything is given back, planning starts over in a moment; going round does not extend the hold. An approval
    that no longer holds must not meet a guard that asks later on."""
    d.set(hold_until=d.r.hold_until or d.now + HELD_FOR, resend=False, act_by=None, consents=())
    give_back(d)
    d.due_in(RETRY)


def keep_approval(d: Draft) -> None:
    """The last look said no before anything was done: all is given back but the approval, until it expires."""
    d.set(reason=getattr(d.event, "detail", "not begun in time"), resend=False, act_by=None)
    d.set(deadline=d.r.approval_expires)
    give_back(d)
    d.due_in(5.0)


def propose(d: Draft) -> None:
    """A proposal is bound to the digest that people see."""
    spec = d.r.spec
    assert spec is not None
    expires = d.now + spec.approval.expires
    d.set(digest=d.event.plan.digest, consents=(), approval_expires=expires, deadline=expires)
    d.set(told=tuple(t for t in d.get("told") if t != Notice.PROPOSED.value))
    d.due_in(RECHECK)
    d.tell(Notice.PROPOSED)


def propose_again(d: Draft) -> None:
    """A snooze is over: people get a new message, because only a new one reaches a phone."""
    spec = d.r.spec
    assert spec is not None
    expires = d.now + spec.approval.expires
    d.set(approval_expires=expires, deadline=expires, told=tuple(t for t in d.r.told if t != Notice.PROPOSED.value))
    d.set(consents=())  # a yes of before the snooze is as old as the snooze was long
    d.tell(Notice.PROPOSED)


def take_consent(d: Draft) -> None:
    e = d.event
    given = tuple(c for c in d.r.consents if not said_by(c, e))
    consent = Consent(
        who=e.who,
        at=d.now,
        digest=e.digest,
        via=e.via,
        account=e.account,
        by=e.by,
        break_glass=e.break_glass,
        change=e.change,
    )
    alone = f", who breaks the glass: {e.break_glass}" if e.break_glass else ""
    under = f" under {e.change}" if e.change else ""
    d.set(consents=(*given, consent), reason=f"approved by {e.who}{under}{alone}")
    d.tell(Notice.PROGRESS)


def start_soon(d: Draft) -> None:
    spec = d.r.spec
    assert spec is not None
    d.set(deadline=d.now + spec.approval.start_within, due=d.now)


def wait_approved(d: Draft) -> None:
    """Approved, but not now. A pause or a storm keeps the approval until it expires; anything else only
    `start_within`. People have read that it starts, so they are told what keeps it."""
    if _objectors(d.r.verdicts) != _objectors(d.event.verdicts):
        d.tell(Notice.PROGRESS)
    d.set(verdicts=d.event.verdicts, reason=d.event.explanation)
    if hasattr(d.event, "plan") and told_to_wait(d) and d.r.approval_expires and d.r.deadline:
        d.set(deadline=max(d.r.deadline, d.r.approval_expires))
    d.due_in(5.0)


def name_rejecter(d: Draft) -> None:
    d.set(reason=f"rejected by {d.event.who}" + (f": {d.event.why}" if d.event.why else ""))


def say_rejected(d: Draft) -> None:
    name_rejecter(d)
    d.tell(Notice.ENDED_BY_PERSON)


def snooze(d: Draft) -> None:
    d.set(deadline=d.event.until, reason=f"snoozed by {d.event.who} until {d.event.until:%H:%M} UTC")
    d.due_in(RECHECK)
    d.tell(Notice.PROGRESS)


def reserve(d: Draft) -> None:
    d.reserve = True
    d.set(digest=d.event.plan.digest, act_by=d.now + ACT_WITHIN, due=d.now)


def give_back(d: Draft) -> None:
    """Locks, slots and tokens: it is proven that nothing was done."""
    d.release = d.refund = True
    d.set(epoch=0)


def refund_if_nothing_done(d: Draft) -> None:
    if not d.r.done:
        d.refund = True


def record_done(d: Draft) -> None:
    """One more acknowledged effect, with its inverse as recorded from the server's answer."""
    e = d.event
    plan = d.r.plan
    summary = plan.steps[d.r.step].summary if plan else ""
    d.set(resend=False, conflicts=0, conflicts_since=None, wait_until=None)
    if e.answer == "nothing_to_do":
        d.set(reason=e.detail)
        return
    effect = Done(
        effect_id=e.effect_id,
        step=d.r.step,
        at=d.now,
        summary=summary,
        inverse=e.inverse,
        taken_uid=e.taken_uid,
        made=e.made,
        said=e.said,
    )
    d.set(done=(*d.r.done, effect), acted_at=d.now, reason=f"done: {summary}")
    d.tell(Notice.PROGRESS)
    step = step_of(d)
    if plan and step.action == "rollback" and step.target is None and plan.template_hash:
        d.known_bad = (plan.workload_uid, plan.template_hash)


def next_effect(d: Draft) -> None:
    d.set(effect=d.r.effect + 1, act_by=d.now + ACT_WITHIN, due=d.now)


def next_step(d: Draft) -> None:
    """On to the step after this one: an action is planned in its turn, the others set what they wait for."""
    _enter_step(d, d.r.step + 1)


def take_answer(d: Draft) -> None:
    """A question is answered. Where nobody had to agree to the plan nobody has done so now: what a guardrail asks about
    later is another question."""
    take_consent(d)
    people = tuple(c.who for c in d.get("consents") if c.digest == d.r.digest)
    answered = Confirmed(step=d.r.step, question=step_of(d).ask, who=people, at=d.now)
    d.set(confirmed=(*d.r.confirmed, answered))
    if not d.r.plan_agreed:
        d.set(consents=())


def first_step(d: Draft) -> None:
    """A first step that is no action waits like any other; the locks are taken."""
    _enter_step(d, 0)


def _enter_step(d: Draft, index: int) -> None:
    spec = d.r.spec
    assert spec is not None
    step = spec.steps[index]
    d.set(step=index, effect=0, samples=(), act_by=d.now + ACT_WITHIN, due=d.now, wait_until=None)
    d.set(deadline=d.now + LOCK_KEPT)
    if step.wait is not None:
        d.set(waiting_for="timer", due=d.now + step.wait, deadline=d.now + step.wait + timedelta(minutes=1))
    elif step.check is not None:
        d.set(waiting_for="gate", deadline=d.now + gate_lasts(step.check, spec.verify))
    elif step.ask:
        # The question is a proposal of its own: who agreed to the plan has not answered it.
        expires = d.now + spec.approval.expires
        # The answer to a question just before this one is no consent to the plan, and takes none away either.
        d.set(plan_agreed=d.r.plan_agreed if d.r.waiting_for == "ask" else d.r.agreed)
        if spec.is_checklist:
            # Nothing but the question is agreed to: a yes to one must not count for the next, however late it comes.
            d.set(digest=hashlib.sha256(f"{d.get('digest')}/{index}".encode()).hexdigest())
        d.set(waiting_for="ask", due=None, deadline=expires, approval_expires=expires, consents=(), reason=step.ask)
        d.set(told=tuple(t for t in d.get("told") if t != Notice.PROPOSED.value))
        d.tell(Notice.PROPOSED)
    else:
        d.set(waiting_for="")


def verify_from_now(d: Draft) -> None:
    verify = verify_in_force(d)
    d.set(samples=(), due=d.now + verify.settle, deadline=d.now + verify.timeout + SAMPLING_BACKSTOP)
    d.tell(Notice.PROGRESS)


def keep_sample(d: Draft) -> None:
    """Samples are kept to be counted; the next is due after the interval."""
    judgement = judged(d)
    d.set(
        samples=(*d.r.samples, d.event.sample)[-SAMPLES_KEPT:],
        due=d.now + verify_in_force(d).interval,
        reason=judgement.summary,
    )


def keep_sample_slowly(d: Draft) -> None:
    keep_sample(d)
    d.due_in(INCONCLUSIVE_EVERY)


def count_conflict(d: Draft) -> None:
    """A conflict with an unchanged digest is a new attempt, not a failure: a busy Deployment moves all the time."""
    fresh = d.r.conflicts_since is None or d.now - d.r.conflicts_since > CONFLICT_WINDOW
    d.set(
        conflicts=1 if fresh else d.r.conflicts + 1,
        conflicts_since=d.now if fresh else d.r.conflicts_since,
        resend=False,
        due=d.now,
    )


def wait_for(what: str, seconds: float = RECHECK) -> Callable[[Draft], None]:
    """Keep the lock and wait at most 15 minutes for a pause, a budget or a guard to let the next effect pass."""

    def move(d: Draft) -> None:
        after = getattr(d.event, "retry_after", None)
        until = d.r.wait_until or d.now + LOCK_KEPT
        d.set(waiting_for=what, reason=d.event.detail, deadline=until, wait_until=until, resend=False)
        d.due_in(after.total_seconds() if after else seconds)
        d.tell(Notice.HELD)

    move.__name__ = f"wait_for_{what or 'plan'}"
    return move


def take_step_plan(d: Draft) -> None:
    d.set(plan=d.event.plan, verdicts=d.event.verdicts, reason=d.event.explanation)


def ask_again(d: Draft) -> None:
    """A later step would do something else than was agreed to: people are asked about what it would do now."""
    spec = d.r.spec
    assert spec is not None
    take_step_plan(d)
    expires = d.now + spec.approval.expires
    d.set(waiting_for="ask", due=None, deadline=expires, approval_expires=expires, consents=(), digest=d.event.digest)
    d.set(reason=f"step {d.r.step + 1} would do something else now: {d.event.differs}")
    d.set(told=tuple(t for t in d.get("told") if t != Notice.PROPOSED.value))
    d.tell(Notice.PROPOSED)


def act_again(d: Draft) -> None:
    d.set(waiting_for="", act_by=d.now + ACT_WITHIN, due=d.now)


def probe_now(d: Draft) -> None:
    d.set(reason=d.event.detail if hasattr(d.event, "detail") else "no answer in time", due=d.now)


def probe_again(d: Draft) -> None:
    d.set(reason=d.event.detail)
    d.due_in(PROBE_EVERY)


def send_same_again(d: Draft) -> None:
    """After a pause: an API server that loses requests is not helped by a flood of them."""
    d.set(resend=True)
    d.due_in(_longer_each_time(d))


def attempt_anew(d: Draft) -> None:
    d.set(resend=False)
    d.due_in(_longer_each_time(d))


def _longer_each_time(d: Draft) -> float:
    """Half of the time since this effect was begun, at least a second: about ten tries in two minutes."""
    begun = d.r.act_by - ACT_WITHIN if d.r.act_by else d.now
    return max(RESEND, (d.now - begun).total_seconds() / 2)


def start_undo(d: Draft) -> None:
    """Back in reverse order, as far as the playbook says; an effect without inverse is a barrier and is named."""
    left, barrier = undo_of(d.r)
    reason = judged(d).summary if hasattr(d.event, "sample") else d.event.detail
    note = f" ({barrier} cannot be undone; what came before it stays)" if barrier else ""
    d.set(undoing=True, undo_left=left, undo_sent=0, resend=False, samples=(), due=d.now, act_by=d.now + ACT_WITHIN)
    d.set(reason=f"undoing, because it made things worse: {reason}{note}", conflicts=0, conflicts_since=None)
    d.tell(Notice.PROGRESS)


def next_undo(d: Draft) -> None:
    d.set(undo_sent=d.r.undo_sent + 1, resend=False, acted_at=d.now, due=d.now, act_by=d.now + ACT_WITHIN)


def verify_undo(d: Draft) -> None:
    d.set(undo_sent=len(d.r.undo_left), resend=False, acted_at=d.now, samples=())
    d.due_in(1.0)


def look_at_undo_again(d: Draft) -> None:
    d.due_in(5.0)


def take_watch(d: Draft) -> None:
    """Remember since when the alerts are proven quiet, and whether a webhook says so unproven."""
    since = d.event.quiet_since
    d.set(quiet_since=(d.r.quiet_since or since) if since else None, unproven=d.event.resolved and since is None)
    d.due_in(RECHECK)


def take_alerts(d: Draft) -> None:
    """Joined alerts are listed and may raise the severity; they never change plan or digest."""
    new = tuple(a for a in d.event.alerts if a not in d.r.alerts)
    d.set(alerts=(*d.r.alerts, *new))
    if d.r.spec is None:
        d.set(candidates=tuple(dict.fromkeys((*d.r.candidates, *d.event.candidates))))
    if _severity_rank(d.event.severity) > _severity_rank(d.r.severity):
        d.set(severity=d.event.severity)
    d.tell(Notice.PROGRESS)


def _severity_rank(severity: str) -> int:
    """Higher is graver; nothing said is below everything."""
    return -list(Sev).index(gravest_of((severity,), SHIPPED)) if severity else -len(Sev)


def say_quiet(d: Draft) -> None:
    d.set(reason="every alert of it is proven resolved; nothing more was done")
    if not told_by_its_storm(d):
        d.tell(Notice.QUIET_END)


def say_observed(d: Draft) -> None:
    d.tell(Notice.QUIET_END)


def say_none(d: Draft) -> None:
    d.set(reason=d.event.reason)


def say_denied(d: Draft) -> None:
    d.tell(Notice.DENIED)


def say_suggested(d: Draft) -> None:
    d.tell(Notice.SUGGESTED)


def say_cancelled(d: Draft) -> None:
    """An approval that no longer fits is void, and people hear why."""
    e = d.event
    plan = getattr(e, "plan", None)
    if hasattr(e, "detail"):
        why = e.detail
    elif plan is not None and plan.digest != d.r.digest and not any(v.answer is Answer.DENY for v in e.verdicts):
        why = f"what would be done now differs from what was approved: {'; '.join(s.summary for s in plan.steps)}"
    else:
        why = e.explanation
    d.set(reason=f"cancelled: {why}")
    d.tell(Notice.ESCALATED)


def say_succeeded(d: Draft) -> None:
    judgement = judged(d)
    d.set(samples=(*d.r.samples, d.event.sample)[-SAMPLES_KEPT:], reason=judgement.summary)
    d.tell(Notice.SUCCEEDED)


def leave_to_person(d: Draft) -> None:
    """Somebody has the episode and knows: it is told, and nobody is called."""
    held_for = f" Last: {d.r.reason}" if d.r.reason else ""
    d.set(outcome=StepOutcome.TAKEN, reason=f"taken by {d.event.taken}.{held_for}")
    d.tell(Notice.ENDED_BY_PERSON)


def end(outcome: StepOutcome) -> Callable[[Draft], None]:
    """Hand over: to the next rung where one may help, else to a person. Exactly once per rung."""

    def move(d: Draft) -> None:
        e = d.event
        d.set(outcome=outcome, undoing=False)
        if hasattr(e, "sample"):
            judgement = judged(d)
            d.set(samples=(*d.r.samples, e.sample)[-SAMPLES_KEPT:])
            if not d.r.undoing:
                undone = taken_back_by_owner(d)
                d.set(reason=f"undone by its owner: {undone}. {judgement.summary}" if undone else judgement.summary)
        elif getattr(e, "detail", ""):
            d.set(reason=e.detail)
        elif getattr(e, "explanation", ""):
            d.set(reason=e.explanation, verdicts=e.verdicts)
        if outcome in LADDER_OUTCOMES and d.r.ladder:
            d.child = d.r.ladder[0]
            d.tell(Notice.NEXT_RUNG)
        else:
            d.tell(Notice.ESCALATED)

    move.__name__ = f"end_{outcome.value}"
    return move


def because(reason: str) -> Callable[[Draft], None]:
    def move(d: Draft) -> None:
        held_for = f" Last: {d.r.reason}" if d.r.reason else ""
        d.set(reason=reason + held_for)

    move.__name__ = "say: " + reason
    return move


def name_undo_stopper(d: Draft) -> None:
    """Whoever stopped it must hear what it was for: it is theirs now."""
    d.set(reason=f"the undo was stopped: {d.event.detail}. Last: {d.r.reason}")


def tell_unclear(d: Draft) -> None:
    """Inconclusive: hold, call a person, go on sampling."""
    if hasattr(d.event, "sample"):
        keep_sample(d)
    else:
        d.set(reason=f"no verdict in time. Last: {d.r.reason}")
    d.due_in(INCONCLUSIVE_EVERY)
    d.release = True
    d.set(outcome=StepOutcome.INCONCLUSIVE)
    d.tell(Notice.ESCALATED)


def show_end(d: Draft) -> None:
    """A person was called when it became unclear; now their message is brought up to date, without a sound."""
    if not d.notices:
        d.tell(Notice.PROGRESS)
