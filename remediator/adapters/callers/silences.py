"""The caller `alertmanager`: silences of our own, for planned work. They end by themselves.

    ask   {"about": "matching", "matchers": [...]}                        which alerts fire now that it would hide
    send  {"do": "silence", "matchers", "starts", "for_s", "comment", "id"}
          {"do": "expire", "id"}                                          every silence of ours with this id

Ours are made by `remediator`, as the guardrail `silenced` knows them; the id is in the comment. Alertmanager makes a
new silence for each request, so the id is looked for before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.adapters.callers.http_wire import Wire, asked, read_failure, send_failure
from remediator.adapters.json_api import Endpoint
from remediator.adapters.json_out import basic
from remediator.alerts.matchers import InvalidMatcher, Matcher, parse_matchers
from remediator.errors import CannotSee, InvalidConfig, NotFound, ReadError, Refused, Unavailable, Uncertain
from remediator.ports import FIELD_MANAGER, Found

PLACE = "alertmanager"
LONGEST = timedelta(hours=4)
LIVE = ("active", "pending")
MAX_READ = 8 * 2**20
MOST_NAMES = 20

Request = Mapping[str, Any]


class SilencesCaller:
    """The Alertmanager of the configuration; `place` is always `alertmanager`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._wire = Wire(
            endpoint.name,
            endpoint.url,
            login=lambda: _login(endpoint),
            tls=endpoint.ssl or True,
            timeout_s=endpoint.timeout_s,
        )

    async def close(self) -> None:
        await self._wire.close()

    async def ask(self, place: str, request: Request) -> Any:
        """`{"firing": n, "names": [...]}`. Raises: ReadError."""
        if request.get("about") != "matching":
            raise NotFound(f"{request.get('about')!r:.40} cannot be asked of Alertmanager")
        try:
            matchers = _parsed(request)
        except Refused as exc:
            raise NotFound(str(exc)) from exc
        params = [("filter", str(matcher)) for matcher in matchers]
        found = await self._list("/api/v2/alerts", [*params, ("active", "true"), ("silenced", "false")])
        names = sorted({str(one.get("labels", {}).get("alertname", "")) for one in found})
        return {"firing": len(found), "names": names[:MOST_NAMES]}

    async def rehearse(self, place: str, request: Request) -> str:
        """Whether Alertmanager can be reached and takes our login. Its id and times are not known yet. Raises: Refused,
        ReadError."""
        if request.get("do") == "silence":
            _parsed(request)
            _lasts(request)
        await self._list("/api/v2/silences", [])
        return ""

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            known = await self._ours(request)
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc
        ours = [one for one, state in known.items() if state in LIVE]
        match request.get("do"):
            case "silence":
                if ours:
                    return {"silence": ours[0], "already": True, "says": f"silence {ours[0]} is there already"}
                return await self._make(_body(request))
            case "expire":
                if not known:
                    raise Refused(f"{self._wire.name} has no silence of ours with {_mark(request)} in its comment")
                return await self._expire(ours)
            case other:
                raise Refused(f"Alertmanager cannot do {other!r:.40}")

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """A silence that is not there yet may still come. Raises: ReadError."""
        ours = [one for one, state in (await self._ours(request)).items() if state in LIVE]
        return "happened" if bool(ours) == (request.get("do") == "silence") else "unknown"

    async def _make(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises: EffectError."""
        answer = await self._wire.exchange("POST", "/api/v2/silences", body)
        if answer.status != 200:
            raise send_failure(self._wire, answer)
        content = answer.json()
        made = content.get("silenceID") if isinstance(content, dict) else None
        if not isinstance(made, str) or not made:
            raise Uncertain(f"{self._wire.name} answered 200 without the id of a silence")
        return {"silence": made, "ends": body["endsAt"], "says": f"silence {made} until {body['endsAt']}"}

    async def _expire(self, ours: Sequence[str]) -> Mapping[str, Any]:
        """Raises: EffectError."""
        for one in ours:
            answer = await self._wire.exchange("DELETE", f"/api/v2/silence/{one}")
            if answer.status not in (200, 404):  # 404: it has been forgotten, so it silences nothing
                raise send_failure(self._wire, answer)
        return {"expired": list(ours), "says": f"expired {len(ours)} silence{'' if len(ours) == 1 else 's'}"}

    async def _ours(self, request: Request) -> dict[str, str]:
        """Id and state of the silences with this request's id, those that ended too. Raises: ReadError, Refused."""
        mark = _mark(request)
        found = await self._list("/api/v2/silences", [])
        try:
            return {
                str(one["id"]): str(one["status"]["state"])
                for one in found
                if one["createdBy"] == FIELD_MANAGER and str(one["comment"]).endswith(mark)
            }
        except (KeyError, TypeError) as exc:
            raise CannotSee(f"{self._wire.name}'s silences cannot be read: {type(exc).__name__}") from exc

    async def _list(self, path: str, params: Sequence[tuple[str, str]]) -> list[Any]:
        answer = await asked(self._wire, "GET", path, params=params, max_bytes=MAX_READ)
        if answer.status != 200:
            raise read_failure(self._wire, answer)
        content = answer.json()
        if not isinstance(content, list):
            raise CannotSee(f"{self._wire.name} answered {'too much' if answer.cut else 'no list'} for {path}")
        return content


def _mark(request: Request) -> str:
    """Raises: Refused."""
    name = str(request.get("id") or "")
    if not name.isalnum() or not 4 <= len(name) <= 64:
        raise Refused(f"{name!r:.40} is no id of a silence of ours")
    return f"[{FIELD_MANAGER} {name}]"


def _body(request: Request) -> dict[str, Any]:
    """Raises: Refused."""
    try:
        starts = datetime.fromisoformat(str(request["starts"])).astimezone(UTC)
    except (KeyError, ValueError, OverflowError) as exc:
        raise Refused(f"when the silence starts cannot be read: {type(exc).__name__}") from exc
    lasts = _lasts(request)
    return {
        "matchers": [_wire_matcher(matcher) for matcher in _parsed(request)],
        "startsAt": _time(starts),
        "endsAt": _time(starts + lasts),
        "createdBy": FIELD_MANAGER,
        "comment": f"{request.get('comment', '')!s:.500} {_mark(request)}",
    }


def _lasts(request: Request) -> timedelta:
    """Raises: Refused."""
    try:
        lasts = timedelta(seconds=float(request["for_s"]))
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise Refused(f"how long the silence lasts cannot be read: {type(exc).__name__}") from exc
    if not timedelta(0) < lasts <= LONGEST:
        raise Refused(f"a silence lasts at most {LONGEST}")
    return lasts


def _parsed(request: Request) -> list[Matcher]:
    """Raises: Refused, also without one that names a value: a silence must not hide everything."""
    try:
        found = [matcher for text in request.get("matchers") or () for matcher in parse_matchers(str(text))]
    except InvalidMatcher as exc:
        raise Refused(f"the matchers cannot be read: {exc}") from exc
    if not any(matcher.op == "=" and matcher.value for matcher in found):
        raise Refused('a silence needs a matcher with =, such as namespace="shop"')
    return found


def _wire_matcher(matcher: Matcher) -> dict[str, Any]:
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": matcher.op in ("=~", "!~"),
        "isEqual": matcher.op in ("=", "=~"),
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _login(endpoint: Endpoint) -> Mapping[str, str]:
    """Raises: InvalidConfig."""
    headers = dict(endpoint.headers)
    try:
        if endpoint.bearer is not None:
            headers["Authorization"] = f"{endpoint.bearer_prefix}{endpoint.bearer()}"
        elif endpoint.user:
            headers |= basic(endpoint.user, endpoint.password or str)()
    except OSError as exc:
        raise InvalidConfig(f"the credentials cannot be read: {exc.strerror}") from exc
    return headers
