"""A fake Prometheus and Alertmanager: they answer what a test prepared, and remember how they were asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return dict(self.fields)[name]


class FakeJsonApi(FakeServer):
    """Answers every path with `body` (JSON, or text as it is) and `status`; the call is named by its path."""

    def __init__(self) -> None:
        super().__init__()
        self.body: Any = None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.content_type = "application/json"
        self.asked: list[Asked] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._any)
        return app

    async def _any(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(
            request.path, request, self._answer, lambda error: web.json_response(error, status=400)
        )

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post() if request.method == "POST" else request.query
        fields = [(k, str(v)) for k, v in form.items()]
        self.asked.append(Asked(request.method, request.path, fields, dict(request.headers)))
        if isinstance(self.body, str | bytes):
            body = self.body.encode() if isinstance(self.body, str) else self.body
            return web.Response(status=self.status, body=body, content_type=self.content_type, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


def success(kind: str, result: Any, **more: Any) -> dict[str, Any]:
    """Prometheus' envelope around a result."""
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}
