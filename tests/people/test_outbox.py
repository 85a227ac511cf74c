"""The outbox worker: at least once, in order, paced, and one trouble never holds up what has nothing to do with it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.errors import JournalUnavailable
from remediator.objects import Object
from remediator.people.carrier import Pace
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.carriers.slack import PACE, SlackCarrier
from remediator.people.coalescing import next_of_key
from remediator.people.lanes import Traffic
from remediator.people.messages import CONTINUED
from remediator.people.outbox import Outbox
from remediator.people.outbox_rows import OutboxKind, OutboxMessage
from remediator.ports import ChatError, MessageRef
from tests.support.outbox_memory import MemoryOutbox

START = datetime(2025, 6, 2, 3, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

PASSING = ChatError("HTTP 500", retry_after_s=1.0)
FOR_GOOD = ChatError("channel_not_found")


@dataclass
class RecordingChat:
    """Keeps what it shows; `errors` are raised by the next calls, None lets one pass."""

    said: list[str] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    errors: deque[ChatError | None] = field(default_factory=deque)
    lose_answers: int = 0
    hang_in: str = ""

    async def post(self, channel: str, text: str, blocks: tuple[Object, ...], *, thread: str = "") -> MessageRef:
        await self._obey(channel)
        ts = f"{len(self.said) + 1}.0"
        self.said.append(f"reply to {thread}: {text}" if thread else f"post in {channel}: {text}")
        self.shown[ts] = text
        if self.lose_answers:
            self.lose_answers -= 1
            raise ChatError("timeout", retry_after_s=1.0)
        return MessageRef(channel, ts)

    async def update(self, ref: MessageRef, text: str, blocks: tuple[Object, ...]) -> None:
        await self._obey(ref.channel)
        self.said.append(f"update {ref.ts}: {text}")
        self.shown[ref.ts] = text

    async def _obey(self, channel: str) -> None:
        if channel == self.hang_in:
            await asyncio.Event().wait()
        error = self.errors.popleft() if self.errors else None
        if error:
            raise error


@dataclass
class RecordingPager:
    sent: list[str] = field(default_factory=list)
    errors: deque[Exception | None] = field(default_factory=deque)

    async def send(self, event: Mapping[str, object]) -> None:
        error = self.errors.popleft() if self.errors else None
        if error:
            raise error
        self.sent.append(str(event["event_action"]))


class World:
    """A worker on a store in memory, with time that only moves when told."""

    def __init__(self) -> None:
        self.now = START
        self.store = MemoryOutbox()
        self.chat = RecordingChat()
        self.pager = RecordingPager()
        self.results: list[str] = []
        self.outbox = self.restarted()

    def restarted(self, *, pace: Pace = PACE, **options: Any) -> Outbox:
        """A worker that remembers nothing but the store."""
        self.outbox = Outbox(
            self.store,
            {"slack": SlackCarrier(self.chat, pace), "pagerduty": PagerDutyCarrier({"ops": self.pager})},
            report=lambda channel, result: self.results.append(f"{channel} {result}"),
            **options,
        )
        return self.outbox

    async def say(self, text: str, kind: OutboxKind = "update", *, episode: str = "e1", channel: str = "C1") -> None:
        payload = {"text": text, "blocks": [{"type": "divider"}]}
        key = f"slack/{channel}/{episode}"
        message = OutboxMessage(channel="slack", destination=channel, key=key, kind=kind, payload=payload)
        await self.store.add(message, self.now)

    async def page(self, action: str, *, episode: str = "e1", service: str = "ops") -> None:
        payload = {"event_action": action, "dedup_key": episode}
        key = f"pagerduty/{service}/{episode}"
        message = OutboxMessage(channel="pagerduty", destination=service, key=key, kind="event", payload=payload)
        await self.store.add(message, self.now)

    async def run(self, seconds: float = 0.0) -> None:
        """Look now, and then each second for that long."""
        end = self.now + timedelta(seconds=seconds)
        await self.outbox.run_once(self.now)
        while self.now < end:
            self.now += SECOND
            await self.outbox.run_once(self.now)


@pytest.fixture
def world() -> World:
    return World()


async def test_the_first_is_posted_the_next_update_it_in_place(world: World) -> None:
    for text in ("acting", "verifying", "fixed"):
        await world.say(text)
        await world.run(1)
    assert world.chat.said == ["post in C1: acting", "update 1.0: verifying", "update 1.0: fixed"]
    assert set(world.store.states()) == {"sent"}


async def test_only_the_newest_of_what_waits_is_sent(world: World) -> None:
    for text in ("acting", "verifying", "fixed"):
        await world.say(text)
    await world.run(5)
    assert world.chat.said == ["post in C1: fixed"]
    assert world.store.states() == ["sent", "superseded", "superseded"]
    assert world.results == ["slack superseded", "slack superseded", "slack sent"]


async def test_replies_come_after_the_main_message_in_order(world: World) -> None:
    await world.say("acting")
    for text in ("one", "two"):
        await world.say(text, "reply")
    await world.run(5)
    assert world.chat.said == ["post in C1: acting", "reply to 1.0: one", "reply to 1.0: two"]


async def test_a_proposal_is_a_new_message_and_the_old_one_points_to_it(world: World) -> None:
    await world.say("on hold")
    await world.run(1)
    await world.say("approval needed", "post")
    await world.run(1)
    await world.say("acting")
    await world.say("evidence", "reply")
    await world.run(2)
    assert world.chat.said == [
        "post in C1: on hold",
        "post in C1: approval needed",
        f"update 1.0: {CONTINUED.text}",
        "update 2.0: acting",
        "reply to 2.0: evidence",
    ]


async def test_a_proposal_that_was_not_shown_yet_stays_a_new_message(world: World) -> None:
    await world.say("on hold")
    await world.run(1)
    await world.say("approval needed", "post")
    await world.say("approval needed, a guard changed")
    await world.run(1)
    assert world.chat.said[1] == "post in C1: approval needed, a guard changed"


async def test_one_call_a_second_in_a_channel_channels_side_by_side(world: World) -> None:
    for episode in ("e1", "e2", "e3"):
        await world.say(episode, episode=episode)
        await world.say(episode, episode=episode, channel="C2")
    await world.run()
    assert world.chat.said == ["post in C1: e1", "post in C2: e1"]
    assert await world.outbox.run_once(world.now) == world.now + SECOND, "it says when to come back"
    await world.run(0.9)
    assert len(world.chat.said) == 4
    await world.run(2)
    assert len(world.chat.said) == 6


async def test_a_new_message_goes_before_updates_and_those_before_replies(world: World) -> None:
    await world.say("old")
    await world.run(1)
    await world.say("reply", "reply")
    await world.say("update")
    await world.say("proposal", "post", episode="e2")
    await world.run(2)
    assert world.chat.said[1:] == ["post in C1: proposal", "update 1.0: update", "reply to 1.0: reply"]


async def test_a_passing_error_is_retried_with_backoff(world: World) -> None:
    world.chat.errors.extend([PASSING] * 4)
    await world.say("acting")
    times = []
    for _ in range(30):
        before = len(world.chat.errors), len(world.chat.said)
        await world.run()
        if (len(world.chat.errors), len(world.chat.said)) != before:
            times.append((world.now - START).total_seconds())
        world.now += SECOND
    assert times == [0, 1, 3, 7, 15]
    assert world.chat.said == ["post in C1: acting"]
    assert world.results == ["slack retried"] * 4 + ["slack sent"]


def test_backoff_is_capped() -> None:
    assert PACE.backoff(10_000) == timedelta(minutes=1)


async def test_what_slack_asks_for_holds_for_the_whole_channel_but_no_other(world: World) -> None:
    world.chat.errors.append(ChatError("ratelimited", retry_after_s=30.0))
    await world.say("limited")
    await world.run()
    await world.say("behind it", episode="e2")
    await world.say("elsewhere", channel="C2")
    await world.run(29)
    assert world.chat.said == ["post in C2: elsewhere"]
    await world.run(2)
    assert world.chat.said[1:] == ["post in C1: limited", "post in C1: behind it"]


async def test_a_newer_text_takes_over_the_retry_and_its_patience(world: World) -> None:
    world.chat.errors.extend([PASSING] * 3)
    await world.say("acting")
    await world.run(6)
    await world.say("verifying")
    await world.run()
    assert world.chat.said == [], "a new text does not jump the backoff"
    await world.run(1)
    assert world.chat.said == ["post in C1: verifying"]


async def test_a_reply_that_is_retried_is_not_overtaken(world: World) -> None:
    await world.say("acting")
    await world.run(1)
    world.chat.errors.extend([PASSING, PASSING])
    await world.say("one", "reply")
    await world.run(1)
    await world.say("two", "reply")
    await world.run(10)
    assert world.chat.said[1:] == ["reply to 1.0: one", "reply to 1.0: two"]


async def test_an_update_that_cannot_be_made_gets_a_successor(world: World) -> None:
    await world.say("acting")
    await world.run(1)
    world.chat.errors.extend([ChatError("message_not_found"), None, ChatError("message_not_found")])
    await world.say("fixed")
    await world.say("evidence", "reply")
    await world.run(3)
    assert world.chat.said == ["post in C1: acting", "post in C1: fixed", "reply to 2.0: evidence"]


async def test_a_post_that_is_refused_for_good_is_given_up_and_said_so(world: World) -> None:
    world.chat.errors.extend([FOR_GOOD])
    await world.say("acting")
    await world.say("evidence", "reply")
    await world.run(2)
    assert world.chat.said == []
    assert world.store.states() == ["failed", "failed"]
    assert world.store.rows[1].error == "channel_not_found"
    assert world.store.rows[2].error == "there is no message to reply to"
    assert world.results == ["slack failed", "slack failed"]
    await world.say("verifying")
    await world.run(1)
    assert world.chat.said == ["post in C1: verifying"], "the next news tries anew"


async def test_a_lost_answer_posts_again_and_updates_go_to_the_second(world: World) -> None:
    """Slack has no idempotency key: two messages are better than none."""
    world.chat.lose_answers = 1
    await world.say("acting")
    await world.run(2)
    await world.say("fixed")
    await world.run(1)
    assert world.chat.said == ["post in C1: acting", "post in C1: acting", "update 2.0: fixed"]


async def test_too_old_to_matter(world: World) -> None:
    world.restarted(pace=Pace(gap=SECOND, first_retry=SECOND, longest_retry=SECOND * 8))
    world.chat.errors.extend([PASSING] * 100_000)
    await world.say("acting")
    world.now += timedelta(hours=23)
    await world.run()
    assert world.store.states() == ["pending"]
    world.now += timedelta(hours=1)
    await world.run()
    assert world.store.states() == ["failed"]


async def test_a_restart_forgets_no_message_and_no_retry(world: World) -> None:
    world.chat.errors.extend([PASSING])
    await world.say("acting")
    await world.run()
    world.restarted()
    await world.run()
    assert world.chat.said == [], "the backoff is in the store"
    world.restarted()
    await world.run(2)
    assert world.chat.said == ["post in C1: acting"]


async def test_a_record_that_the_store_refused_is_written_later_not_sent_again(world: World) -> None:
    await world.say("acting")
    world.store.refuse_records = True
    with pytest.raises(JournalUnavailable):
        await world.run()
    with pytest.raises(JournalUnavailable):
        await world.run()
    world.store.refuse_records = False
    await world.run(3)
    assert world.chat.said == ["post in C1: acting"]
    assert world.store.states() == ["sent"]


async def test_a_wall_clock_set_back_does_not_silence_a_channel(world: World) -> None:
    await world.say("one")
    await world.run()
    world.now -= timedelta(hours=1)
    await world.say("two", episode="e2")
    await world.run()
    assert world.chat.said == ["post in C1: one", "post in C1: two"]


async def test_events_go_out_in_order(world: World) -> None:
    for action in ("trigger", "acknowledge", "trigger"):
        await world.page(action)
    await world.run(3)
    assert world.pager.sent == ["trigger", "acknowledge", "trigger"]


async def test_nobody_is_woken_for_what_is_over(world: World) -> None:
    world.pager.errors.append(ChatError("HTTP 503", retry_after_s=5.0))
    await world.page("trigger")
    await world.run(1)
    await world.page("resolve")
    await world.run(10)
    assert world.pager.sent == ["resolve"]
    assert world.results == ["pagerduty retried", "pagerduty superseded", "pagerduty sent"]


async def test_a_new_trigger_after_a_resolve_is_kept(world: World) -> None:
    for action in ("trigger", "resolve", "trigger"):
        await world.page(action)
    await world.run(3)
    assert world.pager.sent == ["resolve", "trigger"]


async def test_a_page_is_retried_for_hours(world: World) -> None:
    world.pager.errors.extend([ChatError("HTTP 503", retry_after_s=5.0)] * 200)
    await world.page("trigger")
    for _ in range(4 * 3600 // 30):
        await world.run()
        world.now += timedelta(seconds=30)
    assert world.pager.sent == ["trigger"]


async def test_a_refused_event_and_an_unknown_service_are_given_up(world: World) -> None:
    world.pager.errors.append(ChatError("HTTP 400"))
    await world.page("trigger")
    await world.page("trigger", service="unheard-of")
    await world.run(1)
    assert world.store.states() == ["failed", "failed"]
    assert "unheard-of" in world.store.rows[2].error


async def test_a_message_that_breaks_the_worker_is_put_aside(world: World) -> None:
    broken = OutboxMessage(channel="slack", destination="C1", key="k", kind="post", payload={})
    await world.store.add(broken, world.now)
    await world.say("acting")
    await world.run(3)
    assert world.chat.said == ["post in C1: acting"]
    assert world.store.states() == ["pending", "sent"]


async def test_many_rows_of_one_destination_do_not_hide_another(world: World) -> None:
    world.restarted(page_size=5)
    for i in range(50):
        await world.say(f"m{i}", episode=f"e{i}")
    await world.say("elsewhere", channel="C2")
    await world.run()
    assert world.chat.said == ["post in C1: m0", "post in C2: elsewhere"]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not holds():  # noqa: ASYNC110 the loop under test has no event to wait for
            await asyncio.sleep(0)


async def test_a_channel_that_hangs_holds_up_neither_the_pager_nor_the_store(world: World) -> None:
    world.chat.hang_in = "C1"
    await world.say("stuck")
    await world.page("trigger")
    loop = asyncio.create_task(world.outbox.run(StoppedClock(START), poll_s=0.01))
    await until(lambda: bool(world.pager.sent))
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert world.store.states() == ["pending", "sent"], "what was cut off is still to be sent"


async def test_the_loop_survives_a_store_that_is_down_and_wakes_when_poked(world: World) -> None:
    world.store.down = True
    loop = asyncio.create_task(world.outbox.run(StoppedClock(START), poll_s=0.0))
    for _ in range(20):
        await asyncio.sleep(0)
    world.store.down = False
    await world.say("acting")
    world.outbox.poke()
    await until(lambda: bool(world.chat.said))
    assert not loop.done()
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


@dataclass
class StoppedClock:
    time: datetime

    def now(self) -> datetime:
        return self.time

    def boot(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


async def test_next_of_key_leaves_a_single_row_alone(world: World) -> None:
    await world.say("acting")
    (row,) = world.store.pending()
    sending = next_of_key([row])
    assert sending.row == row
    assert not sending.changed


UNANSWERED = ChatError("timeout", retry_after_s=1.0, unanswered=True)


async def test_after_an_update_without_an_answer_the_newest_state_is_sent_once_more(world: World) -> None:
    await world.say("acting")
    await world.run(1)
    world.chat.errors.append(UNANSWERED)
    await world.say("verifying")
    await world.run(3)
    await world.say("fixed")
    await world.run(40)
    world.chat.shown["1.0"] = "verifying"  # it landed after all
    await world.run(60)
    assert world.chat.said[1:] == ["update 1.0: verifying", "update 1.0: fixed", "update 1.0: fixed"]
    assert world.chat.shown["1.0"] == "fixed"
    assert not world.store.pending()


async def test_what_slack_has_refused_for_sure_is_not_sent_once_more(world: World) -> None:
    await world.say("acting")
    await world.run(1)
    world.chat.errors.append(PASSING)
    await world.say("verifying")
    await world.run(200)
    assert world.chat.said == ["post in C1: acting", "update 1.0: verifying"]


async def test_what_the_dead_had_begun_is_sent_once_more_after_it_was_sent_again(world: World) -> None:
    await world.say("acting")
    await world.run(1)
    world.chat.hang_in = "C1"
    await world.say("verifying")
    dying = asyncio.create_task(world.outbox.run_once(world.now))
    for _ in range(5):
        await asyncio.sleep(0)
    dying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await dying
    world.chat.hang_in = ""
    world.restarted()
    await world.run(200)
    assert world.chat.said[1:] == ["update 1.0: verifying"] * 2


async def test_a_repetition_is_dropped_when_there_is_nothing_to_repeat(world: World) -> None:
    await world.say("acting")
    await world.run(1)
    world.chat.errors.append(UNANSWERED)
    await world.say("fixed")
    await world.run(3)
    world.store.refs.clear()
    await world.run(90)
    assert world.chat.said == ["post in C1: acting", "update 1.0: fixed"]
    assert not world.store.pending()


async def test_two_workers_never_send_the_same_row(world: World) -> None:
    first, second = world.outbox, world.restarted()
    for i in range(5):
        await world.say(f"m{i}", episode=f"e{i}")
    for _ in range(10):
        await asyncio.gather(first.run_once(world.now), second.run_once(world.now))
        world.now += SECOND
    assert sorted(world.chat.said) == [f"post in C1: m{i}" for i in range(5)]


async def test_replies_that_waited_become_one_when_the_channel_catches_up(world: World) -> None:
    await world.say("acting")
    await world.run(1)
    world.chat.errors.append(ChatError("ratelimited", retry_after_s=30.0))
    for text in ("one", "two", "three"):
        await world.say(text, "reply")
    await world.run(40)
    assert world.chat.said[1:] == ["reply to 1.0: one\ntwo\nthree"]


async def test_a_channel_that_nobody_serves_is_given_up_after_an_hour_and_said(world: World) -> None:
    fax = OutboxMessage(channel="fax", destination="x", key="k", kind="event", payload={})
    await world.store.add(fax, world.now)
    await world.outbox.give_up_unserved(world.now + timedelta(minutes=59))
    assert world.store.states() == ["pending"]
    await world.outbox.give_up_unserved(world.now + timedelta(minutes=60))
    assert world.store.states() == ["failed"]
    assert "no section for this channel" in world.store.rows[1].error
    assert world.results == ["fax failed"]


async def test_a_carrier_that_never_ends_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.people.outbox.DELIVERY", timedelta(0))
    world.chat.hang_in = "C1"
    await world.say("acting")
    await world.run()
    assert world.store.states() == ["pending"]
    assert world.store.rows[1].row.tries == 1


async def test_a_page_does_not_wait_for_the_hour_that_the_clock_was_set_back_by() -> None:
    class Turned(VirtualClock):
        ahead = timedelta(0)

        def now(self) -> datetime:
            return super().now() + self.ahead

    clock, store, pager = Turned(START), MemoryOutbox(), RecordingPager()
    outbox = Outbox(store, {"pagerduty": PagerDutyCarrier({"shop": pager})})
    work = asyncio.create_task(outbox.run(clock))
    for _ in range(5):
        await asyncio.sleep(0)
    event = {"event_action": "trigger"}
    page = OutboxMessage(channel="pagerduty", destination="shop", key="k", kind="event", payload=event)
    await store.add(page, clock.now())
    clock.ahead = -timedelta(hours=1)
    for _ in range(3):
        clock.advance(1)
        outbox.poke()
        for _ in range(50):
            await asyncio.sleep(0)
    work.cancel()
    await asyncio.wait({work})
    assert pager.sent == ["trigger"]


@pytest.mark.parametrize("seconds", [float("inf"), 1e9])
async def test_nobody_makes_us_wait_for_years(seconds: float) -> None:
    """One answer with such a header would silence a whole channel."""
    store, pager = MemoryOutbox(), RecordingPager(errors=deque([ChatError("429", retry_after_s=seconds)]))
    outbox = Outbox(store, {"pagerduty": PagerDutyCarrier({"shop": pager})})
    event = {"event_action": "trigger"}
    await store.add(OutboxMessage(channel="pagerduty", destination="shop", key="k", kind="event", payload=event), START)
    await outbox.run_once(START)
    await outbox.run_once(START + timedelta(hours=1))
    assert pager.sent == ["trigger"]


def test_lanes_of_what_is_long_over_are_forgotten() -> None:
    """Each incident has lanes of its own, and a process runs for months."""
    traffic, gap = Traffic(), timedelta(seconds=1)
    for number in range(5000):
        lanes, at = {f"pagerduty_note {number}": gap}, START + number * 2 * gap
        assert traffic.enter(lanes, at)
        traffic.leave(lanes, at)
    assert len(traffic._rests) <= 1001
