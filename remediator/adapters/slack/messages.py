"""The port `Chat`: posting and updating."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from remediator.adapters.slack.client import SlackClient, sdk_log
from remediator.adapters.slack.errors import SlackError, translated
from remediator.objects import Object
from remediator.ports import MessageRef

_BAD_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
"""The layout was refused and nothing was posted: the text alone still tells people what happens."""

Send = Callable[[list[dict[str, Any]]], Awaitable[Mapping[str, Any]]]


class Messages(SlackClient):
    async def post(self, channel: str, text: str, blocks: tuple[Object, ...], *, thread: str = "") -> MessageRef:
        """Raises: ChatError. After a timeout the message may be there all the same: Slack has no idempotency key."""

        async def send(shown: list[dict[str, Any]]) -> Mapping[str, Any]:
            answer = await self._client.chat_postMessage(
                channel=channel,
                text=text,
                blocks=shown,
                thread_ts=thread or None,
                unfurl_links=False,
                unfurl_media=False,
                parse="none",
                link_names=False,
            )
            return {"channel": answer["channel"], "ts": answer["ts"]}

        posted = await _with_text_as_fallback(send, blocks)
        return MessageRef(posted["channel"], posted["ts"])

    async def update(self, ref: MessageRef, text: str, blocks: tuple[Object, ...]) -> None:
        """Always text and blocks: text alone would remove the blocks. Raises: ChatError."""

        async def send(shown: list[dict[str, Any]]) -> Mapping[str, Any]:
            # unlike posting, updating links names and addresses in the text unless told not to
            await self._client.chat_update(
                channel=ref.channel, ts=ref.ts, text=text, blocks=shown, parse="none", link_names=False
            )
            return {}

        await _with_text_as_fallback(send, blocks)


async def _with_text_as_fallback(send: Send, blocks: tuple[Object, ...]) -> Mapping[str, Any]:
    shown = [dict(block) for block in blocks]
    try:
        return await translated(lambda: send(shown))
    except SlackError as exc:
        if exc.code not in _BAD_BLOCKS or not shown:
            raise
        sdk_log.warning("Slack refused the layout of a message, sending its text alone: %s", exc)
        return await translated(lambda: send([]))
