"""The read-only parts of PagerDuty and Opsgenie that tell who is on call, enforcing their documented contracts.

    async with FakePagerDutySchedules() as pagerduty:
        pagerduty.schedules["PSCHED1"] = [person("PANN", "ann@shop.example")]
        oncall = PagerDutyOnCall(lambda: TOKEN, url=pagerduty.root)

`page` makes PagerDuty's answers that short, whatever is asked for. `fail(...)` scripts 429, 5xx, hangs and garbage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.support.fake_http import FakeServer

TOKEN = "pd-read-only-token"
GENIE_KEY = "11111111-2222-3333-4444-555555555555"
VERSION = "application/vnd.pagerduty+json;version=2"
ONCALLS = "oncalls"
_KNOWN = {"schedule_ids[]", "user_ids[]", "escalation_policy_ids[]", "include[]", "since", "until", "earliest"}
_PAGING = {"limit", "offset", "total", "time_zone"}


@dataclass(frozen=True, slots=True)
class OnDuty:
    """One entry: level of the escalation policy, and who."""

    id: str
    email: str = ""
    level: int = 1


class FakePagerDutySchedules(FakeServer):
    """`GET /oncalls`. A schedule that no escalation policy uses has no entries, like one that does not exist."""

    def __init__(self, *, token: str = TOKEN, page: int = 100) -> None:
        super().__init__()
        self.token = token
        self.page = page
        self.schedules: dict[str, list[OnDuty]] = {}
        self.asked: list[dict[str, list[str]]] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/oncalls", self._oncalls)
        return app

    async def _oncalls(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(ONCALLS, request, self._answer, _refused)

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Token token={self.token}":
            return web.json_response({"error": {"message": "Unauthorized", "code": 2006}}, status=401)
        if request.headers.get("Accept") != VERSION:
            self.violations.append("Accept does not name version 2")
        query = request.query
        self.asked.append({key: query.getall(key) for key in query})
        if unknown := set(query) - _KNOWN - _PAGING:
            return _refused(f"unknown parameters {sorted(unknown)}")
        limit, offset = int(query.get("limit", "25")), int(query.get("offset", "0"))
        if not 1 <= limit <= 100 or offset < 0:
            return _refused("limit must be between 1 and 100")
        wanted = query.getall("schedule_ids[]", list(self.schedules))
        entries = [
            _entry(schedule, duty, whole="users" in query.getall("include[]", []))
            for schedule in wanted
            for duty in self.schedules.get(schedule, [])
        ]
        size = min(limit, self.page)
        page, more = entries[offset : offset + size], offset + size < len(entries)
        return web.json_response({"oncalls": page, "limit": size, "offset": offset, "more": more, "total": None})


def _entry(schedule: str, duty: OnDuty, *, whole: bool) -> dict[str, Any]:
    user: dict[str, Any] = {"id": duty.id, "type": "user_reference", "summary": f"User {duty.id}"}
    if whole:
        user |= {"type": "user", "email": duty.email, "name": f"User {duty.id}"}
    return {
        "user": user,
        "schedule": {"id": schedule, "type": "schedule_reference", "summary": schedule},
        "escalation_policy": {"id": "PPOLICY", "type": "escalation_policy_reference", "summary": "shop"},
        "escalation_level": duty.level,
        "start": "2025-06-02T08:00:00Z",
        "end": None,
    }


def _refused(message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": 2001, "errors": [message]}}, status=400)


class FakeOpsgenie(FakeServer):
    """`GET /v2/schedules/{id}/on-calls`. `schedules` by name; `ids` maps ids to names."""

    def __init__(self, *, api_key: str = GENIE_KEY) -> None:
        super().__init__()
        self.api_key = api_key
        self.schedules: dict[str, list[str]] = {}
        self.ids: dict[str, str] = {}
        self.disabled: set[str] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v2/schedules/{id}/on-calls", self._oncalls)
        return app

    async def _oncalls(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(ONCALLS, request, self._answer, _refused_by_genie)

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"GenieKey {self.api_key}":
            return web.json_response({"message": "Could not authenticate", "took": 0.0, "requestId": "r"}, status=401)
        kind = request.query.get("scheduleIdentifierType", "id")
        if kind not in ("id", "name"):
            return _refused_by_genie("scheduleIdentifierType is id or name")
        called = unquote(request.match_info["id"])
        name = self.ids.get(called, "") if kind == "id" else called
        if name not in self.schedules:
            return web.json_response({"message": "Schedule not found", "took": 0.0, "requestId": "r"}, status=404)
        parent = {"id": "s1", "name": name, "enabled": name not in self.disabled}
        people = self.schedules[name]
        if request.query.get("flat") == "true":
            data: dict[str, Any] = {"_parent": parent, "onCallRecipients": people}
        else:
            data = {"_parent": parent, "onCallParticipants": [{"id": p, "name": p, "type": "user"} for p in people]}
        return web.json_response({"data": data, "took": 0.01, "requestId": "r"})


def _refused_by_genie(message: str) -> web.Response:
    return web.json_response({"message": message, "took": 0.0, "requestId": "r"}, status=422)
