"""Kubernetes Events on the target, on the simulated cluster and on a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.adapters.kubernetes_events import BURST, COMBINED_FROM, EventCarrier
from remediator.adapters.simulated import SimulatedCluster
from remediator.adapters.simulated.faults import Faults, LoseReply, Reject
from remediator.errors import Refused, Unavailable, Uncertain
from remediator.objects import Object, ObjectRef, uid_of
from remediator.people.beside import CONTROLLER, Beside, Effected, Scene, beside
from remediator.people.outbox_rows import OutboxRow
from remediator.people.story import Story
from remediator.ports import ChatError, WriteRequest
from tests.contract.backends import Backend, Bench, Real, Simulated
from tests.people.channels.rows import StillClock, row
from tests.people.stories import ACTING, SUCCEEDED
from tests.support.controlplane import manifests as m


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.controlplane)])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    backend: Backend
    if request.param == "real":
        backend = await Real.connect(request.getfixturevalue("control_plane"), request.getfixturevalue("namespace"))
    else:
        backend = Simulated()
    yield Bench(backend)
    await backend.close()


@pytest.fixture
async def target(bench: Bench) -> Object:
    await bench.create(m.deployment("web", replicas=1))
    return await bench.get("Deployment", "web")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def carrier(bench: Bench, clock: StillClock) -> EventCarrier:
    return EventCarrier({"prod-eu": bench.cluster}, clock, instance="host-1")


def rows(target: Object, *summaries: str, story: Story = ACTING, verdict: bool = False) -> list[OutboxRow]:
    """One for each effect, and for the verdict. Ids are those of the summaries, so that the same is the same."""
    ref = ObjectRef(target["kind"], target["metadata"].get("namespace", ""), target["metadata"]["name"])
    effects = tuple(Effected(id=text, summary=text) for text in summaries)
    scene = Scene(target=ref, uid=uid_of(target), effects=effects, acted_at=story.now, verdict=verdict)
    made = beside(story, scene, Beside(kubernetes_events=True))
    return [row(message, number=number) for number, message in enumerate(made, 1)]


def anew(one: OutboxRow, number: int) -> OutboxRow:
    """The same news of another remediation."""
    return replace(one, id=number, payload={**one.payload, "id": f"{number:016x}"})


async def told(bench: Bench, target: Object) -> list[Object]:
    """What `kubectl describe` would list."""
    found = await bench.list("Event", fields=f"involvedObject.uid={uid_of(target)}")
    return [event for event in found if event.get("reportingComponent") == CONTROLLER]


async def test_describe_tells_the_story(bench: Bench, target: Object, carrier: EventCarrier) -> None:
    for one in (*rows(target, "image a -> b"), *rows(target, story=SUCCEEDED, verdict=True)):
        assert await carrier.deliver(one, None) is None
    events = {event["reason"]: event for event in await told(bench, target)}
    assert set(events) == {"Remediating", "RemediationSucceeded"}
    acted = events["Remediating"]
    assert acted["message"] == "image a → b (playbook rollback-bad-release, remediation r-4f2c91)"
    assert (acted["type"], acted["count"]) == ("Normal", 1)
    assert acted["involvedObject"]["apiVersion"] == "apps/v1"
    assert acted["reportingInstance"] == "host-1"
    assert acted["source"]["component"] == "remediator"


async def test_the_same_within_ten_minutes_is_counted(
    bench: Bench, target: Object, carrier: EventCarrier, clock: StillClock
) -> None:
    (one,) = rows(target, "restart")
    for number in range(1, 4):
        await carrier.deliver(anew(one, number), None)
        clock.at += timedelta(minutes=9)
    (event,) = await told(bench, target)
    assert event["count"] == 3
    assert event["firstTimestamp"] < event["lastTimestamp"]
    clock.at += timedelta(minutes=11)
    await carrier.deliver(anew(one, 9), None)
    assert sorted(e["count"] for e in await told(bench, target)) == [1, 3]


async def test_many_that_differ_only_in_their_text_are_combined(
    bench: Bench, target: Object, carrier: EventCarrier
) -> None:
    for one in rows(target, *(f"evict pod-{n}" for n in range(COMBINED_FROM + 5))):
        await carrier.deliver(one, None)
    events = await told(bench, target)
    assert len(events) == COMBINED_FROM
    (combined,) = (event for event in events if event["message"].startswith("(combined from similar events): "))
    assert combined["count"] == 6


async def test_an_object_is_not_flooded(bench: Bench, target: Object, carrier: EventCarrier, clock: StillClock) -> None:
    (one,) = rows(target, "restart")
    for number in range(BURST + 10):
        await carrier.deliver(anew(one, number), None)
    assert sum(event["count"] for event in await told(bench, target)) == BURST
    assert carrier.dropped == 10
    clock.at += timedelta(minutes=5)
    for number in (100, 101):
        await carrier.deliver(anew(one, number), None)
    assert sum(event["count"] for event in await told(bench, target)) == BURST + 1


async def test_sent_again_it_is_the_same_event(bench: Bench, target: Object, clock: StillClock) -> None:
    """The answer was lost and the process died: the name is derived from what it tells of."""
    (one,) = rows(target, "restart")
    for _ in range(2):
        await EventCarrier({"prod-eu": bench.cluster}, clock).deliver(replace(one, tries=1), None)
    (event,) = await told(bench, target)
    assert event["count"] == 1


async def test_of_a_cluster_wide_object_it_is_in_default(bench: Bench, carrier: EventCarrier) -> None:
    node = (await bench.cluster.list("Node")).items[0]
    for one in rows(node, "cordon"):
        await carrier.deliver(one, None)
    found = await bench.cluster.list("Event", "default", fields=f"involvedObject.uid={uid_of(node)}")
    assert [e["involvedObject"]["kind"] for e in found.items if e.get("reportingComponent") == CONTROLLER] == ["Node"]


async def test_a_namespace_that_is_gone_is_no_trouble(bench: Bench, target: Object, carrier: EventCarrier) -> None:
    (one,) = rows(target, "restart")
    assert await carrier.deliver(replace(one, payload={**one.payload, "namespace": "no-such-namespace"}), None) is None


async def test_without_the_right_it_is_refused_and_says_what_to_do(bench: Bench, target: Object) -> None:
    carrier = EventCarrier({"prod-eu": await bench.backend.restricted()}, StillClock())
    (one,) = rows(target, "restart")
    with pytest.raises(ChatError, match="grant create and patch on events, or set kubernetes_events: false") as caught:
        await carrier.deliver(one, None)
    assert caught.value.retry_after_s is None


class Once(Faults):
    """The next write meets this."""

    def __init__(self, fault: LoseReply | Reject) -> None:
        self._fault: LoseReply | Reject | None = fault

    def on_write(self, request: WriteRequest, *, dry_run: bool) -> LoseReply | Reject | None:
        fault, self._fault = self._fault, None
        return fault

    def on_read(self, verb: object, ref: object) -> None:
        return None


@pytest.mark.parametrize(
    ("fault", "again"),
    [
        pytest.param(LoseReply(), True, id="no answer"),
        pytest.param(Reject(Unavailable("429", retry_after_s=7.0)), True, id="overload"),
        pytest.param(Reject(Uncertain("500")), True, id="error"),
        pytest.param(Reject(Refused("422")), False, id="refused"),
    ],
)
async def test_faults(fault: LoseReply | Reject, again: bool) -> None:
    backend = Simulated()
    bench = Bench(backend)
    await bench.create(m.deployment("web", replicas=1))
    web = await bench.get("Deployment", "web")
    cluster = bench.cluster
    assert isinstance(cluster, SimulatedCluster)
    cluster.faults = Once(fault)
    carrier = EventCarrier({"prod-eu": cluster}, StillClock())
    (one,) = rows(web, "restart")
    with pytest.raises(ChatError) as caught:
        await carrier.deliver(one, None)
    assert (caught.value.retry_after_s is not None) is again
    await carrier.deliver(replace(one, tries=1), None)
    (event,) = await told(bench, web)
    assert event["count"] == 1


async def test_events_are_no_effects() -> None:
    """What counts our writes does not count them."""
    backend = Simulated()
    bench = Bench(backend)
    await bench.create(m.deployment("web", replicas=1))
    cluster = bench.cluster
    assert isinstance(cluster, SimulatedCluster)
    before = len(cluster.audit)
    for one in rows(await bench.get("Deployment", "web"), "restart"):
        await EventCarrier({"prod-eu": cluster}, StillClock()).deliver(one, None)
    assert len(cluster.audit) == before
