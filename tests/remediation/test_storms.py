"""A storm, whole: one page and one message for all it holds, until it is quiet, then oldest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from remediator.adapters.simulated import FailRead, Script, SimulatedCluster, VirtualClock
from remediator.errors import CannotSee, JournalUnavailable
from remediator.guardrails.facts import Storm
from remediator.guardrails.policy import Policy
from remediator.people.outbox_rows import OutboxRow, Sending
from remediator.playbooks.model import Limits, Mode
from remediator.remediation.state import State
from remediator.remediation.storms import TURNS
from tests.sim.prometheus import Prometheus
from tests.support.fake_slack import shown
from tests.support.world import World, deployment, restart_playbook

NINE = tuple(f"svc-{n}" for n in range(9))
QUIET = 15 * 60


def world(*playbooks: Mapping[str, Any], names: Sequence[str] = NINE, **options: Any) -> World:
    made = World(*(playbooks or (restart_playbook(),)), **options)
    for name in names:
        made.cluster.apply(deployment(name))
    made.cluster.advance(60)
    return made


async def post(w: World, *names: str) -> None:
    """One delivery with an alert for each."""
    await w.deliver(*(w.make_alert(deployment=name) for name in names))


class Told:
    """What was stored to be sent since the last look."""

    def __init__(self, w: World) -> None:
        self.follow(w)
        self._seen: set[int] = set()

    def follow(self, w: World) -> None:
        """From now on as this process sees the store."""
        self._w, self._journal = w, w.journal

    async def news(self) -> list[tuple[str, str]]:
        """(kind or event action, key) of everything new, in order."""
        return [(_kind(row), row.key) for row in await self.rows()]

    async def rows(self) -> list[OutboxRow]:
        late = self._w.clock.now() + timedelta(days=1)
        found = [row for channel in ("slack", "pagerduty") for row in await self._journal.due(channel, late, 1000)]
        new = [row for row in found if row.id not in self._seen]
        self._seen |= {row.id for row in new}
        return sorted(new, key=lambda row: row.id)


def _kind(row: OutboxRow) -> str:
    return str(row.payload["event_action"]) if row.kind == "event" else row.kind


def text(row: OutboxRow) -> str:
    return shown(row.payload["blocks"])


async def open_storm(w: World) -> Storm:
    found = await w.journal.storm("c1")
    assert found is not None
    return found


# --- one page, one message ------------------------------------------------------------------------------------------


async def test_nine_alerts_of_one_delivery_are_one_page_and_one_message() -> None:
    w = world()
    told = Told(w)
    await post(w, *NINE)
    await w.run_for(120)
    found = await w.all()
    assert [r.state for r in found] == [State.HELD] * 9
    assert w.writes() == []
    post_, page = await told.rows()
    row = await open_storm(w)
    assert (_kind(post_), post_.key) == ("post", f"slack/C0OPS/{row.id}")
    assert (_kind(page), page.key) == ("trigger", f"pagerduty/shop/{row.id}")
    assert row.members == tuple(r.id for r in found)
    assert all(f"`Deployment shop/{name}` Stuck → restart-api" in text(post_) for name in NINE)
    assert "9 targets in trouble within 5m" in text(post_)
    assert len(page.payload["payload"]["custom_details"]["held"]) == 9
    assert found[0].reason == (
        "HELD restart 3 copies by rollout of Deployment shop/svc-0: storm. 9 targets in 5m (limit 5); one shared cause "
        "is likely. Paged shop once for all 9 that are held; over at 10:16 UTC if no more come."
    )


async def test_a_resend_changes_nothing() -> None:
    w = world()
    told = Told(w)
    await post(w, *NINE)
    await w.run_for(60)
    await told.rows()
    before = await open_storm(w)
    await post(w, *NINE)
    await w.run_for(60)
    assert await told.rows() == []
    assert await open_storm(w) == before
    assert len(await w.all()) == 9


async def test_a_tenth_joins_the_list() -> None:
    w = world(names=(*NINE, "late"))
    told = Told(w)
    await post(w, *NINE)
    await w.run_for(60)
    await told.rows()
    await post(w, "late")
    await w.run_for(60)
    row = await open_storm(w)
    assert len(row.members) == 10
    assert row.targets == 10
    rows = await told.rows()
    assert {(_kind(r), r.key) for r in rows} == {("update", f"slack/C0OPS/{row.id}")}
    assert "`Deployment shop/late`" in text(rows[-1])
    assert "10 targets in trouble" in text(rows[-1])


async def test_a_cause_that_comes_alone_is_no_storm_and_is_told_as_ever() -> None:
    w = world()
    told = Told(w)
    await post(w, *NINE[:5])
    await w.run_for(30)
    assert await w.journal.storm("c1") is None
    assert all("storm" not in key for _, key in await told.news())
    assert w.writes()


async def test_nobody_is_called_about_what_is_only_observed() -> None:
    w = world(restart_playbook(mode="observe"))
    told = Told(w)
    await post(w, *NINE)
    await w.run_for(60)
    assert {r.state for r in await w.all()} == {State.OBSERVED}
    assert await told.rows() == []
    assert await w.journal.storm("c1") is None


async def test_the_call_waits_for_those_that_came_with_the_first_but_not_for_long() -> None:
    slow = restart_playbook(name="slow", match={"alerts": ['alertname="Slow"']}, gather="8s")
    slower = restart_playbook(name="slower", match={"alerts": ['alertname="Slower"']}, gather="60s")
    w = world(restart_playbook(), slow, slower)
    told = Told(w)
    await w.deliver(
        *(w.make_alert(deployment=name) for name in NINE[:4]),
        *(w.make_alert("Slow", deployment=name) for name in NINE[4:8]),
        w.make_alert("Slower", deployment=NINE[8]),
    )
    await w.run_for(5)
    assert await told.rows() == []
    await w.run_for(9)
    post_, _ = await told.rows()
    assert text(post_).count("`Deployment shop/svc-") == 8
    await w.run_for(60)
    assert (await told.news())[-1][0] == "update"
    assert len((await open_storm(w)).members) == 9


# --- its end --------------------------------------------------------------------------------------------------------


LIMITS = {"in_flight": {"playbook": 5, "cluster": 20}, "rate_limit": {"playbook": 20, "namespace": 30}}


def roomy() -> Policy:
    return Policy(mode_ceiling=Mode.AUTO, defaults=Limits.model_validate(LIMITS))


async def test_after_it_they_are_planned_again_oldest_first_and_go_on_under_the_limits() -> None:
    w = world(policy=roomy())
    told = Told(w)
    await post(w, *reversed(NINE))
    await w.run_for(60)
    row = await open_storm(w)
    await told.rows()
    await w.run_for(QUIET - 90, step=30.0)
    w.decisions.clear()
    while await w.journal.storm("c1") is not None:
        w.cluster.advance(1.0)
        await w.turn()
    dues = [r.due for r in await w.all() if r.state is State.HELD]
    assert len(dues) == 8, "the oldest one's turn is at once"
    assert [later - due for due, later in pairwise(dues) if due and later] == [TURNS.apart] * 7
    await w.run_for(60)
    names = [f"Deployment shop/{name}" for name in reversed(NINE)]
    planned = [str(d.remediation.target) for d in w.decisions if "storm" not in d.remediation.reason]
    assert list(dict.fromkeys(planned)) == names
    assert [str(ref) for _, ref in w.writes()][:5] == names[:5], "five at once are allowed"
    await w.run_for(300, step=5.0)
    assert sorted(str(ref) for _, ref in w.writes()) == sorted(names)
    rows = [r for r in await told.rows() if r.key.endswith(row.id)]
    assert [_kind(r) for r in rows][-3:] == ["update", "reply", "resolve"]
    assert "Storm over" in text(rows[-2])
    assert {r.state for r in await w.all()} == {State.SUCCEEDED}


async def test_one_slot_goes_to_the_oldest() -> None:
    w = world()
    await post(w, *NINE)
    await w.run_for(QUIET - 30, step=30.0)
    await w.run_for(90)
    assert [str(ref) for _, ref in w.writes()][:1] == ["Deployment shop/svc-0"]
    held = [r for r in await w.all() if r.state is State.HELD]
    assert all("in_flight" in r.reason for r in held)


async def test_each_has_its_own_time_again_after_it_and_tells_for_itself_then() -> None:
    w = world()
    told = Told(w)
    await post(w, *NINE)
    await w.run_for(QUIET - 30, step=30.0)
    await w.run_for(90)
    held = [r for r in await w.all() if r.state is State.HELD]
    assert held
    assert all(r.deadline is not None and r.deadline - w.clock.now() > timedelta(minutes=13) for r in held)
    assert all(r.told == ("held",) for r in held)
    keys = {key for kind, key in await told.news() if kind == "update"}
    assert {f"slack/C0OPS/{r.episode}" for r in held} <= keys


def proving(clock: VirtualClock) -> Prometheus:
    """A Prometheus that can prove that an alert is gone."""
    return Prometheus(clock.boot, lambda: 0.0)


async def test_alerts_that_resolved_meanwhile_are_superseded_and_say_nothing_of_their_own() -> None:
    clock = VirtualClock()
    prometheus = proving(clock)
    w = world(clock=clock, queries=prometheus)
    alerts = [w.make_alert(deployment=name) for name in NINE]
    for alert in alerts:
        prometheus.fire(alert.labels["deployment"], dict(alert.labels))
    await w.deliver(*alerts)
    await w.run_for(60)
    told = Told(w)
    await told.rows()
    for alert in alerts[:4]:
        del prometheus.firing[alert.labels["deployment"]]
        await w.deliver(replace(alert, status="resolved", ends_at=clock.now()))
    await w.run_for(60)
    gone = [r for r in await w.all() if r.state is State.SUPERSEDED]
    assert len(gone) == 4
    rows = await told.rows()
    assert {row.key for row in rows} == {f"slack/C0OPS/{(await open_storm(w)).id}"}
    assert text(rows[-1]).count("(cleared by itself)") == 4
    await w.run_for(QUIET - 120, step=30.0)
    await w.run_for(80)
    assert next(str(ref) for _, ref in w.writes()) == "Deployment shop/svc-4"


# --- crashes, replicas, clocks, what cannot be seen -------------------------------------------------------------------


async def test_a_restart_in_the_middle_calls_nobody_again() -> None:
    w = world()
    told = Told(w)
    await post(w, *NINE)
    await w.run_for(60)
    await told.rows()
    before = await open_storm(w)
    after = w.another(restart_playbook())
    told.follow(after)
    await after.journal.takeover("test-2")
    await after.run_for(60)
    assert await open_storm(after) == before
    assert await told.rows() == []
    await after.run_for(QUIET, step=30.0)
    assert await after.journal.storm("c1") is None
    assert "resolve" in [kind for kind, key in await told.news() if key.endswith(before.id)]


async def test_a_process_that_died_before_it_told_is_made_up_for() -> None:
    """Everything was held, nobody was called, and the process is gone."""
    w = world()
    told = Told(w)
    await post(w, *NINE)
    await w.turn()
    assert {r.state for r in await w.all()} == {State.HELD}
    assert await told.rows() == []
    after = w.another(restart_playbook())
    told.follow(after)
    await after.journal.takeover("test-2")
    await after.turn()
    assert [kind for kind, _ in await told.news()] == ["post", "trigger"]


class Lost:
    """The answer of one commit gets lost."""

    def __init__(self, name: str) -> None:
        self.name, self.lost = name, 0

    async def before_commit(self, name: str) -> None:
        return

    async def after_commit(self, name: str) -> None:
        if name == self.name and not self.lost:
            self.lost += 1
            raise JournalUnavailable("simulated: nobody knows whether it is stored")

    async def before_read(self, name: str) -> None:
        return


@pytest.mark.parametrize("name", ["save_storm", "close_storm"])
async def test_an_answer_of_the_store_that_gets_lost_doubles_nothing(name: str) -> None:
    faults = Lost(name)
    w = world(store_faults=faults)
    told = Told(w)
    await post(w, *NINE)
    for _ in range(QUIET // 20 + 6):
        w.cluster.advance(20.0)
        try:
            await w.turn()
        except JournalUnavailable:
            continue
    assert faults.lost == 1
    kinds = [kind for kind, key in await told.news() if "/s-" in key]
    assert (kinds.count("post"), kinds.count("trigger"), kinds.count("resolve")) == (1, 1, 1)


async def test_two_replicas_call_once() -> None:
    w = world()
    other = w.another(restart_playbook(), journal=w.journal)
    told = Told(w)
    await post(w, *NINE)
    for _ in range(QUIET // 20 + 3):
        for process in (w, other):
            await process.turn()
        w.cluster.advance(20.0)
    kinds = [kind for kind, key in await told.news() if "/s-" in key]
    assert (kinds.count("post"), kinds.count("trigger"), kinds.count("resolve")) == (1, 1, 1)
    assert next(str(ref) for _, ref in w.writes()) == "Deployment shop/svc-0"


async def test_of_two_that_open_one_at_once_one_does() -> None:
    w = world()
    row = Storm(id="s-1", cluster="c1", opened_at=w.clock.now(), peak_at=w.clock.now(), targets=9, limit=5)
    assert await w.journal.save_storm(row, (), w.clock.now())
    assert not await w.journal.save_storm(replace(row, id="s-2"), (), w.clock.now())
    assert await w.journal.save_storm(replace(row, id="s-3", cluster="c2"), (), w.clock.now())
    stored = await open_storm(w)
    assert await w.journal.save_storm(replace(stored, targets=10), (), w.clock.now())
    assert not await w.journal.save_storm(replace(stored, targets=11), (), w.clock.now())
    assert not await w.journal.close_storm(stored, (), w.clock.now(), TURNS)
    assert (await open_storm(w)).targets == 10


class SetBack(VirtualClock):
    """A wall clock that somebody sets; boot time and the cluster's own time run on."""

    def __init__(self, base: VirtualClock) -> None:
        super().__init__()
        self.base, self.ahead = base, timedelta(0)

    def now(self) -> Any:
        return self.base.now() + self.ahead

    def boot(self) -> float:
        return self.base.boot()


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
async def test_a_clock_that_jumps_ends_no_storm(jump: timedelta) -> None:
    base = VirtualClock()
    clock = SetBack(base)
    w = world(clock=clock, cluster=SimulatedCluster("c1", base))
    told = Told(w)
    await post(w, *NINE)
    for _ in range(60):
        w.cluster.advance(1.0)
        await w.turn()
    row = await open_storm(w)
    await told.rows()
    clock.ahead = jump
    for _ in range(60):
        w.cluster.advance(1.0)
        await w.turn()
    assert (await open_storm(w)).id == row.id
    assert w.writes() == []
    clock.ahead = timedelta(0)
    for _ in range(60):
        w.cluster.advance(1.0)
        await w.turn()
    assert (await open_storm(w)).id == row.id
    assert not [kind for kind, key in await told.news() if kind == "trigger" and "/s-" in key]


@pytest.mark.parametrize("planned", [False, True])
async def test_what_cannot_be_read_is_a_member_all_the_same(planned: bool) -> None:
    """The API server is the shared cause: nothing can be planned any more, and still only one call goes out."""
    w = world()
    told = Told(w)
    await post(w, *NINE)
    await w.core.intake.take_all()
    if planned:
        await w.turn()
    script = Script()
    script.read(FailRead(CannotSee("the API server does not answer")), times=100_000)
    w.cluster.faults = script
    await w.run_for(QUIET - 30, step=30.0)
    found = await w.all()
    assert {r.state for r in found} == {State.HELD}
    assert all(r.reason.startswith("CANNOT SEE") for r in found)
    row = await open_storm(w)
    assert len(row.members) == 9
    news = await told.news()
    assert {key for _, key in news} == {f"slack/C0OPS/{row.id}", f"pagerduty/shop/{row.id}"}
    assert [kind for kind, _ in news].count("trigger") == 1


async def test_what_a_storm_on_record_holds_does_not_read_all_that_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands are looked at again every half minute; each reading thousands of arrivals would stop the service."""
    w = world()
    await post(w, *NINE)
    await w.run_for(15)
    await open_storm(w)
    asked = []
    arrivals = w.journal.arrivals

    async def counted(*given: Any) -> Any:
        asked.append(given)
        return await arrivals(*given)

    monkeypatch.setattr(w.journal, "arrivals", counted)
    w.cluster.advance(31)
    await w.turn()
    assert {r.state for r in await w.all()} == {State.HELD}
    assert len(asked) == 1, "only who keeps the storm asks"


async def test_a_call_that_no_pager_takes_rings_in_chat_once() -> None:
    """A storm has no ladder that would go on to somebody else."""
    w = world()
    told = Told(w)
    await post(w, *NINE)
    await w.run_for(60)
    _, page = await told.rows()
    now = w.clock.now()
    until = now + timedelta(seconds=60)
    assert await w.journal.begin(Sending(page), "me", until, now) is not None
    assert await w.journal.failed(page.id, "PagerDuty refused the event", None, "me", now)
    await w.run_for(60)
    (ring,) = await told.rows()
    assert (_kind(ring), ring.destination) == ("post", "C0OPS")
    assert "pager could not be called (shop)" in text(ring)
