"""Change events: one for each effect and each undo, within PagerDuty's contract."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.adapters.pagerduty import PagerDuty
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.carriers.pagerduty_change import ChangeCarrier
from remediator.people.changes import CHANNEL, Altered, change_event, change_events
from remediator.people.outbox import Outbox
from remediator.people.outbox_rows import OutboxMessage, OutboxRow
from remediator.people.routes import PagerRoutes
from remediator.people.story import Story
from remediator.ports import ChatError
from remediator.remediation.altered import altered
from remediator.remediation.decide import decide
from remediator.remediation.events import ActAnswer, Acted, Probed
from remediator.remediation.state import Done, Remediation, State
from tests.people.hostile import hostile_stories, hostile_text
from tests.people.stories import ACTING, NOW
from tests.support.building import patch, plan, remediation
from tests.support.fake_http import Fault
from tests.support.fake_pagerduty import CHANGE, ROUTING_KEY, FakePagerDuty
from tests.support.outbox_memory import MemoryOutbox
from tests.support.world import World, deployment, restart_playbook

ROUTES = PagerRoutes.model_validate(
    {"default_service": "ops", "routes": [{"team": ["checkout"], "service": "checkout"}]}
)
SCALED = Altered(id="r-4f2c91/0.0", what="scale Deployment shop/checkout: replicas 3 → 5", at=NOW)


def problem(event: dict[str, Any]) -> str:
    fake = FakePagerDuty()
    found = fake.change_problem(json.loads(json.dumps({**event, "routing_key": ROUTING_KEY})))
    return found or "; ".join(fake.violations)


def test_it_says_what_changed_on_which_object_by_which_playbook() -> None:
    (message,) = change_events(ACTING, [SCALED], ROUTES)
    assert (message.channel, message.destination) == (CHANNEL, "checkout")
    event = message.payload
    assert problem(dict(event)) == ""
    assert event["payload"]["summary"] == (
        "scale Deployment shop/checkout: replicas 3 → 5 (playbook rollback-bad-release) [prod-eu]"
    )
    assert event["payload"]["source"] == "prod-eu/Deployment shop/checkout"
    assert event["payload"]["timestamp"] == NOW.isoformat()
    assert event["payload"]["custom_details"]["effect"] == SCALED.id
    assert event["links"][0]["href"] == ACTING.console_url


def test_an_undo_is_a_change_too() -> None:
    undone = change_event(ACTING, replace(SCALED, undo=True, id="r-4f2c91/undo.0"))
    assert undone["payload"]["summary"].startswith("Undone: scale Deployment shop/checkout")


def test_each_effect_is_told_once() -> None:
    several = [SCALED, replace(SCALED, id="r-4f2c91/0.1")]
    assert len({message.once for message in change_events(ACTING, several, ROUTES)}) == 2


def test_without_a_service_there_is_nobody_to_tell() -> None:
    assert change_events(ACTING, [SCALED], PagerRoutes()) == ()


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(hostile_stories, hostile_text)
def test_any_story_makes_a_valid_change(story: Story, what: str) -> None:
    event = change_event(story, replace(SCALED, what=what or "x"))
    assert problem(event) == ""
    assert len(json.dumps(event)) < 100_000
    assert "\n" not in event["payload"]["summary"]


# The adapter ----------------------------------------------------------------------------------------------------------


async def test_it_is_sent_with_the_key_of_its_service() -> None:
    async with FakePagerDuty() as pagerduty, PagerDuty(ROUTING_KEY, endpoint=pagerduty.url) as service:
        await service.send_change(change_event(ACTING, SCALED))
        (change,) = pagerduty.changes
        assert change["routing_key"] == ROUTING_KEY
        assert pagerduty.incidents == [], "a change rings nobody"
        assert pagerduty.violations == []


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param(Fault(status=429, retry_after="60"), 60.0, id="429"),
        pytest.param(Fault(status=500), 5.0, id="500"),
        pytest.param(Fault(status=400, body=f"no service for {ROUTING_KEY}"), None, id="400"),
    ],
)
async def test_what_goes_wrong(fault: Fault, seconds: float | None) -> None:
    async with FakePagerDuty() as pagerduty, PagerDuty(ROUTING_KEY, endpoint=pagerduty.url) as service:
        pagerduty.fail(CHANGE, fault)
        with pytest.raises(ChatError) as caught:
            await service.send_change(change_event(ACTING, SCALED))
        assert caught.value.retry_after_s == seconds
        assert ROUTING_KEY not in str(caught.value)


class Busy:
    """A pager that is told to wait, and what is sent all the same."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, event: object) -> None:
        self.sent.append("page")
        raise ChatError("429", retry_after_s=30)

    async def send_change(self, event: object) -> None:
        self.sent.append("change")


async def test_changes_wait_when_pages_of_the_same_key_are_told_to() -> None:
    busy, store = Busy(), MemoryOutbox()
    outbox = Outbox(store, {"pagerduty": PagerDutyCarrier({"ops": busy}), CHANNEL: ChangeCarrier({"ops": busy})})
    page = OutboxMessage(
        channel="pagerduty", destination="ops", key="p", kind="event", payload={"event_action": "trigger"}
    )
    await store.add(page, NOW)
    await outbox.run_channel("pagerduty", NOW)
    (change,) = change_events(ACTING, [SCALED], PagerRoutes(default_service="ops"))
    await store.add(change, NOW)
    await outbox.run_channel(CHANNEL, NOW + timedelta(seconds=20))
    assert busy.sent == ["page"]
    await outbox.run_channel(CHANNEL, NOW + timedelta(seconds=31))
    assert busy.sent == ["page", "change"]


# From what was done ---------------------------------------------------------------------------------------------------


async def changes(world: World) -> list[OutboxRow]:
    return list(await world.journal.due(CHANNEL, world.clock.now() + timedelta(days=1), 100))


def ready(**playbook: Any) -> World:
    world = World(restart_playbook(**playbook))
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


async def test_one_for_each_effect() -> None:
    world = ready(
        steps=[{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}, {"action": "rollout_restart"}],
        verify={"settle": "5s", "interval": "5s", "successes": 2, "timeout": "5m", "checks": [{"rollout": {}}]},
    )
    await world.alert(deployment="api", severity="critical")
    r = await world.run_until("succeeded", "escalated")
    assert r.state == "succeeded"
    rows = await changes(world)
    assert [row.payload["payload"]["summary"] for row in rows] == [
        "scale Deployment shop/api: replicas 3 → 5 (playbook restart-api) [c1]",
        "rollout restart Deployment shop/api: restart 5 copies by rollout (playbook restart-api) [c1]",
    ]
    assert {row.destination for row in rows} == {"shop"}


def undoing(**changes: Any) -> Remediation:
    given: dict[str, Any] = {
        "plan": plan(),
        "undoing": True,
        "undo_left": (patch(5, 3), patch(4, 3)),
        "done": (
            Done(effect_id="r-1/0.0", step=0, at=NOW, summary="replicas 3 -> 4", inverse=patch(4, 3)),
            Done(effect_id="r-1/0.1", step=0, at=NOW, summary="replicas 3 -> 5", inverse=patch(5, 3)),
        ),
        "acted_at": NOW,
        **changes,
    }
    return remediation(State.UNDOING, **given)


def acted(answer: ActAnswer, **changes: Any) -> tuple[Altered, ...]:
    r = undoing(**changes)
    return altered(decide(r, Acted(effect_id=r.effect_id, answer=answer), NOW + timedelta(seconds=1)))


def test_each_undo_names_what_it_takes_back() -> None:
    (first,) = acted("done")
    assert (first.id, first.undo, first.at) == ("r-1/undo.0", True, NOW + timedelta(seconds=1))
    assert first.what.endswith("Deployment shop/api: replicas 3 → 5")
    (last,) = acted("done", undo_sent=1)
    assert last.what.endswith("replicas 3 → 4")


@pytest.mark.parametrize("answer", ["nothing_to_do", "busy", "conflict", "uncertain", "refused"])
def test_an_undo_that_was_not_done_is_no_change(answer: ActAnswer) -> None:
    assert acted(answer) == ()


def test_an_undo_that_turns_out_to_have_happened_is_one() -> None:
    r = replace(undoing(), state=State.UNCERTAIN)
    decision = decide(r, Probed(effect_id=r.effect_id, answer="happened"), NOW)
    assert [effect.undo for effect in altered(decision)] == [True]


async def test_nothing_done_is_no_change() -> None:
    world = ready(mode="approve")
    await world.alert(deployment="api", severity="critical")
    await world.run_until("awaiting_approval")
    assert await changes(world) == []
