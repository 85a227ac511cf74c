"""A Vault with one KV version 2 engine that keeps to its documented API: what it requires, refuses and answers.

Policies are lists of capabilities by path. `values` are never part of what it logs: `calls` has methods and paths only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer

JWT, ROLE_ID, SECRET_ID, FIXED = "jwt-of-the-account-1", "role-id-1", "secret-id-of-approle-1", "hvs.fixed-token-1"
CAS = "check-and-set parameter did not match the current version"
MERGE = "application/merge-patch+json"

Handler = Any


class FakeVault(FakeServer):
    """The engine is mounted at `secret`. `policy`: capabilities by path, for every token."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: set[str] = {FIXED}
        self.logins = 0
        self.sealed = False
        self.standby = ""
        """The active node's address: then everything is redirected to it."""
        self.behind = 0
        """So many of the next requests find this node behind (412)."""
        self.secrets: dict[str, dict[str, Any]] = {}
        self.policy: dict[str, list[str]] = {}
        self.namespaces: list[str] = []
        self.bodies: list[tuple[str, Any]] = []
        """(call, body) of everything that changes something."""
        self.sent: list[Any] = []
        """Bodies of all writes of data that came in, also of those that failed."""
        self.meanwhile: dict[str, Callable[[], Any]] = {}
        """What somebody else does right before the next such call is answered."""

    def put(self, path: str, data: Mapping[str, Any], *, by_policy: bool = True) -> int:
        """A version, written by somebody."""
        entry = self.secrets.setdefault(
            path,
            {"versions": {}, "custom": None, "max_versions": 0, "cas_required": False, "delete_after": "0s", "now": 0},
        )
        entry["now"] += 1
        entry["versions"][entry["now"]] = {"data": dict(data), "deletion_time": "", "destroyed": False}
        for number in sorted(entry["versions"])[: -(entry["max_versions"] or 10)]:
            del entry["versions"][number]
        if by_policy:
            for what in ("data", "metadata"):
                self.policy.setdefault(f"secret/{what}/{path}", ["read", "patch"])
            self.policy.setdefault(f"secret/subkeys/{path}", ["read"])
        return int(entry["now"])

    def value(self, path: str, key: str) -> Any:
        entry = self.secrets[path]
        return entry["versions"][entry["now"]]["data"].get(key)

    def expire(self) -> None:
        """No token that somebody signed in for is taken any more."""
        self.tokens = {FIXED}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/v1/{path:.*}", self._any)
        return app

    async def _any(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.namespaces.append(request.headers.get("X-Vault-Namespace", ""))
        if request.headers.get("X-Vault-Request") != "true":
            self.violations.append(f"{request.method} {path} without X-Vault-Request")
        call = f"{request.method} {path}"
        if call.startswith("PATCH secret/data/"):
            self.sent.append(await request.json())
        if call in self.meanwhile:
            self.meanwhile.pop(call)()
        return await self.guarded(call, request, self._answer, lambda error: _errors(400, error))

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if self.sealed:
            return _errors(503, "Vault is sealed")
        if self.standby:
            return web.Response(status=307, headers={"Location": f"{self.standby}/v1/{path}"})
        if path.startswith("auth/") and path.endswith("/login"):
            return await self._sign_in(request, path.split("/")[1])
        if request.headers.get("X-Vault-Token", "") not in self.tokens:
            return _errors(403, "permission denied")
        if self.behind:
            self.behind -= 1
            return _errors(412, "required index state not present")
        if path == "sys/capabilities-self" and request.method == "POST":
            asked = (await request.json())["paths"]
            have = {one: self.policy.get(one, ["deny"]) for one in asked}
            return web.json_response({"data": have, **have})
        mount, _, rest = path.partition("/")
        what, _, name = rest.partition("/")
        if mount != "secret":
            return _errors(404, f'no handler for route "{path}". route entry not found.')
        return await self._engine(request, what, name)

    async def _sign_in(self, request: web.Request, method: str) -> web.Response:
        body = await request.json()
        known = {
            "kubernetes": {"role": "remediator", "jwt": JWT},
            "approle": {"role_id": ROLE_ID, "secret_id": SECRET_ID},
        }
        if method not in known:
            return _errors(403, "permission denied")
        if body != known[method]:
            if method == "approle":
                return _errors(400, "invalid role or secret ID")
            return _errors(403, "permission denied")
        self.logins += 1
        token = f"hvs.token-number-{self.logins}"
        self.tokens.add(token)
        auth = {"client_token": token, "lease_duration": 3600, "renewable": True, "policies": ["default"]}
        return web.json_response({"data": None, "auth": auth})

    async def _engine(self, request: web.Request, what: str, name: str) -> web.Response:
        handlers: dict[tuple[str, str], tuple[str, Handler]] = {
            ("GET", "data"): ("read", self._read),
            ("PATCH", "data"): ("patch", self._patch),
            ("GET", "metadata"): ("read", self._metadata),
            ("PATCH", "metadata"): ("patch", self._patch_metadata),
            ("GET", "subkeys"): ("read", self._subkeys),
        }
        if (request.method, what) not in handlers:
            return _errors(405, "1 error occurred:\n\t* unsupported operation\n\n")
        capability, handler = handlers[request.method, what]
        if capability not in self.policy.get(f"secret/{what}/{name}", []):
            return _errors(403, "1 error occurred:\n\t* permission denied\n\n")
        if request.method == "PATCH" and request.headers.get("Content-Type") != MERGE:
            return _errors(415, f"PATCH requires Content-Type of {MERGE}, provided other")
        if name not in self.secrets:
            return _errors(404)
        if request.method == "PATCH":
            self.bodies.append((f"PATCH {what}", await request.json()))
        answer: web.Response = await handler(request, self.secrets[name])
        return answer

    async def _read(self, request: web.Request, entry: dict[str, Any]) -> web.Response:
        number = int(request.query.get("version", "0")) or entry["now"]
        one = entry["versions"].get(number)
        if one is None:
            return _errors(404)
        gone = bool(one["destroyed"] or one["deletion_time"])
        found = {"data": None if gone else one["data"], "metadata": _about(entry, number)}
        return web.json_response({"data": found}, status=404 if gone else 200)

    async def _subkeys(self, request: web.Request, entry: dict[str, Any]) -> web.Response:
        number = int(request.query.get("version", "0")) or entry["now"]
        one = entry["versions"].get(number)
        if one is None or one["destroyed"] or one["deletion_time"]:
            return _errors(404)
        found = {"subkeys": dict.fromkeys(one["data"]), "metadata": _about(entry, number)}
        return web.json_response({"data": found})

    async def _patch(self, request: web.Request, entry: dict[str, Any]) -> web.Response:
        body = await request.json()
        if "data" not in body:
            return _errors(400, "no data provided")
        cas = body.get("options", {}).get("cas")
        if cas is None and entry["cas_required"]:
            return _errors(400, "check-and-set parameter required for this call")
        if cas is not None and cas != entry["now"]:
            return _errors(400, CAS)
        one = entry["versions"].get(entry["now"])
        if one is None or one["destroyed"] or one["deletion_time"]:
            return web.json_response({"data": _about(entry, entry["now"])}, status=404)
        merged = {**one["data"], **body["data"]}
        path = next(path for path, known in self.secrets.items() if known is entry)
        number = self.put(path, {key: value for key, value in merged.items() if value is not None})
        return web.json_response({"data": _about(entry, number)})

    async def _metadata(self, request: web.Request, entry: dict[str, Any]) -> web.Response:
        found = {
            "cas_required": entry["cas_required"],
            "created_time": "2025-06-01T10:00:00.123456789Z",
            "current_version": entry["now"],
            "custom_metadata": entry["custom"],
            "delete_version_after": entry["delete_after"],
            "max_versions": entry["max_versions"],
            "oldest_version": min(entry["versions"], default=0),
            "updated_time": "2025-06-01T10:00:00.123456789Z",
            "versions": {
                str(number): {
                    "created_time": f"2025-06-01T10:{number:02}:00.123456789Z",
                    "deletion_time": one["deletion_time"],
                    "destroyed": one["destroyed"],
                }
                for number, one in entry["versions"].items()
            },
        }
        return web.json_response({"data": found})

    async def _patch_metadata(self, request: web.Request, entry: dict[str, Any]) -> web.Response:
        body = await request.json()
        custom = {**(entry["custom"] or {}), **body.get("custom_metadata", {})}
        for name, text in custom.items():
            if not isinstance(text, str) or len(name) > 128 or len(text) > 512 or len(custom) > 64:
                return _errors(400, "custom_metadata validation failed")
        entry["custom"] = custom
        return web.Response(status=204)


def _about(entry: dict[str, Any], number: int) -> dict[str, Any]:
    one = entry["versions"][number]
    return {
        "version": number,
        "created_time": f"2025-06-01T10:{number:02}:00.123456789Z",
        "deletion_time": one["deletion_time"],
        "destroyed": one["destroyed"],
        "custom_metadata": entry["custom"],
    }


def _errors(status: int, *errors: str) -> web.Response:
    return web.Response(status=status, text=json.dumps({"errors": list(errors)}), content_type="application/json")
