"""The caller `http`: endpoints that the operator lists, with the methods and paths that may be used there.

ask   {"about": "endpoint", "method", "path"}   whether it may be sent, and whether twice is as good as once
      {"path"}                                  a GET that the list allows: status and body
send  {"method", "path", "body"?}               once, with the effect's key where the endpoint takes one
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
from yarl import URL

from remediator.adapters.callers.http_wire import Answered, Wire, asked, read_failure, send_failure
from remediator.adapters.http_probe import GuardedResolver, require_visitable
from remediator.adapters.json_out import trusting
from remediator.errors import CannotSee, Forbidden, InvalidConfig, NotFound, Refused, Uncertain
from remediator.outside import HttpEndpoint
from remediator.ports import Found

MAX_BODY = 64 * 1024
PART = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,100}")
"""What may stand in place of `{name}` in a path: nothing that is a step up, a separator or an escape."""


def allows(endpoint: HttpEndpoint, method: str, path: str) -> bool:
    """Whether the operator's list has this method with a path template that fits."""
    return any(method == one.method and _fits(one.path, path) for one in endpoint.allow)


def _fits(template: str, path: str) -> bool:
    wanted, given = template.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        PART.fullmatch(g) is not None if w.startswith("{") else w == g for w, g in zip(wanted, given, strict=True)
    )


class HttpCaller:
    """One `Wire` an endpoint. `place` is an endpoint's name."""

    def __init__(self, endpoints: tuple[HttpEndpoint, ...], *, allow_loopback: bool = False) -> None:
        """Raises: InvalidConfig."""
        self._endpoints = {one.name: one for one in endpoints}
        self._wires = {one.name: _wire(one, allow_loopback) for one in endpoints}

    async def close(self) -> None:
        for wire in self._wires.values():
            await wire.close()

    async def ask(self, place: str, request: Mapping[str, Any]) -> Any:
        """Raises: ReadError."""
        endpoint = self._endpoint(place)
        if request.get("about") == "endpoint":
            return _described(endpoint, str(request.get("method", "")), str(request.get("path", "")))
        path = str(request.get("path", ""))
        if not allows(endpoint, "GET", path):
            raise Forbidden(_not_allowed(endpoint, "GET", path))
        answer = await asked(self._wires[place], "GET", path)
        if answer.status not in endpoint.ok:
            raise read_failure(self._wires[place], answer)
        return self._told(place, answer)

    async def rehearse(self, place: str, request: Mapping[str, Any]) -> str:
        """Nothing is sent: only whether it may be. Raises: Refused, ReadError."""
        self._checked(self._endpoint(place), request)
        return ""

    async def send(self, place: str, request: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            endpoint = self._endpoint(place)
        except NotFound as exc:
            raise Refused(str(exc)) from exc
        method, path, body = self._checked(endpoint, request)
        headers = {endpoint.idempotency_header: key} if endpoint.idempotency_header else {}
        wire = self._wires[place]
        answer = await wire.exchange(method, path, body, headers=headers)
        if answer.status in endpoint.ok:
            return {**self._told(place, answer), "says": f"{endpoint.name} answered {answer.status}"}
        if 200 <= answer.status < 300:
            raise Uncertain(f"{wire.said(answer)}; not among its ok statuses, so nobody knows what it means")
        if answer.status == 409 and endpoint.idempotency_header:
            raise Uncertain(f"{wire.said(answer)}; it may know this key already")
        raise send_failure(wire, answer)

    async def find(self, place: str, request: Mapping[str, Any], *, key: str) -> Found:
        """HTTP has no question for that."""
        return "unknown"

    def _endpoint(self, place: str) -> HttpEndpoint:
        """Raises: NotFound."""
        found = self._endpoints.get(place)
        if found is None:
            known = ", ".join(sorted(self._endpoints)) or "none"
            raise NotFound(f"outside.endpoints has no {place!r:.80}; there are: {known}")
        return found

    def _checked(self, endpoint: HttpEndpoint, request: Mapping[str, Any]) -> tuple[str, str, Any]:
        """Raises: Refused."""
        method, path = str(request.get("method", "")), str(request.get("path", ""))
        if not allows(endpoint, method, path):
            raise Refused(_not_allowed(endpoint, method, path))
        body = request.get("body")
        if body is not None and len(orjson.dumps(body)) > MAX_BODY:
            raise Refused(f"the body for {endpoint.name} is longer than {MAX_BODY} bytes")
        return method, path, body

    def _told(self, place: str, answer: Answered) -> dict[str, Any]:
        text = self._wires[place].redacted(answer.body.decode("utf-8", "replace"))
        return {"status": answer.status, "body": text, "cut": answer.cut}


def _described(endpoint: HttpEndpoint, method: str, path: str) -> dict[str, Any]:
    allowed = allows(endpoint, method, path)
    return {
        "allowed": allowed,
        "why": "" if allowed else _not_allowed(endpoint, method, path),
        "idempotent": bool(endpoint.idempotency_header),
        "url": endpoint.base_url.rstrip("/") + (path if allowed else ""),
    }


def _not_allowed(endpoint: HttpEndpoint, method: str, path: str) -> str:
    return f"endpoint {endpoint.name} does not allow {method[:10]} {path[:200]!r}: see its `allow`"


def _wire(endpoint: HttpEndpoint, allow_loopback: bool) -> Wire:
    """Raises: InvalidConfig."""
    where = f"outside.endpoints {endpoint.name}"
    host = URL(endpoint.base_url).host or ""
    try:  # an address written out never reaches the resolver
        require_visitable(ipaddress.ip_address(host), allow_loopback)
    except CannotSee as exc:
        raise InvalidConfig(f"{where}: base_url: {exc}") from exc
    except ValueError:
        pass  # a name
    return Wire(
        endpoint.name,
        endpoint.base_url,
        login=lambda: {name: secret.read() for name, secret in endpoint.headers.items()},
        tls=trusting(endpoint.ca, where),
        timeout_s=endpoint.timeout.total_seconds(),
        resolver=GuardedResolver(aiohttp.ThreadedResolver(), allow_loopback),
    )
