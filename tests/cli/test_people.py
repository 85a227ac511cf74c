"""The commands of people, against a real server: what is printed, what is done, and the exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from remediator import views
from remediator.cli.screen import plain, print_table
from remediator.remediation.events import Approved, Rejected
from remediator.remediation.state import State
from tests.cli.conftest import Run
from tests.http.harness import DIGEST, World, alert, source, webhook
from tests.journal.given import to
from tests.support.building import plan, planned_step, playbook, remediation, verdict


def printed(result: Any) -> str:
    """Wrapped lines joined, so that a test need not know where."""
    return " ".join(result.stdout.split())


class TestList:
    async def test_nothing_yet(self, run: Run) -> None:
        result = await run("remediations", "list")
        assert (result.exit_code, result.stdout) == (0, "No remediation yet.\n")

    async def test_a_line_each_within_80_columns(self, world: World, run: Run) -> None:
        for number in (1, 2):
            await world.proposed(number)
        await world.mover.apply_from_person("r-2", Rejected(who="ann"))
        result = await run("remediations", "list")
        lines = result.stdout.splitlines()
        assert lines[0].split() == ["ID", "AGE", "STATE", "PLAYBOOK", "TARGET"]
        assert {line.split()[0]: "awaiting approval" in line for line in lines[1:]} == {"r-1": True, "r-2": False}
        assert max(map(len, lines)) <= 80

    async def test_json_for_machines(self, world: World, run: Run) -> None:
        await world.proposed()
        result = await run("remediations", "list", "--state", "open", "-o", "json")
        (one,) = json.loads(result.stdout)["remediations"]
        assert (one["id"], one["state"]) == ("r-1", "awaiting_approval")

    async def test_an_unknown_state_is_wrong_use(self, run: Run) -> None:
        result = await run("remediations", "list", "--state", "sleeping")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no state is called 'sleeping'" in result.stderr
        assert "awaiting_approval" in result.stderr


def test_narrow_tables_cut_only_what_may_be_cut() -> None:
    """An id that is cut cannot be pasted."""
    out = io.StringIO()
    console = Console(file=out, width=60)
    row = [plain("r-0123456789"), plain("long " * 20), plain("also long " * 10), plain("escalated: undo failed")]
    print_table(console, ("ID", "ONE", "TWO", "STATE"), [row], flexible=("ONE", "TWO"))
    header, line = out.getvalue().splitlines()
    assert line.startswith("r-0123456789  long ")
    assert line.rstrip().endswith("escalated: undo failed")
    assert line.count("…") == 2
    assert header.index("STATE") == line.index("escalated")


class TestShow:
    async def test_the_whole_story(self, world: World, run: Run) -> None:
        await world.proposed()
        result = await run("remediations", "show", "r-1")
        said = printed(result)
        for part in (
            "Approval needed: replicas 3 -> 5 on Deployment shop/api",
            "Please approve or reject",
            "Fires Busy1 (critical) since",
            "Busy1 is bad",
            "Playbook scale-api mode approve",
            "Plan scale replicas 3 -> 5",
            "Undo replicas go back",
            "Guards 1 passes ✓ cooldown no run in the last hour",
            "not applicable: silenced",
            "Approval 0 of 1 agreed, until",
            "remediator approve r-1",
            "promql errors before: bad",
            "awaiting approval",
        ):
            assert part in said
        assert result.exit_code == 0
        assert max(map(len, result.stdout.splitlines())) <= 80

    async def test_json_is_what_the_api_says(self, world: World, run: Run) -> None:
        await world.proposed()
        result = await run("remediations", "show", "r-1", "--output", "json")
        assert json.loads(result.stdout)["plan"]["digest"] == DIGEST

    async def test_an_unknown_one_is_a_no(self, run: Run) -> None:
        result = await run("remediations", "show", "r-9")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no remediation is called 'r-9'" in result.stderr

    async def test_hostile_text_cannot_steer_the_terminal(self, world: World, run: Run) -> None:
        """No escape sequence, no markup, no second line from a label, a reason or a log."""
        await world.proposed()
        await world.mover.apply_from_person("r-1", Rejected(who="ann", why="\x1b[2J\x1b]0;owned\x07[red]x[/red]\u202e"))
        data = {"title": "Logs\x1b[31m", "text": "", "log": "line one\x1b[31m\n\x9b2Jline two"}
        await world.journal.note("r-1", "evidence", "logs", data, world.clock.now())
        result = await run("remediations", "show", "r-1", FORCE_COLOR="", NO_COLOR="1")
        assert not any(char in result.stdout for char in "\x1b\x07\x9b\u202e")
        assert "[red]x[/red]" in result.stdout

    async def test_logs_can_be_left_out(self, world: World, run: Run) -> None:
        await world.proposed()
        data = {"title": "Logs", "text": "3 with ERROR", "log": "ERROR customer 4711"}
        await world.journal.note("r-1", "evidence", "logs", data, world.clock.now())
        assert "4711" in (await run("remediations", "show", "r-1")).stdout
        assert "4711" not in (await run("remediations", "show", "r-1", "--no-logs")).stdout
        result = await run("remediations", "show", "r-1", role="viewer")
        assert "4711" not in result.stdout
        assert "log text needs the role operator" in result.stdout


class TestAnswering:
    async def test_approve(self, world: World, run: Run) -> None:
        await world.proposed()
        result = await run("approve", "r-1", role="approver")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith("Approved r-1 by the-approver.")
        r = await world.journal.get("r-1")
        assert r is not None
        assert [(c.who, c.digest, c.via) for c in r.consents] == [("the-approver", DIGEST, "cli")]

    async def test_approve_in_json(self, world: World, run: Run) -> None:
        await world.proposed()
        result = await run("approve", "r-1", "-o", "json")
        assert json.loads(result.stdout)["remediation"]["state"] == "approved"

    @pytest.mark.parametrize(
        ("args", "role", "code", "said"),
        [
            pytest.param(["--digest", "0" * 16], "approver", 1, "what you looked at is not", id="another plan"),
            pytest.param(["--digest", "xyz"], "approver", 2, "digest", id="no digest"),
            pytest.param([], "operator", 1, "this needs the role approver", id="not allowed"),
        ],
    )
    async def test_approve_and_the_answer_is_no(
        self, world: World, run: Run, args: list[str], role: str, code: int, said: str
    ) -> None:
        await world.proposed()
        result = await run("approve", "r-1", *args, role=role)
        assert (result.exit_code, result.stdout) == (code, "")
        assert said in result.stderr
        r = await world.journal.get("r-1")
        assert r is not None
        assert r.state is State.AWAITING_APPROVAL

    @pytest.mark.parametrize(("typed", "code", "state"), [("y\n", 0, "approved"), ("n\n", 1, "awaiting_approval")])
    async def test_on_a_terminal_the_plan_is_shown_first(
        self, world: World, run: Run, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, state: str
    ) -> None:
        monkeypatch.setattr("remediator.cli.remediations.at_a_terminal", lambda: True)
        await world.proposed()
        result = await run("approve", "r-1", typed=typed)
        assert result.exit_code == code
        assert "replicas 3 -> 5" in result.stdout
        assert "Approve this? [y/N]" in result.stdout
        r = await world.journal.get("r-1")
        assert r is not None
        assert r.state == state

    async def test_a_question_between_steps_is_shown_and_answered(
        self, world: World, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("remediator.cli.remediations.at_a_terminal", lambda: True)
        steps = [{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}, {"ask": "Is the cache warm?"}]
        r = await world.proposed(spec=playbook(mode="approve", steps=steps))
        await world.mover.commit(to(r, State.WAITING, waiting_for="ask", step=1, reason="Is the cache warm?"))
        assert "asking" in (await run("remediations", "list")).stdout
        shown = printed(await run("remediations", "show", "r-1"))
        assert "✋ Answer needed:" in shown
        assert shown.count("Is the cache warm?") == 2, "asked once, and in the timeline"
        assert "remediator approve r-1" in shown
        result = await run("approve", "r-1", typed="y\n")
        assert "Is the cache warm? Approve to go on, reject to stop here." in printed(result)
        assert "Approved r-1 by the-admin. It goes on." in printed(result)

    async def test_reject_and_snooze(self, world: World, run: Run) -> None:
        await world.proposed()
        result = await run("snooze", "r-1", "--for", "1h")
        assert (result.exit_code, result.stdout[:11]) == (0, "Snoozed r-1")
        result = await run("reject", "r-1", "--reason", "load test")
        assert (result.exit_code, result.stdout[:12]) == (0, "Rejected r-1")
        result = await run("reject", "r-1")
        assert (result.exit_code, "there is nothing to reject" in result.stderr) == (1, True)


class TestPausing:
    async def test_a_paused_proposal_says_so_and_how_to_lift_it(self, world: World, run: Run) -> None:
        await world.proposed()
        await run("pause", "namespace", "shop", "--reason", "moving house")
        await run("pause", "everything")
        said = printed(await run("remediations", "show", "r-1"))
        assert "Paused: it can be looked at, and approved only after the pause is lifted. See Approval below." in said
        assert "namespace shop in c1 is paused by the-admin: moving house remediator resume p-1" in said
        assert "everything is paused by the-admin remediator resume p-2" in said
        assert "remediator approve" not in said
        result = await run("approve", "r-1", "--yes")
        assert result.exit_code == 1
        assert "r-1 can be looked at, not approved" in result.stderr
        assert "Lift it first: remediator resume p-1, remediator resume p-2" in result.stderr

    async def test_pause_list_resume(self, world: World, run: Run) -> None:
        result = await run("pause")
        assert result.stdout == "Nothing is paused.\n"
        result = await run("pause", "namespace", "shop", "--for", "2h", "--reason", "moving house", role="operator")
        assert result.exit_code == 0
        assert "Paused: namespace shop in c1, until" in result.stdout
        assert "To lift it: remediator resume p-1" in result.stdout
        result = await run("pause", "list", role="viewer")
        assert "p-1" in result.stdout
        assert "moving house" in result.stdout
        await run("pause", "everything")
        result = await run("resume", "namespace", "shop")
        assert result.stdout == "Lifted: p-1.\nStill paused: everything.\n"
        result = await run("resume", "p-2")
        assert result.stdout == "Lifted: p-2.\n"
        assert await world.journal.pauses(world.clock.now()) == ()

    async def test_json(self, run: Run) -> None:
        assert json.loads((await run("pause", "everything", "-o", "json")).stdout)["scope"] == "everything"
        assert len(json.loads((await run("pause", "-o", "json")).stdout)["pauses"]) == 1
        assert json.loads((await run("resume", "everything", "-o", "json")).stdout) == {"resumed": ["p-1"]}

    @pytest.mark.parametrize(
        ("args", "code", "said"),
        [
            (["pause", "the", "world"], 2, "names nothing that can be paused"),
            (["pause", "everything", "--for", "soon"], 2, "expected a duration"),
            (["resume"], 2, "say which pause"),
            (["resume", "p-7"], 1, "no live pause is called p-7"),
            (["resume", "everything"], 1, "everything is not paused"),
        ],
    )
    async def test_wrong_use_and_no(self, run: Run, args: list[str], code: int, said: str) -> None:
        result = await run(*args)
        assert (result.exit_code, result.stdout) == (code, "")
        assert said in result.stderr

    async def test_a_slip_is_said(self, run: Run) -> None:
        result = await run("pause", "playbook", "scale-apo")
        assert (result.exit_code, "Note: no playbook of this name is loaded now." in result.stdout) == (0, True)


ALERT = {"labels": {"alertname": "Busy", "severity": "page"}, "annotations": {"summary": "20 % fail"}}


class TestExplain:
    def planned(self, world: World) -> None:
        r = remediation(
            State.AWAITING_APPROVAL,
            spec=playbook(mode="approve"),
            mode="approve",
            plan=plan(planned_step(), undo_text="replicas go back"),
            verdicts=(verdict("ask", "mode", "mode approve"), verdict("pass", "cooldown", "0 of 1 in 15m")),
        )
        world.explained = {
            "would": "ask for approval",
            "acts": True,
            "explanation": "ASK scale: mode",
            "not_chosen": ["restart: lower priority"],
            "remediation": views.remediation(r),
        }

    async def test_playbook_plan_and_every_guard(self, world: World, run: Run, tmp_path: Path) -> None:
        self.planned(world)
        file = tmp_path / "alert.json"
        file.write_text(json.dumps(ALERT))
        result = await run("explain", str(file), role="viewer")
        said = printed(result)
        for part in (
            "Would ask for approval: replicas 3 -> 5 on Deployment shop/api",
            "Fires Busy (page)",
            "20 % fail",
            "Playbook scale-api mode approve",
            "not chosen: restart: lower priority",
            "Plan scale replicas 3 -> 5",
            "Guards ✋ mode mode approve passed: cooldown",
        ):
            assert part in said
        assert result.exit_code == 0
        result = await run("explain", str(file), "--all", role="viewer")
        assert "1 asks a person, 1 passes" in printed(result)
        assert "✓ cooldown 0 of 1 in 15m" in printed(result)

    async def test_from_stdin_in_json(self, world: World, run: Run) -> None:
        self.planned(world)
        result = await run("explain", "-", "-o", "json", typed=json.dumps({"version": "4", "alerts": [ALERT] * 2}))
        assert [e["acts"] for e in json.loads(result.stdout)["explanations"]] == [True, True]

    async def test_nothing_would_be_done_is_a_no(self, run: Run) -> None:
        result = await run("explain", "-", typed=json.dumps(ALERT))
        assert result.exit_code == 1
        assert "Would nothing" not in result.stdout
        assert "no loaded playbook matches its labels" in result.stdout

    @pytest.mark.parametrize(
        ("text", "said"), [("{", "not JSON"), ("{}", "an alert has labels"), ("[]", "there is no alert in it")]
    )
    async def test_no_alert_is_wrong_use(self, run: Run, text: str, said: str) -> None:
        result = await run("explain", "-", typed=text)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr

    async def test_no_file(self, run: Run) -> None:
        result = await run("explain", "/does/not/exist.json")
        assert (result.exit_code, "cannot be read: No such file" in result.stderr) == (2, True)


class TestLooking:
    async def test_alerts_and_what_became_of_them(self, world: World, run: Run) -> None:
        assert (await run("alerts")).stdout == "No alert yet.\n"
        await world.proposed()
        body = webhook(alert("Odd", namespace="shop"))
        await world.service.accept(body, source().source())
        (odd,) = await world.journal.undecided(10)
        await world.journal.decide_alerts({odd.id: "no_playbook: no loaded playbook matches"}, world.clock.now())
        lines = {line.split()[0]: line for line in (await run("alerts", role="viewer")).stdout.splitlines()}
        assert "r-1" in lines["Busy1"]
        assert "no playbook" in lines["Odd"]
        assert "namespace=shop" in lines["Odd"]
        assert len(json.loads((await run("alerts", "-o", "json")).stdout)["alerts"]) == 2

    async def test_playbooks(self, run: Run) -> None:
        result = await run("playbooks", role="viewer")
        assert result.stdout.splitlines()[0].split() == ["PLAYBOOK", "MODE", "STEPS", "FOR"]
        assert "OWNER" in (await run("playbooks", COLUMNS="140")).stdout
        assert "scale-api" in result.stdout
        assert json.loads((await run("playbooks", "-o", "json")).stdout)["playbooks"][0]["name"] == "scale-api"


class TestTaking:
    async def test_take_show_give_back(self, world: World, run: Run) -> None:
        r = await world.proposed()
        result = await run("take", "r-1", role="operator")
        assert (result.exit_code, printed(result)) == (
            0,
            f"Taken by the-operator (CLI): nothing more is sent for {r.episode} until it is given back.",
        )
        said = printed(await run("remediations", "show", "r-1"))
        assert f"taken by the-operator (CLI) remediator give-back {r.episode}" in said
        refused = await run("approve", "r-1", "--yes")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "taken by the-operator (CLI); r-1 can be looked at, not approved" in " ".join(refused.stderr.split())
        result = await run("give-back", r.episode, role="operator")
        assert "goes on by itself" in printed(result)
        assert (await run("approve", "r-1", "--yes")).exit_code == 0

    async def test_what_is_not_there(self, run: Run) -> None:
        result = await run("take", "r-9")
        assert (result.exit_code, "no remediation and no episode is called 'r-9'" in result.stderr) == (1, True)


class TestBreakingTheGlass:
    async def test_where_it_is_not_configured(self, world: World, run: Run) -> None:
        await world.proposed()
        result = await run("approve", "r-1", "--yes", "--break-glass", "checkout is down, nobody answers")
        assert (result.exit_code, "not configured here" in result.stderr) == (1, True)

    async def test_it_is_seen(self, world: World, run: Run) -> None:
        r = await world.proposed(spec=playbook(mode="approve", approval={"quorum": 2}))
        why = "checkout is down, nobody answers"
        yes = Approved(who="ann", digest=r.digest, by="on call in PSCHED1 (PagerDuty)", break_glass=why)
        await world.mover.apply_from_person("r-1", yes)
        assert f"glass broken: {why}" in printed(await run("remediations", "show", "r-1"))
