"""All checks at one moment: whatever goes wrong in one of them is an unknown of that one, with its reason."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from remediator.errors import CannotSee, InvalidPlaybook
from remediator.objects import ObjectRef
from remediator.playbooks.model import Check
from remediator.ports import AlertRule, Sample
from remediator.remediation.checks.base import CheckTarget
from remediator.remediation.checks.registry import CHECKS, parse_check
from remediator.remediation.verify import checks_in_force, names_of, sample_all, templates_of
from tests.checks.fakes import (
    API,
    NOW,
    UID,
    FakeCluster,
    FakeQueries,
    alert,
    context,
    deployment,
    renderer,
    vector,
)


def check(kind: str, **args: Any) -> Check:
    return Check(kind=kind, args=args)


ROLLOUT = check("rollout")
UP = check("promql", query="up", success="> 0")
UNFILLED = check("promql", query="${x}", success="> 0")
NO_API = FakeCluster(broken={"Deployment": CannotSee("down")})


async def test_every_check_answers_beside_the_others() -> None:
    found = await sample_all((ROLLOUT, UP), context(queries=FakeQueries().on("up", vector(1.0))))
    assert [(c.check, c.answer) for c in found.checks] == [("rollout", "good"), ("promql up", "good")]
    assert (found.taken_at, found.available) == (NOW, 3)
    assert found.facts == {"targets": {str(API): {"desired": 3, "updated": 3, "ready": 3, "available": 3}}}


class Hanging(FakeQueries):
    async def instant(self, query: str) -> tuple[Sample, ...]:
        await asyncio.Event().wait()
        raise AssertionError


class Broken(FakeQueries):
    async def instant(self, query: str) -> tuple[Sample, ...]:
        raise ZeroDivisionError("bug")


@pytest.mark.parametrize(
    ("one", "more", "why"),
    [
        pytest.param(UP, {}, "no Prometheus is configured", id="no Prometheus"),
        pytest.param(UP, {"queries": FakeQueries().on("up", CannotSee("503"))}, "CANNOT SEE: 503", id="dead"),
        pytest.param(UP, {"queries": Hanging()}, "no answer within 0.05 s", id="hanging"),
        pytest.param(UP, {"queries": Broken()}, "the check failed: ZeroDivisionError", id="a bug"),
        pytest.param(check("promql", query="up", success="high"), {}, "check promql: success", id="bad arguments"),
        pytest.param(check("rollot"), {}, 'Did you mean "rollout"?', id="unknown kind"),
        pytest.param(
            check("promql", query="${x}", success="> 0"),
            {"queries": FakeQueries()},
            "nothing is known here",
            id="template",
        ),
        pytest.param(ROLLOUT, {"cluster": FakeCluster()}, "not found", id="the target is gone"),
        pytest.param(
            ROLLOUT,
            {"cluster": NO_API},
            "CANNOT SEE: down",
            id="api down",
        ),
        pytest.param(ROLLOUT, {"targets": (CheckTarget(API, "old"),)}, "another object", id="another uid"),
    ],
)
async def test_what_goes_wrong_is_unknown_and_never_raised(one: Check, more: dict[str, Any], why: str) -> None:
    found = await sample_all((one,), context(**more), timeout=timedelta(milliseconds=50))
    assert len(found.checks) == 1
    assert found.checks[0].answer == "unknown"
    assert why in found.checks[0].detail


async def test_being_cancelled_is_no_answer() -> None:
    task = asyncio.create_task(sample_all((UP,), context(queries=Hanging())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_available_is_only_said_when_every_target_was_seen() -> None:
    other = CheckTarget(ObjectRef("Deployment", "shop", "web"))
    found = await sample_all((ROLLOUT,), context(targets=(CheckTarget(API, UID), other)))
    assert found.available is None
    assert found.checks[0].answer == "unknown"


async def test_targets_are_read_once() -> None:
    cluster = FakeCluster([deployment()])
    await sample_all((ROLLOUT, ROLLOUT), context(cluster=cluster))
    assert cluster.reads == [str(API)]


async def test_a_snapshot_already_read_is_used() -> None:
    cluster = FakeCluster()
    found = await sample_all((ROLLOUT,), context(cluster=cluster, objects={API: deployment()}))
    assert found.checks[0].answer == "good"
    assert cluster.reads == []


@pytest.mark.parametrize(
    ("given", "kind", "alerts", "expected"),
    [
        pytest.param((), "Deployment", (alert(),), ["rollout", "alert_resolved"], id="the defaults"),
        pytest.param((), "Deployment", (), ["rollout"], id="started by a person: no alert can resolve"),
        pytest.param((), "Node", (alert(),), ["alert_resolved"], id="no copies, no rollout"),
        pytest.param((), "Node", (), ["rollout", "alert_resolved"], id="neither applies: both say so"),
        pytest.param((UP,), "Node", (alert(),), ["promql"], id="the author's own"),
        pytest.param((ROLLOUT,), "Node", (alert(),), ["rollout"], id="asked for, so asked"),
    ],
)
def test_checks_in_force(given: tuple[Check, ...], kind: str, alerts: Any, expected: list[str]) -> None:
    at = context(targets=(CheckTarget(ObjectRef(kind, "shop", "x")),), alerts=alerts)
    assert [c.kind for c in checks_in_force(given, at)] == expected


async def test_the_defaults_prove_a_repair_end_to_end() -> None:
    queries = FakeQueries(alert_rules=(AlertRule("HighErrorRate", "up == 0", last_evaluation=NOW),))
    series = Sample({"alertname": "HighErrorRate", "alertstate": "firing", "namespace": "shop"}, 1.0, NOW)
    queries.on("^ALERTS", vector(1.0)).on("^last_over_time", (series,))
    found = await sample_all((), context(queries=queries, alerts=(alert(),)))
    assert [(c.check, c.answer) for c in found.checks] == [("rollout", "good"), ("alert_resolved", "good")]


def test_checks_of_one_kind_have_names_of_their_own() -> None:
    checks = (
        ROLLOUT,
        check("error_ratio", metric="http_requests_total", error='code="500"', success="< 1"),
        UP,
        check("promql", query="up == 1", success="> 0"),
        UP,
        check("latency", metric="x_seconds", success="< 1", where='route="/pay"'),
        check("http", service="api", port=80, path="/health"),
    )
    assert names_of(checks) == (
        "rollout",
        "error_ratio http_requests_total",
        "promql up",
        "promql up == 1",
        "promql up #2",
        'latency p95 x_seconds{route="/pay"}',
        "http api:80/health",
    )


async def test_plain_arguments_are_filled_in_before_they_are_read() -> None:
    """`success`, durations and numbers may come from parameters; queries quote their values themselves."""
    one = check(
        "promql", query='up{ns="${ns}"}', success="< ${limit}", on_empty={"value": "${zero}", "while": 'x{a="${ns}"}'}
    )
    queries = FakeQueries().on(r"^up\{", ()).on(r"^x\{", vector(1.0))
    found = await sample_all((one,), context(queries=queries, render=renderer(ns='"', limit=0.02, zero=0)))
    assert found.checks[0].answer == "good"
    assert queries.asked == [r'up{ns="\x22"}', r'x{a="\x22"}']


def test_templates_are_found_wherever_they_stand() -> None:
    one = check("promql", query="${a}", success="< 1", on_empty={"value": 0, "while": "${b}"})
    assert set(templates_of((one, ROLLOUT))) == {"${a}", "${b}"}


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_every_kind_refuses_an_unknown_argument_by_name(kind: str) -> None:
    with pytest.raises(InvalidPlaybook, match="unknown argument surprise"):
        parse_check(check(kind, surprise=1))


def test_a_misspelt_argument_is_answered_with_the_right_one() -> None:
    with pytest.raises(InvalidPlaybook, match=r'unknown argument sucess\. Did you mean "success"'):
        parse_check(check("promql", query="up", sucess="> 0"))
