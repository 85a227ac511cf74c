"""`check` with a configuration that has projects: what would not load in the service is an error here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.test_offline import GOOD, run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two projects with a folder each."""
    for name in ("shop", "pay"):
        (tmp_path / name).mkdir()
    path = tmp_path / "remediator.conf"
    projects = [
        {
            "name": name,
            "playbooks": {"folders": [str(tmp_path / name)]},
            "clusters": ["default"],
            "namespaces": [name],
            "mode": mode,
            "actions": ["rollout_restart"],
        }
        for name, mode in (("shop", "approve"), ("pay", "suggest"))
    ]
    path.write_text(yaml.safe_dump({"sources": [{"name": "am", "auth": "none"}], "projects": projects}))
    return path


def check(config: Path, *args: str) -> tuple[int, list[str]]:
    result = run("check", *args, "--config", str(config))
    return result.exit_code, result.stdout.splitlines() or result.stderr.splitlines()


def test_the_project_is_that_of_the_folder(tmp_path: Path, config: Path) -> None:
    (tmp_path / "shop" / "a.yaml").write_text(GOOD)
    (tmp_path / "pay" / "b.yaml").write_text(GOOD.replace("restart-api", "other").replace("ApiDown", "Other"))
    assert check(config, str(tmp_path / "shop")) == (0, ["1 playbook: 0 errors, 0 warnings"])
    code, lines = check(config, str(tmp_path / "shop"), str(tmp_path / "pay"))
    assert (code, lines) == (
        1,
        [
            f"{tmp_path / 'pay' / 'b.yaml'}:8: error: mode: approve is above suggest, the highest of project pay; "
            "write mode: suggest, or ask the operator for projects[pay].mode.",
            "2 playbooks: 1 error, 0 warnings",
        ],
    )


def test_the_project_is_the_one_that_is_said(tmp_path: Path, config: Path) -> None:
    """For a repository whose folders are not those of the service."""
    (tmp_path / "a.yaml").write_text(GOOD)
    code, lines = check(config, str(tmp_path / "a.yaml"))
    assert code == 1
    assert lines[0] == (
        f"{tmp_path / 'a.yaml'}: error: its folder is none of a project's, so it would not be loaded; "
        "say which project with --project"
    )
    assert check(config, str(tmp_path / "a.yaml"), "--project", "shop")[0] == 0
    assert check(config, str(tmp_path / "a.yaml"), "--project", "pay")[0] == 1


def test_a_ladder_stays_in_its_project(tmp_path: Path, config: Path) -> None:
    (tmp_path / "shop" / "a.yaml").write_text(GOOD + "escalate: [{playbook: other}]\n")
    other = GOOD.replace("restart-api", "other").replace("ApiDown", "Other").replace("mode: approve", "mode: observe")
    (tmp_path / "pay" / "b.yaml").write_text(other)
    code, lines = check(config, str(tmp_path / "shop"), str(tmp_path / "pay"))
    assert code == 1
    assert "error: escalate[0].playbook: other belongs to project pay." in lines[0]


def test_a_project_that_is_not_there(tmp_path: Path, config: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    code, lines = check(config, str(tmp_path / "a.yaml"), "--project", "lab")
    assert (code, lines) == (2, ["remediator: no project is called 'lab'", "  Known: shop, pay."])
    result = run("check", str(tmp_path / "a.yaml"), "--project", "lab")
    assert (result.exit_code, "Give --config" in result.stderr) == (2, True)


def test_an_action_that_nobody_has(tmp_path: Path, config: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    config.write_text(config.read_text().replace("rollout_restart", "rolout_restart"))
    code, lines = check(config, str(tmp_path / "a.yaml"), "--project", "shop")
    assert (code, "there is no rolout_restart" in lines[0]) == (2, True)
