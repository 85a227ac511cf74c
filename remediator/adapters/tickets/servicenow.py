"""ServiceNow through its Table API: incidents, or change requests that record what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from remediator.adapters.json_out import JsonOut
from remediator.adapters.tickets.carrier import Payload, only_text

TEXT_LIMIT = 4000
Table = Literal["incident", "change_request"]


class ServiceNow:
    """`correlation_id` holds our marker. `priorities` maps our severity to urgency and impact (1 to 3), `owners` a
    playbook's owner to an assignment group."""

    def __init__(
        self,
        out: JsonOut,
        *,
        table: Table,
        owners: Mapping[str, str],
        priorities: Mapping[str, int],
        fields: Mapping[str, Any],
    ) -> None:
        self._out = out
        self._table = table
        self._path = f"/api/now/table/{table}"
        self._owners = owners
        self._priorities = priorities
        self._fields = fields

    async def close(self) -> None:
        await self._out.close()

    async def find(self, ticket: Payload) -> str | None:
        """Raises: ChatError."""
        answer = await self._out.send(
            "GET",
            self._path,
            params={
                "sysparm_query": f"correlation_id={ticket['marker']}",  # a marker has no ^, which would begin a clause
                "sysparm_fields": "sys_id",
                "sysparm_limit": "1",
            },
        )
        rows = answer.get("result") if isinstance(answer, Mapping) else None
        return only_text(rows[0], "sys_id") if rows else None

    async def create(self, ticket: Payload) -> str:
        """Raises: ChatError."""
        row: dict[str, Any] = {
            "short_description": ticket["summary"],
            "description": _text(ticket),
            "correlation_id": ticket["marker"],
            "correlation_display": "remediator",
        }
        if self._table == "incident":
            row["due_date"] = f"{ticket['due']} 23:59:59"
        if group := self._owners.get(ticket["owner"]):
            row["assignment_group"] = group
        if weight := self._priorities.get(ticket["severity"]):
            row |= {"urgency": str(weight), "impact": str(weight)}
        answer = await self._out.send("POST", self._path, {**row, **self._fields})
        return only_text(answer, "result", "sys_id")

    async def comment(self, ticket_id: str, comment: Payload) -> None:
        """A work note: the people who work on it see it, the caller does not. Raises: ChatError."""
        await self._out.send("PATCH", f"{self._path}/{ticket_id}", {"work_notes": _text(comment)})


def _text(content: Payload) -> str:
    """Plain text. `[code]` would be read as HTML in a journal field; square brackets have been replaced (`inert`)."""
    links = [f"{name}: {url}" for name, url in content["links"]]
    return "\n".join((*links, *content["lines"]))[:TEXT_LIMIT]
