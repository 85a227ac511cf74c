"""Change requests of ServiceNow, read before something is done that needs one: the port `ChangeRecords`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from remediator.adapters.json_api import Endpoint, JsonApi
from remediator.errors import CannotSee
from remediator.ports import ChangeRecord

STATES = {
    "-5": "new",
    "-4": "being assessed",
    "-3": "being authorized",
    "-2": "scheduled",
    "-1": "being implemented",
    "0": "in review",
    "3": "closed",
    "4": "canceled",
}
"""ServiceNow's values as people know them; an installation may have others, which are shown as they are."""
FIELDS = "number,state,approval,start_date,end_date"


class ServiceNowChanges:
    """Owns its connections; `close` it. `states`: those in which work may be done."""

    def __init__(self, endpoint: Endpoint, states: Collection[str] = ("-1",)) -> None:
        self._api = JsonApi(endpoint)
        self._states = frozenset(states)

    async def close(self) -> None:
        await self._api.close()

    async def change(self, number: str) -> ChangeRecord:
        """Raises: CannotSee. `number` has letters and digits only, so it is no query of its own."""
        asked = {
            "sysparm_query": f"number={number}",
            "sysparm_fields": FIELDS,
            "sysparm_display_value": "false",  # times in UTC, states as values
            "sysparm_limit": "2",
        }
        answer = await self._api.get("/api/now/table/change_request", list(asked.items()))
        rows = answer.get("result") if isinstance(answer, Mapping) else None
        if not isinstance(rows, list) or len(rows) > 1:
            raise CannotSee(f"ServiceNow's answer about {number} cannot be read")
        if not rows:
            return ChangeRecord(number=number, found=False)
        row = rows[0]
        if not isinstance(row, Mapping) or str(row.get("number", "")).upper() != number.upper():
            raise CannotSee(f"ServiceNow answered about another change than {number}")
        return self._record(number, row)

    def _record(self, number: str, row: Mapping[str, Any]) -> ChangeRecord:
        state, approval = str(row.get("state", "")), str(row.get("approval", ""))
        shown = STATES.get(state, f"in state {state[:20]}")
        if approval != "approved":
            shown = f"{shown}, approval {approval[:40] or 'unknown'}"
        return ChangeRecord(
            number=number,
            found=True,
            state=shown,
            ready=state in self._states and approval == "approved",
            starts_at=_time(row.get("start_date"), number),
            ends_at=_time(row.get("end_date"), number),
        )


def _time(text: Any, number: str) -> datetime | None:
    """`2025-06-02 03:00:00`, in UTC; empty = not planned. Raises: CannotSee."""
    if not text:
        return None
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise CannotSee(f"a time of {number} cannot be read: {str(text)[:40]}") from None
