"""ServiceNow's change requests, to be read: authentication, one table, values as its API gives them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer
from tests.support.fake_tickets import BASIC

LOOK = "look"


class FakeChanges(FakeServer):
    """`changes` by number: state, approval, start_date, end_date."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, dict[str, str]] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/now/table/change_request", self._get)
        return app

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != BASIC:
            return web.json_response({"error": {"message": "User Not Authenticated"}}, status=401)
        return await self.guarded(LOOK, request, self._found, lambda error: web.Response(status=400, text=error))

    async def _found(self, request: web.Request) -> web.Response:
        if request.query.get("sysparm_display_value") != "false":
            self.violations.append("times would be in the zone of the user")
        field, _, number = request.query["sysparm_query"].partition("=")
        assert field == "number"
        wanted = request.query["sysparm_fields"].split(",")
        rows: list[dict[str, Any]] = [
            {name: {"number": n, **change}.get(name, "") for name in wanted}
            for n, change in self.changes.items()
            if n == number
        ]
        return web.json_response({"result": rows})
