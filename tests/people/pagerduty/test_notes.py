"""Notes on incidents: what they say, when they are written, on which incident, and never a line of a log."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.adapters.pagerduty_rest import PagerDutyRest
from remediator.people.carriers.pagerduty_note import TRIES, NoteCarrier
from remediator.people.incidents import NOTE_LIMIT, NOTES, Incident, IncidentNotes, PagedIncident, note_text
from remediator.people.join import Join
from remediator.people.outbox_rows import OutboxMessage, OutboxRow
from remediator.people.pages import dedup_key, trigger_event
from remediator.people.routes import News
from remediator.people.story import EvidenceNote, Story
from remediator.ports import ChatError
from tests.http.harness import FakeClock
from tests.people.hostile import hostile_stories
from tests.people.stories import ACTING, ESCALATED, HELD, NOW, ROLLBACK, SUCCEEDED, VERIFYING
from tests.support.babbler import babbler
from tests.support.fake_http import Fault
from tests.support.fake_pagerduty import ANNOTATE, FIND, ROUTING_KEY, FakePagerDuty

JOIN = Join(route_key='{}/{severity="critical"}', group_by=("alertname", "namespace"), service="ops")
RANG = PagedIncident(rang_at=NOW)
APPROVED = replace(ACTING, state="approved")
OVER = PagedIncident(rang_at=NOW, resolved_at=NOW + timedelta(minutes=1))


# The text -------------------------------------------------------------------------------------------------------------


def test_it_says_who_decided_what_was_done_and_the_numbers() -> None:
    lines = note_text(SUCCEEDED).splitlines()
    assert lines[0] == "remediator: Fixed: roll back Deployment shop/checkout to revision 41 [prod-eu]"
    assert any(line.startswith("Approved by ann") for line in lines)
    assert any("registry.example.com/shop/checkout:2.13.7" in line for line in lines)
    assert any("error_ratio 20 % → 0.1 % ✓" in line for line in lines)
    assert f"Console: {SUCCEEDED.console_url}" in lines
    assert any(line.startswith("Graph: https://prometheus.example.com/") for line in lines)
    assert lines[-1] == "r-4f2c91, playbook rollback-bad-release"


def test_evidence_is_counts_and_reasons_never_a_log() -> None:
    text = note_text(SUCCEEDED)
    assert "Logs: 50 lines, 31 with ERROR" in text
    assert "customer 4711" not in text


def test_a_proposal_on_a_joined_incident_brings_the_commands() -> None:
    assert "remediator approve r-4f2c91" in note_text(ROLLBACK)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(hostile_stories)
def test_any_story_makes_a_bounded_note_of_plain_lines(story: Story) -> None:
    secret = EvidenceNote(title="Logs", text="2 lines", log="customer 4711")
    text = note_text(replace(story, evidence=(secret, *story.evidence[:50])))
    assert 0 < len(text) <= NOTE_LIMIT
    assert "customer 4711" not in text
    assert not {"\x1b", "\x00", "\r", "\u202e"} & set(text)


# When -----------------------------------------------------------------------------------------------------------------


async def noted(
    story: Story, news: News = News.STATE, *, paged: PagedIncident | None = RANG, **more: Any
) -> list[OutboxMessage]:
    async def look(key: str) -> PagedIncident | None:
        assert key == dedup_key(story)
        return paged

    return list(await IncidentNotes(look, **more)(story, news))


@pytest.mark.parametrize("story", [APPROVED, VERIFYING, SUCCEEDED, ESCALATED], ids=lambda s: s.state)
async def test_what_matters_is_noted_on_our_incident(story: Story) -> None:
    (message,) = await noted(story)
    assert message.channel == NOTES
    assert message.payload == {"incident_key": dedup_key(story), "text": note_text(story), "joined": False}


@pytest.mark.parametrize(
    ("story", "news"),
    [
        pytest.param(ACTING, News.STATE, id="a step on the way"),
        pytest.param(HELD, News.STATE, id="waiting"),
        pytest.param(VERIFYING, News.DETAIL, id="a detail"),
        pytest.param(ROLLBACK, News.STATE, id="a question, which the page itself asks"),
        pytest.param(replace(ACTING, evidence=()), News.EVIDENCE, id="evidence without any"),
    ],
)
async def test_and_the_rest_is_not(story: Story, news: News) -> None:
    assert await noted(story, news) == []


@pytest.mark.parametrize("paged", [None, OVER, PagedIncident(resolved_at=NOW)], ids=["never", "closed", "only closed"])
async def test_where_nothing_rang_there_is_no_incident_to_write_on(paged: PagedIncident | None) -> None:
    assert await noted(SUCCEEDED, paged=paged) == []


async def test_the_same_state_is_noted_once_and_evidence_beside_it() -> None:
    first, again = (await noted(VERIFYING))[0], (await noted(replace(VERIFYING, explanation="more")))[0]
    evidence, cleared = (await noted(ACTING, News.EVIDENCE))[0], (await noted(ESCALATED, News.CLEARED))[0]
    assert first.once == again.once
    assert len({first.once, evidence.once, cleared.once}) == 3


async def test_a_joined_incident_gets_notes_whether_we_rang_or_not() -> None:
    other = replace(SUCCEEDED.alerts[0], labels={**SUCCEEDED.alerts[0].labels, "namespace": "bar"})
    story = replace(ROLLBACK, alerts=(*ROLLBACK.alerts, *ROLLBACK.alerts, other))
    messages = await noted(story, paged=None, join=JOIN)
    keys = [JOIN.key(alert.labels) for alert in (ROLLBACK.alerts[0], other)]
    assert [m.payload["incident_key"] for m in messages] == keys
    assert all(m.payload["joined"] for m in messages)


async def test_a_joined_incident_is_resolved_only_where_alertmanager_can_be_asked() -> None:
    resolves = [m for m in await noted(SUCCEEDED, join=JOIN, resolves=True) if m.channel != NOTES]
    (message,) = resolves
    assert message.destination == "ops"
    assert message.payload == {
        "dedup_key": JOIN.key(SUCCEEDED.alerts[0].labels),
        "labels": {"alertname": "HighErrorRate", "namespace": "shop"},
        "absent": [],
    }
    for story, news, join, can in (
        (SUCCEEDED, News.STATE, JOIN, False),
        (SUCCEEDED, News.STATE, JOIN.model_copy(update={"service": ""}), True),
        (ESCALATED, News.STATE, JOIN, True),
        (SUCCEEDED, News.DETAIL, JOIN, True),
    ):
        assert all(m.channel == NOTES for m in await noted(story, news, join=join, resolves=can))
    assert len([m for m in await noted(ESCALATED, News.CLEARED, join=JOIN, resolves=True) if m.channel != NOTES]) == 1


# The carrier ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def pagerduty() -> AsyncIterator[FakePagerDuty]:
    async with FakePagerDuty() as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
async def rest(pagerduty: FakePagerDuty) -> AsyncIterator[PagerDutyRest]:
    async with PagerDutyRest(pagerduty.token, pagerduty.user, FakeClock(), url=pagerduty.root, timeout_s=5) as adapter:
        yield adapter


def row(story: Story = SUCCEEDED, *, tries: int = 0, joined: bool = False) -> OutboxRow:
    payload = {"incident_key": dedup_key(story), "text": note_text(story), "joined": joined}
    return OutboxRow(
        id=1,
        channel=NOTES,
        destination=dedup_key(story),
        key="k",
        kind="event",
        payload=payload,
        tries=tries,
        due_at=NOW,
        created_at=NOW,
    )


def ring(pagerduty: FakePagerDuty, story: Story = SUCCEEDED) -> None:
    pagerduty._apply({**trigger_event(story), "routing_key": ROUTING_KEY})


async def test_it_is_written_on_the_incident_of_the_key(pagerduty: FakePagerDuty, rest: PagerDutyRest) -> None:
    ring(pagerduty, replace(SUCCEEDED, episode_id="e-other"))
    ring(pagerduty)
    ref = await NoteCarrier(rest).deliver(row(), None)
    incident = pagerduty.incident(dedup_key(SUCCEEDED))
    assert incident.notes == [note_text(SUCCEEDED)]
    assert ref is not None
    assert ref.ts == incident.id, "where it was written is kept"


async def test_the_open_one_is_meant_when_several_had_the_key(pagerduty: FakePagerDuty, rest: PagerDutyRest) -> None:
    ring(pagerduty)
    pagerduty.incidents[0].status = "resolved"
    ring(pagerduty)
    ring(pagerduty)
    pagerduty.incidents.append(replace(pagerduty.incidents[0], id="QLATER", notes=[]))
    await NoteCarrier(rest).deliver(row(), None)
    assert [bool(i.notes) for i in pagerduty.incidents] == [False, True, False]


class Known:
    """Incidents that PagerDuty has, with the time of their last change."""

    def __init__(self, *incidents: Incident) -> None:
        self.incidents = incidents
        self.written: list[tuple[str, str]] = []

    async def find(self, key: str) -> Sequence[Incident]:
        return self.incidents

    async def get(self, incident_id: str) -> Incident | None:
        raise AssertionError("not asked")

    async def notes(self, incident_id: str) -> Sequence[str]:
        return [text for incident, text in self.written if incident == incident_id]

    async def annotate(self, incident_id: str, text: str) -> None:
        self.written.append((incident_id, text))


def closed(ago: timedelta) -> Incident:
    return Incident(id="QOLD", key="k", status="resolved", changed_at=NOW - ago)


async def test_an_incident_that_was_over_long_before_is_another_one() -> None:
    """The key of Alertmanager's group is the same for ever, and it opens the incident minutes after we began."""
    known = Known(closed(timedelta(hours=3)))
    with pytest.raises(ChatError, match="no such incident yet"):
        await NoteCarrier(known).deliver(row(joined=True), None)
    assert known.written == []
    known.incidents = (closed(timedelta(minutes=2)),)
    await NoteCarrier(known).deliver(row(joined=True), None)
    assert [incident for incident, _ in known.written] == ["QOLD"]
    ours = Known(closed(timedelta(hours=3)))  # by hand, and what we find out later still belongs there
    await NoteCarrier(ours).deliver(row(), None)
    assert len(ours.written) == 1


async def test_a_note_that_was_written_before_a_crash_is_not_written_twice() -> None:
    known = Known(Incident(id="Q1", key="k", status="triggered"))
    await NoteCarrier(known).deliver(row(), None)
    await NoteCarrier(known).deliver(row(), None)  # the store never heard of it: as if it had not been tried
    assert len(known.written) == 1


async def test_when_an_incident_changed_last_is_read(pagerduty: FakePagerDuty, rest: PagerDutyRest) -> None:
    ring(pagerduty)
    for said, read in (("", None), ("soon", None), ("2025-06-02T03:05:10", None), (NOW.isoformat(), NOW)):
        pagerduty.incidents[0].changed_at = said
        (found,) = await rest.find(dedup_key(SUCCEEDED))
        assert found.changed_at == read


async def test_each_service_that_was_called_has_one(pagerduty: FakePagerDuty, rest: PagerDutyRest) -> None:
    """A ladder may call a second service under the same key; a failure in the middle repeats nothing."""
    ring(pagerduty)
    pagerduty.incidents.append(replace(pagerduty.incidents[0], id="QSECOND", routing_key="f" * 32, notes=[]))
    pagerduty.incidents[0].notes.append(note_text(SUCCEEDED))
    await NoteCarrier(rest).deliver(row(tries=1), None)
    assert [len(incident.notes) for incident in pagerduty.incidents] == [1, 1]


async def test_pagerduty_takes_a_while_to_make_an_incident(pagerduty: FakePagerDuty, rest: PagerDutyRest) -> None:
    pagerduty.slow = True
    ring(pagerduty)
    with pytest.raises(ChatError) as caught:
        await NoteCarrier(rest).deliver(row(), None)
    assert caught.value.retry_after_s == 15
    pagerduty.settle()
    await NoteCarrier(rest).deliver(row(tries=1), None)
    assert len(pagerduty.incidents[0].notes) == 1


async def test_a_page_that_never_became_an_incident_is_a_failure(pagerduty: FakePagerDuty, rest: PagerDutyRest) -> None:
    pagerduty.inactive = True
    ring(pagerduty)
    with pytest.raises(ChatError, match="is the service active") as caught:
        await NoteCarrier(rest).deliver(row(tries=TRIES), None)
    assert caught.value.retry_after_s is None


async def test_but_alertmanager_may_have_paged_nobody(rest: PagerDutyRest) -> None:
    assert await NoteCarrier(rest).deliver(row(tries=TRIES, joined=True), None) is None


async def test_a_note_whose_answer_was_lost_is_not_written_twice(pagerduty: FakePagerDuty) -> None:
    ring(pagerduty)
    pagerduty.fail(ANNOTATE, Fault(hang="after"))
    async with PagerDutyRest(pagerduty.token, pagerduty.user, FakeClock(), url=pagerduty.root, timeout_s=0.3) as rest:
        carrier = NoteCarrier(rest)
        with pytest.raises(ChatError) as caught:
            await carrier.deliver(row(), None)
        assert caught.value.retry_after_s == 5.0
        await carrier.deliver(row(tries=1), None)
    assert len(pagerduty.incidents[0].notes) == 1


# The adapter ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param(Fault(status=429), 30.0, id="429 without a time"),
        pytest.param(Fault(status=401), 60.0, id="401"),
        pytest.param(Fault(status=403), 60.0, id="403"),
        pytest.param(Fault(status=500, body="<html>"), 5.0, id="500"),
        pytest.param(Fault(status=302), 60.0, id="a redirect"),
        pytest.param(Fault(status=200, body="<html>log in</html>"), 60.0, id="somebody else's 200"),
        pytest.param(Fault(status=200, body='{"incidents": null}'), 60.0, id="not what was asked for"),
        pytest.param(Fault(status=200, body='{"incidents": ["x"]}'), 60.0, id="no incidents"),
        pytest.param(Fault(status=400), None, id="400"),
    ],
)
async def test_what_goes_wrong(
    pagerduty: FakePagerDuty, rest: PagerDutyRest, fault: Fault, seconds: float | None
) -> None:
    pagerduty.fail(FIND, fault)
    with pytest.raises(ChatError) as caught:
        await rest.find("k")
    assert caught.value.retry_after_s == seconds
    assert pagerduty.calls == [FIND], "retrying is the outbox's work"


async def test_pagerduty_that_cannot_be_reached() -> None:
    async with PagerDutyRest("token", "ann@example.com", FakeClock(), url="http://127.0.0.1:1") as rest:
        with pytest.raises(ChatError) as caught:
            await rest.find("k")
    assert caught.value.retry_after_s == 5.0


async def test_the_rate_limit_is_kept_until_it_is_over() -> None:
    time, clock = [0.0], FakeClock()
    async with (
        FakePagerDuty(rest_per_minute=2, clock=lambda: time[0]) as pagerduty,
        PagerDutyRest(pagerduty.token, pagerduty.user, clock, url=pagerduty.root) as rest,
    ):
        assert [await rest.find("k"), await rest.find("k")] == [[], []]
        time[0] = 40.0
        for _ in range(2):
            with pytest.raises(ChatError) as caught:
                await rest.find("k")
            assert caught.value.retry_after_s == 20.0
        assert len(pagerduty.calls) == 3, "it does not ask again before the time that was named"
        await clock.sleep(20)
        time[0] = 60.0
        assert await rest.find("k") == []


async def test_a_wrong_token_is_never_shown(pagerduty: FakePagerDuty) -> None:
    pagerduty.fail(FIND, Fault(status=400, body="no such token: y_NotTheTokenAtAll"))
    async with PagerDutyRest("y_NotTheTokenAtAll", pagerduty.user, FakeClock(), url=pagerduty.root) as rest:
        for _ in range(2):
            with pytest.raises(ChatError) as caught:
                await rest.find("k")
            assert "NotTheTokenAtAll" not in repr(caught.value)


async def test_somebody_else_cannot_sign_notes(pagerduty: FakePagerDuty) -> None:
    ring(pagerduty)
    async with PagerDutyRest(pagerduty.token, "nobody@example.com", FakeClock(), url=pagerduty.root) as rest:
        with pytest.raises(ChatError, match="from_email") as caught:
            await NoteCarrier(rest).deliver(row(), None)
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("incident_id", ["", "../users", "Q1/notes", "Q 1", "Ä1", "Q1?x=1"])
async def test_an_id_cannot_leave_its_place_in_the_path(
    pagerduty: FakePagerDuty, rest: PagerDutyRest, incident_id: str
) -> None:
    for call in (rest.get(incident_id), rest.notes(incident_id), rest.annotate(incident_id, "x")):
        with pytest.raises(ChatError) as caught:
            await call
        assert caught.value.retry_after_s is None
    assert pagerduty.calls == []


async def test_an_incident_by_its_id(pagerduty: FakePagerDuty, rest: PagerDutyRest) -> None:
    ring(pagerduty)
    found = await rest.get(pagerduty.incidents[0].id)
    assert found is not None
    assert (found.key, found.open) == (dedup_key(SUCCEEDED), True)
    assert await rest.get("QNONE") is None
    await rest.probe()


async def test_an_answer_that_is_no_http_shows_nobody_our_token() -> None:
    """aiohttp's error carries the headers of the request along."""
    async with babbler() as address, PagerDutyRest("u+0123456789", "ann@example.com", FakeClock(), url=address) as rest:
        with pytest.raises(ChatError) as caught:
            await rest.get("P1")
    assert "u+0123456789" not in f"{caught.value} {caught.value!r}"
