"""Must-show: a schedule fires once over a kill, and what a person starts another person approves.

The real process and the real API server; effects are counted in its audit log.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.controlplane import ControlPlane, wait_until
from tests.support.fixtures_service import MakeService
from tests.support.scenes import effects_of, quick, ready
from tests.support.service import API_TOKEN, Service, request_json

BEFORE_S, AFTER_S = -120.0, 2.0
"""Of the time that it is due. Before, nothing acts, so that the clock may be off by as much as a slow start needs."""
LATER = timedelta(minutes=5)
ANN_TOKEN = "token-of-ann"


def without_alert(namespace: str = "", **changes: Any) -> dict[str, Any]:
    """`restart-api` that no alert starts."""
    target = {"kind": "Deployment", "namespace": namespace, "name": "api"} if namespace else "from_alert"
    content = quick(target=target, **changes)
    del content["match"]
    return content


def look(namespace: str, moment: datetime) -> dict[str, Any]:
    """A report, which changes nothing."""
    target = {"kind": "Deployment", "namespace": namespace, "name": "api"}
    return {"name": "look", "schedule": at(moment), "target": target, "collect": [{"status": {}}], "steps": []}


def at(moment: datetime) -> dict[str, str]:
    return {"cron": f"{moment.minute} {moment.hour} * * *", "zone": "UTC"}


def effects(control_plane: ControlPlane, namespace: str, since: int) -> list[tuple[str, str, str, int]]:
    return [(e.verb, e.resource, e.name, e.code) for e in effects_of(control_plane, namespace, since)]


ONE = [("patch", "deployments", "api", 200)]


def nearest_minute() -> datetime:
    """At most half a minute away, so that no process that acts has a clock that is a minute off."""
    return (datetime.now(UTC) + timedelta(seconds=30)).replace(second=0, microsecond=0)


def start_at(service: Service, moment: datetime) -> None:
    """A process whose clock shows that moment now."""
    service.start(module="tests.support.ahead", AHEAD_S=str((moment - datetime.now(UTC)).total_seconds()))


def rows(service: Service, table: str) -> int:
    """Of the store, which the process has open."""
    with closing(sqlite3.connect(f"file:{service.directory / 'journal.db'}?mode=ro", uri=True)) as database:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_schedule_fires_once_although_the_process_is_killed_before_and_in_the_middle(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    due = nearest_minute()
    slow = {**quick()["verify"], "settle": "4s"}
    restart = without_alert(namespace, schedule=at(due), verify=slow)
    later = due + LATER
    service: Service = make_service(restart, look(namespace, later))

    start_at(service, due + timedelta(seconds=BEFORE_S))
    wait_until(lambda: rows(service, "schedules"), timeout_s=20, what="the schedule is known")
    assert service.remediations() == []
    service.kill()
    assert effects(control_plane, namespace, since) == []

    start_at(service, due + timedelta(seconds=AFTER_S))
    missed = service.wait_state("verifying", timeout_s=40)
    service.kill()
    assert effects(control_plane, namespace, since) == ONE

    start_at(service, due + timedelta(seconds=AFTER_S + 5))
    only = service.wait_state("succeeded", timeout_s=60)
    assert only["id"] == missed["id"]
    service.kill()

    start_at(service, later + timedelta(seconds=AFTER_S))
    service.wait_state("observed")  # whoever has started that has looked at all schedules
    assert "schedule" in service.show(only["id"])["cause"]
    assert [r["playbook"] for r in service.remediations()] == ["look", "restart-api"]
    assert rows(service, "schedule_runs") == 2
    assert effects(control_plane, namespace, since) == ONE


def test_what_a_person_starts_another_person_approves(
    control_plane: ControlPlane, namespace: str, make_service: MakeService
) -> None:
    ready(control_plane, namespace)
    since = control_plane.audit_offset()
    people = [
        {"name": "robin", "role": "admin", "token": {"value": API_TOKEN}},
        {"name": "ann", "role": "approver", "token": {"value": ANN_TOKEN}},
    ]
    service: Service = make_service(without_alert(manual=True, mode="approve"), api=people).start()
    asked = ["run", "restart-api", "--target", f"Deployment/{namespace}/api", "--reason", "it leaks", "--key", "k-1"]

    answer = service.cli(*asked)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    waiting = service.wait_state("awaiting_approval", "denied", "held")
    assert waiting["state"] == "awaiting_approval", waiting["reason"]
    shown = service.show(waiting["id"])
    assert (shown["requester"], shown["cause"]) == ("robin", "robin asked for it: it leaks")

    again = service.cli(*asked)
    assert again.returncode == 0, again.stdout + again.stderr
    assert [r["id"] for r in service.remediations()] == [waiting["id"]], "the same key starts nothing again"

    own = service.cli("approve", waiting["id"])
    assert own.returncode != 0, own.stdout
    assert "robin" in own.stdout + own.stderr
    assert service.show(waiting["id"])["state"] == "awaiting_approval"
    assert effects(control_plane, namespace, since) == []

    url = f"{service.url}/api/v1/remediations/{waiting['id']}/approve"
    status, said = request_json("POST", url, {"digest": shown["approval"]["digest"]}, token=ANN_TOKEN)
    assert status == 200, json.dumps(said)
    ended = service.wait_state("succeeded", "escalated", "cancelled")
    assert ended["state"] == "succeeded", ended["reason"]
    assert [given["who"] for given in service.show(waiting["id"])["approval"]["given"]] == ["ann"]
    assert effects(control_plane, namespace, since) == ONE
