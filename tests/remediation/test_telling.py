"""What people are told about a remediation's life, as it is stored with each step of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.metrics import Metrics
from remediator.people.outbox_rows import OutboxRow
from remediator.people.wording import need, title
from remediator.ports import MessageRef
from remediator.remediation.decide import decide
from remediator.remediation.draft import Notice
from remediator.remediation.events import DeadlinePassed
from remediator.remediation.state import Consent, Remediation, State, StepOutcome
from remediator.remediation.telling import Teller, story_of
from remediator.service import NotNow, Service
from remediator.upkeep import Housekeeping
from tests.journal.given import ended, moved, opened, to
from tests.support.accounts import token
from tests.support.building import API, NOW, plan, remediation
from tests.support.fake_slack import shown
from tests.support.outbox_contract import send
from tests.support.world import ROUTES, World, deployment, restart_playbook

QUESTION = "Is the cache warm?"
SCALE = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}


def ready(**changes) -> World:
    world = World(restart_playbook(**changes))
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


def people(world: World) -> Service:
    async def explain(alert):
        return {}

    return Service(
        journal=world.journal,
        runner=world.core.runner,
        poke_intake=lambda: None,
        clock=world.clock,
        metrics=Metrics(),
        playbooks=list,
        explain=explain,
        clusters=("c1",),
    )


class Sent:
    """What was stored to be sent since the last look."""

    def __init__(self, journal: SqlJournal, now=None) -> None:
        self._journal = journal
        self._now = now
        self._seen: set[int] = set()

    async def news(self, channel: str = "slack") -> list[OutboxRow]:
        rows = await self._journal.due(channel, self._now or (NOW + timedelta(days=3650)), 1000)
        new = [row for row in rows if row.id not in self._seen]
        self._seen |= {row.id for row in new}
        return new

    async def kinds(self, channel: str = "slack") -> list[str]:
        rows = await self.news(channel)
        return [str(row.payload["event_action"]) if row.kind == "event" else row.kind for row in rows]


def text(row: OutboxRow) -> str:
    return shown(row.payload["blocks"])


# --- questions in the middle -----------------------------------------------------------------------------------------


async def test_a_playbook_adds_to_who_hears_of_it() -> None:
    """`open_ticket` of a playbook: one ticket for the incident, and how it ended."""
    world = ready(notify=["slack:C0TEAM", "ticket:jira", "apprise:mail-ops"])
    sent = Sent(world.journal)
    await world.alert(deployment="api", severity="critical")
    await world.run_until("succeeded")
    assert {row.destination for row in await sent.news()} == {"C0OPS", "C0TEAM"}, "and takes nothing away"
    assert {(row.destination, row.key.split("/")[-1]) for row in await sent.news("ticket")} == {("jira", "e-1")}
    assert {row.destination for row in await sent.news("apprise")} <= {"mail-ops"}


@pytest.mark.parametrize("mode", ["approve", "auto"])
async def test_a_question_is_a_message_of_its_own_that_says_how_to_answer(mode: str) -> None:
    world = ready(mode=mode, steps=[SCALE, {"ask": QUESTION}, {"action": "rollout_restart"}])
    sent = Sent(world.journal)
    await world.alert(deployment="api", severity="critical")
    if mode == "approve":
        r = await world.run_until("awaiting_approval")
        await people(world).approve(r.id, token("ann"))
    await sent.kinds("pagerduty")
    await sent.news()
    r = await world.run_until("waiting")
    (post,) = [row for row in await sent.news() if row.kind == "post"]
    assert text(post).splitlines()[0].startswith("✋ Answer needed: ")
    assert text(post).splitlines()[1].startswith(f"*{QUESTION} ")
    assert f"`remediator approve {r.id}`" in text(post)
    assert f"`remediator reject {r.id}`" in text(post)
    assert QUESTION in str(post.payload["text"]), "a lock screen shows it"
    assert await sent.kinds("pagerduty") == ["trigger"], "it rings again, also after the approval rang"


async def test_who_approved_the_plan_can_answer_the_question() -> None:
    world = ready(mode="approve", steps=[SCALE, {"ask": QUESTION}, {"action": "rollout_restart"}])
    service = people(world)
    await world.alert()
    r = await world.run_until("awaiting_approval")
    assert "planned and checked once more" in (await service.approve(r.id, token("ann")))["message"]
    await world.run_until("waiting")
    sent = Sent(world.journal)
    await sent.news()
    view = await service.show(r.id)
    assert (view["question"], view["approval"]["given"]) == (QUESTION, [])
    answer = await service.approve(r.id, token("ann"))
    assert answer["message"] == f"Approved {r.id} by ann. It goes on."
    assert [row.kind for row in await sent.news()] == ["update", "reply"], "the answer is kept in the thread"
    await world.run_until("succeeded")
    assert world.restarted_at()


async def test_a_question_needs_as_many_people_as_the_plan() -> None:
    steps = [SCALE, {"ask": QUESTION}, {"action": "rollout_restart"}]
    world = ready(mode="auto", approval={"quorum": 2}, steps=steps)
    service = people(world)
    await world.alert()
    r = await world.run_until("waiting")
    assert "1 of 2 agreed, 1 more needed" in (await service.approve(r.id, token("ann")))["message"]
    again = await service.approve(r.id, token("ann"))
    assert again["message"] == f"ann has approved {r.id} already. 1 of 2 agreed, 1 more needed."
    sent = Sent(world.journal)
    (main, *_) = [row for row in await sent.news() if "Answer needed" in text(row)][::-1]
    assert QUESTION in text(main), "the question stays, with who has answered"
    assert "1 of 2: ann; one more needed" in text(main)
    await service.approve(r.id, token("bob"))
    await world.run_until("succeeded")


async def test_a_question_can_be_answered_only_in_time() -> None:
    world = ready(steps=[SCALE, {"ask": QUESTION}, {"action": "rollout_restart"}])
    await world.alert()
    r = await world.run_until("waiting")
    assert r.deadline is not None
    world.clock.advance((r.deadline - world.clock.now()).total_seconds())
    with pytest.raises(NotNow, match="the time to approve r-1 ended"):
        await people(world).approve(r.id, token("ann"))


# --- joins -----------------------------------------------------------------------------------------------------------


async def test_an_alert_that_joins_is_shown_at_once() -> None:
    world = ready(mode="approve")
    await world.alert()
    await world.run_until("awaiting_approval")
    sent = Sent(world.journal)
    await sent.news()
    await sent.news("pagerduty")
    await world.alert(deployment="api", pod="api-1")
    await world.core.intake.take_all()
    (update,) = await sent.news()
    assert update.kind == "update"
    assert text(update).count("`Stuck`") == 2
    assert await sent.kinds("pagerduty") == []


async def test_a_rise_to_critical_pages_somebody_about_what_waits_for_them() -> None:
    world = ready(mode="approve")
    await world.alert()
    await world.run_until("awaiting_approval")
    sent = Sent(world.journal)
    await sent.news()
    assert await sent.kinds("pagerduty") == []
    await world.alert(deployment="api", severity="critical")
    await world.core.intake.take_all()
    assert await sent.kinds() == ["post", "reply"]
    assert await sent.kinds("pagerduty") == ["trigger"]
    await world.alert(deployment="api", severity="critical", pod="api-2")
    await world.core.intake.take_all()
    assert await sent.kinds() == ["update"]
    assert await sent.kinds("pagerduty") == []


async def test_a_rise_while_it_is_being_done_only_changes_the_message() -> None:
    world = ready()
    await world.alert()
    await world.run_until("verifying")
    sent = Sent(world.journal)
    await sent.news()
    await world.alert(deployment="api", severity="critical")
    await world.core.intake.take_all()
    assert await sent.kinds() == ["update"]
    assert await sent.kinds("pagerduty") == []


# --- endings ---------------------------------------------------------------------------------------------------------


def teller(journal: SqlJournal) -> Teller:
    return Teller(journal=journal, routes=ROUTES, clock=VirtualClock())


def test_what_somebody_changed_meanwhile_is_left_alone() -> None:
    """Without an approval there is none that could be void."""
    changed = remediation(State.CANCELLED, reason="cancelled: .spec.replicas is 4 now, not 3")
    story = story_of(changed, (), NOW)
    assert title(story) == "Left alone"
    assert "Somebody changed it" in need(story)
    agreed = replace(changed, consents=(Consent(who="ann", at=NOW, digest="d1"),))
    assert title(story_of(agreed, (), NOW)) == "Approval void"


async def test_the_end_of_an_inconclusive_one_updates_the_message_in_silence() -> None:
    told = ("escalated",)
    unclear = remediation(State.INCONCLUSIVE, plan=plan(), told=told, outcome=StepOutcome.INCONCLUSIVE)
    decision = decide(unclear, DeadlinePassed(), NOW + timedelta(hours=1))
    assert decision.remediation.state is State.ESCALATED
    (update,) = await teller(SqlJournal.in_memory())(decision)
    assert update.kind == "update"
    assert "Needs a person (cannot tell if it helped)" in str(update.payload["text"])


@pytest.mark.parametrize("state", [State.DENIED, State.HELD, State.SUPERSEDED])
async def test_a_second_one_does_not_speak_over_the_one_that_runs(state: State) -> None:
    journal = SqlJournal.in_memory()
    tell = teller(journal)
    running = await opened(journal, 1, root=API, target=API, state=State.VERIFYING)
    second = await opened(journal, 2, root=API, target=API)
    assert second.episode == running.episode
    notice = {State.DENIED: Notice.DENIED, State.HELD: Notice.HELD, State.SUPERSEDED: Notice.QUIET_END}[state]
    decision = replace(to(second, state), notices=(notice,))
    assert "update" in [m.kind for m in await tell(decision)], "there is no message yet that could be spoken over"
    await store_main_message(journal, second)
    assert [m.kind for m in await tell(decision)] == ["reply"], "nor is the other one's page resolved"
    await ended(journal, running)
    assert "update" in [m.kind for m in await tell(decision)]


async def store_main_message(journal: SqlJournal, r: Remediation) -> None:
    decision = replace(to(r, State.VERIFYING), notices=(Notice.PROGRESS,))
    await journal.store_messages(await teller(journal)(decision), NOW)
    for row in await journal.due("slack", NOW, 10):
        await send(journal, row, MessageRef("C0OPS", "1.0"), NOW)


# --- cleared ---------------------------------------------------------------------------------------------------------


async def cleared_after(world: World, state: str) -> tuple[Sent, Housekeeping]:
    """It ended in `state`; then its alert resolved, and an hour passed."""
    await world.alert(deployment="api", severity="critical")
    await world.run_until(state)
    await world.alert(deployment="api", severity="critical", resolved=True)
    await world.turn()
    sent = Sent(world.journal)
    await sent.news()
    await sent.news("pagerduty")
    keeping = Housekeeping(world.journal, world.clock, Metrics(), tell_cleared=world.core.teller.cleared)
    await keeping.turn()
    assert await sent.news() == []
    world.cluster.advance(3700)
    return sent, keeping


async def test_an_incident_that_people_had_is_closed_for_them_once() -> None:
    sent, keeping = await cleared_after(ready(mode="approve"), "escalated")
    await keeping.turn()
    update, reply = await sent.news()
    assert (update.kind, reply.kind) == ("update", "reply")
    assert "The alert cleared at" in text(update)
    assert text(reply).startswith("✅ *Cleared*, was: Needs a person (nobody approved)")
    (resolve,) = await sent.news("pagerduty")
    assert resolve.payload["event_action"] == "resolve"
    await keeping.turn()
    assert await sent.news() == []
    assert await sent.news("pagerduty") == []


async def test_what_was_denied_is_told_as_cleared_too() -> None:
    """A denial is told once per episode; that it cleared is another thing to say."""
    world = ready()
    world.cluster.edit(API, {"metadata": {"annotations": {"remediator.dev/protect": "true"}}})
    sent, keeping = await cleared_after(world, "denied")
    await keeping.turn()
    assert await sent.kinds() == ["update", "reply"]
    assert await sent.kinds("pagerduty") == ["resolve"]


async def test_that_an_alert_is_not_sent_any_more_is_no_proof() -> None:
    world = ready(mode="approve")
    await world.alert(deployment="api", severity="critical")
    await world.run_until("escalated")
    sent = Sent(world.journal)
    await sent.news()
    world.cluster.advance(26 * 3600)
    assert await world.journal.close_unsent(world.clock.now(), timedelta(hours=24)) == 1
    world.cluster.advance(3700)
    await Housekeeping(world.journal, world.clock, Metrics(), world.core.teller.cleared).turn()
    episode = await world.journal.episode((await world.newest()).episode)
    assert episode is not None
    assert episode.closed_at is not None
    assert await sent.news() == []


async def test_after_a_success_nothing_is_left_to_say() -> None:
    world = ready()
    sent, keeping = await cleared_after(world, "succeeded")
    await keeping.turn()
    assert await sent.news() == []
    episode = await world.journal.episode((await world.newest()).episode)
    assert episode is not None
    assert episode.closed_at == world.clock.now()


async def test_the_last_to_end_decides_and_observers_do_not() -> None:
    journal = SqlJournal.in_memory()
    minute = timedelta(minutes=1)
    first = await opened(journal, 1, root=API)
    second = await opened(journal, 2, root=API)
    third = await opened(journal, 3, root=API)
    await ended(journal, second, State.SUPERSEDED, now=NOW + minute)
    await ended(journal, first, State.ESCALATED, now=NOW + 2 * minute)
    await ended(journal, third, State.OBSERVED, now=NOW + 3 * minute)
    hour = timedelta(hours=1)
    assert await journal.quiet_episodes(NOW + hour, hour) == {}
    found = await journal.quiet_episodes(NOW + 2 * hour, hour)
    assert {e: r.id if r else None for e, r in found.items()} == {first.episode: "r-1"}


async def test_only_named_episodes_close_with_their_messages() -> None:
    """One that fires again between the look and the closing is neither closed nor told."""
    journal = SqlJournal.in_memory()
    hour = timedelta(hours=1)
    r = await ended(journal, await opened(journal, 1), State.ESCALATED)
    other = await ended(journal, await opened(journal, 2), State.ESCALATED)
    messages = await teller(journal).cleared(r)
    assert messages
    again = await opened(journal, 3, root=r.root)
    assert await journal.close_episodes(NOW + 2 * hour, hour, {r.episode: messages}) == 0
    assert await journal.outbox_pending() == 0
    await moved(journal, to(again, State.DENIED))
    assert await journal.close_episodes(NOW + 2 * hour, hour, {r.episode: messages}) == 1
    assert await journal.outbox_pending() == len(messages)
    assert (await journal.episode(other.episode)).closed_at is None  # type: ignore[union-attr]


async def test_a_headline_and_a_reason_say_each_thing_once() -> None:
    world = ready(mode="approve", steps=[{"action": "rollout_restart"}])
    await world.alert(deployment="api", severity="critical")
    r = await world.run_until("awaiting_approval")
    story = story_of(r, (), NOW)
    assert story.headline == "restart 3 copies by rollout of Deployment shop/api"
    ended_well = replace(r, state=State.SUCCEEDED, reason="succeeded: rollout: good 3/3")
    assert story_of(ended_well, (), NOW).explanation == "rollout: good 3/3"
