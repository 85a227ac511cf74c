"""What one person sees: modals, the App Home, ephemeral messages, and the addresses that come with a click."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.support import block_kit
from tests.support.slack_base import Arguments, SlackBase, error, ok

TRIGGER_S = 3.0
RESPONSES = 5
RESPONSE_S = 30 * 60.0


@dataclass(slots=True, kw_only=True)
class FakeView:
    id: str
    user: str
    hash: str
    content: Mapping[str, Any]
    open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisper:
    """Something that only one person saw."""

    user: str
    channel: str
    text: str
    blocks: tuple[dict[str, Any], ...]
    way: Literal["response_url", "ephemeral"]


@dataclass(slots=True, kw_only=True)
class _Trigger:
    user: str
    at: float
    used: bool = False


@dataclass(slots=True, kw_only=True)
class _ResponseUrl:
    user: str
    channel: str
    at: float
    uses: int = 0


@dataclass(slots=True, kw_only=True)
class _People:
    triggers: dict[str, _Trigger] = field(default_factory=dict)
    urls: dict[str, _ResponseUrl] = field(default_factory=dict)


class SlackViews(SlackBase):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.views: dict[str, FakeView] = {}
        self.homes: dict[str, Mapping[str, Any]] = {}
        self.whispers: list[Whisper] = []
        self.absent: set[tuple[str, str]] = set()
        """(user, channel): not in it, so that nothing ephemeral can be shown there."""
        self._given = _People()
        self.methods |= {
            "views.open": self._open_view,
            "views.update": self._update_view,
            "views.publish": self._publish,
            "chat.postEphemeral": self._whisper,
        }

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_post("/_hooks/{id}", self._respond)
        return app

    def whispered(self, user: str) -> list[str]:
        """The texts that somebody alone has seen."""
        return [whisper.text for whisper in self.whispers if whisper.user == user]

    def give_trigger(self, user: str) -> str:
        id_ = self.next_id("trigger.")
        self._given.triggers[id_] = _Trigger(user=user, at=self._clock())
        return id_

    def give_response_url(self, user: str, channel: str) -> str:
        id_ = self.next_id("hook")
        self._given.urls[id_] = _ResponseUrl(user=user, channel=channel, at=self._clock())
        return f"{self.root}/_hooks/{id_}"

    async def _open_view(self, asked: Arguments) -> web.Response:
        trigger = self._given.triggers.get(str(asked.get("trigger_id", "")))
        if trigger is None:
            return error("invalid_trigger_id")
        if trigger.used:
            return error("exchanged_trigger_id")
        if self._clock() - trigger.at > TRIGGER_S:
            return error("expired_trigger_id")
        content = asked.get("view")
        if problem := self._view_problem(content, "modal"):
            return problem
        assert isinstance(content, dict)
        trigger.used = True
        view = FakeView(id=self.next_id("V"), user=trigger.user, hash=self.next_id("h."), content=content)
        self.views[view.id] = view
        return ok(view={**content, "id": view.id, "hash": view.hash})

    async def _update_view(self, asked: Arguments) -> web.Response:
        view = self.views.get(str(asked.get("view_id", "")))
        if view is None or not view.open:
            return error("not_found")
        if asked.get("hash") not in (None, view.hash):
            return error("hash_conflict")
        content = asked.get("view")
        if problem := self._view_problem(content, "modal"):
            return problem
        assert isinstance(content, dict)
        view.content, view.hash = content, self.next_id("h.")
        return ok(view={**content, "id": view.id, "hash": view.hash})

    async def _publish(self, asked: Arguments) -> web.Response:
        user = str(asked.get("user_id", ""))
        if user not in self.users:
            return error("user_not_found")
        content = asked.get("view")
        if problem := self._view_problem(content, "home"):
            return problem
        assert isinstance(content, dict)
        self.homes[user] = content
        return ok(view=content)

    def _view_problem(self, content: object, kind: str) -> web.Response | None:
        if not isinstance(content, dict) or content.get("type") != kind:
            return error("invalid_arguments", f"view: expected a {kind}")
        problem = block_kit.view_problem(content)
        return error("invalid_arguments", problem) if problem else None

    async def _whisper(self, asked: Arguments) -> web.Response:
        channel, user = str(asked.get("channel", "")), str(asked.get("user", ""))
        known = self.channels.get(channel)
        if known is None:
            return error("channel_not_found")
        if not known.member:
            return error("not_in_channel")
        if user not in self.users or (user, channel) in self.absent:
            return error("user_not_in_channel")
        if problem := block_kit.problem(asked.get("blocks") or []):
            return error("invalid_blocks", problem)
        self._add_whisper(user, channel, asked, "ephemeral")
        return ok(message_ts=self.next_id("e."))

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        async def respond(request: web.Request) -> web.Response:
            given = self._given.urls.get(request.match_info["id"])
            if given is None or given.uses >= RESPONSES or self._clock() - given.at > RESPONSE_S:
                return web.Response(status=404, text="expired_url")
            if "Authorization" in request.headers:
                self.violations.append("a token was sent to a response_url")
            asked = await request.json()
            if block_kit.problem(asked.get("blocks") or []):
                return web.Response(status=400, text="invalid_blocks")
            if asked.get("replace_original") is not False:
                self.violations.append("a response_url answer that could replace the message")
            if asked.get("response_type") != "ephemeral":
                self.violations.append("an answer to one person that the whole channel sees")
            given.uses += 1
            self._add_whisper(given.user, given.channel, asked, "response_url")
            return web.Response(text="ok")

        return await self.guarded("response_url", request, respond, lambda code: web.Response(status=404, text=code))

    def _add_whisper(
        self, user: str, channel: str, asked: Arguments, way: Literal["response_url", "ephemeral"]
    ) -> None:
        blocks = tuple(asked.get("blocks") or ())
        text = str(asked.get("text", ""))
        self.whispers.append(Whisper(user=user, channel=channel, text=text, blocks=blocks, way=way))
