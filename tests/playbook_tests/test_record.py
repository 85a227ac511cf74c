"""What was changed is read from the API server's audit log, value by value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from remediator.adapters.simulated import AuditEntry
from remediator.objects import ObjectRef
from remediator.playbook_tests.record import GONE, changes, differences, flat
from remediator.ports import ABANDONED, MARKER

API = ObjectRef("Deployment", "shop", "api")


def deployment(replicas: int, **annotations: str) -> dict[str, Any]:
    containers = [{"name": "app", "image": "a:1", "args": ["-v"]}]
    return {
        "metadata": {
            "name": "api",
            "resourceVersion": str(replicas),
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}},
        "status": {"replicas": replicas},
    }


def test_values_by_their_path() -> None:
    assert flat(deployment(3)["spec"], "spec") == {
        "spec.replicas": 3,
        "spec.template.spec.containers[app].name": "app",
        "spec.template.spec.containers[app].image": "a:1",
        "spec.template.spec.containers[app].args[0]": "-v",
    }


def test_what_a_write_changed() -> None:
    """Neither what the server counts, nor the status, nor our own marks."""
    before, after = deployment(3), deployment(5, **{MARKER: "r-1/0.0", "team": "a"})
    assert differences(before, after) == {"spec.replicas": (3, 5), "metadata.annotations.team": (GONE, "a")}
    assert differences(before, None) == {}


def test_writes_that_only_leave_our_marks_are_no_changes() -> None:
    at = datetime(2025, 6, 2, tzinfo=UTC)
    audit = [
        AuditEntry(at, "patch", API, b"", False, deployment(3), deployment(3, **{ABANDONED: "r-1/0.0"})),
        AuditEntry(at, "patch", API, b"", False, deployment(3), deployment(4)),
    ]
    assert [change.paths for change in changes(audit, (), lambda at: 7.0)] == [{"spec.replicas": (3, 4)}]
