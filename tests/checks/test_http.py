"""`http`: what counts as an answer, and that no label value decides where we go."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.errors import CannotSee
from remediator.remediation.checks.base import HttpAnswer, Unknown
from remediator.remediation.checks.http import HttpArgs, sample
from tests.checks.fakes import NOW, FakeProbe, context, renderer

HEALTH: dict[str, Any] = {"service": "api", "port": 8080, "path": "/health"}


@pytest.mark.parametrize(
    ("args", "got", "answer", "badness"),
    [
        pytest.param({}, HttpAnswer(200), "good", 0.0, id="200"),
        pytest.param({}, HttpAnswer(503), "bad", 1.0, id="503"),
        pytest.param({}, HttpAnswer(302), "bad", 1.0, id="a redirect is not followed"),
        pytest.param({"status": 204}, HttpAnswer(204), "good", 0.0, id="another status"),
        pytest.param({"status": [200, 401]}, HttpAnswer(401), "good", 0.0, id="one of several"),
        pytest.param({"body": '"UP"'}, HttpAnswer(200, '{"status":"UP"}'), "good", 0.0, id="body"),
        pytest.param({"body": '"UP"'}, HttpAnswer(200, '{"status":"DOWN"}'), "bad", 1.0, id="wrong body"),
    ],
)
async def test_answers(args: dict[str, Any], got: HttpAnswer, answer: str, badness: float) -> None:
    probe = FakeProbe(got)
    found = await sample(HttpArgs.model_validate(HEALTH | args), context(http=probe))
    assert (found.answer, found.badness, found.taken_at) == (answer, badness, NOW)
    assert probe.asked == ["http://api.shop.svc:8080/health"]


async def test_no_answer_is_unknown() -> None:
    """It may be a network policy between us: a read that fails is not a sick service."""
    with pytest.raises(CannotSee, match="refused"):
        await sample(HttpArgs(**HEALTH), context(http=FakeProbe(CannotSee("connection refused"))))


async def test_without_a_probe_it_is_unknown() -> None:
    with pytest.raises(Unknown, match="not configured"):
        await sample(HttpArgs(**HEALTH), context())


@pytest.mark.parametrize(
    ("url", "value", "expected"),
    [
        pytest.param("http://${params.v}.shop.svc:80/x", "api", "http://api.shop.svc:80/x", id="a label of the host"),
        pytest.param("http://a.svc/${params.v}", "a b/../c?d#e", "http://a.svc/a%20b%2F..%2Fc%3Fd%23e", id="path"),
        pytest.param("http://a.svc?q=${params.v}", "1&admin=1", "http://a.svc?q=1%26admin%3D1", id="query"),
        pytest.param("http://a.svc/${params.v}/${params.v}", "x", "http://a.svc/x/x", id="twice"),
    ],
)
async def test_values_are_written_for_their_place(url: str, value: str, expected: str) -> None:
    probe = FakeProbe()
    await sample(HttpArgs(url=url), context(http=probe, render=renderer(v=value)))
    assert probe.asked == [expected]


@pytest.mark.parametrize(
    "value",
    [
        "evil.com/",
        "evil.com#",
        "evil.com:80",
        "a@evil",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "",
        "-a",
        "A",
        "a" * 64,
        "a\n",
    ],
)
async def test_a_value_cannot_choose_the_host(value: str) -> None:
    probe = FakeProbe()
    with pytest.raises(Unknown, match="cannot be part of a host name"):
        await sample(HttpArgs(url="http://${params.v}.shop.svc/x"), context(http=probe, render=renderer(v=value)))
    assert probe.asked == []


async def test_a_service_is_a_name() -> None:
    probe = FakeProbe()
    args = HttpArgs(service="evil.com/", port=80)
    with pytest.raises(Unknown, match="no name of a Service"):
        await sample(args, context(http=probe))
    assert probe.asked == []


@pytest.mark.parametrize(
    "args",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"url": "http://a", "service": "b", "port": 1}, id="both"),
        pytest.param({"service": "a"}, id="no port"),
        pytest.param({"service": "a", "port": 0}, id="port 0"),
        pytest.param({"service": "a", "port": 80, "path": "health"}, id="path without slash"),
        pytest.param({"url": "http://a", "port": 80}, id="port beside a url"),
        pytest.param({"url": "ftp://a"}, id="another scheme"),
        pytest.param({"url": "a.svc/health"}, id="no scheme"),
        pytest.param({"url": "http://user:pw@a.svc"}, id="credentials"),
        pytest.param({"url": "http:///x"}, id="no host"),
        pytest.param({"url": "${alert.labels.url}"}, id="a label is the url"),
        pytest.param({"url": "http://${alert.labels.instance}/x"}, id="a label is the host"),
        pytest.param({"url": "http://a.${alert.labels.x}/"}, id="a label is the domain"),
        pytest.param({"url": "http://${alert.labels.x}:80/"}, id="a label is all before the port"),
        pytest.param({"url": "http://a.svc:${alert.labels.x}/"}, id="a label is the port"),
        pytest.param({"url": "http://a.svc${alert.labels.x}/"}, id="a label goes on with the host"),
        pytest.param({"url": "http://${alert.labels.x/"}, id="an unclosed template"),
        pytest.param({"url": "http://a", "status": 99}, id="no status"),
        pytest.param({"url": "http://a", "status": True}, id="a truth value"),
    ],
)
def test_addresses_that_are_refused_at_load(args: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        HttpArgs.model_validate(args)
