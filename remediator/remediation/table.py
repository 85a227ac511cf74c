"""The transition table: everything that can happen to a remediation, in one place. Docs and console render it from
here.

Read a row as: in one of these states, on this event, if this holds, go there and write that down. The first row that
fits wins; no fitting row means the event is recorded and ignored. Deadlines are at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.remediation import conditions as c
from remediator.remediation import moves as m
from remediator.remediation.draft import Do, When
from remediator.remediation.events import (
    Acted,
    Approved,
    Chosen,
    DeadlinePassed,
    GateSampled,
    Joined,
    NoneChosen,
    PlanMade,
    Probed,
    Rejected,
    ReserveRefused,
    Sampled,
    Snoozed,
    StepPlanned,
    TimerFired,
    Watched,
)
from remediator.remediation.state import Remediation, State, StepOutcome

RECEIVED, PLANNED, HELD = State.RECEIVED, State.PLANNED, State.HELD
AWAITING, SNOOZED, APPROVED = State.AWAITING_APPROVAL, State.SNOOZED, State.APPROVED
RESERVED, ACTING, UNCERTAIN, WAITING = State.RESERVED, State.ACTING, State.UNCERTAIN, State.WAITING
VERIFYING, UNDOING, INCONCLUSIVE = State.VERIFYING, State.UNDOING, State.INCONCLUSIVE
DENIED, OBSERVED, SUGGESTED, REJECTED = State.DENIED, State.OBSERVED, State.SUGGESTED, State.REJECTED
CANCELLED, SUPERSEDED, SUCCEEDED, ESCALATED = State.CANCELLED, State.SUPERSEDED, State.SUCCEEDED, State.ESCALATED

END_FAILED = m.end(StepOutcome.FAILED)
END_REFUSED = m.end(StepOutcome.REFUSED)
END_STOPPED = m.end(StepOutcome.STOPPED)
END_UNCERTAIN = m.end(StepOutcome.UNCERTAIN)
END_UNDO_FAILED = m.end(StepOutcome.UNDO_FAILED)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `to=None` stays in the state. `when=None` always holds."""

    states: tuple[State, ...]
    on: type
    when: When | None
    to: State | None
    do: tuple[Do, ...] = ()

    @property
    def name(self) -> str:
        """Unique text of the row, as journal and coverage report show it."""
        condition = f" if {self.when.__name__}" if self.when else ""
        return f"{'|'.join(self.states)} on {self.on.__name__}{condition} -> {self.to or 'stay'}"


UNPLANNED = (RECEIVED, PLANNED, HELD)
SENDING = (RESERVED, ACTING)
UNFINISHED = (*UNPLANNED, AWAITING, SNOOZED, APPROVED, *SENDING, UNCERTAIN, WAITING, VERIFYING, UNDOING, INCONCLUSIVE)

RULES: tuple[Rule, ...] = (
    # Choosing and planning. Every guard was evaluated; the gravest answer counts.
    Rule((RECEIVED, PLANNED), Chosen, None, PLANNED, (m.take_choice,)),
    Rule((HELD,), Chosen, None, None, (m.take_choice,)),
    Rule(UNPLANNED, NoneChosen, None, OBSERVED, (m.say_none,)),
    Rule(UNPLANNED, PlanMade, c.weak_rung, ESCALATED, (m.take_plan, END_REFUSED)),
    Rule(UNPLANNED, PlanMade, c.observing, OBSERVED, (m.take_plan, m.say_observed)),
    Rule(UNPLANNED, PlanMade, c.denied_as_rung, ESCALATED, (m.take_plan, END_REFUSED)),
    Rule(UNPLANNED, PlanMade, c.denied, DENIED, (m.take_plan, m.say_denied)),
    Rule(UNPLANNED, PlanMade, c.alert_is_gone, SUPERSEDED, (m.take_plan, m.say_quiet)),
    Rule(UNPLANNED, PlanMade, c.only_suggested, SUGGESTED, (m.take_plan, m.say_suggested)),
    Rule(UNPLANNED, PlanMade, c.held, HELD, (m.take_plan, m.hold)),
    Rule(UNPLANNED, PlanMade, c.needs_approval, AWAITING, (m.take_plan, m.propose)),
    Rule(UNPLANNED, PlanMade, c.starts_without_action, WAITING, (m.take_plan, m.reserve, m.first_step)),
    Rule(UNPLANNED, PlanMade, None, RESERVED, (m.take_plan, m.reserve)),
    Rule(UNPLANNED, ReserveRefused, None, HELD, (m.hold,)),
    Rule((HELD, PLANNED), Watched, c.quiet, SUPERSEDED, (m.take_watch, m.say_quiet)),
    # A person has the episode, which is a pause like any other until here: nothing climbs to somebody else.
    Rule((HELD, PLANNED, AWAITING, SNOOZED, APPROVED), DeadlinePassed, c.taken, ESCALATED, (m.leave_to_person,)),
    Rule(
        (HELD, PLANNED),
        DeadlinePassed,
        None,
        ESCALATED,
        (m.end(StepOutcome.HELD_TOO_LONG), m.because("held for too long.")),
    ),
    # People. A yes is bound to the digest it was given for; any veto is final.
    Rule((AWAITING, SNOOZED), Approved, c.completes_quorum, APPROVED, (m.take_consent, m.start_soon)),
    Rule((AWAITING, SNOOZED), Approved, c.for_this_digest, None, (m.take_consent,)),
    Rule((AWAITING, SNOOZED, APPROVED), Rejected, None, REJECTED, (m.say_rejected,)),
    Rule((AWAITING, SNOOZED), Snoozed, None, SNOOZED, (m.snooze,)),
    Rule((AWAITING, SNOOZED), Watched, c.quiet_for_5_minutes, SUPERSEDED, (m.take_watch, m.say_quiet)),
    Rule((AWAITING, SNOOZED), Watched, None, None, (m.take_watch,)),
    Rule((AWAITING, SNOOZED), PlanMade, None, None, (m.show_plan, m.look_again_soon)),
    Rule(
        (AWAITING,),
        DeadlinePassed,
        None,
        ESCALATED,
        (m.end(StepOutcome.EXPIRED), m.because("nobody approved in time.")),
    ),
    Rule((SNOOZED,), DeadlinePassed, None, AWAITING, (m.propose_again,)),
    # Approved: planned and guarded again on fresh facts; status noise changes no digest.
    Rule((APPROVED,), PlanMade, c.approved_plan_is_off, CANCELLED, (m.say_cancelled,)),
    Rule((APPROVED,), PlanMade, c.alert_is_gone, SUPERSEDED, (m.say_quiet,)),
    Rule(
        (APPROVED,),
        PlanMade,
        c.both(c.approved_plan_still_holds, c.starts_without_action),
        WAITING,
        (m.take_plan, m.reserve, m.first_step),
    ),
    Rule((APPROVED,), PlanMade, c.approved_plan_still_holds, RESERVED, (m.take_plan, m.reserve)),
    Rule((APPROVED,), PlanMade, None, None, (m.wait_approved,)),
    Rule((APPROVED,), ReserveRefused, None, None, (m.wait_approved,)),
    Rule((APPROVED,), Watched, c.quiet, SUPERSEDED, (m.say_quiet,)),
    Rule(
        (APPROVED,),
        DeadlinePassed,
        None,
        ESCALATED,
        (m.end(StepOutcome.NOT_STARTED), m.because("approved, but not started in time.")),
    ),
    # Reserved: nothing was sent by this remediation yet, so every no gives everything back.
    Rule((RESERVED,), Watched, c.quiet, SUPERSEDED, (m.say_quiet, m.give_back)),
    Rule(
        (RESERVED,),
        Acted,
        c.both(c.answer_is("paused", "hold", "deny"), c.approval_holds),
        APPROVED,
        (m.keep_approval,),
    ),
    Rule((RESERVED,), Acted, c.answer_is("paused", "hold", "deny"), PLANNED, (m.hold_after_look,)),
    Rule((RESERVED,), Acted, c.answer_is("changed"), CANCELLED, (m.say_cancelled, m.give_back)),
    Rule((RESERVED,), DeadlinePassed, c.approval_holds, APPROVED, (m.keep_approval,)),
    Rule((RESERVED,), DeadlinePassed, None, PLANNED, (m.because("not begun within 30 s."), m.start_over)),
    # Acting. One attempt row is one request; this is how it ended.
    Rule(
        SENDING,
        Acted,
        c.both(c.answer_is("done", "nothing_to_do"), c.more_effects),
        ACTING,
        (m.record_done, m.next_effect),
    ),
    Rule(
        SENDING,
        Acted,
        c.both(c.answer_is("done", "nothing_to_do"), c.step_is_verified),
        VERIFYING,
        (m.record_done, m.verify_from_now),
    ),
    Rule(
        SENDING,
        Acted,
        c.both(c.answer_is("done", "nothing_to_do"), c.is_last_step),
        VERIFYING,
        (m.record_done, m.verify_from_now),
    ),
    Rule(SENDING, Acted, c.answer_is("done", "nothing_to_do"), WAITING, (m.record_done, m.next_step)),
    Rule(SENDING, Acted, c.both(c.answer_is("conflict"), c.conflicts_are_few), None, (m.count_conflict,)),
    Rule(
        (RESERVED,),
        Acted,
        c.both(c.answer_is("conflict"), c.nothing_done_yet, c.approval_holds),
        APPROVED,
        (m.keep_approval,),
    ),
    Rule(SENDING, Acted, c.both(c.answer_is("conflict"), c.nothing_done_yet), HELD, (m.hold_after_look, m.hold)),
    Rule(SENDING, Acted, c.answer_is("uncertain"), UNCERTAIN, (m.probe_now,)),
    Rule(SENDING, Acted, c.answer_is("budget"), WAITING, (m.wait_for("budget", 5.0),)),
    Rule(SENDING, Acted, c.answer_is("conflict", "hold"), WAITING, (m.wait_for("guard"),)),
    Rule((ACTING,), Acted, c.answer_is("paused"), WAITING, (m.wait_for("pause", 5.0),)),
    Rule((ACTING,), Acted, c.answer_is("changed"), ESCALATED, (END_STOPPED, m.refund_if_nothing_done)),
    Rule(SENDING, Acted, c.answer_is("busy", "not_sent", "cannot_see"), None, (m.retry_soon,)),
    Rule(
        SENDING,
        Acted,
        c.both(c.answer_is("refused", "deny"), c.nothing_done_yet),
        ESCALATED,
        (END_REFUSED, m.refund_if_nothing_done),
    ),
    Rule(SENDING, Acted, c.both(c.answer_is("refused", "deny"), c.can_be_undone), UNDOING, (m.start_undo,)),
    Rule(SENDING, Acted, c.answer_is("refused", "deny"), ESCALATED, (END_FAILED,)),
    Rule((ACTING,), DeadlinePassed, None, UNCERTAIN, (m.probe_now,)),
    # Uncertain: a consistent read decides, never a blind retry.
    Rule((UNCERTAIN,), Probed, c.both(c.answer_is("happened"), c.undoing, c.more_undo), UNDOING, (m.next_undo,)),
    Rule((UNCERTAIN,), Probed, c.both(c.answer_is("happened"), c.undoing), UNDOING, (m.verify_undo,)),
    Rule((UNCERTAIN,), Probed, c.both(c.answer_is("happened"), c.more_effects), ACTING, (m.record_done, m.next_effect)),
    Rule(
        (UNCERTAIN,),
        Probed,
        c.both(c.answer_is("happened"), c.step_is_verified),
        VERIFYING,
        (m.record_done, m.verify_from_now),
    ),
    Rule(
        (UNCERTAIN,),
        Probed,
        c.both(c.answer_is("happened"), c.is_last_step),
        VERIFYING,
        (m.record_done, m.verify_from_now),
    ),
    Rule((UNCERTAIN,), Probed, c.answer_is("happened"), WAITING, (m.record_done, m.next_step)),
    Rule((UNCERTAIN,), Probed, c.both(c.answer_is("again"), c.undoing, c.in_time), UNDOING, (m.send_same_again,)),
    Rule((UNCERTAIN,), Probed, c.both(c.answer_is("never"), c.undoing, c.in_time), UNDOING, (m.attempt_anew,)),
    Rule((UNCERTAIN,), Probed, c.both(c.answer_is("again"), c.in_time), ACTING, (m.send_same_again,)),
    Rule((UNCERTAIN,), Probed, c.both(c.answer_is("never"), c.in_time), ACTING, (m.attempt_anew,)),
    Rule((UNCERTAIN,), Probed, c.both(c.answer_is("never", "abandoned"), c.undoing), ESCALATED, (END_UNDO_FAILED,)),
    Rule((UNCERTAIN,), Probed, c.answer_is("never", "abandoned"), ESCALATED, (END_UNCERTAIN, m.refund_if_nothing_done)),
    Rule((UNCERTAIN,), Probed, c.answer_is("person"), ESCALATED, (END_UNCERTAIN,)),
    Rule((UNCERTAIN,), Probed, c.answer_is("again", "cannot_see"), None, (m.probe_again,)),
    Rule(
        (UNCERTAIN,),
        DeadlinePassed,
        None,
        ESCALATED,
        (END_UNCERTAIN, m.because("could not find out whether it happened.")),
    ),
    # Waiting between steps, the lock kept.
    Rule((WAITING,), TimerFired, c.both(c.on_timer, c.is_last_step), VERIFYING, (m.verify_from_now,)),
    Rule((WAITING,), TimerFired, c.on_timer, WAITING, (m.next_step,)),
    Rule((WAITING,), TimerFired, c.no(c.asking), ACTING, (m.act_again,)),
    Rule((WAITING,), StepPlanned, c.both(c.denied, c.can_be_undone), UNDOING, (m.start_undo,)),
    Rule((WAITING,), StepPlanned, c.denied, ESCALATED, (END_FAILED,)),
    Rule((WAITING,), StepPlanned, c.held, None, (m.wait_for(""),)),
    Rule((WAITING,), StepPlanned, c.differs_from_approved, None, (m.ask_again,)),
    Rule((WAITING,), StepPlanned, None, ACTING, (m.take_step_plan, m.act_again)),
    Rule((WAITING,), GateSampled, c.both(c.gate_good, c.is_last_step), VERIFYING, (m.verify_from_now,)),
    Rule((WAITING,), GateSampled, c.gate_good, WAITING, (m.next_step,)),
    Rule((WAITING,), GateSampled, c.both(c.gate_bad, c.can_be_undone), UNDOING, (m.start_undo,)),
    Rule((WAITING,), GateSampled, c.gate_bad, ESCALATED, (END_FAILED,)),
    Rule((WAITING,), GateSampled, None, None, (m.retry_soon,)),
    Rule(
        (WAITING,),
        Approved,
        c.both(c.asked_about_an_action, c.completes_quorum),
        ACTING,
        (m.take_consent, m.act_again),
    ),
    Rule(
        (WAITING,),
        Approved,
        c.both(c.asking, c.completes_quorum, c.is_last_step),
        VERIFYING,
        (m.take_answer, m.verify_from_now),
    ),
    Rule((WAITING,), Approved, c.both(c.asking, c.completes_quorum), WAITING, (m.take_answer, m.next_step)),
    Rule((WAITING,), Approved, c.both(c.asking, c.for_this_digest), None, (m.take_consent,)),
    Rule((WAITING,), Rejected, None, ESCALATED, (m.name_rejecter, END_STOPPED)),
    Rule((WAITING,), Watched, c.quiet, VERIFYING, (m.take_watch, m.verify_from_now)),
    Rule((WAITING,), DeadlinePassed, c.taken, ESCALATED, (m.leave_to_person, m.refund_if_nothing_done)),
    Rule(
        (WAITING,),
        DeadlinePassed,
        None,
        ESCALATED,
        (END_STOPPED, m.refund_if_nothing_done, m.because("waited too long between steps.")),
    ),
    # Verifying: three verdicts, and undo only for what is measurably worse.
    Rule((VERIFYING,), Sampled, c.both(c.verified, c.is_last_step), SUCCEEDED, (m.say_succeeded,)),
    Rule((VERIFYING,), Sampled, c.verified, WAITING, (m.next_step,)),
    Rule((VERIFYING,), Sampled, c.both(c.verified_bad, c.can_be_undone), UNDOING, (m.start_undo,)),
    Rule((VERIFYING,), Sampled, c.verified_bad, ESCALATED, (END_FAILED,)),
    Rule((VERIFYING,), Sampled, c.unclear_too_long, INCONCLUSIVE, (m.tell_unclear,)),
    Rule((VERIFYING,), Sampled, None, None, (m.keep_sample,)),
    Rule((VERIFYING,), DeadlinePassed, None, INCONCLUSIVE, (m.tell_unclear,)),
    Rule((INCONCLUSIVE,), Sampled, c.both(c.verified, c.is_last_step), SUCCEEDED, (m.say_succeeded,)),
    Rule((INCONCLUSIVE,), Sampled, None, None, (m.keep_sample_slowly,)),
    Rule((INCONCLUSIVE,), DeadlinePassed, None, ESCALATED, (m.end(StepOutcome.INCONCLUSIVE), m.show_end)),
    # Undoing, in reverse, compare-and-set each.
    Rule((UNDOING,), Acted, c.both(c.answer_is("done", "nothing_to_do"), c.more_undo), None, (m.next_undo,)),
    Rule((UNDOING,), Acted, c.answer_is("done", "nothing_to_do"), None, (m.verify_undo,)),
    Rule((UNDOING,), Acted, c.answer_is("uncertain"), UNCERTAIN, (m.probe_now,)),
    Rule((UNDOING,), Acted, c.both(c.answer_is("conflict"), c.conflicts_are_few), None, (m.count_conflict,)),
    Rule((UNDOING,), Acted, c.answer_is("busy", "not_sent", "cannot_see", "budget", "conflict"), None, (m.retry_soon,)),
    Rule((UNDOING,), Acted, c.answer_is("paused"), ESCALATED, (END_STOPPED, m.name_undo_stopper)),
    Rule((UNDOING,), Acted, c.answer_is("changed", "refused", "deny", "hold"), ESCALATED, (END_UNDO_FAILED,)),
    Rule((UNDOING,), Sampled, c.undo_verified, ESCALATED, (m.end(StepOutcome.UNDONE),)),
    Rule((UNDOING,), Sampled, None, None, (m.look_at_undo_again,)),
    Rule(
        (UNDOING,),
        DeadlinePassed,
        None,
        ESCALATED,
        (END_UNDO_FAILED, m.because("the undo could not be finished in time.")),
    ),
    # Anywhere.
    Rule(UNFINISHED, Joined, None, None, (m.take_alerts,)),
    Rule((HELD, PLANNED, APPROVED), Watched, None, None, (m.take_watch,)),
)


DEADLINES: Mapping[State, timedelta] = {
    PLANNED: timedelta(minutes=15),
    RESERVED: timedelta(seconds=30),
    ACTING: timedelta(minutes=2),
    UNCERTAIN: timedelta(minutes=2),
    WAITING: timedelta(minutes=15),
    UNDOING: timedelta(minutes=5),
    INCONCLUSIVE: timedelta(hours=1),
}
"""How long a state may last where no move says otherwise: held (15 min from the first hold), awaiting_approval
(`approval.expires`), approved (`start_within`), waiting for a timer, gate or question, verifying (`timeout`)."""


def deadline_on_entry(state: State, remediation: Remediation, now: datetime) -> datetime | None:
    """When the state just entered ends by itself; None for the endings and for what a move has set."""
    lasts = DEADLINES.get(state)
    if state is PLANNED and remediation.hold_until is not None:
        return remediation.hold_until
    return now + lasts if lasts else None
