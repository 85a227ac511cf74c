"""Evidence: bounded, redacted, never raising, and honest about what may be shown to whom."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.errors import CannotSee, Forbidden, InvalidPlaybook
from remediator.objects import ObjectRef
from remediator.playbooks.model import Collect
from remediator.ports import Series
from remediator.remediation.checks.base import CheckContext, CheckTarget
from remediator.remediation.collectors.base import MAX_LINE, MAX_TEXT, bounded
from remediator.remediation.collectors.graph import sparkline
from remediator.remediation.evidence import COLLECTORS, Evidence, collect_all, parse_collect
from tests.checks.fakes import (
    NOW,
    FakeCluster,
    FakeQueries,
    alert,
    context,
    deployment,
    pod,
    renderer,
    replicaset,
)

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"


async def collect(kind: str, at: CheckContext | None = None, **args: Any) -> Evidence:
    (found,) = await collect_all([Collect(kind=kind, args=args)], at or context())
    json.dumps(found.data)  # it is stored as JSON
    return found


def cluster(*pods: dict[str, Any], **more: Any) -> FakeCluster:
    return FakeCluster([deployment(), replicaset(), *pods], **more)


BAD = pod("api-7d9f-bbbbb", ready=False, restarts=7, waiting="CrashLoopBackOff")
GOOD = pod("api-7d9f-ccccc")


# --- logs


async def test_logs_of_the_most_troubled_pods() -> None:
    here = cluster(GOOD, BAD, log_texts={("api-7d9f-bbbbb", "app", False): "one\ntwo"})
    found = await collect("logs", context(cluster=here), pods=1)
    assert found.text == "--- api-7d9f-bbbbb / app\none\ntwo"
    assert found.data == {"pods": ["api-7d9f-bbbbb"], "lines": 2}
    assert (found.error, found.truncated, found.taken_at) == ("", False, NOW)


async def test_the_pod_that_an_alert_names_comes_first() -> None:
    here = cluster(GOOD, BAD, log_texts={("api-7d9f-ccccc", "app", False): "x"})
    found = await collect("logs", context(cluster=here, alerts=(alert(pod="api-7d9f-ccccc"),)), pods=1)
    assert found.data["pods"] == ["api-7d9f-ccccc"]


async def test_a_pod_of_somebody_else_is_never_read_whatever_an_alert_says() -> None:
    stranger = pod("vault-0", owner="uid-of-vault")
    here = cluster(GOOD, stranger, log_texts={("vault-0", "app", False): "unseal key"})
    found = await collect("logs", context(cluster=here, alerts=(alert(pod="vault-0"),)))
    assert "unseal key" not in found.text


async def test_previous_logs_that_do_not_exist_are_said_in_their_place() -> None:
    texts = {
        ("api-7d9f-bbbbb", "app", True): "panic: no database",
        ("api-7d9f-ccccc", "app", True): CannotSee('previous terminated container "app" not found'),
    }
    found = await collect("logs", context(cluster=cluster(GOOD, BAD, log_texts=texts)), previous=True)
    assert "panic: no database" in found.text
    assert "previous terminated container" in found.text
    assert found.error == ""


async def test_logs_that_nobody_lets_us_read_are_an_error() -> None:
    texts = {("api-7d9f-ccccc", "app", False): Forbidden("pods/log is forbidden")}
    found = await collect("logs", context(cluster=cluster(GOOD, log_texts=texts)))
    assert found.error == "pods/log is forbidden"


async def test_logs_are_redacted_cut_and_kept_from_chat() -> None:
    secret = f"Authorization: Bearer {JWT}"
    text = "\n".join([secret, *(f"line {n} {'x' * 100}" for n in range(1000)), secret, "y" * 5000, "the end"])
    here = cluster(GOOD, log_texts={("api-7d9f-ccccc", "app", False): text})
    found = await collect("logs", context(cluster=here), lines=1000)
    assert JWT not in json.dumps(asdict(found), default=str)
    assert len(found.text) <= MAX_TEXT
    assert found.truncated
    assert found.text.endswith("the end")
    assert found.private
    assert found.summary == "1000 log lines of 1 pods"


# --- events


def event(reason: str, message: str, minute: int, *, uid: str = "uid-api", **more: Any) -> dict[str, Any]:
    at = f"2025-06-01T09:{minute:02}:00Z"
    return {
        "kind": "Event",
        "metadata": {"name": f"e{minute}", "namespace": "shop", "creationTimestamp": at},
        "involvedObject": {"kind": "Deployment", "name": "api", "uid": uid},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
        **more,
    }


async def test_events_newest_last_by_whatever_time_they_have() -> None:
    events = [
        event("BackOff", "b", 30, lastTimestamp=None, series={"lastObservedTime": "2025-06-01T09:59:00Z", "count": 4}),
        event("Scaled", "a", 40, type="Normal"),
        event("Failed", "c", 50, uid="uid-of-another"),
        event("Killing", "d", 20, lastTimestamp=None, firstTimestamp=None, eventTime="2025-06-01T09:20:00.123456Z"),
    ]
    here = FakeCluster([deployment(), replicaset(), *events])
    found = await collect("events", context(cluster=here))
    assert [line.split()[3] for line in found.text.splitlines()] == ["Killing", "Scaled", "BackOff"]
    assert found.text.splitlines()[-1].endswith("BackOff Deployment/api: b (x4)")
    assert found.summary == "warnings: BackOff x4, Killing x1"


async def test_events_are_limited_and_redacted() -> None:
    events = [event("Failed", f"{n} password=hunter{n}", n) for n in range(30)]
    found = await collect("events", context(cluster=FakeCluster([deployment(), *events])), limit=5)
    assert len(found.text.splitlines()) == 5
    assert "hunter" not in found.text
    assert found.truncated


async def test_only_counted_reasons_reach_chat() -> None:
    """Whoever may create events may not write into the ops channel."""
    events = [event("<!channel> click http://evil", "x", 1), event("Failed", "also <!channel>", 2)]
    found = await collect("events", context(cluster=FakeCluster([deployment(), *events])))
    assert found.summary == "warnings: Other x1, Failed x1"
    assert found.private


# --- status, restarts


async def test_status() -> None:
    conditions = [{"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "no"}]
    here = FakeCluster([deployment(available=1, conditions=conditions), replicaset(), BAD, GOOD])
    found = await collect("status", context(cluster=here))
    assert found.text.splitlines() == [
        "Deployment shop/api: 3 wanted, 3 updated, 1 ready, 1 available",
        "  image app: api:v1",
        "  Available=False MinimumReplicasUnavailable: no",
        "pod api-7d9f-bbbbb: Running, not ready, 7 restarts, node-1 (app: CrashLoopBackOff)",
        "pod api-7d9f-ccccc: Running, ready, 0 restarts, node-1",
    ]
    assert found.summary == "Deployment shop/api: 3 wanted, 3 updated, 1 ready, 1 available; 1 of 2 pods ready"
    assert found.data["targets"] == [
        {"ref": "Deployment shop/api", "desired": 3, "updated": 3, "ready": 1, "available": 1, "observed": True}
    ]


async def test_status_without_pods_is_still_a_status() -> None:
    found = await collect("status", context(cluster=cluster(broken={"Pod": Forbidden("no")})))
    assert "3 wanted" in found.text
    assert found.error == "pods: no"


async def test_status_of_what_is_no_workload() -> None:
    node = {"kind": "Node", "metadata": {"name": "n1", "uid": "u"}, "status": {"conditions": []}}
    found = await collect(
        "status", context(cluster=FakeCluster([node]), targets=(CheckTarget(ObjectRef("Node", "", "n1")),))
    )
    assert found.text == "Node n1"


async def test_restarts() -> None:
    ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2025-06-01T09:58:00Z"}
    here = cluster(pod("api-7d9f-bbbbb", restarts=2, terminated=ended), GOOD)
    found = await collect("restarts", context(cluster=here))
    assert found.text.splitlines() == [
        "api-7d9f-bbbbb / app: 2 restarts, last ended 2025-06-01T09:58:00Z: OOMKilled, exit code 137",
        "api-7d9f-ccccc / app: 0 restarts",
    ]
    assert (found.data["total"], found.summary) == (2, "2 restarts in 2 pods")


# --- numbers over time


def points(*values: float) -> tuple[tuple[datetime, float], ...]:
    return tuple((NOW - timedelta(minutes=len(values) - n), v) for n, v in enumerate(values))


async def test_graph_of_an_error_ratio() -> None:
    queries = FakeQueries(series=(Series({}, points(0.0, 0.1, math.nan, 0.4, 0.2)),))
    found = await collect(
        "graph",
        context(queries=queries),
        error_ratio={"metric": "requests", "error": 'code=~"5.."'},
        last="30m",
    )
    ((query, start, end, step_s),) = queries.ranges
    assert (end - start, end, step_s) == (timedelta(minutes=30), NOW, 30)
    assert 'code=~"5.."' in query
    assert "* 0)" in query
    assert found.title == "error ratio of requests, last 30m"
    assert found.summary == "min 0, max 0.4, last 0.2"
    assert found.text == "all: min 0, max 0.4, last 0.2  ▁▂ █▄"
    (series,) = found.data["series"]
    assert (series["mean"], [v for _, v in series["points"]]) == (pytest.approx(0.175), [0.0, 0.1, None, 0.4, 0.2])
    assert not found.private


async def test_the_highest_series_are_shown() -> None:
    queries = FakeQueries(series=tuple(Series({"pod": str(n)}, points(float(n))) for n in range(30)))
    found = await collect("promql", context(queries=queries), query="x")
    assert [s["labels"]["pod"] for s in found.data["series"]] == [str(n) for n in range(29, 19, -1)]
    assert found.truncated
    assert found.summary == "min 29, max 29, last 29 (the highest of 10 series)"


@pytest.mark.parametrize("series", [(), (Series({}, points(math.nan, math.inf)),)])
async def test_no_numbers_are_said_to_be_none(series: Any) -> None:
    found = await collect("promql", context(queries=FakeQueries(series=series)), query="x")
    assert found.summary == "no data"
    assert found.error == ""


async def test_latency_graph_and_label_values_that_stay_values() -> None:
    queries = FakeQueries()
    at = context(queries=queries, render=renderer(r='"} or up{'))
    await collect("graph", at, latency={"metric": "d_seconds_bucket", "where": 'route="${r}"'})
    await collect("promql", at, query='x{route="${r}"}')
    assert queries.ranges[0][0].startswith("histogram_quantile(0.95, sum by (le) (rate(d_seconds_bucket{")
    assert all(r'route="\x22} or up{"' in query for query, *_ in queries.ranges)


@pytest.mark.parametrize(
    ("values", "picture"),
    [([], ""), ([None], ""), ([1.0, 1.0], "▁▁"), ([0.0, None, 7.0], "▁ █"), ([-1e308, 1e308], "▁▁")],
)
def test_sparkline(values: list[float | None], picture: str) -> None:
    assert sparkline(values) == picture


# --- what goes wrong


class Hanging(FakeQueries):
    async def range(self, query: str, **more: Any) -> tuple[Series, ...]:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize(
    ("kind", "args", "more", "why"),
    [
        pytest.param("promql", {"query": "x"}, {}, "no Prometheus is configured", id="no Prometheus"),
        pytest.param("promql", {"query": "x"}, {"queries": Hanging()}, "no answer within 0.05 s", id="hanging"),
        pytest.param("promql", {"query": "x"}, {"queries": FakeQueries(series=CannotSee("503"))}, "503", id="dead"),
        pytest.param("logs", {"lines": 0}, {}, "evidence logs: lines", id="bad arguments"),
        pytest.param("logs", {"follow": True}, {}, "unknown argument follow", id="unknown argument"),
        pytest.param("lgos", {}, {}, 'Did you mean "logs"?', id="unknown kind"),
        pytest.param("logs", {}, {"cluster": FakeCluster()}, "not found", id="no target"),
        pytest.param("logs", {"container": "${x}"}, {}, "nothing is known here", id="template"),
        pytest.param("graph", {}, {}, "exactly one of", id="nothing to draw"),
        pytest.param("graph", {"query": "x", "last": "8d"}, {}, "at most 7d", id="too long"),
    ],
)
async def test_never_raises(kind: str, args: dict[str, Any], more: dict[str, Any], why: str) -> None:
    wanted = [Collect(kind=kind, args=args), Collect(kind="restarts")]
    found = await collect_all(wanted, context(**more), timeout=timedelta(milliseconds=50))
    assert [f.kind for f in found] == [kind, "restarts"]
    assert why in found[0].error
    assert found[0].summary == "not available"


async def test_more_than_anybody_reads_is_named_not_collected() -> None:
    found = await collect_all([Collect(kind="restarts")] * 25, context())
    assert len(found) == 25
    assert [f.error for f in found[20:]] == ["not collected: at most 20 pieces"] * 5


@pytest.mark.parametrize("kind", sorted(COLLECTORS))
def test_every_kind_refuses_an_unknown_argument_by_name(kind: str) -> None:
    with pytest.raises(InvalidPlaybook, match="unknown argument surprise"):
        parse_collect(Collect(kind=kind, args={"surprise": 1}))


@pytest.mark.parametrize(
    ("lines", "keep", "expected", "cut"),
    [
        pytest.param(["a", "b"], "end", "a\nb", False, id="fits"),
        pytest.param(["aaaa", "bbbb", "cccc"], "end", "bbbb\ncccc", True, id="the end"),
        pytest.param(["aaaa", "bbbb", "cccc"], "begin", "aaaa\nbbbb", True, id="the beginning"),
        pytest.param([], "end", "", False, id="nothing"),
    ],
)
def test_bounded(lines: list[str], keep: str, expected: str, cut: bool) -> None:
    assert bounded(lines, keep=keep, limit=10) == (expected, cut)


def test_a_secret_is_taken_out_before_its_line_is_cut() -> None:
    line = "x" * (MAX_LINE - 12) + f" {JWT}"
    assert "eyJ" not in bounded([line])[0]
    key = ["-----BEGIN PRIVATE KEY-----", *(["MIIE" * 16] * 50), "-----END PRIVATE KEY-----"]
    assert bounded(key) == ("[redacted]", False)
