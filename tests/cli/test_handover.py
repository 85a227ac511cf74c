"""`remediator handover` against a running service."""

from __future__ import annotations

import json

from tests.cli.conftest import Run
from tests.http.harness import World


async def test_nothing_is_open(run: Run) -> None:
    result = await run("handover", role="viewer")
    assert result.exit_code == 0
    assert result.stdout == "🤝 Hand-over, last 12h\nNothing is open and nothing was changed.\n"


async def test_what_waits_with_its_command_line(world: World, run: Run) -> None:
    await world.proposed()
    result = await run("handover", "--since", "8h", role="viewer")
    assert result.stdout.startswith(
        "🤝 Hand-over, last 8h\n1 waiting for people.\n\nWaiting for people (1)\n  r-1 scale-api on "
    )


async def test_json_for_machines(world: World, run: Run) -> None:
    await world.proposed()
    answer = json.loads((await run("handover", "-o", "json")).stdout)
    assert [item["id"] for item in answer["waiting"]] == ["r-1"]
    assert answer["held"] == answer["changed"] == answer["coming"] == []


async def test_a_shift_that_makes_no_sense_is_wrong_use(run: Run) -> None:
    for since in ("soon", "30d", "0s"):
        result = await run("handover", "--since", since)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "since" in result.stderr
