"""Blockers and overload as Prometheus answers them: what is not known blocks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.errors import CannotSee
from remediator.playbooks.limits import Blocker
from remediator.ports import Sample
from remediator.remediation.condition_reading import ALIVE, ConditionReader
from tests.checks.fakes import NOW, FakeQueries, vector

CRITICAL = Blocker(alerts='severity="critical"')
BACKUP = Blocker(promql="backup_running", name="backup")
NODE = {"__name__": "ALERTS", "alertstate": "firing", "alertname": "NodeDown", "severity": "critical", "node": "n1"}
OWN = {"alertname": "NodeDown", "severity": "critical", "node": "n1", "prometheus": "monitoring/k8s"}


def prometheus(pattern: str, answer: tuple[Sample, ...] | Exception, alive: bool = True) -> FakeQueries:
    found = FakeQueries()
    found.on(r"count\(up\)", vector(3.0) if alive else ())
    return found.on(pattern, answer)


async def test_a_firing_alert_blocks_and_is_named() -> None:
    reader = ConditionReader(prometheus("ALERTS", (Sample(NODE, 1.0, NOW),)))
    (fact,) = await reader.blockers([CRITICAL], [], NOW)
    assert (fact.name, fact.problem) == ('severity="critical"', "")
    assert fact.blocks == ('NodeDown{node="n1", severity="critical"}',)


async def test_the_alert_that_is_remediated_does_not_block_itself() -> None:
    reader = ConditionReader(prometheus("ALERTS", (Sample(NODE, 1.0, NOW),)))
    (fact,) = await reader.blockers([CRITICAL], [OWN], NOW)
    assert fact.blocks == ()
    (fact,) = await reader.blockers([CRITICAL], [{**OWN, "node": "n2"}], NOW)
    assert fact.blocks, "another node's alert of the same name blocks"


async def test_what_it_asks_selects_firing_alerts_only() -> None:
    queries = prometheus("ALERTS", ())
    await ConditionReader(queries).blockers([CRITICAL], [], NOW)
    assert queries.asked == ['ALERTS{alertstate="firing", severity="critical"}', ALIVE]


@pytest.mark.parametrize(
    ("answer", "blocks"),
    [
        pytest.param(vector(1.0), ("1",), id="one"),
        pytest.param(vector(0.0), (), id="zero"),
        pytest.param((), (), id="empty, and Prometheus lives"),
        pytest.param((*vector(0.0, pod="a"), *vector(2.0, pod="b")), ('{pod="b"}',), id="one of two"),
    ],
)
async def test_a_query_blocks_with_what_is_not_zero(answer: tuple[Sample, ...], blocks: tuple[str, ...]) -> None:
    (fact,) = await ConditionReader(prometheus("backup", answer)).blockers([BACKUP], [], NOW)
    assert (fact.name, fact.blocks, fact.problem) == ("backup", blocks, "")


@pytest.mark.parametrize(
    ("answer", "alive", "says"),
    [
        pytest.param(CannotSee("no answer (3 tries, 5 s)"), True, "no answer", id="down"),
        pytest.param(vector(float("nan")), True, "NaN", id="NaN"),
        pytest.param(vector(0.0, NOW - timedelta(minutes=3)), True, "dated", id="stale"),
        pytest.param(vector(0.0, NOW + timedelta(minutes=3)), True, "dated", id="from the future"),
        pytest.param((), False, "proves nothing", id="empty, from a Prometheus that scrapes nothing"),
    ],
)
async def test_no_answer_is_a_problem_never_a_go_ahead(
    answer: tuple[Sample, ...] | Exception, alive: bool, says: str
) -> None:
    reader = ConditionReader(prometheus("backup", answer, alive))
    (fact,) = await reader.blockers([BACKUP], [], NOW)
    assert says in fact.problem
    with pytest.raises(CannotSee, match=says):
        await reader.overload("backup_running", NOW)


async def test_without_prometheus_every_condition_is_unknown() -> None:
    (fact,) = await ConditionReader(None).blockers([BACKUP], [], NOW)
    assert fact.problem == "no Prometheus is configured"
    assert await ConditionReader(None).blockers([], [], NOW) == ()


async def test_overload_says_what_the_query_returned() -> None:
    found = await ConditionReader(prometheus("load", vector(0.97, zone="a"))).overload("load > 0.9", NOW)
    assert (found.query, found.says) == ("load > 0.9", '{zone="a"}')
    assert (await ConditionReader(prometheus("load", ())).overload("load > 0.9", NOW)).says == ""
