"""Guardrails at work in the whole core: what they see is really read, what they say is on record, and it passes by
itself when it may. Effects are counted at the simulated API server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import SimulatedQueries, VirtualClock
from remediator.errors import Uncertain
from remediator.guardrails.calendars import parse_calendar
from remediator.guardrails.pause import PAUSE_ANNOTATION
from remediator.guardrails.policy import Policy
from remediator.objects import ObjectRef
from remediator.ports import ChatError, Sample, Silence
from remediator.remediation.condition_reading import ALIVE
from remediator.remediation.events import Approved
from remediator.remediation.fact_reading import KnownCalendars
from remediator.remediation.state import State, StepOutcome
from tests.support.world import World, deployment, queries, restart_playbook

ZONE = "topology.kubernetes.io/zone"
OVERLOADED = "cluster_load > 0.9"


def world(*playbooks: dict[str, Any], names: tuple[str, ...] = ("api",), **options: Any) -> World:
    made = World(*(playbooks or (restart_playbook(),)), **options)
    for name in names:
        obj = deployment(name)
        obj["metadata"]["labels"] = {"tier": "web"}
        made.cluster.apply(obj)
    made.cluster.advance(60.0)
    return made


def guarded(**guardrails: Any) -> dict[str, Any]:
    return restart_playbook(guardrails=guardrails)


def prometheus(clock: VirtualClock, **values: Any) -> SimulatedQueries:
    return queries(clock, {ALIVE: 1.0, **values})


async def timeline(made: World) -> list[str]:
    return [line.reason for line in await made.journal.history((await made.newest()).id)]


# --- blockers, overload ---------------------------------------------------------------------------------------------


async def test_a_blocker_holds_and_lets_go_by_itself() -> None:
    clock = VirtualClock()
    asked = prometheus(clock)
    asked.set("backup_running", 1.0)
    made = world(guarded(blockers=[{"promql": "backup_running", "name": "backup"}]), clock=clock, queries=asked)
    await made.alert()
    r = await made.run_until("held", "succeeded")
    assert r.state is State.HELD
    assert r.reason.startswith("HELD restart")
    assert "blockers. Backup forbids it" in r.reason
    asked.set("backup_running", 0.0)
    r = await made.run_until("succeeded")
    assert made.writes() == [("patch", "Deployment shop/api")]


async def test_the_triggering_alert_does_not_block_itself_and_another_one_does() -> None:
    clock = VirtualClock()
    asked = prometheus(clock)
    own = {"__name__": "ALERTS", "alertstate": "firing", "alertname": "Stuck", "severity": "warning"}
    firing = [Sample({**own, "namespace": "shop", "deployment": "api"}, 1.0, clock.now())]
    asked.set("ALERTS{", lambda at: [Sample(s.labels, 1.0, at) for s in firing])
    made = world(guarded(blockers=[{"alerts": 'severity="warning"'}]), clock=clock, queries=asked)
    await made.alert()
    await made.run_until("succeeded")
    firing.append(Sample({**own, "alertname": "NodeDown", "node": "n1"}, 1.0, clock.now()))
    made.cluster.apply(deployment("web"))
    made.cluster.advance(60.0)
    await made.alert(deployment="web")
    r = await made.run_until("held")
    assert 'NodeDown{node="n1"' in r.reason


async def test_a_blocker_that_cannot_be_seen_holds_and_ends_at_a_person() -> None:
    clock = VirtualClock()
    asked = prometheus(clock)
    asked.down = True
    made = world(guarded(blockers=[{"alerts": 'severity="critical"'}]), clock=clock, queries=asked)
    await made.alert()
    r = await made.run_until("held")
    assert r.reason.startswith("CANNOT SEE: ")
    assert r.reason.endswith('Nothing was done, because blocker severity="critical" is unknown.')
    r = await made.run_until("escalated")
    assert r.outcome is StepOutcome.HELD_TOO_LONG
    assert made.writes() == []


async def test_under_overload_what_takes_copies_needs_a_person() -> None:
    clock = VirtualClock()
    asked = prometheus(clock)
    asked.set(OVERLOADED, 0.97)
    policy = Policy.model_validate({"mode_ceiling": "auto", "overload": OVERLOADED})
    down = restart_playbook(steps=[{"action": "scale", "with": {"to": 2, "min": 1, "max": 9}}])
    made = world(down, clock=clock, queries=asked, policy=policy)
    await made.alert()
    r = await made.run_until("awaiting_approval", "held")
    assert r.state is State.AWAITING_APPROVAL
    assert "overload" in r.reason
    assert made.writes() == []
    await made.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await made.run_until("succeeded")
    assert made.replicas() == 2


# --- people can be reached ------------------------------------------------------------------------------------------


class Door:
    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    async def probe(self) -> None:
        if self.problem:
            raise ChatError(self.problem)


async def test_with_nobody_to_tell_auto_only_suggests() -> None:
    made = world(reach={"Slack": Door("no answer"), "PagerDuty shop": Door("HTTP 503")})
    await made.alert()
    r = await made.run_until("suggested", "succeeded")
    assert r.state is State.SUGGESTED
    assert "notify_first" in r.reason
    assert "Slack" in r.reason
    assert made.writes() == []


async def test_one_way_to_people_is_enough() -> None:
    made = world(reach={"Slack": Door("no answer"), "PagerDuty shop": Door()})
    await made.alert()
    await made.run_until("succeeded")


# --- windows and calendars ------------------------------------------------------------------------------------------


def minutes_from_now(clock: VirtualClock, minutes: int) -> str:
    at = clock.now() + timedelta(minutes=minutes)
    return f"{at.minute} {at.hour} {at.day} {at.month} *"


async def test_outside_its_window_it_is_held_and_begins_when_the_window_opens() -> None:
    clock = VirtualClock()
    opens = minutes_from_now(clock, 5)
    windows = {"allow": [{"cron": opens, "duration": "1h", "zone": "UTC", "name": "nightly"}]}
    made = world(guarded(windows=windows), clock=clock)
    await made.alert()
    r = await made.run_until("held")
    assert "windows" in r.reason
    assert "nightly" in r.reason
    await made.run_until("succeeded")
    at = datetime.fromisoformat(made.restarted_at()).astimezone(UTC)
    assert (at.minute, at.hour) == (int(opens.split()[0]), int(opens.split()[1])), "in the minute in which it opened"


async def test_a_window_that_closes_between_look_and_attempt_refuses_the_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Checked when the effect starts, by the store, not only when it was planned."""
    clock = VirtualClock()
    windows = {"deny": [{"cron": minutes_from_now(clock, 2), "duration": "5m", "zone": "UTC", "name": "freeze"}]}
    made = world(guarded(windows=windows), clock=clock)
    real = made.journal.record_attempt
    late = [clock.now().replace(second=0, microsecond=0) + timedelta(minutes=2)]

    async def slow(attempt: Any, now: datetime) -> Any:
        """The row comes to be written at the very moment at which the freeze begins."""
        return await real(attempt, late.pop() if late else now)

    monkeypatch.setattr(made.journal, "record_attempt", slow)
    await made.alert()
    await made.turn()
    assert made.writes() == []
    assert any("the window closed" in reason for reason in await timeline(made))
    await made.run_until("succeeded")
    assert made.writes() == [("patch", "Deployment shop/api")]


FREEZE = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1
DTSTART:{start}
DTEND:{end}
SUMMARY:Christmas
END:VEVENT
END:VCALENDAR
"""


async def test_a_freeze_calendar_holds_and_a_missing_one_cannot_be_seen() -> None:
    clock = VirtualClock()
    start, end = clock.now() - timedelta(hours=1), clock.now() + timedelta(minutes=10)
    text = FREEZE.format(start=f"{start:%Y%m%dT%H%M%SZ}", end=f"{end:%Y%m%dT%H%M%SZ}").replace("\n", "\r\n")
    known = KnownCalendars(calendars={"freeze": parse_calendar(text, "freeze", "UTC")})
    made = world(guarded(windows={"calendars": ["freeze"]}), clock=clock, calendars=known)
    await made.alert()
    r = await made.run_until("held")
    assert "calendar freeze (Christmas)" in r.reason
    made.calendars = KnownCalendars(problems={"freeze": "freeze.ics cannot be read: No such file"})
    made.cluster.advance(31.0)
    await made.turn()
    r = await made.newest()
    assert r.reason.startswith("CANNOT SEE: ")
    assert "freeze.ics cannot be read" in r.reason
    made.calendars = known
    await made.run_until("succeeded")


# --- what it learns from earlier runs -------------------------------------------------------------------------------


async def test_after_three_failures_the_breaker_opens_and_half_open_needs_a_person() -> None:
    names = tuple(f"svc{n}" for n in range(5))
    clock = VirtualClock()
    asked = prometheus(clock)
    asked.set("errors", 9.0)
    broken = {"promql": {"query": "errors", "success": "< 1", "failure": "> 5"}}
    content = restart_playbook(guardrails={"cooldown": {"failure": "2m"}, "rate_limit": {"playbook": 20}})
    content["verify"]["checks"] = [broken]
    made = world(content, names=names, clock=clock, queries=asked)
    for name in names[:3]:
        await made.alert(deployment=name)
        assert (await made.run_until("escalated")).outcome is StepOutcome.FAILED
        await made.run_for(300.0, step=30.0)
    await made.alert(deployment=names[3])
    r = await made.run_until("denied", "succeeded", "escalated")
    assert r.state is State.DENIED
    assert "circuit_breaker" in r.reason
    assert len(made.writes()) == 3
    made.cluster.advance(4 * 3600.0)
    asked.set("errors", 0.0)
    await made.alert(deployment=names[4])
    r = await made.run_until("awaiting_approval", "denied", "succeeded")
    assert r.state is State.AWAITING_APPROVAL
    assert "circuit_breaker" in r.reason
    await made.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await made.run_until("succeeded")
    await made.run_for(1000.0, step=30.0)
    await made.alert(deployment=names[0])
    assert (await made.run_until("succeeded", "awaiting_approval", "denied")).state is State.SUCCEEDED, "closed again"


# --- fleets and zones -----------------------------------------------------------------------------------------------


def fleet(**changes: Any) -> dict[str, Any]:
    content = restart_playbook(
        targets={"kind": "Deployment", "namespace": "shop", "selector": "tier=web", "max": 3},
        guardrails={"max_targets": 3},
        **changes,
    )
    del content["target"]
    return content


async def test_a_fleet_is_touched_only_while_enough_of_it_is_healthy() -> None:
    made = world(fleet(), names=("a", "b", "c"))
    for name in ("a", "b"):
        made.cluster.edit(ObjectRef("Deployment", "shop", name), {"spec": {"replicas": 6}})
        made.cluster.set_status(ObjectRef("Deployment", "shop", name), availableReplicas=3, observedGeneration=2)
    await made.alert()
    await made.turn()
    r = await made.newest()
    assert "min_healthy" in " ".join(v.guardrail for v in r.verdicts if v.answer.value == "hold"), r.reason
    assert made.writes() == []


async def test_two_at_once_are_never_in_two_zones() -> None:
    made = world(
        restart_playbook(
            verify={"settle": "60s", "timeout": "5m", "checks": [{"rollout": {}}]},
            guardrails={"in_flight": {"playbook": 3}},
        ),
        names=(),
    )
    for zone in ("a", "b"):
        node = {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"name": f"node-{zone}", "labels": {ZONE: f"zone-{zone}"}},
        }
        made.cluster.apply(node)
    for name, zone in (("api", "a"), ("web", "b"), ("db", "a")):
        obj = deployment(name)
        obj["spec"]["template"]["spec"]["nodeName"] = f"node-{zone}"
        made.cluster.apply(obj)
    made.cluster.advance(60.0)
    for name in ("api", "web", "db"):
        await made.alert(deployment=name)
    await made.run_for(5.0)
    by_target = {r.target.name: r for r in await made.all() if r.target}
    assert [name for name, r in by_target.items() if r.state is State.VERIFYING] == ["api", "db"]
    assert by_target["web"].state is State.HELD
    assert "failure_domain" in by_target["web"].reason
    assert "zone-a" in by_target["web"].reason
    await made.run_until("succeeded")
    await made.run_for(600.0, step=10.0)
    assert len(made.writes()) == 3


# --- hands off ------------------------------------------------------------------------------------------------------


class Silences:
    def __init__(self) -> None:
        self.found: tuple[Silence, ...] = ()

    async def active(self) -> tuple[Silence, ...]:
        return self.found

    async def close(self) -> None: ...


async def test_a_silence_that_came_after_a_lost_request_keeps_it_from_being_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silences = Silences()
    made = world(silences=silences)
    real, lost = made.cluster.write, [1]

    async def write(request: Any, *, dry_run: bool = False) -> Any:
        if not dry_run and lost:
            lost.pop()
            ends = made.clock.now() + timedelta(minutes=3)
            silences.found = (Silence("s1", "ann", "mine", ends, ('alertname="Stuck"',)),)
            raise Uncertain("simulated: no answer, and it never arrives")
        return await real(request, dry_run=dry_run)

    monkeypatch.setattr(made.cluster, "write", write)
    await made.alert()
    r = await made.run_until("waiting", "succeeded", "escalated")
    assert (r.state, r.outcome) == (State.ESCALATED, StepOutcome.UNCERTAIN)
    assert any("silenced by ann: mine" in reason for reason in await timeline(made))
    assert made.restarted_at() == "", "all that was written is the mark that keeps the lost request from landing"
    assert made.writes() == [("patch", "Deployment shop/api")]


async def test_a_namespace_that_is_paused_in_the_last_moment_stops_the_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guarded a moment ago, so the guardrails are not asked again; the last look still sees it."""
    made = world()
    namespace = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop"}}
    made.cluster.apply(namespace)
    real = made.journal.commit

    async def commit(decision: Any, now: datetime, **options: Any) -> Any:
        result = await real(decision, now, **options)
        if options.get("reserve") is not None:
            made.cluster.edit(
                ObjectRef("Namespace", "", "shop"), {"metadata": {"annotations": {PAUSE_ANNOTATION: "x"}}}
            )
        return result

    monkeypatch.setattr(made.journal, "commit", commit)
    await made.alert()
    r = await made.run_until("held", "succeeded")
    assert r.state is State.HELD
    assert "Namespace shop" in r.reason
    assert made.writes() == []


async def test_the_record_says_where_and_when_each_fact_was_read() -> None:
    clock = VirtualClock()
    made = world(
        guarded(blockers=[{"promql": "backup_running"}]),
        clock=clock,
        queries=prometheus(clock, backup_running=0.0),
        silences=Silences(),
    )
    await made.alert()
    await made.run_until("succeeded")
    lines = await made.journal.history((await made.newest()).id)
    (planned,) = [line for line in lines if line.type == "PlanMade"]
    verdicts = {v["guardrail"]: v for v in planned.data["event"]["verdicts"]}  # type: ignore[index]
    at = f"{planned.at:%Y-%m-%dT%H:%M:%SZ}"
    assert verdicts["rate_limit"]["seen"]["runs"] == f"journal at {at}"
    assert verdicts["silenced"]["seen"]["silences"] == f"Alertmanager at {at}"
    assert verdicts["blockers"]["seen"] == {"blockers": f"Prometheus at {at}"}
    assert verdicts["min_available"]["seen"]["targets"] == f"API server of c1 at {at}"


async def test_a_scale_up_does_not_wait_for_an_answer_about_overload() -> None:
    """It takes no capacity away, so nobody needs to know."""
    clock = VirtualClock()
    asked = prometheus(clock)
    asked.down = True
    policy = Policy.model_validate({"mode_ceiling": "auto", "overload": OVERLOADED})
    up = restart_playbook(steps=[{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}])
    made = world(up, clock=clock, queries=asked, policy=policy)
    await made.alert()
    await made.run_until("succeeded")
    assert made.replicas() == 5


# --- what is decided late, or beside the main target ------------------------------------------------------------------


@pytest.mark.parametrize("key", [PAUSE_ANNOTATION, "remediator.dev/protect"])
async def test_a_pod_that_its_owner_has_marked_is_not_evicted(key: str) -> None:
    """Which pod it will be is known at the last look alone, after the guardrails."""
    evict = restart_playbook(
        steps=[{"action": "evict_pod", "with": {"select": "all", "max": 1}}], guardrails={"min_available": 1}
    )
    made = world(evict)
    for pod in made.cluster.all("Pod", "shop"):
        found = ObjectRef("Pod", "shop", pod["metadata"]["name"])
        made.cluster.edit(found, {"metadata": {"annotations": {key: "true"}}})
    await made.alert()
    r = await made.run_until("escalated")
    assert made.writes() == []
    assert key.partition("/")[2] in r.reason


async def test_a_paused_pod_is_not_evicted() -> None:
    evict = restart_playbook(
        steps=[{"action": "evict_pod", "with": {"select": "all", "max": 1}}], guardrails={"min_available": 1}
    )
    made = world(evict)
    for pod in made.cluster.all("Pod", "shop"):
        scope = f"target:c1/Pod/shop/{pod['metadata']['name']}"
        await made.journal.pause(scope, "ann", "debugging it", None, made.clock.now())
    await made.alert()
    r = await made.run_until("escalated")
    assert made.writes() == []
    assert "debugging it" in r.reason


@pytest.mark.parametrize(
    "wider",
    [
        pytest.param(
            {"target": None, "targets": {"kind": "Deployment", "namespace": "shop", "selector": "tier=web", "max": 2}},
            id="one of several targets",
        ),
        pytest.param(
            {
                "steps": [
                    {"action": "rollout_restart"},
                    {
                        "action": "rollout_restart",
                        "target": {"kind": "Deployment", "namespace": "shop", "name": "web"},
                    },
                ]
            },
            id="named by a step",
        ),
    ],
)
async def test_every_object_that_was_acted_on_cools_down(wider: dict[str, Any]) -> None:
    limits = {"max_targets": 2, "min_healthy": 1}
    many = restart_playbook(name="many", match={"alerts": ['alertname="Many"']}, guardrails=limits, **wider)
    many = {key: value for key, value in many.items() if value is not None}
    made = world(many, restart_playbook(), names=("api", "web"))
    await made.alert("Many", deployment="api")
    await made.run_until("succeeded")
    done = made.writes()
    await made.alert(deployment="web")
    r = await made.run_until("held", "succeeded")
    assert (r.state, made.writes()) == (State.HELD, done)
    assert "cooldown" in r.reason


async def test_an_answer_to_a_question_is_no_approval_of_what_a_guardrail_asks_about() -> None:
    clock = VirtualClock()
    asked = prometheus(clock)
    asked.set(OVERLOADED, 0.0)
    policy = Policy.model_validate({"mode_ceiling": "auto", "overload": OVERLOADED})
    steps = [{"ask": "Has the vendor been called?"}, {"action": "scale", "with": {"to": 2, "min": 1, "max": 9}}]
    made = world(restart_playbook(steps=steps), clock=clock, queries=asked, policy=policy)
    await made.alert()
    r = await made.run_until("waiting")
    asked.set(OVERLOADED, 0.97)
    await made.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await made.run_for(30)
    r = await made.newest()
    assert (r.state, r.waiting_for, made.writes()) == (State.WAITING, "ask", [])
    assert "overload" in r.reason
    await made.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await made.run_until("succeeded")
    assert made.replicas() == 2
