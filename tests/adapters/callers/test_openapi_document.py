"""The judge of our fakes: what an OpenAPI document says against a request or an answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.openapi import Document

COUNTED = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
DAG = {
    "type": "object",
    "properties": {"name": {"type": "string", "nullable": True}, "paused": {"type": "boolean"}},
    "required": ["name", "paused"],
}
SAYS: dict[str, Any] = {
    "openapi": "3.0.3",
    "paths": {
        "/dags": {
            "parameters": [{"$ref": "#/components/parameters/Limit"}],
            "get": {
                "parameters": [{"name": "state", "in": "query", "schema": {"type": "array"}}],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Dags"}}}}
                },
            },
        },
        "/dags/{id}": {
            "patch": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Dag"}}}},
                "responses": {"200": {"description": "done"}, "404": {"$ref": "#/components/responses/Gone"}},
            },
        },
    },
    "components": {
        "parameters": {"Limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}},
        "responses": {"Gone": {"content": {"application/json": {"schema": COUNTED}}}},
        "schemas": {
            "Dag": DAG,
            "Counted": COUNTED,
            "Dags": {
                "allOf": [
                    {
                        "type": "object",
                        "properties": {"dags": {"type": "array", "items": {"$ref": "#/components/schemas/Dag"}}},
                    },
                    {"$ref": "#/components/schemas/Counted"},
                ]
            },
        },
    },
}
DOCUMENT = Document(SAYS, "/api/v1")


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "wrong"),
    [
        pytest.param("GET", "/dags", [("limit", "9"), ("state", "a"), ("state", "b")], None, "", id="all is well"),
        pytest.param("GET", "/dags", [("limit", "101")], None, "does not take limit=101", id="too many"),
        pytest.param("GET", "/dags", [("limit", "all")], None, "does not take limit=all", id="no number"),
        pytest.param("GET", "/dags", [("limits", "9")], None, "has no parameter limits", id="no such parameter"),
        pytest.param("GET", "/dogs", [], None, "is not in the document", id="no such path"),
        pytest.param("PUT", "/dags/x", [], {}, "is not in the document", id="no such method"),
        pytest.param("GET", "/dags", [], {}, "takes no body", id="a body"),
        pytest.param("PATCH", "/dags/x", [], {"name": None, "paused": True}, "", id="null where it may be"),
        pytest.param("PATCH", "/dags/x", [], {"name": "x"}, "'paused' is a required property", id="half a body"),
        pytest.param("PATCH", "/dags/x", [], {"name": 7, "paused": True}, "$.name", id="of another type"),
    ],
)
def test_requests(method: str, path: str, query: list[tuple[str, str]], body: Any, wrong: str) -> None:
    found = list(DOCUMENT.request(method, f"/api/v1{path}", query, body))
    assert wrong in "".join(found)
    assert bool(found) is bool(wrong)


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "wrong"),
    [
        pytest.param("GET", "/dags", 200, {"dags": [{"name": "x"}], "total": 1}, "", id="not all, but nothing else"),
        pytest.param("GET", "/dags", 200, {"dags": [{"name": 7}]}, "$.dags[0].name", id="of another type"),
        pytest.param("GET", "/dags", 200, {"dags": [{"id": 7}]}, "'id' was unexpected", id="more than it says, inside"),
        pytest.param("GET", "/dags", 200, {"count": 1}, "'count' was unexpected", id="more than it says"),
        pytest.param("GET", "/dags", 404, {}, "never answers 404", id="another status"),
        pytest.param("PATCH", "/dags/x", 404, {"total": "1"}, "$.total", id="an answer by its name"),
        pytest.param("PATCH", "/dags/x", 200, {"a": 1}, "", id="of which it says nothing"),
    ],
)
def test_answers(method: str, path: str, status: int, body: Any, wrong: str) -> None:
    found = list(DOCUMENT.answer(method, f"/api/v1{path}", status, "application/json", body))
    assert wrong in "".join(found)
    assert bool(found) is bool(wrong)
