"""The Prometheus adapter: every documented shape of an answer, and every way of giving none."""

from __future__ import annotations

import gzip
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.adapters.json_api import Endpoint
from remediator.adapters.prometheus import MAX_POINTS, MAX_SERIES, PrometheusQueries
from remediator.errors import CannotSee
from remediator.ports import AlertRule, Queries, Sample
from tests.support.fake_http import Fault
from tests.support.fake_prometheus import FakeJsonApi, success

AT = 1718000000.123
TOO_MANY = [[AT, "1"]] * (MAX_POINTS + 1)
WHEN = datetime.fromtimestamp(AT, UTC)


@pytest.fixture
async def fake() -> AsyncIterator[FakeJsonApi]:
    async with FakeJsonApi() as server:
        yield server


def endpoint(fake: FakeJsonApi, **more: Any) -> Endpoint:
    given: dict[str, Any] = {"name": "Prometheus", "url": fake.root, "timeout_s": 2.0}
    return Endpoint(**given | more)


@pytest.fixture
async def queries(fake: FakeJsonApi) -> AsyncIterator[PrometheusQueries]:
    adapter = PrometheusQueries(endpoint(fake))
    yield adapter
    await adapter.close()


def test_it_is_the_port() -> None:
    port: type[Queries] = PrometheusQueries
    assert port


# --- answers


def one(value: Any) -> dict[str, Any]:
    return {"metric": {}, "value": value}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(success("vector", []), (), id="empty is an answer"),
        pytest.param(
            success("vector", [{"metric": {"__name__": "up", "job": "a"}, "value": [AT, "1"]}]),
            (Sample({"__name__": "up", "job": "a"}, 1.0, WHEN),),
            id="vector",
        ),
        pytest.param(success("scalar", [AT, "2.5"]), (Sample({}, 2.5, WHEN),), id="scalar"),
        pytest.param(
            success("vector", [{"metric": {}, "value": [1718000000, "+Inf"]}]),
            (Sample({}, math.inf, datetime.fromtimestamp(1718000000, UTC)),),
            id="+Inf, whole seconds",
        ),
        pytest.param(
            success("vector", [{"metric": {}, "value": [AT, "-Inf"]}]), (Sample({}, -math.inf, WHEN),), id="-Inf"
        ),
        pytest.param(success("vector", [], infos=["metric might not be a counter"]), (), id="infos are advice"),
        pytest.param(success("vector", [], warnings=[]), (), id="no warnings"),
        pytest.param(success("vector", [], stats={"x": 1}), (), id="fields we do not know"),
    ],
)
async def test_instant(fake: FakeJsonApi, queries: PrometheusQueries, body: Any, expected: tuple[Sample, ...]) -> None:
    fake.body = body
    assert await queries.instant("x") == expected


async def test_nan_stays_nan(fake: FakeJsonApi, queries: PrometheusQueries) -> None:
    fake.body = success("vector", [{"metric": {}, "value": [AT, "NaN"]}])
    (found,) = await queries.instant("x")
    assert math.isnan(found.value)


HISTOGRAM = {"count": "5", "sum": "1", "buckets": [[0, "0", "1", "5"]]}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(success("vector", [], warnings=["store down"]), "partial: store down", id="warnings"),
        pytest.param(success("vector", [{"metric": {}, "histogram": [AT, HISTOGRAM]}]), "native", id="histogram"),
        pytest.param(success("matrix", []), "gives a matrix", id="a range vector"),
        pytest.param(success("string", [AT, "x"]), "gives a string", id="a string"),
        pytest.param({"status": "error", "errorType": "x", "error": "boom"}, "boom", id="an error with status 200"),
        pytest.param({"status": "success"}, "gives a None", id="no data"),
        pytest.param({"status": "success", "data": None}, "gives a None", id="null data"),
        pytest.param([], "not an answer of Prometheus", id="a list"),
        pytest.param("null", "no JSON", id="null"),
        pytest.param(success("vector", None), "cannot be read", id="null result"),
        pytest.param(success("vector", [{"metric": {}}]), "cannot be read", id="no value"),
        pytest.param(success("vector", [one([AT, 1])]), "cannot be read", id="a value that is a number"),
        pytest.param(success("vector", [one([AT, "many"])]), "cannot be read", id="no number"),
        pytest.param(success("vector", [one([1e300, "1"])]), "cannot be read", id="no time"),
        pytest.param(success("vector", [{"metric": {"a": 1}, "value": [AT, "1"]}]), "cannot be read", id="no label"),
        pytest.param(
            success("vector", [{"metric": {"n": str(n)}, "value": [AT, "1"]} for n in range(MAX_SERIES + 1)]),
            "more than 1000 series",
            id="too many series",
        ),
    ],
)
async def test_what_is_no_complete_answer(fake: FakeJsonApi, queries: PrometheusQueries, body: Any, why: str) -> None:
    fake.body = body
    with pytest.raises(CannotSee, match=why):
        await queries.instant("x")


@pytest.mark.parametrize(
    ("status", "body", "content_type", "why"),
    [
        pytest.param(
            400, '{"status":"error","error":"parse error"}', "application/json", "400: parse error", id="bad_data"
        ),
        pytest.param(422, '{"status":"error","error":"too many"}', "application/json", "422: too many", id="execution"),
        pytest.param(404, "page not found", "text/plain", "404: page not found", id="wrong path"),
        pytest.param(401, "", "text/plain", "check the credentials", id="401"),
        pytest.param(403, "<html>no</html>", "text/html", "check the credentials", id="403 of a proxy"),
        pytest.param(302, "", "text/html", "a login page", id="a redirect is not followed"),
        pytest.param(200, "<html>Sign in</html>", "text/html", "no JSON but text/html", id="a page of a proxy"),
        pytest.param(200, '{"status": "succ', "application/json", "no JSON", id="cut off"),
        pytest.param(200, b"\xff\xfe", "application/json", "no JSON", id="bytes"),
        pytest.param(200, "[" * 100_000, "application/json", "no JSON", id="deep nesting"),
        pytest.param(204, "", "application/json", "204", id="nothing"),
    ],
)
async def test_other_answers(
    fake: FakeJsonApi, queries: PrometheusQueries, status: int, body: Any, content_type: str, why: str
) -> None:
    fake.status, fake.body, fake.content_type = status, body, content_type
    fake.headers = {"Location": "/login"} if status == 302 else {}
    with pytest.raises(CannotSee, match=why):
        await queries.instant("x")
    assert len(fake.asked) == 1, "asking again would not help"


# --- trying again


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(status=500), id="500"),
        pytest.param(Fault(status=503, body='{"status":"error","errorType":"timeout","error":"x"}'), id="503"),
        pytest.param(Fault(status=429), id="429"),
        pytest.param(Fault(status=502, body="<html>Bad Gateway</html>"), id="502 in HTML"),
        pytest.param(Fault(drop=True), id="connection lost"),
    ],
)
async def test_twice_broken_and_then_well(fake: FakeJsonApi, queries: PrometheusQueries, fault: Fault) -> None:
    fake.body = success("vector", [])
    fake.fail("/api/v1/query", fault, times=2)
    assert await queries.instant("x") == ()
    assert len(fake.calls) == 3


async def test_three_times_broken(fake: FakeJsonApi, queries: PrometheusQueries) -> None:
    fake.fail("/api/v1/query", Fault(status=503, body="overloaded"), times=9)
    with pytest.raises(CannotSee, match=r"answered 503: overloaded \(3 tries\)"):
        await queries.instant("x")
    assert len(fake.calls) == 3


async def test_nobody_there() -> None:
    adapter = PrometheusQueries(Endpoint(name="Prometheus", url="http://127.0.0.1:1", timeout_s=2.0))
    with pytest.raises(CannotSee, match="no connection"):
        await adapter.instant("x")
    await adapter.close()


async def test_a_slow_answer_is_waited_for_once_and_not_for_ever(fake: FakeJsonApi) -> None:
    adapter = PrometheusQueries(endpoint(fake, timeout_s=0.1))
    fake.fail("/api/v1/query", Fault(hang="before"))
    with pytest.raises(CannotSee, match=r"did not answer within 0\.1 s"):
        await adapter.instant("x")
    assert len(fake.calls) == 1
    await adapter.close()


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_without_end(fake: FakeJsonApi, packed: bool) -> None:
    """The limit counts unpacked bytes: a compressed answer may hold a thousand times its size."""
    adapter = PrometheusQueries(endpoint(fake, max_bytes=10_000))
    fake.body = gzip.compress(b" " * 50_000) if packed else " " * 50_000
    fake.headers = {"Content-Encoding": "gzip"} if packed else {}
    with pytest.raises(CannotSee, match="more than 10000 bytes"):
        await adapter.instant("x")
    await adapter.close()


# --- how it asks


async def test_the_request(fake: FakeJsonApi, queries: PrometheusQueries) -> None:
    fake.body = success("vector", [])
    await queries.instant('up{a="ü&b=+c"}')
    (asked,) = fake.asked
    assert (asked.method, asked.path) == ("POST", "/api/v1/query")
    assert asked.fields == [("query", 'up{a="ü&b=+c"}'), ("timeout", "2000ms"), ("limit", "1001")]


async def test_a_path_prefix_and_a_slash(fake: FakeJsonApi) -> None:
    adapter = PrometheusQueries(endpoint(fake, url=f"{fake.root}/prometheus/"))
    fake.body = success("vector", [])
    await adapter.instant("x")
    assert fake.asked[0].path == "/prometheus/api/v1/query"
    await adapter.close()


async def test_credentials_are_read_anew_for_every_request(fake: FakeJsonApi, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    adapter = PrometheusQueries(endpoint(fake, bearer=token.read_text, headers={"X-Scope-OrgID": "shop"}))
    fake.body = success("vector", [])
    await adapter.instant("x")
    token.write_text("second")
    await adapter.instant("x")
    assert [a.headers["Authorization"] for a in fake.asked] == ["Bearer first", "Bearer second"]
    assert fake.asked[0].headers["X-Scope-OrgID"] == "shop"
    token.unlink()
    with pytest.raises(CannotSee, match="credentials cannot be read"):
        await adapter.instant("x")
    await adapter.close()


async def test_basic_auth(fake: FakeJsonApi) -> None:
    adapter = PrometheusQueries(endpoint(fake, user="ann", password=lambda: "pä:ss"))
    fake.body = success("vector", [])
    await adapter.instant("x")
    assert fake.asked[0].headers["Authorization"] == "Basic YW5uOnDDpDpzcw=="
    await adapter.close()


async def test_no_secret_comes_back_in_an_error(fake: FakeJsonApi) -> None:
    here = endpoint(fake, bearer=lambda: "s3cr3t-t0ken", headers={"X-Auth": "other-s3cret"})
    adapter = PrometheusQueries(here)
    fake.status, fake.body = 400, "bad header s3cr3t-t0ken and other-s3cret, password=hunter2"
    with pytest.raises(CannotSee) as caught:
        await adapter.instant("x")
    assert not any(s in f"{caught.value} {here}" for s in ("s3cr3t-t0ken", "other-s3cret", "hunter2"))
    await adapter.close()


async def test_half_a_character_is_no_crash(fake: FakeJsonApi, queries: PrometheusQueries) -> None:
    with pytest.raises(CannotSee):
        await queries.instant("up{a='\ud800'}")


# --- ranges


async def test_range(fake: FakeJsonApi, queries: PrometheusQueries) -> None:
    fake.body = success("matrix", [{"metric": {"a": "b"}, "values": [[AT, "1"], [AT + 60, "NaN"]]}])
    (series,) = await queries.range("x", start=WHEN, end=WHEN + timedelta(minutes=1), step_s=60.0)
    assert (series.labels, series.points[0]) == ({"a": "b"}, (WHEN, 1.0))
    assert series.points[1][0] == WHEN + timedelta(minutes=1)
    assert math.isnan(series.points[1][1])
    asked = fake.asked[0]
    assert asked.path == "/api/v1/query_range"
    assert (asked["start"], asked["end"], asked["step"]) == ("1718000000.123", "1718000060.123", "60")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(success("vector", []), "gives a vector", id="no matrix"),
        pytest.param(success("matrix", [{"metric": {}, "histograms": [[AT, HISTOGRAM]]}]), "native", id="histograms"),
        pytest.param(success("matrix", [{"metric": {}}]), "cannot be read", id="no values"),
        pytest.param(success("matrix", [], warnings="partial"), "partial", id="warnings"),
        pytest.param(
            success("matrix", [{"metric": {}, "values": [[AT, "1"]] * (MAX_POINTS + 1)}]), "points", id="too many"
        ),
    ],
)
async def test_what_is_no_complete_range(fake: FakeJsonApi, queries: PrometheusQueries, body: Any, why: str) -> None:
    fake.body = body
    with pytest.raises(CannotSee, match=why):
        await queries.range("x", start=WHEN, end=WHEN, step_s=15.0)


# --- rules


def group(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "status": "success",
        "data": {"groups": [{"name": "g", "file": "f", "interval": 30, "rules": [*rules], **more}]},
    }


RULE = {
    "type": "alerting",
    "name": "HighErrorRate",
    "query": "x > 1",
    "duration": 120,
    "keepFiringFor": 60,
    "labels": {"severity": "page"},
    "health": "ok",
    "lastEvaluation": "2025-06-01T12:00:00.123456789+02:00",
    "alerts": [],
}
EVALUATED = datetime(2025, 6, 1, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "evaluated"),
    [
        pytest.param(RULE, EVALUATED, id="evaluated"),
        pytest.param(RULE | {"health": "err"}, None, id="its last evaluation failed"),
        pytest.param(RULE | {"health": "unknown"}, None, id="not evaluated yet"),
        pytest.param(RULE | {"lastEvaluation": "0001-01-01T00:00:00Z"}, None, id="the year 1 is never"),
        pytest.param({k: v for k, v in RULE.items() if k != "lastEvaluation"}, None, id="not said"),
    ],
)
async def test_rules(fake: FakeJsonApi, queries: PrometheusQueries, rule: dict[str, Any], evaluated: Any) -> None:
    fake.body = group(rule)
    expected = AlertRule("HighErrorRate", "x > 1", 120.0, 60.0, 30.0, evaluated, {"severity": "page"})
    assert await queries.rules("HighErrorRate") == (expected,)
    assert (fake.asked[0].method, fake.asked[0].path) == ("GET", "/api/v1/rules")
    assert fake.asked[0].fields[:2] == [("type", "alert"), ("rule_name[]", "HighErrorRate")]


async def test_an_old_prometheus_answers_all_rules_and_says_less(fake: FakeJsonApi, queries: PrometheusQueries) -> None:
    old = {"type": "alerting", "name": "HighErrorRate", "query": "y"}
    recording = {"type": "recording", "name": "HighErrorRate", "query": "z"}
    fake.body = group(old, RULE | {"name": "Other"}, recording, lastEvaluation="2025-06-01T10:00:00Z")
    (found,) = await queries.rules("HighErrorRate")
    assert found == AlertRule("HighErrorRate", "y", 0.0, 0.0, 30.0, datetime(2025, 6, 1, 10, tzinfo=UTC), {})


@pytest.mark.parametrize(
    "body",
    [
        {"status": "success", "data": None},
        {"status": "success", "data": {"groups": None}},
        group({"type": "alerting", "name": "HighErrorRate"}),
        group(RULE | {"lastEvaluation": "yesterday"}),
        group(RULE | {"lastEvaluation": "2025-06-01T10:00:00"}),
        group(RULE | {"duration": "long"}),
        group(RULE, interval={}) | {"warnings": ["one ruler is down"]},
    ],
    ids=range(7),
)
async def test_rules_that_cannot_be_read(fake: FakeJsonApi, queries: PrometheusQueries, body: Any) -> None:
    fake.body = body
    with pytest.raises(CannotSee):
        await queries.rules("HighErrorRate")
