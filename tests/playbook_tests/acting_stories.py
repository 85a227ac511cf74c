"""Stories with an operator that is played, and with a database that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remediator.playbook_tests.running import Result
from tests.actions.sql.make_sql import backend, sessions
from tests.playbook_tests.stories import play

LOCATION: dict[str, Any] = {
    "apiVersion": "velero.io/v1",
    "kind": "BackupStorageLocation",
    "metadata": {"name": "default", "namespace": "velero"},
    "spec": {"provider": "aws"},
    "status": {"phase": "Available"},
}
BACKUP: dict[str, Any] = {
    "target": {"kind": "BackupStorageLocation.velero.io", "namespace": "velero", "name": "default"},
    "steps": [{"action": "velero_backup", "with": {"namespaces": ["shop"]}}],
    "verify": {
        "settle": "0s",
        "interval": "10s",
        "successes": 1,
        "failures": 60,
        "timeout": "5m",
        "checks": [{"promql": {"query": "backups", "success": "> 0"}}],
    },
}
COMPLETES: dict[str, Any] = {
    "when": {"created": "Backup.velero.io"},
    "then": [
        {"after": "2s", "status": {"phase": "InProgress", "startTimestamp": "${now}"}},
        {"after": "30s", "status": {"phase": "Completed", "completionTimestamp": "${now}"}},
    ],
}
DONE: dict[str, Any] = {"series": "backups", "values": {"0s": 0, "effect + 30s": 1}}


def backup(folder: Path, **story: Any) -> Result:
    given: dict[str, Any] = {
        "cluster": [{"namespace": "shop"}, {"manifest": LOCATION}],
        "operators": [COMPLETES],
        "metrics": [DONE],
    }
    return play(folder, playbook=BACKUP, **{**given, **story})


FACTS: dict[str, Any] = sessions(backend())
TERMINATE: dict[str, Any] = {
    "target": {"kind": "Service", "namespace": "shop", "name": "db"},
    "steps": [
        {
            "action": "pg_terminate",
            "with": {"database": "orders", "which": "idle_in_transaction", "longer_than": "10m", "max": 1},
        }
    ],
    "verify": {
        "settle": "0s",
        "interval": "5s",
        "successes": 1,
        "failures": 3,
        "timeout": "1m",
        "checks": [{"sql": {"database": "orders", "query": "waiting_locks"}}],
    },
}
SERVICE: dict[str, Any] = {
    "manifest": {"kind": "Service", "metadata": {"name": "db", "namespace": "shop"}, "spec": {"selector": {}}}
}
SESSIONS: dict[str, Any] = {"ask": {"ask": "backends"}, "answer": FACTS}
WAITING: list[dict[str, Any]] = [
    {"ask": {"query": "waiting_locks"}, "answer": {"value": 3}},
    {"ask": {"query": "waiting_*"}, "from": "effect", "answer": {"value": 0}},
]
SENT: dict[str, Any] = {"send": {"do": "terminate", "pid": 4711}, "answer": {"says": "terminated"}}


def terminate(folder: Path, prepared: list[dict[str, Any]], **story: Any) -> Result:
    given = {"outside": {"sql": {"orders": prepared}}, **story}
    return play(folder, playbook=TERMINATE, cluster=[SERVICE], **given)
