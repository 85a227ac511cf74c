"""GitHub issues. All text stands in a fenced block: no mention, no reference to another issue, no HTML in there.

An issue is found again by a line at the end of its text, by listing what changed since it could have been made: the
search of GitHub lags by minutes, the list does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from remediator.adapters.json_out import JsonOut
from remediator.adapters.tickets.carrier import Payload, only_text

TEXT_LIMIT = 60_000
"""GitHub takes 65,536 characters."""
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
PAGE = 100
PAGES = 5
MARGIN = timedelta(minutes=5)
"""Clocks differ."""


class GitHub:
    """Issues of one repository, `owner/name`. `owners` maps a playbook's owner to a login."""

    def __init__(self, out: JsonOut, *, repo: str, labels: Sequence[str], owners: Mapping[str, str]) -> None:
        self._out = out
        self._path = f"/repos/{repo}/issues"
        self._labels = list(labels)
        self._owners = owners

    async def close(self) -> None:
        await self._out.close()

    async def find(self, ticket: Payload) -> str | None:
        """Raises: ChatError."""
        since = (datetime.fromisoformat(ticket["at"]) - MARGIN).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = _line(ticket)
        for page in range(1, PAGES + 1):
            asked = {"state": "all", "since": since, "per_page": str(PAGE), "page": str(page)}
            answer = await self._out.send("GET", self._path, params=asked)
            issues = answer if isinstance(answer, list) else []
            for issue in issues:
                if line in str(issue.get("body") or "").splitlines():
                    return only_text(issue, "number")
            if len(issues) < PAGE:
                break
        return None

    async def create(self, ticket: Payload) -> str:
        """Raises: ChatError."""
        facts = f"Due {ticket['due']}, severity {ticket['severity']}."
        issue = {
            "title": ticket["summary"],
            "body": f"{_text(ticket)}\n\n{facts}\n\n{_line(ticket)}",
            "labels": self._labels,
        }
        if owner := self._owners.get(ticket["owner"]):
            issue["assignees"] = [owner]
        return only_text(await self._out.send("POST", self._path, issue), "number")

    async def comment(self, ticket_id: str, comment: Payload) -> None:
        """Raises: ChatError."""
        await self._out.send("POST", f"{self._path}/{ticket_id}/comments", {"body": _text(comment)})


def _line(ticket: Payload) -> str:
    return f"`{ticket['marker']}`"


def _text(content: Payload) -> str:
    """Backquotes have been replaced in the lines (`inert`), so nothing in them ends the block."""
    links = "\n".join(f"[{name}]({url.replace(')', '%29').replace('(', '%28')})" for name, url in content["links"])
    lines = "\n".join(content["lines"])[:TEXT_LIMIT]
    return f"```text\n{lines}\n```\n\n{links}".rstrip()
