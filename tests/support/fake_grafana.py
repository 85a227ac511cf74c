"""Grafana's annotations API with its documented fields and token authentication."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer

TOKEN = "glsa_test0123456789"
CREATE, CHANGE = "create", "change"
_KNOWN = {"dashboardUID", "panelId", "time", "timeEnd", "tags", "text"}
_CHANGEABLE = {"time", "timeEnd", "tags", "text"}


class FakeGrafana(FakeServer):
    """`annotations` by id. Dashboards must exist."""

    def __init__(self, *, dashboards: tuple[str, ...] = ("checkout-overview",)) -> None:
        super().__init__()
        self.annotations: dict[int, dict[str, Any]] = {}
        self._dashboards = dashboards

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/annotations", self._create)
        app.router.add_patch("/api/annotations/{id}", self._change)
        return app

    async def _create(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(CREATE, request, self._created, _refuse)

    async def _change(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(CHANGE, request, self._patched, _refuse)

    async def _created(self, request: web.Request) -> web.Response:
        if problem := _stranger(request):
            return problem
        body = await request.json()
        if unknown := body.keys() - _KNOWN:
            return _refuse(f"unknown field {sorted(unknown)[0]}")
        if not body.get("text"):
            return _refuse("text must not be empty")
        if "dashboardUID" in body and body["dashboardUID"] not in self._dashboards:
            return web.json_response({"message": "Dashboard not found"}, status=404)
        if problem := self._bad(body):
            return problem
        number = len(self.annotations) + 1
        self.annotations[number] = body
        return web.json_response({"message": "Annotation added", "id": number})

    async def _patched(self, request: web.Request) -> web.Response:
        if problem := _stranger(request):
            return problem
        number, body = int(request.match_info["id"]), await request.json()
        if number not in self.annotations:
            return web.json_response({"message": "Could not find annotation to update"}, status=404)
        if unknown := body.keys() - _CHANGEABLE:
            return _refuse(f"cannot change {sorted(unknown)[0]}")
        if problem := self._bad(body):
            return problem
        self.annotations[number] |= body
        return web.json_response({"message": "Annotation patched"})

    def _bad(self, body: dict[str, Any]) -> web.Response | None:
        if any(not isinstance(body.get(name, 0), int) for name in ("time", "timeEnd", "panelId")):
            return _refuse("a time is not a number")
        if body.get("timeEnd", 0) < body.get("time", 0):
            return _refuse("the region ends before it begins")
        if any(not isinstance(tag, str) or len(tag) > 100 for tag in body.get("tags", ())):
            return _refuse("a tag is too long")
        return None


def _stranger(request: web.Request) -> web.Response | None:
    if request.headers.get("Authorization") == f"Bearer {TOKEN}":
        return None
    return web.json_response({"message": "Unauthorized"}, status=401)


def _refuse(error: str) -> web.Response:
    return web.json_response({"message": error}, status=400)
