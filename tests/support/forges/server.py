"""What both fake forges have: a token with rights, scripted faults, and answers that get lost after the work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer
from tests.support.forges.git import Pull, Repo

TOKEN = "forge-token-1234567890"
WEB = "apps/shop/web.yaml"
FILES = {
    WEB: "kind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 3\n",
    "apps/shop/api.yaml": "kind: Deployment\nmetadata:\n  name: api\nspec:\n  replicas: 1\n",
    "apps/shop/README.md": "not for machines\n",
    "apps/blog/web.yaml": "kind: Deployment\n",
    "infra/dns.yaml": "kind: Zone\n",
    ".github/workflows/ci.yaml": "on: push\n",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ForgeServer(FakeServer):
    """`lose[call]`: so many answers to this call are lost after it was carried out."""

    kind = ""

    def __init__(self) -> None:
        super().__init__()
        self.repo = Repo(FILES)
        self.token = TOKEN
        self.sees = True
        """Whether the token may see the project."""
        self.may_push = True
        self.may_propose = True
        self.late: set[int] = set()
        """Numbers of pull requests that lists do not show yet: they come from a search, which lags behind."""
        self.unseen: set[str] = set()
        """Branches that reads do not show yet."""
        self.moved = False
        """Whether the project has another name by now."""
        self.lose: Counter[str] = Counter()
        self.writes: list[str] = []
        """Names of the calls that change something, in order."""

    def refused(self, request: web.Request) -> web.Response | None:
        """What the server says to a request that it does not take at all."""
        raise NotImplementedError

    def listed(self, branch: str) -> list[Pull]:
        """The pull requests from a branch, the newest first."""
        return [one for one in reversed(self.repo.pulls) if one.branch == branch and one.number not in self.late]

    def said(self, status: int, message: Any) -> web.Response:
        return web.json_response({"message": message}, status=status)

    def route(self, app: web.Application, method: str, path: str, call: str, handler: Handler) -> None:
        """`call` names it in faults; whatever is no GET counts as a write."""

        async def work(request: web.Request) -> web.Response:
            answer = self.refused(request) or await handler(request)
            assert isinstance(answer, web.Response)
            if self.lose[call]:
                self.lose[call] -= 1
                assert request.transport is not None
                request.transport.close()
                raise web.HTTPServiceUnavailable
            return answer

        async def answer(request: web.Request) -> web.StreamResponse:
            if method != "GET":
                self.writes.append(call)
            return await self.guarded(call, request, work, lambda text: self.said(500, text))

        app.router.add_route(method, path, answer)

    def place(self, **more: Any) -> dict[str, Any]:
        """An entry of `outside.forges`."""
        repository = {
            "name": "deploy",
            "project": self.repo.project,
            "urls": ["https://git.example.com/acme/deploy.git", "git@git.example.com:acme/deploy.git"],
            "branches": ["main"],
            "paths": ["apps/*"],
        }
        return {
            "name": "ours",
            "kind": self.kind,
            "url": self.root,
            "token_file": {"value": TOKEN},
            "repositories": [{**repository, **more}],
            "timeout": "30s",
        }


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON of a request; empty for anything else."""
    if request.content_type != "application/json":
        return {}
    found = await request.json()
    return found if isinstance(found, dict) else {}


def stored(text: str) -> bytes:
    """What both forges make of a text that they are sent: they take `core.autocrlf=input` for it."""
    return text.replace("\r\n", "\n").encode()
