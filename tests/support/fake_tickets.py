"""Jira, ServiceNow and GitHub as far as tickets go: authentication, required fields, limits, searches that lag."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

from aiohttp import web

from tests.support.fake_http import FakeServer

USER, TOKEN = "bot@example.com", "ticket-token-0123456789"
SEARCH, CREATE, COMMENT = "search", "create", "comment"
BASIC = f"Basic {b64encode(f'{USER}:{TOKEN}'.encode()).decode()}"
BEARER = f"Bearer {TOKEN}"


class FakeTickets(FakeServer):
    """What the three have in common: `tickets` and `comments` by id; `lag` hides the newest from searches."""

    def __init__(self, *, authorization: str) -> None:
        super().__init__()
        self.tickets: dict[str, dict[str, Any]] = {}
        self.comments: dict[str, list[Any]] = {}
        self.lag = 0
        self._authorization = authorization

    def searchable(self) -> list[tuple[str, dict[str, Any]]]:
        found = list(self.tickets.items())
        return found[: len(found) - self.lag]

    def store(self, name: str, ticket: dict[str, Any]) -> None:
        self.tickets[name] = ticket
        self.comments[name] = []

    def route(self, app: web.Application, method: str, path: str, call: str, handler: Any) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != self._authorization:
                self.calls.append("stranger")
                return web.json_response({"message": "Bad credentials"}, status=401)
            if not request.headers.get("User-Agent", "").startswith("remediator/"):
                self.violations.append("no User-Agent of ours")
            return await self.guarded(call, request, handler, refuse)

        app.router.add_route(method, path, answer)


def refuse(error: str) -> web.Response:
    return web.json_response({"errorMessages": [error], "message": error}, status=400)


class FakeJira(FakeTickets):
    """`cloud`: API version 3 with documents and the newer search; otherwise version 2 with wiki markup."""

    def __init__(self, *, cloud: bool) -> None:
        super().__init__(authorization=BASIC if cloud else BEARER)
        self._cloud = cloud
        self._fields = {"project", "issuetype", "summary", "description", "labels", "duedate", "assignee", "priority"}

    def app(self) -> web.Application:
        app, api = web.Application(), f"/rest/api/{3 if self._cloud else 2}"
        self.route(app, "GET", f"{api}/search{'/jql' if self._cloud else ''}", SEARCH, self._search)
        self.route(app, "POST", f"{api}/issue", CREATE, self._create)
        self.route(app, "POST", f"{api}/issue/{{key}}/comment", COMMENT, self._comment)
        return app

    async def _search(self, request: web.Request) -> web.Response:
        found = re.fullmatch(r'project = "(\w+)" AND labels = "([^"\s]+)" ORDER BY created ASC', request.query["jql"])
        if found is None:
            return refuse("Error in the JQL Query")
        issues = [{"key": key} for key, issue in self.searchable() if found[2] in issue["labels"]]
        return web.json_response({"issues": issues[: int(request.query["maxResults"])]})

    async def _create(self, request: web.Request) -> web.Response:
        fields = (await request.json())["fields"]
        if unknown := fields.keys() - self._fields:
            return refuse(
                f"Field '{sorted(unknown)[0]}' cannot be set. It is not on the appropriate screen, or unknown."
            )
        if not fields["project"]["key"] or not fields["issuetype"]["name"] or not fields.get("summary"):
            return refuse("a required field is missing")
        if len(fields["summary"]) > 255 or "\n" in fields["summary"]:
            return refuse("The summary is invalid because it contains newline characters or is too long.")
        if any(" " in label for label in fields["labels"]):
            return refuse("The label can't contain spaces.")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", fields.get("duedate", "2000-01-01")):
            return refuse("Error parsing date string")
        if problem := self._text_problem(fields["description"]):
            return refuse(problem)
        key = f"{fields['project']['key']}-{len(self.tickets) + 1}"
        self.store(key, fields)
        return web.json_response({"id": "1", "key": key, "self": "x"}, status=201)

    async def _comment(self, request: web.Request) -> web.Response:
        key, body = request.match_info["key"], (await request.json())["body"]
        if key not in self.tickets:
            return web.json_response({"errorMessages": ["Issue does not exist"]}, status=404)
        if problem := self._text_problem(body):
            return refuse(problem)
        self.comments[key].append(body)
        return web.json_response({"id": "7"}, status=201)

    def _text_problem(self, text: Any) -> str:
        if not self._cloud:
            return "" if isinstance(text, str) and len(text) <= 32_767 else "the text is too long, or no text"
        if not isinstance(text, dict) or (text.get("type"), text.get("version")) != ("doc", 1):
            return "Operation value must be an Atlassian Document"
        return next((p for node in text["content"] if (p := _node_problem(node))), "")


def _node_problem(node: dict[str, Any]) -> str:
    if node["type"] not in ("codeBlock", "paragraph"):
        return f"unknown node {node['type']}"
    for leaf in node["content"]:
        if leaf["type"] != "text" or not leaf["text"]:
            return "INVALID_INPUT: a text node must not be empty"
        if any(mark["type"] != "link" or not mark["attrs"]["href"] for mark in leaf.get("marks", ())):
            return "INVALID_INPUT: a mark"
    return ""


class FakeServiceNow(FakeTickets):
    def __init__(self, *, table: str = "incident") -> None:
        super().__init__(authorization=BASIC)
        self._table = table

    def app(self) -> web.Application:
        app, path = web.Application(), f"/api/now/table/{self._table}"
        self.route(app, "GET", path, SEARCH, self._search)
        self.route(app, "POST", path, CREATE, self._create)
        self.route(app, "PATCH", f"{path}/{{id}}", COMMENT, self._change)
        return app

    async def _search(self, request: web.Request) -> web.Response:
        clauses = [clause.partition("=") for clause in request.query["sysparm_query"].split("^")]
        rows = [
            {"sys_id": name, "number": ticket["number"]}
            for name, ticket in self.searchable()
            if all(str(ticket.get(field, "")) == value for field, _, value in clauses)
        ]
        return web.json_response({"result": rows[: int(request.query["sysparm_limit"])]})

    async def _create(self, request: web.Request) -> web.Response:
        row = await request.json()
        if len(row.get("short_description", "")) > 160 or not row.get("short_description"):
            self.violations.append("short_description is cut at 160 characters")
        if len(row.get("description", "")) > 4000:
            self.violations.append("description is cut at 4000 characters")
        if any(not isinstance(value, str) for value in row.values()):
            return refuse("values are texts")
        name = f"{len(self.tickets) + 1:032x}"
        self.store(name, {**row, "number": f"INC{len(self.tickets) + 1:07d}"})
        return web.json_response({"result": {"sys_id": name, "number": self.tickets[name]["number"]}}, status=201)

    async def _change(self, request: web.Request) -> web.Response:
        name, row = request.match_info["id"], await request.json()
        if name not in self.tickets:
            return web.json_response({"error": {"message": "No Record found"}}, status=404)
        self.comments[name].append(row["work_notes"])
        return web.json_response({"result": {"sys_id": name}})


class FakeGitHub(FakeTickets):
    def __init__(self) -> None:
        super().__init__(authorization=BEARER)

    def app(self) -> web.Application:
        app, path = web.Application(), "/repos/acme/ops/issues"
        self.route(app, "GET", path, SEARCH, self._list)
        self.route(app, "POST", path, CREATE, self._create)
        self.route(app, "POST", f"{path}/{{number}}/comments", COMMENT, self._comment)
        return app

    async def _list(self, request: web.Request) -> web.Response:
        asked = request.query
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", asked["since"]) or asked["state"] != "all":
            return refuse("since")
        size, page = int(asked["per_page"]), int(asked["page"])
        if size > 100:
            return refuse("per_page")
        found = [{"number": int(name), "body": t["body"]} for name, t in reversed(self.searchable())]
        return web.json_response(found[(page - 1) * size : page * size])

    async def _create(self, request: web.Request) -> web.Response:
        if request.headers.get("X-GitHub-Api-Version") != "2022-11-28":
            self.violations.append("no API version")
        issue = await request.json()
        if not issue.get("title") or len(issue["title"]) > 256:
            return web.json_response({"message": "Validation Failed"}, status=422)
        if len(issue["body"]) > 65_536:
            return web.json_response({"message": "body is too long"}, status=422)
        number = str(len(self.tickets) + 1)
        self.store(number, issue)
        return web.json_response({"number": int(number)}, status=201)

    async def _comment(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        if number not in self.tickets:
            return web.json_response({"message": "Not Found"}, status=404)
        self.comments[number].append((await request.json())["body"])
        return web.json_response({"id": 1}, status=201)
