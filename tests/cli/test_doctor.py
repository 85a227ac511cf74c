"""`remediator doctor` against a running service."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Run
from tests.http.harness import World


def examined(world: World, *findings: dict[str, Any]) -> None:
    async def examine() -> dict[str, Any]:
        return {"ok": all(f["ok"] is not False for f in findings), "findings": list(findings)}

    world.service._examine = examine


STORE = {"check": "store", "ok": True, "said": "a write took 2 ms", "next": ""}
SLACK = {"check": "Slack", "ok": False, "said": "Slack: invalid_auth", "next": "Look at slack.token."}
JOIN = {"check": "pagerduty.join", "ok": None, "said": "no alert fires", "next": ""}


async def test_all_is_well(world: World, run: Run) -> None:
    examined(world, STORE, JOIN)
    result = await run("doctor", role="viewer")
    assert result.exit_code == 0
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    assert [line[0] for line in lines[1:]] == ["good", "unknown"]


async def test_what_is_wrong_with_the_next_step(world: World, run: Run) -> None:
    examined(world, STORE, SLACK)
    result = await run("doctor", role="viewer")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "Slack: Slack: invalid_auth. Look at slack.token."


async def test_json_for_machines(world: World, run: Run) -> None:
    examined(world, STORE, SLACK)
    result = await run("doctor", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"ok": False, "findings": [STORE, SLACK]}


async def test_only_with_a_token(world: World, run: Run) -> None:
    assert (await run("doctor", REMEDIATOR_TOKEN="wrong")).exit_code == 2
