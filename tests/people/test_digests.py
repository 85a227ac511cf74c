"""Digests: counted like somebody who reads the whole record, once a day, also in the nights in which clocks change."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remediator.adapters.simulated import VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.coalescing import next_of_key
from remediator.people.digests import (
    UNANSWERED,
    Beside,
    Digest,
    Passed,
    Period,
    digest_message,
    group_of,
    lead,
    saved_time,
    summarise,
)
from remediator.people.outbox_rows import OutboxMessage, OutboxRow
from remediator.people.quiet_hours import QuietHours
from remediator.remediation.reporting import Digests, Reporter
from remediator.remediation.state import Consent, Done, Remediation, State, StepOutcome
from tests.journal.given import begun, moved, to
from tests.support import block_kit
from tests.support.fake_slack import shown

BERLIN = ZoneInfo("Europe/Berlin")
DAILY = Digest.model_validate({"channels": ["C0OPS"], "at": "08:00", "zone": "Europe/Berlin"})
MONDAY = datetime(2025, 6, 2, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)


# --- counting ---------------------------------------------------------------------------------------------------------


def passed(state: str = "succeeded", **changes: Any) -> Passed:
    return Passed(**{"id": "r-1", "target": "Deployment shop/api", "playbook": "scale", "state": state, **changes})


@pytest.mark.parametrize(
    ("one", "group"),
    [
        (passed(), "alone"),
        (passed(agreed_by=("ann",)), "agreed"),
        (passed("superseded"), "cleared"),
        (passed("denied"), "denied"),
        (passed("rejected"), "rejected"),
        (passed("suggested"), "suggested"),
        (passed("observed"), "observed"),
        *[(passed("escalated", outcome=outcome), "unanswered") for outcome in sorted(UNANSWERED)],
        *[
            (passed("escalated", outcome=o), "failed")
            for o in ("failed", "undone", "undo_failed", "uncertain", "refused")
        ],
        (passed("cancelled"), "other"),
        (passed("left_alone"), "other"),
        (passed("taken"), "other"),
    ],
)
def test_each_is_counted_once(one: Passed, group: str) -> None:
    assert group_of(one) == group
    summary = summarise([one])
    assert sum(map(len, summary.groups)) == 1
    assert getattr(summary, group) == (one,)


def test_time_saved_is_an_estimate_and_says_so() -> None:
    settings = DAILY.model_copy(update={"minutes_saved": timedelta(minutes=15)})
    summary = summarise([passed(id=f"r-{n}") for n in range(4)] + [passed(agreed_by=("ann",))])
    assert saved_time(settings, summary) == timedelta(hours=1), "what a person agreed to saved none of their time"
    text = shown(digest_message(settings, summary, Beside(), Period(since=MONDAY - DAY, until=MONDAY)).blocks)
    assert "about 1h saved (an estimate: 4 x 15m)" in text


def test_it_says_what_matters_first_and_a_quiet_day_in_one_line() -> None:
    summary = summarise(
        [
            passed("escalated", id="r-7", outcome="undone", target="Deployment shop/<!channel>"),
            *[passed(id=f"r-a{n}") for n in range(3)],
            passed("denied", denied_by="cooldown"),
            passed("denied", denied_by="cooldown"),
            passed("denied", denied_by="windows"),
            passed("observed", what="scale Deployment shop/api: replicas 3 → 5"),
            passed(agreed_by=("ann",), waited=timedelta(minutes=4)),
            passed("rejected", waited=timedelta(minutes=10)),
        ]
    )
    beside = Beside(dead_letters=(("slack", "C0GONE", "is_archived"),) * 2, left_out=3)
    period = Period(since=MONDAY - DAY, until=MONDAY, zone="Europe/Berlin")
    message = digest_message(DAILY, summary, beside, period, console="https://remediator.example.com")
    assert block_kit.problem(list(message.blocks)) is None
    lines = shown(message.blocks).splitlines()
    assert lines[0] == "🗒 Remediations, daily digest"
    assert lines[1] == (
        "*Sun 01 Jun 12:00 to Mon 02 Jun 12:00 Europe/Berlin. "
        "3 handled alone, 1 after a yes, 1 failed, 3 denied, 1 only looked at.*"
    )
    text = "\n".join(lines)
    assert text.index("Failures to look at") < text.index("Handled alone") < text.index("Denied")
    assert "`r-7` scale on `Deployment shop/&lt;!channel&gt;`: did not help, undone" in text
    assert "2 answered, median wait 7m, longest 10m" in text
    assert "2 x cooldown" in text
    assert "2 x slack C0GONE: is_archived" in text
    assert "3 more, see the console" in text
    assert lead(DAILY, summarise([])) == "Nothing happened."


# --- days -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        pytest.param("Europe/Berlin", datetime(2026, 3, 30), 24, id="the day after"),  # noqa: DTZ001
        pytest.param("Europe/Berlin", datetime(2026, 3, 29), 23, id="clocks go forward"),  # noqa: DTZ001
        pytest.param("Europe/Berlin", datetime(2026, 10, 25), 25, id="clocks go back"),  # noqa: DTZ001
        pytest.param("America/New_York", datetime(2026, 11, 1), 25, id="elsewhere another day"),  # noqa: DTZ001
        pytest.param("UTC", datetime(2026, 3, 29), 24, id="nowhere"),  # noqa: DTZ001
    ],
)
def test_the_days_on_which_clocks_change_are_shorter_and_longer(zone: str, day: datetime, hours: int) -> None:
    digest = Digest.model_validate({"channels": ["C0OPS"], "at": "08:00", "zone": zone})
    assert digest.ends(day.date()) - digest.ends(day.date() - DAY) == timedelta(hours=hours)
    assert digest.ends(day.date()).astimezone(ZoneInfo(zone)).strftime("%H:%M") == "08:00"


def test_a_time_that_clocks_skip_is_the_moment_at_which_they_do() -> None:
    digest = Digest.model_validate({"channels": ["C0OPS"], "at": "02:30", "zone": "Europe/Berlin"})
    assert digest.ends(datetime(2026, 3, 29).date()) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # noqa: DTZ001
    assert digest.ends(datetime(2026, 10, 25).date()) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # noqa: DTZ001


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
    st.sampled_from(("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")),
    st.sampled_from(("00:00", "01:30", "02:00", "02:30", "08:00", "23:59")),
)
def test_every_moment_belongs_to_one_day(moment: datetime, zone: str, at: str) -> None:
    digest = Digest.model_validate({"channels": ["C0OPS"], "at": at, "zone": zone})
    now = moment.replace(tzinfo=UTC)
    day = digest.last_day(now)
    assert digest.ends(day) <= now < digest.ends(day + DAY)


@pytest.mark.parametrize(
    "bad",
    [
        {"channels": []},
        {"channels": ["#ops"]},
        {"channels": ["C0OPS"], "at": "24:00"},
        {"channels": ["C0OPS"], "at": "8:00"},
        {"channels": ["C0OPS"], "zone": "Berlin"},
        {"channels": ["C0OPS"], "zone": ""},
        {"channels": ["C0OPS"], "minutes_saved": "0s"},
        {"channels": ["C0OPS"], "team": "x"},
    ],
)
def test_bad_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Digest.model_validate(bad)


# --- against somebody who reads the whole record ----------------------------------------------------------------------


@dataclass(slots=True)
class History:
    """Random remediations in a real journal, and what each of them was, written down as they were made."""

    journal: SqlJournal
    random: random.Random
    made: list[tuple[datetime, str, dict[str, Any]]]

    async def add(self, number: int, start: datetime) -> None:
        rnd = self.random
        r = await self.journal.open(begun(number, created_at=start, since=start), start)
        assert r is not None
        at = start
        notes: dict[str, Any] = {}
        consents: tuple[Consent, ...] = ()
        if rnd.random() < 0.5:
            at += timedelta(seconds=rnd.randrange(1, 600))
            asked = at
            r = await moved(self.journal, to(r, State.AWAITING_APPROVAL, now=at, digest="d1"), now=at)
            for _ in range(rnd.randrange(3)):  # asked again: the wait goes on
                at += timedelta(seconds=rnd.randrange(1, 600))
                r = await moved(self.journal, to(r, State.SNOOZED, now=at), now=at)
                at += timedelta(seconds=rnd.randrange(1, 600))
                r = await moved(self.journal, to(r, State.AWAITING_APPROVAL, now=at), now=at)
            at += timedelta(seconds=rnd.randrange(1, 900))
            answer = rnd.choice(("approved", "rejected", "expired"))
            if answer == "rejected":
                await self._end(r, State.REJECTED, at, waited=at - asked)
                return
            if answer == "expired":
                await self._end(r, State.ESCALATED, at, outcome=StepOutcome.EXPIRED)
                return
            consents = (Consent(who="ann", at=at, digest="d1"),)
            r = await moved(self.journal, to(r, State.APPROVED, now=at, consents=consents), now=at)
            notes["waited"] = at - asked
        at += timedelta(seconds=rnd.randrange(1, 600))
        ending = rnd.choice(("succeeded", "superseded", "denied", "observed", "suggested", "escalated", "open"))
        if ending == "open":
            return
        changes: dict[str, Any] = {}
        if ending == "denied":
            guard = rnd.choice(("cooldown", "windows", "pause"))
            passes = Verdict(guardrail="mode", answer=Answer.PASS, reason="")
            changes["verdicts"] = (passes, Verdict(guardrail=guard, answer=Answer.DENY, reason="no"))
            notes["guard"] = guard
        if ending == "escalated":
            changes["outcome"] = rnd.choice((StepOutcome.UNDONE, StepOutcome.FAILED, StepOutcome.HELD_TOO_LONG))
        if ending == "succeeded":
            changes["done"] = (Done(effect_id="x", step=0, at=at, summary="replicas 3 -> 5"),)
        await self._end(r, State(ending), at, agreed=bool(consents), **changes, **notes)

    async def _end(self, r: Remediation, state: State, at: datetime, **notes: Any) -> None:
        changes = {k: v for k, v in notes.items() if k in ("outcome", "verdicts", "done")}
        await moved(self.journal, to(r, state, now=at, **changes), now=at)
        self.made.append((at, state.value, notes))


@pytest.mark.parametrize("seed", range(12))
async def test_counted_like_the_record_itself(seed: int) -> None:
    journal, rnd = SqlJournal.in_memory(), random.Random(seed)
    history = History(journal, rnd, [])
    for number in range(60):
        await history.add(number, MONDAY + timedelta(minutes=rnd.randrange(3 * 24 * 60)))
    since = MONDAY + timedelta(hours=rnd.randrange(30))
    until = since + DAY
    found, left_out = await Reporter(journal, VirtualClock()).passed(since, until)
    summary = summarise(found)
    inside = [(state, notes) for at, state, notes in history.made if since <= at < until]
    assert left_out == 0
    assert sum(map(len, summary.groups)) == len(inside)

    def count(state: str, **wanted: Any) -> int:
        return sum(s == state and all(notes.get(k, None) == v for k, v in wanted.items()) for s, notes in inside)

    assert len(summary.alone) == count("succeeded", agreed=False)
    assert len(summary.agreed) == count("succeeded", agreed=True)
    assert len(summary.cleared) == count("superseded")
    assert len(summary.rejected) == count("rejected")
    assert len(summary.observed) == count("observed")
    assert len(summary.suggested) == count("suggested")
    assert Counter(p.denied_by for p in summary.denied) == Counter(n["guard"] for s, n in inside if s == "denied")
    vain = {StepOutcome.EXPIRED, StepOutcome.HELD_TOO_LONG}
    assert len(summary.unanswered) == sum(n["outcome"] in vain for s, n in inside if s == "escalated")
    assert len(summary.failed) == sum(n["outcome"] not in vain for s, n in inside if s == "escalated")
    waits = [notes["waited"] for _, notes in inside if "waited" in notes]
    assert sorted(summary.waits) == sorted(waits)
    if waits:
        assert median(w.total_seconds() for w in summary.waits) == median(w.total_seconds() for w in waits)


# --- sending ----------------------------------------------------------------------------------------------------------


class Office:
    """Digests on a store that outlives restarts."""

    def __init__(self, *settings: Digest, quiet: QuietHours | None = None) -> None:
        self.journal = SqlJournal.in_memory()
        self.clock = VirtualClock(datetime(2026, 3, 27, 12, 0, tzinfo=UTC))  # the Friday before clocks go forward
        self.settings = settings or (DAILY,)
        self.quiet = quiet
        self.restart()

    def restart(self) -> None:
        reporter = Reporter(self.journal, self.clock)
        self.digests = Digests(reporter, self.journal, self.clock, self.settings, quiet=self.quiet)

    async def sent(self) -> list[OutboxRow]:
        return list(await self.journal.due("slack", self.clock.now() + 30 * DAY, 1000))

    async def run(self, hours: float) -> None:
        for _ in range(int(hours * 2)):
            await self.digests.turn()
            self.clock.advance(1800)
        await self.digests.turn()


def days(rows: Sequence[OutboxRow]) -> list[str]:
    return [row.key.rpartition("/")[2] for row in rows]


async def test_one_a_day_whatever_clocks_do_and_however_often_we_start() -> None:
    office = Office()
    for _ in range(12):
        await office.run(9)
        office.restart()
    rows = await office.sent()
    assert days(rows) == [f"2026-03-{day}" for day in (27, 28, 29, 30, 31)]
    leads = [shown(row.payload["blocks"]).splitlines()[1] for row in rows]
    assert "Sat 28 Mar 08:00 to Sun 29 Mar 08:00 Europe/Berlin" in leads[2]
    assert [row.created_at.astimezone(BERLIN).hour for row in rows[1:]] == [8, 8, 8, 8]


async def test_two_processes_send_one() -> None:
    office = Office()
    other = Digests(Reporter(office.journal, office.clock), office.journal, office.clock, office.settings)
    for _ in range(60):
        await office.digests.turn()
        await other.turn()
        office.clock.advance(3600)
    assert days(await office.sent()) == ["2026-03-27", "2026-03-28", "2026-03-29"]


async def test_after_downtime_one_comes_late_and_covers_what_was_missed() -> None:
    office = Office()
    await office.run(1)
    history = History(office.journal, random.Random(1), [])
    await history.add(1, office.clock.now() + timedelta(hours=30))
    office.clock.advance(4 * 86400)
    office.restart()
    await office.run(1)
    rows = await office.sent()
    assert days(rows) == ["2026-03-27", "2026-03-31"]
    text = shown(rows[1].payload["blocks"])
    assert "Fri 27 Mar 08:00 to Tue 31 Mar 08:00 Europe/Berlin (4 days: none could be sent before)" in text


async def test_the_first_one_covers_a_day_and_no_more() -> None:
    office = Office()
    await office.digests.turn()
    (row,) = await office.sent()
    assert "Thu 26 Mar 08:00 to Fri 27 Mar 08:00 Europe/Berlin. Nothing happened." in shown(row.payload["blocks"])


async def test_each_channel_gets_its_own_and_a_new_one_starts_with_a_day() -> None:
    office = Office()
    await office.run(25)
    office.settings = (DAILY.model_copy(update={"channels": ("C0OPS", "C0NEW")}),)
    office.restart()
    await office.run(1)
    rows = [row for row in await office.sent() if row.destination == "C0NEW"]
    assert days(rows) == ["2026-03-28"]


async def test_a_digest_may_be_about_some_namespaces_only() -> None:
    shop = DAILY.model_copy(update={"namespaces": ("shop-*",), "name": "shop"})
    assert [shop.covers(passed(namespace=n)) for n in ("shop-a", "pay")] == [True, False]
    assert shop.once("C0OPS", MONDAY.date()) != DAILY.once("C0OPS", MONDAY.date())


async def test_it_waits_for_the_end_of_quiet_hours() -> None:
    quiet = QuietHours.model_validate({"windows": [{"cron": "0 0 * * *", "duration": "9h", "zone": "Europe/Berlin"}]})
    office = Office(quiet=quiet)
    await office.run(24)
    rows = await office.sent()
    assert [row.due_at.astimezone(BERLIN).strftime("%d %H:%M") for row in rows][-1] == "28 09:00"


async def test_what_could_not_be_delivered_and_what_is_paused_is_in_it() -> None:
    office = Office()
    letter = OutboxMessage(channel="webhook", destination="cmdb", key="k", kind="event", payload={})
    await office.journal.store_messages([letter], office.clock.now() - timedelta(hours=10))
    (row,) = await office.journal.due("webhook", office.clock.now(), 10)
    at = office.clock.now() - timedelta(hours=6)
    await give_up(office.journal, row, "410 gone", at)
    await office.journal.pause("everything", "ann", "moving house", None, at)
    await office.digests.turn()
    (digest,) = await office.sent()
    text = shown(digest.payload["blocks"])
    assert "1 x webhook cmdb: 410 gone" in text
    assert "everything by ann, until it is lifted: moving house" in text


async def give_up(journal: SqlJournal, row: OutboxRow, error: str, at: datetime) -> None:
    begun_row = await journal.begin(next_of_key([replace(row)], behind=False), "me", at + DAY, at)
    assert begun_row is not None
    await journal.failed(row.id, error, None, "me", at)
