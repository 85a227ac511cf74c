"""What `doctor` says about the computed key."""

from datetime import timedelta

import pytest

from remediator.doctor import Doctor
from remediator.pagerduty_checks import pagerduty_checks
from remediator.people.incidents import Incident
from remediator.people.join import Join
from remediator.people.join_check import join_problem
from remediator.ports import ChatError
from tests.support.world import World

JOIN = Join(route_key="{}", group_by=("alertname",))


class Incidents:
    def __init__(self, *keys: str, broken: bool = False) -> None:
        self.keys, self.broken = keys, broken

    async def find(self, key: str) -> list[Incident]:
        if self.broken:
            raise ChatError("503", retry_after_s=5)
        return [Incident(id="Q1", key=key, status="triggered")] if key in self.keys else []

    async def get(self, incident_id: str) -> Incident | None:
        raise NotImplementedError

    async def notes(self, incident_id: str) -> list[str]:
        raise NotImplementedError

    async def annotate(self, incident_id: str, text: str) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("incidents", "age", "ok", "said"),
    [
        pytest.param(Incidents(JOIN.key({"alertname": "Stuck"})), 11, True, "incident Q1", id="found"),
        pytest.param(Incidents("f" * 64), 11, False, "route_key", id="another key"),
        pytest.param(Incidents(), 9, None, "no alert has fired", id="too early to tell"),
        pytest.param(Incidents(broken=True), 11, None, "could not be looked up", id="no answer"),
    ],
)
async def test_the_key_is_tried_on_what_fires(incidents: Incidents, age: int, ok: bool | None, said: str) -> None:
    world = World()
    await world.alert()
    now = world.clock.now() + timedelta(minutes=age)
    check = await join_problem(world.journal, incidents, JOIN, now)
    assert check.ok is ok
    assert said in f"{check.said} {check.next}"


class Api(Incidents):
    async def probe(self) -> None:
        if self.broken:
            raise ChatError("PagerDuty's API refused us (401)")


async def test_doctor_asks_for_the_token_and_the_key() -> None:
    world = World()
    await world.alert()
    world.clock.advance(11 * 60)
    checks = pagerduty_checks(Api(JOIN.key({"alertname": "Stuck"})), JOIN, world.journal, world.clock)
    doctor = Doctor(journal=world.journal, clock=world.clock, clusters={}, more=checks)
    found = {one["check"]: one for one in (await doctor.examine())["findings"]}
    assert found["PagerDuty API"]["ok"]
    assert found["PagerDuty join"]["ok"]
    broken = pagerduty_checks(Api(broken=True), None, world.journal, world.clock)
    doctor = Doctor(journal=world.journal, clock=world.clock, clusters={}, more=broken)
    found = {one["check"]: one for one in (await doctor.examine())["findings"]}
    assert (found["PagerDuty API"]["ok"], found["PagerDuty API"]["said"]) == (False, "PagerDuty's API refused us (401)")
    assert "PagerDuty join" not in found
    assert pagerduty_checks(None, JOIN, world.journal, world.clock) == {}
