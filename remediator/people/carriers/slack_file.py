"""Rows of channel `slack_file`: a file in the thread of the main message that channel `slack` posted for the same key.

Payload: `filename`, `title`, `alt` (what an image shows), `content_base64`, and `text`, the comment above it.
"""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta

from remediator.people.carrier import Lanes, Pace
from remediator.people.carriers.slack import posting
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, ChatFiles, MessageRef

TIER_4 = timedelta(seconds=0.6)
"""100 calls a minute: both methods of an upload."""


def _lanes(row: OutboxRow) -> Lanes:
    channel = row.main.channel if row.main is not None else row.destination
    return {**posting(channel), "slack files": TIER_4}


PACE = Pace(
    gap=timedelta(seconds=1),
    first_retry=timedelta(seconds=2),
    longest_retry=timedelta(minutes=2),
    give_up_after=timedelta(hours=1),  # a picture of an hour ago helps nobody any more
    lanes=_lanes,
)


class SlackFileCarrier:
    def __init__(self, files: ChatFiles, pace: Pace = PACE) -> None:
        self._files = files
        self.pace = pace

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Waits for the main message. Raises: ChatError."""
        if main is None:
            raise ChatError("the message that the file belongs to is not posted yet", retry_after_s=0.0)
        try:
            content = base64.b64decode(str(row.payload["content_base64"]), validate=True)
        except (binascii.Error, KeyError) as exc:
            raise ChatError(f"the file cannot be read: {exc!r}") from exc
        await self._files.upload(
            main.channel,
            thread=main.ts,
            filename=str(row.payload["filename"]),
            title=str(row.payload["title"]),
            alt=str(row.payload.get("alt", "")),
            comment=str(row.payload.get("text", "")),
            content=content,
        )
        return None
