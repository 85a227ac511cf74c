"""PagerDuty's REST API as the port `Incidents`: finding an incident by its key, and notes on it.

One request at a time, as PagerDuty asks of each token (960 a minute). After a 429 nothing is sent before the time that
it names. Nothing is repeated here: the outbox does that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import aiohttp
import orjson

from remediator.adapters.wire_errors import named
from remediator.people.incidents import Incident
from remediator.ports import ChatError, Clock
from remediator.redact import redact

URL = "https://api.pagerduty.com"
"""Accounts in the EU region use `https://api.eu.pagerduty.com`."""

_ACCEPT = "application/vnd.pagerduty+json;version=2"
_RETRY_S = 5.0
_RATE_LIMITED_S = 30.0
_REFUSED_S = 60.0
"""After what only people can mend: a token, or a permission."""
_MAX_BYTES = 2**20
_PAGE = 25


class PagerDutyRest:
    """Create it in a running event loop, close it at the end. `from_email` is a user of the account, whom the notes are
    signed with."""

    def __init__(self, token: str, from_email: str, clock: Clock, *, url: str = URL, timeout_s: float = 10.0) -> None:
        self._token = token
        self._from = from_email
        self._clock = clock
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=True)
        self._turn = asyncio.Lock()
        self._blocked_until = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def find(self, key: str) -> Sequence[Incident]:
        """The open ones with this key (each service has its own), else the newest one. Raises: ChatError."""
        wanted = {"incident_key": key, "limit": str(_PAGE), "sort_by": "created_at:desc"}
        found = _incidents(await self._ask("GET", "/incidents", params=wanted))
        found = [incident for incident in found if incident.key == key]  # a parameter that is not known is ignored
        return [incident for incident in found if incident.open] or found[:1]

    async def get(self, incident_id: str) -> Incident | None:
        """Raises: ChatError."""
        try:
            answer = await self._ask("GET", f"/incidents/{_segment(incident_id)}")
        except _NotThere:
            return None
        return _incident(answer.get("incident"))

    async def notes(self, incident_id: str) -> Sequence[str]:
        """Raises: ChatError."""
        answer = await self._ask("GET", f"/incidents/{_segment(incident_id)}/notes")
        notes = answer.get("notes")
        if not isinstance(notes, list):
            raise ChatError("PagerDuty's notes cannot be read", retry_after_s=_REFUSED_S)
        return [str(note.get("content", "")) for note in notes if isinstance(note, dict)]

    async def annotate(self, incident_id: str, text: str) -> None:
        """Raises: ChatError."""
        body = orjson.dumps({"note": {"content": text}})
        await self._ask("POST", f"/incidents/{_segment(incident_id)}/notes", data=body)

    async def probe(self) -> None:
        """Whether it answers and takes our token. Raises: ChatError."""
        await self._ask("GET", "/abilities")

    async def _ask(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        async with self._turn:
            if (wait := self._blocked_until - self._clock.boot()) > 0:
                raise ChatError("PagerDuty's API limits our rate", retry_after_s=wait)
            try:
                request = self._session.request(
                    method, self._url + path, headers=self._headers(), allow_redirects=False, **more
                )
                async with request as response:
                    body = await _read(response)
                    status, headers = response.status, response.headers
            except (aiohttp.ClientError, TimeoutError, OSError) as exc:
                raise ChatError(f"no answer from PagerDuty's API: {named(exc)}", retry_after_s=_RETRY_S) from exc
            if status == 429:
                self._blocked_until = self._clock.boot() + _reset(headers)
        if status in (200, 201):
            return _object(body)
        said = redact(" ".join(body.decode(errors="replace").split())[:600], known=(self._token,))[:300]
        raise _error(status, said, headers)

    def _headers(self) -> dict[str, str]:
        return {
            "Accept": _ACCEPT,
            "Authorization": f"Token token={self._token}",
            "Content-Type": "application/json",
            "From": self._from,
        }


class _NotThere(ChatError):
    """404."""


def _error(status: int, said: str, headers: Mapping[str, str]) -> ChatError:
    if status == 404:
        return _NotThere(f"PagerDuty knows no such incident: {said}")
    if status == 400:
        return ChatError(f"PagerDuty's API refused us (400): is pagerduty.api.from_email a user of the account? {said}")
    if status in (401, 403):
        return ChatError(
            f"PagerDuty's API refused us ({status}): check pagerduty.api.token, and that it may write. {said}",
            retry_after_s=_REFUSED_S,
        )
    wait = _reset(headers) if status == 429 else _RETRY_S if status >= 500 else _REFUSED_S
    return ChatError(f"HTTP {status} from PagerDuty's API: {said}", retry_after_s=wait)


def _reset(headers: Mapping[str, str]) -> float:
    """Seconds until the limit is lifted, at least one."""
    try:
        return min(max(1.0, float(headers.get("ratelimit-reset", ""))), 600.0)
    except ValueError:
        return _RATE_LIMITED_S


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(65_536):
        body += piece
        if len(body) > _MAX_BYTES:
            raise ChatError("PagerDuty's API answered more than we read", retry_after_s=_REFUSED_S)
    return bytes(body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise ChatError("PagerDuty's API answered no JSON: a proxy in between?", retry_after_s=_REFUSED_S)
    return answer


def _incidents(answer: Mapping[str, Any]) -> list[Incident]:
    found = answer.get("incidents")
    if not isinstance(found, list):
        raise ChatError("PagerDuty's incidents cannot be read", retry_after_s=_REFUSED_S)
    return [_incident(one) for one in found]


def _incident(one: Any) -> Incident:
    try:
        # An incident that somebody opened by hand has no key.
        return Incident(
            id=str(one["id"]),
            key=str(one.get("incident_key") or ""),
            status=str(one["status"]),
            changed_at=_time(one.get("last_status_change_at")),
        )
    except (TypeError, KeyError, AttributeError) as exc:
        raise ChatError("PagerDuty's incident cannot be read", retry_after_s=_REFUSED_S) from exc


def _time(said: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _segment(incident_id: str) -> str:
    """Ids come from webhooks: nothing but letters and digits may become part of a path."""
    if not (incident_id.isascii() and incident_id.isalnum()):
        raise ChatError("this is no id of an incident")
    return incident_id
