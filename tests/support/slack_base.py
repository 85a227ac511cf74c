"""What every part of the fake Slack stands on: tokens, arguments, answers, and who is who in the workspace."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer

TOKEN = "xoxb-fake-0000"
APP_TOKEN = "xapp-fake-0000"
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
APP_ID = "A0REMEDY"
TEAM_ID = "T0TEAM"
OPS = "C0OPS"
TEAM = "C0TEAM"

Arguments = Mapping[str, Any]
Method = Callable[[Arguments], Awaitable[web.Response]]
_JSON_ARGUMENTS = {"blocks", "view", "files", "metadata", "attachments"}
_FLAGS = {"true": True, "false": False}


@dataclass(slots=True, kw_only=True)
class FakeChannel:
    name: str
    member: bool = True
    """The bot is in it."""
    archived: bool = False
    topic: str = ""
    invited: tuple[str, ...] = ()
    private: bool = False


@dataclass(slots=True, kw_only=True)
class FakeUser:
    id: str
    name: str
    team: str = TEAM_ID
    email: str = ""
    deleted: bool = False
    bot: bool = False
    guest: bool = False
    one_channel_guest: bool = False
    stranger: bool = False

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "team_id": self.team,
            "name": self.name,
            "deleted": self.deleted,
            "is_bot": self.bot,
            "is_restricted": self.guest or self.one_channel_guest,
            "is_ultra_restricted": self.one_channel_guest,
            **({"is_stranger": True} if self.stranger else {}),
            "profile": {"display_name": self.name, **({"email": self.email} if self.email else {})},
        }


@dataclass(slots=True, kw_only=True)
class FakeGroup:
    id: str
    handle: str
    users: tuple[str, ...] = ()
    disabled: bool = False


class SlackBase(FakeServer):
    """One workspace: `methods` are those of the Web API that it knows. `clock` and `wall` are in seconds."""

    def __init__(
        self,
        *,
        token: str = TOKEN,
        channels: Mapping[str, FakeChannel] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.token = token
        self.app_token = APP_TOKEN
        self.secret = SIGNING_SECRET
        """What requests to the app are signed with."""
        self.channels = dict(channels or {OPS: FakeChannel(name="ops"), TEAM: FakeChannel(name="team")})
        names = {"U0ANN": "ann", "U0BOB": "bob", "U0CAT": "cat", "U0EVE": "eve"}
        self.users = {id_: FakeUser(id=id_, name=name, email=f"{name}@example.org") for id_, name in names.items()}
        self.groups: dict[str, FakeGroup] = {}
        self._clock = clock
        self._wall = wall
        self._count = 0
        self.methods: dict[str, Method] = {
            "auth.test": self._test,
            "users.info": self._user_info,
            "users.lookupByEmail": self._user_by_email,
            "usergroups.list": self._groups,
            "usergroups.users.list": self._group_users,
        }

    @property
    def url(self) -> str:
        """What to give a client as its base address."""
        return f"{self.root}/api/"

    def app(self) -> web.Application:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/api/{method}", self._api)
        return app

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        handler = self.methods.get(method)
        if handler is None:
            return error("unknown_method")

        async def answer(request: web.Request) -> web.Response:
            wanted = self.app_token if method == "apps.connections.open" else self.token
            given = request.headers.get("Authorization", "")
            if not given:
                return error("not_authed")
            if given != f"Bearer {wanted}":
                return error("invalid_auth")
            asked = await _arguments(request)
            return error("invalid_json") if asked is None else await handler(asked)

        return await self.guarded(method, request, answer, error)

    def next_id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count:08d}"

    async def _test(self, asked: Arguments) -> web.Response:
        return ok(user_id="U0BOT", team_id=TEAM_ID, bot_id="B0")

    async def _user_info(self, asked: Arguments) -> web.Response:
        user = self.users.get(str(asked.get("user", "")))
        return error("user_not_found") if user is None else ok(user=user.shown())

    async def _user_by_email(self, asked: Arguments) -> web.Response:
        email = str(asked.get("email", "")).lower()
        found = next((u for u in self.users.values() if u.email and u.email.lower() == email and not u.deleted), None)
        return error("users_not_found") if found is None else ok(user=found.shown())

    async def _groups(self, asked: Arguments) -> web.Response:
        shown = [
            {"id": g.id, "handle": g.handle, "date_delete": 1 if g.disabled else 0}
            for g in self.groups.values()
            if not g.disabled or asked.get("include_disabled")
        ]
        return ok(usergroups=shown)

    async def _group_users(self, asked: Arguments) -> web.Response:
        group = self.groups.get(str(asked.get("usergroup", "")))
        return error("no_such_subteam") if group is None else ok(users=list(group.users))


async def _arguments(request: web.Request) -> Arguments | None:
    """JSON, or a form whose objects are JSON text, as the Web API takes both."""
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            return {name: _from_form(name, str(value)) for name, value in (await request.post()).items()}
        except ValueError:
            return None
    if request.content_type != "application/json":
        return {} if not await request.read() else None
    try:
        asked = await request.json()
    except ValueError:
        return None
    return asked if isinstance(asked, dict) else None


def _from_form(name: str, value: str) -> Any:
    return json.loads(value) if name in _JSON_ARGUMENTS else _FLAGS.get(value, value)


def ok(**fields: object) -> web.Response:
    return web.json_response({"ok": True, **fields})


def error(code: str, message: str = "") -> web.Response:
    metadata = {"response_metadata": {"messages": [f"[ERROR] {message}"]}} if message else {}
    return web.json_response({"ok": False, "error": code, **metadata})
