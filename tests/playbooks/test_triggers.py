"""What may start a playbook: what loads, what it means for matching, and what lint says about it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from remediator.actions.registry import load_actions
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.folder import load_folder
from remediator.playbooks.lint import lint
from remediator.playbooks.loader import load_playbook
from remediator.playbooks.model import Playbook
from remediator.remediation.checks.registry import CHECKS as REAL_CHECKS
from remediator.views import playbook as view_of
from tests.journal.given import alert
from tests.playbooks.registry import ACTIONS, CHECKS, load

API = "target: {kind: Deployment, namespace: shop, name: api}"
NODE = "target: {kind: Node, name: w1}"
RESTART = "steps: [{action: rollback}]"
MATCH = "match: {alerts: ['alertname=\"A\"']}"
NIGHTLY = 'schedule: {cron: "0 2 * * *", zone: Europe/Berlin}'


def made(name: str, *lines: str):
    return load("\n".join((f"name: {name}", *lines)), f"{name}.yaml")


def codes(*playbooks) -> list[tuple[str, str]]:
    return [(finding.playbook, finding.code) for finding in lint(playbooks, actions=ACTIONS)]


@pytest.mark.parametrize("starts", [MATCH, NIGHTLY, "manual: true", f"{MATCH}\n{NIGHTLY}\nmanual: true"])
def test_one_of_three_is_enough(starts: str) -> None:
    assert codes(made("a", starts, API, RESTART)) == []


def test_manual_false_starts_nothing() -> None:
    with pytest.raises(Exception, match="nothing starts it"):
        made("a", "manual: false", API, RESTART)
    with pytest.raises(Exception, match="nothing starts it"):
        Playbook.model_validate({"name": "a", "target": "from_alert", "steps": [{"action": "rollback"}]})


def test_no_alert_finds_what_only_people_start() -> None:
    by_hand, by_alert = made("a", "manual: true", API, RESTART), made("b", MATCH, API, RESTART)
    catalog = Catalog([by_hand, by_alert])
    assert "a" in catalog
    assert {entry.name for entry in catalog.candidates(alert())} <= {"b"}


def test_a_person_may_start_what_takes_its_target_from_alerts() -> None:
    made("a", "manual: true", "target: from_alert", RESTART)
    made("a", MATCH, "manual: true", 'target: {kind: Deployment, namespace: shop, name: "${labels.app}"}', RESTART)


def test_the_defaults_of_a_schedule() -> None:
    schedule = made("a", NIGHTLY, API, RESTART).playbook.schedule
    assert schedule is not None
    assert (schedule.catch_up, schedule.rule) == (timedelta(hours=1), "0 2 * * * Europe/Berlin")


def test_the_view_says_what_starts_it() -> None:
    view = view_of(made("a", NIGHTLY, "manual: true", API, "collect: [{restarts: {}}]", "steps: []"))
    assert (view["match"], view["when"], view["schedule"]) == ([], "", "0 2 * * * Europe/Berlin")
    assert (view["manual"], view["report"], view["steps"]) == (True, True, [])


class TestLint:
    def test_two_that_no_alert_starts_do_not_overlap(self) -> None:
        assert codes(made("a", "manual: true", API, RESTART), made("b", NIGHTLY, API, RESTART)) == []

    def test_nothing_would_prove_it(self) -> None:
        actions = load_actions()
        text = f"name: a\nmanual: true\n{NODE}\nsteps: [{{action: cordon}}]\n"
        for more, found in (("", ["unproven-start"]), ("verify: {checks: [{http: {url: 'http://a/'}}]}", [])):
            loaded = load_playbook(
                text + more, "a.yaml", actions=actions, checks={name: kind.args for name, kind in REAL_CHECKS.items()}
            )
            assert [one.code for one in lint([loaded], actions=actions)] == found

    def test_a_report_is_no_mistake_but_what_it_says_of_acting_is(self) -> None:
        report = (NIGHTLY, API, "collect: [{restarts: {}}]", "steps: []")
        assert codes(made("a", *report)) == []
        assert codes(made("a", *report, "mode: suggest")) == [("a", "report-key")]

    def test_a_report_is_no_rung(self) -> None:
        report = made("b", NIGHTLY, API, "collect: [{restarts: {}}]", "steps: []")
        rung = made("a", MATCH, API, RESTART, "escalate: [{playbook: b}]")
        assert codes(rung, report) == [("a", "report-rung")]

    def test_a_checklist_is_no_mistake(self) -> None:
        assert codes(made("a", "manual: true", API, "mode: auto", "steps: [{ask: Is it off?}, {ask: And now?}]")) == []


def test_a_folder_with_all_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"name: a\n{NIGHTLY}\n{API}\n{RESTART}\n")
    (tmp_path / "b.yaml").write_text(f"name: b\nmanual: true\n{API}\nsteps: []\n")
    results = load_folder(tmp_path, actions=ACTIONS, checks=CHECKS)
    assert [(result.name, result.loaded is not None) for result in results] == [("a", True), ("b", False)]
