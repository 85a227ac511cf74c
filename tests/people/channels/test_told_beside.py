"""From a transition to `kubectl describe` and a dashboard: rows are committed with what they tell of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from remediator.adapters.grafana import GrafanaCarrier
from remediator.adapters.json_out import JsonOut, bearer
from remediator.adapters.kubernetes_events import EventCarrier
from remediator.objects import ObjectRef, uid_of
from remediator.people.beside import CONTROLLER, Beside, DashboardMatch
from remediator.people.outbox_rows import OutboxRow
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.collectors import events as collected
from tests.support.fake_grafana import TOKEN, FakeGrafana
from tests.support.world import World, deployment, restart_playbook

WANTED = Beside(kubernetes_events=True, dashboards=(DashboardMatch(uid="checkout-overview"),))


def world(*, image: str = "shop/api:1", beside: Beside | None = WANTED, **changes: Any) -> World:
    made = World(restart_playbook(**changes), settings={"beside": beside} if beside else {})
    made.cluster.apply(deployment(image=image))
    made.cluster.advance(60)
    return made


async def rows(made: World, channel: str) -> list[OutboxRow]:
    return list(await made.journal.due(channel, made.clock.now() + timedelta(days=1), 1000))


async def test_what_was_done_is_on_the_object() -> None:
    made = world()
    await made.alert()
    r = await made.run_until("succeeded")
    carrier = EventCarrier({"c1": made.cluster}, made.clock)
    for row in await rows(made, "kubernetes_event"):
        await carrier.deliver(row, None)
    target = made.cluster.peek(ObjectRef("Deployment", "shop", "api"))
    assert target is not None
    listed = await made.cluster.list("Event", "shop", fields=f"involvedObject.uid={uid_of(target)}")
    ours = {e["reason"]: e["message"] for e in listed.items if e.get("reportingComponent") == CONTROLLER}
    assert set(ours) == {"Remediating", "RemediationSucceeded"}
    assert r.id in ours["Remediating"]
    assert "restart" in ours["Remediating"].lower()


async def test_what_we_say_ourselves_is_no_evidence() -> None:
    made = world(image="shop/api:bad")
    await made.alert()
    r = await made.run_until("escalated", "inconclusive")
    for row in await rows(made, "kubernetes_event"):
        await EventCarrier({"c1": made.cluster}, made.clock).deliver(row, None)
    assert r.target is not None
    target = await made.cluster.get(r.target)
    context: CheckContext = type("C", (), {"cluster": made.cluster})()
    found = await collected._about(context, target)
    assert CONTROLLER not in {e.get("reportingComponent") for e in found}


async def test_the_annotation_becomes_a_region() -> None:
    made = world()
    await made.alert()
    await made.run_until("succeeded")
    async with FakeGrafana() as fake:
        carrier = GrafanaCarrier(JsonOut("Grafana", fake.root, login=bearer(lambda: TOKEN)))
        main = None
        for row in await rows(made, "grafana"):
            main = await carrier.deliver(row, main) or main
        (drawn,) = fake.annotations.values()
        assert drawn["timeEnd"] > drawn["time"]
        await carrier.close()


async def test_one_row_for_each_effect_and_verdict() -> None:
    """Also when the same transition is looked at again, by another process."""
    made = world(image="shop/api:bad")
    await made.alert()
    await made.run_until("escalated", "inconclusive")
    await made.run_for(60)
    reasons = [row.payload["reason"] for row in await rows(made, "kubernetes_event")]
    assert reasons[0] == "Remediating"
    assert len(reasons) == len(set(reasons))
    assert len({row.destination for row in await rows(made, "kubernetes_event")}) == 1


async def test_nothing_is_said_where_nothing_is_done_or_wanted() -> None:
    for made in (world(mode="suggest"), world(beside=None)):
        await made.alert()
        await made.run_until("suggested", "succeeded")
        assert await rows(made, "kubernetes_event") == await rows(made, "grafana") == []


async def test_a_hostile_name_stays_in_its_place() -> None:
    """The note is one bounded line whatever the playbook says of itself."""
    made = world(description="x\n" * 5000)
    await made.alert()
    await made.run_until("succeeded")
    for row in await rows(made, "kubernetes_event"):
        assert len(row.payload["note"]) <= 1024
        assert "\n" not in row.payload["note"]
        assert replace(row, payload={}).key == row.key
