"""Rows of channel `slack_channel`: a channel of an incident's own, and what is told in it.

The first row of a key opens the channel and becomes the key's main message; later ones are posted in it. Payload:
`text`, `blocks`, and for the first one `name`, `topic`, `invite` (user ids).
"""

from __future__ import annotations

from datetime import timedelta

from remediator.people.carrier import Lanes, Pace
from remediator.people.carriers.slack import IN_CHANNEL, TIER_2, posting
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import Chat, ChatChannels, MessageRef


def _lanes(row: OutboxRow) -> Lanes:
    return {"slack conversations.create": TIER_2} if row.main is None else posting(row.main.channel)


PACE = Pace(gap=IN_CHANNEL, first_retry=timedelta(seconds=1), longest_retry=timedelta(minutes=1), lanes=_lanes)


class SlackChannelCarrier:
    def __init__(self, chat: Chat, channels: ChatChannels, pace: Pace = PACE) -> None:
        self._chat, self._channels = chat, channels
        self.pace = pace

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Said again after a lost answer, it finds the channel that it made. Raises: ChatError."""
        text, blocks = str(row.payload["text"]), tuple(row.payload["blocks"])
        if main is not None:
            await self._chat.post(main.channel, text, blocks)
            return None
        channel = await self._channels.open_channel(
            str(row.payload["name"]),
            topic=str(row.payload.get("topic", "")),
            invite=tuple(map(str, row.payload.get("invite", ()))),
        )
        return await self._chat.post(channel, text, blocks)
