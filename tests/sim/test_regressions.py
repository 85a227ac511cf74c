"""What the schedules found, one test each, without chance."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text as text_of

from remediator.adapters.simulated import LandLater, Reject, Script, VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.errors import JournalUnavailable, Refused
from remediator.objects import ObjectRef
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.outbox import Outbox
from remediator.people.outbox_rows import OutboxMessage
from remediator.ports import ChatError, MessageRef
from remediator.remediation.events import Approved, Rejected
from remediator.remediation.state import State, StepOutcome
from tests.sim.invariants import TOLD_IN_ORDER, last_words
from tests.support.world import World, deployment, queries, restart_playbook

API = ObjectRef("Deployment", "shop", "api")


def ready(*playbooks, **options) -> World:
    world = World(*playbooks, **options)
    world.cluster.apply(deployment())
    world.settle()
    world.cluster.advance(60)
    return world


def scale(**changes):
    return restart_playbook(steps=[{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}], **changes)


async def test_a_refusal_of_the_second_request_says_nothing_about_the_first() -> None:
    """Seed 1063: the first request was still under way when the second got a 403, and landed after the hand-over."""
    script = Script()
    script.write(LandLater(1.3))
    script.write(Reject(Refused("403 Forbidden", forbidden=True)))
    world = ready(scale())
    world.cluster.faults = script
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert (r.state, world.replicas()) == (State.SUCCEEDED, 5)
    assert len(r.done) == 1


async def test_an_expired_proposal_takes_no_yes_although_nobody_has_closed_it_yet() -> None:
    """Seed 1103: the service was down when it expired, and the yes came before the runner."""
    world = ready(scale(mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    assert r.deadline is not None
    world.clock.advance_to(r.deadline)
    decision = await world.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    assert decision is not None
    assert decision.ignored
    await world.run_until("escalated")
    assert world.writes() == []


async def test_a_veto_in_the_middle_is_told_once() -> None:
    """Seeds 33 and 68: it was told as a veto and as an escalation."""
    steps = [{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}, {"ask": "Go on?"}]
    world = ready(restart_playbook(steps=steps))
    await world.alert()
    r = await world.run_until("waiting")
    await world.core.runner.apply_from_person(r.id, Rejected(who="ann"))
    r = await world.newest()
    assert (r.state, r.outcome) == (State.ESCALATED, StepOutcome.STOPPED)
    assert [n for n in r.told if n in ("escalated", "ended_by_person")] == ["escalated"]


async def test_an_inconclusive_attempt_counts_at_once() -> None:
    """Seed 209: its lock is free, and a second alert's attempt slipped in before the first had ended."""
    playbook = restart_playbook(guardrails={"cooldown": {"success": "2m", "failure": "2m"}})
    playbook["verify"]["checks"] = [{"promql": {"query": "errors", "success": "< 1"}}]
    clock = VirtualClock()
    world = ready(playbook, queries=queries(clock), clock=clock)
    await world.alert()
    await world.run_until("inconclusive")
    await world.alert(deployment="api", severity="critical")
    await world.run_for(300, step=5)
    assert len(world.writes()) == 1
    assert (await world.newest()).state is State.DENIED


class JumpingClock(VirtualClock):
    """The wall clock jumps, boot time does not."""

    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


async def test_nothing_begins_while_the_wall_clock_disagrees() -> None:
    """Seed 273: after a jump of an hour every rate limit looked unused."""
    clock = JumpingClock()
    world = ready(scale(), clock=clock)
    right = VirtualClock.now
    world.cluster.server_time = lambda: _async(right(clock).replace(microsecond=0))  # type: ignore[method-assign]
    world.cluster._agenda._clock = type("Right", (), {"now": lambda self: right(clock)})()
    clock.ahead = timedelta(hours=1)
    await world.alert()
    r = await world.run_until("held")
    assert "ur clock says" in r.reason
    await world.run_for(120, step=5)
    assert world.writes() == []


async def _async(value):
    return value


async def test_a_replica_does_not_ask_again_and_again_for_what_another_one_works_on() -> None:
    """Seed 17: the idle replica asked the store 200 times a second while the other one worked."""
    world = ready(restart_playbook())
    await world.alert()
    await world.core.intake.take_all()
    now = world.clock.now()
    lease = timedelta(seconds=10)
    (taken,) = await world.journal.claim("other", now, lease, 10)
    assert await world.journal.next_due((), "me") == now + lease
    assert await world.journal.next_due((), "other") == taken.due


class _Refusing:
    """Slack is rate limited until `well`."""

    well = False

    async def post(self, channel: str, text: str, blocks: object, *, thread: str = "") -> MessageRef:
        if not self.well:
            raise ChatError("429", retry_after_s=30.0)
        return MessageRef(channel, "1.0")


async def test_a_reply_goes_on_waiting_when_its_main_message_was_replaced_before_it_was_sent() -> None:
    """Seeds 333, 675, 748, 822: the newer message was tried again later, and the reply, which was due, was given up."""
    journal, now = SqlJournal.in_memory(), VirtualClock().now()
    chat = _Refusing()
    outbox = Outbox(journal, {"slack": SlackCarrier(chat)})  # type: ignore[arg-type]  # nothing is updated here

    def message(kind: str, text: str) -> OutboxMessage:
        payload = {"text": text, "blocks": []}
        return OutboxMessage(channel="slack", destination="C1", key="k", kind=kind, payload=payload)  # type: ignore[arg-type]

    await journal.store_messages([message("update", "checking"), message("reply", "checking")], now)
    await outbox.run_channel("slack", now)
    await journal.store_messages([message("post", "failed")], now)
    await outbox.run_channel("slack", now + timedelta(seconds=40))
    await outbox.run_channel("slack", now + timedelta(seconds=60))
    chat.well = True
    for seconds in range(120, 130):
        await outbox.run_channel("slack", now + timedelta(seconds=seconds))
    assert await journal.outbox_pending() == 0
    rows = await journal._writer.read(lambda c: c.execute(text_of("select kind, state from outbox order by id")).all())
    assert [tuple(row) for row in rows] == [("post", "sent"), ("reply", "sent"), ("post", "superseded")]


class _Forgetful:
    """The store, which does not answer when somebody wants to send."""

    def __init__(self, journal: SqlJournal) -> None:
        self._journal = journal

    def __getattr__(self, name: str):
        return getattr(self._journal, name)

    async def begin(self, *asked: object) -> None:
        raise JournalUnavailable("no answer")


async def test_a_store_without_an_answer_is_no_try_of_a_message() -> None:
    """Seeds 321 and 727: it counted as a failed try, and was logged as a defect of the message."""
    journal, now = SqlJournal.in_memory(), VirtualClock().now()
    payload = {"text": "hello", "blocks": []}
    message = OutboxMessage(channel="slack", destination="C1", key="k", kind="post", payload=payload)
    await journal.store_messages([message], now)
    outbox = Outbox(_Forgetful(journal), {"slack": SlackCarrier(object())})  # type: ignore[arg-type]  # never comes there
    with pytest.raises(JournalUnavailable):
        await outbox.run_channel("slack", now)
    (row,) = await journal.due("slack", now, 10)
    assert row.tries == 0


class _Moody:
    """Slack in which the next calls go wrong as told. `shown`: what the messages say, newest message last."""

    def __init__(self) -> None:
        self.wrongs: list[ChatError] = []
        self.shown: dict[str, str] = {}

    async def post(self, channel: str, text: str, blocks: object, *, thread: str = "") -> MessageRef:
        self._go_wrong()
        ref = MessageRef(channel, f"{len(self.shown)}.0")
        self.shown[ref.ts] = text
        return ref

    async def update(self, ref: MessageRef, text: str, blocks: object) -> None:
        self._go_wrong()
        self.shown[ref.ts] = text

    def _go_wrong(self) -> None:
        if self.wrongs:
            raise self.wrongs.pop(0)


async def test_the_last_word_is_what_was_stored_last_in_whichever_row_it_was_sent() -> None:
    """Seed 40005418: a repetition became a new message that took a newer state along, in a row older than one that had
    been sent; the check took what that one said for the last word."""
    journal, now, chat = SqlJournal.in_memory(), VirtualClock().now(), _Moody()
    outbox = Outbox(journal, {"slack": SlackCarrier(chat)})

    async def at(seconds: int, text: str = "", *wrongs: ChatError) -> None:
        chat.wrongs = list(wrongs)
        then = now + timedelta(seconds=seconds)
        if text:
            payload = {"text": text, "blocks": []}
            message = OutboxMessage(channel="slack", destination="C1", key="k", kind="update", payload=payload)
            await journal.store_messages([message], then)
        await outbox.run_channel("slack", then)

    await at(0, "one")
    await at(10, "two", ChatError("no answer", retry_after_s=1.0, unanswered=True))
    await at(20)
    await at(30, "three")
    await at(80, "", ChatError("cant_update_message"))
    await at(85, "", ChatError("429", retry_after_s=30.0))
    await at(90, "four")
    await at(130)
    stored = "select kind, state, payload ->> 'text' from outbox order by id"
    rows = await journal._writer.read(lambda c: c.execute(text_of(stored)).all())
    assert [tuple(row) for row in rows] == [
        ("update", "sent", "one"),
        ("update", "sent", "two"),
        ("post", "sent", "four"),
        ("update", "sent", "three"),
        ("update", "superseded", "four"),
    ]
    assert list(chat.shown.values())[-1] == "four"
    rows = await journal._writer.read(lambda c: c.execute(text_of(TOLD_IN_ORDER)).all())
    assert last_words(rows) == {"k": "four"}
