"""The identity of an alert: what is new, what is known, what closes, and what is looked at again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.remediation.journal import Accepted
from remediator.remediation.samples import CheckAnswer, CheckSample, SampleSet
from remediator.remediation.state import State, StepOutcome
from tests.journal.given import (
    DAY,
    DONE,
    HOUR,
    MINUTE,
    SECOND,
    alert,
    attempt,
    begun,
    ended,
    moved,
    opened,
    reserved,
    resolved,
    to,
)
from tests.support.building import NOW


async def test_a_firing_alert_is_new_once_and_comes_back_as_it_was(journal: SqlJournal) -> None:
    given = alert("Busy", generator_url="http://p/graph", source="prod-am", annotations={"summary": "ä ✓"})
    assert await journal.accept([given], NOW) == Accepted(new=1)
    assert await journal.accept([given], NOW + MINUTE) == Accepted(known=1)
    (record,) = await journal.undecided(10)
    assert record.alert == given
    assert (record.first_seen, record.last_seen) == (NOW, NOW + MINUTE)
    assert (record.resolved_at, record.verdict) == (None, "")


async def test_nothing_delivered_is_nothing_accepted(journal: SqlJournal) -> None:
    assert await journal.accept([], NOW) == Accepted()


async def test_twins_in_one_delivery_are_one_alert(journal: SqlJournal) -> None:
    assert await journal.accept([alert(), alert(), alert("Other")], NOW) == Accepted(new=2, known=1)
    assert len(await journal.undecided(10)) == 2


async def test_the_same_fingerprint_in_two_clusters_is_two_alerts(journal: SqlJournal) -> None:
    assert await journal.accept([alert(cluster="c1"), alert(cluster="c2")], NOW) == Accepted(new=2)


async def test_the_same_fingerprint_of_two_senders_is_two_alerts(journal: SqlJournal) -> None:
    """A fingerprint is only what a sender says. Nobody ends another sender's alert, or speaks in its name."""
    mine, theirs = alert(source="mine"), alert(source="theirs", labels={"alertname": "Busy", "namespace": "other"})
    assert await journal.accept([mine], NOW) == Accepted(new=1)
    assert await journal.accept([replace(theirs, status="resolved")], NOW + MINUTE) == Accepted(known=1)
    assert await journal.accept([theirs], NOW + MINUTE) == Accepted(new=1)
    assert [(r.alert.source, r.alert.labels["namespace"], r.resolved_at) for r in await journal.undecided(10)] == [
        ("mine", "shop", None),
        ("theirs", "other", None),
    ]
    assert await journal.accept([replace(mine, status="resolved")], NOW + 2 * MINUTE) == Accepted(resolved=1)
    assert [r.resolved_at is None for r in await journal.undecided(10)] == [False, True]


async def test_undecided_come_oldest_first_and_no_more_than_asked_for(journal: SqlJournal) -> None:
    for seconds, name in ((2, "C"), (0, "A"), (1, "B")):
        await journal.accept([alert(name)], NOW + seconds * SECOND)
    assert [r.alert.name for r in await journal.undecided(2)] == ["A", "B"]


async def test_deciding_takes_them_off_and_keeps_the_verdict(journal: SqlJournal) -> None:
    await journal.accept([alert("A"), alert("B")], NOW)
    a, b = await journal.undecided(10)
    await journal.decide_alerts({a.id: "no_playbook: none matches"}, NOW)
    assert [r.id for r in await journal.undecided(10)] == [b.id]
    (record,) = await journal.alerts([a.id])
    assert record.verdict == "no_playbook: none matches"


async def test_deciding_nothing_or_nobody_is_no_error(journal: SqlJournal) -> None:
    await journal.decide_alerts({}, NOW)
    await journal.decide_alerts({"a-77": "no_playbook", "nonsense": "no_playbook"}, NOW)


async def test_alerts_come_in_the_order_asked_for_without_unknown_ones(journal: SqlJournal) -> None:
    await journal.accept([alert("A"), alert("B")], NOW)
    a, b = await journal.undecided(10)
    assert [r.id for r in await journal.alerts([b.id, "a-99", "x", a.id])] == [b.id, a.id]
    assert await journal.alerts([]) == ()


async def test_recent_alerts_come_newest_first(journal: SqlJournal) -> None:
    for name in "ABC":
        await journal.accept([alert(name)], NOW)
    assert [r.alert.name for r in await journal.recent_alerts(2)] == ["C", "B"]


# Resolved -------------------------------------------------------------------------------------------------------------


async def test_a_resolve_closes_the_interval(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    assert await journal.accept([resolved(ends_at=NOW + MINUTE)], NOW + 2 * MINUTE) == Accepted(resolved=1)
    (record,) = await journal.recent_alerts(1)
    assert (record.resolved_at, record.alert.status, record.alert.ends_at) == (NOW + MINUTE, "resolved", NOW + MINUTE)
    assert await journal.accept([resolved(ends_at=NOW + MINUTE)], NOW + 3 * MINUTE) == Accepted(known=1)


async def test_resolved_before_it_was_decided_it_is_still_to_be_decided(journal: SqlJournal) -> None:
    """Every acknowledged alert gets a verdict."""
    await journal.accept([alert(), resolved(ends_at=NOW + SECOND)], NOW + MINUTE)
    (record,) = await journal.undecided(10)
    assert record.resolved_at == NOW + SECOND


async def test_a_resolve_of_something_never_seen_firing_starts_nothing(journal: SqlJournal) -> None:
    assert await journal.accept([resolved(ends_at=NOW)], NOW) == Accepted(known=1)
    assert await journal.undecided(10) == ()


async def test_a_resolve_in_the_future_is_a_fast_clock(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    await journal.accept([resolved(ends_at=NOW + HOUR)], NOW + MINUTE)
    (record,) = await journal.recent_alerts(1)
    assert record.resolved_at == NOW + MINUTE


async def test_a_resolve_without_a_time_is_now(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    assert await journal.accept([resolved(ends_at=None)], NOW + MINUTE) == Accepted(resolved=1)
    (record,) = await journal.recent_alerts(1)
    assert record.resolved_at == NOW + MINUTE


async def test_an_old_resolve_does_not_close_the_newer_interval(journal: SqlJournal) -> None:
    """Deliveries may overtake each other: this resolve ended the firing before the last."""
    await journal.accept([alert()], NOW)
    await journal.accept([alert(starts_at=NOW + 5 * MINUTE)], NOW + 5 * MINUTE)
    assert await journal.accept([resolved(ends_at=NOW + 4 * MINUTE)], NOW + 6 * MINUTE) == Accepted(known=1)
    (record,) = await journal.recent_alerts(1)
    assert record.resolved_at is None
    late = resolved(ends_at=NOW + 7 * MINUTE, starts_at=NOW + 5 * MINUTE)
    assert await journal.accept([late], NOW + 8 * MINUTE) == Accepted(resolved=1)


def _sampled(*names: str, answer: CheckAnswer = "good") -> tuple[SampleSet, ...]:
    checks = tuple(CheckSample(check=n, answer=answer, detail="", taken_at=NOW) for n in names)
    return (SampleSet(taken_at=NOW, checks=checks),)


@pytest.mark.parametrize(
    ("state", "changes", "closed"),
    [
        pytest.param(State.SUCCEEDED, {"samples": _sampled("rollout", "alert_resolved")}, True, id="verified by it"),
        pytest.param(State.SUCCEEDED, {"samples": _sampled("rollout")}, False, id="verified by something else"),
        pytest.param(State.SUCCEEDED, {"samples": _sampled("alert_resolved", answer="bad")}, False, id="not proven"),
        pytest.param(State.SUCCEEDED, {}, False, id="without a sample"),
        pytest.param(State.SUPERSEDED, {}, True, id="proven quiet before anything was done"),
        pytest.param(State.DENIED, {}, False, id="nothing is known"),
    ],
)
async def test_an_ending_that_proves_the_alert_quiet_closes_it(
    journal: SqlJournal, state: State, changes: dict[str, Any], closed: bool
) -> None:
    """Resolved webhooks may be switched off, and are not sent for what is silenced."""
    await journal.accept([alert("A"), alert("B")], NOW)
    a, b = await journal.undecided(10)
    r = await opened(journal, alerts=(a.id,))
    await ended(journal, r, state, now=NOW + HOUR, **changes)
    assert [r.resolved_at for r in await journal.alerts([a.id, b.id])] == [NOW + HOUR if closed else None, None]
    assert bool(await journal.firing_roots("c1")) is not closed


async def test_what_is_not_sent_again_for_long_is_closed(journal: SqlJournal) -> None:
    await journal.accept([alert("Gone"), alert("Here"), alert("Undecided")], NOW)
    gone, here, undecided = await journal.undecided(10)
    await journal.decide_alerts({gone.id: "no_playbook", here.id: "no_playbook"}, NOW)
    await journal.accept([alert("Here")], NOW + 20 * HOUR)
    assert await journal.close_unsent(NOW + DAY, DAY) == 0
    assert await journal.close_unsent(NOW + DAY + SECOND, DAY) == 1
    records = await journal.alerts([gone.id, here.id, undecided.id])
    assert [r.resolved_at for r in records] == [NOW + DAY + SECOND, None, None]
    assert records[0].detail == "not re-sent"
    # A silence is over: it never stopped firing, and nobody has looked at it for days.
    assert await journal.accept([alert("Gone")], NOW + 2 * DAY) == Accepted(new=1)


async def test_what_a_running_remediation_is_about_is_not_closed_for_being_silent(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    r = await opened(journal, alerts=(record.id,))
    assert await journal.close_unsent(NOW + 2 * DAY, DAY) == 0
    await ended(journal, r, State.DENIED, now=NOW + 2 * DAY)
    assert await journal.close_unsent(NOW + 2 * DAY, DAY) == 1


# The same alert, or a new one -----------------------------------------------------------------------------------------


async def test_a_new_start_without_a_resolve_is_the_same_alert(journal: SqlJournal) -> None:
    """Alertmanager restarts move startsAt."""
    await journal.accept([alert()], NOW)
    assert await journal.accept([alert(starts_at=NOW + 5 * HOUR)], NOW + 5 * HOUR) == Accepted(known=1)


@pytest.mark.parametrize(
    ("starts", "seen", "same"),
    [
        pytest.param(timedelta(minutes=10), timedelta(minutes=10), True, id="ten minutes after the resolve"),
        pytest.param(timedelta(minutes=10, microseconds=1), timedelta(minutes=11), False, id="just over ten minutes"),
        pytest.param(timedelta(minutes=2), timedelta(minutes=25), True, id="soon, but heard of late"),
        pytest.param(timedelta(minutes=-5), timedelta(minutes=9), True, id="the old start, soon: a late duplicate"),
        pytest.param(timedelta(minutes=-5), timedelta(minutes=12), False, id="the old start, long after: found again"),
    ],
)
async def test_firing_again_after_a_resolve(
    journal: SqlJournal, starts: timedelta, seen: timedelta, same: bool
) -> None:
    await journal.accept([alert()], NOW - HOUR)
    await journal.accept([resolved(ends_at=NOW)], NOW)
    (first,) = await journal.undecided(10)
    await journal.decide_alerts({first.id: "no_playbook"}, NOW)
    # Either way nothing has been done about it: it is looked at, at once.
    assert await journal.accept([alert(starts_at=NOW + starts)], NOW + seen) == Accepted(new=1)
    latest = (await journal.recent_alerts(1))[0]
    assert latest.resolved_at is None
    assert (latest.id == first.id) is same
    assert [r.id for r in await journal.undecided(10, NOW + seen)] == [latest.id]


async def test_a_refire_within_ten_minutes_opens_the_same_interval_again(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    await journal.accept([resolved(ends_at=NOW + MINUTE)], NOW + MINUTE)
    await journal.accept([alert(starts_at=NOW + 5 * MINUTE)], NOW + 5 * MINUTE)
    (record,) = await journal.recent_alerts(5)
    assert (record.resolved_at, record.alert.status, record.first_seen) == (None, "firing", NOW)
    assert record.alert.ends_at is None


async def test_a_whole_life_in_one_delivery(journal: SqlJournal) -> None:
    """Fires, resolves, fires an hour later: two intervals, the second open."""
    story = [alert(), resolved(ends_at=NOW + MINUTE), alert(starts_at=NOW + HOUR)]
    assert await journal.accept(story, NOW + HOUR) == Accepted(new=2, resolved=1)
    newer, older = await journal.recent_alerts(5)
    assert (newer.resolved_at, older.resolved_at) == (None, NOW + MINUTE)
    assert await journal.accept([alert(starts_at=NOW + HOUR)], NOW + HOUR) == Accepted(known=1)


# Looked at again ------------------------------------------------------------------------------------------------------


async def _decided_by(journal: SqlJournal, state: State, **changes: Any) -> None:
    """An alert whose remediation ended at NOW."""
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    r = await opened(journal, alerts=(record.id,))
    await ended(journal, r, state, **changes)
    assert await journal.undecided(10) == ()


async def test_a_resend_after_an_ending_without_effect_is_looked_at_again(journal: SqlJournal) -> None:
    await _decided_by(journal, State.DENIED)
    newer = alert(annotations={"summary": "worse"})
    assert await journal.accept([newer], NOW + 5 * MINUTE) == Accepted(new=1)
    (record,) = await journal.undecided(10, NOW + 5 * MINUTE)
    assert record.alert.annotations == {"summary": "worse"}
    assert await journal.accept([newer], NOW + 6 * MINUTE) == Accepted(known=1)


async def test_a_resend_too_soon_is_looked_at_as_soon_as_its_time_comes(journal: SqlJournal) -> None:
    """Not within 5 minutes of the ending, but not forgotten either: the next re-send may be hours away."""
    await _decided_by(journal, State.SUPERSEDED)
    assert await journal.accept([alert()], NOW + 2 * MINUTE) == Accepted(new=1)
    assert await journal.undecided(10, NOW + 5 * MINUTE - SECOND) == ()
    assert len(await journal.undecided(10, NOW + 5 * MINUTE)) == 1


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        pytest.param(State.REJECTED, {}, id="a person said no"),
        pytest.param(State.ESCALATED, {"outcome": StepOutcome.FAILED, "done": (DONE,)}, id="something was done"),
    ],
)
async def test_some_endings_are_final(journal: SqlJournal, state: State, changes: dict[str, Any]) -> None:
    await _decided_by(journal, state, **changes)
    assert await journal.accept([alert()], NOW + HOUR) == Accepted(known=1)
    assert await journal.undecided(10) == ()


@pytest.mark.parametrize(
    ("state", "changes", "after"),
    [
        pytest.param(State.SUCCEEDED, {"done": (DONE,)}, 2 * MINUTE, id="the cure did not last"),
        pytest.param(State.ESCALATED, {"done": (DONE,)}, 2 * MINUTE, id="something was done"),
        pytest.param(State.REJECTED, {}, 5 * MINUTE, id="a person said no, to what is over by now"),
        pytest.param(State.DENIED, {}, 5 * MINUTE, id="nothing was done"),
    ],
)
async def test_a_refire_after_an_ending_is_looked_at_again(
    journal: SqlJournal, state: State, changes: dict[str, Any], after: timedelta
) -> None:
    """Within ten minutes it is the same interval, but what fires again is news, whatever came of it before."""
    await _decided_by(journal, state, **changes)
    await journal.accept([resolved(ends_at=NOW + MINUTE)], NOW + MINUTE)
    refire = [alert(starts_at=NOW + 2 * MINUTE)]
    assert await journal.accept(refire, NOW + 2 * MINUTE) == Accepted(new=1)
    assert await journal.undecided(10, NOW + after - SECOND) == ()
    assert len(await journal.undecided(10, NOW + after)) == 1
    assert len(await journal.recent_alerts(9)) == 1


async def test_a_refire_while_its_remediation_runs_is_known(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    await opened(journal, alerts=(record.id,))
    await journal.accept([resolved(ends_at=NOW + MINUTE)], NOW + MINUTE)
    assert await journal.accept([alert(starts_at=NOW + 2 * MINUTE)], NOW + 2 * MINUTE) == Accepted(known=1)


async def test_without_a_playbook_each_resend_is_looked_at_at_most_every_five_minutes(journal: SqlJournal) -> None:
    """A playbook for it may have been loaded by now."""
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    await journal.decide_alerts({record.id: "no_playbook"}, NOW)
    assert await journal.accept([alert()], NOW + MINUTE) == Accepted(new=1)
    assert await journal.accept([alert()], NOW + 2 * MINUTE) == Accepted(known=1)
    assert await journal.undecided(10, NOW + 5 * MINUTE - SECOND) == ()
    assert len(await journal.undecided(10, NOW + 5 * MINUTE)) == 1
    await journal.decide_alerts({record.id: "no_playbook"}, NOW + 5 * MINUTE)
    assert await journal.accept([alert()], NOW + 4 * HOUR) == Accepted(new=1)
    assert len(await journal.undecided(10, NOW + 4 * HOUR)) == 1


async def test_over_before_it_was_looked_at_and_back_again(journal: SqlJournal) -> None:
    await journal.accept([alert(), resolved(ends_at=NOW + SECOND)], NOW + SECOND)
    (record,) = await journal.undecided(10)
    await journal.decide_alerts({record.id: "resolved: over before it was looked at"}, NOW + SECOND)
    again = alert(starts_at=NOW + 2 * MINUTE)
    assert await journal.accept([again], NOW + 2 * MINUTE) == Accepted(new=1)
    (same,) = await journal.undecided(10, NOW + 2 * MINUTE)
    assert (same.id, same.resolved_at) == (record.id, None)


async def test_a_verdict_never_replaces_another_one(journal: SqlJournal) -> None:
    """Two looked at the same alert: the first decides."""
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    r = await opened(journal, alerts=(record.id,))
    await journal.decide_alerts({record.id: "no_playbook: none matches"}, NOW)
    (after,) = await journal.alerts([record.id])
    assert after.verdict == f"remediation:{r.id}"


async def test_over_is_no_verdict_for_what_fires_again_by_now(journal: SqlJournal) -> None:
    await journal.accept([alert(), resolved(ends_at=NOW + SECOND)], NOW + SECOND)
    (record,) = await journal.undecided(10)
    await journal.accept([alert(starts_at=NOW + MINUTE)], NOW + MINUTE)
    await journal.decide_alerts({record.id: "resolved: over before it was looked at"}, NOW + MINUTE)
    assert [r.id for r in await journal.undecided(10)] == [record.id]


async def test_an_alert_of_a_running_remediation_is_left_alone(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    r = await opened(journal, alerts=(record.id,))
    await moved(journal, to(r, State.HELD))
    assert await journal.accept([alert()], NOW + HOUR) == Accepted(known=1)


async def test_an_attempt_without_an_answer_counts_as_an_effect(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    r = await reserved(journal, await opened(journal, alerts=(record.id,)))
    await journal.record_attempt(attempt(r), NOW)
    await ended(journal, r, State.ESCALATED, outcome=StepOutcome.UNCERTAIN)
    assert await journal.accept([alert()], NOW + HOUR) == Accepted(known=1)


async def test_the_rung_that_has_it_now_decides(journal: SqlJournal) -> None:
    """The parent ended without effect, but its child is still at work."""
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    parent = await opened(journal, alerts=(record.id,))
    child = begun(2, root=parent.root, parent=parent.id, episode=parent.episode, alerts=(record.id,))
    await moved(
        journal,
        to(parent, State.ESCALATED, outcome=StepOutcome.REFUSED, child="next"),
        child=child,
    )
    assert await journal.accept([alert()], NOW + HOUR) == Accepted(known=1)
    await ended(journal, child, State.DENIED, now=NOW + HOUR)
    assert await journal.accept([alert()], NOW + 2 * HOUR) == Accepted(new=1)


async def test_an_alert_whose_remediation_was_purged_is_looked_at_again(journal: SqlJournal) -> None:
    await _decided_by(journal, State.DENIED)
    for day in range(100):
        await journal.accept([alert()], NOW + day * MINUTE)  # it never stops firing
    (record,) = await journal.recent_alerts(1)
    await journal.decide_alerts({record.id: "joined:r-gone"}, NOW)
    assert await journal.accept([alert()], NOW + DAY) == Accepted(new=1)
