"""What needs a change is done under one: named with the approval, approved there, being implemented, in its window."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.json_api import Endpoint
from remediator.adapters.tickets.changes import ServiceNowChanges
from remediator.channel_config import no_change_gate
from remediator.errors import CannotSee
from remediator.guardrails import change_gate
from remediator.guardrails.explain import explain
from remediator.guardrails.verdict import Answer
from remediator.ports import ChangeRecord
from remediator.service import InvalidRequest
from tests.actions.make import NOW
from tests.guardrails.make import HOUR, facts, playbook
from tests.remediation.test_telling import people
from tests.support.accounts import token
from tests.support.fake_changes import LOOK, FakeChanges
from tests.support.fake_http import Fault
from tests.support.fake_tickets import TOKEN, USER
from tests.support.world import World, deployment, restart_playbook

GOOD = ChangeRecord(
    number="CHG0030001",
    found=True,
    state="being implemented",
    ready=True,
    starts_at=NOW - HOUR,
    ends_at=NOW + HOUR,
)
CHANGED = playbook(approval={"change": "required"})

JUDGED = [
    pytest.param(GOOD, Answer.PASS, "is being implemented, until 13:00", id="under way"),
    pytest.param(None, Answer.HOLD, "without the number", id="none was named"),
    pytest.param(ChangeRecord(number="CHG9", found=False), Answer.HOLD, "there is no change CHG9", id="none there"),
    pytest.param(replace(GOOD, ready=False, state="scheduled"), Answer.HOLD, "is scheduled", id="not yet"),
    pytest.param(replace(GOOD, starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR), Answer.HOLD, "Begins 13:00", id="early"),
    pytest.param(replace(GOOD, starts_at=NOW), Answer.PASS, "until", id="its first moment"),
    pytest.param(replace(GOOD, ends_at=NOW), Answer.HOLD, "was over at 12:00", id="its end"),
    pytest.param(replace(GOOD, ends_at=None), Answer.HOLD, "no planned start and end", id="without an end"),
    pytest.param(replace(GOOD, starts_at=None), Answer.HOLD, "no planned start and end", id="without a start"),
]


@pytest.mark.parametrize(("record", "answer", "said"), JUDGED)
def test_the_last_word_is_the_change_s(record: ChangeRecord | None, answer: Answer, said: str) -> None:
    verdict = change_gate.check(facts(playbook=CHANGED, approved=True, change_record=record))
    assert verdict.answer is answer
    assert said in f"{verdict.reason}. {verdict.changes}"


def test_nothing_runs_by_itself_where_a_change_is_required() -> None:
    """Also in auto, and it says how to name one."""
    verdict = change_gate.check(facts(playbook=CHANGED, change_record=GOOD))
    assert verdict.answer is Answer.ASK
    assert "remediator approve r-1 --change NUMBER" in explain([verdict])


def test_one_that_was_named_without_need_counts_all_the_same() -> None:
    assert change_gate.check(facts()).answer is Answer.NOT_APPLICABLE
    closed = replace(GOOD, ready=False, state="closed")
    assert change_gate.check(facts(approved=True, change_record=closed)).answer is Answer.HOLD


def test_a_playbook_that_asks_for_what_nobody_can_look_up_is_not_loaded() -> None:
    assert "set change_gate" in no_change_gate("required", None)[0]
    assert no_change_gate("", None) == ()


# --- ServiceNow -------------------------------------------------------------------------------------------------------

UNDER_WAY = {
    "state": "-1",
    "approval": "approved",
    "start_date": "2025-06-01 11:00:00",
    "end_date": "2025-06-01 13:00:00",
}


@pytest.fixture
async def fake() -> AsyncIterator[FakeChanges]:
    async with FakeChanges() as fake:
        fake.changes["CHG0030001"] = dict(UNDER_WAY)
        yield fake
        assert fake.violations == []


@pytest.fixture
async def snow(fake: FakeChanges) -> AsyncIterator[ServiceNowChanges]:
    snow = ServiceNowChanges(Endpoint(name="ServiceNow", url=fake.root, user=USER, password=lambda: TOKEN))
    yield snow
    await snow.close()


async def test_read_as_it_is(snow: ServiceNowChanges) -> None:
    record = await snow.change("CHG0030001")
    assert (record.found, record.ready, record.state) == (True, True, "being implemented")
    assert record.starts_at is not None
    assert record.starts_at.isoformat() == "2025-06-01T11:00:00+00:00"


@pytest.mark.parametrize(
    ("differs", "state"),
    [
        pytest.param({"state": "-2"}, "scheduled", id="scheduled"),
        pytest.param({"state": "4"}, "canceled", id="canceled"),
        pytest.param({"state": "17"}, "in state 17", id="a state of their own"),
        pytest.param({"approval": "requested"}, "being implemented, approval requested", id="not approved"),
        pytest.param({"approval": ""}, "being implemented, approval unknown", id="nobody knows"),
    ],
)
async def test_anything_but_approved_and_implemented_is_not_ready(
    fake: FakeChanges, snow: ServiceNowChanges, differs: dict[str, str], state: str
) -> None:
    fake.changes["CHG0030001"] |= differs
    record = await snow.change("CHG0030001")
    assert (record.ready, record.state) == (False, state)


async def test_none_there(snow: ServiceNowChanges) -> None:
    assert await snow.change("CHG404") == ChangeRecord(number="CHG404", found=False)


@pytest.mark.parametrize(
    "fault", [Fault(status=403), Fault(status=200, body="<html>log in</html>"), Fault(status=200, body='{"result": 1}')]
)
async def test_what_cannot_be_read_is_unknown(fake: FakeChanges, snow: ServiceNowChanges, fault: Fault) -> None:
    fake.fail(LOOK, fault)
    with pytest.raises(CannotSee):
        await snow.change("CHG0030001")


async def test_a_time_that_cannot_be_read_is_unknown(fake: FakeChanges, snow: ServiceNowChanges) -> None:
    fake.changes["CHG0030001"]["end_date"] = "tomorrow"
    with pytest.raises(CannotSee, match="a time of CHG0030001 cannot be read"):
        await snow.change("CHG0030001")


# --- from the approval to the effect ----------------------------------------------------------------------------------


class Changes:
    """The port, by hand."""

    def __init__(self) -> None:
        self.records: dict[str, ChangeRecord] = {}
        self.broken = ""
        self.asked: list[str] = []

    async def change(self, number: str) -> ChangeRecord:
        self.asked.append(number)
        if self.broken:
            raise CannotSee(self.broken)
        return self.records.get(number, ChangeRecord(number=number, found=False))

    async def close(self) -> None: ...


def world(changes: Changes | None, **more: Any) -> World:
    made = World(
        restart_playbook(mode="auto", approval={"change": "required", "start_within": "10m", **more}), changes=changes
    )
    made.cluster.apply(deployment())
    made.cluster.advance(60)
    if changes is not None:
        now = made.clock.now()
        hour = timedelta(hours=1)
        changes.records["CHG0030001"] = replace(GOOD, starts_at=now - hour, ends_at=now + hour)
    return made


async def test_approved_with_a_change_it_runs() -> None:
    """It waits for a person although it is in auto, and a yes without a number is none."""
    changes = Changes()
    made = world(changes)
    await made.alert()
    r = await made.run_until("awaiting_approval")
    service = people(made)
    with pytest.raises(InvalidRequest, match="needs a change") as caught:
        await service.approve(r.id, token("ann"))
    assert f"remediator approve {r.id} --change" in caught.value.advice
    for wrong in ("CHG", "1", "CHG1^ORnumber=CHG2", "CHG 1", "x" * 99):
        with pytest.raises(InvalidRequest, match="is no number of a change"):
            await service.approve(r.id, token("ann"), change=wrong)
    assert changes.asked == []
    await service.approve(r.id, token("ann"), change=" chg0030001 ")
    r = await made.run_until("succeeded")
    assert set(changes.asked) == {"CHG0030001"}
    assert made.restarted_at()
    assert [c.change for c in r.consents] == ["CHG0030001"]


async def test_it_waits_for_its_change_and_goes_on() -> None:
    changes = Changes()
    made = world(changes)
    good = changes.records["CHG0030001"]
    changes.records["CHG0030001"] = replace(good, ready=False, state="scheduled")
    await made.alert()
    r = await made.run_until("awaiting_approval")
    await people(made).approve(r.id, token("ann"), change="CHG0030001")
    await made.run_for(60)
    assert not made.restarted_at()
    assert "CHG0030001 is scheduled" in (await made.newest()).reason
    changes.records["CHG0030001"] = good
    await made.run_until("succeeded")
    assert made.restarted_at()


async def test_what_nobody_can_look_up_stops_it() -> None:
    changes = Changes()
    changes.broken = "ServiceNow answered 503"
    made = world(changes)
    await made.alert()
    r = await made.run_until("awaiting_approval")
    await people(made).approve(r.id, token("ann"), change="CHG0030001")
    await made.run_for(30)
    assert "ServiceNow answered 503" in (await made.newest()).reason
    r = await made.run_until("escalated")
    assert not made.restarted_at()


async def test_without_a_gate_it_is_held() -> None:
    made = world(None)
    await made.alert()
    r = await made.run_until("held")
    assert "change_gate is not configured" in r.reason
    assert not made.restarted_at()
