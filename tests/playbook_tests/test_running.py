"""Stories are played in virtual time, always the same way, and what cannot be played is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remediator.playbook_tests.reading import read_cases
from remediator.playbook_tests.running import Result, run_case
from remediator.remediation.checks import rollout
from remediator.remediation.checks.registry import CHECKS
from tests.playbook_tests.stories import ACTIONS, RESTART, STORY, failures, play, write

API = "Deployment shop/api"


def lines(result: Result, source: str) -> list[str]:
    return [line.text for line in result.record.timeline if line.source == source]


def verified_by(*checks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"verify": {**RESTART["verify"], "checks": list(checks), **more}}


def test_the_same_story_is_always_the_same(tmp_path: Path) -> None:
    (case,) = read_cases(write(tmp_path, {**STORY, "happens": [{"pods": {"of": API, "are": "crashing"}}]}), ACTIONS)
    first, second = run_case(case, ACTIONS), run_case(case, ACTIONS)
    assert first.record.timeline == second.record.timeline
    assert first.record.said == second.record.said


def test_a_story_is_over_when_nothing_is_left_to_happen(tmp_path: Path) -> None:
    assert play(tmp_path).record.ended_at < 120
    late = play(tmp_path, happens=[{"at": "30m", "chat": "down"}]).record
    assert 1800 < late.ended_at < 1900


def test_the_time_may_be_up_before(tmp_path: Path) -> None:
    pause = {"pause": {"scope": "everything", "who": "ann"}}
    result = play(tmp_path, until="3m", happens=[pause], expect=[{"ends": "succeeded"}])
    assert result.record.unfinished
    assert lines(result, "service")[-1] == "the time is up (until: 3m00s): restart-api is held"
    assert failures(result) == [
        "every remediation ends succeeded | restart-api is held: " + result.record.last["r-1"].reason[:119] + "…"
    ]


def test_a_failure_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, {**STORY, "expect": [{"chosen": "restart-api"}, {"effects": 0}]})
    (case,) = read_cases(path, ACTIONS)
    (failure,) = run_case(case, ACTIONS).failures
    assert path.read_text().splitlines()[failure.line - 1].strip() == "- effects: 0"


@pytest.mark.parametrize(
    ("happening", "said"),
    [
        ({"delete": "Pod shop/api-0"}, "there is no Pod shop/api-0"),
        ({"release": {"of": "Deployment shop/web", "image": "a:1"}}, "there is no Deployment shop/web"),
        ({"pods": {"of": API, "are": "unready", "count": 9}}, "Deployment shop/api has 3 such pods, not 9"),
        ({"node_fails": "node-9"}, "there is no Node node-9"),
        ({"edit": {"object": API, "patch": {"spec": {"replicas": -1}}}}, "must be greater than or equal to 0"),
        ({"at": "1h", "approve": {"who": "ann"}}, "there is nothing to approve"),
    ],
)
def test_what_cannot_happen_fails_the_test_at_its_line(tmp_path: Path, happening: dict[str, Any], said: str) -> None:
    story = {**STORY, "alerts": [], "happens": [happening], "expect": [{"effects": 0}]}
    (case,) = read_cases(write(tmp_path, story), ACTIONS)
    (failure,) = run_case(case, ACTIONS).failures
    assert said in failure.happened
    assert failure.line == case.line_of("happens", 0)


def test_what_never_happened_is_in_the_timeline(tmp_path: Path) -> None:
    result = play(tmp_path, happens=[{"at": "undo + 1m", "prometheus": "down"}])
    assert "never: prometheus, at undo + 1m" in lines(result, "happens")


def test_an_object_that_the_api_server_refuses(tmp_path: Path) -> None:
    bad = {"manifest": {"kind": "Deployment", "metadata": {"name": "x", "namespace": "shop"}, "spec": {"replicas": 1}}}
    (said,) = failures(play(tmp_path, cluster=[bad], expect=[{"effects": 0}]))
    assert "the cluster refuses one of its objects" in said


def test_a_defect_of_the_service_fails_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(r: object, event: object, now: object) -> None:
        raise ZeroDivisionError("the defect")

    monkeypatch.setattr("remediator.remediation.runner.decide", broken)
    said = failures(play(tmp_path, expect=[{"effects": 0}]))
    assert "work_failed" in said[0]
    assert "ZeroDivisionError: the defect" in said[0]


def test_prometheus_that_was_asked_what_nobody_has_said(tmp_path: Path) -> None:
    result = play(tmp_path, playbook=verified_by({"promql": {"query": "errors", "success": "< 1"}}))
    assert lines(result, "prometheus") == ["was asked what this test says nothing about: errors"]


@pytest.mark.parametrize(
    "metric",
    [
        {"series": 'queue_depth{namespace="shop"}', "values": {"0s": 7, "effect + 5s": 0}},
        {"query": "queue_depth", "values": {"0s": 7, "effect + 5s": 0}},
    ],
)
def test_what_is_measured_over_time(tmp_path: Path, metric: dict[str, Any]) -> None:
    check = {"promql": {"query": 'max(queue_depth{namespace="${target.namespace}"})', "success": "< 1"}}
    expected = [{"ends": "succeeded", "contains": "0 < 1"}]
    other = {"series": 'queue_depth{namespace="else"}', "values": 9}
    assert failures(play(tmp_path, playbook=verified_by(check), metrics=[other, metric], expect=expected)) == []


def test_requests_of_a_workload(tmp_path: Path) -> None:
    checks: list[dict[str, Any]] = [
        {"error_ratio": {"metric": "http_requests_total", "error": 'code=~"5.."', "success": "< 0.01"}},
        {"latency": {"metric": "http_seconds", "quantile": 0.95, "success": "< 0.5"}},
    ]
    seconds = {"requests": "http_seconds", "latency": {"0s": 3, "effect": 0.2}}
    errors = {"requests": "http_requests_total", "of": API, "errors": {"0s": 0.2, "effect": 0}}
    elsewhere = {"requests": "http_requests_total", "of": "Deployment shop/web", "errors": 0.9}
    playbook = verified_by(*checks, settle="60s", timeout="5m")
    story: dict[str, Any] = {"playbook": playbook, "expect": [{"ends": "succeeded"}]}
    assert failures(play(tmp_path, metrics=[elsewhere, errors, seconds], **story)) == []
    slow = {**seconds, "latency": 3}
    record = play(tmp_path, metrics=[elsewhere, errors, slow], **story).record
    assert "latency p95 http_seconds: bad" in record.last["r-1"].reason


def test_a_blocker_fires(tmp_path: Path) -> None:
    config = {"policy": {"blockers": [{"alerts": 'alertname="Boss"'}]}}
    boss = {"name": "Boss", "labels": {"namespace": "shop"}, "resolves": "2m"}
    expected = [{"held": "blockers"}, {"effect": {"action": "rollout_restart"}, "not_before": "2m", "times": 1}]
    result = play(tmp_path, config=config, alerts=[boss, *STORY["alerts"]], expect=expected)
    assert failures(result) == []


def test_what_a_person_has_silenced_is_left_alone(tmp_path: Path) -> None:
    silence = {"matchers": ['alertname="Stuck"'], "why": "moving", "lasts": "10m"}
    denied = play(tmp_path, happens=[{"silence": silence}], expect=[{"denied": "silenced", "contains": "moving"}])
    assert failures(denied) == []
    other = {**silence, "matchers": ['alertname="Stuck"', 'namespace="other"']}
    assert failures(play(tmp_path, happens=[{"silence": other}], expect=[{"ends": "succeeded"}])) == []
    over = [{"silence": {**silence, "lasts": "1m"}}]
    later = [{**STORY["alerts"][0], "fires": "2m"}]
    assert failures(play(tmp_path, happens=over, alerts=later, expect=[{"ends": "succeeded"}])) == []
    down = [{"alertmanager": "down"}, {"at": "2m", "alertmanager": "up"}]
    expected = [{"held": "silenced"}, {"effect": {"action": "rollout_restart"}, "not_before": "2m", "times": 1}]
    assert failures(play(tmp_path, happens=down, expect=expected)) == []


def test_faults_of_the_api_server(tmp_path: Path) -> None:
    lost = play(tmp_path, happens=[{"api": {"write": "request_lost"}}], expect=[{"state": "uncertain"}, {"effects": 1}])
    assert failures(lost) == []
    refused = play(tmp_path, happens=[{"api": {"write": "forbidden", "object": API}}], expect=[{"effects": 0}])
    assert failures(refused) == []
    blind = {"api": {"read": "no_answer", "object": API, "times": 2}}
    unseen = play(tmp_path, happens=[blind], expect=[{"held": "target"}, {"effects": 1}])
    assert failures(unseen) == []


def test_people_who_cannot_be_reached(tmp_path: Path) -> None:
    down = [{"chat": "down"}, {"pager": "down"}]
    result = play(tmp_path, happens=down, until="10m", expect=[{"message": {}, "times": 0}, {"effects": 1}])
    assert [text for text in failures(result) if "message" in text] == []


def test_quorum_counts_persons(tmp_path: Path) -> None:
    people = [{"name": "ann", "roles": ["approver"], "tokens": ["laptop"]}, {"name": "bob", "roles": ["approver"]}]
    said = [("asked + 1m", "ann"), ("asked + 2m", "laptop"), ("asked + 3m", "bob")]
    result = play(
        tmp_path,
        mode="approve",
        playbook={"approval": {"quorum": 2}},
        config={"people": people},
        happens=[{"at": at, "approve": {"who": who}} for at, who in said],
        expect=[{"effect": {"action": "rollout_restart"}, "not_before": "3m", "times": 1}],
    )
    assert failures(result) == []


def test_who_takes_an_episode_stops_it_until_it_is_given_back(tmp_path: Path) -> None:
    says = {"who": "ann", "role": "operator"}
    result = play(
        tmp_path,
        mode="approve",
        happens=[
            {"at": "asked + 1m", "take": says},
            {"at": "asked + 2m", "approve": {"who": "bob"}},
            {"at": "asked + 3m", "give_back": says},
            {"at": "asked + 4m", "approve": {"who": "bob"}},
        ],
        expect=[
            {"refused": "bob", "contains": "ann", "by": "3m"},
            {"effect": {"action": "rollout_restart"}, "not_before": "4m", "times": 1},
        ],
    )
    assert failures(result) == []


def test_a_storm_holds_everything(tmp_path: Path) -> None:
    names = [f"api-{number}" for number in range(7)]
    alert = {**STORY["alerts"][0]}
    result = play(
        tmp_path,
        playbook={"gather": "20s"},
        cluster=[{"deployment": f"shop/{name}"} for name in names],
        alerts=[{**alert, "labels": {**alert["labels"], "deployment": name}} for name in names],
        until="5m",
        expect=[{"held": "storm"}, {"effects": 0}, {"remediations": 7}, {"message": {"to": "pager"}, "times": 1}],
    )
    assert failures(result) == []


def test_a_project_bounds_what_its_playbooks_touch(tmp_path: Path) -> None:
    project = {"name": "team", "namespaces": ["other"], "mode": "auto"}
    result = play(tmp_path, config={"project": project}, expect=[{"denied": "project"}, {"effects": 0}])
    assert failures(result) == []


def test_an_environment_lowers_the_mode(tmp_path: Path) -> None:
    prod = {"name": "prod", "match": {"namespaces": ["shop"]}, "mode_ceiling": "approve"}
    config = {"policy": {"environments": [prod], "mode_ceiling": "auto"}}
    result = play(tmp_path, config=config, until="5m", expect=[{"asked": "mode"}, {"effects": 0}])
    assert failures(result) == []


def test_the_start_decides_about_windows(tmp_path: Path) -> None:
    config = {"policy": {"windows": {"deny": [{"cron": "0 0 * * sat", "duration": "24h", "zone": "UTC"}]}}}
    saturday = play(tmp_path, config=config, start="2025-06-07T12:00:00Z", until="5m", expect=[{"held": "windows"}])
    assert failures(saturday) == []
    monday = play(tmp_path, config=config, start="2025-06-09T12:00:00Z", expect=[{"ends": "succeeded"}])
    assert failures(monday) == []


def test_the_short_forms_of_objects(tmp_path: Path) -> None:
    cluster = [
        {"namespace": "shop", "labels": {"team": "a"}},
        {"node": "node-9", "zone": "zone-z"},
        {"deployment": "shop/api", "replicas": 2, "image": "a:1", "labels": {"team": "a"}},
        {"statefulset": "shop/db", "replicas": 2},
        {"daemonset": "shop/agent"},
        {"hpa": "shop/api", "min": 3, "max": 5, "wants": 4},
        {"pdb": "shop/db", "of": "StatefulSet shop/db", "max_unavailable": 1},
        {"manifest": {"kind": "Service", "metadata": {"name": "api", "namespace": "shop"}, "spec": {"selector": {}}}},
    ]
    fields = {
        "Deployment shop/api": ("status.availableReplicas", 4),
        "StatefulSet shop/db": ("status.readyReplicas", 2),
        "DaemonSet shop/agent": ("status.numberReady", 4),
        "PodDisruptionBudget shop/db": ("status.disruptionsAllowed", 1),
        "HorizontalPodAutoscaler shop/api": ("status.desiredReplicas", 4),
        "Namespace shop": ("metadata.labels.team", "a"),
        "Node node-9": ("metadata.labels.topology.kubernetes.io/zone", "zone-z"),
        "Service shop/api": ("metadata.name", "api"),
    }
    expected = [{"field": {"of": of, "path": path, "is": value}} for of, (path, value) in fields.items()]
    result = play(tmp_path, cluster=cluster, alerts=[], expect=expected, happens=[{"at": "2m", "chat": "up"}])
    assert failures(result) == []


def test_what_people_do_to_objects(tmp_path: Path) -> None:
    happens = [
        {"edit": {"object": API, "patch": {"spec": {"paused": True}}}},
        {"apply": {"deployment": "shop/web", "replicas": 1}},
        {"at": "1m", "delete": "Deployment shop/web"},
        {"at": "1m", "node_fails": "node-1"},
        {"at": "2m", "node_returns": "node-1"},
    ]
    expected = [
        {"denied": "rollout_in_progress"},
        {"field": {"of": "Deployment shop/web", "path": "spec.replicas", "is": None}},
        {"field": {"of": API, "path": "spec.paused", "is": True}},
    ]
    assert failures(play(tmp_path, happens=happens, expect=expected)) == []


def test_rollout_is_asked_of_the_real_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing between the alert and the cluster is a stand-in: a check that lies changes the verdict."""

    async def lie(args: Any, context: Any) -> Any:
        return replace(await honest(args, context), answer="bad", badness=1.0)

    honest = rollout.sample
    kind = replace(rollout.KIND, sample=lie)
    monkeypatch.setitem(CHECKS, "rollout", kind)
    assert failures(play(tmp_path, expect=[{"ends": "escalated"}])) == []


BY_HAND = {**RESTART, "manual": True}


def test_a_person_starts_it_without_an_alert(tmp_path: Path) -> None:
    run = {"at": "10s", "run": {"playbook": "restart-api", "target": API, "who": "ann", "why": "it leaks"}}
    story = {
        "alerts": [],
        "happens": [run],
        "expect": [{"chosen": "restart-api"}, {"effects": 1}, {"ends": "succeeded"}],
    }
    result = play(tmp_path, playbook=BY_HAND, **story)
    assert failures(result) == []
    assert result.record.last["r-1"].cause == "ann asked for it: it leaks"


def test_who_may_not_start_it_is_told(tmp_path: Path) -> None:
    run = {"at": "10s", "run": {"playbook": "restart-api", "target": API}}
    result = play(tmp_path, alerts=[], happens=[run], expect=[{"effects": 0}])
    assert any("is not for people to start" in line for line in lines(result, "service"))


def test_a_schedule_comes_in_its_time(tmp_path: Path) -> None:
    timed = {key: value for key, value in RESTART.items() if key != "match"}
    timed |= {
        "target": {"kind": "Deployment", "namespace": "shop", "name": "api"},
        "schedule": {"cron": "0 2 * * *", "zone": "Europe/Berlin"},
    }
    start = "2025-06-01T23:50:00Z"
    expect = [{"chosen": "restart-api"}, {"effects": 1}, {"ends": "succeeded"}]
    result = play(tmp_path, playbook=timed, alerts=[], start=start, expect=expect)
    assert failures(result) == []
    assert 600 <= result.record.choices[0][0] < 620
