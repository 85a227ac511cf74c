"""How much, how often, how soon again, and what is never touched."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails import order, storm
from remediator.guardrails.policy import Policy
from remediator.guardrails.verdict import Answer, gravest
from remediator.objects import ObjectRef
from remediator.playbooks.model import Mode
from remediator.remediation.journal import Committed
from remediator.remediation.state import HOLDING, State
from tests.actions.make import deployment
from tests.guardrails.make import facts, restart, target
from tests.invariants.given import Shared, approve, ready, scale_to
from tests.journal.given import MANY, opened, request, to
from tests.support import world as worlds
from tests.support.building import NOW
from tests.support.world import World, restart_playbook

HOUR = timedelta(hours=1)

# --- 7 ---------------------------------------------------------------------------------------------------------------


async def test_07_one_remediation_per_target_and_no_way_back_in_cooldown() -> None:
    """Two playbooks, two replicas, one Deployment: one after the other; up is not followed by down."""
    up = scale_to(5)
    other = restart_playbook(name="restart", match={"alerts": ['alertname="Slow"']}, guardrails={"max_attempts": 3})
    world = ready(up, other, database=Shared())
    second = world.another(up, other)
    await world.alert()
    await world.run_until("reserved", "verifying")
    await world.alert("Slow")
    for _ in range(40):
        for process in (world, second):
            await process.turn()
            holding = [r for r in await world.all() if r.state in HOLDING]
            assert len(holding) <= 1
        world.cluster.advance(1.0)
    states = {r.playbook: (r.state, r.reason) for r in await world.all()}
    assert states["scale-to-5"][0] is State.SUCCEEDED
    assert states["restart"][0] is State.HELD
    assert "cooldown" in states["restart"][1]

    # After the success of "up" a restart is possible again in 15 minutes; "down" counts as the longer cooldown.
    down = scale_to(3, match={"alerts": ['alertname="Idle"']}, guardrails={"max_attempts": 3})
    world = ready(up, down)
    await world.alert()
    await world.run_until("succeeded")
    world.cluster.advance(20 * 60)
    await world.alert("Idle")
    r = await world.run_until("held", "succeeded", "denied")
    assert r.state is State.HELD
    assert "the opposite action" in r.reason
    assert world.replicas() == 5


# --- 8 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
async def test_08_the_rate_limit_holds_for_every_sliding_window(seed: int) -> None:
    """Against the plainest count, over random histories of two processes on one store, with restarts.

    Clocks that jump: `test_25`. With faults besides: `tests/sim`, invariant 8.
    """
    rng = random.Random(seed)
    limit = rng.choice((1, 2, 3))
    limits = replace(MANY, rate_target=limit)
    database = Shared()
    processes = [SqlJournal.in_memory(database) for _ in range(2)]
    now, taken = NOW, []
    for number in range(60):
        now += timedelta(minutes=rng.choice((1, 5, 11, 30)))
        which = rng.randrange(2)
        if rng.random() < 0.1:
            processes[which] = SqlJournal.in_memory(database)
        journal = processes[which]
        r = await opened(journal, number, now=now)
        wanted = request(r, limits=limits, target_key="c1/Deployment/shop/api", locks=())
        result = await journal.commit(to(r, State.RESERVED, reserve=True), now, holder="", reserve=wanted)
        if isinstance(result, Committed):
            taken.append(now)
    assert len(taken) > limit
    for end in taken:
        assert sum(end - HOUR < at <= end for at in taken) <= limit


async def test_08_the_rate_limit_holds_end_to_end() -> None:
    """One service after the other is in trouble, for hours, and the process is restarted now and then."""
    playbook = restart_playbook(guardrails={"rate_limit": {"namespace": 3}})
    names = [f"svc-{n}" for n in range(16)]
    world = World(playbook)
    for name in names:
        world.cluster.apply(worlds.deployment(name))
    world.cluster.advance(60)
    for turn, name in enumerate(names):
        await world.alert(deployment=name)
        await world.run_for(30, step=5)
        await world.run_for(570, step=60)
        if turn % 3 == 2:
            world = world.another(playbook, holder=f"test-{turn}")
            await world.journal.takeover(f"test-{turn}")
    done = [entry.at for entry in world.cluster.audit]
    assert len(done) > 6
    for end in done:
        assert sum(end - HOUR < at <= end for at in done) <= 3


# --- 9 ---------------------------------------------------------------------------------------------------------------


def test_09_blast_radius_counts_what_is_broken_already() -> None:
    """Whatever is let through leaves 60 % of the copies and at least one, counting those that are broken by now."""
    let_through = 0
    for desired in (1, 2, 3, 5, 10):
        for healthy in range(desired + 1):
            for takes in range(healthy + 1):
                obj = deployment(desired, healthy)
                verdicts = order.evaluate(facts(target(obj, restart(obj, takes=takes))))
                if takes and gravest(verdicts).rank <= Answer.PASS.rank:
                    let_through += 1
                    assert healthy - takes >= max(1, -(-desired * 60 // 100)), (desired, healthy, takes)
                if not takes:
                    (available,) = [v for v in verdicts if v.guardrail == "min_available"]
                    assert available.answer is Answer.PASS  # what takes nothing harms nobody
    assert let_through > 10


@pytest.mark.parametrize("desired", [1, 2, 3, 5])
async def test_09_never_the_last_healthy_copy(desired: int) -> None:
    """On a cluster: however many are broken, an eviction never takes the last healthy one on its own."""
    for healthy in range(1, desired + 1):
        playbook = restart_playbook(
            steps=[{"action": "evict_pod", "with": {"select": "all", "max": 2}}], guardrails={"min_available": "1%"}
        )
        world = ready(playbook, replicas=desired)
        pods = world.cluster.all("Pod", "shop")
        for pod in pods[healthy:]:
            ref = ObjectRef("Pod", "shop", pod["metadata"]["name"])
            world.cluster.edit(ref, {"metadata": {"annotations": {"test.remediator.dev/unready": "true"}}})
        world.cluster.advance(30)
        lowest = [healthy]
        world.cluster._world.store.listeners.append(_watching(world, lowest))
        await world.alert()
        await world.run_for(60, step=5)
        assert min(lowest) >= 1, (desired, healthy)


def _watching(world: World, lowest: list[int]) -> Any:
    return lambda change: lowest.append(_well(world))


def _well(world: World) -> int:
    def is_well(pod: Any) -> bool:
        conditions = pod.get("status", {}).get("conditions", ())
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        return ready and not pod["metadata"].get("deletionTimestamp")

    return sum(map(is_well, world.cluster._world.store.all("Pod")))


# --- 10 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "approve"])
async def test_10_a_storm_stops_automation(mode: str) -> None:
    """Not even the first of its targets is touched, nor what was approved right before it."""
    names = [f"svc-{n}" for n in range(9)]
    world = World(restart_playbook(mode=mode))
    for name in ("api", *names):
        world.cluster.apply(worlds.deployment(name))
    world.cluster.advance(60)
    if mode == "approve":
        await world.alert()
        r = await world.run_until("awaiting_approval")
        await world.deliver(*(world.make_alert(deployment=name) for name in names))
        await world.turn()
        assert await approve(world, r)
    else:
        await world.deliver(*(world.make_alert(deployment=name) for name in names))
    await world.run_for(storm.QUIET_FOR.total_seconds() - 60, step=120)
    assert world.writes() == []
    found = await world.all()
    assert all("storm" in r.reason or r.ended for r in found), [r.reason for r in found]
    assert not any(r.state is State.SUCCEEDED for r in found)


# --- 20 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["namespace", "template", "owner", "object", "namespace annotation", "several"])
@pytest.mark.parametrize("mode", ["auto", "approve"])
async def test_20_the_protected_set_is_untouchable(how: str, mode: str) -> None:
    """By its namespace however a playbook gets there, and by its annotation even when it is named outright."""
    annotated = how in ("object", "namespace annotation")
    namespace = "shop" if annotated else "monitoring"
    named = {"kind": "Deployment", "namespace": namespace, "name": "api"}
    template = {"kind": "Deployment", "namespace": "${labels.namespace}", "name": "${labels.deployment}"}
    playbook = restart_playbook(mode=mode, guardrails={"max_targets": 5, "in_flight": {"playbook": 5}})
    if how == "several":
        del playbook["target"]
        playbook["targets"] = {"kind": "Deployment", "namespace": namespace, "selector": "team=x", "max": 5}
    elif annotated or how == "template":
        playbook["target"] = template if how == "template" else named
    policy = Policy(mode_ceiling=Mode.AUTO, protected_namespaces=frozenset({"kube-system", "monitoring"}))
    world = World(playbook, policy=policy)
    content = worlds.deployment(namespace=namespace)
    content["metadata"]["labels"] = {"team": "x"}
    if how == "object":
        content["metadata"]["annotations"] = {"remediator.dev/protect": "yes"}
    world.cluster.apply(content)
    if how == "namespace annotation":
        world.cluster.edit(
            ObjectRef("Namespace", "", "shop"), {"metadata": {"annotations": {"remediator.dev/protect": ""}}}
        )
    world.settle(namespace=namespace)
    world.cluster.advance(60)
    labels = {"namespace": namespace, "deployment": "api"}
    if how == "owner":
        pod = world.cluster.all("Pod", namespace)[0]["metadata"]["name"]
        labels = {"namespace": namespace, "pod": pod}
    await world.deliver(world.make_alert("Stuck", **labels))  # type: ignore[arg-type]
    r = await world.run_until("denied", "awaiting_approval", "succeeded", "held")
    assert r.state is State.DENIED
    assert "protect" in r.reason
    assert not await approve(world, r)
    await world.run_for(30, step=10)
    assert world.writes() == []
