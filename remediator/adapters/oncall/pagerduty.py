"""Schedules of PagerDuty, by `GET /oncalls` of its REST API.

Without `since` and `until` it is asked about its own present moment: our clock decides nothing. It knows a schedule
only through the escalation policies that use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from remediator.adapters.json_api import Endpoint, JsonApi
from remediator.errors import CannotSee
from remediator.people.approvers import OnCallUser

URL = "https://api.pagerduty.com"
VERSION = "application/vnd.pagerduty+json;version=2"
PAGE = 100
"""The most that one answer holds."""
PAGES = 5
"""Of more people than these hold nobody is on call at once; something else is wrong then."""


class PagerDutyOnCall:
    """`token` is an API key, a read-only one is enough; asked for at each call, so that a rotated file counts."""

    def __init__(self, token: Callable[[], str], *, url: str = URL, timeout_s: float = 5.0) -> None:
        self._api = JsonApi(
            Endpoint(
                name="PagerDuty",
                url=url,
                bearer=token,
                bearer_prefix="Token token=",
                headers={"Accept": VERSION},
                timeout_s=timeout_s,
            )
        )

    async def close(self) -> None:
        await self._api.close()

    async def now(self, schedule: str) -> Sequence[OnCallUser]:
        """Raises: CannotSee."""
        found: dict[str, OnCallUser] = {}
        offset = 0
        for _ in range(PAGES):
            asked = [("schedule_ids[]", schedule), ("include[]", "users")]
            answer = await self._api.get("/oncalls", [*asked, ("limit", str(PAGE)), ("offset", str(offset))])
            for user in _users(answer, schedule):
                found[user.id] = user
            if not answer.get("more"):
                return tuple(found.values())
            offset += len(answer["oncalls"])
        raise CannotSee(f"PagerDuty has more than {PAGES} pages of people on call in {schedule}")


def _users(answer: Any, schedule: str) -> Sequence[OnCallUser]:
    """Raises: CannotSee."""
    try:
        entries = [e for e in answer["oncalls"] if (e["schedule"] or {}).get("id") == schedule]
        return [
            OnCallUser(id=str(e["user"]["id"]), email=str(e["user"].get("email") or "").lower())
            for e in entries
            if e["user"] is not None
        ]
    except (KeyError, TypeError, AttributeError) as exc:
        raise CannotSee(f"PagerDuty's answer about {schedule} is not what its API promises ({exc!r})") from exc
