"""`/api/v1`: what CLI, console and scripts read and write. The table of routes, with the role that each needs."""

from __future__ import annotations

from aiohttp import web

from remediator.http import requests
from remediator.http.access import USER, Access, Role
from remediator.http.alert_json import alerts_in
from remediator.http.answers import Handler, answer, errors_as_json
from remediator.http.auth import Users
from remediator.http.body import BodyReader
from remediator.people.account import Account
from remediator.people.handover import as_json
from remediator.ports import Clock
from remediator.service import InvalidRequest, Service

PREFIX = "/api/v1"
MAX_BODY = 1024 * 1024
"""Also for `explain`: a webhook body with more than 20 alerts is refused anyway."""
CLI_AGENT = "remediator-cli"


class Api:
    """Reads a request, calls the service, answers JSON."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._reader = BodyReader(MAX_BODY, budget=16 * MAX_BODY)

    def routes(self) -> tuple[tuple[str, str, Role, Handler], ...]:
        one = "/remediations/{id}"
        return (
            ("GET", "/alerts", "viewer", self.alerts),
            ("GET", "/remediations", "viewer", self.remediations),
            ("GET", one, "viewer", self.remediation),
            ("POST", f"{one}/approve", "approver", self.approve),
            ("POST", f"{one}/reject", "operator", self.reject),
            ("POST", f"{one}/snooze", "approver", self.snooze),
            # Of a remediation's episode, or of an episode by its own id.
            ("POST", "/episodes/{id}/take", "operator", self.take),
            ("POST", "/episodes/{id}/give-back", "operator", self.give_back),
            ("GET", "/handover", "viewer", self.handover),
            ("POST", "/test-page", "operator", self.test_page),
            ("GET", "/doctor", "viewer", self.doctor),
            ("GET", "/playbooks", "viewer", self.playbooks),
            ("POST", "/playbooks/{id}/run", "operator", self.run),
            ("GET", "/pauses", "viewer", self.pauses),
            ("POST", "/pauses", "operator", self.pause),
            ("DELETE", "/pauses", "operator", self.resume_scope),
            ("DELETE", "/pauses/{id}", "operator", self.resume),
            ("POST", "/explain", "viewer", self.explain),
        )

    async def alerts(self, request: web.Request) -> web.StreamResponse:
        query = requests.from_query(requests.ListAlerts, request)
        return answer({"alerts": await self._service.alerts(query.limit)})

    async def remediations(self, request: web.Request) -> web.StreamResponse:
        query = requests.from_query(requests.ListRemediations, request)
        found = await self._service.remediations(limit=query.limit, state=query.state, playbook=query.playbook)
        return answer({"remediations": found})

    async def remediation(self, request: web.Request) -> web.StreamResponse:
        requests.from_query(requests.Nothing, request)
        # Log text of other teams' programs is not for everybody who may look.
        return answer(await self._service.show(_id(request), evidence=request[USER].may("operator")))

    async def test_page(self, request: web.Request) -> web.StreamResponse:
        said = await requests.from_body(requests.TestPage, request, self._reader)
        return answer(await self._service.test_page(_who(request).name, said.service))

    async def approve(self, request: web.Request) -> web.StreamResponse:
        said = await requests.from_body(requests.Approve, request, self._reader)
        glass = said.break_glass
        asked = {"digest": said.digest, "break_glass": glass, "change": said.change}
        return answer(await self._service.approve(_id(request), _who(request), **asked))

    async def reject(self, request: web.Request) -> web.StreamResponse:
        said = await requests.from_body(requests.Reject, request, self._reader)
        return answer(await self._service.reject(_id(request), _who(request), why=said.reason))

    async def snooze(self, request: web.Request) -> web.StreamResponse:
        said = await requests.from_body(requests.Snooze, request, self._reader)
        until = said.end(self._clock.now())
        assert until is not None  # Snooze asks for one of the two
        return answer(await self._service.snooze(_id(request), _who(request), until=until))

    async def take(self, request: web.Request) -> web.StreamResponse:
        await requests.from_body(requests.Nothing, request, self._reader)
        return answer(await self._service.take(_id(request), _who(request)))

    async def give_back(self, request: web.Request) -> web.StreamResponse:
        await requests.from_body(requests.Nothing, request, self._reader)
        return answer(await self._service.give_back(_id(request), _who(request)))

    async def handover(self, request: web.Request) -> web.StreamResponse:
        query = requests.from_query(requests.HandOver, request)
        return answer(as_json(await self._service.handover(query.since)))

    async def doctor(self, request: web.Request) -> web.StreamResponse:
        requests.from_query(requests.Nothing, request)
        return answer(await self._service.doctor())

    async def playbooks(self, request: web.Request) -> web.StreamResponse:
        requests.from_query(requests.Nothing, request)
        return answer({"playbooks": self._service.playbooks()})

    async def run(self, request: web.Request) -> web.StreamResponse:
        said = await requests.from_body(requests.Run, request, self._reader)
        header = request.headers.get("Idempotency-Key", "")
        if said.key and header and said.key != header:
            raise InvalidRequest("key: the header Idempotency-Key says another one", advice="Give one of them.")
        asked = {"target": said.target, "cluster": said.cluster, "why": said.reason, "key": said.key or header[:200]}
        return answer(await self._service.run(_id(request), _who(request), params=said.params, **asked), status=202)

    async def pauses(self, request: web.Request) -> web.StreamResponse:
        requests.from_query(requests.Nothing, request)
        return answer({"pauses": await self._service.pauses()})

    async def pause(self, request: web.Request) -> web.StreamResponse:
        said = await requests.from_body(requests.Pause, request, self._reader)
        until = said.end(self._clock.now())
        made = await self._service.pause(said.scope, _who(request), why=said.reason, until=until)
        return answer(made, status=201)

    async def resume(self, request: web.Request) -> web.StreamResponse:
        return answer(await self._service.resume(_id(request), _who(request)))

    async def resume_scope(self, request: web.Request) -> web.StreamResponse:
        query = requests.from_query(requests.Resume, request)
        return answer(await self._service.resume_scope(query.scope, _who(request)))

    async def explain(self, request: web.Request) -> web.StreamResponse:
        document = await requests.json_body(request, self._reader)
        found = alerts_in(document, self._clock.now())
        return answer({"explanations": [await self._service.explain(alert) for alert in found]})


def make_api(service: Service, users: Users, clock: Clock) -> web.Application:
    """The sub-application below `/api/v1`."""
    app = web.Application(middlewares=[errors_as_json], client_max_size=MAX_BODY)
    access = Access(users)
    for method, path, role, handler in Api(service, clock).routes():
        app.router.add_route(method, path, access.needs(role, handler))
    return app


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _who(request: web.Request) -> Account:
    """The account behind the token."""
    user = request[USER]
    via = "cli" if request.headers.get("User-Agent", "").startswith(CLI_AGENT) else "api"
    return Account(system="api", id=user.name, name=user.name, role=user.role, via=via)
