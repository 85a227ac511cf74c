"""Ladders as they are kept: over the real store and outbox, with people, restarts, replicas and calls that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import Reject, Script
from remediator.errors import JournalUnavailable, Refused
from remediator.guardrails.scopes import episode_scope
from remediator.people.carrier import Pace
from remediator.people.escalation import Escalation
from remediator.people.ladder import Ladder
from remediator.people.outbox import Outbox
from remediator.people.outbox_rows import OutboxMessage, OutboxRow
from remediator.people.routes import Routes
from remediator.ports import ChatError, MessageRef
from remediator.remediation import ladders
from remediator.remediation.company import LADDERS
from remediator.remediation.events import Approved, Rejected, Snoozed
from remediator.remediation.ladders import Ladders
from remediator.remediation.state import Remediation, State
from remediator.remediation.telling import story_of
from tests.support.building import NOW, remediation
from tests.support.fake_slack import shown
from tests.support.world import World, deployment, restart_playbook

ROUTES = Routes.model_validate({"slack": {"default_channel": "C0OPS"}, "pagerduty": {"default_service": "shop"}})
PEOPLE = Escalation.model_validate(
    {
        "who": {
            "second": ["pagerduty:second"],
            "l3": ["slack:S0L3"],
            "leads": ["slack:U0LEAD"],
            "mail": ["apprise:board"],
        },
        "status_page": "status",
    }
)
ASKS = restart_playbook(mode="approve", approval={"expires": "30m"})
EXPIRES = 30
PROTECTED = "kube-system"


PACE = Pace(gap=timedelta(0), first_retry=timedelta(seconds=1), longest_retry=timedelta(minutes=1))


@dataclass(slots=True)
class Post:
    """A carrier that delivers everything, but to the destinations that refuse; `log` is shared by all of them."""

    channel: str
    log: list[tuple[datetime, OutboxRow]]
    now: Any
    refuses: set[str] = field(default_factory=set)
    pace: Pace = PACE

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        if row.destination in self.refuses:
            raise ChatError("no such destination")
        self.log.append((self.now(), row))
        if self.channel == "slack_channel":
            return MessageRef("C0NEW", "1")
        return MessageRef(row.destination, str(row.id)) if row.kind in ("post", "update") and main is None else None


class Town:
    """A world with its outbox and its ladders, moved by hand."""

    def __init__(self, *playbooks: Any, settings: Escalation = PEOPLE, **options: Any) -> None:
        self._playbooks = playbooks or (ASKS,)
        self._settings = {"settings": {"routes": ROUTES, "escalation": settings}, **options}
        self.log: list[tuple[datetime, OutboxRow]] = []
        self.refuses: dict[str, set[str]] = {}
        self.world = World(*self._playbooks, **self._settings)
        self.world.cluster.apply(deployment())
        self.world.settle()
        self.start = self.world.clock.now()
        self._open()

    def _open(self) -> None:
        channels = ("slack", "pagerduty", "apprise", "webhook", "ticket", "slack_channel")
        carriers: dict[str, Any] = {
            c: Post(c, self.log, self.world.clock.now, self.refuses.setdefault(c, set())) for c in channels
        }
        assert self.world.core.ladders is not None
        self.outbox = Outbox(self.world.journal, {**carriers, LADDERS: self.world.core.ladders})

    @property
    def ladders(self) -> Ladders:
        assert self.world.core.ladders is not None
        return self.world.core.ladders

    def restart(self) -> None:
        self.world = self.world.another(*self._playbooks, **self._settings)
        self._open()

    async def step(self) -> None:
        await self.world.turn()
        await self.outbox.run_once(self.world.clock.now())
        await self.ladders.turn()
        await self.outbox.run_once(self.world.clock.now())

    async def wait(self, minutes: float, step_s: float = 30) -> None:
        end = self.world.clock.now() + timedelta(minutes=minutes)
        await self.step()
        while self.world.clock.now() < end:
            self.world.cluster.advance(min(step_s, (end - self.world.clock.now()).total_seconds()))
            await self.step()

    async def fire(self, severity: str = "critical", **labels: str) -> Remediation:
        about: dict[str, Any] = {"severity": severity, **(labels or {"deployment": "api"})}
        await self.world.alert(**about)
        await self.wait(0.1, step_s=2)
        return await self.world.newest()

    def calls(self) -> list[tuple[int, str]]:
        """(minute, whom) of everything that the ladder sent to people: pages, letters, new messages in chat."""
        made = []
        for at, row in self.log:
            minute = round((at - self.start).total_seconds() / 60)
            if row.channel == "pagerduty" and row.payload["event_action"] == "trigger":
                made.append((minute, f"page {row.destination}"))
            elif row.channel == "apprise":
                made.append((minute, f"mail {row.destination}"))
            elif row.channel == "slack" and row.kind == "post":
                made.append((minute, f"post {row.destination}{_called(row)}"))
        return made

    def words(self) -> list[str]:
        return [str(row.payload["status"]) for _, row in self.log if row.channel == "webhook"]

    def said(self, channel: str = "C0OPS") -> list[str]:
        rows = [row for _, row in self.log if row.channel == "slack" and row.destination == channel]
        return [text for row in rows if "⏫" in (text := shown(row.payload["blocks"]))]

    async def ladder(self) -> Ladder:
        (found,) = await self.world.journal.open_ladders()
        return found


def _called(row: OutboxRow) -> str:
    return " @S0L3" if "subteam^S0L3" in str(row.payload) else ""


@pytest.fixture
async def town() -> Town:
    return Town()


CLIMB = [
    (0, "post C0OPS"),
    (0, "page shop"),
    (0, "mail board"),
    (5, "page second"),
    (10, "post C0OPS @S0L3"),
    (15, "post U0LEAD"),
]


async def test_a_proposal_that_nobody_answers_climbs_to_the_leads_each_of_them_once(town: Town) -> None:
    await town.fire()
    await town.wait(25)
    assert town.calls() == CLIMB
    assert [line.partition(":")[0] for line in town.said()] == [f"⏫ Rung {n} of 4" for n in (2, 3, 4)]
    assert town.said()[0].endswith("UTC. Called now: pagerduty:second.")


async def test_an_approval_climbs_before_it_runs_out_and_goes_on_when_it_did(town: Town) -> None:
    """Severity 3 has two hours between its rungs, and the question half an hour."""
    await town.fire("warning")
    await town.wait(EXPIRES - 1)
    assert town.calls() == [(0, "post C0OPS"), (20, "page shop")], "two thirds of its time"
    page = next(row for _, row in town.log if row.channel == "pagerduty")
    assert page.payload["payload"]["severity"] == "warning"
    assert "the time to approve is running out" in page.payload["payload"]["custom_details"]["escalation"]
    await town.wait(2)
    assert (await town.world.newest()).state == "escalated"
    await town.wait(130)
    assert town.calls()[-1] == (140, "post U0LEAD"), "two hours after the rung before"


async def test_whoever_approves_stops_it(town: Town) -> None:
    r = await town.fire()
    await town.wait(6)
    await town.world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await town.wait(30)
    assert town.calls() == CLIMB[:4]
    assert town.said()[-1] == "⏫ ann has it, 6m after it began: nobody else is called."
    assert (await town.ladder()).acknowledged_by == "ann"


async def test_whoever_rejects_stops_it(town: Town) -> None:
    r = await town.fire()
    await town.world.core.runner.apply_from_person(r.id, Rejected(who="bob", why="no"))
    await town.wait(30)
    assert town.calls() == CLIMB[:3]
    assert (await town.ladder()).acknowledged_by == "bob"


async def test_a_snooze_stops_it_until_it_is_asked_again_then_it_begins_anew(town: Town) -> None:
    r = await town.fire()
    until = town.world.clock.now() + timedelta(minutes=60)
    await town.world.core.runner.apply_from_person(r.id, Snoozed(who="ann", until=until))
    await town.wait(59)
    assert town.calls() == CLIMB[:3]
    await town.wait(7)
    assert town.calls()[3:] == [(60, "post C0OPS"), (60, "mail board"), (65, "page second")]
    assert (await town.ladder()).round == 1


async def test_whoever_takes_it_stops_it_and_giving_it_back_calls_again(town: Town) -> None:
    r = await town.fire()
    now = town.world.clock.now()
    pause = await town.world.journal.pause(episode_scope(r.episode), "ann", "PagerDuty", None, now)
    await town.wait(20)
    assert town.calls() == CLIMB[:3]
    assert (await town.ladder()).acknowledged_by == "ann (PagerDuty)"
    await town.world.journal.resume(pause.id, "ann", town.world.clock.now())
    await town.wait(6)
    assert "page second" in {whom for _, whom in town.calls()[3:]}


async def test_a_failure_after_a_yes_needs_somebody_again() -> None:
    """The approval answered the question, not the failure."""
    town = Town()
    r = await town.fire()
    town.world.cluster.faults = script = Script()
    script.write(Reject(Refused("the admission webhook says no")), times=100)
    await town.world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await town.ladders.turn()
    assert (await town.ladder()).acknowledged_by == "ann"
    await town.wait(1, step_s=2)
    assert (await town.world.newest()).state == "escalated"
    found = await town.ladder()
    assert (found.acknowledged_by, found.round, found.climbed) == ("", 1, 1)
    await town.wait(6)
    assert town.calls()[3:] == [(0, "page shop"), (0, "mail board"), (5, "page second")]


async def test_what_a_later_one_has_mended_needs_nobody_though_the_alert_fires_on(town: Town) -> None:
    await town.fire()
    await town.wait(EXPIRES + 7)
    assert (await town.world.newest()).state == "escalated"
    second = await town.fire()
    assert (second.id, second.state) == ("r-3", "awaiting_approval")
    await town.world.core.runner.apply_from_person(second.id, Approved(who="ann", digest=second.digest))
    await town.wait(2, step_s=2)
    assert (await town.world.newest()).state == "succeeded"
    before = town.calls()
    await town.wait(60)
    assert town.calls() == before
    assert (await town.ladder()).members[-1] == second.id


async def test_one_that_helps_by_itself_stops_the_ladder_of_another() -> None:
    asks = restart_playbook(
        mode="approve", approval={"expires": "5m"}, priority=10, match={"alerts": ['alertname="A"']}
    )
    town = Town(asks, restart_playbook(name="by-itself", match={"alerts": ['alertname="B"']}))
    await town.world.alert("A", severity="critical", deployment="api")
    await town.wait(6)
    assert (await town.world.newest()).outcome == "expired"
    await town.world.alert("B", severity="critical", deployment="api")
    await town.wait(3, step_s=2)
    assert (await town.world.newest()).state == "succeeded"
    before = town.calls()
    await town.wait(60)
    assert town.calls() == before


async def test_it_is_over_when_the_alerts_are_gone(town: Town) -> None:
    r = await town.fire()
    await town.world.core.runner.apply_from_person(r.id, Rejected(who="bob"))
    await town.wait(6)
    await town.world.alert(severity="critical", deployment="api", resolved=True)
    await town.wait(2)
    assert await town.world.journal.open_ladders() == ()
    (ladder,) = await town.world.journal.ladders(r.episode)
    assert ladder.ended
    assert town.words() == ["investigating", "resolved"]


async def test_the_pages_of_the_ladder_are_resolved_with_it(town: Town) -> None:
    r = await town.fire()
    await town.wait(6)
    await town.world.core.runner.apply_from_person(r.id, Rejected(who="bob"))
    await town.world.alert(severity="critical", deployment="api", resolved=True)
    await town.wait(2)
    resolved = {
        row.destination
        for _, row in town.log
        if row.channel == "pagerduty" and row.payload["event_action"] == "resolve"
    }
    assert "second" in resolved
    keys = {row.payload["dedup_key"] for _, row in town.log if row.channel == "pagerduty"}
    assert len(keys) == 1, "the same incident key in each service"


async def test_the_status_page_follows(town: Town) -> None:
    r = await town.fire()
    assert town.words() == ["investigating"]
    await town.world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await town.wait(3, step_s=2)
    assert town.words() in (
        ["investigating", "identified", "monitoring", "resolved"],
        ["investigating", "identified", "resolved"],
        ["investigating", "monitoring", "resolved"],
    )


async def test_a_call_that_can_never_arrive_moves_on_at_once(town: Town) -> None:
    town.refuses["pagerduty"].add("second")
    await town.fire()
    await town.wait(9)
    assert town.calls() == [*CLIMB[:3], (6, "post C0OPS @S0L3")]
    assert "could not be delivered" in town.said()[-1]


async def test_when_nobody_at_all_can_be_reached_that_is_said(town: Town) -> None:
    settings = Escalation.model_validate(
        {"sev1": [{"to": ["pagerduty:gone"]}, {"after": "5m", "to": ["slack:U0GONE"]}]}
    )
    town = Town(settings=settings)
    town.refuses["pagerduty"].add("gone")
    town.refuses["slack"].add("U0GONE")
    await town.fire()
    await town.wait(3)
    assert [whom for _, whom in town.calls()] == ["post C0OPS", "page shop", "post C0OPS"]
    assert town.said()[-1].startswith("⏫ Nobody could be reached")
    before = len(town.log)
    await town.wait(20)
    assert not [row for _, row in town.log[before:] if row.kind == "post"], "said once"


async def test_the_route_of_the_pager_counts_as_the_first_call(town: Town) -> None:
    """Its dead letter brings the second on-call at once."""
    town.refuses["pagerduty"].add("shop")
    await town.fire()
    await town.wait(2)
    # mail was delivered, and reaches a person: the ladder keeps its times
    assert "page second" not in {whom for _, whom in town.calls()}
    bare = Town(settings=Escalation.model_validate({"who": {"second": ["pagerduty:second"]}}))
    bare.refuses["pagerduty"].add("shop")
    await bare.fire()
    await bare.wait(2)
    assert "page second" in {whom for _, whom in bare.calls()}


async def test_a_denial_climbs_while_its_alert_fires() -> None:
    town = Town(restart_playbook())
    town.world.cluster.apply(deployment("dns", namespace=PROTECTED))
    await town.fire(deployment="dns", namespace=PROTECTED)
    assert (await town.world.newest()).state == "denied"
    await town.wait(16)
    assert [call for call in town.calls() if "mail" not in call[1]] == [
        (0, "page shop"),
        (5, "page second"),
        (10, "post C0OPS @S0L3"),
        (15, "post U0LEAD"),
    ]


async def test_what_is_cosmetic_calls_nobody_before_the_next_day() -> None:
    town = Town(restart_playbook())
    town.world.cluster.apply(deployment("dns", namespace=PROTECTED))
    await town.fire("info", deployment="dns", namespace=PROTECTED)
    await town.wait(23 * 60, step_s=600)
    assert town.calls() == []
    await town.wait(61, step_s=60)
    assert [whom for _, whom in town.calls()] == ["page shop"]


async def test_an_incident_channel_gets_the_story_as_it_goes() -> None:
    settings = Escalation.model_validate(
        {"who": {"leads": ["slack:U0LEAD"]}, "incident_channel": {"prefix": "war", "invite": ["U0OPS"]}}
    )
    town = Town(settings=settings)
    r = await town.fire()
    (made,) = [row for _, row in town.log if row.channel == "slack_channel"]
    assert made.payload["name"].startswith("war-20250602-api-")
    assert made.payload["invite"] == ["U0OPS"]
    await town.wait(1)
    await town.world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await town.wait(3, step_s=2)
    kinds = [row.kind for _, row in town.log if row.channel == "slack" and row.destination == "C0NEW"]
    assert kinds[0] == "post"
    assert kinds.count("reply") >= 2


async def test_restarts_change_nothing(town: Town) -> None:
    await town.fire()
    for _ in range(50):
        town.restart()
        await town.wait(0.5)
    assert town.calls() == CLIMB


async def test_a_ladder_is_told_once_by_the_answer_that_got_lost(town: Town) -> None:
    """The commit went through and nobody heard: looked at again, the version says so."""
    await town.fire()
    with _lost_answers(town.world.journal):
        await town.wait(12)
    await town.wait(10)
    assert town.calls() == CLIMB


@contextmanager
def _lost_answers(journal: Any) -> Iterator[None]:
    real = journal.save_ladder

    async def save(*args: Any, **options: Any) -> bool:
        await real(*args, **options)
        raise JournalUnavailable("whether it was stored is unknown")

    journal.save_ladder = save
    turn, errors = Ladders.turn, 0

    async def brave(self: Ladders) -> float:
        nonlocal errors
        try:
            return await turn(self)
        except JournalUnavailable:
            errors += 1
            return 1.0

    Ladders.turn = brave  # type: ignore[method-assign]
    try:
        yield
    finally:
        Ladders.turn = turn  # type: ignore[method-assign]
        del journal.save_ladder
    assert errors


class Slow:
    """A journal in which everybody else gets a turn before each answer."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._journal, name)

        async def call(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            return await real(*args, **options)

        return call


async def test_two_keepers_on_one_store_call_nobody_twice(town: Town) -> None:
    settings = {"routes": ROUTES, "escalation": PEOPLE}
    other = town.world.another(ASKS, settings=settings, journal=town.world.journal)
    keepers = [town.ladders, other.core.ladders]
    for keeper in keepers:
        assert keeper is not None
        keeper._journal = Slow(keeper._journal)
    await town.fire()
    ladders = await town.world.journal.ladders((await town.world.newest()).episode)
    assert len(ladders) == 1
    for _ in range(50):
        town.world.cluster.advance(30)
        await town.world.turn()
        await asyncio.gather(*(keeper.turn() for keeper in keepers if keeper))
        await town.outbox.run_once(town.world.clock.now())
    assert town.calls() == CLIMB


async def test_a_write_on_what_is_old_by_now_is_not_taken(town: Town) -> None:
    """Neither the ladder nor its messages; nor one after its end, nor a second one beside it."""
    await town.fire()
    journal, now = town.world.journal, town.world.clock.now()
    ladder = await town.ladder()
    letter = OutboxMessage(channel="apprise", destination="x", key="x", kind="post", payload={})
    assert await journal.save_ladder(replace(ladder, climbed=2), (), now)
    assert not await journal.save_ladder(replace(ladder, climbed=3), (letter,), now)
    assert not await journal.save_ladder(replace(ladder, id="l-other", version=0), (letter,), now)
    assert (await town.ladder()).climbed == 2
    assert await journal.save_ladder(await town.ladder(), (), now, over=True)
    (ended,) = await journal.ladders(ladder.episode)
    assert not await journal.save_ladder(ended, (letter,), now)
    assert await journal.due("apprise", now, 10) == ()
    assert await journal.save_ladder(replace(ladder, id="l-next", version=0), (letter,), now), "an incident of its own"


async def test_both_beginning_at_once_begin_one(town: Town) -> None:
    settings = {"routes": ROUTES, "escalation": PEOPLE}
    other = town.world.another(ASKS, settings=settings, journal=town.world.journal)
    for keeper in (town.ladders, other.core.ladders):
        assert keeper is not None
        keeper._journal = Slow(keeper._journal)
    await town.world.alert(severity="critical", deployment="api")
    await town.world.turn()
    (row,) = await town.world.journal.due(LADDERS, town.world.clock.now(), 10)
    assert other.core.ladders is not None
    await asyncio.gather(*(keeper.deliver(row) for keeper in (town.ladders, other.core.ladders)))
    (ladder,) = await town.world.journal.ladders((await town.world.newest()).episode)
    assert (ladder.climbed, ladder.round, ladder.members) == (1, 0, (row.payload["remediation"],))


async def test_without_the_setting_there_are_no_ladders() -> None:
    world = World(ASKS)
    world.cluster.apply(deployment())
    await world.alert(severity="critical", deployment="api")
    await world.turn()
    assert await world.journal.due(LADDERS, world.clock.now(), 10) == ()


@pytest.mark.parametrize(
    ("states", "open_ones"),
    [
        pytest.param(["escalated"], [0], id="one that failed"),
        pytest.param(["awaiting_approval", "escalated"], [0, 1], id="both"),
        pytest.param(["escalated", "rejected"], [], id="a word about a later one"),
        pytest.param(["rejected", "escalated"], [1], id="not about an earlier one"),
        pytest.param(["escalated", "succeeded"], [], id="a later one helped"),
        pytest.param(["succeeded", "escalated"], [1], id="not an earlier one"),
        pytest.param(["awaiting_approval", "rejected"], [0], id="a question keeps asking"),
        pytest.param(["escalated", "acting"], [0], id="at work by itself is no answer"),
    ],
)
def test_who_is_still_waited_for(states: list[str], open_ones: list[int]) -> None:
    found = [remediation(State(state), id=f"r-{n}") for n, state in enumerate(states)]
    stories = [story_of(r, (), NOW) for r in found]
    assert [int(s.remediation_id[2:]) for s in ladders._unanswered(found, stories)] == open_ones


async def test_what_is_given_back_is_told_again_at_once_also_where_nobody_stands_on_a_later_rung() -> None:
    """The routes have nothing new to tell then, and whoever took it has silenced the pager's incident."""
    town = Town(settings=Escalation())
    r = await town.fire()
    pause = await town.world.journal.pause(episode_scope(r.episode), "ann", "Slack", None, town.world.clock.now())
    await town.wait(20)
    first = town.calls()
    assert first == [(0, "post C0OPS"), (0, "page shop")]
    await town.world.journal.resume(pause.id, "ann", town.world.clock.now())
    await town.wait(1)
    assert sorted(town.calls()[2:]) == [(20, "page shop"), (20, "post C0OPS")]
    events = [row.payload["event_action"] for _, row in town.log if row.channel == "pagerduty"]
    assert events == ["trigger", "resolve", "trigger"]
    await town.wait(5)
    assert len(town.calls()) == 4, "once"
