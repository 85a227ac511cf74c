"""http: one request that the operator allows."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Call, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.outside.http import Http, HttpParams
from remediator.actions.view import Ask
from remediator.objects import ref_of
from tests.actions.make import deployment, view

API = deployment()
URL = "https://lb.example.com/v1/pools/eu-1/drain"
FOUND = {"allowed": True, "why": "", "idempotent": True, "url": URL}


def params(**more: Any) -> HttpParams:
    return HttpParams.model_validate({"endpoint": "balancer", "path": "/v1/pools/eu-1/drain", **more})


def plan(asked: HttpParams, **found: Any) -> Any:
    here = view(API, found={"endpoint": {**FOUND, **found}})
    return Http().plan(Http().resolve(asked, here), here)


def test_one_call_without_a_way_back():
    change = plan(params(body={"seconds": 30}))
    assert change.effects == (
        Call(
            ref=ref_of(API),
            uid="uid-deployment-api",
            via="http",
            place="balancer",
            request={"method": "POST", "path": "/v1/pools/eu-1/drain", "body": {"seconds": 30}},
            says=f'POST {URL} with {{"seconds":30}}',
        ),
    )
    assert diff_lines(change, ref_of(API)) == (f'POST {URL} with {{"seconds":30}}',)
    assert change.summary == "POST balancer/v1/pools/eu-1/drain"
    assert not change.effects[0].undoable
    assert Http.changes_data


def test_without_a_body_none_is_sent():
    assert plan(params(method="DELETE")).effects[0].request == {"method": "DELETE", "path": "/v1/pools/eu-1/drain"}


def test_what_it_asks_before():
    request = {"about": "endpoint", "method": "PUT", "path": "/v1/pools/eu-1/drain"}
    assert Http().wants(params(method="PUT"), view(API)) == {"endpoint": Ask("http", "balancer", request)}


def test_secrets_in_a_body_are_not_shown():
    (call,) = plan(params(body={"password": "hunter22-hunter22"})).effects
    assert "hunter22" not in call.says
    assert call.request["body"] == {"password": "hunter22-hunter22"}


def test_what_is_not_allowed_is_a_definite_no():
    with pytest.raises(NotPossible, match="does not allow PUT") as caught:
        plan(params(method="PUT"), allowed=False, why="endpoint balancer does not allow PUT '/x'")
    assert not caught.value.hold


@pytest.mark.parametrize(
    ("method", "idempotent", "possible"),
    [
        ("POST", True, True),
        ("POST", False, False),
        ("PATCH", False, False),
        ("PUT", False, True),
        ("DELETE", False, True),
    ],
)
def test_what_may_be_sent_twice(method, idempotent, possible):
    asked = params(method=method, repeatable=True)
    if possible:
        assert plan(asked, idempotent=idempotent).effects[0].repeatable
    else:
        with pytest.raises(NotPossible, match="no idempotency_header"):
            plan(asked, idempotent=idempotent)
    assert not plan(params(method=method), idempotent=idempotent).effects[0].repeatable


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"endpoint": "https://evil.example"}, id="an address"),
        pytest.param({"method": "GET"}, id="a question"),
        pytest.param({"path": "v1"}, id="no path"),
        pytest.param({"path": "/v1?x=1"}, id="a query"),
        pytest.param({"path": "/" + "x" * 301}, id="a long path"),
        pytest.param({"body": "x" * 20_000}, id="a long body"),
        pytest.param({"body": {"n": float("nan")}}, id="no JSON"),
        pytest.param({"headers": {"X": "y"}}, id="headers"),
    ],
)
def test_params_that_are_wrong(more):
    with pytest.raises(ValidationError):
        params(**more)
