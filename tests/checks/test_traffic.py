"""`error_ratio` and `latency`: the PromQL they write, and what silence means."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.errors import CannotSee
from remediator.objects import ObjectRef
from remediator.ports import Sample
from remediator.remediation.checks.base import CheckTarget, MetricLabels, Unknown
from remediator.remediation.checks.error_ratio import ErrorRatioArgs
from remediator.remediation.checks.error_ratio import sample as error_ratio
from remediator.remediation.checks.latency import LatencyArgs, quantile_of
from remediator.remediation.checks.latency import sample as latency
from remediator.remediation.samples import CheckSample
from tests.checks.fakes import (
    EFFECT,
    NOW,
    FakeCluster,
    FakeQueries,
    context,
    deployment,
    pod,
    renderer,
    replicaset,
    vector,
)

PODS = "api-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}"
SELECT = f'namespace="shop",pod=~"{PODS}"'


ONE_PERCENT, FIVE_A_SECOND = vector(0.01), vector(5.0)


def prometheus(ratio: Any = ONE_PERCENT, rate: Any = FIVE_A_SECOND, **more: Any) -> FakeQueries:
    """Traffic of 5 requests a second; scraped; the metric and its labels are known."""
    queries = FakeQueries()
    queries.on(r"^sum\(rate\(requests\{", rate)
    queries.on(r"^\(sum\(rate\(requests\{", ratio)
    queries.on(r"^min\(up\{", more.get("up", vector(1.0)))
    queries.on(r"^min\(count_over_time\(up\{", more.get("scrapes", vector(6.0)))
    queries.on(r"^count\(count_over_time\(requests.*\[3600s\]", more.get("seen", vector(2.0)))
    queries.on(r"^count\(count_over_time\(requests.*\[180s\]", more.get("young", ()))
    queries.on(r"^count\(requests\{", more.get("labelled", vector(2.0)))
    return queries


async def ask(queries: FakeQueries, *, at: Any = None, **more: Any) -> CheckSample:
    given = {"metric": "requests", "error": 'code=~"5.."', "success": "< 2%", "failure": "> 5%"}
    return await error_ratio(ErrorRatioArgs.model_validate(given | more), at or context(queries=queries))


@pytest.mark.parametrize(
    ("ratio", "answer"), [(0.0, "good"), (0.019, "good"), (0.03, "unknown"), (0.06, "bad"), (1.0, "bad")]
)
async def test_error_ratio(ratio: float, answer: str) -> None:
    found = await ask(prometheus(vector(ratio)))
    assert (found.answer, found.badness) == (answer, ratio)


async def test_the_queries_are_kept_to_the_target_and_to_the_time_after_the_effect() -> None:
    queries = prometheus()
    await ask(queries)
    total = f"sum(rate(requests{{{SELECT}}}[180s]))"
    errors = f'sum(rate(requests{{{SELECT},code=~"5.."}}[180s]))'
    assert sorted(queries.asked) == sorted([f"({errors} or {total} * 0) / {total}", total])


async def test_while_planning_the_whole_window_counts() -> None:
    queries = prometheus()
    await ask(queries, at=context(queries=queries, since=None))
    assert all("[300s]" in q for q in queries.asked)


@pytest.mark.parametrize(
    ("passed", "window", "expected"),
    [
        pytest.param(60, "5m", "60s", id="the default settle time is enough"),
        pytest.param(50, "5m", "", id="too early"),
        pytest.param(400, "5m", "300s", id="never longer than asked for"),
        pytest.param(10, "10s", "10s", id="a short window needs no minute"),
        pytest.param(9, "10s", "", id="but itself"),
    ],
)
async def test_the_window_begins_after_the_effect(passed: int, window: str, expected: str) -> None:
    queries = prometheus()
    asking = ask(queries, at=context(queries=queries, since=NOW - timedelta(seconds=passed)), window=window)
    if expected:
        assert (await asking).answer == "good"
        assert f"[{expected}]" in queries.asked[0]
    else:
        with pytest.raises(Unknown, match="too short to measure"):
            await asking


async def test_a_prometheus_whose_clock_is_behind_would_look_before_the_effect() -> None:
    late = NOW - timedelta(seconds=30)
    queries = prometheus(vector(0.0, late), vector(5.0, late))
    with pytest.raises(Unknown, match="begins before the effect"):
        await ask(queries)


async def test_no_error_series_after_a_good_rollback_is_good_because_there_are_requests() -> None:
    """The zero comes from the query itself, and only where the same evaluation sees requests."""
    assert (await ask(prometheus(vector(0.0)))).answer == "good"


async def test_no_errors_by_a_label_that_no_series_has_proves_nothing() -> None:
    queries = prometheus(vector(0.0), labelled=())
    with pytest.raises(Unknown, match="no series of requests has status"):
        await ask(queries, error='status=~"5.."')
    assert f'count(requests{{{SELECT},status!=""}})' in queries.asked


async def test_few_requests_do_not_make_a_failure() -> None:
    """One 500 among three requests would be counted in three samples in a row."""
    found = await ask(prometheus(vector(0.33), vector(3 / 180)))
    assert (found.answer, found.badness) == ("unknown", None)
    assert "too few to call it bad" in found.detail


# --- silence


SILENCE = [pytest.param((), id="no series"), pytest.param(vector(0.0), id="series without requests")]


@pytest.mark.parametrize("rate", SILENCE)
async def test_silence_is_good_only_while_scraping_is_proven_and_all_copies_are_ready(rate: Any) -> None:
    found = await ask(prometheus((), rate))
    assert found.answer == "good"
    assert "no requests" in found.detail


@pytest.mark.parametrize("rate", SILENCE)
@pytest.mark.parametrize(
    ("more", "why"),
    [
        pytest.param({"up": ()}, "no `up` series", id="nobody scrapes"),
        pytest.param({"up": vector(0.0)}, "a scrape of this workload fails", id="a scrape fails"),
        pytest.param({"up": vector(1.0, EFFECT)}, "before the last effect", id="a proof from before"),
        pytest.param({"scrapes": ()}, "no `up` series", id="not scraped in the window"),
        pytest.param({"scrapes": vector(2.0)}, "only 2 scrapes", id="too few scrapes for a rate"),
        pytest.param({"seen": ()}, "is the name right", id="a metric that never was"),
        pytest.param({"up": CannotSee("503")}, "503", id="no answer"),
    ],
)
async def test_silence_without_proof_is_unknown(rate: Any, more: dict[str, Any], why: str) -> None:
    with pytest.raises((Unknown, CannotSee), match=why):
        await ask(prometheus((), rate, **more))


async def test_series_too_young_for_a_rate_are_not_silence() -> None:
    """The first request after a restart: one point of a counter is no rate, but no silence either."""
    with pytest.raises(Unknown, match="only just begun"):
        await ask(prometheus((), (), young=vector(1.0)))


async def test_silence_of_an_unready_workload_is_not_health() -> None:
    cluster = FakeCluster([deployment(available=2), replicaset(), pod()])
    queries = prometheus((), ())
    with pytest.raises(Unknown, match="no requests in 3m, and Deployment shop/api"):
        await ask(queries, at=context(queries=queries, cluster=cluster))


async def test_silence_may_be_declared_to_prove_nothing() -> None:
    with pytest.raises(Unknown, match="no requests in 3m"):
        await ask(prometheus((), ()), idle="unknown")


async def test_another_proof_of_scraping_can_be_named() -> None:
    """Metrics of a mesh or an ingress are scraped elsewhere."""
    queries = prometheus((), (), up=()).on("^envoy_alive", vector(1.0))
    assert (await ask(queries, **{"while": "envoy_alive"})).answer == "good"


@pytest.mark.parametrize(
    ("ratio", "rate", "why"),
    [
        pytest.param(vector(math.nan), vector(5.0), "no number", id="NaN although there are requests"),
        pytest.param((), vector(5.0), "no number", id="vanished between two queries"),
        pytest.param(vector(0.01, NOW - timedelta(minutes=2)), vector(5.0), "stale", id="stale"),
        pytest.param((*vector(0.01), *vector(0.02)), vector(5.0), "2 series instead of one", id="two numbers"),
        pytest.param(CannotSee("warnings"), vector(5.0), "warnings", id="partial"),
    ],
)
async def test_what_proves_nothing_is_unknown(ratio: Any, rate: Any, why: str) -> None:
    with pytest.raises((Unknown, CannotSee), match=why):
        await ask(prometheus(ratio, rate))


# --- selectors


@pytest.mark.parametrize(
    ("target", "labels", "expected"),
    [
        pytest.param(ObjectRef("StatefulSet", "shop", "db"), {}, 'namespace="shop",pod=~"db-[0-9]+"', id="ordinals"),
        pytest.param(ObjectRef("Pod", "shop", "a.b"), {}, r'namespace="shop",pod=~"a\\.b"', id="one pod"),
        pytest.param(
            ObjectRef("Deployment", "shop", "api"),
            {"namespace": "kubernetes_namespace", "workload": "app"},
            'kubernetes_namespace="shop",app="api"',
            id="other labels",
        ),
        pytest.param(
            ObjectRef("Deployment", "shop", "api"),
            {"cluster": "cluster", "workload": "deployment"},
            'cluster="prod",namespace="shop",deployment="api"',
            id="many clusters",
        ),
        pytest.param(
            ObjectRef("Deployment", "shop", "a" * 50), {}, f'namespace="shop",pod=~"{"a" * 46}.*"', id="a name cut off"
        ),
    ],
)
async def test_selectors(target: ObjectRef, labels: dict[str, str], expected: str) -> None:
    queries = prometheus()
    at = context(queries=queries, targets=(CheckTarget(target),), labels=MetricLabels(**labels))
    await ask(queries, at=at)
    assert any(f"requests{{{expected}}}" in q for q in queries.asked)


async def test_a_target_that_no_label_selects_needs_matchers() -> None:
    queries = prometheus()
    at = context(queries=queries, targets=(CheckTarget(ObjectRef("Node", "", "n1")),))
    with pytest.raises(Unknown, match="no metric label selects Node n1"):
        await ask(queries, at=at)
    assert (await ask(queries, at=at, where='instance="n1"')).answer == "good"
    assert any('requests{instance="n1"}' in q for q in queries.asked)


async def test_names_and_values_cannot_become_promql() -> None:
    queries = prometheus()
    at = context(
        queries=queries,
        targets=(CheckTarget(ObjectRef("Deployment", 'x"} or up{', "api")),),
        labels=MetricLabels(workload="app"),
        render=renderer(route='/"} or vector(1) #'),
    )
    await ask(queries, at=at, where='route="${route}"')
    assert r'requests{namespace="x\x22} or up{",app="api",route="/\x22} or vector(1) #"}' in queries.asked[0]


@pytest.mark.parametrize(
    "more",
    [
        {"error": ""},
        {"error": "code"},
        {"error": 'code="500"} or up{'},
        {"where": "rate(x[5m])"},
        {"metric": "http requests"},
        {"metric": "up{}"},
        {"idle": "good"},
        {"window": 0},
        {"labels": {"pood": "x"}},
        {"min_requests": -1},
    ],
    ids=str,
)
def test_arguments_that_cannot_work_are_refused_at_load(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ErrorRatioArgs.model_validate({"metric": "requests", "error": 'code="500"', "success": "< 1"} | more)


# --- latency


def buckets(*counts: float, bounds: tuple[str, ...] = ("0.1", "0.5", "1", "+Inf")) -> tuple[Sample, ...]:
    return tuple(Sample({"le": le}, n, NOW) for le, n in zip(bounds, counts, strict=True))


async def ask_latency(found: Any, **more: Any) -> CheckSample:
    queries = FakeQueries().on(r"^sum by \(le\)", found)
    queries.on(r"^min\(up", vector(1.0)).on(r"^min\(count_over", vector(6.0))
    queries.on(r"^count\(count_over_time\(requests_bucket.*\[3600s\]", vector(4.0))
    queries.on(r"^count\(count_over_time\(requests_bucket.*\[180s\]", ())
    args = {"metric": "requests", "quantile": 0.9, "success": "< 500ms", "failure": "> 2s"} | more
    return await latency(LatencyArgs.model_validate(args), context(queries=queries))


@pytest.mark.parametrize(
    ("found", "answer", "seconds"),
    [
        pytest.param(buckets(9, 10, 10, 10), "good", 0.1, id="at a bound"),
        pytest.param(buckets(0, 10, 10, 10), "good", 0.46, id="inside a bucket"),
        pytest.param(buckets(0, 0, 10, 10), "unknown", 0.95, id="between the thresholds"),
        pytest.param(buckets(0, 0, 8, 10), "bad", math.inf, id="beyond the last bucket it is not the last bound"),
    ],
)
async def test_latency(found: Any, answer: str, seconds: float) -> None:
    got = await ask_latency(found)
    assert got.answer == answer
    assert got.badness == pytest.approx(seconds)


async def test_latency_names_the_histogram_with_or_without_its_suffix() -> None:
    assert LatencyArgs(metric="x_seconds_bucket", success="< 1").metric == "x_seconds"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param(buckets(1, 2, 3, bounds=("0.1", "0.5", "1")), "no [+]Inf bucket", id="the slowest are missing"),
        pytest.param(buckets(1, math.nan, 3, 3), "NaN", id="NaN"),
        pytest.param((Sample({}, 1.0, NOW),), "no readable bound", id="no le"),
        pytest.param(CannotSee("native histogram"), "native", id="native"),
    ],
)
async def test_a_histogram_that_cannot_be_read_is_unknown(found: Any, why: str) -> None:
    with pytest.raises((Unknown, CannotSee), match=why):
        await ask_latency(found)


@pytest.mark.parametrize("found", [(), buckets(0, 0, 0, 0)])
async def test_latency_of_nothing_follows_the_idle_rule(found: Any) -> None:
    assert (await ask_latency(found)).answer == "good"


@given(
    st.lists(st.floats(0.001, 100, allow_nan=False), min_size=1, max_size=8, unique=True),
    st.lists(st.floats(0, 1000), min_size=9, max_size=9),
    st.floats(0.01, 0.99),
)
def test_a_quantile_lies_where_its_bucket_is(bounds: list[float], steps: list[float], quantile: float) -> None:
    """Never below the bucket that holds it, never above, and infinite only past the last bound."""
    total, histogram = 0.0, []
    for bound, step in zip([*sorted(bounds), math.inf], steps, strict=False):
        total += step
        histogram.append((bound, total))
    if total == 0:
        return
    found = quantile_of(quantile, histogram)
    assert found >= 0
    below = max((b for b, n in histogram if n < quantile * total), default=0.0)
    above = min(b for b, n in histogram if n >= quantile * total)
    assert below - 1e-9 <= found <= above + 1e-9 or math.isclose(found, above)
