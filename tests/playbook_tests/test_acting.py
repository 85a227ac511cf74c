"""Objects of operators with a status, operators that a story plays, and what is answered outside of the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.playbook_tests.acting_stories import BACKUP, LOCATION, SENT, SESSIONS, WAITING, backup, terminate
from tests.playbook_tests.stories import failures, play


def test_an_object_has_the_status_that_it_is_given(tmp_path: Path) -> None:
    read_only = {**LOCATION, "status": {"phase": "Unavailable"}}
    cluster = [{"namespace": "shop"}, {"manifest": read_only}]
    expected = [{"held": "action", "contains": "Unavailable"}, {"effects": 0}]
    assert failures(backup(tmp_path, cluster=cluster, until="5m", expect=expected)) == []


@pytest.mark.parametrize("node", [{}, {"nodeName": "node-1"}])
def test_a_pod_that_has_failed_stays_so(tmp_path: Path, node: dict[str, str]) -> None:
    pod = {
        "kind": "Pod",
        "metadata": {"name": "old", "namespace": "shop", "creationTimestamp": "${now - 5h}"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "a:1"}], **node},
        "status": {"phase": "Failed", "reason": "Evicted"},
    }
    fields = {
        "status.phase": "Failed",
        "status.reason": "Evicted",
        "metadata.creationTimestamp": "2025-06-02T04:00:00Z",
    }
    expected = [{"field": {"of": "Pod shop/old", "path": path, "is": value}} for path, value in fields.items()]
    late = [{"at": "5m", "chat": "up"}]
    assert failures(play(tmp_path, alerts=[], cluster=[{"manifest": pod}], happens=late, expect=expected)) == []


def test_an_operator_reacts_to_what_is_created(tmp_path: Path) -> None:
    made = {"object": "Backup.velero.io velero/remediator-*", "action": "velero_backup"}
    expected = [
        {"created": {**made, "fields": {"spec.storageLocation": "default", "spec.labelSelector": None}}, "times": 1},
        {"created": {"object": "Job *"}, "times": 0},
        {"effects": 1},
        {"ends": "succeeded", "not_before": "30s"},
    ]
    result = backup(tmp_path, expect=expected)
    assert failures(result) == []
    (done,) = [obj for name, obj in result.record.objects.items() if name.startswith("Backup.velero.io ")]
    assert (done["status"]["phase"], done["status"]["startTimestamp"]) == ("Completed", "2025-06-02T10:00:02Z")


@pytest.mark.parametrize(
    ("expected", "happened"),
    [
        ({"created": {"fields": {"spec.storageLocation": "other"}}}, "with spec.storageLocation = default"),
        ({"created": {"object": "Restore.velero.io *"}}, "velero_backup (create) Backup velero/remediator-"),
        ({"created": {"action": "run_job"}}, "velero_backup (create) Backup velero/remediator-"),
        ({"created": {}, "times": 0}, "velero_backup (create) Backup velero/remediator-"),
        ({"removed": {}}, "velero_backup (create) Backup velero/remediator-"),
        ({"called": {}}, "velero_backup (create) Backup velero/remediator-"),
    ],
)
def test_what_was_created_instead(tmp_path: Path, expected: dict[str, Any], happened: str) -> None:
    (said,) = failures(backup(tmp_path, expect=[expected]))
    assert happened in said


def test_a_status_that_changes_later(tmp_path: Path) -> None:
    """Conditions are merged by their type, and say since when."""
    ready = {"type": "Ready", "status": "True"}
    word = {"of": "Node node-1", "set": {"conditions": [{"type": "DiskPressure", "status": "True"}]}}
    fields = {
        "status.conditions[DiskPressure].lastTransitionTime": "2025-06-02T10:02:00Z",
        "status.conditions[DiskPressure].status": "True",
        "status.conditions[Ready].status": ready["status"],
        "status.capacity.cpu": "8",
    }
    result = play(
        tmp_path,
        alerts=[],
        happens=[{"at": "2m", "status": word}, {"at": "3m", "chat": "up"}],
        expect=[{"field": {"of": "Node node-1", "path": path, "is": value}} for path, value in fields.items()],
    )
    assert failures(result) == []


def test_what_a_story_cannot_know_is_filled_in(tmp_path: Path) -> None:
    order = {
        "apiVersion": "acme.cert-manager.io/v1",
        "kind": "Order",
        "metadata": {"name": "tls-1", "namespace": "shop", "creationTimestamp": "${now - 3d}"},
    }
    owner = {"apiVersion": order["apiVersion"], "kind": "Order", "name": "tls-1", "controller": True}
    challenge = {
        "kind": "Challenge.acme.cert-manager.io",
        "metadata": {
            "name": "tls-1-1",
            "namespace": "shop",
            "ownerReferences": [{**owner, "uid": "${uid of Order.acme.cert-manager.io shop/tls-1}"}],
        },
        "status": {"state": "pending", "since": "${now - 90m}"},
    }
    result = play(tmp_path, alerts=[], cluster=[{"manifest": order}, {"manifest": challenge}], expect=[{"effects": 0}])
    assert failures(result) == []
    objects = result.record.objects
    of = objects["Challenge.acme.cert-manager.io shop/tls-1-1"]
    assert of["metadata"]["ownerReferences"][0]["uid"] == objects["Order shop/tls-1"]["metadata"]["uid"]
    assert objects["Order shop/tls-1"]["metadata"]["creationTimestamp"] == "2025-05-30T09:00:00Z"
    assert of["status"]["since"] == "2025-06-02T07:30:00Z"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${then}", "${then} says nothing here. Known are ${now}"),
        ("${now - soon}", "expected a duration"),
        ("${uid of Job shop/none}", "there is no Job shop/none, so it has no uid"),
        ("${object.metadata.name}", "${object.metadata.name} says nothing here."),
    ],
)
def test_what_cannot_be_filled_in(tmp_path: Path, text: str, said: str) -> None:
    config = {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop", "annotations": {"a": text}}}
    assert said in failures(play(tmp_path, cluster=[{"manifest": config}], expect=[{"effects": 0}]))[0]


def test_an_operator_reacts_to_a_change(tmp_path: Path) -> None:
    """Only to the change that it waits for; it knows the object, and acts on others, too."""
    api = "Deployment shop/api"
    config = {
        "kind": "ConfigMap",
        "metadata": {"name": "seen", "namespace": "shop", "labels": {"of": "${object.kind}"}},
    }
    operators = [
        {
            "when": {"changed": api, "path": "spec.replicas", "to": 5},
            "then": [
                {"after": "10s", "create": {"manifest": {**config, "data": {"copies": "x${object.spec.replicas}"}}}},
                {"after": "20s", "patch": {"metadata": {"annotations": {"seen": "${object.metadata.name}"}}}},
            ],
        },
        {"when": {"changed": api, "path": "spec.replicas", "to": 9}, "then": {"delete": True}},
        {"when": {"created": "ConfigMap shop/s*"}, "then": {"of": "Deployment shop/web", "delete": True}},
        {"when": {"removed": "Deployment shop/web"}, "then": {"of": "Node node-2", "status": {"phase": "Gone"}}},
    ]
    fields = {
        ("ConfigMap shop/seen", "data.copies"): "x5",
        ("ConfigMap shop/seen", "metadata.labels.of"): "Deployment",
        (api, "metadata.annotations.seen"): "api",
        ("Deployment shop/web", "spec.replicas"): None,
        ("Node node-2", "status.phase"): "Gone",
    }
    result = play(
        tmp_path,
        alerts=[],
        cluster=[{"deployment": "shop/api"}, {"deployment": "shop/web"}],
        happens=[
            {"edit": {"object": api, "patch": {"spec": {"replicas": 5}}}},
            {"at": "15s", "edit": {"object": api, "patch": {"metadata": {"labels": {"a": "b"}}}}},
        ],
        operators=operators,
        expect=[{"field": {"of": of, "path": path, "is": value}} for (of, path), value in fields.items()],
    )
    assert failures(result) == []
    assert 20 < result.record.ended_at < 60
    assert [line.text for line in result.record.timeline if "operator: create" in line.text] == [
        "an operator: create Deployment shop/api"
    ]


def test_an_operator_that_cannot_do_it(tmp_path: Path) -> None:
    gone = {"when": {"created": "Backup.velero.io"}, "then": {"of": "Service shop/none", "patch": {"spec": {}}}}
    bad = {"when": {"created": "Backup.velero.io"}, "then": {"status": {"at": "${object.spec.none}"}}}
    said = failures(backup(tmp_path, operators=[gone, bad], expect=[{"effects": 1}]))
    assert said[0].endswith("there is no Service shop/none")
    assert said[1].endswith("the object has no none")


def test_an_operator_is_bounded(tmp_path: Path) -> None:
    back = {
        "when": {"changed": "ConfigMap", "path": "data.a"},
        "then": {"patch": {"data": {"a": "${now}"}}},
        "times": 3,
    }
    config = {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}, "data": {"a": "0"}}
    edit = {"edit": {"object": "ConfigMap shop/a", "patch": {"data": {"a": "1"}}}}
    given: dict[str, Any] = {"alerts": [], "cluster": [{"manifest": config}], "happens": [edit]}
    is_ = {"field": {"of": "ConfigMap shop/a", "path": "data.a", "is": "2025-06-02T10:00:03Z"}}
    assert failures(play(tmp_path, operators=[back], expect=[is_], **given)) == []


# --- outside of the cluster


def test_a_call_is_answered_as_prepared(tmp_path: Path) -> None:
    call = {"via": "sql", "place": "orders", "action": "pg_terminate", "request": {"pid": 4711}}
    expected = [{"called": call, "times": 1}, {"effects": 1}, {"ends": "succeeded", "by": "1m"}]
    assert failures(terminate(tmp_path, [SESSIONS, *WAITING, SENT], expect=expected)) == []


def test_a_place_may_be_any_that_fits(tmp_path: Path) -> None:
    outside = {"sql": {"ord*": [SESSIONS, *WAITING, SENT], "other": [{"send": {}, "refuse": "not here"}]}}
    expected = [{"called": {"place": "orders"}, "times": 1}, {"ends": "succeeded"}]
    assert failures(terminate(tmp_path, [], outside=outside, expect=expected)) == []


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"refuse": "it may not"}, [{"effects": 0}, {"ends": "escalated", "contains": "it may not"}]),
        ({"unavailable": "no route", "times": 1}, [{"called": {}, "times": 1}]),
        ({"silent": True}, [{"called": {}, "times": 1}, {"state": "uncertain"}]),
        ({"silent": True, "found": "happened"}, [{"called": {}, "times": 1}, {"ends": "succeeded"}]),
        ({"silent": "lost"}, [{"called": {}, "times": 0}, {"state": "uncertain"}]),
    ],
)
def test_a_call_that_goes_wrong(tmp_path: Path, sent: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    later = {"send": {}, "from": "1h", "answer": {}}
    prepared = [SESSIONS, *WAITING, SENT, {"send": {"do": "terminate"}, **sent}, later]
    assert failures(terminate(tmp_path, prepared, until="10m", expect=expected)) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"silent": True}, "no answer from sql orders"),
        ({"unavailable": "no route"}, "no route"),
        ({"refuse": "not for you"}, "not for you"),
    ],
)
def test_a_question_that_is_not_answered_holds(tmp_path: Path, answer: dict[str, Any], said: str) -> None:
    expected = [{"state": "held"}, {"effects": 0}, {"message": {"contains": said}}]
    assert failures(terminate(tmp_path, [{"ask": {}, **answer}], until="5m", expect=expected)) == []


def test_what_nothing_is_said_about(tmp_path: Path) -> None:
    """A question is not answered, and that is in the timeline; a request fails the test."""
    asked = terminate(tmp_path, [], until="5m", expect=[{"effects": 0}])
    assert failures(asked) == []
    (line, *_) = [line.text for line in asked.record.timeline if line.source == "outside"]
    assert line.startswith("ask of what this test says nothing about: sql orders: ask='backends'")
    said = failures(terminate(tmp_path, [SESSIONS, *WAITING], until="5m", expect=[{"effects": 0}]))
    assert "do='terminate'" in said[0]
    assert said[0].endswith("this test says nothing about it: add it under `outside`")


def test_a_rehearsal_that_is_refused(tmp_path: Path) -> None:
    refused = {"rehearse": {"do": "terminate"}, "refuse": "not this one"}
    prepared = [SESSIONS, *WAITING, SENT, refused]
    assert failures(terminate(tmp_path, prepared, expect=[{"denied": "dry_run", "contains": "not this one"}])) == []


def test_an_operator_reacts_to_a_call(tmp_path: Path) -> None:
    label = {"of": "Service shop/db", "patch": {"metadata": {"labels": {"told": "yes"}}}}
    other = {"of": "Service shop/db", "patch": {"metadata": {"labels": {"other": "yes"}}}}
    operators = [
        {"when": {"called": "sql", "request": {"pid": 4711}}, "then": label},
        {"when": {"called": "sql else"}, "then": other},
        {"when": {"called": "sql orders", "request": {"pid": 1}}, "then": other},
    ]
    expected = [
        {"field": {"of": "Service shop/db", "path": "metadata.labels.told", "is": "yes"}},
        {"field": {"of": "Service shop/db", "path": "metadata.labels.other", "is": None}},
    ]
    assert failures(terminate(tmp_path, [SESSIONS, *WAITING, SENT], operators=operators, expect=expected)) == []


def test_a_status_of_ours_is_an_effect(tmp_path: Path) -> None:
    """cert-manager's Issuing is a condition of the status; what issues again is played."""
    certificate = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "tls", "namespace": "shop"},
        "spec": {"secretName": "tls"},
        "status": {
            "notBefore": "${now - 80d}",
            "notAfter": "${now + 10d}",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    issues = {
        "when": {
            "changed": "Certificate.cert-manager.io",
            "path": "status.conditions[Issuing].status",
            "to": "True",
        },
        "then": {
            "after": "20s",
            "status": {"notAfter": "${now + 90d}", "conditions": [{"type": "Issuing", "status": "False"}]},
        },
    }
    name = "Certificate.cert-manager.io shop/tls"
    playbook = {
        "target": {"kind": "Certificate.cert-manager.io", "namespace": "shop", "name": "tls"},
        "steps": [{"action": "renew_certificate", "with": {"days_left": 14}}],
        "verify": {**BACKUP["verify"], "checks": [{"promql": {"query": "certificate", "success": "> 0"}}]},
    }
    issued = {"path": "status.conditions[Issuing].status", "before": None, "after": "True"}
    result = play(
        tmp_path,
        playbook=playbook,
        cluster=[{"manifest": certificate}],
        operators=[issues],
        metrics=[{"series": "certificate", "values": {"0s": 0, "effect + 25s": 1}}],
        expect=[
            {"effect": {"action": "renew_certificate", "object": name, **issued}, "times": 1},
            {"field": {"of": name, "path": "status.conditions[Issuing].status", "is": "False"}},
            {"ends": "succeeded"},
        ],
    )
    assert failures(result) == []
