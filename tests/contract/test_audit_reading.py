"""A mark in the audit log is a number of bytes, and may be taken while a line is being written."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.controlplane.audit import read_events


def _line(name: str) -> str:
    moment = "2026-01-01T00:00:00.000000Z"
    event = {
        "auditID": name,
        "stage": "ResponseComplete",
        "verb": "create",
        "requestURI": "/",
        "user": {"username": "somebody"},
        "objectRef": {"resource": "pods", "name": name},
        "responseStatus": {"code": 201},
        "requestReceivedTimestamp": moment,
        "stageTimestamp": moment,
    }
    return json.dumps(event) + "\n"


def test_a_line_that_was_being_written_at_the_mark_is_from_before_it(tmp_path: Path) -> None:
    first, second, third = map(_line, ("first", "second", "third"))
    log = tmp_path / "audit.log"
    log.write_text(first + second + third + _line("fourth")[:-5])

    def names(since: int) -> list[str]:
        return [event.name for event in read_events(log, since)]

    assert names(0) == ["first", "second", "third"]
    assert names(len(first)) == ["second", "third"]
    assert names(len(first) + 3) == ["third"]
    assert names(len(first + second + third)) == []
