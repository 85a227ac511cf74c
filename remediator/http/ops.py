"""For whoever runs the service: is it alive, may it get traffic, what does it count, read the playbooks again."""

from __future__ import annotations

from aiohttp import web

from remediator.http.access import USER, Access
from remediator.http.answers import answer, errors_as_json
from remediator.http.auth import Users
from remediator.metrics import Metrics
from remediator.service import Service

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def make_ops(service: Service, users: Users) -> web.Application:
    """The sub-application below `/-`."""

    async def healthy(request: web.Request) -> web.StreamResponse:
        """The process answers. It says nothing about what it depends on: a restart would not mend that."""
        return answer({"healthy": True})

    async def ready(request: web.Request) -> web.StreamResponse:
        """Store and playbooks are there. A reload that failed leaves it ready: the last good version is in force."""
        readiness = await service.readiness()
        body = {"ready": readiness.ready, "missing": dict(readiness.missing)}
        return answer(body, status=200 if readiness.ready else 503)

    async def reload(request: web.Request) -> web.StreamResponse:
        return answer(await service.reload(request[USER].name))

    app = web.Application(middlewares=[errors_as_json])
    app.router.add_get("/healthy", healthy)
    app.router.add_get("/ready", ready)
    app.router.add_post("/reload", Access(users).needs("admin", reload))
    return app


def add_metrics(app: web.Application, metrics: Metrics) -> None:
    """Open to everybody, like every exporter; it holds counts and names of playbooks, nothing else."""

    async def render(request: web.Request) -> web.StreamResponse:
        return web.Response(body=metrics.render(), headers={"Content-Type": METRICS_TYPE})

    app.router.add_get("/metrics", render)
