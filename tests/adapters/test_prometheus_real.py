"""Adapter and checks against a real Prometheus that scrapes and evaluates a program which a test steers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.json_api import Endpoint
from remediator.adapters.prometheus import PrometheusQueries
from remediator.errors import CannotSee
from remediator.playbooks.model import Collect
from remediator.remediation.checks.alert_resolved import AlertResolvedArgs
from remediator.remediation.checks.alert_resolved import sample as alert_resolved
from remediator.remediation.checks.base import CheckContext, Unknown
from remediator.remediation.checks.error_ratio import ErrorRatioArgs
from remediator.remediation.checks.error_ratio import sample as error_ratio
from remediator.remediation.checks.latency import LatencyArgs
from remediator.remediation.checks.latency import sample as latency
from remediator.remediation.checks.promql import PromqlArgs
from remediator.remediation.checks.promql import sample as promql
from remediator.remediation.evidence import collect_all
from remediator.remediation.promql import equals, equals_or_absent, one_of, quote
from remediator.remediation.samples import CheckSample
from tests.checks.fakes import alert, context
from tests.support.controlplane import PrometheusServer
from tests.support.real_servers import Metrics, started

pytestmark = pytest.mark.controlplane

POD = "api-7d9f-bcdfg"
OK, FAILED = 'requests{code="200"}', 'requests{code="500"}'
CONFUSED = {"alert": "Confused", "expr": "requests * on () requests"}  # an error as soon as there are two series
BROKEN = {"alert": "Broken", "expr": 'sum by (job, namespace, pod) (rate(requests{code="500"}[2s])) > 0'}


@pytest.fixture(scope="module")
def program() -> Iterator[Metrics]:
    metrics = Metrics()
    yield metrics
    metrics.close()


@pytest.fixture(scope="module")
def server(program: Metrics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    labelled = {"targets": [program.address], "labels": {"namespace": "shop", "pod": POD}}
    prometheus = PrometheusServer(
        tmp_path_factory.mktemp("prometheus"),
        rules=[BROKEN | {"labels": {"severity": "page"}}, CONFUSED],
        targets={"shop": {"static_configs": [labelled]}},
        external_labels={"cluster": "eu1"},
    )
    with started(prometheus):
        yield prometheus


@pytest.fixture
async def queries(server: PrometheusServer, program: Metrics) -> AsyncIterator[PrometheusQueries]:
    program.up = True
    program.values.clear()
    program.growing = {OK: 10.0}
    adapter = PrometheusQueries(Endpoint(name="Prometheus", url=server.url))
    yield adapter
    await adapter.close()


Ask = Callable[[], Awaitable[Any]]


async def eventually(ask: Ask, accept: Callable[[Any], bool], *, timeout_s: float = 20.0) -> Any:
    """Ask until the answer is accepted; a check that cannot tell gives the reason as text."""
    last: Any = None
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    last = await ask()
                except Unknown as exc:
                    last = str(exc)
                if accept(last):
                    return last
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"never accepted; last {last!r}") from None


def good(found: Any) -> bool:
    return isinstance(found, CheckSample) and found.answer == "good"


def bad(found: Any) -> bool:
    return isinstance(found, CheckSample) and found.answer == "bad"


def unknown(why: str) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, str) and why in found


def at(queries: PrometheusQueries, since: datetime | None = None, **more: Any) -> CheckContext:
    return context(queries=queries, now=datetime.now(UTC), since=since, **more)


# --- the port


async def test_instant(queries: PrometheusQueries) -> None:
    (up,) = await eventually(lambda: queries.instant(f'up{{pod="{POD}"}} == 1'), bool)
    assert up.labels["namespace"] == "shop"
    assert abs(up.at - datetime.now(UTC)) < timedelta(seconds=30)
    assert await queries.instant("no_such_metric") == ()
    (number,) = await queries.instant("1 + 1")
    assert (number.labels, number.value) == ({}, 2.0)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("up{", "parse error"),
        ("up[5m]", "gives a matrix"),
        ('"text"', "gives a string"),
        ('label_replace(up, "a", "b", "job", "(")', "answered 4..: .*regular expression"),
    ],
)
async def test_queries_that_have_no_answer(queries: PrometheusQueries, query: str, why: str) -> None:
    with pytest.raises(CannotSee, match=why):
        await queries.instant(query)


async def test_range(queries: PrometheusQueries) -> None:
    now = datetime.now(UTC)
    (series,) = await queries.range("vector(7)", start=now - timedelta(minutes=1), end=now, step_s=15.0)
    assert [v for _, v in series.points] == [7.0] * 5
    assert abs(series.points[0][0] - (now - timedelta(minutes=1))) < timedelta(milliseconds=2)


async def test_rules(queries: PrometheusQueries) -> None:
    (rule,) = await eventually(lambda: queries.rules("Broken"), lambda r: bool(r) and r[0].last_evaluation is not None)
    assert (rule.interval_s, rule.labels) == (0.2, {"severity": "page"})
    assert abs(rule.last_evaluation - datetime.now(UTC)) < timedelta(seconds=30)
    assert await queries.rules("NoSuchRule") == ()


async def test_a_rule_whose_evaluation_fails_has_no_evaluation_to_rely_on(
    queries: PrometheusQueries, program: Metrics
) -> None:
    program.growing = {OK: 1.0, FAILED: 1.0, 'requests{code="300"}': 1.0}
    found = await eventually(lambda: queries.rules("Confused"), lambda r: bool(r) and r[0].last_evaluation is None)
    assert found[0].name == "Confused"


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        '"',
        "'",
        "`",
        "\\",
        "\\\\",
        '\\"',
        "a\nb",
        "\t\r\x00\x1f\x7f",
        "ü→😀",
        '"} or vector(1) #',
        ".*|x",
        "\\n",
    ],
)
async def test_every_value_survives_quoting(queries: PrometheusQueries, value: str) -> None:
    """Prometheus' own parser reads back what we quoted, as a value and as an expression that matches only itself."""
    series = f'label_replace(vector(1), "x", {quote(value)}, "", "")'
    (found,) = await queries.instant(series)
    assert found.labels == {"x": value}
    for matcher in (equals("x", value), one_of("x", [value, "other"]), equals_or_absent("x", value)):
        # A subquery would do, but ALERTS has no such label: what counts is that the parser takes it.
        assert await queries.instant(f'ALERTS{{{matcher},alertname="Nobody"}}') == ()


# --- error_ratio and latency


def ratio(queries: PrometheusQueries, since: datetime | None = None, **more: Any) -> Ask:
    given = {"metric": "requests", "error": 'code=~"5.."', "success": "< 2%", "failure": "> 5%", "window": "3s"}
    args = ErrorRatioArgs.model_validate(given | more)
    return lambda: error_ratio(args, at(queries, since))


async def test_errors_then_a_repair_after_which_no_error_series_exists(
    queries: PrometheusQueries, program: Metrics
) -> None:
    program.growing = {OK: 10.0, FAILED: 10.0}
    found = await eventually(ratio(queries), bad)
    assert 0.05 < found.badness < 0.7
    program.growing, program.values = {OK: 10.0}, {}
    repaired = datetime.now(UTC)
    found = await eventually(ratio(queries, repaired), good)
    assert found.badness == 0.0
    assert found.taken_at > repaired + timedelta(seconds=2)


async def test_a_misspelt_error_label_never_proves_health(queries: PrometheusQueries) -> None:
    await eventually(ratio(queries), good)
    await eventually(ratio(queries, error='status=~"5.."'), unknown("no series of requests has status"))


async def test_no_requests_are_good_only_while_scraped(queries: PrometheusQueries, program: Metrics) -> None:
    program.growing, program.values = {}, {OK: 5.0}
    found = await eventually(ratio(queries), lambda f: good(f) and "no requests" in f.detail)
    assert "all copies are ready" in found.detail
    program.up = False
    await eventually(ratio(queries), unknown("a scrape of this workload fails"))


async def test_a_counter_that_is_not_there_yet_is_idle_but_a_misspelt_one_is_not(
    queries: PrometheusQueries, program: Metrics
) -> None:
    """After a restart a counter may appear only with the first request."""
    await eventually(ratio(queries), good)
    program.growing, program.values = {}, {}
    await eventually(ratio(queries), lambda f: good(f) and "no requests" in f.detail)
    await eventually(ratio(queries, metric="reqests"), unknown("is the name right"))


async def test_latency(queries: PrometheusQueries, program: Metrics) -> None:
    def ask() -> Awaitable[CheckSample]:
        args = {"metric": "took_seconds", "quantile": 0.5, "success": "< 500ms", "failure": "> 2s", "window": "3s"}
        return latency(LatencyArgs.model_validate(args), at(queries))

    fast = {'took_seconds_bucket{le="0.1"}': 10.0, 'took_seconds_bucket{le="1"}': 10.0}
    program.growing |= {**fast, 'took_seconds_bucket{le="+Inf"}': 10.0}
    found = await eventually(ask, good)
    assert found.badness == pytest.approx(0.05, rel=0.2)
    (theirs,) = await queries.instant("histogram_quantile(0.5, sum by (le) (rate(took_seconds_bucket[3s])))")
    assert found.badness == pytest.approx(theirs.value, rel=0.05)
    program.growing |= dict.fromkeys(fast, 1.0)
    found = await eventually(ask, bad)
    assert "beyond the last bucket, 1 s" in found.detail


async def test_promql_on_empty(queries: PrometheusQueries, program: Metrics) -> None:
    proof = {"value": 0, "while": f'up{{pod="{POD}"}} == 1'}
    args = PromqlArgs.model_validate({"query": 'requests{code="500"} > 0', "success": "< 1", "on_empty": proof})
    await eventually(lambda: promql(args, at(queries)), good)
    program.up = False
    await eventually(lambda: promql(args, at(queries)), unknown("so is the query that should prove scraping"))


async def test_graph(queries: PrometheusQueries) -> None:
    await eventually(ratio(queries), good)
    wanted = Collect(kind="graph", args={"error_ratio": {"metric": "requests", "error": 'code=~"5.."'}, "last": "1m"})
    (found,) = await collect_all([wanted], at(queries))
    (series,) = found.data["series"]
    assert (found.error, found.truncated) == ("", False)
    assert 0 <= series["min"] <= series["last"] <= series["max"] <= 1
    assert 1 <= len([v for _, v in series["points"] if v is not None]) <= 61


# --- alert_resolved


def resolved(queries: PrometheusQueries, since: datetime | None = None, **more: str) -> Ask:
    given = {"namespace": "shop", "pod": POD, "job": "shop", "severity": "page", "cluster": "eu1"} | more
    alerts = (alert("Broken", starts_at=datetime.now(UTC), **given),)
    return lambda: alert_resolved(AlertResolvedArgs(), at(queries, since, alerts=alerts))


@pytest.fixture
async def firing(queries: PrometheusQueries, program: Metrics) -> PrometheusQueries:
    program.growing = {OK: 10.0, FAILED: 10.0}
    await eventually(resolved(queries), bad)
    return queries


async def test_an_alert_fires_clears_and_is_proven_gone(firing: PrometheusQueries, program: Metrics) -> None:
    program.growing[FAILED] = 0.0
    repaired = datetime.now(UTC)
    found = await resolved(firing, repaired)()
    assert found.clearing, found
    found = await eventually(resolved(firing, repaired), good)
    assert repaired < found.taken_at <= datetime.now(UTC)


async def test_an_alert_that_goes_on_is_bad_once_its_rule_must_have_seen_a_repair(firing: PrometheusQueries) -> None:
    """Range 2 s and two evaluations of 0.2 s."""
    begin = datetime.now(UTC)
    found = await eventually(resolved(firing, begin), bad)
    assert found.taken_at >= begin + timedelta(seconds=2)


async def test_an_alert_whose_program_is_no_longer_scraped_is_not_resolved(
    firing: PrometheusQueries, program: Metrics
) -> None:
    program.up = False
    await eventually(resolved(firing, datetime.now(UTC)), unknown("answers its scrapes"))


async def test_labels_that_this_prometheus_never_had_prove_nothing(firing: PrometheusQueries, program: Metrics) -> None:
    program.growing[FAILED] = 0.0
    await eventually(resolved(firing, datetime.now(UTC)), good)
    await eventually(resolved(firing, datetime.now(UTC), namespace="renamed"), unknown("never shown Broken"))


async def test_an_alert_whose_rule_is_gone_is_not_resolved(firing: PrometheusQueries, server: PrometheusServer) -> None:
    rules = server.rules
    try:
        server.rules = [{"alert": "Other", "expr": "vector(0) > 1"}]
        server.reload()
        await eventually(resolved(firing, datetime.now(UTC)), unknown("has no rule Broken"))
    finally:
        server.rules = rules
        server.reload()


async def test_a_dead_prometheus_resolves_nothing(firing: PrometheusQueries, server: PrometheusServer) -> None:
    """Last in this file: the server is started again, with what it had stored."""
    server.stop()
    try:
        with pytest.raises(CannotSee, match="no connection"):
            await resolved(firing, datetime.now(UTC))()
    finally:
        server.start()
