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

from remediator.people.outbox_rows import OutboxKind, OutboxMessage, OutboxRow, OutboxStore
from remediator.ports import MessageRef

NOW = datetime(2025, 6, 2, 3, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class OutboxUnderTest(OutboxStore, Protocol):
    async def store_messages(self, messages: Sequence[OutboxMessage], now: datetime) -> None:
        """In this order; one whose `once` is known is not stored again."""
        ...


def message(
    text: str = "hello", *, key: str = "slack/C1/e-1", kind: OutboxKind = "update", **rest: Any
) -> OutboxMessage:
    given = {"channel": "slack", "destination": "C1", "payload": {"text": text, "blocks": []}, **rest}
    return OutboxMessage(key=key, kind=kind, **given)


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

    async def test_a_sent_row_is_gone_and_its_place_is_known(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        assert await outbox.message_ref(row.key) is None
        await outbox.sent(row.id, MessageRef("C1", "1.0"), NOW)
        assert await self._due(outbox) == []
        assert await outbox.message_ref(row.key) == MessageRef("C1", "1.0")
        assert await outbox.message_ref("another") is None

    async def test_recording_twice_changes_nothing(self, outbox: OutboxUnderTest) -> None:
        """A worker that was not sure whether the store took the record writes it again."""
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        await outbox.sent(row.id, MessageRef("C1", "1.0"), NOW)
        await outbox.sent(row.id, MessageRef("C1", "1.0"), NOW)
        assert await outbox.message_ref(row.key) == MessageRef("C1", "1.0")

    async def test_an_update_or_reply_keeps_the_place_and_a_successor_takes_it(self, outbox: OutboxUnderTest) -> None:
        for ref, expected in (("1.0", "1.0"), (None, "1.0"), ("2.0", "2.0")):
            await outbox.store_messages([message()], NOW)
            (row,) = await self._due(outbox)
            await outbox.sent(row.id, MessageRef("C1", ref) if ref else None, NOW)
            assert await outbox.message_ref(row.key) == MessageRef("C1", expected)

    async def test_a_failed_row_comes_back_later_with_its_tries(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        await outbox.failed(row.id, "HTTP 500", NOW + 5 * SECOND, NOW)
        assert await self._due(outbox, NOW + 4 * SECOND) == []
        (again,) = await self._due(outbox, NOW + 5 * SECOND)
        assert again == replace(row, tries=1, due_at=NOW + 5 * SECOND)
        await outbox.failed(again.id, "channel_not_found", None, NOW)
        assert await self._due(outbox, NOW + timedelta(days=2)) == []

    async def test_a_key_waits_for_its_oldest_row(self, outbox: OutboxUnderTest) -> None:
        """Otherwise a reply that is being retried would be overtaken by the next one."""
        await outbox.store_messages([message("first", kind="reply")], NOW)
        (row,) = await self._due(outbox)
        await outbox.failed(row.id, "HTTP 500", NOW + 5 * SECOND, NOW)
        await outbox.store_messages([message("second", kind="reply")], NOW)
        await outbox.store_messages([message("other", key="slack/C1/e-2")], NOW)
        assert await self._texts(outbox) == ["other"]
        assert await self._texts(outbox, NOW + 5 * SECOND) == ["first", "second", "other"]

    async def test_a_key_waits_no_longer_once_its_oldest_row_is_given_up(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message("first", kind="reply")], NOW)
        await outbox.store_messages([message("second", kind="reply")], NOW)
        first, _ = await self._due(outbox)
        await outbox.failed(first.id, "HTTP 500", NOW + 5 * SECOND, NOW)
        assert await self._due(outbox) == []
        await outbox.failed(first.id, "too old", None, NOW)
        assert await self._texts(outbox) == ["second"]

    async def test_a_merge_rewrites_one_row_and_supersedes_the_others(self, outbox: OutboxUnderTest) -> None:
        for text in "abc":
            await outbox.store_messages([message(text)], NOW)
        a, b, c = await self._due(outbox)
        merged = replace(c, kind="post", tries=3, due_at=NOW + SECOND, payload={"text": "c2", "blocks": []})
        await outbox.merge(merged, [a.id, b.id])
        assert await self._due(outbox) == []
        assert await self._due(outbox, NOW + SECOND) == [merged]

    async def test_a_merge_without_others_only_rewrites(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        (row,) = await self._due(outbox)
        await outbox.merge(replace(row, kind="post"), [])
        assert await self._due(outbox) == [replace(row, kind="post")]

    async def test_once_means_once_for_ever(self, outbox: OutboxUnderTest) -> None:
        for _ in range(2):
            await outbox.store_messages([message("page", once="trigger/r-1")], NOW)
            await outbox.store_messages([message("page 2", key="k2", once="trigger/r-2")], NOW)
        first, second = await self._due(outbox)
        await outbox.sent(first.id, None, NOW)
        await outbox.failed(second.id, "no", None, NOW)
        for once in ("trigger/r-1", "trigger/r-2"):
            await outbox.store_messages([message("again", once=once)], NOW)
        assert await self._due(outbox) == []

    async def test_without_once_the_same_message_is_stored_again(self, outbox: OutboxUnderTest) -> None:
        await outbox.store_messages([message()], NOW)
        await outbox.store_messages([message()], NOW)
        assert len(await self._due(outbox)) == 2
