"""The transition table, row by row: what each event does in each state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.guardrails.verdict import Answer
from remediator.remediation import state as state_module
from remediator.remediation.conditions import final_verify
from remediator.remediation.decide import decide
from remediator.remediation.draft import Notice
from remediator.remediation.events import (
    Approved,
    Chosen,
    DeadlinePassed,
    GateSampled,
    Joined,
    NoneChosen,
    PlanMade,
    Rejected,
    ReserveRefused,
    Sampled,
    Snoozed,
    StepPlanned,
    TimerFired,
    Watched,
)
from remediator.remediation.state import ENDINGS, Consent, Done, Remediation, State, StepOutcome
from remediator.remediation.table import RULES, UNFINISHED
from tests.support.building import (
    NOW,
    acted,
    made,
    patch,
    plan,
    planned_step,
    playbook,
    probed,
    remediation,
    samples,
    verdict,
)

S = State
LATER = NOW + timedelta(minutes=1)
DONE = Done(effect_id="r-1/0.0", step=0, at=NOW, summary="replicas 3 -> 5", inverse=patch(5, 3))
RESTARTED = replace(DONE, inverse=None, summary="restart")
ACTING = remediation(S.ACTING, plan=plan(), act_by=NOW + timedelta(minutes=2), epoch=7)
RESERVED = replace(ACTING, state=S.RESERVED)
VERIFYING = remediation(S.VERIFYING, plan=plan(), done=(DONE,), acted_at=NOW, epoch=7)

UNDOING = replace(VERIFYING, state=S.UNDOING, undoing=True, undo_left=(patch(5, 3),), undo_sent=1)
GOOD_1 = samples("good", at=NOW + timedelta(seconds=12))
GOOD_2 = samples("good", at=NOW + timedelta(seconds=20))


def awaiting(**changes: Any):
    return remediation(S.AWAITING_APPROVAL, mode="approve", plan=plan(), digest="d1", **changes)


APPROVED = replace(awaiting(), state=S.APPROVED)

ASK_FIRST = playbook(steps=[{"ask": "Sure?"}, {"action": "rollout_restart"}])
ASK_LAST = playbook(steps=[{"action": "rollout_restart"}, {"ask": "Better now?"}])
AGREED = replace(
    RESERVED,
    mode="approve",
    digest="d1",
    consents=(Consent(who="ann", at=NOW, digest="d1"),),
    approval_expires=NOW + timedelta(minutes=10),
)


def two_effects(**changes: Any):
    return replace(ACTING, plan=plan(planned_step(patch(), patch(3, 4))), **changes)


def two_steps(*, verify: bool = False, second: dict[str, Any] | None = None, **changes: Any):
    first: dict[str, Any] = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}
    if verify:
        first["verify"] = {"rollout": {}}
    spec = playbook(steps=[first, second or {"action": "scale", "with": {"to": 6, "min": 1, "max": 9}}])
    return replace(ACTING, spec=spec, plan=plan(planned_step(), planned_step(patch(5, 6))), **changes)


def chosen(**changes: Any) -> Chosen:
    spec = playbook()
    return Chosen(spec=spec, playbook_hash="h", mode="auto", alert_id="a-2", target=None, ladder=("next",), **changes)


CASES: list[tuple[str, Remediation, Any, State]] = [
    # state, event, expected state
    ("choose", remediation(S.RECEIVED, spec=None), chosen(), S.PLANNED),
    ("choose while held", remediation(S.HELD, spec=None), chosen(), S.HELD),
    ("no playbook applies", remediation(S.RECEIVED, spec=None), NoneChosen(reason="no"), S.OBSERVED),
    ("all guards pass", remediation(), made(Answer.PASS), S.RESERVED),
    ("nothing applicable", remediation(), made(), S.RESERVED),
    ("observe mode never acts", remediation(mode="observe"), made(Answer.PASS), S.OBSERVED),
    ("observe mode records a denial only", remediation(mode="observe"), made(Answer.DENY), S.OBSERVED),
    ("deny wins over hold", remediation(), made(Answer.HOLD, Answer.DENY, Answer.PASS), S.DENIED),
    ("a denied rung yields", remediation(parent="r-0", ladder=("n",)), made(Answer.DENY), S.ESCALATED),
    ("hold", remediation(), made(Answer.PASS, Answer.HOLD), S.HELD),
    ("no plan holds", remediation(), made(missing=True), S.HELD),
    ("suggest mode", remediation(mode="suggest"), made(Answer.PASS), S.SUGGESTED),
    ("a guard that only lets suggest", remediation(), made(Answer.SUGGEST), S.SUGGESTED),
    ("suggested is denied by a deny", remediation(mode="suggest"), made(Answer.DENY), S.DENIED),
    ("approve mode asks", remediation(mode="approve"), made(Answer.PASS), S.AWAITING_APPROVAL),
    ("auto asks when a guard does", remediation(), made(Answer.ASK), S.AWAITING_APPROVAL),
    ("resolved meanwhile", remediation(), made(plan_=plan(alerts_quiet_since=NOW)), S.SUPERSEDED),
    ("a lock was faster", remediation(), ReserveRefused(verdicts=(), explanation="x"), S.HELD),
    ("held, proven quiet", remediation(S.HELD), Watched(quiet_since=NOW), S.SUPERSEDED),
    ("held, only a webhook says resolved", remediation(S.HELD), Watched(quiet_since=None, resolved=True), S.HELD),
    ("held too long", remediation(S.HELD), DeadlinePassed(), S.ESCALATED),
    # people
    ("approved", awaiting(), Approved(who="ann", digest="d1"), S.APPROVED),
    ("approved for another digest", awaiting(), Approved(who="ann", digest="other"), S.AWAITING_APPROVAL),
    ("the requester approves", awaiting(requester="ann"), Approved(who="ann", digest="d1"), S.AWAITING_APPROVAL),
    (
        "one of two",
        awaiting(spec=playbook(approval={"quorum": 2})),
        Approved(who="ann", digest="d1"),
        S.AWAITING_APPROVAL,
    ),
    ("guards shown while waiting", awaiting(), made(Answer.HOLD), S.AWAITING_APPROVAL),
    ("nobody approved what ann has taken", awaiting(), DeadlinePassed(taken="ann"), S.ESCALATED),
    ("between steps, and ann has taken it", two_steps(state=S.WAITING), DeadlinePassed(taken="ann"), S.ESCALATED),
    ("held for what ann has taken", remediation(S.HELD), DeadlinePassed(taken="ann"), S.ESCALATED),
    ("approved, and ann has taken it", APPROVED, DeadlinePassed(taken="ann"), S.ESCALATED),
    (
        "a snooze is over, and ann has taken it",
        replace(awaiting(), state=S.SNOOZED),
        DeadlinePassed(taken="ann"),
        S.ESCALATED,
    ),
    ("approved, quiet when planned again", APPROVED, made(plan_=plan(alerts_quiet_since=NOW)), S.SUPERSEDED),
    ("approved, a lock was faster", APPROVED, ReserveRefused(verdicts=(), explanation="x"), S.APPROVED),
    ("rejected", awaiting(), Rejected(who="ann"), S.REJECTED),
    ("vetoed after approval", APPROVED, Rejected(who="bob"), S.REJECTED),
    ("snoozed", awaiting(), Snoozed(who="ann", until=LATER), S.SNOOZED),
    ("snooze over", replace(awaiting(), state=S.SNOOZED), DeadlinePassed(), S.AWAITING_APPROVAL),
    ("nobody approved", awaiting(), DeadlinePassed(), S.ESCALATED),
    ("quiet for 1 minute", awaiting(), Watched(quiet_since=NOW), S.AWAITING_APPROVAL),
    ("quiet for 6 minutes", awaiting(quiet_since=NOW - timedelta(minutes=6)), Watched(quiet_since=NOW), S.SUPERSEDED),
    ("approved, digest differs", APPROVED, made(plan_=plan(digest="d2")), S.CANCELLED),
    ("approved, denied now", APPROVED, made(Answer.DENY), S.CANCELLED),
    ("approved, held now", APPROVED, made(Answer.HOLD), S.APPROVED),
    ("approved, unreadable now", APPROVED, made(Answer.HOLD, missing=True), S.APPROVED),
    ("approved and still fine", APPROVED, made(Answer.PASS, Answer.ASK), S.RESERVED),
    ("approved, quiet now", APPROVED, Watched(quiet_since=NOW), S.SUPERSEDED),
    ("approved, not started", APPROVED, DeadlinePassed(), S.ESCALATED),
    # reserved: nothing was sent
    ("reserved, paused at the last look", RESERVED, acted("paused"), S.PLANNED),
    ("reserved, a guard holds", RESERVED, acted("hold"), S.PLANNED),
    ("reserved, somebody changed it", RESERVED, acted("changed"), S.CANCELLED),
    ("reserved, quiet", RESERVED, Watched(quiet_since=NOW), S.SUPERSEDED),
    ("reserved, not begun", RESERVED, DeadlinePassed(), S.PLANNED),
    ("reserved, cannot see", RESERVED, acted("cannot_see"), S.RESERVED),
    # acting
    ("done, last effect", ACTING, acted("done"), S.VERIFYING),
    ("first effect from reserved", RESERVED, acted("done"), S.VERIFYING),
    ("done, one more effect", two_effects(), acted("done"), S.ACTING),
    ("nothing to do, one more effect", two_effects(), acted("nothing_to_do"), S.ACTING),
    ("done, step has checks", two_steps(verify=True), acted("done"), S.VERIFYING),
    ("done, on to the next step", two_steps(), acted("done"), S.WAITING),
    ("a conflict is a new attempt", ACTING, acted("conflict"), S.ACTING),
    ("too many conflicts, nothing done", replace(ACTING, conflicts=5, conflicts_since=NOW), acted("conflict"), S.HELD),
    (
        "too many conflicts, half done",
        two_effects(effect=1, done=(DONE,), conflicts=5, conflicts_since=NOW),
        acted("conflict", "r-1/0.1"),
        S.WAITING,
    ),
    (
        "old conflicts do not count",
        replace(ACTING, conflicts=5, conflicts_since=NOW - timedelta(minutes=1)),
        acted("conflict"),
        S.ACTING,
    ),
    ("no answer", ACTING, acted("uncertain"), S.UNCERTAIN),
    ("a PDB says no", ACTING, acted("budget"), S.WAITING),
    ("paused in the middle", ACTING, acted("paused"), S.WAITING),
    ("busy", ACTING, acted("busy"), S.ACTING),
    ("changed by people in the middle", ACTING, acted("changed"), S.ESCALATED),
    ("refused, nothing done", ACTING, acted("refused"), S.ESCALATED),
    (
        "refused after an effect, worse",
        two_effects(effect=1, done=(DONE,)),
        acted("refused", "r-1/0.1", worse=True),
        S.UNDOING,
    ),
    (
        "refused after an effect, not worse",
        two_effects(effect=1, done=(DONE,)),
        acted("refused", "r-1/0.1"),
        S.ESCALATED,
    ),
    ("acting for too long", ACTING, DeadlinePassed(), S.UNCERTAIN),
    ("a late word about another effect", ACTING, acted("done", "r-1/9.9"), S.ACTING),
    # uncertain
    ("it happened", replace(ACTING, state=S.UNCERTAIN), probed("happened"), S.VERIFYING),
    ("it happened, one more effect", two_effects(state=S.UNCERTAIN), probed("happened"), S.ACTING),
    ("it happened, next step", two_steps(state=S.UNCERTAIN), probed("happened"), S.WAITING),
    ("it happened, step has checks", two_steps(verify=True, state=S.UNCERTAIN), probed("happened"), S.VERIFYING),
    ("send the same again", replace(ACTING, state=S.UNCERTAIN), probed("again"), S.ACTING),
    ("can never land", replace(ACTING, state=S.UNCERTAIN), probed("never"), S.ACTING),
    ("can never land, too late", replace(ACTING, state=S.UNCERTAIN, act_by=NOW), probed("never"), S.ESCALATED),
    ("again, too late", replace(ACTING, state=S.UNCERTAIN, act_by=NOW), probed("again"), S.UNCERTAIN),
    ("cannot see", replace(ACTING, state=S.UNCERTAIN), probed("cannot_see"), S.UNCERTAIN),
    ("given up", replace(ACTING, state=S.UNCERTAIN), probed("abandoned"), S.ESCALATED),
    ("a person must look", replace(ACTING, state=S.UNCERTAIN), probed("person"), S.ESCALATED),
    ("never found out", replace(ACTING, state=S.UNCERTAIN), DeadlinePassed(), S.ESCALATED),
    # waiting
    ("budget wait over", replace(ACTING, state=S.WAITING, waiting_for="budget"), TimerFired(), S.ACTING),
    ("timer over", two_steps(state=S.WAITING, waiting_for="timer"), TimerFired(), S.WAITING),
    ("last timer over", replace(ACTING, state=S.WAITING, waiting_for="timer"), TimerFired(), S.VERIFYING),
    (
        "step planned",
        two_steps(state=S.WAITING, step=1),
        StepPlanned(plan=plan(), verdicts=(), explanation=""),
        S.ACTING,
    ),
    (
        "step differs from what was approved: people are asked again",
        two_steps(state=S.WAITING, step=1),
        StepPlanned(plan=plan(), verdicts=(), explanation="", differs="other fields", digest="d2"),
        S.WAITING,
    ),
    (
        "asked about a step that differs, yes",
        two_steps(state=S.WAITING, step=1, waiting_for="ask", digest="d2"),
        Approved(who="ann", digest="d2"),
        S.ACTING,
    ),
    (
        "step held",
        two_steps(state=S.WAITING, step=1),
        StepPlanned(plan=plan(), verdicts=(verdict("hold"),), explanation="held"),
        S.WAITING,
    ),
    (
        "step denied",
        two_steps(state=S.WAITING, step=1),
        StepPlanned(plan=plan(), verdicts=(verdict("deny"),), explanation="denied"),
        S.ESCALATED,
    ),
    ("gate good", two_steps(state=S.WAITING, waiting_for="gate"), GateSampled(answer="good", detail=""), S.WAITING),
    (
        "last gate good",
        replace(ACTING, state=S.WAITING, waiting_for="gate"),
        GateSampled(answer="good", detail=""),
        S.VERIFYING,
    ),
    (
        "gate bad",
        replace(ACTING, state=S.WAITING, waiting_for="gate"),
        GateSampled(answer="bad", detail=""),
        S.ESCALATED,
    ),
    (
        "gate unknown",
        replace(ACTING, state=S.WAITING, waiting_for="gate"),
        GateSampled(answer="unknown", detail=""),
        S.WAITING,
    ),
    (
        "asked, yes",
        replace(ACTING, spec=ASK_FIRST, state=S.WAITING, waiting_for="ask", digest="d1"),
        Approved(who="ann", digest="d1"),
        S.WAITING,
    ),
    (
        "asked last, yes",
        replace(ACTING, spec=ASK_LAST, step=1, state=S.WAITING, waiting_for="ask", digest="d1"),
        Approved(who="ann", digest="d1"),
        S.VERIFYING,
    ),
    ("asked, no", replace(ACTING, state=S.WAITING, waiting_for="ask"), Rejected(who="ann"), S.ESCALATED),
    ("quiet between steps is verified", two_steps(state=S.WAITING), Watched(quiet_since=NOW), S.VERIFYING),
    ("waited too long", replace(ACTING, state=S.WAITING), DeadlinePassed(), S.ESCALATED),
    # verifying
    ("first sample", VERIFYING, Sampled(sample=samples("good", at=LATER)), S.VERIFYING),
    ("no verdict in time", VERIFYING, DeadlinePassed(), S.INCONCLUSIVE),
    ("still unclear after an hour", replace(VERIFYING, state=S.INCONCLUSIVE), DeadlinePassed(), S.ESCALATED),
    # undoing
    (
        "undone, one more",
        replace(VERIFYING, state=S.UNDOING, undoing=True, undo_left=(patch(5, 3), patch(4, 3))),
        acted("done", "r-1/undo.0"),
        S.UNDOING,
    ),
    (
        "undo conflict",
        replace(VERIFYING, state=S.UNDOING, undoing=True, undo_left=(patch(5, 3),)),
        acted("conflict", "r-1/undo.0"),
        S.UNDOING,
    ),
    (
        "undo busy",
        replace(VERIFYING, state=S.UNDOING, undoing=True, undo_left=(patch(5, 3),)),
        acted("busy", "r-1/undo.0"),
        S.UNDOING,
    ),
    (
        "undo uncertain",
        replace(VERIFYING, state=S.UNDOING, undoing=True, undo_left=(patch(5, 3),)),
        acted("uncertain", "r-1/undo.0"),
        S.UNCERTAIN,
    ),
    (
        "undo: changed by people",
        replace(VERIFYING, state=S.UNDOING, undoing=True, undo_left=(patch(5, 3),)),
        acted("changed", "r-1/undo.0"),
        S.ESCALATED,
    ),
    (
        "undo paused",
        replace(VERIFYING, state=S.UNDOING, undoing=True, undo_left=(patch(5, 3),)),
        acted("paused", "r-1/undo.0"),
        S.ESCALATED,
    ),
    ("undo in time?", replace(VERIFYING, state=S.UNDOING, undoing=True), DeadlinePassed(), S.ESCALATED),
    (
        "undo happened after all",
        replace(VERIFYING, state=S.UNCERTAIN, undoing=True, undo_left=(patch(5, 3),)),
        probed("happened", "r-1/undo.0"),
        S.UNDOING,
    ),
    (
        "one undo happened, one more",
        replace(VERIFYING, state=S.UNCERTAIN, undoing=True, undo_left=(patch(5, 3), patch(4, 3))),
        probed("happened", "r-1/undo.0"),
        S.UNDOING,
    ),
    (
        "undo again",
        replace(VERIFYING, state=S.UNCERTAIN, undoing=True, undo_left=(patch(5, 3),)),
        probed("again", "r-1/undo.0"),
        S.UNDOING,
    ),
    (
        "undo abandoned",
        replace(VERIFYING, state=S.UNCERTAIN, undoing=True, undo_left=(patch(5, 3),)),
        probed("abandoned", "r-1/undo.0"),
        S.ESCALATED,
    ),
    ("a question comes first", remediation(spec=ASK_FIRST), made(Answer.PASS), S.WAITING),
    ("approved, a question comes first", replace(APPROVED, spec=ASK_FIRST), made(Answer.PASS), S.WAITING),
    ("a rung that only observes yields", remediation(parent="r-0", mode="observe"), made(Answer.PASS), S.ESCALATED),
    ("a rung that only suggests yields", remediation(parent="r-0", mode="suggest"), made(Answer.PASS), S.ESCALATED),
    ("paused before the first effect, the approval is kept", AGREED, acted("paused"), S.APPROVED),
    ("not begun in time, the approval is kept", AGREED, DeadlinePassed(), S.APPROVED),
    (
        "too many conflicts, the approval is kept",
        replace(AGREED, conflicts=5, conflicts_since=NOW),
        acted("conflict"),
        S.APPROVED,
    ),
    ("an approval that has expired is not kept", replace(AGREED, approval_expires=NOW), acted("paused"), S.PLANNED),
    (
        "asked, one of two",
        replace(ACTING, state=S.WAITING, waiting_for="ask", digest="d1", spec=playbook(approval={"quorum": 2})),
        Approved(who="ann", digest="d1"),
        S.WAITING,
    ),
    (
        "gate bad and worse",
        replace(ACTING, state=S.WAITING, waiting_for="gate", done=(DONE,)),
        GateSampled(answer="bad", detail="", worse=True),
        S.UNDOING,
    ),
    (
        "undo can never land",
        replace(VERIFYING, state=S.UNCERTAIN, undoing=True, undo_left=(patch(5, 3),)),
        probed("never", "r-1/undo.0"),
        S.UNDOING,
    ),
    ("joins change nothing else", ACTING, Joined(alerts=("a-9",), severity="critical"), S.ACTING),
]


@pytest.mark.parametrize(("before", "event", "expected"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_where_an_event_leads(before, event, expected) -> None:
    """One row of the table each."""
    assert decide(before, event, NOW).remediation.state is expected


def test_rules_have_unique_names() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))


def test_every_rule_is_reached() -> None:
    """A row that no case reaches is a row that nobody has seen working."""
    flows = (
        verified("good", times=2),
        verified("bad", times=2),
        verified("bad", times=2, available=1),
        verified("unknown", times=40),
        decide(
            two_steps(state=S.VERIFYING, acted_at=NOW, samples=(GOOD_1,), verify=True),
            Sampled(sample=GOOD_2),
            GOOD_2.taken_at,
        ),
        decide(replace(VERIFYING, state=S.INCONCLUSIVE, samples=(GOOD_1,)), Sampled(sample=GOOD_2), GOOD_2.taken_at),
        decide(replace(VERIFYING, state=S.INCONCLUSIVE), Sampled(sample=GOOD_1), GOOD_1.taken_at),
        decide(replace(UNDOING, undo_sent=0), acted("done", "r-1/undo.0"), NOW),
        decide(
            two_steps(state=S.WAITING, step=1, done=(DONE,)),
            StepPlanned(plan=plan(), verdicts=(verdict("deny"),), explanation="denied", worse=True),
            NOW,
        ),
        decide(UNDOING, Sampled(sample=samples("bad", at=LATER)), LATER),
        decide(UNDOING, Sampled(sample=samples("good", at=LATER)), LATER),
    )
    reached = {decide(before, event, NOW).rule for _, before, event, _ in CASES} | {d.rule for d in flows}
    assert sorted({rule.name for rule in RULES} - reached) == []


def test_every_unfinished_state_ends_by_itself() -> None:
    """Invariant 18: no state without a row for its deadline, but the gathering, whose due time is its end."""
    without = [s for s in UNFINISHED if decide(remediation(s, plan=plan()), DeadlinePassed(), NOW).ignored]
    assert without == [S.RECEIVED]


@pytest.mark.parametrize("state", sorted(ENDINGS))
def test_an_ending_is_final(state: State) -> None:
    """No event moves an ended remediation; late words are evidence only."""
    ended = remediation(state, plan=plan(), digest="d1", ended_at=NOW, due=None)
    for event in (made(), acted("done"), probed("never"), Approved(who="ann", digest="d1"), DeadlinePassed()):
        decision = decide(ended, event, NOW)
        assert decision.ignored
        assert decision.remediation.state is state
        assert decision.remediation.due is None


def test_every_ending_but_the_good_ones_reaches_a_person() -> None:
    """Invariant 18, seen from the table: a transition into such an ending tells somebody, once per rung."""
    quiet = {S.SUCCEEDED, S.OBSERVED, S.SUPERSEDED}
    for _, before, event, expected in CASES:
        if expected in ENDINGS - quiet:
            decision = decide(before, event, NOW)
            assert decision.notices, f"{before.state} {event}"
            again = replace(before, told=decision.remediation.told)
            assert not set(decide(again, event, NOW).notices) - {Notice.PROGRESS}


def test_endings_release_what_they_hold() -> None:
    for _, before, event, expected in CASES:
        if expected in ENDINGS:
            decision = decide(before, event, NOW)
            assert decision.release or decision.child
            assert decision.remediation.due is None
            assert decision.remediation.ended_at == NOW


def test_tokens_come_back_only_after_a_definite_no_effect() -> None:
    """A refund needs proof that nothing was done: nothing acknowledged and nothing possibly under way."""
    for name, before, event, _ in CASES:
        decision = decide(before, event, NOW)
        if decision.refund:
            assert not decision.remediation.done, name
            assert getattr(event, "answer", "") not in ("uncertain", "person"), name


def test_a_reservation_is_asked_for_only_from_a_plan_without_objections() -> None:
    for name, before, event, expected in CASES:
        planned = isinstance(event, PlanMade) and expected in (S.RESERVED, S.WAITING)
        assert decide(before, event, NOW).reserve is planned, name


def test_going_round_does_not_extend_the_hold() -> None:
    """Held, planned, reserved, released, held again: a person is asked 15 minutes after the first hold."""
    first = decide(remediation(), made(Answer.HOLD), NOW).remediation
    assert first.deadline == NOW + timedelta(minutes=15)
    later = NOW + timedelta(minutes=10)
    reserved = decide(first, made(Answer.PASS), later).remediation
    assert reserved.state is S.RESERVED
    released = decide(reserved, acted("paused"), later).remediation
    assert (released.state, released.deadline) == (S.PLANNED, first.deadline)
    again = decide(released, made(Answer.HOLD), later).remediation
    assert (again.state, again.deadline) == (S.HELD, first.deadline)


def test_quorum_needs_distinct_people_for_this_digest() -> None:
    spec = playbook(approval={"quorum": 2})
    r = awaiting(spec=spec)
    one = decide(r, Approved(who="ann", digest="d1"), NOW).remediation
    assert one.state is S.AWAITING_APPROVAL
    same = decide(one, Approved(who="ann", digest="d1"), NOW).remediation
    assert same.state is S.AWAITING_APPROVAL
    two = decide(same, Approved(who="bob", digest="d1"), NOW).remediation
    assert two.state is S.APPROVED
    assert [c.who for c in two.consents] == ["ann", "bob"]


def test_a_pause_keeps_an_approval_until_it_expires() -> None:
    """Other holds only get `start_within`."""
    r = replace(
        awaiting(), state=S.APPROVED, approval_expires=NOW + timedelta(minutes=12), deadline=NOW + timedelta(minutes=5)
    )
    paused = made(Answer.HOLD)
    paused = replace(paused, verdicts=(verdict("hold", guardrail="pause"),))
    assert decide(r, paused, NOW).remediation.deadline == NOW + timedelta(minutes=12)
    assert decide(r, made(Answer.HOLD), NOW).remediation.deadline == NOW + timedelta(minutes=5)


def verified(answer: str, *, times: int, available: int = 3, badness: float | None = None, **changes: Any):
    """Feed samples until a verdict; returns the last decision."""
    r = replace(VERIFYING, **changes)
    decision = None
    for index in range(times):
        at = NOW + timedelta(seconds=11 + 5 * index)
        decision = decide(r, Sampled(sample=samples(answer, at=at, available=available, badness=badness)), at)
        r = decision.remediation
        if r.state is not S.VERIFYING:
            break
    return decision


def test_success_needs_consecutive_good_samples() -> None:
    assert verified("good", times=1).remediation.state is S.VERIFYING
    decision = verified("good", times=2)
    assert decision.remediation.state is S.SUCCEEDED
    assert decision.notices == (Notice.SUCCEEDED,)


def test_failed_but_not_worse_is_left_and_escalated() -> None:
    """Errors 20 % -> 6 %: leave it, escalate, offer undo."""
    r = verified("bad", times=2).remediation
    assert (r.state, r.outcome) == (S.ESCALATED, StepOutcome.FAILED)


def test_failed_and_worse_is_undone() -> None:
    decision = verified("bad", times=2, available=1)
    assert decision.remediation.state is S.UNDOING
    assert decision.remediation.undo_left == (patch(5, 3),)


def test_a_playbook_may_forbid_the_undo() -> None:
    r = verified("bad", times=2, available=1, spec=playbook(undo={"after": "never"})).remediation
    assert (r.state, r.outcome) == (S.ESCALATED, StepOutcome.FAILED)


def test_what_has_no_inverse_is_not_undone() -> None:
    r = verified("bad", times=2, available=1, done=(RESTARTED,)).remediation
    assert (r.state, r.outcome) == (S.ESCALATED, StepOutcome.FAILED)


def test_a_step_without_inverse_is_a_barrier() -> None:
    """Undo goes back as far as the barrier and names it."""
    scaled = replace(DONE, effect_id="r-1/0.2")
    r = verified("bad", times=2, available=1, done=(DONE, RESTARTED, scaled)).remediation
    assert len(r.undo_left) == 1
    assert "restart cannot be undone" in r.reason


def test_unknown_samples_end_inconclusive_and_never_undo() -> None:
    r = verified("unknown", times=40, available=1).remediation
    assert (r.state, r.outcome) == (S.INCONCLUSIVE, StepOutcome.INCONCLUSIVE)
    assert not r.undo_left


def test_what_stays_unclear_calls_a_person_at_once() -> None:
    """Not when it ends at last."""
    decision = decide(remediation(S.VERIFYING, plan=plan(), acted_at=NOW, deadline=NOW), DeadlinePassed(), NOW)
    assert (decision.remediation.state, decision.notices) == (S.INCONCLUSIVE, (Notice.ESCALATED,))


def test_a_later_proof_resolves_an_inconclusive_one() -> None:
    r = verified("unknown", times=40).remediation
    for index in range(2):
        at = NOW + timedelta(minutes=10 + index)
        r = decide(r, Sampled(sample=samples("good", at=at)), at).remediation
    assert r.state is S.SUCCEEDED


def test_undo_is_verified_before_it_counts() -> None:
    r = replace(VERIFYING, state=S.UNDOING, undoing=True, undo_left=(patch(5, 3),))
    sent = decide(r, acted("done", "r-1/undo.0"), NOW).remediation
    assert sent.state is S.UNDOING
    assert decide(sent, Sampled(sample=samples("bad", at=LATER)), LATER).remediation.state is S.UNDOING
    back = decide(sent, Sampled(sample=samples("good", at=LATER)), LATER).remediation
    assert (back.state, back.outcome) == (S.ESCALATED, StepOutcome.UNDONE)


def test_a_failed_rung_hands_over_to_the_next_without_a_page() -> None:
    decision = verified("bad", times=2, ladder=("restart-api",))
    assert decision.child == "restart-api"
    assert not decision.release
    assert decision.notices == (Notice.NEXT_RUNG,)


@pytest.mark.parametrize("outcome", ["inconclusive", "uncertain", "stopped"])
def test_unknown_outcomes_go_to_a_person_not_to_the_next_rung(outcome: str) -> None:
    """Another try on top of an unknown state is how automation makes things worse."""
    before: Any = {
        "inconclusive": (replace(VERIFYING, state=S.INCONCLUSIVE, ladder=("n",)), DeadlinePassed()),
        "uncertain": (replace(ACTING, state=S.UNCERTAIN, ladder=("n",)), probed("person")),
        "stopped": (replace(ACTING, ladder=("n",)), acted("changed")),
    }[outcome]
    state, event = before
    decision = decide(state, event, NOW)
    assert not decision.child
    assert decision.notices == (Notice.ESCALATED,)


def test_a_rollback_marks_what_it_left_as_known_bad() -> None:
    spec = playbook(steps=[{"action": "rollback", "with": {"to": "last_healthy"}}])
    r = replace(ACTING, spec=spec, plan=plan(workload_uid="u1", template_hash="bad"))
    assert decide(r, acted("done"), NOW).known_bad == ("u1", "bad")
    assert decide(ACTING, acted("done"), NOW).known_bad is None


def test_an_ignored_event_never_spins() -> None:
    decision = decide(remediation(S.HELD), TimerFired(), NOW)
    assert decision.ignored
    assert decision.remediation.due is not None
    assert decision.remediation.due > NOW


def test_the_state_survives_json() -> None:
    """The journal stores it whole."""
    r = replace(
        VERIFYING,
        spec=playbook(escalate=[{"playbook": "next"}, {"page": {"urgency": "high"}}]),
        samples=(samples("good", at=LATER),),
        verdicts=(verdict("pass"),),
        undo_left=(patch(5, 3),),
    )
    assert state_module.load(state_module.dump(r)) == r


def test_waiting_and_acting_in_turn_does_not_go_on_for_ever() -> None:
    """A budget that says no each time: the lock is kept for 15 minutes from the first no, then a person is asked."""
    r = ACTING
    now = NOW
    while r.state is not S.ESCALATED:
        r = decide(r, acted("budget"), now).remediation
        assert r.deadline is not None
        if now >= r.deadline:
            r = decide(r, DeadlinePassed(), now).remediation
            break
        now += timedelta(seconds=30)
        r = decide(r, TimerFired(), now).remediation
    assert r.state is S.ESCALATED
    assert now <= NOW + timedelta(minutes=16)


def test_a_done_effect_ends_the_wait() -> None:
    waited = decide(two_effects(), acted("budget"), NOW).remediation
    again = decide(waited, TimerFired(), LATER).remediation
    assert decide(again, acted("done"), LATER).remediation.wait_until is None


def test_a_step_that_was_held_when_planned_is_planned_again() -> None:
    held = decide(
        two_steps(state=S.WAITING, step=1), StepPlanned(plan=None, verdicts=(verdict("hold"),), explanation="held"), NOW
    ).remediation
    assert (held.state, held.waiting_for) == (S.WAITING, "")


def test_a_step_in_the_middle_is_not_the_success_of_the_whole() -> None:
    r = two_steps(state=S.INCONCLUSIVE, acted_at=NOW, verify=True, samples=(GOOD_1,))
    assert decide(r, Sampled(sample=GOOD_2), GOOD_2.taken_at).remediation.state is S.INCONCLUSIVE


def test_nothing_is_called_undone_when_the_barrier_comes_first() -> None:
    r = verified("bad", times=2, available=1, done=(DONE, RESTARTED)).remediation
    assert (r.state, r.outcome) == (S.ESCALATED, StepOutcome.FAILED)


def test_a_lost_undo_is_sent_again_with_the_same_bytes() -> None:
    late = NOW + timedelta(minutes=9)
    undo = decide(
        replace(two_effects(effect=1, done=(DONE,)), act_by=NOW), acted("refused", "r-1/0.1", worse=True), late
    ).remediation
    lost = decide(undo, acted("uncertain", "r-1/undo.0"), late).remediation
    again = decide(lost, probed("again", "r-1/undo.0"), late).remediation
    assert (again.state, again.resend) == (S.UNDOING, True)


def test_the_last_steps_own_checks_are_part_of_the_final_verification() -> None:
    spec = playbook(
        steps=[{"action": "rollout_restart", "verify": {"pods_ready": {}}}],
        verify={"checks": [{"promql": {"query": "x", "success": "< 1"}}]},
    )
    assert [c.kind for c in final_verify(spec).checks] == ["promql", "pods_ready"]


def test_a_new_proposal_is_told_again() -> None:
    """Approved, then held for too long, then proposed anew: people must hear of the second proposal."""
    r = remediation(mode="approve", told=("proposed",))
    assert Notice.PROPOSED in decide(r, made(Answer.PASS), NOW).notices
