"""http: only what the operator lists goes out, once, with the key; and what each answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from remediator.adapters.callers.http import HttpCaller, allows
from remediator.errors import (
    CannotSee,
    Forbidden,
    InvalidConfig,
    NotFound,
    Refused,
    RemediatorError,
    Unavailable,
    Uncertain,
)
from remediator.outside import HttpEndpoint
from tests.support.fake_http import FakeServer, Fault

KEY = "rem-1/0/0"
DRAIN = {"method": "POST", "path": "/v1/pools/eu-1/drain", "body": {"seconds": 30}}


class FakeBalancer(FakeServer):
    """Takes everything; remembers method, path, headers and body."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.body = '{"state": "draining"}'
        self.location = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._any)
        return app

    async def _any(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append((request.method, request.raw_path, dict(request.headers), body))
        return await self.guarded("any", request, self._answer, lambda error: web.Response(status=400, text=error))

    async def _answer(self, request: web.Request) -> web.Response:
        if self.location:
            raise web.HTTPTemporaryRedirect(self.location)
        return web.Response(text=self.body, content_type="application/json")


@pytest.fixture
async def server() -> AsyncIterator[FakeBalancer]:
    async with FakeBalancer() as fake:
        yield fake


def endpoint(url: str, **more: Any) -> HttpEndpoint:
    return HttpEndpoint.model_validate(
        {
            "name": "balancer",
            "base_url": url,
            "allow": [
                {"method": "POST", "path": "/v1/pools/{name}/drain"},
                {"method": "DELETE", "path": "/v1/cache"},
                {"method": "GET", "path": "/v1/pools/{name}"},
            ],
            "headers": {"X-Api-Key": {"value": "balancer-key-1"}},
            "idempotency_header": "Idempotency-Key",
            "timeout": "0.5s",
            **more,
        }
    )


@pytest.fixture
async def caller(server: FakeBalancer) -> AsyncIterator[HttpCaller]:
    made = HttpCaller((endpoint(server.root),), allow_loopback=True)
    yield made
    await made.close()


async def test_a_request_goes_out_once_with_key_and_credentials(server: FakeBalancer, caller: HttpCaller) -> None:
    said = await caller.send("balancer", DRAIN, key=KEY)
    ((method, path, headers, body),) = server.asked
    assert (method, path, body) == ("POST", "/v1/pools/eu-1/drain", b'{"seconds":30}')
    assert headers["Idempotency-Key"] == KEY
    assert headers["X-Api-Key"] == "balancer-key-1"
    assert headers["Content-Type"] == "application/json"
    assert said == {"status": 200, "body": '{"state": "draining"}', "cut": False, "says": "balancer answered 200"}


async def test_a_request_without_a_body_has_none(server: FakeBalancer, caller: HttpCaller) -> None:
    await caller.send("balancer", {"method": "DELETE", "path": "/v1/cache"}, key=KEY)
    assert server.asked[0][3] == b""
    assert "Content-Type" not in server.asked[0][2]


async def test_no_header_where_none_is_configured(server: FakeBalancer) -> None:
    caller = HttpCaller((endpoint(server.root, idempotency_header=""),), allow_loopback=True)
    await caller.send("balancer", DRAIN, key=KEY)
    await caller.close()
    assert KEY not in server.asked[0][2].values()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/pools/eu-1/drain"),
        ("POST", "/v1/pools/eu-1"),
        ("POST", "/v1/pools/eu-1/drain/"),
        ("POST", "/v1/pools//drain"),
        ("POST", "/v1/pools/../drain"),
        ("POST", "/v1/pools/./drain"),
        ("POST", "/v1/pools/a%2Fb/drain"),
        ("POST", "/v1/pools/a?b=c/drain"),
        ("POST", "/v1/pools/a#b/drain"),
        ("POST", "/v1/pools/a b/drain"),
        ("POST", "/v1/pools/a\n/drain"),
        ("POST", "//evil.example/v1/pools/a/drain"),
        ("POST", "@evil.example/v1/pools/a/drain"),
        ("post", "/v1/pools/eu-1/drain"),
        ("", ""),
    ],
)
async def test_what_is_not_listed_does_not_go_out(
    server: FakeBalancer, caller: HttpCaller, method: str, path: str
) -> None:
    assert not allows(endpoint(server.root), method, path)
    with pytest.raises(Refused, match="does not allow"):
        await caller.send("balancer", {"method": method, "path": path}, key=KEY)
    with pytest.raises(Refused, match="does not allow"):
        await caller.rehearse("balancer", {"method": method, "path": path})
    assert server.asked == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=500), Uncertain, id="500"),
        pytest.param(Fault(status=504), Uncertain, id="504"),
        pytest.param(Fault(status=408), Uncertain, id="408"),
        pytest.param(Fault(drop=True), Uncertain, id="dropped"),
        pytest.param(Fault(hang="after"), Uncertain, id="no answer"),
        pytest.param(Fault(status=302), Uncertain, id="a redirect, as after a form"),
        pytest.param(Fault(status=308), Refused, id="a redirect that asks to send it there"),
        pytest.param(Fault(status=206), Uncertain, id="2xx that is not among the ok ones"),
        pytest.param(Fault(status=409), Uncertain, id="409 to a key"),
        pytest.param(Fault(status=400), Refused, id="400"),
        pytest.param(Fault(status=401), Refused, id="401"),
        pytest.param(Fault(status=404), Refused, id="404"),
        pytest.param(Fault(status=429, retry_after="9"), Unavailable, id="429"),
    ],
)
async def test_what_an_answer_means(
    server: FakeBalancer, caller: HttpCaller, fault: Fault, error: type[RemediatorError]
) -> None:
    server.fail("any", fault)
    with pytest.raises(error) as caught:
        await caller.send("balancer", DRAIN, key=KEY)
    assert type(caught.value) is error
    assert len(server.asked) == 1
    assert "balancer-key-1" not in str(caught.value)
    if isinstance(caught.value, Unavailable):
        assert caught.value.retry_after_s == 9.0


async def test_a_redirect_is_not_followed(server: FakeBalancer, caller: HttpCaller) -> None:
    """It would take the request, and our credentials, where nobody allowed it."""
    server.location = f"{server.root}/v1/secrets"
    with pytest.raises(Refused, match="redirects us"):
        await caller.send("balancer", DRAIN, key=KEY)
    assert [path for _, path, _, _ in server.asked] == ["/v1/pools/eu-1/drain"]


async def test_a_deletion_whose_connection_breaks_is_not_sent_again(server: FakeBalancer, caller: HttpCaller) -> None:
    server.fail("any", Fault(drop=True))
    with pytest.raises(Uncertain):
        await caller.send("balancer", {"method": "DELETE", "path": "/v1/cache"}, key=KEY)
    assert len(server.asked) == 1


async def test_nobody_there_means_nothing_was_sent(server: FakeBalancer, caller: HttpCaller) -> None:
    await server.__aexit__()
    with pytest.raises(Unavailable, match="nothing was sent"):
        await caller.send("balancer", DRAIN, key=KEY)


async def test_answers_are_bounded_and_redacted(server: FakeBalancer, caller: HttpCaller) -> None:
    server.body = '{"token": "abcdef-secret-1", "echo": "balancer-key-1", "more": "' + "x" * 200_000 + '"}'
    said = await caller.send("balancer", DRAIN, key=KEY)
    assert len(said["body"]) <= 64 * 1024
    assert said["cut"]
    assert "secret-1" not in said["body"]
    assert "balancer-key-1" not in said["body"]


async def test_a_body_that_is_too_long_is_refused(server: FakeBalancer, caller: HttpCaller) -> None:
    with pytest.raises(Refused, match="longer than"):
        await caller.send("balancer", {**DRAIN, "body": "x" * 70_000}, key=KEY)
    assert server.asked == []


async def test_questions(server: FakeBalancer, caller: HttpCaller) -> None:
    about = {"about": "endpoint", "method": "POST", "path": "/v1/pools/eu-1/drain"}
    assert await caller.ask("balancer", about) == {
        "allowed": True,
        "why": "",
        "idempotent": True,
        "url": f"{server.root}/v1/pools/eu-1/drain",
    }
    refused = await caller.ask("balancer", {**about, "method": "PUT"})
    assert (refused["allowed"], "does not allow PUT" in refused["why"]) == (False, True)
    assert server.asked == []
    assert (await caller.ask("balancer", {"path": "/v1/pools/eu-1"}))["status"] == 200
    with pytest.raises(Forbidden):
        await caller.ask("balancer", {"path": "/v1/secrets"})
    with pytest.raises(NotFound, match="there are: balancer"):
        await caller.ask("other", about)
    server.fail("any", Fault(status=503))
    with pytest.raises(CannotSee):
        await caller.ask("balancer", {"path": "/v1/pools/eu-1"})
    assert await caller.find("balancer", DRAIN, key=KEY) == "unknown"
    assert await caller.rehearse("balancer", DRAIN) == ""


async def test_an_unreadable_secret_sends_nothing(server: FakeBalancer) -> None:
    caller = HttpCaller((endpoint(server.root, headers={"X-Api-Key": "/nowhere/key"}),), allow_loopback=True)
    with pytest.raises(Unavailable, match="/nowhere/key cannot be read"):
        await caller.send("balancer", DRAIN, key=KEY)
    await caller.close()
    assert server.asked == []


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:169.254.169.254]"])
def test_addresses_that_are_not_visited(host: str) -> None:
    with pytest.raises(InvalidConfig, match="not visited"):
        HttpCaller((endpoint(f"http://{host}:8080"),))


async def test_a_name_of_this_machine_is_not_visited_either(server: FakeBalancer) -> None:
    caller = HttpCaller((endpoint(server.root.replace("127.0.0.1", "localhost")),))
    with pytest.raises(Refused, match="not visited"):
        await caller.send("balancer", DRAIN, key=KEY)
    await caller.close()
    assert server.asked == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"base_url": "ftp://x"}, "base_url", id="another protocol"),
        pytest.param({"base_url": "https://user:pw@x"}, "base_url", id="credentials in the address"),
        pytest.param({"base_url": "https://x/?a=b"}, "base_url", id="a query"),
        pytest.param({"allow": []}, "allow", id="nothing allowed"),
        pytest.param({"allow": [{"method": "POST", "path": "/a/../b"}]}, "path", id="a step up"),
        pytest.param({"allow": [{"method": "POST", "path": "/a/{x}y"}]}, "path", id="half a part"),
        pytest.param({"allow": [{"method": "TRACE", "path": "/"}]}, "method", id="another method"),
        pytest.param({"ok": [404]}, "ok", id="a failure as success"),
        pytest.param({"headers": {"X": "plain-secret"}}, "path of a file", id="a secret in place"),
        pytest.param({"retries": 3}, "retries", id="unknown key"),
    ],
)
def test_endpoints_that_do_not_load(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        endpoint("https://lb.example.com", **change)
