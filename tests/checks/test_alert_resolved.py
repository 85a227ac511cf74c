"""`alert_resolved`: absent is believed only when Prometheus proves that it would have told us otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.errors import CannotSee
from remediator.ports import AlertRule, Sample
from remediator.remediation.checks.alert_resolved import AlertResolvedArgs, alert_matchers, clearing_time, sample
from remediator.remediation.checks.base import MetricLabels, Unknown
from remediator.remediation.samples import CheckSample
from tests.checks.fakes import EFFECT, NOW, FakeQueries, alert, context, vector

BEAT = vector(NOW.timestamp())
LATELY = NOW - timedelta(seconds=20)
QUERY = 'sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.05'


def rule(name: str = "HighErrorRate", last: datetime | None = LATELY, **more: Any) -> AlertRule:
    given: dict[str, Any] = {"name": name, "query": QUERY, "interval_s": 30.0, "last_evaluation": last}
    return AlertRule(**given | more)


def series(state: str = "firing", name: str = "HighErrorRate", **labels: str) -> Sample:
    given = {"__name__": "ALERTS", "alertname": name, "alertstate": state, "namespace": "shop"}
    return Sample(given | labels, 1.0, NOW)


def prometheus(*now: Sample, seen: tuple[Sample, ...] | None = None, rules: tuple[AlertRule, ...] = ()) -> FakeQueries:
    """What `ALERTS` shows now, and what it showed before (by default the alert, firing)."""
    queries = FakeQueries(alert_rules=rules or (rule(),))
    queries.on(r"^ALERTS\{", (*now, *BEAT))
    queries.on(r"^last_over_time\(ALERTS", (series(),) if seen is None else seen)
    return queries


async def ask(queries: FakeQueries, args: AlertResolvedArgs | None = None, **more: Any) -> CheckSample:
    return await sample(args or AlertResolvedArgs(), context(**{"queries": queries, "alerts": (alert(),)} | more))


async def test_gone_with_every_proof_is_good() -> None:
    found = await ask(prometheus())
    assert (found.answer, found.badness, found.taken_at) == ("good", 0.0, LATELY)


async def test_the_time_of_the_data_is_the_evaluation_not_the_question() -> None:
    """Three samples of one evaluation are one proof, not three."""
    assert (await ask(prometheus(), now=NOW)).taken_at == (
        await ask(prometheus(), now=NOW + timedelta(seconds=9))
    ).taken_at


# --- what "absent" does not prove


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        pytest.param(
            (rule(last=EFFECT - timedelta(seconds=1)),), "not been evaluated since the effect", id="not since"
        ),
        pytest.param((rule(last=EFFECT),), "not been evaluated since the effect", id="at the very moment"),
        pytest.param((rule(last=None),), "its last evaluation failed", id="never, or with an error"),
        pytest.param((rule(last=NOW - timedelta(seconds=100)),), "although it is due every 30 s", id="stopped"),
        pytest.param((rule(last=NOW + timedelta(minutes=5)),), "clocks disagree", id="in the future"),
        pytest.param((rule("OtherAlert"),), "has no rule HighErrorRate", id="the rule was removed"),
        pytest.param(
            (rule(labels={"severity": "info"}),), "has no rule HighErrorRate", id="another's rule of that name"
        ),
        pytest.param((rule(), rule(query="up == 0", last=EFFECT)), "not been evaluated since", id="one of two rules"),
    ],
)
async def test_absent_without_an_evaluation_since_is_unknown(rules: tuple[AlertRule, ...], why: str) -> None:
    with pytest.raises(Unknown, match=why):
        await ask(prometheus(rules=rules), alerts=(alert(severity="critical"),))


async def test_absent_from_a_prometheus_that_never_showed_it_is_unknown() -> None:
    """Labels rewritten on the way to Alertmanager, or another Prometheus altogether: our query finds nothing, ever."""
    with pytest.raises(Unknown, match="never shown HighErrorRate"):
        await ask(prometheus(seen=()))


async def test_seen_with_other_labels_does_not_count() -> None:
    with pytest.raises(Unknown, match="never shown"):
        await ask(prometheus(seen=(series(route="/other"),)), alerts=(alert(route="/pay"),))


async def test_external_and_dropped_labels_do_not_hide_the_alert() -> None:
    """Prometheus adds external labels on the way out, and relabelling drops some: both sides may have more."""
    here = alert(prometheus="monitoring/k8s", cluster="prod-eu")
    found = await ask(prometheus(series(replica="0", cluster="eu1"), seen=()), alerts=(here,), since=None)
    assert found.answer == "bad"


async def test_pending_again_is_not_resolved() -> None:
    with pytest.raises(Unknown, match="pending again"):
        await ask(prometheus(series("pending")))


async def test_dead_prometheus_is_unknown() -> None:
    queries = prometheus()
    queries.alert_rules = CannotSee("connection refused")
    with pytest.raises(CannotSee):
        await ask(queries)
    with pytest.raises(CannotSee):
        await ask(prometheus().on(r"^ALERTS", CannotSee("timeout")))


@pytest.mark.parametrize(
    "at", [NOW - timedelta(seconds=90), NOW + timedelta(seconds=90), EFFECT - timedelta(seconds=1)]
)
async def test_an_answer_of_another_time_is_unknown(at: datetime) -> None:
    """An empty answer carries no time of its own: the heartbeat in the query gives it one."""
    queries = prometheus().on(r"^ALERTS\{", vector(1.0, at))
    with pytest.raises(Unknown, match="Prometheus' answer is"):
        await ask(queries)


async def test_an_answer_without_its_time_is_unknown() -> None:
    with pytest.raises(Unknown, match="did not say when"):
        await ask(prometheus().on(r"^ALERTS\{", ()))


@pytest.mark.parametrize(
    ("up", "past", "answer"),
    [
        pytest.param(vector(1.0), (), "good", id="scraped"),
        pytest.param(vector(0.0), (), "no target of job kube-state-metrics answers", id="its scrapes fail"),
        pytest.param((), vector(1.0), "no longer scraped", id="its target is gone"),
        pytest.param((), (), "good", id="no scrape job at all"),
        pytest.param(vector(1.0, NOW - timedelta(minutes=2)), (), "stale", id="stale"),
    ],
)
async def test_alerts_of_a_job_that_nobody_scrapes_are_gone_for_another_reason(
    up: tuple[Sample, ...], past: tuple[Sample, ...], answer: str
) -> None:
    """With kube-state-metrics dead, every alert made from it resolves."""
    queries = prometheus().on(r"^max\(up\{", up).on(r"^max\(max_over_time\(up\{", past)
    asking = ask(queries, alerts=(alert(job="kube-state-metrics"),))
    if answer == "good":
        assert (await asking).answer == "good"
    else:
        with pytest.raises(Unknown, match=answer):
            await asking


async def test_without_prometheus_it_is_unknown() -> None:
    with pytest.raises(Unknown, match="no Prometheus is configured"):
        await sample(AlertResolvedArgs(), context(alerts=(alert(),)))


async def test_without_an_alert_there_is_nothing_to_resolve() -> None:
    with pytest.raises(Unknown, match="no alert"):
        await ask(prometheus(), alerts=())


# --- still firing


@pytest.mark.parametrize(
    ("after", "answer", "clearing"),
    [
        pytest.param(timedelta(minutes=3), "unknown", True, id="the rule looks back further than that"),
        pytest.param(timedelta(minutes=5, seconds=59), "unknown", True, id="just inside"),
        pytest.param(timedelta(minutes=6), "bad", False, id="5m range + two evaluations are over"),
    ],
)
async def test_still_firing_is_clearing_for_as_long_as_the_rule_looks_back(
    after: timedelta, answer: str, clearing: bool
) -> None:
    found = await ask(prometheus(series()), since=NOW - after)
    assert (found.answer, found.clearing, found.badness) == (answer, clearing, 1.0)


async def test_the_deadline_can_be_given() -> None:
    found = await ask(prometheus(series()), AlertResolvedArgs(timeout=timedelta(minutes=2)))
    assert found.answer == "bad"


async def test_clearing_needs_no_evaluation_yet() -> None:
    found = await ask(prometheus(series(), rules=(rule(last=EFFECT),)))
    assert (found.answer, found.clearing) == ("unknown", True)


async def test_still_firing_with_a_stopped_rule_is_unknown_not_bad() -> None:
    stopped = rule(last=EFFECT - timedelta(minutes=1))
    with pytest.raises(Unknown, match="was last evaluated"):
        await ask(prometheus(series(), rules=(stopped,)), since=NOW - timedelta(minutes=10))


async def test_a_rule_that_looks_back_for_days_is_not_waited_for() -> None:
    slow = rule(query="increase(x[3d]) > 1")
    found = await ask(prometheus(series(), rules=(slow,)), since=NOW - timedelta(minutes=10))
    assert found.clearing
    with pytest.raises(Unknown, match="longer than we wait"):
        await ask(prometheus(series(), rules=(slow,)), since=NOW - timedelta(hours=3))


async def test_while_planning_it_says_how_long_resolving_takes() -> None:
    found = await ask(prometheus(series()), since=None)
    assert found.answer == "bad"
    assert "resolves up to 6m after a repair" in found.detail


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, 360, id="5m and twice 30s"),
        pytest.param({"keep_firing_for_s": 600.0}, 960, id="keep_firing_for"),
        pytest.param({"query": "up == 0", "interval_s": 60.0}, 120, id="no range"),
        pytest.param({"for_s": 3600.0}, 360, id="for delays firing, not resolving"),
    ],
)
def test_clearing_time(more: dict[str, Any], expected: int) -> None:
    assert clearing_time(rule(**more)) == timedelta(seconds=expected)


async def test_the_slowest_rule_of_a_name_decides() -> None:
    rules = (rule(labels={"severity": "a"}), rule(query="increase(x[1h]) > 0"))
    found = await ask(prometheus(series(), rules=rules), since=NOW - timedelta(minutes=30))
    assert found.clearing


# --- several alerts, and the same trouble under another name


async def test_all_joined_alerts_must_be_gone() -> None:
    both = (alert(route="/a"), alert(route="/b"))
    queries = prometheus(series(route="/b"), seen=(series(route="/a"), series(route="/b")))
    found = await ask(queries, alerts=both, since=NOW - timedelta(hours=1))
    assert (found.answer, found.badness) == ("bad", 0.5)


CRASHING: dict[str, Any] = {"pod": "api-7d9f-bcdfg", "container": "app"}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param((), "good", id="gone"),
        pytest.param(
            (series("pending", pod="api-66f4-xxxxx", container="app"),), "pending again", id="new pod pending"
        ),
        pytest.param((series(pod="api-66f4-xxxxx", container="app"),), "bad", id="new pod firing"),
        pytest.param((series(pod="api-db-0", container="app"),), "good", id="a pod of another workload"),
        pytest.param((series(pod="api-66f4-xxxxx", container="proxy"),), "good", id="another container"),
    ],
)
async def test_the_same_alert_about_the_next_pod_is_not_a_repair(now: tuple[Sample, ...], expected: str) -> None:
    """A restart replaces the pod, so the alert about the old one resolves, and the new one crashes just the same."""
    queries = prometheus(*now, seen=(series(**CRASHING),))
    asking = ask(queries, alerts=(alert(**CRASHING),), since=NOW - timedelta(hours=1))
    if expected == "pending again":
        with pytest.raises(Unknown, match="pending again"):
            await asking
    else:
        assert (await asking).answer == expected


async def test_ten_pods_of_one_workload_are_one_question() -> None:
    pods = [f"api-7d9f-{c * 5}" for c in "bcdfghjklm"]
    queries = prometheus(seen=tuple(series(pod=p, container="app") for p in pods))
    found = await ask(queries, alerts=tuple(alert(pod=p, container="app") for p in pods))
    assert found.answer == "good"
    assert len(queries.asked) == 2


async def test_too_many_different_alerts_are_unknown() -> None:
    with pytest.raises(Unknown, match="too many"):
        await ask(prometheus(), alerts=tuple(alert(route=str(n)) for n in range(21)))


# --- the queries


async def test_label_values_cannot_become_promql() -> None:
    evil = '"} or vector(1) or ALERTS{x="'
    queries = prometheus(seen=(series(route=evil),))
    await ask(queries, alerts=(alert(route=evil),))
    now = next(q for q in queries.asked if q.startswith("ALERTS"))
    assert now == (
        'ALERTS{alertname="HighErrorRate",namespace=~"|shop",'
        r'route=~"|\x22\\} or vector\\(1\\) or ALERTS\\{x=\x22",'
        'alertstate=~"firing|pending"} or vector(time())'
    )


ODD: dict[str, Any] = {"my.label": "x"}


def test_labels_that_classic_promql_cannot_write_are_compared_here() -> None:
    matchers = alert_matchers(alert(**ODD), context())
    assert matchers == ('alertname="HighErrorRate"', 'namespace=~"|shop"')


async def test_a_label_compared_here_still_tells_alerts_apart() -> None:
    found = await ask(
        prometheus(series(**{"my.label": "y"}), seen=(series(**{"my.label": "x"}),)),
        alerts=(alert(**ODD),),
    )
    assert found.answer == "good"


def test_one_prometheus_over_many_clusters() -> None:
    labels = MetricLabels(cluster="cluster", cluster_value="prod-eu")
    assert alert_matchers(alert(cluster="renamed"), context(labels=labels)) == (
        'alertname="HighErrorRate"',
        'cluster="prod-eu"',
        'namespace=~"|shop"',
    )


async def test_the_rules_are_read_before_the_alerts() -> None:
    """The other way round, an old absence would be dated by a newer evaluation."""
    order: list[str] = []

    class Ordered(FakeQueries):
        async def rules(self, alertname: str) -> tuple[AlertRule, ...]:
            order.append("rules")
            return await super().rules(alertname)

        async def instant(self, query: str) -> tuple[Sample, ...]:
            order.append("instant")
            return await super().instant(query)

    plain = prometheus()
    await ask(Ordered(answers=plain.answers, alert_rules=plain.alert_rules))
    assert order == ["rules", "instant", "instant"]


async def test_two_replicas_behind_one_address_count_as_one_rule() -> None:
    rules = (rule(last=NOW - timedelta(seconds=40)), replace(rule(), last_evaluation=LATELY))
    assert (await ask(prometheus(rules=rules))).taken_at == LATELY
