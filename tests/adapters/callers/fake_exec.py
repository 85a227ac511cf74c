"""An API server that runs programs: the pod, the right to exec, and the websocket with its protocol and its path."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer

TOKEN = "exec-token-1"
V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"

Conversation = Callable[[web.WebSocketResponse], Awaitable[None]]

SUCCESS = {"metadata": {}, "status": "Success"}


def exited(code: int) -> dict[str, Any]:
    """The Status of a program that ended with another code, as the API server writes it."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def internal(message: str) -> dict[str, Any]:
    return {"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500, "message": message}


def refusal(code: int, reason: str, message: str, name: str = "") -> tuple[int, dict[str, Any]]:
    details = {"name": name, "kind": "pods"} if name else {}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "details": details}
    return code, {**status, "reason": reason, "message": message, "code": code}


def pod(name: str = "api-1", *, uid: str = "uid-api-1", **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": "1", **more},
        "spec": {"containers": [{"name": "app"}, {"name": "proxy"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "app", "state": {"running": {"startedAt": "2025-06-01T10:00:00Z"}}},
                {"name": "proxy", "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
            ],
        },
    }


def says(*frames: tuple[int, bytes], status: Mapping[str, Any] | None = SUCCESS) -> Conversation:
    """These frames, then the Status on channel 3."""

    async def talk(socket: web.WebSocketResponse) -> None:
        for channel, chunk in frames:
            await socket.send_bytes(bytes([channel]) + chunk)
        if status is not None:
            await socket.send_bytes(b"\x03" + json.dumps(status).encode())

    return talk


class FakeExec(FakeServer):
    """`pods` by name; `refuse` answers the handshake in plain HTTP; `talk` is what a program says."""

    def __init__(self) -> None:
        super().__init__()
        self.pods: dict[str, dict[str, Any]] = {"api-1": pod()}
        self.refuse: tuple[int, dict[str, Any] | str] | None = None
        self.redirect = ""
        self.hang_up = False
        self.talk: Conversation = says()
        self.protocols: tuple[str, ...] = (V5, V4)
        self.may: set[str] = {"create", "get"}
        self.ran: list[list[tuple[str, str]]] = []
        """The query of each program that was started."""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/shop/pods/{pod}", self._pod)
        app.router.add_get("/api/v1/namespaces/shop/pods/{pod}/exec", self._exec)
        app.router.add_post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", self._review)
        return app

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.root}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
        }
        path.write_text(json.dumps(config))
        return path

    async def _pod(self, request: web.Request) -> web.Response:
        name = request.match_info["pod"]
        self.calls.append("pod")
        if name not in self.pods:
            code, status = refusal(404, "NotFound", f'pods "{name}" not found', name)
            return web.json_response(status, status=code)
        return web.json_response(self.pods[name])

    async def _review(self, request: web.Request) -> web.Response:
        asked = (await request.json())["spec"]["resourceAttributes"]
        assert (asked["resource"], asked["subresource"], asked["namespace"]) == ("pods", "exec", "shop")
        return web.json_response({"status": {"allowed": asked["verb"] in self.may}}, status=201)

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        self.calls.append("exec")
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        if self.hang_up:
            assert request.transport is not None
            request.transport.close()
        if self.redirect:
            raise web.HTTPTemporaryRedirect(self.redirect)
        if self.refuse is not None:
            code, said = self.refuse
            if isinstance(said, str):
                return web.Response(status=code, text=said)
            return web.json_response(said, status=code)
        assert request.headers.get("Sec-WebSocket-Protocol", "").split(",") == [V5, V4]
        query = list(request.query.items())
        assert ("stdin", "true") not in query
        assert ("tty", "true") not in query
        self.ran.append(query)
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        await self.talk(socket)
        await socket.close()
        return socket
