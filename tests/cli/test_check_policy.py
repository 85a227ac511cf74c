"""`check --config`: what the service would refuse is an error here too, with the line, the reason and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_offline import GOOD, run

FREEZE = "calendars: {freeze: {file: /etc/freeze.ics, zone: Europe/Berlin}}\n"
ENVIRONMENTS = "policy: {{environments: [{{name: wide, match: {}}}, {{name: prod, match: {}}}]}}\n"


def check(folder: Path, playbook: str, config: str | None) -> list[str]:
    """What is printed about one playbook, without the folder."""
    (folder / "p.yaml").write_text(playbook)
    args = ["check", str(folder / "p.yaml")]
    if config is not None:
        (folder / "conf").write_text("sources: [{name: am, auth: none}]\n" + config)
        args += ["--config", str(folder / "conf")]
    result = run(*args)
    text = result.stdout if result.exit_code != 2 else result.stderr
    return text.replace(f"{folder}/", "").splitlines()


class TestPlaybook:
    @pytest.mark.parametrize(
        ("config", "said"),
        [
            pytest.param("", "there are none. Add calendars.fraze to the configuration.", id="none"),
            pytest.param(
                FREEZE,
                "known are freeze. Name one of them, or add calendars.fraze to the configuration.",
                id="misspelt",
            ),
        ],
    )
    def test_a_calendar_that_nobody_has_configured(self, tmp_path: Path, config: str, said: str) -> None:
        lines = check(tmp_path, GOOD + "guardrails:\n  windows:\n    calendars: [fraze]\n", config)
        assert lines == [
            f"p.yaml:18: error: guardrails.windows.calendars: no calendar is called fraze; {said}",
            "1 playbook: 1 error, 0 warnings",
        ]

    def test_a_calendar_that_is_configured(self, tmp_path: Path) -> None:
        lines = check(tmp_path, GOOD + "guardrails: {windows: {calendars: [freeze]}}\n", FREEZE)
        assert lines == ["1 playbook: 0 errors, 0 warnings"]

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            pytest.param(
                "approval: {approvers: [role:sre]}",
                "approval.approvers[0]: role:sre is nobody; add it to `people` in the configuration.",
                id="approver",
            ),
            pytest.param(
                "approval: {change: required}",
                "approval.change: nobody can look changes up; set change_gate in the configuration.",
                id="change",
            ),
            pytest.param(
                "notify: [ticket:jira]",
                "notify[0]: ticket:jira is not one of `channels` in the configuration. "
                "Add it there, or remove it here.",
                id="ticket",
            ),
            pytest.param(
                'notify: ["slack:C0OPS"]',
                "notify[0]: slack:C0OPS cannot be told, `slack` is not configured.",
                id="chat",
            ),
        ],
    )
    def test_what_the_service_would_not_load_here(self, tmp_path: Path, asked: str, said: str) -> None:
        assert check(tmp_path, f"{GOOD}{asked}\n", "")[0] == f"p.yaml:16: error: {said}"
        assert check(tmp_path, f"{GOOD}{asked}\n", None)[-1] == "1 playbook: 0 errors, 0 warnings"

    def test_without_a_config_the_calendars_are_not_known(self, tmp_path: Path) -> None:
        lines = check(tmp_path, GOOD + "guardrails: {windows: {calendars: [freeze]}}\n", None)
        assert lines == ["1 playbook: 0 errors, 0 warnings"]

    @pytest.mark.parametrize("config", [None, ""])
    def test_a_number_that_no_operator_can_allow(self, tmp_path: Path, config: str | None) -> None:
        """Ceilings can only be made tighter, so this is an error without a config as well."""
        lines = check(tmp_path, GOOD + "guardrails:\n  rate_limit:\n    playbook: 5\n    target: 7\n", config)
        assert lines[0] == (
            "p.yaml:19: error: guardrails.rate_limit.target: 7 per hour is above the ceiling, which is at most 6; "
            "write 6."
        )

    def test_what_the_service_does_not_do_yet(self, tmp_path: Path) -> None:
        lines = check(tmp_path, GOOD.replace("match:\n", "match:\n  status: resolved\n"), None)
        assert lines[0] == "p.yaml:6: error: match.status: resolved alerts start nothing yet; remove it."

    def test_more_targets_than_may_be_touched(self, tmp_path: Path) -> None:
        several = "targets: {kind: Deployment, namespace: shop, selector: tier=web, max: 3}"
        text = GOOD.replace("target: from_alert", several)
        assert check(tmp_path, text, None)[0] == (
            "p.yaml:7: warning: targets.max: 3, but max_targets is 1: more than 1 target is denied. "
            "Write guardrails: {max_targets: 3}, or targets.max: 1."
        )
        assert check(tmp_path, text, "policy: {defaults: {max_targets: 3}}\n")[0].startswith(
            "1 playbook: 0 errors, 0 w"
        )

    @pytest.mark.parametrize("key", ["storm", "protect", "notify_first"])
    def test_guardrails_without_a_number_cannot_be_switched_off_either(self, tmp_path: Path, key: str) -> None:
        assert check(tmp_path, GOOD + f"guardrails:\n  {key}: off\n", None)[0].endswith(
            "No guardrail can be switched off. Remove it."
        )


class TestConfig:
    @pytest.mark.parametrize(
        ("config", "said"),
        [
            pytest.param(
                "polcy: {}\n",
                ["remediator: conf:", '  polcy: unknown key "polcy". Did you mean "policy"?'],
                id="misspelt",
            ),
            pytest.param(
                "policy: {auto: [rolout_restart]}\n",
                [
                    "remediator: conf:",
                    '  policy.auto: there is no action rolout_restart. Did you mean "rollout_restart"?',
                ],
                id="no such action",
            ),
            pytest.param(
                "policy:\n  defaults:\n    cooldown: off\n",
                [
                    "remediator: conf:4: policy.defaults.cooldown: off is a boolean for YAML 1.1 and text for YAML 1.2."
                    " No guardrail can be switched off. The nearest allowed value is {success: 2m, failure: 2m}, which "
                    "are the ceilings."
                ],
                id="off",
            ),
            pytest.param(
                ENVIRONMENTS.format('{namespaces: ["*"]}', "{namespaces: [shop]}"),
                [
                    "remediator: conf: policy:",
                    "  environments[prod] is never in force: environments[wide] stands before it and matches all of "
                    "its places; move prod up",
                ],
                id="shadowed",
            ),
        ],
    )
    def test_it_says_where_why_and_what_to_do(self, tmp_path: Path, config: str, said: list[str]) -> None:
        assert check(tmp_path, GOOD, config) == said

    @pytest.mark.parametrize(
        ("wide", "narrow", "shadowed"),
        [
            ("{namespaces: [shop-*]}", "{namespaces: [shop-eu, shop-us-*]}", True),
            ("{namespaces: [shop-*]}", "{namespaces: [shop-eu, pay]}", False),
            ("{namespaces: [shop-*]}", '{namespaces: ["*"]}', False),
            ('{namespaces: ["*"]}', "{clusters: [prod]}", False),  # nodes are in no namespace
            ("{clusters: [prod]}", "{clusters: [prod], namespaces: [shop]}", True),
            ("{clusters: [prod], namespaces: [shop]}", "{namespaces: [shop]}", False),
            ("{labels: 'env=\"prod\"'}", "{labels: ['env=\"prod\"', 'team=\"a\"']}", True),
            ("{labels: 'env=\"prod\"', namespaces: [shop]}", "{namespaces: [shop]}", False),
            ("{labels: 'env=~\"prod|live\"'}", "{labels: 'env=\"prod\"'}", False),  # so it is, but not surely
        ],
    )
    def test_an_environment_behind_one_that_takes_all_its_places(
        self, tmp_path: Path, wide: str, narrow: str, shadowed: bool
    ) -> None:
        found = "\n".join(check(tmp_path, GOOD, ENVIRONMENTS.format(wide, narrow)))
        assert ("environments[prod] is never in force" in found) == shadowed
