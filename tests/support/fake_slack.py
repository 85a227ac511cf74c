"""A Slack that keeps its documented promises and enforces its documented limits, on a loopback port.

    async with FakeSlack() as slack:
        chat = SlackChat(slack.token, base_url=slack.url)

Its parts: who is who (slack_base), channels and files (slack_rooms), dialogs and what one person sees (slack_views),
people who click (slack_clicks), and messages, here. Errors come as HTTP 200 with `ok: false`, like Slack's. Every
message keeps all its versions. As a process of its own: `python -m tests.support.fake_slack --port 0 --print-url`, then
`GET /_messages`, `GET /_calls`, `POST /_faults`, and `/` for a page that looks a little like Slack.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from tests.support import block_kit
from tests.support.fake_http import serve_until_stopped
from tests.support.slack_base import OPS as OPS
from tests.support.slack_base import TEAM as TEAM
from tests.support.slack_base import TOKEN as TOKEN
from tests.support.slack_base import Arguments, error, ok
from tests.support.slack_base import FakeChannel as FakeChannel
from tests.support.slack_clicks import SlackClicks
from tests.support.slack_page import page
from tests.support.slack_rooms import SlackRooms

_COMMON = {"channel", "text", "blocks", "parse", "link_names", "metadata", "attachments", "reply_broadcast"}
_POST_ARGUMENTS = _COMMON | {
    "thread_ts",
    "unfurl_links",
    "unfurl_media",
    "mrkdwn",
    "username",
    "icon_emoji",
    "icon_url",
}
_UPDATE_ARGUMENTS = _COMMON | {"ts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a message was at one time; `arguments` is everything the caller sent."""

    text: str
    blocks: tuple[dict[str, Any], ...]
    arguments: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class FakeMessage:
    channel: str
    ts: str
    thread_ts: str = ""
    own: bool = True
    edit_window_closed: bool = False
    versions: list[Version] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.versions[-1].text

    @property
    def blocks(self) -> tuple[dict[str, Any], ...]:
        return self.versions[-1].blocks

    @property
    def shown(self) -> str:
        """Everything visible: the blocks' texts, or the text when there are none."""
        return shown(self.blocks) or self.text


def shown(blocks: Sequence[Mapping[str, Any]]) -> str:
    """The texts of blocks, one per line."""
    lines = []
    for block in blocks:
        texts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        lines += [t["text"] if isinstance(t["text"], str) else t["text"]["text"] for t in texts if t and "text" in t]
    return "\n".join(lines)


class FakeSlack(SlackClicks, SlackRooms):
    """One workspace. `gap_s` > 0 answers 429 to posts in a channel that come faster than that (`clock` in seconds)."""

    def __init__(
        self,
        *,
        token: str = TOKEN,
        channels: Mapping[str, FakeChannel] | None = None,
        gap_s: float = 0.0,
        retry_after_s: int = 1,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        super().__init__(token=token, channels=channels, clock=clock, wall=wall, port=port)
        self.messages: list[FakeMessage] = []
        self.gap_s = gap_s
        self.retry_after_s = retry_after_s
        self._last_post: dict[str, float] = {}
        self._messages = 0
        self.methods |= {"chat.postMessage": self._post_message, "chat.update": self._update_message}

    def main(self, channel: str = OPS) -> list[FakeMessage]:
        """Messages of a channel that are not replies."""
        return [m for m in self.messages if m.channel == channel and not m.thread_ts]

    def thread(self, parent: FakeMessage) -> list[FakeMessage]:
        return [m for m in self.messages if m.channel == parent.channel and m.thread_ts == parent.ts]

    def post_as_somebody(self, channel: str, text: str) -> FakeMessage:
        """A message that is not ours."""
        message = FakeMessage(channel=channel, ts=self._next_ts(), own=False)
        message.versions.append(Version(text=text, blocks=(), arguments={}))
        self.messages.append(message)
        return message

    def delete(self, message: FakeMessage) -> None:
        """As a person does in the client."""
        self.messages.remove(message)

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_get("/_messages", self._show_messages)
        app.router.add_get("/", self._show_page)
        return app

    async def _post_message(self, asked: Arguments) -> web.Response:
        if asked.get("channel") in self.users:
            asked = {**asked, "channel": self.direct(asked["channel"])}
        if refused := self._bad_content(asked, _POST_ARGUMENTS):
            return refused
        channel = str(asked["channel"])
        if refused := self._too_fast(channel):
            return refused
        thread = str(asked.get("thread_ts", ""))
        if thread and (refused := self._bad_thread(channel, thread)):
            return refused
        if asked.get("reply_broadcast"):
            self.violations.append("a thread reply was broadcast")
        if asked.get("unfurl_links") is not False or asked.get("unfurl_media") is not False:
            self.violations.append("unfurling was left on")
        message = FakeMessage(channel=channel, ts=self._next_ts(), thread_ts=thread)
        self._add_version(message, asked, blocks=asked.get("blocks") or [])
        self.messages.append(message)
        return ok(channel=channel, ts=message.ts, message={"text": message.text, "blocks": list(message.blocks)})

    async def _update_message(self, asked: Arguments) -> web.Response:
        if refused := self._bad_content(asked, _UPDATE_ARGUMENTS):
            return refused
        message = next((m for m in self.messages if (m.channel, m.ts) == (asked["channel"], asked.get("ts"))), None)
        if message is None:
            return error("message_not_found")
        if not message.own:
            return error("cant_update_message")
        if message.edit_window_closed:
            return error("edit_window_closed")
        if "text" not in asked or "blocks" not in asked:
            self.violations.append("chat.update without both text and blocks")
        if asked.get("parse") != "none":
            self.violations.append("chat.update parses text as a client does unless told parse=none")
        # Text without blocks removes the blocks; with neither they stay.
        kept = list(message.blocks) if "text" not in asked else []
        self._add_version(message, {"text": message.text, **asked}, blocks=asked.get("blocks", kept))
        return ok(channel=message.channel, ts=message.ts, text=message.text)

    def _bad_content(self, asked: Mapping[str, Any], known: set[str]) -> web.Response | None:
        if extra := asked.keys() - known:
            return error("invalid_arguments", f"unknown argument: {sorted(extra)[0]}")
        channel = self.channels.get(str(asked.get("channel", "")))
        if channel is None:
            return error("channel_not_found")
        if channel.archived:
            return error("is_archived")
        if not channel.member:
            return error("not_in_channel")
        text, blocks = asked.get("text", ""), asked.get("blocks", [])
        if not text and not blocks and "ts" not in asked:
            return error("no_text")
        if not text:
            self.violations.append("no text: nothing to show in a notification")
        if block_kit.length(text) > 40_000:
            return error("msg_too_long")
        if block_kit.length(text) >= 4_000:
            self.violations.append(f"text of {len(text)} characters")
        if problem := block_kit.problem(blocks):
            return error("invalid_blocks", problem)
        return error("msg_blocks_too_long") if block_kit.too_long(blocks) else None

    def _bad_thread(self, channel: str, thread: str) -> web.Response | None:
        parent = next((m for m in self.messages if (m.channel, m.ts) == (channel, thread)), None)
        if parent is None:
            return error("thread_not_found")
        return error("cannot_reply_to_message") if parent.thread_ts else None

    def _too_fast(self, channel: str) -> web.Response | None:
        now, last = self._clock(), self._last_post.get(channel)
        if self.gap_s and last is not None and now - last < self.gap_s:
            body = {"ok": False, "error": "ratelimited"}
            return web.json_response(body, status=429, headers={"Retry-After": str(self.retry_after_s)})
        self._last_post[channel] = now
        return None

    def _add_version(self, message: FakeMessage, asked: Mapping[str, Any], *, blocks: Sequence[dict[str, Any]]) -> None:
        message.versions.append(Version(text=asked.get("text", ""), blocks=tuple(blocks), arguments=dict(asked)))

    def _next_ts(self) -> str:
        self._messages += 1
        return f"1718000000.{self._messages:06d}"

    async def _show_messages(self, request: web.Request) -> web.Response:
        listed = [{**asdict(m), "text": m.text, "blocks": m.blocks, "shown": m.shown} for m in self.messages]
        return web.json_response(listed)

    async def _show_page(self, request: web.Request) -> web.Response:
        main = [m for m in self.messages if not m.thread_ts]
        threads = [(m.blocks, m.text, [(r.blocks, r.text) for r in self.thread(m)]) for m in main]
        return web.Response(text=page(threads), content_type="text/html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--channel", action="append", default=[], help="id of a channel that exists; repeatable")
    parser.add_argument("--print-url", action="store_true", help="print the base address when listening")
    args = parser.parse_args()

    async def run() -> None:
        channels = {id_: FakeChannel(name=id_.lower()) for id_ in args.channel} or None
        slack = FakeSlack(token=args.token, channels=channels, port=args.port)
        await serve_until_stopped(slack, print_url=lambda: {"url": slack.url if args.print_url else "ready"})

    asyncio.run(run())


if __name__ == "__main__":
    main()
