"""A Patroni of three members that keeps to its REST API: what it refuses, and what its answers leave open."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer

USER, PASSWORD = "remediator", "patroni-password-1"
SWITCHOVER_KEYS = {"leader", "candidate", "member", "scheduled_at"}
RESTART_KEYS = {"restart_pending", "role", "timeout", "schedule", "postgres_version"}


class FakePatroni(FakeServer):
    """All members at one address; what only one of them can tell is told of `db-1`."""

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, dict[str, Any]] = {
            f"db-{n}": {"name": f"db-{n}", "role": "replica", "state": "streaming", "timeline": 1, "lag": 0}
            for n in range(3)
        }
        self.members["db-0"] |= {"role": "leader", "state": "running"}
        self.extra: dict[str, Any] = {}
        self.instead = ""
        """Who leads after a switchover, whatever was asked for."""
        self.started = "2025-06-01 10:00:00.000000+00:00"

    def app(self) -> web.Application:
        app = web.Application()
        for method, path in (("GET", "cluster"), ("GET", "patroni")):
            app.router.add_route(method, f"/{path}", self._read)
        for path in ("switchover", "failover", "restart", "reload"):
            app.router.add_post(f"/{path}", self._write)
        return app

    @property
    def leader(self) -> str:
        return next((name for name, one in self.members.items() if one["role"] == "leader"), "")

    def lead(self, name: str) -> None:
        for member in self.members.values():
            if member["role"] == "leader":
                member |= {"role": "replica", "state": "streaming", "lag": 0}
        if name:
            self.members[name] |= {"role": "leader", "state": "running"}

    async def _read(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(request.path[1:], request, self._told, lambda text: web.Response(text=text))

    async def _told(self, request: web.Request) -> web.Response:
        if request.path == "/cluster":
            return web.json_response({"members": list(self.members.values()), "scope": "db", **self.extra})
        return web.json_response({"state": "running", "postmaster_start_time": self.started})

    async def _write(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(request.path[1:], request, self._done, lambda text: web.Response(text=text))

    async def _done(self, request: web.Request) -> web.Response:
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {login}":
            return web.Response(status=401, text="not authenticated")
        done = {"/switchover": self._switchover, "/failover": self._failover}
        done |= {"/restart": self._restart, "/reload": self._reload}
        return done[request.path](await request.json())

    def _switchover(self, body: dict[str, Any]) -> web.Response:
        leader, candidate = body.get("leader"), body.get("candidate") or body.get("member")
        if set(body) - SWITCHOVER_KEYS or not leader:
            return web.Response(status=400, text="Switchover could be performed only from a specific leader")
        if leader != self.leader:
            return web.Response(status=412, text="leader name does not match")
        if candidate == leader:
            return web.Response(status=400, text="Switchover target and source are the same")
        return self._moved(str(candidate))

    def _failover(self, body: dict[str, Any]) -> web.Response:
        if not body.get("candidate"):
            return web.Response(status=400, text="Failover could be performed only to a specific candidate")
        if body.get("leader"):
            self.violations.append("a failover with a leader is a switchover")
        return self._moved(str(body["candidate"]))

    def _moved(self, candidate: str) -> web.Response:
        if candidate not in self.members:
            return web.Response(status=412, text="candidate does not exist")
        synchronous = [name for name, one in self.members.items() if one["role"] == "sync_standby"]
        if synchronous and candidate not in synchronous:
            return web.Response(status=412, text="candidate name does not match with sync_standby")
        new = self.instead or candidate
        self.lead(new)
        said = f'Successfully switched over to "{new}"'
        return web.Response(text=said if new == candidate else f'Switched over to "{new}" instead of "{candidate}"')

    def _restart(self, body: dict[str, Any]) -> web.Response:
        if set(body) - RESTART_KEYS:
            return web.Response(status=400, text="unexpected keys")
        role = body.get("role")
        if role == "master":  # before version 4 it is `primary` that is unknown
            return web.Response(status=400, text="PostgreSQL role should be either primary, or replica")
        if role == "replica" and self.leader == "db-1":
            return web.Response(status=412, text="role does not match")
        self.started = "2025-06-01 12:00:00.000000+00:00"
        return web.Response(text="restarted successfully")

    def _reload(self, body: dict[str, Any]) -> web.Response:
        return web.Response(status=202, text="reload scheduled")
