"""When it may be done: in which zone of failure, after how many failures, in which window, under which load, and a
failover only when the old primary is out of the way."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.actions.base import Params
from remediator.actions.change import Change, Failover
from remediator.actions.view import View
from remediator.actions.workloads.rollout_restart import RolloutRestart, RolloutRestartParams
from remediator.adapters.simulated import VirtualClock
from remediator.errors import InvalidPlaybook
from remediator.guardrails import circuit_breaker, order
from remediator.guardrails.ceilings import over_ceiling
from remediator.guardrails.facts import Outcome
from remediator.guardrails.policy import Policy
from remediator.guardrails.verdict import Answer, gravest
from remediator.remediation.condition_reading import ALIVE
from remediator.remediation.state import HOLDING, State, StepOutcome
from tests.actions.make import NOW
from tests.guardrails.make import facts, promote, target
from tests.invariants.given import WORSE, approve, checked, nothing_is_written, ready, rows_of, scale_to
from tests.support.world import World, deployment, load, queries, restart_playbook

ZONE = "topology.kubernetes.io/zone"

# --- 9 ---------------------------------------------------------------------------------------------------------------


async def test_09_never_two_failure_domains_at_once() -> None:
    """Workloads of two zones are in trouble together: at no time are both zones worked on, and all are done in the
    end."""
    playbook = restart_playbook(
        verify={"settle": "60s", "timeout": "5m", "checks": [{"rollout": {}}]},
        guardrails={"in_flight": {"playbook": 4}},
    )
    world = World(playbook)
    zones = {"svc-1": "a", "svc-2": "b", "svc-3": "a", "svc-4": "b"}
    for zone in ("a", "b"):
        labels = {ZONE: f"zone-{zone}"}
        world.cluster.apply({"kind": "Node", "apiVersion": "v1", "metadata": {"name": f"n-{zone}", "labels": labels}})
    for name, zone in zones.items():
        content = deployment(name)
        content["spec"]["template"]["spec"]["nodeName"] = f"n-{zone}"
        world.cluster.apply(content)
    world.cluster.advance(60)
    for name in zones:
        await world.alert(deployment=name)
    most = 0
    for _ in range(240):
        await world.turn()
        working = [r for r in await world.all() if r.state in HOLDING and r.target]
        touched = {zones[r.target.name] for r in working if r.target}
        most = max(most, len(working))
        assert len(touched) <= 1
        world.cluster.advance(3.0)
    assert most == 2  # two of one zone may be worked on together
    assert len(world.writes()) == len(zones)


# --- 11 --------------------------------------------------------------------------------------------------------------


async def test_11_the_same_failure_on_several_targets_opens_the_breaker() -> None:
    """A cure that does not help on three targets is not tried on the fourth; a person's yes is the way back."""
    names = [f"svc-{n}" for n in range(5)]
    clock = VirtualClock()
    found = queries(clock, {"errors": 9.0})
    content = checked(restart_playbook(), WORSE)
    world = World(content, clock=clock, queries=found)
    for name in names:
        world.cluster.apply(deployment(name))
    world.cluster.advance(60)
    for name in names[:3]:
        await world.alert(deployment=name)
        assert (await world.run_until("escalated")).outcome is StepOutcome.FAILED
        await world.run_for(300, step=60)
    with nothing_is_written(world):
        await world.alert(deployment=names[3])
        r = await world.run_until("denied", "succeeded", "escalated")
        assert r.state is State.DENIED
        assert "circuit_breaker" in r.reason
        await world.run_for(4 * 3600, step=600)
        await world.alert(deployment=names[4])
        r = await world.run_until("awaiting_approval", "succeeded")
        assert r.state is State.AWAITING_APPROVAL
    found.set("errors", 0.0)
    await approve(world, r)
    await world.run_until("succeeded")


def test_11_everywhere_means_in_all_clusters() -> None:
    """One failure each in three clusters is one playbook that does not work, also in a fourth."""
    outcomes = tuple(
        Outcome(
            remediation_id=f"r-{n}",
            cluster=f"c{n}",
            target_key=f"c{n}/Deployment/shop/api",
            ended_at=NOW - timedelta(minutes=n),
            good=False,
            outcome="undone",
        )
        for n in range(3)
    )
    for known in range(4):
        seen = replace(facts(), outcomes=outcomes[:known], cluster="prod")
        (said,) = [v for v in order.evaluate(seen) if v.guardrail == circuit_breaker.NAME]
        assert said.answer is (Answer.DENY if known == 3 else Answer.PASS)
    fixed = replace(outcomes[0], good=True, outcome="succeeded", ended_at=NOW)
    assert circuit_breaker.check(replace(facts(), outcomes=(*outcomes, fixed))).answer is Answer.PASS


# --- 12 --------------------------------------------------------------------------------------------------------------


def _at(clock: VirtualClock, minutes: int) -> str:
    at = clock.now() + timedelta(minutes=minutes)
    return f"{at.minute} {at.hour} {at.day} {at.month} *"


def _windows(clock: VirtualClock, zone: str = "UTC") -> dict[str, Any]:
    """Open for ten minutes from the fifth on, but for the seventh and eighth."""
    return {
        "allow": [{"cron": _at(clock, 5), "duration": "10m", "zone": zone, "name": "nightly"}],
        "deny": [{"cron": _at(clock, 7), "duration": "2m", "zone": zone, "name": "freeze"}],
    }


@pytest.mark.parametrize("given", [0, 6, 8, 12])
async def test_12_windows_are_checked_when_the_effect_starts(given: int) -> None:
    """However early or late the yes comes, the effect starts inside: deny wins over allow."""
    clock = VirtualClock()
    begin = clock.now()
    world = World(
        restart_playbook(
            mode="approve",
            approval={"expires": "30m", "start_within": "30m"},
            guardrails={"windows": _windows(clock), "max_alert_age": "2h"},
        ),
        clock=clock,
    )
    world.cluster.apply(deployment())
    world.settle()
    await world.alert()
    while clock.now() < begin + timedelta(minutes=30):
        r = await world.newest() if await world.all() else None
        minutes = (clock.now() - begin).total_seconds() / 60
        if r is not None and r.state is State.AWAITING_APPROVAL and minutes >= given:
            await approve(world, r)
        await world.turn()
        world.cluster.advance(10)
    for entry in world.cluster.audit:
        minutes = (entry.at - begin).total_seconds() / 60
        assert 5 <= minutes < 15, minutes
        assert not 7 <= minutes < 9, minutes
    assert len(world.cluster.audit) == 1


async def test_12_a_window_that_closes_after_the_last_look_refuses_the_attempt() -> None:
    """The store itself knows when it closes: the row is not granted at that very moment."""
    clock = VirtualClock()
    world = World(restart_playbook(guardrails={"windows": {"deny": _windows(clock)["deny"]}}), clock=clock)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance((clock.now().replace(second=0, microsecond=0) - clock.now()).total_seconds() % 60)
    real = world.journal.record_attempt
    closes = datetime(2025, 6, 2, 10, 7, tzinfo=UTC)

    async def in_the_last_moment(attempt: Any, now: datetime) -> Any:
        return await real(attempt, max(now, closes))

    world.journal.record_attempt = in_the_last_moment  # type: ignore[method-assign]
    await world.alert()
    await world.turn()
    assert await rows_of(world) == []
    assert world.writes() == []


def test_12_the_zone_is_explicit() -> None:
    """No window without one: neither the machine's nor UTC is guessed."""
    windows = {"allow": [{"cron": "0 22 * * *", "duration": "6h"}]}
    with pytest.raises(InvalidPlaybook):
        load(restart_playbook(guardrails={"windows": {"allow": [{**windows["allow"][0], "zone": "localtime"}]}}))
    loaded = load(restart_playbook(guardrails={"windows": windows}))
    assert any("zone" in line for line in over_ceiling(loaded.playbook, Policy()))


CHANGES = (
    # (zone, the change of the clocks, cron, allowed minutes from it on)
    ("Europe/Berlin", "2025-10-26T01:00Z", "30 2 * * *", (-30, 0)),  # 02:30 comes twice: the first one counts
    ("Europe/Berlin", "2025-03-30T01:00Z", "30 2 * * *", (0, 30)),  # 02:30 does not come: when it is 03:00
    ("America/New_York", "2025-11-02T06:00Z", "30 1 * * *", (-30, 0)),
    ("America/New_York", "2025-03-09T07:00Z", "30 2 * * *", (0, 30)),
)


@pytest.mark.parametrize(("zone", "change", "cron", "opened"), CHANGES)
async def test_25_windows_when_the_clocks_change(zone: str, change: str, cron: str, opened: tuple[int, int]) -> None:
    """12 in the nights in which a local time comes twice, or not at all.

    Minute by minute over two years in several zones: `tests/guardrails/test_windows_oracle.py`.
    """
    changes = datetime.fromisoformat(change.replace("Z", "+00:00"))
    allow = [{"cron": cron, "duration": "30m", "zone": zone}]
    limits = {"rate_limit": {"namespace": 30, "playbook": 20}, "windows": {"allow": allow}}
    clock = VirtualClock(changes - timedelta(minutes=95))
    world = World(restart_playbook(guardrails=limits), clock=clock)
    for n in range(13):
        world.cluster.apply(deployment(f"svc-{n}"))
    world.cluster.advance(300)
    for n in range(13):  # each may wait for a quarter of an hour
        await world.alert(deployment=f"svc-{n}", started_ago=1)
        await world.run_for(840, step=120)
    done = [(entry.at - changes).total_seconds() / 60 for entry in world.cluster.audit]
    assert done
    assert all(opened[0] <= minutes < opened[1] for minutes in done), done


# --- 23 --------------------------------------------------------------------------------------------------------------

LOAD = "cluster_load > 0.9"
TAKING: dict[str, dict[str, Any]] = {
    "down": scale_to(2),
    "evict": restart_playbook(steps=[{"action": "evict_pod", "with": {"select": "all", "max": 1}}]),
    "unavailable": restart_playbook(guardrails={"min_available": 1}),
}


def _loaded(answer: Any, playbook: dict[str, Any], **options: Any) -> World:
    clock = VirtualClock()
    asked = queries(clock, {ALIVE: 1.0})
    if answer is not None:
        asked.set("cluster_load", answer)
    world = World(
        playbook,
        clock=clock,
        queries=asked,
        policy=Policy.model_validate({"mode_ceiling": "auto", "overload": LOAD}),
        **options,
    )
    content = deployment()
    content["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
    world.cluster.apply(content)
    world.settle()
    world.cluster.advance(60)
    return world


@pytest.mark.parametrize("how", TAKING)
async def test_23_under_overload_nothing_takes_capacity_by_itself(how: str) -> None:
    """Not without a person's yes; not while nobody knows whether it is overloaded; what adds capacity may help."""
    world = _loaded(0.97, TAKING[how])
    with nothing_is_written(world):
        await world.alert()
        r = await world.run_until("awaiting_approval", "held", "denied", "succeeded")
        assert r.state is State.AWAITING_APPROVAL, r.reason
        assert "overload" in r.reason
        await world.run_for(30, step=10)
    await approve(world, r)
    await world.run_until("succeeded")
    for unclear in (math.nan, None):
        world = _loaded(unclear, TAKING[how])
        with nothing_is_written(world):
            await world.alert()
            await world.run_for(60, step=10)
            assert (await world.newest()).state is State.HELD
    for answer, playbook in (({}, TAKING[how]), (0.97, scale_to(5))):
        world = _loaded(answer, playbook)
        await world.alert()
        assert (await world.run_until("succeeded", "held", "awaiting_approval")).state is State.SUCCEEDED


# --- 24 --------------------------------------------------------------------------------------------------------------


class Promote(RolloutRestart):
    """An action that promotes, as far as the guardrails can tell."""

    name = "promote"
    measured: Failover

    def plan(self, params: Params, view: View) -> Change:
        return replace(super().plan(RolloutRestartParams(), view), failover=self.measured)


def _failover(**changes: Any) -> Failover:
    values: dict[str, Any] = {
        "old_primary": {"node": "stopped", "network": "unreachable"},
        "candidate": "db-2",
        "lag_s": 0.5,
        "max_lag_s": 5.0,
        "failing_since": VirtualClock().now() - timedelta(hours=1),
        "debounce": timedelta(minutes=1),
        "regions": ("eu", "eu"),
        **changes,
    }
    return Failover(**values)


async def _promotes(measured: Failover) -> bool:
    action = Promote()
    action.measured = measured
    world = ready(restart_playbook(steps=[{"action": "promote"}]), actions={"promote": action})
    await world.alert()
    await world.run_for(40, step=5)
    return bool(world.writes())


async def test_24_failover_is_fenced() -> None:
    """Nothing is promoted unless the old primary is proven to be out of the way, whatever else is true."""
    assert await _promotes(_failover())
    refused: tuple[dict[str, Any], ...] = (
        {"old_primary": {}},
        {"old_primary": {"node": "stopped"}},
        {"old_primary": {"node": "stopped", "network": "running"}},
        {"old_primary": {"node": "stopped", "network": "unknown"}},
        {"lag_s": 6.0},
        {"lag_s": None},
        {"lag_s": math.nan},
        {"failing_since": None},
        {"failing_since": VirtualClock().now() + timedelta(minutes=1)},
        {"operator_busy": "cluster db: Failing over"},
        {"regions": ("eu", "us")},
        {"regions": ("eu", "")},
    )
    for changes in refused:
        assert not await _promotes(_failover(**changes)), changes


def test_24_every_combination_of_what_is_said_of_the_old_primary() -> None:
    words = ("running", "stopped", "unreachable", "unknown")
    passed = 0
    for count in range(4):
        for said in itertools.product(words, repeat=count):
            states = {f"v{n}": word for n, word in enumerate(said)}
            answer = gravest(order.evaluate(facts(target(change=promote(old_primary=states)))))
            if answer.rank <= Answer.PASS.rank:
                passed += 1
                assert count >= 2
                assert set(said) <= {"stopped", "unreachable"}
    assert passed == 2**2 + 2**3
