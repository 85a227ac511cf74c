"""Attempt rows: one per request, refused by a pause or a newer epoch, with the exact bytes."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails.scopes import describe_scope
from remediator.objects import ObjectRef
from remediator.ports import WriteRequest
from remediator.remediation.journal import Attempt, AttemptOutcome, AttemptRefused
from remediator.remediation.state import Remediation, State
from tests.journal.given import HOUR, LEASE, ME, MINUTE, SECOND, attempt, claimed, ended, moved, opened, reserved, to
from tests.support.building import NOW


@pytest.fixture
async def r(journal: SqlJournal) -> Remediation:
    return await reserved(journal, await opened(journal))


async def recorded(journal: SqlJournal, r: Remediation, **changes: Any) -> Attempt:
    row = await journal.record_attempt(attempt(r, **changes), NOW)
    assert isinstance(row, Attempt), row
    return row


async def refused(journal: SqlJournal, r: Remediation, **changes: Any) -> AttemptRefused:
    before = await journal.attempts(r.id)
    row = await journal.record_attempt(attempt(r, **changes), NOW)
    assert isinstance(row, AttemptRefused), row
    assert await journal.attempts(r.id) == before
    return row


async def test_a_row_holds_exactly_what_is_sent(journal: SqlJournal, r: Remediation) -> None:
    body = bytes(range(256))
    sent = WriteRequest("evict", ObjectRef("Pod", "shop", "api-1"), "application/json", body)
    row = await recorded(journal, r, request=sent, generation=None, uid="u9", resource_version="77")
    assert row.request == sent
    assert (row.uid, row.resource_version, row.generation) == ("u9", "77", None)
    assert (row.remediation_id, row.effect_id, row.number, row.epoch) == (r.id, "r-1/0.0", 1, r.epoch)
    assert (row.at, row.outcome, row.detail) == (NOW, None, "")
    assert await journal.attempts(r.id) == (row,)
    assert await journal.last_attempt(r.id, "r-1/0.0") == row


async def test_attempts_are_numbered_per_effect(journal: SqlJournal, r: Remediation) -> None:
    for effect, number in (("r-1/0.0", 1), ("r-1/0.0", 2), ("r-1/0.1", 1), ("r-1/0.0", 3)):
        assert (await recorded(journal, r, effect_id=effect)).number == number
    last = await journal.last_attempt(r.id, "r-1/0.0")
    assert last is not None
    assert last.number == 3
    assert [(a.effect_id, a.number) for a in await journal.attempts(r.id)] == [
        ("r-1/0.0", 1),
        ("r-1/0.0", 2),
        ("r-1/0.1", 1),
        ("r-1/0.0", 3),
    ]
    assert await journal.last_attempt(r.id, "r-1/9.9") is None


async def test_an_effect_is_known_once_it_was_attempted(journal: SqlJournal, r: Remediation) -> None:
    assert not await journal.knows_effect("r-1/0.0")
    await recorded(journal, r)
    assert await journal.knows_effect("r-1/0.0")
    assert not await journal.knows_effect("r-1/0.1")


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        ("everything", True),
        ("playbook:scale-api", True),
        ("namespace:c1/shop", True),
        ("target:c1/Deployment/shop/api", True),
        ("playbook:other", False),
        ("namespace:c2/shop", False),
        ("target:c1/Deployment/shop/other", False),
    ],
)
async def test_a_pause_on_its_scope_refuses_it(journal: SqlJournal, r: Remediation, scope: str, covers: bool) -> None:
    pause = await journal.pause(scope, "ann", "database work", None, NOW)
    if not covers:
        await recorded(journal, r)
        return
    no = await refused(journal, r)
    assert (no.why, no.detail) == ("paused", f"{describe_scope(scope)} is paused by ann: database work")
    assert await journal.resume(pause.id, "ann", NOW)
    await recorded(journal, r)


async def test_a_pause_on_everything_needs_no_scope(journal: SqlJournal, r: Remediation) -> None:
    await journal.pause("everything", "ann", "", None, NOW)
    assert (await refused(journal, r, pause_scopes=())).why == "paused"


async def test_a_pause_that_is_over_refuses_nothing(journal: SqlJournal, r: Remediation) -> None:
    await journal.pause("everything", "ann", "", NOW, NOW - HOUR)
    await recorded(journal, r)
    await journal.pause("everything", "ann", "", NOW + SECOND, NOW - HOUR)
    assert (await refused(journal, r)).why == "paused"


async def test_another_epoch_refuses_it(journal: SqlJournal, r: Remediation) -> None:
    for epoch in (r.epoch - 1, r.epoch + 1, 0):
        no = await refused(journal, r, epoch=epoch)
        assert (no.why, no.detail) == ("fenced", f"epoch {epoch} is over, {r.epoch} is in force")


async def test_an_ended_remediation_attempts_nothing(journal: SqlJournal, r: Remediation) -> None:
    await ended(journal, r, State.CANCELLED)
    assert (await refused(journal, r)).detail == "it holds no reservation any more (cancelled)"


async def test_not_even_when_its_reservation_was_forgotten(journal: SqlJournal, r: Remediation) -> None:
    await ended(journal, r, State.CANCELLED, release=False)
    assert (await refused(journal, r)).why == "fenced"


async def test_without_a_reservation_nothing_is_attempted(journal: SqlJournal, r: Remediation) -> None:
    """Its locks are free: somebody else may be at work on the target."""
    freed = await moved(journal, to(r, State.INCONCLUSIVE, release=True))
    assert (await refused(journal, freed)).detail == "it holds no reservation any more (inconclusive)"
    fresh = await opened(journal, 2)
    assert (await refused(journal, fresh, epoch=0)).why == "fenced"


async def test_somebody_elses_reservation_is_none(journal: SqlJournal, r: Remediation) -> None:
    await reserved(journal, await opened(journal, 2))
    given_back = await moved(journal, to(r, State.HELD, release=True))
    assert (await refused(journal, given_back)).why == "fenced"


async def test_an_attempt_without_an_answer_counts_as_an_effect(journal: SqlJournal, r: Remediation) -> None:
    """Whoever is asked about the episode afterwards must not try again as if nothing had been done."""
    await recorded(journal, r)
    after = await ended(journal, r, State.ESCALATED)
    episode = await journal.episode(after.episode)
    assert episode is not None
    assert episode.ladders == 1


async def test_an_unknown_remediation_attempts_nothing(journal: SqlJournal, r: Remediation) -> None:
    assert (await refused(journal, r, remediation_id="r-9")).why == "fenced"


# Outcomes -------------------------------------------------------------------------------------------------------------


async def test_an_outcome_is_kept(journal: SqlJournal, r: Remediation) -> None:
    row = await recorded(journal, r)
    await journal.record_outcome(row.id, "conflict", "409", NOW)
    last = await journal.last_attempt(r.id, row.effect_id)
    assert last is not None
    assert (last.outcome, last.detail) == ("conflict", "409")


async def test_uncertain_becomes_what_a_look_proved(journal: SqlJournal, r: Remediation) -> None:
    row = await recorded(journal, r)
    await journal.record_outcome(row.id, "uncertain", "timeout", NOW)
    await journal.record_outcome(row.id, "happened", "marker", NOW)
    assert (await journal.attempts(r.id))[0].outcome == "happened"


@pytest.mark.parametrize("second", ["done", "uncertain", "happened"])
async def test_a_definite_word_stays_and_the_other_is_evidence(
    journal: SqlJournal, r: Remediation, second: AttemptOutcome
) -> None:
    row = await recorded(journal, r)
    await journal.record_outcome(row.id, "never", "it can never land", NOW)
    await journal.record_outcome(row.id, second, "200", NOW + MINUTE)
    assert (await journal.attempts(r.id))[0].outcome == "never"
    line = (await journal.history(r.id))[-1]
    assert (line.type, line.reason, line.at) == ("late_outcome", f"{second}: 200", NOW + MINUTE)
    assert line.data == {"effect": row.effect_id, "attempt": 1, "epoch": r.epoch, "on_record": "never"}


async def test_the_same_outcome_twice_is_no_news(journal: SqlJournal, r: Remediation) -> None:
    row = await recorded(journal, r)
    for _ in range(2):
        await journal.record_outcome(row.id, "done", "", NOW)
    assert all(line.type != "late_outcome" for line in await journal.history(r.id))


async def test_a_late_answer_of_a_fenced_sender_is_evidence_only(journal: SqlJournal) -> None:
    r = await reserved(journal, await claimed(journal))
    row = await recorded(journal, r)
    await journal.claim("other", NOW + LEASE, LEASE, 9)
    await journal.record_outcome(row.id, "done", "200", NOW + LEASE)
    assert (await journal.attempts(r.id))[0].outcome is None
    assert (await journal.history(r.id))[-1].reason == "done: 200"
    # What the new holder found out by looking counts.
    await journal.record_outcome(row.id, "happened", "marker", NOW + LEASE)
    assert (await journal.attempts(r.id))[0].outcome == "happened"


async def test_an_outcome_of_nothing_is_nothing(journal: SqlJournal, r: Remediation) -> None:
    await journal.record_outcome("4711", "done", "", NOW)
    assert await journal.attempts(r.id) == ()
    assert await journal.claim(ME, NOW, LEASE, 0) == ()


async def test_a_window_that_has_closed_refuses_it_at_that_very_instant(journal: SqlJournal, r: Remediation) -> None:
    no = await refused(journal, r, not_after=NOW)
    assert (no.why, no.detail) == ("closed", f"the window closed at {NOW:%Y-%m-%d %H:%M:%S} UTC")
    await recorded(journal, r, not_after=NOW + SECOND)
