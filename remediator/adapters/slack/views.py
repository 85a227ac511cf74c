"""The port `ChatViews`: modals, the App Home, and messages that one person sees."""

from __future__ import annotations

from urllib.parse import urlsplit

from remediator.adapters.slack.client import SlackClient, wanted
from remediator.adapters.slack.errors import SlackError, from_status, translated
from remediator.objects import Object

_HOOKS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})


class Views(SlackClient):
    async def open_view(self, trigger: str, view: Object) -> str:
        """Raises: ChatError."""
        return str(wanted(await self.call("views.open", trigger_id=trigger, view=view), "view", "id"))

    async def update_view(self, view_id: str, view: Object) -> None:
        """Raises: ChatError."""
        await self.call("views.update", view_id=view_id, view=view)

    async def publish_home(self, user: str, view: Object) -> None:
        """Raises: ChatError."""
        await self.call("views.publish", user_id=user, view=view)

    async def whisper(
        self, channel: str, user: str, text: str, blocks: tuple[Object, ...] = (), *, thread: str = ""
    ) -> None:
        """Raises: ChatError, also when the person is not in the channel."""
        shown = [dict(block) for block in blocks] or None
        await self.call(
            "chat.postEphemeral", channel=channel, user=user, text=text, blocks=shown, thread_ts=thread or None
        )

    async def respond(self, response_url: str, message: Object) -> None:
        """The URL is the permission: no token goes there, and it is in no error. Raises: ChatError."""
        own = urlsplit(self._base_url)
        asked = urlsplit(response_url)
        if (asked.scheme, asked.netloc) not in {("https", host) for host in _HOOKS} | {(own.scheme, own.netloc)}:
            raise SlackError("the response_url is not Slack's")

        async def send() -> None:
            async with self._session.post(response_url, json=dict(message), allow_redirects=False) as response:
                if response.status in (404, 410) or 300 <= response.status < 400:
                    raise SlackError("Slack: the response_url is used up or expired", code="expired_url")
                if response.status != 200:
                    raise from_status(response.status, response.headers)

        await translated(send)
