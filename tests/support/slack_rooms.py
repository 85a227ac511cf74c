"""Channels that a bot opens, and files: `conversations.*`, `users.conversations`, the external-upload flow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.support.slack_base import Arguments, FakeChannel, SlackBase, error, ok

_NAME = re.compile(r"[a-z0-9_-]{1,80}")


@dataclass(slots=True, kw_only=True)
class FakeFile:
    id: str
    filename: str
    length: int
    alt: str = ""
    content: bytes | None = None
    title: str = ""
    channel: str = ""
    thread_ts: str = ""
    """Where it was shared; empty = nobody sees it."""


class SlackRooms(SlackBase):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.files: list[FakeFile] = []
        self.methods |= {
            "conversations.create": self._create,
            "conversations.invite": self._invite,
            "conversations.setTopic": self._topic,
            "conversations.info": self._info,
            "conversations.open": self._open_direct,
            "conversations.members": self._members,
            "users.conversations": self._ours,
            "files.getUploadURLExternal": self._upload_url,
            "files.completeUploadExternal": self._complete,
        }

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_post("/_upload/{file}", self._take_bytes)
        return app

    async def _create(self, asked: Arguments) -> web.Response:
        name = str(asked.get("name", ""))
        if not _NAME.fullmatch(name):
            return error("invalid_name_specials")
        if any(channel.name == name for channel in self.channels.values()):
            return error("name_taken")
        id_ = self.next_id("C")
        self.channels[id_] = FakeChannel(name=name, private=bool(asked.get("is_private")))
        return ok(channel={"id": id_, "name": name})

    async def _invite(self, asked: Arguments) -> web.Response:
        channel = self.channels.get(str(asked.get("channel", "")))
        if channel is None:
            return error("channel_not_found")
        if not channel.member:
            return error("not_in_channel")
        users = [user for user in str(asked.get("users", "")).split(",") if user]
        known = [user for user in users if user in self.users and not self.users[user].deleted]
        if len(known) < len(users) and not asked.get("force"):
            return error("user_not_found")
        if known and all(user in channel.invited for user in known):
            return error("already_in_channel")
        channel.invited = tuple(dict.fromkeys((*channel.invited, *known)))
        return ok(channel={"id": asked["channel"], "name": channel.name})

    async def _topic(self, asked: Arguments) -> web.Response:
        channel = self.channels.get(str(asked.get("channel", "")))
        if channel is None:
            return error("channel_not_found")
        topic = str(asked.get("topic", ""))
        if len(topic) > 250:
            return error("too_long")
        channel.topic = topic
        return ok(channel={"id": asked["channel"], "topic": {"value": topic}})

    async def _info(self, asked: Arguments) -> web.Response:
        channel = self.channels.get(str(asked.get("channel", "")))
        if channel is None:
            return error("channel_not_found")
        return ok(channel=self._shown(str(asked["channel"]), channel))

    async def _open_direct(self, asked: Arguments) -> web.Response:
        user = str(asked.get("users", ""))
        return ok(channel={"id": self.direct(user)}) if user in self.users else error("user_not_found")

    async def _members(self, asked: Arguments) -> web.Response:
        channel = self.channels.get(str(asked.get("channel", "")))
        return error("channel_not_found") if channel is None else ok(members=list(channel.invited))

    async def _ours(self, asked: Arguments) -> web.Response:
        """In pages of one, so that a client that reads only the first is found out."""
        ours = [
            self._shown(id_, channel)
            for id_, channel in self.channels.items()
            if channel.member and not (channel.archived and asked.get("exclude_archived"))
        ]
        start = int(asked.get("cursor") or 0)
        more = str(start + 1) if start + 1 < len(ours) else ""
        return ok(channels=ours[start : start + 1], response_metadata={"next_cursor": more})

    def direct(self, user: str) -> str:
        """The id of the direct channel with somebody."""
        id_ = f"D{user[1:]}"
        self.channels.setdefault(id_, FakeChannel(name=""))
        return id_

    @staticmethod
    def _shown(id_: str, channel: FakeChannel) -> dict[str, Any]:
        return {"id": id_, "name": channel.name, "is_archived": channel.archived, "is_member": channel.member}

    async def _upload_url(self, asked: Arguments) -> web.Response:
        length = int(asked.get("length") or 0)
        if not asked.get("filename") or length <= 0:
            return error("invalid_arguments")
        file = FakeFile(
            id=self.next_id("F"),
            filename=str(asked["filename"]),
            length=length,
            alt=str(asked.get("alt_txt", "")),
        )
        self.files.append(file)
        return ok(upload_url=f"{self.root}/_upload/{file.id}", file_id=file.id)

    async def _take_bytes(self, request: web.Request) -> web.StreamResponse:
        async def take(request: web.Request) -> web.Response:
            file = next((f for f in self.files if f.id == request.match_info["file"]), None)
            if file is None:
                return web.Response(status=404)
            if "Authorization" in request.headers:
                self.violations.append("a token was sent to an upload URL")
            content = await request.read()
            if len(content) != file.length:
                return web.Response(status=400, text="length mismatch")
            file.content = content
            return web.Response(text=f"OK - {len(content)}")

        return await self.guarded("upload", request, take, error)

    async def _complete(self, asked: Arguments) -> web.Response:
        channel = str(asked.get("channel_id", ""))
        if channel not in self.channels:
            return error("channel_not_found")
        for given in asked.get("files") or []:
            file = next((f for f in self.files if f.id == given.get("id")), None)
            if file is None or file.content is None:
                return error("file_not_found")
            file.title, file.channel = str(given.get("title", "")), channel
            file.thread_ts = str(asked.get("thread_ts", ""))
        return ok(files=[{"id": f["id"]} for f in asked.get("files") or []])
