"""Jira: Cloud by its API version 3, Data Center by version 2.

Version 3 takes documents, in which text is only text. Version 2 takes wiki markup: there everything that came from an
alert stands in a `noformat` block, which nothing in it can end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.adapters.json_out import JsonOut
from remediator.adapters.tickets.carrier import Payload, only_text

TEXT_LIMIT = 30_000
"""Jira takes 32,767 characters."""


class Jira:
    """`cloud` decides the version. `owners` maps a playbook's owner to an assignee, `priorities` our severity to one.

    What the project's create screen lacks is left out by giving it as null in `fields` (`duedate: null`).
    """

    def __init__(
        self,
        out: JsonOut,
        *,
        project: str,
        issue_type: str,
        cloud: bool,
        owners: Mapping[str, str],
        priorities: Mapping[str, str],
        fields: Mapping[str, Any],
    ) -> None:
        self._out = out
        self._project = project
        self._type = issue_type
        self._cloud = cloud
        self._owners = owners
        self._priorities = priorities
        self._fields = fields
        self._api = "/rest/api/3" if cloud else "/rest/api/2"

    async def close(self) -> None:
        await self._out.close()

    async def find(self, ticket: Payload) -> str | None:
        """Raises: ChatError."""
        jql = f'project = "{self._project}" AND labels = "{ticket["marker"]}" ORDER BY created ASC'
        path = "/search/jql" if self._cloud else "/search"
        answer = await self._out.send(
            "GET", self._api + path, params={"jql": jql, "fields": "created", "maxResults": "1"}
        )
        issues = answer.get("issues") if isinstance(answer, Mapping) else None
        return only_text(issues[0], "key") if issues else None

    async def create(self, ticket: Payload) -> str:
        """Raises: ChatError."""
        fields: dict[str, Any] = {
            "project": {"key": self._project},
            "issuetype": {"name": self._type},
            "summary": ticket["summary"],
            "description": self._text(ticket),
            "labels": [ticket["marker"], "remediator"],
            "duedate": ticket["due"],
        }
        if owner := self._owners.get(ticket["owner"]):
            fields["assignee"] = {"accountId": owner} if self._cloud else {"name": owner}
        if priority := self._priorities.get(ticket["severity"]):
            fields["priority"] = {"name": priority}
        wanted = {name: value for name, value in {**fields, **self._fields}.items() if value is not None}
        return only_text(await self._out.send("POST", f"{self._api}/issue", {"fields": wanted}), "key")

    async def comment(self, ticket_id: str, comment: Payload) -> None:
        """Raises: ChatError."""
        await self._out.send("POST", f"{self._api}/issue/{ticket_id}/comment", {"body": self._text(comment)})

    def _text(self, content: Payload) -> Any:
        lines = "\n".join(content["lines"])[:TEXT_LIMIT]
        return _document(lines, content["links"]) if self._cloud else _wiki(lines, content["links"])


def _document(text: str, links: Any) -> dict[str, Any]:
    """Atlassian Document Format: a code block, then the links."""
    block: dict[str, Any] = {"type": "codeBlock", "content": [{"type": "text", "text": text or "-"}]}
    addresses = [
        {
            "type": "paragraph",
            "content": [{"type": "text", "text": name, "marks": [{"type": "link", "attrs": {"href": url}}]}],
        }
        for name, url in links
    ]
    return {"type": "doc", "version": 1, "content": [block, *addresses]}


def _wiki(text: str, links: Any) -> str:
    """Braces have been replaced in the text (`inert`), so nothing in it ends the block."""
    addresses = "".join(f"\n[{name}|{url.replace('|', '%7C').replace(']', '%5D')}]" for name, url in links)
    return f"{{noformat}}\n{text}\n{{noformat}}{addresses}"
