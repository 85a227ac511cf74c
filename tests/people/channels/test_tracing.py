"""One remediation is one trace, exported over OTLP and never in the way."""

from __future__ import annotations

import asyncio
import builtins
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from remediator.adapters.tracing import Tracing, span_id, trace_id
from remediator.errors import InvalidConfig
from remediator.remediation.draft import Decision
from tests.support.fake_http import Fault
from tests.support.fake_otlp import TOKEN, TRACES, FakeOtlp
from tests.support.world import World, deployment, restart_playbook

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def fake() -> AsyncIterator[FakeOtlp]:
    async with FakeOtlp() as fake:
        yield fake


async def life(**changes: Any) -> list[Decision]:
    """Every transition of one remediation, to its end."""
    world = World(restart_playbook(**changes))
    world.cluster.apply(deployment())
    world.cluster.advance(60)
    await world.alert()
    await world.run_until("succeeded", "escalated")
    return world.decisions


async def export(fake: FakeOtlp, *parts: list[Decision]) -> dict[str, Any]:
    """Spans by name; each part in a process of its own."""
    for part in parts:
        tracing = Tracing(fake.url, headers=HEADERS, instance="host-1")
        for decision in part:
            tracing.decision(decision)
        await asyncio.to_thread(tracing.close)
    return {span.name: span for span in fake.spans}


def facts(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


async def test_one_remediation_one_trace(fake: FakeOtlp) -> None:
    decisions = await life()
    spans = await export(fake, decisions)
    r = decisions[-1].remediation
    assert {"received", "planned", "verifying", "remediation restart-api"} <= set(spans)
    assert {span.trace_id for span in spans.values()} == {trace_id(r.id).to_bytes(16, "big")}
    root = spans["remediation restart-api"]
    assert root.parent_span_id == b""
    assert root.span_id == span_id(r.id, "").to_bytes(8, "big")
    assert {s.parent_span_id for s in spans.values() if s is not root} == {root.span_id}
    assert all(root.start_time_unix_nano <= s.start_time_unix_nano for s in spans.values())
    assert all(s.end_time_unix_nano <= root.end_time_unix_nano for s in spans.values())
    told = facts(root)
    assert told["remediator.remediation"] == r.id
    assert told["remediator.target"] == "Deployment shop/api"
    assert told["remediator.state"] == "succeeded"
    (effect,) = (span for name, span in spans.items() if name.startswith("effect "))
    assert facts(effect)["remediator.effect"] == f"{r.id}/0.0"
    assert fake.resource["service.name"] == "remediator"
    assert fake.resource["service.instance.id"] == "host-1"


async def test_a_restart_in_the_middle_makes_no_difference(fake: FakeOtlp) -> None:
    """The ids are those of the remediation, so two processes write one trace."""
    decisions = await life()
    whole = {name: span.span_id for name, span in (await export(fake, decisions)).items()}
    fake.spans.clear()
    assert {n: s.span_id for n, s in (await export(fake, decisions[:4], decisions[4:])).items()} == whole


async def test_a_bad_end_is_an_error(fake: FakeOtlp) -> None:
    """Nobody approved."""
    decisions = await life(mode="approve", approval={"expires": "1m"})
    root = (await export(fake, decisions))["remediation restart-api"]
    assert decisions[-1].remediation.state.value != "succeeded"
    assert root.status.code == 2


@pytest.mark.parametrize("status", [400, 401])
async def test_a_receiver_that_refuses_is_no_trouble(fake: FakeOtlp, status: int) -> None:
    fake.fail(TRACES, Fault(status=status), times=50)
    assert await export(fake, (await life())[:3]) == {}


async def test_nobody_there_is_no_trouble() -> None:
    tracing = Tracing("http://127.0.0.1:9/v1/traces", timeout_s=0.1)
    for decision in (await life())[:2]:
        tracing.decision(decision)
    await asyncio.to_thread(tracing.close)


async def test_a_defect_is_logged_and_goes_no_further(fake: FakeOtlp, monkeypatch: pytest.MonkeyPatch) -> None:
    tracing = Tracing(fake.url, headers=HEADERS)
    monkeypatch.setattr(Tracing, "_spans", lambda self, decision: 1 / 0)
    tracing.decision((await life())[0])
    await asyncio.to_thread(tracing.close)


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *more: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InvalidConfig, match=r"install remediator\[otel\]"):
        Tracing("http://127.0.0.1:9/v1/traces")


def test_ids_are_never_zero_and_differ() -> None:
    assert trace_id("r-1") != trace_id("r-2")
    assert 0 < span_id("r-1", "a") < 2**64
    assert 0 < trace_id("r-1") < 2**128


async def test_a_receiver_that_never_ends_keeps_nobody_from_leaving(
    fake: FakeOtlp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library asks its socket for the next byte within some seconds, again and again."""
    monkeypatch.setattr("remediator.adapters.tracing.CLOSE_S", 0.05)
    tracing, over = Tracing(fake.url, headers=HEADERS), threading.Event()
    ended = threading.Event()

    def dribbles(spans: Any) -> Any:
        over.wait(30)
        ended.set()
        return SpanExportResult.SUCCESS  # a thread that went on sending would disturb the tests behind this one

    monkeypatch.setattr(tracing._processor.span_exporter, "export", dribbles)  # type: ignore[attr-defined]
    for decision in (await life())[:2]:
        tracing.decision(decision)
    await asyncio.to_thread(tracing.close)
    assert fake.spans == []
    over.set()
    assert await asyncio.to_thread(ended.wait, 30)
