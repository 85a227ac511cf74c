"""What goes wrong on demand: each failure as a test of the core will meet it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest

from remediator.adapters.simulated import (
    FailRead,
    LandLater,
    LoseReply,
    LoseRequest,
    RandomFaults,
    Reject,
    Script,
    SimulatedCluster,
    Stale,
    VirtualClock,
)
from remediator.errors import CannotSee, Conflict, EffectError, NotFound, ReadError, Refused, Unavailable, Uncertain
from remediator.objects import ObjectRef, annotations_of, version_of
from remediator.ports import WriteRequest
from tests.adapters.test_simulated_store import WEB, service

MERGE = "application/merge-patch+json"


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def cluster(script: Script) -> SimulatedCluster:
    made = SimulatedCluster("c", VirtualClock(), faults=script)
    made.apply(service())
    return made


def note(value: str, version: str = "") -> WriteRequest:
    meta: dict[str, Any] = {"annotations": {"note": value}}
    if version:
        meta["resourceVersion"] = version
    return WriteRequest("patch", WEB, MERGE, orjson.dumps({"metadata": meta}))


def noted(cluster: SimulatedCluster) -> str | None:
    found = cluster.peek(WEB)
    assert found is not None
    return annotations_of(found).get("note")


def audited(cluster: SimulatedCluster) -> list[tuple[str, bool]]:
    return [(orjson.loads(e.body)["metadata"]["annotations"]["note"], e.late) for e in cluster.audit]


async def test_what_is_carried_out_is_audited(cluster: SimulatedCluster) -> None:
    await cluster.write(note("1"))
    await cluster.write(note("2"), dry_run=True)
    cluster.edit(WEB, {"metadata": {"annotations": {"theirs": "1"}}})
    with pytest.raises(Conflict):
        await cluster.write(note("3", version="1"))
    (entry,) = cluster.audit
    assert (entry.verb, entry.ref, entry.body) == ("patch", WEB, note("1").body)
    assert entry.at == VirtualClock().now()


@pytest.mark.parametrize(
    "error", [Conflict("409"), Unavailable("429", retry_after_s=1), Refused("403", forbidden=True), Uncertain("500")]
)
async def test_a_rejected_write_does_nothing(cluster: SimulatedCluster, script: Script, error: EffectError) -> None:
    script.write(Reject(error))
    with pytest.raises(type(error)) as raised:
        await cluster.write(note("1"))
    assert raised.value is error
    assert noted(cluster) is None
    await cluster.write(note("2"))
    assert audited(cluster) == [("2", False)]


async def test_a_lost_reply_leaves_the_write_done(cluster: SimulatedCluster, script: Script) -> None:
    script.write(LoseReply())
    with pytest.raises(Uncertain):
        await cluster.write(note("1"))
    assert noted(cluster) == "1"


async def test_a_lost_reply_hides_a_refusal_too(cluster: SimulatedCluster, script: Script) -> None:
    script.write(LoseReply())
    with pytest.raises(Uncertain):
        await cluster.write(note("1", version="1"))
    assert noted(cluster) is None
    assert cluster.audit == []


async def test_a_lost_request_leaves_it_undone(cluster: SimulatedCluster, script: Script) -> None:
    script.write(LoseRequest())
    with pytest.raises(Uncertain):
        await cluster.write(note("1"))
    cluster.advance(3600)
    assert noted(cluster) is None


async def test_a_write_can_land_late(cluster: SimulatedCluster, script: Script) -> None:
    script.write(LandLater(30.0))
    with pytest.raises(Uncertain):
        await cluster.write(note("1"))
    cluster.advance(29)
    assert noted(cluster) is None
    await cluster.write(note("2"))
    cluster.advance(1)
    assert noted(cluster) == "1"
    assert audited(cluster) == [("2", False), ("1", True)]


async def test_a_late_write_keeps_its_precondition(cluster: SimulatedCluster, script: Script) -> None:
    """What abandoning an effect relies on: moving the version stops whatever is still under way."""
    script.write(LandLater(30.0))
    with pytest.raises(Uncertain):
        await cluster.write(note("1", version=version_of(await cluster.get(WEB))))
    await cluster.write(note("abandoned"))
    cluster.advance(60)
    assert noted(cluster) == "abandoned"
    assert audited(cluster) == [("abandoned", False)]


async def test_rehearsals_are_left_alone_unless_meant(cluster: SimulatedCluster, script: Script) -> None:
    script.write(LoseReply())
    await cluster.write(note("1"), dry_run=True)
    with pytest.raises(Uncertain):
        await cluster.write(note("1"))
    script.write(Reject(Refused("denied by a webhook")), dry_run=True)
    await cluster.write(note("2"))
    with pytest.raises(Refused):
        await cluster.write(note("2"), dry_run=True)


async def test_a_fault_waits_for_its_call(cluster: SimulatedCluster, script: Script) -> None:
    script.write(LoseRequest(), kind="Pod")
    script.write(Reject(Conflict("409")), verb="patch", name="web", times=2)
    for _ in range(2):
        with pytest.raises(Conflict):
            await cluster.write(note("1"))
    await cluster.write(note("1"))
    with pytest.raises(Uncertain):
        await cluster.write(WriteRequest("delete", ObjectRef("Pod", "shop", "x"), "application/json", b"{}"))


async def test_a_stale_read_shows_the_past(cluster: SimulatedCluster, script: Script) -> None:
    await cluster.write(note("1"))
    cluster.advance(10)
    await cluster.write(note("2"))
    cluster.apply(service("young"))
    script.read(Stale(5.0), times=2)
    assert annotations_of(await cluster.get(WEB))["note"] == "1"
    assert [o["metadata"]["name"] for o in (await cluster.list("Service", "shop")).items] == ["web"]
    assert annotations_of(await cluster.get(WEB))["note"] == "2"


async def test_a_deleted_object_lives_on_in_a_stale_read(cluster: SimulatedCluster, script: Script) -> None:
    cluster.advance(10)
    cluster.delete(WEB)
    script.read(Stale(5.0))
    assert (await cluster.get(WEB))["metadata"]["name"] == "web"
    with pytest.raises(NotFound):
        await cluster.get(WEB)


@pytest.mark.parametrize("verb", ["get", "list", "watch", "logs"])
async def test_every_read_can_fail(cluster: SimulatedCluster, script: Script, verb: str) -> None:
    script.read(FailRead(CannotSee("timeout")), verb=verb)
    reads = {
        "get": lambda: cluster.get(WEB),
        "list": lambda: cluster.list("Service"),
        "watch": lambda: anext(cluster.watch("Service", resource_version="1000")),
        "logs": lambda: cluster.logs(ObjectRef("Pod", "shop", "x")),
    }
    with pytest.raises(CannotSee, match="timeout"):
        await reads[verb]()


async def test_random_faults_are_the_same_for_the_same_seed() -> None:
    async def story(seed: int) -> tuple[list[str], list[Any]]:
        faults = RandomFaults(random.Random(seed), writes=0.5, reads=0.3, stale_s=5.0)
        cluster = SimulatedCluster("c", VirtualClock(), faults=faults)
        cluster.apply(service())
        told = []
        for i in range(60):
            cluster.advance(1)
            try:
                await cluster.write(note(str(i)))
                await cluster.get(WEB)
                told.append("fine")
            except (EffectError, ReadError) as exc:
                told.append(type(exc).__name__)
        cluster.advance(60)
        return told, audited(cluster)

    told, audit = await story(1)
    assert (told, audit) == await story(1)
    assert (told, audit) != await story(2)
    assert {"fine", "Uncertain", "Conflict", "Unavailable", "CannotSee"} <= set(told)
    assert any(late for _, late in audit)
    assert len(audit) == len({value for value, _ in audit})  # nothing is ever carried out twice


async def test_calls_take_time_and_let_others_in_between() -> None:
    clock = VirtualClock()
    cluster = SimulatedCluster("c", clock, latency=lambda: 1.0, sleep=clock.sleep)
    cluster.apply(service())
    writing = asyncio.create_task(cluster.write(note("ours")))
    await asyncio.sleep(0)
    cluster.edit(WEB, {"metadata": {"annotations": {"note": "theirs"}}})
    clock.advance(1)
    await asyncio.sleep(0)
    assert noted(cluster) == "ours"
    assert not writing.done()
    clock.advance(1)
    assert annotations_of(await writing)["note"] == "ours"


async def test_permissions_are_enforced_and_asked_for(cluster: SimulatedCluster) -> None:
    cluster.forbid("patch", "Service")
    assert not await cluster.allowed("patch", "Service", "shop")
    for dry_run in (True, False):
        with pytest.raises(Refused) as refused:
            await cluster.write(note("1"), dry_run=dry_run)
        assert refused.value.forbidden
    cluster.permit_all()
    await cluster.write(note("1"))
