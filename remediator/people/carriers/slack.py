"""Rows of channel `slack`: one main message per key, updated in place, with its thread. Payload: `text`, `blocks`."""

from __future__ import annotations

from datetime import timedelta

import structlog

from remediator.people.carrier import Lanes, Pace
from remediator.people.messages import CONTINUED
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import Chat, ChatError, MessageRef

log = structlog.get_logger(__name__)

MESSAGE_NOT_CLOSED = "message_not_closed"

# https://docs.slack.dev/apis/web-api/rate-limits
IN_CHANNEL = timedelta(seconds=1)
"""One message a second in a channel."""
IN_WORKSPACE = timedelta(0)
"""Posting is limited in a whole workspace, too, but Slack tells no figure."""
TIER_3 = timedelta(seconds=1.2)
"""50 calls a minute of one method in a workspace; `chat.update` is one of them."""
TIER_2 = timedelta(seconds=3)
"""20 calls a minute: `conversations.create`."""


def posting(channel: str) -> Lanes:
    """What a new message in a channel, or in one of its threads, uses up."""
    return {f"slack {channel}": IN_CHANNEL, "slack chat.postMessage": IN_WORKSPACE}


def _lanes(row: OutboxRow) -> Lanes:
    updates = {"slack chat.update": TIER_3}
    if row.kind in ("update", "again") and row.main is not None:
        return updates
    posts = posting(row.main.channel if row.main and row.kind == "reply" else row.destination)
    closes = row.kind == "post" and row.main is not None
    return {**posts, **updates} if closes else posts


PACE = Pace(gap=IN_CHANNEL, first_retry=timedelta(seconds=1), longest_retry=timedelta(minutes=1), lanes=_lanes)


class SlackCarrier:
    def __init__(self, chat: Chat, pace: Pace = PACE) -> None:
        self._chat = chat
        self.pace = pace

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """A `post`, and an `update` when there is no main message yet, becomes the main message. Raises: ChatError."""
        text, blocks = str(row.payload["text"]), tuple(row.payload["blocks"])
        if row.kind == "reply":
            if main is None:
                raise ChatError("there is no message to reply to")
            await self._chat.post(main.channel, text, blocks, thread=main.ts)
            return None
        if row.kind == "update" and main is not None:
            await self._chat.update(main, text, blocks)
            return None
        posted = await self._chat.post(row.destination, text, blocks)
        if main is not None:
            await self._close(main, row)
        return posted

    async def _close(self, old: MessageRef, row: OutboxRow) -> None:
        """Point an older main message to the newer one. Tried once: it helps the reader, nothing depends on it."""
        try:
            await self._chat.update(old, CONTINUED.text, CONTINUED.blocks)
        except ChatError as exc:
            log.info(MESSAGE_NOT_CLOSED, row=row.id, key=row.key, error=str(exc))
