"""PagerDuty's Events API v2 and the part of its REST API that we use, contracts enforced, on a loopback port.

    async with FakePagerDuty() as pagerduty:
        pager = PagerDuty(pagerduty.routing_key, endpoint=pagerduty.url)
        incidents = PagerDutyRest(pagerduty.token, pagerduty.user, clock, url=pagerduty.root)

Its webhooks are in pagerduty_webhooks.py.

As a process of its own: `python -m tests.support.fake_pagerduty --port 0 --print-url`, then `GET /_incidents`,
`GET /_calls`, `POST /_faults`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.support.fake_http import FakeServer, serve_until_stopped

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
ENQUEUE = "enqueue"
CHANGE = "change"
FIND = "GET /incidents"
GET = "GET /incidents/id"
NOTES = "GET notes"
ANNOTATE = "POST note"

TOKEN = "u+fakefakefakefakefake"
USER = "remediator@example.com"
ACCEPT = "application/vnd.pagerduty+json;version=2"

_KNOWN = {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}
_PAYLOAD = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}
_CHANGE_KNOWN = {"routing_key", "payload", "links"}
_CHANGE_PAYLOAD = {"summary", "source", "timestamp", "custom_details"}
_SEVERITIES = ("critical", "error", "warning", "info")


@dataclass(slots=True, kw_only=True)
class FakeIncident:
    """What people see. `events` is every accepted event that belongs to it, `rings` how often it made a sound.

    `hidden`: accepted, but not an incident yet, as far as the REST API knows.
    """

    id: str
    routing_key: str
    dedup_key: str
    rings: int = 1
    hidden: bool = False
    changed_at: str = ""
    """RFC 3339; empty = it does not say."""
    notes: list[str] = field(default_factory=list)
    status: Literal["triggered", "acknowledged", "resolved"] = "triggered"
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def summary(self) -> str:
        return str(self.events[0]["payload"]["summary"])

    @property
    def severity(self) -> str:
        triggers = [event for event in self.events if event["event_action"] == "trigger"]
        return str(triggers[-1]["payload"]["severity"])


class FakePagerDuty(FakeServer):
    """`per_minute` > 0 answers 429 beyond that many events a minute and key (`clock` in seconds), `rest_per_minute`
    likewise for the REST API. `slow`: new incidents are hidden until `settle()`; `inactive`: events are accepted and no
    incident ever comes of them."""

    def __init__(
        self,
        *,
        routing_keys: Collection[str] = (ROUTING_KEY,),
        per_minute: int = 0,
        rest_per_minute: int = 960,
        slow: bool = False,
        inactive: bool = False,
        clock: Callable[[], float] = time.monotonic,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.routing_keys = tuple(routing_keys)
        self.incidents: list[FakeIncident] = []
        self.dropped: list[dict[str, Any]] = []
        """Acknowledges and resolves for which nothing was open."""
        self.bodies: list[str] = []
        """Every body received, as text."""
        self.changes: list[dict[str, Any]] = []
        """Accepted change events, with their routing keys."""
        self.token, self.user = TOKEN, USER
        self.per_minute = per_minute
        self.rest_per_minute = rest_per_minute
        self.slow, self.inactive = slow, inactive
        self._clock = clock
        self._asked: deque[float] = deque()
        self._accepted: deque[float] = deque()

    @property
    def url(self) -> str:
        return f"{self.root}/v2/enqueue"

    @property
    def routing_key(self) -> str:
        return self.routing_keys[0]

    def open_incidents(self) -> list[FakeIncident]:
        return [incident for incident in self.incidents if incident.status != "resolved"]

    def settle(self) -> None:
        """What was accepted becomes visible."""
        for incident in self.incidents:
            incident.hidden = False

    def incident(self, dedup_key: str) -> FakeIncident:
        """The newest of that key."""
        return [i for i in self.incidents if i.dedup_key == dedup_key][-1]

    def app(self) -> web.Application:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/v2/enqueue", self._enqueue)
        app.router.add_post("/v2/change/enqueue", self._change)
        app.router.add_get("/abilities", self._abilities)
        app.router.add_get("/incidents", self._find)
        app.router.add_get("/incidents/{id}", self._get)
        app.router.add_get("/incidents/{id}/notes", self._list_notes)
        app.router.add_post("/incidents/{id}/notes", self._annotate)
        app.router.add_get("/_incidents", self._show)
        return app

    async def _enqueue(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(ENQUEUE, request, self._accept, _refuse)

    async def _accept(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.bodies.append(body)
        if len(body.encode()) > 512_000:
            return _refuse("Event exceeds the size limit of 512 KB")
        try:
            event = json.loads(body)
        except ValueError:
            return _refuse("Event is not valid JSON")
        if not isinstance(event, dict):
            return _refuse("Event is not an object")
        if problem := self.problem(event):
            return _refuse(problem)
        if self._too_many():
            return web.json_response(
                {"status": "throttle exceeded", "message": "Requests are being rate limited"}, status=429
            )
        key = self._apply(event)
        return web.json_response({"status": "success", "message": "Event processed", "dedup_key": key}, status=202)

    def problem(self, event: dict[str, Any]) -> str:
        """Why PagerDuty would answer 400, or empty."""
        key = event.get("routing_key")
        if not isinstance(key, str) or len(key) != 32:
            return "Length of 'routing_key' is incorrect (should be 32 characters)"
        if key not in self.routing_keys:
            return "Invalid routing key"
        action = event.get("event_action")
        if action not in ("trigger", "acknowledge", "resolve"):
            return "'event_action' is missing or blank"
        dedup = event.get("dedup_key", "")
        if not isinstance(dedup, str) or len(dedup) > 255:
            return "'dedup_key' is too long"
        if not dedup and action != "trigger":
            return "'dedup_key' is missing or blank"
        if extra := event.keys() - _KNOWN:
            self.violations.append(f"unknown property {sorted(extra)[0]}")
        if any(not str(link.get("href", "")).startswith("http") for link in event.get("links", ())):
            return "'links' need an href"
        if any(not str(image.get("src", "")).startswith("https://") for image in event.get("images", ())):
            return "'images' need a src over https"
        return self._payload_problem(event.get("payload")) if action == "trigger" else ""

    def _payload_problem(self, payload: object) -> str:
        if not isinstance(payload, dict):
            return "'payload' is missing"
        for name in ("summary", "source", "severity"):
            if not isinstance(payload.get(name), str) or not payload[name].strip():
                return f"'payload.{name}' is missing or blank"
        if len(payload["summary"]) > 1024:
            return "'payload.summary' is too long"
        if payload["severity"] not in _SEVERITIES:
            return "'payload.severity' is invalid (must be one of the following: critical, warning, error or info)"
        if extra := payload.keys() - _PAYLOAD:
            self.violations.append(f"unknown property payload.{sorted(extra)[0]}")
        return ""

    def _too_many(self) -> bool:
        now = self._clock()
        while self._accepted and now - self._accepted[0] >= 60:
            self._accepted.popleft()
        if self.per_minute and len(self._accepted) >= self.per_minute:
            return True
        self._accepted.append(now)
        return False

    def _apply(self, event: dict[str, Any]) -> str:
        """Open, join, acknowledge or resolve. Without anything open, the last two are dropped silently."""
        routing_key, action = event["routing_key"], event["event_action"]
        key = event.get("dedup_key") or f"generated-{len(self.incidents)}"
        found = [i for i in self.open_incidents() if (i.routing_key, i.dedup_key) == (routing_key, key)]
        if not found and action == "trigger":
            number = len(self.incidents) + len(self.dropped)
            found = [FakeIncident(id=f"Q{number:05X}", routing_key=routing_key, dedup_key=key, hidden=self.slow)]
            self.incidents += [] if self.inactive else found
        if not found:
            self.dropped.append(event)
            return key
        incident = found[0]
        incident.events.append({k: v for k, v in event.items() if k != "routing_key"})
        if action == "resolve":
            incident.status = "resolved"
        elif action == "acknowledge":
            incident.status = "acknowledged"
        return key

    # Change events ----------------------------------------------------------------------------------------------------

    async def _change(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(CHANGE, request, self._accept_change, _refuse)

    async def _accept_change(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.bodies.append(body)
        event = json.loads(body)
        if problem := self.change_problem(event):
            return _refuse(problem)
        if self._too_many():
            return web.json_response({"status": "throttle exceeded"}, status=429)
        self.changes.append(event)
        return web.json_response({"status": "success", "message": "Change event processed"}, status=202)

    def change_problem(self, event: dict[str, Any]) -> str:
        """Why PagerDuty would answer 400, or empty."""
        if event.get("routing_key") not in self.routing_keys:
            return "Invalid routing key"
        payload = event.get("payload")
        if not isinstance(payload, dict) or not str(payload.get("summary") or "").strip():
            return "'payload.summary' is missing or blank"
        if len(payload["summary"]) > 1024:
            return "'payload.summary' is too long"
        if any(not str(link.get("href", "")).startswith("http") for link in event.get("links", ())):
            return "'links' need an href"
        for extra in (event.keys() - _CHANGE_KNOWN) | (payload.keys() - _CHANGE_PAYLOAD):
            self.violations.append(f"unknown property {extra}")
        return ""

    # REST -------------------------------------------------------------------------------------------------------------

    async def _abilities(self, request: web.Request) -> web.StreamResponse:
        async def answer(request: web.Request) -> web.Response:
            return self._denied(request) or web.json_response({"abilities": []})

        return await self.guarded("GET /abilities", request, answer, _rest_error)

    async def _find(self, request: web.Request) -> web.StreamResponse:
        async def answer(request: web.Request) -> web.Response:
            if denied := self._denied(request):
                return denied
            key, limit = request.query.get("incident_key"), int(request.query.get("limit", "25"))
            newest = [i for i in reversed(self.incidents) if not i.hidden and (key is None or i.dedup_key == key)]
            shown = [_incident_json(i) for i in newest[:limit]]
            return web.json_response({"incidents": shown, "limit": limit, "offset": 0, "more": len(newest) > limit})

        return await self.guarded(FIND, request, answer, _rest_error)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        async def answer(request: web.Request) -> web.Response:
            if denied := self._denied(request):
                return denied
            found = self._by_id(request)
            return web.json_response({"incident": _incident_json(found)}) if found else _not_found()

        return await self.guarded(GET, request, answer, _rest_error)

    async def _list_notes(self, request: web.Request) -> web.StreamResponse:
        async def answer(request: web.Request) -> web.Response:
            if denied := self._denied(request):
                return denied
            found = self._by_id(request)
            notes = [{"id": str(n), "content": text} for n, text in enumerate(found.notes)] if found else []
            return web.json_response({"notes": notes}) if found else _not_found()

        return await self.guarded(NOTES, request, answer, _rest_error)

    async def _annotate(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(ANNOTATE, request, self._accept_note, _rest_error)

    async def _accept_note(self, request: web.Request) -> web.Response:
        if denied := self._denied(request):
            return denied
        if request.headers.get("From") != self.user:
            return _rest_error("Requester User Not Found")
        found, body = self._by_id(request), await request.json()
        content = body.get("note", {}).get("content")
        if not isinstance(content, str) or not content.strip() or set(body) != {"note"}:
            return _rest_error("Content cannot be empty")
        if found is None:
            return _not_found()
        self.bodies.append(content)
        found.notes.append(content)
        return web.json_response({"note": {"id": f"N{len(found.notes)}", "content": content}}, status=201)

    def _denied(self, request: web.Request) -> web.Response | None:
        now = self._clock()
        while self._asked and now - self._asked[0] >= 60:
            self._asked.popleft()
        if len(self._asked) >= self.rest_per_minute:
            headers = {"ratelimit-limit": str(self.rest_per_minute), "ratelimit-remaining": "0"}
            headers["ratelimit-reset"] = str(max(1, int(self._asked[0] + 60 - now)))
            body = {"error": {"message": "Rate Limit Exceeded", "code": 2020}}
            return web.json_response(body, status=429, headers=headers)
        self._asked.append(now)
        if request.headers.get("Authorization") != f"Token token={self.token}":
            return web.Response(status=401)
        if request.headers.get("Accept") != ACCEPT:
            self.violations.append(f"Accept: {request.headers.get('Accept')}")
        return None

    def _by_id(self, request: web.Request) -> FakeIncident | None:
        wanted = request.match_info["id"]
        return next((i for i in self.incidents if i.id == wanted and not i.hidden), None)

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response([{**asdict(i), "summary": i.summary, "severity": i.severity} for i in self.incidents])


def _incident_json(incident: FakeIncident) -> dict[str, Any]:
    return {
        "id": incident.id,
        "type": "incident",
        "incident_key": incident.dedup_key,
        "status": incident.status,
        "title": incident.summary,
        **({"last_status_change_at": incident.changed_at} if incident.changed_at else {}),
    }


def _rest_error(error: str) -> web.Response:
    body = {"error": {"message": "Invalid Input Provided", "code": 2001, "errors": [error]}}
    return web.json_response(body, status=400)


def _not_found() -> web.Response:
    return web.json_response({"error": {"message": "Not Found", "code": 2100}}, status=404)


def _refuse(error: str) -> web.Response:
    body = {"status": "invalid event", "message": "Event object is invalid", "errors": [error]}
    return web.json_response(body, status=400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--routing-key", action="append", default=[], help="a key that exists; repeatable")
    parser.add_argument("--print-url", action="store_true", help="print the endpoint when listening")
    args = parser.parse_args()

    async def run() -> None:
        fake = FakePagerDuty(routing_keys=args.routing_key or (ROUTING_KEY,), port=args.port)
        await serve_until_stopped(fake, print_url=lambda: {"url": fake.url if args.print_url else "ready"})

    asyncio.run(run())


if __name__ == "__main__":
    main()
