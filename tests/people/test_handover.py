"""The hand-over: everything that is open, why, and whose it is; what was changed; what comes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.guardrails.calendars import parse_calendar
from remediator.guardrails.policy import Policy
from remediator.guardrails.scopes import episode_scope
from remediator.people.handover import Handover, as_json, handover_message, handover_text, lead
from remediator.remediation.coming import AHEAD, coming_up
from remediator.remediation.events import Approved
from remediator.remediation.fact_reading import KnownCalendars
from remediator.remediation.reporting import Reporter
from tests.support import block_kit
from tests.support.world import World, deployment, restart_playbook

ASKS = restart_playbook(mode="approve", approval={"approvers": ["role:sre"]})
SHIFT = timedelta(hours=12)


async def world(*playbooks: Any, names: tuple[str, ...] = ("api",)) -> World:
    made = World(*(playbooks or (ASKS,)))
    for name in names:
        made.cluster.apply(deployment(name))
    for name in names:
        made.settle(name)
    return made


async def taken_over(w: World, shift: timedelta = SHIFT, **options: Any) -> Handover:
    return await Reporter(w.journal, w.clock, **options).handover(w.clock.now() - shift)


async def test_nothing_is_said_in_one_line() -> None:
    handover = await taken_over(await world())
    assert handover_text(handover) == "🤝 Hand-over, last 12h\nNothing is open and nothing was changed."


async def test_what_waits_says_for_whom_and_until_when() -> None:
    w = await world()
    await w.alert(severity="critical", deployment="api")
    await w.run_for(2)
    handover = await taken_over(w)
    (item,) = handover.waiting
    assert (item.id, item.playbook, item.severity, item.who) == ("r-1", "restart-api", "sev1", "role:sre")
    assert item.until is not None
    text = handover_text(handover)
    assert "Waiting for people (1)" in text
    assert (
        f"r-1 restart-api on Deployment shop/api (sev1), approval needed for 2s, answer by {item.until:%H:%M} UTC"
        in text
    )
    await w.journal.pause(episode_scope(item.episode), "ann", "PagerDuty", None, w.clock.now())
    assert ", with ann (PagerDuty)" in handover_text(await taken_over(w))


async def test_what_was_changed_says_who_agreed_and_how_it_went() -> None:
    w = await world(
        ASKS, restart_playbook(name="restart-web", match={"alerts": ['alertname="Slow"']}), names=("api", "web")
    )
    await w.alert(deployment="api")
    await w.run_for(2)
    r = await w.newest()
    await w.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await w.alert("Slow", deployment="web")
    await w.run_for(60)
    handover = await taken_over(w)
    said = {(c.id, c.approved_by, c.result) for c in handover.changed}
    assert said == {("r-1", ("ann",), "fixed"), ("r-2", (), "fixed")}
    text = handover_text(handover)
    assert ", approved by ann, fixed" in text
    assert ", by itself, fixed" in text
    assert (await taken_over(w, timedelta(seconds=5))).changed == (), "of the shift only"


async def test_what_is_held_says_why_and_when_it_is_looked_at_again() -> None:
    w = await world(restart_playbook())
    pause = await w.journal.pause("everything", "bob", "moving house", None, w.clock.now())
    await w.alert(deployment="api")
    await w.run_for(2)
    handover = await taken_over(w)
    (item,) = handover.held
    assert "moving house" in item.reason
    assert item.next_look is not None
    assert item.until is not None
    text = handover_text(handover)
    assert f"Next look {item.next_look:%H:%M} UTC. A person is asked {item.until:%H:%M} UTC." in text
    assert f"everything by bob, until it is lifted: moving house (remediator resume {pause.id})" in text


async def test_what_failed_is_to_be_looked_at() -> None:
    w = await world()
    await w.alert(deployment="api")
    await w.run_for(3600, step=30)
    handover = await taken_over(w)
    (failure,) = handover.failures
    assert (failure.id, failure.state) == ("r-1", "escalated")
    assert lead(handover) == "1 to look at."
    assert (await taken_over(w, timedelta(seconds=10))).failures == ()


FREEZE = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//
BEGIN:VEVENT
UID:1
DTSTART:20250603T080000Z
DTEND:20250604T080000Z
SUMMARY:release freeze
END:VEVENT
END:VCALENDAR
"""
NOW = datetime(2025, 6, 2, 10, 0, tzinfo=UTC)


def test_what_comes_are_windows_and_freezes_of_the_next_two_days() -> None:
    policy = Policy.model_validate(
        {"windows": {"deny": [{"cron": "0 22 * * mon", "duration": "2h", "zone": "UTC", "name": "backup"}]}}
    )
    known = KnownCalendars(calendars={"freeze": parse_calendar(FREEZE, "freeze", "UTC")})
    coming = coming_up(policy, lambda: known)
    assert [(c.at, c.what) for c in coming(NOW)] == [
        (NOW.replace(hour=22), "policy.windows closes (backup)"),
        (NOW + timedelta(hours=22), "calendar freeze (release freeze) begins"),
    ]
    during = coming(NOW + timedelta(hours=23))
    assert [c.what for c in during] == ["calendar freeze (release freeze) ends"]
    assert coming(NOW + AHEAD + timedelta(days=3)) == []


def test_a_calendar_that_cannot_be_read_is_said() -> None:
    policy = Policy.model_validate({"windows": {"calendars": ["freeze"]}})
    (said,) = coming_up(policy, KnownCalendars)(NOW)
    assert said.what == "policy.windows: nothing is begun, because calendar freeze cannot be read"


async def test_it_fits_a_message_and_is_complete_as_json(tmp_path: Path) -> None:
    w = await world()
    await w.alert(severity="critical", deployment="api", summary="<!channel> *bold*")
    await w.run_for(2)
    handover = await taken_over(w)
    message = handover_message(handover, console="https://remediator.example.com")
    assert block_kit.problem(list(message.blocks)) is None
    assert "<!channel>" not in json.dumps(message.blocks)
    view = json.loads(json.dumps(as_json(handover)))
    assert view["waiting"][0]["id"] == "r-1"
    assert view["since"].endswith("Z")
    assert set(view) == {
        "since",
        "now",
        "waiting",
        "held",
        "running",
        "failures",
        "pauses",
        "changed",
        "coming",
        "undelivered",
        "left_out",
        "text",
    }


@pytest.mark.parametrize("count", [1, 40])
async def test_long_lists_are_counted(count: int) -> None:
    names = tuple(f"svc-{n}" for n in range(count))
    w = await world(ASKS, names=names)
    for name in names:
        await w.alert(deployment=name)
    await w.run_for(3)
    handover = await taken_over(w)
    assert len(handover.open) == count
    assert ("and 25 more" in handover_text(handover)) is (count == 40)
