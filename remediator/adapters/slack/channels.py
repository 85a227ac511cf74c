"""The port `ChatChannels`. Scopes: `channels:manage`, and `channels:read` to find a channel that is there already."""

from __future__ import annotations

import re
from collections.abc import Sequence

import structlog

from remediator.adapters.slack.client import SlackClient, wanted
from remediator.adapters.slack.errors import SlackError

log = structlog.get_logger(__name__)

CHANNEL_NOT_FURNISHED = "channel_not_furnished"

_NAME = 80
_TOPIC = 250
_PAGES = 50
"""Of 200 channels: more than a bot is in."""


class Channels(SlackClient):
    async def open_channel(self, name: str, *, topic: str = "", invite: Sequence[str] = ()) -> str:
        """The id of the channel of that name, made when there is none. What Slack refuses of the topic and the
        invitations is logged: the channel matters more. Raises: ChatError."""
        name = channel_name(name)
        try:
            channel = str(wanted(await self.call("conversations.create", name=name), "channel", "id"))
        except SlackError as exc:
            if exc.code != "name_taken":
                raise
            channel = await self._find(name)
        if topic:
            await self._furnish("conversations.setTopic", channel=channel, topic=topic[:_TOPIC])
        if invite:
            # force: those who cannot be invited do not keep the others out
            await self._furnish("conversations.invite", channel=channel, users=",".join(invite), force=True)
        return channel

    async def _furnish(self, method: str, **arguments: object) -> None:
        try:
            await self.call(method, **arguments)
        except SlackError as exc:
            if exc.retry_after_s is not None:
                raise
            if exc.code != "already_in_channel":
                log.warning(CHANNEL_NOT_FURNISHED, method=method, channel=arguments["channel"], error=str(exc))

    async def _find(self, name: str) -> str:
        """Among the channels that we are in: the one we made is. Raises: SlackError."""
        cursor = ""
        for _ in range(_PAGES):
            page = await self.call(
                "users.conversations",
                types="public_channel,private_channel",
                exclude_archived=True,
                limit="200",
                cursor=cursor or None,
            )
            for channel in wanted(page, "channels"):
                if channel.get("name") == name:
                    return str(channel["id"])
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        raise SlackError(
            f"Slack: a channel #{name} exists, but it is archived or the bot is not in it", code="name_taken"
        )


def channel_name(name: str) -> str:
    """As Slack allows it: lower case, digits, `-` and `_`, at most 80."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:_NAME] or "incident"
