"""What begins at its time: once for each, whoever sees it come, however late, however often somebody is killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.errors import JournalUnavailable
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.projects import Project, objections
from remediator.remediation.journal import ScheduleRun
from remediator.remediation.state import State
from tests.remediation.test_reports import STATUS
from tests.remediation.test_triggers import NAMED, ready, said
from tests.support.world import World, load, restart_playbook

NIGHTLY = {"cron": "0 2 * * *", "zone": "Europe/Berlin"}
BEFORE = datetime(2026, 1, 10, 0, 30, tzinfo=UTC)
DUE = datetime(2026, 1, 10, 1, 0, tzinfo=UTC)


def nightly(**changes: Any) -> dict[str, Any]:
    content = restart_playbook(**{"target": NAMED, "schedule": NIGHTLY, **changes})
    if "match" not in changes:
        del content["match"]
    return content


def at(moment: datetime, *playbooks: dict[str, Any], **options: Any) -> World:
    """A world whose clock shows that moment, with the Deployment up."""
    world = ready(*(playbooks or (nightly(),)), clock=VirtualClock(moment - timedelta(minutes=10)), **options)
    world.cluster.advance((moment - world.clock.now()).total_seconds())
    return world


async def until(world: World, moment: datetime, step: float = 60.0) -> None:
    """Time passes, and the schedules are looked after as the service does it."""
    await world.core.scheduler.turn()
    while world.clock.now() < moment:
        world.cluster.advance(min(step, (moment - world.clock.now()).total_seconds()))
        await world.core.scheduler.turn()
        await world.turn()


async def runs(world: World, name: str = "restart-api") -> tuple[ScheduleRun, ...]:
    return await world.journal.schedule_runs(name, 100)


async def test_it_starts_at_its_time_once_and_is_proven() -> None:
    world = at(BEFORE)
    await until(world, DUE - timedelta(seconds=1))
    assert await world.all() == ()
    await until(world, DUE)
    await until(world, DUE + timedelta(minutes=30))
    (r,) = await world.all()
    assert r.state is State.SUCCEEDED
    assert r.created_at == DUE
    assert r.cause == "scheduled for 2026-01-10 02:00 Europe/Berlin (0 2 * * *)"
    assert (r.alerts, r.requester) == ((), "")
    assert [verb for verb, _ in world.writes()] == ["patch"]
    assert await runs(world) == (ScheduleRun(due=DUE, remediation_id=r.id),)
    assert any("scheduled for 2026-01-10 02:00 Europe/Berlin" in message for message in await said(world))


async def test_each_night_is_another_one() -> None:
    world = at(BEFORE)
    await until(world, DUE + timedelta(days=2, minutes=10), step=300)
    assert [r.created_at.day for r in await world.all()] == [10, 11, 12]


async def test_the_next_look_is_at_the_next_time() -> None:
    world = at(DUE - timedelta(seconds=10))
    assert await world.core.scheduler.turn() == 10.0
    world.cluster.advance(10)
    assert await world.core.scheduler.turn() == 15.0
    assert len(await world.all()) == 1


async def test_what_is_loaded_now_missed_nothing_before() -> None:
    world = at(DUE + timedelta(minutes=5))
    await until(world, DUE + timedelta(hours=3))
    assert (await world.all(), await runs(world)) == ((), ())


@pytest.mark.parametrize(
    ("down", "started", "detail"),
    [
        pytest.param(timedelta(minutes=40), True, "", id="young enough"),
        pytest.param(timedelta(hours=3), False, "missed by 2h30m, catch_up is 1h", id="too old"),
    ],
)
async def test_missed_while_nobody_was_there(down: timedelta, started: bool, detail: str) -> None:
    world = at(BEFORE)
    await world.core.scheduler.turn()
    world.cluster.advance(down.total_seconds())
    after = world.another(nightly())
    await after.core.scheduler.turn()
    await after.core.scheduler.turn()
    (run,) = await runs(after)
    assert (run.due, bool(run.remediation_id), run.detail) == (DUE, started, detail)
    assert len(await after.all()) == int(started)
    if started:
        assert (await after.newest()).cause.endswith(", 10m late")


async def test_of_several_missed_only_the_latest() -> None:
    world = at(BEFORE)
    await world.core.scheduler.turn()
    world.cluster.advance(timedelta(days=3, minutes=40).total_seconds())
    after = world.another(nightly())
    await after.core.scheduler.turn()
    assert [(run.due.day, bool(run.remediation_id)) for run in await runs(after)] == [
        (13, True),
        (12, False),
        (11, False),
        (10, False),
    ]
    assert (await runs(after))[1].detail == "missed, and a later one was due by then"


async def test_a_weekend_of_minutes_is_told_in_bounds() -> None:
    busy = nightly(schedule={"cron": "* * * * *", "zone": "UTC"})
    world = at(BEFORE, busy)
    await world.core.scheduler.turn()
    world.cluster.advance(timedelta(days=2).total_seconds())
    after = world.another(busy)
    await after.core.scheduler.turn()
    found = await after.journal.schedule_runs("restart-api", 10_000)
    assert len(found) == 101
    assert found[1].detail.endswith("are not listed")
    assert len(await after.all()) == 1


async def test_two_processes_start_it_once() -> None:
    world = at(BEFORE)
    other = world.another(nightly(), journal=world.journal)
    for each in (world, other):
        await each.core.scheduler.turn()
    world.cluster.advance(timedelta(minutes=31).total_seconds())
    for each in (world, other, world, other):
        await each.core.scheduler.turn()
    assert len(await world.all()) == 1


async def test_two_processes_with_two_versions_do_not_double_a_time() -> None:
    """During a rollout one has the rule of before; both come to 02:00."""
    changed = nightly(schedule={"cron": "0 2,3 * * *", "zone": "Europe/Berlin"})
    world = at(BEFORE)
    other = world.another(changed, journal=world.journal)
    for each in (world, other):
        await each.core.scheduler.turn()
    world.cluster.advance(timedelta(minutes=31).total_seconds())
    for each in (world, other):
        await each.core.scheduler.turn()
    assert len(await world.all()) == 1
    world.cluster.advance(timedelta(hours=1).total_seconds())
    for each in (world, other):
        await each.core.scheduler.turn()
    assert len(await runs(world)) == 2


async def test_a_reload_moves_the_next_time() -> None:
    world = at(BEFORE)
    await world.core.scheduler.turn()
    later = nightly(schedule={"cron": "0 4 * * *", "zone": "Europe/Berlin"})
    world.catalog = Catalog([load(later)])
    await until(world, DUE + timedelta(hours=1))
    assert await world.all() == ()
    await until(world, DUE + timedelta(hours=2, minutes=1))
    assert len(await world.all()) == 1


async def test_what_comes_back_missed_nothing_meanwhile() -> None:
    world = at(BEFORE)
    await world.core.scheduler.turn()
    world.catalog = Catalog([])
    await until(world, DUE + timedelta(minutes=10))
    world.catalog = Catalog([load(nightly())])
    await until(world, DUE + timedelta(minutes=30))
    assert await world.all() == ()


async def test_an_edit_beside_the_schedule_keeps_it() -> None:
    world = at(BEFORE)
    await world.core.scheduler.turn()
    world.catalog = Catalog([load(nightly(description="another word"))])
    await until(world, DUE + timedelta(minutes=1))
    assert len(await world.all()) == 1


class Dies:
    """The store goes away around the named commit."""

    def __init__(self, when: str) -> None:
        self.when = when
        self.armed = False

    async def before_commit(self, name: str) -> None:
        self._fail("before", name)

    async def after_commit(self, name: str) -> None:
        self._fail("after", name)

    async def before_read(self, name: str) -> None:
        return

    def _fail(self, when: str, name: str) -> None:
        if self.armed and self.when == when and name == "settle_schedule":
            self.armed = False
            raise JournalUnavailable("the disk is gone")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_store_that_goes_away_loses_and_doubles_nothing(when: str) -> None:
    faults = Dies(when)
    world = at(BEFORE, store_faults=faults)
    await world.core.scheduler.turn()
    world.cluster.advance(timedelta(minutes=31).total_seconds())
    faults.armed = True
    with pytest.raises(JournalUnavailable):
        await world.core.scheduler.turn()
    await world.core.scheduler.turn()
    assert len(await world.all()) == 1
    assert len(await runs(world)) == 1


async def test_what_cannot_be_aimed_is_opened_denied_and_told() -> None:
    world = at(BEFORE, nightly(target={**NAMED, "cluster": "mars"}))
    await until(world, DUE + timedelta(minutes=2))
    (r,) = await world.all()
    assert r.state is State.DENIED
    assert "Cluster 'mars' is none of ours" in r.reason
    assert any("Not done" in message for message in await said(world))


async def test_what_is_not_aimed_yet_is_nothing_that_an_alert_could_join() -> None:
    world = at(BEFORE, nightly(target={**NAMED, "cluster": "mars"}), restart_playbook(name="other"))
    await world.core.scheduler.turn()
    world.cluster.advance(timedelta(minutes=31).total_seconds())
    await world.core.scheduler.turn()
    await world.alert()
    await world.run_for(60)
    assert {(r.playbook, r.state.value, bool(r.alerts)) for r in await world.all()} == {
        ("", "denied", False),
        ("other", "succeeded", True),
    }


async def test_a_target_that_is_gone_denies() -> None:
    world = at(BEFORE, nightly(target={**NAMED, "name": "gone"}))
    await until(world, DUE + timedelta(minutes=2))
    (r,) = await world.all()
    assert r.state is State.DENIED
    assert "does not exist" in r.reason


async def test_it_is_asked_about_where_the_playbook_says_so() -> None:
    world = at(BEFORE, nightly(mode="approve"))
    await until(world, DUE + timedelta(minutes=1))
    assert (await world.newest()).state is State.AWAITING_APPROVAL


async def test_a_scheduled_report() -> None:
    content = nightly(steps=[], collect=STATUS, name="weekly")
    del content["verify"]
    world = at(BEFORE, content)
    await until(world, DUE + timedelta(minutes=1))
    assert (await world.newest()).state is State.OBSERVED
    assert len(await said(world)) == 1


async def test_its_alerts_start_it_as_well() -> None:
    both = nightly(match={"alerts": ['alertname="Stuck"']})
    world = at(BEFORE, both)
    await world.alert()
    done = await world.run_until("succeeded")
    assert done.cause == ""
    assert done.alerts


async def test_a_project_has_to_list_it() -> None:
    shop = {"name": "shop", "clusters": ["c1"], "namespaces": ["shop"], "mode": "auto", "playbooks": {"folders": ["x"]}}
    playbook = load(nightly()).playbook
    assert [line.partition(":")[0] for line in objections(playbook, Project.model_validate(shop))] == ["schedule"]
    allowed = Project.model_validate({**shop, "actions": ["schedule", "rollout_restart"]})
    assert objections(playbook, allowed) == ()
