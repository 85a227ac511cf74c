"""`remediator postmortem` against a running service: the record, in order, and room for what people know."""

from __future__ import annotations

from remediator.people.postmortem import draft, plain
from tests.cli.conftest import Run
from tests.http.harness import World


async def test_the_draft_has_time_line_changes_people_and_what_is_left(world: World, run: Run) -> None:
    await world.proposed()
    await run("approve", "r-1", role="approver")
    result = await run("postmortem", "r-1", role="viewer")
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "Impact",
        "Time line",
        "What was changed",
        "Who took part",
        "Cause",
        "What went well, what did not",
        "Action items",
    ]
    assert "| planned → awaiting_approval" in text.replace("| r-1 ", "")
    assert "| awaiting_approval → " in text
    assert "| r-1 |" in text
    assert "Began" in text


async def test_a_remediation_that_is_not_there_is_said(run: Run) -> None:
    result = await run("postmortem", "r-99", role="viewer")
    assert result.exit_code != 0
    assert "r-99" in result.stderr


def view(**changes: object) -> dict[str, object]:
    alert = {
        "id": "a-1",
        "labels": {"alertname": "ApiStuck"},
        "starts_at": "2026-03-01T03:00:00Z",
        "first_seen": "2026-03-01T03:01:00Z",
        "resolved_at": "2026-03-01T04:30:30Z",
    }
    return {
        "id": "r-1",
        "episode": "e-1",
        "cluster": "prod",
        "playbook": "restart-api",
        "severity": "critical",
        "state": "succeeded",
        "outcome": "",
        "reason": "fixed",
        "created_at": "2026-03-01T03:01:05Z",
        "target": {"kind": "Deployment", "namespace": "shop", "name": "api"},
        "root": None,
        "alerts": [alert],
        "done": [{"at": "2026-03-01T03:02:00Z", "summary": "restart 3 copies"}],
        "timeline": [
            {"at": "2026-03-01T03:01:05Z", "from": "", "to": "planned", "type": "plan", "who": "", "reason": "x"},
            {"at": "2026-03-01T03:01:50Z", "from": "a", "to": "b", "type": "approve", "who": "ann", "reason": ""},
        ],
        "confirmed": [],
        "evidence": [{"kind": "logs"}],
        **changes,
    }


def test_how_long_everything_took() -> None:
    text = draft([view()])
    assert "| First seen | 2026-03-01 03:01:00 (1m 0s after it began) |" in text
    assert "| First change | 2026-03-01 03:02:00 (2m 0s after it began) |" in text
    assert "| Over | 2026-03-01 04:30:30 (1h 30m after it began) |" in text
    assert "ann" in text
    assert "restart 3 copies (restart-api)" in text


def test_what_is_not_over_is_not_said_to_be() -> None:
    alert = {**view()["alerts"][0], "resolved_at": None}  # type: ignore[index]
    assert "| Over | not on record |" in draft([view(alerts=[alert])])


def test_remediations_of_one_episode_are_told_in_the_order_of_time() -> None:
    later = view(id="r-2", created_at="2026-03-01T03:10:00Z", playbook="scale-api")
    text = draft([later, view()])
    assert text.index("restart-api: succeeded") < text.index("scale-api: succeeded")


def test_text_from_outside_is_only_text() -> None:
    assert plain("a | b\n# <img> [x](y) `c`") == "a \\| b \\# \\<img\\> \\[x\\](y) \\`c\\`"
    text = draft([view(reason="| evil | row |\n## heading")])
    assert "\n## heading" not in text
