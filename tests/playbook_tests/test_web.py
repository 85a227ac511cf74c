"""What is found on the network is what the story says, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.playbook_tests.stories import RESTART, failures, play

PAGE, DATABASE, SHOP = "http://api.shop.svc:8080/health", "db.shop.svc:5432", "shop.example.com:443"
CHECKS: dict[str, dict[str, Any]] = {
    "http": {"url": PAGE, "body": "UP"},
    "tcp": {"service": "db", "port": 5432},
    "tls": {"host": "shop.example.com", "port": 443, "min_days": 14},
    "dns": {"name": "shop.example.com"},
}
GOOD: dict[str, dict[str, Any]] = {
    "http": {PAGE: {"status": 200, "body": '{"status":"UP"}'}},
    "tcp": {DATABASE: {"open": True}},
    "tls": {SHOP: {"serial": "0a", "not_after": "${now + 90d}"}},
    "dns": {"shop.example.com": {"addresses": ["192.0.2.7"]}},
}
BAD: dict[str, dict[str, Any]] = {
    "http": {PAGE: {"status": 503}},
    "tcp": {DATABASE: {"open": False}},
    "tls": {SHOP: {"serial": "0a", "not_after": "${now + 3d}"}},
    "dns": {"shop.example.com": {"addresses": []}},
}


def told(folder: Path, check: str, answers: dict[str, Any], **story: Any) -> list[str]:
    web = {place: [{"ask": {"look": check}, "answer": answer}] for place, answer in answers.items()}
    playbook = {"verify": {**RESTART["verify"], "checks": [{check: CHECKS[check]}]}}
    return failures(play(folder, playbook=playbook, outside={"web": web}, **story))


@pytest.mark.parametrize("check", CHECKS)
def test_it_is_there(tmp_path: Path, check: str) -> None:
    assert told(tmp_path, check, GOOD[check], expect=[{"ends": "succeeded"}]) == []


@pytest.mark.parametrize("check", CHECKS)
def test_it_is_not_as_it_should_be(tmp_path: Path, check: str) -> None:
    assert told(tmp_path, check, BAD[check], expect=[{"ends": "escalated", "outcome": "failed"}]) == []


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answered", [False, True])
def test_what_is_not_said_or_says_nothing_is_unknown(tmp_path: Path, check: str, answered: bool) -> None:
    answers: dict[str, Any] = {place: {"what": 1} for place in GOOD[check]} if answered else {"elsewhere": {}}
    expected = [{"ends": "escalated", "outcome": "inconclusive", "contains": "write" if answered else "says nothing"}]
    assert told(tmp_path, check, answers, expect=expected) == []
