"""What every outbox store must do. A test module subclasses `OutboxContract` and gives it a fixture `outbox`:

class TestSqlOutbox(OutboxContract):
    @pytest.fixture
    async def outbox(self) -> AsyncIterator[OutboxUnderTest]: ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from remediator.people.outbox_rows import (
    SETTLE,
    Letters,
    OutboxKind,
    OutboxMessage,
    OutboxRow,
    OutboxStore,
    Sending,
)
from remediator.ports import MessageRef

NOW = datetime(2025, 6, 2, 3, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOLD = timedelta(seconds=60)
ME = "me"


class OutboxUnderTest(OutboxStore, Protocol):
    async def store_messages(self, messages: Sequence[OutboxMessage], now: datetime) -> None:
        """In this order; one whose `once` is known is not stored again."""
        ...


def message(
    text: str = "hello", *, key: str = "slack/C1/e-1", kind: OutboxKind = "update", **rest: Any
) -> OutboxMessage:
    given = {"channel": "slack", "destination": "C1", "payload": {"text": text, "blocks": []}, **rest}
    return OutboxMessage(key=key, kind=kind, **given)


async def send(outbox: OutboxStore, row: OutboxRow, ref: MessageRef | None, now: datetime = NOW) -> bool:
    """As a worker does it when all goes well."""
    assert await outbox.begin(Sending(row), ME, now + HOLD, now) is not None
    return await outbox.sent(row.id, ref, ME, now)


async def fail(
    outbox: OutboxStore, row: OutboxRow, error: str, retry_at: datetime | None, *, now: datetime = NOW
) -> bool:
    """As a worker does it when it is refused."""
    assert await outbox.begin(Sending(row), ME, now + HOLD, now) is not None
    return await outbox.failed(row.id, error, retry_at, ME, now)


class OutboxContract:
    async def _due(self, outbox: OutboxUnderTest, now: datetime = NOW, **rest: Any) -> list[OutboxRow]:
        return list(await outbox.due("slack", now, rest.pop("limit", 100), **rest))

    async def _texts(self, outbox: OutboxUnderTest, now: datetime = NOW, **rest: Any) -> list[str]:
        return [row.payload["text"] for row in await self._due(outbox, now, **rest)]

    async def test_a_new_row_is_due_at_once_and_comes_back_as_it_was(self, outbox: OutboxUnderTest) -> None:
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "3 → 5 ✓ \U0001f525"}}]
        stored = message(kind="post", payload={"text": "ä\n", "blocks": blocks})
        await outbox.store_messages([stored], NOW)
        (row,) = await self._due(outbox)
        assert (row.channel, row.destination, row.key, row.kind) == ("slack", "C1", stored.key, "post")
        assert dict(row.payload) == {"text": "ä\n", "blocks": blocks}
        assert (row.tries, row.due_at, row.created_at) == (0, NOW, NOW)

    async def test_rows_come_oldest_first_and_no_more_than_asked_for(self, outbox: OutboxUnderTest) -> None:
        for text in "abc":
            await outbox.store_messages([message(text, key=f"k-{text}")], NOW)
        rows = await self._due(outbox)
        assert [row.payload["text"] for row in rows] == ["a", "b", "c"]
        assert rows[0].id < rows[1].id < rows[2].id
        assert await self._texts(outbox, limit=2) == ["a", "b"]

    async def test_channels_and_skipped_destinations_are_left_out(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message("one", key="k1", destination="C1")], NOW)
        await outbox.store_messages([message("two", key="k2", destination="C2")], NOW)
        await outbox.store_messages(
            [message("page", key="k3", channel="pagerduty", destination="C2", kind="event")], NOW
        )
        assert await self._texts(outbox) == ["one", "two"]
        assert await self._texts(outbox, skip={"C1"}) == ["two"]
        assert await self._texts(outbox, skip={"C1", "C2"}) == []
        assert [row.key for row in await outbox.due("pagerduty", NOW, 10)] == ["k3"]

    async def test_where_not_all_fit_new_messages_and_events_come_before_updates_and_those_before_replies(
        self, outbox: OutboxUnderTest
    ) -> None:
        kinds: tuple[OutboxKind, ...] = ("reply", "update", "post", "event")
        for kind in kinds:
            await outbox.store_messages([message(kind, kind=kind, key=f"k-{kind}")], NOW)
        assert await self._texts(outbox) == list(kinds), "oldest first"
        assert await self._texts(outbox, limit=3) == ["update", "post", "event"]
        assert await self._texts(outbox, limit=2) == ["post", "event"]

    async def test_a_sent_row_is_gone_and_its_place_is_known(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        assert await outbox.message_ref(row.key) is None
        assert await send(outbox, row, MessageRef("C1", "1.0"))
        assert await self._due(outbox) == []
        assert await outbox.message_ref(row.key) == MessageRef("C1", "1.0")
        assert await outbox.message_ref("another") is None
        await outbox.store_messages([message()], NOW)
        assert [row.main for row in await self._due(outbox)] == [MessageRef("C1", "1.0")]

    async def test_recording_twice_changes_nothing_but_that_the_newest_is_said_again(
        self, outbox: OutboxUnderTest
    ) -> None:
        """A worker that was not sure whether the store took the record writes it again."""
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        assert await send(outbox, row, MessageRef("C1", "1.0"))
        assert not await outbox.sent(row.id, MessageRef("C1", "1.0"), ME, NOW)
        assert await outbox.message_ref(row.key) == MessageRef("C1", "1.0")
        assert [row.kind for row in await self._due(outbox, NOW + SETTLE)] == ["again"]

    async def test_an_update_or_reply_keeps_the_place_and_a_successor_takes_it(self, outbox: OutboxUnderTest) -> None:
        for ref, expected in (("1.0", "1.0"), (None, "1.0"), ("2.0", "2.0")):
            await outbox.store_messages([message()], NOW)
            (row,) = await self._due(outbox)
            await send(outbox, row, MessageRef("C1", ref) if ref else None)
            assert await outbox.message_ref(row.key) == MessageRef("C1", expected)

    async def test_a_failed_row_comes_back_later_with_its_tries(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        assert await fail(outbox, row, "HTTP 500", NOW + 5 * SECOND)
        assert await self._due(outbox, NOW + 4 * SECOND) == []
        (again,) = await self._due(outbox, NOW + 5 * SECOND)
        assert again == replace(row, tries=1, due_at=NOW + 5 * SECOND)
        assert await fail(outbox, again, "channel_not_found", None, now=NOW + 5 * SECOND)
        assert await self._due(outbox, NOW + timedelta(days=2)) == []

    async def test_a_failed_update_may_become_a_new_message(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        await outbox.begin(Sending(row), ME, NOW + HOLD, NOW)
        assert await outbox.failed(row.id, "message_not_found", NOW, ME, NOW, as_post=True)
        assert await self._due(outbox) == [replace(row, kind="post")]

    async def test_a_key_waits_for_its_oldest_row(self, outbox: OutboxUnderTest) -> None:
        """Otherwise a reply that is being retried would be overtaken by the next one."""
        await outbox.store_messages([message("first", kind="reply")], NOW)
        (row,) = await self._due(outbox)
        await fail(outbox, row, "HTTP 500", NOW + 5 * SECOND)
        await outbox.store_messages([message("second", kind="reply")], NOW)
        await outbox.store_messages([message("other", key="slack/C1/e-2", kind="reply")], NOW)
        assert await self._texts(outbox) == ["other"]
        assert await self._texts(outbox, NOW + 5 * SECOND) == ["first", "second", "other"]

    async def test_a_key_waits_no_longer_once_its_oldest_row_is_given_up(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message("first", kind="reply")], NOW)
        await outbox.store_messages([message("second", kind="reply")], NOW)
        first, _ = await self._due(outbox)
        await fail(outbox, first, "HTTP 500", NOW + 5 * SECOND)
        assert await self._due(outbox) == []
        await fail(outbox, first, "too old", None, now=NOW + 5 * SECOND)
        assert await self._texts(outbox) == ["second"]

    async def test_the_same_key_in_another_channel_does_not_wait(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message("first"), message("file", channel="slack_file", kind="event")], NOW)
        (row,) = await self._due(outbox)
        await outbox.begin(Sending(row), ME, NOW + HOLD, NOW)
        assert [row.payload["text"] for row in await outbox.due("slack_file", NOW, 10)] == ["file"]

    async def test_what_is_begun_is_as_given_and_the_others_are_superseded(self, outbox: OutboxUnderTest) -> None:
        for text in "abc":
            await outbox.store_messages([message(text)], NOW)
        a, b, c = await self._due(outbox)
        newest = replace(c, id=a.id, kind="post", tries=3, payload={"text": "c2", "blocks": []})
        assert await outbox.begin(Sending(newest, (b.id, c.id), changed=True), ME, NOW + HOLD, NOW) == newest
        await outbox.failed(a.id, "HTTP 500", NOW + SECOND, ME, NOW)
        assert await self._due(outbox, NOW + SECOND) == [replace(newest, tries=4, due_at=NOW + SECOND)]

    async def test_a_key_is_one_workers_until_he_says_how_it_went(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message("one", kind="reply"), message("two", kind="reply")], NOW)
        one, two = await self._due(outbox)
        assert await outbox.begin(Sending(one), ME, NOW + HOLD, NOW) == one
        assert await self._due(outbox) == [], "hidden from everybody"
        for row in (one, two):
            assert await outbox.begin(Sending(row), "another", NOW + HOLD, NOW) is None
        await outbox.sent(one.id, None, ME, NOW)
        assert await outbox.begin(Sending(one), "another", NOW + HOLD, NOW) is None, "sent meanwhile"
        assert await outbox.begin(Sending(two), "another", NOW + HOLD, NOW) == two

    async def test_what_was_put_off_meanwhile_is_not_begun(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message("one"), message("two")], NOW)
        one, two = await self._due(outbox)
        await fail(outbox, one, "HTTP 500", NOW + SECOND)
        stale = Sending(replace(two, id=one.id), (two.id,), changed=True)
        assert await outbox.begin(stale, "another", NOW + HOLD, NOW) is None
        assert await outbox.begin(stale, "another", NOW + HOLD, NOW + SECOND) is not None

    async def test_a_lapsed_hold_is_taken_over_and_its_word_does_not_count(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        await outbox.begin(Sending(row), ME, NOW + HOLD, NOW)
        assert await outbox.begin(Sending(row), "another", NOW + 2 * HOLD, NOW + HOLD) == row
        assert not await outbox.sent(row.id, MessageRef("C1", "1.0"), ME, NOW + HOLD)
        assert not await outbox.failed(row.id, "HTTP 500", NOW, ME, NOW + HOLD)
        assert await outbox.message_ref(row.key) is None
        assert await outbox.sent(row.id, MessageRef("C1", "2.0"), "another", NOW + HOLD)
        assert await outbox.message_ref(row.key) == MessageRef("C1", "2.0")

    async def test_a_lapsed_hold_that_nobody_took_is_still_his(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        await outbox.begin(Sending(row), ME, NOW + HOLD, NOW)
        assert await outbox.sent(row.id, MessageRef("C1", "1.0"), ME, NOW + 2 * HOLD)

    async def _shown(self, outbox: OutboxUnderTest) -> OutboxRow:
        """An update to a message that is there, begun."""
        await outbox.store_messages([message("old")], NOW)
        (row,) = await self._due(outbox)
        await send(outbox, row, MessageRef("C1", "1.0"))
        await outbox.store_messages([message("new")], NOW)
        (row,) = await self._due(outbox)
        await outbox.begin(Sending(row), ME, NOW + HOLD, NOW)
        return row

    async def _said_again(self, outbox: OutboxUnderTest, now: datetime) -> str:
        """What the one repetition that is due says; the row is done afterwards."""
        (row,) = await self._due(outbox, now)
        assert row.kind == "again"
        begun = await outbox.begin(Sending(row), ME, now + HOLD, now)
        assert begun is not None
        await outbox.sent(begun.id, None, ME, now)
        return str(begun.payload["text"])

    async def test_after_an_update_without_an_answer_the_newest_is_said_again(self, outbox: OutboxUnderTest) -> None:
        row = await self._shown(outbox)
        await outbox.failed(row.id, "timeout", NOW + SECOND, ME, NOW, unanswered=True)
        (row,) = await self._due(outbox, NOW + SECOND)
        await outbox.begin(Sending(row), ME, NOW + HOLD, NOW + SECOND)
        await outbox.failed(row.id, "timeout", NOW + 2 * SECOND, ME, NOW + SECOND, unanswered=True)
        (row,) = await self._due(outbox, NOW + 2 * SECOND)
        await send(outbox, row, None, NOW + 2 * SECOND)
        await outbox.store_messages([message("newer")], NOW + 2 * SECOND)
        (row,) = await self._due(outbox, NOW + 2 * SECOND)
        await send(outbox, row, None, NOW + 2 * SECOND)
        assert await self._due(outbox, NOW + SETTLE) == [], "counted from the last one"
        assert await self._said_again(outbox, NOW + SECOND + SETTLE) == "newer"
        assert await self._due(outbox, NOW + 5 * SETTLE) == []

    async def test_what_is_said_again_is_not_what_was_refused(self, outbox: OutboxUnderTest) -> None:
        row = await self._shown(outbox)
        await outbox.failed(row.id, "timeout", NOW + SECOND, ME, NOW, unanswered=True)
        (row,) = await self._due(outbox, NOW + SECOND)
        await fail(outbox, row, "refused", None, now=NOW + SECOND)
        assert await self._said_again(outbox, NOW + SETTLE) == "old"

    async def test_after_a_worker_that_died_while_sending_the_newest_is_said_again(
        self, outbox: OutboxUnderTest
    ) -> None:
        row = await self._shown(outbox)
        (row,) = await self._due(outbox, NOW + HOLD)
        assert await send(outbox, row, None, NOW + HOLD)
        assert await self._said_again(outbox, NOW + HOLD + SETTLE) == "new"

    async def test_after_word_of_a_worker_that_was_too_slow_the_newest_is_said_again(
        self, outbox: OutboxUnderTest
    ) -> None:
        row = await self._shown(outbox)
        await outbox.store_messages([message("newer")], NOW)
        old, newer = await self._due(outbox, NOW + HOLD)
        merged = Sending(replace(newer, id=old.id), (newer.id,), changed=True)
        assert await outbox.begin(merged, "another", NOW + 2 * HOLD, NOW + HOLD)
        assert await outbox.sent(row.id, None, "another", NOW + HOLD)
        assert not await outbox.sent(row.id, None, ME, NOW + HOLD + 20 * SECOND)
        assert await self._due(outbox, NOW + HOLD + SETTLE) == [], "counted from the last one"
        assert await self._said_again(outbox, NOW + HOLD + 20 * SECOND + SETTLE) == "newer"

    async def test_a_repetition_under_way_does_not_count_for_what_comes_after_it(self, outbox: OutboxUnderTest) -> None:
        row = await self._shown(outbox)
        await outbox.failed(row.id, "timeout", NOW + SECOND, ME, NOW, unanswered=True)
        (row,) = await self._due(outbox, NOW + SECOND)
        await send(outbox, row, None, NOW + SECOND)
        (again,) = await self._due(outbox, NOW + SETTLE)
        await outbox.begin(Sending(again), ME, NOW + SETTLE + HOLD, NOW + SETTLE)
        assert not await outbox.sent(row.id, None, "too slow", NOW + SETTLE)
        await outbox.sent(again.id, None, ME, NOW + SETTLE)
        assert await self._said_again(outbox, NOW + 2 * SETTLE) == "new"

    async def test_a_repetition_holds_up_nothing_and_waits_with_its_key(self, outbox: OutboxUnderTest) -> None:
        row = await self._shown(outbox)
        await outbox.failed(row.id, "timeout", NOW + SECOND, ME, NOW, unanswered=True)
        (row,) = await self._due(outbox, NOW + SECOND)
        await send(outbox, row, None, NOW + SECOND)
        await outbox.store_messages([message("reply", kind="reply")], NOW + SECOND)
        (reply,) = await self._due(outbox, NOW + SECOND)
        assert reply.kind == "reply"
        await fail(outbox, reply, "HTTP 500", NOW + 2 * SETTLE, now=NOW + SECOND)
        assert await self._due(outbox, NOW + SETTLE) == []
        assert [row.kind for row in await self._due(outbox, NOW + 2 * SETTLE)] == ["again", "reply"]

    async def test_channels_that_nobody_serves_are_given_up(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message("a"), message("b", channel="fax"), message("c", channel="fax")], NOW)
        assert dict(await outbox.abandon(["slack"], NOW - SECOND, "no section", NOW)) == {}
        assert dict(await outbox.abandon(["slack"], NOW, "no section", NOW)) == {"fax": 2}
        assert list(await outbox.due("fax", NOW, 9)) == []
        assert await self._texts(outbox) == ["a"]
        (fax,) = [letters for letters in await outbox.letters(NOW) if letters.channel == "fax"]
        assert fax == Letters(channel="fax", dead=2, error="no section")

    async def test_letters_tell_what_waits_and_what_was_given_up(self, outbox: OutboxUnderTest) -> None:
        assert list(await outbox.letters(NOW)) == []
        for i in range(3):
            await outbox.store_messages([message(key=f"k{i}", channel="pager", kind="event")], NOW + i * SECOND)
        first, second, _ = await outbox.due("pager", NOW + 2 * SECOND, 9)
        await fail(outbox, second, "HTTP 503", NOW + 9 * SECOND, now=NOW + 2 * SECOND)
        told = Letters(channel="pager", pending=3, oldest_at=NOW)
        assert list(await outbox.letters(NOW)) == [told]
        await fail(outbox, first, "HTTP 400", None, now=NOW + 2 * SECOND)
        told = Letters(channel="pager", pending=2, oldest_at=NOW + SECOND, dead=1, error="HTTP 400")
        assert list(await outbox.letters(NOW)) == [told]
        told = Letters(channel="pager", pending=2, oldest_at=NOW + SECOND, error="HTTP 503")
        assert list(await outbox.letters(NOW + 3 * SECOND)) == [told]

    async def test_once_means_once_for_ever(self, outbox: OutboxUnderTest) -> None:
        for _ in range(2):
            await outbox.store_messages([message("page", once="trigger/r-1")], NOW)
            await outbox.store_messages([message("page 2", key="k2", once="trigger/r-2")], NOW)
        first, second = await self._due(outbox)
        await send(outbox, first, None)
        await fail(outbox, second, "no", None)
        for once in ("trigger/r-1", "trigger/r-2"):
            await outbox.store_messages([message("again", once=once)], NOW)
        assert await self._due(outbox) == []

    async def test_without_once_the_same_message_is_stored_again(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        await outbox.store_messages([message()], NOW)
        assert len(await self._due(outbox)) == 2

    async def test_a_clock_that_is_set_back_makes_nothing_wait_for_longer(self, outbox: OutboxUnderTest) -> None:
        hour = timedelta(hours=1)
        await outbox.store_messages([message("new"), message("later", key="k2"), message("held", key="k3")], NOW)
        _, later, held = await self._due(outbox)
        assert await fail(outbox, later, "busy", NOW + hour)
        assert await outbox.begin(Sending(held), "dead", NOW + HOLD, NOW) is not None
        back = NOW - hour
        assert await self._texts(outbox, back) == []
        await outbox.clock_set_back(hour, back)
        assert await self._texts(outbox, back) == ["new"]
        assert await self._texts(outbox, back + SETTLE) == ["new", "held"]
        assert await self._texts(outbox, back + hour) == ["new", "later", "held"]
