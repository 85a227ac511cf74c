"""Whatever is posted, the answer is 200, 400, 401 or 413, and the service goes on. 503 is for the store alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator.http.webhook import PATH
from tests.http.harness import Client, World, alert, bearer, webhook

TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
TIMES = st.sampled_from(
    (
        "2026-03-01T02:55:00Z",
        "2026-03-01T02:55:00.123456789+14:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-12:00",
        "2026-02-30T00:00:00Z",
    )
)
LABELS = st.dictionaries(TEXT, TEXT, max_size=6)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(("firing", "resolved")),
    "labels": LABELS.map(lambda labels: {"alertname": "A", **labels}),
    "annotations": LABELS,
    "startsAt": TIMES,
    "endsAt": TIMES,
    "generatorURL": TEXT,
    "fingerprint": st.sampled_from(("", "0" * 16, "not hex")),
}


@st.composite
def nearly_right(draw: st.DrawFn) -> dict[str, Any]:
    """A payload as Alertmanager sends it, with some fields replaced by something else or left out."""
    alerts = []
    for _ in range(draw(st.integers(0, 3))):
        made = {name: draw(strategy) for name, strategy in FIELDS.items()}
        spoilt = draw(st.none() | st.sampled_from(sorted(made)))
        if spoilt is not None:
            made[spoilt] = draw(JSON)
        left_out = draw(st.none() | st.sampled_from(sorted(made)))
        made.pop(left_out, None) if left_out else None
        alerts.append(made)
    body = {"version": "4", "groupKey": draw(TEXT), "truncatedAlerts": draw(st.integers(0, 3)), "alerts": alerts}
    spoilt = draw(st.none() | st.sampled_from(sorted(body)))
    return body | ({spoilt: draw(JSON)} if spoilt else {})


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


BODIES = st.one_of(
    st.binary(max_size=200),
    JSON.map(dumped),
    nearly_right().map(dumped),
    st.binary(max_size=30).map(lambda junk: webhook(alert()) + junk),
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Hypothesis is synchronous: one loop and one service for all examples."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def served(runner: asyncio.Runner) -> Iterator[Client]:
    serving = World().serving()
    yield runner.run(serving.__aenter__())
    runner.run(serving.__aexit__(None, None, None))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_no_body_breaks_it(runner: asyncio.Runner, served: Client, body: bytes) -> None:
    async def post() -> tuple[int, bytes]:
        answer = await served.post(PATH, data=body, headers=bearer())
        return answer.status, await answer.read()

    status, told = runner.run(post())
    assert status in (200, 400)
    assert set(json.loads(told)) == ({"new", "known", "resolved"} if status == 200 else {"error", "detail"})


HEADERS = st.dictionaries(
    st.sampled_from(("Authorization", "Content-Type", "Content-Encoding", "Accept", "Cookie", "X-Forwarded-For")),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    max_size=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=HEADERS, right=st.booleans())
def test_no_header_breaks_it(runner: asyncio.Runner, served: Client, headers: dict[str, str], right: bool) -> None:
    """Bytes on the wire as they come: no client in between that would refuse to send them."""
    headers = {**headers, **bearer()} if right else headers
    body = webhook(alert())
    lines = [f"POST {PATH} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())]) + "\r\n\r\n"

    async def post() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head.encode("latin-1") + body)
        answer = await reader.read()
        writer.close()
        return answer

    status = int(runner.run(post()).split(b" ", 2)[1])
    assert status in (200, 400, 401)
