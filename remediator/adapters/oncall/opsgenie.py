"""Schedules of Opsgenie, by `GET /v2/schedules/{id}/on-calls`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from remediator.adapters.json_api import Endpoint, JsonApi
from remediator.errors import CannotSee
from remediator.people.approvers import OnCallUser

URL = "https://api.opsgenie.com"
"""Accounts in the EU use `https://api.eu.opsgenie.com`."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class OpsgenieOnCall:
    """`api_key` of an API integration with the right to read; asked for at each call, so that a rotated file counts."""

    def __init__(self, api_key: Callable[[], str], *, url: str = URL, timeout_s: float = 5.0) -> None:
        self._api = JsonApi(
            Endpoint(name="Opsgenie", url=url, bearer=api_key, bearer_prefix="GenieKey ", timeout_s=timeout_s)
        )

    async def close(self) -> None:
        await self._api.close()

    async def now(self, schedule: str) -> Sequence[OnCallUser]:
        """`schedule` is a name or an id. Raises: CannotSee."""
        kind = "id" if _ID.fullmatch(schedule) else "name"
        asked = [("scheduleIdentifierType", kind), ("flat", "true")]
        return _users(await self._api.get(f"/v2/schedules/{quote(schedule, safe='')}/on-calls", asked), schedule)


def _users(answer: Any, schedule: str) -> Sequence[OnCallUser]:
    """User names are e-mail addresses there. Raises: CannotSee."""
    try:
        data = answer["data"]
        names = data["onCallRecipients"] if (data.get("_parent") or {}).get("enabled") is not False else []
        if not all(isinstance(name, str) for name in names):
            raise TypeError("a recipient that is no name")
    except (KeyError, TypeError, AttributeError) as exc:
        raise CannotSee(f"Opsgenie's answer about {schedule} is not what its API promises ({exc!r})") from exc
    return [OnCallUser(id=name.lower(), email=name.lower() if "@" in name else "") for name in names]
