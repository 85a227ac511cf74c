"""Each kind of expectation holds when it is so, and fails, with what happened instead, when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.playbook_tests.expectations import difference
from remediator.playbook_tests.expecting import SIBLINGS, Expectation
from remediator.playbook_tests.record import Record
from remediator.playbooks.fields import FROM_YAML
from tests.playbook_tests.acting_stories import SENT, SESSIONS, WAITING, backup, terminate
from tests.playbook_tests.stories import RESTART, play

IMAGE = "spec.template.spec.containers[app].image"
RESTARTED = "spec.template.metadata.annotations.kubectl.kubernetes.io/restartedAt"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """What came of four stories."""

    def record(**story: Any) -> Record:
        return play(tmp_path_factory.mktemp("story"), **story).record

    asked = [
        {"at": "asked + 10s", "approve": {"who": "eve", "role": "viewer"}},
        {"at": "asked + 1m", "approve": {"who": "ann"}},
    ]
    return {
        "done": record(),
        "agreed": record(mode="approve", happens=asked),
        "held": record(until="5m", happens=[{"pause": {"scope": "namespace shop", "who": "ann", "why": "moving"}}]),
        "denied": record(config={"policy": {"protected_namespaces": ["shop"]}}),
        "none": record(playbook={"match": {"alerts": ['alertname="Stuck"'], "when": "target.ready > 5"}}),
        "made": backup(tmp_path_factory.mktemp("made"), expect=[{"effects": 1}]).record,
        "called": terminate(tmp_path_factory.mktemp("called"), [SESSIONS, *WAITING, SENT]).record,
        "taken": record(
            playbook={"steps": [{"action": "evict_pod", "with": {"select": "unready"}}]},
            happens=[{"pods": {"of": "Deployment shop/api", "are": "unready", "count": 1}}],
            cluster=[{"deployment": "shop/api", "replicas": 3}],
        ),
        "undone": record(
            playbook={
                "steps": [{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}],
                "verify": {**RESTART["verify"], "checks": [{"promql": {"query": "errors", "success": "< 3"}}]},
            },
            metrics=[{"series": "errors", "values": {"0s": 5, "effect": 9}}],
            happens=[
                {"at": "effect", "pods": {"of": "Deployment shop/api", "are": "unready"}},
                {"at": "undo", "pods": {"of": "Deployment shop/api", "are": "ready"}},
            ],
        ),
    }


def judge(expected: dict[str, Any], record: Record) -> tuple[str, str] | None:
    parsed = Expectation.model_validate(expected, by_name=False, by_alias=True, context={FROM_YAML: True})
    return difference(parsed, record)


HOLDS: list[tuple[str, dict[str, Any]]] = [
    ("done", {"chosen": "restart-api", "by": "10s"}),
    ("none", {"not_chosen": "restart-api", "contains": "target.ready > 5"}),
    ("denied", {"not_chosen": "something-else"}),
    ("denied", {"denied": "protect", "contains": "shop", "playbook": "restart-api"}),
    ("held", {"held": "pause", "contains": "moving"}),
    ("agreed", {"asked": "mode"}),
    (
        "done",
        {"effect": {"action": "rollout_restart", "object": "Deployment shop/*", "path": RESTARTED, "before": None}},
    ),
    ("done", {"effect": {"action": "scale"}, "times": 0}),
    ("undone", {"effect": {"path": "spec.replicas", "before": 3, "after": 5, "undo": False}, "times": 1}),
    ("undone", {"effect": {"path": "spec.replicas", "before": 5, "after": 3, "undo": True}, "times": 1}),
    ("agreed", {"effect": {"action": "rollout_restart"}, "not_before": "1m", "by": "2m"}),
    ("made", {"created": {"object": "Backup.velero.io velero/*", "fields": {"spec.snapshotVolumes": True}}}),
    ("made", {"created": {"object": "Backup velero/*", "action": "velero_backup", "undo": False}, "times": 1}),
    ("called", {"created": {}, "times": 0}),
    ("taken", {"removed": {"object": "Pod shop/api-*", "action": "evict_pod"}, "by": "1m"}),
    ("made", {"removed": {}, "times": 0}),
    ("called", {"called": {"via": "sql", "place": "orders", "request": {"do": "term*"}}, "times": 1}),
    ("called", {"effect": {"object": "sql orders", "action": "pg_terminate"}}),
    ("denied", {"effects": 0}),
    ("called", {"effects": 1}),
    ("undone", {"effects": 2}),
    ("done", {"message": {"to": "chat", "state": "succeeded", "contains": "Deployment shop/api"}}),
    ("undone", {"message": {"to": "pager", "contains": ["undone", "scale"]}}),
    ("done", {"message": {"to": "pager"}, "times": 0}),
    ("agreed", {"state": "awaiting_approval", "playbook": "restart-api", "by": "10s"}),
    ("done", {"ends": "succeeded", "by": "1m"}),
    ("undone", {"ends": "escalated", "outcome": "undone"}),
    ("agreed", {"refused": "eve", "contains": "approve"}),
    ("done", {"field": {"of": "Deployment shop/api", "path": "status.availableReplicas", "is": 3}}),
    ("done", {"field": {"of": "Deployment shop/api", "path": IMAGE, "is": "registry.example.com/*"}}),
    ("done", {"field": {"of": "Deployment shop/none", "path": IMAGE, "is": None}}),
    ("done", {"remediations": 1}),
]

FAILS: list[tuple[str, dict[str, Any], str, str]] = [
    ("none", {"chosen": "restart-api"}, "playbook restart-api is chosen", "target.ready > 5"),
    ("done", {"chosen": "other"}, "playbook other is chosen", "restart-api was chosen at 0s"),
    ("agreed", {"state": "verifying", "by": "30s"}, "a remediation is verifying, by 30s", "was verifying at 1m0"),
    ("done", {"not_chosen": "restart-api"}, "is not chosen", "it was chosen at 0s"),
    ("none", {"not_chosen": "restart-api", "contains": "owner"}, "saying 'owner'", "target.ready > 5"),
    ("done", {"denied": "protect"}, "protect says deny", "protect said"),
    ("held", {"held": "storm"}, "storm says hold", "pause said hold"),
    ("held", {"held": "pause", "contains": "freeze"}, "saying 'freeze'", "moving"),
    ("denied", {"denied": "protect", "playbook": "other"}, "protect says deny of other", "protect said deny"),
    ("done", {"asked": "mode"}, "mode says ask", "mode said pass"),
    ("denied", {"effect": {"action": "rollout_restart"}}, "the effect {action=rollout_restart}", "no effect at all"),
    ("done", {"effect": {"action": "rollout_restart"}, "times": 0}, "never: the effect", "rollout_restart Deployment"),
    ("undone", {"effect": {"path": "spec.replicas"}, "times": 1}, "once: the effect", "spec.replicas: 3 -> 5"),
    ("undone", {"effect": {"path": "spec.replicas", "after": 4}}, "after=4", "spec.replicas: 3 -> 5"),
    ("undone", {"effect": {"path": "spec.paused"}}, "path=spec.paused", "spec.replicas: 3 -> 5"),
    ("undone", {"effect": {"path": "spec.replicas", "before": 4}}, "before=4", "spec.replicas: 3 -> 5"),
    ("undone", {"effect": {"path": "spec.replicas", "before": None}}, "before=None", "spec.replicas: 3 -> 5"),
    ("undone", {"effect": {"object": "Deployment shop/web"}}, "object=Deployment shop/web", "Deployment shop/api"),
    ("done", {"effect": {"undo": True}}, "undo=True", "rollout_restart Deployment shop/api"),
    ("agreed", {"effect": {"action": "rollout_restart"}, "by": "30s"}, "by 30s", "at 1m0"),
    ("agreed", {"effect": {"action": "rollout_restart"}, "not_before": "2m"}, "not before 2m00s", "at 1m0"),
    ("made", {"created": {"fields": {"spec.ttl": "1h"}}}, "{fields={'spec.ttl': '1h'}} is created", "spec.ttl = 720h"),
    ("made", {"created": {"undo": True}}, "{undo=True} is created", "velero_backup (create) Backup velero/"),
    ("taken", {"created": {}}, "is created", "evict_pod Pod shop/api-"),
    ("taken", {"removed": {"object": "Job *"}}, "{object=Job *} is removed", "evict_pod Pod shop/api-"),
    ("taken", {"removed": {"action": "scale"}}, "{action=scale} is removed", "evict_pod Pod shop/api-"),
    ("denied", {"removed": {}}, "is removed", "no effect at all"),
    ("called", {"called": {"via": "http"}}, "the call {via=http}", "pg_terminate (call) sql orders"),
    ("called", {"called": {"place": "other"}}, "the call {place=other}", "do=terminate"),
    ("called", {"called": {"action": "run_sql"}}, "the call {action=run_sql}", "pg_terminate (call)"),
    ("called", {"called": {"undo": True}}, "the call {undo=True}", "pg_terminate (call)"),
    ("called", {"called": {"request": {"pid": 1}}}, "the call {request={'pid': 1}}", "pid=4711"),
    ("done", {"called": {}}, "the call {}", "rollout_restart Deployment shop/api"),
    ("done", {"effects": 0}, "no effect at all", "1: rollout_restart Deployment shop/api"),
    ("denied", {"effects": 2}, "2 effects in all", "no effect at all"),
    ("denied", {"message": {"state": "succeeded"}}, "the message {state=succeeded}", "chat: ⛔ Not done"),
    ("done", {"message": {"to": "pager"}}, "the message {to=pager}", "chat: ✅ Fixed"),
    ("done", {"message": {"to": "chat"}, "times": 0}, "never: the message", "Fixed"),
    ("none", {"message": {}}, "the message", "nobody was told anything"),
    ("done", {"state": "held"}, "a remediation is held", "restart-api is succeeded"),
    ("done", {"ends": "denied"}, "every remediation ends denied", "restart-api is succeeded"),
    ("held", {"ends": "succeeded"}, "ends succeeded", "restart-api is held"),
    ("undone", {"ends": "escalated", "outcome": "failed"}, "escalated (failed)", "escalated (undone)"),
    ("done", {"ends": "succeeded", "by": "1s"}, "ends succeeded, by 1s", "succeeded at"),
    ("done", {"ends": "succeeded", "playbook": "other"}, "other ends succeeded", "restart-api is succeeded"),
    ("agreed", {"refused": "ann"}, "ann is refused", "eve at 10s"),
    ("done", {"refused": "ann"}, "ann is refused", "nobody was refused"),
    ("done", {"field": {"of": "Deployment shop/api", "path": "spec.replicas", "is": 4}}, "= 4", "spec.replicas = 3"),
    ("done", {"field": {"of": "Deployment shop/web", "path": "spec.replicas", "is": 4}}, "= 4", "there is no "),
    ("done", {"field": {"of": "Deployment shop/api", "path": "spec.paused", "is": True}}, "= True", "= (none)"),
    ("done", {"remediations": 0}, "remediations: 0", "1: restart-api is succeeded"),
]  # fmt: skip


@pytest.mark.parametrize(("story", "expected"), HOLDS)
def test_it_holds(records: dict[str, Record], story: str, expected: dict[str, Any]) -> None:
    assert judge(expected, records[story]) is None


@pytest.mark.parametrize(("story", "expected", "wanted", "happened"), FAILS)
def test_it_fails(records: dict[str, Record], story: str, expected: dict[str, Any], wanted: str, happened: str) -> None:
    found = judge(expected, records[story])
    assert found is not None
    assert wanted in found[0]
    assert happened in found[1]


def test_every_kind_is_shown_to_hold_and_to_fail() -> None:
    assert {next(iter(e)) for _, e in HOLDS} == set(SIBLINGS)
    assert {next(iter(e)) for _, e, _, _ in FAILS} == set(SIBLINGS)


def test_no_story_had_any_trouble(records: dict[str, Record]) -> None:
    assert {name: record.troubles for name, record in records.items()} == {name: [] for name in records}
