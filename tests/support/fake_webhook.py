"""A receiver of our webhooks, as the docs tell people to write one: it checks signature, age and repetitions."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer

HOOK = "hook"


class FakeWebhook(FakeServer):
    """`events` are the accepted ones by id. `now` in seconds since 1970."""

    def __init__(self, *, secret: str, now: Callable[[], float], patience_s: float = 300.0) -> None:
        super().__init__()
        self._secret = secret
        self._now = now
        self._patience_s = patience_s
        self.events: dict[str, dict[str, Any]] = {}
        self.repeated: list[str] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"{self.root}/hook?team=shop"

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_post("/hook", self._hook)
        app.router.add_get("/elsewhere", self._elsewhere)
        app.router.add_post("/moved", self._moved)
        return app

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(HOOK, request, self._accept, _refuse)

    async def _accept(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append(dict(request.headers))
        if request.content_type != "application/json":
            return _refuse("content type")
        timestamp = request.headers.get("X-Remediator-Timestamp", "")
        signed = hmac.new(self._secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("X-Remediator-Signature", ""), f"v1={signed}"):
            return web.json_response({"error": "signature"}, status=401)
        if not timestamp.isdecimal() or abs(self._now() - int(timestamp)) > self._patience_s:
            return web.json_response({"error": "too old"}, status=401)
        event = json.loads(body)
        name = request.headers["X-Remediator-Event"]
        if name != event.get("id"):
            self.violations.append("the event's id differs from its header")
        if name in self.events:
            self.repeated.append(name)
        self.events[name] = event
        return web.Response(status=204)

    async def _moved(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/elsewhere")

    async def _elsewhere(self, request: web.Request) -> web.Response:
        self.violations.append("followed a redirect")
        return web.Response(text="ok")


def _refuse(error: str) -> web.Response:
    return web.json_response({"error": error}, status=400)
