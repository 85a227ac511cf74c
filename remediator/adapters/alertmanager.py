"""Alertmanager's API v2 as the `Silences` port: what people have silenced.

Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from remediator.adapters.json_api import Endpoint, JsonApi
from remediator.errors import CannotSee
from remediator.ports import Silence

_CLASSIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OPERATORS = {(False, True): "=", (True, True): "=~", (False, False): "!=", (True, False): "!~"}
"""By (isRegex, isEqual)."""


class AlertmanagerSilences:
    """The `Silences` port. Owns its connections; `close` it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._api = JsonApi(endpoint)

    async def active(self) -> tuple[Silence, ...]:
        """Raises: CannotSee."""
        # 0.34 and newer filter by state; older ones ignore the parameters, so the state is looked at here as well.
        wanted = [("active", "true"), ("pending", "false"), ("expired", "false")]
        return parse_silences(await self._api.get("/api/v2/silences", wanted))

    async def firing(self) -> tuple[Mapping[str, Any], ...]:
        """Active alerts as `GET /api/v2/alerts` gives them, silenced and inhibited ones left out. Raises: CannotSee."""
        wanted = [("active", "true"), ("silenced", "false"), ("inhibited", "false")]
        answer = await self._api.get("/api/v2/alerts", wanted)
        if not isinstance(answer, list):
            raise CannotSee("Alertmanager's alerts cannot be read: not a list")
        return tuple(one for one in answer if one.get("status", {}).get("state") == "active")

    async def firing_like(self, labels: Mapping[str, str], absent: Collection[str]) -> int:
        """How many alerts have all these labels and none of the absent ones, muted ones too. Raises: CannotSee."""
        wanted = [*labels.items(), *((name, "") for name in absent)]
        filters = [("filter", matcher_text({"name": n, "value": v, "isRegex": False})) for n, v in wanted]
        answer = await self._api.get("/api/v2/alerts", filters)
        if not isinstance(answer, list):
            raise CannotSee("Alertmanager's alerts cannot be read: not a list")
        return len(answer)

    async def started_at(self) -> datetime:
        """Since when it runs. Raises: CannotSee."""
        try:
            status = await self._api.get("/api/v2/status")
            return datetime.fromisoformat(status["uptime"]).astimezone(UTC)
        except (TypeError, ValueError, KeyError) as exc:
            raise CannotSee(f"Alertmanager's status cannot be read: {type(exc).__name__}") from exc

    async def close(self) -> None:
        await self._api.close()


def parse_silences(answer: Any) -> tuple[Silence, ...]:
    """The active ones among the silences of `GET /api/v2/silences`. Raises: CannotSee.

    One silence that we cannot read makes all unknown: it might be the one that says "hands off".
    """
    try:
        if not isinstance(answer, list):
            raise TypeError("not a list")
        return tuple(_silence(one) for one in answer if one["status"]["state"] == "active")
    except (TypeError, ValueError, KeyError) as exc:
        raise CannotSee(f"Alertmanager's silences cannot be read: {type(exc).__name__} {str(exc)[:100]}") from exc


def _silence(one: Mapping[str, Any]) -> Silence:
    if not one["matchers"]:
        raise ValueError("a silence without matchers")
    return Silence(
        id=str(one["id"]),
        created_by=str(one.get("createdBy") or ""),
        comment=str(one.get("comment") or ""),
        ends_at=datetime.fromisoformat(one["endsAt"]).astimezone(UTC),
        matchers=tuple(matcher_text(m) for m in one["matchers"]),
    )


def matcher_text(matcher: Mapping[str, Any]) -> str:
    """`{"name": "a", "value": "b", "isRegex": false}` as `a="b"`. Older Alertmanagers have no `isEqual`."""
    name, value = matcher["name"], matcher["value"]
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError("a matcher without name or value")
    operator = _OPERATORS[bool(matcher["isRegex"]), bool(matcher.get("isEqual", True))]
    return f"{name if _CLASSIC_NAME.fullmatch(name) else _quoted(name)}{operator}{_quoted(value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
