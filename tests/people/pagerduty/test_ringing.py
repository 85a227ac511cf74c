"""What rings when we acknowledge our own incidents: an acknowledged one makes no sound, so it is opened anew."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.pagerduty import PagerDuty
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.outbox import Outbox
from remediator.people.overdue import AFTER, Overdue, overdue_messages
from remediator.people.pages import SUMMARY_LIMIT, acknowledge_event, dedup_key, episode_in, incident_key, ring_events
from remediator.people.routes import News, PagerRoutes, Routes, notices
from remediator.people.story import Story
from tests.people.stories import ACTING, ESCALATED, INCONCLUSIVE, NOW, ROLLBACK, SUCCEEDED
from tests.support.fake_pagerduty import FakePagerDuty
from tests.support.outbox_memory import MemoryOutbox
from tests.support.world import World, deployment, restart_playbook


def routes(**changes: Any) -> Routes:
    return Routes.model_validate({"pagerduty": {"default_service": "ops", **changes}})


def actions(story: Story, *, acknowledge: bool) -> list[str]:
    return [event["event_action"] for event in ring_events(story, acknowledge=acknowledge)]


@pytest.mark.parametrize("acknowledge", [True, False])
@pytest.mark.parametrize(
    ("story", "anew"),
    [
        pytest.param(ROLLBACK, False, id="the first question"),
        pytest.param(replace(ESCALATED, outcome="expired"), False, id="nobody approved: we never acted"),
        pytest.param(replace(ESCALATED, outcome="held_too_long"), False, id="held too long"),
        pytest.param(replace(ROLLBACK, state="asking"), True, id="a question on the way"),
        pytest.param(INCONCLUSIVE, True, id="cannot tell"),
        pytest.param(ESCALATED, True, id="undone"),
        pytest.param(replace(ESCALATED, outcome="uncertain"), True, id="uncertain"),
        pytest.param(replace(ESCALATED, taken_by="ann"), False, id="a person has it"),
    ],
)
def test_what_we_acknowledged_is_closed_and_opened_anew(story: Story, anew: bool, acknowledge: bool) -> None:
    expected = ["resolve", "trigger"] if anew and acknowledge else ["trigger"]
    assert actions(story, acknowledge=acknowledge) == expected


class People:
    """From stories to the pager, with a clock that is moved by hand."""

    def __init__(self, pagerduty: FakePagerDuty, pager: PagerDuty) -> None:
        self.pagerduty = pagerduty
        self.now = NOW
        self._store = MemoryOutbox()
        self._outbox = Outbox(self._store, {"pagerduty": PagerDutyCarrier({"ops": pager})})

    @property
    def status(self) -> str:
        return self.pagerduty.incidents[0].status

    async def tell(self, story: Story, rules: Routes, news: News = News.STATE) -> None:
        for message in notices(story, news, rules):
            await self._store.add(message, self.now)
        for _ in range(5):
            await self._outbox.run_once(self.now)
            self.now += timedelta(seconds=1)


@pytest.fixture
async def people() -> AsyncIterator[People]:
    async with FakePagerDuty() as pagerduty, PagerDuty(pagerduty.routing_key, endpoint=pagerduty.url) as pager:
        yield People(pagerduty, pager)
    assert pagerduty.violations == []


@pytest.mark.parametrize(("acknowledge", "sounds"), [(True, 2), (False, 1)])
async def test_an_escalation_is_heard_after_an_acknowledgement(people: People, acknowledge: bool, sounds: int) -> None:
    rules = routes(acknowledge=acknowledge)
    await people.tell(ROLLBACK, rules)
    await people.tell(ACTING, rules)
    assert people.pagerduty.incidents[0].status == ("acknowledged" if acknowledge else "triggered")
    await people.tell(ESCALATED, rules)
    (still,) = people.pagerduty.open_incidents()
    assert still.status == "triggered", "somebody is called"
    assert sum(incident.rings for incident in people.pagerduty.incidents) == sounds
    assert {incident.dedup_key for incident in people.pagerduty.incidents} == {dedup_key(ESCALATED)}
    await people.tell(SUCCEEDED, rules)
    assert people.pagerduty.open_incidents() == []


async def test_the_same_ending_told_twice_rings_once(people: People) -> None:
    rules = routes(acknowledge=True)
    for story in (ROLLBACK, ACTING, ESCALATED, ESCALATED):
        await people.tell(story, rules)
    assert len(people.pagerduty.incidents) == 2


@pytest.mark.parametrize("state", ["acting", "uncertain", "waiting", "verifying"])
async def test_whatever_state_the_first_effect_leads_to(people: People, state: str) -> None:
    rules = routes(acknowledge=True)
    await people.tell(ROLLBACK, rules)
    await people.tell(replace(ROLLBACK, state="approved"), rules)
    assert people.status == "triggered", "nothing was done yet"
    await people.tell(replace(ACTING, state=state), rules)
    assert people.status == "acknowledged"


async def test_we_do_not_acknowledge_by_default(people: People) -> None:
    for story in (ROLLBACK, ACTING):
        await people.tell(story, Routes.model_validate({"pagerduty": {"default_service": "ops"}}))
    assert people.pagerduty.incidents[0].status == "triggered"
    assert [event["event_action"] for event in people.pagerduty.incidents[0].events] == ["trigger"]


# No progress ----------------------------------------------------------------------------------------------------------

ON = PagerRoutes.model_validate({"default_service": "ops", "acknowledge": True})


def test_what_does_not_move_rings_again_once() -> None:
    close, ring = overdue_messages(ACTING, NOW, ON)
    assert (close.payload["event_action"], ring.payload["event_action"]) == ("resolve", "trigger")
    assert ring.payload["payload"]["summary"].startswith("No progress for 10 min: Acting: ")
    again = overdue_messages(replace(ACTING, explanation="more"), NOW, ON)
    assert [m.once for m in again] == [close.once, ring.once]
    moved = overdue_messages(ACTING, NOW + AFTER, ON)
    assert not {m.once for m in moved} & {close.once, ring.once}


def test_its_summary_fits() -> None:
    _, ring = overdue_messages(replace(ACTING, headline="x" * 5000), NOW, ON)
    assert len(ring.payload["payload"]["summary"]) <= SUMMARY_LIMIT


@pytest.mark.parametrize(
    ("story", "rules"),
    [
        pytest.param(ACTING, ON.model_copy(update={"acknowledge": False}), id="we do not acknowledge"),
        pytest.param(ACTING, PagerRoutes(acknowledge=True), id="no service"),
        pytest.param(replace(ACTING, taken_by="ann"), ON, id="a person has it"),
        pytest.param(replace(ACTING, severity="info", sev=""), ON, id="what never rings"),
    ],
)
def test_who_is_not_rung_again(story: Story, rules: PagerRoutes) -> None:
    assert overdue_messages(story, NOW, rules) == ()


async def test_ten_minutes_without_a_move() -> None:
    world = World(
        restart_playbook(steps=[{"action": "rollout_restart"}, {"wait": "14m"}, {"action": "rollout_restart"}])
    )
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    await world.alert(deployment="api", severity="critical")
    await world.run_until("waiting")
    pagers = PagerRoutes.model_validate({"default_service": "shop", "acknowledge": True})
    overdue = Overdue(world.journal, world.core.teller.stories, pagers, world.clock)

    async def rung() -> int:
        await overdue.turn()
        rows = await world.journal.due("pagerduty", world.clock.now() + timedelta(days=1), 100)
        return len([row for row in rows if "No progress" in str(row.payload)])

    assert await rung() == 0
    world.cluster.advance(9 * 60)
    assert await rung() == 0
    world.cluster.advance(2 * 60)
    assert [await rung(), await rung()] == [1, 1], "once, however often it is looked at"


# Keys -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "cluster", "episode"),
    [("eu-1", "prod-eu", "e-1"), ("", "c1", "e-1"), ("i" * 63, "c" * 300, "e-1"), ("eu", "ünï", "e-1")],
)
def test_the_episode_can_be_read_from_its_key(instance: str, cluster: str, episode: str) -> None:
    key = incident_key(instance, cluster, episode)
    assert len(key) <= 255
    assert key.isascii()
    assert episode_in(key) == episode
    assert incident_key(instance, f"{cluster}x", episode) != key


@pytest.mark.parametrize("key", ["", "remediator", "x/y", "f" * 64])
def test_other_keys_have_no_episode(key: str) -> None:
    assert episode_in(key) == ""


def test_acknowledging_carries_nothing_else() -> None:
    assert acknowledge_event(ACTING) == {"event_action": "acknowledge", "dedup_key": dedup_key(ACTING)}


# The rate -------------------------------------------------------------------------------------------------------------


async def test_many_at_once_stay_below_what_pagerduty_takes() -> None:
    """150 incidents of one service: all arrive, in their own time, and none has to be sent twice."""
    now = [NOW]
    async with (
        FakePagerDuty(per_minute=120, clock=lambda: now[0].timestamp()) as pagerduty,
        PagerDuty(pagerduty.routing_key, endpoint=pagerduty.url) as pager,
    ):
        store = MemoryOutbox()
        outbox = Outbox(store, {"pagerduty": PagerDutyCarrier({"ops": pager})})
        for number in range(150):
            story = replace(ESCALATED, episode_id=f"e-{number}", remediation_id=f"r-{number}")
            for message in notices(story, News.STATE, routes()):
                await store.add(message, NOW)
        for _ in range(400):
            await outbox.run_once(now[0])
            now[0] += timedelta(seconds=0.25)
        assert len(pagerduty.incidents) == 150
        assert len(pagerduty.calls) == 150
